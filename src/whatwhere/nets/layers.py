"""The layers of a network: what they put out, how it lies on the image, and which of them can be cut."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from whatwhere.nets.dataflow import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from whatwhere.nets.dataflow import Call, Dataflow

Layout = Literal["maps", "maps_last", "tokens", "vector", "other"]
Evidence = Literal["structure", "example"]
Grid = tuple[int, int]

_IMAGE_AXES = 4
_MOST_PREFIX_TOKENS = 16
_SAME_ASPECT = 0.3  # of the logarithm of height over width: grids of a few cells round coarsely
_LAST_AXIS_KINDS = (nn.Linear, nn.LayerNorm)


@dataclass(frozen=True)
class LayerInfo:
    """What is known about a layer's output.

    Parameters
    ----------
    name : str
        Its name, as `torch.nn.Module.get_submodule` takes it.
    kind : str
        Its class.
    shape : tuple of int
        Shape of its output, without the axis of images.
    layout : {"maps", "maps_last", "tokens", "vector", "other"}
        Maps (C, h, w), maps with channels last (h, w, C), tokens (T, D), a vector (D,), or none of these.
    grid : (int, int) or None
        Rows and columns of the cells that the output lays over the image.
    prefix_tokens : int
        Class and register tokens before those of the grid.
    nonnegative : bool
        Whether the output has no negative numbers.
    evidence : {"structure", "example"}
        How that is known: from the operations, whatever the weights and the image, or from one example. A negative
        number that was seen is "example", and certain.
    affine_head : bool
        Whether all that follows is affine: average pooling, flattening, linear layers, BatchNorm in eval mode. The
        importances of concepts at this layer are then exact.
    cuttable : bool
        Whether all of the output passes through this layer once: nothing goes round it.
    calls : int
        How often it runs in one forward pass.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    layout: Layout
    grid: Grid | None
    prefix_tokens: int
    nonnegative: bool
    evidence: Evidence
    affine_head: bool
    cuttable: bool
    calls: int


def list_layers(net: nn.Module, example: Tensor) -> tuple[LayerInfo, ...]:
    """List a network's layers in the order in which they finish.

    Parameters
    ----------
    net : torch.nn.Module
        The network, in eval mode; `whatwhere.nets.replica.AliasReplica.net` is. Its inner layers get hooks for one
        forward pass, and lose them after it.
    example : Tensor of shape (N, C, H, W)
        An input, on the network's device.

    Returns
    -------
    tuple of LayerInfo
        Layers that ran and returned exactly one tensor, with one row for each image. A container stands after its
        last child. A layer that ran several times stands at its last call, and cannot be cut.

    Raises
    ------
    TypeError
        If `net` is no module or `example` no floating-point tensor.
    ValueError
        If the network is in training mode, if the example has another number of axes or no image, or if the network's
        output does not depend on the image.

    Notes
    -----
    One forward pass of at least two images, so that the axis of images can be told from others, and some 20
    microseconds an operation. Tokens are laid on the grid of the last map before them (the patch embedding), or, where
    there is none, on the grid of the image's aspect that needs the fewest prefix tokens; a network's own
    ``num_prefix_tokens`` comes first.
    """
    check_net_and_example(net, example)
    flow = record(net, pair_of_images(example))
    if not flow.outputs:
        raise ValueError(
            "net: wanted an output computed from the image by PyTorch operations, got one that does not depend on it."
        )
    reader = _Reader(net, flow, batch=max(2, len(example)), size=(example.shape[-2], example.shape[-1]))
    last = {call.name: call for call in flow.calls}
    count = {name: sum(call.name == name for call in flow.calls) for name in last}
    order = sorted(last.values(), key=flow.calls.index)
    layers = [reader.read(call, calls=count[call.name]) for call in order if call.name]
    return tuple(layer for layer in layers if layer is not None)


def layer_named(name: str, layers: Sequence[LayerInfo]) -> LayerInfo:
    """Find a layer that runs once, by its name.

    Parameters
    ----------
    name : str
        The layer's name.
    layers : sequence of LayerInfo
        What `list_layers` said.

    Returns
    -------
    LayerInfo
        What is known about it.

    Raises
    ------
    ValueError
        If no layer that returns one tensor has that name (the nearest are listed), or it runs several times.
    """
    found = next((info for info in layers if info.name == name), None)
    if found is None:
        near = nearest_layers(name, [info.name for info in layers]) or [info.name for info in layers[:3]]
        raise ValueError(
            f"layer: no layer that returns one tensor is called {name!r}; the nearest are "
            f"{', '.join(map(repr, near))}. model.layers() lists all."
        )
    if found.calls != 1:
        raise ValueError(
            f"layer: {name!r} runs {found.calls} times in one forward pass; wanted a layer that runs once."
        )
    return found


def cells_of(features: Tensor, info: LayerInfo) -> Tensor:
    """Lay a layer's output out as vectors, one a cell, whether or not it can be cut there.

    Parameters
    ----------
    features : Tensor of shape (N, *info.shape)
        The layer's output.
    info : LayerInfo
        What is known about the layer.

    Returns
    -------
    Tensor of shape (N, h, w, C)
        A view where that is possible. Class and register tokens are left out; tokens on no known grid lie in one row;
        what has no places has one cell.
    """
    if info.layout == "maps":
        return features.movedim(1, -1)
    if info.layout == "maps_last":
        return features
    if info.layout == "tokens":
        rows = features[:, info.prefix_tokens :]
        return rows.reshape(len(rows), *info.grid, -1) if info.grid else rows[:, None]
    return features.flatten(1)[:, None, None]


