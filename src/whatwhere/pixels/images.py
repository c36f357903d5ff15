"""Reading and naming images.

Pixel space is RGB float32 in [0, 1], shape (H, W, 3). This module imports no torch: tensors are recognised by what they
can do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whatwhere.pixels.arrays import channels_last, from_tensor, is_tensor, to_pixels
from whatwhere.pixels.files import from_pil, images_below, read_file

#: What stands for one image: a file, its bytes, an open file, a PIL image, a numpy array (H, W[, C]), a torch tensor
#: ([C, ]H, W), an item of a dataset or a Photo.
ImageLike: TypeAlias = Any
#: An image in pixel space: float32 (H, W, 3), values in [0, 1].
Pixels: TypeAlias = NDArray[np.float32]

_IMAGE_AXES = 3  # at most; one more is a batch
_IMAGE_KEYS = ("image", "img", "pixel_values")  # where datasets of dicts keep the image


@dataclass(frozen=True, eq=False)
class Photo:
    """An image in pixel space.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), float32
        RGB values in [0, 1].
    prepared : bool, default False
        Whether it is a network's input already, not to be resized and cropped again.
    """

    pixels: Pixels
    prepared: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True, eq=False)
class DatasetImage:
    """One image of a dataset, fetched when it is read.

    Parameters
    ----------
    dataset : object
        Has ``dataset[index]``, which gives an image, a tuple that begins with one, or a dict with the key ``"image"``,
        ``"img"`` or ``"pixel_values"``.
    index : int
        Which one.
    """

    dataset: Any
    index: int

    def load(self) -> ImageLike:
        """Fetch the item and leave its label out.

        Returns
        -------
        image
            What the dataset holds, not yet in pixel space.

        Raises
        ------
        ValueError
            If the item is a dict without an image.
        """
        return unlabelled(self.dataset[self.index])


def read_photo(image: ImageLike, *, name: str = "image") -> Photo:
    """Read one image into pixel space.

    Parameters
    ----------
    image : path, bytes, binary file, PIL.Image.Image, ndarray, Tensor, DatasetImage or Photo
        A file, its contents or its pixels. Arrays are (H, W) or (H, W, C), tensors (H, W) or (C, H, W), with C = 1
        (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha); uint8, uint16, bool, or floats in [0, 1]. EXIF
        rotation is applied; a transparent picture is laid on white; of an animation the first frame is read.
    name : str, default "image"
        What error messages call it.

    Returns
    -------
    Photo
        The image as RGB float32 values in [0, 1].

    Raises
    ------
    TypeError
        If `image` is of another kind, or its numbers are neither unsigned integers nor floats.
    ValueError
        If the file is missing, broken or too large to be trusted, or the array is empty, has NaN or infinite values,
        values outside [0, 1], or a wrong number of channels. The message says which scale the values look like and what
        to do.

    Notes
    -----
    What has more than 4096 x 4096 pixels is averaged over blocks of 2 x 2, 3 x 3, … pixels until it has fewer, so that
    a photo takes at most 201 MB; ``Photo.size`` is then the smaller size, and maps are drawn in its pixels. 16-bit
    greys keep their depth; of 16-bit colour files Pillow reads the upper 8 bits.
    """
    if isinstance(image, Photo):
        return image
    if isinstance(image, DatasetImage):
        return read_photo(image.load(), name=name)
    return Photo(_read_file_or_picture(image, name) if _is_file_or_picture(image) else _read_numbers(image, name))


def name_images(images: Any) -> dict[str, ImageLike]:
    """Give every image of a collection a name; one image alone is called ``"image"``.

    Parameters
    ----------
    images : image, folder, mapping of str to image, sequence, dataset, or batch (N, H, W, 3) / Tensor (N, 3, H, W)
        What a person hands over. A folder stands for all images in it and below it; a dataset has a length and gives
        images, or (image, label), by number. Of the tuples of a sequence the first element is the image.

    Returns
    -------
    dict of str to image
        In the given order. Mappings keep their keys, files are called after themselves, those of a folder by their path
        in it, the rest ``"image 1"``, ``"image 2"``, … Nothing is read: files are paths, items of a dataset
        `DatasetImage`.

    Raises
    ------
    TypeError
        If it is no collection that can be read twice; see `iterate_images` for those that cannot.
    ValueError
        If there is no image at all, or two keys of a mapping are the same as text.
    """
    if not is_lasting(images):
        raise TypeError(
            f"images: wanted an image, or a dict, list, folder or batch of images, got {type(images).__qualname__}; "
            "turn a generator into a list first."
        )
    named = dict(_entitled(images))
    if not named:
        raise ValueError("images: wanted at least one image, got an empty collection.")
    return named


def iterate_images(images: Any) -> Iterator[tuple[str, ImageLike]]:
    """Give the images of a collection, however large, one after the other with their names.

    Parameters
    ----------
    images : anything that `name_images` takes, or an iterable of images or batches
        Generators, iterable datasets and DataLoaders as well. Of tuples, and of lists that begin with a batch, the
        first element counts; of dicts the one called ``"image"``, ``"img"`` or ``"pixel_values"``; batches are taken
        apart.

    Returns
    -------
    iterator of (str, image)
        Names as `name_images` gives them.

    Raises
    ------
    TypeError
        If it is no collection at all.
    ValueError
        If there is no image, or two keys of a mapping are the same as text.

    Notes
    -----
    Nothing is fetched before it is asked for, and nothing is kept but the names, which must not be given twice: about
    100 bytes each.
    """
    if not is_lasting(images) and not isinstance(images, Iterable):
        raise TypeError(
            "images: wanted an image, or a dict, list, folder, batch or iterable of images, "
            f"got {type(images).__qualname__}."
        )
    return _at_least_one(_entitled(images))


def is_one_image(images: Any) -> bool:
    """Tell whether a value stands for a single image rather than a collection.

    Parameters
    ----------
    images : object
        What a person handed over.

    Returns
    -------
    bool
        True for a path that is no folder, bytes, an open file, a PIL image, and arrays or tensors of at most three
        axes.
    """
    if isinstance(images, str | os.PathLike):
        return not _is_folder(images)
    if isinstance(images, bytes | bytearray | memoryview | Image.Image | Photo | DatasetImage):
        return True
    if _is_array(images):
        return len(images.shape) <= _IMAGE_AXES
    return hasattr(images, "read")


def is_lasting(images: Any) -> bool:
    """Tell whether images can be read twice.

    Parameters
    ----------
    images : object
        What a person handed over.

    Returns
    -------
    bool
        True for an image, a folder, mapping, sequence, batch or dataset; False for generators and DataLoaders.
    """
    if is_one_image(images) or isinstance(images, str | os.PathLike | Mapping | Sequence) or _is_batch(images):
        return True
    return hasattr(images, "__len__") and hasattr(images, "__getitem__")


def unlabelled(item: Any) -> Any:
    """Take the image, or batch of images, from what a dataset or a DataLoader gives.

    Parameters
    ----------
    item : object
        An image or batch; a tuple, or a list that begins with a batch, of it and labels; or a dict of them.

    Returns
    -------
    object
        The first element, or the dict's ``"image"``, ``"img"`` or ``"pixel_values"``; anything else as it is.

    Raises
    ------
    ValueError
        If a tuple is empty or a dict has none of these keys.
    """
    if isinstance(item, Mapping):
        for key in _IMAGE_KEYS:
            if key in item:
                return item[key]
        raise ValueError(f"images: wanted one of the keys {_IMAGE_KEYS} in each item, got {sorted(map(str, item))}.")
    if isinstance(item, tuple):
        if not item:
            raise ValueError("images: wanted an image, or a tuple of an image and its label, got an empty tuple.")
        return item[0]
    return item[0] if isinstance(item, list) and item and _is_batch(item[0]) else item


def _entitled(images: Any) -> Iterator[tuple[str, ImageLike]]:
    if is_one_image(images):
        yield _title(images, "image"), images
    elif isinstance(images, str | os.PathLike):
        yield from images_below(images).items()
    elif isinstance(images, Mapping):
        yield from _keyed(images)
    else:
        yield from _numbered(images)


def _keyed(images: Mapping[Any, ImageLike]) -> Iterator[tuple[str, ImageLike]]:
    met = set()
    for key, image in images.items():
        if str(key) in met:
            raise ValueError(f"images: wanted keys that differ as text, got {str(key)!r} twice.")
        met.add(str(key))
        yield str(key), image


def _numbered(images: Any) -> Iterator[tuple[str, ImageLike]]:
    met: set[str] = set()
    for k, image in enumerate(_flat(images), start=1):
        plain = title = _title(image, f"image {k}")
        again = k
        while title in met:
            title = f"{plain} ({again})"
            again += 1
        met.add(title)
        yield title, image


def _flat(images: Any) -> Iterator[ImageLike]:
    if isinstance(images, Sequence) or _is_batch(images):
        yield from (item[0] if isinstance(item, tuple) and item else item for item in images)
    elif hasattr(images, "__len__") and hasattr(images, "__getitem__"):
        yield from (DatasetImage(images, index) for index in range(len(images)))
    else:
        for item in images:
            found = unlabelled(item)
            yield from found if _is_batch(found) else (found,)


def _at_least_one(named: Iterator[tuple[str, ImageLike]]) -> Iterator[tuple[str, ImageLike]]:
    met = False
    for pair in named:
        met = True
        yield pair
    if not met:
        raise ValueError("images: wanted at least one image, got an empty collection.")


def _is_array(images: Any) -> bool:
    return hasattr(images, "shape") and hasattr(images, "dtype")  # tables have a shape as well


def _is_batch(images: Any) -> bool:
    return _is_array(images) and len(images.shape) > _IMAGE_AXES


def _is_folder(path: str | os.PathLike[str]) -> bool:
    return os.path.isdir(path)  # noqa: PTH112  # Path.is_dir raises where a name is too long


def _title(image: ImageLike, otherwise: str) -> str:
    place = getattr(image, "name", None) if hasattr(image, "read") else image
    return Path(place).stem or otherwise if isinstance(place, str | os.PathLike) else otherwise


def _contents(file: Any, name: str) -> bytes:
    """Read a file from its beginning, and leave it where it was."""
    try:
        if hasattr(file, "seekable") and file.seekable():
            position = file.tell()
            file.seek(0)
            contents = file.read()
            file.seek(position)
        else:
            contents = file.read()
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: wanted an open file, got one that cannot be read: {error}.") from error
    if not isinstance(contents, bytes | bytearray | memoryview):
        raise TypeError(
            f"{name}: wanted a file opened in binary mode ('rb'), got {type(contents).__qualname__} from it."
        )
    return bytes(contents)


def _is_file_or_picture(image: ImageLike) -> bool:
    if isinstance(image, memoryview):
        return image.ndim == 1  # with more axes it is an array
    return isinstance(image, str | os.PathLike | bytes | bytearray | Image.Image) or (
        hasattr(image, "read") and not _is_array(image)
    )


def _read_file_or_picture(image: ImageLike, name: str) -> Pixels:
    if isinstance(image, Image.Image):
        return from_pil(image, name)
    if isinstance(image, memoryview):
        return read_file(bytes(image), name)
    return read_file(_contents(image, name) if hasattr(image, "read") else image, name)


def _read_numbers(image: ImageLike, name: str) -> Pixels:
    if is_tensor(image):
        return to_pixels(channels_last(from_tensor(image, name), name), name)
    if isinstance(image, np.ndarray | memoryview):
        return to_pixels(np.asanyarray(image), name)
    raise TypeError(
        f"{name}: wanted a path, bytes, a binary file, a PIL image, a numpy array (H, W, 3) or a torch tensor "
        f"(3, H, W), got {type(image).__module__}.{type(image).__qualname__}."
    )
