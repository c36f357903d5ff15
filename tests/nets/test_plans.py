"""Plans: folding, precision, layout, and finding the fastest."""

import json

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import whatwhere as ww
from whatwhere.engine.tuning import NOISE_LIMIT, Tuner, precision_noise
from whatwhere.nets import plan_memory
from whatwhere.nets.plans import Plan, Runner, default_plan, fold_batch_norm
from whatwhere.nets.replica import AliasReplica
from whatwhere.pixels.images import read_photo

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def shaken(name):
    """A network of torchvision whose BatchNorms are not the identity."""
    net = torchvision.models.get_model(name, weights=None).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v3_small", "vgg11_bn", "efficientnet_b0"])
@torch.inference_mode()
def test_folding_moves_logits_by_rounding_and_leaves_the_network_alone(name):
    net = shaken(name)
    x = torch.randn(2, 3, 64, 64)
    before = net(x)
    own = AliasReplica(net).net
    assert fold_batch_norm(own, x[:1])
    norms = [m for m in own.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) < sum(isinstance(m, nn.BatchNorm2d) for m in net.modules())
    if name != "densenet121":  # half of DenseNet's norms come before their convolution
        assert not norms
    assert torch.allclose(own(x), before, atol=1e-4 * float(before.std()) + 1e-6)
    assert torch.equal(net(x), before)


@torch.inference_mode()
def test_a_convolution_whose_output_is_used_twice_is_not_folded():
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            nn.init.uniform_(self.norm.running_var, 3, 4)

        def forward(self, x):
            y = self.conv(x)
            return (y + self.norm(y)).mean((2, 3))

    net = AliasReplica(Skips().eval()).net
    x = torch.randn(1, 3, 8, 8)
    before = net(x)
    assert not fold_batch_norm(net, x)
    assert torch.equal(net(x), before)
    model = ww.VisionModel(net, input_size=8, **HALF)
    assert model.plan.folded
    assert not model.runner().plan.folded
    assert not model.plan.folded, "the model says what is done, not what was hoped for"


def test_the_real_network_folded_is_itself_up_to_rounding(model, photos):
    runner = Runner(model.net, Plan(1, folded=True), model.example())
    assert runner.plan.folded
    assert not any(isinstance(m, nn.BatchNorm2d) for m in runner.net.modules())
    with model.computing():
        for photo in photos.values():
            x = model.to_input(model.preprocess.pixels(read_photo(photo)))
            assert torch.allclose(runner(x), model.logits(x), atol=2e-4)


def test_reduced_precision_keeps_the_head_in_float32(model):
    heads = []
    runner = Runner(model.net, Plan(1, precision="bfloat16"), model.example())
    head = runner.net.classifier[1]
    assert head.weight.data_ptr() == model.net.classifier[1].weight.data_ptr()
    head.register_forward_hook(lambda _, x, out: heads.append((x[0].dtype, out.dtype)))
    with model.computing():
        out = runner(model.example())
        exact = model.logits(model.example())
    assert heads == [(torch.bfloat16, torch.float32)]
    assert out.dtype is torch.float32
    assert 0 < float((out - exact).abs().max()) < 0.5


def test_default_plans_follow_the_network():
    assert default_plan(torchvision.models.resnet18(), torch.device("cpu")) == Plan(4, True, True)
    assert not default_plan(torchvision.models.convnext_tiny(), torch.device("cpu")).folded
    assert not default_plan(nn.Linear(2, 2), torch.device("cpu")).channels_last
    assert default_plan(nn.Linear(2, 2), torch.device("cuda")).batch_size == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: wanted an integer from 1 to 65536, got 0"),
        ({"batch_size": 1, "precision": "int8"}, "precision: wanted"),
    ],
)
def test_bad_plans_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Plan(**options)


@pytest.fixture
def small():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )
    return ww.VisionModel(net, input_size=32, **HALF)


def told(value):
    """Make a generator that yields nothing and returns a value."""
    yield from ()
    return value


def test_tuning_stays_within_its_budget_and_settles(small):
    assert not small.tuned
    tuner = Tuner(small, budget=200)
    list(tuner.steps())
    assert 0 < tuner.n_forwards <= 200 + 32
    assert small.tuned
    assert small.plan in tuner.seconds or small.plan.noise <= NOISE_LIMIT
    fastest = min(seconds for plan, seconds in tuner.seconds.items() if plan.noise <= NOISE_LIMIT)
    assert tuner.seconds[small.plan] <= fastest / 0.9 + 1e-12


def test_a_plan_is_kept_only_if_its_noise_is_small(small, monkeypatch):
    """Make bfloat16 look twice as fast: the map's noise decides, not the clock."""
    slow = {"float32": 1.0, "bfloat16": 0.5}
    monkeypatch.setattr(Tuner, "_time", lambda _, runner, batch: slow[runner.plan.precision] * len(batch))

    for noise, wanted in ((NOISE_LIMIT * 2, "float32"), (NOISE_LIMIT / 2, "bfloat16")):
        monkeypatch.setattr(Tuner, "_noise", lambda *_, noise=noise: told(noise))
        small.plan = Plan(4, folded=True)
        list(Tuner(small, budget=60).steps())
        assert small.plan.precision == wanted
        assert small.plan.noise == (noise if wanted == "bfloat16" else 0)


