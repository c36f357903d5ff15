"""Spectra: their symmetry, their resizing, their files, and what photographs have."""

import hashlib

import numpy as np
import pytest
from PIL import Image

import whatwhere as ww
from whatwhere.prototypes import spectrum as spectrum_module
from whatwhere.prototypes.colours import TO_RGB, decorrelate, to_network
from whatwhere.prototypes.measured import magnitude_from_images
from whatwhere.prototypes.spectrum import PHOTO_LAW, Law, Spectrum, grey_of, own_mirrors, symmetric

POWER = Law((2.0,) * 3, (1.2,) * 3, (1e9,) * 3, (2.0,) * 3, (0.0,) * 3, (0.5,) * 3)
SIZES = [(64, 64), (65, 65), (48, 80), (97, 30), (512, 512), (20, 21)]


def is_real(magnitude, width):
    mirror = -np.arange(magnitude.shape[1]) % magnitude.shape[1]
    return all(np.allclose(magnitude[:, :, c], magnitude[:, mirror, c], rtol=1e-6) for c in own_mirrors(width))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spectrum", [PHOTO_LAW, Spectrum.photos()], ids=["law", "photos"])
def test_any_size_is_the_spectrum_of_a_real_picture(spectrum, size):
    found = spectrum.at(size)
    assert found.shape == (3, size[0], size[1] // 2 + 1)
    assert found.dtype == np.float32
    assert (found > 0).all()
    assert is_real(found, size[1])


@pytest.mark.parametrize("source", [(128, 128), (127, 127), (96, 160), (101, 64)])
@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_exact_for_a_power_law_but_for_the_grid(source, size):
    """The law at both sizes is known; between the bins a logarithm is interpolated."""
    found = Spectrum(POWER.at(source), source[1]).at(size)
    wanted = POWER.at(size)
    away = np.abs(np.log(found / wanted))
    radius = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1]))
    assert away[:, radius < 0.49].max() < 1e-3
    assert away.max() < 0.02  # odd sizes do not reach the last frequency
    assert np.allclose(found[:, 0, 0], 0.5)


def test_the_same_size_is_as_it_was():
    photos = Spectrum.photos()
    assert np.array_equal(photos.at((128, 128)), symmetric(photos.magnitude, 128))
    assert np.allclose(photos.at((128, 128)), photos.magnitude, rtol=2e-3)  # stored in half precision


def test_a_spectrum_is_read_and_resized_once_however_often_it_is_asked_for(monkeypatch, small, quick):
    Spectrum.photos().at((48, 48))

    def again(*_, **__):
        pytest.fail("the spectrum was read or resized again")

    first = quick.run(small, "hen", progress=False)
    monkeypatch.setattr(np, "load", again)
    monkeypatch.setattr(spectrum_module, "files", again)
    monkeypatch.setattr(spectrum_module, "_resized", again)
    assert np.array_equal(quick.run(small, "hen", progress=False).image, first.image)
    Spectrum.photos().at((48, 48))[:] = 0  # the caller's own
    assert Spectrum.photos().at((48, 48)).min() > 0


def test_the_law_fits_the_photos():
    size = (256, 256)
    radius = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256))
    ring = (radius > 1 / 128) & (radius < 0.5)
    away = np.log(PHOTO_LAW.at(size) / Spectrum.photos().at(size))[:, ring]
    assert np.sqrt((away**2).mean()) < 0.12
    assert abs(away.mean()) < 0.03


def test_natural_pictures_fall_with_frequency_and_have_a_cross():
    light = Spectrum.photos().at((128, 128))[0]
    assert light[0, 2] > 3 * light[0, 8] > 9 * light[0, 40]
    assert light[0, 30] > 1.2 * light[21, 21]
    assert Spectrum.photos().images > 400
    assert "ImageNet" in Spectrum.photos().note


def test_grey_is_the_channel_of_light():
    for spectrum in (PHOTO_LAW, Spectrum.photos()):
        grey = grey_of(spectrum)
        assert grey.space == "grey"
        assert np.allclose(grey.at((40, 40))[0], spectrum.at((40, 40))[0], rtol=1e-6)
        assert grey_of(grey) is grey
    with pytest.raises(ValueError, match="wanted one of grey or decorrelated pictures, got one of rgb"):
        grey_of(Spectrum(np.ones((3, 8, 5)), 8, "rgb"))


def test_spectra_compare_by_content():
    a, b = (Spectrum(np.ones((3, 8, 5)), 8, source=word) for word in ("a", "b"))
    assert a == b
    assert hash(a) == hash(b)
    assert a != Spectrum(np.ones((3, 8, 5)), 9)
    assert a != Spectrum(np.ones((3, 8, 5)), 8, "rgb")
    assert a != 3
    assert len({PHOTO_LAW.key, POWER.key}) == 2
    with pytest.raises(ValueError, match="read-only"):
        a.magnitude[0] = 0


