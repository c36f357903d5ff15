"""The tables of the benchmark of concepts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from _bench import show, table
from _concepts_clock import SHARES
from _processes import STATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from _concepts_bench import ConceptOptions

_OUTSIDE = {f"share_{share}": title for share, title in SHARES.items() if share != "network"}
_NAMES = {
    "fit_on": "fit_on",
    "no_reading": "but for reading photos",
    "told": "by the wall, as the record tells",
    "per_forward": "CPU ms a forward",
    "seconds": "CPU s",
    "rho": "rho",
    "bare_apart": "bare runs apart",
    "batch": "our batch",
    "theirs_fit": "craft-xai fit, CPU s",
    "ours_fit": "ours, CPU s",
    "fit_ratio": "**craft-xai / ours**",
    "large_fit": "ours in batches of 16",
    "large_ratio": "craft-xai / that",
    "theirs_all": "its fit, codes and importance",
    "ours_all": "ours",
    "all_ratio": "craft-xai / ours",
    "apart": "same crops, largest difference",
    "apart_corner": "our own crop, upper left",
    "error_ours_on_ours": "our bank on our crops",
    "error_theirs_on_ours": "its bank on our crops",
    "error_ours_on_theirs": "our bank on its crops",
    "error_theirs_on_theirs": "its bank on its crops",
    "times_less": "times less than crops",
    "error_crops": "error, crops",
    "error_locations": "error, locations",
    "r2": "R2 of the logit",
    "halves": "cosines, halves",
    "seeds": "cosines, seeds",
    "like_crops": "cosines with the crops' bank",
    "difference": "mean difference of the logit",
    "agreement": "top-1 agreement",
    "fidelity": "C-muFidelity (95 %)",
    "deletion": "C-Deletion, share",
    "insertion": "C-Insertion, share",
    "mib": "MiB over before",
    "stored_mib": "of it stored, MiB",
    "of_first": "of the first",
    "banks_apart": "banks, largest difference",
    "of_bare": "of bare",
}
_TOLD = ["self_time", "no_reading", "told", "rho", "bare_apart", "per_forward"]


def shares(result: dict[str, Any], options: ConceptOptions) -> str:
    text = (
        "Self time is the time outside the network over the time inside it, both by the processor, in one run of "
        f"`Craft`; median of {options.rounds} (least to most). Photos are read from files, or lie ready in the "
        "network's size. Rho is the run's time over that of as many bare forwards, run before and after. What does "
        "not grow with the photos (preparing, fingerprints) weighs on sets as small as these."
    )
    parts = ["### Where the time goes", text]
    for state, found in result.items():
        rows = [row for part in found.values() for row in part["table"]]
        head = ["network", "fit_on", "from", "photos"]
        parts += [f"**{STATES[state]}**", table([*head, *_TOLD], rows, _NAMES)]
        parts += ["Shares of the time in the network:", table([*head[:3], *_OUTSIDE], rows, _OUTSIDE)]
    return "\n\n".join(parts)


def peer(result: dict[str, Any], options: ConceptOptions) -> str:
    text = (
        f"craft-xai with its defaults (batches of 64), {options.rounds} rounds in turn, median (least to most). Same "
        "rank, photos and input tensors; crops of 64 of 224 pixels, 16 a photo each: ours cover every pixel, "
        "craft-xai's leave out the last 7 rows and columns. Our fit runs the whole images besides, 17 forwards a photo "
        "for 16. The largest difference of pooled features is over the largest feature; errors ||A - U W|| / ||A|| "
        "are with exact codes."
    )
    parts = ["### Beside craft-xai", text]
    for state, found in result.items():
        told = [part["no_peer"] for part in found.values() if "no_peer" in part]
        if told:
            parts += [f"**{STATES[state]}**: {told[0]}"]
            continue
        rows = [row for part in found.values() for row in part["table"]]
        costs = [
            "theirs_fit",
            "ours_fit",
            "fit_ratio",
            "large_fit",
            "large_ratio",
            "theirs_all",
            "ours_all",
            "all_ratio",
        ]
        parts += [f"**{STATES[state]}**", table(["network", "photos", "rank", "batch", *costs], rows, _NAMES)]
        same = ["apart", "apart_corner", *(f"error_{a}_on_{b}" for b in ("ours", "theirs") for a in ("ours", "theirs"))]
        parts += [table(["network", "crops", *same], rows, _NAMES)]
    return "\n\n".join(parts)


def modes(result: dict[str, Any], options: ConceptOptions) -> str:
    text = (
        f"EfficientNet-Lite0, up to {options.photos} photos of tench, {options.rank} concepts, photos ready in the "
        f"network's size. Cosines are means over matched concepts: of the banks of two halves of the photos "
        f"({options.resamples} splits), of two seeds ({options.resamples} seeds, all pairs), and of the bank with the "
        f"one from crops. Plan, tuned where the run was long enough: {result.get('plan')}. Agreement and R2 are of the "
        "photos that were fitted, the layer replaced by U W. Behind this "
        "layer all is affine: contributions are exact, and their C-muFidelity is 1 in every mode."
    )
    columns = ["fit_on", "photos", "forwards", "seconds", "times_less", "error_crops", "error_locations", "agreement"]
    columns += ["r2", "halves", "seeds", "like_crops"]
    return _section("### Whole images instead of crops", text, result, columns)


def importance(result: dict[str, Any], options: ConceptOptions) -> str:
    if "skipped" in result:
        return f"### Importance of stored codes\n\n{result['skipped']}"
    return (
        f"### Importance of stored codes\n\n{result['rank']} concepts, {result['photos']} photos, affine head, "
        f"{options.threads} thread: {show(result['seconds'])} CPU s (goal: below 1 s)."
    )


def held_out(result: dict[str, Any], options: ConceptOptions) -> str:
    del options
    text = (
        "The bank of one half of the photos that are predicted as the class rebuilds the layer on the other half, and "
        "the other way round, so that every photo is held out once. Agreement with Wilson's 95 % interval."
    )
    columns = ["class", "rank", "fit_on", "photos", "agreement", "r2", "difference"]
    return _section("### Held-out halves", text, result, columns)


def earlier(result: dict[str, Any], options: ConceptOptions) -> str:
    title = "### An earlier layer"
    if "skipped" in result:
        return f"{title}\n\n{result['skipped']}"
    text = (
        f"`{result['layer']}` of EfficientNet-Lite0 ({result['channels']} channels, {result['extractor']}), rank "
        f"{result['rank']}, {result['photos']} tench: relative error {show(result['error'])}, agreement "
        f"{show(result['agreement'])}, R2 {show(result['r2'])}; contributions miss the logit by "
        f"{show(result['gaps'])} on average; bank in {show(result['bank_seconds'])} CPU s. Means over "
        f"{options.earlier_photos} photos with bootstrap 95 % intervals over photos; areas are shares of what all "
        "concepts change (deletion: lower is better, insertion: higher). Evaluations and CPU s are of one photo."
    )
    columns = ["method", "evaluations", "seconds", "fidelity", "deletion", "insertion"]
    return _section(title, text, result, columns)


def maps(result: dict[str, Any], options: ConceptOptions) -> str:
    text = (
        f"EfficientNet-Lite0, {result['rank']} concepts of its last maps, one photo at a time; median of "
        f"{options.rounds} photos (least to most). For methods without gradients, CPU time over that of as many bare "
        "forwards."
    )
    return _section("### Maps", text, result, ["method", "forwards", "backwards", "seconds", "of_bare_forwards"])


def classes(result: dict[str, Any], options: ConceptOptions) -> str:
    title = "### Many classes in one call"
    if "skipped" in result:
        return f"{title}\n\n{result['skipped']}"
    text = (
        f"{result['photos']} photos of {result['classes']} classes, EfficientNet-Lite0, {options.rank} concepts a "
        "class; photos ready. In turn: a run for each class, on all photos or on its own folder. Factorisations are of "
        "all photos of a folder; banks' largest difference is to one class after the other. "
        f"{options.rounds} rounds, ratios to the first row of a group within a round."
    )
    columns = ["what", "fit_on", "way", "classes", "rows", "iterations", "banks_apart", "seconds", "of_first"]
    return _section(title, text, result, columns)


def memory(result: dict[str, Any], options: ConceptOptions) -> str:
    del options
    text = (
        "Peak of resident memory over what was there before, each from fresh processes; stored are features and "
        "inputs, which are spilled to files beyond `whatwhere.limits.activation_bytes`."
    )
    return _section("### Memory", text, result, ["who", "photos", "mib", "of_bare", "stored_mib"])


def _section(title: str, text: str, result: dict[str, Any], columns: list[str]) -> str:
    if "skipped" in result:
        return f"{title}\n\n{result['skipped']}"
    return "\n\n".join([title, text, table(columns, result["table"], _NAMES)])


WRITE: dict[str, Callable[[dict[str, Any], ConceptOptions], str]] = {
    "shares": shares,
    "peer": peer,
    "modes": modes,
    "importance": importance,
    "held_out": held_out,
    "earlier": earlier,
    "maps": maps,
    "classes": classes,
    "memory": memory,
}
