"""Fidelity of logits: known answers, scikit-learn and PyTorch as second routes, one logit, bad input."""

import numpy as np
import pytest
import torch

from whatwhere.metrics.fidelity import fidelity
from whatwhere.metrics.intervals import wilson


def pair(seed=0, n=40, k=6, noise=0.5):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, k)) * 3
    return logits, logits + noise * generator.normal(size=(n, k))


def test_equal_logits():
    logits, _ = pair()
    same = fidelity(logits, logits)
    assert (same.agreement, same.r2, same.r2_all, same.difference, same.target_difference) == (1, 1, 1, 0, 0)
    assert same.divergence == 0
    assert (same.n, same.agreement_interval[1]) == (40, 1)


def test_the_mean_explains_nothing():
    logits, _ = pair()
    mean = np.broadcast_to(logits.mean(0), logits.shape)
    flat = fidelity(logits, mean, target=2)
    assert flat.r2 == pytest.approx(0, abs=1e-12)
    assert flat.r2_all == pytest.approx(0, abs=1e-12)
    assert fidelity(logits, mean + 1, target=2).r2 < 0


def test_agreement_and_its_interval():
    logits = np.eye(10)
    new = logits.copy()
    new[:3] = np.roll(new[:3], 1, axis=1)
    told = fidelity(logits, new)
    assert told.agreement == 0.7
    assert told.agreement_interval == wilson(7, 10)
    assert told.difference == pytest.approx(6 / 100)
    assert told.target_difference == pytest.approx(0.3)


@pytest.mark.parametrize("target", [None, 3, np.arange(40) % 6])
def test_against_torch_and_sklearn(target):
    metrics = pytest.importorskip("sklearn.metrics")
    logits, new = pair()
    told = fidelity(logits, new, target)
    columns = logits.argmax(1) if target is None else np.broadcast_to(target, 40)
    own, other = (x[np.arange(40), columns] for x in (logits, new))
    assert told.r2 == pytest.approx(metrics.r2_score(own, other))
    weighted = metrics.r2_score(logits, new, multioutput="variance_weighted")
    assert told.r2_all == pytest.approx(weighted)
    assert told.target_difference == pytest.approx(metrics.mean_absolute_error(own, other))
    assert told.agreement == metrics.accuracy_score(logits.argmax(1), new.argmax(1))
    mine, others = (torch.from_numpy(x).log_softmax(1) for x in (logits, new))
    kl = torch.nn.functional.kl_div(others, mine, log_target=True, reduction="batchmean")
    assert told.divergence == pytest.approx(float(kl))


def test_adding_a_number_to_all_logits_moves_no_probability():
    logits, new = pair()
    assert fidelity(logits, new + 100).divergence == pytest.approx(fidelity(logits, new).divergence)
    assert fidelity(logits, new + 100).agreement == fidelity(logits, new).agreement


def test_large_logits_stay_finite():
    told = fidelity([[1e4, -1e4], [0.0, 1e4]], [[-1e4, 1e4], [0.0, 1e4]])
    assert told.divergence == pytest.approx(1e4)


def test_one_logit_goes_by_its_sign():
    logits, new = np.array([[2.0], [-1.0], [0.5], [-3.0]]), np.array([[1.0], [-2.0], [-0.5], [-3.0]])
    told = fidelity(logits, new)
    assert told.agreement == 0.75
    p, q = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(-new))
    kl = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()
    assert told.divergence == pytest.approx(kl)
    assert told.r2 == told.r2_all


def test_logits_that_do_not_vary_have_no_r2():
    told = fidelity([[1.0, 0.1]] * 3, [[0.9, 0.2]] * 3)
    assert told.r2 is None
    assert told.r2_all is None


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"logits": [1.0]}, ValueError, r"\(n, K\)"),
        ({"logits": np.empty((0, 3))}, ValueError, "at least one row"),
        ({"reconstructed": np.zeros((2, 3))}, ValueError, "shape of logits"),
        ({"reconstructed": [[1, np.nan], [0, 0]]}, ValueError, "reconstructed.*finite"),
        ({"target": 2}, ValueError, "0 to 1, got 2 to 2"),
        ({"target": -1}, ValueError, "0 to 1"),
        ({"target": [0, 1, 1]}, ValueError, "each of 2 rows"),
        ({"target": 0.0}, TypeError, "integers"),
        ({"level": 0}, ValueError, "level"),
    ],
)
def test_bad_input(options, error, match):
    given = {"logits": np.eye(2), "reconstructed": np.eye(2), **options}
    with pytest.raises(error, match=match):
        fidelity(**given)
