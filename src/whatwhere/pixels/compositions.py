"""Compositions of transforms, from torchvision and timm, read step by step without importing either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whatwhere.pixels.checks import pair

if TYPE_CHECKING:
    from collections.abc import Callable

#: What can be given as preprocessing, for messages.
GIVE = (
    "give torchvision's weights.transforms(), a Compose of Resize, CenterCrop, ToTensor and Normalize, a timm data "
    "config, a Hugging Face image processor, or input_size=…, mean=…, std=…"
)
# Pillow's numbers, which transformers uses too.
_BY_NUMBER = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
_COMPOSITIONS = ("Compose", "Sequential")
_LIBRARIES = ("torchvision", "timm", "torch")
_RANDOM = (
    *("AugMix", "AutoAugment", "ColorJitter", "CutMix", "ElasticTransform", "GaussianBlur", "JPEG", "MixUp"),
    *("RandAugment", "ScaleJitter", "TrivialAugmentWide"),
)
# They change nothing that pixel space does not hold already: CLIP's two make pictures RGB.
_IDLE = ("Identity", "RGB", "ToPureTensor", "_convert_image_to_rgb", "_convert_to_rgb")
_PICTURE, _BYTES, _FLOATS = "a PIL image", "8-bit integers", "floats"


def is_composition(source: Any) -> bool:
    """Tell whether a value is a composition of transforms.

    Parameters
    ----------
    source : object
        Anything.

    Returns
    -------
    bool
        True for a Compose of torchvision or timm, and for torch's Sequential.
    """
    return type(source).__name__ in _COMPOSITIONS


def _steps(source: Any) -> list[Any]:
    """Flatten nested compositions, and leave out what changes nothing."""
    inner = getattr(source, "transforms", None)
    steps: list[Any] = []
    for step in inner if isinstance(inner, Iterable) else source:
        if is_composition(step):
            steps.extend(_steps(step))
        elif _name(step) not in _IDLE:
            steps.append(step)
    return steps


def _name(step: Any) -> str:
    return getattr(step, "__name__", type(step).__name__)


@dataclass
class _Progress:
    """What a composition has done up to a step."""

    values: str = _PICTURE
    top: float = 1.0  # the number that white has become, once values are floats
    grey: bool = False
    fields: dict[str, Any] = field(default_factory=dict)

    def refuse(self, step: Any, why: str) -> ValueError:
        return ValueError(f"preprocess: its step {_name(step)} {why}.")


def from_composition(source: Any, *, complete: bool = False) -> dict[str, Any]:
    """Read a composition of transforms.

    Parameters
    ----------
    source : object
        A Compose, or a Sequential, which takes tensors of 8-bit integers.
    complete : bool, default False
        Whether the caller has a mean and a deviation: it may then lack its conversion to a tensor, and leave open for
        how many channels a single mean is.

    Returns
    -------
    dict of str to object
        Fields of a `whatwhere.Preprocess`.

    Raises
    ------
    ValueError
        If a step is random, unknown or out of order, or the composition does not end with floats.
    """
    done = _Progress(values=_BYTES if type(source).__name__ == "Sequential" else _PICTURE)
    for step in _steps(source):
        library, name = type(step).__module__.partition(".")[0], _name(step)
        if name.startswith("Random") or name in _RANDOM:
            raise done.refuse(step, "is random; use the evaluation transform, the one for testing")
        if library not in _LIBRARIES or name not in _READERS:
            raise done.refuse(step, f"cannot be drawn back on the photo; {GIVE}")
        _READERS[name](done, step)
    if not complete and done.values != _FLOATS:
        raise ValueError(
            f"preprocess: it ends with {done.values}, wanted floats; add ToTensor() and Normalize(mean, std), or give "
            "mean=… and std=… as well."
        )
    return {"resize": None, "crop": None, **done.fields, **_normalisation(done, complete=complete)}


def _normalisation(done: _Progress, *, complete: bool) -> dict[str, Any]:
    """Express mean and deviation in values from 0 to 1, one for each channel."""
    channels = 1 if done.grey else 3
    mean, std = (done.fields.get(key, (usual,) * channels) for key, usual in (("mean", 0.0), ("std", 1.0)))
    if len(mean) == 1 and not done.grey:
        if not complete:
            raise ValueError(
                f"preprocess: Normalize(mean={mean}, std={std}) fits grey and colour images alike; give mean and std "
                f"as well, once for a network of grey images (mean=({mean[0]:g},)) or three times for one of RGB."
            )
        mean, std = mean * 3, std * 3
    return {"mean": tuple(m / done.top for m in mean), "std": tuple(s / done.top for s in std)}


def _read_resize(done: _Progress, step: Any) -> None:
    _check_order(done, step, "resize")
    if getattr(step, "max_size", None) is not None or step.size is None:
        raise done.refuse(step, "bounds the long side with max_size, which is not supported; give it a size alone")
    if getattr(step, "antialias", True) is False and done.values != _PICTURE:
        raise done.refuse(step, "skips pixels (antialias=False) on a tensor; resize PIL images, or with antialias=True")
    done.fields.update(
        resize=short_or_pair(step.size),
        interpolation=filter_name(step.interpolation),
        eight_bit=done.values != _FLOATS,
    )


def _read_keep_ratio(done: _Progress, step: Any) -> None:
    """Timm's ResizeKeepRatio: `longest` goes from covering the size to being contained in it."""
    _check_order(done, step, "resize")
    if step.random_scale_prob or step.random_aspect_prob or isinstance(step.interpolation, tuple | list):
        raise done.refuse(step, "is random; use the evaluation transform, the one for testing")
    if step.longest not in (0, 1):
        raise done.refuse(step, f"fits neither the short nor the long side (longest={step.longest})")
    done.fields.update(
        resize=pair(step.size, "size"),
        fit="contain" if step.longest else "cover",
        interpolation=filter_name(step.interpolation),
        eight_bit=done.values != _FLOATS,
    )


