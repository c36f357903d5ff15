"""A look at an image: its logits, noise, company, and memory."""

import numpy as np
import pytest
import torch

from whatwhere.engine.reference import look

BLACK, GREY = np.zeros((64, 64, 3), np.float32), np.full((64, 64, 3), 0.5, np.float32)


def looked(model, image=GREY, beside=BLACK):
    steps, told = look(model, image, beside, lambda: "paused"), []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            assert told == ["paused"]
            return end.value


def means(x):
    return x.mean((2, 3))


def test_a_plain_network(toy):
    model = toy(means)
    found = looked(model)
    np.testing.assert_allclose(found.logits, 0.5, rtol=1e-6)
    assert found.logits.dtype == np.float32
    assert (found.wobble, found.alone) == (0, True)
    assert found.n_forwards == model.net.images == 4
    assert found.net_seconds > 0


def test_noise_is_told_and_not_taken_for_company(toy):
    found = looked(toy(lambda x: means(x) + torch.rand(len(x), 1)))
    assert found.wobble > 0
    assert found.alone


def test_a_batch_whose_images_see_each_other(toy):
    found = looked(toy(lambda x: means(x) - means(x).mean(0)))
    assert (found.wobble, found.alone) == (0, False)


def test_the_seconds_of_a_pause_do_not_count(toy, monkeypatch):
    now = iter([0.0, 1.0, 100.0, 102.0])
    monkeypatch.setattr("whatwhere.engine.reference.time.perf_counter", lambda: next(now))
    assert looked(toy(means)).net_seconds == 3


def test_where_only_one_image_fits_it_is_taken_as_alone(toy):
    def tight(x):
        if len(x) > 1:
            raise MemoryError
        return means(x)

    assert looked(toy(tight)).alone


def test_other_failures_come_through(toy):
    def broken(x):
        if len(x) > 1:
            raise RuntimeError("no such thing")
        return means(x)

    with pytest.raises(RuntimeError, match="no such thing"):
        looked(toy(broken))


def test_logits_that_are_not_finite(toy):
    with pytest.raises(FloatingPointError, match="3 of 3 logits"):
        looked(toy(lambda x: means(x) / 0), GREY * 0)
