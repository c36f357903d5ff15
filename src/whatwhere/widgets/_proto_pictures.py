"""Prototypes as small pictures for the browser: colours and alpha apart, since a canvas would blend them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from whatwhere.prototypes.record import Prototype

_TAILS = 1.0  # percentiles that are clipped where a picture is stretched, as `Prototype.stretched` does
_LEVELS = 255


class Drawn(NamedTuple):
    """A prototype in eight bits.

    Attributes
    ----------
    pixels : ndarray of shape (h, w, 3), uint8
        The picture, stretched for looking at unless it is to be compared with a photo.
    alpha : ndarray of shape (h, w), uint8
        255 times the square root of alpha as a share of its largest value: its tail is long, and what counts is which
        pixels are above a percentile. Constant where alpha is.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8]


def draw(prototype: Prototype, side: int) -> Drawn:
    """Draw a prototype.

    Parameters
    ----------
    prototype : Prototype
        The prototype.
    side : int
        Longer side in pixels, at most; it is not enlarged.

    Returns
    -------
    Drawn
        The picture and its alpha.
    """
    pixels = shrink(prototype.image, side)
    if prototype.seed_image is None:
        low, high = np.percentile(pixels, [_TAILS, 100 - _TAILS])
        if high > low:
            pixels = np.clip((pixels - np.float32(low)) / np.float32(high - low), 0, 1)
    alpha = shrink(prototype.alpha, side)
    top = float(alpha.max())
    levels = np.sqrt(np.clip(alpha / np.float32(top), 0, 1)) if top > 0 else alpha
    return Drawn(_eight_bits(pixels), _eight_bits(levels))


def shrink(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Average a picture or a plane down.

    Parameters
    ----------
    values : ndarray of shape (H, W) or (H, W, C), float32
        The picture.
    side : int
        Longer side in pixels, at most; it is not enlarged.

    Returns
    -------
    ndarray of shape (h, w) or (h, w, C), float32
        The picture.
    """
    height, width = values.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    if size == (height, width):
        return values
    times = height // size[0]
    if times > 1 and size[0] * times == height and size[1] * times == width:  # whole blocks: ten times as fast
        return values.reshape(size[0], times, size[1], times, -1).mean(axis=(1, 3)).reshape(*size, *values.shape[2:])
    planes = np.moveaxis(values, -1, 0) if values.ndim > 2 else values[None]  # noqa: PLR2004  # with channels
    small = [np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BOX)) for plane in planes]
    return np.stack(small, axis=-1).reshape(*size, *values.shape[2:])


def encode_picture(pixels: NDArray[np.uint8], kind: str, quality: int) -> bytes:
    """Encode a picture or a plane.

    Parameters
    ----------
    pixels : ndarray of shape (h, w, 3) or (h, w), uint8
        The picture.
    kind : {"JPEG", "WEBP"}
        JPEG is fast, WebP small.
    quality : int
        From 0 to 100.

    Returns
    -------
    bytes
        The file.
    """
    buffer = io.BytesIO()
    options = {"method": 2} if kind == "WEBP" else {}
    Image.fromarray(pixels).save(buffer, kind, quality=quality, **options)
    return buffer.getvalue()


def mosaic(tiles: Sequence[NDArray[np.uint8]], side: int, columns: int) -> NDArray[np.uint8]:
    """Lay pictures side by side, each in the upper left corner of its square.

    Parameters
    ----------
    tiles : sequence of ndarray of shape (h, w, 3) or (h, w), uint8
        The pictures, no side longer than `side`.
    side : int
        Of a square, in pixels.
    columns : int
        Squares in a row.

    Returns
    -------
    ndarray of shape (rows * side, columns * side, …), uint8
        The page.
    """
    rows = -(-len(tiles) // columns)
    page = np.zeros((rows * side, columns * side, *tiles[0].shape[2:]), dtype=np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (side * k for k in divmod(place, columns))
        page[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return page


def _eight_bits(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(values * _LEVELS).astype(np.uint8)
