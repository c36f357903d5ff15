"""Activations, block by block: in memory while they fit, in temporary files beyond that."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import torch

from whatwhere import limits

if TYPE_CHECKING:
    from torch import Tensor


class Room:
    """Memory that several stores share: ``whatwhere.limits.activation_bytes`` for all of them together.

    Attributes
    ----------
    used : int
        Bytes that stores keep in memory; what a store kept is free again when it is gone.
    """

    def __init__(self) -> None:
        self.used = 0

    def take(self, kept: list[int], size: int) -> bool:
        """Take memory for a block, if there is any left.

        Parameters
        ----------
        kept : list of one int
            Bytes that the store keeps so far; the block is added to them.
        size : int
            Bytes of the block.

        Returns
        -------
        bool
            Whether it fits.
        """
        if self.used + size > limits.activation_bytes:
            return False
        self.used += size
        kept[0] += size
        return True

    def give_back(self, kept: list[int]) -> None:
        """Free what a store kept.

        Parameters
        ----------
        kept : list of one int
            Bytes that it kept.
        """
        self.used -= kept[0]


class BlockStore(Sequence[torch.Tensor]):
    """Matrices of rows with equally many columns, in the order in which they were appended.

    The first ``whatwhere.limits.activation_bytes`` stay where they were computed; what comes after is written to
    temporary files, and read again each time it is asked for. The files go with the object.

    Parameters
    ----------
    room : Room, optional
        Memory that it shares with other stores; by default it has all for itself.
    """

    def __init__(self, room: Room | None = None) -> None:
        self._blocks: list[Tensor | Path] = []
        self._room, self._kept = Room() if room is None else room, [0]
        weakref.finalize(self, self._room.give_back, self._kept)
        self._folder: Path | None = None
        self.rows = 0

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        block = self._blocks[index]
        return torch.from_numpy(np.load(block)) if isinstance(block, Path) else block

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def spilled(self) -> bool:
        """Whether some of it lies in files."""
        return self._folder is not None

    def append(self, rows: Tensor) -> None:
        """Add a block.

        Parameters
        ----------
        rows : Tensor of shape (n, p), float32
            The rows; copied, so that what they are a part of may go.
        """
        self.rows += len(rows)
        if self._room.take(self._kept, rows.numel() * rows.element_size()):
            with torch.inference_mode(mode=False):  # so that gradients may be taken of it
                self._blocks.append(torch.empty_like(rows, memory_format=torch.contiguous_format).copy_(rows))
            return
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="whatwhere-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / f"{len(self._blocks)}.npy"
        np.save(path, rows.detach().cpu().numpy())
        self._blocks.append(path)
