"""An extractor that goes on in smaller parts where memory runs out among the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from whatwhere.concepts._chain import Chain
from whatwhere.nets.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from whatwhere.concepts.protocol import Extractor
    from whatwhere.engine.factors import Dictionary, Factors

_FEWEST = 16  # rows at a time: where not even these fit, fewer will not either


class WithinMemory:
    """An extractor, in as few parts as fit into memory.

    Parameters
    ----------
    extractor : Extractor
        What factorises and finds codes.

    Notes
    -----
    A fit goes on from the directions that it had reached, with the features in blocks of half as many rows: the same
    concepts but for rounding, and the iterations so far are not lost. No row's codes look at another's, so that these
    are the same to the last bit.
    """

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self.name, self.signed = extractor.name, extractor.signed
        self.non_negative_codes = extractor.non_negative_codes

    def fit(
        self,
        activations: Tensor | Sequence[Tensor],
        rank: int,
        *,
        start: Dictionary | None = None,
        device: torch.device | None = None,
        **options: Any,
    ) -> Iterator[Factors]:
        """Factorise activations, better and better; see `Extractor.fit`.

        Parameters
        ----------
        activations, rank, start, device, **options
            As for `Extractor.fit`.

        Yields
        ------
        Factors
            As from the extractor; after memory ran out iterations count from 0 again.

        Raises
        ------
        MemoryError
            If not even a few rows fit.
        """
        blocks = [activations] if isinstance(activations, torch.Tensor) else activations
        most: int | None = None
        while True:
            try:
                rows = blocks if most is None else Parts(blocks, most)
                for factors in self._extractor.fit(rows, rank, start=start, device=device, **options):
                    start = factors.dictionary
                    yield factors
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                most = _fewer(most or max(len(block) for block in blocks), "factorisation", error)
            else:
                return
            _release(blocks[0], device)  # outside of the handler: the error's frames hold what there was

    def encode(self, dictionary: Dictionary, rows: Tensor) -> Tensor:
        """Return the codes of new rows; see `Extractor.encode`.

        Parameters
        ----------
        dictionary : Dictionary
            What the extractor has fitted.
        rows : Tensor of shape (n, p)
            Activations.

        Returns
        -------
        Tensor of shape (n, r)
            As from the extractor.

        Raises
        ------
        MemoryError
            If not even a few rows fit.
        """
        try:
            return self._extractor.encode(dictionary, rows)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            half = _fewer(len(rows), "codes", error)
        _release(dictionary.bank, None)
        return torch.cat([self.encode(dictionary, part) for part in (rows[:half], rows[half:])])


class Parts(Chain):
    """Blocks of rows in parts of at most so many.

    Parameters
    ----------
    blocks : sequence of Tensor of shape (n_i, p)
        What is parted; each is asked for as often as it has parts.
    most : int
        Rows in a part.
    """

    def __init__(self, blocks: Sequence[Tensor], most: int) -> None:
        super().__init__(-(-len(block) // most) for block in blocks)
        self._blocks, self._most = blocks, most

    def _block(self, which: int, number: int) -> Tensor:
        first = number * self._most
        return self._blocks[which][first : first + self._most]


def _fewer(rows: int, stage: str, error: BaseException) -> int:
    """Return half as many rows, or say that memory is too small for the stage."""
    if rows <= _FEWEST:
        raise MemoryError(
            f"out of memory in the {stage}, with {rows} of the features' rows at a time. Free memory on the device, "
            "lower whatwhere.limits.activation_bytes, which features may take before they are kept on disk, ask for "
            "fewer concepts, or use device='cpu'."
        ) from error
    return -(-rows // 2)


def _release(tensor: Tensor, device: torch.device | None) -> None:
    if (device or tensor.device).type == "cuda":
        torch.cuda.empty_cache()
