"""Photos that are not saved with a view: told of when somebody scrolls to them, and in no state."""

import io
import json
import time

import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _remove_buffers
from PIL import Image
from torch import nn

import whatwhere as ww
from whatwhere.widgets._gallery import draw_thumbnail
from whatwhere.widgets._view import WIRE

PATIENCE = 30
COUNT = 84


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def pictures():
    """Photos that differ in their mean colour, so that each is known again from its thumbnail."""
    rng = np.random.default_rng(0)
    noise = rng.random((COUNT, 40, 32, 3), dtype=np.float32) * 0.2
    return {f"photo {n}": noise[n] + rng.random(3, dtype=np.float32) * 0.8 for n in range(COUNT)}


@pytest.fixture(scope="module")
def net():
    body = nn.Sequential(nn.Conv2d(3, 9, 4, stride=4), nn.ReLU())
    layers = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(9, 7)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in layers.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return ww.VisionModel(layers, device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, name="small")


@pytest.fixture(scope="module")
def bank(net, pictures):
    return ww.Craft(n_concepts=3, layer="0", fit_on="locations", designs=8).run(net, pictures, progress=False)


@pytest.fixture(params=["attribution", "concepts"])
def view(request, net, bank, pictures):
    if request.param == "attribution":
        shown = ww.AttributionView(net, pictures, method=ww.Sobol(grid=3, rows=2))
    else:
        shown = ww.ConceptExplorer(bank, net, pictures)
    yield shown
    shown.close()


@pytest.fixture
def messages(view, monkeypatch):
    """What the view sends to the browser besides traits, with its buffers."""
    sent = []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append((content, buffers)))
    return sent


def ask(view, places, *, mark=None, rid="r"):
    mark = view._strip["mark"] if mark is None else mark
    view._receive(view, {"kind": "thumbnails", "rid": rid, "v": 1, "mark": mark, "places": places}, [])


def colour(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).mean((0, 1)) / 255


def held(view):
    return [place for place, jpeg in enumerate(view._photos) if jpeg]


def test_the_first_photos_are_saved_and_the_others_counted(view):
    assert view._strip["total"] == COUNT
    assert len(held(view)) == (20 if view.kind == "attribution" else 64)
    assert held(view) == list(range(len(held(view))))


def test_photos_come_when_they_are_asked_for_and_stay_out_of_the_state(view, messages, pictures):
    before = view.get_state()
    places = [COUNT - 1, 65, 64]
    ask(view, places)
    until(lambda: messages)
    (told, buffers), *rest = messages
    assert rest == []
    assert (told["kind"], told["rid"], told["mark"]) == ("thumbnails", "r", view._strip["mark"])
    assert [each["place"] for each in told["images"]] == places
    for each, jpeg in zip(told["images"], buffers, strict=True):
        assert colour(jpeg) == pytest.approx(pictures[each["name"]].mean((0, 1)), abs=0.03)
    assert view.get_state() == before


def test_every_photo_has_one_place(view, messages):
    for start in range(0, COUNT, WIRE["thumbnails"]):
        ask(view, list(range(start, min(start + WIRE["thumbnails"], COUNT))), rid=str(start))
    until(lambda: len(messages) == COUNT / WIRE["thumbnails"])
    tiles = {each["place"]: each for told, _ in messages for each in told["images"]}
    assert sorted(tiles) == list(range(COUNT))
    assert len({each["name"] for each in tiles.values()}) == COUNT
    for place, each in enumerate(view._images[: len(held(view))]):
        assert each["name"] == tiles[place]["name"]
        assert each.get("place", place) == place


def test_a_message_is_small(view, messages):
    ask(view, list(range(WIRE["thumbnails"])))
    until(lambda: messages)
    told, buffers = messages[0]
    assert len(json.dumps(told)) + sum(map(len, buffers)) < 200_000


@pytest.mark.parametrize(
    "places", [None, 3, [], [COUNT], [-1], [True], ["1"], [1.0], list(range(WIRE["thumbnails"] + 1))]
)
def test_what_cannot_be_is_refused(view, messages, places):
    ask(view, places)
    (told, _), *_ = messages
    assert told["kind"] == "refused"
    assert told["message"].startswith(f"places: wanted a list of 1 to 12 integers from 0 to {COUNT - 1}, got ")


def test_photos_of_another_strip_are_refused(view, messages):
    ask(view, [1], mark=view._strip["mark"] - 1000)
    (told, _), *_ = messages
    assert (told["kind"], told["superseded"]) == ("refused", True)


