"""What a network is shown of a canvas: random crops, made as large as its input, with noise.

The canvas goes on where it ends, as waves do, so that crops may reach over its edges. Crops have whole pixels, and are
resampled bilinearly; where that makes them smaller, with a wider filter against aliasing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812  # its usual name

from whatwhere.prototypes._banded import band, resample, weights
from whatwhere.prototypes.turns import Turned, largest_view, turn_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

Resample: TypeAlias = Literal["auto", "banded", "native", "matmul"]
Distribution: TypeAlias = Literal["normal", "uniform"]

_LEAST = 0.02  # of the canvas: no crop is smaller, whatever is drawn


class Box(NamedTuple):
    """A crop in pixels of the canvas; it may reach over the lower and right edge, and goes on at the other.

    Attributes
    ----------
    top, left : int
        The first row and column, on the canvas.
    height, width : int
        At most the canvas's.
    """

    top: int
    left: int
    height: int
    width: int


View: TypeAlias = "Box | Turned"


class Law(Protocol):
    """How views are drawn: `Crops`, `Inside` or `whatwhere.prototypes.turns.Turns`."""

    def draw(
        self, count: int, canvas: tuple[int, int], shown: tuple[int, int], generator: torch.Generator
    ) -> Sequence[View]:
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
        sequence of Box or Turned
            Views of the input's shape.
        """
        ...


@dataclass(frozen=True)
class Crops:
    """How crops are drawn.

    Parameters
    ----------
    side : float
        Mean side, as a share of the largest crop of the input's shape that the canvas holds.
    spread : float
        Standard deviation of sides, or half the width of their range.
    law : {"normal", "uniform"}
        Distribution of sides; they stay between 0.02 and 1.
    centre : float
        Standard deviation of the crop's centre from the canvas's, as a share of the canvas.
    """

    side: float
    spread: float
    law: Distribution
    centre: float

    def draw(
        self, count: int, canvas: tuple[int, int], shown: tuple[int, int], generator: torch.Generator
    ) -> list[Box]:
        """Draw boxes.

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
        list of Box
            Boxes of the input's shape, to whole pixels.
        """
        largest = largest_view(canvas, shown)
        if self.law == "normal":
            side = self.side + self.spread * torch.randn(count, generator=generator)
        else:
            side = self.side + self.spread * (2 * torch.rand(count, generator=generator) - 1)
        side = side.clamp(_LEAST, 1)
        centres = 0.5 + self.centre * torch.randn((count, 2), generator=generator)
        boxes = []
        for share, (y, x) in zip(side.tolist(), centres.tolist(), strict=True):
            height, width = _sized(share * largest, canvas, shown)
            top, left = round(y * canvas[0] - height / 2) % canvas[0], round(x * canvas[1] - width / 2) % canvas[1]
            boxes.append(Box(top, left, height, width))
        return boxes


@dataclass(frozen=True)
class Inside:
    """How crops are drawn that stay on the canvas: side and place uniformly.

    Parameters
    ----------
    sides : (float, float)
        Range of the sides, as a share of the largest crop of the input's shape that the canvas holds.
    """

    sides: tuple[float, float]

    def draw(
        self, count: int, canvas: tuple[int, int], shown: tuple[int, int], generator: torch.Generator
    ) -> list[Box]:
        """Draw boxes.

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
        list of Box
            Boxes of the input's shape, to whole pixels.
        """
        largest = largest_view(canvas, shown)
        low, high = self.sides
        boxes = []
        for size, down, across in torch.rand((count, 3), generator=generator).tolist():
            height, width = _sized((low + (high - low) * size) * largest, canvas, shown)
            boxes.append(Box(round(down * (canvas[0] - height)), round(across * (canvas[1] - width)), height, width))
        return boxes


