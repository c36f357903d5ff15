"""The random masks behind Sobol maps: two base matrices A and B, by three samplers.

``"nested"``, the default, is made of padded, nested, Owen-scrambled two-dimensional nets. Every cell gets its own pair
of columns (A_i, B_i): the two-dimensional Sobol' sequence, scrambled by Owen's nested uniform scrambling and with its
rows shuffled in the same nested way. Any aligned block of 2^m rows is then a (0, m, 2)-net, so every power-of-two
prefix is perfectly stratified in the plane, and cells are independent.

``"published"`` is the unscrambled Sobol' sequence of the code published with the method, for comparison only: it stamps
the same pattern on every map. ``"random"`` is plain Monte Carlo. With each of them a shorter design is a prefix of a
longer one.

References
----------
A. B. Owen, "Randomly permuted (t,m,s)-nets and (t,s)-sequences", 1995. B. Burley, "Practical hash-based Owen
scrambling", JCGT 9(4), 2020, for shuffling rows by the same scrambling. S. Joe, F. Y. Kuo, "Constructing Sobol'
sequences with better two-dimensional projections", SIAM J. Sci. Comput. 30 (2008), doi:10.1137/070709359, for the
published points' direction numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from whatwhere.engine._checks import integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

Sampler = Literal["nested", "published", "random"]
SAMPLERS = ("nested", "published", "random")

_BITS = 32
_MOST_DIMENSIONS = 21201  # for which direction numbers are tabulated
_MOST_ROWS = 2**30
_SHUFFLE, _FIRST, _SECOND = 0, 1, 2  # the three independent scramblings of a cell


def base_matrices(
    sampler: str, rows: int, cells: int, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw the two base matrices of a pick-freeze design.

    Parameters
    ----------
    sampler : {"nested", "published", "random"}
        Where the numbers come from. ``"published"`` has no randomness, and the same pattern for every image.
    rows : int
        Number of rows, 1 to 2^30. Row k does not depend on it: a shorter design is a prefix of a longer one.
    cells : int
        Number of columns, at least 1; at most 10,600 for ``"published"``.
    seed : int, default 0
        Same seed, same numbers; at least 0. ``"published"`` does not look at it.

    Returns
    -------
    a, b : ndarray of shape (rows, cells), float64
        Values in [0, 1).

    Raises
    ------
    TypeError
        If a number is not an integer.
    ValueError
        If there is no such sampler, or a number is out of its range.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler: wanted one of {SAMPLERS}, got {sampler!r}.")
    rows, cells = integer("rows", rows, 1, _MOST_ROWS), integer("cells", cells, 1)
    seed = integer("seed", seed, 0)
    if sampler == "published":
        return published_points(rows, cells)
    return nested_net(rows, cells, seed=seed) if sampler == "nested" else random_points(rows, cells, seed=seed)


def nested_net(rows: int, cells: int, *, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw the two base matrices of a pick-freeze design.

    Parameters
    ----------
    rows : int
        Number of rows. Row k does not depend on it: a shorter design is a prefix of a longer one.
    cells : int
        Number of columns.
    seed : int, default 0
        Same seed, same numbers.

    Returns
    -------
    a, b : ndarray of shape (rows, cells), float64
        Values in (0, 1), each column pair a scrambled net in the unit square.
    """
    seeds = [_column_seeds(seed, part, cells) for part in (_SHUFFLE, _FIRST, _SECOND)]
    index = np.arange(rows, dtype=np.uint64)[:, np.newaxis]
    # Burley's shuffle: scrambling a row's number from its high bits down maps aligned blocks of rows onto such blocks.
    index = _scramble(np.broadcast_to(index, (rows, cells)), seeds[_SHUFFLE])
    first, second = _sobol_plane(index)
    return _to_unit(_scramble(first, seeds[_FIRST])), _to_unit(_scramble(second, seeds[_SECOND]))


def published_points(rows: int, cells: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first points of the unscrambled Sobol' sequence, as the method's published code uses them.

    Parameters
    ----------
    rows : int
        Number of points, the all-zero one first. A shorter design is a prefix of a longer one.
    cells : int
        Number of columns of each matrix, at most 10,600.

    Returns
    -------
    a, b : ndarray of shape (rows, cells), float64
        The first and the last `cells` coordinates of points in ``[0, 1)^(2 cells)``.

    Raises
    ------
    ValueError
        If `cells` is above 10,600: direction numbers are known for 21,201 dimensions.

    Notes
    -----
    For comparison with published maps, not for use. The first row is all 0 and the second all 0.5 in both matrices:
    their forwards tell nothing. With 16 rows some cells have the same numbers in both matrices and read exactly 0; on
    the mean of 64 cells, whose map is flat, 32 rows read cells from 0.2 to 1 of the truth. That pattern is the same
    for every image.
    """
    if not 1 <= cells <= _MOST_DIMENSIONS // 2:
        raise ValueError(
            f"cells: wanted 1 to {_MOST_DIMENSIONS // 2} for the published points, which have {_MOST_DIMENSIONS} "
            f"dimensions and take two a cell, got {cells}; take the nested sampler."
        )
    from scipy.stats import qmc

    points = qmc.Sobol(d=2 * cells, scramble=False).random_base2(max(rows - 1, 0).bit_length())[:rows]
    return points[:, :cells].copy(), points[:, cells:].copy()


def random_points(rows: int, cells: int, *, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw independent uniform numbers: plain Monte Carlo.

    Parameters
    ----------
    rows : int
        Number of rows. Row k does not depend on it: a shorter design is a prefix of a longer one.
    cells : int
        Number of columns. Here the numbers of a cell depend on how many there are.
    seed : int, default 0
        Same seed, same numbers; at least 0.

    Returns
    -------
    a, b : ndarray of shape (rows, cells), float64
        Values in [0, 1).
    """
    points = np.random.default_rng(seed).random((rows, 2, cells))
    return points[:, 0].copy(), points[:, 1].copy()


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_STRIDE = np.uint64(0xD1B54A32D192ED03)


def _column_seeds(seed: int, part: int, cells: int) -> NDArray[np.uint64]:
    root = _mix(np.array([seed % 2**64], dtype=np.uint64)) + np.uint64(part)
    return _mix(_mix(root) ^ np.arange(cells, dtype=np.uint64))


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash 64 bits (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        x = x + _GOLDEN
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def _scramble(x: NDArray[np.uint64], seeds: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Flip each of the 32 bits by a coin that depends on the seed and on all bits above it."""
    out = np.zeros_like(x)
    for bit in range(_BITS - 1, -1, -1):
        level = np.uint64(bit)
        above = (x >> level) >> np.uint64(1)
        with np.errstate(over="ignore"):
            coin = _mix(seeds ^ (above * _STRIDE + level * _GOLDEN)) & np.uint64(1)
        out |= (((x >> level) & np.uint64(1)) ^ coin) << level
    return out


def _sobol_plane(index: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the first two coordinates of Sobol' points as 32-bit integers."""
    first = np.zeros_like(index)
    second = np.zeros_like(index)
    direction = 1 << (_BITS - 1)
    for bit in range(_BITS):
        digit = (index >> np.uint64(bit)) & np.uint64(1)
        first |= digit << np.uint64(_BITS - 1 - bit)
        second ^= digit * np.uint64(direction)
        direction ^= direction >> 1
    return first, second


def _to_unit(x: NDArray[np.uint64]) -> NDArray[np.float64]:
    return (x.astype(np.float64) + 0.5) / 2.0**_BITS
