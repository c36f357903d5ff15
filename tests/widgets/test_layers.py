"""Layers of AttributionView, and the partners of a cell: what the browser asks and is told."""

import struct
import time

import numpy as np
import pytest
import torch
import traitlets

import whatwhere as ww
from whatwhere.widgets._layers import encode_plane
from whatwhere.widgets._view import WIRE

PATIENCE = 30


def pairwise(x):
    """Two cells of the left half that only act together, beside one that acts by itself, against the class."""
    a, b, c = x[:, 0, :32, :32].mean((1, 2)), x[:, 0, 32:, :32].mean((1, 2)), x[:, 0, :32, 32:].mean((1, 2))
    return torch.stack([4 * (a - 0.5) * (b - 0.5) - 0.5 * c, a, b], 1)


@pytest.fixture
def model(toy):
    return toy(pairwise)


@pytest.fixture
def view(model, white):
    shown = ww.AttributionView(model, white, method=ww.Sobol(grid=2, rows=64, baseline="black", first_order=True))
    shown.start().wait(PATIENCE)
    yield shown
    shown.close()


@pytest.fixture
def answers(view, monkeypatch):
    sent = []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append((content, buffers)))
    return sent


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def ask(view, kind, **body):
    view._receive(view, {"kind": kind, "rid": "r1", "v": 1, **body}, [])


def decode(scale, plane, cells=4):
    """Second route to the numbers: as the browser reads them."""
    levels = np.array(struct.unpack(f"<{2 * cells}H", plane)) / WIRE["plane_levels"]
    return scale["min"] + levels[:cells] * (scale["max"] - scale["min"]), levels[cells:] * scale["se_max"]


@pytest.mark.parametrize("index", WIRE["indices"])
@pytest.mark.parametrize("score", WIRE["scores"])
def test_a_layer_carries_the_records_numbers(view, answers, model, index, score):
    forwards = model.net.images
    ask(view, "layer", image="image", **{"class": 0}, index=index, score=score)
    ((answer, buffers),) = answers
    assert (answer["kind"], answer["rid"], answer["grid"], answer["rows"]) == ("layer", "r1", [2, 2], 64)
    values, errors = decode(answer["layer"], buffers[0])
    record = view.attribution
    assert values == pytest.approx(record.values(0, kind=index, score=score).ravel(), abs=1e-4)
    assert errors == pytest.approx(record.standard_error(0, kind=index, score=score).ravel(), abs=1e-4)
    assert model.net.images == forwards


def test_a_layer_knows_its_sign_and_its_unit(view, answers):
    ask(view, "layer", image="image", **{"class": 0}, index="slope", score="logit")
    told = answers[0][0]["layer"]
    assert told["min"] < -0.3
    assert (told["unit"], told["agreement"], told["flat"]) == ("logits", None, False)
    ask(view, "layer", image="image", **{"class": 0}, index="total", score="softmax")
    assert answers[1][0]["layer"]["unit"] == "of the variance"
    assert answers[1][0]["layer"]["agreement"] == view.attribution.agreement(0, score="softmax")


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": "nowhere"},
        {"image": []},
        {"class": 99},
        {"class": None},
        {"index": "last"},
        {"score": "jet"},
        {"score": 3},
    ],
)
def test_a_layer_that_cannot_be_is_refused_in_words(view, answers, wrong):
    ask(view, "layer", **{"image": "image", "class": 0, "index": "total", "score": "logit", **wrong})
    ((answer, _),) = answers
    assert answer["kind"] == "refused"
    assert answer["message"]


def test_what_the_method_lacks_is_said_and_refused(model, white):
    view = ww.AttributionView(model, white, method=ww.Sobol(grid=2, rows=8))
    view.start().wait(PATIENCE)
    assert "first_order=True" in view._maps["image"]["missing"]["first"]
    with pytest.raises(traitlets.TraitError, match=r"index: First order needs one more forward a row"):
        view.index = "first"
    with pytest.raises(traitlets.TraitError, match=r"score: 'own' is for methods with a function as score"):
        view.score = "own"
    assert (view.index, view.score) == ("total", "logit")
    view.close()


def test_a_function_is_a_score_of_its_own(model, white):
    view = ww.AttributionView(model, white, method=ww.Sobol(grid=2, rows=8, score=lambda logits: logits[:, 1]))
    assert view.score == "own"
    record = view.start().wait(PATIENCE)
    sent = []
    view.send = lambda content, buffers=None: sent.append((content, buffers))
    ask(view, "layer", image="image", **{"class": 0}, index="slope", score="own")
    assert sent[0][0]["layer"]["unit"] == "of the score"
    assert decode(sent[0][0]["layer"], sent[0][1][0])[0] == pytest.approx(
        record.values(0, kind="slope").ravel(), abs=1e-4
    )
    view.close()


def test_errors_that_cannot_be_known_are_large_and_finite():
    scale, plane = encode_plane(np.array([[-1.0, 2.0]], np.float32), np.array([[np.inf, 0.5]], np.float32))
    values, errors = decode(scale, plane, cells=2)
    assert values == pytest.approx([-1, 2], abs=1e-4)
    assert errors == pytest.approx([20, 0.5], abs=1e-3)


