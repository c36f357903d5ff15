"""Prototypes as records: looking at them, and their files."""

from dataclasses import replace

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.prototypes.spectrum import PHOTO_LAW
from whatwhere.targets import Channel, ClassScore, Inversion


@pytest.fixture(scope="module")
def made(small):
    method = ww.Maco(steps=4, crops=2, size=48, crop=(0.6, 0.25), frames=3, seed=2, until=ww.Plateau(window=200))
    target = 0.5 * ClassScore("hen") - Channel("first", 2)
    return method.run(small, target, progress=False)


def test_opacity_is_alpha_up_to_a_percentile(made):
    whole, part = made.opacity(0), made.opacity(80)
    assert whole.min() == 1
    assert (part == 1).mean() == pytest.approx(0.2, abs=0.01)
    assert np.all(np.diff(part.ravel()[np.argsort(made.alpha.ravel())]) >= 0)
    with pytest.raises(ValueError, match="percentile: wanted a number from 0 to 100, got 101"):
        made.opacity(101)


def test_pictures_without_alpha_or_contrast_have_no_nan(made):
    plain = replace(made, image=np.full((8, 8, 3), 0.3, np.float32), alpha=np.zeros((8, 8), np.float32))
    assert plain.opacity().min() == 1
    assert np.array_equal(plain.stretched(), plain.image)
    assert np.asarray(plain.picture())[0, 0].tolist() == [76, 76, 76]


def test_stretching_uses_the_whole_range(made):
    stretched = made.stretched()
    assert (stretched == 0).mean() == pytest.approx(0.01, abs=0.003)
    assert (stretched == 1).mean() == pytest.approx(0.01, abs=0.003)
    assert np.asarray(made.picture(percentile=None, stretch=False)).mean() / 255 == pytest.approx(
        made.image.mean(), abs=0.005
    )


def test_what_is_not_opaque_shows_the_background(made):
    clear = replace(made, alpha=np.eye(48, dtype=np.float32))
    picture = np.asarray(clear.picture(percentile=99, background=0.0))
    assert not picture[0, 5].any()
    assert picture[7, 7].any()


def test_it_says_what_it_is(made):
    words = made.describe()
    assert words.startswith("What excites 0.5 x hen - channel 2 of first in small most: 4 steps of 2 crops, seed 2")
    assert repr(made).startswith("<Prototype 48 x 48: What excites")
    bundle = made._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/html", "text/plain"}
    assert bundle["text/plain"] == words
    assert np.array_equal(np.asarray(made), made.image)
    with pytest.raises(ValueError, match="read-only"):
        made.image[0] = 0


def test_files_go_and_come(made, tmp_path):
    made.save(tmp_path / "p.safetensors")
    read = ww.Prototype.load(tmp_path / "p.safetensors")
    for name in ("image", "alpha", "trace", "spread", "frames", "frame_steps"):
        assert np.array_equal(getattr(read, name), getattr(made, name)), name
    for name in ("label", "layers", "seed", "before", "after", "ended", "spectrum", "n_forwards", "complete"):
        assert getattr(read, name) == getattr(made, name), name
    assert read.target == made.target
    assert read.method == made.method
    assert read.provenance == made.provenance
    assert [f.name for f in tmp_path.iterdir()] == ["p.safetensors"]


@pytest.mark.parametrize(
    "spectrum", [PHOTO_LAW, ww.Spectrum(np.ones((3, 9, 5)), 9, "rgb", "x", 3), "law"], ids=["law", "given", "word"]
)
def test_files_keep_every_spectrum(made, tmp_path, spectrum):
    replace(made, method=replace(made.method, spectrum=spectrum, until=None)).save(tmp_path / "p.safetensors")
    read = ww.Prototype.load(tmp_path / "p.safetensors")
    assert read.method.spectrum == spectrum
    assert read.method.until is None


def test_files_hold_no_pictures_of_others_and_no_code(made, tmp_path):
    p = replace(made, told=Inversion("first", np.zeros((8, 8, 3))).told())
    p.save(tmp_path / "p.safetensors")
    assert ww.Prototype.load(tmp_path / "p.safetensors").target is None

    class Own:
        def met(self, _trace):
            return False

    with pytest.raises(ValueError, match="until: wanted Plateau or None"):
        replace(made, method=replace(made.method, until=Own())).save(tmp_path / "q.safetensors")
    assert not (tmp_path / "q.safetensors").exists()


