"""Figures of MACO: what it adds to the network's own passes, where that goes, and the published package beside it.

``python tests/benchmarks/prototypes.py`` measures everything and prints the tables for ``RESULTS.md``; ``--only``
chooses parts, ``--quick`` uses small numbers to see that all of them run. Each part runs in a process of its own, with
malloc as it comes and with its thresholds raised. The published package is measured where it can be imported:
``pip install --no-deps --target FOLDER horama einops`` with FOLDER on PYTHONPATH; the spectrum that it would download
is put in place.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import resource
import statistics
import sys
import time
import types
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from _bench import Options, machine, say, show, spread, table
from _processes import STATES, in_process
from torch.nn.functional import interpolate
from torchvision.models import get_model
from torchvision.ops import roi_align

import whatwhere as ww
from whatwhere.nets.outputs import read_output
from whatwhere.prototypes import _ascent, _climber, _showing, canvas, optimiser
from whatwhere.prototypes.views import cut_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTS = ("overhead", "shares", "peer", "why", "first frame")
NETWORKS = {"efficientnet_lite0": "EfficientNet-Lite0", "resnet18": "ResNet-18, random weights"}
_CHUNK = 4
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PrototypeOptions:
    """What a person asked for; it travels to the processes that measure."""

    device: str = "cpu"
    threads: int = 1
    size: int = 512
    large: int = 1280
    crops: int = 16
    steps: int = 6  # of one prototype; ten take a third of them
    rounds: int = 3


def load(options: PrototypeOptions, network: str) -> ww.VisionModel:
    """Load a network, on as many threads as asked for."""
    torch.set_num_threads(options.threads)
    if network == "efficientnet_lite0":
        return ww.load_model(network, device=options.device)
    torch.manual_seed(0)
    net = get_model(network, weights=None).eval()
    return ww.VisionModel(net, input_size=224, mean=_MEAN, std=_STD, device=options.device, name=NETWORKS[network])


def seconds(options: PrototypeOptions) -> float:
    """Read the clock that comparisons go by: on a shared CPU the wall says nothing."""
    if options.device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def faults() -> int:
    """Return how many pages the process has been given so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def bare(model: ww.VisionModel, options: PrototypeOptions, crops: int, *, batch: int, folded: bool) -> float:
    """Return seconds for as many crops forward and back to the input, and nothing else."""
    with torch.inference_mode(mode=False), model.computing(gradients=True):
        net = model.runner().net if folded else model.net
        x = model.example().expand(batch, -1, -1, -1).contiguous(memory_format=torch.channels_last).requires_grad_()
        begin = 0.0
        for number in range(-1, crops // batch):  # the first is to warm up
            if number == 0:
                begin = seconds(options)
            out = read_output(net(x.clone()), model.output, batch)
            torch.autograd.grad(out[:, 0].sum(), x)
    return (seconds(options) - begin) * (crops / (crops // batch * batch))


def ours(model: ww.VisionModel, options: PrototypeOptions, method: ww.Maco, count: int) -> float:
    """Return seconds of the steps of an ascent but the first, on which memory is found."""
    per_step, begin, step = method.crops * count, 0.0, None
    for step in method.steps_of(model, list(range(count))):
        if step.done == per_step and not begin:
            begin = seconds(options)
        if step.done == step.total and begin:
            break
    assert step is not None
    return (seconds(options) - begin) / (step.total - per_step)  # a crop


def overhead(options: PrototypeOptions, network: str) -> dict[str, Any]:
    """Compare with bare passes of the same crops, before and after each run."""
    model = load(options, network)
    out = {}
    for count, size in ((1, options.size), (10, options.size), (1, options.large)):
        method = ww.Maco(steps=1 + (options.steps if count == 1 else max(1, options.steps // 3)), crops=options.crops,
                         size=size)  # fmt: skip
        crops = min(64, options.crops * (method.steps - 1))
        rows: dict[str, list[float]] = {name: [] for name in ("ratio", "as_it_is", "ms", "faults", "bare faults")}
        for _ in range(options.rounds):
            begin = faults()
            before = bare(model, options, crops, batch=_CHUNK, folded=True) / crops
            middle = faults()
            found = ours(model, options, method, count)
            end = faults()
            after = bare(model, options, crops, batch=_CHUNK, folded=True) / crops
            unfolded = bare(model, options, crops, batch=_CHUNK, folded=False) / crops
            rows["ratio"].append(found / ((before + after) / 2))
            rows["as_it_is"].append(found / unfolded)
            rows["ms"].append(1000 * found)
            rows["faults"].append((end - middle) / (count * method.crops * method.steps))
            rows["bare faults"].append((middle - begin) / (crops + _CHUNK))
        name = f"{count} of {size} pixels"
        out[name] = {key: spread(values) for key, values in rows.items()}
        say(f"overhead: {network}, {name}: {show(out[name]['ratio'])}")
    return out


@contextlib.contextmanager
def clocked(total: dict[str, float], options: PrototypeOptions) -> Iterator[None]:
    """Count the seconds of the parts of a step."""
    watched: list[tuple[Any, str, str]] = [
        (canvas.Canvas, "draw", "drawing"),
        (canvas.Canvas, "gradient", "drawing"),
        (_showing, "cut_out", "cutting"),
        (_ascent.Ascent, "_to_network", "colours to the network"),
        (_ascent.Draws, "step", "random numbers"),
        (optimiser.NAdam, "step", "optimiser"),
        (_ascent.Ascent, "_publish", "records"),
        (_climber.Climber, "keep_frame", "records"),
    ]

    def watch(function: Callable[..., Any], share: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched_function(*arguments: Any, **named: Any) -> Any:
            begin = seconds(options)
            found = function(*arguments, **named)
            total[share] = total.get(share, 0.0) + seconds(options) - begin
            if share != "cutting":
                return found
            return found[0], watch(found[1], "giving back")

        return watched_function

    with contextlib.ExitStack() as patches:
        for owner, name, share in watched:
            patches.enter_context(patch.object(owner, name, watch(getattr(owner, name), share)))
        yield


def shares(options: PrototypeOptions, network: str) -> dict[str, Any]:
    """Tell where the time of an ascent goes, as shares of the whole."""
    model = load(options, network)
    method = ww.Maco(steps=options.steps, crops=options.crops, size=options.size)
    total: dict[str, float] = {}
    method.run(model, [0], progress=False)
    with clocked(total, options):
        begin = seconds(options)
        made = method.run(model, [0], progress=False)[0]
        whole = seconds(options) - begin
    inside = made.provenance.net_seconds / made.provenance.seconds
    return {"network, by the wall": inside} | {share: found / whole for share, found in sorted(total.items())}


def _published() -> Any:
    """Import horama's module; its plots import matplotlib, which is not drawn with here."""
    absent = [name for name in ("matplotlib", "matplotlib.pyplot") if name not in sys.modules]
    sys.modules |= {name: types.ModuleType(name) for name in absent}
    try:
        from horama import maco_fv
    finally:
        for name in absent:
            del sys.modules[name]
    return maco_fv


def peer(options: PrototypeOptions, network: str) -> dict[str, Any]:
    """Run horama's ``maco`` and ours at the same canvas, crops and steps, one after the other."""
    try:
        maco_fv = _published()
    except ImportError as error:
        return {"no_peer": f"horama is not measured: {error}"}
    model = load(options, network)
    net = model.source_net
    spectrum = ww.Spectrum.photos().at((512, 512)) * 512**2
    out: dict[str, Any] = {}
    for crops in (6, options.crops):
        method = ww.Maco(steps=options.steps, crops=crops, size=options.size, noise=0.05, uniform_noise=0.025)
        rows: dict[str, list[float]] = {"horama": [], "ours": [], "ratio": []}
        for _ in range(options.rounds):
            begin = seconds(options)
            with (
                patch.object(maco_fv.os.path, "isfile", return_value=True),
                patch.object(maco_fv.np, "load", return_value=spectrum),
                patch.object(maco_fv, "tqdm", lambda steps: steps),
            ):
                maco_fv.maco(
                    lambda images: read_output(net(images), model.output, len(images))[:, 0].mean(),
                    total_steps=options.steps,
                    image_size=options.size,
                    crops_per_iteration=crops,
                    device=options.device,
                )
            middle = seconds(options)
            method.run(model, [0], progress=False)
            end = seconds(options)
            rows["horama"].append((middle - begin) / options.steps)
            rows["ours"].append((end - middle) / options.steps)
            rows["ratio"].append((middle - begin) / (end - middle))
        out[str(crops)] = {name: spread(values) for name, values in rows.items()}
        say(f"peer: {network}, {crops} crops: {show(out[str(crops)]['ratio'])}")
    for parameter in net.parameters():
        parameter.grad = None
    return out


def _timed(options: PrototypeOptions, run: Callable[[], Any], times: int) -> float:
    """Return milliseconds each time, after one to warm up."""
    run()
    begin = seconds(options)
    for _ in range(times):
        run()
    return 1000 * (seconds(options) - begin) / times


def _resampling(options: PrototypeOptions, crops: int) -> tuple[float, float]:
    """Return milliseconds for so many crops and their gradient: horama's two ways in a row, and ours."""
    law, shown = ww.Maco.preset("horama").law(0.0), (224, 224)
    boxes = law.draw(crops, (options.size, options.size), shown, torch.Generator().manual_seed(0))
    corners = [[0, box.left, box.top, box.left + box.width, box.top + box.height] for box in boxes]
    image = torch.rand(1, 3, options.size, options.size, device=options.device).requires_grad_()
    rois = torch.tensor(corners, dtype=torch.float32, device=options.device)
    gradient = torch.rand(crops, 3, *shown, device=options.device)

    def twice() -> None:
        large = roi_align(image, rois, output_size=(448, 448))
        small = interpolate(large, size=shown, mode="bicubic", align_corners=True, antialias=True)
        torch.autograd.grad(small, image, gradient)

    pictures = image.detach().contiguous(memory_format=torch.channels_last)
    total, back = torch.zeros_like(pictures), gradient.contiguous(memory_format=torch.channels_last)

    def once() -> None:
        _, give_back = cut_out(pictures, [(0, box) for box in boxes], shown)
        give_back(back, total)

    return _timed(options, twice, 4), _timed(options, once, 16)


def why(options: PrototypeOptions, network: str) -> dict[str, Any]:
    """Take the difference to horama apart, in milliseconds of a step of as many crops."""
    try:
        maco_fv = _published()
    except ImportError as error:
        return {"no_peer": f"horama is not measured: {error}"}
    model = load(options, network)
    net, crops = model.source_net, 6
    spectrum = ww.Spectrum.photos().at((512, 512)) * 512**2
    method = ww.Maco(steps=options.steps, crops=crops, size=options.size, noise=0.05, uniform_noise=0.025)

    def theirs(objective: Callable[[torch.Tensor], torch.Tensor]) -> float:
        begin = seconds(options)
        with (
            patch.object(maco_fv.os.path, "isfile", return_value=True),
            patch.object(maco_fv.np, "load", return_value=spectrum),
            patch.object(maco_fv, "tqdm", lambda steps: steps),
        ):
            maco_fv.maco(objective, total_steps=options.steps, image_size=options.size, crops_per_iteration=crops,
                         device=options.device)  # fmt: skip
        return 1000 * (seconds(options) - begin) / options.steps

    def score(images: torch.Tensor) -> torch.Tensor:
        return read_output(net(images), model.output, len(images))[:, 0].mean()

    rows: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        whole = theirs(score)
        flags = [parameter.requires_grad for parameter in net.parameters()]
        for parameter in net.parameters():
            parameter.grad = None
            parameter.requires_grad_(requires_grad=False)
        frozen, outside = theirs(score), theirs(lambda images: images.mean())
        for parameter, flag in zip(net.parameters(), flags, strict=True):
            parameter.requires_grad_(flag)
        twice, once = _resampling(options, crops)
        mine = 1000 * ours(model, options, replace(method, steps=options.steps + 1), 1) * crops
        folded = 1000 * bare(model, options, 24, batch=_CHUNK, folded=True) * crops / 24
        found = {
            "horama": whole, "weights' gradients": whole - frozen, "network to the input": frozen - outside,
            "resampling": twice, "rest": outside - twice, "ours": mine, "our network to the input": folded,
            "our resampling": once, "our rest": mine - folded - once, "resampling, horama over ours": twice / once,
        }  # fmt: skip
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in rows.items()}


def first_frame(options: PrototypeOptions, network: str) -> dict[str, Any]:
    """Return seconds by the wall until there is something to see, at the default size, in a process of its own."""
    model = load(options, network)
    method, target = ww.Maco(size=options.size), [0]
    begin = time.perf_counter()
    stream = method.stream(model, target)
    next(stream)
    found = {"a stream's first picture": time.perf_counter() - begin}
    next(records for records in stream if records[0].steps)
    found["one of a step"] = time.perf_counter() - begin
    stream.close()
    begin = time.perf_counter()
    view = ww.PrototypeView(model, target, method=method)
    view.start()
    for name, there in (("a view's first picture", lambda: view._large), ("one of a step in it", _grown(view))):
        while not there():
            time.sleep(0.005)
        found[name] = time.perf_counter() - begin
    view.stop()
    view.close()
    return found | {"load, 1 minute": os.getloadavg()[0]}


def _grown(view: ww.PrototypeView) -> Callable[[], bool]:
    return lambda: bool(view._protos) and view._protos[0]["steps"] > 0


RUN: dict[str, Callable[[PrototypeOptions, str], dict[str, Any]]] = {
    "overhead": overhead,
    "shares": shares,
    "peer": peer,
    "why": why,
    "first frame": first_frame,
}


def write(part: str, found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Lay a part's figures out as a table."""
    rows = []
    for state, networks in found.items():
        for network, figures in networks.items():
            if "no_peer" in figures:
                return str(figures["no_peer"])
            head = {"network": NETWORKS[network], "malloc": STATES[state].removeprefix("malloc ")}
            if part in ("shares", "why", "first frame"):
                rows.append(head | {name: f"{value:.3g}" for name, value in figures.items()})
            else:
                what = "prototypes" if part == "overhead" else "crops"
                rows += [head | {what: key} | {n: show(v) for n, v in row.items()} for key, row in figures.items()]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return f"### {part}\n\n{table(columns, rows)}"


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), help="networks")
    parser.add_argument("--states", nargs="+", choices=list(STATES), default=list(STATES), help="of malloc")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--rounds", type=int, default=3, help="of the parts that are timed")
    parser.add_argument("--quick", action="store_true", help="small numbers, which mean nothing")
    parser.add_argument("--json", metavar="PATH", help="where to write all figures")
    parser.add_argument("--inner", help=argparse.SUPPRESS)  # what a process of ours is to measure
    arguments = parser.parse_args()
    if arguments.inner:
        task = json.loads(arguments.inner)
        print(json.dumps(RUN[task["part"]](PrototypeOptions(**task["options"]), task["network"])))
        return
    options = PrototypeOptions(device=arguments.device, rounds=arguments.rounds)
    if arguments.quick:
        options = replace(options, size=128, large=256, crops=4, steps=3, rounds=1)
    print(f"## Prototypes: `{' '.join(['python tests/benchmarks/prototypes.py', *sys.argv[1:]])}`")
    print(f"\n{machine(Options(options.device, options.threads))}.\n", flush=True)
    results: dict[str, Any] = {}
    for part in arguments.only:
        results[part] = {
            state: {
                network: in_process(
                    __file__, {"part": part, "options": asdict(options), "network": network}, raised=state == "raised"
                )
                for network in arguments.networks
            }
            for state in arguments.states
        }
        print(f"{write(part, results[part])}\n", flush=True)
        if arguments.json:
            Path(arguments.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
