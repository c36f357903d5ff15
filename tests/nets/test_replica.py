"""The twin shares the user's storage and nothing else."""

import functools
import threading

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.utils import parametrizations, prune

from whatwhere.nets.replica import AliasReplica
from whatwhere.pixels.images import read_photo


def small():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 5)
    )


def images(count=2, size=8):
    return torch.rand(count, 3, size, size)


def evaluated(net, x):
    """What the user gets in eval mode, with the mode put back."""
    modes = [module.training for module in net.modules()]
    net.eval()
    with torch.no_grad():
        out = net(x)
    for module, mode in zip(net.modules(), modes, strict=True):
        module.training = mode
    return out


def everything(net):
    """All that must not change: modes, gradients, flags, numbers, versions, hooks."""
    return {
        "modes": [module.training for module in net.modules()],
        "flags": [p.requires_grad for p in net.parameters()],
        "grads": [None if p.grad is None else p.grad.numpy().tobytes() for p in net.parameters()],
        "numbers": [t.numpy().tobytes() for t in net.state_dict().values()],
        "versions": [t._version for t in net.state_dict(keep_vars=True).values()],
        "hooks": [(list(m._forward_hooks), list(m._forward_pre_hooks), list(m._backward_hooks)) for m in net.modules()],
        "objects": [id(p) for p in net.parameters()],
    }


def train_a_step(net, x):
    net.train()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    net(x).square().sum().backward()
    optimiser.step()
    optimiser.zero_grad()


def test_outputs_are_bitwise_the_users_and_storage_is_shared():
    net = torchvision.models.resnet18(weights=None, num_classes=7).train()
    x = images(2, 64)
    want = evaluated(net, x)
    before = everything(net)
    replica = AliasReplica(net)
    assert replica.shared
    assert replica.reason == ""
    assert torch.equal(replica.net(x), want)
    assert everything(net) == before
    mine, theirs = replica.net.state_dict(), net.state_dict()
    assert list(mine) == list(theirs)
    assert all(mine[key].data_ptr() == theirs[key].data_ptr() for key in theirs)
    assert not any(p.requires_grad for p in replica.net.parameters())
    assert not any(module.training for module in replica.net.modules())
    assert not {id(m) for m in net.modules()} & {id(m) for m in replica.net.modules()}


def test_real_network(model, photos):
    replica = AliasReplica(model.net)
    x = model.to_input(model.preprocess.pixels(read_photo(photos["coffee"])))
    with torch.inference_mode():
        assert torch.equal(replica.net(x), model.net(x))
    assert replica.fingerprint() == AliasReplica(model.net).fingerprint()


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "enable_grad"])
def test_it_can_be_made_and_used_in_any_autograd_mode(mode):
    net = small()
    with getattr(torch, mode)():
        replica = AliasReplica(net)
        replica.refresh()
    x = images().requires_grad_()
    with replica.using() as twin:
        twin(x).sum().backward()
    assert x.grad is not None
    assert all(p.grad is None for p in net.parameters())
    assert all(p.requires_grad for p in net.parameters())


def test_training_steps_between_forwards_are_seen_without_refreshing():
    net = small()
    replica = AliasReplica(net)
    x = images()
    outputs = []
    for _ in range(3):
        train_a_step(net, images())
        assert torch.equal(replica.net(x), evaluated(net, x))
        outputs.append(replica.net(x))
    assert not torch.equal(outputs[0], outputs[1])
    assert int(replica.net[1].num_batches_tracked) == 3
    assert replica.refresh() is False
    assert replica.generation == 0


def test_batch_norm_statistics_move_only_when_the_user_trains():
    net = small().train()
    replica = AliasReplica(net)
    with replica.using() as twin:
        twin(images())
    assert int(net[1].num_batches_tracked) == 0
    assert torch.equal(net[1].running_mean, torch.zeros(4))
    assert net.training


def test_an_exception_inside_the_network_leaves_no_trace():
    net = small().train()
    before = everything(net)
    replica = AliasReplica(net)
    with pytest.raises(RuntimeError), replica.using() as twin:
        twin(torch.rand(1, 5, 8, 8))
    assert everything(net) == before
    assert torch.equal(replica.net(x := images()), evaluated(net, x))


def replaced_data(net):
    net[0].weight.data = torch.rand_like(net[0].weight)


def replaced_parameter(net):
    net[0].weight = nn.Parameter(torch.rand_like(net[0].weight))


