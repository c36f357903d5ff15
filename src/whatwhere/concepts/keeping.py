"""Banks of concepts in the cache."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from whatwhere.cache.control import active
from whatwhere.cache.keys import digest_of
from whatwhere.concepts.photos import PhotoSet, iterate_inputs
from whatwhere.concepts.saving import as_parts, from_parts
from whatwhere.engine.caching import place_of
from whatwhere.pixels.contents import contents_of
from whatwhere.pixels.images import DatasetImage, is_lasting, iterate_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.cache.blobs import Entry
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.craft import Craft
    from whatwhere.engine.caching import Place
    from whatwhere.model import VisionModel

logger = logging.getLogger(__name__)

_LOGITS = "photos.logits"


class Keeper:
    """The bank of a set of images in the cache, if there is one.

    Parameters
    ----------
    method : Craft
        The method.
    model : VisionModel
        The network.
    images : images
        The set. Of images that can be read only once, such as a generator's, or that a dataset gives, a bank has no key
        before it is made: only what is known of single photos is kept.
    target : int or None
        The class to explain.
    like : ConceptBank, optional
        An earlier bank, whose ids are kept.
    """

    def __init__(
        self, method: Craft, model: VisionModel, images: Any, target: int | None, like: ConceptBank | None
    ) -> None:
        self._model, self._images = model, images
        self._place = self._placed(method, target, like)

    def _placed(self, method: Craft, target: int | None, like: ConceptBank | None) -> Place | None:
        if active() is None or isinstance(self._images, PhotoSet) or not is_lasting(self._images):
            return None
        before = None if like is None else (like.key, like.ids, like.layer.name)
        told = place_of("bank", self._model, method, target, before)  # says what is in the way before files are read
        digest = None if told is None else _digest(self._images)
        return None if digest is None else place_of("bank", self._model, method, target, before, digest)

    def find(self) -> ConceptBank | None:
        """Find the bank, and read its photos.

        Returns
        -------
        ConceptBank or None
            None where it has to be computed.
        """
        entry = None if self._place is None else self._place.find()
        return None if entry is None else self._read(entry)

    def keep(self, bank: ConceptBank) -> None:
        """Keep the bank.

        Parameters
        ----------
        bank : ConceptBank
            Finished.
        """
        if self._place is None:
            return
        told, arrays = as_parts(bank)
        logits = None if bank.source is None else bank.source.logits
        if logits is not None:
            arrays[_LOGITS] = torch.cat(list(logits)).numpy()
        self._place.keep(told, arrays, bank.provenance)

    def _read(self, entry: Entry) -> ConceptBank | None:
        arrays = {name: values.copy() for name, values in entry.arrays.items()}
        logits = arrays.pop(_LOGITS, None)
        bank = from_parts(entry.told, arrays)
        photos = _photos(self._images, self._model, bank, logits)
        if photos.names != list(bank.images):
            logger.info("Photos changed while they were read; the bank is computed anew.")
            return None
        return replace(
            bank,
            source=photos,
            class_names=self._model.class_names,
            provenance=replace(bank.provenance, cached=1),
        )


def _photos(images: Any, model: VisionModel, bank: ConceptBank, logits: NDArray[Any] | None) -> PhotoSet:
    """Read the photos of a bank."""
    photos, left = PhotoSet(), dict(zip(bank.images, range(len(bank.images)), strict=True))
    for shown in iterate_inputs(images, model, unreadable={}):
        number = left.pop(shown.name, None)
        if number is not None:
            photos.add(shown, None if logits is None else torch.from_numpy(logits[number]))
    return photos


def _digest(images: Any) -> str | None:
    """Hash what is in a set of images, in their order.

    None where one cannot be read, which whoever runs it says, and of a dataset, which may give others the next time.
    """
    told: list[tuple[str, str]] = []
    for name, image in iterate_images(images):
        if isinstance(image, DatasetImage):
            return None
        try:
            told.append((name, contents_of(image, name=name).digest))
        except (OSError, TypeError, ValueError):
            return None
    return digest_of(told)
