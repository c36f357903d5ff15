"""A twin of a network on the same storage, so that explaining never disturbs the one that the user trains."""

from __future__ import annotations

import contextlib
import functools
import threading
import types
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from whatwhere.nets.aliasing import alias, alias_copy, borrowed, hooked_modules, place, set_eval, unwrapped
from whatwhere.nets.fingerprint import check_has_numbers, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_ABSENT = object()
_TENSOR_DICTS = ("_parameters", "_buffers")
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_ATOMS = (
    type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device,
    types.FunctionType, types.BuiltinFunctionType, functools.partial, type,
)  # fmt: skip
_MOST_NAMES = 5  # of hooked modules in a warning


class _Pair(NamedTuple):
    """A module of the user's network, its twin, and what the first looked like when the second was made."""

    name: str
    user: nn.Module
    twin: nn.Module
    structure: tuple[Any, ...]
    plain: dict[str, Any]


class _Slot(NamedTuple):
    """Where the user's network keeps a tensor, the tensor, where its numbers lie, and the twin's alias of it."""

    holder: Any
    key: str
    tensor: Tensor
    place: tuple[Any, ...]
    alias: Tensor


class AliasReplica:
    """A network's twin: the same storage, but its own mode, its own hooks and no gradients of weights.

    The twin is a deep copy in which every parameter and buffer is a detached alias of the user's. It costs no memory
    for weights, gives bitwise the outputs of the user's network in eval mode, and leaves that network's mode, hooks,
    gradients and BatchNorm statistics alone. A training step on the user's network is seen at once.

    Parameters
    ----------
    net : torch.nn.Module
        The user's network. Wrappers of `torch.compile`, `DataParallel` and `DistributedDataParallel` are taken off.

    Attributes
    ----------
    net : torch.nn.Module
        The twin, in eval mode; where none could be made, the user's network itself.
    shared : bool
        Whether `net` is a twin on the user's storage.
    reason : str
        Why no twin could be made; empty where `shared`.
    generation : int
        Grows whenever `refresh` changed more than where numbers lie: what was built from `net`, such as a `Cut`, must
        then be built anew.
    revision : int
        Grows whenever `refresh` changed anything at all.

    Raises
    ------
    TypeError
        If `net` is not a module.
    ValueError
        If a parameter or buffer holds no numbers: it is on the meta device, or its layer is lazy.

    Warns
    -----
    UserWarning
        If the user's hooks were left out, naming the modules; if no twin could be made.

    Notes
    -----
    - The user's forward and backward hooks do not run on the twin, since they may record into the user's own lists.
      Hooks that compute weights do: those of `torch.nn.utils.weight_norm`, `spectral_norm` and `prune`.
    - The mode is set as a flag on every submodule. Overridden ``train`` methods are not called, because some of them
      change weights in place (merged LoRA layers), and the weights are the user's.
    - A layer that writes into its buffers in eval mode writes into the user's.
    - Plain attributes (numbers, strings, functions, tensors) follow the user's; objects and containers are those of the
      time when the twin was made.
    - Quantised layers keep their weights packed; the twin has copies of those.
    - Making a twin costs what `copy.deepcopy` costs without the weights: 10 to 50 ms for usual networks.
    """

    def __init__(self, net: nn.Module) -> None:
        if not isinstance(net, nn.Module):
            raise TypeError(f"net: wanted a torch.nn.Module, got {type(net).__name__}.")
        self._given = net
        self._lock = threading.RLock()
        self.generation = self.revision = 0
        self.net, self.shared, self.reason = net, False, ""
        self._pairs: list[_Pair] = []
        self._slots: list[_Slot] = []
        self._make()
        self._tell()

    def __repr__(self) -> str:
        how = "on the user's storage" if self.shared else f"the user's own network ({self.reason})"
        return f"<AliasReplica of {type(self._source).__name__}: {how}>"

    def refresh(self) -> bool:
        """Follow what happened to the user's network since the last call.

        Returns
        -------
        bool
            Whether anything had to be done: a tensor was replaced, moved or given other data, a layer was swapped, a
            plain attribute was set. Steps of an optimiser need nothing.

        Raises
        ------
        ValueError
            If a parameter or buffer no longer holds numbers.

        Notes
        -----
        A few microseconds for each module and each tensor when nothing happened.
        """
        with self._lock, torch.inference_mode(False):
            changed = self._follow_user()
            self.revision += changed
            return changed

    def stamp(self) -> tuple[int, ...]:
        """Return numbers that differ as soon as somebody changed the network, as far as PyTorch keeps count.

        Returns
        -------
        tuple of int
            `generation`, `revision`, and the sum of the version counters of all tensors. What goes past the counters
            (writing through ``.data``) only `fingerprint` sees.

        Notes
        -----
        A few microseconds, and a tenth of one for each tensor.
        """
        counted = (slot.tensor for slot in self._slots if not slot.tensor.is_inference())
        written = sum(tensor._version for tensor in counted)  # noqa: SLF001  # PyTorch's own name for it
        return self.generation, self.revision, written

    def _follow_user(self) -> bool:
        if not self.shared and unwrapped(self._given) is self._source:
            return False
        moved = None if self._is_another_structure() else self._moved()
        if moved is None or not _follow(moved):
            self.generation += 1
            self._make()
            return True
        if moved:
            self._slots = list(_slots(self._pairs))
        return self._follow_plain_attributes() or bool(moved)

    @contextlib.contextmanager
    def using(self, *, refresh: bool = True) -> Iterator[nn.Module]:
        """Compute with the network, in one thread at a time.

        Parameters
        ----------
        refresh : bool, default True
            Whether to follow the user's network first.

        Yields
        ------
        torch.nn.Module
            `net`, in eval mode. Where it is the user's own network, its modes, hooks and gradient flags
            are set aside inside the block and put back after it, also after an exception.
        """
        with self._lock:
            if refresh:
                self.refresh()
            with contextlib.nullcontext() if self.shared else borrowed(self.net):
                yield self.net

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let the twin compute with the numbers of this moment, whoever trains the user's network meanwhile.

        Yields
        ------
        None
            Nothing; leaving the block points the twin to the user's numbers again. Where `net` is the user's own
            network, nothing is held.

        Notes
        -----
        Costs a copy of all weights for the time of the block.
        """
        live = [(slot.alias, slot.alias.data) for slot in self._slots] if self.shared else []
        try:
            with torch.inference_mode(False):
                for twin, numbers in live:
                    twin.data = numbers.clone()
            yield
        finally:
            with torch.inference_mode(False):
                for twin, numbers in live:
                    twin.data = numbers

    def fingerprint(self) -> str:
        """Hash the network's class and all its numbers: fine-tuning changes it.

        Returns
        -------
        str
            Sixteen hexadecimal digits; see `whatwhere.nets.fingerprint.fingerprint`.
        """
        self.refresh()
        return fingerprint(self.net)

    def twin_of(self, module: nn.Module) -> nn.Module:
        """Find the layer of `net` that stands for a layer of the user's network.

        Parameters
        ----------
        module : torch.nn.Module
            A submodule of the user's network, or of `net`.

        Returns
        -------
        torch.nn.Module
            The submodule of `net`.

        Raises
        ------
        ValueError
            If it is part of neither.
        """
        wanted = unwrapped(module)
        for pair in self._pairs:
            if pair.user is wanted:
                return pair.twin
        if any(own is wanted for own in self.net.modules()):
            return wanted
        raise ValueError(
            f"module: wanted a layer of this {type(self._source).__name__}, got a {type(module).__name__} that is not "
            "part of it."
        )

    def _make(self) -> None:
        with torch.inference_mode(False), torch.no_grad():
            self._source = source = unwrapped(self._given)
            for name, tensor in (*source.named_parameters(), *source.named_buffers()):
                check_has_numbers(name, tensor)
            self.net, self.shared, self.reason, self._pairs, self._slots = source, False, "", [], []
            try:
                twin = alias_copy(source)
                pairs = list(_pairs(source, twin, "", set()))
                _share(pairs)
                slots = list(_slots(pairs))
            except Exception as error:  # whatever the user's modules raise on being copied
                self.reason = f"{type(error).__name__}: {error}"
                return
            set_eval(twin)
            self.net, self.shared, self._pairs, self._slots = twin, True, pairs, slots

    def _tell(self) -> None:
        kind = type(self._source).__name__
        if not self.shared:
            warnings.warn(
                f"{kind} could not be copied ({self.reason}), so it is explained in place: eval mode is set while "
                "computing and undone after it. Do not train it in another thread meanwhile.",
                stacklevel=3,
            )
        hooked = hooked_modules(self._source)
        if hooked:
            more = f" and {len(hooked) - _MOST_NAMES} more" if len(hooked) > _MOST_NAMES else ""
            warnings.warn(
                f"Forward hooks of {', '.join(hooked[:_MOST_NAMES])}{more} do not run while {kind} is explained; if "
                "they change what it computes, put them into a module of its own.",
                stacklevel=3,
            )

    def _is_another_structure(self) -> bool:
        if unwrapped(self._given) is not self._source:
            return True
        return any(_structure(pair.user) != pair.structure for pair in self._pairs)

    def _moved(self) -> list[tuple[_Slot, Tensor]] | None:
        """Find the tensors that are elsewhere now; None if they are tied otherwise than they were."""
        now = [(slot, slot.holder[slot.key]) for slot in self._slots]
        moved = [(slot, new) for slot, new in now if new is not slot.tensor or place(new) != slot.place]
        if moved:
            ties = {(id(new), id(slot.alias)) for slot, new in now}
            if not len(ties) == len({new for new, _ in ties}) == len({old for _, old in ties}):
                return None
            for slot, new in moved:
                check_has_numbers(slot.key, new)
        return moved

    def _follow_plain_attributes(self) -> bool:
        """Set on the twins what was set on the user's modules."""
        changed = False
        for pair in self._pairs:
            now = vars(pair.user)
            keys = [k for k, v in now.items() if k not in _OF_EVERY_MODULE and pair.plain.get(k, _ABSENT) is not v]
            gone = pair.plain.keys() - now.keys()
            for key in keys:
                value, before = now[key], pair.plain.get(key, _ABSENT)
                if isinstance(value, torch.Tensor):
                    vars(pair.twin)[key] = alias(value)
                    changed = True
                elif _is_atom(value) and not (_is_atom(before) and value == before):
                    vars(pair.twin)[key] = value
                    self.generation += 1
                    changed = True
            for key in gone:
                vars(pair.twin).pop(key, None)
                self.generation += 1
                changed = True
            if keys or gone:
                pair.plain.clear()
                pair.plain.update(_plain(pair.user))
        return changed


