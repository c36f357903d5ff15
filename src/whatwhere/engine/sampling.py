"""Padded, nested, Owen-scrambled two-dimensional nets: the random masks behind Sobol maps.

Every cell gets its own pair of columns (A_i, B_i): the two-dimensional Sobol' sequence, scrambled by Owen's nested
uniform scrambling and with its rows shuffled in the same nested way. Any aligned block of 2^m rows is then a
(0, m, 2)-net, so every power-of-two prefix is perfectly stratified in the plane, and cells are independent.

References
----------
A. B. Owen, "Randomly permuted (t,m,s)-nets and (t,s)-sequences", 1995. B. Burley, "Practical hash-based Owen
scrambling", JCGT 9(4), 2020, for shuffling rows by the same scrambling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BITS = 32
_SHUFFLE, _FIRST, _SECOND = 0, 1, 2  # the three independent scramblings of a cell


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