def _read_crop(done: _Progress, step: Any) -> None:
    _check_order(done, step, "crop")
    done.fields["crop"] = pair(step.size, "size")


def _read_crop_or_pad(done: _Progress, step: Any) -> None:
    _read_crop(done, step)
    if step.padding_mode != "constant":
        raise done.refuse(step, f"pads with padding_mode={step.padding_mode!r}, wanted 'constant'")
    fill = step.fill if isinstance(step.fill, Iterable) else (step.fill,) * 3
    done.fields["fill"] = tuple(value / 255 for value in fill)


def _read_grey(done: _Progress, step: Any) -> None:
    if step.num_output_channels != 1:
        raise done.refuse(step, "makes three equal channels, which is not supported")
    done.grey = True


def _read_to_bytes(done: _Progress, step: Any) -> None:
    if done.values == _FLOATS:
        raise done.refuse(step, "comes after the values have become floats")
    done.values = _BYTES


def _read_to_floats(done: _Progress, step: Any) -> None:
    """ToTensor scales to [0, 1]; timm's of the same name does not."""
    if done.values == _FLOATS:
        return
    done.top = 255.0 if type(step).__module__.startswith("timm") and _name(step) == "ToTensor" else 1.0
    done.values = _FLOATS


def _read_dtype(done: _Progress, step: Any) -> None:
    """ConvertImageDtype and ToDtype: floats, scaled or not, or no change."""
    dtype = step.dtype
    if isinstance(dtype, Mapping):
        raise done.refuse(step, "has a dtype for each kind of input; give it one: ToDtype(torch.float32, scale=True)")
    if done.values == _PICTURE:
        raise done.refuse(step, "comes before ToImage() or PILToTensor(), and leaves PIL images as they are")
    if not getattr(dtype, "is_floating_point", False):
        if done.values == _FLOATS or str(dtype) != "torch.uint8":
            raise done.refuse(step, f"makes {dtype}, wanted floats")
        return
    if done.values == _BYTES:
        done.top = 1.0 if getattr(step, "scale", True) else 255.0
        done.values = _FLOATS


def _read_normalize(done: _Progress, step: Any) -> None:
    if done.values != _FLOATS:
        raise done.refuse(step, f"normalises {done.values}; put ToTensor() before it")
    if "mean" in done.fields:
        raise done.refuse(step, "normalises a second time")
    done.fields.update(mean=floats(step.mean), std=floats(step.std))


def _check_order(done: _Progress, step: Any, key: str) -> None:
    if key in done.fields:
        raise done.refuse(step, f"is a second {key}; keep one")
    if "crop" in done.fields:
        raise done.refuse(step, "resizes after the crop; resize first")
    if "mean" in done.fields:
        raise done.refuse(step, "comes after Normalize; put Normalize last")


_READERS: dict[str, Callable[[_Progress, Any], None]] = {
    "Resize": _read_resize,
    "ResizeKeepRatio": _read_keep_ratio,
    "CenterCrop": _read_crop,
    "CenterCropOrPad": _read_crop_or_pad,
    "Grayscale": _read_grey,
    "PILToTensor": _read_to_bytes,
    "ToImage": _read_to_bytes,
    "MaybePILToTensor": _read_to_bytes,
    "ToTensor": _read_to_floats,
    "MaybeToTensor": _read_to_floats,
    "ConvertImageDtype": _read_dtype,
    "ToDtype": _read_dtype,
    "Normalize": _read_normalize,
}


def short_or_pair(size: Any) -> int | tuple[int, int]:
    """Read a size as torchvision writes it.

    Parameters
    ----------
    size : int or sequence of one or two ints
        One number is the short side, two are height and width.

    Returns
    -------
    int or tuple of two ints
        The short side, or height and width.
    """
    sizes = list(size) if isinstance(size, Iterable) else [size]
    return int(sizes[0]) if len(sizes) == 1 else pair(sizes, "size")


def floats(values: Any) -> tuple[float, ...]:
    """Read numbers from a sequence, a tensor or one number.

    Parameters
    ----------
    values : float, sequence of floats or Tensor of one axis
        The numbers.

    Returns
    -------
    tuple of floats
        The numbers.
    """
    return tuple(float(value) for value in (values if isinstance(values, Iterable) else (values,)))


def filter_name(mode: Any) -> str:
    """Name a resampling filter as Pillow does.

    Parameters
    ----------
    mode : str, int or InterpolationMode
        Its name, Pillow's number for it, or torchvision's enumeration.

    Returns
    -------
    str
        The name. Torchvision's ``nearest-exact`` on tensors is Pillow's ``nearest``.
    """
    value = getattr(mode, "value", mode)
    name = _BY_NUMBER[value] if isinstance(value, int) and 0 <= value < len(_BY_NUMBER) else str(value)
    return "nearest" if name == "nearest-exact" else name
