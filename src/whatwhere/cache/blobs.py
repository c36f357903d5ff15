"""Entries in files: several to a safetensors file that is called after the hash of what is in it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.cache.place import make_root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_FORMAT, _VERSION = "whatwhere.cache", "1"
_NAME_BYTES = 20
_ABANDONED = 3600.0  # seconds after which a file that nobody has entered in the index belongs to no living writer


@dataclass(frozen=True)
class Entry:
    """What is kept under one key.

    Parameters
    ----------
    told : mapping of str to object
        What JSON can say.
    arrays : mapping of str to ndarray
        The rest.
    """

    told: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class CorruptError(ValueError):
    """A file that is not what was written."""


def encode(entries: Sequence[Entry]) -> bytes:
    """Lay entries out as one safetensors file.

    Parameters
    ----------
    entries : sequence of Entry
        The entries.

    Returns
    -------
    bytes
        The file.
    """
    from safetensors.numpy import save

    arrays = {
        f"{k}/{name}": np.asarray(values, order="C")
        for k, entry in enumerate(entries)
        for name, values in entry.arrays.items()
    }
    header = {"format": _FORMAT, "version": _VERSION, "told": json.dumps([dict(entry.told) for entry in entries])}
    return save(arrays, metadata=header)


def name_of(contents: bytes) -> str:
    """Return the name of a file: the hash of its contents.

    Parameters
    ----------
    contents : bytes
        What is in it.

    Returns
    -------
    str
        40 hexadecimal digits.
    """
    return hashlib.blake2b(contents, digest_size=_NAME_BYTES).hexdigest()


def decode(contents: bytes, name: str) -> list[Entry]:
    """Read what `encode` has laid out.

    Parameters
    ----------
    contents : bytes
        The file.
    name : str
        The name that it has.

    Returns
    -------
    list of Entry
        The entries; their arrays are read-only.

    Raises
    ------
    CorruptError
        If the name is not the hash of the contents.
    """
    from safetensors.numpy import load

    if name_of(contents) != name:
        raise CorruptError(f"its {len(contents):,} bytes are not those that were written")
    length = int.from_bytes(contents[:8], "little")
    told = json.loads(json.loads(contents[8 : 8 + length])["__metadata__"]["told"])
    found: list[dict[str, NDArray[Any]]] = [{} for _ in told]
    for key, values in load(contents).items():
        place, _, name = key.partition("/")
        values.flags.writeable = False
        found[int(place)][name] = values
    return [Entry(one, arrays) for one, arrays in zip(told, found, strict=True)]


class Blobs:
    """A folder of files that appear whole or not at all.

    Parameters
    ----------
    folder : Path
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._passing = folder / "files", folder / "passing"

    def path(self, name: str) -> Path:
        """Return where a file lies.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        Path
            Whether it is there or not.
        """
        return self._folder / name[:2] / f"{name}.safetensors"

    def write(self, name: str, contents: bytes) -> None:
        """Write a file: to the disk first, then to its place.

        Parameters
        ----------
        name : str
            Its name.
        contents : bytes
            What is in it.

        Raises
        ------
        OSError
            If the folder cannot be written, or the disk is full. Nothing is left of it then.
        """
        place = self.path(name)
        make_root(self._passing.parent)
        place.parent.mkdir(parents=True, exist_ok=True)
        self._passing.mkdir(exist_ok=True)
        passing = self._passing / uuid.uuid4().hex
        try:
            with passing.open("xb") as file:
                file.write(contents)
                file.flush()
                os.fsync(file.fileno())
            passing.replace(place)
        except BaseException:
            with contextlib.suppress(OSError):
                passing.unlink(missing_ok=True)
            raise
        _sync_folder(place.parent)

    def read(self, name: str) -> list[Entry]:
        """Read a file.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        list of Entry
            What is in it.

        Raises
        ------
        FileNotFoundError
            If there is none.
        CorruptError
            If it is not what was written.
        """
        return decode(self.path(name).read_bytes(), name)

    def drop(self, name: str) -> None:
        """Delete a file, if it is there.

        Parameters
        ----------
        name : str
            Its name.
        """
        with contextlib.suppress(OSError):  # the index no longer leads to it: it is swept later
            self.path(name).unlink(missing_ok=True)

    def sweep(self, known: set[str], *, older: float = _ABANDONED) -> int:
        """Delete what killed writers have left behind.

        Parameters
        ----------
        known : set of str
            Files that the index leads to.
        older : float, default 3600
            Seconds for which a file must have lain there: a living writer enters its own in less.

        Returns
        -------
        int
            How many files were deleted.
        """
        left = [path for path in self._folder.glob("*/*.safetensors") if path.stem not in known]
        left += list(self._passing.glob("*"))
        swept = 0
        for path in left:
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime >= older:
                    path.unlink()
                    swept += 1
        return swept


def _sync_folder(folder: Path) -> None:
    """Have a new name reach the disk; where folders cannot be opened, as on Windows, names are synchronous."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
