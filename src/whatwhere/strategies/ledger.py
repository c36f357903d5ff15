"""What adds up to a logit, for every photo of a set."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Ledger:
    """The logit of one class for each photo, shared out among concepts.

    Parameters
    ----------
    classes : ndarray of shape (n,), int64
        The class.
    logits : ndarray of shape (n,), float32
        Its logit.
    concepts : ndarray of shape (n, r), float32
        What each concept adds to it, signed, in logits.
    residuals : ndarray of shape (n,), float32
        What the part of the features adds that no concept explains.
    bases : ndarray of shape (n,), float32
        The logit without any features.
    gaps : ndarray of shape (n,), float32
        Logit minus the sum of all these: 0 where all behind the layer is affine, else what the integral misses.

    Notes
    -----
    ``bases + concepts.sum(1) + residuals + gaps`` is `logits`, but for rounding.
    """

    classes: NDArray[np.int64]
    logits: NDArray[np.float32]
    concepts: NDArray[np.float32]
    residuals: NDArray[np.float32]
    bases: NDArray[np.float32]
    gaps: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Hold every array against writing: records are shared."""
        for name in ARRAYS:
            getattr(self, name).flags.writeable = False

    def __len__(self) -> int:
        return len(self.logits)

    def take(self, rows: NDArray[Any]) -> Ledger:
        """Return the ledger of some photos.

        Parameters
        ----------
        rows : ndarray of int or bool
            Which.

        Returns
        -------
        Ledger
            Theirs.
        """
        return Ledger(**{name: getattr(self, name)[rows] for name in ARRAYS})

    @classmethod
    def joined(cls, parts: Sequence[Ledger]) -> Ledger:
        """Put ledgers one after the other.

        Parameters
        ----------
        parts : sequence of Ledger
            At least one.

        Returns
        -------
        Ledger
            Of all their photos.
        """
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS})


ARRAYS = tuple(column.name for column in fields(Ledger))
