"""Scores of a class, read off stored logits: no forward pass.

A network's answer to a masked image is a row of logits ``z``; a score is the one number of it that a map explains.
For class t, with ``r`` the log of the summed exponentials of all other logits:

- ``"logit"``: ``z_t``. Moves also when other classes gain nothing; keeps its range when the network is sure.
- ``"log_softmax"``: the log-probability, ``-log(1 + exp(r - z_t))``.
- ``"softmax"``: the probability, in [0, 1]. Hardly moves while the network is sure.
- ``"margin"``: ``z_t`` minus the largest other logit; positive where t wins.

A head of one logit is read as two classes, the other's logit being 0: ``"logit"`` and ``"margin"`` are then the logit
itself, ``"softmax"`` its sigmoid, ``"log_softmax"`` the log of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from whatwhere.engine._checks import integer, numbers, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SCORES = ("logit", "softmax", "log_softmax", "margin")
ScoreKind: TypeAlias = str | Callable[[Any], Any]

_CHUNK = 2**20  # logits in float64 at a time


@dataclass(frozen=True, eq=False)
class Summary:
    """What the four scores need to know of all the logits, besides those of the class itself.

    Parameters
    ----------
    largest : ndarray of shape (...)
        The largest logit.
    second : ndarray of shape (...)
        The second largest; equal to the largest where two tie.
    rest : ndarray of shape (...), float64
        Log of the summed exponentials of all logits but the largest. Kept apart from the largest, so that nothing is
        lost where the network is nearly certain.
    argmax : ndarray of shape (...), int32
        Class of the largest logit, the first where several tie.

    Notes
    -----
    24 bytes an image for float32 logits, instead of four a class. For a head of one logit the other class has number 1.
    """

    largest: NDArray[np.floating]
    second: NDArray[np.floating]
    rest: NDArray[np.float64]
    argmax: NDArray[np.int32]

    @property
    def logsumexp(self) -> NDArray[np.float64]:
        """Log of the summed exponentials of all logits."""
        return np.asarray(np.logaddexp(self.largest.astype(np.float64), self.rest))


def summarise(logits: ArrayLike) -> Summary:
    """Reduce logits of all classes to what scores need.

    Parameters
    ----------
    logits : array_like of shape (..., K)
        Logits of all K classes.

    Returns
    -------
    Summary
        Arrays of shape (...); logits are kept in the dtype that they came in.

    Raises
    ------
    TypeError
        If `logits` are not real numbers.
    ValueError
        If `logits` has no class axis, no classes, or an entry that is not finite.

    Notes
    -----
    Works through the images in pieces of 8 MiB, so that memory does not grow with their number.
    """
    z = np.asarray(logits)
    if z.ndim < 1 or z.shape[-1] < 1:
        raise ValueError(f"logits: wanted shape (..., classes) with at least one class, got {z.shape}.")
    flat, shape = z.reshape(-1, z.shape[-1]), z.shape[:-1]
    largest, second = (np.empty(len(flat), dtype=np.result_type(z, np.float16)) for _ in range(2))
    rest, argmax = np.empty(len(flat)), np.empty(len(flat), dtype=np.int32)
    step = max(1, _CHUNK // flat.shape[1])
    for start in range(0, len(flat), step):
        piece = slice(start, start + step)
        largest[piece], second[piece], rest[piece], argmax[piece] = _summarise(numbers("logits", flat[piece]))
    return Summary(largest.reshape(shape), second.reshape(shape), rest.reshape(shape), argmax.reshape(shape))


def score(logits: ArrayLike, target: int, kind: ScoreKind = "logit") -> NDArray[np.float64]:
    """Return a class's score on images whose logits are known in full.

    Parameters
    ----------
    logits : array_like of shape (..., K)
        Logits of all K classes.
    target : int
        Class id, in ``range(K)``.
    kind : {"logit", "softmax", "log_softmax", "margin"} or callable, default "logit"
        Which score. A callable gets all logits as float64 of shape (N, K), N images in the order of the leading axes,
        and returns N finite numbers; it need not look at `target`.

    Returns
    -------
    ndarray of shape (...), float64
        Scores: in units of a logit, or for ``"softmax"`` in [0, 1].

    Raises
    ------
    TypeError
        If `logits`, or what the callable returns, are not real numbers, or `target` not an integer.
    ValueError
        If `logits` has no class axis, no classes, or an entry that is not finite; if there is no such class or kind;
        if the callable returns another shape or a number that is not finite.
    """
    z = np.asarray(logits)
    if z.ndim < 1 or z.shape[-1] < 1:
        raise ValueError(f"logits: wanted shape (..., classes) with at least one class, got {z.shape}.")
    place = integer("target", target, 0, z.shape[-1] - 1)
    if callable(kind):
        count = int(np.prod(z.shape[:-1]))
        told = kind(numbers("logits", z).reshape(count, z.shape[-1]))
        name = getattr(kind, "__name__", type(kind).__name__)
        return shaped(f"scores of {name}", told, (count,), "(images,)").reshape(z.shape[:-1])
    if _known(kind) == "logit":
        return numbers("logits", z[..., place])
    return score_from(summarise(z), z[..., place], place, kind)


def score_from(
    summary: Summary, class_logits: ArrayLike, target: int, kind: ScoreKind = "logit"
) -> NDArray[np.float64]:
    """Return a class's score where only its own logits and the summary of all are left.

    Parameters
    ----------
    summary : Summary
        What `summarise` made of all the logits.
    class_logits : array_like of the summary's shape
        Logits of the class.
    target : int
        Class id.
    kind : {"logit", "softmax", "log_softmax", "margin"}, default "logit"
        Which score.

    Returns
    -------
    ndarray of the summary's shape, float64
        The same as `score` gives on all the logits.

    Raises
    ------
    TypeError
        If `kind` is a callable: that needs all logits; or if `target` is not an integer.
    ValueError
        If there is no such kind, if `class_logits` has another shape or an entry that is not finite, or if `target` is
        negative.
    """
    if callable(kind):
        raise TypeError(f"kind: a callable needs the logits of all classes; here only {SCORES} can be had.")
    z = shaped("class_logits", class_logits, summary.argmax.shape, "that of the summary")
    wins = summary.argmax == integer("target", target, 0)
    if _known(kind) == "logit":
        return z
    if kind == "margin":
        return z - np.where(wins, summary.second, summary.largest)
    # Of the winner, the odds against it are known to full precision; of any other, its distance to the whole.
    surely = -np.logaddexp(0.0, summary.rest - summary.largest)
    told = np.where(wins, surely, z - summary.logsumexp)
    return np.exp(told) if kind == "softmax" else told


def _known(kind: Any) -> str:
    if kind not in SCORES:
        raise ValueError(f"kind: wanted one of {SCORES} or a callable, got {kind!r}.")
    return str(kind)


def _summarise(z: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
    """Return the largest, the second largest, the log-sum-exp of all but the largest, and its place, of each row."""
    if z.shape[1] == 1:
        z = np.concatenate([z, np.zeros_like(z)], axis=1)
    rows, argmax = np.arange(len(z)), z.argmax(axis=1)
    largest = z[rows, argmax]
    others = z.copy()
    others[rows, argmax] = -np.inf
    second = others.max(axis=1)
    rest = second + np.log(np.exp(others - second[:, np.newaxis]).sum(axis=1))
    return largest, second, rest, argmax
