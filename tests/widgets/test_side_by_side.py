"""Several methods, or records, in one AttributionView."""

import time

import numpy as np
import pytest
import torch
import traitlets

import whatwhere as ww
from whatwhere.widgets._lock import LockedWidget
from whatwhere.widgets._methods import read_methods

PATIENCE = 30


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def brightness(x):
    return torch.stack([x[:, 0].mean((1, 2)), x[:, 1, :16].mean((1, 2)), x.amax((1, 2, 3))], 1)


@pytest.fixture
def model(toy):
    return toy(brightness)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return {"one": rng.random((80, 64, 3)).astype(np.float32), "two": rng.random((64, 96, 3)).astype(np.float32)}


METHODS = {"fine": ww.Sobol(grid=8, rows=6), "coarse": ww.Sobol(grid=4, rows=4, first_order=True)}


@pytest.fixture
def view(model, images):
    shown = ww.AttributionView(model, images, method=METHODS)
    yield shown
    shown.close()


# -- what is taken for a method ---------------------------------------------------------------------------------------


def test_methods_are_called_after_what_differs():
    assert list(read_methods(None)) == ["Sobol"]
    assert list(read_methods(ww.Sobol(grid=5))) == ["Sobol"]
    assert list(read_methods([ww.Sobol(grid=8), ww.Sobol(grid=(4, 6))])) == ["grid 8", "grid 4 x 6"]
    several = [ww.Sobol(), ww.Sobol(baseline="blur", first_order=True)]
    assert list(read_methods(several)) == ["baseline mean", "baseline blur, first order"]
    assert list(read_methods([ww.Sobol(), ww.Sobol(refine=True, grid=16)])) == ["grid 8", "grid 16, refine"]
    assert list(read_methods([ww.Sobol(), ww.Sobol(first_order=True)])) == ["Sobol", "first order"]
    assert list(read_methods(METHODS)) == ["fine", "coarse"]


def test_methods_whose_words_are_the_same_still_have_two_names():
    grey = [ww.Sobol(baseline=np.full((4, 4, 3), level, np.float32)) for level in (0.2, 0.8)]
    assert list(read_methods(grey)) == ["Sobol", "Sobol (2)"]


@pytest.mark.parametrize("method", ["sobol", 3, [ww.Sobol(), "x"], {"a": None}])
def test_what_is_no_method_is_refused(model, images, method):
    with pytest.raises(TypeError, match="method: wanted a Sobol"):
        ww.AttributionView(model, images, method=method)


def test_no_method_and_the_same_twice_are_refused():
    with pytest.raises(ValueError, match="got an empty one"):
        read_methods([])
    with pytest.raises(ValueError, match="methods that differ"):
        read_methods({"a": ww.Sobol(), "b": ww.Sobol()})


# -- computing --------------------------------------------------------------------------------------------------------


def test_every_method_gives_what_it_gives_alone(view, model, images):
    view.start()
    for name, job in view.jobs.items():
        alone = METHODS[name].run(model, images["one"])
        assert (job.wait(PATIENCE).values() == alone.values()).all()
    until(lambda: all(view._status[key]["state"] == "done" for key in ("one", "one\0" + "1")))
    assert set(view._maps) == set(view._planes) == {"one", "one\0" + "1"}
    assert [view._maps[key]["grid"] for key in view._maps] == [[8, 8], [4, 4]]
    assert view._methods == ["fine", "coarse"]


def test_all_previews_come_before_the_rows_of_any(toy, images):
    stages = []

    def slow(x):
        time.sleep(0.002)
        return brightness(x)

    two = {"fine": ww.Sobol(grid=8, rows=20), "other": ww.Sobol(grid=8, rows=20, seed=1)}
    view = ww.AttributionView(toy(slow), images, method=two)
    for name, job in view.jobs.items():
        job.watch(lambda job, name=name: stages.append((name, job.step.stage)))
    view.start()
    until(lambda: all(not job.active for job in view.jobs.values()))
    first_rows = stages.index(("fine", "rows"))
    assert ("other", "preview") in stages[:first_rows]
    view.close()


def test_stop_stops_all_and_start_continues_all(toy, images):
    def slow(x):
        time.sleep(0.002)
        return brightness(x)

    two = [ww.Sobol(grid=8, rows=200), ww.Sobol(grid=6, rows=200)]
    view = ww.AttributionView(toy(slow), images, method=two)
    view.start()
    until(lambda: view.attribution is not None)
    view._receive(view, {"kind": "stop", "rid": "r", "v": 1, "image": "one"}, [])
    until(lambda: not any(job.active for job in view.jobs.values()))
    view._receive(view, {"kind": "start", "rid": "s", "v": 1, "image": "one"}, [])
    assert all(job.active for job in view.jobs.values())
    view.close()


