"""Affine heads: weights against parameters and against the decoder, by layout; what is not affine."""

import pytest
import torch
import torchvision
from torch import nn

from whatwhere.nets.cut import Cut
from whatwhere.nets.head import affine_head


def features(cut, count=5):
    return torch.randn(count, *cut.shape, generator=torch.Generator().manual_seed(1))


def miss(got, wanted):
    return float((got - wanted).abs().max() / wanted.abs().max())


def check_uniform(cut, head):
    assert head.uniform
    x = features(cut)
    with torch.no_grad():
        assert miss(head.pool(x) @ head.weights.T + head.bias, cut.decode(x)) < 1e-5


def check_by_place(cut, head):
    x = features(cut)
    with torch.no_grad():
        got = x.flatten(1) @ head.by_place().flatten(1).T + head.bias
        assert miss(got, cut.decode(x)) < 1e-5


def test_lite0(model):
    cut = model.cut("features.8")
    with model.computing():
        head = affine_head(cut, model.output)
        check_uniform(cut, head)
        linear = model.net.classifier[-1]
        torch.testing.assert_close(head.weights, linear.weight.detach(), rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(head.bias, linear.bias.detach())
    assert head.cells.shape == (7, 7)
    assert head.cells.all()
    assert repr(head) == "<AffineHead behind 'features.8': 1000 logits of the mean of 49 places>"


@pytest.mark.parametrize("layer", ["layer4", "avgpool", "fc"])
def test_resnet18(untrained, layer):
    net = untrained("resnet18")
    cut = Cut(net, layer, torch.zeros(1, 3, 64, 64))
    head = affine_head(cut)
    check_uniform(cut, head)
    check_by_place(cut, head)
    wanted = torch.eye(7) if layer == "fc" else net.fc.weight
    torch.testing.assert_close(head.weights, wanted.detach(), rtol=1e-5, atol=1e-7)


def test_a_map_with_channels_last(untrained):
    cut = Cut(untrained("swin_t"), "norm", torch.zeros(1, 3, 64, 64))
    head = affine_head(cut)
    assert cut.layout == "maps_last"
    check_uniform(cut, head)


def test_a_class_token_is_all_that_is_read(untrained):
    net = untrained("vit_b_16")
    cut = Cut(net, "encoder.ln", torch.zeros(1, 3, 64, 64))
    head = affine_head(cut)
    check_uniform(cut, head)
    check_by_place(cut, head)
    assert head.prefix.tolist() == [True]
    assert not head.cells.any()
    torch.testing.assert_close(head.weights, net.heads.head.weight.detach())
    x = features(cut)
    assert torch.equal(head.pool(x), x[:, 0])


def test_patch_tokens_that_are_averaged():
    timm = pytest.importorskip("timm")
    net = timm.create_model("vit_tiny_patch16_224", num_classes=7, global_pool="avg", fc_norm=False, img_size=64).eval()
    cut = Cut(net, "norm", torch.zeros(1, 3, 64, 64))
    head = affine_head(cut)
    check_uniform(cut, head)
    assert not head.prefix.any()
    assert head.cells.all()


class Flat(nn.Module):
    """A flattened head, as VGG's with one layer."""

    def __init__(self, head):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(16))
        self.head = head

    def forward(self, x):
        return self.head(self.body(x))


def test_a_flattened_head_has_weights_of_each_place():
    torch.manual_seed(0)
    net = Flat(nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(6 * 16, 5))).eval()
    cut = Cut(net, "body", torch.zeros(1, 3, 64, 64))
    head = affine_head(cut)
    assert not head.uniform
    assert "16 places with weights of their own" in repr(head)
    check_by_place(cut, head)
    own = net.head[2].weight.detach().reshape(5, 6, 4, 4)
    torch.testing.assert_close(head.by_place(), own)
    torch.testing.assert_close(head.by_place(torch.tensor([3, 0])), own[[3, 0]])
    torch.testing.assert_close(head.weights, own.sum((2, 3)))
    everywhere = torch.randn(2, 6)
    same = cut.decode(everywhere[:, :, None, None].expand(2, 6, 4, 4))
    assert miss(everywhere @ head.weights.T + head.bias, same.detach()) < 1e-5
    with pytest.raises(ValueError, match="weights of their own"):
        head.pool(features(cut))
    with pytest.raises(IndexError, match="0 to 4"):
        head.by_place(torch.tensor([5]))


class HalfEach(nn.Module):
    def forward(self, x):
        return torch.cat([x[:, :, :2].mean((2, 3)), x[:, :, 2:].mean((2, 3))], dim=1)


@pytest.mark.parametrize("held", [2**24, 96])  # all classes in one batch, or one in each
def test_classes_that_read_different_places_are_not_uniform(monkeypatch, held):
    monkeypatch.setattr("whatwhere.nets.head._HELD", held)
    cut = Cut(Flat(HalfEach()).eval(), "body", torch.zeros(1, 3, 64, 64))
    head = affine_head(cut)
    assert not head.uniform
    assert head.cells.all()
    check_by_place(cut, head)


@pytest.mark.parametrize("held", [1, 200, 2**24])
def test_batches_change_nothing(monkeypatch, held):
    monkeypatch.setattr("whatwhere.nets.head._HELD", held)
    torch.manual_seed(0)
    tail = nn.Sequential(nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    cut = Cut(Flat(tail).eval(), "body", torch.zeros(1, 3, 64, 64))
    head = affine_head(cut)
    check_uniform(cut, head)
    check_by_place(cut, head)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_mode_does_not_matter(untrained, mode):
    cut = Cut(untrained("resnet18"), "layer4", torch.zeros(1, 3, 64, 64))
    with mode():
        head = affine_head(cut)
        check_uniform(cut, head)
    assert not head.weights.requires_grad


def test_outputs_that_are_not_logits(untrained):
    net = untrained("resnet18")
    cut = Cut(net, "layer4", torch.zeros(1, 3, 64, 64))
    twice = affine_head(cut, lambda out: out[:, :3] * 2)
    torch.testing.assert_close(twice.weights, 2 * net.fc.weight[:3].detach(), rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="softmax"):
        affine_head(cut, lambda out: (out * 10).softmax(1))


def test_a_decoder_that_is_not_affine(untrained):
    cut = Cut(untrained("resnet18"), "layer3", torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="behind which all is affine, got 'layer3'"):
        affine_head(cut)


def test_half_precision():
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=7).eval().bfloat16()
    cut = Cut(net, "layer4", torch.zeros(1, 3, 64, 64, dtype=torch.bfloat16))
    head = affine_head(cut)
    assert head.uniform
    assert head.weights.dtype == torch.float32
    assert miss(head.weights, net.fc.weight.detach().float()) < 0.02
