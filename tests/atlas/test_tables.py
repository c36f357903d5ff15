"""Atlases as tables and figures."""

from __future__ import annotations

import builtins
import sys
import types

import pytest

import whatwhere as ww

SHARED = {(0, 1): (4, 2), (3, 0): (5, 5)}


@pytest.fixture(scope="module")
def atlas(planted):
    return ww.Atlas.from_banks(planted(0, shared=SHARED))


def test_classes_and_pairs(atlas):
    told = atlas.table()
    assert told["id"] == list(range(8))
    assert told["photos"] == [6] * 8
    assert told["shares_with"] == [["garbage truck"], [], [], ["hen"], ["tench"], ["café au lait"], [], []]
    pairs = atlas.table("similar")
    assert sorted(zip(pairs["here_id"], pairs["here_concept"], strict=True)) == [(0, "B"), (3, "A")]
    assert sorted(zip(pairs["there_class"], pairs["there_concept"], strict=True)) == [
        ("garbage truck", "C"),
        ("hen", "F"),
    ]
    assert pairs["mutual"] == [True, True]
    with pytest.raises(ValueError, match=r"wanted one of \['classes', 'similar'\], got 'photos'"):
        atlas.table("photos")


def test_pandas(atlas, monkeypatch):
    """By a stand-in for pandas, which need not be installed."""

    class Frame(dict):
        def set_index(self, name):
            return ("indexed by", name, self)

    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=Frame))
    assert atlas.to_pandas() == ("indexed by", "id", atlas.table())
    assert atlas.to_pandas("similar") == atlas.table("similar")


def test_plotly(atlas):
    *lines, dots = atlas.to_plotly().data
    assert len(lines) == 2
    assert sorted(dots.text) == sorted(atlas.names.values())
    assert any("tench and garbage truck: B and C" in line.hovertext[1] for line in lines)
    spot = dict(zip(dots.text, zip(dots.x, dots.y, strict=True), strict=True))
    places = list(spot)
    assert abs(places.index("tench") - places.index("garbage truck")) == 1  # those that share are beside each other


@pytest.mark.parametrize(("method", "library"), [("to_pandas", "pandas"), ("to_plotly", "plotly")])
def test_without_the_library_it_says_so(atlas, monkeypatch, method, library):
    real = builtins.__import__

    def refuse(name, *args, **options):
        if name.split(".")[0] == library:
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=f"pip install {library}"):
        getattr(atlas, method)()
