"""From a photo to the network's input: resize, crop, normalise, and where each pixel came from."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import whatwhere as ww
from whatwhere.pixels.images import Photo, read_photo

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
AS_IS = {"mean": (0, 0, 0), "std": (1, 1, 1)}
LITE = ww.Preprocess(resize=256, crop=(224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def test_the_crop_is_torchvisions(photos):
    """Second route: torchvision's own transforms on the same float image."""
    from torchvision.transforms.v2 import functional as tv

    photo = read_photo(photos["coffee"])
    tensor = torch.from_numpy(photo.pixels.copy()).permute(2, 0, 1)
    resized = tv.resize(tensor, [256], interpolation=tv.InterpolationMode.BICUBIC, antialias=True)
    expected = tv.center_crop(resized, [224, 224]).clamp(0, 1).permute(1, 2, 0).numpy()
    assert LITE.pixels(photo) == pytest.approx(expected, abs=2e-3)


def test_geometry_maps_the_crop_back(photos):
    geometry = LITE.geometry(read_photo(photos["coffee"]))
    top, left, bottom, right = geometry.seen
    assert (top, bottom) == pytest.approx((25, 375))
    assert (left, right) == pytest.approx((125, 475), abs=0.5)
    down, across = geometry.to_input(np.array([top, bottom]), np.array([left, right]))
    assert down == pytest.approx([0, 1])
    assert across == pytest.approx([0, 1])


def test_normalising_is_undone():
    pixels = np.random.default_rng(0).random((5, 6, 3)).astype(np.float32)
    assert LITE.denormalise(LITE.normalise(pixels)) == pytest.approx(pixels, abs=1e-6)
    assert (LITE.normalise(np.full((1, 1, 3), 0.5, np.float32)) == 0).all()


@pytest.mark.parametrize("shape", [(3,), (7, 3), (5, 6, 3), (2, 5, 6, 3), (0, 6, 3)])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_normalising_row_by_row_is_normalising_each_channel(shape, order):
    """Bit for bit, whatever the shape."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    caffe = ww.Preprocess(resize=None, crop=None, mean=mean, std=std, channel_order=order)
    pixels = np.random.default_rng(0).random(shape, dtype=np.float32)
    numbers = caffe.normalise(pixels)
    assert numbers.shape == shape
    assert numbers.dtype == np.float32
    for k in range(3):
        plane = pixels[..., k if order == "RGB" else 2 - k]
        assert np.array_equal(numbers[..., k], (plane - np.float32(mean[k])) / np.float32(std[k]))


def ramp(height, width):
    """A photo whose red says the row and whose green says the column of a pixel's centre."""
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    return Photo(np.stack([rows / height, columns / width, np.ones((height, width))], axis=-1).astype(np.float32))


