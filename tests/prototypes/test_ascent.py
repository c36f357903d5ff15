"""Prototypes of small networks: the same alone and in company, the same again, and nothing left behind."""

import gc
import socket
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.prototypes import _ascent, _showing
from whatwhere.prototypes._ascent import Ascent
from whatwhere.prototypes._draws import Draws
from whatwhere.prototypes.canvas import Canvas
from whatwhere.targets import Channel, ClassScore, Direction, Inversion, Neuron

TARGETS = [
    ClassScore("hen"),
    Channel("first", 3),
    0.5 * Neuron("second.0", 2) - ClassScore("tram"),
    Direction("act", np.arange(8.0), likeness="dot"),
]


def phases(method, model, targets):
    ascent = Ascent(method, model, targets)
    steps = list(ascent.steps())
    return ascent._values, steps[-1].record


def test_the_contract(small, quick):
    made = quick.run(small, ["hen", 4, Channel("first", 3)], progress=False)
    assert [p.label for p in made] == ["hen", "cup", "channel 3 of first"]
    for p in made:
        assert p.image.shape == (48, 48, 3)
        assert p.image.dtype == np.float32
        assert 0 <= p.image.min() < p.image.max() <= 1
        assert p.alpha.shape == (48, 48)
        assert np.isfinite(p.alpha).all()
        assert p.alpha.min() >= 0
        assert p.alpha.mean() == pytest.approx(1, rel=1e-3)
        assert p.trace.shape == p.spread.shape == (6,)
        assert p.complete
        assert p.n_forwards == 18
    assert isinstance(quick.run(small, "hen", progress=False), ww.Prototype)


def test_company_changes_nothing(small, quick):
    together, records = phases(quick, small, TARGETS)
    for k, target in enumerate(TARGETS):
        alone, (record,) = phases(quick, small, [target])
        assert (together[k] - alone[0]).abs().max() <= 1e-3
        assert np.allclose(records[k].alpha, record.alpha, atol=1e-3)
        assert np.allclose(records[k].trace, record.trace, atol=1e-4)


def test_several_seeds_are_each_as_if_alone(small, quick):
    both = replace(quick, seed=(0, 7)).run(small, ["hen", "cup"], progress=False)
    assert [(p.label, p.seed) for p in both] == [("hen", 0), ("hen", 7), ("cup", 0), ("cup", 7)]
    alone = replace(quick, seed=7).run(small, "cup", progress=False)
    assert np.allclose(both[3].image, alone.image, atol=1e-3)
    assert np.abs(both[2].image - alone.image).max() > 0.05


def test_the_same_seed_gives_the_same_bits(small, quick):
    first, second = (quick.run(small, TARGETS, progress=False) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.alpha, b.alpha)
        assert np.array_equal(a.trace, b.trace)
        assert np.array_equal(a.frames, b.frames)


def test_all_ways_of_resampling_give_the_same_picture(small, quick):
    ways = ("banded", "native", "matmul")
    a, *others = (replace(quick, resample=how).run(small, "hen", progress=False) for how in ways)
    for b in others:
        assert np.allclose(a.image, b.image, atol=1e-3)


def test_no_memory_for_pictures_is_asked_for_after_the_first_step(small, quick, monkeypatch):
    """What the network is shown, and what comes back, lies where it did."""
    seen = []

    def noting(self, pictures, views):
        seen.append({name: getattr(pictures, name).data_ptr() for name in ("shown", "gradient")})
        assert not pictures.gradient.any()
        return gradients(self, pictures, views)

    gradients = _showing.Shower.gradients
    monkeypatch.setattr(_showing.Shower, "gradients", noting)
    quick.run(small, TARGETS, progress=False)
    assert len(seen) == quick.steps
    assert all(each == seen[0] for each in seen)


def test_chunks_change_nothing_but_rounding(small, quick):
    before = small.plan
    wide = quick.run(small, TARGETS[:2], progress=False)
    small.batch_size = 1
    narrow = quick.run(small, TARGETS[:2], progress=False)
    small.plan = before
    for a, b in zip(wide, narrow, strict=True):
        assert np.allclose(a.image, b.image, atol=1e-3)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.label)
def test_the_objective_rises(small, target):
    p = ww.Maco(steps=40, crops=4, size=96, crop=(1.0, 0.6)).run(small, target, progress=False)
    assert p.trace[-4:].mean() > p.trace[:4].mean()
    assert p.after > p.before


