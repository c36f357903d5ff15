"""Leading right singular vectors of activations that are seen block by block, by subspace iteration.

References
----------
N. Halko, P.-G. Martinsson, J. A. Tropp, "Finding structure with randomness", SIAM Review 53 (2011), arXiv:0909.4061.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from whatwhere.engine._rows import Rows, wide

if TYPE_CHECKING:
    from torch import Tensor

_MORE = 10  # columns beyond those asked for
_ROUNDS = 4


def right_vectors(rows: Rows, count: int, seed: int) -> Tensor:
    """Return the `count` leading right singular vectors, (p, count) in float64, largest singular value first."""
    width = min(rows.p, rows.n, count + _MORE)
    generator = torch.Generator().manual_seed(seed)
    basis = wide(torch.randn(rows.p, width, generator=generator, dtype=torch.float64).to(rows.device, rows.dtype))
    basis = torch.linalg.qr(basis).Q
    for _ in range(_ROUNDS):
        basis = torch.linalg.qr(_through(rows, basis)[0]).Q
    _, vectors = torch.linalg.eigh(_through(rows, basis)[1])
    return basis @ vectors.flip(1)[:, :count]


def signed_energy(rows: Rows, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the energy of the positive and of the negative parts of A V, each (count,) in float64."""
    narrow = vectors.to(rows.device, rows.dtype)
    up, down = vectors.new_zeros(vectors.shape[1]), vectors.new_zeros(vectors.shape[1])
    for _, block in rows:
        images = block @ narrow
        up += wide(images.relu().square().sum(dim=0))
        down += wide((-images).relu().square().sum(dim=0))
    return up, down


def _through(rows: Rows, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Return A'(A V) and (A V)'(A V)."""
    narrow = basis.to(rows.device, rows.dtype)
    back, gram = torch.zeros_like(basis), basis.new_zeros(basis.shape[1], basis.shape[1])
    for _, block in rows:
        images = block @ narrow
        back += wide(block.T @ images)
        gram += wide(images.T @ images)
    return back, gram
