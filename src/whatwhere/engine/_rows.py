"""Activations, row block by row block: checked once, scaled by a power of two, moved to where the computing is done."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from whatwhere.engine._checks import integer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MATRIX = 2
_MOST_BITS = 100  # scaling by more would leave float32
_SCALES = 2.0**-50, 2.0**50  # of activations whose products stay within float32
_CPU_CHUNK, _CHUNK = 1024, 4096  # rows
_SQUARES = 1e-30, 1e37  # mean square and sum between which float32 loses nothing but rounding


def wide(x: Tensor) -> Tensor:
    """Return a tensor as float64, on the CPU where its device has no float64."""
    return (x.cpu() if x.device.type == "mps" else x).to(torch.float64)


def squares_of(x: Tensor) -> float:
    """Return the sum of squares (n, p): of each row in its own precision, and of all of them in float64."""
    squares = _squares_of_rows(x)
    if _SQUARES[0] * x.numel() <= squares <= _SQUARES[1] or x.dtype == torch.float64:
        return squares
    largest = float(x.abs().max())
    if not 0 < largest < math.inf:
        return squares
    size = 2.0 ** math.frexp(largest)[1]  # a power of two: what is divided by it is what it was, but for its unit
    return _squares_of_rows(x / size) * size**2


def _squares_of_rows(x: Tensor) -> float:
    return float(wide(torch.linalg.vector_norm(x, dim=1)).square().sum())


def finite_rows(x: Tensor) -> Tensor:
    """Tell which entries of the first axis, (N,) bool, hold finite numbers only."""
    sums = torch.isfinite(x.flatten(1).sum(dim=1))  # a look at each number takes thirty times as long as their sum
    return sums if bool(sums.all()) else torch.isfinite(x).flatten(1).all(dim=1)  # finite ones may add up to infinity


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
    """Multiply in full precision and without gradients, whatever the caller has set; the settings come back."""
    matmul = torch.backends.cuda.matmul
    told = matmul.fp32_precision
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        try:
            matmul.fp32_precision = "ieee"
            yield
        finally:
            matmul.fp32_precision = told


def like_matrix(name: str, x: Tensor) -> Tensor:
    """Return a matrix of finite real numbers, float32 at least, detached."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: wanted a torch.Tensor, got {type(x).__name__}; torch.as_tensor(…) makes one.")
    if not x.is_floating_point():
        raise TypeError(f"{name}: wanted floating-point numbers, got dtype {x.dtype}; convert it by .float().")
    if x.ndim != _MATRIX or not x.numel():
        raise ValueError(f"{name}: wanted a matrix with at least one row and column, got shape {tuple(x.shape)}.")
    x = x.detach()
    x = x if x.dtype == torch.float64 else x.float()
    if not torch.isfinite(x.sum()) and (bad := ~torch.isfinite(x)).any():  # finite numbers may add up to infinity
        row, column = bad.nonzero()[0].tolist()
        raise ValueError(
            f"{name}: wanted finite numbers, got {x[row, column].item()} at {(row, column)}, {int(bad.sum())} such of "
            f"{x.numel()}; drop those rows or repair what made them."
        )
    return x


def non_negative(name: str, x: Tensor) -> Tensor:
    """Return a matrix of numbers of at least 0."""
    x = like_matrix(name, x)
    if x.min() < 0:
        raise ValueError(
            f"{name}: wanted numbers of at least 0, got {x.min().item():.6g}, {int((x < 0).sum())} below 0 of "
            f"{x.numel()}; signed activations are for semi-NMF."
        )
    return x


class Blocks(Protocol):
    """A matrix as a loop over (place, block)."""

    n: int
    p: int
    device: torch.device
    dtype: torch.dtype

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """Go through the blocks of rows in order."""
        ...

    def undivided(self) -> tuple[float, Iterator[tuple[slice, Tensor]]]:
        """Return a power of two and the blocks that products of are still to be divided by."""
        ...


def rows_at_a_time(chunk: int | None, device: torch.device) -> int:
    """Return how many rows are worked on at a time.

    A CPU's caches hold about a thousand rows of a thousand numbers, which are then read from memory once for the two
    products of a pass. With four thousand, exact codes and the first pass of an NMF took half as long again.
    """
    if chunk is None:
        return _CPU_CHUNK if device.type == "cpu" else _CHUNK
    return integer("chunk", chunk, 1)


