"""Atlas: the concepts of every class of a set of photos, a page a class, keyed by class id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from whatwhere.atlas.index import Index, read_index, write_index
from whatwhere.atlas.making import Making
from whatwhere.atlas.shelf import Shelf, make_folder, put_page
from whatwhere.atlas.tables import Tables
from whatwhere.concepts.class_banks import in_a_line, say_caveats

if TYPE_CHECKING:
    import os


class Atlas(Making, Tables):
    """The concepts of every class: a mapping from class ids, or names, to pages.

    `Atlas.of` makes one of photos, `Atlas.from_banks` of concepts that there are, `Atlas.load` reads one from a folder.

    Attributes
    ----------
    names : dict of int to str
        Names of the classes that have a page, with their ids where two share a name.
    counts : dict of int to int
        Photos of each.
    skipped : dict of int to str
        Classes that were predicted or asked for and have no page, and why.
    complete : bool
        Whether all classes are there.
    origin : Origin
        The network and the layer.

    Notes
    -----
    An atlas in a folder reads a class when it is asked for, and keeps the few that were read last. Comparing concepts
    reads the directions of all classes, once.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> craft = ww.Craft(n_concepts=1, fit_on="locations")
    >>> atlas = ww.Atlas.of(model, ww.examples.photos(), ["espresso", "tabby"], craft=craft)
    >>> atlas.names, atlas["espresso"].important, atlas.search("ESP")
    ({967: 'espresso'}, (0,), [967])
    """

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the atlas to a folder: a small index, and a file a class.

        Parameters
        ----------
        folder : path
            The folder; made if there is none. An atlas that is in it is replaced.

        Raises
        ------
        ValueError
            If `folder` is a file, or an extractor is of the caller's own making: files hold no code.
        """
        place = make_folder(folder)
        if isinstance(self._pages, Shelf) and place.resolve() == self._pages.folder.resolve():
            return
        entries = {c: put_page(place, self[c]) for c in self.classes}
        write_index(place, Index(self._class_names, self.origin, self.skipped, self._key, self.complete, entries))

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Atlas:
        """Read an atlas from a folder; its classes are read when they are asked for.

        Parameters
        ----------
        folder : path
            A folder that `save`, or ``Atlas.of(…, folder=…)``, has written.

        Returns
        -------
        Atlas
            The same, but for the photos themselves: crops and small pictures are there.

        Raises
        ------
        FileNotFoundError
            If there is no atlas.
        ValueError
            If its index is broken, or from a newer version.
        """
        index = read_index(Path(folder))
        return cls.shelved(Path(folder), index)

    @classmethod
    def shelved(cls, folder: Path, index: Index) -> Atlas:
        """Return the atlas of a folder whose index is known.

        Parameters
        ----------
        folder : Path
            The folder.
        index : Index
            What is in it.

        Returns
        -------
        Atlas
            Its classes are read when they are asked for.
        """
        pages = Shelf(folder, index)
        return cls(pages, index.origin, index.class_names, index.skipped, complete=index.whole, key=index.key)

    # -- words --------------------------------------------------------------------------------------------------------

    def describe(self) -> str:
        """Say in a few lines what there is, and what is missing.

        Returns
        -------
        str
            For people.
        """
        told = [f"{name} ({self.counts[c]})" for c, name in self.names.items()]
        state, count, left = "" if self.complete else " so far", len(told), len(self.skipped)
        made = f"{self.origin.model} at {self.origin.layer!r}, from {self.origin.n_images} photos"
        lines = [f"{count} class{'es' * (count != 1)}{state} of {made}: {in_a_line(told)}."]
        if left:
            lines.append(f"{left} class{'es have' if left > 1 else ' has'} no page; skipped says why.")
        return " ".join([*lines, *self.caveats()])

    def caveats(self) -> list[str]:
        """Say what a reader has to know of all pages; their banks and graphs have caveats of their own.

        Returns
        -------
        list of str
            One sentence each; empty if there is nothing.
        """
        of = self.origin
        return say_caveats(of.unreadable, of.n_images, changed=of.changed)

    def __repr__(self) -> str:
        return f"<Atlas: {self.describe()}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return {"text/plain": repr(self)}
