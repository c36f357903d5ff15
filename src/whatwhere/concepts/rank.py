"""How many concepts: the largest number that two halves of the activations agree on.

Halves are fitted each for itself, and their atoms matched one to one. Up to the number of directions that are in the
activations, matched atoms have cosines near 1; beyond it the additional ones fit what is particular to a half. Crops of
one photo are not independent, so photos are halved rather than rows where `groups` tells them apart.

Agreement alone is not enough: noise that was cut off at 0 has a mean, and both halves find it as one faint atom more. A
rank therefore counts only if each of its atoms carries a hundredth of what all of them carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, overload

import numpy as np
import torch

from whatwhere.concepts.extractors import NMF
from whatwhere.engine._checks import integer
from whatwhere.engine._rows import wide
from whatwhere.engine.matching import matched_cosines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from whatwhere.concepts.protocol import Extractor
    from whatwhere.engine.factors import Factors

STABLE = 0.9  # cosine of two atoms that are the same
FAINT = 0.01  # share of the energy below which an atom is not worth a concept


@dataclass(frozen=True, eq=False)
class Stability:
    """How well dictionaries of separate parts of the activations agree.

    Parameters
    ----------
    cosines : ndarray of shape (pairs, r), float64
        For each pair of parts, the matched cosines in the order of the first one's atoms; 0 for dead atoms.
    """

    cosines: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean matched cosine.

        Returns
        -------
        float
            1 where all parts gave the same atoms.
        """
        return float(self.cosines.mean())

    @property
    def smallest(self) -> float:
        """Smallest matched cosine of any atom and pair.

        Returns
        -------
        float
            At most the mean.
        """
        return float(self.cosines.min())


@dataclass(frozen=True, eq=False)
class RankStep:
    """One rank that was tried.

    Parameters
    ----------
    rank : int
        Number r of atoms.
    factors : Factors
        The fit to all activations, with its relative error.
    stability : Stability
        Of the fits to two halves.
    """

    rank: int
    factors: Factors
    stability: Stability

    @property
    def stable(self) -> bool:
        """Whether every atom of one half is in the other.

        Returns
        -------
        bool
            Smallest matched cosine of at least 0.9.
        """
        return self.stability.smallest >= STABLE

    @property
    def faintest(self) -> float:
        """Share of the faintest atom in the energy of all atoms, ||u_k||^2 ||w_k||^2 over its sum.

        Returns
        -------
        float
            0 for a dead atom, at most 1 / r. In the fit to all activations.
        """
        codes, bank = wide(self.factors.codes), wide(self.factors.bank)
        energy = codes.square().sum(dim=0) * bank.square().sum(dim=1)
        return float(energy.min() / energy.sum()) if energy.any() else 0.0

    @property
    def accepted(self) -> bool:
        """Whether the rank counts as one that the activations have.

        Returns
        -------
        bool
            Stable, with at least a hundredth of the energy in every atom.
        """
        return self.stable and self.faintest >= FAINT


@dataclass(frozen=True, eq=False)
class RankPath:
    """The ranks tried so far, and what they say; valid to stop at.

    Parameters
    ----------
    steps : tuple of RankStep
        In the order tried; at least one.
    complete : bool, default False
        Whether every rank asked for is among them.
    """

    steps: tuple[RankStep, ...]
    complete: bool = False

    @property
    def chosen(self) -> RankStep:
        """The step that the rule takes.

        Returns
        -------
        RankStep
            Of the ranks whose smallest matched cosine is at least 0.9, and whose faintest atom has at least a hundredth
            of the energy, the largest; if there is none, the rank of the largest mean stability, the smaller of equal
            ones.
        """
        accepted = [step for step in self.steps if step.accepted]
        if accepted:
            return max(accepted, key=lambda step: step.rank)
        return max(self.steps, key=lambda step: (step.stability.mean, -step.rank))

    @property
    def rank(self) -> int:
        """The rank that the rule takes.

        Returns
        -------
        int
            That of `chosen`.
        """
        return self.chosen.rank

    @property
    def reason(self) -> str:
        """Why this rank was taken, in a sentence.

        Returns
        -------
        str
            It says so where no rank was stable.
        """
        step = self.chosen
        figures = f"smallest matched cosine {step.stability.smallest:.2f}, mean {step.stability.mean:.2f}"
        rule = f"found again in the other half with a cosine of at least {STABLE}, and none with under {FAINT:.0%} of"
        if step.accepted:
            return f"{step.rank} is the largest rank with all atoms {rule} the energy ({figures})."
        return f"No rank has all atoms {rule} the energy; {step.rank} has the largest mean stability ({figures})."


