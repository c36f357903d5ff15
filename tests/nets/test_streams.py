"""Streams: parts of a batch side by side give what the whole gives, whatever the network does meanwhile."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.engine.encoder import Encoder, Look
from whatwhere.engine.forward import BatchHalved, MaskedForward
from whatwhere.engine.tuning import Tuner
from whatwhere.nets import streams
from whatwhere.nets.aliasing import module_copy
from whatwhere.nets.plans import Plan, Runner, default_plan
from whatwhere.nets.streams import Streams, default_streams, joined, parts_of
from whatwhere.pixels.images import read_photo

CPU = torch.device("cpu")
PLAIN = {"input_size": 24, "mean": (0.0,) * 3, "std": (1.0,) * 3, "device": "cpu"}


pytestmark = pytest.mark.usefixtures("four_threads")


class Noted(nn.Conv2d):
    """Notes the threads that it runs in, and how many images each sees."""

    parts: list = []  # noqa: RUF012  # of all copies

    def forward(self, x):
        Noted.parts.append((threading.get_ident(), len(x), torch.get_num_threads()))
        return super().forward(x)


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.setattr(Noted, "parts", [])
    return Noted.parts


def network(*layers):
    torch.manual_seed(0)
    return nn.Sequential(
        Noted(3, 12, 4, stride=4), *layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4)
    ).eval()


def four(model, photos):
    return torch.cat([model.to_input(model.preprocess.pixels(read_photo(each))) for each in list(photos.values())[:4]])


def runner(net, streams, **options):
    return Runner(net, Plan(8, streams=streams, **options), torch.rand(1, 3, 24, 24))


@torch.inference_mode()
@pytest.mark.parametrize(
    ("size", "streams", "wanted", "threads"),
    [(8, 4, 4, 1), (8, 3, 2, 2), (6, 4, 2, 2), (7, 4, 1, 4), (1, 4, 1, 4), (8, 2, 2, 2), (8, 9, 4, 1), (3, 4, 1, 4)],
)
def test_a_batch_is_cut_into_the_equal_parts_that_use_most_threads(parts, size, streams, wanted, threads):
    images = torch.rand(size, 3, 24, 24)
    run, net = runner(network(), streams), network()
    parts.clear()
    got = run(images)
    assert [(n, t) for _, n, t in parts] == [(size // wanted, threads)] * wanted
    assert (threading.get_ident() in {each for each, *_ in parts}) == (wanted == 1)
    assert got.numpy() == pytest.approx(net(images).numpy(), abs=1e-6)


@torch.inference_mode()
def test_an_image_gives_the_same_logits_wherever_it_stands(model, photos):
    run = Runner(model.net, Plan(8, streams=4, folded=True), model.example())
    images = torch.cat(
        [model.to_input(model.preprocess.pixels(read_photo(photo))) for photo in list(photos.values())[:4]]
    )
    images = torch.cat([images, images.flip(3)]).contiguous(memory_format=torch.channels_last)
    order = torch.tensor([5, 0, 7, 2, 1, 6, 3, 4])
    once = run(images)
    assert torch.equal(run(images[order].contiguous(memory_format=torch.channels_last)), once[order])
    alone = Runner(model.net, Plan(8, folded=True), model.example())(images)
    assert once.numpy() == pytest.approx(alone.numpy(), abs=1e-4)
    assert (once - alone).abs().max() < 1e-5 * alone.abs().max()


def test_nothing_is_recorded_side_by_side_nor_on_one_thread(parts):
    run, images = runner(network(), 4), torch.rand(8, 3, 24, 24, requires_grad=True)
    parts.clear()
    run(images).sum().backward()
    assert images.grad.abs().sum() > 0
    torch.set_num_threads(1)
    with torch.inference_mode():
        run(images.detach())
    assert [n for _, n, _ in parts] == [8, 8]


class Remembering(nn.Module):
    """Writes what it saw to an attribute, and reads it back after a while."""

    def forward(self, x):
        self.seen = x
        threading.Event().wait(0.05)
        return self.seen


@torch.inference_mode()
def test_what_a_network_writes_to_itself_stays_within_a_stream(parts):
    images = torch.rand(8, 3, 24, 24)
    run = runner(network(Remembering()), 4)
    parts.clear()
    assert run(images).numpy() == pytest.approx(network()(images).numpy(), abs=1e-6)
    assert len(parts) == 4 + 1


class Scratch(nn.Module):
    """The same through a tensor that lies in a buffer or in an attribute, or is made when it is first needed."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept
        if kept == "buffer":
            self.register_buffer("scratch", torch.zeros(8, 3, 24, 24))
        else:
            self.scratch = torch.zeros(8, 3, 24, 24) if kept == "attribute" else None

    def forward(self, x):
        if self.scratch is None:
            self.scratch = torch.zeros(8, 3, 24, 24)
        self.scratch[: len(x)] = x.mul_(2)  # to the image too
        threading.Event().wait(0.05)
        return self.scratch[: len(x)] / 2


class Drawing(nn.Module):
    """Adds what it draws."""

    def forward(self, x):
        return x + 1e-9 * torch.rand(())


