"""Masked forward passes: a photo, a baseline and low-resolution masks in, logits out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from whatwhere.engine.masks import cell_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.model import VisionModel


class MaskedForward:
    """The network on one image under masks, batch by batch.

    A mask holds one number per cell: 1 shows the photo, 0 the baseline, between them a linear blend. A batch is one
    fused interpolation of two resident images; the last, shorter batch is padded, so that every forward has the same
    shape and a mask gives the same logits wherever it stands.

    Parameters
    ----------
    model : VisionModel
        The network.
    image : ndarray of shape (h, w, 3), float32
        What the network is shown, in pixel space: already resized and cropped.
    grid : (int, int)
        Cells down and across.

    Attributes
    ----------
    batch_size : int
        Masks per forward pass.
    n_padding : int
        Forwards spent on padding so far.

    Notes
    -----
    The baseline is the model's mean colour, which is zero after normalisation. Memory: two batches of inputs.
    """

    def __init__(self, model: VisionModel, image: NDArray[np.float32], grid: tuple[int, int]) -> None:
        self.batch_size = model.batch_size
        self.n_padding = 0
        self._model = model
        height, width = image.shape[:2]
        with model.computing():
            self._photo = model.to_input(image)
            self._baseline = torch.zeros_like(self._photo)
            self._cells = torch.from_numpy(cell_index(height, width, grid).ravel()).to(model.device)
            self._shape = (height, width)
            self._batch = torch.empty(
                (self.batch_size, *self._photo.shape[1:]), device=model.device, memory_format=torch.channels_last
            )

    def __call__(self, masks: NDArray[np.floating]) -> NDArray[np.float32]:
        """Compute the logits of masked images.

        Parameters
        ----------
        masks : ndarray of shape (b, cells), b at most `batch_size`
            Values in [0, 1].

        Returns
        -------
        ndarray of shape (b, classes), float32
            Logits.

        Raises
        ------
        FloatingPointError
            If a logit is NaN or infinite.
        """
        count = len(masks)
        padded = np.zeros((self.batch_size, masks.shape[1]), dtype=np.float32)
        padded[:count] = masks
        self.n_padding += self.batch_size - count
        with self._model.computing():
            weights = torch.from_numpy(padded).to(self._model.device)[:, self._cells]
            weights = weights.view(self.batch_size, 1, *self._shape)
            torch.lerp(self._baseline, self._photo, weights, out=self._batch)
            logits = self._model.logits(self._batch)[:count].float().cpu().numpy()
        if not np.isfinite(logits).all():
            raise FloatingPointError(
                f"{self._model.name}: NaN or infinite logits for {int((~np.isfinite(logits)).any(axis=1).sum())} of "
                f"{count} masked images; check the weights and the preprocessing."
            )
        return logits
