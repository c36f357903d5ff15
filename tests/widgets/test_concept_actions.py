"""What people do with concepts in a view: merging, another number of them, and choices that nothing else moves."""

from __future__ import annotations

import dataclasses
import gc
import io
import time
import weakref

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image
from torch import nn

import whatwhere as ww
from whatwhere.concepts._gathering import Gathering
from whatwhere.jobs import Job, Pace, Step

PATIENCE = 30


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def pictures():
    """Coloured blocks of 24 x 24 pixels."""
    rng = np.random.default_rng(0)
    blocks = rng.random((12, 6, 6, 3), dtype=np.float32) * (rng.random((12, 6, 6, 1)) < 0.6)
    return {f"photo {n}": np.kron(one, np.ones((4, 4, 1), np.float32)) for n, one in enumerate(blocks)}


@pytest.fixture(scope="module")
def model():
    """Two layers of ReLU maps and an affine head."""
    layers = [nn.Sequential(nn.Conv2d(3, 9, 4, stride=4), nn.ReLU()), nn.Sequential(nn.Conv2d(9, 12, 1), nn.ReLU())]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 7)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (0.3 if weight.ndim > 1 else 0.05))
    small = ww.VisionModel(net, device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, name="small")
    small.batch_size = 4
    return small


@pytest.fixture(scope="module")
def bank(model, pictures):
    return ww.Craft(n_concepts=4, layer="1", fit_on="locations").run(model, pictures, progress=False)


@pytest.fixture
def view(bank, model):
    shown = ww.ConceptExplorer(bank, model)
    yield shown
    shown.close()


@pytest.fixture
def messages(view, monkeypatch):
    sent = []
    monkeypatch.setattr(view, "send", lambda content, **_: sent.append(content))
    return sent


def tell(view, kind, **content):
    view._receive(view, {"kind": kind, "rid": content.pop("rid", "r"), "v": 1, **content}, [])


def settled(view):
    until(lambda: view._status["state"] == "done" and view._errands.current is None)


# -- merging ----------------------------------------------------------------------------------------------------------


def test_what_is_merged_in_the_view_is_kept_in_the_bank(view, bank, tmp_path):
    a, b, c, d = bank.ids
    tell(view, "set", traits={"merged": [[a, c]], "hidden": [d], "pinned": [b]})
    told = view.annotated()
    assert (told.groups, told.hidden, told.pinned) == (((a, c),), (d,), (b,))
    told.save(tmp_path / "bank.safetensors")
    again = ww.ConceptExplorer(ww.ConceptBank.load(tmp_path / "bank.safetensors"))
    assert (again.merged, again.hidden, again.pinned) == ([[a, c]], [d], [b])
    assert again.annotated().groups == ((a, c),)
    again.close()
    view.merged = []
    assert view.annotated().groups == ()
    assert view._bank["ids"] == list(bank.ids), "the concepts themselves stay as they are"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([0, 1], "wanted a list of lists"),
        ("x", "wanted a list of lists"),
        ([[0]], "groups of two ids at least"),
        ([[0, 1], [1, 2]], "no id twice"),
        ([[0, 99]], r"merged: wanted ids of \[.*\], got 99"),
        ([[0, "1"]], "merged: wanted ids"),
    ],
)
def test_groups_that_cannot_be_are_refused(view, value, message):
    with pytest.raises(traitlets.TraitError, match=message):
        view.merged = value
    assert view.merged == []


# -- another number of concepts ---------------------------------------------------------------------------------------


def test_another_number_is_extracted_from_what_is_there(view, bank, messages):
    a, b, *_ = bank.ids
    view.names, view.pinned, view.merged = {a: "ears"}, [b], [[a, b]]
    tell(view, "rank", concepts=6, rid="n")
    until(lambda: messages)
    assert [(m["kind"], m["rid"]) for m in messages] == [("applied", "n")]
    assert view.bank.rank == len(view._bank["ids"]) == 6
    assert {a, b} <= set(view.ids), "concepts that stay keep their ids"
    assert (view.names, view.pinned, view.merged) == ({str(a): "ears"}, [b], [[a, b]])
    assert view.bank.refits == (6,)
    assert ".refit(6)" in view._bank["code"]
    view.start()
    settled(view)
    until(lambda: view._effects)
    assert len(view._effects) == 2 * 6 * 7
    assert {told["name"] for told in view._images} <= set(bank.images)


def test_going_back_brings_the_very_bank_and_what_was_said_of_it(view, bank):
    last = bank.ids[-1]
    view.names, view.notes = {last: "fins"}, {last: "rare"}
    view.hidden, view.merged = [last], [[bank.ids[0], bank.ids[1], last]]
    fewer = view.refit(2).wait(PATIENCE)
    until(lambda: view.bank is fewer)
    assert all(k in view.ids for k in map(int, view.names))
    assert last in view.ids or (view.names, view.hidden) == ({}, [])
    assert {k for ids in view.merged for k in ids} <= set(view.ids)
    view.refit(4).wait(PATIENCE)
    until(lambda: view.bank is bank)
    assert (view.names, view.notes, view.hidden) == ({str(last): "fins"}, {str(last): "rare"}, [last])
    assert view.merged == [[bank.ids[0], bank.ids[1], last]]
    assert view.refit(2).wait(PATIENCE) is fewer


