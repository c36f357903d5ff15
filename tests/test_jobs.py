"""Jobs: run, watch, stop, continue, pre-empt, fail."""

import asyncio
import gc
import itertools
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from whatwhere.jobs import Job, Step, worker

PATIENCE = 10  # seconds


class Counter:
    """A computation whose every step waits for permission, so that tests need no sleeping."""

    def __init__(self, total=5, log=None, name="job"):
        self.total, self.log, self.name = total, log if log is not None else [], name
        self.permits = threading.Semaphore(0)
        self.steps = 0

    def __call__(self):
        for k in range(1, self.total + 1):
            assert self.permits.acquire(timeout=PATIENCE)
            self.steps += 1
            self.log.append(self.name)
            yield Step(k, self.total, "rows", k if k > 1 else None)

    def allow(self, count):
        self.permits.release(count)


@pytest.fixture
def device():
    return f"test-{next(_devices)}"


_devices = itertools.count()


def in_a_loop(coroutine):
    """Run a coroutine in a thread of its own: the browser tests leave a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result(PATIENCE)


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_a_job_runs_to_its_end(device):
    work = Counter(3)
    work.allow(3)
    job = Job(work, device=device)
    assert job.state == "idle"
    assert job.wait(PATIENCE) == 3
    assert job.state == "done"
    assert job.start() is job
    assert work.steps == 3
    assert job.seconds > 0
    assert job.seconds_left == 0


def test_watchers_hear_every_step_and_the_end(device):
    heard = []
    work = Counter(3)
    work.allow(3)
    job = Job(work, device=device)
    unwatch = job.watch(lambda j: heard.append((j.state, j.step.done)))
    job.wait(PATIENCE)
    until(lambda: len(heard) == 4)
    assert heard == [("running", 1), ("running", 2), ("running", 3), ("done", 3)]
    unwatch()


def test_a_failing_watcher_does_not_stop_the_job(device, caplog):
    work = Counter(2)
    work.allow(2)
    job = Job(work, device=device)
    job.watch(lambda _: 1 / 0)
    assert job.wait(PATIENCE) == 2
    assert "A watcher of" in caplog.text


def test_stop_lets_at_most_one_further_chunk_run(device):
    work = Counter(100)
    job = Job(work, device=device).start()
    work.allow(3)
    until(lambda: work.steps == 3)
    job.stop()
    work.allow(97)
    job.wait(PATIENCE)
    assert job.state == "stopped"
    reached = work.steps
    assert reached <= 4
    until(lambda: worker(device).idle)
    time.sleep(0.1)
    assert work.steps == reached


def test_a_stopped_job_goes_on_where_it_was(device):
    work = Counter(6)
    job = Job(work, device=device).start()
    work.allow(2)
    until(lambda: work.steps == 2)
    job.stop()
    work.allow(4)
    job.wait(PATIENCE)
    assert job.record in (2, 3)
    job.start()
    assert job.wait(PATIENCE) == 6
    assert work.steps == 6


def test_starting_again_at_once_takes_the_stop_back(device):
    work = Counter(4)
    job = Job(work, device=device).start()
    work.allow(1)
    until(lambda: work.steps == 1)
    job.stop()
    job.start()
    work.allow(3)
    assert job.wait(PATIENCE) == 4
    assert job.state == "done"


def test_whatever_a_computation_raises_the_worker_goes_on(device):
    def leaves():
        raise SystemExit(3)
        yield

    with pytest.raises(SystemExit):
        Job(leaves, device=device).wait(PATIENCE)
    work = Counter(2)
    work.allow(2)
    assert Job(work, device=device).wait(PATIENCE) == 2


def test_a_process_that_ends_during_a_job_ends_quietly():
    code = """
import time, torch
from whatwhere.jobs import Job, Step
def steps():
    x = torch.randn(900, 900)
    for k in range(10**6):
        x @ x
        yield Step(k, 10**6, "rows", k)
