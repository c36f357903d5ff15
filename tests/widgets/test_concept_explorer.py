"""ConceptExplorer without a browser: state, messages, jobs, refusal, and how large it is."""

import base64
import dataclasses
import gc
import io
import json
import struct
import time
import weakref

import numpy as np
import pytest
import torch
import traitlets
from ipywidgets.widgets.widget import _remove_buffers
from PIL import Image
from torch import nn

import whatwhere as ww
from whatwhere.concepts.concept_crop import ConceptCrop
from whatwhere.concepts.photos import Input, PhotoSet
from whatwhere.jobs import Job, Step
from whatwhere.pixels.geometry import Geometry
from whatwhere.widgets._view import WIRE

PATIENCE = 30
TOLD = WIRE["concepts"]


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def small_net(*head):
    """ReLU maps of 6 x 6 cells, a second layer of them, then what is given."""
    body = nn.Sequential(nn.Conv2d(3, 9, 4, stride=4), nn.ReLU())
    late = nn.Sequential(nn.Conv2d(9, 12, 1), nn.ReLU())
    net = nn.Sequential(body, late, *head).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (0.3 if weight.ndim > 1 else 0.05))
    return net


HEADS = {
    "affine": lambda: (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 7)),
    "by place": lambda: (nn.Flatten(), nn.Linear(12 * 36, 7)),
    "bent": lambda: (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 7)),
}


@pytest.fixture(scope="module")
def pictures():
    """Photos of 40 x 32 pixels, of which a network sees the middle 24 x 24 of 30 x 24."""
    rng = np.random.default_rng(0)
    blocks = rng.random((12, 10, 8, 3), dtype=np.float32) * (rng.random((12, 10, 8, 1)) < 0.6)
    return {f"photo {n}": np.kron(one, np.ones((4, 4, 1), np.float32)) for n, one in enumerate(blocks)}


@pytest.fixture(scope="module")
def made(pictures):
    """Make a small model with a bank of three concepts, once for each kind of head."""
    kept = {}

    def make(head="affine", *, name="small"):
        if head not in kept:
            model = ww.VisionModel(
                small_net(*HEADS[head]()), device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, name=name
            )
            model.batch_size = 4
            method = ww.Craft(n_concepts=3, layer="1", fit_on="locations", designs=8)
            kept[head] = model, method.run(model, pictures, progress=False)
        return kept[head]

    return make


@pytest.fixture
def view(made):
    model, bank = made()
    shown = ww.ConceptExplorer(bank, model)
    yield shown
    shown.close()


def listen(view, monkeypatch):
    sent = []
    monkeypatch.setattr(view, "send", lambda content, **_: sent.append(content))
    return sent


@pytest.fixture
def messages(view, monkeypatch):
    """What the view sends to the browser besides traits."""
    return listen(view, monkeypatch)


def tell(view, kind, **content):
    view._receive(view, {"kind": kind, "rid": content.pop("rid", "r"), "v": 1, **content}, [])


def looked(view):
    view.start().wait(PATIENCE)
    until(lambda: view._status["state"] == "done" and view._drawn[1] is view._explored.facts)
    return view


# -- state ------------------------------------------------------------------------------------------------------------


def test_the_wire_names_every_trait(view):
    own = [name for name in view.keys if name in vars(ww.ConceptExplorer) and name != "_esm"]
    assert sorted(own) == sorted(TOLD["public_traits"] + TOLD["python_traits"])
    assert view.public_traits() == sorted(TOLD["public_traits"])


def test_nothing_is_computed_before_it_is_shown(view, made):
    _, bank = made()
    assert view.job.state == "idle"
    assert view.bank is bank
    assert view._status["state"] == "done"
    assert view._effects == view._logits == b""
    assert view._bank["classes"] == []
    assert view._title == "small"
    assert view._target == "each photo's predicted class"
    assert view._model == {"given": True, "reason": "", "photos": "", "split": "", "rank": "", "most": 12}


def test_what_is_sent_adds_up_to_the_logit(view, made):
    _, bank = made()
    for told in view._images:
        n = bank.images.index(told["name"])
        total = told["base"] + sum(told["contributions"]) + told["residual"] + told["gap"]
        assert total == pytest.approx(told["logit"], abs=1e-3)
        assert told["logit"] == pytest.approx(bank.logits[n], rel=1e-4)
    assert sum(view._bank["importance"]) == pytest.approx(1, abs=1e-4)
    assert view._bank["importance"] == sorted(view._bank["importance"], reverse=True)
    size = np.abs(bank.contributions)
    assert view._bank["present"] == (size >= 0.08 * size.sum(1, keepdims=True)).sum(0).tolist()


def test_codes_come_back_to_eight_bits(view, made):
    _, bank = made()
    scales = np.array(view._code_scales)
    for name, planes in view._codes.items():
        shown = np.frombuffer(planes, np.uint8).reshape(bank.rank, *view._grid) / 255 * scales[:, None, None]
        real = np.moveaxis(bank.codes[bank.images.index(name)], -1, 0)
        assert shown == pytest.approx(np.minimum(real, scales[:, None, None]), abs=float(scales.max()) / 255)
        assert view._present[name] == (real != 0).any(axis=(1, 2)).astype(int).tolist()
    for k in range(bank.rank):
        above = bank.codes[..., k][bank.codes[..., k] > 0]
        assert view._code_scales[k] == pytest.approx(np.quantile(above, 0.99), rel=1e-3)


