"""Whether memory ran out."""

from __future__ import annotations

import torch

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, on any device.

    Parameters
    ----------
    error : BaseException
        What was raised.

    Returns
    -------
    bool
        True for PyTorch's own error and for what its CPU and MPS allocators say.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error).lower()
    return any(said in words for said in _NO_MEMORY)
