"""Pages in files: one safetensors file a class, in which nothing is ever executed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whatwhere.atlas.closest import ClosestClass
from whatwhere.atlas.page import ClassPage
from whatwhere.concepts import saving as bank_saving
from whatwhere.recording import broken, read_arrays, read_record, write_record
from whatwhere.strategies import saving as graph_saving

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from whatwhere.classes import ClassNames

_RECORD, _VERSION = "ClassPage", 1
_BANK, _GRAPH = "bank.", "graph."


def write_page(page: ClassPage, path: Path, *, passing: Path | None = None) -> None:
    """Write a page to a file, all or nothing, without the photos themselves.

    Parameters
    ----------
    page : ClassPage
        The page.
    path : Path
        Where to.
    passing : Path, optional
        A folder in which it lies until it is whole.

    Raises
    ------
    ValueError
        If the extractor of its bank is of the caller's own making.
    """
    bank, arrays = bank_saving.as_parts(page.bank)
    arrays = {_BANK + name: values for name, values in arrays.items()} | {"mean": page.mean}
    told: dict[str, Any] = {"bank": bank, "graph": None, "why_not_closest": page.why_not_closest}
    told["closest"] = None if page.closest is None else [[tuple(c) for c in classes] for classes in page.closest]
    if page.graph is not None:
        told["graph"], pictures = graph_saving.as_parts(page.graph)
        arrays |= {_GRAPH + name: values for name, values in pictures.items()}
        told["graph"]["class_names"] = []
    told["bank"]["class_names"] = []  # the index has them, once
    write_record(path, _RECORD, _VERSION, told, arrays, passing=passing)


def read_page(path: Path, class_names: ClassNames) -> ClassPage:
    """Read a page from a file.

    Parameters
    ----------
    path : Path
        A file that `write_page` has written.
    class_names : ClassNames
        Names by id.

    Returns
    -------
    ClassPage
        The same page, but for its photos.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is of another kind, broken, or from a newer version.
    """
    told, arrays = read_record(path, _RECORD, _VERSION)
    try:
        bank = bank_saving.from_parts(told["bank"], _below(arrays, _BANK))
        graph = None if told["graph"] is None else graph_saving.from_parts(told["graph"], _below(arrays, _GRAPH))
        closest = told["closest"]
        return ClassPage(
            replace(bank, class_names=class_names),
            None if graph is None else replace(graph, class_names=class_names),
            None if closest is None else tuple(tuple(ClosestClass(*c) for c in classes) for classes in closest),
            told["why_not_closest"],
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise broken(path, _RECORD, error) from error


def read_directions(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read what compares a class with others, and nothing else of its file.

    Parameters
    ----------
    path : Path
        A file that `write_page` has written.

    Returns
    -------
    W, mean : ndarray of shape (r, p), ndarray of shape (p,), float32
        Directions of its concepts, and the mean of what they rebuild.

    Raises
    ------
    FileNotFoundError, ValueError
        As for `read_page`.
    """
    arrays = read_arrays(path, _RECORD, _VERSION, (f"{_BANK}W", "mean"))
    return arrays[f"{_BANK}W"], arrays["mean"]


def _below(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
