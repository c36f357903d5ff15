"""A bank and the network that it came from, kept together: the same weights, the same features, the same codes."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from whatwhere.concepts._base import Base
from whatwhere.concepts.coder import ConceptCoder
from whatwhere.concepts.extractors import read_extractor
from whatwhere.concepts.photos import PhotoSet, iterate_inputs
from whatwhere.engine.encoder import Encoder
from whatwhere.pixels.images import is_one_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.engine.encoder import Look
    from whatwhere.model import VisionModel
    from whatwhere.nets.head import AffineHead


class Pair:
    """What `whatwhere.concepts.concepts.Concepts` asks stands on: photos through the network, and their codes.

    Parameters
    ----------
    bank : ConceptBank
        The concepts.
    model : VisionModel
        The network.
    images : PhotoSet or mapping of str to image, optional
        The bank's photos.

    Raises
    ------
    ValueError
        If the network has other weights than the one that the concepts came from.
    """

    def __init__(
        self, bank: ConceptBank, model: VisionModel, *, images: PhotoSet | Mapping[str, Any] | None = None
    ) -> None:
        self.bank, self.model = bank, model
        self.check_network()
        self._stamp = model.stamp()
        self._given = images
        self.dictionary = bank.dictionary.to(model.device)
        self._extractor = read_extractor(bank.method.extractor, signed=not bank.layer.nonnegative)

    def check_network(self) -> None:
        """Refuse a network that is not, or no longer, the one that the concepts came from.

        Raises
        ------
        ValueError
            If it has other weights.

        Notes
        -----
        Reads every weight: about 10 ms for five million on a CPU. What asks the network looks at `follow` first, which
        costs microseconds while nobody trains.
        """
        found, known = self.model.fingerprint(), self.bank.provenance
        if found != known.fingerprint:
            raise ValueError(
                f"model: wanted the network that the concepts came from, {known.model} with weights "
                f"{known.fingerprint}, got {self.model.name} with {found}: directions mean nothing in the features of "
                "another network, or of this one once it was trained on. Run Craft on this one."
            )

    def follow(self) -> None:
        """Look whether the network has changed since it was last asked, and make anew what was made of it.

        Raises
        ------
        ValueError
            If it has other weights than the one that the concepts came from.
        """
        with self.model.computing():  # a layer or tensor that was replaced
            stamp = self.model.stamp()
        if stamp == self._stamp:
            return
        for made in ("encoder", "coder", "head"):
            self.__dict__.pop(made, None)
        self.check_network()
        self._stamp = self.model.stamp()

    @cached_property
    def encoder(self) -> Encoder:
        """The network at the bank's layer."""
        return Encoder(self.model, self.bank.layer.name)

    @cached_property
    def photos(self) -> PhotoSet:
        """The bank's photos, as the network saw them.

        Raises
        ------
        ValueError
            If they are not known, as after loading a bank from a file, or some are missing.
        """
        if isinstance(self._given, PhotoSet):
            return self._given
        if self._given is None:
            raise ValueError(
                "images: wanted the bank's photos, which files of banks do not hold; give them by name: "
                "bank.on(model, images={name: image, …})."
            )
        missing = [name for name in self.bank.images if name not in self._given]
        if missing:
            raise ValueError(f"images: wanted the bank's {len(self.bank.images)} photos, missing are {missing[:3]}.")
        return PhotoSet.read({name: self._given[name] for name in self.bank.images}, self.model)

    def codes_of(self, cells: Tensor) -> Tensor:
        """Find the codes of features, exactly, each location for itself.

        Parameters
        ----------
        cells : Tensor of shape (…, p)
            Features.

        Returns
        -------
        Tensor of shape (…, r), float32
            On the model's device.
        """
        rows = cells.reshape(-1, cells.shape[-1]).to(self.model.device)
        return self._extractor.encode(self.dictionary, rows).reshape(*cells.shape[:-1], -1)

    def looks(self, images: Any = None) -> Iterator[Look]:
        """Run photos, a batch at a time.

        Parameters
        ----------
        images : image or images, optional
            Photos; the bank's own by default.

        Yields
        ------
        Look
            Features and logits.

        Raises
        ------
        ValueError
            If the network was trained since the concepts were extracted.
        """
        self.follow()
        if images is None:
            inputs = (self.photos.input_of(k, self.model) for k in range(len(self.photos)))
        else:
            read = iterate_inputs([images] if is_one_image(images) else images, self.model)
            inputs = (self.model.to_input(shown.pixels) for shown in read)
        while batch := list(itertools.islice(inputs, self.model.batch_size)):
            yield self.encoder.look(torch.cat(batch))

    @property
    def _exact_codes(self) -> bool:
        return isinstance(self._extractor, Base) and self._extractor.exact_codes

    @cached_property
    def coder(self) -> ConceptCoder:
        """What turns images into codes, for maps."""
        encode = None if self._exact_codes else lambda rows: self._extractor.encode(self.dictionary, rows)
        return ConceptCoder(self.model, self.encoder.cut, self.dictionary.bank, encode, self.encoder.cells)

    @cached_property
    def head(self) -> AffineHead:
        """Weights of every class in the layer's features.

        Raises
        ------
        ValueError
            If what follows the layer is not affine.
        """
        from whatwhere.nets.head import affine_head

        with self.model.computing():
            return affine_head(self.encoder.cut, self.model.output)
