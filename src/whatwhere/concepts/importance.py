"""What concepts are worth: contributions that add up to the logit, and the shares made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from whatwhere.engine._rows import wide

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.engine.encoder import Encoder
    from whatwhere.engine.factors import Dictionary

NODES = 8  # of the integral, where the decoder is not affine


class Contributions(NamedTuple):
    """What adds up to a logit.

    Attributes
    ----------
    concepts : Tensor of shape (N, r)
        What each concept adds, in logits.
    residual : Tensor of shape (N,)
        What the part of the features adds that no concept explains.
    base : Tensor of shape (N,)
        The logit without any features.
    gap : Tensor of shape (N,)
        Logit minus the sum of all these: 0 where the decoder is affine, but for rounding.
    """

    concepts: Tensor
    residual: Tensor
    base: Tensor
    gap: Tensor


def contributions(
    encoder: Encoder,
    dictionary: Dictionary,
    cells: Tensor,
    codes: Tensor,
    classes: Tensor,
    *,
    prefix: Tensor | None = None,
    nodes: int | None = None,
) -> Contributions:
    """Share the logit of each image out among its concepts, by integrated gradients along the way from no features.

    Parameters
    ----------
    encoder : Encoder
        The network at a layer.
    dictionary : Dictionary
        Directions of the concepts.
    cells : Tensor of shape (N, h, w, p)
        Features A.
    codes : Tensor of shape (N, h, w, r)
        Codes U.
    classes : Tensor of shape (N,), int64
        The explained class of each image.
    prefix : Tensor of shape (N, tokens, p), optional
        Class and register tokens, which stay as they are.
    nodes : int, optional
        Gauss-Legendre nodes of the integral; by default 1 where the decoder is affine, which is exact, and else 8.

    Returns
    -------
    Contributions
        On the model's device.

    Raises
    ------
    MemoryError
        If not even one image fits.

    Notes
    -----
    With D the features and offset o of the dictionary, concept k adds ``sum over cells of u_k <w_k, g>``, with g the
    gradient of the logit averaged over the way ``o + t (A - o)``, t from 0 to 1; the residual likewise with
    ``A - o - U W``. One pass and one gradient behind the layer a node and image; of an affine decoder the gradient is
    the same wherever it is taken, and one a class does for all.

    References
    ----------
    M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017, arXiv:1703.01365.
    """
    count = nodes or (1 if encoder.affine else NODES)
    columns = (cells, codes, classes) if prefix is None else (cells, codes, classes, prefix)
    if encoder.affine and count == 1:
        return encoder.fitting(lambda *batch: _share_out_affinely(encoder, dictionary, batch), *columns)
    return encoder.fitting(lambda *batch: _share_out(encoder, dictionary, count, batch), *columns)


def _share_out(encoder: Encoder, dictionary: Dictionary, nodes: int, batch: tuple[Tensor, ...]) -> Contributions:
    cells, codes, classes, *rest = batch
    prefix = rest[0] if rest else None
    places, weights = np.polynomial.legendre.leggauss(nodes)
    with encoder.model.computing(gradients=True, refresh=False):
        cells, codes = cells.detach().clone(), codes.detach().clone()
        way, offset = cells, cells.new_zeros(cells.shape[-1])
        if dictionary.offset is not None:
            offset = dictionary.offset.to(cells)
            way = cells - offset
        gradient = torch.zeros_like(cells)
        for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
            point = (float(place) * way).add_(offset).requires_grad_()
            logits = encoder.decode(point, prefix).gather(1, classes[:, None]).sum()
            gradient.add_(torch.autograd.grad(logits, point)[0], alpha=float(weight))
        with torch.no_grad():
            base = encoder.decode(offset.expand_as(cells), prefix).gather(1, classes[:, None])[:, 0]
            whole = encoder.decode(cells, prefix).gather(1, classes[:, None])[:, 0]
            slope, codes, atoms = wide(gradient), wide(codes), wide(dictionary.bank.to(cells.device))
            of_concepts = (slope @ atoms.T * codes).sum(dim=(1, 2))
            whole_way = torch.linalg.vecdot(
                wide(way).flatten(1), slope.flatten(1)
            )  # the concepts' part and what they miss
            missed = whole_way - of_concepts.sum(dim=1)
            gap = wide(whole) - wide(base) - whole_way
    return Contributions(of_concepts.float(), missed.float(), base, gap.float())


def _share_out_affinely(encoder: Encoder, dictionary: Dictionary, batch: tuple[Tensor, ...]) -> Contributions:
    """Share out where a class has one gradient, whatever the image."""
    cells, codes, classes, *rest = batch
    prefix = rest[0] if rest and rest[0].shape[1] else None
    kinds, which = torch.unique(classes, return_inverse=True)
    first = torch.stack([(which == k).nonzero()[0, 0] for k in range(len(kinds))])  # an image of each class
    with encoder.model.computing(gradients=True, refresh=False):
        cells, codes = cells.detach().clone(), codes.detach().clone()
        offset = cells.new_zeros(cells.shape[-1]) if dictionary.offset is None else dictionary.offset.to(cells)
        point = offset.repeat(len(kinds), *cells.shape[1:-1], 1).requires_grad_()
        logits = encoder.decode(point, None if prefix is None else prefix[first])
        slopes = wide(torch.autograd.grad(logits.gather(1, kinds[:, None]).sum(), point)[0])
        with torch.no_grad():
            nothing = offset.expand_as(cells if prefix is not None else cells[:1])
            base = encoder.decode(nothing, prefix).expand(len(cells), -1).gather(1, classes[:, None])[:, 0]
            whole = encoder.decode(cells, prefix).gather(1, classes[:, None])[:, 0]
            atoms = wide(dictionary.bank.to(cells.device))
            of_concepts = ((slopes @ atoms.T)[which] * wide(codes)).sum(dim=(1, 2))
            ways = wide(cells if dictionary.offset is None else cells - offset).flatten(1) @ slopes.flatten(1).T
            whole_way = ways.gather(1, which[:, None])[:, 0]
            missed = whole_way - of_concepts.sum(dim=1)
            gap = wide(whole) - wide(base) - whole_way
    return Contributions(of_concepts.float(), missed.float(), base, gap.float())


def shares(contribution: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Turn contributions into importances: each concept's share in the mean absolute contribution.

    Parameters
    ----------
    contribution : ndarray of shape (N, r)
        Contributions to the logit of each image.

    Returns
    -------
    importance, error : ndarray of shape (r,), float32
        At least 0, summing to 1; equal shares where nothing contributes. Standard errors over the images, by the delta
        method; infinite for a single image.
    """
    size = np.abs(np.asarray(contribution, dtype=np.float64))
    mean = size.mean(axis=0)
    total, rank = mean.sum(), size.shape[1]
    if total == 0:
        return np.full(rank, 1 / rank, dtype=np.float32), np.full(rank, np.inf, dtype=np.float32)
    share = mean / total
    if len(size) == 1:
        return share.astype(np.float32), np.full(rank, np.inf, dtype=np.float32)
    influence = (size - share * size.sum(axis=1, keepdims=True)) / total
    error = influence.std(axis=0, ddof=1) / np.sqrt(len(size))
    return share.astype(np.float32), error.astype(np.float32)


