"""Picture files and PIL images: opening, turning upright, bringing to pixel space with bounded memory."""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from whatwhere.pixels.arrays import block_side, in_strips, to_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: Endings of files that are taken from a folder.
SUFFIXES = tuple(
    f".{ending}"
    for ending in (
        *("avif", "bmp", "gif", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm"),
        *("tga", "tif", "tiff", "webp"),
    )
)
_DEEP = 65535
_ORIENTATION = 0x0112
# EXIF orientation: (exchange rows and columns first, then turn rows round, turn columns round)
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
_SHOWN_NAME = 200  # characters of a path in a message
_SILENT = ("JPEG", "MPO", "PNG", "WEBP")  # their decoders never warn, so threads need not wait for each other
_quiet_lock = threading.Lock()


class _BrokenFileError(Exception):
    """A decoder of Pillow stumbled over a file's contents."""


def read_file(source: str | os.PathLike[str] | bytes | bytearray | memoryview, name: str) -> NDArray[np.float32]:
    """Read a picture file.

    Parameters
    ----------
    source : path or bytes
        The file, or what is in it.
    name : str
        What error messages call it.

    Returns
    -------
    ndarray of shape (H, W, 3), float32
        RGB in [0, 1], turned upright, laid on white, of an animation the first frame; above 4096 x 4096 pixels the
        means of blocks.

    Raises
    ------
    ValueError
        If the file is missing, not an image, broken, or larger than Pillow opens (twice
        ``PIL.Image.MAX_IMAGE_PIXELS``: 179 megapixels).

    Notes
    -----
    Of a large JPEG only every second, fourth or eighth frequency is decoded; other files are decoded whole, at up to
    four bytes a pixel, before they are made smaller.
    """
    with _explained(source, name), _open(_stream(source)) as picture:
        if block_side(picture.height, picture.width) > 1:
            side = block_side(picture.height, picture.width)
            picture.draft(None, (-(-picture.width // side), -(-picture.height // side)))
        _load(picture)
        return from_pil(picture, name)


def size_of(source: str | os.PathLike[str] | bytes, name: str, *, formats: tuple[str, ...]) -> tuple[int, int]:
    """Read the size of a picture from the beginning of its file, without decoding it.

    Parameters
    ----------
    source : path or bytes
        The file, or what is in it.
    name : str
        What error messages call it.
    formats : tuple of str
        Pillow's names of the formats that are let in; others are not even tried.

    Returns
    -------
    (int, int)
        Height and width in pixels, as stored: before it is turned upright.

    Raises
    ------
    ValueError
        If the file is missing, of another format, broken, or larger than Pillow opens.
    """
    with _explained(source, name), _open(_stream(source), formats) as picture:
        return picture.height, picture.width


def from_pil(picture: Image.Image, name: str) -> NDArray[np.float32]:
    """Bring a PIL image to pixel space.

    Parameters
    ----------
    picture : PIL.Image.Image
        Of any mode; of an animation the present frame.
    name : str
        What error messages call it.

    Returns
    -------
    ndarray of shape (H, W, 3), float32
        RGB in [0, 1], turned as its EXIF says, laid on white; above 4096 x 4096 pixels the means of blocks.

    Raises
    ------
    TypeError
        If it has 32-bit integers beyond 65535.
    ValueError
        If it is empty, its floats are outside [0, 1], or Pillow cannot turn its mode into RGB.
    """
    width, height = picture.size
    if not width or not height:
        raise ValueError(f"{name}: wanted at least one pixel, got a PIL image of {height} x {width}.")

    def read(top: int, bottom: int) -> NDArray[np.float32]:
        whole = bottom - top == height
        return to_pixels(_numbers(picture if whole else picture.crop((0, top, width, bottom)), name), name)

    pixels = in_strips(height, width, read)
    exchange, rows, columns = _TURNS.get(_orientation(picture), (False, False, False))
    upright = pixels.transpose(1, 0, 2) if exchange else pixels
    return np.ascontiguousarray(upright[:: -1 if rows else 1, :: -1 if columns else 1])


def images_below(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Find the image files in a folder and in those below it, without opening them.

    Parameters
    ----------
    folder : path
        Where to look. Links are followed; a folder that is met twice is read once.

    Returns
    -------
    dict of str to Path
        In sorted order, by path relative to `folder` without its suffix: ``"tench/0001"``. Where two files differ by
        their suffix alone, both keep it. Hidden files and folders, and files that do not end like images, are left out.

    Raises
    ------
    ValueError
        If there is none.
    """
    root = Path(folder)
    files = sorted(_walk(root), key=lambda path: path.relative_to(root).parts)
    if not files:
        endings = ", ".join(SUFFIXES)
        raise ValueError(f"images: wanted a folder with images in it or below it, found none in {root} ({endings}).")
    short = [path.relative_to(root).with_suffix("").as_posix() for path in files]
    twice = _repeated(short)
    return {
        path.relative_to(root).as_posix() if title in twice else title: path
        for title, path in zip(short, files, strict=True)
    }


def _walk(root: Path) -> Iterator[Path]:
    met = set()
    for place, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        if real in met:
            folders.clear()
            continue
        met.add(real)
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        yield from (
            Path(place, file) for file in files if not file.startswith(".") and Path(file).suffix.lower() in SUFFIXES
        )


def _repeated(titles: list[str]) -> set[str]:
    met: set[str] = set()
    twice: set[str] = set()
    for title in titles:
        (twice if title in met else met).add(title)
    return twice


def _stream(source: Any) -> Any:
    return io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source


@contextmanager
def _explained(source: Any, name: str) -> Iterator[None]:
    """Say what was wrong with a file, and what to do."""
    where = f"{name}: {_shown(source)}"
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{where} does not exist (looked in {Path.cwd()}).") from None
    except IsADirectoryError:
        raise ValueError(
            f"{where} is a folder; pass one of its files, or the folder where several are taken."
        ) from None
    except UnidentifiedImageError:
        raise ValueError(f"{where} is not an image that Pillow can read.") from None
    except PermissionError:
        raise ValueError(f"{where} cannot be opened: is it a folder, or not yours to read?") from None
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{where} is too large: {str(error).rstrip('.')}. Make it smaller first; if you trust the file, set "
            "PIL.Image.MAX_IMAGE_PIXELS = None and read it again."
        ) from error
    except (OSError, SyntaxError, _BrokenFileError) as error:
        reason = getattr(error, "strerror", None) or error  # the system's words repeat the path
        raise ValueError(f"{where} is broken or cut off: {reason}.") from error


def _open(source: Any, formats: tuple[str, ...] | None = None) -> Image.Image:
    with _quiet():
        try:
            return Image.open(source, formats=formats)
        except (ValueError, IndexError, TypeError, EOFError, struct.error, OverflowError) as error:
            raise _BrokenFileError(error) from error


def _load(picture: Image.Image) -> None:
    try:
        with nullcontext() if picture.format in _SILENT else _quiet():
            picture.load()
    except (ValueError, IndexError, TypeError, EOFError, struct.error, OverflowError) as error:
        raise _BrokenFileError(error) from error  # decoders of rare formats raise what comes up


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's remarks on size and damaged metadata to itself; the filters of warnings belong to all threads."""
    with _quiet_lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _orientation(picture: Image.Image) -> int:
    with _quiet():
        try:
            return int(picture.getexif().get(_ORIENTATION, 1))
        except Exception:
            return 1  # a damaged note on how the camera was held is no reason to refuse a good picture


def _numbers(picture: Image.Image, name: str) -> NDArray[Any]:
    if picture.mode.startswith("I") or picture.mode == "F":  # 16-bit and float greys: Pillow's own conversion clips
        grey = np.asarray(picture)
        if grey.dtype.kind == "i" and 0 <= grey.min() and grey.max() <= _DEEP:  # noqa: SIM300  # reads as a range
            return grey.astype(np.uint16)  # Pillow opens some 16-bit files as 32-bit integers
        return grey
    wanted = "RGBA" if picture.has_transparency_data else "RGB"
    try:
        return np.asarray(picture.convert(wanted))
    except ValueError as error:
        raise ValueError(
            f"{name}: wanted a PIL image that converts to {wanted}, got mode {picture.mode!r} ({error}); "
            "convert it first."
        ) from error


def _shown(source: Any) -> str:
    if isinstance(source, bytes | bytearray | memoryview):
        return f"{len(source)} bytes"
    text = repr(os.fspath(source))
    return text if len(text) <= _SHOWN_NAME else f"{text[:_SHOWN_NAME]}…"
