"""AttributionView without a browser: traits, jobs, messages, refusal of bad input."""

import gc
import struct
import time
import weakref

import numpy as np
import pytest
import torch
import traitlets

import whatwhere as ww
from whatwhere.widgets._view import WIRE, FrameGate

PATIENCE = 30


def brightness(x):
    return torch.stack([x[:, 0].mean((1, 2)), x[:, 1, :16].mean((1, 2)), x.amax((1, 2, 3))], 1)


@pytest.fixture
def model(toy):
    return toy(brightness)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return {"one": rng.random((80, 64, 3)).astype(np.float32), "two": rng.random((64, 96, 3)).astype(np.float32)}


@pytest.fixture
def view(model, images):
    shown = ww.AttributionView(model, images, method=ww.Sobol(grid=8, rows=6))
    yield shown
    shown.close()


@pytest.fixture
def messages(view, monkeypatch):
    """What the view sends to the browser besides traits."""
    sent = []
    monkeypatch.setattr(view, "send", lambda content, **_: sent.append(content))
    return sent


def decode(view, name, class_id):
    """Second route to a map: read the wire as the browser does."""
    meta = view._maps[name]
    cells = meta["grid"][0] * meta["grid"][1]
    place = [c["id"] for c in meta["classes"]].index(class_id)
    told = meta["classes"][place]
    numbers = struct.unpack_from(f"<{2 * cells}H", view._planes[name], place * 4 * cells)
    values = np.array(numbers[:cells]) / 65535 * told["max"]
    errors = np.array(numbers[cells:]) / 65535 * told["se_max"]
    return values.reshape(meta["grid"]), errors.reshape(meta["grid"])


def test_nothing_is_computed_before_it_is_shown(view, model):
    assert view.job.state == "idle"
    assert view.attribution is None
    assert view._status["one"]["state"] == "empty"
    assert model.net.images == 0


def test_the_first_display_starts_the_job(view, model):
    data, _ = view._repr_mimebundle_()
    assert set(data) >= {"application/vnd.jupyter.widget-view+json", "image/png", "text/html", "text/plain"}
    assert "not computed yet" in data["text/plain"]
    record = view.job.wait(PATIENCE)
    assert record.rows == 6
    seen = model.net.images
    view._repr_mimebundle_()
    assert model.net.images == seen
    assert "6 rows" in view._repr_mimebundle_()[0]["text/plain"]
    assert view.describe() in view._repr_mimebundle_()[0]["text/html"]


def test_the_wire_carries_every_map_to_sixteen_bits(view):
    record = view.start().wait(PATIENCE)
    until(lambda: view._status["one"]["state"] == "done")
    for class_id in range(3):
        values, errors = decode(view, "one", class_id)
        assert values == pytest.approx(record.values(class_id), abs=float(record.values(class_id).max()) / 65535)
        assert errors == pytest.approx(record.standard_error(class_id), abs=1e-4)
    status = view._status["one"]
    assert (status["rows"], status["rows_wanted"], status["error"], status["eta"]) == (6, 6, None, None)
    assert view._maps["one"]["preview"] is False
    assert [c["p"] for c in view._maps["one"]["classes"]] == sorted(
        (c["p"] for c in view._maps["one"]["classes"]), reverse=True
    )


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_choosing_another_photo_computes_it(view):
    view.start()
    view.selected_image = "two"
    assert view.job.wait(PATIENCE).photo.size == (64, 96)
    until(lambda: set(view.attributions) == {"one", "two"})


def test_choosing_a_photo_before_the_first_display_computes_nothing(view, model):
    view.selected_image = "two"
    assert view.job.state == "idle"
    assert model.net.images == 0


