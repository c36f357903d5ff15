"""Crops that show concepts: which ones, and all of them in one picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from whatwhere.concepts.concept_crop import ConceptCrop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.photos import PhotoSet

_COLUMNS = 16


class Counts(NamedTuple):
    """How many crops of each kind a concept is shown with, at most."""

    active: int
    relevant: int
    random: int
    lowest: int


class KindOfCrop(NamedTuple):
    """A crop, and why it is shown.

    Attributes
    ----------
    kind : {"active", "relevant", "random", "lowest"}
        The strongest codes; the strongest places of the photos whose logit owes it most; by lot where it is at all; the
        strongest places of the photos that show it least.
    crop : ConceptCrop
        The crop.
    """

    kind: str
    crop: ConceptCrop


class CropChooser:
    """Chooses the crops of a bank's concepts.

    Parameters
    ----------
    bank : ConceptBank
        The bank. Without its photos only its own crops, the strongest, are known.
    """

    def __init__(self, bank: ConceptBank) -> None:
        self._bank = bank
        count, h, w, rank = bank.codes.shape
        self._cells = bank.codes.reshape(count, h * w, rank)
        self._peak = self._cells.max(axis=1)
        self._cut: dict[tuple[int, int], ConceptCrop] = {}

    def choose(self, looked_at: Counts, others: Counts, *, opened: int) -> list[list[KindOfCrop]]:
        """Choose the crops of every concept.

        Parameters
        ----------
        looked_at, others : Counts
            How many of each kind, at most: of the concept that is looked at, and of the others.
        opened : int
            Which one is looked at.

        Returns
        -------
        list of list of KindOfCrop
            For each concept, kind after kind.
        """
        bank = self._bank
        if not bank.crops:
            return [[] for _ in range(bank.rank)]
        chosen = []
        for k, strongest in enumerate(bank.crops):
            counts = looked_at if k == opened else others
            found = [KindOfCrop("active", crop) for crop in strongest[: counts.active]]
            chosen.append(found if bank.source is None else found + self._others(bank.source, k, counts))
        return chosen

    def _others(self, photos: PhotoSet, k: int, counts: Counts) -> list[KindOfCrop]:
        """Cut crops that the bank has not."""
        relevant, lowest = self._relevant(k)[: counts.relevant], self._lowest(k)[: counts.lowest]
        places = [
            *(("relevant", n, self._strongest(n, k)) for n in relevant),
            *(("random", n, cell) for n, cell in self._by_lot(k, counts.random)),
            *(("lowest", n, self._strongest(n, k)) for n in lowest),
        ]
        return [KindOfCrop(kind, self._at(photos, n, cell, k)) for kind, n, cell in places]

    def _relevant(self, k: int) -> list[int]:
        """Photos whose logit owes the concept most, of those that show it."""
        owed = self._bank.contributions
        if not owed.size:
            return []
        order = np.argsort(-np.abs(owed[:, k]), kind="stable")
        return [n for n in order.tolist() if self._peak[n, k] > 0]

    def _lowest(self, k: int) -> list[int]:
        return list(np.argsort(self._peak[:, k], kind="stable").tolist())

    def _by_lot(self, k: int, count: int) -> list[tuple[int, int]]:
        lot = np.random.default_rng(self._bank.ids[k])
        shows = np.flatnonzero(self._peak[:, k] > 0)
        photos = lot.permutation(shows)[:count].tolist()
        return [(n, int(lot.choice(np.flatnonzero(self._cells[n, :, k] > 0)))) for n in photos]

    def _strongest(self, n: int, k: int) -> int:
        return int(self._cells[n, :, k].argmax())

    def _at(self, photos: PhotoSet, n: int, cell: int, k: int) -> ConceptCrop:
        if (n, cell) not in self._cut:
            box = self._window(photos.geometries[n].size, cell)
            self._cut[n, cell] = ConceptCrop(n, photos.geometries[n].to_photo(box), 0.0, photos.picture(n, box))
        crop = self._cut[n, cell]
        return ConceptCrop(n, crop.box, float(self._cells[n, cell, k]), crop.picture)

    def _window(self, size: tuple[int, int], cell: int) -> tuple[int, int, int, int]:
        """Return the window whose centre is nearest to a cell's, inside the input."""
        from whatwhere.concepts.crops import windows_of

        top, left, bottom, right = windows_of(size, self._bank.method.patch)[0]
        _, rows, columns, _ = self._bank.codes.shape
        high, wide = bottom - top, right - left
        y = (cell // columns + 0.5) * size[0] / rows - high / 2
        x = (cell % columns + 0.5) * size[1] / columns - wide / 2
        down, across = (round(min(max(v, 0), most)) for v, most in ((y, size[0] - high), (x, size[1] - wide)))
        return down, across, down + high, across + wide


def draw_sprite(
    pictures: Sequence[NDArray[np.uint8]], side: int, *, quality: int, columns: int = _COLUMNS
) -> tuple[bytes, int]:
    """Draw small pictures side by side, in rows.

    Parameters
    ----------
    pictures : sequence of ndarray of shape (h, w, 3), uint8
        The pictures; of one that is not square the middle is shown.
    side : int
        Side of each in pixels.
    quality : int
        JPEG quality.
    columns : int, default 16
        How many stand in a row, at most.

    Returns
    -------
    data : bytes
        A JPEG file; empty where there are no pictures.
    columns : int
        How many stand in a row, at least 1.
    """
    if not pictures:
        return b"", 1
    columns = min(columns, len(pictures))
    page = Image.new("RGB", (columns * side, -(-len(pictures) // columns) * side))
    for place, pixels in enumerate(pictures):
        row, column = divmod(place, columns)
        page.paste(_square(pixels, side), (column * side, row * side))
    buffer = io.BytesIO()
    page.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue(), columns


def _square(pixels: NDArray[np.uint8], side: int) -> Image.Image:
    picture = Image.fromarray(pixels)
    short = min(picture.size)
    left, top = (picture.width - short) // 2, (picture.height - short) // 2
    box = (left, top, left + short, top + short)
    return picture.resize((side, side), Image.Resampling.LANCZOS, box=box)
