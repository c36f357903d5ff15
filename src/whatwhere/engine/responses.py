"""Responses to gates: how a score answers when concepts are turned down, off or on.

An image is written in r concepts, by codes u (r,) or maps of codes (h, w, r). A *gate* multiplies the codes of one
concept at all places, so that a row of gates m (r,) stands for the image m * u: ones are the image as it is, zeros its
baseline. A *response* takes rows of gates to scores; it decodes, and so knows the network, the bank and the class:
``scores = h((m * u) W + residual)[:, c]``. Whoever asks about concepts knows gates only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from whatwhere.engine._checks import integer

if TYPE_CHECKING:
    from numpy.typing import NDArray

Response: TypeAlias = Callable[[Tensor], Tensor]


class Prober:
    """Asks one response for scores and gradients, a batch of gates at a time, and counts.

    Parameters
    ----------
    response : callable
        Takes gates (m, r) and returns scores (m,), each row for itself; on whatever device, in any floating-point
        type. Gradients are asked of it only by `gradients`.
    rank : int
        Number r of gates, at least 1.
    batch : int, default 256
        Most rows of gates at a time, at least 1.
    device : torch.device, optional
        Where gates are put; the CPU by default.
    dtype : torch.dtype, default torch.float32
        Floating-point type of the gates.
    name : str, default "response"
        What messages call the response.

    Attributes
    ----------
    rank : int
        Number of gates.
    asked : int
        Rows of gates that the response has answered.

    Raises
    ------
    TypeError
        If `response` cannot be called, a number is not an integer or `dtype` not a floating-point type.
    ValueError
        If a number is out of its range.

    Notes
    -----
    A call waits for the device once, at its end. The modes of autograd that a call sets are left as they were. How
    exactly products are computed is the response's affair: TensorFloat-32 in it shows as noise of every difference.

    Examples
    --------
    >>> prober = Prober(lambda gates: gates @ torch.tensor([1.0, 2.0]), 2)
    >>> prober.scores(np.eye(2)), prober.asked
    (array([1., 2.]), 2)
    """

    def __init__(
        self,
        response: Response,
        rank: int,
        *,
        batch: int = 256,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        name: str = "response",
    ) -> None:
        given: object = response  # callers may not have looked at the annotation
        if not callable(given):
            raise TypeError(f"{name}: wanted a function of gates (m, r), got {type(given).__name__}.")
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise TypeError(f"dtype: wanted a floating-point type such as torch.float32, got {dtype!r}.")
        self.rank, self.asked = integer("rank", rank, 1), 0
        self._batch, self._response, self._name = integer("batch", batch, 1), response, name
        self._device, self._dtype = device, dtype

    def scores(self, gates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ask for scores, without gradients.

        Parameters
        ----------
        gates : ndarray of shape (..., r)
            Gates.

        Returns
        -------
        ndarray of shape (...), float64
            Scores.

        Raises
        ------
        TypeError
            If the response returns something other than a tensor of floating-point numbers.
        ValueError
            If the gates are not r a row, or the scores are of another shape than one a row, or not finite.
        """
        with torch.no_grad():
            answers = [self._answer(part).detach() for part in self._batches(gates)]
        return self._finite(_told(answers), "scores").reshape(np.shape(gates)[:-1])

    def gradients(self, gates: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ask for scores and for their gradients by the gates.

        Parameters
        ----------
        gates : ndarray of shape (m, r)
            Gates.

        Returns
        -------
        scores : ndarray of shape (m,), float64
            Scores.
        gradients : ndarray of shape (m, r), float64
            Derivative of each row's score by each of its gates.

        Raises
        ------
        TypeError, ValueError
            As `scores`; also if the response passes no gradients, or passes some that are not finite.

        Notes
        -----
        Gradients are taken of the gates only, so that weights are not asked for theirs; caller and response may be in
        any mode of autograd, but a response that reads tensors made in inference mode cannot pass gradients.
        """
        answers, slopes = [], []
        with torch.inference_mode(mode=False), torch.enable_grad():
            for part in self._batches(gates):
                leaf = part.clone().requires_grad_()
                answer = self._answer(leaf)
                slope = torch.autograd.grad(answer.sum(), leaf, allow_unused=True)[0] if answer.requires_grad else None
                if slope is None:
                    raise ValueError(
                        f"{self._name}: wanted scores that pass gradients to the gates, got scores without; decode "
                        "outside of torch.no_grad and without .detach(), or take a method that needs no gradients."
                    )
                answers.append(answer.detach())
                slopes.append(slope)
        return self._finite(_told(answers), "scores"), self._finite(_told(slopes), "gradients")

    def _batches(self, gates: NDArray[np.float64]) -> tuple[Tensor, ...]:
        if np.ndim(gates) == 0 or np.shape(gates)[-1] != self.rank or not np.size(gates):
            raise ValueError(f"gates: wanted shape (..., {self.rank}) with a row at least, got {np.shape(gates)}.")
        rows = torch.as_tensor(np.reshape(gates, (-1, self.rank)), device=self._device, dtype=self._dtype)
        return torch.split(rows, self._batch)

    def _answer(self, gates: Tensor) -> Tensor:
        answer: object = self._response(gates)
        if not isinstance(answer, Tensor):
            raise TypeError(f"{self._name}: wanted a tensor of scores, got {type(answer).__name__}.")
        if not answer.is_floating_point():
            raise TypeError(f"{self._name}: wanted floating-point scores, got dtype {answer.dtype}.")
        if tuple(answer.shape) != (len(gates),):
            raise ValueError(
                f"{self._name}: wanted one score for each row of gates, shape {(len(gates),)}, got "
                f"{tuple(answer.shape)}; pick the class's column."
            )
        self.asked += len(gates)
        return answer

    def _finite(self, values: NDArray[np.float64], what: str) -> NDArray[np.float64]:
        bad = ~np.isfinite(values)
        if bad.any():
            place = int(np.argwhere(bad)[0][0])
            raise ValueError(
                f"{self._name}: wanted finite {what}, got {values[bad][0]} for row {place} of the gates, "
                f"{int(bad.sum())} such of {values.size}; decode in float32, or leave this image out."
            )
        return values


def _told(parts: list[Tensor]) -> NDArray[np.float64]:
    return torch.cat(parts).cpu().to(torch.float64).numpy()
