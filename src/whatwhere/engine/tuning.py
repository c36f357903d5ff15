"""Finding the fastest plan for a network on this machine, by measuring, within a budget of forwards.

First the settings (layout, streams, precision) at one batch size, then the batch size with the fastest settings.
Reduced precision is taken only if it is faster and its noise, against the variance of the score under masks, is too
small to see in a map. Work can be stopped between two batches only, so a long run's own tuning takes no batch that
lasts longer than a person waits without noticing; asked for by `tune`, the fastest is taken however long it lasts.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from whatwhere.engine.baseline import mean_colour
from whatwhere.engine.masks import cell_index
from whatwhere.engine.sampling import nested_net
from whatwhere.nets.memory import is_out_of_memory
from whatwhere.nets.plans import Plan, Runner
from whatwhere.nets.streams import default_streams
from whatwhere.pixels.images import read_photo

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from torch import Tensor

    from whatwhere.model import VisionModel
    from whatwhere.nets.plans import Precision
    from whatwhere.pixels.images import ImageLike, Pixels

logger = logging.getLogger(__name__)

#: Noise that reduced precision may add to an index: a sixteenth of a cell's mean share on an 8 x 8 grid.
NOISE_LIMIT = 1e-3
_GAIN = 0.9  # another plan has to save a tenth: less may be the machine's mood
_REPEATS = 2
_GRID = (8, 8)
_PROBES = 16
_CLASSES = 5
_SETUP = 4  # forwards that making a runner may take
_HOPELESS = 1e6  # of an index that goes to one
_LONGEST = 0.08  # seconds a batch may last where somebody waits
_LARGEST = {"cpu": 32, "cuda": 512, "mps": 128}


class Tuner:
    """Measures plans on masked images.

    Parameters
    ----------
    model : VisionModel
        The network; its plan is set at the end.
    budget : int
        Most forwards to spend.
    image : ndarray of shape (h, w, 3), float32, optional
        The image to measure on, prepared; noise by default. Times do not depend on it, the effect of precision does.
    responsive : bool, default True
        Whether a batch larger than the plan's own is only taken if it lasts 80 ms at most, so that a stop is not waited
        for.

    Attributes
    ----------
    n_forwards : int
        Forwards spent so far.
    seconds : dict of Plan to float
        Seconds an image of every plan that was measured.
    """

    def __init__(
        self, model: VisionModel, budget: int, image: Pixels | None = None, *, responsive: bool = True
    ) -> None:
        self.n_forwards = 0
        self.seconds: dict[Plan, float] = {}
        self._model, self._budget = model, budget
        if image is None:
            image = np.random.default_rng(0).random((*model.input_size, 3), dtype=np.float32)
        masks, _ = nested_net(_PROBES, _GRID[0] * _GRID[1], seed=0)
        cells = cell_index(image.shape[0], image.shape[1], _GRID)
        weights = masks.astype(np.float32)[:, cells][..., np.newaxis]
        self._images = weights * image + (1 - weights) * mean_colour(model)
        self._longest = _LONGEST if responsive else math.inf
        self._usual = model.plan.batch_size
        self._noises: dict[Plan, float] = {}  # by settings; they do not depend on the batch size
        self._mine = model.plan  # the last plan that was there, or set, as far as the tuner knows

    def steps(self) -> Iterator[Plan]:
        """Measure plan after plan; the model has the fastest one so far at every yield.

        Yields
        ------
        Plan
            The plan that was just measured.
        """
        for plan in self._settings(self._mine):
            if self._affords(plan):
                yield from self._measure(plan)
        start = self._mine.batch_size
        while self._affords(plan := self._sized(start * 2)) and plan not in self.seconds and self._is_short(plan):
            start = plan.batch_size  # on, even where one step gains nothing: allocators make speed uneven
            yield from self._measure(plan)
        while self._affords(plan := self._sized(self._mine.batch_size // 2)) and plan not in self.seconds:
            yield from self._measure(plan)
        self._model.adopt(self._mine, instead_of=self._mine, final=True)

    def check(self) -> Iterator[Plan]:
        """Measure what a remembered plan's precision does to these weights; keep it only if that is little.

        Yields
        ------
        Plan
            The plan, with its noise.
        """
        noise = yield from self._noise(self._mine)
        plan = replace(self._mine, noise=noise)
        if noise > NOISE_LIMIT:
            plan = replace(plan, precision="float32", noise=0.0)
        self._model.adopt(plan, instead_of=self._mine)

    def _is_short(self, plan: Plan) -> bool:
        """Tell whether a larger batch will not last too long, at the fastest plan's speed."""
        return plan.batch_size * self._best() <= self._longest

    def _settings(self, start: Plan) -> list[Plan]:
        plain = replace(start, precision="float32", noise=0.0)
        layouts = [plain, replace(plain, channels_last=not plain.channels_last)]
        offered = default_streams(self._model.device)
        if offered > 1 and self._model.aliased:
            layouts.append(replace(plain, streams=1 if plain.streams > 1 else offered))
        if self._model.precision != "float32":  # a network that is reduced already stays as it is
            return layouts
        precisions: dict[str, list[Precision]] = {
            "cpu": ["bfloat16"],
            "cuda": ["float16", "bfloat16"],
            "mps": ["float16"],
        }
        return layouts + [replace(plain, precision=p) for p in precisions.get(self._model.device.type, [])]

    def _sized(self, size: int) -> Plan:
        largest = _LARGEST.get(self._model.device.type, self._mine.batch_size)
        return replace(self._mine, batch_size=min(max(size, 1), largest))

    def _affords(self, plan: Plan) -> bool:
        needed = (_REPEATS + 1) * plan.batch_size + _SETUP
        if plan.precision != "float32" and _settings_of(plan) not in self._noises:
            needed += 2 * _PROBES
        return self._mine is self._model.plan and self.n_forwards + needed <= self._budget

    def _measure(self, plan: Plan) -> Iterator[Plan]:
        """Time a plan, and adopt it if it is fast and exact enough. A plan that fails is out of the race."""
        seconds = float("inf")
        try:
            for passed in self._times(plan):
                seconds = min(seconds, passed / plan.batch_size)
                yield plan
        except Exception as error:
            if not self.seconds and not is_out_of_memory(error):
                raise  # the plan that was there: it would fail the map itself
            logger.info("%s cannot be run in %s: %s", self._model.name, plan.describe(), error)
            seconds = float("inf")
        if plan.precision != "float32" and seconds < self._best() * _GAIN:
            if (settings := _settings_of(plan)) not in self._noises:
                self._noises[settings] = yield from self._noise(plan)
            plan = replace(plan, noise=self._noises[settings])
        known = self._mine in self.seconds
        self.seconds[plan] = seconds
        short = plan.batch_size <= self._usual or seconds * plan.batch_size <= self._longest
        better = seconds < self._best() * _GAIN and short and plan.noise <= NOISE_LIMIT
        if (better or not known) and self._model.adopt(plan, instead_of=self._mine):
            self._mine = plan

    def _best(self) -> float:
        return self.seconds.get(self._mine, float("inf"))

    def _times(self, plan: Plan) -> Iterator[float]:
        """Run batches, the first to allocate and to choose algorithms, and yield how long each other one took."""
        model = self._model
        with model.computing(refresh=False):
            runner = Runner(model.net, plan, model.example(), model.output)
            self.n_forwards += runner.n_probes
            batch = self._batch(plan)
            self._time(runner, batch)
        for _ in range(_REPEATS):
            with model.computing(refresh=False):
                passed = self._time(runner, batch)
            yield passed

    def _batch(self, plan: Plan) -> Tensor:
        """Lay out a batch of masked noise."""
        which = np.arange(plan.batch_size) % _PROBES
        inputs = torch.cat([self._model.to_input(self._images[k]) for k in which])
        layout = torch.channels_last if plan.channels_last else torch.contiguous_format
        return inputs.contiguous(memory_format=layout)

    def _noise(self, plan: Plan) -> Generator[Plan, None, float]:
        """Return the squared deviation from float32 over the variance under masks, at worst among likely classes."""
        model = self._model
        with model.computing(refresh=False):
            runner = Runner(model.net, replace(plan, compiled=False), model.example(), model.output)
            exact = Runner(model.net, replace(plan, precision="float32", compiled=False), model.example(), model.output)
        self.n_forwards += runner.n_probes + exact.n_probes
        wanted, got = [], []
        for image in self._images:
            with model.computing(refresh=False):
                wanted.append(exact(model.to_input(image))[0].cpu())
                got.append(runner(model.to_input(image))[0].cpu())
            self.n_forwards += 2
            yield plan
        truth = torch.stack(wanted).double()
        error = torch.stack(got).double() - truth
        top = truth.mean(0).topk(min(_CLASSES, truth.shape[1])).indices
        noise = error[:, top].var(0) / truth[:, top].var(0).clamp_min(torch.finfo(torch.float64).tiny)
        return float(noise.max().clamp(max=_HOPELESS)) if torch.isfinite(noise).all() else _HOPELESS

    def _time(self, runner: Runner, batch: Tensor) -> float:
        begin = time.perf_counter()
        runner(batch.clone())
        if batch.device.type == "cuda":
            torch.cuda.synchronize(batch.device)
        elif batch.device.type == "mps":
            torch.mps.synchronize()
        self.n_forwards += len(batch)
        return time.perf_counter() - begin


