"""The crops that show a concept most, found by looking at every crop of a bank's photos again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch

from whatwhere.concepts.crops import cut_out, windows_of
from whatwhere.engine.blocks import BlockStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.concepts.concepts import Concepts
    from whatwhere.concepts.crops import Box

Out = TypeVar("Out")

CROPS_A_PART = 10  # fewer crops a part than this tell little


class TopCrops(NamedTuple):
    """The crops of some photos that show a concept most.

    Attributes
    ----------
    photos, windows : ndarray of shape (n,), int64
        Which photo each lies on, ascending, and which window of it.
    quantile : float
        The quantile of the positive codes that they are above.
    told : str
        How they were chosen, for people.
    """

    photos: NDArray[np.int64]
    windows: NDArray[np.int64]
    quantile: float
    told: str


class CropScan:
    """All crops of a bank's photos, while their codes are found.

    Parameters
    ----------
    concepts : Concepts
        The bank and its network.
    cells : bool, default False
        Whether to look at the locations of whole photos as well.

    Attributes
    ----------
    windows : list of (top, left, bottom, right)
        The crops of every photo, in pixels of the network's input.
    codes : ndarray of shape (N, crops, r), float32
        Codes of the crops' mean features, once `steps` is through.
    pooled, cells : BlockStore
        Features of the crops, (crops, p) a photo, and of the photos' locations, (h * w, p) a photo.
    total : int
        Forwards to do.
    """

    def __init__(self, concepts: Concepts, *, cells: bool = False) -> None:
        self._concepts, self._photos = concepts, concepts.photos
        self.windows = windows_of(concepts.model.input_size, concepts.bank.method.patch)
        shape = (len(self._photos), len(self.windows), concepts.bank.rank)
        self.codes = np.zeros(shape, dtype=np.float32)
        self.pooled, self.cells = BlockStore(), BlockStore()
        self._with_cells = cells
        self.total = len(self._photos) * (len(self.windows) + cells)

    def steps(self) -> Iterator[int]:
        """Run every crop up to the bank's layer.

        Yields
        ------
        int
            Forwards done since the last one.

        Raises
        ------
        FloatingPointError
            If features are NaN or infinite; the message names the photo.
        """
        concepts, model = self._concepts, self._concepts.model
        for n in range(len(self._photos)):
            image, parts = self._photos.input_of(n, model), []
            for cells in run_crops(concepts.encoder.cells, image, self.windows, model.batch_size):
                parts.append(cells.mean(dim=(1, 2)))
                yield len(cells)
            if self._with_cells:
                self.cells.append(concepts.encoder.cells(image).flatten(0, 2))
                yield 1
            rows = torch.cat(parts)
            check_finite(rows, self._photos.names[n])
            self.pooled.append(rows)
            self.codes[n] = concepts.codes_of(rows).cpu().numpy()

    def strongest(self, k: int, *, quantile: float, wanted: int, most: int | None = None) -> TopCrops:
        """Choose the crops that show a concept most.

        Parameters
        ----------
        k : int
            The concept's row in the bank.
        quantile : float
            Those whose code is above this quantile of the positive codes, 0 to 1 …
        wanted : int
            … but as many as this where there are that many with a code above 0: the quantile is lowered.
        most : int, optional
            No more than this, the strongest; all of them by default.

        Returns
        -------
        TopCrops
            Fewer than wanted where no more show it; empty where none does.
        """
        codes = self.codes[..., k].astype(np.float64).ravel()
        order = np.argsort(-codes, kind="stable")
        positive = int((codes > 0).sum())
        above = int((codes > np.quantile(codes[codes > 0], quantile)).sum()) if positive else 0
        count = min(max(above, wanted), positive, positive if most is None else most)
        reached = quantile if count == above else 1 - count / max(1, positive)
        told = f"the {count} of {positive} crops that show it most (quantile {reached:.2f}"
        told += f", lowered from {quantile:.2f}, above which are {above})" if count > above else ")"
        photos, places = np.unravel_index(np.sort(order[:count]), self.codes.shape[:2])
        return TopCrops(photos.astype(np.int64), places.astype(np.int64), reached, told)


def run_crops(run: Callable[[Tensor], Out], image: Tensor, boxes: list[Box], size: int) -> Iterator[Out]:
    """Run crops of one image, a batch at a time.

    Parameters
    ----------
    run : callable
        Takes normalised images (n, C, H, W) on the model's device.
    image : Tensor of shape (1, C, H, W)
        The image.
    boxes : list of (top, left, bottom, right)
        Windows of one size.
    size : int
        Most crops a batch.

    Yields
    ------
    object
        What `run` returned.
    """
    for first in range(0, len(boxes), size):
        with torch.inference_mode():
            crops = cut_out(image, boxes[first : first + size])
        yield run(crops)


def check_finite(features: Tensor, name: str) -> None:
    """Refuse features that are NaN or infinite.

    Parameters
    ----------
    features : Tensor
        Features of a photo or of crops of it.
    name : str
        What the photo is called.

    Raises
    ------
    FloatingPointError
        If there are any.
    """
    if not torch.isfinite(features).all():
        raise FloatingPointError(f"images: crops of {name!r} give features that are NaN or infinite.")
