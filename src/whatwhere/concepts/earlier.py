"""Finding a layer before another one, where what it sees can be taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn

    from whatwhere.model import VisionModel
    from whatwhere.nets.layers import LayerInfo

_SHOWN = 5  # names in a message


def earlier_layer(model: VisionModel, behind: LayerInfo, layer: str | int | nn.Module | None = None) -> str:
    """Choose a layer before another, or check the one that was asked for.

    Parameters
    ----------
    model : VisionModel
        The network.
    behind : LayerInfo
        The layer whose concepts are split.
    layer : str, int, torch.nn.Module or None, default None
        The earlier layer. By default the nearest with other channels and cells at least as fine, which is the end of
        the block before; where all layers have equally many channels, as in a transformer, the nearest block.

    Returns
    -------
    str
        Its name.

    Raises
    ------
    ValueError
        If the layer cannot be cut, is the same layer or another name of it, lies behind, or lies on no grid; or if no
        earlier layer will do.
    """
    before = _before(model, behind)
    if layer is not None:
        return _checked(model, behind, layer, before)
    fine = [info for info in before if info.grid is not None and _is_as_fine(info, behind)]
    other = [info for info in fine if _channels(info) != _channels(behind)]
    if other:
        return other[-1].name
    with model.computing(refresh=False):
        blocks = [info for info in fine if any(model.net.get_submodule(info.name).children())]
    near = [info for info in reversed(blocks) if not _is_same(model, info, behind)]
    if near:
        return near[0].name
    raise ValueError(
        f"layer: before {behind.name!r} there is no layer that can be cut, lies on a grid at least as fine and sees "
        f"anything else; those before are: {_names(before) or 'none'}."
    )


def _before(model: VisionModel, behind: LayerInfo) -> list[LayerInfo]:
    """Return the layers that can be cut and lie before; all of the output passes through them, one after the other."""
    layers = model.layers()
    names = [info.name for info in layers]
    if behind.name not in names:
        raise ValueError(f"layer: the network has no layer {behind.name!r} any more; run Craft again.")
    return [info for info in layers[: names.index(behind.name)] if info.cuttable]


def _checked(model: VisionModel, behind: LayerInfo, layer: str | int | nn.Module, before: list[LayerInfo]) -> str:
    cut = model.cut(layer)
    if cut.layer not in [info.name for info in before]:
        where = "is that layer" if cut.layer == behind.name else "lies behind it"
        raise ValueError(
            f"layer: wanted one before {behind.name!r}, where the concepts are; {cut.layer!r} {where}. The nearest "
            f"before: {_names(before)}."
        )
    if _is_same(model, cut.info, behind):
        raise ValueError(
            f"layer: {cut.layer!r} puts out the very features of {behind.name!r}, where the concepts are; name an "
            f"earlier one. The nearest before: {_names(before)}."
        )
    if cut.grid is None and cut.layout != "vector":
        raise ValueError(
            f"layer: {cut.layer!r} puts out {cut.shape}, which lies on no grid of the image. The nearest before "
            f"{behind.name!r}: {_names([info for info in before if info.grid])}."
        )
    return cut.layer


def _is_same(model: VisionModel, info: LayerInfo, other: LayerInfo) -> bool:
    """Tell whether two layers put out the same numbers, as a container and the last layer in it do."""
    if info.shape != other.shape:
        return False
    first, second = model.cut(info.name), model.cut(other.name)
    with model.computing(refresh=False):
        example = model.example()
        return torch.equal(first.encode(example).clone(), second.encode(example))


def _is_as_fine(info: LayerInfo, other: LayerInfo) -> bool:
    return all(a >= b for a, b in zip(info.grid or (1, 1), other.grid or (1, 1), strict=True))


def _channels(info: LayerInfo) -> int:
    return info.shape[0] if info.layout == "maps" else info.shape[-1]


def _names(layers: list[LayerInfo]) -> str:
    return ", ".join(repr(info.name) for info in reversed(layers[-_SHOWN:]))