def test_the_sprite_holds_every_crop(view, made):
    _, bank = made()
    count = sum(map(len, view._crops))
    sprite = Image.open(io.BytesIO(view._sprite))
    side, columns = view._sprite_side, view._sprite_columns
    assert sprite.size == (columns * side, -(-count // columns) * side)
    assert {crop["kind"] for row in view._crops for crop in row} == set(TOLD["crop_kinds"])
    flat = [crop for row in view._crops for crop in row]
    place = next(i for i, crop in enumerate(flat) if crop["kind"] == "active")
    row, column = divmod(place, columns)
    box = (column * side, row * side, (column + 1) * side, (row + 1) * side)
    shown = np.asarray(sprite.crop(box).resize((1, 1), Image.Resampling.BOX), dtype=float)
    assert shown[0, 0] == pytest.approx(bank.crops[0][0].picture.mean(axis=(0, 1)), abs=25)


def test_crops_of_each_kind_show_what_they_say(view, made):
    _, bank = made()
    for k, row in enumerate(view._crops):
        of = {kind: [crop for crop in row if crop["kind"] == kind] for kind in TOLD["crop_kinds"]}
        peaks = bank.codes[..., k].max(axis=(1, 2))
        assert of["active"][0]["activation"] == pytest.approx(peaks.max(), rel=1e-3)
        assert of["lowest"][0]["activation"] == pytest.approx(peaks.min(), rel=1e-3, abs=1e-6)
        owed = np.abs(bank.contributions[:, k])
        assert of["relevant"][0]["image"] == bank.images[int(owed.argmax())]
        assert all(crop["activation"] > 0 for crop in of["random"])


def test_photos_show_what_the_network_saw(view, made):
    _, bank = made()
    told = view._images[0]
    top, left, bottom, right = bank.source.geometries[bank.images.index(told["name"])].seen
    assert (told["width"], told["height"]) == (right - left, bottom - top)
    assert told["seen"] == [0, 0, right - left, bottom - top]
    for crop in (crop for row in view._crops for crop in row):
        x0, y0, x1, y1 = crop["box"]
        assert -0.1 <= x0 < x1 <= right - left + 0.1
        assert -0.1 <= y0 < y1 <= bottom - top + 0.1


def test_whole_photos_are_shown_where_they_are_given(made, pictures):
    model, bank = made()
    view = ww.ConceptExplorer(bank, model, images=dict(list(pictures.items())[:5]))
    assert {told["name"] for told in view._images} == set(list(pictures)[:5])
    assert (view._images[0]["width"], view._images[0]["height"]) == (32, 40)
    assert view._images[0]["seen"] == pytest.approx([0, 4, 32, 36])
    crop = view._crops[0][0]
    assert crop["box"] == [round(bank.crops[0][0].box[edge], 1) for edge in (1, 0, 3, 2)]
    view.close()


def test_a_loaded_bank_shows_crops_and_says_what_it_lacks(made, tmp_path, pictures):
    model, bank = made()
    bank.save(tmp_path / "bank.safetensors")
    loaded = ww.ConceptBank.load(tmp_path / "bank.safetensors")
    view = ww.ConceptExplorer(loaded)
    assert view._sprite
    assert {crop["kind"] for row in view._crops for crop in row} == {"active"}
    assert view._images == [] == view._photos
    assert view.selected_image == ""
    assert "holds no photos" in view._model["photos"]
    assert view._model["given"] is False
    assert "ConceptExplorer(bank, model)" in view._model["reason"]
    again = ww.ConceptExplorer(loaded, model, images=pictures)
    assert again._model == {"given": True, "reason": "", "photos": "", "split": "", "rank": "", "most": 12}
    assert again._images[0]["seen"] == pytest.approx([0, 4, 32, 36])
    blind = ww.ConceptExplorer(loaded, images=pictures)
    assert "its model knows" in blind._model["photos"]
    for each in (view, again, blind):
        each.close()


def test_a_single_photo_gives_numbers_that_json_has(made, pictures):
    model, _ = made()
    method = ww.Craft(n_concepts=1, layer="1", fit_on="locations")
    view = ww.ConceptExplorer(method.run(model, {"one": pictures["photo 0"]}, progress=False), model)
    assert view._bank["importance_error"] == [None]
    json.dumps(_remove_buffers(looked(view).exported_state())[0], allow_nan=False)
    view.close()


# -- choices ----------------------------------------------------------------------------------------------------------


def test_it_opens_with_the_most_important_concept(view):
    assert view.selected_concepts == [view.ids[0]] == [view._bank["ids"][0]]
    assert view.selected_image == view._images[0]["name"]
    assert set(view._large) == {view.selected_image}


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("selected_concepts", [99], r"selected_concepts: wanted ids of \[.*\], got 99"),
        ("selected_concepts", [0, 0], "wanted each id once"),
        ("selected_concepts", [True], "got True"),
        ("selected_concepts", 0.5, "wanted a list of concept ids, got float"),
        ("hidden", [0.5], "hidden: wanted ids"),
        ("pinned", {0: 1}, "pinned: wanted a list"),
        ("selected_image", "photo 99", "selected_image: wanted one of"),
        ("map_kind", "jet", "map_kind"),
        ("opacity", 1.5, "opacity"),
        ("threshold", 0.95, "threshold"),
        ("scales", {"0": 2.5}, "scales: wanted factors from 0 to 2, got 2.5"),
        ("scales", {"0": float("nan")}, "scales: wanted factors"),
        ("scales", {"0": "1"}, "scales: wanted factors"),
        ("scales", {"99": 1}, "scales: wanted ids"),
        ("scales", {"9" * 5000: 1}, "scales: wanted ids"),
        ("scales", [1], "scales: wanted a dict by concept id, got list"),
        ("names", {"0": 3}, "names: wanted text of at most 80 characters, got int 3"),
        ("names", {"0": "x" * 81}, "got 81 characters"),
        ("notes", {"-1": "x"}, "notes: wanted ids"),
    ],
)
def test_bad_traits_are_refused_and_lose_nothing(view, trait, value, message):
    before = getattr(view, trait)
    with pytest.raises(traitlets.TraitError, match=message):
        setattr(view, trait, value)
    assert getattr(view, trait) == before