def test_ids_are_never_given_to_another_concept(view):
    known = {}
    for n in (6, 2, 7, 4, 3, 8):
        made = view.refit(n).wait(PATIENCE)
        until(lambda made=made: view.bank is made)
        for concept_id, direction in zip(made.ids, made.W, strict=True):
            same = known.setdefault(concept_id, [])
            assert not same or max(float(direction @ other) for other in same) > 0.5
            same.append(direction)


def test_the_network_reads_the_photos_once(view, monkeypatch):
    made_of = []
    real = Gathering.stages
    monkeypatch.setattr(Gathering, "stages", lambda self: (made_of.append(self), real(self))[1])
    for n in (2, 5, 3):
        view.refit(n).wait(PATIENCE)
    assert len(made_of) == 1


def test_the_old_concepts_stay_until_the_new_ones_are_whole_and_stop_keeps_them(view, bank, messages, monkeypatch):
    opened = []

    def held(*_, **__):
        while not opened:
            time.sleep(0.005)
            yield Step(1, 2, "concepts", None)

    monkeypatch.setattr("whatwhere.concepts.refit.Refits.steps", held)
    tell(view, "rank", concepts=6, rid="n")
    until(lambda: view._status["state"] == "computing" and view._status["stage"] == "concepts")
    assert view.bank is bank
    tell(view, "stop")
    until(lambda: messages)
    assert (messages[0]["kind"], messages[0]["rid"], messages[0]["superseded"]) == ("refused", "n", True)
    settled(view)
    assert view.bank is bank
    opened.append(True)


def test_how_far_a_refit_is_is_told_with_a_total(view, monkeypatch):
    opened = []

    def held(*_, **__):
        while not opened:
            time.sleep(0.005)
            yield Step(12, 40, "concepts", None, Pace("iterations", "about", 3.0, whole=True, share=0.4))

    monkeypatch.setattr("whatwhere.concepts.refit.Refits.steps", held)
    job = view.refit(6)
    until(lambda: view._status["done"] == 12)
    told = view._status
    assert (told["done"], told["total"], told["eta"]) == (12, 40, 3.0)
    assert told["pace"] == {"unit": "iterations", "bound": "about", "whole": True, "share": 0.4}
    assert job.seconds_left == 3.0
    view.stop()
    settled(view)
    assert view._status["pace"] is None
    opened.append(True)


def test_a_number_that_is_asked_for_twice_is_the_latest(view, messages):
    for n, rid in ((6, "a"), (5, "b"), (2, "c")):
        tell(view, "rank", concepts=n, rid=rid)
    until(lambda: len(messages) == 3)
    assert [(m["rid"], m["kind"]) for m in messages if m["kind"] == "applied"][-1] == ("c", "applied")
    until(lambda: view.bank.rank == 2)


@pytest.mark.parametrize("wanted", [0, 13, 2.0, True, None, "many"])
def test_numbers_that_cannot_be_are_refused_in_words(view, messages, wanted):
    tell(view, "rank", concepts=wanted, rid=5)
    (refused,) = messages
    assert (refused["kind"], refused["rid"]) == ("refused", 5)
    assert "wanted an integer from 1 to 12" in refused["message"]


def test_what_is_missing_is_said(bank, model, pictures, tmp_path):
    bank.save(tmp_path / "bank.safetensors")
    loaded = ww.ConceptBank.load(tmp_path / "bank.safetensors")
    without = ww.ConceptExplorer(loaded)
    assert "ConceptExplorer(bank, model)" in without._model["rank"]
    some = ww.ConceptExplorer(loaded, model, images=dict(list(pictures.items())[:5]))
    assert "needs all photos that these were found in: ConceptExplorer(bank, model, images=" in some._model["rank"]
    with pytest.raises(ValueError, match="needs all photos"):
        some.refit(2)
    every = ww.ConceptExplorer(loaded, model, images=pictures)
    assert every._model["rank"] == ""
    assert every.refit(2).wait(PATIENCE).rank == 2
    until(lambda: every.bank.rank == 2)
    part = ww.ConceptExplorer(dataclasses.replace(bank, parent=("k", 0)), model)
    assert "parts of a concept" in part._model["rank"]
    for each in (without, some, every, part):
        each.close()


