"""AtlasView: pages that come and go, what they share, what the browser is told, and what an exported page holds."""

import gc
import io
import json
import re
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image
from torch import nn

import whatwhere as ww
from whatwhere.atlas import Atlas, ClassPage
from whatwhere.atlas.page_store import Held
from whatwhere.widgets._atlas_similar import Lookup
from whatwhere.widgets._atlas_words import likeness, sentence
from whatwhere.widgets._view import WIRE

PATIENCE = 60
TOLD = WIRE["atlas"]
NAMES = ["red", "green", "blue", "crane", "crane", "white"]
COUNTS = [9, 8, 7, 6, 2, 6]


class ByColour(nn.Module):
    """Classes are colours that a picture has most of, so that a linear head behind ReLU maps tells them apart."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.maps = nn.Sequential(nn.Conv2d(3, 24, 4, stride=4), nn.ReLU())
        self.head = nn.Linear(24, len(NAMES))
        with torch.no_grad():
            self.maps[0].weight.copy_(0.05 * torch.randn(24, 3, 4, 4, generator=generator))
            self.maps[0].bias.zero_()
            self.head.weight.zero_()
            self.head.bias.zero_()
            for k in range(24):
                self.maps[0].weight[k] += torch.tensor(COLOURS[k % 6]).reshape(3, 1, 1) * 0.1
                self.head.weight[k % 6, k] = 1

    def forward(self, x):
        return self.head(self.maps(x).mean((2, 3)))


COLOURS = np.array([[2, -1, -1], [-1, 2, -1], [-1, -1, 2], [1, 1, -2], [-2, 1, 1], [1, -2, 1]], dtype=np.float32)


@pytest.fixture(scope="module")
def model():
    return ww.VisionModel(
        ByColour().eval(), device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, class_names=NAMES, name="small"
    )


@pytest.fixture(scope="module")
def pictures():
    """Pictures of blocks, so many of each class; and their classes, by name."""
    rng = np.random.default_rng(0)
    made, labels = {}, {}
    for target, count in enumerate(COUNTS):
        for k in range(count):
            blocks = rng.random((6, 6, 3), dtype=np.float32) * 0.3 * (rng.random((6, 6, 1)) < 0.6)
            blocks += 0.5 * rng.random((6, 6, 1), dtype=np.float32) * (COLOURS[target] > 0)
            name = f"{NAMES[target]} {target}.{k}"
            made[name], labels[name] = np.kron(blocks, np.ones((4, 4, 1), np.float32)).clip(0, 1), target
    return made, labels


@pytest.fixture(scope="module")
def atlas(model, pictures):
    photos, labels = pictures
    return ww.Atlas.of(model, photos, labels=labels, craft=ww.Craft(n_concepts=5, fit_on="locations"), progress=False)


@pytest.fixture
def views():
    """Make views; they are closed at the end."""
    made = []

    def make(*arguments, **options):
        made.append(ww.AtlasView(*arguments, **options))
        return made[-1]

    yield make
    for view in made:
        view.close()


@pytest.fixture
def view(views, atlas):
    return views(atlas)


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def tell(view, kind, **content):
    view._receive(view, {"kind": kind, "rid": content.pop("rid", "r"), "v": 1, **content}, [])


# -- state ------------------------------------------------------------------------------------------------------------


def test_the_wire_names_every_trait(view):
    own = [name for name in view.keys if name in vars(ww.AtlasView) and name != "_esm"]
    assert sorted(own) == sorted(TOLD["public_traits"] + TOLD["python_traits"])
    assert view.public_traits() == sorted(TOLD["public_traits"])
    assert {*view._handlers, *view._shared_handlers} == set(TOLD["to_kernel"])


def test_the_list_has_every_class_those_without_a_page_at_the_end(atlas, view):
    listed = view._list
    assert atlas.classes == (0, 1, 2, 3, 5)
    assert listed["ids"] == [0, 1, 2, 3, 5, 4]
    assert listed["names"] == ["red", "green", "blue", "crane", "white", "crane"]
    assert listed["photos"] == [9, 8, 7, 6, 6, None]
    assert listed["important"] == [*(len(atlas[target].important) for target in atlas), None]
    assert listed["accuracy"] == [*(atlas[target].graph.accuracy.value for target in atlas), None]
    assert list(listed["why"]) == ["4"]
    assert "5 are needed" in listed["why"]["4"]


def test_it_opens_with_the_first_class_and_its_most_important_concept(atlas, view):
    assert (view.selected, view.page, view.what.bank.key) == (0, atlas[0], atlas[0].bank.key)
    assert view.concept == atlas[0].bank.ids[0] == view.selection.concepts[0] == view.what.selected_concepts[0]
    assert view.why is not None
    assert view.why.graph is atlas[0].graph
    assert view.what.selection is view.why.selection is view.selection
    assert {view.what._embedded, view.why._embedded} == {"page"}


def test_the_browser_finds_views_and_selection_by_reference(view):
    assert view._parts == {
        "0": {name: f"IPY_MODEL_{each.model_id}" for name, each in {**view.views, "selection": view.selection}.items()}
    }
    page = view._pages["0"]
    assert [each["id"] for each in page["concepts"]] == list(view.page.bank.ids)
    assert [each["id"] for each in page["concepts"] if each["counts"]] == list(view.page.important)
    assert page["words"] == sentence(view.page)
    assert page["about"][1][1] == view.page.rule


def test_the_sentence_has_what_concepts_rest_on(atlas):
    words = sentence(atlas[0])
    error = atlas[0].bank.quality.error
    assert words.startswith(
        f"5 concepts from 9 photos read as red, at layer maps, with a relative error of {error:.2f}."
    )
    assert re.search(r"[A-E]( and [A-E])? (is|are) important\.$", words)


def test_how_alike_concepts_are_is_said_with_what_is_usual():
    assert likeness(0.6, 12.4, 7e-10) == ("cosine 0.60, z 12.4: under 1 % of pairs this alike are chance")
    assert likeness(0.2, 3.5, 0.08).endswith("z 3.5: about 8 % of pairs this alike are chance")
    assert likeness(0.1, 1.0, 0.9).endswith("no more than chance gives")
    assert likeness(-0.1, float("nan"), float("nan")) == "cosine \u22120.10; too few classes to tell chance"


def test_where_none_is_alike_it_is_said_by_which_measure(atlas, monkeypatch):
    likest = atlas.similar(0, most=1, threshold=None)[0]

    def none_but(z):
        far = replace(likest, cosine=0.1, z=z)
        monkeypatch.setattr(type(atlas), "similar", lambda *_, threshold, **__: [] if threshold else [far])
        return list(Lookup(atlas).steps(0))[-1].record["note"]

    assert none_but(0.4) == "No concept of another class is more like one of these than chance gives."
    assert none_but(float("nan")) == "No concept of another class has a cosine of 0.3 or more with one of these."


# -- choices ----------------------------------------------------------------------------------------------------------


def test_classes_are_chosen_by_name_or_id(view):
    view.selected = "blue"
    assert (view.selected, view.page.target, view.concept) == (2, 2, view.page.bank.ids[0])
    view.selected = np.int64(1)
    assert view.selected == 1
    assert type(view.selected) is int


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("gren", r"selected: no class is named 'gren'. Nearest: 'green'"),
        ("crane", r"selected: 'crane' names 2 classes, 3 and 4"),
        (4, r"selected: 'crane \(4\)' \(4\) has no page: too few images.*Nearest that have one: 3 \(crane\)"),
        (77, r"selected: wanted a class id from 0 to 5, got 77"),
        (1.5, r"selected: wanted a class name \(str\) or id \(int\), got float"),
        (None, r"selected: wanted a class name"),
    ],
)
def test_classes_that_cannot_be_shown_say_why(view, wanted, message):
    with pytest.raises(traitlets.TraitError, match=message):
        view.selected = wanted
    assert view.selected == view.page.target == 0


def test_the_first_class_may_be_chosen(views, atlas):
    assert views(atlas, selected="white").page.target == 5
    with pytest.raises(ww.UnknownClassError, match=r"selected: no class is named 'whit'. Nearest: 'white'"):
        ww.AtlasView(atlas, selected="whit")


def test_concepts_are_chosen_on_both_sides(view):
    first, second = view.what.ids[:2]
    view.concept = second
    assert view.selection.concepts == view.what.selected_concepts == view.why.selected_concepts == [second]
    view.selection.concepts = [first, second]
    assert view.concept == first
    view.concept = None
    assert view.selection.concepts == []
    with pytest.raises(traitlets.TraitError, match=r"concept: wanted one of \[.*\], the concepts of red, got 9"):
        view.concept = 9
    assert view.concept is None


def test_the_last_two_pages_are_kept_as_they_were(view):
    what, chosen = view.what, view.what.ids[2]
    view.concept = chosen
    view.selected = 1
    assert list(view._pages) == list(view._parts) == ["0", "1"]
    view.selected = 0
    assert view.what is what
    assert view.concept == chosen
    assert list(view._pages) == ["1", "0"]


def test_others_are_closed_and_what_was_said_of_their_concepts_is_kept(view):
    what, why, selection = view.what, view.why, view.selection
    what.names = {what.ids[0]: "dots"}
    assert view._pages["0"]["concepts"][0]["name"] == "dots"
    gone = weakref.ref(what)
    view.selected, view.selected = 1, 2
    assert list(view._pages) == ["1", "2"]
    assert what.comm is why.comm is selection.comm is None
    assert what.bank is None
    del what, why, selection
    gc.collect()
    assert gone() is None, "nothing holds the view"
    view.selected = 0
    assert view.what.names == {str(view.what.ids[0]): "dots"}


def test_a_class_and_its_concept_come_as_one_message(view, atlas):
    wanted = atlas[2].bank.ids[3]
    made = []
    view.observe(lambda change: made.append(change.new), "concept")
    tell(view, "set", traits={"selected": 2, "concept": wanted})
    assert (view.selected, view.concept, view.what.selected_concepts) == (2, wanted, [wanted])
    assert made == [wanted], "and no other one on the way"
    other = atlas[2].bank.ids[1]
    tell(view, "set", traits={"selected": 2, "concept": other})
    assert view.selection.concepts == [other]


@pytest.mark.parametrize("traits", [{"selected": 77}, {"selected": "x", "concept": 1}, {"concept": "one"}, 3, None])
def test_nonsense_from_the_browser_changes_nothing(view, traits, caplog):
    del caplog
    before = (view.selected, view.concept)
    tell(view, "set", traits=traits)
    assert (view.selected, view.concept) == before
    tell(view, "fetch")


def test_a_page_that_cannot_be_read_leaves_the_one_that_is_shown(atlas, views, tmp_path):
    atlas.save(tmp_path / "atlas")
    loaded = ww.Atlas.load(tmp_path / "atlas")
    view = views(loaded)
    (tmp_path / "atlas" / "class_00001.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="the page of 'green' is missing"):
        view.selected = "green"
    assert view.selected == view.page.target == 0
    assert view._note.startswith("The page of green cannot be opened. FileNotFoundError")
    view.selected = "blue"
    assert view._note == ""


def test_an_atlas_in_a_folder_is_listed_without_reading_its_pages(atlas, views, tmp_path):
    atlas.save(tmp_path / "atlas")
    loaded = ww.Atlas.load(tmp_path / "atlas")
    for target in atlas.classes[1:]:
        (tmp_path / "atlas" / f"class_{target:05d}.safetensors").unlink()
    assert views(loaded)._list == views(atlas)._list


# -- what is alike ----------------------------------------------------------------------------------------------------


def test_similar_concepts_are_the_atlas_s_with_their_crops(atlas, view):
    assert view._similar == {}
    view.start()
    view.wait(PATIENCE)
    until(lambda: "0" in view._similar)
    told = view._similar["0"]
    rows = [(row["here"], (row["there"]["class"], row["there"]["concept"]["id"])) for row in told["rows"]]
    pairs = [pair for k in atlas[0].bank.ids for pair in atlas.similar(0, k, most=4, threshold=0.2)]
    assert sorted(rows) == sorted((pair.here[1], pair.there) for pair in pairs)
    sprite = np.asarray(Image.open(io.BytesIO(told["sprite"])), dtype=np.float32)
    side, columns = told["side"], told["columns"]
    for concept_id in atlas[0].bank.ids:
        crops = atlas[0].bank.crops[atlas[0].bank.number_of(concept_id)][:3]
        assert len(told["tiles"][str(concept_id)]) == len(crops)
        for at, crop in zip(told["tiles"][str(concept_id)], crops, strict=True):
            top, left = at // columns * side, at % columns * side
            shown = sprite[top : top + side, left : left + side].mean((0, 1))
            assert np.abs(shown - crop.picture.mean((0, 1))).max() < 6
    assert ["Scores", atlas.calibration] in told["about"]


def test_every_row_has_crops_and_words(atlas, views):
    """Of one bank as two classes: each concept is most like itself."""
    bank = atlas[0].bank
    banks = {target: replace(bank, target=target) for target in range(2)}
    view = views(ww.Atlas.from_banks(banks))
    view.start()
    view.wait(PATIENCE)
    until(lambda: "0" in view._similar)
    rows = view._similar["0"]["rows"]
    assert all(row["words"].endswith("too few classes to tell chance") for row in rows)
    best = {row["here"]: row for row in reversed(rows)}
    for concept_id, row in best.items():
        assert row["there"] | {"concept": row["there"]["concept"]["id"]} == {
            "class": 1, "name": "green", "concept": concept_id
        }  # fmt: skip
        assert row["mutual"]
        assert len(row["tiles"]) == 3
    assert best.keys() == set(bank.ids)


def test_one_class_alone_has_nothing_to_be_compared_with(atlas, views):
    view = views(ww.Atlas.from_banks({0: atlas[0].bank}))
    assert view.why is None
    assert "why" not in view._parts["0"]
    view.start()
    view.wait(PATIENCE)
    until(lambda: "0" in view._similar)
    assert view._similar["0"]["note"] == "There is no other class to compare with."


def test_computing_starts_with_the_first_display_and_goes_on_with_each_page(atlas, model, views, pictures):
    view = views(atlas, model, pictures[0])
    assert view.what.job.state == "idle"
    view._repr_mimebundle_()
    view.wait(PATIENCE)
    assert view.what.job.state == "done"
    view.selected = 1
    view.wait(PATIENCE)
    assert view.what.job.state == "done"
    until(lambda: "1" in view._similar)
    view.stop()
    view.selected = 2
    assert view.what.job.state == "idle"


def test_whole_photos_are_shown_where_they_are_given(atlas, model, views, pictures, tmp_path):
    atlas.save(tmp_path / "atlas")
    loaded = ww.Atlas.load(tmp_path / "atlas")
    assert views(loaded, model).what._images == []
    assert len(views(loaded, model, pictures[0]).what._images) == 9


# -- closest classes --------------------------------------------------------------------------------------------------


def told_closest(view):
    return view._pages[str(view.selected)]["closest"]


def by_hand(bank, k):
    """The heads' cosines with a direction, without what whatwhere computes."""
    net = ByColour()
    w, heads = bank.W[k].astype(np.float64), net.head.weight.detach().numpy().astype(np.float64)
    cosines = heads @ w / np.linalg.norm(w) / np.linalg.norm(heads, axis=1)
    effects = bank.codes[..., k].mean() * (heads @ w)
    order = np.argsort(-cosines, kind="stable")[:5]
    return [(int(c), round(float(cosines[c]), 3), round(float(effects[c]), 3)) for c in order]


