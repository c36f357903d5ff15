"""The record of an attribution: stored logits and their provenance, from which every map is read off."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from whatwhere.engine import confidence, effects, pairs, sensitivity
from whatwhere.engine.masks import block_index
from whatwhere.engine.placing import place_on_photo
from whatwhere.provenance import Prediction

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from whatwhere.attribution.sobol import Sobol
    from whatwhere.classes import ClassNames
    from whatwhere.engine.confidence import Bound
    from whatwhere.engine.logits import Logits
    from whatwhere.engine.placing import Interpolation
    from whatwhere.engine.scores import ScoreKind
    from whatwhere.pixels.geometry import Geometry
    from whatwhere.pixels.images import Photo
    from whatwhere.provenance import Provenance

Kind: TypeAlias = Literal["total", "first", "slope"]


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """Where a network looks on one image, for any class and score: the logits of a masking design.

    Parameters
    ----------
    store : Logits
        The logits of the design. Column 0 of a row is the image under a random mask, column 1 + i the same with group
        i's mask redrawn; with first-order indices, the last column is the image under the redrawn mask itself.
    rows : int
        Rows of the design that are in.
    reference : ndarray of shape (classes,), float32
        Logits of the unmasked image.
    grid : (int, int)
        Cells down and across.
    groups : ndarray of shape (cells,), int64
        Group that each cell was redrawn with: itself, or, where cells were pruned, its block.
    n_forwards : int
        Forward passes of the design; others are counted in ``provenance.n_extra``.
    method : Sobol
        The method with its options.
    provenance : Provenance
        What made it.
    class_names : ClassNames
        Names by id.
    geometry : Geometry
        Where the network's input lies on the photo.
    photo : Photo
        The photo.
    preview : bool, default False
        Whether it is a coarse preview: a block's index is, in expectation, never below its cells'.
    complete : bool, default True
        Whether the design is finished: all rows, or as many as the stop rule asked for.

    Notes
    -----
    Values are raw: never clipped, never normalised. Reading off another class or score costs no forward pass.
    """

    store: Logits
    rows: int
    reference: NDArray[np.float32]
    grid: tuple[int, int]
    groups: NDArray[np.int64]
    n_forwards: int
    method: Sobol
    provenance: Provenance
    class_names: ClassNames
    geometry: Geometry
    photo: Photo
    preview: bool = False
    complete: bool = True

    @property
    def logits(self) -> NDArray[np.float32]:
        """Logits of the design, (rows, columns, classes), read-only; `DroppedClassError` if they were dropped."""
        view = self.store.array()[: self.rows]
        view.flags.writeable = False
        return view

    @property
    def n_groups(self) -> int:
        """Number of groups that were redrawn: the cells, where none was pruned."""
        return int(self.groups.max()) + 1

    @property
    def pruned(self) -> NDArray[np.bool_]:
        """Cells, of shape `grid`, that were left in a block: their value is the block's, an upper bound of theirs."""
        sizes = np.bincount(self.groups)
        return (sizes[self.groups] > 1).reshape(self.grid)

    @property
    def noisy(self) -> bool:
        """Whether there are fewer than 16 rows, too few for numbers: the map shows where, not how much."""
        return sensitivity.is_noisy(self.rows)

    @property
    def predicted(self) -> int:
        """Id of the class with the highest logit on the unmasked image."""
        return int(self.reference.argmax())

    def predictions(self, limit: int = 10) -> list[Prediction]:
        """Return the most probable classes of the unmasked image.

        Parameters
        ----------
        limit : int, default 10
            How many.

        Returns
        -------
        list of Prediction
            The most probable first.
        """
        probabilities = self._probabilities()
        order = np.argsort(-probabilities, kind="stable")[:limit]
        return [self._prediction(int(k), probabilities) for k in order]

    def prediction(self, target: int | str | None = None) -> Prediction:
        """Return the probability of one class on the unmasked image.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.

        Returns
        -------
        Prediction
            Its id, name and probability.
        """
        return self._prediction(self.resolve(target), self._probabilities())

    def resolve(self, target: int | str | None = None) -> int:
        """Return the class id of a target.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; None is the predicted class.

        Returns
        -------
        int
            The id.

        Raises
        ------
        UnknownClassError
            If there is no such class, or several.
        """
        return self.predicted if target is None else self.class_names.resolve(target)

    def keeps(self, target: int | str | None = None, *, score: ScoreKind | None = None) -> bool:
        """Tell whether what a class's map needs is still held, or was dropped to save memory.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        score : str or callable, optional
            What is explained; by default the method's. A callable needs the logits of all classes.

        Returns
        -------
        bool
            False where `values` would raise `DroppedClassError`.
        """
        whole = callable(self.method.score if score is None else score)
        return self.store.keeps(self.resolve(target)) and not (whole and self.store.reduced)

    def scores(self, target: int | str | None = None, *, score: ScoreKind | None = None) -> NDArray[np.float64]:
        """Return the scores of the design for one class.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        score : {"logit", "softmax", "log_softmax", "margin"} or callable, optional
            What is explained; by default the method's. A callable gets logits (N, classes) and returns (N,).

        Returns
        -------
        ndarray of shape (rows, groups + 1), float64
            Scores.

        Raises
        ------
        UnknownClassError
            If there is no such class, or several.
        DroppedClassError
            If the class's logits were dropped to save memory.
        """
        return self._columns(target, score)[:, : self.n_groups + 1]

    def values(
        self,
        target: int | str | None = None,
        *,
        kind: Kind = "total",
        bound: Bound | None = None,
        level: float = 0.95,
        score: ScoreKind | None = None,
    ) -> NDArray[np.float32]:
        """Return an index of every cell for a class, without a forward pass.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        kind : {"total", "first", "slope"}, default "total"
            The total-order index: share of the score's variance that is left when all but the cell is known. The
            first-order index: share that the cell explains on its own; the method has to be asked for it. The slope:
            by how much the score rises when the cell is shown, with its sign.
        bound : {"lower", "upper"}, optional
            An end of the confidence interval in place of the estimate.
        level : float, default 0.95
            Level of the interval, in (0, 1).
        score : {"logit", "softmax", "log_softmax", "margin"} or callable, optional
            What is explained; by default the method's.

        Returns
        -------
        ndarray of shape `grid`, float32
            Indices. Total-order ones are at least 0, and in expectation at most 1; first-order ones may come out
            negative with few rows; slopes are in units of the score.

        Raises
        ------
        UnknownClassError
            If there is no such class, or several.
        DroppedClassError
            If the class's logits were dropped to save memory.
        ValueError
            If an option is not known, or `kind` is ``"first"`` and the method was not asked for it.
        """
        estimate = self._spread(self._estimate(target, kind, score))

        def errors() -> NDArray[np.float32]:
            return self.standard_error(target, kind=kind, score=score)

        return confidence.bounded(estimate, bound, errors, self.rows, level).astype(np.float32)

    def standard_error(
        self, target: int | str | None = None, *, kind: Kind = "total", score: ScoreKind | None = None
    ) -> NDArray[np.float32]:
        """Return the standard error of `values`, by the delta method.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        kind : {"total", "first", "slope"}, default "total"
            The index.
        score : str or callable, optional
            What is explained; by default the method's.

        Returns
        -------
        ndarray of shape `grid`, float32
            Standard errors, in the units of the index; infinite where they cannot be known.
        """
        return self._spread(self._estimate(target, kind, score, error=True))

    def mean_dimension(
        self,
        target: int | str | None = None,
        *,
        bound: Bound | None = None,
        level: float = 0.95,
        score: ScoreKind | None = None,
    ) -> float:
        """Return how many groups matter together on average: the sum of the total-order indices.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        bound : {"lower", "upper"}, optional
            An end of the confidence interval in place of the estimate.
        level : float, default 0.95
            Level of the interval, in (0, 1).
        score : str or callable, optional
            What is explained; by default the method's.

        Returns
        -------
        float
            1 where the score is a sum over groups; more where groups act together. 0 for a flat score.

        Raises
        ------
        ValueError
            If an option is not known.
        """
        scores = self.scores(target, score=score)
        value = sensitivity.mean_dimension(scores)
        error = functools.partial(sensitivity.mean_dimension_error, scores)
        return float(confidence.bounded(value, bound, error, self.rows, level))

    def interactions(self, target: int | str | None = None, *, score: ScoreKind | None = None) -> NDArray[np.float64]:
        """Screen all pairs of groups for acting together, without a forward pass.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        score : str or callable, optional
            What is explained; by default the method's.

        Returns
        -------
        ndarray of shape (groups, groups), float64
            Off the diagonal the superset importance, the share of the variance that involves both; twice the
            total-order index on it. Noisy, and negative at times: good for choosing what `SobolPairs` looks at.
        """
        return pairs.gram(self.scores(target, score=score))

    def is_flat(self, target: int | str | None = None, *, score: ScoreKind | None = None) -> bool:
        """Tell whether the class's score does not move when the image is masked, so that its map means nothing.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        score : str or callable, optional
            What is explained; by default the method's.

        Returns
        -------
        bool
            True if the variance is within rounding.
        """
        return sensitivity.is_flat(self.scores(target, score=score))

    def agreement(self, target: int | str | None = None, *, score: ScoreKind | None = None) -> float | None:
        """Return how well the maps of the even and of the odd rows agree in rank.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        score : str or callable, optional
            What is explained; by default the method's.

        Returns
        -------
        float or None
            Spearman's correlation; None below eight rows and for flat scores.
        """
        return sensitivity.half_agreement(self.scores(target, score=score))

    def heatmap(
        self,
        target: int | str | None = None,
        *,
        kind: Kind = "total",
        score: ScoreKind | None = None,
        interpolation: Interpolation = "bilinear",
    ) -> NDArray[np.float32]:
        """Return the map on the photo.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        kind : {"total", "first", "slope"}, default "total"
            The index.
        score : str or callable, optional
            What is explained; by default the method's.
        interpolation : {"bilinear", "nearest"}, default "bilinear"
            Between cell centres, or the value of the cell that a pixel lies in: what was measured.

        Returns
        -------
        ndarray of shape (H, W), float32
            Indices at the photo's own size, NaN where the crop never looked.

        Raises
        ------
        ValueError
            If `interpolation` is not known.
        """
        return place_on_photo(self.values(target, kind=kind, score=score), self.geometry, interpolation)

    def picture(self, target: int | str | None = None, *, width: int = 480, colormap: str = "magma") -> Image.Image:
        """Draw the map over the photo.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        width : int, default 480
            Width in pixels.
        colormap : {"magma", "viridis", "cividis"}, default "magma"
            Perceptual colour map; zero is transparent.

        Returns
        -------
        PIL.Image.Image
            An RGB picture.
        """
        from whatwhere.drawing import draw_map, shrink

        photo, geometry = shrink(self.photo.pixels, self.geometry, width)
        blank = not self.keeps(target) or self.is_flat(target)
        shown = None if blank else place_on_photo(self.values(target), geometry)
        return draw_map(photo, shown, geometry, colormap=colormap)

    def describe(self, target: int | str | None = None) -> str:
        """Say in one line what the map shows and how it was made.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.

        Returns
        -------
        str
            For example ``"Where EfficientNet-Lite0 looks for espresso (95 %): …"``.
        """
        told = self.prediction(target)
        what = f"Where {self.provenance.model} looks for {told.name} ({told.probability:.0%})"
        if not self.keeps(target):
            return f"{what}: its logits were dropped to save memory; run the method on this image again."
        if self.is_flat(target):
            return f"{what}: the score does not move when this image is masked."
        rows = f"{self.rows} of {self.method.rows} rows" if not self.complete else f"{self.rows} rows"
        preview = "preview, " if self.preview else ""
        values = self.values(target)
        indices = f"total-order indices up to {values.max():.2f}"
        return " ".join([f"{what}: {preview}{rows}, {self.n_forwards:,} forwards, {indices}.", *self.caveats()])

    def caveats(self) -> list[str]:
        """Say what a reader has to know before trusting the numbers.

        Returns
        -------
        list of str
            One sentence each; empty if there is nothing.
        """
        made, said = self.provenance, []
        if made.wobble:
            said.append(
                f"The network is not deterministic: the same image gave logits {made.wobble:.2g} apart, "
                "so part of every index is noise."
            )
        if not made.alone:
            said.append(
                "The network's answer to an image depends on the others in its batch (BatchNorm without running "
                "statistics?), so images were run one by one."
            )
        if made.changed:
            said.append("The weights changed while it was computed.")
        return said

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NDArray[Any]:
        """Return `values` of the predicted class."""
        del copy
        return self.values().astype(dtype or np.float32)

    def __repr__(self) -> str:
        return f"<Attribution {self.grid[0]} x {self.grid[1]}: {self.describe()}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from whatwhere.drawing import mime_bundle

        del include, exclude
        return mime_bundle(self.picture(), self.describe())

    def _probabilities(self) -> NDArray[np.float64]:
        """Return the softmax, or of one logit the sigmoid; scipy takes longer to load than a first map may."""
        logits = self.reference.astype(np.float64)
        if len(logits) == 1:
            return np.asarray(0.5 + 0.5 * np.tanh(logits / 2))
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum())

    def _columns(self, target: int | str | None, score: ScoreKind | None) -> NDArray[np.float64]:
        return self.store.scores(self.resolve(target), self.method.score if score is None else score, self.rows)

    def _estimate(
        self, target: int | str | None, kind: Kind, score: ScoreKind | None, *, error: bool = False
    ) -> NDArray[np.float64]:
        """Return an index, or its standard error, of every group."""
        columns = self._columns(target, score)
        y = columns[:, : self.n_groups + 1]
        if kind == "total":
            return sensitivity.total_order_error(y) if error else sensitivity.total_order(y)
        if kind == "first":
            if columns.shape[1] == y.shape[1]:
                raise ValueError(
                    "kind: first-order indices need one more forward a row: run Sobol(..., first_order=True)."
                )
            own = columns[:, -1]
            return effects.first_order_error(y, own) if error else effects.first_order(y, own)
        if kind == "slope":
            a, b = (base[: self.rows] for base in self.method.masks())
            groups = self.groups if len(self.groups) == a.shape[1] else block_index(self.method.shape, self.grid)
            fit = effects.slope_error if error else effects.slope
            return fit(y, a, b, groups=groups)
        raise ValueError(f"kind: wanted 'total', 'first' or 'slope', got {kind!r}.")

    def _spread(self, of_groups: NDArray[np.float64]) -> NDArray[np.float32]:
        return of_groups[self.groups].reshape(self.grid).astype(np.float32)

    def _prediction(self, class_id: int, probabilities: NDArray[np.float64]) -> Prediction:
        return Prediction(class_id, self.class_names.label(class_id), float(probabilities[class_id]))
