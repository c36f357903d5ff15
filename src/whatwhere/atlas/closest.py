"""Which classes the concepts of many banks point towards, where classes have directions in the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from whatwhere.metrics.alignment import closest_classes, head_alignment, logit_effect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.concepts import Concepts
    from whatwhere.model import VisionModel

#: Classes that are kept of those nearest to a concept.
CLOSEST = 20
#: Why a page has none where concepts came without their network.
NOT_ASKED = "This needs the network: Atlas.from_banks(banks, model=model)."


class ClosestClass(NamedTuple):
    """A class that a concept points towards.

    Attributes
    ----------
    target : int
        The class.
    cosine : float
        Of the concept's direction and the class's weights, -1 to 1.
    effect : float
        What the concept adds to the class's logit, on average over the page's photos, in logits.
    """

    target: int
    cosine: float
    effect: float


class Compass:
    """Classes' directions in a layer, read from the network once for many banks.

    Parameters
    ----------
    model : VisionModel
        The network.
    """

    def __init__(self, model: VisionModel) -> None:
        self._model = model
        self._of: tuple[object, ...] | None = None
        self._weights: NDArray[np.float32] | None = None
        self._why = ""

    def closest(self, bank: ConceptBank) -> tuple[tuple[tuple[ClosestClass, ...], ...] | None, str]:
        """Find the classes that each concept points towards.

        Parameters
        ----------
        bank : ConceptBank
            The concepts.

        Returns
        -------
        tuple of tuple of ClosestClass, or None
            For each concept classes by cosine, the highest first; none for a dead one. None where classes have no
            directions in the layer.
        str
            Why there are none.

        Raises
        ------
        ValueError
            If the bank is of another network.
        """
        self._read(bank.on(self._model))
        if self._weights is None:
            return None, self._why
        cosines = head_alignment(bank.W, self._weights)
        effects = logit_effect(bank.W, self._weights, bank.codes.mean(axis=(1, 2)))
        found = tuple(
            tuple(ClosestClass(near.id, near.value, float(effects[k, near.id])) for near in classes)
            for k, classes in enumerate(closest_classes(cosines, CLOSEST))
        )
        return found, ""

    def _read(self, concepts: Concepts) -> None:
        """Read the weights of the classes, unless they are known of this layer and these weights."""
        of = (concepts.bank.layer.name, self._model.stamp())
        if of == self._of:
            return
        self._of, self._weights, self._why = of, None, ""
        try:
            concepts.closest_classes(1, by="alignment")
        except ValueError as error:  # no single direction stands for a class there
            self._why = str(error)
            return
        self._weights = concepts.head.weights.cpu().numpy()
