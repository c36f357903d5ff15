"""Traits that know the field's terms."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import traitlets

from whatwhere.classes import UnknownClassError
from whatwhere.concepts.groups import read_groups
from whatwhere.widgets._view import WIRE

if TYPE_CHECKING:
    from collections.abc import Callable

_DIGITS = 10  # of an id, fewer


class ClassTrait(traitlets.TraitType[Any, Any]):
    """A class id or name, kept as the id; None stands for the class that the model predicts."""

    info_text = "a class id, a class name, or None for the predicted class"

    def validate(self, obj: Any, value: Any) -> int | None:
        """Resolve a name to its id.

        Parameters
        ----------
        obj : AttributionView
            The view.
        value : int, str or None
            What was assigned.

        Returns
        -------
        int or None
            The id.

        Raises
        ------
        TraitError
            If there is no such class, or several; the message lists the nearest names or the ids.
        """
        if value is None:
            return None
        try:
            resolved: int = obj._class_names.resolve(value)  # noqa: SLF001  # the trait belongs to the view
        except (UnknownClassError, TypeError) as error:
            raise traitlets.TraitError(f"selected_class: {error}") from None
        return resolved


class ConceptIds(traitlets.List[Any]):
    """Ids of concepts, each once; of those of the view's bank, once it is there."""

    info_text = "a list of concept ids"

    def validate(self, obj: Any, value: Any) -> list[int]:
        """Check every id.

        Parameters
        ----------
        obj : ConceptExplorer
            The view.
        value : sequence of int
            What was assigned.

        Returns
        -------
        list of int
            The same.

        Raises
        ------
        TraitError
            If it is no list, or one of them is no id of the bank.
        """
        if not isinstance(value, list | tuple):
            raise traitlets.TraitError(f"{self.name}: wanted a list of concept ids, got {type(value).__name__}.")
        ids = [check_id(obj, str(self.name), one) for one in value]
        if len(set(ids)) < len(ids):
            raise traitlets.TraitError(f"{self.name}: wanted each id once, got {ids}.")
        return ids


class ConceptGroups(traitlets.List[Any]):
    """Groups of concepts that are shown as one: lists of two ids at least, and no id twice."""

    info_text = "a list of lists of concept ids"

    def validate(self, obj: Any, value: Any) -> list[list[int]]:
        """Check every group.

        Parameters
        ----------
        obj : ConceptExplorer
            The view.
        value : sequence of sequence of int
            What was assigned.

        Returns
        -------
        list of list of int
            The same.

        Raises
        ------
        TraitError
            If it is no list of such lists, or one of the ids is none of the bank's.
        """
        name = str(self.name)
        if not isinstance(value, list | tuple) or not all(isinstance(ids, list | tuple) for ids in value):
            raise traitlets.TraitError(f"{name}: wanted a list of lists of concept ids, got {value!r}.")
        read = [[check_id(obj, name, one) for one in ids] for ids in value]
        try:
            return [list(ids) for ids in read_groups(name, read, None)]
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None


class ByConcept(traitlets.Dict):
    """Something of some concepts, by id; ids are kept as text, as JSON does.

    Parameters
    ----------
    check : callable
        Takes the trait's name and a value; returns the value, or None where it says nothing, or raises TraitError.
    """

    info_text = "a dict by concept id"

    def __init__(self, check: Callable[[str, Any], Any]) -> None:
        super().__init__()
        self._check_value = check

    def validate(self, obj: Any, value: Any) -> dict[str, Any]:
        """Check every id and value.

        Parameters
        ----------
        obj : ConceptExplorer
            The view.
        value : mapping of int or str
            What was assigned.

        Returns
        -------
        dict
            By ids as text, without values that say nothing.

        Raises
        ------
        TraitError
            If it is no mapping, or an id or a value cannot be.
        """
        if not isinstance(value, Mapping):
            raise traitlets.TraitError(f"{self.name}: wanted a dict by concept id, got {type(value).__name__}.")
        name, kept = str(self.name), {}
        for key, one in value.items():
            number = (
                int(key) if isinstance(key, str) and key.isascii() and key.isdecimal() and len(key) < _DIGITS else key
            )
            concept_id, checked = check_id(obj, name, number), self._check_value(name, one)
            if checked is not None:
                kept[str(concept_id)] = checked
        return kept


def check_id(view: Any, name: str, value: Any) -> int:
    """Return a concept's id, checked.

    Parameters
    ----------
    view : ConceptExplorer
        The view.
    name : str
        What messages call it.
    value : object
        What was given.

    Returns
    -------
    int
        The id.

    Raises
    ------
    TraitError
        If it is no integer of at least 0, or the bank has none such.
    """
    try:
        concept_id = operator.index(value)
    except TypeError:
        concept_id = -1
    known = view.ids
    if isinstance(value, bool) or concept_id < 0 or (known is not None and concept_id not in known):
        wanted = "integers" if known is None else f"ids of {known}"
        raise traitlets.TraitError(f"{name}: wanted {wanted}, got {value!r}.")
    return concept_id


def factor(name: str, value: Any) -> float | None:
    """Return by how much a concept is scaled, checked.

    Parameters
    ----------
    name : str
        What messages call it.
    value : float
        The factor.

    Returns
    -------
    float or None
        The same; None for 1.

    Raises
    ------
    TraitError
        If it is no number from 0 to 2.
    """
    largest = WIRE["concepts"]["largest_scale"]
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) <= largest:
        raise traitlets.TraitError(f"{name}: wanted factors from 0 to {largest}, got {value!r}.")
    return None if value == 1 else float(value)


def words(longest: int) -> Callable[[str, Any], str | None]:
    """Make a check of what a person wrote.

    Parameters
    ----------
    longest : int
        Characters, at most.

    Returns
    -------
    callable
        For `ByConcept`: takes off blanks at the ends; says None where nothing is left.
    """

    def check(name: str, value: Any) -> str | None:
        if not isinstance(value, str) or len(value) > longest:
            got = f"{len(value)} characters" if isinstance(value, str) else f"{type(value).__name__} {value!r}"
            raise traitlets.TraitError(f"{name}: wanted text of at most {longest} characters, got {got}.")
        return value.strip() or None

    return check


class IdTrait(traitlets.TraitType[Any, Any]):
    """What something is counted as: an integer from 0."""

    info_text = "an id, an integer from 0"

    def validate(self, obj: Any, value: Any) -> int:
        """Take any integer type for the integer that it is.

        Parameters
        ----------
        obj : HasTraits
            The widget.
        value : int
            What was assigned.

        Returns
        -------
        int
            The id.

        Raises
        ------
        TraitError
            If it is no integer, or below 0.
        """
        try:
            number = -1 if isinstance(value, bool) else operator.index(value)
        except TypeError:
            number = -1
        if number < 0:
            self.error(obj, value)
        return number
