"""Non-negative matrix factorisation by hierarchical alternating least squares, as a computation that can stop any time.

Activations A (n, p) >= 0 are written as U W with codes U (n, r) >= 0 and a bank W (r, p) >= 0. Each atom's codes, then
each atom, are set to their exact best values with everything else held: the error never increases. Several sweeps over
the atoms share one pass over the activations.

References
----------
A. Cichocki, A.-H. Phan, "Fast local algorithms for large scale nonnegative matrix and tensor factorizations", IEICE
Trans. Fundamentals E92-A (2009), doi:10.1587/transfun.E92.A.708. N. Gillis, F. Glineur, "Accelerated multiplicative
updates and hierarchical ALS algorithms for nonnegative matrix factorization", Neural Computation 24 (2012),
arXiv:1107.5194, for several sweeps a pass. C. Boutsidis, E. Gallopoulos, "SVD based initialization: a head start for
nonnegative matrix factorization", Pattern Recognition 41 (2008), doi:10.1016/j.patcog.2007.09.010, for ``"nndsvd"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from whatwhere.engine._alternating import SWEEPS, Plan, alive_of, alternate, check_bank, check_rank, check_start, sweep
from whatwhere.engine._checks import integer
from whatwhere.engine._rows import Rows, exact_products
from whatwhere.engine._svd import nndsvd, unit_atoms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from whatwhere.engine.factors import Factors

Init = Literal["nndsvd", "random"]
INITS = ("nndsvd", "random")


def hals(
    activations: Tensor | Sequence[Tensor],
    rank: int,
    *,
    init: Init = "nndsvd",
    start: tuple[Tensor, Tensor] | None = None,
    tolerance: float = 1e-5,
    iterations: int = 200,
    seed: int = 0,
    device: torch.device | None = None,
    chunk: int | None = None,
) -> Iterator[Factors]:
    """Factorise activations into codes and a bank, both at least 0, better and better.

    Parameters
    ----------
    activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
        A, at least 0, whole or in blocks of rows. A sequence is asked for each block once a pass, in order, so it may
        load them. float64 is computed in float64, every other dtype in float32.
    rank : int
        Number r of atoms, 1 to min(n, p).
    init : {"nndsvd", "random"}
        Where the bank begins: the non-negative parts of the leading singular vectors, or random numbers. Not looked at
        if `start` is given.
    start : tuple of (Tensor of shape (n, r), Tensor of shape (r, p)), optional
        Codes and bank to go on from; those of a former step go on as if it had never stopped, but for the atoms' right
        to be revived, which begins anew.
    tolerance : float, default 1e-5
        Stop when one iteration lowers the relative error by no more than this share of it; 0 to 1.
    iterations : int, default 200
        Most iterations, at least 0. It does not change what they give: a shorter run is a prefix of a longer one.
    seed : int, default 0
        Same seed, same factors, from 0 to 2^63 - 1; ``"nndsvd"`` uses it for the sketch of its singular vectors.
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
        If the activations are not a matrix of finite numbers of at least 0 with one above 0, the rank is larger than
        they allow, `start` does not fit them, or an option is out of its range. All before the first iteration.

    Notes
    -----
    The error never increases, but for rounding (about 1e-7 of ||A|| in float32). There is no penalty, and the result
    scales with the activations. The solver finds a local optimum: with pure rows for every atom it is most often the
    planted one, without any it need not be.

    An atom whose energy vanishes is revived from the row with the longest residual, up to three times, as an atom
    without codes at first, so that the error does not rise. Where there is no residual to explain, as with more atoms
    than the data's rank, it stays dead: see `Factors.dead`.

    An iteration is one pass of 2 n p r multiplications while the relative error is above 0.2, and of 3 n p r from there
    on; and 3 (n + p) r^2 for its sweeps.

    Examples
    --------
    >>> codes, bank = torch.rand(50, 3), torch.rand(3, 20)
    >>> *_, last = hals(codes @ bank, 3)
    >>> last.error < 0.02, last.bank.shape
    (True, torch.Size([3, 20]))
    """
    if init not in INITS:
        raise ValueError(f"init: wanted one of {INITS}, got {init!r}.")
    rows = Rows(activations, device=device, chunk=chunk, signed=False)
    rank, seed = check_rank(rank, rows), integer("seed", seed, 0, 2**63 - 1)
    plan = Plan(_update_bank, iterations, tolerance)
    if start is not None:
        codes, bank = check_start(start, rank, rows, signed=False)
        return alternate(rows, codes, bank, plan)
    with exact_products(rows.device):
        bank = (nndsvd if init == "nndsvd" else _random)(rows, rank, seed)
    return alternate(rows, None, bank, plan)


def encode(
    activations: Tensor | Sequence[Tensor],
    bank: Tensor,
    *,
    start: Tensor | None = None,
    tolerance: float = 1e-5,
    iterations: int = 200,
    device: torch.device | None = None,
    chunk: int | None = None,
) -> Iterator[Factors]:
    """Fit codes of at least 0 to a fixed bank, better and better.

    Parameters
    ----------
    activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
        A, of any sign, whole or in blocks of rows.
    bank : Tensor of shape (r, p)
        W, of any sign and scale; it stays as it is.
    start : Tensor of shape (n, r), optional
        Codes to go on from, at least 0; from 0 by default.
    tolerance : float, default 1e-5
        Stop when one iteration lowers the relative error by no more than this share of it; 0 to 1.
    iterations : int, default 200
        Most iterations, at least 0.
    device : torch.device, optional
        Where to compute; that of the activations by default.
    chunk : int, optional
        Most rows worked on at a time; by default 1,024 on a CPU and 4,096 elsewhere.

    Returns
    -------
    iterator of Factors
        As from `hals`, with the bank as it was given.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an argument is not a finite matrix, the shapes do not fit, or an option is out of its range.

    Notes
    -----
    For a quick and a growing answer. The rule that stops it looks at all rows together, so a row's codes depend on the
    others within the tolerance; `whatwhere.engine.nnls.nnls` gives the exact codes of each row for itself.
    """
    rows = Rows(activations, device=device, chunk=chunk)
    atoms = check_bank(bank, rows, signed=True)
    plan = Plan(None, iterations, tolerance)
    if start is None:
        return alternate(rows, None, atoms, plan)
    codes, _ = check_start((start, atoms), len(atoms), rows, signed=True)
    return alternate(rows, codes, atoms, plan)


def _random(rows: Rows, rank: int, seed: int) -> Tensor:
    """Return random atoms of length 1."""
    numbers = torch.rand(rank, rows.p, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return unit_atoms(numbers).to(rows.dtype).to(rows.device)


def _update_bank(bank: Tensor, gradient: Tensor, gram: Tensor) -> Tensor:
    """Set each atom to its best values in turn, in place; all float64."""
    return sweep(bank, gradient + gram @ bank, gram, alive_of(gram), SWEEPS)
