"""AtlasView: the concepts of every class, a page a class."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import traitlets

from whatwhere.classes import UnknownClassError
from whatwhere.drawing import mime_bundle
from whatwhere.pixels.images import name_images
from whatwhere.widgets._atlas_closest import ClosestClasses
from whatwhere.widgets._atlas_page import PageConcepts, PageViews
from whatwhere.widgets._atlas_similar import Lookup
from whatwhere.widgets._atlas_words import describe_page
from whatwhere.widgets._errands import Errands
from whatwhere.widgets._view import WIRE, View, bundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from PIL import Image

    from whatwhere.atlas import Atlas, ClassPage
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.jobs import Job
    from whatwhere.model import VisionModel
    from whatwhere.widgets._errands import Errand
    from whatwhere.widgets.concepts import ConceptExplorer
    from whatwhere.widgets.selection import Selection
    from whatwhere.widgets.strategies import StrategyView

_TOLD = WIRE["atlas"]
_KEPT: int = _TOLD["kept"]
_WORKER = "photos"  # looking up what is alike waits for no network
_FALLBACK_BYTES = 12_000
_REFITTED = "These concepts were extracted again here; the atlas compares those that it holds."
_CARDS = 6  # in the picture for hosts that show no widgets


class PageTrait(traitlets.TraitType[Any, Any]):
    """A class that has a page, by id or name; kept as the id."""

    info_text = "the id or name of a class that has a page"

    def validate(self, obj: Any, value: Any) -> int:
        """Resolve a name to its id.

        Parameters
        ----------
        obj : AtlasView
            The view.
        value : int or str
            What was assigned.

        Returns
        -------
        int
            The id.

        Raises
        ------
        TraitError
            If there is no such class, several, or one without a page; the message says which were meant, or why.
        """
        try:
            return find_page(obj.atlas, value)
        except (UnknownClassError, TypeError) as error:
            raise traitlets.TraitError(str(error).replace("target:", f"{self.name}:", 1)) from None


class AtlasView(View):
    """All classes of a network: a list that is searched as one types, and a page with the concepts of each class.

    A page has the concepts of its class, its photos by the reasons that they were classified for, and the concepts of
    other classes that resemble them, which lead there.

    Parameters
    ----------
    atlas : Atlas
        The classes.
    model : VisionModel, optional
        The network that they came from. Without it crops and codes are shown; maps, splits and what-if need it.
    images : dict, sequence or folder of images, optional
        Whole photos, by the names that the atlas has them under; needed to show the photos of an atlas that was loaded
        from a folder.
    selected : int or str, optional
        The class to begin with: an id or a name; by default the first.

    Attributes
    ----------
    selected : int
        Class whose page is shown; takes a name or an id.
    concept : int or None
        Id of the concept that is looked at on that page: the first of ``view.selection.concepts``.

    Raises
    ------
    TypeError, ValueError
        If `atlas` is something else, or has no page.
    TraitError
        If `selected` is no class with a page, or `concept` none of its concepts.

    Notes
    -----
    `what`, `why` and `selection` are others for each class. The two classes that were looked at last are kept; views of
    others are closed, and give their memory back. What was said of their concepts is kept.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> photos = [ww.examples.photos()["coffee"][:, k : k + 300] for k in range(0, 300, 60)]
    >>> atlas = ww.Atlas.of(model, photos, craft=ww.Craft(n_concepts=2, fit_on="locations"), graphs=False)
    >>> view = ww.AtlasView(atlas, model)
    >>> view.page.name, view.concept in view.what.ids
    ('espresso', True)
    >>> view.close()
    """

    kind = "atlas"
    _esm = bundle("atlas.js")

    selected = PageTrait(default_value=0).tag(sync=True)
    concept = traitlets.Int(None, allow_none=True).tag(sync=True)

    _title = traitlets.Unicode().tag(sync=True)
    _list = traitlets.Dict().tag(sync=True)
    _pages = traitlets.Dict().tag(sync=True)
    _parts = traitlets.Dict().tag(sync=True)
    _similar = traitlets.Dict().tag(sync=True)
    _note = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        atlas: Atlas,
        model: VisionModel | None = None,
        images: Any = None,
        *,
        selected: int | str | None = None,
    ) -> None:
        self._closed = True  # while it is half made
        self._atlas = _checked(atlas)
        self._model = model
        self._images = None if images is None else name_images(images)
        self._shelf: OrderedDict[int, PageViews] = OrderedDict()
        self._said: dict[int, ConceptBank] = {}
        self._lookup, self._found = Lookup(self._atlas), dict[int, dict[str, Any]]()
        self._closest = ClosestClasses(self._atlas, model, PageConcepts._calls.network)  # noqa: SLF001  # its own words
        self._errands = Errands(_WORKER, lambda: None)
        self._asking = Errands(_WORKER if model is None else str(model.device), lambda: None)
        self._begun = False
        self._wanted: int | None = None
        self._exporting: tuple[int, ...] | None = None
        self._exported: dict[str, Any] = {}
        first = next(iter(self._atlas)) if selected is None else find_page(self._atlas, selected, "selected")
        super().__init__(selected=first)
        self._closed = False
        self._show(first)
        self.write(_title=self._page.page.bank.provenance.model, _list=describe_classes(self._atlas))
        self.observe(self._on_selected, "selected")
        self.observe(self._on_concept, "concept")

    # -- for Python ---------------------------------------------------------------------------------------------------

    @property
    def atlas(self) -> Atlas:
        """The classes."""
        return self._atlas

    @property
    def page(self) -> ClassPage:
        """The page of the class that is shown, as the atlas has it."""
        return self._page.page

    @property
    def selection(self) -> Selection:
        """What is chosen on the page that is shown; another one for each class."""
        return self._page.selection

    @property
    def what(self) -> ConceptExplorer:
        """The concepts of the class; another view for each class."""
        return self._page.what

    @property
    def why(self) -> StrategyView | None:
        """What its photos were classified for; None where the atlas has no graphs."""
        return self._page.why

    @property
    def views(self) -> dict[str, View]:
        """The views of the page, by what they answer."""
        return self._page.views

    @property
    def job(self) -> Job[Any]:
        """The job that asks the network about the concepts that are shown."""
        return self.what.job

    def start(self) -> None:
        """Start computing what the page that is shown, and those to come, do not have yet."""
        self._begun = True
        self._page.start()
        self._look_up(self.selected)

    def stop(self) -> None:
        """Stop all that is being computed; what there is stays, and `start` continues."""
        self._begun = False
        self._errands.drop_all()
        self._asking.drop_all()
        for page in self._shelf.values():
            page.stop()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all is there that was started for the page that is shown.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for each of its parts at most.

        Raises
        ------
        TimeoutError
            If one of them takes longer; it goes on.
        """
        self._page.wait(timeout)
        for errands in (self._errands, self._asking):
            job = errands.current
            if job is not None:
                job.wait(timeout)

    def close(self) -> None:
        """Close all pages, give their memory back and disconnect from the browser; the view cannot be used again."""
        if not self._closed:
            self._closed = True
            self._errands.drop_all()
            self._asking.drop_all()
            for page in self._shelf.values():
                page.close()
            self._found.clear()
        layout = self._trait_values.get("layout")
        if layout is not None:
            layout.close()
        super().close()

    def to_html(
        self, path: str | Path, classes: Sequence[int | str] | None = None, *, title: str | None = None
    ) -> Path:
        """Write one HTML page with the pages of classes; it opens from disk, without network or kernel, and reacts.

        Parameters
        ----------
        path : str or Path
            Where to write; an existing file is replaced.
        classes : sequence of int or str, optional
            Ids or names of the classes to include; by default all.
        title : str, optional
            Title of the page; by default it names what the view shows.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        TypeError, ValueError
            If `classes` is empty, or one of them has no page.

        Notes
        -----
        A class takes about 1 MB, and is read when it is opened. With the network, each is completed first, which costs
        a forward pass for each photo that is shown. Similar concepts lead to the classes that are included; the others
        are listed, and said to be left out.
        """
        if isinstance(classes, str | bytes):
            raise TypeError(f"classes: wanted a list of ids or names, got the text {classes!r}; write [{classes!r}].")
        listed = None if classes is None else list(classes)
        if listed is not None and not listed:
            raise ValueError("classes: wanted at least one class, got none; None takes all.")
        if listed is not None:
            self._exporting = tuple(dict.fromkeys(find_page(self._atlas, one, "classes") for one in listed))
        try:
            return super().to_html(path, title=title)
        finally:
            self._exporting = None

    def headline(self) -> str:
        """Say what the view is about, as the title of a page.

        Returns
        -------
        str
            A few words.
        """
        return f"What {self._title} sees, class by class"

    def picture(self) -> Image.Image:
        """Draw a card for each concept of the class that is shown.

        Returns
        -------
        PIL.Image.Image
            An RGB picture.
        """
        return self.what.picture()

    def describe(self) -> str:
        """Say in a few lines what the view shows.

        Returns
        -------
        str
            The caption of `picture`.
        """
        return f"{len(self._atlas):,} classes; {self.page.name} is shown. {self.what.describe()}"

    def __repr__(self) -> str:
        return f"<AtlasView: {self.describe()}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Show the widget, with a picture for hosts that cannot; the first display starts the computing."""
        shown = super()._repr_mimebundle_(**kwargs)
        if not self._begun:
            self.start()
        if shown is None:
            return None
        data, metadata = shown
        bank = self.page.bank
        small = bank.take(list(range(min(bank.rank, _CARDS)))).picture()
        return {**mime_bundle(small, self.describe(), jpeg_bytes=_FALLBACK_BYTES), **data}, metadata

    # -- pages --------------------------------------------------------------------------------------------------------

    @property
    def _page(self) -> PageViews:
        """The page that is shown: the last on the shelf."""
        return next(reversed(self._shelf.values()))

    def _make(self, target: int, concept: int | None = None) -> PageViews:
        page = self._atlas[target]
        bank = self._said.get(target, page.bank)
        return PageViews(
            page,
            bank,
            self._model,
            self._images,
            lock=self._write_lock,
            concept=concept if concept in bank.ids else None,
            changed=partial(self._on_page, target),
        )

    def _show(self, target: int, concept: int | None = None) -> None:
        """Put the page of a class first on the shelf, and take away those that were not looked at for long."""
        if target not in self._shelf:
            self._shelf[target] = self._make(target, concept)
        elif concept is not None:
            self._shelf[target].selection.concepts = [concept]
        self._shelf.move_to_end(target)
        gone = [self._shelf.popitem(last=False) for _ in range(len(self._shelf) - _KEPT)]
        self._publish(_note="")
        for old, page in gone:
            bank = page.what.annotated()
            if page.what.names or page.what.notes or bank.groups or bank.hidden or bank.pinned:
                self._said[old] = bank
            self._found.pop(old, None)
            page.close()
        if self._begun:
            self._page.start()
            self._look_up(target)

    def _publish(self, **more: Any) -> None:
        """Tell which pages there are, and what is looked at on the one that is shown."""
        shelf = self._shelf
        self.write(
            _pages={str(target): self._describe(page) for target, page in shelf.items()},
            _parts={str(target): page.references for target, page in shelf.items()},
            _similar={str(target): self._told_similar(target) for target in shelf if target in self._found},
            concept=self._page.concept,
            **more,
        )

    def _told_similar(self, target: int) -> dict[str, Any]:
        """Say what is alike; nothing of concepts that were extracted again: the atlas does not know these."""
        page, found = self._shelf[target], self._found[target]
        bank = page.what.bank
        if bank is None or bank.refits == page.page.bank.refits:
            return found
        return {**found, "rows": [], "note": _REFITTED}

    def _on_page(self, target: int) -> None:
        """Take over what was chosen, or said, on a page."""
        if not self._closed and target in self._shelf:
            self._publish()
            if self._begun:
                self._look_up(target)

    def _describe(self, page: PageViews) -> dict[str, Any]:
        bank = page.what.annotated()
        return describe_page(page.page, bank, self._closest.describe(page.page, bank))

    def _look_up(self, target: int) -> None:
        """Look up what the atlas does not say of a class."""
        if target not in self._found:
            self._errands.run(("similar", target), "similar", lambda: self._lookup.steps(target), self._on_found)
        self._ask_closest(self._shelf[target])

    def _ask_closest(self, views: PageViews) -> Job[Any] | None:
        """Ask the network which classes are closest, where the atlas does not keep them."""
        page, bank = views.page, views.what.bank
        if bank is None or not self._closest.needs(page, bank):
            return None
        closest = self._closest

        def finished(errand: Errand) -> None:
            if errand.job.error is not None:
                closest.note_failure(page, bank, errand.job.error)
            self._say("closest")  # from the worker, which waits for no lock

        key = ("closest", page.target, bank.refits)
        return self._asking.run(key, "closest", lambda: closest.steps(page, bank), finished)

    def _on_found(self, errand: Errand) -> None:
        record, error, target = errand.job.record, errand.job.error, errand.key[1]
        if record is not None:
            self._found[target] = record
        elif error is not None:
            self._found[target] = {**_NOTHING, "note": f"They could not be looked up: {type(error).__name__}: {error}"}
        self._say("similar")  # from the worker, which waits for no lock

    def _say_now(self, key: str) -> None:
        del key
        if not self._closed:
            self._publish()

    # -- choices ------------------------------------------------------------------------------------------------------

    @traitlets.validate("concept")
    def _check_concept(self, proposal: Any) -> int | None:
        concept: int | None = proposal["value"]
        ids = self.what.ids if hasattr(self, "_shelf") and self._shelf else None
        if concept is not None and ids is not None and concept not in ids:
            name = self.page.name
            raise traitlets.TraitError(f"concept: wanted one of {ids}, the concepts of {name}, got {concept}.")
        return concept

    def _on_selected(self, change: Any) -> None:
        wanted, self._wanted = self._wanted, None
        try:
            self._show(change["new"], wanted)
        except Exception as error:
            self._trait_values["selected"] = change["old"]
            self.send_state("selected")
            name = self._atlas.names[change["new"]]
            self.write(_note=f"The page of {name} cannot be opened. {type(error).__name__}: {error}")
            raise

    def _on_concept(self, change: Any) -> None:
        concept = change["new"]
        if concept != self._page.concept:
            self.selection.concepts = [] if concept is None else [concept]

    def _on_set(self, content: dict[str, Any]) -> None:
        """Set what the browser sends; a class and a concept of it belong together."""
        told = content.get("traits")
        traits = dict(told) if isinstance(told, dict) else {}
        if "selected" in traits and isinstance(traits.get("concept"), int):
            concept = traits.pop("concept")
            if traits["selected"] == self.selected:
                traits = {"concept": concept}
            else:
                self._wanted = concept
            content = {**content, "traits": traits}
        super()._on_set(content)
        self._wanted = None

    # -- a page without a kernel --------------------------------------------------------------------------------------

    def exported_parts(self) -> Iterator[View]:
        """Make the views of each class, one class after the other.

        Yields
        ------
        View
            What an exported page holds; of classes that are not on the shelf it is closed after that.
        """
        told: dict[str, dict[str, Any]] = {"_pages": {}, "_parts": {}, "_similar": {}}
        for target in self._exporting or tuple(self._atlas):
            with self._opened(target) as page:
                if self._model is not None:
                    page.start()
                    page.wait()
                    asked = self._ask_closest(page)
                    if asked is not None:
                        asked.wait()
                told["_pages"][str(target)] = self._describe(page)
                told["_parts"][str(target)] = page.references
                told["_similar"][str(target)] = self._similar_of(target)
                yield from page.views.values()
        self._exported = told

    def exported_state(self) -> dict[str, Any]:
        """Return the state that an exported page needs: what is said of all its classes.

        Returns
        -------
        dict
            The view's own synced traits as they travel.
        """
        state, told = super().exported_state(), self._exported
        if told and str(state["selected"]) not in told["_pages"]:
            state |= {"selected": int(next(iter(told["_pages"]))), "concept": None}
        return {**state, **told, "_note": ""}

    @contextlib.contextmanager
    def _opened(self, target: int) -> Iterator[PageViews]:
        """Have the views of a class; they are closed again, unless they were there before."""
        page = self._shelf.get(target)
        if page is not None:
            yield page
            return
        page = self._make(target)
        try:
            yield page
        finally:
            page.close()

    def _similar_of(self, target: int) -> dict[str, Any]:
        found = self._found.get(target)
        if found is not None:
            return found
        return [step.record for step in self._lookup.steps(target)][-1] or _NOTHING


