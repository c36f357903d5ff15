"""Alternating updates of codes and bank that see the activations once an iteration, block by block.

One pass updates the codes U of each block for the bank W as it is, and adds up what the bank's update needs: the
residual's P = U'(A - U W) and the Gram matrix Q = U'U. For a change D of the bank the squared error then changes by
exactly -2 <P, D> + <Q D, D>, so neither the update nor its error needs a second pass.

While the error is large P is U'A - Q W, and the squared error ||A||^2 - 2 <U'A, W> + <Q, W W'>: two products with A and
no residual. Both suffer from cancellation, which leaves nothing of relative errors below 1e-3 in float32, so small
errors go by the residual itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from whatwhere.engine._checks import integer
from whatwhere.engine._rows import Rows, exact_products, like_matrix, non_negative, squares_of, wide
from whatwhere.engine.factors import Factors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    BankUpdate = Callable[[Tensor, Tensor, Tensor], Tensor]  # W, P, Q -> W, all float64

SWEEPS = 3  # over the atoms, a pass: cheap beside the pass itself
FIRST_SWEEPS = 10  # from codes of zero
MOST_SEEDS = 3  # times that an atom is revived
_LARGE = 0.2  # relative error from which products are exact enough: to a millionth of it in float32


@dataclass(frozen=True)
class Plan:
    """How the bank is updated, if it is; how long to go on; how a row's residual becomes an atom."""

    update: BankUpdate | None
    iterations: int
    tolerance: float
    as_atom: Callable[[Tensor], Tensor] = torch.relu

    def __post_init__(self) -> None:
        """Check the budget."""
        object.__setattr__(self, "iterations", integer("iterations", self.iterations, 0))
        if isinstance(self.tolerance, bool) or not isinstance(self.tolerance, int | float):
            raise TypeError(f"tolerance: wanted a number, got {type(self.tolerance).__name__} {self.tolerance!r}.")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance: wanted a share of the error, from 0 to below 1, got {self.tolerance!r}.")


@dataclass
class Pass:
    """What one pass over the activations leaves: new codes, P, Q, the squared error, and the worst rows."""

    codes: Tensor
    gradient: Tensor
    gram: Tensor
    squares: float
    seeds: Tensor


def check_rank(rank: int, rows: Rows) -> int:
    """Return the number of atoms, which may not be larger than the matrix allows."""
    rank = integer("rank", rank, 1)
    if rank > min(rows.n, rows.p):
        raise ValueError(
            f"rank: wanted at most min(n, p) = {min(rows.n, rows.p)} atoms for activations of shape "
            f"{(rows.n, rows.p)}, got {rank}; ask for fewer atoms, or give more rows."
        )
    return rank


def check_start(start: tuple[Tensor, Tensor], rank: int, rows: Rows, *, signed: bool) -> tuple[Tensor, Tensor]:
    """Return codes and bank to go on from, on the rows' device and scale."""
    codes, bank = non_negative("start[0]", start[0]), (like_matrix if signed else non_negative)("start[1]", start[1])
    if codes.shape != (rows.n, rank) or bank.shape != (rank, rows.p):
        raise ValueError(
            f"start: wanted codes of shape (n, rank) = {(rows.n, rank)} and a bank of shape (rank, p) = "
            f"{(rank, rows.p)}, got {tuple(codes.shape)} and {tuple(bank.shape)}."
        )
    return codes.to(rows.device, rows.dtype) / rows.scale, bank.to(rows.device, rows.dtype)


def check_bank(bank: Tensor, rows: Rows, *, signed: bool) -> Tensor:
    """Return a fixed bank on the rows' device."""
    atoms = (like_matrix if signed else non_negative)("bank", bank)
    if atoms.shape[1] != rows.p:
        raise ValueError(f"bank: wanted {rows.p} columns as the activations have, got shape {tuple(atoms.shape)}.")
    return atoms.to(rows.device, rows.dtype)


def alternate(rows: Rows, codes: Tensor | None, bank: Tensor, plan: Plan) -> Iterator[Factors]:
    """Yield the start as iteration 0, then every iteration, until the error no longer falls or the budget is spent."""
    floor = 8 * torch.finfo(rows.dtype).eps
    with exact_products(rows.device):
        step = one_pass(rows, codes, bank, 0 if codes is not None else FIRST_SWEEPS, 0)
    error, seeded = (step.squares / rows.squares) ** 0.5, [0] * len(bank)
    yield Factors(0, error, step.codes * rows.scale, bank.clone(), error <= floor)
    for iteration in range(1, plan.iterations + 1):
        if error <= floor:
            return
        with exact_products(rows.device):
            codes, bank, new, revived = _iterate(rows, step.codes, bank, plan, seeded, error=error)
        converged = new <= floor or (not revived and error - new <= plan.tolerance * error)
        error, step.codes = new, codes
        yield Factors(iteration, error, codes * rows.scale, bank.clone(), converged)
        if converged:
            return


