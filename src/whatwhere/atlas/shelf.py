"""Where the pages of an atlas are: in memory, or in a folder from which each is read when it is asked for."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from whatwhere.atlas.saving import read_directions, read_page, write_page
from whatwhere.cache.keys import content_digest
from whatwhere.classes import ClassNames
from whatwhere.recording import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from whatwhere.atlas.page import ClassPage

INDEX = "atlas.json"
_FORMAT, _VERSION = "whatwhere.Atlas", 1
_HELD = 8  # pages of a folder that were read last


class Atoms(NamedTuple):
    """What compares a class with others.

    Attributes
    ----------
    ids : tuple of int
        Of its concepts.
    W : ndarray of shape (r, p), float32
        Their directions.
    mean : ndarray of shape (p,), float32
        Mean of what they rebuild of its photos' features.
    n_images : int
        How many photos these are.
    """

    ids: tuple[int, ...]
    W: NDArray[np.float32]
    mean: NDArray[np.float32]
    n_images: int


@dataclass(frozen=True)
class Origin:
    """What all pages of an atlas have in common: cosines mean something in one layer of one network alone.

    Parameters
    ----------
    model : str
        Name of the network.
    fingerprint : str
        Hash of its weights.
    layer : str
        The layer.
    channels : int
        Its features.
    n_images : int
        Photos that were looked at.
    unreadable : mapping of str to str
        Files that could not be read and were left out, with the reason, by name.
    changed : bool, default False
        Whether the weights changed meanwhile.
    """

    model: str
    fingerprint: str
    layer: str
    channels: int
    n_images: int
    unreadable: Mapping[str, str] = field(default_factory=dict)
    changed: bool = False

    @classmethod
    def of(cls, page: ClassPage) -> Origin:
        """Say where a page comes from.

        Parameters
        ----------
        page : ClassPage
            The page.

        Returns
        -------
        Origin
            All that is known from it.
        """
        bank, q = page.bank, page.bank.quality
        made = bank.provenance
        return cls(
            model=made.model,
            fingerprint=made.fingerprint,
            layer=bank.layer.name,
            channels=bank.W.shape[1],
            n_images=q.n_images + q.n_left_out,
            unreadable=dict(bank.unreadable),
            changed=made.changed,
        )

    def check(self, page: ClassPage) -> None:
        """Refuse a page whose directions lie in another space.

        Parameters
        ----------
        page : ClassPage
            The page.

        Raises
        ------
        ValueError
            If it is of another network, layer, or number of features.
        """
        other = Origin.of(page)
        told = f"across layers or models cosines mean nothing. Wanted {page.name!r} at {self.layer!r} of {self.model}"
        if other.fingerprint != self.fingerprint:
            raise ValueError(
                f"banks: {told} with weights {self.fingerprint}, got {other.model} with {other.fingerprint}."
            )
        if (other.layer, other.channels) != (self.layer, self.channels):
            raise ValueError(f"banks: {told} with {self.channels} features, got {other.layer!r} with {other.channels}.")


class Facts(NamedTuple):
    """What a list of classes says of one, without its page.

    Attributes
    ----------
    n_images : int
        Photos that are predicted as the class.
    n_important : int
        Its important concepts.
    accuracy : float or None
        Share of the photos whose class is known that are right; None where it is known of none.
    """

    n_images: int
    n_important: int
    accuracy: float | None

    @classmethod
    def of(cls, page: ClassPage) -> Facts:
        """Read them off a page.

        Parameters
        ----------
        page : ClassPage
            The page.

        Returns
        -------
        Facts
            Of its class.
        """
        graph = page.graph
        known = graph is not None and bool(graph.known.any())
        accuracy = float(graph.accuracy.value) if graph is not None and known else None
        return cls(page.n_images, len(page.important), accuracy)


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


class Pages(Protocol):
    """Where pages are."""

    @property
    def ids(self) -> tuple[int, ...]:
        """The classes, in ascending order."""

    def page(self, target: int) -> ClassPage:
        """Return a page.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        ClassPage
            The page.
        """

    def atoms(self, target: int) -> Atoms:
        """Return what compares a class with others.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        Atoms
            Directions and their mean.
        """

    def count(self, target: int) -> int:
        """Return how many photos a page is of.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        int
            Those that are predicted as the class.
        """

    def facts(self, target: int) -> Facts:
        """Return what a list says of a class.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        Facts
            Without reading its page, where it lies in a folder.
        """


class Held:
    """Pages in memory.

    Parameters
    ----------
    pages : mapping of int to ClassPage
        By class id.
    """

    def __init__(self, pages: Mapping[int, ClassPage]) -> None:
        self._pages = dict(sorted(pages.items()))

    @property
    def ids(self) -> tuple[int, ...]:
        """The classes."""
        return tuple(self._pages)

    def page(self, target: int) -> ClassPage:
        """Return a page.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        ClassPage
            The page.
        """
        return self._pages[target]

    def atoms(self, target: int) -> Atoms:
        """Return what compares a class with others.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        Atoms
            Directions and their mean.
        """
        page = self._pages[target]
        return Atoms(page.bank.ids, page.bank.W, page.mean, page.n_images)

    def count(self, target: int) -> int:
        """Return how many photos a page is of.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        int
            Those that are predicted as the class.
        """
        return self._pages[target].n_images

    def facts(self, target: int) -> Facts:
        """Return what a list says of a class.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        Facts
            Without reading its page, where it lies in a folder.
        """
        return Facts.of(self._pages[target])


class Shelf:
    """Pages in a folder; the few that were read last are kept.

    Parameters
    ----------
    folder : Path
        The folder.
    index : Index
        What is in it.
    """

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder, self.index = folder, index
        self._read: OrderedDict[int, ClassPage] = OrderedDict()

    @property
    def ids(self) -> tuple[int, ...]:
        """The classes."""
        return tuple(sorted(self.index.entries))

    def page(self, target: int) -> ClassPage:
        """Read a page, or return it if it was read before.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        ClassPage
            Without the photos themselves.

        Raises
        ------
        FileNotFoundError
            If its file is gone.
        ValueError
            If its file is broken.
        """
        if target not in self._read:
            page = read_page(self._sound(target), self.index.class_names)
            if page.target != target:
                raise ValueError(f"folder: the page of class {target} is one of class {page.target}; it was exchanged.")
            self._read[target] = page
            if len(self._read) > _HELD:
                self._read.popitem(last=False)
        self._read.move_to_end(target)
        return self._read[target]

    def atoms(self, target: int) -> Atoms:
        """Read what compares a class with others.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        Atoms
            Directions and their mean.

        Raises
        ------
        FileNotFoundError, ValueError
            As for `page`.
        """
        entry = self.index.entries[target]
        W, mean = read_directions(self._path(target))  # noqa: N806  # as in the literature
        return Atoms(entry.ids, W, mean, entry.n_images)

    def count(self, target: int) -> int:
        """Return how many photos a page is of.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        int
            Those that are predicted as the class.
        """
        return self.index.entries[target].n_images

    def facts(self, target: int) -> Facts:
        """Return what a list says of a class.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        Facts
            Without reading its page, where it lies in a folder.
        """
        entry = self.index.entries[target]
        return Facts(entry.n_images, entry.n_important, entry.accuracy)

    def is_sound(self, target: int) -> bool:
        """Tell whether the file of a class is there and as it was written.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        bool
            False if it has to be made anew.
        """
        try:
            self._sound(target)
        except (OSError, ValueError):
            return False
        return True

    def _path(self, target: int) -> Path:
        path = self.folder / self.index.entries[target].file
        if not path.is_file():
            label = self.index.class_names.label(target)
            raise FileNotFoundError(
                f"folder: the page of {label!r} is missing, {str(path)!r}; make the atlas again with this folder=, "
                "which makes what is missing."
            )
        return path

    def _sound(self, target: int) -> Path:
        path = self._path(target)
        if content_digest(path.read_bytes()) != self.index.entries[target].digest:
            raise ValueError(
                f"folder: {str(path)!r} is broken, it is not what was written; make the atlas again with this "
                "folder=, which makes what is broken."
            )
        return path


def put_page(folder: Path, page: ClassPage, *, passing: Path | None = None) -> Entry:
    """Write a page into a folder.

    Parameters
    ----------
    folder : Path
        The folder.
    page : ClassPage
        The page.
    passing : Path, optional
        A folder in which it lies until it is whole.

    Returns
    -------
    Entry
        What the index says of it.
    """
    path = folder / f"class_{page.target:05d}.safetensors"
    write_page(page, path, passing=passing)
    facts = Facts.of(page)
    digest = content_digest(path.read_bytes())
    return Entry(path.name, digest, facts.n_images, page.bank.ids, facts.n_important, facts.accuracy)


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
