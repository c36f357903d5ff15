"""What concepts and classes of a record are called, and how they are found by that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatwhere.concepts.palette import letter_of
from whatwhere.strategies.truth import NO_CLASS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatwhere.classes import ClassNames


class Named:
    """Concepts by letter and name, and classes by name; the record is `whatwhere.StrategyGraph`."""

    ids: tuple[int, ...]
    concept_names: Mapping[int, str]
    class_names: ClassNames
    target: int | None

    @property
    def target_name(self) -> str:
        """Name of the explained class; "each photo's predicted class" where there is no single one."""
        return "each photo's predicted class" if self.target is None else self.class_names.label(self.target)

    def concept_of(self, concept: int | str) -> int:
        """Find a concept.

        Parameters
        ----------
        concept : int or str
            Its row in the bank, its letter, or the name that a person gave it.

        Returns
        -------
        int
            Its row.

        Raises
        ------
        ValueError
            If there is no such concept, or several have that name.
        """
        if isinstance(concept, str):
            rows = [k for k, key in enumerate(self.ids) if concept in (letter_of(key), self.concept_names.get(key))]
            if len(rows) != 1:
                raise ValueError(
                    f"concept: wanted one of {[self.concept_label(k) for k in range(len(self.ids))]}, got {concept!r}, "
                    f"which is {'none' if not rows else 'several'} of them."
                )
            return rows[0]
        if not 0 <= concept < len(self.ids):
            raise ValueError(f"concept: wanted a row from 0 to {len(self.ids) - 1}, a letter or a name, got {concept}.")
        return int(concept)

    def concept_label(self, k: int) -> str:
        """Name a concept.

        Parameters
        ----------
        k : int
            Its row.

        Returns
        -------
        str
            Its letter, and the name that a person gave it.
        """
        name = self.concept_names.get(self.ids[k])
        return f"{letter_of(self.ids[k])} {name}" if name else letter_of(self.ids[k])

    def class_label(self, class_id: int) -> str:
        """Name what a photo is or was predicted as.

        Parameters
        ----------
        class_id : int
            A class id, or one of the numbers below 0 in `labels` and `predictions`.

        Returns
        -------
        str
            The name.
        """
        if class_id >= 0:
            return self.class_names.label(class_id)
        return {UNKNOWN: "unknown", NO_CLASS: f"not {self.class_names.label(0)}"}.get(class_id, "none")
