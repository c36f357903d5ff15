"""Records and networks as keys of the cache: what has to be the same for a result to be found again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from whatwhere.cache.blobs import Entry
from whatwhere.cache.control import active
from whatwhere.cache.keys import UncacheableError, digest_of
from whatwhere.cache.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from whatwhere.cache.store import Store
    from whatwhere.model import VisionModel
    from whatwhere.provenance import Provenance

_FORMAT = 1  # of what is kept: raised when the same key would stand for other numbers
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")
# Of the largest logit: another machine's order of the same sums, and such sums in few bits or on another device.
_SAME, _SHORT_SAME = 1e-3, 2e-2


def model_key(store: Store, model: VisionModel) -> str | None:
    """Tell a network by its weights, its layers, its preprocessing and precision, and what it says of noise.

    Parameters
    ----------
    store : Store
        The cache.
    model : VisionModel
        The network.

    Returns
    -------
    str or None
        A key that is the same on every device; None where the cache cannot be used.

    Raises
    ------
    UncacheableError
        If the network's ``output`` is a function.

    Notes
    -----
    Equal weights in equal layers may still be different networks, by what their code does with them; such are told
    apart by their logits of an image of noise. It is run when a `VisionModel` is made, and again when weights change.
    """
    told = digest_of(
        _FORMAT,
        model.fingerprint(),
        _ADDRESS.sub("", repr(model.net)),
        model.preprocess,
        model.output,
        model.precision,
        model.plan.precision,
    )
    short = model.precision != "float32" or model.plan.precision != "float32" or model.device.type != "cpu"
    number = store.number_of(told, model.probe(), tolerance=_SHORT_SAME if short else _SAME)
    return None if number is None else f"{told}-{number}"


class Place:
    """Where one record is kept.

    Parameters
    ----------
    store : Store
        The cache.
    kind : str
        What it is.
    model : VisionModel
        The network.
    parts : tuple
        What else it depends on.
    """

    def __init__(self, store: Store, kind: str, model: VisionModel, parts: tuple[Any, ...]) -> None:
        self._store, self._kind, self._model, self._parts = store, kind, model, parts
        self._key()  # refuses what has no value

    def find(self) -> Entry | None:
        """Find the record.

        Returns
        -------
        Entry or None
            What was kept.
        """
        key = self._key()
        return None if key is None else self._store.get(key)

    def keep(self, told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], provenance: Provenance) -> None:
        """Keep the record, unless it is that of a network which changed meanwhile, or answers at random.

        Parameters
        ----------
        told : mapping
            What JSON can say of it.
        arrays : mapping of str to ndarray
            The rest.
        provenance : Provenance
            What made it.
        """
        if provenance.changed or provenance.fingerprint != self._model.fingerprint():
            return
        if provenance.wobble:
            self._store.decline(self._model.name, "the network answers differently each time")
            return
        key = self._key()  # of the precision that it was computed in
        if key is not None:
            self._store.put(self._kind, [(key, Entry(told, arrays))])

    def _key(self) -> str | None:
        made_with = model_key(self._store, self._model)
        return None if made_with is None else digest_of(self._kind, made_with, *self._parts)


def place_of(kind: str, model: VisionModel, method: Any, *parts: Any) -> Place | None:
    """Find out where a record is kept.

    Parameters
    ----------
    kind : str
        What it is.
    model : VisionModel
        The network.
    method : object
        The method.
    *parts : object
        What else it depends on.

    Returns
    -------
    Place or None
        None where there is no cache in use, or the record has no key.

    Warns
    -----
    UserWarning
        If there is a cache, and the record has no key since something in the method compares by identity.
    """
    store = active()
    if store is None:
        return None
    try:
        return Place(store, kind, model, (method, *parts))
    except UncacheableError as error:
        store.decline(f"{type(method).__name__} is not kept", str(error))
        return None


def rows_of(kind: str, model: VisionModel, *parts: Any, store: Store | None = None) -> Rows:
    """Find out what is kept of single photos.

    Parameters
    ----------
    kind : str
        What it is.
    model : VisionModel
        The network.
    *parts : object
        What else it depends on, but for the photo.
    store : Store, optional
        A cache of the caller's own, for as long as a run takes; by default the one in use.

    Returns
    -------
    Rows
        They find and keep nothing where there is no cache in use, or there is no key.

    Warns
    -----
    UserWarning
        If there is a cache, and something compares by identity.
    """
    store = active() if store is None else store
    if store is None:
        return Rows(None, kind)
    try:
        made_with, found = model_key(store, model), model.fingerprint()
        scope = digest_of(made_with, *parts)
        return Rows(None if made_with is None else store, kind, scope, same=lambda: model.fingerprint() == found)
    except UncacheableError as error:
        store.decline(f"{kind} of photos are not kept", str(error))
        return Rows(None, kind)
