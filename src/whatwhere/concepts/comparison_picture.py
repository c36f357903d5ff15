"""Two logits of a photo as a static picture: what each concept adds to either, and the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from whatwhere.concepts.palette import GREY, hue_of, letter_of
from whatwhere.concepts.pen import LINE, SOFT, Pen, blank

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from whatwhere.concepts.comparison import Comparison

_ROW, _HEAD, _FOOT = 22, 48, 34
_SHOWN = 10  # concepts with rows of their own
_LABEL, _NAMELESS = 128, 88  # room for concepts' names, or for the last rows' words
_GAP = 28


class _Row(NamedTuple):
    """A line of the picture: whose it is, and what it adds to either class."""

    label: str
    hue: str
    letter: str
    values: tuple[float, float]


def draw_comparison(comparison: Comparison, *, width: int = 640) -> Image.Image:
    """Draw what each concept adds to either logit side by side, and the difference.

    Parameters
    ----------
    comparison : Comparison
        The record.
    width : int, default 640
        Width in pixels, at least 400; drawn at twice that for sharp text.

    Returns
    -------
    PIL.Image.Image
        An RGB picture on white. Bars of all three columns have one scale.
    """
    width, rows = max(width, 400), _rows(comparison)
    named = _LABEL if any(comparison.concept_names.get(key) for key in comparison.ids) else _NAMELESS
    page = blank(width, _HEAD + len(rows) * _ROW + _FOOT)
    pen = Pen(page)
    side = (width - named - 3 * _GAP) / 3
    lefts = [named + _GAP + j * (side + _GAP) for j in range(3)]
    table = np.array([[*row.values, row.values[0] - row.values[1]] for row in rows])
    low, high = min(0.0, float(table.min())), max(0.0, float(table.max()))
    unit = (side - 64) / max(high - low, 1e-6)  # room for a number at either end
    names = [comparison.class_names.label(c) for c in comparison.classes]
    heads = [f"for {names[0]}", f"for {names[1]}", "difference"]
    notes = ["predicted", {"true": "what it is", "next": "next likeliest", "given": "compared with"}[comparison.kind]]
    for left, head, note in zip(lefts, heads, [*notes, "for the first"], strict=True):
        pen.write(left, 12, _fitting(pen, head, side, 13), size=13)
        pen.write(left, 30, note, fill=SOFT)
    for i, row in enumerate(rows):
        middle = _HEAD + i * _ROW + _ROW / 2
        if row.letter:
            pen.concept(0, middle - 8, row.letter, row.hue)
        pen.write(22, middle, _fitting(pen, row.label, named - 22, 11))
        for left, value in zip(lefts, table[i].tolist(), strict=True):
            _bar(pen, left + 32 - low * unit, middle, value * unit, value, row.hue)
    foot = _HEAD + len(rows) * _ROW + 4
    pen.box(0, foot, width, 1, LINE)
    pen.write(22, foot + 16, "logit", size=12)
    for left, value in zip(lefts, [*comparison.logits, comparison.logits[0] - comparison.logits[1]], strict=True):
        pen.write(left, foot + 16, _signed(value), size=12)
    return page


def _rows(comparison: Comparison) -> list[_Row]:
    """List the concepts that part the classes most, then what is left."""
    order = comparison.order.tolist()
    rows = [
        _Row(comparison.concept_names.get(key, ""), hue_of(key), letter_of(key), _pair(comparison.contributions[:, k]))
        for k in order[:_SHOWN]
        for key in [comparison.ids[k]]
    ]
    if others := order[_SHOWN:]:
        rows.append(_Row(f"{len(others)} others", GREY, "", _pair(comparison.contributions[:, others].sum(axis=1))))
    rows.append(_Row("no concept", GREY, "", _pair(comparison.residuals + comparison.gaps)))
    return [*rows, _Row("bias", GREY, "", _pair(comparison.bases))]


def _pair(values: NDArray[np.float32]) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def _bar(pen: Pen, zero: float, middle: float, length: float, value: float, hue: str) -> None:  # noqa: PLR0917  # a mark
    pen.box(zero, middle - 9, 1, 18, LINE)
    if abs(length) >= 1:
        pen.box(min(zero, zero + length), middle - 5, abs(length), 10, hue)
    told = _signed(value)
    side = -1 if told.startswith("-") else 1
    pen.write(zero + length + 4 * side, middle, told, fill=SOFT, size=10, anchor="lm" if side > 0 else "rm")


def _signed(value: float) -> str:
    """Write a number with its sign, and what rounds to nothing without."""
    told = f"{value:+.1f}"
    return "0.0" if told in ("-0.0", "+0.0") else told


def _fitting(pen: Pen, text: str, room: float, size: int) -> str:
    if pen.width_of(text, size) <= room:
        return text
    while text and pen.width_of(f"{text}…", size) > room:
        text = text[:-1]
    return f"{text.rstrip()}…"
