"""What a network computes from what: every operation of one forward pass, and where its layers' outputs stand in it."""

from __future__ import annotations

import contextlib
import copy
import itertools
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Operations by their names in ATen, without the underscore of the in-place forms.
_VIEWS = _names(
    "alias as_strided clone contiguous detach diagonal expand expand_as flatten flip index index_select lift_fresh"
    " movedim narrow permute pixel_shuffle pixel_unshuffle repeat reshape roll select slice split split_with_sizes"
    " chunk squeeze t to _to_copy transpose unbind unflatten unfold unsafe_split unsqueeze view view_as _unsafe_view"
    " _reshape_alias dropout feature_dropout copy gather im2col _conj_physical"
)
_AVERAGES = _names(
    "_adaptive_avg_pool2d adaptive_avg_pool2d adaptive_avg_pool1d avg_pool1d avg_pool2d mean sum cat stack concat"
    " upsample_nearest2d upsample_bilinear2d _upsample_bilinear2d_aa constant_pad_nd pad reflection_pad2d"
    " replication_pad2d"
)
_AFFINE = _VIEWS | _AVERAGES | _names("add sub rsub neg upsample_bicubic2d _upsample_bicubic2d_aa")
# Affine if only one of their tensors depends on the image.
_PRODUCTS = _names(
    "mul multiply mm bmm matmul linear addmm addmv baddbmm mv dot einsum convolution _convolution conv1d conv2d conv3d"
    " mkldnn_convolution cudnn_convolution"
)
# Affine in eval mode, which is their argument number five; the last has no such argument.
_BATCH_NORMS = _names("batch_norm native_batch_norm _batch_norm_impl_index cudnn_batch_norm")
_BATCH_NORM_MODE = 5
_BATCH_NORM_IN_EVAL = "_native_batch_norm_legit_no_training"

