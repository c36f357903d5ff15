"""Masked forward passes: an image, a baseline and low-resolution masks in, logits or other numbers out."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whatwhere.engine.masks import cell_sides
from whatwhere.engine.patches import TokenBlend
from whatwhere.nets.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.model import VisionModel
    from whatwhere.nets.plans import Plan
    from whatwhere.pixels.images import Pixels

_IN_FLIGHT = 2  # batches queued on a GPU beyond the one that runs: enough to keep it busy, few enough to stop soon


class BatchHalved(Exception):  # noqa: N818  # a message to the loop, not an error
    """A batch did not fit into memory: the batch size is halved, and the row under way has to be begun again."""


class MaskedForward:
    """The network, or another function of images, on one image under masks, batch by batch.

    A mask holds one number per cell: 1 shows the image, 0 the baseline, between them a linear blend. A batch is one
    fused interpolation of two resident images into a buffer that is used again; the last, shorter batch is padded, so
    that every forward has the same shape and a mask gives the same logits wherever it stands. Where the network begins
    with a patch embedding whose patches lie within cells, its tokens are blended instead, which is the same by
    linearity.

    Parameters
    ----------
    model : VisionModel
        The network.
    image : ndarray of shape (h, w, 3), float32
        What the network is shown, in pixel space: already resized and cropped.
    baseline : ndarray of shape (h, w, 3), float32
        What masked cells fade to, in pixel space.
    grid : (int, int)
        Cells down and across.
    batch_size : int, optional
        Masks per forward pass; by default the model's.
    run : callable, optional
        What is run in place of the whole network: from normalised images (b, C, h, w), on the model's device, to
        float32 numbers (b, K) of each, there too. It is called inside `VisionModel.computing`, and what it gives
        stands for logits below. Pixels are then always blended, since a patch embedding is the network's.

    Attributes
    ----------
    batch_size : int
        Masks per forward pass now: out-of-memory halves it.
    plan : Plan
        How the network is run here, whatever the model's plan becomes meanwhile. With `run` of the model's plan only
        the layout and the batch size are followed.
    n_padding, n_setup : int
        Forwards spent on padding, and on making ready, so far.
    net_seconds : float
        Seconds inside the network so far; on a GPU as far as it is known.
    """

    def __init__(
        self,
        model: VisionModel,
        image: Pixels,
        baseline: Pixels,
        grid: tuple[int, int],
        *,
        batch_size: int | None = None,
        run: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.n_padding = 0
        self._model = model
        self._cuda = model.device.type == "cuda"
        self._clock = _Clock(cuda=self._cuda)
        self._flying: deque[Any] = deque()
        with model.computing():
            ends = model.to_input(baseline), model.to_input(image)
            tokens = TokenBlend.of(model, *ends, grid) if run is None else None
            self._blend: TokenBlend | PixelBlend = tokens or PixelBlend(model, *ends, grid, run=run)
        self.plan: Plan = self._blend.plan
        self.n_setup = self._blend.n_probes
        self.batch_size = batch_size or self.plan.batch_size

    @property
    def net_seconds(self) -> float:
        """Seconds inside the network so far."""
        return self._clock.seconds

    @property
    def blends_tokens(self) -> bool:
        """Whether tokens are blended in place of pixels."""
        return isinstance(self._blend, TokenBlend)

    def __call__(self, masks: NDArray[np.floating]) -> Tensor:
        """Compute the logits of masked images, without waiting for a GPU.

        Parameters
        ----------
        masks : ndarray of shape (b, cells), b at most `batch_size`
            Values in [0, 1].

        Returns
        -------
        Tensor of shape (b, classes), float32
            Logits on the model's device; on a GPU they may still be under way.

        Raises
        ------
        BatchHalved
            If the batch did not fit into memory: try again with at most the new `batch_size`.
        MemoryError
            If not even one image fits.
        """
        count = len(masks)
        padded = np.ones((self.batch_size, masks.shape[1]), dtype=np.float32)
        padded[:count] = masks
        try:
            with self._model.computing(refresh=False):
                logits = self._forward(padded)[:count]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._halve(error)
        self.n_padding += self.batch_size - count
        return logits

    def _forward(self, masks: NDArray[np.float32]) -> Tensor:
        if self._cuda:
            while len(self._flying) > _IN_FLIGHT:
                self._flying.popleft().synchronize()
        weights = torch.from_numpy(masks).to(self._model.device, non_blocking=True)
        logits = self._blend(weights, self._clock)
        if self._cuda:
            event = _event()
            event.record()
            self._flying.append(event)
        return logits

    def _halve(self, error: BaseException) -> None:
        failed = self.batch_size
        if failed == 1:
            raise MemoryError(
                f"{self._model.name}: out of memory on {self._model.device} with one image at a time. Free memory "
                "there, use a smaller network or input, or device='cpu'."
            ) from error
        self.batch_size = failed // 2
        self._model.shrink_batch(self.batch_size)
        self._blend.forget()
        self._flying.clear()
        if self._cuda:
            torch.cuda.empty_cache()
        raise BatchHalved(f"{failed} images did not fit; going on with {self.batch_size}.") from error


class PixelBlend:
    """Masked images from two resident ones: spread the mask, interpolate into one buffer, run.

    Parameters
    ----------
    model : VisionModel
        The network.
    baseline, image : Tensor of shape (1, C, h, w)
        Normalised, on the device.
    grid : (int, int)
        Cells down and across.
    run : callable, optional
        What is run in place of the network made ready by the model's plan.
    """

    def __init__(
        self,
        model: VisionModel,
        baseline: Tensor,
        image: Tensor,
        grid: tuple[int, int],
        *,
        run: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if run is None:
            runner = model.runner()
            self._run: Callable[[Tensor], Tensor] = runner
            self.plan = runner.plan
            self.n_probes, runner.n_probes = runner.n_probes, 0  # it is the model's, and used again
        else:
            self._run, self.n_probes = run, 0
            self.plan = replace(model.plan, folded=False, precision="float32", compiled=False, noise=0.0)
        self._last = self.plan.channels_last
        height, width = image.shape[-2:]
        rows, columns = (torch.from_numpy(side).to(image.device) for side in cell_sides(height, width, grid))
        # With channels last, a weight is written for each channel: interpolation then runs along plain memory.
        self._rows, self._columns = rows, columns.repeat_interleave(image.shape[1]) if self._last else columns
        self._grid = grid
        self._ends = self._flat(baseline), self._flat(image)
        self._shape = image.shape[1:]
        self._buffers: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(self, masks: Tensor, clock: _Clock) -> Tensor:
        """Run the network on masked images.

        Parameters
        ----------
        masks : Tensor of shape (b, cells), float32
            Values in [0, 1], on the device.
        clock : _Clock
            Times the network.

        Returns
        -------
        Tensor of shape (b, classes), float32
            Logits.
        """
        if self._buffers is None or len(self._buffers[2]) != len(masks):
            self._buffers = self._allocate(len(masks))
        bands, weights, batch = self._buffers
        count, (down, across) = len(masks), self._grid
        torch.index_select(masks.to(bands.dtype).view(count * down, across), 1, self._columns, out=bands)
        torch.index_select(bands.view(count, down, -1), 1, self._rows, out=weights)
        flat = self._flat(batch)
        torch.lerp(*self._ends, weights.view(count, *(1 for _ in flat.shape[3:]), *weights.shape[1:]), out=flat)
        return clock(self._run, batch)

    def forget(self) -> None:
        """Give the buffers back."""
        self._buffers = None

    def _allocate(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Make room for the mask spread along columns, then along rows too, and for the images."""
        like = self._ends[0]
        layout = torch.channels_last if self._last else torch.contiguous_format
        return (
            torch.empty((count * self._grid[0], len(self._columns)), dtype=like.dtype, device=like.device),
            torch.empty((count, len(self._rows), len(self._columns)), dtype=like.dtype, device=like.device),
            torch.empty((count, *self._shape), dtype=like.dtype, device=like.device, memory_format=layout),
        )

    def _flat(self, images: Tensor) -> Tensor:
        """View (or lay out) images as (N, h, w C) with channels last, and as they are otherwise."""
        if not self._last:
            return images.contiguous()
        rows = images.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
        return rows.reshape(*rows.shape[:2], -1)


