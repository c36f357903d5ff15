"""Figures of scale: memory and processor time of 1,000, 5,000 and 20,000 different images, and what the cache costs.

``python tests/benchmarks/scale.py`` runs EfficientNet-Lite0 on small images, each number of them in a process of its
own, and prints the tables for ``RESULTS.md``; ``--quick`` uses small numbers to see that all of it runs. Images are
crops of shared photos (``WHATWHERE_SHARED``) or of the package's examples, each its own place, size and brightness,
made when they are asked for. Times are those of the processor, which other work on the machine hardly moves.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Options, machine, photos, say, table
from _memory import _resident, _trim
from _processes import in_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    import whatwhere as ww

COUNTS, QUICK = (1000, 5000, 20_000), (60, 120)
_SIDE = 64  # pixels of the network's input
_PHOTOS = 40  # that are cropped
_BYTES = 2**25  # of activations in memory: what lies beyond is in a file


def images(count: int) -> Iterator[NDArray[np.uint8]]:
    """Make different images: crops of photos, of random place, size and brightness."""
    whole = [(photo.pixels * 255).astype(np.uint8) for photo in photos(_PHOTOS).values()]
    for k in range(count):
        lot = np.random.default_rng(k)
        photo = whole[k % len(whole)]
        side = int(lot.integers(_SIDE, min(photo.shape[:2]) // 2))
        top, left = (int(lot.integers(0, edge - side)) for edge in photo.shape[:2])
        crop = photo[top : top + side, left : left + side] * lot.uniform(0.6, 1.0)
        yield crop.astype(np.uint8)


def small_model() -> ww.VisionModel:
    """Return EfficientNet-Lite0 for images of 64 pixels."""
    import torch

    import whatwhere as ww

    torch.set_num_threads(1)
    known = ww.load_model("efficientnet_lite0", device="cpu")
    model = ww.VisionModel(
        known.source_net,
        input_size=_SIDE,
        mean=known.preprocess.mean,
        std=known.preprocess.std,
        class_names=list(known.class_names),
        device="cpu",
        name="EfficientNet-Lite0",
    )
    model.batch_size = 16  # kept to: nothing is measured under way
    return model


def predict(model: ww.VisionModel, count: int) -> Any:
    """Predict each image, and count the classes."""
    seen = np.zeros(len(model.class_names), dtype=np.int64)
    for image in images(count):
        seen[int(model.predict(image).argmax())] += 1
    return seen


def craft(model: ww.VisionModel, count: int) -> Any:
    """Extract ten concepts from all locations of all images."""
    import whatwhere as ww

    return ww.Craft(10, fit_on="locations").run(model, images(count), progress=False)


def strategies(model: ww.VisionModel, count: int) -> Any:
    """Make a graph of all images, with the concepts of some."""
    import whatwhere as ww

    return ww.Strategies(layout="pca").run(model, craft(model, 200), images(count), progress=False)


PARTS = {"predict": predict, "craft": craft, "strategies": strategies}


def measured(part: str, count: int, kept: str | None) -> dict[str, Any]:
    """Run one part; return processor seconds, and resident memory over what was there before."""
    import whatwhere as ww
    from whatwhere import limits

    limits.activation_bytes = _BYTES
    model = small_model()
    PARTS[part](model, 40)  # what is loaded once
    gc.collect()
    _trim()
    before = _resident("VmRSS")
    with ww.cache.use(kept, limit="8 GiB") if kept else nullcontext():
        begin = time.process_time()
        found = PARTS[part](model, count)
        seconds = time.process_time() - begin
        entries = dict(ww.cache.info().entries) if kept else {}
        size = ww.cache.info().bytes if kept else 0
    peak = _resident("VmHWM") - before
    gc.collect()
    _trim()
    held = _resident("VmRSS") - before
    del found
    return {
        "part": part,
        "images": count,
        "cpu_s": seconds,
        "cpu_ms": 1000 * seconds / count,
        "peak_mib": peak,
        "held_mib": held,
        "cache_mib": size / 2**20,
        "entries": entries,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS), help="parts to run")
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    parser.add_argument("--quick", action="store_true", help="small numbers, which mean nothing")
    parser.add_argument("--inner", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inner:
        print(json.dumps(measured(**json.loads(arguments.inner))))
        return
    counts = QUICK if arguments.quick else tuple(arguments.counts)
    print(f"## Scale\n\n{machine(Options())}. Images of {_SIDE} pixels.\n", flush=True)
    rows = []
    for part in arguments.only:
        for count in counts:
            say(f"{part}, {count:,} images")
            rows.append(in_process(__file__, {"part": part, "count": count, "kept": None}))
    names = {"cpu_s": "CPU s", "cpu_ms": "CPU ms an image", "peak_mib": "peak, MiB", "held_mib": "held after, MiB"}
    print(f"{table(('part', 'images', 'cpu_s', 'cpu_ms', 'peak_mib', 'held_mib'), rows, names)}\n", flush=True)
    told = []
    for part in ("craft", "strategies"):
        if part not in arguments.only:
            continue
        with tempfile.TemporaryDirectory() as kept:
            for state in ("filling the cache", "from the cache"):
                say(f"{part}, {state}")
                told.append(in_process(__file__, {"part": part, "count": counts[0], "kept": kept}) | {"state": state})
    names |= {"cache_mib": "cache, MiB"}
    print(table(("part", "state", "images", "cpu_s", "cpu_ms", "cache_mib"), told, names), flush=True)


if __name__ == "__main__":
    main()
