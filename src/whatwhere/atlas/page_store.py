"""Where the pages of an atlas are: whatever holds them, and memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from whatwhere.atlas.page import ClassPage


class Atoms(NamedTuple):
    """What compares a class with others.

    Attributes
    ----------
    ids : tuple of int
        Of its concepts.
    W : ndarray of shape (r, p), float32
        Their directions.
    mean : ndarray of shape (p,), float32
        Mean of what they rebuild of its photos' features.
    n_images : int
        How many photos these are.
    """

    ids: tuple[int, ...]
    W: NDArray[np.float32]
    mean: NDArray[np.float32]
    n_images: int


class Facts(NamedTuple):
    """What a list of classes says of one, without its page.

    Attributes
    ----------
    n_images : int
        Photos that are predicted as the class.
    n_important : int
        Its important concepts.
    accuracy : float or None
        Share of the photos whose class is known that are right; None where it is known of none.
    """

    n_images: int
    n_important: int
    accuracy: float | None

    @classmethod
    def of(cls, page: ClassPage) -> Facts:
        """Read them off a page.

        Parameters
        ----------
        page : ClassPage
            The page.

        Returns
        -------
        Facts
            Of its class.
        """
        graph = page.graph
        known = graph is not None and bool(graph.known.any())
        accuracy = float(graph.accuracy.value) if graph is not None and known else None
        return cls(page.n_images, len(page.important), accuracy)


class Pages(ABC):
    """Where pages are."""

    @property
    @abstractmethod
    def ids(self) -> tuple[int, ...]:
        """The classes, in ascending order."""

    def page(self, target: int) -> ClassPage:
        """Return a page.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        ClassPage
            Without the photos themselves, where it was read from a file.

        Raises
        ------
        FileNotFoundError
            If its file is gone.
        ValueError
            If its file is broken.
        """
        return self._page(target)

    def atoms(self, target: int) -> Atoms:
        """Return what compares a class with others.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        Atoms
            Directions and their mean.

        Raises
        ------
        FileNotFoundError
            If its file is gone.
        ValueError
            If its file is broken.
        """
        return self._atoms(target)

    def count(self, target: int) -> int:
        """Return how many photos a page is of.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        int
            Those that are predicted as the class.
        """
        return self._count(target)

    def facts(self, target: int) -> Facts:
        """Return what a list says of a class.

        Parameters
        ----------
        target : int
            Class id.

        Returns
        -------
        Facts
            Without reading its page, where it lies in a folder.
        """
        return self._facts(target)

    @abstractmethod
    def _page(self, target: int) -> ClassPage: ...

    @abstractmethod
    def _atoms(self, target: int) -> Atoms: ...

    @abstractmethod
    def _count(self, target: int) -> int: ...

    @abstractmethod
    def _facts(self, target: int) -> Facts: ...


class Held(Pages):
    """Pages in memory.

    Parameters
    ----------
    pages : mapping of int to ClassPage
        By class id.
    """

    def __init__(self, pages: Mapping[int, ClassPage]) -> None:
        self._pages = dict(sorted(pages.items()))

    @property
    def ids(self) -> tuple[int, ...]:
        """The classes."""
        return tuple(self._pages)

    def _page(self, target: int) -> ClassPage:
        return self._pages[target]

    def _atoms(self, target: int) -> Atoms:
        page = self._pages[target]
        return Atoms(page.bank.ids, page.bank.W, page.mean, page.n_images)

    def _count(self, target: int) -> int:
        return self._pages[target].n_images

    def _facts(self, target: int) -> Facts:
        return Facts.of(self._pages[target])
