"""Banks in files: one safetensors file, whose arrays are the bank's and whose header says the rest as JSON.

The format is open: any reader of safetensors sees the arrays by name. Nothing in it is ever executed.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from whatwhere.classes import ClassNames
from whatwhere.concepts import extractors
from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.concept_crop import ConceptCrop
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.quality import Quality
from whatwhere.nets.layers import LayerInfo
from whatwhere.provenance import Provenance
from whatwhere.recording import broken, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_RECORD, _VERSION = "ConceptBank", 1
_ARRAYS = ("W", "importance", "predictions", "codes", "logits", "contributions", "residuals", "bases", "gaps")
_OPTIONAL = ("contribution", "importance_error", "offset", "effects")
_ENCODER = "encoder."
_PLAIN = ("importance_method", "ids", "target", "affine", "images", "parent", "complete")
_WORDS = ("labels", "notes")  # files of before have none
_MARKS = ("hidden", "pinned", "refits", "groups")  # likewise


def save(bank: ConceptBank, path: str | Path) -> None:
    """Write a bank to a file, all or nothing.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    path : path
        Where to.

    Raises
    ------
    ValueError
        If its extractor is of the caller's own making.
    """
    write_record(path, _RECORD, _VERSION, *as_parts(bank))


def as_parts(bank: ConceptBank) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Take a bank apart.

    Parameters
    ----------
    bank : ConceptBank
        The bank.

    Returns
    -------
    told : dict of str to object
        What JSON can say of it.
    arrays : dict of str to ndarray
        The rest, but for its photos.

    Raises
    ------
    ValueError
        If its extractor is of the caller's own making.
    """
    arrays = {name: getattr(bank, name) for name in (*_ARRAYS, *_OPTIONAL) if getattr(bank, name) is not None}
    arrays |= {f"{_ENCODER}{name}": values for name, values in bank.encoder.items()}
    told: dict[str, Any] = {name: getattr(bank, name) for name in (*_PLAIN, *_MARKS)}
    told |= {"layer": asdict(bank.layer), "quality": asdict(bank.quality), "provenance": asdict(bank.provenance)}
    told |= {"class_names": list(bank.class_names), "method": _method_as_json(bank.method)}
    told |= {name: {str(k): text for k, text in getattr(bank, name).items()} for name in _WORDS}
    told["unreadable"] = dict(bank.unreadable)
    told["crops"], pictures = _crops_as_json(bank)
    return told, arrays | pictures


def load(path: str | Path) -> ConceptBank:
    """Read a bank from a file.

    Parameters
    ----------
    path : path
        A file that `save` has written.

    Returns
    -------
    ConceptBank
        The same bank, but for its photos.

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


def from_parts(told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> ConceptBank:
    """Put a bank together.

    Parameters
    ----------
    told : mapping of str to object
        What `as_parts` has told.
    arrays : mapping of str to ndarray
        The rest.

    Returns
    -------
    ConceptBank
        The same bank, but for its photos.
    """
    options = dict(told["method"])
    if isinstance(options["extractor"], dict):
        kind = extractors.EXTRACTORS[options["extractor"]["kind"]]
        options["extractor"] = kind(**options["extractor"]["options"])
    plain: dict[str, Any] = {name: told[name] for name in _PLAIN}
    plain |= {name: arrays[name] for name in _ARRAYS} | {name: arrays.get(name) for name in _OPTIONAL}
    plain |= {name: tuple(told[name]) for name in ("ids", "images")}
    plain["parent"] = None if told["parent"] is None else tuple(told["parent"])
    plain |= {name: {int(k): text for k, text in told.get(name, {}).items()} for name in _WORDS}
    plain["unreadable"] = told.get("unreadable", {})  # files of before have none
    plain |= {name: tuple(told.get(name, ())) for name in _MARKS}
    plain["groups"] = tuple(map(tuple, plain["groups"]))
    quality = told["quality"] | {"dead": tuple(told["quality"]["dead"])}
    quality["duplicates"] = tuple(tuple(group) for group in quality["duplicates"])
    layer = told["layer"] | {"shape": tuple(told["layer"]["shape"])}
    layer["grid"] = None if layer["grid"] is None else tuple(layer["grid"])
    return ConceptBank(
        **plain,
        encoder={n.removeprefix(_ENCODER): values for n, values in arrays.items() if n.startswith(_ENCODER)},
        quality=Quality(**quality),
        method=Craft(**options),
        provenance=Provenance(**told["provenance"]),
        layer=LayerInfo(**layer),
        class_names=ClassNames(told["class_names"]),
        crops=tuple(
            tuple(
                ConceptCrop(crop["image"], tuple(crop["box"]), crop["activation"], arrays[f"crop.{k}.{j}"])
                for j, crop in enumerate(crops)
            )
            for k, crops in enumerate(told["crops"])
        ),
    )


def _method_as_json(method: Craft) -> dict[str, Any]:
    told = {option.name: getattr(method, option.name) for option in fields(method)}
    own = told["extractor"]
    if own is not None:
        if type(own) not in extractors.EXTRACTORS.values():
            raise ValueError(
                f"method: wanted one of the extractors {list(extractors.EXTRACTORS)}, got {own!r}: files hold no code, "
                "so that nobody could read it back. Save bank.W and bank.codes by np.savez."
            )
        told["extractor"] = {"kind": own.name, "options": asdict(own)}
    return told


def _crops_as_json(bank: ConceptBank) -> tuple[list[list[dict[str, Any]]], dict[str, NDArray[np.uint8]]]:
    told: list[list[dict[str, Any]]] = []
    pictures: dict[str, NDArray[np.uint8]] = {}
    for k, crops in enumerate(bank.crops):
        told.append([{"image": c.image, "box": c.box, "activation": c.activation} for c in crops])
        pictures |= {f"crop.{k}.{j}": crop.picture for j, crop in enumerate(crops)}
    return told, pictures
