"""Where the time of an extraction goes: every second counted once, by what it was spent on."""

from __future__ import annotations

import contextlib
import functools
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What an extraction spends its time on. All but the network's share is self time.
SHARES = {
    "network": "network",
    "preparing": "preparing the layer",
    "tuning": "tuning",
    "hashing": "fingerprints",
    "entering": "entering the model",
    "reading": "reading photos",
    "cutting": "cutting crops",
    "keeping": "keeping features",
    "factorising": "factorising",
    "codes": "codes",
    "importance": "importance",
    "recording": "pictures and records",
    "rest": "the rest",
}
_WHOLE = {"preparing", "tuning"}  # the network's runs in there serve no image


class Clock:
    """Seconds by share, of the processor and by the wall; what a share calls of another is taken off it.

    A share within one of `_WHOLE` counts as a part of that.
    """

    def __init__(self, *readings: Callable[[], float]) -> None:
        self._readings = readings or (time.process_time, time.perf_counter)
        self._seconds: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(self._readings))
        self._stack = ["rest"]
        self._last = [read() for read in self._readings]

    @contextlib.contextmanager
    def on(self, share: str) -> Iterator[None]:
        """Count what a block takes as a share's."""
        self._charge()
        self._stack.append(self._stack[-1] if self._stack[-1] in _WHOLE else share)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def seconds(self, reading: int = 0) -> dict[str, float]:
        """Return the seconds of every share so far, of the processor (0) or by the wall (1)."""
        self._charge()
        return {share: self._seconds[share][reading] for share in SHARES}

    def _charge(self) -> None:
        now = [read() for read in self._readings]
        counts = self._seconds[self._stack[-1]]
        for k, (value, last) in enumerate(zip(now, self._last, strict=True)):
            counts[k] += value - last
        self._last = now


def self_time(seconds: dict[str, float], *, without: tuple[str, ...] = ()) -> float:
    """Return the time outside the network over the time inside it, some shares left out."""
    return sum(value for share, value in seconds.items() if share not in ("network", *without)) / seconds["network"]


@contextlib.contextmanager
def watched() -> Iterator[Clock]:
    """Count the time of everything that runs inside, by share; a few microseconds a call are added to it."""
    clock = Clock()
    with contextlib.ExitStack() as patches:
        for owner, name, share, kind in places():
            patches.enter_context(patch.object(owner, name, kind(getattr(owner, name), clock, share)))
        yield clock


def places() -> list[tuple[Any, str, str, Callable[..., Any]]]:
    """List what is watched: where it is, its name there, its share, and whether it is called, drained or entered."""
    import torch

    from whatwhere.concepts import _craft_run, _gathering, _record
    from whatwhere.concepts.evidence import Evidence
    from whatwhere.concepts.extractors import read_extractor
    from whatwhere.engine import encoder
    from whatwhere.engine.factors import Dictionary
    from whatwhere.model import VisionModel
    from whatwhere.nets.cut import Cut

    nmf = type(read_extractor("nmf", signed=False))
    return [
        (encoder, "output_until", "network", _called),
        (encoder, "output_beside", "network", _called),
        (Cut, "decode", "network", _called),
        (torch.autograd, "grad", "network", _called),
        (_gathering, "choose_layer", "preparing", _called),
        (_gathering, "Encoder", "preparing", _called),
        (_gathering.Tuner, "steps", "tuning", _drained),
        (VisionModel, "fingerprint", "hashing", _called),
        (VisionModel, "stamp", "hashing", _called),
        (VisionModel, "computing", "entering", _entered),
        (_gathering, "iterate_inputs", "reading", _drained),
        (VisionModel, "to_input", "reading", _called),
        (_gathering, "cut_out", "cutting", _called),
        (Evidence, "add", "keeping", _called),
        (Evidence, "settle", "keeping", _called),
        (nmf, "fit", "factorising", _drained),
        (nmf, "encode", "codes", _called),
        (Dictionary, "decode", "codes", _called),
        (_craft_run, "contributions", "importance", _called),
        (_craft_run, "shares", "importance", _called),
        (_record, "finished", "recording", _called),
        (_record, "strongest_crops", "recording", _called),
    ]


def _called(run: Callable[..., Any], clock: Clock, share: str) -> Callable[..., Any]:
    @functools.wraps(run)
    def timed(*arguments: Any, **options: Any) -> Any:
        with clock.on(share):
            return run(*arguments, **options)

    return timed


def _drained(make: Callable[..., Iterator[Any]], clock: Clock, share: str) -> Callable[..., Iterator[Any]]:
    """Count the steps of a generator, and not what is done between them."""

    @functools.wraps(make)
    def timed(*arguments: Any, **options: Any) -> Iterator[Any]:
        with clock.on(share):
            steps = iter(make(*arguments, **options))
        while True:
            with clock.on(share):
                try:
                    step = next(steps)
                except StopIteration:
                    return
            yield step

    return timed


def _entered(manager: Callable[..., Any], clock: Clock, share: str) -> Callable[..., Any]:
    """Count entering and leaving, and not the block."""

    @functools.wraps(manager)
    @contextlib.contextmanager
    def timed(*arguments: Any, **options: Any) -> Iterator[None]:
        with contextlib.ExitStack() as inside:
            with clock.on(share):
                inside.enter_context(manager(*arguments, **options))
            yield
            with clock.on(share):
                inside.close()

    return timed
