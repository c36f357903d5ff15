"""Finding classes by what a person types."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def search(text: str, names: Mapping[int, str], labels: Mapping[int, str]) -> list[int]:
    """Find classes by id or name.

    Parameters
    ----------
    text : str
        What was typed; case, accents, and ``_`` for a space do not matter.
    names : mapping of int to str
        Names by class id.
    labels : mapping of int to str
        The same, told apart where several classes share one.

    Returns
    -------
    list of int
        All of them for an empty text. Else first that id, then names that are the text, begin with it, have words that
        begin with its words, or contain it, then ids that begin with it; of equals by name, then by id.

    Raises
    ------
    TypeError
        If it is no text.
    """
    given: object = text
    if not isinstance(given, str):
        raise TypeError(f"text: wanted a text, such as a name or an id, got {type(given).__name__} {given!r}.")
    sought = fold(text)
    if not sought:
        return sorted(names)
    ranked = []
    for target, name in names.items():
        rank = _rank(sought, target, fold(name), fold(labels[target]))
        if rank is not None:
            ranked.append((rank, fold(name), target))
    return [target for _, _, target in sorted(ranked)]


def fold(text: str) -> str:
    """Take case, accents and kinds of spaces out of a text.

    Parameters
    ----------
    text : str
        Any.

    Returns
    -------
    str
        What is compared.
    """
    parts = unicodedata.normalize("NFKD", text.replace("_", " "))
    return " ".join("".join(c for c in parts if not unicodedata.combining(c)).casefold().split())


def _rank(sought: str, target: int, name: str, label: str) -> int | None:
    if sought == str(target):
        return 0
    if sought in (name, label):
        return 1
    if label.startswith(sought):
        return 2
    words = name.replace("-", " ").split()
    if all(any(word.startswith(part) for word in words) for part in sought.split()):
        return 3
    if sought in name:
        return 4
    return 5 if str(target).startswith(sought) else None
