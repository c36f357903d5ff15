"""What concepts add to a logit: against weights read off by hand, integrals known in closed form, and gates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer

import whatwhere as ww
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.importance import contributions
from whatwhere.engine.gates import attribute
from whatwhere.pixels.images import read_photo


@pytest.fixture(scope="module")
def lite(model, photos):
    """Four concepts of the example photos, turned every way, at the real network's last maps."""
    turned = {f"{name} {k}": np.rot90(read_photo(photo).pixels, k) for name, photo in photos.items() for k in (0, 2)}
    bank = Craft(n_concepts=4, fit_on="locations").run(model, turned, progress=False)
    return bank, turned


def features(model, layer, image):
    """What a layer puts out for an image, by a hook of the test's own, with the logits: (h, w, p), (classes,)."""
    kept = []
    handle = model.net.get_submodule(layer).register_forward_hook(lambda *given: kept.append(given[2].detach().clone()))
    try:
        with torch.no_grad():
            logits = model.net(model.to_input(model.preprocess.pixels(read_photo(image))))[0]
    finally:
        handle.remove()
    return kept[0][0].permute(1, 2, 0).double(), logits.double()


def test_contributions_are_head_weights_times_atoms_times_codes(model, lite):
    bank, turned = lite
    assert bank.affine
    theta = model.net.classifier[1].weight.double().numpy()
    bias = model.net.classifier[1].bias.double().numpy()
    for n, name in enumerate(bank.images):
        cells, logits = features(model, bank.layer.name, turned[name])
        c = bank.predictions[n]
        assert c == int(logits.argmax())
        mean_code = bank.codes[n].reshape(-1, bank.rank).astype(np.float64).mean(axis=0)
        by_hand = mean_code * (bank.W.astype(np.float64) @ theta[c])
        assert bank.contributions[n] == pytest.approx(by_hand, abs=1e-4)
        assert bank.bases[n] == pytest.approx(bias[c], abs=1e-4)
        missed = cells.mean(dim=(0, 1)).numpy() - mean_code @ bank.W
        assert bank.residuals[n] == pytest.approx(float(missed @ theta[c]), abs=1e-3)
        assert bank.logits[n] == pytest.approx(float(logits[c]), abs=1e-3)


def assert_adds_up(bank, *, gap):
    total = bank.bases.astype(np.float64) + bank.contributions.sum(axis=1) + bank.residuals
    assert bank.logits - total == pytest.approx(bank.gaps, abs=1e-4)
    assert np.abs(bank.gaps).max() <= gap
    assert bank.contribution == pytest.approx(bank.contributions.mean(axis=0), abs=1e-6)


def assert_ordered(bank):
    assert bank.importance.dtype == np.float32
    assert (bank.importance >= 0).all()
    assert float(bank.importance.sum()) == pytest.approx(1, abs=1e-6)
    assert (np.diff(bank.importance) <= 0).all()
    assert sorted(bank.ids) == list(range(bank.rank))


def test_the_real_network_adds_up(lite):
    assert_adds_up(lite[0], gap=1e-4)
    assert_ordered(lite[0])


def test_importance_is_the_share_of_the_mean_absolute_contribution(lite):
    size = np.abs(lite[0].contributions).mean(axis=0)
    assert lite[0].importance == pytest.approx(size / size.sum(), abs=1e-6)
    assert "contribution" in lite[0].importance_method


@pytest.mark.parametrize("order", [[2, 0], [1], [3, 2, 1, 0], []])
def test_taking_some_concepts_leaves_the_sum(lite, order):
    bank = lite[0]
    some = bank.take(order)
    assert some.rank == len(order)
    assert_adds_up(some, gap=1e-4)
    for name in ("W", "importance"):
        np.testing.assert_array_equal(getattr(some, name), getattr(bank, name)[order])
    np.testing.assert_array_equal(some.codes, bank.codes[..., order])
    assert some.ids == tuple(bank.ids[k] for k in order)
    assert [len(crops) for crops in some.crops] == [len(bank.crops[k]) for k in order]


