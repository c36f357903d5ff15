"""Atlases in folders: what was killed goes on, what is broken is made again, and nothing else is taken for it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import whatwhere as ww
from whatwhere.atlas import _run

CRAFT = ww.Craft(n_concepts=3, fit_on="locations")
COUNTS = [14, 12, 9]
BATCH = 4


@pytest.fixture
def photos(pictures):
    return pictures(COUNTS)[0]


@pytest.fixture
def make(net, photos, tmp_path):
    def run(targets=None, **options):
        options = {"craft": CRAFT, "folder": tmp_path / "atlas", "progress": False} | options
        return ww.Atlas.of(net, options.pop("images", photos), targets, **options)

    return run


@pytest.fixture
def begin(net, photos, tmp_path):
    return lambda: ww.Atlas.steps(net, photos, craft=CRAFT, folder=tmp_path / "atlas")


@pytest.fixture
def times_seen(net, photos):
    inputs = [net.to_input(photo)[0].numpy().tobytes() for photo in photos.values()]
    net.net.seen.clear()
    return lambda: [net.net.seen[pixels] for pixels in inputs]


def equal(atlas, other):
    assert atlas.classes == other.classes
    for c in atlas:
        one, two = atlas[c].bank, other[c].bank
        assert one.images == two.images
        assert one.quality.n_left_out == two.quality.n_left_out
        for name in ("W", "codes", "importance", "contributions"):
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-5)
        assert atlas[c].important == other[c].important


def test_a_second_call_runs_nothing(make, times_seen, tmp_path):
    first = make()
    assert times_seen() == [1] * sum(COUNTS)
    assert sorted(file.name for file in (tmp_path / "atlas").iterdir()) == [
        "atlas.json",
        *(f"class_{c:05d}.safetensors" for c in range(3)),
    ]
    second = make()
    assert times_seen() == [1] * sum(COUNTS)
    equal(first, second)
    equal(second, make(folder=None))
    assert second.complete


@pytest.mark.parametrize("when", ["images", "class"])
def test_what_was_ended_goes_on_and_runs_no_photo_twice(make, begin, times_seen, tmp_path, when):
    steps, seen = begin(), []
    for step in steps:
        seen.append(step.stage)
        if step.stage == when and len(seen) > 3:
            break
    steps.close()
    before = times_seen()
    assert sum(before) == (4 * BATCH if when == "images" else sum(COUNTS))
    if when == "class":
        part = ww.Atlas.load(tmp_path / "atlas")
        assert part.classes == (0,)
        assert not part.complete
        stamp = (tmp_path / "atlas" / "class_00000.safetensors").stat().st_mtime_ns
    whole = make()
    assert times_seen() == [1] * sum(COUNTS)
    if when == "class":
        assert (tmp_path / "atlas" / "class_00000.safetensors").stat().st_mtime_ns == stamp
    assert whole.complete
    equal(whole, make(folder=None))


def test_ended_after_the_last_class(make, begin, times_seen):
    steps = begin()
    for step in steps:
        if step.record is not None and len(step.record) == 3:
            break
    steps.close()
    atlas = make()
    assert atlas.classes == (0, 1, 2)
    assert atlas.complete
    assert times_seen() == [1] * sum(COUNTS)


def test_classes_are_added(make, tmp_path):
    assert make(["green"]).classes == (1,)
    assert make(["green"]).classes == (1,)
    stamp = (tmp_path / "atlas" / "class_00001.safetensors").stat().st_mtime_ns
    assert make(["red"]).classes == (0, 1)
    assert make().classes == (0, 1, 2)
    assert make(["red"]).classes == (0, 1, 2)
    assert (tmp_path / "atlas" / "class_00001.safetensors").stat().st_mtime_ns == stamp


def test_what_is_broken_or_missing_is_made_again(make, tmp_path):
    first = make()
    held = {c: first[c] for c in first}
    broken, missing = (tmp_path / "atlas" / f"class_0000{c}.safetensors" for c in (0, 2))
    contents = bytearray(broken.read_bytes())
    contents[-5] ^= 1
    broken.write_bytes(contents)
    missing.unlink()
    opened = ww.Atlas.load(tmp_path / "atlas")
    with pytest.raises(ValueError, match=r"class_00000.* is broken, it is not what was written"):
        opened["red"]
    with pytest.raises(FileNotFoundError, match="the page of 'blue' is missing"):
        opened["blue"]
    assert opened["green"].n_images == held[1].n_images
    with pytest.warns(UserWarning, match="missing or broken, and are made again: red, blue"):
        again = make()
    equal(again, make(folder=None))


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("craft", "concepts that were extracted otherwise"),
        ("images", "another set of images"),
        ("labels", "other labels"),
        ("graphs", "graphs that were made otherwise"),
    ],
)
def test_another_atlas_in_the_folder_is_refused(make, photos, what, told):
    make(["red"])
    fewer = dict(list(photos.items())[:-1])
    others = {
        "craft": replace(CRAFT, n_concepts=2),
        "images": fewer,
        "labels": dict.fromkeys(photos, "red"),
        "graphs": False,
    }
    with pytest.raises(ValueError, match=rf"holds an atlas of {told}\. Give another folder"):
        make(["red"], **{what: others[what]})


def test_another_network_is_refused(make, net):
    make(["red"], graphs=False)
    with torch.no_grad():
        net.source_net.head.bias += 1
    with pytest.raises(ValueError, match="holds an atlas of another network, or of this one with other weights"):
        make(["red"], graphs=False)


def test_a_saved_atlas_is_not_gone_on_with(make, tmp_path):
    make(["red"], folder=None).save(tmp_path / "atlas")
    with pytest.raises(ValueError, match="not known what it was made of"):
        make()


def test_folders_that_are_none(tmp_path, make):
    with pytest.raises(FileNotFoundError, match=r"no atlas in .* has no atlas\.json"):
        ww.Atlas.load(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="wanted a folder, got the file"):
        make(folder=tmp_path / "file")


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("classes"),
        lambda told: told.update(version=99),
        lambda told: told.update(format="another"),
        lambda told: told["classes"]["0"].update(file="../elsewhere"),
        lambda told: told["classes"]["0"].pop("digest"),
        lambda told: told.update(origin={}),
    ],
)
def test_a_broken_index_is_said(make, tmp_path, change):
    make(["red"], graphs=False)
    path = tmp_path / "atlas" / "atlas.json"
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    with pytest.raises(ValueError, match=r"atlas\.json' is no index of an atlas"):
        ww.Atlas.load(tmp_path / "atlas")
    path.write_text("{")
    with pytest.raises(ValueError, match="is no index of an atlas: JSONDecodeError"):
        ww.Atlas.load(tmp_path / "atlas")


def test_an_exchanged_page_is_said(make, tmp_path):
    make(graphs=False)
    path = tmp_path / "atlas" / "atlas.json"
    told = json.loads(path.read_text())
    told["classes"]["0"] = told["classes"]["1"]
    path.write_text(json.dumps(told))
    with pytest.raises(ValueError, match="the page of class 0 is one of class 1"):
        ww.Atlas.load(tmp_path / "atlas")[0]


def test_pages_that_were_read_are_kept_but_not_all(make, monkeypatch):
    atlas = make(graphs=False)
    assert atlas[0] is atlas["red"]
    monkeypatch.setattr("whatwhere.atlas.shelf._HELD", 1)
    first = atlas[0]
    assert atlas[1].target == 1
    assert atlas[0] is not first


def test_bad_input(net, photos, make):
    with pytest.raises(TypeError, match="wanted a Craft or None, got int 10"):
        make(craft=10)
    with pytest.raises(TypeError, match="turn a generator into a list first"):
        make(images=iter(photos.values()))
    with pytest.raises(ValueError, match="classes of the photos, got 1 of photos that there are not"):
        make(labels=dict.fromkeys(photos, 0) | {"nobody": 0})
    with pytest.raises(ww.UnknownClassError):
        ww.Atlas.submit(net, photos, ["violet"])


def test_files_that_are_no_photos_are_left_out_and_told(net, photos, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    some = photos | {"broken": tmp_path / "broken.jpg"}
    with pytest.warns(UserWarning, match="broken"):
        atlas = ww.Atlas.of(net, some, ["red"], craft=CRAFT, folder=tmp_path / "atlas", progress=False)
    assert list(atlas.origin.unreadable) == ["broken"]
    assert "broken" in repr(ww.Atlas.load(tmp_path / "atlas"))


def test_labels_in_order_are_those_by_name(net, photos):
    truth = ["red", "green", "blue", None] * 9
    listed = truth[: len(photos)]
    one = ww.Atlas.of(net, photos, ["red"], labels=listed, craft=CRAFT, progress=False)
    two = ww.Atlas.of(net, photos, ["red"], labels=dict(zip(photos, listed, strict=True)), craft=CRAFT, progress=False)
    assert one[0].graph is not None
    np.testing.assert_array_equal(one[0].graph.labels, two[0].graph.labels)
    names = list(photos)
    ids = {"red": 0, "green": 1, "blue": 2, None: -1}
    assert one[0].graph.labels.tolist() == [ids[listed[names.index(name)]] for name in one[0].bank.images]


def test_features_are_let_go_when_it_is_finished(make, begin, tmp_path):
    folder, steps = tmp_path / "atlas", begin()
    next(steps)
    assert (folder / _run._WORK).is_dir()
    steps.close()
    make()
    assert not (folder / _run._WORK).exists()
