"""Splitting a concept at an earlier layer: planted parts come back, and what is taken away is told."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.tree import ConceptTree
from whatwhere.jobs import Job

SIDE = 56  # of photos; crops are 16 pixels


class Planted(nn.Module):
    """Detectors of colours, F1 red, F2 green and F3 blue; then a layer with F1 + F2 and F3 as its two features."""

    def __init__(self):
        super().__init__()
        self.eyes = nn.Sequential(nn.Conv2d(3, 5, 4, stride=4, bias=False), nn.ReLU())
        self.early = nn.Sequential(nn.Conv2d(5, 3, 1, bias=False), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU())
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            self.eyes[0].weight[:3] = torch.eye(3)[:, :, None, None] / 16
            self.eyes[0].weight[3:] = torch.tensor([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]])[:, :, None, None] / 16
            self.early[0].weight[:] = torch.eye(3, 5)[:, :, None, None]
            self.late[0].weight[:] = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])[:, :, None, None]
            self.head.weight[:] = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
            self.head.bias[:] = 0.5

    def forward(self, x):
        return self.head(self.late(self.early(self.eyes(x))).mean(dim=(2, 3)))


def painted(colours, count=24, seed=0):
    """Photos with one patch of each of two colours, drawn from those given, at places that windows hold whole."""
    rng = np.random.default_rng(seed)
    photos = {}
    for n in range(count):
        photo = np.zeros((SIDE, SIDE, 3), dtype=np.float32)
        places = rng.permutation(4)[:2]
        for place, colour in zip(places, (colours[n % len(colours)], 2), strict=True):
            top, left = (place // 2) * 40, (place % 2) * 40
            photo[top + 4 : top + 12, left + 4 : left + 12, colour] = 0.5 + 0.5 * rng.random()
        photos[f"photo {n}"] = photo
    return photos


def planted_model():
    preprocess = ww.Preprocess(resize=SIDE, crop=(SIDE, SIDE), mean=(0.0,) * 3, std=(1.0,) * 3)
    model = ww.VisionModel(Planted().eval(), preprocess=preprocess, name="planted", device="cpu")
    model.batch_size = 8
    return model


@pytest.fixture(scope="module")
def planted():
    model = planted_model()
    bank = Craft(n_concepts=2, layer="late", patch=16).run(model, painted((0, 1)), target=0, progress=False)
    return model, bank


@pytest.fixture(scope="module")
def parts(planted):
    model, bank = planted
    return bank.on(model).split(mixed(bank), n_concepts=2)


def mixed(bank):
    """Row of the concept that is F1 + F2."""
    return int(bank.W[:, 0].argmax())


def test_both_planted_parts_come_back(planted, parts):
    """The parts are F1 and F2, and F3 is none of them."""
    _, bank = planted
    assert bank.W[mixed(bank)] == pytest.approx([1, 0], abs=1e-3)
    assert parts.layer.name == "early"
    order = np.argsort(parts.W[:, 1])
    assert parts.W[order] == pytest.approx(np.eye(3)[:2], abs=1e-3)
    assert parts.parent == (bank.key, bank.ids[mixed(bank)])
    assert parts.complete


def test_the_crops_of_the_parts_are_apart(parts):
    """Each part is shown by crops of its own colour, and no photo shows both."""
    images = [{crop.image for crop in crops} for crops in parts.crops]
    assert all(images)
    assert not images[0] & images[1]
    for k, crops in enumerate(parts.crops):
        colour = int(parts.W[k].argmax())
        for crop in crops:
            means = crop.picture.reshape(-1, 3).mean(axis=0)
            assert means.argmax() == colour
            assert means[1 - colour] == 0
            assert f"photo {int(parts.images[crop.image].split()[1])}" == parts.images[crop.image]


def test_codes_show_where_a_part_is(parts):
    """Location codes of the photos, at the earlier layer's grid, are those of the colours."""
    for n, codes in enumerate(parts.codes):
        pixels = parts.source.pixels(n).astype(np.float32) / 255
        cells = pixels.reshape(SIDE // 4, 4, SIDE // 4, 4, 3).mean(axis=(1, 3))
        assert codes == pytest.approx(cells @ parts.W.T, abs=1e-2)


def test_effects_add_up_where_the_network_is_additive(parts):
    """Taking F1 away takes from the code what F1 is: no residual, no interaction."""
    assert parts.importance.sum() == pytest.approx(1, abs=1e-6)
    assert parts.bases == pytest.approx(0.5, abs=1e-5)  # the bias
    assert parts.gaps == pytest.approx(0, abs=1e-4)
    assert (
        np.abs(parts.bases + parts.contributions.sum(axis=1) + parts.residuals + parts.gaps - parts.logits).max() < 1e-5
    )
    assert parts.contribution == pytest.approx(parts.contributions.mean(axis=0))
    # Of a linear network with logit 2 u: the effect on the logit is twice that on the code, but for F3.
    assert parts.contributions == pytest.approx(2 * parts.effects, abs=1e-4)
    share = np.abs(parts.effects).mean(axis=0) / np.abs(parts.effects).mean(axis=0).sum()
    assert parts.importance == pytest.approx(share, abs=1e-5)
    # Each photo has one of the two.
    assert np.minimum(*parts.effects.T) == pytest.approx(0, abs=1e-5)
    assert (parts.effects.max(axis=1) > 0.02).all()
    said = parts.importance_method
    assert "the parts together hold 100%, what they miss 0%, a layer of nothing 0%" in said


def test_effects_against_crops_run_by_hand(planted, parts):
    """A second route: crops cut and enlarged here, features zeroed in their channel, the mean of the late layer."""
    model, bank = planted
    net = model.source_net
    codes = {}
    for n, name in enumerate(bank.images):
        image = torch.from_numpy(bank.source.pixels(n).astype(np.float32) / 255).permute(2, 0, 1)[None]
        for top in (0, 13, 27, 40):
            for left in (0, 13, 27, 40):
                crop = image[..., top : top + 16, left : left + 16]
                early = net.early(net.eyes(nn.functional.interpolate(crop, (SIDE, SIDE), mode="bilinear"))).detach()
                codes[name, top, left] = early.mean(dim=(0, 2, 3)).numpy()
    mean = np.array(list(codes.values()))
    u = mean[:, 0] + mean[:, 1]
    limit = np.sort(u)[::-1][20 - 1]  # ten a part
    assert (u > np.quantile(u[u > 0], 0.9)).sum() <= 20
    of_photo = {
        name: [v for (m, *_), v in codes.items() if m == name and v[0] + v[1] >= limit - 1e-7] for name in bank.images
    }
    assert set(parts.images) == {name for name, values in of_photo.items() if values}
    for j in range(2):
        colour = int(parts.W[j].argmax())
        wanted = [np.mean([v[colour] for v in of_photo[name]]) for name in parts.images]
        assert parts.effects[:, j] == pytest.approx(wanted, abs=1e-4)


def test_a_part_works_on_any_photo(planted, parts):
    """Codes and contributions at the earlier layer, as of any bank."""
    model, _ = planted
    photo = painted((1,), 1, seed=9)["photo 0"]
    on = parts.on(model)
    codes = on.encode(photo)
    green = int(parts.W[:, 1].argmax())
    assert codes[..., green].max() > 0.4
    assert codes[..., 1 - green].max() < 1e-3
    shared = on.contributions(photo, target=0)
    assert float(shared.concepts[0, green]) > 0
    assert float(shared.base[0] + shared.concepts.sum() + shared.residual[0] + shared.gap[0]) == pytest.approx(
        float(logit_of(model, photo)), abs=1e-4
    )


def logit_of(model, photo):
    with torch.no_grad():
        return model.source_net(torch.from_numpy(photo).permute(2, 0, 1)[None])[0, 0]


def test_same_seed_same_parts(planted, parts):
    """To the bit, and nothing of the user's network changes."""
    model, bank = planted
    before = {name: value.clone() for name, value in model.source_net.state_dict().items()}
    again = bank.on(model).split(mixed(bank), n_concepts=2)
    for name in ("W", "importance", "contribution", "codes", "effects", "logits"):
        assert np.array_equal(getattr(again, name), getattr(parts, name)), name
    assert all(torch.equal(value, before[name]) for name, value in model.source_net.state_dict().items())
    assert not any(module._forward_hooks for module in model.source_net.modules())
    assert not any(module._forward_hooks for module in model.net.modules())


def test_parts_do_not_depend_on_the_batch_size(planted, parts):
    """But for rounding."""
    _, bank = planted
    other = planted_model()
    other.batch_size = 3
    again = bank.on(other).split(mixed(bank), n_concepts=2)
    assert again.effects == pytest.approx(parts.effects, abs=1e-5)
    assert again.contributions == pytest.approx(parts.contributions, abs=1e-5)


def test_saved_and_read_again(planted, parts, tmp_path):
    """Parent and effects stay; splitting what was read needs the photos."""
    model, bank = planted
    parts.save(tmp_path / "parts.safetensors")
    read = type(parts).load(tmp_path / "parts.safetensors")
    assert read.parent == parts.parent
    assert np.array_equal(read.effects, parts.effects)
    assert read.importance_method == parts.importance_method
    bank.save(tmp_path / "bank.safetensors")
    again = type(bank).load(tmp_path / "bank.safetensors")
    with pytest.raises(ValueError, match="images: wanted the bank's photos"):
        again.on(model).split(mixed(bank))
    photos = painted((0, 1))
    sub = again.on(model, images=photos).split(mixed(bank), n_concepts=2)
    assert pytest.approx(parts.W, abs=1e-6) == sub.W
    assert sub.parent == parts.parent


def test_one_of_the_parts_alone(parts):
    """`take` keeps effects and parts together."""
    one = parts.take([1])
    assert np.array_equal(one.effects[:, 0], parts.effects[:, 1])


def test_a_signed_layer(planted):
    """Semi-NMF where features have both signs; here the same directions."""
    model, bank = planted
    sub = bank.on(model).split(mixed(bank), n_concepts=2, layer="early.0")
    assert sub.layer.name == "early.0"
    assert (np.abs(sub.W[:, :2]).max(axis=1) > 0.9).all()
    assert sub.gaps == pytest.approx(0, abs=1e-2)


def test_fewer_crops_than_asked_for_are_told(planted):
    """The quantile is lowered, then there are fewer parts; both are said."""
    model, bank = planted
    sub = bank.on(model).split(mixed(bank), n_concepts=30, quantile=0.99)
    assert sub.rank < 30
    assert "lowered from 0.99" in sub.importance_method
    assert "fewer parts than asked for" in sub.importance_method


def test_too_few_crops(planted):
    """What is missing is said."""
    model, _ = planted
    few = painted((0, 1), 2)
    small = Craft(n_concepts=2, layer="late", patch=16).run(model, few, target=0, progress=False)
    with pytest.raises(
        ValueError, match=r"a split into 2 parts needs 20 crops that show concept \d, the bank's 2 photos have"
    ):
        small.on(model).split(mixed(small))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"k": 2}, r"k: wanted an integer from 0 to 1, got 2"),
        ({"k": -1}, r"k: wanted an integer from 0 to 1, got -1"),
        ({"n_concepts": 1}, r"n_concepts: wanted an integer from 2"),
        ({"quantile": 1.0}, r"quantile: wanted a number above 0 and below 1"),
        ({"seed": -1}, r"seed: wanted an integer from 0"),
        ({"layer": "late"}, r"layer: wanted one before 'late', where the concepts are; 'late' is that layer"),
        ({"layer": "late.1"}, r"layer: 'late.1' puts out the very features of 'late'"),
        ({"layer": "head"}, r"layer: wanted one before 'late'.*'head' lies behind it. The nearest before: 'late.1'"),
        ({"layer": "nowhere"}, r"layer: no layer is called 'nowhere'"),
    ],
)
def test_what_cannot_be_asked_for(planted, options, said):
    """At once, before any forward."""
    model, bank = planted
    with pytest.raises(ValueError, match=said):
        bank.on(model).split_steps(**({"k": 0} | options))
    with pytest.raises(TypeError, match="k: wanted an integer, got str"):
        bank.on(model).split_steps("a")


