"""What each concept does to the logits of all classes, for photos whose codes are known: exact where that is affine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whatwhere.concepts.importance import contributions
from whatwhere.engine._rows import wide
from whatwhere.strategies.ledger import ARRAYS, Ledger
from whatwhere.strategies.muting import effect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.concepts.concepts import Concepts
    from whatwhere.engine.encoder import Look
    from whatwhere.strategies._looking import Seen

_SAME = 1e-4  # of the largest logit: the same sums in another order


class AffineEffects:
    """Effects of concepts where all behind the layer is affine: sums of codes times weights, without the features.

    Parameters
    ----------
    concepts : Concepts
        Bank and network.

    Notes
    -----
    Logit c is ``b_c + sum over cells of <theta_c,cell, a_cell>``. Where all cells weigh alike, concept k adds the mean
    of its codes times ``m_kc``, and m comes from one pass behind the layer a concept: what a map of nothing but w_k
    adds. That cells weigh alike is tried on random codes. Where they do not, each concept's part of each photo goes
    through what is behind the layer.
    """

    def __init__(self, concepts: Concepts) -> None:
        self._encoder, self._dictionary = concepts.encoder, concepts.dictionary
        bank = self._dictionary.bank
        h, w = self._encoder.grid
        offset = bank.new_zeros(bank.shape[1]) if self._dictionary.offset is None else self._dictionary.offset
        self._offset = offset.expand(1, h, w, -1)
        with concepts.model.computing():
            self._base = self._decode(self._offset)
            everywhere = [self._decode(self._offset + atom) - self._base for atom in bank]
            self._of_mean = torch.cat(everywhere)  # (r, K)
            codes = torch.rand((1, h, w, len(bank)), generator=torch.Generator().manual_seed(0)).to(bank)
            told = self._decode(self._offset + codes @ bank) - self._base
            guess = codes.mean(dim=(1, 2)) @ self._of_mean
        self.uniform = bool((told - guess).abs().max() <= _SAME * told.abs().max())

    def added(self, codes: Tensor) -> Tensor:
        """Compute what each concept adds to each logit.

        Parameters
        ----------
        codes : Tensor of shape (n, h, w, r)
            Codes of photos.

        Returns
        -------
        Tensor of shape (n, r, K), float32
            In logits.
        """
        if self.uniform:
            return codes.mean(dim=(1, 2))[:, :, None] * self._of_mean
        parts = []
        with self._encoder.model.computing(refresh=False):
            for k, atom in enumerate(self._dictionary.bank):
                parts.append(
                    self._encoder.fitting(
                        lambda u, atom=atom: self._decode(self._offset + u[..., None] * atom) - self._base,
                        codes[..., k],
                    )
                )
        return torch.stack(parts, dim=1)

    def base(self, prefix: Tensor | None) -> Tensor:
        """Compute the logits without any features.

        Parameters
        ----------
        prefix : Tensor of shape (n, tokens, p) or None
            Class and register tokens, which stay; None where there are none.

        Returns
        -------
        Tensor of shape (n or 1, K)
            Logits.
        """
        if prefix is None or not prefix.shape[1]:
            return self._base
        with self._encoder.model.computing(refresh=False):
            return self._decode(self._offset.expand(len(prefix), -1, -1, -1), prefix)

    def _decode(self, cells: Tensor, prefix: Tensor | None = None) -> Tensor:
        return self._encoder.decode(cells, prefix)


def affine_ledger(added: Tensor, logits: Tensor, base: Tensor, classes: Tensor) -> Ledger:
    """Share out the logit of one class a photo, behind an affine head.

    Parameters
    ----------
    added : Tensor of shape (n, r, K)
        What each concept adds to each logit.
    logits : Tensor of shape (n, K)
        The network's own.
    base : Tensor of shape (n or 1, K)
        Without any features.
    classes : Tensor of shape (n,), int64
        Which class.

    Returns
    -------
    Ledger
        What no concept adds, and is not the base, is the residual: the sum is exact and has no gap.
    """
    rows = torch.arange(len(classes), device=added.device)
    of_concepts = added[rows, :, classes]
    whole, without = logits[rows, classes], base.expand(len(logits), -1)[rows, classes]
    rest = wide(whole) - wide(without) - wide(of_concepts).sum(dim=1)
    return _ledger(classes, whole, of_concepts, rest, without, torch.zeros_like(whole))


def curved_ledger(concepts: Concepts, look: Look, codes: Tensor, classes: Tensor) -> Ledger:
    """Share out the logit of one class a photo, by integrated gradients; see `concepts.importance.contributions`.

    Parameters
    ----------
    concepts : Concepts
        Bank and network.
    look : Look
        Features and logits of photos.
    codes : Tensor of shape (n, h, w, r)
        Their codes.
    classes : Tensor of shape (n,), int64
        Which class.

    Returns
    -------
    Ledger
        With gaps: what the integral misses.
    """
    told = contributions(concepts.encoder, concepts.dictionary, look.cells, codes, classes, prefix=look.prefix)
    whole = wide(told.base) + wide(told.concepts).sum(dim=1) + wide(told.residual) + wide(told.gap)
    return _ledger(classes, whole, told.concepts, told.residual, told.base, told.gap)


def curved_muted(concepts: Concepts, look: Look, codes: Tensor) -> Iterator[Tensor]:
    """Take each concept away from the features and run what is behind the layer.

    Parameters
    ----------
    concepts : Concepts
        Bank and network.
    look : Look
        Features and logits of photos.
    codes : Tensor of shape (n, h, w, r)
        Their codes.

    Yields
    ------
    Tensor of shape (n, K)
        Logits without the first concept, without the second, and so on.
    """
    encoder = concepts.encoder
    for k, atom in enumerate(concepts.dictionary.bank):
        with encoder.model.computing(refresh=False):
            yield encoder.fitting(
                lambda cells, u, prefix, atom=atom: encoder.decode(cells - u[..., None] * atom, prefix),
                look.cells,
                codes[..., k],
                look.prefix,
            )


def curved_effects(
    concepts: Concepts, seen: Seen, classes: Tensor, rivals: Tensor | None
) -> list[dict[str, NDArray[Any]]]:
    """Find what concepts do in photos, by gradients and by taking them away.

    Parameters
    ----------
    concepts : Concepts
        Bank and network.
    seen : Seen
        Photos with their features.
    classes : Tensor of shape (n,), int64
        The explained class of each.
    rivals : Tensor of shape (n,), int64, or None
        The class to compare with.

    Returns
    -------
    list of dict of str to ndarray
        Of each photo the columns of its ledgers and its muting.
    """
    look = seen.look()
    columns: dict[str, NDArray[Any]] = {}
    for of, chosen in (("explained", classes), ("other", rivals)):
        if chosen is not None:
            ledger = curved_ledger(concepts, look, seen.codes, chosen)
            columns |= {f"{of}.{name}": getattr(ledger, name) for name in ARRAYS}
    each = [effect(seen.logits, muted[:, None], classes) for muted in curved_muted(concepts, look, seen.codes)]
    columns["drops"] = np.concatenate([muting.drops for muting in each], axis=1)
    columns["becomes"] = np.concatenate([muting.becomes for muting in each], axis=1)
    return [{name: np.asarray(values[k]) for name, values in columns.items()} for k in range(len(classes))]


def _ledger(*columns: Tensor) -> Ledger:
    classes, *rest = columns
    kept: list[NDArray[np.float32]] = [column.float().cpu().numpy().copy() for column in rest]
    return Ledger(classes.cpu().numpy().copy(), *kept)
