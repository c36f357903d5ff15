"""How others work, written anew for comparison: the published Sobol code's way, captum where installed, and RISE."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from whatwhere.engine.sampling import published_points

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    import whatwhere as ww
    from whatwhere.pixels.images import Pixels

_BATCH = 32  # what the published code and our runs of captum take at a time


def plain_network(model: ww.VisionModel) -> nn.Module:
    """Copy the network as a person has it: contiguous, in evaluation mode, its parameters asking for gradients."""
    net = copy.deepcopy(model.source_net).to(model.device).eval().requires_grad_(requires_grad=True)
    return net.to(memory_format=torch.contiguous_format)


def published_masks(rows: int, grid: int) -> Tensor:
    """Return all masks (rows (cells + 2), 1, grid, grid) in the published order: all of A, all of B, then each C_i."""
    a, b = published_points(rows, grid * grid)
    redrawn = []
    for cell in range(grid * grid):
        c = a.copy()
        c[:, cell] = b[:, cell]
        redrawn.append(c)
    stacked = np.concatenate([a, b, *redrawn]).astype(np.float32)
    return torch.from_numpy(stacked).view(-1, 1, grid, grid)


def published_way(net: nn.Module, image: Tensor, masks: Tensor, target: int, batch: int = _BATCH) -> Tensor:
    """Score masked images as the published code does.

    Every batch of masks is resized to the image by nearest neighbours and applied in float32, step by step; autograd
    records the network, since its parameters ask for gradients; each batch's scores are fetched before the next.
    """
    size, baseline = image.shape[-2:], 0.0
    scores = []
    for start in range(0, len(masks), batch):
        wide = functional.interpolate(masks[start : start + batch].to(image.device), size=size, mode="nearest")
        masked = image * wide + (1.0 - wide) * baseline
        scores.append(net(masked)[:, target].detach().cpu())
    return torch.cat(scores)


def no_captum() -> str:
    """Say why captum is not measured; nothing where it can be."""
    try:
        import captum.attr  # noqa: F401
    except ImportError as error:
        return f"captum is not measured: {error}."
    return ""


class Counted:
    """A network that counts the images it is shown."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.images = net, 0

    def __call__(self, batch: Tensor) -> Tensor:
        self.images += len(batch)
        return self.net(batch)


def captum_ablation(net: Counted, image: Tensor, target: int, forwards: int) -> None:
    """Ablate the cells of a grid by captum, one at a time, with about `forwards` forwards."""
    from captum.attr import FeatureAblation

    from whatwhere.engine.masks import cell_index

    side = max(int((forwards - 1) ** 0.5), 1)
    cells = torch.from_numpy(cell_index(*image.shape[-2:], (side, side))).to(image.device)
    FeatureAblation(net).attribute(
        image, target=target, feature_mask=cells.expand(1, 1, -1, -1), perturbations_per_eval=_BATCH
    )


def captum_occlusion(net: Counted, image: Tensor, target: int, forwards: int) -> None:
    """Slide a window of an eighth of the image by captum, with about `forwards` forwards."""
    from captum.attr import Occlusion

    channels, height, width = image.shape[1:]
    places = max(int((forwards - 1) ** 0.5), 2)
    window = channels, height // 8, width // 8
    strides = channels, -(-(height - window[1]) // (places - 1)), -(-(width - window[2]) // (places - 1))
    Occlusion(net).attribute(
        image, sliding_window_shapes=window, strides=strides, target=target, perturbations_per_eval=_BATCH
    )


CAPTUM = {"captum FeatureAblation, 32 at a time": captum_ablation, "captum Occlusion, 32 at a time": captum_occlusion}


def rise(
    model: ww.VisionModel, pixels: Pixels, grid: int, count: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score RISE's masks: coin flips on a grid, enlarged bilinearly and cut out at a random shift.

    Returns the logits of the class predicted on the unmasked image, (count,), and each mask's mean over every cell,
    (count, cells): a cell's value is the mean of its pixels' values.

    References
    ----------
    V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", BMVC 2018,
    arXiv:1806.07421, section 3.2.
    """
    generator = torch.Generator().manual_seed(seed)
    height, width = pixels.shape[:2]
    cell = -(-height // grid), -(-width // grid)
    scores, means = [], []
    with model.computing():
        image = model.to_input(pixels)
        target = int(model.logits(image)[0].argmax())
        runner = model.runner()
        for start in range(0, count, model.batch_size):
            number = min(model.batch_size, count - start)
            coins = (torch.rand((number, 1, grid, grid), generator=generator) < 0.5).float().to(model.device)
            size = (grid + 1) * cell[0], (grid + 1) * cell[1]
            wide = functional.interpolate(coins, size=size, mode="bilinear", align_corners=False)
            down, across = (torch.randint(c + 1, (number,), generator=generator).tolist() for c in cell)
            cut = [wide[k, :, d : d + height, a : a + width] for k, (d, a) in enumerate(zip(down, across, strict=True))]
            masks = torch.stack(cut)
            batch = (masks * image).contiguous(memory_format=torch.channels_last)
            scores.append(runner(batch)[:, target])
            means.append(functional.adaptive_avg_pool2d(masks, grid).flatten(1))
        y, m = torch.cat(scores), torch.cat(means)
    return y.double().cpu().numpy(), m.double().cpu().numpy()


def rise_map(scores: NDArray[Any], means: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean score under the masks that show a cell, weighted by how much they show."""
    return scores @ means / means.sum(axis=0)
