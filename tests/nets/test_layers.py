"""The listing of layers, against rows written by hand."""

import pytest
import torch
from torch import nn

from whatwhere.nets.layers import LayerInfo, list_layers, nearest_layers
from whatwhere.pixels.images import read_photo


def listed(net, height=64, width=None, count=1):
    return {i.name: i for i in list_layers(net.eval(), torch.randn(count, 3, height, width or height))}


def row(info):
    return (info.shape, info.layout, info.grid, info.prefix_tokens, info.nonnegative, info.evidence, info.affine_head)


def test_resnet50(untrained):
    infos = listed(untrained("resnet50"))
    assert infos["layer4"] == LayerInfo(
        name="layer4", kind="Sequential", shape=(2048, 2, 2), layout="maps", grid=(2, 2), prefix_tokens=0,
        nonnegative=True, evidence="structure", affine_head=True, cuttable=True, calls=1,
    )  # fmt: skip
    assert row(infos["layer3.5"]) == ((1024, 4, 4), "maps", (4, 4), 0, True, "structure", False)
    assert row(infos["bn1"]) == ((64, 32, 32), "maps", (32, 32), 0, False, "example", False)
    assert row(infos["avgpool"]) == ((2048, 1, 1), "maps", (1, 1), 0, True, "structure", True)
    assert row(infos["fc"])[:3] == ((7,), "vector", None)
    assert (infos["layer4.2.relu"].calls, infos["layer4.2.relu"].cuttable) == (3, False)
    inside = [infos[f"layer4.{k}.{part}"].cuttable for k in range(3) for part in ("conv1", "bn2", "bn3")]
    assert inside == [False] * 9
    assert all(infos[n].cuttable for n in ("conv1", "relu", "maxpool", "layer1", "layer2.0", "layer4.2"))


def test_layers_stand_in_the_order_in_which_they_finish(untrained):
    names = [i.name for i in list_layers(untrained("resnet18"), torch.randn(1, 3, 64, 64))]
    assert names[:5] == ["conv1", "bn1", "relu", "maxpool", "layer1.0.conv1"]
    assert names[-4:] == ["layer4.1", "layer4", "avgpool", "fc"]
    assert "" not in names
    assert len(set(names)) == len(names)


def test_the_real_network(model, photos):
    x = model.to_input(model.preprocess.pixels(read_photo(photos["coffee"])))
    infos = {i.name: i for i in list_layers(model.net, x)}
    assert row(infos["features"]) == ((1280, 7, 7), "maps", (7, 7), 0, True, "structure", True)
    assert row(infos["features.7"])[:4] == ((320, 7, 7), "maps", (7, 7), 0)
    assert not infos["features.7"].nonnegative
    assert not infos["features.7"].affine_head
    assert row(infos["features.0"]) == ((32, 112, 112), "maps", (112, 112), 0, True, "structure", False)
    assert infos["features.6.0"].cuttable
    assert not infos["features.6.1.block.0"].cuttable
    assert row(infos["classifier.0"])[:2] == ((1280,), "vector")


def test_vit(untrained):
    infos = listed(untrained("vit_b_16"))
    for k in (0, 5, 11):
        want = ((17, 768), "tokens", (4, 4), 1, False, "example", False)
        assert row(infos[f"encoder.layers.encoder_layer_{k}"]) == want
        assert infos[f"encoder.layers.encoder_layer_{k}"].cuttable
        assert not infos[f"encoder.layers.encoder_layer_{k}.mlp"].cuttable
    assert infos["encoder.ln"].affine_head
    assert row(infos["conv_proj"])[:4] == ((768, 4, 4), "maps", (4, 4), 0)


