"""Crops: every pixel lies in one, and what a crop shows is what its box says, on the photo as it was handed over."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import whatwhere as ww
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.crops import cut_out, windows

everyday = settings(max_examples=150, deadline=None, derandomize=True)


@st.composite
def layouts(draw):
    size = draw(st.tuples(st.integers(1, 300), st.integers(1, 300)))
    patch = draw(st.tuples(st.integers(max(1, size[0] // 12), size[0]), st.integers(max(1, size[1] // 12), size[1])))
    return size, patch


@everyday
@given(layouts())
def test_every_pixel_lies_in_a_window(layout):
    size, patch = layout
    seen = np.zeros(size, bool)
    boxes = windows(size, patch)
    for top, left, bottom, right in boxes:
        assert 0 <= top < bottom <= size[0]
        assert 0 <= left < right <= size[1]
        assert (bottom - top, right - left) == patch
        seen[top:bottom, left:right] = True
    assert seen.all()
    assert len(set(boxes)) == len(boxes)


@everyday
@given(st.integers(2, 512), st.data())
def test_a_patch_smaller_than_the_image_gives_more_than_one(size, data):
    patch = data.draw(st.integers(max(1, size // 20), size - 1))
    assert len(windows((size, size), (patch, patch))) >= 4


@pytest.mark.parametrize(("patch", "count"), [(64, 16), (80, 9), (128, 4), (200, 4), (223, 4), (224, 1)])
def test_of_an_input_of_224(patch, count):
    """128 and more gave a single crop in the published implementations: the top left corner."""
    assert len(windows((224, 224), (patch, patch))) == count


@pytest.mark.parametrize("patch", [(225, 64), (64, 225), (0, 5), (5, -1)])
def test_windows_that_do_not_fit(patch):
    with pytest.raises(ValueError, match="patch: wanted 1 pixel to the size of the input"):
        windows((224, 224), patch)


def test_cut_out_windows_are_enlarged_in_order():
    images = torch.rand(2, 3, 24, 30)
    boxes = windows((24, 30), (10, 12))
    crops = cut_out(images, boxes)
    assert crops.shape == (2 * len(boxes), 3, 24, 30)
    for k, (top, left, bottom, right) in enumerate(boxes):
        one = images[1:, :, top:bottom, left:right]
        wanted = nn.functional.interpolate(one, (24, 30), mode="bilinear", align_corners=False)
        torch.testing.assert_close(crops[len(boxes) + k], wanted[0])
    torch.testing.assert_close(cut_out(images, [(0, 0, 24, 30)]), images)


def enlarged_by_pytorch(images, boxes):
    """The same crops, one after the other, in a layout for which PyTorch interpolates both axes at once."""
    size = tuple(images.shape[-2:])
    crops = [image[None, :, t:b, l:r].contiguous() for image in images for t, l, b, r in boxes]  # noqa: E741
    return torch.cat([nn.functional.interpolate(crop, size, mode="bilinear", align_corners=False) for crop in crops])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    ("size", "patch"),
    [((224, 224), (64, 64)), ((37, 53), (11, 17)), ((7, 40), (1, 13)), ((9, 9), (9, 5)), ((6, 5), (6, 5))],
    ids=["usual", "odd", "rows of one pixel", "as high as the image", "the whole image"],
)
def test_crops_with_channels_last_are_those_of_pytorch(size, patch, dtype):
    """Windows reach the edges, and no distance between two of them divides the sides."""
    torch.manual_seed(0)
    images = torch.rand(2, 3, *size).to(dtype).contiguous(memory_format=torch.channels_last)
    boxes = windows(size, patch)
    crops = cut_out(images, boxes)
    assert crops.is_contiguous(memory_format=torch.channels_last)
    assert crops.dtype == dtype
    room = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 0.01}[dtype]
    torch.testing.assert_close(crops, enlarged_by_pytorch(images, boxes), rtol=0, atol=room)


def test_a_slope_enlarged_is_a_slope():
    """Two pixels of 0 and 1, thrice as wide: thirds between their centres, and constant beyond them."""
    image = torch.tensor([[5.0, 0.0, 1.0, 5.0, 5.0, 5.0]]).repeat(6, 1)[None, None]
    crop = cut_out(image.contiguous(memory_format=torch.channels_last), [(2, 1, 4, 3)])
    torch.testing.assert_close(crop[0, 0], torch.tensor([0, 0, 1 / 3, 2 / 3, 1, 1]).repeat(6, 1))


@everyday
@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(1, 5), st.integers(1, 2), st.data())
def test_crops_do_not_depend_on_the_layout(size, channels, count, data):
    patch = tuple(data.draw(st.integers(1, side)) for side in size)
    top, left = (data.draw(st.integers(0, side - part)) for side, part in zip(size, patch, strict=True))
    box = (top, left, top + patch[0], left + patch[1])
    images = torch.rand(count, channels, *size, generator=torch.Generator().manual_seed(top * 41 + left))
    last = cut_out(images.contiguous(memory_format=torch.channels_last), [box, box])
    assert last.shape == (2 * count, channels, *size)
    torch.testing.assert_close(last, enlarged_by_pytorch(images, [box, box]), rtol=0, atol=1e-5)
    shown = images[:, :, top : box[2], left : box[3]]
    assert (last[::2].amin((2, 3)) >= shown.amin((2, 3)) - 1e-6).all()
    assert (last[1::2].amax((2, 3)) <= shown.amax((2, 3)) + 1e-6).all()


# -- on photos --------------------------------------------------------------------------------------------------------


def told_places(height, width):
    """A photo whose red tells the row and whose green tells the column, in 255 steps over its sides."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([(rows + 0.5) / height, (columns + 0.5) / width, np.full((height, width), 0.5)], axis=-1).astype(
        np.float32
    )


