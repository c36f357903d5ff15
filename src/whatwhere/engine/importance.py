"""Importance of concepts over many images: what is known so far, how certainly, and when the order can be trusted.

Each image has total-order indices of its own, T_ik, from a design with a scramble of its own. Their mean over the
images is the importance of concept k. Since nothing is shared between images, the spread of the T_ik over them holds
both what images differ by and what the designs missed; the second part alone is told apart by the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from whatwhere.engine._checks import between, integer
from whatwhere.engine.confidence import half_width
from whatwhere.engine.sensitivity import half_squares, is_flat, pooled_variance, row_spread, total_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Weighting = Literal["equal", "variance"]
WEIGHTINGS = ("equal", "variance")

_OUT_OF_REACH = 0.1  # of a difference's variance: what more rows could at most take off


@dataclass(frozen=True, eq=False)
class Importance:
    """Importance of each concept over the images so far.

    Parameters
    ----------
    values : ndarray of shape (r,), float64
        Mean over the images of the total-order index, in [0, 1] but for noise; zeros if every image is flat.
    covariance : ndarray of shape (r, r), float64
        Covariance of the errors of `values`, as estimates for all images that these might have been: images and
        designs together. Of one image, that of its design.
    design_covariance : ndarray of shape (r, r), float64
        The part of it that more rows would lower: the error for just these images.
    per_image : ndarray of shape (images, r), float64
        Indices of each image; zeros where it is flat.
    variances : ndarray of shape (images,), float64
        Variance of each image's score over its gates, in squared units of the score.
    flat : ndarray of shape (images,), bool
        Images whose score does not move; they do not count.
    rows : int
        Rows of each image's design.
    n_evaluations : int
        Rows of gates asked for.
    weighting : {"equal", "variance"}
        Whether images count alike or by their variance.
    settled : bool
        Whether the stop rule is met.
    complete : bool
        Whether this is the last one.
    """

    values: NDArray[np.float64]
    covariance: NDArray[np.float64]
    design_covariance: NDArray[np.float64]
    per_image: NDArray[np.float64]
    variances: NDArray[np.float64]
    flat: NDArray[np.bool_]
    rows: int
    n_evaluations: int
    weighting: Weighting = "equal"
    settled: bool = False
    complete: bool = False

    @property
    def error(self) -> NDArray[np.float64]:
        """Standard errors of the values, for all images that these might have been.

        Returns
        -------
        ndarray of shape (r,), float64
            In the units of the index. Infinite would be unknown; of one image it is the error of its design.
        """
        return np.sqrt(np.diag(self.covariance))

    @property
    def design_error(self) -> NDArray[np.float64]:
        """Standard errors of the values for just these images: what more rows would lower.

        Returns
        -------
        ndarray of shape (r,), float64
            In the units of the index.
        """
        return np.sqrt(np.diag(self.design_covariance))

    @property
    def order(self) -> NDArray[np.intp]:
        """Concepts by falling importance, the lower number first where two are equal.

        Returns
        -------
        ndarray of shape (r,), int
            Numbers of the concepts.
        """
        return np.argsort(-self.values, kind="stable")

    @property
    def n_flat(self) -> int:
        """Number of images that do not count because their score does not move.

        Returns
        -------
        int
            From 0 to the number of images.
        """
        return int(self.flat.sum())

    @property
    def degrees(self) -> int:
        """Degrees of freedom of the standard errors.

        Returns
        -------
        int
            Images that count, less one; of a single image, rows less one.
        """
        counted = len(self.flat) - self.n_flat
        return counted - 1 if counted > 1 else self.rows - 1


def pool(scores: Sequence[NDArray[np.float64]], weighting: Weighting = "equal") -> Importance:
    """Put the designs of several images together.

    Parameters
    ----------
    scores : sequence of ndarray of shape (rows, r + 1)
        Scores of each image's design, laid out as in `whatwhere.engine.sensitivity`; at least one image.
    weighting : {"equal", "variance"}
        ``"equal"``: the mean of the images' indices, as published. ``"variance"``: the sum of their numerators over
        the sum of their variances, so that an image whose score hardly moves hardly counts.

    Returns
    -------
    Importance
        Not settled and not complete.

    Raises
    ------
    TypeError
        If scores are not real numbers.
    ValueError
        If there is no image or weighting of that name, the shapes differ, or scores are not finite.

    Notes
    -----
    The variance in each index's denominator is a sampled one, so that indices of few rows read a few percent high.
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting: wanted one of {WEIGHTINGS}, got {weighting!r}.")
    if len({np.shape(own) for own in scores}) != 1:
        raise ValueError(
            f"scores: wanted one shape (rows, r + 1) for all images, of one at least, got "
            f"{sorted({np.shape(own) for own in scores})}."
        )
    flat = np.array([is_flat(own) for own in scores])
    variances = np.array([pooled_variance(own) for own in scores])
    per_image = np.stack([total_order(own) for own in scores])
    kept = np.flatnonzero(~flat)
    counted = _mean(scores, kept, per_image, variances, weighting)
    return Importance(
        values=counted.values,
        covariance=counted.covariance,
        design_covariance=counted.design,
        per_image=per_image,
        variances=variances,
        flat=flat,
        rows=len(scores[0]),
        n_evaluations=sum(own.size for own in scores),
        weighting=weighting,
    )


