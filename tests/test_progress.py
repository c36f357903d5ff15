"""Progress bars say how far a computation is; hidden ones leave no trace."""

from __future__ import annotations

import io
import sys

import pytest

from whatwhere.jobs import Step
from whatwhere.progress import with_bar

STEPS = [Step(0, 0, "opening", None), Step(2, 4, "middle", "a"), Step(4, 4, "end", "b")]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_steps_are_given_on_as_they_are_and_the_bar_says_them(capsys):
    assert list(with_bar(STEPS, "photos of cats", "photo", progress=True)) == STEPS
    said = capsys.readouterr().err
    assert "photos of cats" in said
    assert "4/4" in said
    assert "photo/s" in said
    assert "end" in said


@pytest.mark.parametrize(("stream", "drawn"), [(Terminal, True), (io.StringIO, False)])
def test_by_default_only_a_terminal_sees_a_bar(monkeypatch, stream, drawn):
    monkeypatch.setattr(sys, "stderr", stream())
    assert list(with_bar(STEPS, "photos", "photo", progress=None)) == STEPS
    assert bool(sys.stderr.getvalue()) == drawn


def test_a_hidden_bar_does_not_touch_tqdm_nor_its_lock(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)  # an import would fail
    assert list(with_bar(STEPS, "photos", "photo", progress=False)) == STEPS
    with pytest.raises(ImportError):
        list(with_bar(STEPS, "photos", "photo", progress=True))


def test_an_error_or_an_early_end_closes_the_bar(capsys):
    def failing():
        yield Step(1, 4, "one", None)
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        list(with_bar(failing(), "photos", "photo", progress=True))
    assert capsys.readouterr().err.endswith("\n")
    steps = with_bar(iter(STEPS), "photos", "photo", progress=True)
    next(steps)
    steps.close()
    assert capsys.readouterr().err.endswith("\n")
