"""Jobs: computations that run on a worker thread, can be watched, stopped and continued. Imports no torch.

A computation is a generator of `Step` objects. One worker thread per device runs the most urgent generator up to its
next yield, then chooses again: a click pre-empts background work, and a stop takes effect at the next yield.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from whatwhere.workers import worker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

logger = logging.getLogger(__name__)

RecordT = TypeVar("RecordT")
JobState = Literal["idle", "queued", "running", "done", "stopped", "failed"]

_WAIT_SLICE = 0.05  # seconds: the main thread wakes this often, so that Ctrl-C is delivered


@dataclass(frozen=True)
class Pace:
    """How far a computation of several stages is, where forward passes do not tell.

    Parameters
    ----------
    unit : str
        What `Step.done` and `Step.total` count, of the stage.
    bound : {"", "about", "at most"}
        What the total is: exact, an estimate, or a bound.
    seconds_left : float or None
        Seconds of computing still to do; None before there is a pace.
    whole : bool
        Whether these are of all stages that follow too, and not of this one alone.
    share : float
        Of all stages, from 0 to 1; it never falls.
    """

    unit: str
    bound: Literal["", "about", "at most"]
    seconds_left: float | None
    whole: bool
    share: float


@dataclass(frozen=True, eq=False)
class Step(Generic[RecordT]):
    """What a computation has reached when it yields.

    Parameters
    ----------
    done, total : int
        Work done and work in all, in forward passes, or in the units of `pace`.
    stage : str
        Name of what is being done, for example ``"preview"``.
    record : object or None
        The best result so far, valid to stop at; None before there is one.
    pace : Pace, optional
        How far it is, where forward passes do not tell.
    """

    done: int
    total: int
    stage: str
    record: RecordT | None
    pace: Pace | None = None


class Job(Generic[RecordT]):
    """A computation that can be started, watched, stopped, continued and waited for.

    Parameters
    ----------
    steps : callable returning an iterator of Step
        Starts the computation; called once, on the worker thread, when the job first runs.
    device : str, default "cpu"
        Which worker runs it: there is one per device.
    name : str, default "job"
        What messages call it.

    Attributes
    ----------
    state : {"idle", "queued", "running", "done", "stopped", "failed"}
        ``idle`` before `start`, ``stopped`` after `stop`, from where `start` continues.
    record : object or None
        The best result so far; a failed or stopped job keeps its last one.
    error : BaseException or None
        What a failed job raised.
    """

    def __init__(self, steps: Callable[[], Iterator[Step[RecordT]]], *, device: str = "cpu", name: str = "job") -> None:
        self.name = name
        self.state: JobState = "idle"
        self.error: BaseException | None = None
        self.step: Step[RecordT] | None = None
        self.record: RecordT | None = None
        self.priority = 0
        self._make_steps: Callable[[], Iterator[Step[RecordT]]] | None = steps
        self._steps: Iterator[Step[RecordT]] | None = None
        self._device = device
        self._seconds = 0.0
        self._stepping = False  # a chunk is being computed now
        self._discarded = False
        self._stopping = False  # and the job is to rest after it
        self._lock = threading.RLock()
        self._resting = threading.Event()
        self._resting.set()
        self._watchers: dict[int, Callable[[Job[RecordT]], None]] = {}
        self._keys = itertools.count()

    def __repr__(self) -> str:
        reached = f", {self.step.done} of {self.step.total}" if self.step else ""
        return f"<Job {self.name!r}: {self.state}{reached}>"

    @property
    def seconds(self) -> float:
        """Seconds of computing so far; waiting behind other jobs does not count."""
        return self._seconds

    @property
    def active(self) -> bool:
        """Whether it is queued or running."""
        return self.state in ("queued", "running")

    @property
    def seconds_left(self) -> float | None:
        """Seconds of computing still to do at the pace so far; None before there is one.

        Of a computation that tells its own pace these may be of one stage: see `Pace`.
        """
        if self.step is not None and self.step.pace is not None:
            return self.step.pace.seconds_left
        if self.step is None or not self.step.done or not self._seconds:
            return None
        return self._seconds / self.step.done * (self.step.total - self.step.done)

    def start(self, *, priority: int = 0) -> Job[RecordT]:
        """Queue the job, or move it in the queue; a stopped job goes on where it was.

        Parameters
        ----------
        priority : int, default 0
            The highest runs first; of equals, the one queued last.

        Returns
        -------
        Job
            Itself.

        Raises
        ------
        RuntimeError
            If it was discarded.

        Notes
        -----
        Starting a job that is done or has failed does nothing.
        """
        with self._lock:
            if self._discarded:
                raise RuntimeError(f"{self!r} was closed with its view; make a new one.")
            self.priority = priority
            self._stopping = False
            if self.state in ("idle", "stopped"):
                self.state = "queued"
                self._resting.clear()
            elif not self.active:
                return self
        worker(self._device).submit(self)
        return self

    def stop(self) -> None:
        """Ask the job to rest: at most the chunk that is being computed is finished, and its result kept."""
        with self._lock:
            if self._stepping:
                self._stopping = True
                return
            if self.state not in ("idle", "queued", "running"):
                return
            self._rest("stopped")
        self._notify()

    def discard(self) -> None:
        """Stop for good and give the memory back: the result and what was half done are dropped."""
        with self._lock:
            self._discarded = True
        self.stop()
        with self._lock:
            if not self._stepping:
                self._drop()

    def wait(self, timeout: float | None = None) -> RecordT:
        """Wait until the job is done, stopped or failed; start it if it is idle.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most; by default as long as it takes.

        Returns
        -------
        object
            The result: of a stopped job, the best so far.

        Raises
        ------
        TimeoutError
            If it is still busy after `timeout` seconds; it goes on.
        RuntimeError
            If it was stopped before it had a result.
        Exception
            Whatever made the job fail.

        Notes
        -----
        In a notebook this occupies the kernel: interrupting it stops the job. A Stop button is heard meanwhile only
        where messages have a shell of their own, as with ipykernel 7.4 in JupyterLab.
        """
        if self.state == "idle":
            self.start()
        end = None if timeout is None else time.monotonic() + timeout
        try:
            while not self._resting.wait(_WAIT_SLICE):
                if end is not None and time.monotonic() >= end:
                    raise TimeoutError(f"{self!r} is still busy after {timeout:g} s; it goes on.")
        except KeyboardInterrupt:
            self.stop()
            raise
        return self._result()

    def __await__(self) -> Generator[Any, None, RecordT]:
        """Wait in a coroutine, as `wait` does; the event loop stays free, and cancelling stops the job."""
        return self._wait_in_loop().__await__()

    async def _wait_in_loop(self) -> RecordT:
        try:
            return await asyncio.to_thread(self.wait)
        except (asyncio.CancelledError, KeyboardInterrupt):
            self.stop()
            raise

    def watch(self, callback: Callable[[Job[RecordT]], None]) -> Callable[[], None]:
        """Call a function on the worker thread after every step and when the job comes to rest.

        Parameters
        ----------
        callback : callable
            Called with the job. It should be quick; what it raises is logged.

        Returns
        -------
        callable
            Ends the watching.
        """
        key = next(self._keys)
        self._watchers[key] = callback

        def unwatch() -> None:
            self._watchers.pop(key, None)

        return unwatch

    def _result(self) -> RecordT:
        if self.error is not None:
            raise self.error
        if self._discarded:
            raise RuntimeError(f"{self!r} was closed with its view; make a new one.")
        if self.record is None:
            raise RuntimeError(
                f"{self!r} has no result yet: it was stopped before its first one. start() continues it."
            )
        return self.record

    def _advance(self) -> None:
        """Run up to the next yield; only the worker calls this."""
        with self._lock:
            if not self.active:
                return
            self.state, self._stepping = "running", True
        end: JobState | None = None
        begin = time.perf_counter()
        try:
            if self._steps is None and self._make_steps is not None:
                self._steps = self._make_steps()
            self.step = next(self._steps or iter(()))
            self.record = self.step.record if self.step.record is not None else self.record
        except StopIteration:
            end = "done"
        except (
            BaseException
        ) as error:  # whatever it is, the worker goes on: kept, shown by the view and raised by wait()
            self.error, end = error, "failed"
        with self._lock:
            self._seconds += time.perf_counter() - begin
            self._stepping = False
            if end is None and self._stopping:
                end = "stopped"
            if end is not None:
                self._rest(end)
        self._notify()

    def _rest(self, state: JobState) -> None:
        self.state, self._stopping = state, False
        if state in ("done", "failed"):
            self._steps = None
        if self._discarded:
            self._drop()
        self._resting.set()

    def _drop(self) -> None:
        self._steps = self._make_steps = self.record = self.step = None
        if self.error is not None:
            self.error = self.error.with_traceback(None)

    def _notify(self) -> None:
        for callback in list(self._watchers.values()):
            try:
                callback(self)
            except Exception:
                logger.exception("A watcher of %r failed", self)