def shares_of(
    values: NDArray[np.floating], covariance: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scale estimates to sum to 1, and their errors with them.

    Parameters
    ----------
    values : ndarray of shape (r,)
        Estimates, at least 0.
    covariance : ndarray of shape (r, r)
        Covariance of their errors.

    Returns
    -------
    importance, error : ndarray of shape (r,), float32
        Shares; equal ones where all estimates are 0. Standard errors by the delta method, which counts that the sum
        errs with what it is the sum of: the share of a single concept is 1, without error. Infinite where all are 0.
    """
    rank, total = len(values), values.sum()
    if not total > 0:
        return np.full(rank, 1 / rank, dtype=np.float32), np.full(rank, np.inf, dtype=np.float32)
    share = values / total
    slopes = (np.eye(rank) - share[:, np.newaxis]) / total
    variance = np.einsum("ij,jk,ik->i", slopes, covariance, slopes)
    return share.astype(np.float32), np.sqrt(np.maximum(variance, 0)).astype(np.float32)  # below 0 by rounding only


class GateResponse:
    """The logit of one image as a function of gates, one a concept, that multiply its codes.

    Parameters
    ----------
    encoder : Encoder
        The network at a layer.
    dictionary : Dictionary
        Directions of the concepts.
    codes : Tensor of shape (h, w, r)
        Codes of the image.
    target : int
        The explained class.
    prefix : Tensor of shape (tokens, p), optional
        Class and register tokens.
    residual : Tensor of shape (h, w, p), optional
        What the concepts miss, which is added whatever the gates; by default it is left out, as in the paper.

    Attributes
    ----------
    target : int
        The explained class.
    """

    def __init__(
        self,
        encoder: Encoder,
        dictionary: Dictionary,
        codes: Tensor,
        target: int,
        *,
        prefix: Tensor | None = None,
        residual: Tensor | None = None,
    ) -> None:
        device = encoder.model.device
        self._encoder, self.target = encoder, target
        self._codes = codes.detach().to(device)
        self._bank = dictionary.bank.to(device)
        self._prefix = None if prefix is None else prefix.to(device)[None]
        rest = codes.new_zeros(()) if residual is None else residual
        self._rest = rest.to(device) + (0 if dictionary.offset is None else dictionary.offset.to(device))

    def __call__(self, gates: Tensor) -> Tensor:
        """Compute the logit under gates.

        Parameters
        ----------
        gates : Tensor of shape (m, r)
            1 leaves a concept as it is, 0 takes it away.

        Returns
        -------
        Tensor of shape (m,)
            Logits; gradients pass to the gates where they are asked for.
        """
        return self.logits(gates)[:, self.target]

    def logits(self, gates: Tensor) -> Tensor:
        """Compute the logits of all classes under gates.

        Parameters
        ----------
        gates : Tensor of shape (m, r)
            As for a call.

        Returns
        -------
        Tensor of shape (m, K)
            Logits; gradients pass to the gates where they are asked for.
        """
        wanted = torch.is_grad_enabled() and gates.requires_grad
        with self._encoder.model.computing(gradients=wanted, refresh=False):
            codes = self._codes.clone() if wanted else self._codes
            cells = (gates[:, None, None, :].to(codes) * codes) @ self._bank + self._rest
            return self._encoder.decode(cells, self._prefix)
