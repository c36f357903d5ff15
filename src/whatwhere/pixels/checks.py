"""Checks of numbers that people write: sizes in pixels, means and deviations."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

_PER_CHANNEL = (1, 3)


def whole_number(value: Any, name: str) -> int:
    """Check a length in pixels.

    Parameters
    ----------
    value : int
        The length.
    name : str
        What error messages call it.

    Returns
    -------
    int
        The length.

    Raises
    ------
    TypeError
        If it is not a whole number.
    ValueError
        If it is below 1.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: wanted a whole number of pixels, got {value!r}.") from None
    if isinstance(value, bool | np.bool_) or number < 1:
        raise ValueError(f"{name}: wanted at least 1 pixel, got {value!r}.")
    return number


def pair(value: Any, name: str) -> tuple[int, int]:
    """Check a height and a width in pixels.

    Parameters
    ----------
    value : int or sequence of one or two ints
        Height and width; one number is a square.
    name : str
        What error messages call it.

    Returns
    -------
    tuple of two ints
        Height and width.

    Raises
    ------
    TypeError
        If these are not whole numbers.
    ValueError
        If there are not one or two, or one is below 1.
    """
    if isinstance(value, str | bytes):
        raise TypeError(f"{name}: wanted (height, width) in pixels, got {value!r}.")
    sizes = [value] if np.ndim(value) == 0 else list(value)
    if len(sizes) not in (1, 2):
        raise ValueError(f"{name}: wanted (height, width) in pixels, got {value!r}.")
    height, width = (whole_number(size, name) for size in (sizes[0], sizes[-1]))
    return height, width


def colours(value: Any, name: str) -> tuple[float, ...]:
    """Check one number per channel.

    Parameters
    ----------
    value : sequence of three floats, or of one
        RGB, or grey.
    name : str
        What error messages call it.

    Returns
    -------
    tuple of floats
        The numbers.

    Raises
    ------
    TypeError
        If it is no sequence of numbers.
    ValueError
        If there are not one or three, or one is NaN or infinite.
    """
    try:
        numbers = tuple(float(number) for number in value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name}: wanted three numbers, (r, g, b), or (grey,) for a network of grey images, got {value!r}."
        ) from None
    if len(numbers) not in _PER_CHANNEL or not np.isfinite(numbers).all():
        raise ValueError(f"{name}: wanted three finite numbers, or one for a network of grey images, got {numbers}.")
    return numbers