_NON_NEGATIVE = _names("relu relu6 sigmoid hardsigmoid softmax _softmax abs square exp softplus sqrt norm")
_MAXIMA = _names("max_pool1d max_pool2d max_pool2d_with_indices adaptive_max_pool2d max amax amin min maximum minimum")
_KEEPS_SIGN = _VIEWS | _AVERAGES | _MAXIMA | _names("add mul div threshold cumsum")
_WITH_SCALAR = {"add": 1, "mul": 1, "div": 1, "constant_pad_nd": 2, "pad": 3}
# These read the shape and type of a tensor, not its numbers.
_OF_ANY_NUMBERS = _names(
    "empty_like zeros_like ones_like full_like rand_like randn_like new_empty new_empty_strided new_zeros new_ones"
    " new_full"
)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Find the tensors in what a layer or a network returns.

    Parameters
    ----------
    value : Tensor, mapping, tuple or list
        An output; other things are passed over.

    Yields
    ------
    Tensor
        The tensors, in order.
    """
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)


@dataclass
class Call:
    """One call of a layer during the recorded pass.

    Parameters
    ----------
    name : str
        The layer's name.
    module : torch.nn.Module
        The layer.
    shapes : tuple of torch.Size
        Shapes of the tensors that it returned.
    node : int or None
        Position of its only tensor among the operations; None if it returned several or one without the image in it.
    non_negative : bool
        Whether that tensor held no negative number and no NaN.
    """

    name: str
    module: nn.Module
    shapes: tuple[torch.Size, ...]
    node: int | None
    non_negative: bool


@dataclass
class Dataflow:
    """The operations of one forward pass that depend on the image, in the order of their execution.

    Parameters
    ----------
    parents : list of tuple of int
        For each operation, those that it reads.
    affine : list of bool
        Whether it is affine in what it reads, jointly.
    non_negative : list of bool
        Whether its output cannot be negative, whatever the weights.
    calls : list of Call
        Calls of layers, in the order in which they returned.
    outputs : tuple of int
        The operations whose results the network returned.
    """

    parents: list[tuple[int, ...]] = field(default_factory=list)
    affine: list[bool] = field(default_factory=list)
    non_negative: list[bool] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    outputs: tuple[int, ...] = ()

    def needed(self) -> list[bool]:
        """Say which operations the output needs.

        Returns
        -------
        list of bool
            One an operation.
        """
        needed = [False] * len(self.parents)
        for node in self.outputs:
            needed[node] = True
        for node in reversed(range(len(needed))):
            if needed[node]:
                for parent in self.parents[node]:
                    needed[parent] = True
        return needed

    def bottlenecks(self) -> list[bool]:
        """Say which operations all of the output passes through.

        Returns
        -------
        list of bool
            True where no way from the image to the output goes past the operation.
        """
        needed, end = self.needed(), len(self.parents)
        crossing = [0] * (end + 1)  # differences of the number of edges that pass over an operation
        edges = [(parent, node) for node in range(end) if needed[node] for parent in self.parents[node]]
        for start, stop in {*edges, *((node, end) for node in self.outputs)}:
            crossing[start + 1] += 1
            crossing[stop] -= 1
        return [
            wanted and count == 0 for wanted, count in zip(needed, itertools.accumulate(crossing[:end]), strict=True)
        ]

    def affine_after(self) -> list[bool]:
        """Say after which operations nothing but affine ones follow.

        Returns
        -------
        list of bool
            One an operation; of use for bottlenecks.
        """
        steps = [affine or not wanted for affine, wanted in zip(self.affine, self.needed(), strict=True)]
        after = [True, *itertools.accumulate(reversed(steps), operator.and_)]
        return after[-2::-1]


def record(net: nn.Module, images: Tensor) -> Dataflow:
    """Run a network once and write down what it does.

    Parameters
    ----------
    net : torch.nn.Module
        The network, in eval mode.
    images : Tensor of shape (N, C, H, W)
        Its input.

    Returns
    -------
    Dataflow
        What happened.

    Notes
    -----
    One forward pass, and some 20 microseconds an operation. Operations are seen below Python, after dispatch, so
    functional calls, control flow and scripted parts are seen like layers. What passes through NumPy is not. Scripted
    modules have no calls of their own, since they take no hooks.
    """
    recorder = _Recorder()
    names = {id(module): name for name, module in reversed([*net.named_modules(remove_duplicate=False)])}
    with torch.inference_mode(), contextlib.ExitStack() as hooks:
        for module in net.modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # it takes no hooks
            handle = module.register_forward_hook(recorder.hook(names[id(module)]))
            hooks.callback(handle.remove)
        with recorder:
            images = images.clone()
            recorder.start(images)
            output = net(images)
            nodes = [recorder.node_of(tensor) for tensor in tensors_in(output)]
    recorder.flow.outputs = tuple(node for node in nodes if node is not None)
    return recorder.flow


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follow the image through the operations, in-place ones included."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flow = Dataflow()
        self._nodes: Any = WeakTensorKeyDictionary()
        self._written: dict[int, tuple[int, tuple[Any, ...]]] = {}  # by storage: last in-place write, and its region

    def start(self, images: Tensor) -> None:
        self._nodes[images] = self._add((), affine=False, non_negative=False)

    def hook(self, name: str) -> Any:
        def returned(module: nn.Module, _inputs: Any, output: Any) -> Any:
            """Give the layer's output an identity of its own, apart from that of what it passes through."""
            tensors = list(tensors_in(output))
            node, fine = None, False
            if len(tensors) == 1:
                alias = torch.ops.aten.alias(tensors[0])
                output = refilled(output, iter((alias,)))
                node = self.node_of(next(tensors_in(output)))
                fine = bool((alias >= 0).all()) if alias.is_floating_point() else False
            self.flow.calls.append(Call(name, module, tuple(t.shape for t in tensors), node, fine))
            return output

        return returned

    def node_of(self, tensor: Tensor) -> int | None:
        own: int | None = self._nodes.get(tensor)
        last, region = self._written.get(_storage(tensor), (None, ()))
        if last is None or (own is not None and own >= last):
            return own
        if own is None or region == _region(tensor):
            return last
        self._nodes[tensor] = node = self._join(own, last)
        return node

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = _schema(func).name.removeprefix("aten::").rstrip("_")
        given = [*tensors_in(args), *tensors_in(kwargs)]
        nodes = [self.node_of(tensor) for tensor in given]
        if name in _OF_ANY_NUMBERS:
            nodes = [None] * len(nodes)
        if name == "copy":
            nodes[0] = None  # what was there is overwritten
        reads = [node for node in nodes if node is not None]
        affine = _is_affine(name, args, nodes)
        signs = [node is not None and self.flow.non_negative[node] for node in nodes]
        sure = _is_non_negative(name, args, given, signs)
        output = func(*args, **kwargs)
        written = [value for value in _written_to(func, args, kwargs) if isinstance(value, torch.Tensor)]
        fresh = [tensor for tensor in tensors_in(output) if not any(tensor is other for other in written)]
        storages = {_storage(tensor) for tensor in given}
        for tensor in fresh:
            if _storage(tensor) not in storages:
                self._written.pop(_storage(tensor), None)  # the address may have been another's
        if reads:
            node = self._add(tuple(dict.fromkeys(reads)), affine=affine, non_negative=sure)
            for tensor in fresh:
                self._nodes[tensor] = node
            for tensor in written:
                self._nodes[tensor] = node
                self._write(tensor, node)
        return output

    def _write(self, tensor: Tensor, node: int) -> None:
        """Remember the state of a storage after an in-place write; earlier writes to other parts of it remain."""
        key, region = _storage(tensor), _region(tensor)
        earlier, other = self._written.get(key, (None, region))
        if earlier is not None and other != region:
            node, region = self._join(earlier, node), ()
        self._written[key] = (node, region)

    def _join(self, a: int, b: int) -> int:
        sure = self.flow.non_negative[a] and self.flow.non_negative[b]
        return self._add((a, b), affine=True, non_negative=sure)

    def _add(self, parents: tuple[int, ...], *, affine: bool, non_negative: bool) -> int:
        self.flow.parents.append(parents)
        self.flow.affine.append(affine)
        self.flow.non_negative.append(non_negative)
        return len(self.flow.parents) - 1


