"""Prototypes in files: one safetensors file, whose arrays are the record's and whose header says the rest as JSON."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from whatwhere.prototypes.accentuation import Accentuation
from whatwhere.prototypes.fourier import FourierVisualization
from whatwhere.prototypes.maco import Maco
from whatwhere.prototypes.record import Prototype
from whatwhere.prototypes.spectrum import Law, Spectrum
from whatwhere.prototypes.stopping import Plateau
from whatwhere.provenance import Provenance
from whatwhere.recording import broken, read_record, write_record
from whatwhere.targets import from_told

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from whatwhere.prototypes._method import Method

_RECORD, _VERSION = "Prototype", 1
_ARRAYS = ("image", "alpha", "trace", "spread", "frames", "frame_steps")
_PERHAPS = ("seed_image", "distance")
_METHODS: dict[str, Any] = {kind.__name__: kind for kind in (Maco, FourierVisualization, Accentuation)}
_PLAIN = ("label", "layers", "told", "seed", "before", "after", "ended", "spectrum", "n_forwards", "complete")
_MAGNITUDE = "method.spectrum"


def save(prototype: Prototype, path: str | Path) -> None:
    """Write a prototype to a file, all or nothing.

    Parameters
    ----------
    prototype : Prototype
        The prototype.
    path : path
        Where to.

    Raises
    ------
    ValueError
        If its stop rule is of the caller's own making.
    """
    write_record(path, _RECORD, _VERSION, *as_parts(prototype))


def as_parts(prototype: Prototype) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Take a prototype apart.

    Parameters
    ----------
    prototype : Prototype
        The prototype.

    Returns
    -------
    told : dict of str to object
        What JSON can say of it.
    arrays : dict of str to ndarray
        The rest.

    Raises
    ------
    ValueError
        If its stop rule is of the caller's own making.
    """
    arrays = {name: getattr(prototype, name) for name in _ARRAYS}
    arrays |= {name: getattr(prototype, name) for name in _PERHAPS if getattr(prototype, name) is not None}
    told: dict[str, Any] = {name: getattr(prototype, name) for name in _PLAIN}
    told |= {"photo": prototype.photo, "notes": prototype.notes}
    told["provenance"] = asdict(prototype.provenance)
    told["method"], magnitude = _method_as_json(prototype.method)
    return told, arrays | magnitude


def load(path: str | Path) -> Prototype:
    """Read a prototype from a file.

    Parameters
    ----------
    path : path
        A file that `save` has written.

    Returns
    -------
    Prototype
        The same; its target is None where a picture would be needed, which is not saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is of another kind, broken, or from a newer version.
    """
    told, arrays = read_record(path, _RECORD, _VERSION)
    try:
        return from_parts(told, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise broken(path, _RECORD, error) from error


def from_parts(told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Prototype:
    """Put a prototype together.

    Parameters
    ----------
    told : mapping of str to object
        What `as_parts` has told.
    arrays : mapping of str to ndarray
        The rest.

    Returns
    -------
    Prototype
        The same; its target is None where a picture would be needed.
    """
    plain: dict[str, Any] = {name: told[name] for name in _PLAIN}
    plain |= {name: arrays[name] for name in _ARRAYS} | {name: arrays.get(name) for name in _PERHAPS}
    plain |= {"layers": tuple(told["layers"]), "photo": told.get("photo", ""), "notes": tuple(told.get("notes", ()))}
    return Prototype(
        **plain,
        target=from_told(told["told"]),
        method=_method_from_json(told["method"], arrays),
        provenance=Provenance(**told["provenance"]),
    )


def _method_as_json(method: Method) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    told: dict[str, Any] = {option.name: getattr(method, option.name) for option in fields(method)}  # type: ignore[arg-type]  # every method is a dataclass
    if type(method).__name__ not in _METHODS:
        raise ValueError(f"method: wanted one of {list(_METHODS)}, got {method!r}: files hold no code.")
    told["kind"] = type(method).__name__
    arrays = {}
    if told["until"] is not None:
        if type(told["until"]) is not Plateau:
            raise ValueError(f"until: wanted Plateau or None, got {told['until']!r}: files hold no code.")
        told["until"] = asdict(told["until"])
    spectrum = told.get("spectrum")
    if isinstance(spectrum, Law):
        told["spectrum"] = {"law": asdict(spectrum)}
    elif isinstance(spectrum, Spectrum):
        about = {f.name: getattr(spectrum, f.name) for f in fields(spectrum) if f.name != "magnitude"}
        told["spectrum"], arrays[_MAGNITUDE] = {"about": about}, spectrum.magnitude
    return told, arrays


def _method_from_json(told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Method:
    options: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    kind = _METHODS[options.pop("kind", "Maco")]
    if options["until"] is not None:
        options["until"] = Plateau(**options["until"])
    spectrum = options.get("spectrum")
    if isinstance(spectrum, dict) and "law" in spectrum:
        numbers: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in spectrum["law"].items()
        }
        options["spectrum"] = Law(**numbers)
    elif isinstance(spectrum, dict):
        options["spectrum"] = Spectrum(arrays[_MAGNITUDE], **spectrum["about"])
    made: Method = kind(**options)
    return made
