"""A small network that counts the images it sees, and pictures for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww


class Counted(nn.Conv2d):
    """A convolution that counts the images that go through it, of whichever copy of the network."""

    images = 0

    def forward(self, x):
        Counted.images += len(x)
        return super().forward(x)


def network(*, affine=True, classes=4, seed=0):
    """Maps, their mean, a linear layer; or two layers behind the maps, so that what follows is not affine."""
    body = nn.Sequential(Counted(3, 12, 4, stride=4), nn.ReLU())
    head = [nn.Linear(12, classes)] if affine else [nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, classes)]
    net = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (0.5 if weight.ndim > 1 else 0.05))
    return net.eval()


@pytest.fixture(scope="session")
def small():
    def make(*, batch_size=4, **options):
        model = ww.VisionModel(network(**options), input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu")
        model.batch_size = batch_size
        return model

    return make


@pytest.fixture
def count():
    """Count the images that the network sees while a function runs: ``count(run) -> (result, images)``."""

    def measured(run):
        before = Counted.images
        result = run()
        return result, Counted.images - before

    return measured


@pytest.fixture(scope="session")
def pictures():
    """Make pictures of a few coloured blocks."""

    def make(number=12, *, size=24, seed=0):
        rng = np.random.default_rng(seed)
        blocks = size // 6
        made = rng.random((number, blocks, blocks, 3), dtype=np.float32) * (
            rng.random((number, blocks, blocks, 1)) < 0.5
        )
        return {f"p{k}": np.kron(one, np.ones((6, 6, 1), np.float32)) for k, one in enumerate(made)}

    return make


@pytest.fixture
def folder(tmp_path):
    """A folder for a cache, which is not in use afterwards whatever the test did."""
    yield tmp_path / "kept"
    ww.cache.disable()
