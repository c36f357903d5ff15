"""Convex NMF: atoms that are mixtures of rows of the activations.

Activations A (n, p) of any sign are written as U W with codes U (n, r) >= 0 and a bank W = G A with weights G (r, n)
>= 0: atoms one can point at, each a few rows and their weights. Codes are updated as in `whatwhere.engine.nmf`. An atom
is set to the point of the cone of its candidate rows that is best for the codes, with the other atoms held: the exact
solution of a small non-negative least-squares problem. Candidates are the rows it is made of already and those along
which the error falls fastest, found anew in each iteration; so the error never increases, no n x n matrix is formed,
and an atom needs p rows at most.

References
----------
C. Ding, T. Li, M. I. Jordan, "Convex and semi-nonnegative matrix factorizations", IEEE Trans. Pattern Analysis and
Machine Intelligence 32 (2010), doi:10.1109/TPAMI.2008.277, for the model; their multiplicative rule needs A A'.
A. Kumar, V. Sindhwani, P. Kambadur, "Fast conical hull algorithms for near-separable non-negative matrix
factorization", ICML 2013, arXiv:1210.1190, for a start from the rows furthest from the cone of those chosen before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from whatwhere.engine._alternating import FIRST_SWEEPS, MOST_SEEDS, SWEEPS, Plan, check_rank, one_pass
from whatwhere.engine._rows import Remainder, Rows, exact_products, wide
from whatwhere.engine.factors import Dictionary, Factors
from whatwhere.engine.growing import exact_codes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from whatwhere.engine._alternating import Pass

_ENTERING = 6  # rows an atom may take in an iteration
_NONE = -1  # no row
_SAME = 1e-4  # distance of an atom from the mixture it is said to be, in its length
_PATIENCE = 30  # steps a candidate that the small problems may take


def convex_nmf(
    activations: Tensor | Sequence[Tensor],
    rank: int,
    *,
    start: Dictionary | None = None,
    tolerance: float = 1e-5,
    iterations: int = 200,
    device: torch.device | None = None,
    chunk: int | None = None,
) -> Iterator[Factors]:
    """Factorise activations into codes of at least 0 and mixtures of rows, better and better.

    Parameters
    ----------
    activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
        A, of any sign, whole or in blocks of rows. A sequence is asked for each block once a pass, in order.
    rank : int
        Number r of atoms, 1 to min(n, p).
    start : Dictionary, optional
        What this function gave for the same activations, with at most r atoms, to go on from; those that are missing
        begin as the rows that it reconstructs worst.
    tolerance : float, default 1e-5
        Stop when one iteration lowers the relative error by no more than this share of it; 0 to 1.
    iterations : int, default 200
        Most iterations, at least 0.
    device : torch.device, optional
        Where to compute; that of the activations by default. The small problems are solved on the CPU.
    chunk : int, optional
        Most rows worked on at a time; by default 1,024 on a CPU and 4,096 elsewhere.

    Returns
    -------
    iterator of Factors
        Iteration 0 is the start. ``encoder["mixture_rows"]`` (r, m) are numbers of rows, -1 where an atom needs fewer
        than m, and ``encoder["mixture_weights"]`` (r, m) their weights, 0 there: an atom is their sum.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If the activations are not a matrix of finite numbers with one other than 0, the rank is larger than they allow,
        `start` has too many atoms or none that are mixtures of these rows, or an option is out of its range.

    Notes
    -----
    There is no chance in it. On the same activations the error is at least that of semi-NMF at its best. Dead atoms
    begin anew, up to three times, as the row with the longest residual.

    An iteration is two passes of 10 n p r multiplications together, and r small problems of p equations on one core.

    Examples
    --------
    >>> bank = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    >>> *_, last = convex_nmf(torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]]) @ bank, 2)
    >>> last.error < 1e-6, last.encoder["mixture_rows"].tolist()
    (True, [[0], [1]])
    """
    rows = Rows(activations, device=device, chunk=chunk)
    rank, plan = check_rank(rank, rows), Plan(None, iterations, tolerance)
    return _run(rows, [] if start is None else _read(rows, rank, start), rank, plan)


@dataclass(frozen=True)
class _Atom:
    """A mixture of length 1, or dead: numbers of rows, the rows (m, p) and their weights (m,), float64 on the CPU."""

    numbers: list[int]
    rows: Tensor
    weights: Tensor

    @property
    def vector(self) -> Tensor:
        """The atom itself, (p,)."""
        return self.weights @ self.rows


def _run(rows: Rows, atoms: list[_Atom], rank: int, plan: Plan) -> Iterator[Factors]:
    floor, seeded = 8 * torch.finfo(rows.dtype).eps, [0] * rank
    with exact_products(rows.device):
        atoms = _completed(rows, atoms, rank)
        bank = _bank(atoms, rows)
        codes = exact_codes(rows, bank)
        error = (one_pass(rows, codes, bank, 0, 0).squares / rows.squares) ** 0.5
    converged = error <= floor
    yield Factors(0, error, codes * rows.scale, bank, converged, encoder=_encoder(atoms, rows))
    for iteration in range(1, plan.iterations + 1):
        if converged:
            return
        with exact_products(rows.device):
            done = one_pass(rows, codes, bank, SWEEPS, 0)
            atoms, lengths, squares = _improved(rows, atoms, done)
            codes = done.codes * lengths.to(done.codes)
            atoms, revived = _revived(rows, atoms, codes, seeded)
            bank = _bank(atoms, rows)
        new = (max(squares, 0.0) / rows.squares) ** 0.5
        converged = new <= floor or (not revived and error - new <= plan.tolerance * error)
        error = new
        yield Factors(iteration, error, codes * rows.scale, bank, converged, encoder=_encoder(atoms, rows))


def _improved(rows: Rows, atoms: list[_Atom], done: Pass) -> tuple[list[_Atom], Tensor, float]:
    """Set each atom in turn to its best mixture; returns atoms, the lengths that they had, and the squared error."""
    from scipy.optimize import nnls  # takes a quarter of a second to load, and this method is seldom asked for

    gradient, gram = done.gradient.cpu(), done.gram.cpu()
    old = torch.stack([atom.vector for atom in atoms])
    bank, left, new = old.clone(), gradient.clone(), list(atoms)
    lengths = torch.ones(len(atoms), dtype=torch.float64)
    entering = _steepest(rows, gradient)
    for k, atom in enumerate(atoms):
        if gram[k, k] <= 0:
            continue
        numbers, candidates = _joined(atom, *entering[k])
        sizes = torch.linalg.vector_norm(candidates, dim=1)
        target = bank[k] + left[k] / gram[k, k]
        most = _PATIENCE * len(numbers)
        weights = (
            torch.as_tensor(nnls((candidates / sizes[:, None]).T.numpy(), target.numpy(), maxiter=most)[0]) / sizes
        )
        used = weights > 0
        numbers = [number for number, kept in zip(numbers, used.tolist(), strict=True) if kept]
        new[k], lengths[k] = _unit(numbers, candidates[used], weights[used])
        change = new[k].vector * lengths[k] - bank[k]
        bank[k] += change
        left -= gram[:, k, None] * change
    change = bank - old
    squares = done.squares - 2 * float((gradient * change).sum()) + float(((gram @ change) * change).sum())
    return new, lengths, squares


def _revived(rows: Rows, atoms: list[_Atom], codes: Tensor, seeded: list[int]) -> tuple[list[_Atom], bool]:
    """Let atoms without energy begin anew, as the rows with the longest residuals, without codes at first."""
    idle = ~(codes != 0).any(dim=0).cpu() | torch.tensor([not atom.numbers for atom in atoms])
    dead = [k for k in idle.nonzero().flatten().tolist() if seeded[k] < MOST_SEEDS]
    if not dead:
        return atoms, False
    atoms, revived = list(atoms), False
    for k, number in zip(dead, _furthest(rows, codes, _bank(atoms, rows), len(dead)), strict=False):
        atoms[k], revived = _row(rows, number), True
        codes[:, k] = 0
        seeded[k] += 1
    return atoms, revived


def _completed(rows: Rows, atoms: list[_Atom], rank: int) -> list[_Atom]:
    """Add the row furthest from the cone of the atoms so far, until there are enough; dead ones if no row is."""
    atoms = list(atoms)
    while len(atoms) < rank:
        bank = _bank(atoms, rows)
        codes = one_pass(rows, None, bank, FIRST_SWEEPS, 0).codes
        found = _furthest(rows, codes, bank, 1)
        atoms.append(_row(rows, found[0]) if found else _unit([], wide(bank[:0]).cpu(), torch.zeros(0).double())[0])
    return atoms


def _unit(numbers: list[int], rows: Tensor, weights: Tensor) -> tuple[_Atom, float]:
    """Return a mixture at length 1, and the length that it had."""
    length = float(torch.linalg.vector_norm(weights @ rows))
    if length > 0:
        return _Atom(numbers, rows, weights / length), length
    return _Atom([], rows[:0], weights[:0]), 1.0


def _row(rows: Rows, number: int) -> _Atom:
    return _unit([number], wide(rows.take([number])).cpu(), torch.ones(1, dtype=torch.float64))[0]


def _bank(atoms: list[_Atom], rows: Rows) -> Tensor:
    vectors = [atom.vector for atom in atoms]
    bank = torch.stack(vectors) if vectors else torch.zeros(0, rows.p)
    return bank.to(rows.device, rows.dtype)


def _joined(atom: _Atom, numbers: list[int], candidates: Tensor) -> tuple[list[int], Tensor]:
    """Return an atom's rows and those that may enter, each once."""
    fresh = [j for j, number in enumerate(numbers) if number not in atom.numbers]
    return atom.numbers + [numbers[j] for j in fresh], torch.cat([atom.rows, candidates[fresh]])


