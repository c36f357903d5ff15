"""What is known of single photos of a long run, kept batch by batch: a run that is killed goes on where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatwhere.cache.blobs import Entry
from whatwhere.cache.keys import digest_of
from whatwhere.cache.reports import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from whatwhere.cache.store import Store

_SHARE = 0.5  # of the limit, at most, for one run: beyond it a run would evict what it needs first when it is repeated


class Rows:
    """Arrays of photos, by the photos' contents.

    Parameters
    ----------
    store : Store or None
        The cache; None finds and keeps nothing.
    kind : str
        What the arrays are.
    scope : str
        What they were made with.
    same : callable, optional
        Whether that still is the same: asked after rows have been computed, before they are kept.

    Attributes
    ----------
    found : int
        Photos that were found so far.
    """

    def __init__(
        self, store: Store | None, kind: str, scope: str = "", *, same: Callable[[], bool] = lambda: True
    ) -> None:
        self._store, self._kind, self._scope, self._same = store, kind, scope, same
        self._bytes = 0
        self.found = 0

    @property
    def on(self) -> bool:
        """Whether there is a cache: if not, photos need no digest."""
        return self._store is not None

    def find(self, digests: Sequence[str], *more: Any) -> list[Mapping[str, NDArray[Any]] | None]:
        """Find what is known of some photos.

        Parameters
        ----------
        digests : sequence of str
            Hashes of their contents.
        *more : sequence, optional
            What else tells their rows apart, one value a photo.

        Returns
        -------
        list of mapping of str to ndarray, or None
            Read-only arrays of each; None where nothing is known.
        """
        store = self._store
        if store is None:
            return [None] * len(digests)
        entries = [store.get(key) for key in self._keys(digests, more)]
        self.found += sum(entry is not None for entry in entries)
        return [None if entry is None else entry.arrays for entry in entries]

    def keep(self, digests: Sequence[str], *more: Any, rows: Sequence[Mapping[str, NDArray[Any]]]) -> None:
        """Keep what has been computed of some photos; it is on the disk when this returns.

        Parameters
        ----------
        digests : sequence of str
            Hashes of their contents.
        *more : sequence, optional
            As for `find`.
        rows : sequence of mapping of str to ndarray
            Arrays of each.

        Notes
        -----
        One run fills half of the cache at most; what comes after is computed each time, which is said.
        """
        store = self._store
        if store is None or not rows:
            return
        if not self._same():  # what was trained meanwhile is nobody's
            self._store = None
            return
        if self._bytes > store.limit * _SHARE:
            store.decline(
                f"{self._kind} of photos",
                f"those of the first photos take {in_words(self._bytes)}, more than half of the limit of "
                f"{in_words(store.limit)}, so that the others are not kept; a larger limit= would hold them",
            )
            return
        entries = [Entry(arrays=row) for row in rows]
        self._bytes += store.put(self._kind, list(zip(self._keys(digests, more), entries, strict=True)))

    def _keys(self, digests: Sequence[str], more: Sequence[Sequence[Any]]) -> list[str]:
        return [digest_of(self._kind, self._scope, *parts) for parts in zip(digests, *more, strict=True)]