def test_the_browser_sets_public_traits_by_message(view, messages):
    seen = []
    view.observe(lambda change: seen.append(change["new"]), "selected_concepts")
    ids = view.ids
    tell(view, "set", traits={"selected_concepts": ids[:2], "scales": {str(ids[0]): 0, str(ids[1]): 1}})
    assert seen == [ids[:2]]
    assert view.scales == {str(ids[0]): 0.0}
    assert messages == [{"kind": "applied", "rid": "r", "v": 1}]
    tell(view, "set", traits={"selected_concepts": [99], "_bank": {}, "pinned": [ids[2]]})
    assert (view.selected_concepts, view.pinned) == (ids[:2], [ids[2]])


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "sing"},
        {"kind": "set", "traits": {"selected_concepts": ["x"], "names": {"a": "b"}, "scales": None}},
        {"kind": "map"},
        {"kind": "map", "image": [], "map_kind": {}},
        {"kind": "map", "image": "photo 0", "map_kind": "codes"},
        {"kind": "map", "image": "nobody", "map_kind": "implicit"},
        {"kind": "whatif", "image": "photo 0", "scales": {"99": 0}},
        {"kind": "whatif", "image": "photo 0", "scales": "x"},
        {"kind": "whatif", "image": None, "scales": {}},
        {"kind": "split", "concept": "C"},
        {"kind": "split", "concept": None},
        {"kind": "split", "concept": 99},
        {"kind": "ack", "seq": "x"},
    ],
)
def test_odd_messages_are_refused_in_words_and_lose_nothing(view, messages, content):
    before = view.get_state()
    view._receive(view, {**content, "rid": 5, "v": 1}, [])
    assert view.get_state() == before
    if content["kind"] in ("map", "whatif", "split"):
        (refused,) = messages
        assert (refused["kind"], refused["rid"]) == ("refused", 5)
        assert refused["message"]
        assert refused["superseded"] is False


def test_every_message_kind_has_a_handler_that_exists(view):
    handlers = {**view._shared_handlers, **view._handlers}
    assert sorted(handlers) == sorted(TOLD["to_kernel"])
    assert all(callable(getattr(view, handler)) for handler in handlers.values())


def test_unknown_options_and_strange_banks_are_refused(made, pictures):
    model, bank = made()
    with pytest.raises(TypeError, match=r"ConceptExplorer: unknown option 'opacty'; wanted one of \['card_kind'"):
        ww.ConceptExplorer(bank, model, opacty=0.5)
    with pytest.raises(TypeError, match=r"bank: wanted a ConceptBank or a Job that makes one, .* got Craft"):
        ww.ConceptExplorer(bank.method, model)
    with pytest.raises(ValueError, match="images: wanted the bank's photos by its names"):
        ww.ConceptExplorer(bank, model, images={"stranger": pictures["photo 0"]})
    other, _ = made("bent")
    with pytest.raises(ValueError, match="model: wanted the network that the concepts came from"):
        ww.ConceptExplorer(bank, other)


def test_names_and_notes_are_written_back_and_saved(made, tmp_path):
    model, bank = made()
    first, second, _ = bank.ids
    view = ww.ConceptExplorer(bank, model, names={first: " ears "}, notes={str(second): "always behind the fish"})
    assert view.names == {str(first): "ears"}
    view.names = view.names | {str(second): "  "}
    named = view.annotated()
    assert named.labels == {first: "ears"}
    assert named.notes == {second: "always behind the fish"}
    named.save(tmp_path / "bank.safetensors")
    loaded = ww.ConceptBank.load(tmp_path / "bank.safetensors")
    assert (loaded.labels, loaded.notes) == (named.labels, named.notes)
    assert loaded.take([2, 0]).labels == {first: "ears"}
    again = ww.ConceptExplorer(loaded)
    assert again.names == {str(first): "ears"}
    with pytest.raises(KeyError, match="concept_id: wanted one of"):
        bank.annotated({99: "nobody"})
    view.close()
    again.close()


def test_a_photo_outside_the_strip_is_brought_in(made, monkeypatch):
    model, bank = made()
    view = looked(ww.ConceptExplorer(bank, model))
    monkeypatch.setattr("whatwhere.widgets._strip.MOST_PHOTOS", 4)
    few = looked(ww.ConceptExplorer(bank, model))
    shown = [told["name"] for told in few._images]
    assert len(shown) == 4
    absent = next(name for name in bank.images if name not in shown)
    tell(few, "set", traits={"selected_image": absent})
    until(lambda: [told["name"] for told in few._images] == [*shown[:3], absent])
    assert len(few._logits) == 4 * 7 * 2
    assert few._images[3]["p"] is not None
    assert set(few._codes) == set(few._mean_codes) == {*shown[:3], absent}
    assert set(few._large) == {absent}
    few.close()
    view.close()


