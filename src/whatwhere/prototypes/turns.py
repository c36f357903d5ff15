"""Views of a canvas that are shifted, scaled and turned, each in one resampling.

A view is a rectangle anywhere on the canvas, at any angle. Shift, scale and angle are one affine map from the network's
input to the canvas, and each pixel of the input is the mean of a few bilinear samples, as many as keep canvas pixels
from being left out: nothing is resampled twice. The canvas goes on where it ends.

References
----------
C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill 2017, on robustness to such transformations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


_SAME = 1e-6  # of a pixel: rounding alone


class Turned(NamedTuple):
    """A view in pixels of the canvas.

    Attributes
    ----------
    y, x : float
        Its centre; the canvas's upper left corner is 0, 0.
    height, width : float
        Its size; it may reach over any edge.
    angle : float
        In radians; positive turns what is seen anticlockwise.
    """

    y: float
    x: float
    height: float
    width: float
    angle: float


@dataclass(frozen=True)
class Turns:
    """How shifted, scaled and turned views are drawn, all uniformly.

    Parameters
    ----------
    jitter : float
        How far the centre is shifted at most, as a share of the canvas, either way.
    scale : (float, float)
        Range of magnifications; at 1 a view is the largest of the input's shape that the canvas holds.
    rotate : float
        Degrees that a view is turned by at most, either way.
    """

    jitter: float
    scale: tuple[float, float]
    rotate: float

    def draw(
        self, count: int, canvas: tuple[int, int], shown: tuple[int, int], generator: torch.Generator
    ) -> list[Turned]:
        """Draw views.

        Parameters
        ----------
        count : int
            How many.
        canvas, shown : (int, int)
            Height and width of the canvas, and of the network's input.
        generator : torch.Generator
            Of the CPU.

        Returns
        -------
        list of Turned
            Views of the input's shape.
        """
        largest = largest_view(canvas, shown)
        low, high = self.scale
        views = []
        for down, across, size, turn in torch.rand((count, 4), generator=generator, dtype=torch.float64).tolist():
            side = largest / (low + (high - low) * size)
            y = canvas[0] * (0.5 + self.jitter * (2 * down - 1))
            x = canvas[1] * (0.5 + self.jitter * (2 * across - 1))
            angle = math.radians(self.rotate * (2 * turn - 1))
            views.append(Turned(y, x, side * shown[0], side * shown[1], angle))
        return views


def largest_view(canvas: tuple[int, int], shown: tuple[int, int]) -> float:
    """Return how many times an input's sides the largest view of its shape has that a canvas holds.

    Parameters
    ----------
    canvas, shown : (int, int)
        Height and width of the canvas, and of the network's input.

    Returns
    -------
    float
        Above 0; 1 where the canvas is as large as the input along one side.
    """
    return min(canvas[0] / shown[0], canvas[1] / shown[1])


def turn_out(
    canvas: Tensor, views: list[tuple[int, Turned]], shown: tuple[int, int]
) -> tuple[Tensor, Callable[[Tensor, Tensor], None]]:
    """Take views out of canvases, as large as a network's input.

    Parameters
    ----------
    canvas : Tensor of shape (B, C, H, W)
        Canvases.
    views : list of (int, Turned)
        Of each view the canvas and the place on it.
    shown : (int, int)
        Height and width h, w of the input.

    Returns
    -------
    crops : Tensor of shape (len(views), C, h, w)
        Views, detached.
    give_back : callable
        Takes the views' gradient and a tensor like `canvas`, to which it adds the canvas's gradient.

    Notes
    -----
    Of a view that shrinks the canvas n times, each pixel is the mean of ``ceil(n) ** 2`` samples. On CUDA, PyTorch adds
    the gradient up in an order of its own: runs there agree to rounding, not to the bit.
    """
    size = (canvas.shape[2], canvas.shape[3])
    numbers = sorted({number for number, _ in views})
    with torch.enable_grad():
        leaves = {number: canvas[number : number + 1].detach().contiguous().requires_grad_() for number in numbers}
        crops = [torch.empty(0)] * len(views)
        alike: dict[tuple[int, int], list[int]] = {}
        for place, (number, view) in enumerate(views):
            alike.setdefault((number, _finer(view, shown)), []).append(place)
        for (number, finer), places in alike.items():
            points = [_points(views[place][1], shown, finer, canvas.device) for place in places]
            padded, margin = _goes_on(leaves[number], points, size)
            grid = torch.cat([_grid(each, margin, size) for each in points])[None]
            seen = F.grid_sample(padded, grid, mode="bilinear", padding_mode="border", align_corners=False)
            seen = F.avg_pool2d(seen, finer) if finer > 1 else seen
            for place, part in zip(places, torch.split(seen, shown[0], dim=2), strict=True):
                crops[place] = part

    def give_back(gradient: Tensor, total: Tensor) -> None:
        parts = torch.autograd.grad(crops, [*leaves.values()], list(gradient[:, None]), retain_graph=True)
        for number, part in zip(numbers, parts, strict=True):
            total[number] += part[0]

    return torch.cat([crop.detach() for crop in crops]), give_back


def _finer(view: Turned, shown: tuple[int, int]) -> int:
    """Return how many samples a pixel of the input takes each way, so that they are a canvas pixel apart at most."""
    return max(1, math.ceil(max(view.height / shown[0], view.width / shown[1]) - _SAME))


def _points(view: Turned, shown: tuple[int, int], finer: int, device: torch.device) -> Tensor:
    """Return where a view is sampled, (finer * h, finer * w, 2): y and x in pixels of the canvas."""
    rows, columns = (
        ((torch.arange(finer * count, dtype=torch.float64) + 0.5) / (finer * count) - 0.5) * length
        for count, length in zip(shown, (view.height, view.width), strict=True)
    )
    cos, sin = math.cos(view.angle), math.sin(view.angle)
    down = view.y + rows[:, None] * cos + columns * sin
    across = view.x - rows[:, None] * sin + columns * cos
    return torch.stack([down, across], dim=-1).to(device, torch.float32)


def _goes_on(leaf: Tensor, points: list[Tensor], size: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
    """Continue a canvas beyond its edges, as far as points and their neighbours reach."""
    flat = torch.cat([each.flatten(0, 1) for each in points])
    low, high = flat.amin(dim=0).tolist(), flat.amax(dim=0).tolist()
    margin = tuple(
        max(0, math.ceil(1 - least), math.ceil(most + 1 - length))
        for least, most, length in zip(low, high, size, strict=True)
    )
    padded, (left, (down, across)) = leaf, (max(margin), margin)
    if not left:
        return leaf, (0, 0)
    while down or across:  # PyTorch continues a picture once at most
        now = (min(down, padded.shape[2]), min(across, padded.shape[3]))
        padded = F.pad(padded, (now[1], now[1], now[0], now[0]), mode="circular")
        down, across = down - now[0], across - now[1]
    return padded, (margin[0], margin[1])


def _grid(points: Tensor, margin: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Say points as `grid_sample` wants them: x before y, from -1 to 1 over the padded canvas."""
    y = 2 * (points[..., 0] + margin[0]) / (size[0] + 2 * margin[0]) - 1
    x = 2 * (points[..., 1] + margin[1]) / (size[1] + 2 * margin[1]) - 1
    return torch.stack([x, y], dim=-1)
