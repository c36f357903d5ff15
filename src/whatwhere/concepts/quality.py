"""What a bank says of itself, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quality:
    """How well concepts stand for what the network computes.

    Parameters
    ----------
    error : float
        Weighted relative error ``||A - U W|| / ||A||`` of all rows that were fitted, 0 to about 1.
    error_crops, error_locations : float or None
        The same on the pooled features of crops, and on the features of every location of the images, whichever of the
        two was fitted; None where it was not computed.
    sparsity : float or None
        Share of the codes, over all locations, that are 0; None before they are known.
    dead : tuple of int
        Concepts that no row uses.
    duplicates : tuple of tuple of int
        Concepts whose directions are the same, by a cosine of at least 0.99.
    agreement : float or None
        Share of the images for which the likeliest class stays, when the layer is replaced by what the concepts say.
    r2 : float or None
        Share of the variance of the explained logit over the images that is kept then; below 0 where a constant is
        better, None where the logit does not vary.
    n_images, n_rows : int
        Images explained, and rows fitted.
    n_left_out : int
        Images left out, because they were not predicted as the class.
    rank_reason : str, default ""
        With ``n_concepts="auto"``, why it is so many, and how far two halves of the images agree.
    """

    error: float
    error_crops: float | None
    error_locations: float | None
    sparsity: float | None
    dead: tuple[int, ...]
    duplicates: tuple[tuple[int, ...], ...]
    agreement: float | None
    r2: float | None
    n_images: int
    n_rows: int
    n_left_out: int
    rank_reason: str = ""
