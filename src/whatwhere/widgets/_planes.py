"""Numbers on their way to the browser: maps in eight bits, and what JSON can hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from whatwhere.widgets._view import WIRE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from whatwhere.concepts.bank import ConceptBank

_QUANTILE = 0.99  # of the values above 0 is drawn in full
_DIGITS = 5
_LARGEST_HALF = 65_504.0
_AROUND = 2.0  # places lost for each that lies under a hidden cell: what is hidden was seen from around it as well


def code_scales(bank: ConceptBank) -> NDArray[np.float64]:
    """Find what is drawn in full, so that photos can be told from each other.

    Parameters
    ----------
    bank : ConceptBank
        The bank.

    Returns
    -------
    ndarray of shape (r,), float64
        For each concept the 99 % quantile of its codes above 0, over all photos; 0 where there are none.
    """
    scales = np.zeros(bank.rank)
    for k, codes in enumerate(bank.codes.reshape(-1, bank.rank).T):
        above = codes[codes > 0]
        scales[k] = np.quantile(above, _QUANTILE) if len(above) else 0
    return scales


def map_scales(bank: ConceptBank, kind: str, grid: tuple[int, int]) -> NDArray[np.float64]:
    """Carry the codes' scale over to maps that are computed one photo at a time.

    Parameters
    ----------
    bank : ConceptBank
        The bank, whose codes of all photos are known.
    kind : str
        Method of the maps.
    grid : (int, int)
        Their rows and columns.

    Returns
    -------
    ndarray of shape (r,), float64
        What is drawn in full. For gradients the scale of the codes themselves. For occlusion, which says how much code
        is lost where a cell is hidden, as much as twice the places under the cell hold at that scale.

    Notes
    -----
    A scale over the maps so far would change with each that comes, and would be that of one photo at first. Against the
    99 % quantile of the maps of twelve photos the carried scales of EfficientNet-Lite0's concepts were 1 to 1.2 times
    as large at an earlier layer and 1 to 2 at the last (rare concepts: 6 to 9) for gradients, half to 1.6 times (rare
    ones: 6) for occlusion; the scale of a first map was a fiftieth to 2.6 times as large.
    """
    scales = code_scales(bank)
    if kind != "occlusion":
        return scales
    rows, columns = bank.codes.shape[1:3]
    return scales * (_AROUND * rows * columns / (grid[0] * grid[1]))


def to_bytes(values: NDArray[np.float32], scales: NDArray[np.float64]) -> bytes:
    """Quantise maps, each as shares of its scale.

    Parameters
    ----------
    values : ndarray of shape (r, h, w)
        Maps; what is below 0 is drawn as 0.
    scales : ndarray of shape (r,)
        What is drawn in full.

    Returns
    -------
    bytes
        uint8, row by row, map by map.
    """
    share = np.divide(values, scales[:, None, None], out=np.zeros(values.shape), where=scales[:, None, None] > 0)
    return np.round(np.clip(share, 0, 1) * WIRE["concepts"]["code_levels"]).astype(np.uint8).tobytes()


def to_halves(values: NDArray[np.float32]) -> bytes:
    """Write numbers in half precision.

    Parameters
    ----------
    values : ndarray of any shape, float32
        Numbers.

    Returns
    -------
    bytes
        Little-endian float16; empty if one of them is too large for that.
    """
    return values.astype("<f2").tobytes() if np.abs(values).max(initial=0) <= _LARGEST_HALF else b""


def map_bytes(values: NDArray[np.float32], scales: NDArray[np.float64]) -> bytes:
    """Quantise maps, and say their size.

    Parameters
    ----------
    values : ndarray of shape (r, a, b)
        Maps.
    scales : ndarray of shape (r,)
        What is drawn in full.

    Returns
    -------
    bytes
        Rows and columns as little-endian uint32, then as from `to_bytes`.
    """
    return np.array(values.shape[1:], dtype="<u4").tobytes() + to_bytes(values, scales)


def probabilities(logits: ArrayLike) -> NDArray[np.float64]:
    """Turn logits into probabilities.

    Parameters
    ----------
    logits : array of shape (…, K)
        Logits.

    Returns
    -------
    ndarray of shape (…, K), float64
        Their softmax, or sigmoid where there is one.
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.shape[-1] == 1:
        return 1 / (1 + np.exp(-values))
    shares: NDArray[np.float64] = np.exp(values - values.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def rounded(values: ArrayLike) -> list[float | None]:
    """Write numbers with five digits, and None for those that are not finite, which JSON has not.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers.

    Returns
    -------
    list of float or None
        The same.
    """
    plain = np.asarray(values, dtype=np.float64).tolist()
    return [float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in plain]
