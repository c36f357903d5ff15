"""Convolutions of one pixel by oneDNN: the same numbers, on the same weights."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from whatwhere.nets.plans import Plan, Runner
from whatwhere.nets.pointwise import Pointwise, use_onednn

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build has no oneDNN")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_convolves_as_the_layer_does(stride, bias, layout):
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 7, 1, stride=stride, bias=bias)
    x = torch.randn(3, 5, 9, 8).contiguous(memory_format=layout)
    wanted = torch.einsum("kc,nchw->nkhw", conv.weight[:, :, 0, 0].double(), x[..., ::stride, ::stride].double())
    wanted += 0 if conv.bias is None else conv.bias.double()[:, None, None]
    out = Pointwise.of(conv)(x)
    assert torch.allclose(out.double(), wanted, atol=1e-6)
    assert torch.allclose(Pointwise.of(conv)(x[0]), out[0], atol=1e-6)
    assert out.is_contiguous(memory_format=layout)
    assert type(conv) is nn.Conv2d


def test_weights_are_shared():
    conv = nn.Conv2d(2, 2, 1)
    twin = Pointwise.of(conv)
    x = torch.randn(2, 2, 3, 3)
    with torch.no_grad():
        conv.weight.mul_(3)
    assert torch.allclose(twin(x), conv(x), atol=1e-6)
    assert twin.weight is conv.weight


def test_only_what_can_be_replaced_is():
    shared = nn.Conv2d(4, 4, 1)
    hooked = nn.Conv2d(4, 4, 1)
    hooked.register_forward_hook(lambda *_: None)
    kept = [
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, 1, groups=2),
        nn.Conv2d(4, 4, 1, padding=1),
        nn.Conv2d(4, 4, 1, dtype=torch.float64),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1)),
        hooked,
        nn.Linear(4, 4),
    ]
    net = nn.Sequential(shared, *kept, shared)
    assert use_onednn(net) == 1
    assert type(net[0]) is Pointwise
    assert net[-1] is net[0]
    assert all(a is b for a, b in zip(net[1:-1], kept, strict=True))


def test_switched_off_it_stays_off(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    net = nn.Sequential(nn.Conv2d(4, 4, 1))
    assert use_onednn(net) == 0
    assert type(net[0]) is nn.Conv2d


@torch.inference_mode()
def test_a_network_made_ready_uses_it_and_the_given_one_stays():
    torch.manual_seed(0)
    net = torchvision.models.resnet50(weights=None).eval()
    before = copy.deepcopy(net)
    x = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    runner = Runner(net, Plan(2, folded=True), x[:1])
    assert sum(isinstance(m, Pointwise) for m in runner.net.modules()) == 36
    assert not any(isinstance(m, Pointwise) for m in net.modules())
    assert torch.allclose(runner(x), before(x), atol=1e-4 * float(before(x).abs().max()))


@torch.inference_mode()
def test_a_network_that_cannot_be_copied_is_left_alone():
    class Stubborn(nn.Sequential):
        def __deepcopy__(self, memo):
            raise RuntimeError("no")

    net = Stubborn(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with pytest.warns(UserWarning, match="could not be copied"):
        runner = Runner(net, Plan(2, folded=True), torch.randn(1, 3, 8, 8))
    assert not runner.plan.folded
    assert type(net[0]) is nn.Conv2d
