"""Choosing the layer that concepts are read at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from whatwhere.nets.dataflow import tensors_in

if TYPE_CHECKING:
    from whatwhere.model import VisionModel
    from whatwhere.nets.cut import Cut

_TRIES = 6


def choose_layer(model: VisionModel) -> str:
    """Choose where to look for concepts, if nobody says.

    Parameters
    ----------
    model : VisionModel
        The network.

    Returns
    -------
    str
        The last layer whose features are at least 0, lie on a grid of several cells, and are followed by affine
        operations only, so that contributions are exact; else the last layer with a grid whose cells reach the output,
        which those behind the last attention do not where the class token is read alone.

    Raises
    ------
    ValueError
        If no layer lies on a grid.
    """
    with model.computing():
        return model.once("layer of concepts", lambda: _chosen(model))


def _chosen(model: VisionModel) -> str:
    """Look at the layers, and try the decoders of the likeliest ones."""
    gridded = [info for info in model.layers() if info.cuttable and info.grid and max(info.grid) > 1]
    if not gridded:
        raise ValueError(
            "layer: this network has no layer that can be cut and lies on a grid of the image; name one whose output "
            "is a vector, if there is any, with fit_on='crops'."
        )
    exact = [info for info in gridded if info.affine_head and info.nonnegative]
    for info in [*reversed(exact), *reversed(gridded[-_TRIES:])]:
        cut = model.cut(info.name)
        if _reaches_output(model, cut):
            return info.name
    return (exact or gridded)[-1].name  # nothing moves the output, as with a head of zeros


def _reaches_output(model: VisionModel, cut: Cut) -> bool:
    """Tell whether the output changes when the cells do."""
    with model.computing():
        features = cut.encode(model.example())
        changed = cut.from_grid(torch.zeros_like(cut.to_grid(features)), like=features)
        pair = zip(tensors_in(cut.decode(features)), tensors_in(cut.decode(changed)), strict=True)
        return any(not torch.equal(a, b) for a, b in pair)  # of whatever size