def test_two_pages_that_ask_for_the_same_are_both_answered(view, messages, monkeypatch):
    submitted = []
    monkeypatch.setattr("whatwhere.workers.Worker.submit", lambda _, job: submitted.append(job))
    ask(view, [50], rid="one")
    ask(view, [50], rid="two")
    assert submitted[0] is submitted[1]
    while submitted[0].active:
        submitted[0]._advance()
    assert sorted(told["rid"] for told, _ in messages) == ["one", "two"]
    assert messages[0][0]["images"] == messages[1][0]["images"]


def test_a_photo_beyond_the_first_is_saved_while_it_is_shown(view, pictures):
    view.start().wait(PATIENCE)
    near = [view._images[place]["name"] for place in held(view)]
    first, far = near[0], next(name for name in pictures if name not in near)
    view.selected_image = far
    until(lambda: far in view._large)
    assert colour(view._large[far]).shape == (3,)
    if view.kind == "concepts":
        until(lambda: far in view._codes)
        shown = next(each for each in view._images if each["name"] == far)
        assert shown["place"] >= 64
    view.selected_image = first
    until(lambda: far not in view._large)


def test_a_page_holds_what_fits_and_counts_the_rest(view):
    state = view.exported_state()
    photos = [jpeg for jpeg in state["_photos"] if jpeg]
    assert len(photos) == (COUNT if view.kind == "attribution" else 64)
    assert state["_strip"]["total"] == COUNT
    assert sum(map(len, photos)) < 2_500_000


def test_nothing_is_read_after_the_end(view, messages):
    worker_job = view._deliveries.run("last", "thumbnails", lambda: iter(()), lambda _: None)
    view.close()
    until(lambda: not worker_job.active)
    ask(view, [1])
    assert messages[-1][0]["kind"] == "refused"


def test_one_that_cannot_be_read_does_not_take_the_others_with_it(net, bank, pictures, tmp_path, monkeypatch):
    files = {}
    for name, pixels in pictures.items():
        files[name] = tmp_path / f"{name}.png"
        Image.fromarray((pixels * 255).astype(np.uint8)).save(files[name])
    view = ww.ConceptExplorer(bank, net, files)
    sent = []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append((content, buffers)))
    files[bank.images[view._explored.strip.order(bank)[50]]].unlink()
    ask(view, [50, 51])
    until(lambda: sent)
    told, buffers = sent[0]
    assert "photo" in told["images"][0]["error"]
    assert (told["images"][0]["place"], buffers[0]) == (50, b"")
    assert "error" not in told["images"][1]
    assert buffers[1]
    view.close()


def test_what_is_saved_of_three_hundred_photos_is_small(net):
    rng = np.random.default_rng(1)
    grey = rng.random((300, 30, 40, 1), dtype=np.float32)
    pictures = {
        f"ILSVRC2012_val_{n:08d}.JPEG": np.kron(one, np.ones((16, 16, 3), np.float32)) for n, one in enumerate(grey)
    }
    view = ww.AttributionView(net, pictures, method=ww.Sobol(grid=3, rows=2))
    state, _, buffers = _remove_buffers(view.get_state())
    assert len(json.dumps(state)) + 4 / 3 * sum(map(len, buffers)) < 300_000
    view.close()


@pytest.mark.parametrize(("size", "wanted"), [((640, 480), (171, 128)), ((96, 40), (96, 40)), ((4000, 100), (512, 13))])
def test_thumbnails_are_small_and_whole(size, wanted):
    drawn = Image.open(io.BytesIO(draw_thumbnail(Image.new("RGB", size, "teal"))))
    assert drawn.size == wanted
    assert drawn.format == "JPEG"


# -- photos that are added --------------------------------------------------------------------------------------------


def test_one_that_is_added_stands_behind_the_others_and_is_shown(view, messages):
    view.start().wait(PATIENCE)
    mark, saved = view._strip["mark"], sum(map(len, view._photos))
    red = np.full((40, 32, 3), (0.9, 0.1, 0.1), np.float32)
    assert view.add({"photo 0": red}) == ["photo 0 (2)"]
    assert view.selected_image == "photo 0 (2)"
    assert view._strip == {"total": COUNT + 1, "mark": mark}
    assert colour(view._large["photo 0 (2)"]) == pytest.approx(red.mean((0, 1)), abs=0.03)
    assert sum(map(len, view._photos)) < saved + 14_000
    shown = view._images[-1]
    assert (shown["name"], shown.get("place", COUNT)) == ("photo 0 (2)", COUNT)
    del messages[:]
    ask(view, [COUNT], mark=mark)
    until(lambda: any(told["kind"] == "thumbnails" for told, _ in messages))
    told, buffers = next(each for each in messages if each[0]["kind"] == "thumbnails")
    assert (told["images"][0]["name"], told["images"][0]["place"]) == ("photo 0 (2)", COUNT)
    assert colour(buffers[0]) == pytest.approx(red.mean((0, 1)), abs=0.03)