def replaced_buffer(net):
    net[1].running_mean = torch.rand(4)


def another_type(net):
    net.double().float()


def another_layout(net):
    net.to(memory_format=torch.channels_last)


def all_parameters_anew(net):
    net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()}, assign=True)


@pytest.mark.parametrize("mode", ["inference_mode", "enable_grad"])
@pytest.mark.parametrize(
    "change", [replaced_data, replaced_parameter, replaced_buffer, another_type, another_layout, all_parameters_anew]
)
def test_moved_tensors_are_followed_in_place(change, mode):
    net = small()
    replica = AliasReplica(net)
    twin, weight = replica.net, replica.net[0].weight
    change(net)
    with getattr(torch, mode)():
        assert replica.refresh() is True
    assert replica.refresh() is False
    assert replica.net is twin
    assert twin[0].weight is weight  # so that graphs which hold it stay right
    assert replica.generation == 0
    assert torch.equal(twin(x := images()), evaluated(net, x))
    assert all(
        a.data_ptr() == b.data_ptr() for a, b in zip(twin.state_dict().values(), net.state_dict().values(), strict=True)
    )
    assert not any(p.requires_grad or p.is_inference() for p in twin.parameters())
    train_a_step(net, images())
    assert torch.equal(twin(x), evaluated(net, x))


def swapped_layer(net):
    net[5] = nn.Linear(144, 3)


def added_layer(net):
    net.append(nn.Softmax(1))


def removed_bias(net):
    net[0].bias = None


def parametrised(net):
    parametrizations.weight_norm(net[0])


def patched_method(net):
    net[2].forward = functools.partial(torch.clamp, min=0.1)
    net[5].forward = type(net[5]).forward.__get__(net[5])


@pytest.mark.parametrize("change", [swapped_layer, added_layer, removed_bias, parametrised, patched_method])
def test_another_structure_makes_another_twin(change):
    net = small()
    replica = AliasReplica(net)
    change(net)
    assert replica.refresh() is True
    assert replica.generation == 1
    assert replica.refresh() is False
    assert torch.equal(replica.net(x := images()), evaluated(net, x))


def test_plain_attributes_follow():
    net = small()
    net[0].note = 1
    replica = AliasReplica(net)
    net[1].eps = 0.5
    net[3].extra = (1, "a", None)
    del net[0].note
    assert replica.refresh() is True
    assert replica.generation == 3
    assert torch.equal(replica.net(x := images()), evaluated(net, x))
    assert replica.net[3].extra == (1, "a", None)
    assert not hasattr(replica.net[0], "note")
    assert replica.refresh() is False


def test_half_precision_changes_the_twin_too():
    net = small()
    replica = AliasReplica(net)
    net.bfloat16()
    replica.refresh()
    assert replica.net(x := images().bfloat16()).dtype == torch.bfloat16
    assert torch.equal(replica.net(x), evaluated(net, x))


