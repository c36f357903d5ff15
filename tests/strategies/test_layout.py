"""Where photos are drawn: the same again, near what is alike, and the choice of how."""

from __future__ import annotations

import importlib.util
import threading

import numpy as np
import pytest

from whatwhere.strategies import layout
from whatwhere.strategies.layout import choose, mattering, need_for_tsne, place, principal

needs_sklearn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="t-SNE of many is scikit-learn's"
)


def blobs(n=60, kinds=4, r=6, seed=0):
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % kinds
    return np.eye(r)[kind] + 0.05 * rng.random((n, r)), kind


def positions(*args, **options):
    *waiting, last = place(*args, **options)
    assert all(step is None for step in waiting)
    return last


def test_the_same_positions_twice_to_the_last_bit():
    vectors, _ = blobs()
    first, told = positions(vectors)
    again, _ = positions(vectors)
    np.testing.assert_array_equal(first, again)
    assert told.method == "tsne"
    assert first.dtype == np.float32


def test_photos_of_one_kind_are_nearer_than_those_of_another():
    vectors, kind = blobs()
    spots, _ = positions(vectors)
    away = np.linalg.norm(spots[:, None] - spots, axis=2)
    same = kind[:, None] == kind
    assert away[same].max() < away[~same].min()


def test_a_warm_start_keeps_the_arrangement():
    vectors, _ = blobs()
    first, _ = positions(vectors)
    turned = first @ np.array([[0.0, -1.0], [1.0, 0.0]])
    again, told = positions(vectors * 1.01, start=turned)
    assert told.started
    assert np.corrcoef(again.ravel(), turned.ravel())[0, 1] > 0.95
    cold, told = positions(vectors * 1.01)
    assert not told.started
    assert abs(np.corrcoef(cold.ravel(), turned.ravel())[0, 1]) < 0.8


def test_newcomers_start_by_the_one_most_like_them():
    vectors, kind = blobs()
    first, _ = positions(vectors[:48])
    start = np.full((60, 2), np.nan)
    start[:48] = first
    spots, _ = positions(vectors, start=start)
    for n in range(48, 60):
        own = spots[:48][kind[:48] == kind[n]].mean(axis=0)
        others = [spots[:48][kind[:48] == other].mean(axis=0) for other in set(kind) - {kind[n]}]
        assert np.linalg.norm(spots[n] - own) < min(np.linalg.norm(spots[n] - other) for other in others)


@needs_sklearn
def test_what_t_sne_raises_is_raised(monkeypatch):
    monkeypatch.setattr("sklearn.manifold.TSNE", None)
    with pytest.raises(TypeError):
        positions(blobs(n=501)[0])
    assert not [t for t in threading.enumerate() if t.name == "whatwhere layout"]


def test_principal_components_are_those_of_the_singular_values():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5)) @ np.diag([5, 3, 1, 0.5, 0.1])
    spots, shown = principal(x)
    centred = x - x.mean(axis=0)
    _, s, v = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(spots) == pytest.approx(np.abs(centred @ v[:2].T), abs=1e-9)
    assert shown == pytest.approx((s[:2] ** 2).sum() / (s**2).sum())


@pytest.mark.parametrize(
    "vectors", [np.zeros((4, 3)), np.ones((1, 5)), np.ones((12, 1)), np.zeros((3, 1)), np.full((20, 40), 0.025)]
)
def test_nothing_to_tell_apart(vectors):
    spots, told = positions(vectors)
    assert spots.shape == (len(vectors), 2)
    assert not spots.any()
    assert told.shown == 1


def test_one_concept_is_a_line():
    spots, told = positions(np.linspace(0, 1, 30)[:, None])
    assert told.method == "pca"
    assert not spots[:, 1].any()
    assert np.all(np.diff(spots[:, 0]) > 0)
    assert spots[:, 0].std() == pytest.approx(1, abs=1e-6)


def test_how_many_concepts_matter():
    assert mattering(np.array([[0.5, 0.5, 0.0]])) == 2
    assert mattering(np.array([[-0.9, 0.06, 0.04]])) == 2
    assert mattering(np.full((3, 20), 0.05)) == 19
    assert mattering(np.zeros((3, 4))) == 0


def test_the_choice_is_said():
    few, many = np.tile([0.5, 0.3, 0.19, 0.01], (50, 1)), np.full((50, 10), 0.1)
    for count, vectors, said in (
        (50, few, "3 concepts hold 95%"),
        (9, many, "9 photos"),
        (5001, many, "at most 5,000"),
    ):
        method, why = choose(count, vectors, "auto")
        assert method == "pca"
        assert said in why
    assert choose(50, many, "pca") == ("pca", "two principal components, as asked for")


@needs_sklearn
def test_t_sne_is_the_choice_for_many_concepts():
    many = np.full((50, 10), 0.1)
    assert choose(50, many, "auto")[0] == choose(5000, many, "auto")[0] == "tsne"
    assert choose(50, many[:, :2], "tsne")[0] == "tsne"


def test_without_scikit_learn(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: None if name == "sklearn" else real(name))
    many = np.full((501, 10), 0.1)
    assert "scikit-learn, which t-SNE of more than 500 photos comes from, is not" in choose(501, many, "auto")[1]
    assert choose(500, many[1:], "auto")[0] == choose(500, many[1:], "tsne")[0] == "tsne"
    for n in (501, 0):
        with pytest.raises(ImportError, match=r"layout='tsne' of more than 500 photos.* needs scikit-learn: pip"):
            need_for_tsne(n)
    with pytest.raises(ImportError, match=r"layout='tsne' of more than 500 photos"):
        choose(501, many, "tsne")


@needs_sklearn
def test_many_points_are_placed_by_trees_the_same_twice():
    vectors, kind = blobs(n=501)
    spots, told = positions(vectors)
    np.testing.assert_array_equal(spots, positions(vectors)[0])
    away = np.linalg.norm(spots[:, None] - spots, axis=2)
    assert away[kind[:, None] == kind].mean() < 0.5 * away.mean()
    assert told.method == "tsne"
