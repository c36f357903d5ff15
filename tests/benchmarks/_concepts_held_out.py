"""Does a bank from one half of a class stand for the other half? Its layer is replaced there by what the bank says."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from _bench import say
from _concepts_bench import (
    CLASSES,
    FIT_ON,
    ConceptOptions,
    Features,
    class_photos,
    codes_of,
    gather,
    last_factors,
    load,
)


def held_out(options: ConceptOptions) -> dict[str, Any]:
    """Fit on each half and look at the other, so that each photo is held out once."""
    from whatwhere.engine.encoder import Encoder
    from whatwhere.metrics.fidelity import fidelity

    model = load(options)
    encoder = Encoder(model, "features")
    table = []
    for name in CLASSES:
        images = class_photos(name, options.held_out)
        if not images:
            return {"skipped": "Not measured: the shared photographs are not on this machine (set WHATWHERE_SHARED)."}
        target = int(name.split("_")[0])
        features = gather(encoder, images, target)
        say(f"held out: {name}: {len(features.logits)} of {len(images)} are predicted as the class")
        for rank in options.ranks:
            for fit_on in FIT_ON:
                logits = other_half(encoder, features, fit_on, rank)
                told = fidelity(features.logits.numpy(), logits.numpy(), target)
                low, high = told.agreement_interval
                agreement = {"median": told.agreement, "low": low, "high": high}
                table.append(
                    {
                        "class": name,
                        "rank": rank,
                        "fit_on": fit_on,
                        "photos": told.n,
                        "agreement": agreement,
                        "r2": told.r2,
                        "difference": told.target_difference,
                    }
                )
                say(f"held out: {name}, rank {rank}, {fit_on}: {told.agreement:.3f}, R2 {told.r2}")
    return {"table": table}


def other_half(encoder: Any, features: Features, fit_on: str, rank: int, *, seed: int = 0) -> torch.Tensor:
    """Return the logits of every photo, its layer rebuilt by the bank of the half that it is not in."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(features.logits)))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    logits = torch.empty_like(features.logits)
    for fitted, other in (halves, halves[::-1]):
        dictionary = last_factors(features.take(fitted).rows(fit_on), rank).dictionary
        for part in other.split(32):
            cells = features.cells[part]
            rebuilt = dictionary.decode(codes_of(dictionary, cells.flatten(0, 2))).reshape(cells.shape)
            with encoder.model.computing(refresh=False):
                logits[part] = encoder.decode(rebuilt, features.prefix[part])
    return logits