def nearest_layers(name: str, names: Iterable[str], *, count: int = 3) -> list[str]:
    """Find the layers that a mistyped name may mean.

    Parameters
    ----------
    name : str
        What was asked for.
    names : iterable of str
        The names that there are.
    count : int, default 3
        How many to give at most.

    Returns
    -------
    list of str
        The nearest names: first those that begin or end with the whole of it, then those spelt alike.
    """
    every = [n for n in names if n]
    parts = [n for n in every if name and (n.startswith(f"{name}.") or n.endswith(f".{name}"))]
    alike = difflib.get_close_matches(name, every, n=count, cutoff=0.5)
    return list(dict.fromkeys([*sorted(parts, key=len), *alike]))[:count]


def check_net_and_example(net: nn.Module, example: Tensor) -> None:
    """Check what is listed or cut.

    Parameters
    ----------
    net : torch.nn.Module
        The network.
    example : Tensor
        Its input.

    Raises
    ------
    TypeError
        If `net` is no module or `example` no floating-point tensor.
    ValueError
        If the network is in training mode, or `example` is not (N, C, H, W) with at least one image.
    """
    if not isinstance(net, nn.Module):
        raise TypeError(f"net: wanted a torch.nn.Module, got {type(net).__name__}.")
    if not isinstance(example, torch.Tensor):
        raise TypeError(f"example: wanted a tensor of shape (N, C, H, W), got {type(example).__name__}.")
    if example.ndim != _IMAGE_AXES or example.numel() == 0:
        raise ValueError(f"example: wanted shape (N, C, H, W) with N of 1 or more, got {tuple(example.shape)}.")
    if not example.is_floating_point():
        raise TypeError(f"example: wanted floating-point numbers, got {example.dtype}; normalise the image first.")
    training = [name for name, module in net.named_modules() if getattr(module, "training", False)]
    if training:
        raise ValueError(
            f"net: wanted a network in eval mode, but {training[0] or type(net).__name__!r} is in training mode; take "
            "AliasReplica(net).net, or call net.eval()."
        )


def pair_of_images(example: Tensor) -> Tensor:
    """Make a batch of at least two different images.

    Parameters
    ----------
    example : Tensor of shape (N, C, H, W)
        Images.

    Returns
    -------
    Tensor of shape (max(2, N), C, H, W)
        A single image is followed by itself upside down and a little fainter; more are returned as they are.
    """
    return example if len(example) > 1 else torch.cat([example, example.flip(-2) * 0.75])


class _Reader:
    """Turn recorded calls into LayerInfo."""

    def __init__(self, net: nn.Module, flow: Dataflow, *, batch: int, size: Grid) -> None:
        self.flow, self.batch, self.size = flow, batch, size
        self.bottlenecks, self.affine_after = flow.bottlenecks(), flow.affine_after()
        told = getattr(net, "num_prefix_tokens", None)
        self.told = told if isinstance(told, int) else None
        self.grids: list[Grid] = []

    def read(self, call: Call, *, calls: int) -> LayerInfo | None:
        if len(call.shapes) != 1 or call.node is None or not call.shapes[0] or call.shapes[0][0] != self.batch:
            return None
        shape = tuple(call.shapes[0][1:])
        layout, grid, prefix = self._layout(shape, call.module)
        structural = self.flow.non_negative[call.node] and call.non_negative
        cuttable = calls == 1 and self.bottlenecks[call.node]
        return LayerInfo(
            name=call.name,
            kind=type(call.module).__name__,
            shape=shape,
            layout=layout,
            grid=grid,
            prefix_tokens=prefix,
            nonnegative=call.non_negative,
            evidence="structure" if structural else "example",
            affine_head=cuttable and self.affine_after[call.node],
            cuttable=cuttable,
            calls=calls,
        )

    def _layout(self, shape: tuple[int, ...], module: nn.Module) -> tuple[Layout, Grid | None, int]:
        match shape:
            case (_,):
                return "vector", None, 0
            case (tokens, _):
                grid = self._grid_of(tokens)
                return "tokens", grid, tokens - math.prod(grid) if grid else 0
            case (a, b, c):
                first, last = self._misfit((b, c)), self._misfit((a, b))
                if min(first, last) > _SAME_ASPECT:
                    return "other", None, 0
                if last < first or (last == first and isinstance(module, _LAST_AXIS_KINDS)):
                    return "maps_last", (a, b), 0
                self.grids.append((b, c))
                return "maps", (b, c), 0
        return "other", None, 0

    def _misfit(self, grid: Grid) -> float:
        """Compare a grid's aspect to the image's; infinite if it is finer than the image."""
        if any(cells == 0 or cells > pixels for cells, pixels in zip(grid, self.size, strict=True)):
            return math.inf
        return abs(math.log(grid[0] / grid[1] * self.size[1] / self.size[0]))

    def _grid_of(self, tokens: int) -> Grid | None:
        allowed: Sequence[int] = range(_MOST_PREFIX_TOKENS + 1) if self.told is None else (self.told, 0)
        for grid in reversed(self.grids):
            if tokens - math.prod(grid) in allowed:
                return grid
        for prefix in () if self.grids else allowed:
            rows = round(math.sqrt(max(0, tokens - prefix) * self.size[0] / self.size[1]))
            if rows and (tokens - prefix) % rows == 0:
                grid = (rows, (tokens - prefix) // rows)
                if self._misfit(grid) < 1e-9:  # noqa: PLR2004  # exactly the image's aspect, but for rounding
                    return grid
        return None
