"""Photos divided by concept: what each was classified for, how common that is, and how often it is right."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from whatwhere.strategies.groups import BYS, group, shares_of
from whatwhere.strategies.rates import Rate, Rates
from whatwhere.strategies.truth import UNKNOWN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from whatwhere.strategies.groups import By, Groups
    from whatwhere.strategies.ledger import Ledger
    from whatwhere.strategies.muting import Muting
    from whatwhere.strategies.strategies import Strategies


class Divided:
    """What follows from a record's ledger, predictions and labels; the record is `whatwhere.StrategyGraph`."""

    ids: tuple[int, ...]
    explained: Ledger
    predictions: NDArray[np.int64]
    labels: NDArray[np.int64]
    muting: Muting
    method: Strategies

    @property
    def rank(self) -> int:
        """Number of concepts."""
        return len(self.ids)

    @property
    def importance(self) -> NDArray[np.float32]:
        """What each concept adds to each photo's explained logit, signed, of shape (n, r), in logits."""
        return self.explained.concepts

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """`importance` scaled to a sum of absolute values of 1 a photo, of shape (n, r), -1 to 1."""
        shares = shares_of(self.importance)
        shares.flags.writeable = False
        return shares

    @property
    def known(self) -> NDArray[np.bool_]:
        """Photos of which it is known what they are, of shape (n,)."""
        return self.labels != UNKNOWN

    @property
    def right(self) -> NDArray[np.bool_]:
        """Photos that are predicted as what they are, of shape (n,); False where that is not known."""
        return self.known & (self.labels == self.predictions)

    @property
    def flips(self) -> NDArray[np.bool_]:
        """Whether taking a concept away changes the predicted class, of shape (n, r)."""
        return self.muting.becomes != self.predictions[:, None]

    @property
    def accuracy(self) -> Rate:
        """Share of the photos, of those whose class is known, that are right."""
        return Rates.of(self.right.sum(), self.known.sum(), self.method.level)[0]

    @property
    def prevalence(self) -> Rates:
        """Share of the photos that have each concept, with Wilson's intervals; ``by("presence").prevalence``."""
        return self.by("presence").prevalence

    @property
    def reliability(self) -> Rates:
        """Share of the photos with each concept that are right; ``by("presence").reliability``."""
        return self.by("presence").reliability

    @property
    def unsupported(self) -> NDArray[np.bool_]:
        """Photos that no concept speaks for, of shape (n,)."""
        return self.by("presence").unsupported

    def by(self, rule: By = "presence") -> Groups:
        """Divide the photos by concept.

        Parameters
        ----------
        rule : {"presence", "strongest", "distinctive"}, default "presence"
            Which concepts a photo belongs to; the record says it in words.

        Returns
        -------
        Groups
            Members, prevalence, reliability; made once.

        Raises
        ------
        ValueError
            If there is no such rule.
        """
        if rule not in BYS:
            raise ValueError(f"rule: wanted one of {list(BYS)}, got {rule!r}.")
        return self._groups[rule]

    @cached_property
    def _groups(self) -> dict[str, Groups]:
        options = {"presence": self.method.presence, "level": self.method.level}
        return {by: group(self.importance, by, right=self.right, known=self.known, **options) for by in BYS}
