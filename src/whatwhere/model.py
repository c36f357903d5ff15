"""VisionModel: a network with all that an `nn.Module` leaves implicit."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import numpy as np
import torch

from whatwhere.classes import ClassNames
from whatwhere.nets.memory import is_out_of_memory
from whatwhere.nets.outputs import probabilities, read_output
from whatwhere.nets.plan_memory import recall, remember
from whatwhere.nets.plans import Plan, Runner, default_plan
from whatwhere.nets.replica import AliasReplica
from whatwhere.pixels.batches import is_batch, photos_from, photos_from_batch
from whatwhere.pixels.images import read_photo
from whatwhere.pixels.preprocess import Preprocess
from whatwhere.workers import device_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from whatwhere.nets.anatomy import Anatomy
    from whatwhere.nets.cut import Cut
    from whatwhere.nets.layers import LayerInfo
    from whatwhere.nets.outputs import OutputLike
    from whatwhere.pixels.images import ImageLike, Photo, Pixels
    from whatwhere.pixels.preprocess import Interpolation

FoundT = TypeVar("FoundT")

_ALLOCATORS = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "DYLD_INSERT_LIBRARIES")  # what sets how memory is kept
_ANY_SIZE = 224  # a network that takes any size is looked at with this one
_MEASURED = "with streams"  # what plans were chosen among: one that was found among fewer is not recalled


class VisionModel:
    """A network, its preprocessing, its class names and where it computes.

    It computes on an alias of the network: the same storage, but its own eval mode and hooks, and no gradients. The
    network itself stays as it was, and may be trained on between two cells.

    Parameters
    ----------
    net : torch.nn.Module
        Takes normalised images (N, C, h, w). May be compiled, wrapped in DataParallel, scripted, or in train mode.
    preprocess : object, optional
        How pixels become its input: torchvision's ``weights.transforms()`` or the weights themselves, a timm data
        config, a Hugging Face image processor, a ``Compose`` of resize, crop and normalise, or a `Preprocess`.
    input_size : int or (int, int), optional
        Height and width of its input, in place of `preprocess`.
    resize : int or (int, int), optional
        Short side in pixels before cropping, or height and width.
    crop : {"center", None}, default "center"
        Whether the centre is cut out.
    interpolation : str, default "bicubic"
        How pixels are resized.
    mean, std : sequence of float, optional
        Subtracted from, and divided into, RGB values in [0, 1].
    class_names : sequence of str, optional
        One name a logit; by default the names that come with torchvision's weights, or "class 0", "class 1", …
    output : str, int or callable, optional
        Where the logits are in what the network returns: a key or attribute, a position, or a function to a tensor
        (N, classes), for detection, segmentation or embeddings. ``logits`` is found by itself.
    device : str or torch.device, optional
        Where to compute. By default where the network is; elsewhere it is copied to, and copied again when it changes.
    name : str, optional
        What people call it; by default the class of the network.
    source : str, default ""
        The Python expression that makes this model, for "copy code".

    Attributes
    ----------
    preprocess : Preprocess
        The preprocessing.
    class_names : ClassNames
        Names by id, and ids by name.
    device : torch.device
        Where it computes.
    output : str, int, callable or None
        Where the logits are.
    name, source : str
        As above.

    Raises
    ------
    TypeError
        If `net` is no module, or its output holds no tensor where it should.
    ValueError
        If the preprocessing is not told, the network cannot be run on what it makes, the output has another shape than
        (N, classes), or names and logits differ in number. The network is run once, on noise, to find out.

    Examples
    --------
    >>> import torchvision, whatwhere as ww
    >>> net = torchvision.models.resnet18(weights=None)
    >>> weights = torchvision.models.ResNet18_Weights.DEFAULT
    >>> ww.VisionModel(net, preprocess=weights.transforms(), class_names=weights.meta["categories"])
    <VisionModel ResNet: 224 x 224 pixels, 1000 classes, cpu>
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        preprocess: Any = None,
        input_size: int | tuple[int, int] | None = None,
        resize: int | tuple[int, int] | None = None,
        crop: Literal["center"] | None = "center",
        interpolation: Interpolation = "bicubic",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        class_names: Sequence[str] | None = None,
        output: OutputLike = None,
        device: str | torch.device | None = None,
        name: str | None = None,
        source: str = "",
    ) -> None:
        if not isinstance(net, torch.nn.Module):
            raise TypeError(f"net: wanted a torch.nn.Module, got {type(net).__module__}.{type(net).__qualname__}.")
        self._given = net
        self._source = AliasReplica(net)
        here = _one_name(_device_of(self._source.net))
        self.device = here if device is None else _one_name(torch.device(device))
        self._alias = self._source if self.device == here else self._copied()
        self.preprocess = Preprocess.read(
            preprocess, input_size=input_size, resize=resize, crop=crop, interpolation=interpolation, mean=mean, std=std
        )
        self.output = output
        self.name = name or type(self._alias.net).__name__
        self.source = source
        self._runner: tuple[tuple[str, int, int, Plan], Runner] | None = None
        self._facts: tuple[Runner, tuple[int, ...], dict[Hashable, Any]] | None = None
        self._known: tuple[AliasReplica, Anatomy] | None = None
        self._probe: Tensor | None = None
        self._found = ""  # the last fingerprint
        self._said: tuple[str, NDArray[np.float32]] | None = None  # of the probe, by which weights
        count = self._count_classes()
        self.class_names = _name_classes(class_names, preprocess, count)
        known = recall(self._machine_key()) if self.aliased else None
        self._plan = known or (default_plan(self.net, self.device) if self.aliased else Plan(1, channels_last=False))
        self._tuned = known is not None or not self.aliased
        self._fixed = False
        self._noise_of = ""  # the weights that the plan's noise was measured with

    def __repr__(self) -> str:
        size = self.preprocess.input_size
        shown = f"{size[0]} x {size[1]}" if size else "any number of"
        return f"<VisionModel {self.name}: {shown} pixels, {len(self.class_names)} classes, {self.device}>"

    @property
    def net(self) -> nn.Module:
        """The alias that computes: in eval mode, without gradients, on the network's own storage."""
        return self._alias.net

    @property
    def source_net(self) -> nn.Module:
        """The network that was handed over, whose storage `net` shares."""
        return self._given

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input; where photos keep their size, 224 x 224."""
        return self.preprocess.input_size or (_ANY_SIZE, _ANY_SIZE)

    @property
    def plan(self) -> Plan:
        """How the engine runs the network: layout, precision and batch size. Assign one to have it kept to."""
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        if not isinstance(plan, Plan):
            raise TypeError(f"plan: wanted a ww.Plan, got {type(plan).__name__} {plan!r}.")
        self._plan, self._tuned, self._fixed, self._noise_of = plan, True, True, ""

    @property
    def aliased(self) -> bool:
        """Whether `net` is an alias, whose layers may be replaced; if not, it is the user's own network."""
        return self._alias.shared

    @property
    def precision(self) -> str:
        """The network's own precision: that of its parameters, for example ``"float32"``."""
        return str(_precision_of(self.net)).removeprefix("torch.")

    @property
    def noise_known(self) -> bool:
        """Whether the plan keeps the network's own precision, or its noise was measured with these weights."""
        return self._plan.precision == "float32" or self._noise_of == self._found

    @property
    def batch_size(self) -> int:
        """Images per forward pass in every engine loop; assign to change it."""
        return self._plan.batch_size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self.plan = replace(self._plan, batch_size=size)

    @property
    def tuned(self) -> bool:
        """Whether the plan was measured, or set by hand; if not, the next long run measures one."""
        return self._tuned

    @property
    def fixed(self) -> bool:
        """Whether the plan was set by hand, and its batch size is kept to."""
        return self._fixed

    def adopt(self, plan: Plan, *, instead_of: Plan, final: bool = False) -> bool:
        """Take over a measured plan, unless somebody has set another one meanwhile.

        Parameters
        ----------
        plan : Plan
            The plan.
        instead_of : Plan
            The plan that was there when it was measured.
        final : bool, default False
            Whether measuring is over: it is then remembered for this kind of network on this machine.

        Returns
        -------
        bool
            Whether it was taken over.
        """
        if self._plan is not instead_of:
            return False
        self._plan, self._noise_of = plan, self._found
        if final:
            self._tuned = True
            remember(self._machine_key(), plan)
        return True

    def shrink_batch(self, size: int) -> None:
        """Take a smaller batch from now on, since a larger one did not fit; a later session tries the larger again.

        Parameters
        ----------
        size : int
            Images per forward pass.
        """
        if size < self._plan.batch_size:
            self._plan = replace(self._plan, batch_size=size)

    @contextlib.contextmanager
    def computing(self, *, gradients: bool = False, refresh: bool = True) -> Iterator[None]:
        """Hold the device's lock for one chunk of work on the alias, without autograd unless asked for.

        Parameters
        ----------
        gradients : bool, default False
            Whether autograd records, for gradients of the input.
        refresh : bool, default True
            Whether to follow what happened to the network since: a replaced layer or tensor. A loop does so once, at
            its beginning; training steps are seen without.

        Yields
        ------
        None
            Nothing; leaving the block restores what was.
        """
        mode = torch.enable_grad() if gradients else torch.inference_mode()
        inside = torch.is_autocast_enabled(self.device.type)  # the caller may be, of which nothing shall come
        plain = torch.autocast(self.device.type, enabled=False) if inside else contextlib.nullcontext()
        here = torch.cuda.device(self.device) if self.device.type == "cuda" else contextlib.nullcontext()
        with device_lock(str(self.device)), mode, plain, here, self._alias.using(refresh=refresh):
            yield

    def runner(self) -> Runner:
        """Return the network made ready by the plan; made anew when weights or plan have changed.

        Returns
        -------
        Runner
            Call it with normalised images inside `computing`. Folded weights are those of the last `fingerprint`, which
            whoever begins a computation takes.
        """
        state = self._found or self.fingerprint(), self._alias.generation, self._alias.revision
        plan, known = self._plan, self._runner
        if known is not None and known[0] == (*state, _but_for_size(plan)):
            known[1].plan = replace(known[1].plan, batch_size=plan.batch_size)
            return known[1]
        self._runner = self._facts = known = None  # give a copy's memory back before the next is made
        with torch.inference_mode(mode=False), torch.no_grad():  # folded weights also serve who wants gradients
            runner = Runner(self.net, plan, self.example(), self.output)
        if self._plan is plan:
            self._plan = runner.plan  # what could be done of it
        self._runner = ((*state, _but_for_size(runner.plan)), runner)
        return runner

    def once(self, key: Hashable, look: Callable[[], FoundT]) -> FoundT:
        """Look something up that stays as it is while the network and the settings of its plan do.

        Parameters
        ----------
        key : hashable
            What is looked up.
        look : callable
            Finds it; called if nobody has asked for it since the weights, the layers or the plan last changed.

        Returns
        -------
        object
            What `look` returned, this time or before. Called inside `computing`; changes of the weights that PyTorch
            does not count are seen from the next `fingerprint` on.
        """
        runner, stamp = self.runner(), self.stamp()
        if self._facts is None or self._facts[0] is not runner or self._facts[1] != stamp:
            self._facts = (runner, stamp, {})
        facts = self._facts[2]
        if key not in facts:
            facts[key] = look()
        return cast("FoundT", facts[key])

    def example(self) -> Tensor:
        """Return a normalised image of noise, of the network's input size.

        Returns
        -------
        Tensor of shape (1, C, h, w)
            On the model's device.
        """
        if self._probe is None:
            noise = np.random.default_rng(0).random((*self.input_size, 3), dtype=np.float32)
            self._probe = self.to_input(noise)
        return self._probe.clone()  # some networks normalise in place

    def to_input(self, pixels: Pixels) -> Tensor:
        """Normalise a cropped image and lay it out for the network.

        Parameters
        ----------
        pixels : ndarray of shape (h, w, 3), float32
            RGB in [0, 1], already resized and cropped (``preprocess.pixels``).

        Returns
        -------
        Tensor of shape (1, C, h, w)
            On the model's device, in the network's own precision, channels last.
        """
        numbers = np.ascontiguousarray(self.preprocess.normalise(pixels))  # their channels are last already
        tensor = torch.from_numpy(numbers)[None].to(self.device, _precision_of(self.net))
        return tensor.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def logits(self, batch: Tensor) -> Tensor:
        """Run the network as it is, whatever the plan.

        Parameters
        ----------
        batch : Tensor of shape (N, C, h, w)
            Normalised images on the model's device.

        Returns
        -------
        Tensor of shape (N, classes)
            Logits.

        Raises
        ------
        ValueError
            If the network's output is not (N, classes).
        """
        out = read_output(self.net(batch), self.output, len(batch))
        if out.shape[1] != len(self.class_names):
            raise ValueError(
                f"net: wanted {len(self.class_names)} logits an image, one a class name, got {out.shape[1]}."
            )
        return out

    def predict(self, image: ImageLike) -> NDArray[np.float32]:
        """Class probabilities of one image.

        Parameters
        ----------
        image : image
            Whatever `whatwhere.pixels.images.read_photo` reads.

        Returns
        -------
        ndarray of shape (classes,), float32
            The softmax of the logits; the sigmoid where there is one logit.
        """
        pixels = self.preprocess.pixels(read_photo(image))
        if self._alias is not self._source:
            self.fingerprint()  # a copy on another device follows the network
        with self.computing():
            return probabilities(self.logits(self.to_input(pixels)))[0].cpu().numpy()

    def images_from(self, batch: Any) -> list[Photo] | Iterator[Photo]:
        """Turn already normalised batches back into pixel-space images.

        Parameters
        ----------
        batch : Tensor or ndarray of shape (N, C, H, W) or (C, H, W), or DataLoader
            Images after this model's own normalisation; of a DataLoader, or any iterable of batches, labels are
            dropped.

        Returns
        -------
        list of Photo, or iterator of Photo
            Images in pixel space; of a DataLoader one at a time, so that memory stays flat. Those of exactly the
            network's input size are shown to it as they are, without another resize and crop.

        Raises
        ------
        ValueError
            If the shape is another, or undoing mean and deviation leaves [0, 1].
        """
        if is_batch(batch):
            return photos_from_batch(batch, self.preprocess)
        return photos_from(batch, self.preprocess)

    def layers(self) -> tuple[LayerInfo, ...]:
        """List the layers in the order in which they run.

        Returns
        -------
        tuple of LayerInfo
            Name, kind, shape, sign and token grid of each, and whether what follows is affine.
        """
        with self.computing():
            return self._anatomy().layers(self.example())

    def cut(self, layer: str | int | nn.Module) -> Cut:
        """Cut the network in two at a layer: encode an image to features, decode features to the output.

        Parameters
        ----------
        layer : str, int or torch.nn.Module
            Name of a layer, as `layers` lists them; the layer itself, of the network that was handed over; or its place
            among the layers that can be cut, -1 being the last.

        Returns
        -------
        Cut
            With ``decode(encode(x)) == net(x)``.

        Raises
        ------
        ValueError
            If there is no such layer (the nearest names are listed), or something bypasses it.
        """
        with self.computing():
            return self._anatomy().cut(layer, self.example())

    def _anatomy(self) -> Anatomy:
        """Return what is known about the alias that computes now."""
        from whatwhere.nets.anatomy import Anatomy

        if self._known is None or self._known[0] is not self._alias:
            self._known = self._alias, Anatomy(self._alias)
        return self._known[1]

    def fingerprint(self) -> str:
        """Hash of the network's parameters and buffers: fine-tuning changes it.

        Returns
        -------
        str
            Sixteen hexadecimal digits.
        """
        found = self._found = self._source.fingerprint()
        if self._alias is not self._source and found != self._copy_of:
            self._alias = self._copied()
        return found

    def probe(self) -> NDArray[np.float32]:
        """Return what the network says of an image of noise: two with equal weights may still be different.

        Returns
        -------
        ndarray of shape (classes,), float32
            Logits of `example`, by the network as it is, whatever the plan; run again when the weights have changed.
        """
        found = self.fingerprint()
        if self._said is None or self._said[0] != found:
            if self.stamp() == self._made[0]:
                self._said = found, self._made[1]
            else:
                with self.computing():
                    self._said = found, _numbers(self.logits(self.example()))
        return self._said[1]

    def _copied(self) -> AliasReplica:
        """Copy the network to another device; `fingerprint` does it again when the network has changed."""
        self._copy_of = self._source.fingerprint()
        return AliasReplica(copy.deepcopy(self._source.net).to(self.device))

    def stamp(self) -> tuple[int, ...]:
        """Return numbers that differ as soon as somebody trained or changed the network; much cheaper than a hash.

        Returns
        -------
        tuple of int
            See `whatwhere.nets.replica.AliasReplica.stamp`.
        """
        return self._source.stamp()

    def _count_classes(self) -> int:
        example = self.example()
        with self.computing():
            try:
                answer = self.net(example)
            except Exception as error:  # whatever the network raises: it says little to who gave a wrong size
                if is_out_of_memory(error):
                    raise
                height, width = self.input_size
                raise ValueError(
                    f"net: {self.name} cannot be run on what its preprocessing makes of a photo, an image of {height} "
                    f"x {width} pixels in {example.shape[1]} channels ({type(error).__name__}: {error}). Many networks "
                    "take one size alone: give preprocess=, or input_size=, mean= and std=, as it was trained with."
                ) from error
            out = _numbers(read_output(answer, self.output, 1))
        self._made = self.stamp(), out
        return len(out)

    def _machine_key(self) -> str:
        """Identify network, input, device, library and, on a CPU, the allocator: what a measured speed depends on."""
        digest = hashlib.blake2b(type(self.net).__qualname__.encode(), digest_size=8)
        for key, value in self.net.state_dict().items():
            digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
        chip = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else torch.get_num_threads()
        height, width = self.input_size
        memory = sorted(item for item in os.environ.items() if item[0].startswith(_ALLOCATORS))
        digest.update(repr(memory).encode() if memory and self.device.type == "cpu" else b"")
        return f"{digest.hexdigest()} {height}x{width} {self.device.type} {chip} torch {torch.__version__} {_MEASURED}"


