"""The methods of a view: one, or several side by side, and what they have made already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.attribution import Attribution, Sobol
from whatwhere.widgets._arrivals import free_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import Photo

_WANTED = "method: wanted a Sobol, records of one, or a dict or list of them"


@dataclass(frozen=True)
class Shown:
    """A method of a view.

    Parameters
    ----------
    method : Sobol
        The method.
    records : tuple of Attribution
        What it has made already.
    """

    method: Sobol
    records: tuple[Attribution, ...] = ()

    def record_of(self, photo: Photo) -> Attribution | None:
        """Find what the method has made of a photo.

        Parameters
        ----------
        photo : Photo
            A photo of the view.

        Returns
        -------
        Attribution or None
            Its record, if there is one.
        """
        return next((record for record in self.records if _same(record.photo, photo)), None)


def read_methods(method: Any) -> dict[str, Shown]:
    """Read what a person hands over as methods.

    Parameters
    ----------
    method : Sobol, Attribution, dict or sequence of them, or None
        Methods, or records of them; a dict names them, others are called after the options in which they differ.
        Records of equal methods belong together, so that what `Sobol.run` returns for several photos is one method.

    Returns
    -------
    dict of str to Shown
        At least one, in order.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If there is none, or the same method twice.
    """
    if method is None:
        return {"Sobol": Shown(Sobol())}
    named = _named(method)
    if not named:
        raise ValueError(f"{_WANTED}, got an empty one.")
    together: dict[Sobol, list[tuple[str, Attribution | None]]] = {}
    for name, each in named:
        if not isinstance(each, Sobol | Attribution):
            raise TypeError(f"{_WANTED}, got {type(each).__qualname__}.")
        made = each if isinstance(each, Attribution) else None
        group = together.setdefault(each if isinstance(each, Sobol) else each.method, [])
        if group and (made is None or group[0][1] is None):
            raise ValueError(f"method: wanted methods that differ, got {each!r} twice.")
        group.append((name, made))
    shown: dict[str, Shown] = {}
    for (each, group), called in zip(together.items(), _call_by_difference(list(together)), strict=True):
        name = group[0][0] if len(group) == 1 and group[0][0] else called
        shown[free_name(name, shown)] = Shown(each, tuple(made for _, made in group if made is not None))
    return shown


def check_records(shown: Iterable[Shown], photos: Iterable[Photo], model: VisionModel) -> None:
    """Check that records are of the view's photos and network.

    Parameters
    ----------
    shown : iterable of Shown
        Methods.
    photos : iterable of Photo
        The view's.
    model : VisionModel
        The view's.

    Raises
    ------
    ValueError
        If a record is of another photo, or of a network with other weights.
    """
    here = list(photos)
    for record in (record for each in shown for record in each.records):
        if not any(_same(record.photo, photo) for photo in here):
            down, across = record.photo.size
            raise ValueError(
                f"method: wanted records of the view's photos, got one of another photo, {down} x {across} pixels; "
                "give images the photo that it was made of."
            )
        if record.provenance.fingerprint != model.fingerprint():
            raise ValueError(
                f"model: its weights {model.fingerprint()} are not those that made the record, "
                f"{record.provenance.fingerprint}. Run the method again."
            )


def _named(method: Any) -> list[tuple[str, Any]]:
    if isinstance(method, Mapping):
        return [(str(name), each) for name, each in method.items()]
    if isinstance(method, Sequence) and not isinstance(method, str | bytes):
        return [("", each) for each in method]
    return [("", method)]


def _call_by_difference(methods: list[Sobol]) -> list[str]:
    """Name methods by the options in which they differ."""
    told = [_options(method) for method in methods]
    differing = [option for option in told[0] if any(each[option] != told[0][option] for each in told)]
    called = [", ".join(filter(None, (each[option] for option in differing))) for each in told]
    return [name or type(method).__name__ for name, method in zip(called, methods, strict=True)]


def _options(method: Sobol) -> dict[str, str]:
    """Write each option as a title says it; what is off is not said."""
    told = {
        option.name: _words(option.name.replace("_", " "), getattr(method, option.name)) for option in fields(method)
    }
    down, across = method.shape
    return {**told, "grid": f"grid {down}" if down == across else f"grid {down} x {across}"}


def _words(option: str, value: Any) -> str:
    if value is None or isinstance(value, bool):
        return option if value else ""
    return f"{option} {getattr(value, 'kind', None) or getattr(value, '__name__', value)}".replace("_", " ")


def _same(one: Photo, other: Photo) -> bool:
    return one is other or (one.prepared == other.prepared and np.array_equal(one.pixels, other.pixels))
