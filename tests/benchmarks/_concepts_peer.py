"""CRAFT as its authors publish it for PyTorch (the package craft-xai), beside ours: same photos, rank and network."""

from __future__ import annotations

import sys
import types
import warnings
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from _bench import say, spread
from _concepts_bench import TITLES, ConceptOptions, load, prepared, relative_error, some_photos
from _peers import plain_network
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    import whatwhere as ww

_PATCH = 64
_LARGE = 16  # the crops of a photo in one batch, for those who have told malloc to keep memory


def no_peer() -> str:
    """Say why craft-xai is not measured; nothing where it can be."""
    try:
        _published()
    except ImportError as error:
        return f"craft-xai is not measured: {error}. `pip install craft-xai` into a folder on PYTHONPATH."
    return ""


def _published() -> Any:
    """Import the published class; its samplers import tensorflow, which the PyTorch half never calls."""
    absent = "tensorflow" not in sys.modules
    if absent:
        sys.modules["tensorflow"] = types.ModuleType("tensorflow")
    try:
        from craft.craft_torch import Craft
    finally:
        if absent:
            del sys.modules["tensorflow"]  # torch asks whether it is there, and would believe it
    return Craft


def peer(options: ConceptOptions, network: str) -> dict[str, Any]:
    """Fit both, one after the other, several times."""
    from whatwhere.engine.pacing import Pace

    if told := no_peer():
        return {"no_peer": told}
    model, roomy = load(options, network), load(options, network)
    roomy.batch_size = _LARGE
    deep = network == "resnet50"
    photos = prepared(model, some_photos(options.deep_photos if deep else options.peer_photos))
    rank = min(options.deep_rank if deep else options.rank, len(photos))
    inputs = torch.cat([model.to_input(photo.pixels) for photo in photos.values()]).contiguous()
    target = int(model.predict(next(iter(photos.values()))).argmax())
    halves = _halves(plain_network(model))
    rounds: dict[str, list[float]] = defaultdict(list)
    for turn in range(options.rounds + 1):  # the first one warms up
        ours, bank = _ours(model, photos, rank, options)
        theirs, fitted = _theirs(halves, inputs, rank, target, options)
        large, _ = _ours(roomy, photos, rank, options)
        if turn:
            for who, costs in (("ours", ours), ("theirs", theirs), ("large", large)):
                for name, seconds in costs.items():
                    rounds[f"{who}_{name}"].append(seconds)
        say(f"peer: {network}, round {turn}: fit {theirs['fit']:.2f} s, ours {ours['fit']:.2f} s")
    row = {key: spread(values) for key, values in rounds.items()}
    for name in ("fit", "all"):
        pairs = zip(rounds[f"theirs_{name}"], rounds[f"ours_{name}"], strict=True)
        row[f"{name}_ratio"] = spread(theirs / ours for theirs, ours in pairs)
    row["large_ratio"] = spread(a / b for a, b in zip(rounds["theirs_fit"], rounds["large_fit"], strict=True))
    size = Pace(model, steady=False).size
    found = {"network": TITLES[network], "photos": len(photos), "rank": rank, "batch": size, **row}
    return {"table": [found | _agreement(model, halves[0], inputs, bank, fitted)]}


def _halves(net: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Split a network as a person would for craft-xai: feature maps, then the rest."""
    if hasattr(net, "features"):
        return net.features, nn.Sequential(net.avgpool, nn.Flatten(), net.classifier)
    children = list(net.children())
    return nn.Sequential(*children[:-2]), nn.Sequential(children[-2], nn.Flatten(), children[-1])


def _ours(model: ww.VisionModel, photos: Any, rank: int, options: ConceptOptions) -> tuple[dict[str, float], Any]:
    """Run our method; its fit ends with the last pass of the factorisation, and has seen whole images and crops."""
    from whatwhere.concepts.craft import Craft

    spent = _stopwatch(options)
    fit = 0.0
    record = None
    for step in Craft(n_concepts=rank, fit_on="crops", importance="contribution").steps(model, photos, previews=False):
        fit = spent() if step.stage == "concepts" else fit
        record = step.record
    return {"fit": fit, "all": spent()}, record


def _theirs(
    halves: tuple[nn.Module, nn.Module], inputs: Tensor, rank: int, target: int, options: ConceptOptions
) -> tuple[dict[str, float], Any]:
    """Run the published class with its defaults but for the rank."""
    spent = _stopwatch(options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its copies of tensors warn, and scikit-learn where it stops early
        craft = _published()(
            *halves, number_of_concepts=rank, batch_size=64, patch_size=_PATCH, device=str(inputs.device)
        )
        crops, _, _ = craft.fit(inputs)
        fit = spent()
        craft.estimate_importance(inputs, target, nb_design=32)
    return {"fit": fit, "all": spent()}, (craft, crops)


def _stopwatch(options: ConceptOptions) -> Callable[[], float]:
    import time

    if options.device == "cpu":
        begin = time.process_time()
        return lambda: time.process_time() - begin
    torch.cuda.synchronize()
    start = time.perf_counter()

    def spent() -> float:
        torch.cuda.synchronize()
        return time.perf_counter() - start

    return spent


def _agreement(model: ww.VisionModel, encode: nn.Module, inputs: Tensor, bank: Any, fitted: Any) -> dict[str, float]:
    """Compare features of the same crops, and the errors of both banks on the same features."""
    from whatwhere.concepts.crops import cut_out, windows
    from whatwhere.engine.encoder import Encoder
    from whatwhere.engine.factors import Dictionary

    craft, crops = fitted
    size = tuple(inputs.shape[-2:])
    encoder = Encoder(model, bank.layer.name)
    with torch.no_grad(), model.computing():
        large = nn.functional.interpolate(crops, size=size, mode="bilinear", align_corners=False)
        theirs = torch.cat([encode(part).mean(dim=(2, 3)) for part in large.split(16)])
        mine = torch.cat([encoder.cells(part).mean(dim=(1, 2)) for part in large.split(model.batch_size)])
        channels_last = inputs.contiguous(memory_format=torch.channels_last)
        own = cut_out(channels_last, windows(size, (_PATCH, _PATCH)))
        ours = torch.cat([encoder.cells(part).mean(dim=(1, 2)) for part in own.split(model.batch_size)])
    per_photo = len(crops) // len(inputs)
    corner = theirs[::per_photo] - ours[:: len(own) // len(inputs)]  # both begin with the upper left window
    largest = float(theirs.abs().max())
    banks = {"ours": torch.from_numpy(bank.W.copy()), "theirs": torch.from_numpy(craft.W)}
    errors = {
        f"error_{who}_on_{on}": relative_error(Dictionary(atoms), rows)
        for who, atoms in banks.items()
        for on, rows in (("ours", ours), ("theirs", theirs))
    }
    apart = float((mine - theirs).abs().max()) / largest
    return {"apart": apart, "apart_corner": float(corner.abs().max()) / largest, "crops": per_photo, **errors}
