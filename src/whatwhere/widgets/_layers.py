"""Other readings of the stored logits than the map that is always there: first order, sign, other scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from whatwhere.widgets._view import WIRE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from whatwhere.attribution import Attribution, Sobol

#: The method's own score, where that is a function.
OWN: Final = "own"

_UNITS = {"logit": "logits", "softmax": "of probability", "log_softmax": "of log-probability", "margin": "logits"}
_NO_FIRST = "First order needs one more forward a row: Sobol(first_order=True)"
_SPARE = 10.0  # an error that cannot be known, in maxima of the map


def own_score(method: Sobol) -> str:
    """Return the name of a method's score.

    Parameters
    ----------
    method : Sobol
        The method.

    Returns
    -------
    str
        One of the four scores, or ``"own"`` for a function.
    """
    return method.score if isinstance(method.score, str) else OWN


def missing(method: Sobol) -> dict[str, str]:
    """Say which layers a method's records do not have.

    Parameters
    ----------
    method : Sobol
        The method.

    Returns
    -------
    dict
        The reason by the name of the layer.
    """
    return {} if method.first_order else {"first": _NO_FIRST}


def missing_in_all(methods: Iterable[Sobol]) -> dict[str, str]:
    """Say which layers none of several methods' records has.

    Parameters
    ----------
    methods : iterable of Sobol
        At least one.

    Returns
    -------
    dict
        The reason by the name of the layer.
    """
    first, *others = (missing(each) for each in methods)
    return {name: reason for name, reason in first.items() if all(name in other for other in others)}


def read_layer(record: Attribution, class_id: int, index: str, score: str) -> tuple[dict[str, Any], bytes]:
    """Read one layer of a class off a record, without a forward pass.

    Parameters
    ----------
    record : Attribution
        The record.
    class_id : int
        The class.
    index : {"total", "first", "slope"}
        The index.
    score : str
        One of the four scores, or ``"own"``.

    Returns
    -------
    meta : dict
        What the browser has to know of it (see ``wire.ts``).
    plane : bytes
        Values, then standard errors, as ``encode_plane`` writes them.

    Raises
    ------
    ValueError
        If an option is not known, or the record has no first-order indices.
    DroppedClassError
        If the class's logits were dropped to save memory.
    """
    kind = None if score == OWN else score
    values = record.values(class_id, kind=index, score=kind)  # type: ignore[arg-type]  # it says what it wants
    errors = record.standard_error(class_id, kind=index, score=kind)  # type: ignore[arg-type]  # as above
    scale, plane = encode_plane(values, errors)
    slope_unit = _UNITS.get(own_score(record.method) if score == OWN else score, "of the score")
    meta = {
        "id": class_id,
        "index": index,
        "score": score,
        **scale,
        "flat": record.is_flat(class_id, score=kind),
        "agreement": record.agreement(class_id, score=kind) if index == "total" else None,
        "unit": slope_unit if index == "slope" else "of the variance",
    }
    return meta, plane


def encode_plane(values: NDArray[np.float32], errors: NDArray[np.float32]) -> tuple[dict[str, float], bytes]:
    """Encode a map in 16 bits a number.

    Parameters
    ----------
    values : ndarray of float32
        Values of any sign.
    errors : ndarray of float32
        Their standard errors; those that cannot be known are sent as far above the map's maximum.

    Returns
    -------
    scale : dict
        ``min`` and ``max``, between which the values lie, and ``se_max``.
    plane : bytes
        Little-endian uint16: the values from ``min`` to ``max``, then the errors from 0 to ``se_max``.
    """
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    known = np.where(np.isfinite(errors), errors, _SPARE * max(high, -low))
    top = float(known.max())
    scale = {"min": low, "max": high, "se_max": top}
    return scale, to_levels(values - low, high - low) + to_levels(known, top)


def stored_layers(record: Attribution, class_ids: list[int]) -> Iterator[dict[str, Any]]:
    """Read the layers that an exported page holds beside the maps: all indices, and the total in all scores.

    Parameters
    ----------
    record : Attribution
        The record.
    class_ids : list of int
        The classes.

    Yields
    ------
    dict
        What the browser has to know of a layer, and its ``plane``.
    """
    own = own_score(record.method)
    wanted = [(index, own) for index in WIRE["indices"][1:] if index not in missing(record.method)]
    wanted += [("total", score) for score in WIRE["scores"] if score != own]
    for class_id in class_ids:
        for index, score in wanted:
            meta, plane = read_layer(record, class_id, index, score)
            yield {**meta, "plane": plane}


def to_levels(values: NDArray[np.float32], top: float) -> bytes:
    """Encode numbers from 0 to a largest one.

    Parameters
    ----------
    values : ndarray of float32
        The numbers.
    top : float
        The number that the highest level stands for.

    Returns
    -------
    bytes
        Little-endian uint16.
    """
    levels = values / top * WIRE["plane_levels"] if top > 0 else np.zeros_like(values)
    return np.round(levels).astype("<u2").tobytes()
