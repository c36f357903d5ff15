"""Finding in an atlas: classes by what a person types, and what concepts and classes have in common."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from whatwhere.atlas.by_class import PagesByClass
from whatwhere.atlas.closest import CLOSEST
from whatwhere.atlas.searching import search
from whatwhere.engine._checks import integer

if TYPE_CHECKING:
    from whatwhere.atlas.closest import ClosestClass
    from whatwhere.atlas.similar import Finder, Link, Similar


class Finding(PagesByClass):
    """What is found in an atlas."""

    def search(self, text: str) -> list[int]:
        """Find classes that have a page.

        Parameters
        ----------
        text : str
            An id, or a part of a name; case, accents, and ``_`` for a space do not matter.

        Returns
        -------
        list of int
            Class ids; all of them for an empty text. First that id, then names that are the text, begin with it, have
            words that begin with its words, or contain it, then ids that begin with it.

        Raises
        ------
        TypeError
            If `text` is no text.
        """
        return search(text, {c: self._class_names[c] for c in self.names}, self.names)

    @cached_property
    def _finder(self) -> Finder:
        from whatwhere.atlas.similar import Finder

        return Finder({c: self._pages.atoms(c) for c in self.classes})

    @property
    def calibration(self) -> str:
        """How scores of `similar` came about, or why there are none, in words."""
        return self._finder.say()

    def similar(
        self,
        cid: int | str | None = None,
        concept: int | None = None,
        *,
        most: int = 10,
        threshold: float | None = 0.05,
    ) -> list[Similar]:
        """Find concepts of other classes that are alike.

        Parameters
        ----------
        cid : int or str, optional
            The class to find likes for; by default all, each pair once.
        concept : int, optional
            One of its concepts, by id; by default all of them.
        most : int, default 10
            How many pairs at most.
        threshold : float or None, default 0.05
            Largest q, above 0 up to 1; None takes any.

        Returns
        -------
        list of Similar
            The highest z first. Where there are too few classes for a z the highest cosines, whatever `threshold` is;
            `calibration` says so.

        Raises
        ------
        KeyError
            If the class has no page, or no such concept.
        TypeError, ValueError
            If an argument is of another kind or out of its range.

        Notes
        -----
        The score is that of `whatwhere.engine.likeness`: cosines without the direction of the mean activation, against
        those that either concept has with concepts of other classes. The mean is that of what the concepts rebuild,
        over the photos of all classes here. Of n concepts of p channels the first call takes 2 n^2 p multiplications.
        """
        most = integer("most", most, 1)
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold: wanted the largest q, above 0 and up to 1, or None, got {threshold!r}.")
        if cid is None:
            if concept is not None:
                raise ValueError(f"concept: wanted its class as well, similar(cid, {concept!r}): ids are a class's.")
            return self._finder.find(None, most, threshold)
        class_id = self._of_page(cid)
        return self._finder.find(self._finder.rows_of(class_id, concept), most, threshold)

    def links(self, *, threshold: float = 0.05) -> list[Link]:
        """Find which classes share concepts: the edges of a graph of classes.

        Parameters
        ----------
        threshold : float, default 0.05
            Largest q of a shared concept, above 0 up to 1.

        Returns
        -------
        list of Link
            Pairs of classes with concepts that are alike and belong together one to one; the highest z first. Empty
            where there are too few classes to tell chance.

        Raises
        ------
        ValueError
            If `threshold` is out of its range.
        """
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold: wanted the largest q, above 0 and up to 1, got {threshold!r}.")
        return self._finder.links(threshold)

    def alignment(self, cid: int | str, concept: int, most: int = 5) -> list[ClosestClass]:
        """Find the classes that a concept points towards.

        Parameters
        ----------
        cid : int or str
            The concept's class.
        concept : int
            Its id.
        most : int, default 5
            How many classes, 1 to 20.

        Returns
        -------
        list of ClosestClass
            Class id, cosine of the concept's direction and the class's weights, and what the concept adds to the
            class's logit on average over the page's photos; the highest cosine first.

        Raises
        ------
        KeyError
            If the class has no page, or no such concept.
        ValueError
            If classes have no directions in the layer, no network was asked, or `most` is out of its range.
        """
        most, page = integer("most", most, 1, CLOSEST), self[cid]
        if concept not in page.bank.ids:
            raise KeyError(f"concept: wanted one of {list(page.bank.ids)}, the ids of {page.name}, got {concept!r}.")
        if page.closest is None:
            raise ValueError(page.why_not_closest)
        return list(page.closest[page.bank.number_of(concept)][:most])
