"""Figures of the Sobol engine: self time, others' ways, memory, settings, rows to a correlation, time to a first map.

``python tests/benchmarks/engine.py`` measures everything and prints the tables for ``RESULTS.md``; ``--only`` chooses
parts, ``--quick`` uses small numbers to see that all of them run. Each part runs in processes of its own, with a folder
of its own for measured plans. It needs ``pip install -e ".[test]"``; captum is measured where it is installed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _report
from _bench import Options, machine, say
from _processes import in_process

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = ("speed", "memory", "settings", "rows", "first")
_MEMORY_BATCHES = (32, 128)
_MEMORY_WHO = ("bare", "ours", "published")
_PUBLISHED_AT = 32  # beyond it takes many gigabytes
_GPU = {"speed_rows": 64, "bare_images": 2048, "settings_images": 1024, "photos": 50}
_QUICK = {
    "speed_rows": 2,
    "rounds": 1,
    "bare_images": 32,
    "settings_images": 16,
    "photos": 2,
    "reference_rows": 16,
    "most_rows": 8,
    "rows_grid": 4,
    "map_rows": 6,
}


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.inner:
        print(json.dumps(_inner(**json.loads(arguments.inner))))
        return
    options = _options(arguments)
    results: dict[str, Any] = {"machine": machine(options), "options": asdict(options)}
    print(f"## Engine: `{' '.join(['python tests/benchmarks/engine.py', *sys.argv[1:]])}`")
    print(f"\n{results['machine']}.\n", flush=True)
    for part in PARTS:
        if part in arguments.only:
            results[part] = RUN[part](options)
            print(f"{_report.WRITE[part](results[part], options)}\n", flush=True)
            if arguments.json:
                Path(arguments.json).write_text(json.dumps(results, indent=1))
    print(_report.targets(results, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, help="of torch, default 1: processor time is then comparable")
    parser.add_argument("--photos", type=int, help="for the part on rows; default 4, on a GPU 50")
    parser.add_argument("--speed-rows", type=int, help="of the maps timed; default 8 (520 forwards), on a GPU 64")
    parser.add_argument("--rounds", type=int, help="of the parts on speed and settings; default 3")
    parser.add_argument("--rows-grid", type=int, help="cells a side for the part on rows; default 7")
    parser.add_argument("--reference-rows", type=int, help="default 256")
    parser.add_argument("--most-rows", type=int, help="longest design compared with the references; default 128")
    parser.add_argument("--compiled", action="store_true", default=None, help="torch.compile among the settings")
    parser.add_argument("--quick", action="store_true", help="small numbers, which mean nothing")
    parser.add_argument("--json", metavar="PATH", help="where to write all figures")
    parser.add_argument("--inner", help=argparse.SUPPRESS)  # what a process of ours is to measure
    return parser


def _options(arguments: argparse.Namespace) -> Options:
    """Take defaults by device and speed, then what was asked for."""
    chosen = Options(device=arguments.device)
    if arguments.device != "cpu":
        chosen = replace(chosen, **_GPU)
    if arguments.quick:
        chosen = replace(chosen, **_QUICK)
    told = {f.name: getattr(arguments, f.name, None) for f in fields(Options)}
    return replace(chosen, **{name: value for name, value in told.items() if value is not None})


def _inner(part: str, options: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Measure in this process."""
    import _first
    import _memory
    import _rows
    import _speed

    run: dict[str, Callable[..., dict[str, Any]]] = {
        "speed": _speed.speed,
        "settings": _speed.settings,
        "memory": _memory.memory,
        "rows": _rows.rows,
        "first": _first.first,
    }
    return run[part](Options(**options), **extra)


def _measure(part: str, options: Options, *, raised: bool = False, **extra: Any) -> dict[str, Any]:
    """Measure in a fresh process, which knows no plans and has malloc's settings at their defaults, or raised."""
    return in_process(__file__, {"part": part, "options": asdict(options), "extra": extra}, raised=raised)


def _both(part: str, options: Options) -> dict[str, Any]:
    """Measure with malloc as it comes and, where it is the CPU's business, with its thresholds raised."""
    out = {}
    for state, raised in (("default", False), ("raised", True))[: 2 if options.device == "cpu" else 1]:
        say(f"{part}: malloc {state}")
        out[state] = _measure(part, options, raised=raised)
    return out


def _memory_table(options: Options) -> dict[str, Any]:
    """Measure each peak up to three times."""
    table = []
    for batch in _MEMORY_BATCHES:
        bare = float("nan")
        for who in _MEMORY_WHO:
            if who == "published" and batch != _PUBLISHED_AT:
                continue
            runs = [_measure("memory", options, who=who, batch=batch) for _ in range(min(3, options.rounds))]
            peak = statistics.median(run["mib"] for run in runs)
            bare = peak if who == "bare" else bare
            table.append(runs[0] | {"mib": peak, "runs": [run["mib"] for run in runs], "of_bare": peak / bare})
            say(f"memory: {who}, batch {batch}: {peak:.0f} MiB")
    return {"table": table}


RUN: dict[str, Callable[[Options], dict[str, Any]]] = {
    "speed": lambda options: _both("speed", options),
    "memory": _memory_table,
    "settings": lambda options: _both("settings", options),
    "rows": lambda options: _measure("rows", options, raised=True),  # nothing is timed there
    "first": lambda options: _measure("first", options),
}


if __name__ == "__main__":
    main()
