"""NMF of several classes at once: the same steps as `whatwhere.engine.nmf.hals`, as batched products.

The activations of the classes are padded with rows of zeros to a common height. Such rows have codes 0 and change
neither the bank nor the error, so every class goes its own way, the one it would go alone, and stops where it would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from whatwhere.engine._alternating import FIRST_SWEEPS, MOST_SEEDS, SWEEPS, Plan, check_rank
from whatwhere.engine._checks import integer
from whatwhere.engine._rows import Rows, exact_products, wide
from whatwhere.engine._svd import nndsvd
from whatwhere.engine.factors import Factors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_WHOLE = 2**62  # rows of a block: blocks are taken as they are


def hals_batched(
    activations: Sequence[Tensor | Sequence[Tensor]],
    rank: int,
    *,
    tolerance: float = 1e-5,
    iterations: int = 200,
    seed: int = 0,
    device: torch.device | None = None,
) -> Iterator[tuple[Factors, ...]]:
    """Factorise the activations of several classes, each for itself, with one batched product for all.

    Parameters
    ----------
    activations : sequence of Tensor of shape (n_c, p), or of sequence of Tensor of shape (n_i, p)
        A of each class, whole or in blocks of rows, at least 0, of one dtype; the numbers of rows may differ.
    rank : int
        Number r of atoms of every class, 1 to min(n_c, p).
    tolerance : float, default 1e-5
        A class stops when one iteration lowers its relative error by no more than this share of it; 0 to 1.
    iterations : int, default 200
        Most iterations, at least 0.
    seed : int, default 0
        Of the sketches of the starts, which are those of `whatwhere.engine.nmf.hals` with ``init="nndsvd"``.
    device : torch.device, optional
        Where to compute; that of the first class by default.

    Returns
    -------
    iterator of tuple of Factors
        One of each class, in their order; a class that has stopped keeps its last one. The last tuple has all that
        converged, or what the budget allowed.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If there is no class, the activations of one are no matrix of finite numbers of at least 0 with one above 0,
        columns or dtypes differ, the rank is larger than a class allows, or an option is out of its range.

    Notes
    -----
    Equal to solo runs but for rounding. All classes are held on the device at once: 2 C max(n_c) p numbers for C
    classes. It pays where one class does not fill the device, as on a GPU; on a CPU it saves up to a fifth for classes
    of a few megabytes together, and costs a tenth more beyond.

    Examples
    --------
    >>> *_, last = hals_batched([torch.eye(3) * 2, torch.eye(3)[:2]], 2)
    >>> [factors.codes.shape[0] for factors in last]
    [3, 2]
    """
    steps = hals_batched_steps(activations, rank, tolerance=tolerance, iterations=iterations, seed=seed, device=device)
    return (factors for factors in steps if factors is not None)


def hals_batched_steps(
    activations: Sequence[Tensor | Sequence[Tensor]],
    rank: int,
    *,
    tolerance: float = 1e-5,
    iterations: int = 200,
    seed: int = 0,
    device: torch.device | None = None,
) -> Iterator[tuple[Factors, ...] | None]:
    """Factorise the activations of several classes as a computation that can be stopped while it begins as well.

    Parameters
    ----------
    activations, rank, tolerance, iterations, seed, device : object
        As for `hals_batched`.

    Returns
    -------
    iterator of tuple of Factors or None
        None once for each class while its start is found, then as from `hals_batched`.

    Raises
    ------
    TypeError, ValueError
        As from `hals_batched`.
    """
    classes = list(activations)
    if not classes:
        raise ValueError("activations: wanted the matrices of one class at least, got none.")
    rows = [_named(0, classes[0], device)]
    rows += [_named(k, a, rows[0].device) for k, a in enumerate(classes[1:], 1)]
    shape, integer_seed = (rows[0].p, rows[0].dtype), integer("seed", seed, 0, 2**63 - 1)
    for k, one in enumerate(rows):
        if (one.p, one.dtype) != shape:
            raise ValueError(
                f"activations[{k}]: wanted {shape[0]} columns of {shape[1]} as in the first class, got {one.p} of "
                f"{one.dtype}."
            )
        rank = check_rank(rank, one)
    return _run(rows, rank, integer_seed, Plan(None, iterations, tolerance))


def _named(k: int, activations: Tensor | Sequence[Tensor], device: torch.device | None) -> Rows:
    """Check the activations of one class; errors say which."""
    given: object = activations  # callers may not have looked at the annotation
    blocks = isinstance(given, Sequence) and len(given) and isinstance(given[0], torch.Tensor)
    if not blocks and not isinstance(given, torch.Tensor):
        raise TypeError(f"activations[{k}]: wanted a torch.Tensor, got {type(given).__name__}; or one of its blocks.")
    try:
        return Rows(activations, device=device, chunk=_WHOLE, signed=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"activations[{k}]: {error}") from error


@dataclass
class _Stack:
    """The classes that still go on: which they are, padded activations, codes (C, r, n), bank (C, r, p).

    What they leave of the activations is written to one place all along: fresh memory of that size costs more than the
    products that fill it.
    """

    which: list[int]
    a: Tensor
    left: Tensor
    codes: Tensor
    bank: Tensor
    seeded: list[list[int]]

    def drop(self, place: int) -> None:
        """Leave a class out that has stopped: the last one takes its place."""
        last = len(self.which) - 1
        for held in (self.a, self.codes, self.bank):
            held[place] = held[last]
        self.which[place], self.seeded[place] = self.which[last], self.seeded[last]
        del self.which[last], self.seeded[last]
        self.a, self.left, self.codes, self.bank = (held[:last] for held in (self.a, self.left, self.codes, self.bank))


def _run(rows: list[Rows], rank: int, seed: int, plan: Plan) -> Iterator[tuple[Factors, ...] | None]:
    starts = []
    for one in rows:
        with exact_products(one.device):
            starts.append(nndsvd(one, rank, seed))
        yield None
    with exact_products(rows[0].device):
        stack = _stacked(rows, starts)
        squares = _sweep(stack, FIRST_SWEEPS)[2]
    states = [_factors(0, one, stack, k, squares[k]) for k, one in enumerate(rows)]
    yield tuple(states)
    for iteration in range(1, plan.iterations + 1):
        for k in reversed(range(len(stack.which))):
            if states[stack.which[k]].converged:
                stack.drop(k)
        if not stack.which:
            return
        with exact_products(rows[0].device):
            squares, revived = _iterate(rows, stack)
        for k, c in enumerate(stack.which):
            new, before = _factors(iteration, rows[c], stack, k, squares[k]), states[c].error
            settled = not revived[k] and before - new.error <= plan.tolerance * before
            states[c] = replace(new, converged=new.converged or settled)
        yield tuple(states)


def _stacked(rows: list[Rows], starts: list[Tensor]) -> _Stack:
    """Pad the activations, with the banks that solo runs begin with and codes of 0."""
    bank = torch.stack(starts)
    most = max(one.n for one in rows)
    a = bank.new_zeros(len(rows), most, rows[0].p)
    for k, one in enumerate(rows):
        for place, block in one:
            a[k, place] = block
    codes = bank.new_zeros(len(rows), len(starts[0]), most)
    return _Stack(list(range(len(rows))), a, torch.empty_like(a), codes, bank, [[0] * len(starts[0]) for _ in rows])


def _factors(iteration: int, rows: Rows, stack: _Stack, k: int, squares: float) -> Factors:
    error = (max(squares, 0.0) / rows.squares) ** 0.5
    codes = stack.codes[k, :, : rows.n].T * rows.scale
    return Factors(
        iteration, error, codes.contiguous(), stack.bank[k].clone(), error <= 8 * torch.finfo(rows.dtype).eps
    )


def _sweep(stack: _Stack, sweeps: int) -> tuple[Tensor, Tensor, list[float], Tensor]:
    """Set each atom's codes to their best values in turn; returns P, Q, the squared errors and the residuals."""
    products = stack.bank @ stack.a.mT
    squares_of_atoms = wide(stack.bank) @ wide(stack.bank).mT
    gram, codes = squares_of_atoms.to(stack.bank), stack.codes
    alive = (squares_of_atoms.diagonal(dim1=1, dim2=2) > 0).to(gram.device)
    for _ in range(sweeps):
        for k in range(codes.shape[1]):
            size = torch.where(alive[:, k], gram[:, k, k], 1)[:, None]
            step = (products[:, k] - (gram[:, k, None] @ codes)[:, 0]) / size
            codes[:, k] = torch.where(alive[:, k, None], (codes[:, k] + step).clamp_min(0), codes[:, k])
    residual = torch.baddbmm(stack.a, codes.mT, stack.bank, alpha=-1, out=stack.left)
    squares = wide(residual.square().sum(dim=2)).sum(dim=1).tolist()
    return wide(codes @ residual), wide(codes @ codes.mT), squares, residual


