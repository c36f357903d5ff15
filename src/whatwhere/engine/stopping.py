"""When a map is good enough: rules that look at the rows so far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whatwhere.engine._checks import between, design_scores, integer
from whatwhere.engine.confidence import half_width, total_order_bootstrap
from whatwhere.engine.ranking import spearman
from whatwhere.engine.sensitivity import is_flat, is_noisy, total_order, total_order_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHARE = 0.95  # of resamples that must agree
_SEED = 0


class StopRule(ABC):
    """Anything that says whether the rows so far are enough."""

    @abstractmethod
    def met(self, scores: NDArray[np.floating]) -> bool:
        """Tell whether the map is good enough.

        Parameters
        ----------
        scores : ndarray of shape (rows, groups + 1)
            Scores of the rows so far.

        Returns
        -------
        bool
            True to stop.
        """

    @abstractmethod
    def describe(self) -> str:
        """Say the rule in words.

        Returns
        -------
        str
            A phrase that follows "stops when".
        """


@dataclass(frozen=True)
class Width(StopRule):
    """Stop when every index is known to within a share of the largest.

    Parameters
    ----------
    tolerance : float
        Largest half-width of the groups' intervals, as a share of the largest index, above 0.
    level : float, default 0.95
        Level of the intervals, above 0 and below 1.

    Raises
    ------
    TypeError, ValueError
        If an option is not a number in its range.

    Notes
    -----
    Half-widths fall with the square root of the rows. On photographs the scores have heavy tails: at 32 rows the
    standard error of a cell is about half of its index, so a tolerance of 0.2 takes hundreds of rows.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.random.default_rng(0).normal(size=(32, 5))
    >>> Width(0.1).met(scores), Width(0.1).describe()
    (False, 'every 95 % interval is within 10 % of the largest index')
    """

    tolerance: float
    level: float = 0.95

    def __post_init__(self) -> None:
        """Check both options."""
        object.__setattr__(self, "tolerance", between("tolerance", self.tolerance, 0, np.inf))
        object.__setattr__(self, "level", between("level", self.level, 0, 1))

    def met(self, scores: NDArray[np.floating]) -> bool:
        """Tell whether every interval is narrow enough.

        Parameters
        ----------
        scores : ndarray of shape (rows, groups + 1)
            Scores of the rows so far.

        Returns
        -------
        bool
            Never True below 16 rows, where errors are themselves too uncertain; from there True for a flat score.

        Raises
        ------
        TypeError, ValueError
            If `scores` are not those of a design of at least two rows.
        """
        y = design_scores(scores)
        if is_noisy(len(y)) or is_flat(y):
            return not is_noisy(len(y))
        widest = half_width(total_order_error(y), len(y), self.level).max()
        return bool(widest <= self.tolerance * total_order(y).max())

    def describe(self) -> str:
        """Say the rule in words.

        Returns
        -------
        str
            A phrase that follows "stops when".
        """
        level, tolerance = f"{100 * self.level:.3g} %", f"{100 * self.tolerance:.3g} %"
        return f"every {level} interval is within {tolerance} of the largest index"


@dataclass(frozen=True)
class RankStability(StopRule):
    """Stop when the order of the groups no longer hangs on the rows that happened to be drawn.

    Rows are resampled and the map read off each time. The rule is met when, in 95 % of the resamples, that map's
    Spearman correlation with the map of all rows is at least `correlation`; or, if `top` is given, when its most
    important groups are the same ones.

    Parameters
    ----------
    correlation : float, default 0.95
        Rank correlation to reach, above 0 and below 1. Not looked at if `top` is given.
    top : int, optional
        How many of the most important groups must stay the same, in any order; fewer than there are groups.
    resamples : int, default 200
        How many resamples, at least 20.

    Raises
    ------
    TypeError, ValueError
        If an option is not a number in its range.

    Notes
    -----
    The 5 % quantile is asked for and not the mean, because resampled maps share the noise of the map: on pure noise
    their mean correlation with it is still about 0.7. Deletion and insertion depend on the order only. The resamples
    are the same at every call: same rows, same answer. Cost: about a millisecond for 128 rows of 64 groups.

    Examples
    --------
    >>> RankStability(top=5).describe()
    'the 5 most important groups are the same in 95 % of 200 resamples'
    """

    correlation: float = 0.95
    top: int | None = None
    resamples: int = 200

    def __post_init__(self) -> None:
        """Check every option."""
        object.__setattr__(self, "correlation", between("correlation", self.correlation, 0, 1))
        object.__setattr__(self, "resamples", integer("resamples", self.resamples, 20))
        if self.top is not None:
            object.__setattr__(self, "top", integer("top", self.top, 1))

    def met(self, scores: NDArray[np.floating]) -> bool:
        """Tell whether the order is stable.

        Parameters
        ----------
        scores : ndarray of shape (rows, groups + 1)
            Scores of the rows so far.

        Returns
        -------
        bool
            Never True below 16 rows; from there True for a flat score.

        Raises
        ------
        TypeError, ValueError
            If `scores` are not those of a design of at least two rows, or have no more than `top` groups.
        """
        y = design_scores(scores)
        if self.top is not None and self.top >= y.shape[1] - 1:
            raise ValueError(f"top: wanted fewer than the {y.shape[1] - 1} groups, got {self.top}.")
        if is_noisy(len(y)) or is_flat(y):
            return not is_noisy(len(y))
        values = total_order(y)
        resampled = total_order_bootstrap(y, self.resamples, _SEED).values
        agrees = self._same_top(values, resampled) if self.top else spearman(resampled, values) >= self.correlation
        return bool(agrees.mean() >= _SHARE)

    def describe(self) -> str:
        """Say the rule in words.

        Returns
        -------
        str
            A phrase that follows "stops when".
        """
        often = f"in {100 * _SHARE:.3g} % of {self.resamples} resamples"
        if self.top is None:
            return f"the rank correlation with the map is at least {self.correlation:g} {often}"
        if self.top == 1:
            return f"the most important group is the same {often}"
        return f"the {self.top} most important groups are the same {often}"

    def _same_top(self, values: NDArray[np.float64], resampled: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell for each resample whether no other group passes one of the map's first; a tie is no pass."""
        order = np.argsort(-values, kind="stable")
        first, others = resampled[:, order[: self.top]], resampled[:, order[self.top :]]
        return np.asarray(first.min(axis=1) >= others.max(axis=1))
