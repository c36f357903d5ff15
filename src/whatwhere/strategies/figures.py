"""Graphs as figures for papers and slides: by Plotly, and on Matplotlib's axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from whatwhere.concepts.palette import GREY, hue_of, letter_of
from whatwhere.concepts.pen import INK, LINE, PAPER, SOFT, WASH, on_colour
from whatwhere.strategies.groups import NOBODY
from whatwhere.strategies.marks import (
    LETTERED,
    MARKS,
    SIZES,
    disc_area,
    edge_of,
    look_of,
    marks_of,
    middles,
    prevalence_axis,
    reliability_title,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.strategies.graph import StrategyGraph
    from whatwhere.strategies.groups import By
    from whatwhere.strategies.marks import Mark

Panel: TypeAlias = Literal["strategies", "reliability"]
_GL = 2000  # photos from which Plotly draws on WebGL
_TITLES = ("Why these together", "Can it be relied on")


def to_plotly(graph: StrategyGraph, *, by: By = "distinctive") -> Any:
    """Make a Plotly figure: photos by reason, and prevalence against reliability.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    by : {"distinctive", "strongest"}, default "distinctive"
        The rule that colours photos.

    Returns
    -------
    plotly.graph_objects.Figure
        Two panels, 1000 x 500.

    Raises
    ------
    ImportError
        If Plotly is not installed.
    """
    try:
        from plotly import graph_objects
        from plotly.subplots import make_subplots
    except ImportError as error:
        raise ImportError("to_plotly needs Plotly: pip install plotly.") from error
    figure = make_subplots(1, 2, column_widths=[0.58, 0.42], horizontal_spacing=0.1, subplot_titles=_TITLES)
    kind = graph_objects.Scattergl if len(graph) > _GL else graph_objects.Scatter
    for trace in _photo_traces(graph, by):
        figure.add_trace(kind(**trace), 1, 1)
    for k, n in () if len(graph) <= LETTERED else middles(graph, graph.by(by).of_image):
        hue, letter = look_of(graph, k)
        spot = {"x": float(graph.positions[n, 0]), "y": float(graph.positions[n, 1]), "row": 1, "col": 1}
        font = {"color": on_colour(hue), "size": 10}
        figure.add_annotation(**spot, text=letter, font=font, bgcolor=hue, bordercolor=PAPER, showarrow=False)
    for trace in _concept_traces(graph):
        figure.add_trace(graph_objects.Scatter(**trace), 1, 2)
    hidden = {"showticklabels": False, "showgrid": False, "zeroline": False, "ticks": ""}
    figure.update_xaxes(hidden, row=1, col=1)
    figure.update_yaxes(hidden | {"scaleanchor": "x", "scaleratio": 1}, row=1, col=1)
    share, (end, ticks) = {"tickformat": ".0%", "gridcolor": LINE, "zeroline": False}, prevalence_axis(graph)
    across = {"title": "Prevalence: photos with the concept", "range": [0, 1.03 * end], "tickvals": ticks.tolist()}
    up = {"title": reliability_title(graph), "range": [-0.02, 1.05], "tickvals": [0, 0.25, 0.5, 0.75, 1]}
    figure.update_xaxes(share | across, row=1, col=2)
    figure.update_yaxes(share | up, row=1, col=2)
    if graph.known.any():
        figure.add_hline(graph.accuracy.value, line={"dash": "dot", "color": SOFT, "width": 1}, row=1, col=2)
    figure.update_layout(
        template="none",
        width=1000,
        height=500,
        margin={"l": 16, "r": 16, "t": 44, "b": 104},
        font={"color": INK, "size": 12},
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        legend={"orientation": "h", "y": -0.17, "x": 0, "yanchor": "top"},
    )
    figure.add_shape(
        type="rect",
        x0=0,
        x1=1,
        y0=0,
        y1=1,
        xref="x domain",
        yref="y domain",
        fillcolor=WASH,
        line_width=0,
        layer="below",
    )
    return figure


def _photo_traces(graph: StrategyGraph, by: By) -> list[dict[str, Any]]:
    """One trace a concept and shape; the legend says the concept once, and the shapes in grey."""
    rows, lettered = graph.by(by).of_image, len(graph) <= LETTERED
    marks = marks_of(graph)
    traces: list[dict[str, Any]] = []
    for k in sorted(set(rows.tolist()), key=lambda row: (row == NOBODY, row)):
        label = "no supporting concept" if k == NOBODY else graph.concept_label(k)
        hue, letter = look_of(graph, k)
        own = np.flatnonzero(rows == k)
        own = own[np.argsort(marks[own], kind="stable")]  # the legend shows the first
        edge = edge_of(graph, k)
        symbols = [f"{MARKS[marks[n]].symbol}{'-dot' * (edge > 1 and not lettered)}" for n in own.tolist()]
        traces.append(
            {
                "x": graph.positions[own, 0],
                "y": graph.positions[own, 1],
                "mode": "markers+text" if lettered else "markers",
                "text": [letter] * len(own) if lettered else None,
                "textfont": {"size": 9, "color": on_colour(hue)},
                "marker": {
                    "symbol": symbols, "color": hue, "size": SIZES[lettered],
                    "line": {"color": INK if edge else PAPER, "width": 1},
                },
                "customdata": [_hover(graph, n, k) for n in own.tolist()],
                "hovertemplate": "%{customdata}<extra></extra>",
                "name": label,
                "legendgroup": label,
            }
        )  # fmt: skip
    return [*traces, *_shape_keys([MARKS[place] for place in np.unique(marks)])]


def _shape_keys(used: list[Mark]) -> list[dict[str, Any]]:
    nothing: dict[str, Any] = {"x": [None], "y": [None], "mode": "markers"}
    return [
        nothing | {"name": mark.label, "marker": {"symbol": mark.symbol, "color": GREY, "size": 10}}
        for mark in used
        if len(used) > 1
    ]


def _hover(graph: StrategyGraph, n: int, k: int) -> str:
    said = graph.class_label(int(graph.predictions[n]))
    truth = graph.class_label(int(graph.labels[n]))
    share = "" if k == NOBODY else f"<br>{graph.concept_label(k)}: {graph.shares[n, k]:.0%} of the evidence"
    return f"{graph.images[n]}<br>read as {said}, is {truth}{share}"


def _concept_traces(graph: StrategyGraph) -> list[dict[str, Any]]:
    groups, worth = graph.by("presence"), np.abs(graph.importance).mean(axis=0)
    traces = []
    for k in np.argsort(-worth).tolist():
        across, up, hue = groups.prevalence[k], groups.reliability[k], hue_of(graph.ids[k])
        if not up.total:
            continue
        label = graph.concept_label(k)
        traces.append(
            {
                "x": [across.value],
                "y": [up.value],
                "error_x": _error(across, hue),
                "error_y": _error(up, hue),
                "mode": "markers+text",
                "text": [letter_of(graph.ids[k])],
                "textfont": {"size": 10, "color": on_colour(hue)},
                "marker": {"color": hue, "size": _disc(worth, k), "line": {"color": PAPER, "width": 1.5}},
                "customdata": [f"{label}<br>in {across}<br>right: {up}"],
                "hovertemplate": "%{customdata}<extra></extra>",
                "name": label,
                "showlegend": False,
            }
        )  # fmt: skip
    return traces


def _disc(worth: NDArray[np.floating], k: int) -> float:
    return 16 + 20 * disc_area(worth, k) ** 0.5


def _error(rate: Any, hue: str) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "array": [rate.high - rate.value], "arrayminus": [rate.value - rate.low],
        "color": hue, "thickness": 1.2, "width": 0,
    }  # fmt: skip


def plot(graph: StrategyGraph, *, ax: Any = None, panel: Panel = "strategies", by: By = "distinctive") -> Any:
    """Draw on Matplotlib's axes.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    ax : matplotlib.axes.Axes, optional
        Where to; the current axes by default.
    panel : {"strategies", "reliability"}, default "strategies"
        Photos by reason, or prevalence against reliability.
    by : {"distinctive", "strongest"}, default "distinctive"
        The rule that colours photos.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    ImportError
        If there are no axes and Matplotlib is not installed.
    ValueError
        If there is no such panel.
    """
    if panel not in ("strategies", "reliability"):
        raise ValueError(f"panel: wanted 'strategies' or 'reliability', got {panel!r}.")
    if ax is None:
        try:
            from matplotlib import pyplot as plt
        except ImportError as error:
            raise ImportError("plot needs Matplotlib: pip install matplotlib; picture() does without.") from error
        ax = plt.gca()
    if panel == "strategies":
        _plot_photos(graph, ax, by)
    else:
        _plot_concepts(graph, ax)
    return ax


def _plot_photos(graph: StrategyGraph, ax: Any, by: By) -> None:
    rows = graph.by(by).of_image
    marks = marks_of(graph)
    lettered = len(graph) <= LETTERED
    for k in sorted(set(rows.tolist()), key=lambda row: (row == NOBODY, row)):
        hue, letter = look_of(graph, k)
        label: str | None = "no supporting concept" if k == NOBODY else graph.concept_label(k)
        for which, mark in enumerate(MARKS):
            own = graph.positions[(rows == k) & (marks == which)]
            if not len(own):
                continue
            ax.scatter(
                own[:, 0], own[:, 1], c=hue, marker=mark.marker, s=90 if lettered else 16, linewidths=0.6,
                edgecolors=INK if edge_of(graph, k) else PAPER, label=label,
            )  # fmt: skip
            label = None
            for x, y in own if lettered else ():
                ax.annotate(letter, (x, y), ha="center", va="center", fontsize=6, color=on_colour(hue))
    for k, n in () if lettered else middles(graph, rows):
        hue, letter = look_of(graph, k)
        box = {"boxstyle": "circle", "facecolor": hue, "edgecolor": PAPER}
        spot = tuple(graph.positions[n])
        ax.annotate(letter, spot, ha="center", va="center", fontsize=7, color=on_colour(hue), bbox=box)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_title(_TITLES[0], loc="left")


def _plot_concepts(graph: StrategyGraph, ax: Any) -> None:
    groups, worth = graph.by("presence"), np.abs(graph.importance).mean(axis=0)
    for k in np.argsort(-worth).tolist():
        across, up, hue = groups.prevalence[k], groups.reliability[k], hue_of(graph.ids[k])
        if not up.total:
            continue
        away = [
            [[across.value - across.low], [across.high - across.value]],
            [[up.value - up.low], [up.high - up.value]],
        ]
        ax.errorbar(across.value, up.value, xerr=away[0], yerr=away[1], fmt="none", ecolor=hue, elinewidth=1)
        size = _disc(worth, k) ** 2 / 2
        ax.scatter([across.value], [up.value], c=hue, s=size, edgecolors=PAPER, zorder=3, label=graph.concept_label(k))
        spot = (across.value, up.value)
        ax.annotate(letter_of(graph.ids[k]), spot, ha="center", va="center", fontsize=7, color=on_colour(hue), zorder=4)
    if graph.known.any():
        ax.axhline(graph.accuracy.value, color=SOFT, linestyle=":", linewidth=0.8)
    ax.set_xlim(0, 1.03 * prevalence_axis(graph)[0])
    ax.set_ylim(-0.02, 1.05)
    ax.set_xlabel("Prevalence: photos with the concept")
    ax.set_ylabel(reliability_title(graph))
    ax.set_title(_TITLES[1], loc="left")
