"""A run that is killed loses nothing but the batch that was under way, and nothing is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from killed import BATCH, PHOTOS

KILLS = 24


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    if not hasattr(os, "fork"):
        pytest.skip("runs are forked")
    script = Path(__file__).with_name("killed.py")
    command = [sys.executable, str(script), str(tmp_path_factory.mktemp("killed")), str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("place", ["by lot", "written", "placed", "in the transaction", "entered"])
def test_nothing_is_lost_or_broken_or_computed_twice(told, place):
    found = told[place]
    assert found["ends"] == [0, 0]  # the graph is that of a run that nobody killed, bit for bit
    assert found["dropped"] == 0
    assert found["again"] == 0  # of batches that were finished
    assert found["every"] == PHOTOS
    assert found["twice"] <= BATCH * found["deaths"]
    assert found["last"] == 0
    if place != "by lot":  # where the clock decides, a busy machine may be killed before it begins
        assert found["deaths"] == 3
        assert found["before_last"] < PHOTOS


def test_two_writers_share_a_cache(told):
    found = told["together"]
    assert found["ends"] == [0, 0, 0]
    assert (found["last"], found["dropped"], found["codes"], found["files"]) == (0, 0, PHOTOS, 0)
