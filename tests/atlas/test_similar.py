"""Concepts that classes share: planted ones are found, and nothing depends on an order."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import whatwhere as ww

SHARED = {(0, 1): (4, 2), (3, 0): (5, 5)}


def pairs(found):
    return {(one.here, one.there) for one in found}


@pytest.fixture(scope="module")
def banks(planted):
    return planted(0, shared=SHARED)


@pytest.fixture(scope="module")
def atlas(banks):
    return ww.Atlas.from_banks(banks)


def test_planted_concepts_are_found(atlas):
    found = atlas.similar()
    assert pairs(found) == set(SHARED.items())
    assert all(one.z > 8 and one.q <= 0.05 and one.mutual and one.cosine > 0.8 for one in found)
    assert [one.z for one in found] == sorted((one.z for one in found), reverse=True)
    assert "42 or more" in atlas.calibration


@pytest.mark.parametrize("seed", range(1, 6))
def test_planted_concepts_are_found_whatever_the_seed(planted, seed):
    atlas = ww.Atlas.from_banks(planted(seed, shared=SHARED))
    assert pairs(atlas.similar(threshold=None, most=2)) == set(SHARED.items())
    assert pairs(atlas.similar()) >= set(SHARED.items())


def test_questions_of_one_class_and_of_one_concept(atlas):
    assert pairs(atlas.similar(4)) == {((4, 2), (0, 1))}
    assert pairs(atlas.similar(0, 1)) == {((0, 1), (4, 2))}
    assert atlas.similar(0, 0) == []
    assert atlas.similar("goldfish") == []
    one = atlas.similar(0, 0, threshold=None, most=3)
    assert [each.here for each in one] == [(0, 0)] * 3
    assert all(each.there[0] != 0 for each in one)
    every = atlas.similar(threshold=None, most=10_000)
    assert len(every) == 28 * 36
    assert len(pairs(every)) == len(every)
    assert all(each.here[0] < each.there[0] for each in every)


def test_the_order_of_classes_and_concepts_changes_nothing(atlas, banks):
    backwards = {c: banks[c].take(list(range(banks[c].rank))[::-1]) for c in reversed(banks)}
    told = ww.Atlas.from_banks(backwards)
    one, other = (
        {(each.here, each.there): each for each in every.similar(threshold=None, most=10_000)}
        for every in (atlas, told)
    )
    assert one.keys() == other.keys()
    for key, each in one.items():
        assert each.cosine == pytest.approx(other[key].cosine, abs=1e-5)
        assert each.z == pytest.approx(other[key].z, abs=1e-3)
        assert each.q == pytest.approx(other[key].q, abs=0.02)
        assert each.mutual == other[key].mutual


def test_mutual_is_the_best_matching_of_both_classes(atlas):
    every = {(one.here, one.there): one for one in atlas.similar(0, threshold=None, most=10_000)}
    for other in (4, 6):
        table = np.array([[every[(0, i), (other, j)].cosine for j in range(6)] for i in range(6)])
        best = max(itertools.permutations(range(6)), key=lambda order: sum(table[i, j] for i, j in enumerate(order)))
        mutual = {(i, j) for i in range(6) for j in range(6) if every[(0, i), (other, j)].mutual}
        assert mutual == set(enumerate(best))


def test_links_are_the_classes_that_share(atlas):
    assert {(link.here, link.there): link.shared for link in atlas.links()} == {(0, 4): ((1, 2),), (3, 5): ((0, 5),)}
    with pytest.raises(ValueError, match="above 0 and up to 1, got 0"):
        atlas.links(threshold=0)


def test_a_concept_of_every_class(planted, bank_of):
    banks = planted(7)
    shared = banks[0].W[3]
    for c, bank in list(banks.items()):
        directions = bank.W.copy()
        directions[0] = shared
        banks[c] = bank_of(c, directions)
    del banks[0]
    found = ww.Atlas.from_banks(banks).similar(most=99)
    assert {((a, 0), (b, 0)) for a in range(1, 8) for b in range(a + 1, 8)} <= pairs(found)
    assert len(found) <= 23


def test_a_class_with_one_concept_many_times(planted, bank_of):
    """A concept that a class has several times belongs to one of another class, once."""
    banks = planted(8, shared=SHARED)
    banks[0] = bank_of(0, np.tile(banks[0].W[1], (6, 1)))
    found = ww.Atlas.from_banks(banks).similar(0)
    assert pairs(found) == {((0, k), (4, 2)) for k in range(6)}
    assert sum(one.mutual for one in found) == 1


def test_dead_concepts_are_never_told(planted, bank_of):
    banks = planted(9)
    directions = banks[2].W.copy()
    directions[1] = 0
    banks[2] = bank_of(2, directions)
    found = ww.Atlas.from_banks(banks).similar(threshold=None, most=10_000)
    assert (2, 1) not in {one.here for one in found} | {one.there for one in found}


def test_few_classes_have_no_score_and_say_so(planted):
    banks = planted(0, classes=3, shared={(0, 1): (2, 2)})
    atlas = ww.Atlas.from_banks(banks)
    found = atlas.similar(most=3)
    assert len(found) == 3
    assert (found[0].here, found[0].there) == ((0, 1), (2, 2))
    assert np.isnan([one.z for one in found]).all()
    assert np.isnan([one.q for one in found]).all()
    assert [one.cosine for one in found] == sorted((one.cosine for one in found), reverse=True)
    assert "at least 20 different concepts of other classes, and 3 classes have 18 in all" in atlas.calibration
    assert atlas.links() == []
    assert ww.Atlas.from_banks({0: banks[0]}).similar() == []


def test_other_layers_networks_and_sizes_are_refused(banks, bank_of):
    one = banks[0]
    elsewhere = replace(banks[1], layer=replace(one.layer, name="another"))
    foreign = replace(banks[1], provenance=replace(one.provenance, fingerprint="f" * 16, model="other"))
    for bank, told in ((elsewhere, "'another'"), (foreign, "other with f"), (bank_of(1, one.W[:, :99]), "with 99")):
        with pytest.raises(ValueError, match=f"across layers or models cosines mean nothing.*{told}"):
            ww.Atlas.from_banks({0: one, 1: bank})


def test_banks_that_are_of_no_class_or_another(banks):
    with pytest.raises(ValueError, match="got one of 1 as 0"):
        ww.Atlas.from_banks({0: banks[1]})
    with pytest.raises(ValueError, match="wanted the concepts of one class"):
        ww.Atlas.from_banks({0: replace(banks[0], target=None)})
    with pytest.raises(ValueError, match="wanted one at least"):
        ww.Atlas.from_banks({})


@pytest.mark.parametrize("options", [{"most": 0}, {"threshold": 0}, {"threshold": 1.5}])
def test_bad_options(atlas, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        atlas.similar(**options)


def test_alignment_needs_the_network(atlas):
    with pytest.raises(ValueError, match="needs the network"):
        atlas.alignment(0, 0)
    with pytest.raises(ValueError, match="from 1 to 20, got 21"):
        atlas.alignment(0, 0, 21)
