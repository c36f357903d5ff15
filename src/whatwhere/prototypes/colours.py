"""Colour axes in which the channels of photographs are uncorrelated, and the way from them to a network's input.

References
----------
C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill 2017. The axes are the figures that its authors
published with Lucid, a root of the correlation of ImageNet's colours, divided by the length of the longest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.pixels.preprocess import Preprocess

#: Takes a row vector of decorrelated colours (light, blue to red, green to magenta) to one of normalised RGB.
TO_RGB: NDArray[np.float32] = np.array(
    [[0.56282854, 0.58447580, 0.58447580], [0.19482528, 0, -0.19482528], [0.04329450, -0.10823626, 0.06494176]],
    dtype=np.float32,
)
#: Mean and standard deviation of RGB over ImageNet, which the axes belong to.
MEAN: NDArray[np.float32] = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD: NDArray[np.float32] = np.array([0.229, 0.224, 0.225], dtype=np.float32)

_LUMA = (0.299, 0.587, 0.114)


def decorrelate(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn pixel space into decorrelated colours.

    Parameters
    ----------
    pixels : ndarray of shape (..., 3), float32
        RGB in [0, 1].

    Returns
    -------
    ndarray of shape (..., 3), float32
        Normalised by ImageNet's mean and deviation, then times the inverse of `TO_RGB`.
    """
    inverse = np.linalg.inv(TO_RGB.astype(np.float64)).astype(np.float32)
    return np.asarray(((pixels - MEAN) / STD) @ inverse, dtype=np.float32)


def to_network(preprocess: Preprocess, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Write a network's normalisation as an affine function of a pixel's colour.

    Parameters
    ----------
    preprocess : Preprocess
        The network's preprocessing.
    channels : {1, 3}
        Channels of the picture: grey, or RGB.

    Returns
    -------
    matrix : ndarray of shape (k, channels), float32
        With k the network's own number of channels.
    shift : ndarray of shape (k,), float32
        The network is shown ``matrix @ colour + shift``, which is ``preprocess.normalise``.
    """
    mean, std = (np.asarray(v, dtype=np.float64) for v in (preprocess.mean, preprocess.std))
    mixing = np.array([_LUMA]) if len(mean) == 1 else np.eye(3)
    if channels == 1:
        mixing = mixing.sum(axis=1, keepdims=True)
    if preprocess.channel_order == "BGR" and len(mean) > 1:
        mixing = mixing[::-1]
    return (mixing / std[:, np.newaxis]).astype(np.float32), (-mean / std).astype(np.float32)
