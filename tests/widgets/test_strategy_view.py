"""StrategyView: what the browser is told of photos, choices and linking, jobs, and what is saved."""

import base64
import io
import json
import time

import numpy as np
import pytest
import traitlets
from _strategy_toys import made_graph, small_model, small_pictures
from ipywidgets.widgets.widget import _remove_buffers
from PIL import Image

import whatwhere as ww
from whatwhere.strategies.graph import StrategyGraph
from whatwhere.widgets._strategy_data import NOTEBOOK, PAGE, encode_crops, encode_sprite, encode_sums, order_of
from whatwhere.widgets._view import WIRE

PATIENCE = 60
TOLD = WIRE["strategies"]


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def tell(view, kind, **content):
    view._receive(view, {"kind": kind, "rid": content.pop("rid", "r"), "v": 1, **content}, [])


def picture(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32)


def photos_of(graph):
    """A plain colour for each photo of a graph, by its name: known again from any thumbnail."""
    rng = np.random.default_rng(1)
    colours = {name: np.repeat(rng.integers(0, 255, 3), 1).astype(np.uint8) for name in graph.images}
    return {name: np.broadcast_to(colour, (40, 60, 3)).copy() for name, colour in colours.items()}


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def pictures():
    return small_pictures(9)


@pytest.fixture(scope="module")
def bank(model, pictures):
    return ww.Craft(n_concepts=3, layer="2", fit_on="locations", designs=8).run(model, pictures, progress=False)


@pytest.fixture(scope="module")
def graph(model, bank, pictures):
    labels = {name: [None, 0, 1, 2][n % 4] for n, name in enumerate(pictures)}
    return ww.StrategyGraph.of(model, bank, pictures, labels=labels, progress=False)


@pytest.fixture
def view(graph):
    shown = ww.StrategyView(graph)
    yield shown
    shown.close()


# -- state ------------------------------------------------------------------------------------------------------------


def test_the_wire_names_every_trait(view):
    own = [name for name in view.keys if name in vars(ww.StrategyView) and name != "_esm"]
    assert sorted(own) == sorted(TOLD["public_traits"] + TOLD["python_traits"])
    assert view.public_traits() == sorted(TOLD["public_traits"])
    assert {*view._handlers, *view._shared_handlers} == set(TOLD["to_kernel"])


def test_columns_are_the_graph_s(view, graph):
    points, n, r = view._points, len(graph), graph.rank
    assert points["count"] == n
    xy = np.frombuffer(points["xy"], "<u2").reshape(n, 2) / 65535
    low, high = np.array(points["box"]).reshape(2, 2)
    assert low + xy * (high - low) == pytest.approx(graph.positions, abs=float((high - low).max()) / 65535)
    for rule in ("strongest", "distinctive"):
        rows = np.frombuffer(points[rule], np.uint8).astype(int)
        assert np.where(rows == 255, -1, rows).tolist() == graph.by(rule).of_image.tolist()
    marks = np.frombuffer(points["marks"], np.uint8)
    assert (marks == 0).tolist() == graph.right.tolist()
    assert (marks == 2).tolist() == (~graph.known).tolist()
    present = np.unpackbits(np.frombuffer(points["present"], np.uint8).reshape(n, -1), axis=1, bitorder="little")
    assert (present[:, :r] == graph.by("presence").members).all()
    top = np.frombuffer(points["top"], np.uint8).reshape(n, -1)
    shares = np.frombuffer(points["shares"], np.int8).reshape(n, -1)
    assert top.shape == (n, min(r, TOLD["top"]))
    for k in range(n):
        assert np.abs(graph.shares[k, top[k]])[0] == np.abs(graph.shares[k]).max()
        assert shares[k] / 100 == pytest.approx(graph.shares[k, top[k]], abs=0.005)
    said, truth = (np.frombuffer(points[name], "<u2") for name in ("said", "truth"))
    assert [view._classes[c] for c in said] == [graph.class_label(c) for c in graph.predictions]
    names = [None if c == 65535 else view._classes[c] for c in truth]
    assert names == [graph.class_label(c) if c >= 0 else None for c in graph.labels]
    assert points["names"].decode().split("\0") == list(graph.images)
    assert np.frombuffer(points["p"], np.uint8) / 100 == pytest.approx(graph.probabilities, abs=0.005)


