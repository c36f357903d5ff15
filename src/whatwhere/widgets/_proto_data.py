"""What prototypes look like on the wire, within a number of bytes: a saved notebook holds all of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from whatwhere.drawing import to_picture
from whatwhere.widgets._proto_pictures import Drawn, draw, encode_picture, mosaic, shrink
from whatwhere.widgets._proto_words import describe_examples, describe_prototype

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from whatwhere.prototypes.examples import Example, Examples
    from whatwhere.prototypes.record import Prototype


class Budget(NamedTuple):
    """How much the state may hold, in bytes.

    Attributes
    ----------
    small : int
        Of the small pictures of all prototypes, with their alpha.
    large : int
        Of the large pictures.
    frames : int
        Of what was on the way.
    tiles : int
        Of photos and crops.
    all : bool
        Whether every prototype has a large picture and frames, or only those of the target that is looked at.
    """

    small: int
    large: int
    frames: int
    tiles: int
    all: bool


#: What is saved with a notebook: in base64, with the rest and a picture, below 300 KB.
NOTEBOOK = Budget(30_000, 62_000, 34_000, 28_000, all=False)
#: What an exported page holds.
PAGE = Budget(200_000, 1_600_000, 500_000, 500_000, all=True)

_SMALL = (256, 224, 192, 160, 144, 128, 112, 96, 80, 64, 48, 32)
_LARGE = (512, 448, 384, 320, 288, 256, 224, 192, 160, 128)
_LIVE = 256  # pixels of what is looked at while it grows
_LIVE_TILE = 128
_ALPHA_SIDE, _ALPHA_QUALITY = 256, 75
_FRAMES = ((160, 32), (128, 32), (112, 24), (96, 24), (96, 16), (80, 16), (80, 12), (64, 12), (64, 8), (48, 8), (48, 4))
_TILES = (
    (160, 12, 12), (128, 8, 8), (112, 8, 8), (112, 8, 6), (96, 8, 6), (96, 8, 4), (96, 8, 3), (80, 8, 3), (80, 8, 2),
    (80, 8, 1), (80, 6, 0), (64, 6, 0), (64, 4, 0), (48, 3, 0),
)  # fmt: skip
_LEAST_BYTES = 0.12  # of a pixel: what would be over the budget even so is not tried
_HOPE = 1.08  # what may fit, of what would if bytes were as pixels: smaller pictures have more bytes a pixel
_LEVELS = 255


@dataclass(frozen=True, eq=False)
class Group:
    """Prototypes of one target: of several seeds, or made in several ways.

    Parameters
    ----------
    key : str
        The target's content.
    members : tuple of int
        Numbers of the prototypes.
    """

    key: str
    members: tuple[int, ...]


def group(prototypes: Sequence[Prototype]) -> list[Group]:
    """Put prototypes of the same target together, in the order of their first.

    Parameters
    ----------
    prototypes : sequence of Prototype
        The prototypes.

    Returns
    -------
    list of Group
        One a target.
    """
    found: dict[str, list[int]] = {}
    for number, prototype in enumerate(prototypes):
        found.setdefault(json.dumps(prototype.told, sort_keys=True, default=str), []).append(number)
    return [Group(key, tuple(members)) for key, members in found.items()]


class PrototypeData:
    """Prototypes on their way to the browser; pictures that have not changed are drawn once."""

    def __init__(self) -> None:
        self._drawn: dict[tuple[int, int], tuple[Any, Drawn]] = {}
        self._fitted: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def words(self, prototypes: Sequence[Prototype], groups: Sequence[Group]) -> dict[str, Any]:
        """Say what there is to say of prototypes.

        Parameters
        ----------
        prototypes : sequence of Prototype
            The prototypes.
        groups : sequence of Group
            Their targets.

        Returns
        -------
        dict
            Private traits by name.
        """
        of = {number: place for place, each in enumerate(groups) for number in each.members}
        told = [describe_prototype(each, of[number], len(prototypes)) for number, each in enumerate(prototypes)]
        return {"_protos": told}

    def growing(self, prototypes: Sequence[Prototype], members: Sequence[int], limit: int) -> dict[str, Any]:
        """Draw prototypes fast, while they grow.

        Parameters
        ----------
        prototypes : sequence of Prototype
            The prototypes.
        members : sequence of int
            Those that are looked at.
        limit : int
            Bytes, about, of the small pictures.

        Returns
        -------
        dict
            Private traits by name.
        """
        side = min(_LIVE_TILE, 16 * max(2, int(math.sqrt(limit / (0.45 * len(prototypes)))) // 16))
        large = {}
        for number in members:
            drawn = self._draw(prototypes[number], _LIVE if len(members) == 1 else _LIVE // 2)
            large[str(number)] = {
                "image": encode_picture(drawn.pixels, "JPEG", 80),
                "alpha": encode_picture(drawn.alpha, "JPEG", 80),
            } | self._photo(prototypes[number], max(drawn.pixels.shape))
        return {**self._small_at(prototypes, side), "_large": large}

    def resting(self, prototypes: Sequence[Prototype], members: Sequence[int], budget: Budget) -> dict[str, Any]:
        """Draw prototypes well.

        Parameters
        ----------
        prototypes : sequence of Prototype
            The prototypes.
        members : sequence of int
            Those that are looked at.
        budget : Budget
            How much they may hold.

        Returns
        -------
        dict
            Private traits by name.
        """
        which = range(len(prototypes)) if budget.all else members
        limit = budget.large // max(1, len(which))
        large = {str(number): self._large(prototypes[number], limit) for number in which}
        return {**self._small(prototypes, budget.small), "_large": large}

    def frames(self, prototypes: Sequence[Prototype], members: Sequence[int], budget: Budget) -> dict[str, Any]:
        """Draw what was on the way.

        Parameters
        ----------
        prototypes : sequence of Prototype
            The prototypes.
        members : sequence of int
            Those that are looked at.
        budget : Budget
            How much they may hold.

        Returns
        -------
        dict
            Private traits by name.
        """
        which = range(len(prototypes)) if budget.all else members
        limit = budget.frames // max(1, len(which))
        return {"_frames": {str(n): told for n in which if (told := self._frames(prototypes, n, limit)) is not None}}

    def examples(
        self, found: Sequence[Examples | None], reasons: Sequence[str], looked_at: int, budget: Budget
    ) -> dict[str, Any]:
        """Draw the photos that excite the targets.

        Parameters
        ----------
        found : sequence of Examples or None
            For each target.
        reasons : sequence of str
            Why there are none.
        looked_at : int
            Number of the target that is looked at.
        budget : Budget
            How much they may hold.

        Returns
        -------
        dict
            Private traits by name.
        """
        if not any(each is not None and each.top for each in found):
            told = [describe_examples(each, reason, []) for each, reason in zip(found, reasons, strict=True)]
            return {"_examples": told, "_tiles": b"", "_tile_side": 0, "_tile_columns": 1}
        data, columns, side, places = b"", 1, 0, [list[tuple[int, int | None]]() for _ in found]
        density = _LEAST_BYTES
        for side, own, others in _TILES:
            counts = [own if place == looked_at or budget.all else others for place in range(len(found))]
            tiles, places = _lay_out(found, counts, side)
            columns = min(16, max(1, len(tiles)))
            pixels = side * side * len(tiles)
            if not tiles or (density * pixels > budget.tiles and side != _TILES[-1][0]):
                continue
            data = encode_picture(mosaic(tiles, side, columns), "JPEG", 72)
            if len(data) <= budget.tiles:
                break
            density = len(data) / pixels
        told = [describe_examples(*each) for each in zip(found, reasons, places, strict=True)]
        return {"_examples": told, "_tiles": data, "_tile_side": side, "_tile_columns": columns}

    def clear(self) -> None:
        """Forget all pictures."""
        self._drawn.clear()
        self._fitted.clear()

    # -- one kind after the other -------------------------------------------------------------------------------------

    def _draw(self, prototype: Prototype, side: int) -> Drawn:
        key = id(prototype.image), side
        known = self._drawn.get(key)
        if known is None or known[0] is not prototype.image:
            known = self._drawn[key] = (prototype.image, draw(prototype, side))
        return known[1]

    def forget_all_but(self, prototypes: Sequence[Prototype]) -> None:
        """Forget the pictures of records that are no longer shown.

        Parameters
        ----------
        prototypes : sequence of Prototype
            Those that are.
        """
        shown = {id(each.image) for each in prototypes}
        self._drawn = {key: value for key, value in self._drawn.items() if key[0] in shown}
        self._fitted = {k: value for k, value in self._fitted.items() if k[0] != "large" or k[1] in shown}

    def _small(self, prototypes: Sequence[Prototype], limit: int) -> dict[str, Any]:
        told: dict[str, Any] = {}
        density = _LEAST_BYTES
        for side in _SMALL:
            pixels = side * side * len(prototypes)
            if density * pixels > limit and side != _SMALL[-1]:
                continue
            told = self._small_at(prototypes, side)
            total = len(told["_mosaic"]) + len(told["_mosaic_alpha"])
            if total <= limit:
                break
            density = total / pixels
        return told

    def _small_at(self, prototypes: Sequence[Prototype], side: int) -> dict[str, Any]:
        drawn = [self._draw(each, side) for each in prototypes]
        columns = max(1, math.ceil(math.sqrt(len(drawn))))
        half = max(16, side // 2)
        alphas = [_resized(each.alpha, half) for each in drawn]
        return {
            "_mosaic": encode_picture(mosaic([each.pixels for each in drawn], side, columns), "JPEG", 74),
            "_mosaic_alpha": encode_picture(mosaic(alphas, half, columns), "JPEG", 70),
            "_side": side,
            "_columns": columns,
        }

    def _photo(self, prototype: Prototype, side: int) -> dict[str, bytes]:
        """Draw the photo that a prototype grows from, once."""
        seed = prototype.seed_image
        if seed is None:
            return {}
        key = "photo", id(seed), side
        if key not in self._fitted:
            self._fitted[key] = seed, encode_picture(np.asarray(to_picture(shrink(seed, side))), "JPEG", 80)
        return {"seed": self._fitted[key][1]}

    def _large(self, prototype: Prototype, limit: int) -> dict[str, bytes]:
        key = "large", id(prototype.image), limit
        known = self._fitted.get(key)
        if known is not None and known[0] is prototype.image:
            found: dict[str, bytes] = known[1]
            return found
        found = self._fit_large(prototype, limit)
        self._fitted[key] = (prototype.image, found)
        return found

    def _fit_large(self, prototype: Prototype, limit: int) -> dict[str, bytes]:
        seed = prototype.seed_image
        alpha = encode_picture(draw(prototype, min(_ALPHA_SIDE, max(prototype.size))).alpha, "WEBP", _ALPHA_QUALITY)
        found: dict[str, bytes] = {}
        most = float(max(prototype.size))
        for side in _LARGE:
            if side > most and side != _LARGE[-1]:
                continue
            found = {"image": encode_picture(draw(prototype, side).pixels, "WEBP", 84), "alpha": alpha}
            if seed is not None:
                found["seed"] = encode_picture(np.asarray(to_picture(shrink(seed, side))), "WEBP", 84)
            total = sum(map(len, found.values()))
            if total <= limit:
                break
            most = side * math.sqrt(limit / total) * _HOPE
        return found

    def _frames(self, prototypes: Sequence[Prototype], number: int, limit: int) -> dict[str, Any] | None:
        prototype = prototypes[number]
        key = "frames", number, limit
        known = self._fitted.get(key)
        if known is None or known[0] != len(prototype.frames):
            known = self._fitted[key] = len(prototype.frames), _fit_frames(prototype, limit)
        told: dict[str, Any] | None = known[1]
        return told


def _fit_frames(prototype: Prototype, limit: int) -> dict[str, Any] | None:
    """Draw the frames of a prototype's way; None where there is no way between its ends."""
    if len(prototype.frames) < 2:  # noqa: PLR2004  # two ends
        return None
    told: dict[str, Any] = {}
    density, stretch = _LEAST_BYTES, prototype.seed_image is None
    for side, most in _FRAMES:
        places = np.linspace(0, len(prototype.frames) - 1, min(most, len(prototype.frames)))
        numbers = np.unique(places.round().astype(int)).tolist()
        pixels = side * side * len(numbers)
        if density * pixels > limit and (side, most) != _FRAMES[-1]:
            continue
        columns = math.ceil(math.sqrt(len(numbers)))
        tiles = [_frame(prototype.frames[number], side, stretch=stretch) for number in numbers]
        told = {
            "data": encode_picture(mosaic(tiles, side, columns), "JPEG", 70),
            "side": side,
            "columns": columns,
            "steps": prototype.frame_steps[numbers].tolist(),
        }
        if len(told["data"]) <= limit:
            break
        density = len(told["data"]) / pixels
    return told