def test_a_layer_that_is_gone_round(untrained):
    """Inside a residual block there is no cut; the message names the nearest layers."""
    model = ww.VisionModel(untrained("resnet18"), input_size=64, mean=(0.5,) * 3, std=(0.5,) * 3, device="cpu")
    rng = np.random.default_rng(0)
    photos = {str(n): rng.random((64, 64, 3), dtype=np.float32) for n in range(3)}
    bank = Craft(n_concepts=2, layer="layer4", fit_on="locations").run(model, photos, progress=False)
    on = bank.on(model)
    with pytest.raises(ValueError, match=r"layer: 'layer3.1.conv1' cannot be cut.*nearest layers that can"):
        on.split_steps(0, layer="layer3.1.conv1")


def test_a_dead_concept(planted):
    """There is nothing to split."""
    model, bank = planted
    weights = bank.W.copy()
    weights[1] = 0
    dead = dataclasses.replace(bank, W=weights)
    with pytest.raises(ValueError, match=r"k: concept 1 of the bank is dead"):
        dead.on(model).split_steps(1)


def test_a_network_trained_meanwhile():
    """Directions of old weights are not looked for in new ones."""
    model = planted_model()
    bank = Craft(n_concepts=2, layer="late", patch=16).run(model, painted((0, 1)), target=0, progress=False)
    on = bank.on(model)
    with torch.no_grad():
        model.source_net.head.bias += 1
    with pytest.raises(ValueError, match="model: wanted the network that the concepts came from"):
        on.split_steps(0)


