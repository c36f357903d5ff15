"""Targets of what people call them, and of what was written of them."""

from __future__ import annotations

import operator
from typing import Any

from whatwhere.targets.classes import ClassScore
from whatwhere.targets.directions import Direction
from whatwhere.targets.target import Sum, Target
from whatwhere.targets.units import Channel, Neuron


def read(target: Any) -> Target:
    """Understand what a person calls a target.

    Parameters
    ----------
    target : Target, str or int
        A target, or a class name or id.

    Returns
    -------
    Target
        The target.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if isinstance(target, Target):
        return target
    if isinstance(target, str):
        return ClassScore(target)
    try:
        return ClassScore(operator.index(target))
    except TypeError:
        raise TypeError(
            f"target: wanted a class name, a class id or one of ww.targets, such as Channel(layer, index), got "
            f"{type(target).__name__} {target!r}."
        ) from None


def from_told(told: dict[str, Any]) -> Target | None:
    """Make a target of what `Target.told` said.

    Parameters
    ----------
    told : dict
        What it said.

    Returns
    -------
    Target or None
        The target; None where a picture would be needed, which is not told.
    """
    options = dict(told)
    kind = options.pop("kind")
    if kind == "Inversion":
        return None
    if kind == "Sum":
        parts = [(weight, from_told(part)) for weight, part in options["parts"]]
        return None if any(part is None for _, part in parts) else Sum(tuple(parts))  # type: ignore[arg-type]  # just looked at
    kinds: dict[str, type[Target]] = {c.__name__: c for c in (ClassScore, Channel, Neuron, Direction)}
    return kinds[kind](**options)
