"""What is read off a record: indices, signs, intervals, scores, classes dropped and kept."""

import numpy as np
import pytest
import torch

import whatwhere as ww
from whatwhere import limits
from whatwhere.engine.logits import DroppedClassError, shelf

GRID = (4, 4)
WEIGHTS = np.array([3, -2, 1, 0] * 4, dtype=np.float32) / 4


def means(x):
    """Mean brightness of each cell of a 4 x 4 grid: an image of ones gives the mask."""
    return torch.nn.functional.adaptive_avg_pool2d(x.mean(1, keepdim=True), GRID).flatten(1)


def additive(x):
    score = means(x) @ torch.from_numpy(WEIGHTS)
    return torch.stack([score, -2 * score, 1e-6 * score, 1e3 + score], 1)


def both(x):
    """The AND of two cells, 5 and 10, and a distractor that is not looked at."""
    cells = means(x)
    return torch.stack([cells[:, 5] * cells[:, 10], cells[:, 0]], 1)


def test_an_additive_score_gives_squared_weights_their_signs_and_mean_dimension_one(toy, white):
    a = ww.Sobol(grid=4, rows=512, seed=1, first_order=True).run(toy(additive, batch_size=64), white)
    wanted = (WEIGHTS**2 / (WEIGHTS**2).sum()).reshape(GRID)
    assert a.values(0).sum() == pytest.approx(1, abs=0.2), "the variance, which scales all cells, is known to a tenth"
    assert a.values(0) / a.values(0).sum() == pytest.approx(wanted, abs=0.005)
    assert a.values(0, kind="first") == pytest.approx(wanted, abs=0.08)
    assert a.values(0, kind="slope") == pytest.approx(WEIGHTS.reshape(GRID), abs=1e-4)
    assert a.values(1, kind="slope") == pytest.approx(-2 * WEIGHTS.reshape(GRID), abs=1e-4)
    assert a.mean_dimension(0) == pytest.approx(float(a.values(0).sum()))
    assert a.mean_dimension(0, bound="lower") < 1 < a.mean_dimension(0, bound="upper")
    assert a.n_forwards == 512 * 18


def test_scale_and_offset_of_a_score_do_not_matter(toy, white):
    a = ww.Sobol(grid=4, rows=16).run(toy(additive), white)
    assert a.values(2) == pytest.approx(a.values(0), rel=1e-4)
    assert a.values(3) == pytest.approx(a.values(0), rel=2e-3, abs=2e-4)


def test_both_of_two_cells(toy, white):
    """Product of two uniforms: T = 4/7, S = 3/7, and 1/7 of the variance is theirs together."""
    a = ww.Sobol(grid=4, rows=256, first_order=True).run(toy(both, batch_size=64), white)
    total, first = a.values(0).ravel(), a.values(0, kind="first").ravel()
    assert total[[5, 10]] == pytest.approx(4 / 7, abs=0.08)
    assert first[[5, 10]] == pytest.approx(3 / 7, abs=0.1)
    assert np.array_equal(np.delete(total, [5, 10]), np.zeros(14)), "exactly zero, the distractor too"
    assert a.interactions(0)[5, 10] == pytest.approx(1 / 7, abs=0.08)
    assert a.mean_dimension(0) == pytest.approx(8 / 7, abs=0.1)


def test_partners_of_a_cell(toy, white):
    model = toy(both, batch_size=64)
    a = ww.Sobol(grid=4, rows=64).run(model, white)
    before = model.net.images
    found = ww.SobolPairs((1, 1)).run(model, a)
    assert found.n_forwards == 64 * 15
    assert model.net.images - before == 64 * 15
    values = found.values(0)
    assert np.isnan(values[1, 1])
    assert np.nanargmax(values) == 10
    assert values[2, 2] == pytest.approx(1 / 7, abs=0.06)
    assert np.nansum(values) == values[2, 2], "no other cell acts with it"
    assert found.values(0, bound="lower")[2, 2] < 1 / 7 < found.values(0, bound="upper")[2, 2]
    few = ww.SobolPairs((1, 1), partners=3).run(model, a, target=0)
    assert 10 in few.partners
    assert few.values(0)[2, 2] == values[2, 2]
    assert np.isnan(few.values(0)).sum() == 13
    assert "most with (2, 2)" in repr(found)


def test_partners_refuse_what_they_cannot_use(toy, white):
    model = toy(both)
    method = ww.Sobol(grid=4, rows=4)
    a = method.run(model, white)
    for make, error, message in [
        (lambda: ww.SobolPairs((4, 0)).run(model, a), ValueError, r"cell: wanted a row below 4.*got \(4, 0\)"),
        (lambda: ww.SobolPairs(3), TypeError, r"cell: wanted \(row, column\), got 3"),
        (lambda: ww.SobolPairs((0, 0), partners=0), ValueError, "partners: wanted an integer from 1"),
        (
            lambda: ww.SobolPairs((0, 0)).run(
                toy(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12288, 2))), a
            ),
            ValueError,
            "not those that made the record",
        ),
    ]:
        with pytest.raises(error, match=message):
            make()
    refined = ww.Sobol(grid=8, rows=16, refine=True).run(toy(both, batch_size=64), white)
    with pytest.raises(ValueError, match="a map of single cells"):
        ww.SobolPairs((0, 0)).run(model, refined)


