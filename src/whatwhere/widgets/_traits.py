"""Traits that know the field's terms."""

from __future__ import annotations

import operator
from typing import Any

import traitlets

from whatwhere.classes import UnknownClassError


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
