"""Photos of a view of maps: those that it was made with, those that come later, and how the browser gets them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeAlias

from whatwhere.drawing import encode, to_picture
from whatwhere.jobs import Step
from whatwhere.widgets._arrivals import encode_beside
from whatwhere.widgets._gallery import Album, Showing
from whatwhere.widgets._shared_photos import SharedPhotos
from whatwhere.widgets._status import describe_status

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator, Mapping

    from whatwhere.attribution import Attribution
    from whatwhere.jobs import Job
    from whatwhere.model import VisionModel
    from whatwhere.pixels.geometry import Geometry
    from whatwhere.pixels.images import Photo
    from whatwhere.widgets._errands import Errand
    from whatwhere.widgets._runs import Runs

logger = logging.getLogger(__name__)

SAVED_PHOTOS = 20  # with the notebook: the first ones, and the one that is shown
PHOTO_BYTES = 100_000  # of all of them together
_LARGE_BYTES = 14_000  # of the one that is shown, where it is none of the first
PAGE_PHOTO_BYTES = 2_400_000  # of all photos in an exported page

Read: TypeAlias = "tuple[Photo, dict[str, bytes]]"  # a photo that arrived, and files made anew for it


class Collecting(SharedPhotos["Read"], Showing):
    """A view with a map for each of its photos, to which photos are added.

    Parameters
    ----------
    **traits : object
        Initial values of public traits.
    """

    _model: VisionModel
    _runs: Runs
    _jobs: dict[str, Job[Attribution]]
    _photo_of: dict[str, Photo]
    _album: Album
    _begun: bool
    #: Classes that are stored with each map, by the map's key.
    _asked: dict[str, set[int]]
    #: Height and width of the photos that the view was made with.
    _sizes: dict[str, tuple[int, int]]
    #: Photos that might have been there from the first, on their way.
    _late: deque[dict[str, Photo]]
    selected_image: Any
    _images: Any
    _photos: Any
    _status: Any

    def _full_photo(self, name: str) -> Photo | None:
        return self._photo_of.get(name)

    def _reading(self, photo: Photo) -> Iterator[Step[Read]]:
        yield Step(1, 1, "photo", self._encode(photo))

    def _encode(self, photo: Photo) -> Read:
        if len(self._photo_of) >= SAVED_PHOTOS:
            return photo, {}
        kept = dict(zip(list(self._photo_of), self._photos, strict=False))
        return photo, encode_beside(photo, dict(self._photo_of), kept, PHOTO_BYTES)

    def _take_in(self, name: str, read: Read) -> str:
        photo, encoded = read
        saved = len(self._photo_of) < SAVED_PHOTOS
        kept = dict(zip(self._photo_of, self._photos, strict=True)) | encoded
        arrived = kept.pop("", b"")
        kept[name] = arrived if saved else b""
        self._runs.add(name, photo)
        self._album.add(name, photo)
        self._asked |= {key: set() for key in self._runs.keys(name)}
        self.write(
            _images=[*self._images, self._describe_image(name, photo)],
            _photos=[kept[each] for each in self._photo_of],
            _strip=self._describe_strip(),
            _status={**self._status, **self._describe_all([name])},
        )
        if self._begun:
            self._runs.start_behind(name)  # until somebody looks at it
        return name

    def _welcome(self) -> None:
        """Take in photos that belong to the view from the first, then what was added."""
        while self._late:
            self._take_in_late(self._late.popleft())
        super()._welcome()

    def _take_in_late(self, photos: Mapping[str, Photo]) -> None:
        late = {name: photo for name, photo in photos.items() if name not in self._photo_of}
        for name, photo in late.items():
            self._runs.add(name, photo)
            self._album.add(name, photo)
            self._asked |= {key: set() for key in self._runs.keys(name)}
            self._sizes[name] = photo.size
        self.write(
            _images=[*self._images, *(self._describe_image(name, photo) for name, photo in late.items())],
            _photos=[*self._photos, *[b""] * len(late)],
            _strip=self._describe_strip(),
        )
        self._follow_quietly()

    def _given(self) -> dict[str, tuple[int, int]]:
        return self._sizes

    def _added(self) -> dict[str, Photo]:
        return {name: photo for name, photo in self._photo_of.items() if name not in self._sizes}

    def _note_missed(self, errand: Errand) -> None:
        logger.error("A photo of a linked view could not be read: %s", errand.job.name, exc_info=errand.job.error)

    def _gallery(self) -> Album:
        return self._album

    def _describe_strip(self) -> dict[str, int]:
        return {"total": self._album.total, "mark": self._album.mark}

    def _encode_photos(self, count: int, total: int) -> list[bytes]:
        """Encode the first photos, in so many bytes together; of the others nothing is kept."""
        photos = list(self._photo_of.values())
        limit = total // min(count, len(photos))
        kept = [encode(to_picture(photo.pixels), limit=limit) for photo in photos[:count]]
        return [*kept, *[b""] * (len(photos) - len(kept))]

    def _encode_large(self) -> dict[str, bytes]:
        """Encode the photo that is shown, if it is none of the first."""
        name = self.selected_image
        if list(self._photo_of).index(name) < SAVED_PHOTOS:
            return {}
        return {name: encode(to_picture(self._photo_of[name].pixels), limit=_LARGE_BYTES)}

    def _describe_image(self, name: str, photo: Photo) -> dict[str, Any]:
        top, left, bottom, right = self._geometry(photo).seen
        return {"name": name, "width": photo.size[1], "height": photo.size[0], "seen": [left, top, right, bottom]}

    def _geometry(self, photo: Photo) -> Geometry:
        return self._model.preprocess.geometry(photo)

    def _describe_all(self, names: list[str]) -> dict[str, Any]:
        """Say how far photos are, by all methods."""
        return {key: self._describe_status(key) for name in names for key in self._runs.keys(name)}

    def _describe_status(self, key: str) -> dict[str, Any]:
        return describe_status(self._jobs[key], self._runs.rows_of(key))
