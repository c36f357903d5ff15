"""Cuts: h(g(x)) is the network's output, and h knows nothing but features."""

import inspect
import math
import threading
import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn

from whatwhere.nets.cut import Cut
from whatwhere.nets.dataflow import tensors_in
from whatwhere.nets.layers import list_layers
from whatwhere.nets.replica import AliasReplica
from whatwhere.nets.split import CannotSplitError, split_tail
from whatwhere.pixels.images import read_photo

CUTS = [
    ("resnet18", "layer3", "split", True),
    ("resnet18", "layer4", "split", True),
    ("resnet50", "layer4", "split", True),
    ("vgg16", "features", "split", True),
    ("densenet121", "features", "split", False),
    ("densenet121", "features.transition2.relu", "split", True),
    ("mobilenet_v3_small", "features", "split", False),
    ("mobilenet_v3_small", "features.6", "split", False),
    ("efficientnet_b0", "features", "split", False),
    ("efficientnet_b0", "features.3.0", "split", False),
    ("convnext_tiny", "features.5", "split", False),
    ("vit_b_16", "encoder.layers.encoder_layer_9", "split", False),
    ("vit_b_16", "conv_proj", "split", False),
    ("swin_t", "features.5", "split", False),
    ("swin_t", "features", "split", False),
]


def images(count=1, size=64):
    return torch.randn(count, 3, size, size)


def no_hooks(net):
    return not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def check_cut(net, cut, a, b):
    """All that a cut promises, on images a and b."""
    with torch.no_grad():
        features = cut.encode(a)
        kept = features.clone()
        assert tuple(features.shape) == (len(a), *cut.shape)
        out = cut.decode(features)
        for mine, own in zip(tensors_in(out), tensors_in(net(a)), strict=True):
            assert torch.equal(mine, own)
        assert torch.equal(features, kept)
        assert type(out) is type(net(a))
        # features of one image while another is shown: only the features count
        shown = cut._replace(features.clone(), b)
        for mine, own in zip(tensors_in(shown), tensors_in(net(a)), strict=True):
            assert torch.equal(mine, own)
        changed = cut.decode(features + features.std() * torch.randn_like(features))
        assert not any(torch.equal(x, y) for x, y in zip(tensors_in(changed), tensors_in(out), strict=True))
        # any number of images, none of which knows of the others
        three = cut.decode(torch.cat([features, cut.encode(b), features]))
        for mine, of_a, of_b in zip(tensors_in(three), tensors_in(net(a)), tensors_in(net(b)), strict=True):
            # another batch size sums in another order: 1e-5 of the largest output
            own = torch.cat([of_a, of_b, of_a])
            torch.testing.assert_close(mine, own, rtol=0, atol=1e-5 * float(own.abs().max()))
    assert no_hooks(net)


@pytest.mark.parametrize(("name", "layer", "route", "nonnegative"), CUTS)
def test_torchvision(untrained, name, layer, route, nonnegative):
    net = untrained(name)
    a, b = images(), images()
    cut = Cut(net, layer, a)
    assert (cut.layer, cut.route, cut.nonnegative) == (layer, route, nonnegative)
    assert cut.reason == ""
    check_cut(net, cut, a, b)


@pytest.mark.extended
@pytest.mark.parametrize("name", [*dict.fromkeys(name for name, *_ in CUTS), "googlenet"])
def test_every_layer_of_torchvision(untrained, name):
    net = untrained(name)
    a, b = images(), images()
    infos = list_layers(net, a)
    for info in infos:
        if info.cuttable:
            check_cut(net, Cut(net, info.name, a, layers=infos), a, b)
        else:
            with pytest.raises(ValueError, match=r"layer: .* (cannot be cut|runs \d+ times)"):
                Cut(net, info.name, a, layers=infos)


@pytest.mark.parametrize(
    ("name", "size", "layers"),
    [
        ("tf_efficientnet_lite0", 64, ["conv_head", "blocks.3", "bn2"]),
        ("vit_tiny_patch16_224", 64, ["blocks.5", "norm"]),
        ("convnext_atto", 64, ["stages.2", "stages.3.blocks.1"]),
        ("vit_small_patch14_reg4_dinov2", 70, ["blocks.9"]),
    ],
)
def test_timm(name, size, layers):
    timm = pytest.importorskip("timm")
    options = {"img_size": size} if name.startswith("vit") else {}
    net = timm.create_model(name, pretrained=False, num_classes=7, **options).eval()
    a, b = images(1, size), images(1, size)
    infos = list_layers(net, a)
    for layer in layers:
        cut = Cut(net, layer, a, layers=infos)
        assert cut.route == "split"
        check_cut(net, cut, a, b)