def test_a_class_is_stored_with_every_map(view):
    view.start()
    for job in view.jobs.values():
        job.wait(PATIENCE)
    view._receive(view, {"kind": "explain", "rid": "r", "v": 1, "image": "one", "query": 2, "select": True}, [])
    assert view.selected_class == 2
    assert all(2 in view._asked[key] for key in ("one", "one\0" + "1"))


def test_layers_are_read_off_each_record(view, monkeypatch):
    view.start()
    for job in view.jobs.values():
        job.wait(PATIENCE)
    sent = []
    monkeypatch.setattr(view, "send", lambda content, **_: sent.append(content))
    for key in ("one", "one\0" + "1"):
        message = {"kind": "layer", "rid": key, "v": 1, "image": key, "class": 0, "index": "first", "score": "logit"}
        view._receive(view, message, [])
    assert [told["kind"] for told in sent] == ["refused", "layer"]
    assert sent[1]["grid"] == [4, 4]


def test_news_are_said_one_after_the_other():
    """What a worker has to say while somebody writes is newer, and must not be overwritten by what is older."""
    told = []

    class Teller(LockedWidget):
        def _say_now(self, key):
            told.append(f"{key} begins")
            if key == "old":
                self._say("new")
                with self._exclusive():
                    told.append("old writes")
            told.append(f"{key} ends")

    teller = Teller()
    teller._say("old")
    assert told == ["old begins", "old writes", "old ends", "new begins", "new ends"]
    teller.close()


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_one_can_be_shown_alone(view):
    view.start()
    for job in view.jobs.values():
        job.wait(PATIENCE)
    assert view.method == METHODS["fine"]
    wide = view.picture().size[0]
    assert "Beside it" in view.describe()
    view.selected_method = "coarse"
    assert view.method == METHODS["coarse"]
    assert view.attribution.grid == (4, 4)
    assert view.picture().size[0] < wide / 2
    assert "Beside it" not in view.describe()
    with pytest.raises(traitlets.TraitError, match=r"wanted one of \['fine', 'coarse'\]"):
        view.selected_method = "none"


def test_an_index_is_there_if_any_method_has_it(view, model, images):
    view.index = "first"
    assert view.index == "first"
    neither = ww.AttributionView(model, images, method=[ww.Sobol(grid=3, rows=2), ww.Sobol(grid=4, rows=2)])
    with pytest.raises(traitlets.TraitError, match="first_order=True"):
        neither.index = "first"


def test_methods_that_differ_in_their_score_show_each_its_own(model, images):
    two = [ww.Sobol(grid=3, rows=2), ww.Sobol(grid=3, rows=2, score="softmax")]
    view = ww.AttributionView(model, images, method=two)
    assert view.score == "own"
    same = ww.AttributionView(model, images, method=METHODS)
    assert same.score == "logit"
    with pytest.raises(traitlets.TraitError, match="that differ in it"):
        same.score = "own"


def test_an_exported_page_holds_all(view, tmp_path):
    view.start()
    for job in view.jobs.values():
        job.wait(PATIENCE)
    view.settle()
    state = view.exported_state()
    assert set(state["_layers"]) == {"one", "one\0" + "1"}
    assert view.to_html(tmp_path / "page.html").stat().st_size < 300_000


def test_a_photo_that_is_added_is_computed_by_all(view):
    view.start()
    view.add({"three": np.full((40, 40, 3), 0.5, np.float32)})
    assert {name: job.wait(PATIENCE).grid for name, job in view.jobs.items()} == {"fine": (8, 8), "coarse": (4, 4)}


# -- records ----------------------------------------------------------------------------------------------------------


def test_records_are_shown_without_a_forward(model, images):
    records = {name: method.run(model, images["one"]) for name, method in METHODS.items()}
    view = ww.AttributionView(model, {"one": images["one"]}, method=records)
    before = model.net.images
    view.start()
    for name, job in view.jobs.items():
        assert job.wait(PATIENCE) is records[name]
    assert model.net.images == before
    until(lambda: view._status["one"]["state"] == "done")
    view.close()


def test_records_of_one_method_for_several_photos_are_one_method(model, images):
    records = METHODS["fine"].run(model, images)
    view = ww.AttributionView(model, images, method=records)
    assert list(view.methods) == ["Sobol"]
    before = model.net.images
    for name in images:
        view.selected_image = name
        assert view.start().wait(PATIENCE) is records[name]
    assert model.net.images == before
    view.close()


def test_records_of_other_photos_or_weights_are_refused(model, images):
    record = METHODS["fine"].run(model, images["one"])
    with pytest.raises(ValueError, match="of another photo, 80 x 64 pixels"):
        ww.AttributionView(model, {"two": images["two"]}, method=record)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 3))
    other = ww.VisionModel(net, device="cpu", input_size=64, mean=(0.0,) * 3, std=(1.0,) * 3)
    with pytest.raises(ValueError, match="are not those that made the record"):
        ww.AttributionView(other, images, method=record)
