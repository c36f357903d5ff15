"""What the browser asks that takes a while: short jobs, each answered once."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whatwhere.jobs import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from whatwhere.jobs import Step

clicks = itertools.count(1)  # the latest of all views goes first


@dataclass(eq=False)
class Errand:
    """One job, and who waits for it.

    Parameters
    ----------
    job : Job
        The job.
    key : hashable
        What it is of: the same is not done twice at a time.
    rids : list
        Marks of the requests.
    finished : callable
        Called once with the errand, on whatever thread it came to rest.
    """

    job: Job[Any]
    key: Any
    rids: list[Any]
    finished: Callable[[Errand], None]
    settled: bool = field(default=False)


class Errands:
    """The short jobs of a view.

    Parameters
    ----------
    device : str
        Whose worker runs them.
    moved : callable
        Called whenever one got on.
    """

    def __init__(self, device: str, moved: Callable[[], None]) -> None:
        self._device, self._moved = device, moved
        self._running: dict[Hashable, Errand] = {}
        self._lock = threading.Lock()  # requests come on one thread, and jobs end on another

    @property
    def current(self) -> Job[Any] | None:
        """The job that was asked for last, of those under way."""
        return next((each.job for each in reversed(list(self._running.values())) if each.job.active), None)

    def run(
        self,
        key: Hashable,
        name: str,
        steps: Callable[[], Iterator[Step[Any]]],
        finished: Callable[[Errand], None],
        rid: Any = None,
    ) -> Job[Any]:
        """Start a job, or join the one of the same key.

        Parameters
        ----------
        key : hashable
            What it is of.
        name : str
            What messages call it.
        steps : callable
            Starts the computation.
        finished : callable
            Called once with the errand when it has come to rest.
        rid : object, optional
            Mark of the request.

        Returns
        -------
        Job
            The job.
        """
        with self._lock:
            errand = self._running.pop(key, None)  # and put back as the latest
            if errand is None or errand.settled:
                errand = self._make(key, name, steps, finished)
            self._running[key] = errand
            if rid is not None:
                errand.rids.append(rid)
        errand.job.start(priority=next(clicks))
        return errand.job

    def _make(
        self, key: Hashable, name: str, steps: Callable[[], Iterator[Step[Any]]], finished: Callable[[Errand], None]
    ) -> Errand:
        errand = Errand(Job(steps, device=self._device, name=name), key, [], finished)
        errand.job.watch(lambda _: self._on_step(errand))
        return errand

    def drop(self, key: Hashable) -> None:
        """Give up a job, if it is under way.

        Parameters
        ----------
        key : hashable
            What it is of.
        """
        with self._lock:
            errand = self._running.pop(key, None)
        if errand is not None:
            errand.job.discard()

    def drop_all(self) -> None:
        """Give up all jobs."""
        for key in list(self._running):
            self.drop(key)

    def _on_step(self, errand: Errand) -> None:
        if not errand.job.active and self._settle(errand):
            errand.finished(errand)
        self._moved()

    def _settle(self, errand: Errand) -> bool:
        """Close the list of those who wait; tell whether it was open."""
        with self._lock:
            was_open, errand.settled = not errand.settled, True
            if self._running.get(errand.key) is errand:
                del self._running[errand.key]
        return was_open
