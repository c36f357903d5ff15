"""How good prototypes are, and what of MACO makes them so: classes of EfficientNet-Lite0, several ways of making them.

``python tests/benchmarks/prototypes_evaluation.py --keep FOLDER`` makes the prototypes, unless FOLDER has them, and
prints the tables for ``RESULTS.md``; ``--pictures FILE`` draws them. ``--quick`` uses small numbers to see that all of
it runs. Photos: folders named ``123_class`` below ``--photos``, by default Imagenette's in the shared folder. Networks
to transfer to: EfficientNet-Lite1 and 2, from their weight packages.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from _bench import Options, machine, say, show, table
from _evaluation_making import MAIN, TITLES, Making, made, make
from PIL import Image, ImageDraw

import whatwhere as ww
from whatwhere.metrics.intervals import Interval, mean_interval, paired_difference
from whatwhere.prototypes.evaluation import realism, standing, transfer

if TYPE_CHECKING:
    from whatwhere.prototypes.record import Prototype

OTHERS = ("efficientnet_lite1", "efficientnet_lite2")
_EACH = 50  # photos of a class
_CELL = 240  # pixels of a drawn prototype


def photos_of(folder: Path, count: int) -> dict[int, list[Path]]:
    """Return the first photos of each class, by the number that begins its folder's name."""
    found = {
        int(each.name.partition("_")[0]): sorted([*each.glob("*.JPEG"), *each.glob("*.jpg")])[:count]
        for each in sorted(folder.iterdir())
        if each.is_dir()
    }
    if not found or not all(found.values()):
        sys.exit(f"--photos: wanted folders named 123_class with photos, got {folder}")
    return found


class Evaluation:
    """The photos through every network, once; then any prototypes."""

    def __init__(self, photos: dict[int, list[Path]]) -> None:
        torch.set_num_threads(1)
        self.model = ww.load_model("efficientnet_lite0", device="cpu")
        self.others = [ww.load_model(name, device="cpu") for name in OTHERS]
        self.paths = {f"{k}/{path.name}": path for k, paths in photos.items() for path in paths}
        self.owner = np.array([k for k, paths in photos.items() for _ in paths])
        found = ww.DatasetExamples(count=4).run(self.model, list(photos), self.paths, progress=False)
        self.examples = dict(zip(photos, found, strict=True))
        say(f"{len(self.paths)} photos through {self.model.name}")

    def row(self, prototypes: list[Prototype]) -> dict[str, Any]:
        """Measure the prototypes of one way; one value a prototype."""
        ids = [p.told["target"] for p in prototypes]
        stands = standing(prototypes, [self.examples[k] for k in ids])
        values = [self.examples[k].values for k in ids]
        own = [v[self.owner == k] for v, k in zip(values, ids, strict=True)]
        other = [v[self.owner != k] for v, k in zip(values, ids, strict=True)]
        after = [told.value for told in stands]
        seen = transfer(prototypes, [self.model, *self.others])
        lies = realism(prototypes, self.paths, self.others[0])
        say(f"{len(prototypes)} evaluated")
        return {
            "logit": after,
            "crops": [float(p.trace[-8:].mean()) for p in prototypes],
            "all": [told.share_below for told in stands],
            "own": [float((o < a).mean()) for o, a in zip(own, after, strict=True)],
            "p99": [bool(a > np.quantile(o, 0.99)) for o, a in zip(other, after, strict=True)],
            "ranks": seen.ranks.tolist(),
            "logits": seen.logits.tolist(),
            "frechet": lies.frechet.tolist(),
            "frechet_of_photos": lies.frechet_of_photos.tolist(),
            "nearest": lies.nearest.tolist(),
            "nearest_of_photos": float(np.median(lies.nearest_of_photos)),
        }


def _mean(values: list[float]) -> str:
    told = mean_interval(values)
    return _interval(told)


def _interval(told: Interval) -> str:
    ends = "" if np.isinf(told.low) else f" ({told.low:.2f} to {told.high:.2f})"
    return f"{told.mean:.2f}{ends}"


def _of(flags: list[bool]) -> str:
    return f"{sum(flags)} of {len(flags)}"


