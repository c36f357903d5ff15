"""How many images a batch should hold where nobody waits, found on the work itself: no forward is spent on it.

Larger batches are faster or slower by what the allocator does with memory, which is the process's own business; a
script may take them, a view may not, since work is stopped between two batches only.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatwhere.model import VisionModel

_LARGEST = 16  # images: beyond it batches gained no more on the networks measured, and memory grows with them
_GAIN = 0.95  # a larger batch has to save a twentieth
_HOPELESS = 1.15  # of the best: one batch is enough to leave such a size
_TIMES = 2  # batches of a size; the fastest counts


@dataclass
class _Found:
    """What is known of a network as a plan runs it: the best size, and the least seconds an image of each tried."""

    best: int
    seconds: dict[int, list[float]] = field(default_factory=dict)
    settled: bool = False


_known: weakref.WeakKeyDictionary[VisionModel, dict[Any, _Found]] = weakref.WeakKeyDictionary()


class Pace:
    """The size of the next batch of a run.

    Parameters
    ----------
    model : VisionModel
        The network; its plan says where to begin, and stays as it is.
    steady : bool
        Whether to keep to the plan's batch size, as where somebody waits. So it is too where a person has set the plan,
        and on anything but a CPU, whose plans begin with large batches.

    Notes
    -----
    Seconds are the processor's, so that other programs do not count. What was found is kept while the process lives,
    for each model, plan and number of threads. Results do not depend on it but for rounding.
    """

    def __init__(self, model: VisionModel, *, steady: bool) -> None:
        self._model = model
        self._steady = steady or model.fixed or model.device.type != "cpu"
        self._begun = model.batch_size
        key = replace(model.plan, noise=0.0), torch.get_num_threads()
        self._found = _known.setdefault(model, {}).setdefault(key, _Found(model.batch_size))

    @property
    def size(self) -> int:
        """The best size known."""
        if self._steady or self._model.batch_size < self._begun:  # a batch did not fit into memory
            return self._model.batch_size
        return self._found.best

    def next(self, left: int) -> int:
        """Choose the size of the next batch.

        Parameters
        ----------
        left : int
            Images that are still to be run; a size is only tried where it can be filled.

        Returns
        -------
        int
            Images, at least 1; there may be fewer left.
        """
        trial = self._trial()
        return trial if trial is not None and trial <= left else self.size

    @contextlib.contextmanager
    def timing(self, count: int) -> Iterator[None]:
        """Measure a batch.

        Parameters
        ----------
        count : int
            Its images.

        Yields
        ------
        None
            Nothing; the block is to run the batch.
        """
        begin = time.process_time()
        yield
        if count == self._trial():
            self._note(count, (time.process_time() - begin) / count)

    def _trial(self) -> int | None:
        """Return the size that has to be measured next, if any."""
        found = self._found
        if self._steady or found.settled or self._model.batch_size < self._begun:
            return None
        if len(found.seconds.get(found.best, [])) < _TIMES:
            return found.best
        return found.best * 2 if found.best * 2 <= _LARGEST else None

    def _note(self, size: int, seconds: float) -> None:
        """Take a larger size once it has shown to be faster; leave it once it has shown not to be."""
        found = self._found
        best = min(found.seconds.get(found.best, [seconds]))
        times = found.seconds.setdefault(size, [])
        times.append(seconds)
        if size == found.best:
            return
        if min(times) < _GAIN * best:
            found.best = size
        elif len(times) == _TIMES or min(times) > _HOPELESS * best:
            found.settled = True
