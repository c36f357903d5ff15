"""One image's Sobol design while it is filled: preview, tuning, rows, and from coarse to fine."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from whatwhere import limits
from whatwhere.attribution.record import Attribution
from whatwhere.engine.forward import BatchHalved, Landing, MaskedForward, even_batch
from whatwhere.engine.logits import Logits
from whatwhere.engine.masks import block_index
from whatwhere.engine.reference import look
from whatwhere.engine.refine import alive, blocks, levels
from whatwhere.engine.sensitivity import total_order, total_order_error
from whatwhere.engine.tuning import Tuner
from whatwhere.jobs import Step
from whatwhere.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from whatwhere.attribution.sobol import Sobol
    from whatwhere.model import VisionModel
    from whatwhere.nets.plans import Plan
    from whatwhere.pixels.images import Photo

_FIRST_ROWS = 2  # a map needs two
_PREVIEW_ROWS = 4  # rows of the preview, and rows of the full design from which it replaces the preview
_PREVIEW_FROM = 6  # cells a side from which a preview by blocks of two by two saves enough
_TUNING_FROM = 1000  # forwards that make measuring worth while
_TUNING_SHARE = 0.05  # of the design's forwards, at most, go into measuring
_PUBLISH = 0.05  # seconds between records on a GPU, where reading one means waiting for it


@dataclass
class _Design:
    """Groups of cells that are redrawn together, and where their logits go."""

    member: NDArray[np.bool_]  # (columns, cells): which cells of a column come from B
    groups: NDArray[np.int64]  # (cells,)
    grid: tuple[int, int]
    stage: str
    landing: Landing


class SobolRun:
    """One image's design while it is filled.

    Parameters
    ----------
    method : Sobol
        The method.
    model : VisionModel
        The network.
    photo : Photo
        The image.
    target : int or str, optional
        Class that the stop rule and refinement look at; by default the predicted one.
    preview : bool, default False
        Whether to begin with a coarse map.
    """

    def __init__(
        self, method: Sobol, model: VisionModel, photo: Photo, *, target: int | str | None, preview: bool
    ) -> None:
        self._method, self._model, self._photo = method, model, photo
        self._geometry = model.preprocess.geometry(photo)
        self._pixels = model.preprocess.pixels(photo)
        _check_grid(method.shape, self._pixels.shape)
        self._a, self._b = method.masks()
        self._target = None if target is None else model.class_names.resolve(target)
        self._preview = preview and not method.refine and min(method.shape) >= _PREVIEW_FROM
        self._fingerprint = model.fingerprint()
        self._stamp = model.stamp()
        self._done = self._total = self._extra = self._design_forwards = 0
        self._seconds = self._net_seconds = 0.0
        self._record: Attribution | None = None
        self._chunk = time.perf_counter()

    def steps(self) -> Iterator[Step[Attribution]]:
        """Run the image itself, then the preview, then the design.

        Yields
        ------
        Step
            After every batch.
        """
        for step in self._stages():
            yield step
            self._chunk = time.perf_counter()  # what passed since is not ours

    def _stages(self) -> Iterator[Step[Attribution]]:
        stage = "preview" if self._preview else "rows"
        self._reference = yield from self._look(stage)
        self._forward = self._new_forward()
        yield self._step(stage)
        if self._preview:
            yield from self._run_preview()
        tune = self._alone and not self._model.tuned and self._planned() >= _TUNING_FROM
        if tune and not self._preview:
            yield from self._measure()
        elif not tune and not self._model.noise_known:
            yield from self._tune(lambda tuner: tuner.check(), 0)
        yield from self._refined() if self._method.refine else self._full(tune=tune and self._preview)

    # -- stages -------------------------------------------------------------------------------------------------------

    def _look(self, stage: str) -> Generator[Step[Attribution], None, NDArray[np.float32]]:
        """Run the unmasked image: its prediction, and whether that can be relied on."""
        baseline = self._method.baseline.pixels(self._model, self._pixels)
        found = yield from look(self._model, self._pixels, baseline, lambda: self._step(stage))
        self._net_seconds += found.net_seconds
        self._extra += found.n_forwards
        self._wobble, self._alone = found.wobble, found.alone
        return found.logits

    def _run_preview(self) -> Iterator[Step[Attribution]]:
        """Redraw blocks of two by two under the design's first masks."""
        blocks = tuple(-(-side // 2) for side in self._method.shape)
        design = self._make_design(
            block_index(self._method.shape, (blocks[0], blocks[1])),
            grid=(blocks[0], blocks[1]),
            stage="preview",
            rows=min(_PREVIEW_ROWS, self._method.rows),
        )
        size = design.landing.array[..., 0].size
        self._total = self._planned() + size
        with self._store(design.landing) as store:
            yield from self._fill(design, store, first=_FIRST_ROWS)
        self._extra += size

    def _tune(self, what: Callable[[Tuner], Iterator[Plan]], budget: int) -> Iterator[Step[Attribution]]:
        """Measure how this network runs fastest here, or what its precision does, then run the design that way."""
        tuner = Tuner(self._model, budget, self._pixels)
        for _ in what(tuner):
            yield self._step("tuning")
        self._net_seconds += self._forward.net_seconds
        self._extra += tuner.n_forwards + self._forward.n_padding + self._forward.n_setup
        self._forward = self._new_forward()

    def _measure(self) -> Iterator[Step[Attribution]]:
        yield from self._tune(lambda tuner: tuner.steps(), int(_TUNING_SHARE * self._planned()))

    def _full(self, *, tune: bool) -> Iterator[Step[Attribution]]:
        """Fill the design row by row, until the last or until the stop rule is met; `tune` once there is a map."""
        method = self._method
        design = self._make_design(np.arange(method.cells), grid=method.shape, stage="rows", rows=method.rows)
        self._total = self._done + self._planned()
        first = min(_PREVIEW_ROWS if self._preview else _FIRST_ROWS, method.rows)
        with self._store(design.landing) as store:
            begun = first if tune and first < method.rows else 0
            if begun:  # somebody waits for the first map
                if (yield from self._fill(design, store, first=first, rows=(0, begun))):
                    return
                yield from self._measure()
            yield from self._fill(design, store, first=first, rows=(begun, method.rows))

    def _refined(self) -> Iterator[Step[Attribution]]:
        """Go from coarse blocks to cells, splitting only the blocks whose index may matter."""
        method = self._method
        settled: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []  # a group's cells, and its column
        open_cells = np.arange(method.cells)
        grids = levels(method.shape)
        ends: NDArray[np.float32] | None = None  # the columns of A, and of B
        forwards = 0
        for level, member in enumerate(blocks(grids)):
            groups = np.full(method.cells, -1)
            groups[open_cells] = np.unique(member[open_cells], return_inverse=True)[1]
            design = self._make_design(
                groups, grid=method.shape, stage="rows", rows=method.rows, ends=level == 0 or None
            )
            self._total = max(self._total, self._done + design.landing.array[..., 0].size)
            with self._store(design.landing) as store:
                yield from self._fill(design, store, first=_FIRST_ROWS if level == 0 else None)
            logits = design.landing.array
            forwards += logits[..., 0].size
            self._design_forwards = forwards
            if ends is None:
                ends = logits[:, [0, -1]] if method.first_order else logits[:, :1]
                logits = logits[:, 1:-1] if method.first_order else logits[:, 1:]
            fresh = [(np.flatnonzero(groups == g), logits[:, g]) for g in range(logits.shape[1])]
            record = self._assemble([*settled, *fresh], ends, complete=level == len(grids) - 1)
            yield self._step("rows")
            if level == len(grids) - 1:
                return
            keep = self._worth_splitting(record)
            settled += [group for group, kept in zip(fresh, keep[len(settled) :], strict=True) if not kept]
            split = [cells for (cells, _), kept in zip(fresh, keep[-len(fresh) :], strict=True) if kept]
            if not split:
                self._assemble(settled, ends, complete=True)
                yield self._step("rows")
                return
            open_cells = np.concatenate(split)

    def _worth_splitting(self, record: Attribution) -> NDArray[np.bool_]:
        scores = record.scores(self._target)
        return alive(total_order(scores), total_order_error(scores), rows=len(scores))

    def _assemble(
        self, parts: list[tuple[NDArray[np.int64], NDArray[np.float32]]], ends: NDArray[np.float32], *, complete: bool
    ) -> Attribution:
        """Make a record of groups that were filled at different levels."""
        groups = np.empty(self._method.cells, dtype=np.int64)
        for g, (cells, _) in enumerate(parts):
            groups[cells] = g
        columns = [ends[:, :1], *(column[:, np.newaxis] for _, column in parts)]
        store = Logits(np.concatenate([*columns, ends[:, 1:]], axis=1), self._reference)
        store.settle(len(ends))
        return self._new_record(
            store, len(ends), groups, grid=self._method.shape, preview=not complete, complete=complete
        )

    # -- filling ------------------------------------------------------------------------------------------------------

    def _fill(
        self, design: _Design, store: Logits, *, first: int | None, rows: tuple[int, int] | None = None
    ) -> Generator[Step[Attribution], None, bool]:
        """Run a design row by row, or only some rows; from row `first` on, make a record whenever a row is full.

        Tells whether the stop rule was met.
        """
        whole, columns = design.landing.array.shape[:2]
        begin, end = (0, whole) if rows is None else rows
        size = end * columns
        place, shown, published = begin * columns, begin, 0.0
        while place < size:
            chunk = np.arange(place, min(place + self._forward.batch_size, size))
            row, column = np.divmod(chunk, columns)
            masks = np.where(design.member[column], self._b[row], self._a[row])
            try:
                design.landing.put(chunk.tolist(), self._forward(masks))
            except BatchHalved:
                self._done -= place % columns
                self._extra += place % columns
                place -= place % columns  # a row is not mixed from two batch sizes
                yield self._step(design.stage)
                continue
            place += len(chunk)
            self._done += len(chunk)
            full = place // columns
            store.filled = full
            due = self._model.device.type == "cpu" or time.perf_counter() - published > _PUBLISH
            if first is None or full <= shown or full < first or not (due or full == end):
                yield self._step(design.stage)
                continue
            design.landing.wait()
            published = time.perf_counter()
            enough = self._enough(design, store, range(max(shown + 1, first), full + 1))
            shown = enough or full
            self._publish(design, store, shown, done=enough is not None or shown == whole)
            yield self._step(design.stage)
            if enough is not None:
                store.filled = shown
                self._extra += place - shown * columns
                return True
        design.landing.wait()
        return False

    def _enough(self, design: _Design, store: Logits, rows: range) -> int | None:
        """Return the first of some rows at which the stop rule is met, whatever the batches were."""
        rule = self._method.until
        if rule is None or design.stage == "preview" or self._method.refine:
            return None
        target = int(self._reference.argmax()) if self._target is None else self._target
        groups = int(design.groups.max()) + 1
        scores = store.scores(target, self._method.score, rows[-1])[:, : groups + 1]
        return next((row for row in rows if rule.met(scores[:row])), None)

    def _publish(self, design: _Design, store: Logits, full: int, *, done: bool) -> None:
        """Make a record of the rows so far."""
        coarse = design.stage == "preview" or self._method.refine
        if design.stage != "preview":
            self._design_forwards = full * design.landing.array.shape[1]
        self._new_record(store, full, design.groups, grid=design.grid, preview=coarse, complete=done and not coarse)

    def _make_design(
        self, groups: NDArray[np.int64], *, grid: tuple[int, int], stage: str, rows: int, ends: bool | None = True
    ) -> _Design:
        """Lay out the columns of a grouping: A, each group redrawn, and B where first-order indices are wanted."""
        count = int(groups.max()) + 1
        member = groups[np.newaxis] == np.arange(count)[:, np.newaxis]
        if ends:
            member = np.concatenate([np.zeros((1, len(groups)), dtype=bool), member])
            if self._method.first_order and stage != "preview":
                member = np.concatenate([member, np.ones((1, len(groups)), dtype=bool)])
        shape = (rows, len(member), len(self._model.class_names))
        _check_size(shape)
        per_cell = np.arange(grid[0] * grid[1]) if stage == "preview" else groups
        columns = ("the random mask itself", "with redrawn group") if ends else ("with redrawn group",)
        landing = Landing(shape, self._model.device, self._model.name, columns)
        return _Design(member, per_cell, grid, stage, landing)

    def _store(self, landing: Landing) -> AbstractContextManager[Logits]:
        return Logits(landing.array, self._reference).filling()

    def _new_forward(self) -> MaskedForward:
        model = self._model
        baseline = self._method.baseline.pixels(model, self._pixels)
        with model.computing():
            plan = model.runner().plan  # settled by now
        size = plan.batch_size
        if not self._method.refine:
            size = even_batch(self._planned(), size, plan.streams)
        if not self._alone:
            size = 1
        return MaskedForward(model, self._pixels, baseline, self._method.shape, batch_size=size)

    def _planned(self) -> int:
        """Count the forwards of the whole design; refined, of its first level."""
        method = self._method
        grid = levels(method.shape)[0] if method.refine else method.shape
        return method.rows * (grid[0] * grid[1] + 1 + method.first_order)

    # -- telling ------------------------------------------------------------------------------------------------------

    def _step(self, stage: str) -> Step[Attribution]:
        """Close a chunk of work."""
        self._seconds += time.perf_counter() - self._chunk
        return Step(self._done, max(self._total, self._done), stage, self._record)

    def _new_record(
        self,
        store: Logits,
        rows: int,
        groups: NDArray[np.int64],
        *,
        grid: tuple[int, int],
        preview: bool,
        complete: bool,
    ) -> Attribution:
        self._record = Attribution(
            store=store,
            rows=rows,
            reference=self._reference,
            grid=grid,
            groups=groups,
            n_forwards=rows * store.shape[1] if preview and not self._method.refine else self._design_forwards,
            method=self._method,
            provenance=self._provenance(complete=complete),
            class_names=self._model.class_names,
            geometry=self._geometry,
            photo=self._photo,
            preview=preview,
            complete=complete,
        )
        return self._record

    def _provenance(self, *, complete: bool) -> Provenance:
        forward = self._forward
        plan = replace(forward.plan, batch_size=forward.batch_size)
        return Provenance.of(
            self._model,
            fingerprint=self._fingerprint,
            stamp=self._stamp,
            complete=complete,
            plan=plan.describe(self._model.precision) + (", tokens blended" if forward.blends_tokens else ""),
            seconds=self._seconds + time.perf_counter() - self._chunk,
            net_seconds=self._net_seconds + forward.net_seconds,
            n_extra=self._extra + forward.n_padding + forward.n_setup,
            noise=plan.noise,
            wobble=self._wobble,
            alone=self._alone,
        )


def _check_size(shape: tuple[int, int, int]) -> None:
    size = math.prod(shape) * np.dtype(np.float32).itemsize
    if size > limits.logits_bytes:
        raise ValueError(
            f"rows: the logits of {shape[0]} rows x {shape[1]} masked images x {shape[2]} classes take {size:,} bytes, "
            f"more than whatwhere.limits.logits_bytes = {limits.logits_bytes:,}. Raise that, or use fewer rows, a "
            "coarser grid, refine=True, or an output= of fewer classes."
        )


def _check_grid(grid: tuple[int, int], size: tuple[int, ...]) -> None:
    if grid[0] > size[0] or grid[1] > size[1]:
        raise ValueError(
            f"grid: wanted at most one cell a pixel of the network's input, {size[0]} x {size[1]}, got {grid[0]} x "
            f"{grid[1]}."
        )
