"""How much a view of concepts may hold: in a notebook, which saves all of it, and in a page."""

from __future__ import annotations

from typing import NamedTuple

from whatwhere.widgets._sprites import Counts


class Budget(NamedTuple):
    """How much the state may hold.

    Attributes
    ----------
    total : int
        Bytes of all buffers.
    crops : float
        Share of crops in what effects leave.
    counts : sequence of (Counts, Counts)
        How many crops the concept that is looked at has, and each of the others, the first that fit.
    crop_side, crop_quality : int
        Of the sprite.
    large : int
        Bytes of the photo that is looked at; 0 where all are as large.
    sides : sequence of int
        Longest sides of photos, the first with which enough photos fit.
    enough : int
        Photos.
    photo_quality : int
        Of their JPEG.
    """

    total: int
    crops: float
    counts: tuple[tuple[Counts, Counts], ...]
    crop_side: int
    crop_quality: int
    large: int
    sides: tuple[int, ...]
    enough: int
    photo_quality: int


_FULL = Counts(10, 6, 6, 6)
# What the concept that is looked at has, and what the others have.
_LADDER = (
    (Counts(10, 8, 8, 8), Counts(10, 8, 8, 8)), (_FULL, _FULL), (_FULL, Counts(8, 4, 4, 4)),
    (_FULL, Counts(6, 3, 3, 3)), (_FULL, Counts(6, 2, 2, 2)), (_FULL, Counts(5, 1, 1, 1)), (_FULL, Counts(5, 0, 0, 0)),
    (_FULL, Counts(4, 0, 0, 0)), (_FULL, Counts(3, 0, 0, 0)), (Counts(8, 3, 3, 3), Counts(3, 0, 0, 0)),
    (Counts(8, 3, 3, 3), Counts(2, 0, 0, 0)), (Counts(6, 2, 2, 2), Counts(1, 0, 0, 0)),
    (Counts(1, 0, 0, 0), Counts(1, 0, 0, 0)),
)  # fmt: skip

#: What is saved with a notebook: in base64, with the rest, a picture and the front end, below 300 KB.
NOTEBOOK = Budget(134_000, 0.52, _LADDER, 64, 60, 14_000, (224, 192, 160, 128, 112), 12, 70)
#: What an exported page holds.
PAGE = Budget(2_400_000, 0.6, _LADDER, 96, 78, 60_000, (224, 192, 160), 60, 78)
