"""A network cut in two at a layer: the encoder up to it, and the decoder behind it."""

from __future__ import annotations

import contextlib
import itertools
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from whatwhere.nets.dataflow import refilled, tensors_in
from whatwhere.nets.layers import check_net_and_example, list_layers, nearest_layers, pair_of_images
from whatwhere.nets.probe import hooked, output_until
from whatwhere.nets.split import CannotSplitError, split_tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from whatwhere.nets.layers import LayerInfo

# Of the largest output: the same sums in another order, and such sums in TensorFloat-32, as GPUs make them.
_ROUNDING, _GPU_ROUNDING = 1e-5, 2e-3
_COARSE_ROUNDING = 8  # machine epsilons of half precision, where those are coarser
_GRID_AXES = 4
_TIMINGS = 3


class Cut:
    """A network cut at a layer into an encoder g and a decoder h, with h(g(x)) equal to the network's output.

    The decoder is given features only: it never sees an image.

    Parameters
    ----------
    net : torch.nn.Module
        The network, in eval mode; `whatwhere.nets.replica.AliasReplica.net` is.
    layer : str, int or torch.nn.Module
        The layer's name, the layer itself, or its place among the layers that can be cut, in the order in which they
        finish: -1 is the last.
    example : Tensor of shape (N, C, H, W)
        An input on the network's device; one image is enough. It is not kept, only its size, type and device.
    layers : sequence of LayerInfo, optional
        What `whatwhere.nets.layers.list_layers` said about this network; by default it is asked.

    Attributes
    ----------
    layer : str
        The layer's name.
    info : LayerInfo
        What is known about it.
    shape : tuple of int
        Shape of the features of one image.
    layout : {"maps", "maps_last", "tokens", "vector", "other"}
        How they lie; `grid` and `prefix_tokens` belong to it.
    grid : (int, int) or None
        Rows and columns of the cells that the features lay over the image.
    prefix_tokens : int
        Class and register tokens before those of the grid.
    nonnegative : bool
        Whether the features have no negative numbers; `info.evidence` says how that is known.
    affine : bool
        Whether the decoder is affine, by the operations in it and by a test on random features; the importances of
        concepts are then exact.
    route : {"split", "replace"}
        How the decoder works. "split": it is the code behind the layer, and costs only that. "replace": the network
        runs on a black image, and the layer's output is replaced; layers before it are passed over where they can be.
    reason : str
        Why the route is "replace"; empty for "split".
    written_to : bool
        Whether a layer right behind the cut writes to the features; `decode` copies them first.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If the network is in training mode; if the layer is not known, is scripted, never runs, runs more than once, or
        returns something other than one tensor with one row for each image; if something goes round it, such as the
        skip of a residual block around an inner layer, and the message then names the nearest layers that can be cut.

    Notes
    -----
    - Making a cut costs about ten forward passes of one or two images. That h(g(x)) is the network's output is
      checked on one image and on two, and with features of one image while another is shown.
    - Both halves take any number of images, and pass gradients to images and features. The size of images is the
      example's.
    - Encoding and, on the route "replace", decoding put a hook on the layer for the length of a call: one thread at a
      time for each network.
    """

    def __init__(
        self,
        net: nn.Module,
        layer: str | int | nn.Module,
        example: Tensor,
        *,
        layers: Sequence[LayerInfo] | None = None,
    ) -> None:
        check_net_and_example(net, example)
        if isinstance(layer, bool) or not isinstance(layer, (str, int, nn.Module)):
            raise TypeError(f"layer: wanted a name, a module or an index, got {type(layer).__name__}.")
        listed = tuple(layers) if layers is not None else list_layers(net, example)
        self.layer = _name_of(net, layer, listed)
        self._net, self._module = net, net.get_submodule(self.layer)
        if isinstance(self._module, torch.jit.ScriptModule):
            raise ValueError(  # noqa: TRY004  # the argument is of the right type
                f"layer: {self.layer!r} is a ScriptModule, which takes no hooks; cut at a layer round it."
            )
        with torch.inference_mode(False), torch.no_grad():
            images = pair_of_images(example.detach().clone())  # of no inference mode, so that writes are counted
            self._template, self._answer = self._forms(images)
            self.info = info = _checked(self.layer, listed)
            self.shape, self.layout, self.grid = info.shape, info.layout, info.grid
            self.prefix_tokens, self.nonnegative = info.prefix_tokens, info.nonnegative
            self._like = images[:1].new_empty((0, *images.shape[1:]))
            self._choose_route(images)
            self.written_to = self._writes_to_features(images[:1])
        self._check_affine()

    def __repr__(self) -> str:
        return f"<Cut at {self.layer!r}: {self.shape} {self.layout}, by {self.route}>"

    def encode(self, images: Tensor) -> Tensor:
        """Compute the features of images, and nothing behind them.

        Parameters
        ----------
        images : Tensor of shape (N, C, H, W)
            Normalised images of the example's size.

        Returns
        -------
        Tensor of shape (N, *shape)
            The layer's output.

        Raises
        ------
        RuntimeError
            If the network takes another way for these images, which does not pass the layer.
        """
        return next(tensors_in(output_until(self._net, self._module, images, name=self.layer)))

    def decode(self, features: Tensor) -> Any:
        """Compute the network's output from features.

        Parameters
        ----------
        features : Tensor of shape (N, *shape)
            Features, as `encode` gives them. They are not written to.

        Returns
        -------
        Tensor, or what the network returns
            The output.

        Raises
        ------
        TypeError
            If `features` is no tensor.
        ValueError
            If they have another shape.
        """
        if not isinstance(features, torch.Tensor):
            raise TypeError(f"features: wanted a tensor of shape (N, *{self.shape}), got {type(features).__name__}.")
        if features.ndim != len(self.shape) + 1 or tuple(features.shape[1:]) != self.shape:
            raise ValueError(f"features: wanted shape (N, *{self.shape}), got {tuple(features.shape)}.")
        return self._decoder(features.clone() if self.written_to else features)

    def to_grid(self, features: Tensor) -> Tensor:
        """Lay features out as vectors, one a cell.

        Parameters
        ----------
        features : Tensor of shape (N, *shape)
            Features.

        Returns
        -------
        Tensor of shape (N, h, w, C)
            A view where that is possible. Class and register tokens are left out. Features without places have one
            cell, (N, 1, 1, D).

        Raises
        ------
        ValueError
            If the features lie on no grid.
        """
        match self.layout, self.grid:
            case "maps", (_, _):
                return features.movedim(1, -1)
            case "maps_last", (_, _):
                return features
            case "tokens", (rows, columns):
                return features[:, self.prefix_tokens :].reshape(len(features), rows, columns, self.shape[-1])
            case "vector", _:
                return features[:, None, None, :]
        raise ValueError(f"layer: {self.layer!r} puts out {self.shape}, which lies on no grid of the image.")

    def from_grid(self, cells: Tensor, *, like: Tensor | None = None) -> Tensor:
        """Turn vectors, one a cell, back into features.

        Parameters
        ----------
        cells : Tensor of shape (N, h, w, C)
            One vector a cell, as `to_grid` gives them.
        like : Tensor of shape (N, *shape) or (1, *shape), optional
            Features whose class and register tokens go before those of the grid; needed where there are any. One row
            serves all.

        Returns
        -------
        Tensor of shape (N, *shape)
            Features for `decode`.

        Raises
        ------
        ValueError
            If the shape is another, or `like` is missing or of another shape.

        Notes
        -----
        Prefix tokens are no part of the grid, so what was changed there does not reach them: behind the last attention
        a head that reads the class token alone gives the same output whatever the cells hold.
        """
        wanted = tuple(self.to_grid(cells.new_empty((0, *self.shape))).shape[1:])
        if cells.ndim != _GRID_AXES or tuple(cells.shape[1:]) != wanted:
            raise ValueError(f"cells: wanted shape (N, *{wanted}), got {tuple(cells.shape)}.")
        if self.layout == "maps":
            return cells.movedim(-1, 1)
        if self.layout == "vector":
            return cells[:, 0, 0]
        if self.layout == "maps_last":
            return cells
        tokens = cells.flatten(1, 2)
        if not self.prefix_tokens:
            return tokens
        if like is None:
            raise ValueError(
                f"like: wanted the features that the cells came from, since {self.layer!r} has {self.prefix_tokens} "
                "prefix tokens that no cell holds; got None."
            )
        if tuple(like.shape[1:]) != self.shape or len(like) not in (1, len(cells)):
            raise ValueError(f"like: wanted shape ({len(cells)} or 1, *{self.shape}), got {tuple(like.shape)}.")
        return torch.cat([like[:, : self.prefix_tokens].expand(len(cells), -1, -1), tokens], dim=1)

    @property
    def dtype(self) -> torch.dtype:
        """The network's own precision, that features are decoded in."""
        return self._like.dtype

    def blank(self, count: int = 1) -> Tensor:
        """Make features of zeros.

        Parameters
        ----------
        count : int, default 1
            Number of images.

        Returns
        -------
        Tensor of shape (count, *shape)
            Zeros, of the network's type and on its device.
        """
        return torch.zeros((count, *self.shape), dtype=self._like.dtype, device=self._like.device)

    @contextlib.contextmanager
    def tapped(self, function: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
        """Give the layer's output to a function whenever the network passes it, in this thread.

        Parameters
        ----------
        function : callable
            Called with features (N, *shape); what it returns goes on in their place, None leaves them.

        Yields
        ------
        None
            Nothing; leaving the block takes the function off.
        """

        def pass_on(output: Any) -> Any:
            features = function(next(tensors_in(output)))
            return None if features is None else refilled(self._template, iter((features,)))

        with hooked(self._module, pass_on):
            yield

    @cached_property
    def h_cost(self) -> float:
        """Cost of decoding as a fraction of the whole network's, measured once.

        Returns
        -------
        float
            The median of three ratios of seconds, each after a pass to warm up; about 0 for a cut near the end, about
            1 for one near the image.
        """
        images = torch.zeros((2, *self._like.shape[1:]), dtype=self._like.dtype, device=self._like.device)
        with torch.inference_mode():
            features = self.encode(images)
            self.decode(features)
            ratios = [self._seconds(self.decode, features) / self._seconds(self._net, images) for _ in range(_TIMINGS)]
        return sorted(ratios)[_TIMINGS // 2]

    def _seconds(self, function: Callable[[Tensor], Any], value: Tensor) -> float:
        for _ in range(2):
            start = time.perf_counter()
            function(value)
            if value.is_cuda:
                torch.cuda.synchronize(value.device)
        return time.perf_counter() - start

    def _forms(self, images: Tensor) -> tuple[Any, Any]:
        """Run the network, check that the layer gives one tensor once, and keep the forms of both outputs."""
        outputs: list[Any] = []
        with hooked(self._module, outputs.append):
            answer = self._net(images)
        if len(outputs) != 1:
            how = "never runs as a module" if not outputs else f"runs {len(outputs)} times in one forward pass"
            raise ValueError(f"layer: {self.layer!r} {how}; wanted a layer that runs once.")
        tensors = list(tensors_in(outputs[0]))
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if len(tensors) != 1:
            raise ValueError(
                f"layer: {self.layer!r} returns {type(outputs[0]).__name__} with {len(tensors)} tensors {shapes}; "
                "wanted exactly one."
            )
        if not shapes[0] or shapes[0][0] != len(images):
            raise ValueError(
                f"layer: {self.layer!r} returns shape {shapes[0]} for {len(images)} images; wanted one row an image."
            )
        nothing = itertools.repeat(images.new_empty(0))
        return refilled(outputs[0], nothing), refilled(answer, nothing)

    def _replace(self, features: Tensor, images: Tensor | None = None) -> Any:
        """Run the network with the layer's output replaced."""
        if images is None:
            images = torch.zeros((len(features), *self._like.shape[1:]), dtype=self._like.dtype, device=features.device)
        with hooked(self._module, lambda _: refilled(self._template, iter((features,)))):
            return self._net(images)

    def _choose_route(self, images: Tensor) -> None:
        self.route: Literal["split", "replace"] = "split"
        self.reason = ""
        try:
            tail = split_tail(self._net, self._module, images, self._answer)
            self._decoder: Callable[[Tensor], Any] = lambda features: refilled(
                self._answer, iter(tail(refilled(self._template, iter((features,)))))
            )
            misfit = self._misfit(images)
        except CannotSplitError as error:
            misfit = str(error)
        except Exception as error:  # code that cannot be traced faithfully may fail in any way
            misfit = f"{type(error).__name__}: {error}"
        if misfit:
            self.route, self.reason = "replace", misfit
            self._decoder = self._replace
            misfit = self._misfit(images) or self._misfit(images, show=images.flip(0))
        if misfit:
            raise ValueError(
                f"layer: {self.layer!r} cannot be cut: {misfit}. Something goes round it unseen, such as NumPy code, "
                "or the network does not give the same output twice."
            )

    def _writes_to_features(self, images: Tensor) -> bool:
        """Say whether an in-place layer comes right behind the cut."""
        features = self.encode(images).clone()
        before = features._version  # noqa: SLF001  # torch counts writes there
        self._decoder(features)
        return features._version != before  # noqa: SLF001

    def _misfit(self, images: Tensor, *, show: Tensor | None = None) -> str:
        """Say how decoding misses the network's own output, on one image and on all; nothing if it does not."""
        for count in (1, len(images)):
            wanted = list(tensors_in(self._net(images[:count].clone())))
            features = self.encode(images[:count])
            output = self._decoder(features) if show is None else self._replace(features, show[:count])
            got = list(tensors_in(output))
            if [tensor.shape for tensor in got] != [tensor.shape for tensor in wanted]:
                return f"decoding gives shapes {[tuple(t.shape) for t in got]} for a batch of {count}"
            for mine, own in zip(got, wanted, strict=True):
                if not same_but_for_rounding(mine, own):
                    away = float((mine - own).abs().max())
                    return f"decoding a batch of {count} differs from the network's own output by {away:.3g}"
        return ""

    def _check_affine(self) -> None:
        """Hold h(a + b) + h(0) against h(a) + h(b) on random features."""
        self.affine = False
        if not self.info.affine_head:
            return
        generator = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            a, b = torch.randn((2, 1, *self.shape), generator=generator).to(self._like.device, self._like.dtype)
            rows = self.decode(torch.cat([a + b, torch.zeros_like(a), a, b]))
            self.affine = all(
                same_but_for_rounding(out[0] + out[1], out[2] + out[3], largest=out) for out in tensors_in(rows)
            )


def same_but_for_rounding(a: Tensor, b: Tensor, *, largest: Tensor | None = None) -> bool:
    """Compare two outputs but for rounding, which goes by the largest number.

    Parameters
    ----------
    a, b : Tensor of one shape
        The outputs; NaN equals NaN.
    largest : Tensor, optional
        Where the largest number is looked for; `b` by default.

    Returns
    -------
    bool
        Whether they are the same; without any room where they hold integers.
    """
    if torch.equal(a, b) or not a.is_floating_point():
        return torch.equal(a, b)
    scale = float((b if largest is None else largest).nan_to_num(0, 0, 0).abs().max())
    rounding = _GPU_ROUNDING if a.is_cuda else _ROUNDING
    room = max(rounding, _COARSE_ROUNDING * torch.finfo(a.dtype).eps) * scale
    return torch.allclose(a, b, rtol=0, atol=room, equal_nan=True)


def _name_of(net: nn.Module, layer: str | int | nn.Module, listed: Sequence[LayerInfo]) -> str:
    names = [name for name, _ in net.named_modules(remove_duplicate=False) if name]
    if isinstance(layer, int):
        places = [info.name for info in listed if info.cuttable]
        if not -len(places) <= layer < len(places):
            raise ValueError(f"layer: wanted an index from {-len(places)} to {len(places) - 1}, got {layer}.")
        return places[layer]
    if isinstance(layer, nn.Module):
        name = next((name for name, module in net.named_modules() if module is layer), None)
        if name is None:
            raise ValueError(f"layer: this {type(layer).__name__} is not part of the network; give its name instead.")
        if not name:
            raise ValueError("layer: wanted a layer, got the whole network.")
        return name
    if layer not in names:
        near = nearest_layers(layer, names) or names[:3]
        raise ValueError(f"layer: no layer is called {layer!r}; the nearest are {', '.join(map(repr, near))}.")
    own = net.get_submodule(layer)
    return next(name for name, module in net.named_modules() if module is own)


def _checked(name: str, listed: Sequence[LayerInfo]) -> LayerInfo:
    """Find a layer that can be cut, or say which ones near it can."""
    infos = {info.name: info for info in listed}
    if name in infos and infos[name].cuttable:
        return infos[name]
    order = [info.name for info in listed]
    place = order.index(name) if name in order else len(order)
    before = [info.name for info in listed[:place] if info.cuttable][-2:]
    after = [info.name for info in itertools.islice((i for i in listed[place:] if i.cuttable), 2)]
    near = [f"{n!r} (before)" for n in before] + [f"{n!r} (after)" for n in after]
    raise ValueError(
        f"layer: {name!r} cannot be cut, because the output also depends on the image by a way round it, such as a "
        f"skip connection. The nearest layers that can: {', '.join(near) or 'none'}."
    )
