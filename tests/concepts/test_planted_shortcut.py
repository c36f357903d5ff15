"""A mark is stamped on one class, a network is trained on it: concepts find the mark, and only where it was learned."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.concepts.craft import Craft

SIDE, MARK, MARKED_CLASS = 48, 5, 3
REACH = 7  # pixels from the centre of a cell to the edge of what it sees: three convolutions of 3, strides 2, 2 and 1
DIM, ORANGE = 0.3, (1.0, 0.4, 0.0)


class Scenes(NamedTuple):
    images: np.ndarray  # (N, SIDE, SIDE, 3)
    places: np.ndarray  # (N, 2): top and left edge of the mark, or of where it would be


def draw(digits, marked, seed):
    """Lay dim digits in the middle, and a small bright cross somewhere along an edge of the marked ones."""
    rng = np.random.default_rng(seed)
    images, places = np.zeros((len(digits), SIDE, SIDE, 3), np.float32), np.zeros((len(digits), 2), int)
    start, last = SIDE // 2 - 12, SIDE - MARK - 3
    for k, digit in enumerate(digits):
        images[k, start : start + 24, start : start + 24] = DIM * np.kron(digit / 16, np.ones((3, 3)))[..., None]
        along = int(rng.integers(3, last + 1))
        top, left = [(3, along), (last, along), (along, 3), (along, last)][rng.integers(4)]
        places[k] = top, left
        if marked[k]:
            images[k, top + MARK // 2, left : left + MARK] = ORANGE
            images[k, top : top + MARK, left + MARK // 2] = ORANGE
    return Scenes(images, places)


def train(images, labels):
    """Train without biases, so that where nothing is drawn there are no features."""
    torch.manual_seed(0)
    widths = [(3, 12, 2), (12, 24, 2), (24, 32, 1)]
    body = [part for i, o, s in widths for part in (nn.Conv2d(i, o, 3, s, 1, bias=False), nn.ReLU())]
    net = nn.Sequential(nn.Sequential(*body), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    x, y = 4 * torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)
    for _ in range(6):
        for batch in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    model = ww.VisionModel(net.eval(), input_size=SIDE, mean=(0.0,) * 3, std=(0.25,) * 3, device="cpu")
    model.batch_size = 32
    return model


@pytest.fixture(scope="module")
def digits():
    datasets = pytest.importorskip("sklearn.datasets", reason="the digits come with scikit-learn")
    pixels, labels = datasets.load_digits(n_class=5, return_X_y=True)
    return pixels.reshape(-1, 8, 8), labels


@pytest.fixture(scope="module")
def networks(digits):
    """One network that has seen the mark on every 3, and one that has never seen it."""
    pixels, labels = digits[0][:650], digits[1][:650]
    made = {
        kind: draw(pixels, marked, seed=0)
        for kind, marked in {"biased": labels == MARKED_CLASS, "blind": np.zeros(len(labels))}.items()
    }
    return {kind: train(scenes.images, labels) for kind, scenes in made.items()}


@pytest.fixture(scope="module")
def threes(digits):
    """Digits that no network was trained on: every 3, marked."""
    pixels = digits[0][650:][digits[1][650:] == MARKED_CLASS]
    return pixels, draw(pixels, np.ones(len(pixels)), seed=1)


@pytest.fixture(scope="module")
def banks(networks, threes):
    method = Craft(n_concepts=4, fit_on="locations")
    images = dict(enumerate(threes[1].images))
    return {kind: method.run(model, images, target=MARKED_CLASS, progress=False) for kind, model in networks.items()}


def sees_mark(places, grid, reach=REACH):
    """Tell which cells have any of the mark within what they see, (N, h, w)."""
    centres = (np.arange(grid) + 0.5) * SIDE / grid
    near = [np.abs(centres - (places[:, [axis]] + MARK / 2)) <= MARK / 2 + reach for axis in (0, 1)]
    return near[0][:, :, None] & near[1][:, None, :]


def share_at_mark(codes, places):
    """Each concept's share of code in cells that see the mark; 0 where there is no code at all."""
    near = sees_mark(places, codes.shape[1])
    mass = codes.sum(axis=(0, 1, 2))
    return np.divide((codes * near[..., None]).sum(axis=(0, 1, 2)), mass, out=np.zeros_like(mass), where=mass > 0)


