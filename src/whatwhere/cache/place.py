"""Where things lie that are worth keeping between sessions."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder for what is worth keeping between sessions.

    Returns
    -------
    Path
        ``$WHATWHERE_CACHE``, or ``whatwhere`` in the user's cache folder: ``$XDG_CACHE_HOME``, ``%LOCALAPPDATA%``,
        ``~/Library/Caches`` on macOS, else ``~/.cache``. It need not exist.
    """
    told = os.environ.get("WHATWHERE_CACHE")
    if told:
        return Path(told)
    told = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    usual = Path("Library", "Caches") if sys.platform == "darwin" else Path(".cache")
    return (Path(told) if told else Path.home() / usual) / "whatwhere"


def results_folder() -> Path:
    """Return the folder of cached results, unless another is asked for.

    Returns
    -------
    Path
        ``results`` in `cache_folder`.
    """
    return cache_folder() / "results"


def make_root(root: Path) -> None:
    """Make the folder in which a cache's files lie, and the cache's own around it.

    Parameters
    ----------
    root : Path
        The folder of a version, in the cache's own. That one is the user's alone if this makes it; one that is there
        already may be shared, and stays as it is.
    """
    root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.mkdir(exist_ok=True)
