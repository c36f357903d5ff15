"""Pictures whose answer is planted, the whole way: how many concepts there are, errors, importance by sampling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from whatwhere.concepts.craft import Craft

optimize = pytest.importorskip("scipy.optimize")


# -- how many ---------------------------------------------------------------------------------------------------------


def patterned(small, count, images=40, *, noise=0.02, seed=0):
    """Tiles of 4 x 4 pixels are sums of `count` patterns that share no pixel; three filters read each pattern."""
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.arange(48) % count).reshape(3, 4, 4)
    body = nn.Sequential(nn.Conv2d(3, 3 * count, 4, stride=4), nn.ReLU())
    model = small(nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3 * count, 4)))
    strengths = rng.uniform(0.5, 1.5, (count, 3))
    with torch.no_grad():
        for k, j in itertools.product(range(count), range(3)):
            body[0].weight[3 * k + j] = torch.from_numpy(strengths[k, j] * (owner == k)).float()
        body[0].bias.zero_()
    light = rng.uniform(0.2, 1, (images, 6, 6, count)) * (rng.random((images, 6, 6, count)) < 0.4)
    pictures = []
    for one in light:
        tiles = one[:, :, owner].transpose(0, 3, 1, 4, 2).reshape(24, 24, 3)
        pictures.append(np.clip(tiles + noise * rng.standard_normal(tiles.shape), 0, 1).astype(np.float32))
    return model, pictures, np.kron(np.eye(count), np.ones(3)) * strengths.ravel()


@pytest.mark.parametrize("count", [3, 5])
def test_the_planted_number_of_concepts_is_found_from_pictures(small, count):
    model, images, wanted = patterned(small, count)
    bank = Craft(n_concepts="auto", fit_on="locations").run(model, images, progress=False)
    assert bank.rank == count
    reason = bank.quality.rank_reason
    assert reason.startswith(f"{count} is the largest rank with all atoms found again in the other half")
    assert "cosine of at least 0.9" in reason
    smallest = float(reason.split("(smallest matched cosine ")[1].split(",")[0])
    assert smallest > 0.98
    assert reason in bank.describe()
    units = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    cosines = bank.W @ units.T
    assert sorted(cosines.argmax(axis=1)) == list(range(count))
    assert cosines.max(axis=1).min() > 0.99


def test_where_no_number_is_stable_it_says_so(small):
    """Noise and nothing else: two halves agree upon no concepts."""
    model, images, _ = patterned(small, 5, images=8)
    rng = np.random.default_rng(1)
    noise = [rng.random(image.shape, dtype=np.float32) ** 8 for image in images]
    bank = Craft(n_concepts="auto", fit_on="locations").run(model, noise, progress=False)
    assert bank.quality.rank_reason.startswith("No rank has all atoms found again in the other half")
    assert f"{bank.rank} has the largest mean stability" in bank.quality.rank_reason


def test_a_number_that_was_asked_for_has_no_reason(small):
    model, images, _ = patterned(small, 3, images=8)
    assert Craft(n_concepts=3, fit_on="locations").run(model, images, progress=False).quality.rank_reason == ""


# -- crops and locations together -------------------------------------------------------------------------------------


@pytest.mark.parametrize("patch", [24, 12])
def test_the_error_of_crops_and_locations_together(small, pictures, patch):
    """Every row by the network's own modules, crops cut and enlarged by the test, codes by scipy."""
    model, images = small(), pictures(10)
    bank = Craft(n_concepts=3, fit_on="both", patch=patch).run(model, images, progress=False)
    starts = [0] if patch == 24 else [0, 12]
    with torch.no_grad():
        batch = torch.cat([model.to_input(image) for image in images])
        cells = model.net[0](batch).movedim(1, -1).reshape(-1, 12)
        parts = [
            nn.functional.interpolate(batch[..., t : t + patch, x : x + patch], (24, 24), mode="bilinear")
            for t, x in itertools.product(starts, starts)
        ]
        crops = torch.cat([model.net[0](part).mean(dim=(2, 3)) for part in parts])
    rows = {"locations": cells.double().numpy(), "crops": crops.double().numpy()}
    bank_rows = bank.W.astype(np.float64)
    missed, whole = {}, {}
    for name, a in rows.items():
        codes = np.array([optimize.nnls(bank_rows.T, row)[0] for row in a])
        missed[name], whole[name] = ((a - codes @ bank_rows) ** 2).sum(), (a**2).sum()
    assert bank.quality.n_rows == len(cells) + len(crops)
    assert bank.quality.error_locations == pytest.approx((missed["locations"] / whole["locations"]) ** 0.5, rel=1e-4)
    assert bank.quality.error_crops == pytest.approx((missed["crops"] / whole["crops"]) ** 0.5, rel=1e-4)
    together = (sum(missed.values()) / sum(whole.values())) ** 0.5
    assert together - 1e-6 <= bank.quality.error <= 1.02 * together  # codes of the fit, before their exact solution


