"""The pure helpers of the benchmark of concepts: every second is counted once, and all that is watched exists."""

from __future__ import annotations

import _concepts_report
import numpy as np
import pytest
import torch
from _concepts_bench import ConceptOptions, Features, gather, relative_error
from _concepts_clock import SHARES, Clock, places, self_time, watched

import whatwhere as ww
from concepts import PARTS
from whatwhere.concepts.craft import Craft
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
    assert all(seconds[share] > 0 for share in SHARES)


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


def test_every_part_writes_a_table_or_says_why_not():
    assert set(_concepts_report.WRITE) == set(PARTS)
    skipped = {"skipped": "no photos"}
    for part in ("modes", "importance", "held_out", "earlier"):
        assert _concepts_report.WRITE[part](skipped, ConceptOptions()).endswith("no photos")
    absent = {"default": {"efficientnet_lite0": {"no_peer": "craft-xai is not measured"}}}
    assert "craft-xai is not measured" in _concepts_report.peer(absent, ConceptOptions())


def test_the_public_method_is_what_is_measured():
    assert ww.Craft is Craft