@pytest.mark.parametrize("size", [(48, 48), (49, 49), (48, 63), (65, 40)])
def test_any_size_of_picture(small, quick, size):
    p = replace(quick, size=size).run(small, "hen", progress=False)
    assert p.image.shape == (*size, 3)
    assert p.alpha.shape == size


def test_grey_networks_get_grey_pictures(grey_small, quick):
    p = quick.run(grey_small, 0, progress=False)
    assert p.image.shape == (48, 48, 3)
    assert np.ptp(p.image, axis=-1).max() == 0


@pytest.mark.parametrize("channels", [2, 4])
def test_networks_of_other_than_one_or_three_channels_are_refused(wrap, channels):
    """Photos have colours or are grey; spectra too are of one or three channels."""
    with pytest.raises(ValueError, match="mean: wanted three finite numbers, or one for a network of grey images"):
        wrap(nn.Conv2d(channels, 4, 3), channels=channels)
    with pytest.raises(ValueError, match=r"magnitude: wanted shape \(3, H, 9\)"):
        ww.Spectrum(np.ones((channels, 16, 9)), 16, "rgb")
    net = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ValueError, match=rf"32 x 32 pixels in 3 channels .*to have {channels} channels, but got 3"):
        wrap(net.eval())


def test_alpha_is_where_the_network_looks(toy):
    """The left half of the input alone, seen through views of the whole canvas."""
    model = toy(lambda x: (x[..., :32] * torch.linspace(-1, 1, 32)).mean(dim=(1, 2, 3))[:, None])
    method = ww.Maco(steps=8, crops=2, size=64, crop=1.0, crop_spread=0.0, centre=0.0)
    p = method.run(model, 0, progress=False)
    assert p.alpha[:, :32].min() > 0
    assert not p.alpha[:, 32:].any()


def test_nothing_is_left_on_the_network(quick, wrap, untaught, monkeypatch, tmp_path):
    net = untaught().train()
    net.head.requires_grad_(requires_grad=False)
    model = wrap(net)
    model.plan  # noqa: B018  # looked at once
    flags = [p.requires_grad for p in net.parameters()]
    state = {key: value.clone() for key, value in net.state_dict().items()}
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("a socket was opened"))
    monkeypatch.chdir(tmp_path)
    quick.run(model, [0, Channel("first", 1)], progress=False)
    assert all(p.grad is None for p in (*net.parameters(), *model.net.parameters()))
    assert [p.requires_grad for p in net.parameters()] == flags
    assert all(m.training for m in net.modules())
    assert not any(m._forward_hooks for n in (net, model.net, model.runner().net) for m in n.modules())
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert not list(tmp_path.iterdir())


def test_nothing_is_held_between_two_steps(small, quick):
    """The user's world is as before: modes of autograd, and the lock."""
    for step in quick.steps_of(small, TARGETS):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert not any(m._forward_hooks for m in small.net.modules())
        assert step.done <= step.total
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            assert quick.run(small, "hen", progress=False).complete


def test_the_stream_begins_at_once_and_ends_finished(small, quick):
    records = list(quick.stream(small, ["hen", "cup"]))
    assert [len(r) for r in records] == [2] * len(records)
    assert records[0][0].steps == 0
    assert not records[0][0].complete
    assert records[0][0].alpha.max() == 0
    assert records[-1][0].complete
    for early, late in zip(records[0], records[-1], strict=True):
        assert np.abs(early.image - late.image).max() > 0.05


def test_steps_come_chunk_by_chunk_and_can_be_stopped(small, quick):
    steps = list(quick.steps_of(small, ["hen"]))
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert max(np.diff(done)) <= 4
    assert steps[-1].done == steps[-1].total == 18
    ascent = quick.steps_of(small, ["hen"])
    for step in ascent:
        if step.done >= 9:
            break
    ascent.close()
    assert step.record[0].image.shape == (48, 48, 3)


def test_a_job_refuses_at_once_and_gives_the_same(small, quick):
    with pytest.raises(ww.UnknownClassError, match="no class is named 'hem'"):
        quick.submit(small, "hem")
    (made,) = quick.submit(small, "hen").wait(60)
    assert np.array_equal(made.image, quick.run(small, "hen", progress=False).image)


