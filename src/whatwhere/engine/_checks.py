"""Checks at the border of the statistics: what is wrong, in which argument, and what came."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_LARGEST = 1e150  # the square of anything larger leaves float64
_MIN_ROWS, _MIN_COLUMNS = 2, 2
_MATRIX = 2


def numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return an array of finite numbers as float64."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: wanted an array of real numbers, got dtype {array.dtype}; convert it to float32.")
    array = array.astype(np.float64, copy=False)
    if array.size and not np.abs(array).max() <= _LARGEST:  # also catches NaN
        bad = ~(np.abs(array) <= _LARGEST)
        place = tuple(int(k) for k in np.argwhere(bad)[0])
        raise ValueError(
            f"{name}: wanted finite numbers of at most {_LARGEST:g} in size, got {array[place]} at {place}, "
            f"{int(bad.sum())} such of {array.size}; drop those rows or repair what made them."
        )
    return array


def design_scores(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the scores of a design as float64: (rows, groups + 1), two rows and one group at least, finite."""
    array = numbers("scores", scores)
    if array.ndim != _MATRIX or array.shape[0] < _MIN_ROWS or array.shape[1] < _MIN_COLUMNS:
        raise ValueError(
            "scores: wanted shape (rows, groups + 1), f(A) in the first column, with at least 2 rows and 2 columns, "
            f"got {array.shape}."
        )
    return array


def shaped(name: str, values: ArrayLike, shape: tuple[int, ...], meaning: str) -> NDArray[np.float64]:
    """Return an array of finite numbers of one shape; `meaning` names its axes."""
    array = numbers(name, values)
    if array.shape != shape:
        raise ValueError(f"{name}: wanted shape {meaning} = {shape}, got {array.shape}.")
    return array


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return an integer within bounds, both included."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: wanted an integer, got {type(value).__name__} {value!r}.") from None
    if number < low or (high is not None and number > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}: wanted an integer {bounds}, got {number}.")
    return number


def between(name: str, value: Any, low: float, high: float) -> float:
    """Return a real number strictly between two bounds."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: wanted a number, got {type(value).__name__} {value!r}.") from None
    if not low < number < high:
        raise ValueError(f"{name}: wanted a number above {low:g} and below {high:g}, got {number:g}.")
    return number
