"""The way from a photo's pixels to a network's input, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.images import Photo, Pixels


@dataclass(frozen=True)
class Geometry:
    """Where the network's input lies on the photo.

    Parameters
    ----------
    photo : (int, int)
        Height and width of the photo in pixels.
    seen : (float, float, float, float)
        Top, left, bottom and right edge, in photo pixels, of what the network is shown.
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


@dataclass(frozen=True)
class Preprocess:
    """Pixel-space preprocessing: resize the short side, crop the centre, normalise.

    Parameters
    ----------
    resize : int
        Length of the short side in pixels before cropping.
    crop : (int, int)
        Height and width of the central crop, the network's input size.
    mean, std : tuple of three floats
        Subtracted from, and divided into, the RGB values in [0, 1].

    Notes
    -----
    Resizing is bicubic with antialiasing, in float32 and clipped to [0, 1]; Pillow does the same on rounded 8-bit
    values, so the two differ by less than one grey level.
    """

    resize: int
    crop: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def geometry(self, photo: Photo) -> Geometry:
        """Return where the crop lies on a photo.

        Parameters
        ----------
        photo : Photo
            The photo.

        Returns
        -------
        Geometry
            The crop's edges in photo pixels.
        """
        height, width = photo.size
        if photo.prepared:
            return Geometry(photo.size, (0.0, 0.0, float(height), float(width)), photo.size)
        resized, top, left = self._layout(height, width)
        down, right = height / resized[0], width / resized[1]
        crop_h, crop_w = self.crop
        seen = (top * down, left * right, (top + crop_h) * down, (left + crop_w) * right)
        return Geometry((height, width), seen, self.crop)

    def pixels(self, photo: Photo) -> Pixels:
        """Resize and crop a photo, still in pixel space.

        Parameters
        ----------
        photo : Photo
            The photo; a prepared one is returned as it is.

        Returns
        -------
        ndarray of shape (crop[0], crop[1], 3), float32
            RGB in [0, 1].
        """
        if photo.prepared:
            return photo.pixels
        (height, width), top, left = self._layout(*photo.size)
        planes = [
            np.asarray(
                Image.fromarray(np.ascontiguousarray(photo.pixels[..., c])).resize(
                    (width, height), Image.Resampling.BICUBIC
                )
            )
            for c in range(photo.pixels.shape[2])
        ]
        crop_h, crop_w = self.crop
        return np.stack(planes, axis=-1)[top : top + crop_h, left : left + crop_w].clip(0, 1)

    def normalise(self, pixels: Pixels) -> NDArray[np.float32]:
        """Turn pixel-space images into the network's numbers.

        Parameters
        ----------
        pixels : ndarray of shape (..., 3), float32
            RGB in [0, 1].

        Returns
        -------
        ndarray of the same shape, float32
            ``(pixels - mean) / std``.
        """
        mean, std = (np.asarray(v, dtype=np.float32) for v in (self.mean, self.std))
        return (pixels - mean) / std

    def denormalise(self, numbers: NDArray[np.floating]) -> Pixels:
        """Undo `normalise`.

        Parameters
        ----------
        numbers : ndarray of shape (..., 3)
            Normalised values.

        Returns
        -------
        ndarray of the same shape, float32
            RGB, in [0, 1] if the numbers came from an image.
        """
        return (numbers * np.asarray(self.std) + np.asarray(self.mean)).astype(np.float32)

    def _layout(self, height: int, width: int) -> tuple[tuple[int, int], int, int]:
        """Return the resized height and width, and the crop's top and left edge in it."""
        short = min(height, width)
        resized = (int(self.resize * height / short), int(self.resize * width / short))
        if any(have < want for have, want in zip(resized, self.crop, strict=True)):
            raise ValueError(
                f"crop: wanted at most the resized photo's {resized[0]} x {resized[1]} pixels, got {self.crop}; "
                "make resize larger."
            )
        top, left = (round((have - want) / 2) for have, want in zip(resized, self.crop, strict=True))
        return resized, top, left
