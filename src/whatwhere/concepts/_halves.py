"""Parts of activations, divided by photo, and the dictionaries that are fitted to each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, overload

import numpy as np
import torch

from whatwhere.engine._checks import integer
from whatwhere.engine.matching import matched_cosines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from whatwhere.concepts.protocol import Extractor
    from whatwhere.engine.factors import Factors


@dataclass(frozen=True, eq=False)
class Fits:
    """Activations, and how they and parts of them are factorised."""

    activations: Tensor | Sequence[Tensor]
    extractor: Extractor
    seed: int
    device: torch.device | None
    tolerance: float | None = None

    def fit(self, rank: int, part: NDArray[np.bool_] | None = None) -> Iterator[Factors]:
        """Fit some rows, or all."""
        rows = self.activations if part is None else part_of_rows(self.activations, part)
        return self.extractor.fit(rows, rank, seed=self.seed, device=self.device, tolerance=self.tolerance)

    def agreement(self, fitted: list[Factors]) -> NDArray[np.float64]:
        """Match every two of the parts' dictionaries: cosines of shape (pairs, r), in the first one's order."""
        pairs = combinations([factors.bank for factors in fitted], 2)
        return np.stack([self.cosines(a, b) for a, b in pairs])

    def cosines(self, first: Tensor, second: Tensor) -> NDArray[np.float64]:
        """Match two dictionaries: cosines of shape (r,), absolute ones where the sign of an atom is arbitrary."""
        return matched_cosines(first, second, signless=not self.extractor.non_negative_codes).numpy()


def split_rows(
    activations: Tensor | Sequence[Tensor], folds: int, seed: int, groups: ArrayLike | None
) -> list[NDArray[np.bool_]]:
    """Return which rows are in each part: groups in a random order, each to the part with the fewest rows so far."""
    seed = integer("seed", seed, 0, 2**63 - 1)
    n = len(activations) if isinstance(activations, torch.Tensor) else sum(len(block) for block in activations)
    told = np.arange(n) if groups is None else np.asarray(groups)
    if told.shape != (n,):
        raise ValueError(f"groups: wanted one for each of the {n} rows, shape {(n,)}, got {told.shape}.")
    names, member, sizes = np.unique(told, return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise ValueError(f"groups: wanted at least {folds} groups for {folds} parts, got {len(names)}.")
    part_of, rows = np.empty(len(names), dtype=int), np.zeros(folds, dtype=int)
    for group in np.random.default_rng(seed).permutation(len(names)):
        part_of[group] = rows.argmin()
        rows[part_of[group]] += sizes[group]
    return [part_of[member] == k for k in range(folds)]


def check_ranks(name: str, rank: int, parts: list[NDArray[np.bool_]], activations: Tensor | Sequence[Tensor]) -> None:
    """Refuse a rank larger than the smallest part allows."""
    first = activations if isinstance(activations, torch.Tensor) else activations[0]
    most = min(*(int(part.sum()) for part in parts), first.shape[1])
    if rank > most:
        raise ValueError(
            f"{name}: wanted at most {most}, the rows of the smallest part or the columns, got {rank}; give more rows, "
            "or ask for fewer atoms."
        )


def part_of_rows(activations: Tensor | Sequence[Tensor], chosen: NDArray[np.bool_]) -> Tensor | Sequence[Tensor]:
    """Return the chosen rows; of blocks still one at a time."""
    if isinstance(activations, torch.Tensor):
        return activations[torch.as_tensor(chosen, device=activations.device)]
    return _Some(activations, chosen)


class _Some(Sequence[torch.Tensor]):
    """Some rows of blocks, as a sequence of blocks that are asked for when they are wanted."""

    def __init__(self, blocks: Sequence[Tensor], chosen: NDArray[np.bool_]) -> None:
        ends = np.cumsum([len(block) for block in blocks])
        masks = np.split(chosen, ends[:-1])
        self._blocks = blocks
        self._kept = [(k, np.flatnonzero(mask)) for k, mask in enumerate(masks) if mask.any()]

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, k: int) -> Tensor: ...

    @overload
    def __getitem__(self, k: slice) -> list[Tensor]: ...

    def __getitem__(self, k: int | slice) -> Tensor | list[Tensor]:
        if isinstance(k, slice):
            return [self[j] for j in range(*k.indices(len(self)))]
        number, places = self._kept[k]
        block = self._blocks[number]
        return block[torch.as_tensor(places, device=block.device)]
