"""Rows to a given rank correlation with a long Monte-Carlo reference: published points, ours, Monte-Carlo and RISE.

A map is compared with two references of independent seeds and the correlations are averaged. Monte-Carlo's maps are
prefixes of one reference, compared with the other. Seeds change from photo to photo, so that the interval over photos
covers the masks too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Options, load, photos, say
from _peers import rise, rise_map

import whatwhere as ww
from whatwhere.engine.ranking import spearman
from whatwhere.engine.sensitivity import total_order
from whatwhere.nets.plans import default_plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.pixels.images import Photo

_ROWS = (4, 8, 16, 32, 64, 128, 256, 512)
_LEVELS = (0.6, 0.7, 0.8)
_BATCH = {"cpu": 32}  # the cheapest on one thread where malloc keeps what is freed
_GPU_BATCH = 256
_SEEDS = 2  # of each sampler that has any
_PER_PHOTO = 1000  # seeds set aside for a photo
_RESAMPLED = 2000


def rows(options: Options) -> dict[str, Any]:
    """Return correlations by method, rows and photo, their means, and the rows that reach a level."""
    model = load(options)
    model.plan = replace(default_plan(model.net, model.device), batch_size=_BATCH.get(options.device, _GPU_BATCH))
    counts = [n for n in _ROWS if n <= options.most_rows]
    found: dict[str, dict[str, list[float]]] = {}
    shown = photos(options.photos)
    if len(shown) < options.photos:
        say(f"rows: only {len(shown)} photos are here; scikit-learn or the shared folder (WHATWHERE_SHARED) has more")
    for k, (name, photo) in enumerate(shown.items()):
        found[name] = _one_photo(model, photo, counts, _PER_PHOTO * (k + 1), options)
        ceiling = found[name]["references"][0]
        say(f"rows: photo {k + 1} of {len(shown)}, {name}: the two references agree by {ceiling:.2f}")
    methods = [name for name in next(iter(found.values())) if name not in ("references", "RISE, its halves")]
    references = np.array([by["references"][0] for by in found.values()])
    halves = np.array([by["RISE, its halves"][0] for by in found.values()])
    table = [_row(method, np.array([by[method] for by in found.values()]), counts) for method in methods]
    return {
        "photos": list(found),
        "columns": options.rows_grid**2 + 1,
        "rows": counts,
        "references": _interval(references),
        "best_possible": float(np.sqrt(np.clip(references, 0, 1)).mean()),
        "rise_halves": _interval(halves),
        "table": table,
        "by_photo": found,
    }


def _one_photo(
    model: ww.VisionModel, photo: Photo, counts: list[int], seed: int, options: Options
) -> dict[str, list[float]]:
    """Return every method's correlation with the references at every number of rows."""
    plain = ww.Sobol(grid=options.rows_grid, rows=options.most_rows)
    long = replace(plain, rows=max(options.reference_rows, options.most_rows), sampler="random")
    monte_carlo = [_scores(model, photo, replace(long, seed=seed + k)) for k in range(_SEEDS)]
    references = [total_order(scores[: options.reference_rows]) for scores in monte_carlo]

    def beside(scores: NDArray[np.float64], to: list[NDArray[np.float64]]) -> list[float]:
        maps = [total_order(scores[:n]) for n in counts]
        return [float(np.mean([spearman(one, other) for other in to])) for one in maps]

    out: dict[str, list[float]] = {"references": [float(spearman(*references))]}
    out["published points"] = beside(_scores(model, photo, replace(plain, sampler="published")), references)
    nested = [_scores(model, photo, replace(plain, seed=seed + k)) for k in range(_SEEDS)]
    out["nested nets (ours)"] = _mean(beside(scores, references) for scores in nested)
    pairs = zip(monte_carlo, reversed(references), strict=True)
    out["Monte-Carlo"] = _mean(beside(scores, [other]) for scores, other in pairs)
    y, m = rise(model, model.preprocess.pixels(photo), options.rows_grid, options.most_rows * _columns(options), seed)
    maps = [rise_map(y[: n * _columns(options)], m[: n * _columns(options)]) for n in counts]
    out["RISE, as many forwards"] = [float(np.mean([spearman(one, r) for r in references])) for one in maps]
    out["RISE, its halves"] = [float(spearman(rise_map(y[::2], m[::2]), rise_map(y[1::2], m[1::2])))]
    return out


def _columns(options: Options) -> int:
    return options.rows_grid**2 + 1


def _scores(model: ww.VisionModel, photo: Photo, method: ww.Sobol) -> NDArray[np.float64]:
    """Return the predicted class's logits over a design, (rows, cells + 1)."""
    return method.run(model, photo, progress=False).scores(score="logit")


def _mean(runs: Any) -> list[float]:
    return np.mean(list(runs), axis=0).tolist()


def _interval(values: NDArray[np.float64]) -> dict[str, Any]:
    """Return the mean over photos, and its 95 % interval by drawing photos anew."""
    drawn = np.random.default_rng(0).choice(values, (_RESAMPLED, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist() if len(values) > 1 else (None, None)
    return {"mean": float(values.mean()), "low": low, "high": high}


def _row(method: str, by_photo: NDArray[np.float64], counts: list[int]) -> dict[str, Any]:
    at = {str(n): _interval(by_photo[:, k]) for k, n in enumerate(counts)}
    means = by_photo.mean(axis=0)
    first = {f"{level}": next((n for n, r in zip(counts, means, strict=True) if r >= level), None) for level in _LEVELS}
    return {"method": method, "at": at, "first": first}
