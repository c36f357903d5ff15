"""Banks in files: everything comes back, a failed write harms nothing, other files are refused in words."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.craft import Craft


@pytest.fixture(scope="module")
def made(small, pictures):
    model = small()
    images = {f"p {k}": picture for k, picture in enumerate(pictures(8))}
    return model, images, Craft(n_concepts=3, fit_on="both", patch=12).run(model, images, progress=False)


@pytest.fixture
def path(made, tmp_path):
    made[2].save(tmp_path / "bank.safetensors")
    return tmp_path / "bank.safetensors"


def header_of(path):
    with safe_open(path, framework="numpy") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping


def test_everything_comes_back(made, path):
    _, _, bank = made
    again = ConceptBank.load(path)
    for name in ConceptBank.__dataclass_fields__:
        one, other = getattr(bank, name), getattr(again, name)
        if name in ("source", "crops"):
            continue
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other, err_msg=name)
            assert (one.dtype, one.shape) == (other.dtype, other.shape), name
            assert not other.flags.writeable, name
        elif name == "class_names":
            assert list(one) == list(other)
        else:
            assert one == other, name
            assert type(one) is type(other), name
    assert again.source is None
    assert [len(crops) for crops in again.crops] == [len(crops) for crops in bank.crops]
    for a, b in zip(bank.crops[0], again.crops[0], strict=True):
        assert (a.image, a.box, a.activation) == (b.image, b.box, b.activation)
        np.testing.assert_array_equal(a.picture, b.picture)
    assert (again.key, repr(again), again.describe()) == (bank.key, repr(bank), bank.describe())


def test_what_was_loaded_works_like_what_was_saved(made, path):
    model, images, bank = made
    again = ConceptBank.load(path).on(model)
    np.testing.assert_array_equal(again.encode(images), bank.on(model).encode(images))
    np.testing.assert_array_equal(again.contributions(images).concepts, bank.on(model).contributions(images).concepts)


def test_saving_what_was_loaded_gives_the_same_file(path, tmp_path):
    ConceptBank.load(path).save(tmp_path / "again.safetensors")
    (told, arrays), (told_again, arrays_again) = header_of(path), header_of(tmp_path / "again.safetensors")
    assert told == told_again
    assert arrays.keys() == arrays_again.keys()
    assert all(np.array_equal(arrays[name], arrays_again[name]) for name in arrays)


def test_photos_of_a_loaded_bank_are_asked_for(made, path):
    model, images, _ = made
    bank = ConceptBank.load(path)
    with pytest.raises(ValueError, match="images: wanted the bank's photos"):
        _ = bank.on(model).photos
    with pytest.raises(ValueError, match="missing are"):
        _ = bank.on(model, images={"p 0": images["p 0"]}).photos
    assert bank.on(model, images=images).photos.names == list(bank.images)


def test_the_file_is_open_to_any_reader(made, path):
    """Arrays by name, the rest as JSON by the letter, nothing that is executed."""
    metadata, arrays = header_of(path)
    np.testing.assert_array_equal(arrays["W"], made[2].W)

    def refuse(constant):
        raise AssertionError(constant)

    told = json.loads(metadata["bank"], parse_constant=refuse)
    assert told["layer"]["name"] == made[2].layer.name


@pytest.mark.parametrize(
    "change",
    [
        {"target": 2},
        {"parent": ("0123456789abcdef", 4)},
        {"complete": False},
        {"importance_error": None},
        {"contribution": None},
        {"offset": np.arange(12, dtype=np.float32)},
        {"encoder": {"weight": np.ones((3, 12), np.float32)}},
        {"images": tuple(f"Bild “{k}” 图\n" for k in range(8))},
        {"ids": (41, 7, 0)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_unusual_fields_come_back(made, tmp_path, change):
    name, wanted = next(iter(change.items()))
    replace(made[2], **change).save(tmp_path / "bank")
    got = getattr(ConceptBank.load(tmp_path / "bank"), name)
    if name == "encoder":
        np.testing.assert_array_equal(got["weight"], wanted["weight"])
    elif isinstance(wanted, np.ndarray):
        np.testing.assert_array_equal(got, wanted)
    else:
        assert got == wanted


@pytest.mark.parametrize(
    "options", [{"extractor": "nmf"}, {"extractor": "kmeans"}, {"n_concepts": "auto", "layer": -2, "patch": 7}]
)
def test_methods_come_back(made, tmp_path, options):
    method = Craft(**options)
    replace(made[2], method=method).save(tmp_path / "bank")
    assert ConceptBank.load(tmp_path / "bank").method == method


@pytest.mark.parametrize("failing", ["write", "replace"])
def test_a_failing_write_leaves_the_old_file(made, path, monkeypatch, failing):
    before = path.read_bytes()

    class Broken:
        def __init__(self, handle):
            self.handle = handle

        def __enter__(self):
            return self

        def __exit__(self, *_):
            os.close(self.handle)

        def write(self, contents):
            os.write(self.handle, contents[:100])
            raise OSError(28, "No space left on device")

    def fail(*_):
        raise OSError(13, "Permission denied")

    if failing == "write":
        monkeypatch.setattr(os, "fdopen", lambda handle, _mode: Broken(handle))
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match=r"No space|Permission"):
        made[2].take([0]).save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    assert ConceptBank.load(path).rank == 3


def test_a_file_is_replaced_when_the_new_one_is_whole(made, path):
    made[2].take([0]).save(str(path))
    assert ConceptBank.load(str(path)).rank == 1
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_not_there(made, tmp_path):
    with pytest.raises(OSError, match="missing"):
        made[2].save(tmp_path / "missing" / "bank.safetensors")


def other_arrays(path):
    save_file({"weight": np.zeros(3, np.float32)}, path)


def other_format(path):
    save_file({"W": np.zeros((2, 3), np.float32)}, path, metadata={"format": "pt"})


def pickled(path):
    path.write_bytes(pickle.dumps({"W": 1}))


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [other_arrays, other_format, pickled, half, empty])
def test_files_of_another_kind(path, spoil):
    spoil(path)
    with pytest.raises(ValueError, match=r"path: .*bank"):
        ConceptBank.load(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        ConceptBank.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        ConceptBank.load(tmp_path)


def rewritten(path, **changed):
    metadata, arrays = header_of(path)
    save_file(arrays, path, metadata=metadata | changed)


def test_a_newer_format_says_what_to_do(path):
    rewritten(path, version="99")
    with pytest.raises(ValueError, match=r"format 99.*update whatwhere"):
        ConceptBank.load(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "{",
        lambda told: json.dumps({k: v for k, v in told.items() if k != "layer"}),
        lambda told: json.dumps(told | {"method": told["method"] | {"n_concepts": "many"}}),
        lambda told: json.dumps(told | {"method": told["method"] | {"flavour": 1}}),
    ],
    ids=["no JSON", "a field is missing", "an option out of range", "an unknown option"],
)
def test_a_spoilt_header_is_a_broken_file(path, spoil):
    metadata, _ = header_of(path)
    rewritten(path, bank=spoil(json.loads(metadata["bank"])))
    with pytest.raises(ValueError, match=r"path: .*bank\.safetensors.*broken"):
        ConceptBank.load(path)


def test_a_missing_array_is_a_broken_file(path):
    metadata, arrays = header_of(path)
    save_file({name: array for name, array in arrays.items() if name != "codes"}, path, metadata=metadata)
    with pytest.raises(ValueError, match=r"path: .*bank\.safetensors.*broken"):
        ConceptBank.load(path)


def test_a_version_that_is_no_number_is_a_broken_file(path):
    rewritten(path, version="one")
    with pytest.raises(ValueError, match=r"path: .*bank\.safetensors.*broken"):
        ConceptBank.load(path)
