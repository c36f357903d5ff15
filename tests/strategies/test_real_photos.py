"""The real network on real photos: panels add up, misread photos, the same again."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.pixels.images import read_photo

FEW = 6


@pytest.fixture(scope="module")
def mixed(shared_photos):
    """Paths of photos of ten classes by name, and what they are."""
    root = shared_photos[0].parents[1] / "imagenette"
    if not root.is_dir():
        told = os.environ.get("WHATWHERE_SHARED")
        pytest.fail(f"no photos of classes below {told}") if told else pytest.skip("no shared photos of classes")
    files = {f"{d.name} {k}": p for d in sorted(root.iterdir()) for k, p in enumerate(sorted(Path(d).iterdir())[:FEW])}
    return files, {name: int(name[:3]) for name in files}


@pytest.fixture(scope="module")
def graph(model, mixed):
    bank = ww.Craft(n_concepts=10, fit_on="locations").run(model, mixed[0], progress=False)
    return bank, ww.StrategyGraph.of(model, bank, labels=mixed[1], progress=False)


def test_the_panel_adds_up_to_both_logits(model, photos):
    bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, photos, progress=False)
    concepts = bank.on(model)
    for photo in photos.values():
        told = concepts.compare(photo)
        with model.computing():
            logits = model.logits(model.to_input(model.preprocess.pixels(read_photo(photo))))[0].cpu().numpy()
        assert told.classes == tuple(np.argsort(-logits)[:2])
        whole = told.bases + told.contributions.sum(axis=1) + told.residuals + told.gaps
        assert whole == pytest.approx(logits[list(told.classes)], abs=1e-3)
        assert told.gaps == pytest.approx([0, 0], abs=1e-3)
        between = told.difference.sum() + np.diff(told.residuals[::-1])[0] + np.diff(told.bases[::-1])[0]
        assert between == pytest.approx(logits[told.classes[0]] - logits[told.classes[1]], abs=1e-3)
    asked = concepts.compare(photos["coffee"], "tench", predicted="espresso")
    assert (asked.kind, asked.classes) == ("given", (967, 0))
    with pytest.raises(ValueError, match="another class than the explained one, got 'tench' twice"):
        concepts.compare(photos["coffee"], 0, predicted=0)
    with pytest.raises(TypeError, match="one image, got a collection"):
        concepts.compare(photos)


def test_misread_photos(model, mixed, graph):
    """Both sides of every misread photo are those that the network says, by a route of their own."""
    bank, found = graph
    misread = found.select(correct=False)
    assert 5 <= len(misread) <= 30
    concepts = bank.on(model)
    for n in misread[:4]:
        name = found.images[n]
        told = found.compare(int(n))
        assert told.kind == "true"
        assert told.classes[1] == mixed[1][name]
        again = concepts.compare(mixed[0][name], told.classes[1])
        assert again.classes == told.classes
        for part in ("contributions", "residuals", "bases", "logits"):
            assert getattr(told, part) == pytest.approx(getattr(again, part), abs=0.05)  # photos of a bank have 8 bits


def test_concepts_of_a_mixed_set_go_with_classes(mixed, graph):
    """Nobody told the concepts of classes: photos of one class have the same strongest one all the same."""
    _, found = graph
    rows = found.by("strongest").of_image
    kinds = np.array([mixed[1][name] for name in found.images])
    agree = [np.bincount(rows[kinds == kind]).max() / FEW for kind in np.unique(kinds)]
    assert np.mean(agree) > 0.7


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="t-SNE is scikit-learn's")
def test_the_same_again(model, mixed, graph):
    bank, found = graph
    again = ww.StrategyGraph.of(model, bank, labels=mixed[1], progress=False)
    assert found.layout.method == "tsne"
    assert found.n_forwards == 0
    np.testing.assert_array_equal(again.positions, found.positions)
    np.testing.assert_array_equal(again.importance, found.importance)
    assert again.thumbnails == found.thumbnails
    assert max(map(len, found.thumbnails)) < 6000
