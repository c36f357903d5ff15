"""The whole way from images to a bank and back: repeatable, stoppable, and no image depends on its neighbours."""

from __future__ import annotations

import threading
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.craft import Craft

ARRAYS = ("W", "importance", "contribution", "codes", "logits", "contributions", "residuals", "bases", "gaps")
LOCATIONS = Craft(n_concepts=3, fit_on="locations")


def assert_same(first, second, *, but=("provenance", "source")):
    for field in fields(ConceptBank):
        if field.name in but:
            continue
        one, other = getattr(first, field.name), getattr(second, field.name)
        if field.name == "crops":
            assert_same_crops(one, other)
        elif isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other, err_msg=field.name)
            assert one.dtype == other.dtype, field.name
        elif field.name == "encoder":
            assert one.keys() == other.keys()
        elif field.name == "class_names":
            assert list(one) == list(other)
        else:
            assert one == other, field.name


def assert_same_crops(one, other):
    assert [len(crops) for crops in one] == [len(crops) for crops in other]
    for a, b in zip((c for crops in one for c in crops), (c for crops in other for c in crops), strict=True):
        assert (a.image, a.box, a.activation) == (b.image, b.box, b.activation)
        np.testing.assert_array_equal(a.picture, b.picture)


@pytest.fixture(scope="module")
def made(small, pictures):
    """A network, its images by name, and their bank."""
    model = small()
    images = {f"p{k}": picture for k, picture in enumerate(pictures(12))}
    return model, images, LOCATIONS.run(model, images, progress=False)


# -- what a bank is ---------------------------------------------------------------------------------------------------


