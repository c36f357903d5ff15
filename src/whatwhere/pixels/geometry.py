"""The way back from a network's input to the photo's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Geometry:
    """Where the network's input lies on the photo.

    Parameters
    ----------
    photo : (int, int)
        Height and width of the photo in pixels.
    seen : (float, float, float, float)
        Top, left, bottom and right edge, in photo pixels, of what the network is shown. Where the input is padded they
        lie outside the photo: below 0, or beyond its height or width.
    size : (int, int)
        Height and width of the network's input in pixels.
    """

    photo: tuple[int, int]
    seen: tuple[float, float, float, float]
    size: tuple[int, int]

    def to_input(self, rows: NDArray[np.floating], columns: NDArray[np.floating]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Map photo positions to fractions of the network's input.

        Parameters
        ----------
        rows, columns : ndarray
            Positions in photo pixels; the centre of the first pixel is 0.5.

        Returns
        -------
        tuple of two ndarrays
            Vertical and horizontal position as a fraction of what the network sees, below 0 or above 1 outside it.
        """
        top, left, bottom, right = self.seen
        return (rows - top) / (bottom - top), (columns - left) / (right - left)

    def to_photo(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Map a box on the network's input to the photo.

        Parameters
        ----------
        box : (float, float, float, float)
            Top, left, bottom and right edge, in pixels of the network's input.

        Returns
        -------
        (float, float, float, float)
            The same edges in photo pixels; of a padded input they may lie outside the photo.
        """
        top, left, bottom, right = self.seen
        down, across = (bottom - top) / self.size[0], (right - left) / self.size[1]
        return top + box[0] * down, left + box[1] * across, top + box[2] * down, left + box[3] * across

    def seen_mask(self) -> NDArray[np.bool_]:
        """Tell which pixels of the photo the network is shown.

        Returns
        -------
        ndarray of shape (H, W), bool
            True where a pixel's centre lies in `seen`.
        """
        height, width = self.photo
        down, across = self.to_input(np.arange(height) + 0.5, np.arange(width) + 0.5)
        inside: NDArray[np.bool_] = ((down >= 0) & (down < 1))[:, np.newaxis] & ((across >= 0) & (across < 1))
        return inside
