"""Plans that were measured on this machine, remembered between sessions in one small file. Nothing else is stored."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

from whatwhere.cache.place import cache_folder
from whatwhere.nets.plans import Plan

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_known: dict[str, Plan] = {}


def recall(key: str) -> Plan | None:
    """Return the plan that was measured for a network and a machine.

    Parameters
    ----------
    key : str
        What identifies both.

    Returns
    -------
    Plan or None
        None if none is known, or the file cannot be read.
    """
    with _lock:
        if key not in _known:
            _known.update({name: plan for name, plan in _read().items() if name not in _known})
        return _known.get(key)


def remember(key: str, plan: Plan) -> None:
    """Keep a plan, in this process and, where the file can be written, beyond.

    Parameters
    ----------
    key : str
        What identifies network and machine.
    plan : Plan
        The plan.
    """
    with _lock:
        _known[key] = plan
        stored = {name: asdict(known) for name, known in {**_read(), key: plan}.items()}
        path = _path()
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(stored, indent=1))
            part.replace(path)
        except OSError as error:  # a read-only home only means measuring again next time
            logger.info("The plan could not be kept in %s: %s", path, error)
            with contextlib.suppress(OSError):
                part.unlink()


def forget() -> None:
    """Forget all plans, here and in the file."""
    with _lock:
        _known.clear()
        _path().unlink(missing_ok=True)


def _path() -> Path:
    return cache_folder() / "plans.json"


def _read() -> dict[str, Plan]:
    try:
        stored = dict(json.loads(_path().read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        logger.info("Plans of earlier sessions could not be read from %s: %s", _path(), error)
        return {}
    plans = {}
    for name, options in stored.items():
        try:
            plans[str(name)] = Plan(**options)
        except (TypeError, ValueError) as error:  # of another version, or edited by hand
            logger.info("The plan of %s in %s is not understood: %s", name, _path(), error)
    return plans