def _parts(block: Tensor, chunk: int) -> Iterator[Tensor]:
    return (block[first : first + chunk] for first in range(0, len(block), chunk))


class Rows:
    """Activations as a loop over (place, block): blocks of at most `chunk` rows on the device, divided by `scale`.

    The scale is the power of two nearest to the root mean square: dividing by it rounds nothing, and what is left is of
    size 1 whatever the unit of the activations. `squares` is the sum of squares of what is left. A sequence of tensors
    is asked for each of its blocks once a loop, in order, so it may load them.
    """

    def __init__(
        self,
        activations: Tensor | Sequence[Tensor],
        *,
        device: torch.device | None,
        chunk: int | None,
        signed: bool = True,
    ) -> None:
        given: object = activations  # callers may not have looked at the annotation
        if isinstance(given, np.ndarray) or not hasattr(given, "__getitem__"):
            kind = type(given).__name__
            raise TypeError(f"activations: wanted a torch.Tensor or a sequence of them, got {kind}.")
        self._blocks: Sequence[Tensor] = [activations] if isinstance(activations, Tensor) else activations
        if not len(self._blocks):
            raise ValueError("activations: wanted at least one block of rows, got an empty sequence.")
        first = like_matrix("activations", self._blocks[0])
        self.device, self.dtype, self.p = device or first.device, first.dtype, first.shape[1]
        self._chunk = rows_at_a_time(chunk, self.device)
        self.n, squares, self.scale = 0, 0.0, 1.0
        check = like_matrix if signed else non_negative
        for k, block in enumerate(self._blocks):
            name = "activations" if isinstance(activations, Tensor) else f"activations[{k}]"
            rows = check(name, block)
            if rows.shape[1] != self.p or rows.dtype != self.dtype:
                raise ValueError(
                    f"{name}: wanted {self.p} columns of {self.dtype} as in the first block, got "
                    f"{rows.shape[1]} of {rows.dtype}."
                )
            self.n += len(rows)
            squares += sum(squares_of(part) for part in _parts(rows, self._chunk))
        if squares == 0:
            raise ValueError(f"activations: wanted a number other than 0, got {self.n} rows of zeros.")
        bits = round(0.5 * math.log2(squares / (self.n * self.p)))
        self.scale = 2.0 ** max(-_MOST_BITS, min(bits, _MOST_BITS))
        self.squares = squares / self.scale**2

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        return ((place, part / self.scale) for place, part in self.unscaled())

    def unscaled(self) -> Iterator[tuple[slice, Tensor]]:
        """Go through the blocks as they were given, without a copy where they are on the device."""
        start = 0
        for block in self._blocks:
            for part in _parts(block.detach(), self._chunk):
                yield slice(start, start + len(part)), part.to(self.device, self.dtype)
                start += len(part)

    def undivided(self) -> tuple[float, Iterator[tuple[slice, Tensor]]]:
        """Return a divisor, the scale, and the blocks as they were given: no copy is made where products of them fit.

        Elsewhere the divisor is 1, and the blocks are divided already. Numbers are the same either way.
        """
        fit = _SCALES[0] <= self.scale <= _SCALES[1]
        return (self.scale, self.unscaled()) if fit else (1.0, iter(self))

    def take(self, indices: Sequence[int]) -> Tensor:
        """Return some rows, in the order asked for, in one loop."""
        wanted, found = set(indices), dict[int, Tensor]()
        for place, block in self:
            found |= {k: block[k - place.start] for k in wanted if place.start <= k < place.stop}
        return torch.stack([found[k] for k in indices])


class Remainder:
    """What codes and bank leave of rows, as a loop over (place, block)."""

    def __init__(self, rows: Rows, codes: Tensor, bank: Tensor) -> None:
        self.n, self.p, self.device, self.dtype = rows.n, rows.p, rows.device, rows.dtype
        self._rows, self._codes, self._bank = rows, codes, bank

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        for place, block in self._rows:
            yield place, torch.addmm(block, self._codes[place], self._bank, alpha=-1)

    def undivided(self) -> tuple[float, Iterator[tuple[slice, Tensor]]]:
        """Return 1, and what is left of the rows at their scale."""
        return 1.0, iter(self)
