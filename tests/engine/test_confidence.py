"""Intervals cover what they shall, for every index; the bootstrap is a loop done at once."""

import numpy as np
import pytest
from scipy import stats

from whatwhere.engine.confidence import bounded, interval, total_order_bootstrap
from whatwhere.engine.effects import first_order, first_order_error, slope, slope_error
from whatwhere.engine.pairs import superset, superset_error
from whatwhere.engine.ranking import ranks, spearman
from whatwhere.engine.sensitivity import (
    mean_dimension,
    mean_dimension_error,
    pooled_variance,
    row_spread,
    total_order,
    total_order_error,
)

ROWS = 32


@pytest.fixture(scope="module")
def designs(models, sample):
    """200 designs of each function."""
    return {name: [sample(m.function, m.cells, ROWS, seed) for seed in range(200)] for name, m in models.items()}


def coverage(estimates, truth):
    """Share of 95 % intervals that hold the truth, over designs and cells."""
    truth = np.asarray(truth)
    slack = 1e-12 * (1 + np.abs(truth))  # an exact estimate has an interval of no width
    ends = [interval(values, errors, ROWS) for values, errors in estimates]
    return np.mean([(low - slack <= truth) & (truth <= high + slack) for low, high in ends])


@pytest.mark.parametrize("name", ["ishigami", "g-function", "additive"])
def test_intervals_cover_the_truth(name, models, designs, design_of_pairs):
    """Nominal 95 %, at least 90 %, averaged over cells and 200 seeds."""
    known, drawn = models[name], designs[name]
    assert coverage([(total_order(d.scores), total_order_error(d.scores)) for d in drawn], known.total) >= 0.9
    assert coverage([(first_order(*d[:2]), first_order_error(*d[:2])) for d in drawn], known.first) >= 0.9
    slopes = [(slope(d.scores, *d[2:]), slope_error(d.scores, *d[2:])) for d in drawn]
    assert coverage(slopes, known.slope) >= 0.9
    dimensions = [(mean_dimension(d.scores), mean_dimension_error(d.scores)) for d in drawn]
    assert coverage(dimensions, known.total.sum()) >= 0.9
    partners, pairs = (2, 1) if name == "ishigami" else (1, 2), []
    for d in drawn:
        both = design_of_pairs(known.function, d, 0, partners)
        parts = (*d.scores.T[:2], d.scores[:, [1 + j for j in partners]], both, pooled_variance(d.scores))
        pairs.append((superset(*parts), superset_error(*parts, spread=row_spread(d.scores))))
    assert coverage(pairs, [known.pairs[0, j] for j in partners]) >= 0.9


def test_an_interval_is_students():
    low, high = interval([1.0, -2.0], [0.5, 0.0], 32, 0.9)
    half = stats.t.ppf(0.95, 31) * 0.5
    assert low == pytest.approx([1 - half, -2])
    assert high == pytest.approx([1 + half, -2])
    assert interval(0.0, np.inf, 2) == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([1.0], [1.0, 2.0], 8), ValueError, "errors: wanted the shape of values"),
        (([1.0], [-1.0], 8), ValueError, "errors: wanted standard errors of at least 0, got -1"),
        (([1.0], [np.nan], 8), ValueError, "errors: wanted standard errors of at least 0, got nan"),
        (([1.0], [1.0], 1), ValueError, "rows: wanted an integer of at least 2, got 1"),
        (([1.0], [1.0], 8.5), TypeError, "rows: wanted an integer, got float"),
        (([1.0], [1.0], 8, 95), ValueError, "level: wanted a number above 0 and below 1, got 95"),
        (([1.0], [1.0], 8, "most"), TypeError, "level: wanted a number, got str"),
    ],
)
def test_bad_intervals_are_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        interval(*arguments)


def test_the_bootstrap_is_a_loop_over_resampled_rows(design, models):
    scores = design(models["g-function"].function, 8, 16)
    drawn = np.random.default_rng(3).integers(0, 16, (50, 16))
    assert total_order_bootstrap(scores, 50, 3).values == pytest.approx(
        np.array([total_order(scores[rows]) for rows in drawn]), rel=1e-9, abs=1e-15
    )


def test_the_bootstrap_agrees_with_the_delta_method(known, design):
    scores = design(known.function, known.cells, 512)
    resampled = total_order_bootstrap(scores, 1000)
    assert resampled.error() == pytest.approx(total_order_error(scores), rel=0.15)
    for told, closed in zip(
        resampled.interval(), interval(total_order(scores), total_order_error(scores), 512), strict=True
    ):
        assert told == pytest.approx(closed, abs=0.25 * np.max(total_order_error(scores)) * 2)


def test_rank_intervals_hold_the_true_ranks(design, models):
    known = models["g-function"]
    low, high = total_order_bootstrap(design(known.function, 8, 64)).rank_interval()
    assert (low[:4] <= [1, 2, 3, 4]).all()
    assert (high[:4] >= [1, 2, 3, 4]).all()
    assert (low >= 1).all()
    assert (high <= 8).all()
    assert high[0] == 1


def test_the_bootstrap_is_seeded_and_its_options_checked(design, models):
    scores = design(models["ishigami"].function, 3, 16)
    same, other = total_order_bootstrap(scores, 20).values, total_order_bootstrap(scores, 20, 1).values
    assert np.array_equal(same, total_order_bootstrap(scores, 20).values)
    assert not np.array_equal(same, other)
    assert not total_order_bootstrap(np.ones((8, 4)), 20).values.any()
    with pytest.raises(ValueError, match="n: wanted an integer of at least 2, got 1"):
        total_order_bootstrap(scores, 1)
    with pytest.raises(ValueError, match="level: wanted"):
        total_order_bootstrap(scores, 20).interval(1)


def test_resamples_that_are_flat_are_zero():
    scores = np.ones((3, 3))
    scores[0] = [1, 2, 3]
    values = total_order_bootstrap(scores, 100).values
    assert np.isfinite(values).all()
    assert (values == 0).all(axis=1).any()


def test_ranks_are_scipys():
    values = np.random.default_rng(0).integers(0, 6, (40, 11)).astype(float)
    assert np.array_equal(ranks(values), stats.rankdata(values, axis=1) - 1)
    assert np.array_equal(ranks(values[0]), stats.rankdata(values[0]) - 1)


def test_spearman_is_scipys_and_zero_for_a_constant():
    first, second = np.random.default_rng(0).normal(size=(2, 7, 9)).round(1)
    told = [stats.spearmanr(x, y).statistic for x, y in zip(first, second, strict=True)]
    assert spearman(first, second) == pytest.approx(told)
    assert spearman(first, second[0])[0] == pytest.approx(told[0])
    assert spearman(np.ones(9), second).tolist() == [0] * 7


def test_bounded_gives_the_estimate_or_an_end():
    values, errors = np.array([0.5, 0.1]), np.array([0.1, 0.2])
    low, high = interval(values, errors, 8, 0.9)
    assert np.array_equal(bounded(values, "lower", lambda: errors, 8, 0.9), low)
    assert np.array_equal(bounded(values, "upper", lambda: errors, 8, 0.9), high)
    assert np.array_equal(bounded(values, None, pytest.fail, 8), values)  # errors are not asked for
    with pytest.raises(ValueError, match="bound: wanted 'lower', 'upper' or None, got 'low'"):
        bounded(values, "low", lambda: errors, 8)
