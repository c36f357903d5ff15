"""Many classes of one set in one call: the banks that each class would have alone."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere import limits
from whatwhere.classes import UnknownClassError
from whatwhere.concepts import _classes_run
from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.by_class import CraftByClass
from whatwhere.concepts.class_banks import ClassBanks
from whatwhere.concepts.craft import Craft
from whatwhere.engine import nmf_batched

ARRAYS = ("W", "importance", "codes", "logits", "contributions", "residuals", "bases", "gaps")


class ByColour(nn.Module):
    """Planted classes: the colour that a picture has most of; behind ReLU maps of each colour, light and dark."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 24, 4, stride=4), nn.ReLU())
        self.head = nn.Linear(24, 3)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.maps[0].weight.copy_(torch.randn(24, 3, 4, 4, generator=generator) * 0.1)
            self.maps[0].bias.zero_()
            self.head.weight.zero_()
            self.head.bias.zero_()
            for k in range(6):
                self.maps[0].weight[k, k % 3] += 0.1
                self.head.weight[k % 3, k] = 1

    def forward(self, x):
        return self.head(self.maps(x).mean((2, 3)))


def coloured(counts, *, size=24, seed=0):
    """Make pictures of blocks, most of them of one colour a picture, shuffled; and the colours."""
    rng = np.random.default_rng(seed)
    colours = rng.permutation(np.repeat(np.arange(3), counts))
    made = []
    for colour in colours:
        blocks = (rng.random((size // 6, size // 6, 3)) * 0.4 * (rng.random((size // 6, size // 6, 1)) < 0.6)).astype(
            "f4"
        )
        blocks[..., colour] += 0.5 * rng.random((size // 6, size // 6), dtype=np.float32)
        made.append(np.kron(blocks, np.ones((6, 6, 1), np.float32)))
    return made, colours


@pytest.fixture
def net(small):
    def make(batch_size=4):
        return small(ByColour(), weights=False, batch_size=batch_size, class_names=["red", "green", "blue"])

    return make


def same(bank, alone, *, room=1e-5):
    """Equal but for rounding, which float32 sums in another order have: `room` of the largest number."""
    for name in ARRAYS:
        got, wanted = getattr(bank, name), getattr(alone, name)
        assert got.shape == wanted.shape
        assert np.abs(got - wanted).max() <= room * max(1.0, np.abs(wanted).max()), name
    assert bank.quality.error == pytest.approx(alone.quality.error, rel=1e-4)
    for name in ("dead", "n_images", "n_rows", "n_left_out", "agreement", "rank_reason"):
        assert getattr(bank.quality, name) == getattr(alone.quality, name), name
    for name in ("ids", "images", "method", "target", "layer", "affine", "importance_method", "complete"):
        assert getattr(bank, name) == getattr(alone, name), name
    assert bank.predictions.tolist() == alone.predictions.tolist()
    for name in ("model", "fingerprint", "source", "device", "plan", "version", "n_extra", "changed"):
        assert getattr(bank.provenance, name) == getattr(alone.provenance, name), name
    for mine, its in zip(bank.crops, alone.crops, strict=True):
        assert [(crop.image, crop.box) for crop in mine] == [(crop.image, crop.box) for crop in its]
        for one, other in zip(mine, its, strict=True):
            np.testing.assert_array_equal(one.picture, other.picture)


# -- the banks of solo runs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit_on", ["locations", "crops", "both"])
def test_planted_classes_have_the_banks_of_solo_runs(net, fit_on):
    """Ragged numbers of photos, batches that no class fills, crops of several classes in one batch."""
    images, colours = coloured((7, 4, 9))
    method = Craft(n_concepts=3, fit_on=fit_on, patch=12)
    banks = method.by_class.run(net(), images, progress=False)
    assert list(banks) == [0, 1, 2]
    assert banks.complete
    assert not banks.left_out
    assert banks.n_images == 20
    for colour, bank in banks.items():
        assert bank.images == tuple(f"image {k + 1}" for k in np.flatnonzero(colours == colour))
        same(bank, method.run(net(), images, target=colour, progress=False))


@pytest.mark.parametrize(
    "options",
    [
        {"n_concepts": "auto"},
        {"extractor": "semi_nmf"},
        {"extractor": "kmeans"},
        {"extractor": "pca"},
        {"extractor": ww.concepts.extractors.NMF(init="random")},
        {"importance": "sobol", "designs": 8},
        {"n_concepts": 1},
    ],
    ids=str,
)
def test_other_methods_go_one_class_after_the_other(net, options):
    images, _ = coloured((7, 4, 9))
    method = Craft(**({"n_concepts": 3, "fit_on": "locations"} | options))
    banks = method.by_class.run(net(), images, progress=False)
    for colour, bank in banks.items():
        same(bank, method.run(net(), images, target=colour, progress=False))


def test_signed_features(small, pictures):
    body = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.Identity())
    model = small(nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4)))
    method, images = Craft(n_concepts=2, layer="0.0", fit_on="locations"), pictures(30)
    banks = method.by_class.run(model, images, progress=False)
    assert banks
    for target, bank in banks.items():
        assert not bank.layer.nonnegative
        same(bank, method.run(model, images, target=target, progress=False))
    with pytest.raises(ValueError, match=r"extractor: .*NMF.* takes activations of at least 0"):
        Craft(2, layer="0.0", extractor="nmf").by_class.run(model, images, progress=False)


def test_one_logit_is_predicted_by_its_sign(small, pictures):
    model = small(
        nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 1))
    )
    images = pictures(16)
    with torch.no_grad():
        model.source_net[4].bias -= float(np.median([float(model.net(model.to_input(i)).detach()) for i in images]))
    method = Craft(n_concepts=2, fit_on="locations")
    banks = method.by_class.run(model, images, progress=False)
    assert list(banks) == [0]
    assert banks.n_images == 16
    same(banks[0], method.run(model, images, target=0, progress=False))


