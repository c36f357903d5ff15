"""Intervals: published values, coverage by enumeration, limits, the normal law as second route."""

import numpy as np
import pytest
from scipy import stats

from whatwhere.metrics.intervals import bootstrap_mean, wilson


@pytest.mark.parametrize(("count", "n"), [(0, 1), (0, 20), (1, 30), (8, 10), (29, 29), (350, 900)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_wilson_is_scipys(count, n, level):
    low, high = wilson(count, n, level)
    known = stats.binomtest(count, n).proportion_ci(level, method="wilson")
    np.testing.assert_allclose([low, high], [known.low, known.high], atol=1e-14)


def test_wilsons_ends_solve_the_score_equation():
    low, high = wilson(7, 23)
    for end in (low, high):
        assert abs(7 / 23 - end) == pytest.approx(stats.norm.ppf(0.975) * np.sqrt(end * (1 - end) / 23))


def test_wilson_covers_as_often_as_it_says():
    n, shares = 15, np.linspace(0.02, 0.98, 97)
    low, high = wilson(np.arange(n + 1), n)
    inside = (low[:, None] <= shares) & (shares <= high[:, None])
    covered = (stats.binom.pmf(np.arange(n + 1)[:, None], n, shares) * inside).sum(0)
    assert covered.mean() == pytest.approx(0.95, abs=0.01)


def test_wilson_at_the_ends():
    low, high = wilson([0, 5, 0], [5, 5, 0])
    assert (low[0], high[1]) == (0, 1)
    assert (low[2], high[2]) == (0, 1)  # nothing was looked at


@pytest.mark.parametrize(
    ("count", "n", "error", "match"),
    [
        (3, 2, ValueError, "0 to n, got 3 of 2"),
        (-1, 2, ValueError, "got -1 of 2"),
        (0.5, 2, ValueError, "whole numbers"),
        ([1, 2], [3, 4, 5], ValueError, "goes with"),
        ("1", 2, TypeError, "count"),
        (np.nan, 2, ValueError, "finite"),
    ],
)
def test_wilson_says_what_is_wrong(count, n, error, match):
    with pytest.raises(error, match=match):
        wilson(count, n)


def test_bootstrap_is_the_normal_interval_of_many_rows():
    values = np.random.default_rng(1).exponential(size=4000)
    low, high = bootstrap_mean(values, seed=3)
    half = 1.96 * values.std() / np.sqrt(len(values))
    np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=0.1 * half)


def test_bootstrap_of_columns_draws_them_together():
    values = np.random.default_rng(2).normal(size=(60, 2, 3))
    low, high = bootstrap_mean(values, n=500)
    assert low.shape == high.shape == (2, 3)
    alone = bootstrap_mean(values[:, 1, 2], n=500)
    np.testing.assert_allclose([low[1, 2], high[1, 2]], alone, rtol=1e-12)


def test_bootstrap_is_the_same_in_blocks(monkeypatch):
    values = np.random.default_rng(3).normal(size=40)
    whole = bootstrap_mean(values, n=300)
    monkeypatch.setattr("whatwhere.metrics.intervals._BLOCK", 1000)
    np.testing.assert_array_equal(bootstrap_mean(values, n=300), whole)


def test_bootstrap_of_equal_values_has_no_width():
    assert bootstrap_mean([0.1] * 7) == (0.1, 0.1)


@pytest.mark.parametrize("values", [[1.0], 2.0, []])
def test_bootstrap_needs_two_rows(values):
    with pytest.raises(ValueError, match="2 rows"):
        bootstrap_mean(values)


@pytest.mark.parametrize("options", [{"n": 1}, {"level": 1}, {"seed": -1}])
def test_bootstrap_checks_options(options):
    with pytest.raises(ValueError, match="wanted"):
        bootstrap_mean([1.0, 2.0], **options)
