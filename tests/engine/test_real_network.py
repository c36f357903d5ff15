"""The statistics on the logits of a real network under masks."""

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.engine.effects import slope, slope_error
from whatwhere.engine.pairs import gram
from whatwhere.engine.sampling import base_matrices
from whatwhere.engine.scores import SCORES, score, score_from, summarise
from whatwhere.engine.sensitivity import is_flat, mean_dimension, mean_dimension_error, total_order, total_order_error
from whatwhere.engine.stopping import RankStability, Width

ROWS, CELLS = 16, 9


@pytest.fixture(scope="module")
def record(model, photos):
    return ww.Sobol(grid=3, rows=ROWS).run(model, photos["coffee"])


@pytest.mark.parametrize("kind", SCORES)
def test_scores_of_a_real_network(kind, record):
    top = record.predicted
    told = score(record.logits, top, kind)
    own = record.logits[..., top].copy()
    assert np.array_equal(told, score_from(summarise(record.logits), own, top, kind))
    assert told.shape == (ROWS, CELLS + 1)
    assert not is_flat(told)
    values = total_order(told)
    assert values == pytest.approx(np.diag(gram(told)) / 2)
    assert np.isfinite(total_order_error(told)).all()
    assert mean_dimension(told) >= 1 - 3 * mean_dimension_error(told)
    assert Width(100.0).met(told)
    assert not Width(0.01).met(told)
    assert not RankStability(0.99).met(told)


def test_showing_the_photo_speaks_for_its_class(record):
    masks = base_matrices("nested", ROWS, CELLS, record.method.seed)
    told, error = (f(record.scores(), *masks) for f in (slope, slope_error))
    assert told.sum() > 2 * np.sqrt((error**2).sum())
