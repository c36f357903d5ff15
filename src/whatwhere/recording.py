"""Records in files: one safetensors file, whose arrays are the record's and whose header says the rest as JSON.

The format is open: any reader of safetensors sees the arrays by name. Nothing in it is ever executed.
"""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray


_MODE = 0o666  # less what the user's mask takes away, as of any file


def write_record(
    path: str | Path,
    record: str,
    version: int,
    told: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    *,
    passing: Path | None = None,
) -> None:
    """Write a record to a file, all or nothing.

    Parameters
    ----------
    path : path
        Where to; an existing file is replaced when the new one is whole.
    record : str
        The record's class, such as ``"ConceptBank"``.
    version : int
        Of its format.
    told : mapping of str to object
        What JSON can say of it.
    arrays : mapping of str to ndarray
        Its arrays.
    passing : Path, optional
        See `write_whole`.
    """
    from safetensors.numpy import save as to_bytes

    header = {"format": f"whatwhere.{record}", "version": str(version), _key(record): json.dumps(told)}
    contents = to_bytes({name: np.ascontiguousarray(values) for name, values in arrays.items()}, metadata=header)
    write_whole(Path(path), contents, passing=passing)


def write_whole(place: Path, contents: bytes, *, passing: Path | None = None) -> None:
    """Write a file that appears whole or not at all, whenever the process or the machine dies.

    Parameters
    ----------
    place : Path
        Where to; an existing file is replaced when the new one is on the disk.
    contents : bytes
        What is in it.
    passing : Path, optional
        A folder on the same disk in which it lies until then; by default that of `place`. What a killed process was
        writing stays there.
    """
    temporary = (passing or place.parent) / f".{place.name}-{uuid.uuid4().hex}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), _MODE)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_arrays(path: str | Path, record: str, version: int, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Read some of the arrays of a file, and nothing else of it.

    Parameters
    ----------
    path : path
        A file that `write_record` has written.
    record : str
        The record's class.
    version : int
        The newest format that is understood.
    names : collection of str
        Which.

    Returns
    -------
    dict of str to ndarray
        Those.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is of another kind, broken, or from a newer version.
    """
    return _read(path, record, version, names)[1]


def read_record(path: str | Path, record: str, version: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read what a file holds.

    Parameters
    ----------
    path : path
        A file that `write_record` has written.
    record : str
        The record's class.
    version : int
        The newest format that is understood.

    Returns
    -------
    told : dict of str to object
        What the header says.
    arrays : dict of str to ndarray
        The arrays.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is of another kind, broken, or from a newer version.
    """
    header, arrays = _read(path, record, version)
    try:
        told = json.loads(header[_key(record)])
    except (KeyError, ValueError) as error:
        raise broken(path, record, error) from error
    if not isinstance(told, dict):
        raise broken(path, record, TypeError(f"wanted an object, got {type(told).__name__}"))
    return told, arrays


def _read(
    path: str | Path, record: str, version: int, names: Collection[str] | None = None
) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Return a file's header, and its arrays or some of them."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"path: there is no file {str(path)!r}.")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            _check_kind(header, path, record, version)
            arrays = {name: file.get_tensor(name) for name in (file.keys() if names is None else names)}
    except SafetensorError as error:
        raise ValueError(f"path: {str(path)!r} is broken or no safetensors file: {error}.") from error
    return header, arrays


def broken(path: str | Path, record: str, error: Exception) -> ValueError:
    """Say that what a file tells of a record cannot be read.

    Parameters
    ----------
    path : path
        The file.
    record : str
        The record's class.
    error : Exception
        What went wrong.

    Returns
    -------
    ValueError
        To be raised.
    """
    return ValueError(
        f"path: {str(path)!r} is broken, what it says of the {_key(record)} cannot be read: {type(error).__name__} "
        f"{error}."
    )


def _key(record: str) -> str:
    """Name the header's entry: the last word of the class, ``"bank"`` of a ConceptBank."""
    last = max(k for k, letter in enumerate(record) if letter.isupper())
    return record[last:].lower()


def _check_kind(header: dict[str, str], path: str | Path, record: str, newest: int) -> None:
    """Refuse files of another kind, and those of a later format."""
    if header.get("format") != f"whatwhere.{record}":
        raise ValueError(f"path: wanted a file that {record}.save has written, got {str(path)!r}.")
    version = header.get("version", "")
    if not version.isdecimal():
        raise ValueError(f"path: {str(path)!r} is broken, it does not say its format by a number but {version!r}.")
    if int(version) > newest:
        raise ValueError(
            f"path: {str(path)!r} has format {version}, this version of whatwhere reads {newest}; update whatwhere."
        )
