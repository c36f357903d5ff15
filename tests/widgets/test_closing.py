"""Views that close while the worker computes for them: nothing is begun, shown or kept after that."""

import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.pixels.images import read_photo
from whatwhere.workers import worker

PATIENCE = 30
METHOD = ww.Sobol(grid=3, rows=4)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU())
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.maps(x).mean((2, 3)))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ww.VisionModel(
        Small().eval(), device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, class_names=list("abc")
    )


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    return {f"photo {n}": rng.random((24, 24, 3), dtype=np.float32) for n in range(9)}


@pytest.fixture(scope="module")
def bank(model, photos):
    return ww.Craft(n_concepts=3, layer="maps", fit_on="locations", designs=8).run(model, photos, progress=False)


MAKE = {
    "where": lambda model, photos, _: ww.AttributionView(model, photos, method=METHOD),
    "what": lambda model, photos, bank: ww.ConceptExplorer(bank, model, photos),
    "why": lambda model, _, bank: ww.StrategyView(ww.Strategies().run(model, bank), model),
    "prototypes": lambda model, *_: ww.PrototypeView(ww.Maco(steps=2, crops=1, size=32).run(model, 0, progress=False)),
    "explorer": lambda model, photos, _: ww.Explorer(model, photos, method=METHOD),
}


@pytest.fixture(params=MAKE)
def view(request, model, photos, bank):
    made = MAKE[request.param](model, photos, bank)
    yield made
    made.close()


def elsewhere(work):
    """Run something on another thread, to its end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_closed_view_cannot_be_started(view):
    """Whatever it was made with, and whether it was begun before."""
    view.close()
    with pytest.raises(RuntimeError, match=f"This {type(view).__name__} was closed; make a new one"):
        view.start()
    view.close()  # again


def test_closing_waits_for_what_is_being_said(view, monkeypatch):
    """Else it would be said of what is no longer there."""
    order, saying, go_on = [], threading.Event(), threading.Event()

    def say(_):
        saying.set()
        go_on.wait(PATIENCE)
        order.append("said")

    monkeypatch.setattr(view, "_say_now", say)
    speaker = threading.Thread(target=lambda: view._say("news"), daemon=True)
    speaker.start()
    assert saying.wait(PATIENCE)
    closer = threading.Thread(target=lambda: (view.close(), order.append("closed")), daemon=True)
    closer.start()
    closer.join(0.3)  # time enough to be too early
    go_on.set()
    closer.join(PATIENCE)
    speaker.join(PATIENCE)
    assert order == ["said", "closed"]


def test_what_could_not_be_said_before_is_not_said_after(view, monkeypatch):
    said = []
    monkeypatch.setattr(view, "_say_now", said.append)
    with view._exclusive():
        elsewhere(lambda: view._say("news"))
        view.close()
    assert said == []


def test_a_photo_that_was_read_when_the_view_closed_is_not_computed(model, photos, caplog):
    view = ww.AttributionView(model, photos, method=METHOD)
    view.start().wait(PATIENCE)
    late = read_photo(next(iter(photos.values())), name="late")
    with view._exclusive():  # as an observer does, of which the worker is faster
        elsewhere(lambda: view.bring("late", late))
        view.close()
    assert not any(job.active for job in view._jobs.values())
    assert "late" not in view._jobs
    assert not caplog.records


@pytest.fixture
def explorer(model, photos):
    made = ww.Explorer(model, photos, method=METHOD)
    yield made
    made.close()


def test_a_page_that_closes_as_its_concepts_are_done_places_no_photos(explorer, caplog):
    """The worker has called the page when it closes, and finds it closed."""
    explorer.start()
    explorer.wait(PATIENCE)
    page = explorer._page
    page._graph.state = "idle"  # as if they came now
    page.close()
    page._on_step(page._bank)
    assert page._graph.state != "queued"
    assert not caplog.records


def test_a_stop_between_the_first_map_and_the_photos_is_heard(explorer, monkeypatch):
    start = explorer._page.start

    def stopped():
        explorer.stop()
        start()

    monkeypatch.setattr(explorer._page, "start", stopped)
    explorer.start()
    until(lambda: explorer._mapped and worker(str(explorer._model.device)).idle)
    assert not explorer._page._running
    assert [explorer.what.job.state, explorer.why.job.state] == ["stopped", "stopped"]


def test_maps_side_by_side_that_close_at_a_preview_start_no_other(model, photos, caplog):
    methods = {"fine": ww.Sobol(grid=8, rows=64), "coarse": ww.Sobol(grid=4, rows=64)}
    view = ww.AttributionView(model, photos, method=methods)
    runs, name = view._runs, view.selected_image
    first, second = (view._jobs[key] for key in runs.keys(name))
    view.start()
    until(lambda: first.record is not None and second.record is not None)
    view.stop()
    until(lambda: not first.active and not second.active)

    class Previewed:
        active, record = True, type("Record", (), {"preview": True})

    view.close()
    second.state, second.record = "queued", None  # as it was when the worker looked
    runs._on_step(Previewed(), name, name)
    assert not caplog.records
