"""Making banks of what an extraction has reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.concept_crop import ConceptCrop
from whatwhere.concepts.quality import Quality
from whatwhere.engine._rows import wide
from whatwhere.engine.factors import duplicate_atoms
from whatwhere.provenance import Provenance

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.concepts._craft_run import CraftRun
    from whatwhere.concepts.crops import Box
    from whatwhere.concepts.evidence import Evidence

_CROPS = 10  # shown of a concept


def preview(run: CraftRun) -> ConceptBank:
    """Make a bank of a factorisation that has not converged, without codes of the photos.

    Parameters
    ----------
    run : CraftRun
        The extraction.

    Returns
    -------
    ConceptBank
        Importances are shares of the codes' mean; `contribution` is None.
    """
    factors = run.factors
    rank, count = len(factors.bank), len(run.evidence)
    mean = wide(factors.codes).abs().mean(dim=0).cpu().numpy()
    total = mean.sum()
    share = mean / total if total > 0 else np.full(rank, 1 / rank)
    h, w = run.evidence.grid
    return _bank(
        run,
        importance=share.astype(np.float32),
        importance_method="preview: share of the mean code, before anything was decoded",
        codes=np.zeros((0, h, w, rank), dtype=np.float32),
        contributions=np.zeros((0, rank), dtype=np.float32),
        ends=np.zeros((3, count), dtype=np.float32),
        crops=(),
        complete=False,
    )


def finished(
    run: CraftRun,
    *,
    importance: NDArray[np.float32],
    importance_error: NDArray[np.float32] | None,
    importance_method: str,
    complete: bool,
) -> ConceptBank:
    """Make a bank with codes and contributions, the most important concept first.

    Parameters
    ----------
    run : CraftRun
        The extraction.
    importance, importance_error : ndarray of shape (r,)
        Importances and their standard errors.
    importance_method : str
        What they are.
    complete : bool
        Whether nothing is left to do.

    Returns
    -------
    ConceptBank
        The record.
    """
    bank = _bank(
        run,
        importance=importance,
        importance_error=importance_error,
        importance_method=importance_method,
        codes=run.codes,
        contributions=run.contributions,
        ends=run.ends,
        crops=run.shown,
        complete=complete,
    )
    return bank.take(np.argsort(-importance, kind="stable"))


def _bank(
    run: CraftRun,
    *,
    importance: NDArray[np.float32],
    importance_method: str,
    codes: NDArray[np.float32],
    contributions: NDArray[np.float32],
    ends: NDArray[np.float32],
    crops: tuple[tuple[ConceptCrop, ...], ...],
    complete: bool,
    importance_error: NDArray[np.float32] | None = None,
) -> ConceptBank:
    evidence, dictionary = run.evidence, run.factors.dictionary
    predictions = np.array(evidence.predictions, dtype=np.int64)
    return ConceptBank(
        W=as_array(dictionary.bank),
        importance=importance,
        contribution=contributions.mean(axis=0) if len(contributions) else None,
        importance_method=importance_method,
        importance_error=importance_error,
        quality=_quality(run),
        ids=run.ids(run.factors),
        method=run.method,
        provenance=_provenance(run, complete=complete),
        target=run.target,
        layer=run.encoder.cut.info,
        affine=run.encoder.affine,
        class_names=run.model.class_names,
        images=tuple(evidence.photos.names),
        predictions=predictions,
        codes=codes.copy(),
        logits=run.own_logits().astype(np.float32),
        contributions=contributions.copy(),
        residuals=ends[0].copy(),
        bases=ends[1].copy(),
        gaps=ends[2].copy(),
        crops=crops,
        offset=None if dictionary.offset is None else as_array(dictionary.offset),
        encoder={name: as_array(values) for name, values in dictionary.encoder.items()},
        complete=complete,
        source=evidence.photos,
        unreadable=dict(evidence.unreadable),
    )


def strongest_crops(
    evidence: Evidence, codes: NDArray[np.float32], of_crops: NDArray[np.float32] | None
) -> tuple[tuple[ConceptCrop, ...], ...]:
    """Find the parts of the photos that show each concept most, one of a photo at most.

    Parameters
    ----------
    evidence : Evidence
        Photos and windows.
    codes : ndarray of shape (N, h, w, r)
        Codes of the locations.
    of_crops : ndarray of shape (N, crops, r) or None
        Codes of the crops; without them, the windows round the strongest locations are taken.

    Returns
    -------
    tuple of tuple of ConceptCrop
        For each concept, the strongest first; parts without it are left out.
    """
    count, rank = len(codes), codes.shape[-1]
    strength = (codes if of_crops is None else of_crops).reshape(count, -1, rank)
    shown = []
    for k in range(rank):
        best = strength[..., k].argmax(axis=1)
        value = strength[np.arange(count), best, k]
        order = np.argsort(-value, kind="stable")[:_CROPS]
        parts = []
        for n in order[value[order] > 0].tolist():
            box = evidence.windows[best[n]] if of_crops is not None else _window_at(evidence, int(best[n]))
            where = evidence.photos.geometries[n].to_photo(box)
            parts.append(ConceptCrop(n, where, float(value[n]), evidence.photos.picture(n, box)))
        shown.append(tuple(parts))
    return tuple(shown)


def _window_at(evidence: Evidence, cell: int) -> Box:
    """Return the window whose centre is nearest to a cell's."""
    rows, columns = evidence.grid
    height, width = evidence.photos.geometries[0].size
    y, x = (cell // columns + 0.5) * height / rows, (cell % columns + 0.5) * width / columns
    top, left, bottom, right = evidence.windows[0]
    t = round(min(max(y - (bottom - top) / 2, 0), height - (bottom - top)))
    l = round(min(max(x - (right - left) / 2, 0), width - (right - left)))  # noqa: E741
    return t, l, t + bottom - top, l + right - left


def _quality(run: CraftRun) -> Quality:
    fidelity = run.fidelity
    return Quality(
        error=run.factors.error,
        error_crops=run.errors.get("crops"),
        error_locations=run.errors.get("locations"),
        sparsity=float((run.codes == 0).mean()) if run.codes.size else None,
        dead=run.factors.dead,
        duplicates=tuple(duplicate_atoms(run.factors.dictionary.bank)),
        agreement=fidelity[0],
        r2=fidelity[1],
        n_images=len(run.evidence),
        n_rows=len(run.factors.codes),
        n_left_out=run.evidence.n_left_out,
        rank_reason="" if run.rank_path is None else run.rank_path.reason,
    )


def _provenance(run: CraftRun, *, complete: bool) -> Provenance:
    return Provenance.of(
        run.model,
        fingerprint=run.fingerprint,
        stamp=run.stamp,
        complete=complete,
        plan=run.gathering.plan,
        seconds=run.seconds,
        net_seconds=run.encoder.net_seconds,
        n_extra=run.gathering.extra,
        cached=run.evidence.n_cached,
    )


def as_array(values: Tensor) -> NDArray[np.float32]:
    """Copy a tensor to the host.

    Parameters
    ----------
    values : Tensor
        Numbers, on any device.

    Returns
    -------
    ndarray of the same shape, float32
        A copy of its own.
    """
    return values.detach().to("cpu", torch.float32).numpy().copy()
