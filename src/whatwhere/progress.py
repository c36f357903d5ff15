"""Progress bars of computations that a person waits for. A hidden one costs nothing: tqdm is not imported for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from whatwhere.jobs import Step

RecordT = TypeVar("RecordT")


def with_bar(
    steps: Iterable[Step[RecordT]], title: str, unit: str, *, progress: bool | None
) -> Iterator[Step[RecordT]]:
    """Draw a progress bar on the error stream while a computation takes its steps.

    Parameters
    ----------
    steps : iterable of Step
        The computation.
    title : str
        What it is, before the bar.
    unit : str
        What `Step.done` and `Step.total` count.
    progress : bool or None
        Whether to draw; None where the error stream is a terminal.

    Yields
    ------
    Step
        The same, one by one.

    Notes
    -----
    tqdm's bars share a lock with the processes that are forked from this one. A forked process that is killed while it
    holds the lock would stop all others at their next bar; one that draws none never takes it.
    """
    if not (sys.stderr.isatty() if progress is None else progress):
        yield from steps
        return
    from tqdm import tqdm

    with tqdm(desc=title, unit=unit) as bar:
        for step in steps:
            bar.total = step.total or None
            bar.set_postfix_str(step.stage, refresh=False)
            bar.update(step.done - bar.n)
            yield step
