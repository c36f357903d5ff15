"""Shares with what they rest on: counts and Wilson's intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.metrics.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Rate:
    """A share.

    Parameters
    ----------
    value : float
        The share, 0 to 1; NaN where nothing is known.
    low, high : float
        Ends of Wilson's interval; 0 and 1 where nothing is known.
    count, total : int
        How many of how many.
    """

    value: float
    low: float
    high: float
    count: int
    total: int

    def __str__(self) -> str:
        if not self.total:
            return "unknown"
        return f"{self.value:.0%} ({self.low:.0%} to {self.high:.0%}, {self.count} of {self.total})"


@dataclass(frozen=True, eq=False)
class Rates:
    """A share for each concept; ``np.asarray`` of it are the values.

    Parameters
    ----------
    counts, totals : ndarray of shape (r,), int64
        How many of how many photos.
    level : float
        Share of the intervals that hold the truth.
    """

    counts: NDArray[np.int64]
    totals: NDArray[np.int64]
    level: float

    @classmethod
    def of(cls, counts: ArrayLike, totals: ArrayLike, level: float) -> Rates:
        """Make shares of counts.

        Parameters
        ----------
        counts : array_like of int
            How many.
        totals : array_like of int
            Of how many, of a shape that goes with it.
        level : float
            Level of the intervals.

        Returns
        -------
        Rates
            One a count.
        """
        some, whole = np.broadcast_arrays(np.atleast_1d(counts), np.atleast_1d(totals))
        made = cls(some.astype(np.int64), whole.astype(np.int64), level)
        made.counts.flags.writeable = made.totals.flags.writeable = False
        return made

    @property
    def values(self) -> NDArray[np.float64]:
        """Shares, of shape (r,), 0 to 1; NaN where there is nothing to count."""
        out = np.full(len(self.counts), np.nan)
        return np.divide(self.counts, self.totals, out=out, where=self.totals > 0)

    @property
    def low(self) -> NDArray[np.float64]:
        """Lower ends of Wilson's intervals, of shape (r,); 0 where there is nothing to count."""
        return wilson(self.counts, self.totals, self.level)[0]

    @property
    def high(self) -> NDArray[np.float64]:
        """Upper ends, likewise; 1 where there is nothing to count."""
        return wilson(self.counts, self.totals, self.level)[1]

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, k: int) -> Rate:
        return Rate(
            float(self.values[k]), float(self.low[k]), float(self.high[k]), int(self.counts[k]), int(self.totals[k])
        )

    def __iter__(self) -> Iterator[Rate]:
        return (self[k] for k in range(len(self)))

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NDArray[Any]:
        """Return `values`."""
        del copy
        return self.values.astype(dtype or np.float64)

    def __repr__(self) -> str:
        return f"<Rates {', '.join(str(rate) for rate in self)}>"
