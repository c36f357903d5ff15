"""Records of concept maps on the photo, one scale for many images, and the real network."""

import numpy as np
import pytest
import torch

from whatwhere.concepts.coder import ConceptCoder, Kinks
from whatwhere.concepts.gradient_maps import implicit_maps
from whatwhere.concepts.maps import ConceptMaps, code_maps, scale_of
from whatwhere.concepts.masked_maps import black_box_maps
from whatwhere.engine.nmf import hals
from whatwhere.engine.placing import place_on_photo
from whatwhere.pixels.geometry import Geometry
from whatwhere.pixels.images import read_photo


def record(values, kind="codes"):
    values = np.asarray(values, dtype=np.float32)
    present = values.any(axis=(1, 2))
    return ConceptMaps(values, kind, "sum", values.sum((1, 2)).astype(float), present, ~present & False, Kinks())


def test_maps_on_the_photo_keep_to_what_was_seen():
    """A photo of 6 x 10 of which the middle 6 x 6 is shown as 12 x 12."""
    geometry = Geometry((6, 10), (0, 2, 6, 8), (12, 12))
    values = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    for how in ("bilinear", "nearest"):
        placed = record(values).on_photo(geometry, how)
        assert placed.shape == (2, 6, 10)
        assert placed.dtype == np.float32
        assert np.isnan(placed[:, :, [0, 1, 8, 9]]).all()
        assert np.isfinite(placed[:, :, 2:8]).all()
        assert placed[:, [0, 0, 5, 5], [2, 7, 2, 7]] == pytest.approx(values.reshape(2, 4))
        assert np.array_equal(np.isfinite(placed[0]), geometry.seen_mask())
    nearest = record(values).on_photo(geometry, "nearest")
    assert np.array_equal(nearest[:, :, 2:8], np.kron(values, np.ones((3, 3))))


def test_a_map_that_is_linear_stays_so_between_cell_centres():
    geometry = Geometry((40, 30), (0, 0, 40, 30), (20, 20))
    rows, columns = (np.arange(n)[:, None] + 0.5 for n in (8, 6))
    placed = place_on_photo(3 * rows / 8 + 2 * columns.T / 6, geometry)
    down, across = ((np.arange(n) + 0.5) / n for n in (40, 30))
    wanted = 3 * down[:, None] + 2 * across
    assert placed[3:-3, 3:-3] == pytest.approx(wanted[3:-3, 3:-3], abs=1e-6)
    with pytest.raises(ValueError, match="interpolation: wanted 'bilinear' or 'nearest', got 'cubic'"):
        place_on_photo(np.ones((2, 2)), geometry, "cubic")


def test_a_map_of_one_cell_is_constant():
    geometry = Geometry((5, 7), (0, 0, 5, 7), (4, 4))
    assert (place_on_photo(np.full((1, 1, 1), 3.0), geometry) == 3).all()


def test_a_scale_is_the_quantile_over_all_images():
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 9, 9)) ** 3 * (rng.random((3, 9, 9)) < 0.2) for _ in range(20)]
    for each in values:
        each[1] = 0
    for quantile in (0.5, 0.9, 0.99):
        got = scale_of((record(each) for each in values), quantile)
        for k in (0, 2):
            sizes = np.abs([each[k] for each in values]).ravel()
            assert got[k] == pytest.approx(np.quantile(sizes[sizes > 0], quantile, method="inverted_cdf"), rel=0.005)
        assert got[1] == 0
    doubled = scale_of([record(2 * each) for each in values])
    assert np.array_equal(doubled, 2 * scale_of([record(each) for each in values]))
    assert scale_of([record(-np.full((1, 2, 2), 7.0))]) == pytest.approx([7], rel=0.005)


def test_the_scale_of_a_bank_is_that_of_every_photos_map(small, pictures, extract):
    """Of its own photos, and of others; of codes it is that of the bank's codes."""
    model, images = small(), pictures(8)
    concepts = extract(model, images).on(model)
    codes = concepts.bank.codes.reshape(-1, 3)
    wanted = [np.quantile(column[column > 0], 0.99, method="inverted_cdf") for column in codes.T]
    assert concepts.map_scales(method="codes") == pytest.approx(wanted, rel=0.006)
    others = pictures(3, seed=4)
    for given, photos in ((others, others), (others[0], others[:1])):
        values = np.stack([concepts.maps(photo, "occlusion", grid=3).values for photo in photos])
        got = concepts.map_scales(given, "occlusion", quantile=0.5, grid=3)
        for k in range(3):
            sizes = np.abs(values[:, k])
            assert got[k] == pytest.approx(np.quantile(sizes[sizes > 0], 0.5, method="inverted_cdf"), rel=0.006)


