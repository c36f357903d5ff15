"""Concepts that may be shortcuts: common, less often right, and able to change what is predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from whatwhere.engine._checks import between
from whatwhere.engine.confidence import half_width
from whatwhere.metrics.intervals import share_difference
from whatwhere.strategies.rates import Rate, Rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.strategies.graph import StrategyGraph

_COMMON, _COMMON_OF_MANY = 0.25, 0.05
_OF_MANY = (
    " In a set of many classes a flag may as well be a concept that like classes share, as a church and a monastery "
    "do: their photos are told apart by something else."
)

Verdict: TypeAlias = Literal["possible shortcut", "look at it", "nothing"]


@dataclass(frozen=True)
class Shortcut:
    """What speaks for and against a concept being a shortcut.

    Parameters
    ----------
    concept : int
        Its row in the bank.
    verdict : {"possible shortcut", "look at it", "nothing"}
        "possible shortcut": common, unreliable and decisive. "look at it": common and decisive, but these photos
        cannot tell whether it is reliable.
    words : str
        The numbers in a sentence.
    common : bool
        Whether the whole interval of its prevalence lies at or above the bar.
    unreliable : bool or None
        Whether photos with it are right less often than those without, by the whole interval of the difference; None
        where that cannot be told: without labels, where all photos or none have it, or among photos that were chosen
        by what they are.
    decisive : bool
        Whether taking it away changes predictions of the photos that have it: the whole interval of the mean drop in
        probability, or of the share of photos that change class, lies at or above the bar.
    prevalence, reliability, without, flips : Rate
        Photos that have it; those of them that are right; those without it that are right; those with it that change
        class when it is taken away.
    difference : (float, float, float)
        Reliability with it less that without, and the ends of Newcombe's interval.
    drop : (float, float, float)
        Mean fall of the explained class's probability over the photos with it, and the ends of Student's interval.
    """

    concept: int
    verdict: Verdict
    words: str
    common: bool
    unreliable: bool | None
    decisive: bool
    prevalence: Rate
    reliability: Rate
    without: Rate
    flips: Rate
    difference: tuple[float, float, float]
    drop: tuple[float, float, float]


def rule_of(graph: StrategyGraph, common: float | None = None, moved: float = 0.2) -> str:
    """Say the rule in words, with its numbers.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    common : float, optional
        As for `find_shortcuts`.
    moved : float, default 0.2
        Likewise.

    Returns
    -------
    str
        A few sentences.
    """
    common = _bar(graph, common)
    return (
        f"A possible shortcut is a concept that is surely in at least {common:.0%} of the photos, with which photos "
        "are surely right less often than without it, and which decides: taken away, the mean probability of the "
        f"photos that have it surely falls by at least {moved:.0%}, or surely at least {moved:.0%} of them change "
        "class. A common concept that decides, where these photos cannot tell whether it is reliable, is to be looked "
        f"at: is it a part of the thing? Surely means by the whole interval, at {_level(graph):.2%} a concept, so that "
        f"all {graph.rank} together are at {graph.method.level:.0%}.{_OF_MANY if graph.target is None else ''}"
    )


def find_shortcuts(graph: StrategyGraph, *, common: float | None = None, moved: float = 0.2) -> tuple[Shortcut, ...]:
    """Hold every concept against the rule.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    common : float, optional
        Share of the photos from which a concept is common, above 0 and below 1; by default 0.25, and 0.05 where photos
        are of many classes, each with concepts of its own.
    moved : float, default 0.2
        Mean drop in probability, and share of photos that change class, from which a concept decides.

    Returns
    -------
    tuple of Shortcut
        One a concept, in the bank's order.

    Raises
    ------
    TypeError, ValueError
        If a bar is no number in its range.
    """
    common, moved = _bar(graph, common), between("moved", moved, 0, 1)
    return tuple(_judge(graph, k, common, moved) for k in range(graph.rank))


def _bar(graph: StrategyGraph, common: float | None) -> float:
    default = _COMMON if graph.target is not None else _COMMON_OF_MANY
    return default if common is None else between("common", common, 0, 1)


def _level(graph: StrategyGraph) -> float:
    """Return the level of one interval at which all concepts' together keep theirs, by Bonferroni."""
    return 1 - (1 - graph.method.level) / graph.rank


def _judge(graph: StrategyGraph, k: int, common: float, moved: float) -> Shortcut:
    level = _level(graph)
    has = graph.by("presence").members[:, k]
    prevalence = _rate(has, np.ones(len(graph), dtype=bool), level)
    reliability, without = _rate(graph.right, has & graph.known, level), _rate(graph.right, ~has & graph.known, level)
    flips, drop = _rate(graph.flips[:, k], has, level), _mean(graph.muting.drops[has, k], level)
    difference = share_difference((reliability.count, reliability.total), (without.count, without.total), level)
    tells = graph.method.population == "predicted" or graph.target is None
    unreliable = difference[2] < 0 if tells and reliability.total and without.total else None
    is_common, decisive = prevalence.low >= common, max(drop[1], flips.low) >= moved
    verdict: Verdict = "nothing"
    if is_common and decisive and unreliable is not False:
        verdict = "look at it" if unreliable is None else "possible shortcut"
    return Shortcut(
        concept=k,
        verdict=verdict,
        words=_words(graph.concept_label(k), prevalence, reliability, without, flips, drop),
        common=is_common,
        unreliable=unreliable,
        decisive=decisive,
        prevalence=prevalence,
        reliability=reliability,
        without=without,
        flips=flips,
        difference=difference,
        drop=drop,
    )


def _words(  # noqa: PLR0917  # the numbers of one sentence, in its order
    label: str, prevalence: Rate, with_it: Rate, without: Rate, flips: Rate, drop: tuple[float, float, float]
) -> str:
    told = f"{label} is in {prevalence}."
    if with_it.total:
        told += f" With it {with_it} are right, without it {without}."
    if prevalence.count:
        told += f" Taken away, {flips} of these change class, and the probability falls by {drop[0]:.0%} on average."
    return told


def _rate(some: NDArray[np.bool_], of: NDArray[np.bool_], level: float) -> Rate:
    return Rates.of((some & of).sum(), of.sum(), level)[0]


def _mean(values: NDArray[np.float32], level: float) -> tuple[float, float, float]:
    """Return a mean and Student's interval, without ends for a single value."""
    if not len(values):
        return np.nan, -np.inf, np.inf
    mean = float(values.mean(dtype=np.float64))
    if len(values) == 1:
        return mean, -np.inf, np.inf
    half = float(half_width(values.std(ddof=1, dtype=np.float64) / np.sqrt(len(values)), len(values), level))
    return mean, mean - half, mean + half
