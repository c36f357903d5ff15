"""Strategies beyond a single concept: photos with like mixes of concepts, as many kinds as the photos show.

References
----------
P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", Journal of
Computational and Applied Mathematics 20 (1987), doi:10.1016/0377-0427(87)90125-7; L. Kaufman, P. J. Rousseeuw,
"Finding groups in data" (1990), for the reading of 0.25.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from whatwhere.engine._checks import integer
from whatwhere.strategies.layout import need_sklearn
from whatwhere.strategies.rates import Rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.strategies.graph import StrategyGraph

ClusterMethod: TypeAlias = Literal["kmeans", "ward"]
METHODS: tuple[ClusterMethod, ...] = get_args(ClusterMethod)

_MOST = 10  # clusters that are tried
_STRUCTURE = 0.25  # silhouette up to which there is said to be none
_SAMPLE = 2000  # photos whose silhouettes are looked at
_WARD_MOST = 10_000  # photos: its memory grows with their square
_STARTS = 10  # of K-means


@dataclass(frozen=True, eq=False)
class Clusters:
    """Photos with like mixes of concepts.

    Parameters
    ----------
    of_image : ndarray of shape (n,), int64
        Cluster of each photo, the largest is 0.
    centres : ndarray of shape (c, r), float64
        Mean shares of the concepts in each.
    medoids : ndarray of shape (c,), int64
        The photo nearest to each centre.
    silhouettes : dict of int to float
        Mean silhouette of each number of clusters that was tried, -1 to 1.
    rule : str
        How they were found and their number was chosen, in words.
    prevalence, reliability : Rates
        Share of the photos in each; share of those, of known class, that are right.
    """

    of_image: NDArray[np.int64]
    centres: NDArray[np.float64]
    medoids: NDArray[np.int64]
    silhouettes: dict[int, float]
    rule: str
    prevalence: Rates
    reliability: Rates

    def __len__(self) -> int:
        return len(self.centres)


def find_clusters(
    graph: StrategyGraph, count: int | None = None, *, method: ClusterMethod = "kmeans", seed: int = 0
) -> Clusters:
    """Divide photos by their mix of concepts.

    Parameters
    ----------
    graph : StrategyGraph
        The graph.
    count : int, optional
        How many clusters; by default the number from 2 to 10 with the largest mean silhouette, or one if that is 0.25
        or less, by which Kaufman and Rousseeuw say that there is no structure.
    method : {"kmeans", "ward"}, default "kmeans"
        K-means, or hierarchical clustering by Ward's criterion; of shares.
    seed : int, default 0
        Of K-means, and of the sample whose silhouettes are looked at.

    Returns
    -------
    Clusters
        The largest first.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    ValueError
        If the method is not known, or there are fewer different photos than clusters, or too many for Ward's.
    """
    need_sklearn("clusters")
    if method not in METHODS:
        raise ValueError(f"method: wanted one of {list(METHODS)}, got {method!r}.")
    shares, seed = graph.shares, integer("seed", seed, 0, 2**32 - 1)
    distinct = len(np.unique(shares, axis=0))
    if count is not None and integer("count", count, 1) > distinct:
        raise ValueError(f"count: wanted at most {distinct} clusters of {distinct} different vectors, got {count}.")
    if method == "ward" and len(graph) > _WARD_MOST:
        raise ValueError(f"method: 'ward' is for at most {_WARD_MOST:,} photos, got {len(graph):,}; use 'kmeans'.")
    tried = range(2, min(_MOST, distinct, len(graph) - 1) + 1) if count is None else [count]
    found = {c: _divide(shares, c, method, seed) for c in tried}
    silhouettes = {c: _silhouette(shares, labels, seed) for c, labels in found.items()}
    best = max(silhouettes, key=lambda c: silhouettes[c], default=1)
    said = {"kmeans": "K-means", "ward": "Ward's hierarchical clustering"}[method]
    rule = f"{said} of the concepts' shares into {count} clusters, as asked for."
    if count is None:
        best, rule = _chosen(best, silhouettes, said)
    return _clusters(graph, found.get(best, np.zeros(len(graph), dtype=np.int64)), silhouettes, rule)


def _chosen(best: int, silhouettes: dict[int, float], said: str) -> tuple[int, str]:
    if not silhouettes:
        return 1, "One cluster: there are too few different photos for more."
    top = silhouettes[best]
    tried = f"of {min(silhouettes)} to {max(silhouettes)} clusters by {said} the largest mean silhouette is {top:.2f}"
    if top <= _STRUCTURE:
        return 1, f"One cluster: {tried}, and up to {_STRUCTURE} there is said to be no structure."
    return best, f"{best} clusters: {tried}, of {best}."


def _divide(shares: NDArray[np.float64], count: int, method: str, seed: int) -> NDArray[np.int64]:
    from sklearn.cluster import AgglomerativeClustering, KMeans
    from threadpoolctl import threadpool_limits

    if count == 1:
        return np.zeros(len(shares), dtype=np.int64)
    model = (
        AgglomerativeClustering(count, linkage="ward")
        if method == "ward"
        else KMeans(count, n_init=_STARTS, random_state=seed)
    )
    with threadpool_limits(limits=1, user_api="openmp"):  # same sums in the same order, on any number of cores
        return np.asarray(model.fit_predict(shares), dtype=np.int64)


def _silhouette(shares: NDArray[np.float64], labels: NDArray[np.int64], seed: int) -> float:
    from sklearn.metrics import silhouette_score

    chosen = np.arange(len(shares))
    if len(shares) > _SAMPLE:
        chosen = np.sort(np.random.default_rng(seed).choice(len(shares), _SAMPLE, replace=False))
    kinds = len(np.unique(labels[chosen]))
    return float(silhouette_score(shares[chosen], labels[chosen])) if 1 < kinds < len(chosen) else 0.0


def _clusters(graph: StrategyGraph, labels: NDArray[np.int64], silhouettes: dict[int, float], rule: str) -> Clusters:
    sizes = np.bincount(labels)
    order = np.argsort(-sizes, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    of_image, level = place[labels], graph.method.level
    member = of_image[:, None] == np.arange(len(order))
    centres = np.stack([graph.shares[own].mean(axis=0) for own in member.T])
    away = ((graph.shares - centres[of_image]) ** 2).sum(axis=1)
    medoids = np.array([np.flatnonzero(own)[away[own].argmin()] for own in member.T])
    right, known = graph.right[:, None], graph.known[:, None]
    return Clusters(
        of_image=of_image,
        centres=centres,
        medoids=medoids,
        silhouettes=silhouettes,
        rule=rule,
        prevalence=Rates.of(member.sum(axis=0), len(graph), level),
        reliability=Rates.of((member & right).sum(axis=0), (member & known).sum(axis=0), level),
    )
