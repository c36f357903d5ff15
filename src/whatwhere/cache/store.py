"""A cache: entries by key, in files that are checked whenever they are read, within a limit of bytes."""

from __future__ import annotations

import collections
import contextlib
import errno
import sqlite3
import threading
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np

from whatwhere.cache.blobs import Blobs, CorruptError, Entry, encode, name_of
from whatwhere.cache.index import Index
from whatwhere.cache.reports import CacheCheck, CacheInfo, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_VERSION = "v1"  # of the format: results of another one are not looked at
_HELD_BYTES, _HELD_FILES = 2**26, 16  # of files read last: neighbouring photos lie together
_TOUCHES = 256  # uses that are noted together
_OF_USE = (sqlite3.OperationalError, sqlite3.IntegrityError, sqlite3.ProgrammingError)  # the file itself is sound


class Store:
    """A cache in a folder.

    Parameters
    ----------
    folder : Path
        The folder; made when something is written.
    limit : int
        Bytes that its files may take.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._root = folder / _VERSION
        self._blobs, self._index = Blobs(self._root), Index(self._root / "index.sqlite")
        self._lock = threading.RLock()
        self._held: collections.OrderedDict[str, tuple[int, list[Entry]]] = collections.OrderedDict()
        self._used: dict[str, float] = {}
        self._now = 0.0
        self._said: set[str] = set()
        self._writes = True
        self.hits = self.misses = self.written = self.evicted = self.corrupt = 0
        self.uncacheable: list[str] = []

    def __repr__(self) -> str:
        return f"<cache in {str(self.folder)!r}, at most {in_words(self.limit)}>"

    # -- entries ------------------------------------------------------------------------------------------------------

    def get(self, key: str) -> Entry | None:
        """Find an entry.

        Parameters
        ----------
        key : str
            Its key.

        Returns
        -------
        Entry or None
            Whole, as it was written; its arrays are read-only. None if there is none, or if what there was is broken:
            that is said, and dropped.

        Warns
        -----
        UserWarning
            If a file was broken, or the cache cannot be read.
        """
        with self._lock:
            found = self._found(key)
            if found is None:
                self.misses += 1
            else:
                self.hits += 1
            return found

    def _found(self, key: str) -> Entry | None:
        if not self._root.is_dir():
            return None
        try:
            place = self._index.find(key)
        except (OSError, sqlite3.Error) as error:
            self._fail("read", error)
            return None
        if place is None:
            return None
        entries = self._entries_of(place.file)
        if entries is None:
            return None
        self._used[place.file] = self._time()
        if len(self._used) >= _TOUCHES:
            self.flush()
        return entries[place.place]

    def _entries_of(self, name: str) -> list[Entry] | None:
        if name in self._held:
            self._held.move_to_end(name)
            return self._held[name][1]
        try:
            entries = self._blobs.read(name)
        except FileNotFoundError:  # another process has evicted it
            self._drop([name])
            return None
        except CorruptError as error:
            self.corrupt += 1
            self._drop([name])
            self._say(f"{self._blobs.path(name)} is broken: {error}. It is dropped, and computed anew.")
            return None
        except OSError as error:
            self._fail("read", error)
            return None
        size = sum(values.nbytes for entry in entries for values in entry.arrays.values())
        self._held[name] = size, entries
        while len(self._held) > 1 and (
            len(self._held) > _HELD_FILES or sum(held for held, _ in self._held.values()) > _HELD_BYTES
        ):
            self._held.popitem(last=False)
        return entries

    def put(self, kind: str, entries: Sequence[tuple[str, Entry]]) -> int:
        """Keep entries, together in one file: all or none of them, also where the process is killed.

        Parameters
        ----------
        kind : str
            What they are.
        entries : sequence of (str, Entry)
            Keys and entries. What is known already stays as it is.

        Returns
        -------
        int
            Bytes of the file; 0 if it is not kept.

        Warns
        -----
        UserWarning
            If it is larger than the limit, or the cache cannot be written: that is said once, and nothing is written
            from then on.
        """
        with self._lock:
            if not self._writes or not entries:
                return 0
            contents = encode([entry for _, entry in entries])
            if len(contents) > self.limit:
                self._say(
                    f"a result of kind {kind!r} takes {in_words(len(contents))}, more than the limit of "
                    f"{in_words(self.limit)}; it is not kept. Raise limit=."
                )
                return 0
            try:
                self._write(kind, contents, [key for key, _ in entries])
            except (OSError, sqlite3.Error) as error:
                self._fail("written", error)
                return 0
            self.written += len(entries)
            return len(contents)

    def _write(self, kind: str, contents: bytes, keys: list[str]) -> None:
        name = name_of(contents)
        self._blobs.write(name, contents)
        try:
            led = self._index.add(name, len(contents), kind, keys, now=self._time())
        except sqlite3.Error:
            self._blobs.drop(name)
            raise
        if not led:
            self._blobs.drop(name)
            return
        self.flush()
        gone = self._index.shrink(self.limit, spared=name)
        self.evicted += len(gone)
        for old in gone:
            self._held.pop(old, None)
            self._blobs.drop(old)

    def number_of(self, key: str, probe: NDArray[np.float32], *, tolerance: float) -> int | None:
        """Tell networks with the same weights and layers apart by what they say of a probe.

        Parameters
        ----------
        key : str
            What they have in common.
        probe : ndarray of float32
            Logits of an image of noise.
        tolerance : float
            Of the largest, by which rounding may differ.

        Returns
        -------
        int or None
            A number for all networks that say the same; None where the cache can neither be read nor written.
        """

        def same(said: bytes) -> bool:
            other = np.frombuffer(said, dtype=np.float32)
            if other.shape != probe.shape or not np.isfinite(probe).all():
                return False
            return bool(np.abs(other - probe).max() <= tolerance * np.abs(probe).max())

        with self._lock:
            try:
                return self._index.number_of(key, np.ascontiguousarray(probe, dtype=np.float32).tobytes(), same)
            except (OSError, sqlite3.Error) as error:
                self._fail("written", error)
                return None

    # -- care ---------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Note which files were used when; forgotten at worst, which costs a file its place in the queue."""
        with self._lock:
            used, self._used = self._used, {}
            if used and self._writes:
                with contextlib.suppress(OSError, sqlite3.Error):  # a read-only cache is still one to read from
                    self._index.touch(used)

    def close(self) -> None:
        """Note uses, and let go of memory and files; the store may be used again."""
        with self._lock:
            self.flush()
            self._held.clear()
            self._index.close()

    def info(self, *, enabled: bool) -> CacheInfo:
        """Say what it holds.

        Parameters
        ----------
        enabled : bool
            Whether it is the one in use.

        Returns
        -------
        CacheInfo
            Numbers.
        """
        with self._lock:
            files = self._index.files() if self._exists else {}
            return CacheInfo(
                path=self.folder,
                enabled=enabled,
                limit=self.limit if enabled else None,
                bytes=sum(files.values()),
                files=len(files),
                entries=self._index.kinds() if self._exists else {},
                hits=self.hits,
                misses=self.misses,
                written=self.written,
                evicted=self.evicted,
                corrupt=self.corrupt,
                uncacheable=tuple(self.uncacheable),
            )

    def verify(self) -> CacheCheck:
        """Read every file, drop those that are broken, and sweep out what killed processes left behind.

        Returns
        -------
        CacheCheck
            What was found.
        """
        with self._lock:
            if not self._exists:
                return CacheCheck(0, (), 0)
            names, dropped = self._index.files(), []
            for name in names:
                try:
                    self._blobs.read(name)
                except (FileNotFoundError, CorruptError):
                    dropped.append(name)
            self.corrupt += len(dropped)
            self._drop(dropped)
            swept = self._blobs.sweep(set(self._index.files()))
            return CacheCheck(len(names) - len(dropped), tuple(dropped), swept)

    def clear(self, *, kind: str | None = None, before: float | None = None) -> int:
        """Forget entries.

        Parameters
        ----------
        kind : str, optional
            Only those of this kind.
        before : float, optional
            Only those used last before this time, in seconds since 1970.

        Returns
        -------
        int
            Bytes that are free again.
        """
        with self._lock:
            if not self._exists:
                return 0
            self.flush()
            files = self._index.files(kind=kind, before=before)
            self._drop(list(files))
            return sum(files.values())

    @property
    def _exists(self) -> bool:
        return (self._root / "index.sqlite").is_file()

    def _drop(self, names: list[str]) -> None:
        with contextlib.suppress(OSError, sqlite3.Error):  # a read-only cache: it is found broken again
            self._index.forget(names)
        for name in names:
            self._held.pop(name, None)
            self._blobs.drop(name)

    def _time(self) -> float:
        """Return a time that is later than the last one."""
        self._now = max(time.time(), self._now + 1e-6)
        return self._now

    # -- telling ------------------------------------------------------------------------------------------------------

    def decline(self, what: str, reason: str) -> None:
        """Say that a result is not kept, once for each reason.

        Parameters
        ----------
        what : str
            Of what method.
        reason : str
            Why not.

        Warns
        -----
        UserWarning
            The first time.
        """
        told = f"{what}: {reason}"
        if told not in self.uncacheable:
            self.uncacheable.append(told)
        self._say(f"{told}. It is computed each time.")

    def _fail(self, done: str, error: Exception) -> None:
        """Go on without the cache; with a new index, if the file is none."""
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, _OF_USE):
            with contextlib.suppress(OSError):
                self._index.set_aside()
                self._say(
                    f"the index of {str(self.folder)!r} is broken: {error}. It is set aside, and all results are "
                    "computed anew."
                )
                return
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        full = full or "disk is full" in str(error)
        why = "the disk is full" if full else f"{type(error).__name__} {error}"
        more = "Results are computed, and not kept." if done == "written" else "Results are computed."
        self._say(f"{str(self.folder)!r} cannot be {done}: {why}. {more}")
        self._writes = False

    def _say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            warnings.warn(f"whatwhere.cache: {message}", UserWarning, stacklevel=3)
