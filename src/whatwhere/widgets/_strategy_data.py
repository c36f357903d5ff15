"""A strategy graph on its way to the browser: a few bytes a photo, and the two logits of some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from whatwhere.widgets._sprites import draw_sprite
from whatwhere.widgets._view import WIRE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.strategies.graph import StrategyGraph
    from whatwhere.widgets._strategy_photos import PhotoSource

_TOLD = WIRE["strategies"]
_LEVELS, _TOP = 65535, int(_TOLD["top"])
_UNKNOWN = 65535  # of a class: nobody said what a photo is
_BYTE = 255  # concepts from which a number of one takes two bytes; it stands for none
_KINDS = ("true", "next")


class Budget(NamedTuple):
    """How much the state may hold.

    Attributes
    ----------
    sums : int
        Bytes of the two logits of photos.
    tiles, side, quality : int
        Thumbnails, at most, their side in pixels, and the quality of their JPEG.
    sprite : int
        Bytes of all thumbnails.
    crops : int
        Bytes of all crops.
    crop_sizes : sequence of (int, int)
        How many crops a concept has, at most, and their side in pixels: the first with which all fit.
    """

    sums: int
    tiles: int
    side: int
    quality: int
    sprite: int
    crops: int
    crop_sizes: tuple[tuple[int, int], ...]


#: What is saved with a notebook.
NOTEBOOK = Budget(36_000, 64, 48, 60, 60_000, 30_000, ((4, 64), (4, 56), (4, 48), (3, 48), (2, 48), (1, 48), (1, 32)))
#: What an exported page holds.
PAGE = Budget(1_000_000, 1024, 64, 72, 1_600_000, 400_000, ((4, 96), (4, 64), (2, 64), (1, 64), (1, 48)))


def encode_points(graph: StrategyGraph) -> dict[str, Any]:
    """Write every photo's place, concepts, mark and classes.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.

    Returns
    -------
    dict
        ``_points`` and ``_classes`` on the wire. Places are uint16 of their box, finer than a screen's pixels.
    """
    from whatwhere.strategies.marks import marks_of

    small = np.uint8 if graph.rank < _BYTE else np.dtype("<u2")
    low, high = graph.positions.min(axis=0), graph.positions.max(axis=0)
    span = np.where(high > low, high - low, 1)
    classes, (said, truth) = _class_table(graph)
    top = np.argsort(-np.abs(graph.shares), axis=1, kind="stable")[:, :_TOP]
    shares = np.take_along_axis(graph.shares, top, axis=1)
    points = {
        "count": len(graph),
        "box": [float(k) for k in (*low, *high)],
        "xy": np.rint((graph.positions - low) / span * _LEVELS).astype("<u2").tobytes(),
        "strongest": _rows(graph.by("strongest").of_image, small),
        "distinctive": _rows(graph.by("distinctive").of_image, small),
        "marks": marks_of(graph).astype(np.uint8).tobytes(),
        "present": np.packbits(graph.by("presence").members, axis=1, bitorder="little").tobytes(),
        "top": top.astype(small).tobytes(),
        "shares": np.rint(100 * shares).astype(np.int8).tobytes(),
        "said": said.astype("<u2").tobytes(),
        "truth": truth.astype("<u2").tobytes(),
        "p": np.rint(100 * graph.probabilities).astype(np.uint8).tobytes(),
        "names": "\0".join(graph.images).encode("utf-8"),
    }
    return {"_points": points, "_classes": [graph.class_label(c) for c in classes]}


def _rows(of_image: NDArray[np.int64], small: Any) -> bytes:
    """Write a concept a photo; the largest number stands for none."""
    return np.where(of_image < 0, np.iinfo(small).max, of_image).astype(small).tobytes()


def _class_table(graph: StrategyGraph) -> tuple[list[int], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the classes that occur, and each photo's predicted and true one as places among them."""
    known = graph.labels[graph.known]
    own = [graph.predictions, known, graph.explained.classes]
    own += [] if graph.other is None else [graph.other.classes]
    classes = np.unique(np.concatenate(own))
    truth = np.where(graph.known, np.searchsorted(classes, graph.labels), _UNKNOWN)
    return classes.tolist(), (np.searchsorted(classes, graph.predictions), truth)


