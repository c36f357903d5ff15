"""Threads of OpenMP: an idle thread keeps none, so that those of the worker need not sleep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in Linux' /proc")

BEGIN = """
import os, threading, torch
from whatwhere.jobs import Job, Step
from whatwhere.openmp import give_back_threads
from whatwhere.workers import worker

torch.set_num_threads(2)
if not give_back_threads():
    print("no GNU runtime")
    raise SystemExit
x = torch.randn(4_000_000)
count = lambda: len(os.listdir("/proc/self/task"))

def compute():
    return float(x.relu().sum())

def settled(wanted):  # a thread that has ended may be listed a moment longer
    for _ in range(500):
        if count() == wanted:
            break
        threading.Event().wait(0.01)
    return count() - wanted
"""


def told(code: str) -> list[str]:
    """Run code in a process of its own, where nobody has computed yet; what it printed."""
    run = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=True)
    words = run.stdout.split()
    if words[:1] == ["no"]:
        pytest.skip("PyTorch has another OpenMP runtime here, which does not count threads")
    return words


def test_a_thread_gives_back_its_own_and_makes_new_ones() -> None:
    code = """
before = count()
value = compute()
grown = count() - before
give_back_threads()
print(grown, settled(before), compute() == value, count() - before)
"""
    assert told(code) == ["1", "0", "True", "1"]


def test_threads_of_another_thread_stay() -> None:
    code = """
compute()
before = count()
other = threading.Thread(target=give_back_threads)
other.start()
other.join()
print(settled(before))
"""
    assert told(code) == ["0"]


def test_starting_a_job_leaves_the_cores_to_the_worker() -> None:
    code = """
before = count()
compute()
inside = []

def steps():
    inside.append(count())
    compute()
    inside.append(count())
    yield Step(1, 1, "rows", "record")

job = Job(steps)
job.start()
job.wait()
print(inside[0] - before, inside[1] - before)  # the worker; the worker and its own
while not worker().idle:
    pass
print(settled(before + 1))
"""
    assert told(code) == ["1", "2", "0"]


def test_a_job_that_starts_another_keeps_its_threads() -> None:
    code = """
seen = []

def steps():
    compute()
    seen.append(count())
    Job(lambda: iter(())).start(priority=-1)
    seen.append(count())
    yield Step(1, 1, "rows", "record")

Job(steps).wait()
print(seen[1] - seen[0])
"""
    assert told(code) == ["0"]


def test_nothing_happens_before_torch_is_there() -> None:
    code = "import sys; from whatwhere.openmp import give_back_threads as g; print(g(), 'torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]
