"""What depends on what: small networks whose graph is known."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional

from whatwhere.nets.dataflow import record, refilled, tensors_in


class Named(NamedTuple):
    a: Any
    b: Any


class Net(nn.Module):
    """A forward function with layers a, b, c, d of one's choice, by default convolutions of 4 to 4 channels."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name in "abcd":
            setattr(self, name, layers.get(name, nn.Conv2d(4, 4, 3, padding=1)))
        self._forward = forward

    def forward(self, x):
        return self._forward(self, x)


def recorded(forward, **layers):
    net = Net(forward, **layers).eval()
    flow = record(net, torch.randn(2, 4, 6, 6))
    assert not any(m._forward_hooks for m in net.modules())
    return flow, {call.name: call for call in flow.calls if call.name}


def cuttable(forward, **layers):
    flow, calls = recorded(forward, **layers)
    bottlenecks = flow.bottlenecks()
    return {name for name, call in calls.items() if call.node is not None and bottlenecks[call.node]}


def non_negative(forward, **layers):
    flow, calls = recorded(forward, **layers)
    return {name for name, call in calls.items() if flow.non_negative[call.node]}


def affine_after(forward, **layers):
    flow, calls = recorded(forward, **layers)
    after, bottlenecks = flow.affine_after(), flow.bottlenecks()
    return {name for name, call in calls.items() if after[call.node] and bottlenecks[call.node]}


def written_into_parts(net, x):
    a = net.a(x)
    out = torch.empty_like(a)
    out[:, :2] = net.b(a)[:, :2]
    out[:, 2:] = net.c(a)[:, 2:]
    return net.d(out)


def ignored_return(net, x):
    y = net.a(x)
    net.b(y)  # in place: what it returns is not used, but what it does is
    return net.c(y)


def through_a_view(net, x):
    y = net.a(x)
    y.view(-1).relu_()
    return net.b(y)


def half_of_it_in_place(net, x):
    """By way of the storage, the whole of it reads the image again."""
    y = net.a(x)
    y[:, :2].mul_(net.c(x)[:, :2])
    return net.b(y)


@pytest.mark.parametrize(
    ("forward", "layers", "want"),
    [
        (lambda n, x: n.c(n.b(n.a(x))), {}, "abc"),
        (lambda n, x: n.c((y := n.a(x)) + n.b(y)), {}, "ac"),
        (lambda n, x: n.b(n.a(x)) + x, {}, ""),
        (lambda n, x: n.b(n.a(x)) + 0 * x, {}, ""),
        (lambda n, x: n.b(n.a(x)) + torch.ones_like(x), {}, "ab"),
        (lambda n, x: n.b(n.a(x)) + x.shape[0], {}, "ab"),
        # an identity and a dropout return the very tensor that goes round them
        (lambda n, x: n.d((y := n.a(x)) + n.c(n.b(y))), {"b": nn.Identity()}, "ad"),
        (lambda n, x: n.d((y := n.a(x)) + n.c(n.b(y))), {"b": nn.Dropout()}, "ad"),
        (lambda n, x: n.d(n.c(n.b(n.a(x)))), {"b": nn.Identity(), "c": nn.Identity()}, "abcd"),
        # half of the channels goes another way
        (lambda n, x: n.b(torch.cat([n.c((y := n.a(x).chunk(2, 1))[0]), y[1]], 1)), {"c": nn.Identity()}, "ab"),
        (lambda n, x: n.b(n.c(n.a(x)[:, :4])), {}, "abc"),
        (written_into_parts, {}, "ad"),
        (ignored_return, {"b": nn.ReLU(inplace=True)}, "ac"),
        (through_a_view, {}, "ab"),
        (half_of_it_in_place, {}, "b"),
        (lambda n, x: n.b(n.a(x)) + x.new_zeros(x.shape), {}, "ab"),
        (lambda n, x: n.a(x) * n.b(x), {}, ""),
        (lambda n, x: (n.b(n.a(x)), n.c(n.a(x)))[0], {}, "b"),
        (lambda n, x: {"one": n.b(y := n.a(x)), "two": [n.c(y)]}, {}, "a"),
    ],
)
def test_bottlenecks(forward, layers, want):
    assert cuttable(forward, **layers) == set(want)