def rows_of(told, concept_id):
    return [
        (each["class"], round(each["cosine"], 3), round(each["effect"], 3)) for each in told["rows"][str(concept_id)]
    ]


def test_closest_classes_are_kept_with_the_atlas_and_need_no_network(atlas, views, tmp_path):
    atlas.save(tmp_path / "atlas")
    view = views(ww.Atlas.load(tmp_path / "atlas"))
    told, bank = told_closest(view), atlas[0].bank
    assert list(told["rows"]) == [str(k) for k in bank.ids]
    for k, concept_id in enumerate(bank.ids):
        assert rows_of(told, concept_id) == by_hand(bank, k)
    assert {each["class"]: each["name"] for each in told["rows"][str(bank.ids[0])]}.items() <= {
        0: "red", 1: "green", 2: "blue", 3: "crane (3)", 4: "crane (4)", 5: "white"
    }.items()  # fmt: skip
    assert told["note"] == ""
    assert told["code"] == "atlas.alignment(0, concept)"


def test_closest_classes_of_concepts_without_their_network_are_asked_for(atlas, model, views, tmp_path):
    bare = ww.Atlas.from_banks({target: atlas[target].bank for target in (0, 1)})
    assert told_closest(views(bare)) | {"about": []} == {
        "rows": {}, "note": "This needs the network: AtlasView(atlas, model).", "about": [], "code": ""
    }  # fmt: skip
    view = views(bare, model)
    assert told_closest(view)["note"] == "Asking the network …"
    view.start()
    until(lambda: told_closest(view)["rows"])
    bank = atlas[0].bank
    assert rows_of(told_closest(view), bank.ids[1]) == by_hand(bank, 1)
    found, _ = read_page(view.to_html(tmp_path / "atlas.html"))
    pages = found["state"]["views"][0]["state"]["_pages"]
    bank = atlas[1].bank
    assert rows_of(pages["1"]["closest"], bank.ids[0]) == by_hand(bank, 0)