class Landing:
    """Where logits arrive on the host: on a GPU by copies that nobody waits for until the rows are read.

    Parameters
    ----------
    shape : (int, int, int)
        Rows, columns and classes.
    device : torch.device
        Where the logits come from.
    name : str
        What messages call the network.
    columns : sequence of str
        What messages call the columns; those beyond are called after the last.
    what : str, default "logits"
        What messages call the numbers.

    Attributes
    ----------
    array : ndarray of shape `shape`, float32
        The logits; `wait` before reading.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        device: torch.device,
        name: str,
        columns: Sequence[str] = ("",),
        *,
        what: str = "logits",
    ) -> None:
        self._cuda = device.type == "cuda"
        with torch.inference_mode(mode=False):  # whatever the caller is in, or has made the default
            size = shape[0] * shape[1], shape[2]
            flat = torch.empty(size, dtype=torch.float32, device="cpu", pin_memory=self._cuda)
        self._flat, self._name, self._columns, self._labels = flat, name, shape[1], columns
        self._what = what
        self.array: NDArray[np.float32] = flat.numpy().reshape(shape)
        self._unread: list[int] = []
        self._event: Any = None

    def put(self, places: list[int], logits: Tensor) -> None:
        """Store logits.

        Parameters
        ----------
        places : list of int
            Row times columns plus column of each; runs of neighbours are copied as one.
        logits : Tensor of shape (len(places), classes), float32
            The logits.
        """
        start = 0
        for k in range(1, len(places) + 1):
            if k == len(places) or places[k] != places[k - 1] + 1:
                target = self._flat[places[start] : places[start] + k - start]
                target.copy_(logits[start:k], non_blocking=self._cuda)
                start = k
        self._unread += places
        if self._cuda:
            self._event = _event()
            self._event.record(torch.cuda.current_stream(logits.device))

    def wait(self) -> None:
        """Wait for what was put, and check it.

        Raises
        ------
        FloatingPointError
            If a logit is NaN or infinite; the message names the row.
        """
        if self._event is not None:
            self._event.synchronize()
            self._event = None
        places = np.asarray(self._unread, dtype=np.int64)
        self._unread = []
        bad = ~torch.isfinite(self._flat[torch.from_numpy(places)]).all(1).numpy()
        if bad.any():
            row, column = divmod(int(places[bad][0]), self._columns)
            which = self._labels[column] if column < len(self._labels) else f"{self._labels[-1]} {column}"
            raise FloatingPointError(
                f"{self._name}: NaN or infinite {self._what} for {int(bad.sum())} of {len(places)} masked images, "
                f"first in row {row} ({which.strip()}). Check the weights and the preprocessing; half precision may "
                'overflow: set model.plan to one with precision="float32".'
            )


class _Clock:
    """Seconds inside the network: by the wall, or on a CUDA GPU by events, which are read when they are done."""

    def __init__(self, *, cuda: bool) -> None:
        self._cuda = cuda
        self._seconds = 0.0
        self._pairs: deque[tuple[Any, Any]] = deque()

    def __call__(self, run: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
        if not self._cuda:
            begin = time.perf_counter()
            out = run(batch)
            if batch.device.type == "mps":
                torch.mps.synchronize()
            self._seconds += time.perf_counter() - begin
            return out
        pair = _event(timed=True), _event(timed=True)
        pair[0].record()
        out = run(batch)
        pair[1].record()
        self._pairs.append(pair)
        return out

    @property
    def seconds(self) -> float:
        while self._pairs and self._pairs[0][1].query():
            begin, end = self._pairs.popleft()
            self._seconds += begin.elapsed_time(end) / 1000
        return self._seconds


def _event(*, timed: bool = False) -> Any:
    return torch.cuda.Event(enable_timing=timed)  # type: ignore[no-untyped-call]


def even_batch(total: int, largest: int, streams: int = 1) -> int:
    """Return the batch size that spreads forwards evenly, so that little is padded.

    Parameters
    ----------
    total : int
        Forwards to do.
    largest : int
        Most images a batch.
    streams : int, default 1
        In how many equal parts a batch should fall.

    Returns
    -------
    int
        At most `largest`.
    """
    size = -(-total // -(-total // largest))
    whole = -(-size // streams) * streams
    return whole if whole <= largest else size
