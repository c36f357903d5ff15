"""Leading right singular vectors of activations that are seen block by block, by subspace iteration.

References
----------
N. Halko, P.-G. Martinsson, J. A. Tropp, "Finding structure with randomness", SIAM Review 53 (2011), arXiv:0909.4061.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from whatwhere.engine._rows import wide

if TYPE_CHECKING:
    from torch import Tensor

    from whatwhere.engine._rows import Blocks

_MORE = 10  # columns beyond those asked for
_ROUNDS = 4


def right_vectors(rows: Blocks, count: int, seed: int, rounds: int = _ROUNDS) -> Tensor:
    """Return the `count` leading right singular vectors, (p, count) in float64, largest singular value first."""
    width = min(rows.p, rows.n, count + _MORE)
    generator = torch.Generator().manual_seed(seed)
    basis = wide(torch.randn(rows.p, width, generator=generator, dtype=torch.float64).to(rows.device, rows.dtype))
    basis = torch.linalg.qr(basis).Q
    for _ in range(rounds):
        basis = torch.linalg.qr(_through(rows, basis)[0]).Q
    _, vectors = torch.linalg.eigh(_through(rows, basis)[1])
    return basis @ vectors.flip(1)[:, :count]


def signed_energy(rows: Blocks, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the energy of the positive and of the negative parts of A V, each (count,) in float64."""
    narrow = vectors.to(rows.device, rows.dtype)
    up, down = vectors.new_zeros(vectors.shape[1]), vectors.new_zeros(vectors.shape[1])
    scale, blocks = rows.undivided()
    for _, block in blocks:
        images = (block @ narrow).div_(scale)
        up += wide(images.relu().square().sum(dim=0))
        down += wide((-images).relu().square().sum(dim=0))
    return up, down


def nndsvd(rows: Blocks, rank: int, seed: int) -> Tensor:
    """Return atoms of length 1: of each right singular vector, the part of the sign whose product is larger."""
    vectors = right_vectors(rows, rank, seed)
    up, down = signed_energy(rows, vectors)
    parts = torch.stack([vectors.relu(), (-vectors).relu()])
    keep_up = up * parts[0].square().sum(dim=0) >= down * parts[1].square().sum(dim=0)
    return unit_atoms(torch.where(keep_up, parts[0], parts[1]).T).to(rows.device, rows.dtype)


def unit_atoms(atoms: Tensor) -> Tensor:
    """Return atoms at length 1; dead ones stay zeros."""
    lengths = torch.linalg.vector_norm(atoms, dim=1, keepdim=True)
    return atoms / torch.where(lengths > 0, lengths, 1)


def _through(rows: Blocks, basis: Tensor) -> tuple[Tensor, Tensor]:
    """Return A'(A V) and (A V)'(A V)."""
    narrow = basis.T.to(rows.device, rows.dtype).contiguous()  # a wide matrix on the left is multiplied fastest
    back, gram = torch.zeros_like(basis.T), basis.new_zeros(basis.shape[1], basis.shape[1])
    scale, blocks = rows.undivided()
    for _, block in blocks:
        images = (narrow @ block.T).div_(scale)
        back += wide(images @ block)
        gram += wide(images @ images.T)
    return back.T / scale, gram