def test_the_contract(made):
    model, images, bank = made
    assert bank.W.shape == (3, 12)
    assert np.linalg.norm(bank.W, axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    assert (bank.W >= 0).all()
    assert bank.codes.shape == (12, 6, 6, 3)
    assert (bank.codes >= 0).all()
    assert bank.images == tuple(images)
    assert bank.predictions.tolist() == [int(model.predict(image).argmax()) for image in images.values()]
    assert bank.complete
    assert bank.quality.n_images == 12
    assert bank.quality.n_rows == 12 * 36
    assert bank.quality.n_left_out == 0
    assert bank.layer.name == "0"
    assert np.asarray(bank) == pytest.approx(bank.W)
    for name in ARRAYS:
        assert not getattr(bank, name).flags.writeable, name
        assert np.isfinite(getattr(bank, name)).all(), name


def test_the_error_told_is_that_of_the_features(made):
    """The layer's features, by the network's own modules, against codes times directions."""
    model, images, bank = made
    with torch.no_grad():
        batch = torch.cat([model.to_input(image) for image in images.values()])
        features = model.net[0](batch).permute(0, 2, 3, 1).double().numpy()
    missed = features - bank.codes.astype(np.float64) @ bank.W
    relative = np.linalg.norm(missed) / np.linalg.norm(features)
    assert bank.quality.error_locations == pytest.approx(relative, rel=1e-4)
    assert bank.quality.error == pytest.approx(relative, rel=0.02)  # codes of the fit, before their exact solution
    assert bank.quality.sparsity == pytest.approx((bank.codes == 0).mean())


def test_agreement_is_that_of_the_rebuilt_features(made):
    model, images, bank = made
    with torch.no_grad():
        rebuilt = torch.from_numpy(bank.codes @ bank.W).permute(0, 3, 1, 2).contiguous()
        logits = model.net[3](model.net[2](model.net[1](rebuilt))).numpy()
    assert bank.quality.agreement == pytest.approx((logits.argmax(axis=1) == bank.predictions).mean())
    got = logits[np.arange(12), bank.predictions]
    assert bank.quality.r2 == pytest.approx(1 - ((bank.logits - got) ** 2).sum() / (12 * bank.logits.var()), abs=1e-4)
    del images


def test_only_images_predicted_as_the_class_are_explained(made, extract):
    model, images, bank = made
    target = int(np.bincount(bank.predictions).argmax())
    of_class = [name for name, p in zip(bank.images, bank.predictions, strict=True) if p == target]
    assert 3 <= len(of_class) < 12, "the network should see more than one class"
    explained = extract(model, images, target=target)
    assert explained.images == tuple(of_class)
    assert explained.quality.n_left_out == 12 - len(of_class)
    assert explained.target == target
    by_name = extract(model, images, target=f"class {target}")
    assert_same(explained, by_name)
    assert_same(
        explained,
        extract(model, {name: images[name] for name in of_class}, target=target),
        but=("provenance", "source", "quality"),
    )


def test_planted_concepts_come_back(small):
    """A layer of four channels a colour, and pictures of mixed light: concepts are the colours, codes are the light."""
    model = small()
    with torch.no_grad():
        weight, bias = model.source_net[0][0].weight, model.source_net[0][0].bias
        weight.zero_()
        bias.zero_()
        strengths = torch.tensor([[1.0, 2, 0, 1], [2, 0, 1, 1], [0, 1, 1, 3]])
        for colour in range(3):
            weight[4 * colour : 4 * colour + 4, colour] = strengths[colour, :, None, None] / 16
    rng = np.random.default_rng(0)
    light = rng.random((12, 6, 6, 3)) * (rng.random((12, 6, 6, 3)) < 0.4)
    images = [np.kron(one, np.ones((4, 4, 1))).astype(np.float32) for one in light]
    bank = LOCATIONS.run(model, images, progress=False)
    wanted = np.kron(np.eye(3), np.ones(4)) * strengths.flatten().numpy()
    norms = np.linalg.norm(wanted, axis=1)
    colour_of = (bank.W @ wanted.T).argmax(axis=1)
    assert sorted(colour_of) == [0, 1, 2]
    units = (wanted / norms[:, None])[colour_of]
    np.testing.assert_allclose(bank.W, units, atol=2e-3)
    assert bank.codes == pytest.approx((light * norms)[..., colour_of], abs=1e-2)
    assert bank.quality.error < 5e-3


# -- repeating --------------------------------------------------------------------------------------------------------


def test_same_seed_same_arrays(made):
    model, images, bank = made
    assert_same(bank, LOCATIONS.run(model, images, progress=False))


def test_the_batch_size_does_not_matter(made, small):
    _, images, bank = made
    for size in (1, 5, 12):
        again = LOCATIONS.run(small(batch_size=size), images, progress=False)
        for name in ARRAYS:
            assert getattr(again, name) == pytest.approx(getattr(bank, name), abs=1e-4), (name, size)


@pytest.mark.parametrize("fit_on", ["locations", "crops", "both"])
def test_the_order_of_images_does_not_matter(made, extract, fit_on):
    """The same concepts up to order; rows of codes go with their images."""
    model, images, _ = made
    names = list(np.random.default_rng(0).permutation(list(images)))
    first, second = (extract(model, {n: images[n] for n in order}, fit_on=fit_on) for order in (images, names))
    cosines = first.W @ second.W.T
    partner = cosines.argmax(axis=1)
    assert sorted(partner) == [0, 1, 2]
    assert cosines.max(axis=1) == pytest.approx(np.ones(3), abs=2e-3)
    place = [second.images.index(n) for n in first.images]
    scale = first.codes.max()
    assert second.codes[place][..., partner] / scale == pytest.approx(first.codes / scale, abs=0.05)


def test_run_is_the_end_of_stream_and_of_a_job(made):
    model, images, bank = made
    streamed = list(LOCATIONS.stream(model, images))
    assert_same(bank, streamed[-1])
    assert all(one.rank == 3 for one in streamed)
    job = LOCATIONS.submit(model, images)
    assert job.state == "idle"
    assert_same(bank, job.wait(timeout=60))


def test_ids_stay_while_a_fit_goes_on(made):
    model, images, _ = made
    for before, after in zip(banks := list(LOCATIONS.stream(model, images)), banks[1:], strict=False):
        assert sorted(before.ids) == sorted(after.ids)
        for k in before.ids:
            a, b = before.W[before.number_of(k)], after.W[after.number_of(k)]
            assert float(a @ b) > 0.5


def test_ids_stay_from_fit_to_fit(made, extract):
    """On half the images and in another order, concepts that are the same keep their ids."""
    model, images, bank = made
    renamed = replace(bank, ids=(7, 3, 5))
    some = {name: images[name] for name in reversed(list(images)[:9])}
    again = extract(model, some, like=renamed)
    cosines = again.W @ renamed.W.T
    assert cosines.max(axis=1).min() > 0.95, "the concepts of most of the images are those of all"
    assert list(again.ids) == [renamed.ids[k] for k in cosines.argmax(axis=1)]
    assert sorted(again.ids) == [3, 5, 7]
    more = extract(model, images, n_concepts=5, like=renamed)
    assert len(set(more.ids)) == 5
    assert {i for i in more.ids if i not in renamed.ids} <= set(range(8, 20))


def test_number_of(made):
    bank = made[2]
    assert [bank.number_of(i) for i in bank.ids] == [0, 1, 2]
    with pytest.raises(KeyError, match="concept_id"):
        bank.number_of(99)


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_a_job_stopped_in_the_middle_of_the_fit_leaves_a_bank_that_works(made):
    """The directions so far, said to be unfinished; photos can be encoded with them; starting again finishes."""
    model, images, bank = made
    job = LOCATIONS.submit(model, images)
    previewed = threading.Event()

    def stop_at_first_record(job):
        if job.record is not None and not previewed.is_set():
            previewed.set()
            job.stop()

    job.watch(stop_at_first_record)
    early = job.wait(timeout=60)
    assert job.state == "stopped"
    assert not early.complete
    assert early.W.shape == (3, 12)
    assert early.contribution is None
    assert "not finished" in repr(early)
    concepts = early.on(model)
    codes = concepts.encode(images)
    assert codes.shape == (12, 6, 6, 3)
    assert np.isfinite(codes).all()
    assert codes.max() > 0
    shared = concepts.contributions(images)
    total = shared.base + shared.concepts.sum(dim=1) + shared.residual
    assert total.numpy() == pytest.approx(early.logits, abs=1e-4)
    assert_same(bank, job.start().wait(timeout=60))


def test_an_early_bank_is_saved_and_loaded(made, tmp_path):
    model, images, _ = made
    early = next(LOCATIONS.stream(model, images))
    assert not early.complete
    early.save(tmp_path / "early.safetensors")
    again = ConceptBank.load(tmp_path / "early.safetensors")
    assert_same(early, again)
    assert again.on(model).encode(next(iter(images.values()))).shape == (6, 6, 3)


def test_nothing_is_held_between_two_banks(small, pictures):
    """A person trains a step between two of them: it works, nothing crashes, and the record says so."""
    model = small()
    net = model.source_net
    stream = LOCATIONS.stream(model, pictures())
    bank = next(stream)
    assert not bank.provenance.changed
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.rand(2, 3, 24, 24)).sum().backward()  # gradients can be taken here
    optimizer.step()
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    last = [*stream][-1]
    assert last.provenance.changed
    assert any("changed" in said for said in last.caveats())
    assert net.training
    assert all(not module._forward_hooks for module in net.modules())