def test_closest_classes_of_another_number_of_concepts_are_asked_for(atlas, model, views, pictures):
    view = views(atlas, model, pictures[0])
    view.start()
    view.wait(PATIENCE)
    tell(view.what, "rank", concepts=3)
    until(lambda: view.what.bank.refits and view.what.bank.complete)
    until(lambda: len(told_closest(view)["rows"]) == 3)
    bank = view.what.bank
    assert rows_of(told_closest(view), bank.ids[0]) == by_hand(bank, 0)
    assert "closest_classes" in told_closest(view)["code"]


def test_a_layer_where_classes_have_no_direction_says_so(atlas, views):
    why = "behind 'maps' places have weights of their own."
    banks = {0: ClassPage(atlas[0].bank, None, None, why)}
    pages = Atlas(Held(banks), atlas.origin, atlas.class_names, {})
    assert told_closest(views(pages))["note"] == why


# -- in the words of the view that shows them -------------------------------------------------------------------------


@pytest.fixture
def loaded(atlas, tmp_path):
    atlas.save(tmp_path / "atlas")
    return ww.Atlas.load(tmp_path / "atlas")


def texts(told):
    """All texts of a state but code, which stands for itself."""
    if isinstance(told, dict):
        for name, value in told.items():
            if name != "code":
                yield from texts(value)
    elif isinstance(told, list | tuple):
        for value in told:
            yield from texts(value)
    elif isinstance(told, str):
        yield told


