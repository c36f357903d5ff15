"""Cells of an image and groups of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def cell_index(height: int, width: int, grid: tuple[int, int]) -> NDArray[np.int64]:
    """Return the number of the cell that each pixel belongs to, row by row.

    Cell j of g along a side of n pixels starts at pixel ``floor(j n / g + 1/2)``: where g does not divide n, sizes
    differ by one pixel.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    grid : (int, int)
        Cells down and across.

    Returns
    -------
    ndarray of shape (height, width), int64
        Values in ``range(grid[0] * grid[1])``.
    """
    rows, columns = cell_sides(height, width, grid)
    return rows[:, np.newaxis] * grid[1] + columns


def cell_sides(height: int, width: int, grid: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row of cells that each row of pixels belongs to, and the same for columns.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    grid : (int, int)
        Cells down and across.

    Returns
    -------
    rows : ndarray of shape (height,), int64
        Values in ``range(grid[0])``.
    columns : ndarray of shape (width,), int64
        Values in ``range(grid[1])``.
    """
    return _along(height, grid[0]), _along(width, grid[1])


def block_index(grid: tuple[int, int], blocks: tuple[int, int]) -> NDArray[np.int64]:
    """Return the number of the coarse block that each cell belongs to.

    Parameters
    ----------
    grid : (int, int)
        Cells down and across.
    blocks : (int, int)
        Blocks down and across, at most as many.

    Returns
    -------
    ndarray of shape (grid[0] * grid[1],), int64
        Values in ``range(blocks[0] * blocks[1])``.
    """
    return cell_index(*grid, blocks).ravel()


def _along(size: int, cells: int) -> NDArray[np.int64]:
    edges = np.floor(np.arange(1, cells) * size / cells + 0.5)
    return np.searchsorted(edges, np.arange(size), side="right").astype(np.int64)
