"""Sobol maps of toy networks with known answers, then of a real network on real photos."""

import numpy as np
import pytest
import torch

import whatwhere as ww


def patch(rows, columns):
    """A network whose first logit is the mean brightness of a patch of a 64 x 64 image."""

    def function(x):
        score = x[:, :, rows, columns].mean((1, 2, 3))
        return torch.stack([score, torch.zeros_like(score)], 1)

    return function


def brightness(x):
    mean = x.mean((1, 2, 3))
    return torch.stack([mean, -3 * mean], 1)


def test_a_network_that_reads_one_cell_gets_a_one_hot_map(toy, white):
    a = ww.Sobol(grid=8, rows=8).run(toy(patch(slice(16, 24), slice(40, 48))), white)
    expected = np.zeros((8, 8))
    expected[2, 5] = 1
    assert np.array_equal(a.values(0) > 0, expected > 0)
    assert a.values(0)[2, 5] == pytest.approx(1, abs=0.35)


def test_cells_that_do_not_matter_are_exactly_zero(toy, white):
    noisy = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    for image in (white, noisy):
        values = ww.Sobol(grid=8, rows=4).run(toy(patch(slice(0, 16), slice(0, 8))), image).values(0)
        assert np.count_nonzero(values) == 2
        assert (values[2:] == 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_of_the_image_gives_a_flat_map(toy, white, seed):
    values = ww.Sobol(grid=8, rows=32, seed=seed).run(toy(brightness), white).values(0)
    assert values.max() / values.min() < 1.3


def test_a_class_with_another_scale_has_the_same_map(toy, white):
    a = ww.Sobol(grid=4, rows=8).run(toy(brightness), white)
    assert a.values(0) == pytest.approx(a.values(1), rel=1e-5)


def test_a_constant_network_is_flagged_as_flat(toy, white):
    a = ww.Sobol(grid=4, rows=4).run(toy(lambda x: torch.full((len(x), 2), 3.5)), white)
    assert a.is_flat(0)
    assert (a.values(0) == 0).all()
    assert "does not move" in a.describe(0)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 64])
def test_forwards_are_counted_exactly(toy, white, batch_size):
    model = toy(brightness, batch_size=batch_size)
    a = ww.Sobol(grid=8, rows=6).run(model, white)
    assert a.n_forwards == 6 * 65
    assert model.net.images == a.n_forwards + a.provenance.n_extra


def test_the_batch_size_does_not_change_the_map(toy, white):
    maps = [ww.Sobol(grid=4, rows=8).run(toy(brightness, batch_size=b), white).values(0) for b in (1, 5, 32)]
    assert maps[0] == pytest.approx(maps[1], rel=1e-5)
    assert maps[0] == pytest.approx(maps[2], rel=1e-5)


def test_a_shorter_run_is_a_prefix_of_a_longer_one(toy, white):
    short, long = (ww.Sobol(grid=4, rows=rows).run(toy(brightness), white) for rows in (5, 16))
    assert np.array_equal(short.logits, long.logits[:5])


