"""Baselines: what masked parts of an image fade to, in pixel space."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from whatwhere.pixels.images import Photo, read_photo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import ImageLike, Pixels

BaselineKind: TypeAlias = Literal["mean", "black", "white", "blur", "image"]
_KINDS = ("mean", "black", "white", "blur", "image")
_SIGMA = 0.05  # of the short side: 11 pixels of 224, by which no object's parts are told apart


@dataclass(frozen=True)
class Baseline:
    """What masked parts of an image fade to, in pixel space.

    Parameters
    ----------
    kind : {"mean", "black", "white", "blur", "image"}, default "mean"
        ``"mean"`` is the model's mean colour, zero after normalisation; ``"blur"`` the image itself under a Gaussian.
    sigma : float, optional
        Width of the Gaussian, as a share of the input's short side; 0.05 by default. Only for ``"blur"``.
    digest : str, default ""
        Content hash of the image of ``"image"``: made by `Baseline.image`.
    photo : Photo, optional
        That image.

    Raises
    ------
    ValueError
        If an option is out of range or does not go with the kind.

    Examples
    --------
    >>> Baseline.read("blur")
    Baseline('blur', sigma=0.05)
    """

    kind: BaselineKind = "mean"
    sigma: float | None = None
    digest: str = ""
    photo: Photo | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check every option."""
        if self.kind not in _KINDS:
            raise ValueError(f"baseline: wanted one of {list(_KINDS[:-1])} or an image, got {self.kind!r}.")
        if self.kind == "blur":
            sigma = _SIGMA if self.sigma is None else float(self.sigma)
            if not 0 < sigma <= 1:
                raise ValueError(f"sigma: wanted a share of the short side in (0, 1], got {self.sigma!r}.")
            object.__setattr__(self, "sigma", sigma)
        elif self.sigma is not None:
            raise ValueError(f"sigma: goes with the baseline 'blur' only, not with {self.kind!r}.")
        if (self.kind == "image") != (self.photo is not None):
            raise ValueError("baseline: make one from an image by Baseline.image(image).")

    def __repr__(self) -> str:
        more = f", sigma={self.sigma:g}" if self.sigma is not None else f", {self.digest}" if self.digest else ""
        return f"Baseline({self.kind!r}{more})"

    @property
    def short(self) -> str | Baseline:
        """Its name, where that says it all: what a person would write."""
        return self.kind if self.kind != "image" and self == Baseline(self.kind) else self

    @classmethod
    def image(cls, image: ImageLike) -> Baseline:
        """Fade to another image.

        Parameters
        ----------
        image : image
            Anything `whatwhere.pixels.images.read_photo` reads; it is prepared as the explained image is.

        Returns
        -------
        Baseline
            Equal to another one made from the same pixels.
        """
        photo = read_photo(image, name="baseline")
        digest = hashlib.blake2b(photo.pixels.tobytes(), digest_size=8)
        digest.update(str((photo.pixels.shape, photo.prepared)).encode())
        return cls("image", digest=digest.hexdigest(), photo=photo)

    @classmethod
    def read(cls, baseline: Any) -> Baseline:
        """Turn what a person writes into a baseline.

        Parameters
        ----------
        baseline : str, Baseline or image
            ``"mean"``, ``"black"``, ``"white"``, ``"blur"``, or an image as an array, tensor, PIL image or Photo.

        Returns
        -------
        Baseline
            The baseline.
        """
        if isinstance(baseline, cls):
            return baseline
        if isinstance(baseline, str):
            return cls(baseline)  # type: ignore[arg-type]  # it is checked there
        return cls.image(baseline)

    def pixels(self, model: VisionModel, image: Pixels) -> NDArray[np.float32]:
        """Return the baseline of an image.

        Parameters
        ----------
        model : VisionModel
            The network, for its mean colour and its preprocessing.
        image : ndarray of shape (h, w, 3), float32
            The prepared image.

        Returns
        -------
        ndarray of shape (h, w, 3), float32
            In pixel space.

        Raises
        ------
        ValueError
            If a baseline image has another size than the network's input after preparing it.
        """
        if self.kind == "mean":
            return np.broadcast_to(mean_colour(model), image.shape)
        if self.kind in ("black", "white"):
            return np.full_like(image, self.kind == "white")
        if self.kind == "blur":
            from scipy.ndimage import gaussian_filter

            assert self.sigma is not None
            sigma = self.sigma * min(image.shape[:2])
            return gaussian_filter(image, (sigma, sigma, 0), mode="nearest").astype(np.float32)
        assert self.photo is not None
        shown = model.preprocess.pixels(self.photo)
        if shown.shape != image.shape:
            raise ValueError(
                f"baseline: wanted an image of {image.shape[0]} x {image.shape[1]} pixels after preparing it, got "
                f"{shown.shape[0]} x {shown.shape[1]}."
            )
        return shown


def mean_colour(model: VisionModel) -> NDArray[np.float32]:
    """Return the colour that a model's normalisation takes to zero.

    Parameters
    ----------
    model : VisionModel
        The network.

    Returns
    -------
    ndarray of shape (3,), float32
        RGB in pixel space.
    """
    return model.preprocess.denormalise(np.zeros(len(model.preprocess.mean), dtype=np.float32))
