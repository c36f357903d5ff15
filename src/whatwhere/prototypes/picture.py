"""Prototypes as one static picture, for hosts that show no widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from whatwhere.drawing import to_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatwhere.prototypes.record import Prototype

_SIDE, _GAP, _TEXT = 224, 12, 26  # pixels: a prototype's longer side, between them, below each
_COLUMNS = 3
_INK, _PAPER = "#1C1C1A", "#FFFFFF"
_SIZE = 14


def draw_prototypes(prototypes: Sequence[Prototype], *, columns: int = _COLUMNS) -> Image.Image:
    """Draw prototypes side by side with their names, on white, transparent by their alpha.

    Of accentuated photos the left half is the photo before.

    Parameters
    ----------
    prototypes : sequence of Prototype
        What to draw, at least one.
    columns : int, default 3
        How many stand in a row, at most.

    Returns
    -------
    PIL.Image.Image
        An RGB picture.
    """
    columns = min(columns, len(prototypes))
    rows = -(-len(prototypes) // columns)
    page = Image.new("RGB", (columns * (_SIDE + _GAP) - _GAP, rows * (_SIDE + _TEXT + _GAP) - _GAP), _PAPER)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(_SIZE)
    for place, prototype in enumerate(prototypes):
        row, column = divmod(place, columns)
        x, y = column * (_SIDE + _GAP), row * (_SIDE + _TEXT + _GAP)
        small = prototype.picture()
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        _paste_before(small, prototype)
        page.paste(small, (x, y))
        pen.text((x, y + _SIDE + 4), _cut(prototype.label, font), fill=_INK, font=font)
    return page


def _paste_before(picture: Image.Image, prototype: Prototype) -> None:
    """Put the left half of the photo over an accentuated one, with an edge between them."""
    if prototype.seed_image is None:
        return
    middle = picture.width // 2
    before = to_picture(prototype.seed_image).resize(picture.size, Image.Resampling.LANCZOS)
    picture.paste(before.crop((0, 0, middle, picture.height)), (0, 0))
    ImageDraw.Draw(picture).line([(middle, 0), (middle, picture.height)], fill=_PAPER, width=2)


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Shorten a name to the width of a picture."""
    if font.getlength(text) <= _SIDE:
        return text
    lengths = np.array([font.getlength(text[:count] + "…") for count in range(len(text))])
    return text[: int(np.searchsorted(lengths, _SIDE, side="right")) - 1].rstrip() + "…"
