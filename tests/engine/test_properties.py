"""What holds for any scores: no NaN, no negative total, equivariance, invariance, and clear refusals."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from whatwhere.engine.confidence import interval, total_order_bootstrap
from whatwhere.engine.effects import first_order, first_order_error, slope, slope_error
from whatwhere.engine.pairs import gram
from whatwhere.engine.sensitivity import (
    glen_isaacs,
    half_agreement,
    is_flat,
    mean_dimension,
    mean_dimension_error,
    pooled_variance,
    rounding_floor,
    row_spread,
    total_order,
    total_order_error,
)
from whatwhere.engine.stopping import RankStability, Width

ALL = [
    pooled_variance, row_spread, is_flat, total_order, total_order_error, glen_isaacs, mean_dimension,
    mean_dimension_error, half_agreement, gram, total_order_bootstrap, Width(0.1).met, RankStability().met,
    lambda scores: rounding_floor(scores, 1e-3),
    lambda scores: first_order(scores, np.ones(3)),
    lambda scores: first_order_error(scores, np.ones(3)),
    lambda scores: slope(scores, np.ones((3, 2)), np.ones((3, 2))),
    lambda scores: slope_error(scores, np.ones((3, 2)), np.ones((3, 2))),
]  # fmt: skip

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9)
ANY_SCORES = st.one_of(
    hnp.arrays(np.float16, SHAPES, elements={"allow_nan": False, "allow_infinity": False}),
    hnp.arrays(np.float32, SHAPES, elements={"allow_nan": False, "allow_infinity": False}),
    hnp.arrays(np.float64, SHAPES, elements=st.floats(-1e6, 1e6)),
    hnp.arrays(np.int64, SHAPES, elements=st.integers(-3, 3)),
)
STEADY_SCORES = hnp.arrays(np.float64, SHAPES, elements=st.integers(-50, 50).map(float))


@settings(max_examples=60, deadline=None)
@given(ANY_SCORES)
def test_nothing_is_ever_nan_and_totals_are_never_negative(scores):
    rows, groups = scores.shape[0], scores.shape[1] - 1
    rng = np.random.default_rng(0)
    b, masks = scores[::-1, 0], rng.random((2, rows, groups))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values, errors = total_order(scores), total_order_error(scores)
        told = [values, errors, glen_isaacs(scores), mean_dimension(scores), mean_dimension_error(scores), gram(scores)]
        told += [
            first_order(scores, b),
            first_order_error(scores, b),
            slope(scores, *masks),
            slope_error(scores, *masks),
        ]
        resampled = total_order_bootstrap(scores, 20)
        told += [resampled.values, resampled.error(), *interval(values, errors, rows)]
    assert not any(np.isnan(x).any() for x in told)
    assert values.shape == errors.shape == (groups,)
    assert values.min() >= 0
    assert errors.min() >= 0
    assert resampled.values.min() >= 0
    assert (gram(scores) == gram(scores).T).all()


@settings(max_examples=60, deadline=None)
@given(STEADY_SCORES, st.randoms(use_true_random=False))
def test_groups_may_be_permuted(scores, random):
    order = list(range(scores.shape[1] - 1))
    random.shuffle(order)
    moved, b = scores[:, [0, *(k + 1 for k in order)]], scores[::-1, 0]
    for index in (total_order, total_order_error, glen_isaacs):
        assert index(moved) == pytest.approx(index(scores)[order], rel=1e-9, abs=1e-12)
    assert first_order(moved, b) == pytest.approx(first_order(scores, b)[order], rel=1e-9, abs=1e-12)
    assert gram(moved) == pytest.approx(gram(scores)[np.ix_(order, order)], rel=1e-9, abs=1e-12)
    assert mean_dimension(moved) == pytest.approx(mean_dimension(scores), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(STEADY_SCORES, st.floats(-60, 60), st.integers(-4, 4), st.booleans())
def test_scale_and_shift_change_nothing(scores, power, shift, flipped):
    """Powers of two apart, so that no rounding comes in; a shift of at most a few times the scores' own size."""
    scale = 2.0 ** int(power) * (-1 if flipped else 1)
    changed, b = scale * (scores + 50 * shift), scores[::-1, 0]
    for index in (total_order, total_order_error, glen_isaacs, gram):
        assert index(changed) == pytest.approx(index(scores), rel=1e-7, abs=1e-9)
    told = first_order(changed, scale * (b + 50 * shift))
    assert told == pytest.approx(first_order(scores, b), rel=1e-7, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(STEADY_SCORES, st.integers(0, 8))
def test_a_group_whose_pairs_agree_is_exactly_zero(scores, group):
    scores = scores.copy()
    column = 1 + group % (scores.shape[1] - 1)
    scores[:, column] = scores[:, 0]
    b = scores[::-1, -1]
    for index in (total_order(scores), total_order_error(scores), glen_isaacs(scores), first_order(scores, b)):
        assert index[column - 1] == 0
    assert not gram(scores)[column - 1].any()


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize(
    ("scores", "error", "words"),
    [
        (np.ones(5), ValueError, r"scores: wanted shape \(rows, groups \+ 1\).*got \(5,\)"),
        (np.ones((1, 5)), ValueError, r"at least 2 rows and 2 columns, got \(1, 5\)"),
        (np.ones((5, 1)), ValueError, r"at least 2 rows and 2 columns, got \(5, 1\)"),
        (np.ones((2, 3, 4)), ValueError, r"got \(2, 3, 4\)"),
        (
            np.array([[1, 2, 3], [4, np.nan, 5], [1, 2, 3]]),
            ValueError,
            r"scores: wanted finite.*nan at \(1, 1\), 1 such",
        ),
        (np.array([[1, 2, np.inf], [4, 4, 5], [1, 2, 3]]), ValueError, r"inf at \(0, 2\)"),
        (np.full((3, 3), 1e160), ValueError, "at most 1e.150 in size"),
        (np.array([["a", "b", "c"]] * 3), TypeError, "scores: wanted an array of real numbers, got dtype"),
        (np.ones((3, 3), dtype=complex), TypeError, "got dtype complex128"),
    ],
)
def test_bad_scores_are_refused_by_every_function(function, scores, error, words):
    with pytest.raises(error, match=words):
        function(scores)


def test_the_statistics_import_neither_torch_nor_scipy():
    names = ["sensitivity", "effects", "confidence", "pairs", "stopping", "scores", "sampling", "refine"]
    modules = ", ".join(f"whatwhere.engine.{name}" for name in names)
    code = f"import sys, {modules}; print({{'torch', 'scipy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
