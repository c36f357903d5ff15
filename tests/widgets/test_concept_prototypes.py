"""Prototypes on ConceptExplorer's cards: what is shown, growing, what no longer counts, and what is saved."""

import dataclasses
import gc
import io
import json
import time
import weakref

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image
from torch import nn

import whatwhere as ww
from whatwhere.jobs import Job, Step
from whatwhere.widgets._view import WIRE

PATIENCE = 60
T = ww.targets
QUICK = ww.Maco(steps=4, crops=2, size=48, crop=0.5, frames=0)
LONG = dataclasses.replace(QUICK, steps=100_000)


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def tell(view, kind, **content):
    view._receive(view, {"kind": kind, "rid": content.pop("rid", "r"), "v": 1, **content}, [])


def settled(view):
    """Wait until the browser knows how it ended."""
    until(lambda: view._growing["state"] in ("done", "partial", "failed") and not view._growth.active)
    return view


def pixels(data, mode="RGB"):
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode), dtype=np.float32)


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
    blocks = rng.random((8, 8, 8, 3), dtype=np.float32)
    return {f"photo {n}": np.kron(one, np.ones((4, 4, 1), np.float32)) for n, one in enumerate(blocks)}


@pytest.fixture(scope="module")
def bank(model, pictures):
    return ww.Craft(n_concepts=3, layer="2", fit_on="locations", designs=8).run(model, pictures, progress=False)


@pytest.fixture(scope="module")
def protos(model, bank):
    return QUICK.run(model, T.concepts(bank), progress=False)


@pytest.fixture
def make(bank, model):
    made = []

    def make(source=bank, net=model, images=None, **options):
        made.append(ww.ConceptExplorer(source, net, images, **options))
        return made[-1]

    yield make
    for view in made:
        view.close()


# -- records ----------------------------------------------------------------------------------------------------------


def test_given_ones_show_at_once_without_a_network(make, protos, bank):
    view = make(net=None, prototypes=[protos[2], None, protos[0]])
    assert view.prototypes == [protos[0], None, protos[2]]
    told = view._prototypes
    assert told["ids"] == [bank.ids[0], bank.ids[2]]
    assert told["sizes"] == [[48, 48], [48, 48]]
    ((opened, large),) = view._prototype.items()
    assert opened == str(bank.ids[0])
    wanted = 255 * protos[0].stretched()
    assert np.abs(pixels(large["image"]) - wanted).mean() < 12
    assert "ww.targets" in large["code"]
    assert view._growing["state"] == "partial"
    assert view._growing["missing"] == 1
    assert view._growing["reason"].startswith("This needs the network")
    with pytest.raises(ValueError, match="needs the network"):
        view.grow()


def test_the_mosaic_has_each_record_at_its_place(make, protos):
    y, x = np.mgrid[:48, :48]
    spots = [np.exp(-((y - a) ** 2 + (x - b) ** 2) / 100).astype(np.float32) for a, b in ((10, 10), (36, 12), (24, 38))]
    protos = [dataclasses.replace(each, alpha=spot) for each, spot in zip(protos, spots, strict=True)]
    view = make(prototypes=protos)
    told = view._prototypes
    page, alpha = pixels(told["mosaic"]), pixels(told["alpha"], "L")
    for place in range(len(protos)):
        top, left = (told["side"] * k for k in divmod(place, told["columns"]))
        drawn = page[top : top + 48, left : left + 48]
        others = [np.abs(drawn - 255 * each.stretched()).mean() for each in protos]
        assert int(np.argmin(others)) == place
        levels = alpha[top // 2 : top // 2 + 48, left // 2 : left // 2 + 48]
        assert np.abs(levels - 255 * np.sqrt(spots[place])).mean() < 4


def test_a_record_is_of_the_concept_whose_direction_it_has(make, protos, bank, model, tmp_path):
    protos[1].save(tmp_path / "one.safetensors")
    view = make(prototypes=[ww.Prototype.load(tmp_path / "one.safetensors")])
    assert [each is None for each in view.prototypes] == [True, False, True]
    turned = make(bank.take([2, 0, 1]), prototypes=protos)
    assert turned.prototypes == [protos[turned.bank.ids.index(k)] for k in turned.ids]
    elsewhere = dataclasses.replace(protos[0].provenance, fingerprint="another")
    with pytest.raises(ValueError, match=r"prototypes: wanted some of the bank's concepts, at '2' of small"):
        make(prototypes=[dataclasses.replace(protos[0], provenance=elsewhere)])
    with pytest.raises(ValueError, match="wanted some of the bank's concepts"):
        make(prototypes=QUICK.run(model, [T.Channel("2", 1)], progress=False))


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ("all", TypeError, "got str"),
        ([1], TypeError, "got int"),
        (1.0, TypeError, "got float"),
        (ww.Maco(seed=(0, 1)), ValueError, "one seed"),
    ],
)
def test_what_is_no_prototype_is_refused(make, given, error, said):
    with pytest.raises(error, match=said):
        make(prototypes=given)


