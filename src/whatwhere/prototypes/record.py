"""The record of a prototype: the picture, where in it the target looked, and the way there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from whatwhere.prototypes._method import Method
    from whatwhere.provenance import Provenance
    from whatwhere.targets import Target

_PERCENTILE = 80.0  # of alpha, from which a pixel is shown whole
_TAILS = 1.0  # percentiles of the picture's values that are clipped where it is stretched


@dataclass(frozen=True, eq=False, repr=False)
class Prototype:
    """A picture that excites a target.

    Parameters
    ----------
    image : ndarray of shape (H, W, 3), float32
        RGB in [0, 1], not stretched and not blended with `alpha`.
    alpha : ndarray of shape (H, W), float32
        How much each pixel mattered on the way: mean size of the objective's gradient, each step's with mean 1. At
        least 0; the rest of the picture is what its magnitudes force it to have.
    trace : ndarray of shape (steps so far,), float32
        The objective at each step: mean over its crops.
    spread : ndarray of shape (steps so far,), float32
        Standard deviation over its crops.
    label : str
        What people call the target.
    layers : tuple of str
        Layers that it reads; empty for logits.
    told : mapping
        The target in JSON's terms.
    target : Target or None
        The target; None where it was loaded from a file that does not hold it, as pictures.
    seed : int
        Seed of its random numbers.
    frames : ndarray of shape (F, h, w, 3), uint8
        Small pictures from the way, the first of what it began with: noise, or a photo.
    frame_steps : ndarray of shape (F,), int64
        How many steps had been done at each.
    before, after : float or None
        The objective of the whole picture without noise, of what it began with and of what it became; None before
        it is known, and for a picture that is not square `after` is of its largest centred crop.
    ended : str
        Why it ended before its last step, in words; empty if it did not.
    spectrum : str
        Source and hash of the magnitudes.
    method : Maco, FourierVisualization or Accentuation
        The method with its options.
    provenance : Provenance
        What made it.
    n_forwards : int
        Crops that went through the network for it; as many went back.
    complete : bool, default True
        Whether the ascent was finished.
    seed_image : ndarray of shape (H, W, 3), float32, optional
        The photo that it began with, of the picture's size, if it is an accentuated photo; else None.
    photo : str, default ""
        The photo's name.
    distance : ndarray of shape (steps so far,), float32, optional
        Of an accentuated photo that was held near the photo: how far its features had strayed at each step, as
        `whatwhere.Accentuation` says; else None.
    notes : tuple of str, default ()
        How the run was not what was asked for, a sentence each, such as transforms that the device could not do.
    """

    image: NDArray[np.float32]
    alpha: NDArray[np.float32]
    trace: NDArray[np.float32]
    spread: NDArray[np.float32]
    label: str
    layers: tuple[str, ...]
    told: Mapping[str, Any]
    target: Target | None
    seed: int
    frames: NDArray[np.uint8]
    frame_steps: NDArray[np.int64]
    before: float | None
    after: float | None
    ended: str
    spectrum: str
    method: Method
    provenance: Provenance
    n_forwards: int
    complete: bool = True
    seed_image: NDArray[np.float32] | None = None
    photo: str = ""
    distance: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold every array against writing: records are shared."""
        held = (self.image, self.alpha, self.trace, self.spread, self.frames, self.frame_steps)
        for array in (*held, self.seed_image, self.distance):
            if array is not None:
                array.flags.writeable = False

    @property
    def steps(self) -> int:
        """Steps done."""
        return len(self.trace)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def difference(self) -> NDArray[np.float32]:
        """What was changed in a photo: mean over colours of the size of the change, (H, W), in [0, 1].

        Raises
        ------
        ValueError
            If it did not begin with a photo.
        """
        if self.seed_image is None:
            raise ValueError("difference: wanted an accentuated photo, got a prototype that began with noise.")
        return np.abs(self.image - self.seed_image).mean(axis=-1)

    def opacity(self, percentile: float = _PERCENTILE) -> NDArray[np.float32]:
        """Return how opaque each pixel is drawn.

        Parameters
        ----------
        percentile : float, default 80
            Percentile of `alpha` from which a pixel is opaque, in [0, 100]; higher shows less of the picture.

        Returns
        -------
        ndarray of shape (H, W), float32
            In [0, 1]; 1 everywhere where alpha is 0 everywhere, or constant.

        Raises
        ------
        ValueError
            If `percentile` is out of range.
        """
        if not 0 <= percentile <= 100:  # noqa: PLR2004  # per cent
            raise ValueError(f"percentile: wanted a number from 0 to 100, got {percentile!r}.")
        top = float(np.percentile(self.alpha, percentile))
        if not top > 0 or self.alpha.min() == self.alpha.max():
            return np.ones_like(self.alpha)
        return np.clip(self.alpha / np.float32(top), 0, 1)

    def stretched(self) -> NDArray[np.float32]:
        """Return the picture with its values stretched to [0, 1], for looking at.

        Returns
        -------
        ndarray of shape (H, W, 3), float32
            One hundredth of the values is clipped at either end; a plain picture stays as it is.
        """
        low, high = np.percentile(self.image, [_TAILS, 100 - _TAILS])
        if not high > low:
            return self.image
        return np.clip((self.image - np.float32(low)) / np.float32(high - low), 0, 1)

    def picture(
        self,
        *,
        percentile: float | Literal["auto"] | None = "auto",
        stretch: bool | None = None,
        background: float = 1.0,
    ) -> Image.Image:
        """Draw the prototype.

        Parameters
        ----------
        percentile : float or None, optional
            As for `opacity`; None draws every pixel whole. By default 80, and None for an accentuated photo.
        stretch : bool, optional
            Whether to stretch its values, see `stretched`; by default unless it is an accentuated photo, which is to be
            compared with the photo.
        background : float, default 1
            Grey level in [0, 1] behind what is not opaque.

        Returns
        -------
        PIL.Image.Image
            An RGB picture.
        """
        from whatwhere.drawing import to_picture

        seeded = self.seed_image is not None
        below = (None if seeded else _PERCENTILE) if percentile == "auto" else percentile
        pixels = self.stretched() if (not seeded if stretch is None else stretch) else self.image
        if below is not None:
            share = self.opacity(below)[..., np.newaxis]
            pixels = pixels * share + np.float32(background) * (1 - share)
        return to_picture(pixels)

    def describe(self) -> str:
        """Say in one line what it is and how it was made.

        Returns
        -------
        str
            For example ``"What excites tench in EfficientNet-Lite0 most: …"``.
        """
        what = f"What excites {self.label} in {self.provenance.model} most"
        if self.seed_image is not None:
            what = f"A photo accentuated for {self.label} in {self.provenance.model}"
        done = f"{self.steps} steps" if self.complete else f"{self.steps} of {self.method.steps} steps"
        rise = ""
        if self.before is not None and self.after is not None:
            rise = f", seen whole {self.before:.3g} before and {self.after:.3g} after"
        return " ".join([f"{what}: {done} of {self.method.crops} crops, seed {self.seed}{rise}.", *self.caveats()])

    def caveats(self) -> list[str]:
        """Say what a reader has to know before trusting the picture.

        Returns
        -------
        list of str
            One sentence each; empty if there is nothing.
        """
        said = [*([self.ended] if self.ended else []), *self.notes]
        if self.provenance.changed:
            said.append("The weights changed while it was made.")
        return said

    def save(self, path: str | Path) -> None:
        """Write it to a file: safetensors with JSON in its header, nothing that is executed.

        Parameters
        ----------
        path : path
            Where to.
        """
        from whatwhere.prototypes.saving import save

        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Prototype:
        """Read a file that `save` has written.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        Prototype
            The same.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is of another kind, broken, or from a newer version.
        """
        from whatwhere.prototypes.saving import load

        return load(path)

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NDArray[Any]:
        """Return the picture."""
        del copy
        return self.image.astype(dtype or np.float32)

    def __repr__(self) -> str:
        return f"<Prototype {self.size[0]} x {self.size[1]}: {self.describe()}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from whatwhere.drawing import mime_bundle

        del include, exclude
        return mime_bundle(self.picture(), self.describe())
