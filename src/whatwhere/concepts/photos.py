"""Photos as a network saw them, kept small: what crops are cut from, and concepts are shown with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from whatwhere.concepts.unreadable import read_or_note
from whatwhere.engine.blocks import BlockStore, Room
from whatwhere.pixels.images import is_one_image, iterate_images, name_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.model import VisionModel
    from whatwhere.pixels.geometry import Geometry
    from whatwhere.pixels.images import Photo, Pixels

_SIDE = 96  # pixels of a small picture


class Input(NamedTuple):
    """A photo as a network is shown it.

    Attributes
    ----------
    name : str
        What it is called.
    geometry : Geometry
        Where the network's input lies on the photo.
    pixels : ndarray of shape (h, w, 3), float32
        The network's input in pixel space.
    """

    name: str
    geometry: Geometry
    pixels: Pixels


class PhotoSet:
    """The network's inputs of a set of photos, in 8 bits, with where they lie on the photos.

    Parameters
    ----------
    room : Room, optional
        Memory that it shares with other sets; by default it has all for itself.

    Attributes
    ----------
    names : list of str
        What they are called.
    geometries : list of Geometry
        Where each network input lies on its photo.
    """

    def __init__(self, room: Room | None = None) -> None:
        self.names: list[str] = []
        self.geometries: list[Geometry] = []
        room = Room() if room is None else room  # one limit for both
        self._pixels = BlockStore(room)
        self._logits = BlockStore(room)

    @classmethod
    def read(cls, images: Any, model: VisionModel) -> PhotoSet:
        """Read photos for a model.

        Parameters
        ----------
        images : images
            What `whatwhere.pixels.images.iterate_images` takes.
        model : VisionModel
            The network, for its preprocessing.

        Returns
        -------
        PhotoSet
            All of them, in order.
        """
        photos = cls()
        for shown in iterate_inputs(images, model):
            photos.add(shown)
        return photos

    def __len__(self) -> int:
        return len(self.names)

    @property
    def logits(self) -> Sequence[Tensor] | None:
        """What the network said of each, of shape (1, K) a photo; None where that is not known of all."""
        return self._logits if len(self._logits) == len(self.names) else None

    def add(self, shown: Input, logits: Tensor | None = None) -> None:
        """Keep a photo.

        Parameters
        ----------
        shown : Input
            The photo as the network is shown it.
        logits : Tensor of shape (K,), optional
            What the network says of it.
        """
        if logits is not None:
            self._logits.append(logits.cpu()[None])
        self.names.append(shown.name)
        self.geometries.append(shown.geometry)
        self._pixels.append(torch.from_numpy(np.rint(shown.pixels * 255).astype(np.uint8))[None])

    def take(self, numbers: Sequence[int]) -> PhotoSet:
        """Return some of the photos.

        Parameters
        ----------
        numbers : sequence of int
            Which, in the order wanted.

        Returns
        -------
        PhotoSet
            A set of their own.
        """
        taken = PhotoSet()
        for number in numbers:
            taken.names.append(self.names[number])
            taken.geometries.append(self.geometries[number])
            taken._pixels.append(self._pixels[number])  # it is of this class
            if self.logits is not None:
                taken._logits.append(self._logits[number])
        return taken

    def pixels(self, number: int) -> NDArray[np.uint8]:
        """Return a network input.

        Parameters
        ----------
        number : int
            Which photo.

        Returns
        -------
        ndarray of shape (h, w, 3), uint8
            RGB.
        """
        return self._pixels[number][0].numpy()

    def inputs(self) -> Iterator[Input]:
        """Go through the photos.

        Yields
        ------
        Input
            Each as the network was shown it, within half a grey level.
        """
        for number, (name, geometry) in enumerate(zip(self.names, self.geometries, strict=True)):
            yield Input(name, geometry, self._scaled(number))

    def _scaled(self, number: int) -> Pixels:
        scaled: Pixels = (self.pixels(number) / np.float32(255)).astype(np.float32)
        return scaled

    def input_of(self, number: int, model: VisionModel) -> Tensor:
        """Return a network input, normalised.

        Parameters
        ----------
        number : int
            Which photo.
        model : VisionModel
            The network.

        Returns
        -------
        Tensor of shape (1, C, h, w)
            On the model's device; within half a grey level of what was looked at.
        """
        return model.to_input(self._scaled(number))

    def picture(self, number: int, box: tuple[int, int, int, int], *, side: int = _SIDE) -> NDArray[np.uint8]:
        """Cut a small picture out of a network input.

        Parameters
        ----------
        number : int
            Which photo.
        box : (int, int, int, int)
            Top, left, bottom and right edge in pixels of the input.
        side : int, default 96
            Longer side of the picture in pixels, at most; it is not enlarged.

        Returns
        -------
        ndarray of shape (h, w, 3), uint8
            RGB.
        """
        from PIL import Image

        top, left, bottom, right = box
        picture = Image.fromarray(np.ascontiguousarray(self.pixels(number)[top:bottom, left:right]))
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        return np.asarray(picture)


def count_images(images: Any) -> int:
    """Count images without reading any, for whoever shows how far a run is.

    Parameters
    ----------
    images : images
        What `whatwhere.pixels.images.iterate_images` takes.

    Returns
    -------
    int
        How many there are; 0 where that is not known beforehand.
    """
    if isinstance(images, PhotoSet):
        return len(images)
    if is_one_image(images):
        return 1
    if isinstance(images, str | os.PathLike):  # a folder
        return len(name_images(images))
    return len(images) if hasattr(images, "__len__") and hasattr(images, "__getitem__") else 0


def iterate_inputs(images: Any, model: VisionModel, *, unreadable: dict[str, str] | None = None) -> Iterator[Input]:
    """Read images one after the other, resized and cropped for a network.

    Parameters
    ----------
    images : images or PhotoSet
        What `whatwhere.pixels.images.iterate_images` takes, or what the network was shown before.
    model : VisionModel
        The network.
    unreadable : dict of str to str, optional
        Where files that cannot be read are noted and left out, with the reason by name; by default they are errors.

    Yields
    ------
    Input
        Each photo as the network is shown it.

    Raises
    ------
    ValueError
        If an input has another size than the model's: features of different grids are not compared.
    """
    if isinstance(images, PhotoSet):
        yield from images.inputs()
        return
    for name, image in iterate_images(images):
        photo = read_or_note(image, name, unreadable)
        if photo is None:
            continue
        yield prepare(photo, name, model)


def prepare(photo: Photo, name: str, model: VisionModel) -> Input:
    """Resize and crop a photo for a network.

    Parameters
    ----------
    photo : Photo
        The photo.
    name : str
        What it is called.
    model : VisionModel
        The network.

    Returns
    -------
    Input
        The photo as the network is shown it.

    Raises
    ------
    ValueError
        If it has another size than the model's: features of different grids are not compared.
    """
    pixels = model.preprocess.pixels(photo)
    if pixels.shape[:2] != model.input_size:
        raise ValueError(
            f"images: wanted network inputs of {model.input_size[0]} x {model.input_size[1]} pixels, got "
            f"{pixels.shape[0]} x {pixels.shape[1]} for {name!r}; give the model a preprocessing with input_size=, "
            "so that all features lie on one grid."
        )
    return Input(name, model.preprocess.geometry(photo), pixels)
