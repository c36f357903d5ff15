"""Crops of a canvas that goes on where it ends."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from whatwhere.prototypes._banded import band, weights
from whatwhere.prototypes.views import Box, Crops, cosine, cut_out, draw_noise, pieces


def boxes(count=12, canvas=(96, 80), shown=(40, 40), *, law=None, seed=0):
    law = law or Crops(0.6, 0.3, "normal", 0.3)
    return law.draw(count, canvas, shown, torch.Generator().manual_seed(seed))


def test_sides_are_those_asked_for():
    side = np.array([b.height for b in boxes(4000, (512, 512), law=Crops(0.225, 0.025, "uniform", 0.15))]) / 512
    assert 0.199 <= side.min() < 0.201
    assert 0.249 < side.max() <= 0.251
    assert side.mean() == pytest.approx(0.225, abs=0.001)
    side = np.array([b.height for b in boxes(4000, (512, 512), law=Crops(0.25, 0.05, "normal", 0.15))]) / 512
    assert side.mean() == pytest.approx(0.25, abs=0.003)
    assert side.std() == pytest.approx(0.05, abs=0.003)


def test_centres_are_those_asked_for():
    found = boxes(4000, (512, 256), (32, 32), law=Crops(0.25, 0.0, "normal", 0.1))
    y = np.array([(b.top + b.height / 2) % 512 for b in found]) / 512
    x = np.array([(b.left + b.width / 2) % 256 for b in found]) / 256
    for centre in (y, x):
        assert centre.mean() == pytest.approx(0.5, abs=0.01)
        assert centre.std() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(("canvas", "shown"), [((96, 80), (40, 40)), ((97, 64), (31, 20)), ((50, 60), (64, 64))])
def test_crops_have_the_inputs_shape_and_fit_the_canvas(canvas, shown):
    for box in boxes(200, canvas, shown, law=Crops(0.7, 0.5, "normal", 0.5)):
        assert 0 <= box.top < canvas[0]
        assert 0 <= box.left < canvas[1]
        assert 1 <= box.height <= canvas[0]
        assert 1 <= box.width <= canvas[1]
        assert abs(box.height / shown[0] - box.width / shown[1]) <= 1 / min(shown)


@pytest.mark.parametrize("how", ["banded", "native", "matmul"])
def test_a_crop_over_the_edge_is_a_crop_of_the_rolled_canvas(how):
    canvas = torch.rand(1, 3, 32, 40)
    over, _ = cut_out(canvas, [(0, Box(28, 35, 12, 12))], (9, 9), how)
    rolled = torch.roll(canvas, (-28, -35), dims=(2, 3))
    inside, _ = cut_out(rolled, [(0, Box(0, 0, 12, 12))], (9, 9), how)
    assert torch.allclose(over, inside, atol=1e-6)


@pytest.mark.parametrize("how", ["banded", "native", "matmul"])
@pytest.mark.parametrize("side", [5, 9, 20])
def test_resampling_is_torchs_own(how, side):
    canvas = torch.rand(1, 3, 32, 32)
    found, _ = cut_out(canvas, [(0, Box(3, 4, side, side))], (9, 9), how)
    cut = canvas[:, :, 3 : 3 + side, 4 : 4 + side]
    assert torch.allclose(found, F.interpolate(cut, size=(9, 9), mode="bilinear", antialias=True), atol=1e-5)


@pytest.mark.parametrize("how", ["banded", "native", "matmul"])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_what_is_given_back_is_the_transpose(how, memory):
    canvas = torch.rand(2, 3, 96, 80).to(memory_format=memory)
    places = [(k % 2, box) for k, box in enumerate(boxes())]
    crops, give_back = cut_out(canvas, places, (40, 40), how)
    gradient = torch.rand_like(crops)
    total = torch.zeros_like(canvas)
    give_back(gradient, total)
    assert float((total * canvas).sum()) == pytest.approx(float((crops * gradient).sum()), rel=1e-5)


@pytest.mark.parametrize("how", ["banded", "native"])
def test_all_ways_of_resampling_agree(how):
    canvas = torch.rand(2, 3, 96, 80)
    places = [(k % 2, box) for k, box in enumerate(boxes())]
    (a, back_a), (b, back_b) = (cut_out(canvas, places, (40, 40), each) for each in (how, "matmul"))
    assert torch.allclose(a, b, atol=1e-5)
    gradient, to_a, to_b = torch.rand_like(a), torch.zeros_like(canvas), torch.zeros_like(canvas)
    back_a(gradient, to_a)
    back_b(gradient, to_b)
    assert torch.allclose(to_a, to_b, atol=1e-4 * float(to_a.abs().max()))


def test_the_automatic_way_is_the_banded_one_on_a_cpu():
    canvas, place = torch.rand(1, 3, 32, 32), [(0, Box(3, 4, 20, 20))]
    assert torch.equal(cut_out(canvas, place, (9, 9))[0], cut_out(canvas, place, (9, 9), "banded")[0])


def test_a_band_is_its_weights_and_its_back_the_transpose():
    for length, shown in ((20, 9), (9, 20), (7, 7), (1, 4)):
        there, back = band(length, shown)
        assert torch.equal(there.to_dense(), weights(length, shown))
        assert torch.equal(back.to_dense(), weights(length, shown).T)
        assert band(length, shown).there is there
    with torch.inference_mode():
        assert not band(23, 5).there.is_inference()  # they are kept, also for who wants gradients


def test_weights_are_means_of_what_is_near():
    assert torch.allclose(weights(20, 9).sum(dim=1), torch.ones(9))
    assert torch.equal(weights(7, 7), torch.eye(7))
    assert (weights(3, 12) > 0).sum(dim=1).max() <= 2


def test_pieces_of_a_range_that_wraps():
    assert pieces(2, 3, 10) == [(slice(0, 3), slice(2, 5))]
    assert pieces(8, 5, 10) == [(slice(0, 2), slice(8, 10)), (slice(2, 5), slice(0, 3))]
    assert pieces(5, 5, 10) == [(slice(0, 5), slice(5, 10))]


def test_noise_has_the_size_asked_for():
    def draw(normal, uniform):
        generator = torch.Generator().manual_seed(0)
        return draw_noise((4, 3, 64, 64), normal, uniform, generator, torch.device("cpu"))

    assert draw(0, 0) is None
    assert draw(0.05, 0).std() == pytest.approx(0.05, rel=0.02)
    assert draw(0, 0.1).abs().max() == pytest.approx(0.1, rel=0.01)
    assert draw(0.05, 0.1).var() == pytest.approx(0.05**2 + 0.1**2 / 3, rel=0.03)


def test_the_way_along_a_cosine():
    assert [cosine(2.0, 1.0, share) for share in (0, 0.5, 1)] == pytest.approx([2.0, 1.5, 1.0])
