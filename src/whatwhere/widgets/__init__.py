"""The Python half of each view. Importing it imports no torch."""

from whatwhere.widgets._freeing import free
from whatwhere.widgets.atlas import AtlasView
from whatwhere.widgets.attribution import AttributionView
from whatwhere.widgets.concepts import ConceptExplorer
from whatwhere.widgets.explorer import Explorer
from whatwhere.widgets.prototypes import PrototypeView
from whatwhere.widgets.selection import Selection
from whatwhere.widgets.strategies import StrategyView

__all__ = [
    "AtlasView",
    "AttributionView",
    "ConceptExplorer",
    "Explorer",
    "PrototypeView",
    "Selection",
    "StrategyView",
    "free",
]
