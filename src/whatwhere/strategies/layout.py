"""Where photos are drawn: near each other when they are classified for the same reasons.

References
----------
L. van der Maaten, G. Hinton, "Visualizing data using t-SNE", Journal of Machine Learning Research 9 (2008).
D. Kobak, P. Berens, "The art of using t-SNE for single-cell transcriptomics", Nature Communications 10 (2019),
doi:10.1038/s41467-019-13056-x, for the start from principal components, which keeps what is far apart.
"""

from __future__ import annotations

import importlib.util
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from whatwhere.strategies import _tsne

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray

LayoutMethod: TypeAlias = Literal["auto", "tsne", "pca"]
LAYOUTS: tuple[LayoutMethod, ...] = get_args(LayoutMethod)

MOST = 5000  # points that t-SNE places
MATTERS = 0.95  # of all contributions: what the concepts that matter hold together
_FEW = 3  # concepts whose shares lie in a plane
_FEWEST = 10  # points that have neighbourhoods
_PERPLEXITY = 30
_ITERATIONS = 500  # of a thousand by default: from there the divergence falls by less than a tenth, for twice the time
_PULL = 12.0  # early exaggeration
_START = 1e-4  # standard deviation of t-SNE's start along the first axis, as its authors have it
_MEANING = ": near means read for the same reasons, far means little"
_PATIENCE = 0.05  # seconds between two looks at whether the thread is done


@dataclass(frozen=True)
class Layout:
    """How positions were found.

    Parameters
    ----------
    method : {"tsne", "pca"}
        What placed the photos.
    reason : str
        The method and why it was taken, in words.
    shown : float
        Share of the variance of the importance vectors that a principal-component picture shows, 0 to 1.
    started : bool, default False
        Whether it started from another graph's positions.
    """

    method: Literal["tsne", "pca"]
    reason: str
    shown: float
    started: bool = False


def mattering(shares: NDArray[np.floating]) -> int:
    """Count the concepts that matter: the fewest that hold 95 % of all contributions.

    Parameters
    ----------
    shares : ndarray of shape (n, r)
        Signed shares, or contributions.

    Returns
    -------
    int
        From 0, where nothing contributes, to r.
    """
    size = np.sort(np.abs(np.asarray(shares, dtype=np.float64)).sum(axis=0))[::-1]
    total = size.sum()
    return int(np.searchsorted(np.cumsum(size), MATTERS * total * (1 - 1e-12)) + 1) if total > 0 else 0


