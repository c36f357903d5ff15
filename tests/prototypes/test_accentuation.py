"""Accentuated photos: what is held, what is free, and what a weight of nothing or of everything means."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import whatwhere as ww
from whatwhere.prototypes._ascent import Ascent
from whatwhere.prototypes._latent import Leash, default_layer
from whatwhere.prototypes.accentuation import middle
from whatwhere.targets import Channel, ClassScore, Inversion

QUICK = ww.Accentuation(steps=6, crops=3, size=48, crop=(0.5, 1.0), frames=3, layer="first")


@pytest.fixture(scope="module")
def photo():
    rng = np.random.default_rng(0)
    return np.kron(rng.random((6, 6, 3)), np.ones((8, 8, 1))).astype(np.float32) * 0.9 + 0.05


@pytest.fixture(scope="module")
def other():
    return np.random.default_rng(1).random((60, 48, 3), dtype=np.float32)


def features(model, image):
    """Of the whole picture at layer "first", by the network itself."""
    shown = torch.nn.functional.interpolate(
        torch.from_numpy(np.moveaxis(model.preprocess.normalise(image), -1, 0)[None].copy()),
        size=(32, 32), mode="bilinear", antialias=True,
    )  # fmt: skip
    with torch.no_grad():
        return model.net.first(shown)[0]


def strayed(model, p):
    return float((features(model, p.image) - features(model, p.seed_image)).norm(dim=0).mean())


def test_the_contract(small, photo):
    p = QUICK.run(small, photo, "hen", progress=False)
    assert isinstance(p, ww.Prototype)
    assert p.image.shape == p.seed_image.shape == (48, 48, 3)
    np.testing.assert_allclose(p.seed_image, photo, atol=1e-6)
    assert p.alpha.mean() == pytest.approx(1, rel=1e-3)
    assert p.trace.shape == p.distance.shape == (6,)
    assert p.distance[0] == 0
    assert (p.distance[1:] > 0).all()
    assert (p.label, p.photo, p.n_forwards, p.complete) == ("hen", "image", 18, True)
    assert p.difference.shape == (48, 48)
    assert p.difference == pytest.approx(np.abs(p.image - p.seed_image).mean(axis=-1))
    assert p.describe().startswith("A photo accentuated for hen in small: 6 steps of 3 crops")
    assert p.provenance.n_extra >= 18  # the photo's own crops
    np.testing.assert_allclose(p.frames[0] / 255, p.seed_image, atol=0.01)


def test_before_is_the_photos_own_value(small, photo):
    """Another route: the network on the photo, resized by torch."""
    p = QUICK.run(small, photo, "hen", progress=False)
    shown = torch.nn.functional.interpolate(
        torch.from_numpy(np.moveaxis(small.preprocess.normalise(photo), -1, 0)[None].copy()),
        size=(32, 32), mode="bilinear", antialias=True,
    )  # fmt: skip
    with torch.no_grad():
        assert p.before == pytest.approx(float(small.net(shown)[0, 0]), abs=1e-4)


@pytest.mark.parametrize("magnitude", ["free", "fixed"])
def test_an_infinite_weight_holds_the_photo_as_it_is(small, photo, magnitude):
    p = replace(QUICK, weight=float("inf"), magnitude=magnitude).run(small, photo, "hen", progress=False)
    assert np.abs(p.image - p.seed_image).max() <= 1e-3
    assert p.distance.max() < 1e-4
    assert p.alpha.mean() == pytest.approx(1, rel=1e-3)  # where the target looks is known all the same
    assert not p.ended


def test_no_weight_is_a_plain_ascent_from_the_photo(small, photo):
    """No layer plays a part, no distance is taken, and the photo is shown to the network no more."""
    free = replace(QUICK, weight=0)
    a, b = (replace(free, layer=layer).run(small, photo, "hen", progress=False) for layer in ("first", "act"))
    assert np.array_equal(a.image, b.image)
    assert a.distance is None
    assert a.provenance.n_extra < 10
    held = QUICK.run(small, photo, "hen", progress=False)
    assert np.abs(held.image - a.image).max() > 0.01


def test_more_weight_holds_it_nearer(small, photo):
    """At the layer, and by the network itself."""
    method = replace(QUICK, steps=40, learning_rate=(0.05, 0.005))
    made = [replace(method, weight=w).run(small, photo, "hen", progress=False) for w in (0, 1, 30)]
    far = [strayed(small, p) for p in made]
    assert far[0] > 1.2 * far[1] > 1.4 * far[2] > 0
    rise = [p.after - p.before for p in made]
    assert rise[0] > rise[1] > 0
    assert all(p.before == made[0].before for p in made)


def test_the_weight_is_balanced(small):
    """At 1 both gradients weigh the same, whatever the objective's scale; none where the picture is the photo."""
    leash = Leash(1.0, "first", small)
    gradient, back = 1000 * torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    assert torch.equal(leash.pull([0, 1], gradient, back), gradient)
    added = leash.pull([0, 1], gradient, back) - gradient
    assert torch.allclose(added.abs().sum(dim=(1, 2, 3)), gradient.sum(dim=(1, 2, 3)), rtol=1e-3)
    for _ in range(20):
        leash.pull([0], gradient[:1], back[:1])
    fixed = leash.pull([0], 5 * gradient[:1], back[:1]) - 5 * gradient[:1]
    assert float(fixed.sum() / gradient[:1].sum()) == pytest.approx(1, rel=1e-3)  # no longer looked at
    assert not Leash(float("inf"), "first", small).pull([0], gradient[:1], back[:1]).any()


def test_distances_are_means_over_places_of_lengths_over_channels(small):
    leash = Leash(1.0, "first", small)
    a, b = torch.rand(2, 8, 16, 16), torch.rand(2, 8, 16, 16)
    wanted = np.sqrt(((a - b).numpy() ** 2).sum(axis=1)).mean(axis=(1, 2))
    assert leash.distances(a, b).numpy() == pytest.approx(wanted, rel=1e-5)


def test_the_penalty_moves_the_picture_but_not_alpha(small, photo):
    """Alpha after the first step is the objective's, however strong the penalty."""
    one = replace(QUICK, steps=1)
    alphas = [replace(one, weight=w).run(small, photo, "hen", progress=False).alpha for w in (0, 5, float("inf"))]
    assert all(np.allclose(alpha, alphas[0], atol=1e-4) for alpha in alphas)


def test_company_changes_nothing(small, photo, other):
    targets = [ClassScore("hen"), Channel("first", 3), Inversion("act", other)]
    ascent = Ascent(QUICK, small, targets, [("a", photo), ("b", middle(other, (48, 48)))])
    *_, step = ascent.steps()
    assert [(p.label, p.photo) for p in step.record[::3]] == [("hen", "a"), ("hen", "b")]
    for k, p in enumerate(step.record):
        alone = Ascent(QUICK, small, [targets[k % 3]], [(p.photo, p.seed_image)])
        *_, own = alone.steps()
        assert (ascent._values[k] - alone._values[0]).abs().max() <= 1e-3, (p.label, p.photo)
        assert np.allclose(p.distance, own.record[0].distance, atol=1e-3)


def test_images_go_in_and_come_out_alike(small, photo, other):
    alone = QUICK.run(small, photo, "hen", progress=False)
    listed = QUICK.run(small, [photo, other], ["hen", "cup"], progress=False)
    assert [[p.label for p in each] for each in listed] == [["hen", "cup"]] * 2
    assert [each[0].photo for each in listed] == ["image 1", "image 2"]
    named = QUICK.run(small, {"a": other, "b": photo}, "hen", progress=False)
    assert list(named) == ["a", "b"]
    assert np.allclose(named["b"].image, alone.image, atol=1e-3)
    assert np.allclose(listed[0][0].image, alone.image, atol=1e-3)
    two = replace(QUICK, seed=(0, 1)).run(small, photo, "hen", progress=False)
    assert [p.seed for p in two] == [0, 1]
    assert np.abs(two[0].image - two[1].image).max() > 1e-3


def test_the_same_again_and_as_a_job(small, photo):
    first = QUICK.run(small, photo, "hen", progress=False)
    (made,) = QUICK.submit(small, photo, "hen").wait(60)
    assert np.array_equal(first.image, made.image)
    assert np.array_equal(first.distance, made.distance)
    records = list(QUICK.stream(small, photo, ["hen"]))
    np.testing.assert_allclose(records[0][0].image, photo, atol=1e-3)
    assert records[-1][0].complete
    steps = QUICK.steps_of(small, photo, "hen")
    for step in steps:
        assert torch.is_grad_enabled()
        assert not any(m._forward_hooks for m in small.net.modules())
        if step.done >= 9:
            break
    steps.close()
    assert not step.record[0].complete


def test_phases_alone_leave_the_mean_colour(small, photo):
    p = replace(QUICK, magnitude="fixed", weight=0, steps=20).run(small, photo, "hen", progress=False)
    assert p.after > p.before
    assert p.spectrum == "the photo's"
    logits = [np.log(x / (1 - x)).mean(axis=(0, 1)) for x in (p.image, p.seed_image)]
    assert np.allclose(*logits, atol=1e-3)


def test_grey_networks_get_grey_photos(grey_small, photo):
    p = replace(QUICK, layer=None).run(grey_small, photo, 0, progress=False)
    assert np.ptp(p.image, axis=-1).max() == np.ptp(p.seed_image, axis=-1).max() == 0
    assert np.abs(p.image - p.seed_image).max() > 0.001


def test_plain_and_extreme_photos_have_no_nan(small):
    for value in (0.0, 0.5, 1.0):
        plain = np.full((48, 48, 3), value, np.float32)
        p = QUICK.run(small, plain, "hen", progress=False)
        assert np.isfinite(p.image).all()
        assert np.isfinite(p.distance).all()


def test_pictures_are_drawn_as_they_are(small, photo):
    """Neither stretched nor faded: they are compared with the photo."""
    p = QUICK.run(small, photo, "hen", progress=False)
    assert np.abs(np.asarray(p.picture()) / 255 - p.image).max() < 0.01
    assert np.abs(np.asarray(p.picture(percentile=80, stretch=True)) / 255 - p.image).max() > 0.1


def test_files_go_and_come(small, photo, tmp_path):
    for weight in (0, 2.0, float("inf")):
        p = replace(QUICK, weight=weight).run(small, {"my fish": photo}, "hen", progress=False)["my fish"]
        p.save(tmp_path / "p")
        read = ww.Prototype.load(tmp_path / "p")
        assert read.method == p.method
        assert isinstance(read.method, ww.Accentuation)
        assert read.photo == "my fish"
        assert np.array_equal(read.seed_image, p.seed_image)
        assert (read.distance is None) == (weight == 0)
        assert weight == 0 or np.array_equal(read.distance, p.distance)


def test_the_middle_of_a_photo():
    rows = np.linspace(0, 1, 100, dtype=np.float32)[:, None, None] * np.ones((1, 60, 3), np.float32)
    cut = middle(rows, (60, 60))
    np.testing.assert_allclose(cut, rows[20:80], atol=1e-6)
    assert middle(rows, (30, 90)).shape == (30, 90, 3)
    assert middle(rows, (30, 90)).mean() == pytest.approx(0.5, abs=1e-3)


def test_the_default_layer_is_a_block_in_the_middle(model, small, untrained):
    assert default_layer(model) == "features.5"
    assert default_layer(small) == "second.0"
    preprocess = ww.Preprocess(resize=None, crop=(64, 64), mean=(0.5,) * 3, std=(0.25,) * 3)
    vit = ww.VisionModel(untrained("vit_b_16"), preprocess=preprocess, device="cpu")
    assert default_layer(vit).startswith("encoder.layers.encoder_layer_")
    made = ww.Accentuation(steps=2, crops=1, size=64, crop=(0.7, 1)).run(vit, np.zeros((64, 64, 3)), 0, progress=False)
    assert np.isfinite(made.distance).all()


def test_what_is_wrong_is_refused(small, photo):
    with pytest.raises(ValueError, match="no layer that returns one tensor is called 'frist'"):
        replace(QUICK, layer="frist").run(small, photo, "hen", progress=False)
    with pytest.raises(ValueError, match="no class is named 'goose'"):
        QUICK.submit(small, photo, "goose")
    with pytest.raises(ValueError, match="targets: wanted at least one"):
        QUICK.run(small, photo, [], progress=False)
    with pytest.raises(ValueError, match=r"size: crops of 0.1 of a picture of 48 x 48"):
        replace(QUICK, crop=(0.1, 1)).run(small, photo, "hen", progress=False)
    made = ww.Maco(steps=1, crops=1, size=48).run(small, "hen", progress=False)
    with pytest.raises(ValueError, match="difference: wanted an accentuated photo"):
        made.difference  # noqa: B018  # looked at


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weight": -1}, ValueError, "weight: wanted a finite number of at least 0"),
        ({"weight": float("nan")}, ValueError, "weight: wanted a finite number"),
        ({"layer": 3}, TypeError, "layer: wanted the name of a layer"),
        ({"magnitude": "learned"}, ValueError, "magnitude: wanted one of"),
        ({"crop": (0.9, 0.1)}, ValueError, "crop: wanted the smaller number first"),
        ({"crop": 2}, ValueError, "crop: wanted a finite number from 0 to 1"),
        ({"contrast": 0}, ValueError, "contrast: wanted a number above 0, got 0: nothing would change"),
        ({"resample": "nearest"}, ValueError, "resample: wanted one of"),
        ({"steps": 0}, ValueError, "steps: wanted an integer from 1"),
    ],
)
def test_options_out_of_range_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ww.Accentuation(**options)