def test_many_concepts_take_two_bytes():
    rng = np.random.default_rng(0)
    many = made_graph(rng.random((5, 300)))
    shown = ww.StrategyView(many)
    rows = np.frombuffer(shown._points["strongest"], "<u2")
    assert rows.tolist() == many.by("strongest").of_image.tolist()
    assert len(shown._points["present"]) == 5 * 38
    shown.close()


def test_a_photo_without_support_has_no_concept():
    shown = ww.StrategyView(made_graph([[1.0, 0.0], [-1.0, -2.0]]))
    assert list(shown._points["strongest"]) == [0, 255]
    shown.close()


def test_sums_add_up_to_both_logits(view, graph):
    rows, values = view._sums["rows"], np.frombuffer(view._sums["values"], "<f4")
    values = values.reshape(len(rows), 2, graph.rank + 4)
    assert sorted(row[0] for row in rows) == list(range(len(graph)))
    whole = values[:, :, :-1].sum(axis=2, dtype=np.float64)
    assert whole == pytest.approx(values[:, :, -1], abs=1e-4)
    for (n, first, second, kind), both in zip(rows, values, strict=True):
        told = graph.compare(n)
        assert tuple(view._classes[c] for c in (first, second)) == tuple(graph.class_label(c) for c in told.classes)
        assert ("true", "next")[kind] == told.kind
        assert both[:, : graph.rank] == pytest.approx(told.contributions)
        assert both[:, -1] == pytest.approx(told.logits)


def test_concepts_are_told_with_their_numbers(view, graph, bank):
    flags = graph.shortcuts()
    for k, told in enumerate(view._concepts):
        assert (told["id"], told["words"], told["verdict"]) == (bank.ids[k], flags[k].words, flags[k].verdict)
        for counting, by in (("presence", "presence"), ("strongest", "strongest")):
            prevalence, reliability = told[counting]
            assert prevalence["count"] == graph.by(by).prevalence[k].count
            assert prevalence["low"] == pytest.approx(graph.by(by).prevalence[k].low, abs=1e-4)
            assert reliability["total"] == graph.by(by).reliability[k].total
            assert (reliability["value"] is None) == (reliability["total"] == 0)
    assert sum(told["importance"] for told in view._concepts) == pytest.approx(1, abs=1e-3)
    assert view._graph["shortcut"] == graph.shortcut_rule()
    assert view._graph["labelled"] is True
    json.dumps([view._concepts, view._graph], allow_nan=False)


def test_what_is_missing_is_said_with_what_to_do(model, bank, pictures, graph):
    bare = ww.StrategyGraph.of(model, bank, pictures, progress=False, thumbnails=0)
    shown = ww.StrategyView(bare)
    assert "labels=" in shown._graph["no_labels"]
    assert "images=" in shown._graph["no_photos"]
    assert "bank=bank" in shown._graph["no_maps"]
    assert shown._strip["total"] == 0
    assert shown._sprite["rows"] == []
    assert shown._graph["accuracy"]["value"] is None
    shown.close()
    whole = ww.StrategyView(graph, model, pictures, bank=bank)
    assert [whole._graph[name] for name in ("no_labels", "no_photos", "no_maps", "no_other")] == ["", "", "", ""]
    whole.close()


def test_a_network_of_one_logit_has_no_other_class():
    single = made_graph([[1.0, 2.0], [2.0, 1.0]], other=False)
    shown = ww.StrategyView(single)
    assert "single logit" in shown._graph["no_other"]
    assert shown._sums == {"rows": [], "values": b""}
    with pytest.raises(ValueError, match="single logit"):
        shown.comparison()
    shown.close()


