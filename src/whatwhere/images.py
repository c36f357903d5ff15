"""Reading and checking images.

Pixel space is RGB float32 in [0, 1], shape (H, W, 3). This module imports no torch: tensors are recognised by what they
can do.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

#: What stands for one image: a file, its bytes, a PIL image, a numpy array (H, W[, C]), a torch tensor ([C, ]H, W) or
#: a Photo.
ImageLike: TypeAlias = Any
#: An image in pixel space: float32 (H, W, 3), values in [0, 1].
Pixels: TypeAlias = NDArray[np.float32]

_ROUNDING = 1e-6  # floats this far outside [0, 1] come from arithmetic, not from another scale
_GREY, _RGB = 1, 3
_DEEP = 65535
_PLANE, _VOLUME = 2, 3  # axes of an image without and with channels
# Scales that values outside [0, 1] look like, as (lowest, highest, what to do), the narrowest first.
_NORMALISED = "hand a normalised batch over with model.images_from(batch), which undoes the model's own mean and std."
_SCALES = (
    (-0.5, 1.5, f"After a resize that overshoots, clip it to [0, 1]; if it is normalised, {_NORMALISED}"),
    (-1.0, 1.0, f"This looks like a -1 to 1 scale: use (x + 1) / 2, or {_NORMALISED}"),
    (0.0, 255.0, "This looks like a 0 to 255 scale: divide by 255, or pass it as uint8."),
    (0.0, float("inf"), "This looks like a 16-bit scale: divide by 65535, or pass it as uint16."),
)


@dataclass(frozen=True, eq=False)
class Photo:
    """An image in pixel space.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), float32
        RGB values in [0, 1].
    prepared : bool, default False
        Whether it is a network's input already, not to be resized and cropped again.
    """

    pixels: Pixels
    prepared: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


def read_photo(image: ImageLike, *, name: str = "image") -> Photo:
    """Read one image into pixel space.

    Parameters
    ----------
    image : str, Path, bytes, PIL.Image.Image, ndarray, Tensor or Photo
        A file, its contents or its pixels. Arrays are (H, W), (H, W, 1) or (H, W, 3); tensors (H, W), (1, H, W) or
        (3, H, W); uint8, uint16, bool, or floats in [0, 1]. EXIF rotation is applied; a transparent picture is laid on
        white.
    name : str, default "image"
        What error messages call it.

    Returns
    -------
    Photo
        The image as RGB float32 values in [0, 1].

    Raises
    ------
    TypeError
        If `image` is of another kind, or its numbers are neither unsigned integers nor floats.
    ValueError
        If the file is missing or broken, or the array is empty, has NaN or infinite values, values outside [0, 1], or a
        wrong number of channels. The message says which scale the values look like and what to do.
    """
    if isinstance(image, Photo):
        return image
    if isinstance(image, str | Path | bytes | bytearray | memoryview):
        return Photo(_read_file(image, name))
    if isinstance(image, Image.Image):
        return Photo(_from_pil(image, name))
    if _is_tensor(image):
        return Photo(_from_array(_channels_last(_to_numpy(image), name), name))
    if isinstance(image, np.ndarray):
        return Photo(_from_array(image, name))
    raise TypeError(
        f"{name}: wanted a path, bytes, a PIL image, a numpy array (H, W, 3) or a torch tensor (3, H, W), "
        f"got {type(image).__module__}.{type(image).__qualname__}."
    )


def name_images(images: Any) -> dict[str, ImageLike]:
    """Give every image of a collection a name; one image alone is called ``"image"``.

    Parameters
    ----------
    images : image, mapping of str to image, sequence of images, or batch (N, H, W, 3) / Tensor (N, 3, H, W)
        What a person hands over.

    Returns
    -------
    dict of str to image
        In the given order. Mappings keep their keys, files are called after themselves, the rest
        ``"image 1"``, ``"image 2"``, …

    Raises
    ------
    ValueError
        If there is no image at all.
    """
    if isinstance(images, Mapping):
        named = {str(key): image for key, image in images.items()}
    elif _is_one(images):
        named = {_title(images, "image"): images}
    elif isinstance(images, Sequence) or hasattr(images, "shape"):
        named = {}
        for k, image in enumerate(images, start=1):
            title = _title(image, f"image {k}")
            named[title if title not in named else f"{title} ({k})"] = image
    else:
        raise TypeError(
            f"images: wanted an image, or a dict, list or batch of images, got {type(images).__qualname__}; "
            "turn a generator into a list first."
        )
    if not named:
        raise ValueError("images: wanted at least one image, got an empty collection.")
    return named


def is_one_image(images: Any) -> bool:
    """Tell whether a value stands for a single image rather than a collection.

    Parameters
    ----------
    images : object
        What a person handed over.

    Returns
    -------
    bool
        True for a path, bytes, a PIL image, and arrays or tensors of at most three axes.
    """
    return not isinstance(images, Mapping) and _is_one(images)


def _read_file(source: str | Path | bytes | bytearray | memoryview, name: str) -> Pixels:
    where = f"{name}: {str(source)!r}" if isinstance(source, str | Path) else f"{name}: {len(source)} bytes"
    try:
        with Image.open(source if isinstance(source, str | Path) else io.BytesIO(source)) as picture:
            _load(picture)
            return _from_pil(picture, name)
    except FileNotFoundError:
        raise ValueError(f"{where} does not exist (looked in {Path.cwd()}).") from None
    except IsADirectoryError:
        raise ValueError(f"{where} is a folder; pass its files as a list or a dict.") from None
    except UnidentifiedImageError:
        raise ValueError(f"{where} is not an image that Pillow can read.") from None
    except PermissionError:
        raise ValueError(f"{where} cannot be opened: is it a folder, or not yours to read?") from None
    except (OSError, SyntaxError, _BrokenFileError, Image.DecompressionBombError) as error:
        raise ValueError(f"{where} is broken or cut off: {error}.") from error


class _BrokenFileError(Exception):
    """A decoder of Pillow stumbled over a file's contents."""


