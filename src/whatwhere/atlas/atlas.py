"""Atlas: the concepts of every class of a set of photos, a page a class, keyed by class id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whatwhere.atlas.closest import CLOSEST, NOT_ASKED, Compass
from whatwhere.atlas.page import ClassPage
from whatwhere.atlas.searching import search
from whatwhere.atlas.shelf import Held, Index, Origin, Shelf, put_page, read_index, write_index
from whatwhere.classes import UnknownClassError
from whatwhere.engine._checks import integer
from whatwhere.jobs import Job

if TYPE_CHECKING:
    import os

    from whatwhere.atlas.closest import ClosestClass
    from whatwhere.atlas.shelf import Facts, Pages
    from whatwhere.atlas.similar import Finder, Link, Similar
    from whatwhere.atlas.tables import Rows
    from whatwhere.classes import ClassNames
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.by_class import Targets
    from whatwhere.concepts.craft import Craft
    from whatwhere.jobs import Step
    from whatwhere.model import VisionModel
    from whatwhere.strategies.graph import StrategyGraph

_SHOWN = 8  # classes in a line
_NEAR = 3  # that an error proposes


class Atlas(Mapping[int, ClassPage]):
    """The concepts of every class: a mapping from class ids, or names, to pages.

    `Atlas.of` makes one of photos, `Atlas.from_banks` of concepts that there are, `Atlas.load` reads one from a folder.

    Parameters
    ----------
    pages : Pages
        Where the pages are.
    origin : Origin
        The network and the layer that they all are of.
    class_names : ClassNames
        Names by id.
    skipped : mapping of int to str
        Why classes have no page, by id.
    complete : bool, default True
        Whether all classes are there; False in a run under way, or one that was stopped.
    key : mapping of str to str
        Hashes of what it was made of; empty if it was not made in a folder.

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

    def __init__(
        self,
        pages: Pages,
        origin: Origin,
        class_names: ClassNames,
        skipped: Mapping[int, str],
        *,
        complete: bool = True,
        key: Mapping[str, str] | None = None,
    ) -> None:
        self._pages, self._class_names, self._key = pages, class_names, dict(key or {})
        self.origin, self.complete = origin, complete
        self.skipped = {c: skipped[c] for c in sorted(skipped)}
        self.names = {c: class_names.label(c) for c in pages.ids}
        self.counts = {c: pages.count(c) for c in pages.ids}

    # -- making one ---------------------------------------------------------------------------------------------------

    @classmethod
    def of(
        cls,
        model: VisionModel,
        images: Any,
        targets: Targets = None,
        *,
        labels: Any = None,
        craft: Craft | None = None,
        graphs: bool = True,
        folder: str | os.PathLike[str] | None = None,
        seed: int = 0,
        progress: bool | None = None,
    ) -> Atlas:
        """Make an atlas of photos: each is run once, and goes to the class that it is predicted as.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : dict, sequence, folder or dataset of images
            The set; no generator, since photos have to be known by name beforehand.
        targets : sequence of int or str, optional
            The classes; by default every class that enough photos are predicted as: one a concept.
        labels : mapping of str to label, or sequence of labels, optional
            What each photo is: an id or name of a class, or None where it is not known; by the photos' names, or in
            their order. Without labels graphs know nothing of reliability.
        craft : Craft, optional
            How concepts are extracted; by default ``Craft(n_concepts=10, seed=seed)``, which costs 17 forwards a photo
            of a class that is explained. ``Craft(10, fit_on="locations")`` costs one.
        graphs : bool, default True
            Whether it is found what the photos of each class were classified for.
        folder : path, optional
            Where pages are written, each when it is finished, and read from. A run that was stopped or killed goes on
            where it was when it is called again; no photo is run twice. What is there already is kept, and classes that
            are asked for are added to it. By default all is held in memory.
        seed : int, default 0
            Of the concepts, if `craft` is not given, and of the layouts of graphs.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Returns
        -------
        Atlas
            Of the classes that have enough photos; `skipped` says why others have no page.

        Raises
        ------
        TypeError
            If an argument or an image is of another kind.
        ValueError
            If a class or a label is not known, no class has enough photos, an image cannot be read, the layer cannot be
            cut or lies on no grid, or `folder` holds an atlas of another network, method, set of images or labels (the
            message says which).
        FloatingPointError
            If features are NaN or infinite; the message names the image.

        Warns
        -----
        UserWarning
            If files could not be read and were left out, the weights changed meanwhile, or files of `folder` were
            broken and are made again.

        Notes
        -----
        Cost: forwards as for ``Craft(…).by_class``, and none for graphs behind an affine head. With `folder` the photos
        are read once more, to hash them, and features of photos lie in it until it is finished: 250 KB a photo at the
        last layer of EfficientNet-Lite0, half of the free disk at most. Memory: with `folder`, one class at a time
        beside what is being extracted.
        """
        import warnings

        from tqdm import tqdm

        atlas: Atlas | None = None
        hidden = None if progress is None else not progress
        with tqdm(desc="atlas", unit="forward", disable=hidden) as bar:
            for step in cls.steps(
                model, images, targets, labels=labels, craft=craft, graphs=graphs, folder=folder, seed=seed
            ):
                bar.total, atlas = step.total, step.record
                bar.set_postfix_str(step.stage, refresh=False)
                bar.update(step.done - bar.n)
        if atlas is None:
            raise RuntimeError("atlas: the computation ended without a record.")
        for said in atlas.caveats():
            warnings.warn(said, UserWarning, stacklevel=2)
        return atlas

    @classmethod
    def stream(cls, model: VisionModel, images: Any, targets: Targets = None, **options: Any) -> Iterator[Atlas]:
        """Make an atlas, yielding it with more and more classes.

        Parameters
        ----------
        model, images, targets : object
            As for `of`.
        **options
            ``labels, craft, graphs, folder, seed``, as for `of`.

        Yields
        ------
        Atlas
            After every class; each is valid to stop at.
        """
        last: Atlas | None = None
        for step in cls.steps(model, images, targets, **options):
            if step.record is not None and step.record is not last:
                last = step.record
                yield last

    @classmethod
    def submit(cls, model: VisionModel, images: Any, targets: Targets = None, **options: Any) -> Job[Atlas]:
        """Make a job that makes an atlas on the worker thread.

        Parameters
        ----------
        model, images, targets : object
            As for `of`; targets are resolved at once.
        **options
            ``labels, craft, graphs, folder, seed``, as for `of`.

        Returns
        -------
        Job
            Not started yet: ``start()`` or ``wait()`` does. A job that is stopped keeps the classes finished so far.
        """
        from whatwhere.concepts.by_class import read_targets

        ids = read_targets(model, targets)
        return Job(lambda: cls.steps(model, images, ids, **options), device=str(model.device), name="atlas")

    @classmethod
    def steps(
        cls,
        model: VisionModel,
        images: Any,
        targets: Targets = None,
        *,
        labels: Any = None,
        craft: Craft | None = None,
        graphs: bool = True,
        folder: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> Iterator[Step[Atlas]]:
        """Make an atlas, yielding after every batch and every class.

        Parameters
        ----------
        model, images, targets, labels, craft, graphs, folder, seed : object
            As for `of`.

        Yields
        ------
        Step
            Forwards done and to do, the stage as from `Craft.steps` or ``"photos"``, ``"layout"`` and ``"class"``, and
            the atlas of the classes finished so far, or None.
        """
        from whatwhere.atlas._run import AtlasRun

        yield from AtlasRun(
            model, images, targets, labels=labels, craft=craft, graphs=graphs, folder=folder, seed=seed
        ).steps()

    @classmethod
    def from_banks(
        cls,
        banks: Mapping[int, ConceptBank],
        graphs: Mapping[int, StrategyGraph] | None = None,
        *,
        model: VisionModel | None = None,
    ) -> Atlas:
        """Make an atlas of concepts that there are, such as those of ``Craft(…).by_class``.

        Parameters
        ----------
        banks : mapping of int to ConceptBank, or ClassBanks
            By class id; of one layer of one network.
        graphs : mapping of int to StrategyGraph, optional
            What their photos were classified for, by class id.
        model : VisionModel, optional
            The network; needed for `alignment`.

        Returns
        -------
        Atlas
            In memory.

        Raises
        ------
        ValueError
            If there is no bank, or one is of another network or layer than the others, of no class, or under another
            id than that of its class.
        """
        from whatwhere.concepts.class_banks import ClassBanks

        if not banks:
            raise ValueError("banks: wanted one at least, got none.")
        graphs, pages, compass = graphs or {}, {}, None if model is None else Compass(model)
        nothing = None, NOT_ASKED
        for target, bank in banks.items():
            graph = graphs.get(target)
            if bank.target is not None and bank.target != target:
                raise ValueError(f"banks: wanted each by the id of its class, got one of {bank.target} as {target}.")
            pages[target] = ClassPage(bank, graph, *(nothing if compass is None else compass.closest(bank)))
        origin, names = _common(pages)
        skipped = banks.left_out if isinstance(banks, ClassBanks) else {}
        return cls(Held(pages), origin, names, skipped)

    # -- a mapping ----------------------------------------------------------------------------------------------------

    @property
    def classes(self) -> tuple[int, ...]:
        """Ids of the classes that have a page, ascending."""
        return self._pages.ids

    def __getitem__(self, target: int | str) -> ClassPage:
        """Return the page of a class, by its id or name.

        Raises
        ------
        KeyError
            If the class has none; the message says why, and which classes near it have one.
        whatwhere.UnknownClassError
            If no class has that name or id.
        FileNotFoundError, ValueError
            If its file is gone or broken.
        """
        return self._pages.page(self._of_page(target))

    def _of_page(self, target: int | str) -> int:
        """Return the id of a class that has a page."""
        class_id = self._class_names.resolve(target)
        if class_id in self.names:
            return class_id
        why = self.skipped.get(class_id, "it was not asked for, no photo is predicted as it, or its turn is to come")
        near = sorted(self.classes, key=lambda c: (abs(c - class_id), c))[:_NEAR]
        told = ", ".join(f"{c} ({self._class_names[c]})" for c in near)
        raise KeyError(
            f"{self._class_names.label(class_id)!r} ({class_id}) has no page: {why}. Nearest that have one: {told}."
        )

    def __contains__(self, target: object) -> bool:
        if not isinstance(target, int | str) or isinstance(target, bool):
            return False
        try:
            return self._class_names.resolve(target) in self.names
        except UnknownClassError:
            return False

    def __iter__(self) -> Iterator[int]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    __eq__ = object.__eq__  # pages are read when they are asked for, not to compare atlases
    __hash__ = object.__hash__

    def facts(self, target: int | str) -> Facts:
        """Return what a list of classes says of one; its page is not read for it.

        Parameters
        ----------
        target : int or str
            A class that has a page, by id or name.

        Returns
        -------
        Facts
            ``n_images``, ``n_important`` and ``accuracy``.

        Raises
        ------
        KeyError, whatwhere.UnknownClassError
            If the class has no page, or there is none such.
        """
        return self._pages.facts(self._of_page(target))

    @property
    def class_names(self) -> ClassNames:
        """Names of all classes of the network, by id."""
        return self._class_names

    # -- finding ------------------------------------------------------------------------------------------------------

    def search(self, text: str) -> list[int]:
        """Find classes that have a page.

        Parameters
        ----------
        text : str
            An id, or a part of a name; case, accents, and ``_`` for a space do not matter.

        Returns
        -------
        list of int
            Class ids; all of them for an empty text. First that id, then names that are the text, begin with it, have
            words that begin with its words, or contain it, then ids that begin with it.

        Raises
        ------
        TypeError
            If `text` is no text.
        """
        return search(text, {c: self._class_names[c] for c in self.names}, self.names)

    @cached_property
    def _finder(self) -> Finder:
        from whatwhere.atlas.similar import Finder

        return Finder({c: self._pages.atoms(c) for c in self.classes})

    @property
    def calibration(self) -> str:
        """How scores of `similar` came about, or why there are none, in words."""
        return self._finder.say()

    def similar(
        self,
        cid: int | str | None = None,
        concept: int | None = None,
        *,
        most: int = 10,
        threshold: float | None = 0.05,
    ) -> list[Similar]:
        """Find concepts of other classes that are alike.

        Parameters
        ----------
        cid : int or str, optional
            The class to find likes for; by default all, each pair once.
        concept : int, optional
            One of its concepts, by id; by default all of them.
        most : int, default 10
            How many pairs at most.
        threshold : float or None, default 0.05
            Largest q, above 0 up to 1; None takes any.

        Returns
        -------
        list of Similar
            The highest z first. Where there are too few classes for a z the highest cosines, whatever `threshold` is;
            `calibration` says so.

        Raises
        ------
        KeyError
            If the class has no page, or no such concept.
        TypeError, ValueError
            If an argument is of another kind or out of its range.

        Notes
        -----
        The score is that of `whatwhere.engine.likeness`: cosines without the direction of the mean activation, against
        those that either concept has with concepts of other classes. The mean is that of what the concepts rebuild,
        over the photos of all classes here. Of n concepts of p channels the first call takes 2 n^2 p multiplications.
        """
        most = integer("most", most, 1)
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold: wanted the largest q, above 0 and up to 1, or None, got {threshold!r}.")
        if cid is None:
            if concept is not None:
                raise ValueError(f"concept: wanted its class as well, similar(cid, {concept!r}): ids are a class's.")
            return self._finder.find(None, most, threshold)
        class_id = self._of_page(cid)
        return self._finder.find(self._finder.rows_of(class_id, concept), most, threshold)

    def links(self, *, threshold: float = 0.05) -> list[Link]:
        """Find which classes share concepts: the edges of a graph of classes.

        Parameters
        ----------
        threshold : float, default 0.05
            Largest q of a shared concept, above 0 up to 1.

        Returns
        -------
        list of Link
            Pairs of classes with concepts that are alike and belong together one to one; the highest z first. Empty
            where there are too few classes to tell chance.

        Raises
        ------
        ValueError
            If `threshold` is out of its range.
        """
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold: wanted the largest q, above 0 and up to 1, got {threshold!r}.")
        return self._finder.links(threshold)

    def alignment(self, cid: int | str, concept: int, most: int = 5) -> list[ClosestClass]:
        """Find the classes that a concept points towards.

        Parameters
        ----------
        cid : int or str
            The concept's class.
        concept : int
            Its id.
        most : int, default 5
            How many classes, 1 to 20.

        Returns
        -------
        list of ClosestClass
            Class id, cosine of the concept's direction and the class's weights, and what the concept adds to the
            class's logit on average over the page's photos; the highest cosine first.

        Raises
        ------
        KeyError
            If the class has no page, or no such concept.
        ValueError
            If classes have no directions in the layer, no network was asked, or `most` is out of its range.
        """
        most, page = integer("most", most, 1, CLOSEST), self[cid]
        if concept not in page.bank.ids:
            raise KeyError(f"concept: wanted one of {list(page.bank.ids)}, the ids of {page.name}, got {concept!r}.")
        if page.closest is None:
            raise ValueError(page.why_not_closest)
        return list(page.closest[page.bank.number_of(concept)][:most])

    def table(self, rows: Rows = "classes", *, threshold: float = 0.05) -> dict[str, list[Any]]:
        """Lay the atlas out in columns; see `whatwhere.atlas.tables.table`.

        Parameters
        ----------
        rows : {"classes", "similar"}, default "classes"
            What a row is: a class, or a pair of concepts that are alike.
        threshold : float, default 0.05
            Largest q of such a pair.

        Returns
        -------
        dict of str to list
            Columns of equal length.
        """
        from whatwhere.atlas.tables import table

        return table(self, rows, threshold=threshold)

    def to_pandas(self, rows: Rows = "classes", *, threshold: float = 0.05) -> Any:
        """Lay the atlas out as a pandas table.

        Parameters
        ----------
        rows : {"classes", "similar"}, default "classes"
            What a row is.
        threshold : float, default 0.05
            Largest q of a pair of concepts.

        Returns
        -------
        pandas.DataFrame
            Of classes with their ids as its index.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        from whatwhere.atlas.tables import to_pandas

        return to_pandas(self, rows, threshold=threshold)

    def to_plotly(self, *, threshold: float = 0.05) -> Any:
        """Make a Plotly figure of the classes that share concepts.

        Parameters
        ----------
        threshold : float, default 0.05
            Largest q of a shared concept.

        Returns
        -------
        plotly.graph_objects.Figure
            Classes on a circle, and a line where two share concepts.

        Raises
        ------
        ImportError
            If Plotly is not installed.
        """
        from whatwhere.atlas.tables import to_plotly

        return to_plotly(self, threshold=threshold)

    # -- files --------------------------------------------------------------------------------------------------------

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
        more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        state, count, left = "" if self.complete else " so far", len(told), len(self.skipped)
        made = f"{self.origin.model} at {self.origin.layer!r}, from {self.origin.n_images} photos"
        lines = [f"{count} class{'es' * (count != 1)}{state} of {made}: {', '.join(told[:_SHOWN])}{more}."]
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
        from whatwhere.concepts.unreadable import say_unreadable

        of = self.origin
        said = [say_unreadable(dict(of.unreadable), of.n_images)] if of.unreadable else []
        if of.changed:
            said.append("The weights changed while it was computed.")
        return said

    def __repr__(self) -> str:
        return f"<Atlas: {self.describe()}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return {"text/plain": repr(self)}


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


def _common(pages: Mapping[int, ClassPage]) -> tuple[Origin, ClassNames]:
    """Return what pages have in common, and refuse those that do not go together."""
    first = next(iter(pages.values()))
    origin = Origin.of(first)
    for page in pages.values():
        origin.check(page)
    return origin, first.bank.class_names
