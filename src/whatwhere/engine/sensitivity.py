"""Sensitivity indices from the scores of a pick-freeze design: total order, mean dimension, and when to trust them.

Scores are an array of shape (rows, groups + 1): column 0 is ``a = f(A_k)``, column ``1 + i`` is ``c_i = f(C_ki)``,
where C_ki is A_k with group i's cells taken from B_k. All arithmetic is float64, about the mean, and nothing is
clipped.

References
----------
M. J. W. Jansen, "Analysis of variance designs for model output", Computer Physics Communications 117 (1999),
doi:10.1016/S0010-4655(98)00154-4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from whatwhere.engine._checks import between, design_scores, integer
from whatwhere.engine.jackknife import FEWEST_ROWS, jackknife_error, pair_sums, rows_without, variances_without
from whatwhere.engine.ranking import spearman

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Scores that move by less than a few float32 roundings of their own size are taken as constant.
_FLAT = 8 * float(np.finfo(np.float32).eps)
_MIN_ROWS_TO_HALVE = 8
_STEADY_ROWS = 16


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

    Raises
    ------
    TypeError
        If `scores` are not real numbers.
    ValueError
        If `scores` has another shape, fewer than two rows or columns, or an entry that is not finite. All functions of
        this module check so.
    """
    return float(np.var(design_scores(scores), ddof=1))