def test_run_warns_where_weights_change_meanwhile(small, pictures):
    model = small()
    images = pictures()

    def slow():
        yield from images[:6]
        with torch.no_grad():
            model.source_net[3].weight += 1
        yield from images[6:]

    with pytest.warns(UserWarning, match="weights changed"):
        LOCATIONS.run(model, slow(), progress=False)


def test_abandoning_a_stream_leaves_nothing_behind(made):
    model, images, _ = made
    stream = LOCATIONS.stream(model, images)
    next(stream)
    stream.close()
    assert all(not module._forward_hooks for module in model.net.modules())
    assert LOCATIONS.run(model, images, progress=False).complete


# -- encoding ---------------------------------------------------------------------------------------------------------


def test_codes_do_not_depend_on_batch_mates(made, pictures):
    model, _, bank = made
    concepts = bank.on(model)
    images = pictures(9, seed=3)
    together = concepts.encode(images)
    one_by_one = np.stack([concepts.encode(image) for image in images])
    assert together == pytest.approx(one_by_one, abs=1e-6)
    assert together[::-1] == pytest.approx(concepts.encode(images[::-1]), abs=1e-6)
    assert concepts.encode([images[0]] * 3)[2] == pytest.approx(one_by_one[0], abs=1e-6)


def test_codes_are_scipys(made, pictures):
    """Each location for itself: non-negative least squares by another solver."""
    optimize = pytest.importorskip("scipy.optimize")
    model, _, bank = made
    image = pictures(1, seed=5)[0]
    with torch.no_grad():
        features = model.net[0](model.to_input(image))[0].permute(1, 2, 0).reshape(-1, 12).double().numpy()
    wanted = np.array([optimize.nnls(bank.W.T.astype(np.float64), row)[0] for row in features])
    assert bank.on(model).encode(image).reshape(-1, 3) == pytest.approx(wanted, abs=1e-5)


def test_encoding_scales_with_the_features(made, small):
    """Twice the features, twice the codes; none of them, none."""
    model, images, bank = made
    del images
    concepts = bank.on(model)
    rows = torch.rand(5, 12)
    assert concepts.codes_of(2 * rows).numpy() == pytest.approx(2 * concepts.codes_of(rows).numpy(), abs=1e-5)
    assert not concepts.codes_of(torch.zeros(2, 12)).any()
    assert concepts.codes_of(torch.from_numpy(bank.W.copy())).numpy() == pytest.approx(np.eye(3), abs=1e-5)
    del small


def test_a_bank_is_paired_with_its_own_network_only(made, small):
    _, _, bank = made
    with pytest.raises(ValueError, match="model: wanted the network that the concepts came from"):
        bank.on(small(seed=1))


def test_a_network_that_was_trained_on_is_another(small, pictures):
    model = small()
    bank = LOCATIONS.run(model, pictures(), progress=False)
    with torch.no_grad():
        model.source_net[3].bias += 1
    with pytest.raises(ValueError, match="weights"):
        bank.on(model)


def test_the_real_network(model, photos):
    """Crops of real photos, at the layer that is chosen: the same twice, each batch mate for itself."""
    method = Craft(n_concepts=2, patch=112, fit_on="crops")
    first, second = (method.run(model, photos, progress=False) for _ in range(2))
    assert_same(first, second)
    assert first.quality.n_rows == 4 * 4
    concepts = first.on(model)
    together = concepts.encode(photos)
    alone = np.stack([concepts.encode(photo) for photo in photos.values()])
    assert together == pytest.approx(
        alone, abs=2e-4 * float(together.max())
    )  # convolutions of one image add in another order
