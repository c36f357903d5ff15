"""What a bank of concepts is called on the wire: its numbers, and how it was made, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.concepts.palette import hue_of, letter_of
from whatwhere.widgets._planes import rounded

if TYPE_CHECKING:
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.widgets._concept_data import Facts

_PRESENT = 0.08  # of a photo's evidence: a concept that has as much is there


def describe_bank(bank: ConceptBank, facts: Facts) -> dict[str, Any]:
    """Say what the bank holds.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    facts : Facts
        What the network told.

    Returns
    -------
    dict
        ``_bank`` on the wire.
    """
    q, rank, known = bank.quality, bank.rank, bool(bank.contributions.size)
    size = np.abs(bank.contributions)
    there = (size >= _PRESENT * size.sum(axis=1, keepdims=True)) & (size > 0) if known else np.zeros((0, rank))
    means = [values.mean() for values in (bank.residuals, bank.bases, bank.logits)] if known else [math.nan] * 3
    residual, base, logit = rounded(means)
    nothing: list[float | None] = [None] * rank
    return {
        "ids": list(bank.ids),
        "letters": [letter_of(concept_id) for concept_id in bank.ids],
        "hues": [hue_of(concept_id) for concept_id in bank.ids],
        "importance": rounded(bank.importance),
        "importance_error": nothing if bank.importance_error is None else rounded(bank.importance_error),
        "contribution": nothing if bank.contribution is None else rounded(bank.contribution),
        "dead": [bank.ids[k] for k in q.dead],
        "method": bank.importance_method,
        "affine": bank.affine,
        "residual": residual,
        "base": base,
        "logit": logit,
        "mean_code": rounded(bank.codes.mean(axis=(0, 1, 2))) if len(bank.codes) else nothing,
        "present": there.sum(axis=0).astype(int).tolist(),
        "classes": [
            [{"name": bank.class_names.label(k), "value": rounded([value])[0]} for k, value in row]
            for row in facts.classes
        ],
        "quality": {
            "error": rounded([q.error])[0],
            "error_crops": q.error_crops,
            "error_locations": q.error_locations,
            "sparsity": q.sparsity,
            "agreement": q.agreement,
            "r2": q.r2,
            "n_images": q.n_images,
            "n_left_out": q.n_left_out,
        },
        "caveats": caveats_of(bank),
        "about": about(bank),
        "code": code_of(bank),
        "complete": bank.complete,
    }


def caveats_of(bank: ConceptBank) -> list[str]:
    """Say what a reader has to know, of the bank and of how it is drawn.

    Parameters
    ----------
    bank : ConceptBank
        The bank.

    Returns
    -------
    list of str
        Sentences.
    """
    below = bool((bank.codes < 0).any())
    return [*bank.caveats(), *(["Codes below 0 are drawn as if the concept were absent."] if below else [])]


_FITTED = {
    "crops": "mean features of crops",
    "locations": "features of every location",
    "both": "mean features of crops, and features of every location",
}


def about(bank: ConceptBank) -> list[list[str]]:
    """Say how a bank was made.

    Parameters
    ----------
    bank : ConceptBank
        The bank.

    Returns
    -------
    list of [str, str]
        Label and text.
    """
    made, q, method = bank.provenance, bank.quality, bank.method
    extractor = method.extractor if method.extractor is not None else _default_extractor(bank)
    _, h, w, _ = bank.codes.shape
    told = [
        ["Method", f"CRAFT: {bank.rank} concepts by {extractor}, of {_FITTED[method.fit_on]}"],
        ["Layer", f"{bank.layer.name}, {bank.W.shape[1]:,} features at {h} x {w} places"],
        ["Explains", bank.target_name],
        ["Photos", f"{q.n_images:,}, {q.n_rows:,} rows" + (f"; {q.n_left_out:,} left out" if q.n_left_out else "")],
        ["Importance", bank.importance_method],
        ["Contributions", _told_contributions(bank)],
        ["Relative error", _told_errors(bank)],
        ["Seed", str(method.seed)],
        ["Time", f"{made.seconds:.1f} s on {made.device}, {made.net_seconds:.1f} s of it in the network"],
        ["Network runs in", made.plan],
        ["Model", f"{made.model}, weights {made.fingerprint}"],
        ["whatwhere", made.version],
    ]
    if bank.refits:
        ranks = ", then ".join(map(str, bank.refits))
        told.insert(1, ["Fitted again", f"with {ranks} concepts, each time from those before"])
    if bank.parent is not None:
        told.insert(1, ["Part of", f"concept {letter_of(bank.parent[1])} of bank {bank.parent[0]}"])
    return told


def _default_extractor(bank: ConceptBank) -> str:
    return "semi-NMF" if bank.layer.nonnegative is False else "NMF"


def _told_contributions(bank: ConceptBank) -> str:
    if bank.contribution is None:
        return "not known yet"
    if bank.parent is not None:
        return "what the explained logit of the crops loses when a part is taken away"
    how = "exact, behind an affine head" if bank.affine else "integrated gradients from no features, 8 nodes"
    return f"to the explained logit, in logits; {how}"


def _told_errors(bank: ConceptBank) -> str:
    q = bank.quality
    parts = [f"{q.error:.3f}"]
    parts += [f"{v:.3f} on {what}" for v, what in ((q.error_crops, "crops"), (q.error_locations, "locations")) if v]
    return ", ".join(parts)


def code_of(bank: ConceptBank) -> str:
    """Write the Python lines that make the same.

    Parameters
    ----------
    bank : ConceptBank
        The bank.

    Returns
    -------
    str
        Lines of Python.
    """
    if bank.parent is not None:
        return f"parts = bank.on(model).split(bank.number_of({bank.parent[1]}))"
    source = bank.provenance.source or "model"
    target = "" if bank.target is None else f", target={bank.target_name!r}"
    again = "".join(f".on(model).refit({rank})" for rank in bank.refits)
    more = f"\nbank = bank{again}" if again else ""
    return (
        f"model = {source}\nbank = ww.{bank.method}.run(model, photos{target}){more}\nww.ConceptExplorer(bank, model)"
    )
