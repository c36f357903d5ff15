"""Options of the method: baselines, stop rules, coarse to fine, samplers, and many images."""

import gc
import itertools
import resource
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.engine.sampling import base_matrices
from whatwhere.pixels import images


def means(x, grid=(16, 16)):
    return torch.nn.functional.adaptive_avg_pool2d(x.mean(1, keepdim=True), grid).flatten(1)


def two_spots(x):
    """Two patches of a 16 x 16 grid, one of four cells, and their product."""
    cells = means(x).view(-1, 16, 16)
    one, two = cells[:, 2:4, 2:4].mean((1, 2)), cells[:, 12, 9]
    return torch.stack([3 * one + 2 * two + one * two, two], 1)


def test_from_coarse_to_fine_finds_the_same_with_fewer_forwards(toy, white):
    model = toy(two_spots, batch_size=64)
    full = ww.Sobol(grid=16, rows=32).run(model, white)
    refined = ww.Sobol(grid=16, rows=32, refine=True).run(model, white)
    assert refined.n_forwards < full.n_forwards / 4
    live = ~refined.pruned
    ratio = refined.values(0)[live & (full.values(0) > 0)] / full.values(0)[live & (full.values(0) > 0)]
    assert ratio == pytest.approx(np.full(len(ratio), ratio.mean()), rel=1e-5), (
        "the same masks; the variance is pooled over fewer"
    )
    assert ratio.mean() == pytest.approx(1, abs=0.1)
    assert (full.values(0)[~live] <= refined.values(0)[~live] + 1e-6).all(), "a block's index bounds its cells'"
    assert live[2:4, 2:4].all()
    assert live[12, 9]
    assert refined.values(0).shape == (16, 16)
    assert refined.groups.max() + 1 < 256
    slopes = refined.values(0, kind="slope")
    assert slopes[live] == pytest.approx(full.values(0, kind="slope")[live])


def test_refined_forwards_are_counted(toy, white):
    model = toy(two_spots, batch_size=64)
    refined = ww.Sobol(grid=16, rows=16, refine=True, first_order=True).run(model, white)
    assert model.net.images == refined.n_forwards + refined.provenance.n_extra
    assert refined.values(1, kind="first")[12, 9] == pytest.approx(1, abs=0.4)


def test_each_level_of_refinement_is_a_valid_map(toy, white):
    records = list(ww.Sobol(grid=16, rows=8, refine=True).stream(toy(two_spots, batch_size=64), white))
    assert [r.complete for r in records] == [False] * (len(records) - 1) + [True]
    assert all(r.values(0).shape == (16, 16) for r in records)
    sizes = [r.n_groups for r in records]
    assert sizes == sorted(sizes)
    assert records[0].values(0)[:4, :4].std() == 0, "one block"


def test_a_grid_too_small_to_refine_is_done_in_full(toy, white):
    model = toy(two_spots, batch_size=64)
    plain, refined = (ww.Sobol(grid=4, rows=4, refine=r).run(model, white) for r in (False, True))
    assert np.array_equal(plain.values(0), refined.values(0))


def test_a_stop_rule_stops_and_the_record_says_so(toy, white):
    model = toy(two_spots, batch_size=64)
    method = ww.Sobol(grid=4, rows=256, until=ww.Width(0.5))
    a = method.run(model, white)
    assert a.rows < 256
    assert a.complete
    assert a.n_forwards == a.rows * 17
    assert np.array_equal(a.logits, ww.Sobol(grid=4, rows=a.rows).run(model, white).logits)
    half = (a.values(bound="upper") - a.values()).max()
    assert half <= 0.5 * a.values().max() * 1.0001
    tight = ww.Sobol(grid=4, rows=32, until=ww.Width(1e-6)).run(model, white)
    assert tight.rows == 32


def test_ranks_settle_sooner_for_a_class_that_is_asked_for(toy, white):
    def classes(x):
        cells = means(x, (4, 4))
        ranked = cells @ torch.arange(16.0)
        noisy = (cells - 0.5).prod(1) * 1e6
        return torch.stack([ranked, noisy + 100], 1)

    rule = ww.RankStability(0.9)
    easy, hard = (
        ww.Sobol(grid=4, rows=64, until=rule).run(toy(classes, batch_size=64), white, target=t).rows for t in (0, 1)
    )
    assert easy < hard


