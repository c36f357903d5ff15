"""Selection: shared by views, both ways with Python, without loops; `tests/browser` does it with real clicks."""

import contextlib
import gc
import json
import re
import threading
import weakref

import numpy as np
import pytest
import torch
import traitlets

import whatwhere as ww

PATIENCE = 30


@pytest.fixture
def model(toy):
    return toy(lambda x: torch.stack([x[:, 0].mean((1, 2)), x[:, 1, :16].mean((1, 2)), x.amax((1, 2, 3))], 1))


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return {name: rng.random((64, 64, 3)).astype(np.float32) for name in ("one", "two", "three")}


@pytest.fixture
def pair(model, images):
    """Two views that share a selection; the second lacks the first photo."""
    selection = ww.Selection()
    method = ww.Sobol(grid=2, rows=4)
    first = ww.AttributionView(model, images, method=method, selection=selection)
    rest = {name: images[name] for name in ("two", "three")}
    second = ww.AttributionView(model, rest, method=method, selection=selection)
    yield first, second
    first.close()
    second.close()


@contextlib.contextmanager
def listening(monkeypatch, *widgets):
    """Note what widgets send to the browser: pairs of widget and message."""
    sent = []
    for widget in widgets:
        monkeypatch.setattr(widget, "_send", lambda message, *_, w=widget, **__: sent.append((w, message)))
    yield sent


def from_browser(selection, rid="r1", **traits):
    selection._receive(selection, {"kind": "set", "rid": rid, "v": 1, "traits": traits}, [])


def test_views_that_share_a_selection_follow_each_other(pair):
    first, second = pair
    first.selected_image = "three"
    first.selected_class = 2
    assert (second.selected_image, second.selected_class) == ("three", 2)
    second.selected_image = "two"
    second.selected_class = None
    assert (first.selected_image, first.selected_class) == ("two", None)
    assert first.selection is second.selection
    assert first.selection.as_dict() == {"class_id": None, "concepts": [], "images": ["two"], "layers": []}


def test_a_view_has_a_selection_of_its_own_by_default(model, images):
    first, second = (ww.AttributionView(model, images) for _ in range(2))
    assert first.selection is not second.selection
    first.selected_class = 1
    assert second.selected_class is None
    assert first.selection.images == ["one"]
    first.close()
    second.close()


def test_what_a_view_does_not_have_leaves_it_as_it_is(pair):
    first, second = pair
    first.selected_image = "one"
    assert second.selected_image == "two"
    assert first.selection.images == ["one"]
    first.selection.class_id = 77
    assert (first.selected_class, second.selected_class) == (None, None)
    second.selected_image = "three"
    assert first.selection.class_id == 77, "another change does not undo it"
    first.selection.images = ["nowhere", "two", "three"]
    assert (first.selected_image, second.selected_image) == ("two", "two")
    assert first.selection.images == ["nowhere", "two", "three"], "a view does not narrow what others selected"


def test_a_view_that_joins_takes_over_what_is_selected_unless_it_is_told(model, images):
    selection = ww.Selection(class_id=1, images=["two"], layers=["slope"])
    first = ww.AttributionView(model, images, selection=selection)
    assert (first.selected_image, first.selected_class, first.index) == ("two", 1, "slope")
    told = {"selected_image": "three", "selected_class": "class 2", "layers": ["error", "total"]}
    second = ww.AttributionView(model, images, selection=selection, **told)
    assert (first.selected_image, first.selected_class, first.layers) == ("three", 2, ["total", "error"])
    assert selection.layers == ["total", "error"]
    first.close()
    second.close()


def test_one_change_in_the_browser_is_one_message_back(pair, monkeypatch):
    first, second = pair
    with listening(monkeypatch, first.selection, first, second) as sent:
        from_browser(first.selection, rid="r7", class_id=2, images=["three"])
    assert (first.selected_class, second.selected_image) == (2, "three")
    ((widget, message),) = sent
    assert widget is first.selection
    assert message["method"] == "update"
    assert message["state"] == {"class_id": 2, "images": ["three"], "by": "user", "_stamp": "r7"}


def test_one_change_in_python_is_one_message(pair, monkeypatch):
    first, second = pair
    with listening(monkeypatch, first.selection, first, second) as sent:
        second.selected_class = 1
    assert [(w is first.selection, m["state"]) for w, m in sent] == [(True, {"class_id": 1})]
    sent.clear()
    first.selection.class_id = 1
    assert sent == [], "nothing changed"


