"""A strategy graph in words and numbers, as the browser is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.concepts.palette import hue_of, letter_of
from whatwhere.widgets._planes import rounded

if TYPE_CHECKING:
    from whatwhere.strategies.graph import StrategyGraph
    from whatwhere.strategies.rates import Rate

_POPULATION = {
    "predicted": "predicted as {}, right or wrong",
    "labelled": "of {}, read as it or not",
}
NO_LABELS = (
    "Nobody said what these photos are: Strategies().run(model, bank, photos, labels={name: class, …}) tells which are "
    "misread."
)
ONE_LOGIT = "A network with a single logit has no other class to compare with."


def describe_graph(graph: StrategyGraph) -> dict[str, Any]:
    """Say what the graph holds, but for the photos.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.

    Returns
    -------
    dict
        ``_graph`` on the wire.
    """
    from whatwhere.strategies.groups import BYS
    from whatwhere.strategies.marks import reliability_title

    return {
        "population": _population(graph),
        "labelled": bool(graph.known.any()),
        "presence": graph.method.presence,
        "level": graph.method.level,
        "accuracy": _rate(graph.accuracy),
        "reliability": reliability_title(graph),
        "rules": {by: graph.by(by).rule for by in BYS},
        "shortcut": graph.shortcut_rule(),
        "caveats": graph.caveats(),
        "no_labels": "" if graph.known.any() else NO_LABELS,
        "no_other": "" if graph.other is not None else ONE_LOGIT,
        "about": about(graph),
        "code": code_of(graph),
        "complete": graph.complete,
    }


def describe_concepts(graph: StrategyGraph) -> list[dict[str, Any]]:
    """Say how common, how reliable and how decisive each concept is.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.

    Returns
    -------
    list of dict
        ``_concepts`` on the wire, in the graph's order.
    """
    there, strongest, flags = graph.by("presence"), graph.by("strongest"), graph.shortcuts()
    worth = np.abs(graph.importance).mean(axis=0, dtype=np.float64)
    shares = rounded(worth / worth.sum() if worth.sum() > 0 else worth)
    adds = rounded(graph.importance.mean(axis=0, dtype=np.float64))
    return [
        {
            "id": int(key),
            "letter": letter_of(key),
            "hue": hue_of(key),
            "name": graph.concept_names.get(key, ""),
            "importance": shares[k],
            "adds": adds[k],
            "presence": [_rate(there.prevalence[k]), _rate(there.reliability[k])],
            "strongest": [_rate(strongest.prevalence[k]), _rate(strongest.reliability[k])],
            "verdict": flags[k].verdict,
            "words": flags[k].words,
        }
        for k, key in enumerate(graph.ids)
    ]


def _rate(rate: Rate) -> dict[str, Any]:
    """Write a share; its value is None where nothing is known."""
    value, low, high = rounded([rate.value, rate.low, rate.high])
    return {"value": value, "low": low, "high": high, "count": rate.count, "total": rate.total}


def _population(graph: StrategyGraph) -> str:
    if graph.target is None:
        return "by their predicted classes"
    return _POPULATION[graph.method.population].format(graph.target_name)


def about(graph: StrategyGraph) -> list[list[str]]:
    """Say how a graph was made.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.

    Returns
    -------
    list of [str, str]
        Label and text.
    """
    made, method = graph.provenance, graph.method
    scaled = "scaled to a sum of sizes of 1 a photo" if method.normalise == "l1" else "in logits"
    how = "exact, since all behind the layer is affine" if graph.affine else "by an integral along 16 gradients a photo"
    told = [
        ["Photos", f"{len(graph):,}, {_population(graph)}"],
        ["Each photo is", f"what every concept adds to the logit of {graph.target_name}, {scaled}"],
        ["Contributions", how],
        ["Layer", graph.layer],
        ["Placed by", f"{graph.layout.reason}; axes have no unit, and only who is near means something"],
        ["Present", graph.by("presence").rule],
        ["Strongest", graph.by("strongest").rule],
        ["Distinctive", graph.by("distinctive").rule],
        ["Intervals", f"Wilson's, at {method.level:.0%}"],
        ["Options", repr(method)],
        ["Seed", str(method.seed)],
        ["Forwards", f"{graph.n_forwards:,}"],
        ["Time", f"{made.seconds:.1f} s on {made.device}, {made.net_seconds:.1f} s of it in the network"],
        ["Model", f"{made.model}, weights {made.fingerprint}"],
        ["whatwhere", made.version],
    ]
    return told + [["Caution", text] for text in graph.caveats()]


def code_of(graph: StrategyGraph) -> str:
    """Write the Python lines that make the same; `bank`, `photos` and `labels` stand for what the reader has.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.

    Returns
    -------
    str
        Lines of Python.
    """
    labels = ", labels=labels" if graph.known.any() else ""
    lines = [f"model = {graph.provenance.source}"] if graph.provenance.source else []
    return "\n".join(
        [
            *lines,
            f"graph = ww.{graph.method!r}.run(model, bank, photos{labels})",
            "ww.StrategyView(graph, model, photos, bank=bank)",
        ]
    )
