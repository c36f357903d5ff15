"""t-SNE of up to some hundred points by all pairs: exact, step by step, and without a library that takes long to load.

Nothing is left to chance, and no product of matrices is asked for whose order of sums depends on the number of cores:
the same points give the same positions, bit for bit.

References
----------
L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", Journal of Machine Learning Research 9 (2008), sections
2 and 3; the gains are those of R. A. Jacobs, "Increased rates of convergence through learning rate adaptation", Neural
Networks 1 (1988). A. C. Belkina et al., "Automated optimized parameters for t-distributed stochastic neighbor
embedding", Nature Communications 10 (2019), doi:10.1038/s41467-019-13055-y, for a rate that grows with the points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MOST = 500  # points: with more, scikit-learn's trees are faster than all pairs
_EARLY = 250  # steps at half the momentum, while points of a kind find each other
_MOMENTUM = 0.5, 0.8
_TURN = 50  # steps between two looks at how far it is
_GAIN_UP, _GAIN_DOWN, _LEAST_GAIN = 0.2, 0.8, 0.01
_LEAST_RATE = 50.0
_STILL = 1e-7  # length of a gradient of which nothing more comes
_BISECTIONS, _SAME = 100, 1e-5  # of the entropies, in nats
_LEAST = 1e-12  # a probability that is none


def affinities(vectors: NDArray[np.floating], perplexity: float) -> NDArray[np.float64]:
    """Turn distances into probabilities that two points are neighbours.

    Parameters
    ----------
    vectors : ndarray of shape (n, r)
        The points, at least 2.
    perplexity : float
        Neighbours of a point, in effect; at least 1 and below n.

    Returns
    -------
    ndarray of shape (n, n), float64
        Symmetric, summing to 1, zeros on the diagonal: ``(p(j|i) + p(i|j)) / 2 n``, with p(.|i) a normal density about
        point i, as wide as gives it the perplexity. Points with more twins than that share it among these.
    """
    wide = np.asarray(vectors, dtype=np.float64)
    away = np.stack([np.square(wide - point).sum(axis=1) for point in wide])
    np.fill_diagonal(away, np.inf)
    away -= away.min(axis=1, keepdims=True)  # the nearest has weight 1, whatever the width
    wanted = np.log(perplexity)
    rate = np.ones((len(wide), 1))
    low, high = np.zeros_like(rate), np.full_like(rate, np.inf)
    finite = np.where(np.isfinite(away), away, 0)
    for _ in range(_BISECTIONS):
        weights = np.exp(-rate * away)
        total = weights.sum(axis=1, keepdims=True)
        entropy = np.log(total) + rate * (weights * finite).sum(axis=1, keepdims=True) / total
        if (np.abs(entropy - wanted) <= _SAME).all():
            break
        flat = entropy > wanted
        low, high = np.where(flat, rate, low), np.where(flat, high, rate)
        rate = np.where(np.isinf(high), np.minimum(2 * rate, 1e300), (low + high) / 2)
    weights /= total
    return (weights + weights.T) / (2 * len(wide))


def descend(
    near: NDArray[np.float64], start: NDArray[np.floating], *, pull: float, steps: int
) -> Iterator[NDArray[np.float32]]:
    """Move points until those that are near in truth are near on the plane.

    Parameters
    ----------
    near : ndarray of shape (n, n)
        Probabilities that two are neighbours, as `affinities` gives them.
    start : ndarray of shape (n, 2)
        Where they start from.
    pull : float
        By how much neighbours are drawn together more in the first half: the early exaggeration; 1 for not at all.
    steps : int
        Steps of gradient descent, at most.

    Yields
    ------
    ndarray of shape (n, 2), float32
        The positions after every 50 steps, and in the end.

    Notes
    -----
    A step takes a dozen operations on n x n numbers in float32: 0.3 ms for 300 points.
    """
    count = len(near)
    wanted = np.maximum(near, _LEAST).astype(np.float32)
    np.fill_diagonal(wanted, 0)
    at = np.array(start, dtype=np.float32)
    moved, gains = np.zeros_like(at), np.ones_like(at)
    rate = np.float32(max(count / pull / 4, _LEAST_RATE))
    forces = _Forces(count)
    drawn = wanted * np.float32(pull)
    for step in range(steps):
        early = step < _EARLY
        if step == _EARLY:
            drawn, moved, gains = (
                wanted,
                np.zeros_like(at),
                np.ones_like(at),
            )  # what was learnt held for stronger forces
        slope = forces.gradient(at, drawn)
        gains = np.where(moved * slope < 0, gains + np.float32(_GAIN_UP), gains * np.float32(_GAIN_DOWN))
        np.maximum(gains, np.float32(_LEAST_GAIN), out=gains)
        moved = np.float32(_MOMENTUM[0 if early else 1]) * moved - rate * gains * slope
        at += moved
        if (step + 1) % _TURN == 0:
            yield at.copy()
            if not early and float(np.linalg.norm(slope)) <= _STILL:
                return
    yield at.copy()


class _Forces:
    """Room for what all pairs of points exert on each other; one set of arrays for all steps."""

    def __init__(self, count: int) -> None:
        self._across, self._down, self._close, self._pairs = (
            np.empty((count, count), dtype=np.float32) for _ in range(4)
        )

    def gradient(self, at: NDArray[np.float32], near: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the gradient (n, 2) of the divergence between `near` and the nearness of positions."""
        across, down, close, pairs = self._across, self._down, self._close, self._pairs
        np.subtract.outer(at[:, 0], at[:, 0], out=across)
        np.subtract.outer(at[:, 1], at[:, 1], out=down)
        np.multiply(across, across, out=close)
        np.multiply(down, down, out=pairs)
        close += pairs
        close += np.float32(1)
        np.reciprocal(close, out=close)
        total = float(close.sum(dtype=np.float32)) - len(at)  # but for each point with itself
        np.multiply(close, np.float32(-1 / total), out=pairs)
        pairs += near
        pairs *= close
        slope = np.stack([np.einsum("ij,ij->i", pairs, across), np.einsum("ij,ij->i", pairs, down)], axis=1)
        return np.float32(4) * slope
