"""Semi-non-negative matrix factorisation: signed activations, codes of at least 0, a signed bank.

Activations A (n, p) of any sign are written as U W with codes U (n, r) >= 0 and a bank W (r, p) of any sign. As in
Ding, Li and Jordan, the bank is the least-squares solution for the codes, W = (U'U)^+ U'A. For the codes their
multiplicative rule is replaced by exact updates of one atom's codes at a time, which can leave 0 and do not increase
the error either.

References
----------
C. Ding, T. Li, M. I. Jordan, "Convex and semi-nonnegative matrix factorizations", IEEE Trans. Pattern Analysis and
Machine Intelligence 32 (2010), doi:10.1109/TPAMI.2008.277. N. Gillis, A. Kumar, "Exact and heuristic algorithms for
semi-nonnegative matrix factorization", SIAM J. Matrix Anal. Appl. 36 (2015), arXiv:1410.7220, for the start, and for
the proof that the best error is at most that of the best approximation of rank r - 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from whatwhere.engine._alternating import Plan, alternate, check_rank, check_start
from whatwhere.engine._checks import integer
from whatwhere.engine._rows import Rows, exact_products
from whatwhere.engine._svd import right_vectors, signed_energy, unit_atoms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from whatwhere.engine.factors import Factors

Init = Literal["svd", "rows"]
INITS = ("svd", "rows")


def semi_nmf(
    activations: Tensor | Sequence[Tensor],
    rank: int,
    *,
    init: Init = "svd",
    start: tuple[Tensor, Tensor] | None = None,
    tolerance: float = 1e-5,
    iterations: int = 200,
    seed: int = 0,
    device: torch.device | None = None,
    chunk: int | None = None,
) -> Iterator[Factors]:
    """Factorise signed activations into codes of at least 0 and a signed bank, better and better.

    Parameters
    ----------
    activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
        A, of any sign, whole or in blocks of rows. A sequence is asked for each block once a pass, in order, so it may
        load them. float64 is computed in float64, every other dtype in float32.
    rank : int
        Number r of atoms, 1 to min(n, p).
    init : {"svd", "rows"}
        Where the bank begins: r - 1 singular vectors and the negative of their sum, or rows of A drawn at random with
        probabilities in proportion to their energy. Not looked at if `start` is given.
    start : tuple of (Tensor of shape (n, r), Tensor of shape (r, p)), optional
        Codes and bank to go on from; those of a former step go on as if it had never stopped, but for the atoms' right
        to be revived, which begins anew.
    tolerance : float, default 1e-5
        Stop when one iteration lowers the relative error by no more than this share of it; 0 to 1.
    iterations : int, default 200
        Most iterations, at least 0. It does not change what they give: a shorter run is a prefix of a longer one.
    seed : int, default 0
        Same seed, same factors, from 0 to 2^63 - 1; ``"svd"`` uses it for the sketch of its singular vectors.
    device : torch.device, optional
        Where to compute; that of the activations by default. Blocks are moved there one at a time.
    chunk : int, optional
        Most rows worked on at a time; by default 1,024 on a CPU and 4,096 elsewhere. Memory beyond A: 2 n r + 3
        `chunk` p numbers.

    Returns
    -------
    iterator of Factors
        Iteration 0 is the start, with codes fitted to it unless `start` gives them. The last one has ``converged`` set
        unless the budget ran out. Each is valid to stop at, and nothing is held between two.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If the activations are not a matrix of finite numbers with one other than 0, the rank is larger than they allow,
        `start` does not fit them, or an option is out of its range. All before the first iteration.

    Notes
    -----
    The error never increases, but for rounding (about 1e-7 of ||A|| in float32). Atoms are not unique, even up to
    their order: compare reconstructions or subspaces, not atoms. Dead atoms are revived as by
    `whatwhere.engine.nmf.hals`. An iteration is one pass of 6 n p r multiplications, and 6 (n + p) r^2 beside it.

    Examples
    --------
    >>> codes, bank = torch.rand(50, 3), torch.randn(3, 20)
    >>> *_, last = semi_nmf(codes @ bank, 4)
    >>> last.error < 0.001, bool((last.codes >= 0).all())
    (True, True)
    """
    if init not in INITS:
        raise ValueError(f"init: wanted one of {INITS}, got {init!r}.")
    rows = Rows(activations, device=device, chunk=chunk)
    rank, seed = check_rank(rank, rows), integer("seed", seed, 0, 2**63 - 1)
    plan = Plan(_update_bank, iterations, tolerance, torch.clone)
    if start is not None:
        codes, bank = check_start(start, rank, rows, signed=True)
        return alternate(rows, codes, bank, plan)
    with exact_products(rows.device):
        bank = unit_atoms((_svd if init == "svd" else _drawn_rows)(rows, rank, seed))
    return alternate(rows, None, bank, plan)


def _update_bank(bank: Tensor, gradient: Tensor, gram: Tensor) -> Tensor:
    """Return the least-squares bank; atoms without codes stay as they are. All float64."""
    return bank + torch.linalg.pinv(gram, rtol=1e-12, hermitian=True) @ gradient


def _svd(rows: Rows, rank: int, seed: int) -> Tensor:
    """Return r - 1 singular vectors and minus their sum: what they span, such a bank spans with codes of at least 0."""
    vectors = right_vectors(rows, max(rank - 1, 1), seed)
    up, down = signed_energy(rows, vectors)
    atoms = (vectors * torch.where(up >= down, 1.0, -1.0).to(vectors)).T
    if rank > 1:
        atoms = torch.cat([atoms, -atoms.sum(dim=0, keepdim=True)])
    return atoms.to(rows.device, rows.dtype)


def _drawn_rows(rows: Rows, rank: int, seed: int) -> Tensor:
    """Return rows of A, drawn without repeats in proportion to their energy."""
    energies = torch.cat([block.square().sum(dim=1).cpu() for _, block in rows]).double()
    generator = torch.Generator().manual_seed(seed)
    keys = torch.rand(rows.n, generator=generator, dtype=torch.float64).log() / energies
    chosen = keys.argsort(descending=True, stable=True)[:rank].tolist()
    return rows.take(chosen)
