"""What the network is asked for in an extraction: the features of images, and of their crops."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whatwhere.cache.keys import content_digest
from whatwhere.cache.rows import Rows
from whatwhere.concepts.crops import cut_out, windows_of
from whatwhere.concepts.evidence import Evidence
from whatwhere.concepts.layer import choose_layer
from whatwhere.concepts.photos import count_images, iterate_inputs
from whatwhere.concepts.unreadable import check_paths
from whatwhere.engine._rows import finite_rows
from whatwhere.engine.caching import rows_of
from whatwhere.engine.encoder import Encoder, Look
from whatwhere.engine.pacing import Pace
from whatwhere.engine.tuning import Tuner
from whatwhere.pixels.images import is_one_image

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.cache.store import Store
    from whatwhere.concepts.craft import Craft
    from whatwhere.concepts.photos import Input
    from whatwhere.model import VisionModel

_TUNING_FROM = 1000  # forwards that make measuring worth while
_PACED_FROM = 256  # forwards from which larger batches are tried: short runs are the same bit for bit
_TUNING_SHARE = 0.05  # of the forwards, at most, go into measuring


@dataclass
class Share:
    """What one class has of a common gathering; see `whatwhere.concepts._craft_run.Gathered`."""

    encoder: Encoder
    evidence: Evidence
    done: int
    total: int
    extra: int
    plan: str


class Gathering:
    """The features of a set of images while they are computed.

    Parameters
    ----------
    method : Craft
        The method.
    model : VisionModel
        The network.
    images : images
        What `whatwhere.pixels.images.iterate_images` takes.
    target : int or None
        The class whose images are kept; None keeps all.
    watched : bool, default True
        Whether somebody waits for what is under way: batches are then no larger than the plan's.
    store : Store, optional
        Where features are kept meanwhile; by default the cache in use.

    Attributes
    ----------
    encoder : Encoder
        The network at the layer.
    evidence : Evidence
        What was kept so far.
    done, total : int
        Forwards so far, and in all.
    extra : int
        Forwards that measured how the network runs fastest.
    """

    def __init__(
        self,
        method: Craft,
        model: VisionModel,
        images: Any,
        target: int | None,
        *,
        watched: bool = True,
        store: Store | None = None,
    ) -> None:
        self._model, self._images, self._target, self._watched = model, images, target, watched
        self._store = store
        self.encoder = Encoder(model, choose_layer(model) if method.layer is None else method.layer)
        self.evidence = Evidence(windows_of(model.input_size, method.patch), crops=method.fit_on != "locations")
        self._skips = method.on_unreadable == "skip" and not is_one_image(images)
        self.done = self.total = self.extra = 0
        self._pace = Pace(model, steady=watched)
        self._looks, self._crops = Rows(None, "features"), Rows(None, "crops")

    @property
    def plan(self) -> str:
        """How the network was run, in words."""
        return replace(self._model.plan, batch_size=self._pace.size).describe(self._model.precision)

    def stages(self) -> Iterator[str]:
        """Run every image, and the crops of those that are predicted as the class.

        Yields
        ------
        str
            The name of the stage, after every batch.
        """
        evidence = self.evidence
        crops = len(evidence.windows) if evidence.crops else 0
        check_paths(self._images)
        count = count_images(self._images)
        self.total = count * (1 + crops)
        if self.total < _PACED_FROM:
            self._pace = Pace(self._model, steady=True)
        yield from self._tune()
        layer = self.encoder.cut.layer
        self._looks = rows_of("features", self._model, layer, store=self._store)
        self._crops = rows_of("crops", self._model, layer, evidence.windows, store=self._store)
        inputs = iterate_inputs(self._images, self._model, unreadable=evidence.unreadable if self._skips else None)
        steady = Pace(self._model, steady=True)
        pace = steady if crops else self._pace  # where there are crops, most of the work is theirs
        while batch := list(itertools.islice(inputs, pace.next(max(count - self.done, 1)))):
            images = torch.cat([self._model.to_input(shown.pixels) for shown in batch])
            look, known = self._look(images, batch, pace)
            self.done += len(batch)
            kept = self._kept(look.logits)
            places = kept.nonzero().flatten().tolist()
            evidence.n_left_out += len(batch) - len(places)
            self._expect(count, crops)
            yield "images"
            for k in places:
                evidence.add(batch[k], look.cells[k], look.prefix[k], look.logits[k], cached=known[k])
            if crops and places:
                kept_images = images if len(places) == len(batch) else images[places]
                yield from self._run_crops(kept_images, [batch[k].name for k in places])
        self._expect(count, crops)  # the last files may have been no photos

    def _expect(self, count: int, crops: int) -> None:
        """Say how many forwards it will be, by what is known of the images so far."""
        evidence = self.evidence
        self.total = (count - len(evidence.unreadable)) * (1 + crops) - evidence.n_left_out * crops

    def _look(self, images: Tensor, batch: list[Input], pace: Pace) -> tuple[Look, list[bool]]:
        """Run the images that the cache does not know; tell which it knows."""
        digests = _digests(images) if self._looks.on else [""] * len(batch)
        found = self._looks.find(digests)
        known = [row is not None for row in found]
        fresh = [k for k, row in enumerate(found) if row is None]
        if fresh:
            with pace.timing(len(fresh)):
                made = self.encoder.look(images if len(fresh) == len(batch) else images[fresh])
            _check_finite(made.cells, made.logits, [batch[k] for k in fresh])
            if self._looks.on:
                rows = [
                    {name: column[k].cpu().numpy() for name, column in zip(Look._fields, made, strict=True)}
                    for k in range(len(fresh))
                ]
                self._looks.keep([digests[k] for k in fresh], rows=rows)
            if len(fresh) == len(batch):
                return made, known
            for k, row in zip(fresh, rows, strict=True):
                found[k] = row
        every = [row for row in found if row is not None]
        columns = (_stacked([row[name] for row in every], self._model.device) for name in Look._fields)
        return Look(*columns), known

    def _kept(self, logits: Tensor) -> Tensor:
        """Tell which images are predicted as the class: by the largest logit or, of a single one, by its sign."""
        if self._target is None:
            return torch.ones(len(logits), dtype=torch.bool)
        return logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(dim=1).eq(self._target or 0)

    def _run_crops(self, images: Tensor, names: list[str]) -> Iterator[str]:
        """Find the features of the crops of photos: run those that the cache does not know."""
        digests = _digests(images) if self._crops.on else [""] * len(images)
        found = [None if row is None else row["rows"] for row in self._crops.find(digests)]
        fresh = [k for k, row in enumerate(found) if row is None]
        self.done += (len(images) - len(fresh)) * len(self.evidence.windows)
        if not fresh:
            yield "crops"
        else:
            some = images if len(fresh) == len(images) else images[fresh]
            made = yield from self._pooled(some, [names[k] for k in fresh])
            self._crops.keep([digests[k] for k in fresh], rows=[{"rows": of_photo.cpu().numpy()} for of_photo in made])
        rows = iter(made if fresh else ())
        for known in found:
            self.evidence.add_crops(next(rows) if known is None else _stacked(list(known), self._model.device))

    def _pooled(self, images: Tensor, names: list[str]) -> Generator[str, None, Tensor]:
        """Run the crops of photos, full batches whatever photo they are of, and pool their features."""
        boxes = self.evidence.windows
        pooled: list[Tensor] = []
        first, count = 0, len(images) * len(boxes)
        while first < count:
            chunk = range(first, min(first + self._pace.next(count - first), count))
            with torch.inference_mode():  # without the device's lock: nothing of the network is touched
                parts = [
                    cut_out(images[photo : photo + 1], [boxes[k % len(boxes)] for k in of_photo])
                    for photo, of_photo in itertools.groupby(chunk, key=lambda k: k // len(boxes))
                ]
                crops = torch.cat(parts) if len(parts) > 1 else parts[0]
            with self._pace.timing(len(crops)):
                pooled.append(self.encoder.cells(crops).mean(dim=(1, 2)))
            first += len(crops)
            self.done += len(crops)
            yield "crops"
        rows = torch.cat(pooled).reshape(len(images), len(boxes), -1)
        finite = finite_rows(rows)
        if not finite.all():
            name = names[int((~finite).nonzero()[0])]
            raise FloatingPointError(f"images: crops of {name!r} give features that are NaN or infinite.")
        return rows

    def _tune(self) -> Iterator[str]:
        """Before a long run, measure how this network runs fastest here."""
        if self._model.tuned or self.total < _TUNING_FROM:
            return
        tuner = Tuner(self._model, int(_TUNING_SHARE * self.total))
        for _ in tuner.steps():
            yield "tuning"
        self.extra += tuner.n_forwards
        self.encoder = Encoder(self._model, self.encoder.cut.layer)
        self._pace = Pace(self._model, steady=self._watched)


def _digests(images: Tensor) -> list[str]:
    """Hash what the network is shown."""
    return [content_digest(image.float().cpu().numpy()) for image in images]


def _stacked(rows: list[NDArray[np.float32]], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(rows)).to(device)


def _check_finite(cells: Tensor, logits: Tensor, batch: list[Input]) -> None:
    if torch.isfinite(cells.sum()) and torch.isfinite(logits.sum()):
        return  # finite numbers may add up to infinity, but nothing else adds up to a number
    finite = torch.isfinite(cells).flatten(1).all(dim=1) & torch.isfinite(logits).all(dim=1)
    if not finite.all():
        name = batch[int((~finite).nonzero()[0])].name
        raise FloatingPointError(
            f"images: {name!r} gives features or logits that are NaN or infinite. Check the weights and the "
            "preprocessing; half precision may overflow: set model.plan to one with precision='float32'."
        )
