"""Effects of cells shown at random: the plain definitions, an additive and a hidden interaction, bad input."""

import numpy as np
import pytest

from whatwhere.engine.dependence import binary_hsic, coin_masks, shown_effect


def plain_hsic(mask, score):
    """Four nested means over different masks: the unbiased estimator as it is defined."""
    n = len(mask)
    same = (mask[:, None] == mask).astype(float)
    distances = np.abs(score[:, None] - score)
    close = np.exp(-((distances / np.median(distances[distances > 0])) ** 2) / 2)
    pairs = triples = quads = 0
    counts = np.zeros(3)
    for i in range(n):
        for j in set(range(n)) - {i}:
            pairs += same[i, j] * close[i, j]
            counts[0] += 1
            for q in set(range(n)) - {i, j}:
                triples += same[i, j] * close[i, q]
                counts[1] += 1
                for r in set(range(n)) - {i, j, q}:
                    quads += same[i, j] * close[q, r]
                    counts[2] += 1
    return pairs / counts[0] + quads / counts[2] - 2 * triples / counts[1]


def test_masks_are_balanced_prefixes():
    masks = coin_masks(64, 9, seed=3)
    assert set(np.unique(masks)) == {0, 1}
    assert (masks[:16].mean(0) == 0.5).all()
    assert np.array_equal(coin_masks(16, 9, seed=3), masks[:16])
    assert not np.array_equal(coin_masks(16, 9, seed=4), masks[:16])


def test_additive_scores_have_their_weights_as_effects():
    masks = coin_masks(1024, 6)
    weights = np.array([[1.0, -2, 0, 0, 3, 0], [0, 0, 5, 0, 0, 0]])
    got = shown_effect(masks, masks @ weights.T + 7)
    assert got == pytest.approx(weights, abs=0.35)
    whole = np.stack(np.meshgrid(*[[0, 1]] * 6), axis=-1).reshape(-1, 6)
    assert shown_effect(whole, whole @ weights.T + 7) == pytest.approx(weights, abs=1e-12)


def test_effects_are_rise_without_its_offset():
    rng = np.random.default_rng(0)
    masks, scores = (rng.random((200, 5)) < 0.5).astype(float), rng.random((200, 3))
    got = shown_effect(masks, scores)
    for k in range(3):
        for i in range(5):
            on = masks[:, i] == 1
            assert got[k, i] == pytest.approx(scores[on, k].mean() - scores[~on, k].mean())


def test_adjusted_effects_are_exact_where_cells_act_alone():
    masks = coin_masks(64, 16, seed=1)
    weights = np.zeros((2, 16))
    weights[0, [3, 4]], weights[1, 9] = 5, -2
    assert shown_effect(masks, masks @ weights.T + 1, adjusted=True) == pytest.approx(weights, abs=1e-10)
    masks[:, 7] = 1
    assert shown_effect(masks, masks @ weights.T + 1, adjusted=True)[:, 7] == pytest.approx([0, 0], abs=1e-10)
    scores = masks @ weights.T + 4 * (masks[:, :1] - 0.5) * (masks[:, 1:2] - 0.5)  # an interaction without main effects
    plain = [shown_effect(coin_masks(2048, 16), coin_masks(2048, 16) @ weights.T, adjusted=a) for a in (False, True)]
    assert plain[0] == pytest.approx(plain[1], abs=0.6)
    assert shown_effect(masks, scores, adjusted=True)[0, [3, 4]] == pytest.approx([5, 5], abs=1)


def test_hsic_is_its_definition():
    rng = np.random.default_rng(1)
    masks = (rng.random((9, 3)) < 0.5).astype(float)
    scores = rng.random((9, 2))
    got = binary_hsic(masks, scores)
    wanted = [[plain_hsic(masks[:, i], scores[:, k]) for i in range(3)] for k in range(2)]
    assert got == pytest.approx(np.array(wanted), abs=1e-12)


def test_hsic_sees_what_means_do_not():
    """A cell that changes the spread of a score, and not its mean."""
    masks = coin_masks(512, 4)
    scores = ((2 * masks[:, 0] - 1) * masks[:, 1])[:, None]
    assert abs(shown_effect(masks, scores)[0, 1]) < 0.1
    hsic = binary_hsic(masks, scores)[0]
    assert hsic[1] > 0.02
    assert np.abs(hsic[2:]).max() < 0.002


def test_scores_that_stand_still_give_zeros():
    masks = coin_masks(32, 4)
    scores = np.stack([np.full(32, 3.0), 3 + 1e-9 * np.arange(32)], axis=1)
    assert not shown_effect(masks, scores).any()
    assert not binary_hsic(masks, scores).any()
    ones = np.ones((32, 1))
    assert not shown_effect(ones, np.arange(32.0)[:, None]).any()


@pytest.mark.parametrize(
    ("masks", "scores", "error", "match"),
    [
        (np.ones((8, 2)), np.ones((7, 1)), ValueError, "wanted shapes"),
        (np.ones((8, 2)) / 2, np.ones((8, 1)), ValueError, "masks: wanted zeros and ones, got numbers from 0.5"),
        (np.ones((8, 2)), np.full((8, 1), np.nan), ValueError, "scores: wanted finite numbers"),
        (np.ones((3, 2)), np.ones((3, 1)), ValueError, "number of masks: wanted an integer of at least 4, got 3"),
        (np.array([["a"]]), np.ones((1, 1)), TypeError, "masks: wanted an array of real numbers"),
    ],
)
def test_bad_input(masks, scores, error, match):
    with pytest.raises(error, match=match):
        binary_hsic(masks, scores)
