"""Canvases whose magnitudes are free: the Fourier parametrisation, from noise or from a photo.

References
----------
C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill 2017: the decorrelated parametrisation.
C. Hamblin, T. Fel, S. Saha, T. Konkle, G. Alvarez, "Feature Accentuation: Revealing 'What' Features Respond to in
Natural Images", arXiv:2402.10039.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal

import torch

from whatwhere.prototypes.canvas import Waves, tie_, tied_phases, turning

if TYPE_CHECKING:
    from torch import Tensor

    from whatwhere.prototypes.canvas import Activation, Drawn

Magnitude = Literal["free", "fixed"]

_START = 0.01  # deviation of first coefficients: next to grey
_CLAMP = 1e-3  # a photo's colours stay this far from 0 and 1, where the sigmoid has no gradient


def wave_scale(size: tuple[int, int], exponent: float, contrast: float, device: torch.device | None = None) -> Tensor:
    """Return what coefficients are multiplied by, so that each wave moves as far as natural pictures have of it.

    Parameters
    ----------
    size : (int, int)
        Height and width in pixels.
    exponent : float
        Scales fall with this power of the frequency; the mean has that of the lowest frequency.
    contrast : float
        Standard deviation of the pixels of a picture whose coefficients are drawn with deviation 1.
    device : torch.device, optional
        Where to put it.

    Returns
    -------
    Tensor of shape (H, W // 2 + 1), float32
        Scales, at least 0.
    """
    rows, columns = torch.fft.fftfreq(size[0], dtype=torch.float64), torch.fft.rfftfreq(size[1], dtype=torch.float64)
    scale = torch.hypot(rows[:, None], columns).clamp(min=1 / max(size)) ** -exponent
    weight = Waves(1, size)._weight.double()  # noqa: SLF001  # of the same half spectrum
    return (scale * (contrast / (weight * scale).square().sum().sqrt())).to(device, torch.float32)


class FreeCanvas(Waves):
    """Pictures as a function of free Fourier coefficients, scaled by a power of their frequency.

    Parameters
    ----------
    channels : int
        Channels of the pictures.
    size : (int, int)
        Height and width in pixels.
    exponent, contrast : float, default 1
        See `wave_scale`.
    activation : {"sigmoid", "identity"}, default "sigmoid"
        What takes numbers into [0, 1].
    colours : bool, default True
        Whether three channels are decorrelated colours.
    device : torch.device, optional
        Where to compute; the CPU by default.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        *,
        exponent: float = 1.0,
        contrast: float = 1.0,
        activation: Activation = "sigmoid",
        colours: bool = True,
        device: torch.device | None = None,
    ) -> None:
        origin = f"free, scaled by 1 / f^{exponent:g}"
        super().__init__(channels, size, activation=activation, colours=colours, device=device, origin=origin)
        self.scale = wave_scale(size, exponent, contrast, self.device)

    def start(self, generator: torch.Generator) -> Tensor:
        """Draw small coefficients: a picture next to grey.

        Parameters
        ----------
        generator : torch.Generator
            Of the CPU.

        Returns
        -------
        Tensor of shape (C, H, W // 2 + 1, 2), float32
            Real and imaginary parts, before they are scaled.
        """
        return (_START * torch.randn((*self.half, 2), generator=generator)).to(self.device)

    def draw(self, values: Tensor) -> Drawn:
        """Make pictures of coefficients.

        Parameters
        ----------
        values : Tensor of shape (B, C, H, W // 2 + 1, 2), float32
            Coefficients.

        Returns
        -------
        Drawn
            Pictures, and the waves they are made of.
        """
        return self.paint(torch.view_as_complex(values * self.scale[..., None]))

    def gradient(self, drawn: Drawn, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to coefficients from that with respect to pictures.

        Parameters
        ----------
        drawn : Drawn
            What `draw` returned.
        gradient : Tensor of shape (B, C, H, W)
            Of some number, with respect to ``drawn.image``.

        Returns
        -------
        Tensor of shape (B, C, H, W // 2 + 1, 2), float32
            Of the same number.
        """
        return torch.view_as_real(self.pull(drawn, gradient) * self.scale)


class PhotoCanvas(FreeCanvas):
    """Pictures as a function of what is changed in photos, each prototype's in its own.

    Parameters
    ----------
    photos : Tensor of shape (B, C, H, W), float32
        The photos in [0, 1]; kept 0.001 away from both ends.
    magnitude : {"free", "fixed"}, default "free"
        Whether coefficients are searched, scaled as in `FreeCanvas` and added to the photo's; or phases alone, added to
        the photo's phases.
    exponent, contrast : float, default 1
        See `wave_scale`.
    device : torch.device, optional
        Where to compute; the CPU by default.

    Attributes
    ----------
    photos : Tensor of shape (B, C, H, W), float32
        What the photos are before anything is changed, as drawn.
    """

    def __init__(
        self,
        photos: Tensor,
        *,
        magnitude: Magnitude = "free",
        exponent: float = 1.0,
        contrast: float = 1.0,
        device: torch.device | None = None,
    ) -> None:
        height, width = photos.shape[2:]
        super().__init__(photos.shape[1], (height, width), exponent=exponent, contrast=contrast, device=device)
        self.magnitude = magnitude
        told = f"free, from the photo's by steps of 1 / f^{exponent:g}" if magnitude == "free" else "the photo's"
        self.origin = self.origin.replace(f"free, scaled by 1 / f^{exponent:g}", told)
        self._photos = self.waves_of(photos.to(self.device, torch.float32).clamp(_CLAMP, 1 - _CLAMP))
        self.photos = self.paint(self._photos).image

    def of(self, rows: list[int]) -> PhotoCanvas:
        """Return the canvas of some of the prototypes.

        Parameters
        ----------
        rows : list of int
            Their numbers.

        Returns
        -------
        PhotoCanvas
            With their photos alone.
        """
        if rows == list(range(len(self._photos))):
            return self
        some = copy.copy(self)
        some._photos, some.photos = self._photos[rows], self.photos[rows]  # noqa: SLF001  # its own copy
        return some

    def start(self, generator: torch.Generator) -> Tensor:
        """Begin with the photo: nothing is changed.

        Parameters
        ----------
        generator : torch.Generator
            Not used.

        Returns
        -------
        Tensor of shape (C, H, W // 2 + 1, 2) or, of phases, (C, H, W // 2 + 1), float32
            Zeros.
        """
        del generator
        return torch.zeros((*self.half, 2) if self.magnitude == "free" else self.half, device=self.device)

    def draw(self, values: Tensor) -> Drawn:
        """Make pictures of what is changed.

        Parameters
        ----------
        values : Tensor of shape (B, C, H, W // 2 + 1, 2) or (B, C, H, W // 2 + 1), float32
            Coefficients, or phases.

        Returns
        -------
        Drawn
            Pictures, and the waves they are made of.
        """
        if self.magnitude == "free":
            return self.paint(self._photos + torch.view_as_complex(values * self.scale[..., None]))
        tied = tied_phases(values, self.size[1])
        return self.paint(self._photos * torch.complex(torch.cos(tied), torch.sin(tied)))

    def gradient(self, drawn: Drawn, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to what is changed from that with respect to pictures.

        Parameters
        ----------
        drawn : Drawn
            What `draw` returned.
        gradient : Tensor of shape (B, C, H, W)
            Of some number, with respect to ``drawn.image``.

        Returns
        -------
        Tensor of the shape of `draw`'s values, float32
            Of the same number.
        """
        if self.magnitude == "free":
            return super().gradient(drawn, gradient)
        return tie_(turning(drawn.waves, self.pull(drawn, gradient)), self.size[1])