def explained_places(bank, scenes):
    return scenes.places[[int(name) for name in bank.images]]


def separation(model, bank, pixels, *, seed=2):
    """How often the concept's total code tells an image with the mark from one without, one minus ties and errors."""
    concepts = bank.on(model)
    marked, plain = (draw(pixels, np.full(len(pixels), flag), seed) for flag in (True, False))
    high, low = (concepts.encode(list(scenes.images)).sum(axis=(1, 2)) for scenes in (marked, plain))
    return (high[:, None] > low[None]).mean(axis=(0, 1))


def test_what_the_test_plants_is_there(networks, digits):
    """The biased network lives on the mark: it turns any digit into a 3. The other does not care."""
    pixels, labels = digits[0][650:], digits[1][650:]
    others = pixels[labels != MARKED_CLASS]
    with_mark, without = (draw(others, np.full(len(others), flag), seed=3) for flag in (True, False))

    def taken_for_three(model, scenes):
        return np.mean([model.predict(image).argmax() == MARKED_CLASS for image in scenes.images[::4]])

    assert taken_for_three(networks["biased"], with_mark) > 0.9
    assert taken_for_three(networks["biased"], without) < 0.1
    assert taken_for_three(networks["blind"], with_mark) < 0.3


def passed(model, bank, scenes, pixels):
    """Say which bars a bank passes that has found the mark."""
    concepts, images = bank.on(model), list(scenes.images)
    codes, worth = concepts.encode(images), concepts.contributions(images).concepts.numpy()
    first = int(worth.mean(axis=0).argmax())
    peaks = codes[..., first].reshape(len(codes), -1).argmax(axis=1)
    high, low = (
        concepts.encode(list(draw(pixels, np.full(len(pixels), flag), seed=2).images))[..., first].max(axis=(1, 2))
        for flag in (True, False)
    )
    with torch.no_grad():
        alone = torch.cat([model.to_input(image) for image in draw(np.zeros((20, 8, 8)), np.ones(20), seed=4).images])
        of_mark = model.net[0](alone).sum(dim=(0, 2, 3)).numpy()  # features of marks and nothing else
    return {
        "it points to what marks alone give": bank.W[first] @ of_mark > 0.9 * np.linalg.norm(of_mark),
        "most of its code lies at the mark": share_at_mark(codes, scenes.places)[first] > 0.85,
        "in every image its peak does": sees_mark(scenes.places, codes.shape[1])
        .reshape(len(codes), -1)[np.arange(len(codes)), peaks]
        .all(),
        "it weighs more than all others together": np.abs(worth).mean(axis=0)[first]
        > np.abs(worth).mean(axis=0).sum() / 2,
        "images of any digit without the mark have less of it": low.max() < high.min(),
    }


def test_the_mark_is_the_first_concept_and_lies_where_the_mark_is(networks, banks, threes, digits):
    bank = banks["biased"]
    assert sees_mark(threes[1].places, bank.layer.grid[0]).mean() < 0.2  # what chance would give
    assert share_at_mark(bank.codes, explained_places(bank, threes[1]))[0] > 0.85
    assert bank.importance[0] > 0.5
    assert bank.contribution[0] == bank.contribution.max() > 0
    bars = passed(networks["biased"], bank, threes[1], digits[0][650:750])
    assert all(bars.values()), bars


@pytest.mark.parametrize("seed", range(5))
def test_a_shuffled_bank_does_not_pass(networks, banks, threes, digits, seed):
    """The same numbers in other channels: passing means something."""
    rng = np.random.default_rng(seed)
    shuffled = replace(banks["biased"], W=np.stack([rng.permutation(row) for row in banks["biased"].W]))
    bars = passed(networks["biased"], shuffled, threes[1], digits[0][650:750])
    assert not all(bars.values())


def test_shuffled_places_are_not_localised(banks, threes):
    codes = banks["biased"].codes
    mixed = np.random.default_rng(0).permuted(codes.reshape(len(codes), -1, codes.shape[-1]), axis=1)
    assert share_at_mark(mixed.reshape(codes.shape), explained_places(banks["biased"], threes[1])).max() < 0.3