def _sized(scale: float, canvas: tuple[int, int], shown: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a box that is so many times as large as the input, to whole pixels of the canvas."""
    height, width = (min(most, max(1, round(scale * side))) for most, side in zip(canvas, shown, strict=True))
    return height, width


#: Nearly whole pictures, for targets that have places.
NEARLY_WHOLE = Crops(side=0.97, spread=0.02, law="normal", centre=0.01)


def draw_noise(
    shape: tuple[int, ...], normal: float, uniform: float, generator: torch.Generator, device: torch.device
) -> Tensor | None:
    """Draw what is added to crops.

    Parameters
    ----------
    shape : tuple of int
        Shape of the crops.
    normal, uniform : float
        Standard deviation of normal noise, and half the range of uniform noise, in the network's own units.
    generator : torch.Generator
        Of the device.
    device : torch.device
        Where.

    Returns
    -------
    Tensor or None
        Both added up; None where there is none.
    """
    noise: Tensor | None = None
    if normal:
        noise = torch.randn(shape, generator=generator, device=device).mul_(normal)
    if uniform:
        other = torch.rand(shape, generator=generator, device=device).mul_(2 * uniform).sub_(uniform)
        noise = other if noise is None else noise.add_(other)
    return noise


def cut_out(
    canvas: Tensor, views: Sequence[tuple[int, View]], shown: tuple[int, int], how: Resample = "auto"
) -> tuple[Tensor, Callable[[Tensor, Tensor], None]]:
    """Take views out of canvases and make them as large as a network's input.

    Parameters
    ----------
    canvas : Tensor of shape (B, C, H, W)
        Canvases.
    views : sequence of (int, Box or Turned)
        Of each view the canvas and the place on it; all are of one kind.
    shown : (int, int)
        Height and width h, w of the crops.
    how : {"auto", "banded", "native", "matmul"}, default "auto"
        "banded": two products with a sparse matrix for each crop's rows and columns, crop by crop. "matmul": with dense
        matrices, all crops at once. Both are the same in every run. "native": torch's own resampling. Automatically the
        first on a CPU, else "matmul". Turned views go by `whatwhere.prototypes.turns.turn_out`.

    Returns
    -------
    crops : Tensor of shape (len(views), C, h, w)
        Crops, detached.
    give_back : callable
        Takes the crops' gradient and a tensor like `canvas`, to which it adds the canvas's gradient.
    """
    turned = [(number, view) for number, view in views if isinstance(view, Turned)]
    if turned:
        return turn_out(canvas, turned, shown)
    boxes = [(number, view) for number, view in views if isinstance(view, Box)]
    if how == "auto":
        how = "banded" if canvas.device.type == "cpu" else "matmul"
    return {"banded": _banded, "native": _native, "matmul": _matmul}[how](canvas, boxes, shown)


def pieces(first: int, length: int, total: int) -> list[tuple[slice, slice]]:
    """Take a range that may wrap around apart.

    Parameters
    ----------
    first, length, total : int
        Where it begins, how long it is, and after how many it begins again.

    Returns
    -------
    list of (slice, slice)
        Of each piece the place in the range, and in the whole.
    """
    head = min(length, total - first)
    parts = [(slice(0, head), slice(first, first + head))]
    return parts if head == length else [*parts, (slice(head, length), slice(0, length - head))]


def _banded(
    canvas: Tensor, boxes: list[tuple[int, Box]], shown: tuple[int, int]
) -> tuple[Tensor, Callable[[Tensor, Tensor], None]]:
    rows = (
        canvas.detach().permute(0, 2, 3, 1).contiguous()
    )  # no copy of what the network is shown: its channels are last
    crops = rows.new_empty((len(boxes), *shown, rows.shape[3]))
    for crop, (number, box) in zip(crops, boxes, strict=True):
        window = _window(rows[number], box)
        crop.copy_(resample(window, band(box.height, shown[0]).there, band(box.width, shown[1]).there))

    def give_back(gradient: Tensor, total: Tensor) -> None:
        for own, (number, box) in zip(gradient.permute(0, 2, 3, 1).contiguous(), boxes, strict=True):
            part = resample(own, band(box.height, shown[0]).back, band(box.width, shown[1]).back).permute(2, 0, 1)
            for down, below in pieces(box.top, box.height, total.shape[2]):
                for across, right in pieces(box.left, box.width, total.shape[3]):
                    total[number, :, below, right] += part[:, down, across]

    return crops.permute(0, 3, 1, 2), give_back


def _native(
    canvas: Tensor, boxes: list[tuple[int, Box]], shown: tuple[int, int]
) -> tuple[Tensor, Callable[[Tensor, Tensor], None]]:
    windows, crops = [], []
    for number, box in boxes:
        window = _window(canvas[number].detach().permute(1, 2, 0), box).permute(2, 0, 1)[None].requires_grad_()
        windows.append(window)
        smaller = box.height > shown[0] or box.width > shown[1]
        crops.append(F.interpolate(window, size=shown, mode="bilinear", antialias=smaller))

    def give_back(gradient: Tensor, total: Tensor) -> None:
        for (number, box), part in zip(
            boxes, torch.autograd.grad(crops, windows, list(gradient[:, None]), retain_graph=True), strict=True
        ):
            for rows, down in pieces(box.top, box.height, total.shape[2]):
                for columns, across in pieces(box.left, box.width, total.shape[3]):
                    total[number, :, down, across] += part[0, :, rows, columns]

    return torch.cat([crop.detach() for crop in crops]), give_back


def _window(picture: Tensor, box: Box) -> Tensor:
    """Return what lies in a box of a picture (H, W, C)."""
    below, right = pieces(box.top, box.height, picture.shape[0]), pieces(box.left, box.width, picture.shape[1])
    if len(below) == len(right) == 1:
        return picture[below[0][1], right[0][1]]
    return torch.cat([torch.cat([picture[down, across] for _, across in right], dim=1) for _, down in below])


def _matmul(
    canvas: Tensor, boxes: list[tuple[int, Box]], shown: tuple[int, int]
) -> tuple[Tensor, Callable[[Tensor, Tensor], None]]:
    height, width = canvas.shape[2:]
    numbers = torch.tensor([number for number, _ in boxes], device=canvas.device)
    down = torch.stack([_placed(box.top, box.height, height, shown[0], canvas.device) for _, box in boxes])
    across = torch.stack([_placed(box.left, box.width, width, shown[1], canvas.device) for _, box in boxes])
    crops = down[:, None] @ canvas.detach()[numbers] @ across.transpose(1, 2)[:, None]

    def give_back(gradient: Tensor, total: Tensor) -> None:
        wide = gradient @ across[:, None]
        for number in sorted({number for number, _ in boxes}):
            own = (numbers == number).nonzero()[:, 0]
            left = down[own].flatten(0, 1).T  # (H, crops x h): the sum over crops is inside the product
            total[number] += left @ wide[own].transpose(0, 1).flatten(1, 2)

    return crops, give_back


def _placed(first: int, length: int, total: int, shown: int, device: torch.device) -> Tensor:
    """Return the resampling matrix of a range of a whole that wraps around."""
    matrix = weights(length, shown, device)
    out = matrix.new_zeros((shown, total))
    for own, whole in pieces(first, length, total):
        out[:, whole] = matrix[:, own]
    return out


def cosine(start: float, end: float, share: float) -> float:
    """Return a number on the way from one to another, slowly at both ends.

    Parameters
    ----------
    start, end : float
        The two.
    share : float
        How far, in [0, 1].

    Returns
    -------
    float
        Along half a cosine.
    """
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
