"""Concepts of other classes that resemble those of one, with the crops of all of them in one picture."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from whatwhere.jobs import Step
from whatwhere.widgets._atlas_words import describe_concept, likeness
from whatwhere.widgets._planes import rounded
from whatwhere.widgets._sprites import draw_sprite

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from whatwhere.atlas import Atlas, Similar

_EACH = 4  # concepts of other classes that one is shown beside
_BAR = 0.2  # share of false ones among pairs so alike, from which a pair is not shown
_LEAST = 0.3  # cosine of a pair that is shown where chance is not known
_CROPS = 3  # of each concept
_SIDE, _QUALITY = 64, 68  # of a crop, in pixels
_KEPT = 512  # concepts whose crops are kept


class Lookup:
    """Finds what resembles the concepts of a class.

    Parameters
    ----------
    atlas : Atlas
        The classes.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self._shown: OrderedDict[tuple[int, int], tuple[dict[str, Any], list[NDArray[np.uint8]]]] = OrderedDict()

    def steps(self, target: int) -> Iterator[Step[dict[str, Any]]]:
        """Look up all concepts of a class.

        Parameters
        ----------
        target : int
            Its id.

        Yields
        ------
        Step
            Concepts done and to do; the last brings ``_similar`` of the class, as it travels.
        """
        ids = list(self._atlas[target].bank.ids)
        found: list[Similar] = []
        for done, concept_id in enumerate(ids):
            yield Step(done, len(ids), "similar", None)
            found += filter(_worth, self._atlas.similar(target, concept_id, most=_EACH, threshold=_BAR))
        found.sort(key=_strength, reverse=True)
        pictures: list[NDArray[np.uint8]] = []
        places: dict[tuple[int, int], list[int]] = {}
        for key in [*((target, concept_id) for concept_id in ids), *(each.there for each in found)]:
            if key not in places:
                crops = self._concept(*key)[1]
                places[key] = list(range(len(pictures), len(pictures) + len(crops)))
                pictures += crops
                yield Step(len(ids), len(ids), "crops", None)
        sprite, columns = draw_sprite(pictures, _SIDE, quality=_QUALITY)
        yield Step(
            len(ids),
            len(ids),
            "crops",
            {
                "rows": [self._row(each, places[each.there]) for each in found],
                "tiles": {str(concept_id): places[target, concept_id] for concept_id in ids},
                "sprite": sprite,
                "side": _SIDE,
                "columns": columns,
                **self._told(target, none=not found),
            },
        )

    def _row(self, each: Similar, tiles: list[int]) -> dict[str, Any]:
        target, concept_id = each.there
        return {
            "here": each.here[1],
            "there": {"class": target, "name": self._name(target), "concept": self._concept(target, concept_id)[0]},
            "cosine": rounded([each.cosine])[0],
            "words": likeness(each.cosine, each.z, each.q),
            "mutual": bool(each.mutual),
            "tiles": tiles,
        }

    def _name(self, target: int) -> str:
        return self._atlas.names[target]

    def _concept(self, target: int, concept_id: int) -> tuple[dict[str, Any], list[NDArray[np.uint8]]]:
        """Return how a concept is marked, and its crops; those asked for last are kept."""
        key = (target, concept_id)
        if key not in self._shown:
            page = self._atlas[target]
            crops = page.bank.crops[page.bank.number_of(concept_id)] if page.bank.crops else ()
            told = describe_concept(page.bank, concept_id, page.important)
            self._shown[key] = told, [crop.picture for crop in crops[:_CROPS]]
            while len(self._shown) > _KEPT:
                self._shown.popitem(last=False)
        self._shown.move_to_end(key)
        return self._shown[key]

    def _told(self, target: int, *, none: bool) -> dict[str, Any]:
        """Say what the scores are."""
        classes = len(self._atlas)
        if classes < 2:  # noqa: PLR2004  # one and another
            note = "There is no other class to compare with."
        elif none:
            likest = self._atlas.similar(target, most=1, threshold=None)
            if any(math.isnan(each.z) for each in likest):  # too few classes to tell
                note = f"No concept of another class has a cosine of {_LEAST} or more with one of these."
            else:
                note = "No concept of another class is more like one of these than chance gives."
        else:
            note = (
                "How alike the directions of two concepts are, and how unusual that is among concepts of other classes."
            )
        about = [
            ["Compared with", f"the concepts of {classes - 1:,} other class{'es' if classes != 2 else ''}"],  # noqa: PLR2004
            ["Cosine", "of two directions, after the direction of the mean activation was taken out of both"],
            ["Scores", self._atlas.calibration],
            ["Shown", f"{_EACH} of each concept at most: q up to {_BAR}, or cosines from {_LEAST} where there is none"],
            ["Matched", "the pair belongs together when the concepts of both classes are matched one to one"],
        ]
        return {
            "note": note,
            "about": about,
            "code": f"atlas.similar({target}, concept, most={_EACH}, threshold={_BAR})",
        }


def _worth(pair: Similar) -> bool:
    return not math.isnan(pair.z) or pair.cosine >= _LEAST


def _strength(pair: Similar) -> float:
    return pair.cosine if math.isnan(pair.z) else pair.z
