"""Pictures of given magnitudes: known answers of Fourier analysis."""

import re

import numpy as np
import pytest
import torch

import whatwhere as ww
from whatwhere.prototypes import _fourier_device
from whatwhere.prototypes._fourier_device import fourier_device
from whatwhere.prototypes.canvas import Canvas
from whatwhere.prototypes.spectrum import PHOTO_LAW, Spectrum

SIZES = [(224, 224), (225, 225), (128, 192), (97, 64), (64, 97)]


def drawn(size, *, seed=0, spectrum=PHOTO_LAW, **options):
    canvas = Canvas(spectrum, size, **options)
    return canvas, canvas.start(torch.Generator().manual_seed(seed))[None]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mean", ["keep", "grey"])
@pytest.mark.parametrize("spectrum", [PHOTO_LAW, Spectrum.photos()], ids=["law", "photos"])
def test_pictures_have_exactly_the_magnitudes_wanted(size, mean, spectrum):
    canvas, phase = drawn(size, spectrum=spectrum, mean=mean, activation="identity", colours=False)
    found = np.abs(np.fft.rfft2(canvas.draw(phase).image[0].double().numpy(), norm="forward"))
    wanted = canvas.magnitude.double().numpy()
    none = wanted == 0  # a grey mean
    assert none.sum() == (3 if mean == "grey" else 0)
    assert (found[none] < 1e-7).all()
    assert (np.abs(found - wanted) / np.maximum(wanted, 1e-5 * wanted.max()))[~none].max() <= 0.005


def test_untied_phases_lose_the_magnitude_where_a_column_is_its_own_mirror():
    canvas, phase = drawn((64, 64), tied=False, activation="identity", colours=False)
    found = torch.fft.rfft2(canvas.draw(phase).image[0], norm="forward").abs()
    off = (found - canvas.magnitude).abs() / canvas.magnitude.clamp(min=1e-6)
    assert off[:, 1:, 0].mean() > 0.1
    assert off[:, :, 1:-1].max() < 1e-3


@pytest.mark.parametrize("size", SIZES)
def test_contrast_is_the_same_for_every_picture_by_parseval(size):
    canvas = Canvas(PHOTO_LAW, size, contrast=1.7, activation="identity", colours=False)
    for seed in range(3):
        image = canvas.draw(canvas.start(torch.Generator().manual_seed(seed))[None]).image.double()
        assert image.var(dim=(2, 3), correction=0).mean().sqrt() == pytest.approx(1.7, rel=1e-4)


@pytest.mark.parametrize("size", [(12, 10), (11, 9), (8, 13)])
@pytest.mark.parametrize("activation", ["sigmoid", "identity"])
def test_the_gradient_in_closed_form_is_autograds(size, activation):
    canvas, phase = drawn(size, activation=activation)
    weights = torch.rand((1, 3, *size))
    variable = phase.clone().requires_grad_()
    (wanted,) = torch.autograd.grad((canvas.draw(variable).image * weights).sum(), variable)
    found = canvas.gradient(canvas.draw(phase), weights)
    assert torch.allclose(found, wanted, atol=1e-6 * float(wanted.abs().max()) + 1e-7)


def test_tying_is_its_own_transpose_and_settles():
    canvas, _ = drawn((10, 8))
    a, b = torch.rand((2, 3, 10, 5), dtype=torch.float64)
    assert torch.equal(canvas.tie(canvas.tie(a)), canvas.tie(a))
    assert (canvas.tie(a) * b).sum() == pytest.approx(float((a * canvas.tie(b)).sum()), rel=1e-12)
    assert not canvas.tie(a)[:, [0, 5], 0].any()
    assert not canvas.tie(a)[:, [0, 5], -1].any()


