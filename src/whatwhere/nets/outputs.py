"""What a network returns, read as one row of numbers an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

#: Where the numbers are in what a network returns: a key, a position, or a function of it.
OutputLike: TypeAlias = str | int | Callable[[Any], Tensor] | None

_ROWS, _TABLE = 1, 2


def read_output(out: Any, output: OutputLike, images: int) -> Tensor:
    """Read a network's output as one row of numbers an image.

    Parameters
    ----------
    out : object
        What the network returned: a tensor, a Hugging Face ``ModelOutput``, a tuple, a mapping.
    output : str, int, callable or None
        A mapping's key or an attribute, a tuple's position, or a function that returns a tensor. None takes a tensor as
        it is, and ``logits`` of whatever has it.
    images : int
        Number of images that went in.

    Returns
    -------
    Tensor of shape (images, K)
        One column a class; a network with one number an image gives K = 1.

    Raises
    ------
    ValueError
        If there is no such key or position, or the shape is another; the message lists what there is.
    TypeError
        If what is found is no tensor.
    """
    found = _pick(out, output)
    if not isinstance(found, Tensor):
        raise TypeError(f"output: wanted a tensor (images, classes), got {_describe(found)}. {_ADVICE}")
    if found.ndim == _ROWS and len(found) == images:
        found = found.unsqueeze(1)
    if found.ndim != _TABLE or len(found) != images or not found.shape[1]:
        raise ValueError(
            f"output: wanted shape ({images}, classes) for {images} images, got {tuple(found.shape)}. "
            "Give output= a function that makes one row of numbers an image, for example "
            "output=lambda out: out.mean((2, 3)) for a map a class."
        )
    return found


_ADVICE = (
    "Say where the logits are: output='logits' for a mapping's key or an attribute, output=0 for a position, "
    "or output=a function of what the network returns."
)


def _pick(out: Any, output: OutputLike) -> Any:
    if callable(output):
        return output(out)
    if output is None:
        return out if isinstance(out, Tensor) else _logits(out)
    if isinstance(output, str):
        if isinstance(out, Mapping) and output in out:
            return out[output]
        if hasattr(out, output):
            return getattr(out, output)
        raise ValueError(f"output: the network's output has no {output!r}, it is {_describe(out)}.")
    try:
        return tuple(out.values())[output] if isinstance(out, Mapping) else out[output]
    except (IndexError, TypeError, KeyError):
        raise ValueError(f"output: the network's output has no position {output}, it is {_describe(out)}.") from None


def _logits(out: Any) -> Any:
    if isinstance(out, Mapping) and "logits" in out:
        return out["logits"]
    if hasattr(out, "logits"):
        return out.logits
    raise ValueError(f"output: the network returns {_describe(out)}, not a tensor. {_ADVICE}")


def _describe(out: Any) -> str:
    if isinstance(out, Tensor):
        return f"a tensor {tuple(out.shape)}"
    if isinstance(out, Mapping):
        return f"{type(out).__name__} with the keys {list(out)}"
    if isinstance(out, tuple | list):
        return f"{type(out).__name__} of {len(out)}: {', '.join(_describe(part) for part in out[:4])}"
    return f"{type(out).__module__}.{type(out).__qualname__}"


def probabilities(logits: Tensor) -> Tensor:
    """Turn logits into probabilities: the softmax, or the sigmoid where there is one logit.

    Parameters
    ----------
    logits : Tensor of shape (N, K)
        Logits.

    Returns
    -------
    Tensor of shape (N, K), float32
        Values in [0, 1].
    """
    return torch.sigmoid(logits.float()) if logits.shape[-1] == 1 else logits.float().softmax(-1)
