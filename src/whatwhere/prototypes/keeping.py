"""Prototypes in the cache."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from whatwhere.cache.control import active
from whatwhere.engine.caching import place_of
from whatwhere.jobs import Step
from whatwhere.prototypes._ascent import Ascent
from whatwhere.prototypes.saving import as_parts, from_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatwhere.engine.caching import Place
    from whatwhere.model import VisionModel
    from whatwhere.prototypes._method import TargetMethod
    from whatwhere.prototypes.record import Prototype
    from whatwhere.targets import Target


def ascents(method: TargetMethod, model: VisionModel, targets: list[Target]) -> Iterator[Step[list[Prototype]]]:
    """Make prototypes, but for those that the cache has.

    Parameters
    ----------
    method : TargetMethod
        The method.
    model : VisionModel
        The network.
    targets : list of Target
        What to excite.

    Yields
    ------
    Step
        As `Ascent.steps` does, with the prototypes of all targets; of those that were found there are no crops.
    """
    if active() is None:
        yield from Ascent(method, model, targets).steps()
        return
    bound = [target.bound(model) for target in targets]
    places = [[_place(method, model, target, seed) for seed in method.seeds] for target in bound]
    found = [_found(row, target, method) for row, target in zip(places, bound, strict=True)]
    missing = [k for k, known in enumerate(found) if not known]
    if not missing:
        yield Step(0, 0, "ascent", [prototype for known in found for prototype in known])
        return
    kept = None
    for step in Ascent(method, model, [targets[k] for k in missing]).steps():
        made = step.record
        if made is None:
            yield step
            continue
        if made is not kept and all(prototype.complete for prototype in made):
            kept = made
            _keep(made, [place for k in missing for place in places[k]])
        rows = list(found)
        for k, first in zip(missing, range(0, len(made), len(method.seeds)), strict=True):
            rows[k] = made[first : first + len(method.seeds)]
        together = made if len(missing) == len(targets) else [prototype for row in rows for prototype in row]
        yield Step(step.done, step.total, step.stage, together)


def _place(method: TargetMethod, model: VisionModel, target: Target, seed: int) -> Place | None:
    solo: TargetMethod = replace(cast("Any", method), seed=seed)  # every method is a dataclass
    return place_of("prototype", model, solo, target.told())


def _found(places: list[Place | None], target: Target, method: TargetMethod) -> list[Prototype]:
    """Find the prototypes of a target, one a seed; none where one is not known."""
    entries = [None if place is None else place.find() for place in places]
    return (
        [
            replace(made, target=target, method=method, provenance=replace(made.provenance, cached=1))
            for made in (
                from_parts(entry.told, {name: values.copy() for name, values in entry.arrays.items()})
                for entry in entries
                if entry is not None
            )
        ]
        if all(entry is not None for entry in entries)
        else []
    )


def _keep(made: list[Prototype], places: list[Place | None]) -> None:
    for prototype, place in zip(made, places, strict=True):
        if place is not None:
            place.keep(*as_parts(prototype), prototype.provenance)
