"""Measuring the mean magnitude spectrum of photographs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from whatwhere.engine._checks import integer
from whatwhere.pixels.images import iterate_images, read_photo
from whatwhere.prototypes.colours import decorrelate
from whatwhere.prototypes.spectrum import SPACES, Spectrum, symmetric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from whatwhere.pixels.images import Pixels

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_LEAST_SIDE = 8


def magnitude_from_images(
    images: Any,
    *,
    size: int = 256,
    space: str = "decorrelated",
    window: bool = False,
    mirrored: bool = False,
    source: str = "images",
    note: str = "",
    licences: Sequence[str] = (),
) -> Spectrum:
    """Measure the mean magnitude spectrum of photographs.

    Parameters
    ----------
    images : iterable of images
        A folder, a sequence, a mapping, a dataset or a generator; read one at a time, so that memory stays flat.
    size : int, default 256
        Side of the centre square that is looked at, in pixels. Photos are made smaller to it, never larger: smaller
        ones are left out, since enlarging takes away what the spectrum is to tell.
    space : {"decorrelated", "rgb", "grey"}, default "decorrelated"
        Colour space of the channels.
    window : bool, default False
        Whether to fade the edges out. Without, the edges' jumps put a cross on the spectrum, as in the published one.
    mirrored : bool, default False
        Whether to average over the eight turns and reflections of the square: less noise where photos are few.
    source : str, default "images"
        A word for where they come from.
    note : str, default ""
        What there is to say of their origin.
    licences : sequence of str, default ()
        What their licences are.

    Returns
    -------
    Spectrum
        The mean over the photos of the modulus of their Fourier transform. Its `images_hash` is the SHA-256 of the
        sorted SHA-256 of those that were averaged, as lines of hexadecimal digits: of files their bytes, of others
        their shape and their pixels as float32.

    Raises
    ------
    ValueError
        If `size` or `space` is not known, or no photo is large enough.

    Notes
    -----
    The noise of the mean falls with the square root of the number of photos: some 3 % of the radial profile with a
    hundred of them.
    """
    side = integer("size", size, _LEAST_SIDE, 8192)
    if space not in SPACES:
        raise ValueError(f"space: wanted one of {list(SPACES)}, got {space!r}.")
    fade = np.hanning(side + 1)[:side] if window else np.ones(side)
    fade2 = (np.outer(fade, fade) / np.sqrt(np.mean(fade**2)) ** 2).astype(np.float32)
    total = np.zeros((SPACES[space], side, side // 2 + 1))
    count = largest = 0
    digests = []
    for name, image in iterate_images(images):
        pixels = read_photo(image, name=name).pixels
        largest = max(largest, min(pixels.shape[:2]))
        if min(pixels.shape[:2]) < side:
            continue
        channels = np.moveaxis(_in_space(_square(pixels, side), space), -1, 0)
        means = channels.mean(axis=(1, 2), keepdims=True)
        found = np.abs(np.fft.rfft2((channels - means) * fade2 + means * (not window)))
        if window:
            found[:, 0, 0] = np.abs(means[:, 0, 0]) * side**2
        total += found
        count += 1
        digests.append(_digest(image, pixels))
    if not count:
        raise ValueError(
            f"images: wanted photos of at least {side} pixels a side, the largest has {largest}. Take a smaller size."
        )
    mean = (total / count / side**2).astype(np.float32)
    return Spectrum(
        symmetric(_turned(mean, side) if mirrored else mean, side),
        side,
        space,
        source,
        count,
        window,
        note,
        hashlib.sha256("".join(f"{each}\n" for each in sorted(digests)).encode()).hexdigest(),
        tuple(licences),
    )


def _digest(image: Any, pixels: Pixels) -> str:
    if isinstance(image, str | Path):
        return hashlib.sha256(Path(image).read_bytes()).hexdigest()
    told = hashlib.sha256(f"{pixels.shape}".encode())
    told.update(np.ascontiguousarray(pixels, dtype="<f4").tobytes())
    return told.hexdigest()


def _square(pixels: Pixels, side: int) -> Pixels:
    """Cut out the centre square and average it down."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = pixels[top : top + short, left : left + short]
    if short == side:
        return square
    planes = [Image.fromarray(np.ascontiguousarray(square[..., c])) for c in range(square.shape[2])]
    small = [np.asarray(plane.resize((side, side), Image.Resampling.BICUBIC)) for plane in planes]
    return np.stack(small, axis=-1).clip(0, 1)


def _in_space(pixels: Pixels, space: str) -> NDArray[np.float32]:
    if space == "grey":
        return (pixels @ _LUMA)[..., np.newaxis]
    return decorrelate(pixels) if space == "decorrelated" else pixels


def _turned(magnitude: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Average over the square's eight symmetries, of which a half spectrum already holds two."""
    mirror = -np.arange(side) % side
    half = side // 2 + 1
    full = np.empty((len(magnitude), side, side), dtype=np.float32)
    full[:, :, :half] = magnitude
    full[:, :, half:] = magnitude[:, mirror][:, :, mirror[half:]]
    full += full[:, mirror].copy()
    full += full.transpose(0, 2, 1).copy()
    return full[:, :, :half] / np.float32(4)
