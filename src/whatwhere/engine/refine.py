"""From coarse to fine: which blocks of cells are worth splitting.

A block's total-order index is never below that of a cell in it. So a fine map can begin with a few large blocks, drop
those that surely do not matter, and spend its forwards on the rest. The masks always live on the finest grid, where
every cell keeps its own random number; only the redrawing goes by blocks (C_k takes all of a block's cells from B_k).
Coarse masks would measure something else.

Blocks are nested by construction: a block of one level is split along the cells of the next one's grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from whatwhere.engine._checks import between, integer, numbers
from whatwhere.engine.confidence import interval
from whatwhere.engine.masks import block_index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

_COARSEST = 4  # blocks a side: coarser ones are hardly ever without interest


def levels(grid: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the grids from coarse to fine, each side halved while at least four blocks are left.

    Parameters
    ----------
    grid : (int, int)
        Cells down and across.

    Returns
    -------
    list of (int, int)
        Grids; the last is `grid`.

    Raises
    ------
    TypeError, ValueError
        If `grid` is not two integers of at least 1.

    Examples
    --------
    >>> levels((16, 16)), levels((7, 3))
    ([(4, 4), (8, 8), (16, 16)], [(4, 3), (7, 3)])
    """
    if len(grid) != 2:  # noqa: PLR2004  # down and across
        raise ValueError(f"grid: wanted (down, across), got {grid!r}.")
    down, across = (integer("grid", side, 1) for side in grid)
    out = [(down, across)]
    while (coarser := (_halved(down), _halved(across))) != (down, across):
        down, across = coarser
        out.append(coarser)
    return out[::-1]


def blocks(grids: Sequence[tuple[int, int]]) -> list[NDArray[np.int64]]:
    """Return for each level the block that every cell of the finest grid belongs to.

    Parameters
    ----------
    grids : sequence of (int, int)
        Grids from coarse to fine, such as `levels` gives.

    Returns
    -------
    list of ndarray of shape (cells,), int64
        Block numbers, one array a level; the last counts the cells themselves.
    """
    out = [np.arange(grids[-1][0] * grids[-1][1])]
    for coarse, fine in zip(grids[-2::-1], grids[:0:-1], strict=True):
        out.append(block_index(fine, coarse)[out[-1]])
    return out[::-1]


def alive(
    values: ArrayLike, errors: ArrayLike, rows: int, *, share: float = 0.02, level: float = 0.95
) -> NDArray[np.bool_]:
    """Tell which blocks may matter: those whose interval reaches a share of the largest index.

    Parameters
    ----------
    values, errors : array_like of shape (blocks,)
        Total-order indices of blocks and their standard errors.
    rows : int
        Rows of the design that they come from, at least 2.
    share : float, default 0.02
        Share of the largest index that the upper end must reach, above 0 and below 1.
    level : float, default 0.95
        Level of the interval, above 0 and below 1.

    Returns
    -------
    ndarray of shape (blocks,), bool
        False for blocks to drop. Their cells' indices are not 0 but, in expectation, at most the block's. The largest
        block is always kept; so are all if the score is flat.

    Raises
    ------
    TypeError
        If an argument is not a number or `rows` not an integer.
    ValueError
        If shapes differ, there are no blocks, a value or error is negative, or an option is out of its range.

    Notes
    -----
    A block that few masks wake up may look dead in few rows: the interval knows only what the rows have shown.
    """
    index = numbers("values", values)
    if index.ndim != 1 or not index.size or index.min() < 0:
        raise ValueError(
            "values: wanted shape (blocks,) with at least one block and no negative index, got shape "
            f"{index.shape}, least {index.min(initial=np.inf):g}."
        )
    upper = interval(index, errors, rows, level)[1]
    return np.asarray(upper >= between("share", share, 0, 1) * index.max())


def split(keep: ArrayLike, coarse: tuple[int, int], fine: tuple[int, int]) -> NDArray[np.bool_]:
    """Split blocks into those of the next level.

    Parameters
    ----------
    keep : array_like of shape (coarse blocks,), bool
        Blocks to split, such as `alive` tells.
    coarse, fine : (int, int)
        Two neighbouring levels.

    Returns
    -------
    ndarray of shape (fine blocks,), bool
        Blocks of the next level that lie in a kept one.

    Raises
    ------
    ValueError
        If `keep` does not hold one value a coarse block.
    """
    kept = np.asarray(keep, dtype=np.bool_)
    if kept.shape != (coarse[0] * coarse[1],):
        raise ValueError(f"keep: wanted shape {(coarse[0] * coarse[1],)} for blocks {coarse}, got {kept.shape}.")
    return np.asarray(kept[block_index(fine, coarse)])


def groups(member: NDArray[np.integer], keep: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the groups of a design that redraws only the blocks that are kept.

    Parameters
    ----------
    member : ndarray of shape (cells,), int
        Block of each cell at this level, of `blocks`.
    keep : array_like of shape (blocks,), bool
        Blocks to redraw.

    Returns
    -------
    group : ndarray of shape (cells,), int64
        Group of each cell in the design, -1 for cells of dropped blocks: they keep A's value in every mask.
    kept : ndarray of shape (groups,), int64
        Block of each group.

    Raises
    ------
    ValueError
        If `keep` has not one value a block, or keeps none.
    """
    chosen = np.asarray(keep, dtype=np.bool_)
    if chosen.shape != (int(member.max()) + 1,) or not chosen.any():
        raise ValueError(
            f"keep: wanted shape {(int(member.max()) + 1,)} with at least one True, got {chosen.shape} with "
            f"{int(chosen.sum())}."
        )
    number = np.where(chosen, np.cumsum(chosen) - 1, -1)
    return number[member].astype(np.int64), np.flatnonzero(chosen)


def assemble(
    grids: Sequence[tuple[int, int]], measured: Sequence[NDArray[np.floating]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Put the levels' indices together: of every cell, what the finest measured block around it has.

    Parameters
    ----------
    grids : sequence of (int, int)
        Grids from coarse to fine.
    measured : sequence of ndarray of shape (blocks of the level,)
        Indices level by level, NaN where a block was not measured; fewer levels than grids while under way.

    Returns
    -------
    values : ndarray of shape (cells,), float64
        Indices. Where `depth` is not the last level it is a block's, at most which the cell's is in expectation.
    depth : ndarray of shape (cells,), int64
        Level that each value comes from.

    Raises
    ------
    ValueError
        If a level has another number of blocks, or a block of the first level was not measured.
    """
    members = blocks(grids)
    values, depth = np.full(len(members[-1]), np.nan), np.zeros(len(members[-1]), dtype=np.int64)
    for level, (member, told) in enumerate(zip(members, measured, strict=False)):
        if np.shape(told) != (grids[level][0] * grids[level][1],):
            raise ValueError(f"measured: wanted one value a block of {grids[level]}, got shape {np.shape(told)}.")
        here = np.asarray(told, dtype=np.float64)[member]
        known = ~np.isnan(here)
        values[known], depth[known] = here[known], level
    if np.isnan(values).any():
        raise ValueError("measured: wanted every block of the first level, got NaN for some; measure them first.")
    return values, depth


def _halved(side: int) -> int:
    half = -(-side // 2)
    return half if half >= _COARSEST else side
