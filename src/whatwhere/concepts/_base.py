"""The border of the extractors: what is checked once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch

from whatwhere.engine._alternating import Plan
from whatwhere.engine._checks import integer
from whatwhere.engine._rows import exact_products, like_matrix, wide
from whatwhere.engine.factors import Dictionary
from whatwhere.engine.nnls import nnls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from whatwhere.engine.factors import Factors


class Base:
    """What the extractors share: the border, and codes by exact non-negative least squares."""

    name: ClassVar[str]
    signed: ClassVar[bool] = True
    non_negative_codes: ClassVar[bool] = True

    @property
    def exact_codes(self) -> bool:
        """Whether codes are the exact non-negative least-squares codes for the bank, whose gradients are known."""
        return type(self).encode is Base.encode and type(self)._encode is Base._encode  # noqa: SLF001  # its own

    def fit(
        self,
        activations: Tensor | Sequence[Tensor],
        rank: int,
        *,
        seed: int = 0,
        start: Dictionary | None = None,
        iterations: int = 200,
        tolerance: float | None = None,
        device: torch.device | None = None,
    ) -> Iterator[Factors]:
        """Factorise activations, better and better; see `Extractor.fit`."""
        if start is not None and not isinstance(start, Dictionary):
            raise TypeError(f"start: wanted a Dictionary, as Factors.dictionary gives it, got {type(start).__name__}.")
        integer("seed", seed, 0, 2**63 - 1)
        Plan(None, iterations, 0.0 if tolerance is None else tolerance)
        options: dict[str, Any] = {"iterations": iterations, "device": device}
        if tolerance is not None:
            options["tolerance"] = tolerance
        return self._fit(activations, rank, seed, start, options)

    def encode(self, dictionary: Dictionary, rows: Tensor) -> Tensor:
        """Return the codes of new rows; see `Extractor.encode`."""
        rows = like_matrix("rows", rows)
        if rows.shape[1] != dictionary.bank.shape[1]:
            raise ValueError(
                f"rows: wanted {dictionary.bank.shape[1]} columns as the dictionary's atoms have, got shape "
                f"{tuple(rows.shape)}."
            )
        dtype = torch.promote_types(rows.dtype, dictionary.bank.dtype)
        device = dictionary.bank.device
        with exact_products(device):
            return self._encode(dictionary, wide(rows.to(device))).to(device, dtype)

    def _fit(
        self,
        activations: Tensor | Sequence[Tensor],
        rank: int,
        seed: int,
        start: Dictionary | None,
        options: dict[str, Any],
    ) -> Iterator[Factors]:
        raise NotImplementedError

    def _encode(self, dictionary: Dictionary, rows: Tensor) -> Tensor:
        return nnls(dictionary.bank, rows)
