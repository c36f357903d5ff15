"""Prototypes that are evaluated: the same classes and forwards, by several ways of making them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from _bench import say

import whatwhere as ww

if TYPE_CHECKING:
    from pathlib import Path

    from whatwhere.prototypes.record import Prototype

MAIN = ("photos", "free")  # of all classes; the others of the first few

TITLES = {
    "photos": "MACO: photos' magnitudes, tied",
    "free": "free magnitudes (`FourierVisualization`), nearly whole views",
    "free_crops": "free magnitudes, views as small as MACO's crops",
    "law": "MACO: fifteen numbers' magnitudes, tied",
    "photos_untied": "MACO: photos' magnitudes, not tied",
    "law_untied": "MACO: fifteen numbers' magnitudes, not tied",
}


@dataclass(frozen=True)
class Making:
    """How prototypes are made; all ways cost the same forwards."""

    classes: tuple[int, ...]
    few: int = 5
    size: int = 320
    steps: int = 128
    crops: int = 4
    seed: int = 0

    def method(self, way: str) -> Any:
        """Return the method of a way."""
        common: dict[str, Any] = {"size": self.size, "steps": self.steps, "crops": self.crops, "seed": self.seed}
        match way:
            case "free":
                return ww.FourierVisualization(**common)
            case "free_crops":
                return ww.FourierVisualization(jitter=0.15, scale=(1 / 0.6, 1 / 0.25), rotate=0.0, **common)
            case _:
                spectrum, _, untied = way.partition("_")
                return ww.Maco(spectrum=spectrum, tied=not untied, **common)

    def those(self, way: str) -> tuple[int, ...]:
        """Return the classes that are made in a way."""
        return self.classes if way in MAIN else self.classes[: self.few]


def make(making: Making, folder: Path, ways: list[str]) -> dict[str, float]:
    """Make what is not in the folder yet; return the processor's seconds of each way."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = folder / "seconds.json"
    spent: dict[str, float] = json.loads(clock.read_text()) if clock.exists() else {}
    model = ww.load_model("efficientnet_lite0", device="cpu")
    torch.set_num_threads(1)
    for way in ways:
        wanted = [each for each in making.those(way) if not path_of(folder, way, each).exists()]
        if not wanted:
            continue
        begin = time.process_time()
        for p in making.method(way).run(model, wanted, progress=False):
            p.save(path_of(folder, way, p.told["target"]))
        spent[way] = spent.get(way, 0.0) + time.process_time() - begin
        clock.write_text(json.dumps(spent))
        say(f"{way}: {spent[way]:.0f} s of the processor")
    return spent


def path_of(folder: Path, way: str, class_id: int) -> Path:
    """Return where a prototype lies."""
    return folder / f"{way}-{class_id:03d}.safetensors"


def made(making: Making, folder: Path, way: str) -> list[Prototype]:
    """Read the prototypes of a way."""
    return [ww.Prototype.load(path_of(folder, way, each)) for each in making.those(way)]
