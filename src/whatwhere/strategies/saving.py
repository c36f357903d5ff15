"""Graphs in files; see `whatwhere.recording`."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.classes import ClassNames
from whatwhere.provenance import Provenance
from whatwhere.recording import broken, read_record, write_record
from whatwhere.strategies.graph import StrategyGraph
from whatwhere.strategies.layout import Layout
from whatwhere.strategies.ledger import ARRAYS, Ledger
from whatwhere.strategies.muting import Muting
from whatwhere.strategies.strategies import Strategies

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_RECORD, _VERSION = "StrategyGraph", 1
_OWN = ("predictions", "labels", "probabilities", "positions")
_PLAIN = ("images", "ids", "bank", "target", "layer", "affine", "left_out", "n_forwards", "complete")
_TUPLES = ("images", "ids", "left_out")


def save(graph: StrategyGraph, path: str | Path, *, thumbnails: bool = True) -> None:
    """Write a graph to a file, all or nothing.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    path : path
        Where to.
    thumbnails : bool, default True
        Whether small pictures go with it.
    """
    write_record(path, _RECORD, _VERSION, *as_parts(graph, thumbnails=thumbnails))


def as_parts(graph: StrategyGraph, *, thumbnails: bool = True) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Take a graph apart.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    thumbnails : bool, default True
        Whether small pictures go with it.

    Returns
    -------
    told : dict of str to object
        What JSON can say of it.
    arrays : dict of str to ndarray
        The rest.
    """
    arrays: dict[str, NDArray[Any]] = {name: getattr(graph, name) for name in _OWN}
    arrays |= {"muting.drops": graph.muting.drops, "muting.becomes": graph.muting.becomes}
    for name in ("explained", "other"):
        if (ledger := getattr(graph, name)) is not None:
            arrays |= {f"{name}.{column}": getattr(ledger, column) for column in ARRAYS}
    if thumbnails and graph.thumbnails:
        arrays["thumbnails"] = np.frombuffer(b"".join(graph.thumbnails), dtype=np.uint8)
        arrays["thumbnails.ends"] = np.cumsum([len(picture) for picture in graph.thumbnails])
    told: dict[str, Any] = {name: getattr(graph, name) for name in _PLAIN}
    told |= {"layout": asdict(graph.layout), "provenance": asdict(graph.provenance)}
    told["method"] = {option.name: getattr(graph.method, option.name) for option in fields(graph.method)}
    told["concept_names"] = {str(key): name for key, name in graph.concept_names.items()}
    told["class_names"] = list(graph.class_names)
    return told, arrays


def load(path: str | Path) -> StrategyGraph:
    """Read a graph from a file.

    Parameters
    ----------
    path : path
        A file that `save` has written.

    Returns
    -------
    StrategyGraph
        The same graph.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is of another kind, broken, or from a newer version.
    """
    told, arrays = read_record(path, _RECORD, _VERSION)
    try:
        return from_parts(told, arrays)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise broken(path, _RECORD, error) from error


def from_parts(told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> StrategyGraph:
    """Put a graph together.

    Parameters
    ----------
    told : mapping of str to object
        What `as_parts` has told.
    arrays : mapping of str to ndarray
        The rest.

    Returns
    -------
    StrategyGraph
        The same graph.
    """
    plain: dict[str, Any] = {name: told[name] for name in _PLAIN} | {name: arrays[name] for name in _OWN}
    plain |= {name: tuple(told[name]) for name in _TUPLES}
    return StrategyGraph(
        **plain,
        explained=_ledger(arrays, "explained"),
        other=_ledger(arrays, "other") if "other.logits" in arrays else None,
        muting=Muting(arrays["muting.drops"], arrays["muting.becomes"]),
        layout=Layout(**told["layout"]),
        method=Strategies(**told["method"]),
        provenance=Provenance(**told["provenance"]),
        concept_names={int(key): name for key, name in told["concept_names"].items()},
        class_names=ClassNames(told["class_names"]),
        thumbnails=_pictures(arrays),
    )


def _ledger(arrays: Mapping[str, NDArray[Any]], name: str) -> Ledger:
    return Ledger(**{column: arrays[f"{name}.{column}"] for column in ARRAYS})


def _pictures(arrays: Mapping[str, NDArray[Any]]) -> tuple[bytes, ...]:
    if "thumbnails" not in arrays:
        return ()
    ends = arrays["thumbnails.ends"].tolist()
    whole = arrays["thumbnails"].tobytes()
    return tuple(whole[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True))