def principal(vectors: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """Project on the two directions of largest variance.

    Parameters
    ----------
    vectors : ndarray of shape (n, r)
        Importance vectors.

    Returns
    -------
    positions : ndarray of shape (n, 2), float64
        Each axis is turned so that its largest weight is positive; zeros where there is no variance.
    shown : float
        Share of the variance in them, 0 to 1; 1 where there is none.
    """
    wide = np.asarray(vectors, dtype=np.float64)
    positions = np.zeros((len(wide), 2))
    if not wide.size:
        return positions, 1.0
    centred = wide - wide.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    values, axes = np.maximum(values[::-1], 0), axes[:, ::-1]
    total = values.sum()
    if total <= 1e-12 * max(1.0, float((wide**2).sum())):
        return positions, 1.0
    axes = axes[:, :2] * np.sign(axes[np.abs(axes[:, :2]).argmax(axis=0), np.arange(min(2, axes.shape[1]))])
    positions[:, : axes.shape[1]] = centred @ axes
    return positions, float(values[:2].sum() / total)


def choose(n: int, shares: NDArray[np.floating], wanted: LayoutMethod) -> tuple[Literal["tsne", "pca"], str]:
    """Choose how photos are placed.

    Parameters
    ----------
    n : int
        How many photos there are.
    shares : ndarray of shape (n, r)
        Their importance vectors.
    wanted : {"auto", "tsne", "pca"}
        What was asked for.

    Returns
    -------
    method : {"tsne", "pca"}
        The choice.
    reason : str
        Why, in words.

    Raises
    ------
    ImportError
        If t-SNE of more than 500 photos is asked for and scikit-learn is not installed.
    """
    if wanted == "tsne":
        need_for_tsne(n)
    few, reason = mattering(shares), ""
    if wanted == "pca":
        reason = "as asked for"
    elif n < _FEWEST:
        reason = f"since {n} photos have no neighbourhoods"
    elif wanted == "tsne":
        return "tsne", f"t-SNE from principal components, as asked for{_MEANING}"
    elif few <= _FEW:
        held = f"{few} concept{'s' * (few != 1)} hold{'s' * (few == 1)}"
        reason = f"since {held} {MATTERS:.0%} of the evidence, which a plane shows"
    elif n > MOST:
        reason = f"since t-SNE is for at most {MOST:,} photos"
    elif n > _tsne.MOST and importlib.util.find_spec("sklearn") is None:
        reason = f"since scikit-learn, which t-SNE of more than {_tsne.MOST} photos comes from, is not installed"
    return (
        ("pca", f"two principal components, {reason}")
        if reason
        else ("tsne", f"t-SNE from principal components{_MEANING}")
    )


def place(
    vectors: NDArray[np.floating],
    wanted: LayoutMethod = "auto",
    *,
    seed: int = 0,
    start: NDArray[np.floating] | None = None,
) -> Iterator[tuple[NDArray[np.float32], Layout] | None]:
    """Find positions of photos, in small steps or, where that takes long, on a thread of its own.

    Parameters
    ----------
    vectors : ndarray of shape (n, r)
        Importance vectors.
    wanted : {"auto", "tsne", "pca"}, default "auto"
        How; by default t-SNE of 10 to 5,000 photos if more than three concepts matter, else principal components.
    seed : int, default 0
        Of t-SNE of more than 500 photos. It starts from principal components, so that little depends on it.
    start : ndarray of shape (n, 2), optional
        Positions to start from, NaN for photos that have none: those start where the one with the nearest vector is.

    Yields
    ------
    None or (ndarray of shape (n, 2), Layout)
        None while t-SNE is at work, twenty times a second or more; then the positions, centred, of standard deviation
        1 along the wider axis, and how they were found.

    Raises
    ------
    ImportError
        If t-SNE of more than 500 photos is asked for and scikit-learn is not installed.

    Notes
    -----
    The same vectors give the same positions, bit for bit, on any number of cores. Up to 500 photos all pairs are
    taken, some steps at a time: on one core 0.1 s for 300 photos. With more, scikit-learn's trees are faster, on a
    thread of their own and on one of OpenMP, which also is faster where something else has the cores: 2 s for 1,000,
    14 s for 5,000.
    """
    wide = np.asarray(vectors, dtype=np.float64)
    method, reason = choose(len(wide), wide, wanted)
    first, shown = principal(wide)
    begun = _started(wide, start)
    if method == "pca":
        yield _scaled(first), Layout("pca", reason, shown)
        return
    if begun is None:
        from_there, pull = first / (first[:, 0].std() or 1.0) * _START, _PULL
    else:
        from_there, pull = begun, 1.0  # a good start is not pulled together first
    spots = yield from (_by_pairs if len(wide) <= _tsne.MOST else _by_trees)(wide, from_there, pull, seed)
    yield _scaled(spots), Layout("tsne", reason, shown, begun is not None)


def need_for_tsne(n: int) -> None:
    """Refuse t-SNE of more photos than all pairs can be taken of, where scikit-learn is not installed.

    Parameters
    ----------
    n : int
        How many photos there are; 0 where that is not known.

    Raises
    ------
    ImportError
        If it is needed and not installed.
    """
    if not 0 < n <= _tsne.MOST:
        need_sklearn(f"layout='tsne' of more than {_tsne.MOST} photos, or of nobody knows how many,")


def need_sklearn(what: str) -> None:
    """Refuse what cannot be done without scikit-learn.

    Parameters
    ----------
    what : str
        What was asked for.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    if importlib.util.find_spec("sklearn") is None:
        raise ImportError(f"{what} needs scikit-learn: pip install scikit-learn, or pip install whatwhere[strategies].")


def _by_pairs(
    vectors: NDArray[np.float64], start: NDArray[np.float64], pull: float, seed: int
) -> Generator[None, None, NDArray[np.float32]]:
    """Run t-SNE of few points, some steps at a time."""
    del seed  # nothing is left to chance
    near, last = _tsne.affinities(vectors, _perplexity(vectors)), start.astype(np.float32)
    for spots in _tsne.descend(near, start, pull=pull, steps=_ITERATIONS):
        last = spots
        yield None
    return last


def _by_trees(
    vectors: NDArray[np.float64], start: NDArray[np.float64], pull: float, seed: int
) -> Generator[None, None, NDArray[np.float32]]:
    """Run scikit-learn's t-SNE on a thread of its own."""
    found: list[Any] = []
    thread = threading.Thread(
        target=_fit, args=(vectors, start, pull, seed, found), name="whatwhere layout", daemon=True
    )
    thread.start()
    while thread.is_alive():
        thread.join(_PATIENCE)
        yield None
    if isinstance(found[0], BaseException):
        raise found[0]
    spots: NDArray[np.float32] = found[0]
    return spots


def _perplexity(vectors: NDArray[np.float64]) -> float:
    return min(_PERPLEXITY, (len(vectors) - 1) / 3)


def _fit(vectors: NDArray[np.float64], start: NDArray[np.float64], pull: float, seed: int, found: list[Any]) -> None:
    """Run t-SNE; what it gives, or raises, goes into `found`."""
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        model = TSNE(
            perplexity=_perplexity(vectors),
            early_exaggeration=pull,
            init=start.astype(np.float32),
            max_iter=_ITERATIONS,
            random_state=seed,
            n_jobs=1,
        )
        with threadpool_limits(limits=1, user_api="openmp"):
            found.append(model.fit_transform(vectors.astype(np.float32)))
    except BaseException as error:  # raised again where it is waited for
        found.append(error)


def _started(vectors: NDArray[np.float64], start: NDArray[np.floating] | None) -> NDArray[np.float64] | None:
    """Fill in positions where there are none; None if there are too few to start from."""
    if start is None:
        return None
    given = np.asarray(start, dtype=np.float64)
    known = np.isfinite(given).all(axis=1)
    if known.sum() < _FEWEST:
        return None
    from scipy.spatial import cKDTree

    filled = given.copy()
    if not known.all():
        nearest = cKDTree(vectors[known]).query(vectors[~known])[1]
        filled[~known] = given[known][nearest]
    return filled


def _scaled(positions: NDArray[np.floating]) -> NDArray[np.float32]:
    """Centre positions and give them a standard deviation of 1 along the wider axis."""
    wide = np.asarray(positions, dtype=np.float64)
    if not len(wide):
        return wide.astype(np.float32)
    centred = wide - wide.mean(axis=0)
    spread = float(centred.std(axis=0).max())
    return (centred / (spread if spread > 0 else 1.0)).astype(np.float32)
