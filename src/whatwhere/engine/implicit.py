"""Codes that pass gradients on: exact non-negative least squares, differentiated at its solution.

For a fixed bank W the codes u of a row a are linear in a as long as the set S of atoms in use stays the same, so that
the optimality conditions give the gradient without a look at how the codes were found:
du_S / da = (W_S W_S')^-1 W_S, and 0 for every other code. A pull-back of a cotangent v is one small solution,
W_S' (W_S W_S')^-1 v_S.

References
----------
T. Fel et al., "CRAFT: Concept Recursive Activation FacTorization for Explainability", CVPR 2023, arXiv:2211.10154, for
gradients of codes as attribution maps. M. Blondel et al., "Efficient and Modular Implicit Differentiation", NeurIPS
2022, arXiv:2105.15183, for gradients from optimality conditions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from whatwhere.engine._rows import exact_products, like_matrix, rows_at_a_time, wide
from whatwhere.engine.nnls import nnls

if TYPE_CHECKING:
    from torch import Tensor

#: Condition of the Gram matrix of the atoms in use from which a gradient is regularised: what float64 leaves of it
#: would be below six digits.
WORST_CONDITION = 1e10
#: What is then added to its diagonal, in squared lengths of an atom.
RESCUE = 1e-6
_IN_USE = 1e-12  # length of an atom's part, in lengths of the row, from which it counts
_TIGHT = 1e-9  # cosine of an idle atom with the residual up to which it is about to enter


class ImplicitCodes(NamedTuple):
    """Codes of rows, and where their gradient is not an ordinary one.

    Parameters
    ----------
    codes : Tensor of shape (n, r)
        U, at least 0, differentiable with respect to the activations.
    degenerate : Tensor of shape (n, r), bool
        Codes that are 0 and about to rise: their gradient is one from one side and 0 from the other, and 0 is taken.
        On a row of zeros those are all codes but the dead atoms'.
    regularised : Tensor of shape (n,), bool
        Rows whose atoms in use are nearly dependent, so that their gradient is a regularised one.
    """

    codes: Tensor
    degenerate: Tensor
    regularised: Tensor


def codes(bank: Tensor, activations: Tensor, *, ridge: float = 0.0, chunk: int | None = None) -> Tensor:
    """Return the exact non-negative least-squares codes of every row, with their gradient.

    Parameters
    ----------
    bank : Tensor of shape (r, p)
        W, of any sign and scale. It is fixed: no gradient goes to it. Its device is where the computing is done.
    activations : Tensor of shape (n, p)
        A, of any sign and scale; gradients go to it. Other shapes are for the caller to flatten.
    ridge : float, default 0
        Penalty on squared codes, as a share of the atoms' mean squared length, at least 0: codes shrink, but change
        less abruptly with the row. The gradient is that of the penalised codes.
    chunk : int, optional
        Most rows worked on at a time, at least 1; by default 1,024 on a CPU and 4,096 elsewhere. Memory: 8 r^2 `chunk`
        bytes, a few times, and 8 r^2 bytes for each different set of atoms in use until the gradient was taken.

    Returns
    -------
    Tensor of shape (n, r)
        U, at least 0, on the bank's device, in float64 if either argument is, else in float32; codes and gradients are
        computed in float64.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an argument is not a matrix of finite numbers, the shapes do not fit, `ridge` is out of its range, or the
        bank wants a gradient.
    RuntimeError
        If the search for the codes does not end, see `whatwhere.engine.nnls.nnls`; if a second derivative is asked for.

    Notes
    -----
    Without `ridge` the codes are those of `whatwhere.engine.nnls.nnls`. The gradient is exact where the set of atoms in
    use does not change; `implicit_codes` says where it does, and where near dependence made a regularised one of it:
    there 1e-6 is added to the diagonal of the Gram matrix of atoms of length 1. A part that is shorter than 1e-12 of
    the row counts as not in use.

    Beyond the codes: r^3 multiplications for each different set of atoms in use, and r (r + p) a row and gradient.

    Examples
    --------
    >>> a = torch.tensor([[2.0, 1.0], [1.0, -3.0]], requires_grad=True)
    >>> codes(torch.eye(2), a).sum().backward()
    >>> a.grad
    tensor([[1., 1.],
            [1., 0.]])
    """
    return implicit_codes(bank, activations, ridge=ridge, chunk=chunk).codes


def implicit_codes(bank: Tensor, activations: Tensor, *, ridge: float = 0.0, chunk: int | None = None) -> ImplicitCodes:
    """Return the codes of every row, with their gradient, and say where it is not an ordinary one.

    Parameters
    ----------
    bank : Tensor of shape (r, p)
        W, fixed.
    activations : Tensor of shape (n, p)
        A; gradients go to it.
    ridge : float, default 0
        Penalty on squared codes, as a share of the atoms' mean squared length.
    chunk : int, optional
        Most rows worked on at a time; by default 1,024 on a CPU and 4,096 elsewhere.

    Returns
    -------
    ImplicitCodes
        As `codes` gives them, with the flags.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As `codes`.
    """
    w, a = like_matrix("bank", bank), like_matrix("activations", activations)
    chunk = rows_at_a_time(chunk, w.device)
    if w.shape[1] != a.shape[1]:
        raise ValueError(
            f"activations: wanted {w.shape[1]} columns as the bank has, got shape {tuple(a.shape)} for a bank of "
            f"{tuple(w.shape)}."
        )
    if bank.requires_grad and torch.is_grad_enabled():
        raise ValueError("bank: wanted a fixed bank, got one that requires a gradient; pass bank.detach().")
    ridge = _share(ridge)
    dtype = torch.promote_types(w.dtype, a.dtype)
    atoms = wide(w)
    with exact_products(atoms.device):
        penalty = math.sqrt(ridge * float(atoms.square().sum()) / len(atoms)) if ridge else 0.0
        if penalty:  # least squares with one more column an atom, in which every row has 0
            atoms = torch.cat([atoms, penalty * torch.eye(len(atoms), dtype=atoms.dtype, device=atoms.device)], dim=1)
    found, degenerate, regularised = _ImplicitNnls.apply(wide(activations.to(w.device)), atoms, chunk)
    flags = degenerate.to(w.device), regularised.to(w.device)
    return ImplicitCodes(found.to(w.device, dtype), *flags)


def _share(ridge: Any) -> float:
    try:
        number = float(ridge)
    except (TypeError, ValueError):
        raise TypeError(f"ridge: wanted a number, got {type(ridge).__name__} {ridge!r}.") from None
    if not 0 <= number < math.inf:
        raise ValueError(f"ridge: wanted a finite number of at least 0, got {number:g}.")
    return number


class _ImplicitNnls(torch.autograd.Function):
    """Rows (n, p) and atoms (r, p or p + r) to codes (n, r), kinks (n, r) and rescued rows (n,); all float64."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, atoms: Tensor, chunk: int) -> tuple[Tensor, Tensor, Tensor]:
        with exact_products(atoms.device):
            units, lengths = _unit(atoms)
            padded = torch.nn.functional.pad(rows, (0, atoms.shape[1] - rows.shape[1]))
            found = nnls(atoms, padded, chunk=chunk)
            shares, cosines = _conditions(units, lengths, padded, found)
            active = shares > _IN_USE
            degenerate = ~active & (cosines.abs() <= _TIGHT) & units.any(dim=1)
            distinct, which = torch.unique(active, dim=0, return_inverse=True)
            inverses, near = _inverses(units @ units.T, distinct)
        ctx.save_for_backward(inverses, which, units[:, : rows.shape[1]], lengths)
        ctx.chunk = chunk
        regularised = near[which]
        ctx.mark_non_differentiable(degenerate, regularised)
        return found, degenerate, regularised

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangents: Tensor, *_: Tensor) -> tuple[Tensor, None, None]:
        inverses, which, units, lengths = ctx.saved_tensors
        with exact_products(units.device):
            per_length = cotangents / lengths
            solved = torch.empty_like(per_length)
            for first in range(0, len(which), ctx.chunk):
                part = slice(first, first + ctx.chunk)
                solved[part] = (inverses[which[part]] * per_length[part, None, :]).sum(dim=2)
            return solved @ units, None, None


