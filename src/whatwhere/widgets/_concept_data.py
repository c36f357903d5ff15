"""What concepts look like on the wire, within a number of bytes: a saved notebook holds all of it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from whatwhere.concepts.palette import hue_of, letter_of
from whatwhere.widgets._sprites import Counts, CropChooser, draw_sprite
from whatwhere.widgets._view import WIRE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from whatwhere.concepts.bank import ConceptBank, ConceptCrop
    from whatwhere.widgets._sprites import KindOfCrop
    from whatwhere.widgets._strip import Strip

_PRESENT = 0.08  # of a photo's evidence: a concept that has as much is there
_QUANTILE = 0.99  # of the values above 0 is drawn in full
_DIGITS = 5
_GUESS = 1.2  # of the bytes: what crops of one step weigh tells roughly what those of another do
_EFFECTS_SHARE = 0.4  # of the bytes, beyond which what-if is asked of the kernel


class Budget(NamedTuple):
    """How much the state may hold.

    Attributes
    ----------
    total : int
        Bytes of all buffers.
    crops : float
        Share of crops in what effects leave.
    counts : sequence of (Counts, Counts)
        How many crops the concept that is looked at has, and each of the others, the first that fit.
    crop_side, crop_quality : int
        Of the sprite.
    large : int
        Bytes of the photo that is looked at; 0 where all are as large.
    sides : sequence of int
        Longest sides of photos, the first with which enough photos fit.
    enough : int
        Photos.
    photo_quality : int
        Of their JPEG.
    """

    total: int
    crops: float
    counts: tuple[tuple[Counts, Counts], ...]
    crop_side: int
    crop_quality: int
    large: int
    sides: tuple[int, ...]
    enough: int
    photo_quality: int


_FULL = Counts(10, 6, 6, 6)
# What the concept that is looked at has, and what the others have.
_LADDER = (
    (Counts(10, 8, 8, 8), Counts(10, 8, 8, 8)), (_FULL, _FULL), (_FULL, Counts(8, 4, 4, 4)),
    (_FULL, Counts(6, 3, 3, 3)), (_FULL, Counts(6, 2, 2, 2)), (_FULL, Counts(5, 1, 1, 1)), (_FULL, Counts(5, 0, 0, 0)),
    (_FULL, Counts(4, 0, 0, 0)), (_FULL, Counts(3, 0, 0, 0)), (Counts(8, 3, 3, 3), Counts(3, 0, 0, 0)),
    (Counts(8, 3, 3, 3), Counts(2, 0, 0, 0)), (Counts(6, 2, 2, 2), Counts(1, 0, 0, 0)),
    (Counts(1, 0, 0, 0), Counts(1, 0, 0, 0)),
)  # fmt: skip

#: What is saved with a notebook: in base64, with the rest and a picture, below 300 KB.
NOTEBOOK = Budget(158_000, 0.45, _LADDER, 64, 60, 14_000, (224, 192, 160, 128, 112), 12, 70)
#: What an exported page holds.
PAGE = Budget(2_400_000, 0.6, _LADDER, 96, 78, 60_000, (224,), 40, 78)


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
    strip : Strip
        Its photos.
    expected : bool
        Whether effects may be told: room is kept for them, so that no photo goes when they come.
    """

    def __init__(self, bank: ConceptBank, strip: Strip, *, expected: bool) -> None:
        self.bank, self.strip, self.facts = bank, strip, Facts()
        self._expected = expected
        self._drawn: dict[tuple[Budget, int], _Drawn] = {}
        self._chosen: dict[Budget, tuple[int, int]] = {}  # photos, and their side
        self.order = strip.order(bank)
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
        room, left = self._room(budget)
        effects = facts.effects.astype("<f4").tobytes() if room and facts.effects is not None else b""
        crops = self.crops(budget, opened=opened)
        shown, photos = self._photos(budget, left - len(crops["_sprite"]), logits=bool(room), extra=extra)
        logits = [facts.logits[n] for n in shown if n in facts.logits] if effects else []
        effects = effects if len(logits) == len(shown) else b""
        return {
            "_bank": describe_bank(bank, facts),
            **crops,
            "_images": [self._image(n) for n in shown],
            "_photos": photos,
            "_codes": {bank.images[n]: self._code_planes(n) for n in shown},
            "_code_scales": rounded(self.scales),
            "_grid": list(bank.codes.shape[1:3]),
            "_present": {bank.images[n]: bank.codes[n].any(axis=(0, 1)).astype(int).tolist() for n in shown},
            "_effects": effects,
            "_mean_codes": {bank.images[n]: self._mean_code(n) for n in shown} if effects else {},
            "_logits": np.stack(logits).astype("<f2").tobytes() if effects and logits else b"",
            "_classes": [bank.class_names.label(k) for k in range(len(bank.class_names))] if effects else [],
        }

    def _room(self, budget: Budget) -> tuple[int, int]:
        """Say how many bytes effects take, and what is left for crops and photos."""
        effects = 4 * self.bank.rank * len(self.bank.class_names) if self._expected else 0
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
        """Encode as many photos as fit, smaller ones where they would be few."""
        if budget not in self._chosen:  # once: the strip stays as it is, whatever is looked at
            self._chosen[budget] = self._fit_photos(budget, limit, logits=logits)
        count, side = self._chosen[budget]
        shown = self.order[:count]
        if extra is not None and shown and extra not in shown:
            shown[-1] = extra
        return shown, [self.strip.jpeg(n, side, budget.photo_quality) for n in shown]

    def _fit_photos(self, budget: Budget, limit: int, *, logits: bool) -> tuple[int, int]:
        _, h, w, r = self.bank.codes.shape
        beside = h * w * r + (2 * len(self.bank.class_names) if logits else 0)
        count, side = 0, budget.sides[0]
        for side in budget.sides:
            sizes = (len(self.strip.jpeg(n, side, budget.photo_quality)) + beside for n in self.order)
            fitting = itertools.takewhile(lambda used: used <= limit, itertools.accumulate(sizes))
            count = max(min(1, len(self.order)), sum(1 for _ in fitting))
            if count >= min(budget.enough, len(self.order)):
                break
        return count, side

    def _crop(self, each: KindOfCrop) -> dict[str, Any]:
        n = each.crop.image
        return describe_crop(each.kind, each.crop, self.bank.images[n], self.strip.shift(n))

    def _image(self, n: int) -> dict[str, Any]:
        bank, frame = self.bank, self.strip.frame(n)
        known = bool(bank.contributions.size)
        ends = [bank.logits[n], bank.bases[n], bank.residuals[n], bank.gaps[n]]
        logit, base, residual, gap = rounded(ends) if known else [*rounded(ends[:1]), None, None, None]
        predicted = int(bank.predictions[n])
        logits = self.facts.logits.get(n)
        return {
            "name": bank.images[n],
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
            "right": None if bank.target is None else predicted == bank.target,
        }

    def _code_planes(self, n: int) -> bytes:
        return to_bytes(np.moveaxis(self.bank.codes[n], -1, 0), self.scales)

    def _mean_code(self, n: int) -> list[float | None]:
        read = self.bank.codes[n][self.facts.read]
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


