"""The way from a photo's pixels to a network's input: resize, crop, normalise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
from PIL import Image

from whatwhere.pixels import recipes
from whatwhere.pixels.checks import colours, pair, whole_number
from whatwhere.pixels.geometry import Geometry
from whatwhere.pixels.images import Photo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from whatwhere.pixels.images import Pixels

#: Filters that Pillow resamples with.
Interpolation: TypeAlias = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

_FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
_FITS = ("stretch", "cover", "contain")
_MARGINS = ("round", "down")
_ORDERS = ("RGB", "BGR")
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_MOST_INPUT = 8192 * 8192  # pixels: 805 MB as float32
_SAME = 3.0  # grey levels: 8-bit rounding after each axis moves smooth pictures by one or two
_SPARE = 16  # times the crop's area that may be resampled and thrown away; beyond, only the crop is resampled


class _Layout(NamedTuple):
    """Where the crop lies in the resized photo."""

    resized: tuple[int, int]
    top: int
    left: int
    size: tuple[int, int]

    @property
    def shown(self) -> tuple[int, int, int, int]:
        """Top, left, bottom, right of the part of the resized photo that lies in the crop."""
        return (
            max(self.top, 0),
            max(self.left, 0),
            min(self.top + self.size[0], self.resized[0]),
            min(self.left + self.size[1], self.resized[1]),
        )


@dataclass(frozen=True)
class Preprocess:
    """Pixel-space preprocessing: resize, crop the centre, normalise.

    Parameters
    ----------
    resize : int, (int, int) or None
        Length of the short side in pixels before cropping; or height and width, see `fit`; or None to keep the photo's
        size.
    crop : (int, int) or None
        Height and width of the central crop, the network's input size. Where the resized photo is
        smaller, it is padded with `fill`. None shows the network the whole resized photo.
    mean, std : sequence of three floats, or of one
        Subtracted from, and divided into, the channels' values in [0, 1], in the order of `channel_order`. One value
        makes a grey input of one channel, the luma 0.299 R + 0.587 G + 0.114 B. For a network that wants 0 to 255, std
        is 1 / 255.
    interpolation : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, default "bicubic"
        Pillow's filter, with antialiasing.
    fit : {"stretch", "cover", "contain"}, default "stretch"
        What (height, width) in `resize` means: exactly this, whatever the photo's shape; the smallest size of the
        photo's shape that covers it; or the largest that it contains.
    fill : sequence of three floats, default (0, 0, 0)
        RGB in [0, 1] of the padding: black.
    margin : {"round", "down"}, default "round"
        What half of an odd margin is, before the crop's upper and left edge: rounded to the even number, as torchvision
        and timm do, or down, as transformers does.
    channel_order : {"RGB", "BGR"}, default "RGB"
        Order of the network's input channels.
    eight_bit : bool, default False
        Whether resizing rounds, and clips, to whole grey levels after each axis, as Pillow does with pictures.

    Raises
    ------
    TypeError
        If a size is not a whole number or a pair of them, or `mean`, `std` or `fill` no sequence of numbers.
    ValueError
        If a size is below 1, there are not one or three means and as many deviations, a deviation is not positive, or
        a word is not among the known ones.

    Notes
    -----
    With ``eight_bit=True`` the input is, to the last bit, that of torchvision's and timm's transforms on PIL images;
    transformers, on tensors of 8-bit integers, comes within two grey levels but for single pixels at edges. `read`
    sets it where the source works so. Without, resizing is in float32 and clipped to [0, 1] at the end, as torchvision
    does with tensors of floats (``antialias=True``, its default; without antialiasing it skips pixels, and differs).
    The two are less than one grey level apart, or more where a bicubic overshoot at an edge was clipped between the
    axes: up to 12 levels at single pixels of four test photos.

    Memory and time grow with the photo and the input, not with what lies between: of a photo much longer than wide,
    only what the crop shows is resampled.
    """

    resize: int | tuple[int, int] | None
    crop: tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Interpolation = "bicubic"
    fit: Literal["stretch", "cover", "contain"] = "stretch"
    fill: tuple[float, ...] = (0.0, 0.0, 0.0)
    margin: Literal["round", "down"] = "round"
    channel_order: Literal["RGB", "BGR"] = "RGB"
    eight_bit: bool = False

    def __post_init__(self) -> None:
        resize: object = self.resize
        if resize is not None:
            resize = whole_number(resize, "resize") if np.ndim(cast("Any", resize)) == 0 else pair(resize, "resize")
        mean, std, fill = (colours(getattr(self, key), key) for key in ("mean", "std", "fill"))
        if len(mean) != len(std):
            raise ValueError(f"mean and std: wanted as many of one as of the other, got {len(mean)} and {len(std)}.")
        if not min(std) > 0:
            raise ValueError(f"std: wanted numbers above 0, got {std}.")
        known = {"interpolation": _FILTERS, "fit": _FITS, "margin": _MARGINS, "channel_order": _ORDERS}
        for key, words in known.items():
            if getattr(self, key) not in words:
                raise ValueError(f"{key}: wanted one of {words}, got {getattr(self, key)!r}.")
        crop = None if self.crop is None else pair(self.crop, "crop")
        fill = fill * 3 if len(fill) == 1 else fill
        for key, value in {"resize": resize, "crop": crop, "mean": mean, "std": std, "fill": fill}.items():
            object.__setattr__(self, key, value)

    @classmethod
    def read(
        cls,
        source: Any = None,
        *,
        input_size: int | tuple[int, int] | None = None,
        resize: int | tuple[int, int] | None = None,
        crop: Literal["center"] | None = "center",
        interpolation: Interpolation = "bicubic",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> Preprocess:
        """Understand what another library, or a person, says about preprocessing.

        Parameters
        ----------
        source : object, optional
            A Preprocess; torchvision's ``weights`` or ``weights.transforms()``; a Compose of resize, central crop,
            conversion and Normalize, from torchvision or timm; a timm data config; or a Hugging Face image processor.
            By default the keywords say it all.
        input_size : int or (int, int), optional
            The network's input in pixels; an int is a square.
        resize : int or (int, int), optional
            Short side, or height and width, before the crop. By default the photo is made just large enough to cover
            `input_size`, so that the crop shows as much of it as it can.
        crop : {"center"} or None, default "center"
            None shows the whole photo, stretched to `input_size` or `resize`.
        interpolation : str, default "bicubic"
            As for `Preprocess`.
        mean, std : sequence of one or three floats, optional
            As for `Preprocess`. There is no default: networks differ. Together with `source` they replace what it says,
            or add what it leaves open.

        Returns
        -------
        Preprocess
            The same steps.

        Raises
        ------
        TypeError
            If `source` is of a kind that cannot be read, such as a function: a map on the input has to be drawn back on
            the photo, so where each pixel came from must be known.
        ValueError
            If a step is random or is not resizing, central cropping or normalising; if a processor does otherwise than
            its settings say; if `mean`, `std` or the size is missing; or if `input_size`, `resize`, `crop` or
            `interpolation` say otherwise than a `source` that settles them.

        Notes
        -----
        A Hugging Face processor is run on one small picture, to see that it does what its settings say.
        """
        words = {"input_size": input_size, "resize": resize, "crop": crop, "interpolation": interpolation}
        if source is None:
            return cls(**recipes.from_words(words, mean, std))
        usual = {"input_size": None, "resize": None, "crop": "center", "interpolation": "bicubic"}
        settled = [f"{key}={value!r}" for key, value in words.items() if value != usual[key]]
        if settled:
            raise ValueError(
                f"preprocess: it says how photos are resized and cropped, and so do {', '.join(settled)}; leave one "
                "out, or change single fields with dataclasses.replace(whatwhere.Preprocess.read(preprocess), …)."
            )
        if isinstance(source, cls):
            read = source
        else:
            read = cls(**recipes.read(source, mean=mean, std=std))
            if recipes.is_processor(source):
                _check_processor(source, read)
        return replace(
            read,
            mean=read.mean if mean is None else colours(mean, "mean"),
            std=read.std if std is None else colours(std, "std"),
        )

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width of the network's input in pixels, or None where they depend on the photo."""
        if self.crop is not None:
            return self.crop
        return self.resize if isinstance(self.resize, tuple) and self.fit == "stretch" else None

    def geometry(self, photo: Photo) -> Geometry:
        """Return where the network's input lies on a photo.

        Parameters
        ----------
        photo : Photo
            The photo.

        Returns
        -------
        Geometry
            The input's edges in photo pixels; beyond the photo where the input is padded.

        Raises
        ------
        ValueError
            If the input would have more than 67 megapixels.
        """
        height, width = photo.size
        if photo.prepared:
            return Geometry(photo.size, (0.0, 0.0, float(height), float(width)), photo.size)
        resized, top, left, size = self._layout(height, width)
        down, right = height / resized[0], width / resized[1]
        seen = (top * down, left * right, (top + size[0]) * down, (left + size[1]) * right)
        return Geometry((height, width), seen, size)

    def pixels(self, photo: Photo) -> Pixels:
        """Resize and crop a photo, still in pixel space.

        Parameters
        ----------
        photo : Photo
            The photo; a prepared one is returned as it is.

        Returns
        -------
        ndarray of shape (h, w, 3), float32
            RGB in [0, 1], also for a network of grey images.

        Raises
        ------
        ValueError
            If the input would have more than 67 megapixels.
        """
        if photo.prepared:
            return photo.pixels
        layout = self._layout(*photo.size)
        shown = self._resample(photo.pixels, layout)
        if shown.shape[:2] == layout.size:
            return shown
        canvas = np.empty((*layout.size, shown.shape[2]), dtype=np.float32)
        canvas[:] = self.fill
        top, left = layout.shown[0] - layout.top, layout.shown[1] - layout.left
        canvas[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
        return canvas

    def normalise(self, pixels: Pixels) -> NDArray[np.float32]:
        """Turn pixel-space images into the network's numbers.

        Parameters
        ----------
        pixels : ndarray of shape (..., 3), float32
            RGB in [0, 1].

        Returns
        -------
        ndarray of shape (..., 3), or (..., 1) for a network of grey images, float32
            ``(pixels - mean) / std``, in the network's channel order.
        """
        values = (pixels @ _LUMA)[..., np.newaxis] if len(self.mean) == 1 else pixels
        values = values[..., ::-1] if self.channel_order == "BGR" else values
        every = math.prod(values.shape[-2:-1])  # a row at a time: NumPy is slow at axes of three
        mean, std = (np.tile(np.asarray(v, dtype=np.float32), every) for v in (self.mean, self.std))
        numbers = values.reshape(*values.shape[:-2], every * values.shape[-1]) - mean
        numbers /= std
        return numbers.reshape(values.shape)

    def denormalise(self, numbers: NDArray[np.floating]) -> Pixels:
        """Undo `normalise`.

        Parameters
        ----------
        numbers : ndarray of shape (..., 3), or (..., 1) for a network of grey images
            Normalised values.

        Returns
        -------
        ndarray of shape (..., 3), float32
            RGB, in [0, 1] if the numbers came from an image; grey has three equal channels.
        """
        values = (numbers * np.asarray(self.std) + np.asarray(self.mean)).astype(np.float32)
        if len(self.mean) == 1:
            return np.repeat(values, 3, axis=-1)
        return values[..., ::-1] if self.channel_order == "BGR" else values

    def _layout(self, height: int, width: int) -> _Layout:
        resized = self._resized(height, width)
        size = self.crop or resized
        if size[0] * size[1] > _MOST_INPUT:
            raise ValueError(
                f"resize: a photo of {height} x {width} pixels would become an input of {size[0]} x {size[1]}; give "
                "a crop, or cut the photo to a less extreme shape."
            )
        margins = [have - want for have, want in zip(resized, size, strict=True)]
        top, left = (
            -(-margin // 2) if margin < 0 else round(margin / 2) if self.margin == "round" else margin // 2
            for margin in margins
        )
        return _Layout(resized, top, left, size)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of the resized photo, rounded as torchvision and timm do."""
        if self.resize is None:
            return height, width
        if isinstance(self.resize, int):
            short = min(height, width)
            return int(self.resize * height / short), int(self.resize * width / short)
        if self.fit == "stretch":
            return self.resize
        ratios = height / self.resize[0], width / self.resize[1]
        ratio = min(ratios) if self.fit == "cover" else max(ratios)
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    def _resample(self, pixels: Pixels, layout: _Layout) -> Pixels:
        """Return the part of the resized photo that lies in the crop."""
        (height, width), (top, left, bottom, right) = layout.resized, layout.shown
        if (height, width) == pixels.shape[:2]:
            return np.ascontiguousarray(pixels[top:bottom, left:right])
        part = (top, left, bottom, right)
        if height * width <= _SPARE * layout.size[0] * layout.size[1]:
            part = (0, 0, height, width)
        down, across = pixels.shape[0] / height, pixels.shape[1] / width
        box = (
            part[1] * across,
            part[0] * down,
            min(part[3] * across, pixels.shape[1]),
            min(part[2] * down, pixels.shape[0]),
        )
        size, method = (part[3] - part[1], part[2] - part[0]), Image.Resampling[self.interpolation.upper()]
        if self.eight_bit:
            picture = Image.fromarray(np.round(pixels * np.float32(255)).astype(np.uint8))
            sampled = np.asarray(picture.resize(size, method, box=box), dtype=np.float32) / np.float32(255)
        else:
            planes = (Image.fromarray(np.ascontiguousarray(pixels[..., c])) for c in range(pixels.shape[2]))
            sampled = np.stack([np.asarray(plane.resize(size, method, box=box)) for plane in planes], axis=-1)
        rows, columns = slice(top - part[0], bottom - part[0]), slice(left - part[1], right - part[1])
        return sampled[rows, columns].clip(0, 1)


def _check_processor(processor: Any, read: Preprocess) -> None:
    """Run a processor on a picture, since its class may do otherwise than its settings say."""
    rows, columns = np.mgrid[0:211, 0:317]
    waves = [np.sin(rows / (17 + 5 * c) + columns / (23 + 7 * c) + c) for c in range(3)]
    picture = np.round(np.stack(waves, axis=-1) * 100 + 128).astype(np.uint8)
    theirs = np.asarray(processor(Image.fromarray(picture), return_tensors="np")["pixel_values"])[0]
    ours = np.moveaxis(read.normalise(read.pixels(Photo(picture.astype(np.float32) / np.float32(255)))), -1, 0)
    if theirs.shape != ours.shape:
        differs = f"shape {theirs.shape} instead of {ours.shape}"
    else:
        levels = np.abs(theirs - ours) * np.asarray(read.std)[:, np.newaxis, np.newaxis] * 255
        if levels.max() < _SAME:
            return
        differs = f"values up to {levels.max():.0f} grey levels away"
    raise ValueError(
        f"preprocess: {type(processor).__name__} does otherwise than its settings say: {differs}. Write its steps as "
        "a whatwhere.Preprocess(resize=…, crop=…, mean=…, std=…)."
    )
