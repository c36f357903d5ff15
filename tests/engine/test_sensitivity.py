"""Sensitivity estimators against functions whose indices are known in closed form."""

import inspect
import statistics

import numpy as np
import pytest
from scipy import stats

from whatwhere.engine.jackknife import jackknife_error, variances_without
from whatwhere.engine.sensitivity import (
    glen_isaacs,
    half_agreement,
    is_flat,
    is_noisy,
    mean_dimension,
    mean_dimension_error,
    pooled_variance,
    rounding_floor,
    row_spread,
    total_order,
    total_order_error,
)


@pytest.mark.parametrize("name", ["ishigami", "g-function"])
def test_indices_are_those_known(name, models, design):
    known = models[name]
    assert total_order(design(known.function, known.cells, 4096)) == pytest.approx(known.total, abs=0.01)


def test_indices_of_an_additive_score_are_those_known(models, design):
    """Up to one factor for all cells, the sampled variance, the map is nearly exact."""
    known = models["additive"]
    totals = total_order(design(known.function, known.cells, 4096))
    assert totals / totals.sum() == pytest.approx(known.total, abs=1e-4)
    assert totals == pytest.approx(known.total, rel=0.06)


def test_the_g_function_as_published(models):
    known = models["g-function"]
    assert known.total[:4] == pytest.approx([0.7871, 0.2422, 0.0343, 0.0105], abs=1e-4)
    assert known.first[:4] == pytest.approx([0.7162, 0.1790, 0.0237, 0.0072], abs=1e-4)
    assert known.pairs[0, 1] == pytest.approx(0.0605, abs=1e-4)


def test_a_second_estimator_agrees(known, design):
    assert glen_isaacs(design(known.function, known.cells, 4096)) == pytest.approx(known.total, abs=0.03)


def test_glen_isaacs_is_one_minus_the_correlation(design, models):
    scores = design(models["g-function"].function, 8, 32)
    told = [1 - stats.pearsonr(scores[:, 0], c).statistic for c in scores[:, 1:].T]
    assert glen_isaacs(scores) == pytest.approx(told, rel=1e-9)


def test_glen_isaacs_of_an_irrelevant_cell_is_zero_and_of_a_constant_column_defined(design):
    assert glen_isaacs(design(lambda u: u[:, 0], 3, 32))[1:].tolist() == [0, 0]
    scores = np.random.default_rng(0).normal(size=(8, 4))
    scores[:, 2] = 0.1
    assert glen_isaacs(scores)[1] == 1
    assert glen_isaacs(np.ones((8, 4))).tolist() == [0, 0, 0]


