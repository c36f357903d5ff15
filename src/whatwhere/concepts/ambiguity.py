"""Which concepts to split: how much the crops of each look like one thing at an earlier layer, and how much like two.

What is looked at are directions: the features of the crops that show a concept most, pooled at the earlier layer and
scaled to length 1, so that showing more of the same is no difference. Numbers are held against chance, since two
factors always fit better than one, and two clusters are found in any cloud.

References
----------
P. J. Rousseeuw, "Silhouettes", Journal of Computational and Applied Mathematics 20 (1987),
doi:10.1016/0377-0427(87)90125-7. Y. Liu, D. N. Hayes, A. Nobel, J. S. Marron, "Statistical significance of clustering
for high-dimension, low-sample size data", JASA 103 (2008), doi:10.1198/016214508000000454, for one cloud with the
spectrum of the data as the null of two clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_DRAWS = 19  # the largest of so many is passed by chance once in 20
_LEAST_GAIN = 0.1
_SWEEPS = 50
_NOTHING = 1e-6  # relative error of rank 1 below which there is only rounding
RULE = (
    "proposed where two factors leave at least a tenth less error than one does, and less than for shuffled channels, "
    "and two clusters stand apart more than in one cloud of the same spectrum (each: more than in all of 19 draws)"
)


@dataclass(frozen=True)
class Ambiguity:
    """Whether a concept looks like several things at an earlier layer.

    Parameters
    ----------
    concept : int
        The concept's row in the bank.
    id : int
        Its id.
    layer : str
        The earlier layer.
    n_crops : int
        How many crops were looked at; 0 for a dead concept.
    gain : float or None
        By what share two factors lower the relative error of one, 0 to 1; None with too few crops.
    gain_by_chance : float or None
        The largest such share when each channel is shuffled over the crops, which leaves channels as they are and takes
        away what they do together.
    silhouette : float or None
        Mean silhouette of two clusters, -1 to 1: 0 where they touch, 1 where they are points.
    silhouette_by_chance : float or None
        The largest of one cloud that has the spectrum of the data.
    stability : float or None
        Smaller cosine of the concept's direction with its matches in banks of two halves of the photos, at the bank's
        own layer; None with fewer than two photos a concept. A concept below about 0.9 depends on the photos.
    proposed : bool
        Whether to split it; see `rule`.
    rule : str
        What `proposed` goes by.
    """

    concept: int
    id: int
    layer: str
    n_crops: int
    gain: float | None
    gain_by_chance: float | None
    silhouette: float | None
    silhouette_by_chance: float | None
    stability: float | None
    proposed: bool
    rule: str = RULE


class Twofold(NamedTuple):
    """How much rows look like two things, and how much by chance.

    Attributes
    ----------
    gain, gain_by_chance, silhouette, silhouette_by_chance : float
        As in `Ambiguity`.
    """

    gain: float
    gain_by_chance: float
    silhouette: float
    silhouette_by_chance: float

    @property
    def proposed(self) -> bool:
        """Whether they do, by `RULE`.

        Returns
        -------
        bool
            True if both numbers pass chance, and the gain is a tenth at least.
        """
        return (
            self.gain >= _LEAST_GAIN and self.gain > self.gain_by_chance and self.silhouette > self.silhouette_by_chance
        )


def directions(rows: Tensor) -> Tensor:
    """Scale rows to length 1.

    Parameters
    ----------
    rows : Tensor of shape (n, p)
        Features; rows of zeros, which have no direction, are left out.

    Returns
    -------
    Tensor of shape (m, p), float64
        On the CPU.
    """
    rows = rows.detach().double().cpu()
    lengths = torch.linalg.vector_norm(rows, dim=1)
    return rows[lengths > 0] / lengths[lengths > 0, None]


def twofold(units: Tensor, errors: tuple[float, float], *, seed: int = 0) -> Twofold:
    """Tell whether directions look like two things.

    Parameters
    ----------
    units : Tensor of shape (n, p), float64
        From `directions`; at least 4 rows.
    errors : (float, float)
        Relative errors of the factorisations of rank 1 and 2 of these rows.
    seed : int, default 0
        Of the draws.

    Returns
    -------
    Twofold
        Gain and silhouette, each with the largest of 19 draws of chance. All 0 where one direction is all there is.

    Notes
    -----
    The gain by chance is that of the best factors of any sign, from singular values: it is at least what factors with
    codes of at least 0 would gain, so that the comparison errs on the side of not proposing.
    """
    if errors[0] <= _NOTHING:
        return Twofold(0.0, 0.0, 0.0, 0.0)
    generator = torch.Generator().manual_seed(seed)
    gain = max(0.0, 1 - errors[1] / errors[0])
    by_chance = max(_gain(_shuffled(units, generator)) for _ in range(_DRAWS))
    left, values, _ = torch.linalg.svd(units - units.mean(dim=0), full_matrices=False)
    kept = values > values[0] * _NOTHING
    scores, values = (left * values)[:, kept], values[kept]
    clouds = (_cloud(len(units), values, generator) for _ in range(_DRAWS))
    return Twofold(gain, by_chance, silhouette_of_two(scores), max(silhouette_of_two(cloud) for cloud in clouds))


def silhouette_of_two(points: Tensor) -> float:
    """Split points in two by k-means, and tell how well the two stand apart.

    Parameters
    ----------
    points : Tensor of shape (n, q), float64
        The points. The search begins with the two sides of the first principal axis, so that it gives one answer.

    Returns
    -------
    float
        Mean silhouette, -1 to 1; that of a point alone in its cluster is 0. 0 where all points are one.
    """
    labels = _two_means(points)
    if labels.all() or not labels.any():
        return 0.0
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    own = torch.where(labels, distances[:, labels].sum(dim=1), distances[:, ~labels].sum(dim=1))
    size = torch.where(labels, labels.sum(), (~labels).sum())
    inside = own / (size - 1).clamp_min(1)
    outside = torch.where(labels, distances[:, ~labels].mean(dim=1), distances[:, labels].mean(dim=1))
    widest = torch.maximum(inside, outside)
    single = (outside - inside) / torch.where(widest > 0, widest, 1)
    return float(torch.where(size > 1, single, 0).mean())


def _two_means(points: Tensor) -> Tensor:
    centred = points - points.mean(dim=0)
    axis = torch.linalg.svd(centred, full_matrices=False)[2][0]
    labels = centred @ axis > 0
    for _ in range(_SWEEPS):
        if labels.all() or not labels.any():
            break
        first, second = centred[labels].mean(dim=0), centred[~labels].mean(dim=0)
        fresh = (centred - first).square().sum(dim=1) < (centred - second).square().sum(dim=1)
        if torch.equal(fresh, labels):
            break
        labels = fresh
    return labels


def _gain(rows: Tensor) -> float:
    """Return the gain of rank 2 over rank 1 by singular values."""
    squares = torch.linalg.eigvalsh(rows @ rows.T).flip(0).clamp_min(0)
    one, two = (float(squares[k:].sum()) for k in (1, 2))
    return 1 - float(np.sqrt(two / one)) if one > 0 else 0.0


def _shuffled(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Return the rows with each column in an order of its own."""
    order = torch.rand(rows.shape, generator=generator, dtype=torch.float64).argsort(dim=0)
    return rows.gather(0, order)


def _cloud(count: int, values: Tensor, generator: torch.Generator) -> Tensor:
    """Draw centred points with given singular values and directions at random: one cloud."""
    noise = torch.randn((count, len(values)), generator=generator, dtype=torch.float64)
    return torch.linalg.qr(noise - noise.mean(dim=0))[0] * values