def test_other_files_are_refused(tmp_path):
    from safetensors.numpy import save_file

    with pytest.raises(FileNotFoundError, match="there is no file"):
        ww.Prototype.load(tmp_path / "none")
    (tmp_path / "text").write_text("nothing")
    with pytest.raises(ValueError, match="is broken or no safetensors file"):
        ww.Prototype.load(tmp_path / "text")
    save_file({"a": np.ones(2)}, tmp_path / "other")
    with pytest.raises(ValueError, match=r"wanted a file that Prototype\.save has written"):
        ww.Prototype.load(tmp_path / "other")
    header = {"format": "whatwhere.Prototype", "version": "2", "prototype": "{}"}
    save_file({"a": np.ones(2)}, tmp_path / "newer", metadata=header)
    with pytest.raises(ValueError, match="has format 2, this version of whatwhere reads 1"):
        ww.Prototype.load(tmp_path / "newer")
    save_file({"a": np.ones(2)}, tmp_path / "empty", metadata=header | {"version": "1"})
    with pytest.raises(ValueError, match="what it says of the prototype cannot be read: KeyError"):
        ww.Prototype.load(tmp_path / "empty")


def test_the_method_is_a_value():
    assert ww.Maco(size=512) == ww.Maco(size=(512, 512))
    assert hash(ww.Maco(seed=(1, 2))) == hash(ww.Maco(seed=[1, 2]))
    assert repr(ww.Maco()) == "Maco()"
    assert repr(ww.Maco(steps=8, crop=0.3, seed=(1, 2))) == "Maco(steps=8, seed=(1, 2), crop=0.3)"
    assert ww.Maco.preset("ours", steps=8) == ww.Maco(steps=8)
    assert ww.Maco.preset("paper").sides == (0.25, 0.25)
    assert ww.Maco.preset("horama").shape == (1280, 1280)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps: wanted an integer from 1"),
        ({"steps": 2.5}, TypeError, "steps: wanted an integer"),
        ({"crops": 0}, ValueError, "crops: wanted an integer from 1"),
        ({"size": (1, 2, 3)}, ValueError, "size: wanted an int or"),
        ({"size": 1}, ValueError, "size: wanted an integer from 2"),
        ({"seed": ()}, ValueError, "seed: wanted an integer or several different ones"),
        ({"seed": (1, 1)}, ValueError, "seed: wanted an integer or several different ones"),
        ({"seed": -1}, ValueError, "seed: wanted an integer from 0"),
        ({"spectrum": "imagenet"}, ValueError, "spectrum: wanted 'photos', 'law'"),
        ({"spectrum": np.ones((3, 8, 5))}, ValueError, "spectrum: wanted 'photos', 'law'"),
        ({"crop": 0}, ValueError, "crop: wanted numbers above 0"),
        ({"crop": 1.5}, ValueError, "crop: wanted a finite number from 0 to 1"),
        ({"crop": (0.5, 0.1, 0.2)}, ValueError, "crop: wanted a number, or two"),
        ({"crop": "large"}, TypeError, "crop: wanted a number"),
        ({"crop_law": "gamma"}, ValueError, "crop_law: wanted one of"),
        ({"noise": -0.1}, ValueError, "noise: wanted a finite number of at least 0"),
        ({"noise": float("nan")}, ValueError, "noise: wanted a finite number"),
        ({"learning_rate": float("inf")}, ValueError, "learning_rate: wanted a finite number"),
        ({"contrast": 0}, ValueError, "contrast: wanted a number above 0"),
        ({"mean": "black"}, ValueError, "mean: wanted one of"),
        ({"tied": 1}, TypeError, "tied: wanted True or False"),
        ({"frames": -1}, ValueError, "frames: wanted an integer from 0"),
        ({"until": 3}, TypeError, "until: wanted a rule such as Plateau"),
        ({"resample": "nearest"}, ValueError, "resample: wanted one of"),
    ],
)
def test_options_out_of_range_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ww.Maco(**options)


def test_unknown_presets_are_refused():
    with pytest.raises(ValueError, match=r"name: wanted one of \['ours', 'paper', 'horama'\], got 'lucid'"):
        ww.Maco.preset("lucid")
    with pytest.raises(ValueError, match="gain: wanted a number above 0 and below 1"):
        ww.Plateau(gain=1)
