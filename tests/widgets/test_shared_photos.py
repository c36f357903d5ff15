"""A photo that one view takes in arrives in the others of its selection that show the same photos."""

import io
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import whatwhere as ww
from whatwhere.jobs import Step
from whatwhere.pixels.images import read_photo

PATIENCE = 30


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def picture(side=40, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


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
def method():
    return ww.Craft(n_concepts=3, layer="1", fit_on="locations", designs=8)


@pytest.fixture(scope="module")
def bank(model, photos, method):
    return method.run(model, photos, progress=False)


@pytest.fixture
def made():
    views = []
    yield views
    for view in views:
        view.close()


@pytest.fixture
def look(model, photos, made):
    def make(shown=None, **options):
        view = ww.AttributionView(model, shown or photos, method=ww.Sobol(grid=4, rows=4), **options)
        made.append(view)
        return view

    return make


@pytest.fixture
def explore(model, bank, made):
    def make(selection, source=None, network=model, **options):
        view = ww.ConceptExplorer(source or bank, network, selection=selection, **options)
        made.append(view)
        return view

    return make


def from_browser(view, monkeypatch, image, name="cat.png"):
    """Send a photo as the browser does, and return the answer."""
    sent = []
    monkeypatch.setattr(view, "send", lambda content, **_: sent.append(content))
    view._receive(view, {"kind": "photo", "rid": "r", "v": 1, "name": name}, [memoryview(png(image))])
    until(lambda: sent)
    return sent[0]


def test_from_maps_to_concepts(look, explore, model, bank):
    maps = look()
    seen = explore(maps.selection)
    assert maps.add({"cat": picture(seed=5)}) == ["cat"]
    until(lambda: seen.selected_image == "cat")
    assert (seen.added["cat"].pixels == maps.images["cat"].pixels).all()
    until(lambda: seen._images[-1]["name"] == "cat")
    straight = bank.on(model).encode(picture(seed=5))[..., [bank.ids.index(k) for k in seen.ids]]
    assert np.allclose(seen._explored.strip.guests["cat"].codes, straight, atol=1e-6)
    assert maps.selected_image == "cat"
    assert maps.selection.images == ["cat"]


def test_from_concepts_to_maps(look, explore):
    maps = look()
    seen = explore(maps.selection)
    maps.start().wait(PATIENCE)
    seen.add({"cat": picture(seed=5)})
    until(lambda: maps.selected_image == "cat")
    assert (seen.added["cat"].pixels == maps.images["cat"].pixels).all()
    until(lambda: maps._status["cat"]["state"] == "done")  # a view that computes goes on with it
    straight = ww.Sobol(grid=4, rows=4).run(maps._model, picture(seed=5))
    assert (maps.attribution.values() == straight.values()).all()


def test_from_the_browser_both_ways(look, explore, monkeypatch):
    maps = look()
    seen = explore(maps.selection)
    assert from_browser(maps, monkeypatch, picture(seed=5)) == {
        "kind": "added",
        "rid": "r",
        "v": 1,
        "name": "cat",
        "missed": [],
    }
    until(lambda: "cat" in seen.added)
    assert from_browser(seen, monkeypatch, picture(seed=6))["name"] == "cat (2)"
    until(lambda: "cat (2)" in maps.images)
    expected = read_photo(picture(seed=6)).pixels
    for shown in (maps.images["cat (2)"], seen.added["cat (2)"]):
        assert (shown.pixels == expected).all()


def test_nothing_is_told_twice(look, explore):
    maps = look()
    others = [explore(maps.selection), look(selection=maps.selection)]
    maps.add({"cat": picture(seed=5)})
    until(lambda: "cat" in others[0].added and "cat" in others[1].images)
    others[1].add({"dog": picture(seed=6)})
    until(lambda: "dog" in others[0].added and "dog" in maps.images)
    names = [*(f"photo {n}" for n in range(6)), "cat", "dog"]
    assert list(maps.images) == list(others[1].images) == names
    assert list(others[0].added) == ["cat", "dog"]


def test_who_comes_later_has_it_as_well(look, explore):
    maps = look()
    maps.add({"cat": picture(seed=5)})
    seen = explore(maps.selection)
    until(lambda: seen.selected_image == "cat")
    late = look(selection=maps.selection)
    until(lambda: "cat" in late.images)


def test_concepts_take_it_in_once_they_are_there(look, explore, model, photos, method):
    maps = look()
    job = method.submit(model, photos)
    seen = explore(maps.selection, source=job)
    maps.add({"cat": picture(seed=5)})
    assert seen.added == {}
    seen.start().wait(PATIENCE)
    until(lambda: "cat" in seen.added)
    until(lambda: seen.selected_image == "cat")


def test_it_comes_back_when_the_number_of_concepts_changes(look, explore):
    maps = look()
    seen = explore(maps.selection)
    seen.start().wait(PATIENCE)
    maps.add({"cat": picture(seed=5)})
    until(lambda: "cat" in seen.added)
    seen.refit(2).wait(PATIENCE)
    until(lambda: "cat" in seen._explored.strip.guests and seen.bank.rank == 2)
    assert seen._explored.strip.guests["cat"].codes.shape[-1] == 2
    assert list(seen.added) == ["cat"]


@pytest.fixture
def overtaken(explore):
    """A view of concepts whose number changes while a photo is looked at, between its last step and its arrival."""

    def make(selection=None):
        seen = explore(selection)
        seen.start().wait(PATIENCE)
        first = seen.bank
        other = seen.refit(2).wait(PATIENCE)
        seen.refit(3).wait(PATIENCE)
        until(lambda: seen.bank is first)
        read, real = [], seen._reading

        def reading(photo):
            for step in real(photo):
                if step.record is not None:
                    read.append(step.record.codes.shape[-1])
                    if len(read) == 1:
                        seen._refitted = other
                        seen._publish(force=True)
                yield step

        seen._reading = reading
        return seen, read

    return make


@pytest.mark.parametrize("way", ["python", "browser", "another view"])
def test_a_photo_that_a_refit_overtakes_is_looked_at_again(look, overtaken, monkeypatch, way):
    maps = look()
    seen, read = overtaken(maps.selection)
    if way == "python":
        assert seen.add({"cat": picture(seed=5)}) == ["cat"]
    elif way == "browser":
        told = from_browser(seen, monkeypatch, picture(seed=5))
        assert (told["kind"], told["name"]) == ("added", "cat")
    else:
        maps.add({"cat": picture(seed=5)})
    until(lambda: "cat" in seen.added)
    assert read == [3, 2]
    assert seen._explored.strip.guests["cat"].codes.shape[-1] == seen.bank.rank == 2
    until(lambda: seen._images[-1]["name"] == "cat")
    assert len(seen._images[-1]["contributions"]) == 2


@pytest.mark.parametrize("kind", ["maps", "what if", "split"])
def test_what_was_asked_of_other_concepts_is_not_shown(overtaken, monkeypatch, kind):
    seen, _ = overtaken()
    net, sent = seen._explored.net, []
    other = next(bank for rank, bank in seen._banks.items() if rank == 2)
    monkeypatch.setattr(seen, "reply", lambda kind, rid, **content: sent.append((kind, rid, content)))

    def overtake(real):
        def steps(*given):
            for step in real(*given):
                if step.record is not None and seen.bank is not other:
                    seen._refitted = other
                    seen._publish(force=True)
                yield step

        return steps

    monkeypatch.setattr(net, "maps", overtake(net.maps))
    monkeypatch.setattr(net, "what_if", overtake(net.what_if))
    monkeypatch.setattr(net, "parts", overtake(lambda k: iter([Step(1, 1, "parts", _part_of(k))])))
    ids = [int(k) for k in seen.ids]
    asked = {
        "maps": {"kind": "map", "image": "photo 1", "map_kind": "implicit"},
        "what if": {"kind": "whatif", "image": "photo 1", "scales": {str(ids[0]): 0.0}},
        "split": {"kind": "split", "concept": ids[0]},
    }
    seen._receive(seen, {**asked[kind], "rid": "late"}, [])
    until(lambda: sent)
    ((said, rid, content),) = sent
    assert (said, rid, content["superseded"]) == ("refused", "late", True)
    assert seen.bank is other
    assert seen._overlays == {}
    assert seen.parts == {}


def _part_of(concept_id):
    return SimpleNamespace(parent=("bank", concept_id))


def test_a_photo_that_comes_back_while_another_is_taken_in(explore):
    """The worker puts it among the guests between two looks at them."""
    seen = explore(None)
    seen.start().wait(PATIENCE)
    seen.add({"cat": picture(seed=5)})
    strip, facts = seen._explored.strip, seen._explored.facts
    cat = strip.guests["cat"]

    class Meanwhile(dict):
        def values(self):
            found = super().values()
            self.setdefault("dog", cat)
            return found

        items = dict.items

    strip.guests = Meanwhile(strip.guests)
    seen._explored._tell_logits(facts)
    assert list(seen.added) == ["cat", "dog"]


def test_views_of_other_photos_stay_as_they_are(look, explore, photos):
    others = {name: photos[name] for name in ("photo 0", "photo 1")} | {"sea": picture(seed=7)}
    smaller = {name: picture(20, seed=n) for n, name in enumerate(photos)}
    maps, named_alike = look(others), look(smaller)
    seen = explore(maps.selection)
    alike = explore(named_alike.selection)
    for view in (maps, named_alike):
        view.add({"cat": picture(seed=5)})
        assert "cat" in view.images
    for view in (seen, alike):
        view.add({"dog": picture(seed=5)})  # waits for the worker, which would have read the other before
        assert list(view.added) == ["dog"]
        assert view._company() == []
    assert not any("dog" in view.images for view in (maps, named_alike))


def test_some_of_the_photos_are_company(look, explore, photos):
    maps = look({name: photos[name] for name in ("photo 2", "photo 4")})
    seen = explore(maps.selection)
    maps.add({"photo 0": picture(seed=5)})  # the name is taken in the other view
    until(lambda: "photo 0 (2)" in seen.added)
    assert list(maps.images) == ["photo 2", "photo 4", "photo 0 (2)"]


def test_why_it_is_in_one_view_only_is_said(look, explore, monkeypatch, caplog):
    maps = look()
    bare = explore(maps.selection, network=None)
    told = from_browser(maps, monkeypatch, picture(seed=5))
    assert told["kind"] == "added"
    assert told["missed"] == [bare._model["reason"]]
    maps.add({"dog": picture(seed=6)})
    assert "needs the network" in caplog.text
    assert bare.added == {}


def test_a_failure_in_the_other_view_is_said_there(look, explore, monkeypatch):
    maps = look()
    seen = explore(maps.selection)
    seen.start().wait(PATIENCE)

    def fail(*_):
        raise RuntimeError("out of paper")

    monkeypatch.setattr(seen, "_reading", fail)
    maps.add({"cat": picture(seed=5)})
    until(lambda: seen._status["state"] == "failed")
    assert "out of paper" in seen._status["error"]["why"]
    assert "cat" in seen._status["error"]["what"]
    assert "cat" in maps.images


def test_a_view_that_was_closed_is_left_alone(look, explore):
    maps = look()
    seen = explore(maps.selection)
    seen.close()
    maps.add({"cat": picture(seed=5)})
    assert maps.selected_image == "cat"


def test_a_page_holds_it_in_both(look, explore):
    maps = look()
    seen = explore(maps.selection)
    maps.add({"cat": picture(seed=5)})
    until(lambda: "cat" in seen.added)
    for view in (maps, seen):
        assert "cat" in [each["name"] for each in view.exported_state()["_images"]]
