"""How far a photo's computation is, as the browser is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whatwhere.attribution import Attribution
    from whatwhere.jobs import Job

_STATES = {"queued": "computing", "running": "computing", "done": "done", "failed": "failed"}


def describe_status(job: Job[Attribution], rows_wanted: int) -> dict[str, Any]:
    """Describe a job.

    Parameters
    ----------
    job : Job
        A photo's job.
    rows_wanted : int
        Rows of the whole design.

    Returns
    -------
    dict
        What ``_status`` holds for a photo (see ``wire.ts``).
    """
    record, step = job.record, job.step
    return {
        "state": _STATES.get(job.state, "partial" if record is not None else "empty"),
        "stage": "queued" if job.state == "queued" else step.stage if step is not None else None,
        "done": step.done if step is not None else 0,
        "total": step.total if step is not None else 0,
        "rows": record.rows if record is not None and not record.preview else 0,
        "rows_wanted": rows_wanted,
        "eta": job.seconds_left if job.active else None,
        "seconds": job.seconds,
        "error": _describe_error(job.error),
    }


def _describe_error(error: BaseException | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {
        "what": "The computation failed.",
        "why": f"{type(error).__name__}: {error}",
        "todo": "view.job.error holds the exception; what was computed before stays.",
    }
