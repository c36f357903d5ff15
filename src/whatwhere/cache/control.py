"""Turning the cache on and off, and looking after it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from whatwhere.cache.place import results_folder
from whatwhere.cache.store import Store

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from whatwhere.cache.reports import CacheCheck, CacheInfo

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_DAY = 86400.0

_active: Store | None = None


def active() -> Store | None:
    """Return the cache in use.

    Returns
    -------
    Store or None
        None unless somebody has asked for one.
    """
    return _active


def enable(path: str | os.PathLike[str] | None = None, *, limit: int | str = "2 GiB") -> None:
    """Keep results on this machine's disk from now on, and look for them there before computing any.

    Parameters
    ----------
    path : path, optional
        A folder; by default ``results`` in ``$WHATWHERE_CACHE``, or in the user's cache folder.
    limit : int or str, default "2 GiB"
        Bytes that it may take, or ``"500 MB"``, ``"2 GiB"``. Beyond it what was used longest ago goes.

    Raises
    ------
    TypeError, ValueError
        If `limit` is no positive number of bytes, or `path` is a file.

    Notes
    -----
    What is found again: finished records of `Sobol`, `Craft` and `Maco`, and what long runs of `Craft` and `Strategies`
    know of single photos, batch by batch, so that a run that was killed goes on where it was. A key is made of the
    method, the network (weights, layers, preprocessing, precision, and what it says of an image of noise), and of what
    is in the photos, not of how they are called. Methods with a function in them compare by identity: they are
    computed each time, which is said.

    Results are bit for bit what was computed, and say in ``provenance.cached`` that they were found. Every file is
    checked whenever it is read. Several processes may share a folder.

    The files hold what the records hold: thumbnails and crops of your photos among it. `clear` removes them. A folder
    that this makes is the user's alone, where the system knows such modes.

    Examples
    --------
    >>> import tempfile, whatwhere as ww
    >>> with tempfile.TemporaryDirectory() as folder, ww.cache.use(folder):
    ...     print(ww.cache.info().entries)
    {}
    """
    global _active  # noqa: PLW0603  # one cache a process, whichever thread asks
    store = _store(path, limit)
    if _active is not None:
        _active.close()
    _active = store


def disable() -> None:
    """Keep and look for nothing from now on; what is on the disk stays there."""
    global _active  # noqa: PLW0603  # see `enable`
    if _active is not None:
        _active.close()
    _active = None


@contextlib.contextmanager
def use(path: str | os.PathLike[str] | None = None, *, limit: int | str = "2 GiB") -> Iterator[None]:
    """Keep results within a block; afterwards all is as it was.

    Parameters
    ----------
    path : path, optional
        A folder, as for `enable`.
    limit : int or str, default "2 GiB"
        Bytes that it may take.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    TypeError, ValueError
        As `enable` does.
    """
    global _active  # noqa: PLW0603  # see `enable`
    store, before = _store(path, limit), _active
    _active = store
    try:
        yield
    finally:
        _active = before
        store.close()


def info(path: str | os.PathLike[str] | None = None) -> CacheInfo:
    """Say what a cache holds.

    Parameters
    ----------
    path : path, optional
        Its folder; by default the one in use or, if there is none, the usual one.

    Returns
    -------
    CacheInfo
        Numbers; ``print`` says them in a line.
    """
    with _looked_at(path) as store:
        return store.info(enabled=store is _active)


def verify(path: str | os.PathLike[str] | None = None) -> CacheCheck:
    """Read every file of a cache, and drop those that are broken.

    Parameters
    ----------
    path : path, optional
        Its folder, as for `info`.

    Returns
    -------
    CacheCheck
        What was found. Leftovers of killed processes are deleted once they are an hour old.
    """
    with _looked_at(path) as store:
        return store.verify()


def clear(
    path: str | os.PathLike[str] | None = None, *, kind: str | None = None, unused_days: float | None = None
) -> int:
    """Delete results.

    Parameters
    ----------
    path : path, optional
        The cache's folder, as for `info`.
    kind : str, optional
        Only files with entries of this kind, as `info` lists them.
    unused_days : float, optional
        Only what was not used for so long.

    Returns
    -------
    int
        Bytes that are free again.

    Raises
    ------
    ValueError
        If `unused_days` is below 0.
    """
    if unused_days is not None and not unused_days >= 0:
        raise ValueError(f"unused_days: wanted at least 0, got {unused_days!r}.")
    with _looked_at(path) as store:
        return store.clear(kind=kind, before=None if unused_days is None else time.time() - unused_days * _DAY)


def read_limit(limit: int | str) -> int:
    """Read a number of bytes.

    Parameters
    ----------
    limit : int or str
        Bytes, or a number with a unit: B, KB, MB, GB, TB of 1,000 or KiB, MiB, GiB, TiB of 1,024.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    TypeError, ValueError
        If it is none, or not positive.
    """
    wanted = 'limit: wanted a positive number of bytes, or one with a unit such as "500 MB" or "2 GiB"'
    if isinstance(limit, bool) or not isinstance(limit, int | str):
        raise TypeError(f"{wanted}, got {type(limit).__name__} {limit!r}.")
    digits, unit = (str(limit), "") if isinstance(limit, int) else _split(limit)
    try:
        size = float(digits) * _UNITS[unit]
    except (KeyError, ValueError):
        raise ValueError(f"{wanted}, got {limit!r}.") from None
    if not 1 <= size < float("inf"):
        raise ValueError(f"{wanted}, got {limit!r}.")
    return int(size)


def _split(limit: str) -> tuple[str, str]:
    digits = limit.strip().rstrip("BbKkMmGgTtIi ")
    return digits, limit.strip()[len(digits) :].strip().lower()


def _store(path: str | os.PathLike[str] | None, limit: int | str) -> Store:
    folder = results_folder() if path is None else Path(path).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"path: wanted a folder, got the file {str(folder)!r}.")
    return Store(folder, read_limit(limit))


@contextlib.contextmanager
def _looked_at(path: str | os.PathLike[str] | None) -> Iterator[Store]:
    """Give the cache in use, or one that is closed again."""
    if _active is not None and (path is None or Path(path).expanduser().absolute() == _active.folder):
        yield _active
        return
    store = _store(path, 1)
    try:
        yield store
    finally:
        store.close()