class Odd(nn.Module):
    """Tied weights, a buffer that is not saved, and tensors that are not registered at all."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
        self.b.weight = self.a.weight
        self.again = self.a
        self.register_buffer("hidden", torch.rand(6), persistent=False)
        self.register_buffer("none", None)
        self.plain = torch.rand(6)
        self.inside = {"list": [torch.rand(6)]}
        self.held = self.a.weight * 2  # not a leaf: a deep copy would refuse it

    def forward(self, x):
        return self.again(self.b(self.a(x))) * self.hidden + self.plain + self.inside["list"][0]


def test_ties_unsaved_buffers_and_plain_tensors():
    net = Odd().eval()
    replica = AliasReplica(net)
    twin, x = replica.net, torch.rand(2, 6)
    assert replica.shared
    assert twin.a.weight is twin.b.weight
    assert twin.again is twin.a
    pairs = [(twin.hidden, net.hidden), (twin.plain, net.plain), (twin.inside["list"][0], net.inside["list"][0])]
    assert all(a.data_ptr() == b.data_ptr() and a is not b for a, b in (*pairs, (twin.held, net.held)))
    assert torch.equal(twin(x), net(x))
    net.plain = torch.rand(6)
    net.inside["list"][0].mul_(3)
    replica.refresh()
    assert torch.equal(twin(x), net(x))
    assert replica.generation == 0


def test_untying_makes_another_twin():
    net = Odd().eval()
    replica = AliasReplica(net)
    net.b.weight = nn.Parameter(torch.rand(6, 6))
    replica.refresh()
    assert replica.generation == 1
    assert torch.equal(replica.net(x := torch.rand(2, 6)), net(x))


def test_the_users_hooks_stay_away_and_that_is_said():
    net = small()
    seen = []
    for module in (net, net[0], net[5]):
        module.register_forward_hook(lambda *_: seen.append("forward"))
    net[1].register_forward_pre_hook(lambda *_: seen.append("before"))
    net[2].register_full_backward_hook(lambda *_: seen.append("backward"))
    before = everything(net)
    with pytest.warns(UserWarning, match=r"Forward hooks of Sequential, 0, 1, 5 do not run") as caught:
        replica = AliasReplica(net)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    replica.net(images().requires_grad_()).sum().backward()
    replica.refresh()
    assert seen == []
    assert everything(net) == before
    evaluated(net, images())
    assert len(seen) == 4


def test_a_hook_is_not_copied():
    """It may hold what cannot be copied."""
    net = small()
    lock = threading.Lock()
    net[0].register_forward_hook(functools.partial(lambda *_: None, lock))
    with pytest.warns(UserWarning, match="hooks of 0 "):
        assert AliasReplica(net).shared


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "dress",
    [
        torch.nn.utils.weight_norm,
        torch.nn.utils.spectral_norm,
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
        lambda layer: prune.random_unstructured(layer, "weight", 0.5),
    ],
    ids=["weight_norm", "spectral_norm", "new weight_norm", "new spectral_norm", "orthogonal", "prune"],
)
def test_weights_that_are_computed(dress):
    """No warning either: these hooks are kept."""
    net = small()
    dress(net[5])
    train_a_step(net, images())
    replica = AliasReplica(net)
    assert replica.shared
    before = everything(net)
    assert torch.equal(replica.net(x := images()), evaluated(net, x))
    assert everything(net) == before
    train_a_step(net, images())
    replica.refresh()
    assert torch.equal(replica.net(x), evaluated(net, x))


class Merging(nn.Linear):
    """Like a LoRA layer that merges its update into the weight when it is put into eval mode."""

    def train(self, mode=True):  # noqa: FBT002  # torch's signature
        if not mode and self.training:
            self.weight.data += 1
        return super().train(mode)


def test_overridden_train_methods_are_not_called_on_shared_weights():
    net = nn.Sequential(Merging(3, 3)).train()
    kept = net[0].weight.detach().clone()
    AliasReplica(net)
    assert torch.equal(net[0].weight, kept)
    assert net[0].training


def test_wrappers_are_taken_off():
    inner = small()
    wrapped = nn.DataParallel(inner)
    replica = AliasReplica(wrapped)
    assert type(replica.net) is nn.Sequential
    assert replica.fingerprint() == AliasReplica(inner).fingerprint()
    wrapped.module = small()
    assert replica.refresh()
    assert torch.equal(replica.net(x := images()), evaluated(wrapped.module, x))


def test_compiled_networks_and_layers():
    net = small()
    want = AliasReplica(net).fingerprint()
    assert type(AliasReplica(torch.compile(net, backend="eager")).net) is nn.Sequential
    net[0] = torch.compile(net[0], backend="eager")
    replica = AliasReplica(net)
    assert type(replica.net[0]) is nn.Conv2d
    assert replica.fingerprint() == want
    assert replica.twin_of(net[0]) is replica.net[0]
    train_a_step(nn.Sequential(net[0]._orig_mod, *net[1:]), x := images())
    plain = nn.Sequential(net[0]._orig_mod, *net[1:])
    assert torch.equal(replica.net(x), evaluated(plain, x))


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated")
@pytest.mark.parametrize(
    "make", [torch.jit.script, lambda net: torch.jit.trace(net, images())], ids=["script", "trace"]
)
def test_script_modules_are_aliased(make):
    net = small().eval()
    scripted = make(net)
    scripted.train()
    replica = AliasReplica(scripted)
    assert replica.shared
    assert torch.equal(replica.net(x := images()), evaluated(net, x))
    assert scripted.training
    assert replica.refresh() is False
    with torch.no_grad():
        net[0].weight.mul_(3)
    assert torch.equal(replica.net(x), evaluated(net, x))


@pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated")
def test_a_scripted_layer_inside():
    net = nn.Sequential(torch.jit.script(small()), nn.Linear(5, 2))
    replica = AliasReplica(net)
    assert replica.shared
    train_a_step(net, images())
    assert replica.refresh() is False
    assert torch.equal(replica.net(x := images()), evaluated(net, x))


class Uncopyable(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = small()
        self.net[1].eval()
        self.lock = threading.Lock()

    def forward(self, x):
        if x.shape[1] != 3:
            raise ValueError("three channels, please")
        return self.net(x)


def test_what_cannot_be_copied_is_borrowed():
    net = Uncopyable().train()
    net.net[1].eval()
    net.net[0].weight.requires_grad_(False)
    seen = []
    net.register_forward_hook(lambda *_: seen.append("ran"))
    before = everything(net)
    with (
        pytest.warns(UserWarning, match=r"Uncopyable could not be copied \(.*lock.*so it is explained in place"),
        pytest.warns(UserWarning, match="Forward hooks of Uncopyable do not run"),
    ):
        replica = AliasReplica(net)
    assert not replica.shared
    assert "lock" in replica.reason
    with replica.using() as twin:
        assert twin is net
        assert not any(module.training for module in net.modules())
        out = twin(x := images())
        assert not out.requires_grad
    assert everything(net) == before
    assert seen == []
    assert torch.equal(out, evaluated(net, x))
    assert len(replica.fingerprint()) == 16
    assert replica.twin_of(net.net) is net.net


def test_a_borrowed_network_comes_back_after_an_exception():
    net = Uncopyable().train()
    before = everything(net)
    with pytest.warns(UserWarning, match="could not be copied"):
        replica = AliasReplica(net)
    with pytest.raises(ValueError, match="three channels"), replica.using() as twin:
        twin(torch.rand(1, 4, 8, 8))
    assert everything(net) == before


def test_layers_correspond():
    net = small()
    replica = AliasReplica(net)
    assert all(replica.twin_of(a) is b for a, b in zip(net.modules(), replica.net.modules(), strict=True))
    assert replica.twin_of(replica.net[3]) is replica.net[3]
    with pytest.raises(ValueError, match="module: wanted a layer of this Sequential, got a Linear that is not part"):
        replica.twin_of(nn.Linear(2, 2))


def test_networks_without_numbers_and_other_things():
    with pytest.raises(TypeError, match=r"net: wanted a torch.nn.Module, got str"):
        AliasReplica("resnet")
    with pytest.raises(ValueError, match=r"'0.weight' belongs to a lazy layer"):
        AliasReplica(nn.Sequential(nn.LazyLinear(2)))
    with pytest.raises(ValueError, match=r"'weight' is on the meta device .* load the weights first"):
        AliasReplica(nn.Linear(2, 2, device="meta"))


def test_moving_to_meta_is_said_at_the_next_use():
    net = small()
    replica = AliasReplica(net)
    net.to("meta")
    with pytest.raises(ValueError, match="meta device"):
        replica.refresh()


@pytest.mark.filterwarnings("ignore:.*quantiz:DeprecationWarning", "ignore:.*quantiz:UserWarning")
def test_quantised_layers_have_copies():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    try:
        net = torch.ao.quantization.quantize_dynamic(net, {nn.Linear})
    except RuntimeError as error:  # no quantised engine on this processor
        pytest.skip(str(error))
    replica = AliasReplica(net)
    assert torch.equal(replica.net(x := images()), net(x))
    assert len(replica.fingerprint()) == 16


def test_fine_tuning_changes_the_fingerprint():
    net = small()
    replica = AliasReplica(net)
    marks = {replica.fingerprint()}
    net[0].weight.data[0] += 1e-4
    marks.add(replica.fingerprint())
    net[0].weight = nn.Parameter(net[0].weight.detach() * 2)
    marks.add(replica.fingerprint())
    net[1].running_var.add_(1)
    marks.add(replica.fingerprint())
    assert len(marks) == 4
    assert replica.fingerprint() == AliasReplica(net).fingerprint()


def test_threads_use_it_one_at_a_time():
    replica = AliasReplica(small())
    inside, most = [], []

    def use():
        for _ in range(20):
            with replica.using() as twin:
                inside.append(1)
                most.append(len(inside))
                twin(images(1))
                inside.pop()

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert max(most) == 1
    assert len(most) == 60


def test_repr():
    assert repr(AliasReplica(small())) == "<AliasReplica of Sequential: on the user's storage>"