def brightness(phases, side=16):
    """Return how much brighter than the rest each part of the canvas is, on average, in standard deviations.

    The four corners, where a canvas goes on, are one part. For each channel the mean over pictures, and its error.
    """
    canvas = Canvas(PHOTO_LAW, (128, 128), activation="identity", colours=False)
    images = torch.roll(canvas.draw(phases).image, (side // 2, side // 2), dims=(2, 3))
    found = torch.nn.functional.avg_pool2d(images, side) / images.std(dim=(2, 3), correction=0, keepdim=True)
    return found.mean(dim=0), found.std(dim=0) / len(found) ** 0.5


def test_no_corner_is_brighter_than_the_rest_at_the_start():
    """A picture is brighter somewhere; a fault is what is brighter in the same place whatever the seed."""
    canvas = Canvas(PHOTO_LAW, (128, 128), activation="identity", colours=False)
    starts = torch.stack([canvas.start(torch.Generator().manual_seed(seed)) for seed in range(96)])
    found, error = brightness(starts)
    assert error.max() < 0.15
    assert found.abs().max() < 0.5
    assert (found / error).abs().max() < 4.5  # of 64 places and three channels: none stands out
    blob, _ = brightness(torch.randn(starts.shape))  # phases as others draw them
    assert blob[:, 0, 0].min() > 2
    assert starts[..., 1:-1].abs().max() <= torch.pi
    assert starts[..., 1:-1].mean() == pytest.approx(0, abs=0.01)
    assert torch.exp(1j * starts[..., 1:-1]).mean().abs() < 0.01  # of normal phases 0.61, which makes the blob


def test_a_mean_squared_response_of_the_whole_canvas_does_not_depend_on_phases():
    """By Parseval: such objectives cannot be climbed by phases alone."""
    canvas, phase = drawn((48, 48), activation="identity", colours=False)
    kernel = torch.fft.rfft2(torch.nn.functional.pad(torch.rand(3, 7, 7).double() - 0.5, (0, 41, 0, 41)))
    picture = canvas.draw(phase.double())
    response = torch.fft.irfft2(torch.fft.rfft2(picture.image[0]) * kernel, s=(48, 48))
    gradient = torch.fft.irfft2(torch.fft.rfft2(2 * response) * kernel.conj(), s=(48, 48))
    found = canvas.gradient(picture, gradient[None])
    other = canvas.gradient(picture, gradient[None].flip(3))  # as large, and not blind
    assert found.abs().max() <= 1e-6 * other.abs().max()


def test_a_spectrum_of_nothing_is_refused():
    with pytest.raises(ValueError, match="spectrum: wanted magnitudes above 0"):
        Canvas(Spectrum(np.zeros((3, 8, 5)), 8), (8, 8))


def refusing(real):
    """A device without transforms: the first call is the device's."""
    raise NotImplementedError("aten::_fft_r2c is not implemented here\nand a long list of those that are")


def wrong(real):
    return 1.01 * real


@pytest.fixture
def other_device(monkeypatch):
    """Have the CPU's first transform be that of another device, with the real CPU under another name."""
    real = torch.fft.rfft2

    def plant(fault):
        calls = []

        def rfft2(*arguments, **options):
            calls.append(1)
            found = real(*arguments, **options)
            return fault(found) if len(calls) == 1 else found

        fourier_device.cache_clear()
        monkeypatch.setattr(_fourier_device, "_CPU", torch.device("cpu", 0))
        monkeypatch.setattr(torch.fft, "rfft2", rfft2)

    yield plant
    fourier_device.cache_clear()


FAULTS = [
    (refusing, "the device 'cpu' has none (NotImplementedError: aten::_fft_r2c is not implemented here)"),
    (wrong, "those of the device 'cpu' are wrong by 0.01"),
]


@pytest.mark.parametrize(("fault", "why"), FAULTS, ids=["none", "wrong"])
def test_a_device_without_right_transforms_falls_back_to_the_cpu_and_says_so_once(fault, why, other_device):
    expected, phase = drawn((24, 18))
    picture = expected.draw(phase)
    pulled = expected.gradient(picture, torch.ones_like(picture.image))
    assert not expected.fallback
    other_device(fault)
    with pytest.warns(UserWarning, match=re.escape(why)) as told:
        canvas = Canvas(PHOTO_LAW, (24, 18))
    assert len(told) == 1
    assert canvas.fallback == f"Fourier transforms were made on the CPU, since {why}."
    assert canvas.origin == f"{expected.origin}, Fourier transforms on the CPU"
    assert fourier_device(torch.device("cpu")).device == torch.device("cpu", 0)
    assert torch.equal(canvas.draw(phase).image, picture.image)
    assert torch.equal(canvas.gradient(picture, torch.ones_like(picture.image)), pulled)
    assert Canvas(PHOTO_LAW, (24, 18)).fallback  # and warns no more: warnings are errors here


def test_a_device_that_is_full_is_not_taken_for_one_without_transforms(other_device):
    def full(_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    other_device(full)
    with pytest.raises(torch.OutOfMemoryError):
        Canvas(PHOTO_LAW, (24, 18))
    assert not Canvas(PHOTO_LAW, (24, 18)).fallback  # looked at anew


def test_the_record_and_the_view_say_that_the_device_fell_back(other_device, small, quick, tmp_path):
    fault, why = FAULTS[1]
    expected = quick.run(small, "hen", progress=False)
    other_device(fault)
    with pytest.warns(UserWarning, match=re.escape(why)) as told:
        made = quick.run(small, "hen", progress=False)
    assert len(told) == 1
    assert np.array_equal(made.image, expected.image)
    assert expected.caveats() == []
    (said,) = made.caveats()
    assert why in said
    assert said in made.describe()
    made.save(tmp_path / "p.safetensors")
    assert ww.Prototype.load(tmp_path / "p.safetensors").caveats() == [said]
    view = ww.PrototypeView(made)
    assert view._protos[0]["caveats"] == [said]
    assert ["Caution", said] in view._protos[0]["about"]
    view.close()


def test_a_right_device_is_used(monkeypatch):
    fourier_device.cache_clear()
    monkeypatch.setattr(_fourier_device, "_CPU", torch.device("meta"))
    assert fourier_device(torch.device("cpu")) == (torch.device("cpu"), "")
    fourier_device.cache_clear()
