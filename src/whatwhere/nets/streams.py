"""Streams: parts of a batch, computed side by side on a CPU, each by threads of its own.

By default all threads work on one operation after the other, and meet at the end of each: a small network spends as
long on meeting as on computing, all the more in a second thread of the process, whose OpenMP threads sleep as soon as
there are more of them than cores, and where another program keeps one of the cores busy. Streams meet once a batch.

Measured on two cores, EfficientNet-Lite0 in batches of four took 4.6 ms an image in a process's first thread and 7.1
in its second; in streams 4.6 and 4.4. For ResNet-50 and ViT-B/16 it makes little difference.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import TYPE_CHECKING, TypeVar, cast

import torch

from whatwhere.nets.aliasing import module_copy, tensors_of
from whatwhere.nets.crew import crew_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT", bound="Tensor | tuple[Tensor, ...]")

_MOST = 16  # streams: each needs room for the features of its part


def default_streams(device: torch.device) -> int:
    """Return how many streams a device offers.

    Parameters
    ----------
    device : torch.device
        Where a network computes.

    Returns
    -------
    int
        On a CPU the calling thread's number of threads, 16 at most; elsewhere 1. Also 1 where PyTorch's threads are not
        OpenMP's, since their number is then one for the whole process.
    """
    if device.type != "cpu" or not _threads_are_openmp():
        return 1
    return min(torch.get_num_threads(), _MOST)


class Streams:
    """Copies of a network's modules, to compute parts of a batch side by side.

    Parameters
    ----------
    net : nn.Module
        The network in eval mode, on the CPU.
    count : int
        How many streams there are at most.

    Raises
    ------
    Exception
        Whatever a network raises on being copied.

    Notes
    -----
    Every stream has modules of its own, since a network may write to its attributes while it computes; parameters and
    buffers are the same. A copy takes about 10 ms to make, and is made when it is first needed.
    """

    def __init__(self, net: nn.Module, count: int) -> None:
        self._net, self._count = net, count
        self._pristine = module_copy(net)  # not run before the last: what a network keeps of a pass may forbid a copy
        self._copies: list[nn.Module] = []

    @classmethod
    def of(cls, net: nn.Module, count: int) -> Streams | None:
        """Make streams of a network.

        Parameters
        ----------
        net, count : nn.Module, int
            As for the class.

        Returns
        -------
        Streams or None
            None where its modules cannot be copied.
        """
        try:
            return cls(net, count)
        except Exception as error:  # whatever the user's modules raise on being copied
            logger.info("%s is computed in one stream: %s: %s", type(net).__name__, type(error).__name__, error)
            return None

    def __call__(self, run: Callable[..., ResultT], *columns: Tensor) -> ResultT:
        """Run a function of the network and of a batch.

        Parameters
        ----------
        run : callable
            Takes a network and what there is of a part of the columns; called in other threads, in inference mode,
            where there are several parts.
        *columns : Tensor of shape (N, ...)
            What there is of the batch.

        Returns
        -------
        Tensor or named tuple of Tensor
            As from the whole batch.

        Raises
        ------
        Exception
            Whatever `run` raised for the first part that failed, once all parts have ended.

        Notes
        -----
        The batch is cut into equal parts, so that an entry gives the same numbers wherever it stands: those that use
        most threads, and of these the most. It stays whole where autograd records.
        """
        threads = torch.get_num_threads()
        parts = 1 if torch.is_grad_enabled() else parts_of(len(columns[0]), min(self._count, threads), threads)
        if parts == 1:
            return run(self._net, *columns)
        try:
            crew = crew_of(parts, threads // parts, os.getpid())
        except RuntimeError as error:  # the system gives no more threads
            logger.info("%s is computed in one stream: %s", type(self._net).__name__, error)
            return run(self._net, *columns)
        while len(self._copies) < parts:
            last = len(self._copies) == self._count - 1
            self._copies.append(self._pristine if last else module_copy(self._pristine))

        def task(net: nn.Module, part: Sequence[Tensor]) -> Callable[[], ResultT]:
            def compute() -> ResultT:
                with torch.inference_mode():
                    return run(net, *part)

            return compute

        cut = zip(self._copies, *(column.chunk(parts) for column in columns), strict=False)
        return joined(crew([task(net, part) for net, *part in cut]))


def stands_streams(net: nn.Module, example: Tensor) -> bool:
    """Tell whether streams of a network would leave each other alone, by one forward pass.

    Parameters
    ----------
    net : nn.Module
        The network in eval mode.
    example : Tensor of shape (1, C, h, w)
        A normalised image.

    Returns
    -------
    bool
        False where the network draws random numbers, in an order that streams would not keep, or writes to tensors that
        copies of its modules would share. What it makes anew and keeps is each copy's own.
    """
    shared = [tensor for tensor in tensors_of(net) if not tensor.is_inference()]
    written, drawn = [tensor._version for tensor in shared], torch.get_rng_state()  # noqa: SLF001  # PyTorch's name
    with torch.inference_mode():
        net(example.clone())
    draws = not torch.equal(torch.get_rng_state(), drawn)
    if draws or [tensor._version for tensor in shared] != written:  # noqa: SLF001
        why = "draws random numbers" if draws else "writes to tensors that streams would share"
        logger.info("%s %s, and is computed in one stream.", type(net).__name__, why)
        return False
    return True


def parts_of(size: int, most: int, threads: int) -> int:
    """Say in how many parts a batch is computed.

    Parameters
    ----------
    size : int
        Entries of the batch.
    most : int
        Streams at most.
    threads : int
        Threads that there are for all parts.

    Returns
    -------
    int
        A divisor of `size`: of those that use most threads, the largest.
    """
    fitting = [k for k in range(1, max(min(size, most), 1) + 1) if size % k == 0]
    return max(fitting, key=lambda k: (k * (threads // k), k))


def joined(parts: Sequence[ResultT]) -> ResultT:
    """Put the results of a batch's parts together.

    Parameters
    ----------
    parts : sequence of Tensor, or of named tuple of Tensor
        What there is of each, the batch's axis first.

    Returns
    -------
    Tensor or named tuple of Tensor
        What there is of the whole.
    """
    first = parts[0]
    if isinstance(first, torch.Tensor):
        return cast("ResultT", torch.cat(cast("list[Tensor]", list(parts))))
    return type(first)(*(torch.cat(column) for column in zip(*parts, strict=True)))


@functools.cache
def _threads_are_openmp() -> bool:
    return "ATen parallel backend: OpenMP" in torch.__config__.parallel_info()
