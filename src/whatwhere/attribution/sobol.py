"""Sobol attribution maps: how much of a score's variance each part of an image carries.

References
----------
T. Fel, R. Cadène, M. Chalvidal, M. Cord, D. Vigouroux, T. Serre, "Look at the Variance! Efficient Black-box
Explanations with Sobol-based Sensitivity Analysis", NeurIPS 2021, arXiv:2111.04138.
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from whatwhere.engine._checks import integer
from whatwhere.engine.baseline import Baseline
from whatwhere.engine.sampling import SAMPLERS, base_matrices
from whatwhere.engine.scores import SCORES
from whatwhere.jobs import Job, Step
from whatwhere.pixels.images import DatasetImage, is_one_image, iterate_images, name_images, read_photo
from whatwhere.progress import with_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from whatwhere.attribution.record import Attribution
    from whatwhere.engine.scores import ScoreKind
    from whatwhere.engine.stopping import StopRule
    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import ImageLike

_AXES = 2
_MIN_ROWS = 2
_MAX_SEED = 2**63
_KEPT_DESIGNS = 8  # base matrices in memory: 16 kB each by default


@dataclass(frozen=True, repr=False)
class Sobol:
    """Sobol indices of the cells of a grid, for every class at once.

    The image is faded towards a baseline, cell by cell, under random masks in [0, 1]; a cell's total-order index is the
    share of the score's variance that is left when all other cells are known. Estimated by Jansen's formula on nested,
    Owen-scrambled nets, in row-major order: after any row there is a valid map.

    Parameters
    ----------
    grid : int or (int, int), default 8
        Cells down and across. Finer maps cost proportionally more forwards.
    rows : int, default 32
        Rows of the design, at least 2; below 16 the map is flagged as noisy. Errors fall with its square root; each row
        costs one forward a cell, plus one.
    seed : int, default 0
        Same seed, same masks.
    baseline : {"mean", "black", "white", "blur"}, Baseline or image, default "mean"
        What masked cells fade to, in pixel space. It changes what is asked: "mean" asks for the cell against the
        model's mean colour, "blur" for its detail.
    score : {"logit", "softmax", "log_softmax", "margin"} or callable, default "logit"
        What is explained; any other can be read off the same record. A callable gets logits (N, classes) and returns
        (N,); it compares by identity.
    first_order : bool, default False
        Whether to compute first-order indices as well, for one more forward a row.
    refine : bool, default False
        Whether to go from coarse to fine, and to redraw only the cells of blocks that matter: a quarter of the forwards
        on a 16 x 16 grid. Cells of the other blocks get their block's index, an upper bound.
    until : StopRule, optional
        Stops before `rows` when it is met for the explained class, for example ``Width(0.2)`` or ``RankStability()``.
    sampler : {"nested", "published", "random"}, default "nested"
        Where masks come from. "published" are the unscrambled points of the reference code, for comparison: they stamp
        a fixed pattern on every map.

    Raises
    ------
    TypeError
        If an option is of another type.
    ValueError
        If an option is out of range, or options do not go together.

    Notes
    -----
    Cost: ``rows * (cells + 1)`` forwards an image, 2,080 by default. Memory: the logits of all classes, 8.3 MB for
    1,000 classes by default, within ``whatwhere.limits.logits_bytes`` over all records.

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
    baseline: Any = "mean"
    score: ScoreKind = "logit"
    first_order: bool = False
    refine: bool = False
    until: StopRule | None = None
    sampler: str = "nested"

    def __post_init__(self) -> None:
        """Check every option."""
        grid = self.grid if isinstance(self.grid, tuple | list) else (self.grid, self.grid)
        if len(grid) != _AXES:
            raise ValueError(f"grid: wanted an int or (down, across), got {self.grid!r}.")
        object.__setattr__(self, "grid", tuple(integer("grid", side, 1, 64) for side in grid))
        object.__setattr__(self, "rows", integer("rows", self.rows, _MIN_ROWS, 2**16))
        object.__setattr__(self, "seed", integer("seed", self.seed, 0, _MAX_SEED))
        object.__setattr__(self, "baseline", Baseline.read(self.baseline))
        if self.cells == 1:
            raise ValueError("grid: wanted at least two cells, got one: its index is always 1.")
        if not callable(self.score) and self.score not in SCORES:
            raise ValueError(f"score: wanted one of {list(SCORES)} or a function of logits, got {self.score!r}.")
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler: wanted one of {list(SAMPLERS)}, got {self.sampler!r}.")
        if self.until is not None and not callable(getattr(self.until, "met", None)):
            raise TypeError(f"until: wanted a stop rule, such as Width(0.2), got {self.until!r}.")
        if self.refine and self.until is not None:
            raise ValueError("until: a refined design needs all its rows at every level; use one of the two.")
        for option in ("first_order", "refine"):
            if not isinstance(getattr(self, option), bool):
                raise TypeError(f"{option}: wanted True or False, got {getattr(self, option)!r}.")

    def __repr__(self) -> str:
        down, across = self.shape
        told: dict[str, Any] = {
            "grid": down if down == across else (down, across),
            "rows": self.rows,
            "seed": self.seed,
        }
        for option in fields(self)[3:]:
            value = getattr(self, option.name)
            if isinstance(value, Baseline):
                value = value.short
            if value != option.default:
                told[option.name] = value
        return f"Sobol({', '.join(f'{name}={value!r}' for name, value in told.items())})"

    @property
    def shape(self) -> tuple[int, int]:
        """Cells down and across."""
        assert isinstance(self.grid, tuple)
        return self.grid

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.shape[0] * self.shape[1]

    def masks(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the random masks of the design.

        Returns
        -------
        a, b : ndarray of shape (rows, cells), float32
            Values in [0, 1]: the mask of each row, and what its cells are redrawn with; read-only.
        """
        return _masks(self.sampler, self.rows, self.cells, self.seed)

    def run(
        self, model: VisionModel, images: Any, *, target: int | str | None = None, progress: bool | None = None
    ) -> Any:
        """Explain images, to the last row.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : image, or dict, sequence, folder or dataset of images
            Anything `whatwhere.pixels.images.read_photo` reads.
        target : int or str, optional
            Class that a stop rule or refinement looks at; by default the predicted one.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Returns
        -------
        Attribution, or a dict or list of Attribution
            One for an image, a dict for a dict or folder, a list for the rest.

        Raises
        ------
        TypeError, ValueError
            If an image cannot be read. Images that are in memory are all read before the first is computed; files and
            items of a dataset are read when their turn comes.

        Warns
        -----
        UserWarning
            If the network is not deterministic, or its weights changed meanwhile.
        """
        named = name_images(images)
        for name, image in named.items():
            if not isinstance(image, str | DatasetImage) and not hasattr(image, "__fspath__"):
                named[name] = read_photo(image, name=name)  # the record keeps it anyway
        records = dict(self.each(model, named, target=target, progress=progress))
        if is_one_image(images):
            return next(iter(records.values()))
        return records if hasattr(images, "keys") or _is_folder(images) else list(records.values())

    def each(
        self, model: VisionModel, images: Any, *, target: int | str | None = None, progress: bool | None = None
    ) -> Iterator[tuple[str, Attribution]]:
        """Explain images one after the other, holding none: memory stays flat however many there are.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : iterable of images
            Also a folder, a dataset, a DataLoader by ``model.images_from(loader)``, or a generator; read one at a time.
        target : int or str, optional
            Class that a stop rule or refinement looks at; by default the predicted one.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Yields
        ------
        name, record : str, Attribution
            Each image's finished record.
        """
        for step in with_bar(self._each_steps(model, images, target), "Sobol", "row", progress=progress):
            if step.record is None:
                continue
            name, record = step.record
            for caveat in record.caveats():
                warnings.warn(f"{name}: {caveat}", UserWarning, stacklevel=2)
            yield name, record

    def _each_steps(
        self, model: VisionModel, images: Any, target: int | str | None
    ) -> Iterator[Step[tuple[str, Attribution]]]:
        """Count rows, and give each image's record once it is finished."""
        sized = hasattr(images, "__len__") and not is_one_image(images) and not _is_folder(images)
        total = len(images) * self.rows if sized else 0
        for k, (name, image) in enumerate(iterate_images(images)):
            photo = read_photo(image, name=name)
            record = None
            for record in self.stream(model, photo, target=target):
                yield Step(k * self.rows + record.rows, total, name, None)
            assert record is not None
            yield Step((k + 1) * self.rows, total, name, (name, record))

    def stream(
        self, model: VisionModel, image: ImageLike, *, target: int | str | None = None, preview: bool = False
    ) -> Iterator[Attribution]:
        """Explain one image, yielding ever better records.

        Parameters
        ----------
        model : VisionModel
            The network.
        image : image
            Anything `whatwhere.pixels.images.read_photo` reads.
        target : int or str, optional
            Class that a stop rule or refinement looks at; by default the predicted one.
        preview : bool, default False
            Whether to begin with a coarse map, from blocks of cells under the same masks: a few extra forwards for a
            first picture many times sooner.

        Yields
        ------
        Attribution
            After each row from the second on (on a GPU at most twenty times a second; refined, after each row of the
            first level and each further level); each is valid to stop at. Nothing is held between two of them.
        """
        last: Attribution | None = None
        for step in self.steps(model, image, target=target, preview=preview):
            if step.record is not None and step.record is not last:
                last = step.record
                yield last

    def submit(
        self, model: VisionModel, image: ImageLike, *, target: int | str | None = None, preview: bool = False
    ) -> Job[Attribution]:
        """Make a job that explains one image on the worker thread.

        Parameters
        ----------
        model : VisionModel
            The network.
        image : image
            Anything `whatwhere.pixels.images.read_photo` reads; it is read, and refused, at once.
        target : int or str, optional
            Class that a stop rule or refinement looks at; by default the predicted one.
        preview : bool, default False
            Whether to begin with a coarse map.

        Returns
        -------
        Job
            Not started yet: ``start()`` or ``wait()`` does.
        """
        photo = read_photo(image)
        if target is not None:
            target = model.class_names.resolve(target)
        return Job(
            lambda: self.steps(model, photo, target=target, preview=preview), device=str(model.device), name="Sobol"
        )

    def steps(
        self, model: VisionModel, image: ImageLike, *, target: int | str | None = None, preview: bool = False
    ) -> Iterator[Step[Attribution]]:
        """Explain one image, yielding after every batch of forwards.

        Parameters
        ----------
        model : VisionModel
            The network.
        image : image
            Anything `whatwhere.pixels.images.read_photo` reads.
        target : int or str, optional
            Class that a stop rule or refinement looks at; by default the predicted one.
        preview : bool, default False
            Whether to begin with a coarse map.

        Yields
        ------
        Step
            Forwards done and to do, the stage (``"preview"``, ``"tuning"`` or ``"rows"``), and the best record so far
            or None. Of a record that `whatwhere.cache` has there is one step.
        """
        from whatwhere.attribution._sobol_run import SobolRun
        from whatwhere.attribution.keeping import Keeper

        photo = read_photo(image)
        keeper = Keeper(self, model, photo, target)
        if (found := keeper.find()) is not None:
            yield Step(found.n_forwards, found.n_forwards, "rows", found)
            return
        kept = None
        for step in SobolRun(self, model, photo, target=target, preview=preview).steps():
            if step.record is not None and step.record.complete and step.record is not kept:
                kept = step.record
                keeper.keep(kept)
            yield step


@functools.lru_cache(maxsize=_KEPT_DESIGNS)
def _masks(sampler: str, rows: int, cells: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    a, b = (base.astype("float32") for base in base_matrices(sampler, rows, cells, seed=seed))
    a.flags.writeable = b.flags.writeable = False
    return a, b


def _is_folder(images: Any) -> bool:
    return isinstance(images, str) or hasattr(images, "__fspath__")
