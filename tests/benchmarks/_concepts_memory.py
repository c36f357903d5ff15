"""Peak memory of an extraction over the bare forwards of the same crops; each figure from a fresh process."""

from __future__ import annotations

from typing import Any

import torch
from _concepts_bench import ConceptOptions, load, prepared, some_photos
from _memory import peak_of

WHO = ("bare", "crops", "locations", "both")
_TIMES = 3  # bare forwards: the peak does not grow after the first few


def memory(options: ConceptOptions, who: str) -> dict[str, Any]:
    """Return the peak of one thing over what was there before, in MiB, and how much of it are stored features."""
    from whatwhere.concepts.craft import Craft

    model = load(options)
    photos = prepared(model, some_photos(options.share_photos))
    method = Craft(n_concepts=min(options.rank, len(photos)), fit_on="crops" if who == "bare" else who)
    few = dict(list(photos.items())[: method.n_concepts])
    method.run(model, few, progress=False)  # what is made once is there before, in all cases
    if who == "bare":
        peak = peak_of(options.device, lambda: _bare(model))
    else:
        peak = peak_of(options.device, lambda: method.run(model, photos, progress=False))
    rows = len(photos) * {"bare": 0, "crops": 49 + 16, "locations": 49, "both": 49 + 16}[who]
    inputs = 0 if who == "bare" else len(photos) * 3 * 224 * 224
    return {"who": who, "photos": len(photos), "mib": peak, "stored_mib": (rows * 1280 * 4 + inputs) / 2**20}


def _bare(model: Any) -> None:
    batch = torch.randn((model.batch_size, *model.example().shape[1:]), device=model.device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    with model.computing():
        for _ in range(_TIMES):
            model.runner()(batch)