# -- importance where nothing is affine -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bent(small, pictures):
    """A ReLU and a bound lie behind the layer: concepts interact, and no closed form helps."""
    body = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU())
    tail = [nn.Conv2d(12, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4), nn.Tanh()]
    return small(nn.Sequential(body, *tail), seed=3), pictures(12)


METHOD = Craft(n_concepts=4, layer="0", fit_on="locations", importance="sobol", designs=1024)


@pytest.fixture(scope="module")
def streamed(bent):
    return list(METHOD.stream(*bent))


def by_hand(model, bank, rows=4096):
    """Total-order indices of each photo by Jansen's formula on plain random numbers, then the mean of photos."""
    rng = np.random.default_rng(5)
    found = []
    for codes, target in zip(bank.codes, bank.predictions, strict=True):

        def scores(gates, codes=codes, target=target):
            maps = torch.from_numpy((codes[None] * gates[:, None, None].astype(np.float32)) @ bank.W).movedim(-1, 1)
            with torch.no_grad():
                return model.net[1:](maps.contiguous())[:, target].double().numpy()

        a, b = rng.random((2, rows, bank.rank))
        base = scores(a)
        mixed = [scores(np.where(np.arange(bank.rank) == k, b, a)) for k in range(bank.rank)]
        found.append([((base - other) ** 2).mean() / (2 * base.var()) for other in mixed])
    return np.mean(found, axis=0)


def test_a_preview_comes_first_and_the_indices_after_it(streamed):
    """First shares of contributions by integrated gradients, said to be unfinished; then Sobol's, on the same bank."""
    *sketches, preview, last = streamed
    assert all(len(sketch.codes) == 0 for sketch in sketches)
    assert not preview.complete
    assert preview.importance_method.endswith("by integrated gradients")
    size = np.abs(preview.contributions).mean(axis=0)
    assert preview.importance == pytest.approx(size / size.sum(), abs=1e-6)
    assert last.complete
    assert "total-order Sobol indices" in last.importance_method
    assert "on 12 photos" in last.importance_method
    places = [preview.number_of(k) for k in last.ids]
    np.testing.assert_array_equal(last.W, preview.W[places])
    np.testing.assert_array_equal(last.contributions, preview.contributions[:, places])


def test_the_indices_are_those_of_another_design_within_their_errors(bent, streamed):
    model, _ = bent
    bank = streamed[-1]
    total = by_hand(model, bank)
    wanted = total / total.sum()
    error = bank.importance_error
    assert ((error > 0) & (error < 0.2)).all()
    few = Craft(n_concepts=4, layer="0", fit_on="locations", importance="sobol", designs=8)
    rough = few.run(*bent, progress=False)
    places = [bank.number_of(k) for k in rough.ids]
    assert bank.importance == pytest.approx(wanted, abs=0.03)
    assert (np.abs(rough.importance - wanted[places]) <= 3 * rough.importance_error).all()
    assert (np.diff(bank.importance) <= 0).all()


def test_it_stops_where_the_order_is_certain(bent, streamed):
    """Long before the most rows that it may ask for; each of them goes through the tail of the cut."""
    model, images = bent
    told = int(streamed[-1].importance_method.split(", ")[1].split(" rows")[0])
    assert 16 <= told < METHOD.designs
    asked, decode = [], model.cut("0")._decoder

    def counting(features):
        asked.append(len(features))
        return decode(features)

    model.cut("0")._decoder = counting
    try:
        bank = METHOD.run(model, images, progress=False)
    finally:
        model.cut("0")._decoder = decode
    assert bank.importance == pytest.approx(streamed[-1].importance, abs=1e-6)
    assert told * 12 * 5 <= sum(asked) < METHOD.designs * 12 * 5 / 2