def test_frames_tell_the_way(small):
    p = ww.Maco(steps=10, crops=2, size=200, frames=5).run(small, "hen", progress=False)
    assert p.frame_steps.tolist() == [0, 2, 5, 8, 10]
    assert p.frames.shape == (5, 160, 160, 3)
    assert np.abs(p.frames[0].astype(int) - p.frames[-1]).max() > 20
    assert ww.Maco(steps=2, crops=1, size=96, frames=0).run(small, "hen", progress=False).frames.size == 0


def test_a_rule_stops_each_prototype_for_itself(small):
    class AtFour:
        def met(self, trace):
            return len(trace) == 4 and trace[-1] > 0

    made = ww.Maco(steps=9, crops=2, size=96, until=AtFour()).run(small, TARGETS, progress=False)
    assert {p.steps for p in made} == {4, 9}
    full = ww.Maco(steps=9, crops=2, size=96).run(small, TARGETS, progress=False)
    for p, q in zip(made, full, strict=True):
        assert np.allclose(p.trace, q.trace[: p.steps], atol=1e-4)
        assert p.complete


def test_a_plateau_is_a_window_that_gains_little():
    rule = ww.Plateau(window=4, gain=0.05)
    rise = np.concatenate([np.linspace(0, 1, 12), np.full(8, 1.0)])
    assert [rule.met(rise[:n]) for n in (4, 8, 12, 20)] == [False, False, False, True]
    assert rule.met(np.zeros(8))


def test_an_image_is_found_again_from_its_features(small):
    """The picture's features are nearer to the image's than those of the noise it began with."""
    image = np.zeros((32, 32, 3), dtype=np.float32)
    image[:, 16:] = 1
    p = ww.Maco(steps=60, crops=4, size=32, crop=1.0).run(small, Inversion("first", image), progress=False)
    left, right = p.image[8:24, 2:14].mean(), p.image[8:24, 18:30].mean()
    assert p.after > 2 * abs(p.before)
    assert right > left + 0.1


def test_out_of_memory_halves_the_chunk(small, quick, monkeypatch):
    real = torch.autograd.grad
    sizes = []

    def grad(outputs, inputs, *rest, **options):
        if isinstance(inputs, torch.Tensor):
            sizes.append(len(inputs))
            if len(inputs) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return real(outputs, inputs, *rest, **options)

    expected = quick.run(small, ["hen", "cup"], progress=False)
    monkeypatch.setattr(torch.autograd, "grad", grad)
    made = quick.run(small, ["hen", "cup"], progress=False)
    assert sizes[0] == 4
    assert set(sizes[1:]) <= {1, 2}
    for a, b in zip(made, expected, strict=True):
        assert np.allclose(a.image, b.image, atol=1e-3)


def test_a_block_above_the_networks_memory_is_held_until_the_ascent_is_over(small, quick):
    """So that the allocator keeps what lies below; nothing is written to it."""
    ascent = Ascent(quick, small, [ClassScore(0)])
    held = [ascent._shower._held.data_ptr() for _ in ascent.steps() if ascent._shower._held is not None]
    assert len(held) > quick.steps
    assert held == sorted(held)
    assert ascent._shower._held.numel() == 4 * 3 * 3 * 32 * 32  # four times three crops
    gone = weakref.ref(ascent._shower._held)
    del ascent
    gc.collect()
    assert gone() is None


def test_what_never_fits_is_said(small, quick, monkeypatch):
    def grad(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.autograd, "grad", grad)
    with pytest.raises(MemoryError, match="small: out of memory on cpu with the gradients of one crop"):
        quick.run(small, "hen", progress=False)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_plan_of_lower_precision_is_followed(small, quick, precision):
    before = small.plan
    expected = quick.run(small, "hen", progress=False)
    small.plan = ww.Plan(4, precision=precision)
    p = quick.run(small, "hen", progress=False)
    small.plan = before
    assert precision in p.provenance.plan
    assert p.after > p.before
    assert np.corrcoef(p.image.ravel(), expected.image.ravel())[0, 1] > 0.5


def test_networks_of_double_precision(wrap, untaught, quick):
    assert quick.run(wrap(untaught().double()), 0, progress=False).complete


