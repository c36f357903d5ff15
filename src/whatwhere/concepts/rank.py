"""How many concepts: the largest number that two halves of the activations agree on.

Halves are fitted each for itself, and their atoms matched one to one. Up to the number of directions that are in the
activations, matched atoms have cosines near 1; beyond it the additional ones fit what is particular to a half. Crops of
one photo are not independent, so photos are halved rather than rows where `groups` tells them apart.

Agreement alone is not enough: noise that was cut off at 0 has a mean, and both halves find it as one faint atom more. A
rank therefore counts only if each of its atoms carries a hundredth of what all of them carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whatwhere.concepts._halves import Fits, check_ranks, split_rows
from whatwhere.concepts.extractors import NMF
from whatwhere.engine._checks import integer
from whatwhere.engine._rows import wide

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import torch
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
    >>> import torch
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
    parts = split_rows(activations, 2, seed, groups)
    check_ranks("ranks", max(wanted), parts, activations)
    return _path(Fits(activations, extractor, seed, device), wanted, parts)


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
    parts = split_rows(activations, integer("folds", folds, 2), seed, groups)
    check_ranks("rank", integer("rank", rank, 1), parts, activations)
    fits = Fits(activations, extractor, seed, device)
    fitted = []
    for part in parts:
        *_, last = fits.fit(rank, part)
        fitted.append(last)
    return Stability(fits.agreement(fitted))


def _path(fits: Fits, ranks: list[int], parts: list[NDArray[np.bool_]]) -> Iterator[tuple[RankPath | None, bool]]:
    path: RankPath | None = None
    for count, rank in enumerate(ranks, 1):
        fitted = []
        for part in (None, *parts):
            for factors in fits.fit(rank, part):
                last = factors
                yield path, False
            fitted.append(last)
        step = RankStep(rank, fitted[0], Stability(fits.agreement(fitted[1:])))
        path = RankPath((*(() if path is None else path.steps), step), complete=count == len(ranks))
        yield path, True
