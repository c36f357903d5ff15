"""NAdam for a batch of independent problems, of which some may have ended.

References
----------
T. Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016; the form is that of `torch.optim.NAdam`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_BETA1, _BETA2, _EPSILON, _DECAY = 0.9, 0.999, 1e-8, 4e-3


class NAdam:
    """Ascend, each row for itself.

    Parameters
    ----------
    like : Tensor of shape (B, ...)
        What is searched.
    """

    def __init__(self, like: Tensor) -> None:
        self._first, self._second = torch.zeros_like(like), torch.zeros_like(like)
        self._product, self._count = 1.0, 0

    def step(self, values: Tensor, gradient: Tensor, rows: list[int], rate: float) -> None:
        """Go up a gradient.

        Parameters
        ----------
        values : Tensor of shape (B, ...)
            What is searched; written to.
        gradient : Tensor of shape (len(rows), ...)
            Gradients of the rows that go on; written to.
        rows : list of int
            Their places. A row that is left out once must stay out.
        rate : float
            Learning rate.
        """
        self._count += 1
        now = _BETA1 * (1 - 0.5 * 0.96 ** (self._count * _DECAY))
        later = _BETA1 * (1 - 0.5 * 0.96 ** ((self._count + 1) * _DECAY))
        self._product *= now
        own, momentum = rate * (1 - now) / (1 - self._product), rate * later / (1 - self._product * later)
        for place, row in enumerate(rows):
            g, first, second = gradient[place], self._first[row], self._second[row]
            first.lerp_(g, 1 - _BETA1)
            second.mul_(_BETA2).addcmul_(g, g, value=1 - _BETA2)
            size = (second / (1 - _BETA2**self._count)).sqrt_().add_(_EPSILON)
            values[row].addcdiv_(g.mul_(own).add_(first, alpha=momentum), size)
