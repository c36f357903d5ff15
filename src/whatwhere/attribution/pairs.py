"""Partners of a cell: which other cells it acts together with.

References
----------
R. Liu, A. B. Owen, "Estimating mean dimensionality of analysis of variance decompositions", Journal of the American
Statistical Association 101 (2006), doi:10.1198/016214505000001410.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.engine import confidence, pairs, sensitivity
from whatwhere.engine.logits import Logits
from whatwhere.jobs import Job, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from whatwhere.attribution.record import Attribution
    from whatwhere.engine.confidence import Bound
    from whatwhere.engine.scores import ScoreKind
    from whatwhere.model import VisionModel

_CELL_AXES = 2
_FIRST_ROWS = 2  # a spread needs two


@dataclass(frozen=True)
class SobolPairs:
    """Superset importance of one cell with others: the share of the variance that involves both.

    Uses the rows of a finished map again: only the masks with both cells redrawn are new.

    Parameters
    ----------
    cell : (int, int)
        Row and column of the cell.
    partners : int, optional
        How many cells to look at, those that `Attribution.interactions` ranks first for the target; by default all.

    Raises
    ------
    TypeError, ValueError
        If an option is of another type or out of range.

    Notes
    -----
    Cost: one forward a row and partner, 2,016 for 8 x 8 cells and 32 rows.
    """

    cell: tuple[int, int]
    partners: int | None = None

    def __post_init__(self) -> None:
        """Check both options."""
        if not isinstance(self.cell, tuple | list) or len(self.cell) != _CELL_AXES:
            raise TypeError(f"cell: wanted (row, column), got {self.cell!r}.")
        object.__setattr__(self, "cell", (int(self.cell[0]), int(self.cell[1])))
        if self.partners is not None and (not isinstance(self.partners, int) or self.partners < 1):
            raise ValueError(f"partners: wanted an integer from 1, or None for all cells, got {self.partners!r}.")

    def run(self, model: VisionModel, record: Attribution, *, target: int | str | None = None) -> PairMap:
        """Look at a cell's partners.

        Parameters
        ----------
        model : VisionModel
            The network that made the record.
        record : Attribution
            A finished map of single cells.
        target : int or str, optional
            Class whose likeliest partners are looked at, where not all are; by default the predicted one.

        Returns
        -------
        PairMap
            For every class and score.

        Raises
        ------
        ValueError
            If the record is a preview, was refined, or comes from other weights; or the cell lies outside its grid.
        DroppedClassError
            If the record's logits were dropped to save memory.
        """
        last: PairMap | None = None
        for step in self.steps(model, record, target=target):
            last = step.record or last
        assert last is not None
        return last

    def submit(self, model: VisionModel, record: Attribution, *, target: int | str | None = None) -> Job[PairMap]:
        """Make a job that looks at a cell's partners on the worker thread.

        Parameters
        ----------
        model : VisionModel
            The network that made the record.
        record : Attribution
            A finished map of single cells.
        target : int or str, optional
            Class whose likeliest partners are looked at.

        Returns
        -------
        Job
            Not started yet.
        """
        self._check(model, record)
        return Job(lambda: self.steps(model, record, target=target), device=str(model.device), name="SobolPairs")

    def steps(
        self, model: VisionModel, record: Attribution, *, target: int | str | None = None
    ) -> Iterator[Step[PairMap]]:
        """Look at a cell's partners, yielding after every batch of forwards.

        Parameters
        ----------
        model : VisionModel
            The network that made the record.
        record : Attribution
            A finished map of single cells.
        target : int or str, optional
            Class whose likeliest partners are looked at.

        Yields
        ------
        Step
            Forwards done and to do; a record after each row from the second on.
        """
        from whatwhere.engine.forward import BatchHalved, Landing, MaskedForward

        self._check(model, record)
        method = record.method
        own = self.cell[0] * record.grid[1] + self.cell[1]
        others = self._choose(record, own, target)
        pixels = model.preprocess.pixels(record.photo)
        forward = MaskedForward(model, pixels, method.baseline.pixels(model, pixels), method.shape)
        shape = record.rows, len(others), len(model.class_names)
        landing = Landing(shape, model.device, model.name, ("with partner",))
        a, b = method.masks()
        cells = np.arange(method.cells)
        both = (cells == own) | (cells == others[:, np.newaxis])
        found, place, size = None, 0, record.rows * len(others)
        with Logits(landing.array, record.reference).filling() as store:
            while place < size:
                chunk = np.arange(place, min(place + forward.batch_size, size))
                row, column = np.divmod(chunk, len(others))
                try:
                    landing.put(chunk.tolist(), forward(np.where(both[column], b[row], a[row])))
                except BatchHalved:
                    continue
                place += len(chunk)
                store.filled = place // len(others)
                if store.filled >= _FIRST_ROWS and (found is None or store.filled > found.rows):
                    landing.wait()
                    found = PairMap(self, record, store, store.filled, others)
                yield Step(place, size, "pairs", found)

    def _check(self, model: VisionModel, record: Attribution) -> None:
        down, across = record.grid
        if not (0 <= self.cell[0] < down and 0 <= self.cell[1] < across):
            raise ValueError(f"cell: wanted a row below {down} and a column below {across}, got {self.cell}.")
        if record.preview or record.n_groups != down * across:
            raise ValueError("record: wanted a map of single cells, got a preview or one that was refined.")
        if record.provenance.fingerprint != model.fingerprint():
            raise ValueError(
                f"model: its weights {model.fingerprint()} are not those that made the record, "
                f"{record.provenance.fingerprint}. Run the method again."
            )
        record.store.array()

    def _choose(self, record: Attribution, own: int, target: int | str | None) -> NDArray[np.int64]:
        others = np.delete(np.arange(record.n_groups), own)
        if self.partners is None or self.partners >= len(others):
            return others
        likely = np.argsort(-record.interactions(target)[own, others], kind="stable")
        return np.sort(others[likely[: self.partners]])


@dataclass(frozen=True, eq=False, repr=False)
class PairMap:
    """Which cells one cell acts together with, for any class and score.

    Parameters
    ----------
    method : SobolPairs
        The method with its options.
    base : Attribution
        The map whose rows were used.
    store : Logits
        Logits with both cells redrawn, (rows, partners, classes).
    rows : int
        Rows that are in.
    partners : ndarray of shape (partners,), int64
        Cells that were looked at.
    """

    method: SobolPairs
    base: Attribution
    store: Logits
    rows: int
    partners: NDArray[np.int64]

    @property
    def n_forwards(self) -> int:
        """Forward passes beyond those of the map."""
        return self.rows * len(self.partners)

    def values(
        self,
        target: int | str | None = None,
        *,
        bound: Bound | None = None,
        level: float = 0.95,
        score: ScoreKind | None = None,
    ) -> NDArray[np.float32]:
        """Return the superset importance of the cell with every other, without a forward pass.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        bound : {"lower", "upper"}, optional
            An end of the confidence interval in place of the estimate.
        level : float, default 0.95
            Level of the interval, in (0, 1).
        score : str or callable, optional
            What is explained; by default the map's.

        Returns
        -------
        ndarray of shape `grid`, float32
            Share of the variance that involves both cells, at least 0; NaN at the cell itself and where nobody looked.

        Raises
        ------
        ValueError
            If `bound` is not known.
        """
        own = self.method.cell[0] * self.base.grid[1] + self.method.cell[1]
        y = self.base.scores(target, score=score)
        kind = self.base.method.score if score is None else score
        c_ij = self.store.scores(self.base.resolve(target), kind, self.rows)
        variance = sensitivity.pooled_variance(y)
        part = y[: self.rows]
        columns = part[:, 0], part[:, 1 + own], part[:, 1 + self.partners], c_ij
        found = pairs.superset(*columns, variance)

        def errors() -> NDArray[np.float64]:
            return pairs.superset_error(*columns, variance, spread=sensitivity.row_spread(y)[: self.rows])

        out = np.full(self.base.grid[0] * self.base.grid[1], np.nan)
        out[self.partners] = confidence.bounded(found, bound, errors, self.rows, level)
        return out.reshape(self.base.grid).astype(np.float32)

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NDArray[Any]:
        """Return `values` of the predicted class."""
        del copy
        return self.values().astype(dtype or np.float32)

    def __repr__(self) -> str:
        values = self.values()
        best = np.unravel_index(int(np.nanargmax(values)), values.shape)
        return (
            f"<PairMap of cell {self.method.cell}: {len(self.partners)} partners, {self.rows} rows; "
            f"most with ({best[0]}, {best[1]}), {np.nanmax(values):.2f} of the variance>"
        )
