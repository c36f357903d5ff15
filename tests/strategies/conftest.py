"""Graphs whose every number is known, and networks that are small enough to work one out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.classes import ClassNames
from whatwhere.provenance import Provenance
from whatwhere.strategies.graph import StrategyGraph
from whatwhere.strategies.layout import place
from whatwhere.strategies.ledger import Ledger
from whatwhere.strategies.muting import Muting
from whatwhere.strategies.strategies import Strategies

NAMES = ("tench", "goldfish", "church", "hen")
MADE = Provenance("toy", "0" * 16, "", "cpu", "", "0", 0.0, 0.0, 0)


def ledger(phi, classes, bias=0.0):
    """Ledger whose residual is 1 everywhere."""
    phi = np.asarray(phi, dtype=np.float32)
    ones = np.ones(len(phi), dtype=np.float32)
    logits = (phi.sum(axis=1) + 1 + bias).astype(np.float32)
    return Ledger(np.asarray(classes, dtype=np.int64), logits, phi, ones, bias * ones, 0 * ones)


@pytest.fixture(scope="session")
def made():
    """Make a graph of contributions, labels and predictions: ``made(phi, labels=..., drops=..., flips=...)``."""

    def make(phi, labels=None, *, predictions=None, drops=None, flips=None, target=0, positions=None, **options):
        method = Strategies(**{"layout": "pca", "thumbnails": 0} | options)
        phi = np.asarray(phi, dtype=np.float32)
        n, r = phi.shape
        said = np.zeros(n, dtype=np.int64) if predictions is None else np.asarray(predictions)
        truth = np.full(n, -1) if labels is None else np.asarray(labels, dtype=np.int64)
        explained = said if target is None else np.full(n, target)
        rival = np.where((truth >= 0) & (truth != explained), truth, (explained + 1) % len(NAMES))
        drops = np.zeros((n, r), np.float32) if drops is None else np.asarray(drops, dtype=np.float32)
        becomes = np.repeat(said[:, None], r, axis=1)
        if flips is not None:
            becomes = np.where(np.asarray(flips), rival[:, None], becomes)
        *_, (spots, layout) = place(phi, "pca")
        return StrategyGraph(
            images=tuple(f"photo {k}" for k in range(n)),
            explained=ledger(phi, explained),
            other=ledger(phi / 2, rival, bias=-1.0),
            predictions=said,
            labels=truth,
            probabilities=np.full(n, 0.8, dtype=np.float32),
            muting=Muting(drops, becomes),
            positions=spots if positions is None else np.asarray(positions, dtype=np.float32),
            layout=layout,
            ids=tuple(range(r)),
            concept_names={},
            method=method,
            provenance=MADE,
            bank="toy",
            target=target,
            layer="maps",
            affine=True,
            class_names=ClassNames(NAMES),
        )

    return make


def pooled(classes=4, channels=3):
    """Maps that are the image's channels on a grid of its quarter, their mean, a linear layer."""
    pool = nn.Sequential(nn.AvgPool2d(4), nn.ReLU())
    return nn.Sequential(pool, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def model_of(net, size=24, **options):
    options = {"input_size": size, "mean": (0.0,) * 3, "std": (1.0,) * 3, "device": "cpu"} | options
    model = ww.VisionModel(net.eval(), **options)
    model.batch_size = 4
    return model


@pytest.fixture(scope="session")
def colours():
    """A network that reads red, green and blue: the maps are the colours' amounts, the head is known."""
    net = pooled()
    with torch.no_grad():
        net[3].weight.copy_(torch.tensor([[4.0, 2.0, -1.0], [-2.0, 4.0, 1.0], [0.0, -3.0, 5.0], [1.0, 1.0, 1.0]]))
        net[3].bias.copy_(torch.tensor([0.1, 0.2, 0.3, -0.4]))
    return model_of(net, class_names=list(NAMES))


@pytest.fixture(scope="session")
def tinted():
    """Make pictures of blocks of pure red, green and blue, in shares that are told: (pictures, shares)."""

    def make(count=24, *, size=24, seed=0):
        rng = np.random.default_rng(seed)
        pictures, shares = {}, []
        for k in range(count):
            colour = rng.choice(3, size=(6, 6), p=rng.dirichlet([0.4, 0.4, 0.4]))
            image = np.eye(3, dtype=np.float32)[colour]
            pictures[f"p{k}"] = np.kron(image, np.ones((size // 6, size // 6, 1), np.float32))
            shares.append([(colour == c).mean() for c in range(3)])
        return pictures, np.array(shares)

    return make


@pytest.fixture(scope="session")
def whole(colours, tinted):
    """The colours' bank of mixed pictures, its graph, and what the pictures are made of."""
    pictures, shares = tinted(48)
    bank = ww.Craft(n_concepts=3, fit_on="locations").run(colours, pictures, progress=False)
    order = [int(np.argmax(row)) for row in bank.W]  # which colour each concept is
    return bank, pictures, shares[:, order], order