def test_transformers():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, image_size=64, num_labels=5
    )
    net = transformers.ViTForImageClassification(config).eval()
    a, b = images(), images()
    infos = list_layers(net, a)
    names = [info.name for info in infos if info.cuttable]
    assert {"vit.layernorm", "vit.embeddings"} <= set(names)
    for name in names:
        cut = Cut(net, name, a, layers=infos)
        check_cut(net, cut, a, b)
        assert cut.decode(cut.encode(a)).logits.shape == (1, 5)
    tokens = [info for info in infos if info.layout == "tokens" and info.cuttable]
    assert (tokens[-1].grid, tokens[-1].prefix_tokens) == ((4, 4), 1)


def test_the_real_network_on_real_photos(model, photos):
    a, b = (model.to_input(model.preprocess.pixels(read_photo(photos[name]))) for name in list(photos)[:2])
    replica = AliasReplica(model.net)
    infos = list_layers(replica.net, a)
    cut = Cut(replica.net, "features", a, layers=infos)
    assert (cut.shape, cut.layout, cut.grid) == ((1280, 7, 7), "maps", (7, 7))
    assert (cut.nonnegative, cut.info.evidence, cut.affine, cut.route) == (True, "structure", True, "split")
    for layer in ("features", "features.6", "features.3.1"):
        check_cut(replica.net, Cut(replica.net, layer, a, layers=infos), a, b)
    with torch.inference_mode():
        assert torch.equal(cut.decode(cut.encode(a)), model.net(a))
        # affine: the logits of a mixture of features are the mixture of the logits
        fa, fb = cut.encode(a), cut.encode(b)
        torch.testing.assert_close(
            cut.decode(0.3 * fa + 0.7 * fb), 0.3 * model.net(a) + 0.7 * model.net(b), rtol=1e-4, atol=1e-4
        )