def test_a_class_is_chosen_by_name_or_id(view):
    view.selected_class = "class 1"
    assert view.selected_class == 1
    view.selected_class = None
    assert view.selected_class is None


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("selected_class", "clas 1", r"selected_class: target: no class is named 'clas 1'\. Nearest: 'class"),
        ("selected_class", 7, "from 0 to 2, got 7"),
        ("selected_image", "three", r"selected_image: wanted one of \['one', 'two'\], got 'three'"),
        ("opacity", 1.5, "opacity"),
        ("threshold", -0.1, "threshold"),
        ("colormap", "jet", "colormap"),
    ],
)
def test_bad_traits_are_refused_and_lose_nothing(view, trait, value, message):
    before = getattr(view, trait)
    with pytest.raises(traitlets.TraitError, match=message):
        setattr(view, trait, value)
    assert getattr(view, trait) == before


def test_unknown_options_are_refused(model, images):
    with pytest.raises(
        TypeError, match=r"AttributionView: unknown option 'opacty'; wanted one of \['colormap', 'index', 'layers'"
    ):
        ww.AttributionView(model, images, opacty=0.5)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({}, ValueError, "at least one image"),
        ({"cup": np.full((8, 8, 3), np.nan)}, ValueError, "cup: 192 of 192 values are NaN"),
        ({"cup": np.full((8, 8, 3), 255.0)}, ValueError, "cup: wanted floats in .* divide by 255"),
        (["missing.jpg"], ValueError, "missing.jpg' does not exist"),
    ],
)
def test_bad_images_are_refused_at_once(model, bad, error, message):
    with pytest.raises(error, match=message):
        ww.AttributionView(model, bad)


def test_a_class_outside_the_stored_ones_is_fetched_without_a_forward(toy, images):
    wide = toy(lambda x: torch.stack([x[:, 0].mean((1, 2)) * k for k in range(14)], 1))
    view = ww.AttributionView(wide, images, method=ww.Sobol(grid=2, rows=4))
    record = view.start().wait(PATIENCE)
    until(lambda: view._status["one"]["state"] == "done")
    stored = [c["id"] for c in view._maps["one"]["classes"]]
    assert len(stored) == 10
    forwards = wide.net.images
    (missing, *_) = sorted(set(range(14)) - set(stored) - {0})
    view.selected_class = missing
    values, _ = decode(view, "one", missing)
    assert values == pytest.approx(record.values(missing), abs=1e-4)
    assert [c["top"] for c in view._maps["one"]["classes"] if c["id"] == missing] == [False]
    assert wide.net.images == forwards
    view.close()


def test_explain_resolves_a_name_and_says_what_it_chose(view, messages):
    view.start().wait(PATIENCE)
    view._receive(view, {"kind": "explain", "image": "one", "query": "CLASS_2", "rid": 5, "v": 1}, [])
    assert messages == [{"kind": "explained", "rid": 5, "v": 1, "id": 2}]
    assert view.selected_class == 2
    view._receive(view, {"kind": "explain", "image": "one", "query": " 1 ", "rid": 6, "v": 1}, [])
    assert view.selected_class == 1


@pytest.mark.parametrize("query", ["clas", "", None, 99, [1], "∞", "9" * 5000])
def test_explain_refuses_in_words(view, messages, query):
    view._receive(view, {"kind": "explain", "image": "one", "query": query, "rid": 5, "v": 1}, [])
    (refused,) = messages
    assert refused["kind"] == "refused"
    assert refused["rid"] == 5
    assert refused["message"]
    assert all(set(s) == {"id", "name"} for s in refused["suggestions"])
    assert view.selected_class is None


def test_hello_is_answered_and_unknown_messages_are_ignored(view, messages):
    odd = (
        {"kind": "sing"},
        {},
        None,
        "hello",
        {"kind": []},
        {"kind": "start", "image": []},
        {"kind": "stop", "image": {}},
    )
    for content in odd:
        view._receive(view, content, [])
    assert messages == []
    assert view.job.state == "idle"
    view._receive(view, {"kind": "hello", "rid": "x", "v": 1}, [])
    assert messages == [{"kind": "welcome", "rid": "x", "v": 1}]


def test_every_message_kind_has_a_handler_that_exists(view):
    handlers = {**view._shared_handlers, **view._handlers}
    assert sorted(handlers) == sorted(WIRE["to_kernel"])
    assert all(callable(getattr(view, handler)) for handler in handlers.values())