def test_scipy_agrees_to_rounding_on_the_same_numbers(known, sample):
    """SciPy normalises by the variance of f(A) and f(B); otherwise both are Jansen's estimator."""
    drawn = sample(known.function, known.cells, 256)
    values = {"f_A": drawn.scores[:, :1].T, "f_B": drawn.b[np.newaxis], "f_AB": drawn.scores[:, 1:].T[:, np.newaxis]}
    told = stats.sobol_indices(func=values, n=256)
    ratio = np.var(np.stack([drawn.scores[:, 0], drawn.b])) / pooled_variance(drawn.scores)
    assert total_order(drawn.scores) == pytest.approx(told.total_order.ravel() * ratio, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", ["ishigami", "g-function"])
def test_scipy_agrees_on_numbers_of_its_own(name, design, models):
    known = models[name]
    seed = "rng" if "rng" in inspect.signature(stats.sobol_indices).parameters else "random_state"
    told = stats.sobol_indices(
        func=lambda x: known.function(x.T), n=4096, dists=[stats.uniform()] * known.cells, **{seed: 0}
    )
    assert total_order(design(known.function, known.cells, 4096)) == pytest.approx(told.total_order, abs=0.02)
    assert known.first == pytest.approx(told.first_order, abs=0.02)


def test_parity_of_three_cells_is_all_interaction(design):
    totals = total_order(design(lambda u: np.prod(np.sign(u - 0.5), axis=1), 3, 1024))
    assert totals == pytest.approx([1, 1, 1], abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_a_flat_map_is_flat(seed, design):
    totals = total_order(design(lambda u: u.mean(axis=1), 64, 32, seed))
    assert totals.max() / totals.min() < 1.3


def test_the_published_points_stamp_a_pattern_on_a_flat_map(design):
    """Why they are not the default: of 64 cells that matter alike, they read one five times as high as another."""
    totals = total_order(design(lambda u: u.mean(axis=1), 64, 32, sampler="published"))
    assert totals.max() / totals.min() > 3
    assert total_order(design(lambda u: u.mean(axis=1), 64, 16, sampler="published")).min() == 0


def test_a_flat_map_is_unbiased(design):
    """The common factor is the sampled variance, off by about a fifth in one run of 32 rows but right on average."""
    means = [total_order(design(lambda u: u.mean(axis=1), 64, 32, seed)).mean() for seed in range(40)]
    assert np.mean(means) == pytest.approx(1 / 64, rel=0.1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_irrelevant_cell_is_exactly_zero(dtype, design):
    scores = design(lambda u: u[:, 0] + u[:, 1] ** 2, 4, 32).astype(dtype)
    assert total_order(scores)[2:].tolist() == [0.0, 0.0]
    assert total_order_error(scores)[2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("value", [0.0, 0.1, 1e-12, 12.5, -1e6])
def test_a_constant_score_is_flat_and_zero(value):
    scores = np.full((8, 5), value, dtype=np.float32)
    assert is_flat(scores)
    for index in (total_order, total_order_error, glen_isaacs):
        assert index(scores).tolist() == [0.0] * 4
    assert mean_dimension(scores) == mean_dimension_error(scores) == 0


def test_rounding_noise_counts_as_flat_but_a_faint_signal_does_not(design):
    rng = np.random.default_rng(0)
    noise = np.float32(12.5) + rng.integers(-1, 2, (32, 9)) * np.spacing(np.float32(12.5))
    assert is_flat(noise.astype(np.float32))
    faint = 1e-9 * design(lambda u: u.sum(axis=1), 8, 32)
    assert not is_flat(faint)


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0), (1, 1e3), (-5, 2), (1e6, -1e6)])
def test_indices_do_not_depend_on_scale_and_shift(scale, shift, design, models):
    scores = design(models["g-function"].function, 8, 64)
    for index in (total_order, total_order_error, mean_dimension, mean_dimension_error):
        assert index(scale * scores + shift) == pytest.approx(index(scores), rel=1e-6)


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0), (1e-6, 1e-3), (1, 1e3)])
def test_a_faint_or_shifted_score_keeps_its_map_in_float32(scale, shift, design, models):
    """Rounding to float32 is all that is lost: an estimator that takes the mean's square off loses the map here."""
    scores = design(models["g-function"].function, 8, 256)
    rounded = (np.float32(scale) * scores.astype(np.float32) + np.float32(shift)).astype(np.float32)
    assert total_order(rounded) == pytest.approx(total_order(scores), rel=1e-3, abs=1e-8)


def test_what_float32_cannot_hold_is_flat_not_noise(design, models):
    """Near 1000, float32 numbers are 6e-5 apart: a signal of 1e-6 is gone before any estimator sees it."""
    scores = 1e-6 * design(models["g-function"].function, 8, 64) + 1e3
    assert is_flat(scores.astype(np.float32))
    assert total_order(scores.astype(np.float32)).tolist() == [0.0] * 8


def test_an_offset_in_float32_does_not_cancel(design, models):
    known = models["g-function"]
    scores = (1e-2 * design(known.function, 8, 256) + 1e3).astype(np.float32)
    assert total_order(scores) == pytest.approx(total_order(scores.astype(np.float64)), rel=1e-12)
    assert total_order(scores)[0] == pytest.approx(known.total[0], abs=0.06)


def test_permuting_cells_permutes_the_map(design, models):
    scores = design(models["g-function"].function, 8, 64)
    order = np.random.default_rng(0).permutation(8)
    assert total_order(scores[:, [0, *(order + 1)]]) == pytest.approx(total_order(scores)[order], rel=1e-12)


def test_a_prefix_of_a_long_run_is_the_short_run(design, models):
    function = models["g-function"].function
    assert np.array_equal(total_order(design(function, 8, 64)[:16]), total_order(design(function, 8, 16)))


def test_a_block_is_never_below_its_cells(design, models):
    known = models["g-function"]
    blocks = total_order(design(known.function, 8, 4096, groups=[0, 0, 1, 1, 2, 2, 3, 3]))
    assert (blocks >= np.maximum(known.total[0::2], known.total[1::2]) - 0.01).all()
    assert blocks[0] == pytest.approx(known.total[0] + known.total[1] - known.pairs[0, 1], abs=0.02)


