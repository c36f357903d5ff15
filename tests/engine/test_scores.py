"""Scores of stored logits, in full and from summaries."""

import numpy as np
import pytest
from scipy import special

from whatwhere.engine.scores import SCORES, score, score_from, summarise


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(scale=4, size=(6, 5, 12)).astype(np.float32)


def test_scores_are_scipys(logits):
    wide = logits.astype(np.float64)
    assert np.array_equal(score(logits, 3), wide[..., 3])
    assert score(logits, 3, "softmax") == pytest.approx(special.softmax(wide, axis=-1)[..., 3], rel=1e-12)
    assert score(logits, 3, "log_softmax") == pytest.approx(special.log_softmax(wide, axis=-1)[..., 3], rel=1e-12)


def test_the_margin_is_to_the_best_other_class(logits):
    for target in range(12):
        told = logits[..., target].astype(np.float64) - np.delete(logits, target, axis=-1).max(axis=-1)
        assert np.array_equal(score(logits, target, "margin"), told)


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_summary_and_the_class_are_as_good_as_all_logits(kind, dtype, logits):
    stored = logits.astype(dtype)
    summary = summarise(stored)
    dropped = {target: stored[..., target].copy() for target in (0, 5, 11)}
    for target, own in dropped.items():
        brute = {
            "logit": own.astype(np.float64),
            "softmax": special.softmax(stored.astype(np.float64), axis=-1)[..., target],
            "log_softmax": special.log_softmax(stored.astype(np.float64), axis=-1)[..., target],
            "margin": own.astype(np.float64) - np.delete(stored, target, axis=-1).max(axis=-1),
        }[kind]
        told = score_from(summary, own, target, kind)
        assert told == pytest.approx(brute, rel=1e-12)
        assert np.array_equal(told, score(stored, target, kind))
        assert told.dtype == np.float64
        assert told.shape == stored.shape[:-1]


def test_a_summary_holds_what_it_says(logits):
    summary = summarise(logits)
    ordered = np.sort(logits, axis=-1)
    assert np.array_equal(summary.largest, ordered[..., -1])
    assert np.array_equal(summary.second, ordered[..., -2])
    assert np.array_equal(summary.argmax, logits.argmax(axis=-1))
    assert summary.logsumexp == pytest.approx(special.logsumexp(logits.astype(np.float64), axis=-1), rel=1e-14)
    assert (summary.largest.dtype, summary.argmax.dtype) == (np.float32, np.int32)


def test_a_summary_in_pieces_is_the_same(logits, monkeypatch):
    whole = summarise(logits)
    monkeypatch.setattr("whatwhere.engine.scores._CHUNK", 30)
    pieces = summarise(logits)
    assert np.array_equal(whole.rest, pieces.rest)
    assert np.array_equal(whole.argmax, pieces.argmax)


def test_a_network_that_is_sure_keeps_its_log_probability():
    """One minus 1e-30 is 1: only the odds against it still tell."""
    logits = np.array([[70.0, 0.0, 0.0], [80.0, 0.0, 0.0]])
    told = score(logits, 0, "log_softmax")
    assert told == pytest.approx(-2 * np.exp([-70.0, -80.0]), rel=1e-12)
    assert score(logits, 0, "softmax").tolist() == [1, 1]
    assert score(logits, 1, "softmax") == pytest.approx(np.exp([-70.0, -80.0]), rel=1e-12)


def test_huge_logits_neither_overflow_nor_become_nan():
    logits = np.array([[3e38, -3e38, 0.0]], dtype=np.float32)
    for kind in SCORES:
        for target in range(3):
            assert np.isfinite(score(logits, target, kind)).all()


def test_ties():
    logits = np.array([[2.0, 2.0, -1.0]])
    assert [score(logits, k, "margin")[0] for k in range(3)] == [0, 0, -3]
    assert score(logits, 0, "softmax") == pytest.approx(score(logits, 1, "softmax"), rel=1e-15)


@pytest.mark.parametrize("value", [-900.0, -3.0, 0.0, 2.5, 40.0])
def test_a_head_of_one_logit_is_a_sigmoid(value):
    logits = np.array([[value]])
    assert score(logits, 0, "logit") == score(logits, 0, "margin") == value
    assert score(logits, 0, "softmax") == pytest.approx(special.expit(value), rel=1e-12)
    assert score(logits, 0, "log_softmax") == pytest.approx(special.log_expit(value), rel=1e-12)


def test_a_callable_sees_all_logits_flat(logits):
    def best_three(z):
        assert z.shape == (30, 12)
        assert z.dtype == np.float64
        return np.sort(z, axis=1)[:, -3:].mean(axis=1)

    told = score(logits, 0, best_three)
    assert told.shape == (6, 5)
    assert told[2, 3] == pytest.approx(np.sort(logits[2, 3].astype(np.float64))[-3:].mean())


def test_a_single_image(logits):
    assert score(logits[0, 0], 2, "margin").shape == ()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((np.ones((2, 3)), 3), ValueError, "target: wanted an integer from 0 to 2, got 3"),
        ((np.ones((2, 3)), "cat"), TypeError, "target: wanted an integer, got str 'cat'"),
        ((np.ones((2, 3)), 0, "probability"), ValueError, "kind: wanted one of .* got 'probability'"),
        ((np.ones((2, 0)), 0), ValueError, "logits: wanted shape"),
        ((np.float64(1), 0), ValueError, "logits: wanted shape"),
        ((np.full((2, 3), np.nan), 0), ValueError, "logits: wanted finite numbers"),
        ((np.full((2, 3), np.inf), 0, "softmax"), ValueError, "logits: wanted finite numbers"),
        ((np.array([["a", "b"]]), 0), TypeError, "logits: wanted an array of real numbers"),
        ((np.ones((2, 3)), 0, lambda z: z), ValueError, r"scores of <lambda>: wanted shape \(images,\) = \(2,\)"),
        ((np.ones((2, 3)), 0, lambda z: z[:, 0] * np.nan), ValueError, "scores of <lambda>: wanted finite"),
    ],
)
def test_bad_input_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        score(*arguments)


def test_a_summary_refuses_what_it_cannot_give(logits):
    summary = summarise(logits)
    with pytest.raises(TypeError, match="kind: a callable needs the logits of all classes"):
        score_from(summary, logits[..., 0], 0, np.mean)
    with pytest.raises(ValueError, match=r"class_logits: wanted shape that of the summary = \(6, 5\), got \(5,\)"):
        score_from(summary, logits[0, :, 0], 0)
    with pytest.raises(ValueError, match="kind: wanted one of"):
        score_from(summary, logits[..., 0], 0, "logits")
    with pytest.raises(ValueError, match="target: wanted"):
        score_from(summary, logits[..., 0], -1)
