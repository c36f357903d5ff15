"""A graph as a static picture: photos by reason, and how common and reliable each reason is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from whatwhere.concepts.palette import GREY, hue_of, letter_of
from whatwhere.concepts.pen import INK, LINE, PAPER, SOFT, WASH, Pen, blank, on_colour
from whatwhere.strategies.groups import NOBODY
from whatwhere.strategies.marks import (
    LETTERED,
    MARKS,
    SIZES,
    Mark,
    disc_area,
    edge_of,
    look_of,
    marks_of,
    middles,
    prevalence_axis,
    reliability_title,
)

if TYPE_CHECKING:
    from PIL import Image

    from whatwhere.strategies.graph import StrategyGraph
    from whatwhere.strategies.groups import By

_HEAD, _FOOT, _GAP, _PAD = 44, 28, 40, 14
_AXIS = 38  # left of the second plot, for its numbers
_EDGE = 16  # right of it, for the last of them


def draw_graph(graph: StrategyGraph, *, by: By = "distinctive", width: int = 880) -> Image.Image:
    """Draw photos where they are placed, and the prevalence and reliability of each concept.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    by : {"distinctive", "strongest"}, default "distinctive"
        The rule that colours photos.
    width : int, default 880
        Width in pixels, at least 480; drawn at twice that for sharp text.

    Returns
    -------
    PIL.Image.Image
        An RGB picture on white.
    """
    width = max(width, 480)
    side = (width - _GAP - _AXIS - _EDGE) * 0.42
    wide = width - _GAP - _AXIS - _EDGE - side
    page = blank(width, _HEAD + side + _FOOT)
    pen = Pen(page)
    _scatter(pen, graph, by, (0, _HEAD, wide, side))
    _panel(pen, graph, (wide + _GAP + _AXIS, _HEAD, side, side))
    return page


def _scatter(pen: Pen, graph: StrategyGraph, by: By, place: tuple[float, float, float, float]) -> None:
    left, top, wide, high = place
    pen.write(left, 12, "Why these together", size=14)
    told = {"distinctive": "the concept that sets the photo apart", "strongest": "the strongest concept"}[by]
    pen.write(left, 31, f"near: read for the same reasons · letter: {told}", fill=SOFT)
    pen.box(left, top, wide, high, WASH)
    rows, marks, lettered = graph.by(by).of_image, marks_of(graph), len(graph) <= LETTERED
    size = SIZES[lettered]
    corner = np.array([left, top]) + _PAD + size / 2
    spots = corner + _fitted(graph.positions, wide - 2 * _PAD - size, high - 2 * _PAD - size)
    order = np.argsort(rows == NOBODY, kind="stable")[::-1]  # those without support below
    for n in order.tolist():
        x, y = spots[n]
        _mark(pen, x, y, size, look_of(graph, int(rows[n]))[0], MARKS[marks[n]], edge_of(graph, int(rows[n])))
        if lettered:
            _letter(pen, x, y, graph, int(rows[n]), size)
    for k, n in () if lettered else middles(graph, rows):
        x, y = spots[n]
        pen.disc(x - 9, y - 9, 18, PAPER)
        pen.disc(x - 8, y - 8, 16, look_of(graph, k)[0])
        _letter(pen, x, y, graph, k, 16)
    x = left
    for mark in [MARKS[place] for place in np.unique(marks)]:
        _mark(pen, x + 6, top + high + 15, 10, GREY, mark)
        pen.write(x + 17, top + high + 15, mark.label, fill=SOFT)
        x += 17 + pen.width_of(mark.label) + 18


def _panel(pen: Pen, graph: StrategyGraph, place: tuple[float, float, float, float]) -> None:
    """Prevalence across, reliability up, both with intervals; grey corner: common and often wrong."""
    left, top, wide, high = place
    pen.write(left - _AXIS, 12, "Can it be relied on", size=14)
    pen.write(left - _AXIS, 31, f"{reliability_title(graph)}, against how common the concept is", fill=SOFT)
    groups, known = graph.by("presence"), bool(graph.known.any())
    end, ticks = prevalence_axis(graph)
    if end == 1:
        pen.box(left + wide / 2, top + high / 2, wide / 2, high / 2, WASH)
    for share in (0, 0.25, 0.5, 0.75, 1):
        pen.box(left, top + (1 - share) * high, wide, 1, LINE)
        pen.write(left - 6, top + (1 - share) * high, f"{share:.0%}", fill=SOFT, size=10, anchor="rm")
    for share in ticks.tolist():
        pen.write(left + share / end * wide, top + high + 12, f"{share:.0%}", fill=SOFT, size=10, anchor="mm")
    if not known:
        pen.write(left + wide / 2, top + high / 4, "no labels: reliability is not known", fill=SOFT, anchor="mm")
        return
    for edge in range(0, int(wide), 6):
        pen.box(left + edge, top + (1 - graph.accuracy.value) * high, 2, 1, SOFT)
    worth = np.abs(graph.importance).mean(axis=0)
    shown = [k for k in np.argsort(-worth).tolist() if groups.reliability[k].total]
    for k in shown:
        hue, across, up = hue_of(graph.ids[k]), groups.prevalence[k], groups.reliability[k]
        x, y = left + across.value / end * wide, top + (1 - up.value) * high
        pen.line([(left + across.low / end * wide, y), (left + across.high / end * wide, y)], hue, 1.5)
        pen.line([(x, top + (1 - up.low) * high), (x, top + (1 - up.high) * high)], hue, 1.5)
    for k in shown:
        x = left + groups.prevalence[k].value / end * wide
        y = top + (1 - groups.reliability[k].value) * high
        size = 13 + 11 * disc_area(worth, k) ** 0.5
        pen.disc(x - size / 2 - 1, y - size / 2 - 1, size + 2, PAPER)
        pen.concept(x - size / 2, y - size / 2, letter_of(graph.ids[k]), hue_of(graph.ids[k]), size)


def _letter(pen: Pen, x: float, y: float, graph: StrategyGraph, k: int, size: float) -> None:  # noqa: PLR0917  # likewise
    hue, letter = look_of(graph, k)
    pen.write(x, y, letter, fill=on_colour(hue), size=round(size * 0.6), anchor="mm")


def _mark(  # noqa: PLR0917  # a mark's place and look
    pen: Pen, x: float, y: float, size: float, hue: str, mark: Mark, edge: int = 0
) -> None:
    half, line = size / 2, INK if edge else PAPER
    if mark.symbol == "circle":
        pen.disc(x - half, y - half, size, hue, line)
    else:
        wide = half * 1.25 if mark.symbol == "diamond" else half * 0.9
        corners = [(0, -wide), (wide, 0), (0, wide), (-wide, 0)]
        if mark.symbol == "square":
            corners = [(-wide, -wide), (wide, -wide), (wide, wide), (-wide, wide)]
        pen.shape([(x + right, y + down) for right, down in corners], hue, line)
    if edge > 1 and size < SIZES[True]:
        pen.disc(x - 1, y - 1, 2, INK)


def _fitted(positions: np.ndarray, wide: float, high: float) -> np.ndarray:
    """Place photos in a frame: one scale for both axes, up is up."""
    low, high_ends = positions.min(axis=0), positions.max(axis=0)
    span = high_ends - low
    room = np.array([wide, high])
    scale = float(np.min(np.divide(room, span, out=np.full(2, np.inf), where=span > 0)))
    centred = (positions - (low + high_ends) / 2) * (scale if np.isfinite(scale) else 1.0)
    return centred * [1, -1] + room / 2