class Net(nn.Module):
    """A small network; subclasses say how its layers are joined."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.c = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.join(x).mean((2, 3)) @ self.head.weight.T


class Skip(Net):
    def join(self, x):
        y = self.a(x)
        return self.c((y + self.b(y).relu()).relu())


class Looks(Net):
    """Python looks at the image, so that the code cannot be traced."""

    def join(self, x):
        y = self.b(self.a(x).relu())
        return self.c(y) if x.sum() < math.inf else y


class LooksAndSkips(Net):
    def join(self, x):
        y = self.b(self.a(x).relu())
        return self.c(y) + x.mean() if x.sum() < math.inf else y


class Numpy(Net):
    """What goes round the layer goes through NumPy, where PyTorch does not see it."""

    def join(self, x):
        return self.c(self.b(self.a(x))) + torch.from_numpy(x.detach().numpy().mean(1, keepdims=True))


class Secret(Net):
    """Likewise, and by a number only."""

    def join(self, x):
        return self.c(self.b(self.a(x))) + float(x.detach().mean())


def made(kind):
    return kind().eval()


def test_a_skip_round_the_layer_is_refused_with_the_nearest_layers():
    net = made(Skip)
    for layer in ("a", "c"):
        check_cut(net, Cut(net, layer, images()), images(), images())
    with pytest.raises(ValueError, match=r"layer: 'b' cannot be cut, .*skip.* 'a' \(before\), 'c' \(after\)"):
        Cut(net, "b", images())


def test_inner_layers_of_residual_blocks_name_the_block(untrained):
    with pytest.raises(ValueError, match=r"'layer3.1' \(after\)"):
        Cut(untrained("resnet18"), "layer3.1.bn2", images())
    with pytest.raises(ValueError, match=r"'encoder\.layers\.encoder_layer_3'"):
        Cut(untrained("vit_b_16"), "encoder.layers.encoder_layer_3.mlp.0", images())


def test_code_that_cannot_be_traced_is_cut_by_replacing():
    net = made(Looks)
    cut = Cut(net, "b", images())
    assert cut.route == "replace"
    assert "control flow" in cut.reason
    check_cut(net, cut, images(), images())
    with pytest.raises(CannotSplitError):
        split_tail(net, net.b, images(), net(images()))


@pytest.mark.parametrize(("kind", "layer"), [(LooksAndSkips, "b"), (Numpy, "b"), (Secret, "c")])
def test_skips_are_refused_on_the_other_route_too(kind, layer):
    net = made(kind)
    with pytest.raises(ValueError, match=r"cannot be cut.*round it"):
        Cut(net, layer, images())
    assert no_hooks(net)


def test_the_listing_cannot_talk_a_cut_into_a_skip():
    """Were the graph wrong, the outputs would still tell."""
    net = made(Skip)
    infos = [replace(info, cuttable=True) for info in list_layers(net, images())]
    with pytest.raises(ValueError, match=r"'b' cannot be cut: decoding .* differs from the network's own output"):
        Cut(net, "b", images(), layers=infos)


class Counted(nn.Conv2d):
    runs = 0

    def forward(self, x):
        type(self).runs += len(x)
        return super().forward(x)


def test_each_half_computes_its_half_only():
    class Before(Counted):
        runs = 0

    class After(Counted):
        runs = 0

    net = nn.Sequential(Before(3, 4, 3), nn.ReLU(), After(4, 4, 3), nn.Flatten(), nn.Linear(144, 2)).eval()
    x = images(1, 10)
    cut = Cut(net, "1", x)
    Before.runs = After.runs = 0
    features = cut.encode(x)
    assert (Before.runs, After.runs) == (1, 0)
    cut.decode(features)
    assert (Before.runs, After.runs) == (1, 1)
    assert cut.h_cost > 0
    before = After.runs
    assert math.isfinite(cut.h_cost)
    assert After.runs == before  # measured once


@pytest.mark.parametrize("kind", [Skip, Looks])
def test_decoding_has_no_way_to_an_image(kind):
    net = made(kind)
    cut = Cut(net, "c", x := images())
    assert cut.decode(torch.zeros(7, 4, 64, 64)).shape == (7, 2)
    held = [value for value in vars(cut).values() if isinstance(value, torch.Tensor)]
    assert all(value.numel() == 0 for value in held)
    assert not any(torch.equal(value, x) for value in held)


@pytest.mark.parametrize("count", [1, 7, 32])
@pytest.mark.parametrize(("name", "layer"), [("vit_b_16", "encoder.layers.encoder_layer_10"), ("swin_t", "features.6")])
def test_batches_of_any_size(untrained, name, layer, count):
    net = untrained(name)
    cut = Cut(net, layer, images(3))
    features = cut.encode(images(1)).expand(count, *cut.shape)
    with torch.inference_mode():
        out = cut.decode(features)
    assert out.shape == (count, 7)
    torch.testing.assert_close(out, out[:1].expand_as(out), rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", [Skip, Looks])
def test_gradients_pass_both_halves(kind):
    net = AliasReplica(made(kind).double()).net
    x = torch.randn(1, 3, 5, 5, dtype=torch.float64)
    cut = Cut(net, "c", x)
    assert torch.autograd.gradcheck(cut.encode, x.clone().requires_grad_())
    features = cut.encode(x).detach().requires_grad_()
    assert torch.autograd.gradcheck(cut.decode, features)
    x.requires_grad_()
    (through,) = torch.autograd.grad(cut.decode(cut.encode(x)).sum(), x)
    (whole,) = torch.autograd.grad(net(x).sum(), x)
    torch.testing.assert_close(through, whole)
    with torch.inference_mode():
        assert torch.equal(cut.decode(cut.encode(x)), net(x))


def test_it_can_be_made_in_inference_mode_and_used_outside():
    net = AliasReplica(made(Skip)).net
    with torch.inference_mode():
        x = images()
        cut = Cut(net, "c", x)
        assert torch.equal(cut.decode(cut.encode(x)), net(x))
    features = cut.encode(images()).requires_grad_()
    cut.decode(features).sum().backward()
    assert features.grad.abs().sum() > 0


@pytest.mark.parametrize("looks", [False, True])
def test_in_place_layers_behind_the_cut_touch_nobodys_features(looks):
    class InPlace(Net):
        def join(self, x):
            y = self.b(self.a(x))
            y = torch.relu_(y) if not looks or x.sum() < math.inf else y
            return self.c(y)

    net = made(InPlace)
    x = images()
    cut = Cut(net, "b", x)
    assert cut.route == ("replace" if looks else "split")
    assert not cut.nonnegative
    check_cut(net, cut, x, images())
    features = cut.encode(x).detach()
    assert (features < 0).any()
    leaf = features.clone().requires_grad_()
    cut.decode(leaf).sum().backward()  # a leaf must not be written to
    assert leaf.grad is not None
    assert torch.equal(leaf, features)


def test_a_call_for_its_effect_only_is_kept():
    class Effect(Net):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU(inplace=True)

        def join(self, x):
            y = self.b(self.a(x))
            self.act(y)
            return self.c(y)

    net = made(Effect)
    cut = Cut(net, "b", images())
    assert cut.route == "split"
    check_cut(net, cut, images(), images())


def test_training_between_two_decodings_is_followed():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    replica = AliasReplica(net)
    cut = Cut(replica.net, "2", images(1, 8))
    assert cut.route == "split"
    x = images(2, 8)
    outputs = []
    for _ in range(2):
        net.train()
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        net(x).square().sum().backward()
        optimiser.step()
        net.eval()
        assert torch.equal(cut.decode(cut.encode(x)), net(x))
        outputs.append(net(x))
    net.load_state_dict({k: v * 1.5 for k, v in net.state_dict().items()}, assign=True)
    replica.refresh()
    assert replica.generation == 0
    assert torch.equal(cut.decode(cut.encode(x)), net(x))
    assert not torch.equal(outputs[0], outputs[1])


class Named(nn.Module):
    """Weights used by the code around the layer, half precision asked for, and a container that is indexed."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1)])
        self.seq = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
        self.scale = nn.Parameter(torch.rand(4))
        self.register_buffer("shift", torch.rand(4))

    def forward(self, x):
        n, c, h, _ = x.shape
        if x.dtype != self.scale.dtype or c != 3 or x.ndim != 4:
            raise TypeError("wrong image")
        for block in self.blocks[:2]:
            x = block(x)
        x = self.blocks[2](x)
        for layer in self.seq:
            x = layer(x)
        x = x * (self.scale * 2)[:, None, None] + self.shift[:, None, None]
        return x.reshape(n, -1).mean(1) * h


