"""What a prototype is to excite: a class, a channel, a neuron, a direction, a concept, or a weighted sum of such.

Targets are values: they say what is meant, and are bound to a network only when something is computed.

>>> from whatwhere import targets
>>> 2 * targets.Channel("features.8", 17) - targets.ClassScore("tench")
<2 x channel 17 of features.8 - tench>
"""

from __future__ import annotations

import hashlib
import operator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from whatwhere.engine._checks import integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from whatwhere.model import VisionModel
    from whatwhere.nets.layers import LayerInfo

__all__ = [
    "Channel",
    "ClassScore",
    "Concept",
    "Direction",
    "Inversion",
    "Neuron",
    "Sum",
    "Target",
    "Term",
    "concepts",
    "read",
]

_LIKENESSES, _POOLS = ("dot", "cosine", "dot_cosine"), ("mean", "max", "centre")
_LARGEST = 2**31


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
class ClassScore(Target):
    """A class's logit: a softmax would saturate, and rise by lowering other classes.

    Parameters
    ----------
    target : int or str
        Class id or name.
    name : str, default ""
        What to call it; by default the network's name of the class.

    Raises
    ------
    TypeError
        If `target` is neither.
    """

    target: int | str
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.target, str):
            object.__setattr__(self, "target", integer("target", self.target, 0))

    @property
    def label(self) -> str:
        """The class's name."""
        return self.name or (self.target if isinstance(self.target, str) else f"class {self.target}")

    def _bound(self, model: VisionModel) -> ClassScore:
        class_id = model.class_names.resolve(self.target)
        return ClassScore(class_id, self.name or model.class_names.label(class_id))

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        class_id = model.class_names.resolve(self.target)
        return (Term(1.0, None, lambda logits: logits[:, class_id]),)


@dataclass(frozen=True, eq=False, repr=False)
class Channel(Target):
    """A channel of a layer: its mean over places.

    Parameters
    ----------
    layer : str
        Name of the layer.
    index : int
        Number of the channel, or of the feature where the layer puts out tokens or a vector.
    """

    layer: str
    index: int

    def __post_init__(self) -> None:
        _check_layer(self.layer)
        object.__setattr__(self, "index", integer("index", self.index, 0))

    @property
    def label(self) -> str:
        """For example "channel 17 of features.8"."""
        return f"channel {self.index} of {self.layer}"

    def _bound(self, model: VisionModel) -> Channel:
        _check_channel(self.index, _info(model, self.layer))
        return self

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        self.bound(model)
        cells = _cells(model, self.layer)

        def places(features: Tensor) -> Tensor:
            return cells(features)[..., self.index]

        return (Term(1.0, self.layer, lambda features: places(features).mean(dim=(1, 2)), places),)


