"""Networks that real people have: in place, in half precision, pruned, answering through a buffer, mixing a batch."""

import itertools
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import whatwhere as ww
from whatwhere import limits
from whatwhere.engine.baseline import mean_colour
from whatwhere.engine.logits import shelf
from whatwhere.nets import plan_memory
from whatwhere.nets.plans import Plan, Runner

HALF = {"mean": (0.5, 0.4, 0.3), "std": (0.5, 0.25, 0.5)}


def explain(net, image, *, grid=2, rows=4, size=32, **options):
    model = ww.VisionModel(net, input_size=size, **{**HALF, **options})
    model.batch_size = 4
    return model, ww.Sobol(grid=grid, rows=rows).run(model, image)


def plain(model, record):
    """The same logits, one masked image at a time."""
    pixels = model.preprocess.pixels(record.photo)
    a, b = record.method.masks()
    down, across = record.grid
    out = np.empty(record.logits.shape, np.float32)
    for k in range(record.rows):
        for j in range(out.shape[1]):
            mask = a[k].copy()
            if j:
                mask[j - 1] = b[k, j - 1]
            grid = mask.reshape(down, across).repeat(pixels.shape[0] // down, 0).repeat(pixels.shape[1] // across, 1)
            shown = grid[..., None] * pixels + (1 - grid[..., None]) * mean_colour(model)
            with model.computing():
                out[k, j] = model.logits(model.to_input(shown.astype(np.float32)))[0].float().numpy()
    return out


@pytest.fixture
def image():
    return np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)


class NormalisesInPlace(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 8, stride, stride=stride), nn.Linear(8, 3)

    def forward(self, x):
        x -= 0.3
        x /= 0.7
        return self.head(self.patches(x).relu_().mean((2, 3)))


class ReluInPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU(inplace=True))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


@pytest.mark.parametrize("make", [lambda: NormalisesInPlace(8), lambda: NormalisesInPlace(5), ReluInPlace])
def test_networks_that_write_into_what_they_are_given(make, image):
    model, a = explain(make(), image)
    assert a.provenance.wobble == 0
    assert a.logits == pytest.approx(plain(model, a), abs=1e-5)


def pruned():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    prune.l1_unstructured(net[0], "weight", amount=0.5)
    return net


def weight_normed():
    conv = parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
    return nn.Sequential(conv, nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def spectral_normed():
    conv = parametrizations.spectral_norm(nn.Conv2d(3, 8, 3))
    return nn.Sequential(conv, nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("make", [pruned, weight_normed, spectral_normed])
def test_weights_that_are_computed_are_not_folded_and_work(make, image):
    net = make()
    nn.init.normal_(net[1].running_mean)
    model, a = explain(net, image)
    assert not model.plan.folded
    assert a.logits == pytest.approx(plain(model, a), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_networks_in_another_precision_run_a_long_design_that_tunes(dtype, image):
    plan_memory.forget()
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).to(dtype)
    model = ww.VisionModel(net, input_size=32, **HALF)
    steps = list(ww.Sobol(grid=8, rows=16).steps(model, image))
    assert "tuning" in {step.stage for step in steps}
    assert model.tuned
    assert steps[-1].record.provenance.plan.startswith(str(dtype).removeprefix("torch."))


class ReadsItsHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 3)

    def forward(self, x):
        x = self.conv(x).mean((2, 3))
        return self.head(x.to(self.head.weight.dtype)) * self.head.out_features


def test_networks_that_read_their_layers_attributes_can_be_reduced():
    model = ww.VisionModel(ReadsItsHead(), input_size=32, **HALF)
    runner = Runner(model.net, Plan(4, precision="bfloat16"), model.example())
    with model.computing():
        assert torch.allclose(runner(model.example()), model.logits(model.example()), atol=0.1)


class AnswersThroughABuffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
        nn.init.uniform_(self.norm.running_var, 3, 4)
        self.answer = torch.zeros(64, 3)

    def forward(self, x):
        y = self.conv(x)
        self.answer[: len(x)] = (y + self.norm(y)).mean((2, 3))
        return self.answer[: len(x)]


def test_networks_that_answer_through_a_buffer(image):
    model, a = explain(AnswersThroughABuffer(), image)
    assert not model.plan.folded
    assert a.logits == pytest.approx(plain(model, a), abs=1e-5)
    with model.computing():
        wanted = model.logits(model.to_input(model.preprocess.pixels(a.photo)))[0].numpy()
    assert a.reference == pytest.approx(wanted, abs=1e-6)


def test_networks_that_mix_a_batch_are_run_image_by_image_and_said(image):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False), nn.ReLU(), nn.Flatten(), nn.Linear(7200, 3)
    )
    model = ww.VisionModel(net, input_size=32, **HALF)
    model.batch_size = 4
    with pytest.warns(UserWarning, match="depends on the others in its batch"):
        a = ww.Sobol(grid=2, rows=4).run(model, image)
    assert not a.provenance.alone
    assert "1 images a batch" in a.provenance.plan
    assert a.logits == pytest.approx(plain(model, a), abs=1e-5)