def test_pairs_give_what_the_extraction_gave(model, lite):
    """on(model) encodes and shares out anew, from the photos, to the same numbers."""
    bank, turned = lite
    concepts = bank.on(model)
    images = [turned[name] for name in bank.images]
    assert concepts.encode(images) == pytest.approx(bank.codes, abs=1e-3)
    again = concepts.contributions(images)
    assert again.concepts.numpy() == pytest.approx(bank.contributions, abs=1e-3)
    assert again.residual.numpy() == pytest.approx(bank.residuals, abs=1e-3)


def test_gates_give_the_closed_form_behind_an_affine_head(model, lite, photos):
    """Gradient x input, integrated gradients, occlusion: the contribution; Sobol's index: the share of its square."""
    bank, _ = lite
    concepts = bank.on(model)
    phi = concepts.contributions(photos["coffee"]).concepts[0].double().numpy()
    response = concepts.response(photos["coffee"])
    for method in ("gradient_input", "integrated_gradients", "occlusion"):
        assert attribute(response, bank.rank, method).values == pytest.approx(phi, abs=1e-4)
    assert attribute(response, bank.rank, "vargrad").values == pytest.approx(np.zeros(bank.rank), abs=1e-8)
    sobol = attribute(response, bank.rank, "sobol", samples=64)
    assert sobol.values == pytest.approx(phi**2 / (phi**2).sum(), abs=0.1)
    assert sobol.values.sum() == pytest.approx(1, abs=0.1)
    rise = attribute(response, bank.rank, "rise", samples=512)
    assert np.corrcoef(rise.values, phi)[0, 1] > 0.95


def test_open_gates_give_the_networks_logit(model, lite, photos):
    bank, _ = lite
    response = bank.on(model).response(photos["coffee"], residual=True)
    with model.computing():
        logits = model.logits(model.to_input(model.preprocess.pixels(read_photo(photos["coffee"]))))[0]
    assert float(response(torch.ones(1, bank.rank))) == pytest.approx(float(logits.max()), abs=1e-3)
    shut = bank.on(model).response(photos["coffee"])
    bias = model.net.classifier[1].bias[int(logits.argmax())]
    assert float(shut(torch.zeros(1, bank.rank))) == pytest.approx(float(bias), abs=1e-4)


def flat_head(classes=4):
    return nn.Sequential(nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU()), nn.Flatten(), nn.Linear(432, classes))


def test_a_head_with_weights_of_each_place(small, pictures, extract):
    """Behind a flattening, where a concept lies counts: each cell has its own weights."""
    model = small(flat_head())
    bank = extract(model, pictures(), target=None)
    assert bank.affine
    theta = model.net[2].weight.double().reshape(-1, 12, 6, 6).numpy()
    for n in range(len(bank.images)):
        by_hand = np.einsum("hwk,kp,phw->k", bank.codes[n].astype(np.float64), bank.W, theta[bank.predictions[n]])
        assert bank.contributions[n] == pytest.approx(by_hand, abs=1e-5)
    assert_adds_up(bank, gap=1e-5)
    assert_ordered(bank)


