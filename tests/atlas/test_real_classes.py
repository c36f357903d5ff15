"""Real classes on the real network: pages hold what the banks hold, and scores stand out where they should."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import whatwhere as ww
from whatwhere.concepts.photos import iterate_inputs
from whatwhere.engine.encoder import Encoder

CLASSES = {"000_tench": 0, "491_chain_saw": 491, "569_garbage_truck": 569, "571_gas_pump": 571}
FEW = 20


@pytest.fixture(scope="module")
def class_photos(shared_photos):
    """Paths of photos of some classes, and what they are."""
    root = shared_photos[0].parents[1] / "imagenette"
    if not root.is_dir():
        told = os.environ.get("WHATWHERE_SHARED")
        pytest.fail(f"no photos of classes below {told}") if told else pytest.skip("no shared photos of classes")
    return {
        path.name: (path, target)
        for folder, target in CLASSES.items()
        for path in sorted(Path(root, folder).iterdir())[:FEW]
    }


@pytest.fixture(scope="module")
def atlas(model, class_photos):
    return ww.Atlas.of(
        model,
        {name: path for name, (path, _) in class_photos.items()},
        labels={name: target for name, (_, target) in class_photos.items()},
        craft=ww.Craft(n_concepts=8, fit_on="locations"),
        progress=False,
    )


def test_pages(atlas):
    assert atlas.classes == tuple(sorted(CLASSES.values()))
    for page in atlas.values():
        assert page.graph is not None
        assert page.graph.known.all()
        assert page.graph.accuracy.value > 0.8
        assert 1 <= len(page.important) <= 6
        assert page.bank.ids[0] in page.important
        assert page.closest is not None
        assert page.closest[0][0].target == page.target  # the first concept points towards its own class


def test_the_mean_is_that_of_the_features(atlas, model, class_photos):
    """What the concepts rebuild has the direction of the mean feature."""
    encoder = Encoder(model, atlas.origin.layer)
    paths = {name: path for name, (path, _) in class_photos.items()}
    explained = {name for page in atlas.values() for name in page.bank.images}
    shown = [each.pixels for each in iterate_inputs(paths, model) if each.name in explained]
    mean = torch.stack([encoder.look(model.to_input(pixels)).cells.mean((0, 1, 2)) for pixels in shown]).mean(0).numpy()
    rebuilt = sum(page.n_images * page.mean for page in atlas.values()) / len(explained)
    assert mean @ rebuilt / np.linalg.norm(mean) / np.linalg.norm(rebuilt) > 0.98


def test_most_concepts_of_different_classes_are_not_alike(atlas):
    every = atlas.similar(threshold=None, most=10_000)
    z = np.array([one.z for one in every])
    assert len(every) == 6 * 64
    assert np.mean(z < 3) > 0.9
    assert len(atlas.similar(most=10_000)) < 0.05 * len(every)
    assert every[0].z > 4  # people beside a fish and beside a saw; see the crops
    assert {every[0].here[0], every[0].there[0]} == {0, 491}


def test_other_photos_of_a_class_share_what_two_classes_do_not(model, class_photos, atlas):
    """The best known likes that there are: concepts of other photos of the same class."""
    folder = next(path for path, target in class_photos.values() if target == 0).parent
    others = sorted(folder.iterdir())[FEW : 2 * FEW]
    method = atlas[0].bank.method
    again = method.run(model, others, target=0, progress=False)
    banks = {c: page.bank for c, page in atlas.items()} | {1: replace(again, target=1)}
    both = ww.Atlas.from_banks(banks)
    between = {one.here[0] for one in both.similar(1, most=6)} | {one.there[0] for one in both.similar(1, most=6)}
    assert between == {0, 1}
    strongest = both.similar(1, most=1)[0]
    assert strongest.z > atlas.similar(most=1, threshold=None)[0].z
    assert strongest.mutual