def refilled(template: Any, tensors: Iterator[Tensor]) -> Any:
    """Put tensors where those of an output are.

    Parameters
    ----------
    template : Tensor, mapping, tuple or list
        An output.
    tensors : iterator of Tensor
        What takes the places of its tensors, in the order of `tensors_in`.

    Returns
    -------
    Tensor, mapping, tuple or list
        An output of the same form; the template stays as it is.
    """
    if isinstance(template, torch.Tensor):
        return next(tensors)
    if isinstance(template, Mapping):
        filled = copy.copy(template)
        for key, value in template.items():
            if next(tensors_in(value), None) is not None:
                filled[key] = refilled(value, tensors)  # type: ignore[index]  # dicts and outputs of transformers allow it
        return filled
    if isinstance(template, (tuple, list)):
        items = [refilled(item, tensors) for item in template]
        return type(template)(*items) if hasattr(template, "_fields") else type(template)(items)
    return template


def _schema(func: Any) -> Any:
    return func._schema  # noqa: SLF001  # the only way to it


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata  # noqa: SLF001  # identity of the storage, also where it is empty


def _region(tensor: Tensor) -> tuple[Any, ...]:
    return (tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype)


def _written_to(func: Any, args: Any, kwargs: Any) -> Iterator[Any]:
    for index, argument in enumerate(_schema(func).arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[index] if index < len(args) else kwargs.get(argument.name)
            yield from value if isinstance(value, (list, tuple)) else (value,)


def _is_affine(name: str, args: Any, nodes: list[int | None]) -> bool:
    reading = sum(node is not None for node in nodes)
    if name in _AFFINE:
        return True
    if name in _PRODUCTS:
        return reading <= 1
    if name in ("div", "divide"):
        return reading <= 1 and nodes[0] is not None
    if name in _BATCH_NORMS:
        return reading <= 1 and len(args) > _BATCH_NORM_MODE and args[_BATCH_NORM_MODE] is False
    return name == _BATCH_NORM_IN_EVAL and reading <= 1


def _is_non_negative(name: str, args: Any, given: list[Tensor], signs: list[bool]) -> bool:
    if name in _NON_NEGATIVE:
        return True
    if name in ("hardtanh", "clamp", "clamp_min"):
        return len(args) > 1 and args[1] is not None and not isinstance(args[1], torch.Tensor) and args[1] >= 0
    if name == "pow":
        return isinstance(args[1], (int, float)) and args[1] % 2 == 0
    if name not in _KEEPS_SIGN:
        return False
    scalar = args[_WITH_SCALAR[name]] if name in _WITH_SCALAR and len(args) > _WITH_SCALAR[name] else 0
    if isinstance(scalar, (int, float)) and scalar < 0:
        return False
    known = [sign for tensor, sign in zip(given, signs, strict=True) if tensor.is_floating_point()]
    return all(known[1:] if name == "copy" else known)
