"""At a layer behind which nothing is closed: which importances foretell what the logit loses without concepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import metered, say
from _concepts_bench import CLASSES, TENCH, ConceptOptions, class_photos, load, prepared

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAYER = "features.6"
METHODS = {
    "gradient_input": "gradient x input",
    "integrated_gradients": "integrated gradients",
    "occlusion": "occlusion",
    "sobol": "Sobol, total order",
}
MEASURES = ("fidelity", "deletion", "insertion")


def earlier(options: ConceptOptions) -> dict[str, Any]:
    """Extract concepts at an earlier layer, and hold importances against the network photo by photo."""
    from whatwhere.concepts.craft import Craft

    images = class_photos(CLASSES[0], options.earlier_fit)
    if not images:
        return {"skipped": "Not measured: the shared photographs are not on this machine (set WHATWHERE_SHARED)."}
    model = load(options)
    photos = prepared(model, images)
    with metered(options.device) as cost:
        bank = Craft(n_concepts=options.rank, layer=LAYER, fit_on="locations", importance="contribution").run(
            model, photos, target=TENCH, progress=False
        )
    say(f"earlier: bank of {LAYER} in {cost.cpu:.1f} s, agreement {bank.quality.agreement}")
    concepts = bank.on(model)
    found: dict[str, list[dict[str, float]]] = {method: [] for method in METHODS}
    for name in bank.images[: options.earlier_photos]:
        for method, measured in _measure(concepts.response(photos[name]), bank.rank, model.batch_size).items():
            found[method].append(measured)
        say(f"earlier: {name}")
    return {
        "layer": LAYER,
        "channels": bank.W.shape[1],
        "extractor": "semi-NMF" if not bank.layer.nonnegative else "NMF",
        "rank": bank.rank,
        "photos": bank.quality.n_images,
        "error": bank.quality.error,
        "agreement": bank.quality.agreement,
        "r2": bank.quality.r2,
        "gaps": float(np.abs(bank.gaps).mean()),
        "bank_seconds": cost.cpu if options.device == "cpu" else cost.wall,
        "table": [_summary(METHODS[method], rows) for method, rows in found.items()],
    }


def _measure(response: Any, rank: int, batch: int) -> dict[str, dict[str, float]]:
    """Attribute one photo's logit by each method, then measure all of them on the same subsets."""
    from whatwhere.engine.gates import attribute
    from whatwhere.metrics.concept_curves import concept_deletion, concept_insertion
    from whatwhere.metrics.concept_fidelity import concept_fidelity

    values, costs = [], []
    for method in METHODS:
        with metered("cpu") as cost:
            told = attribute(response, rank, method, batch=batch)
        values.append(told.values)
        costs.append((cost.cpu, told.n_evaluations))
    stacked = np.stack(values)
    measured = {
        "fidelity": concept_fidelity(response, stacked, batch=batch).pearson,
        "deletion": _share(concept_deletion(response, stacked, batch=batch)),
        "insertion": _share(concept_insertion(response, stacked, batch=batch)),
    }
    return {
        method: {"seconds": costs[k][0], "evaluations": costs[k][1]}
        | {name: float(column[k]) for name, column in measured.items()}
        for k, method in enumerate(METHODS)
    }


def _share(curve: Any) -> NDArray[np.float64]:
    """Return areas as shares of what all concepts change; NaN where they change nothing."""
    area = curve.normalised
    return np.full(len(METHODS), np.nan) if area is None else area


def _summary(title: str, rows: list[dict[str, float]]) -> dict[str, Any]:
    from whatwhere.metrics.intervals import mean_interval

    row: dict[str, Any] = {"method": title}
    row |= {name: float(np.mean([found[name] for found in rows])) for name in ("evaluations", "seconds")}
    for measure in MEASURES:
        told = mean_interval([found[measure] for found in rows])
        row[measure] = {"median": told.mean, "low": told.low, "high": told.high}
    return row
