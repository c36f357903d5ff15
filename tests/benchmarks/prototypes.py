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
from torchvision.models import get_model

import whatwhere as ww
from whatwhere.nets.outputs import read_output
from whatwhere.prototypes import _ascent, _climber, _showing, canvas, optimiser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTS = ("overhead", "shares", "peer")
NETWORKS = {"efficientnet_lite0": "EfficientNet-Lite0", "resnet18": "ResNet-18, random weights"}
_CHUNK = 4
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PrototypeOptions:
    """What a person asked for; it travels to the processes that measure."""

    device: str = "cpu"
    threads: int = 1
    size: int = 512
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
    for count in (1, 10):
        method = ww.Maco(steps=1 + (options.steps if count == 1 else max(1, options.steps // 3)), crops=options.crops,
                         size=options.size)  # fmt: skip
        crops = min(64, options.crops * (method.steps - 1))
        ratios, plain, each = [], [], []
        for _ in range(options.rounds):
            before = bare(model, options, crops, batch=_CHUNK, folded=True) / crops
            found = ours(model, options, method, count)
            after = bare(model, options, crops, batch=_CHUNK, folded=True) / crops
            unfolded = bare(model, options, crops, batch=_CHUNK, folded=False) / crops
            ratios.append(found / ((before + after) / 2))
            plain.append(found / unfolded)
            each.append(1000 * found)
        out[str(count)] = {"ratio": spread(ratios), "as_it_is": spread(plain), "ms": spread(each)}
        say(f"overhead: {network}, {count}: {show(out[str(count)]['ratio'])}")
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


RUN: dict[str, Callable[[PrototypeOptions, str], dict[str, Any]]] = {
    "overhead": overhead,
    "shares": shares,
    "peer": peer,
}


def write(part: str, found: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Lay a part's figures out as a table."""
    rows = []
    for state, networks in found.items():
        for network, figures in networks.items():
            if "no_peer" in figures:
                return str(figures["no_peer"])
            head = {"network": NETWORKS[network], "malloc": STATES[state].removeprefix("malloc ")}
            if part == "shares":
                rows.append(head | {name: f"{value:.3f}" for name, value in figures.items()})
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
        options = replace(options, size=128, crops=4, steps=3, rounds=1)
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
