"""A bank as a static picture: a card for each concept, for hosts that show no widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageFont

from whatwhere.concepts.palette import hue_of, letter_of
from whatwhere.concepts.pen import LINE, PAPER, SCALE, SOFT, Pen

if TYPE_CHECKING:
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.concept_crop import ConceptCrop
    from whatwhere.concepts.groups import Grouped

_CARD, _GAP, _TEXT = 172, 16, 44  # pixels: a card's width, between cards, below its crops
_LEAST = 0.005  # what rounds to 0 %
_MARKS = 3  # letters of a merged concept, at most


def draw_bank(bank: ConceptBank, *, width: int = 720) -> Image.Image:
    """Draw a card for each concept: three crops that show it, its letter, its importance and what it adds.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    width : int, default 720
        Width in pixels, at least one card's; drawn at twice that for sharp text.

    Returns
    -------
    PIL.Image.Image
        An RGB picture on white.
    """
    columns = max(1, (width + _GAP) // (_CARD + _GAP))
    side = (max(width, _CARD) - (columns - 1) * _GAP) / columns
    crops = side * 2 / 3
    height = crops + _TEXT
    shown = bank.grouped()
    rows = -(-len(shown.members) // columns)
    size = round(max(width, _CARD) * SCALE), round((rows * (height + _GAP) - _GAP) * SCALE)
    page = Image.new("RGB", size, PAPER)
    for k in range(len(shown.members)):
        row, column = divmod(k, columns)
        _draw_card(page, shown, k, (column * (side + _GAP), row * (height + _GAP)), side)
    return page


def draw_words(text: str) -> Image.Image:
    """Draw a sentence where there is nothing else to show.

    Parameters
    ----------
    text : str
        The sentence.

    Returns
    -------
    PIL.Image.Image
        An RGB picture on white, as wide as the text.
    """
    font = ImageFont.load_default(13 * SCALE)
    page = Image.new("RGB", (round(font.getlength(text)) + 32 * SCALE, 48 * SCALE), PAPER)
    Pen(page).write(16, 24, text, fill=SOFT, size=13)
    return page


def _draw_card(page: Image.Image, bank: Grouped, k: int, corner: tuple[float, float], side: float) -> None:
    x, y = corner
    shown = bank.crops[k] if bank.crops else ()
    big, small, line = side * 2 / 3, side / 3, 1.5
    half = small - line
    places = [(x, y, big, big), (x + big + line, y, half, half), (x + big + line, y + small + line, half, half)]
    for (left, top, wide, high), crop in zip(places, shown, strict=False):
        page.paste(_fitted(crop, (round(wide * SCALE), round(high * SCALE))), (round(left * SCALE), round(top * SCALE)))
    pen = Pen(page)
    if not shown:
        pen.box(x, y, side, big, LINE)
        pen.write(x + 8, y + 14, "no photo shows it" if bank.crops else "", fill=SOFT)
    top, marks = y + big + 8, bank.members[k][:_MARKS]
    for place, concept_id in enumerate(marks):
        pen.concept(x + 18 * place, top, letter_of(concept_id), hue_of(concept_id))
    share = f"{bank.importance[k]:.0%}" if bank.importance[k] >= _LEAST else "<1%"
    pen.write(x + side, top + 8, share, size=12, anchor="rm")
    if bank.contribution is not None:
        pen.write(x + 4 + 18 * len(marks), top + 8, f"{bank.contribution[k]:+.2f} logits", fill=SOFT)
    pen.box(x, top + 24, side, 4, LINE)
    pen.box(x, top + 24, max(side * float(bank.importance[k]), 1), 4, hue_of(bank.ids[k]))


def _fitted(crop: ConceptCrop, size: tuple[int, int]) -> Image.Image:
    """Fill a place with a crop, cutting off what is too much of one side."""
    picture = Image.fromarray(crop.picture)
    scale = max(size[0] / picture.width, size[1] / picture.height)
    grown = picture.resize((max(size[0], round(picture.width * scale)), max(size[1], round(picture.height * scale))))
    left, top = (grown.width - size[0]) // 2, (grown.height - size[1]) // 2
    return grown.crop((left, top, left + size[0], top + size[1]))
