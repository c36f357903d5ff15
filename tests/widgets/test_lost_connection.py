"""What a browser sends again after a lost connection is done once; `tests/browser/test_listening.py` cuts real ones."""

import contextlib
import time

import numpy as np
import pytest
import torch

import whatwhere as ww
from whatwhere.widgets._heard import _MOST, Heard


@pytest.fixture
def view(toy):
    model = toy(lambda x: torch.stack([x[:, 0].mean((1, 2)), x[:, 1, :16].mean((1, 2)), x.amax((1, 2, 3))], 1))
    photo = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    shown = ww.AttributionView(model, {"one": photo}, method=ww.Sobol(grid=2, rows=4))
    yield shown
    shown.close()


@contextlib.contextmanager
def listening(monkeypatch, widget):
    """Note what a widget sends to the browser."""
    sent = []
    monkeypatch.setattr(widget, "_send", lambda message, *_, **__: sent.append(message))
    yield sent
    monkeypatch.undo()


def say(widget, kind="set", **content):
    widget._receive(widget, {"kind": kind, "v": 1, **content}, [])


def answers(sent):
    return [(m["content"]["kind"], m["content"]["rid"]) for m in sent if m["method"] == "custom"]


def test_a_request_that_was_heard_is_only_answered(view, monkeypatch):
    seen = []
    view.observe(lambda change: seen.append(change.new), "scale")
    with listening(monkeypatch, view) as sent:
        say(view, rid="r1", traits={"scale": "shared"})
        view.scale = "image"  # by code, meanwhile
        say(view, rid="r1", traits={"scale": "shared"}, again=True)
        assert answers(sent) == [("applied", "r1"), ("applied", "r1")]
    assert seen == ["shared", "image"]


def test_a_request_that_was_lost_is_done(view, monkeypatch):
    with listening(monkeypatch, view) as sent:
        say(view, rid="r1", traits={"scale": "shared"}, again=True)
        assert answers(sent) == [("applied", "r1")]
    assert view.scale == "shared"


def test_a_request_whose_answer_is_under_way_is_not_begun_again(view, monkeypatch):
    begun = []
    monkeypatch.setattr(view, "_on_start", lambda content: begun.append(content["rid"]))
    with listening(monkeypatch, view) as sent:
        say(view, "start", rid="r1", image="one")
        say(view, "start", rid="r1", image="one", again=True)
        assert (begun, sent) == (["r1"], [])
        view.reply("applied", "r1")
        say(view, "start", rid="r1", image="one", again=True)
        assert (begun, answers(sent)) == (["r1"], [("applied", "r1")] * 2)


def test_what_is_answered_in_bytes_is_read_again(view, monkeypatch):
    view.start().wait(30)
    asked = {"rid": "r1", "image": "one", "class": 0, "index": "slope", "score": "logit"}
    with listening(monkeypatch, view) as sent:
        say(view, "layer", **asked)
        say(view, "layer", **asked, again=True)
        assert answers(sent) == [("layer", "r1")] * 2
        assert sent[0]["content"] == sent[1]["content"]


def test_a_choice_that_was_heard_is_only_stamped(view, monkeypatch):
    selection = view.selection
    seen = []
    selection.observe(lambda change: seen.append(change.new), "class_id")
    with listening(monkeypatch, selection) as sent:
        say(selection, rid="r1", traits={"class_id": 1})
        selection.class_id = 2  # by code, meanwhile
        sent.clear()
        say(selection, rid="r1", traits={"class_id": 1}, again=True)
        assert sent[-1]["state"] == {"_stamp": "r1"}
        say(selection, rid="r0", traits={"class_id": 0}, again=True)  # was lost
        assert sent[-1]["state"] == {"class_id": 0, "by": "user", "_stamp": "r0"}
    assert seen == [1, 2, 0]


def test_what_was_said_of_late_is_said_again_and_nothing_older(view, monkeypatch):
    now = [time.monotonic() + 60]
    monkeypatch.setattr("whatwhere.widgets._lock.time.monotonic", lambda: now[0])
    view.opacity = 0.5
    now[0] += 60
    with listening(monkeypatch, view) as sent:
        view.scale = "shared"
        view.threshold = 0.2
        sent.clear()
        now[0] += 10
        say(view, "back", rid="r1")
        assert {m["method"]: m.get("state") for m in sent}["update"] == {"scale": "shared", "threshold": 0.2}
        assert answers(sent) == [("welcome", "r1")]
        sent.clear()
        now[0] += 60
        say(view, "back", rid="r2")
        assert [m["method"] for m in sent] == ["custom"]


def test_a_selection_says_again_what_code_chose_of_late(monkeypatch):
    selection = ww.Selection()
    with listening(monkeypatch, selection) as sent:
        selection.class_id = 3
        say(selection, "back", rid="r1")
        assert [m["state"] for m in sent] == [{"class_id": 3}, {"class_id": 3}]
    selection.close()


def test_the_last_requests_are_remembered_and_no_others():
    heard = Heard()
    for n in range(_MOST + 1):
        assert heard.note({"rid": f"r{n}"})
    assert heard.note({"rid": "r0", "again": True}), "it was forgotten"
    assert not heard.note({"rid": f"r{_MOST}", "again": True})
    assert heard.note({"rid": f"r{_MOST}"}), "a mark that is not said to come again is a request of its own"
    assert all(heard.note({"rid": odd, "again": True}) for odd in (None, 3, ["r5"]))
    heard.answered({"kind": "applied", "rid": "never asked"}, heavy=False)
    assert heard.answer({"rid": "never asked"}) is None