def _is_atom(value: Any) -> bool:
    return all(map(_is_atom, value)) if isinstance(value, tuple) else isinstance(value, _ATOMS)


def _follow(moved: list[tuple[_Slot, Tensor]]) -> bool:
    """Point aliases to where the numbers are now; False if they cannot follow to another kind of device or layout."""
    try:
        for slot, tensor in moved:
            slot.alias.data = tensor.detach()
    except RuntimeError:
        return False
    return True


def _pairs(user: nn.Module, twin: nn.Module, name: str, seen: set[int]) -> Iterator[_Pair]:
    user = unwrapped(user)
    if id(user) in seen:
        return
    seen.add(id(user))
    yield _Pair(name, user, twin, _structure(user), _plain(user))
    for key, child in user.named_children():
        yield from _pairs(child, getattr(twin, key), f"{name}.{key}" if name else key, seen)


def _share(pairs: list[_Pair]) -> None:
    """Make aliases of what the deep copy copied nonetheless, as it does inside a ScriptModule."""
    for pair in pairs:
        for kind in _TENSOR_DICTS:
            twins = getattr(pair.twin, kind)
            for key, tensor in getattr(pair.user, kind).items():
                if tensor is None:
                    continue
                if place(twins[key]) != place(tensor) and tensor.layout is torch.strided:
                    twins[key].data = tensor.detach()
                    if place(twins[key]) != place(tensor):
                        raise ValueError(f"{pair.name}.{key} cannot be aliased")
                twins[key].requires_grad_(False)


def _slots(pairs: list[_Pair]) -> Iterator[_Slot]:
    for pair in pairs:
        for kind in _TENSOR_DICTS:
            holder, twins = getattr(pair.user, kind), getattr(pair.twin, kind)
            for key, tensor in holder.items():
                if tensor is not None:
                    yield _Slot(holder, key, tensor, place(tensor), twins[key])


def _structure(module: nn.Module) -> tuple[Any, ...]:
    """Say what a module is made of, but for the numbers and plain attributes."""
    return (
        type(module),
        *((key, id(child)) for key, child in module.named_children()),
        *((key, tensor is None) for kind in _TENSOR_DICTS for key, tensor in getattr(module, kind).items()),
        *((key, id(value)) for key, value in vars(module).items() if type(value) is types.MethodType),
    )


def _plain(module: nn.Module) -> dict[str, Any]:
    return {key: value for key, value in vars(module).items() if key not in _OF_EVERY_MODULE}