def test_growing_needs_a_network_and_one_seed(make):
    with pytest.raises(ValueError, match="prototypes: growing them needs the network"):
        make(net=None, prototypes=True)
    view = make()
    with pytest.raises(ValueError, match="one seed"):
        view.grow(ww.Maco(seed=(0, 1)))
    with pytest.raises(TypeError, match="method: wanted a Maco"):
        view.grow("fast")


# -- growing ----------------------------------------------------------------------------------------------------------


def test_nothing_grows_unless_it_is_asked_for(make, monkeypatch):
    view = make()
    view.start().wait(PATIENCE)
    assert view._growing == {
        "state": "empty", "steps": 0, "wanted": 0, "eta": None, "missing": 3, "resumes": False, "gone": False,
        "reason": "", "error": None,
    }  # fmt: skip
    assert view._prototypes == view._prototype == {}
    assert view.prototypes == [None, None, None]
    asked = []
    monkeypatch.setattr(view._growth, "begin", lambda *given: asked.append(given))
    tell(view, "grow", on=True)
    assert [given[2] for given in asked] == [None]


def test_they_grow_as_one_batch_and_are_the_method_s_own(make, bank, protos):
    view = make(prototypes=QUICK)
    assert not view._growth.active
    view.start()
    settled(view)
    assert view._growing["state"] == "done"
    assert view._growing["missing"] == 0
    for grown, known in zip(view.prototypes, protos, strict=True):
        np.testing.assert_allclose(grown.image, known.image, atol=1e-5)
    assert view._prototypes["ids"] == list(bank.ids)


def test_a_job_of_concepts_grows_them_once_it_is_done(make, bank):
    source = Job(lambda: iter([Step(0, 1, "concepts", dataclasses.replace(bank, complete=False))] * 2
                              + [Step(1, 1, "concepts", bank)]))  # fmt: skip
    view = make(source, prototypes=QUICK)
    view.start()
    settled(view)
    assert [each.complete for each in view.prototypes] == [True] * 3


def test_one_frame_at_a_time_readable_meanwhile_stop_and_go_on(make, monkeypatch):
    monkeypatch.setattr("whatwhere.widgets._view._ACK_SECONDS", 1e9)
    monkeypatch.setattr("whatwhere.widgets._view._FRAME_SECONDS", 0.0)
    monkeypatch.setattr("whatwhere.widgets._concept_prototypes._SHARE", 0)
    view = make()
    job = view.grow(LONG)
    until(lambda: any(each is not None and each.steps > 3 for each in view.prototypes))
    tell(view, "ack", seq=view._seq)
    until(lambda: view._prototypes)
    tell(view, "ack", seq=view._seq)
    frame = view._seq
    until(lambda: view._seq == frame + 1)
    sent = view._prototypes
    steps = view.prototypes[0].steps
    until(lambda: view.prototypes[0].steps > steps + 3)
    assert view._seq == frame + 1  # the browser has not drawn it
    assert view._prototypes == sent
    assert view._growing["state"] == "computing"
    tell(view, "grow", on=False)
    settled(view)
    assert job.state == "stopped"
    assert view._growing["state"] == "partial"
    assert view._growing["resumes"]
    kept = view.prototypes[0]
    assert view._growing["steps"] == kept.steps
    assert view.grow() is job
    until(lambda: view.prototypes[0].steps > kept.steps)
    view.stop()
    until(lambda: job.state == "stopped")


def test_a_click_goes_first(make):
    view = make()
    job = view.grow(LONG)
    assert job.priority < view.start().priority
    maps = view.compute_maps(kind="implicit")
    assert job.priority < maps.priority
    assert maps.wait(PATIENCE).complete
    assert job.active
    tell(view, "stop")  # the head's Stop is of what the head tells
    assert job.active
    tell(view, "grow", on=False)
    until(lambda: job.state == "stopped")


def test_only_what_is_missing_is_grown(make, protos, monkeypatch):
    monkeypatch.setattr("whatwhere.widgets._growth.METHOD", QUICK)
    view = make(prototypes=protos[:2])
    (grown,) = view.grow().wait(PATIENCE)
    until(lambda: view._growing["state"] == "done")
    assert view.prototypes == [*protos[:2], grown]
    assert np.array_equal(grown.target.direction, view.bank.W[2])
    assert view.grow(ww.Maco(steps=2, crops=2, size=48)).wait(PATIENCE)[0].steps == 2  # how was said: all of them
    until(lambda: [each.steps for each in view.prototypes] == [2, 2, 2])


