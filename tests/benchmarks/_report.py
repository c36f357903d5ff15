"""The benchmark's tables, and what of its goals was met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _bench import measure_of, table
from _processes import STATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from _bench import Options

_COSTS = ["cpu_ms", "user_ms", "system_ms", "faults", "wall_ms"]
_WHO = {"bare": "bare forwards", "ours": "our map", "published": "published code's way"}
_WHOLE = (
    "The whole call, which also resizes the photo and hashes the weights before its clock starts, and what its time "
    "outside the network is made of, all over the time inside it:"
)
_SHARES = {
    "share_entering": "entering the model",
    "share_unmasked": "unmasked runs",
    "share_blending": "masking",
    "share_hashing": "fingerprints",
    "share_reading": "resizing the photo",
    "share_rest": "the rest",
}
_NAMES = {
    "cpu_ms": "CPU ms a forward",
    "user_ms": "user ms",
    "system_ms": "system ms",
    "wall_ms": "wall ms",
    "faults": "page faults",
    "rho_cpu": "rho, CPU",
    "rho_wall": "rho, wall",
    "bare_apart": "bare runs apart",
    "times_ours": "times ours at 32",
    "times_tuned": "times ours tuned",
    "of_plain": "of the first",
    "noise": "noise of an index",
    "mib": "MiB over before",
    "of_bare": "of bare",
    "logits_mib": "logits stored, MiB",
    "ran_at": "ran at",
}


def speed(result: dict[str, Any], options: Options) -> str:
    text = (
        f"EfficientNet-Lite0, one photo, {options.grid} x {options.grid} cells, "
        f"{result['default']['forwards']:,} forwards, float32 with folded BatchNorm unless tuned; median of "
        f"{options.rounds} (least to most). Self time is the time outside the network over the time inside it in the "
        "same run. Rho is the map's time over that of as many bare forwards, run before and after; it cannot be read "
        "finer than these two are apart. Batches are made even, so that little is padded."
    )
    parts = ["### Speed", text]
    for state, found in result.items():
        told = STATES[state]
        columns = ["batch", "ran_at", "self_time", "rho_cpu", "rho_wall", "bare_apart", *_COSTS]
        parts += [f"**{told}**; tuning picked: {found['tuned_plan']}.", table(columns, found["ours"], _NAMES)]
        parts += [_WHOLE, table(["batch", "whole_call", *_SHARES], found["ours"], _SHARES)]
        columns = ["method", "forwards", *_COSTS, "times_ours", "times_tuned"]
        parts += [table(columns, found["others"], _NAMES)]
        parts += [found["no_captum"]] * bool(found["no_captum"])
    return "\n\n".join(parts)


def settings(result: dict[str, Any], options: Options) -> str:
    text = (
        "Bare forwards of the same masked images. The ratios are of "
        f"{_NAMES[measure_of(options.device)]}, to the first line of the same batch; noise is the squared deviation "
        "from float32 over the variance of the score under masks."
    )
    parts = ["### Settings", text]
    columns = ["batch", "setting", "of_plain", "cpu_ms", "user_ms", "system_ms", "faults", "wall_ms", "noise"]
    names = _NAMES | {"cpu_ms": "CPU ms an image"}
    for state, found in result.items():
        parts += [f"**{STATES[state]}**", table(columns, found["table"], names)]
    return "\n\n".join(parts)


def memory(result: dict[str, Any], options: Options) -> str:
    how = (
        "Peak resident memory of a fresh process less what was resident just before: a lower bound"
        if options.device == "cpu"
        else "Peak of what the GPU's allocator had given out, less what it had before"
    )
    rows = [
        row | {"who": _WHO[row["who"]], "runs": ", ".join(f"{r:.0f}" for r in row["runs"])} for row in result["table"]
    ]
    return "\n\n".join(
        [
            "### Memory",
            f"{how}; median of the runs. The copy of the folded weights is there before, in every case.",
            table(["batch", "ran_at", "who", "mib", "of_bare", "runs", "logits_mib"], rows, _NAMES),
        ]
    )


def rows(result: dict[str, Any], options: Options) -> str:
    agree, halves = result["references"], result["rise_halves"]
    flat = [
        {"method": row["method"]}
        | {n: _mean(at) for n, at in row["at"].items()}
        | {f"first {level}": n for level, n in row["first"].items()}
        for row in result["table"]
    ]
    counts = [str(n) for n in result["rows"]]
    levels = [f"first {level}" for level in result["table"][0]["first"]]
    names = {n: f"{n} rows" for n in counts} | {level: f"rows to {level.split()[1]}" for level in levels}
    text = (
        f"Spearman's correlation of the predicted class's map (logit, {options.rows_grid} x {options.rows_grid} "
        f"cells, {result['columns']} forwards a row) with {options.reference_rows} rows of Monte-Carlo; mean over "
        f"{len(result['photos'])} photos (95 % interval over photos by bootstrap). Two such references agree by "
        f"{_mean(agree)}, so that the true map would reach about {result['best_possible']:.2f}. "
        "The published code spends one more forward a row, on B. "
        f"RISE estimates another quantity; at its most masks its own halves agree by {_mean(halves)}."
    )
    return "\n\n".join(["### Rows to a rank correlation", text, table(["method", *counts, *levels], flat, names)])


def _mean(told: dict[str, Any]) -> str:
    if told["low"] is None:  # one photo
        return f"{told['mean']:.2f}"
    return f"{told['mean']:.2f} ({told['low']:.2f} to {told['high']:.2f})"


def first(result: dict[str, Any], options: Options) -> str:
    names = {"first_map": "to the first map, s", "usable": "to four rows, s", "last": "to the last row, s"}
    switch = result["switch"]
    how = (
        f"A job of {options.grid} x {options.grid} cells and {options.map_rows} rows with a preview, from its start by "
        f"the wall; {options.threads} thread{'s' * (options.threads > 1)}. Plan at the end: {result['plan']}."
    )
    switching = (
        f"{switch['switches']} switches of class and score: {switch['forwards']} forwards; median "
        f"{switch['median_ms']:.2f} ms, worst {switch['worst_ms']:.2f} ms, all {switch['total_ms']:.0f} ms."
    )
    rows = table(["photo", "first_map", "usable", "last", "forwards"], result["table"], names)
    return f"### First map\n\n{how}\n\n{rows}\n\n{switching}"


def targets(results: dict[str, Any], options: Options) -> str:
    """Hold the figures against their goals; of self times, say what they are made of most."""
    goal = 0.05 if options.device == "cpu" else 0.03
    lines = []
    for state, found in results.get("speed", {}).items():
        for row in found["ours"]:
            value = row["self_time"]["median"]
            what = f"self time, batch {row['batch']}, {STATES[state]}"
            lines.append(_goal(what, f"<= {goal}", value, met=value <= goal) | {"mostly": _mostly(row)})
        row = found["others"][0]
        value = row["times_ours"]["median"]
        lines.append(_goal(f"{row['method']}, over ours at 32, {STATES[state]}", ">= 2", value, met=value >= 2))
    for row in results.get("memory", {}).get("table", ()):
        if row["who"] == "ours":
            what = f"peak memory over that of bare forwards, batch {row['batch']}"
            lines.append(_goal(what, "< 1.2", row["of_bare"], met=row["of_bare"] < 1.2))
    if "first" in results:
        forwards = results["first"]["switch"]["forwards"]
        lines.append(_goal("forwards for a switch of class or score", "0", forwards, met=forwards == 0))
    if not lines:
        return "No goal is held against these parts."
    small = "" if options.speed_rows * (options.grid**2 + 1) >= 500 else "\n\nSmall numbers: these mean nothing."
    return (
        "### Goals\n\n"
        + table(["what", "wanted", "figure", "met", "mostly"], lines, {"mostly": "most of the whole call's"})
        + small
    )


def _goal(what: str, wanted: str, figure: float, *, met: bool) -> dict[str, Any]:
    return {"what": what, "wanted": wanted, "figure": figure, "met": "yes" if met else "**no**"}


def _mostly(row: dict[str, Any]) -> str:
    """Name the two largest shares."""
    largest = sorted(_SHARES, key=lambda share: -row[share]["median"])[:2]
    return ", ".join(f"{_SHARES[share]} {row[share]['median']:.3f}" for share in largest)


WRITE: dict[str, Callable[[dict[str, Any], Options], str]] = {
    "speed": speed,
    "memory": memory,
    "settings": settings,
    "rows": rows,
    "first": first,
}
