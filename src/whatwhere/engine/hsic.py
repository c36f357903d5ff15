"""The Hilbert-Schmidt independence criterion between a gate that is on or off and the score.

Gates have the Dirac kernel, 1 where two are equal and 0 elsewhere; scores have the Gaussian kernel
``exp(-(y - y')^2 / (2 width^2))``, whose width is the median distance of two scores. With gates written as -1 and 1 the
Dirac kernel is ``(1 + s s') / 2``, and the criterion a quadratic form in s: no matrix is needed for each gate.

References
----------
P. Novello, T. Fel, D. Vigouroux, "Making sense of dependence: efficient black-box explanations using dependence
measure", arXiv:2206.06219. A. Gretton, O. Bousquet, A. Smola, B. Scholkopf,
"Measuring statistical dependence with Hilbert-Schmidt norms", ALT 2005, doi:10.1007/11564089_7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from whatwhere.engine._checks import between, numbers, shaped
from whatwhere.engine.jackknife import jackknife_error
from whatwhere.engine.sensitivity import variance_floor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_MATRIX = 2
_FEWEST_ROWS = 6  # three pairs, so that two are left without one
_WIDTH_ROWS = 1024  # whose distances are looked at: half a million
_BLOCK = 2**22  # kernel values at a time


def median_distance(scores: ArrayLike) -> float:
    """Return the median distance of two scores, the width of their kernel.

    Parameters
    ----------
    scores : array_like of shape (n,)
        Scores, at least two.

    Returns
    -------
    float
        Median of ``|y_i - y_j|`` over all pairs of the first 1,024 scores that differ; 0 if all are equal.

    Raises
    ------
    TypeError, ValueError
        If `scores` are not finite numbers, two at least, in one dimension.

    Notes
    -----
    Pairs of equal scores are left out because a score that answers few gates has mostly such, and a width of 0 is no
    width. The published code takes the median of the scores themselves, which changes when a constant is added.
    """
    y = numbers("scores", scores)
    if y.ndim != 1 or len(y) < _MATRIX:
        raise ValueError(f"scores: wanted shape (n,) with at least two scores, got {y.shape}.")
    first, second = np.triu_indices(min(len(y), _WIDTH_ROWS), k=1)
    distances = np.abs(y[first] - y[second])
    distances = distances[distances > 0]
    return float(np.median(distances)) if distances.size else 0.0


def hsic(gates: ArrayLike, scores: ArrayLike, *, width: float | None = None) -> NDArray[np.float64]:
    """Return the criterion of every gate, as published: ``tr(K H L H) / (n - 1)^2``.

    Parameters
    ----------
    gates : array_like of shape (n, r), bool
        Gates, on or off; n at least 2.
    scores : array_like of shape (n,)
        Scores of those rows.
    width : float, optional
        Width of the scores' kernel, above 0, in units of the score; `median_distance` by default.

    Returns
    -------
    ndarray of shape (r,), float64
        At least 0 but for rounding; 0 for all gates where the score is flat. It measures any dependence, without a
        sign.

    Raises
    ------
    TypeError
        If `gates` are not booleans, or a number is of another kind.
    ValueError
        If the shapes do not fit, a score is not finite, or the width is not above 0.

    Notes
    -----
    A gate that does not matter does not read 0: its expectation is about ``(1 - mean kernel) / (2 n)``. `hsic_of_pairs`
    has no such floor. Cost: n^2 exponentials and n^2 r multiplications; memory is bounded.
    """
    signs, y = _checked(gates, scores)
    if np.var(y, ddof=1) <= variance_floor(y):
        return np.zeros(signs.shape[1])
    centred = signs - signs.mean(axis=0)
    products = _kernel_times(y, centred, _width(y, width))
    return np.asarray((centred * products).sum(axis=0) / (2 * (len(y) - 1) ** 2))


def hsic_of_pairs(
    gates: ArrayLike, scores: ArrayLike, *, width: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the criterion of every gate without its bias, and its standard error, from rows in opposite pairs.

    Rows 2p and 2p + 1 have every gate the other way round, and pairs are drawn independently. What two rows of one
    pair tell of each other says nothing about any gate; it is left out.

    Parameters
    ----------
    gates : array_like of shape (n, r), bool
        Gates in opposite pairs; n even and at least 6.
    scores : array_like of shape (n,)
        Scores of those rows.
    width : float, optional
        Width of the scores' kernel, above 0, in units of the score; `median_distance` by default.

    Returns
    -------
    values : ndarray of shape (r,), float64
        Criterion; 0 in expectation for a gate that does not matter, so that an estimate may be negative. The order of
        the gates is that of `hsic`. Zeros where the score is flat.
    errors : ndarray of shape (r,), float64
        Standard errors by leaving out each pair in turn, the width held; zeros where the score is flat.

    Raises
    ------
    TypeError
        If `gates` are not booleans, or a number is of another kind.
    ValueError
        As `hsic`; also if n is odd or below 6, or a pair is not opposite.

    Notes
    -----
    The errors of gates that hardly matter are up to 1.5 times too large: near 0 the criterion is quadratic. Cost as
    that of `hsic`.
    """
    signs, y = _checked(gates, scores)
    n = len(y)
    if n < _FEWEST_ROWS or n % 2 or (signs[0::2] == signs[1::2]).any():
        raise ValueError(
            f"gates: wanted an even number of rows, at least {_FEWEST_ROWS}, each second one the opposite of the one "
            f"before it, got {n} rows" + ("." if n < _FEWEST_ROWS or n % 2 else " with gates equal in a pair.")
        )
    if np.var(y, ddof=1) <= variance_floor(y):
        return np.zeros(signs.shape[1]), np.zeros(signs.shape[1])
    size = _width(y, width)
    products = signs * _kernel_times(y, signs, size)
    pairs = products[0::2] + products[1::2]
    own = 2 - 2 * np.exp(-((y[0::2] - y[1::2]) ** 2) / (2 * size**2))  # of a pair with itself, for any gate
    across = pairs - own[:, np.newaxis]
    total = across.sum(axis=0)
    # A pair meets every other one twice: as the first and as the second of two.
    without = (total - 2 * across) / (2 * (n - 2) * (n - 4))
    return total / (2 * n * (n - 2)), jackknife_error(without)


def _checked(gates: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return gates as -1 and 1, and scores as float64."""
    on = np.asarray(gates)
    if on.dtype != np.bool_:
        raise TypeError(f"gates: wanted booleans, got dtype {on.dtype}; compare them with a threshold.")
    if on.ndim != _MATRIX or len(on) < _MATRIX or not on.shape[1]:
        raise ValueError(f"gates: wanted shape (n, r) with two rows and one gate at least, got {on.shape}.")
    return np.where(on, 1.0, -1.0), shaped("scores", scores, (len(on),), "(n,)")


def _width(y: NDArray[np.float64], width: float | None) -> float:
    return median_distance(y) if width is None else between("width", width, 0, np.inf)


def _kernel_times(y: NDArray[np.float64], vectors: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Return the scores' kernel matrix times vectors (n, r), a block of its rows at a time."""
    z = y / width
    step = max(1, _BLOCK // len(y))
    blocks = (z[first : first + step] for first in range(0, len(y), step))
    return np.concatenate([np.exp(-((block[:, np.newaxis] - z) ** 2) / 2) @ vectors for block in blocks])
