"""What cells that are shown or hidden at random do to scores: mean effects, and dependence of any kind.

Masks are of 0 (hidden) and 1 (shown), (masks, cells); scores are (masks, K), one column a quantity. All arithmetic is
float64, and nothing is clipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from whatwhere.engine._checks import integer, numbers
from whatwhere.engine.sampling import base_matrices
from whatwhere.engine.sensitivity import variance_floor

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEWEST = 4  # masks that the unbiased estimator needs
_MATRIX = 2


def coin_masks(masks: int, cells: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw masks that show each cell with probability 1/2.

    Parameters
    ----------
    masks : int
        Number of masks, at least 1. Mask k does not depend on it.
    cells : int
        Number of cells, at least 1.
    seed : int, default 0
        Same seed, same masks.

    Returns
    -------
    ndarray of shape (masks, cells), float32
        Zeros and ones, cells independent of each other. Among the first 2^m masks every cell is shown in exactly half.

    Raises
    ------
    TypeError, ValueError
        If an argument is no integer or out of its range.
    """
    return (base_matrices("nested", masks, cells, seed)[0] >= 1 / 2).astype(np.float32)


def shown_effect(
    masks: NDArray[np.floating], scores: NDArray[np.floating], *, adjusted: bool = False
) -> NDArray[np.float64]:
    """Return what showing a cell does to each score on average: RISE, without what all cells share.

    ``E[s | cell shown] - E[s | cell hidden]``.

    Parameters
    ----------
    masks : ndarray of shape (masks, cells)
        Zeros and ones.
    scores : ndarray of shape (masks, K)
        Scores under the masks.
    adjusted : bool, default False
        Whether what the other cells do is taken off first, by least squares on all cells at once. Where cells are shown
        independently of each other the expectation is the same; the noise is that of interactions alone, if there are
        twice as many masks as cells at least.

    Returns
    -------
    ndarray of shape (K, cells), float64
        In units of the score: positive where showing the cell raises it. 0 for a cell that is always shown or always
        hidden, and exactly 0 for a score that does not move beyond rounding.

    Raises
    ------
    TypeError
        If an argument is not of real numbers.
    ValueError
        If the shapes do not fit, a score is not finite, or a mask has a number other than 0 and 1.

    Notes
    -----
    RISE as published is ``E[s | cell shown]``, which for independent cells shown with probability p is this times
    1 - p, plus the mean of the score, the same for all cells. Of a score that four of 64 cells make alike, 256 masks
    leave those four 0.3 of the map's summed size, the rest being noise, and all of it when adjusted.

    References
    ----------
    V. Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
    arXiv:1806.07421.
    """
    m, y = _checked(masks, scores)
    if adjusted:
        return np.asarray(np.linalg.lstsq(m - m.mean(axis=0), _centred(y), rcond=None)[0].T)
    shown = m.sum(axis=0)
    hidden = len(m) - shown
    both = (shown > 0) & (hidden > 0)
    centred = _centred(y)
    sums = centred.T @ m
    # The scores are about their mean, so that those of the hidden masks add up to minus those of the shown.
    return np.where(both, sums / np.where(both, shown, 1) + sums / np.where(both, hidden, 1), 0.0)


def binary_hsic(masks: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how much each score depends on each cell, in any way: the Hilbert-Schmidt independence criterion.

    Parameters
    ----------
    masks : ndarray of shape (masks, cells)
        Zeros and ones, at least four masks.
    scores : ndarray of shape (masks, K)
        Scores under the masks.

    Returns
    -------
    ndarray of shape (K, cells), float64
        Unbiased estimates: around 0, of either sign, for a cell that does not matter; at most about 1/4. Exactly 0 for
        a score that does not move beyond rounding.

    Raises
    ------
    TypeError
        If an argument is not of real numbers.
    ValueError
        If the shapes do not fit, there are fewer than four masks, a score is not finite, or a mask has a number other
        than 0 and 1.

    Notes
    -----
    Kernels: for the cell, 1 where both masks agree on it and 0 otherwise; for the score, a Gaussian as wide as the
    median distance of two scores that differ. Cost: masks^2 (cells + 1) multiplications and 8 masks^2 bytes a score.

    References
    ----------
    P. Novello, T. Fel, D. Vigouroux, "Making Sense of Dependence: Efficient Black-box Explanations Using Dependence
    Measure", NeurIPS 2022, arXiv:2206.06219. L. Song et al., "Feature Selection via Dependence Maximization", JMLR 13
    (2012), equation 5, for the unbiased estimator.
    """
    m, y = _checked(masks, scores)
    n = integer("the number of masks", len(m), _FEWEST)
    signs = 2 * m - 1
    total = signs.sum(axis=0)
    rows = (n + signs * total) / 2 - 1  # of the cell's kernel without its diagonal, added up: (masks, cells)
    out = np.zeros((y.shape[1], m.shape[1]))
    for k, score in enumerate(_centred(y).T):
        if not score.any():
            continue
        kernel = _gaussian(score)
        sums = kernel.sum(axis=0)
        everything = sums.sum()
        trace = (everything + (signs * (kernel @ signs)).sum(axis=0)) / 2
        product = rows.sum(axis=0) * everything / ((n - 1) * (n - 2))
        out[k] = (trace + product - 2 * (sums @ rows) / (n - 2)) / (n * (n - 3))
    return out


def _gaussian(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Gaussian kernel of scores, without its diagonal."""
    distances = np.abs(score[:, np.newaxis] - score)
    width = np.median(distances[distances > 0])
    kernel = np.exp(-((distances / width) ** 2) / 2)
    np.fill_diagonal(kernel, 0)
    return kernel


def _centred(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores about their means; exactly 0 where they do not move beyond rounding."""
    about = scores - scores.mean(axis=0)
    still = [column.var() <= variance_floor(column) for column in scores.T]
    about[:, still] = 0
    return about


def _checked(
    masks: NDArray[np.floating], scores: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    m, y = numbers("masks", masks), numbers("scores", scores)
    if m.ndim != _MATRIX or y.ndim != _MATRIX or len(m) != len(y) or not m.size or not y.size:
        raise ValueError(
            f"masks, scores: wanted shapes (masks, cells) and (masks, K), none of them 0, got {m.shape} and {y.shape}."
        )
    if not ((m == 0) | (m == 1)).all():
        raise ValueError(f"masks: wanted zeros and ones, got numbers from {m.min():g} to {m.max():g}.")
    return m, y
