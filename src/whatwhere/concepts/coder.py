"""What turns images into codes: a network, a cut, and the concepts of that layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch

from whatwhere.engine._rows import like_matrix
from whatwhere.engine.implicit import implicit_codes
from whatwhere.engine.nnls import nnls

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from whatwhere.model import VisionModel
    from whatwhere.nets.cut import Cut
    from whatwhere.pixels.images import Pixels

Of: TypeAlias = Literal["sum", "max"]
OFS = ("sum", "max")
_CHANNELS = 3
_MATRIX = 2
_MAP_AXES = 3


class Kinks(NamedTuple):
    """How many codes of an image have no ordinary gradient.

    Parameters
    ----------
    degenerate : int
        Codes that are 0 and about to rise, at places whose features are not all 0.
    regularised : int
        Places whose atoms in use are nearly dependent.
    """

    degenerate: int = 0
    regularised: int = 0


@dataclass(frozen=True, eq=False)
class ConceptCoder:
    """What turns images into codes.

    Parameters
    ----------
    model : VisionModel
        The network.
    cut : Cut
        Where it is cut: a cut of `model`, whose features lie on a grid (or are one vector).
    bank : Tensor of shape (r, p)
        W: one atom a concept, in the features of the cut.
    encode : callable, optional
        From features (n, p), float32 at least and on the model's device, to codes (n, r) on any device, for concepts
        that are no non-negative combinations: PCA, a sparse autoencoder. By default codes are the exact non-negative
        least-squares codes for `bank`, as NMF and semi-NMF have them, with their exact gradient.

    read : callable, optional
        A faster way from images to features (N, h, w, p) than the cut's, for where nobody asks for gradients, such as
        `whatwhere.engine.encoder.Encoder.cells`.

    Raises
    ------
    TypeError
        If `bank` is no floating-point tensor, or `encode` cannot be called.
    ValueError
        If `bank` is no matrix of finite numbers with as many columns as the layer has features, or the layer's
        features lie on no grid.
    """

    model: VisionModel
    cut: Cut
    bank: Tensor
    encode: Callable[[Tensor], Tensor] | None = None
    read: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        """Check that the parts go together."""
        bank = like_matrix("bank", self.bank)
        if self.encode is not None and not callable(self.encode):
            raise TypeError(f"encode: wanted a function of features, got {type(self.encode).__name__}.")
        features = self.cut.to_grid(torch.empty((0, *self.cut.shape))).shape[-1]
        if bank.shape[1] != features:
            raise ValueError(
                f"bank: wanted {features} columns as {self.cut.layer!r} has features, got shape {tuple(bank.shape)}."
            )
        object.__setattr__(self, "bank", bank.to(self.model.device))

    @property
    def n_concepts(self) -> int:
        """Number r of concepts."""
        return len(self.bank)

    def codes(self, images: Tensor) -> Tensor:
        """Compute the codes of images at every place.

        Parameters
        ----------
        images : Tensor of shape (N, C, H, W)
            Normalised, on the model's device; inside `VisionModel.computing`.

        Returns
        -------
        Tensor of shape (N, h, w, r)
            Codes, differentiable with respect to `images` where the encoder is.

        Raises
        ------
        TypeError, ValueError
            If the features or codes are not finite numbers of the right shape.
        """
        return self.codes_and_kinks(images)[0]

    def codes_alone(self, images: Tensor) -> Tensor:
        """Compute the codes of images where no gradient is asked for, the fastest way.

        Parameters
        ----------
        images : Tensor of shape (N, C, H, W)
            Normalised, on the model's device.

        Returns
        -------
        Tensor of shape (N, h, w, r)
            Codes, as from `codes` but for rounding.
        """
        cells = self.cut.to_grid(self.cut.encode(images)) if self.read is None else self.read(images)
        rows = cells.reshape(-1, cells.shape[-1])
        rows = rows if rows.dtype == torch.float64 else rows.float()
        found = nnls(self.bank, rows) if self.encode is None else self._encoded(rows)
        return found.reshape(*cells.shape[:3], -1)

    def codes_and_kinks(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the codes of images, and count where they have no ordinary gradient.

        Parameters
        ----------
        images : Tensor of shape (N, C, H, W)
            Normalised.

        Returns
        -------
        codes : Tensor of shape (N, h, w, r)
            Codes.
        kinks : Tensor of shape (2,), int64
            The numbers of `Kinks`; zeros where an encoder was given, which tells nothing.
        """
        cells = self.cut.to_grid(self.cut.encode(images))
        rows = cells.reshape(-1, cells.shape[-1])
        rows = rows if rows.dtype == torch.float64 else rows.float()
        if self.encode is None:
            found, degenerate, regularised = implicit_codes(self.bank, rows)
            alive = rows.detach().any(dim=1)
            kinks = torch.stack([(degenerate & alive[:, None]).sum(), regularised.sum()])
        else:
            found, kinks = self._encoded(rows), torch.zeros(2, dtype=torch.int64)
        return found.reshape(*cells.shape[:3], -1), kinks

    def _encoded(self, rows: Tensor) -> Tensor:
        encode = self.encode
        assert encode is not None
        found: Any = encode(rows)
        if not isinstance(found, torch.Tensor):
            raise TypeError(f"encode: wanted a function to a torch.Tensor, got {type(found).__name__}.")
        if found.ndim != _MATRIX or tuple(found.shape) != (len(rows), len(self.bank)):
            raise ValueError(
                f"encode: wanted codes of shape (n, r) = {(len(rows), len(self.bank))}, got {tuple(found.shape)}."
            )
        if not torch.isfinite(found).all():
            raise ValueError("encode: wanted finite codes, got NaN or infinite ones; check the encoder's weights.")
        return found


