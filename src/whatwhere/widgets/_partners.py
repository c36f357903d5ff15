"""Partners of a cell, for a view: one search at a time, the latest that was asked for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.attribution import SobolPairs
from whatwhere.widgets._layers import OWN, encode_plane

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatwhere.attribution import Attribution, PairMap
    from whatwhere.jobs import Job
    from whatwhere.model import VisionModel

_PARTNERS = 16  # those that the map's own rows rank first: 512 forwards for 32 rows
_SHOWN = 5
_KEPT = 8
_FEWEST_ROWS = 8
_FAINT = 0.05  # of the strongest partner: weaker ones are not outlined


@dataclass(frozen=True, eq=False)
class Search:
    """A search for the partners of a cell.

    Parameters
    ----------
    rid : str
        The browser's mark of the request.
    image : str
        Name of the photo.
    cell : (int, int)
        Row and column.
    job : Job
        Its job.
    """

    rid: str
    image: str
    cell: tuple[int, int]
    job: Job[PairMap]


class Partners:
    """Searches for the partners of cells, and tells what is found.

    Parameters
    ----------
    model : VisionModel
        The network.
    changed : callable
        Called on the worker thread after every step.
    """

    def __init__(self, model: VisionModel, changed: Callable[[], None]) -> None:
        self._model = model
        self._changed = changed
        self._known: OrderedDict[tuple[str, tuple[int, int]], tuple[Attribution, Job[PairMap]]] = OrderedDict()
        self.search: Search | None = None

    def ask(self, rid: str, image: str, cell: Any, record: Attribution, *, class_id: int) -> Job[PairMap]:
        """Search for the partners of a cell, and give up the search before.

        Parameters
        ----------
        rid : str
            The browser's mark of the request.
        image : str
            Name of the photo.
        cell : (int, int)
            Row and column.
        record : Attribution
            The photo's map.
        class_id : int
            Class whose likeliest partners are looked at.

        Returns
        -------
        Job
            To be started.

        Raises
        ------
        TypeError, ValueError, LookupError
            If that cannot be; the message says why.
        """
        if record.preview or record.rows < _FEWEST_ROWS:
            raise ValueError(f"Partners of a cell are searched once the map has {_FEWEST_ROWS} rows.")
        if record.pruned.any():
            raise ValueError(
                "Partners need a map of single cells; this one was refined from blocks: Sobol(refine=False)."
            )
        place = int(cell[0]), int(cell[1])
        before, job = self._known.get((image, place), (None, None))
        if before is not record or job is None or job.state == "failed":
            job = SobolPairs(place, partners=_PARTNERS).submit(self._model, record, target=class_id)
            job.watch(lambda _: self._changed())
        self.leave()
        self._remember((image, place), record, job)
        self.search = Search(rid, image, place, job)
        return job

    def leave(self) -> None:
        """Give up the search; what was found is kept for a while."""
        search, self.search = self.search, None
        if search is not None:
            search.job.stop()

    def clear(self) -> None:
        """Give up all searches, and their memory."""
        self.search = None
        for _, job in self._known.values():
            job.discard()
        self._known.clear()

    def tell(self, class_id: int, score: str) -> dict[str, Any]:
        """Say how far the search is, and what it has found.

        Parameters
        ----------
        class_id : int
            The class that is explained.
        score : str
            One of the four scores, or ``"own"``.

        Returns
        -------
        dict
            What ``_pairs`` holds (see ``wire.ts``); empty without a search.
        """
        search = self.search
        if search is None:
            return {}
        job, step = search.job, search.job.step
        found = job.record
        return {
            "rid": search.rid,
            "image": search.image,
            "cell": list(search.cell),
            "state": "failed" if job.state == "failed" else "done" if job.state == "done" else "computing",
            "done": step.done if step else 0,
            "total": step.total if step else 0,
            "why": f"{type(job.error).__name__}: {job.error}" if job.error else "",
            "found": None if found is None else _describe(found, class_id, None if score == OWN else score),
        }

    def _remember(self, key: tuple[str, tuple[int, int]], record: Attribution, job: Job[PairMap]) -> None:
        self._known[key] = record, job
        self._known.move_to_end(key)
        while len(self._known) > _KEPT:
            _, (_, old) = self._known.popitem(last=False)
            old.discard()


def _describe(found: PairMap, class_id: int, score: str | None) -> dict[str, Any]:
    values = found.values(class_id, score=score)
    lower = found.values(class_id, bound="lower", score=score)
    errors = (np.nan_to_num(values) - np.nan_to_num(lower)) / 1.96
    scale, plane = encode_plane(np.nan_to_num(values), errors.astype(np.float32))
    sure = np.flatnonzero((np.nan_to_num(lower) > 0) & (np.nan_to_num(values) > _FAINT * scale["max"]))
    strongest = sure[np.argsort(-values.ravel()[sure], kind="stable")][:_SHOWN]
    return {
        "id": class_id,
        **scale,
        "rows": found.rows,
        "forwards": found.n_forwards,
        "looked": [int(cell) for cell in found.partners],
        "partners": [int(cell) for cell in strongest],
        "plane": plane,
    }
