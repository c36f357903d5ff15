"""t-SNE by all pairs: probabilities and gradient against their definitions, the end against scikit-learn."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from whatwhere.strategies._tsne import _Forces, affinities, descend
from whatwhere.strategies.layout import principal


def mixes(n=80, r=6, seed=0):
    return np.random.default_rng(seed).dirichlet(np.full(r, 0.5), n)


def nearness(at):
    """How near positions are, by t-SNE's definition, pair by pair in float64."""
    weights = np.array([[0.0 if a is b else 1 / (1 + float(np.square(a - b).sum())) for b in at] for a in at])
    return weights / weights.sum()


def divergence(near, at):
    there = near > 0
    return float((near[there] * np.log(near[there] / nearness(list(at))[there])).sum())


def test_neighbours_have_the_perplexity_that_was_asked_for():
    """The density of one point, found again from its own rule, has it; both ways are averaged."""
    points, perplexity = mixes(40), 9.0
    near = affinities(points, perplexity)
    assert near == pytest.approx(near.T)
    assert near.sum() == pytest.approx(1)
    assert not near.diagonal().any()
    ways = np.zeros((40, 40))
    for i in range(40):
        away = np.square(points - points[i]).sum(axis=1)
        away[i] = np.inf
        low, high = 0.0, 1e6
        for _ in range(200):
            rate = (low + high) / 2
            weights = np.exp(-rate * (away - away.min()))
            p = weights / weights.sum()
            entropy = -float((p[p > 0] * np.log(p[p > 0])).sum())
            low, high = (rate, high) if entropy > np.log(perplexity) else (low, rate)
        ways[i] = p
    assert near == pytest.approx((ways + ways.T) / 80, abs=1e-6)


def test_twins_share_it_among_themselves():
    points = np.repeat(np.eye(4), 10, axis=0)
    near = affinities(points, 3.0).reshape(4, 10, 4, 10)
    own = np.array([near[k, :, k] for k in range(4)])
    assert own.sum() == pytest.approx(1, abs=1e-6)
    assert own[:, ~np.eye(10, dtype=bool)] == pytest.approx(1 / 360, rel=1e-5)
    assert np.isfinite(affinities(np.zeros((12, 3)), 3.0)).all()


def test_the_gradient_is_that_of_the_divergence():
    """By differences, in float64."""
    near, at = affinities(mixes(20), 5.0), np.random.default_rng(1).normal(size=(20, 2))
    slope = _Forces(20).gradient(at.astype(np.float32), near.astype(np.float32))
    for i, axis in [(0, 0), (3, 1), (19, 0)]:
        step = np.zeros_like(at)
        step[i, axis] = 1e-5
        by_hand = (divergence(near, at + step) - divergence(near, at - step)) / 2e-5
        assert float(slope[i, axis]) == pytest.approx(by_hand, rel=1e-3, abs=1e-6)


def test_the_same_twice_ever_nearer_and_the_start_is_left_alone():
    near = affinities(mixes(), 10.0)
    start = np.random.default_rng(2).normal(size=(80, 2)) * 1e-4
    kept = start.copy()
    every = list(descend(near, start, pull=12.0, steps=520))
    assert len(every) == 11
    np.testing.assert_array_equal(every[-1], list(descend(near, start, pull=12.0, steps=520))[-1])
    np.testing.assert_array_equal(start, kept)
    found = [divergence(near, at.astype(np.float64)) for at in (every[0], every[5], every[-1])]
    assert found == sorted(found, reverse=True)


def test_it_ends_where_nothing_moves():
    """Points in one place pull at nothing: one look after the early half is enough."""
    assert len(list(descend(affinities(np.zeros((12, 3)), 3.0), np.zeros((12, 2)), pull=12.0, steps=500))) == 6


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="scikit-learn is the second route")
def test_it_ends_as_low_as_scikit_learn_does():
    from sklearn.manifold import TSNE

    points = mixes(120)
    first = principal(points)[0]
    near, start = affinities(points, 20.0), first / first[:, 0].std() * 1e-4
    own = list(descend(near, start, pull=12.0, steps=500))[-1]
    other = TSNE(
        perplexity=20.0, init=start.astype(np.float32), method="exact", max_iter=500, random_state=0, n_jobs=1
    ).fit_transform(points.astype(np.float32))
    assert divergence(near, own.astype(np.float64)) <= 1.05 * divergence(near, other.astype(np.float64))
