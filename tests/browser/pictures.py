"""Pictures of views beside those that were looked at: what may differ from machine to machine, and what may not.

A picture is kept as the means of its blocks of 5 x 5 pixels. Letters become grey there, and how their edges are
smoothed or where a glyph begins no longer counts. A block that is as light and as coloured as those round the same
place in the other picture is no difference, either way round: what moved by less than a block passes, and what is gone,
new, moved further or coloured otherwise does not.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import color

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 5  # pixels
STEP = 5  # of 256 levels, to which means are rounded when they are kept: two thirds of the bytes
NEAR = (3, 3, 1)  # blocks that a block is compared with, channel by channel
SQUARE = 16  # blocks: what is compared at a time
FAR = 8.0  # in CIE Lab, where 2.3 can just be seen and black is 100 from white; what is lost in keeping gives up to 3.6
# Of the 256 blocks of a square 3 differ where another machine rounds, or smooths letters, otherwise. The limit, 11, is
# less than a mark of 20 x 15 pixels.
MOST_IN_A_SQUARE = 0.045
# What differs everywhere and nowhere much, as a veil of 5 %. Keeping gives 0.4, another machine 0.1.
MOST_IN_ALL = 1.0
HEIGHT = 10  # pixels: two blocks


@dataclass(frozen=True)
class Difference:
    """How two pictures differ.

    Attributes
    ----------
    far : ndarray of shape (H, W), float
        How far each block is from all that is near it in the other picture, in Lab.
    square : float
        Share of blocks that are `FAR`, in the square that has most of them.
    corner : tuple of int
        Left and top of that square, in pixels.
    mean : float
        Mean of `far`.
    size : str
        What is wrong with the size, or an empty string.
    """

    far: np.ndarray
    square: float
    corner: tuple[int, int]
    mean: float
    size: str = ""

    @property
    def reason(self) -> str:
        """Why it is too much; empty where it is not."""
        found = [self.size] if self.size else []
        if self.square > MOST_IN_A_SQUARE:
            x, y = self.corner
            found.append(
                f"{self.square:.1%} of the blocks differ between ({x}, {y}) and ({x + BLOCK * SQUARE}, "
                f"{y + BLOCK * SQUARE}) by more than {FAR:g}; {MOST_IN_A_SQUARE:.1%} may"
            )
        if self.mean > MOST_IN_ALL:
            found.append(f"the mean difference is {self.mean:.2f}; {MOST_IN_ALL:g} may be")
        return "; ".join(found)


def shrink(picture: np.ndarray) -> np.ndarray:
    """Return the means of blocks, (H, W, 3) uint8: of the encoded values, which are about as even to the eye as L*."""
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // BLOCK, BLOCK, padded.shape[1] // BLOCK, BLOCK, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def rounded(small: np.ndarray) -> np.ndarray:
    """Return block means as they are kept: those of an even ground exactly, since it is most of a picture."""
    even = ndimage.maximum_filter(small, NEAR) == ndimage.minimum_filter(small, NEAR)
    return np.where(even, small, STEP * np.rint(small / STEP)).astype(np.uint8)


def compare(got: np.ndarray, wanted: np.ndarray) -> Difference:
    """Compare a picture (H, W, 3) uint8 with the block means of another."""
    size, small = _size_words(got, wanted), shrink(got)
    height, width = (min(pair) for pair in zip(small.shape[:2], wanted.shape[:2], strict=True))
    here, there = (color.rgb2lab(each[:height, :width]).astype(np.float32) for each in (small, wanted))
    far = np.maximum(_beyond(here, there), _beyond(there, here))
    side = min(SQUARE, height), min(SQUARE, width)
    shares = ndimage.uniform_filter((far > FAR).astype(np.float64), side, mode="constant")
    row, column = np.unravel_index(shares.argmax(), shares.shape)
    corner = (BLOCK * max(0, int(column) - SQUARE // 2), BLOCK * max(0, int(row) - SQUARE // 2))
    return Difference(far=far, square=float(shares.max()), corner=corner, mean=float(far.mean()), size=size)


def _size_words(got: np.ndarray, wanted: np.ndarray) -> str:
    (height, width), (rows, columns) = got.shape[:2], wanted.shape[:2]
    if -(-width // BLOCK) != columns:
        return f"it is {width} pixels wide instead of about {BLOCK * columns}"
    if abs(height - BLOCK * rows) > HEIGHT:
        return f"it is {height} pixels high instead of about {BLOCK * rows}, which is more than {HEIGHT} off"
    return ""


def _beyond(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return how far each block of one lies outside what the other has in the 3 x 3 blocks round it."""
    low, high = ndimage.minimum_filter(there, NEAR), ndimage.maximum_filter(there, NEAR)
    return np.linalg.norm(np.maximum(0, np.maximum(low - here, here - high)), axis=2)


@dataclass(frozen=True)
class Album:
    """Pictures that were looked at, in a folder.

    Attributes
    ----------
    folder : Path
        Where they are.
    found : Path
        Where what was found instead is written.
    renew : bool
        Whether pictures are taken for right, and kept.
    """

    folder: Path
    found: Path
    renew: bool = False

    def check(self, name: str, png: bytes) -> None:
        """Compare a screenshot with the picture of this name."""
        got = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        path = self.folder / f"{name}.webp"
        if self.renew:
            self.folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rounded(shrink(got))).save(path, lossless=True, quality=100, method=6)
            self._write(name, png)
        if not path.exists():
            self._write(name, png)
            raise AssertionError(
                f"There is no picture {name!r} to compare with. The screenshot is {self.found / name}.png: look at it, "
                f"and keep it with --new-pictures."
            )
        wanted = np.asarray(Image.open(path).convert("RGB"))
        difference = compare(got, wanted)
        if difference.reason:
            self._write(name, png)
            self._write(f"{name}-wanted", _enlarged(wanted))
            self._write(f"{name}-difference", _enlarged(_marked(wanted, difference.far)))
            raise AssertionError(
                f"{name}: {difference.reason}. See {name}.png, {name}-wanted.png and {name}-difference.png in "
                f"{self.found}; if the new one is right, keep it with --new-pictures."
            )

    def _write(self, name: str, png: bytes) -> None:
        self.found.mkdir(parents=True, exist_ok=True)
        (self.found / f"{name}.png").write_bytes(png)


def _enlarged(small: np.ndarray) -> bytes:
    file = io.BytesIO()
    size = (BLOCK * small.shape[1], BLOCK * small.shape[0])
    Image.fromarray(small).resize(size, Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def _marked(wanted: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Return the picture in pale grey, and in red what differs: full where it counts, weak where it does not."""
    height, width = far.shape
    pale = np.repeat(wanted[:height, :width].mean(axis=2, keepdims=True) / 4 + 176, 3, axis=2)
    weight = np.where(far > FAR, 1.0, 0.5 * far / FAR)[..., None]
    return np.rint((1 - weight) * pale + weight * np.array([214, 0, 28])).astype(np.uint8)
