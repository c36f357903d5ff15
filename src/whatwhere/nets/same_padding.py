"""Convolutions with TensorFlow's SAME padding, and the same without a padded copy of their input.

The odd pixel goes to the right and to the bottom, which PyTorch's convolutions cannot do: the input is copied with one
more row and column. A kernel with a row and a column of zeros before it gives the same numbers with equal padding on
both sides. EfficientNet-Lite0 in batches of four spent a twentieth of its time on such copies, and a fifth and more in
batches of sixteen, where each is fresh memory.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeGuard, cast

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

if TYPE_CHECKING:
    from torch import Tensor


class SamePadConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: the odd pixel goes to the right and to the bottom."""

    def pads(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Say how many pixels of padding an input needs.

        Parameters
        ----------
        height, width : int
            Size of the input in pixels.

        Returns
        -------
        tuple of (int, int)
            Above and below, then left and right.
        """
        sides = zip((height, width), self.stride, self.kernel_size, strict=True)
        whole = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size, stride, kernel in sides]
        down, across = ((every // 2, every - every // 2) for every in whole)
        return down, across

    def forward(self, x: Tensor) -> Tensor:
        """Pad so that the output has ceil(input / stride) pixels a side, then convolve.

        Parameters
        ----------
        x : Tensor of shape (N, C, H, W)
            The input.

        Returns
        -------
        Tensor of shape (N, C_out, ceil(H / stride), ceil(W / stride))
            The output.
        """
        (above, below), (left, right) = self.pads(x.shape[-2], x.shape[-1])
        return super().forward(functional.pad(x, (left, right, above, below)))


class UncopiedSamePadConv2d(SamePadConv2d):
    """The same without a copy of the input, for kernels of few numbers."""

    @classmethod
    def of(cls, conv: SamePadConv2d) -> UncopiedSamePadConv2d:
        """Make one of a layer.

        Parameters
        ----------
        conv : SamePadConv2d
            The layer; it stays as it is.

        Returns
        -------
        UncopiedSamePadConv2d
            With everything that the layer has, its parameters among it.
        """
        twin = copy.copy(conv)
        twin.__class__ = cls
        return cast("UncopiedSamePadConv2d", twin)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve.

        Parameters
        ----------
        x : Tensor of shape (N, C, H, W)
            The input.

        Returns
        -------
        Tensor of shape (N, C_out, ceil(H / stride), ceil(W / stride))
            As from `SamePadConv2d`.
        """
        (above, below), (left, right) = self.pads(x.shape[-2], x.shape[-1])
        weight = functional.pad(self.weight, (right - left, 0, below - above, 0))
        return functional.conv2d(x, weight, self.bias, self.stride, (below, right), self.dilation, self.groups)


def avoid_copies(net: nn.Module) -> int:
    """Replace every such convolution that works on each channel for itself, in place.

    Parameters
    ----------
    net : nn.Module
        A network of one's own, in float32 on the CPU, for inference; the modules are replaced, their parameters shared.

    Returns
    -------
    int
        How many were replaced. One that mixes channels stays: there the larger kernel costs more than the copy.
    """
    found = [(name, module) for name, module in net.named_modules(remove_duplicate=False) if _is_depthwise(module)]
    made: dict[int, UncopiedSamePadConv2d] = {}
    for name, conv in found:
        if name:  # else it is the network itself
            made[id(conv)] = made.get(id(conv)) or UncopiedSamePadConv2d.of(conv)
            net.set_submodule(name, made[id(conv)])
    return len(made)


def _is_depthwise(module: nn.Module) -> TypeGuard[SamePadConv2d]:
    """Tell whether a layer is such a convolution, with weights of its own and nothing hooked to it."""
    if type(module) is not SamePadConv2d or module.groups != module.in_channels:
        return False
    hooked = module._forward_pre_hooks or module._forward_hooks or is_parametrized(module)  # noqa: SLF001
    usual = module.dilation == (1, 1) and module.padding == (0, 0) and module.padding_mode == "zeros"
    return usual and module.weight.dtype is torch.float32 and module.weight.device.type == "cpu" and not hooked
