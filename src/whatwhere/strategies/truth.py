"""What photos are, as a person says it: ids or names of classes, read once and held against the photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from whatwhere.classes import ClassNames

#: Not said what a photo is.
UNKNOWN = -1
#: None of the network's classes: what a network with a single logit predicts below 0.
NO_CLASS = -2


class Truth:
    """Labels of photos, by name or in order.

    Parameters
    ----------
    labels : mapping of str to label, sequence or array of labels, or None
        A label is an id or a name of a class, or None where it is not known. Of a network with a single logit it is
        True, False or None. A mapping goes by the photos' names; anything else by their order.
    class_names : ClassNames
        The network's classes.
    expected : int, default 0
        How many photos there are, where that is known.

    Raises
    ------
    TypeError
        If labels are of another kind.
    ValueError
        If there is no such class, or their number is another.
    """

    def __init__(self, labels: Any, class_names: ClassNames, *, expected: int = 0) -> None:
        self._classes = class_names
        self._by_name: dict[str, int] | None = None
        self._in_order: list[int] | None = None
        if labels is None:
            return
        if isinstance(labels, Mapping):
            self._by_name = {str(name): self._read(label, str(name)) for name, label in labels.items()}
            self._met: set[str] = set()
            return
        if isinstance(labels, str | bytes) or not (isinstance(labels, Sequence) or hasattr(labels, "__array__")):
            raise TypeError(
                "labels: wanted a class for each photo, as a list or array in the order of the photos or a dict by "
                f"their names, got {type(labels).__name__} {labels!r:.60}."
            )
        given = labels if isinstance(labels, Sequence) else np.asarray(labels)
        if isinstance(given, np.ndarray) and given.ndim != 1:
            raise ValueError(f"labels: wanted one class a photo, an array of shape (photos,), got {given.shape}.")
        self._in_order = [self._read(label, f"photo {k}") for k, label in enumerate(given)]
        if expected and len(self._in_order) != expected:
            raise ValueError(_length(len(self._in_order), expected))

    @property
    def given(self) -> bool:
        """Whether there are any labels."""
        return self._by_name is not None or self._in_order is not None

    def of(self, name: str, place: int) -> int:
        """Look a photo's class up.

        Parameters
        ----------
        name : str
            What it is called.
        place : int
            Its place in the collection.

        Returns
        -------
        int
            Class id, `NO_CLASS`, or `UNKNOWN`.

        Raises
        ------
        ValueError
            If there is no label of it.
        """
        if self._by_name is not None:
            if name not in self._by_name:
                raise ValueError(
                    f"labels: wanted a class for every photo, got none for {name!r}; give it None if it is not known."
                )
            self._met.add(name)
            return self._by_name[name]
        if self._in_order is None:
            return UNKNOWN
        if place >= len(self._in_order):
            raise ValueError(_length(len(self._in_order), place + 1, more=True))
        return self._in_order[place]

    def finish(self, count: int, *, strict: bool = True) -> None:
        """Check that there is no label left over.

        Parameters
        ----------
        count : int
            How many photos there were.
        strict : bool, default True
            Whether a label by name must be of one of these photos: a bank's own are some of those that it was made of.

        Raises
        ------
        ValueError
            If there is a label of no photo.
        """
        if strict and self._by_name is not None and (left := set(self._by_name) - self._met):
            raise ValueError(
                f"labels: wanted classes of the photos, got {len(left)} of photos that there are not, such as "
                f"{min(left)!r}."
            )
        if self._in_order is not None and len(self._in_order) != count:
            raise ValueError(_length(len(self._in_order), count))

    def _read(self, label: Any, of: str) -> int:
        if label is None:
            return UNKNOWN
        if isinstance(label, bool | np.bool_) and len(self._classes) == 1:
            return 0 if label else NO_CLASS
        if len(self._classes) == 1 and not isinstance(label, str):
            raise TypeError(
                f"labels: wanted True, False or None, since the network has a single logit, got {label!r} for {of!r}."
            )
        if isinstance(label, np.generic) or hasattr(label, "item"):
            label = label.item()
        try:
            return self._classes.resolve(label)
        except (TypeError, ValueError) as error:
            told = str(error).removeprefix("target: ")
            raise type(error)(f"labels: of {of!r}, {told}") from None


def _length(got: int, wanted: int, *, more: bool = False) -> str:
    least = "at least " if more else ""
    return (
        f"labels: wanted one class for each of the photos, {least}{wanted}, got {got}; give None where it is not "
        "known, or a dict by the photos' names."
    )
