"""Intervals of shares and of means, for counts that are small.

References
----------
E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
Statistical Association 22 (1927), doi:10.1080/01621459.1927.10502953. L. D. Brown, T. T. Cai, A. DasGupta, "Interval
estimation for a binomial proportion", Statistical Science 16 (2001), doi:10.1214/ss/1009213286, who recommend it.
B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall 1993, chapter 13, for the percentiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from whatwhere.engine._checks import between, integer, numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_BLOCK = 2**22  # drawn rows held at a time


def wilson(count: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return Wilson's score intervals of shares.

    Parameters
    ----------
    count : array_like
        How many of each `n` have the property, whole numbers from 0 to `n`.
    n : array_like
        How many were looked at, whole numbers of at least 0, of a shape that goes with that of `count`.
    level : float, default 0.95
        Share of intervals that shall cover the truth, above 0 and below 1.

    Returns
    -------
    low, high : ndarray of the common shape, float64
        Ends, from 0 to 1. Where `n` is 0 nothing is known: they are 0 and 1.

    Raises
    ------
    TypeError
        If the counts are not real numbers, or `level` not a number.
    ValueError
        If a count is not whole, below 0 or above its `n`, the shapes do not fit, or `level` is out of its range.

    Examples
    --------
    >>> low, high = wilson(8, 10)
    >>> round(float(low), 2), round(float(high), 2)
    (0.49, 0.94)
    """
    from scipy.special import ndtri

    k, total = _counts(count, n)
    z = float(ndtri((1 + between("level", level, 0, 1)) / 2))
    some = np.where(total > 0, total, 1)
    centre = (k + z * z / 2) / (total + z * z)
    half = z * np.sqrt(k * (total - k) / some + z * z / 4) / (total + z * z)
    return np.where(k == 0, 0.0, centre - half), np.where(k == total, 1.0, centre + half)


def bootstrap_mean(
    values: ArrayLike, *, n: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the percentile interval of a mean over rows, by drawing the rows again.

    Parameters
    ----------
    values : array_like of shape (rows, ...)
        One number a row, or an array of numbers whose columns are drawn together; at least 2 rows.
    n : int, default 2000
        Resamples, at least 2.
    level : float, default 0.95
        Share of resampled means within, above 0 and below 1.
    seed : int, default 0
        Same seed, same interval; at least 0.

    Returns
    -------
    low, high : ndarray of shape `values.shape[1:]`, float64
        Ends, within the range of the values.

    Raises
    ------
    TypeError
        If the values are not real numbers, or an option is of the wrong kind.
    ValueError
        If there are fewer than 2 rows or a number is not finite, or an option is out of its range.

    Notes
    -----
    n x rows draws and one product of an (n, rows) matrix with the values, in blocks of some 4 million draws. With few
    rows the interval is too short, by a factor of about sqrt((rows - 1) / rows) and the tails of Student's law.

    Examples
    --------
    >>> low, high = bootstrap_mean([1.0, 2.0, 3.0, 4.0] * 25)
    >>> bool(low < 2.5 < high)
    True
    """
    table = numbers("values", values)
    if not table.ndim or len(table) < 2:  # noqa: PLR2004  # a spread needs two
        raise ValueError(f"values: wanted at least 2 rows to draw from, got shape {table.shape}.")
    resamples, tail = integer("n", n, 2), (1 - between("level", level, 0, 1)) / 2
    generator = np.random.default_rng(integer("seed", seed, 0))
    rows, flat = len(table), table.reshape(len(table), -1)
    base = flat[0]  # equal values have an interval of no width, whatever the rounding
    means = np.empty((resamples, flat.shape[1]))
    step = max(1, _BLOCK // rows)
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        drawn = generator.integers(0, rows, (size, rows)) + rows * np.arange(size)[:, np.newaxis]
        times = np.bincount(drawn.ravel(), minlength=size * rows).reshape(size, rows)
        means[first : first + size] = base + (times @ (flat - base)) / rows
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low.reshape(table.shape[1:]), high.reshape(table.shape[1:])


def _counts(count: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    k, total = numbers("count", count), numbers("n", n)
    try:
        k, total = np.broadcast_arrays(k, total)
    except ValueError:
        raise ValueError(f"n: wanted a shape that goes with that of count, {k.shape}, got {total.shape}.") from None
    bad = (k != np.floor(k)) | (total != np.floor(total)) | (k < 0) | (k > total)
    if bad.any():
        raise ValueError(
            f"count: wanted whole numbers from 0 to n, got {k[bad].flat[0]:g} of {total[bad].flat[0]:g}"
            f"{f' and {int(bad.sum()) - 1} more such' if bad.sum() > 1 else ''}."
        )
    return k, total
