"""Giving memory back, all at once."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

from whatwhere.widgets._view import opened


def free() -> int:
    """Close all views of this kernel and give back the memory that they held.

    Returns
    -------
    int
        How many views were closed, those inside an `Explorer` among them. Their jobs end after the chunk that they
        compute, and what stands in the notebook stays as the page has it.

    Notes
    -----
    Networks, records, banks and jobs that your variables hold stay: ``del`` them first. What torch keeps for later of
    a GPU's memory is given to other programs, and on Linux what the C library keeps of the machine's. A single view is
    closed by its own ``close()``; one whose cell is run again or deleted, and that no variable holds, by itself.

    Examples
    --------
    >>> import whatwhere as ww
    >>> closed = ww.free()
    """
    views = list(opened)
    closed = len(views)
    for view in views:
        if view in opened:  # an `Explorer` closes its parts
            view.close()
    del views
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # a C library that has no such call keeps nothing
            ctypes.CDLL(None).malloc_trim(0)
    return closed
