"""Concept maps: where on one image each concept is, or where the pixels are that it depends on.

Three kinds answer different questions, and a view has to name the one that it shows. `code_maps`: the codes at each
place of the layer, an activation and no attribution; what a place has read may lie anywhere in its receptive field.
`whatwhere.concepts.gradient_maps`: gradients of the codes. `whatwhere.concepts.masked_maps`: what the codes do when
parts of the image are hidden, the only kind that asks the network itself.

References
----------
T. Fel et al., "CRAFT: Concept Recursive Activation FacTorization for Explainability", CVPR 2023, arXiv:2211.10154.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch

from whatwhere.concepts.coder import Kinks, check_of, check_pixels, pooled
from whatwhere.engine._checks import between
from whatwhere.engine.placing import place_on_photo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from whatwhere.concepts.coder import ConceptCoder, Of
    from whatwhere.engine.placing import Interpolation
    from whatwhere.pixels.geometry import Geometry
    from whatwhere.pixels.images import Pixels

MapKind: TypeAlias = Literal[
    "codes",
    "saliency", "gradient_input", "integrated_gradients", "smoothgrad", "gradcam",
    "sobol", "rise", "occlusion", "hsic",
]  # fmt: skip
_SHARED = 2**15  # values of one sign that the upper half of a float32 has: 0.8 % apart


@dataclass(frozen=True, eq=False)
class ConceptMaps:
    """The maps of all concepts on one image: raw values, neither clipped nor scaled.

    Parameters
    ----------
    values : ndarray of shape (r, a, b), float32
        One map a concept over the network's input, row by row: a value a place of a grid, or a pixel. Always finite;
        zeros where a concept is absent.
    kind : str
        What the values are: ``"codes"``, or the name of the method, see there for units and signs.
    of : {"sum", "max"}
        How codes are pooled into the score of an image.
    scores : ndarray of shape (r,), float64
        The score of each concept on the image.
    present : ndarray of shape (r,), bool
        Whether a concept has a code other than 0 anywhere on the image. Where it has none its map is not computed, but
        zeros: "absent" is what to say of it.
    flat : ndarray of shape (r,), bool
        Concepts that are present, but whose map is 0 everywhere: nothing was found to move the score.
    kinks : Kinks
        How many codes of the image have no ordinary gradient; of gradient maps.
    gaps : ndarray of shape (r,), float64, optional
        Of integrated gradients: the sum of the map less the score, plus the baseline's score, which is 0 with steps
        enough.
    errors : ndarray of shape (r, a, b), float32, optional
        Of Sobol maps: standard errors.
    n_forwards : int
        Images that were run up to the layer; what pads a batch is not counted.
    n_backwards : int
        Gradients of one score of one image.
    complete : bool
        Whether all was done that was asked for.
    geometry : Geometry, optional
        Where the network's input lies on the photo, if that is known.
    """

    values: NDArray[np.float32]
    kind: MapKind
    of: Of
    scores: NDArray[np.float64]
    present: NDArray[np.bool_]
    flat: NDArray[np.bool_]
    kinks: Kinks
    gaps: NDArray[np.float64] | None = None
    errors: NDArray[np.float32] | None = None
    n_forwards: int = 1
    n_backwards: int = 0
    complete: bool = True
    geometry: Geometry | None = None

    def __repr__(self) -> str:
        count, rows, columns = self.values.shape
        return f"<ConceptMaps {self.kind!r}: {count} concepts, {rows} x {columns}, {int(self.present.sum())} present>"

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NDArray[Any]:
        """Return the maps on the photo, (r, H, W), or `values` if its geometry is not known."""
        del copy
        shown = self.values if self.geometry is None else self.on_photo()
        return shown.astype(dtype or np.float32)

    def on_photo(
        self, geometry: Geometry | None = None, interpolation: Interpolation = "bilinear"
    ) -> NDArray[np.float32]:
        """Place the maps on the photo.

        Parameters
        ----------
        geometry : Geometry, optional
            Where the network's input lies on the photo (``model.preprocess.geometry``); by default the maps' own.
        interpolation : {"bilinear", "nearest"}, default "bilinear"
            Between the centres of places, or the value of the place that a pixel lies in.

        Returns
        -------
        ndarray of shape (r, H, W), float32
            Values at the photo's own size, NaN where the network never looked.

        Raises
        ------
        ValueError
            If `interpolation` is not known, or no geometry is.

        Notes
        -----
        Place (i, j) of an (a, b) grid is centred at the fractions (i + 1/2) / a and (j + 1/2) / b of the input. For
        masked cells and for tokens that is where they are. For convolutions it is where the centre of the receptive
        field lies if strides are padded evenly, and up to half a stride off it if they are not.
        """
        where = self.geometry if geometry is None else geometry
        if where is None:
            raise ValueError("geometry: wanted where the input lies on the photo: model.preprocess.geometry(photo).")
        return place_on_photo(self.values, where, interpolation)


def code_maps(coder: ConceptCoder, pixels: Pixels, *, of: Of = "sum") -> ConceptMaps:
    """Return the codes at every place of the layer.

    Parameters
    ----------
    coder : ConceptCoder
        What turns the image into codes.
    pixels : ndarray of shape (H, W, 3), float32
        What the network is shown, in pixel space (``model.preprocess.pixels``).
    of : {"sum", "max"}, default "sum"
        How codes are pooled into ``scores``; the maps do not depend on it.

    Returns
    -------
    ConceptMaps
        Of kind ``"codes"``, with values of shape (r, h, w) in the units of the codes: activations, no attributions.

    Raises
    ------
    TypeError
        If `pixels` is no array of floating-point numbers.
    ValueError
        If `pixels` has another shape than the network's input, `of` is not known, or features are not finite.

    Notes
    -----
    One forward pass up to the layer.
    """
    of = check_of(of)
    shown = check_pixels(pixels, coder.model)
    with coder.model.computing():
        codes, kinks = coder.codes_and_kinks(coder.model.to_input(shown))
        scores = pooled(codes, of)[0]
        values = codes[0].movedim(-1, 0).to("cpu", torch.float32).numpy().copy()
    present: NDArray[np.bool_] = np.any(values != 0, axis=(1, 2))
    numbers = scores.cpu().double().numpy()
    return ConceptMaps(values, "codes", of, numbers, present, np.zeros_like(present), Kinks(*kinks.tolist()))


def scale_of(maps: Iterable[ConceptMaps], quantile: float = 0.99) -> NDArray[np.float64]:
    """Return one scale a concept for the maps of many images, so that one image can be told from another.

    Parameters
    ----------
    maps : iterable of ConceptMaps
        Maps of the same kind and concepts. They are looked at one at a time, and not kept.
    quantile : float, default 0.99
        Which quantile of the sizes of values other than 0, over all places of all images; above 0 and below 1.

    Returns
    -------
    ndarray of shape (r,), float64
        The quantiles, to half a percent; 0 for a concept whose values are 0 everywhere.

    Raises
    ------
    TypeError
        If `quantile` is no number.
    ValueError
        If there are no maps, kinds or numbers of concepts differ, or `quantile` is out of its range.

    Notes
    -----
    Values of 0 are left out, since a concept that is rare would have a scale of 0 otherwise. Memory: 256 KB a concept,
    however many images there are.
    """
    share = between("quantile", quantile, 0, 1)
    counts: NDArray[np.int64] | None = None
    kind = ""
    for k, each in enumerate(maps):
        if counts is None:
            counts, kind = np.zeros((len(each.values), _SHARED), dtype=np.int64), each.kind
        if each.kind != kind or len(each.values) != len(counts):
            raise ValueError(
                f"maps: wanted maps of one kind, {kind!r} of {len(counts)} concepts, got {each.kind!r} of "
                f"{len(each.values)} at {k}."
            )
        for concept in np.flatnonzero(each.values.any(axis=(1, 2))):
            sizes = np.abs(each.values[concept])
            upper = sizes[sizes > 0].view(np.uint32) >> 16
            counts[concept] += np.bincount(upper, minlength=_SHARED)
    if counts is None:
        raise ValueError("maps: wanted at least one, got none.")
    middles = ((np.arange(_SHARED, dtype=np.uint32) << 16) + 2**15).view(np.float32)
    reached = np.cumsum(counts, axis=1)
    total = reached[:, -1:]
    place = (reached < share * total).sum(axis=1)
    return np.where(total[:, 0] > 0, middles[place].astype(np.float64), 0.0)
