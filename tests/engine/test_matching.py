"""Matching banks: permutations, dead atoms, sizes, signs; similarity against chance."""

import itertools

import pytest
import torch

from whatwhere.engine.matching import match, matched_cosines, similarity


def bank(rank=6, p=40, seed=0):
    return torch.rand(rank, p, generator=torch.Generator().manual_seed(seed))


def test_a_permutation_of_scaled_atoms_is_found():
    a, order = bank(), torch.tensor([3, 0, 5, 1, 4, 2])
    permutation, cosines = match(a, 7 * a[order])
    assert torch.equal(order[permutation], torch.arange(6))
    assert cosines == pytest.approx(torch.ones(6))


def test_no_other_assignment_has_a_larger_sum():
    a, b = bank(4), bank(5, seed=1)
    units = [x.double() / x.double().norm(dim=1, keepdim=True) for x in (a, b)]
    cosines = units[0] @ units[1].T
    best = max(sum(float(cosines[i, j]) for i, j in enumerate(p)) for p in itertools.permutations(range(5), 4))
    assert float(matched_cosines(a, b).sum()) == pytest.approx(best)


def test_dead_atoms_are_no_nan():
    a, b = bank(4), bank(4)
    a[1], b[3] = 0, 0
    permutation, cosines = match(a, b)
    assert sorted(permutation.tolist()) == [0, 1, 2, 3]
    assert cosines[[0, 2]] == pytest.approx(torch.ones(2))
    assert cosines[1] == 0
    assert matched_cosines(a * 0, b * 0).tolist() == [0] * 4


def test_sizes_may_differ():
    a = bank(5)
    permutation, cosines = match(a, a[[4, 2]])
    assert permutation.tolist() == [-1, -1, 1, -1, 0]
    assert cosines.tolist() == pytest.approx([0, 0, 1, 0, 1])
    assert match(a[[4, 2]], a)[0].tolist() == [4, 2]


def test_signs_matter_unless_told():
    a = torch.randn(3, 50)
    assert matched_cosines(a, -a).max() < 0.9
    assert matched_cosines(a, -a, signless=True) == pytest.approx(torch.ones(3))


def test_tiny_and_huge_atoms():
    a = bank(3)
    assert matched_cosines(a * 1e-30, a * 1e30) == pytest.approx(torch.ones(3))


def test_what_is_shared_counts_for_nothing_once_centred():
    g = torch.Generator().manual_seed(0)
    mean = 1 + torch.rand(200, generator=g)
    a, b = (mean + 0.3 * torch.randn(4, 200, generator=g) for _ in range(2))
    b[1] = a[2] * 3
    told = similarity(a, b, mean=mean)
    assert told.cosines.min() > 0.9
    assert told.centred[2, 1] == pytest.approx(1)
    others = told.centred.flatten()[torch.arange(16) != 9]
    assert others.abs().max() < 0.3
    assert told.z[2, 1] > 5
    assert told.z.flatten()[torch.arange(16) != 9].abs().max() < 4.5


def test_z_of_atoms_of_chance_is_a_standard_score():
    g = torch.Generator().manual_seed(0)
    a, b, null = (torch.randn(k, 64, generator=g) for k in (30, 30, 500))
    for told in (similarity(a, b, null=null), similarity(a, b)):
        assert abs(float(told.z.mean())) < 0.15
        assert float(told.z.std()) == pytest.approx(1, abs=0.15)
    assert told.null == "shuffled"


def test_a_null_that_knows_the_layer_expects_more():
    """Atoms in a subspace are alike by chance; shuffled entries do not know it."""
    g = torch.Generator().manual_seed(0)
    few = torch.randn(3, 80, generator=g)
    a, b, null = (torch.randn(k, 3, generator=g) @ few for k in (5, 5, 200))
    strict, loose = similarity(a, b, null=null), similarity(a, b)
    assert strict.null == "banks"
    assert strict.z.abs().max() < 3 < loose.z.abs().max()


def test_dead_and_parallel_atoms_have_no_similarity():
    a, mean = bank(3), torch.ones(40)
    a[0], a[1] = 0, 2
    told = similarity(a, a, mean=mean)
    assert not told.z[:2].any()
    assert not told.centred[:2].any()
    assert torch.isfinite(told.z).all()


def test_seeds_repeat_and_symmetry():
    a, b = bank(3), bank(4, seed=1)
    one, other = similarity(a, b, seed=1), similarity(a, b, seed=1)
    assert torch.equal(one.z, other.z)
    null = bank(50, seed=2)
    assert similarity(a, b, null=null).z == pytest.approx(similarity(b, a, null=null).z.T)


def test_bad_input():
    with pytest.raises(ValueError, match="second: wanted 3 columns"):
        match(torch.eye(3), torch.eye(2))
    with pytest.raises(ValueError, match="first: wanted finite numbers"):
        match(torch.full((1, 2), torch.nan), torch.eye(2))
    with pytest.raises(ValueError, match="null: wanted at least 8 atoms that are not dead, got 3"):
        similarity(bank(), bank(), null=bank(3))
    with pytest.raises(ValueError, match="null: wanted atoms of different directions"):
        similarity(bank(), bank(), null=bank(1).expand(9, -1))
    with pytest.raises(ValueError, match="mean: wanted a vector of 40 numbers"):
        similarity(bank(), bank(), mean=torch.zeros(40))
