"""How well codes and a bank stand for the activations that they were found in, and how few codes they need.

References
----------
T. Fel, V. Boutin, M. Moayeri, R. Cadène, L. Bethune, L. Andéol, M. Chalvidal, T. Serre, "A Holistic Approach to
Unifying Automatic Concept Extraction and Concept Importance Estimation", NeurIPS 2023, arXiv:2306.07304, for the
choice of metrics. P. O. Hoyer, "Non-negative matrix factorization with sparseness constraints", Journal of Machine
Learning Research 5 (2004), arXiv:cs/0408058, for his sparseness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from whatwhere.engine._rows import exact_products, like_matrix, rows_at_a_time, wide

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ReconstructionError:
    """Relative errors of a reconstruction.

    Parameters
    ----------
    mean : float or None
        Mean over rows of ||a - u W|| / ||a||: 0 if all rows are exact, 1 if it is as bad as zeros; more is possible.
        Every row counts alike. None if all rows are zero.
    weighted : float or None
        ||A - U W||_F / ||A||_F: 0 and 1 as above. A row counts by its energy. None if all rows are zero.
    zero_rows : int
        Rows of zeros, which have no relative error; they are left out of `mean`.
    """

    mean: float | None
    weighted: float | None
    zero_rows: int


@dataclass(frozen=True)
class Sparsity:
    """How few codes a row has.

    Parameters
    ----------
    zeros : float
        Share of codes that are 0: 1 if all are, 0 if none is.
    hoyer : float or None
        Mean over rows of (sqrt r - ||u||_1 / ||u||_2) / (sqrt r - 1): 1 if each row has one code, 0 if all its codes
        are of equal size. Rows of zeros are left out. None with one concept, or if all rows are zero.
    active : float
        Mean number of codes a row that are not 0, from 0 to r.
    zero_rows : int
        Rows without a code.
    """

    zeros: float
    hoyer: float | None
    active: float
    zero_rows: int


def reconstruction_error(
    activations: Tensor, codes: Tensor, bank: Tensor, *, chunk: int | None = None
) -> ReconstructionError:
    """Compare activations with their reconstruction from codes and bank.

    Parameters
    ----------
    activations : Tensor of shape (n, p)
        A, of any sign.
    codes : Tensor of shape (n, r)
        U.
    bank : Tensor of shape (r, p)
        W. Its device is where the computing is done; the rest is moved there a chunk at a time.
    chunk : int, optional
        Most rows worked on at a time, at least 1; by default 1,024 on a CPU and 4,096 elsewhere. Memory: 16 p `chunk`
        bytes.

    Returns
    -------
    ReconstructionError
        Computed in float64.

    Raises
    ------
    TypeError, ValueError
        If an argument is no finite matrix, the shapes do not fit together, or `chunk` is no integer of at least 1.

    Notes
    -----
    2 n p r multiplications. For activations that come in blocks, `whatwhere.engine.factors.relative_error` gives the
    weighted error.

    Examples
    --------
    >>> a = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    >>> error = reconstruction_error(a, a, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    >>> round(error.mean, 3), round(error.weighted, 3)
    (0.9, 0.809)
    """
    a, u, w = like_matrix("activations", activations), like_matrix("codes", codes), like_matrix("bank", bank)
    if w.shape != (u.shape[1], a.shape[1]) or len(u) != len(a):
        raise ValueError(
            f"codes, bank: wanted shapes (n, r) and (r, p) for activations of shape {tuple(a.shape)}, got "
            f"{tuple(u.shape)} and {tuple(w.shape)}."
        )
    chunk = rows_at_a_time(chunk, w.device)
    parts = []
    with exact_products(w.device):
        atoms = wide(w)
        for first in range(0, len(a), chunk):
            rows = wide(a[first : first + chunk].to(w.device))
            left = rows - wide(u[first : first + chunk].to(w.device)) @ atoms
            parts.append(torch.stack([torch.linalg.vector_norm(x, dim=1) for x in (left, rows)]))
        errors, lengths = torch.cat(parts, dim=1).cpu()
    real = lengths > 0
    if not real.any():
        return ReconstructionError(None, None, len(a))
    return ReconstructionError(
        mean=float((errors[real] / lengths[real]).mean()),
        weighted=float(torch.linalg.vector_norm(errors) / torch.linalg.vector_norm(lengths)),
        zero_rows=int((~real).sum()),
    )


def sparsity(codes: Tensor) -> Sparsity:
    """Measure how few codes a row has.

    Parameters
    ----------
    codes : Tensor of shape (n, r)
        U, of any sign. Exactly 0 counts as no code, as exact solvers give it.

    Returns
    -------
    Sparsity
        Computed in float64.

    Raises
    ------
    TypeError, ValueError
        If `codes` is no finite matrix.

    Examples
    --------
    >>> sparsity(torch.tensor([[1.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0]]))
    Sparsity(zeros=0.375, hoyer=0.5, active=2.5, zero_rows=0)
    """
    u = wide(like_matrix("codes", codes)).abs()
    active = (u > 0).sum(dim=1)
    some = active > 0
    hoyer = None
    if u.shape[1] > 1 and some.any():
        kept = u[some] / u[some].amax(dim=1, keepdim=True)
        root = float(u.shape[1]) ** 0.5
        rows = (root - kept.sum(dim=1) / torch.linalg.vector_norm(kept, dim=1)) / (root - 1)
        hoyer = float(rows.mean())
    return Sparsity(
        zeros=1 - int(active.sum()) / u.numel(),
        hoyer=hoyer,
        active=int(active.sum()) / len(u),
        zero_rows=int((~some).sum()),
    )
