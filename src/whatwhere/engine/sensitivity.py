"""Sensitivity indices from the scores of a pick-freeze design.

Scores are an array of shape (rows, groups + 1): column 0 is ``a = f(A_k)``, column ``1 + i`` is ``c_i = f(C_ki)``,
where C_ki is A_k with group i's cells taken from B_k. All arithmetic is float64.

References
----------
M. J. W. Jansen, "Analysis of variance designs for model output", Computer Physics Communications 117 (1999).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Scores that move by less than a few float32 roundings of their own size are taken as constant.
_FLAT = 8 * float(np.finfo(np.float32).eps)
_MIN_ROWS_TO_HALVE = 8


def pooled_variance(scores: NDArray[np.floating]) -> float:
    """Return the variance of the score over all the masked images of the design.

    Parameters
    ----------
    scores : ndarray of shape (rows, groups + 1)
        Scores of the design; every entry has the same law, so all of them count.

    Returns
    -------
    float
        Sample variance (divisor n - 1), in squared units of the score.
    """
    return float(np.var(np.asarray(scores, dtype=np.float64), ddof=1))


def is_flat(scores: NDArray[np.floating]) -> bool:
    """Tell whether the score does not move beyond rounding.

    Parameters
    ----------
    scores : ndarray of shape (rows, groups + 1)
        Scores of the design.

    Returns
    -------
    bool
        True if the pooled variance is at most ``(8 eps max|score|)^2``, with float32's eps.
    """
    return pooled_variance(scores) <= (_FLAT * float(np.abs(scores).max())) ** 2


def total_order(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the total-order index of every group, by Jansen's estimator over the pooled variance.

    ``T_i = sum_k (a_k - c_ki)^2 / (2 n V)``.

    Parameters
    ----------
    scores : ndarray of shape (rows, groups + 1)
        Scores of the design, at least two rows.

    Returns
    -------
    ndarray of shape (groups,), float64
        Share of the score's variance that is left when everything but the group is known: 0 for a group that does not
        matter, exactly so; in expectation at most 1, but more is possible with few rows. All zeros if the score is
        flat.
    """
    y = np.asarray(scores, dtype=np.float64)
    if is_flat(y):
        return np.zeros(y.shape[1] - 1)
    return _half_squares(y).mean(axis=0) / pooled_variance(y)


def total_order_error(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the standard error of `total_order` by the delta method, rows taken as independent.

    With ``q_ik = (a_k - c_ki)^2 / 2`` and ``h_k`` the row's share of the pooled variance ``V``, the influence of row k
    is ``(q_ik - T_i h_k) / V``; the error is its standard deviation over the square root of the number of rows.
    Stratified rows make it conservative.

    Parameters
    ----------
    scores : ndarray of shape (rows, groups + 1)
        Scores of the design, at least two rows.

    Returns
    -------
    ndarray of shape (groups,), float64
        Standard errors, in the units of the index; zeros if the score is flat.
    """
    y = np.asarray(scores, dtype=np.float64)
    if is_flat(y):
        return np.zeros(y.shape[1] - 1)
    variance = pooled_variance(y)
    q = _half_squares(y)
    h = np.mean((y - y.mean()) ** 2, axis=1, keepdims=True)
    influence = (q - q.mean(axis=0) / variance * h) / variance
    return influence.std(axis=0, ddof=1) / np.sqrt(len(y))


def half_agreement(scores: NDArray[np.floating]) -> float | None:
    """Return the rank correlation of the maps that the even and the odd rows give.

    Parameters
    ----------
    scores : ndarray of shape (rows, groups + 1)
        Scores of the design.

    Returns
    -------
    float or None
        Spearman's correlation in [-1, 1]; None below eight rows, or where a half is flat.
    """
    y = np.asarray(scores, dtype=np.float64)
    halves = y[0::2], y[1::2]
    if len(y) < _MIN_ROWS_TO_HALVE or any(is_flat(half) for half in halves):
        return None
    ranks = [_ranks(_half_squares(half).sum(axis=0)) for half in halves]
    if any(rank.std() == 0 for rank in ranks):
        return None
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def _half_squares(y: NDArray[np.float64]) -> NDArray[np.float64]:
    return (y[:, :1] - y[:, 1:]) ** 2 / 2


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank from 0 up; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    return np.asarray(middle, dtype=np.float64)[inverse]