def _iterate(rows: list[Rows], stack: _Stack) -> tuple[list[float], list[bool]]:
    """Update the codes, then the banks, and revive atoms that died; returns squared errors and where any revived."""
    eps = torch.finfo(stack.a.dtype).eps
    limits = [eps**2 * rows[c].squares for c in stack.which]
    energy = wide(stack.codes.square().sum(dim=2)) * wide(stack.bank).square().sum(dim=2)
    dead = (energy <= energy.new_tensor(limits)[:, None]).tolist()
    p, q, squares, residual = _sweep(stack, SWEEPS)
    old = wide(stack.bank)
    new = _updated(old, p, q)
    change = new - old
    fall = -2 * (p * change).sum(dim=(1, 2)) + ((q @ change) * change).sum(dim=(1, 2))
    lengths = torch.linalg.vector_norm(new, dim=2, keepdim=True)
    stack.bank.copy_(new / torch.where(lengths > 0, lengths, 1))
    stack.codes *= lengths.to(stack.codes)
    revived = [False] * len(stack.which)
    for k, (line, limit) in enumerate(zip(dead, limits, strict=True)):
        idle = [j for j, is_dead in enumerate(line) if is_dead and stack.seeded[k][j] < MOST_SEEDS]
        if idle:
            energies = q[k].diagonal() * lengths[k, :, 0] ** 2
            idle = [j for j in idle if energies[j] <= limit]
            revived[k] = _revive(stack, k, idle, residual[k])
    return [s + f for s, f in zip(squares, fall.tolist(), strict=True)], revived


