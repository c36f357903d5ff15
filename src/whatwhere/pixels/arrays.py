"""Arrays and tensors in memory: recognising them, checking them, bringing them to pixel space.

This module imports no torch: tensors are recognised by what they can do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_ROUNDING = 1e-6  # floats this far outside [0, 1] come from arithmetic, not from another scale
_CHANNELS = (1, 2, 3, 4)  # grey, grey and alpha, RGB, RGB and alpha
_WITH_ALPHA = (2, 4)
_RGB = 3
_PLANE, _VOLUME = 2, 3  # axes of an image without and with channels
_MOST_PIXELS = 4096 * 4096
_STRIP_PIXELS = 1 << 20  # converted to floats at a time where a picture is made smaller
# Scales that values outside [0, 1] look like, as (lowest, highest, what to do), the narrowest first.
_NORMALISED = "hand a normalised batch over with model.images_from(batch), which undoes the model's own mean and std."
_SCALES = (
    (-0.5, 1.5, f"After a resize that overshoots, clip it to [0, 1]; if it is normalised, {_NORMALISED}"),
    (-1.0, 1.0, f"This looks like a -1 to 1 scale: use (x + 1) / 2, or {_NORMALISED}"),
    (0.0, 255.0, "This looks like a 0 to 255 scale: divide by 255, or pass it as uint8."),
    (0.0, float("inf"), "This looks like a 16-bit scale: divide by 65535, or pass it as uint16."),
)


def is_tensor(value: Any) -> bool:
    """Tell whether a value is a torch tensor, or of a class derived from it, without importing torch.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        True for a tensor.
    """
    roots = {kind.__module__.partition(".")[0] for kind in type(value).__mro__}
    return "torch" in roots and hasattr(value, "detach")


def from_tensor(tensor: Any, name: str) -> NDArray[Any]:
    """Copy a tensor's numbers to the CPU.

    Parameters
    ----------
    tensor : Tensor
        Of any shape, dtype, layout and device.
    name : str
        What error messages call it.

    Returns
    -------
    ndarray of the same shape
        float32 where the tensor has floats.

    Raises
    ------
    TypeError
        If it has no numbers to read (a meta tensor), or numbers that numpy does not know.
    """
    try:
        dense = tensor.detach().cpu()
        dense = dense.to_dense() if "strided" not in str(dense.layout) else dense
        return np.asarray(dense.float() if dense.is_floating_point() else dense.resolve_conj().resolve_neg())
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            f"{name}: wanted a tensor of numbers, got one of dtype {tensor.dtype} on {tensor.device} that cannot be "
            f"read: {error}."
        ) from error


def channels_last(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Turn a tensor's layout (C, H, W) into an array's (H, W, C).

    Parameters
    ----------
    array : ndarray of shape (H, W) or (C, H, W)
        A tensor's numbers; C is 1 to 4.
    name : str
        What error messages call it.

    Returns
    -------
    ndarray of shape (H, W) or (H, W, C)
        A view; arrays with another number of axes are returned as they are.

    Raises
    ------
    ValueError
        If the first of three axes cannot be channels.
    """
    if array.ndim == _VOLUME and array.shape[0] not in _CHANNELS:
        last = array.shape[2] in _CHANNELS
        advice = "in a tensor channels come first: tensor.permute(2, 0, 1)" if last else "wanted 1 to 4 channels"
        raise ValueError(f"{name}: wanted a tensor (3, height, width), got shape {array.shape}; {advice}.")
    return array.transpose(1, 2, 0) if array.ndim == _VOLUME else array


