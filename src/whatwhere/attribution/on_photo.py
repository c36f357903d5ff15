"""A grid of values laid over the photo that the network's input was cut from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from whatwhere.engine.masks import cell_sides

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.pixels.geometry import Geometry

Interpolation: TypeAlias = Literal["bilinear", "nearest"]


def on_photo(
    values: NDArray[np.floating], geometry: Geometry, interpolation: Interpolation = "bilinear"
) -> NDArray[np.float32]:
    """Return values of cells at every pixel of the photo.

    Parameters
    ----------
    values : ndarray of shape (down, across)
        One value a cell of the network's input.
    geometry : Geometry
        Where the input lies on the photo.
    interpolation : {"bilinear", "nearest"}, default "bilinear"
        Between cell centres, or the value of the cell that a pixel lies in.

    Returns
    -------
    ndarray of shape (H, W), float32
        Values at the photo's own size, NaN where the network was shown nothing of it.

    Raises
    ------
    ValueError
        If `interpolation` is not known.
    """
    height, width = geometry.photo
    down, across = geometry.to_input(np.arange(height) + 0.5, np.arange(width) + 0.5)
    if interpolation == "nearest":
        sides = cell_sides(*geometry.size, (values.shape[0], values.shape[1]))
        rows, columns = (_at(side, fraction) for side, fraction in zip(sides, (down, across), strict=True))
        picked: NDArray[Any] = values[rows][:, columns]
    elif interpolation == "bilinear":
        picked = _weights(down, values.shape[0]) @ values @ _weights(across, values.shape[1]).T
    else:
        raise ValueError(f"interpolation: wanted 'bilinear' or 'nearest', got {interpolation!r}.")
    return np.where(geometry.seen_mask(), picked, np.nan).astype(np.float32)


def _at(side: NDArray[np.int64], fraction: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the cell of each position, by the pixel of the network's input that it falls in."""
    size = len(side)
    return side[np.clip((fraction * size).astype(np.int64), 0, size - 1)]


def _weights(fraction: NDArray[np.floating], cells: int) -> NDArray[np.float64]:
    """Return the (positions, cells) matrix of linear interpolation between cell centres, constant beyond the last."""
    place = np.clip(fraction * cells - 0.5, 0, cells - 1)
    low = np.clip(np.floor(place).astype(np.int64), 0, max(cells - 2, 0))
    share = place - low
    out = np.zeros((len(place), cells))
    out[np.arange(len(place)), low] = 1 - share
    if cells > 1:
        out[np.arange(len(place)), low + 1] = share
    return out