@pytest.mark.parametrize(
    "settings",
    [
        {"resize": 64, "crop": (56, 48)},
        {"resize": 64, "crop": None},
        {"resize": (50, 70), "crop": None},
        {"resize": (50, 70), "crop": (41, 60)},
        {"resize": (60, 60), "crop": (60, 60), "fit": "cover"},
        {"resize": (80, 80), "crop": (80, 80), "fit": "contain"},
        {"resize": 30, "crop": (50, 90)},
        {"resize": None, "crop": (40, 40)},
        {"resize": None, "crop": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(90, 140), (141, 91), (33, 35)])
def test_geometry_says_where_each_pixel_came_from(settings, size):
    """Second route: a ramp carries its coordinates through the resampling, to a tenth of a pixel.

    The filter's weights are sampled, so that it does not keep a ramp exactly.
    """
    preprocess = ww.Preprocess(**settings, **AS_IS, interpolation="bilinear")
    photo = ramp(*size)
    pixels, geometry = preprocess.pixels(photo), preprocess.geometry(photo)
    assert pixels.shape[:2] == geometry.size
    top, left, bottom, right = geometry.seen
    rows = top + (np.arange(geometry.size[0]) + 0.5) / geometry.size[0] * (bottom - top)
    columns = left + (np.arange(geometry.size[1]) + 0.5) / geometry.size[1] * (right - left)
    inside = ((rows > 0) & (rows < size[0]))[:, np.newaxis] & (columns > 0) & (columns < size[1])
    assert ((pixels[..., 2] == 1) == inside).all()  # the padding is black
    deep = ((rows > 3) & (rows < size[0] - 3))[:, np.newaxis] & (columns > 3) & (columns < size[1] - 3)
    assert deep.any()
    assert (pixels[..., 0] * size[0])[deep] == pytest.approx((rows[:, np.newaxis] + 0 * columns)[deep], abs=0.1)
    assert (pixels[..., 1] * size[1])[deep] == pytest.approx((columns + 0 * rows[:, np.newaxis])[deep], abs=0.1)


def test_the_seen_mask_counts_the_pixels_that_the_crop_shows():
    preprocess = ww.Preprocess(resize=256, crop=(224, 224), **HALF)
    mask = preprocess.geometry(ramp(400, 600)).seen_mask()
    assert mask.shape == (400, 600)
    assert mask.dtype == bool
    assert mask.sum() == 350 * 350
    assert mask[25:375, 125:475].all()


def test_of_padded_photos_all_is_seen():
    geometry = ww.Preprocess(resize=None, crop=(64, 64), **HALF).geometry(ramp(10, 12))
    assert geometry.seen == (-27, -26, 37, 38)
    assert geometry.seen_mask().all()


def test_padding_is_filled_with_a_colour():
    red = ww.Preprocess(resize=None, crop=(4, 6), fill=(1, 0, 0), **HALF)
    pixels = red.pixels(Photo(np.ones((2, 2, 3), np.float32)))
    assert (pixels[..., 1:].sum(axis=-1) == [[0] * 6, [0, 0, 2, 2, 0, 0], [0, 0, 2, 2, 0, 0], [0] * 6]).all()
    assert (pixels[..., 0] == 1).all()


@pytest.mark.parametrize("name", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_eight_bits_and_floats_agree_where_the_picture_is_smooth(name):
    rows, columns = np.mgrid[0:90, 0:120]
    waves = np.round(np.sin(rows / 9 + columns / 11)[..., np.newaxis] * [60, 90, 120] + 128) / 255
    photo = Photo(waves.astype(np.float32))
    whole = ww.Preprocess(resize=50, crop=(40, 40), interpolation=name, **HALF)
    rounded = dataclasses.replace(whole, eight_bit=True)
    assert rounded.pixels(photo) == pytest.approx(whole.pixels(photo), abs=1.01 / 255)
    assert np.abs(rounded.pixels(photo) * 255 - np.round(rounded.pixels(photo) * 255)).max() < 1e-4


@pytest.mark.parametrize("eight_bit", [False, True])
def test_a_part_is_resampled_as_the_whole_is(monkeypatch, eight_bit):
    """Where a photo is long, only what the crop shows is resampled: to the same numbers."""
    rng = np.random.default_rng(0)
    photo = Photo((rng.integers(0, 256, (40, 700, 3)) / 255).astype(np.float32))
    preprocess = ww.Preprocess(resize=57, crop=(48, 48), eight_bit=eight_bit, **HALF)
    whole = preprocess.pixels(photo)
    monkeypatch.setattr("whatwhere.pixels.preprocess._SPARE", 0)
    assert preprocess.pixels(photo) == pytest.approx(whole, abs=1e-4 + eight_bit * 1.01 / 255)


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1), (2, 3)])
def test_extreme_shapes_cost_no_more_memory_than_others(size):
    photo = Photo(np.full((*size, 3), 0.25, np.float32))
    preprocess = ww.Preprocess(resize=256, crop=(224, 224), **HALF)
    tracemalloc.start()
    try:
        pixels = preprocess.pixels(photo)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pixels == pytest.approx(np.full((224, 224, 3), 0.25), abs=1e-6)
    assert peak < 5e6
    assert preprocess.geometry(photo).size == (224, 224)


