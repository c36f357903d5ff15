"""What a prototype is to excite: a class, a channel, a neuron, a direction, a concept, or a weighted sum of such.

Targets are values: they say what is meant, and are bound to a network only when something is computed.

>>> from whatwhere import targets
>>> 2 * targets.Channel("features.8", 17) - targets.ClassScore("tench")
<2 x channel 17 of features.8 - tench>
"""

from whatwhere.targets.classes import ClassScore
from whatwhere.targets.directions import Concept, Direction, concepts
from whatwhere.targets.inversion import Inversion
from whatwhere.targets.reading import from_told, read
from whatwhere.targets.target import Sum, Target, Term
from whatwhere.targets.units import Channel, Neuron

__all__ = [
    "Channel",
    "ClassScore",
    "Concept",
    "Direction",
    "Inversion",
    "Neuron",
    "Sum",
    "Target",
    "Term",
    "concepts",
    "from_told",
    "read",
]
