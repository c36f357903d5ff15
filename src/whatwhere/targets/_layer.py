"""Layers that targets read: their cells, channels and places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from whatwhere.model import VisionModel
    from whatwhere.nets.layers import LayerInfo


def check_layer(layer: Any) -> None:
    """Check that it is a name; whether a network has it is looked up once there is one."""
    if not isinstance(layer, str) or not layer:
        raise TypeError(f"layer: wanted the name of a layer, as model.layers() lists them, got {layer!r}.")


def info_of(model: VisionModel, layer: str) -> LayerInfo:
    """Look a layer up, or refuse it."""
    from whatwhere.nets.layers import layer_named

    return layer_named(layer, model.layers())


def cells_of_layer(model: VisionModel, layer: str) -> Callable[[Tensor], Tensor]:
    """Return what lays a layer's output out as places and features."""
    from whatwhere.nets.layers import cells_of

    info = info_of(model, layer)
    return lambda features: cells_of(features, info)


def channels_of(info: LayerInfo) -> int:
    """Return how many features a place has."""
    match info.layout:
        case "maps":
            return info.shape[0]
        case "maps_last" | "tokens":
            return info.shape[-1]
    return int(np.prod(info.shape))


def grid_of(info: LayerInfo) -> tuple[int, int]:
    """Return how many rows and columns of places there are."""
    if info.grid is not None:
        return info.grid
    return (1, info.shape[0] - info.prefix_tokens) if info.layout == "tokens" else (1, 1)


def check_channel(index: int, info: LayerInfo) -> None:
    """Refuse a channel that the layer does not have."""
    if index >= channels_of(info):
        raise ValueError(f"index: wanted one of the {channels_of(info)} channels of {info.name!r}, got {index}.")
