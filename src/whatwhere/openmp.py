"""Threads of PyTorch's OpenMP runtime: who has done computing gives them back. Imports no torch.

GNU's runtime keeps threads for every thread that ever computed, and counts them all. Once they are more than the cores,
those that compute no longer wait a moment for the next operation but sleep, and to wake them takes longer than most
operations of a network. So a main thread that has run a network once makes every later run in a worker slower, although
it is idle itself: 10.7 ms an image of EfficientNet-Lite0 on two cores, and 6.1 once the main thread's are given back.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_MAPS = Path("/proc/self/maps")  # Linux; elsewhere PyTorch comes with another runtime
_SOFT = 1  # `omp_pause_soft`: what threads keep for themselves stays
_TORCH = "torch._C"  # what `import torch` loads after the libraries; `torch` itself is there before them
_process = os.getpid()


def give_back_threads() -> bool:
    """End the OpenMP threads that serve the calling thread; its next operation makes new ones.

    Returns
    -------
    bool
        Whether there was a runtime that could do so: GNU's, version 9 or later. In a forked process there is none: the
        runtime remembers threads there that were not copied, and would wait for them for ever.

    Notes
    -----
    About 0.1 ms where there are threads, and as much when they are made again; a few microseconds where there are none.
    Runtimes are looked up once, when PyTorch is there.
    """
    if _TORCH not in sys.modules or os.getpid() != _process:
        return False
    given = [pause() for pause in _pauses()]
    return bool(given) and all(given)


@functools.cache
def _pauses() -> list[Callable[[], bool]]:
    """Find the runtimes that are loaded: PyTorch brings its own, and so may others."""
    if not _MAPS.exists():
        return []
    try:
        mapped = os.fsdecode(_MAPS.read_bytes()).splitlines()
        files = {line.split(maxsplit=5)[-1].strip() for line in mapped if "libgomp" in line}
        mode = os.RTLD_NOLOAD | os.RTLD_NOW  # those that are loaded, and no second one
        runtimes = [ctypes.CDLL(file, mode=mode) for file in sorted(files) if Path(file).exists()]
    except OSError:  # a job is worth more than the time that this saves
        logger.info("PyTorch's OpenMP threads are kept: the runtime was not found.", exc_info=True)
        return []
    return [functools.partial(_pause, runtime) for runtime in runtimes if hasattr(runtime, "omp_pause_resource")]


def _pause(runtime: ctypes.CDLL) -> bool:
    """Call `omp_pause_resource` of OpenMP 5.0 for the machine itself."""
    return bool(runtime.omp_pause_resource(_SOFT, runtime.omp_get_initial_device()) == 0)
