"""How far a computation is, as the browser is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whatwhere.attribution import Attribution
    from whatwhere.jobs import Job

_STATES = {"queued": "computing", "running": "computing", "done": "done", "failed": "failed"}
_TODO = "view.job.error holds the exception; what was computed before stays."
_TODO_EXTRACTION = "view.job.error holds the exception of an extraction; what was computed before stays."


def describe_status(job: Job[Attribution], rows_wanted: int) -> dict[str, Any]:
    """Describe a photo's job.

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
    record = job.record
    return {
        "state": _STATES.get(job.state, "partial" if record is not None else "empty"),
        **_progress(job),
        "rows": record.rows if record is not None and not record.preview else 0,
        "rows_wanted": rows_wanted,
        "error": None if job.error is None else describe_error(job.error, _TODO),
    }


def describe_work(job: Job[Any] | None, resting: str, error: dict[str, str] | None = None) -> dict[str, Any]:
    """Describe what a whole view computes.

    Parameters
    ----------
    job : Job or None
        What is under way; None where nothing is.
    resting : {"empty", "partial", "done"}
        What there is, for a job that does nothing now.
    error : dict, optional
        What went wrong, as of `describe_error`; by default in the job. Not told while the job works.

    Returns
    -------
    dict
        What ``_status`` holds of every view with one job at a time.
    """
    state = resting if job is None else _STATES.get(job.state, resting)
    if error is None and job is not None and job.error is not None:
        error = describe_error(job.error)
    said = None if job is not None and job.active else error
    return {"state": "failed" if said is not None else state, **_progress(job), "error": said}


def resting_state(record: object, *, complete: bool) -> str:
    """Say what there is when nothing is computed.

    Parameters
    ----------
    record : object
        What there is so far; None where there is nothing.
    complete : bool
        Whether that is all.

    Returns
    -------
    {"empty", "partial", "done"}
        A state on the wire.
    """
    return "done" if complete else "empty" if record is None else "partial"


def at_rest(status: dict[str, Any], resting: str) -> dict[str, Any]:
    """Return a status as an exported page has it, where nothing is under way.

    Parameters
    ----------
    status : dict
        What ``_status`` holds.
    resting : {"empty", "partial", "done"}
        What there is.

    Returns
    -------
    dict
        The same, or at rest.
    """
    if status["state"] != "computing":
        return status
    return {**status, "state": resting, "stage": None, "eta": None}


def describe_error(error: BaseException, todo: str = _TODO_EXTRACTION) -> dict[str, str]:
    """Say what failed, why, and what to do.

    Parameters
    ----------
    error : BaseException
        What a job raised.
    todo : str, optional
        What to do.

    Returns
    -------
    dict
        ``error`` of a status on the wire.
    """
    return {"what": "The computation failed.", "why": f"{type(error).__name__}: {error}", "todo": todo}


def _progress(job: Job[Any] | None) -> dict[str, Any]:
    step = None if job is None else job.step
    return {
        "stage": "queued" if job is not None and job.state == "queued" else step.stage if step is not None else None,
        "done": step.done if step is not None else 0,
        "total": step.total if step is not None else 0,
        "eta": job.seconds_left if job is not None and job.active else None,
        "seconds": job.seconds if job is not None else 0,
    }
