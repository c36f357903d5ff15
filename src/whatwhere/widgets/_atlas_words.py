"""What an atlas is called on the wire: its classes, what stands above a page, and how alike concepts are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from whatwhere.concepts.palette import hue_of, letter_of
from whatwhere.widgets._planes import rounded

if TYPE_CHECKING:
    from whatwhere.atlas import ClassPage
    from whatwhere.concepts.bank import ConceptBank

_NO_CHANCE = 0.5  # share of false ones from which a pair is no more than chance
_LITTLE = 0.005  # below it a share is less than 1 %


def describe_page(page: ClassPage, bank: ConceptBank, closest: dict[str, Any]) -> dict[str, Any]:
    """Say what stands above the views of a class.

    Parameters
    ----------
    page : ClassPage
        The class.
    bank : ConceptBank
        Its concepts, with what a person said of them.
    closest : dict
        The classes that they point towards, from `whatwhere.widgets._atlas_closest`.

    Returns
    -------
    dict
        As it travels.
    """
    return {
        "id": page.target,
        "name": page.name,
        "words": sentence(page),
        "about": [["Importance", bank.importance_method], ["Important", page.rule]],
        "concepts": [describe_concept(bank, concept_id, page.important) for concept_id in bank.ids],
        "groups": [list(ids) for ids in bank.groups],
        "closest": closest,
    }


def describe_concept(bank: ConceptBank, concept_id: int, important: tuple[int, ...]) -> dict[str, Any]:
    """Say how a concept is marked.

    Parameters
    ----------
    bank : ConceptBank
        The concepts of its class.
    concept_id : int
        One of its ids.
    important : tuple of int
        Ids of those that count.

    Returns
    -------
    dict
        As it travels.
    """
    return {
        "id": concept_id,
        "letter": letter_of(concept_id),
        "hue": hue_of(concept_id),
        "name": bank.labels.get(concept_id, ""),
        "importance": rounded([float(bank.importance[bank.number_of(concept_id)])])[0],
        "counts": concept_id in important,
    }


def sentence(page: ClassPage) -> str:
    """Say in two sentences what the concepts of a class rest on.

    Parameters
    ----------
    page : ClassPage
        The class.

    Returns
    -------
    str
        For people.
    """
    bank = page.bank
    photos = f"{page.n_images:,} photo{'s' if page.n_images != 1 else ''} read as {page.name}"
    concepts = f"{bank.rank} concept{'s' if bank.rank != 1 else ''}"
    *some, last = map(letter_of, page.important)
    are = f"{', '.join(some)} and {last} are" if some else f"{last} is"
    return (
        f"{concepts} from {photos}, at layer {bank.layer.name}, with a relative error of {bank.quality.error:.2f}. "
        f"{are} important."
    )


def likeness(cosine: float, z: float, q: float) -> str:
    """Say how alike two concepts are, and how unusual that is.

    Parameters
    ----------
    cosine : float
        Of their directions, without the mean activation's.
    z : float
        Standard deviations above the usual; NaN where that is not known.
    q : float
        Share of false ones among pairs that are as much alike; NaN likewise.

    Returns
    -------
    str
        A few words.
    """
    told = f"cosine {cosine:.2f}".replace("-", "\u2212")
    if math.isnan(z):
        return f"{told}; too few classes to tell chance"
    told += f", z {z:.1f}".replace("-", "\u2212")
    if math.isnan(q):
        return told
    if q >= _NO_CHANCE:
        return f"{told}: no more than chance gives"
    return f"{told}: {'under 1' if q < _LITTLE else f'about {100 * q:.0f}'} % of pairs this alike are chance"
