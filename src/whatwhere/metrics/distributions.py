"""How far reconstructions lie from real activations, as a crowd and one by one.

Each distance is also given in units of the worst harmless reconstruction: every row replaced by the mean activation.

References
----------
T. Fel et al., arXiv:2306.07304, for comparing distributions of activations and reconstructions. D. C. Dowson, B. V.
Landau, "The Fréchet distance between multivariate normal distributions", Journal of Multivariate Analysis 12 (1982),
doi:10.1016/0047-259X(82)90077-X. R. Bhatia, T. Jain, Y. Lim, "On the Bures-Wasserstein distance between positive
definite matrices", Expositiones Mathematicae 37 (2019), arXiv:1712.01504, for it as a Procrustes problem. N. Bonneel,
J. Rabin, G. Peyré, H. Pfister, "Sliced and Radon Wasserstein barycenters of measures", Journal of Mathematical Imaging
and Vision 51 (2015), doi:10.1007/s10851-014-0506-3. Y. Sun, Y. Ming, X. Zhu, Y. Li, "Out-of-distribution detection with
deep nearest neighbors", ICML 2022, arXiv:2204.06507.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from whatwhere.engine._checks import integer
from whatwhere.engine._rows import exact_products, like_matrix, wide

if TYPE_CHECKING:
    from torch import Tensor

_FLAT = 1e-12  # spread, in sizes of the largest number, that is rounding


@dataclass(frozen=True)
class Distance:
    """A distance between two sets of rows.

    Parameters
    ----------
    value : float
        The distance, at least 0: 0 if the sets agree in what is compared.
    relative : float
        The same in units of the distance of the activations from their own mean: 0 as above; 1 if the reconstructions
        might as well all be the mean activation. More is possible.
    """

    value: float
    relative: float


def frechet(activations: Tensor, reconstruction: Tensor) -> Distance:
    """Return the squared Fréchet distance of two sets of rows under Gaussians of their means and covariances.

    Parameters
    ----------
    activations : Tensor of shape (n, p)
        A, at least 2 rows that differ.
    reconstruction : Tensor of shape (m, p)
        U W, or any rows to compare with; at least 2.

    Returns
    -------
    Distance
        ``||mean difference||^2 + tr S1 + tr S2 - 2 tr (sqrt(S1) S2 sqrt(S1))^(1/2)``, in squared units of A, and
        relative to tr S1. S1 and S2 are the covariances, with n - 1 and m - 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is no finite matrix, has one row, or they differ in columns; if all activations are equal.

    Notes
    -----
    With centred rows X and Y over sqrt(n - 1) and sqrt(m - 1), it is the mean's part plus the least
    ||X - Q Y||_F^2 over orthogonal Q (rows of zeros make up for n other than m). Computed so, in float64, no covariance
    is ever made or its square root taken, no sum of large numbers cancels, and equal sets are 0 to 1e-25 of tr S1. Rows
    beyond p are first reduced to p by a QR decomposition: 2 n p^2 multiplications, and an SVD of min(n, p)^2 numbers.

    With n below p the covariances say nothing about most directions; the distance is still well defined, but it falls
    with n, so compare only values of equal n.

    Examples
    --------
    >>> a = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    >>> d = frechet(a, 2 * a.mean(0) + (a - a.mean(0)))
    >>> torch.allclose(torch.tensor(d.value), a.mean(0).square().sum())
    True
    """
    a, b = _pair(activations, reconstruction)
    with exact_products(a.device):
        means = a.mean(dim=0), b.mean(dim=0)
        x, y = (_reduced(rows - mean) for rows, mean in zip((a, b), means, strict=True))
        energy, most = float(x.square().sum()), max(len(x), len(y))
        x, y = (torch.cat([rows, rows.new_zeros(most - len(rows), rows.shape[1])]) for rows in (x, y))
        turn, _, back = torch.linalg.svd(x @ y.T)
        value = float((means[0] - means[1]).square().sum() + (x - turn @ (back @ y)).square().sum())
    return Distance(value, value / energy)


def sliced_wasserstein(
    activations: Tensor, reconstruction: Tensor, *, projections: int = 256, seed: int = 0
) -> Distance:
    """Return the mean Wasserstein-1 distance of two sets of rows along random directions.

    Parameters
    ----------
    activations : Tensor of shape (n, p)
        A, at least 2 rows that differ.
    reconstruction : Tensor of shape (m, p)
        U W, or any rows to compare with; at least 2.
    projections : int, default 256
        Random directions, at least 1. The standard error falls with their square root.
    seed : int, default 0
        Same seed, same directions, from 0 to 2^63 - 1.

    Returns
    -------
    Distance
        In units of A; relative to that of the activations from their mean along the same directions.

    Raises
    ------
    TypeError, ValueError
        If an argument is no finite matrix, has one row, or they differ in columns; if all activations are equal; if an
        option is no integer in its range.

    Notes
    -----
    Unlike `frechet` it sees more than means and covariances. Directions are uniform on the sphere. n p `projections`
    multiplications, and a sort of n + m numbers a direction; in float64.

    Examples
    --------
    >>> a = torch.tensor([[0.0], [1.0]])
    >>> sliced_wasserstein(a, a + 3)
    Distance(value=3.0, relative=6.0)
    """
    a, b = _pair(activations, reconstruction)
    count, seed = integer("projections", projections, 1), integer("seed", seed, 0, 2**63 - 1)
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(a.shape[1], count, generator=generator, dtype=torch.float64)
    directions = (directions / torch.linalg.vector_norm(directions, dim=0)).to(a.device)
    with exact_products(a.device):
        centre = a.mean(dim=0)
        first, second = (a - centre) @ directions, (b - centre) @ directions
        value = float(_transport(first, second).mean())
        return Distance(value, value / float(first.abs().mean()))


def out_of_distribution(activations: Tensor, reconstruction: Tensor, *, k: int = 5, chunk: int = 1024) -> float:
    """Return how far reconstructions lie from real activations, in units of how far these lie from each other.

    Parameters
    ----------
    activations : Tensor of shape (n, p)
        A, at least k + 1 rows.
    reconstruction : Tensor of shape (n, p)
        U W, row i that of row i of A.
    k : int, default 5
        Which nearest activation is measured, from 1 to n - 1. The row's own is left out for both, so that an exact
        reconstruction is no nearer than what it reconstructs.
    chunk : int, default 1024
        Rows whose distances to all others are held at a time, at least 1. Memory: 16 n `chunk` bytes.

    Returns
    -------
    float
        Mean distance of reconstructions to their k-th nearest activation, over the same of activations. 1 if they lie
        among activations as activations do, as exact ones do; above 1 if they are off the crowd; towards 0 if they
        sit in its dense parts, as blurred ones do, 0 only if each equals other activations.

    Raises
    ------
    TypeError, ValueError
        If an argument is no finite matrix, the shapes differ, or an option is no integer in its range; if the k-th
        nearest activation of every activation is the same as itself.

    Notes
    -----
    4 n^2 p multiplications in float64. Neighbours are found by products, the distance to the k-th from the difference
    of the two rows.

    Examples
    --------
    >>> a = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    >>> out_of_distribution(a, a, k=1), out_of_distribution(a, a + torch.tensor([[0.0], [0.0], [0.0], [9.0]]), k=1)
    (1.0, 3.25)
    """
    a, b = _pair(activations, reconstruction)
    if a.shape != b.shape:
        raise ValueError(
            f"reconstruction: wanted one row for each activation, shape {tuple(a.shape)}, got {tuple(b.shape)}."
        )
    k, chunk = integer("k", k, 1, len(a) - 1), integer("chunk", chunk, 1)
    with exact_products(a.device):
        centre = a.mean(dim=0)
        a, b = a - centre, b - centre
        between = float(_to_neighbour(a, a, k, chunk).mean())
        if between <= _FLAT * float(a.abs().max()):
            raise ValueError(
                f"activations: wanted rows that differ, got {len(a)} that have {k} others like themselves each; drop "
                "repeated rows or raise k."
            )
        return float(_to_neighbour(b, a, k, chunk).mean()) / between


def _pair(activations: Tensor, reconstruction: Tensor) -> tuple[Tensor, Tensor]:
    """Check both and return them as float64 on the first one's device."""
    a, b = wide(like_matrix("activations", activations)), like_matrix("reconstruction", reconstruction)
    if b.shape[1] != a.shape[1]:
        raise ValueError(f"reconstruction: wanted {a.shape[1]} columns as the activations have, got {tuple(b.shape)}.")
    for name, rows in (("activations", a), ("reconstruction", b)):
        if len(rows) < 2:  # noqa: PLR2004  # a spread needs two
            raise ValueError(f"{name}: wanted at least 2 rows, got shape {tuple(rows.shape)}.")
    if (a - a[0]).abs().max() <= _FLAT * a.abs().max():
        raise ValueError(
            f"activations: wanted rows that differ, got {len(a)} equal ones; there is no unit to measure by."
        )
    return a, wide(b.to(a.device))


