"""What a graph of strategies says of itself in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from whatwhere.strategies.graph import StrategyGraph

_FEW = 30  # photos below which intervals of shares are wide
_ONE_FOR_ALL = 0.7  # of the photos, from which the strongest concept no longer tells them apart
_POPULATION = {"predicted": "predicted as {}, right or wrong", "labelled": "of {}, read as it or not"}


def describe(graph: StrategyGraph) -> str:
    """Say in a few lines what the graph holds.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.

    Returns
    -------
    str
        For people.
    """
    presence = graph.by("presence").prevalence
    first = int(np.argmax(presence.counts))
    kept = f"{len(graph)} photos {_POPULATION[graph.method.population].format(graph.target_name)}"
    if graph.target is None:
        kept = f"{len(graph)} photos, each for the class that it is predicted as"
    lines = [
        f"{graph.rank} concepts of {graph.provenance.model} in {kept}{'' if graph.complete else ' (not finished)'}.",
        f"Most common is {graph.concept_label(first)}, in {presence[first]}.",
    ]
    if graph.known.any():
        lines.append(f"Right: {graph.accuracy}.")
    return " ".join([*lines, *caveats(graph)])


def caveats(graph: StrategyGraph) -> list[str]:
    """Say what a reader has to know before trusting the numbers.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.

    Returns
    -------
    list of str
        One sentence each; empty if there is nothing.
    """
    said = []
    if graph.left_out:
        kind = "predicted as" if graph.method.population == "predicted" else "of"
        said.append(f"{len(graph.left_out)} photos are left out, since they are not {kind} {graph.target_name}.")
    if not graph.known.any():
        said.append("Without labels nothing is known of reliability.")
    elif not graph.known.all():
        said.append(f"Of {int((~graph.known).sum())} photos it is not known what they are.")
    if len(graph) < _FEW:
        said.append(f"{len(graph)} photos are few: the intervals say how little is known.")
    if graph.unsupported.any():
        said.append(f"No concept speaks for {int(graph.unsupported.sum())} of the photos.")
    strongest = graph.by("strongest").prevalence
    if len(graph) > 1 and strongest.values.max() >= _ONE_FOR_ALL:
        k = int(strongest.counts.argmax())
        said.append(
            f"{graph.concept_label(k)} is the strongest concept of {strongest.values[k]:.0%} of the photos: what "
            "tells them apart is seen by the distinctive concept."
        )
    if graph.provenance.changed:
        said.append("The weights changed while it was computed.")
    return said
