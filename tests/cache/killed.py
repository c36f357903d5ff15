"""Runs that are killed, forked by a process of their own: ``killed.py folder kills`` prints what happened as JSON.

Photo by photo that its network sees, a run writes a line to a file, unbuffered: what was computed is known of each run,
however it ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import whatwhere as ww
from whatwhere.cache import blobs
from whatwhere.cache.index import Index

PHOTOS, BATCH = 120, 4


class Told(nn.Conv2d):
    """Writes down the sum of each image that it sees."""

    handle = None

    def forward(self, x):
        if Told.handle is not None:
            os.write(Told.handle, "".join(f"{float(image.double().sum())!r}\n" for image in x).encode())
        return super().forward(x)


def network():
    net = nn.Sequential(
        nn.Sequential(Told(3, 12, 4, stride=4), nn.ReLU()), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4)
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)
    model = ww.VisionModel(net.eval(), input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu")
    model.batch_size = BATCH
    return model


class Runs:
    """Runs of the same photos, each in a process of its own, and what each of them computed."""

    def __init__(self, folder):
        self.folder, self.number = folder, 0
        rng = np.random.default_rng(0)
        self.photos = {f"p{k}": rng.random((24, 24, 3), dtype=np.float32) for k in range(PHOTOS)}
        self.model = network()
        self.bank = ww.Craft(3, fit_on="locations").run(self.model, self.photos, progress=False)
        self.plain = self.graph()

    def graph(self):
        return ww.Strategies(layout="pca", thumbnails=0).run(self.model, self.bank, self.photos, progress=False)

    def start(self, cache, before=lambda: None):
        """Fork a run; return its process and the file that it writes to."""
        self.number += 1
        told = self.folder / f"told {self.number}"
        pid = os.fork()
        if pid:
            return pid, told
        status = 1
        try:
            before()
            Told.handle = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            with ww.cache.use(cache):
                status = 0 if np.array_equal(self.graph().importance, self.plain.importance) else 3
        finally:
            os._exit(status)


def lines(told):
    return told.read_text().split() if told.exists() else []


def dying(place, nth):
    """Return what makes a run kill itself at one point of its n-th write."""
    calls = 0

    def die():
        nonlocal calls
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    fsync, write, changing, add = os.fsync, blobs.Blobs.write, Index.changing, Index.add

    class Dying:
        def __init__(self, index):
            self.held = changing(index)

        def __enter__(self):
            return self.held.__enter__()

        def __exit__(self, *error):
            die()
            return self.held.__exit__(*error)

    points = {
        "written": (os, "fsync", lambda handle: (die(), fsync(handle))),  # under its passing name
        "placed": (blobs.Blobs, "write", lambda *told: (write(*told), die())),  # and no index knows it
        "in the transaction": (Index, "changing", lambda index: Dying(index)),  # noqa: PLW0108  # it is bound
        "entered": (Index, "add", lambda *told, **options: (add(*told, **options), die())[0]),
    }
    return lambda: setattr(*points[place])


def computed(told, earlier):
    """Say what a run computed again, beyond the batch that was under way when each earlier one was killed."""
    finished = {line for one in earlier for line in one[:-BATCH]}
    return len([line for line in told if line in finished])


def killed(runs, cache, befores, delays):
    """Kill run after run, then let one finish, and one more that has nothing to do."""
    earlier, again, deaths = [], 0, 0
    for before, delay in zip(befores, delays, strict=True):
        pid, told = runs.start(cache, before)
        if delay is not None:
            time.sleep(delay)
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        deaths += os.WIFSIGNALED(status)
        again += computed(lines(told), earlier)
        earlier.append(lines(told))
    check = ww.cache.verify(cache)
    ends = []
    for _ in range(2):
        pid, told = runs.start(cache)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        again += computed(lines(told), earlier)
        earlier.append(lines(told))
    every = {line for one in earlier for line in one}
    return {
        "deaths": deaths,
        "again": again,
        "twice": sum(map(len, earlier)) - len(every),
        "every": len(every),
        "dropped": len(check.dropped) + len(ww.cache.verify(cache).dropped),
        "ends": ends,
        "last": len(earlier[-1]),
        "before_last": len(earlier[-2]),
    }


def together(runs, cache):
    """Two runs at the same time, on one cache."""
    started = [runs.start(cache) for _ in range(2)]
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, _ in started]
    pid, told = runs.start(cache)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    info = ww.cache.info(cache)
    return {
        "ends": ends,
        "last": len(lines(told)),
        "dropped": len(ww.cache.verify(cache).dropped),
        "codes": info.entries.get("codes", 0),
        "files": info.files - len(list(cache.glob("v1/files/*/*.safetensors"))),
    }


def main():
    torch.set_num_threads(1)
    folder, kills = Path(sys.argv[1]), int(sys.argv[2])
    runs = Runs(folder)
    begin = time.monotonic()
    os.waitpid(runs.start(folder / "whole")[0], 0)
    whole = time.monotonic() - begin
    lot = np.random.default_rng(0)
    told = {"together": together(runs, folder / "together")}
    nothing = [lambda: None] * kills
    told["by lot"] = killed(runs, folder / "by lot", nothing, [lot.uniform(0, 4 * whole / kills) for _ in nothing])
    for place in ("written", "placed", "in the transaction", "entered"):
        befores = [dying(place, nth) for nth in (1, 2, 5)]
        told[place] = killed(runs, folder / place, befores, [None] * 3)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
