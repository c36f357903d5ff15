"""Fixtures shared by all tests: the real network, real photos, and toy networks whose answers are known."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import whatwhere as ww

# Threads that share small work wait for each other: where something else has the cores, a hundred times as long.
torch.set_num_threads(1)

# Plans measured on a busy test machine are not for its user. Set before anything is collected, so that the kernels of
# notebooks, which know no fixtures, inherit it.
_CACHE = tempfile.TemporaryDirectory(prefix="whatwhere-tests-")
os.environ["WHATWHERE_CACHE"] = _CACHE.name


def pytest_addoption(parser):
    parser.addoption("--extended", action="store_true", help="run the long sweeps as well")


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