def test_bounds_surround_the_value_and_widen_with_the_level(toy, white):
    a = ww.Sobol(grid=4, rows=16, first_order=True).run(toy(additive), white)
    for kind in ("total", "first", "slope"):
        value = a.values(0, kind=kind)
        low, high = (a.values(0, kind=kind, bound=b) for b in ("lower", "upper"))
        wide = a.values(0, kind=kind, bound="upper", level=0.99)
        assert (low <= value).all()
        assert (value <= high).all()
        assert (high <= wide).all()
        assert (high - value) == pytest.approx(2.131 * a.standard_error(0, kind=kind), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("score", ["logit", "softmax", "log_softmax", "margin"])
def test_a_score_read_off_is_a_run_of_its_own(toy, white, score):
    stored = ww.Sobol(grid=4, rows=8).run(toy(both), white)
    own = ww.Sobol(grid=4, rows=8, score=score).run(toy(both), white)
    assert np.array_equal(stored.values(0, score=score), own.values(0))
    if score != "logit":
        assert not np.array_equal(stored.values(0), own.values(0))


def test_a_score_may_be_a_function_of_the_logits(toy, white):
    def against(logits):
        return logits[:, 0] - logits[:, 1]

    a = ww.Sobol(grid=4, rows=8, score=against).run(toy(both), white)
    assert set(np.flatnonzero(a.values())) == {0, 5, 10}
    assert a.values(score="logit").ravel()[0] == 0
    assert a.method == ww.Sobol(grid=4, rows=8, score=against)
    assert a.method != ww.Sobol(grid=4, rows=8, score=lambda logits: logits[:, 0])
    with pytest.raises(ValueError, match="scores of <lambda>"):
        a.values(score=lambda logits: logits)


def test_switching_class_and_score_costs_no_forward(coffee, monkeypatch):
    def forward(*_):
        raise AssertionError("a forward pass")

    monkeypatch.setattr("torch.nn.Module.__call__", forward)
    for target in ("espresso", "cup", 3):
        for score in ("logit", "softmax", "log_softmax", "margin"):
            for kind in ("total", "first", "slope"):
                assert np.isfinite(coffee.values(target, kind=kind, score=score)).all()
    coffee.mean_dimension("cup")
    coffee.interactions("cup")


@pytest.fixture(scope="module")
def coffee(model, photos):
    return ww.Sobol(grid=4, rows=8, first_order=True).run(model, photos["coffee"])


def test_on_a_real_photo_the_cup_speaks_for_espresso(coffee):
    """The sign of the strongest cell, and the share that cells carry by themselves."""
    slopes, total = coffee.values("espresso", kind="slope"), coffee.values("espresso")
    assert slopes.ravel()[total.argmax()] > 0
    assert coffee.noisy
    assert coffee.values("espresso", kind="first").sum() < total.sum()
    assert coffee.mean_dimension("espresso") > 1


def test_what_is_not_known_is_refused(toy, white):
    a = ww.Sobol(grid=4, rows=4).run(toy(both), white)
    for call, message in [
        (lambda: a.values(kind="first"), r"first_order=True"),
        (lambda: a.values(kind="shapley"), "kind: wanted 'total', 'first' or 'slope', got 'shapley'"),
        (lambda: a.values(bound="middle"), "bound: wanted 'lower', 'upper' or None"),
        (lambda: a.mean_dimension(bound="middle"), "bound: wanted"),
        (lambda: a.values(bound="lower", level=1.0), "level: wanted"),
        (lambda: a.values(score="odds"), "kind: wanted one of"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_one_logit_is_a_sigmoid(toy, white):
    model = toy(lambda x: x.mean((1, 2, 3)) * 4 - 2)
    a = ww.Sobol(grid=4, rows=16).run(model, white)
    assert a.prediction().probability == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)
    assert model.predict(white) == pytest.approx([1 / (1 + np.exp(-2))], abs=1e-6)
    assert not a.is_flat()
    assert not a.is_flat(score="softmax")
    assert a.values(score="margin") == pytest.approx(a.values())
    assert a.values(score="softmax") != pytest.approx(a.values(), abs=1e-6)


def test_grey_networks_read_grey_photos(toy, photos):
    model = toy(lambda x: torch.stack([x[:, 0, :32].mean((1, 2)), x[:, 0, 32:].mean((1, 2))], 1), channels=1)
    a = ww.Sobol(grid=2, rows=8).run(model, photos["camera"])
    assert model.input_size == (64, 64)
    assert (a.values(0)[1] == 0).all()
    assert (a.values(1)[0] == 0).all()


def test_records_over_the_budget_keep_the_likely_classes(toy, white, monkeypatch):
    def many(x):
        cells = means(x)
        return torch.cat([cells * k for k in range(1, 21)], 1)

    model, method = toy(many), ww.Sobol(grid=4, rows=4)
    first = method.run(model, white)
    top = first.predicted
    before = first.values(top)
    monkeypatch.setattr(limits, "logits_bytes", int(1.5 * first.store.nbytes))
    second = method.run(model, white)
    assert first.store.reduced
    assert not second.store.reduced
    assert np.array_equal(first.values(top), before)
    assert np.isfinite(first.values(top, score="softmax")).all()
    gone = next(k for k in range(320) if k not in first.store.classes)
    with pytest.raises(DroppedClassError, match="Run the method on this image again"):
        first.values(gone)
    assert shelf.nbytes < 2.5 * second.store.nbytes