def test_what_makes_no_view_is_refused(graph, bank, model, pictures):
    with pytest.raises(TypeError, match=r"graph: wanted a StrategyGraph or a Job that makes one.*got ConceptBank"):
        ww.StrategyView(bank)
    other = ww.Craft(n_concepts=2, layer="2", fit_on="locations", designs=8).run(model, pictures, progress=False)
    with pytest.raises(ValueError, match=r"bank: wanted the bank that the graph is of"):
        ww.StrategyView(graph, bank=other)
    with pytest.raises(ValueError, match=r"model: wanted the network of the graph, small with weights"):
        ww.StrategyView(graph, small_model(seed=1))
    with pytest.raises(ValueError, match=r"images: wanted photos of the graph by its names, such as 'photo 0', got 1"):
        ww.StrategyView(graph, images={"elsewhere": pictures["photo 1"]})
    with pytest.raises(TypeError, match="unknown option 'colour'"):
        ww.StrategyView(graph, colour="x")


# -- choices ----------------------------------------------------------------------------------------------------------


def test_it_begins_with_the_surest_mistake():
    chances = np.array([0.9, 0.6, 0.8, 0.3], dtype=np.float32)
    phi = np.random.default_rng(0).random((4, 3))
    wrong = ww.StrategyView(made_graph(phi, labels=[0, 1, 1, 0], probabilities=chances))
    assert wrong.selected_images == ["photo 2"]
    assert wrong.selection.images == ["photo 2"]
    unknown = ww.StrategyView(made_graph(phi, probabilities=chances))
    assert unknown.selected_images == ["photo 3"]
    for each in (wrong, unknown):
        each.close()


def test_photos_and_concepts_are_selected_with_the_selection(graph):
    selection = ww.Selection(images=["elsewhere", "photo 3"], concepts=[99])
    shown = ww.StrategyView(graph, selection=selection)
    assert shown.selected_images == ["photo 3"]
    assert shown.selected_concepts == []
    assert selection.images == ["elsewhere", "photo 3"]  # a view does not narrow what others have
    selection.images = ["photo 1", "photo 2"]
    assert shown.selected_images == ["photo 1", "photo 2"]
    assert shown.selected_rows.tolist() == [graph.images.index(name) for name in ("photo 1", "photo 2")]
    selection.images = ["elsewhere"]
    assert shown.selected_images == ["photo 1", "photo 2"]
    selection.images = []
    assert shown.selected_images == []
    key = graph.ids[1]
    selection.concepts = [99, key]
    assert shown.selected_concepts == [key]
    shown.selected_concepts = []
    assert selection.concepts == []
    shown.selected_images = ["photo 5", "photo 4"]
    assert selection.images == ["photo 5", "photo 4"]
    with pytest.raises(traitlets.TraitError, match=r"selected_images: wanted names of the 9 photos, got 'no such'"):
        shown.selected_images = ["no such"]
    with pytest.raises(traitlets.TraitError, match=r"selected_concepts: wanted ids of"):
        shown.selected_concepts = [99]
    shown.close()


def test_a_view_and_an_explorer_select_one_another(graph, bank, model):
    explorer = ww.ConceptExplorer(bank, model)
    shown = ww.StrategyView(graph, selection=explorer.selection)
    assert shown.selected_concepts == explorer.selected_concepts
    explorer.selected_concepts = [bank.ids[2]]
    assert shown.selected_concepts == [bank.ids[2]]
    shown.selected_images = ["photo 4", "photo 7"]
    assert explorer.selected_image == "photo 4"
    explorer.selected_image = "photo 2"
    assert shown.selected_images == ["photo 2"]
    explorer.close()
    shown.close()


