"""How alike the atoms of many banks are, against what atoms of different banks usually have in common.

Atoms of one layer lie in one space, but their cosines have no scale of their own: atoms that are at least 0 share the
direction of the mean activation, channels go together, and a few channels are larger than the rest, so that two atoms
that stand for nothing alike may have a cosine well above 0. The fair question is whether two atoms of different banks
are more alike than atoms of different banks are.

The null is therefore empirical. The direction of the mean activation is taken out of all atoms. An atom a has one
centred cosine with each atom of every *other* bank; most of these are not its like, so that their middle tells chance:
m_a is their median, s_a = 1.4826 times the median distance from it, neither of which a few true likes can move. A pair
is compared with the chance of both of its atoms, and the lesser distance counts,

    z(a, b) = min((cos(a, b) - m_a) / s_a, (cos(a, b) - m_b) / s_b):

an atom that is a little like everything has a high m, and is found like nothing for it.

How high z gets by chance depends on how many atoms there are and how heavy the tails of channels are. It is read off
atoms whose entries were exchanged, each channel among all atoms, so that every channel keeps its values and no two
atoms have anything in common; z is made of them in the same way. (Before, atoms are scaled so that channels count
alike: at length 1, one large entry would make all others of its atom small, and exchanged atoms would be less alike
than those of chance.) With N(z) pairs of B such draws above z, and n(z) of
the real ones,

    q(z) = min over z' <= z of ((1 + N(z')) / B) / n(z')

is the share of false ones to be expected among all pairs with a z as high: Tusher's plug-in estimate, with the 1 of a
permutation test and every pair taken for a null.

Width comes from the real atoms, and shape alone from the exchanged ones, which know nothing of channels that go
together. What this does not say: where concepts are alike by degrees, as all that is round is, the upper tail is long
without any two being the same thing. q is a bar for looking, not a proof.

References
----------
B. Efron, "Large-scale simultaneous hypothesis testing: the choice of a null hypothesis", Journal of the American
Statistical Association 99 (2004), doi:10.1198/016214504000000089: a null from the middle of the data.
V. G. Tusher, R. Tibshirani, G. Chu, "Significance analysis of microarrays applied to the ionizing radiation response",
Proceedings of the National Academy of Sciences 98 (2001), doi:10.1073/pnas.091062498: false discoveries from exchanged
data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from whatwhere.engine._checks import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

#: Atoms of other banks, from which an atom's chance can be told; with fewer there is no z.
FEWEST = 20
_LEFT = 1e-6  # of an atom's length beside the mean direction: below it there is only rounding
_SPREAD = 1e-6  # of cosines in float32; below it they are all the same
_MAD = 1.4826  # from a median distance to a standard deviation, where the law is normal
_BLOCK = 2**22  # cosines that are looked at together
_STEP, _LOWEST, _HIGHEST = 0.01, -20.0, 120.0  # of z, in which pairs are counted
_N_BINS = round((_HIGHEST - _LOWEST) / _STEP)
_PAIRS, _DRAWS = 500_000, 200  # exchanged pairs, about, and draws that they are from, at most


_LEVELLING = 10  # rounds until atoms and channels have scales of their own


@dataclass(frozen=True, eq=False)
class Likeness:
    """Atoms of many banks, and what chance gives each of them.

    Parameters
    ----------
    atoms : ndarray of shape (n, p), float32
        Without the mean direction, of length 1; 0 where nothing is left.
    given : ndarray of shape (n, p), float32
        The same atoms as they are, of length 1.
    groups : ndarray of shape (n,), int64
        The bank that each is of.
    direction : ndarray of shape (p,), float64
        What was taken out of them, of length 1, or 0.
    centres, spreads : ndarray of shape (n,), float64
        Median and scaled median distance of its cosines with atoms of other banks; NaN where these are fewer than
        `FEWEST`, or half of them the same.
    n_null : int
        Atoms of other banks that the atom with the fewest has, of those that have a z; 0 where none has.
    seed : int
        Of the exchanges.
    """

    atoms: NDArray[np.float32]
    given: NDArray[np.float32]
    groups: NDArray[np.int64]
    direction: NDArray[np.float64]
    centres: NDArray[np.float64]
    spreads: NDArray[np.float64]
    n_null: int
    seed: int

    @classmethod
    def of(cls, atoms: ArrayLike, groups: ArrayLike, mean: ArrayLike | None = None, *, seed: int = 0) -> Likeness:
        """Find what chance gives each atom.

        Parameters
        ----------
        atoms : array_like of shape (n, p)
            Of any length; rows of zeros are dead.
        groups : array_like of shape (n,), of int
            The bank that each is of.
        mean : array_like of shape (p,), optional
            The mean activation, whose direction is taken out; by default, or where it is 0, none is.
        seed : int, default 0
            Of the exchanges that `q` takes. The order of atoms and banks does not matter.

        Returns
        -------
        Likeness
            For `cosines`, `z` and `q`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not of that shape, or not finite.

        Notes
        -----
        n^2 p multiplications; `q` takes 2 n^2 p more, and 1,000,000 p of few atoms. Memory: four times the atoms, and
        some 150 MB, however many there are.
        """
        rows, of = numbers("atoms", atoms), np.asarray(groups)
        if rows.ndim != 2 or of.shape != rows.shape[:1] or of.dtype.kind not in "iu":  # noqa: PLR2004  # a matrix
            raise ValueError(f"groups: wanted an integer for each of atoms {rows.shape}, got {of.dtype} {of.shape}.")
        direction = np.zeros(rows.shape[1]) if mean is None else _units(numbers("mean", mean))
        if direction.shape != rows.shape[1:]:
            raise ValueError(f"mean: wanted {rows.shape[1]} numbers, one a column of atoms, got {direction.shape}.")
        return cls._measured(_units(rows), of.astype(np.int64), direction, seed)

    @classmethod
    def _measured(
        cls, units: NDArray[np.float64], groups: NDArray[np.int64], direction: NDArray[np.float64], seed: int
    ) -> Likeness:
        nothing = np.full(len(units), np.nan)
        told = (_beside(units, direction).astype(np.float32), units.astype(np.float32), groups, direction)
        found = cls(*told, nothing, nothing.copy(), 0, seed)
        counts = np.zeros(len(units), dtype=np.int64)
        for place in found.blocks():
            others = found._others(place)
            counts[place] = others.sum(axis=1)
            found.centres[place], found.spreads[place] = _middles(found.cosines(place), others)
        unknown = (counts < FEWEST) | ~(found.spreads > _SPREAD)
        found.centres[unknown] = found.spreads[unknown] = np.nan
        fewest = 0 if unknown.all() else int(counts[~unknown].min())
        return replace(found, n_null=fewest)

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        """Atoms that have a direction, of shape (n,)."""
        return np.asarray(self.atoms.any(axis=1))

    def cosines(self, place: slice) -> NDArray[np.float64]:
        """Return centred cosines.

        Parameters
        ----------
        place : slice
            Some of the atoms.

        Returns
        -------
        ndarray of shape (m, n), float64
            With all atoms; 0 where one is dead.
        """
        atoms = torch.from_numpy(self.atoms)  # whose threads a person sets, and tests do
        return (atoms[place] @ atoms.T).clamp_(-1, 1).numpy().astype(np.float64)

    def z(self, place: slice) -> NDArray[np.float64]:
        """Return how far the cosines stand above chance.

        Parameters
        ----------
        place : slice
            Some of the atoms.

        Returns
        -------
        ndarray of shape (m, n), float64
            With all atoms; NaN within a bank, and where one of both is dead or its chance is not known.
        """
        cosines = self.cosines(place)
        own = (cosines - self.centres[place, None]) / self.spreads[place, None]
        z = np.minimum(own, (cosines - self.centres) / self.spreads)
        z[~self._others(place)] = np.nan
        return z

    def q(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return the share of false ones to be expected among all pairs that stand as far above chance.

        Parameters
        ----------
        z : array_like of float
            As `z` returns it.

        Returns
        -------
        ndarray of float64
            0 to 1, as of the next lower hundredth of z; NaN for NaN.
        """
        values = np.asarray(z, dtype=np.float64)
        known = np.isfinite(values)
        return np.where(known, self._shares[_bins(np.where(known, values, 0))], np.nan)

    def blocks(self) -> Iterator[slice]:
        """Divide the atoms so that the cosines of a part with all of them take little memory.

        Yields
        ------
        slice
            One part after the other.
        """
        size = max(1, _BLOCK // max(len(self.atoms), 1))
        for first in range(0, len(self.atoms), size):
            yield slice(first, min(first + size, len(self.atoms)))

    def _others(self, place: slice) -> NDArray[np.bool_]:
        """Tell which atoms are alive and of another bank than each of some."""
        others: NDArray[np.bool_] = (self.groups[place, None] != self.groups) & self.alive & self.alive[place, None]
        return others

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        """The q of every hundredth of z."""
        real = self.counts()
        pairs = int(real.sum())
        if not pairs:
            return np.full(len(real), np.nan)
        draws = min(max(-(-_PAIRS // pairs), 1), _DRAWS)
        chance = sum((each.counts() for each in self._exchanged(draws)), start=np.zeros_like(real))
        above, by_chance = (counts[::-1].cumsum()[::-1] for counts in (real, chance))
        shares = (1 + by_chance) / draws / np.maximum(above, 1)
        return np.minimum(np.minimum.accumulate(shares), 1)

    def counts(self) -> NDArray[np.int64]:
        """Count pairs of atoms of different banks by z.

        Returns
        -------
        ndarray of int64
            Pairs, each once, by hundredths of z from -20 on.
        """
        counts = np.zeros(_N_BINS, dtype=np.int64)
        for place in self.blocks():
            z = self.z(place)
            once = z[np.isfinite(z) & (self.groups[place, None] < self.groups)]
            counts += np.bincount(_bins(once), minlength=_N_BINS)
        return counts

    def _exchanged(self, draws: int) -> Iterator[Likeness]:
        """Exchange the entries of each channel among the atoms; sorted first, so that the atoms' order is nothing."""
        rng = np.random.default_rng(self.seed)
        columns = np.sort(_levelled(self.given[self.alive]), axis=0)
        sizes = np.sort(np.unique(self.groups[self.alive], return_counts=True)[1])
        groups = np.repeat(np.arange(len(sizes)), sizes)
        for _ in range(draws):
            mixed = _units(rng.permuted(columns, axis=0).astype(np.float64))
            yield self._measured(mixed, groups, self.direction, self.seed)


def _levelled(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scale atoms by all of their channels alike: of atoms of length 1 a large one makes the others small."""
    level = rows.astype(np.float64)
    for _ in range(_LEVELLING):
        sizes = np.sqrt((level**2).mean(axis=0))
        level /= np.sqrt(((level / np.where(sizes > 0, sizes, 1)) ** 2).mean(axis=1, keepdims=True))
    return level


def _middles(cosines: NDArray[np.float64], others: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
    """Return median and scaled median distance of each row's own cosines; NaN where there are none."""
    centres = _medians(np.where(others, cosines, np.nan))
    return centres, _MAD * _medians(np.where(others, np.abs(cosines - centres[:, None]), np.nan))


def _medians(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of what is not NaN in each row, as `numpy.nanmedian` does, but by one sort of all."""
    counts = np.isfinite(rows).sum(axis=1)
    ordered = np.sort(rows, axis=1)  # NaN last
    lines = np.arange(len(rows))
    lower, upper = (
        ordered[lines, np.maximum(counts - 1, 0) // 2],
        ordered[lines, np.minimum(counts // 2, rows.shape[1] - 1)],
    )
    return np.where(counts > 0, (lower + upper) / 2, np.nan)


def _bins(z: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.clip(np.floor((z - _LOWEST) / _STEP), 0, _N_BINS - 1).astype(np.int64)


def _units(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0)
    scaled = rows / np.where(largest > 0, largest, 1)  # squares of tiny numbers would vanish
    lengths = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return scaled / np.where(lengths > 0, lengths, 1)


def _beside(units: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit atoms without their part along a direction; zeros where that was all."""
    rest = units - np.einsum("np,p->n", units, direction)[:, None] * direction
    return _units(rest * (np.linalg.norm(rest, axis=1, keepdims=True) > _LEFT))
