"""Normalised batches come back as photos."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import whatwhere as ww
from whatwhere.pixels.batches import is_batch, photos_from, photos_from_batch

PREPROCESS = ww.Preprocess(
    resize=8, crop=(8, 8), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), channel_order="BGR"
)
PIXELS = np.random.default_rng(0).random((5, 8, 8, 3)).astype(np.float32)
BATCH = torch.from_numpy(np.moveaxis(PREPROCESS.normalise(PIXELS), -1, 1).copy())


def loader(*columns, **options):
    return DataLoader(TensorDataset(*columns), batch_size=2, **options)


@pytest.mark.parametrize(
    "batch",
    [BATCH, BATCH.numpy(), (BATCH, torch.arange(5)), [BATCH, ["a"] * 5], {"pixel_values": BATCH}, {"image": BATCH}],
    ids=["tensor", "array", "tuple", "list", "pixel_values", "image"],
)
def test_a_batch_comes_back(batch):
    assert is_batch(batch)
    for photos in (photos_from_batch(batch, PREPROCESS), list(photos_from(batch, PREPROCESS))):
        assert np.stack([photo.pixels for photo in photos]) == pytest.approx(PIXELS, abs=1e-6)
        assert all(photo.prepared and photo.pixels.flags.c_contiguous for photo in photos)


@pytest.mark.parametrize(
    "batches",
    [
        loader(BATCH),
        loader(BATCH, torch.arange(5)),
        loader(BATCH, torch.arange(5), collate_fn=lambda rows: {"pixel_values": torch.stack([r[0] for r in rows])}),
        [BATCH[:2], BATCH[2:]],
        list(BATCH),
        iter([(BATCH, None)]),
    ],
    ids=["loader", "with labels", "dicts", "list of batches", "list of images", "iterator"],
)
def test_loaders_come_back(batches):
    photos = list(photos_from(batches, PREPROCESS))
    assert np.stack([photo.pixels for photo in photos]) == pytest.approx(PIXELS, abs=1e-6)


def test_batches_are_fetched_when_they_are_asked_for():
    fetched = []

    def batches():
        for k in range(1_000_000):
            fetched.append(k)
            yield BATCH

    photos = photos_from(batches(), PREPROCESS)
    assert fetched == []
    for _ in range(6):
        next(photos)
    assert len(fetched) == 2


def test_short_floats_are_rounded_and_not_refused():
    extreme = np.moveaxis(PREPROCESS.normalise(np.array([[[[0, 1, 1], [1, 0, 0]]]], np.float32)), -1, 1)
    for dtype in (torch.bfloat16, torch.float16):
        (photo,) = photos_from_batch(torch.from_numpy(extreme.copy()).to(dtype), PREPROCESS)
        assert photo.pixels == pytest.approx(np.array([[[0, 1, 1], [1, 0, 0]]]), abs=0.01)
        assert not photo.prepared


def test_grey_networks_take_batches_of_one_channel():
    grey = ww.Preprocess(resize=8, crop=(8, 8), mean=(0.1307,), std=(0.3081,))
    values = torch.rand(3, 1, 8, 8)
    photos = photos_from_batch((values - 0.1307) / 0.3081, grey)
    assert [photo.pixels.shape for photo in photos] == [(8, 8, 3)] * 3
    assert photos[1].pixels[..., 2] == pytest.approx(values[1, 0].numpy(), abs=1e-6)
    with pytest.raises(ValueError, match=r"wanted shape \(N, 1, H, W\) or \(1, H, W\), got \(2, 3, 8, 8\)"):
        photos_from_batch(torch.zeros(2, 3, 8, 8), grey)


def test_any_size_is_prepared_where_the_input_size_depends_on_the_photo():
    whole = ww.Preprocess(resize=None, crop=None, mean=(0, 0, 0), std=(1, 1, 1))
    assert photos_from_batch(torch.rand(1, 3, 7, 9), whole)[0].prepared


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (torch.zeros(2, 4, 8, 8), ValueError, r"wanted shape \(N, 3, H, W\) or \(3, H, W\), got \(2, 4, 8, 8\)"),
        (torch.zeros(0, 3, 8, 8), ValueError, r"got 0 of 0 NaN or infinite in shape \(0, 3, 8, 8\)"),
        (torch.full((1, 3, 8, 8), torch.nan), ValueError, "192 of 192 NaN or infinite"),
        (torch.full((1, 3, 8, 8), 9.0), ValueError, "normalised with other numbers, or not at all"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "wanted normalised floats, got torch.uint8"),
        ({"label": 3}, ValueError, "wanted one of the keys"),
        ((), ValueError, "empty tuple"),
        ("cat.jpg", TypeError, r"wanted a tensor or array \(N, 3, H, W\), got builtins.str"),
    ],
)
def test_other_batches_are_refused(batch, error, message):
    with pytest.raises(error, match=message):
        photos_from_batch(batch, PREPROCESS)


def test_what_is_no_batch_is_refused_at_once():
    with pytest.raises(TypeError, match=r"wanted a batch, a DataLoader or an iterable of batches, got builtins\.int"):
        photos_from(3, PREPROCESS)
    with pytest.raises(ValueError, match="normalised with other numbers"):
        photos_from(torch.full((1, 3, 8, 8), 9.0), PREPROCESS)
