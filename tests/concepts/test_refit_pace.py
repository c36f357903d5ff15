"""How far a refit is said to be."""

from __future__ import annotations

import itertools

import pytest
import torch

from whatwhere.concepts._refit_pace import STAGES, Forecast, Mark, Paces
from whatwhere.concepts.refit import Refits
from whatwhere.engine.factors import Factors

BOUNDS = {"", "about", "at most"}


def factors(iteration, error):
    return Factors(iteration, error, torch.zeros(1, 1), torch.zeros(1, 1))


def falling(count, shrink=0.5, first=0.1):
    """Errors whose relative gains shrink by the same share each time."""
    errors = [1.0]
    for k in range(count):
        errors.append(errors[-1] * (1 - first * shrink**k))
    return errors


def test_gains_that_shrink_geometrically_tell_the_end():
    """0.1 * 0.5^k falls to 1e-4 with k = 9.97: the eleventh gain, of iteration 11, is the first that is as small."""
    forecast = Forecast(1e-4, 200)
    marks = [forecast.mark(factors(k, error)) for k, error in enumerate(falling(11))]
    assert [mark.bound for mark in marks[:4]] == ["at most"] * 4
    assert [mark.total for mark in marks[:4]] == [200] * 4
    assert {mark.bound for mark in marks[4:]} == {"about"}
    assert {mark.total for mark in marks[4:]} == {11}
    assert [mark.done for mark in marks] == list(range(12))


def test_the_bound_holds_and_what_does_not_shrink_says_nothing():
    slow = Forecast(1e-4, 30)
    totals = [slow.mark(factors(k, error)).total for k, error in enumerate(falling(20, shrink=1.0))]
    assert set(totals) == {30}
    rising = Forecast(1e-4, 30)
    for k, error in enumerate([1.0, 0.9, 0.8, 0.7, 0.75]):
        last = rising.mark(factors(k, error))
    assert last == Mark("concepts", 4, 30, "iterations", "at most")


def test_an_error_of_nothing_is_no_trend():
    forecast = Forecast(1e-4, 30)
    for k in range(6):
        last = forecast.mark(factors(k, 0.0))
    assert last.bound == "at most"


def test_seconds_are_of_the_stage_until_the_others_are_known(monkeypatch):
    now = itertools.count(0, 1)  # each look at the clock is a second later
    monkeypatch.setattr("whatwhere.concepts._refit_pace.time.perf_counter", lambda: float(next(now)))
    marks = [Mark("concepts", k, 4, "iterations", "about") for k in (1, 2, 3, 4)]
    marks += [Mark("codes", 1, 2, "batches"), Mark("codes", 2, 2, "batches"), Mark("importance", 1, 1, "batches")]
    paces = Paces()
    first = [pace for _, pace in paces.follow(iter(marks))]
    assert [(pace.seconds_left, pace.whole) for pace in first] == [
        (3, False),
        (2, False),
        (1, False),
        (0, False),
        (1, False),
        (0, False),
        (0, True),
    ]
    second = [pace for _, pace in paces.follow(iter(marks))]
    assert [pace.seconds_left for pace in second] == [6, 5, 4, 3, 2, 1, 0]  # codes took two, importance one
    assert all(pace.whole for pace in second)
    shares = [pace.share for pace in first]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_a_bound_promises_no_time():
    (_, pace), *_ = Paces().follow(iter([Mark("concepts", 2, 200, "iterations", "at most")]))
    assert pace.seconds_left is None


@pytest.mark.parametrize("options", [{}, {"fit_on": "both"}, {"importance": "sobol"}])
def test_a_refit_counts_what_it_does(small, pictures, extract, options):
    model = small()
    bank = extract(model, {f"p{k}": picture for k, picture in enumerate(pictures(8))}, **options)
    steps = list(Refits(bank.on(model)).steps(bank, 4))
    for stage in ("concepts", "codes", "importance"):
        told = [step for step in steps if step.stage == stage]
        assert told
        assert all(step.done <= step.total for step in told)
        assert {step.pace.bound for step in told} <= BOUNDS
        counts = [step.done for step in told]
        assert counts == list(range(counts[0], counts[0] + len(counts)))  # one at a time
        if told[-1].pace.bound == "":
            assert told[-1].done == told[-1].total, stage  # exact totals are reached
    assert steps[-1].record.rank == 4
    shares = [step.pace.share for step in steps]
    assert shares == sorted(shares)
    phases = [step.stage for step in steps if step.stage in STAGES]
    assert phases == sorted(phases, key=STAGES.index)
    assert {step.stage for step in steps} - {*STAGES} <= {"images", "crops"}
