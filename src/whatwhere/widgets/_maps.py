"""What an attribution looks like on the wire: numbers in 16 bits, and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.widgets._layers import missing, own_score, to_levels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whatwhere.attribution import Attribution

_TOP = 10


def encode_maps(record: Attribution, asked: Iterable[int]) -> tuple[dict[str, Any], bytes]:
    """Encode the maps of the ten most probable classes, and of those asked for.

    Parameters
    ----------
    record : Attribution
        The record.
    asked : iterable of int
        Ids of further classes.

    Returns
    -------
    meta : dict
        What ``_maps`` holds for an image (see ``wire.ts``).
    planes : bytes
        For each class its values, then its standard errors: little-endian uint16, as shares of ``max`` and ``se_max``.
    """
    top = [prediction.id for prediction in record.predictions(_TOP)]
    ids = sorted({*top, *asked}, key=lambda k: (-float(record.reference[k]), k))
    classes, planes = [], []
    for class_id in ids:
        if not record.keeps(class_id):
            continue  # dropped to save memory
        told = record.prediction(class_id)
        values, errors = record.values(class_id), record.standard_error(class_id)
        agreement = record.agreement(class_id)
        planes += [to_levels(values, float(values.max())), to_levels(errors, float(errors.max()))]
        classes.append(
            {
                "id": class_id,
                "name": told.name,
                "p": told.probability,
                "max": float(values.max()),
                "se_max": float(errors.max()),
                "flat": record.is_flat(class_id),
                "agreement": agreement,
                "top": class_id in top,
            }
        )
    meta = {
        "grid": list(record.grid),
        "rows": record.rows,
        "preview": record.preview,
        "unit": "of the variance",
        "classes": classes,
        "about": _about(record),
        "code": _code(record),
        "score": own_score(record.method),
        "missing": missing(record.method),
    }
    return meta, b"".join(planes)


_BASELINES = {
    "mean": "fade to the model's mean colour",
    "black": "fade to black",
    "white": "fade to white",
    "blur": "fade to a blur of the photo",
    "image": "fade to another image",
}


def _about(record: Attribution) -> list[list[str]]:
    made, method = record.provenance, record.method
    design = f"{record.rows} of {method.rows} rows x {record.store.shape[1]} masked images"
    seen = f"{record.geometry.size[0]} x {record.geometry.size[1]} pixels, the centre of the photo"
    masks = {"nested": "nested Owen-scrambled nets", "random": "random masks", "published": "unscrambled Sobol points"}
    score = method.score if isinstance(method.score, str) else getattr(method.score, "__name__", "a function")
    told = [
        ["Method", f"Sobol indices, total order (Jansen), {masks[method.sampler]}"],
        ["Grid", f"{method.shape[0]} x {method.shape[1]} cells" + _coarseness(record)],
        ["Design", design],
        ["Forwards", f"{record.n_forwards:,}, and {made.n_extra:,} for preview, prediction, tuning and padding"],
        ["Score", f"{score.replace('_', ' ')} of the class; every class from the same forwards"],
        ["Masked parts", _BASELINES[method.baseline.kind]],
        ["Network sees", seen],
        ["Uncertainty", "± 1.96 standard errors, delta method over the rows"],
        ["Seed", str(method.seed)],
        ["Time", f"{made.seconds:.1f} s on {made.device}, {made.net_seconds:.1f} s of it in the network"],
        ["Network runs in", made.plan],
        ["Model", f"{made.model}, weights {made.fingerprint}"],
        ["whatwhere", made.version],
    ]
    return told + [["Caution", caveat] for caveat in record.caveats()]


def _coarseness(record: Attribution) -> str:
    if record.preview and record.grid != record.method.shape:
        return ", shown in blocks of two by two"
    pruned = int(record.pruned.sum())
    return f", {pruned} of them shown by their block, which matters too little to split" if pruned else ""


def _code(record: Attribution) -> str:
    return f"a = ww.{record.method}.run({record.provenance.source or 'model'}, photo)"