def test_the_browser_sets_what_people_may_set(view):
    tell(view, "set", traits={"by": "strongest", "counting": "strongest", "only_mistakes": True, "_title": "x"})
    assert (view.by, view.counting, view.only_mistakes) == ("strongest", "strongest", True)
    assert view._title == "small"
    tell(view, "set", traits={"by": "loudest"})
    assert view.by == "strongest"


def test_a_lasso_of_a_page_without_other_models_reaches_the_selection(view):
    tell(view, "alone")
    tell(view, "set", traits={"selected_images": ["photo 1", "photo 8"]})
    assert view.selection.images == ["photo 1", "photo 8"]
    assert view.selection.by == "user"


def test_the_comparison_is_of_the_photo_that_is_looked_at(view):
    view.selected_images = ["photo 6", "photo 1"]
    assert view.comparison().image == "photo 6"
    view.selected_images = []
    with pytest.raises(ValueError, match="selected_images: wanted a photo"):
        view.comparison()


def test_sums_of_a_photo_that_is_not_held_follow_its_choice():
    rng = np.random.default_rng(0)
    many = made_graph(rng.normal(size=(2000, 12)), labels=rng.integers(0, 2, 2000))
    shown = ww.StrategyView(many)
    held = [row[0] for row in shown._sums["rows"]]
    assert held[0] == shown.selected_rows[0]
    assert not many.right[held].any()  # the misread come first
    assert len(shown._sums["values"]) <= NOTEBOOK.sums
    away = next(n for n in range(2000) if n not in held)
    shown.selected_images = [many.images[away]]
    assert shown._sums["rows"][0][0] == away
    before = shown._sums
    shown.selected_images = [many.images[before["rows"][3][0]]]
    assert shown._sums is before
    shown.close()


# -- photos -----------------------------------------------------------------------------------------------------------


def test_the_sprite_shows_the_photos_it_says(graph, pictures, view):
    sprite = view._sprite
    page = picture(sprite["data"])
    side, columns = sprite["side"], sprite["columns"]
    assert sorted(sprite["rows"]) == list(range(len(graph)))
    for place, n in enumerate(sprite["rows"]):
        top, left = (side * k for k in divmod(place, columns))
        mean = page[top : top + side, left : left + side].mean(axis=(0, 1))
        assert mean == pytest.approx(255 * pictures[graph.images[n]].mean(axis=(0, 1)), abs=16)


def test_thumbnails_are_of_the_photos_that_were_given(graph):
    photos = photos_of(graph)
    shown = ww.StrategyView(graph, images=photos)
    sent = []
    shown.send = lambda content, buffers=None: sent.append((content, buffers))
    tell(shown, "thumbnails", mark=shown._strip["mark"], places=[4, 2])
    until(lambda: sent)
    content, buffers = sent[0]
    assert [each["place"] for each in content["images"]] == [4, 2]
    for each, data in zip(content["images"], buffers, strict=True):
        colour = photos[graph.images[each["place"]]].mean(axis=(0, 1))
        assert picture(data).mean(axis=(0, 1)) == pytest.approx(colour, abs=3)
    shown.close()


def test_crops_are_those_that_show_each_concept_most(graph, bank, model):
    shown = ww.StrategyView(graph, model, bank=bank)
    told = shown._crops
    assert [len(row) for row in told["images"]] == [min(4, len(bank.crops[bank.number_of(k)])) for k in graph.ids]
    page, side, columns = picture(told["data"]), told["side"], told["columns"]
    place = 0
    for row, key in zip(told["images"], graph.ids, strict=True):
        for name, crop in zip(row, bank.crops[bank.number_of(key)], strict=False):
            assert name == bank.images[crop.image]
            top, left = (side * k for k in divmod(place, columns))
            mean = page[top : top + side, left : left + side].mean(axis=(0, 1))
            assert mean == pytest.approx(crop.picture.mean(axis=(0, 1)), abs=16)
            place += 1
    shown.close()


