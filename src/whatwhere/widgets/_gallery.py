"""Photos that are not saved with a view: sent, as thumbnails, when somebody scrolls to them."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from whatwhere.drawing import to_picture
from whatwhere.jobs import Step
from whatwhere.widgets._recent import Recent
from whatwhere.widgets._view import WIRE, View

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from whatwhere.pixels.images import Photo
    from whatwhere.widgets._errands import Errand, Errands

_SIDE, _QUALITY = 128, 72  # of a thumbnail: about 6 KB
_MOST: int = WIRE["thumbnails"]  # of a message
_AT_HAND = 1024  # thumbnails that are kept

#: Numbers of galleries: what is asked of one is not answered by the next.
marks = itertools.count(1)

Tile = tuple[dict[str, Any], bytes]


class Gallery(Protocol):
    """All photos of a view, in the order of its strip.

    Attributes
    ----------
    mark : int
        Another one for each gallery. Photos that are added later come behind the others, whose places stay.
    total : int
        Number of photos.
    """

    mark: int
    total: int

    def tile(self, place: int) -> Tile:
        """Return what is told of a photo, and its thumbnail.

        Parameters
        ----------
        place : int
            Its place in the strip.

        Returns
        -------
        told : dict
            An entry of ``images`` on the wire.
        data : bytes
            A JPEG file.
        """
        ...


class Album:
    """Photos that were read already.

    Parameters
    ----------
    photos : mapping of str to Photo
        The photos by name, in the order of the strip.
    """

    def __init__(self, photos: Mapping[str, Photo]) -> None:
        self.mark, self.total = next(marks), len(photos)
        self._photos = list(photos.items())
        self._made: Recent[int, bytes] = Recent(_AT_HAND)

    def add(self, name: str, photo: Photo) -> None:
        """Put a photo behind the others.

        Parameters
        ----------
        name : str
            Its name.
        photo : Photo
            The photo.
        """
        self._photos.append((name, photo))
        self.total = len(self._photos)

    def tile(self, place: int) -> Tile:
        """Return a photo's name and thumbnail; see `Gallery.tile`."""
        name, photo = self._photos[place]
        return {"name": name}, self._made.get(place, lambda: draw_thumbnail(to_picture(photo.pixels)))


class Showing(View):
    """A view with a strip of photos, of which not all are saved with a notebook.

    Parameters
    ----------
    **traits : object
        Initial values of public traits.
    """

    #: Jobs that read photos. They are not told of as progress: nobody waits for them but who scrolls.
    _deliveries: Errands

    def _gallery(self) -> Gallery | None:
        """Return all photos; None while there are none."""
        raise NotImplementedError

    def _on_thumbnails(self, content: dict[str, Any]) -> None:
        """Read photos on the worker, and send them as one message."""
        rid, places, gallery = content.get("rid"), content.get("places"), self._gallery()
        if gallery is None or content.get("mark") != gallery.mark:
            self.reply("refused", rid, message="These photos are no longer shown.", suggestions=[], superseded=True)
        elif not isinstance(places, list) or not _are_places(places, gallery.total):
            wanted = f"a list of 1 to {_MOST} integers from 0 to {gallery.total - 1}"
            self.reply(
                "refused", rid, message=f"places: wanted {wanted}, got {places!r}.", suggestions=[], superseded=False
            )
        else:
            key = ("thumbnails", gallery.mark, *places)
            self._deliveries.run(key, "thumbnails", lambda: _read(gallery, places), self._on_delivered, rid)

    def _on_delivered(self, errand: Errand) -> None:
        tiles, error = errand.job.record, errand.job.error
        for rid in errand.rids:
            if tiles is None:
                why = "It was stopped." if error is None else str(error)
                self.reply("refused", rid, message=why, suggestions=[], superseded=error is None)
            else:
                told, data = zip(*tiles, strict=True)
                self.reply("thumbnails", rid, mark=errand.key[1], images=list(told), buffers=list(data))


def _are_places(places: list[Any], total: int) -> bool:
    return 0 < len(places) <= _MOST and all(
        isinstance(place, int) and not isinstance(place, bool) and 0 <= place < total for place in places
    )


def _read(gallery: Gallery, places: list[int]) -> Iterator[Step[list[Tile]]]:
    """Read photos, one a step; one that cannot be read does not take the others with it, and says why."""
    tiles: list[Tile] = []
    for done, place in enumerate(places, 1):
        try:
            told, data = gallery.tile(place)
        except (OSError, TypeError, ValueError) as error:
            told, data = {"error": str(error)}, b""
        tiles.append(({**told, "place": place}, data))
        yield Step(done, len(places), "thumbnails", tiles if done == len(places) else None)


def draw_thumbnail(picture: Image.Image) -> bytes:
    """Draw a photo, small.

    Parameters
    ----------
    picture : PIL.Image.Image
        The photo, RGB.

    Returns
    -------
    bytes
        A JPEG file whose shorter side has 128 pixels, and the longer at most four times as many.
    """
    share = min(1, _SIDE / min(picture.size), 4 * _SIDE / max(picture.size))
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()