def test_an_enormous_input_is_refused():
    with pytest.raises(ValueError, match=r"a photo of 1 x 5000 pixels would become an input of 256 x 1280000; give a"):
        ww.Preprocess(resize=256, crop=None, **HALF).pixels(Photo(np.zeros((1, 5000, 3), np.float32)))


def test_networks_of_grey_images_get_luma():
    """Second route: Pillow's own conversion, which rounds to a grey level."""
    colours = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    preprocess = ww.Preprocess(resize=None, crop=None, mean=(0,), std=(1 / 255,))
    numbers = preprocess.normalise(preprocess.pixels(read_photo(colours)))
    assert numbers.shape == (8, 9, 1)
    assert numbers.dtype == np.float32
    assert numbers[..., 0] == pytest.approx(np.asarray(Image.fromarray(colours).convert("L"), float), abs=1)
    assert preprocess.denormalise(numbers).shape == (8, 9, 3)
    assert preprocess.normalise(preprocess.denormalise(numbers)) == pytest.approx(numbers, abs=1e-3)


def test_blue_first_and_zero_to_255():
    caffe = ww.Preprocess(
        resize=None,
        crop=None,
        mean=[m / 255 for m in (103.939, 116.779, 123.68)],
        std=(1 / 255,) * 3,
        channel_order="BGR",
    )
    red = np.array([[[1, 0, 0]]], np.float32)
    assert caffe.normalise(red)[0, 0] == pytest.approx([-103.939, -116.779, 255 - 123.68], abs=1e-3)
    assert caffe.denormalise(caffe.normalise(red)) == pytest.approx(red, abs=1e-6)


def test_a_preprocess_is_a_value():
    one = ww.Preprocess(resize=256, crop=[224, 224], mean=[0.5] * 3, std=np.array([0.5] * 3))
    assert one == LITE
    assert hash(one) == hash(LITE)
    assert one.input_size == (224, 224)
    assert dataclasses.replace(one, crop=None).input_size is None
    assert dataclasses.replace(one, crop=None, resize=(3, 4)).input_size == (3, 4)
    assert dataclasses.replace(one, crop=None, resize=(3, 4), fit="contain").input_size is None


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"resize": 0}, ValueError, "resize: wanted at least 1 pixel, got 0"),
        ({"resize": 2.5}, TypeError, r"resize: wanted a whole number of pixels, got 2\.5"),
        ({"resize": (1, 2, 3)}, ValueError, r"resize: wanted \(height, width\) in pixels, got \(1, 2, 3\)"),
        ({"resize": True}, ValueError, "resize: wanted at least 1 pixel, got True"),
        ({"crop": "center"}, TypeError, r"crop: wanted \(height, width\) in pixels, got 'center'"),
        ({"crop": (224, -1)}, ValueError, "crop: wanted at least 1 pixel, got -1"),
        ({"mean": 0.5}, TypeError, r"mean: wanted three numbers, \(r, g, b\), or \(grey,\) for .* got 0\.5"),
        ({"mean": (0, 0, 0, 0)}, ValueError, "mean: wanted three finite numbers, or one"),
        ({"mean": (0,)}, ValueError, "mean and std: wanted as many of one as of the other, got 1 and 3"),
        ({"mean": (0, 0, float("nan"))}, ValueError, "mean: wanted three finite numbers"),
        ({"std": (1, 1, 0)}, ValueError, "std: wanted numbers above 0"),
        ({"std": "abc"}, TypeError, "std: wanted three numbers"),
        ({"interpolation": "cubic"}, ValueError, "interpolation: wanted one of .*'bicubic'.* got 'cubic'"),
        ({"fit": "crop"}, ValueError, "fit: wanted one of"),
        ({"margin": "up"}, ValueError, "margin: wanted one of"),
        ({"channel_order": "GBR"}, ValueError, "channel_order: wanted one of"),
    ],
)
def test_wrong_settings_are_refused_with_words(wrong, error, message):
    with pytest.raises(error, match=message):
        ww.Preprocess(**{"resize": 256, "crop": (224, 224), **HALF, **wrong})


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.one_of(st.none(), st.integers(1, 50), st.tuples(st.integers(1, 50), st.integers(1, 50))),
    st.one_of(st.none(), st.tuples(st.integers(1, 50), st.integers(1, 50))),
    st.fixed_dictionaries(
        {
            "fit": st.sampled_from(["stretch", "cover", "contain"]),
            "interpolation": st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
            "eight_bit": st.booleans(),
            "margin": st.sampled_from(["round", "down"]),
        }
    ),
)
def test_pixels_and_geometry_agree_for_every_setting(size, resize, crop, others):
    preprocess = ww.Preprocess(resize=resize, crop=crop, **others, **HALF)
    photo = ramp(*size)
    pixels, geometry = preprocess.pixels(photo), preprocess.geometry(photo)
    assert pixels.shape == (*geometry.size, 3)
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() <= pixels.max() <= 1
    assert preprocess.input_size in (None, geometry.size)
    assert preprocess.denormalise(preprocess.normalise(pixels)) == pytest.approx(pixels, abs=1e-6)