def test_the_concept_that_is_looked_at_has_more_crops(lite, photos, model):
    view = ww.ConceptExplorer(crowd(lite, photos, rank=12, count=30), model)
    counts = [len(row) for row in view._crops]
    assert counts == [28, *[counts[1]] * 11]
    assert 3 <= counts[1] < 10
    shown = [told["name"] for told in view._images]
    view.selected_concepts = [0, 7]
    assert [len(row) for row in view._crops] == [counts[1]] * 7 + [28] + [counts[1]] * 4
    assert [told["name"] for told in view._images] == shown
    assert saved_bytes(view) < 300_000
    view.close()


# -- what the network says --------------------------------------------------------------------------------------------


def whatif_as_in_the_browser(view, name, scales):
    """Second route to the logits: the traits, as the browser reads them."""
    ids, classes = view._bank["ids"], len(view._classes)
    effects = np.frombuffer(view._effects, "<f2").reshape(len(ids), classes).astype(np.float64)
    rows = np.frombuffer(view._logits, "<f2").reshape(len(view._images), classes).astype(np.float64)
    logits = rows[[told["name"] for told in view._images].index(name)]
    for k, concept_id in enumerate(ids):
        logits = logits + (scales.get(concept_id, 1) - 1) * view._mean_codes[name][k] * effects[k]
    return logits


def gated(model, bank, name, scales, target, *, photo=None):
    """Ask the network behind the layer."""
    concepts, n = bank.on(model), bank.images.index(name)
    if photo is None:
        photo = ww.pixels.images.Photo(bank.source.pixels(n).astype(np.float32) / 255, prepared=True)
    gates = torch.tensor([[scales.get(concept_id, 1.0) for concept_id in bank.ids]])
    return float(concepts.response(photo, target, residual=True)(gates)[0])


def test_what_if_in_the_browser_is_the_networks_answer(view, made):
    model, bank = made()
    looked(view)
    assert len(view._effects) == 2 * bank.rank * 7
    name = view._images[1]["name"]
    for scales in ({}, {bank.ids[0]: 0.0}, {bank.ids[1]: 2.0, bank.ids[2]: 0.3}):
        told = whatif_as_in_the_browser(view, name, scales)
        for target in (0, 3, 6):
            assert told[target] == pytest.approx(gated(model, bank, name, scales, target), abs=3e-3)


def test_contributions_are_effects_on_the_explained_class(view, made):
    """Muting a concept takes what it contributes."""
    _, bank = made()
    looked(view)
    for told in view._images[:3]:
        target = int(bank.predictions[bank.images.index(told["name"])])
        whole = whatif_as_in_the_browser(view, told["name"], {})[target]
        for k, concept_id in enumerate(bank.ids):
            without = whatif_as_in_the_browser(view, told["name"], {concept_id: 0.0})[target]
            assert whole - without == pytest.approx(told["contributions"][k], abs=1e-3)


def test_the_look_tells_classes_and_probabilities(view, made):
    model, bank = made()
    looked(view)
    closest = bank.on(model).closest_classes(5)
    assert [[told["name"] for told in row] for row in view._bank["classes"]] == [
        [bank.class_names.label(close.id) for close in row] for row in closest
    ]
    for told in view._images:
        n = bank.images.index(told["name"])
        x = model.to_input(bank.source.pixels(n).astype(np.float32) / 255)
        p = model.net(x).softmax(1)[0]
        assert told["p"] == pytest.approx(float(p[bank.predictions[n]]), abs=1e-4)
        assert told["predicted"] == bank.class_names.label(int(p.argmax()))


@pytest.mark.parametrize("head", ["by place", "bent"])
def test_what_if_elsewhere_is_asked_of_the_network(made, head, monkeypatch):
    model, bank = made(head)
    view = looked(ww.ConceptExplorer(bank, model))
    assert view._effects == b""
    assert view._bank["classes"] == []
    assert all(told["p"] is not None for told in view._images)
    sent = listen(view, monkeypatch)
    name, scales = view._images[0]["name"], {bank.ids[0]: 0.25, bank.ids[2]: 2.0}
    tell(view, "whatif", image=name, scales={str(k): v for k, v in scales.items()}, rid="w")
    until(lambda: sent)
    (answer,) = sent
    assert (answer["kind"], answer["rid"]) == ("whatif", "w")
    target = int(bank.predictions[bank.images.index(name)])
    assert answer["logit"] == pytest.approx(gated(model, bank, name, scales, target), abs=1e-4)
    assert answer["before"] == pytest.approx(bank.logits[bank.images.index(name)], abs=0.02), "but for 8 bits"
    logits = [gated(model, bank, name, scales, k) for k in range(7)]
    p = np.exp(logits) / np.exp(logits).sum()
    for told in answer["classes"]:
        assert told["p"] == pytest.approx(p[told["id"]], abs=1e-4)
    assert {"id", "name", "p", "before"} == set(answer["classes"][0])
    json.dumps(answer, allow_nan=False)
    view.close()