def test_a_failure_is_told_and_keeps_what_there_was(make, protos, monkeypatch):
    def fail(*_):
        yield Step(0, 1, "ascent", None)
        raise RuntimeError("no memory")

    monkeypatch.setattr(ww.Maco, "steps_of", fail)
    view = make(prototypes=protos[:1])
    view.grow()
    settled(view)
    assert view._growing["state"] == "failed"
    assert "no memory" in view._growing["error"]["why"]
    assert view.prototypes[0] is protos[0]


# -- what no longer counts --------------------------------------------------------------------------------------------


def test_merged_concepts_need_none_and_parts_keep_theirs(make, protos, bank):
    view = make(prototypes=protos[2:])
    view.merged = [[bank.ids[0], bank.ids[1]]]
    assert view._growing["missing"] == 0
    assert view._growing["state"] == "done"
    assert view.grow().wait(PATIENCE) == [protos[2]]
    view.merged = []
    assert view._growing["missing"] == 2
    view.names = {str(bank.ids[2]): "ears"}
    view.hidden = [bank.ids[2]]
    assert view.prototypes[2] is protos[2]


def test_another_number_of_concepts_has_none_and_going_back_brings_them(make, pictures, protos):
    view = make(images=pictures, prototypes=protos)
    view.start().wait(PATIENCE)
    before = view.prototypes
    assert view.refit(2).wait(PATIENCE).rank == 2
    until(lambda: len(view.ids) == 2 and not view._prototypes)
    assert view.prototypes == [None, None]
    assert view._growing["gone"]
    assert view._growing["state"] == "empty"
    view.refit(3).wait(PATIENCE)
    until(lambda: len(view.ids) == 3 and view._prototypes)
    assert view.prototypes == before
    assert not view._growing["gone"]


def test_what_grows_for_the_concepts_before_rests_and_goes_on_with_them(make, pictures):
    view = make(images=pictures)
    job = view.grow(LONG)
    until(lambda: view.prototypes[0] is not None and view.prototypes[0].steps)
    view.refit(2).wait(PATIENCE)
    until(lambda: len(view.ids) == 2 and job.state == "stopped")
    assert not view._growing["resumes"]
    view.refit(3).wait(PATIENCE)
    until(lambda: len(view.ids) == 3 and view._growing["resumes"])
    steps = view.prototypes[0].steps
    assert view.grow() is job
    until(lambda: view.prototypes[0].steps > steps)


# -- traits, pages and memory -----------------------------------------------------------------------------------------


def test_traits_go_both_ways(make, protos):
    view = make(prototypes=protos, card_kind="crops", percentile=50)
    tell(view, "set", traits={"card_kind": "prototypes", "percentile": 95.0})
    assert (view.card_kind, view.percentile) == ("prototypes", 95.0)
    with pytest.raises(traitlets.TraitError):
        view.card_kind = "photos"
    with pytest.raises(traitlets.TraitError):
        view.percentile = 101
    assert WIRE["concepts"]["card_kinds"] == ["prototypes", "crops"]


def test_the_one_that_is_looked_at_comes_in_large(make, protos, bank):
    view = make(prototypes=protos)
    small = view._prototypes
    view.selected_concepts = [bank.ids[1]]
    assert list(view._prototype) == [str(bank.ids[1])]
    assert view._prototypes == small


def test_a_page_has_all_in_large_and_nothing_that_grows(make, tmp_path):
    view = make()
    view.grow(LONG)
    until(lambda: view._prototypes)
    state = view.exported_state()
    view.stop()
    assert state["_growing"]["state"] == "partial"
    assert state["_growing"]["eta"] is None
    assert set(state["_prototype"]) == {str(k) for k in view.ids}
    json.dumps(state["_growing"], allow_nan=False)
    assert view.to_html(tmp_path / "page.html").exists()


def test_close_gives_up(make, model, pictures):
    method = ww.Craft(n_concepts=2, layer="2", fit_on="locations")
    own = method.run(model, pictures, progress=False)
    view = make(own)
    job = view.grow(LONG)
    until(lambda: view.prototypes[0] is not None)
    gone = weakref.ref(own), weakref.ref(view.prototypes[0])
    view.close()
    until(lambda: not job.active)
    assert job.record is None
    del own

    def collected():
        gc.collect()
        return all(each() is None for each in gone)

    until(collected)