def test_layers_inside_a_block_and_before_an_in_place_relu(small, quick):
    """What is read is the layer's own output, whatever is written over it behind: `first.1` is read before its ReLU."""
    alone = Channel("first.1", 2)
    together = Channel("first.1", 2) + 0 * ClassScore("hen")
    a, b = (quick.run(small, target, progress=False) for target in (alone, together))
    assert np.allclose(a.trace, b.trace, atol=1e-5)
    assert np.allclose(a.image, b.image, atol=1e-3)
    conv = quick.run(small, Channel("first.0", 2), progress=False)  # its BatchNorm is folded into it in a plan's copy
    pixels = conv.image[8:40, 8:40]
    with torch.no_grad():
        wanted = small.net.first[0](small.to_input(pixels))[0, 2].mean()
        features = ww.targets.Channel("first.0", 2).terms(small)[0].values(small.net.first[0](small.to_input(pixels)))
    assert float(features) == pytest.approx(float(wanted), abs=1e-5)


def test_tokens(untrained, quick):
    preprocess = ww.Preprocess(resize=None, crop=(64, 64), mean=(0.5,) * 3, std=(0.25,) * 3)
    model = ww.VisionModel(untrained("vit_b_16"), preprocess=preprocess, device="cpu")
    layer = "encoder.layers.encoder_layer_1"
    targets = [Channel(layer, 5), Neuron(layer, 5), Neuron(layer, 5, token=0), Direction(layer, np.ones(768))]
    made = replace(quick, steps=3, crops=2, size=64).run(model, targets, progress=False)
    assert all(np.isfinite(p.image).all() and p.complete and not p.ended for p in made)


def test_features_with_channels_last(untrained, wrap, quick):
    """A Swin keeps its maps as rows, columns, channels."""
    model = wrap(untrained("swin_t"), size=(64, 64))
    layer = "features.3.1"
    vector = np.random.default_rng(0).normal(size=192)
    targets = [Channel(layer, 5), Neuron(layer, 5, 1, 6), Direction(layer, vector, likeness="dot"), ClassScore(2)]
    maps = torch.randn(2, 8, 8, 192)
    unit = torch.from_numpy(vector / np.linalg.norm(vector)).float()
    wanted = [maps[..., 5].mean(dim=(1, 2)), maps[:, 1, 6, 5], (maps @ unit).mean(dim=(1, 2))]
    for target, own in zip(targets, wanted, strict=False):
        (term,) = target.bound(model).terms(model)
        assert torch.allclose(term.values(maps), own, atol=1e-5)
    with pytest.raises(ValueError, match=r"wanted one of the 192 channels of 'features\.3\.1', got 192"):
        quick.run(model, Channel(layer, 192), progress=False)
    still = replace(quick, steps=12, crops=1, size=64, crop=1.0, crop_spread=0.0, centre=0.0, noise=0.0)
    for p in still.run(model, targets, progress=False):
        assert p.complete
        assert not p.ended
        if not p.target.whole:  # the others' views move a little
            assert p.trace[0] == pytest.approx(p.before, abs=1e-5)
            assert p.after > p.before + 0.1


def test_sizes_and_shares_may_be_numpys_or_whole_numbers(small):
    """As may seeds: what is kept is Python's own, so that files and keys of the cache hold the same."""
    plain = {"steps": 2, "crops": 2, "size": (48, 40), "seed": 3, "crop": (1.0, 0.5), "crop_spread": 0.0, "frames": 2}
    others = {
        "steps": np.int64(2), "crops": np.uint8(2), "size": (np.int32(48), np.int64(40)), "seed": np.int64(3),
        "crop": (1, np.float32(0.5)), "crop_spread": np.int8(0), "frames": np.int16(2),
    }  # fmt: skip
    expected, made = (ww.Maco(**options) for options in (plain, others))
    assert made == expected
    assert repr(made) == repr(expected)
    assert [type(value) for value in (*made.crop, made.crop_spread, *made.size, *made.seed)] == [float] * 3 + [int] * 3
    assert ww.Maco(crop=np.float64(0.5)).sides == (0.5, 0.5)
    assert ww.Maco(crop=1, size=np.int64(48)).sides == (1.0, 1.0)
    a, b = (method.run(small, "hen", progress=False) for method in (expected, made))
    assert np.array_equal(a.image, b.image)


# -- what goes wrong --------------------------------------------------------------------------------------------------


def run_warned(method, model, targets):
    with pytest.warns(UserWarning, match=": ") as told:
        made = method.run(model, targets, progress=False)
    return made, [str(w.message) for w in told]