def test_pooled_variance_is_that_of_all_masked_images(design, models):
    scores = design(models["ishigami"].function, 3, 64)
    assert pooled_variance(scores) == pytest.approx(statistics.variance(float(v) for v in scores.ravel()))
    assert row_spread(scores).mean() == pytest.approx(pooled_variance(scores) * (1 - 1 / scores.size))


def test_error_falls_with_the_square_root_of_rows(design, models):
    function = models["g-function"].function
    few, many = (total_order_error(design(function, 8, rows))[0] for rows in (64, 1024))
    assert few / many == pytest.approx(4, rel=0.35)


def test_mean_dimension_is_one_for_additive_scores_and_more_otherwise(known, design):
    scores = design(known.function, known.cells, 4096)
    assert mean_dimension(scores) == pytest.approx(known.total.sum(), abs=0.05)
    assert mean_dimension(scores) == pytest.approx(total_order(scores).sum())


@pytest.mark.parametrize("rows", [8, 9])
def test_errors_by_leaving_pairs_out_are_those_of_a_loop(rows, design, models):
    scores = design(models["g-function"].function, 8, rows)
    pairs = [[0, 1], [2, 3], [4, 5], [6, 7, 8] if rows == 9 else [6, 7]]
    without = [np.delete(scores, k, axis=0) for k in pairs]
    assert variances_without(scores) == pytest.approx([pooled_variance(rest) for rest in without], rel=1e-12)
    told = jackknife_error(np.array([mean_dimension(rest) for rest in without]))
    assert mean_dimension_error(scores) == pytest.approx(float(told), rel=1e-9)


def test_jackknife_and_delta_method_agree_for_many_independent_rows(known, design):
    scores = design(known.function, known.cells, 2048, sampler="random")
    half = ((scores[:, :1] - scores[:, 1:]) ** 2 / 2).sum(axis=1)
    influence = (half - mean_dimension(scores) * row_spread(scores)) / pooled_variance(scores)
    assert mean_dimension_error(scores) == pytest.approx(influence.std(ddof=1) / np.sqrt(2048), rel=0.05)


def test_nested_rows_come_in_pairs_that_lean_apart(design, models):
    """Why pairs are left out: rows of an additive score tell less of the variance than as many independent ones."""
    function = models["additive"].function

    def noise(sampler):
        return np.std([np.log(pooled_variance(design(function, 5, 32, k, sampler=sampler))) for k in range(200)])

    assert noise("nested") > 1.1 * noise("random")
    scores = design(function, 5, 64)[:, 0]
    assert np.corrcoef(scores[0::2], scores[1::2])[0, 1] < -0.5


def test_a_mean_dimension_that_hangs_on_one_row_or_pair_is_unknown(design, models):
    scores = np.ones((8, 3))
    scores[2] = [1, 2, 3]
    assert mean_dimension(scores) > 0
    assert mean_dimension_error(scores) == np.inf
    assert mean_dimension_error(design(models["ishigami"].function, 3, 3)) == np.inf


def test_rounding_adds_the_floor():
    """Scores that bfloat16 holds near 12, of a group that moves them by one spacing."""
    ulp, rng = 0.0625, np.random.default_rng(0)
    base = 12 + rng.normal(size=(20000, 1))
    scores = np.concatenate([base, base + ulp * rng.normal(size=base.shape)], axis=1)
    floor = rounding_floor(scores, ulp)
    assert floor == pytest.approx(ulp**2 / 12 / scores.var(), rel=1e-3)
    assert total_order(np.round(scores / ulp) * ulp) - total_order(scores) == pytest.approx([floor], rel=0.1)


def test_the_floor_of_a_flat_score_is_infinite_and_a_spacing_must_be_positive():
    assert rounding_floor(np.ones((4, 3)), 1e-3) == np.inf
    with pytest.raises(ValueError, match="ulp: wanted a number above 0"):
        rounding_floor(np.eye(3), 0)


def test_few_rows_are_noisy():
    assert [rows for rows in (2, 8, 15, 16, 128) if is_noisy(rows)] == [2, 8, 15]
    with pytest.raises(ValueError, match="rows: wanted an integer of at least 2, got 1"):
        is_noisy(1)


def test_agreement_is_high_for_a_clear_map_and_low_for_noise(design):
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
    assert half_agreement(np.random.default_rng(0).normal(size=(16, 2))) is None  # one group has no order
