"""A page of an atlas: the concepts of one class, and what its photos were classified for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.atlas.closest import ClosestClass
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.strategies.graph import StrategyGraph

#: Photos of which a concept is the strongest, from which it is important, and the share where there are few photos.
ENOUGH, SHARE, LEAST = 10, 0.1, 2


@dataclass(frozen=True, eq=False, repr=False)
class ClassPage:
    """One class: its concepts, its photos by reason, and which concepts count.

    Parameters
    ----------
    bank : ConceptBank
        The concepts; its `target` is the class.
    graph : StrategyGraph or None
        What the photos were classified for, if that was asked for.
    closest : tuple of tuple of ClosestClass, or None
        For each concept the classes whose weights point most the same way, the nearest first; None where classes have
        no directions in the layer, or no network was asked.
    why_not_closest : str, default ""
        Why there are none.
    """

    bank: ConceptBank
    graph: StrategyGraph | None = None
    closest: tuple[tuple[ClosestClass, ...], ...] | None = None
    why_not_closest: str = ""

    def __post_init__(self) -> None:
        """Check that all is of one class and one bank."""
        if self.bank.target is None:
            raise ValueError(
                "bank: wanted the concepts of one class, got those of photos of any; run Craft with a target, or "
                "Craft(…).by_class."
            )
        if self.graph is not None and self.graph.bank != self.bank.key:
            raise ValueError(f"graph: wanted one of the bank of {self.bank.target_name}, got one of another bank.")

    @property
    def target(self) -> int:
        """The class id."""
        return -1 if self.bank.target is None else self.bank.target  # a page has one

    @property
    def name(self) -> str:
        """The class's name, with its id where another class has the same."""
        return self.bank.target_name

    @property
    def n_images(self) -> int:
        """Photos that are predicted as the class, right or wrong."""
        return len(self.bank.images)

    @cached_property
    def strongest(self) -> NDArray[np.int64]:
        """Number of photos of which each concept is the strongest, of shape (r,).

        A photo that no concept speaks for counts for none.
        """
        added = self.bank.contributions
        if not added.size:
            return np.zeros(self.bank.rank, dtype=np.int64)
        supported = added.max(axis=1) > 0
        return np.bincount(added.argmax(axis=1)[supported], minlength=self.bank.rank)

    @property
    def important(self) -> tuple[int, ...]:
        """Ids of the concepts that count, by `rule`, the most important first."""
        chosen = self.strongest >= self._needed
        chosen[: not chosen.any()] = True
        return tuple(self.bank.ids[k] for k in np.flatnonzero(chosen))

    @property
    def rule(self) -> str:
        """Which concepts are important, in words."""
        return (
            f"A concept is important if it adds more to the class's logit than any other in at least {self._needed} "
            f"of the {self.n_images} photos ({ENOUGH}, or a tenth of fewer than {ENOUGH / SHARE:.0f} photos, but "
            f"{LEAST} at least); if none does, the one that adds the most on average is."
        )

    @property
    def _needed(self) -> int:
        return max(LEAST, min(ENOUGH, int(np.ceil(SHARE * self.n_images))))

    @cached_property
    def mean(self) -> NDArray[np.float32]:
        """Mean of what the concepts rebuild of the photos' features, of shape (p,)."""
        bank = self.bank
        codes = bank.codes.mean(axis=(0, 1, 2)) if bank.codes.size else bank.importance
        rebuilt: NDArray[np.float32] = codes @ bank.W
        return rebuilt if bank.offset is None else rebuilt + bank.offset

    def describe(self) -> str:
        """Say in a few lines what the page holds.

        Returns
        -------
        str
            For people.
        """
        count = len(self.important)
        told = f"{self.name} ({self.target}): {count} important concept{'s' * (count != 1)} of {self.bank.rank}"
        return f"{told}, from {self.n_images} photos."

    def __repr__(self) -> str:
        return f"<ClassPage {self.describe()}>"
