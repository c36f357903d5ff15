"""The part of a network behind a layer, as a network of its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn
from torch.fx.proxy import GraphAppendingTracer

from whatwhere.nets.dataflow import tensors_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor


class CannotSplitError(RuntimeError):
    """The network's code cannot be split at this layer; the message says why."""


def split_tail(net: nn.Module, layer: nn.Module, images: Tensor, answer: Any) -> fx.GraphModule:
    """Build the network that computes the output from a layer's features.

    Parameters
    ----------
    net : torch.nn.Module
        The network.
    layer : torch.nn.Module
        The layer; it runs once in a forward pass and returns one row for each image.
    images : Tensor of shape (N, C, H, W)
        An input; only its type, device and size are read.
    answer : Tensor, mapping, tuple or list
        What the network returns for such an input.

    Returns
    -------
    torch.fx.GraphModule
        From what the layer returns to a tuple of the tensors in what the network returns. Its layers and weights are
        those of `net`.

    Raises
    ------
    CannotSplitError
        If code around the layer looks at values that depend on the image, or does what `torch.fx` cannot write down.

    Notes
    -----
    Only the code of modules that contain the layer is traced; everything else is called as it is, so nothing inside
    it is frozen to the example. The size of the images is; their number is not. Unlike `torch.fx.symbolic_trace` this
    patches no class, and other threads may run other networks meanwhile.
    """
    try:
        tracer = _Tracer(net)
        layer_node = _trace(tracer, net, layer, images, answer)
        return fx.GraphModule(net, _tail_of(tracer, layer_node), class_name="Tail")
    except CannotSplitError:
        raise
    except Exception as error:
        raise CannotSplitError(f"{type(error).__name__}: {error}") from error


class _Known(fx.Proxy):
    """A traced tensor whose type, device and shape are known, but for the number of images."""

    def __init__(self, node: fx.Node, tracer: _Tracer, like: Tensor, *, images: bool) -> None:
        super().__init__(node, tracer)
        self.like, self.images = like, images

    @property
    def dtype(self) -> torch.dtype:
        return self.like.dtype

    @property
    def device(self) -> torch.device:
        return self.like.device

    @property
    def ndim(self) -> int:
        return self.like.ndim

    @property
    def shape(self) -> tuple[Any, ...]:
        return (self.tracer.count_of_images(), *self.like.shape[1:]) if self.images else self.like.shape  # type: ignore[attr-defined]  # the tracer is ours


