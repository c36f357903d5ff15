"""Intervals: published values, coverage by enumeration, limits, the normal law as second route."""

import numpy as np
import pytest
from scipy import stats

from whatwhere.metrics.intervals import wilson


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
