"""The layers of a network and its cuts, looked for once and kept while the network stays as it is."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, TypeVar

import torch

from whatwhere.nets.cut import Cut
from whatwhere.nets.layers import list_layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from whatwhere.nets.layers import LayerInfo
    from whatwhere.nets.replica import AliasReplica

_KEPT = 8  # cuts; each holds traced code and no tensors


FoundT = TypeVar("FoundT")


class Anatomy:
    """Layers and cuts of an alias.

    Training steps, and layers that were replaced, make them anew: what was seen in one example may hold no more.

    Parameters
    ----------
    alias : AliasReplica
        The network's alias; held by the caller's lock while it is looked at.
    """

    def __init__(self, alias: AliasReplica) -> None:
        self._alias = alias
        self._state: tuple[int, ...] | None = None
        self._layers: tuple[LayerInfo, ...] | None = None
        self._cuts: OrderedDict[str, Cut] = OrderedDict()

    def layers(self, example: Tensor) -> tuple[LayerInfo, ...]:
        """List the layers.

        Parameters
        ----------
        example : Tensor of shape (1, C, H, W)
            A normalised image.

        Returns
        -------
        tuple of LayerInfo
            See `whatwhere.nets.layers.list_layers`.
        """
        self._follow()
        if self._layers is None:
            self._layers = self._undisturbed(lambda: list_layers(self._alias.net, example))
        return self._layers

    def cut(self, layer: str | int | nn.Module, example: Tensor) -> Cut:
        """Cut the network.

        Parameters
        ----------
        layer : str, int or torch.nn.Module
            See `whatwhere.nets.cut.Cut`.
        example : Tensor of shape (1, C, H, W)
            A normalised image.

        Returns
        -------
        Cut
            The same object for the same layer.

        Raises
        ------
        TypeError, ValueError
            As `whatwhere.nets.cut.Cut`.
        """
        layers = self.layers(example)
        place = self._alias.twin_of(layer) if isinstance(layer, torch.nn.Module) else layer
        if isinstance(place, str) and place in self._cuts:
            self._cuts.move_to_end(place)
            return self._cuts[place]
        cut = self._undisturbed(lambda: Cut(self._alias.net, place, example, layers=layers))
        self._cuts[cut.layer] = cut
        while len(self._cuts) > _KEPT:
            self._cuts.popitem(last=False)
        return cut

    def _undisturbed(self, look: Callable[[], FoundT]) -> FoundT:
        """Look at the network; again with its numbers held where somebody trained it meanwhile.

        Outputs of two moments of a training differ, which looks like a network that cannot be cut.
        """
        before = self._alias.stamp()
        try:
            found = look()
        except ValueError:
            if self._alias.stamp() == before:
                raise
        else:
            if self._alias.stamp() == before:
                return found
        with self._alias.held():
            return look()

    def _follow(self) -> None:
        """Forget what was found before the network was changed."""
        state = self._alias.stamp()
        if state != self._state:
            self._state, self._layers = state, None
            self._cuts.clear()
