"""Copies of networks that share their tensors, and networks borrowed where no such copy can be made."""

from __future__ import annotations

import contextlib
import copy
import gc
import types
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

_FUNCTION_HOOKS = (WeightNorm, SpectralNorm, BasePruningMethod)  # these compute the weights
_CALL_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_HOOKS = (
    *_CALL_HOOKS,
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def unwrapped(net: nn.Module) -> nn.Module:
    """Take off the wrappers of `torch.compile`, `DataParallel` and `DistributedDataParallel`.

    Parameters
    ----------
    net : torch.nn.Module
        A network, wrapped or not.

    Returns
    -------
    torch.nn.Module
        What is inside.
    """
    while True:
        if isinstance(net, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            net = net.module
        elif type(net).__name__ == "OptimizedModule":  # by name, since importing torch._dynamo takes seconds
            net = dict(net.named_children())["_orig_mod"]
        else:
            return net


def alias(tensor: Tensor) -> Tensor:
    """Make another tensor on the same storage, without gradients.

    Parameters
    ----------
    tensor : Tensor
        A parameter, buffer or other tensor.

    Returns
    -------
    Tensor
        Of the same type. It does not follow when the original is given other data.
    """
    with torch.inference_mode(False):
        other = tensor.detach()
        if type(tensor) is nn.Parameter:
            return nn.Parameter(other, requires_grad=False)
        if isinstance(tensor, nn.Parameter) and type(other) is not type(tensor):
            other = torch.Tensor._make_subclass(type(tensor), other, False)  # noqa: SLF001  # as torch makes its own
            vars(other).update(vars(tensor))
        return other


def place(tensor: Tensor) -> tuple[Any, ...]:
    """Say where a tensor's numbers lie, and how.

    Parameters
    ----------
    tensor : Tensor
        A tensor.

    Returns
    -------
    tuple
        Equal for two tensors that are the same window on the same storage.
    """
    if tensor.layout is not torch.strided:
        return (id(tensor), tensor.shape, tensor.dtype)
    return (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)


def alias_copy(net: nn.Module) -> nn.Module:
    """Copy a network deeply, with aliases for its tensors and without the hooks that do not compute its weights.

    Parameters
    ----------
    net : torch.nn.Module
        A network, unwrapped.

    Returns
    -------
    torch.nn.Module
        The copy, in the same mode. Inner wrappers of `torch.compile` are taken off. What lies inside a ScriptModule is
        copied, not aliased.

    Raises
    ------
    Exception
        Whatever `copy.deepcopy` raises on something that the network holds.
    """
    return _copy(net, alias)


def module_copy(net: nn.Module) -> nn.Module:
    """Copy the modules of a network; the copy holds the very same parameters and buffers.

    Parameters
    ----------
    net : torch.nn.Module
        A network, unwrapped.

    Returns
    -------
    torch.nn.Module
        The copy, in the same mode, without the hooks that do not compute its weights. Tensors in plain attributes are
        the same too, but for those that were made in inference mode, which no user's are: what a network has kept of
        its last pass.

    Raises
    ------
    Exception
        Whatever `copy.deepcopy` raises on something that the network holds.
    ValueError
        If a tensor was copied all the same, as those inside a ScriptModule are, or a module was not.
    """
    own = {id(tensor) for tensor in (*net.parameters(), *net.buffers())}
    with torch.inference_mode():  # where a clone of such a tensor is one again
        twin = _copy(net, lambda each: each.clone() if each.is_inference() and id(each) not in own else each)
    kind = type(net).__name__
    for mine, other in ((net.parameters(), twin.parameters()), (net.buffers(), twin.buffers())):
        if [id(tensor) for tensor in mine] != [id(tensor) for tensor in other]:
            raise ValueError(f"net: the tensors of {kind} cannot be shared with a copy.")
    if set(map(id, net.modules())) & set(map(id, twin.modules())):
        raise ValueError(f"net: some modules of {kind} copy themselves by giving themselves.")
    return twin


def tensors_of(net: nn.Module) -> list[Tensor]:
    """List the tensors that a network holds, in parameters, buffers and plain attributes.

    Parameters
    ----------
    net : torch.nn.Module
        A network.

    Returns
    -------
    list of Tensor
        Each once.
    """
    return _reachable(net)[1]


def _copy(net: nn.Module, tensor_of: Callable[[Tensor], Tensor]) -> nn.Module:
    """Copy a network deeply, with what a function makes of its tensors."""
    modules, tensors = _reachable(net)
    memo: dict[int, Any] = {id(tensor): tensor_of(tensor) for tensor in tensors}
    for module in modules:
        for key in _HOOKS:
            hooks = vars(module).get(key)
            if isinstance(hooks, dict):
                kept = {k: h for k, h in hooks.items() if key in _CALL_HOOKS and isinstance(h, _FUNCTION_HOOKS)}
                memo[id(hooks)] = OrderedDict(kept)
    with _uncollected():
        for module in reversed(modules):  # inner wrappers first
            inner = unwrapped(module)
            if inner is not module:
                memo[id(module)] = copy.deepcopy(inner, memo)
        return copy.deepcopy(net, memo)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for garbage meanwhile.

    A copy makes thousands of objects, all of which stay. Looking through those of the whole process takes a third of a
    second where PyTorch is loaded, all threads wait, and it would often be now: right before somebody's first map.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def hooked_modules(net: nn.Module) -> list[str]:
    """Name the modules with forward hooks that do not compute weights.

    Parameters
    ----------
    net : torch.nn.Module
        A network.

    Returns
    -------
    list of str
        Their names; the network itself goes by its class.
    """
    return [
        name or type(net).__name__
        for name, module in net.named_modules()
        if any(not isinstance(hook, _FUNCTION_HOOKS) for hooks in _call_hooks(module) for hook in hooks.values())
    ]


def set_eval(net: nn.Module) -> None:
    """Set the flags of a network and all its layers to eval mode, without calling their ``train`` methods.

    Parameters
    ----------
    net : torch.nn.Module
        A network.
    """
    for module in net.modules():
        if getattr(module, "training", False):  # frozen ScriptModules have no mode
            module.training = False


@contextlib.contextmanager
def borrowed(net: nn.Module) -> Iterator[None]:
    """Set a network to eval mode without hooks and gradients of weights, and put everything back.

    Parameters
    ----------
    net : torch.nn.Module
        A network.

    Yields
    ------
    None
        Nothing; leaving the block restores what was, also after an exception.
    """
    training = [module for module in net.modules() if getattr(module, "training", False)]
    tracked = [tensor for tensor in net.parameters() if tensor.requires_grad]
    hooks = [(own, own.copy()) for module in net.modules() for own in _call_hooks(module) if own]
    try:
        set_eval(net)
        for tensor in tracked:
            tensor.requires_grad_(False)
        for own, before in hooks:
            for key in [k for k, hook in before.items() if not isinstance(hook, _FUNCTION_HOOKS)]:
                del own[key]
        yield
    finally:
        for module in training:
            module.training = True
        for tensor in tracked:
            tensor.requires_grad_(True)
        for own, before in hooks:
            own.clear()
            own.update(before)


def _call_hooks(module: nn.Module) -> list[dict[int, Any]]:
    found = [vars(module).get(key) for key in _CALL_HOOKS]
    return [hooks for hooks in found if isinstance(hooks, dict)]


def _reachable(net: nn.Module) -> tuple[list[nn.Module], list[Tensor]]:
    """Find the modules and tensors that a deep copy would meet, but for those that only hooks hold."""
    modules, tensors = [], []
    seen: set[int] = set()
    waiting: list[Any] = [net]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, (type, types.ModuleType, types.FunctionType, str, bytes)):
            continue
        seen.add(id(thing))
        if isinstance(thing, torch.Tensor):
            tensors.append(thing)
        elif isinstance(thing, nn.Module):
            modules.append(thing)
            waiting += [value for key, value in vars(thing).items() if key not in _HOOKS]
        elif isinstance(thing, dict):
            waiting += thing.values()
        elif isinstance(thing, (list, tuple, set)):
            waiting += thing
        elif hasattr(thing, "__dict__"):
            waiting += vars(thing).values()
    return modules, tensors
