"""AtlasView: the concepts of every class, a page a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from whatwhere.pixels.images import name_images
from whatwhere.widgets._atlas_classes import PageTrait, check_atlas, describe_classes, find_page
from whatwhere.widgets._atlas_export import ExportedClasses
from whatwhere.widgets._atlas_pages import PagesAtHand
from whatwhere.widgets._displayed import Displayed
from whatwhere.widgets._view import bundle

if TYPE_CHECKING:
    from PIL import Image

    from whatwhere.atlas import Atlas, ClassPage
    from whatwhere.jobs import Job
    from whatwhere.model import VisionModel
    from whatwhere.widgets._atlas_page import PageViews
    from whatwhere.widgets._view import View
    from whatwhere.widgets.concepts import ConceptExplorer
    from whatwhere.widgets.selection import Selection
    from whatwhere.widgets.strategies import StrategyView

_FALLBACK_BYTES = 12_000
_CARDS = 6  # in the picture for hosts that show no widgets


class AtlasView(ExportedClasses, Displayed):
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
        self._atlas, self._model = check_atlas(atlas), model
        self._at_hand = PagesAtHand(
            self._atlas,
            model,
            None if images is None else name_images(images),
            lock=self._write_lock,
            changed=self._on_page,
            found=self._say,
        )
        self._begun = False
        self._wanted: int | None = None
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
        self._at_hand.look_up(self.selected)

    def stop(self) -> None:
        """Stop all that is being computed; what there is stays, and `start` continues."""
        self._begun = False
        self._at_hand.stop()

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
        self._at_hand.wait(timeout)

    def close(self) -> None:
        """Close all pages, give their memory back and disconnect from the browser; the view cannot be used again."""
        if not self._closed:
            self._closed = True
            self._at_hand.close()
        layout = self._trait_values.get("layout")
        if layout is not None:
            layout.close()
        super().close()

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

    def _fallback(self) -> tuple[Image.Image, dict[str, int]]:
        bank = self.page.bank
        return bank.take(list(range(min(bank.rank, _CARDS)))).picture(), {"jpeg_bytes": _FALLBACK_BYTES}

    # -- pages --------------------------------------------------------------------------------------------------------

    @property
    def _page(self) -> PageViews:
        return self._at_hand.shown

    def _show(self, target: int, concept: int | None = None) -> None:
        """Show the page of a class."""
        gone = self._at_hand.show(target, concept)
        self.write(**self._at_hand.traits(), _note="")
        self._at_hand.put_away(gone)
        if self._begun:
            self._page.start()
            self._at_hand.look_up(target)

    def _on_page(self, target: int) -> None:
        """Take over what was chosen, or said, on a page."""
        if not self._closed and target in self._at_hand:
            self.write(**self._at_hand.traits())
            if self._begun:
                self._at_hand.look_up(target)

    def _say_now(self, key: str) -> None:
        del key
        if not self._closed:
            self.write(**self._at_hand.traits())

    # -- choices ------------------------------------------------------------------------------------------------------

    @traitlets.validate("concept")
    def _check_concept(self, proposal: Any) -> int | None:
        concept: int | None = proposal["value"]
        if concept is None:
            return None
        ids, name = self.what.ids, self.page.name
        if ids is not None and concept not in ids:
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
