"""The two halves of a network around a layer, run batch by batch: features of images, logits of features."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import torch

from whatwhere.nets.cut import same_but_for_rounding
from whatwhere.nets.dataflow import tensors_in
from whatwhere.nets.memory import is_out_of_memory
from whatwhere.nets.outputs import read_output
from whatwhere.nets.probe import output_beside, output_until
from whatwhere.nets.streams import joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from whatwhere.model import VisionModel
    from whatwhere.nets.streams import ResultT

# Of the largest feature: another order of the same sums, through all layers, and such sums in TensorFloat-32.
_SAME, _GPU_SAME = 1e-4, 1e-2


class Look(NamedTuple):
    """What a network made of images.

    Attributes
    ----------
    cells : Tensor of shape (N, h, w, p), float32
        Features, one vector a cell.
    prefix : Tensor of shape (N, tokens, p), float32
        Class and register tokens, which lie on no cell; of networks without tokens there are 0.
    logits : Tensor of shape (N, classes), float32
        The network's own output.
    """

    cells: Tensor
    prefix: Tensor
    logits: Tensor


class Encoder:
    """A network at a layer: what the layer sees in images, and what the rest makes of features.

    Images are run as the model's plan says where BatchNorm, folded, leaves the layer's output as it is; else as the
    network is.
    A batch that does not fit into memory is halved, and the model's batch size with it.

    Parameters
    ----------
    model : VisionModel
        The network.
    layer : str, int or torch.nn.Module
        As for `whatwhere.model.VisionModel.cut`.

    Attributes
    ----------
    model : VisionModel
        The network.
    cut : Cut
        The network cut at the layer.
    affine : bool
        Whether what `decode` returns is an affine function of the features: all behind the layer is, and so is the
        model's ``output`` if that is a function.
    net_seconds : float
        Seconds inside the network so far.
    n_forwards : int
        Images that went through the layer so far.

    Raises
    ------
    ValueError
        If the layer cannot be cut, or its output lies on no grid.
    """

    def __init__(self, model: VisionModel, layer: str | int | nn.Module) -> None:
        self.model, self.cut = model, model.cut(layer)
        self.net_seconds, self.n_forwards = 0.0, 0
        with model.computing():
            self.grid, self.channels, kept = model.once(("encoder", self.cut), self._prepared)
            self._runner = model.runner() if kept else None
            self.affine = self.cut.affine and (not callable(model.output) or self._reads_affinely())

    def cells(self, images: Tensor) -> Tensor:
        """Compute the features of images.

        Parameters
        ----------
        images : Tensor of shape (N, C, H, W)
            Normalised images on the model's device.

        Returns
        -------
        Tensor of shape (N, h, w, p), float32
            One vector a cell.

        Raises
        ------
        MemoryError
            If not even one image fits.
        """
        return self.fitting(lambda batch: self._timed(self._cells_of, batch), images)

    def look(self, images: Tensor) -> Look:
        """Compute the features of images, and the network's own output beside them.

        Parameters
        ----------
        images : Tensor of shape (N, C, H, W)
            Normalised images on the model's device.

        Returns
        -------
        Look
            Features and logits.

        Raises
        ------
        MemoryError
            If not even one image fits.
        """
        return self.fitting(lambda batch: self._timed(self._look_of, batch), images)

    def decode(self, cells: Tensor, prefix: Tensor | None = None) -> Tensor:
        """Compute the network's output from features; gradients pass where they are asked for.

        Parameters
        ----------
        cells : Tensor of shape (N, h, w, p)
            One vector a cell, on the model's device.
        prefix : Tensor of shape (N or 1, tokens, p), optional
            Class and register tokens that go before the cells; needed where the layer has any.

        Returns
        -------
        Tensor of shape (N, classes), float32
            Logits.
        """
        begin = time.perf_counter()
        features = self.features(cells, prefix)
        out = read_output(self.cut.decode(features), self.model.output, len(cells)).float()
        self.net_seconds += time.perf_counter() - begin
        return out

    def features(self, cells: Tensor, prefix: Tensor | None = None) -> Tensor:
        """Turn vectors, one a cell, back into what the layer puts out; gradients pass.

        Parameters
        ----------
        cells : Tensor of shape (N, h, w, p)
            One vector a cell, on the model's device.
        prefix : Tensor of shape (N or 1, tokens, p), optional
            Class and register tokens that go before the cells; needed where the layer has any.

        Returns
        -------
        Tensor of shape (N, *shape)
            Features for `Cut.decode`, in the network's own precision.
        """
        cut, like = self.cut, None
        if cut.prefix_tokens and prefix is not None:
            rest = cells.new_zeros((len(prefix), cut.shape[0] - cut.prefix_tokens, cut.shape[1]))
            like = torch.cat([prefix.to(cells), rest], dim=1)
        return cut.from_grid(cells, like=like).to(cut.dtype)

    def fitting(self, run: Callable[..., ResultT], *columns: Tensor) -> ResultT:
        """Run a function of a batch in as few parts as fit into memory; the model's batch size shrinks with them.

        Parameters
        ----------
        run : callable
            Takes what is given of the columns, and returns a tensor, or a named tuple of tensors, whose first axis is
            that of the batch, each entry for itself.
        *columns : Tensor of shape (N, ...)
            What there is of the batch.

        Returns
        -------
        Tensor or named tuple of Tensor
            As from the whole batch.

        Raises
        ------
        MemoryError
            If not even one entry fits.
        """
        half = len(columns[0]) // 2
        try:
            return run(*columns)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if not half:
                raise MemoryError(
                    f"{self.model.name}: out of memory on {self.model.device} with one image at a time. Free memory "
                    "there, use a smaller network or input, or device='cpu'."
                ) from error
        # Outside of the handler: the error's frames hold what the batch had made so far.
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        self.model.shrink_batch(len(columns[0]) - half)
        first = self.fitting(run, *(column[:half] for column in columns))
        return joined([first, self.fitting(run, *(column[half:] for column in columns))])

    def _prepared(self) -> tuple[tuple[int, int], int, bool]:
        """Return grid and channels of the layer, and whether the network made ready by the plan leaves it as it is.

        It does not where a BatchNorm is folded into the layer.
        """
        cells = self.cut.to_grid(self.cut.encode(self.model.example()))
        fast = self._cells_of(self.model.runner().net, self.model.example())
        return (cells.shape[1], cells.shape[2]), cells.shape[3], self._same(fast, cells)

    def _run(self, run: Callable[..., ResultT], images: Tensor) -> ResultT:
        """Run a function of the network and of images as the plan says, where that leaves the layer as it is."""
        return run(self.model.net, images) if self._runner is None else self._runner.over(run, images)

    def _same(self, fast: Tensor, cells: Tensor) -> bool:
        """Tell whether the network made ready by the plan, without its lower precision, gives the layer's features."""
        room = _GPU_SAME if cells.is_cuda else _SAME
        return bool((fast - cells).abs().max() <= room * cells.abs().max())

    def _cells_of(self, net: nn.Module, images: Tensor) -> Tensor:
        out = output_until(net, net.get_submodule(self.cut.layer), images, name=self.cut.layer)
        return self.cut.to_grid(next(tensors_in(out))).float()

    def _look_of(self, net: nn.Module, images: Tensor) -> Look:
        layer = net.get_submodule(self.cut.layer)
        features, out = output_beside(net, layer, images, copy=self.cut.written_to)
        prefix = features[:, : self.cut.prefix_tokens].float() if self.cut.prefix_tokens else _none(features)
        logits = read_output(out, self.model.output, len(images)).float()
        return Look(self.cut.to_grid(features).float(), prefix, logits)

    def _reads_affinely(self) -> bool:
        """Hold f(a + b) + f(0) against f(a) + f(b) on random features, for logits that a function of the user's reads.

        Small features as well as large ones: a function that saturates may look affine at either end.
        """
        generator = torch.Generator().manual_seed(0)
        draws = torch.randn((2, 1, *self.cut.shape), generator=generator)
        for size in (1.0, 100.0):
            a, b = (size * draws).to(self.model.device, self.cut.dtype)
            rows = self.cut.decode(torch.cat([a + b, torch.zeros_like(a), a, b]))
            out = read_output(rows, self.model.output, len(rows)).float()
            if not same_but_for_rounding(out[0] + out[1], out[2] + out[3], largest=out):
                return False
        return True

    def _timed(self, run: Callable[..., ResultT], images: Tensor) -> ResultT:
        begin = time.perf_counter()
        with self.model.computing(refresh=False):
            out = self._run(run, images)
        self.net_seconds += time.perf_counter() - begin
        self.n_forwards += len(images)
        return out


def _none(features: Tensor) -> Tensor:
    return features.new_zeros((len(features), 0, features.shape[-1]), dtype=torch.float32)
