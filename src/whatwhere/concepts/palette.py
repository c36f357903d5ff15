"""What marks a concept in every picture: a letter, and a hue that goes with it."""

from __future__ import annotations

#: Okabe and Ito's hues, told apart by people with any colour vision; their black is the text's colour and left out.
HUES = ("#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442")
#: Beyond three textures of each hue, marks are grey and the letter tells.
GREY = "#8A8984"

_TEXTURES = 3
_LETTERS = 26


def letter_of(concept_id: int) -> str:
    """Name a concept by its id: A to Z, then A1 to Z1 and so on.

    Parameters
    ----------
    concept_id : int
        An id, at least 0.

    Returns
    -------
    str
        One letter, and a number from the 27th on.

    Examples
    --------
    >>> letter_of(0), letter_of(27)
    ('A', 'B1')
    """
    turn, place = divmod(concept_id, _LETTERS)
    return chr(ord("A") + place) + (str(turn) if turn else "")


def hue_of(concept_id: int) -> str:
    """Return a concept's colour.

    Parameters
    ----------
    concept_id : int
        An id, at least 0.

    Returns
    -------
    str
        ``"#RRGGBB"``; the seven hues come back with other textures, and grey stands beyond 21 concepts.
    """
    return HUES[concept_id % len(HUES)] if concept_id < _TEXTURES * len(HUES) else GREY


def texture_of(concept_id: int) -> int:
    """Return which of three textures a concept's hue comes with, where no letter fits.

    Parameters
    ----------
    concept_id : int
        An id, at least 0.

    Returns
    -------
    int
        0 for the first seven concepts, 1 for the next, 2 for those after; 0 for grey ones.
    """
    return concept_id // len(HUES) if concept_id < _TEXTURES * len(HUES) else 0
