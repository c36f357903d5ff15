"""What concepts look like on the wire, within a number of bytes: a saved notebook holds all of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from whatwhere.widgets._concept_words import describe_bank
from whatwhere.widgets._gallery import marks
from whatwhere.widgets._guests import with_guests
from whatwhere.widgets._planes import code_scales, probabilities, rounded, to_bytes
from whatwhere.widgets._sprites import CropChooser, draw_sprite

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.concept_crop import ConceptCrop
    from whatwhere.widgets._budget import Budget
    from whatwhere.widgets._guests import GuestStrip
    from whatwhere.widgets._sprites import Counts, KindOfCrop

_QUOTES = 4  # characters round a name in JSON
_TOLD, _TOLD_EACH = 200, 15  # bytes said of a photo in words and numbers, and of each concept in it
_GUESS = 1.2  # of the bytes: what crops of one step weigh tells roughly what those of another do
_EFFECTS_SHARE = 0.4  # of the bytes, beyond which what-if is asked of the kernel


@dataclass(frozen=True, eq=False)
class Facts:
    """What only the network knows of a bank.

    Parameters
    ----------
    classes : list of list of (int, float)
        For each concept the classes that it speaks for most: id and effect; empty where no class has a direction.
    effects : ndarray of shape (r, K), float32, or None
        What a concept's mean code adds to each logit; None where the head is not affine, or not the same everywhere.
    read : ndarray of shape (h, w), bool
        The cells that the head reads.
    places : int
        How many places it averages.
    logits : dict of int to ndarray of shape (K,), float32
        By the photo's number.
    """

    classes: list[list[tuple[int, float]]] = field(default_factory=list)
    effects: NDArray[np.float32] | None = None
    read: NDArray[np.bool_] = field(default_factory=lambda: np.ones((0, 0), dtype=np.bool_))
    places: int = 1
    logits: dict[int, NDArray[np.float32]] = field(default_factory=dict)


_Drawn: TypeAlias = "tuple[list[list[KindOfCrop]], bytes, int, int]"  # crops, sprite, its columns, its side


class ConceptData:
    """A bank on its way to the browser.

    Parameters
    ----------
    bank : ConceptBank
        The bank, in the order that it is shown in.
    strip : GuestStrip
        Its photos, and guests.
    expected : bool
        Whether effects may be told: room is kept for them, so that no photo goes when they come.

    Attributes
    ----------
    mark, total : int
        See `whatwhere.widgets._gallery.Gallery`.
    """

    def __init__(self, bank: ConceptBank, strip: GuestStrip, *, expected: bool) -> None:
        self.bank, self.strip, self.facts = bank, strip, Facts()
        self._seen = bank  # and its guests
        self._expected = expected
        self._drawn: dict[tuple[Budget, int], _Drawn] = {}
        self._chosen: dict[tuple[Budget, int], tuple[int, int, int]] = {}  # photos, guests, and their side
        self.order = strip.first(bank)
        self._all = strip.order(bank)
        self._places = {n: place for place, n in enumerate(self._all)}
        self.mark, self.total = next(marks), len(self._all)
        self.scales = code_scales(bank)
        self._chooser = CropChooser(bank)

    def traits(self, budget: Budget, facts: Facts, *, opened: int, extra: int | None = None) -> dict[str, Any]:
        """Encode all that fits.

        Parameters
        ----------
        budget : Budget
            How much that is.
        facts : Facts
            What the network told.
        opened : int
            Row of the concept that is looked at.
        extra : int, optional
            A photo that is shown in any case.

        Returns
        -------
        dict
            Private traits by name.
        """
        bank, self.facts = self.bank, facts
        self._meet_guests()
        room, left = self._room(budget)
        effects = facts.effects.astype("<f4").tobytes() if room and facts.effects is not None else b""
        crops = self.crops(budget, opened=opened)
        shown, photos = self._photos(budget, left - len(crops["_sprite"]), logits=bool(room), extra=extra)
        logits = [facts.logits[n] for n in shown if n in facts.logits] if effects else []
        effects = effects if len(logits) == len(shown) else b""
        return {
            "_bank": describe_bank(bank, facts),
            **crops,
            "_strip": {"total": self.total, "mark": self.mark},
            "_images": [self._image(n) for n in shown],
            "_photos": photos,
            "_codes": {self._seen.images[n]: self._code_planes(n) for n in shown},
            "_code_scales": rounded(self.scales),
            "_grid": list(bank.codes.shape[1:3]),
            "_present": {
                self._seen.images[n]: self._seen.codes[n].any(axis=(0, 1)).astype(int).tolist() for n in shown
            },
            "_effects": effects,
            "_mean_codes": {self._seen.images[n]: self._mean_code(n) for n in shown} if effects else {},
            "_logits": np.stack(logits).astype("<f2").tobytes() if effects and logits else b"",
            "_classes": [bank.class_names.label(k) for k in range(len(bank.class_names))] if effects else [],
        }

    def _meet_guests(self) -> None:
        """Put guests that came behind all photos; the places of the others stay."""
        guests = dict(self.strip.guests)
        new = self.strip.numbers[len(self._seen.images) - len(self.bank.images) : len(guests)]
        if new:
            self._seen = with_guests(self.bank, guests)
            self._places |= {n: place for place, n in enumerate(new, len(self._all))}
            self._all = [*self._all, *new]
            self.total = len(self._all)

    def _room(self, budget: Budget) -> tuple[int, int]:
        """Say how many bytes effects on all classes take, with their names, and what is left for crops and photos."""
        names = self.bank.class_names
        told = sum(len(name) + _QUOTES for name in names) * 3 // 4  # buffers are saved in base64, names are not
        effects = 4 * self.bank.rank * len(names) + told if self._expected and len(names) > 1 else 0
        effects = effects if effects <= _EFFECTS_SHARE * budget.total else 0
        return effects, budget.total - effects - budget.large

    def crops(self, budget: Budget, *, opened: int) -> dict[str, Any]:
        """Choose as many crops as fit, and draw them once.

        Parameters
        ----------
        budget : Budget
            How much that is.
        opened : int
            Row of the concept that is looked at, which has more of them.

        Returns
        -------
        dict
            Private traits by name.
        """
        if (budget, opened) not in self._drawn:
            limit = int(budget.crops * self._room(budget)[1])
            *more, fewest = budget.counts
            drawn = self._draw(budget, opened, fewest)
            each = len(drawn[1]) / max(1, sum(map(len, drawn[0])))
            for counts in more:
                count = sum(map(len, self._chooser.choose(*counts, opened=opened)))
                if count * each <= limit * _GUESS and len((found := self._draw(budget, opened, counts))[1]) <= limit:
                    drawn = found
                    break
            self._drawn[budget, opened] = drawn
        rows, sprite, columns, side = self._drawn[budget, opened]
        return {
            "_crops": [[self._crop(each) for each in row] for row in rows],
            "_sprite": sprite,
            "_sprite_side": side,
            "_sprite_columns": columns,
        }

    def _draw(self, budget: Budget, opened: int, counts: tuple[Counts, Counts]) -> _Drawn:
        chosen = self._chooser.choose(*counts, opened=opened)
        pictures = [each.crop.picture for row in chosen for each in row]
        side = min([budget.crop_side, *(max(picture.shape[:2]) for picture in pictures)])
        return chosen, *draw_sprite(pictures, side, quality=budget.crop_quality), side

    def _photos(self, budget: Budget, limit: int, *, logits: bool, extra: int | None) -> tuple[list[int], list[bytes]]:
        """Encode as many photos as fit, smaller ones where they would be few; the newest guests come last."""
        guests = self.strip.numbers
        key = budget, len(guests)
        if key not in self._chosen:  # once: the strip stays as it is, whatever is looked at
            self._chosen[key] = self._fit_photos(budget, limit, guests, logits=logits)
        own, newest, side = self._chosen[key]
        shown, guests = self.order[:own], guests[len(guests) - newest :]
        if extra is not None and self.strip.has(extra) and extra not in [*shown, *guests]:
            (shown or guests)[-1:] = [extra]
        shown = [*shown, *guests]
        return shown, [self.strip.jpeg(n, side, budget.photo_quality) for n in shown]

    def _fit_photos(self, budget: Budget, limit: int, guests: list[int], *, logits: bool) -> tuple[int, int, int]:
        """Say how many of the bank's photos fit, how many guests beside them, and how large they are."""
        _, h, w, r = self.bank.codes.shape
        beside = h * w * r + (2 * len(self.bank.class_names) if logits else 0) + _TOLD + _TOLD_EACH * r
        own, newest, side = 0, 0, budget.sides[0]

        def fitting(numbers: list[int], side: int, room: float) -> tuple[int, int]:
            sizes = (len(self.strip.jpeg(n, side, budget.photo_quality)) + beside for n in numbers)
            used = list(itertools.takewhile(lambda size: size <= room, itertools.accumulate(sizes)))
            return max(min(1, len(numbers)), len(used)), used[-1] if used else 0

        for side in budget.sides:
            newest, used = fitting(guests[::-1], side, limit / 2 if self.order else limit)
            own, _ = fitting(self.order, side, limit - used)
            if own + newest >= min(budget.enough, len(self.order) + len(guests)):
                break
        return own, newest, side

    def _crop(self, each: KindOfCrop) -> dict[str, Any]:
        n = each.crop.image
        return describe_crop(each.kind, each.crop, self.bank.images[n], self.strip.shift(n))

    def _image(self, n: int) -> dict[str, Any]:
        bank, frame = self._seen, self.strip.frame(n)
        known = bool(bank.contributions.size)
        ends = [bank.logits[n], bank.bases[n], bank.residuals[n], bank.gaps[n]]
        logit, base, residual, gap = rounded(ends) if known else [*rounded(ends[:1]), None, None, None]
        predicted = int(bank.predictions[n])
        logits = self.facts.logits.get(n)
        return {
            "name": bank.images[n],
            "place": self._places.get(n, n),
            "width": round(frame.width, 1),
            "height": round(frame.height, 1),
            "seen": [round(edge, 1) for edge in frame.seen],
            "predicted": bank.class_names.label(predicted),
            "p": None if logits is None else rounded([probabilities(logits)[predicted]])[0],
            "logit": logit,
            "base": base,
            "residual": residual,
            "gap": gap,
            "contributions": rounded(bank.contributions[n]) if known else [],
            "right": None if bank.target is None or n in self.strip.numbers else predicted == bank.target,
        }

    def tile(self, place: int) -> tuple[dict[str, Any], bytes]:
        """Return what is told of a photo, and its thumbnail.

        Parameters
        ----------
        place : int
            Its place in the strip.

        Returns
        -------
        told : dict
            An entry of ``_images`` on the wire.
        data : bytes
            A JPEG file.
        """
        n = self._all[place]
        return self._image(n), self.strip.thumbnail(n)

    def _code_planes(self, n: int) -> bytes:
        return to_bytes(np.moveaxis(self._seen.codes[n], -1, 0), self.scales)

    def _mean_code(self, n: int) -> list[float | None]:
        read = self._seen.codes[n][self.facts.read]
        return rounded(read.astype(np.float64).sum(axis=0) / self.facts.places)


def describe_crop(kind: str, crop: ConceptCrop, name: str, shift: tuple[float, float]) -> dict[str, Any]:
    """Say where a crop is from.

    Parameters
    ----------
    kind : str
        Why it is shown.
    crop : ConceptCrop
        The crop.
    name : str
        Of its photo.
    shift : (float, float)
        Left and top edge, on the photo, of what is shown of it.

    Returns
    -------
    dict
        An entry of ``_crops`` on the wire.
    """
    top, left, bottom, right = crop.box
    box = [left - shift[0], top - shift[1], right - shift[0], bottom - shift[1]]
    return {
        "image": name,
        "box": [round(edge, 1) for edge in box],
        "activation": rounded([crop.activation])[0],
        "kind": kind,
    }