def test_without_a_bank_there_are_no_crops(view):
    assert view._crops == {"data": b"", "side": 1, "columns": 1, "images": []}


def test_crops_fit_into_their_bytes(graph, bank):
    whole = encode_crops(graph, bank, PAGE)
    sizes = [len(encode_crops(graph, bank, PAGE._replace(crops=limit))["data"]) for limit in (10**6, 2000, 900)]
    assert sizes[0] == len(whole["data"]) > sizes[1] > 0
    assert sizes[1] <= 2000
    assert sizes[2] <= 900
    least = encode_crops(graph, bank, PAGE._replace(crops=900))["images"]
    assert sum(map(len, least)) < sum(map(len, whole["images"]))
    assert encode_crops(graph, bank, PAGE._replace(crops=10))["data"] == b""


def test_where_the_concepts_are_on_the_photo_that_is_looked_at(graph, bank, model, pictures):
    shown = ww.StrategyView(graph, model, bank=bank)
    shown.start().wait(PATIENCE)
    shown.selected_images = ["photo 3"]
    until(lambda: shown._look.get("image") == "photo 3")
    rows, columns = shown._look["grid"]
    maps = np.frombuffer(shown._look["maps"], np.uint8).reshape(graph.rank, rows, columns)
    codes = bank.codes[bank.images.index("photo 3")].transpose(2, 0, 1)
    for k, key in enumerate(graph.ids):
        own = codes[bank.number_of(key)]
        if own.max() > 0:
            assert np.corrcoef(maps[k].ravel(), own.ravel())[0, 1] > 0.9
    assert picture(shown._look["photo"]).mean() == pytest.approx(255 * pictures["photo 3"].mean(), abs=6)
    shown.close()


def test_photos_that_the_bank_has_not_are_asked_of_the_network(model, bank, pictures):
    """The same maps by two routes: from the bank's codes, and through the network."""
    photos = {f"new {name}": image for name, image in pictures.items()}
    other = ww.StrategyGraph.of(model, bank, photos, progress=False)
    asked = ww.StrategyView(other, model, photos, bank=bank, selected_images=["new photo 3"])
    held = ww.StrategyView(ww.StrategyGraph.of(model, bank, progress=False), bank=bank, selected_images=["photo 3"])
    for each in (asked, held):
        each.start().wait(PATIENCE)
        until(lambda each=each: each._look)
    planes = [np.frombuffer(each._look["maps"], np.uint8).astype(int) for each in (asked, held)]
    assert np.abs(planes[0] - planes[1]).max() <= 4  # photos of a bank have 8 bits
    asked.close()
    held.close()
    lost = ww.StrategyView(other, images=photos, bank=bank)
    lost.start().wait(PATIENCE)
    until(lambda: lost._look)
    assert "the network tells" in lost._look["reason"]
    assert lost._look["photo"]
    lost.close()


def test_a_photo_that_cannot_be_read_says_why(graph, tmp_path):
    broken = tmp_path / "photo 0"
    broken.write_bytes(b"no picture")
    shown = ww.StrategyView(graph, images={"photo 0": broken}, selected_images=["photo 0"])
    shown.start().wait(PATIENCE)
    until(lambda: shown._look.get("reason", "").startswith("ValueError"))
    shown.close()


# -- jobs -------------------------------------------------------------------------------------------------------------


def test_a_job_is_started_and_shown(model, bank, pictures):
    job = ww.Strategies().submit(model, bank, pictures)
    shown = ww.StrategyView(job, model, bank=bank)
    assert shown.graph is None
    assert shown._status["state"] == "empty"
    assert shown.job is job
    made = shown.start().wait(PATIENCE)
    until(lambda: shown._status["state"] == "done")
    assert shown.graph is made
    assert shown._points["count"] == len(made)
    until(lambda: shown.selection.images == shown.selected_images != [])
    shown.close()


