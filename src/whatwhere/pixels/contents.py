"""What is in a photo, whatever it is called and wherever it lies: a hash."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import PIL

from whatwhere.cache.keys import content_digest
from whatwhere.pixels.images import Photo, read_photo

if TYPE_CHECKING:
    from whatwhere.pixels.images import ImageLike


class Contents(NamedTuple):
    """A photo that has been looked at, but perhaps not decoded.

    Attributes
    ----------
    digest : str
        Hash of what is in it.
    image : bytes or Photo
        The file's contents, or the photo.
    """

    digest: str
    image: bytes | Photo


def photo_digest(photo: Photo) -> str:
    """Hash a photo's pixels.

    Parameters
    ----------
    photo : Photo
        The photo.

    Returns
    -------
    str
        40 hexadecimal digits. About a millisecond a megabyte.
    """
    return content_digest(b"prepared" if photo.prepared else b"photo", photo.pixels)


def contents_of(image: ImageLike, *, name: str = "image") -> Contents:
    """Hash what is in an image; files are read but not decoded.

    Parameters
    ----------
    image : image
        Anything `whatwhere.pixels.images.read_photo` reads.
    name : str, default "image"
        What error messages call it.

    Returns
    -------
    Contents
        Files are told by their bytes and by the version of Pillow, which decodes them; anything else by its pixels.

    Raises
    ------
    TypeError, ValueError
        If it is no image, as far as that is seen.
    OSError
        If it is a path, and cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        image = Path(image).read_bytes()
    if isinstance(image, bytes | bytearray):
        image = bytes(image)
        return Contents(content_digest(b"file", PIL.__version__.encode(), image), image)
    photo = read_photo(image, name=name)
    return Contents(photo_digest(photo), photo)
