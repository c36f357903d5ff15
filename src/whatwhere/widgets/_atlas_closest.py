"""Which classes the concepts of a page point towards: as the atlas keeps it, or as the network tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.jobs import Step
from whatwhere.widgets._planes import rounded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatwhere.atlas import Atlas, ClassPage
    from whatwhere.atlas.closest import ClosestClass
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.model import VisionModel

_EACH = 5  # classes that are told of a concept
_ASKING = "Asking the network …"


class ClosestClasses:
    """The classes that concepts point towards.

    Parameters
    ----------
    atlas : Atlas
        Keeps them, where it was made with the network.
    model : VisionModel or None
        The network, for concepts that the atlas does not know, or was not made with it.
    call : str
        What a person calls to give the network.
    """

    def __init__(self, atlas: Atlas, model: VisionModel | None, call: str) -> None:
        from whatwhere.atlas.closest import Compass

        self._atlas, self._call = atlas, call
        self._compass = None if model is None else Compass(model)
        self._asked: dict[int, tuple[tuple[int, ...], dict[int, tuple[ClosestClass, ...]], str]] = {}

    def describe(self, page: ClassPage, bank: ConceptBank) -> dict[str, Any]:
        """Say which classes are closest to each concept.

        Parameters
        ----------
        page : ClassPage
            The class.
        bank : ConceptBank
            Its concepts as they are shown; others than the page's, where they were extracted again.

        Returns
        -------
        dict
            As it travels.
        """
        same = bank.refits == page.bank.refits
        asked = self._answer(page, bank)
        if same and page.closest is not None:
            found, why = dict(zip(page.bank.ids, page.closest, strict=True)), ""
            code = f"atlas.alignment({page.target}, concept)"
        elif asked is not None:
            found, why = asked
            code = 'bank.on(model).closest_classes(by="alignment")'
        else:
            found, why, code = {}, self._why_not(page, same=same), ""
        return {
            "rows": {str(key): [self._row(each) for each in classes[:_EACH]] for key, classes in found.items()},
            "note": why,
            "about": _about(len(self._atlas.class_names)),
            "code": code,
        }

    def needs(self, page: ClassPage, bank: ConceptBank) -> bool:
        """Tell whether the network is to be asked.

        Parameters
        ----------
        page : ClassPage
            The class.
        bank : ConceptBank
            Its concepts as they are shown.

        Returns
        -------
        bool
            False where the atlas keeps them, they were asked for, or there is no network.
        """
        if self._compass is None or not bank.complete or self._answer(page, bank) is not None:
            return False
        return bank.refits != page.bank.refits or (page.closest is None and not _asked_for(page))

    def steps(self, page: ClassPage, bank: ConceptBank) -> Iterator[Step[dict[int, tuple[ClosestClass, ...]]]]:
        """Ask the network, and keep what it says.

        Parameters
        ----------
        page : ClassPage
            The class.
        bank : ConceptBank
            Its concepts as they are shown.

        Yields
        ------
        Step
            The last brings the classes by the concept's id.
        """
        yield Step(0, 1, "closest", None)
        found: dict[int, tuple[ClosestClass, ...]] = {}
        if self._compass is not None:
            classes, why = self._compass.closest(bank)
            found = {} if classes is None else dict(zip(bank.ids, classes, strict=True))
            self._asked[page.target] = (bank.refits, found, why)
        yield Step(1, 1, "closest", found)

    def note_failure(self, page: ClassPage, bank: ConceptBank, error: BaseException) -> None:
        """Keep why they could not be asked for.

        Parameters
        ----------
        page : ClassPage
            The class.
        bank : ConceptBank
            Its concepts as they were shown.
        error : BaseException
            What went wrong.
        """
        self._asked[page.target] = bank.refits, {}, f"They could not be looked up: {type(error).__name__}: {error}"

    def _answer(self, page: ClassPage, bank: ConceptBank) -> tuple[dict[int, tuple[ClosestClass, ...]], str] | None:
        refits, found, why = self._asked.get(page.target, (None, {}, ""))
        return (found, why) if refits == bank.refits else None

    def _why_not(self, page: ClassPage, *, same: bool) -> str:
        if same and _asked_for(page):
            return page.why_not_closest
        return _ASKING if self._compass is not None else f"This needs the network: {self._call}."

    def _row(self, each: ClosestClass) -> dict[str, Any]:
        cosine, effect = rounded([each.cosine, each.effect])
        name = self._atlas.class_names.label(each.target)
        return {"class": each.target, "name": name, "cosine": cosine, "effect": effect}


def _asked_for(page: ClassPage) -> bool:
    """Tell whether the atlas was made with the network, so that what it has is all there is."""
    from whatwhere.atlas.closest import NOT_ASKED

    return page.why_not_closest not in ("", NOT_ASKED)


def _about(classes: int) -> list[list[str]]:
    return [
        [
            "Cosine",
            "of the concept's direction and the class's weights, from \u22121 to 1; 1 where they point the same way",
        ],
        ["Adds", "to the class's logit, on average over the photos of this class"],
        ["Shown", f"the {min(_EACH, classes)} of {classes:,} classes with the highest cosine"],
    ]