@pytest.mark.parametrize("given", ["nothing", "network", "photos"])
def test_what_is_missing_is_given_to_the_atlas_view(loaded, model, views, pictures, given):
    some = dict(list(pictures[0].items())[:1])
    arguments = {"nothing": (), "network": (model,), "photos": (None, some)}[given]
    view = views(loaded, *arguments)
    view.start()
    view.wait(PATIENCE)
    view.selection.images = view.page.graph.images[:1]
    view.wait(PATIENCE)
    until(lambda: view.why._look)
    said = [text for each in (view, view.what, view.why) for text in texts(each.exported_state())]
    assert not [text for text in said if re.search(r"(ConceptExplorer|StrategyView)\(", text)]
    calls = {re.sub(r".*(AtlasView\(.*?\)).*", r"\1", text) for text in said if "AtlasView(" in text}
    whole = "AtlasView(atlas, model, images={name: photo, …})"
    assert calls == {"nothing": {"AtlasView(atlas, model)", whole}, "network": {whole}}.get(given, calls)
    assert calls
    assert all(text.endswith(".") for text in said if "AtlasView(" in text)


def test_other_views_go_on_in_their_own_words(atlas):
    bank = replace(atlas[0].bank, source=None)
    alone = ww.ConceptExplorer(bank)
    assert alone._model["reason"] == "This needs the network: ConceptExplorer(bank, model)."
    assert "ConceptExplorer(bank, model, images={name: photo, …})" in alone._model["photos"]
    alone.close()


