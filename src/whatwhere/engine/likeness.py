"""How alike the atoms of many banks are, against what atoms of different banks usually have in common.

Atoms of one layer lie in one space, but their cosines have no scale of their own: atoms that are at least 0 share the
direction of the mean activation, and channels go together, so that two atoms that stand for nothing alike have a cosine
well above 0. Shuffled or rotated atoms are no fair chance to compare with, since they know nothing of channels that go
together. The fair question is whether two atoms of different banks are more alike than atoms of different banks are.

The null is therefore empirical. The direction of the mean activation is taken out of all atoms. An atom a has one
centred cosine with each atom of every *other* bank; most of these n are not its like, so that their middle tells
chance: m_a is their median, s_a = 1.4826 times the median distance from it, neither of which a few true likes can move.
A pair is compared with the chance of both of its atoms, and the lesser distance counts,

    z(a, b) = min((cos(a, b) - m_a) / s_a, (cos(a, b) - m_b) / s_b):

an atom that is a little like everything has a high m, and is found like nothing for it. Where the middle is normal,
z / sqrt(1 + pi / 2n) of one side follows about Student's law with 0.37 n degrees of freedom, since a median has pi / 2
of the variance of a mean, and the median distance 0.37 of the efficiency of a standard deviation. Its upper tail is p;
the minimum makes p larger than it need be. q is Benjamini and Hochberg's, over all pairs of atoms of different banks.

What this does not say: q counts pairs that are more alike than the middle's normal law explains. Where concepts are
alike by degrees, the upper tail is long without any two being the same thing. It is a bar for looking, not a proof.

References
----------
B. Efron, "Large-scale simultaneous hypothesis testing: the choice of a null hypothesis", Journal of the American
Statistical Association 99 (2004), doi:10.1198/016214504000000089: a null from the middle of the data.
P. J. Rousseeuw, C. Croux, "Alternatives to the median absolute deviation", Journal of the American Statistical
Association 88 (1993), doi:10.1080/01621459.1993.10476408: its efficiency.
Y. Benjamini, Y. Hochberg, "Controlling the false discovery rate", Journal of the Royal Statistical Society B 57 (1995),
doi:10.1111/j.2517-6161.1995.tb02031.x.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from whatwhere.engine._checks import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

#: Atoms of other banks, from which an atom's chance can be told; with fewer there is no z.
FEWEST = 20
_LEFT = 1e-6  # of an atom's length beside the mean direction: below it there is only rounding
_SPREAD = 1e-7  # of cosines in float32; below it they are all the same
_MAD = 1.4826  # from a median distance to a standard deviation, where the law is normal
_EFFICIENCY = 0.3675  # of the median distance beside the standard deviation
_BLOCK = 2**23  # cosines that are looked at together
_STEP, _LOWEST, _HIGHEST = 0.01, -20.0, 120.0  # of z, in which pairs are counted


@dataclass(frozen=True, eq=False)
class Likeness:
    """Atoms of many banks, and what chance gives each of them.

    Parameters
    ----------
    atoms : ndarray of shape (n, p), float32
        Without the mean direction, of length 1; 0 where nothing is left.
    groups : ndarray of shape (n,), int64
        The bank that each is of.
    centres, spreads : ndarray of shape (n,), float64
        Median and scaled median distance of its cosines with atoms of other banks; NaN where these are fewer than
        `FEWEST`, or half of them the same.
    n_null : int
        Atoms of other banks that the atom with the fewest has, of those that have a z; 0 where none has.
    """

    atoms: NDArray[np.float32]
    groups: NDArray[np.int64]
    centres: NDArray[np.float64]
    spreads: NDArray[np.float64]
    n_null: int

    @classmethod
    def of(cls, atoms: ArrayLike, groups: ArrayLike, mean: ArrayLike | None = None) -> Likeness:
        """Find what chance gives each atom.

        Parameters
        ----------
        atoms : array_like of shape (n, p)
            Of any length; rows of zeros are dead.
        groups : array_like of shape (n,), of int
            The bank that each is of.
        mean : array_like of shape (p,), optional
            The mean activation, whose direction is taken out; by default, or where it is 0, none is.

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
        n^2 p multiplications, twice once `q` is asked for; beside the atoms some 100 MB, however many there are.
        """
        rows, of = numbers("atoms", atoms), np.asarray(groups)
        if rows.ndim != 2 or of.shape != rows.shape[:1] or of.dtype.kind not in "iu":  # noqa: PLR2004  # a matrix
            raise ValueError(f"groups: wanted an integer for each of atoms {rows.shape}, got {of.dtype} {of.shape}.")
        units = _beside(_units(rows), mean).astype(np.float32)
        found = cls(units, of.astype(np.int64), np.full(len(units), np.nan), np.full(len(units), np.nan), 0)
        fewest = []
        for place in found.blocks():
            cosines, others = found.cosines(place), found._others(place)
            for k, (row, other) in enumerate(zip(cosines, others, strict=True), start=place.start):
                if not found.alive[k] or other.sum() < FEWEST:
                    continue
                centre, spread = _middle(row[other])
                if spread > _SPREAD:
                    found.centres[k], found.spreads[k] = centre, spread
                    fewest.append(int(other.sum()))
        return cls(found.atoms, found.groups, found.centres, found.spreads, min(fewest, default=0))

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
        return np.clip(self.atoms[place] @ self.atoms.T, -1, 1).astype(np.float64)

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
        """Return the share of false ones among all pairs that stand as far above chance.

        Parameters
        ----------
        z : array_like of float
            As `z` returns it.

        Returns
        -------
        ndarray of float64
            Benjamini and Hochberg's q, 0 to 1, as of the next lower hundredth of z; NaN for NaN.
        """
        values = np.asarray(z, dtype=np.float64)
        known = np.isfinite(values)
        bins = _bins(np.where(known, values, 0))
        return np.where(known, self._steps[bins], np.nan)

    def p(self, z: ArrayLike) -> NDArray[np.float64]:
        """Return the chance that one pair stands as far above chance.

        Parameters
        ----------
        z : array_like of float
            As `z` returns it.

        Returns
        -------
        ndarray of float64
            The upper tail of Student's law; NaN for NaN.
        """
        from scipy.stats import t

        values = np.asarray(z, dtype=np.float64)
        if not self.n_null:
            return np.full(values.shape, np.nan)
        wider = np.sqrt(1 + np.pi / (2 * self.n_null))
        return np.asarray(t.sf(values / wider, _EFFICIENCY * self.n_null))

    @cached_property
    def _steps(self) -> NDArray[np.float64]:
        """The q of every hundredth of z."""
        edges = np.arange(_LOWEST, _HIGHEST, _STEP)
        counts = np.zeros(len(edges), dtype=np.int64)
        for place in self.blocks():
            z = self.z(place)
            once = z[np.isfinite(z) & (self.groups[place, None] < self.groups)]
            counts += np.bincount(_bins(once), minlength=len(edges))
        above = counts[::-1].cumsum()[::-1]
        shares = self.p(edges) * counts.sum() / np.maximum(above, 1)
        return np.minimum(np.minimum.accumulate(shares), 1)

    def _others(self, place: slice) -> NDArray[np.bool_]:
        """Tell which atoms are alive and of another bank than each of some."""
        others: NDArray[np.bool_] = (self.groups[place, None] != self.groups) & self.alive & self.alive[place, None]
        return others

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


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    centre = float(np.median(values))
    return centre, _MAD * float(np.median(np.abs(values - centre)))


def _bins(z: NDArray[np.float64]) -> NDArray[np.int64]:
    last = round((_HIGHEST - _LOWEST) / _STEP) - 1
    return np.clip(np.floor((z - _LOWEST) / _STEP), 0, last).astype(np.int64)


def _units(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = np.abs(rows).max(axis=-1, keepdims=True, initial=0)
    scaled = rows / np.where(largest > 0, largest, 1)  # squares of tiny numbers would vanish
    lengths = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return scaled / np.where(lengths > 0, lengths, 1)


def _beside(units: NDArray[np.float64], mean: ArrayLike | None) -> NDArray[np.float64]:
    """Return unit atoms without their part along the mean; zeros where that was all."""
    if mean is None:
        return units
    told = numbers("mean", mean)
    if told.shape != units.shape[1:]:
        raise ValueError(f"mean: wanted {units.shape[1]} numbers, one a column of the atoms, got shape {told.shape}.")
    direction = _units(told)
    rest = units - np.outer(units @ direction, direction)
    return _units(rest * (np.linalg.norm(rest, axis=1, keepdims=True) > _LEFT))
