"""Crews: tasks side by side, all of them waited for, and nobody else's threads changed."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

import pytest
import torch

from whatwhere.nets import crew
from whatwhere.nets.crew import Crew, crew_of

pytestmark = pytest.mark.usefixtures("four_threads")


def threads_of_a_new_thread():
    found = []
    new = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    new.start()
    new.join()
    return found[0]


def test_tasks_meet_and_results_come_in_order():
    meeting = threading.Barrier(3, timeout=30)

    def task(k):
        meeting.wait()
        time.sleep(0.01 * (3 - k))
        return k, threading.get_ident(), torch.get_num_threads()

    found = Crew(3, 2)([lambda k=k: task(k) for k in range(3)])
    assert [k for k, *_ in found] == [0, 1, 2]
    assert len({ident for _, ident, _ in found} | {threading.get_ident()}) == 4
    assert {threads for *_, threads in found} == {2}


def test_there_is_one_crew_of_a_kind_and_more_tasks_than_threads_are_done_too():
    assert crew_of(2, 1, os.getpid()) is crew_of(2, 1, os.getpid())
    assert crew_of(2, 1, os.getpid()) is not crew_of(2, 2, os.getpid())
    assert crew_of(2, 1, os.getpid())([lambda k=k: k for k in range(7)]) == list(range(7))


def test_the_first_task_s_error_is_raised_once_all_have_ended():
    ended = []

    def fail(wait, kind):
        time.sleep(wait)
        ended.append(kind)
        raise kind("said")

    with pytest.raises(ValueError, match="said"):
        Crew(2, 1)([lambda: fail(0.05, ValueError), lambda: fail(0, KeyError)])
    assert ended == [KeyError, ValueError]


def test_an_impatient_caller_waits_all_the_same(monkeypatch):
    """A batch that is still read by a part must not be written to by whoever catches Ctrl-C."""
    ended, real = [], crew.queue.SimpleQueue

    class Impatient(real):
        def get(self, *options):
            if threading.current_thread() is threading.main_thread() and not ended:
                ended.append("interrupted")
                raise KeyboardInterrupt
            return super().get(*options)

    hands = Crew(2, 1)
    monkeypatch.setattr(crew.queue, "SimpleQueue", Impatient)
    with pytest.raises(KeyboardInterrupt):
        hands([lambda: time.sleep(0.05) or ended.append("one"), lambda: time.sleep(0.1) or ended.append("two")])
    assert ended == ["interrupted", "one", "two"]


def test_nobody_else_computes_by_fewer_threads():
    Crew(3, 1)([lambda: None] * 3)
    assert (torch.get_num_threads(), threads_of_a_new_thread()) == (4, 4)


def test_what_a_person_sets_for_the_process_stays():
    """Also where the caller has another number: a worker that began before."""
    found = []

    def worker():
        torch.get_num_threads()
        begun.set()
        changed.wait()
        found.append(torch.get_num_threads())
        Crew(2, 2)([lambda: None] * 2)

    begun, changed = threading.Event(), threading.Event()
    thread = threading.Thread(target=worker)
    thread.start()
    begun.wait()
    torch.set_num_threads(3)
    changed.set()
    thread.join()
    assert (found, torch.get_num_threads(), threads_of_a_new_thread()) == ([4], 3, 3)


def test_a_system_without_more_threads_leaves_nothing_behind(monkeypatch):
    before, start = threading.active_count(), threading.Thread.start
    left = [2]

    def few(thread):
        if thread.name == "whatwhere-crew" and not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= thread.name == "whatwhere-crew"
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", few)
    with pytest.raises(RuntimeError, match="can't start"):
        crew_of(4, 1, -1)
    end = time.monotonic() + 30
    while threading.active_count() > before:
        assert time.monotonic() < end, "the threads that began wait for ever"
        time.sleep(0.01)
    left[0] = 9
    assert crew_of(4, 1, -1)([lambda: 1]) == [1]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_idle_crew_keeps_nothing_alive(kind):
    class Held:
        pass

    def task(told):
        raise kind(f"said {told is None}")

    held = Held()
    gone = weakref.ref(held)
    with pytest.raises(kind):
        Crew(1, 1)([lambda held=held: task(held)])
    gc.collect()
    del held
    assert gone() is None


def test_a_thread_that_cannot_give_the_number_back_takes_none(monkeypatch, caplog):
    start = threading.Thread.start

    def few(thread):
        if thread.name != "whatwhere-crew":
            raise RuntimeError("can't start new thread")
        start(thread)

    caplog.set_level("INFO", logger="whatwhere.nets.crew")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", few)
        found = Crew(2, 1)([torch.get_num_threads] * 2)
    assert found == [4, 4]
    assert "can't start" in caplog.text
    assert threads_of_a_new_thread() == 4
