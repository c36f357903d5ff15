"""One estimator a method: what it asks of a response, and what it makes of the answers. All float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from whatwhere.engine._checks import integer
from whatwhere.engine.effects import first_order, first_order_error
from whatwhere.engine.hsic import hsic_of_pairs
from whatwhere.engine.sampling import nested_net
from whatwhere.engine.sensitivity import is_flat, total_order, total_order_error, variance_floor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.engine.responses import Prober

    Array = NDArray[np.float64]

_MOST_NODES = 512


class Options(NamedTuple):
    """What estimators may look at, checked."""

    samples: int
    seed: int
    noise: float
    codes_size: Array


class Estimate(NamedTuple):
    """What estimators return: importances, their standard errors, whether the score is flat, and a gap."""

    values: Array
    error: Array | None = None
    flat: bool = False
    gap: float | None = None


def gradient_input(prober: Prober, _: Options) -> Estimate:
    """Return the gradient by the gates of the image as it is."""
    scores, gradients = prober.gradients(np.ones((1, prober.rank)))
    return Estimate(gradients[0], flat=_level(scores, gradients))


def saliency(prober: Prober, options: Options) -> Estimate:
    """Return the size of that gradient for a unit of code."""
    scores, gradients = prober.gradients(np.ones((1, prober.rank)))
    return Estimate(_per_unit(np.abs(gradients[0]), options.codes_size), flat=_level(scores, gradients))


def integrated_gradients(prober: Prober, options: Options) -> Estimate:
    """Return the mean gradient from the baseline to the image, at Gauss-Legendre nodes."""
    nodes, weights = np.polynomial.legendre.leggauss(integer("samples", options.samples, 1, _MOST_NODES))
    _, gradients = prober.gradients(np.repeat((1 + nodes[:, np.newaxis]) / 2, prober.rank, axis=1))
    ends = prober.scores(np.stack([np.zeros(prober.rank), np.ones(prober.rank)]))
    values = weights @ gradients / 2
    return Estimate(values, flat=_level(ends, gradients), gap=float(values.sum() - (ends[1] - ends[0])))


def smoothgrad(prober: Prober, options: Options) -> Estimate:
    """Return the mean of gradients at noisy gates, for a unit of code."""
    flat, gradients = _noisy_gradients(prober, options)
    return _mean(gradients, options.codes_size, flat=flat)


def squaregrad(prober: Prober, options: Options) -> Estimate:
    """Return the mean of squared gradients at noisy gates, for a unit of code."""
    flat, gradients = _noisy_gradients(prober, options)
    return _mean(gradients**2, options.codes_size**2, flat=flat)


def vargrad(prober: Prober, options: Options) -> Estimate:
    """Return the variance of gradients at noisy gates, for a unit of code."""
    flat, gradients = _noisy_gradients(prober, options)
    n, squares = len(gradients), options.codes_size**2
    apart = gradients - gradients.mean(axis=0)
    variance = (apart**2).sum(axis=0) / (n - 1)
    # of the sample variance; never below 0 but for rounding
    spread = np.maximum((apart**4).mean(axis=0) - variance**2 * (n - 3) / (n - 1), 0) / n
    return Estimate(_per_unit(variance, squares), _per_unit(np.sqrt(spread), squares), flat)


def occlusion(prober: Prober, _: Options) -> Estimate:
    """Return what the score loses without each concept."""
    rank = prober.rank
    scores = prober.scores(np.concatenate([np.ones((1, rank)), 1 - np.eye(rank)]))
    losses = scores[0] - scores[1:]
    return Estimate(losses, flat=_level(scores, losses))


def rise(prober: Prober, options: Options) -> Estimate:
    """Return by how much the mean score is higher with the gate open than with it shut, from opposite pairs."""
    gates = opposite_pairs(options.samples, prober.rank, options.seed)
    scores = prober.scores(gates.astype(np.float64))
    differences = np.where(gates[0::2], 1.0, -1.0) * (scores[0::2] - scores[1::2])[:, np.newaxis]
    error = differences.std(axis=0, ddof=1) / np.sqrt(len(differences))
    return Estimate(differences.mean(axis=0), error, _steady(scores))


def hsic(prober: Prober, options: Options) -> Estimate:
    """Return the independence criterion of each gate, from opposite pairs."""
    gates = opposite_pairs(options.samples, prober.rank, options.seed)
    scores = prober.scores(gates.astype(np.float64))
    values, error = hsic_of_pairs(gates, scores)
    return Estimate(values, error, _steady(scores))


def sobol(prober: Prober, options: Options) -> Estimate:
    """Return total-order indices for gates uniform on [0, 1]."""
    scores = prober.scores(design(options.samples, prober.rank, options.seed))
    return Estimate(total_order(scores), total_order_error(scores), is_flat(scores))


def sobol_first(prober: Prober, options: Options) -> Estimate:
    """Return first-order indices for gates uniform on [0, 1]."""
    scores = prober.scores(design(options.samples, prober.rank, options.seed))
    _, b = nested_net(options.samples, prober.rank, seed=options.seed)
    own = prober.scores(b)
    return Estimate(first_order(scores, own), first_order_error(scores, own), is_flat(scores))


def design(rows: int, rank: int, seed: int, *, done: int = 0) -> Array:
    """Return the gates of a pick-freeze design without B (rows - done, rank + 1, rank), in the engine's layout."""
    a, b = (matrix[done:] for matrix in nested_net(rows, rank, seed=seed))
    gates = np.repeat(a[:, np.newaxis], rank + 1, axis=1)
    each = np.arange(rank)
    gates[:, 1 + each, each] = b
    return gates


def opposite_pairs(rows: int, rank: int, seed: int) -> NDArray[np.bool_]:
    """Return random gates (rows, rank), each second row the opposite of the one before it; pairs are independent.

    The nested net has one row of each pair below 1/2 and the other above, in every column, by a coin of their own.
    """
    if rows % 2:
        raise ValueError(f"samples: wanted an even number, for gates come in opposite pairs, got {rows}.")
    return np.asarray(nested_net(rows, rank, seed=seed)[0] >= 1 / 2)


def _noisy_gradients(prober: Prober, options: Options) -> tuple[bool, Array]:
    noise = np.random.default_rng(options.seed).standard_normal((options.samples, prober.rank))
    scores, gradients = prober.gradients(1 + options.noise * noise)
    return _level(scores, gradients), gradients


def _mean(samples: Array, size: Array, *, flat: bool) -> Estimate:
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    return Estimate(_per_unit(samples.mean(axis=0), size), _per_unit(error, size), flat)


def _per_unit(values: Array, size: Array) -> Array:
    """Divide by the size of the codes; a concept that is absent has 0, for no gate moves it."""
    return np.divide(values, size, out=np.zeros_like(values), where=size > 0)


def _level(scores: Array, changes: Array) -> bool:
    """Tell whether no change is beyond the rounding of the scores."""
    return bool(np.abs(changes).max() <= np.sqrt(variance_floor(scores)))


def _steady(scores: Array) -> bool:
    return bool(np.var(scores, ddof=1) <= variance_floor(scores))
