"""Photos at their own size, for pictures that are saved: views hold them small, since notebooks keep what they hold."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from whatwhere.drawing import to_picture
from whatwhere.jobs import Job, Step
from whatwhere.widgets._view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatwhere.pixels.images import Photo

_MOST, _QUALITY = 2048, 92  # pixels of the longer side, as many as a saved picture has; of the JPEG
_WORKER = "photos"  # a thread of its own: this waits for no network


class FullPhotos(View):
    """A view that gives its photos to whoever saves a picture."""

    def _full_photo(self, name: str) -> Photo | None:
        """Read a photo by its name, or tell that there is none."""
        raise NotImplementedError

    def _on_full(self, content: dict[str, Any]) -> None:
        rid, name = content.get("rid"), content.get("image")

        def steps() -> Iterator[Step[bytes]]:
            photo = self._full_photo(name) if isinstance(name, str) else None
            if photo is None:
                raise LookupError(f"image: wanted a photo of the view, got {name!r}.")
            picture, buffer = to_picture(photo.pixels), io.BytesIO()
            picture.thumbnail((_MOST, _MOST))
            picture.save(buffer, "JPEG", quality=_QUALITY)
            yield Step(1, 1, "full", buffer.getvalue())

        def answer(job: Job[bytes]) -> None:
            if job.state == "done" and job.record is not None:
                self.reply("full", rid, buffers=[job.record])
            elif job.state == "failed":
                self.reply("refused", rid, message=str(job.error), suggestions=[], superseded=False)

        job = Job(steps, device=_WORKER, name="full photo")
        job.watch(answer)
        job.start()
