"""Exact non-negative least squares: the codes of each row for a fixed bank.

For each row a of A, minimise ||a - u W|| over u >= 0. The bank is factorised once, W' = Q R, so that a row becomes
R u ~ Q' a with r unknowns and without squaring the condition of W. Coordinate descent then guesses which codes are
above 0, and an active-set method with exact solutions, in lockstep for all rows, makes the guess right. It ends where
the optimality conditions hold: no code can fall, and none that is 0 would lower the residual by rising.

References
----------
C. L. Lawson, R. J. Hanson, "Solving Least Squares Problems", SIAM 1995, chapter 23, doi:10.1137/1.9781611971217, for
the active-set method. J. Kim, H. Park, "Fast nonnegative matrix factorization: an active-set-like method and
comparisons", SIAM J. Sci. Comput. 33 (2011), doi:10.1137/110821172, for sharing the solutions of equal supports.
A. Björck, "Stability analysis of the method of seminormal equations for linear least squares problems", Linear Algebra
Appl. 88 (1987), doi:10.1016/0024-3795(87)90101-7, for normal equations that are corrected once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from whatwhere.engine._alternating import sweep
from whatwhere.engine._rows import exact_products, like_matrix, non_negative, rows_at_a_time, wide

if TYPE_CHECKING:
    from torch import Tensor

_GUESSES = 30  # sweeps of coordinate descent
_OPTIMAL = 1e-10  # largest cosine of an idle atom with the residual, in lengths of the row
_INDEPENDENT = 1e-13  # singular values of a support below this share of the largest are none
_TAME = 1e-4  # smallest over largest singular value of a bank whose supports are solved by Cholesky factors
_SIZES = 1e-100, 1e100  # of rows whose squares stay within float64
_PLAIN = 1e-12, 1e15  # lengths of rows whose squares stay within float32, but for what is nothing beside the others
_SAME = 1e-14  # distance of unit vectors that point the same way; their cosine would resolve 1e-8 only


def nnls(bank: Tensor, activations: Tensor, *, start: Tensor | None = None, chunk: int | None = None) -> Tensor:
    """Return the exact non-negative least-squares codes of every row.

    Parameters
    ----------
    bank : Tensor of shape (r, p)
        W, of any sign and scale; r may be larger than p. Its device is where the computing is done.
    activations : Tensor of shape (n, p)
        A, of any sign and scale. Rows are moved to the bank's device a chunk at a time.
    start : Tensor of shape (n, r), optional
        Codes to begin the search from, at least 0; from 0 by default. Near ones save time; they do not change the
        answer where it is unique.
    chunk : int, optional
        Most rows worked on at a time, at least 1; by default 1,024 on a CPU and 4,096 elsewhere. Memory: 8 r^2 `chunk`
        bytes, a few times.

    Returns
    -------
    Tensor of shape (n, r)
        U, at least 0, on the bank's device, in float64 if either argument is, else in float32; computed in float64.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an argument is not a matrix of finite numbers, the shapes do not fit, or `start` is negative.
    RuntimeError
        If the search does not end, which it does in exact arithmetic.

    Notes
    -----
    Of atoms that are positive multiples of each other to 1e-14 the first bears the code, and the others get 0. Codes of
    atoms that depend linearly on several others are not unique; the residual is. A dead atom gets 0, as does every atom
    on a row of zeros.

    No decision on a row looks at another: its codes depend on the rows beside it by the rounding of matrix products
    only, about 1e-15 of their size times the condition number of the atoms in use.

    r^2 p multiplications for the bank, p r a row, and 30 r^2 a row for the guess; after it most rows need one to three
    solutions: of r^3 / 6 by Cholesky factors where the bank's singular values lie within a factor of 10^4, else by
    pseudo-inverses that rows of equal support share.

    Examples
    --------
    >>> nnls(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[2.0, 1.0], [1.0, -3.0]]))
    tensor([[1., 1.],
            [1., 0.]])
    """
    w, a = like_matrix("bank", bank), like_matrix("activations", activations)
    chunk = rows_at_a_time(chunk, w.device)
    if w.shape[1] != a.shape[1]:
        raise ValueError(
            f"activations: wanted {w.shape[1]} columns as the bank has, got shape {tuple(a.shape)} for a bank of "
            f"{tuple(w.shape)}."
        )
    if start is not None:
        start = non_negative("start", start)
        if start.shape != (len(a), len(w)):
            raise ValueError(f"start: wanted shape (n, r) = {(len(a), len(w))}, got {tuple(start.shape)}.")
    dtype = torch.promote_types(w.dtype, a.dtype)
    with exact_products(w.device):
        problem = _Problem(wide(w))
        out = w.new_zeros(len(a), len(w), dtype=dtype)
        for first in range(0, len(a), chunk):
            part = slice(first, first + chunk)
            guess = None if start is None else start[part].to(problem.device, torch.float64)
            rows = a[part].to(w.device)
            out[part] = problem.solve(wide(rows), guess, _lengths(rows)).to(out)
    return out


class _Problem:
    """A bank made ready: atoms of length 1, without repeats, as R of their QR factorisation. All float64."""

    def __init__(self, bank: Tensor) -> None:
        self.device, self.rank = bank.device, len(bank)
        largest = bank.abs().amax(dim=1, keepdim=True)
        units = bank / torch.where(largest > 0, largest, 1)  # squares of tiny or huge numbers leave float64
        lengths = torch.linalg.vector_norm(units, dim=1, keepdim=True)
        units = units / torch.where(lengths > 0, lengths, 1)
        self.kept = _first_of_each(units)
        self.lengths = (lengths * largest).flatten()[self.kept]
        self.q, self.r = torch.linalg.qr(units[self.kept].T)
        self.gram = self.r.T @ self.r
        values = torch.linalg.svdvals(self.r)
        self.tame = len(values) == len(self.kept) > 0 and bool(values[-1] >= _TAME * values[0])

    def solve(self, rows: Tensor, start: Tensor | None, norms: Tensor | None) -> Tensor:
        """Return the codes (m, r) of rows (m, p), whose lengths (m, 1) are `norms` where they are known."""
        out = rows.new_zeros(len(rows), self.rank)
        if not len(self.kept):
            return out
        sizes = None
        if norms is None:
            rows, sizes = _within_range(rows)
            norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        targets = rows @ self.q / torch.where(norms > 0, norms, 1)
        scale = norms if sizes is None else norms * sizes
        begin = targets.new_zeros(len(rows), len(self.kept))
        if start is not None:
            begin = start[:, self.kept] * self.lengths / torch.where(scale > 0, scale, 1)
        codes = self._exact(self._guess(begin, targets @ self.r), targets)
        out[:, self.kept] = codes * scale / self.lengths
        return out

    def _guess(self, codes: Tensor, products: Tensor) -> Tensor:
        """Return codes after some sweeps of coordinate descent."""
        every = list(range(codes.shape[1]))
        return sweep(codes.T.contiguous(), products.T.contiguous(), self.gram, every, _GUESSES).T.contiguous()

    def _exact(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Return optimal codes by the active-set method, beginning with the support of `codes`."""
        support, barred = codes > 0, torch.zeros_like(codes, dtype=torch.bool)
        todo = torch.arange(len(codes), device=codes.device)
        for _ in range(50 + 10 * self.gram.shape[0]):
            u, s = self._descend(codes[todo], support[todo], targets[todo])
            gradient = _by_row(self.r.T[None], targets[todo] - _by_row(self.r[None], u))
            gradient = gradient.masked_fill(s | barred[todo], -torch.inf)
            best, entering = gradient.max(dim=1)
            codes[todo], support[todo] = u, s
            going_on = best > _OPTIMAL
            todo, entering, u, s = todo[going_on], entering[going_on, None], u[going_on], s[going_on]
            if not len(todo):
                return codes
            s = s.scatter(1, entering, value=True)
            useless = self._solutions(s, targets[todo]).gather(1, entering) <= 0  # it rises by rounding only
            s = s.scatter(1, entering, ~useless)
            barred[todo] = barred[todo].scatter(1, entering, useless)
            support[todo] = s
        raise RuntimeError(
            f"activations: {len(todo)} rows have found no optimal codes; the bank's atoms are too nearly dependent. "
            "Merge those that point the same way (duplicate_atoms finds them)."
        )

    def _descend(self, codes: Tensor, support: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Go to the best codes of a support, dropping those that would become negative on the way."""
        codes, support = codes.clone(), support.clone()
        todo = torch.arange(len(codes), device=codes.device)
        while len(todo):
            u, s = codes[todo], support[todo]
            z = self._solutions(s, targets[todo])
            below = s & (z <= 0)
            shares = torch.where(below, u / torch.where(below, u - z, 1), torch.inf)
            shares = torch.where(below & (u <= 0), 0.0, shares)
            step = shares.amin(dim=1, keepdim=True).clamp_max(1)
            dropped = below & (shares <= step)
            stopped = below.any(dim=1, keepdim=True)
            s = s & ~dropped
            codes[todo] = torch.where(stopped, (u + step * (z - u)).clamp_min(0), z) * s
            support[todo] = s
            todo = todo[stopped.flatten()]
        return codes, support

    def _solutions(self, support: Tensor, targets: Tensor) -> Tensor:
        """Return the least-squares codes on each row's support, those of least norm where atoms are dependent."""
        if self.tame:
            return self._by_cholesky(support, targets)
        distinct, which = torch.unique(support, dim=0, return_inverse=True)
        inverses = torch.linalg.pinv(self.r * distinct[:, None, :].to(self.r), rtol=_INDEPENDENT)
        return _by_row(inverses[which], targets) * support

    def _by_cholesky(self, support: Tensor, targets: Tensor) -> Tensor:
        """Return the same where no support is near to dependent: normal equations, corrected by the residual.

        The correction brings back what squaring the bank's condition loses.
        """
        both = support[:, :, None] & support[:, None, :]
        factors = torch.linalg.cholesky_ex(torch.where(both, self.gram, 0) + torch.diag_embed((~support).to(self.r)))[0]
        z = torch.zeros_like(targets[:, :1]).expand_as(support)
        for _ in range(2):
            missed = (targets - z @ self.r.T) @ self.r * support
            z = z + torch.cholesky_solve(missed[:, :, None], factors)[:, :, 0]
        return z * support


def _lengths(rows: Tensor) -> Tensor | None:
    """Return the lengths (m, 1) of float32 rows where it can square them all, as quick divisors; None where not."""
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    tame = rows.dtype == torch.float32 and bool(((lengths > _PLAIN[0]) & (lengths < _PLAIN[1])).all())
    return wide(lengths) if tame else None


def _within_range(rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return rows whose squares stay within float64, and the largest number of each where they were divided by it."""
    sizes = torch.maximum(rows.amax(dim=1, keepdim=True), -rows.amin(dim=1, keepdim=True))  # nine times norm's speed
    sizes = torch.where(sizes > 0, sizes, 1)
    if bool(((sizes >= _SIZES[0]) & (sizes <= _SIZES[1])).all()):
        return rows, None
    return rows / sizes, sizes


def _by_row(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Multiply each vector (m, j) by its matrix (m or 1, i, j)."""
    return (matrices * vectors[:, None, :]).sum(dim=2)


def _first_of_each(units: Tensor) -> Tensor:
    """Return the numbers of the atoms that are not dead and no multiple of one before them."""
    kept: list[int] = []
    for k in units.any(dim=1).nonzero().flatten().tolist():
        if not (torch.linalg.vector_norm(units[kept] - units[k], dim=1) <= _SAME).any():
            kept.append(k)
    return torch.tensor(kept, dtype=torch.long, device=units.device)