def test_seeds_reproduce_and_differ(toy, white):
    first, again, other = (ww.Sobol(grid=4, rows=4, seed=s).run(toy(brightness), white).logits for s in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_stream_yields_a_valid_record_after_every_row(toy, white):
    records = list(ww.Sobol(grid=4, rows=6).stream(toy(brightness), white))
    assert [r.rows for r in records] == [2, 3, 4, 5, 6]
    assert [r.complete for r in records] == [False] * 4 + [True]
    assert all(np.isfinite(r.values()).all() for r in records)
    assert np.array_equal(records[0].logits, records[-1].logits[:2])


def test_a_record_does_not_change_while_the_stream_goes_on(toy, white):
    stream = ww.Sobol(grid=4, rows=6).stream(toy(brightness), white)
    first = next(stream)
    before = first.values().copy()
    list(stream)
    assert np.array_equal(first.values(), before)
    with pytest.raises(ValueError, match="read-only"):
        first.logits[0, 0, 0] = 1


def test_nothing_is_held_between_two_steps(toy, white):
    """The caller trains a step between two yields."""
    weight = torch.nn.Parameter(torch.ones(3))
    for _ in ww.Sobol(grid=3, rows=3).steps(toy(brightness), white):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        (weight.sum() ** 2).backward()
    assert weight.grad is not None


def test_the_preview_comes_first_and_costs_few_forwards(toy, white):
    model = toy(patch(slice(0, 8), slice(0, 8)))
    records = list(ww.Sobol(grid=8, rows=8).stream(model, white, preview=True))
    previews = [r for r in records if r.preview]
    assert [r.rows for r in previews] == [2, 3, 4]
    assert all(r.grid == (4, 4) for r in previews)
    assert [r.rows for r in records if not r.preview] == [4, 5, 6, 7, 8]
    last = records[-1]
    assert last.n_forwards == 8 * 65
    assert last.provenance.n_extra == 4 + 4 * 17, "the photo twice, once more beside its baseline, and the preview"
    assert model.net.images == last.n_forwards + last.provenance.n_extra
    assert np.argmax(previews[-1].values(0)) == 0


def test_the_preview_does_not_change_the_result(toy, white):
    with_it, without = (
        list(ww.Sobol(grid=8, rows=5).stream(toy(brightness), white, preview=p))[-1] for p in (True, False)
    )
    assert np.array_equal(with_it.logits, without.logits)


def test_a_block_is_never_below_its_cells_in_expectation(toy, white):
    model = toy(lambda x: torch.stack([(x[:, 0, :16, :16].mean((1, 2)) * 4 - 2).tanh(), x.mean((1, 2, 3))], 1))
    records = list(ww.Sobol(grid=8, rows=64).stream(model, white, preview=True))
    preview = [r for r in records if r.preview][-1]
    assert preview.values(0)[0, 0] > records[-1].values(0)[:2, :2].max()


def test_a_photo_that_is_not_square_is_not_turned(toy):
    """A patch in the top right corner of a 180 x 260 input: catches swapped axes."""
    model = toy(lambda x: torch.stack([x[:, :, :20, 240:].mean((1, 2, 3)), x.mean((1, 2, 3))], 1), size=(180, 260))
    image = np.ones((180, 260, 3), dtype=np.float32)
    a = ww.Sobol(grid=(9, 13), rows=4).run(model, image)
    assert np.argwhere(a.values(0) > 0).tolist() == [[0, 12]]
    heatmap = a.heatmap(0, interpolation="nearest")
    assert heatmap.shape == (180, 260)
    assert (np.argwhere(heatmap > 0).min(axis=0) == [0, 240]).all()
    assert (np.argwhere(heatmap > 0).max(axis=0) == [19, 259]).all()


def test_a_grid_that_does_not_divide_the_image(toy, white):
    a = ww.Sobol(grid=(5, 7), rows=4).run(toy(brightness), white)
    assert a.values().shape == (5, 7)
    assert (a.values() > 0).all()


def test_nan_logits_are_refused(toy, white):
    with pytest.raises(FloatingPointError, match=r"toy: 2 of 2 logits of the unmasked image are NaN or infinite"):
        ww.Sobol(grid=2, rows=2).run(toy(lambda x: torch.full((len(x), 2), float("nan"))), white)
    dark = toy(lambda x: x.mean((1, 2, 3))[:, None].where(x[:, :1, 0, 0] > 0.5, torch.nan))
    with pytest.raises(FloatingPointError, match=r"toy: NaN or infinite logits for \d+ of \d+ .* first in row \d+ \("):
        ww.Sobol(grid=2, rows=8).run(dark, white)


def test_one_image_gives_a_record_and_several_the_same_container(toy, white):
    method, model = ww.Sobol(grid=2, rows=2), toy(brightness)
    assert isinstance(method.run(model, white), ww.Attribution)
    assert [type(r) for r in method.run(model, [white, white])] == [ww.Attribution] * 2
    assert list(method.run(model, {"a": white, "b": white})) == ["a", "b"]
    batch = torch.ones(3, 3, 64, 64)
    assert len(method.run(model, batch)) == 3


def test_every_image_is_checked_before_the_first_is_computed(toy, white):
    model = toy(brightness)
    broken = white.copy()
    broken[3, 4, 0] = np.nan
    with pytest.raises(ValueError, match=r"image 2: 1 of 12288 values are NaN"):
        ww.Sobol(grid=2, rows=2).run(model, [white, broken])
    assert model.net.images == 0
    with pytest.raises(ValueError, match="at least one image"):
        ww.Sobol().run(model, [])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rows": 1}, ValueError, "rows: wanted an integer from 2"),
        ({"rows": 2.5}, TypeError, "rows: wanted an integer, got float 2.5"),
        ({"grid": 0}, ValueError, "grid: wanted an integer from 1 to 64, got 0"),
        ({"grid": (3, 4, 5)}, ValueError, r"grid: wanted an int or \(down, across\)"),
        ({"grid": 1}, ValueError, "at least two cells"),
        ({"seed": -1}, ValueError, "seed: wanted an integer from 0"),
        ({"seed": "a"}, TypeError, "seed: wanted an integer, got str"),
    ],
)
def test_bad_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ww.Sobol(**options)


