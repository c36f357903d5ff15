"""How a network is run fast: layout, precision, folded normalisation and batch size, and what a run of it costs.

A plan is a value. A `Runner` is a network made ready by one: an alias of the network's own storage, or, where
normalisation is folded into convolutions, a copy of their weights.
"""

from __future__ import annotations

import contextlib
import operator
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

from whatwhere.nets.outputs import read_output
from whatwhere.nets.pointwise import use_onednn
from whatwhere.nets.replica import AliasReplica
from whatwhere.nets.same_padding import avoid_copies
from whatwhere.nets.streams import Streams, default_streams, stands_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whatwhere.nets.outputs import OutputLike
    from whatwhere.nets.streams import ResultT

Precision: TypeAlias = Literal["float32", "bfloat16", "float16"]
PRECISIONS: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

# Measured for EfficientNet-Lite0 on two cores: 7.7 ms an image in fours and 14.6 alone; in batches of 32, 37 with
# channels last and 48 contiguous.
_CPU_BATCH = 4
_GPU_BATCH = 64
_MPS_BATCH = 16
# Folding moves logits by rounding; a network that uses a convolution's output twice would move by much more.
_FOLD_TOLERANCE = 1e-3
_MOST = 2**16  # images a batch


@dataclass(frozen=True)
class Plan:
    """How the engine runs a network.

    Parameters
    ----------
    batch_size : int
        Images per forward pass.
    channels_last : bool, default True
        Whether images are laid out with their channels last.
    folded : bool, default False
        Whether BatchNorms are folded into the convolutions before them; costs a copy of the convolutions' weights.
    precision : {"float32", "bfloat16", "float16"}, default "float32"
        Of everything but the last linear layer, which stays in float32.
    compiled : bool, default False
        Whether ``torch.compile`` made it; on a GPU with CUDA graphs.
    streams : int, default 1
        On a CPU, how many parts of a batch are computed side by side, each by its share of the threads; with 1 all
        threads work on one operation after the other. As many are used as divide the batch, and as there are threads.
        Choose 1 for a network that switches settings of the whole process while it computes, as
        ``torch.backends.mkldnn.flags`` does.
    noise : float, default 0
        Squared deviation from float32 over the variance of the score under masks, as measured: no index below it
        means anything. Zero where nothing was reduced.
    """

    batch_size: int
    channels_last: bool = True
    folded: bool = False
    precision: Precision = "float32"
    compiled: bool = False
    streams: int = 1
    noise: float = 0.0

    def __post_init__(self) -> None:
        """Check every option."""
        for option in ("batch_size", "streams"):
            value = getattr(self, option)
            try:
                number = operator.index(value)
            except TypeError:
                number = 0
            if not 1 <= number <= _MOST or isinstance(value, bool):
                raise ValueError(f"{option}: wanted an integer from 1 to {_MOST}, got {value!r}.")
            object.__setattr__(self, option, number)
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: wanted one of {list(PRECISIONS)}, got {self.precision!r}.")
        for option in ("channels_last", "folded", "compiled"):
            if not isinstance(getattr(self, option), bool):
                raise TypeError(f"{option}: wanted True or False, got {getattr(self, option)!r}.")
        if not isinstance(self.noise, int | float) or not 0 <= self.noise < float("inf"):
            raise ValueError(f"noise: wanted a finite number of at least 0, got {self.noise!r}.")

    def describe(self, native: str = "float32") -> str:
        """Say in a few words how the network is run.

        Parameters
        ----------
        native : str, default "float32"
            The network's own precision, where it is not reduced.

        Returns
        -------
        str
            For example ``"float32, channels last, BatchNorm folded, 4 images a batch"``.
        """
        words = [native if self.precision == "float32" else f"{self.precision} with a float32 head"]
        words += ["channels last"] * self.channels_last + ["BatchNorm folded"] * self.folded
        streams = f" in {self.streams} streams" if self.streams > 1 else ""
        words += ["compiled"] * self.compiled + [f"{self.batch_size} images a batch{streams}"]
        return ", ".join(words)