@pytest.mark.parametrize(
    ("magnitude", "options", "message"),
    [
        (np.ones((3, 8, 5)), {"width": 8, "space": "lab"}, "space: wanted one of"),
        (np.ones((3, 8, 5)), {"width": 10}, r"magnitude: wanted shape \(3, H, 6\)"),
        (np.ones((1, 8, 5)), {"width": 8}, r"magnitude: wanted shape \(3, H, 5\)"),
        (np.ones((8, 5)), {"width": 8}, "magnitude: wanted shape"),
        (-np.ones((3, 8, 5)), {"width": 8}, "finite numbers of at least 0"),
        (np.full((3, 8, 5), np.nan), {"width": 8}, "finite numbers of at least 0"),
    ],
)
def test_what_is_no_spectrum_is_refused(magnitude, options, message):
    with pytest.raises(ValueError, match=message):
        Spectrum(magnitude, **options)


def test_files_go_and_come(tmp_path):
    made = Spectrum(np.random.default_rng(0).random((3, 8, 5)), 9, "rgb", "ours", 7, window=True, note="a note",
                    images_hash="0f", licences=["CC0", "CC BY 2.0"])  # fmt: skip
    made.save(tmp_path / "s.npz")
    read = Spectrum.load(tmp_path / "s.npz")
    assert np.allclose(read.magnitude, made.magnitude, rtol=1e-3)
    for name in ("width", "space", "source", "images", "window", "note", "images_hash", "licences"):
        assert getattr(read, name) == getattr(made, name)
        assert type(getattr(read, name)) is type(getattr(made, name))
    assert ww.Maco(spectrum=tmp_path / "s.npz").magnitudes == read


def test_files_from_before_hashes_and_licences_are_read(tmp_path):
    options = {"width": 8, "space": "rgb", "source": "x", "images": 1, "window": False, "note": ""}
    np.savez(tmp_path / "old.npz", magnitude=np.ones((3, 8, 5)), **options)
    read = Spectrum.load(tmp_path / "old.npz")
    assert (read.images_hash, read.licences) == ("", ())
    with pytest.raises(TypeError, match="licences: wanted a sequence of texts, got the one text 'CC0'"):
        Spectrum(np.ones((3, 8, 5)), 8, licences="CC0")


def test_the_packaged_spectrum_is_pinned_and_says_what_it_is_of():
    """Whoever changes it has to say so here; the pictures' hash is `photo_spectrum.py`'s."""
    photos = Spectrum.photos()
    assert hashlib.sha256(photos.magnitude.tobytes()).hexdigest() == (
        "1da81a2623cf2d83740d32d9ceb44ec3b2c020b3edfb2581f764b920cc392d5d"
    )
    assert photos.images_hash == "ffcc17002f9b6093071f3d369336984d348aea90e86edd215d1a05756f2329b1"
    assert photos.licences == ("none is told with the photographs; they are no part of the package",)
    assert (photos.source, photos.images, photos.window, photos.space, photos.width) == (
        "photos", 453, True, "decorrelated", 128,
    )  # fmt: skip
    assert hashlib.sha256(photos.note.encode()).hexdigest().startswith("f44ab8ca7cfd64b6")
    assert "453 photographs of ImageNet" in photos.note


def test_the_packaged_spectrums_pictures_are_those_that_are_hashed(shared_photos):
    """Those of at least 256 pixels a side, hashed by hand."""
    digests = []
    for path in shared_photos:
        with Image.open(path) as photo:
            if min(photo.size) >= 256:
                digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    digests.sort()
    assert len(digests) == Spectrum.photos().images
    assert (
        hashlib.sha256("".join(f"{each}\n" for each in digests).encode()).hexdigest() == Spectrum.photos().images_hash
    )


def test_other_files_are_refused_and_nothing_is_executed(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        Spectrum.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ValueError, match=r"is broken or no \.npz file"):
        Spectrum.load(tmp_path / "text.npz")
    np.savez(tmp_path / "bare.npz", magnitude=np.ones((3, 8, 5)))
    with pytest.raises(ValueError, match="which says colour space and origin"):
        Spectrum.load(tmp_path / "bare.npz")
    options = {"width": 8, "space": "rgb", "source": "x", "images": 1, "window": False, "note": ""}
    np.savez(tmp_path / "object.npz", magnitude=np.array([{"a": 1}], dtype=object), **options)
    with pytest.raises(ValueError, match="broken"):
        Spectrum.load(tmp_path / "object.npz")


# -- measuring --------------------------------------------------------------------------------------------------------


def test_measuring_is_the_mean_modulus_of_the_transform():
    rng = np.random.default_rng(0)
    images = [rng.random((32, 32, 3)).astype(np.float32) for _ in range(3)]
    found = magnitude_from_images(images, size=32, space="rgb")
    wanted = np.mean([np.abs(np.fft.rfft2(i, axes=(0, 1))) for i in images], axis=0).transpose(2, 0, 1) / 32**2
    assert np.allclose(found.magnitude, symmetric(wanted, 32), rtol=1e-4)
    assert (found.images, found.space, found.width) == (3, "rgb", 32)
    decorrelated = magnitude_from_images(images, size=32)
    by_hand = np.mean(
        [
            np.abs(
                np.fft.rfft2(((i - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]) @ np.linalg.inv(TO_RGB), axes=(0, 1))
            )
            for i in images
        ],
        axis=0,
    )
    assert np.allclose(decorrelated.magnitude, symmetric(by_hand.transpose(2, 0, 1) / 32**2, 32), rtol=1e-3)