def test_stopped_on_the_way(planted):
    """A generator that is closed holds nothing; stages come in order, and a preview before the effects."""
    model, bank = planted
    steps = bank.on(model).split_steps(mixed(bank), n_concepts=2)
    seen, previews = [], 0
    for step in steps:
        seen.append(step.stage)
        assert step.done <= step.total
        if step.record is not None and not step.record.complete:
            previews += 1
            assert step.record.contribution is None
            assert step.record.importance.sum() == pytest.approx(1)
            assert step.record.describe()
        assert not any(module._forward_hooks for module in model.net.modules())
        assert not torch.is_inference_mode_enabled()
        if step.stage == "importance":
            steps.close()
            break
    assert list(dict.fromkeys(seen)) == ["crops", "parts", "concepts", "codes", "importance"]
    assert previews


def test_as_a_job(planted, parts):
    """On the worker thread."""
    model, bank = planted
    job = Job(lambda: bank.on(model).split_steps(mixed(bank), n_concepts=2), device="cpu", name="split")
    assert np.array_equal(job.wait(60).W, parts.W)


def test_parts_of_parts(planted):
    """A split concept is split like any other, as far as there is a layer before and crops that show it."""
    model, _ = planted
    bank = Craft(n_concepts=2, layer="late", patch=16).run(model, painted((0, 1), count=60), target=0, progress=False)
    parts = bank.on(model).split(mixed(bank), n_concepts=2, quantile=0.01)
    sub = parts.on(model).split(0, n_concepts=2)
    assert sub.layer.name == "eyes"
    assert sub.parent == (parts.key, parts.ids[0])
    assert set(sub.images) <= set(parts.images)
    with pytest.raises(ValueError, match="layer: before 'eyes' there is no layer"):
        sub.on(model).split(0)


