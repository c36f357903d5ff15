"""The whole way from images to a bank where it bends: folders, one logit, odd outputs, each way to factorise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import whatwhere as ww
from whatwhere.concepts import _gathering
from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.extractors import EXTRACTORS, NMF, TopKSAE
from whatwhere.concepts.importance import shares_of
from whatwhere.concepts.photos import count_images
from whatwhere.engine import pacing
from whatwhere.engine.encoder import Encoder

EXACT = ("nmf", "semi_nmf", "convex_nmf")


def head(classes):
    body = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU())
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, classes))


@pytest.mark.parametrize("kind", EXTRACTORS)
def test_each_extractor_from_images_to_a_file_and_back(small, pictures, extract, tmp_path, kind):
    model, images = small(), pictures(12)
    bank = extract(model, images, extractor=kind)
    bank.save(tmp_path / "bank.safetensors")
    again = ConceptBank.load(tmp_path / "bank.safetensors").on(model)
    assert again.encode(images) == pytest.approx(bank.codes, abs=1e-6)
    assert again.maps(images[0], "codes").values == pytest.approx(np.moveaxis(bank.codes[0], -1, 0), abs=1e-4)
    assert again.maps(images[0], "occlusion").values.shape[0] == 3
    if kind in EXACT:
        assert again.maps(images[0]).values.any()
    else:
        with pytest.raises(ValueError, match=rf"method: wanted 'codes' or masks, .* since codes of '{kind}'"):
            again.maps(images[0])


def test_an_autoencoder_with_as_many_concepts_as_channels(small, pictures, extract):
    """Its mean has the length of a concept's axis, but is of the channels."""
    model, images = small(), pictures(12)
    bank = extract(model, images, n_concepts=12, extractor=TopKSAE(active=4))
    assert bank.on(model).encode(images) == pytest.approx(bank.codes, abs=1e-5)
    flipped = bank.take(np.arange(12)[::-1])
    assert flipped.on(model).encode(images) == pytest.approx(bank.codes[..., ::-1], abs=1e-5)


def test_an_extractor_of_ones_own_is_not_saved_as_what_nobody_can_read(small, pictures, extract, tmp_path):
    @dataclass(frozen=True)
    class Mine(NMF):
        name: ClassVar[str] = "mine"

    bank = extract(small(), pictures(), extractor=Mine())
    with pytest.raises(ValueError, match="method: wanted one of the extractors"):
        bank.save(tmp_path / "bank.safetensors")
    assert not list(tmp_path.iterdir())


# -- how far it is ----------------------------------------------------------------------------------------------------


def test_a_folder_counts_as_its_images(small, pictures, tmp_path):
    """Not as the letters of its path."""
    folder = tmp_path / "a folder whose name is long"
    folder.mkdir()
    for k, picture in enumerate(pictures(6)):
        Image.fromarray((picture * 255).astype(np.uint8)).save(folder / f"{k}.png")
    totals = {step.total for step in Craft(n_concepts=3).steps(small(), str(folder))}
    assert totals == {6 * 17}
    assert {step.total for step in Craft(n_concepts=3).steps(small(), folder)} == totals


def test_count_images(pictures):
    images = pictures(3)
    assert count_images(images) == count_images(np.stack(images)) == count_images(dict(enumerate(images))) == 3
    assert count_images(images[0]) == 1  # not its rows
    assert count_images(iter(images)) == 0


# -- what the logits are ----------------------------------------------------------------------------------------------


def test_one_logit_is_predicted_by_its_sign(small, pictures, extract):
    model, images = small(head(1)), pictures(16)
    logits = np.array([float(model.net(model.to_input(image)).detach()) for image in images])
    with torch.no_grad():
        model.source_net[3].bias -= float(np.median(logits))
    logits -= np.median(logits)
    bank = extract(model, images, target=0)
    assert bank.images == tuple(f"image {k + 1}" for k in np.flatnonzero(logits > 0))
    assert bank.quality.n_left_out == (logits <= 0).sum() == 8
    mixed = extract(model, images, n_concepts=1)
    rebuilt = mixed.bases + mixed.contributions.sum(axis=1)
    assert 0 < mixed.quality.agreement < 1
    assert mixed.quality.agreement == pytest.approx(((rebuilt > 0) == (mixed.logits > 0)).mean())