def row_spread(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return each row's share of the pooled variance: the mean squared distance of its scores from their mean.

    Parameters
    ----------
    scores : ndarray of shape (rows, groups + 1)
        Scores of the design.

    Returns
    -------
    ndarray of shape (rows,), float64
        Spreads, in squared units of the score; their mean is the pooled variance, but for its divisor.
    """
    y = design_scores(scores)
    return np.asarray(np.mean((y - y.mean()) ** 2, axis=1))


def variance_floor(scores: NDArray[np.floating]) -> float:
    """Return the variance up to which a score counts as constant.

    Parameters
    ----------
    scores : ndarray of any shape
        Scores.

    Returns
    -------
    float
        ``(8 eps max|score|)^2`` with float32's eps: networks answer in float32, whatever the scores are held in.
    """
    return (_FLAT * float(np.abs(np.asarray(scores, dtype=np.float64)).max())) ** 2


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
    return pooled_variance(scores) <= variance_floor(scores)


def is_noisy(rows: int) -> bool:
    """Tell whether a map of so few rows is only a preview.

    Parameters
    ----------
    rows : int
        Rows of the design that are in, at least 2: one row has no variance.

    Returns
    -------
    bool
        True below 16 rows, where indices and their errors are both too uncertain to act upon.

    Raises
    ------
    TypeError, ValueError
        If `rows` is not an integer of at least 2.
    """
    return integer("rows", rows, 2) < _STEADY_ROWS


def rounding_floor(scores: NDArray[np.floating], ulp: float) -> float:
    """Return the total-order index that rounding of the scores alone may give to a group that does not matter.

    Parameters
    ----------
    scores : ndarray of shape (rows, groups + 1)
        Scores of the design.
    ulp : float
        Spacing of the numbers that the scores were rounded to, in units of the score: logits near 12 have 0.0625 in
        bfloat16 and 0.0078 in float16.

    Returns
    -------
    float
        ``ulp^2 / (12 V)``: both scores of a pair are off by a uniform error of variance ``ulp^2 / 12``. Infinite if
        the score is flat. A group whose two scores round alike stays at exactly 0.

    Raises
    ------
    TypeError, ValueError
        If `ulp` is not a positive number.
    """
    size = between("ulp", ulp, 0, np.inf)
    return float("inf") if is_flat(scores) else size**2 / (12 * pooled_variance(scores))


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
    y = design_scores(scores)
    if is_flat(y):
        return np.zeros(y.shape[1] - 1)
    return half_squares(y).mean(axis=0) / pooled_variance(y)


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
    y = design_scores(scores)
    if is_flat(y):
        return np.zeros(y.shape[1] - 1)
    variance = pooled_variance(y)
    q = half_squares(y)
    influence = (q - q.mean(axis=0) / variance * row_spread(y)[:, np.newaxis]) / variance
    return influence.std(axis=0, ddof=1) / np.sqrt(len(y))


def glen_isaacs(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the total-order index of every group as one minus the correlation of its pairs: a second estimator.

    Parameters
    ----------
    scores : ndarray of shape (rows, groups + 1)
        Scores of the design, at least two rows.

    Returns
    -------
    ndarray of shape (groups,), float64
        ``1 - corr(a, c_i)`` in [0, 2], 0 for a group that does not matter. Where either column is constant and they
        differ, the correlation is taken as 0. All zeros if the score is flat.

    Notes
    -----
    It scales every group by its own pairs' variance and is noisier than Jansen's estimator with the pooled variance;
    it is here to check that one.

    References
    ----------
    G. Glen, K. Isaacs, "Estimating Sobol sensitivity indices using correlations", Environmental Modelling & Software
    37 (2012), doi:10.1016/j.envsoft.2012.03.014.
    """
    y = design_scores(scores)
    if is_flat(y):
        return np.zeros(y.shape[1] - 1)
    z = y - y.mean(axis=0)
    squares = (z * z).sum(axis=0)
    constant = squares <= (len(y) - 1) * variance_floor(y)
    unit = z / np.sqrt(np.where(constant, 1.0, squares))
    index = ((unit[:, :1] - unit[:, 1:]) ** 2).sum(axis=0) / 2  # 1 - r for unit vectors, exactly 0 for equal ones
    undefined = constant[0] | constant[1:]
    return np.where(undefined, (y[:, :1] != y[:, 1:]).any(axis=0).astype(np.float64), index)


def mean_dimension(scores: NDArray[np.floating]) -> float:
    """Return the mean dimension of the score: the sum of the total-order indices.

    Parameters
    ----------
    scores : ndarray of shape (rows, groups + 1)
        Scores of the design, at least two rows.

    Returns
    -------
    float
        In expectation at least 1, and 1 if and only if the score is a sum of functions of one group each; the larger,
        the more groups act together. 0 if the score is flat.

    Notes
    -----
    The sampled variance is in the denominator: with 32 rows an additive score of many groups reads 1.06 to 1.09 on
    average. Show it with its error.

    References
    ----------
    A. B. Owen, "The dimension distribution and quadrature test functions", Statistica Sinica 13 (2003).
    """
    return float(total_order(scores).sum())


def mean_dimension_error(scores: NDArray[np.floating]) -> float:
    """Return the standard error of `mean_dimension`, by leaving out each pair of rows in turn.

    Parameters
    ----------
    scores : ndarray of shape (rows, groups + 1)
        Scores of the design, at least two rows.

    Returns
    -------
    float
        Standard error; 0 if the score is flat. Infinite, for unknown, below four rows or if the score is flat without
        one of its pairs.

    Notes
    -----
    `whatwhere.engine.jackknife` says why pairs. 95 % intervals of 16 to 256 rows cover the truth in
    91 to 99 % of designs, on functions with and without interactions.
    """
    y = design_scores(scores)
    if is_flat(y):
        return 0.0
    if len(y) < FEWEST_ROWS or ((rest := variances_without(y)) <= variance_floor(y)).any():
        return float("inf")
    q = pair_sums(half_squares(y).sum(axis=1))
    return float(jackknife_error((q.sum() - q) / (rows_without(len(y)) * rest)))


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
    y = design_scores(scores)
    halves = y[0::2], y[1::2]
    if len(y) < _MIN_ROWS_TO_HALVE or any(is_flat(half) for half in halves):
        return None
    maps = [half_squares(half).sum(axis=0) for half in halves]
    if any(np.ptp(values) == 0 for values in maps):
        return None
    return float(spearman(*maps))


def half_squares(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half the squared change of every pair, whose mean is ``T_i V``.

    Parameters
    ----------
    y : ndarray of shape (rows, groups + 1), float64
        Checked scores.

    Returns
    -------
    ndarray of shape (rows, groups), float64
        ``(a_k - c_ki)^2 / 2``.
    """
    return (y[:, :1] - y[:, 1:]) ** 2 / 2