@pytest.fixture(scope="module")
def told(planted):
    model, bank = planted
    return bank.on(model).ambiguity()


def test_the_concept_of_two_parts_is_proposed(planted, told):
    """F1 + F2 is, F3 is not."""
    _, bank = planted
    both, alone = told[mixed(bank)], told[1 - mixed(bank)]
    assert both.proposed
    assert both.gain > 0.9
    assert both.silhouette > 0.9
    assert not alone.proposed
    assert (both.layer, both.concept, both.id) == ("early", mixed(bank), bank.ids[mixed(bank)])
    assert both.n_crops >= 20
    assert min(both.stability, alone.stability) > 0.99
    assert "proposed where" in both.rule


def test_a_concept_of_one_part_is_not(planted):
    """The same network, where nothing is ever green."""
    model, _ = planted
    bank = Craft(n_concepts=2, layer="late", patch=16).run(model, painted((0,)), target=0, progress=False)
    assert not any(told.proposed for told in bank.on(model).ambiguity())


def test_ambiguity_step_by_step(planted, told):
    """Stages in order, concepts one after the other, the same numbers again, and a stop on the way."""
    model, bank = planted
    steps = list(bank.on(model).ambiguity_steps())
    assert list(dict.fromkeys(step.stage for step in steps)) == ["crops", "halves", "parts", "concepts"]
    assert steps[-1].record == told
    assert steps[-1].done == steps[-1].total
    assert any(step.record is not None and len(step.record) == 1 for step in steps)
    going = bank.on(model).ambiguity_steps()
    next(going)
    going.close()


