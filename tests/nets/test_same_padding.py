"""TensorFlow's SAME padding without a copy of the input: the same numbers, on the same weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from whatwhere.nets.plans import Plan, Runner
from whatwhere.nets.same_padding import SamePadConv2d, UncopiedSamePadConv2d, avoid_copies
from whatwhere.zoo import efficientnet_lite0


def test_a_sum_of_windows_at_the_edges():
    """Ones summed over windows of 3, every second pixel: the last window of four pixels hangs over by one."""
    conv = SamePadConv2d(2, 2, (3, 3), (2, 2), groups=2, bias=False)
    nn.init.ones_(conv.weight)
    for layer in (conv, UncopiedSamePadConv2d.of(conv)):
        out = layer(torch.ones(1, 2, 4, 5))
        assert out[0, 0].tolist() == [[6, 9, 6], [4, 6, 4]]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.booleans(),
    st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_it_convolves_as_with_a_padded_copy(size, kernel, stride, bias, layout):
    torch.manual_seed(0)
    conv = SamePadConv2d(3, 6, kernel, stride, groups=3, bias=bias)
    x = torch.randn(2, 3, *size).contiguous(memory_format=layout)
    wanted, out = conv(x), UncopiedSamePadConv2d.of(conv)(x)
    assert out.shape == (2, 6, -(-size[0] // stride[0]), -(-size[1] // stride[1]))
    torch.testing.assert_close(out, wanted, rtol=0, atol=1e-5)


def test_nothing_is_padded():
    """What it is for: no copy of the input is made, only the kernel grows."""
    layer, padded = UncopiedSamePadConv2d.of(SamePadConv2d(4, 4, (3, 3), (2, 2), groups=4)), []
    real = functional.pad

    def watched(x, *arguments):
        padded.append(tuple(x.shape))
        return real(x, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "pad", watched)
        layer(torch.randn(1, 4, 8, 8))
    assert padded == [(4, 1, 3, 3)]


def test_weights_are_shared():
    conv = SamePadConv2d(2, 2, (3, 3), (2, 2), groups=2)
    twin, x = UncopiedSamePadConv2d.of(conv), torch.randn(2, 2, 6, 6)
    with torch.no_grad():
        conv.weight.mul_(3)
    assert torch.allclose(twin(x), conv(x), atol=1e-6)
    assert twin.weight is conv.weight
    assert type(conv) is SamePadConv2d


def test_only_what_gains_is_replaced():
    def layer(**options):
        return SamePadConv2d(4, 4, (3, 3), (2, 2), **{"groups": 4, **options})

    shared, hooked = layer(), layer()
    hooked.register_forward_hook(lambda *_: None)
    kept = [
        layer(groups=1),
        layer(groups=2),
        layer(dtype=torch.float64),
        nn.utils.parametrizations.weight_norm(layer()),
        hooked,
        nn.Conv2d(4, 4, 3, stride=2, groups=4),
    ]
    net = nn.Sequential(shared, *kept, shared)
    assert avoid_copies(net) == 1
    assert type(net[0]) is UncopiedSamePadConv2d
    assert net[-1] is net[0]
    assert all(a is b for a, b in zip(net[1:-1], kept, strict=True))
    assert avoid_copies(layer()) == 0  # the network itself has no place to put another


@pytest.mark.parametrize("folded", [True, False])
@torch.inference_mode()
def test_a_network_made_ready_uses_it_and_the_given_one_stays(folded):
    torch.manual_seed(0)
    net = efficientnet_lite0(10)
    x = torch.randn(3, 3, 65, 64).contiguous(memory_format=torch.channels_last)
    wanted = net(x)
    runner = Runner(net, Plan(3, folded=folded), x[:1])
    used = sum(isinstance(m, UncopiedSamePadConv2d) for m in runner.net.modules())
    assert used == (4 if folded else 0)  # without folding it is run as it is
    assert not any(isinstance(m, UncopiedSamePadConv2d) for m in net.modules())
    assert torch.allclose(runner(x), wanted, atol=1e-4 * float(wanted.abs().max()))
