"""Total-order indices of concepts over many images, in rounds of more and more rows, until their order holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from whatwhere.engine._checks import integer
from whatwhere.engine._gate_methods import design
from whatwhere.engine.importance import WEIGHTINGS, Importance, Weighting, order_settled, pool
from whatwhere.engine.responses import Prober

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.engine.responses import Response

Until: TypeAlias = Callable[[Importance, Importance | None], bool]


def total_indices(
    responses: Sequence[Response],
    rank: int,
    *,
    rows: int = 64,
    first: int = 8,
    seed: int = 0,
    weighting: Weighting = "equal",
    until: Until | None = order_settled,
    batch: int = 256,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> Iterator[Importance]:
    """Estimate the importance of concepts over images, better and better.

    Parameters
    ----------
    responses : sequence of callable
        Of each image, a function of gates (m, r) to scores (m,). Each is asked for once a round, in order, so the
        sequence may load images.
    rank : int
        Number r of concepts, at least 1.
    rows : int, default 64
        Most rows of each image's design, at least 2.
    first : int, default 8
        Rows of the first round, 2 to `rows`; each round doubles them.
    seed : int, default 0
        Same seed, same designs; at least 0. Image i has the scramble `image_seed(seed, i)`, whatever stands beside it.
    weighting : {"equal", "variance"}
        Whether images count alike, as published, or by the variance of their score.
    until : callable or None, default order_settled
        Takes this round's and the last round's `Importance` (None after the first round) and says whether to stop. With
        None all rows are asked for.
    batch : int, default 256
        Most rows of gates at a time, at least 1.
    device : torch.device, optional
        Where gates are put; the CPU by default.
    dtype : torch.dtype, default torch.float32
        Floating-point type of the gates.

    Returns
    -------
    iterator of Importance
        One after each image of each round, and after each batch of rows between, valid to stop at. During the first
        round it counts the images so far, and is made anew after 1, 2, 4, 8… of them; during later rounds it is that of
        the round before. The last one has ``complete`` set.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or a response returns no tensor of floating-point numbers.
    ValueError
        If there is no image, a number is out of its range, or a response returns scores of another shape or not finite;
        the message names the image. What can be checked without a response is checked before the first `next`.

    Notes
    -----
    ``images rows (r + 1)`` evaluations at most: B is never asked for. A shorter run is the first part of a longer
    one, to the last bit. Nothing is held between two yields, no gradients are taken. Scores are kept, 8 bytes each:
    13 kB an image of 64 rows and 25 concepts.

    Examples
    --------
    >>> images = [lambda gates: gates @ torch.tensor([3.0, 1.0]), lambda gates: gates @ torch.tensor([2.0, 1.0])]
    >>> *_, last = total_indices(images, 2)
    >>> last.order.tolist(), last.complete
    ([0, 1], True)
    """
    given: object = responses  # callers may not have looked at the annotation
    if not isinstance(given, Sequence) and not (hasattr(given, "__getitem__") and hasattr(given, "__len__")):
        raise TypeError(f"responses: wanted a sequence of functions, got {type(given).__name__}; list(…) makes one.")
    if not len(responses):
        raise ValueError("responses: wanted at least one image, got an empty sequence.")
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting: wanted one of {WEIGHTINGS}, got {weighting!r}.")
    if until is not None and not callable(until):
        raise TypeError(f"until: wanted a function of two Importance or None, got {type(until).__name__}.")
    rows = integer("rows", rows, 2)
    plan = _Plan(rank, rows, integer("first", first, 2, rows), integer("seed", seed, 0), weighting, until)

    def prober(i: int, response: Response) -> Prober:
        return Prober(response, rank, batch=batch, device=device, dtype=dtype, name=f"responses[{i}]")

    prober(0, lambda gates: gates.sum(dim=1))  # what is wrong with the options is said now
    return _rounds(responses, plan, prober, max(1, batch // (rank + 1)))


def image_seed(seed: int, number: int) -> int:
    """Return the seed of one image's design.

    Parameters
    ----------
    seed : int
        Seed of the run, at least 0.
    number : int
        Place of the image, from 0.

    Returns
    -------
    int
        A seed of 64 bits; `whatwhere.engine.gates.attribute` with it and ``"sobol"`` gives that image's indices.

    Raises
    ------
    TypeError, ValueError
        If a number is not an integer of at least 0.
    """
    words = np.random.SeedSequence([integer("seed", seed, 0), integer("number", number, 0)])
    return int(words.generate_state(1, np.uint64)[0])


@dataclass(frozen=True)
class _Plan:
    rank: int
    rows: int
    first: int
    seed: int
    weighting: Weighting
    until: Until | None

    def rounds(self) -> Iterator[int]:
        rows = self.first
        while rows < self.rows:
            yield rows
            rows *= 2
        yield self.rows


def _rounds(
    responses: Sequence[Response], plan: _Plan, prober: Callable[[int, Response], Prober], size: int
) -> Iterator[Importance]:
    """Ask for rounds of rows, `size` rows at a time."""
    scores: list[NDArray[np.float64]] = []
    before: Importance | None = None
    state: Importance | None = None
    for rows in plan.rounds():
        for i in range(len(responses)):
            if before is None:
                scores.append(np.empty((0, plan.rank + 1)))
            gates = design(rows, plan.rank, image_seed(plan.seed, i), done=len(scores[i]))
            asked = prober(i, responses[i])
            for first in range(0, len(gates), size):
                if first and state is not None:
                    yield state
                scores[i] = np.concatenate([scores[i], asked.scores(gates[first : first + size])])
            if i + 1 == len(responses):
                break
            if before is None and (state is None or len(scores) == 2 * len(state.flat)):
                state = pool(scores, plan.weighting)
            if state is not None:
                yield state
        now = pool(scores, plan.weighting)
        settled = plan.until is not None and bool(plan.until(now, before))
        state = before = replace(now, settled=settled, complete=settled or rows == plan.rows)
        yield state
        if state.complete:
            return
