"""Atlases whose making is killed, forked by a process of their own: ``dying.py folder`` prints what happened as JSON.

Each run writes down, unbuffered, the sum of each photo that its network sees, and each class whose page it begins: what
was computed is known of each run, however it ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

import whatwhere as ww
from whatwhere import recording
from whatwhere.atlas import _run

COUNTS, BATCH = [14, 12, 10, 8], 4
CLASS = 1  # the page that is being written when it dies
CRAFT = ww.Craft(n_concepts=3, fit_on="locations")
handle = None


def note(line):
    if handle is not None:
        os.write(handle, f"{line}\n".encode())


class Told(nn.Conv2d):
    """Writes down the sum of each image that it sees."""

    def forward(self, x):
        for image in x:
            note(f"photo {float(image.double().sum())!r}")
        return super().forward(x)


def network():
    """Classes are the colours that a picture has most of."""
    net = nn.Sequential(
        nn.Sequential(Told(3, 16, 4, stride=4), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, len(COUNTS)),
    )
    generator = torch.Generator().manual_seed(0)
    directions = torch.tensor([[2.0, -1, -1], [-1, 2, -1], [-1, -1, 2], [1, 1, 1]])
    with torch.no_grad():
        net[0][0].weight.copy_(0.05 * torch.randn(16, 3, 4, 4, generator=generator))
        net[0][0].bias.zero_()
        net[3].weight.zero_()
        net[3].bias.zero_()
        for k in range(16):
            net[0][0].weight[k] += directions[k % 4].reshape(3, 1, 1) * 0.1
            net[3].weight[k % 4, k] = 1
    model = ww.VisionModel(net.eval(), input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu")
    model.batch_size = BATCH
    return model


def pictures():
    rng = np.random.default_rng(0)
    tints = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=np.float32)
    made = {}
    for target, count in enumerate(COUNTS):
        for k in range(count):
            blocks = 0.3 * rng.random((6, 6, 3), dtype=np.float32) * (rng.random((6, 6, 1)) < 0.6)
            blocks += 0.6 * rng.random((6, 6, 1), dtype=np.float32) * tints[target]
            made[f"{target}.{k}"] = np.kron(blocks, np.ones((4, 4, 1), np.float32)).clip(0, 1)
    return made


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class HalfWritten:
    """A file that takes half of what is written to it, and its process with it."""

    def __init__(self, file):
        self._file = file

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *error):
        return self._file.__exit__(*error)

    def write(self, contents):
        self._file.write(contents[: len(contents) // 2])
        self._file.flush()
        die()


def half(name, nth=1):
    """Return what kills a run in the middle of writing a file for the n-th time."""
    opened, wrapped, seen, names = os.open, os.fdopen, 0, {}

    def opening(path, *arguments, **options):
        handle = opened(path, *arguments, **options)
        names[handle] = Path(path).name
        return handle

    def wrapping(handle, *arguments, **options):
        nonlocal seen
        file = wrapped(handle, *arguments, **options)
        if not names.get(handle, "").startswith(f".{name}"):
            return file
        seen += 1
        return HalfWritten(file) if seen == nth else file

    def begin():
        os.open, os.fdopen = opening, wrapping

    return begin


def about(name, *, after, nth=1):
    """Return what kills a run right before, or after, a whole file comes to its place for the n-th time."""
    placed, seen = Path.replace, 0

    def placing(path, target):
        nonlocal seen
        seen += Path(target).name == name
        now = Path(target).name == name and seen == nth
        if now and not after:
            die()
        found = placed(path, target)
        if now:
            die()
        return found

    return lambda: setattr(Path, "replace", placing)


def looking(nth):
    """Return what kills a run in the n-th forward pass."""
    forward, seen = Told.forward, 0

    def looks(layer, x):
        nonlocal seen
        seen += 1
        if seen == nth:
            die()
        return forward(layer, x)

    return lambda: setattr(Told, "forward", looks)


def at_the_end():
    """Return what kills a run when all is written, and nothing is cleared yet."""
    return lambda: setattr(_run.AtlasRun, "_clear", lambda _: die())


PAGE, INDEX = f"class_{CLASS:05d}.safetensors", "atlas.json"
POINTS = {
    "in a forward pass": looking(6),
    "in the middle of a page": half(PAGE),
    "before a page is placed": about(PAGE, after=False),
    "before a page is entered": about(PAGE, after=True),
    "in the middle of the first index": half(INDEX),
    "in the middle of an index": half(INDEX, 2),
    "before an index is placed": about(INDEX, after=False, nth=2),
    "after an index is placed": about(INDEX, after=True, nth=2),
    "before the last index": half(INDEX, len(COUNTS) + 1),
    "before it is cleared": at_the_end(),
}


class Runs:
    """Runs of the same atlas, each in a process of its own."""

    def __init__(self, folder):
        self.folder, self.number = folder, 0
        self.model, self.photos = network(), pictures()
        self.plain = ww.Atlas.of(self.model, self.photos, craft=CRAFT, progress=False)

    def make(self, place):
        return ww.Atlas.of(self.model, self.photos, craft=CRAFT, folder=place, progress=False)

    def run(self, place, before=lambda: None):
        """Fork a run; return how it ended, and what it computed."""
        global handle  # noqa: PLW0603  # of the process that is forked
        self.number += 1
        told = self.folder / f"told {self.number}"
        pid = os.fork()
        if not pid:
            status = 1
            try:
                warnings.simplefilter("error")
                before()
                handle = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                put_page = _run.put_page
                _run.put_page = lambda to, page, **told: (note(f"page {page.target}"), put_page(to, page, **told))[1]
                status = 0 if same(self.make(place), self.plain) else 3
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        lines = told.read_text().splitlines() if told.exists() else []
        return status, lines


def same(atlas, other):
    """Tell whether two atlases are of the same concepts; classes that are left are factorised apart."""
    if atlas.classes != other.classes or not atlas.complete:
        return False
    pairs = [(atlas[c].bank, other[c].bank) for c in atlas]
    return all(
        one.images == two.images
        and all(np.allclose(getattr(one, name), getattr(two, name), atol=1e-5) for name in ("W", "codes", "importance"))
        for one, two in pairs
    )


def held(place):
    """Say what can be read of a folder: classes that are whole, and files that are not."""
    whole = [file.name for file in place.glob("class_*")]
    for name in whole:
        recording.read_record(place / name, "ClassPage", 1)  # raises where it is half written
    if not (place / INDEX).exists():
        return [], whole
    atlas = ww.Atlas.load(place)
    return [c for c in atlas if atlas[c].bank.rank], whole


def killed(runs, place, before):
    """Kill a run at one point, let one go on, and one more that has nothing to do."""
    end, first = runs.run(place, before)
    classes, files = held(place)
    left = sorted(file.name.rsplit("-", 1)[0] for file in (place / _run._WORK).glob(".*"))
    stamps = {c: (place / f"class_{c:05d}.safetensors").stat().st_mtime_ns for c in classes}
    again, second = runs.run(place)
    kept = all((place / f"class_{c:05d}.safetensors").stat().st_mtime_ns == stamp for c, stamp in stamps.items())
    last, third = runs.run(place)
    photos = [[line for line in lines if line.startswith("photo")] for lines in (first, second, third)]
    return {
        "ends": [end, again, last],
        "classes": classes,
        "files": len(files),
        "left": left,
        "kept": kept,
        "photos": [len(each) for each in photos],
        "every": len({*photos[0], *photos[1]}),
        "made": sorted({int(line.split()[1]) for line in second if line.startswith("page")}),
        "folder": sorted(file.name for file in place.iterdir()),
    }


def main():
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    runs = Runs(folder)
    print(json.dumps({name: killed(runs, folder / name, before) for name, before in POINTS.items()}))


if __name__ == "__main__":
    main()