class _Tracer(GraphAppendingTracer):
    """Write calls into a graph; weights are named, never copied into it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__(fx.Graph())
        named = [*net.named_parameters(remove_duplicate=False), *net.named_buffers(remove_duplicate=False)]
        self.names = {id(tensor): name for name, tensor in reversed(named)}
        self.images: _Known
        self.counts: set[fx.Node] = set()

    def start(self, images: Tensor) -> _Known:
        self.images = self._known("placeholder", "images", images, images=True)
        return self.images

    def count_of_images(self) -> fx.Proxy:
        count = self.create_proxy("call_method", "size", (self.images, 0), {})
        self.counts.add(count.node)
        return count

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, torch.Tensor):
            if id(a) not in self.names:
                raise CannotSplitError("the code uses a tensor that is no parameter or buffer")
            return self.create_node("get_attr", self.names[id(a)], (), {})
        return super().create_arg(a)

    def attribute(self, tensor: Tensor) -> _Known:
        return self._known("get_attr", self.names[id(tensor)], tensor, images=False)

    def _known(self, op: str, target: str, like: Tensor, *, images: bool) -> _Known:
        return _Known(self.create_node(op, target, (), {}), self, like, images=images)


class _Opaque:
    """A module that is called as it is: calling it writes one node."""

    def __init__(self, real: nn.Module, call: Callable[..., Any], stand_in: Callable[[Any], Any]) -> None:
        self._real, self._call, self._stand_in = real, call, stand_in

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __getattr__(self, key: str) -> Any:
        return self._stand_in(getattr(self._real, key))

    def __getitem__(self, key: Any) -> Any:
        return self._stand_in(self._real[key])  # type: ignore[index]  # a container's

    def __iter__(self) -> Iterator[Any]:
        return map(self._stand_in, iter(self._real))  # type: ignore[call-overload]  # likewise

    def __len__(self) -> int:
        return len(self._real)  # type: ignore[arg-type]  # likewise

    @property  # type: ignore[misc]  # a property of object's that may be set
    def __class__(self) -> type:  # the code around it may ask with isinstance
        return type(self._real)


def _trace(tracer: _Tracer, net: nn.Module, layer: nn.Module, images: Tensor, answer: Any) -> fx.Node:
    """Run the code around the layer on proxies; return the layer's node."""
    names = {id(module): name for name, module in reversed([*net.named_modules(remove_duplicate=False)])}
    made: dict[int, Any] = {}
    calls: list[fx.Node] = []

    def call(module: nn.Module, *args: Any, **kwargs: Any) -> fx.Proxy:
        proxy = tracer.create_proxy("call_module", names[id(module)], args, kwargs)
        if module is layer:
            calls.append(proxy.node)
        return proxy

    def stand_in(thing: Any) -> Any:
        if isinstance(thing, torch.Tensor) and id(thing) in tracer.names:
            return tracer.attribute(thing)
        return module_for(thing) if isinstance(thing, nn.Module) and not issubclass(type(thing), _Opaque) else thing

    def module_for(module: nn.Module) -> Any:
        if id(module) not in made:
            around = module is not layer and any(inner is layer for inner in module.modules())
            made[id(module)] = copy.copy(module) if around else _Opaque(module, partial(call, module), stand_in)
            if around:
                own = vars(made[id(module)])
                for kind in ("_modules", "_parameters", "_buffers"):
                    own[kind] = {key: stand_in(value) for key, value in vars(module)[kind].items()}
        return made[id(module)]

    output = stand_in(net)(tracer.start(images))
    tracer.graph.output(tracer.create_arg(tuple(_tensors_like(output, answer))))
    if len(calls) != 1:
        raise CannotSplitError(f"tracing met the layer {len(calls)} times")
    return calls[0]


def _tensors_like(traced: Any, answer: Any) -> Iterator[Any]:
    """Find in a traced output what are tensors in the real one."""
    if isinstance(answer, torch.Tensor):
        yield traced
    elif isinstance(answer, Mapping):
        for key, value in answer.items():
            yield from _tensors_like(traced[key], value)
    elif isinstance(answer, (tuple, list)):
        for index, value in enumerate(answer):
            yield from _tensors_like(traced[index], value)


def _tail_of(tracer: _Tracer, layer_node: fx.Node) -> fx.Graph:
    """Keep what comes from the layer or from weights alone, and refuse what needs the image besides."""
    graph = tracer.graph
    of_image: set[fx.Node] = set()
    of_layer = {layer_node}
    for node in graph.nodes:
        if node is layer_node or node in tracer.counts:
            continue
        if node.op == "placeholder" or any(before in of_image for before in node.all_input_nodes):
            of_image.add(node)
        if any(before in of_layer for before in node.all_input_nodes):
            of_layer.add(node)
    (output,) = (node for node in graph.nodes if node.op == "output")
    if output in of_image:
        culprit = next(node for node in graph.nodes if node in of_layer and node in of_image)
        raise CannotSplitError(f"{culprit.name!r} behind the layer also reads the image or its shape")
    tail = fx.Graph()
    made = {layer_node: tail.placeholder("features")}
    made |= {node: tail.call_function(_count, (made[layer_node],)) for node in tracer.counts}
    wanted = _ancestors(output, until={layer_node, *tracer.counts}) | (
        of_layer - of_image
    )  # the latter for in-place layers
    for node in graph.nodes:
        if node in wanted and node not in made:
            made[node] = tail.node_copy(node, made.__getitem__)
    tail.lint()
    return tail


def _count(output: Any) -> int:
    """Count the images by a layer's output: it has one row for each."""
    return len(next(tensors_in(output)))


def _ancestors(node: fx.Node, *, until: set[fx.Node]) -> set[fx.Node]:
    found, waiting = {node}, [node]
    while waiting:
        for before in waiting.pop().all_input_nodes:
            if before not in found and before not in until:
                found.add(before)
                waiting.append(before)
    return found