def order_of(graph: StrategyGraph, first: Iterable[int]) -> list[int]:
    """Put photos in the order in which they are worth their bytes: those looked at, the misread, some of all.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    first : iterable of int
        Rows of those that come first.

    Returns
    -------
    list of int
        All rows.
    """
    misread = graph.select(correct=False)
    misread = misread[np.argsort(-graph.probabilities[misread], kind="stable")]
    rest = np.random.default_rng(0).permutation(len(graph))
    return list(dict.fromkeys([*first, *misread.tolist(), *rest.tolist()]))


def encode_sums(graph: StrategyGraph, order: Sequence[int], budget: Budget) -> dict[str, Any]:
    """Write what adds up to the two logits of photos, as far as there is room.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    order : sequence of int
        Rows, those first that are wanted most; the first is always held.
    budget : Budget
        How much there is room for.

    Returns
    -------
    dict
        ``_sums`` on the wire: rows of (photo, first class, second class, kind), and float32 of shape (rows, 2, r + 4):
        contributions, residual, base, gap and logit. Nothing for a network of a single logit.
    """
    if graph.other is None:
        return {"rows": [], "values": b""}
    each = 2 * (graph.rank + 4) * 4
    held = list(order[: max(1, budget.sums // each)])
    classes, _ = _class_table(graph)
    place = {c: k for k, c in enumerate(classes)}
    rows, parts = [], []
    for n in held:
        told = graph.compare(n)
        rows.append([n, *(place[c] for c in told.classes), _KINDS.index(told.kind)])
        rest = np.stack([told.residuals, told.bases, told.gaps, told.logits], axis=1)
        parts.append(np.concatenate([told.contributions, rest], axis=1))
    return {"rows": rows, "values": np.stack(parts).astype("<f4").tobytes()}


def encode_sprite(photos: PhotoSource, order: Sequence[int], budget: Budget) -> dict[str, Any]:
    """Draw the thumbnails that are held, in one picture.

    Parameters
    ----------
    photos : PhotoSource
        The photos.
    order : sequence of int
        Rows, those first that are wanted most.
    budget : Budget
        How much there is room for.

    Returns
    -------
    dict
        ``_sprite`` on the wire: a JPEG, the side and number of columns of its tiles, and the rows that they show.
    """
    held = [n for n in order[: budget.tiles] if photos.at_hand(n)]
    while held:
        pictures = [np.asarray(photos.small(n)) for n in held]
        data, columns = draw_sprite(pictures, budget.side, quality=budget.quality)
        if len(data) <= budget.sprite:
            return {"data": data, "side": budget.side, "columns": columns, "rows": held}
        held = held[: int(len(held) * 0.9 * budget.sprite / len(data))]
    return {"data": b"", "side": budget.side, "columns": 1, "rows": []}


def encode_crops(graph: StrategyGraph, bank: ConceptBank | None, budget: Budget) -> dict[str, Any]:
    """Draw the bank's own crops, those that show each concept most, in one picture.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    bank : ConceptBank or None
        Its concepts. Without them there are no crops.
    budget : Budget
        How much there is room for.

    Returns
    -------
    dict
        ``_crops`` on the wire: a JPEG, the side and number of columns of its tiles, and for each concept of the graph
        the photos that its crops are from, in the order of the tiles. Where there is too little room for all concepts,
        those of the least importance have none.
    """
    if bank is None or not bank.crops:
        return {"data": b"", "side": 1, "columns": 1, "images": []}
    rows = [bank.crops[bank.number_of(key)] for key in graph.ids]
    left = np.argsort(-np.abs(graph.importance).mean(axis=0), kind="stable").tolist()
    sizes = iter(budget.crop_sizes)
    count, side = next(sizes)
    while True:
        held = [[crop for crop in row[:count] if crop is not None] if k in left else [] for k, row in enumerate(rows)]
        pictures = [crop.picture for row in held for crop in row]
        data, columns = draw_sprite(pictures, side, quality=budget.quality)
        if len(data) <= budget.crops:
            break
        smaller = next(sizes, None)
        if smaller is None:
            left = left[: int(len(left) * 0.9 * budget.crops / len(data))]
        else:
            count, side = smaller
    images = [[bank.images[crop.image] for crop in row] for row in held]
    return {"data": data, "side": side, "columns": columns, "images": images}
