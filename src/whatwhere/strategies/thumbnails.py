"""Small pictures of photos, as JPEG files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.pixels.images import Pixels

_QUALITY = 82


def thumbnail(picture: Pixels | NDArray[np.uint8], side: int) -> bytes:
    """Make a small picture of what the network was shown.

    Parameters
    ----------
    picture : ndarray of shape (h, w, 3), uint8, or float32 in [0, 1]
        RGB.
    side : int
        Its longer side in pixels, at most; it is not enlarged.

    Returns
    -------
    bytes
        A JPEG file.
    """
    whole = picture if picture.dtype == np.uint8 else np.rint(picture * 255).astype(np.uint8)
    small = Image.fromarray(np.ascontiguousarray(whole))
    small.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