@torch.inference_mode()
@pytest.mark.parametrize(
    ("first", "said"),
    [
        (Scratch("buffer"), "writes to tensors"),
        (Scratch("attribute"), "writes to tensors"),
        (Drawing(), "draws random numbers"),
        (Scratch("made"), ""),
    ],
    ids=["buffer", "attribute", "drawing", "made"],
)
def test_what_streams_would_do_to_each_other_is_found_out_before(parts, caplog, first, said):
    caplog.set_level("INFO", logger="whatwhere.nets.streams")
    with torch.inference_mode(mode=False):
        net = nn.Sequential(first, network()).eval()
    net(torch.rand(1, 3, 24, 24))  # what it makes now is of inference mode
    with torch.inference_mode(mode=False):
        run = runner(net, 4)
    assert said in caplog.text
    assert run.plan.streams == (1 if said else 4)
    parts.clear()
    for _ in range(3):
        images = torch.rand(8, 3, 24, 24)
        got = run(images.clone())
        sizes, parts[:] = [n for _, n, _ in parts], []
        assert sizes == ([8] if said else [2] * 4)
        assert got.numpy() == pytest.approx(network()(images).numpy(), abs=1e-6)
        parts.clear()


class Scaled(nn.Module):
    scale = 1.0

    def forward(self, x):
        return x * self.scale


@torch.inference_mode()
def test_every_stream_follows_the_same_network():
    """What a person sets on a plain attribute meanwhile is seen by all images of a batch, or by none."""
    with torch.inference_mode(mode=False):
        net = network(Scaled())
        model = ww.VisionModel(net, **PLAIN)
    model.plan = Plan(8, streams=4)
    run, images = model.runner(), torch.rand(1, 3, 24, 24).expand(8, -1, -1, -1)
    first = run(images)
    net[1].scale = 10.0
    with model.computing():
        again = run(images)
    assert len(again.unique(dim=0)) == len(first.unique(dim=0)) == 1
    assert model.runner()(images)[0].numpy() == pytest.approx(net(images[:1])[0].numpy(), abs=1e-6)


class Closed(nn.Module):
    def __deepcopy__(self, _memo):
        raise RuntimeError("there is one of me")

    def forward(self, x):
        return x


class Single(Closed):
    def __deepcopy__(self, _memo):
        return self


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script.*:FutureWarning", "ignore:.*torch.jit.script.*:DeprecationWarning"
)
@pytest.mark.parametrize("of", [Closed, Single, lambda: torch.jit.script(nn.Linear(6, 6))])
def test_what_cannot_be_copied_is_computed_in_one_stream(caplog, of):
    caplog.set_level("INFO", logger="whatwhere.nets.streams")
    net = network(of())
    assert Streams.of(net, 4) is None
    assert "is computed in one stream" in caplog.text
    assert runner(net, 4).plan.streams == 1
    with torch.inference_mode():
        assert runner(net, 4)(torch.rand(8, 3, 24, 24)).shape == (8, 4)


def test_a_copy_has_modules_of_its_own_and_the_very_tensors():
    net = network(nn.BatchNorm2d(12))
    twin = module_copy(net)
    assert all(a is b for a, b in zip(net.parameters(), twin.parameters(), strict=True))
    assert all(a is b for a, b in zip(net.buffers(), twin.buffers(), strict=True))
    assert not set(map(id, net.modules())) & set(map(id, twin.modules()))


@torch.inference_mode()
def test_streams_follow_training_and_what_is_held():
    with torch.inference_mode(mode=False):
        net = network()
        model = ww.VisionModel(net, **PLAIN)
    model.plan = Plan(8, streams=4)
    images = torch.rand(8, 3, 24, 24)
    run = model.runner()
    first = run(images)
    with model._alias.held():
        net[-1].weight.mul_(2)
        assert torch.equal(run(images), first)
    assert run(images).numpy() == pytest.approx(net(images).numpy(), abs=1e-6)
    assert not torch.equal(run(images), first)


@pytest.mark.parametrize(("size", "threads", "wanted"), [(8, 6, 2), (12, 6, 6), (5, 6, 1), (0, 4, 1), (32, 12, 4)])
def test_no_thread_idles_for_the_sake_of_a_stream(size, threads, wanted):
    assert parts_of(size, threads, threads) == wanted


class Failing(nn.Module):
    """Fails where an image is black."""

    error = RuntimeError("a black image")

    def forward(self, x):
        threading.Event().wait(0.02 if x.any() else 0)
        if not x.flatten(1).any(1).all():
            raise self.error
        return x


@torch.inference_mode()
def test_an_error_is_raised_once_all_parts_have_ended(parts):
    net = nn.Sequential(Failing(), network()).eval()
    run = Runner(net, Plan(8, streams=4), torch.rand(1, 3, 24, 24))
    images = torch.rand(8, 3, 24, 24)
    images[0] = 0
    parts.clear()
    with pytest.raises(RuntimeError, match="a black image"):
        run(images)
    assert len(parts) == 3