class Lookout(nn.Module):
    """Maps of four cells, each channel a part of the colours: something to factorise."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 6, 8, stride=8), nn.ReLU())
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.maps(x).mean((2, 3)))


@pytest.fixture(scope="module")
def photos_of_places():
    return {f"{h} x {w}": told_places(h, w) for h, w in [(48, 48), (96, 64), (50, 120), (33, 47), (200, 200)]}


@pytest.mark.parametrize("fit_on", ["crops", "locations"])
@pytest.mark.parametrize(
    "preprocess",
    [
        {"input_size": 48},
        {"input_size": 48, "resize": 56},
        {"resize": (40, 56), "crop": None},
        {"input_size": (40, 56), "resize": 60},
    ],
    ids=["plain", "with a margin", "squashed", "not square"],
)
def test_boxes_are_where_the_pictures_are_from(photos_of_places, preprocess, fit_on):
    """The colours of a crop's picture read out where it lies on the photo; its box says the same."""
    torch.manual_seed(0)
    model = ww.VisionModel(Lookout().eval(), mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bilinear", **preprocess)
    bank = Craft(n_concepts=2, patch=16, fit_on=fit_on, layer="maps").run(model, photos_of_places, progress=False)
    shown = [crop for crops in bank.crops for crop in crops]
    assert len(shown) >= 5
    for crop in shown:
        photo = photos_of_places[bank.images[crop.image]]
        top, left, bottom, right = crop.box
        assert 0 <= top < bottom <= photo.shape[0]
        assert 0 <= left < right <= photo.shape[1]
        assert crop.picture.shape == (16, 16, 3)
        assert crop.picture.dtype == np.uint8
        middle = crop.picture[1:-1, 1:-1].astype(float).mean(axis=(0, 1)) / 255
        fine = 1.5 / 255 + 0.5 / min(photo.shape[:2])
        assert middle[0] == pytest.approx((top + bottom) / 2 / photo.shape[0], abs=fine)
        assert middle[1] == pytest.approx((left + right) / 2 / photo.shape[1], abs=fine)
        down = (crop.picture[-2, :, 0].mean() - crop.picture[1, :, 0].mean()) / 255 * 16 / 13
        assert down == pytest.approx((bottom - top) / photo.shape[0], abs=0.05)


def test_boxes_of_input_pixels_are_exact(photos_of_places):
    """Where the photo is the input, boxes are whole pixels of it, and pictures are these pixels."""
    torch.manual_seed(0)
    model = ww.VisionModel(Lookout().eval(), input_size=48, mean=(0.0,) * 3, std=(1.0,) * 3)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (48, 48, 3), dtype=np.uint8) for _ in range(6)]
    bank = Craft(n_concepts=2, patch=20, layer="maps").run(model, images, progress=False)
    of_windows = windows((48, 48), (20, 20))
    for crops in bank.crops:
        assert len({crop.image for crop in crops}) == len(crops)  # one of a photo at most
        assert [crop.activation for crop in crops] == sorted((crop.activation for crop in crops), reverse=True)
        for crop in crops:
            box = tuple(round(edge) for edge in crop.box)
            assert crop.box == pytest.approx(box, abs=1e-9)
            assert box in of_windows
            photo = images[int(bank.images[crop.image].split()[-1]) - 1]
            np.testing.assert_array_equal(crop.picture, photo[box[0] : box[2], box[1] : box[3]])
    del photos_of_places


def test_activations_are_the_codes_of_the_crops(small, pictures):
    """A crop's activation is the code of the mean feature of this crop, seen alone and enlarged."""
    model = small()
    images = pictures(8)
    bank = Craft(n_concepts=3, patch=12).run(model, images, progress=False)
    concepts = bank.on(model)
    for k, crops in enumerate(bank.crops):
        for crop in crops[:3]:
            box = tuple(round(edge) for edge in crop.box)
            photo = np.rint(images[int(bank.images[crop.image].split()[-1]) - 1] * 255) / 255
            with torch.no_grad():
                cells = model.net[0](cut_out(model.to_input(photo.astype(np.float32)), [box])).mean((2, 3))
            assert crop.activation == pytest.approx(float(concepts.codes_of(cells)[0, k]), abs=2e-2)


def test_one_window_where_the_patch_is_the_input(small, pictures, extract):
    """The crop is then the image, and its features are the mean of the image's."""
    bank = extract(small(), pictures(), fit_on="crops", patch=24)
    assert bank.quality.n_rows == 12
    assert all(crop.picture.shape == (24, 24, 3) for crops in bank.crops for crop in crops)