def test_a_job_of_another_bank_says_so(model, bank, pictures):
    other = ww.Craft(n_concepts=2, layer="2", fit_on="locations", designs=8).run(model, pictures, progress=False)
    shown = ww.StrategyView(ww.Strategies().submit(model, other, pictures), model, bank=bank)
    shown.start().wait(PATIENCE)
    until(lambda: shown._status["state"] == "failed")
    assert "bank: wanted the bank" in shown._status["error"]["why"]
    shown.close()


def test_a_failure_is_told():
    def fail():
        yield from ()
        raise RuntimeError("the disk is full")

    shown = ww.StrategyView(ww.Job(fail))
    shown.start()
    until(lambda: shown._status["state"] == "failed")
    assert "the disk is full" in shown._status["error"]["why"]
    shown.close()


def test_a_finished_graph_has_a_job_too(view, graph):
    assert view.job.state == "idle"
    assert view.start().wait(PATIENCE) is graph
    assert view._status["state"] == "done"


# -- what is saved ----------------------------------------------------------------------------------------------------


def saved_bytes(view):
    state, _, buffers = _remove_buffers(view.get_state())
    return len(json.dumps(state)) + sum(len(base64.b64encode(each)) for each in buffers)


@pytest.mark.parametrize("count", [60, 2000])
def test_what_is_saved_with_a_notebook_is_small(count):
    rng = np.random.default_rng(0)
    side = 48

    def thumb():
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(buffer, "JPEG", quality=70)
        return buffer.getvalue()

    thumbs = [thumb() for _ in range(20)]
    many = made_graph(rng.normal(size=(count, 10)), thumbnails=tuple(thumbs[k % 20] for k in range(count)))
    shown = ww.StrategyView(many)
    assert saved_bytes(shown) < 320_000
    assert shown._sprite["rows"]
    assert len(shown._sprite["data"]) <= NOTEBOOK.sprite
    shown.close()


def test_a_page_holds_more_and_nothing_under_way(graph, bank, model, tmp_path):
    shown = ww.StrategyView(graph, model, bank=bank)
    state = shown.exported_state()
    assert state["_kernel"] is False
    assert state["_look"]["image"] == shown.selected_images[0]
    assert state["_status"]["state"] == "done"
    page = shown.to_html(tmp_path / "page.html").read_text()
    assert "Why small reads" in page
    shown.close()


def test_budgets_keep_what_is_wanted_most(graph):
    order = order_of(graph, [5])
    assert order[0] == 5
    assert sorted(order) == list(range(len(graph)))
    few = NOTEBOOK._replace(sums=2 * (graph.rank + 4) * 4 * 2)
    assert [row[0] for row in encode_sums(graph, order, few)["rows"]] == order[:2]
    photos = ww.StrategyView(graph)._photos
    assert encode_sprite(photos, order, PAGE._replace(tiles=3))["rows"] == order[:3]
    assert encode_sprite(photos, order, PAGE._replace(sprite=10))["rows"] == []


def test_the_code_makes_the_same(view, graph, model, bank, pictures):
    lines = view._graph["code"].split("\n")
    labels = {name: None if c < 0 else int(c) for name, c in zip(graph.images, graph.labels, strict=True)}
    scope = {"ww": ww, "model": model, "bank": bank, "photos": pictures, "labels": labels}
    line = next(each for each in lines if each.startswith("graph ="))
    exec(line.replace(".run(", ".run("), scope)  # noqa: S102  # what a person would run
    assert isinstance(scope["graph"], StrategyGraph)
    assert np.array_equal(scope["graph"].importance, graph.importance)
    shown = eval(lines[-1], scope)  # noqa: S307
    assert shown.graph is scope["graph"]
    shown.close()


def test_it_is_a_picture_where_there_are_no_widgets(view):
    data, _ = view._repr_mimebundle_()
    assert data["image/jpeg"] if "image/jpeg" in data else data["image/png"]
    assert "concepts of small" in view.describe()
    assert view.picture().width > 400
