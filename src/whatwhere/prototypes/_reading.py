"""The network as prototypes read it: up to the deepest layer that is asked for, with gradients."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

from whatwhere.nets.cut import same_but_for_rounding
from whatwhere.nets.outputs import read_output
from whatwhere.nets.probe import outputs_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from torch import Tensor

    from whatwhere.model import VisionModel


class Reader:
    """A network read at some layers, and run no further than the last of them.

    It is run as the model's plan says where BatchNorm, folded, leaves those layers as they are; else as it is.

    Parameters
    ----------
    model : VisionModel
        The network.
    layers : iterable of (str or None)
        Layers to read; None are the logits.

    Attributes
    ----------
    deepest : str or None
        The last layer to finish; None if the network runs to its end.
    """

    def __init__(self, model: VisionModel, layers: Iterable[str | None]) -> None:
        wanted = set(layers)
        self._model, self._whole = model, None in wanted
        self._names = [info.name for info in model.layers() if info.name in wanted]
        self.deepest = None if self._whole else self._names[-1]
        self._net = model.net
        self._casting: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
        with torch.inference_mode(mode=False), model.computing(gradients=True), torch.no_grad():
            runner = model.runner()
            plain = self._read(model.example())
            self._net = runner.net
            fast = self._read(model.example())
            if all(fast[name].shape == plain[name].shape and _same(fast[name], plain[name]) for name in self._names):
                self._casting = runner.casting
            else:
                self._net = model.net
        self.n_setup = 2

    def __call__(self, images: Tensor) -> dict[str | None, Tensor]:
        """Read the layers; inside ``model.computing(gradients=True)``.

        Parameters
        ----------
        images : Tensor of shape (N, C, h, w)
            Normalised images on the model's device.

        Returns
        -------
        dict of (str or None) to Tensor
            Each layer's output, (N, ...); under None the logits.
        """
        with self._casting():
            return self._read(images)

    def _read(self, images: Tensor) -> dict[str | None, Tensor]:
        modules = [(name, self._net.get_submodule(name)) for name in self._names]
        features, answer = outputs_until(self._net, modules, images, whole=self._whole)
        found: dict[str | None, Tensor] = dict(zip(self._names, features, strict=True))
        if self._whole:
            found[None] = read_output(answer, self._model.output, len(images))
        return found


def _same(fast: Tensor, plain: Tensor) -> bool:
    scale = float(plain.abs().max()) or 1.0
    room = 1e-2 if fast.is_cuda else 1e-4  # another order of the same sums, through all layers
    return same_but_for_rounding(fast, plain) or bool((fast - plain).abs().max() <= room * scale)