def test_observers_can_tell_a_person_from_code(pair):
    first, _ = pair
    seen = []
    first.selection.observe(lambda change: seen.append((change.name, change.new, first.selection.by)), ["class_id"])
    from_browser(first.selection, class_id=1)
    first.selection.class_id = 2
    first.selected_class = "class 0"
    assert seen == [("class_id", 1, "user"), ("class_id", 2, "program"), ("class_id", 0, "program")]


def test_what_an_observer_changes_in_turn_is_codes_doing(pair):
    selection = pair[0].selection
    selection.observe(lambda change: setattr(selection, "layers", ["error"] * change.new), "class_id")
    from_browser(selection, class_id=1)
    assert (selection.layers, selection.by) == (["error"], "program")


def shown(*views):
    """What each view shows of its maps."""
    return [(view.index, view.layers) for view in views]


def test_layers_are_followed_both_ways(pair):
    first, second = pair
    selection = first.selection
    assert (shown(first, second), selection.layers) == ([("total", []), ("total", [])], []), "each has its own"
    first.index = "slope"
    assert (shown(second), selection.layers) == ([("slope", [])], ["slope"])
    second.layers = ["error", "total"]
    assert (shown(first), selection.layers) == ([("slope", ["total", "error"])], ["total", "error"])
    first.layers = []
    assert (shown(first, second), selection.layers) == ([("slope", []), ("slope", [])], ["slope"])
    selection.layers = ["error"]
    assert shown(first, second) == [("error", []), ("error", [])]
    selection.layers = ["slope", "total"]
    assert shown(first, second) == [("error", ["total", "slope"]), ("error", ["total", "slope"])]
    assert selection.layers == ["slope", "total"], "a view does not put in order what others selected"
    selection.layers = ["total"]
    assert shown(first, second) == [("total", []), ("total", [])]
    selection.layers = []
    assert shown(first, second) == [("total", []), ("total", [])], "nothing chosen leaves them as they are"


def test_layers_that_a_view_lacks_leave_it_as_it_is(model, images):
    selection = ww.Selection()
    with_first = ww.AttributionView(
        model, images, method=ww.Sobol(grid=2, rows=4, first_order=True), selection=selection, index="first"
    )
    without = ww.AttributionView(model, images, method=ww.Sobol(grid=2, rows=4), selection=selection)
    assert (shown(with_first, without), selection.layers) == ([("first", []), ("total", [])], ["first"])
    selection.layers = ["first", "slope"]
    assert shown(with_first, without) == [("first", ["first", "slope"]), ("slope", [])], "it shows those that it has"
    assert selection.layers == ["first", "slope"]
    without.index = "error"
    assert (shown(with_first), selection.layers) == ([("error", [])], ["error"])
    selection.layers = ["error", "first", "total", "total"]
    assert shown(with_first, without) == [("error", ["total", "first", "error"]), ("error", ["total", "error"])]
    with_first.close()
    without.close()


def test_layers_that_a_person_chooses_travel_once(pair, monkeypatch):
    first, second = pair
    seen = []
    first.selection.observe(lambda change: seen.append((change.new, first.selection.by)), "layers")
    with listening(monkeypatch, first.selection, first, second) as sent:
        from_browser(first.selection, rid="r1", layers=["total", "slope"])
        assert [(w is first.selection, m["state"]) for w, m in sent] == [
            (True, {"layers": ["total", "slope"], "by": "user", "_stamp": "r1"})
        ]
        from_browser(first.selection, rid="r2", layers=["slope"])
        assert shown(first, second) == [("slope", []), ("slope", [])]
        assert [w is first.selection for w, _ in sent] == [True, True]
        sent.clear()
        second.index = "error"
    assert [(w is first.selection, m["state"]) for w, m in sent] == [(True, {"layers": ["error"], "by": "program"})]
    assert seen == [(["total", "slope"], "user"), (["slope"], "user"), (["error"], "program")]


def test_what_is_to_be_shown_alone_later_is_told_by_the_view(pair, monkeypatch):
    first, second = pair
    first.layers = ["total", "error"]
    with listening(monkeypatch, first.selection, first, second) as sent:
        first.index = "slope"
    assert [(w is first, m["state"]) for w, m in sent] == [(True, {"index": "slope"})]
    assert first.selection.layers == ["total", "error"]
    first.layers = []
    assert shown(first, second) == [("slope", []), ("slope", [])]


