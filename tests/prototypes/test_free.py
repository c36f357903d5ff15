"""Canvases of free magnitude: scales, gradients, photos that come back, and optima in closed form."""

import math

import numpy as np
import pytest
import torch

from whatwhere.prototypes.free import FreeCanvas, PhotoCanvas, wave_scale
from whatwhere.prototypes.optimiser import NAdam

SIZES = [(24, 24), (25, 25), (24, 33), (31, 20)]


def photos(count=2, size=(24, 33), *, low=0.02, high=0.98):
    return torch.rand(count, 3, *size) * (high - low) + low


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5])
def test_contrast_is_that_of_coefficients_of_deviation_one(size, exponent):
    canvas = FreeCanvas(1, size, exponent=exponent, contrast=1.7, activation="identity")
    image = canvas.draw(torch.randn(3000, 1, size[0], size[1] // 2 + 1, 2)).image
    assert float(image.square().mean().sqrt()) == pytest.approx(1.7, rel=0.03)


def test_scales_fall_with_the_frequency():
    scale = wave_scale((32, 48), 1.5, 1.0)
    assert float(scale[0, 4] / scale[0, 8]) == pytest.approx(2**1.5, rel=1e-5)
    assert float(scale[4, 0] / scale[-4, 0]) == pytest.approx(1)
    assert float(scale[0, 0]) == pytest.approx(float(scale[0, 1]))  # the mean moves as the longest wave
    assert float(scale[2, 0]) == pytest.approx(float(scale[0, 3]), rel=1e-5)  # cycles per pixel count


@pytest.mark.parametrize("size", [(12, 10), (11, 9), (8, 13)])
@pytest.mark.parametrize("kind", ["free", "photo", "phases"])
def test_gradients_in_closed_form_are_autograds(size, kind):
    own = {"exponent": 1.2, "contrast": 0.7}
    free = FreeCanvas(3, size, **own)
    canvas = {
        "free": lambda: free,
        "photo": lambda: PhotoCanvas(photos(2, size), **own),
        "phases": lambda: PhotoCanvas(photos(2, size), magnitude="fixed"),
    }[kind]()
    values = torch.randn(2, *canvas.start(torch.Generator()).shape)
    weights = torch.rand(2, 3, *size)
    variable = values.clone().requires_grad_()
    (wanted,) = torch.autograd.grad((canvas.draw(variable).image * weights).sum(), variable)
    found = canvas.gradient(canvas.draw(values), weights)
    assert torch.allclose(found, wanted, atol=1e-5 * float(wanted.abs().max()))


def test_it_begins_next_to_grey_and_evenly():
    canvas = FreeCanvas(3, (64, 64))
    image = canvas.draw(torch.stack([canvas.start(torch.Generator().manual_seed(k)) for k in range(8)])).image
    assert (image - 0.5).abs().max() < 0.05
    spread = (image - 0.5).square().mean(dim=(0, 1)).sqrt()
    assert float(spread[:16, :16].mean() / spread.mean()) == pytest.approx(1, abs=0.15)  # no blob in the corner


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("magnitude", ["free", "fixed"])
def test_a_photo_comes_back_before_anything_is_changed(size, magnitude):
    given = photos(2, size)
    canvas = PhotoCanvas(given, magnitude=magnitude)
    start = torch.stack([canvas.start(torch.Generator())] * 2)
    assert (canvas.draw(start).image - given).abs().max() < 1e-5
    assert torch.equal(canvas.draw(start).image, canvas.photos)


@pytest.mark.parametrize("range_", [(0.3, 0.7), (0.0, 1.0), (0.5, 0.5), (0.0, 0.0)])
def test_photos_of_any_range_come_back_within_a_thousandth(range_):
    """Nothing is stretched: a dull photo stays dull, a plain one plain, and black stays black but for a thousandth."""
    given = photos(1, low=range_[0], high=range_[1])
    given[0, :, 0, 0], given[0, :, 0, 1] = range_
    assert (PhotoCanvas(given).photos - given).abs().max() <= 1e-3 + 1e-6


def test_a_part_of_the_prototypes_has_its_own_photos():
    given = photos(3)
    canvas = PhotoCanvas(given)
    values = torch.randn(3, *canvas.start(torch.Generator()).shape)
    whole = canvas.draw(values).image
    assert torch.allclose(canvas.of([2, 0]).draw(values[[2, 0]]).image, whole[[2, 0]], atol=1e-6)
    assert canvas.of([0, 1, 2]) is canvas
    assert torch.equal(canvas.of([1]).photos, canvas.photos[1:2])


def test_phases_leave_a_photos_magnitudes():
    canvas = PhotoCanvas(photos(1, (24, 33)), magnitude="fixed")
    drawn = canvas.draw(torch.randn(1, *canvas.half))
    before, after = (canvas.waves_of(image).abs() for image in (canvas.photos, drawn.image))
    assert (after - before).abs().max() < 1e-4 * before.max()
    assert (drawn.image - canvas.photos).abs().mean() > 0.05


def test_a_linear_objective_is_climbed_along_its_own_waves():
    """Free coefficients have no optimum, but a best direction: waves in phase with the objective's own."""
    canvas = FreeCanvas(3, (24, 24), activation="identity", colours=False)
    weights = torch.randn(3, 24, 24)
    values = canvas.start(torch.Generator().manual_seed(0))[None]
    optimiser = NAdam(values)
    for _ in range(100):
        pulled = canvas.gradient(canvas.draw(values), weights[None])
        optimiser.step(values, pulled / pulled.square().mean().sqrt(), [0], 0.05)
    inside = (slice(None), slice(1, 12), slice(1, 12))
    wanted = torch.fft.rfft2(weights)[inside]
    found = canvas.draw(values).waves[0][inside]
    aligned = torch.cos(found.angle() - wanted.angle())
    assert float(aligned.min()) > 0.7  # NAdam moves both parts alike: to the nearest diagonal
    assert float((canvas.draw(values).image[0] * weights).sum()) > 0


@pytest.mark.parametrize(("cycles", "degrees"), [(0.125, 28.6), (0.25, 68.8)])
def test_a_gabor_filters_wave_is_found_again(cycles, degrees):
    """The wave of a filter pair, from noise: frequency within 1.5 bins, angle within 6 degrees."""
    side, reach = 96, 15
    y, x = torch.meshgrid(*[torch.arange(-reach, reach + 1.0)] * 2, indexing="ij")
    angle = math.radians(degrees)
    along = 2 * math.pi * cycles * (y * math.sin(angle) + x * math.cos(angle))
    window = torch.exp(-(y**2 + x**2) / (2 * 5**2))
    pair = torch.stack([window * torch.cos(along), window * torch.sin(along)])
    pair = (pair - pair.mean(dim=(1, 2), keepdim=True))[:, None]
    canvas = FreeCanvas(1, (side, side), contrast=1.8)
    values = canvas.start(torch.Generator().manual_seed(0))[None]
    optimiser = NAdam(values)
    for _ in range(200):
        drawn = canvas.draw(values)
        variable = drawn.image.clone().requires_grad_()
        energy = torch.nn.functional.conv2d(variable - 0.5, pair).square().sum(dim=1).mean()
        pulled = canvas.gradient(drawn, torch.autograd.grad(energy, variable)[0])
        optimiser.step(values, pulled / pulled.square().mean().sqrt(), [0], 0.05)
    found = np.abs(np.fft.fft2(canvas.draw(values).image[0, 0].double().numpy() - 0.5))
    rows, columns = np.meshgrid(*[np.fft.fftfreq(side)] * 2, indexing="ij")
    place = (found * np.hypot(rows, columns)).argmax()  # beside what all waves drift by, which is as their scale
    fy, fx = rows.flat[place], columns.flat[place]
    assert np.hypot(fy, fx) == pytest.approx(cycles, abs=1.5 / side)
    found = math.degrees(math.atan2(fy, fx)) % 180
    assert abs((found - degrees + 90) % 180 - 90) <= 6