def test_the_mean_colour_of_a_bgr_network_is_zero_to_it(image):
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    preprocess = ww.Preprocess(resize=32, crop=(32, 32), mean=(0.1, 0.5, 0.9), std=(1, 1, 1), channel_order="BGR")
    model = ww.VisionModel(net, preprocess=preprocess)
    pixels = ww.Baseline("mean").pixels(model, image)
    with model.computing():
        assert model.logits(model.to_input(pixels))[0].tolist() == pytest.approx([0, 0, 0], abs=1e-6)


def test_what_the_caller_has_made_the_default_does_not_matter(image):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model, wanted = explain(net, image)
    method = wanted.method
    with torch.device("meta"):
        assert np.array_equal(method.run(model, image).logits, wanted.logits)
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(method.run(model, image).logits, wanted.logits)
    with torch.inference_mode():
        stream = method.stream(model, image)
        next(stream)
    *_, last = stream
    assert np.array_equal(last.logits, wanted.logits)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.scale = torch.tensor(1.0)

    def forward(self, x):
        return self.norm(self.conv(x)).mean((2, 3)) * self.scale


def test_a_folded_copy_follows_what_is_no_parameter(image):
    net = Scaled()
    model, before = explain(net, image)
    assert model.plan.folded
    net.scale = torch.tensor(100.0)
    after = ww.Sobol(grid=2, rows=4).run(model, image)
    assert after.reference == pytest.approx(100 * before.reference, rel=1e-4)
    assert after.logits == pytest.approx(100 * before.logits, rel=1e-3)


def test_a_stopped_record_says_that_weights_changed(image):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = ww.VisionModel(net, input_size=32, **HALF)
    model.batch_size = 2
    stream = ww.Sobol(grid=2, rows=32).stream(model, image)
    assert not next(stream).provenance.changed
    with torch.no_grad():
        net[0].bias += 1
    assert next(stream).provenance.changed
    stream.close()


def test_a_plan_set_while_another_is_measured_is_kept(image):
    plan_memory.forget()
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = ww.VisionModel(net, input_size=32, **HALF)
    mine = Plan(3, channels_last=False)
    for step in ww.Sobol(grid=8, rows=16).steps(model, image):
        if step.stage == "tuning":
            model.plan = mine
    assert model.plan is mine
    assert step.record.provenance.plan == "float32, 3 images a batch"
    assert not list(plan_memory._read().values())


def test_a_record_tells_the_plan_that_it_was_made_by(image):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = ww.VisionModel(net, input_size=32, **HALF)
    model.batch_size = 5
    stream = ww.Sobol(grid=2, rows=8).stream(model, image)
    next(stream)
    model.plan = Plan(16, precision="bfloat16", noise=0.5)
    *_, last = stream
    assert last.provenance.plan == "float32, channels last, 5 images a batch"
    assert last.provenance.noise == 0


def test_a_remembered_precision_is_measured_again_for_other_weights(image):
    """bfloat16 is hopeless for a net whose score moves little on a large offset."""
    plan_memory.forget()

    def make(offset):
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
        nn.init.constant_(net[0].bias, offset)
        return net

    first = ww.VisionModel(make(0.0), input_size=32, **HALF)
    first.adopt(Plan(4, precision="bfloat16", noise=1e-5), instead_of=first.plan, final=True)
    other = ww.VisionModel(make(1000.0), input_size=32, **HALF)
    assert other.plan.precision == "bfloat16"
    a = ww.Sobol(grid=2, rows=4).run(other, image)
    assert other.plan.precision == "float32"
    assert a.provenance.plan.startswith("float32")
    assert a.provenance.n_extra >= 32
    plan_memory.forget()


def test_what_was_stopped_early_gives_its_memory_back_and_survives_reduction(image, monkeypatch):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 100))
    model = ww.VisionModel(net, input_size=32, **HALF)
    model.batch_size = 4
    records = []
    for method in (ww.Sobol(grid=2, rows=512), ww.Sobol(grid=8, rows=64), ww.Sobol(grid=8, rows=16, refine=True)):
        stream = method.stream(model, image, preview=True)
        records += itertools.islice(stream, 5)
        stream.close()
    stopped = ww.Sobol(grid=2, rows=512, until=ww.Width(2.0)).run(model, image)
    records.append(stopped)
    assert all(not record.store.pinned for record in records)
    assert all(record.store.nbytes <= (record.rows + 4) * 66 * 400 for record in records)
    before = [record.values(record.predicted) for record in records]
    monkeypatch.setattr(limits, "logits_bytes", 1)
    shelf.trim()
    assert all(record.store.reduced for record in records)
    for record, values in zip(records, before, strict=True):
        assert record.values(record.predicted) == pytest.approx(values)
        gone = next((k for k in range(100) if not record.keeps(k)), None)
        if gone is not None:
            assert "were dropped to save memory" in record.describe(gone)
            assert record.picture(gone).size[0] > 0


