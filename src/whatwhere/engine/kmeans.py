"""K-means of activations that come in blocks: every row belongs to one atom.

Lloyd's iteration: each row goes to the nearest centre, each centre to the mean of its rows. As a factorisation the bank
holds the centres' directions, and a row's only code is its projection on the direction of its centre, or 0 where that
is negative. The projection is the best code for this atom, so the error is at most that of the centres themselves; a
code of 1 would say the same for every row of a cluster, and that a row of zeros shows its concept in full.

References
----------
S. P. Lloyd, "Least squares quantization in PCM", IEEE Trans. Information Theory 28 (1982),
doi:10.1109/TIT.1982.1056489. D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007,
for the start. A. Ghorbani, J. Wexler, J. Zou, B. Kim, "Towards automatic concept-based explanations", NeurIPS 2019,
arXiv:1902.03129, for clusters as concepts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from whatwhere.engine._alternating import Plan, check_bank
from whatwhere.engine._checks import integer
from whatwhere.engine._rows import Rows, exact_products, wide
from whatwhere.engine.factors import Factors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

_EXACT = "donot_use_mm_for_euclid_dist"


@dataclass
class _Pass:
    """What one pass leaves: labels, codes, sums and counts of the clusters, inertia, squared error, the worst rows."""

    codes: Tensor
    sums: Tensor
    counts: Tensor
    inertia: float
    squares: float
    worst: Tensor


def kmeans(
    activations: Tensor | Sequence[Tensor],
    rank: int,
    *,
    start: Tensor | None = None,
    tolerance: float = 1e-5,
    iterations: int = 200,
    seed: int = 0,
    device: torch.device | None = None,
    chunk: int | None = None,
) -> Iterator[Factors]:
    """Cluster activations around `rank` centres, better and better.

    Parameters
    ----------
    activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
        A, of any sign, whole or in blocks of rows. A sequence is asked for each block once a pass, in order. Rows of
        zeros belong to no cluster: their codes are 0, and they move no centre.
    rank : int
        Number r of clusters, 1 to n.
    start : Tensor of shape (q, p), optional
        At most r centres to begin with, in units of A; k-means++ adds those that are missing.
    tolerance : float, default 1e-5
        Stop when one iteration lowers the inertia by no more than this share of it; 0 to 1.
    iterations : int, default 200
        Most iterations, at least 0.
    seed : int, default 0
        Of the greedy k-means++ start, from 0 to 2^63 - 1: same seed, same clusters.
    device : torch.device, optional
        Where to compute; that of the activations by default.
    chunk : int, optional
        Most rows worked on at a time; by default 1,024 on a CPU and 4,096 elsewhere.

    Returns
    -------
    iterator of Factors
        Iteration 0 is the start. ``encoder["lengths"]`` (r,) are the lengths of the centres in units of A, so that the
        centres are ``lengths[:, None] * bank``.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If the activations are not a matrix of finite numbers with one other than 0, there are more clusters than rows,
        `start` does not fit them, or an option is out of its range.

    Notes
    -----
    The inertia, the summed squared distance of rows to their centres, never increases but for rounding; the error,
    which is of the projections, mostly falls with it. A cluster that lost its rows goes to the row furthest from its
    centre; where the activations have fewer distinct rows than clusters, the atoms left over are dead.

    An iteration is one pass of 3 n p r multiplications; the start takes 2 r passes of 2 + log r rows each.

    Examples
    --------
    >>> a = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 9.0]])
    >>> *_, last = kmeans(a, 2)
    >>> sorted(last.encoder["lengths"].tolist()), round(last.error, 6)
    ([2.0, 9.0], 0.0)
    """
    rows = Rows(activations, device=device, chunk=chunk)
    rank, plan = integer("rank", rank, 1), Plan(None, iterations, tolerance)
    if rank > rows.n:
        raise ValueError(f"rank: wanted at most n = {rows.n} clusters of {rows.n} rows, got {rank}.")
    given = torch.zeros(0, rows.p) if start is None else start
    if len(given) > rank:
        raise ValueError(
            f"start: wanted at most rank = {rank} centres, got {len(given)}; leave out those least wanted."
        )
    centres = check_bank(given, rows, signed=True) / rows.scale if len(given) else given.to(rows.device, rows.dtype)
    generator = torch.Generator().manual_seed(integer("seed", seed, 0, 2**63 - 1))
    return _run(rows, centres, rank, plan, generator)


def nearest(bank: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
    """Return the codes of new rows: the projection on the direction of the nearest centre, each row for itself.

    Parameters
    ----------
    bank : Tensor of shape (r, p)
        Directions of the centres, of length 1, or 0 where dead.
    lengths : Tensor of shape (r,)
        Lengths of the centres.
    rows : Tensor of shape (m, p)
        Activations, on the same device.

    Returns
    -------
    Tensor of shape (m, r)
        At most one number above 0 a row; of equally near centres the first has it. In the rows' dtype.
    """
    along = rows @ bank.T
    distances = (lengths - 2 * along) * lengths  # less the square of the row, the same for every centre
    distances = distances.masked_fill(~bank.any(dim=1), torch.inf)
    label = distances.argmin(dim=1, keepdim=True)
    return torch.zeros_like(along).scatter(1, label, along.gather(1, label).relu())


def _run(rows: Rows, given: Tensor, rank: int, plan: Plan, generator: torch.Generator) -> Iterator[Factors]:
    floor = (8 * torch.finfo(rows.dtype).eps) ** 2 * rows.squares
    with exact_products(rows.device):
        centres = _plus_plus(rows, given, rank, generator)
        step = _one_pass(rows, centres)
    converged = step.inertia <= floor
    yield _factors(0, rows, centres, step, converged=converged)
    for iteration in range(1, plan.iterations + 1):
        if converged:
            return
        with exact_products(rows.device):
            centres = _moved(centres, step)
            new = _one_pass(rows, centres)
        converged = new.inertia <= floor or step.inertia - new.inertia <= plan.tolerance * step.inertia
        step = new
        yield _factors(iteration, rows, centres, step, converged=converged)


def _factors(iteration: int, rows: Rows, centres: Tensor, step: _Pass, *, converged: bool) -> Factors:
    bank, lengths = _directions(centres)
    encoder = {"lengths": lengths * rows.scale}
    error = (step.squares / rows.squares) ** 0.5
    return Factors(iteration, error, step.codes * rows.scale, bank, converged, encoder=encoder)


def _directions(centres: Tensor) -> tuple[Tensor, Tensor]:
    lengths = torch.linalg.vector_norm(centres, dim=1)
    return centres / torch.where(lengths > 0, lengths, 1)[:, None], lengths


def _one_pass(rows: Rows, centres: Tensor) -> _Pass:
    """Assign every row and add up its cluster; keep the rows furthest from their centres, one a cluster."""
    bank, lengths = _directions(centres)
    rank = len(centres)
    codes, worst = bank.new_zeros(rows.n, rank), bank.new_zeros(0, rows.p + 1)
    sums, counts = wide(bank.new_zeros(rank, rows.p)), wide(bank.new_zeros(rank))
    inertia, squares = counts.new_zeros(()), counts.new_zeros(())
    for place, block in rows:
        along = block @ bank.T
        distances = ((lengths - 2 * along) * lengths).masked_fill(~bank.any(dim=1), torch.inf)
        member = torch.nn.functional.one_hot(distances.argmin(dim=1), rank).to(block) * block.any(dim=1, keepdim=True)
        codes[place] = along.relu() * member
        sums += wide(member.T @ block)
        counts += wide(member.sum(dim=0))
        apart = (block - member @ centres).square().sum(dim=1, keepdim=True)
        inertia += wide(apart).sum()
        squares += wide((block - codes[place] @ bank).square().sum(dim=1)).sum()
        worst = torch.cat([worst, torch.cat([apart, block], dim=1)])
        worst = worst[worst[:, 0].argsort(descending=True, stable=True)[:rank]]
    return _Pass(codes, sums, counts, float(inertia), float(squares), worst)


def _moved(centres: Tensor, step: _Pass) -> Tensor:
    """Return the means of the clusters; empty ones go to the rows furthest from their centres."""
    means = (step.sums / step.counts.clamp_min(1)[:, None]).to(centres)
    empty = (step.counts == 0).nonzero().flatten().tolist()
    limit = (8 * torch.finfo(centres.dtype).eps) ** 2 * centres.shape[1]
    for k, row in zip(empty, step.worst[: len(empty)], strict=False):
        if row[0] > limit:
            means[k] = row[1:]
    return means


def _plus_plus(rows: Rows, given: Tensor, rank: int, generator: torch.Generator) -> Tensor:
    """Return the given centres and more: of a few rows drawn by their squared distance, the one that helps most."""
    alive = torch.cat([block.any(dim=1).cpu() for _, block in rows])
    closest = alive.double()
    if len(given):
        closest *= torch.cat([_squared(block, given).amin(dim=1) for _, block in rows])
    centres, first = [*given], not len(given)
    trials = 2 + int(math.log(rank))
    while len(centres) < rank and closest.any():
        places = closest.nonzero().flatten()
        shares = closest[places].cumsum(0)
        drawn = torch.rand(trials, generator=generator, dtype=torch.float64) * shares[-1]
        picks = torch.searchsorted(shares, drawn, right=True).clamp_max(len(places) - 1)
        rivals = rows.take(places[picks].tolist())
        apart = torch.cat([_squared(block, rivals) for _, block in rows]) * alive[:, None]
        new = apart if first else torch.minimum(closest[:, None], apart)
        best = int(new.sum(dim=0).argmin())
        centres.append(rivals[best])
        closest, first = new[:, best], False
    centres += [torch.zeros_like(centres[0])] * (rank - len(centres))
    return torch.stack(centres)


def _squared(block: Tensor, points: Tensor) -> Tensor:
    """Return squared distances in float64 on the CPU; those of equal rows are exactly 0."""
    return torch.cdist(block, points, compute_mode=_EXACT).square().cpu().double()
