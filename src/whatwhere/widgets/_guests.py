"""Photos that are looked at with a bank's concepts, and are none of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.widgets._strip import Frame, Strip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.pixels.geometry import Geometry
    from whatwhere.pixels.images import Photo


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network and a bank say of a photo.

    Parameters
    ----------
    photo : Photo
        The photo.
    bank : ConceptBank
        The concepts that it was looked at with; for others it does not hold.
    codes : ndarray of shape (h, w, r), float32
        How much of each concept is at each location.
    logits : ndarray of shape (K,), float32
        Of all classes.
    target : int
        The explained class.
    contributions : ndarray of shape (r,), float32
        What each concept adds to its logit.
    residual, base, gap : float
        What else adds up to it; see `ConceptBank`.
    """

    photo: Photo
    bank: ConceptBank
    codes: NDArray[np.float32]
    logits: NDArray[np.float32]
    target: int
    contributions: NDArray[np.float32]
    residual: float
    base: float
    gap: float


def with_guests(bank: ConceptBank, guests: dict[str, Seen]) -> ConceptBank:
    """Write guests behind the photos of a bank, to be read like them; nothing else of the bank changes.

    Parameters
    ----------
    bank : ConceptBank
        A finished bank.
    guests : dict of str to Seen
        Guests by name.

    Returns
    -------
    ConceptBank
        The bank itself where there are none.
    """
    if not guests:
        return bank

    def longer(values: NDArray[Any], more: Sequence[Any]) -> NDArray[Any]:
        return np.concatenate([values, np.asarray(more, dtype=values.dtype).reshape(len(more), *values.shape[1:])])

    seen = list(guests.values())
    return replace(
        bank,
        images=(*bank.images, *guests),
        predictions=longer(bank.predictions, [each.logits.argmax() for each in seen]),
        codes=longer(bank.codes, [each.codes for each in seen]),
        logits=longer(bank.logits, [each.logits[each.target] for each in seen]),
        contributions=longer(bank.contributions, [each.contributions for each in seen]),
        residuals=longer(bank.residuals, [each.residual for each in seen]),
        bases=longer(bank.bases, [each.base for each in seen]),
        gaps=longer(bank.gaps, [each.gap for each in seen]),
    )


class GuestStrip(Strip):
    """The photos of a bank, and guests behind them.

    Parameters
    ----------
    own : Strip
        The bank's photos.
    first : int
        Number of the first guest: that of the bank's photos.
    look : callable or None
        Says where the network looks on a photo; without it there are no guests.

    Attributes
    ----------
    guests : dict of str to Seen
        Guests by name.
    """

    def __init__(self, own: Strip, first: int, look: Callable[[Photo], Geometry] | None) -> None:
        super().__init__(own.reason)
        self._own, self._first, self._look = own, first, look
        self.guests: dict[str, Seen] = {}

    @property
    def numbered(self) -> dict[int, Seen]:
        """Guests by their numbers, those that there are now: the worker may add one at any time."""
        return dict(enumerate(list(self.guests.values()), self._first))

    @property
    def numbers(self) -> list[int]:
        """Numbers of the guests."""
        return list(self.numbered)

    def number_of(self, name: str) -> int | None:
        """Find a guest.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        int or None
            Its number; None if there is none of that name.
        """
        return self._first + list(self.guests).index(name) if name in self.guests else None

    def empty(self) -> dict[str, Photo]:
        """Have all guests leave, since what was found of them does not hold for other concepts.

        Returns
        -------
        dict of str to Photo
            Their photos by name.
        """
        left = {name: each.photo for name, each in self.guests.items()}
        self.guests.clear()
        self._small.drop(lambda n: n >= self._first)
        self._encoded.drop(lambda key: key[0] >= self._first)
        self._thumbnails.drop(lambda n: n >= self._first)
        return left  # others will have their numbers

    def order(self, bank: ConceptBank) -> list[int]:
        """Put the bank's own photos in order; see `Strip.order`."""
        return self._own.order(bank)

    def has(self, n: int) -> bool:
        """Tell whether a photo is there; see `Strip.has`."""
        return self._own.has(n) if n < self._first else n - self._first < len(self.guests)

    def frame(self, n: int) -> Frame:
        """Say where the network looked; see `Strip.frame`."""
        if n < self._first or self._look is None:
            return self._own.frame(n)
        found = self._look(self.photo(n))
        top, left, bottom, right = found.seen
        return Frame(found.photo[1], found.photo[0], (left, top, right, bottom), (0, 0))

    def photo(self, n: int) -> Photo:
        """Return a photo for the network; see `Strip.photo`."""
        return self._own.photo(n) if n < self._first else list(self.guests.values())[n - self._first].photo

    def shift(self, n: int) -> tuple[float, float]:
        """Say where what is shown of a photo begins; see `Strip.shift`."""
        return self._own.shift(n) if n < self._first else (0, 0)
