"""Which layer a concept is split at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision

import whatwhere as ww
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.earlier import earlier_layer


def info_of(model, name):
    return next(info for info in model.layers() if info.name == name)


def model_of(net, size):
    return ww.VisionModel(net, input_size=size, mean=(0.5,) * 3, std=(0.25,) * 3, device="cpu")


@pytest.fixture(scope="module")
def transformer():
    torch.manual_seed(0)
    options = {"num_layers": 3, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 32, "num_classes": 3}
    net = torchvision.models.VisionTransformer(image_size=32, patch_size=8, **options).eval()
    torch.nn.init.normal_(net.heads.head.weight)
    return model_of(net, 32)


@pytest.mark.parametrize(
    ("name", "behind", "wanted"),
    [
        ("resnet18", "layer4", "layer3"),
        ("resnet18", "layer4.1", "layer3"),
        ("resnet18", "avgpool", "layer3"),
        ("resnet18", "layer1", "layer1.0"),
        ("resnet18", "maxpool", None),
    ],
)
def test_the_end_of_the_block_before(untrained, name, behind, wanted):
    """The nearest layer with other channels and cells as fine; where channels never change, a block."""
    model = model_of(untrained(name), 64)
    if wanted is None:
        with pytest.raises(ValueError, match=r"before 'maxpool' there is no layer .* those before are: 'relu', 'bn1'"):
            earlier_layer(model, info_of(model, behind))
    else:
        assert earlier_layer(model, info_of(model, behind)) == wanted


def test_of_a_transformer_the_block_before(transformer):
    """All its layers have as many channels; a container of the same block is not another layer."""
    for behind, wanted in (
        ("encoder.layers.encoder_layer_1", "encoder.layers.encoder_layer_0"),
        ("encoder.layers", "encoder.layers.encoder_layer_1"),
    ):
        assert earlier_layer(transformer, info_of(transformer, behind)) == wanted
    with pytest.raises(ValueError, match=r"'encoder.layers.encoder_layer_2' puts out the very features"):
        earlier_layer(transformer, info_of(transformer, "encoder.layers"), "encoder.layers.encoder_layer_2")


def test_a_concept_of_tokens(transformer):
    """Class tokens stay as they are on the way, and numbers add up to the network's own logits."""
    rng = np.random.default_rng(0)
    photos = {str(n): rng.random((32, 32, 3), dtype=np.float32) for n in range(6)}
    method = Craft(n_concepts=2, layer="encoder.layers.encoder_layer_1", patch=12, importance="contribution")
    bank = method.run(transformer, photos, target=None, progress=False)
    k = int((bank.codes > 0).mean(axis=(0, 1, 2)).argmax())
    sub = bank.on(transformer).split(k, n_concepts=2)
    assert sub.layer.name == "encoder.layers.encoder_layer_0"
    assert sub.codes.shape[1:3] == (4, 4)
    assert sub.bases + sub.contributions.sum(axis=1) + sub.residuals + sub.gaps == pytest.approx(sub.logits, abs=1e-4)
    assert sub.importance.sum() == pytest.approx(1, abs=1e-5)
    assert set(sub.predictions.tolist()) <= {0, 1, 2}
    assert len(bank.on(transformer).ambiguity()) == 2
