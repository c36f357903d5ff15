"""PrototypeView: what the browser is told, choices and linking, jobs, and what is saved."""

import base64
import dataclasses
import io
import json
import time
import warnings

import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _remove_buffers
from PIL import Image
from torch import nn

import whatwhere as ww
from whatwhere.widgets._proto_data import PAGE, PrototypeData
from whatwhere.widgets._proto_pictures import draw
from whatwhere.widgets._view import WIRE

PATIENCE = 60
TOLD = WIRE["prototypes"]
T = ww.targets
QUICK = ww.Maco(steps=4, crops=2, size=64, crop=0.4, frames=3)


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def tell(view, kind, **content):
    view._receive(view, {"kind": kind, "rid": content.pop("rid", "r"), "v": 1, **content}, [])


def picture(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=4), nn.ReLU(), nn.Conv2d(8, 12, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(12, 7),
    ).eval()  # fmt: skip
    made = ww.VisionModel(net, device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, name="small")
    made.batch_size = 4
    return made


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    blocks = rng.random((6, 8, 8, 3), dtype=np.float32)
    return {f"photo {n}": np.kron(one, np.ones((4, 4, 1), np.float32)) for n, one in enumerate(blocks)}


@pytest.fixture(scope="module")
def bank(model, pictures):
    return ww.Craft(n_concepts=3, layer="2", fit_on="locations", designs=8).run(model, pictures, progress=False)


@pytest.fixture(scope="module")
def protos(model, bank):
    """A class with two seeds, two concepts, and a channel."""
    two = dataclasses.replace(QUICK, seed=(0, 5))
    rest = QUICK.submit(model, [*T.concepts(bank)[:2], T.Channel("0", 1)]).wait(PATIENCE)
    return [*two.submit(model, [3]).wait(PATIENCE), *rest]


@pytest.fixture
def view(protos):
    shown = ww.PrototypeView(protos)
    yield shown
    shown.close()


# -- state ------------------------------------------------------------------------------------------------------------


def test_the_wire_names_every_trait(view):
    own = [name for name in view.keys if name in vars(ww.PrototypeView) and name != "_esm"]
    assert sorted(own) == sorted(TOLD["public_traits"] + TOLD["python_traits"])
    assert view.public_traits() == sorted(TOLD["public_traits"])


def test_records_are_told_by_target(view, protos, bank):
    told = view._protos
    assert [each["group"] for each in told] == [0, 0, 1, 2, 3]
    assert [each["variant"] for each in told] == ["seed 0", "seed 5", "seed 0", "seed 0", "seed 0"]
    assert [each["concept"] for each in told] == [None, None, bank.ids[0], bank.ids[1], None]
    assert told[2]["label"].startswith("concept ")
    assert told[4]["layers"] == ["0"]
    for each, record in zip(told, protos, strict=True):
        assert each["after"] == pytest.approx(record.after, rel=1e-4)
        assert each["trace"] == pytest.approx(record.trace.tolist(), rel=1e-4)
        assert each["crops"][0] == pytest.approx(float(record.trace[-1]), rel=1e-4)
        assert (each["steps"], each["wanted"], each["complete"]) == (4, 4, True)
    assert view._status["state"] == "done"
    json.dumps(told, allow_nan=False)


def test_pictures_are_the_record_s(view, protos):
    assert set(view._large) == {"0", "1"}  # the seeds of the target that is looked at
    large = picture(view._large["0"]["image"])
    wanted = 255 * protos[0].stretched()
    assert large.shape == wanted.shape
    assert np.sqrt(np.mean((large - wanted) ** 2)) < 12
    levels = picture(view._large["0"]["alpha"])[..., 0]
    exact = 255 * np.sqrt(protos[0].alpha / protos[0].alpha.max())
    assert np.abs(levels - exact).mean() < 4
    # Opacity, as the browser works it out from eight bits, against the record's own.
    top = np.percentile(levels, 80, method="lower")
    assert np.abs(np.minimum(1, (levels / top) ** 2) - protos[0].opacity(80)).mean() < 0.04


