"""Pages by class: a mapping from class ids, which takes names as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from whatwhere.atlas.page import ClassPage
from whatwhere.concepts.class_banks import NOT_LISTED

if TYPE_CHECKING:
    from whatwhere.atlas.origin import Origin
    from whatwhere.atlas.page_store import Facts, Pages
    from whatwhere.classes import ClassNames

_NEAR = 3  # that an error proposes


class PagesByClass(Mapping[int, ClassPage]):
    """The pages of classes, by id or name; its attributes are those of `whatwhere.Atlas`.

    Parameters
    ----------
    pages : Pages
        Where the pages are.
    origin : Origin
        The network and the layer that they all are of.
    class_names : ClassNames
        Names by id.
    skipped : mapping of int to str
        Why classes have no page, by id.
    complete : bool, default True
        Whether all classes are there; False in a run under way, or one that was stopped.
    key : mapping of str to str
        Hashes of what it was made of; empty if it was not made in a folder.
    """

    def __init__(
        self,
        pages: Pages,
        origin: Origin,
        class_names: ClassNames,
        skipped: Mapping[int, str],
        *,
        complete: bool = True,
        key: Mapping[str, str] | None = None,
    ) -> None:
        self._pages, self._class_names, self._key = pages, class_names, dict(key or {})
        self.origin, self.complete = origin, complete
        self.skipped = {c: skipped[c] for c in sorted(skipped)}
        self.names = {c: class_names.label(c) for c in pages.ids}
        self.counts = {c: pages.count(c) for c in pages.ids}

    @property
    def classes(self) -> tuple[int, ...]:
        """Ids of the classes that have a page, ascending."""
        return self._pages.ids

    def __getitem__(self, target: int | str) -> ClassPage:
        """Return the page of a class, by its id or name.

        Raises
        ------
        KeyError
            If the class has none; the message says why, and which classes near it have one.
        whatwhere.UnknownClassError
            If no class has that name or id.
        FileNotFoundError, ValueError
            If its file is gone or broken.
        """
        return self._pages.page(self._of_page(target))

    def _of_page(self, target: int | str) -> int:
        """Return the id of a class that has a page."""
        class_id = self._class_names.resolve(target)
        if class_id in self.names:
            return class_id
        why = self.skipped.get(class_id, NOT_LISTED)
        near = sorted(self.classes, key=lambda c: (abs(c - class_id), c))[:_NEAR]
        told = ", ".join(f"{c} ({self._class_names[c]})" for c in near)
        raise KeyError(
            f"{self._class_names.label(class_id)!r} ({class_id}) has no page: {why}. Nearest that have one: {told}."
        )

    def __contains__(self, target: object) -> bool:
        return self._class_names.stands_for(target, self.names)

    def __iter__(self) -> Iterator[int]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    __eq__ = object.__eq__  # pages are read when they are asked for, not to compare atlases
    __hash__ = object.__hash__

    def facts(self, target: int | str) -> Facts:
        """Return what a list of classes says of one; its page is not read for it.

        Parameters
        ----------
        target : int or str
            A class that has a page, by id or name.

        Returns
        -------
        Facts
            ``n_images``, ``n_important`` and ``accuracy``.

        Raises
        ------
        KeyError, whatwhere.UnknownClassError
            If the class has no page, or there is none such.
        """
        return self._pages.facts(self._of_page(target))

    @property
    def class_names(self) -> ClassNames:
        """Names of all classes of the network, by id."""
        return self._class_names
