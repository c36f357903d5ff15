"""Blending tokens in place of pixels, where a network begins with a patch embedding.

A patch embedding is a convolution whose stride is its kernel: linear in each patch by itself. Where every patch lies
within one cell of the mask, embedding a blend of two images is blending their embeddings, up to rounding.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from whatwhere.engine.masks import cell_index
from whatwhere.nets.outputs import read_output
from whatwhere.nets.plans import Runner
from whatwhere.nets.replica import AliasReplica

if TYPE_CHECKING:
    from whatwhere.model import VisionModel

_MIN_PATCH = 2
_SAME = 1e-4  # rounding of one blend, through a whole network


class GivenTokens(nn.Conv2d):
    """A patch embedding that returns the tokens that it was given, whatever it is shown.

    Attributes
    ----------
    tokens : Tensor of shape (N, D, rows, columns)
        What it returns.
    """

    tokens: Tensor

    def forward(self, image: Tensor) -> Tensor:  # noqa: ARG002  # it is not looked at
        """Return the tokens.

        Parameters
        ----------
        image : Tensor of shape (N, C, h, w)
            Any image.

        Returns
        -------
        Tensor of shape (N, D, rows, columns)
            What was given.
        """
        return self.tokens


class TokenBlend:
    """Masked images as blends of two images' tokens.

    Parameters
    ----------
    runner : Runner
        A network whose patch embedding is a `GivenTokens`.
    name : str
        Name of that layer.
    image : Tensor of shape (1, C, h, w)
        Any image of the right size: the network reads its shape only.
    ends : (Tensor, Tensor)
        Tokens of the baseline and of the image, (1, D, rows, columns).
    cells : Tensor of shape (rows * columns,), int64
        The cell that each token lies in.
    """

    def __init__(self, runner: Runner, name: str, image: Tensor, ends: tuple[Tensor, Tensor], cells: Tensor) -> None:
        self.plan = runner.plan
        self._runner, self._name, self._image, self._ends, self._cells = runner, name, image, ends, cells
        self._buffer: Tensor | None = None

    @classmethod
    def of(cls, model: VisionModel, baseline: Tensor, image: Tensor, grid: tuple[int, int]) -> TokenBlend | None:
        """Make one where it is exact.

        Parameters
        ----------
        model : VisionModel
            The network.
        baseline, image : Tensor of shape (1, C, h, w)
            Normalised, on the device.
        grid : (int, int)
            Cells down and across.

        Returns
        -------
        TokenBlend or None
            None if the network begins with something else, or patches straddle cells.
        """
        name = patch_embedding(model.net, image) if model.aliased else None
        if name is None:
            return None
        own = AliasReplica(model.net).net
        conv = own.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        cells = token_cells((image.shape[-2], image.shape[-1]), (conv.stride[0], conv.stride[1]), grid)
        if cells is None:
            return None
        ends = conv(baseline.clone()), conv(image.clone())
        conv.__class__ = GivenTokens  # of this alias only
        conv.tokens = ends[1].clone()
        wanted = read_output(model.net(image.clone()), model.output, 1).to(torch.float32, copy=True)
        got = read_output(own(baseline.clone()), model.output, 1).float()
        if not bool((wanted - got).abs().max() <= _SAME * (1 + wanted.abs().max())):
            return None  # it looks at the image elsewhere too
        conv.tokens = ends[1].clone()
        return cls(Runner(own, model.plan, image, model.output), name, image, ends, cells.to(image.device))

    @property
    def n_probes(self) -> int:
        """Forwards that it took to make it."""
        return 3 + self._runner.n_probes

    def __call__(self, masks: Tensor, clock: Any) -> Tensor:
        """Run the network on masked images.

        Parameters
        ----------
        masks : Tensor of shape (b, cells), float32
            Values in [0, 1], on the device.
        clock : callable
            Times the network.

        Returns
        -------
        Tensor of shape (b, classes), float32
            Logits.
        """
        baseline, image = self._ends
        count = len(masks)
        if self._buffer is None or len(self._buffer) != count:
            self._buffer = torch.empty((count, *image.shape[1:]), dtype=image.dtype, device=image.device)
        weights = masks.to(image.dtype)[:, self._cells].view(count, 1, *image.shape[-2:])
        torch.lerp(baseline, image, weights, out=self._buffer)
        return clock(self._run, self._buffer)

    def _run(self, tokens: Tensor) -> Tensor:
        return self._runner.over(self._logits, self._image.expand(len(tokens), -1, -1, -1), tokens)

    def _logits(self, net: nn.Module, images: Tensor, tokens: Tensor) -> Tensor:
        layer = _embedding(net, self._name)
        layer.tokens = tokens
        try:
            return self._runner.logits(net, images)
        finally:
            layer.tokens = self._ends[1]  # a copy of the network keeps no batch alive

    def forget(self) -> None:
        """Give the buffer back."""
        self._buffer = None


def _embedding(net: nn.Module, name: str) -> GivenTokens:
    found = net.get_submodule(name)
    assert isinstance(found, GivenTokens)
    return found


def patch_embedding(net: nn.Module, example: Tensor) -> str | None:
    """Find the convolution that cuts the image into patches.

    Parameters
    ----------
    net : nn.Module
        The network in eval mode.
    example : Tensor of shape (1, C, h, w)
        A normalised image.

    Returns
    -------
    str or None
        Name of a convolution that reads the image itself, once, with stride equal to its kernel and no padding, and
        is the only module with parameters that does; None if there is none.
    """
    candidates = {name: m for name, m in net.named_modules() if isinstance(m, nn.Conv2d) and _cuts_patches(m)}
    if not candidates:
        return None
    readers: list[str] = []
    shown = example.clone()  # some networks normalise in place

    def note(name: str, inputs: tuple[Any, ...]) -> None:
        if any(isinstance(x, Tensor) and x.data_ptr() == shown.data_ptr() for x in inputs):
            readers.append(name)

    with contextlib.ExitStack() as hooks:
        for name, module in net.named_modules():
            if not list(module.children()):  # the containers above it read the image as well
                handle = module.register_forward_pre_hook(lambda _, inputs, name=name: note(name, inputs))
                hooks.callback(handle.remove)
        net(shown)
    return readers[0] if len(readers) == 1 and readers[0] in candidates else None


def _cuts_patches(conv: nn.Conv2d) -> bool:
    return (
        type(conv) is nn.Conv2d
        and tuple(conv.stride) == tuple(conv.kernel_size)
        and min(conv.stride) >= _MIN_PATCH
        and set(conv.dilation) == {1}
        and conv.padding in ((0, 0), "valid")
    )


def token_cells(size: tuple[int, int], patch: tuple[int, int], grid: tuple[int, int]) -> Tensor | None:
    """Return the cell that each patch lies in.

    Parameters
    ----------
    size : (int, int)
        Height and width of the input in pixels.
    patch : (int, int)
        Height and width of a patch.
    grid : (int, int)
        Cells down and across.

    Returns
    -------
    Tensor of shape (patches,), int64, or None
        Row by row; None if a patch lies in several cells. Pixels beyond the last whole patch are seen by nobody.
    """
    rows, columns = (side // step for side, step in zip(size, patch, strict=True))
    if not rows or not columns:
        return None
    cells = torch.from_numpy(cell_index(*size, grid))[: rows * patch[0], : columns * patch[1]]
    blocks = cells.reshape(rows, patch[0], columns, patch[1]).movedim(2, 1).reshape(rows * columns, -1)
    return blocks[:, 0].clone() if bool((blocks == blocks[:, :1]).all()) else None
