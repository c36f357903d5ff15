"""Functions of the unit cube whose indices are known in closed form, and the designs that sample them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pytest

from whatwhere.engine.sampling import base_matrices


class Design(NamedTuple):
    """Scores in the engine's layout, those of B, and both matrices of masks."""

    scores: np.ndarray
    b: np.ndarray
    masks_a: np.ndarray
    masks_b: np.ndarray


@dataclass(frozen=True)
class Known:
    """A function and its indices; `pairs` are superset importances."""

    function: object
    cells: int
    total: np.ndarray
    first: np.ndarray
    slope: np.ndarray
    pairs: dict = field(default_factory=dict)


def ishigami(u, a=7, b=0.1):
    x = (2 * u - 1) * np.pi
    return np.sin(x[:, 0]) + a * np.sin(x[:, 1]) ** 2 + b * x[:, 2] ** 4 * np.sin(x[:, 0])


G_COEFFICIENTS = np.array([0, 1, 4.5, 9, 99, 99, 99, 99])
WEIGHTS = np.array([1.0, -2, 3, 4, -5])


def g_function(u):
    return np.prod((np.abs(4 * u - 2) + G_COEFFICIENTS) / (1 + G_COEFFICIENTS), axis=1)


def additive(u):
    return u @ WEIGHTS


def _ishigami():
    total, first = np.array([0.5576, 0.4424, 0.2437]), np.array([0.3139, 0.4424, 0])
    slope = np.array([6 / np.pi * (1 + 0.1 * np.pi**4 / 5), 0, 0])
    return Known(ishigami, 3, total, first, slope, {(0, 2): 0.2437, (0, 1): 0, (1, 2): 0})


def _g_function():
    v = 1 / (3 * (1 + G_COEFFICIENTS) ** 2)
    everything = np.prod(1 + v)
    shares = v / (everything - 1)
    pairs = {
        (i, j): shares[i] * v[j] * everything / ((1 + v[i]) * (1 + v[j])) for i, j in combinations(range(len(v)), 2)
    }
    return Known(g_function, 8, shares * everything / (1 + v), shares, np.zeros(8), pairs)


def _additive():
    shares = WEIGHTS**2 / (WEIGHTS**2).sum()
    return Known(additive, 5, shares, shares, WEIGHTS, dict.fromkeys(combinations(range(5), 2), 0))


MODELS = {"ishigami": _ishigami(), "g-function": _g_function(), "additive": _additive()}


def _sample(function, cells, rows, seed=0, *, sampler="nested", groups=None):
    a, b = base_matrices(sampler, rows, cells, seed)
    member = np.arange(cells) if groups is None else np.asarray(groups)
    columns = [a] + [np.where(member == i, b, a) for i in range(member.max() + 1)]
    return Design(np.stack([function(u) for u in columns], axis=1), function(b), a, b)


@pytest.fixture(scope="session")
def sample():
    """Sample a function: ``sample(function, cells, rows, seed, sampler=, groups=)`` gives a `Design`."""
    return _sample


@pytest.fixture(scope="session")
def design():
    """Sample a function, scores only."""
    return lambda *args, **options: _sample(*args, **options).scores


@pytest.fixture(params=sorted(MODELS))
def known(request):
    """Each of the functions whose indices are known."""
    return MODELS[request.param]


@pytest.fixture(scope="session")
def models():
    """All of them by name."""
    return MODELS


@pytest.fixture(scope="session")
def design_of_pairs():
    """Scores with two cells redrawn, (rows, partners), for a cell and its partners."""

    def make(function, drawn, cell, partners):
        cells = np.arange(drawn.masks_a.shape[1])
        masks = [np.where((cells == cell) | (cells == j), drawn.masks_b, drawn.masks_a) for j in partners]
        return np.stack([function(u) for u in masks], axis=1)

    return make