def test_a_view_whose_host_finds_no_selection_sends_its_layers(pair):
    first, second = pair
    first._receive(first, {"kind": "alone", "rid": 1, "v": 1}, [])
    traits = {"index": "slope", "layers": []}
    first._receive(first, {"kind": "set", "rid": 2, "v": 1, "traits": {"layers": ["total", "error"]}}, [])
    assert (shown(second), first.selection.by) == ([("total", ["total", "error"])], "user")
    first._receive(first, {"kind": "set", "rid": 3, "v": 1, "traits": traits}, [])
    assert (shown(second), first.selection.layers, first.selection.by) == ([("slope", [])], ["slope"], "user")


def test_choosing_layers_computes_nothing(pair):
    first, second = pair
    first.start().wait(PATIENCE)
    first.selection.layers = ["slope", "error"]
    first.index = "slope"
    assert (first.job.state, second.job.state) == ("done", "idle")


def test_an_explained_class_is_selected_for_all_by_the_person_who_asked(pair):
    first, second = pair
    first._receive(first, {"kind": "explain", "image": "one", "query": "class 2", "rid": 1, "v": 1}, [])
    assert (second.selected_class, first.selection.by) == (2, "user")
    first._receive(first, {"kind": "explain", "image": "one", "query": 1, "select": False, "rid": 2, "v": 1}, [])
    assert second.selected_class == 2, "a class that is only read is not selected"


def test_choosing_a_photo_computes_it_in_every_view_that_is_shown(pair):
    first, second = pair
    first.start().wait(PATIENCE)
    from_browser(first.selection, images=["three"])
    assert first.job.wait(PATIENCE).rows == 4
    assert second.job.state == "idle", "it is not shown yet"
    second.start()
    from_browser(first.selection, images=["two"], rid="r2")
    assert second._jobs["two"].wait(PATIENCE).rows == 4


@pytest.mark.parametrize(
    ("traits", "kept"),
    [({"class_id": -1}, "class_id"), ({"images": {"cup": 1}}, "images"), ({"concepts": [1.5]}, "concepts")],
)
def test_what_cannot_be_selected_is_refused_and_answered(pair, monkeypatch, traits, kept):
    selection = pair[0].selection
    before = selection.as_dict()
    with listening(monkeypatch, selection) as sent:
        from_browser(selection, rid="r9", **traits)
    assert selection.as_dict() == before
    states = [message["state"] for _, message in sent]
    assert states[0] == {kept: before[kept]}
    assert states[-1]["_stamp"] == "r9"


@pytest.mark.parametrize(
    "content", [None, "set", {}, {"kind": "sing"}, {"kind": "set", "rid": 1, "traits": {"by": "x"}}]
)
def test_messages_that_are_not_understood_change_nothing(pair, content):
    before = pair[0].selection.as_dict()
    pair[0].selection._receive(pair[0].selection, content, [])
    assert pair[0].selection.as_dict() == before


def test_an_observer_that_fails_takes_nothing_else_with_it(pair, caplog):
    first, second = pair
    first.selection.observe(lambda _: 1 / 0, "class_id")
    from_browser(first.selection, class_id=1, images=["three"])
    assert second.selected_image == "three"
    assert first.selection._stamp == "r1"
    assert "An observer of 'class_id' failed" in caplog.text


@pytest.mark.parametrize(
    ("trait", "value", "message"),
    [
        ("class_id", "espresso", r"'class_id' trait .* expected an id, an integer from 0"),
        ("class_id", -1, "an integer from 0"),
        ("class_id", True, "an integer from 0"),
        ("class_id", 1.0, "an integer from 0"),
        ("concepts", [1, -2], "an integer from 0"),
        ("images", 3, "'images' trait"),
        ("layers", 3, "'layers' trait"),
        ("layers", ["totl"], r"any of \['total', 'first', 'slope', 'error'\]"),
        ("by", "user", "read-only"),
    ],
)
def test_bad_values_are_refused_and_lose_nothing(trait, value, message):
    selection = ww.Selection(class_id=5)
    with pytest.raises(traitlets.TraitError, match=message):
        setattr(selection, trait, value)
    assert selection.as_dict() == ww.Selection(class_id=5).as_dict()


