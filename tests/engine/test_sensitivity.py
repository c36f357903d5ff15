"""Sensitivity estimators against functions whose indices are known in closed form."""

import statistics

import numpy as np
import pytest
from scipy import stats

from whatwhere.engine.sampling import nested_net
from whatwhere.engine.sensitivity import half_agreement, is_flat, pooled_variance, total_order, total_order_error


def design(function, cells, rows, seed=0):
    """Scores of a function of points in the unit cube, in the engine's layout."""
    a, b = nested_net(rows, cells, seed=seed)
    columns = [a] + [np.where(np.arange(cells) == i, b, a) for i in range(cells)]
    return np.stack([function(u) for u in columns], axis=1)


def ishigami(u, a=7, b=0.1):
    x = (2 * u - 1) * np.pi
    return np.sin(x[:, 0]) + a * np.sin(x[:, 1]) ** 2 + b * x[:, 2] ** 4 * np.sin(x[:, 0])


G_COEFFICIENTS = np.array([0, 1, 4.5, 9, 99, 99, 99, 99])


def g_function(u):
    return np.prod((np.abs(4 * u - 2) + G_COEFFICIENTS) / (1 + G_COEFFICIENTS), axis=1)


def g_totals():
    v = 1 / (3 * (1 + G_COEFFICIENTS) ** 2)
    return v * np.prod(1 + v) / (1 + v) / (np.prod(1 + v) - 1)


def test_ishigami():
    assert total_order(design(ishigami, 3, 4096)) == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.01)


def test_g_function():
    assert g_totals()[:4] == pytest.approx([0.7871, 0.2422, 0.0343, 0.0105], abs=1e-4)
    assert total_order(design(g_function, 8, 4096)) == pytest.approx(g_totals(), abs=0.01)


def test_additive():
    w = np.arange(1.0, 6)
    assert total_order(design(lambda u: u @ w, 5, 1024)) == pytest.approx(w**2 / (w**2).sum(), abs=0.01)


def test_parity_of_three_cells_is_all_interaction():
    totals = total_order(design(lambda u: np.prod(np.sign(u - 0.5), axis=1), 3, 1024))
    assert totals == pytest.approx([1, 1, 1], abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_a_flat_map_is_flat(seed):
    """The mean of 64 cells: the published sampler reads cells from 0.2 to 1.0 of the truth here."""
    totals = total_order(design(lambda u: u.mean(axis=1), 64, 32, seed))
    assert totals.max() / totals.min() < 1.3


def test_a_flat_map_is_unbiased():
    """The common factor is the sampled variance, off by about a fifth in one run of 32 rows but right on average."""
    means = [total_order(design(lambda u: u.mean(axis=1), 64, 32, seed)).mean() for seed in range(40)]
    assert np.mean(means) == pytest.approx(1 / 64, rel=0.1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_irrelevant_cell_is_exactly_zero(dtype):
    scores = design(lambda u: u[:, 0] + u[:, 1] ** 2, 4, 32).astype(dtype)
    assert total_order(scores)[2:].tolist() == [0.0, 0.0]
    assert total_order_error(scores)[2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("value", [0.0, 1e-12, 12.5, -1e6])
def test_a_constant_score_is_flat_and_zero(value):
    scores = np.full((8, 5), value, dtype=np.float32)
    assert is_flat(scores)
    assert total_order(scores).tolist() == [0.0] * 4
    assert total_order_error(scores).tolist() == [0.0] * 4


def test_rounding_noise_counts_as_flat_but_a_faint_signal_does_not():
    rng = np.random.default_rng(0)
    noise = np.float32(12.5) + rng.integers(-1, 2, (32, 9)) * np.spacing(np.float32(12.5))
    assert is_flat(noise.astype(np.float32))
    faint = 1e-9 * design(lambda u: u.sum(axis=1), 8, 32)
    assert not is_flat(faint)


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0), (1, 1e3), (-5, 2), (1e6, -1e6)])
def test_indices_do_not_depend_on_scale_and_shift(scale, shift):
    scores = design(g_function, 8, 64)
    assert total_order(scale * scores + shift) == pytest.approx(total_order(scores), rel=1e-6)


def test_an_offset_in_float32_does_not_cancel():
    scores = (1e-2 * design(g_function, 8, 256) + 1e3).astype(np.float32)
    assert total_order(scores) == pytest.approx(total_order(scores.astype(np.float64)), rel=1e-12)
    assert total_order(scores)[0] == pytest.approx(g_totals()[0], abs=0.06)


def test_permuting_cells_permutes_the_map():
    scores = design(g_function, 8, 64)
    order = np.random.default_rng(0).permutation(8)
    assert total_order(scores[:, [0, *(order + 1)]]) == pytest.approx(total_order(scores)[order], rel=1e-12)


def test_pooled_variance_is_that_of_all_masked_images():
    scores = design(ishigami, 3, 64)
    assert pooled_variance(scores) == pytest.approx(statistics.variance(float(v) for v in scores.ravel()))


@pytest.mark.parametrize(
    ("function", "cells", "truth"), [(g_function, 8, g_totals()), (ishigami, 3, [0.5576, 0.4424, 0.2437])]
)
def test_intervals_cover_the_truth(function, cells, truth):
    """95 % intervals over 100 seeds, 32 rows: at least 88 % on average over cells (cells that matter)."""
    truth = np.asarray(truth)
    hits = np.zeros(cells)
    for seed in range(100):
        scores = design(function, cells, 32, seed)
        half = stats.t.ppf(0.975, 31) * total_order_error(scores)
        hits += np.abs(total_order(scores) - truth) <= half
    assert hits[truth > 0.01].mean() / 100 > 0.88


def test_error_falls_with_the_square_root_of_rows():
    few, many = (total_order_error(design(g_function, 8, rows))[0] for rows in (64, 1024))
    assert few / many == pytest.approx(4, rel=0.35)


def test_agreement_is_high_for_a_clear_map_and_low_for_noise():
    w = np.linspace(0.2, 2, 30)
    assert half_agreement(design(lambda u: u @ w, 30, 64)) > 0.95
    noise = np.random.default_rng(0).normal(size=(64, 31))
    assert abs(half_agreement(noise)) < 0.5


def test_agreement_is_spearmans_correlation():
    scores = np.random.default_rng(1).normal(size=(16, 12)).round(1)
    halves = [((h[:, :1] - h[:, 1:]) ** 2).sum(axis=0) for h in (scores[::2], scores[1::2])]
    assert half_agreement(scores) == pytest.approx(stats.spearmanr(*halves).statistic)


def test_agreement_of_few_rows_or_a_flat_score_is_unknown():
    assert half_agreement(np.random.default_rng(0).normal(size=(7, 5))) is None
    assert half_agreement(np.ones((16, 5))) is None
