"""Stored logits of a masking design: all classes while memory allows, the likeliest ones beyond that.

Whatever a map is asked for later, another class, another score, an interval, is read from here without a forward pass.
All stores alive share one budget, ``whatwhere.limits.logits_bytes``; beyond it the ones used longest ago are reduced.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere import limits
from whatwhere.engine.scores import Summary, score, score_from, summarise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from whatwhere.engine.scores import ScoreKind

_KEPT = 32


class DroppedClassError(LookupError):
    """A class whose logits were dropped to stay within the memory budget."""


class Logits:
    """Logits of a design's masked images.

    Parameters
    ----------
    array : ndarray of shape (rows, columns, classes), float32
        The logits; filled row by row by whoever runs the design.
    reference : ndarray of shape (classes,), float32
        Logits of the unmasked image, which say what to keep when memory runs out.

    Attributes
    ----------
    pinned : bool
        Whether it is being filled, and must not be reduced.
    filled : int
        Rows that hold logits.

    Notes
    -----
    A reduced store holds, per masked image, the logits of the 32 classes that are likeliest on the unmasked image and
    the 32 that are likeliest on average over the design, and a summary by which every score of these stays exact.
    """

    def __init__(self, array: NDArray[np.float32], reference: NDArray[np.float32]) -> None:
        self._full: NDArray[np.float32] | None = array
        self._shape = array.shape
        self._reference = reference
        self._kept: dict[int, NDArray[np.float32]] = {}
        self._summary: Summary | None = None
        self.pinned = True
        self.filled = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns and classes of the design."""
        rows, columns, classes = self._shape
        return rows, columns, classes

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        if self._full is not None:
            return self._full.nbytes
        return sum(part.nbytes for part in (*self._kept.values(), *self._parts()))

    @property
    def reduced(self) -> bool:
        """Whether only the likeliest classes are left."""
        return self._full is None

    @property
    def classes(self) -> tuple[int, ...]:
        """Ids of the classes whose logits are held."""
        full = self._full
        return tuple(range(self._shape[2])) if full is not None else tuple(self._kept)

    def array(self) -> NDArray[np.float32]:
        """Return the logits of all classes.

        Returns
        -------
        ndarray of shape (rows, columns, classes), float32
            The store itself, not a copy.

        Raises
        ------
        DroppedClassError
            If the store was reduced.
        """
        full = self._full
        if full is None:
            raise DroppedClassError(self._dropped("all classes"))
        shelf.touch(self)
        return full

    def scores(self, class_id: int, kind: ScoreKind, rows: int) -> NDArray[np.float64]:
        """Return the scores of the first rows for one class.

        Parameters
        ----------
        class_id : int
            The class.
        kind : str or callable
            The score, see `whatwhere.engine.scores.score`.
        rows : int
            How many rows.

        Returns
        -------
        ndarray of shape (rows, columns), float64
            Scores.

        Raises
        ------
        DroppedClassError
            If the store was reduced and the class is not among those kept, or the score is a function of all logits.
        """
        full = self._full
        if full is not None:
            shelf.touch(self)
            return score(full[:rows], class_id, kind)
        if callable(kind) or class_id not in self._kept:
            raise DroppedClassError(
                self._dropped("a function of all logits" if callable(kind) else f"class {class_id}")
            )
        summary = Summary(*(part[:rows] for part in self._parts()))
        return score_from(summary, self._kept[class_id][:rows], class_id, kind)

    @contextlib.contextmanager
    def filling(self) -> Iterator[Logits]:
        """Keep the store as it is while it is filled; afterwards, however that ends, drop the rows not reached.

        Yields
        ------
        Logits
            Itself, to set `filled` on.
        """
        shelf.trim(room=self.nbytes)
        shelf.touch(self)
        try:
            yield self
        finally:
            self.settle(self.filled)

    def settle(self, rows: int) -> None:
        """Say that filling is over.

        Parameters
        ----------
        rows : int
            Rows that hold logits; memory of the others is given back.
        """
        full = self._full
        if full is not None and (rows < len(full) or not full.flags.owndata):
            self._full = full[:rows].copy()  # also out of page-locked memory, of which there is little
            self._shape = self._full.shape
        self.filled, self.pinned = rows, False
        shelf.touch(self)
        shelf.trim()

    def reduce(self) -> None:
        """Keep the likeliest classes only."""
        full = self._full
        if full is None:
            return
        if not full.size:
            return
        flat = full.reshape(-1, self._shape[2])
        mean = flat.mean(axis=0, dtype=np.float64)
        wanted: Iterable[int] = {*_top(self._reference), *_top(mean)}
        self._kept = {int(k): np.ascontiguousarray(full[:, :, k]) for k in sorted(wanted)}
        self._summary = summarise(full)
        self._full = None

    def keeps(self, class_id: int) -> bool:
        """Tell whether a class's logits are held.

        Parameters
        ----------
        class_id : int
            The class.

        Returns
        -------
        bool
            False if they were dropped.
        """
        return self._full is not None or class_id in self._kept

    def _parts(self) -> tuple[NDArray[Any], ...]:
        summary = self._summary
        return () if summary is None else (summary.largest, summary.second, summary.rest, summary.argmax)

    def _dropped(self, what: str) -> str:
        return (
            f"The logits of {what} were dropped: the records alive went over whatwhere.limits.logits_bytes = "
            f"{limits.logits_bytes:,}. {len(self._kept)} likely classes are left. Run the method on this image again, "
            "or raise the limit before a long run."
        )


def _top(values: NDArray[np.floating]) -> list[int]:
    return [int(k) for k in np.argsort(-values, kind="stable")[:_KEPT]]


class Shelf:
    """All stores alive, the one used longest ago first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stores: dict[int, weakref.ref[Logits]] = {}

    def touch(self, store: Logits) -> None:
        """Say that a store is used now.

        Parameters
        ----------
        store : Logits
            The store.
        """
        with self._lock:
            self._stores.pop(id(store), None)
            self._stores[id(store)] = weakref.ref(store)

    @property
    def nbytes(self) -> int:
        """Bytes that all stores alive hold."""
        return sum(store.nbytes for store in self._alive())

    def trim(self, room: int = 0) -> None:
        """Reduce the stores used longest ago until the rest fits the budget; stores being filled are left alone.

        Parameters
        ----------
        room : int, default 0
            Bytes to leave free.
        """
        alive = self._alive()
        excess = sum(store.nbytes for store in alive) + room - limits.logits_bytes
        for store in alive:
            if excess <= 0:
                return
            if not store.pinned and not store.reduced:
                before = store.nbytes
                store.reduce()
                excess -= before - store.nbytes

    def _alive(self) -> list[Logits]:
        with self._lock:
            found = {key: ref() for key, ref in self._stores.items()}
            for key in [key for key, store in found.items() if store is None]:
                del self._stores[key]
        return [store for store in found.values() if store is not None]


#: The one shelf of the process.
shelf = Shelf()