def line(way: str, found: dict[str, Any], count: int, seconds: float | None) -> dict[str, Any]:
    """Write the first prototypes of a way as a row."""
    ranks = np.array(found["ranks"])[:count]
    full = count == len(found["logit"])  # distances belong to a set
    return {
        "way": TITLES[way],
        "logit": _mean(found["logit"][:count]),
        "crops": _mean(found["crops"][:count]),
        "p99": _of(found["p99"][:count]),
        "all": _mean(found["all"][:count]),
        "own": _mean(found["own"][:count]),
        **{name: _of(list(ranks[:, k] <= 5)) for k, name in enumerate(("Lite0", "Lite1", "Lite2"))},
        "both": _of(list((ranks[:, 1:] <= 5).all(axis=1))),
        "frechet": float(np.median(found["frechet"]) / np.median(found["frechet_of_photos"])) if full else None,
        "nearest": _mean(found["nearest"][:count]),
        "seconds": seconds,
    }


HEADS = {
    "way": "magnitudes and phases",
    "logit": "logit, whole picture",
    "crops": "logit, last crops",
    "p99": "above p99 of other classes",
    "all": "photos below",
    "own": "of its own class below",
    "Lite0": "top 5, Lite0",
    "Lite1": "top 5, Lite1",
    "Lite2": "top 5, Lite2",
    "both": "both others",
    "frechet": "Fréchet, photos = 1",
    "nearest": "cosine to nearest photo",
    "seconds": "CPU s",
}


def report(making: Making, results: dict[str, Any], spent: dict[str, float]) -> str:
    """Write both tables and what tells the two main ways apart."""
    full, few = list(HEADS), [head for head in HEADS if head != "seconds"]
    main = [line(way, results[way], len(making.classes), spent.get(way)) for way in MAIN]
    rest = [line(way, results[way if way not in MAIN else f"{way}_few"], making.few, None) for way in TITLES]
    parts = [
        f"All {len(making.classes)} classes:",
        table(full, main, HEADS),
        f"The first {making.few} of them, every way of making:",
        table(few, rest, HEADS),
        f"Median cosine of a photo to the nearest other: {show(results['photos']['nearest_of_photos'])}.",
    ]
    maco, free = results["photos"], results["free"]
    for column, name in ((1, "Lite1"), (2, "Lite2")):
        told = paired_difference([row[column] for row in maco["logits"]], [row[column] for row in free["logits"]])
        parts.append(f"Logit in {name}, MACO's less the free one's: {_interval(told)}.")
    return "\n\n".join(parts)


def draw(making: Making, folder: Path, path: Path) -> None:
    """Draw every way as a row, whole and unblended."""
    columns = making.classes
    sheet = Image.new("RGB", (_CELL * len(columns), (_CELL + 18) * len(TITLES)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, way in enumerate(TITLES):
        top = row * (_CELL + 18)
        pen.text((4, top + 3), TITLES[way], fill="black")
        for column, p in enumerate(made(making, folder, way)):
            picture = p.picture(percentile=None).resize((_CELL, _CELL), Image.Resampling.LANCZOS)
            sheet.paste(picture, (column * _CELL, top + 18))
    sheet.save(path)


def main() -> None:
    """Read the command line, make, measure and print."""
    told = os.environ.get("WHATWHERE_SHARED")
    shared = Path(told) if told else Path(__file__).parents[3] / "shared"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=shared / "data" / "imagenette", help="folders named 123_class")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where prototypes are kept, and taken from")
    parser.add_argument("--pictures", type=Path, metavar="FILE", help="where to draw them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all figures")
    parser.add_argument("--quick", action="store_true", help="small numbers, which mean nothing")
    arguments = parser.parse_args()
    photos = photos_of(arguments.photos, 3 if arguments.quick else _EACH)
    # The three classes of which most photos are at hand first, then the others.
    order = sorted(photos, key=lambda k: (k not in (0, 569, 701), k))
    making = Making(tuple(order), few=5)
    if arguments.quick:
        making = Making(tuple(order[:6]), few=5, size=96, steps=2, crops=2)
    command = " ".join(["python tests/benchmarks/prototypes_evaluation.py", *sys.argv[1:]])
    print(f"## Evaluation of prototypes: `{command}`")
    print(f"\n{machine(Options())}. {making.size} pixels, {making.steps} steps of {making.crops} crops, seed 0.\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        spent = make(making, folder, list(TITLES))
        evaluation = Evaluation(photos)
        results = {way: evaluation.row(made(making, folder, way)) for way in TITLES}
        results |= {f"{way}_few": evaluation.row(made(making, folder, way)[: making.few]) for way in MAIN}
        if arguments.pictures:
            draw(making, folder, arguments.pictures)
    print(report(making, results, spent))
    if arguments.json:
        arguments.json.write_text(json.dumps({"results": results, "seconds": spent}, indent=1))


if __name__ == "__main__":
    main()