def test_swin_has_channels_last(untrained):
    infos = listed(untrained("swin_t"))
    assert row(infos["features.1"]) == ((16, 16, 96), "maps_last", (16, 16), 0, False, "example", False)
    assert row(infos["features.7"]) == ((2, 2, 768), "maps_last", (2, 2), 0, False, "example", False)
    assert row(infos["norm"]) == ((2, 2, 768), "maps_last", (2, 2), 0, False, "example", True)
    assert row(infos["permute"])[:4] == ((768, 2, 2), "maps", (2, 2), 0)


def maps(channels, side, sign, *, affine=False):
    return ((channels, side, side), "maps", (side, side), 0, *sign, affine)


SURE, SIGNED = (True, "structure"), (False, "example")


@pytest.mark.parametrize(
    ("name", "layer", "want", "inner"),
    [
        ("vgg16", "features", maps(512, 2, SURE), None),
        ("vgg16", "classifier.5", ((4096,), "vector", None, 0, *SURE, True), None),
        ("densenet121", "features", maps(1024, 2, SIGNED), "features.denseblock4.denselayer3.conv2"),
        ("densenet121", "features.transition1.relu", maps(256, 16, SURE), None),
        ("mobilenet_v3_small", "features", maps(576, 2, SIGNED), "features.4.block.2.fc1"),
        ("efficientnet_b0", "features", maps(1280, 2, SIGNED, affine=True), "features.2.1.block.0"),
        ("convnext_tiny", "features", maps(768, 2, SIGNED), "features.7.2.block"),
        ("convnext_tiny", "classifier.0", maps(768, 1, SIGNED, affine=True), None),
        ("googlenet", "inception5b", maps(1024, 2, SURE, affine=True), "inception5b.branch1"),
    ],
)
def test_rows_of_other_networks(untrained, name, layer, want, inner):
    infos = listed(untrained(name))
    assert row(infos[layer]) == want
    assert infos[layer].cuttable
    assert not (inner and infos[inner].cuttable)


@pytest.mark.parametrize(
    ("name", "layer", "size", "grid", "prefix"),
    [
        ("vit_tiny_patch16_224", "blocks.3", 64, (4, 4), 1),
        ("vit_tiny_patch16_224", "patch_embed", 64, (4, 4), 0),
        ("vit_small_patch14_reg4_dinov2", "blocks.11", 70, (5, 5), 5),
    ],
)
def test_timm_prefix_tokens(name, layer, size, grid, prefix):
    timm = pytest.importorskip("timm")
    infos = listed(timm.create_model(name, pretrained=False, img_size=size), size)
    assert (infos[layer].layout, infos[layer].grid, infos[layer].prefix_tokens) == ("tokens", grid, prefix)
    assert infos[layer].cuttable


def test_wide_images_have_wide_grids(untrained):
    infos = listed(untrained("resnet18"), 64, 128)
    assert infos["layer4"].grid == (2, 4)
    assert infos["layer4"].layout == "maps"
    infos = listed(untrained("swin_t"), 64, 128)
    assert (infos["features.5"].layout, infos["features.5"].grid) == ("maps_last", (4, 8))