def _reduced(centred: Tensor) -> Tensor:
    """Return at most p rows with the covariance of centred rows as their Gram matrix."""
    rows = centred / (len(centred) - 1) ** 0.5
    return torch.linalg.qr(rows, mode="r").R if len(rows) > rows.shape[1] else rows


def _transport(first: Tensor, second: Tensor) -> Tensor:
    """Return the Wasserstein-1 distance of each column: the area between the distribution functions."""
    both, order = torch.cat([first, second]).sort(dim=0)
    steps = torch.cat([first.new_full((len(first),), 1 / len(first)), first.new_full((len(second),), -1 / len(second))])
    gap = steps[order].cumsum(dim=0)[:-1].abs()
    return (gap * both.diff(dim=0)).sum(dim=0)


def _to_neighbour(rows: Tensor, real: Tensor, k: int, chunk: int) -> Tensor:
    """Return the distance of each row to its k-th nearest of `real`, the one of its own number left out."""
    squares = real.square().sum(dim=1)
    out = rows.new_empty(len(rows))
    for first in range(0, len(rows), chunk):
        block = rows[first : first + chunk]
        away = torch.addmm(squares, block, real.T, alpha=-2)  # less the block's own squares, which order nothing
        away.diagonal(first).fill_(torch.inf)
        neighbour = away.topk(k, dim=1, largest=False).indices[:, -1]
        out[first : first + chunk] = torch.linalg.vector_norm(block - real[neighbour], dim=1)
    return out