def test_every_image_goes_through_the_network_once(net):
    images, _ = coloured((7, 4, 9))
    model = net()
    Craft(n_concepts=3, fit_on="locations").by_class.run(model, images, progress=False)
    steps = list(Craft(n_concepts=3, patch=12).by_class.steps(model, images))
    assert steps[-1].done == steps[-1].total == 20 * (1 + 4)
    few = list(Craft(n_concepts=5, patch=12).by_class.steps(model, images))  # no crops of what is left out
    assert few[-1].done == few[-1].total == 20 + 16 * 4
    asked = list(Craft(n_concepts=3, patch=12).by_class.steps(model, images, ["green"]))
    assert asked[-1].done == asked[-1].total == 20 + 4 * 4


def test_crops_of_all_classes_fill_batches(net, monkeypatch):
    from whatwhere.engine.encoder import Encoder

    sizes = []
    cells = Encoder.cells
    monkeypatch.setattr(Encoder, "cells", lambda self, x: sizes.append(len(x)) or cells(self, x))
    images, _ = coloured((7, 4, 9))
    Craft(n_concepts=3, fit_on="crops", patch=8).by_class.run(net(batch_size=8), images, progress=False)
    assert sum(sizes) == 20 * 9
    assert set(sizes[:-1]) == {8}


def test_nmf_runs_as_one_batch_where_it_fits(net, monkeypatch):
    calls = []
    real = nmf_batched.hals_batched_steps
    monkeypatch.setattr(
        _classes_run, "hals_batched_steps", lambda rows, *a, **o: calls.append(len(rows)) or real(rows, *a, **o)
    )
    images, _ = coloured((7, 4, 9))
    method = Craft(n_concepts=3, fit_on="locations")
    whole = method.by_class.run(net(), images, progress=False)
    assert calls == [3]
    for room, wanted in ((3 * 2 * 9 * 36 * 24 * 4, [2]), (0, [])):
        calls.clear()
        monkeypatch.setattr(limits, "activation_bytes", room)
        banks = method.by_class.run(net(), images, progress=False)
        assert calls == wanted
        assert list(banks) == list(whole)
        for colour, bank in banks.items():
            same(bank, whole[colour])


# -- which classes ----------------------------------------------------------------------------------------------------


