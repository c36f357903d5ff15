"""Banks whose directions are planted, and a network of colours whose classes share what they see."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.classes import ClassNames

NAMES = (
    "tench",
    "goldfish",
    "crane",
    "café au lait",
    "garbage truck",
    "hen",
    "truck stop",
    "crane",
    "church",
    "parachute",
)
CHANNELS = 64


class Colours(nn.Module):
    """Six maps of colours, light and dark, on a grid of the image's quarter; the class is the strongest colour."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 24, 4, stride=4), nn.ReLU())
        self.head = nn.Linear(24, 3)
        self.seen = Counter()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.maps[0].weight.copy_(torch.randn(24, 3, 4, 4, generator=generator) * 0.1)
            self.maps[0].bias.zero_()
            self.head.weight.zero_()
            self.head.bias.zero_()
            for k in range(6):
                self.maps[0].weight[k, k % 3] += 0.1
                self.head.weight[k % 3, k] = 1

    def forward(self, x):
        self.seen.update(one.numpy().tobytes() for one in x.detach().cpu())
        return self.head(self.maps(x).mean((2, 3)))


@pytest.fixture
def net():
    """Make a VisionModel of it, which notes in ``net.net.seen`` what it is shown, and how often."""
    model = ww.VisionModel(
        Colours().eval(),
        input_size=24,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        device="cpu",
        class_names=["red", "green", "blue"],
    )
    model.batch_size = 4
    return model


def coloured(counts, *, size=24, seed=0):
    """Make pictures of blocks, most of them of one colour a picture, shuffled; and the colours, by name."""
    rng = np.random.default_rng(seed)
    colours = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    made = {}
    for k, colour in enumerate(colours):
        some = rng.random((size // 6, size // 6, 1)) < 0.6
        blocks = (rng.random((size // 6, size // 6, 3)) * 0.4 * some).astype("f4")
        blocks[..., colour] += 0.5 * rng.random((size // 6, size // 6), dtype=np.float32)
        made[f"photo {k}"] = np.kron(blocks, np.ones((6, 6, 1), np.float32))
    return made, {f"photo {k}": int(colour) for k, colour in enumerate(colours)}


@pytest.fixture
def pictures():
    return coloured


@pytest.fixture(scope="session")
def bank_of():
    """Make a bank of directions: ``bank_of(target, W, n_images=…)``; all else is that of a small real one."""
    model = ww.VisionModel(
        Colours().eval(), input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu", name="planted"
    )
    real = ww.Craft(n_concepts=2, fit_on="locations").run(model, coloured([8, 0, 0])[0], target=0, progress=False)

    def make(target, directions, *, n_images=6, seed=0, names=NAMES, ids=None, **told):
        rng = np.random.default_rng(seed)
        directions = np.asarray(directions, dtype=np.float32)
        r, n = len(directions), n_images
        added = np.sort(rng.random((n, r)).astype(np.float32), axis=1)[:, ::-1].copy()
        photos = tuple(f"{target}: {k}" for k in range(n))
        crops = tuple((replace(real.crops[0][0], image=photos[0]),) for _ in range(r))
        return replace(
            real,
            W=directions,
            importance=np.full(r, 1 / r, dtype=np.float32),
            contribution=added.mean(axis=0),
            importance_error=None,
            ids=tuple(range(r)) if ids is None else tuple(ids),
            target=target,
            class_names=ClassNames(names),
            images=photos,
            predictions=np.full(n, target),
            codes=rng.random((n, 2, 2, r)).astype(np.float32),
            logits=added.sum(axis=1),
            contributions=added,
            residuals=np.zeros(n, np.float32),
            bases=np.zeros(n, np.float32),
            gaps=np.zeros(n, np.float32),
            crops=crops,
            source=None,
            **told,
        )

    return make


def atoms(rng, count, channels=CHANNELS):
    """Directions that are at least 0, a third of their entries above it."""
    return rng.random((count, channels)) * (rng.random((count, channels)) < 0.35) + 1e-3


@pytest.fixture(scope="session")
def planted(bank_of):
    """Make banks of classes, and let some of them share directions: ``planted(seed, shared={(c, k): (d, j)})``."""

    def make(seed=0, *, classes=8, rank=6, shared=None, noise=0.1, channels=256):
        rng = np.random.default_rng(seed)
        directions = {c: atoms(rng, rank, channels) for c in range(classes)}
        for (c, k), (d, j) in (shared or {}).items():
            directions[d][j] = np.maximum(directions[c][k] + noise * rng.normal(size=channels), 0)
        return {c: bank_of(c, rows, seed=c) for c, rows in directions.items()}

    return make
