"""Blocks of rows that come from several places, numbered one after the other."""

from __future__ import annotations

import bisect
import itertools
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor


class Chain(Sequence[torch.Tensor]):
    """Blocks of rows from several places.

    Parameters
    ----------
    counts : iterable of int
        How many blocks there are in each place.
    """

    def __init__(self, counts: Iterable[int]) -> None:
        self._starts = [0, *itertools.accumulate(counts)]

    @abstractmethod
    def _block(self, which: int, number: int) -> Tensor:
        """Return a block by the number of its place, and its own there."""

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"index: wanted 0 to {len(self) - 1}, got {index}.")
        which = bisect.bisect_right(self._starts, index) - 1
        return self._block(which, index - self._starts[which])

    def __len__(self) -> int:
        return self._starts[-1]
