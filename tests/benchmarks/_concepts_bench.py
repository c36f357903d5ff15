"""What the parts of the benchmark of concepts share: options, networks, photos, and the features of a set of photos."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import _bench

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from torch import Tensor

    import whatwhere as ww
    from whatwhere.engine.encoder import Encoder
    from whatwhere.pixels.images import Photo

CLASSES = ("000_tench", "701_parachute", "569_garbage_truck")
TENCH = 0
NETWORKS = ("efficientnet_lite0", "resnet50")
TITLES = {"efficientnet_lite0": "EfficientNet-Lite0", "resnet50": "ResNet-50, random weights"}
_OWN_BATCHES = (1, 2, 4, 8, 16, 32)
_BARE_BATCHES = 16
FIT_ON = ("crops", "locations", "both")


@dataclass(frozen=True)
class ConceptOptions:
    """What a person asked for; it travels to the processes that measure."""

    device: str = "cpu"
    threads: int = 1
    rounds: int = 3
    photos: int = 80  # of the whole-image mode
    share_photos: int = 24  # of the splits and the memory, EfficientNet-Lite0
    peer_photos: int = 12  # EfficientNet-Lite0, at least the rank
    deep_photos: int = 4  # ResNet-50
    deep_rank: int = 4
    rank: int = 10
    ranks: tuple[int, ...] = (10, 25)  # of the held-out halves
    held_out: int = 300  # photos of a class, before those predicted otherwise are left out
    weighed: int = 300  # photos whose codes are stored, for the importance
    earlier_photos: int = 24  # on which importances are compared
    earlier_fit: int = 60  # photos of the bank of the earlier layer
    class_photos: int = 24  # of each of ten classes
    resamples: int = 5  # splits and pairs of seeds, for the stability


def load(options: ConceptOptions, name: str = "efficientnet_lite0") -> ww.VisionModel:
    """Load a network, on as many threads as were asked for; ResNet-50 with random weights."""
    import torch

    import whatwhere as ww

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    weights = {"efficientnet_lite0": "DEFAULT"}.get(name)
    return ww.load_model(name, weights=weights, device=options.device)


def _classes_root() -> Path:
    told = os.environ.get("WHATWHERE_SHARED")
    return (Path(told) if told else Path(__file__).parents[3] / "shared") / "data" / "imagenette"


def class_folders() -> list[str]:
    """Return the names of the classes in the shared folder, which begin with their ids; none where it is absent."""
    root = _classes_root()
    return sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def class_photos(name: str, count: int) -> dict[str, Path]:
    """Return photos of one class from the shared folder, by name; none where it is absent."""
    files = sorted((_classes_root() / name).glob("*.JPEG"))
    return {file.name: file for file in files[:count]}


def some_photos(count: int) -> dict[str, Any]:
    """Return tench where they are at hand, and else whatever photos there are."""
    return dict(class_photos(CLASSES[0], count)) or dict(_bench.photos(count))


def prepared(model: ww.VisionModel, images: dict[str, Any]) -> dict[str, Photo]:
    """Resize photos to the network's input, once and for all who are compared."""
    from whatwhere.pixels.images import Photo, read_photo

    pixels = {name: model.preprocess.pixels(read_photo(image, name=name)) for name, image in images.items()}
    return {name: Photo(array, prepared=True) for name, array in pixels.items()}


