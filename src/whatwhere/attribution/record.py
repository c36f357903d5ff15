"""The record of an attribution: stored logits and their provenance, from which every map is read off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from whatwhere.attribution.provenance import Prediction
from whatwhere.engine.sensitivity import half_agreement, is_flat, total_order, total_order_error

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from whatwhere.attribution.provenance import Provenance
    from whatwhere.attribution.sobol import Sobol
    from whatwhere.classes import ClassNames
    from whatwhere.geometry import Geometry
    from whatwhere.images import Photo

Kind = Literal["total"]
Interpolation = Literal["bilinear", "nearest"]


@dataclass(frozen=True, eq=False, repr=False)
class Attribution:
    """Where a network looks on one image, for any class: the logits of a masking design.

    Parameters
    ----------
    logits : ndarray of shape (rows, groups + 1, classes), float32
        Column 0 of a row is the image under a random mask, column 1 + i the same with group i's mask redrawn.
    reference : ndarray of shape (classes,), float32
        Logits of the unmasked image.
    grid : (int, int)
        Groups down and across.
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
        Whether all rows that the method asks for are in.

    Notes
    -----
    Values are raw: never clipped, never normalised. Reading off another class costs no forward pass.
    """

    logits: NDArray[np.float32]
    reference: NDArray[np.float32]
    grid: tuple[int, int]
    method: Sobol
    provenance: Provenance
    class_names: ClassNames
    geometry: Geometry
    photo: Photo
    preview: bool = False
    complete: bool = True

    @property
    def rows(self) -> int:
        """Rows of the design that are in."""
        return self.logits.shape[0]

    @property
    def n_forwards(self) -> int:
        """Forward passes of the design, ``rows * (groups + 1)``; others are counted in ``provenance.n_extra``."""
        return self.logits.shape[0] * self.logits.shape[1]

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

    def scores(self, target: int | str | None = None) -> NDArray[np.float32]:
        """Return the scores of the design for one class.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.

        Returns
        -------
        ndarray of shape (rows, groups + 1), float32
            Logits of the class.
        """
        return self.logits[:, :, self.resolve(target)]

    def values(self, target: int | str | None = None, *, kind: Kind = "total") -> NDArray[np.float32]:
        """Return the sensitivity index of every cell for a class, without a forward pass.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
        kind : {"total"}, default "total"
            The total-order index: share of the score's variance that is left when all but the cell is known.

        Returns
        -------
        ndarray of shape `grid`, float32
            Indices, at least 0. In expectation at most 1; with few rows more is possible.

        Raises
        ------
        UnknownClassError
            If there is no such class, or several.
        ValueError
            If `kind` is not known.
        """
        if kind != "total":
            raise ValueError(f"kind: wanted 'total', got {kind!r}.")
        return total_order(self.scores(target)).reshape(self.grid).astype(np.float32)

    def standard_error(self, target: int | str | None = None) -> NDArray[np.float32]:
        """Return the standard error of `values`, by the delta method.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.

        Returns
        -------
        ndarray of shape `grid`, float32
            Standard errors, in the units of the index.
        """
        return total_order_error(self.scores(target)).reshape(self.grid).astype(np.float32)

    def is_flat(self, target: int | str | None = None) -> bool:
        """Tell whether the class's score does not move when the image is masked, so that its map means nothing.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.

        Returns
        -------
        bool
            True if the variance is within rounding.
        """
        return is_flat(self.scores(target))

    def agreement(self, target: int | str | None = None) -> float | None:
        """Return how well the maps of the even and of the odd rows agree in rank.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.

        Returns
        -------
        float or None
            Spearman's correlation; None below eight rows and for flat scores.
        """
        return half_agreement(self.scores(target))

    def heatmap(
        self, target: int | str | None = None, *, interpolation: Interpolation = "bilinear"
    ) -> NDArray[np.float32]:
        """Return the map on the photo.

        Parameters
        ----------
        target : int or str, optional
            Class id or name; by default the predicted class.
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
        return self._heatmap(target, interpolation, self.geometry)

    def _heatmap(
        self, target: int | str | None, interpolation: Interpolation, geometry: Geometry
    ) -> NDArray[np.float32]:
        values = self.values(target)
        height, width = geometry.photo
        down, across = geometry.to_input(np.arange(height) + 0.5, np.arange(width) + 0.5)
        if interpolation == "nearest":
            size = geometry.size
            picked: NDArray[Any] = values[_cells(down, size[0], self.grid[0])][:, _cells(across, size[1], self.grid[1])]
        elif interpolation == "bilinear":
            picked = _weights(down, self.grid[0]) @ values @ _weights(across, self.grid[1]).T
        else:
            raise ValueError(f"interpolation: wanted 'bilinear' or 'nearest', got {interpolation!r}.")
        seen = _inside(down)[:, np.newaxis] & _inside(across)
        return np.where(seen, picked, np.nan).astype(np.float32)

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
        shown = None if self.is_flat(target) else self._heatmap(target, "bilinear", geometry)
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
        if self.is_flat(target):
            return f"{what}: the score does not move when this image is masked."
        rows = f"{self.rows} of {self.method.rows} rows" if not self.complete else f"{self.rows} rows"
        preview = "preview, " if self.preview else ""
        values = self.values(target)
        return f"{what}: {preview}{rows}, {self.n_forwards:,} forwards, total-order indices up to {values.max():.2f}."

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
        shifted = np.exp(self.reference.astype(np.float64) - float(self.reference.max()))
        return shifted / shifted.sum()

    def _prediction(self, class_id: int, probabilities: NDArray[np.float64]) -> Prediction:
        return Prediction(class_id, self.class_names.label(class_id), float(probabilities[class_id]))


def _inside(fraction: NDArray[np.floating]) -> NDArray[np.bool_]:
    return (fraction >= 0) & (fraction < 1)


def _cells(fraction: NDArray[np.floating], size: int, cells: int) -> NDArray[np.int64]:
    """Return the cell of each position, by the pixel of the network's input that it falls in."""
    from whatwhere.engine.masks import cell_index

    along = cell_index(size, 1, (cells, 1))[:, 0]
    return along[np.clip((fraction * size).astype(np.int64), 0, size - 1)]


def _weights(fraction: NDArray[np.floating], cells: int) -> NDArray[np.float64]:
    """Return the (positions, cells) matrix of linear interpolation between cell centres, constant beyond the last."""
    place = np.clip(fraction * cells - 0.5, 0, cells - 1)
    low = np.clip(np.floor(place).astype(np.int64), 0, max(cells - 2, 0))
    share = place - low
    out = np.zeros((len(place), cells))
    out[np.arange(len(place)), low] = 1 - share
    if cells > 1:
        out[np.arange(len(place)), low + 1] = share
    return out