def test_an_objective_that_is_no_number_freezes_its_prototype_alone(toy, quick):
    def f(x):
        mean = x.mean(dim=(1, 2, 3))
        return torch.stack([mean, (mean - mean.detach() - 1).log()], dim=1)

    model = toy(f, size=(32, 32))
    (good, bad), told = run_warned(quick, model, [0, ClassScore(1, "the bad one")])
    assert told == [f"the bad one: {bad.ended}"]
    assert "At step 0 of 6 the objective of 'the bad one' or its gradient was not finite" in bad.ended
    assert np.isfinite(bad.image).all()
    assert np.isfinite(bad.alpha).all()
    assert bad.steps == 0
    assert good.steps == 6
    assert np.array_equal(good.image, quick.run(model, 0, progress=False).image)


def test_an_objective_that_breaks_later_keeps_the_last_good_picture(toy, quick):
    calls = []

    def f(x):
        calls.append(len(x))
        mean = x.mean(dim=(1, 2, 3))
        return (mean * (float("nan") if sum(calls) > 12 else 1))[:, None]

    model = toy(f, size=(32, 32))
    calls.clear()
    p, (told,) = run_warned(quick, model, 0)
    assert "not finite" in told
    assert 0 < p.steps < 6
    assert np.isfinite(p.image).all()


def test_a_dead_target_is_said(wrap):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    nn.init.constant_(net[0].bias, -100.0)
    method = ww.Maco(steps=20, crops=2, size=96)
    (p, alive), (told,) = run_warned(method, wrap(net), [Channel("1", 2), Channel("0", 2)])
    assert "Nothing moves 'channel 2 of 1': its gradient was 0 at 8 steps up to step 7" in told
    assert p.steps == 8
    assert alive.steps == 20
    assert p.opacity().min() == 1