@pytest.mark.parametrize(
    ("forward", "layers", "want"),
    [
        (lambda n, x: n.b(n.a(x)), {"b": nn.ReLU()}, "b"),
        (lambda n, x: n.b(n.a(x)), {"b": nn.ReLU6(inplace=True)}, "b"),
        (lambda n, x: n.b(n.a(x)), {"b": nn.Sigmoid()}, "b"),
        (lambda n, x: n.b(n.a(x)), {"b": nn.Hardsigmoid()}, "b"),
        (lambda n, x: n.b(n.a(x)), {"b": nn.Softmax(1)}, "b"),
        (lambda n, x: n.b(n.a(x)), {"b": nn.Softplus()}, "b"),
        (lambda n, x: n.b(n.a(x)), {"b": nn.Hardtanh(0.5, 2)}, "b"),
        (lambda n, x: n.b(n.a(x)), {"b": nn.Hardtanh()}, ""),
        (lambda n, x: n.b(n.a(x)), {"b": nn.GELU()}, ""),
        (lambda n, x: n.b(n.a(x)), {"b": nn.SiLU()}, ""),
        (lambda n, x: n.b(n.a(x)), {"b": nn.Hardswish()}, ""),
        (lambda n, x: n.b(n.a(x)), {"b": nn.LeakyReLU()}, ""),
        (lambda n, x: n.b(n.a(x)), {"b": nn.ELU()}, ""),
        (lambda n, x: n.b(n.a(x).relu()), {"b": nn.MaxPool2d(2)}, "b"),
        (lambda n, x: n.b(n.a(x).relu()), {"b": nn.AvgPool2d(2)}, "b"),
        (lambda n, x: n.b(n.a(x).relu()), {"b": nn.AdaptiveAvgPool2d(1)}, "b"),
        (lambda n, x: n.b(n.a(x).relu()), {"b": nn.AdaptiveMaxPool2d(2)}, "b"),
        (lambda n, x: n.b(n.a(x).relu()), {"b": nn.Dropout()}, "b"),
        (lambda n, x: n.b(n.a(x).relu()), {"b": nn.Flatten()}, "b"),
        (lambda n, x: n.b(n.a(x).relu()), {"b": nn.Upsample(scale_factor=2, mode="bilinear")}, "b"),
        (lambda n, x: n.b(n.a(x).relu()), {"b": nn.Upsample(scale_factor=2, mode="bicubic")}, ""),
        (lambda n, x: n.b(n.a(x).relu()), {"b": nn.ZeroPad2d(1)}, "b"),
        (lambda n, x: n.b(n.a(x).relu()), {"b": nn.ConstantPad2d(1, -1.0)}, ""),
        (lambda n, x: n.b(n.a(x).relu()), {"b": nn.BatchNorm2d(4)}, ""),
        (lambda n, x: n.b(functional.relu(n.a(x)) + x.abs()), {"b": nn.Identity()}, "b"),
        (lambda n, x: n.b(functional.relu(n.a(x)) - x.abs()), {"b": nn.Identity()}, ""),
        (lambda n, x: n.b(torch.cat([n.a(x).relu(), x.square()])), {"b": nn.Identity()}, "b"),
        (lambda n, x: n.b(torch.cat([n.a(x).relu(), x])), {"b": nn.Identity()}, ""),
        (lambda n, x: n.b(n.a(x).relu() * -2), {"b": nn.Identity()}, ""),
        (lambda n, x: n.b(n.a(x).relu() + 2), {"b": nn.Identity()}, "b"),
        (lambda n, x: n.b(n.a(x).relu() * n.c.bias[:, None, None]), {"b": nn.Identity()}, ""),
        (lambda n, x: n.b(n.a(x).clamp(min=0)), {"b": nn.Identity()}, "b"),
        (lambda n, x: n.b(n.a(x).clamp(max=1)), {"b": nn.Identity()}, ""),
        (lambda n, x: n.b(n.a(x) ** 2), {"b": nn.Identity()}, "b"),
        (lambda n, x: n.b(n.a(x) ** 3), {"b": nn.Identity()}, ""),
    ],
)
def test_signs_known_from_the_operations(forward, layers, want):
    assert non_negative(forward, **layers) == set(want)


@pytest.mark.parametrize(
    ("forward", "layers", "want"),
    [
        (lambda n, x: n.c(n.b(n.a(x).relu()).flatten(1)), {"b": nn.AdaptiveAvgPool2d(1), "c": nn.Linear(4, 2)}, "bc"),
        (lambda n, x: n.d(n.c(n.b(n.a(x)))), {"b": nn.BatchNorm2d(4), "c": nn.Dropout(), "d": nn.Identity()}, "abcd"),
        (lambda n, x: n.c(n.b(n.a(x))), {"b": nn.LayerNorm([4, 6, 6])}, "bc"),
        (lambda n, x: n.b(n.a(x)).softmax(1), {}, ""),
        (lambda n, x: n.c((y := n.a(x)) + n.b(y)), {}, "ac"),
        (lambda n, x: n.c((y := n.a(x)) * n.b(y)), {}, "c"),
        (lambda n, x: n.c(n.b(n.a(x)) * n.d.weight[0, 0, 0, 0]), {}, "abc"),
        (lambda n, x: n.b(n.a(x)) / 3, {}, "ab"),
        (lambda n, x: 3 / n.b(n.a(x)), {}, ""),
        (lambda n, x: n.b(n.a(x)).mean((2, 3)).sub(1).neg(), {}, "ab"),
        (lambda n, x: n.c(n.b(n.a(x))), {"b": nn.MaxPool2d(2)}, "bc"),
    ],
)
def test_what_only_affine_operations_follow(forward, layers, want):
    assert affine_after(forward, **layers) == set(want)


def test_a_network_in_numpy_depends_on_nothing_that_is_seen():
    flow, _ = recorded(lambda n, x: torch.from_numpy(n.a(x).numpy() * 2))
    assert flow.outputs == ()


def test_hooks_go_also_after_an_exception():
    net = Net(lambda n, x: n.b(n.a(x)), b=nn.Linear(99, 1)).eval()
    with pytest.raises(RuntimeError):
        record(net, torch.randn(2, 4, 6, 6))
    assert not any(m._forward_hooks for m in net.modules())


def test_recording_does_not_change_the_output_or_the_input():
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3)).eval()
    x = torch.randn(2, 4, 6, 6)
    kept = x.clone()
    record(net, x)
    assert torch.equal(x, kept)


def test_outputs_of_any_form():
    one, two = torch.zeros(1), torch.ones(2)
    form = {"a": (one, None, [two]), "b": 3}
    assert [t is u for t, u in zip(tensors_in(form), (one, two), strict=True)] == [True, True]
    filled = refilled(form, iter((two, one)))
    assert filled["a"][0] is two
    assert filled["a"][2][0] is one
    assert filled["b"] == 3
    assert form["a"][0] is one
    named = refilled(Named(one, 1), iter((two,)))
    assert named == Named(two, 1)
    with pytest.raises(StopIteration):
        refilled(one, iter(()))
