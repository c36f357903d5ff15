"""From normalised batches, as DataLoaders give them, back to photos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.pixels.arrays import from_tensor, is_tensor
from whatwhere.pixels.images import Photo, unlabelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from whatwhere.pixels.preprocess import Preprocess

_IMAGE_AXES = 3
_ROUNDING = 1e-3  # a normalised batch went through float32 arithmetic
# Relative step of the short floats, which numpy reads as float32.
_SHORT = {"torch.bfloat16": 2.0**-7, "torch.float16": 2.0**-10, "float16": 2.0**-10}


def photos_from_batch(batch: Any, preprocess: Preprocess) -> list[Photo]:
    """Turn a normalised batch back into pixel-space images.

    Parameters
    ----------
    batch : Tensor or ndarray of shape (N, C, H, W) or (C, H, W)
        Images after the network's own normalisation; C is 3, or 1 for a network of grey images. A tuple or list that
        begins with such a batch, and a dict with ``"pixel_values"`` or ``"image"``, give theirs.
    preprocess : Preprocess
        How they were normalised.

    Returns
    -------
    list of Photo
        Images in pixel space. Those of exactly the network's input size are shown to it as they are, without another
        resize and crop; so are all where the input size depends on the photo.

    Raises
    ------
    TypeError
        If it is no tensor or array of floats.
    ValueError
        If the shape is another, a number is NaN or infinite, or undoing mean and deviation leaves [0, 1].
    """
    given = unlabelled(batch)
    numbers = _check(given, len(preprocess.mean))
    pixels = preprocess.denormalise(np.moveaxis(numbers, 1, -1))
    low, high = float(pixels.min()), float(pixels.max())
    rounding = _ROUNDING + _SHORT.get(str(given.dtype), 0.0) * float(np.abs(numbers).max()) * max(preprocess.std)
    if not (low >= -rounding and high <= 1 + rounding):
        raise ValueError(
            f"batch: undoing mean {preprocess.mean} and deviation {preprocess.std} gives values from "
            f"{low:.3g} to {high:.3g}, wanted [0, 1]; was it normalised with other numbers, or not at all?"
        )
    prepared = preprocess.input_size in (None, pixels.shape[1:3])
    return [Photo(np.ascontiguousarray(image.clip(0, 1)), prepared=prepared) for image in pixels]


def photos_from(batches: Any, preprocess: Preprocess) -> Iterator[Photo]:
    """Turn normalised batches back into pixel-space images, one batch at a time.

    Parameters
    ----------
    batches : DataLoader, iterable of batches, or batch
        Of batches as `photos_from_batch` takes them, with or without labels.
    preprocess : Preprocess
        How they were normalised.

    Returns
    -------
    iterator of Photo
        As `photos_from_batch` gives them.

    Raises
    ------
    TypeError
        If it is neither a batch nor an iterable.
    ValueError
        If a batch is refused; see `photos_from_batch`. The batch that stands alone is read at once, the others when
        they come.

    Notes
    -----
    The next batch is fetched when its first photo is asked for: memory is that of one batch.
    """
    if is_batch(batches):
        return iter(photos_from_batch(batches, preprocess))
    if not isinstance(batches, Iterable):
        raise TypeError(f"batch: wanted a batch, a DataLoader or an iterable of batches, got {_kind(batches)}.")
    return (photo for batch in batches for photo in photos_from_batch(batch, preprocess))


def is_batch(value: Any) -> bool:
    """Tell a batch, with or without labels, from a collection of batches.

    Parameters
    ----------
    value : object
        What a person handed over.

    Returns
    -------
    bool
        True for a tensor or array, a dict, and a tuple or list of a tensor or array and something with another number
        of axes: labels.
    """
    if is_tensor(value) or isinstance(value, np.ndarray | Mapping):
        return True
    if not isinstance(value, tuple | list) or not value or not hasattr(value[0], "shape"):
        return False
    return len(value) > 1 and len(getattr(value[1], "shape", ())) != len(value[0].shape)


def _check(batch: Any, channels: int) -> NDArray[np.float32]:
    """Return (N, C, H, W), finite."""
    numbers = from_tensor(batch, "batch") if is_tensor(batch) else batch
    if not isinstance(numbers, np.ndarray):
        raise TypeError(f"batch: wanted a tensor or array (N, {channels}, H, W), got {_kind(batch)}.")
    if numbers.dtype.kind != "f":
        raise TypeError(
            f"batch: wanted normalised floats, got {batch.dtype}; images that are not normalised are explained as they "
            "are, without images_from."
        )
    if numbers.ndim == _IMAGE_AXES:
        numbers = numbers[np.newaxis]
    if numbers.ndim != _IMAGE_AXES + 1 or numbers.shape[1] != channels:
        raise ValueError(f"batch: wanted shape (N, {channels}, H, W) or ({channels}, H, W), got {tuple(batch.shape)}.")
    if numbers.size == 0 or not np.isfinite(numbers).all():
        bad = int(np.count_nonzero(~np.isfinite(numbers)))
        raise ValueError(
            f"batch: wanted finite numbers, got {bad} of {numbers.size} NaN or infinite in shape {numbers.shape}."
        )
    return numbers.astype(np.float32, copy=False)


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
