"""Views that are shifted, scaled and turned: against plain crops, turns of arrays, and waves known in closed form."""

import math

import numpy as np
import pytest
import torch

from whatwhere.prototypes.turns import Turned, Turns, turn_out
from whatwhere.prototypes.views import Box, Inside, cut_out


def views(count=6, canvas=(48, 40), shown=(20, 20), *, law=None, seed=0):
    law = law or Turns(0.3, (0.7, 2.0), 45.0)
    return law.draw(count, canvas, shown, torch.Generator().manual_seed(seed))


def wave(size, *, rows, columns):
    """A wave of whole periods on a canvas, sampled where its pixels are."""
    y, x = (torch.arange(count) + 0.5 for count in size)
    return torch.cos(2 * math.pi * (rows * y[:, None] / size[0] + columns * x / size[1]))


def test_laws_are_those_asked_for():
    found = views(4000, (512, 256), (32, 32), law=Turns(0.1, (0.5, 2.0), 30.0))
    y, x, height, width, angle = np.array(found).T
    assert np.abs(y / 512 - 0.5).max() == pytest.approx(0.1, abs=1e-3)
    assert np.abs(x / 256 - 0.5).max() == pytest.approx(0.1, abs=1e-3)
    assert np.array_equal(height, width)
    assert 256 / height.max() == pytest.approx(0.5, abs=0.01)
    assert 256 / height.min() == pytest.approx(2.0, abs=0.01)
    assert np.degrees(np.abs(angle)).max() == pytest.approx(30, abs=0.1)
    for values, mean in ((y / 512, 0.5), (x / 256, 0.5), (256 / height, 1.25), (angle, 0)):
        assert values.mean() == pytest.approx(mean, abs=0.02)  # symmetric: no drift


def test_views_have_the_inputs_shape():
    for view in views(20, (97, 64), (31, 20)):
        assert view.height / view.width == pytest.approx(31 / 20)


def test_the_whole_canvas_at_its_own_size_is_itself():
    canvas = torch.rand(1, 3, 24, 24)
    found, _ = turn_out(canvas, [(0, Turned(12, 12, 24, 24, 0.0))], (24, 24))
    assert torch.allclose(found, canvas, atol=1e-5)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_quarter_turns_are_those_of_arrays(quarter):
    canvas = torch.rand(1, 3, 24, 24)
    found, _ = turn_out(canvas, [(0, Turned(12, 12, 24, 24, quarter * math.pi / 2))], (24, 24))
    assert torch.allclose(found, torch.rot90(canvas, quarter, dims=(2, 3)), atol=1e-4)


@pytest.mark.parametrize("times", [1, 3, 7])
def test_a_shift_by_whole_pixels_is_a_roll_however_far(times):
    canvas = torch.rand(1, 3, 24, 20)
    place = Turned(12 + 5 + 24 * times, 10 - 7 - 20 * times, 24, 20, 0.0)
    found, _ = turn_out(canvas, [(0, place)], (24, 20))
    assert torch.allclose(found, torch.roll(canvas, (-5, 7), dims=(2, 3)), atol=1e-4)


def test_magnifying_is_what_crops_do():
    """Another route: a crop, made larger by torch; its edge pixels repeat, where the canvas goes on."""
    canvas = torch.rand(1, 3, 32, 32)
    found, _ = turn_out(canvas, [(0, Turned(14, 15, 12, 12, 0.0))], (36, 36))
    wanted, _ = cut_out(canvas, [(0, Box(8, 9, 12, 12))], (36, 36))
    assert torch.allclose(found[..., 2:-2, 2:-2], wanted[..., 2:-2, 2:-2], atol=1e-4)


@pytest.mark.parametrize("angle", [0.0, 0.3, -1.2])
@pytest.mark.parametrize("side", [96, 130])
def test_a_turned_wave_is_known_in_closed_form(angle, side):
    size, shown = (96, 96), (64, 64)
    canvas = wave(size, rows=2, columns=-3)[None, None]
    found, _ = turn_out(canvas, [(0, Turned(40.3, 51.7, side, side, angle))], shown)
    steps = ((torch.arange(64) + 0.5) / 64 - 0.5) * side
    y = 40.3 + steps[:, None] * math.cos(angle) + steps * math.sin(angle)
    x = 51.7 - steps[:, None] * math.sin(angle) + steps * math.cos(angle)
    wanted = torch.cos(2 * math.pi * (2 * y - 3 * x) / 96)
    assert (found[0, 0] - wanted).abs().max() < 0.02  # bilinear, and the mean over a pixel


def test_what_is_finer_than_a_pixel_of_the_input_is_averaged_away():
    stripes = torch.zeros(1, 1, 96, 96)
    stripes[..., ::2] = 1
    found, _ = turn_out(stripes, [(0, Turned(48, 48, 96, 96, 0.2))], (32, 32))
    assert (found - 0.5).abs().max() < 0.2
    bare = torch.nn.functional.grid_sample(
        stripes, torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 1, 32, 32], align_corners=False),
        align_corners=False,
    )  # fmt: skip
    assert (bare - 0.5).abs().max() > 0.4


def test_what_is_given_back_is_the_transpose():
    canvas = torch.rand(3, 3, 48, 40)
    places = [(k % 2 * 2, view) for k, view in enumerate(views())]
    crops, give_back = turn_out(canvas, places, (20, 20))
    gradient = torch.rand_like(crops)
    for _ in range(2):  # a second gradient of the same views
        total = torch.zeros_like(canvas)
        give_back(gradient, total)
        assert float((total * canvas).sum()) == pytest.approx(float((crops * gradient).sum()), rel=1e-4)
    assert not total[1].any()


def test_company_changes_no_view():
    canvas = torch.rand(2, 3, 48, 40)
    places = [(k % 2, view) for k, view in enumerate(views())]
    together, _ = turn_out(canvas, places, (20, 20))
    for k, place in enumerate(places):
        alone, _ = turn_out(canvas, [place], (20, 20))
        assert torch.allclose(together[k], alone[0], atol=1e-4)


def test_crops_of_photos_stay_on_them():
    found = Inside((0.3, 1.0)).draw(3000, (60, 90), (20, 20), torch.Generator().manual_seed(0))
    top, left, height, width = np.array(found).T
    assert (top.min(), left.min()) == (0, 0)
    assert (top + height).max() == 60
    assert (left + width).max() == 90
    assert np.array_equal(height, width)
    assert (height.min(), height.max()) == (18, 60)
    assert height.mean() == pytest.approx(60 * 0.65, rel=0.02)