def test_baselines_change_what_is_asked(toy, photos):
    model = toy(lambda x: torch.stack([x.std((1, 2, 3)) * 50, x.mean((1, 2, 3))], 1))
    photo = photos["coffee"]
    maps = {
        b: ww.Sobol(grid=4, rows=8, baseline=b).run(model, photo).values(0) for b in ("mean", "black", "white", "blur")
    }
    assert np.array_equal(maps["mean"], maps["black"]), "this network's mean colour is black"
    for one, other in itertools.combinations(("black", "white", "blur"), 2):
        assert not np.allclose(maps[one], maps[other], rtol=0.05)
    own = ww.Sobol(grid=4, rows=8, baseline=photos["rocket"])
    assert own == ww.Sobol(grid=4, rows=8, baseline=photos["rocket"].copy())
    assert own != ww.Sobol(grid=4, rows=8)
    assert own.run(model, photo).values(0).shape == (4, 4)
    same = ww.Sobol(grid=4, rows=8, baseline=photo).run(model, photo)
    assert same.is_flat(0), "fading to itself changes nothing"


def test_repr_tells_what_is_not_the_default():
    method = ww.Sobol(baseline="blur", until=ww.Width(0.2), refine=False)
    assert repr(method) == "Sobol(grid=8, rows=32, seed=0, baseline='blur', until=Width(tolerance=0.2, level=0.95))"
    assert eval(repr(method), {"Sobol": ww.Sobol, "Width": ww.Width}) == method  # noqa: S307  # a repr of our own


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"baseline": "grey"}, ValueError, "baseline: wanted one of"),
        ({"score": "odds"}, ValueError, r"score: wanted one of \['logit'"),
        ({"sampler": "halton"}, ValueError, r"sampler: wanted one of \['nested'"),
        ({"until": 5}, TypeError, "until: wanted a stop rule"),
        ({"refine": True, "until": ww.Width(0.1)}, ValueError, "until: a refined design needs all its rows"),
        ({"first_order": 1}, TypeError, "first_order: wanted True or False, got 1"),
    ],
)
def test_bad_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ww.Sobol(**options)


def test_the_published_points_are_there_for_comparison(toy, white):
    """They stamp a fixed pattern: the flat map of a mean is far from flat."""
    method = ww.Sobol(grid=8, rows=32, sampler="published")
    a, b = method.masks()
    wanted = base_matrices("published", 32, 64, seed=0)
    assert np.array_equal(a, wanted[0].astype(np.float32))
    assert np.array_equal(b, wanted[1].astype(np.float32))
    model = toy(lambda x: x.mean((2, 3)))
    spread = {}
    for sampler in ("published", "nested", "random"):
        values = ww.Sobol(grid=8, rows=32, sampler=sampler).run(model, white).values(0)
        spread[sampler] = values.max() / max(values.min(), 1e-9)
    assert spread["nested"] < 1.3
    assert spread["published"] > 3
    assert spread["nested"] < spread["random"]


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 5, stride=4), nn.Linear(8, 10)

    def forward(self, x):
        return self.head(self.conv(x).relu().mean((2, 3)))


