"""Reading images: what is taken, and what is refused with which words."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import whatwhere as ww
from whatwhere.images import Photo, is_one_image, name_images, read_photo

GRADIENT = np.linspace(0, 255, 12 * 10 * 3).reshape(12, 10, 3).astype(np.uint8)


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "image",
    [
        GRADIENT,
        np.asfortranarray(GRADIENT),
        GRADIENT.astype(np.uint16) * 257,
        GRADIENT / 255,
        (GRADIENT / 255).astype(np.float32),
        Image.fromarray(GRADIENT),
        encoded(Image.fromarray(GRADIENT)),
        bytearray(encoded(Image.fromarray(GRADIENT))),
        torch.from_numpy(GRADIENT).permute(2, 0, 1),
        torch.from_numpy(GRADIENT).permute(2, 0, 1).float() / 255,
        torch.from_numpy(GRADIENT / 255).permute(2, 0, 1).requires_grad_(),
        Photo((GRADIENT / 255).astype(np.float32)),
    ],
    ids=lambda image: type(image).__name__,
)
def test_all_forms_of_a_picture_are_the_same(image):
    pixels = read_photo(image).pixels
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    assert pixels == pytest.approx(GRADIENT / 255, abs=1e-6)


def test_files(tmp_path):
    path = tmp_path / "gradient.png"
    Image.fromarray(GRADIENT).save(path)
    for source in (path, str(path)):
        assert read_photo(source).pixels == pytest.approx(GRADIENT / 255, abs=1e-6)


@pytest.mark.parametrize(
    "image",
    [GRADIENT[..., 0], GRADIENT[..., :1], Image.fromarray(GRADIENT[..., 0]), torch.from_numpy(GRADIENT[..., 0])],
)
def test_grey_becomes_rgb(image):
    pixels = read_photo(image).pixels
    assert pixels.shape == (12, 10, 3)
    assert (pixels == pixels[..., :1]).all()
    assert pixels[..., 0] == pytest.approx(GRADIENT[..., 0] / 255, abs=1e-6)


def test_transparency_is_laid_on_white():
    picture = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (read_photo(picture).pixels == 1).all()


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    assert read_photo(encoded(Image.fromarray(GRADIENT), "JPEG", exif=exif)).size == (10, 12)


def test_sixteen_bit_grey_files_keep_their_depth():
    deep = (np.arange(64, dtype=np.uint16) * 1000).reshape(8, 8)
    assert read_photo(encoded(Image.fromarray(deep))).pixels[..., 0] == pytest.approx(deep / 65535, abs=1e-6)


def test_cmyk():
    assert read_photo(encoded(Image.new("CMYK", (5, 4)), "JPEG")).pixels == pytest.approx(1, abs=0.01)


BAD = [
    (np.full((4, 4, 3), np.nan), ValueError, "48 of 48 values are NaN or infinite"),
    (np.full((4, 4, 3), np.inf), ValueError, "NaN or infinite"),
    (np.full((4, 4, 3), 200.0), ValueError, "looks like a 0 to 255 scale: divide by 255"),
    (np.full((4, 4, 3), 60000.0), ValueError, "looks like a 16-bit scale"),
    (np.linspace(-1, 1, 48).reshape(4, 4, 3), ValueError, r"looks like a -1 to 1 scale.*model\.images_from\(batch\)"),
    (np.linspace(-2.1, 2.6, 48).reshape(4, 4, 3), ValueError, r"looks normalised.*model\.images_from\(batch\)"),
    (np.linspace(-0.1, 1.1, 48).reshape(4, 4, 3), ValueError, "After a resize that overshoots, clip it"),
    (np.zeros((4, 4, 2)), ValueError, r"got shape \(4, 4, 2\)"),
    (np.zeros((4, 4, 4)), ValueError, r"keep three channels: array\[\.\.\., :3\]"),
    (np.zeros((3, 8, 8)), ValueError, r"channels come last: array\.transpose\(1, 2, 0\)"),
    (np.zeros((0, 4, 3)), ValueError, "which is empty"),
    (np.zeros(7), ValueError, r"got shape \(7,\)"),
    (np.zeros((4, 4, 3), np.int64), TypeError, r"got int64; use array\.astype\('uint8'\)"),
    (np.zeros((4, 4, 3), complex), TypeError, "got complex128"),
    (torch.zeros(8, 8, 3), ValueError, r"channels come first: tensor\.permute\(2, 0, 1\)"),
    (torch.zeros(5, 8, 8), ValueError, "wanted 1 or 3 channels"),
    ("no/such/file.jpg", ValueError, "does not exist"),
    (".", ValueError, "is a folder"),
    (b"not an image", ValueError, "12 bytes is not an image that Pillow can read"),
    (encoded(Image.fromarray(GRADIENT))[:-40], ValueError, "is broken or cut off"),
    (None, TypeError, r"got builtins\.NoneType"),
    (3.5, TypeError, r"got builtins\.float"),
]


@pytest.mark.parametrize(("image", "error", "message"), BAD, ids=[b[2][:30] for b in BAD])
def test_bad_images_say_what_to_do(image, error, message):
    with pytest.raises(error, match=message) as caught:
        read_photo(image, name="breakfast")
    assert str(caught.value).startswith("breakfast: ")


def test_rounding_errors_of_floats_are_not_another_scale():
    pixels = read_photo(np.full((2, 2, 3), 1 + 5e-7)).pixels
    assert (pixels == 1).all()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.float16, np.float32, np.float64, np.bool_]),
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])),
        elements={"min_value": 0, "max_value": 1},
    )
)
def test_any_good_array_is_read_within_its_range(array):
    pixels = read_photo(array).pixels
    assert pixels.shape == (*array.shape[:2], 3)
    assert 0 <= pixels.min() <= pixels.max() <= 1


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=4, max_side=5)))
def test_any_array_is_read_or_refused_with_a_reason(array):
    good = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3))
    if good and np.isfinite(array).all() and 0 <= array.min() and array.max() <= 1:  # noqa: SIM300  # reads as a range
        assert read_photo(array).pixels.shape == (*array.shape[:2], 3)
    elif not (good and np.isfinite(array).all() and array.min() >= -1e-6 and array.max() <= 1 + 1e-6):
        with pytest.raises(ValueError, match=r"^image: "):
            read_photo(array)


def test_names():
    image = GRADIENT
    assert list(name_images(image)) == ["image"]
    assert list(name_images([image, image])) == ["image 1", "image 2"]
    assert list(name_images({"a": image, 3: image})) == ["a", "3"]
    assert list(name_images(["x/cat.jpg", "y/cat.jpg", image])) == ["cat", "cat (2)", "image 3"]
    assert list(name_images(np.zeros((2, 4, 4, 3)))) == ["image 1", "image 2"]
    assert is_one_image("cat.jpg")
    assert not is_one_image(["cat.jpg"])


@pytest.mark.parametrize("empty", [[], {}, np.zeros((0, 4, 4, 3)), torch.zeros(0, 3, 4, 4)])
def test_an_empty_batch_is_refused(empty):
    with pytest.raises(ValueError, match="images: wanted at least one image, got an empty collection"):
        name_images(empty)


def test_a_generator_is_refused_with_advice():
    with pytest.raises(TypeError, match="turn a generator into a list first"):
        name_images(image for image in [GRADIENT])


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


def test_a_crop_that_does_not_fit_is_refused():
    small = ww.Preprocess(resize=32, crop=(64, 64), mean=(0, 0, 0), std=(1, 1, 1))
    with pytest.raises(ValueError, match=r"at most the resized photo's 32 x 38 pixels, got \(64, 64\)"):
        small.geometry(read_photo(np.zeros((10, 12, 3))))


def test_a_broken_file_of_a_rare_format_is_refused_in_words():
    with pytest.raises(ValueError, match="scan: 16 bytes is broken or cut off"):
        read_photo(b"P3\n4 4\n255\nx y z", name="scan")


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_in_either_byte_order(order):
    assert read_photo(np.full((4, 4, 3), 65535, dtype=order)).pixels.max() == 1


def test_normalising_is_undone():
    pixels = np.random.default_rng(0).random((5, 6, 3)).astype(np.float32)
    assert LITE.denormalise(LITE.normalise(pixels)) == pytest.approx(pixels, abs=1e-6)
    assert (LITE.normalise(np.full((1, 1, 3), 0.5, np.float32)) == 0).all()
