"""Where Fourier transforms are made: there are devices without them, and such as return wrong numbers."""

from __future__ import annotations

import functools
import warnings
from typing import NamedTuple

import torch

from whatwhere.nets.memory import is_out_of_memory

_SAME = 1e-4  # of a round trip, and of the transform itself over its largest number
_SIZE = (24, 18)
_CPU = torch.device("cpu")


class FourierDevice(NamedTuple):
    """Where Fourier transforms are made.

    Attributes
    ----------
    device : torch.device
        There.
    why : str
        Why it is not the device that was asked about; empty if it is.
    """

    device: torch.device
    why: str


@functools.cache
def fourier_device(device: torch.device) -> FourierDevice:
    """Return where Fourier transforms are made: on the device if it can, else on the CPU.

    Parameters
    ----------
    device : torch.device
        The device.

    Returns
    -------
    FourierDevice
        It, or the CPU and why. Looked at, and said, once a process.

    Raises
    ------
    RuntimeError
        If the device has no memory left to look; that is not kept.

    Warns
    -----
    UserWarning
        If it is not the device that was asked about.
    """
    fault = "" if device == _CPU else _fault(device)
    if not fault:
        return FourierDevice(device, "")
    why = f"Fourier transforms were made on the CPU, since {fault}."
    warnings.warn(f"{why} Each step takes longer by the way there and back.", UserWarning, stacklevel=2)
    return FourierDevice(_CPU, why)


def _fault(device: torch.device) -> str:
    """Say what is wrong with a device's transforms; nothing if they are right."""
    image = torch.rand((1, 1, *_SIZE), generator=torch.Generator().manual_seed(0))
    try:
        waves = torch.fft.rfft2(image.to(device))
        back = torch.fft.irfft2(waves, s=_SIZE).cpu()
        found = waves.cpu()
    except RuntimeError as error:  # also NotImplementedError: what torch raises for an operation that a device lacks
        if is_out_of_memory(error):
            raise  # that passes, and what is found here is kept
        said = str(error).strip().partition("\n")[0]
        return f"the device {str(device)!r} has none ({type(error).__name__}: {said[:200]})"
    wanted = torch.fft.rfft2(image)
    off = max(float((back - image).abs().max()), float((found - wanted).abs().max() / wanted.abs().max()))
    return "" if off <= _SAME else f"those of the device {str(device)!r} are wrong by {off:.2g}"
