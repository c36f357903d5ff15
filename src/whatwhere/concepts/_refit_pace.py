"""How far a refit is: what its stages count, when the factorisation will stop, and how long that takes."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from whatwhere.jobs import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatwhere.engine.factors import Factors

#: Stages in their order. Reading goes from photos to crops and back; it is passed over where the features are there.
STAGES = ("reading", "concepts", "codes", "importance")
_LOOK_BACK = 3  # iterations over which a trend is seen
_SLOWEST = 0.98  # share of a gain that the next one is at most taken to be: gains that do not shrink say nothing


class Mark(NamedTuple):
    """What a stage has reached.

    Attributes
    ----------
    stage : str
        Its name.
    done, total : int
        Of its own units.
    unit : str
        What these are.
    bound : {"", "about", "at most"}
        What the total is.
    """

    stage: str
    done: int
    total: int
    unit: str
    bound: Literal["", "about", "at most"] = ""


class Forecast:
    """When a factorisation will stop.

    It stops once an iteration gains less than a share of the error. Gains shrink about geometrically, so that the last
    few of them tell when the next ones will be as small.

    Parameters
    ----------
    tolerance : float
        The share.
    most : int
        Iterations after which it stops in any case.
    """

    def __init__(self, tolerance: float, most: int) -> None:
        self._tolerance, self._most = tolerance, most
        self._errors: list[float] = []

    def mark(self, factors: Factors) -> Mark:
        """Take in an iteration, and say how many there will be.

        Parameters
        ----------
        factors : Factors
            The factorisation so far.

        Returns
        -------
        Mark
            Of the stage ``"concepts"``: a bound at first, then an estimate.
        """
        self._errors.append(factors.error)
        at = factors.iteration
        left = self._iterations_left()
        if left is None:
            return Mark("concepts", at, self._most, "iterations", "at most")
        return Mark("concepts", at, min(self._most, at + left), "iterations", "about")

    def _iterations_left(self) -> int | None:
        gains = [1 - new / old for old, new in zip(self._errors, self._errors[1:], strict=False) if old > 0]
        if len(gains) <= _LOOK_BACK or min(gains[-1], gains[-1 - _LOOK_BACK]) <= 0:
            return None
        shrink = min(_SLOWEST, (gains[-1] / gains[-1 - _LOOK_BACK]) ** (1 / _LOOK_BACK))
        if gains[-1] <= self._tolerance:
            return 0
        return math.ceil(math.log(self._tolerance / gains[-1]) / math.log(shrink))


class Paces:
    """How long the stages take; what one refit took tells the next one how long there is to go."""

    def __init__(self) -> None:
        self._before: dict[str, float] = {}

    def follow(self, marks: Iterator[Mark]) -> Iterator[tuple[Mark, Pace]]:
        """Time the stages: what passes between two steps, while others compute, does not count.

        Parameters
        ----------
        marks : iterator of Mark
            The computation.

        Yields
        ------
        Mark
            As they come.
        Pace
            How far that is.
        """
        took: dict[str, float] = {}
        share, begin = 0.0, time.perf_counter()
        for mark in marks:
            stage = mark.stage if mark.stage in STAGES else "reading"
            took[stage] = took.get(stage, 0.0) + time.perf_counter() - begin
            part = min(1.0, mark.done / mark.total) if mark.total else 0.0
            share = max(share, (STAGES.index(stage) + part) / len(STAGES))
            yield mark, self._pace(stage, mark, took[stage], share)
            begin = time.perf_counter()
        self._before |= took

    def _pace(self, stage: str, mark: Mark, seconds: float, share: float) -> Pace:
        after = [self._before.get(later) for later in STAGES[STAGES.index(stage) + 1 :]]
        known = [each for each in after if each is not None]
        whole = len(known) == len(after)
        left = None
        if mark.done and mark.bound != "at most":  # a bound is not what is expected
            left = seconds / mark.done * max(0, mark.total - mark.done) + (sum(known) if whole else 0.0)
        return Pace(mark.unit, mark.bound, left, whole, share)
