"""Making banks of what a split has reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from whatwhere.concepts._record import as_array
from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.concept_crop import ConceptCrop
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.importance import shares
from whatwhere.concepts.quality import Quality
from whatwhere.engine.factors import duplicate_atoms
from whatwhere.provenance import Provenance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.concepts._split_run import SplitRun

_CROPS = 10  # shown of a part


class Shares(NamedTuple):
    """A number that the network computes of crops, and what parts of the features add to it; means over each photo.

    Attributes
    ----------
    whole : ndarray of shape (N,), float32
        The number.
    parts : ndarray of shape (N, r), float32
        How much it falls when a part is taken away.
    residual : ndarray of shape (N,), float32
        How much it falls when what no part explains is taken away.
    base : ndarray of shape (N,), float32
        The number when there are no features.
    gap : ndarray of shape (N,), float32
        What these leave of it, since parts interact.
    """

    whole: NDArray[np.float32]
    parts: NDArray[np.float32]
    residual: NDArray[np.float32]
    base: NDArray[np.float32]
    gap: NDArray[np.float32]

    @classmethod
    def of(cls, values: NDArray[np.float64], photos: NDArray[np.int64], count: int) -> Shares:
        """Read the responses to features as they are, without each part, without the residual, and without all.

        Parameters
        ----------
        values : ndarray of shape (r + 3, n), float64
            Responses of each crop.
        photos : ndarray of shape (n,), int64
            The photo that each crop lies on, 0 to `count` - 1; each has one at least.
        count : int
            Number of photos.

        Returns
        -------
        Shares
            Means over the crops of each photo.
        """
        crops = np.bincount(photos, minlength=count)
        mean = np.stack([np.bincount(photos, weights=row, minlength=count) / crops for row in values])
        whole, parts, residual, base = mean[0], mean[0] - mean[1:-2], mean[0] - mean[-2], mean[-1]
        gap = whole - base - parts.sum(axis=0) - residual
        return cls(*(x.astype(np.float32) for x in (whole, parts.T, residual, base, gap)))


def preview(run: SplitRun) -> ConceptBank:
    """Make a bank of parts whose effects are not known yet.

    Parameters
    ----------
    run : SplitRun
        The split.

    Returns
    -------
    ConceptBank
        Importances are shares of the crops' mean code; `contribution` is None.
    """
    size = np.abs(run.crop_codes.astype(np.float64)).mean(axis=0)
    importance = (size / size.sum()).astype(np.float32)
    said = "preview: share of the mean code on the crops, before any part was taken away"
    return _bank(run, importance=importance, importance_error=None, importance_method=said, shared=None, effects=None)


def finished(run: SplitRun) -> ConceptBank:
    """Make the bank of a split, the most important part first.

    Parameters
    ----------
    run : SplitRun
        The split.

    Returns
    -------
    ConceptBank
        The record.
    """
    effects = run.effects
    importance, error = shares(effects.parts)
    bank = _bank(
        run,
        importance=importance,
        importance_error=error,
        importance_method=_told(run),
        shared=run.shared,
        effects=effects.parts,
    )
    return bank.take(np.argsort(-importance, kind="stable"))


def _told(run: SplitRun) -> str:
    """Say what importances are, and what they leave unexplained."""
    bank, effects = run.bank, run.effects
    whole = float(effects.whole.mean())
    said = (
        f"share of the mean absolute effect on the code of concept {bank.ids[run.k]} at {bank.layer.name!r}: what is "
        f"lost when a part is taken out of {run.layer!r}, on {run.top.told}, averaged over each photo"
    )
    if whole > 0:
        parts, missed, base, gap = (
            round(100 * float(x.mean()) / whole)
            for x in (effects.parts.sum(axis=1), effects.residual, effects.base, effects.gap)
        )
        said += (
            f"; of the code, the parts together hold {parts}%, what they miss {missed}%, a layer of nothing "
            f"{base}%, and the rest, {gap}%, is how they interact"
        )
    asked = run.n_concepts - run.rank
    few = len(run.top.photos) < run.n_concepts * 10
    if asked:
        said += f"; {asked} fewer parts than asked for, since {'the crops are few' if few else 'no crop uses more'}"
    return f"{said}; contributions are effects on the logit of those crops"


def _bank(
    run: SplitRun,
    *,
    importance: NDArray[np.float32],
    importance_error: NDArray[np.float32] | None,
    importance_method: str,
    shared: Shares | None,
    effects: NDArray[np.float32] | None,
) -> ConceptBank:
    parent, count = run.bank, len(run.members)
    photos = run.photos.take(run.members.tolist())
    nothing = np.zeros(count, dtype=np.float32)
    offset = run.dictionary.offset
    return ConceptBank(
        W=as_array(run.dictionary.bank),
        importance=importance,
        contribution=None if shared is None else shared.parts.mean(axis=0),
        importance_method=importance_method,
        importance_error=importance_error,
        quality=_quality(run),
        ids=tuple(range(run.rank)),
        method=Craft(n_concepts=run.rank, layer=run.layer, seed=run.seed, patch=parent.method.patch),
        provenance=_provenance(run, complete=shared is not None),
        target=parent.target,
        layer=run.encoder.cut.info,
        affine=run.encoder.affine,
        class_names=parent.class_names,
        images=tuple(photos.names),
        predictions=parent.predictions[run.members].copy(),
        codes=run.codes.copy(),
        logits=nothing.copy() if shared is None else shared.whole.copy(),
        contributions=np.zeros((0, run.rank), dtype=np.float32) if shared is None else shared.parts.copy(),
        residuals=nothing.copy() if shared is None else shared.residual.copy(),
        bases=nothing.copy() if shared is None else shared.base.copy(),
        gaps=nothing.copy() if shared is None else shared.gap.copy(),
        crops=_crops(run),
        offset=None if offset is None else as_array(offset),
        encoder={name: as_array(values) for name, values in run.dictionary.encoder.items()},
        effects=None if effects is None else effects.copy(),
        parent=(parent.key, parent.ids[run.k]),
        complete=shared is not None,
        source=photos,
    )


def _crops(run: SplitRun) -> tuple[tuple[ConceptCrop, ...], ...]:
    """Find the crops that show each part most, one of a photo at most."""
    shown = []
    for j in range(run.rank):
        strength, parts, seen = run.crop_codes[:, j], list[ConceptCrop](), set[int]()
        for i in np.argsort(-strength, kind="stable").tolist():
            n = int(run.place[i])
            if strength[i] <= 0 or len(parts) == _CROPS:
                break
            if n not in seen:
                seen.add(n)
                photo, box = int(run.top.photos[i]), run.scan.windows[run.top.windows[i]]
                where = run.photos.geometries[photo].to_photo(box)
                parts.append(ConceptCrop(n, where, float(strength[i]), run.photos.picture(photo, box)))
        shown.append(tuple(parts))
    return tuple(shown)


def _quality(run: SplitRun) -> Quality:
    on_crops, on_photos = run.errors
    return Quality(
        error=run.factors.error,
        error_crops=on_crops,
        error_locations=on_photos,
        sparsity=float((run.codes == 0).mean()),
        dead=(),
        duplicates=tuple(duplicate_atoms(run.dictionary.bank)),
        agreement=None,
        r2=None,
        n_images=len(run.members),
        n_rows=len(run.top.photos),
        n_left_out=0,
    )


def _provenance(run: SplitRun, *, complete: bool) -> Provenance:
    return Provenance.of(
        run.model,
        fingerprint=run.fingerprint,
        stamp=run.stamp,
        complete=complete,
        seconds=run.seconds,
        net_seconds=run.net_seconds,
    )
