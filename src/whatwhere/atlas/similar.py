"""Concepts of different classes that are alike, with a score that says how much more so than chance."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from whatwhere.engine.likeness import FEWEST, Likeness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from whatwhere.atlas.page_store import Atoms


@dataclass(frozen=True)
class Similar:
    """Two concepts of different classes, and how alike they are.

    Parameters
    ----------
    here, there : (int, int)
        Class id and concept id of each.
    cosine : float
        Of their directions, without the direction of the mean activation, -1 to 1.
    z : float
        How far that is above what is usual for either of them with concepts of other classes, in standard deviations;
        the lesser of both. NaN where there are too few classes to tell.
    q : float
        Share of false ones to be expected among all pairs of the atlas with such a z or a higher one, 0 to 1; NaN
        likewise. See `whatwhere.engine.likeness`.
    mutual : bool
        Whether they belong together when the concepts of both classes are matched one to one.
    """

    here: tuple[int, int]
    there: tuple[int, int]
    cosine: float
    z: float
    q: float
    mutual: bool


class Link(NamedTuple):
    """Two classes that share concepts.

    Attributes
    ----------
    here, there : int
        Class ids, the lower first.
    shared : tuple of (int, int)
        Concept ids of both, of the pairs that are alike and belong together.
    z : float
        Of the pair that is most alike.
    """

    here: int
    there: int
    shared: tuple[tuple[int, int], ...]
    z: float


class Finder:
    """The directions of all classes, compared.

    Parameters
    ----------
    atoms : mapping of int to Atoms
        Concepts of each class, by id.
    """

    def __init__(self, atoms: Mapping[int, Atoms]) -> None:
        classes = sorted(atoms)  # whatever order they came in
        self._keys = [(c, k) for c in classes for k in atoms[c].ids]
        self._rows: dict[int, slice] = {}
        first = 0
        for c in classes:
            self._rows[c] = slice(first, first + len(atoms[c].ids))
            first += len(atoms[c].ids)
        weights = np.array([atoms[c].n_images for c in classes], dtype=np.float64)
        mean = weights @ np.stack([atoms[c].mean for c in classes]) / weights.sum()
        groups = np.array([c for c, _ in self._keys])
        self.likeness = Likeness.of(np.concatenate([atoms[c].W for c in classes]), groups, mean)
        self._matches: dict[tuple[int, int], set[tuple[int, int]]] = {}

    @property
    def calibrated(self) -> bool:
        """Whether there are enough concepts of other classes to tell chance."""
        return self.likeness.n_null > 0

    def say(self) -> str:
        """Say how scores came about, or why there are none.

        Returns
        -------
        str
            A sentence or two.
        """
        n = len(self._rows)
        if not self.calibrated:
            return (
                f"Scores have no scale: chance is told from at least {FEWEST} different concepts of other classes, and "
                f"{n} class{'es have' if n != 1 else ' has'} {len(self._keys)} in all. Cosines alone are told; add "
                "classes."
            )
        return (
            f"z: above the usual cosine of a concept with {self.likeness.n_null} or more of other classes, in robust "
            "standard deviations; q: share of false ones to be expected among pairs that are as much alike."
        )

    def find(self, rows: slice | None, most: int, threshold: float | None) -> list[Similar]:
        """Find the pairs that are most alike.

        Parameters
        ----------
        rows : slice or None
            The concepts to find others for; None takes all, each pair once.
        most : int
            How many pairs at most.
        threshold : float or None
            Largest q; None takes any. Where there is no q all are taken.

        Returns
        -------
        list of Similar
            The highest z first; by cosine where there is none.
        """
        found: list[tuple[float, float, int, int]] = []
        for place in self.likeness.blocks() if rows is None else [rows]:
            found += self._best(place, most, once=rows is None)
        found.sort(key=lambda each: (-each[0], -each[1], self._keys[each[2]], self._keys[each[3]]))
        return self._told(found[:most], threshold)

    def links(self, threshold: float) -> list[Link]:
        """Find which classes share concepts.

        Parameters
        ----------
        threshold : float
            Largest q of a shared concept.

        Returns
        -------
        list of Link
            The highest z first.
        """
        shared: defaultdict[tuple[int, int], list[Similar]] = defaultdict(list)
        for place in self.likeness.blocks():
            z = self.likeness.z(place)
            with np.errstate(invalid="ignore"):
                near = (self.likeness.q(z) <= threshold) & self._once(place)
            lines, columns = np.nonzero(near)
            cosines = self.likeness.cosines(place)
            some = [
                (float(z[i, j]), float(cosines[i, j]), place.start + int(i), int(j))
                for i, j in zip(lines, columns, strict=True)
            ]
            for each in self._told(some, threshold):
                if each.mutual:
                    shared[each.here[0], each.there[0]].append(each)
        links = [
            Link(a, b, tuple(sorted((one.here[1], one.there[1]) for one in pairs)), max(one.z for one in pairs))
            for (a, b), pairs in shared.items()
        ]
        return sorted(links, key=lambda link: (-link.z, link.here, link.there))

    def rows_of(self, target: int, concept: int | None) -> slice:
        """Find the rows of a class, or of one of its concepts.

        Parameters
        ----------
        target : int
            Class id.
        concept : int or None
            Concept id.

        Returns
        -------
        slice
            Of the atoms.

        Raises
        ------
        KeyError
            If the class has no such concept.
        """
        rows = self._rows[target]
        if concept is None:
            return rows
        ids = [k for _, k in self._keys[rows]]
        if concept not in ids:
            raise KeyError(f"concept: wanted one of {ids}, the ids of class {target}, got {concept!r}.")
        return slice(rows.start + ids.index(concept), rows.start + ids.index(concept) + 1)

    def _once(self, place: slice) -> NDArray[np.bool_]:
        groups: NDArray[np.int64] = self.likeness.groups
        return groups[place, None] < groups

    def _best(self, place: slice, most: int, *, once: bool) -> list[tuple[float, float, int, int]]:
        """Return z (-inf where there is none), cosine and rows of the best pairs of some concepts."""
        cosines, z = self.likeness.cosines(place), self.likeness.z(place)
        groups, alive = self.likeness.groups, self.likeness.alive
        allowed = (groups[place, None] != groups) & alive & alive[place, None]
        if once:
            allowed &= self._once(place)
        score = cosines if not self.calibrated else np.nan_to_num(z, nan=-np.inf)
        flat = np.flatnonzero(allowed)
        values = score.ravel()[flat]
        if len(flat) > most:
            bar = np.partition(values, -most)[-most]
            flat = flat[values >= bar]  # of equals all, so that order decides nothing
        chance = np.nan_to_num(z, nan=-np.inf)
        lines, columns = np.unravel_index(flat, score.shape)
        return [
            (float(chance[i, j]), float(cosines[i, j]), place.start + int(i), int(j))
            for i, j in zip(lines, columns, strict=True)
        ]

    def _told(self, pairs: list[tuple[float, float, int, int]], threshold: float | None) -> list[Similar]:
        chance = np.array([each[0] if np.isfinite(each[0]) else np.nan for each in pairs])
        shares = self.likeness.q(chance)
        told = []
        for (_, cosine, i, j), z, q in zip(pairs, chance.tolist(), shares.tolist(), strict=True):
            if threshold is None or not self.calibrated or q <= threshold:
                told.append(Similar(self._keys[i], self._keys[j], cosine, z, q, self._matched(i, j)))
        return told

    def _matched(self, i: int, j: int) -> bool:
        """Tell whether two concepts belong together when those of both classes are matched one to one."""
        if self._keys[i][0] > self._keys[j][0]:
            i, j = j, i
        a, b = self._keys[i][0], self._keys[j][0]
        if (a, b) not in self._matches:
            one, other = self._rows[a], self._rows[b]
            lines, columns = linear_sum_assignment(self.likeness.cosines(one)[:, other], maximize=True)
            pairs = zip((lines + one.start).tolist(), (columns + other.start).tolist(), strict=True)
            self._matches[a, b] = set(pairs)
        return (i, j) in self._matches[a, b]
