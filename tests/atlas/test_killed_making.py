"""An atlas whose making is killed goes on: nothing is lost or broken, and nothing is computed twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dying import BATCH, COUNTS, INDEX, PAGE

PHOTOS, CLASSES = sum(COUNTS), list(range(len(COUNTS)))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    if not hasattr(os, "fork"):
        pytest.skip("runs are forked")
    script = Path(__file__).with_name("dying.py")
    command = [sys.executable, str(script), str(tmp_path_factory.mktemp("dying"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


#: By where it dies: classes that the index has then, pages that are in their place, and what is left unfinished.
HELD = {
    "in a forward pass": (0, 0, []),
    "in the middle of a page": (2, 2, [f".{PAGE}"]),
    "before a page is placed": (2, 2, [f".{PAGE}"]),
    "before a page is entered": (2, 3, []),
    "in the middle of the first index": (0, 1, [f".{INDEX}"]),
    "in the middle of an index": (1, 2, [f".{INDEX}"]),
    "before an index is placed": (1, 2, [f".{INDEX}"]),
    "after an index is placed": (2, 2, []),
    "before the last index": (4, 4, [f".{INDEX}"]),
    "before it is cleared": (4, 4, []),
}


@pytest.mark.parametrize("point", HELD)
def test_what_is_there_is_whole_and_what_is_not_is_not_there(told, point):
    """The script reads every file that bears the name of a page, and ends where one is half written."""
    found = told[point]
    assert found["ends"][0] == -9
    assert (len(found["classes"]), found["files"], found["left"]) == HELD[point]


@pytest.mark.parametrize("point", HELD)
def test_the_next_run_makes_what_is_missing_and_nothing_else(told, point):
    found = told[point]
    assert found["ends"][1:] == [0, 0]  # without a warning, the atlas of a run that nobody killed; twice
    assert found["kept"], "no page is written again"
    assert found["made"] == [c for c in CLASSES if c not in found["classes"]]
    assert found["folder"] == [INDEX, *(f"class_{c:05d}.safetensors" for c in CLASSES)]


@pytest.mark.parametrize("point", HELD)
def test_no_photo_is_run_twice_but_those_of_the_batch_under_way(told, point):
    first, second, third = told[point]["photos"]
    assert told[point]["every"] == PHOTOS
    assert third == 0
    if point == "in a forward pass":
        assert 0 < first < PHOTOS
        assert second <= PHOTOS - first + BATCH
    else:
        assert (first, second) == (PHOTOS, 0)