def test_what_if_of_a_single_logit_is_a_sigmoid_of_the_network(pictures, monkeypatch):
    net = small_net(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 1))
    model = ww.VisionModel(net, device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3)
    bank = ww.Craft(n_concepts=2, layer="1", fit_on="locations").run(model, pictures, progress=False)
    view = looked(ww.ConceptExplorer(bank, model))
    assert view._effects == b""
    sent = listen(view, monkeypatch)
    tell(view, "whatif", image=view.selected_image, scales={str(bank.ids[0]): 0.5})
    until(lambda: sent)
    (told,) = sent[0]["classes"]
    assert told["p"] == pytest.approx(1 / (1 + np.exp(-sent[0]["logit"])))
    view.close()


def test_the_latest_what_if_wins_and_every_one_is_answered(made, monkeypatch):
    model, bank = made("bent")
    view = ww.ConceptExplorer(bank, model)
    sent = listen(view, monkeypatch)
    opened = []
    gate = Job(lambda: iter(_hold(opened)), device="cpu").start(priority=10**9)
    for i in range(4):
        tell(view, "whatif", image=view.selected_image, scales={str(bank.ids[0]): i / 2}, rid=i)
    opened.append(True)
    until(lambda: gate.state == "done")
    until(lambda: len(sent) == 4)
    assert [(m["rid"], m["kind"]) for m in sent] == [(0, "refused"), (1, "refused"), (2, "refused"), (3, "whatif")]
    assert all(m["superseded"] for m in sent[:3])
    assert view._status["state"] == "done"
    view.close()


def _hold(opened):
    while not opened:
        time.sleep(0.005)
        yield Step(0, 1, "held", None)


@pytest.mark.parametrize("kind", ["implicit", "occlusion"])
def test_maps_are_the_networks_and_no_map_changes_the_scale(view, made, messages, kind):
    """Full colour is that of the codes of all photos, which are known before the first map is."""
    model, bank = made()
    names, drawn, scales = [told["name"] for told in view._images[:2]], {}, []
    for count, name in enumerate(names, start=1):
        tell(view, "map", image=name, map_kind=kind, rid=name)
        until(lambda count=count: len(messages) == count)
        drawn[name] = view._overlays[f"{kind}/{name}"]
        scales.append(np.array(view._overlay_scales[kind]))
    assert {m["kind"] for m in messages} == {"applied"}
    assert view._overlays[f"{kind}/{names[0]}"] == drawn[names[0]]
    assert np.array_equal(*scales)
    concepts = bank.on(model)
    real = {}
    for name in names:
        n = bank.images.index(name)
        photo = ww.pixels.images.Photo(bank.source.pixels(n).astype(np.float32) / 255, prepared=True)
        real[name] = concepts.maps(photo, kind).values
    scales = scales[0]
    cells = 1 if kind == "implicit" else 2 * np.prod(bank.layer.grid) / np.prod(real[names[0]].shape[1:])
    for k in range(bank.rank):
        above = bank.codes[..., k][bank.codes[..., k] > 0]
        assert scales[k] == pytest.approx(cells * np.quantile(above, 0.99), rel=1e-3)
    for name in names:
        rows, columns = struct.unpack_from("<2I", view._overlays[f"{kind}/{name}"])
        planes = np.frombuffer(view._overlays[f"{kind}/{name}"], np.uint8, offset=8)
        assert (bank.rank, rows, columns) == real[name].shape
        shown = planes.reshape(real[name].shape) / 255 * scales[:, None, None]
        assert shown == pytest.approx(np.clip(real[name], 0, scales[:, None, None]), abs=scales.max() / 254)


def test_the_same_map_asked_for_twice_is_computed_once_and_answered_twice(made, monkeypatch):
    model, bank = made()
    view = ww.ConceptExplorer(bank, model)
    sent = listen(view, monkeypatch)
    begun = []
    real = view._explored.net.maps
    monkeypatch.setattr(view._explored.net, "maps", lambda *a: (begun.append(a), real(*a))[1])
    opened = []
    gate = Job(lambda: iter(_hold(opened)), device="cpu").start(priority=10**9)
    for rid in "ab":
        tell(view, "map", image=view.selected_image, map_kind="implicit", rid=rid)
    opened.append(True)
    until(lambda: len(sent) == 2 and gate.state == "done")
    assert [(m["kind"], m["rid"]) for m in sent] == [("applied", "a"), ("applied", "b")]
    assert len(begun) == 1
    view.close()


def test_choosing_a_kind_of_map_computes_it_once_it_is_shown(view):
    view.map_kind = "implicit"
    assert view._overlays == {}
    view.start()
    view.selected_image = view._images[2]["name"]
    until(lambda: f"implicit/{view.selected_image}" in view._overlays)
    record = view.compute_maps().wait(PATIENCE)
    assert record.kind == "gradcam"
    with pytest.raises(ValueError, match=r"kind: wanted one of \['implicit', 'occlusion'\]"):
        view.compute_maps(kind="codes")


def test_maps_that_are_too_many_go_oldest_first(view, monkeypatch):
    monkeypatch.setattr("whatwhere.widgets._explored._MAP_BYTES", 3 * 36 * 2)
    for told in view._images[:3]:
        view.compute_maps(told["name"], "implicit").wait(PATIENCE)
    until(lambda: f"implicit/{view._images[2]['name']}" in view._overlays)
    assert set(view._overlays) == {f"implicit/{told['name']}" for told in view._images[1:3]}