def test_a_stop_rule_does_not_depend_on_the_batch(image):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    model = ww.VisionModel(net, input_size=32, **HALF)
    rows = set()
    for batch in (1, 7, 64):
        model.batch_size = batch
        a = ww.Sobol(grid=2, rows=256, until=ww.Width(0.8)).run(model, image)
        rows.add(a.rows)
        assert a.n_forwards == a.rows * 5
    assert len(rows) == 1
    assert max(rows) < 256


def test_a_network_that_cannot_be_copied_is_borrowed_with_one_warning(image):
    class Stubborn(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def __deepcopy__(self, _):
            raise TypeError("this network cannot be copied")

        def forward(self, x):
            return self.norm(self.conv(x)).mean((2, 3))

    net = Stubborn().train()
    with pytest.warns(UserWarning, match="cannot be copied"):
        model = ww.VisionModel(net, input_size=32, **HALF)
    assert not model.aliased
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a = ww.Sobol(grid=8, rows=16).run(model, image)
    assert net.training
    assert isinstance(net.norm, nn.BatchNorm2d)
    assert np.isfinite(a.values()).all()


class Counted(nn.Module):
    """Counts the images that it and its copies see."""

    seen = 0

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        Counted.seen += len(x)
        return self.body(x)


def with_norm():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def with_patches():
    return nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize("body", [with_norm, with_patches])
@pytest.mark.parametrize("rows", [3, 16])
def test_every_forward_is_counted_probes_and_tuning_too(body, rows, image):
    plan_memory.forget()
    model = ww.VisionModel(Counted(body()), input_size=32, **HALF)
    Counted.seen = 0
    a = ww.Sobol(grid=8, rows=rows).run(model, image)
    assert model.tuned is (rows == 16)
    assert Counted.seen == a.n_forwards + a.provenance.n_extra
    assert a.n_forwards == rows * 65


@pytest.mark.parametrize("grid", [8, 16])
def test_who_waits_has_a_map_before_it_is_measured_how_the_network_runs_fastest(grid, image):
    """The map is the one without that, every forward is counted, and there is nothing left to measure for then."""
    plan_memory.forget()
    model = ww.VisionModel(Counted(with_norm()), input_size=32, **HALF)
    method = ww.Sobol(grid=grid, rows=16 if grid == 8 else 4)
    Counted.seen = 0
    steps = list(method.steps(model, image, preview=True))
    stages = [step.stage for step in steps]
    assert model.tuned is (grid == 8)  # not where the first map is the last
    if model.tuned:
        first = steps[stages.index("tuning") - 1].record
        assert (first.rows, first.preview, first.complete) == (4, False, False)
    last = steps[-1].record
    assert (last.rows, last.complete) == (method.rows, True)
    assert Counted.seen == last.n_forwards + last.provenance.n_extra
    assert last.values() == pytest.approx(method.run(model, image).values(), rel=0.1, abs=0.01)


@pytest.mark.parametrize("classes", [1, 5])
def test_probabilities_are_scipys(classes, image):
    from scipy.special import expit, softmax

    net = nn.Sequential(nn.Conv2d(3, classes, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    _, a = explain(net, image)
    wanted = (expit if classes == 1 else softmax)(a.reference.astype(np.float64))
    assert [a.prediction(k).probability for k in range(classes)] == pytest.approx(wanted.tolist(), rel=1e-12)


def test_a_design_whose_logits_would_not_fit_is_refused_before_it_begins(image, monkeypatch):
    model, _ = explain(with_norm(), image)
    monkeypatch.setattr(limits, "logits_bytes", 10_000)
    with pytest.raises(
        ValueError, match=r"rows: the logits of 32 rows x 65 .* x 8 classes take 66,560 bytes.*refine=True"
    ):
        ww.Sobol(grid=8, rows=32).run(model, image)


def test_a_network_that_trains_on_the_main_thread_while_a_job_runs_on_the_workers(image):
    """Nothing crashes, both get on, the map is finite, and it is said that the weights changed."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 3))
    model = ww.VisionModel(net.eval(), input_size=32, **HALF)
    model.batch_size = 4
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-3)
    begun, trained = threading.Event(), threading.Event()

    def hold(job):
        if job.step is not None:  # on the worker's thread, between two batches
            begun.set()
            trained.wait(10)

    job = ww.Sobol(grid=4, rows=16).submit(model, image)
    job.watch(hold)
    net.train()
    before = net[0].weight.detach().clone()
    job.start()
    assert begun.wait(10)
    while job.active:
        optimiser.zero_grad()
        net(torch.randn(4, 3, 32, 32)).square().mean().backward()
        optimiser.step()
        trained.set()
    record = job.wait()
    assert net.training
    assert not torch.equal(net[0].weight, before)
    assert record.complete
    assert np.isfinite(record.values()).all()
    assert record.provenance.changed
    assert "weights changed" in record.describe()