def test_a_target_that_begins_dead_may_come_to_life_from_other_phases(wrap):
    """A ReLU that the first picture does not switch on, but one of the next does."""
    net = nn.Sequential(nn.Conv2d(3, 1, 8, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    nn.init.zeros_(net[0].bias)
    model = wrap(net)
    canvas = Canvas(ww.Spectrum.photos(), (32, 32))

    def tops(seed):
        pictures = [canvas.draw(canvas.start(Draws.phases(seed, attempt))[None]).image for attempt in range(6)]
        with torch.no_grad():
            return [float(net[0]((picture - 0.5) / 0.25).max()) for picture in pictures]

    seed = next(seed for seed in range(20) if max(tops(seed)[1:]) > tops(seed)[0] + 0.05)
    nn.init.constant_(net[0].bias, -(tops(seed)[0] + max(tops(seed)[1:])) / 2)
    method = ww.Maco(steps=20, crops=1, size=32, seed=seed, crop=1.0, crop_spread=0, centre=0, noise=0)
    p = method.run(model, 0, progress=False)
    assert p.trace[0] == 0
    assert not p.ended
    assert p.trace[-1] > 0


@pytest.fixture
def failing(toy, monkeypatch):
    """A network that fails at its sixteenth image of an ascent, with records of every step."""
    monkeypatch.setattr(_ascent, "_PUBLISH", -1.0)
    seen = []

    def f(x):
        seen.append(len(x))
        if sum(seen) == 16:
            raise RuntimeError("shape '[2, 81]' is invalid for input of size 42")
        return (x * torch.linspace(-1, 1, 32)).mean(dim=(1, 2, 3))[:, None]

    model = toy(f, size=(32, 32), batch_size=1)
    list(ww.Maco(steps=1, crops=1, size=48).steps_of(model, [0]))  # what is looked at once
    return model, seen


def test_a_network_that_fails_on_the_way_is_heard_and_leaves_what_there_is(failing, quick):
    """It is neither warned of and forgotten, nor does it take the prototypes along."""
    model, seen = failing
    seen.clear()
    with pytest.raises(RuntimeError, match=r"shape '\[2, 81\]' is invalid") as failed:
        quick.run(model, [0], progress=False)
    (kept,) = failed.value.prototypes
    assert 1 < kept.steps < quick.steps
    assert not kept.complete
    assert np.isfinite(kept.image).all()
    assert "`prototypes` holds the prototypes" in failed.value.__notes__[0]
    assert not any(m._forward_hooks for m in model.net.modules())
    assert torch.is_grad_enabled()

    seen.clear()
    records = []
    with pytest.raises(RuntimeError, match=r"shape '\[2, 81\]' is invalid"):
        records.extend(quick.stream(model, [0]))
    whole = quick.run(model, [0], progress=False)[0]
    assert records[-1][0].steps == kept.steps
    assert np.array_equal(records[-1][0].trace, whole.trace[: kept.steps])

    seen.clear()
    job = quick.submit(model, [0])
    view = ww.PrototypeView(job)
    with pytest.raises(RuntimeError, match=r"shape '\[2, 81\]' is invalid"):
        job.wait(60)
    assert job.state == "failed"
    assert np.array_equal(job.record[0].image, kept.image)
    end = time.monotonic() + 60
    while view._status["state"] != "failed":
        assert time.monotonic() < end
        time.sleep(0.01)
    assert "shape '[2, 81]' is invalid" in view._status["error"]["why"]
    assert view.prototype.steps == kept.steps
    view.close()


def test_who_interrupts_has_what_there_is(small, quick):
    class Interrupting:
        def met(self, trace):
            if len(trace) == 4:
                raise KeyboardInterrupt
            return False

    with pytest.raises(KeyboardInterrupt) as stopped:
        replace(quick, until=Interrupting()).run(small, ["hen", "cup"], progress=False)
    assert [p.label for p in stopped.value.prototypes] == ["hen", "cup"]


def test_a_network_that_passes_no_gradient_is_refused(toy, quick):
    model = toy(lambda x: x.detach().mean(dim=(1, 2, 3))[:, None])
    with pytest.raises(ValueError, match="'class 0' passes no gradient to the picture"):
        replace(quick, size=96).run(model, 0, progress=False)


def test_small_pictures_are_refused_by_what_crops_would_have(small):
    with pytest.raises(ValueError, match=r"size: crops of 0\.1 of a picture of 40 x 40 pixels have 4\.0 pixels a side"):
        ww.Maco(size=40, crop=0.1).run(small, "hen", progress=False)
    with pytest.raises(ValueError, match="Take a size of at least 80 pixels"):
        ww.Maco(size=40, crop=0.1).run(small, "hen", progress=False)
    ww.Maco(size=80, crop=0.1, steps=1, crops=1).run(small, "hen", progress=False)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("goose", "no class is named 'goose'"),
        (17, "wanted a class id from 0 to 4, got 17"),
        ("crane", "names 2 classes, 1 and 3"),
        (Channel("frist", 0), "no layer that returns one tensor is called 'frist'; the nearest are 'first'"),
        (Channel("first", 8), "index: wanted one of the 8 channels of 'first', got 8"),
        (Neuron("first", 0, 16, 0), "wanted a place on 16 x 16 cells, got 16, 0"),
        (Neuron("first", 0, token=0), "token: wanted one of the 0 tokens"),
        (Direction("first", np.ones(7)), "vector: wanted 8 numbers, as 'first' has features, got 7"),
    ],
)
def test_what_the_network_has_not_is_refused(small, quick, target, message):
    with pytest.raises(ValueError, match=message):
        quick.run(small, ["hen", target], progress=False)
    with pytest.raises(ValueError, match=message):
        quick.submit(small, target)


@pytest.mark.parametrize("target", [None, 1.5, object(), [["hen"]]])
def test_what_is_no_target_is_refused(small, quick, target):
    with pytest.raises(TypeError, match="target: wanted a class name, a class id or one of ww"):
        quick.run(small, [target], progress=False)


def test_no_target_at_all_is_refused(small, quick):
    with pytest.raises(ValueError, match="targets: wanted at least one"):
        quick.run(small, [], progress=False)


def test_spectra_of_other_colours_are_refused(small, grey_small, quick):
    grey = ww.Spectrum(np.ones((1, 16, 9)), 16, "grey")
    with pytest.raises(ValueError, match="wanted one of colour pictures, since small is shown colours"):
        replace(quick, spectrum=grey).run(small, "hen", progress=False)
    rgb = ww.Spectrum(np.ones((3, 16, 9)), 16, "rgb")
    with pytest.raises(ValueError, match="wanted one of grey or decorrelated pictures, got one of rgb"):
        replace(quick, spectrum=rgb).run(grey_small, 0, progress=False)
    assert replace(quick, spectrum=rgb).run(small, "hen", progress=False).complete


def test_weights_that_change_meanwhile_are_said(wrap, untaught, quick):
    net = untaught()
    steps = quick.steps_of(wrap(net), [ClassScore(0)])
    next(steps)
    with torch.no_grad():
        net.head.weight.mul_(1.5)
    *_, step = steps
    (p,) = step.record
    assert "The weights changed while it was made." in p.caveats()
