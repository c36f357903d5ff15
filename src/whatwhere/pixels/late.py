"""Photos that are read when somebody looks at them: of many, few are."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from whatwhere.pixels.images import Photo, read_photo

if TYPE_CHECKING:
    from whatwhere.pixels.images import ImageLike, Pixels


class LatePhoto(Photo):
    """A photo whose pixels are read each time that nobody else holds them.

    Parameters
    ----------
    image : image
        What `whatwhere.pixels.images.read_photo` reads.
    size : (int, int)
        Height and width in pixels, as it will have been read.
    name : str, default "image"
        What error messages call it.

    Raises
    ------
    ValueError
        When its pixels are asked for, if they cannot be read, or have another size by now.
    """

    def __init__(self, image: ImageLike, size: tuple[int, int], *, name: str = "image") -> None:
        self.__dict__.update(
            _image=image, _size=size, _name=name, _read=None, prepared=getattr(image, "prepared", False)
        )

    @property
    def pixels(self) -> Pixels:
        """RGB values in [0, 1], of shape (H, W, 3), float32."""
        own: dict[str, Any] = self.__dict__
        kept = None if own["_read"] is None else own["_read"]()
        if kept is not None:
            return kept
        pixels = read_photo(own["_image"], name=own["_name"]).pixels
        if pixels.shape[:2] != own["_size"]:
            raise ValueError(
                f"{own['_name']}: wanted the photo that was looked at, {own['_size'][1]} x {own['_size'][0]} pixels, "
                f"got one of {pixels.shape[1]} x {pixels.shape[0]}: the file has changed."
            )
        own["_read"] = weakref.ref(pixels)
        return pixels

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        told: tuple[int, int] = self.__dict__["_size"]
        return told
