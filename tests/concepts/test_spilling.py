"""Features beyond the limit lie in temporary files: nobody sees a difference, and the files go."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import numpy as np
import pytest

from whatwhere import limits
from whatwhere.concepts.craft import Craft


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A place for temporary files of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def given(small, pictures):
    return small(batch_size=16), pictures(40)


def files_in(folder):
    gc.collect()
    return [file for file in Path(folder).rglob("*") if file.is_file()]


@pytest.mark.parametrize("fit_on", ["locations", "crops", "both"])
@pytest.mark.parametrize("budget", [0, 20_000])
def test_the_same_concepts_from_files(given, folder, monkeypatch, fit_on, budget):
    model, images = given
    method = Craft(n_concepts=3, fit_on=fit_on, patch=12)
    wanted = method.run(model, images, progress=False)
    assert not files_in(folder)
    monkeypatch.setattr(limits, "activation_bytes", budget)
    stream = method.stream(model, images)
    banks = [next(stream)]
    assert files_in(folder), "the limit should have been passed"
    bank = [*banks, *stream][-1]
    del banks
    for name in ("W", "importance", "codes", "contributions", "residuals", "bases", "gaps", "logits"):
        np.testing.assert_array_equal(getattr(bank, name), getattr(wanted, name), err_msg=name)
    assert bank.quality == wanted.quality
    np.testing.assert_array_equal(bank.crops[0][0].picture, wanted.crops[0][0].picture)
    del bank, stream
    assert not files_in(folder)


def test_files_go_with_a_run_that_is_given_up(small, pictures, folder, monkeypatch):
    monkeypatch.setattr(limits, "activation_bytes", 0)
    stream = Craft(n_concepts=3, fit_on="locations").stream(small(), pictures(40))
    bank = next(stream)
    assert files_in(folder)
    stream.close()
    del stream, bank
    assert not files_in(folder)


def test_files_go_with_a_run_that_fails(small, pictures, folder, monkeypatch):
    monkeypatch.setattr(limits, "activation_bytes", 0)
    images = [*pictures(40), np.full((24, 24, 3), np.nan, np.float32)]
    with pytest.raises(ValueError, match="image 41"):
        Craft(n_concepts=3, fit_on="locations").run(small(), images, progress=False)
    assert not files_in(folder)


def test_the_record_says_nothing_of_features(small, pictures, folder, monkeypatch):
    """A bank alone keeps the photos it shows and their logits, no features."""
    monkeypatch.setattr(limits, "activation_bytes", 0)
    bank = Craft(n_concepts=3, fit_on="locations").run(small(), pictures(40), progress=False)
    n_outputs = len(small().predict(pictures(1)[0]))
    assert sorted(file.stat().st_size for file in files_in(folder)) == [40 * n_outputs * 4, 40 * 24 * 24 * 3]
    bank.on(small()).encode(pictures(1)[0])
