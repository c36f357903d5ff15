"""Figures of strategies: what a graph costs beside bare forwards, and what a layout does.

``python tests/benchmarks/strategies.py`` measures both and prints the tables for ``RESULTS.md``; ``--only`` chooses,
``--quick`` uses small numbers to see that all of it runs. Photos come from the shared folder (``WHATWHERE_SHARED``).
Times are those of the processor, which other work on the machine hardly moves.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from _bench import Options, machine, say, spread, table
from _concepts_bench import TENCH, ConceptOptions, bare_forward, load, own_forward, prepared, some_photos

PARTS = ("whole", "layout")
_KINDS = {"own": "strategies of the bank's own photos", "looked": "strategies, photos looked at again"}


@dataclass(frozen=True)
class Numbers:
    """What a person asked for."""

    photos: int = 300
    rank: int = 10
    rounds: int = 3
    points: tuple[int, ...] = (300, 1000, 5000, 100_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--photos", type=int, default=Numbers.photos)
    parser.add_argument("--rounds", type=int, default=Numbers.rounds)
    parser.add_argument("--quick", action="store_true", help="small numbers, which mean nothing")
    arguments = parser.parse_args()
    numbers = Numbers(arguments.photos, rounds=arguments.rounds)
    if arguments.quick:
        numbers = Numbers(12, rank=3, rounds=1, points=(30, 6000))
    print(f"## Strategies\n\n{machine(Options())}.\n", flush=True)
    if "whole" in arguments.only:
        columns = ("what", "cpu_s", "over_the_network's_own", "over_it_made_ready")
        print(f"{table(columns, whole(numbers), {'cpu_s': 'CPU s'})}\n", flush=True)
    if "layout" in arguments.only:
        print(table(("points", "method", "cpu_s"), layouts(numbers), {"cpu_s": "CPU s"}), flush=True)


def whole(numbers: Numbers) -> list[dict[str, Any]]:
    """Extract concepts of whole images and make graphs, between bare runs of the network on as many photos."""
    import whatwhere as ww

    options = ConceptOptions(rank=numbers.rank)
    model = load(options)
    images = prepared(model, some_photos(numbers.photos))
    craft, method = ww.Craft(n_concepts=numbers.rank, fit_on="locations"), ww.Strategies()
    rounds: list[dict[str, float]] = []
    for turn in range(numbers.rounds):
        before, own_before = bare_forward(model, "cpu"), own_forward(model, "cpu")
        bank, concepts = timed(lambda: craft.run(model, images, target=TENCH, progress=False))
        _, own = timed(lambda bank=bank: method.run(model, bank, progress=False))
        _, looked = timed(lambda bank=bank: method.run(model, bank, images, progress=False))
        bare = len(images) * (before + bare_forward(model, "cpu")) / 2
        given = len(images) * (own_before + own_forward(model, "cpu")) / 2
        rounds.append(
            {"given": given, "bare": bare, "craft": concepts, "own": own, "looked": looked, "all": concepts + own}
        )
        say(f"round {turn + 1}: {rounds[-1]}")
    named = {
        "given": f"forwards of {len(images)} photos, the network as it was given",
        "bare": "the same, made ready by the plan",
        "craft": f"prediction and whole-image CRAFT, r {numbers.rank}",
        **_KINDS,
        "all": "prediction, CRAFT and strategies of the bank's own",
    }
    return [
        {
            "what": label,
            "cpu_s": spread(found[key] for found in rounds),
            "over_the_network's_own": spread(found[key] / found["given"] for found in rounds),
            "over_it_made_ready": spread(found[key] / found["bare"] for found in rounds),
        }
        for key, label in named.items()
    ]


def layouts(numbers: Numbers) -> list[dict[str, Any]]:
    """Place mixes of ten concepts."""
    from whatwhere.strategies.layout import place

    rows = []
    for points in numbers.points:
        vectors = np.random.default_rng(0).dirichlet(np.full(10, 0.5), points)
        found = [timed(lambda vectors=vectors: list(place(vectors))[-1]) for _ in range(numbers.rounds)]
        rows.append({"points": points, "method": found[0][0][1].method, "cpu_s": spread(cost for _, cost in found)})
        say(f"{points} points: {rows[-1]}")
    return rows


def timed(run: Any) -> tuple[Any, float]:
    """Return what a function gives, and the seconds of the processor that it took."""
    begin = time.process_time()
    made = run()
    return made, time.process_time() - begin


if __name__ == "__main__":
    main()