def _revive(stack: _Stack, k: int, idle: list[int], residual: Tensor) -> bool:
    """Let the idle atoms of one class begin anew as its longest residual rows, without codes at first."""
    lengths, eps = torch.linalg.vector_norm(residual, dim=1), torch.finfo(residual.dtype).eps
    longest = residual[lengths.argsort(descending=True, stable=True)[: len(idle)]].relu()
    revived = False
    for j, row in zip(idle, longest, strict=True):
        length = torch.linalg.vector_norm(row)
        if float(length) > 8 * eps * residual.shape[1] ** 0.5:
            stack.bank[k, j], stack.codes[k, j], revived = row / length, 0, True
            stack.seeded[k][j] += 1
    return revived


def _updated(bank: Tensor, gradient: Tensor, gram: Tensor) -> Tensor:
    """Set each atom of each bank to its best values in turn; all float64."""
    bank, left = bank.clone(), gradient.clone()
    for _ in range(SWEEPS):
        for k in range(bank.shape[1]):
            size = gram[:, k, k, None]
            best = (bank[:, k] + left[:, k] / torch.where(size > 0, size, 1)).clamp_min(0)
            change = torch.where(size > 0, best - bank[:, k], 0)
            bank[:, k] += change
            left -= gram[:, :, k, None] * change[:, None]
    return bank