@pytest.mark.parametrize(
    ("seconds", "responsive", "wanted"),  # of an image alone, and of one in a pair
    [
        ((0.010, 0.005), True, 16),  # 41 ms; 32 at that speed would be 82
        ((0.010, 0.005), False, 32),
        ((0.030, 0.025), True, 4),  # 80 ms, as it was; 8 would last longer
        ((0.200, 0.100), True, 4),  # 320 ms, but a batch that was there is not made slower
        ((0.200, 0.100), False, 32),
    ],
)
def test_no_batch_lasts_longer_than_somebody_waits(small, monkeypatch, seconds, responsive, wanted):
    """Batches twice as large are faster by a fifth."""
    alone, each = seconds

    def time(_, _runner, batch):
        return alone if len(batch) == 1 else each * len(batch) * 0.8 ** np.log2(len(batch) / 2)

    monkeypatch.setattr(Tuner, "_time", time)
    small.plan = Plan(4, folded=True)
    list(Tuner(small, budget=2000, responsive=responsive).steps())
    assert small.batch_size == wanted


def test_the_noise_of_a_precision_is_measured_once(small, monkeypatch):
    """Not again for every batch size, though larger ones are faster by a fifth each."""
    measured = []
    speed = {"float32": 1.0, "bfloat16": 0.1}

    def time(_, runner, batch):
        return 1e-4 * speed[runner.plan.precision] * len(batch) * 0.8 ** np.log2(len(batch))

    def noise(_, plan):
        measured.append(plan)
        return told(NOISE_LIMIT / 2)

    monkeypatch.setattr(Tuner, "_time", time)
    monkeypatch.setattr(Tuner, "_noise", noise)
    small.plan = Plan(4, folded=True)
    list(Tuner(small, budget=2000).steps())
    assert small.plan == Plan(
        32, folded=True, channels_last=small.plan.channels_last, precision="bfloat16", noise=NOISE_LIMIT / 2
    )
    assert len(measured) == 1


def test_the_noise_of_bfloat16_on_the_real_network_is_measured(model, photos):
    """As measured, it is too large for maps: a seventh of a percent of the variance to three percent."""
    before = model.plan
    noise = precision_noise(model, Plan(4, precision="bfloat16"), photos["coffee"])
    assert model.plan is before
    assert NOISE_LIMIT < noise < 0.3


def test_a_tuned_plan_is_remembered_for_this_kind_of_network(small):
    assert small.adopt(Plan(8, folded=True), instead_of=small.plan, final=True)
    assert not small.adopt(Plan(3), instead_of=Plan(8, folded=True)), "somebody set another one meanwhile"
    again = ww.VisionModel(small._alias.net, input_size=32, **HALF)
    assert again.tuned
    assert again.plan == Plan(8, folded=True)
    other = ww.VisionModel(small._alias.net, input_size=48, **HALF)
    assert not other.tuned
    stored = json.loads((plan_memory.cache_folder() / "plans.json").read_text())
    assert any(options["batch_size"] == 8 for options in stored.values())
    plan_memory.forget()
    assert not ww.VisionModel(small._alias.net, input_size=32, **HALF).tuned


def test_a_broken_or_read_only_memory_only_means_measuring_again(monkeypatch, tmp_path):
    plan_memory.forget()
    (plan_memory.cache_folder()).mkdir(parents=True, exist_ok=True)
    (plan_memory.cache_folder() / "plans.json").write_text("{broken")
    assert plan_memory.recall("x") is None
    file = tmp_path / "a file"
    file.write_text("")
    monkeypatch.setenv("WHATWHERE_CACHE", str(file / "below"))
    plan_memory.remember("x", Plan(2))
    assert plan_memory.recall("x") == Plan(2)


def test_a_long_run_tunes_itself_once_and_says_so(small):
    plan_memory.forget()
    image = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    steps = list(ww.Sobol(grid=8, rows=16).steps(small, image))
    stages = [step.stage for step in steps]
    assert "tuning" in stages
    record = steps[-1].record
    assert record.n_forwards == 16 * 65
    assert record.provenance.n_extra <= 2 + 0.05 * 1040 + 32 + small.batch_size
    assert record.provenance.plan == small.plan.describe()
    assert "tuning" not in [step.stage for step in ww.Sobol(grid=8, rows=16).steps(small, image)]
    assert np.array_equal(record.logits, ww.Sobol(grid=8, rows=16).run(small, image).logits), (
        "same seed, same plan, same result"
    )


def test_a_batch_size_that_a_person_sets_is_kept(small):
    small.batch_size = 2
    image = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    steps = list(ww.Sobol(grid=8, rows=16).steps(small, image))
    assert "tuning" not in [step.stage for step in steps]
    assert small.batch_size == 2
    assert "2 images a batch" in steps[-1].record.provenance.plan


@pytest.mark.extended
def test_a_compiled_plan_gives_the_same_map(small):
    """Takes a compiler and half a minute."""
    image = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    method = ww.Sobol(grid=4, rows=8)
    small.batch_size = 4
    plain = method.run(small, image)
    small.plan = Plan(4, folded=True, compiled=True)
    compiled = method.run(small, image)
    assert "compiled" in compiled.provenance.plan
    assert compiled.logits == pytest.approx(plain.logits, abs=1e-4)
    assert compiled.values() == pytest.approx(plain.values(), rel=1e-2, abs=1e-4)


def test_plans_are_kept_apart_by_the_allocator(small, monkeypatch):
    usual = small._machine_key()
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "4294967296")
    assert small._machine_key() != usual
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_")
    assert small._machine_key() == usual