def test_integers_of_numpy_are_integers():
    selection = ww.Selection(class_id=np.int64(3), concepts=(np.int32(1), 2))
    assert (selection.class_id, selection.concepts) == (3, [1, 2])
    assert type(selection.class_id) is int
    assert repr(selection) == "Selection(class_id=3, concepts=[1, 2])"
    selection.layers = "slope"
    assert selection.layers == ["slope"], "one need not be put into a list"


def test_unknown_options_and_other_objects_are_refused(model, images):
    with pytest.raises(TypeError, match=r"Selection: unknown option 'class'; wanted one of \['class_id'"):
        ww.Selection(**{"class": 1})
    with pytest.raises(TypeError, match=r"selection: wanted a whatwhere\.Selection or None, got dict"):
        ww.AttributionView(model, images, selection={"class_id": 1})


def test_a_host_that_finds_no_other_models_is_told_by_the_view(pair, monkeypatch):
    first, second = pair
    first.selected_class = 2
    with listening(monkeypatch, first) as sent:
        first._receive(first, {"kind": "alone", "rid": 1, "v": 1}, [])
        assert sent[0][1]["state"] == {"selected_image": "one", "selected_class": 2, "index": "total", "layers": []}
        second.selected_class = 1
        assert sent[-1][1]["state"] == {"selected_class": 1}
        first._receive(first, {"kind": "set", "rid": 2, "v": 1, "traits": {"selected_class": 0}}, [])
    assert (second.selected_class, first.selection.by) == (0, "user")


def test_state_that_the_browser_saves_by_itself_is_a_persons_doing(pair):
    pair[0].selection.set_state({"class_id": 2})
    assert (pair[1].selected_class, pair[0].selection.by) == (2, "user")


def test_two_threads_that_write_to_both_ends_do_not_wait_for_each_other(pair):
    first, second = pair

    def from_the_view():
        for place in range(300):
            first.selected_class = place % 3

    def from_the_selection():
        for place in range(300):
            first.selection.class_id = place % 2

    threads = [threading.Thread(target=work, daemon=True) for work in (from_the_view, from_the_selection)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert first.selected_class == second.selected_class == first.selection.class_id


def test_a_selection_of_its_own_closes_with_its_last_view(model, images):
    first = ww.AttributionView(model, images)
    own = first.selection
    second = ww.AttributionView(model, images, selection=own)
    first.close()
    assert own.comm is not None
    second.selected_class = 1
    second.close()
    assert own.comm is None
    given = ww.Selection()
    third = ww.AttributionView(model, images, selection=given)
    third.close()
    assert given.comm is not None
    given.close()


def test_a_view_that_is_closed_is_not_kept_by_the_selection(model, images):
    selection = ww.Selection()
    view = ww.AttributionView(model, images, selection=selection)
    gone = weakref.ref(view)
    view.close()
    del view
    gc.collect()
    assert gone() is None
    selection.class_id = 1


def test_a_page_holds_the_selection_once(pair, tmp_path):
    first, second = pair
    first.start().wait(PATIENCE)
    first.layers = ["total", "slope"]
    page = ww.to_html([first, second], tmp_path / "page.html").read_text(encoding="utf-8")
    state = json.loads(re.search(r'id="ww-state">(.*?)</script>', page, re.DOTALL).group(1))
    assert [view["state"]["_selection"] for view in state["views"]] == ["IPY_MODEL_model-0"] * 2
    assert list(state["models"]) == ["model-0"]
    assert state["models"]["model-0"]["state"]["images"] == ["one"]
    assert state["models"]["model-0"]["state"]["layers"] == ["total", "slope"]
    assert [view["state"]["layers"] for view in state["views"]] == [["total", "slope"]] * 2
    assert all(set(view["state"]["_missing"]) == {"first"} for view in state["views"])
    assert page.count('id="ww-esm-attribution"') == 1
    assert "<title>Where toy looks</title>" in page
    assert first.selection.model_id not in page


@pytest.mark.parametrize(("views", "error"), [([], ValueError), ([1], TypeError), ([ww.Selection()], TypeError)])
def test_a_page_of_nothing_is_refused(views, error, tmp_path):
    with pytest.raises(error, match="views: wanted"):
        ww.to_html(views, tmp_path / "page.html")
