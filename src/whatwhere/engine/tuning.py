"""Finding the fastest plan for a network on this machine, by measuring, within a budget of forwards.

First the settings (layout, folding, precision) at one batch size, then the batch size with the fastest settings.
Reduced precision is taken only if it is faster and its noise, against the variance of the score under masks, is too
small to see in a map.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from whatwhere.engine.forward import is_out_of_memory
from whatwhere.engine.masks import cell_index
from whatwhere.engine.sampling import nested_net
from whatwhere.nets.plans import Plan, Runner
from whatwhere.pixels.images import read_photo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import ImageLike, Pixels

#: Noise that reduced precision may add to an index: a twentieth of a cell's mean share on an 8 x 8 grid.
NOISE_LIMIT = 1e-3
_GAIN = 0.9  # another plan has to save a tenth: less may be the machine's mood
_REPEATS = 2
_GRID = (8, 8)
_PROBES = 16
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

    Attributes
    ----------
    n_forwards : int
        Forwards spent so far.
    seconds : dict of Plan to float
        Seconds an image of every plan that was measured.
    """

    def __init__(self, model: VisionModel, budget: int, image: Pixels | None = None) -> None:
        self.n_forwards = 0
        self.seconds: dict[Plan, float] = {}
        self._model, self._budget = model, budget
        if image is None:
            image = np.random.default_rng(0).random((*model.input_size, 3), dtype=np.float32)
        masks, _ = nested_net(_PROBES, _GRID[0] * _GRID[1], seed=0)
        cells = cell_index(image.shape[0], image.shape[1], _GRID)
        weights = masks.astype(np.float32)[:, cells][..., np.newaxis]
        mean = np.asarray(model.preprocess.mean, dtype=np.float32)
        self._images = weights * image + (1 - weights) * mean

    def steps(self) -> Iterator[Plan]:
        """Measure plan after plan; the model has the fastest one so far at every yield.

        Yields
        ------
        Plan
            The plan that was just measured.
        """
        model = self._model
        start = model.plan
        for plan in self._settings(start):
            if self._affords(plan):
                yield self._measure(plan)
        for step in (2, 0.5):
            while self._affords(larger := self._resized(step)) and larger not in self.seconds:
                yield self._measure(larger)
                if model.plan.batch_size != larger.batch_size:
                    break
        model.adopt(model.plan, final=True)

    def _settings(self, start: Plan) -> list[Plan]:
        plain = replace(start, precision="float32", noise=0.0)
        precisions = {"cpu": ["bfloat16"], "cuda": ["float16", "bfloat16"], "mps": ["float16"]}
        reduced = [replace(plain, precision=p) for p in precisions.get(self._model.device.type, [])]  # type: ignore[arg-type]
        layouts = [replace(plain, channels_last=not plain.channels_last)]
        return [plain, *layouts, *reduced]

    def _resized(self, factor: float) -> Plan:
        plan = self._model.plan
        largest = _LARGEST.get(self._model.device.type, plan.batch_size)
        return replace(plan, batch_size=min(max(int(plan.batch_size * factor), 1), largest))

    def _affords(self, plan: Plan) -> bool:
        return self.n_forwards + (_REPEATS + 1) * plan.batch_size + 1 <= self._budget

    def _measure(self, plan: Plan) -> Plan:
        """Time a plan, and adopt it if it is fast and exact enough."""
        model = self._model
        with model.computing():
            try:
                runner = Runner(model.net, plan, model.example(), model.output)
                batch = self._batch(plan)
                self._run(runner, batch)  # allocates, compiles, chooses algorithms
                seconds = min(self._time(runner, batch) for _ in range(_REPEATS)) / plan.batch_size
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                seconds = float("inf")
            self.n_forwards += (_REPEATS + 1) * plan.batch_size + 1
            if plan.precision != "float32" and seconds < self._best() * _GAIN:
                plan = replace(plan, noise=self._noise(runner))
        self.seconds[plan] = seconds
        best = self._best()
        if plan.noise <= NOISE_LIMIT and (seconds < best * _GAIN or model.plan not in self.seconds):
            model.adopt(plan)
        return plan

    def _best(self) -> float:
        return self.seconds.get(self._model.plan, float("inf"))

    def _batch(self, plan: Plan) -> Tensor:
        """Lay out a batch of masked noise."""
        which = np.arange(plan.batch_size) % _PROBES
        inputs = torch.cat([self._model.to_input(self._images[k]) for k in which])
        layout = torch.channels_last if plan.channels_last else torch.contiguous_format
        return inputs.contiguous(memory_format=layout)

    def _noise(self, runner: Runner) -> float:
        """Return the squared deviation from float32 over the variance under masks, for the likeliest class."""
        exact = Runner(
            self._model.net, replace(runner.plan, precision="float32"), self._model.example(), self._model.output
        )
        wanted, got = [], []
        for k in range(_PROBES):
            one = self._model.to_input(self._images[k])
            wanted.append(exact(one)[0])
            got.append(runner(one)[0])
        self.n_forwards += 2 * _PROBES
        truth = torch.stack(wanted).double()
        error = torch.stack(got).double() - truth
        top = truth.mean(0).topk(min(5, truth.shape[1])).indices
        noise = error[:, top].var(0) / truth[:, top].var(0).clamp_min(torch.finfo(torch.float64).tiny)
        return float(noise.max())

    def _time(self, runner: Runner, batch: Tensor) -> float:
        begin = time.perf_counter()
        self._run(runner, batch)
        return time.perf_counter() - begin

    def _run(self, runner: Runner, batch: Tensor) -> None:
        runner(batch)
        if batch.device.type == "cuda":
            torch.cuda.synchronize(batch.device)
        elif batch.device.type == "mps":
            torch.mps.synchronize()


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
    """
    least = (_REPEATS + 1) * model.batch_size + 1
    if forwards < least:
        raise ValueError(f"forwards: wanted at least {least} to measure one plan, got {forwards}.")
    pixels = None if image is None else model.preprocess.pixels(read_photo(image))
    for _ in Tuner(model, forwards, pixels).steps():
        pass
    return model.plan
