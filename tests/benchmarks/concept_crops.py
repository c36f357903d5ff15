"""The crops of each concept of a class on one sheet, to be looked at: `python tests/benchmarks/concept_crops.py`.

For each class a PNG with a row a concept, the most important first: its importance, what it adds to the logit, and the
ten parts of photos that show it most. The figures under each are printed.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from PIL import Image, ImageDraw

import whatwhere as ww

CLASSES = {"000_tench": "tench", "701_parachute": "parachute", "569_garbage_truck": "garbage truck"}
SIDE, HEAD, GAP = 112, 150, 4


def sheet(bank: ww.ConceptBank) -> Image.Image:
    """Lay the crops of each concept in a row."""
    most = max(len(crops) for crops in bank.crops)
    page = Image.new("RGB", (HEAD + most * (SIDE + GAP), bank.rank * (SIDE + GAP)), "white")
    pen = ImageDraw.Draw(page)
    for k, crops in enumerate(bank.crops):
        top = k * (SIDE + GAP)
        added = 0.0 if bank.contribution is None else float(bank.contribution[k])
        pen.text((6, top + 30), f"{k + 1}\n{bank.importance[k]:.0%} of the sum\n{added:+.2f} logits", fill="black")
        for place, crop in enumerate(crops):
            tile = Image.fromarray(crop.picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            page.paste(tile, (HEAD + place * (SIDE + GAP), top))
    return page


def main() -> None:
    """Make the sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = os.environ.get("WHATWHERE_SHARED", str(Path(__file__).parents[3] / "shared"))
    parser.add_argument("--photos", type=Path, default=Path(shared) / "data" / "imagenette", help="folders of classes")
    parser.add_argument("--out", type=Path, default=Path("concept_crops"), help="folder for the sheets")
    parser.add_argument("--concepts", type=int, default=10)
    parser.add_argument("--most", type=int, default=80, help="photos of a class")
    parser.add_argument("--fit-on", default="both", choices=("both", "crops", "locations"))
    parser.add_argument("--classes", nargs="+", default=list(CLASSES), choices=list(CLASSES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    model = ww.load_model("efficientnet_lite0", device="cpu")
    for folder in given.classes:
        files = sorted((given.photos / folder).iterdir())[: given.most]
        method = ww.Craft(n_concepts=given.concepts, fit_on=given.fit_on)
        bank = method.run(model, files, target=CLASSES[folder], progress=False)
        sheet(bank).save(given.out / f"{folder}_{given.fit_on}.png")
        bank.save(given.out / f"{folder}_{given.fit_on}.safetensors")
        print(bank.describe())


if __name__ == "__main__":
    main()
