"""What was made last, as much of it as is worth keeping: a person may scroll through thousands of photos."""

from __future__ import annotations

import collections
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Recent(Generic[KeyT, ValueT]):
    """Values that were asked for last.

    Parameters
    ----------
    most : int
        How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: collections.OrderedDict[KeyT, ValueT] = collections.OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: object) -> bool:
        return key in self._kept

    def get(self, key: KeyT, make: Callable[[], ValueT]) -> ValueT:
        """Return a value.

        Parameters
        ----------
        key : hashable
            What it is of.
        make : callable
            Makes it, if it is not kept.

        Returns
        -------
        object
            The value.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        value = make()
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return value

    def drop(self, unwanted: Callable[[KeyT], bool]) -> None:
        """Forget values.

        Parameters
        ----------
        unwanted : callable
            Takes a key, and tells whether its value is to go.
        """
        with self._lock:
            for key in [key for key in self._kept if unwanted(key)]:
                del self._kept[key]
