"""A sparse autoencoder with the k largest codes of each row, trained in epochs that can stop any time.

The encoder is linear: z = relu((a - m) E' / s + c) with m the mean of the activations and s one scale for all columns,
and of the r codes of a row the k largest are kept; what other rows do has no part in it. The decoder is A ~ s z D + b
with atoms D of length 1. Encoder, atoms and offset are trained on minibatches by Adam. One scale rather than one a
column keeps the residual's metric that of the activations.

References
----------
A. Makhzani, B. Frey, "k-sparse autoencoders", ICLR 2014, arXiv:1312.5663. L. Gao et al., "Scaling and evaluating sparse
autoencoders", arXiv:2406.04093, for the encoder that begins as the decoder's transpose and atoms of length 1.
D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from whatwhere.engine._alternating import Plan
from whatwhere.engine._checks import between, integer
from whatwhere.engine._rows import Rows, exact_products, wide
from whatwhere.engine.factors import Dictionary, Factors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

_PATIENCE = 5  # epochs without a better error, after which the steps are halved
_SMALLEST_STEP = 1e-3  # of the first step size; below it nothing moves any more
_ENCODER = ("weights", "bias", "mean", "scale")
_SILENT = -1.0  # bias of an atom that has no codes yet


@dataclass(frozen=True)
class Training:
    """How the autoencoder is trained.

    Parameters
    ----------
    active : int
        k, codes above 0 a row at most, from 1 to the rank.
    learning_rate : float, default 0.01
        Step size of Adam at first, above 0 and below 1.
    batch : int, default 256
        Rows a step, at least 1.
    seed : int, default 0
        Of the start and the order of rows, from 0 to 2^63 - 1.

    Raises
    ------
    TypeError, ValueError
        If an option is of the wrong kind or out of its range.
    """

    active: int
    learning_rate: float = 0.01
    batch: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the options."""
        object.__setattr__(self, "active", integer("active", self.active, 1))
        object.__setattr__(self, "learning_rate", between("learning_rate", self.learning_rate, 0, 1))
        object.__setattr__(self, "batch", integer("batch", self.batch, 1))
        object.__setattr__(self, "seed", integer("seed", self.seed, 0, 2**63 - 1))


def topk_sae(
    activations: Tensor | Sequence[Tensor],
    rank: int,
    training: Training,
    *,
    start: Dictionary | None = None,
    tolerance: float = 1e-3,
    iterations: int = 200,
    device: torch.device | None = None,
    chunk: int = 4096,
) -> Iterator[Factors]:
    """Train a sparse autoencoder on activations, epoch by epoch.

    Parameters
    ----------
    activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
        A, of any sign, whole or in blocks of rows. A sequence is asked for each block once a pass, in order; rows are
        shuffled within blocks of at most `chunk`.
    rank : int
        Number r of atoms, at least 1; it may exceed n and p.
    training : Training
        Codes a row, step size, minibatch and seed.
    start : Dictionary, optional
        What this function gave, with at most r atoms, to go on from. Those that are missing have no codes at first, so
        that with the same k the error is the same.
    tolerance : float, default 1e-3
        A better error is one lower by more than this share; 0 to below 1. After 5 epochs without one the step size is
        halved, and below a thousandth of the first one training has converged.
    iterations : int, default 200
        Most epochs, at least 0. It does not change what they give: a shorter run is a prefix of a longer one.
    device : torch.device, optional
        Where to compute; that of the activations by default.
    chunk : int, default 4096
        Most rows worked on at a time.

    Returns
    -------
    iterator of Factors
        Iteration 0 is the start, iteration t what t epochs have led to. The codes are the encoder's; ``encoder`` holds
        its "weights" E (r, p), "bias" c (r,), "mean" m (p,) and "scale" s (), in units of A.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If the activations are not a matrix of finite numbers that differ from row to row, `start` does not fit them, or
        an option is out of its range.

    Notes
    -----
    Training is no descent: the error may rise from one epoch to the next. An atom that no row has used in an epoch
    begins anew as the direction of a row that was reconstructed badly. On another machine rounding leads to other
    atoms; on the same one the seed fixes them.

    An epoch is 12 n p r multiplications, and a pass of 4 n p r for the codes.

    Examples
    --------
    >>> a = torch.eye(4).repeat(16, 1)
    >>> *_, last = topk_sae(a, 4, Training(active=1), iterations=30)
    >>> last.codes.shape, int((last.codes > 0).sum(dim=1).max())
    (torch.Size([64, 4]), 1)
    """
    rows, rank = Rows(activations, device=device, chunk=chunk), integer("rank", rank, 1)
    plan = Plan(None, iterations, tolerance)
    if training.active > rank:
        raise ValueError(f"active: wanted at most rank = {rank} codes a row, got {training.active}.")
    if start is not None and (
        set(start.encoder) != set(_ENCODER)
        or start.rank > rank
        or start.offset is None
        or start.bank.shape[1] != rows.p
    ):
        raise ValueError(
            f"start: wanted a dictionary of a sparse autoencoder, (at most {rank}, {rows.p}) with an offset, got a "
            f"bank of shape {tuple(start.bank.shape)} and encoder {sorted(start.encoder)}."
        )
    return _run(rows, rank, training, start, plan)