def _settings_of(plan: Plan) -> Plan:
    return replace(plan, batch_size=1, noise=0.0)


def tune(model: VisionModel, image: ImageLike | None = None, *, forwards: int = 500) -> Plan:
    """Find the fastest plan for a network on this machine now, in place of during its first long run.

    Parameters
    ----------
    model : VisionModel
        The network; its plan is set, and remembered for this kind of network on this machine.
    image : image, optional
        An image as it will be explained; noise by default. It decides whether reduced precision is exact enough.
    forwards : int, default 500
        Most forwards to spend.

    Returns
    -------
    Plan
        The model's plan.

    Raises
    ------
    ValueError
        If `forwards` is too small to measure even one plan.

    Notes
    -----
    Throughput alone decides. A long run that tunes itself takes only batches of at most 80 ms, or on a CPU one and a
    half passes of one image where that is more, so that it can be stopped at once; here a batch may last longer.
    """
    least = (_REPEATS + 1) * model.batch_size + _SETUP
    if forwards < least:
        raise ValueError(f"forwards: wanted at least {least} to measure one plan, got {forwards}.")
    pixels = None if image is None else model.preprocess.pixels(read_photo(image))
    model.fingerprint()
    for _ in Tuner(model, forwards, pixels, responsive=False).steps():
        pass
    return model.plan


def precision_noise(model: VisionModel, plan: Plan, image: ImageLike | None = None) -> float:
    """Measure what a plan's reduced precision adds to an index.

    Parameters
    ----------
    model : VisionModel
        The network.
    plan : Plan
        The plan; it is not set.
    image : image, optional
        An image as it will be explained; noise by default.

    Returns
    -------
    float
        Squared deviation of the score from float32 over its variance under masks, at worst among the five likeliest
        classes. Tuning takes a plan only if it is at most `NOISE_LIMIT`.

    Notes
    -----
    Cost: 32 forwards.
    """
    pixels = None if image is None else model.preprocess.pixels(read_photo(image))
    found = []

    def measure() -> Iterator[Plan]:
        found.append((yield from Tuner(model, 0, pixels)._noise(plan)))  # noqa: SLF001  # of this module

    for _ in measure():
        pass
    return found[0]
