"""When a prototype is good enough to stop before its last step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from whatwhere.engine._checks import between, integer

if TYPE_CHECKING:
    from numpy.typing import NDArray


class AscentRule(Protocol):
    """What tells from a trace whether to stop; see `Plateau`."""

    def met(self, trace: NDArray[np.float32]) -> bool:
        """Tell whether a prototype with this trace is good enough.

        Parameters
        ----------
        trace : ndarray of shape (steps so far,), float32
            The objective at each step.

        Returns
        -------
        bool
            Whether to stop.
        """
        ...


@dataclass(frozen=True)
class Plateau:
    """Stop where the objective rises no more.

    Parameters
    ----------
    window : int, default 32
        Steps that are averaged; twice as many are taken at least.
    gain : float, default 0.01
        Share of all that was gained so far that a window has to gain over the one before it, in (0, 1).

    Raises
    ------
    TypeError, ValueError
        If a number is of another kind or out of its range.
    """

    window: int = 32
    gain: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", integer("window", self.window, 2, 2**20))
        object.__setattr__(self, "gain", between("gain", self.gain, 0, 1))

    def met(self, trace: NDArray[np.float32]) -> bool:
        """Compare the last window with the one before; see `AscentRule.met`.

        Parameters
        ----------
        trace : ndarray of shape (steps so far,), float32
            The objective at each step.

        Returns
        -------
        bool
            Whether to stop.
        """
        if len(trace) < 2 * self.window:
            return False
        last, before = float(np.mean(trace[-self.window :])), float(np.mean(trace[-2 * self.window : -self.window]))
        return last - before <= self.gain * max(last - float(trace[0]), 0.0)