def _frame(pixels: NDArray[np.uint8], side: int, *, stretch: bool) -> NDArray[np.uint8]:
    small = np.asarray(_fit(Image.fromarray(pixels), side))
    if not stretch:
        return small
    low, high = np.percentile(small, [1, 99])
    if not high > low:
        return small
    return np.round(np.clip((small - low) / (high - low), 0, 1) * _LEVELS).astype(np.uint8)


def _lay_out(
    found: Sequence[Examples | None], counts: Sequence[int], side: int
) -> tuple[list[NDArray[np.uint8]], list[list[tuple[int, int | None]]]]:
    """Draw photos and crops; say where each of them is."""
    tiles: list[NDArray[np.uint8]] = []
    places: list[list[tuple[int, int | None]]] = []
    for examples, count in zip(found, counts, strict=True):
        own: list[tuple[int, int | None]] = []
        for example in examples.top[:count] if examples is not None else ():
            pictures = list(_pictures(example))
            own.append((len(tiles), len(tiles) + 1 if len(pictures) > 1 else None))
            tiles += [np.asarray(_fit(Image.fromarray(picture), side, grow=True)) for picture in pictures]
        places.append(own)
    return tiles, places


def _pictures(example: Example) -> Iterator[NDArray[np.uint8]]:
    yield example.picture
    if example.place is not None:
        yield np.ascontiguousarray(example.crop)


def _fit(picture: Image.Image, side: int, *, grow: bool = False) -> Image.Image:
    scale = side / max(picture.size)
    if scale >= 1 and not grow:
        return picture
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _resized(plane: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.asarray(_fit(Image.fromarray(plane), side))