@dataclass(frozen=True, eq=False, repr=False)
class Neuron(Target):
    """One number of a layer's output: a channel at a place.

    Parameters
    ----------
    layer : str
        Name of the layer.
    index : int
        Number of the channel.
    row, column : int, optional
        The place; by default the centre, ``h // 2`` and ``w // 2``.
    token : int, optional
        In place of them, the number of a class or register token that goes before those of the grid.

    Raises
    ------
    ValueError
        If there are a place and a token, or half a place.
    """

    layer: str
    index: int
    row: int | None = None
    column: int | None = None
    token: int | None = None

    def __post_init__(self) -> None:
        _check_layer(self.layer)
        for name in ("index", "row", "column", "token"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, integer(name, getattr(self, name), 0))
        if (self.row is None) != (self.column is None) or (self.token is not None and self.row is not None):
            raise ValueError(
                f"row, column, token: wanted a row and a column, or a token, or none of them, got {self.row}, "
                f"{self.column} and {self.token}."
            )

    @property
    def label(self) -> str:
        """For example "neuron 17 of features.8 at 3, 4"."""
        place = "" if self.row is None else f" at {self.row}, {self.column}"
        return f"neuron {self.index} of {self.layer}{place if self.token is None else f', token {self.token}'}"

    def _bound(self, model: VisionModel) -> Neuron:
        info = _info(model, self.layer)
        _check_channel(self.index, info)
        if self.token is not None:
            if self.token >= info.prefix_tokens:
                raise ValueError(
                    f"token: wanted one of the {info.prefix_tokens} tokens before the grid's in {self.layer!r}, got "
                    f"{self.token}."
                )
            return self
        height, width = _grid(info)
        row, column = (height // 2, width // 2) if self.row is None else (self.row, self.column)
        if row >= height or column is None or column >= width:
            raise ValueError(f"row, column: wanted a place on {height} x {width} cells, got {row}, {column}.")
        return Neuron(self.layer, self.index, row, column)

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        at = self._bound(model)
        if at.token is not None:
            return (Term(1.0, self.layer, lambda features: features[:, at.token, at.index]),)
        cells = _cells(model, self.layer)

        def places(features: Tensor) -> Tensor:
            found = cells(features)[..., at.index]
            alone = found.new_zeros(found.shape)
            alone[:, at.row, at.column] = found[:, at.row, at.column]
            return alone

        def values(features: Tensor) -> Tensor:
            return cells(features)[:, at.row, at.column, at.index]

        return (Term(1.0, self.layer, values, places),)


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
        info = _info(model, self.layer)
        if len(self.direction) != _channels(info):
            raise ValueError(
                f"vector: wanted {_channels(info)} numbers, as {self.layer!r} has features, got {len(self.direction)}."
            )

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        import torch

        from whatwhere.engine.objectives import likeness, pooled

        self._fits(model)
        cells = _cells(model, self.layer)
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
        _check_layer(self.layer)
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


@dataclass(frozen=True, eq=False, repr=False)
class Inversion(Target):
    """An image as a layer sees it: a picture that gives the same features.

    Parameters
    ----------
    layer : str
        Name of the layer.
    image : image
        Anything `whatwhere.pixels.images.read_photo` reads.
    name : str, default ""
        What to call it.
    power : float, default 2
        Of the cosine between all features, which the dot product is multiplied by.
    """

    layer: str
    image: Any
    name: str = ""
    power: float = 2.0

    def __post_init__(self) -> None:
        from whatwhere.pixels.images import read_photo

        _check_layer(self.layer)
        object.__setattr__(self, "image", read_photo(self.image))

    @property
    def label(self) -> str:
        """Its name, or for example "the image in features.8"."""
        return self.name or f"the image in {self.layer}"

    @property
    def whole(self) -> bool:
        """True: features have places."""
        return True

    def _bound(self, model: VisionModel) -> Inversion:
        _info(model, self.layer)
        return self

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        from whatwhere.engine.objectives import likeness
        from whatwhere.nets.probe import output_until

        _info(model, self.layer)
        pixels = model.preprocess.pixels(self.image)
        with model.computing():
            features = output_until(model.net, model.net.get_submodule(self.layer), model.to_input(pixels))
        wanted = features.flatten(1).float().clone()
        wanted /= wanted.norm()

        def values(found: Tensor) -> Tensor:
            return likeness(found.flatten(1).float(), wanted, "dot_cosine", self.power)

        return (Term(1.0, self.layer, values),)


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


def _parts(target: Target) -> tuple[tuple[float, Target], ...]:
    return target.parts if isinstance(target, Sum) else ((1.0, target),)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [float(number) for number in value]
    if hasattr(value, "pixels"):
        return hashlib.blake2b(np.ascontiguousarray(value.pixels).tobytes(), digest_size=8).hexdigest()
    return value


def _check_layer(layer: Any) -> None:
    if not isinstance(layer, str) or not layer:
        raise TypeError(f"layer: wanted the name of a layer, as model.layers() lists them, got {layer!r}.")


def _info(model: VisionModel, layer: str) -> LayerInfo:
    from whatwhere.nets.layers import layer_named

    return layer_named(layer, model.layers())


def _cells(model: VisionModel, layer: str) -> Callable[[Tensor], Tensor]:
    from whatwhere.nets.layers import cells_of

    info = _info(model, layer)
    return lambda features: cells_of(features, info)


def _channels(info: LayerInfo) -> int:
    """Return how many features a place has."""
    match info.layout:
        case "maps":
            return info.shape[0]
        case "maps_last" | "tokens":
            return info.shape[-1]
    return int(np.prod(info.shape))


def _grid(info: LayerInfo) -> tuple[int, int]:
    if info.grid is not None:
        return info.grid
    return (1, info.shape[0] - info.prefix_tokens) if info.layout == "tokens" else (1, 1)


def _check_channel(index: int, info: LayerInfo) -> None:
    if index >= _channels(info):
        raise ValueError(f"index: wanted one of the {_channels(info)} channels of {info.name!r}, got {index}.")