@pytest.mark.parametrize("layer", ["blocks.0", "blocks.1", "blocks.2", "seq.0", "seq.1"])
def test_code_around_the_layer(layer):
    net = made(Named)
    cut = Cut(net, layer, images(1, 9))
    assert (cut.route, cut.reason) == ("split", "")
    check_cut(net, cut, images(1, 9), images(1, 9))
    with torch.no_grad():
        net.scale.mul_(3)
        net.shift.data += 1
    check_cut(net, cut, images(1, 9), images(1, 9))


class Tuples(nn.Module):
    def __init__(self, extra):
        super().__init__()
        self.extra, self.inner, self.conv = extra, nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)
        self.layer = Wrapped(self.inner, extra)

    def forward(self, x):
        out = self.layer(x)
        return {"maps": self.conv(out[0]), "none": out[-1]}


class Wrapped(nn.Module):
    def __init__(self, inner, extra):
        super().__init__()
        self.inner, self.extra = inner, extra

    def forward(self, x):
        y = self.inner(x)
        return (y, y * 2) if self.extra else (y, None)


def test_a_layer_that_returns_one_tensor_in_a_tuple():
    net = Tuples(extra=False).eval()
    x = images(1, 8)
    cut = Cut(net, "layer", x)
    check_cut(net, cut, x, images(1, 8))
    assert cut.decode(cut.encode(x))["none"] is None
    with pytest.raises(ValueError, match=r"'layer' returns tuple with 2 tensors \[.*\]; wanted exactly one"):
        Cut(Tuples(extra=True).eval(), "layer", x)


def test_layers_that_run_twice_or_never(untrained):
    with pytest.raises(ValueError, match=r"layer: 'layer1.0.relu' runs 2 times in one forward pass"):
        Cut(untrained("resnet18"), "layer1.0.relu", images())
    with pytest.raises(ValueError, match=r"out_proj' never runs as a module"):
        Cut(untrained("vit_b_16"), "encoder.layers.encoder_layer_0.self_attention.out_proj", images())


def test_layers_without_an_axis_of_images():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(0, 1), nn.Unflatten(0, (-1, 4)), nn.Flatten()).eval()
    with pytest.raises(ValueError, match=r"layer: '1' returns shape \(8, 6, 6\) for 2 images; wanted one row an image"):
        Cut(net, "1", images(1, 8))


def test_a_layer_under_two_names_has_its_first():
    net = made(Skip)
    net.again = net.c
    assert Cut(net, "again", images()).layer == "c"
    assert Cut(net, net.again, images()).layer == "c"


