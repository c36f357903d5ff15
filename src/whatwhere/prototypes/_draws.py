"""The random numbers of an ascent: a generator a seed and use, so that a prototype's do not depend on its company."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from whatwhere.prototypes.views import draw_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from whatwhere.prototypes._method import Method
    from whatwhere.prototypes.views import View

_PHASE, _CROPS, _WHOLE, _NOISE, _AGAIN = range(5)


class Views(NamedTuple):
    """What is drawn for a step and a seed.

    Attributes
    ----------
    parts, wholes : sequence of Box or Turned
        Views; and those for targets that have places.
    noise : Tensor of shape (K, C, h, w) or None
        What is added to them.
    """

    parts: Sequence[View]
    wholes: Sequence[View]
    noise: Tensor | None


class Draws:
    """The random numbers of an ascent.

    Parameters
    ----------
    method : Method
        The method.
    channels : int
        Channels of the network's input.
    shown : (int, int)
        Height and width of the network's input.
    device : torch.device
        Where noise is drawn; all else is drawn on the CPU, so that it is the same on every device.
    """

    def __init__(self, method: Method, channels: int, shown: tuple[int, int], device: torch.device) -> None:
        self._method, self._shown, self._device = method, shown, device
        self._noise = (method.crops, channels, *shown)
        uses = (_CROPS, _WHOLE, _NOISE)
        self._random = {
            (s, use): _generator(s, use, device if use == _NOISE else None) for s in method.seeds for use in uses
        }

    def step(self, number: int) -> dict[int, Views]:
        """Draw what the pictures are looked at by in a step.

        Parameters
        ----------
        number : int
            The step; they are drawn one after the other.

        Returns
        -------
        dict of int to Views
            For each seed.
        """
        method = self._method
        share = number / max(1, method.steps - 1)
        law, whole = method.law(share), method.whole_law(share)
        sizes = (method.shape, self._shown)
        return {
            seed: Views(
                law.draw(method.crops, *sizes, self._random[seed, _CROPS]),
                whole.draw(method.crops, *sizes, self._random[seed, _WHOLE]),
                draw_noise(self._noise, method.noise, method.uniform_noise, self._random[seed, _NOISE], self._device),
            )
            for seed in method.seeds
        }

    @staticmethod
    def phases(seed: int, attempt: int = 0) -> torch.Generator:
        """Return the generator of first phases.

        Parameters
        ----------
        seed : int
            The seed.
        attempt : int, default 0
            How often phases were drawn before.

        Returns
        -------
        torch.Generator
            Of the CPU.
        """
        return _generator(seed, _PHASE if attempt == 0 else _AGAIN + attempt)


def _generator(seed: int, use: int, device: torch.device | None = None) -> torch.Generator:
    state = int(np.random.SeedSequence([seed, use]).generate_state(1, np.uint64)[0])
    return torch.Generator(device or "cpu").manual_seed(state & (2**63 - 1))
