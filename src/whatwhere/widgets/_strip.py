"""The photos of a bank, as far as they are there to be shown."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from whatwhere.drawing import encode, to_picture
from whatwhere.pixels.images import Photo, read_photo
from whatwhere.widgets._gallery import draw_thumbnail
from whatwhere.widgets._recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.photos import PhotoSet
    from whatwhere.model import VisionModel
    from whatwhere.pixels.geometry import Geometry
    from whatwhere.widgets._calls import Calls

MOST_PHOTOS = 64  # that are saved
_SMALL = 224  # pixels: photos of the strip have no more
_LARGE = (448, 384, 320, 256, 224, 192)  # sides of the photo that is looked at
# Photos that stay at hand, whatever their number: 224 x 224 pixels of 150 KB, files of about 10 and 6 KB.
_DECODED, _ENCODED, _THUMBNAILS = 64, 256, 1024
_NOWHERE = "The file of these concepts holds no photos. {} shows them."
_NO_GEOMETRY = "Where the network looked on these photos, its model knows: {}."


class Frame(NamedTuple):
    """Where the network looked on what is shown of a photo.

    Attributes
    ----------
    width, height : float
        Of what is shown, in pixels of the photo.
    seen : (float, float, float, float)
        Left, top, right and bottom edge of what the network saw, in what is shown.
    shift : (float, float)
        Left and top edge, on the photo, of what is shown.
    """

    width: float
    height: float
    seen: tuple[float, float, float, float]
    shift: tuple[float, float]


class Strip:
    """Photos of a bank; of this class itself there are none.

    Parameters
    ----------
    reason : str
        Why there are no photos; empty if there are.
    """

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        self._small: Recent[int, Image.Image] = Recent(_DECODED)
        self._encoded: Recent[tuple[int, int, int], bytes] = Recent(_ENCODED)
        self._thumbnails: Recent[int, bytes] = Recent(_THUMBNAILS)

    def order(self, bank: ConceptBank) -> list[int]:
        """Put the photos in order, those first that show the concepts most.

        Parameters
        ----------
        bank : ConceptBank
            The bank as it is now.

        Returns
        -------
        list of int
            Numbers of all that are there; none while their codes are not known.
        """
        if not len(bank.codes):
            return []
        rounds = itertools.zip_longest(*bank.crops)
        carry = [crop.image for crops in rounds for crop in crops if crop is not None]
        misread = np.flatnonzero(bank.predictions != bank.target).tolist() if bank.target is not None else []
        every = dict.fromkeys([*carry, *misread, *range(len(bank.images))])
        return [n for n in every if self.has(n)]

    def first(self, bank: ConceptBank) -> list[int]:
        """Choose the photos that may be saved, and that the network is asked about unasked.

        Parameters
        ----------
        bank : ConceptBank
            The bank as it is now.

        Returns
        -------
        list of int
            Numbers of at most 64 photos, in order.
        """
        return self.order(bank)[:MOST_PHOTOS]

    def has(self, n: int) -> bool:
        """Tell whether a photo is there.

        Parameters
        ----------
        n : int
            Its number in the bank.

        Returns
        -------
        bool
            Whether it can be shown.
        """
        del n
        return False

    def frame(self, n: int) -> Frame:
        """Say where the network looked.

        Parameters
        ----------
        n : int
            Number of a photo that is there.

        Returns
        -------
        Frame
            In pixels of the photo.
        """
        raise LookupError(f"{self.reason} There is no photo {n}.")

    def photo(self, n: int) -> Photo:
        """Return a photo for the network.

        Parameters
        ----------
        n : int
            Number of a photo that is there.

        Returns
        -------
        Photo
            Whole, or what the network saw of it, which is not cropped again.
        """
        raise LookupError(f"{self.reason} There is no photo {n}.")

    def shift(self, n: int) -> tuple[float, float]:
        """Say where what is shown of a photo begins, for boxes on it.

        Parameters
        ----------
        n : int
            Number of a photo of the bank.

        Returns
        -------
        (float, float)
            Left and top edge on the photo.
        """
        return self.frame(n).shift if self.has(n) else (0, 0)

    def jpeg(self, n: int, side: int, quality: int) -> bytes:
        """Encode a photo.

        Parameters
        ----------
        n : int
            Number of a photo that is there.
        side : int
            Longer side in pixels, at most; 224 is the most there is.
        quality : int
            Of the JPEG.

        Returns
        -------
        bytes
            A JPEG file; of the photos that were asked for last it is made once.
        """
        return self._encoded.get((n, side, quality), lambda: self._encode(n, side, quality))

    def _encode(self, n: int, side: int, quality: int) -> bytes:
        picture = self._small.get(n, lambda: self._shrunk(n)).copy()
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        return buffer.getvalue()

    def _shrunk(self, n: int) -> Image.Image:
        picture = self._picture(n)
        picture.thumbnail((_SMALL, _SMALL), Image.Resampling.LANCZOS)
        return picture

    def thumbnail(self, n: int) -> bytes:
        """Encode a photo, small.

        Parameters
        ----------
        n : int
            Number of a photo that is there.

        Returns
        -------
        bytes
            A JPEG file; of the photos that were asked for last it is made once.
        """
        return self._thumbnails.get(n, lambda: draw_thumbnail(self._picture(n)))

    def large(self, n: int, limit: int) -> bytes:
        """Encode a photo as it is looked at, alone.

        Parameters
        ----------
        n : int
            Number of a photo that is there.
        limit : int
            Bytes, at most.

        Returns
        -------
        bytes
            A JPEG file.
        """
        return encode(self._picture(n), limit=limit, sides=_LARGE)

    def input_of(self, n: int, model: VisionModel) -> Tensor:
        """Return a network input.

        Parameters
        ----------
        n : int
            Number of a photo that is there.
        model : VisionModel
            The network.

        Returns
        -------
        Tensor of shape (1, C, h, w)
            Normalised, on the model's device.
        """
        return model.to_input(model.preprocess.pixels(self.photo(n)))

    def _picture(self, n: int) -> Image.Image:
        return to_picture(self.photo(n).pixels)


class SeenPhotos(Strip):
    """What the network saw of the photos.

    Parameters
    ----------
    source : PhotoSet
        The bank's photos.
    """

    def __init__(self, source: PhotoSet) -> None:
        super().__init__()
        self._source = source

    def has(self, n: int) -> bool:
        """Tell whether a photo is there; see `Strip.has`."""
        return 0 <= n < len(self._source)

    def frame(self, n: int) -> Frame:
        """Say that the network looked at all of it; see `Strip.frame`."""
        top, left, bottom, right = self._source.geometries[n].seen
        wide, high = right - left, bottom - top
        return Frame(wide, high, (0, 0, wide, high), (left, top))

    def photo(self, n: int) -> Photo:
        """Return a network input; see `Strip.photo`."""
        return Photo((self._source.pixels(n) / np.float32(255)).astype(np.float32), prepared=True)


class WholePhotos(Strip):
    """Whole photos.

    Parameters
    ----------
    names : sequence of str
        What the bank calls its photos.
    images : mapping of str to image
        Some of them, or all, by these names.
    geometry : callable
        Says where the network looks: of the photo's number, and the photo.
    """

    def __init__(
        self, names: tuple[str, ...], images: Mapping[str, Any], geometry: Callable[[int, Photo], Geometry]
    ) -> None:
        super().__init__()
        self._names, self._images, self._geometry = names, images, geometry
        self._frames: dict[int, Frame] = {}

    def has(self, n: int) -> bool:
        """Tell whether a photo was given; see `Strip.has`."""
        return self._names[n] in self._images

    def frame(self, n: int) -> Frame:
        """Say where the network looked on the photo; see `Strip.frame`."""
        if n not in self._frames:
            found = self._geometry(n, self.photo(n))
            top, left, bottom, right = found.seen
            self._frames[n] = Frame(found.photo[1], found.photo[0], (left, top, right, bottom), (0, 0))
        return self._frames[n]

    def photo(self, n: int) -> Photo:
        """Read a photo; see `Strip.photo`."""
        return read_photo(self._images[self._names[n]], name=self._names[n])

    def shift(self, n: int) -> tuple[float, float]:
        """Say that boxes lie on whole photos; see `Strip.shift`."""
        del n
        return 0, 0


def make_strip(bank: ConceptBank, images: Mapping[str, Any] | None, model: VisionModel | None, calls: Calls) -> Strip:
    """Find the photos of a bank.

    Parameters
    ----------
    bank : ConceptBank
        The bank, for the names of its photos, and the photos themselves where it still has them.
    images : mapping of str to image, optional
        Whole photos by the bank's names. Without them, what the network saw is shown.
    model : VisionModel, optional
        The network, for where it looks on a photo.
    calls : Calls
        What a person calls for what is missing.

    Returns
    -------
    Strip
        The photos, or the reason why there are none.

    Raises
    ------
    ValueError
        If none of the images is one of the bank's.
    """
    if images is None:
        return Strip(_NOWHERE.format(calls.photos)) if bank.source is None else SeenPhotos(bank.source)
    if not any(name in images for name in bank.images):
        raise ValueError(
            f"images: wanted the bank's photos by its names, {list(bank.images[:3])} …, got {list(images)[:3]} …."
        )
    if bank.source is not None:
        known = bank.source.geometries
        return WholePhotos(bank.images, images, lambda n, _: known[n])
    if model is None:
        return Strip(_NO_GEOMETRY.format(calls.photos))
    look = model.preprocess.geometry
    return WholePhotos(bank.images, images, lambda _, photo: look(photo))
