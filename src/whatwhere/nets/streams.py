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
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar, cast

import torch

from whatwhere.nets.aliasing import module_copy

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
    """A network, and copies of its modules, to compute parts of a batch side by side.

    Parameters
    ----------
    nets : sequence of nn.Module
        The network in eval mode, on the CPU, and a copy of it; see `of`.
    count : int
        How many streams there are at most.

    Notes
    -----
    Every stream has modules of its own, since a network may write to its attributes while it computes; the tensors are
    the same. A copy takes 10 to 50 ms to make, and is made when it is first needed.
    """

    def __init__(self, nets: Sequence[nn.Module], count: int) -> None:
        self._nets = list(nets)
        self._count, self._tried = count, False
        self._buffers = [buffer for buffer in nets[0].buffers() if not buffer.is_inference()]

    @classmethod
    def of(cls, net: nn.Module, count: int) -> Streams | None:
        """Make streams of a network.

        Parameters
        ----------
        net : nn.Module
            The network in eval mode, on the CPU.
        count : int
            How many streams there are at most.

        Returns
        -------
        Streams or None
            None where its modules cannot be copied.
        """
        try:
            return cls([net, module_copy(net)], count)
        except Exception as error:  # whatever a network raises on being copied
            logger.info("%s is computed in one stream: %s: %s", type(net).__name__, type(error).__name__, error)
            return None

    def __call__(self, run: Callable[..., ResultT], *columns: Tensor) -> ResultT:
        """Run a function of the network and of a batch.

        Parameters
        ----------
        run : callable
            Takes a network and what there is of a part of the columns; called in another thread, in inference mode.
        *columns : Tensor of shape (N, ...)
            What there is of the batch.

        Returns
        -------
        Tensor or named tuple of Tensor
            As from the whole batch.

        Raises
        ------
        Exception
            Whatever `run` raised first, once all parts have ended.

        Notes
        -----
        The batch is cut into the most parts that are equally long, so that an entry gives the same numbers wherever it
        stands, and into one where autograd records. A network that writes to its buffers is found out at its first
        batch, by the versions that PyTorch counts; that one is computed again, and all others, in one stream.
        """
        parts = self._parts(len(columns[0]))
        if parts > 1 and not self._tried:
            before = self._written()
            found = self._side_by_side(run, [column.clone() for column in columns], parts)  # it may write to these too
            self._tried = True
            if self._written() == before:
                return joined(found)
            self._count = parts = 1
            logger.info("%s writes to its buffers, and is computed in one stream.", type(self._nets[0]).__name__)
        return run(self._nets[0], *columns) if parts == 1 else joined(self._side_by_side(run, columns, parts))

    def _parts(self, size: int) -> int:
        most = 1 if torch.is_grad_enabled() else min(self._count, size, torch.get_num_threads())
        return next((k for k in range(most, 1, -1) if size % k == 0), 1)

    def _written(self) -> int:
        return sum(buffer._version for buffer in self._buffers)  # noqa: SLF001  # PyTorch's own name for it

    def _side_by_side(self, run: Callable[..., ResultT], columns: Sequence[Tensor], parts: int) -> list[ResultT]:
        while len(self._nets) < parts:
            self._nets.append(module_copy(self._nets[0]))
        threads = torch.get_num_threads()
        pool = _pool(parts, threads // parts, threads, os.getpid())

        def one(k: int) -> ResultT:
            with torch.inference_mode():
                return run(self._nets[k], *(column.chunk(parts)[k] for column in columns))

        waiting = [pool.submit(one, k) for k in range(parts)]
        wait(waiting)  # all of them, whatever happens to one: they read the caller's buffers
        return [each.result() for each in waiting]


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


@functools.lru_cache(maxsize=8)
def _pool(count: int, threads: int, before: int, _process: int) -> ThreadPoolExecutor:
    """Return threads that compute by some of the cores each; a forked process makes its own."""
    return ThreadPoolExecutor(count, "whatwhere-stream", initializer=_settle, initargs=(threads, before))


def _settle(threads: int, before: int) -> None:
    """Have this thread compute by so many OpenMP threads.

    PyTorch gives a thread its number when the thread first asks for it, so it asks here, before another is set. The
    setter is for the calling thread and for those that ask later; a thread that does nothing else gives these the
    number back.
    """
    torch.get_num_threads()
    torch.set_num_threads(threads)
    other = threading.Thread(target=torch.set_num_threads, args=(before,))
    other.start()
    other.join()


@functools.cache
def _threads_are_openmp() -> bool:
    return "ATen parallel backend: OpenMP" in torch.__config__.parallel_info()
