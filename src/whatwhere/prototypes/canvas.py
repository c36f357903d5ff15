"""The canvas of a prototype: phases are searched, magnitudes are given, and colours come last."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from whatwhere.prototypes.colours import TO_RGB
from whatwhere.prototypes.spectrum import own_mirrors

if TYPE_CHECKING:
    from torch import Tensor

    from whatwhere.prototypes.spectrum import Law, Spectrum

Activation = Literal["sigmoid", "identity"]
Mean = Literal["grey", "keep"]

_SAME = 1e-4  # of a round trip through the Fourier transform


class Drawn(NamedTuple):
    """What phases look like, and what their gradient needs.

    Attributes
    ----------
    image : Tensor of shape (B, C, H, W), float32
        Pictures; in [0, 1] with a sigmoid.
    waves : Tensor of shape (B, C, H, W // 2 + 1), complex64
        The half spectrum that they were made of, before colours.
    """

    image: Tensor
    waves: Tensor


class Canvas:
    """Pictures of given magnitudes, as a function of their phases.

    Parameters
    ----------
    spectrum : Spectrum or Law
        The magnitudes.
    size : (int, int)
        Height and width in pixels.
    contrast : float, default 1
        Standard deviation of the channels before colours and sigmoid, over all of them. It is the same for every
        picture, by Parseval's theorem.
    mean : {"grey", "keep"}, default "grey"
        The mean colour: grey, or the spectrum's own magnitude of the mean.
    activation : {"sigmoid", "identity"}, default "sigmoid"
        What takes numbers into [0, 1].
    tied : bool, default True
        Whether phases are made those of a real picture where a column of the half spectrum is its own mirror. If not,
        what a picture cannot have is lost there, and with it the magnitude.
    colours : bool, default True
        Whether channels are turned to RGB; only for decorrelated spectra.
    device : torch.device, optional
        Where to compute; the CPU by default.

    Attributes
    ----------
    magnitude : Tensor of shape (C, H, W // 2 + 1), float32
        Magnitudes divided by H * W, as drawn.
    scale : float
        What the spectrum's own were multiplied by.

    Raises
    ------
    ValueError
        If no magnitude but the mean's is above 0.
    """

    def __init__(
        self,
        spectrum: Spectrum | Law,
        size: tuple[int, int],
        *,
        contrast: float = 1.0,
        mean: Mean = "grey",
        activation: Activation = "sigmoid",
        tied: bool = True,
        colours: bool = True,
        device: torch.device | None = None,
    ) -> None:
        self.size, self.activation, self.tied = size, activation, tied
        self.device = device or torch.device("cpu")
        given = torch.from_numpy(spectrum.at(size)).double()
        weight = torch.full((size[1] // 2 + 1,), 2.0, dtype=torch.float64)
        weight[list(own_mirrors(size[1]))] = 1.0
        power = weight * given**2
        power[:, 0, 0] = 0
        variance = float(power.sum() / len(given))
        if not variance > 0:
            raise ValueError("spectrum: wanted magnitudes above 0, got none but the mean's.")
        self.scale = contrast / variance**0.5
        given *= self.scale
        if mean == "grey":
            given[:, 0, 0] = 0
        self.magnitude = given.float().to(self.device)
        self._weight = weight.float().to(self.device)
        self._matrix = (
            torch.from_numpy(TO_RGB).to(self.device) if colours and spectrum.space == "decorrelated" else None
        )
        self._mirror = (-torch.arange(size[0])) % size[0]
        self._fourier = fourier_device(self.device)

    @property
    def channels(self) -> int:
        """Channels of the pictures."""
        return len(self.magnitude)

    @property
    def falls_back(self) -> bool:
        """Whether Fourier transforms are made on the CPU, since the device gets them wrong or has none."""
        return self._fourier != self.device

    def start(self, generator: torch.Generator) -> Tensor:
        """Draw phases uniformly, so that no place of the picture is brighter than others.

        Parameters
        ----------
        generator : torch.Generator
            Of the CPU: the same phases on every device.

        Returns
        -------
        Tensor of shape (C, H, W // 2 + 1), float32
            In [-pi, pi).
        """
        drawn = torch.rand(self.magnitude.shape, generator=generator)
        return self.tie((drawn * 2 - 1) * torch.pi).to(self.device)

    def tie(self, phase: Tensor) -> Tensor:
        """Return the phases of a real picture that are nearest: in columns that are their own mirror, odd in the row.

        Parameters
        ----------
        phase : Tensor of shape (..., H, W // 2 + 1)
            Phases, or gradients of tied ones: the function is its own transpose.

        Returns
        -------
        Tensor of shape (..., H, W // 2 + 1)
            A copy. Waves that are their own mirror get phase 0.
        """
        out = phase.clone()
        if self.tied:
            mirror = self._mirror.to(phase.device)
            for column in own_mirrors(self.size[1]):
                own = phase[..., column]
                out[..., column] = (own - own[..., mirror]) / 2
        return out

    def draw(self, phase: Tensor) -> Drawn:
        """Make pictures of phases.

        Parameters
        ----------
        phase : Tensor of shape (B, C, H, W // 2 + 1), float32
            Phases.

        Returns
        -------
        Drawn
            Pictures, and the waves they are made of.
        """
        tied = self.tie(phase)
        waves = torch.complex(torch.cos(tied).mul_(self.magnitude), torch.sin(tied).mul_(self.magnitude))
        flat = self._inverse(waves)
        if self._matrix is not None:
            flat = (self._matrix.T @ flat.flatten(2)).view(flat.shape)
        return Drawn(torch.sigmoid(flat) if self.activation == "sigmoid" else flat, waves)

    def gradient(self, drawn: Drawn, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to phases from that with respect to pictures.

        Parameters
        ----------
        drawn : Drawn
            What `draw` returned.
        gradient : Tensor of shape (B, C, H, W)
            Of some number, with respect to ``drawn.image``.

        Returns
        -------
        Tensor of shape (B, C, H, W // 2 + 1), float32
            Of the same number, with respect to the phases.

        Notes
        -----
        One Fourier transform, in closed form: of a picture's gradient with transform G, the phase of the wave X gets
        the imaginary part of conj(X) G, twice where the half spectrum stands for two waves.
        """
        image, waves = drawn
        flat = gradient * image * (1 - image) if self.activation == "sigmoid" else gradient
        if self._matrix is not None:
            flat = (self._matrix @ flat.flatten(2)).view(flat.shape)
        turned = torch.fft.rfft2(flat.to(self._fourier)).to(self.device)
        return self.tie(((waves.real * turned.imag).sub_(waves.imag * turned.real)).mul_(self._weight))

    def _inverse(self, waves: Tensor) -> Tensor:
        return torch.fft.irfft2(waves.to(self._fourier), s=self.size, norm="forward").to(self.device)


@functools.cache
def fourier_device(device: torch.device) -> torch.device:
    """Return where Fourier transforms are made: the device if it can, else the CPU.

    Parameters
    ----------
    device : torch.device
        The device.

    Returns
    -------
    torch.device
        It, or the CPU. Looked at once a process: there are devices without transforms, and such as return wrong ones.
    """
    if device.type == "cpu":
        return device
    image = torch.rand((1, 1, 24, 18), generator=torch.Generator().manual_seed(0))
    try:
        there = image.to(device)
        back = torch.fft.irfft2(torch.fft.rfft2(there), s=(24, 18)).cpu()
    except (RuntimeError, NotImplementedError):  # what torch raises for an operation that a device lacks
        return torch.device("cpu")
    return device if bool((back - image).abs().max() <= _SAME) else torch.device("cpu")
