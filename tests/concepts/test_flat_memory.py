"""Memory does not grow with the number of photos, but for the few numbers of each that the record holds."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

import whatwhere as ww
from whatwhere import limits
from whatwhere.cache import store

FEW, MANY = 64, 320
INPUT = 24 * 24 * 3 * 4  # bytes of a network's input in float32


def generated(count):
    """Different photos, made when they are asked for; as PIL images, which nobody may hold."""
    for k in range(count):
        blocks = np.random.default_rng(k).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        yield Image.fromarray(np.kron(blocks, np.ones((6, 6, 1), np.uint8)))


def used(run, count):
    """Return bytes of Python and numpy that a run leaves, those at its peak, and how many tensors and PIL images."""
    run(8)
    gc.collect()
    tracemalloc.start()
    result = run(count)
    gc.collect()
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    objects = sum(issubclass(type(one), torch.Tensor | Image.Image) for one in gc.get_objects())
    del result
    return np.array([left, peak, objects], dtype=float)


def growth(run):
    """Return the same for one photo more."""
    return (used(run, MANY) - used(run, FEW)) / (MANY - FEW)


@pytest.fixture(autouse=True)
def _no_room(monkeypatch):
    """Features and photos lie in files from the first on."""
    monkeypatch.setattr(limits, "activation_bytes", 0)


@pytest.mark.parametrize("fit_on", ["locations", "both"])
def test_concepts(small, extract, fit_on):
    model = small(batch_size=16)
    held, peak, objects = growth(lambda count: extract(model, generated(count), n_concepts=3, fit_on=fit_on))
    codes = 36 * 3 * 4
    assert held < codes + 1500  # names, places on the photo, where each lies in the files
    assert peak < INPUT  # nobody holds the photos, not even under way
    assert objects < 0.05


def test_strategies(small, extract):
    model = small(batch_size=16)
    bank = extract(model, generated(40), n_concepts=3)
    method = ww.Strategies(layout="pca", thumbnails=0)
    held, peak, objects = growth(lambda count: method.run(model, bank, generated(count), progress=False))
    assert held < 600
    assert peak < 1500
    assert objects < 0.05


def test_strategies_with_a_cache(small, extract, tmp_path, monkeypatch):
    model = small(batch_size=16)
    bank = extract(model, generated(40), n_concepts=3)
    method = ww.Strategies(layout="pca", thumbnails=0)
    monkeypatch.setattr(store, "_HELD_FILES", 2)  # what was read last stays at hand, up to a limit
    with ww.cache.use(tmp_path):
        for _ in range(2):  # while it is filled, and from it
            held, _, objects = growth(lambda count: method.run(model, bank, generated(count), progress=False))
            assert objects < 0.05
            assert held < 900


def test_maps(small):
    model = small(batch_size=16)
    method = ww.Sobol(grid=3, rows=2)

    def run(count):
        return sum(record.reference[0] for _, record in method.each(model, generated(count), progress=False))

    held, peak, objects = growth(run)
    assert (held < 200, peak < 500, objects < 0.05) == (True, True, True)
