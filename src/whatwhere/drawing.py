"""Static pictures: a map over a photo, for hosts that show no widgets."""

from __future__ import annotations

import base64
import functools
import html
import io
import json
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from whatwhere.pixels.geometry import Geometry
    from whatwhere.pixels.images import Pixels

_UNSEEN = 0.45  # brightness of what the crop never showed the network
_SATURATION = 0.2  # of the photo under a map, so that hue means the map
_OPACITY = 0.8
_THRESHOLD = 0.1
_PNG_SIDE = 320  # pixels: for hosts that show nothing else
_JPEG_BYTES = 40_000
_GAP = 8  # pixels between pictures side by side
_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


def draw_map(
    pixels: Pixels, values: NDArray[np.float32] | None, geometry: Geometry, *, colormap: str = "magma"
) -> Image.Image:
    """Draw a map over a photo.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), float32
        The photo, RGB in [0, 1].
    values : ndarray of shape (H, W), float32, or None
        The map at the photo's size, NaN where nothing is known; None draws the photo alone.
    geometry : Geometry
        Where the network looked; the rest is darkened.
    colormap : {"magma", "viridis", "cividis"}, default "magma"
        Perceptual colour map; the threshold of a tenth of the maximum, and all below it, is transparent.

    Returns
    -------
    PIL.Image.Image
        An RGB picture.

    Raises
    ------
    ValueError
        If `colormap` is not known.
    """
    seen = geometry.seen_mask()
    canvas = pixels * np.where(seen, 1, _UNSEEN)[..., np.newaxis]
    if values is not None:
        top = float(np.nanmax(values))
        share = np.where(np.isnan(values), 0, values) / (top or 1)
        amount = np.clip((share - _THRESHOLD) / (1 - _THRESHOLD), 0, 1)
        grey = (pixels @ _LUMA)[..., np.newaxis]
        faded = grey + (pixels - grey) * _SATURATION
        canvas = np.where(seen[..., np.newaxis], canvas + (faded - canvas) * _OPACITY, canvas)
        alpha = (_OPACITY * amount**0.8)[..., np.newaxis]
        canvas = canvas + (lookup_table(colormap)[np.round(share * 255).astype(int).clip(0, 255)] - canvas) * alpha
    return Image.fromarray(np.round(canvas * 255).clip(0, 255).astype(np.uint8))


def shrink(pixels: Pixels, geometry: Geometry, width: int) -> tuple[Pixels, Geometry]:
    """Make a photo, and what is known of its place, no wider than a picture is to be.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), float32
        The photo, RGB in [0, 1].
    geometry : Geometry
        Where the network looked on it.
    width : int
        Width wanted, in pixels; a photo is never enlarged.

    Returns
    -------
    pixels : ndarray of shape (h, w, 3), float32
        The photo.
    geometry : Geometry
        Where the network looked, in pixels of the smaller photo.
    """
    height, full = geometry.photo
    if full <= width:
        return pixels, geometry
    size = (max(1, round(height * width / full)), width)
    small = to_picture(pixels).resize(size[::-1], Image.Resampling.LANCZOS, reducing_gap=3)
    down, across = size[0] / height, size[1] / full
    top, left, bottom, right = geometry.seen
    seen = (top * down, left * across, bottom * down, right * across)
    return np.asarray(small, dtype=np.float32) / np.float32(255), replace(geometry, photo=size, seen=seen)


@functools.cache
def lookup_table(colormap: str) -> NDArray[np.float32]:
    """Return the 256 colours of a colour map.

    Parameters
    ----------
    colormap : {"magma", "viridis", "cividis"}
        Its name.

    Returns
    -------
    ndarray of shape (256, 3), float32
        RGB in [0, 1], linear between the stops that the front end uses too.

    Raises
    ------
    ValueError
        If the name is not known.
    """
    stops = json.loads(files("whatwhere").joinpath("colormaps.json").read_text(encoding="utf-8"))
    if colormap not in stops:
        raise ValueError(f"colormap: wanted one of {sorted(stops)}, got {colormap!r}.")
    colours = np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops[colormap]]) / 255
    at = np.linspace(0, len(colours) - 1, 256)
    channels = [np.interp(at, np.arange(len(colours)), colours[:, c]) for c in range(3)]
    return np.stack(channels, axis=1).astype(np.float32)


def encode(picture: Image.Image, *, limit: int, sides: tuple[int, ...] = (640, 512, 384, 320, 256)) -> bytes:
    """Encode a picture as JPEG within a number of bytes where possible, by making it smaller.

    Parameters
    ----------
    picture : PIL.Image.Image
        An RGB picture.
    limit : int
        Bytes wanted at most; the smallest size is returned even if it has more.
    sides : tuple of int, default (640, 512, 384, 320, 256)
        Longest sides to try, in pixels, from the largest.

    Returns
    -------
    bytes
        A JPEG file.
    """
    data, longest = b"", max(picture.size)
    for number, side in enumerate(sides):
        if number and side >= longest:
            continue  # nothing is enlarged: it would be the same file again
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=82, optimize=True)
        data = buffer.getvalue()
        if len(data) <= limit:
            break
    return data


def to_picture(pixels: Pixels) -> Image.Image:
    """Turn pixel space into a picture.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), float32
        RGB in [0, 1].

    Returns
    -------
    PIL.Image.Image
        An RGB picture of 8 bits.
    """
    return Image.fromarray(np.round(pixels * 255).astype(np.uint8))


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures side by side, at the height of the first.

    Parameters
    ----------
    pictures : sequence of PIL.Image.Image
        RGB pictures, at least one.

    Returns
    -------
    PIL.Image.Image
        One picture with white between them; one alone is returned as it is.
    """
    first = pictures[0]
    if len(pictures) == 1:
        return first
    scaled = [
        picture.resize((max(1, round(picture.width * first.height / picture.height)), first.height))
        for picture in pictures
    ]
    whole = Image.new("RGB", (sum(one.width for one in scaled) + _GAP * (len(scaled) - 1), first.height), "white")
    left = 0
    for one in scaled:
        whole.paste(one, (left, 0))
        left += one.width + _GAP
    return whole


def mime_bundle(picture: Image.Image, caption: str, *, jpeg_bytes: int = _JPEG_BYTES) -> dict[str, Any]:
    """Return a picture in the forms that notebooks show without running anything.

    Parameters
    ----------
    picture : PIL.Image.Image
        What to show.
    caption : str
        What it says, also for those who do not see it.
    jpeg_bytes : int, default 40,000
        How large the picture in ``text/html`` may be.

    Returns
    -------
    dict of str to str
        ``image/png``, ``text/html`` and ``text/plain``.
    """
    small = picture.copy()
    small.thumbnail((_PNG_SIDE, _PNG_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.quantize(128, method=Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    jpeg = base64.b64encode(encode(picture, limit=jpeg_bytes)).decode("ascii")
    told = html.escape(caption)
    return {
        "image/png": base64.b64encode(buffer.getvalue()).decode("ascii"),
        "text/html": (
            f'<figure style="margin:0"><img alt="{told}" src="data:image/jpeg;base64,{jpeg}" '
            f'style="max-width:100%"><figcaption>{told}</figcaption></figure>'
        ),
        "text/plain": caption,
    }