def test_classes_are_asked_for_by_name_or_id_in_any_order(net):
    images, _ = coloured((7, 4, 9))
    banks = Craft(n_concepts=3, fit_on="locations").by_class.run(net(), images, ["blue", 0, "Blue"], progress=False)
    assert list(banks) == [2, 0]
    assert banks["blue"] is banks[2]
    assert "blue" in banks
    assert 1 not in banks
    assert None not in banks
    assert "greem" not in banks
    with pytest.raises(KeyError, match="'green' has no bank: it was not asked for"):
        banks["green"]
    with pytest.raises(UnknownClassError):
        banks["greem"]


def test_a_class_with_too_few_photos_is_left_out_with_the_reason(net):
    images, _ = coloured((7, 2, 9))
    banks = Craft(n_concepts=3, fit_on="locations").by_class.run(net(), images, progress=False)
    assert list(banks) == [0, 2]
    assert banks.left_out == {1: "too few images are predicted as it: 2, and 3 are needed"}
    assert "1 predicted class is left out" in repr(banks)
    with pytest.raises(KeyError, match="'green' has no bank: too few images"):
        banks[1]


def test_classes_asked_for_with_too_few_photos_are_all_named(net):
    images, _ = coloured((1, 2, 9))
    with pytest.raises(ValueError, match=r"targets: wanted at least 3 .* got 2 of 'green', 1 of 'red', of 12 images"):
        Craft(n_concepts=3, fit_on="locations").by_class.run(net(), images, ["green", "blue", "red"], progress=False)
    with pytest.raises(ValueError, match=r"images: wanted at least 8 .* 9 images of 3 classes, at most 4 of one"):
        Craft(n_concepts=8, fit_on="locations").by_class.run(net(), coloured((3, 4, 2))[0], progress=False)


@pytest.mark.parametrize(
    ("targets", "error", "said"),
    [
        ("red", TypeError, "targets: wanted a sequence of class names or ids, got str 'red'; for one class"),
        (0, TypeError, "targets: wanted a sequence"),
        ([], ValueError, "targets: wanted one class at least"),
        (["rad"], UnknownClassError, "rad"),
        ([1.5], TypeError, "target"),
    ],
)
def test_targets_are_refused_at_once(net, targets, error, said):
    with pytest.raises(error, match=said):
        Craft(n_concepts=3).by_class.run(net(), coloured((3, 3, 3))[0], targets, progress=False)
    with pytest.raises(error, match=said):
        Craft(n_concepts=3).by_class.submit(net(), coloured((3, 3, 3))[0], targets)


def test_constant_features_of_one_class(small):
    """Black pictures are of class 2, and all alike."""
    net = ByColour()
    with torch.no_grad():
        net.head.bias[2] = 0.01
        net.head.weight[2] = 0
    images = [*coloured((5, 0, 0))[0], *[np.zeros((24, 24, 3), np.float32)] * 4]
    method, model = Craft(n_concepts=2, fit_on="locations"), small(net, weights=False)
    banks = method.by_class.run(model, images, progress=False)
    assert list(banks) == [0]
    assert "puts out the same features everywhere" in banks.left_out[2]
    with pytest.raises(ValueError, match="'class 2': layer: 'maps' puts out the same features everywhere"):
        method.by_class.run(model, images, [0, 2], progress=False)


# -- ids, streams, jobs -----------------------------------------------------------------------------------------------


def test_earlier_banks_hand_on_their_ids(net):
    images, _ = coloured((7, 4, 9))
    method = Craft(n_concepts=3, fit_on="locations")
    first = method.by_class.run(net(), images, ["red"], progress=False)
    renamed = {
        0: ww.ConceptBank(**{n: getattr(first[0], n) for n in first[0].__dataclass_fields__} | {"ids": (7, 8, 9)})
    }
    again = method.by_class.run(net(), images, like=renamed, progress=False)
    assert again[0].ids == (7, 8, 9)
    assert sorted(again[2].ids) == [0, 1, 2]
    with pytest.raises(TypeError, match=r"like: wanted a mapping of class ids to banks, .* got ConceptBank"):
        method.by_class.run(net(), images, like=first[0], progress=False)