# -- refusals, and the end --------------------------------------------------------------------------------------------


def test_other_things_are_refused(atlas):
    with pytest.raises(TypeError, match=r"atlas: wanted a ww.Atlas, .* got dict"):
        ww.AtlasView({0: atlas[0]})


def test_a_network_of_other_weights_is_refused(atlas):
    net = ByColour().eval()
    with torch.no_grad():
        net.head.weight.mul_(2)
    other = ww.VisionModel(
        net, device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, class_names=NAMES, name="other"
    )
    with pytest.raises(ValueError, match="weights"):
        ww.AtlasView(atlas, other)


def test_it_gives_its_memory_back(atlas, model, pictures):
    view = ww.AtlasView(atlas, model, pictures[0])
    view.start()
    view.wait(PATIENCE)
    view.selected = 1
    gone = [weakref.ref(each) for each in (view, view.what, view.why)]
    view.close()
    view.close()
    del view

    def all_gone():  # the worker lets go of a discarded job at its next step
        gc.collect()
        return [each() for each in gone] == [None] * 3

    until(all_gone)


# -- pages without a kernel -------------------------------------------------------------------------------------------


def read_page(path):
    page = path.read_text(encoding="utf-8")
    found = dict(re.findall(r'<script type="application/json" id="ww-([\w-]+)">(.*?)</script>', page, re.DOTALL))
    return {name: json.loads(text) for name, text in found.items()}, page


