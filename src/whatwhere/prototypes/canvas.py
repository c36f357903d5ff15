"""The canvas of a prototype: waves are added up, and colours come last; of given magnitudes, phases are searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from whatwhere.prototypes._fourier_device import fourier_device
from whatwhere.prototypes.colours import TO_RGB
from whatwhere.prototypes.spectrum import own_mirrors

if TYPE_CHECKING:
    from torch import Tensor

    from whatwhere.prototypes.spectrum import Law, Spectrum

Activation = Literal["sigmoid", "identity"]
Mean = Literal["grey", "keep"]


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


class Waves:
    """What canvases share: the way from a half spectrum to pictures, and back.

    Parameters
    ----------
    channels : int
        Channels of the pictures.
    size : (int, int)
        Height and width in pixels.
    activation : {"sigmoid", "identity"}, default "sigmoid"
        What takes numbers into [0, 1].
    colours : bool, default True
        Whether three channels are decorrelated colours, which become RGB.
    device : torch.device, optional
        Where to compute; the CPU by default.
    origin : str, default ""
        What is said of the magnitudes.

    Attributes
    ----------
    fallback : str
        Why Fourier transforms are made on the CPU and not on the device; empty if they are made there.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        *,
        activation: Activation = "sigmoid",
        colours: bool = True,
        device: torch.device | None = None,
        origin: str = "",
    ) -> None:
        self.channels, self.size, self.activation = channels, size, activation
        self.device = device or torch.device("cpu")
        weight = torch.full((size[1] // 2 + 1,), 2.0)
        weight[list(own_mirrors(size[1]))] = 1.0
        self._weight = weight.to(self.device)
        self._matrix = torch.from_numpy(TO_RGB).to(self.device) if colours and channels == len(TO_RGB) else None
        self._fourier, self.fallback = fourier_device(self.device)
        self.origin = origin + (", Fourier transforms on the CPU" if self.fallback else "")

    @property
    def half(self) -> tuple[int, int, int]:
        """Shape of the half spectrum: channels, H and W // 2 + 1."""
        return self.channels, self.size[0], self.size[1] // 2 + 1

    def of(self, rows: list[int]) -> Waves:
        """Return the canvas of some of the prototypes.

        Parameters
        ----------
        rows : list of int
            Their numbers.

        Returns
        -------
        Waves
            Itself, where all have the same canvas.
        """
        del rows
        return self

    def start(self, generator: torch.Generator) -> Tensor:
        """Return where the search begins.

        Parameters
        ----------
        generator : torch.Generator
            Of the CPU: the same numbers on every device.

        Returns
        -------
        Tensor
            What is searched, of one prototype.
        """
        raise NotImplementedError

    def draw(self, values: Tensor) -> Drawn:
        """Make pictures.

        Parameters
        ----------
        values : Tensor of shape (B, ...), float32
            What is searched.

        Returns
        -------
        Drawn
            Pictures, and the waves they are made of.
        """
        raise NotImplementedError

    def gradient(self, drawn: Drawn, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to what is searched from that with respect to pictures.

        Parameters
        ----------
        drawn : Drawn
            What `draw` returned.
        gradient : Tensor of shape (B, C, H, W)
            Of some number, with respect to ``drawn.image``.

        Returns
        -------
        Tensor of shape (B, ...), float32
            Of the same number.
        """
        raise NotImplementedError

    def paint(self, waves: Tensor) -> Drawn:
        """Add waves up, and turn colours to RGB.

        Parameters
        ----------
        waves : Tensor of shape (B, C, H, W // 2 + 1), complex64
            A half spectrum, divided by H * W.

        Returns
        -------
        Drawn
            Pictures and waves.
        """
        flat = torch.fft.irfft2(waves.to(self._fourier), s=self.size, norm="forward").to(self.device)
        if self._matrix is not None:
            flat = (self._matrix.T @ flat.flatten(2)).view(flat.shape)
        return Drawn(flat.sigmoid_() if self.activation == "sigmoid" else flat, waves)

    def waves_of(self, image: Tensor) -> Tensor:
        """Return the half spectrum that paints pictures: the inverse of `paint`.

        Parameters
        ----------
        image : Tensor of shape (B, C, H, W), float32
            Pictures; strictly between 0 and 1 with a sigmoid.

        Returns
        -------
        Tensor of shape (B, C, H, W // 2 + 1), complex64
            Divided by H * W.
        """
        flat = torch.logit(image) if self.activation == "sigmoid" else image
        if self._matrix is not None:
            flat = (torch.linalg.inv(self._matrix.T) @ flat.flatten(2)).view(flat.shape)
        return torch.fft.rfft2(flat.to(self._fourier), norm="forward").to(self.device)

    def pull(self, drawn: Drawn, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to the waves' real and imaginary parts.

        Parameters
        ----------
        drawn : Drawn
            Pictures.
        gradient : Tensor of shape (B, C, H, W)
            With respect to them.

        Returns
        -------
        Tensor of shape (B, C, H, W // 2 + 1), complex64
            One Fourier transform, twice where the half spectrum stands for two waves.
        """
        image = drawn.image
        flat = (gradient * image).mul_(1 - image) if self.activation == "sigmoid" else gradient
        if self._matrix is not None:
            flat = (self._matrix @ flat.flatten(2)).view(flat.shape)
        return torch.fft.rfft2(flat.to(self._fourier)).to(self.device).mul_(self._weight)


def tied_phases(phase: Tensor, width: int) -> Tensor:
    """Return the phases of a real picture that are nearest: in columns that are their own mirror, odd in the row.

    Parameters
    ----------
    phase : Tensor of shape (..., H, W // 2 + 1)
        Phases, or gradients of tied ones: the function is its own transpose.
    width : int
        W.

    Returns
    -------
    Tensor of shape (..., H, W // 2 + 1)
        A copy. Waves that are their own mirror get phase 0.
    """
    return tie_(phase.clone(), width)


def tie_(phase: Tensor, width: int) -> Tensor:
    """Tie phases, or gradients of tied ones, where they are.

    Parameters
    ----------
    phase : Tensor of shape (..., H, W // 2 + 1)
        Written to.
    width : int
        W.

    Returns
    -------
    Tensor of shape (..., H, W // 2 + 1)
        The same; see `tied_phases`.
    """
    height = phase.shape[-2]
    mirror = ((-torch.arange(height)) % height).to(phase.device)
    for column in own_mirrors(width):
        own = phase[..., column]
        phase[..., column] = (own - own[..., mirror]) / 2
    return phase


def turning(waves: Tensor, pulled: Tensor) -> Tensor:
    """Return the gradient with respect to phases from that with respect to waves.

    Parameters
    ----------
    waves, pulled : Tensor of shape (..., H, W // 2 + 1), complex64
        Waves, and `Waves.pull`.

    Returns
    -------
    Tensor of shape (..., H, W // 2 + 1), float32
        The imaginary part of conj(waves) * pulled.
    """
    return (waves.real * pulled.imag).sub_(waves.imag * pulled.real)


class Canvas(Waves):
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
        given = torch.from_numpy(spectrum.at(size)).double()
        decorrelated = colours and spectrum.space == "decorrelated"
        origin = f"{spectrum.source} {spectrum.key}"
        super().__init__(len(given), size, activation=activation, colours=decorrelated, device=device, origin=origin)
        self.tied = tied
        power = self._weight.cpu() * given**2
        power[:, 0, 0] = 0
        variance = float(power.sum() / len(given))
        if not variance > 0:
            raise ValueError("spectrum: wanted magnitudes above 0, got none but the mean's.")
        self.scale = contrast / variance**0.5
        given *= self.scale
        if mean == "grey":
            given[:, 0, 0] = 0
        self.magnitude = given.float().to(self.device)

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
        drawn = (torch.rand(self.magnitude.shape, generator=generator) * 2 - 1) * torch.pi
        if self.tied:  # from one half: differences of two uniform phases are mostly small, and waves of them add up
            half = (self.size[0] - 1) // 2
            for column in own_mirrors(self.size[1]):
                drawn[:, self.size[0] - half :, column] = -drawn[:, 1 : half + 1, column].flip(1)
        return self.tie(drawn).to(self.device)

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
        return tied_phases(phase, self.size[1]) if self.tied else phase.clone()

    def draw(self, values: Tensor) -> Drawn:
        """Make pictures of phases.

        Parameters
        ----------
        values : Tensor of shape (B, C, H, W // 2 + 1), float32
            Phases.

        Returns
        -------
        Drawn
            Pictures, and the waves they are made of.
        """
        tied = self.tie(values)
        return self.paint(torch.complex(torch.cos(tied).mul_(self.magnitude), torch.sin(tied).mul_(self.magnitude)))

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
        found = turning(drawn.waves, self.pull(drawn, gradient))
        return tie_(found, self.size[1]) if self.tied else found
