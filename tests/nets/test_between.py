"""What a network computes between two layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from whatwhere.nets.between import Between
from whatwhere.nets.cut import Cut
from whatwhere.nets.layers import list_layers


def images_for(count=2, side=64):
    return torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(3))


def between(net, first, second, images):
    layers = list_layers(net, images[:1])
    return Between(
        net, Cut(net, first, images[:1], layers=layers), Cut(net, second, images[:1], layers=layers), images[:1]
    )


class Functional(nn.Module):
    """Blocks with functional steps between them, inside a container that does something at its end."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.body = Body()
        self.head = nn.Linear(6, 5)

    def forward(self, x):
        x = self.body(torch.relu(self.stem(x)))
        return self.head(x.mean(dim=(2, 3)))


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(4, 5, 3, stride=2)
        self.two = nn.Conv2d(5, 6, 3, stride=2)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.two(torch.tanh(self.one(x)))) ** 2


@pytest.fixture
def functional():
    torch.manual_seed(1)
    return Functional().eval()


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("resnet18", "layer2", "layer4"),
        ("densenet121", "features.denseblock3", "features"),
        ("efficientnet_b0", "features.3", "features"),
        ("vit_b_16", "encoder.layers.encoder_layer_8", "encoder"),
    ],
)
def test_features_that_go_in_come_out_as_an_image_gives_them(untrained, name, first, second):
    """between(encode_first(x)) is encode_second(x), for other images than those it was made with, and any number."""
    net = untrained(name)
    images = images_for()
    way = between(net, first, second, images)
    with torch.inference_mode():
        for batch in (images, images[1:]):
            assert torch.allclose(way(way.first.encode(batch)), way.second.encode(batch), atol=1e-5, rtol=1e-4)
    assert way.route == "split"
    assert not any(module._forward_hooks for module in net.modules())


def test_decoding_what_comes_out_is_decoding_what_went_in(untrained):
    """Two ways to the logits."""
    net = untrained("resnet18")
    images = images_for()
    way = between(net, "layer2", "layer4", images)
    with torch.inference_mode():
        features = torch.relu(torch.randn(3, *way.first.shape))
        assert torch.allclose(way.second.decode(way(features)), way.first.decode(features), atol=1e-5)


def test_a_container_that_does_more_than_its_layers_is_run_by_replacing(functional):
    """Its code is no layer, so that the part behind the first layer cannot be stopped at its end."""
    images = images_for()
    for first, second, route in (
        ("body.one", "body", "replace"),
        ("body.one", "body.two", "split"),
        ("stem", "body", "split"),
        ("stem", "body.act", "split"),
    ):
        way = between(functional, first, second, images)
        assert way.route == route
        features = way.first.encode(images).detach()
        before = features.clone()
        assert torch.allclose(way(features), way.second.encode(images), atol=1e-6)
        assert torch.equal(features, before)  # not written to


def test_gradients_pass(functional):
    """Against central differences."""
    functional.double()
    images = images_for().double()
    for second in ("body", "body.two"):
        way = between(functional, "body.one", second, images)
        features = way.first.encode(images[:1]).detach()[:, :, :, :].requires_grad_()
        weights = torch.randn_like(way(features)).detach()
        (gradient,) = torch.autograd.grad((way(features) * weights).sum(), features)
        step = torch.randn_like(features).detach()
        with torch.no_grad():
            ahead, behind = (((way(features + s * step)) * weights).sum() for s in (1e-6, -1e-6))
        assert float((gradient * step).sum()) == pytest.approx(float(ahead - behind) / 2e-6, rel=1e-5)


def test_the_second_layer_has_to_lie_behind(untrained):
    """Not before the first, and not at it."""
    net = untrained("resnet18")
    images = images_for()
    with pytest.raises(ValueError, match=r"second: wanted a layer behind 'layer4', got 'layer2', which lies before"):
        between(net, "layer4", "layer2", images)
    with pytest.raises(ValueError, match=r"second: wanted a layer behind 'layer2', got the same one"):
        between(net, "layer2", "layer2", images)


def test_wrong_features(functional):
    """Other shapes and types."""
    way = between(functional, "stem", "body", images_for())
    with pytest.raises(ValueError, match=r"features: wanted shape \(N, 4, 64, 64\), got \(1, 4, 3, 3\)"):
        way(torch.zeros(1, 4, 3, 3))
    with pytest.raises(TypeError, match=r"features: wanted a tensor"):
        way([1.0])


def test_the_network_is_left_as_it_was_after_an_error(functional):
    """A layer that fails inside a call leaves no hook behind."""
    images = images_for()
    way = between(functional, "body.one", "body", images)
    handle = functional.body.two.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        way(way.first.encode(images))
    handle.remove()
    assert not any(module._forward_hooks for module in functional.modules())
