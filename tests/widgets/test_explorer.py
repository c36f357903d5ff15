"""The Explorer: three views, one selection, and the order in which things are computed."""

import gc
import json
import time
import weakref

import numpy as np
import pytest
import torch
import traitlets
from ipywidgets.widgets.widget import _remove_buffers
from torch import nn

import whatwhere as ww
import whatwhere.widgets.explorer
from whatwhere.widgets._view import WIRE
from whatwhere.widgets.explorer import find_name
from whatwhere.workers import worker

PATIENCE = 30
METHOD = ww.Sobol(grid=3, rows=4)
NAMES = ["red", "green", "blue"]


class ByColour(nn.Module):
    """Classes are the colour that a picture has most of; their maps are behind ReLU, so that a linear head follows."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU())
        self.head = nn.Linear(12, 3)
        with torch.no_grad():
            self.maps[0].weight.mul_(0.3)
            self.maps[0].bias.zero_()
            self.head.weight.zero_()
            self.head.bias.zero_()
            for k in range(6):
                self.maps[0].weight[k, k % 3] += 0.3
                self.head.weight[k % 3, k] = 1

    def forward(self, x):
        return self.head(self.maps(x).mean((2, 3)))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ww.VisionModel(
        ByColour().eval(), device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, class_names=NAMES, name="small"
    )


def pictures(counts, *, first=0):
    """Pictures of blocks, so many of each colour, called after it; shuffled."""
    rng = np.random.default_rng(0)
    made = {}
    for colour, count in enumerate(counts):
        for k in range(count):
            blocks = rng.random((6, 6, 3), dtype=np.float32) * 0.4 * (rng.random((6, 6, 1)) < 0.6)
            blocks[..., colour] += 0.5 * rng.random((6, 6), dtype=np.float32)
            made[f"{NAMES[colour]} {first + k}"] = np.kron(blocks, np.ones((4, 4, 1), np.float32))
    names = rng.permutation(list(made)).tolist()
    return {name: made[name] for name in names}


@pytest.fixture
def explore(model):
    """Make Explorers; they are closed at the end."""
    made = []

    def make(photos, *arguments, **options):
        explorer = ww.Explorer(model, photos, *arguments, **({"method": METHOD} | options))
        made.append(explorer)
        return explorer

    yield make
    for explorer in made:
        explorer.close()


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_it_answers_without_any_argument_but_the_model_and_the_photos(explore):
    explorer = explore(pictures((12, 6, 1)))
    explorer.start()
    explorer.wait()
    assert explorer.where.attribution.complete
    assert explorer.explained == 0, "most photos are read as red"
    assert explorer.bank.target == 0
    assert explorer.bank.rank == 10
    assert set(explorer.bank.images) == {name for name in pictures((12, 6, 1)) if name.startswith("red")}
    assert explorer.graph.images == explorer.bank.images
    assert explorer.selected_image == next(iter(pictures((12, 6, 1))))
    assert [each["name"] for each in explorer._found["classes"]] == ["red", "green"]
    assert explorer._found["explained"] == 0


def test_it_hears_what_the_browser_says_and_nothing_else(explore):
    explorer = explore(pictures((4, 4, 4)))
    assert {*explorer._handlers, *explorer._shared_handlers} == set(WIRE["explorer"]["to_kernel"])


def test_a_mixed_set_is_explained_as_a_whole(explore):
    explorer = explore(pictures((4, 4, 4)))
    explorer.start()
    explorer.wait()
    assert explorer.explained is None
    until(lambda: any(shown["name"] == explorer.selected_image for shown in explorer.what._images))
    assert explorer.what.selected_image == explorer.selected_image
    assert explorer.bank.target is None
    assert len(explorer.graph) == 12


def test_each_photo_is_looked_at_once_for_all_classes(explore):
    photos = pictures((9, 8, 0))
    explorer = explore(photos)
    explorer.wait()
    assert explorer.predictions == {name: 0 if name.startswith("red") else 1 for name in photos}
    explorer.selected_class = "green"
    explorer.wait()
    assert explorer.bank.target == 1
    assert explorer._pages.survey.done == len(photos)


def test_a_map_comes_first_then_concepts_then_the_refined_map(explore):
    explorer = explore(pictures((9, 0, 0)), method=ww.Sobol(grid=3, rows=2048))
    order = []
    explorer.what.job.watch(lambda _: order.append(("what", explorer.where.attribution, explorer.where.job.state)))
    explorer.start()
    until(lambda: explorer.why.job.state == "done")
    first = order[0]
    assert first[1] is not None, "there is a map before the photos are looked at"
    assert not first[1].preview
    assert first[2] in ("running", "queued"), "and it is refined behind them"
    explorer.where.job.wait()


def test_classes_are_chosen_from_python_by_name(explore):
    explorer = explore(pictures((9, 6, 1)))
    explorer.wait()
    what, why = explorer.what, explorer.why
    explorer.selected_class = "green"
    assert explorer.selection.class_id == explorer.where.selected_class == 1
    assert explorer.what is not what
    assert explorer.why is not why
    explorer.wait()
    assert explorer.bank.target == explorer.graph.target == 1
    explorer.selected_class = None
    assert explorer.explained == 0
    assert explorer.bank.complete, "what was computed is kept"
    explorer.concepts_of = "all"
    explorer.wait()
    assert explorer.explained is None
    assert explorer.bank.target is None
    explorer.concepts_of = "class"
    assert explorer.explained == 0


def test_a_class_of_too_few_photos_says_so_and_leaves_the_concepts(explore):
    explorer = explore(pictures((9, 1, 0)))
    explorer.wait()
    what = explorer.what
    explorer.selected_class = "green"
    assert explorer.what is what
    assert explorer.where.selected_class == 1, "its map is shown all the same"
    assert explorer._found["note"].startswith("1 photo is read as green, and concepts of a class need 4")
    explorer.selected_class = "red"
    assert explorer._found["note"] == ""


def test_a_target_is_explained_from_the_start(explore):
    explorer = explore(pictures((6, 9, 0)), "red")
    assert explorer.selected_class == 0
    explorer.wait()
    assert explorer.bank.target == 0


def test_labels_tell_right_from_wrong(explore):
    photos = pictures((9, 4, 0))
    labels = ["red" if name.startswith("red") else "blue" for name in photos]
    explorer = explore(photos, labels=labels)
    explorer.wait()
    assert explorer.graph.right.all()
    by_name = explore(photos, "green", labels=dict(zip(photos, labels, strict=True)))
    by_name.wait()
    assert not by_name.graph.right.any()


def test_all_photos_are_in_the_strip_once_they_were_looked_at(explore):
    photos = pictures((40, 0, 0))
    explorer = explore(photos)
    assert list(explorer.where.images) == list(photos)[:24]
    explorer.wait()
    until(lambda: list(explorer.where.images) == list(photos))
    late = list(photos)[35]
    explorer.where.selected_image = late
    assert explorer.selected_image == explorer.what.selected_image == late
    assert explorer.where.job.wait().complete


def test_a_photo_beyond_the_strip_comes_in_when_it_is_selected(explore, monkeypatch):
    monkeypatch.setattr("whatwhere.widgets.explorer._STRIP", 30)
    photos = pictures((40, 0, 0))
    explorer = explore(photos)
    explorer.wait()
    late = list(photos)[35]
    assert late not in explorer.where.images
    explorer.selected_image = late
    until(lambda: late in explorer.where.images and explorer.where.selected_image == late)
    assert explorer.what.selected_image == late
    assert explorer.why.selected_images == [late]
    explorer.where.job.wait()
    other = list(photos)[38]
    explorer.why.selected_images = [other]
    until(lambda: explorer.where.selected_image == other)
    assert explorer.selected_image == other


class Looked:
    """What a network would say of many photos."""

    complete, unreadable = True, {}

    def __init__(self, names):
        self.names, self.sizes = list(names), [(24, 24)] * len(names)
        self.predictions = [0] * len(self.names)

    def counts(self):
        return {0: len(self.names)}


def test_twenty_thousand_photos_open_lightly_and_all_can_be_reached(explore, monkeypatch):
    read, real = [], whatwhere.widgets.explorer.read_photo
    monkeypatch.setattr(
        "whatwhere.widgets.explorer.read_photo",
        lambda image, **told: (read.append(told["name"]), real(image, **told))[1],
    )
    one = next(iter(pictures((1, 0, 0)).values()))
    photos = {f"photo {n}": one for n in range(20_000)}
    explorer = explore(photos)
    assert read == list(photos)[:24]
    explorer._pages._survey = Looked(photos)
    explorer._moved()
    until(lambda: len(explorer.where.images) == 2000)
    assert len(explorer.where._images) == 2000
    told = explorer._found
    assert (told["photos"], told["strip"]) == (20_000, 2000)
    assert len(read) == 24
    state, _, buffers = _remove_buffers(explorer.where.get_state())
    del state["_esm"]
    assert len(json.dumps(state)) + sum(map(len, buffers)) < 400_000

    sent = []
    monkeypatch.setattr(explorer, "send", lambda content, **_: sent.append(content))
    for query in ("photo 19999", "15000", "PHOTO 7777", "nobody", "photo 1999", "9999"):
        explorer._receive(explorer, {"kind": "find", "rid": query, "query": query}, [])
    told = {content["rid"]: content for content in sent}
    assert [told[query]["kind"] for query in ("photo 19999", "15000", "PHOTO 7777")] == ["applied"] * 3
    assert "a number from 1 to 20,000" in told["nobody"]["message"]
    assert told["photo 1999"]["kind"] == "applied"  # it is called so, whatever others have in their names
    until(lambda: explorer.where.selected_image == explorer.selected_image == "photo 9998")
    assert explorer.selection.by == "user"
    until(lambda: sorted(read[24:]) == ["photo 14999", "photo 19999", "photo 7777", "photo 9998"])
    until(lambda: explorer._found["strip"] == 2004)


@pytest.mark.parametrize(
    ("query", "name", "said", "near"),
    [
        ("b", "b", "", []),
        ("B", "b", "", []),
        ("CAT", None, "2 names have 'CAT' in them:", ["cat one", "cat two"]),
        (" two ", "cat two", "", []),
        ("2", "cat one", "", []),
        ("7", "7", "", []),
        ("5", None, "No photo is called '5'. Wanted a name, a part of it, or a number from 1 to 4.", []),
        ("", None, "No photo is called ''. Wanted a name, a part of it, or a number from 1 to 4.", []),
    ],
)
def test_photos_are_found_by_name_part_and_number(query, name, said, near):
    assert find_name(["b", "cat one", "cat two", "7"], query) == (name, said, near)


def test_what_is_said_of_concepts_survives_another_class(explore):
    explorer = explore(pictures((9, 6, 0)))
    explorer.wait()
    first = explorer.bank.ids[0]
    explorer.what.names = {str(first): "light red"}
    explorer.selected_class = "green"
    explorer.selected_class = "red"
    assert explorer.what.names == {str(first): "light red"}


def test_another_class_before_the_photos_are_looked_at(explore):
    explorer = explore(pictures((9, 6, 0)))
    explorer.selected_class = "green"
    explorer.wait()
    assert explorer.bank.target == 1
    explorer = explore(pictures((9, 1, 0)), "green")
    explorer.wait()
    assert explorer.explained == 0, "too few are green"


def test_files_that_cannot_be_read_are_left_out_and_named(explore, tmp_path):
    from PIL import Image

    for name, pixels in pictures((6, 0, 0)).items():
        Image.fromarray((pixels * 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "a broken one.png").write_bytes(b"no picture")
    explorer = explore(tmp_path)
    explorer.wait()
    assert explorer._found["unreadable"] == ["a broken one"]
    assert len(explorer.bank.images) == 6


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"labels": {"nobody": 0}}, ValueError, "labels: wanted names of the photos"),
        ({"labels": [0]}, ValueError, "labels: wanted one for each of 3 photos, got 1"),
        ({"labels": 7}, TypeError, "labels: wanted a class for each photo"),
        ({"selection": "x"}, TypeError, "selection: wanted a whatwhere.Selection"),
        ({"opacity": 1}, TypeError, "unknown option 'opacity'"),
        ({"concepts_of": "both"}, traitlets.TraitError, "concepts_of"),
        ({"selected_image": "nobody"}, traitlets.TraitError, "selected_image: wanted the name of one of the 3 photos"),
    ],
)
def test_wrong_arguments_say_what_was_wanted(explore, options, error, match):
    with pytest.raises(error, match=match):
        explore(pictures((3, 0, 0)), **options)


def test_no_photos_and_no_readable_one_are_errors(explore, tmp_path):
    with pytest.raises(ValueError, match="images"):
        explore({})
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "b.png").write_bytes(b"neither")
    with pytest.raises(ValueError, match="a"):
        explore(tmp_path)


def test_stop_keeps_what_there_is(explore):
    explorer = explore(pictures((9, 0, 0)), method=ww.Sobol(grid=3, rows=2048))
    explorer.start()
    until(lambda: explorer.where.attribution is not None)
    explorer.stop()
    until(lambda: not explorer.where.job.active and not explorer.what.job.active)
    assert explorer.where.attribution is not None
    explorer.start()
    until(lambda: explorer.why.job.state == "done")


def test_concepts_come_although_the_map_alone_is_stopped(explore):
    explorer = explore(pictures((9, 0, 0)), method=ww.Sobol(grid=3, rows=2048))
    explorer.where.job.watch(lambda job: job.stop())
    explorer.start()
    until(lambda: explorer.why.job.state == "done")
    assert explorer.where.job.state == "stopped"


def test_a_first_map_that_comes_after_the_page_was_closed_starts_nothing(explore, caplog):
    explorer = explore(pictures((9, 0, 0)))
    explorer._page.close()  # as another class does, or the end of the view
    explorer.start()
    until(lambda: explorer._mapped and worker(str(explorer._model.device)).idle)
    assert not caplog.records


def test_closing_gives_everything_back(model):
    explorer = ww.Explorer(model, pictures((9, 0, 0)), method=METHOD)
    explorer.wait()
    parts = [weakref.ref(each) for each in (explorer, *explorer.views.values(), explorer._pages)]
    explorer.close()
    del explorer
    until(lambda: gc.collect() >= 0 and all(part() is None for part in parts))


def test_one_page_holds_all_parts(explore, tmp_path):
    explorer = explore(pictures((9, 0, 0)))
    explorer.wait()
    path = explorer.to_html(tmp_path / "explorer.html")
    page = path.read_text(encoding="utf-8")
    for kind in ("attribution", "concepts", "explorer", "strategies"):
        assert f'id="ww-esm-{kind}"' in page
    assert page.count('"id":"part-') == 3
    assert '"_parts":{"where":"IPY_MODEL_part-0","what":"IPY_MODEL_part-1","why":"IPY_MODEL_part-2"}' in page
