"""Where a map's time outside the network goes: what a self time that is too long is made of."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from whatwhere.engine.forward import PixelBlend
from whatwhere.model import VisionModel
from whatwhere.pixels.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARES = ("entering", "unmasked", "blending", "hashing", "reading")


@contextlib.contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Add up the seconds of what the engine does around its masked forwards; a microsecond a call is added to it."""
    seconds: dict[str, float] = defaultdict(float)
    with contextlib.ExitStack() as patches:
        for owner, name, share in (
            (VisionModel, "logits", "unmasked"),
            (VisionModel, "fingerprint", "hashing"),
            (Preprocess, "pixels", "reading"),
            (PixelBlend, "__call__", "blending"),  # and the network within
        ):
            patches.enter_context(patch.object(owner, name, _timed(getattr(owner, name), seconds, share)))
        patches.enter_context(patch.object(VisionModel, "computing", _entered(VisionModel.computing, seconds)))
        yield seconds


def of_net(seconds: dict[str, float], whole: float, net_seconds: float) -> dict[str, float]:
    """Return each share of a call's `whole` seconds over those in the network; together they are its self time."""
    found = dict.fromkeys(SHARES, 0.0) | seconds
    found["blending"] -= net_seconds
    found["rest"] = whole - net_seconds - sum(found.values())
    return {f"share_{name}": value / net_seconds for name, value in found.items()}


def _timed(run: Any, seconds: dict[str, float], share: str) -> Any:
    def timed(*arguments: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        try:
            return run(*arguments, **options)
        finally:
            seconds[share] += time.perf_counter() - begin

    return timed


def _entered(computing: Any, seconds: dict[str, float]) -> Any:
    @contextlib.contextmanager
    def entered(*arguments: Any, **options: Any) -> Iterator[None]:
        outside = -time.perf_counter()
        with computing(*arguments, **options):
            outside += time.perf_counter()
            yield
            outside -= time.perf_counter()
        seconds["entering"] += outside + time.perf_counter()

    return entered
