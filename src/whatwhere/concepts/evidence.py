"""What an extraction has seen: photos, the features of their locations and crops, and what the network said."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from whatwhere.concepts._chain import Chain
from whatwhere.concepts.photos import PhotoSet
from whatwhere.engine.blocks import BlockStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.concepts.crops import Box
    from whatwhere.concepts.photos import Input
    from whatwhere.engine.blocks import Room

_IN_A_BLOCK = 32  # photos whose features lie in one block


class Rooms(NamedTuple):
    """Memory for each of the things that are kept; by default one of its own.

    Attributes
    ----------
    photos, cells, pooled : Room
        For photos, the features of locations, and those of crops.
    """

    photos: Room | None = None
    cells: Room | None = None
    pooled: Room | None = None


class Evidence:
    """Photos and features, gathered photo by photo.

    Parameters
    ----------
    windows : list of (top, left, bottom, right)
        The crops of every photo, in pixels of the network's input.
    crops : bool
        Whether the features of crops are gathered as well.
    rooms : Rooms, optional
        Memory that it shares with others of its kind; by default it has all for itself.

    Attributes
    ----------
    photos : PhotoSet
        The photos that were kept.
    cells : BlockStore
        Features of their locations, (photos * h * w, p) a block.
    pooled : BlockStore
        Features of their crops, the mean over the locations; (photos * crops, p) a block.
    predictions : list of int
        Predicted class of each.
    n_left_out : int
        Photos that were not predicted as the class.
    unreadable : dict of str to str
        Files that could not be read, and why.
    n_cached : int
        Photos whose features were found in the cache.
    """

    def __init__(self, windows: list[Box], *, crops: bool, rooms: Rooms | None = None) -> None:
        self.windows, self.crops = windows, crops
        rooms = Rooms() if rooms is None else rooms
        self.photos = PhotoSet(rooms.photos)
        self.cells, self.pooled = BlockStore(rooms.cells), BlockStore(rooms.pooled)
        self.unreadable: dict[str, str] = {}
        self.predictions: list[int] = []
        self.n_left_out = self.n_cached = 0
        self._prefix = BlockStore(rooms.cells)
        self._waiting: list[Tensor] = []
        self._prefix_waiting: list[Tensor] = []
        self._crops_waiting: list[Tensor] = []
        self.grid = (0, 0)

    def __len__(self) -> int:
        return len(self.photos)

    def add(self, shown: Input, cells: Tensor, prefix: Tensor, logits: Tensor, *, cached: bool = False) -> None:
        """Keep a photo.

        Parameters
        ----------
        shown : Input
            The photo as the network is shown it.
        cells : Tensor of shape (h, w, p)
            Its features.
        prefix : Tensor of shape (tokens, p)
            Its class and register tokens.
        logits : Tensor of shape (classes,)
            What the network says.
        cached : bool, default False
            Whether all this was found in the cache.
        """
        self.n_cached += cached
        self.photos.add(shown, logits)
        self.predictions.append(int(logits.argmax()))
        self._prefix_waiting.append(prefix.cpu().clone())
        self.grid = (cells.shape[0], cells.shape[1])
        self._waiting.append(cells.flatten(0, 1).clone())
        if len(self._waiting) == _IN_A_BLOCK:
            self.settle()

    def add_crops(self, rows: Tensor) -> None:
        """Keep the features of a photo's crops.

        Parameters
        ----------
        rows : Tensor of shape (crops, p)
            The mean over the locations of each.
        """
        self._crops_waiting.append(rows.clone())
        if len(self._crops_waiting) == _IN_A_BLOCK:
            self.settle()

    def settle(self) -> None:
        """Close the blocks under way."""
        if self._waiting:
            self.cells.append(torch.cat(self._waiting))
            self._prefix.append(torch.stack(self._prefix_waiting))
            self._waiting, self._prefix_waiting = [], []
        if self._crops_waiting:
            self.pooled.append(torch.cat(self._crops_waiting))
            self._crops_waiting = []

    def take(self, numbers: Sequence[int]) -> Evidence:
        """Return what there is of some of the photos, without their crops.

        Parameters
        ----------
        numbers : sequence of int
            Which, in ascending order.

        Returns
        -------
        Evidence
            In memory of its own.
        """
        self.settle()
        taken = Evidence(self.windows, crops=False)
        taken.photos, taken.grid, taken.unreadable = self.photos.take(numbers), self.grid, dict(self.unreadable)
        taken.n_left_out = len(self) - len(numbers)
        taken.predictions = [self.predictions[k] for k in numbers]
        left = deque(numbers)
        for place, cells, prefix in self.batches():
            here = []
            while left and left[0] < place.stop:
                here.append(left.popleft() - place.start)
            if here:
                taken.cells.append(cells[here].flatten(0, 2))
                taken._prefix.append(prefix[here])  # it is of this class
        return taken

    def rows(self, fit_on: str) -> Sequence[Tensor]:
        """Return what is factorised, block by block.

        Parameters
        ----------
        fit_on : {"both", "crops", "locations"}
            Which features.

        Returns
        -------
        sequence of Tensor of shape (n_i, p)
            Those of crops before those of locations.
        """
        self.settle()
        if fit_on == "both":
            return Chained(self.pooled, self.cells)
        return self.cells if fit_on == "locations" else self.pooled

    def photo_of_rows(self, fit_on: str) -> NDArray[np.int64]:
        """Tell which photo each row is of.

        Parameters
        ----------
        fit_on : {"both", "crops", "locations"}
            Which features, as for `rows`.

        Returns
        -------
        ndarray of shape (n,), int64
            Number of the photo.
        """
        of_crops = np.repeat(np.arange(len(self)), len(self.windows))
        of_cells = np.repeat(np.arange(len(self)), self.grid[0] * self.grid[1])
        return {"crops": of_crops, "locations": of_cells, "both": np.concatenate([of_crops, of_cells])}[fit_on]

    def batches(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Go through the features of the photos.

        Yields
        ------
        place, cells, prefix : slice, Tensor of shape (b, h, w, p), Tensor of shape (b, tokens, p)
            Which photos, and their features.
        """
        start = 0
        for block, prefix in zip(self.cells, self._prefix, strict=True):
            cells = block.reshape(-1, *self.grid, block.shape[-1])
            place = slice(start, start + len(cells))
            yield place, cells, prefix
            start = place.stop

    def logits(self, place: slice) -> Tensor:
        """Return what the network said of some photos.

        Parameters
        ----------
        place : slice
            Which.

        Returns
        -------
        Tensor of shape (n, K)
            On the CPU.
        """
        every = self.photos.logits
        return torch.cat([] if every is None else list(every[place]))


class Chained(Chain):
    """Blocks of rows one after the other.

    Parameters
    ----------
    *parts : BlockStore
        What is chained.
    """

    def __init__(self, *parts: BlockStore) -> None:
        super().__init__(map(len, parts))
        self._parts = parts

    def _block(self, which: int, number: int) -> Tensor:
        return self._parts[which][number]
