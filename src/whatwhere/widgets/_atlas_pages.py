"""The pages of an atlas that are at hand: those looked at last, what was said on them, what is looked up for them."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

from whatwhere.widgets._atlas_closest import ClosestClasses
from whatwhere.widgets._atlas_page import CONCEPT_CALLS, PageViews
from whatwhere.widgets._atlas_similar import Lookup
from whatwhere.widgets._atlas_words import describe_page
from whatwhere.widgets._errands import Errands
from whatwhere.widgets._view import WIRE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from whatwhere.atlas import Atlas
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.jobs import Job
    from whatwhere.model import VisionModel
    from whatwhere.widgets._errands import Errand
    from whatwhere.widgets._lock import WriteLock

_KEPT: int = WIRE["atlas"]["kept"]
_WORKER = "photos"  # looking up what is alike waits for no network
_REFITTED = "These concepts were extracted again here; the atlas compares those that it holds."
_NOTHING: dict[str, Any] = {
    "rows": [], "tiles": {}, "sprite": b"", "side": 1, "columns": 1, "note": "", "about": [], "code": ""
}  # fmt: skip


class PagesAtHand:
    """The pages that were looked at last; there is always one that is shown, once there was any.

    Parameters
    ----------
    atlas : Atlas
        The classes.
    model : VisionModel or None
        The network.
    images : mapping of str to image, or None
        Whole photos by name.
    lock : WriteLock
        Of the view that shows them.
    changed : callable
        Called with a class when something was chosen, or said, on its page.
    found : callable
        Called with what was looked up, ``"similar"`` or ``"closest"``; from the worker.
    """

    def __init__(
        self,
        atlas: Atlas,
        model: VisionModel | None,
        images: Mapping[str, Any] | None,
        *,
        lock: WriteLock,
        changed: Callable[[int], None],
        found: Callable[[str], None],
    ) -> None:
        self._atlas, self._model, self._images = atlas, model, images
        self._lock, self._changed, self._tell = lock, changed, found
        self._shelf: OrderedDict[int, PageViews] = OrderedDict()
        self._said: dict[int, ConceptBank] = {}
        self._lookup, self._similar = Lookup(atlas), dict[int, dict[str, Any]]()
        self._closest = ClosestClasses(atlas, model, CONCEPT_CALLS.network)
        self._errands = Errands(_WORKER, lambda: None)
        self._asking = Errands(_WORKER if model is None else str(model.device), lambda: None)

    @property
    def shown(self) -> PageViews:
        """The page that is shown."""
        return next(reversed(self._shelf.values()))

    def __contains__(self, target: object) -> bool:
        return target in self._shelf

    def show(self, target: int, concept: int | None = None) -> list[PageViews]:
        """Put the page of a class first, and take away those that were not looked at for long.

        Parameters
        ----------
        target : int
            The class.
        concept : int, optional
            The concept to look at; by default the one that was, or the most important.

        Returns
        -------
        list of PageViews
            Those that were taken away, for `put_away` once nobody shows them.
        """
        if target not in self._shelf:
            self._shelf[target] = self._make(target, concept)
        elif concept is not None:
            self._shelf[target].selection.concepts = [concept]
        self._shelf.move_to_end(target)
        return [self._shelf.popitem(last=False)[1] for _ in range(len(self._shelf) - _KEPT)]

    def put_away(self, pages: list[PageViews]) -> None:
        """Close pages, and keep what was said of their concepts.

        Parameters
        ----------
        pages : list of PageViews
            Those that are not shown any more.
        """
        for page in pages:
            bank, target = page.what.annotated(), page.page.target
            if page.what.names or page.what.notes or bank.groups or bank.hidden or bank.pinned:
                self._said[target] = bank
            self._similar.pop(target, None)
            page.close()

    @contextlib.contextmanager
    def opened(self, target: int) -> Iterator[PageViews]:
        """Have the page of a class; it is closed again, unless it was there before.

        Parameters
        ----------
        target : int
            The class.

        Yields
        ------
        PageViews
            Its views.
        """
        page = self._shelf.get(target)
        if page is not None:
            yield page
            return
        page = self._make(target)
        try:
            yield page
        finally:
            page.close()

    def stop(self) -> None:
        """Stop all that is being computed."""
        self._errands.drop_all()
        self._asking.drop_all()
        for page in self._shelf.values():
            page.stop()

    def wait(self, timeout: float | None) -> None:
        """Wait for the page that is shown, and for what is looked up.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait for each part at most.
        """
        self.shown.wait(timeout)
        for errands in (self._errands, self._asking):
            job = errands.current
            if job is not None:
                job.wait(timeout)

    def close(self) -> None:
        """Close all pages."""
        self._errands.drop_all()
        self._asking.drop_all()
        for page in self._shelf.values():
            page.close()
        self._similar.clear()

    def _make(self, target: int, concept: int | None = None) -> PageViews:
        page = self._atlas[target]
        bank = self._said.get(target, page.bank)
        return PageViews(
            page,
            bank,
            self._model,
            self._images,
            lock=self._lock,
            concept=concept if concept in bank.ids else None,
            changed=partial(self._changed, target),
        )

    # -- what is told of them -----------------------------------------------------------------------------------------

    def traits(self) -> dict[str, Any]:
        """Say which pages there are, and what is looked at on the one that is shown.

        Returns
        -------
        dict
            Traits by name, as they travel.
        """
        shelf = self._shelf
        return {
            "_pages": {str(target): self.describe(page) for target, page in shelf.items()},
            "_parts": {str(target): page.references for target, page in shelf.items()},
            "_similar": {str(target): self._told(target) for target in shelf if target in self._similar},
            "concept": self.shown.concept,
        }

    def describe(self, page: PageViews) -> dict[str, Any]:
        """Say what stands above the views of a class.

        Parameters
        ----------
        page : PageViews
            The class.

        Returns
        -------
        dict
            As it travels.
        """
        bank = page.what.annotated()
        return describe_page(page.page, bank, self._closest.describe(page.page, bank))

    def _told(self, target: int) -> dict[str, Any]:
        """Say what is alike; nothing of concepts that were extracted again: the atlas does not know these."""
        page, found = self._shelf[target], self._similar[target]
        bank = page.what.bank
        if bank is None or bank.refits == page.page.bank.refits:
            return found
        return {**found, "rows": [], "note": _REFITTED}

    # -- what is looked up --------------------------------------------------------------------------------------------

    def look_up(self, target: int) -> None:
        """Look up what the atlas does not say of a class.

        Parameters
        ----------
        target : int
            One whose page is at hand.
        """
        if target not in self._similar:
            self._errands.run(("similar", target), "similar", lambda: self._lookup.steps(target), self._on_similar)
        self.ask_closest(self._shelf[target])

    def similar_of(self, target: int) -> dict[str, Any]:
        """Look up what is alike, now.

        Parameters
        ----------
        target : int
            Any class.

        Returns
        -------
        dict
            As it travels.
        """
        found = self._similar.get(target)
        if found is not None:
            return found
        return [step.record for step in self._lookup.steps(target)][-1] or _NOTHING

    def ask_closest(self, views: PageViews) -> Job[Any] | None:
        """Ask the network which classes are closest, where the atlas does not keep them.

        Parameters
        ----------
        views : PageViews
            The class.

        Returns
        -------
        Job or None
            Started; None where there is nothing to be asked.
        """
        page, bank = views.page, views.what.bank
        if bank is None or not self._closest.needs(page, bank):
            return None
        closest = self._closest

        def finished(errand: Errand) -> None:
            if errand.job.error is not None:
                closest.note_failure(page, bank, errand.job.error)
            self._tell("closest")

        key = ("closest", page.target, bank.refits)
        return self._asking.run(key, "closest", lambda: closest.steps(page, bank), finished)

    def _on_similar(self, errand: Errand) -> None:
        record, error, target = errand.job.record, errand.job.error, errand.key[1]
        if record is not None:
            self._similar[target] = record
        elif error is not None:
            why = f"They could not be looked up: {type(error).__name__}: {error}"
            self._similar[target] = {**_NOTHING, "note": why}
        self._tell("similar")
