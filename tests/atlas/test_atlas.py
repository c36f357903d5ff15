"""Atlases of a small network: pages, names, search, files, and what is said of what is missing."""

from __future__ import annotations

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.atlas.page import ClassPage
from whatwhere.classes import UnknownClassError

CRAFT = ww.Craft(n_concepts=3, fit_on="locations")


@pytest.fixture
def atlas(net, pictures):
    photos, labels = pictures([14, 12, 1])
    return ww.Atlas.of(net, photos, labels=labels, craft=CRAFT, progress=False)


def times_seen(net, photos):
    """How often the network was shown each photo."""
    inputs = {name: net.to_input(photo)[0].numpy().tobytes() for name, photo in photos.items()}
    return {name: net.net.seen[pixels] for name, pixels in inputs.items()}


def numbers(atlas):
    return [(*s.here, *s.there, s.cosine, s.z, s.q, s.mutual) for s in atlas.similar(threshold=None, most=99)]


def same(page, other):
    assert (page.target, page.name, page.important, page.rule) == (
        other.target,
        other.name,
        other.important,
        other.rule,
    )
    for name in ("W", "importance", "codes", "contributions", "logits"):
        np.testing.assert_array_equal(getattr(page.bank, name), getattr(other.bank, name))
    assert page.bank.quality == other.bank.quality
    assert page.closest == other.closest
    assert (page.graph is None) == (other.graph is None)
    if page.graph is not None and other.graph is not None:
        np.testing.assert_array_equal(page.graph.positions, other.graph.positions)
        np.testing.assert_array_equal(page.graph.labels, other.graph.labels)
        assert page.graph.thumbnails == other.graph.thumbnails


def test_pages_are_those_of_the_classes_alone(atlas, net, pictures):
    photos, labels = pictures([14, 12, 1])
    banks = CRAFT.by_class.run(net, photos, progress=False)
    assert atlas.classes == tuple(atlas) == tuple(banks) == (0, 1)
    assert atlas.names == {0: "red", 1: "green"}
    assert len(atlas) == 2
    assert 0 in atlas
    assert "green" in atlas
    assert 2 not in atlas
    assert "violet" not in atlas
    for target, bank in banks.items():
        page = atlas[target]
        assert isinstance(page, ClassPage)
        assert (page.target, page.name, page.n_images) == (target, bank.target_name, len(bank.images))
        np.testing.assert_array_equal(page.bank.W, bank.W)
        assert page.graph is not None
        assert page.graph.bank == page.bank.key
        assert page.graph.images == bank.images
        assert page.graph.labels.tolist() == [labels[name] for name in bank.images]
        assert atlas.counts[target] == len(bank.images)


def test_classes_without_enough_photos_are_skipped_and_say_why(atlas):
    assert atlas.skipped == {2: "too few images are predicted as it: 1, and 3 are needed"}
    with pytest.raises(KeyError, match=r"'blue' \(2\) has no page: too few images.*Nearest that have one: 1 \(green\)"):
        atlas[2]


def test_unknown_classes_and_concepts(atlas):
    with pytest.raises(UnknownClassError, match="from 0 to 2, got 7"):
        atlas[7]
    with pytest.raises(UnknownClassError, match="Nearest: 'green'"):
        atlas["gren"]
    with pytest.raises(KeyError, match=r"wanted one of \[0, 1, 2\], the ids of red, got 9"):
        atlas.alignment(0, 9)
    with pytest.raises(KeyError, match=r"wanted one of \[.*\], the ids of class 0, got 9"):
        atlas.similar(0, 9)
    with pytest.raises(ValueError, match="wanted its class as well"):
        atlas.similar(concept=1)


def test_a_set_without_any_class_is_an_error(net, pictures):
    with pytest.raises(ValueError, match="at least 3 images predicted as one class"):
        ww.Atlas.of(net, pictures([1, 1, 1])[0], craft=CRAFT, progress=False)


def test_asked_classes_that_have_too_few_photos_are_skipped(net, pictures):
    atlas = ww.Atlas.of(net, pictures([9, 1, 1])[0], ["red", "blue"], craft=CRAFT, graphs=False, progress=False)
    assert atlas.classes == (0,)
    assert list(atlas.skipped) == [2]
    assert atlas[0].graph is None
    with pytest.raises(ValueError, match="got 1 of 'green'"):
        ww.Atlas.of(net, pictures([9, 1, 1])[0], ["green"], craft=CRAFT, progress=False)


def test_alignment_is_the_heads(atlas, net):
    page = atlas[0]
    told = atlas.alignment(0, page.bank.ids[0], 3)
    heads = net.net.head.weight.detach().numpy()
    w = page.bank.W[0]
    for target, cosine, effect in told:
        assert cosine == pytest.approx(w @ heads[target] / np.linalg.norm(w) / np.linalg.norm(heads[target]), abs=1e-5)
        assert effect == pytest.approx(page.bank.codes.mean((0, 1, 2))[0] * (w @ heads[target]), abs=1e-4)
    assert [each.cosine for each in told] == sorted((each.cosine for each in told), reverse=True)


def test_a_round_trip(atlas, tmp_path):
    atlas.save(tmp_path / "atlas")
    again = ww.Atlas.load(tmp_path / "atlas")
    assert (again.classes, again.names, again.skipped, again.complete) == (
        atlas.classes,
        atlas.names,
        atlas.skipped,
        True,
    )
    for target in atlas:
        same(again[target], atlas[target])
    np.testing.assert_array_equal(numbers(again), numbers(atlas))


def test_no_class_is_opened_before_it_is_asked_for(atlas, tmp_path):
    atlas.save(tmp_path)
    for file in tmp_path.glob("class_*"):
        file.write_bytes(b"no page")
    again = ww.Atlas.load(tmp_path)
    assert again.search("gre") == [1]
    assert len(again) == 2
    assert again.names == atlas.names
    assert again.counts == atlas.counts
    assert "2 classes" in repr(again)
    with pytest.raises(ValueError, match=r"class_00000.*is broken"):
        again[0]
    with pytest.raises(ValueError, match="broken or no safetensors file"):
        again.similar()


def test_jobs_give_class_after_class(net, pictures):
    photos, _ = pictures([14, 12, 1])
    job = ww.Atlas.submit(net, photos, craft=CRAFT)
    seen = []
    job.watch(lambda job: seen.append(None if job.record is None else (job.record.classes, job.record.complete)))
    atlas = job.wait()
    assert atlas.classes == (0, 1)
    assert atlas.complete
    assert ((0,), False) in seen
    assert seen[0] is None
    assert [len(each) for each in ww.Atlas.stream(net, photos, craft=CRAFT)] == [1, 2, 2]


@pytest.mark.parametrize("options", [{}, {"graphs": False}])
def test_each_photo_is_run_once(net, pictures, options):
    photos, _ = pictures([14, 12, 1])
    net.net.seen.clear()
    ww.Atlas.of(net, photos, craft=CRAFT, progress=False, **options)
    assert times_seen(net, photos) == dict.fromkeys(photos, 1)