def to_pixels(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Check an array and bring it to pixel space.

    Parameters
    ----------
    array : ndarray of shape (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4)
        Grey, grey with alpha, RGB or RGB with alpha: uint8, uint16, bool, or floats in [0, 1]; any byte order and
        memory layout.
    name : str
        What error messages call it.

    Returns
    -------
    ndarray of shape (h, w, 3), float32
        RGB in [0, 1], laid on white; a new array. An array of more than 4096 x 4096 pixels is averaged over the
        smallest blocks that make it fit; all others keep their size.

    Raises
    ------
    TypeError
        If the numbers are neither unsigned integers nor floats.
    ValueError
        If the shape is another, or values are masked, NaN, infinite or outside [0, 1].
    """
    masked = type(array) is not np.ndarray and isinstance(array, np.ma.MaskedArray)  # np.ma takes long to load
    if masked and np.ma.is_masked(array):
        count = int(np.ma.getmaskarray(array).sum())
        raise ValueError(f"{name}: {count} of {array.size} values are masked; fill them: array.filled(0).")
    plain = np.asarray(array)
    _check_shape(plain, name)
    height, width = plain.shape[:2]
    return in_strips(height, width, lambda top, bottom: _strip_to_pixels(plain[top:bottom], name))


def in_strips(height: int, width: int, read: Callable[[int, int], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Read an image whole, or strip by strip where it is too large to be kept whole.

    Parameters
    ----------
    height, width : int
        The image's size in pixels.
    read : callable (top, bottom) -> ndarray of shape (bottom - top, width, 3), float32
        Gives the rows from `top` to `bottom`.

    Returns
    -------
    ndarray of shape (h, w, 3), float32
        The image, or the means of its blocks of n x n pixels, with the smallest n that leaves at most 4096 x 4096.

    Notes
    -----
    An explanation looks at some hundred pixels a side, and float32 pixels take 12 bytes each: 100 megapixels would be
    1.2 GB, and are 132 MB as means of 3 x 3. Memory beyond the result is that of one strip of a megapixel.
    """
    side = block_side(height, width)
    if side == 1:
        return read(0, height)
    rows = side * max(1, _STRIP_PIXELS // (width * side))
    return np.concatenate([_block_means(read(top, min(top + rows, height)), side) for top in range(0, height, rows)])


def block_side(height: int, width: int) -> int:
    """Return the side of the blocks over which a large image is averaged.

    Parameters
    ----------
    height, width : int
        The image's size in pixels.

    Returns
    -------
    int
        1 up to 4096 x 4096 pixels; above, the smallest side that leaves at most so many.
    """
    side = 1
    while -(-height // side) * -(-width // side) > _MOST_PIXELS:
        side += 1
    return side


def _block_means(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Average over blocks; those at the right and lower edge may be smaller."""
    means = pixels
    for axis in (0, 1):
        edges = np.arange(0, pixels.shape[axis], side)
        counts = np.diff(edges, append=pixels.shape[axis]).astype(np.float32)
        sums = np.add.reduceat(means, edges, axis=axis)
        means = (sums / counts.reshape([-1 if k == axis else 1 for k in range(3)])).astype(np.float32)
    return means.clip(0, 1)


def _strip_to_pixels(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    values = _to_unit_scale(array, name)
    if values.ndim == _PLANE:
        values = values[..., np.newaxis]
    if values.shape[2] in _WITH_ALPHA:
        alpha = values[..., -1:]
        values = values[..., :-1] * alpha + (1 - alpha)
    return np.repeat(values, _RGB, axis=2) if values.shape[2] == 1 else np.ascontiguousarray(values)


def _check_shape(array: NDArray[Any], name: str) -> None:
    wanted = f"{name}: wanted (height, width) or (height, width, 1 to 4 channels), got shape {array.shape}"
    if array.ndim not in (_PLANE, _VOLUME):
        raise ValueError(
            f"{wanted}; pass a batch as a list of images or with a leading axis to a method that takes one."
        )
    if array.size == 0:
        raise ValueError(f"{wanted}, which is empty.")
    if array.ndim == _VOLUME and array.shape[2] not in _CHANNELS:
        first = array.shape[0] in _CHANNELS
        advice = "channels come last: array.transpose(1, 2, 0)" if first else "keep three channels: array[..., :3]"
        raise ValueError(f"{wanted}; {advice}.")


def _to_unit_scale(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    kind = array.dtype
    if kind == np.bool_:
        return array.astype(np.float32)
    if kind.kind == "u" and kind.itemsize in (1, 2):  # in either byte order
        values = array.astype(np.float32)
        values /= np.float32(np.iinfo(kind).max)
        return values
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