def order_settled(
    now: Importance, before: Importance | None, *, top: int = 5, tie: float = 0.05, level: float = 0.95
) -> bool:
    """Tell whether the order of the most important concepts will hold.

    Parameters
    ----------
    now : Importance
        The round that is over.
    before : Importance or None
        The round before it.
    top : int, default 5
        How many concepts' order matters, at least 1.
    tie : float, default 0.05
        Two concepts are tied if they certainly differ by less than this share of the largest importance; above 0.
    level : float, default 0.95
        Level of the intervals, above 0 and below 1.

    Returns
    -------
    bool
        True if two things hold. Each of the first `top` concepts and the one after it are separated (their
        difference's interval does not hold 0), or tied, or more rows cannot part them (the designs bear a tenth at most
        of the variance of their difference; more images might). And in the round before no concept passed one of the
        first `top`, but for pairs that are tied or cannot be parted. False if there was no round before.

    Raises
    ------
    TypeError, ValueError
        If an option is not a number in its range.
    """
    top, tie = integer("top", top, 1), between("tie", tie, 0, np.inf)
    if before is None:
        between("level", level, 0, 1)
        return False
    total, design = _of_differences(now.covariance), _of_differences(now.design_covariance)
    half = half_width(np.sqrt(total), now.degrees + 1, level)
    apart = np.abs(now.values[:, np.newaxis] - now.values)
    tied = apart + half <= tie * now.values.max()
    same = tied | ((apart <= half) & (design <= _OUT_OF_REACH * total))
    order = now.order
    first, after = order[:-1][:top], order[1:][:top]
    if not ((apart > half) | same)[first, after].all():
        return False
    lower = np.triu(np.ones((len(order), len(order)), dtype=bool), k=1)[: len(first)]  # [j, k]: k comes after j
    kept = before.values[first, np.newaxis] >= before.values[order]
    return bool((kept | same[first][:, order] | ~lower).all())


class _Mean(NamedTuple):
    values: NDArray[np.float64]
    covariance: NDArray[np.float64]
    design: NDArray[np.float64]


def _mean(
    scores: Sequence[NDArray[np.float64]],
    kept: NDArray[np.intp],
    per_image: NDArray[np.float64],
    variances: NDArray[np.float64],
    weighting: Weighting,
) -> _Mean:
    """Return the mean over images that count, and both covariances of its error, by the delta method."""
    rank = per_image.shape[1]
    nothing = np.zeros((rank, rank))
    if not len(kept):
        return _Mean(np.zeros(rank), nothing, nothing)
    variance = variances[kept, np.newaxis]
    weights = np.ones_like(variance) if weighting == "equal" else variance
    weights = weights / weights.sum()
    values = (weights * per_image[kept]).sum(axis=0)
    design = nothing
    for i, weight in zip(kept, weights.flat, strict=True):
        # Weighted by variance, an image's own variance cancels: what rows move is the ratio of the sums.
        centre = per_image[i] if weighting == "equal" else values
        design = design + (weight / variances[i]) ** 2 * _of_row_mean(scores[i], centre)
    if len(kept) == 1:
        return _Mean(values, design, design)
    units = weights * (per_image[kept] - values)
    return _Mean(values, units.T @ units * (len(kept) / (len(kept) - 1)), design)


def _of_row_mean(scores: NDArray[np.float64], index: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance of the mean over rows of what each row adds to numerator less index times variance."""
    parts = half_squares(scores) - row_spread(scores)[:, np.newaxis] * index
    parts = parts - parts.mean(axis=0)
    return parts.T @ parts / (len(parts) * (len(parts) - 1))


def _of_differences(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    own = np.diag(covariance)
    # a variance: below 0 by rounding only
    return np.maximum(own[:, np.newaxis] + own - covariance - covariance.T, 0)
