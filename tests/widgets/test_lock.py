"""The lock of widgets that write to each other, and what threads that found it taken still have said."""

import threading

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.widgets._lock import WriteLock


class Speaker:
    """Something that says what is new under a lock, as views do."""

    _gone = False

    def __init__(self):
        self.said = []

    def _say_now(self, key):
        self.said.append(key)


def elsewhere(work):
    """Run something on another thread, to its end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_what_another_thread_could_not_say_is_said_at_the_end_of_the_hold():
    lock, speaker = WriteLock(), Speaker()
    with lock.held():
        elsewhere(lambda: lock.say(speaker, "news"))
        with lock.held():
            pass
        assert speaker.said == [], "what is being written was overtaken"
    assert speaker.said == ["news"]


def test_what_is_said_while_something_is_said_comes_after_it():
    lock, order = WriteLock(), []

    class Nested(Speaker):
        def _say_now(self, key):
            if key == "first":
                elsewhere(lambda: lock.say(self, "second"))
                with lock.held():
                    pass
            order.append(key)

    lock.say(Nested(), "first")
    assert order == ["first", "second"]


def test_what_was_left_is_said_in_the_order_in_which_it_was_last_told():
    """Who counts what another has taken in speaks after it."""
    lock, speaker = WriteLock(), Speaker()
    with lock.held():
        for key in ["count", *"abcdefghij", "count"]:
            elsewhere(lambda key=key: lock.say(speaker, key))
    assert speaker.said == [*"abcdefghij", "count"]


def test_who_has_gone_says_nothing_more():
    lock, speaker = WriteLock(), Speaker()
    with lock.held():
        elsewhere(lambda: lock.say(speaker, "news"))
        speaker._gone = True
    assert speaker.said == []


def test_an_exception_leaves_the_lock_free():
    lock, speaker = WriteLock(), Speaker()
    with pytest.raises(OSError, match="no disk"), lock.held(), lock.held():
        raise OSError("no disk")
    elsewhere(lambda: lock.say(speaker, "news"))
    assert speaker.said == ["news"]


def test_a_stop_is_not_overtaken_by_the_progress_that_was_read_before_it(toy, monkeypatch):
    """The job is stopped on another thread between reading its state and writing it."""
    model = toy(lambda x: x.mean((2, 3)))
    view = ww.AttributionView(model, np.ones((32, 32, 3), dtype=np.float32), method=ww.Sobol(grid=4, rows=4))
    publish_map, name = view._publish_map, view.selected_image

    def interrupted(*args, **options):
        if view.job.state == "queued":
            elsewhere(view.job.stop)
            view.write(_seq=view._seq + 1)
        publish_map(*args, **options)

    monkeypatch.setattr(view, "_publish_map", interrupted)
    monkeypatch.setattr("whatwhere.workers.Worker.submit", lambda *_: None)  # so that it stays queued
    view.start()
    assert (view.job.state, view._status[name]["state"]) == ("stopped", "empty")
    view.close()
