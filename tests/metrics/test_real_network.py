"""All metrics together on the real network: what more concepts change, and sums that have to come out."""

import numpy as np
import pytest
import torch

from whatwhere.engine.nmf import hals
from whatwhere.metrics.alignment import closest_classes, head_alignment, logit_effect
from whatwhere.metrics.distributions import frechet, out_of_distribution, sliced_wasserstein
from whatwhere.metrics.extraction import reconstruction_error, sparsity
from whatwhere.metrics.fidelity import fidelity
from whatwhere.nets.head import affine_head
from whatwhere.pixels.images import read_photo


@pytest.fixture(scope="module")
def seen(model, photos):
    """Cells of the last maps for all example photos, their logits, and the head."""
    cut = model.cut("features.8")
    with model.computing():
        pixels = [model.preprocess.pixels(read_photo(photo)) for photo in photos.values()]
        features = torch.cat([cut.encode(model.to_input(image)) for image in pixels])
        return cut, cut.to_grid(features), cut.decode(features), affine_head(cut, model.output)


@pytest.fixture(scope="module")
def found(seen):
    rows = seen[1].flatten(0, 2)
    return {rank: list(hals(rows, rank, iterations=40))[-1] for rank in (2, 12)}


def test_more_concepts_are_nearer_in_every_way(model, seen, found):
    cut, cells, logits, _ = seen
    rows = cells.flatten(0, 2)
    told = {}
    for rank, state in found.items():
        back = state.codes @ state.bank
        with model.computing():
            new = cut.decode(cut.from_grid(back.reshape(cells.shape)))
        error, told_logits = reconstruction_error(rows, state.codes, state.bank), fidelity(logits, new)
        assert error.weighted == pytest.approx(state.error, rel=1e-4)
        told[rank] = np.array(
            [
                error.mean,
                error.weighted,
                frechet(rows, back).relative,
                sliced_wasserstein(rows, back, projections=64).relative,
                told_logits.difference,
                told_logits.divergence,
                1 - told_logits.r2_all,
            ]
        )
        assert out_of_distribution(rows, back) > 0
        assert 0 < sparsity(state.codes).hoyer < 1
    assert (told[12] < told[2]).all()
    assert (told[12] > 0).all()


def test_effects_bias_and_residual_add_up_to_the_logits(seen, found):
    _, cells, logits, head = seen
    state = found[12]
    effect = logit_effect(state.bank, head.weights, state.codes)
    residual = cells.flatten(0, 2).double().numpy() - state.codes.double().numpy() @ state.bank.double().numpy()
    rest = residual.mean(0) @ head.weights.double().numpy().T
    total = effect.sum(0) + rest + head.bias.numpy()
    np.testing.assert_allclose(total, logits.mean(0), atol=1e-4 * float(logits.abs().max()))


def test_concepts_of_one_photo_speak_for_its_class(model, photos, seen):
    _, cells, _, head = seen
    number = list(photos).index("coffee")
    rows = cells[number].flatten(0, 1)
    state = list(hals(rows, 1, iterations=40))[-1]
    names = [model.class_names.label(c.id) for c in closest_classes(head_alignment(state.bank, head.weights), 3)[0]]
    assert "espresso" in names
