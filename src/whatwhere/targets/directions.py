"""Directions in a layer's features as targets, and the concepts of a bank."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.engine._checks import integer
from whatwhere.targets._layer import cells_of_layer, channels_of, check_layer, info_of
from whatwhere.targets.target import Target, Term

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from whatwhere.model import VisionModel

_LIKENESSES, _POOLS = ("dot", "cosine", "dot_cosine"), ("mean", "max", "centre")


class _Along(Target):
    """What goes along a vector in a layer's features."""

    layer: str
    likeness: str
    power: float
    pool: str

    @property
    def direction(self) -> NDArray[np.float32]:
        raise NotImplementedError

    def _check(self) -> None:
        if self.likeness not in _LIKENESSES:
            raise ValueError(f"likeness: wanted one of {_LIKENESSES}, got {self.likeness!r}.")
        if self.pool not in _POOLS:
            raise ValueError(f"pool: wanted one of {_POOLS}, got {self.pool!r}.")
        if isinstance(self.power, bool) or not 0 <= self.power < float("inf"):
            raise ValueError(f"power: wanted a finite number of at least 0, got {self.power!r}.")

    def _fits(self, model: VisionModel) -> None:
        wanted, got = channels_of(info_of(model, self.layer)), len(self.direction)
        if got != wanted:
            raise ValueError(f"vector: wanted {wanted} numbers, as {self.layer!r} has features, got {got}.")

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        import torch

        from whatwhere.engine.objectives import likeness, pooled

        self._fits(model)
        cells = cells_of_layer(model, self.layer)
        vector = torch.from_numpy(self.direction / np.linalg.norm(self.direction)).to(model.device)
        how: Any = (self.likeness, self.pool)

        def places(features: Tensor) -> Tensor:
            return likeness(cells(features).float(), vector, how[0], self.power)

        return (Term(1.0, self.layer, lambda features: pooled(places(features), how[1]), places),)


@dataclass(frozen=True, eq=False, repr=False)
class Direction(_Along):
    """A direction in a layer's features, such as a concept activation vector or an atom of a dictionary.

    Parameters
    ----------
    layer : str
        Name of the layer.
    vector : array_like of shape (C,)
        The direction; its length does not matter.
    name : str, default ""
        What to call it.
    likeness : {"dot", "cosine", "dot_cosine"}, default "dot_cosine"
        How features at a place are compared with it: by the dot product, the cosine, or the dot product times
        ``max(cosine, 0.1) ** power``.
    power : float, default 2
        Of the cosine; more asks for purer features.
    pool : {"mean", "max", "centre"}, default "mean"
        What becomes of the places.

    Raises
    ------
    ValueError
        If the vector is no vector of finite numbers, or 0, or an option is not known.
    """

    layer: str
    vector: ArrayLike
    name: str = ""
    likeness: str = "dot_cosine"
    power: float = 2.0
    pool: str = "mean"

    def __post_init__(self) -> None:
        check_layer(self.layer)
        self._check()
        given: Any = self.vector
        vector = np.array(given.detach().cpu().numpy() if hasattr(given, "detach") else given, dtype=np.float32)
        if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all() or not vector.any():
            raise ValueError(
                f"vector: wanted one axis of finite numbers that are not all 0, got shape {vector.shape}"
                + (", some not finite." if not np.isfinite(vector).all() else ".")
            )
        vector.flags.writeable = False
        object.__setattr__(self, "vector", vector)

    @property
    def direction(self) -> NDArray[np.float32]:
        """The vector, float32."""
        return np.asarray(self.vector)

    @property
    def label(self) -> str:
        """Its name, or for example "direction 3f2a of features.8"."""
        code = hashlib.blake2b(self.direction.tobytes(), digest_size=2).hexdigest()
        return self.name or f"direction {code} of {self.layer}"

    def _bound(self, model: VisionModel) -> Direction:
        self._fits(model)
        return self


@dataclass(frozen=True, eq=False, repr=False)
class Concept(_Along):
    """A concept of a bank: its direction, at every place of the bank's layer as the bank itself finds it.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    k : int
        Number of the concept, from the most important.
    likeness : {"dot", "cosine", "dot_cosine"}, default "dot_cosine"
        As for `Direction`.
    power : float, default 2
        As for `Direction`.
    pool : {"mean", "max", "centre"}, default "mean"
        As for `Direction`.

    Raises
    ------
    TypeError
        If `bank` is no bank.
    ValueError
        If there is no such concept, or it is dead.

    Notes
    -----
    A bank's own codes are non-negative least squares of all concepts together, which has no gradient in closed form
    where a code is 0; the direction alone is what is climbed. The network must be the one that the bank came from, or
    at least have the same layer.
    """

    bank: Any
    k: int
    likeness: str = "dot_cosine"
    power: float = 2.0
    pool: str = "mean"

    def __post_init__(self) -> None:
        if not all(hasattr(self.bank, name) for name in ("W", "layer", "ids", "labels")):
            raise TypeError(f"bank: wanted a ConceptBank, got {type(self.bank).__name__}.")
        object.__setattr__(self, "k", integer("k", self.k, 0, len(self.bank.W) - 1))
        self._check()
        if not self.bank.W[self.k].any():
            raise ValueError(f"k: concept {self.k} is dead, its direction is 0; nothing excites it.")

    @property
    def layer(self) -> str:  # type: ignore[override]  # a bank's is not settable
        """The bank's layer."""
        return str(self.bank.layer.name)

    @property
    def direction(self) -> NDArray[np.float32]:
        """The concept's direction, float32."""
        return np.asarray(self.bank.W[self.k], dtype=np.float32)

    @property
    def label(self) -> str:
        """What a person called it, or for example "concept 2 of tench"."""
        return self.bank.labels.get(self.bank.ids[self.k]) or f"concept {self.k} of {self.bank.target_name}"

    def _bound(self, model: VisionModel) -> Concept:
        self._fits(model)
        return self

    def _told(self) -> dict[str, Any]:
        as_direction = Direction(self.layer, self.direction, self.label, self.likeness, self.power, self.pool)
        return as_direction.told()


def concepts(bank: Any, **options: Any) -> list[Concept]:
    """Return all concepts of a bank as targets, the most important first; dead ones are left out.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    **options
        As for `Concept`.

    Returns
    -------
    list of Concept
        One a concept.
    """
    return [Concept(bank, k, **options) for k in range(len(bank.W)) if bank.W[k].any()]
