"""Self time and the ratio to the bare network at several batch sizes, beside others; and what each setting gains."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import _peers
import torch
from _bench import Cost, Options, load, masked_batch, measure_of, metered, one_photo, say, spread
from _shares import of_net, watched

from whatwhere.engine.forward import even_batch
from whatwhere.engine.tuning import Tuner, precision_noise
from whatwhere.nets.plans import Plan, Runner, default_plan
from whatwhere.pixels.images import Photo

if TYPE_CHECKING:
    from collections.abc import Callable

    import whatwhere as ww
    from whatwhere.pixels.images import Pixels

_BATCHES = (1, 8, 128, 32)  # the last is compared with others, which run soon after
_SETTINGS = (4, 8, 32)
_TUNING_BUDGET = 104  # what a default map of 2,080 forwards spends
_BESIDE = 32  # the batch size at which others are compared with


def speed(options: Options) -> dict[str, Any]:
    """Measure whole maps, each between two bare runs, then others on as many forwards; all of it several times."""
    model = load(options)
    photo, pixels = one_photo(model)
    columns = options.grid**2 + 1
    plans = {str(b): replace(default_plan(model.net, model.device), batch_size=b) for b in _BATCHES}
    plans["tuned"] = _tuned(model, pixels)
    rounds: dict[str, list[dict[str, float]]] = defaultdict(list)
    for turn in range(options.rounds):
        for name, plan in plans.items():
            rounds[name].append(_ours(model, plan, photo, pixels, options))
            say(f"speed: round {turn + 1}, batch {name}: self time {rounds[name][-1]['self_time']:.3f}")
        for name, figures in _others(model, pixels, options).items():
            rounds[name].append(figures)
            say(f"speed: round {turn + 1}, {name}")
    measure = measure_of(options.device)
    for name in set(rounds) - set(plans):
        for figures, at_32, tuned in zip(rounds[name], rounds[str(_BESIDE)], rounds["tuned"], strict=True):
            figures["times_ours"] = figures[measure] / at_32[measure]
            figures["times_tuned"] = figures[measure] / tuned[measure]
    ran = {name: even_batch(options.speed_rows * columns, plan.batch_size) for name, plan in plans.items()}
    order = [*map(str, sorted(_BATCHES)), "tuned"]
    return {
        "forwards": options.speed_rows * columns,
        "tuned_plan": plans["tuned"].describe(),
        "no_captum": _peers.no_captum(),
        "ours": [{"batch": name, "ran_at": ran[name]} | _summary(rounds[name]) for name in order],
        "others": [{"method": name} | _summary(rounds[name]) for name in rounds if name not in plans],
        "rounds": rounds,
    }


def _summary(rounds: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {key: spread(figures[key] for figures in rounds) for key in rounds[0]}


def _tuned(model: ww.VisionModel, pixels: Pixels) -> Plan:
    """Return the plan that tuning picks before a default map."""
    model.plan = default_plan(model.net, model.device)
    for _ in Tuner(model, _TUNING_BUDGET, pixels).steps():
        pass
    return model.plan


def _ours(model: ww.VisionModel, plan: Plan, photo: Any, pixels: Pixels, options: Options) -> dict[str, float]:
    """Make a map between two bare runs of the same network, plan and batch."""
    import whatwhere as ww

    model.plan = plan
    method = ww.Sobol(grid=options.grid, rows=options.speed_rows)
    batch = even_batch(method.rows * (method.cells + 1), plan.batch_size)
    before = _bare(model, pixels, batch, options)
    with metered(options.device) as cost, watched() as seconds:
        record = method.run(model, photo, progress=False)
    after = _bare(model, pixels, batch, options)
    made = record.provenance
    forwards = record.n_forwards + made.n_extra
    return {
        **cost.each(record.n_forwards),
        "self_time": made.seconds / made.net_seconds - 1,
        "whole_call": cost.wall / made.net_seconds - 1,
        **of_net(seconds, cost.wall, made.net_seconds),
        "rho_cpu": cost.cpu / forwards / ((before.cpu + after.cpu) / 2),
        "rho_wall": cost.wall / forwards / ((before.wall + after.wall) / 2),
        "bare_apart": abs(after.cpu - before.cpu) / ((before.cpu + after.cpu) / 2),
    }


def _bare(model: ww.VisionModel, pixels: Pixels, count: int, options: Options) -> Cost:
    """Return what an image costs the network alone, on a resident masked batch."""
    batch = masked_batch(model, pixels, count, options.grid, channels_last=model.plan.channels_last)
    times = -(-options.bare_images // count)
    with model.computing():
        runner = model.runner()
        runner(batch)
        with metered(options.device) as cost:
            for _ in range(times):
                runner(batch)
    images = times * count
    return Cost(cost.wall / images, cost.user / images, cost.system / images, cost.faults)


def _others(model: ww.VisionModel, pixels: Pixels, options: Options) -> dict[str, dict[str, float]]:
    """Run others on as many forwards of the same network."""
    forwards = options.speed_rows * (options.grid**2 + 1)
    net = _peers.Counted(_peers.plain_network(model))
    image = model.to_input(pixels).contiguous()
    with model.computing():
        target = int(model.logits(image)[0].argmax())
    masks = _peers.published_masks(options.speed_rows, options.grid)[:forwards]
    runs: dict[str, Callable[[], Any]] = {
        "published code's way, 32 at a time": lambda: _peers.published_way(net, image, masks, target)
    }
    if not _peers.no_captum():
        for name, method in _peers.CAPTUM.items():
            runs[name] = lambda method=method: method(net, image, target, forwards)
    out = {}
    for name, run in runs.items():
        _peers.published_way(net, image, masks[:_BESIDE], target)  # warm: allocated, algorithms chosen
        net.images = 0
        with metered(options.device) as cost:
            run()
        out[name] = {"forwards": net.images, **cost.each(net.images)}
    return out


def settings(options: Options) -> dict[str, Any]:
    """Time bare forwards of the same masked images under one setting after the other."""
    model = load(options)
    pixels = one_photo(model)[1]
    measure = measure_of(options.device)
    table: list[dict[str, Any]] = []
    noise: dict[str, float | None] = {}
    for count in _SETTINGS:
        ways = _ways(model, count, options)
        rounds: dict[str, list[dict[str, float]]] = defaultdict(list)
        for turn in range(options.rounds):
            for name, way in ways.items():
                rounds[name].append(_timed(model, pixels, way, count, options))
            say(f"settings: batch {count}, round {turn + 1}")
        plain = next(iter(rounds.values()))
        for name, figures in rounds.items():
            ratio = spread(f[measure] / p[measure] for f, p in zip(figures, plain, strict=True))
            if name not in noise:  # it does not depend on the batch
                noise[name] = _noise(model, pixels, ways[name])
            row = {"batch": count, "setting": name, "of_plain": ratio, "noise": noise[name]}
            table.append(row | _summary(figures))
    return {"table": table}


def _ways(model: ww.VisionModel, count: int, options: Options) -> dict[str, Any]:
    """Return the settings by name: a network and a mode of autograd, or a plan."""
    net = _peers.plain_network(model)
    half = "bfloat16" if options.device == "cpu" else "float16"
    plan = Plan(count)
    ways: dict[str, Any] = {
        "float32, contiguous, autograd records (as others ship)": (net, contextlib.nullcontext),
        "no_grad": (net, torch.no_grad),
        "inference_mode": (net, torch.inference_mode),
        "inference_mode, channels last": plan,
        "…, BatchNorm folded (our default)": replace(plan, folded=True),
        f"{half} with a float32 head, channels last": replace(plan, precision=half),
        f"…, BatchNorm folded, {half}": replace(plan, folded=True, precision=half),
    }
    if options.compiled:
        ways["compiled, channels last, BatchNorm folded"] = replace(plan, folded=True, compiled=True)
    with model.computing():
        return {name: _runner(model, way) if isinstance(way, Plan) else way for name, way in ways.items()}


def _runner(model: ww.VisionModel, plan: Plan) -> Runner:
    return Runner(model.net, plan, model.example(), model.output)


def _timed(model: ww.VisionModel, pixels: Pixels, way: Any, count: int, options: Options) -> dict[str, float]:
    run, mode = (way, model.computing) if isinstance(way, Runner) else way
    batch = masked_batch(model, pixels, count, options.grid, channels_last=isinstance(way, Runner))
    times = -(-options.settings_images // count)
    with mode():
        run(batch)
        with metered(options.device) as cost:
            for _ in range(times):
                run(batch)
    return cost.each(times * count)


def _noise(model: ww.VisionModel, pixels: Pixels, way: Any) -> float | None:
    """Measure what reduced precision adds to an index, as tuning does."""
    if not isinstance(way, Runner) or way.plan.precision == "float32":
        return None
    return precision_noise(model, way.plan, Photo(pixels, prepared=True))
