"""Threads of OpenMP: an idle thread keeps none, so that those of the worker need not sleep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from whatwhere import openmp

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in Linux' /proc")

BEGIN = """
import os, threading, torch
from whatwhere.jobs import Job, Step
from whatwhere.openmp import give_back_threads

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


def told(code: str, begin: str = BEGIN) -> list[str]:
    """Run code in a process of its own, where nobody has computed yet; what it printed."""
    run = subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True, check=True, timeout=120)
    words = run.stdout.split()
    if words[:1] == ["no"]:
        pytest.skip("PyTorch has another OpenMP runtime here, which does not count threads")
    return words


def test_a_thread_gives_back_its_own_and_makes_as_many_new_ones() -> None:
    code = """
before = count()
value = compute()
grown = count() - before
give_back_threads()
print(grown, settled(before), compute() == value, count() - before, torch.get_num_threads())
"""
    assert told(code) == ["1", "0", "True", "1", "2"]


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
    assert told(code, begin="") == ["False", "False"]


def test_a_runtime_is_not_overlooked_while_torch_is_being_imported() -> None:
    """Another thread may import it meanwhile: its name is known long before its libraries are."""
    code = """
import sys, types
from whatwhere import openmp
from whatwhere.openmp import give_back_threads
sys.modules["torch"] = types.ModuleType("torch")
early = give_back_threads()
del sys.modules["torch"]
import torch
late = give_back_threads()
openmp._pauses.cache_clear()
print(early, late) if give_back_threads() else print("no GNU runtime")
"""
    assert told(code, begin="") == ["False", "True"]


def test_a_forked_process_waits_for_no_thread_that_was_not_copied() -> None:
    code = """
import select
compute()
ours, theirs = os.pipe()
child = os.fork()
if not child:
    os.write(theirs, str(give_back_threads()).encode())
    os._exit(0)
if select.select([ours], [], [], 60)[0]:
    print(os.read(ours, 10).decode())
else:
    os.kill(child, 9)
os.waitpid(child, 0)
"""
    assert told(code) == ["False"]


def test_files_of_any_name_may_be_mapped() -> None:
    """Such as a memory-mapped array in a folder whose name is no UTF-8."""
    code = """
import mmap, os, tempfile, torch
from whatwhere.openmp import give_back_threads
with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(os.fsencode(folder), b"\\xff.bin"), "w+b") as file:
        file.write(b"x")
        file.flush()
        mapped = mmap.mmap(file.fileno(), 1)
        give_back_threads()
        mapped.close()
print("found")
"""
    assert told(code, begin="") == ["found"]


def test_what_cannot_be_looked_up_costs_no_job(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Unreadable(type(Path())):  # type: ignore[misc]  # the system's own
        def read_bytes(self) -> bytes:
            raise PermissionError("not for you")

    openmp._pauses.cache_clear()
    monkeypatch.setattr(openmp, "_MAPS", Unreadable("/proc/self/maps"))
    with caplog.at_level("INFO"):
        assert not openmp.give_back_threads()
    assert "not for you" in caplog.text
    openmp._pauses.cache_clear()
