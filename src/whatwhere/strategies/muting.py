"""What a photo's prediction becomes when a concept is taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whatwhere.strategies.truth import NO_CLASS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Muting:
    """Predictions without each concept.

    Parameters
    ----------
    drops : ndarray of shape (n, r), float32
        How much the explained class's probability falls when the concept is taken away, -1 to 1.
    becomes : ndarray of shape (n, r), int64
        The class that is predicted then.
    """

    drops: NDArray[np.float32]
    becomes: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Hold the arrays against writing: records are shared."""
        self.drops.flags.writeable = self.becomes.flags.writeable = False

    def take(self, rows: NDArray[Any]) -> Muting:
        """Return those of some photos.

        Parameters
        ----------
        rows : ndarray of int or bool
            Which.

        Returns
        -------
        Muting
            Theirs.
        """
        return Muting(self.drops[rows], self.becomes[rows])

    @classmethod
    def joined(cls, parts: Sequence[Muting]) -> Muting:
        """Put several one after the other.

        Parameters
        ----------
        parts : sequence of Muting
            At least one.

        Returns
        -------
        Muting
            Of all their photos.
        """
        return cls(np.concatenate([p.drops for p in parts]), np.concatenate([p.becomes for p in parts]))


def predicted(logits: Tensor) -> Tensor:
    """Read predictions off logits.

    Parameters
    ----------
    logits : Tensor of shape (..., K)
        Logits.

    Returns
    -------
    Tensor of shape (...,), int64
        The class with the largest; of a single logit 0 where it is above 0, and `NO_CLASS` elsewhere.
    """
    if logits.shape[-1] == 1:
        return torch.where(logits[..., 0] > 0, 0, NO_CLASS)
    return logits.argmax(dim=-1)


def probability(logits: Tensor, classes: Tensor) -> Tensor:
    """Compute the probability of one class a photo.

    Parameters
    ----------
    logits : Tensor of shape (n, ..., K)
        Logits.
    classes : Tensor of shape (n,), int64
        Class ids.

    Returns
    -------
    Tensor of shape (n, ...), float32
        Softmax, or the sigmoid of a single logit.
    """
    if logits.shape[-1] == 1:
        return logits[..., 0].sigmoid()
    index = classes.reshape(-1, *[1] * (logits.ndim - 1)).expand(*logits.shape[:-1], 1)
    return (logits.gather(-1, index)[..., 0] - logits.logsumexp(dim=-1)).exp()


def effect(logits: Tensor, muted: Tensor, classes: Tensor) -> Muting:
    """Compare predictions with those without each concept.

    Parameters
    ----------
    logits : Tensor of shape (n, K)
        The network's own.
    muted : Tensor of shape (n, r, K)
        Without each concept.
    classes : Tensor of shape (n,), int64
        The explained class of each photo.

    Returns
    -------
    Muting
        On the CPU.
    """
    drops = probability(logits, classes)[:, None] - probability(muted, classes)
    return Muting(drops.float().cpu().numpy().copy(), predicted(muted).cpu().numpy().copy())