def _steepest(rows: Rows, gradient: Tensor) -> list[tuple[list[int], Tensor]]:
    """For each atom, find the rows along whose direction the error falls fastest: numbers and rows, float64, CPU."""
    narrow = gradient.to(rows.device, rows.dtype)
    best = narrow.new_zeros(len(narrow), 0)
    numbers, found = best.long(), narrow.new_zeros(len(narrow), 0, rows.p)
    for place, block in rows:
        lengths = torch.linalg.vector_norm(block, dim=1)
        scores = torch.cat([best, (narrow @ block.T) / torch.where(lengths > 0, lengths, 1)], dim=1)
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :_ENTERING]
        here = torch.arange(place.start, place.stop, device=block.device).expand(len(narrow), -1)
        known, old = best.shape[1], order < best.shape[1]
        best, numbers = scores.gather(1, order), torch.cat([numbers, here], dim=1).gather(1, order)
        picked = block[(order - known).clamp_min(0)]
        if known:
            kept = found.gather(1, order.clamp_max(known - 1)[..., None].expand(-1, -1, rows.p))
            picked = torch.where(old[..., None], kept, picked)
        found = picked
    falling = (best > 0).cpu()
    return [
        ([n for n, keep in zip(line, kept.tolist(), strict=True) if keep], wide(data).cpu()[kept])
        for line, kept, data in zip(numbers.tolist(), falling, found, strict=True)
    ]


