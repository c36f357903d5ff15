"""Values to keys: equal values give equal keys in every process, and what has no value of its own gives none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_BYTES = 20  # of a key: two different values meet with a chance of 2**-160
_OWN = "whatwhere"


class UncacheableError(TypeError):
    """Something compares by identity, so that a later session could not tell whether it is the same."""


def digest_of(*parts: Any) -> str:
    """Hash values by what they are.

    Parameters
    ----------
    *parts : object
        Numbers, strings, bytes, None, arrays, and tuples, lists, mappings and the library's own dataclasses of such.

    Returns
    -------
    str
        40 hexadecimal digits.

    Raises
    ------
    UncacheableError
        If there is a function among them, or an object of a class of the caller's own; the message says where.
    """
    digest = hashlib.blake2b(digest_size=_BYTES)
    for k, part in enumerate(parts):
        for piece in _pieces(part, type(part).__name__ if is_dataclass(part) else f"part {k}"):
            digest.update(len(piece).to_bytes(8, "little"))
            digest.update(piece)
    return digest.hexdigest()


class _Hash(Protocol):
    def update(self, data: Any, /) -> None: ...


def content_digest(*parts: bytes | np.ndarray[Any, Any]) -> str:
    """Hash contents: bytes of files, arrays with their shape and type.

    Parameters
    ----------
    *parts : bytes or ndarray
        The contents.

    Returns
    -------
    str
        40 hexadecimal digits. About a second a gigabyte.
    """
    digest = hashlib.blake2b(digest_size=_BYTES)
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: _Hash, part: bytes | np.ndarray[Any, Any]) -> None:
    if isinstance(part, bytes):
        digest.update(f"bytes {len(part)}\n".encode())
        digest.update(part)
        return
    digest.update(f"{part.dtype.str} {part.shape}\n".encode())
    digest.update(np.ascontiguousarray(part).data if part.size else b"")


def _pieces(value: Any, where: str) -> Iterator[bytes]:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str | bytes):
        yield f"{type(value).__name__} {value!r}".encode()
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biufcSU":
        yield content_digest(value).encode()
    elif isinstance(value, PurePath):
        yield f"path {value}".encode()
    elif isinstance(value, Mapping | tuple | list):
        yield from _of_collection(value, where)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _of_dataclass(value, where)
    elif callable(value):
        raise UncacheableError(f"{where} is the function {_name(value)}, which only this session knows")
    else:
        raise UncacheableError(f"{where} is of {_name(type(value))}, which has no value that outlives the session")


def _of_collection(value: Any, where: str) -> Iterator[bytes]:
    if isinstance(value, Mapping):
        yield f"mapping {len(value)}".encode()
        for key in sorted(value, key=str):
            yield from _pieces(key, f"a key of {where}")
            yield from _pieces(value[key], f"{where}[{key!r}]")
        return
    yield f"sequence {len(value)}".encode()
    for k, item in enumerate(value):
        yield from _pieces(item, f"{where}[{k}]")


def _of_dataclass(value: Any, where: str) -> Iterator[bytes]:
    kind = type(value)
    if kind.__module__.split(".")[0] != _OWN:
        raise UncacheableError(f"{where} is of {_name(kind)}, whose code only this session knows")
    yield f"{kind.__module__}.{kind.__qualname__}".encode()
    for option in fields(value):
        if option.compare:
            yield option.name.encode()
            yield from _pieces(getattr(value, option.name), f"{where}.{option.name}")


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', repr(thing))}"
