"""Importance over images: known indices, errors that cover, rounds that go on, orders that settle."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from whatwhere.engine.gates import attribute
from whatwhere.engine.importance import Importance, order_settled, pool
from whatwhere.engine.sensitivity import total_order, total_order_error
from whatwhere.engine.total_indices import image_seed, total_indices

RANK = 6


def affine(phi):
    slopes = torch.as_tensor(phi, dtype=torch.float64)
    return lambda gates: gates.double() @ slopes


def some_images(count, seed=0):
    """Additive scores, their contributions drawn at random about a common profile."""
    rng = np.random.default_rng(seed)
    profile = np.array([4, 2.5, 1.5, 0.8, 0.3, 0.0])
    return profile * np.exp(0.15 * rng.normal(size=(count, RANK)))


def shares(phi):
    return phi**2 / (phi**2).sum(axis=-1, keepdims=True)


def last(responses, rank=RANK, **options):
    *_, state = total_indices(responses, rank, **options)
    return state


def test_the_mean_over_images_is_the_known_one():
    phi = some_images(12)
    state = last([affine(own) for own in phi], rows=64, until=None)
    assert (np.abs(state.values - shares(phi).mean(axis=0)) <= 3 * state.design_error + 1e-12).all()
    assert state.values.sum() == pytest.approx(1, abs=0.05)
    assert state.values[-1] == 0
    assert state.order.tolist() == list(range(RANK))
    assert (state.design_error <= state.error + 0.02).all()
    assert (state.rows, state.n_evaluations, state.complete, state.settled) == (64, 12 * 64 * 7, True, False)


def test_each_image_has_its_own_scramble_and_needs_no_other():
    phi = some_images(3)
    state = last([affine(own) for own in phi], rows=16, seed=4, until=None)
    for i, own in enumerate(phi):
        alone = attribute(affine(own), RANK, "sobol", samples=16, seed=image_seed(4, i))
        assert state.per_image[i] == pytest.approx(alone.values, rel=1e-12)
    assert state.values == pytest.approx(state.per_image.mean(axis=0), rel=1e-12)
    same = last([affine(phi[0])] * 2, rows=16, until=None)
    assert same.per_image[0].tolist() != same.per_image[1].tolist()
    assert len({image_seed(seed, i) for seed in range(20) for i in range(20)}) == 400


def test_a_shorter_run_is_the_first_part_of_a_longer_one():
    responses = [affine(own) for own in some_images(5)]
    longer = list(total_indices(responses, RANK, rows=32, until=None))
    shorter = list(total_indices(responses, RANK, rows=16, until=None))
    assert len(longer) == 15
    for one, other in zip(longer, shorter, strict=False):
        assert one.values.tolist() == other.values.tolist()
    straight = last(responses, rows=32, first=32, until=None)
    assert straight.values.tolist() == longer[-1].values.tolist()
    assert [state.complete for state in longer] == [False] * 14 + [True]
    small = last(responses, rows=32, until=None, batch=3)
    assert small.values == pytest.approx(straight.values, rel=1e-9)
    odd = [state.rows for state in total_indices(responses, RANK, rows=20, until=None)]
    assert odd == [8] * 5 + [8] * 4 + [16] + [16] * 4 + [20]


def test_progress_is_one_object_until_a_round_is_over():
    responses = [affine(own) for own in some_images(5)]
    states = list(total_indices(responses, RANK, rows=16, until=None))
    assert [len(state.flat) for state in states] == [1, 2, 2, 4, 5, 5, 5, 5, 5, 5]
    assert states[2] is states[1]
    assert all(state is states[4] for state in states[5:9])
    assert all(np.isfinite(state.error).all() for state in states)
    assert [state.n_evaluations for state in states[4:]] == [5 * 8 * 7] * 5 + [5 * 16 * 7]


def test_only_what_is_new_is_asked_and_images_are_asked_for_in_order():
    asked = []

    class Images:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            asked.append(i)
            return lambda gates: asked.append(len(gates)) or gates.sum(1)

    last(Images(), 2, rows=16, until=None)
    assert asked == [0, 24, 1, 24, 2, 24] * 2


def test_nothing_is_held_across_yields():
    weight = torch.ones(2, requires_grad=True)
    modes = []
    for _ in total_indices([lambda gates: gates @ weight] * 2, 2, rows=8):
        modes.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
        (weight.sum() ** 2).backward()
        weight.grad = None
    assert modes == [(True, False)] * 2


def test_errors_of_one_image_are_those_of_its_design(models, design):
    known = models["ishigami"]
    scores = design(known.function, known.cells, 64)
    state = pool([scores])
    assert state.values == pytest.approx(total_order(scores))
    assert state.error == pytest.approx(total_order_error(scores), rel=1e-10)
    assert state.design_error == pytest.approx(state.error)
    assert state.degrees == 63
    both = pool([scores, scores])
    assert both.design_error == pytest.approx(state.error / np.sqrt(2), rel=1e-10)
    assert both.error == pytest.approx(0, abs=1e-12)


def test_errors_are_those_of_the_mean_over_images(design, models):
    scores = [design(models["g-function"].function, 8, 16, seed) for seed in range(7)]
    state = pool(scores)
    maps = np.array([total_order(own) for own in scores])
    assert state.error == pytest.approx(maps.std(axis=0, ddof=1) / np.sqrt(7), rel=1e-10)
    assert state.covariance == pytest.approx(np.cov(maps.T) / 7, rel=1e-9, abs=1e-15)
    assert state.degrees == 6


def test_weights_by_variance_are_a_ratio_of_sums(design, models):
    scores = [scale * design(models["g-function"].function, 8, 16, seed) for seed, scale in enumerate([1, 3, 0.5, 2])]
    state = pool(scores, "variance")
    numerators = np.array([((own[:, :1] - own[:, 1:]) ** 2).mean(axis=0) / 2 for own in scores])
    assert state.values == pytest.approx(numerators.sum(axis=0) / state.variances.sum(), rel=1e-10)
    # the jackknife over images is another route to the error; few images make the two differ
    without = np.array(
        [np.delete(numerators, i, 0).sum(axis=0) / np.delete(state.variances, i).sum() for i in range(4)]
    )
    jackknife = np.sqrt(3 * without.var(axis=0))
    assert state.error[:2] == pytest.approx(jackknife[:2], rel=1)
    alike = pool([own / np.std(own, ddof=1) for own in scores], "variance")
    assert alike.values == pytest.approx(pool(scores).values, rel=1e-9)
    assert alike.error == pytest.approx(pool(scores).error, rel=1e-9)


def test_an_image_that_hardly_moves_hardly_counts_by_variance():
    phi = np.array([[3.0, 1, 0], [0.001, 0.003, 0.0]])
    equal, variance = (
        last([affine(own) for own in phi], 3, weighting=kind, until=None) for kind in ("equal", "variance")
    )
    assert equal.values[:2] == pytest.approx([0.5, 0.5], abs=0.05)
    assert variance.values[:2] == pytest.approx([0.9, 0.1], abs=0.05)


@pytest.mark.parametrize("weighting", ["equal", "variance"])
def test_intervals_cover_the_mean_of_all_images(weighting):
    """Images drawn from a law; the truth is the mean over 20,000 of them."""
    phi = some_images(20_000, seed=99)
    own = shares(phi)
    weights = np.ones(len(phi)) if weighting == "equal" else (phi**2).sum(axis=1)
    truth = (weights[:, None] * own).sum(axis=0)[:5] / weights.sum()
    hits = []
    for seed in range(50):
        state = last(
            [affine(p) for p in some_images(16, seed)], rows=32, first=32, seed=seed, weighting=weighting, until=None
        )
        hits.append(np.abs(state.values[:5] - truth) <= 2.13 * state.error[:5])
    assert np.mean(hits) >= 0.9
    assert np.mean(hits) <= 0.99


def test_intervals_of_the_design_cover_the_mean_of_these_images():
    def bent(phi):
        slopes = torch.as_tensor(phi)
        return lambda gates: (gates.double() @ slopes) ** 2 / 10 + gates[:, 0] * gates[:, 3]

    responses = [bent(own) for own in some_images(6)]
    truth = last(responses, rows=2048, first=2048, seed=1000, until=None).values
    hits = [
        np.abs(state.values - truth)[:5] <= 1.97 * state.design_error[:5]
        for state in (last(responses, rows=64, first=64, seed=seed, until=None) for seed in range(60))
    ]
    assert np.mean(hits) >= 0.9


def test_flat_images_are_skipped_and_counted():
    phi = np.array([[3.0, 1, 0], [0, 0, 0], [2, 1, 0]])
    state = last([affine(own) for own in phi], 3, until=None)
    assert state.flat.tolist() == [False, True, False]
    assert (state.n_flat, state.degrees) == (1, 1)
    assert state.values == pytest.approx(state.per_image[[0, 2]].mean(axis=0))
    assert state.per_image[1].tolist() == [0, 0, 0]
    for weighting in ("equal", "variance"):
        nothing = last([affine([0.0, 0])] * 2, 2, weighting=weighting)
        assert nothing.n_flat == 2
        assert nothing.values.tolist() == nothing.error.tolist() == nothing.design_error.tolist() == [0, 0]
        assert (nothing.settled, nothing.rows) == (True, 16)


def test_a_clear_order_stops_early_and_a_blurred_one_does_not():
    clear = last([affine(own) for own in some_images(40)], rows=256)
    assert clear.settled
    assert clear.complete
    assert clear.rows < 256
    assert clear.order.tolist() == list(range(RANK))

    def tangle(phase):
        return lambda gates: torch.sin(9 * gates.double() @ torch.arange(1.0, RANK + 1).double() + phase)

    blurred = last([tangle(float(i)) for i in range(3)], rows=64)
    assert not blurred.settled
    assert (blurred.rows, blurred.complete) == (64, True)


def test_equal_concepts_settle_as_ties():
    state = last([affine([2.0, 2.0, 0, 0])] * 30, 4, rows=4096, until=lambda a, b: order_settled(a, b, tie=0.3))
    assert state.settled
    assert state.rows < 4096


def importance(values, error, design=None, count=30):
    rank = len(values)
    own = np.eye(rank) * error**2
    return Importance(
        values=np.array(values, dtype=float),
        covariance=own,
        design_covariance=own if design is None else np.eye(rank) * design**2,
        per_image=np.tile(values, (count, 1)).astype(float),
        variances=np.ones(count),
        flat=np.zeros(count, dtype=bool),
        rows=16,
        n_evaluations=0,
    )


def test_the_rule_in_each_of_its_cases():
    sure = importance([0.5, 0.3, 0.2, 0.1], 0.01)
    assert order_settled(sure, sure)
    assert not order_settled(sure, None)
    passed = importance([0.3, 0.5, 0.2, 0.1], 0.01)
    assert not order_settled(sure, passed)
    late = importance([0.5, 0.3, 0.1, 0.2], 0.01)
    assert order_settled(sure, late, top=2)
    assert not order_settled(sure, late, top=3)
    entered = importance([0.5, 0.1, 0.2, 0.3], 0.01)
    assert not order_settled(sure, entered, top=2)
    unsure = importance([0.5, 0.48, 0.2, 0.1], 0.03)
    assert not order_settled(unsure, unsure)
    assert order_settled(unsure, unsure, top=2) is False
    tied = importance([0.5, 0.499, 0.2, 0.1], 0.002)
    assert order_settled(tied, replace(tied, values=tied.values[[1, 0, 2, 3]]))
    assert not order_settled(tied, tied, tie=0.005)
    out_of_reach = importance([0.5, 0.48, 0.2, 0.1], 0.03, design=0.005)
    assert order_settled(out_of_reach, out_of_reach)
    assert not order_settled(out_of_reach, replace(out_of_reach, values=np.array([0.1, 0.48, 0.2, 0.5])), top=1)
    assert not order_settled(importance([0.5, 0.3, 0.2, 0.1], 0.01, count=2), sure)  # two images tell no error
    one = importance([0.7], 0.1)
    assert order_settled(one, one)


def test_orders_settled_are_right():
    """Of runs that stop by the rule, the first three are the true ones in nearly all."""
    phi = np.array([3.0, 2.6, 2.2, 1.0, 0.9, 0.5])
    wrong = stopped = 0
    for seed in range(30):
        state = last([affine(phi)] * 8, rows=128, seed=seed, until=lambda a, b: order_settled(a, b, top=3))
        stopped += state.settled
        wrong += state.settled and state.order[:3].tolist() != [0, 1, 2]
    assert stopped >= 15
    assert wrong <= 2


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"responses": []}, ValueError, "responses: wanted at least one image"),
        (
            {"responses": iter([affine([1.0])])},
            TypeError,
            "responses: wanted a sequence of functions, got list_iterator",
        ),
        ({"rank": 0}, ValueError, "rank: wanted an integer of at least 1"),
        ({"rows": 1}, ValueError, "rows: wanted an integer of at least 2"),
        ({"first": 65}, ValueError, "first: wanted an integer from 2 to 64, got 65"),
        ({"seed": -1}, ValueError, "seed: wanted"),
        ({"batch": 0}, ValueError, "batch: wanted"),
        ({"weighting": "rank"}, ValueError, r"weighting: wanted one of \('equal', 'variance'\)"),
        ({"until": 3}, TypeError, "until: wanted a function"),
        ({"dtype": torch.int32}, TypeError, "dtype: wanted"),
    ],
)
def test_bad_input_is_told_before_the_first_round(options, kind, message):
    with pytest.raises(kind, match=message):
        total_indices(options.pop("responses", [affine([1.0, 2])]), options.pop("rank", 2), **options)


def test_a_bad_image_is_named():
    run = total_indices([affine([1.0, 2]), lambda gates: gates.sum(1) * torch.nan], 2)
    next(run)
    with pytest.raises(ValueError, match=r"responses\[1\]: wanted finite scores, got nan"):
        next(run)
    with pytest.raises(ValueError, match=r"scores: wanted one shape \(rows, r \+ 1\)"):
        pool([np.ones((4, 3)), np.ones((5, 3))])
    with pytest.raises(ValueError, match=r"scores: wanted one shape .*got \[\]"):
        pool([])
    with pytest.raises(ValueError, match="weighting"):
        pool([np.ones((4, 3))], "none")
    state = importance([0.5, 0.3], 0.1)
    for options, message in (({"top": 0}, "top"), ({"tie": 0}, "tie"), ({"level": 1}, "level")):
        for before in (None, state):
            with pytest.raises(ValueError, match=f"{message}: wanted"):
                order_settled(state, before, **options)


def test_values_come_ever_nearer():
    phi = some_images(30)
    truth = shares(phi).mean(axis=0)
    states = [s for s in total_indices([affine(p) for p in phi], RANK, rows=256, until=None) if len(s.flat) == 30]
    errors = [np.abs(s.values / s.values.sum() - truth).sum() for s in states]
    rounds = [next(g) for _, g in itertools.groupby(errors)]
    assert rounds[-1] < rounds[0] / 3


def test_no_more_than_a_batch_of_gates_is_asked_for_between_two_looks():
    """Whoever watches can stop it, however slow the network is; the first image has nothing to show yet."""
    asked = [0]

    def response(gates):
        asked[0] += len(gates)
        return gates @ torch.tensor([3.0, 2.0, 1.0])

    most, before = 0, None
    for _ in total_indices([response] * 3, 3, rows=32, until=None, batch=8):
        if before is not None:
            most = max(most, asked[0] - before)
        before = asked[0]
    assert asked[0] == 3 * 32 * 4
    assert most <= 8
