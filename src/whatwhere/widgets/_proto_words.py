"""Prototypes in words and numbers, as the browser is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.concepts.palette import hue_of, letter_of
from whatwhere.targets import Channel, ClassScore, Concept, Direction, Inversion, Neuron, Sum
from whatwhere.widgets._planes import rounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from whatwhere.prototypes.examples import Examples
    from whatwhere.prototypes.record import Prototype
    from whatwhere.targets import Target

_POINTS, _ALL_POINTS = 64, 640  # of a trace, and of all
_VALUES = 240  # of the photos


def describe_prototype(prototype: Prototype, group: int, count: int) -> dict[str, Any]:
    """Say what there is to say of a prototype.

    Parameters
    ----------
    prototype : Prototype
        The prototype.
    group : int
        Number of its target.
    count : int
        How many prototypes there are.

    Returns
    -------
    dict
        An entry of ``_protos`` on the wire.
    """
    target, method = prototype.target, prototype.method
    concept = concept_of(prototype)
    steps, trace = _points(prototype.trace, max(16, min(_POINTS, _ALL_POINTS // count)))
    return {
        "label": name_of(prototype),
        "group": group,
        "variant": f"{prototype.photo}, seed {prototype.seed}" if prototype.photo else f"seed {prototype.seed}",
        "layers": list(prototype.layers),
        "size": list(prototype.size),
        "steps": prototype.steps,
        "wanted": int(getattr(method, "steps", prototype.steps)),
        "before": _number(prototype.before),
        "after": _number(prototype.after),
        "crops": [_number(prototype.trace[-1]), _number(prototype.spread[-1])] if prototype.steps else None,
        "trace": trace,
        "trace_steps": steps,
        "concept": concept,
        "letter": "" if concept is None else letter_of(concept),
        "hue": "" if concept is None else hue_of(concept),
        "class_id": class_of(prototype),
        "unit": "logit" if isinstance(target, ClassScore) else "objective",
        "seeded": prototype.seed_image is not None,
        "complete": prototype.complete,
        "caveats": prototype.caveats(),
        "about": about(prototype),
        "code": code_of(prototype),
    }


def name_of(prototype: Prototype) -> str:
    """Return what a prototype is called: concepts that nobody named go by their letter, as in the other views.

    Parameters
    ----------
    prototype : Prototype
        The prototype.

    Returns
    -------
    str
        For example ``"tench"`` or ``"concept B"``.
    """
    concept, target = concept_of(prototype), prototype.target
    if concept is None or not isinstance(target, Concept):
        return prototype.label
    name: str = target.bank.labels.get(concept) or f"concept {letter_of(concept)}"
    return name


def describe_examples(examples: Examples | None, reason: str, tiles: list[tuple[int, int | None]]) -> dict[str, Any]:
    """Say which photos excite a target.

    Parameters
    ----------
    examples : Examples or None
        The photos.
    reason : str
        Why there are none.
    tiles : list of (int, int or None)
        For each of those that are shown, where its photo and its crop are in the sprite.

    Returns
    -------
    dict
        An entry of ``_examples`` on the wire.
    """
    if examples is None:
        return {"reason": reason, "count": 0, "complete": False, "values": [], "top": [], "caveats": []}
    sound = np.sort(examples.values[np.isfinite(examples.values)])
    if len(sound) > _VALUES:
        sound = sound[np.linspace(0, len(sound) - 1, _VALUES).round().astype(int)]
    return {
        "reason": "",
        "count": len(examples.values),
        "complete": examples.complete,
        "values": rounded(sound),
        "top": [
            {
                "image": each.image,
                "value": _number(each.value),
                "peak": _number(each.peak),
                "window": _shares(each.window, each.picture.shape),
                "photo": photo,
                "crop": crop,
            }
            for each, (photo, crop) in zip(examples.top, tiles, strict=False)
        ],
        "caveats": examples.caveats(),
    }


def concept_of(prototype: Prototype) -> int | None:
    """Return the id of the concept that a prototype is of.

    Parameters
    ----------
    prototype : Prototype
        The prototype.

    Returns
    -------
    int or None
        The id in its bank.
    """
    target = prototype.target
    return int(target.bank.ids[target.k]) if isinstance(target, Concept) else None


def class_of(prototype: Prototype) -> int | None:
    """Return the id of the class that a prototype is of.

    Parameters
    ----------
    prototype : Prototype
        The prototype.

    Returns
    -------
    int or None
        The id.
    """
    target = prototype.target
    return target.target if isinstance(target, ClassScore) and isinstance(target.target, int) else None


def about(prototype: Prototype) -> list[list[str]]:
    """Say how a prototype was made.

    Parameters
    ----------
    prototype : Prototype
        The prototype.

    Returns
    -------
    list of [str, str]
        Label and text.
    """
    made, method = prototype.provenance, prototype.method
    height, width = prototype.size
    wanted, crops = getattr(method, "steps", prototype.steps), getattr(method, "crops", None)
    done = f"{prototype.steps:,} of {wanted:,} steps" if prototype.steps < wanted else f"{prototype.steps:,} steps"
    told = [
        ["Method", f"{type(method).__name__}: {done}" + (f" of {crops} crops" if crops else "")],
        ["Excites", _excites(prototype)],
        ["Reads", ", ".join(prototype.layers) or "the logits"],
        ["Options", repr(_alone(prototype))],
        ["Magnitudes", prototype.spectrum],
        ["Picture", f"{height} x {width} pixels; {_drawn_how(prototype)}"],
        ["Seed", str(prototype.seed)],
    ]
    if prototype.seed_image is not None:
        told.append(["Photo", prototype.photo or "not named"])
    if prototype.distance is not None and prototype.steps:
        held = f"in {getattr(method, 'layer', None)}, weight {getattr(method, 'weight', 0):g}"
        told.append(["Held near it", f"{held}; {prototype.distance[-1]:.3g} away at the last step"])
    if prototype.before is not None and prototype.after is not None:
        told.append(["Whole picture", f"{prototype.before:.4g} before, {prototype.after:.4g} after"])
    told += [
        ["Passes", f"{prototype.n_forwards:,} forward, as many back"],
        ["Time", f"{made.seconds:.1f} s on {made.device} for the whole call, {made.net_seconds:.1f} s in the network"],
        ["Network runs in", made.plan],
        ["Model", f"{made.model}, weights {made.fingerprint}"],
        ["whatwhere", made.version],
    ]
    return told + [["Caution", text] for text in prototype.caveats()]


def _excites(prototype: Prototype) -> str:
    target = prototype.target
    if isinstance(target, Concept):
        return f"{name_of(prototype)}, number {target.k} of the concepts of {target.bank.target_name}"
    return prototype.label


def _drawn_how(prototype: Prototype) -> str:
    if prototype.seed_image is not None:
        return "drawn as it is, so that it compares with the photo"
    return "drawn with its values stretched, one hundredth clipped at either end"


def _alone(prototype: Prototype) -> Any:
    """Return the method with this prototype's seed alone."""
    method: Any = prototype.method
    return replace(method, seed=prototype.seed) if hasattr(method, "seed") else method


