"""Maps over a network's input, placed on the photo that it was cut from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from whatwhere.engine.masks import cell_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.pixels.geometry import Geometry

Interpolation: TypeAlias = Literal["bilinear", "nearest"]
_INTERPOLATIONS = ("bilinear", "nearest")


def place_on_photo(
    values: NDArray[np.floating], geometry: Geometry, interpolation: Interpolation = "bilinear"
) -> NDArray[np.float32]:
    """Place maps over a network's input on the photo.

    Parameters
    ----------
    values : ndarray of shape (..., a, b)
        One value a cell, rows and columns last. Cell (i, j) is centred at the fractions (i + 1/2) / a and
        (j + 1/2) / b of the input's height and width; a map with a value a pixel is one of many cells.
    geometry : Geometry
        Where the input lies on the photo.
    interpolation : {"bilinear", "nearest"}, default "bilinear"
        Between cell centres, constant beyond the outermost ones; or the value of the cell that a pixel lies in.

    Returns
    -------
    ndarray of shape (..., H, W), float32
        Values at the photo's own size, NaN where the network never looked.

    Raises
    ------
    ValueError
        If `interpolation` is not known.
    """
    if interpolation not in _INTERPOLATIONS:
        raise ValueError(f"interpolation: wanted 'bilinear' or 'nearest', got {interpolation!r}.")
    rows, columns = values.shape[-2:]
    height, width = geometry.photo
    down, across = geometry.to_input(np.arange(height) + 0.5, np.arange(width) + 0.5)
    if interpolation == "nearest":
        size = geometry.size
        picked: NDArray[Any] = values[..., _cells(down, size[0], rows), :][..., _cells(across, size[1], columns)]
    else:
        picked = _interpolated(np.swapaxes(_interpolated(values, across), -1, -2), down)
        picked = np.swapaxes(picked, -1, -2)
    return np.where(geometry.seen_mask(), picked, np.nan).astype(np.float32)


def _cells(fraction: NDArray[np.floating], size: int, cells: int) -> NDArray[np.int64]:
    """Return the cell of each position, by the pixel of the network's input that it falls in."""
    along = cell_index(size, 1, (cells, 1))[:, 0]
    return along[np.clip((fraction * size).astype(np.int64), 0, size - 1)]


def _interpolated(values: NDArray[Any], fraction: NDArray[np.floating]) -> NDArray[np.float64]:
    """Interpolate between the cells of the last axis."""
    cells = values.shape[-1]
    place = np.clip(fraction * cells - 0.5, 0, cells - 1)
    low = np.clip(np.floor(place).astype(np.int64), 0, max(cells - 2, 0))
    high = np.minimum(low + 1, cells - 1)
    share = place - low
    return np.asarray((1 - share) * values[..., low] + share * values[..., high])
