"""Stability of a bank: whether other photos of the same kind would have given the same concepts.

The photos are divided at random into two halves, each half is factorised for itself as the bank was, and the two
dictionaries are matched one to one. A cosine of 1 says that both halves found the same direction; what is particular to
a few photos, or a direction that could as well have been another, is not found again. Crops and locations of one photo
are not independent, so whole photos are divided.

References
----------
T. Fel et al., "A Holistic Approach to Unifying Automatic Concept Extraction and Concept Importance Estimation", NeurIPS
2023, arXiv:2306.07304, for matched cosines of the dictionaries of two folds as a measure of stability.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from whatwhere.concepts._craft_run import TOLERANCE, read_method
from whatwhere.concepts._gathering import Gathering
from whatwhere.concepts._halves import Fits, check_ranks, split_rows
from whatwhere.concepts.unreadable import say_unreadable
from whatwhere.engine._checks import integer
from whatwhere.jobs import Step
from whatwhere.pixels.images import Photo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from whatwhere.concepts.concepts import Concepts
    from whatwhere.concepts.evidence import Evidence
    from whatwhere.concepts.photos import PhotoSet

_MAX_SEED = 2**63 - 1
_MOST_SPLITS = 1000
_FEWEST = 2  # photos: one a half


@dataclass(frozen=True, eq=False, repr=False)
class BankStability:
    """How well the concepts of random halves of the photos agree, with each other and with the bank.

    Parameters
    ----------
    halves : ndarray of shape (splits, r), float64
        For each split, the cosine of each concept of the first half and its match in the second; 0 for dead ones.
    found : ndarray of shape (splits, 2, R), float64
        For each half of each split, the cosine of each of the bank's R concepts and its match there.
    n_images : int
        Photos that were divided.
    unreadable : mapping of str to str
        Files that could not be read and were left out, with the reason, by name.
    complete : bool, default True
        Whether all splits are there.
    """

    halves: NDArray[np.float64]
    found: NDArray[np.float64]
    n_images: int
    unreadable: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True

    @property
    def mean(self) -> float:
        """Mean matched cosine of two halves, over concepts and splits.

        Returns
        -------
        float
            1 where halves always gave the same concepts. Non-negative directions have cosines well above 0 by chance.
        """
        return float(self.halves.mean())

    @property
    def spread(self) -> float:
        """Standard deviation, over the splits, of the mean matched cosine of a split.

        Returns
        -------
        float
            NaN of a single split.
        """
        return float(self.halves.mean(axis=1).std(ddof=1)) if len(self.halves) > 1 else math.nan

    @property
    def smallest(self) -> float:
        """Smallest matched cosine of two halves, of any concept and split.

        Returns
        -------
        float
            At most the mean.
        """
        return float(self.halves.min())

    @property
    def of_concepts(self) -> NDArray[np.float64]:
        """How well each concept of the bank is found again in half of the photos.

        Returns
        -------
        ndarray of shape (R,), float64
            Mean cosine with its match, over all halves, in the order of the bank. Halves of the bank's own photos share
            these with it, so that this is higher than for others.
        """
        mean: NDArray[np.float64] = self.found.mean(axis=(0, 1))
        return mean

    @property
    def spread_of_concepts(self) -> NDArray[np.float64]:
        """Standard deviation of each concept's cosine over all halves.

        Returns
        -------
        ndarray of shape (R,), float64
            In the order of the bank.
        """
        spread: NDArray[np.float64] = self.found.reshape(-1, self.found.shape[-1]).std(axis=0, ddof=1)
        return spread

    def describe(self) -> str:
        """Say what was found.

        Returns
        -------
        str
            For people.
        """
        splits = len(self.halves)
        spread = "" if splits == 1 else f" ± {self.spread:.2f} (standard deviation over splits)"
        each = ", ".join(f"{value:.2f}" for value in self.of_concepts)
        number = f"{splits} split{'s' if splits > 1 else ''}{'' if self.complete else ' so far'}"
        said = (
            f"Concepts of random halves of {self.n_images} photos: mean matched cosine {self.mean:.2f}{spread}, "
            f"smallest {self.smallest:.2f}, {number}. The bank's concepts are found again in a half with {each}."
        )
        return f"{said} {say_unreadable(self.unreadable, self.n_images)}" if self.unreadable else said

    def __repr__(self) -> str:
        return f"<BankStability: {self.describe()}>"


def stability_steps(
    concepts: Concepts, images: Any = None, *, n_splits: int = 5, seed: int = 0
) -> Iterator[Step[BankStability]]:
    """Measure a bank's stability as a computation that can be shown and stopped, for a `whatwhere.Job`.

    Parameters
    ----------
    concepts : Concepts
        The bank and its network.
    images : images, optional
        Photos to divide; the bank's own by default. Those that are not predicted as the bank's class are left out.
    n_splits : int, default 5
        How often they are divided, 1 to 1000.
    seed : int, default 0
        Of the divisions; the fits have the bank's own seed.

    Returns
    -------
    iterator of Step
        Forwards done and to do, the stage (``"images"``, ``"crops"``, ``"halves"``), and what the splits so far say, or
        None.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of its range, or the bank is of parts of a split concept: at once. If
        an image cannot be read, or there are too few: at a step.

    Notes
    -----
    Forwards as for the extraction, and the cost of one factorisation of all rows a split.
    """
    n_splits, seed = integer("n_splits", n_splits, 1, _MOST_SPLITS), integer("seed", seed, 0, _MAX_SEED)
    if concepts.bank.parent is not None:
        raise ValueError(
            "bank: wanted one that Craft has extracted, got the parts of a split concept, which are of crops that one "
            "concept chose; ask for the stability of the whole bank, or see ambiguity()."
        )
    return _steps(concepts, images, n_splits, seed)


def _steps(concepts: Concepts, images: Any, n_splits: int, seed: int) -> Iterator[Step[BankStability]]:
    bank, model = concepts.bank, concepts.model
    concepts.follow()
    method = replace(bank.method, layer=bank.layer.name)
    own = images is None
    gathering = Gathering(method, model, Shown(concepts.photos) if own else images, None if own else bank.target)
    extractor = read_method(method, gathering.encoder)
    for stage in gathering.stages():
        yield Step(gathering.done, max(gathering.total, gathering.done), stage, None)
    evidence, rank = gathering.evidence, bank.rank if method.n_concepts == "auto" else method.n_concepts
    _check_count(evidence)
    rows, photo_of = evidence.rows(method.fit_on), evidence.photo_of_rows(method.fit_on)
    fits = Fits(rows, extractor, method.seed, model.device, TOLERANCE)
    atoms, halves, found = bank.dictionary.bank, [], []
    record: BankStability | None = None
    for count, split in enumerate(np.random.default_rng(seed).integers(_MAX_SEED, size=n_splits).tolist(), 1):
        parts, fitted = split_rows(rows, 2, split, photo_of), []
        check_ranks("n_concepts", rank, parts, rows)
        for part in parts:
            for factors in fits.fit(rank, part):
                last = factors
                yield Step(gathering.done, gathering.done, "halves", record)
            fitted.append(last)
        halves.append(fits.agreement(fitted)[0])
        found.append(np.stack([fits.cosines(atoms, factors.bank.cpu()) for factors in fitted]))
        record = BankStability(
            np.stack(halves), np.stack(found), len(evidence), dict(evidence.unreadable), complete=count == n_splits
        )
        yield Step(gathering.done, gathering.done, "halves", record)


def _check_count(evidence: Evidence) -> None:
    if len(evidence) < _FEWEST:
        of = f" of {len(evidence) + evidence.n_left_out}" if evidence.n_left_out else ""
        why = ""
        if evidence.unreadable:
            why = f" {say_unreadable(evidence.unreadable, len(evidence) + evidence.n_left_out)}"
        raise ValueError(
            f"images: wanted at least {_FEWEST} of the bank's class to divide, got {len(evidence)}{of}.{why} Give more."
        )


class Shown(Sequence[Photo]):
    """Photos as a network saw them, one at a time, as images to be read again.

    Parameters
    ----------
    photos : PhotoSet
        The photos.
    """

    def __init__(self, photos: PhotoSet) -> None:
        self._photos = photos

    def __len__(self) -> int:
        return len(self._photos)

    @overload
    def __getitem__(self, number: int) -> Photo: ...
    @overload
    def __getitem__(self, number: slice) -> list[Photo]: ...
    def __getitem__(self, number: int | slice) -> Photo | list[Photo]:
        if isinstance(number, slice):
            return [self[k] for k in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"number: wanted one of {len(self)} photos, got {number}.")
        return Photo((self._photos.pixels(number) / np.float32(255)).astype(np.float32), prepared=True)