def test_ambiguity_of_few_photos_and_of_locations(planted):
    """No halves of two photos; a bank that was fitted on locations is fitted on them again."""
    model, _ = planted
    few = Craft(n_concepts=2, layer="late", patch=16).run(model, painted((0, 1), 3), target=0, progress=False)
    assert few.on(model).ambiguity()[0].stability is None
    options = {"n_concepts": 2, "layer": "late", "patch": 16}
    for fit_on in ("locations", "both"):
        bank = Craft(**options, fit_on=fit_on).run(model, painted((0, 1)), target=0, progress=False)
        assert bank.on(model).ambiguity()[mixed(bank)].proposed


def test_ambiguity_of_a_dead_concept(planted):
    """Nothing shows it, and nothing is made up."""
    model, bank = planted
    weights = bank.W.copy()
    weights[1 - mixed(bank)] = 0
    dead = dataclasses.replace(bank, W=weights).on(model).ambiguity()[1 - mixed(bank)]
    assert (dead.n_crops, dead.gain, dead.silhouette, dead.proposed) == (0, None, None, False)
    with pytest.raises(ValueError, match="quantile: wanted a number above 0"):
        bank.on(model).ambiguity(quantile=2)
    with pytest.raises(ValueError, match="layer: wanted one before 'late'"):
        bank.on(model).ambiguity(layer="head")


def test_a_real_network(model, shared_photos, tmp_path):
    """Tench: a bank of an earlier layer that is a bank in all respects, and the network as it was."""
    folder = shared_photos[0].parents[1] / "imagenette" / "000_tench"
    files = sorted(folder.glob("*.JPEG"))[:12]
    if not files:
        pytest.skip("the shared photographs of tenches are not on this machine")
    photos = {file.stem: file for file in files}
    bank = Craft(n_concepts=3, fit_on="locations").run(model, photos, target="tench", progress=False)
    before = model.fingerprint()
    on = bank.on(model)
    k = int(bank.codes.mean(axis=(0, 1, 2)).argmax())  # what most crops show
    sub = on.split(k, n_concepts=2)
    assert sub.layer.name == "features.7"
    assert sub.importance.sum() == pytest.approx(1, abs=1e-5)
    assert np.isfinite(sub.effects).all()
    assert all(len(crops) for crops in sub.crops)
    assert np.linalg.norm(sub.W, axis=1) == pytest.approx(1, abs=1e-5)
    assert sub.bases + sub.contributions.sum(axis=1) + sub.residuals + sub.gaps == pytest.approx(sub.logits, abs=1e-3)
    assert model.fingerprint() == before
    again = sub.on(model).encode(photos[sub.images[0]])
    assert again == pytest.approx(sub.codes[0], abs=0.02 * float(sub.codes.max()))  # photos are kept in 8 bits
    tree = ConceptTree(bank).add(sub)
    tree.save(tmp_path / "tree.zip")
    assert str(ConceptTree.load(tmp_path / "tree.zip")) == str(tree)
    assert len(tree) == 2