def _but_for_size(plan: Plan) -> Plan:
    """Return what of a plan a network is made ready by: only a compiled one is made for a batch size."""
    return plan if plan.compiled else replace(plan, batch_size=1)


def _numbers(logits: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = logits[0].float().cpu().numpy()
    return found


def _device_of(net: nn.Module) -> torch.device:
    for tensor in (*net.parameters(), *net.buffers()):
        return tensor.device
    return torch.device("cpu")


def _precision_of(net: nn.Module) -> torch.dtype:
    return next((p.dtype for p in net.parameters() if p.is_floating_point()), torch.float32)


def _one_name(device: torch.device) -> torch.device:
    """Give a device one name, since workers and locks go by it: ``cpu``, ``cuda:0``."""
    if device.type in ("cpu", "mps"):  # there is one of them
        return torch.device(device.type)
    return torch.device("cuda", torch.cuda.current_device()) if str(device) == "cuda" else device


def _name_classes(names: Sequence[str] | None, preprocess: Any, count: int) -> ClassNames:
    if names is None:
        told = getattr(preprocess, "meta", {}).get("categories", ())  # torchvision's Weights
        names = told if len(told) == count else [f"class {k}" for k in range(count)]
    if len(names) != count:
        raise ValueError(f"class_names: wanted {count} names, one a logit of the network, got {len(names)}.")
    return ClassNames(names)
