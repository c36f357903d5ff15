"""Which groups matter together: the superset importance of pairs, screened for free and measured for a price.

The superset importance ``U_ij = T_i + T_j - T_ij`` is the share of the variance of all interactions that hold both i
and j. A design alone gives a noisy estimate of all pairs (`gram`): good for choosing candidates. For chosen pairs,
`superset` is far less noisy; each wants one more mask a row, C_kij: A_k with the cells of both i and j taken from B_k.
The rows are those of the design, so ``a``, ``c_i`` and ``c_j`` are its columns 0, 1 + i and 1 + j, and all partners of
one group cost ``rows * (groups - 1)`` forwards.

References
----------
R. Liu, A. B. Owen, "Estimating mean dimensionality of analysis of variance decompositions", Journal of the American
Statistical Association 101 (2006), doi:10.1198/016214505000001410.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from whatwhere.engine._checks import design_scores, numbers, shaped
from whatwhere.engine.sensitivity import is_flat, pooled_variance, variance_floor

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gram(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the superset importances of all pairs, from the design alone.

    ``D'D / (n V)``, where ``D_ki = a_k - c_ki``.

    Parameters
    ----------
    scores : ndarray of shape (rows, groups + 1)
        Scores of the design, at least two rows.

    Returns
    -------
    ndarray of shape (groups, groups), float64
        Symmetric; twice the total-order indices on the diagonal, the superset importances beside it. In expectation at
        least 0; estimates may be negative and are not clipped. All zeros if the score is flat.

    Raises
    ------
    TypeError
        If `scores` are not real numbers.
    ValueError
        If `scores` has another shape, fewer than two rows or columns, or an entry that is not finite.

    Notes
    -----
    For ordering candidates only: with 32 rows the noise of an entry is several times most importances. Memory: groups
    squared.
    """
    y = design_scores(scores)
    if is_flat(y):
        return np.zeros((y.shape[1] - 1,) * 2)
    change = y[:, :1] - y[:, 1:]
    return np.asarray(change.T @ change / (len(y) * pooled_variance(y)))


def superset(
    a: NDArray[np.floating],
    c_i: NDArray[np.floating],
    c_j: NDArray[np.floating],
    c_ij: NDArray[np.floating],
    variance: float,
) -> NDArray[np.float64]:
    """Return the superset importance of one group with others, by Liu and Owen's estimator.

    ``U_ij = sum_k (a_k - c_ki - c_kj + c_kij)^2 / (4 n V)``.

    Parameters
    ----------
    a : ndarray of shape (rows,)
        Scores of the masks A_k.
    c_i : ndarray of shape (rows,)
        Scores with group i redrawn.
    c_j : ndarray of shape (rows, partners)
        Scores with each partner j redrawn.
    c_ij : ndarray of shape (rows, partners)
        Scores with both redrawn.
    variance : float
        Pooled variance of the design.

    Returns
    -------
    ndarray of shape (partners,), float64
        At least 0, and 0 exactly where the two do not interact and the score is exact. All zeros if `variance` is
        within rounding of the scores.

    Raises
    ------
    TypeError
        If an argument is not of real numbers.
    ValueError
        If shapes do not match, an entry is not finite, or `variance` is negative.
    """
    mixed, scale = _mixed(a, c_i, c_j, c_ij, variance)
    return np.asarray((mixed**2).mean(axis=0) / 4 * scale)


def superset_error(
    a: NDArray[np.floating],
    c_i: NDArray[np.floating],
    c_j: NDArray[np.floating],
    c_ij: NDArray[np.floating],
    variance: float,
    *,
    spread: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Return the standard error of `superset` by the delta method, rows taken as independent.

    Parameters
    ----------
    a, c_i : ndarray of shape (rows,)
        Scores of the masks A_k, and with group i redrawn.
    c_j, c_ij : ndarray of shape (rows, partners)
        Scores with each partner j redrawn, and with both.
    variance : float
        Pooled variance of the design.
    spread : ndarray of shape (rows,), optional
        `whatwhere.engine.sensitivity.row_spread` of the design's rows, so that the error of the variance counts; by
        default the variance is taken as known.

    Returns
    -------
    ndarray of shape (partners,), float64
        Standard errors, in the units of the index.

    Raises
    ------
    TypeError
        If an argument is not of real numbers.
    ValueError
        If shapes do not match, there are fewer than two rows, an entry is not finite, or `variance` is negative.
    """
    mixed, scale = _mixed(a, c_i, c_j, c_ij, variance)
    rows = len(mixed)
    if rows < 2:  # noqa: PLR2004  # no spread in one row
        raise ValueError(f"a: wanted at least two rows for a standard error, got {rows}.")
    influence = mixed**2 / 4 * scale
    if spread is not None:
        shares = shaped("spread", spread, (rows,), "(rows,)") * scale
        influence = influence - influence.mean(axis=0) * shares[:, np.newaxis]
    return np.asarray(influence.std(axis=0, ddof=1) / np.sqrt(rows))


def _mixed(
    a: NDArray[np.floating],
    c_i: NDArray[np.floating],
    c_j: NDArray[np.floating],
    c_ij: NDArray[np.floating],
    variance: float,
) -> tuple[NDArray[np.float64], float]:
    """Return the mixed differences (rows, partners) and one over the variance, or 0 where that is within rounding."""
    both = numbers("c_ij", c_ij)
    if both.ndim != 2 or not len(both):  # noqa: PLR2004  # a matrix
        raise ValueError(f"c_ij: wanted shape (rows, partners) with at least one row, got {both.shape}.")
    rows = len(both)
    start, one = shaped("a", a, (rows,), "(rows,)"), shaped("c_i", c_i, (rows,), "(rows,)")
    other = shaped("c_j", c_j, both.shape, "(rows, partners)")
    size = float(numbers("variance", variance))
    if size < 0:
        raise ValueError(f"variance: wanted at least 0, got {size:g}.")
    # Grouped by pairs: a group that does not matter then leaves exactly nothing.
    mixed = (start - one)[:, np.newaxis] - (other - both)
    return mixed, 1 / size if size > variance_floor(start) else 0.0