def test_a_stream_without_memory_halves_the_batch(monkeypatch):
    net = nn.Sequential(Failing(), network()).eval()
    model = ww.VisionModel(net, **PLAIN)
    model.plan = Plan(8, streams=4)
    monkeypatch.setattr(Failing, "error", MemoryError())
    black, white = np.zeros((24, 24, 3), np.float32), np.ones((24, 24, 3), np.float32)
    forward = MaskedForward(model, white, black, (1, 1))
    assert forward(np.ones((8, 1))).shape == (8, 4)
    with pytest.raises(BatchHalved, match="going on with 4"):
        forward(np.array([[1.0]] * 7 + [[0.0]]))


def test_a_failed_batch_keeps_no_memory():
    """Whoever goes on with halves has the room of the whole."""
    net, made = nn.Sequential(Failing(), network()).eval(), []
    run = Runner(net, Plan(8, streams=4), torch.rand(1, 3, 24, 24))

    def noted(stream, part):
        out = stream(part)
        made.append(weakref.ref(out))
        return out

    images = torch.rand(8, 3, 24, 24)
    images[7] = 0
    gc.disable()
    try:
        with torch.inference_mode(), contextlib.suppress(RuntimeError):
            run.over(noted, images)
        assert [each() for each in made] == [None] * 3
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("threads", "plan"), [(1, (4, 1)), (2, (4, 2)), (3, (6, 3)), (4, (4, 4)), (6, (6, 6)), (64, (16, 16))]
)
def test_by_default_there_is_a_stream_for_each_thread(monkeypatch, threads, plan):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    found = default_plan(network(), CPU)
    assert (found.batch_size, found.streams) == plan
    assert default_plan(network(), torch.device("cuda")).streams == 1
    said = f"{plan[0]} images a batch" + (f" in {plan[1]} streams" if threads > 1 else "")
    assert found.describe() == f"float32, channels last, {said}"


def test_only_openmp_can_have_streams(monkeypatch):
    assert default_streams(CPU) == 4
    monkeypatch.setattr(streams, "_threads_are_openmp", lambda: False)
    assert default_streams(CPU) == 1


def test_tuning_tries_one_stream_as_well(untrained):
    model = ww.VisionModel(untrained("resnet18"), **(PLAIN | {"input_size": 64}))
    tuner = Tuner(model, 100)
    assert {plan.streams for plan in tuner.steps()} == {4, 1}


@pytest.mark.parametrize("layer", ["features.4", "features.6"])
def test_an_encoder_gives_the_same_features_and_logits(model, photos, layer):
    images = torch.cat(
        [model.to_input(model.preprocess.pixels(read_photo(photo))) for photo in list(photos.values())[:4]]
    )
    before = model.plan
    try:
        found = []
        for streams in (4, 1):
            model.plan = replace(before, streams=streams)
            encoder = Encoder(model, layer)
            found.append((encoder.look(images), encoder.cells(images)))
    finally:
        model.plan = before
    (look, cells), (wanted, _) = found
    assert torch.equal(cells, look.cells)
    for got, exact in zip(look, wanted, strict=True):
        assert got.shape == exact.shape
        assert got.numel() == 0 or (got - exact).abs().max() < 1e-5 * exact.abs().max()


def test_a_map_of_a_real_network_is_the_same_in_streams(model, photos):
    before, maps = model.plan, []
    try:
        for streams in (4, 1):
            model.plan = replace(before, batch_size=8, streams=streams)
            maps.append(ww.Sobol(grid=4, rows=8).run(model, photos["chelsea"]).values())
    finally:
        model.plan = before
    assert np.abs(maps[0] - maps[1]).max() < 1e-4 * np.abs(maps[1]).max()


class Patches(nn.Module):
    """Cuts an image into patches, and looks at nothing else."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.embed(x).relu().mean((2, 3)))


def test_blended_tokens_go_to_the_stream_that_they_belong_to():
    model = ww.VisionModel(Patches().eval(), **PLAIN)
    model.plan = Plan(8, streams=4)
    rng = np.random.default_rng(0)
    image, grey = rng.random((24, 24, 3), dtype=np.float32), np.full((24, 24, 3), 0.5, np.float32)
    masks = rng.random((8, 9))
    forward = MaskedForward(model, image, grey, (3, 3))
    assert forward.blends_tokens
    assert forward.plan.streams == 4
    got = forward(masks)
    shown = masks.reshape(8, 3, 3).repeat(8, 1).repeat(8, 2)[..., np.newaxis]
    blends = shown * image + (1 - shown) * grey
    with torch.no_grad():
        wanted = model.net(torch.cat([model.to_input(each.astype(np.float32)) for each in blends]))
    assert got.numpy() == pytest.approx(wanted.numpy(), abs=1e-5)


def test_parts_of_named_tuples_are_put_together():
    whole = joined([torch.zeros(1, 2), torch.ones(2, 2)])
    assert whole.tolist() == [[0, 0], [1, 1], [1, 1]]
    first, second = Look(torch.zeros(1), torch.zeros(1, 0), torch.ones(1)), Look(*(torch.ones(2),) * 3)
    second = second._replace(prefix=torch.ones(2, 0))
    assert [list(part.shape) for part in joined([first, second])] == [[3], [3, 0], [3]]
