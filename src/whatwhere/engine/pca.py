"""Principal components of activations that come in blocks, exactly.

Activations A (n, p) are written as b + U W with b their mean, W the leading right singular vectors of A - b, and codes
U = (A - b) W' of either sign. No other b + U W of rank r leaves a smaller residual.

References
----------
C. Eckart, G. Young, "The approximation of one matrix by another of lower rank", Psychometrika 1 (1936),
doi:10.1007/BF02288367.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from whatwhere.engine._alternating import check_rank
from whatwhere.engine._checks import integer
from whatwhere.engine._rows import Remainder, Rows, exact_products, wide
from whatwhere.engine._svd import right_vectors
from whatwhere.engine.factors import Factors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

_DENSE = 4096  # sides up to which a decomposition of the whole matrix takes seconds
_ROUNDS = 30  # of subspace iteration above it


def pca(
    activations: Tensor | Sequence[Tensor],
    rank: int,
    *,
    seed: int = 0,
    device: torch.device | None = None,
    chunk: int | None = None,
) -> Iterator[Factors]:
    """Find the principal components of activations.

    Parameters
    ----------
    activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
        A, of any sign, whole or in blocks of rows. A sequence is asked for each block once a pass, in order.
    rank : int
        Number r of components, 1 to min(n, p).
    seed : int, default 0
        Of a sketch, from 0 to 2^63 - 1; looked at only if n and p are both above 4,096.
    device : torch.device, optional
        Where to compute; that of the activations by default.
    chunk : int, optional
        Most rows worked on at a time; by default 1,024 on a CPU and 4,096 elsewhere.

    Returns
    -------
    iterator of Factors
        One, converged, with the mean as its offset; components by falling energy, each turned to the side where it has
        more energy. Those beyond the rank of A - b are dead.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If the activations are not a matrix of finite numbers with one other than 0, or the rank is larger than they
        allow.

    Notes
    -----
    Computed in float64 from the matrix itself where n <= p, else from its p x p scatter matrix: n p^2 multiplications,
    3 passes, and 8 p^2 or 8 n p bytes. Where n and p are both above 4,096 the components come from 30 rounds of
    subspace iteration, and those of nearly equal energy may be mixed among themselves.

    Examples
    --------
    >>> (last,) = pca(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), 1)
    >>> last.bank, last.offset, last.codes.flatten()
    (tensor([[1., 0.]]), tensor([2., 5.]), tensor([-1.,  1.]))
    """
    rows = Rows(activations, device=device, chunk=chunk)
    return _run(rows, check_rank(rank, rows), integer("seed", seed, 0, 2**63 - 1))


def _run(rows: Rows, rank: int, seed: int) -> Iterator[Factors]:
    with exact_products(rows.device):
        mean = sum((wide(block).sum(dim=0) for _, block in rows), torch.zeros(())) / rows.n
        vectors = _components(rows, mean, rank, seed)
        codes, left = vectors.new_zeros(rows.n, rank), 0.0
        for place, block in rows:
            centred = wide(block) - mean
            codes[place] = centred @ vectors
            left += float((centred - codes[place] @ vectors.T).square().sum())
        alive = codes.square().sum(dim=0) > torch.finfo(rows.dtype).eps ** 2 * rows.squares
        down = (-codes).relu().square().sum(dim=0) > codes.relu().square().sum(dim=0)
        signs = torch.where(down, -1.0, 1.0).to(vectors) * alive
        bank, codes = (vectors * signs).T, codes * signs * rows.scale
        bank, codes, offset = (x.to(rows.device, rows.dtype) for x in (bank, codes, mean * rows.scale))
    yield Factors(0, (left / rows.squares) ** 0.5, codes, bank, converged=True, offset=offset)


def _components(rows: Rows, mean: Tensor, rank: int, seed: int) -> Tensor:
    """Return the leading right singular vectors of A - b, (p, rank) in float64, largest singular value first."""
    if min(rows.n, rows.p) > _DENSE:
        ones, offset = torch.ones(rows.n, 1), mean[None]
        rest = Remainder(rows, ones.to(rows.device, rows.dtype), offset.to(rows.device, rows.dtype))
        return right_vectors(rest, rank, seed, _ROUNDS)
    if rows.n <= rows.p:
        whole = torch.cat([wide(block) - mean for _, block in rows])
        return torch.linalg.svd(whole, full_matrices=False).Vh[:rank].T
    scatter = mean.new_zeros(rows.p, rows.p)
    for _, block in rows:
        centred = wide(block) - mean
        scatter += centred.T @ centred
    return torch.linalg.eigh(scatter).eigenvectors.flip(1)[:, :rank]