def test_the_browser_sets_public_traits_by_message(view, messages):
    view._receive(view, {"kind": "set", "rid": 1, "traits": {"opacity": 0.5, "selected_class": 2}}, [])
    assert (view.opacity, view.selected_class) == (0.5, 2)
    assert messages == [{"kind": "applied", "rid": 1, "v": 1}]


@pytest.mark.parametrize(
    "traits", [{"opacity": 7}, {"selected_image": "none"}, {"_title": "x"}, {"layout": 1}, None, "x"]
)
def test_what_cannot_be_set_is_refused_and_answered(view, messages, traits):
    before = view.get_state()
    view._receive(view, {"kind": "set", "rid": 1, "traits": traits}, [])
    assert view.get_state() == before
    assert messages[-1]["kind"] == "applied"


def test_stop_and_continue_by_message(toy, images):
    gate = {"open": True}

    def slow(x):
        while not gate["open"]:
            time.sleep(0.005)
        time.sleep(0.002)
        return brightness(x)

    view = ww.AttributionView(toy(slow), images, method=ww.Sobol(grid=8, rows=40))
    view._receive(view, {"kind": "start", "image": "one"}, [])
    until(lambda: view.attribution is not None)
    view._receive(view, {"kind": "stop", "image": "one"}, [])
    until(lambda: view._status["one"]["state"] == "partial")
    stopped = view.job.step.done
    time.sleep(0.1)
    assert view.job.step.done == stopped
    kept = view.attribution
    view._receive(view, {"kind": "start", "image": "one"}, [])
    assert view.job.wait(PATIENCE).rows == 40
    assert view.attribution is not kept
    view.close()


def test_a_job_that_fails_keeps_the_last_map_and_says_what_happened(toy, images):
    calls = {"left": 45}

    def fails(x):
        calls["left"] -= 1
        if calls["left"] < 0:
            raise OSError("no disk left for this batch")
        return brightness(x)

    view = ww.AttributionView(toy(fails), images, method=ww.Sobol(grid=8, rows=32))
    with pytest.raises(OSError, match="no disk left"):
        view.start().wait(PATIENCE)
    until(lambda: view._status["one"]["state"] == "failed")
    error = view._status["one"]["error"]
    assert error["why"] == "OSError: no disk left for this batch"
    assert error["what"]
    assert error["todo"]
    assert view.attribution is not None
    values, _ = decode(view, "one", view.attribution.predicted)
    assert np.isfinite(values).all()
    calls["left"] = 10**6
    view._receive(view, {"kind": "start", "image": "one"}, [])
    assert view.job.wait(PATIENCE).rows == 32
    view.close()


def test_a_nan_logit_fails_the_job_in_words(toy, images):
    view = ww.AttributionView(toy(lambda x: x.mean((2, 3)) * float("nan")), images)
    with pytest.raises(FloatingPointError, match="unmasked image are NaN or infinite"):
        view.start().wait(PATIENCE)
    until(lambda: view._status["one"]["state"] == "failed")
    view.close()


def test_a_flat_map_is_flagged_on_the_wire(toy, images):
    view = ww.AttributionView(toy(lambda x: torch.ones(len(x), 3)), images, method=ww.Sobol(grid=2, rows=4))
    view.start().wait(PATIENCE)
    until(lambda: view._status["one"]["state"] == "done")
    assert all(c["flat"] and c["max"] == 0 for c in view._maps["one"]["classes"])
    assert "does not move" in view.describe()
    view.picture()
    view.close()


def test_photos_are_small_enough_to_be_saved_with_a_notebook(model, photos):
    view = ww.AttributionView(model, photos)
    assert sum(map(len, view._photos)) < 110_000
    assert all(photo.startswith(b"\xff\xd8") for photo in view._photos)
    assert view._images[0]["seen"] == pytest.approx([100, 0, 500, 400])
    view.close()


def test_close_gives_memory_back_and_stops(model, images):
    view = ww.AttributionView(model, images, method=ww.Sobol(grid=8, rows=2000))
    job = view.start()
    until(lambda: view.attribution is not None)
    view.close()
    until(lambda: not job.active)
    until(lambda: job.record is None)
    with pytest.raises(RuntimeError, match="This AttributionView was closed; make a new one"):
        view.start()