def bare_forward(model: ww.VisionModel, device: str) -> float:
    """Return the seconds that an image costs the network alone, in batches as an extraction's."""
    import torch

    batch = torch.randn((model.batch_size, *model.example().shape[1:]), device=model.device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    with model.computing():
        runner = model.runner()
        runner(batch)
        with _bench.metered(device) as cost:
            for _ in range(_BARE_BATCHES):
                runner(batch)
    return (cost.cpu if device == "cpu" else cost.wall) / (_BARE_BATCHES * len(batch))


def own_forward(model: ww.VisionModel, device: str) -> float:
    """Return the seconds that an image costs the network as it was given, in the batch size and layout that it likes.

    Without autograd, but with nothing folded, replaced or divided: the rate at which a person's own loop would run it.
    """
    import torch

    found = []
    for size in _OWN_BATCHES:
        for layout in (torch.contiguous_format, torch.channels_last):
            batch = torch.randn((size, *model.example().shape[1:]), device=model.device).contiguous(
                memory_format=layout
            )
            with torch.inference_mode():
                model.source_net(batch)
                runs = max(_BARE_BATCHES * model.batch_size // size, 1)
                with _bench.metered(device) as cost:
                    for _ in range(runs):
                        model.source_net(batch)
            found.append((cost.cpu if device == "cpu" else cost.wall) / (runs * size))
    return min(found)


class Features(NamedTuple):
    """What a network makes of the photos that it predicts as a class.

    Attributes
    ----------
    cells : Tensor of shape (N, h, w, p)
        Features of the locations.
    prefix : Tensor of shape (N, tokens, p)
        Class and register tokens.
    pooled : Tensor of shape (N, crops, p)
        Mean features of the crops; no crops where they were not asked for.
    logits : Tensor of shape (N, classes)
        The network's own.
    """

    cells: Tensor
    prefix: Tensor
    pooled: Tensor
    logits: Tensor

    def take(self, places: Tensor) -> Features:
        """Return some of the photos."""
        return Features(*(part[places] for part in self))

    def rows(self, fit_on: str) -> list[Tensor]:
        """Return what `Craft` would factorise, in blocks."""
        blocks = {"crops": [self.pooled], "locations": [self.cells], "both": [self.pooled, self.cells]}
        return [block.flatten(0, -2) for block in blocks[fit_on]]


def gather(encoder: Encoder, images: Iterable[Any], target: int | None, *, crops: bool = True) -> Features:
    """Run photos, and the crops of those that are predicted as the class, as `Craft` does."""
    import torch

    from whatwhere.concepts.photos import iterate_inputs

    model = encoder.model
    parts: list[tuple[Tensor, ...]] = []
    for _, _, pixels in iterate_inputs(images, model):
        image = model.to_input(pixels)
        look = encoder.look(image)
        if target is None or int(look.logits.argmax()) == target:
            pooled = _pooled(encoder, image) if crops else look.cells.new_zeros((0, look.cells.shape[-1]))
            parts.append((look.cells[0], look.prefix[0], pooled, look.logits[0]))
    return Features(*(torch.stack(column).clone() for column in zip(*parts, strict=True)))


def _pooled(encoder: Encoder, image: Tensor) -> Tensor:
    import torch

    from whatwhere.concepts.crops import cut_out, windows_of

    model = encoder.model
    boxes = windows_of(model.input_size, None)
    pooled = []
    for first in range(0, len(boxes), model.batch_size):
        with model.computing(refresh=False):
            crops = cut_out(image, boxes[first : first + model.batch_size])
        pooled.append(encoder.cells(crops).mean(dim=(1, 2)))
    return torch.cat(pooled)


def last_factors(rows: list[torch.Tensor], rank: int, *, seed: int = 0, signed: bool = False) -> Any:
    """Factorise as `Craft` does by default, to the end."""
    from whatwhere.concepts.extractors import read_extractor

    return deque(read_extractor(None, signed=signed).fit(rows, rank, seed=seed), maxlen=1)[-1]


def codes_of(dictionary: Any, rows: Tensor, *, signed: bool = False) -> Tensor:
    """Find exact codes, as `Craft` does by default."""
    from whatwhere.concepts.extractors import read_extractor

    return read_extractor(None, signed=signed).encode(dictionary, rows)


def relative_error(dictionary: Any, rows: Tensor) -> float:
    """Return ``||A - U W|| / ||A||`` with exact codes."""
    missed = (rows - dictionary.decode(codes_of(dictionary, rows))).double()
    return float(missed.norm() / rows.double().norm())
