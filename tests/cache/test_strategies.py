"""Strategies of photos that are known: the same graph, and no forwards."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import whatwhere as ww
from whatwhere.strategies.ledger import ARRAYS


def equal(one, other):
    """Tell whether two graphs hold the same numbers, bit for bit."""
    for name in ("predictions", "labels", "probabilities", "positions", "importance"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for part in ("explained", "other"):
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(getattr(one, part), name), getattr(getattr(other, part), name))
    np.testing.assert_array_equal(one.muting.drops, other.muting.drops)
    np.testing.assert_array_equal(one.muting.becomes, other.muting.becomes)
    assert (one.images, one.left_out, one.thumbnails) == (other.images, other.left_out, other.thumbnails)
    return True


def labels_of(photos):
    return {name: k % 4 for k, name in enumerate(photos)}


@pytest.mark.parametrize(("affine", "target"), [(True, None), (False, None), (True, "commonest"), (False, "commonest")])
def test_a_second_graph_needs_no_forwards(small, pictures, count, folder, affine, target):  # noqa: PLR0917  # fixtures
    photos, model = pictures(30), small(affine=affine, seed=7)
    bank = ww.Craft(3, fit_on="locations").run(model, photos, progress=False)
    if target is not None:
        common = int(np.bincount(bank.predictions).argmax())
        bank = ww.Craft(3, fit_on="locations").run(model, photos, target=common, progress=False)
    method, labels = ww.Strategies(layout="pca"), labels_of(photos)
    plain = method.run(model, bank, photos, labels=labels, progress=False)
    assert bool(plain.left_out) == (target is not None)
    with ww.cache.use(folder):
        first = method.run(model, bank, photos, labels=labels, progress=False)
        assert first.n_forwards == 30
        again, images = count(lambda: method.run(model, bank, photos, labels=labels, progress=False))
        assert images <= 1  # of noise
        fresh = method.run(small(affine=affine, seed=7), bank, photos, labels=labels, progress=False)
        assert (fresh.n_forwards, fresh.provenance.cached) == (0, 30)
        assert (again.n_forwards, again.provenance.cached) == (0, 30)
        assert equal(again, first)
        assert equal(first, plain)
        # other names, in another order
        turned = {f"q{k}": photo for k, photo in enumerate(reversed(photos.values()))}
        other = method.run(model, bank, turned, progress=False)
        assert other.n_forwards == (0 if affine else 30)  # what concepts do is told for a class to compare with


def test_only_what_is_new_is_looked_at(small, pictures, folder):
    photos, model = pictures(12), small()
    bank = ww.Craft(3, fit_on="locations").run(model, photos, progress=False)
    method, new = ww.Strategies(layout="pca"), pictures(3, seed=5)
    more = dict(list(photos.items())[:6]) | {f"new {k}": p for k, p in new.items()} | dict(list(photos.items())[6:])
    plain = method.run(model, bank, more, progress=False)
    with ww.cache.use(folder):
        method.run(model, bank, photos, progress=False)
        graph = method.run(model, bank, more, progress=False)
    assert (graph.n_forwards, graph.provenance.cached) == (3, 12)
    assert graph.images == plain.images
    np.testing.assert_allclose(graph.importance, plain.importance, atol=1e-5)


def test_known_files_are_not_even_decoded(small, pictures, folder, tmp_path, monkeypatch):
    for name, picture in pictures(10).items():
        Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    model = small()
    bank = ww.Craft(3, fit_on="locations").run(model, tmp_path, progress=False)
    with ww.cache.use(folder):
        first = ww.Strategies(layout="pca").run(model, bank, tmp_path, progress=False)
        monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("a file was opened"))
        again = ww.Strategies(layout="pca").run(model, bank, tmp_path, progress=False)
        monkeypatch.undo()
    assert equal(first, again)
    with ww.cache.use(folder), pytest.raises(ValueError, match="missing"):
        ww.Strategies().run(model, bank, [tmp_path / "missing.png"], progress=False)


def test_another_bank_or_other_pictures_are_others(small, pictures, folder):
    photos, model = pictures(12), small()
    banks = [ww.Craft(n, fit_on="locations").run(model, photos, progress=False) for n in (2, 3)]
    with ww.cache.use(folder):
        graphs = [ww.Strategies(layout="pca").run(model, bank, photos, progress=False) for bank in banks]
        wide = ww.Strategies(layout="pca", thumbnails=8).run(model, banks[0], photos, progress=False)
        seed = ww.Strategies(layout="pca", seed=3, presence=0.2).run(model, banks[0], photos, progress=False)
    assert [graph.n_forwards for graph in (*graphs, wide, seed)] == [12, 12, 12, 0]


def test_a_banks_own_photos(small, pictures, folder):
    """Behind a head that is not affine they are run, and known the next time."""
    model = small(affine=False)
    bank = ww.Craft(3, fit_on="locations").run(model, pictures(12), progress=False)
    plain = ww.Strategies(layout="pca").run(model, bank, progress=False)
    with ww.cache.use(folder):
        first = ww.Strategies(layout="pca").run(model, bank, progress=False)
        again = ww.Strategies(layout="pca").run(model, bank, progress=False)
    assert (first.n_forwards, again.n_forwards) == (12, 0)
    assert equal(first, plain)
    assert equal(again, plain)


def test_what_is_trained_under_way_is_not_kept(small, pictures, folder):
    model, photos = small(), pictures(12)
    bank = ww.Craft(3, fit_on="locations").run(model, photos, progress=False)

    def training():
        for k, photo in enumerate(photos.values()):
            if k == 8:
                model.source_net[0][0].weight.data.mul_(1.01)  # a change that PyTorch does not count
            yield photo

    craft = ww.Craft(2, fit_on="locations")
    with ww.cache.use(folder):
        with pytest.warns(UserWarning, match="weights changed"):
            craft.run(model, training(), progress=False)
        assert ww.cache.info().entries == {"features": 8}
        assert bank.provenance.fingerprint != model.fingerprint()
        assert craft.run(model, photos, progress=False).provenance.cached == 0
        model.source_net[0][0].weight.data.copy_(small().source_net[0][0].weight)
        assert ww.Craft(2, seed=1, fit_on="locations").run(model, photos, progress=False).provenance.cached == 8