def test_close_leaves_no_record_behind(model, images):
    view = ww.AttributionView(model, images, method=ww.Sobol(grid=4, rows=4))
    record = weakref.ref(view.start().wait(PATIENCE))
    until(lambda: view._status["one"]["state"] == "done")
    view.close()

    def gone():
        gc.collect()
        return record() is None

    until(gone)


def test_an_observer_that_waits_for_a_job_does_not_wait_for_ever(view):
    seen = []
    view.start()
    view.observe(lambda _: seen.append(view.job.wait(PATIENCE).rows), "selected_image")
    view._receive(view, {"kind": "set", "rid": 1, "traits": {"selected_image": "two"}}, [])
    assert seen == [6]
    until(lambda: view._status["two"]["state"] == "done")
    assert decode(view, "two", 0)[0].shape == (8, 8)


def test_an_observer_that_fails_takes_nothing_else_with_it(view, messages, caplog):
    view.observe(lambda _: 1 / 0, "opacity")
    view._receive(view, {"kind": "set", "rid": 1, "traits": {"opacity": 0.2, "threshold": 0.3}}, [])
    assert (view.opacity, view.threshold) == (0.2, 0.3)
    assert messages == [{"kind": "applied", "rid": 1, "v": 1}]
    assert "An observer of 'opacity' failed" in caplog.text


@pytest.fixture
def slow(toy):
    def slowly(x):
        time.sleep(0.002)
        return brightness(x)

    return toy(slowly)


def test_the_view_that_was_touched_last_goes_first(slow, images):
    old, new = (ww.AttributionView(slow, images, method=ww.Sobol(grid=8, rows=60)) for _ in range(2))
    for _ in range(5):
        old.start()
    until(lambda: old.attribution is not None)
    new.start()
    new.job.wait(PATIENCE)
    assert old.job.active
    old.close()
    new.close()


def test_going_back_to_a_photo_goes_on_with_it(slow, images):
    view = ww.AttributionView(slow, images, method=ww.Sobol(grid=8, rows=60))
    view.start()
    view.selected_image = "two"
    view.selected_image = "one"
    view.job.wait(PATIENCE)
    assert view._jobs["two"].active
    view.close()


def test_a_page_made_during_a_job_says_that_it_is_partial(slow, images):
    view = ww.AttributionView(slow, images, method=ww.Sobol(grid=8, rows=200))
    view.start()
    until(lambda: view._seq > 0)
    frozen = view.exported_state()
    assert frozen["_status"]["one"]["state"] == "partial"
    assert frozen["_status"]["one"]["eta"] is None
    assert view._status["one"]["state"] == "computing"
    view.close()


def test_start_tries_a_failed_photo_again(toy, images):
    broken = {"yes": False}  # a model is tried once when it is made

    def sometimes(x):
        if broken["yes"]:
            raise OSError("the disk is full")
        return brightness(x)

    view = ww.AttributionView(toy(sometimes), images, method=ww.Sobol(grid=2, rows=3))
    broken["yes"] = True
    with pytest.raises(OSError, match="disk is full"):
        view.start().wait(PATIENCE)
    broken["yes"] = False
    assert view.start().wait(PATIENCE).rows == 3
    view.close()


def test_the_gate_keeps_one_frame_under_way(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    gate = FrameGate()
    assert gate.frame() == 1
    now[0] += 0.5
    assert gate.frame() is None, "the first is not drawn yet"
    gate.acknowledge(1)
    assert gate.frame() == 2
    gate.acknowledge(2)
    now[0] += 0.01
    assert gate.frame() is None, "too soon"
    assert gate.frame(force=True) == 3
    now[0] += 10
    assert gate.frame() == 4, "a browser that has gone does not hold the rest back"
    gate.acknowledge(2)
    assert gate.progress()
    assert not gate.progress()
    now[0] += 0.11
    assert gate.progress()
