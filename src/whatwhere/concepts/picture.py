"""A bank as a static picture: a card for each concept, for hosts that show no widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from whatwhere.concepts.palette import hue_of, letter_of

if TYPE_CHECKING:
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.concept_crop import ConceptCrop
    from whatwhere.concepts.groups import Grouped

_CARD, _GAP, _TEXT = 172, 16, 44  # pixels: a card's width, between cards, below its crops
_SCALE = 2  # pixels a pixel, for sharp text
_INK, _SOFT, _LINE, _PAPER = "#1C1C1A", "#5F5D58", "#E3E2DE", "#FFFFFF"
_LEAST = 0.005  # what rounds to 0 %
_DARK = 140  # luma below which the letter is white
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
    size = round(max(width, _CARD) * _SCALE), round((rows * (height + _GAP) - _GAP) * _SCALE)
    page = Image.new("RGB", size, _PAPER)
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
    font = ImageFont.load_default(13 * _SCALE)
    page = Image.new("RGB", (round(font.getlength(text)) + 32 * _SCALE, 48 * _SCALE), _PAPER)
    _Pen(page).write(16, 24, text, _SOFT, 13, "lm")
    return page


def _draw_card(page: Image.Image, bank: Grouped, k: int, corner: tuple[float, float], side: float) -> None:
    x, y = corner
    shown = bank.crops[k] if bank.crops else ()
    big, small, line = side * 2 / 3, side / 3, 1.5
    half = small - line
    places = [(x, y, big, big), (x + big + line, y, half, half), (x + big + line, y + small + line, half, half)]
    for (left, top, wide, high), crop in zip(places, shown, strict=False):
        page.paste(
            _fitted(crop, (round(wide * _SCALE), round(high * _SCALE))), (round(left * _SCALE), round(top * _SCALE))
        )
    pen = _Pen(page)
    if not shown:
        pen.box(x, y, side, big, _LINE)
        pen.write(x + 8, y + 14, "no photo shows it" if bank.crops else "", _SOFT, 11, "lm")
    top, marks = y + big + 8, bank.members[k][:_MARKS]
    for place, concept_id in enumerate(marks):
        hue, left = hue_of(concept_id), x + 18 * place
        pen.disc(left, top, 16, hue)
        pen.write(left + 8, top + 8, letter_of(concept_id), _PAPER if _luma(hue) < _DARK else _INK, 10, "mm")
    share = f"{bank.importance[k]:.0%}" if bank.importance[k] >= _LEAST else "<1%"
    pen.write(x + side, top + 8, share, _INK, 12, "rm")
    if bank.contribution is not None:
        pen.write(x + 4 + 18 * len(marks), top + 8, f"{bank.contribution[k]:+.2f} logits", _SOFT, 11, "lm")
    pen.box(x, top + 24, side, 4, _LINE)
    pen.box(x, top + 24, max(side * float(bank.importance[k]), 1), 4, hue_of(bank.ids[k]))


class _Pen:
    """Draws in card pixels on a page that has more of them."""

    def __init__(self, page: Image.Image) -> None:
        self._draw = ImageDraw.Draw(page)

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:  # a rectangle
        self._draw.rectangle((x * _SCALE, y * _SCALE, (x + width) * _SCALE - 1, (y + height) * _SCALE - 1), fill=fill)

    def disc(self, x: float, y: float, size: float, fill: str) -> None:
        self._draw.ellipse((x * _SCALE, y * _SCALE, (x + size) * _SCALE, (y + size) * _SCALE), fill=fill)

    def write(self, x: float, y: float, text: str, fill: str, size: int, anchor: str) -> None:  # noqa: PLR0917  # likewise
        font = ImageFont.load_default(size * _SCALE)
        self._draw.text((x * _SCALE, y * _SCALE), text, fill=fill, font=font, anchor=anchor)


def _fitted(crop: ConceptCrop, size: tuple[int, int]) -> Image.Image:
    """Fill a place with a crop, cutting off what is too much of one side."""
    picture = Image.fromarray(crop.picture)
    scale = max(size[0] / picture.width, size[1] / picture.height)
    grown = picture.resize((max(size[0], round(picture.width * scale)), max(size[1], round(picture.height * scale))))
    left, top = (grown.width - size[0]) // 2, (grown.height - size[1]) // 2
    return grown.crop((left, top, left + size[0], top + size[1]))


def _luma(hue: str) -> float:
    red, green, blue = (int(hue[i : i + 2], 16) for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue
