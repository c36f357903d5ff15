"""What masked parts fade to."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from whatwhere.engine.baseline import Baseline


def grey(x):
    return x.mean((2, 3))[:, :2]


@pytest.fixture
def image():
    return np.random.default_rng(0).random((64, 48, 3)).astype(np.float32)


def test_plain_colours(toy, image):
    model = toy(grey, size=(64, 48))
    assert (Baseline("black").pixels(model, image) == 0).all()
    assert (Baseline("white").pixels(model, image) == 1).all()
    assert Baseline("mean").pixels(model, image).shape == image.shape
    assert (Baseline("mean").pixels(model, image) == model.preprocess.mean).all()


def test_the_mean_colour_is_zero_after_normalisation(model, photos):
    from whatwhere.pixels.images import read_photo

    pixels = model.preprocess.pixels(read_photo(photos["coffee"]))
    assert (model.preprocess.normalise(Baseline("mean").pixels(model, pixels)) == 0).all()


def test_blur_is_a_gaussian_along_both_sides_and_not_across_colours(toy, image):
    got = Baseline("blur", sigma=0.1).pixels(toy(grey, size=(64, 48)), image)
    wanted = gaussian_filter1d(gaussian_filter1d(image, 4.8, axis=0, mode="nearest"), 4.8, axis=1, mode="nearest")
    assert got == pytest.approx(wanted, abs=1e-5)
    assert got.std() < image.std() / 3


def test_an_image_enters_by_its_content(toy, image):
    first, same, other = Baseline.image(image), Baseline.image(image.copy()), Baseline.image(1 - image)
    assert first == same
    assert hash(first) == hash(same)
    assert first != other
    assert first.digest in repr(first)
    assert first.pixels(toy(grey, size=(64, 48)), image) == pytest.approx(image, abs=1e-6)


def test_what_a_person_writes_is_read(image):
    assert Baseline.read("blur") == Baseline("blur")
    assert Baseline.read(image) == Baseline.image(image)
    assert Baseline.read(Baseline("black")) == Baseline("black")
    assert Baseline("blur").short == "blur"
    assert Baseline("blur", sigma=0.2).short == Baseline("blur", sigma=0.2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Baseline("grey"), r"baseline: wanted one of .*'blur'.* or an image, got 'grey'"),
        (lambda: Baseline("blur", sigma=0), r"sigma: wanted a share of the short side in \(0, 1\], got 0"),
        (lambda: Baseline("black", sigma=0.1), "goes with the baseline 'blur' only"),
        (lambda: Baseline("image"), r"Baseline.image\(image\)"),
        (lambda: Baseline.read(np.full((2, 2, 3), 7.0)), r"baseline: wanted floats in \[0, 1\]"),
    ],
)
def test_bad_baselines_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
