"""Concept maps by masking the photo: what hiding parts of it does to the scores of all concepts at once.

The image is blended with a baseline, cell by cell, and run up to the layer; one pass of forwards serves every concept.
Nothing is assumed of the network or of the encoder, so this is the referee of the other kinds of map.

References
----------
T. Fel et al., "Look at the Variance! Efficient Black-box Explanations with Sobol-based Sensitivity Analysis", NeurIPS
2021, arXiv:2111.04138, for ``"sobol"``; `whatwhere.engine.dependence` names those of ``"rise"`` and ``"hsic"``. M. D.
Zeiler, R. Fergus, arXiv:1311.2901, for ``"occlusion"``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from whatwhere.concepts.coder import check_of, check_pixels, pooled
from whatwhere.concepts.maps import ConceptMaps, code_maps
from whatwhere.engine._checks import integer
from whatwhere.engine.baseline import Baseline
from whatwhere.engine.dependence import binary_hsic, coin_masks, shown_effect
from whatwhere.engine.forward import BatchHalved, Landing, MaskedForward, even_batch
from whatwhere.engine.sampling import base_matrices
from whatwhere.engine.sensitivity import total_order, total_order_error
from whatwhere.jobs import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.concepts.coder import ConceptCoder, Of
    from whatwhere.pixels.images import Pixels

Method: TypeAlias = Literal["sobol", "rise", "occlusion", "hsic"]
METHODS = ("sobol", "rise", "occlusion", "hsic")
_ROWS = {"sobol": 16, "rise": 1024, "hsic": 1024}
_FEWEST = {"sobol": 2, "rise": 2, "hsic": 4}
_ADJUSTED = 2  # masks a cell from which least squares on all cells are the better estimate
_FIRST = {"sobol": 2, "rise": 32, "hsic": 64}  # rows of the first map that is shown


@dataclass(frozen=True)
class _Design:
    """Masks row by row, and how their scores become maps."""

    rows: int
    columns: int
    masks: Callable[[NDArray[np.int64]], NDArray[np.floating]]  # of places: row times columns plus column
    estimate: Callable[[NDArray[np.float64]], NDArray[np.float64]]  # (rows, columns, K) to (K, cells)
    due: Callable[[int], bool]  # whether so many rows make a map worth showing
    errors: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None


def black_box_maps(
    coder: ConceptCoder,
    pixels: Pixels,
    *,
    method: Method = "sobol",
    grid: int | tuple[int, int] = 8,
    rows: int | None = None,
    of: Of = "sum",
    baseline: Any = "mean",
    seed: int = 0,
) -> ConceptMaps:
    """Return the maps of all concepts on one image by masking it.

    Parameters
    ----------
    coder : ConceptCoder
        What turns the image into codes. Its encoder need not be differentiable.
    pixels : ndarray of shape (H, W, 3), float32
        What the network is shown, in pixel space (``model.preprocess.pixels``).
    method : str, default "sobol"
        What is made of the scores of masked images:

        ``"sobol"``
            Total-order indices: the share of a score's variance that is left when all but the cell is known. At least
            0, about 1 in sum where cells act alone, more where they act together. Without a sign.
        ``"rise"``
            By how much the score is larger on average where the cell is shown than where it is hidden, other cells
            shown or hidden by coin: signed, in units of the score. From two masks a cell on, what other cells do is
            taken off by least squares, which leaves the expectation as it is.
        ``"occlusion"``
            By how much the score falls when the cell alone is hidden: signed, in units of the score.
        ``"hsic"``
            How much the score depends on whether the cell is shown, in any way: around 0 for a cell that does not
            matter. Without a sign.
    grid : int or (int, int), default 8
        Cells down and across.
    rows : int, optional
        Rows of the Sobol design, each of as many images as there are cells and one; 16 by default, 2 at least. Masks of
        ``"rise"`` and ``"hsic"``; 1,024 by default, 2 and 4 at least. Occlusion needs no such number.
    of : {"sum", "max"}, default "sum"
        How codes are pooled into the score.
    baseline : str, Baseline or image, default "mean"
        What hidden cells show: see `whatwhere.engine.baseline.Baseline`.
    seed : int, default 0
        Same seed, same masks; at least 0.

    Returns
    -------
    ConceptMaps
        Of kind `method`, with values of shape (r, *grid), and errors for ``"sobol"``. A concept without any code on the
        unmasked image is not present, and its map zeros, even if masking should make codes of it.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an option is out of its range, or does not go with the method.
    FloatingPointError
        If a score is NaN or infinite.
    MemoryError
        If not even one image fits into memory.

    Notes
    -----
    Forwards up to the layer: rows times (cells + 1), 1,040 by default, or `rows`, or as many as there are cells; and
    one for the image itself. Codes are computed beside them. None are run where no concept is present.
    """
    steps = black_box_steps(coder, pixels, method=method, grid=grid, rows=rows, of=of, baseline=baseline, seed=seed)
    *_, last = (step.record for step in steps if step.record is not None)
    return last


def black_box_steps(
    coder: ConceptCoder,
    pixels: Pixels,
    *,
    method: Method = "sobol",
    grid: int | tuple[int, int] = 8,
    rows: int | None = None,
    of: Of = "sum",
    baseline: Any = "mean",
    seed: int = 0,
) -> Iterator[Step[ConceptMaps]]:
    """Return the maps of all concepts by masking, as a computation that can be shown and stopped.

    Parameters
    ----------
    coder : ConceptCoder
        What turns the image into codes.
    pixels : ndarray of shape (H, W, 3), float32
        What the network is shown.
    method, grid, rows, of, baseline, seed
        As for `black_box_maps`.

    Returns
    -------
    iterator of Step
        After each batch; nothing is held between two. There are records after each row of a Sobol design from the
        second, and after each power of two of coin masks; of occlusion there is one, at the end.

    Raises
    ------
    TypeError, ValueError, FloatingPointError, MemoryError
        As `black_box_maps`; those of the arguments before the first step.
    """
    if method not in METHODS:
        raise ValueError(f"method: wanted one of {METHODS}, got {method!r}.")
    shown = check_pixels(pixels, coder.model)
    cells = _grid(grid, shown)
    seed = integer("seed", seed, 0)
    if method == "occlusion":
        if rows is not None:
            raise ValueError(f"rows: occlusion hides each cell once and takes no number of rows, got {rows!r}.")
        count = cells[0] * cells[1]
    else:
        count = _ROWS[method] if rows is None else integer("rows", rows, _FEWEST[method])
    plan = _Plan(method, cells, count, check_of(of), seed)
    return _MaskedRun(coder, shown, plan, Baseline.read(baseline).pixels(coder.model, shown)).steps()


@dataclass(frozen=True)
class _Plan:
    method: Method
    grid: tuple[int, int]
    rows: int
    of: Of
    seed: int


class _MaskedRun:
    """One image's maps while its masks are run."""

    def __init__(self, coder: ConceptCoder, pixels: Pixels, plan: _Plan, baseline: Pixels) -> None:
        self._coder, self._pixels, self._plan, self._baseline = coder, pixels, plan, baseline
        self._model = coder.model
        self._record: ConceptMaps | None = None

    def steps(self) -> Iterator[Step[ConceptMaps]]:
        self._look = code_maps(self._coder, self._pixels, of=self._plan.of)
        if not self._look.present.any():
            yield Step(1, 1, "masks", self._assemble(None, None, 0, complete=True))
            return
        design = _design(self._plan, self._look.scores)
        size = design.rows * design.columns
        forward = MaskedForward(
            self._model,
            self._pixels,
            self._baseline,
            self._plan.grid,
            batch_size=even_batch(size, self._model.batch_size, self._model.plan.streams),
            run=self._scores,
        )
        labels = ("the random mask itself", "with redrawn cell") if design.columns > 1 else ("mask",)
        shape = design.rows, design.columns, self._coder.n_concepts
        landing = Landing(shape, self._model.device, self._model.name, labels, what="codes")
        yield Step(0, size, "masks", None)
        yield from self._fill(design, forward, landing)

    def _fill(self, design: _Design, forward: MaskedForward, landing: Landing) -> Iterator[Step[ConceptMaps]]:
        size, place, shown = design.rows * design.columns, 0, 0
        while place < size:
            chunk = np.arange(place, min(place + forward.batch_size, size))
            try:
                landing.put(chunk.tolist(), forward(design.masks(chunk).astype(np.float32)))
            except BatchHalved:
                place -= place % design.columns  # a row is not mixed from two batch sizes
                yield Step(place, size, "masks", self._record)
                continue
            place += len(chunk)
            full = place // design.columns
            ready = next((row for row in range(full, shown, -1) if row == design.rows or design.due(row)), None)
            if ready is not None:
                landing.wait()
                shown = ready
                scores = landing.array[:ready].astype(np.float64)
                errors = None if design.errors is None else design.errors(scores)
                done = ready * design.columns
                self._record = self._assemble(design.estimate(scores), errors, done, complete=ready == design.rows)
            yield Step(place, size, "masks", self._record)

    def _scores(self, images: Tensor) -> Tensor:
        return pooled(self._coder.codes_alone(images), self._plan.of).to(self._model.device).float()

    def _assemble(
        self,
        values: NDArray[np.float64] | None,
        errors: NDArray[np.float64] | None,
        forwards: int,
        *,
        complete: bool,
    ) -> ConceptMaps:
        """Make a record; what is absent from the image itself is 0."""
        present = self._look.present

        def maps(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
            of_cells = np.where(present[:, np.newaxis], numbers, 0)
            return of_cells.reshape(-1, *self._plan.grid).astype(np.float32)

        shown = maps(np.zeros((len(present), self._plan.grid[0] * self._plan.grid[1])) if values is None else values)
        return replace(
            self._look,
            values=shown,
            kind=self._plan.method,
            flat=present & ~shown.any(axis=(1, 2)),
            errors=None if errors is None else maps(errors),
            n_forwards=1 + forwards,
            complete=complete,
        )


def _design(plan: _Plan, reference: NDArray[np.float64]) -> _Design:
    """Lay out the masks of a method."""
    cells, rows, first = plan.grid[0] * plan.grid[1], plan.rows, _FIRST.get(plan.method, 0)
    if plan.method == "sobol":
        a, b = base_matrices("nested", rows, cells, plan.seed)
        member = np.concatenate([np.zeros((1, cells), dtype=bool), np.eye(cells, dtype=bool)])

        def redrawn(places: NDArray[np.int64]) -> NDArray[np.float64]:
            row, column = np.divmod(places, cells + 1)
            return np.where(member[column], b[row], a[row])

        def of_each(estimator: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Any:
            return lambda scores: np.stack([estimator(own) for own in np.moveaxis(scores, -1, 0)])

        return _Design(
            rows, cells + 1, redrawn, of_each(total_order), lambda row: row >= first, of_each(total_order_error)
        )
    if plan.method == "occlusion":
        hidden = 1 - np.eye(cells)
        return _Design(rows, 1, lambda k: hidden[k], lambda y: (reference - y[:, 0]).T, lambda _: False)
    masks = coin_masks(rows, cells, plan.seed)

    def estimate(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        shown, y = masks[: len(scores)], scores[:, 0]
        if plan.method == "hsic":
            return binary_hsic(shown, y)
        return shown_effect(shown, y, adjusted=len(y) >= _ADJUSTED * cells)

    return _Design(
        rows,
        1,
        lambda k: masks[k],
        estimate,
        lambda row: row >= first and row & (row - 1) == 0,
    )


def _grid(grid: Any, pixels: Pixels) -> tuple[int, int]:
    sides = tuple(grid) if isinstance(grid, tuple | list) else (grid, grid)
    if len(sides) != 2:  # noqa: PLR2004  # down and across
        raise ValueError(f"grid: wanted one number of cells a side, or two, got {grid!r}.")
    down, across = (integer("grid", side, 1, most) for side, most in zip(sides, pixels.shape[:2], strict=True))
    return down, across