def _iterate(
    rows: Rows, codes: Tensor, bank: Tensor, plan: Plan, seeded: list[int], *, error: float
) -> tuple[Tensor, Tensor, float, bool]:
    """Update codes, then bank; revive atoms that died. Returns codes, bank, relative error, whether any revived."""
    dead = [k for k in _dead(codes, bank, rows) if seeded[k] < MOST_SEEDS] if plan.update else []
    done = one_pass(rows, codes, bank, SWEEPS, len(dead), error=error)
    if plan.update is None:
        return done.codes, bank, (done.squares / rows.squares) ** 0.5, False
    old = wide(bank)
    new = plan.update(old.clone(), done.gradient, done.gram)
    lengths = torch.linalg.vector_norm(new, dim=1, keepdim=True)
    change = new - old
    squares = done.squares - 2 * float((done.gradient * change).sum()) + float(((done.gram @ change) * change).sum())
    new = new / torch.where(lengths > 0, lengths, 1)
    codes = done.codes * lengths.T.to(codes)
    revived, eps = False, torch.finfo(rows.dtype).eps
    for k, row in zip(dead, plan.as_atom(done.seeds), strict=False):
        length = torch.linalg.vector_norm(row)
        energy = float(done.gram[k, k] * lengths[k] ** 2)
        if energy <= eps**2 * rows.squares and float(length) > 8 * eps * rows.p**0.5:
            new[k], codes[:, k], revived = wide(row / length), 0, True
            seeded[k] += 1
    return codes, new.to(bank), (max(squares, 0.0) / rows.squares) ** 0.5, revived


def _dead(codes: Tensor, bank: Tensor, rows: Rows) -> list[int]:
    """List atoms whose energy is below what the dtype resolves."""
    energy = wide(codes.square().sum(dim=0)) * wide(bank).square().sum(dim=1)
    return (energy <= torch.finfo(rows.dtype).eps ** 2 * rows.squares).nonzero().flatten().tolist()


def one_pass(rows: Rows, codes: Tensor | None, bank: Tensor, sweeps: int, worst: int, *, error: float = 0.0) -> Pass:
    """Update the codes block by block and add up P, Q and the squared error; keep the `worst` residual rows.

    `error` is the relative error as last known: a large one goes by products alone.
    """
    if not worst and error >= _LARGE:
        return _by_products(rows, codes, bank, sweeps)
    update, out = _Codes(bank, sweeps), bank.new_zeros(rows.n, len(bank)) if codes is None else codes.clone()
    p, q = wide(torch.zeros_like(bank)), torch.zeros_like(update.gram)
    squares, seeds = 0.0, bank.new_zeros(0, rows.p)
    for place, block in rows:
        u = update(out[place], bank @ block.T)
        out[place] = u.T
        residual = torch.addmm(block, u.T, bank, alpha=-1)
        p += wide(u @ residual)
        q += wide(u @ u.T)
        squares += squares_of(residual)
        if worst:
            seeds = _largest(torch.cat([seeds, residual]), worst)
    return Pass(out, p, q, squares, seeds)


def _by_products(rows: Rows, codes: Tensor | None, bank: Tensor, sweeps: int) -> Pass:
    """Make a pass without the residual."""
    update, out = _Codes(bank, sweeps), bank.new_zeros(rows.n, len(bank)) if codes is None else codes.clone()
    back, q = wide(torch.zeros_like(bank)), torch.zeros_like(update.gram)
    inner, (scale, blocks) = q.new_zeros(()), rows.undivided()
    for place, block in blocks:
        products = (bank @ block.T).div_(scale)
        u = update(out[place], products)
        out[place] = u.T
        back += wide(u @ block)
        q += wide(u @ u.T)
        inner += wide((u * products).sum(dim=1)).sum()
    squares = rows.squares + float((q * update.gram).sum() - 2 * inner)
    return Pass(out, back / scale - q @ wide(bank), q, max(squares, 0.0), bank.new_zeros(0, rows.p))


class _Codes:
    """The update of codes for a bank; `gram` is W W' in float64."""

    def __init__(self, bank: Tensor, sweeps: int) -> None:
        self._sweeps, self.gram = sweeps, wide(bank) @ wide(bank).T
        self._gram, self._alive = self.gram.to(bank), alive_of(self.gram)

    def __call__(self, codes: Tensor, products: Tensor) -> Tensor:
        """Return new codes (r, m) of a block, from those that it has (m, r) and W A' (r, m)."""
        return sweep(codes.T.contiguous(), products, self._gram, self._alive, self._sweeps)


def _largest(residual: Tensor, count: int) -> Tensor:
    """Return the longest rows, longest first."""
    lengths = torch.linalg.vector_norm(residual, dim=1)
    return residual[lengths.argsort(descending=True, stable=True)[:count]]


def alive_of(gram: Tensor) -> list[int]:
    """List the atoms that are no zeros."""
    return (gram.diagonal() > 0).nonzero().flatten().tolist()


def sweep(u: Tensor, products: Tensor, gram: Tensor, alive: list[int], sweeps: int) -> Tensor:
    """Set each atom's codes to their best values in turn, in place: max(0, (b_k - sum of G_kj u_j, j not k) / G_kk).

    `u` and `products` = W A' are (r, rows), `gram` = W W' is (r, r). Activations may change places with codes, since
    the bank's best values for given codes are found in the same way.
    """
    sizes = torch.where(gram.diagonal() > 0, gram.diagonal(), 1)[:, None]
    weights = (gram / -sizes).fill_diagonal_(0).unbind()
    targets, rows, columns = (products / sizes).unbind(), u.unbind(), u.T
    for _ in range(sweeps):
        for k in alive:
            rows[k].copy_(torch.addmv(targets[k], columns, weights[k]).clamp_min_(0))
    return u
