"""Attributions in the cache."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from whatwhere.attribution.record import Attribution
from whatwhere.cache.control import active
from whatwhere.engine.caching import place_of
from whatwhere.engine.logits import DroppedClassError, Logits
from whatwhere.pixels.contents import photo_digest
from whatwhere.provenance import Provenance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.attribution.sobol import Sobol
    from whatwhere.cache.blobs import Entry
    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import Photo


class Keeper:
    """One image's attribution in the cache, if there is one.

    Parameters
    ----------
    method : Sobol
        The method.
    model : VisionModel
        The network.
    photo : Photo
        The image.
    target : int or str, optional
        The class that a stop rule or refinement looks at.
    """

    def __init__(self, method: Sobol, model: VisionModel, photo: Photo, target: int | str | None) -> None:
        self._method, self._model, self._photo = method, model, photo
        target = None if target is None else model.class_names.resolve(target)
        looks = method.refine or method.until is not None  # otherwise the target decides nothing
        self._place = None
        if active() is not None:
            self._place = place_of("attribution", model, method, target if looks else None, photo_digest(photo))

    def find(self) -> Attribution | None:
        """Find the record.

        Returns
        -------
        Attribution or None
            None where it has to be computed.
        """
        entry = None if self._place is None else self._place.find()
        return None if entry is None else self._read(entry)

    def keep(self, record: Attribution) -> None:
        """Keep the record.

        Parameters
        ----------
        record : Attribution
            Finished.
        """
        if self._place is None:
            return
        try:
            logits = record.store.array()
        except DroppedClassError:  # other records needed the memory meanwhile
            return
        told: dict[str, Any] = {
            "rows": record.rows,
            "grid": record.grid,
            "n_forwards": record.n_forwards,
            "provenance": asdict(record.provenance),
        }
        arrays: dict[str, NDArray[Any]] = {"logits": logits, "reference": record.reference, "groups": record.groups}
        self._place.keep(told, arrays, record.provenance)

    def _read(self, entry: Entry) -> Attribution:
        told, arrays, model = entry.told, entry.arrays, self._model
        reference = arrays["reference"].copy()
        store = Logits(arrays["logits"].copy(), reference)
        store.settle(told["rows"])
        return Attribution(
            store=store,
            rows=told["rows"],
            reference=reference,
            grid=(told["grid"][0], told["grid"][1]),
            groups=arrays["groups"].copy(),
            n_forwards=told["n_forwards"],
            method=self._method,
            provenance=replace(Provenance(**told["provenance"]), cached=1),
            class_names=model.class_names,
            geometry=model.preprocess.geometry(self._photo),
            photo=self._photo,
        )
