"""Sobol attribution maps: how much of a score's variance each part of an image carries.

References
----------
T. Fel, R. Cadène, M. Chalvidal, M. Cord, D. Vigouroux, T. Serre, "Look at the Variance! Efficient Black-box
Explanations with Sobol-based Sensitivity Analysis", NeurIPS 2021, arXiv:2111.04138.
"""

from __future__ import annotations

import operator
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere._version import __version__
from whatwhere.attribution.provenance import Provenance
from whatwhere.attribution.record import Attribution
from whatwhere.engine.masks import block_index
from whatwhere.engine.sampling import nested_net
from whatwhere.images import is_one_image, name_images, read_photo
from whatwhere.jobs import Job, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from whatwhere.engine.forward import MaskedForward
    from whatwhere.images import ImageLike
    from whatwhere.model import VisionModel

_AXES = 2
_MIN_ROWS = 2
_PREVIEW_ROWS = 4  # rows of the preview, and rows of the full design from which it replaces the preview
_PREVIEW_FROM = 6  # cells a side from which a preview by blocks of two by two saves enough
_MAX_SEED = 2**63


@dataclass(frozen=True)
class Sobol:
    """Total-order Sobol indices of the cells of a grid, for every class at once.

    The image is faded towards the model's mean colour, cell by cell, under random masks in [0, 1]; a cell's total-order
    index is the share of the score's variance that is left when all other cells are known. Estimated by Jansen's
    formula on nested, Owen-scrambled nets, in row-major order: after any row there is a valid map.

    Parameters
    ----------
    grid : int or (int, int), default 8
        Cells down and across. Finer maps cost proportionally more forwards.
    rows : int, default 32
        Rows of the design, at least 2. Errors fall with its square root; each row costs one forward a cell, plus one.
    seed : int, default 0
        Same seed, same masks.

    Raises
    ------
    TypeError
        If an option is not an integer.
    ValueError
        If an option is out of range.

    Notes
    -----
    Cost: ``rows * (cells + 1)`` forwards an image, 2,080 by default. Memory: the logits of all classes, 8.3 MB for
    1,000 classes by default.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> a = ww.Sobol(grid=3, rows=4).run(model, ww.examples.photos()["coffee"])
    >>> a.values("espresso").shape, a.n_forwards
    ((3, 3), 40)
    """

    grid: int | tuple[int, int] = 8
    rows: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every option."""
        grid = self.grid if isinstance(self.grid, tuple | list) else (self.grid, self.grid)
        if len(grid) != _AXES:
            raise ValueError(f"grid: wanted an int or (down, across), got {self.grid!r}.")
        object.__setattr__(self, "grid", tuple(_integer("grid", side, 1, 64) for side in grid))
        object.__setattr__(self, "rows", _integer("rows", self.rows, _MIN_ROWS, 2**16))
        object.__setattr__(self, "seed", _integer("seed", self.seed, 0, _MAX_SEED))
        if self.cells == 1:
            raise ValueError("grid: wanted at least two cells, got one: its index is always 1.")

    def __repr__(self) -> str:
        down, across = self.shape
        return f"Sobol(grid={down if down == across else (down, across)}, rows={self.rows}, seed={self.seed})"

    @property
    def shape(self) -> tuple[int, int]:
        """Cells down and across."""
        assert isinstance(self.grid, tuple)
        return self.grid

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.shape[0] * self.shape[1]

    def run(self, model: VisionModel, images: Any, *, progress: bool | None = None) -> Any:
        """Explain images, to the last row.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : image, or dict or sequence of images
            Anything `whatwhere.images.read_photo` reads.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Returns
        -------
        Attribution, or a dict or list of Attribution
            One for an image, the same container for several.

        Raises
        ------
        TypeError, ValueError
            If an image cannot be read; all images are checked before the first is computed.
        """
        from tqdm import tqdm

        named = {name: read_photo(image, name=name) for name, image in name_images(images).items()}
        hidden = None if progress is None else not progress
        records: dict[str, Attribution] = {}
        with tqdm(total=len(named) * self.rows, desc="Sobol", unit="row", disable=hidden) as bar:
            for k, (name, photo) in enumerate(named.items()):
                for record in self.stream(model, photo):
                    records[name] = record
                    bar.update(k * self.rows + record.rows - bar.n)
        if is_one_image(images):
            return next(iter(records.values()))
        return records if hasattr(images, "keys") else list(records.values())

    def stream(self, model: VisionModel, image: ImageLike, *, preview: bool = False) -> Iterator[Attribution]:
        """Explain one image, yielding ever better records.

        Parameters
        ----------
        model : VisionModel
            The network.
        image : image
            Anything `whatwhere.images.read_photo` reads.
        preview : bool, default False
            Whether to begin with a coarse map, from blocks of cells under the same masks: a few extra forwards for a
            first picture many times sooner.

        Yields
        ------
        Attribution
            After each row from the second on; each is valid to stop at. Nothing is held between two of them.
        """
        last: Attribution | None = None
        for step in self.steps(model, image, preview=preview):
            if step.record is not None and step.record is not last:
                last = step.record
                yield last

    def submit(self, model: VisionModel, image: ImageLike, *, preview: bool = False) -> Job[Attribution]:
        """Make a job that explains one image on the worker thread.

        Parameters
        ----------
        model : VisionModel
            The network.
        image : image
            Anything `whatwhere.images.read_photo` reads; it is read, and refused, at once.
        preview : bool, default False
            Whether to begin with a coarse map.

        Returns
        -------
        Job
            Not started yet: ``start()`` or ``wait()`` does.
        """
        photo = read_photo(image)
        return Job(lambda: self.steps(model, photo, preview=preview), device=str(model.device), name="Sobol")

    def steps(self, model: VisionModel, image: ImageLike, *, preview: bool = False) -> Iterator[Step[Attribution]]:
        """Explain one image, yielding after every batch of forwards.

        Parameters
        ----------
        model : VisionModel
            The network.
        image : image
            Anything `whatwhere.images.read_photo` reads.
        preview : bool, default False
            Whether to begin with a coarse map.

        Yields
        ------
        Step
            Forwards done and to do, the stage (``"preview"`` or ``"rows"``), and the best record so far or None.
        """
        yield from _Run(self, model, image, preview=preview and min(self.shape) >= _PREVIEW_FROM).steps()


class _Run:
    """One image's design while it is filled."""

    def __init__(self, method: Sobol, model: VisionModel, image: ImageLike, *, preview: bool) -> None:
        from whatwhere.engine.forward import MaskedForward

        self._begin = time.perf_counter()
        self._method, self._model = method, model
        self._photo = read_photo(image)
        self._geometry = model.preprocess.geometry(self._photo)
        self._forward: MaskedForward = MaskedForward(model, model.preprocess.pixels(self._photo), method.shape)
        self._a, self._b = (base.astype(np.float32) for base in nested_net(method.rows, method.cells, seed=method.seed))
        self._fingerprint = model.fingerprint()
        self._seconds = 0.0
        classes = len(model.class_names)
        self._reference = np.empty(classes, dtype=np.float32)
        self._logits = np.empty((method.rows, method.cells + 1, classes), dtype=np.float32)
        blocks = tuple(-(-side // 2) for side in method.shape)
        self._blocks: tuple[int, int] = (blocks[0], blocks[1])
        preview_rows = min(_PREVIEW_ROWS, method.rows) if preview else 0
        self._coarse = np.empty((preview_rows, blocks[0] * blocks[1] + 1, classes), dtype=np.float32)
        self._extra = 0

    def steps(self) -> Iterator[Step[Attribution]]:
        """Fill the reference and the preview, then the design, row by row."""
        method, coarse = self._method, self._coarse
        self._total = 1 + coarse.shape[0] * (coarse.shape[1] - 1) + method.rows * (method.cells + 1)
        self._done = 0
        self._reference[:] = self._evaluate(np.ones((1, method.cells), dtype=np.float32))[0]
        self._extra += 1
        yield Step(self._done, self._total, "preview" if len(coarse) else "rows", None)
        if len(coarse):
            yield from self._preview()
        shown = _PREVIEW_ROWS if len(coarse) else _MIN_ROWS
        yield from self._fill(
            self._logits, np.arange(method.cells), "rows", skip=len(coarse), shown=min(shown, method.rows)
        )

    def _preview(self) -> Iterator[Step[Attribution]]:
        """Redraw whole blocks under the design's first masks, whose own logits are kept for the design."""
        coarse = self._coarse
        yield from self._fill(coarse, block_index(self._method.shape, self._blocks), "preview", skip=0, shown=_MIN_ROWS)
        self._logits[: len(coarse), 0] = coarse[:, 0]
        self._extra += coarse.shape[0] * (coarse.shape[1] - 1)

    def _fill(
        self, out: NDArray[np.float32], group: NDArray[np.int64], stage: str, *, skip: int, shown: int
    ) -> Iterator[Step[Attribution]]:
        """Evaluate the design of a grouping of cells into `out`; column 0 of the first `skip` rows is there already."""
        places = [(k, j) for k in range(len(out)) for j in range(out.shape[1]) if j or k >= skip]
        size = self._forward.batch_size
        record, rows = self._last, 0
        for start in range(0, len(places), size):
            chunk = places[start : start + size]
            masks = np.stack([self._mask(k, j, group) for k, j in chunk])
            for (k, j), logits in zip(chunk, self._evaluate(masks), strict=True):
                out[k, j] = logits
            full = len(out) if start + size >= len(places) else places[start + size][0]
            if full > rows and full >= shown:
                rows, record = full, self._record(out[:full], stage)
            yield Step(self._done, self._total, stage, record)

    _last: Attribution | None = None

    def _mask(self, row: int, column: int, group: NDArray[np.int64]) -> NDArray[np.float32]:
        if column == 0:
            return self._a[row]
        return np.where(group == column - 1, self._b[row], self._a[row])

    def _evaluate(self, masks: NDArray[np.float32]) -> NDArray[np.float32]:
        begin = time.perf_counter()
        logits = self._forward(masks)
        self._seconds += time.perf_counter() - begin
        self._done += len(masks)
        return logits

    def _record(self, logits: NDArray[np.float32], stage: str) -> Attribution:
        view = logits.view()
        view.flags.writeable = False
        model, method = self._model, self._method
        self._last = Attribution(
            logits=view,
            reference=self._reference,
            grid=self._blocks if stage == "preview" else method.shape,
            method=method,
            provenance=Provenance(
                model=model.name,
                fingerprint=self._fingerprint,
                source=model.source,
                device=str(model.device),
                score="logit",
                baseline="mean",
                version=__version__,
                seconds=self._seconds,
                n_extra=self._extra + self._forward.n_padding,
            ),
            class_names=model.class_names,
            geometry=self._geometry,
            photo=self._photo,
            preview=stage == "preview",
            complete=stage == "rows" and len(logits) == method.rows,
        )
        return self._last


def _integer(name: str, value: Any, low: int, high: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: wanted an integer, got {type(value).__name__} {value!r}.") from None
    if not low <= number <= high:
        raise ValueError(f"{name}: wanted an integer from {low} to {high}, got {number}.")
    return number
