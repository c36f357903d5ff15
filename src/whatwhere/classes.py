"""Class names: ids are the keys, names are what people type."""

from __future__ import annotations

import difflib
import operator
from collections import defaultdict
from collections.abc import Container, Sequence
from typing import overload


class UnknownClassError(ValueError):
    """A class name or id that a model does not have, or a name that several of its classes share.

    Parameters
    ----------
    message : str
        What was wanted, what came and what to do.
    candidates : sequence of int, default ()
        Ids of the classes that may have been meant, best first.
    """

    def __init__(self, message: str, candidates: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


class ClassNames(Sequence[str]):
    """The names of a model's classes, in the order of its logits.

    Parameters
    ----------
    names : sequence of str
        One name a logit. Names may repeat (ImageNet has two of *crane*): ids stay unique.

    Examples
    --------
    >>> names = ClassNames(["hen", "crane", "tram", "crane"])
    >>> names.resolve("Tram"), names[2], len(names)
    (2, 'tram', 4)
    >>> names.label(3)
    'crane (3)'
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(str(name) for name in names)
        ids = defaultdict(list)
        for k, name in enumerate(self._names):
            ids[_fold(name)].append(k)
        self._ids = {name: tuple(ks) for name, ks in ids.items()}
        self._labels = {_fold(self.label(k)): k for ks in ids.values() if len(ks) > 1 for k in ks}

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._names[index]

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<ClassNames: {len(self)} classes, from {self._names[0]!r} to {self._names[-1]!r}>"

    def label(self, class_id: int) -> str:
        """Return the name of a class, with its id where another class has the same name.

        Parameters
        ----------
        class_id : int
            Index of the logit.

        Returns
        -------
        str
            For example ``"espresso"`` or ``"crane (134)"``.
        """
        name = self._names[class_id]
        return name if len(self._ids[_fold(name)]) == 1 else f"{name} ({class_id})"

    def resolve(self, target: int | str) -> int:
        """Return the id that a class name or an id stands for.

        Parameters
        ----------
        target : int or str
            A logit's index, or a name; case, and ``_`` for a space, do not matter.

        Returns
        -------
        int
            The class id, in ``range(len(self))``.

        Raises
        ------
        UnknownClassError
            If no class has that name or id (the message lists the nearest names), or several have (it lists the ids).
        TypeError
            If `target` is neither a string nor an integer.
        """
        if isinstance(target, str):
            return self._resolve_name(target)
        try:
            class_id = operator.index(target)
        except TypeError:
            raise TypeError(
                f"target: wanted a class name (str) or id (int), got {type(target).__name__} {target!r}."
            ) from None
        if isinstance(target, bool):
            raise TypeError(f"target: wanted a class name (str) or id (int), got the bool {target!r}.")
        if not 0 <= class_id < len(self):
            raise UnknownClassError(f"target: wanted a class id from 0 to {len(self) - 1}, got {class_id}.")
        return class_id

    def stands_for(self, target: object, known: Container[int]) -> bool:
        """Tell whether something stands for one of some classes.

        Parameters
        ----------
        target : object
            An id or a name, or anything else.
        known : container of int
            Ids of these classes.

        Returns
        -------
        bool
            False as well for what stands for no class, or for several.
        """
        if not isinstance(target, int | str) or isinstance(target, bool):
            return False
        try:
            return self.resolve(target) in known
        except UnknownClassError:
            return False

    def _resolve_name(self, name: str) -> int:
        ids = self._ids.get(_fold(name), ())
        if len(ids) == 1:
            return ids[0]
        if _fold(name) in self._labels:
            return self._labels[_fold(name)]
        if ids:
            raise UnknownClassError(
                f"target: {name!r} names {len(ids)} classes, {_join(ids)}; pass one of these ids.", ids
            )
        near = self.nearest(name)
        hint = f" Nearest: {', '.join(f'{self.label(k)!r}' for k in near)}." if near else ""
        raise UnknownClassError(f"target: no class is named {name!r}.{hint} An id (int) works as well.", near)

    def nearest(self, name: str, limit: int = 5) -> list[int]:
        """Return the classes whose names resemble a text, best first.

        Parameters
        ----------
        name : str
            What was typed.
        limit : int, default 5
            How many to return at most.

        Returns
        -------
        list of int
            Class ids: names that contain the text, then names spelt like it.
        """
        folded = _fold(name)
        inside = [key for key in self._ids if folded and folded in key]
        alike = difflib.get_close_matches(folded, self._ids, n=limit, cutoff=0.6)
        return [k for key in dict.fromkeys([*inside, *alike]) for k in self._ids[key]][:limit]


def _fold(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _join(ids: Sequence[int]) -> str:
    return " and ".join(str(k) for k in ids)