def test_a_softmax_in_the_output_is_not_called_exact(small, pictures, extract):
    model = small(output=lambda out: 5 * out.log_softmax(dim=1))
    bank = extract(model, pictures())
    assert not bank.affine
    assert "Sobol" in bank.importance_method
    total = bank.bases + bank.contributions.sum(axis=1) + bank.residuals
    assert total == pytest.approx(bank.logits, abs=1e-3)
    asked = extract(model, pictures(), importance="contribution")
    assert "by integrated gradients" in asked.importance_method


# -- errors of shares -------------------------------------------------------------------------------------------------


def test_errors_of_shares_are_those_of_simulated_estimates():
    rng = np.random.default_rng(0)
    values = np.array([0.6, 0.3, 0.1])
    root = 0.004 * rng.standard_normal((3, 3)) + 0.004  # what errs together cancels in the shares
    drawn = values + rng.standard_normal((200_000, 3)) @ root.T
    wanted = (drawn / drawn.sum(axis=1, keepdims=True)).std(axis=0)
    share, error = shares_of(values, root @ root.T)
    assert share == pytest.approx(values, abs=1e-6)
    assert error == pytest.approx(wanted, rel=0.05)


def test_the_share_of_a_single_concept_is_certain():
    share, error = shares_of(np.array([0.8]), np.array([[0.04]]))
    assert share.tolist() == [1]
    assert error == pytest.approx([0], abs=1e-7)


def test_shares_of_nothing_are_equal_and_unknown():
    share, error = shares_of(np.zeros(4), np.zeros((4, 4)))
    assert share.tolist() == [0.25] * 4
    assert np.isinf(error).all()


def test_a_head_of_zeros_is_said_to_weigh_nothing(small, pictures, extract):
    """As of a network whose head has not been trained yet: still at the layer that it would be looked at."""
    model = small()
    with torch.no_grad():
        model.source_net[3].weight.zero_()
    bank = extract(model, pictures())
    assert bank.layer.name == extract(small(), pictures()).layer.name
    assert bank.importance == pytest.approx(np.full(3, 1 / 3))
    assert any(said.startswith("No concept moves the logit") for said in bank.caveats())


# -- the size of batches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit_on", ["crops", "locations"])
def test_a_script_runs_larger_batches_where_they_are_faster_and_finds_the_same(small, pictures, monkeypatch, fit_on):
    """Somebody who watches is never made to wait for more than the plan's batch."""
    sizes = []
    plain = Encoder._timed
    monkeypatch.setattr(Encoder, "_timed", lambda self, run, x: sizes.append(len(x)) or plain(self, run, x))
    monkeypatch.setattr(ww.VisionModel, "fixed", False)  # as if nobody had set its batch size
    monkeypatch.setattr(_gathering, "_PACED_FROM", 0)
    monkeypatch.setattr(pacing, "_GAIN", float("inf"))  # whatever is tried is taken
    method, images = Craft(n_concepts=3, fit_on=fit_on), pictures(60)
    *_, watched = method.steps(small(), images)
    assert set(sizes) == {4}
    sizes.clear()
    bank = method.run(small(), images, progress=False)
    assert {4, 8, 16} <= set(sizes)
    assert "16 images a batch" in bank.provenance.plan
    assert "4 images a batch" in watched.record.provenance.plan
    assert np.abs(bank.W - watched.record.W).max() < 1e-4
    assert bank.codes == pytest.approx(watched.record.codes, abs=1e-3 * float(bank.codes.max()))


def test_short_runs_are_the_same_bit_for_bit(small, pictures, monkeypatch):
    """Their batches are the plan's, whatever the clock says."""
    monkeypatch.setattr(ww.VisionModel, "fixed", False)
    monkeypatch.setattr(pacing, "_GAIN", float("inf"))
    bank = Craft(n_concepts=3, fit_on="crops").run(small(), pictures(12), progress=False)
    assert "4 images a batch" in bank.provenance.plan
