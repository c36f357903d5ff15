"""Reading what a layer of a network puts out, by a hook for the length of one call."""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING, Any

from whatwhere.nets.dataflow import tensors_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn


class _LayerReached(BaseException):  # not for `except Exception` inside a network
    """Leave a forward pass once the layer has returned."""


@contextlib.contextmanager
def hooked(module: nn.Module, function: Callable[[Any], Any]) -> Iterator[None]:
    """Give a layer's output to a function, in this thread only; what it returns, if anything, takes its place.

    Parameters
    ----------
    module : torch.nn.Module
        The layer.
    function : callable
        Takes the layer's output.

    Yields
    ------
    None
        Nothing; leaving the block removes the hook.
    """
    here = threading.get_ident()

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        return function(output) if threading.get_ident() == here else None

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def output_until(net: Callable[[Tensor], Any], module: nn.Module, images: Tensor, *, name: str = "") -> Any:
    """Run a network up to a layer, and nothing behind it.

    Parameters
    ----------
    net : torch.nn.Module, or other callable
        The network, or a part of it that calls the layer.
    module : torch.nn.Module
        A layer of it that runs once.
    images : Tensor of shape (N, C, H, W)
        Normalised images, or what the part takes.
    name : str, default ""
        What messages call the layer.

    Returns
    -------
    object
        What the layer returned.

    Raises
    ------
    RuntimeError
        If the network takes another way for these images, which does not pass the layer.
    """
    outputs: list[Any] = []

    def leave(output: Any) -> None:
        outputs.append(output)
        raise _LayerReached

    with hooked(module, leave), contextlib.suppress(_LayerReached):
        net(images)
    if not outputs:
        raise RuntimeError(f"images: the network misses {name!r} for these, unlike the example.")
    return outputs[0]


def output_beside(net: nn.Module, module: nn.Module, images: Tensor, *, copy: bool) -> tuple[Tensor, Any]:
    """Run a whole network, and keep what a layer puts out.

    Parameters
    ----------
    net : torch.nn.Module
        The network.
    module : torch.nn.Module
        A layer of it that runs once and returns one tensor.
    images : Tensor of shape (N, C, H, W)
        Normalised images.
    copy : bool
        Whether to copy the features, which has to be where a layer behind writes to them.

    Returns
    -------
    features, output : Tensor, object
        The layer's output and the network's.
    """
    kept: list[Tensor] = []

    def keep(output: Any) -> None:
        features = next(tensors_in(output))
        kept.append(features.clone() if copy else features)

    with hooked(module, keep):
        answer = net(images)
    return kept[0], answer


def outputs_until(
    net: Callable[[Tensor], Any], modules: Sequence[tuple[str, nn.Module]], images: Tensor, *, whole: bool
) -> tuple[list[Tensor], Any]:
    """Run a network up to the last of several layers, and keep what each of them put out.

    Parameters
    ----------
    net : torch.nn.Module, or other callable
        The network.
    modules : sequence of (str, torch.nn.Module)
        Names and layers in the order in which they finish; each runs once and returns one tensor.
    images : Tensor of shape (N, C, H, W)
        Normalised images.
    whole : bool
        Whether to run the network to its end.

    Returns
    -------
    features : list of Tensor
        The layers' outputs, safe from what layers behind them write; gradients pass.
    output : object
        The network's output; None where it did not run to its end.

    Raises
    ------
    RuntimeError
        If the network takes another way for these images, which misses a layer.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, output: Any) -> None:
        found[name] = next(tensors_in(output)).clone()

    def leave(name: str, output: Any) -> None:
        found[name] = next(tensors_in(output))
        raise _LayerReached

    answer = None
    with contextlib.ExitStack() as hooks:
        for place, (name, module) in enumerate(modules):
            last = not whole and place == len(modules) - 1
            hooks.enter_context(hooked(module, functools.partial(leave if last else keep, name)))
        with contextlib.suppress(_LayerReached):
            answer = net(images)
    missed = [name for name, _ in modules if name not in found]
    if missed:
        raise RuntimeError(f"images: the network misses {missed[0]!r} for these, unlike the example.")
    return [found[name] for name, _ in modules], answer
