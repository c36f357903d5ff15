"""Whole images instead of crops: what it saves, and its price in errors, faithfulness and stability."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from _bench import metered, say, spread
from _concepts_bench import (
    CLASSES,
    FIT_ON,
    TENCH,
    ConceptOptions,
    class_photos,
    codes_of,
    gather,
    last_factors,
    load,
    prepared,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from _concepts_bench import Features
    from numpy.typing import NDArray
    from torch import Tensor

    import whatwhere as ww
    from whatwhere.engine.encoder import Encoder
    from whatwhere.engine.factors import Dictionary

_NO_PHOTOS = "Not measured: the shared photographs are not on this machine (set WHATWHERE_SHARED)."


def modes(options: ConceptOptions) -> dict[str, Any]:
    """Extract the concepts of tench in each mode."""
    from whatwhere.engine.encoder import Encoder

    images = class_photos(CLASSES[0], options.photos)
    if not images:
        return {"skipped": _NO_PHOTOS}
    model = load(options)
    photos = prepared(model, images)
    _run(model, dict(itertools.islice(photos.items(), options.rank * 2)), "locations", options)  # warm
    runs: dict[str, list[tuple[float, Any]]] = {fit_on: [] for fit_on in FIT_ON}
    for turn in range(options.rounds):
        for fit_on in FIT_ON:
            runs[fit_on].append(_run(model, photos, fit_on, options))
            say(f"modes: round {turn + 1}, {fit_on}: {runs[fit_on][-1][0]:.2f} s")
    features = gather(Encoder(model, runs["crops"][0][1].layer.name), photos, TENCH)
    table = []
    for fit_on in FIT_ON:
        bank = runs[fit_on][0][1]
        fits = stability(features, fit_on, options)
        of_crops = [mine / crops for (mine, _), (crops, _) in zip(runs[fit_on], runs["crops"], strict=True)]
        quality = bank.quality
        table.append(
            {
                "fit_on": fit_on,
                "photos": quality.n_images,
                "forwards": _forwards(quality, fit_on),
                "seconds": spread(seconds for seconds, _ in runs[fit_on]),
                "times_less": spread(1 / ratio for ratio in of_crops),
                "error_crops": _error(bank, features.pooled),
                "error_locations": quality.error_locations,
                "agreement": quality.agreement,
                "r2": quality.r2,
                **fits,
            }
        )
        say(f"modes: {fit_on}: halves {fits['halves']}, seeds {fits['seeds']}")
    crops = torch.from_numpy(runs["crops"][0][1].W.copy())
    for row in table:
        row["like_crops"] = _matched(torch.from_numpy(runs[row["fit_on"]][0][1].W.copy()), crops)
    return {"table": table, "plan": model.plan.describe()}


def _run(model: ww.VisionModel, photos: Any, fit_on: Any, options: ConceptOptions) -> tuple[float, Any]:
    from whatwhere.concepts.craft import Craft

    method = Craft(n_concepts=options.rank, fit_on=fit_on)
    with metered(options.device) as cost:
        bank = method.run(model, photos, target=TENCH, progress=False)
    return cost.cpu if options.device == "cpu" else cost.wall, bank


def _forwards(quality: Any, fit_on: str) -> int:
    return quality.n_images * (1 if fit_on == "locations" else 17) + quality.n_left_out


def _error(bank: Any, pooled: Tensor) -> float:
    """Return the relative error on the pooled crops, which the whole-image mode does not see."""
    from _concepts_bench import relative_error

    from whatwhere.engine.factors import Dictionary

    return relative_error(Dictionary(torch.from_numpy(bank.W.copy())), pooled.flatten(0, 1))


def stability(features: Features, fit_on: str, options: ConceptOptions) -> dict[str, Any]:
    """Return mean cosines of matched concepts: of two halves of the photos, several times, and of pairs of seeds."""
    generator = np.random.default_rng(0)
    halves, count = [], len(features.logits)
    for _ in range(options.resamples):
        order = torch.from_numpy(generator.permutation(count))
        banks = [
            last_factors(features.take(part).rows(fit_on), options.rank).bank
            for part in (order[: count // 2], order[count // 2 :])
        ]
        halves.append(_matched(*banks))
    fits = [last_factors(features.rows(fit_on), options.rank, seed=seed).bank for seed in range(options.resamples)]
    seeds = [_matched(a, b) for a, b in itertools.combinations(fits, 2)]
    return {"halves": spread(halves), "seeds": spread(seeds or [float("nan")])}


def _matched(first: Tensor, second: Tensor) -> float:
    from whatwhere.engine.matching import matched_cosines

    return float(matched_cosines(first, second).mean())


def importance(options: ConceptOptions) -> dict[str, Any]:
    """Time the importances of stored codes behind an affine head."""
    from whatwhere.engine.encoder import Encoder

    images = class_photos(CLASSES[0], options.weighed)
    if not images:
        return {"skipped": _NO_PHOTOS}
    model = load(options)
    encoder = Encoder(model, "features")
    features = gather(encoder, images, None, crops=False)
    dictionary = last_factors(features.rows("locations"), options.rank).dictionary
    rows = features.cells.flatten(0, 2)
    codes = codes_of(dictionary, rows).reshape(*features.cells.shape[:3], -1)
    run = functools.partial(weigh, encoder, dictionary, features, codes)
    return {"photos": len(codes), "rank": options.rank, "seconds": spread(_seconds(run, options))}


def weigh(encoder: Encoder, dictionary: Dictionary, features: Features, codes: Tensor) -> NDArray[np.float32]:
    """Return importances of stored codes: shares of the mean absolute contribution to each photo's own class."""
    from whatwhere.concepts.importance import contributions, shares

    model, found = encoder.model, []
    classes = features.logits.argmax(dim=1)
    for k in torch.arange(len(codes)).split(model.batch_size):
        parts = (part[k].to(model.device) for part in (features.cells, codes, classes))
        shared = contributions(encoder, dictionary, *parts, prefix=features.prefix[k].to(model.device))
        found.append(shared.concepts)
    return shares(torch.cat(found).cpu().numpy())[0]


def _seconds(run: Callable[[], Any], options: ConceptOptions) -> list[float]:
    run()
    found = []
    for _ in range(options.rounds):
        with metered(options.device) as cost:
            run()
        found.append(cost.cpu if options.device == "cpu" else cost.wall)
    return found
