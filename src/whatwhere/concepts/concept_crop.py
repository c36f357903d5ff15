"""Parts of photos that show a concept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ConceptCrop:
    """A part of a photo that shows a concept.

    Parameters
    ----------
    image : int
        Number of the photo in the bank.
    box : (float, float, float, float)
        Top, left, bottom and right edge in pixels of the photo.
    activation : float
        The concept's code there.
    picture : ndarray of shape (s, s, 3), uint8
        The part as the network saw it, small.
    """

    image: int
    box: tuple[float, float, float, float]
    activation: float
    picture: NDArray[np.uint8]