def test_the_mosaic_has_a_tile_for_each(view, protos):
    page = picture(view._mosaic)
    side, columns = view._side, view._columns
    assert page.shape == (2 * side, 3 * side, 3)
    for number, record in enumerate(protos):
        top, left = (side * k for k in divmod(number, columns))
        tile = page[top : top + side, left : left + side]
        drawn = draw(record, side).pixels
        assert np.sqrt(np.mean((tile[: drawn.shape[0], : drawn.shape[1]] - drawn) ** 2)) < 40
    assert picture(view._mosaic_alpha).shape[1] == columns * max(16, side // 2)


def test_frames_run_from_noise_to_the_last_step(view, protos):
    told = view._frames["0"]
    assert told["steps"] == protos[0].frame_steps.tolist()
    assert told["steps"][0] == 0
    assert told["steps"][-1] == 4
    assert picture(told["data"]).shape[1] == told["columns"] * told["side"]


def test_another_prototype_brings_its_large_picture(view):
    view.selected = 4
    assert set(view._large) == set(view._frames) == {"4"}
    tell(view, "set", traits={"selected": 2, "percentile": 95.0, "transparency": False})
    assert (view.selected, view.percentile, view.transparency) == (2, 95.0, False)
    assert set(view._large) == {"2"}
    with pytest.raises(Exception, match=r"selected: wanted a prototype's number, from 0 to 4, got 9"):
        view.selected = 9
    tell(view, "set", traits={"selected": 9, "percentile": 400})
    assert (view.selected, view.percentile) == (2, 95.0)


def test_pictures_that_are_not_square_keep_their_shape(model):
    (record,) = dataclasses.replace(QUICK, size=(64, 96)).submit(model, 1).wait(PATIENCE)
    shown = ww.PrototypeView(record)
    assert picture(shown._large["0"]["image"]).shape == (64, 96, 3)
    assert shown._protos[0]["size"] == [64, 96]
    assert shown.picture().width > 0
    shown.close()


def test_an_accentuated_photo_is_told_with_the_photo(protos):
    seed = np.full((64, 64, 3), 0.25, dtype=np.float32)

    photographed = dataclasses.replace(protos[4], seed_image=seed, photo="pond")
    shown = ww.PrototypeView(photographed)
    assert shown._protos[0]["variant"] == "pond, seed 0"
    assert ["Photo", "pond"] in shown._protos[0]["about"]
    line = np.asarray(shown.picture())[40]
    assert (line[:30] == 64).all()  # the left half is the photo
    assert (line[34:64] != 64).any()
    assert shown._protos[0]["seeded"]
    np.testing.assert_allclose(picture(shown._large["0"]["seed"]), 64, atol=3)
    plain = picture(shown._large["0"]["image"])  # not stretched: it is compared with the photo
    assert np.sqrt(np.mean((plain - 255 * protos[4].image) ** 2)) < 12
    shown.close()


def test_photos_are_accentuated_before_one_s_eyes(model, pictures):
    """The photo is there from the first frame on; the code makes the same."""
    method = ww.Accentuation(steps=4, crops=2, size=48, crop=(0.6, 1), layer="0", frames=3)
    job = method.submit(model, {name: pictures[name] for name in ("photo 1", "photo 4")}, 3)
    shown = ww.PrototypeView(job, model=model, images=pictures)
    records = shown.start().wait(PATIENCE)
    until(lambda: [each["steps"] for each in shown._protos] == [4, 4] and shown._status["state"] == "done")
    assert [each["variant"] for each in shown._protos] == ["photo 1, seed 0", "photo 4, seed 0"]
    assert [each["group"] for each in shown._protos] == [0, 0]
    growing = PrototypeData().growing(records, [0, 1], 30_000)["_large"]
    for number in ("0", "1"):
        before = picture(growing[number]["seed"])
        assert np.sqrt(np.mean((before - 255 * records[int(number)].seed_image) ** 2)) < 20  # a JPEG of hard edges
    held = next(text for label, text in shown._protos[1]["about"] if label == "Held near it")
    assert held.startswith("in 0, weight 1; ")
    code = next(line for line in shown._protos[1]["code"].splitlines() if line.startswith("prototype = "))
    scope = {"ww": ww, "model": model, "photo": pictures["photo 4"]}
    exec(code, scope)  # noqa: S102  # the view's own code
    np.testing.assert_allclose(scope["prototype"].image, records[1].image, atol=1e-3)
    shown.close()


def test_records_of_several_photos_are_shown_as_they_come(model, pictures):
    method = ww.Accentuation(steps=1, crops=1, size=48, crop=(0.6, 1), weight=0)
    some = {name: pictures[name] for name in ("photo 1", "photo 4")}
    for targets, count in ((3, 2), ([3, 4], 4)):
        shown = ww.PrototypeView(method.run(model, some, targets, progress=False))
        assert len(shown.prototypes) == count
        shown.close()
    with pytest.raises(TypeError, match=r"method: wanted Maco or FourierVisualization, got Accentuation\. What begins"):
        ww.PrototypeView(model, [3], method=method)


# -- words ------------------------------------------------------------------------------------------------------------


def test_the_code_makes_the_same(view, protos, model, bank):
    for told, record in zip(view._protos, protos, strict=True):
        line = next(line for line in told["code"].splitlines() if line.startswith("prototype = "))
        scope = {"ww": ww, "model": model, "bank": bank}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # four steps need not get anywhere
            exec(line, scope)  # noqa: S102  # the view's own code
        np.testing.assert_array_equal(scope["prototype"].image, record.image)
        assert ["Seed", str(record.seed)] in told["about"]


def test_what_a_reader_has_to_know_is_told(protos):
    dead = dataclasses.replace(protos[0], ended="Nothing moves it.")
    shown = ww.PrototypeView(dead)
    assert shown._protos[0]["caveats"] == ["Nothing moves it."]
    assert ["Caution", "Nothing moves it."] in shown._protos[0]["about"]
    shown.close()


# -- what is given ----------------------------------------------------------------------------------------------------


def test_what_makes_no_view_is_refused(model, protos, bank, untrained):
    with pytest.raises(TypeError, match=r"prototypes: wanted Prototype records, .* got ConceptBank"):
        ww.PrototypeView(bank)
    with pytest.raises(TypeError, match=r"prototypes: wanted Prototype records, .* got none"):
        ww.PrototypeView([])
    with pytest.raises(TypeError, match="targets: wanted what is to be excited"):
        ww.PrototypeView(model)
    with pytest.raises(TypeError, match=r"targets: goes with a network, .* take theirs as model="):
        ww.PrototypeView(protos, [1])
    with pytest.raises(TypeError, match="method: goes with a network"):
        ww.PrototypeView(protos, method=QUICK)
    with pytest.raises(ValueError, match="index: wanted one of the 8 channels"):
        ww.PrototypeView(model, [T.Channel("0", 99)])
    other = ww.VisionModel(untrained("squeezenet1_0"), device="cpu", input_size=64, mean=(0.0,) * 3, std=(1.0,) * 3)
    with pytest.raises(ValueError, match="model: wanted the network of the prototypes, small with weights"):
        ww.PrototypeView(protos, model=other)
    with pytest.raises(TypeError, match="unknown option 'colour'"):
        ww.PrototypeView(protos, colour="red")


def test_without_photos_it_says_how_to_see_them(protos, model):
    shown = ww.PrototypeView(protos)
    assert "PrototypeView(prototypes, model=model, images=photos)" in shown._examples[0]["reason"]
    assert shown.examples == [None] * 4
    shown.close()
    shown = ww.PrototypeView(protos, model=model)
    assert "images=photos" in shown._examples[0]["reason"]
    shown.close()


def test_photos_are_ranked_as_the_engine_ranks_them(protos, model, pictures, bank):
    shown = ww.PrototypeView(protos, model=model, images=pictures)
    shown.start().wait(PATIENCE)
    until(lambda: all(told["complete"] for told in shown._examples))
    wanted = ww.DatasetExamples().run(model, [3, *T.concepts(bank)[:2], T.Channel("0", 1)], pictures)
    for told, found, own in zip(shown._examples, wanted, shown.examples, strict=True):
        assert [each["image"] for each in told["top"]] == [each.image for each in found.top][: len(told["top"])]
        assert told["count"] == 6
        assert told["values"] == pytest.approx(sorted(found.values.tolist()), rel=1e-4, abs=1e-6)
        np.testing.assert_array_equal(own.values, found.values)
    sprite = picture(shown._tiles)
    side = shown._tile_side
    first = shown._examples[3]["top"][0]
    assert first["crop"] == first["photo"] + 1
    assert shown._examples[0]["top"][0]["crop"] is None
    top, left = (side * k for k in divmod(first["photo"], shown._tile_columns))
    photo = Image.fromarray(wanted[3].top[0].picture).resize((side, side), Image.Resampling.LANCZOS)
    assert np.sqrt(np.mean((sprite[top : top + side, left : left + side] - np.asarray(photo, np.float32)) ** 2)) < 25
    shown.close()


def test_a_target_that_its_file_does_not_hold_has_no_photos(protos, model, pictures):
    lost = dataclasses.replace(protos[4], target=None)
    shown = ww.PrototypeView([lost, protos[0]], model=model, images=pictures)
    shown.start().wait(PATIENCE)
    until(lambda: shown._examples[1]["complete"])
    assert "does not hold its target" in shown._examples[0]["reason"]
    assert shown.examples[0] is None
    shown.close()


# -- jobs -------------------------------------------------------------------------------------------------------------


def test_prototypes_grow_in_the_view(model, pictures):
    shown = ww.PrototypeView(model, [1, T.Channel("0", 2)], method=QUICK, images=pictures)
    assert shown.prototypes == []
    assert shown._status["state"] == "empty"
    assert shown.job.state == "idle"
    assert shown._title == "small"
    records = shown.start().wait(PATIENCE)
    until(lambda: [told["complete"] for told in shown._examples] == [True, True])
    until(lambda: shown._status["state"] == "done")
    assert [each.image is record.image for each, record in zip(shown.prototypes, records, strict=True)] == [True, True]
    assert [told["steps"] for told in shown._protos] == [4, 4]
    assert shown.prototype is records[0]
    assert [found.label for found in shown.examples] == [record.label for record in records]
    shown.close()


def test_a_job_is_shown_and_left_to_whoever_made_it(model):
    job = QUICK.submit(model, [2])
    shown = ww.PrototypeView(job, model=model)
    assert shown.job is job
    shown.start().wait(PATIENCE)
    until(lambda: shown._status["state"] == "done")
    shown.close()
    assert job.record[0].steps == 4


def test_stop_keeps_what_is_there_and_start_goes_on(model):
    slow = dataclasses.replace(QUICK, steps=20_000)  # nobody waits for its end
    shown = ww.PrototypeView(model, [1], method=slow)
    shown.start()
    until(lambda: shown._protos and shown._protos[0]["steps"] > 0)
    tell(shown, "stop")
    until(lambda: shown.job.state == "stopped")
    until(lambda: shown._status["state"] == "partial")
    (record,) = shown.prototypes
    assert not record.complete
    until(lambda: shown._protos[0]["steps"] == record.steps)
    assert shown._large["0"]["image"][:4] == b"RIFF"  # drawn well, now that it rests
    tell(shown, "start")
    until(lambda: shown._protos[0]["steps"] > record.steps)
    shown.stop()
    shown.close()


def test_one_frame_at_a_time_until_the_browser_has_drawn_it(model, monkeypatch):
    monkeypatch.setattr("whatwhere.widgets._view._ACK_SECONDS", 1000)
    slow = dataclasses.replace(QUICK, steps=2000)
    shown = ww.PrototypeView(model, [1], method=slow)
    first = shown._seq
    shown.start()
    tell(shown, "ack", seq=first)
    until(lambda: shown._seq == first + 1)
    reached = shown.job.record[0].steps
    until(lambda: shown.job.record[0].steps > reached + 5)
    assert shown._seq == first + 1
    tell(shown, "ack", seq=shown._seq)
    until(lambda: shown._seq == first + 2)
    shown.stop()
    until(lambda: shown._status["state"] == "partial")
    shown.close()


def test_a_failure_is_told():
    def break_down():
        raise ZeroDivisionError("by a test")
        yield

    shown = ww.PrototypeView(ww.Job(break_down))
    shown.start()
    until(lambda: shown._status["state"] == "failed")
    assert shown._status["error"]["why"] == "ZeroDivisionError: by a test"
    shown.close()


def test_photos_come_while_prototypes_grow(model, pictures):
    slow = dataclasses.replace(QUICK, steps=3000)
    shown = ww.PrototypeView(model, [1], method=slow, images=pictures)
    shown.start()
    until(lambda: shown._examples and shown._examples[0]["complete"])
    assert shown.job.active
    shown.stop()
    until(lambda: not shown.job.active)
    shown.close()


def test_a_closed_view_gives_up(model, pictures):
    shown = ww.PrototypeView(model, [1], method=dataclasses.replace(QUICK, steps=5000), images=pictures)
    job = shown.start()
    until(lambda: job.record is not None)
    shown.close()
    until(lambda: not job.active)
    assert shown.prototypes == []


# -- linked views -----------------------------------------------------------------------------------------------------


def test_concepts_and_classes_are_selected_together(protos, bank):
    selection = ww.Selection()
    view = ww.PrototypeView(protos, selection=selection)
    assert selection.as_dict()["concepts"] == []  # nothing is chosen by showing a view
    view.selected = 3
    assert selection.concepts == [bank.ids[1]]
    selection.concepts = [bank.ids[1], bank.ids[0]]
    assert view.selected == 2  # the one that was added last
    selection.class_id = 3
    assert view.selected == 0
    view.selected = 1  # another seed of the same class
    assert selection.class_id == 3
    assert view.selected == 1
    view.selected = 4  # a channel: nothing that others could follow
    assert selection.class_id == 3
    selection.concepts = [77]
    assert view.selected == 4
    view.close()


def test_it_joins_what_is_selected_already(protos, bank):
    selection = ww.Selection(concepts=[bank.ids[1]])
    view = ww.PrototypeView(protos, selection=selection)
    assert view.selected == 3
    view.close()
    told = ww.PrototypeView(protos, selection=selection, selected=2)
    assert selection.concepts == [bank.ids[0]]
    told.close()


def test_a_card_and_a_prototype_select_one_another(protos, model, bank):
    selection = ww.Selection()
    explorer = ww.ConceptExplorer(bank, model, selection=selection)
    view = ww.PrototypeView(protos, selection=selection)
    view.selected = 3
    assert explorer.selected_concepts == [bank.ids[1]]
    explorer.selected_concepts = [bank.ids[0]]
    assert view.selected == 2
    view.close()
    explorer.close()


def test_prototypes_that_come_later_follow_what_is_selected(model, bank):
    selection = ww.Selection(concepts=[bank.ids[1]])
    view = ww.PrototypeView(model, T.concepts(bank), method=QUICK, selection=selection)
    view.start().wait(PATIENCE)
    until(lambda: view._status["state"] == "done")
    assert view.selected == [k.k for k in T.concepts(bank)].index(1)
    view.close()


# -- saved and exported -----------------------------------------------------------------------------------------------


def saved_bytes(view):
    """What the view adds to a notebook, but for its front end: state, buffers in base64, and the picture."""
    state, _, buffers = _remove_buffers({k: v for k, v in view.get_state().items() if k != "_esm"})
    bundle = view._repr_mimebundle_()[0]
    return (
        len(json.dumps(state))
        + sum(len(base64.b64encode(buffer)) + 60 for buffer in buffers)
        + sum(len(text) for text in bundle.values() if isinstance(text, str))
    )


def noisy(record, side, seed, count=24):
    """A record as large as real ones, whose pictures compress as badly as pictures can."""
    rng = np.random.default_rng(seed)
    smooth = rng.random((side // 4, side // 4, 3), dtype=np.float32)
    image = np.clip(np.kron(smooth, np.ones((4, 4, 1))) + 0.2 * rng.random((side, side, 3)), 0, 1).astype(np.float32)
    return dataclasses.replace(
        record,
        image=image,
        alpha=rng.random((side, side), dtype=np.float32),
        trace=rng.random(256, dtype=np.float32),
        spread=rng.random(256, dtype=np.float32),
        frames=rng.integers(0, 255, (count, 160, 160, 3), dtype=np.uint8),
        frame_steps=np.linspace(0, 256, count).astype(np.int64),
        told={**record.told, "copy": seed},
    )


@pytest.mark.parametrize("count", [1, 4, 16])
def test_what_is_saved_with_a_notebook_is_small(protos, model, pictures, count, tmp_path):
    many = [noisy(protos[4], 512, k) for k in range(count)]
    shown = ww.PrototypeView(many, model=model, images={f"{k}": p for k in range(4) for p in pictures.values()})
    shown.start().wait(PATIENCE)
    until(lambda: all(told["complete"] for told in shown._examples))
    assert saved_bytes(shown) < 300_000
    assert shown._large["0"]
    assert shown._mosaic
    page = shown.to_html(tmp_path / "page.html")
    assert page.stat().st_size < 5_000_000
    state = shown.exported_state()
    assert len(state["_large"]) == len(state["_frames"]) == count
    shown.close()


def test_a_page_holds_more_and_nothing_under_way(model, protos, tmp_path):
    shown = ww.PrototypeView(model, [1], method=dataclasses.replace(QUICK, steps=2000))
    shown.start()
    until(lambda: shown._protos and shown._protos[0]["steps"] > 0)
    state = shown.exported_state()
    assert state["_status"]["state"] == "partial"
    assert state["_large"]["0"]["image"][:4] == b"RIFF"
    shown.stop()
    shown.close()
    page = ww.PrototypeView(protos).to_html(tmp_path / "page.html")
    assert "What would excite small most" in page.read_text(encoding="utf-8")


def test_pictures_are_drawn_once(protos, monkeypatch):
    calls = []
    monkeypatch.setattr("whatwhere.widgets._proto_data.draw", lambda *args: calls.append(args) or draw(*args))
    data = PrototypeData()
    data.growing(protos, (0, 1), 30_000)
    first = len(calls)
    data.growing(protos, (0, 1), 30_000)
    assert len(calls) == first
    data.resting(protos, (0,), PAGE)
    told = len(calls)
    data.resting(protos, (0,), PAGE)
    assert len(calls) == told


def test_hosts_without_widgets_see_a_picture(view):
    bundle = view._repr_mimebundle_()[0]
    assert {"image/png", "text/html", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
    assert "most: 4 steps of 2 crops" in bundle["text/plain"]
    assert repr(view).startswith("<PrototypeView: What excites")
    empty = ww.PrototypeView(ww.Job(lambda: iter(())))
    assert "not grown yet" in empty.describe()
    assert empty.picture().width > 100
    empty.close()
