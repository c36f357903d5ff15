"""What a factorisation of activations gives, and what can be asked of it.

Letters as in the literature: activations A (n, p), codes U (n, r), bank W (r, p), A = U W + residual. A row of the bank
is an *atom*. Some methods add one offset b (p,) to every row, A = U W + b + residual; without one it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from whatwhere.engine._checks import between
from whatwhere.engine._rows import Rows, exact_products, like_matrix, wide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


#: Entries of an encoder that have no axis of atoms.
OF_ALL_ATOMS = ("mean", "scale")


@dataclass(frozen=True, eq=False)
class Dictionary:
    """What turns codes back into activations, and what its extractor needs to find the codes of new rows.

    Parameters
    ----------
    bank : Tensor of shape (r, p)
        W, the atoms.
    offset : Tensor of shape (p,), optional
        b, added to every row; nothing is added by default.
    encoder : mapping of str to Tensor
        What beside the bank belongs to the encoder of the extractor that made it; empty where the bank is enough.
        "mean" and "scale" are of all atoms; the first axis of anything else is that of the atoms.

    Raises
    ------
    TypeError, ValueError
        If the bank is no finite matrix, or the offset no vector of finite numbers of its length.
    """

    bank: Tensor
    offset: Tensor | None = None
    encoder: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the shapes."""
        columns = like_matrix("bank", self.bank).shape[1]
        if self.offset is not None and like_matrix("offset", self.offset[None]).shape != (1, columns):
            raise ValueError(
                f"offset: wanted shape (p,) = {(columns,)} as the bank's columns, got {tuple(self.offset.shape)}."
            )

    @property
    def rank(self) -> int:
        """Number r of atoms.

        Returns
        -------
        int
            At least 1, dead ones included.
        """
        return len(self.bank)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the activations that codes stand for, U W + b.

        Parameters
        ----------
        codes : Tensor of shape (n, r)
            U, on the device of the bank. Gradients flow through.

        Returns
        -------
        Tensor of shape (n, p)
            In the wider dtype of codes and bank.

        Raises
        ------
        ValueError
            If the codes are no matrix of r columns.
        """
        if codes.ndim != self.bank.ndim or codes.shape[1] != self.rank:
            raise ValueError(f"codes: wanted shape (n, {self.rank}), got {tuple(codes.shape)}.")
        dtype = torch.promote_types(codes.dtype, self.bank.dtype)
        rows = codes.to(dtype) @ self.bank.to(dtype)
        return rows if self.offset is None else rows + self.offset.to(dtype)

    def to(self, device: torch.device | str) -> Dictionary:
        """Return the same dictionary on another device.

        Parameters
        ----------
        device : torch.device or str
            Where its tensors shall be.

        Returns
        -------
        Dictionary
            Sharing the tensors that are there already.
        """
        offset = None if self.offset is None else self.offset.to(device)
        encoder = {name: tensor.to(device) for name, tensor in self.encoder.items()}
        return replace(self, bank=self.bank.to(device), offset=offset, encoder=encoder)


@dataclass(frozen=True, eq=False)
class Factors:
    """A factorisation so far; it stays as it is when the solver goes on.

    Parameters
    ----------
    iteration : int
        How many times codes and bank were updated, from 0.
    error : float
        Relative error ||A - U W - b||_F / ||A||_F, at least 0; of A itself, not of what is left of it without b.
    codes : Tensor of shape (n, r)
        U, in units of A where the atoms have length 1; at least 0, but for PCA. float32, or float64 if A was.
    bank : Tensor of shape (r, p)
        W, rows of Euclidean length 1, or of zeros where an atom is dead; as it was given if it was fixed.
    converged : bool
        Whether the solver stopped here by its tolerance. False at every step before, and where it ran out of budget.
    offset : Tensor of shape (p,), optional
        b; none by default.
    encoder : mapping of str to Tensor
        What beside the bank is needed to encode new rows; most often nothing.
    """

    iteration: int
    error: float
    codes: Tensor
    bank: Tensor
    converged: bool = False
    offset: Tensor | None = None
    encoder: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def dictionary(self) -> Dictionary:
        """What turns codes into activations, without the codes of these rows.

        Returns
        -------
        Dictionary
            Sharing the tensors.
        """
        return Dictionary(self.bank, self.offset, self.encoder)

    @property
    def dead(self) -> tuple[int, ...]:
        """Numbers of the atoms that explain nothing: no code, or no atom.

        Returns
        -------
        tuple of int
            In ascending order, most often empty. Reading it waits for the device.
        """
        idle = ~(self.codes != 0).any(dim=0) | ~(self.bank != 0).any(dim=1)
        return tuple(idle.nonzero().flatten().tolist())


def duplicate_atoms(bank: Tensor, cosine: float = 0.99) -> list[tuple[int, ...]]:
    """Group the atoms that point the same way.

    Parameters
    ----------
    bank : Tensor of shape (r, p)
        W, of any sign and scale.
    cosine : float, default 0.99
        Two atoms are linked where their cosine is at least this, above 0 and below 1.

    Returns
    -------
    list of tuple of int
        Groups of two atoms or more, each ascending, in the order of their first atoms. Links chain: the ends of a group
        may be further apart than `cosine`. Dead atoms are in none.

    Raises
    ------
    TypeError, ValueError
        If `bank` is no finite matrix, or `cosine` is out of its range.

    Examples
    --------
    >>> duplicate_atoms(torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.01]]))
    [(0, 2)]
    """
    atoms = wide(like_matrix("bank", bank))
    limit = between("cosine", cosine, 0, 1)
    norms = torch.linalg.vector_norm(atoms, dim=1, keepdim=True)
    units = atoms / torch.where(norms > 0, norms, 1)
    linked = (units @ units.T >= limit).cpu()
    groups: list[tuple[int, ...]] = []
    left = {k for k in range(len(atoms)) if linked[k, k]}
    while left:
        group, front = set[int](), {min(left)}
        while front:
            group |= front
            front = {j for k in front for j in linked[k].nonzero().flatten().tolist()} - group
        left -= group
        if len(group) > 1:
            groups.append(tuple(sorted(group)))
    return groups


def relative_error(
    activations: Tensor | Sequence[Tensor],
    codes: Tensor,
    bank: Tensor,
    *,
    offset: Tensor | None = None,
    chunk: int | None = None,
) -> float:
    """Return ||A - U W - b||_F / ||A||_F, from the residual itself.

    Parameters
    ----------
    activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
        A, whole or in blocks of rows, of any sign.
    codes : Tensor of shape (n, r)
        U.
    bank : Tensor of shape (r, p)
        W, on the same device as `codes`.
    offset : Tensor of shape (p,), optional
        b; 0 by default.
    chunk : int, optional
        Most rows whose residual is held at a time, at least 1; by default 1,024 on a CPU and 4,096 elsewhere.

    Returns
    -------
    float
        At least 0; computed in the dtype of A, float32 at least, and added up in float64.

    Raises
    ------
    TypeError, ValueError
        If an argument is no finite matrix, A has no number but 0, or the shapes do not fit together.

    Notes
    -----
    2 n p r multiplications, and `chunk` times p numbers of memory.
    """
    w, u = like_matrix("bank", bank), like_matrix("codes", codes)
    rows = Rows(activations, device=w.device, chunk=chunk)
    if w.shape != (u.shape[1], rows.p) or len(u) != rows.n:
        raise ValueError(
            "codes, bank: wanted shapes (n, r) and (r, p) for activations of shape "
            f"{(rows.n, rows.p)}, got {tuple(u.shape)} and {tuple(w.shape)}."
        )
    b = Dictionary(w, offset).offset
    w, u = w.to(rows.dtype), (u.to(w.device, rows.dtype) / rows.scale)
    b = w.new_zeros(rows.p) if b is None else b.detach().to(w) / rows.scale
    left = 0.0
    with exact_products(w.device):
        for place, block in rows:
            left += float(wide((block - b - u[place] @ w).square().sum(dim=1)).sum())
    return float((left / rows.squares) ** 0.5)