def test_layers_by_name_module_and_index():
    net = made(Skip)
    x = images()
    assert Cut(net, net.c, x).layer == "c"
    assert Cut(net, -1, x).layer == "c"
    assert Cut(net, 0, x).layer == "a"
    with pytest.raises(ValueError, match="layer: wanted an index from -2 to 1, got 2"):
        Cut(net, 2, x)
    for bad in (True, None, 1.5):
        with pytest.raises(TypeError, match="layer: wanted a name, a module or an index, got"):
            Cut(net, bad, x)
    with pytest.raises(ValueError, match="this Linear is not part of the network"):
        Cut(net, nn.Linear(2, 2), x)
    with pytest.raises(ValueError, match="got the whole network"):
        Cut(net, net, x)


def test_unknown_layers_name_the_nearest(untrained):
    with pytest.raises(ValueError, match=r"no layer is called 'layr4'; the nearest are 'layer4'"):
        Cut(untrained("resnet18"), "layr4", images())
    with pytest.raises(ValueError, match=r"no layer is called ''"):
        Cut(untrained("resnet18"), "", images())
    net = made(Skip).train()
    with pytest.raises(ValueError, match="eval mode"):
        Cut(net, "a", images())


def test_features_of_another_shape():
    cut = Cut(made(Skip), "a", images(1, 8))
    with pytest.raises(ValueError, match=r"features: wanted shape \(N, \*\(4, 8, 8\)\), got \(1, 4, 8, 9\)"):
        cut.decode(torch.zeros(1, 4, 8, 9))
    with pytest.raises(ValueError, match="got \\(4, 8, 8\\)"):
        cut.decode(torch.zeros(4, 8, 8))
    with pytest.raises(TypeError, match="got ndarray"):
        cut.decode(torch.zeros(1, 4, 8, 8).numpy())


def test_no_hook_stays_after_an_exception_inside_the_network():
    net = made(Looks)
    cut = Cut(net, "b", images())
    with pytest.raises(RuntimeError):
        cut.encode(torch.randn(1, 5, 8, 8))
    with pytest.raises(RuntimeError):
        cut.decode(torch.zeros(1, 4, 64, 64, dtype=torch.int64))
    assert no_hooks(net)


def test_a_network_that_swallows_exceptions_still_stops():
    class Careful(Net):
        def join(self, x):
            try:
                return self.c(self.b(self.a(x)))
            except Exception:
                return self.b(self.a(x))

    net = made(Careful)
    cut = Cut(net, "b", images())
    check_cut(net, cut, images(), images())


def test_images_that_go_another_way():
    class TwoWays(Net):
        def join(self, x):
            return self.c(self.b(self.a(x))) if x.shape[-1] < 100 else self.c(self.a(x))

    cut = Cut(made(TwoWays), "b", images())
    with pytest.raises(RuntimeError, match="misses 'b' for these"):
        cut.encode(torch.randn(1, 3, 100, 100))


def test_other_threads_may_run_the_network_while_it_is_encoded():
    """The hook that ends the pass acts in its own thread only."""
    others = []

    class Calls(Net):
        def join(self, x):
            if threading.current_thread() is threading.main_thread() and others == [None]:
                thread = threading.Thread(target=lambda: others.append(self(x)))
                thread.start()
                thread.join(60)
            return self.c(self.b(self.a(x)))

    net = made(Calls)
    x = images()
    cut = Cut(net, "b", x)
    want = net(x)
    others.append(None)
    cut.encode(x)
    assert torch.equal(others[1], want)


def test_tracing_leaves_other_threads_alone():
    """No class is patched meanwhile, as `torch.fx.symbolic_trace` does."""
    call = nn.Module.__call__
    seen = []

    class Watches(Net):
        def join(self, x):
            seen.append(nn.Module.__call__ is call and inspect.ismethod(self.forward))
            return self.c(self.b(self.a(x)))

    Cut(made(Watches), "b", images())
    assert seen
    assert all(seen)


@pytest.mark.parametrize(
    ("head", "affine"),
    [
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(4, 3)), True),
        (nn.Sequential(nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Identity(), nn.Linear(4, 3)), True),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 3)), False),
        (nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 3)), False),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3), nn.Softmax(1)), False),
    ],
)
def test_affine_heads(head, affine):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), head).eval()
    cut = Cut(net, "1", images(1, 8))
    assert cut.affine is affine
    a, b = torch.rand(2, 1, *cut.shape)
    with torch.no_grad():
        apart = cut.decode(a + b) + cut.decode(a * 0) - cut.decode(a) - cut.decode(b)
    assert (apart.abs().max() < 1e-5).item() is affine


