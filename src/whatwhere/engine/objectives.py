"""How strongly features go along a direction: one number an item, differentiable, nothing mixed between items.

References
----------
C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill 2017; the dot product times a power of the cosine
is what Lucid renders activations by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Likeness: TypeAlias = Literal["dot", "cosine", "dot_cosine"]
Pool: TypeAlias = Literal["mean", "max", "centre"]
LIKENESSES: tuple[Likeness, ...] = ("dot", "cosine", "dot_cosine")
POOLS: tuple[Pool, ...] = ("mean", "max", "centre")

_LEAST_COSINE = 0.1  # below, the dot product alone leads
_TINY = 1e-12  # added to squared lengths: the length of 0 has no gradient


def likeness(features: Tensor, direction: Tensor, how: Likeness, power: float = 2.0) -> Tensor:
    """Compare vectors with a direction, each for itself.

    Parameters
    ----------
    features : Tensor of shape (..., C)
        Vectors.
    direction : Tensor of shape (C,) or (..., C)
        The direction.
    how : {"dot", "cosine", "dot_cosine"}
        Dot product; cosine; dot product times ``max(cosine, 0.1) ** power``.
    power : float, default 2
        Of the cosine; more asks for purer features.

    Returns
    -------
    Tensor of shape (...)
        One number a vector.
    """
    dot = (features * direction).sum(dim=-1)
    if how == "dot":
        return dot
    lengths = (features.square().sum(dim=-1) + _TINY).sqrt() * (direction.square().sum(dim=-1) + _TINY).sqrt()
    cosine = dot / lengths
    return cosine if how == "cosine" else dot * cosine.clamp(min=_LEAST_COSINE) ** power


def pooled(values: Tensor, how: Pool) -> Tensor:
    """Turn numbers at places into one an item.

    Parameters
    ----------
    values : Tensor of shape (N, h, w)
        Numbers at places.
    how : {"mean", "max", "centre"}
        Their mean, the largest, or the one at row h // 2 and column w // 2.

    Returns
    -------
    Tensor of shape (N,)
        One number an item.
    """
    if how == "centre":
        return values[:, values.shape[1] // 2, values.shape[2] // 2]
    flat = values.flatten(1)
    return flat.mean(dim=1) if how == "mean" else flat.amax(dim=1)
