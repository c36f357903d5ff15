"""What a map of all concepts on one photo costs, by each method."""

from __future__ import annotations

import itertools
from typing import Any

from _bench import metered, say, spread
from _concepts_bench import ConceptOptions, bare_forward, load, prepared, some_photos

METHODS: dict[str, dict[str, Any]] = {
    "codes": {},
    "gradcam": {},
    "gradient_input": {},
    "integrated_gradients": {},
    "occlusion": {},
    "rise": {"rows": 256},
    "sobol": {"rows": 4},
}


def maps(options: ConceptOptions) -> dict[str, Any]:
    """Draw maps of a few photos, each between two bare runs of the network."""
    from whatwhere.concepts.craft import Craft

    model = load(options)
    photos = prepared(model, some_photos(options.share_photos))
    rank = min(options.rank, len(photos))
    concepts = Craft(n_concepts=rank, fit_on="locations").run(model, photos, progress=False).on(model)
    concepts.maps(next(iter(photos.values())))  # warm
    table = []
    for method, chosen in METHODS.items():
        found = []
        for photo in itertools.islice(photos.values(), options.rounds):
            before = bare_forward(model, options.device)
            with metered(options.device) as cost:
                drawn = concepts.maps(photo, method, **chosen)
            after = bare_forward(model, options.device)
            spent = cost.cpu if options.device == "cpu" else cost.wall
            of_bare = spent / drawn.n_forwards / ((before + after) / 2)
            found.append((drawn, spent, of_bare))
        row = {
            "method": ", ".join([method, *(f"{key}={value}" for key, value in chosen.items())]),
            "forwards": found[0][0].n_forwards,
            "backwards": spread(drawn.n_backwards for drawn, _, _ in found),
            "seconds": spread(spent for _, spent, _ in found),
            "of_bare_forwards": spread(ratio for _, _, ratio in found) if found[0][0].n_backwards == 0 else None,
        }
        table.append(row)
        say(f"maps: {method}: {row['seconds']['median']:.2f} s")
    return {"rank": rank, "table": table}
