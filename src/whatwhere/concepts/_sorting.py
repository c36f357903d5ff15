"""Gathering for many classes at once: each photo is run once, and belongs to the class that it is predicted as."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import torch

from whatwhere import limits
from whatwhere.concepts._gathering import Gathering
from whatwhere.concepts.evidence import Evidence, Rooms
from whatwhere.engine.blocks import BlockStore, Room

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from whatwhere.cache.store import Store
    from whatwhere.concepts.craft import Craft
    from whatwhere.concepts.crops import Box
    from whatwhere.concepts.photos import Input
    from whatwhere.model import VisionModel

_LOOSE = 4  # part of the memory for features that those may have which lie in no block yet


class SortedEvidence(Evidence):
    """Photos and features of many classes, in the memory of one.

    Parameters
    ----------
    windows : list of (top, left, bottom, right)
        The crops of every photo.
    crops : bool
        Whether the features of crops are gathered as well.

    Attributes
    ----------
    of : dict of int to Evidence
        What there is of each class, by id.
    newest : list of int
        Classes of the photos that were added since somebody looked.
    """

    def __init__(self, windows: list[Box], *, crops: bool) -> None:
        super().__init__(windows, crops=crops)
        self.of: dict[int, Evidence] = {}
        self.newest: list[int] = []
        self._rooms = Rooms(Room(), Room(), Room())
        self._expected: deque[int] = deque()
        self._loose = 0

    def __len__(self) -> int:
        return sum(map(len, self.of.values()))

    def add(self, shown: Input, cells: Tensor, prefix: Tensor, logits: Tensor, *, cached: bool = False) -> None:
        """Keep a photo, with the class that it is predicted as.

        Parameters
        ----------
        shown, cells, prefix, logits, cached : object
            As for `Evidence.add`.
        """
        predicted = int(logits.argmax())
        if predicted not in self.of:
            self.of[predicted] = Evidence(self.windows, crops=self.crops, rooms=self._rooms)
        self.of[predicted].add(shown, cells, prefix, logits, cached=cached)
        self.newest.append(predicted)
        self._count(cells)

    def expect(self, classes: list[int]) -> None:
        """Say what classes the photos are of whose crops come next.

        Parameters
        ----------
        classes : list of int
            One a photo.
        """
        self._expected.extend(classes)

    def add_crops(self, rows: Tensor) -> None:
        """Keep the features of a photo's crops, with the class that is expected.

        Parameters
        ----------
        rows : Tensor of shape (crops, p)
            The mean over the locations of each.
        """
        self.of[self._expected.popleft()].add_crops(rows)
        self._count(rows)

    def settle(self) -> None:
        """Close the blocks under way."""
        self._loose = 0
        for evidence in self.of.values():
            evidence.settle()

    def _count(self, added: Tensor) -> None:
        """Close all blocks where a thousand classes have a few photos each: those in none are in no room either."""
        self._loose += added.numel() * added.element_size()
        if self._loose * _LOOSE > limits.activation_bytes:
            self.settle()


class Sorting(Gathering):
    """The features of photos of many classes while they are computed, each photo once.

    Crops are run of the photos of classes that have enough of them, in full batches whatever class they are of; until
    then photos wait, in files beyond the limit on memory.

    Parameters
    ----------
    method : Craft
        The method.
    model : VisionModel
        The network.
    images : images
        What `whatwhere.pixels.images.iterate_images` takes.
    targets : tuple of int or None
        The classes whose images are kept; None keeps all.
    least : int
        Photos that a class needs.
    without : tuple of int, default ()
        Classes whose images are left out.
    store : Store, optional
        Where features are kept meanwhile; by default the cache in use.
    """

    evidence: SortedEvidence

    def __init__(
        self,
        method: Craft,
        model: VisionModel,
        images: Any,
        targets: tuple[int, ...] | None,
        least: int,
        *,
        without: tuple[int, ...] = (),
        store: Store | None = None,
    ) -> None:
        super().__init__(method, model, images, None, store=store)
        self.evidence = SortedEvidence(self.evidence.windows, crops=self.evidence.crops)
        self._targets, self._least = None if targets is None else torch.tensor(targets), least
        self._without = torch.tensor(without, dtype=torch.int64)
        self._room = Room()
        self._waiting: dict[int, tuple[list[str], BlockStore]] = {}
        self._ready: list[tuple[int, str, Tensor]] = []

    def stages(self) -> Iterator[str]:
        """Run every image, and the crops of those whose class has enough.

        Yields
        ------
        str
            The name of the stage, after every batch.
        """
        yield from super().stages()
        yield from self._run_ready(rest=True)
        self.total -= len(self.evidence.windows) * sum(len(names) for names, _ in self._waiting.values())
        self._waiting.clear()
        self.evidence.settle()

    def _kept(self, logits: Tensor) -> Tensor:
        """Tell which images are predicted as one of the classes; of a single logit, as its class at all."""
        if logits.shape[1] == 1:
            return (logits[:, 0] > 0) & (not len(self._without))
        predicted = logits.argmax(dim=1).cpu()
        kept = ~torch.isin(predicted, self._without)
        return kept if self._targets is None else kept & torch.isin(predicted, self._targets)

    def _run_crops(self, images: Tensor, names: list[str]) -> Iterator[str]:
        """Let photos wait until their class has enough, and run the crops of those that have waited."""
        newest, self.evidence.newest = self.evidence.newest, []
        for image, name, predicted in zip(torch.split(images, 1), names, newest, strict=True):
            if len(self.evidence.of[predicted]) < self._least:
                told, kept = self._waiting.setdefault(predicted, ([], BlockStore(self._room)))
                told.append(name)
                kept.append(image.float())  # files know no bfloat16
                continue
            if predicted in self._waiting:
                told, kept = self._waiting.pop(predicted)
                before = (b.to(image).contiguous(memory_format=torch.channels_last) for b in kept)
                self._ready += [(predicted, old, waited) for old, waited in zip(told, before, strict=True)]
            self._ready.append((predicted, name, image.clone()))
        yield from self._run_ready()

    def _run_ready(self, *, rest: bool = False) -> Iterator[str]:
        """Run crops of as many photos as fill batches to the last place, and in the end of the rest."""
        boxes, size = len(self.evidence.windows), self._model.batch_size
        unit = math.lcm(boxes, size) // boxes
        while len(self._ready) >= unit or (rest and self._ready):
            now, self._ready = self._ready[:unit], self._ready[unit:]
            classes, names, images = zip(*now, strict=True)
            self.evidence.expect(list(classes))
            yield from super()._run_crops(torch.cat(images), list(names))
