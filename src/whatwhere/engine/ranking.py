"""Ranks of maps and their correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rank numbers along the last axis, from 0 for the smallest; equal ones share the mean of their ranks.

    Parameters
    ----------
    values : ndarray of shape (..., n)
        Finite numbers.

    Returns
    -------
    ndarray of shape (..., n), float64
        Ranks in [0, n - 1].
    """
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    place = np.broadcast_to(np.arange(values.shape[-1]), values.shape)
    rises = ordered[..., 1:] != ordered[..., :-1]
    ends = np.ones((*values.shape[:-1], 1), dtype=np.bool_)
    first = np.maximum.accumulate(np.where(np.concatenate([ends, rises], axis=-1), place, 0), axis=-1)
    last = np.where(np.concatenate([rises, ends], axis=-1), place, values.shape[-1])
    last = np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]
    out = np.empty(values.shape, dtype=np.float64)
    np.put_along_axis(out, order, (first + last) / 2, axis=-1)
    return out


def spearman(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return Spearman's rank correlation along the last axis.

    Parameters
    ----------
    first, second : ndarray of shape (..., n)
        Finite numbers; the leading axes broadcast.

    Returns
    -------
    ndarray of shape (...), float64
        Correlations in [-1, 1]; 0 where either side is constant and the correlation therefore undefined.
    """
    x, y = (r - r.mean(axis=-1, keepdims=True) for r in (ranks(first), ranks(second)))
    size = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    product = np.asarray((x * y).sum(axis=-1))
    return np.divide(product, size, out=np.zeros_like(product), where=size > 0)
