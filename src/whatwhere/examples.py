"""Photographs to begin with, from installed packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PHOTOS = ("coffee", "chelsea", "rocket", "camera")


def photos() -> dict[str, NDArray[np.uint8]]:
    """Return photographs that come with scikit-image; nothing is downloaded.

    Returns
    -------
    dict of str to ndarray of shape (H, W, 3) or (H, W), uint8
        ``coffee`` (an espresso), ``chelsea`` (a cat), ``rocket`` (at its launch) and ``camera`` (a man with a camera on
        a tripod, grey). All are in the public domain or CC0.

    Raises
    ------
    ImportError
        If scikit-image is not installed.

    Examples
    --------
    >>> import whatwhere as ww
    >>> ww.examples.photos()["coffee"].shape
    (400, 600, 3)
    """
    try:
        from skimage import data
    except ImportError as error:
        raise ImportError(
            "The example photos come with scikit-image, which is not installed: pip install scikit-image "
            "(or pip install 'whatwhere[demo]')."
        ) from error
    return {name: getattr(data, name)() for name in _PHOTOS}
