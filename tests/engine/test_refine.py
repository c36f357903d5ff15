"""From coarse to fine: nested levels, what is dropped, and that the map is the same for fewer forwards."""

from itertools import pairwise

import numpy as np
import pytest

from whatwhere.engine.refine import alive, assemble, blocks, groups, levels, split
from whatwhere.engine.sensitivity import total_order, total_order_error


def test_levels_halve_down_to_four():
    assert levels((16, 16)) == [(4, 4), (8, 8), (16, 16)]
    assert levels((8, 8)) == [(4, 4), (8, 8)]
    assert levels((7, 14)) == [(4, 4), (4, 7), (7, 14)]
    assert levels((6, 1)) == [(6, 1)]


@pytest.mark.parametrize("grid", [(16, 16), (7, 7), (14, 14), (13, 5), (31, 64), (4, 4), (2, 1)])
def test_levels_are_nested_and_cover_the_grid(grid):
    grids = levels(grid)
    members = blocks(grids)
    assert grids[-1] == grid
    assert np.array_equal(members[-1], np.arange(grid[0] * grid[1]))
    for (down, across), member in zip(grids, members, strict=True):
        assert np.array_equal(np.unique(member), np.arange(down * across))
    for coarse, fine in pairwise(members):
        parents = {}
        assert all(parents.setdefault(f, c) == c for f, c in zip(fine.tolist(), coarse.tolist(), strict=True))


@pytest.mark.parametrize("grid", [(16, 16), (14, 14), (13, 5)])
def test_splitting_follows_the_cells(grid):
    grids, rng = levels(grid), np.random.default_rng(0)
    for k in range(len(grids) - 1):
        keep = rng.random(grids[k][0] * grids[k][1]) < 0.5
        children = split(keep, grids[k], grids[k + 1])
        assert np.array_equal(children[blocks(grids)[k + 1]], keep[blocks(grids)[k]])


def test_blocks_below_a_share_of_the_largest_are_dropped():
    values, errors = np.array([1.0, 0.019, 0.019, 0.0, 0.021]), np.array([0.1, 0.0, 0.01, 0.0, 0.0])
    assert alive(values, errors, 32).tolist() == [True, False, True, False, True]
    assert alive(values, errors, 32, share=0.5).tolist() == [True, False, False, False, False]


def test_nothing_is_dropped_from_a_flat_map():
    assert alive(np.zeros(4), np.zeros(4), 32).all()


def test_groups_number_what_is_kept():
    member = np.array([0, 0, 1, 1, 2, 2])
    group, kept = groups(member, [True, False, True])
    assert group.tolist() == [0, 0, -1, -1, 1, 1]
    assert kept.tolist() == [0, 2]


def test_a_map_is_put_together_from_the_finest_that_was_measured():
    grids = [(1, 2), (1, 4)]
    values, depth = assemble(grids, [np.array([0.5, 0.01]), np.array([0.3, 0.2, np.nan, np.nan])])
    assert values.tolist() == [0.3, 0.2, 0.01, 0.01]
    assert depth.tolist() == [1, 1, 0, 0]
    assert assemble(grids, [np.array([0.5, 0.01])])[1].tolist() == [0, 0, 0, 0]


def coarse_to_fine(design, function, grid, rows, seed):
    """Return the map, its depth, and the forwards it took."""
    grids = levels(grid)
    members, measured, forwards = blocks(grids), [], rows
    keep = np.ones(grids[0][0] * grids[0][1], dtype=bool)
    for k, (down, across) in enumerate(grids):
        group, kept = groups(members[k], keep)
        scores = design(function, grid[0] * grid[1], rows, seed, groups=group)
        forwards += rows * len(kept)
        values = np.full(down * across, np.nan)
        values[kept] = total_order(scores)
        measured.append(values)
        if k + 1 < len(grids):
            keep = np.zeros(down * across, dtype=bool)
            keep[kept] = alive(values[kept], total_order_error(scores), rows)
            keep = split(keep, grids[k], grids[k + 1])
    return *assemble(grids, measured), forwards


def test_the_map_of_the_full_design_for_half_of_its_forwards_or_less(design):
    """Two bright patches of a 16 x 16 grid, with an interaction."""
    weights = np.zeros((16, 16))
    weights[2:5, 3:6], weights[10:12, 9:13] = 1.0, 0.7
    weights = weights.ravel()

    def function(u):
        return np.tanh(0.3 * (u @ weights - weights.sum() / 2)) + 0.2 * u[:, 36] * u[:, 170]

    for seed in range(3):
        values, depth, forwards = coarse_to_fine(design, function, (16, 16), 32, seed)
        full = total_order(design(function, 256, 32, seed))
        measured = depth == 2
        assert forwards < 0.5 * 32 * 257
        assert measured[weights > 0].all()
        factor = values.max() / full.max()  # the same pairs of scores, over variances that each pool other masks
        assert factor == pytest.approx(1, abs=0.2)
        assert values[measured] == pytest.approx(factor * full[measured], rel=1e-9)
        assert full[~measured].max() < 0.02 * full.max()
        assert values[~measured].max() < 0.05 * values.max()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: levels((8, 0)), ValueError, "grid: wanted an integer of at least 1"),
        (lambda: levels((8, 8, 8)), ValueError, r"grid: wanted \(down, across\)"),
        (lambda: alive([], [], 8), ValueError, "values: wanted shape"),
        (lambda: alive([1.0, -1.0], [0.0, 0.0], 8), ValueError, "values: wanted shape.*least -1"),
        (lambda: alive([1.0], [0.0, 0.0], 8), ValueError, "errors: wanted the shape of values"),
        (lambda: alive([1.0], [0.0], 8, share=2), ValueError, "share: wanted"),
        (lambda: split([True], (2, 2), (4, 4)), ValueError, r"keep: wanted shape \(4,\)"),
        (lambda: groups(np.arange(3), [False] * 3), ValueError, "at least one True"),
        (lambda: groups(np.arange(3), [True] * 2), ValueError, r"keep: wanted shape \(3,\)"),
        (lambda: assemble([(1, 2)], [np.ones(3)]), ValueError, "measured: wanted one value a block"),
        (lambda: assemble([(1, 2)], [np.array([1, np.nan])]), ValueError, "measured: wanted every block"),
    ],
)
def test_bad_input_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
