"""Which atoms of two banks are the same: one-to-one matches, and similarities that chance has been taken out of.

Banks can only be compared in one space: the same layer of the same network. Non-negative atoms have a high cosine with
each other whatever they stand for, so a raw cosine says little; `similarity` takes the direction that all activations
share out of both, and tells how far what is left stands out from the atoms of other banks.

References
----------
H. W. Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics Quarterly 2 (1955),
doi:10.1002/nav.3800020109.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from whatwhere.engine._checks import integer
from whatwhere.engine._rows import like_matrix, wide

if TYPE_CHECKING:
    from torch import Tensor

_LEFT = 1e-6  # of an atom's length beside the mean direction: below it there is only rounding
_SPREAD = 1e-12  # of cosines; below it they are all the same
_FEWEST = 8  # null atoms that a mean and a spread can be told from


def match(first: Tensor, second: Tensor, *, signless: bool = False) -> tuple[Tensor, Tensor]:
    """Match the atoms of two banks one to one, so that the sum of their cosines is as large as it can be.

    Parameters
    ----------
    first : Tensor of shape (r, p)
        Atoms, of any length.
    second : Tensor of shape (q, p)
        Atoms of the same layer.
    signless : bool, default False
        Whether an atom and its negative are the same, as for principal components.

    Returns
    -------
    permutation : Tensor of shape (r,), int64
        ``second[permutation[k]]`` is the match of ``first[k]``; -1 where q < r leaves it without one.
    cosines : Tensor of shape (r,), float64
        Their cosines, absolute ones if `signless`; 0 where an atom is dead or has no match. Both on the CPU.

    Raises
    ------
    TypeError
        If a bank is no tensor of floating-point numbers.
    ValueError
        If a bank is no matrix of finite numbers, or the columns differ.

    Notes
    -----
    r q p multiplications, and (r + q)^3 steps at most. A dead atom, a row of zeros, has cosine 0 with every other.

    Examples
    --------
    >>> permutation, cosines = match(torch.eye(3), torch.eye(3)[[2, 0, 1]])
    >>> permutation, cosines.tolist()
    (tensor([1, 2, 0]), [1.0, 1.0, 1.0])
    """
    from scipy.optimize import linear_sum_assignment  # takes a quarter of a second to load, which few need

    cosines = _cosines(*_banks(first, second)).cpu()
    if signless:
        cosines = cosines.abs()
    permutation = torch.full((len(cosines),), -1)
    matched = torch.zeros(len(cosines), dtype=torch.float64)
    lines, columns = (torch.as_tensor(x) for x in linear_sum_assignment(cosines.numpy(), maximize=True))
    permutation[lines], matched[lines] = columns, cosines[lines, columns]
    return permutation, matched


def matched_cosines(first: Tensor, second: Tensor, *, signless: bool = False) -> Tensor:
    """Return the cosines of the best one-to-one match, in the order of the first bank.

    Parameters
    ----------
    first : Tensor of shape (r, p)
        Atoms, of any length.
    second : Tensor of shape (q, p)
        Atoms of the same layer.
    signless : bool, default False
        Whether an atom and its negative are the same.

    Returns
    -------
    Tensor of shape (r,), float64
        As from `match`.

    Raises
    ------
    TypeError, ValueError
        As from `match`.
    """
    return match(first, second, signless=signless)[1]


@dataclass(frozen=True, eq=False)
class Similarity:
    """How alike the atoms of two banks are, three ways; float64, on the CPU.

    Parameters
    ----------
    cosines : Tensor of shape (r, q)
        Of the atoms as they are, -1 to 1; 0 where one is dead.
    centred : Tensor of shape (r, q)
        Of what the atoms have beside the shared direction; 0 where nothing is left. The cosines again if no shared
        direction was given.
    z : Tensor of shape (r, q)
        How many standard deviations the centred cosine is above that of the same atoms with the null's; the mean of
        both atoms' own. 0 where an atom is dead.
    null : str
        ``"banks"`` or ``"shuffled"``: what chance was taken to be.
    """

    cosines: Tensor
    centred: Tensor
    z: Tensor
    null: str


def similarity(
    first: Tensor,
    second: Tensor,
    *,
    mean: Tensor | None = None,
    null: Tensor | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Similarity:
    """Compare every atom of one bank with every atom of another, against chance.

    Parameters
    ----------
    first : Tensor of shape (r, p)
        Atoms, of any length.
    second : Tensor of shape (q, p)
        Atoms of the same layer.
    mean : Tensor of shape (p,), optional
        The mean activation of the layer; its direction is taken out of all atoms. By default none is.
    null : Tensor of shape (m, p), optional
        Atoms of other banks of this layer, such as of classes drawn at random, at least 8 that are not dead. By default
        atoms of `first` and `second` with their entries in a random order: chance that knows nothing of columns
        that go together in this layer, so that its z are higher.
    draws : int, default 1000
        How many shuffled atoms, at least 8. Not looked at if `null` is given.
    seed : int, default 0
        Of the shuffles, from 0 to 2^63 - 1.

    Returns
    -------
    Similarity
        Cosines, centred cosines and z, each (r, q).

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a bank is no matrix of finite numbers, the columns differ, `mean` is 0, or there are fewer than 8 null atoms
        or all are the same.

    Notes
    -----
    (r + q) (m + q) p multiplications, with m = `draws` where no null is given.

    Examples
    --------
    >>> a = torch.rand(4, 64)
    >>> told = similarity(a, a, mean=a.mean(dim=0))
    >>> bool(told.z.diagonal().min() > 3), told.null
    (True, 'shuffled')
    """
    one, other = _banks(first, second)
    draws, seed = integer("draws", draws, _FEWEST), integer("seed", seed, 0, 2**63 - 1)
    kind = "shuffled" if null is None else "banks"
    lot = _shuffled(torch.cat([one, other]), draws, seed) if null is None else _banks(first, null, "null")[1]
    raw = _cosines(one, other)
    if mean is not None:
        one, other, lot = (_beside(x, mean) for x in (one, other, lot))
    lot = lot[lot.any(dim=1)]
    if len(lot) < _FEWEST:
        raise ValueError(f"null: wanted at least {_FEWEST} atoms that are not dead, got {len(lot)}.")
    centred = _cosines(one, other)
    z = (_standing(one, lot, centred) + _standing(other, lot, centred.T).T) / 2
    z = z * one.any(dim=1)[:, None] * other.any(dim=1)
    return Similarity(raw.cpu(), centred.cpu(), z.cpu(), kind)


def _banks(first: Tensor, second: Tensor, name: str = "second") -> tuple[Tensor, Tensor]:
    """Return both banks as unit atoms in float64 on the first one's device; dead atoms stay zeros."""
    one, other = wide(like_matrix("first", first)), wide(like_matrix(name, second))
    if one.shape[1] != other.shape[1]:
        raise ValueError(
            f"{name}: wanted {one.shape[1]} columns as the first bank has, got shape {tuple(other.shape)}; only banks "
            "of one layer can be compared."
        )
    return _units(one), _units(other.to(one.device))


