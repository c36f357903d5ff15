"""Atlases as tables and as a figure: classes, and the concepts that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from whatwhere.atlas.finding import Finding
from whatwhere.concepts.palette import letter_of

if TYPE_CHECKING:
    from whatwhere.atlas.similar import Link

Rows: TypeAlias = Literal["classes", "similar"]
ROWS = ("classes", "similar")
_MOST = 1_000_000  # pairs
_WIDEST, _THINNEST = 8.0, 1.0  # lines, in pixels
_UPRIGHT = 0.1  # of the radius, from the middle
_LINE, _DISC = "#8A8984", "#0072B2"


class Tables(Finding):
    """What lays an atlas out."""

    def table(self, rows: Rows = "classes", *, threshold: float = 0.05) -> dict[str, list[Any]]:
        """Lay the atlas out in columns, without opening a page.

        Parameters
        ----------
        rows : {"classes", "similar"}, default "classes"
            What a row is: a class, or a pair of concepts that are alike.
        threshold : float, default 0.05
            Largest q of such a pair.

        Returns
        -------
        dict of str to list
            Columns of equal length, of plain Python values.

        Raises
        ------
        ValueError
            If there are no such rows, or `threshold` is out of its range.
        """
        if rows not in ROWS:
            raise ValueError(f"rows: wanted one of {list(ROWS)}, got {rows!r}.")
        return _classes(self, threshold) if rows == "classes" else _similar(self, threshold)

    def to_pandas(self, rows: Rows = "classes", *, threshold: float = 0.05) -> Any:
        """Lay the atlas out as a pandas table.

        Parameters
        ----------
        rows : {"classes", "similar"}, default "classes"
            What a row is.
        threshold : float, default 0.05
            Largest q of a pair of concepts.

        Returns
        -------
        pandas.DataFrame
            Of classes with their ids as its index.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns = self.table(rows, threshold=threshold)
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install pandas; table() gives plain columns.") from error
        frame = pd.DataFrame(columns)
        return frame.set_index("id") if rows == "classes" else frame

    def to_plotly(self, *, threshold: float = 0.05) -> Any:
        """Make a Plotly figure of the classes that share concepts.

        Parameters
        ----------
        threshold : float, default 0.05
            Largest q of a shared concept.

        Returns
        -------
        plotly.graph_objects.Figure
            Classes on a circle, in an order that has those that share beside each other; lines are as wide as the
            number of shared concepts, and say them.

        Raises
        ------
        ImportError
            If Plotly is not installed.
        """
        try:
            from plotly import graph_objects
        except ImportError as error:
            raise ImportError("to_plotly needs Plotly: pip install plotly.") from error
        return _draw(self, graph_objects, self.links(threshold=threshold), threshold)


def _draw(atlas: Finding, graph_objects: Any, links: list[Link], threshold: float) -> Any:
    """Place classes on a circle, and draw what joins them."""
    order = _circle(atlas.classes, links)
    angles = np.pi / 2 - 2 * np.pi * np.arange(len(order)) / max(len(order), 1)
    spots = {c: (float(np.cos(a)), float(np.sin(a))) for c, a in zip(order, angles, strict=True)}
    figure = graph_objects.Figure()
    for link in links:
        (x0, y0), (x1, y1) = spots[link.here], spots[link.there]
        wide = min(_WIDEST, _THINNEST + len(link.shared))
        line = {"color": _LINE, "width": wide}
        xs, ys = ([a, (a + b) / 2, b] for a, b in ((x0, x1), (y0, y1)))
        said = _said(atlas, link)
        trace = {"x": xs, "y": ys, "mode": "lines", "line": line, "hovertext": [said] * 3, "hoverinfo": "text"}
        figure.add_trace(graph_objects.Scatter(**trace, showlegend=False))
    names = [atlas.names[c] for c in order]
    told = [f"{atlas.names[c]} ({c}): {atlas.counts[c]} photos" for c in order]
    places = [_beside(*spots[c]) for c in order]
    dots: dict[str, Any] = {
        "x": [spots[c][0] for c in order],
        "y": [spots[c][1] for c in order],
        "mode": "markers+text",
    }
    dots |= {"marker": {"color": _DISC, "size": 12}, "text": names, "textposition": places, "cliponaxis": False}
    figure.add_trace(graph_objects.Scatter(**dots, hovertext=told, hoverinfo="text", showlegend=False))
    hidden: dict[str, Any] = {"visible": False, "range": [-1.6, 1.6]}
    figure.update_xaxes(hidden)
    figure.update_yaxes(hidden | {"range": [-1.15, 1.15], "scaleanchor": "x", "scaleratio": 1})
    title = f"Classes that share concepts (q at most {threshold:g})"
    figure.update_layout(title=title, template="plotly_white", width=820, height=640, margin={"l": 20, "r": 20})
    return figure


def _classes(atlas: Finding, threshold: float) -> dict[str, list[Any]]:
    links = atlas.links(threshold=threshold)
    near: dict[int, list[int]] = {c: [] for c in atlas.classes}
    for link in links:  # the highest z first
        near[link.here].append(link.there)
        near[link.there].append(link.here)
    return {
        "id": list(atlas.classes),
        "class": [atlas.names[c] for c in atlas.classes],
        "photos": [atlas.counts[c] for c in atlas.classes],
        "shares_with": [[atlas.names[d] for d in near[c]] for c in atlas.classes],
    }


def _similar(atlas: Finding, threshold: float) -> dict[str, list[Any]]:
    found = atlas.similar(most=_MOST, threshold=threshold)
    sides = {"here": [one.here for one in found], "there": [one.there for one in found]}
    columns: dict[str, list[Any]] = {}
    for side, keys in sides.items():
        columns[f"{side}_id"] = [c for c, _ in keys]
        columns[f"{side}_class"] = [atlas.names[c] for c, _ in keys]
        columns[f"{side}_concept"] = [letter_of(k) for _, k in keys]
    return columns | {name: [getattr(one, name) for one in found] for name in ("cosine", "z", "q", "mutual")}


def _beside(x: float, y: float) -> str:
    """Place a name outside the circle."""
    if abs(x) < _UPRIGHT:
        return "top center" if y > 0 else "bottom center"
    return "middle right" if x > 0 else "middle left"


def _said(atlas: Finding, link: Link) -> str:
    pairs = ", ".join(f"{letter_of(i)} and {letter_of(j)}" for i, j in link.shared)
    return f"{atlas.names[link.here]} and {atlas.names[link.there]}: {pairs}; z up to {link.z:.1f}"


def _circle(classes: tuple[int, ...], links: list[Link]) -> list[int]:
    """Order classes so that those that are joined follow each other: along the links, the strongest first."""
    near: dict[int, list[int]] = {c: [] for c in classes}
    for link in links:
        near[link.here].append(link.there)
        near[link.there].append(link.here)
    order: list[int] = []
    for first in sorted(classes, key=lambda c: (-len(near[c]), c)):
        waiting = [first]
        while waiting:
            c = waiting.pop()
            if c not in order:
                order.append(c)
                waiting += [d for d in reversed(near[c]) if d not in order]
    return order
