"""Which key is in which file, and when each file was used last: an sqlite database."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, NamedTuple

from whatwhere.cache.place import make_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_PATIENCE = 30.0  # seconds that a process waits for another one's transaction
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, used REAL NOT NULL);
CREATE INDEX IF NOT EXISTS files_by_use ON files (used);
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, place INTEGER NOT NULL,
    file TEXT NOT NULL REFERENCES files (name) ON DELETE CASCADE);
CREATE INDEX IF NOT EXISTS entries_by_file ON entries (file);
CREATE TABLE IF NOT EXISTS models (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, probe BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS models_by_key ON models (key);
"""


class Found(NamedTuple):
    """Where an entry lies.

    Attributes
    ----------
    file : str
        The file's name.
    place : int
        Which of its entries.
    """

    file: str
    place: int


class Index:
    """The index of a cache; processes and threads may share it.

    Parameters
    ----------
    path : Path
        The database's file.

    Notes
    -----
    Changes are transactions with a rollback journal and full synchronisation: a process that is killed, or a machine
    that loses power, leaves the state of before or after. A write-ahead log would be faster, but does not work on
    network folders, where many people's homes are.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._owner = 0

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection; a forked process opens one of its own."""
        with self._lock:
            if self._connection is None or self._owner != os.getpid():
                make_root(self._path.parent)
                connection = sqlite3.connect(
                    self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
                )
                try:
                    connection.execute("PRAGMA synchronous = FULL")
                    connection.execute("PRAGMA foreign_keys = ON")
                    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'models_by_key'").fetchone():
                        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
                except BaseException:
                    connection.close()
                    raise
                self._connection, self._owner = connection, os.getpid()
            yield self._connection

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Hold a transaction: all of it happens, or nothing.

        Yields
        ------
        sqlite3.Connection
            The connection.
        """
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    connection.execute("ROLLBACK")
                raise

    def set_aside(self) -> None:
        """Put a file that is no index out of the way: the next use begins a new one."""
        self.close()
        self._path.replace(self._path.with_suffix(".broken"))

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._owner == os.getpid():
                self._connection.close()
            self._connection = None

    def find(self, key: str) -> Found | None:
        """Tell where an entry lies.

        Parameters
        ----------
        key : str
            Its key.

        Returns
        -------
        Found or None
            None if there is none.
        """
        with self._open() as connection:
            row = connection.execute("SELECT file, place FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else Found(*row)

    def add(self, name: str, size: int, kind: str, keys: Sequence[str], *, now: float) -> bool:
        """Enter a file that has been written.

        Parameters
        ----------
        name : str
            The file.
        size : int
            Its bytes.
        kind : str
            What its entries are.
        keys : sequence of str
            Their keys, in their order.
        now : float
            The time of use.

        Returns
        -------
        bool
            Whether anything leads to the file: False where other files had all of the keys before.
        """
        with self.changing() as connection:
            connection.execute("INSERT OR IGNORE INTO files VALUES (?, ?, ?)", (name, size, now))
            rows = [(key, kind, place, name) for place, key in enumerate(keys)]
            connection.executemany("INSERT OR IGNORE INTO entries (key, kind, place, file) VALUES (?, ?, ?, ?)", rows)
            led = connection.execute("SELECT 1 FROM entries WHERE file = ? LIMIT 1", (name,)).fetchone()
            if led is None:
                connection.execute("DELETE FROM files WHERE name = ?", (name,))
        return led is not None

    def touch(self, used: Mapping[str, float]) -> None:
        """Note when files were used.

        Parameters
        ----------
        used : mapping of str to float
            Times by the files' names.
        """
        with self.changing() as connection:
            rows = [(when, name) for name, when in used.items()]
            connection.executemany("UPDATE files SET used = ? WHERE name = ?", rows)

    def shrink(self, limit: int, *, spared: str = "") -> list[str]:
        """Forget the files used longest ago until the rest is no more than a limit.

        Parameters
        ----------
        limit : int
            Bytes.
        spared : str, optional
            A file that stays.

        Returns
        -------
        list of str
            The files that may be deleted.
        """
        with self._open() as connection:
            if self._size(connection) <= limit:
                return []
        with self.changing() as connection:
            excess, gone = self._size(connection) - limit, []
            for name, size in connection.execute("SELECT name, bytes FROM files ORDER BY used, name"):
                if excess <= 0:
                    break
                if name != spared:
                    gone.append(name)
                    excess -= size
            connection.executemany("DELETE FROM files WHERE name = ?", [(name,) for name in gone])
        return gone

    @staticmethod
    def _size(connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT COALESCE(SUM(bytes), 0) FROM files").fetchone()[0])

    def forget(self, names: Sequence[str]) -> None:
        """Forget files and their entries.

        Parameters
        ----------
        names : sequence of str
            The files.
        """
        with self.changing() as connection:
            connection.executemany("DELETE FROM files WHERE name = ?", [(name,) for name in names])

    def files(self, *, kind: str | None = None, before: float | None = None) -> dict[str, int]:
        """List files.

        Parameters
        ----------
        kind : str, optional
            Only those of this kind.
        before : float, optional
            Only those used last before this time.

        Returns
        -------
        dict of str to int
            Bytes by name, the one used longest ago first.
        """
        wanted = "SELECT name, bytes FROM files WHERE used < ?"
        options: list[object] = [float("inf") if before is None else before]
        if kind is not None:
            wanted += " AND name IN (SELECT file FROM entries WHERE kind = ?)"
            options.append(kind)
        with self._open() as connection:
            return dict(connection.execute(f"{wanted} ORDER BY used, name", options).fetchall())

    def kinds(self) -> dict[str, int]:
        """Count entries.

        Returns
        -------
        dict of str to int
            How many there are of each kind.
        """
        with self._open() as connection:
            return dict(connection.execute("SELECT kind, COUNT(*) FROM entries GROUP BY kind ORDER BY kind").fetchall())

    def number_of(self, key: str, probe: bytes, same: Callable[[bytes], bool]) -> int:
        """Tell networks with the same weights and layers apart by what they say of a probe.

        Parameters
        ----------
        key : str
            What they have in common.
        probe : bytes
            What this one says.
        same : callable
            Whether what another one has said is the same.

        Returns
        -------
        int
            The number of the first one that said the same, or a new one.
        """
        asked = "SELECT number, probe FROM models WHERE key = ? ORDER BY number"
        with self._open() as connection:
            for number, said in connection.execute(asked, (key,)).fetchall():
                if same(said):
                    return int(number)
        with self.changing() as connection:
            for number, said in connection.execute(asked, (key,)).fetchall():  # another process may have met it
                if same(said):
                    return int(number)
            return int(connection.execute("INSERT INTO models (key, probe) VALUES (?, ?)", (key, probe)).lastrowid or 0)
