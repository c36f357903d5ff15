"""The weights of an affine decoder, whatever it is made of: from its gradients.

Behind some layers all is affine: average pooling, flattening, linear layers, BatchNorm in eval mode. The logit of class
c is then a sum over places (cells and prefix tokens) of theta_c,place . a_place, plus b_c. The gradient with respect to
features is theta itself, the same at any features, so one backward pass through the decoder a class reads it off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from whatwhere.nets.outputs import read_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from whatwhere.nets.cut import Cut
    from whatwhere.nets.outputs import OutputLike

_HELD = 2**24  # gradients held at a time
_SAME = 1e-5  # of the largest weight: the same sums in another order
# Of the largest output: a decoder that misses its own gradients by more is not affine.
_ROUNDING, _GPU_ROUNDING, _COARSE_ROUNDING = 1e-4, 5e-3, 16


@dataclass(frozen=True, eq=False, repr=False)
class AffineHead:
    """What an affine decoder does to features.

    Parameters
    ----------
    cut : Cut
        The cut whose decoder it is.
    output : str, int, callable or None
        Where the logits are in what the network returns.
    weights : Tensor of shape (K, p), float32
        theta: the sum over places of their weights, which is how logits go with features that are the same vector in
        every place.
    bias : Tensor of shape (K,), float32
        b, the logits of features of zeros.
    cells : Tensor of shape (h, w), bool
        Cells whose features reach a logit.
    prefix : Tensor of shape (tokens,), bool
        Class and register tokens whose features do.
    uniform : bool
        Whether all those places have the same weights, as behind average pooling or where only a class token is read.
        Then logits are ``pool(features) @ weights.T + bias``, exactly. If not, as behind flattened maps, `weights` says
        what a vector does that is everywhere, and `by_place` what it does in each place.
    """

    cut: Cut
    output: OutputLike
    weights: Tensor
    bias: Tensor
    cells: Tensor
    prefix: Tensor
    uniform: bool

    def pool(self, features: Tensor) -> Tensor:
        """Average features over the places that are read.

        Parameters
        ----------
        features : Tensor of shape (N, *shape)
            Features, as ``cut.encode`` gives them.

        Returns
        -------
        Tensor of shape (N, p)
            Pooled features, of the features' dtype.

        Raises
        ------
        ValueError
            If places have different weights, so that no average tells the logits; or the shape is another.
        """
        if not self.uniform:
            raise ValueError(
                f"layer: behind {self.cut.layer!r} places have weights of their own, so logits do not go with an "
                "average over them; by_place() has the weights of each."
            )
        read = torch.cat([self.prefix, self.cells.flatten()]).to(features.device)
        return _places(self.cut, features)[:, read].mean(dim=1)

    def by_place(self, classes: Tensor | None = None) -> Tensor:
        """Compute the weights of every place.

        Parameters
        ----------
        classes : Tensor of shape (k,), int64, optional
            Class ids; all K by default, which may be large: K times the features of one image.

        Returns
        -------
        Tensor of shape (k, *shape), float32
            The gradient of each logit, laid out as features are; `Cut.to_grid` lays it out by cells.

        Raises
        ------
        IndexError
            If a class id is out of range.

        Notes
        -----
        One forward and one backward pass through the decoder a class, in batches.
        """
        count = len(self.bias)
        ids = range(count) if classes is None else classes.tolist()
        if len(ids) and not 0 <= min(ids) <= max(ids) < count:
            raise IndexError(f"classes: wanted ids from 0 to {count - 1}, got {min(ids)} to {max(ids)}.")
        with torch.inference_mode(False), torch.no_grad():
            found = [part for _, part in _gradients(self.cut, self.output, ids)]
            return torch.cat(found) if found else self.weights.new_empty((0, *self.cut.shape))

    def __repr__(self) -> str:
        places = int(self.cells.sum()) + int(self.prefix.sum())
        how = f"the mean of {places} places" if self.uniform else f"{places} places with weights of their own"
        return f"<AffineHead behind {self.cut.layer!r}: {len(self.bias)} logits of {how}>"


def affine_head(cut: Cut, output: OutputLike = None) -> AffineHead:
    """Read off the weights of a cut's affine decoder.

    Parameters
    ----------
    cut : Cut
        A cut with ``affine``: True.
    output : str, int, callable or None
        Where the logits are in what the network returns, as `whatwhere.model.VisionModel.output` says it.

    Returns
    -------
    AffineHead
        Weights, bias, and which places are read.

    Raises
    ------
    ValueError
        If the decoder, or `output`, is not affine; if the features lie on no grid; if the output is not one row of
        logits an image.

    Notes
    -----
    One forward and one backward pass through the decoder a class, in batches of at most 2^24 numbers. The weights are
    held against the decoder on random features. A network in half precision gives weights of its precision. On a CUDA
    GPU the decoder's products are as exact as the caller's settings: switch TensorFloat-32 off for all 24 bits.
    """
    if not cut.affine:
        raise ValueError(
            f"cut: wanted a layer behind which all is affine, got {cut.layer!r}; list_layers(…) marks such layers with "
            "affine_head."
        )
    with torch.inference_mode(False), torch.no_grad():
        return _read_off(cut, output)


def _read_off(cut: Cut, output: OutputLike) -> AffineHead:
    zeros = cut.blank(1)
    grid = tuple(cut.to_grid(zeros).shape[1:3])  # before any work: it raises where there is none
    _, count, p = _places(cut, zeros).shape
    bias = read_output(cut.decode(zeros), output, 1)[0].float()
    probe = torch.randn(zeros.shape, generator=torch.Generator().manual_seed(0)).to(zeros)
    told = read_output(cut.decode(probe), output, 1)[0].float()
    weights, guess = bias.new_empty(len(bias), p), bias.clone()
    read, uniform = torch.zeros(count, dtype=torch.bool, device=bias.device), True
    for ids, part in _gradients(cut, output, range(len(bias))):
        theta = _places(cut, part)
        weights[ids] = theta.sum(dim=1)
        guess[ids] += (part * probe.float()).flatten(1).sum(dim=1)
        here = (theta != 0).any(dim=2).any(dim=0)
        if here.any():
            uniform = uniform and _alike(theta[:, here]) and (not bool(read.any()) or torch.equal(here, read))
            read |= here
    _check(cut, guess, told)
    prefix = cut.prefix_tokens
    return AffineHead(cut, output, weights, bias, read[prefix:].reshape(grid), read[:prefix], uniform)


def _places(cut: Cut, features: Tensor) -> Tensor:
    """Lay features out as (N, places, p): prefix tokens, then cells row by row."""
    cells = cut.to_grid(features).flatten(1, 2)
    return torch.cat([features[:, : cut.prefix_tokens], cells], dim=1) if cut.prefix_tokens else cells


def _gradients(cut: Cut, output: OutputLike, ids: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield class ids and the gradients of their logits, (k, *shape) in float32: each of one row of a batch."""
    step = max(1, _HELD // math.prod(cut.shape))
    for first in range(0, len(ids), step):
        part = torch.tensor(ids[first : first + step])
        with torch.enable_grad():
            features = cut.blank(len(part)).requires_grad_()
            out = read_output(cut.decode(features), output, len(part))
            picked = out.gather(1, part.to(out.device)[:, None]).sum()
            (found,) = torch.autograd.grad(picked, features)
        yield part.to(found.device), found.float()


def _alike(theta: Tensor) -> bool:
    """Tell whether weights (k, places, p) are the same in all places."""
    low, high = torch.aminmax(theta, dim=1)
    return bool((high - low).max() <= _SAME * theta.abs().max())


def _check(cut: Cut, guess: Tensor, told: Tensor) -> None:
    dtype = cut.blank(0).dtype
    rounding = _GPU_ROUNDING if told.is_cuda else _ROUNDING
    room = max(rounding, _COARSE_ROUNDING * torch.finfo(dtype).eps) * float(told.abs().max())
    away = float((guess - told).abs().max())
    if not away <= room:
        raise ValueError(
            f"cut: wanted logits that are affine in the features of {cut.layer!r}, got some that miss their own "
            f"gradients by {away:.3g} of {float(told.abs().max()):.3g}; output= may not be affine, such as a softmax."
        )