def test_a_stream_gives_more_and_more_and_each_gives_one_after_the_other(net):
    images, _ = coloured((7, 4, 9))
    by_class = Craft(n_concepts=3, fit_on="locations").by_class
    whole = by_class.run(net(), images, progress=False)
    parts = list(by_class.stream(net(), images))
    assert [set(part) for part in parts] == [{2}, {0, 2}, {0, 1, 2}]
    assert [part.complete for part in parts] == [False, False, True]
    each = list(by_class.each(net(), images))
    assert [target for target, _ in each] == [2, 0, 1]
    for target, bank in each:
        np.testing.assert_array_equal(bank.W, whole[target].W)
        np.testing.assert_array_equal(parts[-1][target].W, whole[target].W)


def test_a_stopped_job_keeps_the_banks_that_are_finished(net):
    images, _ = coloured((7, 4, 9))
    by_class = Craft(n_concepts=3, fit_on="locations").by_class
    job = by_class.submit(net(), images, ["red", "green", "blue"])
    unwatch = job.watch(lambda job: job.record is not None and job.stop())
    banks = job.wait(60)
    unwatch()
    assert job.state == "stopped"
    assert isinstance(banks, ClassBanks)
    assert list(banks) == [2]
    assert not banks.complete
    assert "so far" in repr(banks)
    job.start()
    assert list(job.wait(60)) == [0, 1, 2]


def test_several_targets_of_one_run_are_sent_on(net):
    with pytest.raises(
        TypeError, match=r"target: wanted one class, got list of 2; for several use Craft\(…\).by_class"
    ):
        Craft(n_concepts=3).run(net(), coloured((3, 3, 3))[0], target=["red", "blue"], progress=False)


def test_a_method_is_a_value():
    assert Craft(3).by_class == CraftByClass(Craft(3))
    assert hash(Craft(3).by_class) == hash(Craft(3).by_class)


# -- records ----------------------------------------------------------------------------------------------------------


def test_a_bank_is_as_any_other(net, tmp_path):
    images, _ = coloured((7, 4, 9))
    model = net()
    bank = Craft(n_concepts=3, patch=12).by_class.run(model, images, progress=False)["blue"]
    bank.save(tmp_path / "blue.safetensors")
    again = ConceptBank.load(tmp_path / "blue.safetensors")
    np.testing.assert_array_equal(again.W, bank.W)
    assert again.method == Craft(n_concepts=3, patch=12)
    concepts = bank.on(model)
    assert np.abs(concepts.encode([images[int(name.split()[1]) - 1] for name in bank.images]) - bank.codes).max() < 1e-5
    assert 0 < bank.provenance.net_seconds < bank.provenance.seconds
    assert len(concepts.photos) == 9


@pytest.mark.parametrize("budget", [0, 60_000])
def test_the_same_banks_from_files_and_the_files_go(net, tmp_path, monkeypatch, budget):
    import tempfile

    images, _ = coloured((5, 9, 36))  # more than a block of one class
    method = Craft(n_concepts=3, patch=12)
    wanted = method.by_class.run(net(), images, progress=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(limits, "activation_bytes", budget)
    banks = method.by_class.run(net(), images, progress=False)
    assert [file for file in tmp_path.rglob("*") if file.is_file()], "the limit should have been passed"
    for colour, bank in banks.items():
        same(bank, wanted[colour])
    del banks, bank
    gc.collect()
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


# -- a real network ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three_classes(shared_photos):
    """Nine photos of each of three classes; the classes take turns."""
    root = shared_photos[0].parents[1] / "imagenette"
    if not root.is_dir():
        told = os.environ.get("WHATWHERE_SHARED")
        pytest.fail(f"no photos of classes below {told}") if told else pytest.skip("no shared photos of classes")
    folders = [sorted(Path(root, n).iterdir())[:9] for n in ("000_tench", "701_parachute", "569_garbage_truck")]
    return [path for turn in zip(*folders, strict=True) for path in turn]


def test_three_real_classes_have_the_banks_of_solo_runs(model, three_classes):
    """Crops and locations; in float32 alike to 1e-5 of the largest number."""
    method = Craft(n_concepts=4, patch=112)
    banks = method.by_class.run(model, three_classes, progress=False)
    assert set(banks) == {0, 569, 701}
    assert banks.n_images == 27
    assert sum(bank.quality.n_images for bank in banks.values()) + len(banks.left_out) <= 27
    for target, bank in banks.items():
        same(bank, method.run(model, three_classes, target=target, progress=False))
