"""Whether a network says the same of a reconstruction as of what was reconstructed.

Activations A are replaced by their reconstruction U W at a layer, and the rest of the network h makes logits of both:
h(A) and h(U W). A small error of the activations may hide a large one of the logits, and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whatwhere.engine._checks import numbers
from whatwhere.metrics.intervals import wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_TABLE = 2
_FLAT = 1e-12  # spread, in sizes of the largest logit, that is rounding


@dataclass(frozen=True)
class Fidelity:
    """How far logits of reconstructions agree with those of the originals.

    Parameters
    ----------
    n : int
        Rows compared.
    agreement : float
        Share of rows whose most likely class is the same: 1 if it is for all, 0 for none. With one logit a row, the
        share whose sign is the same.
    agreement_interval : (float, float)
        Wilson's interval of `agreement`.
    r2 : float or None
        Share of the target logit's variance over rows that the reconstructions explain: 1 if all are exact, 0 if the
        mean would do as well, below 0 if it would do better. None where the originals do not vary.
    r2_all : float or None
        The same of all logits, squares added up over classes.
    difference : float
        Mean absolute difference over all logits, in logits: 0 if all are exact.
    target_difference : float
        The same of the target logit.
    divergence : float
        Mean Kullback-Leibler divergence of the reconstructions' probabilities from the originals', in nats: 0 if all
        are equal; 1 is a loss of 1 nat of log-likelihood a row.
    """

    n: int
    agreement: float
    agreement_interval: tuple[float, float]
    r2: float | None
    r2_all: float | None
    difference: float
    target_difference: float
    divergence: float


def fidelity(
    logits: ArrayLike, reconstructed: ArrayLike, target: ArrayLike | None = None, *, level: float = 0.95
) -> Fidelity:
    """Compare the logits of reconstructions with those of the originals.

    Parameters
    ----------
    logits : array_like of shape (n, K)
        h(A), the logits of the originals.
    reconstructed : array_like of shape (n, K)
        h(U W), the logits of the reconstructions.
    target : int or array_like of shape (n,), optional
        Class id, or one for each row; by default each row's most likely class by `logits`.
    level : float, default 0.95
        Level of the interval of the agreement, above 0 and below 1.

    Returns
    -------
    Fidelity
        Top-1 agreement, R^2, differences and divergence.

    Raises
    ------
    TypeError
        If an array is not of real numbers, `target` not of integers, or `level` not a number.
    ValueError
        If the arrays have no row, differ in shape, or hold a number that is not finite; if a target is out of range;
        if `level` is not above 0 and below 1.

    Notes
    -----
    All is computed in float64. Where several classes share the largest logit, the first of them counts.

    Examples
    --------
    >>> same = fidelity([[2.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [0.0, 1.0]])
    >>> same.agreement, same.r2, same.divergence
    (1.0, 1.0, 0.0)
    """
    own, new = numbers("logits", logits), numbers("reconstructed", reconstructed)
    if own.ndim != _TABLE or not own.size:
        raise ValueError(f"logits: wanted shape (n, K), at least one row and class, got {own.shape}.")
    if new.shape != own.shape:
        raise ValueError(f"reconstructed: wanted the shape of logits, {own.shape}, got {new.shape}.")
    first, second = _top(own), _top(new)
    columns = first * (own.shape[1] > 1) if target is None else _targets(target, own.shape)
    rows = np.arange(len(own))
    same = int((first == second).sum())
    low, high = wilson(same, len(own), level)
    away = np.abs(own - new)
    return Fidelity(
        n=len(own),
        agreement=same / len(own),
        agreement_interval=(float(low), float(high)),
        r2=_explained(own[rows, columns][:, np.newaxis], new[rows, columns][:, np.newaxis]),
        r2_all=_explained(own, new),
        difference=float(away.mean()),
        target_difference=float(away[rows, columns].mean()),
        divergence=_divergence(own, new),
    )


def _top(logits: NDArray[np.float64]) -> NDArray[np.int64]:
    return logits.argmax(axis=1) if logits.shape[1] > 1 else (logits[:, 0] > 0).astype(np.int64)


def _targets(target: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    ids = np.asarray(target)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"target: wanted class ids, integers, got dtype {ids.dtype}; resolve names to ids first.")
    if ids.shape not in ((), shape[:1]):
        raise ValueError(f"target: wanted one class id or one for each of {shape[0]} rows, got shape {ids.shape}.")
    if ids.min() < 0 or ids.max() >= shape[1]:
        raise ValueError(f"target: wanted class ids from 0 to {shape[1] - 1}, got {ids.min()} to {ids.max()}.")
    return np.broadcast_to(ids.astype(np.int64), shape[:1])


def _explained(own: NDArray[np.float64], new: NDArray[np.float64]) -> float | None:
    """Return 1 - residual over total sum of squares; None where the total is rounding."""
    centred = own - own.mean(axis=0)
    if np.abs(centred).max() <= _FLAT * np.abs(own).max():
        return None
    return float(1 - ((own - new) ** 2).sum() / (centred**2).sum())


def _divergence(own: NDArray[np.float64], new: NDArray[np.float64]) -> float:
    from scipy.special import log_softmax

    if own.shape[1] == 1:  # of two outcomes: the logit against 0
        own, new = (np.concatenate([x, np.zeros_like(x)], axis=1) for x in (own, new))
    mine, other = log_softmax(own, axis=1), log_softmax(new, axis=1)
    return float((np.exp(mine) * (mine - other)).sum(axis=1).mean())
