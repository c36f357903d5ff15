"""Photos that a person drops, pastes or chooses in the browser: read with care, on the worker."""

from __future__ import annotations

import itertools
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from whatwhere.drawing import encode, to_picture
from whatwhere.pixels.files import SUFFIXES, size_of
from whatwhere.pixels.images import Photo, read_photo
from whatwhere.widgets._view import WIRE, View

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Container, Iterator, Mapping

    from whatwhere.jobs import Step
    from whatwhere.widgets._errands import Errand, Errands

_LIMITS = WIRE["arriving"]
_SIDES = (640, 512, 384, 320, 256, 192, 128)  # of photos that share a budget, in pixels
_FORMATS = ("JPEG", "PNG")  # the browser sends no other

#: What a view is said to have news of.
ARRIVED = "\0photo"  # no photo is called so

ReadT = TypeVar("ReadT")


class Arrived(NamedTuple, Generic[ReadT]):
    """A photo that was read.

    Attributes
    ----------
    name : str
        What the browser calls it.
    rid : object
        Mark of the request.
    read : object
        What the view made of it.
    """

    name: str
    rid: Any
    read: ReadT


class Arriving(View, Generic[ReadT]):
    """A view that takes in photos from the browser, while it is used."""

    _errands: Errands
    #: Read, and not yet part of the view.
    _arrived: deque[Arrived[ReadT]]

    def _why_closed(self) -> str:
        """Say why no photo can be added; empty if it can."""
        return ""

    def _reading(self, photo: Photo) -> Iterator[Step[ReadT]]:
        """Do what takes time, on the worker."""
        raise NotImplementedError

    def _take_in(self, name: str, read: ReadT) -> str:
        """Make it one of the view's photos, under the lock, by a name that is free; return that."""
        raise NotImplementedError

    def _on_photo(self, content: dict[str, Any]) -> None:
        """Check the message, and have the worker read what it brings."""
        rid, name, buffers = content.get("rid"), _plain(content.get("name")), content.get("buffers")
        reason = self._why_closed()
        contents = bytes(buffers[0]) if buffers else b""
        if not reason and not 0 < len(contents) <= _LIMITS["bytes"]:
            reason = f"{name}: wanted one photo of at most {_LIMITS['bytes']:,} bytes, got {len(contents):,}."
        if reason:
            self._refuse_photo(rid, reason)
            return

        def steps() -> Iterator[Step[ReadT]]:
            yield from self._reading(read_arrival(contents, name))

        self._errands.run(("photo", rid), name, steps, self._on_read, rid)

    def _on_read(self, errand: Errand) -> None:
        """Keep what was read, or say why it was not."""
        job = errand.job
        if job.state == "done" and job.record is not None:
            self._arrived.append(Arrived(job.name, errand.rids[0], job.record))
            self._say(ARRIVED)
        else:
            stopped = f"{job.name}: adding it was stopped."
            self._refuse_photo(errand.rids[0], stopped if job.error is None else str(job.error))

    def _welcome(self) -> None:
        """Take in what was read, and tell the browser, which shows it."""
        raise NotImplementedError

    def _refuse_photo(self, rid: Any, message: str) -> None:
        self.reply("refused", rid, message=message, suggestions=[], superseded=False)


def read_arrival(contents: bytes, name: str) -> Photo:
    """Read a photo that came from the browser, which is not trusted to have made it small.

    Parameters
    ----------
    contents : bytes
        A JPEG or PNG file of at most 2048 x 2048 pixels.
    name : str
        What error messages call it.

    Returns
    -------
    Photo
        In pixel space, turned upright.

    Raises
    ------
    ValueError
        If it is of another format, broken or larger; larger ones are not decoded.
    """
    size = size_of(contents, name, formats=_FORMATS)
    if max(size) > _LIMITS["side"]:
        raise ValueError(f"{name}: wanted at most {_LIMITS['side']} pixels a side, got {size[0]} x {size[1]}.")
    return read_photo(contents, name=name)


def free_name(name: str, taken: Container[str]) -> str:
    """Find a name that no other photo has.

    Parameters
    ----------
    name : str
        What it would be called.
    taken : container of str
        Names that are taken.

    Returns
    -------
    str
        The name, or with a number: ``"cat (2)"``.
    """
    numbered = (f"{name} ({k})" for k in itertools.count(2))
    return next(free for free in itertools.chain([name], numbered) if free not in taken)


def encode_beside(
    photo: Photo, others: Mapping[str, Photo], kept: Mapping[str, bytes], budget: int
) -> dict[str, bytes]:
    """Encode a photo so that it fits in beside others; where there is too little room, the largest get smaller.

    Parameters
    ----------
    photo : Photo
        The photo.
    others : mapping of str to Photo
        The others.
    kept : mapping of str to bytes
        Their JPEG files.
    budget : int
        Bytes of all files together, wanted at most.

    Returns
    -------
    dict of str to bytes
        The photo's file as ``""``, and those of others that had to be made anew.
    """
    limit = budget // (len(others) + 1)
    made = {"": encode(to_picture(photo.pixels), limit=limit, sides=_SIDES)}
    over = sum(map(len, kept.values())) + len(made[""]) - budget
    for name, data in sorted(kept.items(), key=lambda item: -len(item[1])):
        if over <= 0 or len(data) <= limit:
            break
        made[name] = encode(to_picture(others[name].pixels), limit=limit, sides=_SIDES)
        over -= len(data) - len(made[name])
    return made


def _plain(name: Any) -> str:
    """Turn what the browser calls a file into a title, as files are called in Python: without folder and ending."""
    text = "".join(c for c in name if c.isprintable()) if isinstance(name, str) else ""
    path = PurePosixPath(text.replace("\\", "/").strip())
    title = path.stem if path.suffix.lower() in SUFFIXES else path.name
    return title[: _LIMITS["longest_name"]].strip() or "photo"
