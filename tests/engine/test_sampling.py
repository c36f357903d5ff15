"""Nested padded nets: stratification, nesting, independence."""

import numpy as np
import pytest
from scipy.stats import qmc

from whatwhere.engine.sampling import SAMPLERS, base_matrices, nested_net, published_points, random_points


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


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("rows", [1, 2, 10, 33])
def test_samplers_give_prefixes(sampler, rows):
    short, long = base_matrices(sampler, rows, 5, 3), base_matrices(sampler, 100, 5, 3)
    assert all(s.shape == (rows, 5) for s in short)
    assert all(np.array_equal(s, x[:rows]) for s, x in zip(short, long, strict=True))
    assert all(0 <= s.min() <= s.max() < 1 for s in short)


def test_a_sampler_is_chosen_by_name():
    assert all(np.array_equal(*m) for m in zip(base_matrices("nested", 8, 3, 5), nested_net(8, 3, seed=5), strict=True))
    assert all(
        np.array_equal(*m) for m in zip(base_matrices("random", 8, 3, 5), random_points(8, 3, seed=5), strict=True)
    )
    assert all(
        np.array_equal(*m) for m in zip(base_matrices("published", 8, 3, 5), published_points(8, 3), strict=True)
    )


def test_published_points_are_scipys_with_two_wasted_rows():
    a, b = published_points(32, 7)
    with pytest.warns(UserWarning, match="balance properties"):  # 33 is no power of two
        points = qmc.Sobol(d=14, scramble=False).random(33)[:32]
    assert np.array_equal(np.concatenate([a, b], axis=1), points)
    assert not a[0].any()
    assert np.array_equal(a[:2], b[:2])
    assert (a[1] == 0.5).all()


def test_published_points_have_a_limit():
    with pytest.raises(ValueError, match=r"cells: wanted 1 to 10600 for the published points.*got 10601"):
        base_matrices("published", 4, 10601)


def test_random_points_are_independent_and_seeded():
    a, b = random_points(4096, 3, seed=1)
    assert not np.array_equal(a, random_points(4096, 3, seed=2)[0])
    assert np.abs(np.corrcoef(np.concatenate([a, b], axis=1).T)[np.triu_indices(6, 1)]).max() < 0.06
    assert a.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("sobol", 4, 4), ValueError, "sampler: wanted one of .* got 'sobol'"),
        (("nested", 0, 4), ValueError, "rows: wanted an integer from 1"),
        (("nested", 4, 0), ValueError, "cells: wanted an integer of at least 1"),
        (("random", 4, 4, -1), ValueError, "seed: wanted an integer of at least 0"),
        (("random", 4.0, 4), TypeError, "rows: wanted an integer, got float"),
    ],
)
def test_bad_designs_are_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        base_matrices(*arguments)
