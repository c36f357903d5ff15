"""What all targets share, and their weighted sum."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from whatwhere.model import VisionModel


class Term(NamedTuple):
    """One part of a target, bound to a network.

    Attributes
    ----------
    weight : float
        What its values are multiplied by.
    layer : str or None
        Layer whose output it reads; None reads the logits.
    values : callable
        Takes the layer's output (N, ...), or logits (N, classes), and returns (N,): an item's value depends on that
        item alone, and gradients pass.
    places : callable or None
        Takes the same and returns (N, h, w): what is found at each place, before the places become one value; 0 where
        the target does not look. None where it has no places.
    """

    weight: float
    layer: str | None
    values: Callable[[Tensor], Tensor]
    places: Callable[[Tensor], Tensor] | None = None


class Target:
    """What targets share: they add up, and compare by content."""

    @property
    def label(self) -> str:
        """What people call it."""
        raise NotImplementedError

    @property
    def whole(self) -> bool:
        """Whether it is a matter of the whole picture, not of parts of it."""
        return False

    def bound(self, model: VisionModel) -> Target:
        """Check it against a network, and fill in what only that knows.

        Parameters
        ----------
        model : VisionModel
            The network.

        Returns
        -------
        Target
            With class ids for names, and places for centres.

        Raises
        ------
        ValueError
            If the network has no such class, layer, channel, place or direction.
        """
        return self._bound(model)

    def terms(self, model: VisionModel) -> tuple[Term, ...]:
        """Bind it to a network.

        Parameters
        ----------
        model : VisionModel
            The network.

        Returns
        -------
        tuple of Term
            What its value is a sum of.

        Raises
        ------
        ValueError
            As `bound`.
        """
        return self._terms(model)

    def told(self) -> dict[str, Any]:
        """Say it in JSON's terms.

        Returns
        -------
        dict
            The kind and the options; of arrays the content, of pictures a hash.
        """
        return self._told()

    @property
    def key(self) -> str:
        """Hash of its content: sixteen hexadecimal digits."""
        return hashlib.blake2b(repr(self.told()).encode(), digest_size=8).hexdigest()

    def _bound(self, model: VisionModel) -> Target:
        raise NotImplementedError

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        raise NotImplementedError

    def _told(self) -> dict[str, Any]:
        options = fields(self)  # type: ignore[arg-type]  # every target is a dataclass
        return {"kind": type(self).__name__} | {option.name: _plain(getattr(self, option.name)) for option in options}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and self.told() == other.told()

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"<{self.label}>"

    def __add__(self, other: object) -> Sum:
        return Sum((*_parts(self), *_parts(other))) if isinstance(other, Target) else NotImplemented

    def __sub__(self, other: object) -> Sum:
        return self + (-1 * other) if isinstance(other, Target) else NotImplemented

    def __mul__(self, factor: object) -> Sum:
        if isinstance(factor, bool) or not isinstance(factor, int | float | np.integer | np.floating):
            return NotImplemented
        if not np.isfinite(factor):
            raise ValueError(f"weight: wanted a finite number, got {factor}.")
        return Sum(tuple((float(factor) * weight, part) for weight, part in _parts(self)))

    __rmul__ = __mul__

    def __neg__(self) -> Sum:
        return self * -1


@dataclass(frozen=True, eq=False, repr=False)
class Sum(Target):
    """A weighted sum of targets. ``0.5 * a - b`` makes one.

    Parameters
    ----------
    parts : tuple of (float, Target)
        Weights and targets; each weight is its own target's only.

    Raises
    ------
    ValueError
        If there are none.
    """

    parts: tuple[tuple[float, Target], ...]

    def __post_init__(self) -> None:
        flat = tuple((float(w) * own, leaf) for w, part in self.parts for own, leaf in _parts(part))
        if not flat:
            raise ValueError("parts: wanted at least one target, got none.")
        object.__setattr__(self, "parts", flat)

    @property
    def label(self) -> str:
        """For example "0.5 x tench - channel 17 of features.8"."""
        words = ""
        for weight, part in self.parts:
            sign = (" - " if words else "-") if weight < 0 else (" + " if words else "")
            size = "" if abs(weight) == 1 else f"{abs(weight):g} x "
            words += f"{sign}{size}{part.label}"
        return words

    @property
    def whole(self) -> bool:
        """Whether any part is."""
        return any(part.whole for _, part in self.parts)

    def _bound(self, model: VisionModel) -> Sum:
        return Sum(tuple((weight, part.bound(model)) for weight, part in self.parts))

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        return tuple(
            Term(weight * term.weight, term.layer, term.values, term.places)
            for weight, part in self.parts
            for term in part.terms(model)
        )

    def _told(self) -> dict[str, Any]:
        return {"kind": "Sum", "parts": [[weight, part.told()] for weight, part in self.parts]}


def _parts(target: Target) -> tuple[tuple[float, Target], ...]:
    return target.parts if isinstance(target, Sum) else ((1.0, target),)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [float(number) for number in value]
    if hasattr(value, "pixels"):
        return hashlib.blake2b(np.ascontiguousarray(value.pixels).tobytes(), digest_size=8).hexdigest()
    return value
