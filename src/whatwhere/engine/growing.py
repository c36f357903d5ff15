"""Starting from a bank that is there already: its atoms, and as many more as are wanted.

The atoms that are missing are taken from what the given ones leave, A - U W with U the exact codes: its non-negative
part as in ``"nndsvd"``, or, for signed activations, its leading singular vectors. The codes of the enlarged bank are
exact again, so a solver that goes on from there begins with an error that is no higher than that of the bank given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from whatwhere.engine._alternating import check_bank, check_rank
from whatwhere.engine._checks import integer
from whatwhere.engine._rows import Remainder, Rows, exact_products
from whatwhere.engine._svd import nndsvd, right_vectors, signed_energy, unit_atoms
from whatwhere.engine.nnls import nnls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from whatwhere.engine._rows import Blocks


def grown(
    activations: Tensor | Sequence[Tensor],
    bank: Tensor,
    rank: int,
    *,
    signed: bool = False,
    seed: int = 0,
    device: torch.device | None = None,
    chunk: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return codes and a bank of `rank` atoms to start from, the first of them as given.

    Parameters
    ----------
    activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
        A, whole or in blocks of rows.
    bank : Tensor of shape (q, p)
        Atoms of any length, at most `rank` of them; dead ones stay dead.
    rank : int
        Number r of atoms wanted, 1 to min(n, p).
    signed : bool, default False
        Whether activations and atoms may be below 0, and the new atoms are of either sign.
    seed : int, default 0
        Of the sketch of the singular vectors, from 0 to 2^63 - 1.
    device : torch.device, optional
        Where to compute; that of the activations by default.
    chunk : int, optional
        Most rows worked on at a time; by default 1,024 on a CPU and 4,096 elsewhere.

    Returns
    -------
    codes : Tensor of shape (n, r)
        U, exact for this bank; in units of A.
    bank : Tensor of shape (r, p)
        Atoms of length 1.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If the activations or the bank are no finite matrix, do not fit together, or are negative where that is not
        allowed, or the bank has more atoms than are wanted.

    Notes
    -----
    Two exact encodings of A, of which the second goes on from the first, and six passes for the singular vectors.

    Examples
    --------
    >>> a = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 2.0]])
    >>> codes, bank = grown(a, torch.tensor([[3.0, 0.0]]), 2)
    >>> bank, torch.allclose(codes @ bank, a)
    (tensor([[1., 0.],
            [0., 1.]]), True)
    """
    rows = Rows(activations, device=device, chunk=chunk, signed=signed)
    rank, seed = check_rank(rank, rows), integer("seed", seed, 0, 2**63 - 1)
    atoms = check_bank(bank, rows, signed=signed)
    if len(atoms) > rank:
        raise ValueError(
            f"start: wanted a bank of at most rank = {rank} atoms, got {len(atoms)}; leave out those least wanted."
        )
    with exact_products(rows.device):
        atoms = unit_atoms(atoms)
        codes, missing = exact_codes(rows, atoms), rank - len(atoms)
        if missing:
            rest = Remainder(rows, codes, atoms)
            atoms = torch.cat([atoms, (_leading if signed else nndsvd)(rest, missing, seed)])
            codes = exact_codes(rows, atoms, torch.cat([codes, codes.new_zeros(rows.n, missing)], dim=1))
    return codes * rows.scale, atoms


def exact_codes(rows: Rows, bank: Tensor, start: Tensor | None = None) -> Tensor:
    """Return the non-negative least-squares codes of rows that come in blocks.

    Parameters
    ----------
    rows : Rows
        The activations.
    bank : Tensor of shape (r, p)
        W, on the rows' device.
    start : Tensor of shape (n, r), optional
        Codes near the answer.

    Returns
    -------
    Tensor of shape (n, r)
        In the unit of the rows.
    """
    out = bank.new_zeros(rows.n, len(bank))
    for place, block in rows:
        out[place] = nnls(bank, block, start=None if start is None else start[place])
    return out


def _leading(rest: Blocks, count: int, seed: int) -> Tensor:
    """Return singular vectors, each turned to the side where it explains more."""
    vectors = right_vectors(rest, count, seed)
    up, down = signed_energy(rest, vectors)
    return (vectors * torch.where(up >= down, 1.0, -1.0).to(vectors)).T.to(rest.device, rest.dtype)
