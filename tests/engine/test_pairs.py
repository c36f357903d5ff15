"""Superset importance of pairs."""

import numpy as np
import pytest

from whatwhere.engine.pairs import gram, superset, superset_error
from whatwhere.engine.sensitivity import pooled_variance, row_spread, total_order


def parts(drawn, both, cell, partners):
    columns = drawn.scores[:, [1 + j for j in partners]]
    return drawn.scores[:, 0], drawn.scores[:, 1 + cell], columns, both, pooled_variance(drawn.scores)


def test_pairs_are_those_known(known, sample, design_of_pairs):
    drawn, partners = sample(known.function, known.cells, 4096), range(1, known.cells)
    both = design_of_pairs(known.function, drawn, 0, partners)
    truth = [known.pairs[0, j] for j in partners]
    assert superset(*parts(drawn, both, 0, partners)) == pytest.approx(truth, abs=0.01)
    assert gram(drawn.scores)[0, 1:] == pytest.approx(truth, abs=0.03)


def test_the_gram_matrix_is_a_loop(known, sample):
    scores = sample(known.function, known.cells, 64).scores
    told = gram(scores)
    for i in range(known.cells):
        for j in range(known.cells):
            product = np.mean((scores[:, 0] - scores[:, 1 + i]) * (scores[:, 0] - scores[:, 1 + j]))
            assert told[i, j] == pytest.approx(product / pooled_variance(scores), rel=1e-9, abs=1e-12)
    assert np.diag(told) == pytest.approx(2 * total_order(scores), rel=1e-12)


def test_superset_is_a_loop(sample, models, design_of_pairs):
    known = models["g-function"]
    drawn = sample(known.function, 8, 16)
    both = design_of_pairs(known.function, drawn, 2, [0, 5])
    a, c_i, c_j, c_ij, variance = parts(drawn, both, 2, [0, 5])
    told = [np.mean([(a[k] - c_i[k] - c_j[k, m] + c_ij[k, m]) ** 2 for k in range(16)]) / 4 / variance for m in (0, 1)]
    assert superset(a, c_i, c_j, c_ij, variance) == pytest.approx(told, rel=1e-9)


def test_pairs_of_an_additive_score_are_nothing(sample, models, design_of_pairs):
    known = models["additive"]
    drawn = sample(known.function, 5, 32)
    both = design_of_pairs(known.function, drawn, 0, range(1, 5))
    assert superset(*parts(drawn, both, 0, range(1, 5))).max() < 1e-28


@pytest.mark.parametrize(
    ("function", "share"),
    [
        (lambda u: u[:, 0] * u[:, 1], 1 / 7),
        (lambda u: (u[:, 0] > 0.5) * (u[:, 1] > 0.5) * 1.0, 1 / 3),
        (lambda u: np.prod(np.sign(u - 0.5), axis=1), 1.0),
    ],
)
def test_products_of_cells(function, share, sample, design_of_pairs):
    """Two uniform cells, two coins, and the parity of three, which is one interaction that holds every pair."""
    drawn = sample(function, 3, 4096)
    both = design_of_pairs(function, drawn, 0, [1])
    assert superset(*parts(drawn, both, 0, [1])) == pytest.approx([share], abs=0.03)


def test_a_pair_with_an_irrelevant_cell_is_exactly_zero(sample, design_of_pairs):
    drawn = sample(lambda u: np.sin(7 * u[:, 0]) * u[:, 1] + 100, 3, 64)
    both = design_of_pairs(lambda u: np.sin(7 * u[:, 0]) * u[:, 1] + 100, drawn, 0, [1, 2])
    told = superset(*parts(drawn, both, 0, [1, 2]))
    assert told[0] > 0
    assert told[1] == 0


def test_far_less_noise_than_screening(sample, models, design_of_pairs):
    known = models["g-function"]
    screened, measured = [], []
    for seed in range(30):
        drawn = sample(known.function, 8, 32, seed)
        screened.append(gram(drawn.scores)[0, 1])
        measured.append(superset(*parts(drawn, design_of_pairs(known.function, drawn, 0, [1]), 0, [1]))[0])
    assert np.std(measured) < np.std(screened) / 3


def test_the_error_is_that_of_leaving_rows_out(sample, models, design_of_pairs):
    """The delta method and the jackknife agree for many rows."""
    known = models["g-function"]
    drawn = sample(known.function, 8, 512)
    both = design_of_pairs(known.function, drawn, 0, [1])
    left_out = []
    for k in range(512):
        rest = drawn._replace(scores=np.delete(drawn.scores, k, axis=0))
        left_out.append(superset(*parts(rest, np.delete(both, k, axis=0), 0, [1]))[0])
    told = superset_error(*parts(drawn, both, 0, [1]), spread=row_spread(drawn.scores))
    assert told == pytest.approx([np.sqrt(511) * np.std(left_out)], rel=0.05)
    assert superset_error(*parts(drawn, both, 0, [1])) != pytest.approx(told)


def test_a_flat_score_has_no_pairs():
    assert not gram(np.full((8, 4), 0.1)).any()
    flat = np.full(8, 12.5)
    told = superset(flat, flat, flat[:, np.newaxis], flat[:, np.newaxis] + 1e-6, 1e-13)
    assert told.tolist() == [0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"c_ij": np.ones(4)}, r"c_ij: wanted shape \(rows, partners\)"),
        ({"c_j": np.ones((4, 3))}, r"c_j: wanted shape \(rows, partners\) = \(4, 2\), got \(4, 3\)"),
        ({"a": np.ones(5)}, r"a: wanted shape \(rows,\) = \(4,\), got \(5,\)"),
        ({"c_i": np.full(4, np.nan)}, "c_i: wanted finite numbers"),
        ({"variance": -1.0}, "variance: wanted at least 0, got -1"),
    ],
)
def test_bad_input_is_refused(change, words):
    good = {"a": np.ones(4), "c_i": np.ones(4), "c_j": np.ones((4, 2)), "c_ij": np.ones((4, 2)), "variance": 1.0}
    for index in (superset, superset_error):
        with pytest.raises(ValueError, match=words):
            index(**{**good, **change})


def test_an_error_wants_two_rows():
    with pytest.raises(ValueError, match="at least two rows"):
        superset_error(np.ones(1), np.ones(1), np.ones((1, 1)), np.ones((1, 1)), 1.0)
