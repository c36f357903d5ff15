"""Closest classes: known directions, the sum over concepts, ties and dead atoms, bad input."""

import numpy as np
import pytest

from whatwhere.metrics.alignment import closest_classes, head_alignment, logit_effect

BANK = np.array([[1.0, 0, 0], [0, 3, 4], [0, 0, 0]])
THETA = np.array([[2.0, 0, 0], [-1, 0, 0], [0, 0, 5], [0, 0, 0]])


def test_known_cosines():
    wanted = [[1, -1, 0, 0], [0, 0, 0.8, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(head_alignment(BANK, THETA), wanted, atol=1e-15)


def test_cosines_know_no_scale():
    generator = np.random.default_rng(0)
    bank, theta = generator.normal(size=(5, 12)), generator.normal(size=(9, 12))
    found = head_alignment(bank, theta)
    np.testing.assert_allclose(head_alignment(bank * 1e-140, theta * 1e140), found, rtol=1e-12)
    assert head_alignment(bank, bank).diagonal() == pytest.approx(1)
    assert np.abs(head_alignment(bank, bank)).max() <= 1


def test_effects_add_up_to_the_mean_logit():
    generator = np.random.default_rng(0)
    bank, theta, codes = generator.random((5, 12)), generator.normal(size=(9, 12)), generator.random((30, 5))
    effect = logit_effect(bank, theta, codes)
    assert effect.shape == (5, 9)
    np.testing.assert_allclose(effect.sum(0), (codes @ bank @ theta.T).mean(0), rtol=1e-10)
    without = codes * (np.arange(5) != 2)
    np.testing.assert_allclose(effect[2], ((codes - without) @ bank @ theta.T).mean(0), atol=1e-12)


def test_closest_classes_come_in_order():
    close = closest_classes(head_alignment(BANK, THETA), 2)
    assert [[c.id for c in classes] for classes in close] == [[0, 2], [2, 0], []]
    assert close[0][0].value == 1
    assert len(closest_classes([[1.0, 2.0]], 5)[0]) == 2


@pytest.mark.parametrize(
    ("function", "args", "match"),
    [
        (head_alignment, (BANK, THETA[:, :2]), "theta: wanted 3 columns"),
        (head_alignment, (BANK[0], THETA), "bank: wanted a matrix"),
        (head_alignment, (BANK * np.nan, THETA), "bank.*finite"),
        (logit_effect, (BANK, THETA, np.ones((4, 2))), "codes.*r = 3"),
        (logit_effect, (BANK, THETA, np.ones((0, 3))), "codes"),
        (closest_classes, (THETA, 0), "count"),
        (closest_classes, (np.ones(3),), "values: wanted a matrix"),
    ],
)
def test_bad_input(function, args, match):
    with pytest.raises(ValueError, match=match):
        function(*args)
