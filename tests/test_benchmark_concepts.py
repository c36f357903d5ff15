"""The pure helpers of the benchmark of concepts: every second is counted once, and all that is watched exists."""

from __future__ import annotations

from types import SimpleNamespace

import _concepts_report
import numpy as np
import pytest
import torch
from _concepts_bench import ConceptOptions, Features, gather, prepared, relative_error
from _concepts_clock import SHARES, Clock, places, self_time, watched
from _concepts_earlier import _measure
from _concepts_held_out import other_half
from _concepts_modes import stability, weigh
from _concepts_peer import _agreement, _halves
from _peers import plain_network

import whatwhere as ww
from concepts import PARTS
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.crops import cut_out, windows_of
from whatwhere.engine.encoder import Encoder
from whatwhere.engine.factors import Dictionary


class Hand:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_second_is_counted_once_by_the_innermost_share():
    hand = Hand()
    clock = Clock(hand)
    hand.now = 1
    with clock.on("importance"):
        hand.now = 3
        with clock.on("network"):
            hand.now = 8
        hand.now = 9
    hand.now = 9.5
    seconds = clock.seconds()
    assert {k: v for k, v in seconds.items() if v} == {"importance": 3, "network": 5, "rest": 1.5}
    assert self_time(seconds) == pytest.approx(4.5 / 5)
    assert self_time(seconds, without=("rest",)) == pytest.approx(3 / 5)


def test_runs_of_the_network_that_serve_no_image_are_not_the_networks():
    hand = Hand()
    clock = Clock(hand)
    with clock.on("preparing"), clock.on("network"):
        hand.now = 2
    assert clock.seconds()["preparing"] == 2
    assert clock.seconds()["network"] == 0


def test_an_error_leaves_the_clock_in_order():
    hand = Hand()
    clock = Clock(hand)

    def fail():
        with clock.on("codes"):
            hand.now = 1
            raise ValueError("within")

    with pytest.raises(ValueError, match="within"):
        fail()
    hand.now = 3
    assert clock.seconds()["rest"] == 2


def test_all_that_is_watched_exists_and_is_put_back():
    before = [getattr(owner, name) for owner, name, *_ in places()]
    assert {share for _, _, share, _ in places()} | {"rest"} == set(SHARES)
    with watched():
        assert all(getattr(owner, name) is not old for (owner, name, *_), old in zip(places(), before, strict=True))
    assert [getattr(owner, name) for owner, name, *_ in places()] == before


def test_a_watched_run_gives_the_same_bank_and_every_share(model, photos):
    method = Craft(n_concepts=2, fit_on="both", patch=112)
    plain = method.run(model, photos, progress=False)
    with watched() as clock:
        bank = method.run(model, photos, progress=False)
        seconds = clock.seconds()
    np.testing.assert_array_equal(bank.W, plain.W)
    assert {share for share in SHARES if not seconds[share] > 0} == {"tuning"}  # too short a run for that


def test_gathered_features_are_those_of_craft(model, photos):
    found = gather(Encoder(model, "features"), photos, None)
    bank = Craft(n_concepts=2).run(model, photos, progress=False)
    assert found.cells.shape == (len(photos), 7, 7, 1280)
    assert found.pooled.shape == (len(photos), 16, 1280)
    error = relative_error(Dictionary(torch.from_numpy(bank.W.copy())), found.rows("crops")[0])
    assert error == pytest.approx(bank.quality.error_crops, rel=1e-4)
    assert sum(len(rows) for rows in found.rows("both")) == len(photos) * (49 + 16)
    assert len(found.take(torch.tensor([1])).logits) == 1


def test_only_photos_of_the_class_are_gathered(model, photos):
    target = int(model.predict(photos["coffee"]).argmax())
    kept = gather(Encoder(model, "features"), photos, target, crops=False)
    assert isinstance(kept, Features)
    assert (kept.logits.argmax(dim=1) == target).all()
    assert 1 <= len(kept.logits) < len(photos)


@pytest.fixture(scope="module")
def gathered(model, photos):
    encoder = Encoder(model, "features")
    return encoder, gather(encoder, photos, None)


def test_stored_codes_weigh_what_the_bank_says(model, photos, gathered):
    encoder, features = gathered
    bank = Craft(n_concepts=2).run(model, photos, progress=False)
    dictionary = Dictionary(torch.from_numpy(bank.W.copy()))
    found = weigh(encoder, dictionary, features, torch.from_numpy(bank.codes.copy()))
    np.testing.assert_allclose(found, bank.importance, atol=1e-4)


def test_a_held_out_photo_does_not_shape_its_bank(gathered):
    encoder, features = gathered
    logits = other_half(encoder, features, "crops", 2)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(features.logits)))
    first = order[: len(order) // 2]
    changed = features.pooled.clone()
    changed[first[0]] *= 3  # the bank of the first half is another, so the second half's logits are
    other = other_half(encoder, features._replace(pooled=changed), "crops", 2)
    assert torch.equal(other[first], logits[first])
    assert not torch.allclose(other[order[len(first) :]], logits[order[len(first) :]])


def test_the_same_seed_is_perfectly_stable(gathered):
    found = stability(gathered[1], "crops", ConceptOptions(rank=2, resamples=2))
    assert found["halves"]["high"] <= 1 + 1e-6
    assert found["seeds"]["high"] <= 1 + 1e-6


def test_importances_behind_an_affine_head_foretell_what_is_lost(model, photos):
    concepts = Craft(n_concepts=3).run(model, photos, progress=False).on(model)
    found = _measure(concepts.response(photos["coffee"]), 3, 64)
    assert found["gradient_input"]["fidelity"] == pytest.approx(1, abs=1e-3)
    assert found["occlusion"]["evaluations"] == 4


def test_the_same_crops_and_bank_agree_with_the_published_way(model, photos):
    ready = prepared(model, photos)
    inputs = torch.cat([model.to_input(photo.pixels) for photo in ready.values()]).contiguous()
    bank = Craft(n_concepts=2).run(model, ready, progress=False)
    crops = cut_out(inputs, windows_of((224, 224), None)).contiguous()
    net = plain_network(model)
    found = _agreement(model, _halves(net)[0], inputs, bank, (SimpleNamespace(W=bank.W.copy()), crops))
    assert found["crops"] == 16
    assert max(found["apart"], found["apart_corner"]) < 1e-5
    assert found["error_ours_on_ours"] == pytest.approx(bank.quality.error_crops, rel=1e-4)
    assert found["error_theirs_on_theirs"] == pytest.approx(found["error_ours_on_ours"], rel=1e-4)
    with torch.no_grad():
        encode, decode = _halves(net)
        torch.testing.assert_close(decode(encode(inputs)), net(inputs))


def test_every_part_writes_a_table_or_says_why_not():
    assert set(_concepts_report.WRITE) == set(PARTS)
    skipped = {"skipped": "no photos"}
    for part in ("modes", "importance", "held_out", "earlier", "classes"):
        assert _concepts_report.WRITE[part](skipped, ConceptOptions()).endswith("no photos")
    absent = {"default": {"efficientnet_lite0": {"no_peer": "craft-xai is not measured"}}}
    assert "craft-xai is not measured" in _concepts_report.peer(absent, ConceptOptions())


def test_the_public_method_is_what_is_measured():
    assert ww.Craft is Craft
