"""Presets of MACO: what each draws, shows and does, by what the network is shown."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

import whatwhere as ww
from whatwhere.prototypes import _ascent, _draws, _showing
from whatwhere.prototypes.optimiser import NAdam
from whatwhere.prototypes.views import draw_noise

STEPS = 4


class Seen(NamedTuple):
    """What an ascent did: sides of the crops a step, as shares of the canvas, noise, and learning rates."""

    made: ww.Prototype
    sides: np.ndarray  # (steps, crops)
    noise: np.ndarray
    rates: list


@pytest.fixture
def watch(monkeypatch, small):
    """Run a few steps of a preset at its own size, and see what is done."""

    def run(name):
        method = ww.Maco.preset(name, steps=STEPS, frames=0)
        views, noises, rates = [], [], []
        cut, step = _showing.cut_out, NAdam.step

        def cutting(canvas, wanted, *rest):
            views.extend(box.height / canvas.shape[2] for _, box in wanted)
            return cut(canvas, wanted, *rest)

        def stepping(self, values, gradient, rows, rate):
            rates.append(rate)
            step(self, values, gradient, rows, rate)

        def drawing(*arguments):
            noises.append(draw_noise(*arguments))
            return noises[-1]

        monkeypatch.setattr(_showing, "cut_out", cutting)
        monkeypatch.setattr(_ascent.NAdam, "step", stepping)
        monkeypatch.setattr(_draws, "draw_noise", drawing)
        made = method.run(small, "hen", progress=False)
        whole_pictures = (views[0], views[-1])
        assert whole_pictures == (1, 1)
        sides = np.array(views[1:-1]).reshape(STEPS, method.crops)
        return Seen(made, sides, torch.cat(noises).numpy(), rates)

    return run


def test_ours(watch):
    """From coarse to fine, with a falling rate; normal noise alone."""
    method, seen = ww.Maco.preset("ours"), watch("ours")
    assert method == ww.Maco()
    assert (method.steps, method.size, method.crops) == (256, (512, 512), 16)
    assert seen.made.size == (512, 512)
    assert seen.sides.shape[1] == 16
    assert seen.sides[0].mean() == pytest.approx(0.6, abs=0.04)
    assert seen.sides[-1].mean() == pytest.approx(0.25, abs=0.04)
    assert seen.rates[0] == 1
    assert seen.rates[-1] == pytest.approx(0.05)
    assert seen.noise.std() == pytest.approx(0.05, rel=0.02)
    assert np.abs(seen.noise).max() > 0.15  # not bounded


def test_paper(watch):
    """arXiv:2306.06805: 256 steps of NAdam at 1, sides of N(0.25, 0.1), noise in [-0.1, 0.1]."""
    method, seen = ww.Maco.preset("paper"), watch("paper")
    assert (method.steps, method.crops) == (256, 32)
    assert seen.sides.shape[1] == 32
    assert seen.sides.mean() == pytest.approx(0.25, abs=0.03)
    assert seen.sides.std() == pytest.approx(0.1, abs=0.02)
    assert (seen.sides > 0.25).mean() == pytest.approx(0.5, abs=0.15)
    assert seen.rates == [1.0] * STEPS
    assert np.abs(seen.noise).max() == pytest.approx(0.1, rel=0.01)
    assert seen.noise.std() == pytest.approx(0.1 / 3**0.5, rel=0.02)


def test_horama(watch):
    """As horama is asked for: six crops with sides from 0.20 to 0.25 of 1280 pixels; it gives 0.25 to 0.30."""
    method, seen = ww.Maco.preset("horama"), watch("horama")
    assert (method.steps, method.size, method.crops) == (1000, (1280, 1280), 6)
    assert seen.made.size == (1280, 1280)
    assert seen.sides.shape[1] == 6
    assert seen.sides.min() >= 0.199
    assert seen.sides.max() <= 0.251
    assert np.ptp(seen.sides) > 0.03
    assert seen.rates == [1.0] * STEPS
    assert seen.noise.var() == pytest.approx(0.05**2 + 0.025**2 / 3, rel=0.02)


@pytest.mark.parametrize("name", ["ours", "paper", "horama"])
def test_each_climbs_with_the_photos_spectrum(small, name):
    method = ww.Maco.preset(name, steps=24, size=160, frames=0)
    made = method.run(small, "hen", progress=False)
    assert made.spectrum.startswith("photos ")
    assert made.trace[-6:].mean() > made.trace[:6].mean()
    law = ww.Maco.preset(name, steps=1, size=160, frames=0, spectrum="law").run(small, "hen", progress=False)
    assert law.spectrum.startswith("law ")


def test_options_go_before_a_presets_and_others_are_refused():
    method = ww.Maco.preset("horama", crops=2, size=96)
    assert (method.crops, method.size, method.steps) == (2, (96, 96), 1000)
    with pytest.raises(ValueError, match=r"name: wanted one of \['ours', 'paper', 'horama'\], got 'papers'"):
        ww.Maco.preset("papers")