def test_a_page_holds_the_layers(view):
    frozen = view.exported_state()
    kept = {(each["id"], each["index"], each["score"]) for each in frozen["_layers"]["image"]}
    assert {(0, "slope", "logit"), (0, "first", "logit"), (0, "total", "softmax"), (2, "total", "margin")} <= kept
    assert sum(len(each["plane"]) for each in frozen["_layers"]["image"]) == len(kept) * 16
    assert "_layers" not in view.get_state()


def test_partners_are_the_cells_that_act_together(view, answers):
    view.selected_class = 0
    ask(view, "pairs", image="image", cell=[0, 0])
    assert answers[0][0]["kind"] == "pairing"
    until(lambda: view._pairs.get("state") == "done")
    told = view._pairs
    assert (told["rid"], told["image"], told["cell"]) == ("r1", "image", [0, 0])
    assert told["found"]["partners"] == [2], "the cell below, and no other"
    assert told["found"]["looked"] == [1, 2, 3]
    values, _ = decode(told["found"], told["found"]["plane"])
    assert values[2] == pytest.approx(told["found"]["max"], abs=1e-4)
    view.selected_class = 1
    assert view._pairs["found"]["id"] == 1
    assert view._pairs["found"]["partners"] == [], "for that class the cell acts alone"
    ask(view, "pairs", image="image", cell=None)
    assert view._pairs == {}


def test_partners_that_were_found_are_not_searched_again(view, model):
    ask(view, "pairs", image="image", cell=[0, 0])
    until(lambda: view._pairs.get("state") == "done")
    forwards = model.net.images
    ask(view, "pairs", image="image", cell=None)
    ask(view, "pairs", image="image", cell=[0, 0])
    assert view._pairs["state"] == "done"
    assert model.net.images == forwards


@pytest.mark.parametrize(
    "wrong", [{"image": "no"}, {"image": None}, {"cell": [9, 0]}, {"cell": "x"}, {"cell": [1]}, {"cell": 3}]
)
def test_partners_that_cannot_be_searched_are_refused_in_words(view, answers, wrong):
    ask(view, "pairs", **{"image": "image", "cell": [0, 0], **wrong})
    ((answer, _),) = answers
    assert answer["kind"] == "refused"
    assert answer["message"]
    assert view._pairs == {}


def test_partners_need_rows(model, white):
    view = ww.AttributionView(model, white, method=ww.Sobol(grid=2, rows=4))
    view.start().wait(PATIENCE)
    sent = []
    view.send = lambda content, **_: sent.append(content)
    ask(view, "pairs", image="image", cell=[0, 0])
    assert "once the map has 8 rows" in sent[0]["message"]
    view.close()


def test_the_latest_search_wins_and_goes_before_other_work(toy, white):
    def slow(x):
        time.sleep(0.002)
        return pairwise(x)

    method = ww.Sobol(grid=4, rows=16, baseline="black")
    view = ww.AttributionView(toy(slow), {"one": white, "two": white}, method=method)
    view.start().wait(PATIENCE)
    background = view._jobs["two"] = ww.Sobol(grid=8, rows=400).submit(view._model, view.images["two"])
    view._start("two")
    ask(view, "pairs", image="one", cell=[0, 0])
    first = view._partners.search.job
    ask(view, "pairs", image="one", cell=[2, 0])
    until(lambda: view._pairs.get("state") == "done")
    assert view._pairs["cell"] == [2, 0]
    assert first.state == "stopped"
    assert background.active
    view.close()
    assert view._partners.search is None


# -- uncertainty, and layers side by side -----------------------------------------------------------------------------


def test_uncertainty_travels_with_the_total_index(view):
    """The browser draws the second half of the plane; what it draws are the record's standard errors."""
    until(lambda: view._status["image"]["state"] == "done")
    told = view._maps["image"]["classes"][0]
    plane = view._planes["image"][: 2 * 2 * 4]  # four cells, values and errors, of the first class
    scale = {"min": 0, "max": told["max"], "se_max": told["se_max"]}
    errors = view.attribution.standard_error(told["id"])
    assert decode(scale, plane)[1] == pytest.approx(errors.ravel(), abs=1e-4)
    view.index = "error"
    assert view.index == "error"


def test_layers_stand_in_their_order_and_are_checked(view):
    view.layers = ["error", "total"]
    assert view.layers == ["total", "error"]
    for wrong, words in [
        (["error"], r"view\.index = 'error'"),
        (["total", "total"], "each of them once"),
        (["total", "sureness"], "sureness"),
        ("total", "total"),
    ]:
        with pytest.raises(traitlets.TraitError, match=words):
            view.layers = wrong
    assert view.layers == ["total", "error"]
    view.layers = []
    assert view.index == "total"


def test_layers_that_the_method_lacks_are_refused(model, white):
    view = ww.AttributionView(model, white, method=ww.Sobol(grid=2, rows=8))
    with pytest.raises(traitlets.TraitError, match=r"layers: First order needs one more forward a row"):
        view.layers = ["total", "first"]
    view.close()


def test_the_browser_chooses_layers(view, answers):
    ask(view, "set", traits={"layers": ["total", "slope", "error"], "index": "error"})
    assert view.layers == ["total", "slope", "error"]
    assert answers[-1][0]["kind"] == "applied"
    assert view.exported_state()["layers"] == ["total", "slope", "error"]
