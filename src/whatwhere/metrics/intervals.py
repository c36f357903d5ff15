"""Means over images with bootstrap intervals, of one metric or of the difference of two on the same images.

References
----------
T. Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69 (2015), arXiv:1411.5279,
for quantiles moved out so that few images do not seem to tell too much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whatwhere.engine._checks import between, integer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_FEWEST = 5  # of three, such intervals would hold the mean three times in four
_BLOCK = 2**20  # drawn images at a time


@dataclass(frozen=True)
class Interval:
    """A mean over images and how certain it is.

    Parameters
    ----------
    mean : float
        Mean over the images where the metric is defined.
    low, high : float
        Ends of the interval; infinite, for unknown, below five images.
    level : float
        Share of such intervals that hold the mean of all images that these might have been.
    count : int
        Images that count.
    undefined : int
        Images left out because the metric was NaN.
    """

    mean: float
    low: float
    high: float
    level: float
    count: int
    undefined: int


def mean_interval(values: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Return the mean of a metric over images, with a bootstrap interval.

    Parameters
    ----------
    values : array_like of shape (images,)
        The metric of each image; NaN where it is not defined.
    level : float, default 0.95
        Level of the interval, above 0 and below 1.
    resamples : int, default 2000
        How often images are drawn anew, at least 100.
    seed : int, default 0
        Same seed, same interval; at least 0.

    Returns
    -------
    Interval
        Mean and interval, of the images where the metric is defined.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If no value is defined, one is infinite, or an option is out of its range.

    Notes
    -----
    Quantiles of resampled means are too near together for few images; they are taken further out, as far as Student's
    law is wider than the normal one. Of 5, 8 and 12 images, 95 % intervals hold the mean of a normal law in 92, 93 and
    94 % of cases, and that of an exponential one in 86, 90 and 91 %. Cost: `resamples` times the number of images.

    Examples
    --------
    >>> told = mean_interval([0.2, 0.4, 0.3, 0.5, 0.1, float("nan")])
    >>> round(told.mean, 3), told.low < told.mean < told.high, told.undefined
    (0.3, True, 1)
    """
    given = _values("values", values)
    kept = given[~np.isnan(given)]
    return _bootstrap("values", kept, len(given) - len(kept), level=level, resamples=resamples, seed=seed)


def paired_difference(
    first: ArrayLike, second: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the mean difference of two metrics on the same images, with a bootstrap interval.

    Parameters
    ----------
    first, second : array_like of shape (images,)
        The metrics of each image, for instance of two attributions; NaN where one is not defined.
    level : float, default 0.95
        Level of the interval, above 0 and below 1.
    resamples : int, default 2000
        How often images are drawn anew, at least 100.
    seed : int, default 0
        Same seed, same interval; at least 0.

    Returns
    -------
    Interval
        Of ``first - second``, over the images where both are defined. An interval without 0 in it tells them apart.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If the lengths differ, no image has both, a value is infinite, or an option is out of its range.

    Notes
    -----
    What makes an image easy or hard for both cancels, so that this tells apart what two separate intervals may not.

    Examples
    --------
    >>> told = paired_difference([0.2, 1.4, 0.3, 0.9, 2.2], [0.1, 1.2, 0.2, 0.7, 2.0])
    >>> round(told.mean, 3), told.low > 0
    (0.16, True)
    """
    one, other = _values("first", first), _values("second", second)
    if len(one) != len(other):
        raise ValueError(f"second: wanted one value for each of the {len(one)} images of first, got {len(other)}.")
    difference = one - other
    kept = difference[~np.isnan(difference)]
    return _bootstrap("first, second", kept, len(one) - len(kept), level=level, resamples=resamples, seed=seed)


def _values(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: wanted an array of real numbers, got dtype {array.dtype}.")
    if array.ndim != 1:
        raise ValueError(f"{name}: wanted shape (images,), got {array.shape}.")
    if np.isinf(array).any():
        raise ValueError(f"{name}: wanted finite numbers or NaN, got {int(np.isinf(array).sum())} that are infinite.")
    return array.astype(np.float64)


def _bootstrap(
    name: str, values: NDArray[np.float64], undefined: int, *, level: float, resamples: int, seed: int
) -> Interval:
    from scipy.special import ndtr, stdtrit

    level, resamples = between("level", level, 0, 1), integer("resamples", resamples, 100)
    generator, n = np.random.default_rng(integer("seed", seed, 0)), len(values)
    if not n:
        raise ValueError(f"{name}: wanted at least one image where it is defined, got none of {undefined}.")
    if n < _FEWEST:
        return Interval(float(values.mean()), -np.inf, np.inf, level, n, undefined)
    step = max(1, _BLOCK // n)
    parts = [min(step, resamples - done) for done in range(0, resamples, step)]
    means = np.concatenate([values[generator.integers(0, n, (part, n))].mean(axis=1) for part in parts])
    tail = float(ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - level) / 2)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(values.mean()), float(low), float(high), level, n, undefined)