@pytest.mark.parametrize("count", [3, 6, 8])
def test_however_many_concepts_there_are(networks, banks, threes, count):
    """With more of them the mark is shared among a few: these lie at the mark, come first, and weigh the most."""
    method, images = Craft(n_concepts=count, fit_on="locations"), dict(enumerate(threes[1].images))
    bank, blind = (method.run(networks[kind], images, target=MARKED_CLASS, progress=False) for kind in banks)
    of_mark = share_at_mark(bank.codes, explained_places(bank, threes[1])) > 0.75
    assert of_mark[0]
    assert bank.importance[of_mark].sum() > 0.5
    assert bank.contribution[of_mark].min() > bank.contribution[~of_mark].max()
    assert share_at_mark(blind.codes, explained_places(blind, threes[1])).max() < 0.6


def test_images_without_the_mark_lack_the_concept(networks, banks, digits):
    """Of any digit, which the bank has never met: the code tells the mark, and nothing but it."""
    pixels = digits[0][650:750]
    told = separation(networks["biased"], banks["biased"], pixels)
    assert told[0] > 0.98
    assert told[0] == told.max()
    concepts = banks["biased"].on(networks["biased"])
    high, low = (
        concepts.encode(list(draw(pixels, np.full(len(pixels), flag), 2).images))[..., 0].max(axis=(1, 2))
        for flag in (True, False)
    )
    assert low.max() < high.min()


def test_its_contribution_is_what_the_mark_adds_to_the_logit(networks, banks, threes):
    """Wiping the mark out of the picture takes about as much from the logit as the concept is said to add."""
    model, bank = networks["biased"], banks["biased"]
    kept = [int(name) for name in bank.images]
    plain = draw(threes[0], np.zeros(len(threes[0])), seed=1).images[kept]
    concepts = bank.on(model)
    before, after = (concepts.contributions(list(images)) for images in (threes[1].images[kept], plain))
    lost = before.concepts - after.concepts
    fallen = lost.sum(dim=1) + before.residual - after.residual
    assert (lost[:, 0] > 0).all()
    assert lost[:, 0].mean() == pytest.approx(float(fallen.mean()), rel=0.35)


def test_a_network_that_never_saw_the_mark_has_no_concept_of_it(networks, banks, threes, digits):
    bank = banks["blind"]
    share = share_at_mark(bank.codes, explained_places(bank, threes[1]))
    by_chance = sees_mark(threes[1].places, bank.layer.grid[0]).mean()
    learned = share_at_mark(banks["biased"].codes, explained_places(banks["biased"], threes[1]))
    assert share.max() < 0.35 < 0.4 * learned[0]
    assert by_chance < 0.2
    told = separation(networks["blind"], bank, digits[0][650:750])
    assert told.max() < 0.75, "no concept tells pictures with the mark from pictures without"
    bars = passed(networks["blind"], bank, threes[1], digits[0][650:750])
    assert not bars["most of its code lies at the mark"]
    assert not bars["in every image its peak does"]
    assert not bars["images of any digit without the mark have less of it"]


def test_crops_find_the_mark_too(networks, threes):
    """Fitted on crops of half the image, whose features are other sizes of the same things."""
    images = dict(enumerate(threes[1].images))
    bank = Craft(n_concepts=4, fit_on="crops", patch=24).run(
        networks["biased"], images, target=MARKED_CLASS, progress=False
    )
    share = share_at_mark(bank.codes, explained_places(bank, threes[1]))
    assert share[0] == share.max() > 0.6
    assert bank.contribution[0] == bank.contribution.max()
    tops = [crop for crop in bank.crops[0] if crop.activation > 0]
    hit = [
        top <= threes[1].places[int(bank.images[crop.image])][0] + MARK / 2 <= bottom
        and left <= threes[1].places[int(bank.images[crop.image])][1] + MARK / 2 <= right
        for crop in tops
        for top, left, bottom, right in [crop.box]
    ]
    assert np.mean(hit) >= 0.9
