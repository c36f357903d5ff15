"""First-order indices and slopes."""

import numpy as np
import pytest
from scipy import stats

from whatwhere.engine.effects import first_order, first_order_error, slope, slope_error
from whatwhere.engine.jackknife import jackknife_error
from whatwhere.engine.sensitivity import pooled_variance, total_order


def test_first_order_is_that_known(known, sample):
    drawn = sample(known.function, known.cells, 4096)
    assert first_order(drawn.scores, drawn.b) == pytest.approx(known.first, abs=0.03)


def test_the_plain_covariance_has_the_same_mean_and_more_noise(sample):
    def root_mean_square(estimates):
        return np.sqrt(np.mean((np.array(estimates) - 1 / 64) ** 2))

    plain, ours = [], []
    for seed in range(20):
        scores, b, *_ = sample(lambda u: u.mean(axis=1), 64, 32, seed)
        plain.append([np.cov(b, c)[0, 1] / pooled_variance(scores) for c in scores[:, 1:].T])
        ours.append(first_order(scores, b))
    assert root_mean_square(ours) < root_mean_square(plain) / 3
    assert np.mean(ours) == pytest.approx(1 / 64, abs=0.005)


def test_scipy_agrees_on_the_same_numbers(known, sample):
    """SciPy centres once and divides by n; ours takes the covariance about the rows' own means."""
    drawn = sample(known.function, known.cells, 4096)
    values = {"f_A": drawn.scores[:, :1].T, "f_B": drawn.b[np.newaxis], "f_AB": drawn.scores[:, 1:].T[:, np.newaxis]}
    told = stats.sobol_indices(func=values, n=4096).first_order.ravel()
    assert first_order(drawn.scores, drawn.b) == pytest.approx(told, abs=0.01)


def test_first_order_is_a_covariance(sample, models):
    scores, b, *_ = sample(models["g-function"].function, 8, 32)
    told = [np.cov(b, c - scores[:, 0])[0, 1] / pooled_variance(scores) for c in scores[:, 1:].T]
    assert first_order(scores, b) == pytest.approx(told, rel=1e-12)


@pytest.mark.parametrize("rows", [8, 9])
def test_the_error_of_first_order_is_that_of_a_loop_over_pairs(rows, sample, models):
    scores, b, *_ = sample(models["g-function"].function, 8, rows)
    pairs = [[0, 1], [2, 3], [4, 5], [6, 7, 8] if rows == 9 else [6, 7]]
    left_out = np.array([first_order(np.delete(scores, k, axis=0), np.delete(b, k)) for k in pairs])
    assert first_order_error(scores, b) == pytest.approx(jackknife_error(left_out), rel=1e-9)


def test_parity_has_no_first_order_and_no_pure_pair(sample):
    def parity(u):
        return np.prod(np.sign(u - 0.5), axis=1)

    singles = sample(parity, 3, 4096)
    assert first_order(singles.scores, singles.b) == pytest.approx([0, 0, 0], abs=0.05)
    assert total_order(singles.scores) == pytest.approx([1, 1, 1], abs=0.05)
    pair = sample(parity, 3, 4096, groups=[0, 0, -1])
    assert first_order(pair.scores, pair.b) == pytest.approx([0], abs=0.05)


@pytest.mark.parametrize(
    ("function", "share"),
    [(lambda u: u[:, 0] * u[:, 1], 1 / 7), (lambda u: (u[:, 0] > 0.5) * (u[:, 1] > 0.5) * 1.0, 1 / 3)],
)
def test_closed_indices_of_groups_give_pure_pairs(function, share, sample):
    """The product of two uniform cells holds 1/7 of its variance in the pair, the conjunction of two coins 1/3."""
    singles, pair = sample(function, 3, 4096), sample(function, 3, 4096, groups=[0, 0, -1])
    pure = first_order(pair.scores, pair.b)[0] - first_order(singles.scores, singles.b)[:2].sum()
    assert pure == pytest.approx(share, abs=0.03)


def test_an_irrelevant_cell_has_exactly_no_effect(sample):
    scores, b, *masks = sample(lambda u: u[:, 0] + u[:, 1] ** 2, 4, 32)
    assert first_order(scores, b)[2:].tolist() == first_order_error(scores, b)[2:].tolist() == [0, 0]
    assert slope(scores, *masks)[2:].tolist() == slope_error(scores, *masks)[2:].tolist() == [0, 0]


