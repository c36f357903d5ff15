"""Cells: they tile the image, also where the grid does not divide it."""

import numpy as np
import pytest

from whatwhere.engine.masks import block_index, cell_index


def test_small_example():
    assert cell_index(4, 6, (2, 3)).tolist() == [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2


@pytest.mark.parametrize(
    ("height", "width", "grid"), [(224, 224, (8, 8)), (180, 260, (7, 11)), (10, 9, (3, 9)), (5, 5, (1, 5))]
)
def test_cells_tile_the_image_in_nearly_equal_parts(height, width, grid):
    index = cell_index(height, width, grid)
    area = np.bincount(index.ravel(), minlength=grid[0] * grid[1])
    assert area.min() > 0
    assert area.sum() == height * width
    sides = [np.bincount(index[:, 0] // grid[1]), np.bincount(index[0])]
    assert all(np.ptp(side) <= 1 for side in sides)
    assert (np.diff(index, axis=1) >= 0).all()


def test_blocks_are_two_by_two():
    assert block_index((4, 4), (2, 2)).reshape(4, 4).tolist() == [[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2


def test_blocks_of_an_odd_grid_cover_it():
    blocks = block_index((7, 7), (4, 4))
    assert set(np.bincount(blocks)) <= {1, 2, 4}
    assert len(np.unique(blocks)) == 16
