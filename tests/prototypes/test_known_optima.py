"""Linear objectives have a best picture in closed form: each wave in phase with the objective's own."""

import numpy as np
import pytest
import torch

from whatwhere.prototypes.canvas import Canvas
from whatwhere.prototypes.colours import TO_RGB
from whatwhere.prototypes.optimiser import NAdam
from whatwhere.prototypes.spectrum import PHOTO_LAW, own_mirrors
from whatwhere.prototypes.views import cosine

SIZES = [(32, 32), (33, 27), (24, 40)]


def climb(canvas, gradient_of, *, steps=128, rates=(1.0, 0.05)):
    """Climb as an ascent does; return the values on the way."""
    phase = canvas.start(torch.Generator().manual_seed(0))[None]
    optimiser, values = NAdam(phase), []
    for number in range(steps):
        drawn = canvas.draw(phase)
        value, gradient = gradient_of(drawn.image)
        values.append(float(value))
        pulled = canvas.gradient(drawn, gradient)
        pulled /= pulled.square().mean().sqrt()
        optimiser.step(phase, pulled, [0], cosine(*rates, number / (steps - 1)))
    return values


def best(canvas, weights):
    """The largest value of <weights, picture> over all phases; the four real waves can only be as they are."""
    found = np.fft.rfft2(weights.double().numpy())
    height, width = canvas.size
    counts = np.full(width // 2 + 1, 2.0)
    counts[list(own_mirrors(width))] = 1
    gain = np.abs(found)
    rows = (0, height // 2) if height % 2 == 0 else (0,)
    for row in rows:
        for column in own_mirrors(width):
            gain[:, row, column] = found[:, row, column].real
    return float((counts * canvas.magnitude.double().numpy() * gain).sum())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mean", ["grey", "keep"])
def test_a_linear_objective_reaches_its_optimum(size, mean):
    canvas = Canvas(PHOTO_LAW, size, activation="identity", colours=False, mean=mean)
    weights = torch.randn(3, *size)
    values = climb(canvas, lambda image: ((image * weights).sum(), weights[None]))
    wanted = best(canvas, weights)
    assert wanted * (1 + 1e-5) >= max(values) >= 0.998 * wanted
    assert values[-1] >= 0.998 * wanted


def test_the_learning_rate_has_to_fall():
    canvas = Canvas(PHOTO_LAW, (32, 32), activation="identity", colours=False)
    weights = torch.randn(3, 32, 32)
    share = [
        np.mean(climb(canvas, lambda i: ((i * weights).sum(), weights[None]), rates=rates)[-10:])
        / best(canvas, weights)
        for rates in ((1.0, 1.0), (1.0, 0.05))
    ]
    assert share[0] < 0.98
    assert share[1] > 0.995


@pytest.mark.parametrize("size", SIZES)
def test_colours_are_part_of_the_objective(size):
    canvas = Canvas(PHOTO_LAW, size, activation="identity")
    weights = torch.randn(3, *size)
    own = torch.einsum("kc,chw->khw", torch.from_numpy(TO_RGB), weights)
    values = climb(canvas, lambda image: ((image * weights).sum(), weights[None]))
    assert values[-1] == pytest.approx(best(canvas, own), rel=0.005)


def test_a_neuron_of_a_convolution_reaches_its_optimum():
    size = (32, 32)
    canvas = Canvas(PHOTO_LAW, size, activation="identity", colours=False)
    conv = torch.nn.Conv2d(3, 4, 7, bias=False).requires_grad_(requires_grad=False)

    def neuron(image):
        variable = image.clone().requires_grad_()
        value = conv(variable)[0, 2, 13, 9]
        return value.detach(), torch.autograd.grad(value, variable)[0]

    weights = torch.zeros(3, *size)
    weights[:, 13:20, 9:16] = conv.weight[2]
    assert climb(canvas, neuron)[-1] == pytest.approx(best(canvas, weights), rel=0.005)


def test_the_optimiser_is_torchs():
    torch.manual_seed(0)
    ours = torch.randn(3, 4, 5)
    theirs = torch.nn.Parameter(ours.clone())
    reference = torch.optim.NAdam([theirs], lr=1.0, maximize=True)
    optimiser = NAdam(ours)
    for number in range(20):
        gradient = torch.randn(3, 4, 5)
        rate = 1.0 - 0.04 * number
        for group in reference.param_groups:
            group["lr"] = rate
        theirs.grad = gradient.clone()
        reference.step()
        optimiser.step(ours, gradient.clone(), [0, 1, 2], rate)
    assert torch.allclose(ours, theirs.detach(), atol=1e-5)


def test_rows_that_are_left_out_stay_and_disturb_nobody():
    values = torch.zeros(3, 4)
    alone = torch.zeros(1, 4)
    optimiser, other = NAdam(values), NAdam(alone)
    for number in range(6):
        gradient = torch.randn(1, 4)
        rows = [0, 2] if number >= 3 else [0, 1, 2]
        optimiser.step(values, torch.cat([torch.ones(len(rows) - 1, 4), gradient.clone()]), rows, 0.1)
        other.step(alone, gradient.clone(), [0], 0.1)
        if number == 2:
            kept = values[1].clone()
    assert torch.equal(values[1], kept)
    assert torch.equal(values[2], alone[0])