def _unit(atoms: Tensor) -> tuple[Tensor, Tensor]:
    """Return atoms of length 1, dead ones of zeros, and the lengths, 1 for the dead."""
    largest = atoms.abs().amax(dim=1, keepdim=True)
    scaled = atoms / torch.where(largest > 0, largest, 1)  # squares of tiny or huge numbers leave float64
    lengths = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    units = scaled / torch.where(lengths > 0, lengths, 1)
    return units, torch.where(lengths > 0, lengths * largest, 1).flatten()


def _conditions(units: Tensor, lengths: Tensor, rows: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
    """Return each part's length, and each atom's product with the residual, in lengths of the row."""
    sizes = rows.abs().amax(dim=1, keepdim=True)
    sizes = torch.where(sizes > 0, sizes, 1)
    norms = torch.linalg.vector_norm(rows / sizes, dim=1, keepdim=True)
    norms = torch.where(norms > 0, norms, 1)
    shares = found / sizes * lengths / norms
    return shares, (rows / sizes / norms - shares @ units) @ units.T


def _inverses(gram: Tensor, supports: Tensor) -> tuple[Tensor, Tensor]:
    """Return the inverse Gram matrix (m, r, r) of each support, 0 outside it, and which had to be regularised."""
    inside = supports[:, :, None] & supports[:, None, :]
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    systems = torch.where(inside, gram, eye)
    factor, failed = torch.linalg.cholesky_ex(systems)
    plain = torch.cholesky_inverse(factor)
    condition = systems.abs().sum(dim=1).amax(dim=1) * plain.abs().sum(dim=1).amax(dim=1)
    near = (failed > 0) | ~(condition <= WORST_CONDITION)  # NaN, of a failed factor, counts as near
    rescued = torch.cholesky_inverse(torch.linalg.cholesky_ex(systems + RESCUE * eye)[0])
    return torch.where(inside, torch.where(near[:, None, None], rescued, plain), 0), near
