"""Reading and naming images: what is taken, and what is refused with which words."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from whatwhere.pixels.images import DatasetImage, Photo, is_one_image, iterate_images, name_images, read_photo

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
        memoryview(encoded(Image.fromarray(GRADIENT))),
        memoryview(GRADIENT),
        io.BytesIO(encoded(Image.fromarray(GRADIENT))),
        encoded(Image.fromarray(GRADIENT), "TIFF"),
        encoded(Image.fromarray(GRADIENT), "WEBP", lossless=True),
        (GRADIENT / 255).astype(">f4"),
        (GRADIENT.astype(np.uint16) * 257).astype(">u2"),
        np.repeat(GRADIENT, 2, axis=1)[:, ::2],
        GRADIENT[::-1, ::-1].copy()[::-1, ::-1],
        np.broadcast_to(GRADIENT, GRADIENT.shape),
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
    (np.zeros((4, 4, 5)), ValueError, r"got shape \(4, 4, 5\); channels come last"),
    (np.zeros((8, 8, 7)), ValueError, r"keep three channels: array\[\.\.\., :3\]"),
    (np.zeros((3, 8, 8)), ValueError, r"channels come last: array\.transpose\(1, 2, 0\)"),
    (np.zeros((0, 4, 3)), ValueError, "which is empty"),
    (np.zeros(7), ValueError, r"got shape \(7,\)"),
    (np.zeros((4, 4, 3), np.int64), TypeError, r"got int64; use array\.astype\('uint8'\)"),
    (np.zeros((4, 4, 3), complex), TypeError, "got complex128"),
    (torch.zeros(8, 8, 3), ValueError, r"channels come first: tensor\.permute\(2, 0, 1\)"),
    (torch.zeros(5, 8, 8), ValueError, "wanted 1 to 4 channels"),
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
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2, 3, 4])),
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
    good = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 2, 3, 4))
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


def test_a_broken_file_of_a_rare_format_is_refused_in_words():
    with pytest.raises(ValueError, match="scan: 16 bytes is broken or cut off"):
        read_photo(b"P3\n4 4\n255\nx y z", name="scan")


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_in_either_byte_order(order):
    assert read_photo(np.full((4, 4, 3), 65535, dtype=order)).pixels.max() == 1


def as_tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)


@pytest.mark.parametrize("tensor", [torch.float16, torch.bfloat16, torch.float64, torch.bool], ids=str)
def test_tensors_of_any_float(tensor):
    halves = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).to(tensor)
    assert (read_photo(halves).pixels[..., 0] == [[0, 1], [1, 0]]).all()


def test_torchvisions_tensors_are_tensors():
    from torchvision import tv_tensors

    assert read_photo(tv_tensors.Image(as_tensor(GRADIENT))).pixels == pytest.approx(GRADIENT / 255, abs=1e-6)


def test_a_sparse_tensor_is_read_and_a_meta_tensor_refused():
    assert (read_photo(torch.eye(4).to_sparse()).pixels[..., 0] == np.eye(4)).all()
    with pytest.raises(TypeError, match=r"photo: wanted a tensor of numbers, got one of dtype .* on meta"):
        read_photo(torch.zeros(3, 4, 4, device="meta"), name="photo")


def test_one_transparent_picture_in_all_its_forms():
    """White shows through by as much as alpha leaves open."""
    rgba = np.random.default_rng(1).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] / 255 * alpha + 1 - alpha
    forms = [rgba, rgba / 255, Image.fromarray(rgba), encoded(Image.fromarray(rgba)), as_tensor(rgba)]
    for image in forms:
        assert read_photo(image).pixels == pytest.approx(expected, abs=1e-6)
    assert all((read_photo(image).pixels == read_photo(rgba).pixels).all() for image in (*forms[2:], rgba))


def test_grey_with_alpha():
    grey = np.array([[[100, 255], [100, 0]]], dtype=np.uint8)
    for image in (grey, Image.fromarray(grey), as_tensor(grey)):
        assert read_photo(image).pixels[0, :, 0] == pytest.approx([100 / 255, 1])


def test_palettes_with_and_without_transparency():
    palette = Image.fromarray(GRADIENT).quantize(16)
    assert (read_photo(palette).pixels == np.asarray(palette.convert("RGB"), np.float32) / np.float32(255)).all()
    clear = Image.new("P", (2, 2), 0)
    clear.putpalette([255, 0, 0])
    assert (read_photo(encoded(clear, transparency=0)).pixels == 1).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LA", "PA", "I", "F", "I;16"])
def test_every_mode_of_pillow(mode):
    assert read_photo(Image.new(mode, (3, 2))).pixels.shape == (2, 3, 3)


def test_a_mode_that_pillow_cannot_convert_is_refused():
    with pytest.raises(ValueError, match="scan: wanted a PIL image that converts to RGBA, got mode 'La'"):
        read_photo(Image.new("La", (3, 2)), name="scan")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_pictures_as_pillow_does(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(GRADIENT), exif=exif)
    with Image.open(io.BytesIO(data)) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture), np.float32) / np.float32(255)
        assert (read_photo(picture).pixels == expected).all()
    assert (read_photo(data).pixels == expected).all()


@pytest.mark.parametrize("exif", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM\0*\0\0"])
def test_damaged_exif_does_not_cost_the_picture(exif):
    assert read_photo(encoded(Image.fromarray(GRADIENT), "JPEG", exif=exif)).size == (12, 10)


def test_an_animation_shows_its_first_frame():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_photo(data).pixels[0, 0] == pytest.approx([1, 0, 0], abs=0.02)


def test_an_open_file_is_read_from_its_beginning_and_left_where_it_was(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(GRADIENT).save(path)
    with path.open("rb") as file:
        file.seek(7)
        for _ in range(2):
            assert read_photo(file).size == (12, 10)
        assert file.tell() == 7
        assert list(name_images([file])) == ["cat"]
        assert is_one_image(file)
    with pytest.raises(ValueError, match="image: wanted an open file, got one that cannot be read: I/O operation on"):
        read_photo(file)
    with (tmp_path / "cat.txt").open("w+") as text, pytest.raises(TypeError, match="opened in binary mode"):
        read_photo(text)


@pytest.mark.parametrize("path", ["a\0b.png", "x" * 5000])
def test_impossible_paths_are_refused_in_few_words(path):
    with pytest.raises(ValueError, match=r"^image: ") as caught:
        read_photo(path)
    assert len(str(caught.value)) < 400
    assert is_one_image(path)


def test_masked_values_are_refused():
    with pytest.raises(ValueError, match=r"image: 1 of 4 values are masked; fill them"):
        read_photo(np.ma.masked_array(np.zeros((2, 2)), mask=[[True, False], [False, False]]))
    assert read_photo(np.ma.masked_array(np.zeros((2, 2)))).size == (2, 2)


@pytest.mark.parametrize("image", [np.float32(0.5), np.zeros(()), torch.tensor(0.5), memoryview(np.zeros(()))])
def test_a_number_is_no_image(image):
    with pytest.raises(ValueError, match=r"got shape \(\)"):
        read_photo(np.asarray(image) if isinstance(image, np.float32) else image)


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "every second": lambda a: np.repeat(a, 2, axis=0)[::2],
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder()),
    "locked": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
}


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2, 3, 4]))),
    st.sampled_from(sorted(LAYOUTS)),
)
def test_the_same_picture_gives_the_same_pixels_in_every_form(array, layout):
    expected = read_photo(np.ascontiguousarray(array)).pixels
    picture = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    laid = LAYOUTS[layout](array)
    for image in (laid, laid.astype(np.uint16) * 257, picture, encoded(picture), as_tensor(array), memoryview(array)):
        pixels = read_photo(image).pixels
        assert pixels.flags.c_contiguous
        assert pixels.flags.writeable
        assert np.abs(pixels - expected).max() < 1e-6
        if not isinstance(image, np.ndarray):
            assert (pixels == expected).all()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.none(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.binary(max_size=60),
        st.lists(st.integers(), max_size=3),
        hnp.arrays(
            st.one_of(hnp.integer_dtypes(), hnp.complex_number_dtypes(sizes=(64,))), hnp.array_shapes(max_side=4)
        ),
        hnp.arrays(hnp.floating_dtypes(sizes=(16, 32, 64)), hnp.array_shapes(min_dims=0, max_dims=4, max_side=4)),
        hnp.arrays("U3", hnp.array_shapes(max_side=3)),
        hnp.arrays(np.int32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=4)).map(torch.from_numpy),
    )
)
def test_anything_at_all_is_read_or_refused_by_name(image):
    try:
        pixels = read_photo(image, name="breakfast").pixels
    except (TypeError, ValueError) as error:
        assert str(error).startswith("breakfast: ")  # noqa: PT017  # either outcome is fine, the words are the point
    else:
        assert pixels.dtype == np.float32
        assert pixels.shape[2:] == (3,)
        assert 0 <= pixels.min() <= pixels.max() <= 1


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "PPM", "WEBP"]), st.integers(0, 300), st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused_by_name(kind, place, value):
    data = bytearray(encoded(Image.fromarray(GRADIENT), kind))
    data[place % len(data)] = value
    try:
        assert read_photo(data, name="scan").pixels.shape[2] == 3
    except ValueError as error:
        assert str(error).startswith("scan: ")  # noqa: PT017  # likewise


def test_a_hundred_megapixels_of_an_array_are_averaged_in_little_memory():
    """Known answer: the means of blocks of 3 x 3; the last block of 10000 = 3333 * 3 + 1 is smaller."""
    ramp = np.repeat(np.arange(10_000) % 200, 3).reshape(10_000, 3).astype(np.uint8)
    tracemalloc.start()
    try:
        photo = read_photo(np.broadcast_to(ramp, (10_000, 10_000, 3)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert photo.size == (3334, 3334)
    assert peak < 330e6  # the result takes 133 MB, all pixels would take 1200
    blocks = [ramp[k : k + 3, 0].mean() / 255 for k in range(0, 10_000, 3)]
    assert photo.pixels[0, :, 1] == pytest.approx(blocks, abs=1e-6)
    assert np.ptp(photo.pixels, axis=0).max() < 1e-6


def test_a_hundred_megapixel_file_is_read_at_half_its_size():
    """Pillow warns of such a file; the reader does not."""
    data = encoded(Image.new("L", (10_000, 10_000), 128), "JPEG", quality=30)
    tracemalloc.start()
    try:
        photo = read_photo(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert photo.size == (2500, 2500)
    assert peak < 200e6
    assert (photo.pixels == photo.pixels[0, 0]).all()
    assert photo.pixels[0, 0] == pytest.approx(128 / 255, abs=0.01)


def test_large_pictures_are_the_same_in_every_form_and_turned_upright(monkeypatch):
    monkeypatch.setattr("whatwhere.pixels.arrays._MOST_PIXELS", 100)
    monkeypatch.setattr("whatwhere.pixels.arrays._STRIP_PIXELS", 40)
    noise = np.random.default_rng(0).integers(0, 256, (31, 18, 3), dtype=np.uint8)
    photo = read_photo(noise)
    expected = np.stack([[noise[r : r + 3, c : c + 3].mean((0, 1)) for c in range(0, 18, 3)] for r in range(0, 31, 3)])
    assert photo.pixels == pytest.approx(expected / 255, abs=1e-6)
    exif = Image.Exif()
    exif[0x0112] = 6
    for image in (Image.fromarray(noise), encoded(Image.fromarray(noise)), as_tensor(noise)):
        assert (read_photo(image).pixels == photo.pixels).all()
    turned = read_photo(encoded(Image.fromarray(noise), exif=exif))
    assert (turned.pixels == np.rot90(photo.pixels, -1)).all()


def claiming(width, height):
    """A PNG file of a few bytes that says it has a given size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + bytes(4)
        + b"IDAT"
    )