class Tokens(nn.Module):
    """Patches by folding, without a map before them, and some tokens in front."""

    def __init__(self, patch, prefix, width=12):
        super().__init__()
        self.unfold = nn.Unfold(patch, stride=patch)
        self.embed = nn.Linear(3 * patch * patch, width)
        self.register = nn.Parameter(torch.randn(1, prefix, width))
        self.mark = nn.Identity()
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        x = self.embed(self.unfold(x).transpose(1, 2))
        x = self.mark(torch.cat([self.register.expand(len(x), -1, -1), x], 1))
        return self.head(x.mean(1))


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (32, 64), (48, 16)])
def test_grids_without_a_map_before(prefix, height, width):
    info = listed(Tokens(4, prefix), height, width)["mark"]
    assert (info.layout, info.grid, info.prefix_tokens) == ("tokens", (height // 4, width // 4), prefix)
    assert info.affine_head


def test_a_networks_own_word_on_prefix_tokens_comes_first():
    net = Tokens(4, 8)  # 72 tokens: eight in front of 8 x 8
    net.num_prefix_tokens = 8
    assert listed(net, 32)["mark"].grid == (8, 8)
    net.num_prefix_tokens = 7
    assert listed(net, 32)["mark"].grid is None


def test_equal_channels_and_sides_go_by_the_kind_of_layer():
    net = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU(), nn.Linear(8, 8), nn.LayerNorm(8), nn.Flatten())
    infos = listed(net, 64)
    assert [infos[str(k)].layout for k in range(5)] == ["maps", "maps", "maps_last", "maps_last", "vector"]


def test_what_is_seen_and_what_is_sure():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ELU(), nn.ReLU())
    with torch.no_grad():
        net[2].weight.fill_(1)
        net[2].bias.fill_(1)
    infos = listed(net)
    assert [(infos[str(k)].nonnegative, infos[str(k)].evidence) for k in range(5)] == [
        (False, "example"),
        (True, "structure"),
        (True, "example"),
        (True, "example"),
        (True, "structure"),
    ]


def test_layers_without_one_tensor_an_image_are_left_out():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair, self.flat, self.never, self.last = Pair(), Flat(), nn.ReLU(), nn.Identity()
            self.constant = Constant()

        def forward(self, x):
            a, _ = self.pair(x)
            self.flat(a)
            return self.last(a + self.constant(x))

    class Pair(nn.Module):
        def forward(self, x):
            return x + 1, x + 2

    class Flat(nn.Module):
        def forward(self, x):
            return x.flatten()

    class Constant(nn.Module):
        def forward(self, x):
            return torch.ones(len(x), 1, 1, 1)

    assert list(listed(Net())) == ["last"]


@pytest.mark.parametrize("mode", ["inference_mode", "no_grad", "enable_grad"])
def test_any_autograd_mode_and_batch(untrained, mode):
    net = untrained("resnet18")
    with getattr(torch, mode)():
        one = list_layers(net, torch.randn(1, 3, 64, 64))
        three = list_layers(net, torch.randn(3, 3, 64, 64))
    assert one == three
    assert not any(module._forward_hooks for module in net.modules())


def test_what_is_asked_must_make_sense():
    net = nn.Sequential(nn.Conv2d(3, 4, 3)).eval()
    x = torch.randn(1, 3, 8, 8)
    with pytest.raises(TypeError, match=r"net: wanted a torch.nn.Module, got function"):
        list_layers(lambda x: x, x)
    with pytest.raises(TypeError, match="example: wanted a tensor of shape"):
        list_layers(net, x.numpy())
    with pytest.raises(TypeError, match=r"floating-point numbers, got torch.uint8; normalise"):
        list_layers(net, x.to(torch.uint8))
    for bad in (x[0], x[:0]):
        with pytest.raises(ValueError, match=r"example: wanted shape \(N, C, H, W\) with N of 1 or more, got"):
            list_layers(net, bad)
    net[0].train()
    with pytest.raises(ValueError, match=r"eval mode, but '0' is in training mode; take AliasReplica\(net\).net"):
        list_layers(net, x)
    with pytest.raises(ValueError, match="does not depend on it"):
        list_layers(nn.Sequential(nn.Threshold(0, 0), nn.Flatten(), Zero()).eval(), x)


class Zero(nn.Module):
    def forward(self, x):
        return torch.zeros(len(x), 2)


def test_nearest_names():
    names = ["", "conv1", "layer1", "layer1.0", "layer1.0.conv1", "layer2", "features.blocks.3", "head"]
    assert nearest_layers("layr1", names)[0] == "layer1"
    assert nearest_layers("blocks.3", names)[0] == "features.blocks.3"
    assert nearest_layers("layer3", names, count=2) == ["layer2", "layer1"]
    assert nearest_layers("zzz", names) == []
    assert nearest_layers("", names) == []
