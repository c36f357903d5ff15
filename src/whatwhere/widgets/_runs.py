"""The jobs of a view: every photo by every method."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from whatwhere.jobs import Job, Step
from whatwhere.widgets._errands import clicks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whatwhere.attribution import Attribution, Sobol
    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import Photo
    from whatwhere.widgets._methods import Shown


class Runs:
    """Photos, methods, and a job for each pair of them.

    Parameters
    ----------
    model : VisionModel
        The network.
    methods : dict of str to Shown
        Methods by name, at least one.
    photos : dict of str to Photo
        Photos by name.
    say : callable
        Called with a job's key whenever it got on, on the worker thread.

    Attributes
    ----------
    photos : dict of str to Photo
        Photos by name.
    jobs : dict of str to Job
        By key: a photo's name for the first method, and for the others the name with the method's place behind it.
    """

    def __init__(
        self, model: VisionModel, methods: dict[str, Shown], photos: dict[str, Photo], say: Callable[[str], None]
    ) -> None:
        self._model, self._say = model, say
        self._shown = list(methods.values())
        self.names = list(methods)
        self.photos: dict[str, Photo] = {}
        self.jobs: dict[str, Job[Attribution]] = {}
        self._method_of: dict[str, Sobol] = {}
        self._ended, self._ending = False, threading.Lock()  # the worker starts a job, and meanwhile all are discarded
        for name, photo in photos.items():
            self.add(name, photo)

    @property
    def methods(self) -> dict[str, Sobol]:
        """Methods by name."""
        return {name: each.method for name, each in zip(self.names, self._shown, strict=True)}

    def key(self, name: str, place: int) -> str:
        """Return what a photo's job is called on the wire.

        Parameters
        ----------
        name : str
            The photo's.
        place : int
            The method's.

        Returns
        -------
        str
            A key of `jobs`.
        """
        return f"{name}\0{place}" if place else name

    def keys(self, name: str) -> list[str]:
        """Return what a photo's jobs are called.

        Parameters
        ----------
        name : str
            The photo's.

        Returns
        -------
        list of str
            One a method, in order; none where there is no such photo.
        """
        return [self.key(name, place) for place in range(len(self._shown))] if name in self.jobs else []

    def rows_of(self, key: str) -> int:
        """Return how many rows a job's whole design has.

        Parameters
        ----------
        key : str
            The job's.

        Returns
        -------
        int
            Rows.
        """
        return self._method_of[key].rows

    def records(self) -> Iterator[tuple[str, Attribution]]:
        """Go through all records that there are.

        Yields
        ------
        key, record : str, Attribution
            The best of each job so far.
        """
        for key, job in self.jobs.items():
            if job.record is not None:
                yield key, job.record

    def add(self, name: str, photo: Photo) -> None:
        """Take in a photo.

        Parameters
        ----------
        name : str
            A name that no other has.
        photo : Photo
            The photo.
        """
        self.photos[name] = photo
        for place, shown in enumerate(self._shown):
            key = self.key(name, place)
            self._method_of[key] = shown.method
            self.jobs[key] = self._make(name, place)

    def start(self, name: str, *, first: int = 0) -> None:
        """Start a photo's jobs before all others, or continue them; those that have failed are made anew.

        Parameters
        ----------
        name : str
            The photo's.
        first : int, default 0
            Place of the method that goes first; the others follow in order.
        """
        keys = self.keys(name)
        for place, key in enumerate(keys):
            if self.jobs[key].state == "failed" and name in self.photos:
                self.jobs[key] = self._make(name, place)
        for key in [*reversed(keys), *keys[first : first + 1]]:
            self.jobs[key].start(priority=next(clicks))

    def start_behind(self, name: str) -> None:
        """Start a photo's jobs after all others.

        Parameters
        ----------
        name : str
            The photo's.
        """
        for key in reversed(self.keys(name)):
            self.jobs[key].start()

    def stop(self, name: str) -> None:
        """Stop a photo's jobs.

        Parameters
        ----------
        name : str
            The photo's.
        """
        for key in self.keys(name):
            self.jobs[key].stop()

    def discard(self) -> None:
        """Stop all for good, and give the memory back."""
        with self._ending:
            self._ended = True
        for job in self.jobs.values():
            job.discard()
        self.photos.clear()

    def _make(self, name: str, place: int) -> Job[Attribution]:
        shown, photo = self._shown[place], self.photos[name]
        made = shown.record_of(photo)
        if made is None:
            job = shown.method.submit(self._model, photo, preview=True)
        else:
            again = Step(made.n_forwards, made.n_forwards, "rows", made)
            job = Job(lambda: iter([again]), device=str(self._model.device))
            job.record = made
        job.name, key = name, self.key(name, place)
        job.watch(lambda job: self._on_step(job, name, key))
        return job

    def _on_step(self, job: Job[Attribution], name: str, key: str) -> None:
        """Tell of it; after its preview the photo's next method makes one, and then the first goes on."""
        if len(self._shown) > 1 and job.active and job.record is not None and job.record.preview:
            others = [self.jobs[each] for each in self.keys(name) if self.jobs[each].active]
            urgent = next((each for each in others if each.record is None), others[0] if others else job)
            with self._ending:
                if urgent is not job and not self._ended:
                    urgent.start(priority=next(clicks))
        self._say(key)
