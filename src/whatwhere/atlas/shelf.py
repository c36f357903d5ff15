"""Pages in a folder, each read when it is asked for."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from whatwhere.atlas.index import Entry
from whatwhere.atlas.page_store import Atoms, Facts, Pages
from whatwhere.atlas.saving import read_directions, read_page, write_page
from whatwhere.cache.keys import content_digest

if TYPE_CHECKING:
    import os

    from whatwhere.atlas.index import Index
    from whatwhere.atlas.page import ClassPage

_HELD = 8  # pages of a folder that were read last


class Shelf(Pages):
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

    def _page(self, target: int) -> ClassPage:
        if target not in self._read:
            page = read_page(self._sound(target), self.index.class_names)
            if page.target != target:
                raise ValueError(f"folder: the page of class {target} is one of class {page.target}; it was exchanged.")
            self._read[target] = page
            if len(self._read) > _HELD:
                self._read.popitem(last=False)
        self._read.move_to_end(target)
        return self._read[target]

    def _atoms(self, target: int) -> Atoms:
        entry = self.index.entries[target]
        W, mean = read_directions(self._path(target))  # noqa: N806  # as in the literature
        return Atoms(entry.ids, W, mean, entry.n_images)

    def _count(self, target: int) -> int:
        return self.index.entries[target].n_images

    def _facts(self, target: int) -> Facts:
        entry = self.index.entries[target]
        return Facts(entry.n_images, entry.n_important, entry.accuracy)

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


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder, unless there is one.

    Parameters
    ----------
    folder : path
        Where.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        If there is a file of that name.
    """
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise ValueError(f"folder: wanted a folder, got the file {str(place)!r}.")
    place.mkdir(parents=True, exist_ok=True)
    return place
