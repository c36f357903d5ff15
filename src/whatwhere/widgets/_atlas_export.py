"""Classes on an exported page: all of them, or those that are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.widgets._atlas_classes import find_page
from whatwhere.widgets._view import View

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from whatwhere.atlas import Atlas
    from whatwhere.model import VisionModel
    from whatwhere.widgets._atlas_pages import PagesAtHand


class ExportedClasses(View):
    """A view of classes, of which an exported page holds some.

    Parameters
    ----------
    **traits : object
        Initial values of public traits.
    """

    _atlas: Atlas
    _model: VisionModel | None
    _at_hand: PagesAtHand
    #: Classes that are being exported; None for all.
    _exporting: tuple[int, ...] | None = None
    #: What is said of those that were.
    _exported: dict[str, Any] | None = None

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

    def exported_parts(self) -> Iterator[View]:
        """Make the views of each class, one class after the other.

        Yields
        ------
        View
            What an exported page holds; of classes that are not on the shelf it is closed after that.
        """
        told: dict[str, dict[str, Any]] = {"_pages": {}, "_parts": {}, "_similar": {}}
        at_hand = self._at_hand
        for target in self._exporting or tuple(self._atlas):
            with at_hand.opened(target) as page:
                if self._model is not None:
                    page.start()
                    page.wait()
                    asked = at_hand.ask_closest(page)
                    if asked is not None:
                        asked.wait()
                told["_pages"][str(target)] = at_hand.describe(page)
                told["_parts"][str(target)] = page.references
                told["_similar"][str(target)] = at_hand.similar_of(target)
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
        if told is not None and str(state["selected"]) not in told["_pages"]:
            state |= {"selected": int(next(iter(told["_pages"]))), "concept": None}
        return {**state, **(told or {}), "_note": ""}
