"""Prevalence and reliability against what was planted, and three rules that say what belongs to what."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from whatwhere.strategies.groups import BYS, NOBODY, group, rule_of, shares_of
from whatwhere.strategies.rates import Rates


def planted(n=400, seed=0):
    """Three concepts: A in all photos, B in 30 % of them and right in 40 % of those, C in 10 % and always right."""
    rng = np.random.default_rng(seed)
    has_b, has_c = np.arange(n) < 0.3 * n, np.arange(n) >= 0.9 * n
    phi = np.column_stack([np.full(n, 2.0), 3.0 * has_b, 5.0 * has_c]) + 0.01 * rng.random((n, 3))
    right = np.ones(n, dtype=bool)
    right[: int(0.3 * n * 0.6)] = False
    return phi, right, has_b, has_c


def test_prevalence_and_reliability_are_those_that_were_planted():
    phi, right, has_b, has_c = planted()
    told = group(phi, "presence", right=right)
    assert told.prevalence.values == pytest.approx([1.0, 0.3, 0.1])
    assert told.reliability.values == pytest.approx([1 - 0.18, 0.4, 1.0])
    np.testing.assert_array_equal(told.members[:, 1], has_b)
    np.testing.assert_array_equal(told.members[:, 2], has_c)
    assert told.prevalence.totals.tolist() == [400] * 3
    assert told.reliability.totals.tolist() == [400, 120, 40]


def test_by_the_strongest_groups_are_a_partition():
    phi, right, has_b, has_c = planted()
    told = group(phi, "strongest", right=right)
    assert told.prevalence.values == pytest.approx([0.6, 0.3, 0.1])
    assert told.of_image.tolist() == np.where(has_b, 1, np.where(has_c, 2, 0)).tolist()
    assert told.reliability.values == pytest.approx([1.0, 0.4, 1.0])


def test_the_distinctive_concept_is_seen_where_one_is_the_strongest_of_all():
    """A takes most of every photo; B and C are what tells photos apart."""
    phi = np.full((60, 3), 0.0)
    phi[:, 0] = 6
    phi[:20, 1], phi[20:40, 2] = 1.5, 1.5
    assert group(phi, "strongest").prevalence.values.tolist() == [1, 0, 0]
    assert group(phi, "distinctive").of_image.tolist() == [1] * 20 + [2] * 20 + [0] * 20


def test_distinctive_by_hand():
    rng = np.random.default_rng(1)
    phi = rng.normal(0.5, 1, (50, 5))
    shares = shares_of(phi)
    z = (shares - shares.mean(axis=0)) / shares.std(axis=0)
    for row, s, own in zip(group(phi, "distinctive").of_image, shares, z, strict=True):
        present = [k for k in range(5) if s[k] >= 0.08]
        wanted = max(present, key=lambda k: own[k]) if present else (s.argmax() if s.max() > 0 else NOBODY)
        assert row == wanted


@pytest.mark.parametrize("by", ["strongest", "distinctive"])
@pytest.mark.parametrize("seed", range(4))
def test_groups_sum_to_one_with_those_without_support(by, seed):
    rng = np.random.default_rng(seed)
    phi = rng.normal(-0.4, 1, (70, 4))
    told = group(phi, by)
    assert told.unsupported.any()
    assert told.prevalence.values.sum() + told.unsupported_prevalence.value == pytest.approx(1)
    np.testing.assert_array_equal(told.unsupported, phi.max(axis=1) <= 0)
    np.testing.assert_array_equal(told.of_image == NOBODY, told.unsupported)
    assert not told.members[told.unsupported].any()


@pytest.mark.parametrize("by", BYS)
def test_scale_does_not_count(by):
    rng = np.random.default_rng(3)
    phi = rng.normal(0.3, 1, (40, 6))
    scaled = phi * rng.uniform(0.1, 10, (40, 1))
    np.testing.assert_array_equal(group(phi, by).members, group(scaled, by).members)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_intervals_are_wilsons_as_scipy_has_them(level):
    phi, right, *_ = planted()
    told = group(phi, "presence", right=right, level=level)
    for rates in (told.prevalence, told.reliability):
        for rate in rates:
            wanted = binomtest(rate.count, rate.total).proportion_ci(level, method="wilson")
            assert (rate.low, rate.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


@pytest.mark.parametrize("by", BYS)
def test_all_absent(by):
    told = group(np.zeros((5, 3)), by, right=np.ones(5, dtype=bool))
    assert told.unsupported.all()
    assert told.prevalence.counts.tolist() == [0, 0, 0]
    assert np.isnan(told.reliability.values).all()
    assert told.reliability.low.tolist() == [0] * 3
    assert told.reliability.high.tolist() == [1] * 3
    assert told.unsupported_reliability.value == 1


@pytest.mark.parametrize("by", BYS)
def test_one_photo_and_one_concept(by):
    assert group([[2.0]], by).members.tolist() == [[True]]
    assert group([[0.4, 0.6]], by).members[0, 1]
    assert group([[-1.0]], by).unsupported.tolist() == [True]


def test_unknown_classes_do_not_count_for_reliability():
    phi = np.ones((4, 1))
    told = group(phi, right=np.array([True, False, True, True]), known=np.array([True, True, False, False]))
    assert (told.reliability[0].count, told.reliability[0].total) == (1, 2)
    nothing = group(phi)
    assert np.isnan(nothing.reliability.values).all()
    assert str(nothing.reliability[0]) == "unknown"


def test_all_wrong_is_known():
    told = group(np.ones((4, 1)), right=np.zeros(4, dtype=bool))
    assert told.reliability[0].value == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(ValueError, match="importance: wanted finite numbers"):
        group([[1.0, bad]])


def test_bad_options():
    with pytest.raises(ValueError, match=r"by: wanted one of .* got 'argmax'"):
        group([[1.0]], "argmax")
    with pytest.raises(ValueError, match=r"importance: wanted shape \(photos, concepts\)"):
        group([1.0, 2.0])
    with pytest.raises(ValueError, match="may have several concepts"):
        _ = group([[1.0]], "presence").of_image


def test_rules_say_their_numbers():
    assert "at least 0.12" in rule_of("presence", 0.12)
    assert len({rule_of(by, 0.1) for by in BYS}) == 3


def test_rates_are_arrays():
    rates = Rates.of([1, 0], [2, 0], 0.95)
    assert np.asarray(rates)[0] == 0.5
    assert np.isnan(np.asarray(rates)[1])
    assert "50% (9% to 91%, 1 of 2), unknown" in repr(rates)
    with pytest.raises(ValueError, match="read-only"):
        rates.counts[0] = 3