def rank_path(
    activations: Tensor | Sequence[Tensor],
    ranks: Sequence[int],
    extractor: Extractor | None = None,
    *,
    seed: int = 0,
    groups: ArrayLike | None = None,
    device: torch.device | None = None,
) -> Iterator[RankPath]:
    """Try ranks one after the other: the error on all activations, and the stability between two halves.

    Parameters
    ----------
    activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
        A, of a kind that the extractor takes.
    ranks : sequence of int
        Ranks to try, in this order, each at most the rows of a half and p.
    extractor : Extractor, optional
        How to factorise; NMF by default.
    seed : int, default 0
        Of the halves and the fits: same seed, same path.
    groups : array-like of shape (n,), optional
        Which rows belong together, as the number of the photo of each crop; they stay in one half. By default each row
        is a group of its own.
    device : torch.device, optional
        Where to compute; that of the activations by default.

    Returns
    -------
    iterator of RankPath
        One a rank, each with all steps so far.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If there are no ranks, one is repeated or larger than a half allows, or there are fewer than two groups. What
        is wrong with the activations is said by the extractor at the first step.

    Notes
    -----
    Every rank is fitted from the extractor's own start, so what is found for one does not depend on the others. Two
    times the cost of a fit a rank.

    Examples
    --------
    >>> a = torch.eye(3).repeat(20, 1) * (1 + torch.rand(60, 1))
    >>> *_, path = rank_path(a, [2, 3])
    >>> path.rank, path.steps[1].factors.error < 1e-3
    (3, True)
    """
    paths = rank_steps(activations, ranks, extractor, seed=seed, groups=groups, device=device)
    return (path for path, finished in paths if path is not None and finished)


def rank_steps(
    activations: Tensor | Sequence[Tensor],
    ranks: Sequence[int],
    extractor: Extractor | None = None,
    *,
    seed: int = 0,
    groups: ArrayLike | None = None,
    device: torch.device | None = None,
) -> Iterator[tuple[RankPath | None, bool]]:
    """Try ranks as a computation that can be shown and stopped.

    Parameters
    ----------
    activations, ranks, extractor, seed, groups, device : object
        As for `rank_path`.

    Returns
    -------
    iterator of (RankPath or None, bool)
        After every iteration of every fit: the steps so far, None before the first is whole, and whether one was just
        added.

    Raises
    ------
    TypeError, ValueError
        As from `rank_path`.
    """
    extractor = NMF() if extractor is None else extractor
    wanted = [integer("ranks", rank, 1) for rank in ranks]
    if not wanted or len(set(wanted)) < len(wanted):
        raise ValueError(f"ranks: wanted one rank at least and each once, got {list(ranks)}.")
    parts = _split(activations, 2, seed, groups)
    _check_ranks("ranks", max(wanted), parts, activations)
    return _path(_Fits(activations, extractor, seed, device), wanted, parts)


def stability(
    activations: Tensor | Sequence[Tensor],
    rank: int,
    extractor: Extractor | None = None,
    *,
    folds: int = 2,
    seed: int = 0,
    groups: ArrayLike | None = None,
    device: torch.device | None = None,
) -> Stability:
    """Fit separate parts of the activations, and compare every two of the dictionaries.

    Parameters
    ----------
    activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
        A, of a kind that the extractor takes.
    rank : int
        Number r of atoms, at most the rows of a part and p.
    extractor : Extractor, optional
        How to factorise; NMF by default.
    folds : int, default 2
        Number of parts, at least 2, nearly equal in rows. No row is in two of them.
    seed : int, default 0
        Of the parts and the fits.
    groups : array-like of shape (n,), optional
        Which rows belong together; they stay in one part.
    device : torch.device, optional
        Where to compute; that of the activations by default.

    Returns
    -------
    Stability
        Matched cosines, (pairs, r); absolute ones where the codes may be negative, since the sign of an atom is then
        arbitrary.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If there are fewer groups than parts, or the rank is larger than a part allows.

    Notes
    -----
    The cost of one fit to all activations.
    """
    extractor = NMF() if extractor is None else extractor
    parts = _split(activations, integer("folds", folds, 2), seed, groups)
    _check_ranks("rank", integer("rank", rank, 1), parts, activations)
    fits = _Fits(activations, extractor, seed, device)
    fitted = []
    for part in parts:
        *_, last = fits.fit(rank, part)
        fitted.append(last)
    return fits.agreement(fitted)


