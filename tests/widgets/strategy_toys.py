"""A small network, pictures, and graphs whose every number is known, for tests of StrategyView."""

from __future__ import annotations

import numpy as np
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


def small_model():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=4), nn.ReLU(), nn.Conv2d(8, 12, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(12, 7),
    ).eval()  # fmt: skip
    made = ww.VisionModel(net, device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, name="small")
    made.batch_size = 4
    return made


def small_pictures(count):
    """Blocks of colours, as large as the network's input."""
    rng = np.random.default_rng(0)
    blocks = rng.random((count, 6, 6, 3), dtype=np.float32) ** 2
    return {f"photo {n}": np.kron(one, np.ones((4, 4, 1), np.float32)) for n, one in enumerate(blocks)}


def made_graph(phi, labels=None, *, probabilities=None, thumbnails=(), other=True, layout="pca", positions=None):
    """Make a graph of photos that are all read as class 0, whose residual is 1 everywhere."""
    phi = np.asarray(phi, dtype=np.float32)
    n, r = phi.shape
    ones = np.ones(n, dtype=np.float32)

    def ledger(values, classes):
        logits = (values.sum(axis=1) + 1).astype(np.float32)
        return Ledger(classes, logits, values, ones.copy(), 0 * ones, 0 * ones)

    said = np.zeros(n, dtype=np.int64)
    truth = np.full(n, -1) if labels is None else np.asarray(labels, dtype=np.int64)
    rival = np.where(truth > 0, truth, 1)
    *_, (spots, found) = place(phi, layout)
    return StrategyGraph(
        images=tuple(f"photo {k}" for k in range(n)),
        explained=ledger(phi, said.copy()),
        other=ledger(phi / 2, rival) if other else None,
        predictions=said,
        labels=truth,
        probabilities=np.full(n, 0.8, dtype=np.float32) if probabilities is None else probabilities,
        muting=Muting(np.zeros((n, r), np.float32), np.zeros((n, r), np.int64)),
        positions=spots if positions is None else np.asarray(positions, dtype=np.float32),
        layout=found,
        ids=tuple(range(r)),
        concept_names={},
        method=Strategies(layout=layout, thumbnails=0),
        provenance=MADE,
        bank="toy",
        target=0,
        layer="maps",
        affine=True,
        class_names=ClassNames(NAMES),
        thumbnails=thumbnails,
    )
