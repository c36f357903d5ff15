"""Files that are no readable photos: an extraction goes on without them, and says so."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pytest
from PIL import Image

from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.unreadable import say_unreadable

BROKEN = {"cut off": "broken or cut off", "empty": "not an image", "text": "not an image", "odd mode": "wanted"}
METHOD = Craft(n_concepts=3, fit_on="locations")


@pytest.fixture
def folder(pictures, tmp_path):
    """Twelve photos, and four files among them that are none."""
    place = tmp_path / "photos"
    place.mkdir()
    for k, picture in enumerate(pictures(12)):
        Image.fromarray((picture * 255).astype(np.uint8)).save(place / f"{k:02}.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(place / "05 cut off.jpg")
    whole = (place / "05 cut off.jpg").read_bytes()
    (place / "05 cut off.jpg").write_bytes(whole[: len(whole) // 2])
    (place / "00 empty.jpg").write_bytes(b"")
    (place / "07 text.png").write_text("Not found")
    Image.fromarray(np.full((24, 24), 7.5, np.float32)).save(place / "99 odd mode.tiff")
    return place


@pytest.fixture
def good(folder, tmp_path):
    """The same folder without them."""
    place = tmp_path / "good"
    shutil.copytree(folder, place)
    for path in place.iterdir():
        if " " in path.name:
            path.unlink()
    return place


def kinds(folder):
    files = sorted(folder.iterdir())
    return {
        "folder": folder,
        "path": str(folder),
        "list": files,
        "dict": {f.stem: f for f in files},
        "lazy": iter(files),
    }


@pytest.mark.parametrize("kind", ["folder", "path", "list", "dict", "lazy"])
def test_the_others_are_explained_as_if_it_were_not_there(small, folder, good, kind):
    wanted = METHOD.run(small(), good, progress=False)
    with pytest.warns(
        UserWarning, match=r"4 of 16 photos could not be read and were left out \('00 empty': "
    ) as caught:
        bank = METHOD.run(small(), kinds(folder)[kind], progress=False)
    assert len(caught) == 1  # once, at the end
    for name in ("W", "importance", "codes", "logits", "contributions"):
        np.testing.assert_array_equal(getattr(bank, name), getattr(wanted, name))
    assert bank.images == wanted.images
    assert bank.quality == wanted.quality
    assert list(bank.unreadable) == ["00 empty", "05 cut off", "07 text", "99 odd mode"]
    for name, reason in bank.unreadable.items():
        assert BROKEN[name[3:]] in reason
    assert not wanted.unreadable
    assert bank.said_unreadable in bank.describe()
    assert not wanted.said_unreadable


def test_the_file_of_a_bank_says_which(small, folder, tmp_path):
    *_, bank = METHOD.stream(small(), folder)  # which does not warn: the record says it
    bank.save(tmp_path / "bank.safetensors")
    again = ConceptBank.load(tmp_path / "bank.safetensors")
    assert again.unreadable == bank.unreadable
    assert len(again.unreadable) == 4
    assert again.take([0]).unreadable == bank.unreadable
    assert again.method == METHOD


def test_progress_counts_what_is_there(small, folder):
    *_, last = Craft(n_concepts=3, patch=12).steps(small(), folder)
    assert last.done == last.total == 12 * (1 + 4)


def test_it_is_an_error_where_that_is_wanted(small, folder):
    strict = Craft(n_concepts=3, fit_on="locations", on_unreadable="raise")
    with pytest.raises(ValueError, match=r"00 empty: .*00 empty.jpg' is not an image that Pillow can read"):
        strict.run(small(), folder, progress=False)
    with pytest.raises(ValueError, match=r"on_unreadable: wanted one of \['skip', 'raise'\], got 'ignore'"):
        Craft(on_unreadable="ignore")


def test_too_few_that_can_be_read(small, folder):
    few = [path for path in sorted(folder.iterdir()) if " " in path.name or path.stem in ("01", "02")]
    with pytest.raises(
        ValueError, match=r"images: wanted at least 3, .* got 2\. 4 of 6 .*'00 empty'.*'05 cut off'.*and 1"
    ):
        METHOD.run(small(), few, progress=False)
    with pytest.raises(ValueError, match=r"got 0\. 1 of 1 photos could not be read and was left out \('07 text'"):
        METHOD.run(small(), [folder / "07 text.png"], progress=False)
    with pytest.raises(ValueError, match=r"images of 1 classes|images of 2 classes"):
        METHOD.by_class.run(small(), few, progress=False)


def test_one_file_alone_is_not_a_collection(small, folder):
    with pytest.raises(ValueError, match=r"image|07 text"):
        Craft(n_concepts=1, fit_on="locations").run(small(), folder / "07 text.png", progress=False)


@pytest.mark.parametrize("kind", ["bytes", "array", "picture"])
def test_what_is_given_itself_stays_an_error(small, folder, kind):
    files = sorted(folder.iterdir())
    with Image.open(folder / "99 odd mode.tiff") as picture:
        spoilt = {"bytes": b"nothing", "array": np.full((24, 24, 3), 7.5, np.float32), "picture": picture}[kind]
        with pytest.raises(ValueError, match="image 4"):
            METHOD.run(small(), [*files[1:4], spoilt, *files[4:]], progress=False)


@pytest.mark.parametrize("wrong", ["nowhere.jpg", ""])
def test_a_listed_path_that_leads_to_no_file_is_an_error_before_anything_runs(small, folder, wrong):
    """It is the list that is wrong, not the file; also at the end of the list."""
    model = small()
    steps = METHOD.steps(model, [*sorted(folder.iterdir()), folder / wrong])
    with pytest.raises(ValueError, match="does not exist" if wrong else "is a folder"):
        next(steps)


def test_a_file_that_goes_away_meanwhile_is_left_out(small, folder):
    files = [path for path in sorted(folder.iterdir()) if " " not in path.name]
    steps = METHOD.steps(small(), files)
    next(steps)
    files[-1].unlink()
    *_, last = steps
    assert list(last.record.unreadable) == ["11"]
    assert "does not exist" in last.record.unreadable["11"]


def test_many_classes_say_it_once(small, folder):
    with pytest.warns(UserWarning, match="4 of 16 photos could not be read") as caught:
        banks = Craft(n_concepts=1, fit_on="locations").by_class.run(small(), folder, progress=False)
    assert len(caught) == 1
    assert list(banks.unreadable) == ["00 empty", "05 cut off", "07 text", "99 odd mode"]
    assert all(bank.unreadable == banks.unreadable for bank in banks.values())


def test_reading_for_other_purposes_is_strict(small, folder, good):
    """Codes of photos are in the order of the photos: none may be missing."""
    model = small()
    concepts = METHOD.run(model, good, progress=False).on(model)
    with pytest.raises(ValueError, match="00 empty"):
        concepts.encode(folder)


def test_nothing_is_said_where_all_can_be_read(small, good):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bank = METHOD.run(small(), good, progress=False)
    assert not bank.unreadable


def test_the_sentence():
    said = say_unreadable({"a": "gone.", "b": "x", "c": "y", "d": "z", "e": "w"}, 295)
    assert said == "5 of 300 photos could not be read and were left out ('a': gone; 'b': x; 'c': y; and 2 more)."
