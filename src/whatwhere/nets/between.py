"""The part of a network between two layers, as a function of features."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Literal

import torch

from whatwhere.nets.cut import same_but_for_rounding
from whatwhere.nets.dataflow import refilled, tensors_in
from whatwhere.nets.layers import pair_of_images
from whatwhere.nets.probe import hooked, output_until

if TYPE_CHECKING:
    from torch import Tensor, nn

    from whatwhere.nets.cut import Cut


class Between:
    """What a network computes from one layer's features up to another layer: no image, and nothing behind.

    Parameters
    ----------
    net : torch.nn.Module
        The network that both cuts are of, in eval mode.
    first : Cut
        Where features go in.
    second : Cut
        Where features come out; a layer behind the first.
    example : Tensor of shape (N, C, H, W)
        An input on the network's device; one image is enough. Only its size, type and device are kept.

    Attributes
    ----------
    first, second : Cut
        The two ends.
    route : {"split", "replace"}
        "split": the code behind the first layer runs until the second, and costs only that. "replace": the network
        runs on a black image until the second layer, with the first one's output replaced on the way; where the second
        layer contains the first and does more than calling layers one after the other, or where the first cut is made
        so itself.

    Raises
    ------
    ValueError
        If the second layer is the first, or does not lie behind it; if features that go in at the first do not give
        those that an image gives at the second.

    Notes
    -----
    Making one costs about five forward passes of two images, to check that ``between(first.encode(x))`` is
    ``second.encode(x)``. Gradients pass to the features. A call puts hooks on the layers for its length, in its own
    thread.
    """

    def __init__(self, net: nn.Module, first: Cut, second: Cut, example: Tensor) -> None:
        self.first, self.second = first, second
        self._net = net
        self._inner = net.get_submodule(first.layer)
        self._outer = outer = net.get_submodule(second.layer)
        with torch.inference_mode(False), torch.no_grad():
            images = pair_of_images(example.detach().clone())
            self._check_order(images)
            self._form = output_until(net, self._inner, images, name=first.layer)
            self._form = refilled(self._form, iter((images.new_empty(0),)))
            self._like = images[:1].new_empty((0, *images.shape[1:]))
            self.route: Literal["split", "replace"] = "split"
            self._outer = self._last_in(outer, images)
            if self._misfit(images):
                self.route, self._outer = "replace", outer
                misfit = self._misfit(images)
                if misfit:
                    raise ValueError(f"first, second: {misfit}; the network does not give the same features twice.")

    def __repr__(self) -> str:
        return f"<Between {self.first.layer!r} and {self.second.layer!r}, by {self.route}>"

    def __call__(self, features: Tensor) -> Tensor:
        """Compute the second layer's features.

        Parameters
        ----------
        features : Tensor of shape (N, *first.shape)
            Features of the first layer. They are not written to.

        Returns
        -------
        Tensor of shape (N, *second.shape)
            Features of the second.

        Raises
        ------
        TypeError
            If `features` is no tensor.
        ValueError
            If they have another shape.
        """
        wanted = f"(N, {', '.join(map(str, self.first.shape))})"
        if not isinstance(features, torch.Tensor):
            raise TypeError(f"features: wanted a tensor of shape {wanted}, got {type(features).__name__}.")
        if features.ndim != len(self.first.shape) + 1 or tuple(features.shape[1:]) != self.first.shape:
            raise ValueError(f"features: wanted shape {wanted}, got {tuple(features.shape)}.")
        if self.route == "split":
            out = output_until(self.first.decode, self._outer, features, name=self.second.layer)
        else:
            out = self._replaced(features.clone())  # a layer behind may write to them
        return next(tensors_in(out))

    def _replaced(self, features: Tensor) -> object:
        like = self._like
        images = torch.zeros((len(features), *like.shape[1:]), dtype=like.dtype, device=features.device)
        with hooked(self._inner, lambda _: refilled(self._form, iter((features,)))):
            return output_until(self._net, self._outer, images, name=self.second.layer)

    def _check_order(self, images: Tensor) -> None:
        """Refuse a second layer that does not finish behind the first."""
        first, second = self.first.layer, self.second.layer
        if first == second:
            raise ValueError(f"second: wanted a layer behind {first!r}, got the same one.")
        finished: list[str] = []
        with (
            hooked(self._inner, lambda _: finished.append(first)),
            hooked(self._outer, lambda _: finished.append(second)),
        ):
            self._net(images)
        if finished != [first, second]:
            raise ValueError(f"second: wanted a layer behind {first!r}, got {second!r}, which lies before it.")

    def _last_in(self, outer: nn.Module, images: Tensor) -> nn.Module:
        """Return the layer inside a container round the first layer that makes the container's output, if there is one.

        The code of containers is gone from a split network, so that no hook on them is ever called.
        """
        inside = [module for module in outer.modules() if all(part is not self._inner for part in module.modules())]
        if all(module is not self._inner for module in outer.modules()):
            return outer
        outputs: list[tuple[nn.Module, Tensor]] = []
        with contextlib.ExitStack() as hooks:
            for module in inside:
                note = functools.partial(lambda m, out: outputs.extend((m, t) for t in tensors_in(out)), module)
                hooks.enter_context(hooked(module, note))
            whole = next(tensors_in(output_until(self._net, outer, images, name=self.second.layer)))
        return next((module for module, output in reversed(outputs) if output is whole), outer)

    def _misfit(self, images: Tensor) -> str:
        """Say how the features that come out miss an image's own; nothing if they do not."""
        for count in (1, len(images)):
            wanted = self.second.encode(images[:count]).clone()
            try:
                got = self(self.first.encode(images[:count]))
            except RuntimeError as error:  # the code behind the first layer never calls the second as a module
                if self.route == "replace":
                    raise
                return str(error)
            if got.shape != wanted.shape or not same_but_for_rounding(got, wanted):
                return f"features of {self.first.layer!r} do not give those of {self.second.layer!r}"
        return ""
