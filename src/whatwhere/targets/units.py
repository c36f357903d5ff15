"""Single numbers of a layer as targets: a channel everywhere, or at one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whatwhere.engine._checks import integer
from whatwhere.targets._layer import cells_of_layer, check_channel, check_layer, grid_of, info_of
from whatwhere.targets.target import Target, Term

if TYPE_CHECKING:
    from torch import Tensor

    from whatwhere.model import VisionModel


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
        check_layer(self.layer)
        object.__setattr__(self, "index", integer("index", self.index, 0))

    @property
    def label(self) -> str:
        """For example "channel 17 of features.8"."""
        return f"channel {self.index} of {self.layer}"

    def _bound(self, model: VisionModel) -> Channel:
        check_channel(self.index, info_of(model, self.layer))
        return self

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        self.bound(model)
        cells = cells_of_layer(model, self.layer)

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
        check_layer(self.layer)
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
        info = info_of(model, self.layer)
        check_channel(self.index, info)
        if self.token is not None:
            if self.token >= info.prefix_tokens:
                raise ValueError(
                    f"token: wanted one of the {info.prefix_tokens} tokens before the grid's in {self.layer!r}, got "
                    f"{self.token}."
                )
            return self
        height, width = grid_of(info)
        row, column = (height // 2, width // 2) if self.row is None else (self.row, self.column)
        if row >= height or column is None or column >= width:
            raise ValueError(f"row, column: wanted a place on {height} x {width} cells, got {row}, {column}.")
        return Neuron(self.layer, self.index, row, column)

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        at = self._bound(model)
        if at.token is not None:
            return (Term(1.0, self.layer, lambda features: features[:, at.token, at.index]),)
        cells = cells_of_layer(model, self.layer)

        def places(features: Tensor) -> Tensor:
            found = cells(features)[..., at.index]
            alone = found.new_zeros(found.shape)
            alone[:, at.row, at.column] = found[:, at.row, at.column]
            return alone

        def values(features: Tensor) -> Tensor:
            return cells(features)[:, at.row, at.column, at.index]

        return (Term(1.0, self.layer, values, places),)