@dataclass(frozen=True, eq=False)
class _Fits:
    """Activations, and how they and parts of them are factorised."""

    activations: Tensor | Sequence[Tensor]
    extractor: Extractor
    seed: int
    device: torch.device | None

    def fit(self, rank: int, part: NDArray[np.bool_] | None = None) -> Iterator[Factors]:
        """Fit some rows, or all."""
        rows = self.activations if part is None else _part(self.activations, part)
        return self.extractor.fit(rows, rank, seed=self.seed, device=self.device)

    def agreement(self, fitted: list[Factors]) -> Stability:
        """Match every two of the parts' dictionaries."""
        signless = not self.extractor.non_negative_codes
        pairs = combinations([factors.bank for factors in fitted], 2)
        return Stability(np.stack([matched_cosines(a, b, signless=signless).numpy() for a, b in pairs]))


def _path(fits: _Fits, ranks: list[int], parts: list[NDArray[np.bool_]]) -> Iterator[tuple[RankPath | None, bool]]:
    path: RankPath | None = None
    for count, rank in enumerate(ranks, 1):
        fitted = []
        for part in (None, *parts):
            for factors in fits.fit(rank, part):
                last = factors
                yield path, False
            fitted.append(last)
        step = RankStep(rank, fitted[0], fits.agreement(fitted[1:]))
        path = RankPath((*(() if path is None else path.steps), step), complete=count == len(ranks))
        yield path, True


def _split(
    activations: Tensor | Sequence[Tensor], folds: int, seed: int, groups: ArrayLike | None
) -> list[NDArray[np.bool_]]:
    """Return which rows are in each part: groups in a random order, each to the part with the fewest rows so far."""
    seed = integer("seed", seed, 0, 2**63 - 1)
    n = len(activations) if isinstance(activations, torch.Tensor) else sum(len(block) for block in activations)
    told = np.arange(n) if groups is None else np.asarray(groups)
    if told.shape != (n,):
        raise ValueError(f"groups: wanted one for each of the {n} rows, shape {(n,)}, got {told.shape}.")
    names, member, sizes = np.unique(told, return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise ValueError(f"groups: wanted at least {folds} groups for {folds} parts, got {len(names)}.")
    part_of, rows = np.empty(len(names), dtype=int), np.zeros(folds, dtype=int)
    for group in np.random.default_rng(seed).permutation(len(names)):
        part_of[group] = rows.argmin()
        rows[part_of[group]] += sizes[group]
    return [part_of[member] == k for k in range(folds)]


def _check_ranks(name: str, rank: int, parts: list[NDArray[np.bool_]], activations: Tensor | Sequence[Tensor]) -> None:
    """Refuse a rank larger than the smallest part allows."""
    first = activations if isinstance(activations, torch.Tensor) else activations[0]
    most = min(*(int(part.sum()) for part in parts), first.shape[1])
    if rank > most:
        raise ValueError(
            f"{name}: wanted at most {most}, the rows of the smallest part or the columns, got {rank}; give more rows, "
            "or ask for fewer atoms."
        )


def _part(activations: Tensor | Sequence[Tensor], chosen: NDArray[np.bool_]) -> Tensor | Sequence[Tensor]:
    """Return the chosen rows; of blocks still one at a time."""
    if isinstance(activations, torch.Tensor):
        return activations[torch.as_tensor(chosen, device=activations.device)]
    return _Some(activations, chosen)


class _Some(Sequence[torch.Tensor]):
    """Some rows of blocks, as a sequence of blocks that are asked for when they are wanted."""

    def __init__(self, blocks: Sequence[Tensor], chosen: NDArray[np.bool_]) -> None:
        ends = np.cumsum([len(block) for block in blocks])
        masks = np.split(chosen, ends[:-1])
        self._blocks = blocks
        self._kept = [(k, np.flatnonzero(mask)) for k, mask in enumerate(masks) if mask.any()]

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, k: int) -> Tensor: ...

    @overload
    def __getitem__(self, k: slice) -> list[Tensor]: ...

    def __getitem__(self, k: int | slice) -> Tensor | list[Tensor]:
        if isinstance(k, slice):
            return [self[j] for j in range(*k.indices(len(self)))]
        number, places = self._kept[k]
        block = self._blocks[number]
        return block[torch.as_tensor(places, device=block.device)]