def test_words_alone():
    read = ww.Preprocess.read
    assert read(input_size=224, **HALF) == ww.Preprocess(resize=(224, 224), fit="cover", crop=(224, 224), **HALF)
    assert read(input_size=224, resize=256, **HALF) == LITE
    assert read(input_size=224, crop=None, **HALF) == ww.Preprocess(resize=(224, 224), crop=None, **HALF)
    assert read(resize=(64, 96), **HALF) == ww.Preprocess(resize=(64, 96), crop=None, **HALF)
    assert read(resize=64, crop=None, **HALF) == ww.Preprocess(resize=64, crop=None, **HALF)
    assert read(crop=None, **HALF) == ww.Preprocess(resize=None, crop=None, **HALF)
    assert read(input_size=28, mean=[0.1307], std=[0.3081], interpolation="bilinear").mean == (0.1307,)


def test_the_input_size_alone_shows_as_much_of_the_photo_as_it_can():
    geometry = ww.Preprocess.read(input_size=(100, 200), **HALF).geometry(ramp(300, 300))
    assert geometry.seen == pytest.approx((75, 0, 225, 300))
    assert geometry.size == (100, 200)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {},
            r"say how pixels become.*weights\.transforms\(\).*timm data config.*input_size=224.*Missing: mean and std",
        ),
        ({"input_size": 224}, "Missing: mean and std"),
        ({"input_size": 224, "mean": (0, 0, 0)}, r"Missing: std\."),
        (HALF, "Missing: input_size"),
        ({"resize": 256, **HALF}, "Missing: input_size"),
        ({"input_size": 224, "resize": 256, "crop": None, **HALF}, "leave resize=256 out"),
        ({"input_size": 224, "crop": "top", **HALF}, 'crop: wanted "center" or None'),
        ({"input_size": (3, 224, 224), **HALF}, r"input_size: wanted \(height, width\) in pixels, got \(3, 224, 224\)"),
    ],
)
def test_missing_and_contradicting_words_teach(words, message):
    with pytest.raises(ValueError, match=message):
        ww.Preprocess.read(**words)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("shape", [(3,), (5, 3), (0, 3), (4, 0, 3), (6, 7, 3), (2, 4, 5, 3)])
def test_normalising_is_bit_for_bit_the_formula(shape, order):
    preprocess = dataclasses.replace(LITE, mean=(0.1, 0.2, 0.3), std=(0.7, 0.8, 0.9), channel_order=order)
    pixels = np.random.default_rng(0).random(shape, dtype=np.float32)
    before = pixels.copy()
    mean, std = np.float32([0.1, 0.2, 0.3]), np.float32([0.7, 0.8, 0.9])
    for photo in (pixels, np.asfortranarray(pixels)):
        numbers = preprocess.normalise(photo)
        assert numbers.dtype == np.float32
        assert np.array_equal(numbers, ((photo if order == "RGB" else photo[..., ::-1]) - mean) / std)
    assert np.array_equal(pixels, before)
