"""The views of one class of an atlas, and what they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.widgets._calls import Calls
from whatwhere.widgets.concepts import ConceptExplorer
from whatwhere.widgets.selection import Selection
from whatwhere.widgets.strategies import StrategyView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from whatwhere.atlas import ClassPage
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.model import VisionModel
    from whatwhere.widgets._lock import WriteLock
    from whatwhere.widgets._view import View

_REFERENCE = "IPY_MODEL_"
_WHOLE = "AtlasView(atlas, model, images={name: photo, …})"
#: What a page's concepts lack, the atlas's view is to be given.
CONCEPT_CALLS = Calls(network="AtlasView(atlas, model)", photos=_WHOLE)


class PageConcepts(ConceptExplorer):
    """The concepts of a class, on its page."""

    _calls = CONCEPT_CALLS


class PagePhotos(StrategyView):
    """The photos of a class by reason, on its page."""

    _calls = Calls(network=_WHOLE, photos=_WHOLE)


class PageViews:
    """A class page: its concepts, its photos by reason, and the selection of both.

    Parameters
    ----------
    page : ClassPage
        The class.
    bank : ConceptBank
        Its concepts, with what a person said of them before.
    model : VisionModel or None
        The network.
    images : mapping of str to image, or None
        Whole photos by name.
    lock : WriteLock
        What is written under: the view that shows the page hears of its selection.
    concept : int or None
        The concept to begin with; by default the most important.
    changed : callable
        Called when other concepts are chosen, or they are called otherwise.

    Attributes
    ----------
    page : ClassPage
        The class.
    selection : Selection
        What is chosen on the page.
    what : ConceptExplorer
        Its concepts.
    why : StrategyView or None
        Its photos by reason, where the atlas has them.
    """

    def __init__(
        self,
        page: ClassPage,
        bank: ConceptBank,
        model: VisionModel | None,
        images: Mapping[str, Any] | None,
        *,
        lock: WriteLock,
        concept: int | None,
        changed: Callable[[], None],
    ) -> None:
        self.page, self._changed = page, changed
        self.selection = Selection(concepts=[] if concept is None else [concept])
        self.selection._write_lock = lock  # noqa: SLF001  # those that write to each other share it
        own = None if images is None else {name: images[name] for name in bank.images if name in images}
        self.what = PageConcepts(bank, model, own or None, selection=self.selection)
        self.why: StrategyView | None = None
        if page.graph is not None:
            self.why = PagePhotos(page.graph, model, own or None, bank=bank, selection=self.selection)
        for view in self.views.values():
            view._embedded = "page"  # noqa: SLF001  # a view's own
        self.selection.observe(self._on_change, "concepts")
        self.what.observe(self._on_change, ["names", "_bank"])

    @property
    def views(self) -> dict[str, View]:
        """The views, by what they answer."""
        return {"what": self.what} if self.why is None else {"what": self.what, "why": self.why}

    @property
    def references(self) -> dict[str, str]:
        """How the browser finds the views and the selection."""
        found = {name: f"{_REFERENCE}{view.model_id}" for name, view in self.views.items()}
        return {**found, "selection": f"{_REFERENCE}{self.selection.model_id}"}

    @property
    def concept(self) -> int | None:
        """The concept that is looked at."""
        return next(iter(self.selection.concepts), None)

    def start(self) -> None:
        """Ask the network what the bank does not say."""
        self.what.start()
        if self.why is not None:
            self.why.start()

    def stop(self) -> None:
        """Stop all that is being computed."""
        self.what.stop()
        if self.why is not None:
            self.why.stop()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all that is being computed is there.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for each view at most.
        """
        for view in (self.what, self.why):
            if view is not None and view.job.state != "idle":
                view.job.wait(timeout)

    def close(self) -> None:
        """Close the views and their selection."""
        self.selection.unobserve(self._on_change, "concepts")
        self.what.unobserve(self._on_change, ["names", "_bank"])
        for view in self.views.values():
            view.close()
        self.selection.close()

    def _on_change(self, change: Any) -> None:
        del change
        self._changed()
