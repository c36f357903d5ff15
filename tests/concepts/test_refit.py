"""Extracting again with another number of concepts: from the same features, by the same ids."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from whatwhere.concepts._gathering import Gathering
from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.refit import Refits, most_concepts


@pytest.fixture(scope="module")
def made(small, pictures, extract):
    """A network, its pictures, and a bank of three concepts."""
    model = small()
    images = {f"p{k}": picture for k, picture in enumerate(pictures(12))}
    return model, images, extract(model, images)


def drained(steps):
    return [step.record for step in steps][-1]


@pytest.mark.parametrize("fit_on", ["locations", "both"])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_as_many_as_asked_for_and_all_adds_up(small, pictures, extract, fit_on, n):
    model = small()
    bank = extract(model, {f"p{k}": picture for k, picture in enumerate(pictures(8))}, fit_on=fit_on)
    again = bank.on(model).refit(n)
    assert (again.rank, again.refits, again.method) == (n, (n,), bank.method)
    assert again.complete
    whole = again.bases + again.contributions.sum(axis=1) + again.residuals
    assert whole == pytest.approx(again.logits, abs=1e-4)
    assert float(again.importance.sum()) == pytest.approx(1, abs=1e-5)
    assert again.images == bank.images
    assert again.source is bank.source


def test_more_concepts_leave_no_larger_error_and_fewer_no_smaller_one(made):
    model, _, bank = made
    errors = [bank.on(model).refit(n).quality.error for n in (1, 2, 3, 5, 8)]
    assert all(after <= before + 1e-4 for before, after in itertools.pairwise(errors))


def test_a_rank_as_before_changes_next_to_nothing(made):
    """The fit had converged: what it starts from is where it ends."""
    model, _, bank = made
    again = bank.on(model).refit(bank.rank)
    assert again.ids == bank.ids
    cosines = (again.W * bank.W).sum(axis=1)
    assert cosines.min() > 0.999
    assert again.importance == pytest.approx(bank.importance, abs=0.02)


def test_ids_names_and_marks_go_on_where_concepts_stay(made):
    model, _, bank = made
    first, second, third = bank.ids
    told = bank.annotated(
        {first: "ears", third: "fins"}, {second: "a note"}, hidden=[third], pinned=[first], groups=[(first, second)]
    )
    more = told.on(model).refit(5)
    kept = [k for k in bank.ids if k in more.ids]
    assert len(kept) >= 2
    assert all(k > max(bank.ids) for k in set(more.ids) - set(bank.ids))
    for k in kept:
        cosine = float(more.W[more.number_of(k)] @ bank.W[bank.number_of(k)])
        assert cosine >= 0.5
    assert more.labels == {k: text for k, text in told.labels.items() if k in more.ids}
    assert more.notes == {k: text for k, text in told.notes.items() if k in more.ids}
    assert (more.hidden, more.pinned) == (
        tuple(k for k in (third,) if k in more.ids),
        tuple(k for k in (first,) if k in more.ids),
    )


def test_a_concept_that_comes_back_gets_its_own_id_and_no_other_one_does(made):
    model, _, bank = made
    refits = Refits(bank.on(model))
    more = drained(refits.steps(bank, 6))
    few = drained(refits.steps(more, 2, known=[bank]))
    again = drained(refits.steps(few, 7, known=[more, bank]))
    known = {**dict(zip(bank.ids, bank.W, strict=True)), **dict(zip(more.ids, more.W, strict=True))}
    fresh = set(again.ids) - set(known)
    assert all(k > max(known) for k in fresh)
    for k in set(again.ids) & set(known):
        ways = [b.W[b.number_of(k)] for b in (few, more, bank) if k in b.ids]
        assert max(float(again.W[again.number_of(k)] @ way) for way in ways) >= 0.5
    assert few.refits == (6, 2)


def test_the_network_is_asked_for_features_once(made, monkeypatch):
    model, _, bank = made
    made_of = []
    real = Gathering.stages
    monkeypatch.setattr(Gathering, "stages", lambda self: (made_of.append(self), real(self))[1])
    refits = Refits(bank.on(model))
    stages = [[step.stage for step in refits.steps(bank, n)] for n in (2, 4)]
    assert len(made_of) == 1
    assert "images" in stages[0]
    assert "images" not in stages[1]
    assert {"concepts", "codes", "importance"} <= set(stages[1])


def test_a_run_that_is_given_up_half_way_leaves_the_next_one_whole(made):
    model, _, bank = made
    refits = Refits(bank.on(model))
    for step in refits.steps(bank, 4):
        assert step.record is None
        break
    assert drained(refits.steps(bank, 4)).rank == 4


def test_a_bank_from_a_file_is_refitted_from_its_photos(made, tmp_path):
    model, images, bank = made
    bank.save(tmp_path / "bank.safetensors")
    loaded = ConceptBank.load(tmp_path / "bank.safetensors")
    with pytest.raises(ValueError, match="images: wanted the bank's photos"):
        loaded.on(model).refit(4)
    again = loaded.on(model, images=images).refit(4)
    same = bank.on(model).refit(4)
    assert again.ids == same.ids
    np.testing.assert_allclose(again.W, same.W, atol=1e-6)
    again.save(tmp_path / "again.safetensors")
    assert ConceptBank.load(tmp_path / "again.safetensors").refits == (4,)


def test_a_target_keeps_its_photos(small, pictures, extract):
    model = small()
    images = pictures(30)
    target = int(np.bincount(extract(model, images).predictions).argmax())
    bank = extract(model, images, target=target, n_concepts=2)
    again = bank.on(model).refit(3)
    assert (again.target, again.images, again.quality.n_left_out) == (target, bank.images, bank.quality.n_left_out)
    assert again.logits == pytest.approx(bank.logits, abs=0.05), "but for 8 bits"


@pytest.mark.parametrize("extractor", ["semi_nmf", "convex_nmf", "kmeans", "pca", "topk_sae"])
def test_other_extractors_go_on_too(small, pictures, extract, extractor):
    model = small()
    bank = extract(model, pictures(8), extractor=extractor)
    assert {bank.on(model).refit(n).rank for n in (2, 5)} == {2, 5}


@pytest.mark.parametrize("n", [0, 13, 2.5, "many"])
def test_numbers_that_cannot_be_are_refused(made, n):
    model, _, bank = made
    assert most_concepts(bank) == 12
    with pytest.raises((TypeError, ValueError), match="n_concepts: wanted an integer"):
        bank.on(model).refit(n)


def test_what_cannot_be_refitted_says_why(made):
    model, _, bank = made
    part = replace(bank, parent=("k", 0))
    with pytest.raises(ValueError, match="parts of a concept are split anew"):
        part.on(model).refit(2)
    other = bank.on(model)
    with torch.no_grad():
        model.net[3].weight += 1
    try:
        with pytest.raises(ValueError, match="wanted the network that the concepts came from"):
            other.refit(2)
    finally:
        with torch.no_grad():
            model.net[3].weight -= 1
