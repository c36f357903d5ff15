"""What pictures, figures and tables of a graph agree upon: shapes, sizes and words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whatwhere.concepts.palette import GREY, hue_of, letter_of, texture_of
from whatwhere.strategies.groups import NOBODY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.strategies.graph import StrategyGraph


#: Photos whose marks have room for letters.
LETTERED = 250
#: Of a mark with and without its letter, in pixels.
SIZES = {True: 15, False: 8}
_ENDS = (0.25, 0.5, 1.0)
#: Written on photos that no concept supports.
NO_LETTER = "-"


@dataclass(frozen=True)
class Mark:
    """A photo's shape.

    Parameters
    ----------
    label : str
        What it says.
    symbol : {"circle", "diamond", "square"}
        Plotly's name of it.
    marker : {"o", "D", "s"}
        Matplotlib's.
    """

    label: str
    symbol: str
    marker: str


RIGHT, WRONG, OPEN = Mark("right", "circle", "o"), Mark("wrong", "diamond", "D"), Mark("not known", "square", "s")
MARKS = (RIGHT, WRONG, OPEN)


def marks_of(graph: StrategyGraph) -> NDArray[np.int64]:
    """Choose every photo's shape.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.

    Returns
    -------
    ndarray of shape (n,), int64
        Place in `MARKS`: right, wrong, or not known.
    """
    known = np.where(graph.right, MARKS.index(RIGHT), MARKS.index(WRONG))
    return np.where(graph.known, known, MARKS.index(OPEN))


def reliability_title(graph: StrategyGraph) -> str:
    """Say what reliability is a share of.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.

    Returns
    -------
    str
        For an axis.
    """
    if graph.target is None:
        return "Share read as what they are"
    if graph.method.population == "labelled":
        return f"Share read as {graph.target_name}"
    return f"Share that are {graph.target_name}"


def disc_area(worth: NDArray[np.floating], k: int) -> float:
    """Give a concept's disc an area that goes with what it adds and takes.

    Parameters
    ----------
    worth : ndarray of shape (r,)
        Mean absolute contributions.
    k : int
        Which concept.

    Returns
    -------
    float
        0 to 1, 1 for the largest.
    """
    top = float(worth.max())
    return float(worth[k]) / top if top > 0 else 0.0


def look_of(graph: StrategyGraph, k: int) -> tuple[str, str]:
    """Choose hue and letter of a concept.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    k : int
        Its row, or `NOBODY`.

    Returns
    -------
    hue, letter : str
        Grey and a dash where no concept supports a photo.
    """
    return (GREY, NO_LETTER) if k == NOBODY else (hue_of(graph.ids[k]), letter_of(graph.ids[k]))


def edge_of(graph: StrategyGraph, k: int) -> int:
    """Choose how a concept's small marks are edged, since hues come back.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    k : int
        Its row, or `NOBODY`.

    Returns
    -------
    int
        0: white. 1: ink. 2: ink, and a dot in the middle.
    """
    return 0 if k == NOBODY else texture_of(graph.ids[k])


def prevalence_axis(graph: StrategyGraph) -> tuple[float, NDArray[np.float64]]:
    """Choose where the axis of prevalence ends, so that rare concepts are told apart.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.

    Returns
    -------
    end : float
        0.25, 0.5 or 1.
    ticks : ndarray of float64
        Where its numbers stand.
    """
    top = float(graph.prevalence.high.max())
    end = next(end for end in _ENDS if top <= end)
    return end, np.linspace(0, end, 5 if end == 1 else 6)


def middles(graph: StrategyGraph, rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Choose a photo in the middle of each group, for its letter.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    rows : ndarray of shape (n,), int64
        Concept of each photo.

    Returns
    -------
    list of (int, int)
        Row of the concept, or `NOBODY`, and of the photo that is nearest to the median of its group.
    """
    found = []
    for k in np.unique(rows).tolist():
        own = np.flatnonzero(rows == k)
        away = np.abs(graph.positions[own] - np.median(graph.positions[own], axis=0)).sum(axis=1)
        found.append((k, int(own[away.argmin()])))
    return found
