"""Records that were computed once are found again: bit for bit, without a forward, and nobody else's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import whatwhere as ww
from whatwhere.concepts.saving import as_parts


def same(one, other):
    return {name: np.array_equal(values, one[name]) for name, values in other.items()} == dict.fromkeys(one, True)


SOBOL = ww.Sobol(grid=3, rows=4)


def test_an_attribution_is_found_again_by_another_model_of_the_same_network(small, pictures, count, folder):
    photo = pictures(1)["p0"]
    plain = SOBOL.run(small(), photo, progress=False)
    with ww.cache.use(folder):
        first, images = count(lambda: SOBOL.run(small(), photo, progress=False))
        assert images >= 40
        model = small()
        again, images = count(lambda: SOBOL.run(model, photo.copy(), progress=False))
        assert images == 0
    assert np.array_equal(again.logits, first.logits)
    assert np.array_equal(first.logits, plain.logits)
    assert np.array_equal(again.reference, first.reference)
    assert np.array_equal(again.values(), first.values())
    assert (first.provenance.cached, again.provenance.cached) == (0, 1)
    assert again.provenance.seconds == first.provenance.seconds
    assert again.n_forwards == first.n_forwards
    assert again.complete
    assert again.method is SOBOL
    assert again.predictions(2) == first.predictions(2)


@pytest.mark.parametrize(
    "method",
    [
        ww.Sobol(grid=4, rows=4, refine=True),
        ww.Sobol(grid=3, rows=8, until=ww.Width(5.0)),
        ww.Sobol(grid=3, rows=4, first_order=True, baseline=np.zeros((24, 24, 3), np.float32)),
    ],
)
def test_every_kind_of_design(small, pictures, count, folder, method):
    photo, model = pictures(1)["p0"], small()
    with ww.cache.use(folder):
        first = method.run(model, photo, progress=False)
        again, images = count(lambda: method.run(model, photo, progress=False))
    assert images == 0
    assert again.rows == first.rows
    assert np.array_equal(again.groups, first.groups)
    assert np.array_equal(again.logits, first.logits)


def test_whatever_changes_the_answer_changes_the_key(small, pictures, count, folder):
    photo, model = pictures(1)["p0"], small()
    brighter = photo.copy()
    brighter[0, 0, 0] = np.nextafter(brighter[0, 0, 0], np.float32(0.5))

    def runs(model, photo=photo, method=SOBOL, **options):
        return count(lambda: method.run(model, photo, progress=False, **options))[1] > 0

    with ww.cache.use(folder):
        assert runs(model)
        assert not runs(model)
        assert not runs(model, target=2)  # of a whole design the target decides nothing
        assert runs(model, brighter)
        assert runs(model, method=ww.Sobol(grid=3, rows=4, seed=1))
        assert runs(model, method=ww.Sobol(grid=3, rows=4, baseline="black"))
        assert runs(small(seed=1))
        lower = ww.VisionModel(model.source_net, input_size=24, mean=(0.5,) * 3, std=(1.0,) * 3, device="cpu")
        assert runs(lower)
        tuned = small()
        with torch.no_grad():
            tuned.source_net[3].bias[0] += 1e-6  # one step of training
        assert runs(tuned)
        until = ww.Sobol(grid=3, rows=8, until=ww.Width(5.0))
        assert runs(model, method=until, target=1)
        assert runs(model, method=until, target=2)


def test_networks_with_equal_weights_and_other_code_are_told_apart(toy, white, folder):
    """Neither has any weights: fingerprints and layers are the same."""
    bright, dark = (toy(lambda x, s=s: torch.stack([s * x.mean((1, 2, 3)), x[:, 0, 0, 0]], 1)) for s in (1.0, -1.0))
    assert bright.fingerprint() == dark.fingerprint()
    with ww.cache.use(folder):
        one, other = (SOBOL.run(model, white, progress=False) for model in (bright, dark))
        assert one.provenance.cached == other.provenance.cached == 0
        assert np.array_equal(one.logits[..., 0], -other.logits[..., 0])
        again = SOBOL.run(dark, white, progress=False)
        assert again.provenance.cached == 1
        assert np.array_equal(again.logits, other.logits)


def test_functions_are_computed_each_time_and_that_is_said(small, pictures, count, folder):
    photo, model = pictures(1)["p0"], small()
    method = ww.Sobol(grid=3, rows=4, score=lambda logits: logits[:, 0])
    with ww.cache.use(folder):
        with pytest.warns(UserWarning, match=r"Sobol is not kept: Sobol.score is the function .*lambda.* each time"):
            method.run(model, photo, progress=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # once
            assert count(lambda: method.run(model, photo, progress=False))[1] > 0
        info = ww.cache.info()
        assert info.entries == {}
        assert len(info.uncacheable) == 1


def test_a_network_that_answers_at_random_is_not_kept(folder, pictures):
    class Noisy(torch.nn.Module):
        def forward(self, x):
            return x.mean((2, 3)) + torch.randn(len(x), 3)

    model = ww.VisionModel(Noisy(), input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu")
    with ww.cache.use(folder):
        said, told = "The network is not deterministic", "answers differently each time"
        with pytest.warns(UserWarning, match=said), pytest.warns(UserWarning, match=told):
            SOBOL.run(model, pictures(1)["p0"], progress=False)
        assert ww.cache.info().entries == {}


def test_a_stream_and_a_job_take_what_is_there(small, pictures, count, folder):
    photo, model = pictures(1)["p0"], small()
    with ww.cache.use(folder):
        for _ in SOBOL.stream(model, photo):
            break
        assert ww.cache.info().entries == {}  # what was stopped is not finished
        first = SOBOL.run(model, photo, progress=False)
        (streamed,), images = count(lambda: list(SOBOL.stream(model, photo)))
        waited = SOBOL.submit(model, photo, preview=True).wait()
    assert images == 0
    assert streamed.provenance.cached == waited.provenance.cached == 1
    assert np.array_equal(waited.logits, first.logits)


# -- banks ------------------------------------------------------------------------------------------------------------


def test_a_bank_is_found_again_with_its_photos(small, pictures, count, folder):
    photos, method = pictures(12), ww.Craft(3)
    plain = method.run(small(), photos, progress=False)
    with ww.cache.use(folder):
        first, images = count(lambda: method.run(small(), photos, progress=False))
        assert images >= 12 * 17
        model = small()
        again, images = count(lambda: method.run(model, dict(photos), progress=False))
        assert images == 0
        told, arrays = as_parts(again)
        told_first, arrays_first = as_parts(first)
        assert same(arrays_first, arrays)
        assert same(as_parts(plain)[1], arrays)
        assert told.pop("provenance") == told_first.pop("provenance") | {"cached": 1}
        assert told == told_first
        assert all(np.array_equal(again.source.pixels(k), first.source.pixels(k)) for k in range(12))
        assert all(torch.equal(a, b) for a, b in zip(again.source.logits, first.source.logits, strict=True))
        ww.Strategies(layout="pca").run(model, again, progress=False)


def test_other_options_take_the_features_that_are_there(small, pictures, count, folder):
    photos, model = pictures(12), small()
    plain = ww.Craft(2, seed=1).run(small(), photos, progress=False)
    with ww.cache.use(folder):
        ww.Craft(3).run(model, photos, progress=False)
        other, images = count(lambda: ww.Craft(2, seed=1).run(model, photos, progress=False))
        assert images <= 4  # of noise, where the network is made ready
        assert other.provenance.cached == 12
        assert np.array_equal(other.W, plain.W)
        assert np.array_equal(other.codes, plain.codes)
        more, images = count(
            lambda: ww.Craft(2).run(model, photos | {"new": pictures(1, seed=9)["p0"]}, progress=False)
        )
        assert 17 <= images <= 21
        assert more.provenance.cached == 12


def test_by_class_takes_the_features_that_are_there(small, pictures, count, folder):
    photos, model = pictures(12), small()
    plain = ww.Craft(2).by_class.run(small(), photos, progress=False)
    with ww.cache.use(folder):
        ww.Craft(3).run(model, photos, progress=False)
        banks, images = count(lambda: ww.Craft(2).by_class.run(model, photos, progress=False))
    assert images <= 4
    assert list(banks) == list(plain)
    assert all(np.array_equal(banks[c].codes, plain[c].codes) for c in plain)


def test_files_are_told_by_what_is_in_them(small, pictures, folder, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for path in (here, there):
        path.mkdir()
        for name, picture in pictures(8).items():
            Image.fromarray((picture * 255).astype(np.uint8)).save(path / f"{name}.png")
    model, method = small(), ww.Craft(2)
    with ww.cache.use(folder):
        method.run(model, here, progress=False)
        assert method.run(model, there, progress=False).provenance.cached == 1
        (there / "p1.png").replace(there / "p0.png")  # a name that stays, with another picture
        bank = method.run(model, there, progress=False)
        assert bank.provenance.cached == 7  # photos: the bank is another
        (there / "broken.png").write_text("no picture")
        with pytest.warns(UserWarning, match="could not be read"):
            method.run(model, there, progress=False)
        with pytest.warns(UserWarning, match="could not be read"):
            again = method.run(model, there, progress=False)
        assert list(again.unreadable) == ["broken.png"] or list(again.unreadable) == ["broken"]
        assert again.provenance.cached == 1


def test_a_generator_has_rows_but_no_bank(small, pictures, count, folder):
    model = small()
    with ww.cache.use(folder):
        ww.Craft(2).run(model, (photo for photo in pictures(8).values()), progress=False)
        assert "bank" not in ww.cache.info().entries
        bank, images = count(lambda: ww.Craft(2).run(model, iter(pictures(8).values()), progress=False))
    assert bank.provenance.cached == 8
    assert images <= 4


# -- prototypes -------------------------------------------------------------------------------------------------------

MACO = ww.Maco(steps=3, crops=2, size=32, seed=(0, 1))


def test_prototypes_are_found_again_and_new_ones_made(small, count, folder):
    plain = MACO.run(small(), [0, 1], progress=False)
    with ww.cache.use(folder):
        first = MACO.run(small(), [0, 1], progress=False)
        model = small()
        again, images = count(lambda: MACO.run(model, [0, 1], progress=False))
        assert images <= 2  # targets are bound to the network
        mixed = MACO.run(model, [1, 2, 0], progress=False)
    for one, other, fresh in zip(again, first, plain, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.image, fresh.image)
        assert (one.provenance.cached, other.provenance.cached, one.seed) == (1, 0, other.seed)
        assert one.target.told() == other.target.told()
        assert one.method == MACO
    assert [p.provenance.cached for p in mixed] == [1, 1, 0, 0, 1, 1]
    assert [p.label for p in mixed][::2] == [first[2].label, mixed[2].label, first[0].label]


# -- the real network -------------------------------------------------------------------------------------------------


def test_a_second_run_of_the_real_network_needs_no_forwards(model, photos, folder, monkeypatch):
    from whatwhere.engine.encoder import Encoder
    from whatwhere.engine.forward import MaskedForward

    method, craft = ww.Sobol(grid=3, rows=2), ww.Craft(3, fit_on="locations")
    with ww.cache.use(folder):
        first, bank = method.run(model, photos, progress=False), craft.run(model, photos, progress=False)

        def never(*_, **__):
            raise AssertionError("the network was asked again")

        monkeypatch.setattr(MaskedForward, "__call__", never)
        monkeypatch.setattr(Encoder, "look", never)
        monkeypatch.setattr(Encoder, "cells", never)
        monkeypatch.setattr(type(model), "logits", never)
        again, found = method.run(model, photos, progress=False), craft.run(model, photos, progress=False)
        assert ww.cache.verify().whole
    assert all(np.array_equal(again[name].logits, first[name].logits) for name in photos)
    assert same(as_parts(bank)[1], as_parts(found)[1])
