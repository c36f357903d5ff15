"""ConceptExplorers, alone and beside an AttributionView, that share a selection."""

import time

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.jobs import Job, Step

PATIENCE = 30


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    blocks = rng.random((6, 6, 6, 3), dtype=np.float32) * (rng.random((6, 6, 6, 1)) < 0.6)
    return {f"photo {n}": np.kron(one, np.ones((4, 4, 1), np.float32)) for n, one in enumerate(blocks)}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 9, 4, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(9, 4))
    return ww.VisionModel(net.eval(), device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, name="small")


@pytest.fixture(scope="module")
def bank(model, photos):
    method = ww.Craft(n_concepts=4, layer="1", fit_on="locations", designs=8)
    return method.run(model, photos, progress=False)


@pytest.fixture
def explore(bank, model):
    """Make views of some of the concepts, by row; they are closed at the end."""
    made = []

    def make(selection=None, rows=(0, 1, 2, 3), source=None, **traits):
        view = ww.ConceptExplorer(source or bank.take(list(rows)), model, selection=selection, **traits)
        made.append(view)
        return view

    yield make
    for view in made:
        view.close()


def note(monkeypatch, widget):
    sent = []
    monkeypatch.setattr(widget, "_send", lambda message, *_, **__: sent.append(message.get("state", {})))
    return sent


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def from_browser(selection, rid="r1", **traits):
    selection._receive(selection, {"kind": "set", "rid": rid, "v": 1, "traits": traits}, [])


def test_views_of_concepts_follow_each_other(explore, bank):
    first = explore()
    second = explore(first.selection)
    a, b, c, _ = first.ids
    assert first.selection.concepts == first.selected_concepts == second.selected_concepts == [a]
    first.selected_concepts = [b, c]
    assert second.selected_concepts == [b, c]
    second.selected_image = bank.images[3]
    assert first.selected_image == bank.images[3]
    from_browser(first.selection, concepts=[])
    assert first.selected_concepts == second.selected_concepts == []
    assert first.selection.by == "user"


def test_concepts_that_a_bank_does_not_have_are_left_out(explore):
    whole = explore()
    a, b, c, d = whole.ids
    part = explore(whole.selection, rows=(0, 1), selected_concepts=[b])
    assert whole.selected_concepts == [b]
    whole.selected_concepts = [c, b]
    assert part.selected_concepts == [b]
    assert whole.selection.concepts == [c, b], "a view does not narrow what others selected"
    whole.selected_concepts = [d]
    assert part.selected_concepts == [b]
    part.selected_concepts = []
    assert whole.selected_concepts == []
    whole.selection.concepts = [a, 99, a]
    assert part.selected_concepts == whole.selected_concepts == [a]


def test_a_view_that_joins_takes_over_what_is_selected(explore, bank):
    selection = ww.Selection(concepts=[99, bank.ids[2]], images=["nowhere", bank.images[2]], class_id=1)
    view = explore(selection)
    assert (view.selected_concepts, view.selected_image) == ([bank.ids[2]], bank.images[2])
    assert selection.as_dict()["images"] == ["nowhere", bank.images[2]]
    told = explore(selection, selected_image=bank.images[1])
    assert (view.selected_image, told.selected_concepts) == (bank.images[1], [bank.ids[2]])


def test_maps_and_concepts_show_the_same_photo(explore, model, photos):
    maps = ww.AttributionView(model, photos, method=ww.Sobol(grid=2, rows=4))
    view = explore(maps.selection)
    assert view.selected_image == maps.selected_image == "photo 0"
    maps.selected_image = "photo 4"
    assert view.selected_image == "photo 4"
    view.selected_image = "photo 2"
    assert maps.selected_image == "photo 2"
    maps.close()


def test_the_browser_hears_of_a_choice_through_the_selection_alone(explore, monkeypatch):
    view = explore()
    selection, own = note(monkeypatch, view.selection), note(monkeypatch, view)
    view.selected_concepts = view.ids[1:3]
    assert selection == [{"concepts": view.ids[1:3]}]
    assert all("selected_concepts" not in state for state in own)
    view._receive(view, {"kind": "alone", "rid": 1, "v": 1}, [])
    view._receive(view, {"kind": "set", "rid": 2, "v": 1, "traits": {"selected_concepts": [view.ids[0]]}}, [])
    assert {"selected_concepts": [view.ids[0]]} in own
    assert (view.selection.concepts, view.selection.by) == ([view.ids[0]], "user")


def streamed(*banks):
    """A job that gives banks one after the other."""
    steps = [Step(n + 1, len(banks), "concepts", each) for n, each in enumerate(banks)]
    return Job(lambda: iter(steps), device="cpu", name="stream")


def test_what_a_streamed_bank_settles_on_reaches_the_browser_and_the_others(explore, bank, monkeypatch):
    selection, calls = ww.Selection(), []
    selection.observe(calls.append, "concepts")
    streaming = explore(selection, source=streamed(bank))
    other = explore(ww.Selection(), source=streamed(bank))
    assert selection.concepts == streaming.selected_concepts == []
    sent = note(monkeypatch, selection)
    streaming.start()
    other.start()
    until(lambda: streaming.selected_concepts and other.selected_concepts)
    assert selection.concepts == streaming.selected_concepts == [bank.ids[0]] == other.selected_concepts
    assert selection.images == [streaming.selected_image] != [""]
    assert {"concepts", "images", "by"} <= set().union(*sent)
    assert calls == [], "observers might wait for the worker"


def test_what_was_selected_before_holds_when_a_bank_arrives(explore, bank):
    selection = ww.Selection(concepts=[99, bank.ids[1]], images=["nowhere", bank.images[2]])
    view = explore(selection, source=streamed(bank))
    view.start()
    until(lambda: view._bank)
    assert (view.selected_concepts, view.selected_image) == ([bank.ids[1]], bank.images[2])
    assert selection.concepts == [99, bank.ids[1]]


def test_a_view_that_shares_follows_one_that_still_converges(explore, bank):
    streaming = explore(source=streamed(bank))
    finished = explore(streaming.selection)
    streaming.selection.settle(concepts=[bank.ids[2]])
    assert streaming.selected_concepts == finished.selected_concepts == [bank.ids[2]]


def test_a_closed_view_follows_no_more(explore, bank):
    first = explore()
    second = explore(first.selection)
    second.close()
    first.selected_concepts = [bank.ids[3]]
    assert second.selected_concepts == [bank.ids[0]]


def test_another_object_is_no_selection(explore):
    with pytest.raises(TypeError, match=r"selection: wanted a whatwhere\.Selection or None, got dict"):
        explore({"concepts": [1]})