def _furthest(rows: Rows, codes: Tensor, bank: Tensor, count: int) -> list[int]:
    """List the rows with the longest residuals, longest first; none of those that have no residual."""
    lengths = torch.cat([torch.linalg.vector_norm(rest, dim=1) for _, rest in Remainder(rows, codes, bank)])
    order = lengths.argsort(descending=True, stable=True)[:count]
    return order[lengths[order] > 8 * torch.finfo(rows.dtype).eps * rows.p**0.5].tolist()


def _encoder(atoms: list[_Atom], rows: Rows) -> dict[str, Tensor]:
    """Return numbers and weights of the rows in each atom, padded to the same length."""
    most = max(len(atom.numbers) for atom in atoms)
    numbers, weights = torch.full((len(atoms), most), _NONE), torch.zeros(len(atoms), most, dtype=torch.float64)
    for k, atom in enumerate(atoms):
        numbers[k, : len(atom.numbers)] = torch.tensor(atom.numbers, dtype=torch.long)
        weights[k, : len(atom.numbers)] = atom.weights / rows.scale
    return {"mixture_rows": numbers.to(rows.device), "mixture_weights": weights.to(rows.device, rows.dtype)}


def _read(rows: Rows, rank: int, start: Dictionary) -> list[_Atom]:
    """Take over a dictionary, after a look at whether its atoms are what it says on these rows."""
    if not {"mixture_rows", "mixture_weights"} <= set(start.encoder) or start.rank > rank:
        raise ValueError(
            f"start: wanted a dictionary of convex NMF with at most rank = {rank} atoms, got {start.rank} atoms and "
            f"encoder {sorted(start.encoder)}."
        )
    atoms, told = [], wide(start.bank).cpu()
    weights = wide(start.encoder["mixture_weights"]).cpu() * rows.scale
    for k, line in enumerate(start.encoder["mixture_rows"].tolist()):
        places = [j for j, number in enumerate(line) if number != _NONE]
        numbers = [line[j] for j in places]
        if told.shape[1] != rows.p or any(number >= rows.n for number in numbers):
            shape = f"{(rows.n, rows.p)}"
            raise ValueError(
                f"start: its atoms are mixtures of other rows than the activations of shape {shape} given."
            )
        data = wide(rows.take(numbers)).cpu() if numbers else told[:0]
        if float(torch.linalg.vector_norm(weights[k, places] @ data - told[k])) > _SAME:
            raise ValueError(
                f"start: atom {k} is not the mixture of these rows that it says; go on with the activations that it "
                "was fitted to, or begin without it."
            )
        atoms.append(_unit(numbers, data, weights[k, places])[0])
    return atoms
