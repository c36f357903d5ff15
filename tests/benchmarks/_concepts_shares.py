"""Where the time of one extraction goes, on two networks, from crops, from locations and from both."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from _bench import metered, say, spread
from _concepts_bench import FIT_ON, TITLES, ConceptOptions, bare_forward, load, prepared, some_photos
from _concepts_clock import SHARES, self_time, watched

if TYPE_CHECKING:
    import whatwhere as ww


def shares(options: ConceptOptions, network: str) -> dict[str, Any]:
    """Run the whole method several times, and count what each part takes."""
    from whatwhere.concepts.craft import Craft

    model = load(options, network)
    deep = network == "resnet50"
    images = some_photos(options.deep_photos if deep else options.share_photos)
    ready = prepared(model, images)
    rank = min(options.deep_rank if deep else options.rank, len(images))
    rounds: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for turn in range(options.rounds):
        for fit_on in FIT_ON:
            for source, photos in (("files", images), ("prepared", ready)):
                method = Craft(n_concepts=rank, fit_on=fit_on)
                figures = _run(model, method, photos, options)
                rounds[fit_on, source].append(figures)
                say(f"shares: {network}, round {turn + 1}, {fit_on} from {source}: {figures['self_time']:.3f}")
    table = [
        {"network": TITLES[network], "fit_on": fit_on, "from": source, "photos": len(images), "rank": rank}
        | {key: spread(f[key] for f in figures) for key in figures[0]}
        for (fit_on, source), figures in rounds.items()
    ]
    return {"table": table}


def _run(model: ww.VisionModel, method: Any, photos: dict[str, Any], options: ConceptOptions) -> dict[str, float]:
    """Extract concepts between two bare runs of the network; on a GPU nothing but the whole means anything."""
    before = bare_forward(model, options.device)
    with metered(options.device) as cost, watched() as clock:
        bank = method.run(model, photos, progress=False)
        seconds = clock.seconds(0 if options.device == "cpu" else 1)
    after = bare_forward(model, options.device)
    forwards = len(photos) * (1 if method.fit_on == "locations" else 17)
    whole = cost.cpu if options.device == "cpu" else cost.wall
    made = bank.provenance
    return {
        "self_time": self_time(seconds),
        "no_reading": self_time(seconds, without=("reading",)),
        "told": made.seconds / made.net_seconds - 1,
        "seconds": whole,
        "per_forward": 1000 * whole / forwards,
        "rho": whole / forwards / ((before + after) / 2),
        "bare_apart": abs(after - before) / ((before + after) / 2),
        **{f"share_{share}": seconds[share] / seconds["network"] for share in SHARES if share != "network"},
    }
