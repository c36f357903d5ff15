"""Magnitude spectra of natural pictures: a law of fifteen numbers, or one that was measured on photographs.

A prototype's waves keep these magnitudes; only their phases are searched. Magnitudes are divided by the number of
pixels, so that they do not depend on the size they were measured at, and interpolation keeps cycles per pixel: pictures
of another size have the same detail at the scale of pixels.

References
----------
T. Fel, T. Boissin, V. Boutin, A. Picard, P. Novello, J. Colin, D. Linsley, T. Rousseau, R. Cadène, L. Goetschalckx,
L. Gardes, T. Serre, "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization",
NeurIPS 2023, arXiv:2306.06805.
"""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Colour spaces that a spectrum may be of: the axes of `whatwhere.prototypes.colours`, plain RGB, or one grey channel.
SPACES = {"decorrelated": 3, "rgb": 3, "grey": 1}

_CHANNELS, _AXES = 3, 3
_BASE = 512  # the law's radii are in bins of a picture of this side
_FIRST_RINGS = 8  # bins
_PHOTOS = "data/photo_spectrum.npz"
_KEYS = {"magnitude", "width", "space", "source", "images", "window", "note"}
_LATER = {"images_hash", "licences"}  # files of before have none of them


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum:
    """Mean magnitude of each wave in natural pictures.

    Parameters
    ----------
    magnitude : ndarray of shape (C, H, W // 2 + 1), float32
        Magnitudes at least 0 in the layout of ``rfft2``, divided by H * W.
    width : int
        W, which the half spectrum does not tell.
    space : {"decorrelated", "rgb", "grey"}, default "decorrelated"
        Colour space of the channels: three, three or one.
    source : str, default "given"
        Where it comes from, in a word.
    images : int, default 0
        Number of pictures that were averaged.
    window : bool, default False
        Whether their edges were faded out, which takes the cross of the edges off.
    note : str, default ""
        How it was made, and of what.
    images_hash : str, default ""
        SHA-256 of those pictures, in hexadecimal digits, as `whatwhere.prototypes.measured.magnitude_from_images` says.
    licences : sequence of str, default ()
        What their licences are, as far as known.

    Raises
    ------
    ValueError
        If the shape, the width and the space do not go together, or a magnitude is negative or not finite.
    TypeError
        If `licences` is one text.
    """

    magnitude: NDArray[np.float32]
    width: int
    space: str = "decorrelated"
    source: str = "given"
    images: int = 0
    window: bool = False
    note: str = ""
    images_hash: str = ""
    licences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the parts go together, and hold the array against writing."""
        values = np.asarray(self.magnitude, dtype=np.float32)
        if self.space not in SPACES:
            raise ValueError(f"space: wanted one of {list(SPACES)}, got {self.space!r}.")
        if values.ndim != _AXES or len(values) != SPACES[self.space] or values.shape[2] != self.width // 2 + 1:
            raise ValueError(
                f"magnitude: wanted shape ({SPACES[self.space]}, H, {self.width // 2 + 1}), the half spectrum of a "
                f"{self.space} picture {self.width} pixels wide, got {values.shape}."
            )
        if not np.isfinite(values).all() or values.min() < 0:
            raise ValueError("magnitude: wanted finite numbers of at least 0.")
        values = values.copy()
        values.flags.writeable = False
        object.__setattr__(self, "magnitude", values)
        licences: Any = self.licences
        if isinstance(licences, str):
            raise TypeError(f"licences: wanted a sequence of texts, got the one text {licences!r}.")
        object.__setattr__(self, "licences", tuple(str(each) for each in licences))

    def __repr__(self) -> str:
        pictures = f", {self.images} pictures" if self.images else ""
        return f"<Spectrum {self.source!r}: {self.magnitude.shape[1]} x {self.width} pixels, {self.space}{pictures}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spectrum) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @functools.cached_property
    def key(self) -> str:
        """Hash of the magnitudes, their size and their colour space: sixteen hexadecimal digits."""
        digest = hashlib.blake2b(f"{self.space} {self.width} {self.magnitude.shape}".encode(), digest_size=8)
        digest.update(self.magnitude.tobytes())
        return digest.hexdigest()

    def at(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the magnitudes of pictures of any size, as the spectrum of a real picture has them.

        Parameters
        ----------
        size : (int, int)
            Height and width in pixels.

        Returns
        -------
        ndarray of shape (C, H, W // 2 + 1), float32
            Magnitudes divided by H * W; rows k and -k are equal in the columns that are their own mirror.

        Notes
        -----
        Interpolated in the logarithm, on the grid of cycles per pixel with its wrap-around, after the power law of the
        first rings was taken off; the mean colour is kept apart. The last few are kept for who asks again.
        """
        return _at(self, (int(size[0]), int(size[1]))).copy()

    def save(self, path: str | Path) -> None:
        """Write it to an ``.npz`` file, as float16.

        Parameters
        ----------
        path : path
            Where to.
        """
        told = {name: np.array(getattr(self, name)) for name in sorted((_KEYS | _LATER) - {"magnitude", "licences"})}
        told["licences"] = np.array(self.licences, dtype=np.str_)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, magnitude=self.magnitude.astype(np.float16), **told)  # type: ignore[arg-type]  # of numpy's stub
        Path(path).write_bytes(buffer.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> Spectrum:
        """Read a file that `save` has written; nothing in it is executed.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        Spectrum
            The same, rounded to float16.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is of another kind, or does not say its colour space.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"path: there is no file {str(path)!r}.")
        return cls._read(Path(path).read_bytes(), str(path))

    @classmethod
    def photos(cls) -> Spectrum:
        """Return the mean spectrum of photographs that comes with the package.

        Returns
        -------
        Spectrum
            Its `note` says what it was measured on.
        """
        return _packaged()

    @classmethod
    def _read(cls, contents: bytes, path: str) -> Spectrum:
        try:
            with np.load(io.BytesIO(contents), allow_pickle=False) as file:
                told: dict[str, Any] = {key: file[key] for key in file.files}
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            raise ValueError(f"path: {path!r} is broken or no .npz file: {error}.") from error
        if not _KEYS <= set(told) <= _KEYS | _LATER:
            raise ValueError(
                f"path: wanted a file that Spectrum.save has written, which says colour space and origin, got {path!r} "
                f"with {sorted(told)}. Give a bare array as Spectrum(magnitude, width, space=…)."
            )
        magnitude = told.pop("magnitude").astype(np.float32)
        about: dict[str, Any] = {key: tuple(value) if value.ndim else value.item() for key, value in told.items()}
        return cls(magnitude, **about)


@dataclass(frozen=True)
class Law:
    """A magnitude spectrum as five numbers a channel: ``log m = log a - s log r - (r / c)^q + e cos(4 t)``.

    Here r and t are a wave's radius and angle, the radius in bins of a picture of 512 pixels; at any other size, cycles
    per pixel are kept. The numbers were fitted to the spectrum of `Spectrum.photos`.

    Parameters
    ----------
    amplitude, slope, cutoff, order, cross : tuple of float
        a, s, c, q and e of each channel.
    mean : tuple of float
        Magnitude of each channel's mean.
    space : {"decorrelated", "rgb", "grey"}, default "decorrelated"
        Colour space of the channels.
    """

    amplitude: tuple[float, ...]
    slope: tuple[float, ...]
    cutoff: tuple[float, ...]
    order: tuple[float, ...]
    cross: tuple[float, ...]
    mean: tuple[float, ...]
    space: str = "decorrelated"

    @property
    def source(self) -> str:
        """Where it comes from, in a word."""
        return "law"

    @property
    def key(self) -> str:
        """Hash of the numbers: sixteen hexadecimal digits."""
        return hashlib.blake2b(repr(self).encode(), digest_size=8).hexdigest()

    def at(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the magnitudes of pictures of any size.

        Parameters
        ----------
        size : (int, int)
            Height and width in pixels.

        Returns
        -------
        ndarray of shape (C, H, W // 2 + 1), float32
            Magnitudes divided by H * W.
        """
        rows, columns = np.fft.fftfreq(size[0])[:, np.newaxis], np.fft.rfftfreq(size[1])[np.newaxis]
        radius = _BASE * np.hypot(rows, columns)
        radius[0, 0] = 1.0
        angle = np.arctan2(rows, columns)
        found = [
            np.log(a) - s * np.log(radius) - (radius / c) ** q + e * np.cos(4 * angle)
            for a, s, c, q, e in zip(self.amplitude, self.slope, self.cutoff, self.order, self.cross, strict=True)
        ]
        magnitude = np.exp(np.stack(found))
        magnitude[:, 0, 0] = self.mean
        return symmetric(magnitude.astype(np.float32), size[1])


#: The law that fits `Spectrum.photos`, within 7 % on average.
PHOTO_LAW = Law(
    amplitude=(0.8590, 0.7536, 0.7398),
    slope=(1.227, 1.200, 1.215),
    cutoff=(367.6, 311.3, 366.0),
    order=(3.549, 1.339, 3.598),
    cross=(0.1170, 0.1250, 0.0884),
    mean=(0.7596, 1.031, 0.9256),
)


def grey_of(spectrum: Spectrum | Law) -> Spectrum | Law:
    """Return the spectrum of grey pictures that a colour spectrum holds: its first channel, of light.

    Parameters
    ----------
    spectrum : Spectrum or Law
        Of decorrelated or grey pictures.

    Returns
    -------
    Spectrum or Law
        Of grey pictures.

    Raises
    ------
    ValueError
        If it is of plain RGB, which has no channel of light.
    """
    if spectrum.space == "grey":
        return spectrum
    if spectrum.space != "decorrelated":
        raise ValueError(f"spectrum: wanted one of grey or decorrelated pictures, got one of {spectrum.space}.")
    if isinstance(spectrum, Law):
        return Law(
            amplitude=spectrum.amplitude[:1],
            slope=spectrum.slope[:1],
            cutoff=spectrum.cutoff[:1],
            order=spectrum.order[:1],
            cross=spectrum.cross[:1],
            mean=spectrum.mean[:1],
            space="grey",
        )
    return replace(spectrum, magnitude=spectrum.magnitude[:1], space="grey")


def symmetric(magnitude: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Make rows k and -k equal in the columns that are their own mirror, as the spectrum of a real picture has them.

    Parameters
    ----------
    magnitude : ndarray of shape (C, H, W // 2 + 1), float32
        Magnitudes.
    width : int
        W.

    Returns
    -------
    ndarray of shape (C, H, W // 2 + 1), float32
        A copy.
    """
    out = magnitude.astype(np.float32, copy=True)
    mirror = -np.arange(out.shape[1]) % out.shape[1]
    for column in own_mirrors(width):
        out[:, :, column] = (magnitude[:, :, column] + magnitude[:, mirror, column]) / 2
    return out


def own_mirrors(width: int) -> tuple[int, ...]:
    """Return the columns of a half spectrum that are their own mirror.

    Parameters
    ----------
    width : int
        Width of the picture.

    Returns
    -------
    tuple of int
        The first, and for an even width the last.
    """
    return (0, width // 2) if width % 2 == 0 else (0,)


@functools.lru_cache(maxsize=8)
def _at(spectrum: Spectrum, size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize a spectrum, once: every ascent asks for it."""
    if size == (spectrum.magnitude.shape[1], spectrum.width):
        return symmetric(spectrum.magnitude, spectrum.width)
    return symmetric(_resized(spectrum.magnitude, spectrum.width, size), size[1])


def _resized(magnitude: NDArray[np.float32], width: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Interpolate the logarithm of magnitude over its own power law, bilinearly in cycles per pixel."""
    height = magnitude.shape[1]
    rows, columns = np.fft.fftshift(np.fft.fftfreq(height)), np.fft.rfftfreq(width)
    radius = np.hypot(rows[:, np.newaxis], columns)
    zero = height // 2  # the row of frequency 0 after the shift
    radius[zero, 0] = 1.0
    tiny = np.finfo(np.float32).tiny
    logs = np.log(np.maximum(np.fft.fftshift(magnitude, axes=1).astype(np.float64), tiny))
    slope = _slopes(logs, radius * min(height, width))[:, np.newaxis, np.newaxis]
    logs += slope * np.log(radius)
    logs[:, zero, 0] = (logs[:, zero - 1, 0] + logs[:, zero + 1, 0] + 2 * logs[:, zero, 1]) / 4
    if height % 2 == 0:  # frequency -1/2 is +1/2 too
        rows, logs = np.append(rows, 0.5), np.concatenate([logs, logs[:, :1]], axis=1)
    wanted_rows, wanted_columns = np.fft.fftfreq(size[0]), np.fft.rfftfreq(size[1])
    below, share = _between(rows, wanted_rows)
    logs = logs[:, below] * (1 - share)[:, np.newaxis] + logs[:, below + 1] * share[:, np.newaxis]
    below, share = _between(columns, wanted_columns)
    logs = logs[:, :, below] * (1 - share) + logs[:, :, below + 1] * share
    wanted = np.hypot(wanted_rows[:, np.newaxis], wanted_columns)
    wanted[0, 0] = 1.0
    out = np.exp(logs - slope * np.log(wanted))
    out[:, 0, 0] = magnitude[:, 0, 0]
    return np.asarray(out, dtype=np.float32)


def _slopes(logs: NDArray[np.float64], bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit each channel's power law to its first rings: what interpolation near frequency 0 goes by."""
    near = (bins >= 1) & (bins <= _FIRST_RINGS)
    x = np.log(bins[near]) - np.log(bins[near]).mean()
    found: NDArray[np.float64] = -(logs[:, near] * x).sum(axis=1) / (x**2).sum()
    return found


def _between(known: NDArray[Any], wanted: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each wanted frequency the known one below it and the share of the next; the ends hold beyond them."""
    below = np.clip(np.searchsorted(known, wanted, side="right") - 1, 0, len(known) - 2)
    return below, np.clip((wanted - known[below]) / (known[below + 1] - known[below]), 0, 1)


@functools.cache
def _packaged() -> Spectrum:
    return Spectrum._read(files("whatwhere.prototypes").joinpath(_PHOTOS).read_bytes(), _PHOTOS)  # noqa: SLF001  # the module's own
