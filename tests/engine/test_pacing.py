"""The size of batches, found on the work: larger where that is faster, as told by a clock of ours."""

from dataclasses import replace

import pytest
from torch import nn

import whatwhere as ww
from whatwhere.engine import pacing
from whatwhere.engine.pacing import Pace


@pytest.fixture
def model():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return ww.VisionModel(net, input_size=8, mean=(0.5,) * 3, std=(0.5,) * 3, device="cpu")


@pytest.fixture
def run(monkeypatch):
    """Run `images` through a pace, a batch of n taking `each(n)` seconds an image; returns the sizes of the batches."""
    now = [0.0]
    monkeypatch.setattr(pacing.time, "process_time", lambda: now[0])

    def go(pace, images, each):
        sizes = []
        while images:
            size = min(pace.next(images), images)
            with pace.timing(size):
                now[0] += size * each(size)
            sizes.append(size)
            images -= size
        return sizes

    return go


def test_sizes_double_while_that_saves_a_twentieth(model, run):
    pace = Pace(model, steady=False)
    assert run(pace, 100, lambda n: 1 + 4 / n) == [4, 4, 8, 8, 16, 16, 16, 16, 12]
    assert pace.size == 16


def test_a_slow_size_is_left_after_one_batch(model, run):
    pace = Pace(model, steady=False)
    assert run(pace, 32, lambda n: n) == [4, 4, 8, 4, 4, 4, 4]
    assert pace.size == 4


def test_a_size_that_is_no_better_is_left_after_two(model, run):
    pace = Pace(model, steady=False)
    assert run(pace, 40, lambda _: 1.0) == [4, 4, 8, 8, 4, 4, 4, 4]


def test_one_slow_batch_is_forgiven(model, run):
    pace, first = Pace(model, steady=False), iter([9.0])
    assert run(pace, 40, lambda n: next(first, 1.0) if n == 4 else 1.0) == [4, 4, 8, 8, 4, 4, 4, 4]


def test_what_cannot_be_filled_is_not_tried(model, run):
    assert run(Pace(model, steady=False), 15, lambda n: 1 / n) == [4, 4, 4, 3]


def test_what_was_found_is_kept_for_the_plan(model, run):
    run(Pace(model, steady=False), 100, lambda n: 1 / n)
    again = Pace(model, steady=False)
    assert run(again, 40, lambda n: 1 / n) == [16, 16, 8]
    model.adopt(replace(model.plan, channels_last=not model.plan.channels_last), instead_of=model.plan)
    assert Pace(model, steady=False).size == 4


def test_nobody_waits_for_a_larger_batch(model, run):
    assert run(Pace(model, steady=True), 40, lambda n: 1 / n) == [4] * 10
    model.batch_size = 3
    assert model.fixed
    assert run(Pace(model, steady=False), 9, lambda n: 1 / n) == [3, 3, 3]


def test_a_batch_that_did_not_fit_ends_it(model, run):
    pace = Pace(model, steady=False)
    run(pace, 100, lambda n: 1 / n)
    model.shrink_batch(2)
    assert pace.size == pace.next(100) == 2
    assert not model.fixed


def test_the_plan_stays(model, run):
    plan = model.plan
    run(Pace(model, steady=False), 100, lambda n: 1 / n)
    assert model.plan is plan
