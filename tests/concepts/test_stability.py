"""Stability of a bank: planted concepts are found again in every half, noise is not."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.extractors import NMF
from whatwhere.concepts.rank import stability
from whatwhere.concepts.stability import BankStability, stability_steps
from whatwhere.jobs import Job

SIDE, CELL = 24, 4


class Patches(nn.Module):
    """Each cell's pixels as its features, so that whatever is planted in pictures is what is factorised."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 3 * CELL * CELL, CELL, stride=CELL, bias=False), nn.ReLU())
        self.head = nn.Linear(3 * CELL * CELL, 2)
        with torch.no_grad():
            self.maps[0].weight.copy_(torch.eye(3 * CELL * CELL).reshape(-1, 3, CELL, CELL))

    def forward(self, x):
        return self.head(self.maps(x).mean((2, 3)))


@pytest.fixture
def patches(small):
    torch.manual_seed(0)
    return small(Patches(), weights=False, batch_size=8)


def planted(count=40, concepts=3, *, noise=0.0, seed=0):
    """Make pictures whose cells are sums of a few patterns, often of one alone."""
    rng = np.random.default_rng(seed)
    patterns = rng.random((concepts, CELL, CELL, 3)) * (rng.random((concepts, CELL, CELL, 3)) < 0.4)
    cells = SIDE // CELL
    codes = rng.random((count, cells, cells, concepts)) * 0.5
    alone = np.eye(concepts)[rng.integers(concepts, size=(count, cells, cells))]
    codes = np.where(rng.random((count, cells, cells, 1)) < 0.5, codes * alone, codes * (rng.random(codes.shape) < 0.5))
    images = np.einsum("nijk,kabc->niajbc", codes, patterns).reshape(count, SIDE, SIDE, 3)
    images = np.clip(images + noise * rng.random(images.shape), 0, 1)
    return np.rint(images * 255).astype(np.uint8), patterns.transpose(0, 3, 1, 2).reshape(concepts, -1)


def bank_of(model, images, n_concepts=3, **options):
    return Craft(n_concepts=n_concepts, fit_on="locations", **options).run(model, images, progress=False).on(model)


def test_planted_concepts_are_found_in_every_half(patches, matched):
    images, patterns = planted()
    concepts = bank_of(patches, images)
    assert matched(torch.from_numpy(concepts.bank.W.copy()), torch.from_numpy(patterns)).min() > 0.99
    found = concepts.stability()
    assert found.halves.shape == (5, 3)
    assert found.found.shape == (5, 2, 3)
    assert found.mean > 0.99
    assert found.smallest > 0.98
    assert found.spread < 0.01
    assert found.of_concepts.min() > 0.99
    assert found.n_images == 40
    assert found.complete


def test_noise_is_not_found_again(patches):
    noise = np.random.default_rng(0).integers(0, 256, (40, SIDE, SIDE, 3), dtype=np.uint8)
    found = bank_of(patches, noise, 6).stability()
    sound = bank_of(patches, planted(noise=0.02)[0]).stability()
    assert found.mean < 0.9 < sound.mean
    assert found.smallest < 0.8
    assert sound.mean - found.mean > 5 * (sound.spread + found.spread) / 2


def test_what_is_planted_stays_and_what_is_added_does_not(patches):
    """Three patterns and noise, six concepts: the three are those that are found again best."""
    images, patterns = planted(noise=0.15)
    concepts = bank_of(patches, images, 6)
    found = concepts.stability(n_splits=3)
    w = torch.from_numpy(concepts.bank.W.copy())
    cosines = torch.nn.functional.normalize(torch.from_numpy(patterns).float()) @ w.T
    true = set(cosines.argmax(dim=1).tolist())
    assert len(true) == 3
    rest = [k for k in range(6) if k not in true]
    assert found.of_concepts[sorted(true)].min() > found.of_concepts[rest].max()


def test_by_a_second_route(patches):
    """The function of activations, split by the same photos, gives the same cosines."""
    images, _ = planted(12)
    concepts = bank_of(patches, images)
    found = concepts.stability(n_splits=1, seed=3)
    rows = images.reshape(12, 6, CELL, 6, CELL, 3).transpose(0, 1, 3, 5, 2, 4).reshape(12 * 36, -1) / np.float32(255)
    split = int(np.random.default_rng(3).integers(2**63 - 1, size=1)[0])
    groups = np.repeat(np.arange(12), 36)

    class AsCraft(NMF):
        """With the tolerance that an extraction has."""

        def fit(self, activations, rank, **options):
            return super().fit(activations, rank, **(options | {"tolerance": 1e-4, "seed": 0}))

    wanted = stability(torch.from_numpy(rows), 3, AsCraft(), seed=split, groups=groups)
    np.testing.assert_allclose(found.halves, wanted.cosines, atol=1e-5)
    assert math.isnan(found.spread)
    assert found.spread_of_concepts.shape == (3,)


def test_spreads_and_means():
    halves = np.array([[1.0, 0.8], [0.6, 0.4]])
    found = BankStability(halves, np.stack([halves, halves + 0.0]), 10)
    assert found.mean == pytest.approx(0.7)
    assert found.smallest == 0.4
    assert found.spread == pytest.approx(np.std([0.9, 0.5], ddof=1))
    np.testing.assert_allclose(found.of_concepts, [0.8, 0.6])
    np.testing.assert_allclose(found.spread_of_concepts, np.std([[1, 0.8], [0.6, 0.4]] * 2, axis=0, ddof=1))
    assert "mean matched cosine 0.70 ± 0.28" in repr(found)