def default_plan(net: nn.Module, device: torch.device) -> Plan:
    """Return the plan that a network is run by before anything was measured.

    Parameters
    ----------
    net : nn.Module
        The network.
    device : torch.device
        Where it computes.

    Returns
    -------
    Plan
        In float32; channels last, and folded, where there are convolutions. On a CPU in a stream for each thread, with
        as many images in each.
    """
    streams = default_streams(device)
    size = {"cpu": -(-_CPU_BATCH // streams) * streams, "mps": _MPS_BATCH}.get(device.type, _GPU_BATCH)
    kinds = {type(m) for m in net.modules()}
    convolutions = any(issubclass(kind, nn.Conv2d) for kind in kinds)
    norms = any(issubclass(kind, nn.BatchNorm2d) for kind in kinds)
    return Plan(size, channels_last=convolutions, folded=convolutions and norms, streams=streams)


class Runner:
    """A network made ready by a plan.

    Parameters
    ----------
    net : nn.Module
        The network in eval mode, on its device; it is not changed.
    plan : Plan
        How to run it. `Runner.plan` says what could be done: a network whose BatchNorms cannot be folded is not.
    example : Tensor of shape (1, C, h, w)
        A normalised image, on the device.
    output : str, int, callable or None
        See `whatwhere.nets.outputs.read_output`.

    Attributes
    ----------
    plan : Plan
        The plan that it follows.
    net : nn.Module
        The network that it runs: the given one, or an alias or copy of its own.
    n_probes : int
        Forwards that making it ready took; whoever counts them sets it to 0.
    """

    def __init__(self, net: nn.Module, plan: Plan, example: Tensor, output: OutputLike = None) -> None:
        self._output = output
        self._device = example.device.type
        self.n_probes = 0
        own, mine = net, False
        if plan.folded or plan.precision != "float32":
            alias = AliasReplica(net)
            own = alias.net
            mine = alias.shared  # modules may be replaced in a copy only
            if not mine:
                plan = replace(plan, folded=False, precision="float32", noise=0.0)
        self._dtype = PRECISIONS[plan.precision]
        if plan.folded:
            self.n_probes += 2
            if not fold_batch_norm(own, example, output):
                plan = replace(plan, folded=False)
        if plan.streams > 1 and (self._device != "cpu" or plan.compiled):
            plan = replace(plan, streams=1)
        if plan.streams > 1:
            self.n_probes += 1
            plan = plan if stands_streams(own, example) else replace(plan, streams=1)
        if mine and plan.precision == "float32" and self._device == "cpu" and not plan.compiled:
            use_onednn(own)
            avoid_copies(own)
        if plan.precision != "float32":
            self.n_probes += 1
            _keep_head_in_float32(own, example, self._device)
        self.net = own
        self._call: Any = _compiled(own, self._device) if plan.compiled else own
        self._streams = Streams.of(own, plan.streams) if plan.streams > 1 else None
        if plan.streams > 1 and self._streams is None:
            plan = replace(plan, streams=1)
        self.plan = plan

    def __call__(self, batch: Tensor) -> Tensor:
        """Run the network.

        Parameters
        ----------
        batch : Tensor of shape (N, C, h, w)
            Normalised images on the device.

        Returns
        -------
        Tensor of shape (N, K), float32
            Logits, on the device; a copy, since some networks answer through a buffer of theirs.
        """
        return self.over(self.logits, batch)

    def over(self, run: Callable[..., ResultT], *columns: Tensor) -> ResultT:
        """Run a function of the network and of a batch as the plan says: in its precision, in as many streams.

        Parameters
        ----------
        run : callable
            Takes `net`, or a copy of it, and what there is of a part of the columns; returns a tensor, or a named tuple
            of tensors, whose first axis is that of the batch, each entry for itself. It may be called in another
            thread.
        *columns : Tensor of shape (N, ...)
            What there is of the batch, on the device.

        Returns
        -------
        Tensor or named tuple of Tensor
            As from the whole batch.
        """

        def cast(net: nn.Module, *part: Tensor) -> ResultT:
            with self.casting():
                return run(net, *part)

        return cast(self.net, *columns) if self._streams is None else self._streams(cast, *columns)

    def logits(self, net: nn.Module, batch: Tensor) -> Tensor:
        """Run the network, or the copy of it that `over` gives.

        Parameters
        ----------
        net : nn.Module
            What `over` gives.
        batch : Tensor of shape (N, C, h, w)
            Normalised images on the device.

        Returns
        -------
        Tensor of shape (N, K), float32
            As from calling the runner.
        """
        out = (self._call if net is self.net else net)(batch)
        return read_output(out, self._output, len(batch)).to(torch.float32, copy=True)

    @contextlib.contextmanager
    def casting(self) -> Iterator[None]:
        """Compute in the plan's precision.

        Yields
        ------
        None
            Nothing; leaving the block restores what was.
        """
        if self._dtype is torch.float32:
            yield
        else:
            with torch.autocast(self._device, self._dtype):
                yield


def fold_batch_norm(net: nn.Module, example: Tensor, output: OutputLike = None) -> bool:
    """Fold every BatchNorm that directly follows a convolution into it, in place; for inference only.

    Pairs are found by watching a forward pass, so that the order of definition does not matter; then the outputs are
    compared, since a convolution whose output is used twice must not be folded.

    Parameters
    ----------
    net : nn.Module
        The network in eval mode; the modules are replaced, their parameters left alone.
    example : Tensor of shape (1, C, h, w)
        A normalised image.
    output : str, int, callable or None
        See `whatwhere.nets.outputs.read_output`.

    Returns
    -------
    bool
        Whether anything was folded. If not, the network is as it was.
    """
    pairs, before = _convolutions_before_norms(net, example.clone())
    if not pairs:
        return False
    wanted = read_output(before, output, 1).to(torch.float32, copy=True)
    kept = [(name, net.get_submodule(name)) for pair in pairs for name in pair]
    for conv, norm in pairs:
        before_norm, after = net.get_submodule(conv), net.get_submodule(norm)
        assert isinstance(before_norm, nn.Conv2d)
        assert isinstance(after, nn.BatchNorm2d)
        fused = fuse_conv_bn_eval(before_norm, after)
        net.set_submodule(conv, fused.requires_grad_(requires_grad=False))
        net.set_submodule(norm, nn.Identity())
    got = read_output(net(example.clone()), output, 1).float()
    scale = wanted.std() if wanted.numel() > 1 else wanted.abs().max()
    if bool((wanted - got).abs().max() <= _FOLD_TOLERANCE * scale):
        return True
    for name, module in kept:
        net.set_submodule(name, module)
    return False


def _is_plain(module: nn.Module) -> bool:
    """Tell whether a layer's weight is a parameter of its own, not computed by a hook or a parametrization."""
    own = dict(module.named_parameters(recurse=False))
    return "weight" in own and not module._forward_pre_hooks and not is_parametrized(module)  # noqa: SLF001


def _convolutions_before_norms(net: nn.Module, example: Tensor) -> tuple[list[tuple[str, str]], Any]:
    """Return (convolution, BatchNorm) names where one's output is the other's input, and the network's output."""
    makers: dict[int, str] = {}
    alive: list[Tensor] = []  # an id names a tensor only while it lives
    calls: Counter[str] = Counter()
    pairs: list[tuple[str, str]] = []

    def note_output(name: str, out: Any) -> None:
        calls[name] += 1
        makers[id(out)] = name
        alive.append(out)

    def note_input(name: str, inputs: tuple[Any, ...]) -> None:
        calls[name] += 1
        if inputs and id(inputs[0]) in makers:
            pairs.append((makers[id(inputs[0])], name))

    with contextlib.ExitStack() as hooks:
        for name, module in net.named_modules():
            if isinstance(module, nn.Conv2d) and _is_plain(module):
                handle = module.register_forward_hook(lambda _, __, out, name=name: note_output(name, out))
            elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
                handle = module.register_forward_pre_hook(lambda _, inputs, name=name: note_input(name, inputs))
            else:
                continue
            hooks.callback(handle.remove)
        out = net(example)
    used = Counter(conv for conv, _ in pairs)
    return [(c, n) for c, n in pairs if calls[c] == calls[n] == used[c] == 1], out


def _keep_head_in_float32(net: nn.Module, example: Tensor, device: str) -> None:
    """Have the linear layer that is called last compute in float32, whatever is cast around it."""
    called: list[nn.Linear] = []
    with contextlib.ExitStack() as hooks:
        for module in net.modules():
            if isinstance(module, nn.Linear):
                hooks.callback(module.register_forward_hook(lambda layer, *_: called.append(layer)).remove)
        net(example.clone())
    if not called:
        return
    plain = called[-1].forward

    def forward(x: Tensor) -> Tensor:
        with torch.autocast(device, enabled=False):
            return plain(x.float())

    called[-1].forward = forward  # type: ignore[method-assign, assignment]  # of this alias only


def _compiled(net: nn.Module, device: str) -> Any:
    return torch.compile(net, mode="reduce-overhead" if device == "cuda" else "default", dynamic=False)