def test_a_method_is_a_value():
    assert ww.Sobol(grid=8) == ww.Sobol(grid=(8, 8))
    assert hash(ww.Sobol()) == hash(ww.Sobol(8, 32, 0))
    assert repr(ww.Sobol(grid=(4, 6))) == "Sobol(grid=(4, 6), rows=32, seed=0)"
    assert eval(repr(ww.Sobol()), {"Sobol": ww.Sobol}) == ww.Sobol()  # noqa: S307  # a repr of our own


@pytest.fixture(scope="module")
def coffee(model, photos):
    return ww.Sobol(grid=8, rows=8, seed=0).run(model, photos["coffee"])


def test_the_espresso_is_where_the_cup_is(coffee):
    """On the real network the cup's rim and surface carry the logit, and the table's edge does not."""
    assert coffee.prediction().name == "espresso"
    assert coffee.n_forwards == 8 * 65
    values = coffee.values("espresso")
    edge = np.ones((8, 8), bool)
    edge[1:-1, 1:-1] = False
    assert values[~edge].mean() > 3 * values[edge].mean()
    assert np.argmax(values) in [r * 8 + c for r in range(1, 6) for c in range(1, 7)]


def test_class_maps_come_from_the_stored_logits_bitwise(coffee, model, photos):
    """A fresh run with the same seed gives the same numbers for any class."""
    again = ww.Sobol(grid=8, rows=8, seed=0).run(model, photos["coffee"])
    for target in ("espresso", "cup", "tench", 0):
        assert np.array_equal(coffee.values(target), again.values(target))
    assert not np.array_equal(coffee.values("espresso"), coffee.values("tench"))


def test_heatmap_is_on_the_photo_and_nan_where_the_crop_never_looked(coffee, photos):
    heatmap = coffee.heatmap("espresso")
    assert heatmap.shape == photos["coffee"].shape[:2]
    top, left, bottom, right = coffee.geometry.seen
    unseen = np.ones(heatmap.shape, bool)
    unseen[round(top) : round(bottom), round(left) : round(right)] = False
    assert np.array_equal(np.isnan(heatmap), unseen)
    assert np.nanmax(heatmap) <= coffee.values().max()
    nearest = coffee.heatmap("espresso", interpolation="nearest")
    assert set(np.unique(nearest[~unseen])) == set(np.unique(coffee.values("espresso")))


def test_a_record_speaks_and_shows_itself(coffee):
    assert "espresso (95%)" in repr(coffee)
    assert np.asarray(coffee).shape == (8, 8)
    bundle = coffee._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/html", "text/plain"}
    assert len(bundle["image/png"]) < 200_000
    assert coffee.picture(width=300).size[0] == 300
    with pytest.raises(ValueError, match="kind: wanted 'total'"):
        coffee.values(kind="shapley")
    with pytest.raises(ValueError, match="interpolation: wanted"):
        coffee.heatmap(interpolation="bicubic")
    with pytest.raises(ValueError, match="colormap: wanted one of"):
        coffee.picture(colormap="jet")


def test_many_real_photos_explain_without_a_flat_or_broken_map(model, shared_photos):
    method = ww.Sobol(grid=4, rows=4)
    for path in shared_photos[::50]:
        a = method.run(model, path)
        assert np.isfinite(a.values()).all()
        assert not a.is_flat()
        assert a.heatmap().shape == a.photo.size