def encode_topk(dictionary: Dictionary, rows: Tensor, active: int) -> Tensor:
    """Return the codes of new rows, each for itself.

    Parameters
    ----------
    dictionary : Dictionary
        With the encoder that `topk_sae` gives.
    rows : Tensor of shape (m, p)
        Activations, on its device. Gradients flow through.
    active : int
        k, codes above 0 a row at most; of equal ones the first are kept.

    Returns
    -------
    Tensor of shape (m, r)
        At least 0, in units of the activations and their dtype.

    Raises
    ------
    ValueError
        If the dictionary has no such encoder.
    """
    if not set(_ENCODER) <= set(dictionary.encoder):
        raise ValueError(
            f"dictionary: wanted the encoder of a sparse autoencoder, {_ENCODER}, got {sorted(dictionary.encoder)}."
        )
    weights, bias, mean, scale = (dictionary.encoder[name].to(rows.dtype) for name in _ENCODER)
    return _largest(((rows - mean) / scale) @ weights.T + bias, active) * scale


def _largest(codes: Tensor, active: int) -> Tensor:
    """Keep the largest codes of each row, and of them those above 0."""
    chosen = codes.argsort(dim=1, descending=True, stable=True)[:, :active]
    return torch.zeros_like(codes).scatter(1, chosen, codes.gather(1, chosen).relu())


