"""What an extractor of concepts can do, whatever its method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from torch import Tensor

    from whatwhere.engine.factors import Dictionary, Factors


@runtime_checkable
class Extractor(Protocol):
    """What every extractor can do; a class of one's own with these members is one.

    Instances must be hashable and equal when equal, since results are cached by them.
    """

    @property
    def name(self) -> str:
        """What `read_extractor` finds it by.

        Returns
        -------
        str
            In lower case.
        """
        ...

    @property
    def signed(self) -> bool:
        """Whether it takes activations below 0.

        Returns
        -------
        bool
            False for NMF alone.
        """
        ...

    @property
    def non_negative_codes(self) -> bool:
        """Whether codes are at least 0; where not, an atom and its negative are the same.

        Returns
        -------
        bool
            False for PCA alone.
        """
        ...

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
        """Factorise activations, better and better.

        Parameters
        ----------
        activations : Tensor of shape (n, p), or sequence of Tensor of shape (n_i, p)
            A, whole or in blocks of rows, each asked for once a pass.
        rank : int
            Number r of atoms.
        seed : int, default 0
            Same seed, same factors.
        start : Dictionary, optional
            What the same extractor gave with at most r atoms, to go on from; the missing ones are added.
        iterations : int, default 200
            Most iterations. It does not change what they give.
        tolerance : float, optional
            Stop when an iteration gains no more than this share of the error; by default the solver's own.
        device : torch.device, optional
            Where to compute; that of the activations by default.

        Returns
        -------
        iterator of Factors
            Iteration 0 is the start, and each is valid to stop at.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or out of its range, before the first iteration.
        """
        ...

    def encode(self, dictionary: Dictionary, rows: Tensor) -> Tensor:
        """Return the codes of new rows.

        Parameters
        ----------
        dictionary : Dictionary
            What this extractor has fitted.
        rows : Tensor of shape (n, p)
            Activations; moved to the dictionary's device.

        Returns
        -------
        Tensor of shape (n, r)
            In float64 if rows or bank are, else in float32; computed in float64. No row looks at another.

        Raises
        ------
        TypeError, ValueError
            If the rows are no finite matrix, or the dictionary does not fit them.
        """
        ...