def test_first_order_may_be_negative(sample, models):
    ishigami = models["ishigami"]
    lows = [first_order(*sample(ishigami.function, 3, 16, seed)[:2]).min() for seed in range(10)]
    assert min(lows) < 0


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0), (1, 1e3), (-5, 2)])
def test_effects_follow_scale_and_not_shift(scale, shift, sample, models):
    scores, b, *masks = sample(models["g-function"].function, 8, 64)
    for index in (first_order, first_order_error):
        assert index(scale * scores + shift, scale * b + shift) == pytest.approx(index(scores, b), rel=1e-6)
    assert slope(scale * scores + shift, *masks) == pytest.approx(scale * slope(scores, *masks), rel=1e-6, abs=1e-12)


def test_slopes_are_those_known(known, sample):
    scores, _, *masks = sample(known.function, known.cells, 4096)
    assert slope(scores, *masks) == pytest.approx(known.slope, abs=0.02 * scores.std())


def test_slopes_of_an_additive_score_are_its_weights_exactly(sample, models):
    known = models["additive"]
    scores, _, *masks = sample(known.function, 5, 8)
    assert slope(scores, *masks) == pytest.approx(known.slope, rel=1e-12)
    assert slope_error(scores, *masks) == pytest.approx(np.zeros(5), abs=1e-12)


def test_the_slope_of_a_group_is_the_sum_of_its_weights(sample, models):
    known, groups = models["additive"], np.array([0, 0, 1, -1, 1])
    scores, _, *masks = sample(known.function, 5, 1024, groups=groups)
    told, error = slope(scores, *masks, groups=groups), slope_error(scores, *masks, groups=groups)
    assert told == pytest.approx([-1, -2], abs=0.3)
    assert (np.abs(told - [-1, -2]) < 4 * error).all()


def test_the_error_of_slopes_is_that_of_a_loop(sample, models):
    scores, _, a, b = sample(models["ishigami"].function, 3, 16)
    left_out = np.array([slope(*(np.delete(x, k, axis=0) for x in (scores, a, b))) for k in range(16)])
    assert slope_error(scores, a, b) == pytest.approx(jackknife_error(left_out), rel=1e-9)


def test_a_cell_that_no_row_moves_has_an_unknown_slope(sample):
    """The published points have such cells at 16 rows."""
    scores, _, *masks = sample(lambda u: u.mean(axis=1), 64, 16, sampler="published")
    still = (masks[0] == masks[1]).all(axis=0)
    assert still.any()
    assert (slope(scores, *masks)[still] == 0).all()
    assert (slope_error(scores, *masks)[still] == np.inf).all()


@pytest.mark.parametrize("rows", [2, 3])
def test_a_single_pair_of_rows_tells_no_error_of_first_order(rows, sample, models):
    scores, b, *_ = sample(models["ishigami"].function, 3, rows)
    assert np.isfinite(first_order(scores, b)).all()
    assert first_order_error(scores, b).tolist() == [np.inf] * 3


def test_a_constant_score_has_no_effects(sample):
    scores, b, *masks = sample(lambda u: np.full(len(u), 0.1), 4, 8)
    for values in (first_order(scores, b), first_order_error(scores, b), slope(scores, *masks)):
        assert values.tolist() == [0] * 4


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((np.ones((4, 3)), np.ones((4, 2)), np.ones((5, 2))), {}, ValueError, r"b: wanted shape \(rows, cells\)"),
        ((np.ones((4, 3)), np.ones((4, 3)), np.ones((4, 2))), {}, ValueError, r"a: wanted shape \(rows, cells\)"),
        ((np.ones((4, 3)), *[np.ones((4, 3))] * 2), {"groups": [0, 1, 2]}, ValueError, "groups: wanted shape"),
        ((np.ones((4, 3)), *[np.ones((4, 3))] * 2), {"groups": [0, 0, 0]}, ValueError, "got none in 1"),
        ((np.ones((4, 3)), *[np.ones((4, 3))] * 2), {"groups": [0, 1, 0.5]}, TypeError, "groups: wanted integers"),
    ],
)
def test_bad_masks_and_groups_are_refused(arguments, options, error, words):
    for index in (slope, slope_error):
        with pytest.raises(error, match=words):
            index(*arguments, **options)