job = Job(steps).start()
while job.step is None:
    time.sleep(0.01)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_idle_worker_keeps_nothing_alive(device):
    class Result:
        pass

    def steps():
        yield Step(1, 1, "rows", Result())

    job = Job(steps, device=device)
    result = weakref.ref(job.wait(PATIENCE))
    until(lambda: worker(device).idle)
    del job
    gc.collect()
    until(lambda: result() is None)


def test_the_urgent_job_goes_first_and_the_other_goes_on_after(device):
    log = []
    slow, urgent = Counter(6, log, "slow"), Counter(2, log, "urgent")
    background = Job(slow, device=device).start(priority=0)
    slow.allow(1)
    until(lambda: log == ["slow"])
    click = Job(urgent, device=device).start(priority=1)
    urgent.allow(2)
    slow.allow(5)
    assert click.wait(PATIENCE) == 2
    assert background.wait(PATIENCE) == 6
    first = log.index("urgent")
    assert first <= 2
    assert log[first : first + 2] == ["urgent"] * 2


def test_a_job_that_waits_behind_another_stops_at_once(device):
    front, behind = Counter(2), Counter(2)
    first = Job(front, device=device).start(priority=1)
    second = Job(behind, device=device).start(priority=0)
    second.stop()
    assert second.state == "stopped"
    assert behind.steps == 0
    with pytest.raises(RuntimeError, match=r"no result yet: it was stopped before its first one\. start\(\) continues"):
        second.wait(PATIENCE)
    front.allow(2)
    assert first.wait(PATIENCE) == 2


def test_a_job_that_raises_keeps_its_last_record(device):
    def broken():
        yield Step(1, 3, "rows", "a map")
        raise MemoryError("out of memory on the device")

    job = Job(broken, device=device)
    with pytest.raises(MemoryError, match="out of memory"):
        job.wait(PATIENCE)
    assert job.state == "failed"
    assert job.record == "a map"
    assert isinstance(job.error, MemoryError)
    until(lambda: worker(device).idle)


def test_the_worker_survives_a_failure(device):
    def broken():
        raise ValueError("at once")
        yield

    with pytest.raises(ValueError, match="at once"):
        Job(broken, device=device).wait(PATIENCE)
    work = Counter(2)
    work.allow(2)
    assert Job(work, device=device).wait(PATIENCE) == 2


def test_wait_times_out_and_the_job_goes_on(device):
    work = Counter(2)
    job = Job(work, device=device)
    with pytest.raises(TimeoutError, match=r"still busy after 0\.1 s; it goes on"):
        job.wait(0.1)
    work.allow(2)
    assert job.wait(PATIENCE) == 2


def test_interrupting_wait_stops_the_job(device, monkeypatch):
    work = Counter(100)
    job = Job(work, device=device).start()

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(job._resting, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        job.wait()
    work.allow(100)
    until(lambda: job.state == "stopped")
    assert work.steps <= 1


def test_await(device):
    work = Counter(3)
    work.allow(3)

    async def main():
        return await Job(work, device=device).start()

    assert in_a_loop(main()) == 3


def test_cancelling_await_stops_the_job(device):
    work = Counter(100)
    job = Job(work, device=device)

    async def main():
        waiting = asyncio.ensure_future(job.start()._wait_in_loop())
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        work.allow(100)

    in_a_loop(main())
    until(lambda: job.state == "stopped")
    assert work.steps <= 1


def test_a_discarded_job_gives_its_result_back(device):
    work = Counter(3)
    work.allow(3)
    job = Job(work, device=device)
    job.wait(PATIENCE)
    job.discard()
    assert job.record is None
    with pytest.raises(RuntimeError, match="was closed with its view"):
        job.start()


def test_one_worker_a_device():
    assert worker("test-a") is worker("test-a")
    assert worker("test-a") is not worker("test-b")
