"""The record of an extraction for many classes: a bank for each, and why others have none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whatwhere.classes import ClassNames
    from whatwhere.concepts.bank import ConceptBank

#: Why a class that nothing is said of is not there.
NOT_LISTED = "it was not asked for, no photo is predicted as it, or its turn is to come"
_SHOWN = 8  # classes in a line


@dataclass(frozen=True, eq=False, repr=False)
class ClassBanks(Mapping[int, "ConceptBank"]):
    """Concepts of many classes: a mapping from class ids to banks, which takes names as well.

    Parameters
    ----------
    banks : mapping of int to ConceptBank
        By class id: in the order asked for, or of the ids.
    left_out : mapping of int to str
        Classes that were predicted, not asked for by name, and have no bank: the reason by id.
    class_names : ClassNames
        Names by id.
    n_images : int
        Photos that were looked at.
    unreadable : mapping of str to str
        Files that could not be read and were left out, with the reason, by name.
    complete : bool, default True
        Whether all classes are there; False in a run under way, or one that was stopped.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> craft = ww.Craft(n_concepts=1, fit_on="locations")
    >>> banks = craft.by_class.run(model, ww.examples.photos(), ["espresso"])
    >>> list(banks), banks["espresso"].rank
    ([967], 1)
    """

    banks: Mapping[int, ConceptBank]
    left_out: Mapping[int, str]
    class_names: ClassNames
    n_images: int
    unreadable: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True

    def __getitem__(self, target: int | str) -> ConceptBank:
        """Return the bank of a class, by its id or name.

        Raises
        ------
        KeyError
            If the class has none; the message says why.
        whatwhere.UnknownClassError
            If no class has that name or id.
        """
        class_id = self.class_names.resolve(target)
        if class_id not in self.banks:
            why = self.left_out.get(class_id, NOT_LISTED)
            raise KeyError(f"{self.class_names.label(class_id)!r} has no bank: {why}.")
        return self.banks[class_id]

    def __contains__(self, target: object) -> bool:
        return self.class_names.stands_for(target, self.banks)

    def __iter__(self) -> Iterator[int]:
        return iter(self.banks)

    def __len__(self) -> int:
        return len(self.banks)

    def describe(self) -> str:
        """Say in a few lines what there is, and what is missing.

        Returns
        -------
        str
            For people.
        """
        told = [f"{self.class_names.label(c)} ({bank.quality.n_images})" for c, bank in self.banks.items()]
        state = "" if self.complete else " so far"
        lines = [f"{len(told)} classes{state} with concepts, from {self.n_images} photos: {in_a_line(told)}."]
        if self.left_out:
            number = len(self.left_out)
            lines.append(f"{number} predicted class{'es are' if number > 1 else ' is'} left out; left_out says why.")
        return " ".join([*lines, *self.caveats()])

    def caveats(self) -> list[str]:
        """Say what a reader has to know of all the banks; each has caveats of its own.

        Returns
        -------
        list of str
            One sentence each; empty if there is nothing.
        """
        changed = any(bank.provenance.changed for bank in self.banks.values())
        return say_caveats(self.unreadable, self.n_images, changed=changed)

    def __repr__(self) -> str:
        return f"<ClassBanks: {self.describe()}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude
        return {"text/plain": repr(self)}


def in_a_line(told: Sequence[str]) -> str:
    """Name the first of many classes, and count the others.

    Parameters
    ----------
    told : sequence of str
        What is said of each.

    Returns
    -------
    str
        Such as ``"tench (12), crane (9) and 3 more"``.
    """
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return f"{', '.join(told[:_SHOWN])}{more}"


def say_caveats(unreadable: Mapping[str, str], n_images: int, *, changed: bool) -> list[str]:
    """Say what a reader has to know of the concepts of many classes.

    Parameters
    ----------
    unreadable : mapping of str to str
        Files that could not be read and were left out, with the reason, by name.
    n_images : int
        Photos that were looked at.
    changed : bool
        Whether the weights changed meanwhile.

    Returns
    -------
    list of str
        One sentence each; empty if there is nothing.
    """
    from whatwhere.concepts.unreadable import say_unreadable

    said = [say_unreadable(dict(unreadable), n_images)] if unreadable else []
    return [*said, *(["The weights changed while it was computed."] if changed else [])]
