"""Graphs as tables: a row a concept, or a row a photo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from whatwhere.concepts.palette import letter_of
from whatwhere.strategies.groups import NOBODY

if TYPE_CHECKING:
    from whatwhere.strategies.graph import StrategyGraph
    from whatwhere.strategies.groups import By

Rows: TypeAlias = Literal["concepts", "images"]
ROWS = ("concepts", "images")


def table(graph: StrategyGraph, rows: Rows = "concepts", *, by: By = "presence") -> dict[str, list[Any]]:
    """Lay a graph out in columns.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    rows : {"concepts", "images"}, default "concepts"
        What a row is.
    by : {"presence", "strongest", "distinctive"}, default "presence"
        The rule for prevalence and reliability of concepts.

    Returns
    -------
    dict of str to list
        Columns of equal length, of plain Python values; None where something is not known.

    Raises
    ------
    ValueError
        If there are no such rows or rule.
    """
    if rows not in ROWS:
        raise ValueError(f"rows: wanted one of {list(ROWS)}, got {rows!r}.")
    return _concepts(graph, by) if rows == "concepts" else _images(graph)


def to_pandas(graph: StrategyGraph, rows: Rows = "concepts", *, by: By = "presence") -> Any:
    """Lay a graph out as a pandas table.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    rows : {"concepts", "images"}, default "concepts"
        What a row is.
    by : {"presence", "strongest", "distinctive"}, default "presence"
        The rule for prevalence and reliability of concepts.

    Returns
    -------
    pandas.DataFrame
        Its index are the concepts' letters, or the photos' names.

    Raises
    ------
    ImportError
        If pandas is not installed.
    ValueError
        If there are no such rows or rule.
    """
    columns = table(graph, rows, by=by)
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("to_pandas needs pandas: pip install pandas; table() gives plain columns.") from error
    return pd.DataFrame(columns).set_index("concept" if rows == "concepts" else "image")


def _concepts(graph: StrategyGraph, by: By) -> dict[str, list[Any]]:
    groups, flags = graph.by(by), graph.shortcuts()
    mean, share = graph.importance.mean(axis=0, dtype=np.float64), graph.shares.mean(axis=0)
    return {
        "concept": [letter_of(key) for key in graph.ids],
        "id": list(graph.ids),
        "name": [graph.concept_names.get(key) for key in graph.ids],
        "contribution": mean.tolist(),
        "share": share.tolist(),
        "prevalence": np.asarray(groups.prevalence).tolist(),
        "prevalence_low": groups.prevalence.low.tolist(),
        "prevalence_high": groups.prevalence.high.tolist(),
        "photos": groups.prevalence.counts.tolist(),
        "reliability": [rate.value if rate.total else None for rate in groups.reliability],
        "reliability_low": groups.reliability.low.tolist(),
        "reliability_high": groups.reliability.high.tolist(),
        "right": groups.reliability.counts.tolist(),
        "known": groups.reliability.totals.tolist(),
        "drop_when_muted": [flag.drop[0] if flag.prevalence.count else None for flag in flags],
        "flips_when_muted": [flag.flips.value if flag.flips.total else None for flag in flags],
        "verdict": [flag.verdict for flag in flags],
    }


def _images(graph: StrategyGraph) -> dict[str, list[Any]]:
    judged = zip(graph.right.tolist(), graph.known.tolist(), strict=True)
    columns: dict[str, list[Any]] = {
        "image": list(graph.images),
        "predicted": [graph.class_label(c) for c in graph.predictions.tolist()],
        "label": [graph.class_label(c) for c in graph.labels.tolist()],
        "right": [right if known else None for right, known in judged],
        "explained": [graph.class_label(c) for c in graph.explained.classes.tolist()],
        "logit": graph.explained.logits.tolist(),
        "probability": graph.probabilities.tolist(),
        "x": graph.positions[:, 0].tolist(),
        "y": graph.positions[:, 1].tolist(),
    }  # fmt: skip
    for rule in ("strongest", "distinctive"):
        rows = graph.by(rule).of_image.tolist()
        columns[rule] = [None if k == NOBODY else letter_of(graph.ids[k]) for k in rows]
    columns |= {letter_of(key): graph.importance[:, k].tolist() for k, key in enumerate(graph.ids)}
    columns["no concept"] = graph.explained.residuals.tolist()
    columns["bias"] = graph.explained.bases.tolist()
    return columns