def test_measuring_says_which_pictures_and_licences(tmp_path):
    """By content: names and order do not count, pictures that are left out neither."""
    rng = np.random.default_rng(0)
    images = [rng.random((16, 16, 3)).astype(np.float32) for _ in range(3)]
    found = magnitude_from_images(images, size=16, licences=["CC0"])
    again = magnitude_from_images({"a": images[2], "b": images[0], "c": images[1]}, size=16)
    assert found.images_hash == again.images_hash
    assert (found.licences, again.licences) == (("CC0",), ())
    assert magnitude_from_images([*images, images[0][:12, :12]], size=16).images_hash == found.images_hash
    assert magnitude_from_images(images[:2], size=16).images_hash != found.images_hash
    Image.fromarray((images[0] * 255).astype(np.uint8)).save(tmp_path / "a.png")
    digest = hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    wanted = hashlib.sha256(f"{digest}\n".encode()).hexdigest()
    assert magnitude_from_images(tmp_path, size=16).images_hash == wanted
    assert grey_of(found).images_hash == found.images_hash


def test_photos_are_made_smaller_and_never_larger():
    images = [
        np.random.default_rng(k).random((side, side + 9, 3)).astype(np.float32) for k, side in enumerate((40, 20))
    ]
    assert magnitude_from_images(images, size=32).images == 1
    with pytest.raises(ValueError, match="wanted photos of at least 64 pixels a side, the largest has 40"):
        magnitude_from_images(images, size=64)


def test_symmetries_of_the_square_take_noise_off_and_keep_the_rest():
    images = [np.random.default_rng(k).random((16, 16, 3)).astype(np.float32) for k in range(4)]
    plain, mirrored = (magnitude_from_images(images, size=16, mirrored=m) for m in (False, True))
    assert mirrored.magnitude[:, 1:].std() < plain.magnitude[:, 1:].std()
    assert np.allclose(mirrored.magnitude[:, 3, 5], mirrored.magnitude[:, 5, 3])
    assert np.allclose(mirrored.magnitude[:, 3, 5], mirrored.magnitude[:, -3, 5])
    assert mirrored.magnitude.mean() == pytest.approx(plain.magnitude.mean(), rel=0.02)


def test_a_window_takes_the_cross_of_edges_off():
    ramp = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[:, None, None], 64, axis=1).repeat(3, axis=2)
    plain, faded = (magnitude_from_images([ramp], size=64, window=w) for w in (False, True))
    assert faded.magnitude[0, 20, 0] < 0.1 * plain.magnitude[0, 20, 0]
    assert faded.magnitude[0, 0, 0] == pytest.approx(plain.magnitude[0, 0, 0], abs=1e-4)


def test_measuring_refuses_what_it_does_not_know(white):
    with pytest.raises(ValueError, match="space: wanted one of"):
        magnitude_from_images([white], size=16, space="lab")
    with pytest.raises(ValueError, match="size: wanted an integer"):
        magnitude_from_images([white], size=2)


def test_the_packaged_spectrum_is_that_of_photographs(shared_photos):
    """Few of the photos it came from: their mean is near it."""
    found = magnitude_from_images(shared_photos[:60], size=256, window=True, mirrored=True)
    wanted = Spectrum.photos().at((256, 256))
    radius = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256))
    ring = (radius > 2 / 256) & (radius < 0.4)
    assert abs(np.log(found.magnitude / wanted)[:, ring]).mean() < 0.15


# -- colours ----------------------------------------------------------------------------------------------------------


def test_decorrelated_colours_go_back():
    pixels = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    back = decorrelate(pixels) @ TO_RGB * [0.229, 0.224, 0.225] + [0.485, 0.456, 0.406]
    assert np.allclose(back, pixels, atol=1e-5)


@pytest.mark.parametrize(("channels", "order"), [(3, "RGB"), (3, "BGR"), (1, "RGB")])
def test_the_way_to_the_network_is_the_preprocessings(channels, order):
    mean, std = (0.4, 0.5, 0.6)[:channels], (0.2, 0.3, 0.1)[:channels]
    preprocess = ww.Preprocess(resize=None, crop=(4, 4), mean=mean, std=std, channel_order=order)
    pixels = np.random.default_rng(0).random((7, 3)).astype(np.float32)
    matrix, shift = to_network(preprocess, 3)
    assert np.allclose(pixels @ matrix.T + shift, preprocess.normalise(pixels), atol=1e-5)
    grey = np.repeat(pixels[:, :1], 3, axis=1)
    matrix, shift = to_network(preprocess, 1)
    assert np.allclose(grey[:, :1] @ matrix.T + shift, preprocess.normalise(grey), atol=1e-5)
