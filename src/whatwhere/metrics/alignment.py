"""Which classes a concept speaks for, where the rest of the network is affine.

Behind such a layer the logit of class c is theta_c . a + b_c for pooled activations a. An atom w_k of the bank then
points towards some classes more than towards others (its cosine with theta_c), and moves their logits by its code times
w_k . theta_c. The cosine knows neither how strong a concept is nor how strong a class's weights are; the effect knows
both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from whatwhere.engine._checks import integer, numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_MATRIX = 2


class CloseClass(NamedTuple):
    """A class and how much a concept speaks for it.

    Parameters
    ----------
    id : int
        The class.
    value : float
        Cosine or effect, whatever was ranked.
    """

    id: int
    value: float


def head_alignment(bank: ArrayLike, theta: ArrayLike) -> NDArray[np.float64]:
    """Return the cosine of every atom with every class's weights.

    Parameters
    ----------
    bank : array_like of shape (r, p)
        W.
    theta : array_like of shape (K, p)
        Weights of the affine head, such as `whatwhere.nets.head.AffineHead.weights`.

    Returns
    -------
    ndarray of shape (r, K), float64
        From -1 to 1: 1 if the atom points as the class's weights do, 0 if it leaves the logit alone, below 0 if it
        speaks against the class. 0 for an atom or a class of zeros.

    Raises
    ------
    TypeError, ValueError
        If an argument is no finite matrix, or the numbers of columns differ.

    Notes
    -----
    Atoms that are at least 0 all share a direction, as do the classes' weights, so cosines of some 0.1 are common:
    compare them with one another.
    """
    w, heads = _pair(bank, theta)
    return np.clip(_units(w) @ _units(heads).T, -1, 1)  # beyond it there is rounding only


def logit_effect(bank: ArrayLike, theta: ArrayLike, codes: ArrayLike) -> NDArray[np.float64]:
    """Return how much of every class's mean logit each concept makes up.

    Parameters
    ----------
    bank : array_like of shape (r, p)
        W.
    theta : array_like of shape (K, p)
        Weights of the affine head.
    codes : array_like of shape (n, r)
        U of pooled activations, or pooled codes; at least one row.

    Returns
    -------
    ndarray of shape (r, K), float64
        Mean code times w_k . theta_c, in logits: 0 if the class's logit would be the same without the concept, 1 if it
        would be 1 lower. Over concepts they add up to the mean logit of the reconstructions less the bias.

    Raises
    ------
    TypeError, ValueError
        If an argument is no finite matrix, or the shapes do not fit together.
    """
    w, heads = _pair(bank, theta)
    u = numbers("codes", codes)
    if u.ndim != _MATRIX or not len(u) or u.shape[1] != len(w):
        raise ValueError(f"codes: wanted shape (n, r) with r = {len(w)} atoms as the bank has, got {u.shape}.")
    return u.mean(axis=0)[:, np.newaxis] * (w @ heads.T)


def closest_classes(values: ArrayLike, count: int = 5) -> list[list[CloseClass]]:
    """Return the classes with the largest values for each concept.

    Parameters
    ----------
    values : array_like of shape (r, K)
        What `head_alignment` or `logit_effect` returns.
    count : int, default 5
        Classes wanted, at least 1; fewer if there are fewer.

    Returns
    -------
    list of list of CloseClass
        For each concept its classes, the largest value first and, of equal ones, the smallest id. Empty for a concept
        that is 0 for every class, such as a dead atom: none is closer than another.

    Raises
    ------
    TypeError, ValueError
        If `values` is no finite matrix, or `count` no integer of at least 1.

    Examples
    --------
    >>> closest_classes([[0.1, 0.7, 0.2], [0.0, 0.0, 0.0]], 2)
    [[CloseClass(id=1, value=0.7), CloseClass(id=2, value=0.2)], []]
    """
    table = _matrix("values", values)
    order = np.argsort(-table, axis=1, kind="stable")[:, : integer("count", count, 1)]
    return [
        [CloseClass(int(c), float(row[c])) for c in classes] if row.any() else []
        for row, classes in zip(table, order, strict=True)
    ]


def _matrix(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = numbers(name, values)
    if array.ndim != _MATRIX or not array.size:
        raise ValueError(f"{name}: wanted a matrix with at least one row and column, got shape {array.shape}.")
    return array


def _pair(bank: ArrayLike, theta: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    w, heads = _matrix("bank", bank), _matrix("theta", theta)
    if w.shape[1] != heads.shape[1]:
        raise ValueError(f"theta: wanted {w.shape[1]} columns as the bank has, got shape {heads.shape}.")
    return w, heads


def _units(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scaled = rows / np.where(largest > 0, largest, 1)  # squares of tiny numbers would vanish
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    return scaled / np.where(lengths > 0, lengths, 1)