@pytest.fixture
def small():
    model = ww.VisionModel(Small(), input_size=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    model.batch_size = 16
    return model


def test_a_thousand_images_stream_in_flat_memory(small):
    """Of a generator nothing is kept but the record that the caller holds."""
    alive = []

    def images():
        rng = np.random.default_rng(0)
        for _ in range(1000):
            image = rng.random((96, 96, 3)).astype(np.float32)
            alive.append(image.nbytes)
            yield image

    method = ww.Sobol(grid=2, rows=2)
    peaks, counts = [], []
    for k, (name, record) in enumerate(method.each(small, images(), progress=False)):
        assert name == f"image {k + 1}"
        assert record.complete
        if k in (199, 999):
            del record
            gc.collect()
            counts.append(sum(type(o) is ww.Attribution for o in gc.get_objects()))
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    assert len(alive) == 1000
    assert counts[1] <= counts[0] <= 1
    assert peaks[1] - peaks[0] < 20e6, "eight hundred images of 110 kB passed by"


def test_a_folder_a_dataset_and_a_loader(small, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("tench/a", "tench/b", "truck/c"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
    method = ww.Sobol(grid=2, rows=2)
    assert list(method.run(small, tmp_path)) == ["tench/a", "tench/b", "truck/c"]
    batch = torch.rand(6, 3, 32, 32) * 2 - 1
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(batch, torch.arange(6)), batch_size=4)
    records = [record for _, record in method.each(small, small.images_from(loader), progress=False)]
    assert len(records) == 6
    with small.computing():
        wanted = small.logits(batch).numpy()
    assert np.stack([r.reference for r in records]) == pytest.approx(wanted, abs=1e-4)


def test_every_image_is_read_once_and_those_of_a_dataset_in_turn(toy, monkeypatch):
    events = []

    class Lazy:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            events.append(f"fetch {index}")
            return np.full((8, 8, 3), 0.5, np.float32), 0

    def read(image, name, own=images._read_numbers):
        events.append(f"read {name}")
        return own(image, name)

    monkeypatch.setattr(images, "_read_numbers", read)
    model, method = toy(lambda x: x.mean((2, 3)), size=(8, 8)), ww.Sobol(grid=2, rows=2)
    seen = model.net.function
    model.net.function = lambda x: events.append("run") or seen(x)
    method.run(model, Lazy())
    assert [event for event, _ in itertools.groupby(events)] == [
        *("fetch 0", "read image 1", "run", "fetch 1", "read image 2", "run"),
    ]
    events.clear()
    method.run(model, [np.zeros((8, 8, 3), np.float32), np.ones((8, 8, 3), np.float32)])
    assert [event for event, _ in itertools.groupby(events)] == ["read image 1", "read image 2", "run"]


def test_a_network_that_is_not_deterministic_is_said(white, toy):
    model = toy(lambda x: x.mean((2, 3)) + torch.rand(len(x), 3))
    with pytest.warns(UserWarning, match="image: The network is not deterministic: the same image gave logits"):
        a = ww.Sobol(grid=2, rows=2).run(model, white)
    assert a.provenance.wobble > 0
    assert "not deterministic" in a.describe()
    steady = toy(lambda x: x.mean((2, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ww.Sobol(grid=2, rows=2).run(steady, white).provenance.wobble == 0


def test_weights_that_change_while_a_map_is_computed_are_said(small, photos):
    stream = ww.Sobol(grid=2, rows=6).stream(small, photos["coffee"])
    next(stream)
    with torch.no_grad():
        small.source_net.head.bias += 1
    *_, last = stream
    assert last.provenance.changed
    assert "weights changed" in last.describe()


def test_training_between_two_steps_leaves_both_sides_alone(photos):
    """The user's network trains, with gradients and in train mode, while a map of it is computed."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(3))
    net(torch.zeros(2, 3, 16, 16))
    net.train()
    model = ww.VisionModel(net, input_size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    model.batch_size = 4
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01)
    before = net[0].weight.detach().clone()
    for _ in ww.Sobol(grid=2, rows=4).steps(model, photos["coffee"]):
        assert net.training
        assert all(p.requires_grad for p in net.parameters())
        optimiser.zero_grad()
        net(torch.randn(4, 3, 16, 16)).square().mean().backward()
        optimiser.step()
    assert net[1].num_batches_tracked > 0
    assert not torch.equal(net[0].weight, before)
    with model.computing():
        x = model.example()
        wanted = net.eval()(x)
        assert torch.equal(model.logits(x), wanted)


def test_an_error_in_the_network_comes_with_its_own_words_and_keeps_what_was_computed(toy, white):
    calls = itertools.count()

    def fails(x):
        if next(calls) > 12:
            raise RuntimeError("a cable came off")
        return x.mean((2, 3))

    job = ww.Sobol(grid=2, rows=32).submit(toy(fails), white)
    with pytest.raises(RuntimeError, match="a cable came off"):
        job.wait()
    assert job.record.rows < 32
    assert np.isfinite(job.record.values()).all()
