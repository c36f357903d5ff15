"""One prototype while it is climbed: its trace, its frames, why it ended, and its record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch.nn.functional as F  # noqa: N812  # its usual name

from whatwhere.prototypes.record import Prototype

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.prototypes._method import Method
    from whatwhere.provenance import Provenance
    from whatwhere.targets import Target, Term

_FRAME_SIDE = 160  # pixels


@dataclass
class Climber:
    """One prototype while it is climbed.

    Attributes
    ----------
    target : Target
        The target, bound.
    terms : tuple of Term
        What its value is a sum of.
    seed : int
        Seed of its random numbers.
    group : str or None
        The deepest layer that it reads; None reads the logits.
    reads : frozenset of (str or None)
        All layers that it reads.
    photo_name : str
        Name of the photo that it begins with.
    photo : ndarray of shape (H, W, 3), float32, or None
        The photo.
    distance : list of float
        How far it has strayed from the photo at each step.
    done : bool
        Whether it is over; `ended` says why it is before its last step.
    idle : int
        Steps without a gradient, one after the other; `lived` tells whether there ever was one.
    """

    target: Target
    terms: tuple[Term, ...]
    seed: int
    group: str | None
    reads: frozenset[str | None]
    photo_name: str = ""
    photo: NDArray[np.float32] | None = None
    trace: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)
    frames: list[NDArray[np.uint8]] = field(default_factory=list)
    frame_steps: list[int] = field(default_factory=list)
    image: NDArray[np.float32] | None = None
    before: float | None = None
    after: float | None = None
    ended: str = ""
    done: bool = False
    idle: int = 0
    lived: bool = False

    def end(self, why: str = "") -> None:
        """Stop here.

        Parameters
        ----------
        why : str, default ""
            What a reader has to know.
        """
        self.done, self.ended = True, why

    def keep_frame(self, image: Tensor) -> None:
        """Keep a small picture of a step, once.

        Parameters
        ----------
        image : Tensor of shape (C, H, W)
            The picture.
        """
        if self.frame_steps and self.frame_steps[-1] == len(self.trace):
            return
        scale = min(1.0, _FRAME_SIDE / max(image.shape[1:]))
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[2] * scale)))
        small = F.interpolate(image[None], size=size, mode="area")[0]
        self.frames.append(np.round(as_pixels(small) * 255).astype(np.uint8))
        self.frame_steps.append(len(self.trace))

    def record(
        self,
        alpha: NDArray[np.float32],
        method: Method,
        provenance: Provenance,
        *,
        spectrum: str,
        complete: bool,
        notes: tuple[str, ...] = (),
    ) -> Prototype:
        """Return what is known by now.

        Parameters
        ----------
        alpha : ndarray of shape (H, W), float32
            Sum over the steps.
        method : Method
            The method.
        provenance : Provenance
            What made it.
        spectrum : str
            Source and hash of the magnitudes.
        complete : bool
            Whether all are over.
        notes : tuple of str, default ()
            What there is to say of the run.

        Returns
        -------
        Prototype
            A record of its own arrays.
        """
        if self.image is None:
            raise RuntimeError("a record was asked for before there was a picture")
        steps = len(self.trace)
        none = np.zeros((0, 0, 0, 3), dtype=np.uint8)
        return Prototype(
            image=self.image,
            alpha=alpha / np.float32(max(1, steps)),
            trace=np.array(self.trace, dtype=np.float32),
            spread=np.array(self.spread, dtype=np.float32),
            label=self.target.label,
            layers=tuple(dict.fromkeys(term.layer for term in self.terms if term.layer is not None)),
            told=self.target.told(),
            target=self.target,
            seed=self.seed,
            frames=np.stack(self.frames) if self.frames else none,
            frame_steps=np.array(self.frame_steps, dtype=np.int64),
            before=self.before,
            after=self.after,
            ended=self.ended,
            spectrum=spectrum,
            method=method,
            provenance=provenance,
            n_forwards=steps * method.crops,
            complete=complete or self.done,
            seed_image=self.photo,
            photo=self.photo_name,
            distance=np.array(self.distance, dtype=np.float32) if self.distance else None,
            notes=notes,
        )


def as_pixels(image: Tensor) -> NDArray[np.float32]:
    """Turn a picture into pixel space.

    Parameters
    ----------
    image : Tensor of shape (C, H, W)
        In [0, 1]; C is 3, or 1 for grey.

    Returns
    -------
    ndarray of shape (H, W, 3), float32
        RGB, a copy.
    """
    pixels = np.moveaxis(image.cpu().numpy(), 0, -1)
    return np.array(pixels if pixels.shape[-1] > 1 else np.repeat(pixels, 3, axis=-1), order="C")
