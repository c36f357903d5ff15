"""Prototypes beside photos, in the eyes of other networks, and in feature space: on networks that are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.metrics.distributions import frechet
from whatwhere.metrics.intervals import wilson
from whatwhere.prototypes.evaluation import realism, standing, transfer

NAMES = ["red", "green", "blue"]


def colour_net(order=(0, 1, 2), *, size=24, names=NAMES, scale=1.0):
    """A network whose features are the colours of 4 x 4 cells, and whose logits are their means in some order."""
    body = nn.Conv2d(3, 3, 4, stride=4, bias=False)
    head = nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        body.weight.copy_(torch.eye(3)[:, :, None, None].expand(3, 3, 4, 4) / 16)
        head.weight.copy_(scale * torch.eye(3)[list(order)])
    net = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()
    return ww.VisionModel(
        net, input_size=size, mean=(0.0,) * 3, std=(1.0,) * 3, class_names=names, name=f"net {order}", device="cpu"
    )


@pytest.fixture(scope="module")
def cells():
    return colour_net()


@pytest.fixture(scope="module")
def made(cells):
    return ww.Maco(steps=12, crops=2, size=24, crop=0.6, frames=0).run(cells, NAMES, progress=False)


def painted(p, colour):
    return replace(p, image=np.broadcast_to(np.float32(colour), (24, 24, 3)).copy())


@pytest.fixture(scope="module")
def shots():
    rng = np.random.default_rng(0)
    return {f"photo {k}": rng.random((24, 24, 3), dtype=np.float32) ** (1 + k % 5) for k in range(40)}


@pytest.fixture(scope="module")
def found(cells, shots):
    return ww.DatasetExamples(count=2).run(cells, NAMES, shots, progress=False)


def test_standing_is_the_count_of_photos_below(made, found, shots):
    """Another route: the means of the photos' colours, in whatever order the records come."""
    for k, told in enumerate(standing(made, found[::-1])):
        means = np.array([photo[..., k].mean() for photo in shots.values()])
        below = int((means < made[k].after).sum())
        assert told.label == NAMES[k]
        assert told.share_below == below / 40
        assert (told.low, told.high) == pytest.approx([float(end) for end in wilson(below, 40)])
        assert told.strongest == pytest.approx(means.max(), abs=1e-5)
        assert told.p99 == pytest.approx(np.quantile(means, 0.99), abs=1e-5)
        assert told.photos == 40
    assert standing(made[0], found[0])[0].value == made[0].after


def test_standing_wants_the_same_target_and_weights(made, found, shots):
    with pytest.raises(ValueError, match=r"wanted photos for 'blue' .* got those for \['red', 'green'\]"):
        standing(made[2], found[:2])
    other = ww.DatasetExamples().run(colour_net(scale=2.0), NAMES, shots, progress=False)
    with pytest.raises(ValueError, match="through the same weights"):
        standing(made[0], other)
    with pytest.raises(ValueError, match="finished"):
        standing(replace(made[0], after=None), found)
    with pytest.raises(TypeError, match="got ndarray"):
        standing([np.zeros((2, 2, 3))], found)
    with pytest.raises(ValueError, match="at least one"):
        standing([], found)


def test_other_networks_rank_the_class_of_the_prototype(made):
    """Plain colours, whose order is plain; the third network knows the classes by other numbers."""
    reds = [painted(made[0], (0.9, 0.5, 0.1)), painted(made[1], (0.9, 0.5, 0.1)), painted(made[2], (0.9, 0.5, 0.1))]
    turned = colour_net((2, 0, 1))  # its "red" is blue, its "green" red, its "blue" green
    renamed = colour_net((2, 0, 1), names=["blue", "red", "green"])  # each is its own colour again
    told = transfer(reds, [colour_net(), turned, renamed])
    assert told.ranks.tolist() == [[1, 3, 1], [2, 1, 2], [3, 2, 3]]
    np.testing.assert_allclose(told.logits, [[0.9, 0.1, 0.9], [0.5, 0.9, 0.5], [0.1, 0.5, 0.1]], atol=1e-6)
    assert told.within(1).sum(axis=0).tolist() == [1, 1, 1]
    assert told.within(2)[:, 0].tolist() == [True, True, False]
    shares = told.shares(2)
    assert shares[:, 0] == pytest.approx([2 / 3] * 3)
    assert shares[0, 1:] == pytest.approx([float(end) for end in wilson(2, 3)])
    assert told.labels == tuple(NAMES)
    assert told.models[1] == "net (2, 0, 1)"


