"""A look at an image before any method runs: its logits, and how far one answer of the network can be relied on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from whatwhere.nets.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import Pixels

Paused = TypeVar("Paused")

_SAME = 1e-5  # of the largest logit: kernels that add in any order differ by that much
_MIXED = 0.02  # of the largest logit: other kernels for another batch, in half precision, differ by less


@dataclass(frozen=True, eq=False)
class Reference:
    """What a network says of an image, alone and in company.

    Parameters
    ----------
    logits : ndarray of shape (classes,), float32
        Logits of the image alone; finite.
    wobble : float
        Largest difference of a logit when the same image is run again; 0 where that is rounding.
    alone : bool
        Whether an image's logits are its own: where not, and the network does not wobble, they depend on the other
        images of the batch, and images have to be run one by one.
    n_forwards : int
        Images that were run for it.
    net_seconds : float
        Seconds that took.
    """

    logits: NDArray[np.float32]
    wobble: float
    alone: bool
    n_forwards: int
    net_seconds: float


def look(
    model: VisionModel, image: Pixels, beside: Pixels, pause: Callable[[], Paused]
) -> Generator[Paused, None, Reference]:
    """Run an image twice, then beside another one.

    Parameters
    ----------
    model : VisionModel
        The network.
    image : ndarray of shape (h, w, 3), float32
        What the network is shown, in pixel space: already resized and cropped.
    beside : ndarray of shape (h, w, 3), float32
        Another image, unlike the first, such as a baseline.
    pause : callable
        Makes what is yielded between chunks of work.

    Yields
    ------
    object
        What `pause` makes, once; nothing is held meanwhile.

    Returns
    -------
    Reference
        Logits, wobble, and whether images may share a batch.

    Raises
    ------
    FloatingPointError
        If a logit is NaN or infinite.

    Notes
    -----
    Four images. Where two at a time do not fit into memory nobody is ever beside the image, and it is taken as alone.
    """
    begin = time.perf_counter()
    with model.computing():
        inputs, other = model.to_input(image), model.to_input(beside)
        first, again = (_read(model.logits(inputs.clone())) for _ in range(2))
    seconds = time.perf_counter() - begin
    yield pause()
    begin = time.perf_counter()
    try:
        with model.computing(refresh=False):
            mixed = _read(model.logits(torch.cat([inputs, other])))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        mixed = first
    seconds += time.perf_counter() - begin
    if not np.isfinite(first).all():
        raise FloatingPointError(
            f"{model.name}: {int((~np.isfinite(first)).sum())} of {len(first)} logits of the unmasked image are "
            "NaN or infinite; check the weights and the preprocessing."
        )
    scale = float(np.abs(first).max())
    apart = float(np.abs(first - again).max())
    wobble = apart if apart > _SAME * scale else 0.0
    alone = wobble > 0 or float(np.abs(first - mixed).max()) <= _MIXED * scale
    return Reference(first, wobble, alone, n_forwards=4, net_seconds=seconds)


def _read(logits: Tensor) -> NDArray[np.float32]:
    return logits[0].to(torch.float32, copy=True).cpu().numpy()