def test_of_an_attribution_view_no_more_are_saved_for_those_that_are_added(net, pictures):
    first = {name: pictures[name] for name in list(pictures)[:18]}
    with_methods = {"short": ww.Sobol(grid=3, rows=2), "long": ww.Sobol(grid=3, rows=4)}
    view = ww.AttributionView(net, first, method=with_methods)
    names = view.add({f"more {n}": pictures[f"photo {n}"] for n in range(20, 24)})
    assert held(view) == list(range(20))
    assert sum(map(len, view._photos)) <= 100_000
    assert list(view._large) == []  # the first of them is one of those that are saved
    view.selected_image = names[-1]
    assert list(view._large) == names[-1:]
    assert all({name, f"{name}\0001"} <= set(view._status) for name in names)  # by both methods
    assert sum(map(bool, view.exported_state()["_photos"])) == 22
    view.close()


@pytest.mark.parametrize("which", ["photo 55", "guest"])
def test_those_that_are_not_saved_are_there_at_their_own_size(view, messages, pictures, which):
    view.start().wait(PATIENCE)
    view.add({"guest": np.full((50, 60, 3), 0.5, np.float32)})
    view.selected_image = "photo 0"
    view._receive(view, {"kind": "full", "rid": "f", "v": 1, "image": which}, [])
    until(lambda: any(told["kind"] == "full" for told, _ in messages))
    _, (data,) = next(each for each in messages if each[0]["kind"] == "full")
    whole = pictures.get(which, np.empty((50, 60, 3)))
    assert Image.open(io.BytesIO(data)).size == whole.shape[1::-1]


def test_guests_beyond_the_budget_are_in_the_strip(net, bank, pictures, monkeypatch):
    view = ww.ConceptExplorer(bank, net, pictures)
    sent = []
    view.start().wait(PATIENCE)
    noise = np.random.default_rng(3)
    guests = {f"guest {n}": noise.random((260, 260, 3), dtype=np.float32) for n in range(20)}
    view.add(guests)
    saved = [each["name"] for each in view._images]
    assert "guest 19" in saved
    assert "guest 3" not in saved
    monkeypatch.setattr(view, "send", lambda content, **_: sent.append(content))
    ask(view, [COUNT + 3])
    until(lambda: any(each["kind"] == "thumbnails" for each in sent))
    (told,) = next(each for each in sent if each["kind"] == "thumbnails")["images"]
    assert (told["name"], told["right"]) == ("guest 3", None)
    view.selected_image = "guest 3"
    until(lambda: any(each["name"] == "guest 3" and each["place"] == COUNT + 3 for each in view._images))
    view.close()


def test_a_guest_of_a_bank_without_photos_can_be_looked_at_again(net, bank, tmp_path):
    bank.save(tmp_path / "bank.safetensors")
    view = ww.ConceptExplorer(ww.ConceptBank.load(tmp_path / "bank.safetensors"), net)
    view.start().wait(PATIENCE)
    noise = np.random.default_rng(4)
    view.add({f"guest {n}": noise.random((300, 300, 3), dtype=np.float32) for n in range(40)})
    assert "guest 0" in [each["name"] for each in view._images]  # it is shown
    view.selected_image = "guest 39"
    view.selected_image = "guest 1"
    until(lambda: "guest 1" in [each["name"] for each in view._images])
    assert view._strip["total"] == 40
    view.close()


def test_guests_that_leave_take_their_pictures_with_them(net, bank, pictures):
    view = ww.ConceptExplorer(bank, net, pictures)
    view.start().wait(PATIENCE)
    strip, (red, green) = view._explored.strip, np.eye(3, dtype=np.float32)[:2]
    view.add({"red": np.broadcast_to(red, (40, 40, 3))})
    assert colour(strip.thumbnail(COUNT)) == pytest.approx(red, abs=0.05)
    assert list(strip.empty()) == ["red"]
    view.add({"green": np.broadcast_to(green, (40, 40, 3))})
    assert view._explored.strip is strip
    assert colour(strip.thumbnail(COUNT)) == pytest.approx(green, abs=0.05)
    assert colour(strip.jpeg(COUNT, 64, 70)) == pytest.approx(green, abs=0.05)
    view.close()
