"""Nested padded nets: stratification, nesting, independence."""

import numpy as np
import pytest

from whatwhere.engine.sampling import nested_net


def is_net(a, b):
    """Every elementary interval of area 1/n holds exactly one of n points."""
    n = len(a)
    levels = int(np.log2(n))
    for i in range(levels + 1):
        boxes = np.floor(a * 2**i) * 2 ** (levels - i) + np.floor(b * 2 ** (levels - i))
        if len(np.unique(boxes)) != n:
            return False
    return True


@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_every_power_of_two_prefix_of_every_cell_is_a_net(seed):
    a, b = nested_net(64, 9, seed=seed)
    for n in (2, 4, 8, 16, 32, 64):
        assert all(is_net(a[:n, i], b[:n, i]) for i in range(9))


def test_aligned_blocks_are_nets_too():
    a, b = nested_net(64, 3)
    assert all(is_net(a[k : k + 16, i], b[k : k + 16, i]) for k in (0, 16, 32, 48) for i in range(3))


def test_a_plain_random_design_is_not_a_net():
    rng = np.random.default_rng(0)
    assert not is_net(rng.random(32), rng.random(32))


def test_a_shorter_design_is_a_prefix_of_a_longer_one():
    short, long = nested_net(10, 5, seed=3), nested_net(100, 5, seed=3)
    assert all(np.array_equal(s, x[:10]) for s, x in zip(short, long, strict=True))


def test_a_cell_does_not_depend_on_the_number_of_cells():
    few, many = nested_net(8, 3, seed=1), nested_net(8, 30, seed=1)
    assert all(np.array_equal(f, m[:, :3]) for f, m in zip(few, many, strict=True))


def test_seeds_and_cells_differ():
    a, b = nested_net(32, 64, seed=0)
    assert not np.array_equal(a, nested_net(32, 64, seed=1)[0])
    assert len(np.unique(np.round(a.T, 9), axis=0)) == 64
    assert not np.any(np.all(a == b, axis=0))
    correlation = np.corrcoef(a.T)[np.triu_indices(64, 1)]
    assert abs(correlation).mean() < 0.2


def test_points_are_uniform():
    a, b = nested_net(4096, 2)
    for column in (a[:, 0], b[:, 1]):
        assert column.min() > 0
        assert column.max() < 1
        assert column.mean() == pytest.approx(0.5, abs=1e-3)
        assert column.var() == pytest.approx(1 / 12, abs=1e-3)