def test_a_fit_that_fails_keeps_what_there_was(view, bank, messages, monkeypatch):
    monkeypatch.setattr("whatwhere.concepts.refit.Refits.steps", lambda *_, **__: 1 / 0)
    tell(view, "rank", concepts=3)
    until(lambda: messages)
    assert messages[0]["kind"] == "refused"
    assert "division by zero" in messages[0]["message"]
    until(lambda: view._status["state"] == "failed")
    assert view.bank is bank
    monkeypatch.undo()
    view.refit(3).wait(PATIENCE)
    settled(view)


def test_closing_gives_the_features_back(bank, model):
    view = ww.ConceptExplorer(bank, model)
    view.refit(2).wait(PATIENCE)
    features = weakref.ref(view._explored._refits)
    view.close()

    def collected():
        gc.collect()
        return features() is None

    until(collected)


# -- nothing moves that nobody moved ----------------------------------------------------------------------------------


def stepping(banks, gate):
    """A job that gives one bank for each opening of the gate."""

    def steps():
        for i, bank in enumerate(banks):
            while len(gate) <= i:
                time.sleep(0.002)
                yield Step(i, len(banks), "concepts", banks[i - 1] if i else None)
            yield Step(i + 1, len(banks), "concepts", bank)

    return Job(steps, device="cpu", name="CRAFT")


def sketch(bank, *, backwards):
    """A bank that still converges, without codes."""
    return dataclasses.replace(
        bank,
        codes=bank.codes[:0].copy(),
        contributions=bank.contributions[:0].copy(),
        contribution=None,
        crops=(),
        complete=False,
        importance=bank.importance[::-1].copy() if backwards else bank.importance.copy(),
    )


@pytest.mark.parametrize("by", ["python", "browser", "selection", "at first"])
@pytest.mark.parametrize("picked", [(), (1, 2)])
def test_what_a_person_chose_stays_while_the_concepts_stream(bank, model, by, picked):
    chosen = [bank.ids[k] for k in picked]
    gate = [1]
    banks = [sketch(bank, backwards=True), sketch(bank, backwards=False), bank]
    options = {"selected_concepts": chosen} if by == "at first" else {}
    view = ww.ConceptExplorer(stepping(banks, gate), model, **options)
    view.start()
    until(lambda: view._bank.get("ids"))
    if by == "at first":
        assert view.selected_concepts == chosen
    elif by == "python":
        view.selected_concepts = chosen
    elif by == "browser":
        tell(view, "set", traits={"selected_concepts": chosen})
    else:
        view.selection._receive(None, {"kind": "set", "rid": "s", "traits": {"concepts": chosen}}, [])
    seen = []
    view.observe(lambda change: seen.append(change["new"]), "selected_concepts")
    for count in (2, 3):
        gate.append(1)
        until(lambda count=count: view._bank["ids"] == list(bank.ids) and len(gate) == count)
        assert view.selected_concepts == view.selection.concepts == chosen
    until(lambda: view._bank["complete"])
    settled(view)
    assert view.selected_concepts == view.selection.concepts == chosen
    assert seen == []
    view.close()


def test_where_all_that_was_chosen_is_gone_the_most_important_is_shown_until_it_comes_back(view, bank):
    more = view.refit(8).wait(PATIENCE)
    until(lambda: view.bank is more)
    added = [k for k in view.ids if k not in bank.ids]
    view.selected_concepts = added
    view.refit(4).wait(PATIENCE)
    until(lambda: view.selected_concepts == [bank.ids[0]])
    view.refit(8).wait(PATIENCE)
    until(lambda: view.selected_concepts == added)
    view.selected_concepts = []
    view.refit(4).wait(PATIENCE)
    until(lambda: view.bank is bank and view._bank["ids"] == list(bank.ids))
    settled(view)
    assert view.selected_concepts == view.selection.concepts == []


# -- photos for pictures that are saved -------------------------------------------------------------------------------


def test_photos_are_given_at_their_own_size(bank, model, monkeypatch):
    rng = np.random.default_rng(0)
    whole = {name: rng.random((300, 200 + n, 3), dtype=np.float32) for n, name in enumerate(bank.images)}
    view = ww.ConceptExplorer(bank, model, images=whole)
    other = ww.AttributionView(model, whole)
    for shown in (view, other):
        sent = []
        monkeypatch.setattr(shown, "send", lambda content, buffers=None, sent=sent: sent.append((content, buffers)))
        tell(shown, "full", image=bank.images[3], rid="p")
        tell(shown, "full", image="nobody", rid="q")
        tell(shown, "full", image=["x"], rid="r")
        until(lambda sent=sent: len(sent) == 3)
        by = {content["rid"]: (content, buffers) for content, buffers in sent}
        assert by["p"][0]["kind"] == "full"
        assert Image.open(io.BytesIO(by["p"][1][0])).size == (203, 300)
        for rid in "qr":
            assert by[rid][0]["kind"] == "refused"
            assert "wanted a photo of the view" in by[rid][0]["message"]
        shown.close()
