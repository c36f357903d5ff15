"""Fourier visualisation through the ascent that MACO has: company, seeds, chunks, and what it is compared by."""

from dataclasses import replace

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.prototypes._ascent import Ascent
from whatwhere.targets import Channel, ClassScore, Direction, Inversion, Neuron

TARGETS = [
    ClassScore("hen"),
    Channel("first", 3),
    0.5 * Neuron("second.0", 2) - ClassScore("tram"),
    Direction("act", np.arange(8.0), likeness="dot"),
]
QUICK = ww.FourierVisualization(steps=6, crops=3, size=48, frames=3)


def test_the_contract(small):
    made = QUICK.run(small, ["hen", 4, Channel("first", 3)], progress=False)
    assert [p.label for p in made] == ["hen", "cup", "channel 3 of first"]
    for p in made:
        assert p.image.shape == (48, 48, 3)
        assert 0 < p.image.min() < p.image.max() < 1
        assert p.alpha.mean() == pytest.approx(1, rel=1e-3)
        assert p.trace.shape == p.spread.shape == (6,)
        assert (p.complete, p.n_forwards) == (True, 18)
        assert p.spectrum == "free, scaled by 1 / f^1.5"
        assert p.seed_image is None
        assert p.distance is None
    assert isinstance(QUICK.run(small, "hen", progress=False), ww.Prototype)


def test_company_changes_nothing(small):
    together = Ascent(QUICK, small, TARGETS)
    *_, step = together.steps()
    for k, target in enumerate(TARGETS):
        alone = Ascent(QUICK, small, [target])
        *_, own = alone.steps()
        assert (together._values[k] - alone._values[0]).abs().mean() <= 1e-4
        assert np.allclose(step.record[k].image, own.record[0].image, atol=1e-3)
        assert np.allclose(step.record[k].alpha, own.record[0].alpha, atol=1e-3)
        assert np.allclose(step.record[k].trace, own.record[0].trace, atol=1e-4)


def test_the_same_seed_gives_the_same_bits_and_another_another_picture(small):
    both = replace(QUICK, seed=(0, 7)).run(small, ["hen", "cup"], progress=False)
    again = replace(QUICK, seed=(0, 7)).run(small, ["hen", "cup"], progress=False)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(both, again, strict=True))
    assert np.allclose(both[3].image, replace(QUICK, seed=7).run(small, "cup", progress=False).image, atol=1e-3)
    assert np.abs(both[2].image - both[3].image).max() > 0.05


@pytest.mark.parametrize("target", [*TARGETS, Inversion("first", np.eye(32)[..., None].repeat(3, -1))])
def test_the_objective_rises(small, target):
    p = replace(QUICK, steps=40, crops=2).run(small, target, progress=False)
    assert p.trace[-4:].mean() > p.trace[:4].mean()
    assert p.after > p.before


@pytest.mark.parametrize("size", [(49, 49), (48, 63)])
def test_any_size_and_grey_networks(small, grey_small, size):
    assert replace(QUICK, size=size).run(small, "hen", progress=False).image.shape == (*size, 3)
    grey = QUICK.run(grey_small, 0, progress=False)
    assert np.ptp(grey.image, axis=-1).max() == 0


def test_magnitudes_are_free_where_macos_are_not(small):
    """The same ascent: it gets further, since nothing is kept."""
    options = {"steps": 60, "crops": 2, "size": 48}
    views = {"jitter": 0.0, "scale": 1.0, "rotate": 0.0, "noise": 0.0, "learning_rate": 0.2}
    free = ww.FourierVisualization(**options, **views).run(small, "hen", progress=False)
    kept = ww.Maco(**options, crop=1.0, crop_spread=0, centre=0, noise=0).run(small, "hen", progress=False)
    assert free.after > kept.after
    first, last = (np.abs(np.fft.rfft2(p.image.mean(axis=-1)))[1:, 1:] for p in (free, kept))
    assert not np.allclose(first / first.mean(), last / last.mean(), rtol=0.5)


def test_a_rule_stops_it_and_a_job_is_the_same(small):
    assert replace(QUICK, steps=60, until=ww.Plateau(window=2, gain=0.9)).run(small, "hen", progress=False).steps < 60
    (made,) = QUICK.submit(small, "hen").wait(60)
    assert np.array_equal(made.image, QUICK.run(small, "hen", progress=False).image)
    steps = QUICK.steps_of(small, "hen")
    for step in steps:
        if step.done >= 9:
            break
    steps.close()
    assert not step.record[0].complete
    records = list(QUICK.stream(small, ["hen"]))
    assert records[0][0].steps == 0
    assert records[-1][0].complete


def test_files_go_and_come(small, tmp_path):
    made = QUICK.run(small, "hen", progress=False)
    made.save(tmp_path / "p")
    read = ww.Prototype.load(tmp_path / "p")
    assert read.method == made.method
    assert isinstance(read.method, ww.FourierVisualization)
    assert np.array_equal(read.image, made.image)
    assert (read.seed_image, read.distance, read.photo) == (None, None, "")


def test_the_method_is_a_value():
    assert ww.FourierVisualization(scale=1.5) == ww.FourierVisualization(scale=(1.5, 1.5))
    assert repr(ww.FourierVisualization()) == "FourierVisualization()"
    told = "FourierVisualization(steps=8, scale=1.5, learning_rate=(0.1, 0.01))"
    assert repr(ww.FourierVisualization(steps=8, scale=1.5, learning_rate=(0.1, 0.01))) == told
    assert ww.FourierVisualization.preset("lucid").shape == (128, 128)
    with pytest.raises(ValueError, match=r"name: wanted one of \['ours', 'lucid'\], got 'horama'"):
        ww.FourierVisualization.preset("horama")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps: wanted an integer from 1"),
        ({"size": 1}, ValueError, "size: wanted an integer from 2"),
        ({"exponent": -1}, ValueError, "exponent: wanted a finite number of at least 0"),
        ({"contrast": 0}, ValueError, "contrast: wanted a number above 0"),
        ({"jitter": 2}, ValueError, "jitter: wanted a finite number from 0 to 1"),
        ({"scale": 0}, ValueError, "scale: wanted numbers above 0"),
        ({"scale": (2, 1)}, ValueError, "scale: wanted the smaller number first"),
        ({"scale": (1, 2, 3)}, ValueError, "scale: wanted a number, or two for the ends of a range"),
        ({"rotate": 200}, ValueError, "rotate: wanted a finite number from 0 to 180"),
        ({"rotate": "much"}, TypeError, "rotate: wanted a number"),
        ({"noise": -0.1}, ValueError, "noise: wanted a finite number of at least 0"),
        ({"until": 3}, TypeError, "until: wanted a rule such as Plateau"),
    ],
)
def test_options_out_of_range_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ww.FourierVisualization(**options)


def test_views_without_pixels_are_refused(small):
    with pytest.raises(ValueError, match=r"size: crops of 0.1 of a picture of 40 x 40 pixels have 4.0 pixels a side"):
        ww.FourierVisualization(size=40, scale=10).run(small, "hen", progress=False)
