"""Fixtures shared by all tests: the real network, real photos, and toy networks whose answers are known."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torchvision
from scipy.optimize import linear_sum_assignment
from torch import nn

import whatwhere as ww
from whatwhere.pixels.images import read_photo

# Threads that share small work wait for each other: where something else has the cores, a hundred times as long.
torch.set_num_threads(1)

# Plans measured on a busy test machine are not for its user. Set before anything is collected, so that the kernels of
# notebooks, which know no fixtures, inherit it.
_CACHE = tempfile.TemporaryDirectory(prefix="whatwhere-tests-")
os.environ["WHATWHERE_CACHE"] = _CACHE.name


def pytest_addoption(parser):
    parser.addoption("--extended", action="store_true", help="run the long sweeps as well")
    parser.addoption("--new-pictures", action="store_true", help="take the views' pictures for right, and keep them")


def pytest_unconfigure():
    _CACHE.cleanup()


def pytest_collection_modifyitems(config, items):
    if config.getoption("--extended"):
        return
    left_out = [item for item in items if item.get_closest_marker("extended")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("extended")]


@pytest.fixture(scope="session")
def model():
    return ww.load_model("efficientnet_lite0", device="cpu")


@pytest.fixture(scope="session")
def photos():
    return ww.examples.photos()


@pytest.fixture(scope="session")
def untrained():
    """Make a torchvision network with random weights, in eval mode, once a session; tests leave it as it is."""

    @functools.cache
    def make(name):
        torch.manual_seed(0)
        options = {"vit_b_16": {"image_size": 64}, "googlenet": {"init_weights": False}}.get(name, {})
        net = torchvision.models.get_model(name, weights=None, num_classes=7, **options).eval()
        for weight in net.parameters():
            if weight.ndim > 1 and not weight.any():
                nn.init.normal_(weight, std=0.02)  # ViT's head begins with zeros, and all outputs would be equal
        return net

    return make


class Counting(nn.Module):
    """A network made of a function of the image, which counts the images that it sees."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.images = 0

    def forward(self, x):
        self.images += len(x)
        return self.function(x)


@pytest.fixture
def toy():
    """Make a VisionModel of a function from images (N, 3, H, W) in [0, 1] to logits (N, K)."""

    def make(function, *, size=(64, 64), batch_size=4, channels=3):
        preprocess = ww.Preprocess(resize=min(size), crop=size, mean=(0.0,) * channels, std=(1.0,) * channels)
        toy_model = ww.VisionModel(Counting(function), preprocess=preprocess, name="toy", device="cpu")
        toy_model.batch_size = batch_size
        toy_model.net.images = 0  # making a model runs the network once
        return toy_model

    return make


@pytest.fixture
def white():
    """An image of ones: under a mask it shows the mask itself."""
    return np.ones((64, 64, 3), dtype=np.float32)


@pytest.fixture(scope="session")
def shared_photos():
    """Paths of photographs kept outside the repository; tests that want them skip where they are absent."""
    told = os.environ.get("WHATWHERE_SHARED")
    root = Path(told) if told else Path(__file__).parents[2] / "shared"
    files = sorted((root / "data" / "imagenet_samples").glob("*.jpg"))
    if told and not files:
        pytest.fail(f"WHATWHERE_SHARED is {told!r}, but there are no photos in data/imagenet_samples below it.")
    if not files:
        pytest.skip("the shared photographs are not on this machine (set WHATWHERE_SHARED)")
    return files


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)


@pytest.fixture
def four_threads():
    """Have PyTorch compute by four threads, as on a person's machine; other tests have one."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


class Planted(NamedTuple):
    """Activations made of known codes and a known bank."""

    activations: torch.Tensor
    codes: torch.Tensor
    bank: torch.Tensor


def _planted(n=600, p=120, rank=8, *, noise=0.02, seed=0, dtype=torch.float32):
    rng = np.random.default_rng(seed)
    bank = rng.random((rank, p)) * (rng.random((rank, p)) < 0.3)
    codes = rng.random((n, rank)) * (rng.random((n, rank)) < 0.35)
    alone = np.arange(0, n, 3)  # rows of one atom: without such, factors need not be unique
    codes[alone] = 0
    codes[alone, np.arange(len(alone)) % rank] = 0.2 + rng.random(len(alone))
    clean = codes @ bank
    noisy = np.maximum(clean + noise * clean.std() * rng.normal(size=clean.shape), 0)
    return Planted(*(torch.as_tensor(x, dtype=dtype) for x in (noisy, codes, bank)))


@pytest.fixture(scope="session")
def planted():
    """Make non-negative activations with a known answer: ``planted(n, p, rank, noise=, seed=, dtype=)``."""
    return _planted


@pytest.fixture(scope="session")
def matched():
    """Cosines of the atoms of two banks, matched one to one."""

    def match(first, second):
        a, b = (x / x.norm(dim=1, keepdim=True) for x in (first.double(), second.double()))
        cosines = (a @ b.T).numpy()
        return cosines[linear_sum_assignment(-cosines)]

    return match


@pytest.fixture(scope="session")
def locations(model, photos):
    """Features of a real network at every location of four photographs: ``locations(layer)`` is (196, channels)."""

    def features(layer):
        cut = model.cut(layer)
        inputs = torch.cat([model.to_input(model.preprocess.pixels(read_photo(photo))) for photo in photos.values()])
        with torch.no_grad():
            maps = cut.encode(inputs)
        return maps.movedim(1, -1).flatten(0, 2)

    return features