class SquaredSum(nn.Module):
    """Logit c is the square of a weighted sum of the maps' means: not affine, its integral known."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.ReLU())
        self.head = nn.Linear(6, 3, bias=False)

    def forward(self, x):
        return self.head(self.maps(x).mean((2, 3))) ** 2


def test_integrated_gradients_of_a_square(small, pictures, extract):
    """With f(a) = (v . a)^2 the way from 0 gives concept k exactly (v . u_k w_k)(v . a)."""
    model = small(SquaredSum())
    bank = extract(model, pictures(), layer="maps", importance="contribution")
    assert not bank.affine
    assert_adds_up(bank, gap=1e-5)
    images = dict(zip(bank.images, pictures(), strict=True))
    for n, name in enumerate(bank.images):
        cells, _ = features(model, "maps", images[name])
        v = model.net.head.weight[bank.predictions[n]].double().numpy()
        whole = float(v @ cells.mean(dim=(0, 1)).numpy())
        by_hand = bank.codes[n].reshape(-1, bank.rank).mean(axis=0) * (bank.W @ v) * whole
        assert bank.contributions[n] == pytest.approx(by_hand, abs=1e-5)


def test_a_signed_layer_in_the_middle_of_the_real_network(model, photos):
    """No closed form: the sum is as exact as the integral, and what it is off by is told."""
    bank = Craft(n_concepts=3, fit_on="locations", layer="features.6", importance="contribution").run(
        model, photos, progress=False
    )
    assert not bank.affine
    assert "integrated gradients" in bank.importance_method
    assert_adds_up(bank, gap=0.1 * np.abs(bank.logits).max())
    assert "Contributions miss" not in bank.describe()
    assert np.abs(bank.gaps).max() > 1e-5  # an honest integral of a curved function is not exact
    assert_ordered(bank)


def transformer():
    """A vision transformer of torchvision's, with 16 tokens and two blocks."""
    torch.manual_seed(0)
    net = VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=24, mlp_dim=48, num_classes=5
    )
    nn.init.normal_(net.heads.head.weight)
    return ww.VisionModel(net.eval(), input_size=32, mean=(0.5,) * 3, std=(0.5,) * 3, device="cpu")


def test_tokens_before_the_last_block(photos, extract):
    """The class token stays as it is, cells of tokens are explained, the gap of the integral is told."""
    model = transformer()
    bank = extract(model, photos, layer="encoder.layers.encoder_layer_0", importance="contribution")
    assert bank.codes.shape == (4, 4, 4, 3)
    assert bank.layer.prefix_tokens == 1
    assert not bank.affine
    assert_adds_up(bank, gap=np.inf)
    assert_ordered(bank)
    assert np.abs(bank.gaps).mean() > 0.1 * np.abs(bank.logits - bank.bases).mean()  # a LayerNorm follows
    assert "Contributions miss" in bank.describe()
    codes = bank.on(model).encode(photos)
    assert codes == pytest.approx(bank.codes, abs=1e-3)


def test_an_affine_layer_of_tokens_whose_cells_are_not_read_says_so(photos, extract):
    """Behind the last block only the class token is read: cells there add nothing, all of the logit is base."""
    bank = extract(transformer(), photos, n_concepts=2, layer="encoder.ln")
    assert bank.affine
    assert bank.contributions == pytest.approx(np.zeros((4, 2)), abs=1e-6)
    assert bank.bases == pytest.approx(bank.logits, abs=1e-5)
    assert bank.importance == pytest.approx([0.5, 0.5])


def test_the_layer_that_is_chosen_for_tokens_reaches_the_output(photos, extract):
    bank = extract(transformer(), photos, n_concepts=2, importance="contribution")
    assert bank.layer.grid == (4, 4)
    assert np.abs(bank.contributions).max() > 1e-4


@pytest.mark.parametrize("tokens", [False, True])
def test_one_gradient_a_class_gives_what_a_gradient_an_image_gives(small, pictures, extract, tokens):
    """Second route: the integral with two nodes, which asks for each image's own; classes are mixed."""
    model, layer = (transformer(), "encoder.ln") if tokens else (small(flat_head()), None)
    images = pictures()
    concepts = extract(model, images, target=None, n_concepts=2, layer=layer).on(model)
    shown = [model.to_input(model.preprocess.pixels(read_photo(image))) for image in images]
    look = concepts.encoder.look(torch.cat(shown))
    codes, classes = concepts.codes_of(look.cells), torch.arange(len(images)) % 3
    given = concepts.encoder, concepts.dictionary, look.cells, codes, classes
    once = contributions(*given, prefix=look.prefix)
    for one, other in zip(once, contributions(*given, prefix=look.prefix, nodes=2), strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert concepts.encoder.affine