def test_scales_of_other_things_are_refused():
    with pytest.raises(ValueError, match="maps: wanted at least one, got none"):
        scale_of([])
    with pytest.raises(ValueError, match="maps: wanted maps of one kind, 'codes' of 1 concepts, got 'sobol' of 1 at 1"):
        scale_of([record(np.ones((1, 2, 2))), record(np.ones((1, 2, 2)), "sobol")])
    with pytest.raises(ValueError, match="quantile: wanted a number above 0 and below 1"):
        scale_of([record(np.ones((1, 2, 2)))], 1)


def test_records_are_arrays_and_say_what_they_are():
    maps = record([[[1.0, 0.0]], [[0.0, 0.0]]])
    assert np.asarray(maps, dtype=np.float64).dtype == np.float64
    assert np.array_equal(np.asarray(maps), maps.values)
    assert repr(maps) == "<ConceptMaps 'codes': 2 concepts, 1 x 2, 1 present>"


@pytest.fixture(scope="module")
def real(model, photos):
    """Five concepts of four photographs at the real network's last block but one, and the photographs' pixels."""
    cut = model.cut("features.8")
    pixels = {name: model.preprocess.pixels(read_photo(photo)) for name, photo in photos.items()}
    with model.computing():
        cells = cut.to_grid(cut.encode(torch.cat([model.to_input(each) for each in pixels.values()])))
        rows = cells.reshape(-1, cells.shape[-1]).clone()
    *_, last = hals(rows, 5)
    return ConceptCoder(model, cut, last.bank), pixels


def test_the_real_network(real, model):
    coder, pixels = real
    image = pixels["coffee"]
    codes = code_maps(coder, image)
    assert codes.values.shape == (5, 7, 7)
    top = int(codes.scores.argmax())
    product = implicit_maps(coder, image)
    early = implicit_maps(coder, image, gradient="gradcam", at=model.cut("features.5"))
    last = implicit_maps(coder, image, gradient="gradcam")
    assert product.values.shape == (5, 224, 224)
    assert early.values.shape == (5, 14, 14)
    assert (product.n_forwards, product.n_backwards) == (3, 5)
    # Codes are homogeneous in features: du/da . a = u, so that Grad-CAM with weights that are not averaged is the code.
    assert np.corrcoef(last.values[top].ravel(), codes.values[top].ravel())[0, 1] > 0.8
    masked = black_box_maps(coder, image, method="rise", grid=4, rows=48)
    blocks = codes.values[top][:6, :6].reshape(2, 3, 2, 3).mean((1, 3))
    coarse = masked.values[top].reshape(2, 2, 2, 2).mean((1, 3))
    assert np.unravel_index(coarse.argmax(), (2, 2)) == np.unravel_index(blocks.argmax(), (2, 2))
    assert all(np.isfinite(maps.values).all() for maps in (codes, product, early, last, masked))


def test_real_gradients_follow_the_score_down_a_small_step(real, model):
    """Against a difference along the gradient itself, in float32: to two digits."""
    coder, pixels = real
    image = pixels["chelsea"]
    k = int(code_maps(coder, image).scores.argmax())
    x = model.to_input(image)
    with torch.inference_mode(False), model.computing(gradients=True):
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(coder.codes(leaf)[..., k].sum(), leaf)
        step = slope / slope.norm()
        with torch.no_grad():
            near = [float(coder.codes(x + sign * 0.02 * step)[..., k].sum()) for sign in (1, -1)]
    assert (near[0] - near[1]) / 0.04 == pytest.approx(float(slope.norm()), rel=0.05)
    with np.errstate(all="raise"):
        product = implicit_maps(coder, image)
    mean = model.preprocess.normalise(image)
    assert product.values[k] == pytest.approx((slope[0].movedim(0, -1).numpy() * mean).sum(-1), abs=1e-3)