def _units(atoms: Tensor) -> Tensor:
    largest = atoms.abs().amax(dim=1, keepdim=True)
    atoms = atoms / torch.where(largest > 0, largest, 1)
    lengths = torch.linalg.vector_norm(atoms, dim=1, keepdim=True)
    return atoms / torch.where(lengths > 0, lengths, 1)


def _cosines(one: Tensor, other: Tensor) -> Tensor:
    return (one @ other.T).clamp(-1, 1)


def _beside(units: Tensor, mean: Tensor) -> Tensor:
    """Return unit atoms without their part along the mean; zeros where that was all."""
    direction = wide(like_matrix("mean", mean[None])).to(units.device)
    if direction.shape[1] != units.shape[1] or not direction.any():
        raise ValueError(
            f"mean: wanted a vector of {units.shape[1]} numbers with one other than 0, got shape {tuple(mean.shape)}."
        )
    direction = _units(direction)
    rest = units - (units @ direction.T) * direction
    kept = torch.linalg.vector_norm(rest, dim=1, keepdim=True) > _LEFT
    return _units(rest * kept)


def _shuffled(units: Tensor, draws: int, seed: int) -> Tensor:
    """Return atoms drawn from those alive, the entries of each in an order of its own."""
    alive = units[units.any(dim=1)]
    if not len(alive):
        return units[:0]
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(len(alive), (draws,), generator=generator)
    order = torch.rand(draws, units.shape[1], generator=generator, dtype=torch.float64).argsort(dim=1)
    return alive[which.to(units.device)].gather(1, order.to(units.device))


def _standing(units: Tensor, lot: Tensor, cosines: Tensor) -> Tensor:
    """Return how far the cosines of each atom, one a row, stand above those with the null's atoms."""
    chance = _cosines(units, lot)
    spread, centre = torch.std_mean(chance, dim=1, keepdim=True)
    alive = units.any(dim=1, keepdim=True)
    if (spread[alive] <= _SPREAD).any():
        raise ValueError("null: wanted atoms of different directions, got atoms that an atom has one cosine with.")
    return (cosines - centre) / torch.where(alive, spread, 1)
