"""A network at a layer: features and logits as the network itself has them, whatever the plan makes of it."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.concepts.layer import choose_layer
from whatwhere.engine.encoder import Encoder


def normed(output=None):
    """Conv, BatchNorm far from the identity, ReLU in place, mean, linear."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(12)
    norm.running_mean.fill_(0.2)
    norm.running_var.fill_(4.0)
    body = nn.Conv2d(3, 12, 4, stride=4, bias=False), norm, nn.ReLU(inplace=True)
    net = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))
    options = {"input_size": 24, "mean": (0.0,) * 3, "std": (1.0,) * 3, "output": output}
    return ww.VisionModel(net.eval(), device="cpu", **options)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("layer", ["0", "1", "2"])
def test_a_folded_norm_is_not_taken_for_the_layer_before_it(precision, layer):
    """Where the layer ends before the BatchNorm that the plan folds into it, and where it does not."""
    model = normed()
    model.plan = ww.Plan(4, folded=True, precision=precision)
    encoder = Encoder(model, layer)
    images = torch.rand(3, 3, 24, 24)
    with torch.no_grad():
        wanted = encoder.cut.to_grid(encoder.cut.encode(images)).clone()
        logits = model.net(images)
    room = 1e-5 if precision == "float32" or layer == "0" else 2e-2 * float(wanted.abs().max())
    look = encoder.look(images)
    assert encoder.cells(images).numpy() == pytest.approx(wanted.numpy(), abs=room)
    assert look.cells.numpy() == pytest.approx(wanted.numpy(), abs=room)
    assert look.logits.numpy() == pytest.approx(logits.numpy(), abs=2e-2)


class Counted(nn.Conv2d):
    """A convolution that tells how often any copy of it ran."""

    runs = 0

    def forward(self, x):
        type(self).runs += 1
        return super().forward(x)


@torch.no_grad()
def test_preparing_a_second_time_runs_nothing_until_the_weights_change():
    model = normed()
    model.source_net[0] = Counted(3, 12, 4, stride=4, bias=False)
    model.fingerprint()
    assert choose_layer(model) == "2"
    first = Encoder(model, "2")
    Counted.runs = 0
    model.batch_size = 7
    assert choose_layer(model) == "2"
    second = Encoder(model, "2")
    assert Counted.runs == 0
    assert (second.grid, second.channels, second.affine) == (first.grid, first.channels, first.affine)
    model.source_net[1].running_var.mul_(9)
    model.fingerprint()
    changed, images = Encoder(model, "2"), torch.rand(2, 3, 24, 24)
    assert Counted.runs > 0
    wanted = changed.cut.to_grid(changed.cut.encode(images))
    assert torch.allclose(changed.cells(images), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("output", "affine"),
    [
        (None, True),
        (lambda out: out[:, :2] - out[:, 2:], True),
        (lambda out: out.softmax(dim=1), False),
        (lambda out: out.log_softmax(dim=1), False),
        (lambda out: out.clamp(-20, 20), False),
    ],
)
def test_the_function_that_reads_logits_counts_as_well(output, affine):
    encoder = Encoder(normed(output), "2")
    assert encoder.cut.affine
    assert encoder.affine == affine
    assert not Encoder(normed(output), "0").affine


def test_a_network_that_normalises_its_input_in_place_is_run_as_planned():
    """Each look at the example begins with a fresh one, so that nothing seems to have been folded."""

    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps, self.head = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.BatchNorm2d(6)), nn.Linear(6, 3)

        def forward(self, x):
            x.sub_(0.5).div_(0.25)
            return self.head(self.maps(x).mean((2, 3)))

    torch.manual_seed(0)
    model = ww.VisionModel(InPlace().eval(), input_size=16, mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu")
    encoder = Encoder(model, "maps")
    assert model.plan.folded
    assert encoder._runner.net is not model.net


def test_what_a_failed_batch_had_made_is_gone_when_halves_are_tried():
    """An error that is kept holds its frames, and these the features that did not fit."""
    encoder = Encoder(normed(), "2")
    failed = []

    def run(batch):
        assert all(kept() is None for kept in failed)
        features = torch.zeros(len(batch))
        if len(batch) > 1:
            failed.append(weakref.ref(features))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return features

    assert encoder.fitting(run, torch.zeros(4)).shape == (4,)
    assert len(failed) == 3
