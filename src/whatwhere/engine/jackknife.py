"""Standard errors by leaving out pairs of rows.

The jackknife is the delta method with each part's leverage counted in full. Pairs, because a nested design draws rows
2m and 2m + 1 from opposite halves in every cell at once: for additive scores the two lie on opposite sides of the mean
and nearly as far from it, so that they tell little more about the variance than one. With rows left out one by one,
the errors of what leans on the variance would be about a fifth too small.

References
----------
B. Efron, C. Stein, "The jackknife estimate of variance", Annals of Statistics 9 (1981), doi:10.1214/aos/1176345462.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_ROWS = 4  # two pairs


def pair_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up the rows of each pair; of an odd number, the last three rows count as a pair.

    Parameters
    ----------
    values : ndarray of shape (rows, ...), float64
        Any numbers, at least two rows.

    Returns
    -------
    ndarray of shape (rows // 2, ...), float64
        Sums.
    """
    return np.asarray(np.add.reduceat(values, np.arange(len(values) // 2) * 2, axis=0))


def rows_without(rows: int) -> NDArray[np.float64]:
    """Return how many rows are left without each pair.

    Parameters
    ----------
    rows : int
        Rows of the design.

    Returns
    -------
    ndarray of shape (rows // 2,), float64
        Numbers of rows.
    """
    return rows - pair_sums(np.ones(rows))


def variances_without(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pooled variance of a design without each pair of its rows.

    Parameters
    ----------
    y : ndarray of shape (rows, groups + 1), float64
        Checked scores of at least four rows.

    Returns
    -------
    ndarray of shape (rows // 2,), float64
        Sample variances, in squared units of the score; off by rounding of about 1e-16 of the largest square.
    """
    z = y - y.mean()
    sums, squares = pair_sums(z.sum(axis=1)), pair_sums((z * z).sum(axis=1))
    count = rows_without(len(y)) * y.shape[1]
    return (squares.sum() - squares - (sums.sum() - sums) ** 2 / count) / (count - 1)


def jackknife_error(left_out: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the jackknife's standard error of an estimate.

    Parameters
    ----------
    left_out : ndarray of shape (parts, ...), float64
        The estimate without each of the parts that the data fall into.

    Returns
    -------
    ndarray of shape (...), float64
        Standard errors.
    """
    return np.asarray(np.sqrt((len(left_out) - 1) * left_out.var(axis=0)))
