"""Files that are no readable photos: one of them does not end an extraction from hundreds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from whatwhere.pixels.images import iterate_images, read_photo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatwhere.pixels.images import ImageLike, Photo

_NAMED = 3  # of the files, in a sentence


def check_paths(images: Any) -> None:
    """Refuse a list or dict that names files which are not there, before anything is computed.

    Parameters
    ----------
    images : images
        What `whatwhere.pixels.images.iterate_images` takes; of anything but a list or dict, nothing is looked at.

    Raises
    ------
    ValueError
        If a path in it leads nowhere, or to a folder.

    Notes
    -----
    Asks the file system once a path, a few microseconds on a disk of one's own. Nothing is opened.
    """
    if not isinstance(images, list | tuple | dict):  # others may load what they are asked for
        return
    for name, image in iterate_images(images):
        if is_path(image) and (not os.path.exists(image) or os.path.isdir(image)):  # noqa: PTH110, PTH112  # see _is_folder
            read_photo(image, name=name)


def is_path(image: ImageLike) -> bool:
    """Tell whether an image is given as a file's path.

    Parameters
    ----------
    image : image
        One image.

    Returns
    -------
    bool
        False for contents of files, open files, pictures and arrays.
    """
    return isinstance(image, str | os.PathLike)


def read_or_note(image: ImageLike, name: str, unreadable: dict[str, str] | None) -> Photo | None:
    """Read a photo; of a file that cannot be read, note why.

    Parameters
    ----------
    image : image
        One image.
    name : str
        What it is called.
    unreadable : dict of str to str, or None
        Where reasons are noted, by name; None raises instead.

    Returns
    -------
    Photo or None
        None for a file that is noted.

    Raises
    ------
    TypeError, ValueError
        If an image cannot be read and is no file's path, or nothing is to be noted.
    """
    if unreadable is None or not is_path(image):
        return read_photo(image, name=name)
    try:
        return read_photo(image, name=name)
    except (TypeError, ValueError) as error:
        unreadable[name] = str(error).removeprefix(f"{name}: ")
        return None


def say_unreadable(unreadable: Mapping[str, str], seen: int) -> str:
    """Say how many photos were left out because they could not be read, and which.

    Parameters
    ----------
    unreadable : mapping of str to str
        Reasons by name, at least one.
    seen : int
        Photos that could be read.

    Returns
    -------
    str
        A sentence that names the first three, with the reason.
    """
    count = len(unreadable)
    named = "; ".join(f"{name!r}: {reason.rstrip('.')}" for name, reason in list(unreadable.items())[:_NAMED])
    more = f"; and {count - _NAMED} more" if count > _NAMED else ""
    was = "was" if count == 1 else "were"
    return f"{count} of {seen + count} photos could not be read and {was} left out ({named}{more})."
