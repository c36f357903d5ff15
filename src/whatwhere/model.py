"""VisionModel: a network with all that an `nn.Module` leaves implicit."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whatwhere.classes import ClassNames
from whatwhere.images import Photo, read_photo
from whatwhere.workers import device_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from whatwhere.images import ImageLike, Pixels
    from whatwhere.preprocess import Preprocess

# Measured for EfficientNet-Lite0 on two cores: 7.7 ms an image in fours, 14.6 alone, 37 in batches of 32.
_CPU_BATCH = 4
_GPU_BATCH = 64
_CHANNELS, _IMAGE_AXES = 3, 3
_ROUNDING = 1e-3  # a normalised batch went through float32, or bfloat16, arithmetic


def _one_name(device: torch.device) -> torch.device:
    """Give a device one name, since workers and locks go by it: ``cpu``, ``cuda:0``."""
    if device.type == "cpu":
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device()) if str(device) == "cuda" else device


class VisionModel:
    """A network, its preprocessing, its class names and where it computes.

    Parameters
    ----------
    net : torch.nn.Module
        Takes normalised images (N, 3, h, w) float32, returns logits (N, classes). It is put into eval mode, moved to
        `device` in channels-last layout, and its parameters stop asking for gradients.
    preprocess : Preprocess
        How pixels become its input.
    class_names : sequence of str
        One name a logit.
    name : str
        What people call it.
    source : str, default ""
        The Python expression that makes this model, for "copy code".
    device : str or torch.device, optional
        By default a CUDA GPU if there is one, otherwise the CPU.

    Attributes
    ----------
    net : torch.nn.Module
        The network.
    preprocess : Preprocess
        The preprocessing.
    class_names : ClassNames
        Names by id, and ids by name.
    device : torch.device
        Where it computes.
    batch_size : int
        Images per forward pass in every engine loop; assign to change it.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        preprocess: Preprocess,
        class_names: Sequence[str],
        name: str,
        source: str = "",
        device: str | torch.device | None = None,
    ) -> None:
        self.device = _one_name(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
        self.net = net.to(self.device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        self.preprocess = preprocess
        self.class_names = ClassNames(class_names)
        self.name = name
        self.source = source
        self.batch_size = _CPU_BATCH if self.device.type == "cpu" else _GPU_BATCH

    def __repr__(self) -> str:
        size = self.preprocess.input_size
        shown = f"{size[0]} x {size[1]}" if size else "any number of"
        return f"<VisionModel {self.name}: {shown} pixels, {len(self.class_names)} classes, {self.device}>"

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Hold the device's lock, without autograd, for one chunk of work.

        Yields
        ------
        None
            Nothing; leaving the block restores what was.
        """
        with device_lock(str(self.device)), torch.inference_mode():
            yield

    def to_input(self, pixels: Pixels) -> Tensor:
        """Normalise a cropped image and lay it out for the network.

        Parameters
        ----------
        pixels : ndarray of shape (h, w, 3), float32
            RGB in [0, 1], already resized and cropped (``preprocess.pixels``).

        Returns
        -------
        Tensor of shape (1, 3, h, w), float32
            On the model's device, channels last.
        """
        planes = np.moveaxis(self.preprocess.normalise(pixels), -1, 0)[np.newaxis]
        tensor = torch.from_numpy(np.ascontiguousarray(planes)).to(self.device)
        return tensor.contiguous(memory_format=torch.channels_last)

    def logits(self, batch: Tensor) -> Tensor:
        """Run the network.

        Parameters
        ----------
        batch : Tensor of shape (N, 3, h, w)
            Normalised images on the model's device.

        Returns
        -------
        Tensor of shape (N, classes)
            Logits.

        Raises
        ------
        ValueError
            If the network's output is not (N, classes).
        """
        out = self.net(batch)
        wanted = (len(batch), len(self.class_names))
        if not isinstance(out, torch.Tensor) or tuple(out.shape) != wanted:
            got = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
            raise ValueError(f"net: wanted an output of shape {wanted}, one logit a class name, got {got}.")
        return out

    def predict(self, image: ImageLike) -> NDArray[np.float32]:
        """Class probabilities of one image.

        Parameters
        ----------
        image : image
            Whatever `whatwhere.images.read_photo` reads.

        Returns
        -------
        ndarray of shape (classes,), float32
            The softmax of the logits.
        """
        pixels = self.preprocess.pixels(read_photo(image))
        with self.computing():
            return self.logits(self.to_input(pixels)).softmax(1)[0].float().cpu().numpy()

    def images_from(self, batch: Any) -> list[Photo]:
        """Turn an already normalised batch back into pixel-space images.

        Parameters
        ----------
        batch : Tensor or ndarray of shape (N, 3, H, W) or (3, H, W)
            Images after this model's own normalisation, as a DataLoader gives them.

        Returns
        -------
        list of Photo
            Images in pixel space. Those of exactly the network's input size are shown to it as they are, without
            another resize and crop.

        Raises
        ------
        ValueError
            If the shape is another, or undoing mean and deviation leaves [0, 1].
        """
        numbers = np.asarray(batch.detach().cpu().float() if isinstance(batch, torch.Tensor) else batch, np.float32)
        if numbers.ndim == _IMAGE_AXES:
            numbers = numbers[np.newaxis]
        if numbers.ndim != _IMAGE_AXES + 1 or numbers.shape[1] != _CHANNELS:
            raise ValueError(f"batch: wanted shape (N, 3, H, W) or (3, H, W), got {np.shape(batch)}.")
        if numbers.size == 0 or not np.isfinite(numbers).all():
            bad = int(np.count_nonzero(~np.isfinite(numbers)))
            raise ValueError(
                f"batch: wanted finite numbers, got {bad} of {numbers.size} NaN or infinite in shape {numbers.shape}."
            )
        pixels = self.preprocess.denormalise(np.moveaxis(numbers, 1, -1))
        low, high = float(pixels.min()), float(pixels.max())
        if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
            raise ValueError(
                f"batch: undoing mean {self.preprocess.mean} and deviation {self.preprocess.std} gives values from "
                f"{low:.3g} to {high:.3g}, wanted [0, 1]; was it normalised with other numbers, or not at all?"
            )
        prepared = pixels.shape[1:3] == self.preprocess.crop
        return [Photo(np.ascontiguousarray(image.clip(0, 1)), prepared=prepared) for image in pixels]

    def fingerprint(self) -> str:
        """Hash of the network's parameters and buffers: fine-tuning changes it.

        Returns
        -------
        str
            Sixteen hexadecimal digits.

        Notes
        -----
        Reads every weight once: about 20 ms for five million parameters on a CPU.
        """
        digest = hashlib.blake2b(type(self.net).__qualname__.encode(), digest_size=8)
        for key, value in self.net.state_dict().items():
            digest.update(key.encode())
            digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()
