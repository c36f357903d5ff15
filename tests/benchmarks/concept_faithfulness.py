"""Crops against whole images where nothing behind is affine: `python tests/benchmarks/concept_faithfulness.py`.

For each way to fit, the bank of tench at ``features.6`` of EfficientNet-Lite0, and on held-out tench how well
importances foretell what the logit loses without subsets of concepts (C-muFidelity), with C-Deletion and C-Insertion.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import torch

import whatwhere as ww

METHODS = ("gradient_input", "integrated_gradients", "occlusion", "sobol")


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = os.environ.get("WHATWHERE_SHARED", str(Path(__file__).parents[3] / "shared"))
    parser.add_argument("--photos", type=Path, default=Path(shared) / "data" / "imagenette" / "000_tench")
    parser.add_argument("--layer", default="features.6")
    parser.add_argument("--concepts", type=int, default=10)
    parser.add_argument("--fit", type=int, default=40, help="photos fitted on, the first ones")
    parser.add_argument("--held-out", type=int, default=24, help="photos measured on, the next ones")
    given = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(given.photos.iterdir())
    fit, held_out = files[: given.fit], files[given.fit : given.fit + given.held_out]
    model = ww.load_model("efficientnet_lite0", device="cpu")
    print("| fit_on | error, locations | agreement | R2 | method | C-muFidelity | C-Deletion | C-Insertion |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for fit_on in ("crops", "locations", "both"):
        begin = time.process_time()
        method = ww.Craft(n_concepts=given.concepts, layer=given.layer, fit_on=fit_on, importance="contribution")
        concepts = method.run(model, fit, target="tench", progress=False).on(model)
        told = concepts.evaluate(held_out)
        found = concepts.faithfulness(held_out, methods=METHODS)
        for name in METHODS:
            cells = [
                f"{each[name].mean:.3f} ({each[name].low:.3f} to {each[name].high:.3f})"
                for each in (found.mu_fidelity, found.deletion, found.insertion)
            ]
            row = [fit_on, f"{told.error.weighted:.3f}", f"{told.fidelity.agreement:.2f}", f"{told.fidelity.r2:.2f}"]
            print("|", " | ".join([*row, name, *cells]), "|", flush=True)
        print(f"<!-- {fit_on}: {time.process_time() - begin:.0f} s of the processor -->", flush=True)


if __name__ == "__main__":
    main()
