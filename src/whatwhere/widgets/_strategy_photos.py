"""The photos of a strategy graph, as far as they are there to be shown, and where concepts are on them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from whatwhere.drawing import encode, to_picture
from whatwhere.jobs import Step
from whatwhere.pixels.images import Photo, read_photo
from whatwhere.widgets._gallery import draw_thumbnail, marks
from whatwhere.widgets._planes import code_scales, to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.model import VisionModel
    from whatwhere.strategies.graph import StrategyGraph
    from whatwhere.widgets._calls import Calls
    from whatwhere.widgets._gallery import Tile

_LARGE, _LARGE_BYTES = (320, 288, 256, 224, 192), 16_000  # sides and bytes of the photo that is looked at
_NO_PHOTOS = "The graph holds no thumbnails: {} shows the photos."
_NO_BANK = "Where a concept is on the photo, its bank tells: {}. The graph alone does not hold it."
_NO_NET = "Where concepts are on this photo, the network tells: {}."


class PhotoSource:
    """Photos by their row in the graph: given ones, those of the bank, or the graph's own thumbnails.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    images : mapping of str to image, optional
        Whole photos by name, read when they are looked at.
    bank : ConceptBank, optional
        The concepts, with the photos that it was made of.
    model : VisionModel, optional
        The network.
    calls : Calls
        What a person calls for what is missing.

    Attributes
    ----------
    mark, total : int
        See `whatwhere.widgets._gallery.Gallery`.
    """

    def __init__(
        self,
        graph: StrategyGraph,
        images: Mapping[str, Any] | None,
        bank: ConceptBank | None,
        model: VisionModel | None,
        calls: Calls,
    ) -> None:
        self.mark, self.total = next(marks), len(graph)
        self._graph, self._images = graph, images or {}
        self._bank, self._model, self._calls = bank, model, calls
        self._in_bank = {} if bank is None else {name: n for n, name in enumerate(bank.images)}
        self._small: dict[int, Image.Image] = {}

    @property
    def reason(self) -> str:
        """Why there are no photos; empty if there are some."""
        held = self._graph.thumbnails or (self._bank is not None and self._bank.source is not None)
        return "" if held or any(name in self._images for name in self._graph.images) else self._no_photos

    @property
    def why_no_maps(self) -> str:
        """Why concepts are not shown on photos; empty where they may be."""
        return _NO_BANK.format(self._calls.network) if self._bank is None else ""

    @property
    def _no_photos(self) -> str:
        return _NO_PHOTOS.format(self._calls.photos)

    def at_hand(self, n: int) -> bool:
        """Tell whether a small picture costs no reading.

        Parameters
        ----------
        n : int
            Row of the photo.

        Returns
        -------
        bool
            Whether it is in memory.
        """
        return bool(self._graph.thumbnails) or self._number(n) is not None

    def small(self, n: int) -> Image.Image:
        """Return a small picture of a photo.

        Parameters
        ----------
        n : int
            Its row.

        Returns
        -------
        PIL.Image.Image
            RGB.

        Raises
        ------
        ValueError
            If there is none.
        """
        if n not in self._small:
            self._small[n] = self._draw_small(n)
        return self._small[n]

    def _draw_small(self, n: int) -> Image.Image:
        if self._graph.thumbnails:
            return Image.open(io.BytesIO(self._graph.thumbnails[n])).convert("RGB")
        number, source = self._number(n), self._bank.source if self._bank is not None else None
        if number is not None and source is not None:
            return Image.open(io.BytesIO(draw_thumbnail(Image.fromarray(source.pixels(number))))).convert("RGB")
        raise ValueError(self._no_photos)

    def tile(self, place: int) -> Tile:
        """Return a photo's name and thumbnail; see `whatwhere.widgets._gallery.Gallery.tile`."""
        name = self._graph.images[place]
        if name in self._images:
            return {"name": name}, draw_thumbnail(to_picture(self.photo(name).pixels))
        return {"name": name}, draw_thumbnail(self.small(place))

    def photo(self, name: str) -> Photo:
        """Read a photo.

        Parameters
        ----------
        name : str
            One of those that were given.

        Returns
        -------
        Photo
            The photo.
        """
        return read_photo(self._images[name], name=name)

    def whole(self, name: str) -> Photo | None:
        """Read a photo at its own size, or the best there is.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        Photo or None
            None if there is none.
        """
        return self.photo(name) if name in self._images else None

    def look(self, n: int) -> Iterator[Step[dict[str, Any]]]:
        """Draw a photo as it is looked at, with where the concepts are.

        Parameters
        ----------
        n : int
            Its row.

        Yields
        ------
        Step
            One; its record is ``_look`` on the wire.
        """
        name, number, bank = self._graph.images[n], self._number(n), self._bank
        told: dict[str, Any] = {"image": name, "photo": b"", "grid": [0, 0], "maps": b"", "reason": self.why_no_maps}
        if bank is not None and bank.source is not None and number is not None:
            told["photo"] = encode(Image.fromarray(bank.source.pixels(number)), limit=_LARGE_BYTES, sides=_LARGE)
            told |= self._planes(bank, bank.codes[number].transpose(2, 0, 1))
        elif name in self._images and bank is not None and self._model is not None:
            photo = self.photo(name)
            seen = to_picture(self._model.preprocess.pixels(photo))
            told["photo"] = encode(seen, limit=_LARGE_BYTES, sides=_LARGE)
            told |= self._planes(bank, bank.on(self._model).maps(photo, "codes").values)
        elif name in self._images:
            told["photo"] = encode(to_picture(self.photo(name).pixels), limit=_LARGE_BYTES, sides=_LARGE)
            told["reason"] = self.why_no_maps or _NO_NET.format(self._calls.network)
        elif self.at_hand(n):
            told["photo"] = encode(self.small(n), limit=_LARGE_BYTES, sides=_LARGE)
            told["reason"] = self.why_no_maps or _NO_NET.format(self._calls.network)
        else:
            told["reason"] = self._no_photos
        yield Step(1, 1, "photo", told)

    def _number(self, n: int) -> int | None:
        """Return a photo's number in the bank, if that holds it."""
        if self._bank is None or self._bank.source is None:
            return None
        return self._in_bank.get(self._graph.images[n])

    def _planes(self, bank: ConceptBank, values: Any) -> dict[str, Any]:
        """Write one plane a concept of the graph, as shares of what is drawn in full over the whole bank."""
        order = [bank.number_of(key) for key in self._graph.ids]
        planes = np.ascontiguousarray(values, dtype=np.float32)[order]
        return {"grid": list(planes.shape[1:]), "maps": to_bytes(planes, code_scales(bank)[order]), "reason": ""}
