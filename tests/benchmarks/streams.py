"""Figures of streams: images of a batch side by side, against all threads on one operation after the other.

``python tests/benchmarks/streams.py`` prints the table for ``RESULTS.md``. Views compute in a process's second thread,
so that is where streams have to help. The busy machine has one more process that computes the same in the same way: two
notebooks, or a lesson's two browser tabs. Times are by the wall; only an otherwise calm machine tells anything.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from _bench import Options, machine, say, spread, table

import whatwhere as ww

if TYPE_CHECKING:
    from collections.abc import Callable

NETWORKS = ("efficientnet_lite0", "resnet50", "vit_b_16")
THREADS = os.cpu_count() or 1
BATCH = -(-4 // THREADS) * THREADS
SECONDS = 3.0  # a measurement lasts about as long


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="torchvision's come without weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beside", nargs=2, metavar=("NETWORK", "STREAMS"), help="compute until it is killed")
    arguments = parser.parse_args()
    if arguments.beside:
        compute_on(arguments.beside[0], int(arguments.beside[1]))
        return
    print(f"## Streams\n\n{machine(Options(threads=THREADS))}, batches of {BATCH}.\n", flush=True)
    rows = [row for name in arguments.networks for row in measured(name, arguments.rounds)]
    print(table(("network", "where", "one operation after the other, ms", "in streams, ms", "ratio"), rows), flush=True)


def measured(name: str, rounds: int) -> list[dict[str, Any]]:
    """Measure a network in the first thread, in the second, and there beside another process."""
    runs = {streams: forward(name, streams) for streams in (1, THREADS)}
    found: dict[str, dict[int, list[float]]] = {}

    def note(where: str, streams: int) -> None:
        found.setdefault(where, {}).setdefault(streams, []).append(milliseconds(runs[streams]))
        say(f"{name}, {where}, {streams} streams: {found[where][streams][-1]:.2f} ms an image")

    for _ in range(rounds):
        for streams in runs:
            note("first thread", streams)
            in_a_thread(lambda streams=streams: note("second thread", streams))
            with beside(name, streams):
                in_a_thread(lambda streams=streams: note("second thread, another process beside it", streams))
    rows: list[dict[str, Any]] = []
    for where, times in found.items():
        one, many = times[1], times[THREADS]
        ratios = [a / b for a, b in zip(one, many, strict=True)]
        told = {
            "one operation after the other, ms": spread(one),
            "in streams, ms": spread(many),
            "ratio": spread(ratios),
        }
        rows.append({"network": name, "where": where} | told)
    return rows


def forward(name: str, streams: int) -> Callable[[], int]:
    """Return what runs a batch and says how many images it has."""
    options = {} if name == NETWORKS[0] else {"weights": None}
    model = ww.load_model(name, device="cpu", **options)
    model.plan = replace(model.plan, batch_size=BATCH, streams=streams)
    batch = torch.rand(BATCH, 3, *model.input_size).contiguous(memory_format=torch.channels_last)
    with model.computing():
        run = model.runner()
    assert run.plan.streams == streams

    def once() -> int:
        with model.computing(refresh=False):
            run(batch)
        return BATCH

    return once


def milliseconds(once: Callable[[], int]) -> float:
    """Run for a while, and return milliseconds an image."""
    once()
    begin, images = time.perf_counter(), 0
    while time.perf_counter() - begin < SECONDS:
        images += once()
    return 1000 * (time.perf_counter() - begin) / images


def in_a_thread(run: Callable[[], None]) -> None:
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


class beside:  # noqa: N801  # read as a phrase
    """Have another process compute meanwhile."""

    def __init__(self, name: str, streams: int) -> None:
        self._command = [sys.executable, __file__, "--beside", name, str(streams)]

    def __enter__(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "begun\n"

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()


def compute_on(name: str, streams: int) -> None:
    """Compute in a second thread, after the first has computed once, as a kernel with a view does."""
    once = forward(name, streams)
    once()
    print("begun", flush=True)
    while True:
        in_a_thread(lambda: [once() for _ in range(1000)])  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
