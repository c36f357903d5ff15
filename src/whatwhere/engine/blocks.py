"""Activations, block by block: in memory while they fit, in a temporary file beyond that."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

import numpy as np
import torch

from whatwhere import limits

if TYPE_CHECKING:
    from io import BufferedRandom

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

    The first ``whatwhere.limits.activation_bytes`` stay where they were computed; what comes after is written to a
    temporary file, and read again each time it is asked for. The file goes with the object.

    Parameters
    ----------
    room : Room, optional
        Memory that it shares with other stores; by default it has all for itself.
    """

    def __init__(self, room: Room | None = None) -> None:
        self._blocks: list[Tensor | _Spilled] = []
        self._room, self._kept = Room() if room is None else room, [0]
        weakref.finalize(self, self._room.give_back, self._kept)
        self._file: BufferedRandom | None = None
        self._reading = threading.Lock()
        self.rows = 0

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        block = self._blocks[index]
        if not isinstance(block, _Spilled) or self._file is None:
            return cast("Tensor", block)
        rows = np.empty(block.shape, dtype=block.dtype)
        with self._reading:
            self._file.seek(block.start)
            read = self._file.readinto(rows.reshape(-1).view(np.uint8).data)
        if read != rows.nbytes:
            raise OSError(f"The temporary file of features ends after {read} of {rows.nbytes} bytes of a block.")
        return torch.from_numpy(rows)

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def spilled(self) -> bool:
        """Whether some of it lies in files."""
        return self._file is not None

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
        numbers = np.ascontiguousarray(rows.detach().cpu().numpy())
        with self._reading:
            if self._file is None:
                handle, path = tempfile.mkstemp(prefix="whatwhere-")
                self._file = os.fdopen(handle, "w+b")
                weakref.finalize(self, _remove, self._file, path)
            start = self._file.seek(0, os.SEEK_END)
            self._file.write(numbers.reshape(-1).view(np.uint8).data)
        self._blocks.append(_Spilled(start, numbers.shape, numbers.dtype))


class _Spilled(NamedTuple):
    """Where a block lies in the file, and what it is."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def _remove(file: BufferedRandom, path: str) -> None:
    with contextlib.suppress(OSError):  # a full disk refuses what was still to be written: it is not needed
        file.close()
    with contextlib.suppress(OSError):
        Path(path).unlink(missing_ok=True)
