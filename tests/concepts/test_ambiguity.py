"""What looks like two things, and what only seems to: known clouds, then a network with planted parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from whatwhere.concepts.ambiguity import directions, silhouette_of_two, twofold


def best_errors(units):
    """Relative errors of the best factors of rank 1 and 2, by singular values."""
    squares = torch.linalg.svdvals(units).square()
    return tuple(float((squares[k:].sum() / squares.sum()).sqrt()) for k in (1, 2))


def cloud(seed, *, count=60, p=24, factors=1, noise=0.1):
    """Crops that show one of some sparse directions each, with noise of at least 0, more or less of both."""
    rng = np.random.default_rng(seed)
    atoms = np.eye(factors, p) + 0.3 * rng.random((1, p))
    rows = atoms[np.arange(count) % factors] + noise * rng.random((count, p))
    return directions(torch.from_numpy(rows * (0.5 + rng.random((count, 1)))))


@pytest.mark.parametrize("seed", range(5))
def test_two_things_are_two_and_one_is_one(seed):
    """Whatever the seed."""
    two, one = cloud(seed, factors=2), cloud(seed)
    assert twofold(two, best_errors(two)).proposed
    assert not twofold(one, best_errors(one)).proposed


def test_amount_is_no_difference():
    """More or less of one direction, even in two groups, is one thing: exactly, and with noise."""
    rng = np.random.default_rng(0)
    much = np.where(np.arange(40) % 2, 10.0, 1.0)[:, None]
    exact = directions(torch.from_numpy(much * rng.random(8)))
    assert twofold(exact, best_errors(exact)) == (0, 0, 0, 0)
    near = directions(torch.from_numpy(much * (rng.random(8) + 0.05 * rng.random((40, 8)))))
    assert not twofold(near, best_errors(near)).proposed


def test_chance_is_rarely_passed():
    """One cloud of any shape passes both draws in about one of twenty at most: here 40 clouds, and 4 would be many."""
    passed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        wide = rng.standard_normal((50, 12)) * np.geomspace(3, 0.1, 12)
        rows = directions(torch.from_numpy(wide + 10))
        passed += twofold(rows, best_errors(rows), seed=seed).proposed
    assert passed <= 4


def test_silhouette_by_definition():
    """Against scikit-learn, with its own clusters as well."""
    metrics, cluster = pytest.importorskip("sklearn.metrics"), pytest.importorskip("sklearn.cluster")
    for seed in range(4):
        points = cloud(seed, factors=2, noise=0.8)
        labels = cluster.KMeans(2, n_init=20, random_state=0).fit_predict(points.numpy())
        assert silhouette_of_two(points) == pytest.approx(metrics.silhouette_score(points.numpy(), labels), abs=1e-6)


def test_silhouette_at_the_ends():
    """Points that are one have none; two places have 1; it does not turn with the axes."""
    assert silhouette_of_two(torch.ones(5, 3, dtype=torch.float64)) == 0
    two = torch.eye(2, dtype=torch.float64).repeat(4, 1)
    assert silhouette_of_two(two) == pytest.approx(1)
    points = cloud(3, factors=2)
    turned = points @ torch.linalg.qr(torch.randn(24, 24, dtype=torch.float64))[0]
    assert silhouette_of_two(turned) == pytest.approx(silhouette_of_two(points), abs=1e-9)


def test_rows_without_a_direction_are_left_out():
    """Zeros say nothing."""
    units = directions(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    assert torch.allclose(units, torch.tensor([[0.6, 0.8]], dtype=torch.float64))
