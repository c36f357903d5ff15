"""Ten classes in one call against one class after the other: the whole extraction, and the factorisations alone."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import torch
from _bench import metered, say, spread
from _concepts_bench import ConceptOptions, class_folders, class_photos, gather, load, prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    import whatwhere as ww

_NO_PHOTOS = "Not measured: the shared photographs are not on this machine (set WHATWHERE_SHARED)."
_TOLERANCE = 1e-4  # as an extraction's
_CPU_GROUP = 2**25  # bytes of activations that an extraction factorises together on a CPU


def classes(options: ConceptOptions) -> dict[str, Any]:
    """Extract the concepts of ten classes each way, and factorise their features each way."""
    from whatwhere.concepts.craft import Craft

    images = {name: class_photos(name, options.class_photos) for name in class_folders()}
    if not images:
        return {"skipped": _NO_PHOTOS}
    model = load(options)
    of_class = {name: prepared(model, photos) for name, photos in images.items()}
    method = Craft(n_concepts=options.rank, fit_on="locations")
    table = [{"what": "extraction", "fit_on": "locations", **row} for row in _whole(model, method, of_class, options)]
    encoder = _encoder(model)
    features = [gather(encoder, photos, None) for photos in of_class.values()]
    for fit_on in ("locations", "both"):
        rows = [torch.cat(one.rows(fit_on)) for one in features]
        table += [{"what": "factorisation", "fit_on": fit_on, **row} for row in _fits(rows, options)]
    return {"table": table, "classes": len(images), "photos": sum(map(len, of_class.values()))}


def _encoder(model: ww.VisionModel) -> Any:
    from whatwhere.concepts.layer import choose_layer
    from whatwhere.engine.encoder import Encoder

    return Encoder(model, choose_layer(model))


def _whole(
    model: ww.VisionModel, method: ww.Craft, of_class: dict[str, dict[str, Any]], options: ConceptOptions
) -> list[dict[str, Any]]:
    """Explain the classes in one call; each by a run on all photos; each by a run on its folder."""
    everything = {f"{name}/{k}": photo for name, photos in of_class.items() for k, photo in photos.items()}
    banks = method.by_class.run(model, everything, progress=False)
    targets = [target for target in banks if banks[target].quality.n_images >= options.rank]
    folders = {int(name[:3]): photos for name, photos in of_class.items()}
    targets = [target for target in targets if target in folders]

    def alone(photos: Callable[[int], dict[str, Any]]) -> None:
        for target in targets:
            method.run(model, photos(target), target=target, progress=False)

    ways: dict[str, Callable[[], object]] = {
        "together": lambda: method.by_class.run(model, everything, targets, progress=False),
        "in turn, all photos": lambda: alone(lambda _: everything),
        "in turn, a folder each": lambda: alone(lambda target: folders[target]),
    }
    return [{"way": way, "classes": len(targets), **told} for way, told in _timed(ways, options).items()]


def _fits(rows: list[Tensor], options: ConceptOptions) -> list[dict[str, Any]]:
    """Factorise the features of the classes one after the other, in the groups of an extraction, and all at once."""
    from whatwhere.engine.nmf import hals
    from whatwhere.engine.nmf_batched import hals_batched

    of_a_class = max(a.numel() for a in rows) * 4
    group = min(len(rows), max(1, _CPU_GROUP // of_a_class)) if options.device == "cpu" else len(rows)
    found: dict[str, list[Any]] = {}

    def alone() -> None:
        found["alone"] = [deque(hals(a, options.rank, tolerance=_TOLERANCE), maxlen=1)[-1] for a in rows]

    def batched(size: int) -> None:
        found[str(size)] = [
            factors
            for first in range(0, len(rows), size)
            for factors in deque(
                hals_batched(rows[first : first + size], options.rank, tolerance=_TOLERANCE), maxlen=1
            )[-1]
        ]

    ways: dict[str, Callable[[], object]] = {"in turn": alone, f"{group} at a time": lambda: batched(group)}
    if group < len(rows):
        ways[f"{len(rows)} at a time"] = lambda: batched(len(rows))
    timed = _timed(ways, options)
    keys = dict(zip(ways, ["alone", str(group), str(len(rows))], strict=False))
    return [
        {
            "way": way,
            "classes": len(rows),
            "rows": sum(map(len, rows)),
            "iterations": sum(one.iteration for one in found[keys[way]]),
            "banks_apart": max(
                float((mine.bank - its.bank).abs().max())
                for mine, its in zip(found[keys[way]], found["alone"], strict=True)
            ),
            **told,
        }
        for way, told in timed.items()
    ]


def _timed(ways: dict[str, Callable[[], object]], options: ConceptOptions) -> dict[str, dict[str, Any]]:
    """Run each way in turn, round after round; ratios are to the first, within a round."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(options.rounds):
        for way, run in ways.items():
            with metered(options.device) as cost:
                run()
            seconds[way].append(cost.cpu if options.device == "cpu" else cost.wall)
            say(f"classes: round {turn + 1}, {way}: {seconds[way][-1]:.2f} s")
    first = next(iter(seconds.values()))
    return {
        way: {"seconds": spread(taken), "of_first": spread(a / b for a, b in zip(taken, first, strict=True))}
        for way, taken in seconds.items()
    }
