"""Concept curves and fidelity: closed forms, brute force over orders and subsets, intervals that cover."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from whatwhere.metrics.concept_curves import concept_deletion, concept_insertion
from whatwhere.metrics.concept_fidelity import concept_fidelity
from whatwhere.metrics.intervals import mean_interval, paired_difference

PHI = np.array([2.0, -1.5, 0.0, 0.7, 0.3, -0.1, 1.1, 0.05])
RANK = len(PHI)
EXACT = {"dtype": torch.float64}


def affine(gates):
    return gates.double() @ torch.as_tensor(PHI) + 0.4


def bent(gates):
    x = gates.double()
    return torch.tanh(x @ torch.as_tensor(PHI)) + x[:, 0] * x[:, 3] - x[:, 4] * x[:, 6] + 0.2 * x[:, 2]


def test_curves_of_an_affine_score_are_partial_sums():
    down, up = (curve(affine, PHI, **EXACT) for curve in (concept_deletion, concept_insertion))
    falling = np.concatenate([[0], np.cumsum(np.sort(PHI)[::-1])])
    assert up.scores == pytest.approx(0.4 + falling)
    assert down.scores == pytest.approx(0.4 + PHI.sum() - falling)
    assert down.order.tolist() == up.order.tolist() == [0, 6, 3, 4, 7, 2, 5, 1]
    assert float(up.area) == pytest.approx(np.trapezoid(up.scores, dx=1 / RANK))
    assert float(down.area + up.area) == pytest.approx(0.8 + PHI.sum())
    assert float(up.normalised + down.normalised) == pytest.approx(1)
    assert (up.n_evaluations, down.n_evaluations) == (RANK + 1, RANK + 1)


def test_no_random_order_beats_the_contributions():
    rng = np.random.default_rng(0)
    orders = rng.permuted(np.tile(np.arange(RANK, dtype=float), (10_000, 1)), axis=1)
    down, up = concept_deletion(affine, orders, **EXACT), concept_insertion(affine, orders, **EXACT)
    assert concept_deletion(affine, PHI, **EXACT).area <= down.area.min() + 1e-12
    assert concept_insertion(affine, PHI, **EXACT).area >= up.area.max() - 1e-12
    assert down.scores.shape == (10_000, RANK + 1)
    assert down.n_evaluations <= 2**RANK
    assert down.normalised.mean() == pytest.approx(0.5, abs=0.02)


def test_of_all_orders_the_contributions_are_the_best():
    phi = PHI[:5]
    slopes = torch.as_tensor(phi)
    orders = np.array(list(itertools.permutations(range(5))), dtype=float)
    areas = concept_deletion(lambda gates: gates @ slopes, orders, **EXACT).area
    best = concept_deletion(lambda gates: gates @ slopes, phi, **EXACT).area
    assert best == pytest.approx(areas.min())


def test_many_attributions_are_each_for_itself():
    values = np.random.default_rng(0).normal(size=(2, 3, RANK))
    for curve in (concept_deletion, concept_insertion):
        told = curve(bent, values, **EXACT)
        for place in np.ndindex(2, 3):
            alone = curve(bent, values[place], **EXACT)
            assert told.scores[place] == pytest.approx(alone.scores)
            assert told.area[place] == pytest.approx(alone.area)
            assert told.normalised[place] == pytest.approx(alone.normalised)
    told = concept_fidelity(bent, values, size=3, **EXACT)
    for place in np.ndindex(2, 3):
        alone = concept_fidelity(bent, values[place], size=3, **EXACT)
        assert told.pearson[place] == pytest.approx(alone.pearson)
        assert told.spearman[place] == pytest.approx(alone.spearman)
        assert told.n_evaluations == alone.n_evaluations == 57


def test_only_the_order_counts_and_ties_go_by_number():
    curve = concept_deletion(bent, PHI)
    assert concept_deletion(bent, np.exp(PHI)).scores.tolist() == curve.scores.tolist()
    assert concept_deletion(bent, np.zeros(RANK)).order.tolist() == list(range(RANK))
    many = np.random.default_rng(0).normal(size=300)  # more concepts than bits in a byte
    curve = concept_insertion(lambda gates: gates.sum(1), many)
    assert curve.scores.tolist() == list(range(301))


def test_one_concept():
    curve = concept_deletion(lambda gates: 3 * gates[:, 0] + 1, [2.0])
    assert curve.scores.tolist() == [4, 1]
    assert (float(curve.area), float(curve.normalised)) == (2.5, 0.5)


def test_a_flat_score_has_no_normalised_area():
    for response in (lambda gates: 0 * gates.sum(1) + 3, lambda gates: gates[:, 0] - gates[:, 1]):
        curve = concept_deletion(response, [1.0, 0])
        assert curve.normalised is None
        assert np.isfinite(curve.area)
    told = concept_fidelity(lambda gates: 1e-9 * gates.sum(1) + 3, [[1.0, 2, 3], [1, 1, 1]])
    assert not told.defined.any()
    assert np.isnan(told.pearson).all()
    assert np.isnan(told.spearman).all()


def test_the_contributions_of_an_affine_score_foretell_all():
    for size in (None, 1, 3, 7):
        told = concept_fidelity(affine, [PHI, -PHI], size=size, subsets=20, **EXACT)
        assert told.pearson == pytest.approx([1, -1])
        assert told.spearman == pytest.approx([1, -1])
    noise = np.random.default_rng(0).normal(size=(400, RANK))
    assert abs(concept_fidelity(affine, noise, size=3).pearson.mean()) < 0.1


@pytest.mark.parametrize("size", [1, 2, 4])
def test_fidelity_is_the_correlation_over_all_subsets(size):
    values = np.random.default_rng(1).normal(size=RANK)
    told = concept_fidelity(bent, values, size=size, **EXACT)
    one = float(bent(torch.ones(1, RANK)))
    foretold, lost = [], []
    for subset in itertools.combinations(range(RANK), size):
        gates = torch.ones(1, RANK)
        gates[0, list(subset)] = 0
        foretold.append(values[list(subset)].sum())
        lost.append(one - float(bent(gates)))
    assert told.pearson == pytest.approx(stats.pearsonr(foretold, lost).statistic, rel=1e-6)
    assert told.spearman == pytest.approx(stats.spearmanr(foretold, np.round(lost, 6)).statistic, rel=1e-6)
    assert (told.exhaustive, told.subsets, told.size) == (True, len(lost), size)
    drawn = concept_fidelity(bent, values, size=size, subsets=7, **EXACT)
    assert (drawn.exhaustive, drawn.subsets, drawn.n_evaluations) == (False, 7, 8)


def test_subsets_are_of_one_size_and_by_the_seed():
    seen = []

    def response(gates):
        seen.append((gates == 0).clone())
        return bent(gates)

    for seed in (0, 0, 1):
        concept_fidelity(response, PHI, size=3, subsets=50, seed=seed)
    first, again, other = seen
    assert first[0].sum() == 0
    assert set(first[1:].sum(1).tolist()) == {3}
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first[1:].double().mean(0) - 3 / RANK).abs().max() < 0.3
    more = []
    concept_fidelity(lambda g: more.append((g == 0).clone()) or bent(g), PHI, size=3, subsets=55)
    assert torch.equal(more[0][:51], first)


def test_importances_that_are_all_the_same_foretell_nothing():
    told = concept_fidelity(affine, [np.full(RANK, 0.1), PHI, np.zeros(RANK)], size=3)
    assert told.defined.tolist() == [False, True, False]
    assert np.isnan(told.pearson).tolist() == np.isnan(told.spearman).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: concept_deletion(bent, []),
            ValueError,
            r"values: wanted shape \(..., r\) with r at least 1, .*got \(0,\)",
        ),
        (lambda: concept_deletion(bent, 3.0), ValueError, r"values: wanted shape \(..., r\)"),
        (lambda: concept_insertion(bent, [1.0, np.nan]), ValueError, "values: wanted finite numbers"),
        (lambda: concept_insertion(bent, ["a"]), TypeError, "values: wanted an array of real numbers"),
        (lambda: concept_insertion(3, PHI), TypeError, "response: wanted a function"),
        (lambda: concept_fidelity(bent, [1.0]), ValueError, "with r at least 2"),
        (lambda: concept_fidelity(bent, PHI, size=8), ValueError, "size: wanted an integer from 1 to 7"),
        (lambda: concept_fidelity(bent, PHI, subsets=1), ValueError, "subsets: wanted an integer of at least 2"),
        (
            lambda: mean_interval([np.nan, np.nan]),
            ValueError,
            "values: wanted at least one image where it is defined, got none of 2",
        ),
        (lambda: mean_interval([[1.0]]), ValueError, r"values: wanted shape \(images,\), got \(1, 1\)"),
        (lambda: mean_interval([1.0, np.inf]), ValueError, "values: wanted finite numbers or NaN, got 1 that"),
        (lambda: mean_interval([1.0, 2], level=1), ValueError, "level: wanted a number above 0 and below 1"),
        (lambda: mean_interval([1.0, 2], resamples=5), ValueError, "resamples: wanted an integer of at least 100"),
        (lambda: mean_interval(["a", "b"]), TypeError, "values: wanted an array of real numbers"),
        (lambda: paired_difference([1.0, 2], [1.0]), ValueError, "second: wanted one value for each of the 2 images"),
        (
            lambda: paired_difference([1.0, np.nan], [np.nan, 1]),
            ValueError,
            "first, second: wanted at least one image",
        ),
    ],
)
def test_bad_input(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("count", [6, 12, 40])
def test_intervals_cover(count):
    rng = np.random.default_rng(count)
    hits = []
    for seed in range(400):
        told = mean_interval(rng.normal(3, 2, count), seed=seed)
        hits.append(told.low <= 3 <= told.high)
    assert 0.9 <= np.mean(hits) <= 0.98


def test_quantiles_are_moved_out_for_few_images():
    values = np.random.default_rng(0).normal(size=6)
    told = mean_interval(values, resamples=1000, seed=3)
    means = values[np.random.default_rng(3).integers(0, 6, (1000, 6))].mean(axis=1)
    tail = stats.norm.cdf(np.sqrt(6 / 5) * stats.t.ppf(0.025, 5))
    assert tail < 0.003
    assert (told.low, told.high) == pytest.approx(tuple(np.quantile(means, [tail, 1 - tail])))


def test_intervals_of_many_images_are_those_of_the_normal_law():
    values = np.random.default_rng(0).normal(size=2000)
    told = mean_interval(values, level=0.9)
    half = stats.norm.ppf(0.95) * values.std(ddof=1) / np.sqrt(2000)
    assert told.mean == pytest.approx(values.mean())
    assert (told.low, told.high) == pytest.approx((told.mean - half, told.mean + half), abs=0.1 * half)
    assert told == mean_interval(values, level=0.9)
    assert told != mean_interval(values, level=0.9, seed=1)
    wide = mean_interval(values, level=0.99)
    assert wide.low < told.low < told.high < wide.high


def test_pairs_tell_apart_what_separate_intervals_do_not():
    rng = np.random.default_rng(0)
    hard = rng.normal(size=40)
    first, second = hard + 0.1 + 0.02 * rng.normal(size=40), hard
    first[3], second[7] = np.nan, np.nan
    told = paired_difference(first, second)
    assert told.low > 0
    assert (told.count, told.undefined) == (38, 2)
    kept = ~np.isnan(first - second)
    assert told.mean == pytest.approx((first - second)[kept].mean())
    one, other = mean_interval(first), mean_interval(second)
    assert one.low < other.high
    same = mean_interval(np.ones(5))
    assert (same.mean, same.low, same.high) == (1, 1, 1)
    few = mean_interval([1.0, 2, 3, 4, np.nan])
    assert (few.mean, few.low, few.high, few.count, few.undefined) == (2.5, -np.inf, np.inf, 4, 1)


def test_ties_are_ties_whatever_their_rounding():
    """A concept without code changes nothing: subsets that differ by it alone lose the same but for rounding."""

    def response(gates):
        x = gates.double()
        return affine(gates) + 1e-8 * torch.sin(1e5 * (x * torch.arange(1, RANK + 1)).sum(1))

    values = np.where(PHI == 0, 10, PHI)
    told, exact = (concept_fidelity(f, values, size=4, **EXACT) for f in (response, affine))
    assert told.spearman == exact.spearman