class _Net:
    """Atoms, encoder and offset under training, for standardised rows; Adam and what it needs."""

    def __init__(self, rows: Rows, rank: int, training: Training, start: Dictionary | None) -> None:
        self.generator = torch.Generator().manual_seed(training.seed)
        self.training, self.rank = training, rank
        if start is None:
            mean = (sum((wide(block).sum(dim=0) for _, block in rows), torch.zeros(())) / rows.n).to(
                rows.device, rows.dtype
            )
            squares = sum(float(wide((block - mean).square()).sum()) for _, block in rows)
            if squares <= torch.finfo(rows.dtype).eps ** 2 * rows.squares:
                raise ValueError("activations: wanted rows that differ, got the same row everywhere.")
            self.mean, self.scale = mean, math.sqrt(squares / rows.n)
            self.atoms, self.weights = mean.new_zeros(rank, rows.p), mean.new_zeros(rank, rows.p)
            self.bias, self.offset = mean.new_full((rank,), _SILENT), torch.zeros_like(mean)
            picks = torch.randperm(rows.n, generator=self.generator)[:rank].tolist()
            for k, row in enumerate(rows.take(picks)):
                self.revive(k, (row - mean) / self.scale)
        else:
            self._resume(rows, start)
        self.parts = [self.atoms, self.weights, self.bias, self.offset]
        self.adam = torch.optim.Adam(self.parts, lr=training.learning_rate)

    def _resume(self, rows: Rows, start: Dictionary) -> None:
        """Begin with a dictionary; atoms that it lacks have no codes."""
        assert start.offset is not None  # looked at before
        given = {name: tensor.detach().to(rows.device, rows.dtype) for name, tensor in start.encoder.items()}
        missing = self.rank - start.rank
        self.mean, self.scale = given["mean"] / rows.scale, float(given["scale"]) / rows.scale
        empty = torch.zeros(missing, rows.p).to(self.mean)
        self.atoms = torch.cat([start.bank.detach().to(self.mean), empty])
        self.weights = torch.cat([given["weights"], empty])
        self.bias = torch.cat([given["bias"], torch.full((missing,), _SILENT).to(self.mean)])
        self.offset = (start.offset.detach().to(self.mean) / rows.scale - self.mean) / self.scale

    def revive(self, k: int, residual: Tensor) -> None:
        """Let an atom begin anew as the direction of a standardised row."""
        length = torch.linalg.vector_norm(residual)
        if length > 0:
            self.atoms[k] = self.weights[k] = residual / length
            self.bias[k] = 0
            for part in (self.atoms, self.weights, self.bias) if hasattr(self, "adam") else ():
                for moment in ("exp_avg", "exp_avg_sq"):
                    if moment in self.adam.state[part]:
                        self.adam.state[part][moment][k] = 0

    def epoch(self, rows: Rows) -> None:
        """Train once on every row."""
        for _, block in rows:
            x = (block - self.mean) / self.scale
            order = torch.randperm(len(x), generator=self.generator).to(x.device)
            for batch in torch.split(order, self.training.batch):
                self._step(x[batch])

    def _step(self, x: Tensor) -> None:
        with torch.enable_grad():
            for part in self.parts:
                part.requires_grad_()
            codes = _largest(x @ self.weights.T + self.bias, self.training.active)
            loss = (x - codes @ self.atoms - self.offset).square().sum(dim=1).mean()
            grads = torch.autograd.grad(loss, self.parts)
        for part, grad in zip(self.parts, grads, strict=True):
            part.requires_grad = False
            part.grad = grad
        self.adam.step()
        lengths = torch.linalg.vector_norm(self.atoms, dim=1, keepdim=True)
        self.atoms /= torch.where(lengths > 0, lengths, 1)

    def look(self, rows: Rows) -> tuple[Tensor, float, Tensor]:
        """Return the codes of all rows, the squared error, and the worst standardised residuals, one an atom."""
        codes, squares = self.atoms.new_zeros(rows.n, self.rank), 0.0
        worst = self.atoms.new_zeros(0, rows.p)
        for place, block in rows:
            x = (block - self.mean) / self.scale
            codes[place] = _largest(x @ self.weights.T + self.bias, self.training.active)
            residual = x - codes[place] @ self.atoms - self.offset
            squares += float(wide(residual.square().sum(dim=1)).sum()) * self.scale**2
            worst = torch.cat([worst, residual])
            worst = worst[torch.linalg.vector_norm(worst, dim=1).argsort(descending=True, stable=True)[: self.rank]]
        return codes * self.scale, squares, worst

    def slow_down(self) -> float:
        """Halve the step size, and return its share of the first one."""
        group = self.adam.param_groups[0]
        group["lr"] /= 2
        return group["lr"] / self.training.learning_rate


def _run(rows: Rows, rank: int, training: Training, start: Dictionary | None, plan: Plan) -> Iterator[Factors]:
    with exact_products(rows.device):
        net = _Net(rows, rank, training, start)
        codes, squares, worst = net.look(rows)
    best, waited, share = squares**0.5, 0, 1.0
    yield _factors(0, rows, net, codes, squares, converged=False)
    for iteration in range(1, plan.iterations + 1):
        with exact_products(rows.device):
            idle = ~(codes != 0).any(dim=0)
            for k, residual in zip(idle.nonzero().flatten().tolist(), worst, strict=False):
                net.revive(k, residual)
            net.epoch(rows)
            codes, squares, worst = net.look(rows)
        better = squares**0.5 < best * (1 - plan.tolerance)
        best, waited = min(best, squares**0.5), 0 if better else waited + 1
        if waited >= _PATIENCE:
            share, waited = net.slow_down(), 0
        converged = share < _SMALLEST_STEP
        yield _factors(iteration, rows, net, codes, squares, converged=converged)
        if converged:
            return


def _factors(iteration: int, rows: Rows, net: _Net, codes: Tensor, squares: float, *, converged: bool) -> Factors:
    mean, scale = net.mean * rows.scale, net.scale * rows.scale
    encoder = {
        "weights": net.weights.clone(),
        "bias": net.bias.clone(),
        "mean": mean,
        "scale": torch.tensor(scale, device=rows.device, dtype=rows.dtype),
    }
    error = (squares / rows.squares) ** 0.5
    offset = mean + net.offset * scale
    return Factors(iteration, error, codes * rows.scale, net.atoms.clone(), converged, offset=offset, encoder=encoder)
