"""Finding classes by id and name, and which concepts of a page count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.atlas.page import ClassPage


@pytest.fixture(scope="module")
def atlas(planted):
    return ww.Atlas.from_banks(planted(0, classes=10, rank=2, channels=16))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("4", [4]),
        ("crane", [2, 7]),
        ("crane (7)", [7]),
        ("CAFE", [3]),
        ("café_au", [3]),
        ("tru", [6, 4]),
        ("truck", [6, 4]),
        ("garb tr", [4]),
        ("rch", [8]),
        ("c", [3, 8, 2, 7, 4, 9, 0, 6]),
        ("zebra", []),
        ("", list(range(10))),
        ("  ", list(range(10))),
    ],
)
def test_search(atlas, text, found):
    assert atlas.search(text) == found


def test_names_that_two_classes_share_are_told_apart(atlas):
    assert atlas.names[2] == "crane (2)"
    assert atlas.names[7] == "crane (7)"
    assert atlas["crane (7)"].target == 7
    with pytest.raises(ww.UnknownClassError, match="names 2 classes, 2 and 7"):
        atlas["crane"]


def test_search_wants_a_text(atlas):
    with pytest.raises(TypeError, match=r"wanted a text.*got int 3"):
        atlas.search(3)


def page_of(bank_of, added):
    added = np.asarray(added, dtype=np.float32)
    bank = bank_of(0, np.eye(added.shape[1], 8), n_images=len(added))
    return ClassPage(replace(bank, contributions=added))


def test_important_concepts_are_the_strongest_of_enough_photos(bank_of):
    added = np.zeros((120, 4))
    added[:, 0] = 1.0
    added[:12, 1] = 2.0  # strongest of 12
    added[12:21, 2] = 2.0  # of 9
    added[110:, :] = -1  # no concept speaks for these
    page = page_of(bank_of, added)
    assert page.strongest.tolist() == [89, 12, 9, 0]
    assert page.important == (0, 1)
    assert "in at least 10 of the 120 photos" in page.rule


def test_of_few_photos_a_tenth_is_enough_but_two_at_least(bank_of):
    added = np.eye(4)[[0] * 30 + [1] * 4 + [2] * 3 + [3] * 3]
    assert page_of(bank_of, added).important == (0, 1)
    assert page_of(bank_of, np.eye(4)[[0, 0, 0, 1, 1, 2]]).important == (0, 1)


def test_one_concept_always_is_important(bank_of):
    assert page_of(bank_of, np.eye(4)[:3]).important == (0,)
    assert page_of(bank_of, -np.eye(4)).important == (0,)


def test_a_graph_of_another_bank_is_refused(net, pictures, bank_of):
    photos, _ = pictures([8, 0, 0])
    bank = ww.Craft(n_concepts=2, fit_on="locations").run(net, photos, target=0, progress=False)
    graph = ww.Strategies().run(net, bank, progress=False)
    assert ClassPage(bank, graph).graph is graph
    with pytest.raises(ValueError, match="got one of another bank"):
        ClassPage(bank_of(0, np.eye(2, 8)), graph)