def _load(picture: Image.Image) -> None:
    try:
        picture.load()
    except (ValueError, IndexError, TypeError, EOFError) as error:  # decoders of rare formats raise what comes up
        raise _BrokenFileError(error) from error


def _from_pil(picture: Image.Image, name: str) -> Pixels:
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I") or upright.mode == "F":  # 16-bit and float greys: Pillow's own conversion clips
        grey = np.asarray(upright)
        if grey.dtype.kind == "i" and 0 <= grey.min() and grey.max() <= _DEEP:  # noqa: SIM300  # reads as a range
            grey = grey.astype(np.uint16)  # Pillow opens some 16-bit files as 32-bit integers
        return _from_array(grey, name)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(upright.convert("RGB"), dtype=np.float32) / np.float32(255)


def _from_array(array: NDArray[Any], name: str) -> Pixels:
    _check_shape(array, name)
    values = _to_unit_scale(array, name)
    if values.ndim == _PLANE:
        values = values[..., np.newaxis]
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], _RGB)))


def _check_shape(array: NDArray[Any], name: str) -> None:
    wanted = f"{name}: wanted (height, width), (height, width, 1) or (height, width, 3), got shape {array.shape}"
    if array.ndim not in (_PLANE, _VOLUME):
        raise ValueError(
            f"{wanted}; pass a batch as a list of images or with a leading axis to a method that takes one."
        )
    if array.size == 0:
        raise ValueError(f"{wanted}, which is empty.")
    if array.ndim == _VOLUME and array.shape[2] not in (_GREY, _RGB):
        first = array.shape[0] in (_GREY, _RGB)
        advice = "channels come last: array.transpose(1, 2, 0)" if first else "keep three channels: array[..., :3]"
        raise ValueError(f"{wanted}; {advice}.")


def _to_unit_scale(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    kind = array.dtype
    if kind == np.bool_:
        return array.astype(np.float32)
    if kind.kind == "u" and kind.itemsize in (1, 2):  # in either byte order
        return array.astype(np.float32) / np.float32(np.iinfo(kind).max)
    if kind.kind != "f":
        raise TypeError(
            f"{name}: wanted uint8, uint16, bool, or floats in [0, 1], got {kind}; use array.astype('uint8') "
            "if its values go from 0 to 255."
        )
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        raise ValueError(
            f"{name}: {bad} of {array.size} values are NaN or infinite; replace them before explaining it."
        )
    low, high = float(array.min()), float(array.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise ValueError(f"{name}: wanted floats in [0, 1], got {low:.4g} to {high:.4g}. {_guess_scale(low, high)}")
    return array.astype(np.float32).clip(0, 1)


def _guess_scale(low: float, high: float) -> str:
    for lowest, highest, advice in _SCALES:
        if lowest <= low and high <= highest:
            return advice
    return f"This looks normalised with a mean and a deviation: {_NORMALISED}"


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def _to_numpy(tensor: Any) -> NDArray[Any]:
    dense = tensor.detach().cpu()
    return np.asarray(dense.float() if dense.is_floating_point() else dense)


def _channels_last(array: NDArray[Any], name: str) -> NDArray[Any]:
    if array.ndim == _VOLUME and array.shape[0] not in (_GREY, _RGB):
        last = array.shape[2] in (_GREY, _RGB)
        advice = "in a tensor channels come first: tensor.permute(2, 0, 1)" if last else "wanted 1 or 3 channels"
        raise ValueError(f"{name}: wanted a tensor (3, height, width), got shape {array.shape}; {advice}.")
    return array.transpose(1, 2, 0) if array.ndim == _VOLUME else array


def _is_one(images: Any) -> bool:
    if isinstance(images, str | Path | bytes | bytearray | memoryview | Image.Image | Photo):
        return True
    return hasattr(images, "shape") and len(images.shape) <= _VOLUME


def _title(image: ImageLike, otherwise: str) -> str:
    return Path(image).stem or otherwise if isinstance(image, str | Path) else otherwise
