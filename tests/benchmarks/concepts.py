"""Figures of CRAFT: where time goes, the published package, whole images, held-out halves, an earlier layer, memory.

``python tests/benchmarks/concepts.py`` measures everything and prints the tables for ``RESULTS.md``; ``--only`` chooses
parts, ``--quick`` uses small numbers to see that all of them run. Each part runs in processes of its own. Photos come
from the shared folder (``WHATWHERE_SHARED``); most parts skip where it is absent. The published package is measured
where it can be imported: ``pip install --no-deps --target FOLDER craft-xai`` with FOLDER on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _concepts_report
from _bench import Options, machine, say
from _concepts_bench import NETWORKS, ConceptOptions
from _processes import STATES, in_process

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = ("shares", "peer", "modes", "importance", "held_out", "earlier", "maps", "classes", "memory")
_MEMORY_WHO = ("bare", "crops", "locations", "both")
_QUICK = {
    "rounds": 1,
    "photos": 12,
    "share_photos": 4,
    "peer_photos": 4,
    "deep_photos": 2,
    "deep_rank": 2,
    "rank": 4,
    "class_photos": 6,
    "ranks": (4,),
    "held_out": 12,
    "weighed": 12,
    "earlier_photos": 5,
    "earlier_fit": 8,
    "resamples": 2,
}


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.inner:
        print(json.dumps(_inner(**json.loads(arguments.inner))))
        return
    options = _options(arguments)
    results: dict[str, Any] = {"machine": machine(Options(options.device, options.threads)), "options": asdict(options)}
    print(f"## Concepts: `{' '.join(['python tests/benchmarks/concepts.py', *sys.argv[1:]])}`")
    print(f"\n{results['machine']}.\n", flush=True)
    for part in PARTS:
        if part in arguments.only:
            results[part] = RUN[part](options)
            print(f"{_concepts_report.WRITE[part](results[part], options)}\n", flush=True)
            if arguments.json:
                Path(arguments.json).write_text(json.dumps(results, indent=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--device", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=int, help="of torch, default 1: processor time is then comparable")
    parser.add_argument("--photos", type=int, help="of the whole-image mode, default 80")
    parser.add_argument("--share-photos", type=int, help="of EfficientNet-Lite0 in the splits, default 24")
    parser.add_argument("--rounds", type=int, help="of the parts that are timed, default 3")
    parser.add_argument("--held-out", type=int, help="photos of a class for the held-out halves, default 300")
    parser.add_argument("--quick", action="store_true", help="small numbers, which mean nothing")
    parser.add_argument("--json", metavar="PATH", help="where to write all figures")
    parser.add_argument("--inner", help=argparse.SUPPRESS)  # what a process of ours is to measure
    return parser


def _options(arguments: argparse.Namespace) -> ConceptOptions:
    """Take defaults by speed, then what was asked for."""
    chosen = replace(ConceptOptions(), **_QUICK) if arguments.quick else ConceptOptions()
    told = {f.name: getattr(arguments, f.name, None) for f in fields(ConceptOptions)}
    return replace(chosen, **{name: value for name, value in told.items() if value is not None})


def _inner(part: str, options: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Measure in this process."""
    import _concepts_classes
    import _concepts_earlier
    import _concepts_held_out
    import _concepts_maps
    import _concepts_memory
    import _concepts_modes
    import _concepts_peer
    import _concepts_shares

    run: dict[str, Callable[..., dict[str, Any]]] = {
        "shares": _concepts_shares.shares,
        "peer": _concepts_peer.peer,
        "modes": _concepts_modes.modes,
        "importance": _concepts_modes.importance,
        "held_out": _concepts_held_out.held_out,
        "earlier": _concepts_earlier.earlier,
        "maps": _concepts_maps.maps,
        "classes": _concepts_classes.classes,
        "memory": _concepts_memory.memory,
    }
    return run[part](ConceptOptions(**options), **extra)


def _measure(part: str, options: ConceptOptions, *, raised: bool = False, **extra: Any) -> dict[str, Any]:
    """Measure in a fresh process."""
    task = {"part": part, "options": asdict(options), "extra": extra}
    return in_process(__file__, task, raised=raised)


def _both(part: str, options: ConceptOptions) -> dict[str, Any]:
    """Measure both networks with malloc as it comes and, where it is the CPU's business, with its thresholds raised."""
    out: dict[str, Any] = {}
    for state in list(STATES)[: 2 if options.device == "cpu" else 1]:
        say(f"{part}: {STATES[state]}")
        out[state] = {name: _measure(part, options, raised=state == "raised", network=name) for name in NETWORKS}
    return out


def _memory_table(options: ConceptOptions) -> dict[str, Any]:
    """Measure each peak up to three times."""
    table: list[dict[str, Any]] = []
    for who in _MEMORY_WHO:
        runs = [_measure("memory", options, who=who) for _ in range(min(3, options.rounds))]
        peak = statistics.median(run["mib"] for run in runs)
        bare = table[0]["mib"] if table else peak
        table.append(runs[0] | {"mib": peak, "runs": [run["mib"] for run in runs], "of_bare": peak / bare})
        say(f"memory: {who}: {peak:.0f} MiB")
    return {"table": table}


RUN: dict[str, Callable[[ConceptOptions], dict[str, Any]]] = {
    "shares": lambda options: _both("shares", options),
    "peer": lambda options: _both("peer", options),
    "modes": lambda options: _measure("modes", options),
    "importance": lambda options: _measure("importance", options),
    "held_out": lambda options: _measure("held_out", options, raised=True),  # nothing is timed there
    "earlier": lambda options: _measure("earlier", options, raised=True),
    "maps": lambda options: _measure("maps", options),
    "classes": lambda options: _measure("classes", options),
    "memory": _memory_table,
}


if __name__ == "__main__":
    main()