def test_a_concept_is_split_and_its_parts_are_kept(view, made, messages):
    _, bank = made()
    concept_id = bank.ids[0]
    tell(view, "split", concept=concept_id, rid="s")
    until(lambda: messages)
    (answer,) = messages
    assert (answer["kind"], answer["rid"], answer["parent"]) == ("split", "s", concept_id)
    parts = view.parts[concept_id]
    assert parts.parent == (bank.key, concept_id)
    assert answer["layer"] == parts.layer.name
    assert [told["importance"] for told in answer["concepts"]] == pytest.approx(parts.importance.tolist(), rel=1e-4)
    letter = view._bank["letters"][0]
    assert [told["letter"] for told in answer["concepts"]] == [f"{letter}.{k + 1}" for k in range(parts.rank)]
    for told in answer["concepts"]:
        strip = Image.open(io.BytesIO(base64.b64decode(told["sprite"])))
        assert strip.size == (len(told["crops"]) * told["sprite_side"], told["sprite_side"])
        assert all(crop["image"] in bank.images for crop in told["crops"])
    json.dumps(answer, allow_nan=False)
    tell(view, "split", concept=concept_id, rid="again")
    until(lambda: len(messages) == 2)
    assert messages[1] == {**answer, "rid": "again"}


def test_without_a_model_the_network_is_not_asked(made, monkeypatch):
    _, bank = made()
    view = looked(ww.ConceptExplorer(bank))
    sent = listen(view, monkeypatch)
    assert view._codes
    assert view._effects == b""
    name = view.selected_image
    for kind, body in (
        ("map", {"image": name, "map_kind": "implicit"}),
        ("whatif", {"image": name, "scales": {}}),
        ("split", {"concept": bank.ids[0]}),
    ):
        tell(view, kind, **body)
    assert [(m["kind"], m["message"]) for m in sent] == [("refused", view._model["reason"])] * 3
    view.close()


