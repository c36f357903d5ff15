"""A bank on its network stays with the network that it came from, whatever happens to that one meanwhile."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from whatwhere.concepts.craft import Craft

LOCATIONS = Craft(n_concepts=3, fit_on="locations")


def net():
    body = nn.Conv2d(3, 12, 4, stride=4), nn.BatchNorm2d(12), nn.ReLU()
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))


@pytest.fixture
def paired(small, pictures):
    model = small(net())
    images = pictures(12)
    concepts = LOCATIONS.run(model, images, progress=False).on(model)
    concepts.encode(images[0])
    concepts.maps(images[0])
    concepts.closest_classes(1)
    return model, images, concepts


CALLS = {
    "encode": lambda c, image: c.encode(image),
    "contributions": lambda c, image: c.contributions(image),
    "response": lambda c, image: c.response(image),
    "maps": lambda c, image: c.maps(image, "codes"),
    "evaluate": lambda c, image: c.evaluate([image]),
    "faithfulness": lambda c, image: c.faithfulness([image]),
    "closest_classes": lambda c, _: c.closest_classes(1),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_network_that_was_trained_after_pairing_is_refused(paired, call):
    """Half of an answer would be by the new weights, and half by the old ones that were folded."""
    model, images, concepts = paired
    with torch.no_grad():
        model.source_net[0].weight *= 3
    for _ in range(2):
        with pytest.raises(ValueError, match="model: wanted the network that the concepts came from"):
            call(concepts, images[0])


def test_weights_that_come_back_are_those_of_before(paired):
    model, images, concepts = paired
    before, codes = copy.deepcopy(model.source_net.state_dict()), concepts.encode(images)
    with torch.no_grad():
        model.source_net[0].weight *= 3
    with pytest.raises(ValueError, match="model: wanted"):
        concepts.encode(images)
    model.source_net.load_state_dict(before)
    assert concepts.encode(images) == pytest.approx(codes, abs=1e-6)
    assert concepts.maps(images[0], "codes").values == pytest.approx(np.moveaxis(codes[0], -1, 0), abs=1e-5)


def test_a_layer_that_was_replaced_is_asked(paired):
    """One without weights leaves them as they are: the network is another only in what it computes."""
    model, images, concepts = paired
    codes = concepts.encode(images)
    model.source_net[2] = nn.Hardtanh(0, 0.05)
    clipped = concepts.encode(images)
    with torch.no_grad():
        cells = torch.cat([model.source_net[:3](model.to_input(image)) for image in images]).movedim(1, -1)
    assert clipped.max() < codes.max()
    assert clipped == pytest.approx(concepts.codes_of(cells).numpy(), abs=1e-5)


def test_training_between_two_photos_is_seen_by_the_next_call_only(paired):
    """A generator under way goes on as it began."""
    model, images, concepts = paired
    looks = concepts.looks(images)
    first = next(looks)
    assert len(first.cells) == model.batch_size
    with torch.no_grad():
        model.source_net[0].weight *= 3
    assert len(next(looks).cells) == model.batch_size
    with pytest.raises(ValueError, match="model: wanted"):
        next(concepts.looks(images))


def test_an_unfinished_bank_has_no_effects_on_classes(small, pictures):
    model = small()
    concepts = next(LOCATIONS.stream(model, pictures())).on(model)
    with pytest.raises(ValueError, match="by: 'effect' needs the photos' codes, which an unfinished bank lacks"):
        concepts.closest_classes(2)
    assert len(concepts.closest_classes(2, by="alignment")) == 3
