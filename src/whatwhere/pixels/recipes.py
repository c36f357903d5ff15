"""How other libraries write preprocessing down: torchvision, timm and transformers, read without importing them.

Each reader gives the fields of a `whatwhere.Preprocess`, or says why the steps are none.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from whatwhere.pixels.checks import pair
from whatwhere.pixels.compositions import GIVE, filter_name, floats, from_composition, is_composition, short_or_pair

if TYPE_CHECKING:
    from collections.abc import Sequence

_IMAGENET_CROP_SHARE = 0.875  # timm's, where a config has none
_CONVNEXT_WHOLE = 384  # pixels from which ConvNeXT's processor stretches instead of cropping
_TEACH = (
    "preprocess: say how pixels become the network's input: preprocess=weights.transforms() (torchvision), "
    "a timm data config (timm.data.resolve_model_data_config(net)), a Hugging Face image processor, or "
    "input_size=224, mean=…, std=… as in training"
)
_PRESETS = ("ImageClassification", "SemanticSegmentation", "ObjectDetection")


def read(source: Any, *, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> dict[str, Any]:
    """Read the preprocessing of another library.

    Parameters
    ----------
    source : object
        A torchvision preset, weights or Compose, a timm data config or transform, or a Hugging Face image processor.
    mean, std : sequence of floats, optional
        What the caller will put in place of the source's own. With both, a Compose may lack its conversion to a
        tensor, or leave open for how many channels its single mean is.

    Returns
    -------
    dict of str to object
        Fields of a `whatwhere.Preprocess`.

    Raises
    ------
    TypeError
        If `source` is of another kind.
    ValueError
        If it does something else than resizing, central cropping and normalising.
    """
    kind = type(source).__name__
    if isinstance(source, type):
        raise TypeError(f"preprocess: wanted an instance, got the class {source.__name__}; for weights, its .DEFAULT.")
    if hasattr(source, "transforms") and hasattr(source, "meta"):
        source = source.transforms()
        kind = type(source).__name__
    if isinstance(source, Mapping):
        return _from_timm(source)
    if kind in _PRESETS:
        return _from_preset(source)
    if is_composition(source):
        return from_composition(source, complete=mean is not None and std is not None)
    if is_processor(source):
        return _from_processor(source)
    raise TypeError(_why_not(source))


def from_words(words: dict[str, Any], mean: Sequence[float] | None, std: Sequence[float] | None) -> dict[str, Any]:
    """Read preprocessing from keywords alone.

    Parameters
    ----------
    words : dict of str to object
        ``input_size``, ``resize``, ``crop`` and ``interpolation``, as `whatwhere.Preprocess.read` takes them.
    mean, std : sequence of floats or None
        Of the network's input.

    Returns
    -------
    dict of str to object
        Fields of a `whatwhere.Preprocess`.

    Raises
    ------
    ValueError
        If the mean, the deviation or the size is missing, or the words contradict each other.
    """
    missing = [key for key, value in (("mean", mean), ("std", std)) if value is None]
    if missing:
        raise ValueError(f"{_TEACH}. Missing: {' and '.join(missing)}.")
    size, resize, crop = (words[key] for key in ("input_size", "resize", "crop"))
    fields = {"mean": mean, "std": std, "interpolation": words["interpolation"]}
    size = None if size is None else pair(size, "input_size")
    if crop not in ("center", None):
        raise ValueError(f'crop: wanted "center" or None, got {crop!r}; its size is input_size.')
    if crop is None:
        if size is not None and resize is not None:
            raise ValueError(
                f"resize: with crop=None the whole photo becomes the input, of {size}; leave resize={resize!r} out."
            )
        return {"resize": size or resize, "crop": None, **fields}
    if size is None:
        if isinstance(resize, Iterable):
            return {"resize": resize, "crop": None, **fields}
        raise ValueError(f"{_TEACH}. Missing: input_size (crop=None shows the network whole photos instead).")
    if resize is None:
        return {"resize": size, "fit": "cover", "crop": size, **fields}
    return {"resize": resize, "crop": size, **fields}


def is_processor(source: Any) -> bool:
    """Tell whether a value looks like a Hugging Face image processor.

    Parameters
    ----------
    source : object
        Anything.

    Returns
    -------
    bool
        True if it has the settings ``do_resize`` and ``size``.
    """
    return hasattr(source, "do_resize") and hasattr(source, "size")


def _why_not(source: Any) -> str:
    kind = type(source).__name__
    if isinstance(source, functools.partial):
        return "preprocess: wanted transforms, got a function that makes them; call it: weights.transforms()."
    if kind in ("VideoClassification", "OpticalFlow"):
        return f"preprocess: {kind} is for video; whatwhere explains networks of single images."
    if hasattr(source, "image_processor"):
        return f"preprocess: {kind} also prepares text; give its image part: processor.image_processor."
    if callable(source):
        return (
            f"preprocess: {kind} can be called but not read; a map on the network's input has to be drawn back on the "
            f"photo, so where each pixel came from must be known: {GIVE}."
        )
    return f"preprocess: got {kind}, which is not known; {GIVE}."


def _from_preset(preset: Any) -> dict[str, Any]:
    resize, crop = getattr(preset, "resize_size", None), getattr(preset, "crop_size", None)
    return {
        "resize": None if resize is None else short_or_pair(resize),
        "crop": None if crop is None else pair(crop, "crop_size"),
        "mean": getattr(preset, "mean", (0.0, 0.0, 0.0)),
        "std": getattr(preset, "std", (1.0, 1.0, 1.0)),
        "interpolation": filter_name(getattr(preset, "interpolation", "bilinear")),
        "eight_bit": True,
    }


def _from_timm(config: Mapping[str, Any]) -> dict[str, Any]:
    missing = [key for key in ("input_size", "mean", "std") if config.get(key) is None]
    if missing:
        raise ValueError(
            "preprocess: wanted a timm data config with input_size, mean and std, got a dict without "
            f"{', '.join(missing)}; timm.data.resolve_model_data_config(net) makes one."
        )
    if config.get("crop_border_pixels"):
        raise ValueError("preprocess: crop_border_pixels in a timm data config is not supported; leave it out.")
    sizes = config["input_size"]
    if not isinstance(sizes, Iterable) or len(list(sizes)) != 3:  # noqa: PLR2004  # channels, height, width
        raise ValueError(f"preprocess: wanted input_size = (channels, height, width), got {sizes!r}.")
    channels, *rest = sizes
    size = pair(rest, "input_size")
    mean, std = floats(config["mean"]), floats(config["std"])
    if channels != len(mean):
        raise ValueError(f"preprocess: wanted a mean for each of {channels} channels of input_size, got {mean}.")
    share = config.get("crop_pct") or _IMAGENET_CROP_SHARE
    resize = math.floor(size[0] / share), math.floor(size[1] / share)
    mode = config.get("crop_mode") or "center"
    if mode not in ("center", "squash", "border"):
        raise ValueError(f"preprocess: wanted crop_mode center, squash or border, got {mode!r}.")
    fields = {
        "crop": size,
        "mean": mean,
        "std": std,
        "interpolation": filter_name(config.get("interpolation", "bilinear")),
        "eight_bit": True,
    }
    if mode == "squash":
        return {"resize": resize, **fields}
    if mode == "border":
        fill = tuple(round(255 * value) / 255 for value in mean)
        return {"resize": resize, "fit": "contain", "fill": fill, **fields}
    return {"resize": resize[0], **fields} if resize[0] == resize[1] else {"resize": resize, "fit": "cover", **fields}


def _from_processor(processor: Any) -> dict[str, Any]:
    kind = type(processor).__name__
    size = dict(processor.size) if processor.do_resize and processor.size else {}
    if sorted(size) not in (["height", "width"], ["shortest_edge"], []):
        raise ValueError(
            f"preprocess: {kind} resizes to {size}, wanted height and width, or shortest_edge; give such a size."
        )
    for key in ("do_pad", "do_thumbnail", "do_align_long_axis"):
        if getattr(processor, key, False):
            raise ValueError(f"preprocess: {kind} has {key}=True, which is not supported; switch it off.")
    resize: int | tuple[int, int] | None = size.get("shortest_edge")
    if "height" in size:
        resize = (size["height"], size["width"])
    crop = None
    if getattr(processor, "do_center_crop", False):
        crop = _edges(processor.crop_size)
    if kind.startswith("ConvNext") and isinstance(resize, int):
        resize, crop = _convnext(resize, processor.crop_pct)
    mean, std = _scaled(processor)
    return {
        "resize": resize,
        "crop": crop,
        "mean": mean,
        "std": std,
        "interpolation": filter_name(processor.resample if processor.resample is not None else "bilinear"),
        "eight_bit": True,
        "margin": "down",
        "channel_order": "BGR" if getattr(processor, "do_flip_channel_order", False) else "RGB",
    }


def _edges(size: Any) -> tuple[int, int]:
    edges = dict(size)
    short = edges.get("shortest_edge")
    return pair((edges.get("height", short), edges.get("width", short)), "crop_size")


def _convnext(short: int, share: float) -> tuple[int | tuple[int, int], tuple[int, int] | None]:
    return (int(short / share), (short, short)) if short < _CONVNEXT_WHOLE else ((short, short), None)


def _scaled(processor: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Express rescaling and normalising as one mean and one deviation of values in [0, 1]."""
    scale = 255 * processor.rescale_factor if getattr(processor, "do_rescale", False) else 255.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if getattr(processor, "do_normalize", False):
        mean, std = (floats(getattr(processor, key)) for key in ("image_mean", "image_std"))
        mean, std = (values * 3 if len(values) == 1 else values for values in (mean, std))
    return tuple(m / scale for m in mean), tuple(s / scale for s in std)
