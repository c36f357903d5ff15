"""What a folder says of the pages in it, without opening one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from whatwhere.atlas.origin import Origin
from whatwhere.classes import ClassNames
from whatwhere.recording import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

INDEX = "atlas.json"
_FORMAT, _VERSION = "whatwhere.Atlas", 1


class Entry(NamedTuple):
    """What an index says of a class.

    Attributes
    ----------
    file : str
        Where its page is.
    digest : str
        Hash of the file.
    n_images : int
        Photos that are predicted as the class.
    ids : tuple of int
        Its concepts.
    n_important : int
        How many of them are important.
    accuracy : float or None, default None
        Share of the photos whose class is known that are right.
    """

    file: str
    digest: str
    n_images: int
    ids: tuple[int, ...]
    n_important: int
    accuracy: float | None = None


@dataclass(frozen=True)
class Index:
    """What a folder says of its pages without opening one.

    Parameters
    ----------
    class_names : ClassNames
        Names by id.
    origin : Origin
        What all pages have in common.
    skipped : mapping of int to str
        Why predicted classes have no page.
    key : mapping of str to str
        Hashes of what the atlas was made of; empty if that is not known.
    whole : bool
        Whether all classes of the photos are there, or told to be skipped.
    entries : mapping of int to Entry
        The pages.
    """

    class_names: ClassNames
    origin: Origin
    skipped: Mapping[int, str]
    key: Mapping[str, str]
    whole: bool
    entries: Mapping[int, Entry]


def write_index(folder: Path, index: Index, *, passing: Path | None = None) -> None:
    """Write what a folder holds, all or nothing.

    Parameters
    ----------
    folder : Path
        The folder.
    index : Index
        What is in it.
    passing : Path, optional
        A folder in which it lies until it is whole.
    """
    told = {
        "format": _FORMAT,
        "version": _VERSION,
        "origin": asdict(index.origin),
        "key": dict(index.key),
        "whole": index.whole,
        "skipped": {str(c): why for c, why in index.skipped.items()},
        "classes": {str(c): entry._asdict() for c, entry in sorted(index.entries.items())},
        "class_names": list(index.class_names),
    }
    contents = json.dumps(told, ensure_ascii=False, indent=1).encode()
    write_whole(folder / INDEX, contents, passing=passing)


def read_index(folder: Path) -> Index:
    """Read what a folder holds.

    Parameters
    ----------
    folder : Path
        A folder that an atlas was written to.

    Returns
    -------
    Index
        Without any page.

    Raises
    ------
    FileNotFoundError
        If there is no atlas.
    ValueError
        If its index is broken, or from a newer version.
    """
    path = folder / INDEX
    if not path.is_file():
        raise FileNotFoundError(f"folder: there is no atlas in {str(folder)!r}: it has no {INDEX}.")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return _index_of(told)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"folder: {str(path)!r} is no index of an atlas: {type(error).__name__} {error}.") from error


def _index_of(told: Mapping[str, Any]) -> Index:
    if told["format"] != _FORMAT:
        raise ValueError(f"it is of format {told['format']!r}")
    if told["version"] > _VERSION:
        raise ValueError(f"it has format {told['version']}, and {_VERSION} is the newest known: update whatwhere")
    entries = {}
    for c, entry in told["classes"].items():
        if Path(entry["file"]).name != entry["file"]:
            raise ValueError(f"the file of class {c} lies elsewhere, {entry['file']!r}")
        entries[int(c)] = Entry(**(entry | {"ids": tuple(entry["ids"])}))
    return Index(
        class_names=ClassNames(told["class_names"]),
        origin=Origin(**told["origin"]),
        skipped={int(c): str(why) for c, why in told["skipped"].items()},
        key={str(part): str(digest) for part, digest in told["key"].items()},
        whole=bool(told["whole"]),
        entries=entries,
    )