def test_an_exported_page_holds_every_class(atlas, model, views, pictures, tmp_path):
    view = views(atlas, model, pictures[0], selected=1)
    found, page = read_page(view.to_html(tmp_path / "atlas.html"))
    state = found["state"]["views"][0]["state"]
    assert state["selected"] == 1
    assert not state["_kernel"]
    assert list(state["_pages"]) == list(state["_parts"]) == list(state["_similar"]) == ["0", "1", "2", "3", "5"]
    parts = {part["id"]: part["kind"] for part in found["state"]["parts"]}
    for target, references in state["_parts"].items():
        assert parts[references["what"].removeprefix("IPY_MODEL_")] == "concepts"
        assert parts[references["why"].removeprefix("IPY_MODEL_")] == "strategies"
        part = found[references["what"].removeprefix("IPY_MODEL_")]["state"]
        assert part["_target"] == atlas.names[int(target)]
        assert part["_selection"] == references["selection"]
        assert references["selection"].removeprefix("IPY_MODEL_") in found["state"]["models"]
        assert part["_bank"]["classes"][0], "the network was asked"
    assert len({references["selection"] for references in state["_parts"].values()}) == 5
    assert page.count('id="ww-esm-concepts"') == 1
    assert list(view._pages) == ["1"], "and the view is as it was"


def test_an_exported_page_holds_the_classes_that_are_named(view, tmp_path):
    found, _ = read_page(view.to_html(tmp_path / "atlas.html", ["blue", 1, "blue"], title="Two"))
    state = found["state"]["views"][0]["state"]
    assert list(state["_pages"]) == ["2", "1"]
    assert state["selected"] == 2
    assert state["_list"] == view._list
    with pytest.raises(ww.UnknownClassError, match=r"classes: 'crane \(4\)' \(4\) has no page"):
        view.to_html(tmp_path / "atlas.html", [4])
    with pytest.raises(TypeError, match="classes: wanted a list of ids or names, got the text 'blue'"):
        view.to_html(tmp_path / "atlas.html", "blue")
    with pytest.raises(ValueError, match="classes: wanted at least one class"):
        view.to_html(tmp_path / "atlas.html", [])
    assert len(read_page(view.to_html(tmp_path / "atlas.html"))[0]["state"]["parts"]) == 10


def test_what_it_says_of_itself(view):
    assert repr(view).startswith("<AtlasView: 5 classes; red is shown. 5 concepts of small for red")
    assert view.headline() == "What small sees, class by class"
    assert view.picture().mode == "RGB"
    assert "image/png" in view._repr_mimebundle_()[0] or "image/jpeg" in view._repr_mimebundle_()[0]
