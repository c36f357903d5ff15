"""Stop rules: when they are met, that they are not met by luck, and that they say what they want."""

import numpy as np
import pytest

from whatwhere.engine.confidence import half_width, total_order_bootstrap
from whatwhere.engine.ranking import spearman
from whatwhere.engine.sensitivity import total_order, total_order_error
from whatwhere.engine.stopping import RankStability, Width

RULES = [Width(0.2), RankStability(), RankStability(top=2)]


def stops_at(rule, scores):
    """First number of rows at which the rule is met."""
    return next((n for n in range(2, len(scores) + 1) if rule.met(scores[:n])), None)


def test_a_width_is_met_when_the_widest_interval_is_narrow_enough(design, models):
    scores = design(models["g-function"].function, 8, 128)
    told = half_width(total_order_error(scores), 128, 0.9).max() / total_order(scores).max()
    assert Width(told * 1.001, level=0.9).met(scores)
    assert not Width(told * 0.999, level=0.9).met(scores)


def test_the_map_is_as_good_as_the_width_that_stopped_it(design, models):
    """Looking after every row finds lucky rows; the error at the stop is still within the tolerance, mostly."""
    known = models["g-function"]
    within = []
    for seed in range(20):
        scores = design(known.function, 8, 512, seed)
        rows = stops_at(Width(0.15), scores)
        values = total_order(scores[:rows])
        within.append(np.abs(values - known.total).max() <= 0.15 * values.max())
    assert np.mean(within) >= 0.8


def test_rank_stability_is_the_quantile_of_resampled_correlations(design):
    scores = design(lambda u: u @ np.linspace(0.5, 2, 10), 10, 48)
    correlations = spearman(total_order_bootstrap(scores, 200, 0).values, total_order(scores))
    low = np.sort(correlations)[10]  # 190 of 200 are at least as high
    assert RankStability(low - 1e-9).met(scores)
    assert not RankStability(low + 1e-9).met(scores)


def test_ranks_of_a_clear_map_become_stable_and_those_of_noise_do_not(design):
    clear = design(lambda u: u @ np.geomspace(0.1, 5, 8), 8, 64)
    assert RankStability().met(clear)
    assert RankStability(top=3).met(clear)
    noise = np.random.default_rng(0).normal(size=(128, 65))
    assert not RankStability().met(noise)
    assert not RankStability(0.75).met(noise)
    assert not RankStability(top=3).met(noise)


def test_only_the_top_has_to_be_stable(design):
    weights = np.array([9.0, 8, 7, 1, 1, 1, 1, 1, 1, 1])
    scores = design(lambda u: u @ weights, 10, 32)
    assert RankStability(top=3).met(scores)
    assert not RankStability().met(scores)
    assert not RankStability(top=5).met(scores)


def test_the_top_is_stable_if_the_loop_over_resamples_says_so(design, models):
    scores = design(models["g-function"].function, 8, 24)
    for top in range(1, 8):
        first = set(np.argsort(-total_order(scores), kind="stable")[:top].tolist())
        resampled = total_order_bootstrap(scores, 200, 0).values
        same = [set(np.argsort(-values, kind="stable")[:top].tolist()) == first for values in resampled]
        assert RankStability(top=top).met(scores) == (np.mean(same) >= 0.95)


def test_groups_that_do_not_matter_may_tie(design):
    scores = design(lambda u: u[:, 0], 6, 16)
    assert RankStability(top=3).met(scores)
    assert RankStability().met(scores)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_no_rule_is_met_in_few_rows(rule, design):
    scores = design(lambda u: u @ np.geomspace(0.1, 50, 6), 6, 256)
    assert stops_at(rule, scores) >= 16
    assert not rule.met(np.ones((15, 6)))
    assert rule.met(np.ones((16, 6)))


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_same_rows_same_answer(rule, design, models):
    scores = design(models["g-function"].function, 8, 40)
    state = np.random.get_state()[1].copy()  # noqa: NPY002  # the global generator is what must stay untouched
    assert len({rule.met(scores) for _ in range(5)}) == 1
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_rules_are_values():
    assert Width(0.1) == Width(0.1) != Width(0.2)
    assert len({RankStability(), RankStability(0.95), RankStability(top=3)}) == 2
    assert repr(RankStability(0.9, 5)) == "RankStability(correlation=0.9, top=5, resamples=200)"


def test_rules_say_what_they_want():
    assert Width(0.05, 0.9).describe() == "every 90 % interval is within 5 % of the largest index"
    assert RankStability(0.9).describe() == "the rank correlation with the map is at least 0.9 in 95 % of 200 resamples"
    assert RankStability(top=1).describe() == "the most important group is the same in 95 % of 200 resamples"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Width(0), ValueError, "tolerance: wanted a number above 0"),
        (lambda: Width(np.nan), ValueError, "tolerance: wanted"),
        (lambda: Width("small"), TypeError, "tolerance: wanted a number, got str"),
        (lambda: Width(0.1, level=95), ValueError, "level: wanted a number above 0 and below 1, got 95"),
        (lambda: RankStability(1.0), ValueError, "correlation: wanted"),
        (lambda: RankStability(top=0), ValueError, "top: wanted an integer of at least 1"),
        (lambda: RankStability(top=2.5), TypeError, "top: wanted an integer, got float"),
        (lambda: RankStability(resamples=5), ValueError, "resamples: wanted an integer of at least 20"),
        (lambda: RankStability(top=4).met(np.ones((8, 5))), ValueError, "top: wanted fewer than the 4 groups, got 4"),
        (lambda: Width(0.1).met(np.ones(5)), ValueError, "scores: wanted shape"),
    ],
)
def test_bad_options_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