def code_scales(bank: ConceptBank) -> NDArray[np.float64]:
    """Find what is drawn in full, so that photos can be told from each other.

    Parameters
    ----------
    bank : ConceptBank
        The bank.

    Returns
    -------
    ndarray of shape (r,), float64
        For each concept the 99 % quantile of its codes above 0, over all photos; 0 where there are none.
    """
    return shared_scales([bank.codes.reshape(-1, bank.rank).T])


def shared_scales(maps: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Find one scale a concept for maps of several photos.

    Parameters
    ----------
    maps : list of ndarray of shape (r, …)
        The maps, at least one.

    Returns
    -------
    ndarray of shape (r,), float64
        The 99 % quantile of the values above 0; 0 where there are none.
    """
    scales = np.zeros(len(maps[0]))
    for k in range(len(scales)):
        values = np.concatenate([each[k].ravel() for each in maps])
        above = values[values > 0]
        scales[k] = np.quantile(above, _QUANTILE) if len(above) else 0
    return scales


def to_bytes(values: NDArray[np.float32], scales: NDArray[np.float64]) -> bytes:
    """Quantise maps, each as shares of its scale.

    Parameters
    ----------
    values : ndarray of shape (r, h, w)
        Maps; what is below 0 is drawn as 0.
    scales : ndarray of shape (r,)
        What is drawn in full.

    Returns
    -------
    bytes
        uint8, row by row, map by map.
    """
    share = np.divide(values, scales[:, None, None], out=np.zeros(values.shape), where=scales[:, None, None] > 0)
    return np.round(np.clip(share, 0, 1) * WIRE["concepts"]["code_levels"]).astype(np.uint8).tobytes()


def map_bytes(values: NDArray[np.float32], scales: NDArray[np.float64]) -> bytes:
    """Quantise maps, and say their size.

    Parameters
    ----------
    values : ndarray of shape (r, a, b)
        Maps.
    scales : ndarray of shape (r,)
        What is drawn in full.

    Returns
    -------
    bytes
        Rows and columns as little-endian uint32, then as from `to_bytes`.
    """
    return np.array(values.shape[1:], dtype="<u4").tobytes() + to_bytes(values, scales)


def probabilities(logits: ArrayLike) -> NDArray[np.float64]:
    """Turn logits into probabilities.

    Parameters
    ----------
    logits : array of shape (…, K)
        Logits.

    Returns
    -------
    ndarray of shape (…, K), float64
        Their softmax, or sigmoid where there is one.
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.shape[-1] == 1:
        return 1 / (1 + np.exp(-values))
    shares: NDArray[np.float64] = np.exp(values - values.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def rounded(values: ArrayLike) -> list[float | None]:
    """Write numbers with five digits, and None for those that are not finite, which JSON has not.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers.

    Returns
    -------
    list of float or None
        The same.
    """
    plain = np.asarray(values, dtype=np.float64).tolist()
    return [float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in plain]


def describe_bank(bank: ConceptBank, facts: Facts) -> dict[str, Any]:
    """Say what the bank holds.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    facts : Facts
        What the network told.

    Returns
    -------
    dict
        ``_bank`` on the wire.
    """
    q, rank, known = bank.quality, bank.rank, bool(bank.contributions.size)
    size = np.abs(bank.contributions)
    there = (size >= _PRESENT * size.sum(axis=1, keepdims=True)) & (size > 0) if known else np.zeros((0, rank))
    means = [values.mean() for values in (bank.residuals, bank.bases, bank.logits)] if known else [math.nan] * 3
    residual, base, logit = rounded(means)
    nothing: list[float | None] = [None] * rank
    return {
        "ids": list(bank.ids),
        "letters": [letter_of(concept_id) for concept_id in bank.ids],
        "hues": [hue_of(concept_id) for concept_id in bank.ids],
        "importance": rounded(bank.importance),
        "importance_error": nothing if bank.importance_error is None else rounded(bank.importance_error),
        "contribution": nothing if bank.contribution is None else rounded(bank.contribution),
        "dead": [bank.ids[k] for k in q.dead],
        "method": bank.importance_method,
        "affine": bank.affine,
        "residual": residual,
        "base": base,
        "logit": logit,
        "present": there.sum(axis=0).astype(int).tolist(),
        "classes": [
            [{"name": bank.class_names.label(k), "value": rounded([value])[0]} for k, value in row]
            for row in facts.classes
        ],
        "quality": {
            "error": rounded([q.error])[0],
            "error_crops": q.error_crops,
            "error_locations": q.error_locations,
            "sparsity": q.sparsity,
            "agreement": q.agreement,
            "r2": q.r2,
            "n_images": q.n_images,
            "n_left_out": q.n_left_out,
        },
        "caveats": caveats_of(bank),
        "about": about(bank),
        "code": code_of(bank),
        "complete": bank.complete,
    }


def caveats_of(bank: ConceptBank) -> list[str]:
    """Say what a reader has to know, of the bank and of how it is drawn.

    Parameters
    ----------
    bank : ConceptBank
        The bank.

    Returns
    -------
    list of str
        Sentences.
    """
    below = bool((bank.codes < 0).any())
    return [*bank.caveats(), *(["Codes below 0 are drawn as if the concept were absent."] if below else [])]


_FITTED = {
    "crops": "mean features of crops",
    "locations": "features of every location",
    "both": "mean features of crops, and features of every location",
}


def about(bank: ConceptBank) -> list[list[str]]:
    """Say how a bank was made.

    Parameters
    ----------
    bank : ConceptBank
        The bank.

    Returns
    -------
    list of [str, str]
        Label and text.
    """
    made, q, method = bank.provenance, bank.quality, bank.method
    extractor = method.extractor if method.extractor is not None else _default_extractor(bank)
    _, h, w, _ = bank.codes.shape
    told = [
        ["Method", f"CRAFT: {bank.rank} concepts by {extractor}, of {_FITTED[method.fit_on]}"],
        ["Layer", f"{bank.layer.name}, {bank.W.shape[1]:,} features at {h} x {w} places"],
        ["Explains", bank.target_name],
        ["Photos", f"{q.n_images:,}, {q.n_rows:,} rows" + (f"; {q.n_left_out:,} left out" if q.n_left_out else "")],
        ["Importance", bank.importance_method],
        ["Contributions", _told_contributions(bank)],
        ["Relative error", _told_errors(bank)],
        ["Seed", str(method.seed)],
        ["Time", f"{made.seconds:.1f} s on {made.device}, {made.net_seconds:.1f} s of it in the network"],
        ["Network runs in", made.plan],
        ["Model", f"{made.model}, weights {made.fingerprint}"],
        ["whatwhere", made.version],
    ]
    if bank.parent is not None:
        told.insert(1, ["Part of", f"concept {letter_of(bank.parent[1])} of bank {bank.parent[0]}"])
    return told


def _default_extractor(bank: ConceptBank) -> str:
    return "semi-NMF" if bank.layer.nonnegative is False else "NMF"


def _told_contributions(bank: ConceptBank) -> str:
    if bank.contribution is None:
        return "not known yet"
    if bank.parent is not None:
        return "what the explained logit of the crops loses when a part is taken away"
    how = "exact, behind an affine head" if bank.affine else "integrated gradients from no features, 8 nodes"
    return f"to the explained logit, in logits; {how}"


def _told_errors(bank: ConceptBank) -> str:
    q = bank.quality
    parts = [f"{q.error:.3f}"]
    parts += [f"{v:.3f} on {what}" for v, what in ((q.error_crops, "crops"), (q.error_locations, "locations")) if v]
    return ", ".join(parts)


def code_of(bank: ConceptBank) -> str:
    """Write the Python lines that make the same.

    Parameters
    ----------
    bank : ConceptBank
        The bank.

    Returns
    -------
    str
        Lines of Python.
    """
    if bank.parent is not None:
        return f"parts = bank.on(model).split(bank.number_of({bank.parent[1]}))"
    source = bank.provenance.source or "model"
    target = "" if bank.target is None else f", target={bank.target_name!r}"
    return f"model = {source}\nbank = ww.{bank.method}.run(model, photos{target})\nww.ConceptExplorer(bank, model)"
