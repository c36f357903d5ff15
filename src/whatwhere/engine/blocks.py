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


class BlockStore(Sequence[torch.Tensor]):
    """Matrices of rows with equally many columns, in the order in which they were appended.

    The first ``whatwhere.limits.activation_bytes`` stay where they were computed; what comes after is written to
    temporary files, and read again each time it is asked for. The files go with the object.
    """

    def __init__(self) -> None:
        self._blocks: list[Tensor | Path] = []
        self._bytes = 0
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
        self._bytes += rows.numel() * rows.element_size()
        if self._bytes <= limits.activation_bytes:
            with torch.inference_mode(mode=False):  # so that gradients may be taken of it
                self._blocks.append(torch.empty_like(rows, memory_format=torch.contiguous_format).copy_(rows))
            return
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="whatwhere-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / f"{len(self._blocks)}.npy"
        np.save(path, rows.detach().cpu().numpy())
        self._blocks.append(path)