def test_a_look_that_fails_says_so_and_is_tried_again(made, monkeypatch):
    model, bank = made()
    view = ww.ConceptExplorer(bank, model)
    with monkeypatch.context() as broken:
        broken.setattr("whatwhere.widgets._concept_net._read_head", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            view.start().wait(PATIENCE)
        until(lambda: view._status["state"] == "failed")
    error = view._status["error"]
    assert error["why"] == "ZeroDivisionError: division by zero"
    assert error["what"]
    assert error["todo"]
    assert view._bank["ids"]
    looked(view)
    assert view._effects
    view.close()


def test_maps_that_fail_are_refused_in_words(made, monkeypatch):
    model, bank = made()
    view = ww.ConceptExplorer(bank, model)
    sent = listen(view, monkeypatch)
    monkeypatch.setattr("whatwhere.concepts.concepts.Concepts.map_steps", lambda *_: 1 / 0)
    tell(view, "map", image=view.selected_image, map_kind="implicit")
    until(lambda: sent)
    assert sent[0]["kind"] == "refused"
    assert "division by zero" in sent[0]["message"]
    until(lambda: view._status["state"] == "failed")
    monkeypatch.undo()
    view.compute_maps(kind="implicit").wait(PATIENCE)
    until(lambda: view._status["state"] == "done")
    view.close()


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_job_is_shown_while_it_converges(made, pictures):
    model, _ = made()
    job = ww.Craft(n_concepts=3, layer="1", fit_on="locations").submit(model, pictures)
    view = ww.ConceptExplorer(job, model)
    states, ids = [], []
    view.observe(lambda change: states.append(change["new"]["state"]), "_status")
    view.observe(lambda change: ids.append(tuple(change["new"]["ids"])), "_bank")
    assert view._status["state"] == "empty"
    assert view.bank is None
    assert view.selected_concepts == []
    assert "not extracted yet" in view.describe()
    assert view._repr_mimebundle_()[0]["image/png"]
    assert view.job is job
    bank = job.wait(PATIENCE)
    until(lambda: view._effects and view._status["state"] == "done")
    assert view.bank.ids == bank.ids
    assert {frozenset(each) for each in ids} == {frozenset(bank.ids)}
    assert view.selected_concepts == [bank.ids[0]]
    assert view.selected_image == view._images[0]["name"]
    assert states[-1] == "done"
    assert "computing" in states
    view.close()


def stepping(banks, gate):
    """A job that gives one bank for each opening of the gate."""

    def steps():
        for i, bank in enumerate(banks):
            while len(gate) <= i:
                time.sleep(0.002)
                yield Step(i, len(banks), "concepts", banks[i - 1] if i else None)
            yield Step(i + 1, len(banks), "concepts", bank)

    return Job(steps, device="cpu", name="CRAFT")


def previews_of(bank):
    """Banks before the last: without codes, in another order."""
    bare = dataclasses.replace(
        bank,
        codes=bank.codes[:0].copy(),
        contributions=bank.contributions[:0].copy(),
        contribution=None,
        crops=(),
        complete=False,
        importance=bank.importance[::-1].copy(),
    )
    return [bare, bank]


def test_what_was_chosen_stays_while_concepts_change(made):
    model, bank = made()
    gate = []
    view = ww.ConceptExplorer(stepping(previews_of(bank), gate), model, names={"1": "ears", "55": "gone"})
    view.start()
    gate.append(1)
    until(lambda: view._bank.get("ids"))
    assert view._bank["complete"] is False
    assert view._bank["ids"] == list(reversed(bank.ids))
    assert view._images == []
    assert "still being extracted" in view._model["reason"]
    assert view.selected_concepts == [bank.ids[-1]]
    assert view.names == {"1": "ears"}
    chosen = [bank.ids[1], bank.ids[2]]
    view.selected_concepts = chosen
    gate.append(1)
    until(lambda: view._bank["complete"])
    assert view._bank["ids"] == list(bank.ids)
    assert view.selected_concepts == chosen
    until(lambda: view._status["state"] == "done")
    assert view._effects
    view.close()


def test_what_nobody_chose_follows_the_most_important(made):
    model, bank = made()
    gate = []
    view = ww.ConceptExplorer(stepping(previews_of(bank), gate), model)
    told = []
    view.observe(told.append, "selected_concepts")
    view.start()
    gate += [1, 1]
    until(lambda: view._bank.get("complete"))
    assert view.selected_concepts == [bank.ids[0]]
    assert told == [], "an observer on the worker could wait for the worker"
    view.close()


def test_stop_rests_and_start_goes_on(made):
    model, bank = made()
    gate = [1]
    view = ww.ConceptExplorer(stepping(previews_of(bank), gate), model)
    tell(view, "start")
    until(lambda: view._bank.get("ids"))
    tell(view, "stop")
    until(lambda: view._status["state"] == "partial")
    frozen = view.exported_state()["_status"]
    assert (frozen["state"], frozen["eta"]) == ("partial", None)
    gate.append(1)
    tell(view, "start")
    until(lambda: view._status["state"] == "done")
    assert view._bank["complete"]
    view.close()


def test_a_job_that_fails_keeps_what_there_was_and_says_why(made):
    model, bank = made()

    def steps():
        yield Step(1, 2, "concepts", previews_of(bank)[0])
        raise OSError("no disk left for these features")

    view = ww.ConceptExplorer(Job(steps), model)
    with pytest.raises(OSError, match="no disk left"):
        view.start().wait(PATIENCE)
    until(lambda: view._status["state"] == "failed")
    assert view._status["error"]["why"] == "OSError: no disk left for these features"
    assert view._bank["ids"]
    view.close()


def test_a_streamed_bank_of_another_network_is_shown_without_it(made):
    _, bank = made()
    other, _ = made("bent")
    gate = [1, 1]
    view = ww.ConceptExplorer(stepping(previews_of(bank), gate), other)
    view.start()
    until(lambda: "wanted the network that the concepts came from" in view._model["reason"])
    assert view._bank["complete"]
    assert view._codes
    view.close()


def test_an_observer_that_waits_for_a_job_does_not_wait_for_ever(view):
    seen = []
    view.observe(lambda _: seen.append(view.start().wait(PATIENCE).rank), "selected_concepts")
    tell(view, "set", traits={"selected_concepts": view.ids[:2]})
    assert seen == [3]


# -- how large it is, and how it ends ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lite(model, photos):
    """Concepts of the real network on the packaged photos."""
    return ww.Craft(n_concepts=3, fit_on="locations").run(model, photos, progress=False)


def crowd(bank, photos, *, rank, count):
    """A bank of many concepts and photos: parts of real photos, and codes by lot."""
    rng = np.random.default_rng(0)
    source, real = PhotoSet(), [np.asarray(Image.fromarray(p).convert("RGB")) for p in photos.values()]
    for n in range(count):
        photo = real[n % len(real)]
        top, left = rng.integers(photo.shape[0] - 224), rng.integers(photo.shape[1] - 224)
        part = photo[top : top + 224, left : left + 224].astype(np.float32) / 255
        name = f"ILSVRC2012_val_{n:08d}.JPEG"
        source.add(Input(name, Geometry((224, 224), (0.0, 0.0, 224.0, 224.0), (224, 224)), part))
    codes = (rng.gamma(1, 9, (count, 7, 7, rank)) * (rng.random((count, 7, 7, rank)) < 0.4)).astype(np.float32)
    contributions = codes.mean((1, 2)) * 0.3
    importance = np.sort(rng.dirichlet(np.ones(rank)))[::-1].astype(np.float32)
    boxes = rng.integers(0, 160, (rank, 10, 2))
    crops = tuple(
        tuple(
            ConceptCrop(n, (y, x, y + 64, x + 64), 1.0, source.picture(n, (y, x, y + 64, x + 64)))
            for n, (y, x) in enumerate(row[:count].tolist())
        )
        for row in boxes
    )
    zeros = np.zeros(count, dtype=np.float32)
    return dataclasses.replace(
        bank,
        W=rng.random((rank, bank.W.shape[1])).astype(np.float32),
        importance=importance,
        importance_error=importance * 0.1,
        contribution=contributions.mean(0),
        ids=tuple(range(rank)),
        images=tuple(source.names),
        predictions=rng.integers(0, 1000, count),
        codes=codes,
        logits=contributions.sum(1),
        contributions=contributions,
        residuals=zeros,
        bases=zeros.copy(),
        gaps=zeros.copy(),
        crops=crops,
        quality=dataclasses.replace(bank.quality, dead=(), duplicates=(), n_images=count),
        source=source,
    )


def saved_bytes(view):
    """What the view adds to a notebook: state, an item a line, buffers in base64, its front end, and the picture."""
    state, _, buffers = _remove_buffers(view.get_state())
    bundle = view._repr_mimebundle_()[0]
    said = json.dumps(state, indent=1)
    return (
        len(said)
        + 6 * said.count("\n")
        + sum(len(base64.b64encode(buffer)) + 140 for buffer in buffers)
        + sum(len(text) for text in bundle.values() if isinstance(text, str))
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (10, 50), (40, 50)])
def test_what_is_saved_with_a_notebook_is_small(lite, model, photos, size, tmp_path):
    rank, count = size
    view = looked(ww.ConceptExplorer(crowd(lite, photos, rank=rank, count=count), model))
    name = view._images[0]["name"]
    view.compute_maps(name, "implicit").wait(PATIENCE)
    until(lambda: view._overlays)
    assert saved_bytes(view) < 300_000
    assert len(view._images) >= min(count, 6)
    assert all(len(row) >= 1 for row in view._crops)
    page = view.to_html(tmp_path / "page.html")
    assert page.stat().st_size < 4_000_000
    state = view.exported_state()
    assert len(state["_photos"]) == count
    assert len(state["_effects"]) == 2 * rank * 1000
    assert all(len([c for c in row if c["kind"] == "active"]) >= min(3, count) for row in state["_crops"])
    view.close()


