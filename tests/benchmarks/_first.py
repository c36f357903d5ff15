"""Time to the first map, as a view asks for it; and what switching the class or the score costs."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from _bench import Options, load, photos, say
from torch.nn.modules.module import register_module_forward_pre_hook

import whatwhere as ww
from whatwhere.engine.scores import SCORES

if TYPE_CHECKING:
    from whatwhere.attribution.record import Attribution
    from whatwhere.pixels.images import Photo

_USABLE = 4  # rows
_CLASSES = 10


def first(options: Options) -> dict[str, Any]:
    """Time two photos on a fresh model, the first of which tunes it, then switch on the last record."""
    model = load(options)
    table = []
    record = None
    for k, (name, photo) in enumerate(photos(2).items()):
        told = "first photo, tunes" if k == 0 else "second photo"
        figures, record = _one_map(model, photo, options)
        table.append({"photo": f"{name} ({told})", **figures})
        say(f"first: {name}: {figures['first_map']:.2f} s to the first map, {figures['last']:.1f} s to the last")
    assert record is not None
    return {"table": table, "plan": record.provenance.plan, "switch": _switches(record)}


def _one_map(model: ww.VisionModel, photo: Photo, options: Options) -> tuple[dict[str, Any], Attribution]:
    """Return seconds from the start of a job to its first record, the one of four rows, and the last."""
    method = ww.Sobol(grid=options.grid, rows=options.map_rows)
    job = method.submit(model, photo, preview=True)
    seen: dict[str, float] = {}

    def look(job: Any) -> None:
        now, record = time.perf_counter(), job.record
        if record is not None:
            seen.setdefault("first_map", now)
            if not record.preview and record.rows >= _USABLE:
                seen.setdefault("usable", now)

    job.watch(look)
    begin = time.perf_counter()
    job.start()
    record = job.wait()
    done = time.perf_counter()
    return {
        "first_map": seen["first_map"] - begin,
        "usable": seen["usable"] - begin,
        "last": done - begin,
        "forwards": record.n_forwards,
    }, record


def _switches(record: Attribution) -> dict[str, Any]:
    """Read the map of every likely class under every score, and count what runs of any module that takes."""
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    hook = register_module_forward_pre_hook(count)
    times = []
    try:
        for told in record.predictions(_CLASSES):
            for score in SCORES:
                begin = time.perf_counter()
                record.values(told.id, score=score)
                times.append(1000 * (time.perf_counter() - begin))
    finally:
        hook.remove()
    return {
        "switches": len(times),
        "forwards": calls,
        "median_ms": statistics.median(times),
        "worst_ms": max(times),
        "total_ms": sum(times),
    }