_NOTHING: dict[str, Any] = {
    "rows": [], "tiles": {}, "sprite": b"", "side": 1, "columns": 1, "note": "", "about": [], "code": ""
}  # fmt: skip


def describe_classes(atlas: Atlas) -> dict[str, Any]:
    """List the classes of an atlas, column by column.

    Parameters
    ----------
    atlas : Atlas
        The classes.

    Returns
    -------
    dict
        ``_list`` on the wire: those with a page, then those without, with the reason.
    """
    ids = [*atlas, *atlas.skipped]
    facts = {target: atlas.facts(target) for target in atlas}
    every = [facts.get(target) for target in ids]
    return {
        "ids": ids,
        "names": [atlas.class_names[target] for target in ids],
        "photos": [None if told is None else told.n_images for told in every],
        "important": [None if told is None else told.n_important for told in every],
        "accuracy": [None if told is None or told.accuracy is None else round(told.accuracy, 4) for told in every],
        "why": {str(target): why for target, why in atlas.skipped.items()},
    }


def find_page(atlas: Atlas, target: Any, argument: str = "target") -> int:
    """Find a class that has a page.

    Parameters
    ----------
    atlas : Atlas
        The classes.
    target : int or str
        Id or name.
    argument : str, default "target"
        What messages call it.

    Returns
    -------
    int
        Its id.

    Raises
    ------
    TypeError
        If it is neither.
    whatwhere.UnknownClassError
        If there is no such class, or it has no page; the message says which are near, or why.
    """
    try:
        atlas.facts(target)
    except KeyError as error:
        raise UnknownClassError(f"{argument}: {error.args[0]}") from None
    except (UnknownClassError, TypeError) as error:
        raise type(error)(str(error).replace("target:", f"{argument}:", 1)) from None
    return atlas.class_names.resolve(target)


def _checked(atlas: Any) -> Atlas:
    from whatwhere.atlas import Atlas

    if not isinstance(atlas, Atlas):
        raise TypeError(f"atlas: wanted a ww.Atlas, as Atlas.of and Atlas.load give, got {type(atlas).__name__}.")
    if not len(atlas):
        why = next(iter(atlas.skipped.items()), None)
        reason = "" if why is None else f" Class {why[0]}, for one: {why[1]}"
        raise ValueError(f"atlas: wanted at least one class with a page, got none.{reason}")
    return atlas
