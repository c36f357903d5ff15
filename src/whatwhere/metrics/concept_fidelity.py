"""Concept mu-fidelity: whether importances foretell what the score loses when several concepts go at once.

References
----------
T. Fel et al., "A holistic approach to unifying automatic concept extraction and concept importance estimation",
arXiv:2306.07304. U. Bhatt, A. Weller, J. Moura, "Evaluating and aggregating feature-based model explanations",
arXiv:2005.00631, for subsets of one size and Pearson's correlation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import torch

from whatwhere.engine._checks import integer
from whatwhere.engine.ranking import ranks
from whatwhere.engine.responses import Prober
from whatwhere.engine.sensitivity import variance_floor
from whatwhere.metrics.concept_curves import attributions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from whatwhere.engine.responses import Response

_FEWEST_CONCEPTS = 2  # a subset that is not all of them
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class ConceptFidelity:
    """Correlations of what was foretold with what was lost.

    Parameters
    ----------
    pearson : ndarray of shape (...), float64
        Pearson's correlation in [-1, 1], higher is better; NaN where it is not `defined`.
    spearman : ndarray of shape (...), float64
        Spearman's rank correlation, likewise.
    defined : ndarray of shape (...), bool
        False where the sums of importances are the same for all subsets, or the score loses the same with each.
    size : int
        Concepts in a subset.
    subsets : int
        Number of subsets.
    exhaustive : bool
        Whether these are all subsets of that size; there is no chance then.
    n_evaluations : int
        Rows of gates asked for.
    """

    pearson: NDArray[np.float64]
    spearman: NDArray[np.float64]
    defined: NDArray[np.bool_]
    size: int
    subsets: int
    exhaustive: bool
    n_evaluations: int


def concept_fidelity(
    response: Response,
    values: ArrayLike,
    *,
    size: int | None = None,
    subsets: int = 200,
    seed: int = 0,
    batch: int = 256,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> ConceptFidelity:
    """Correlate sums of importances over subsets of concepts with what the score loses without them.

    Over subsets S of one size, the correlation of ``sum of values over S`` with ``f(1) - f(1 with S shut)``.

    Parameters
    ----------
    response : callable
        Takes gates (m, r) and returns scores (m,), each row for itself.
    values : array_like of shape (..., r)
        One attribution to the concepts, or several to compare, which are held against the same subsets; r at least 2.
    size : int, optional
        Concepts in a subset, 1 to r - 1; a fifth of them by default, rounded, one at least.
    subsets : int, default 200
        How many subsets are drawn, at least 2. If there are no more of that size, all are taken, each once.
    seed : int, default 0
        Same seed, same subsets; at least 0.
    batch : int, default 256
        Most rows of gates at a time, at least 1.
    device : torch.device, optional
        Where gates are put; the CPU by default.
    dtype : torch.dtype, default torch.float32
        Floating-point type of the gates.

    Returns
    -------
    ConceptFidelity
        Correlations, one for each attribution.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or the response returns no tensor of floating-point numbers.
    ValueError
        If `values` is not finite or of fewer than two concepts, a number is out of its range, or the response returns
        scores of another shape or not finite.

    Notes
    -----
    The size is fixed because both sides grow with it: with subsets of any size even constant importances would seem to
    foretell. With subsets drawn for each concept by a coin, as in some published code, they do. ``subsets + 1``
    evaluations, whatever the number of attributions.

    Examples
    --------
    >>> told = concept_fidelity(lambda gates: gates @ torch.tensor([1.0, 3.0, -2.0]), [[1, 3, -2], [-1, -3, 2]])
    >>> told.pearson.round(6), told.exhaustive
    (array([ 1., -1.]), True)
    """
    phi = attributions(values, _FEWEST_CONCEPTS)
    rank = phi.shape[-1]
    size = max(1, round(rank / 5)) if size is None else integer("size", size, 1, rank - 1)
    chosen = _subsets(rank, size, integer("subsets", subsets, 2), integer("seed", seed, 0))
    prober = Prober(response, rank, batch=batch, device=device, dtype=dtype)
    scores = prober.scores(np.concatenate([np.ones((1, rank)), 1.0 - chosen]))
    lost, foretold = scores[0] - scores[1:], phi @ chosen.T.astype(np.float64)
    floor, own_floor = np.sqrt(variance_floor(scores)), _ROUNDING * size * np.abs(phi).max(axis=-1, keepdims=True)
    defined = (foretold.std(axis=-1) > own_floor[..., 0]) & (lost.std() > floor)
    return ConceptFidelity(
        pearson=_correlation(foretold, lost, defined),
        spearman=_correlation(_ranks(foretold, own_floor), _ranks(lost, floor), defined),
        defined=defined,
        size=size,
        subsets=len(chosen),
        exhaustive=comb(rank, size) <= subsets,
        n_evaluations=prober.asked,
    )


def _subsets(rank: int, size: int, count: int, seed: int) -> NDArray[np.bool_]:
    """Return subsets (n, rank) of one size: all of them if there are no more than wanted, else random ones."""
    if comb(rank, size) <= count:
        members = np.array(list(combinations(range(rank), size)))
    else:
        members = np.random.default_rng(seed).random((count, rank)).argsort(axis=1)[:, :size]
    chosen = np.zeros((len(members), rank), dtype=np.bool_)
    np.put_along_axis(chosen, members, values=True, axis=1)
    return chosen


def _ranks(values: NDArray[np.float64], floor: ArrayLike) -> NDArray[np.float64]:
    """Rank along the last axis; numbers that differ by rounding only are ties, as without an absent concept."""
    return ranks(np.round(values / np.where(np.asarray(floor) > 0, floor, 1.0)))


def _correlation(
    first: NDArray[np.float64], second: NDArray[np.float64], defined: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return Pearson's correlation along the last axis, NaN where it is not defined."""
    x, y = (z - z.mean(axis=-1, keepdims=True) for z in (first, second))
    lengths = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    product = np.asarray((x * y).sum(axis=-1))
    return np.divide(product, lengths, out=np.full_like(product, np.nan), where=defined)
