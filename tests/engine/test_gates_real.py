"""Gates on a real network: all methods on features of one photograph, closed forms behind the affine cut."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from whatwhere.engine.gates import METHODS, attribute
from whatwhere.engine.nmf import hals
from whatwhere.engine.total_indices import total_indices
from whatwhere.metrics.concept_curves import concept_deletion, concept_insertion
from whatwhere.metrics.concept_fidelity import concept_fidelity
from whatwhere.pixels.images import read_photo

RANK = 4
SAMPLES = {"integrated_gradients": 8, "smoothgrad": 8, "squaregrad": 8, "vargrad": 8, "rise": 32, "hsic": 32}


class Concepts(NamedTuple):
    """A photograph in concepts, and its response."""

    response: object
    codes: torch.Tensor
    bank: torch.Tensor
    residual: torch.Tensor
    cut: object
    target: int


@pytest.fixture(scope="module")
def concepts(model, photos):
    """Four atoms of a photograph at a layer, and the response of its likeliest class: ``concepts(layer)``."""

    def make(layer, photo="coffee"):
        cut = model.cut(layer)
        with torch.no_grad():
            features = cut.encode(model.to_input(model.preprocess.pixels(read_photo(photos[photo]))))
            target = int(cut.decode(features).argmax())
        cells = cut.to_grid(features)[0]
        *_, factors = hals(cells.flatten(0, 1), RANK, init="random", iterations=30)
        codes, bank = factors.codes.reshape(*cells.shape[:2], RANK), factors.bank
        residual = cells - codes @ bank

        def response(gates):
            parts = (codes * gates[:, None, None, :]) @ bank + residual
            return cut.decode(cut.from_grid(parts))[:, target]

        return Concepts(response, codes, bank, residual, cut, target)

    return make


@pytest.fixture(scope="module")
def last_layer(concepts):
    return concepts("features.8")


@pytest.fixture(scope="module")
def earlier(concepts):
    """Of a layer behind which the network is not affine."""
    return concepts("features.7.0.block.1")


@pytest.fixture(scope="module")
def closed_form(last_layer, model):
    """Mean code times the class's weights along the atom."""
    weights = model.net.classifier[1].weight[last_layer.target].detach().double()
    return (last_layer.codes.double().mean((0, 1)) * (last_layer.bank.double() @ weights)).numpy()


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("where", ["last_layer", "earlier"])
def test_every_method_is_finite_and_says_something(where, method, request):
    concepts = request.getfixturevalue(where)
    samples = SAMPLES.get(method, 8) if METHODS[method].samples else None
    size = concepts.codes.mean((0, 1))
    told = attribute(concepts.response, RANK, method, samples=samples, batch=16, codes_size=size)
    assert np.isfinite(told.values).all()
    assert told.error is None or np.isfinite(told.error).all()
    assert not told.flat
    assert told.n_evaluations == METHODS[method].evaluations(RANK, samples)
    if method != "vargrad" or where == "earlier":
        assert np.abs(told.values).max() > 0


@pytest.mark.parametrize("method", ["gradient_input", "integrated_gradients", "occlusion"])
def test_behind_the_affine_cut_they_are_the_closed_form(method, last_layer, closed_form):
    assert last_layer.cut.affine
    told = attribute(last_layer.response, RANK, method, samples=8 if METHODS[method].samples else None)
    assert told.values == pytest.approx(closed_form, abs=2e-5)  # of logits near 10 in float32
    assert told.gap is None or abs(told.gap) < 2e-5


def test_others_behind_the_affine_cut(last_layer, closed_form):
    rise = attribute(last_layer.response, RANK, "rise", samples=256)
    assert (np.abs(rise.values - closed_form) <= 3 * rise.error).all()
    assert attribute(last_layer.response, RANK, "vargrad", samples=8).values == pytest.approx(0, abs=1e-9)
    sobol = attribute(last_layer.response, RANK, "sobol")
    shares = closed_form**2 / (closed_form**2).sum()
    assert (np.abs(sobol.values - shares) <= 3 * sobol.error + 1e-9).all()
    fidelity = concept_fidelity(last_layer.response, [closed_form, -closed_form])
    assert fidelity.pearson == pytest.approx([1, -1], abs=1e-5)
    orders = np.array([np.random.default_rng(seed).permutation(RANK) for seed in range(24)])
    best = concept_deletion(last_layer.response, closed_form).area
    assert best <= concept_deletion(last_layer.response, orders).area.min() + 1e-5
    assert concept_insertion(last_layer.response, closed_form).area >= best


def test_gates_at_one_are_the_image_as_it_is(earlier):
    with torch.no_grad():
        cells = earlier.codes @ earlier.bank + earlier.residual
        whole = earlier.cut.decode(earlier.cut.from_grid(cells[None]))[0, earlier.target]
        assert earlier.response(torch.ones(1, RANK))[0] == pytest.approx(float(whole), abs=1e-4)
    gradients = attribute(earlier.response, RANK, "integrated_gradients", samples=32)
    ends = earlier.response(torch.stack([torch.zeros(RANK), torch.ones(RANK)])).detach()
    change = float(ends[1] - ends[0])
    assert gradients.values.sum() == pytest.approx(change, abs=0.02 * abs(change) + 0.02)
    assert earlier.codes.grad is None


def test_importance_over_photographs(concepts, photos):
    """The same as each photograph's own indices; the engine needs one response each and no more."""
    responses = [concepts("features.8", photo).response for photo in list(photos)[:2]]
    *_, state = total_indices(responses, RANK, rows=16, until=None)
    assert state.per_image.shape == (2, RANK)
    assert np.isfinite(state.error).all()
    assert state.values.sum() == pytest.approx(1, abs=0.25)
    assert not state.flat.any()