def test_a_claim_of_affinity_is_tried():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Softmax(1), nn.Flatten()).eval()
    x = images(1, 8)
    infos = [replace(info, affine_head=True) for info in list_layers(net, x)]
    assert not Cut(net, "1", x, layers=infos).affine


@pytest.mark.parametrize(
    ("name", "layer", "cells"),
    [
        ("resnet18", "layer4", (2, 2, 512)),
        ("swin_t", "features.5", (4, 4, 384)),
        ("vit_b_16", "encoder.layers.encoder_layer_5", (4, 4, 768)),
        ("vgg16", "classifier.5", (1, 1, 4096)),
    ],
)
def test_cells_and_back(untrained, name, layer, cells):
    net = untrained(name)
    cut = Cut(net, layer, images())
    features = cut.encode(x := images(2))
    grid = cut.to_grid(features)
    assert tuple(grid.shape) == (2, *cells)
    back = cut.from_grid(grid, like=features)
    assert torch.equal(back, features)
    with torch.no_grad():
        torch.testing.assert_close(cut.decode(back), net(x), rtol=0, atol=2e-6)
    with pytest.raises(ValueError, match=r"cells: wanted shape \(N, \*\("):
        cut.from_grid(grid[:, :, :, 1:], like=features)


def test_a_cell_is_where_it_should_be():
    net = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 2 * 4, 2)).eval()
    cut = Cut(net, "0", x := torch.randn(1, 3, 8, 16))
    changed = x.clone()
    changed[:, :, 4:, 8:12] += 1
    apart = (cut.to_grid(cut.encode(changed)) != cut.to_grid(cut.encode(x))).any(-1)[0]
    assert apart.nonzero().tolist() == [[1, 2]]


def test_prefix_tokens_come_from_the_features_that_are_named(untrained):
    net = untrained("vit_b_16")
    cut = Cut(net, "encoder.layers.encoder_layer_5", images())
    one = cut.encode(images())
    cells = torch.randn(5, 4, 4, 768)
    features = cut.from_grid(cells, like=one)
    assert features.shape == (5, 17, 768)
    assert torch.equal(features[:, :1], one[:, :1].expand(5, 1, 768))
    assert torch.equal(features[:, 1 + 4 * 2 + 3], cells[:, 2, 3])
    with pytest.raises(ValueError, match=r"like: wanted the features that the cells came from, .* 1 prefix tokens"):
        cut.from_grid(cells)
    with pytest.raises(ValueError, match=r"like: wanted shape \(5 or 1, \*\(17, 768\)\), got \(2, 17, 768\)"):
        cut.from_grid(cells, like=torch.cat([one, one]))


def test_behind_the_last_attention_only_the_class_token_counts(untrained):
    """What the documentation of `from_grid` warns of."""
    net = untrained("vit_b_16")
    with torch.no_grad():
        for layer, blind in (("encoder.layers.encoder_layer_11", True), ("encoder.layers.encoder_layer_10", False)):
            cut = Cut(net, layer, images())
            features = cut.encode(images())
            changed = cut.from_grid(torch.randn(1, 4, 4, 768), like=features)
            assert torch.equal(cut.decode(changed), cut.decode(features)) is blind


def test_no_grid_no_cells():
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(2), nn.Flatten(), nn.Linear(5 * 36, 2)).eval()
    cut = Cut(net, "1", images(1, 8))
    assert (cut.layout, cut.grid) == ("tokens", None)
    with pytest.raises(ValueError, match=r"layer: '1' puts out \(5, 36\), which lies on no grid"):
        cut.to_grid(cut.encode(images(1, 8)))


def test_half_precision():
    net = made(Skip).bfloat16()
    cut = Cut(net, "c", x := images().bfloat16())
    assert torch.equal(cut.decode(cut.encode(x)), net(x))
    assert cut.affine


def test_script_modules_are_cut_where_python_calls_them():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but networks in it remain
        inner = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    net = nn.Sequential(inner, nn.Flatten(), nn.Linear(144, 2)).eval()
    cut = Cut(net, "1", images(1, 8))
    check_cut(net, cut, images(1, 8), images(1, 8))
    assert cut.nonnegative
    with pytest.raises(ValueError, match=r"'0.1' is a ScriptModule, which takes no hooks"):
        Cut(net, "0.1", images(1, 8))


def test_repr():
    assert repr(Cut(made(Skip), "a", images(1, 8))) == "<Cut at 'a': (4, 8, 8) maps, by split>"
