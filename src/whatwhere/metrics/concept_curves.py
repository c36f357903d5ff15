"""Concept deletion and insertion: how the score moves when concepts go, or come, by falling importance.

References
----------
T. Fel et al., "A holistic approach to unifying automatic concept extraction and concept importance estimation",
arXiv:2306.07304. V. Petsiuk, A. Das, K. Saenko, "RISE", arXiv:1806.07421, for the curves on pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from whatwhere.engine._checks import numbers
from whatwhere.engine.responses import Prober
from whatwhere.engine.sensitivity import variance_floor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from whatwhere.engine.responses import Response


@dataclass(frozen=True, eq=False)
class ConceptCurve:
    """Scores of one image while concepts go or come.

    Parameters
    ----------
    kind : {"deletion", "insertion"}
        Whether concepts go from the image as it is, or come to its baseline.
    order : ndarray of shape (..., r), int
        Concepts in the order in which they go or come: by falling value, the lower number first where two are equal.
    scores : ndarray of shape (..., r + 1), float64
        Scores after 0 to r concepts.
    n_evaluations : int
        Rows of gates asked for; what several orders have in common is asked for once.
    """

    kind: Literal["deletion", "insertion"]
    order: NDArray[np.intp]
    scores: NDArray[np.float64]
    n_evaluations: int

    @property
    def area(self) -> NDArray[np.float64]:
        """Area under the scores over the share of concepts from 0 to 1, by the trapezoid rule.

        Returns
        -------
        ndarray of shape (...), float64
            In units of the score; lower is better for deletion, higher for insertion.
        """
        return np.asarray((self.scores[..., 1:] + self.scores[..., :-1]).mean(axis=-1) / 2)

    @property
    def normalised(self) -> NDArray[np.float64] | None:
        """Area as a share of what all concepts together change: ``(area - f(0)) / (f(1) - f(0))``.

        Returns
        -------
        ndarray of shape (...), float64, or None
            0 if the score were the baseline's all along, 1 if the image's; either side may be passed. A random order
            has 1/2 on average where concepts add up. If all concepts together lower the score, lower is better for
            insertion. None if they do not change it beyond rounding.
        """
        ends = self.scores[..., [0, -1]]
        zero, one = (ends[..., 1], ends[..., 0]) if self.kind == "deletion" else (ends[..., 0], ends[..., 1])
        if (np.abs(one - zero) <= np.sqrt(variance_floor(ends))).any():
            return None
        return np.asarray((self.area - zero) / (one - zero))


def concept_deletion(
    response: Response,
    values: ArrayLike,
    *,
    batch: int = 256,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> ConceptCurve:
    """Take concepts from an image by falling value, and watch the score.

    Parameters
    ----------
    response : callable
        Takes gates (m, r) and returns scores (m,), each row for itself.
    values : array_like of shape (..., r)
        One attribution to the concepts, or several to compare. Only their order counts; signs do, so that concepts
        that speak against the score go last.
    batch : int, default 256
        Most rows of gates at a time, at least 1.
    device : torch.device, optional
        Where gates are put; the CPU by default.
    dtype : torch.dtype, default torch.float32
        Floating-point type of the gates.

    Returns
    -------
    ConceptCurve
        Scores of each attribution's curve; the lower their area, the better.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or the response returns no tensor of floating-point numbers.
    ValueError
        If `values` is empty or not finite, a number is out of its range, or the response returns scores of another
        shape or not finite.

    Notes
    -----
    ``r + 1`` evaluations for one attribution, fewer for each further one, never more than ``2^r`` in all. Where the
    score is additive in the gates no order has a lower area than that of the exact contributions.

    Examples
    --------
    >>> curve = concept_deletion(lambda gates: gates @ torch.tensor([1.0, 3.0]), [1.0, 3.0])
    >>> curve.scores, float(curve.area)
    (array([4., 1., 0.]), 1.5)
    """
    return _curve("deletion", response, values, batch=batch, device=device, dtype=dtype)


def concept_insertion(
    response: Response,
    values: ArrayLike,
    *,
    batch: int = 256,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> ConceptCurve:
    """Add concepts to an image's baseline by falling value, and watch the score.

    Parameters
    ----------
    response : callable
        Takes gates (m, r) and returns scores (m,), each row for itself.
    values : array_like of shape (..., r)
        One attribution to the concepts, or several to compare; only their order counts.
    batch : int, default 256
        Most rows of gates at a time, at least 1.
    device : torch.device, optional
        Where gates are put; the CPU by default.
    dtype : torch.dtype, default torch.float32
        Floating-point type of the gates.

    Returns
    -------
    ConceptCurve
        Scores of each attribution's curve; the higher their area, the better.

    Raises
    ------
    TypeError, ValueError
        As `concept_deletion`.
    """
    return _curve("insertion", response, values, batch=batch, device=device, dtype=dtype)


def _curve(
    kind: Literal["deletion", "insertion"],
    response: Response,
    values: ArrayLike,
    *,
    batch: int,
    device: torch.device | None,
    dtype: torch.dtype,
) -> ConceptCurve:
    phi = attributions(values, 1)
    rank = phi.shape[-1]
    order = np.argsort(-phi, axis=-1, kind="stable")
    place = np.argsort(order, axis=-1)
    gone = place[..., np.newaxis, :] < np.arange(rank + 1)[:, np.newaxis]
    gates = ~gone if kind == "deletion" else gone
    distinct, which = np.unique(np.packbits(gates, axis=-1).reshape(-1, -(-rank // 8)), axis=0, return_inverse=True)
    prober = Prober(response, rank, batch=batch, device=device, dtype=dtype)
    scores = prober.scores(np.unpackbits(distinct, axis=1, count=rank).astype(np.float64))
    return ConceptCurve(kind, order, scores[which.reshape(gates.shape[:-1])], prober.asked)


def attributions(values: ArrayLike, fewest: int) -> NDArray[np.float64]:
    """Return attributions as float64, checked.

    Parameters
    ----------
    values : array_like of shape (..., r)
        Attributions.
    fewest : int
        Smallest number of concepts.

    Returns
    -------
    ndarray of shape (..., r), float64
        The same numbers.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        If they are empty or not finite, or of too few concepts.
    """
    phi = numbers("values", values)
    if phi.ndim == 0 or phi.shape[-1] < fewest or not phi.size:
        raise ValueError(
            f"values: wanted shape (..., r) with r at least {fewest}, a value for each concept, got {phi.shape}."
        )
    return phi