def test_a_decompression_bomb_is_refused_before_it_is_unpacked():
    with pytest.raises(ValueError, match=r"scan: 45 bytes is too large: .*3600000000 pixels.*MAX_IMAGE_PIXELS = None"):
        read_photo(claiming(60_000, 60_000) + bytes(4), name="scan")
    with pytest.raises(ValueError, match="is broken or cut off"):
        read_photo(claiming(10_000, 10_000))


@pytest.fixture
def folder(tmp_path):
    """Two classes; two files of one name; hidden ones, and others that are no images."""
    for place in ("tench/2.png", "tench/10.JPG", "crane/1.jpg", "crane/1.png", ".hidden/3.png", "crane/.4.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        Image.fromarray(GRADIENT).save(tmp_path / place)
    (tmp_path / "labels.csv").write_text("a,b")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_a_folder_stands_for_the_images_below_it(folder):
    named = name_images(folder)
    assert list(named) == ["crane/1.jpg", "crane/1.png", "tench/10", "tench/2"]
    assert named == name_images(str(folder)) == dict(iterate_images(folder))
    assert all(read_photo(path).size == (12, 10) for path in named.values())
    assert not is_one_image(folder)
    assert is_one_image(folder / "tench/2.png")


def test_a_folder_without_images_is_refused(folder):
    with pytest.raises(ValueError, match=r"wanted a folder with images in it or below it, found none in .*empty"):
        name_images(folder / "empty")
    with pytest.raises(ValueError, match="is a folder; pass one of its files, or the folder where several are taken"):
        read_photo(folder)


def test_folders_that_link_in_a_circle_are_read_once(folder):
    try:
        (folder / "tench" / "again").symlink_to(folder, target_is_directory=True)
        (folder / "others").symlink_to(folder / "crane", target_is_directory=True)
    except OSError:
        pytest.skip("links need a right that this account lacks")
    assert len(name_images(folder)) == 4


def test_names_never_hide_an_image():
    images = ["cat (3).jpg", "a/cat.jpg", "b/cat.jpg", GRADIENT, "image 4.png", "image 6.png", GRADIENT]
    named = name_images(images)
    assert list(named.values()) == images
    with pytest.raises(ValueError, match="wanted keys that differ as text, got '1' twice"):
        name_images({1: GRADIENT, "1": GRADIENT})


class Pairs:
    """What torch calls a dataset: a length, and (image, label) by number."""

    def __init__(self, count):
        self.count, self.fetched = count, 0

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.fetched += 1
        return Image.fromarray(GRADIENT), index


def test_a_dataset_is_fetched_when_it_is_read():
    pairs = Pairs(1_000)
    named = name_images(pairs)
    assert list(named)[:2] == ["image 1", "image 2"]
    assert len(named) == 1_000
    assert pairs.fetched == 0
    assert read_photo(named["image 7"]).size == (12, 10)
    assert pairs.fetched == 1
    assert is_one_image(named["image 7"])


def test_items_of_datasets_leave_their_labels_out():
    assert list(name_images([(GRADIENT, 3), ("cat.jpg", 4)])) == ["image 1", "cat"]
    assert read_photo(DatasetImage([{"image": GRADIENT, "label": 1}], 0)).size == (12, 10)
    with pytest.raises(ValueError, match=r"wanted one of the keys \('image', 'img', 'pixel_values'\).*got \['label'\]"):
        read_photo(DatasetImage([{"label": 1}], 0))
    with pytest.raises(ValueError, match="got an empty tuple"):
        DatasetImage([()], 0).load()


def test_images_are_iterated_one_at_a_time():
    made = []

    def make():
        for k in range(1_000_000):
            made.append(k)
            yield GRADIENT

    images = iterate_images(make())
    assert [next(images)[0] for _ in range(3)] == ["image 1", "image 2", "image 3"]
    assert len(made) == 3


def test_data_loaders_are_taken_apart():
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 4, 4) / 5, torch.arange(5))
    named = dict(iterate_images(DataLoader(data, batch_size=2)))
    assert list(named) == [f"image {k}" for k in range(1, 6)]
    assert [read_photo(image).pixels[0, 0, 0] for image in named.values()] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize("images", [GRADIENT, [GRADIENT, "a/cat.jpg", "b/cat.jpg"], {"x": GRADIENT}, Pairs(3)])
def test_iterating_gives_the_names_that_naming_gives(images):
    assert [name for name, _ in iterate_images(images)] == list(name_images(images))


def test_what_holds_no_images_is_refused_when_iterated():
    with pytest.raises(ValueError, match="got an empty collection"):
        next(iterate_images(iter([])))
    with pytest.raises(TypeError, match="batch or iterable of images, got int"):
        iterate_images(3)