def grown(bank, photos):
    """Prototypes of a bank's concepts, as large as real ones; photos compress as badly as they do."""
    method, targets = ww.Maco(steps=128, size=320, frames=0), ww.targets.concepts(bank)
    y, x = np.mgrid[:320, :320]
    for k, target in enumerate(targets):
        photo = list(photos.values())[k % len(photos)]
        image = np.asarray(Image.fromarray(photo).convert("RGB").resize((320, 320)), dtype=np.float32) / 255
        alpha = np.exp(-((y - 9 * k) ** 2 + (x - 160) ** 2) / 9000) * (1 + np.random.default_rng(k).random((320, 320)))
        trace = np.linspace(0, 1, 128, dtype=np.float32)
        yield ww.Prototype(
            image, alpha.astype(np.float32), trace, trace.copy(), target.label, (target.layer,), target.told(), target,
            0, np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0, np.int64), 0.1, 2.5, "", "photos", method,
            bank.provenance, 1024,
        )  # fmt: skip


@pytest.mark.parametrize("size", [(10, 50), (40, 50)])
def test_prototypes_take_no_more_of_a_notebook(lite, model, photos, size, tmp_path):
    rank, count = size
    bank = crowd(lite, photos, rank=rank, count=count)
    view = looked(ww.ConceptExplorer(bank, model, prototypes=list(grown(bank, photos))))
    assert saved_bytes(view) < 300_000
    assert len(view._images) >= 6
    assert all(len(row) >= (2 if rank == 10 else 1) for row in view._crops)
    assert view._prototypes["ids"] == list(bank.ids[:12])
    assert view._prototypes["side"] >= 64  # photos, which have more to tell than prototypes
    assert max(Image.open(io.BytesIO(view._prototype[str(bank.ids[0])]["image"])).size) >= 128
    view.pinned = [bank.ids[-1]]
    assert bank.ids[-1] in view._prototypes["ids"]
    page = view.to_html(tmp_path / "page.html")
    assert page.stat().st_size < 4_000_000
    assert len(view.exported_state()["_prototype"]) == rank
    view.close()


def test_the_real_network(lite, model, photos):
    view = looked(ww.ConceptExplorer(lite, model, images=photos))
    told = {each["name"]: each for each in view._images}
    assert told["coffee"]["predicted"] == "espresso"
    assert told["coffee"]["seen"] == pytest.approx([125, 25, 475, 375])
    assert view._large["coffee" if view.selected_image == "coffee" else view.selected_image]
    scales = {lite.ids[0]: 0.0}
    logits = whatif_as_in_the_browser(view, "coffee", scales)
    assert logits[967] == pytest.approx(gated(model, lite, "coffee", scales, 967, photo=photos["coffee"]), abs=1e-2)
    data, _ = view._repr_mimebundle_()
    assert set(data) >= {"application/vnd.jupyter.widget-view+json", "image/png", "text/html", "text/plain"}
    assert view.describe() in data["text/html"] or "concepts of" in data["text/html"]
    view.close()


def test_the_page_says_what_is_there(view, tmp_path):
    looked(view)
    page = view.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<title>What small sees: each photo&#x27;s predicted class</title>" in page
    state = view.exported_state()
    assert state["_kernel"] is False
    assert state["_status"]["state"] == "done"
    assert {*TOLD["public_traits"], *TOLD["python_traits"], "_kernel"} <= set(state)
    assert "_esm" not in state


def test_close_gives_memory_back_and_leaves_the_given_job(made, pictures):
    model, _ = made()
    method = ww.Craft(n_concepts=2, layer="1", fit_on="locations")
    bank = method.run(model, pictures, progress=False)
    view = looked(ww.ConceptExplorer(bank, model))
    view.compute_maps(kind="implicit").wait(PATIENCE)
    gone = weakref.ref(bank)
    view.close()
    del bank

    def collected():
        gc.collect()
        return gone() is None

    until(collected)
    with pytest.raises(RuntimeError, match="This ConceptExplorer was closed; make a new one"):
        view.start()
    job = method.submit(model, pictures)
    shown = ww.ConceptExplorer(job, model)
    shown.start()
    shown.close()
    assert job.wait(PATIENCE).rank == 2 if job.state != "stopped" else job.start().wait(PATIENCE).rank == 2


def test_a_view_that_refused_its_bank_closes():
    view = ww.ConceptExplorer.__new__(ww.ConceptExplorer)
    with pytest.raises(TypeError):
        view.__init__("bank")
    view.close()