def test_of_equals_the_class_is_the_last(made):
    assert transfer(painted(made[0], (0.5, 0.5, 0.5)), colour_net()).ranks.tolist() == [[3]]


def test_networks_have_own_sizes(made):
    wide = colour_net(size=48)
    assert transfer(painted(made[2], (0.1, 0.2, 0.7)), wide).ranks.tolist() == [[1]]


def test_transfer_wants_classes_that_are_known(cells, made):
    channel = ww.Maco(steps=2, crops=1, size=24, crop=0.6).run(cells, ww.targets.Channel("0", 1), progress=False)
    with pytest.raises(ValueError, match="wanted those of classes, got 'channel 1 of 0'"):
        transfer(channel, cells)
    with pytest.raises(ww.UnknownClassError, match="red"):
        transfer(made[0], colour_net(names=["one", "two", "three"]))
    with pytest.raises(ValueError, match="models: wanted at least one"):
        transfer(made, [])


def test_realism_in_a_space_of_colours(cells, made, shots):
    """Features are mean colours, of the pooling layer; distances are those of the metric, of the same draws."""
    told = realism(made, shots, cells, draws=3, seed=5)
    own = np.array([p.image.mean(axis=(0, 1)) for p in made], np.float64)
    real = np.array([photo.mean(axis=(0, 1)) for photo in shots.values()], np.float64)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (own, real)]
    cosines = unit[0] @ unit[1].T
    assert told.nearest == pytest.approx(cosines.max(axis=1), abs=1e-5)
    assert told.nearest_photo == tuple(f"photo {k}" for k in cosines.argmax(axis=1))
    among = unit[1] @ unit[1].T
    np.fill_diagonal(among, -1)
    assert told.nearest_of_photos == pytest.approx(among.max(axis=1), abs=1e-5)
    order = np.random.default_rng(5).permutation(40)
    few, others = (torch.from_numpy(real[part]) for part in (order[:3], order[3:]))
    assert told.frechet[0] == pytest.approx(frechet(others, torch.from_numpy(own)).relative, rel=1e-4)
    assert told.frechet_of_photos[0] == pytest.approx(frechet(others, few).relative, rel=1e-4)
    assert (told.model, told.layer) == ("net (0, 1, 2)", "1")
    assert told.ratio == np.median(told.frechet) / np.median(told.frechet_of_photos)
    assert realism(made, shots, cells, draws=3, seed=5).frechet.tolist() == told.frechet.tolist()


def test_photos_as_prototypes_are_as_real_as_photos(cells, made, shots):
    names = list(shots)[:3]
    copies = [replace(p, image=shots[name].copy()) for p, name in zip(made, names, strict=True)]
    told = realism(copies, shots, cells)
    assert told.nearest == pytest.approx(1)
    assert told.nearest_photo == tuple(names)
    odd = realism([painted(p, colour) for p, colour in zip(made, np.eye(3), strict=True)], shots, cells)
    assert odd.ratio > 10 * told.ratio
    assert odd.nearest.max() < 0.95


def test_realism_wants_enough_of_both(cells, made, shots):
    with pytest.raises(ValueError, match="at least two prototypes and more than twice as many photos, got 1 and 40"):
        realism(made[0], shots, cells)
    with pytest.raises(ValueError, match="got 3 and 6"):
        realism(made, dict(list(shots.items())[:6]), cells)
    vector = ww.VisionModel(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 3)),
        input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, name="flat", device="cpu",
    )  # fmt: skip
    with pytest.raises(ValueError, match="flat has no layer that lies on a grid"):
        realism(made, shots, vector)
