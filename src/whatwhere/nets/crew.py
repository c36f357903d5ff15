"""Crews: threads that compute side by side, each by its share of PyTorch's threads."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ResultT = TypeVar("ResultT")

logger = logging.getLogger(__name__)

_NAME = "whatwhere-crew"

_crews: dict[tuple[int, int, int], Crew] = {}
_lock = threading.Lock()
_settling = threading.Lock()


def crew_of(count: int, threads: int, process: int) -> Crew:
    """Return the one crew of its kind.

    Parameters
    ----------
    count : int
        Number of tasks at a time.
    threads : int
        PyTorch's threads for each.
    process : int
        Id of this process: a forked one has no threads but its own.

    Returns
    -------
    Crew
        The same object at each call.
    """
    with _lock:
        key = count, threads, process
        if key not in _crews:
            _crews[key] = Crew(count, threads)
        return _crews[key]


class Crew:
    """Threads that wait for tasks. They end with the process, which does not wait for them.

    Parameters
    ----------
    count : int
        How many.
    threads : int
        By how many of PyTorch's threads each computes.

    Raises
    ------
    RuntimeError
        If the system gives no more threads.
    """

    def __init__(self, count: int, threads: int) -> None:
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        settled = threading.Semaphore(0)
        begun = 0
        try:
            while begun < count:
                threading.Thread(target=self._work, args=(threads, settled), name=_NAME, daemon=True).start()
                begun += 1
        except BaseException:
            for _ in range(begun):
                self._tasks.put(None)
            raise
        finally:
            for _ in range(begun):
                settled.acquire()

    def __call__(self, tasks: Sequence[Callable[[], ResultT]]) -> list[ResultT]:
        """Do tasks, and wait for all of them.

        Parameters
        ----------
        tasks : sequence of callable
            What to do.

        Returns
        -------
        list
            What each returned, in their order.

        Raises
        ------
        BaseException
            Whatever the first of those that failed raised, once all have ended: they may read what is the caller's.
        """
        ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        results: list[Any] = [None] * len(tasks)
        errors: dict[int, BaseException] = {}
        for k in range(len(tasks)):
            self._tasks.put((k, tasks[k], results, errors, ended))
        self._await(ended, len(tasks))
        if not errors:
            return results
        error = errors[min(errors)]
        errors.clear()  # an error holds its frames, and this one would hold the error
        results.clear()
        try:
            raise error
        finally:
            del error

    @staticmethod
    def _await(ended: queue.SimpleQueue[None], count: int) -> None:
        """Wait for so many tasks, also when somebody is impatient."""
        for left in range(count, 0, -1):
            try:
                ended.get()
            except BaseException:  # Ctrl-C
                Crew._await(ended, left)
                raise

    def _work(self, threads: int, settled: threading.Semaphore) -> None:
        try:
            _settle(threads)
        except RuntimeError as error:  # the system gives no more threads: slower, with the same numbers
            logger.info("A stream computes by all threads: %s", error)
        finally:
            settled.release()
        while (told := self._tasks.get()) is not None:
            k, task, results, errors, ended = told
            try:
                results[k] = task()
            except BaseException as error:
                errors[k] = error
            del told, task, results, errors  # an idle thread keeps nothing alive
            ended.put(None)


def _settle(threads: int) -> None:
    """Have this thread compute by so many of PyTorch's threads, and leave the number of all others.

    PyTorch gives a thread its number when the thread first asks for it: that of the process, which the setter changes
    too. A thread that does nothing else gives it back; what asks for the first time in between has the lower number.
    """
    with _settling:
        whole, changed = torch.get_num_threads(), threading.Event()

        def give_back() -> None:
            changed.wait()
            torch.set_num_threads(whole)

        other = threading.Thread(target=give_back)
        other.start()
        try:
            torch.set_num_threads(threads)
        finally:
            changed.set()
            other.join()