@pytest.mark.parametrize("fit_on", ["crops", "both"])
def test_crops_of_a_photo_stay_together(patches, fit_on):
    images, _ = planted(20)
    concepts = Craft(n_concepts=2, fit_on=fit_on, patch=12).run(patches, images, progress=False).on(patches)
    found = concepts.stability(n_splits=2)
    again = concepts.stability(n_splits=2)
    np.testing.assert_array_equal(found.halves, again.halves)  # nothing is remembered, nothing is left to chance
    assert not np.array_equal(found.halves, concepts.stability(n_splits=2, seed=1).halves)
    assert 0 < found.smallest <= found.mean <= 1 + 1e-9


@pytest.mark.parametrize("options", [{"extractor": "pca"}, {"extractor": "kmeans"}, {"n_concepts": "auto"}], ids=str)
def test_other_methods(patches, options):
    concepts = bank_of(patches, planted(20)[0], **options)
    found = concepts.stability(n_splits=2)
    assert found.found.shape == (2, 2, concepts.bank.rank)
    assert found.mean > 0.8


def test_own_photos_or_others_or_a_loaded_bank(patches, tmp_path):
    images, _ = planted(30)
    concepts = bank_of(patches, images)
    own = concepts.stability(n_splits=2)
    given = concepts.stability(list(images), n_splits=2)
    np.testing.assert_allclose(own.halves, given.halves, atol=1e-6)  # 8 bits lose nothing of these
    assert concepts.stability(list(planted(10, seed=5)[0]), n_splits=1).n_images == 10
    concepts.bank.save(tmp_path / "bank.safetensors")
    loaded = ConceptBank.load(tmp_path / "bank.safetensors").on(patches)
    with pytest.raises(ValueError, match="images: wanted the bank's photos"):
        loaded.stability()
    np.testing.assert_array_equal(loaded.stability(list(images), n_splits=2).halves, given.halves)


def test_photos_of_the_banks_class_are_divided(patches):
    images = list(planted(40)[0])
    classes = np.array([int(patches.predict(image).argmax()) for image in images])
    target = int(np.bincount(classes).argmax())
    concepts = Craft(n_concepts=3, fit_on="locations").run(patches, images, target=target, progress=False).on(patches)
    assert concepts.stability(images, n_splits=1).n_images == (classes == target).sum()


def test_as_a_job_that_is_stopped(patches):
    concepts = bank_of(patches, planted(20)[0])
    job = Job(lambda: stability_steps(concepts, n_splits=4))
    unwatch = job.watch(lambda job: job.record is not None and job.stop())
    part = job.wait(60)
    unwatch()
    assert job.state == "stopped"
    assert len(part.halves) == 1
    assert not part.complete
    assert "1 split so far" in repr(part)
    job.start()
    whole = job.wait(60)
    assert whole.complete
    np.testing.assert_array_equal(whole.halves[:1], part.halves)
    stages = [stage for stage, _ in itertools.groupby(step.stage for step in concepts.stability_steps(n_splits=1))]
    assert stages == ["images", "halves"]


def test_bad_input(patches, tmp_path):
    images, _ = planted(12)
    concepts = bank_of(patches, images)
    for option, value in (("n_splits", 0), ("n_splits", 2.5), ("seed", -1)):
        with pytest.raises((TypeError, ValueError), match=option):
            concepts.stability_steps(**{option: value})
    with pytest.raises(ValueError, match="images: wanted at least 2 of the bank's class to divide, got 1"):
        concepts.stability(list(images[:1]))
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    Image.fromarray(images[1]).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 of 3 photos could not be read and was left out"):
        found = concepts.stability(tmp_path, n_splits=1)
    assert list(found.unreadable) == ["c"]


def test_parts_of_a_split_concept_are_refused(model, photos):
    bank = Craft(n_concepts=1, fit_on="locations").run(model, photos, progress=False)
    parts = ConceptBank(**{n: getattr(bank, n) for n in bank.__dataclass_fields__} | {"parent": ("key", 0)})
    with pytest.raises(ValueError, match="bank: wanted one that Craft has extracted, got the parts"):
        parts.on(model).stability()


def test_tench_on_the_real_network(model, shared_photos):
    """Three concepts of 24 tench from whole images: halves agree well; twelve agree less."""
    root = shared_photos[0].parents[1] / "imagenette" / "000_tench"
    if not root.is_dir():
        pytest.skip("no shared photos of classes")
    images = sorted(root.iterdir())[:24]
    means = {}
    for rank in (3, 12):
        craft = Craft(n_concepts=rank, fit_on="locations")
        found = craft.run(model, images, target="tench", progress=False).on(model).stability(n_splits=3)
        assert found.halves.shape == (3, rank)
        assert 0 < found.spread < 0.2
        assert found.of_concepts.mean() > found.mean  # a half and the whole share photos
        means[rank] = found.mean
    assert 1 > means[3] > means[12] > 0.5
