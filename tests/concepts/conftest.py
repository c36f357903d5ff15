"""Small networks and pictures on which concepts are extracted in a blink."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.concepts.craft import Craft


def weighted(net, seed):
    """Give a network weights that depend on the seed alone, and features that are not all alike."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (0.3 if weight.ndim > 1 else 0.05))
    return net.eval()


def pooled(classes=4):
    """ReLU maps on a grid of the image's quarter, their mean, a linear layer: affine behind the maps."""
    body = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU())
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, classes))


def flattened(classes=4, cells=36):
    """The same maps, but each place has weights of its own."""
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU()), nn.Flatten(), nn.Linear(12 * cells, classes)
    )


@pytest.fixture(scope="session")
def small():
    """Make a VisionModel of a small network for images of 24 x 24 pixels."""

    def make(net=None, *, seed=0, size=24, batch_size=4, weights=True, **options):
        net = pooled() if net is None else net
        options = {"input_size": size, "mean": (0.0,) * 3, "std": (1.0,) * 3} | options
        model = ww.VisionModel(weighted(net, seed) if weights else net, device="cpu", **options)
        model.batch_size = batch_size
        return model

    return make


@pytest.fixture(scope="session")
def pictures():
    """Make pictures of a few coloured blocks."""

    def make(count=12, *, size=24, seed=0):
        rng = np.random.default_rng(seed)
        blocks = -(-size // 6)
        made = rng.random((count, blocks, blocks, 3), dtype=np.float32) * (rng.random((count, blocks, blocks, 1)) < 0.5)
        return [np.kron(one, np.ones((6, 6, 1), np.float32))[:size, :size].astype(np.float32) for one in made]

    return make


@pytest.fixture(scope="session")
def extract():
    """Extract concepts of all pictures without a bar."""

    def run(model, images, *, target=None, like=None, **options):
        options = {"n_concepts": 3, "fit_on": "locations"} | options
        return Craft(**options).run(model, images, target=target, like=like, progress=False)

    return run
