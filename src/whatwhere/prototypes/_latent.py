"""What holds an accentuated photo near the photo: how far its features at a layer have strayed.

References
----------
C. Hamblin, T. Fel, S. Saha, T. Konkle, G. Alvarez, "Feature Accentuation: Revealing 'What' Features Respond to in
Natural Images", arXiv:2402.10039.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from whatwhere.nets.layers import cells_of, layer_named

if TYPE_CHECKING:
    from torch import Tensor

    from whatwhere.model import VisionModel

_BALANCED = 10  # steps over which the two gradients are weighed against one another


class Leash:
    """The penalty on features that stray from the photo's, and its weight.

    The weight is balanced: at 1 the penalty's gradient is as large as the objective's, over the first steps after the
    photo, where it is none.

    Parameters
    ----------
    weight : float
        Above 0; infinite holds the photo as it is.
    layer : str
        Where features are compared.
    model : VisionModel
        The network.
    """

    def __init__(self, weight: float, layer: str, model: VisionModel) -> None:
        self.weight, self.layer = weight, layer
        self._info = layer_named(layer, model.layers())
        self._sizes: dict[int, tuple[int, float, float]] = {}  # of each prototype: steps, sums of both gradients

    def distances(self, features: Tensor, photo: Tensor) -> Tensor:
        """Return how far features have strayed.

        Parameters
        ----------
        features, photo : Tensor of shape (N, ...)
            The layer's output of crops of the picture, and of the same crops of the photo.

        Returns
        -------
        Tensor of shape (N,), float32
            Mean over places of the Euclidean distance over channels.
        """
        strayed = cells_of(features, self._info).float() - cells_of(photo, self._info).float()
        return torch.linalg.vector_norm(strayed, dim=-1).mean(dim=(1, 2))

    def pull(self, rows: list[int], gradient: Tensor, back: Tensor) -> Tensor:
        """Add both gradients up.

        Parameters
        ----------
        rows : list of int
            Numbers of the prototypes.
        gradient, back : Tensor of shape (B, C, H, W)
            Of the objective, and of minus the distance.

        Returns
        -------
        Tensor of shape (B, C, H, W)
            Their weighted sum; 0 where the weight is infinite.
        """
        if math.isinf(self.weight):
            return torch.zeros_like(gradient)
        forward, backward = (g.abs().sum(dim=(1, 2, 3)).tolist() for g in (gradient, back))
        factors = [self._balance(row, *each) for row, *each in zip(rows, forward, backward, strict=True)]
        return gradient + back * torch.tensor(factors, device=back.device)[:, None, None, None]

    def _balance(self, row: int, forward: float, backward: float) -> float:
        """Return what the distance's gradient is multiplied by."""
        steps, of_objective, of_distance = self._sizes.get(row, (-1, 0.0, 0.0))
        if steps < 0:  # the picture is the photo still: there is nothing to pull but rounding
            self._sizes[row] = (0, 0.0, 0.0)
            return 0.0
        if steps < _BALANCED and math.isfinite(forward) and math.isfinite(backward):
            of_objective, of_distance = of_objective + forward, of_distance + backward
            self._sizes[row] = (steps + 1, of_objective, of_distance)
        return self.weight * of_objective / of_distance if of_distance > 0 else 0.0


def default_layer(model: VisionModel) -> str:
    """Return a block in the middle of a network: features of parts, not yet of the class.

    Of the middle of all layers that have a grid, the outermost block that ends within their first three quarters.
    """
    known = [info.name for info in model.layers() if info.grid is not None]
    if not known:
        raise ValueError(f"layer: {model.name} has no layer with a grid; name one of model.layers().")
    middle = known[len(known) // 2]
    early = known[: max(len(known) // 2 + 1, 3 * len(known) // 4)]
    return next(name for name in sorted(early, key=len) if f"{middle}.".startswith(f"{name}."))
