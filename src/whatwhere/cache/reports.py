"""What a cache says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds.

    Parameters
    ----------
    path : Path
        Its folder.
    enabled : bool
        Whether results are kept and looked for there now.
    limit : int or None
        Bytes that it may take; None where it is not enabled, since the limit is not a property of the folder.
    bytes : int
        Bytes that it takes.
    files : int
        Files that it has.
    entries : mapping of str to int
        How many entries of each kind: ``"attribution"``, ``"bank"``, ``"prototype"``, and of single photos
        ``"features"``, ``"crops"``, ``"codes"``, ``"effects"``.
    hits, misses, written, evicted, corrupt : int
        Entries that were found, not found, and written, and files that were evicted, and found to be broken, since it
        was enabled in this process.
    uncacheable : tuple of str
        Why results were not kept, since then.
    """

    path: Path
    enabled: bool
    limit: int | None
    bytes: int
    files: int
    entries: Mapping[str, int] = field(default_factory=dict)
    hits: int = 0
    misses: int = 0
    written: int = 0
    evicted: int = 0
    corrupt: int = 0
    uncacheable: tuple[str, ...] = ()

    def __str__(self) -> str:
        held = ", ".join(f"{count:,} {kind}" for kind, count in self.entries.items()) or "nothing"
        limit = f" of {in_words(self.limit)}" if self.limit is not None else ""
        state = "" if self.enabled else " (not enabled)"
        return f"{self.path}{state}: {held}; {in_words(self.bytes)}{limit} in {self.files:,} files."


@dataclass(frozen=True)
class CacheCheck:
    """What looking at every file of a cache has found.

    Parameters
    ----------
    files : int
        Files that are whole.
    dropped : tuple of str
        Files that were broken or gone; what they held is computed anew when it is asked for.
    swept : int
        Files that killed processes had left behind, deleted.
    """

    files: int
    dropped: tuple[str, ...]
    swept: int

    @property
    def whole(self) -> bool:
        """Whether nothing was broken."""
        return not self.dropped


def in_words(size: int) -> str:
    """Say a number of bytes.

    Parameters
    ----------
    size : int
        Bytes.

    Returns
    -------
    str
        For people, such as ``"1.5 GiB"``.
    """
    amount, unit = float(size), 0
    while amount >= _STEP and unit < len(_UNITS) - 1:
        amount, unit = amount / _STEP, unit + 1
    return f"{amount:.3g} {_UNITS[unit]}"
