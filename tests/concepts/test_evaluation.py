"""What a bank says of its own worth, asked on its network: against features, codes and logits of the test's own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from whatwhere.concepts.craft import Craft
from whatwhere.pixels.images import read_photo

optimize = pytest.importorskip("scipy.optimize")
linalg = pytest.importorskip("scipy.linalg")
distance = pytest.importorskip("scipy.spatial.distance")

AFFINE = ("gradient_input", "integrated_gradients", "occlusion")


class Route:
    """Features by a hook, codes by scipy, logits by the network's own last modules: nothing of the library's."""

    def __init__(self, model, bank, images, tail):
        kept, own = [], []
        layer = model.net.get_submodule(bank.layer.name)
        handle = layer.register_forward_hook(lambda *given: kept.append(given[2].detach().clone()))
        try:
            with torch.no_grad():
                own = [model.net(model.to_input(model.preprocess.pixels(read_photo(image)))) for image in images]
        finally:
            handle.remove()
        self.tail, self.W = tail, bank.W.astype(np.float64)
        self.cells = torch.cat(kept).movedim(1, -1).double().numpy()
        self.rows = self.cells.reshape(-1, self.cells.shape[-1])
        self.codes = np.array([optimize.nnls(self.W.T, row)[0] for row in self.rows])
        self.logits = torch.cat(own).double().numpy()

    @property
    def rebuilt(self):
        return self.codes @ self.W

    def tell(self, rows):
        """What the rest of the network says of features."""
        maps = torch.from_numpy(rows.reshape(self.cells.shape)).movedim(-1, 1).float().contiguous()
        with torch.no_grad():
            return self.tail(maps).double().numpy()

    def gated(self, image, gates):
        """The logits of one image whose concepts are shut or open."""
        share = self.codes.reshape(*self.cells.shape[:-1], -1)[image]
        rows = np.stack([(share * gate) @ self.W for gate in np.atleast_2d(gates)])
        maps = torch.from_numpy(rows).movedim(-1, 1).float().contiguous()
        with torch.no_grad():
            return self.tail(maps).double().numpy()


def assert_as_by_hand(got, route, target=None, *, tolerance=1e-3):
    """Errors, sparsity and fidelity, each by its definition."""
    missed, whole = route.rows - route.rebuilt, np.linalg.norm(route.rows, axis=1)
    alive = whole > 0
    assert got.n_images == len(route.logits)
    assert got.error.weighted == pytest.approx(np.linalg.norm(missed) / np.linalg.norm(route.rows), rel=tolerance)
    ratios = np.linalg.norm(missed, axis=1)[alive] / whole[alive]
    assert got.error.mean == pytest.approx(ratios.mean(), rel=tolerance)
    shown = route.codes > 1e-5 * route.codes.max()
    assert got.sparsity.active == pytest.approx(shown.sum(axis=1).mean(), rel=0.01)
    assert got.sparsity.zeros == pytest.approx(1 - shown.mean(), abs=0.005)
    told, own = route.tell(route.rebuilt), route.logits
    assert got.fidelity.agreement == (told.argmax(axis=1) == own.argmax(axis=1)).mean()
    low, high = got.fidelity.agreement_interval
    assert 0 <= low <= got.fidelity.agreement <= high <= 1
    assert got.fidelity.difference == pytest.approx(np.abs(told - own).mean(), rel=tolerance)
    chosen = own.argmax(axis=1) if target is None else np.full(len(own), target)
    one, other = own[np.arange(len(own)), chosen], told[np.arange(len(own)), chosen]
    assert got.fidelity.target_difference == pytest.approx(np.abs(one - other).mean(), rel=tolerance)
    r2 = 1 - ((one - other) ** 2).sum() / ((one - one.mean()) ** 2).sum()
    assert got.fidelity.r2 == pytest.approx(r2, rel=tolerance, abs=tolerance)


@pytest.fixture(scope="module")
def lite(model, photos):
    """Four concepts of the example photos as they are and upside down; on their sides they are held out."""
    turned = {k: {f"{n} {k}": np.rot90(read_photo(p).pixels, k) for n, p in photos.items()} for k in range(4)}
    bank = Craft(n_concepts=4, fit_on="locations").run(model, turned[0] | turned[2], progress=False)
    return bank, list(turned[1].values()) + list(turned[3].values())


@pytest.fixture(scope="module")
def lite_route(model, lite):
    bank, held_out = lite
    return Route(model, bank, held_out, lambda maps: model.net.classifier(maps.mean(dim=(2, 3))))


@pytest.fixture(scope="module")
def bent(small, pictures):
    """A network with a ReLU behind the layer, so that nothing there is affine; ten pictures held out."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU())
    net = nn.Sequential(body, nn.Conv2d(12, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    model = small(net)
    bank = Craft(n_concepts=4, layer="0", fit_on="locations").run(model, pictures(16), progress=False)
    held_out = pictures(10, seed=9)
    return model, bank, held_out, Route(model, bank, held_out, model.net[1:])


# -- evaluate ---------------------------------------------------------------------------------------------------------


def test_the_real_network_on_held_out_photos(model, lite, lite_route):
    bank, held_out = lite
    got = bank.on(model).evaluate(held_out)
    assert_as_by_hand(got, lite_route)
    assert 0.3 < got.error.weighted < 1
    own = bank.on(model).evaluate()
    assert own.n_images == len(bank.images)
    assert own.error.weighted == pytest.approx(bank.quality.error_locations, rel=1e-3)
    assert own.fidelity.agreement == bank.quality.agreement
    assert own.error.weighted < got.error.weighted, "what was not fitted is rebuilt less well"


def test_a_network_that_bends_behind_the_layer(bent):
    model, bank, held_out, route = bent
    assert not bank.affine
    assert_as_by_hand(bank.on(model).evaluate(held_out), route)


def test_distances_of_distributions(bent):
    """Fréchet by matrix roots, Wasserstein by its quantiles, neighbours by all pairs."""
    model, bank, held_out, route = bent
    got = bank.on(model).evaluate(held_out)
    real, said = route.rows, route.rebuilt
    first, second = np.cov(real.T), np.cov(said.T)
    root = linalg.sqrtm(first @ second).real
    wanted = ((real.mean(axis=0) - said.mean(axis=0)) ** 2).sum() + np.trace(first + second - 2 * root)
    assert got.frechet.value == pytest.approx(wanted, rel=1e-2)
    assert got.frechet.relative == pytest.approx(wanted / np.trace(first), rel=1e-2)
    directions = np.random.default_rng(0).normal(size=(12, 4000))
    directions /= np.linalg.norm(directions, axis=0)
    seen, spoken = (np.sort(rows @ directions, axis=0) for rows in (real, said))  # as many rows: quantile by quantile
    assert got.wasserstein.value == pytest.approx(np.abs(seen - spoken).mean(), rel=0.15)  # 256 directions of its own
    among, away = distance.cdist(real, real), distance.cdist(said, real)
    for table in (among, away):
        np.fill_diagonal(table, np.inf)
    fifth = [np.sort(table, axis=1)[:, 4].mean() for table in (among, away)]
    assert got.out_of_distribution == pytest.approx(fifth[1] / fifth[0], rel=1e-3)


def test_concepts_that_say_everything(small, pictures):
    """As many concepts as channels that carry anything: no error, and the same logits."""
    model = small()
    images = pictures(12)
    bank = Craft(n_concepts=12, fit_on="locations", extractor="pca").run(model, images, progress=False)
    got = bank.on(model).evaluate(pictures(6, seed=4))
    assert got.error.weighted < 1e-4
    assert got.fidelity.agreement == 1
    assert got.fidelity.r2 == pytest.approx(1, abs=1e-4)
    assert got.frechet.relative < 1e-6
    assert got.out_of_distribution == pytest.approx(1, abs=1e-3)


def test_too_few_locations(small, pictures):
    model = small(size=8)
    bank = Craft(n_concepts=2, fit_on="locations").run(model, pictures(12, size=8), progress=False)
    with pytest.raises(ValueError, match="images: wanted more than 5 locations in all, got 4; add photos"):
        bank.on(model).evaluate(pictures(1, size=8)[0])


# -- faithfulness -----------------------------------------------------------------------------------------------------


def areas(route, image, target, values):
    """The normalised areas under the logit while concepts go, and while they come, by falling value."""
    order = np.argsort(-values, kind="stable")
    gates = np.ones((len(values) + 1, len(values)))
    for step, k in enumerate(order):
        gates[step + 1 :, k] = 0
    found = []
    for path in (gates, 1 - gates):
        scores = route.gated(image, path)[:, target]
        area = ((scores[1:] + scores[:-1]) / 2).mean()
        low, high = (scores[-1], scores[0]) if path is gates else (scores[0], scores[-1])
        found.append((area - low) / (high - low))
    return found


def correlation(route, image, target, values, size=1):
    """What subsets of one size are said to be worth against what the logit loses without them."""
    rank = len(values)
    subsets = [list(chosen) for chosen in itertools.combinations(range(rank), size)]
    gates = np.ones((len(subsets) + 1, rank))
    for row, chosen in enumerate(subsets):
        gates[row + 1, chosen] = 0
    scores = route.gated(image, gates)[:, target]
    return np.corrcoef([values[chosen].sum() for chosen in subsets], scores[0] - scores[1:])[0, 1]


def test_behind_an_affine_head_contributions_are_all_there_is_to_know(model, lite, lite_route):
    """Three estimators are the contribution itself, foretell every loss, and no order of concepts does better."""
    bank, held_out = lite
    concepts = bank.on(model)
    got = concepts.faithfulness(held_out, methods=(*AFFINE, "sobol"))
    worth = concepts.contributions(held_out).concepts.numpy()
    targets = lite_route.logits.argmax(axis=1)
    theta = model.net.classifier[1].weight.detach().double().numpy()[targets]
    mean_codes = lite_route.codes.reshape(len(held_out), -1, bank.rank).mean(axis=1)
    phi = mean_codes * (theta @ lite_route.W.T)
    assert worth == pytest.approx(phi, abs=2e-3)
    for name in AFFINE:
        assert got.values[name] == pytest.approx(phi, abs=2e-3), name
        assert got.mu_fidelity[name].mean == pytest.approx(1, abs=1e-4)
        assert (got.mu_fidelity[name].count, got.mu_fidelity[name].undefined) == (len(held_out), 0)
    every = np.array([areas(lite_route, n, target, phi[n]) for n, target in enumerate(targets)])
    for told, column in ((got.deletion, 0), (got.insertion, 1)):
        assert told["occlusion"].mean == pytest.approx(every[:, column].mean(), abs=2e-3)
        assert told["occlusion"].low <= told["occlusion"].mean <= told["occlusion"].high
    for order in itertools.permutations(range(bank.rank)):
        other = [areas(lite_route, n, t, np.argsort(order).astype(float)) for n, t in enumerate(targets)]
        assert got.deletion["occlusion"].mean <= np.mean(other, axis=0)[0] + 2e-3
        assert got.insertion["occlusion"].mean >= np.mean(other, axis=0)[1] - 2e-3
    squares = phi**2 / (phi**2).sum(axis=1, keepdims=True)
    assert got.values["sobol"] == pytest.approx(squares, abs=0.1)


def test_where_the_network_bends_each_figure_is_its_definition(bent):
    model, bank, held_out, route = bent
    got = bank.on(model).faithfulness(held_out, methods=("gradient_input", "occlusion"))
    targets = route.logits.argmax(axis=1)
    for n, target in enumerate(targets):
        scores = route.gated(n, np.concatenate([np.ones((1, 4)), 1 - np.eye(4)]))[:, target]
        assert got.values["occlusion"][n] == pytest.approx(scores[0] - scores[1:], abs=1e-4)
    for name, values in got.values.items():
        lost, won = np.mean([areas(route, n, t, values[n]) for n, t in enumerate(targets)], axis=0)
        assert got.deletion[name].mean == pytest.approx(lost, abs=1e-3), name
        assert got.insertion[name].mean == pytest.approx(won, abs=1e-3), name
        told = np.mean([correlation(route, n, t, values[n]) for n, t in enumerate(targets)])
        assert got.mu_fidelity[name].mean == pytest.approx(told, abs=1e-3), name
    assert got.mu_fidelity["occlusion"].mean == pytest.approx(1, abs=1e-4)  # subsets of one are what it measures
    assert got.mu_fidelity["gradient_input"].mean < 0.9999


def test_the_banks_own_photos_by_default_and_no_more_than_asked_for(bent):
    model, bank, _, _ = bent
    concepts = bank.on(model)
    three = concepts.faithfulness(methods=("occlusion",), limit=3)
    assert three.values["occlusion"].shape == (3, 4)
    every = concepts.faithfulness(methods=("occlusion",))
    assert every.values["occlusion"].shape == (16, 4)
    assert every.values["occlusion"][:3] == pytest.approx(three.values["occlusion"], abs=1e-5)


def test_faithfulness_refuses(bent):
    model, bank, held_out, _ = bent
    with pytest.raises(ValueError, match=r"methods: wanted some of \[.*\], got \['lime'\]"):
        bank.on(model).faithfulness(held_out, methods=("lime",))
    with pytest.raises(ValueError, match="bank: wanted at least two concepts to compare, got one"):
        bank.take([0]).on(model).faithfulness(held_out)


# -- the classes that concepts speak for ------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["effect", "alignment"])
def test_the_closest_classes_of_the_real_network(model, lite, by):
    """Cosines and effects by hand, of all thousand classes."""
    bank, _ = lite
    theta = model.net.classifier[1].weight.detach().double().numpy()
    atoms = bank.W.astype(np.float64)
    table = atoms @ theta.T
    if by == "alignment":
        table /= np.linalg.norm(atoms, axis=1)[:, None] * np.linalg.norm(theta, axis=1)
    else:
        table *= bank.codes.astype(np.float64).mean(axis=(0, 1, 2))[:, None]
    found = bank.on(model).closest_classes(7, by=by)
    assert len(found) == bank.rank
    for row, closest in zip(table, found, strict=True):
        assert [one.id for one in closest] == list(np.argsort(-row)[:7])
        assert [one.value for one in closest] == pytest.approx(np.sort(row)[::-1][:7], rel=1e-5)
