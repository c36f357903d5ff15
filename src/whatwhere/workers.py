"""Workers: one thread a device, which runs the most urgent job a step at a time. Imports no torch."""

from __future__ import annotations

import atexit
import heapq
import itertools
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whatwhere.jobs import Job

_EXIT_SECONDS = 10  # how long the end of the process waits for the chunks under way


class Worker:
    """One thread that runs jobs, the most urgent first, a step at a time.

    Parameters
    ----------
    name : str
        Name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: list[tuple[int, int, Job[Any]]] = []
        self._count = itertools.count()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False
        self._ending = False

    @property
    def idle(self) -> bool:
        """Whether nothing is queued and nothing runs."""
        with self._wake:
            return not self._busy and not any(job.active for _, _, job in self._queue)

    def submit(self, job: Job[Any]) -> None:
        """Queue a job at its priority.

        Parameters
        ----------
        job : Job
            The job; submitting it again moves it.
        """
        with self._wake:
            self._queue = [entry for entry in self._queue if entry[2] is not job]
            heapq.heapify(self._queue)
            heapq.heappush(self._queue, (-job.priority, -next(self._count), job))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._wake.notify()

    def end(self, timeout: float) -> None:
        """End the thread after the chunk under way: a process that exits inside torch would abort.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.
        """
        with self._wake:
            self._ending = True
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _run(self) -> None:
        job: Job[Any] | None = None
        while True:
            with self._wake:
                self._busy = False
                while not self._queue and not self._ending:
                    job = None  # an idle worker keeps nothing alive
                    self._wake.wait()
                if self._ending:
                    return
                job = self._queue[0][2]
                if not job.active:
                    heapq.heappop(self._queue)
                    continue
                self._busy = True
            job._advance()  # noqa: SLF001  # the two are one mechanism


_workers: dict[str, Worker] = {}
_device_locks: dict[str, threading.RLock] = {}
_registry_lock = threading.Lock()


def worker(device: str = "cpu") -> Worker:
    """Return the one worker of a device.

    Parameters
    ----------
    device : str, default "cpu"
        Device name, as ``str(torch.device)`` writes it.

    Returns
    -------
    Worker
        The same object at each call.
    """
    with _registry_lock:
        if device not in _workers:
            _workers[device] = Worker(f"whatwhere-{device}")
        return _workers[device]


def device_lock(device: str) -> threading.RLock:
    """Return the lock that every computation on a device takes for the length of one chunk.

    Parameters
    ----------
    device : str
        Device name, as ``str(torch.device)`` writes it.

    Returns
    -------
    threading.RLock
        The same object at each call.
    """
    with _registry_lock:
        return _device_locks.setdefault(device, threading.RLock())


def _end_all() -> None:
    for running in list(_workers.values()):
        running.end(_EXIT_SECONDS)


atexit.register(_end_all)
