"""Distances of distributions: closed forms, SciPy as second route, what 0 and 1 mean, bad input."""

import numpy as np
import pytest
import torch
from scipy import linalg, stats

from whatwhere.metrics.distributions import frechet, out_of_distribution, sliced_wasserstein


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def frechet_by_scipy(a, b):
    a, b = a.numpy(), b.numpy()
    first, second = np.cov(a.T), np.cov(b.T)
    root = np.real(linalg.sqrtm(first))
    middle = np.real(linalg.sqrtm(root @ second @ root))
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * middle)


@pytest.mark.parametrize(("n", "m"), [(60, 60), (60, 25), (25, 60)])
def test_frechet_is_the_formula(n, m):
    a, b = normal(n, 5) @ normal(5, 5, seed=1) + 3, normal(m, 5, seed=2) @ normal(5, 5, seed=3)
    assert frechet(a, b).value == pytest.approx(frechet_by_scipy(a, b), rel=1e-9)
    assert frechet(a, b).value == pytest.approx(frechet(b, a).value, rel=1e-9)
    assert frechet(a, b).relative == pytest.approx(frechet_by_scipy(a, b) / float(a.var(0).sum()), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(8, 8), (8, 5), (5, 8), (8, 50)])
def test_frechet_with_fewer_rows_than_columns(n, m):
    """By the eigenvalues of the covariances' product, whose square roots sum to the nuclear norm."""
    a, b = normal(n, 30), normal(m, 30, seed=1) * 2
    product = np.linalg.eigvals(np.cov(a.numpy().T) @ np.cov(b.numpy().T))
    middle = np.sqrt(np.maximum(product.real, 0)).sum()
    wanted = (a.mean(0) - b.mean(0)).square().sum() + a.var(0).sum() + b.var(0).sum() - 2 * middle
    assert frechet(a, b).value == pytest.approx(float(wanted), rel=1e-5)


def test_frechet_of_diagonal_gaussians():
    a = normal(4000, 3)
    a = (a - a.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(a.T.cov())).T  # exactly of mean 0 and covariance 1
    scales, shift = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([0.0, 3.0, 0.0])
    assert frechet(a, a * scales + shift).value == pytest.approx(9 + 1 + 0.25, rel=1e-10)


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (20, 20)])
def test_equal_sets_are_at_zero(shape):
    a = normal(*shape) + 100
    mixed = a[torch.randperm(len(a), generator=torch.Generator().manual_seed(1))]
    assert frechet(a, mixed).relative < 1e-22
    assert sliced_wasserstein(a, mixed).relative < 1e-12
    assert out_of_distribution(a, a, k=3) == 1


@pytest.mark.parametrize("distance", [frechet, sliced_wasserstein])
def test_the_mean_is_at_one(distance):
    a = normal(40, 6) + 5
    assert distance(a, a.mean(0).expand_as(a)).relative == pytest.approx(1)


@pytest.mark.parametrize("distance", [frechet, sliced_wasserstein, out_of_distribution])
def test_units_turns_and_shifts_change_nothing_relative(distance):
    a, b = normal(40, 6), normal(40, 6, seed=1) * 1.5
    turn = torch.linalg.qr(normal(6, 6, seed=2)).Q

    def relative(x, y):
        found = distance(x, y)
        return found if isinstance(found, float) else found.relative

    assert relative(1e6 * a + 7, 1e6 * b + 7) == pytest.approx(relative(a, b), rel=1e-9)
    rough = 0.05 if distance is sliced_wasserstein else 1e-9  # directions stay where they are
    assert relative(a @ turn, b @ turn) == pytest.approx(relative(a, b), rel=rough)


def test_frechet_sees_no_third_moment_but_sliced_wasserstein_does():
    heavy = normal(4000, 1).sign() * normal(4000, 1, seed=1).square()
    plain = normal(4000, 1, seed=2)
    heavy, plain = ((x - x.mean(0)) / x.std(0) for x in (heavy, plain))
    assert frechet(heavy, plain).relative < 1e-20
    assert sliced_wasserstein(heavy, plain).relative > 0.15


@pytest.mark.parametrize(("n", "m"), [(30, 30), (30, 17), (2, 100)])
def test_sliced_wasserstein_in_one_dimension_is_scipys(n, m):
    a, b = normal(n, 1), normal(m, 1, seed=1) + 1
    wanted = stats.wasserstein_distance(a[:, 0].numpy(), b[:, 0].numpy())
    assert sliced_wasserstein(a, b, projections=3).value == pytest.approx(wanted, rel=1e-12)


def test_sliced_wasserstein_of_a_shift_is_the_mean_of_a_direction():
    """E|<theta, s>| = ||s|| Gamma(p / 2) / (sqrt(pi) Gamma((p + 1) / 2)); 2 / pi for p = 2."""
    a = normal(10, 2)
    found = sliced_wasserstein(a, a + torch.tensor([3.0, 4.0]), projections=4000)
    assert found.value == pytest.approx(5 * 2 / np.pi, rel=0.02)


def test_same_seed_same_number():
    a, b = normal(20, 5), normal(20, 5, seed=1)
    assert sliced_wasserstein(a, b, seed=4) == sliced_wasserstein(a, b, seed=4)
    assert sliced_wasserstein(a, b, seed=4) != sliced_wasserstein(a, b, seed=5)


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_neighbours_by_all_distances(k, chunk):
    a, b = normal(30, 4) + 50, normal(30, 4, seed=1) + 50

    def kth(x):
        away = torch.cdist(x, a, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
        return away.sort(dim=1).values[:, k - 1].mean()

    assert out_of_distribution(a, b, k=k, chunk=chunk) == pytest.approx(float(kth(b) / kth(a)), rel=1e-12)


def test_what_leaves_the_crowd_is_above_one_and_what_is_blurred_below():
    a = normal(200, 10)
    assert out_of_distribution(a, a + 10) > 3
    assert out_of_distribution(a, 0.2 * a) < 0.9


def test_float32_is_computed_in_float64():
    a, b = normal(30, 4).float() + 1000, normal(30, 4, seed=1).float() + 1000
    assert frechet(a, b) == frechet(a.double(), b.double())


@pytest.mark.parametrize("distance", [frechet, sliced_wasserstein, out_of_distribution])
def test_bad_input(distance):
    a = normal(10, 3)
    with pytest.raises(ValueError, match="3 columns"):
        distance(a, normal(10, 2))
    with pytest.raises(ValueError, match="at least 2 rows"):
        distance(a[:1], a)
    with pytest.raises(ValueError, match="rows that differ"):
        distance(a[:1].expand(10, 3), a)
    with pytest.raises(ValueError, match=r"reconstruction.*finite"):
        distance(a, a / 0)


def test_bad_options():
    a = normal(6, 3)
    with pytest.raises(ValueError, match="projections"):
        sliced_wasserstein(a, a, projections=0)
    with pytest.raises(ValueError, match="k: wanted an integer from 1 to 5, got 6"):
        out_of_distribution(a, a, k=6)
    with pytest.raises(ValueError, match="one row for each activation"):
        out_of_distribution(a, a[:4])
    with pytest.raises(ValueError, match="raise k"):
        out_of_distribution(a.repeat(3, 1), a.repeat(3, 1), k=2)
