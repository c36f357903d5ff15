"""One set of photos while it is found what they were classified for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whatwhere.concepts.photos import count_images
from whatwhere.jobs import Step
from whatwhere.provenance import Provenance
from whatwhere.strategies._looking import Looker, Seen
from whatwhere.strategies.graph import StrategyGraph
from whatwhere.strategies.groups import shares_of
from whatwhere.strategies.heads import AffineEffects, affine_ledger, curved_effects
from whatwhere.strategies.layout import Layout, need_for_tsne, place, principal
from whatwhere.strategies.ledger import ARRAYS, Ledger
from whatwhere.strategies.muting import Muting, effect, predicted, probability
from whatwhere.strategies.thumbnails import thumbnail
from whatwhere.strategies.truth import Truth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.model import VisionModel
    from whatwhere.strategies.strategies import Strategies

_PUBLISH = 0.5  # seconds between previews, at least
_PUBLISH_SHARE = 5  # and this many times what making one took


class StrategiesRun:
    """One set of photos while it is found what they were classified for.

    Parameters
    ----------
    method : Strategies
        The method.
    model : VisionModel
        The network.
    bank : ConceptBank
        The concepts.
    images : images or None
        The set; None takes the bank's own photos.
    labels : labels or None
        What each photo is.
    like : StrategyGraph or None
        An earlier graph, whose positions are started from.
    previews : bool
        Whether to make graphs of the photos so far.
    """

    def __init__(
        self,
        method: Strategies,
        model: VisionModel,
        bank: ConceptBank,
        images: Any,
        *,
        labels: Any,
        like: StrategyGraph | None,
        previews: bool,
    ) -> None:
        self.method, self.model, self.bank, self._images, self._like = method, model, bank, images, like
        self._previews = previews
        self._concepts = bank.on(model)
        if images is None and not len(bank.codes):
            raise ValueError(
                "bank: wanted one that is finished, or images=, since this one has no codes of its photos."
            )
        self._labels_by_class = method.population == "labelled" and bank.target is not None
        if images is None and self._labels_by_class:
            raise ValueError(
                "images: wanted photos of the class, read as it or not, for population='labelled'; the bank has only "
                f"those that are predicted as {bank.target_name}."
            )
        self.total = len(bank.images) if images is None else count_images(images)
        if method.layout == "tsne":
            need_for_tsne(self.total)
        self._truth = Truth(labels, model.class_names, expected=self.total)
        if self._labels_by_class and not self._truth.given:
            raise ValueError(
                "labels: wanted a class for each photo, since population='labelled' goes by them, got None."
            )
        self._names: list[str] = []
        self._left_out: list[str] = []
        self._thumbnails: list[bytes] = []
        self._ledgers: list[Ledger] = []
        self._others: list[Ledger] = []
        self._mutings: list[Muting] = []
        self._columns: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
        self.done = 0
        self.seconds = 0.0
        self._chunk = time.perf_counter()
        self._stamp = model.stamp()

    def steps(self) -> Iterator[Step[StrategyGraph]]:
        """Do it to the end.

        Yields
        ------
        Step
            Photos done and to do, the stage, and the best graph so far or None.
        """
        self._chunk = time.perf_counter()
        record: StrategyGraph | None = None
        next_preview = _PUBLISH
        affine, bank = self._concepts.encoder.affine, self.bank
        self._effects = AffineEffects(self._concepts) if affine else None
        more = () if affine else (bank.target, self.method.population)
        self._looker = Looker(self._concepts, side=self.method.thumbnails, affine=affine, more=more)
        for seen in self._seen():
            self._take(seen)
            self._pause()
            if self._previews and self._names and self.seconds >= next_preview:
                before = self.seconds
                record = self._preview()
                self._pause()
                next_preview = self.seconds + max(_PUBLISH, _PUBLISH_SHARE * (self.seconds - before))
            yield Step(self.done, max(self.total, self.done), "photos", record)
            self._chunk = time.perf_counter()
        self._check_whole()
        parts = self._parts()
        vectors = self._vectors(parts["explained"])
        for found in place(vectors, self.method.layout, seed=self.method.seed, start=self._start()):
            if found is not None:
                record = self._record(parts, *found, complete=True)
            self._pause()
            yield Step(self.done, self.done, "layout", record)
            self._chunk = time.perf_counter()

    def _pause(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self._chunk
        self._chunk = now

    # -- photos -----------------------------------------------------------------------------------------------------

    def _seen(self) -> Iterator[Seen]:
        """Look at the photos, a batch at a time; at the bank's own without the network where that suffices."""
        bank, own = self.bank, self._images is None
        if not own:
            yield from self._looker.batches(self._images, self._truth.of)
            return
        photos = self._concepts.photos
        logits = photos.logits if self._effects is not None and not bank.layer.prefix_tokens else None
        if logits is None:
            yield from self._looker.batches(photos, self._truth.of)
            return
        size = self.model.batch_size
        for first in range(0, len(bank.images), size):
            numbers = range(first, min(first + size, len(bank.images)))
            names, pictures = [bank.images[k] for k in numbers], [photos.pixels(k) for k in numbers]
            codes = torch.from_numpy(bank.codes[numbers.start : numbers.stop].copy()).to(self.model.device)
            told = torch.cat([logits[k] for k in numbers]).to(self.model.device)
            prefix = told.new_zeros((len(names), 0, 0))
            yield Seen(names, list(pictures), codes, told, prefix, [None] * len(names), [None] * len(names))

    def _take(self, batch: Seen) -> None:
        """Keep what is of the population, and share its logits out."""
        seen = batch
        truth = np.array([self._truth.of(name, self.done + k) for k, name in enumerate(seen.names)], dtype=np.int64)
        said = predicted(seen.logits).cpu().numpy()
        self.done += len(seen.names)
        target = self.bank.target
        if target is not None:
            kept = (truth if self._labels_by_class else said) == target
            self._left_out += [name for name, keep in zip(seen.names, kept, strict=True) if not keep]
            seen, truth, said = seen.take(np.flatnonzero(kept).tolist()), truth[kept], said[kept]
        else:
            kept = np.ones(len(said), dtype=bool)
        if not seen.names:
            self._looker.keep(batch, None if self._effects is not None else [{}] * len(batch.names))
            return
        classes = np.maximum(said, 0) if target is None else np.full(len(said), target)
        rivals = self._rivals(seen.logits, classes, truth, said)
        effects = iter(self._share_out(seen, torch.from_numpy(classes), rivals) or ())
        self._looker.keep(batch, None if self._effects is not None else [next(effects) if k else {} for k in kept])
        self._names += seen.names
        if self.method.thumbnails:
            self._thumbnails += [
                picture if isinstance(picture, bytes) else thumbnail(picture, self.method.thumbnails)
                for picture in seen.pictures
            ]
        chances = probability(seen.logits, torch.from_numpy(classes).to(seen.logits.device)).float().cpu().numpy()
        self._columns.append((said, truth, chances.copy()))

    def _rivals(
        self, logits: Tensor, classes: NDArray[np.int64], truth: NDArray[np.int64], said: NDArray[np.int64]
    ) -> Tensor | None:
        """Choose the class to compare with: what the photo is, or was taken for, and else the next likeliest."""
        if logits.shape[1] == 1:
            return None
        without = logits.clone()
        without[torch.arange(len(without)), torch.from_numpy(classes).to(without.device)] = -torch.inf
        runner_up = without.argmax(dim=1).cpu().numpy()
        rival = said if self._labels_by_class else truth
        return torch.from_numpy(np.where((rival >= 0) & (rival != classes), rival, runner_up))

    def _share_out(self, seen: Seen, classes: Tensor, rivals: Tensor | None) -> list[dict[str, NDArray[Any]]] | None:
        """Share logits out; what was not read off codes is returned, photo by photo."""
        device = seen.logits.device
        classes = classes.to(device)
        rivals = None if rivals is None else rivals.to(device)
        if self._effects is None:
            return self._share_out_curved(seen, classes, rivals)
        added, base = self._effects.added(seen.codes), self._effects.base(seen.prefix)
        self._ledgers.append(affine_ledger(added, seen.logits, base, classes))
        if rivals is not None:
            self._others.append(affine_ledger(added, seen.logits, base, rivals))
        self._mutings.append(effect(seen.logits, seen.logits[:, None] - added, classes))
        return None

    def _share_out_curved(self, seen: Seen, classes: Tensor, rivals: Tensor | None) -> list[dict[str, NDArray[Any]]]:
        fresh = [k for k, known in enumerate(seen.effects) if known is None]
        made: Iterator[dict[str, NDArray[Any]]] = iter(())
        if fresh:
            of = None if rivals is None else rivals[fresh]
            made = iter(curved_effects(self._concepts, seen.take(fresh), classes[fresh], of))
        rows = [next(made) if known is None else dict(known) for known in seen.effects]
        columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        self._ledgers.append(Ledger(**{name: columns[f"explained.{name}"] for name in ARRAYS}))
        if rivals is not None:
            self._others.append(Ledger(**{name: columns[f"other.{name}"] for name in ARRAYS}))
        self._mutings.append(Muting(columns["drops"], columns["becomes"]))
        return rows

    def _check_whole(self) -> None:
        self._truth.finish(self.done, strict=self._images is not None)
        if self._names:
            return
        kind = "labelled" if self._labels_by_class else "predicted"
        raise ValueError(
            f"images: wanted at least one photo {kind} as {self.bank.target_name}, got {self.done} that are not."
        )

    # -- records ----------------------------------------------------------------------------------------------------

    def _parts(self) -> dict[str, Any]:
        """Put the batches together; they stay together, so that the next time only new ones are added."""
        for kept in (self._ledgers, self._others):
            if len(kept) > 1:
                kept[:] = [Ledger.joined(kept)]
        if len(self._mutings) > 1:
            self._mutings[:] = [Muting.joined(self._mutings)]
        if len(self._columns) > 1:
            said, truth, chances = (np.concatenate(column) for column in zip(*self._columns, strict=True))
            self._columns[:] = [(said, truth, chances)]
        return {
            "images": tuple(self._names),
            "explained": self._ledgers[0],
            "other": self._others[0] if self._others else None,
            "muting": self._mutings[0],
            "thumbnails": tuple(self._thumbnails),
            "left_out": tuple(self._left_out),
        } | dict(zip(("predictions", "labels", "probabilities"), self._columns[0], strict=True))

    def _vectors(self, ledger: Ledger) -> NDArray[np.float64]:
        if self.method.normalise is None:
            return ledger.concepts.astype(np.float64)
        return shares_of(ledger.concepts)

    def _preview(self) -> StrategyGraph:
        parts = self._parts()
        vectors = self._vectors(parts["explained"])
        first, shown = principal(vectors)
        spread = float(first.std(axis=0).max()) or 1.0
        layout = Layout("pca", "two principal components, while photos come in", shown)
        return self._record(parts, (first / spread).astype(np.float32), layout, complete=False)

    def _start(self) -> NDArray[np.float32] | None:
        """Return the earlier graph's positions of these photos, NaN where it has none."""
        if self._like is None:
            return None
        known = dict(zip(self._like.images, self._like.positions, strict=True))
        nowhere = np.full(2, np.nan, dtype=np.float32)
        return np.stack([known.get(name, nowhere) for name in self._names])

    def _record(
        self, parts: dict[str, Any], positions: NDArray[np.float32], layout: Layout, *, complete: bool
    ) -> StrategyGraph:
        self._pause()
        made = Provenance.of(
            self.model,
            fingerprint=self.bank.provenance.fingerprint,
            stamp=self._stamp,
            complete=complete,
            seconds=self.seconds,
            net_seconds=self._concepts.encoder.net_seconds,
            cached=self._looker.n_cached,
        )
        return StrategyGraph(
            **parts,
            positions=positions,
            layout=layout,
            ids=self.bank.ids,
            concept_names=dict(self.bank.labels),
            method=self.method,
            provenance=made,
            bank=self.bank.key,
            target=self.bank.target,
            layer=self.bank.layer.name,
            affine=self._concepts.encoder.affine,
            class_names=self.bank.class_names,
            n_forwards=self._looker.n_forwards,
            complete=complete,
        )
