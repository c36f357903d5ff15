"""Checks of the options that the ways of making prototypes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.engine._checks import integer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatwhere.prototypes._method import Method

_MAX_SEED = 2**63
_MOST_SIDE = 4096
_PAIR = 2


def common(method: Method) -> dict[str, Any]:
    """Check the options that every method has; return those that are settled, by name."""
    given: Any = method.size
    size = given if isinstance(given, tuple | list) else (given, given)
    if len(size) != _PAIR:
        raise ValueError(f"size: wanted an int or (height, width), got {given!r}.")
    seeds: Any = tuple(method.seed) if isinstance(method.seed, tuple | list) else (method.seed,)
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seed: wanted an integer or several different ones, got {method.seed!r}.")
    if method.until is not None and not callable(getattr(method.until, "met", None)):
        raise TypeError(f"until: wanted a rule such as Plateau(), got {method.until!r}.")
    return {
        "steps": integer("steps", method.steps, 1, 2**20),
        "crops": integer("crops", method.crops, 1, 2**16),
        "size": tuple(integer("size", side, _PAIR, _MOST_SIDE) for side in size),
        "seed": tuple(integer("seed", seed, 0, _MAX_SEED) for seed in seeds),
        "learning_rate": two("learning_rate", method.learning_rate, 0, float("inf")),
        "noise": number("noise", method.noise, 0),
        "uniform_noise": number("uniform_noise", method.uniform_noise, 0),
        "frames": integer("frames", method.frames, 0, 2**12),
    }


def settle(method: Method, options: Mapping[str, Any]) -> None:
    """Write options down as they were understood; methods are frozen."""
    for name, value in options.items():
        object.__setattr__(method, name, value)


def options_of(name: str, presets: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the options of a publication or library, or refuse its name."""
    if name not in presets:
        raise ValueError(f"name: wanted one of {list(presets)}, got {name!r}.")
    return presets[name]


def number(name: str, value: Any, low: float, high: float = float("inf")) -> float:
    """Return a finite number within bounds, both included."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: wanted a number, got {type(value).__name__} {value!r}.") from None
    if not low <= found <= high or found == float("inf"):
        bounds = f"of at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise ValueError(f"{name}: wanted a finite number {bounds}, got {found:g}.")
    return found


def above(name: str, value: Any, low: float, why: str = "") -> float:
    """Return a finite number above a bound."""
    found = number(name, value, low)
    if not found > low:
        raise ValueError(f"{name}: wanted a number above {low:g}, got {found:g}{why and ': '}{why}.")
    return found


def two(name: str, value: Any, low: float, high: float, *, said: str = "for the first and the last step") -> Any:
    """Read a number that holds, or two that it goes from and to; above `low`."""
    pair = value if isinstance(value, tuple | list) else (value, value)
    if len(pair) != _PAIR:
        raise ValueError(f"{name}: wanted a number, or two {said}, got {value!r}.")
    numbers = tuple(number(name, each, low, high) for each in pair)
    if not min(numbers) > low:
        raise ValueError(f"{name}: wanted numbers above {low:g}, got {value!r}.")
    return numbers


def rising(name: str, value: Any, high: float) -> Any:
    """Read the ends of a range above 0; a number is a range of itself."""
    pair = two(name, value, 0, high, said="for the ends of a range")
    if pair[0] > pair[1]:
        raise ValueError(f"{name}: wanted the smaller number first, got {value!r}.")
    return pair


def words(method: Method, **known: tuple[str, ...]) -> None:
    """Check options that are one of some words."""
    for name, allowed in known.items():
        if getattr(method, name) not in allowed:
            raise ValueError(f"{name}: wanted one of {allowed}, got {getattr(method, name)!r}.")
