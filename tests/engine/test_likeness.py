"""Cosines of atoms of many banks against chance: planted likes are found, and chance is not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from whatwhere.engine import likeness
from whatwhere.engine.likeness import FEWEST, Likeness

CLASSES, RANK, CHANNELS = 6, 8, 256


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(likeness, "_DRAWS", 60)


def sparse(rng, n, p):
    return rng.random((n, p)) * (rng.random((n, p)) < 0.35)


def heavy(rng, n, p):
    """A few large entries, most small."""
    return rng.gamma(0.3, 1, (n, p))


def uneven(rng, n, p):
    """Channels of very different size."""
    return sparse(rng, n, p) * np.random.default_rng(5).gamma(0.5, 1, p)


def together(rng, n, p):
    """Channels that go together."""
    mixing = np.random.default_rng(9).normal(size=(p // 8, p)) / np.sqrt(p / 8)
    return np.maximum(rng.normal(size=(n, p // 8)) @ mixing + 0.5 * rng.normal(size=(n, p)), 0)


def signed(rng, n, p):
    return rng.normal(size=(n, p))


KINDS = (sparse, heavy, uneven, together, signed)


def groups_of(classes=CLASSES, rank=RANK):
    return np.repeat(np.arange(classes), rank)


def of(atoms, groups=None, **options):
    return Likeness.of(atoms, groups_of() if groups is None else groups, np.asarray(atoms).mean(axis=0), **options)


def all_of(told):
    z = told.z(slice(0, len(told.atoms)))
    return z, told.q(z)


def planted(kind, seed, pairs=5):
    """Atoms of chance, of which some of one bank are those of another but for noise."""
    rng = np.random.default_rng(seed)
    atoms = kind(rng, CLASSES * RANK, CHANNELS)
    truth = set()
    for k in range(pairs):
        a, b = sorted(rng.choice(CLASSES, 2, replace=False))
        i, j = a * RANK + k, b * RANK + k
        atoms[j] = atoms[i] * np.exp(0.5 * rng.normal(size=CHANNELS))
        truth.add((i, j))
    return atoms, truth


def test_z_is_that_of_medians():
    atoms, _ = planted(sparse, 0)
    told, groups = of(atoms), groups_of()
    units = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
    mean = atoms.mean(axis=0) / np.linalg.norm(atoms.mean(axis=0))
    units -= np.outer(units @ mean, mean)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    cosines = units @ units.T
    np.testing.assert_allclose(told.cosines(slice(0, len(atoms))), cosines, atol=1e-6)
    z, _ = all_of(told)
    for i, j in [(0, 8), (3, 47), (20, 2)]:
        both = []
        for a, b in ((i, j), (j, i)):
            others = cosines[a][groups != groups[a]]
            spread = median_abs_deviation(others, scale=1 / 1.4826)
            both.append((cosines[a, b] - np.median(others)) / spread)
        assert z[i, j] == pytest.approx(min(both), abs=1e-4)
    assert np.isnan(z[groups[:, None] == groups]).all()
    np.testing.assert_array_equal(z, z.T)
    assert told.n_null == (CLASSES - 1) * RANK


def test_what_is_planted_is_found_and_chance_is_not():
    """Over kinds of features and seeds: the share of false ones is what q promises."""
    false, found, seen = [], 0, 0
    for kind, seed in itertools.product(KINDS, range(5)):
        atoms, truth = planted(kind, seed)
        z, q = all_of(of(atoms))
        told = {(int(i), int(j)) for i, j in np.argwhere(np.triu(q <= 0.1))}
        false.append(len(told - truth) / max(len(told), 1))
        if kind is not uneven:  # a few channels decide there, so that chance is as much alike as likes are
            found, seen = found + len(told & truth), seen + len(truth)
            assert np.mean([z[pair] for pair in truth]) > 6
    assert np.mean(false) <= 0.1 + 2 * np.std(false) / np.sqrt(len(false))
    assert found / seen > 0.95


def test_where_nothing_is_planted_little_is_found():
    """All that is found is false there, so that q is the chance of finding anything."""
    surprised = []
    for kind, seed in itertools.product(KINDS, range(1000, 1012)):
        _, q = all_of(of(kind(np.random.default_rng(seed), CLASSES * RANK, CHANNELS)))
        surprised.append(bool((q <= 0.1).any()))
    assert np.mean(surprised) <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / len(surprised))


def test_the_order_of_atoms_and_banks_is_nothing():
    atoms, _ = planted(heavy, 1)
    z, q = all_of(of(atoms))
    rng = np.random.default_rng(0)
    order, other_names = rng.permutation(len(atoms)), rng.permutation(CLASSES) * 7
    mixed = Likeness.of(atoms[order], other_names[groups_of()[order]], atoms.mean(axis=0))
    told = mixed.z(slice(0, len(atoms)))
    np.testing.assert_allclose(told, z[np.ix_(order, order)], atol=1e-4)
    np.testing.assert_allclose(mixed.q(z), of(atoms).q(z), atol=0.02)  # rounding may move a pair across a hundredth
    np.testing.assert_array_equal(all_of(of(atoms))[1], q)


def test_lengths_say_nothing():
    atoms, _ = planted(sparse, 2)
    lengths = np.random.default_rng(0).gamma(1, 10, (len(atoms), 1)) + 0.1
    mean = atoms.mean(axis=0)
    one, other = (Likeness.of(rows, groups_of(), mean) for rows in (atoms, atoms * lengths))
    np.testing.assert_allclose(all_of(one)[0], all_of(other)[0], atol=1e-3)
    np.testing.assert_allclose(
        Likeness.of(atoms, groups_of(), 50 * mean).cosines(slice(0, 3)), one.cosines(slice(0, 3))
    )


def test_an_atom_in_every_bank_is_found_in_all():
    atoms, _ = planted(sparse, 3, pairs=0)
    same = np.arange(0, len(atoms), RANK)
    atoms[same] = atoms[0]
    z, q = all_of(of(atoms))
    pairs = [(i, j) for i in same for j in same if i < j]
    assert min(z[pair] for pair in pairs) > 10
    assert max(q[pair] for pair in pairs) < 0.02
    assert int((np.triu(q <= 0.05)).sum()) == len(pairs)


def test_banks_that_are_all_the_same():
    rng = np.random.default_rng(0)
    atoms = np.tile(sparse(rng, RANK, CHANNELS), (CLASSES, 1))
    z, q = all_of(of(atoms))
    same = np.arange(len(atoms)) % RANK
    likes = (same[:, None] == same) & ~np.isnan(z)
    assert z[likes].min() > 5
    assert q[likes].max() < 0.02
    assert np.nanmax(q[~likes & ~np.isnan(z)]) > 0.3


def test_atoms_that_are_one_have_no_chance():
    told = of(np.tile(sparse(np.random.default_rng(0), 1, CHANNELS) + 0.1, (CLASSES * RANK, 1)) + 0)
    z, q = all_of(told)
    assert told.n_null == 0
    assert np.isnan(z).all()
    assert np.isnan(q).all()


def test_few_atoms_have_no_chance():
    rng = np.random.default_rng(0)
    for rank, known in ((FEWEST - 1, False), (FEWEST, True)):
        told = of(sparse(rng, 2 * rank, CHANNELS), np.repeat([0, 1], rank))
        z, q = all_of(told)
        assert np.isfinite(z[0, -1]) == np.isfinite(q[0, -1]) == known
        assert told.n_null == (FEWEST if known else 0)
    one = of(sparse(rng, 30, CHANNELS), np.zeros(30, dtype=int))
    assert np.isnan(all_of(one)[1]).all()


def test_dead_atoms_are_like_nothing_and_are_no_chance():
    atoms, _ = planted(sparse, 4)
    mean = atoms.mean(axis=0)
    whole = Likeness.of(atoms, groups_of(), mean)
    more = np.concatenate([atoms, np.zeros((3, CHANNELS)), mean[None] * 2])
    told = Likeness.of(more, np.concatenate([groups_of(), [0, 1, 2, 3]]), mean)
    n = len(atoms)
    assert told.alive.tolist() == [True] * n + [False] * 4
    np.testing.assert_allclose(all_of(told)[0][:n, :n], all_of(whole)[0], atol=1e-6)
    assert np.isnan(all_of(told)[0][n:]).all()


def test_blocks_change_nothing(monkeypatch):
    atoms, _ = planted(sparse, 5)
    z, q = all_of(of(atoms))
    monkeypatch.setattr(likeness, "_BLOCK", 7 * len(atoms))
    assert len(list(of(atoms).blocks())) == 7
    np.testing.assert_allclose(all_of(of(atoms))[0], z, atol=1e-4)
    np.testing.assert_allclose(of(atoms).q(z), q, atol=0.02)


@pytest.mark.parametrize(
    ("atoms", "groups", "mean", "message"),
    [
        (np.ones(4), [0] * 4, None, "for each of atoms"),
        (np.ones((4, 3)), [0] * 3, None, "for each of atoms"),
        (np.ones((4, 3)), [0.5] * 4, None, "for each of atoms"),
        (np.ones((4, 3)), [0] * 4, np.ones(2), "wanted 3 numbers, one a column"),
        (np.full((4, 3), np.nan), [0] * 4, None, "finite"),
    ],
)
def test_bad_input(atoms, groups, mean, message):
    with pytest.raises(ValueError, match=message):
        Likeness.of(atoms, groups, mean)
