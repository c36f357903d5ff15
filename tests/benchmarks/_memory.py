"""Peak memory of a map, of the bare forward of the same batch, and of the published code's way of working.

Each figure comes from a fresh process: its peak resident memory less what was resident just before. What malloc had
freed and kept counts as resident, so that a figure is a lower bound; it is given back to the system first, where that
can be done. On a GPU the allocator tells.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _peers
import torch
from _bench import load, masked_batch, one_photo

from whatwhere.engine.forward import even_batch

if TYPE_CHECKING:
    from _bench import Options

_TIMES = 3  # bare forwards: the peak does not grow after the first few
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def memory(options: Options, who: str, batch: int) -> dict[str, Any]:
    """Return the peak of one thing over what was there before, in MiB."""
    model = load(options)
    photo, pixels = one_photo(model)
    columns = options.grid**2 + 1
    count = even_batch(options.speed_rows * columns, batch)
    model.batch_size = batch
    with model.computing():
        model.runner()  # its copy of the folded weights is there before, in all cases
    if who == "ours":
        import whatwhere as ww

        method = ww.Sobol(grid=options.grid, rows=options.speed_rows)
        peak = peak_of(options.device, lambda: method.run(model, photo, progress=False))
    elif who == "bare":
        peak = peak_of(options.device, lambda: _bare(model, pixels, count, options))
    else:
        net, image = _peers.plain_network(model), model.to_input(pixels).contiguous()
        masks = _peers.published_masks(options.speed_rows, options.grid)[: _TIMES * count]
        peak = peak_of(options.device, lambda: _peers.published_way(net, image, masks, 0, count))
    stored = 4 * options.speed_rows * columns * len(model.class_names) / 2**20
    return {"who": who, "batch": batch, "ran_at": count, "mib": peak, "logits_mib": stored}


def _bare(model: Any, pixels: Any, count: int, options: Options) -> None:
    with model.computing():
        batch = masked_batch(model, pixels, count, options.grid)
        for _ in range(_TIMES):
            model.runner()(batch)


def peak_of(device: str, run: Any) -> float:
    """Return the peak of memory while something runs over what was there before, in MiB."""
    gc.collect()
    if device != "cpu":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        kept = run()
        torch.cuda.synchronize()
        del kept
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    _trim()
    before = _resident("VmRSS")
    kept = run()
    peak = _resident("VmHWM")
    del kept
    return peak - before


def _trim() -> None:
    """Give what is free back to the system, and let the peak begin anew, where that can be done."""
    with contextlib.suppress(AttributeError, OSError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):  # only Linux has it
        _RESET.write_text("5")


def _resident(line: str) -> float:
    """Return MiB of resident memory: now (VmRSS) or at its peak (VmHWM); elsewhere than on Linux always the peak."""
    if _STATUS.exists():
        told = next(text for text in _STATUS.read_text().splitlines() if text.startswith(line))
        return int(told.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