def code_of(prototype: Prototype) -> str:
    """Write the Python lines that make the same.

    Parameters
    ----------
    prototype : Prototype
        The prototype.

    Returns
    -------
    str
        Lines of Python.
    """
    model = prototype.provenance.source or "model"
    lines = [f"model = {model}"] if model != "model" else []
    given = "model, photo" if prototype.seed_image is not None else "model"
    lines += [f"prototype = ww.{_alone(prototype)!r}.run({given}, {_target_code(prototype.target, prototype.told)})"]
    return "\n".join([*lines, "ww.PrototypeView(prototype, model=model, images=photos)"])


def _target_code(target: Target | None, told: Mapping[str, Any]) -> str:
    """Write a target as Python does; `bank`, `vector` and `photo` stand for what the reader has."""
    if isinstance(target, Sum):
        parts = [(weight, _target_code(part, {})) for weight, part in target.parts]
        return " + ".join(f"{weight:g} * {_as_target(code)}" for weight, code in parts)
    if isinstance(target, ClassScore):
        return repr(target.name or target.target)
    return (
        f"ww.targets.{type(target).__name__ if target is not None else told.get('kind')}({', '.join(_options(target))})"
    )


def _options(target: Target | None) -> list[str]:
    if isinstance(target, Neuron):
        at = f"row={target.row}, column={target.column}" if target.token is None else f"token={target.token}"
        return [repr(target.layer), str(target.index), at]
    if isinstance(target, Channel):
        return [repr(target.layer), str(target.index)]
    if isinstance(target, Concept):
        return ["bank", str(target.k)]
    if isinstance(target, Direction | Inversion):
        return [repr(target.layer), "vector" if isinstance(target, Direction) else "photo"]
    return ["…"]


def _as_target(code: str) -> str:
    return code if code.startswith("ww.") else f"ww.targets.ClassScore({code})"


def _points(trace: NDArray[np.float32], count: int) -> tuple[list[int], list[float | None]]:
    """Thin a trace out, keeping its ends; with the steps that its points are of."""
    steps = np.unique(np.linspace(0, max(0, len(trace) - 1), min(count, len(trace))).round().astype(int))
    return steps.tolist(), rounded(trace[steps]) if len(trace) else []


def _number(value: float | None) -> float | None:
    return None if value is None else rounded([value])[0]


def _shares(window: tuple[int, int, int, int], shape: tuple[int, ...]) -> list[float]:
    """Return a window as shares of a picture: left, top, right, bottom."""
    top, left, bottom, right = window
    return [round(k, 4) for k in (left / shape[1], top / shape[0], right / shape[1], bottom / shape[0])]