def pooled(codes: Tensor, of: Of) -> Tensor:
    """Turn codes at places into one number an image and concept.

    Parameters
    ----------
    codes : Tensor of shape (N, h, w, r)
        Codes.
    of : {"sum", "max"}
        Their sum over places, or the largest; the gradient of the largest is shared evenly among equals.

    Returns
    -------
    Tensor of shape (N, r)
        s_k of each image.
    """
    flat = codes.flatten(1, 2)
    return flat.sum(dim=1) if of == "sum" else flat.amax(dim=1)


def check_of(of: Any) -> Of:
    """Return how codes are pooled, checked.

    Parameters
    ----------
    of : {"sum", "max"}
        What was asked for.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ValueError
        If it is something else.
    """
    if of not in OFS:
        raise ValueError(f"of: wanted one of {OFS}, got {of!r}.")
    return "sum" if of == "sum" else "max"


def check_pixels(pixels: Any, model: VisionModel) -> Pixels:
    """Return an image as the network is shown it, checked.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), float32
        RGB in pixel space, resized and cropped.
    model : VisionModel
        The network.

    Returns
    -------
    ndarray of shape (H, W, 3), float32
        The same.

    Raises
    ------
    TypeError
        If it is no array of floating-point numbers.
    ValueError
        If it has another shape than the network's input, or a number that is not finite.
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype.kind != "f":
        kind = f"dtype {pixels.dtype}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise TypeError(
            f"pixels: wanted a float32 array (H, W, 3) in [0, 1], got {kind}; model.preprocess.pixels makes one."
        )
    if pixels.ndim != _MAP_AXES or pixels.shape != (*model.input_size, _CHANNELS):
        raise ValueError(
            f"pixels: wanted shape {(*model.input_size, _CHANNELS)} as the network is shown, got {pixels.shape}; "
            "model.preprocess.pixels resizes and crops."
        )
    if not np.isfinite(pixels).all():
        raise ValueError(f"pixels: wanted finite numbers, got {int((~np.isfinite(pixels)).sum())} others.")
    return np.asarray(pixels, dtype=np.float32)
