"""What holds for any grid, size, batch and layout of the image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import whatwhere as ww

PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
everyday = settings(max_examples=40, deadline=None, derandomize=True)


class TopLeft(torch.nn.Module):
    """Reads the top left pixel, and the mean: any size will do."""

    def forward(self, x):
        return torch.stack([x[:, :, 0, 0].mean(1), x.mean((1, 2, 3)), -x.mean((1, 2, 3))], 1)


@st.composite
def designs(draw):
    size = draw(st.tuples(st.integers(6, 40), st.integers(6, 40)))
    grid = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)).filter(lambda g: g != (1, 1)))
    return size, grid, draw(st.integers(2, 6)), draw(st.integers(1, 9)), draw(st.booleans())


@everyday
@given(designs(), st.integers(0, 2**63))
def test_any_design_is_counted_finite_and_zero_where_nothing_is_read(design, seed):
    size, grid, rows, batch, first_order = design
    model = ww.VisionModel(TopLeft(), preprocess=ww.Preprocess(resize=size, crop=None, **PLAIN))
    model.batch_size = batch
    image = np.ones((*size, 3), np.float32)
    a = ww.Sobol(grid=grid, rows=rows, seed=seed, first_order=first_order).run(model, image)
    assert a.n_forwards == rows * (grid[0] * grid[1] + 1 + first_order)
    values = a.values(0)
    assert values.shape == grid
    assert values.flat[0] > 0
    assert np.count_nonzero(values) == 1
    assert np.isfinite(a.values(1)).all()
    assert a.values(1) == pytest.approx(a.values(2), rel=1e-4)
    assert a.heatmap(1).shape == size
    assert (a.standard_error(1) >= 0).all()


@everyday
@given(
    st.sampled_from(["uint8", "uint16", "float32", "float64", "tensor", "pil", "fortran", "reversed"]),
    st.integers(1, 50),
    st.integers(1, 50),
)
def test_one_picture_in_any_form_gives_one_map(form, height, width):
    pixels = np.random.default_rng(height * 51 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    made = {
        "uint8": pixels,
        "uint16": pixels.astype(np.uint16) * 257,
        "float32": pixels.astype(np.float32) / 255,
        "float64": pixels / 255,
        "tensor": torch.from_numpy(pixels).permute(2, 0, 1),
        "pil": Image.fromarray(pixels),
        "fortran": np.asfortranarray(pixels),
        "reversed": pixels[::-1, ::-1].copy()[::-1, ::-1],
    }[form]
    model = ww.VisionModel(TopLeft(), preprocess=ww.Preprocess(resize=(12, 10), crop=None, **PLAIN))
    method = ww.Sobol(grid=(3, 2), rows=3)
    wanted, got = method.run(model, pixels), method.run(model, made)
    assert got.logits == pytest.approx(wanted.logits, abs=1e-5)
    assert got.heatmap().shape == (height, width)


def test_a_grid_finer_than_the_input_is_refused():
    model = ww.VisionModel(TopLeft(), preprocess=ww.Preprocess(resize=(8, 6), crop=None, **PLAIN))
    with pytest.raises(
        ValueError, match="grid: wanted at most one cell a pixel of the network's input, 8 x 6, got 8 x 8"
    ):
        ww.Sobol(grid=8, rows=2).run(model, np.ones((8, 6, 3)))


def test_a_single_pixel_and_thirty_megapixels(model):
    """The second as a grey page; a hundred megapixels are read in `test_images`."""
    method = ww.Sobol(grid=2, rows=2)
    dot = method.run(model, np.full((1, 1, 3), 200, np.uint8))
    assert dot.heatmap().shape == (1, 1)
    page = np.broadcast_to(np.uint8(200), (6_000, 5_000))
    a = method.run(model, page)
    assert np.isfinite(a.values()).all()
    assert a.photo.size[0] <= 4096


def test_a_decompression_bomb_is_refused_in_words(model, tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (15_000, 15_000)).save(path)
    with pytest.raises(ValueError, match=r"(?s)bomb.png.*(pixels|limit)"):
        ww.Sobol(grid=2, rows=2).run(model, path)
