"""Photos through a network, and the strongest of each target: batch by batch, in flat memory."""

from __future__ import annotations

import heapq
import itertools
import os
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from whatwhere.jobs import Step
from whatwhere.nets.memory import is_out_of_memory
from whatwhere.pixels.images import Photo, iterate_images, name_images, read_photo
from whatwhere.prototypes._reading import Reader
from whatwhere.prototypes.examples import Example, Examples
from whatwhere.provenance import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.model import VisionModel
    from whatwhere.pixels.geometry import Geometry
    from whatwhere.pixels.images import Pixels
    from whatwhere.prototypes.examples import DatasetExamples
    from whatwhere.targets import Target, Term

_BATCH = 4  # photos on a CPU between two yields; more are no faster there
_PUBLISH = 0.1  # seconds between records


class _Shown(NamedTuple):
    """A photo as the network is shown it."""

    name: str
    geometry: Geometry
    pixels: Pixels


class _Ranking:
    """The strongest photos of one target."""

    def __init__(self, target: Target, terms: tuple[Term, ...]) -> None:
        self.target, self.terms = target, terms
        self.values: list[float] = []
        self.heap: list[tuple[float, int, Example]] = []  # of equals the photo that came first stays

    def add(self, value: float, count: int, example: _Maker) -> None:
        self.values.append(value)
        if not np.isfinite(value):
            return
        rank = (value, -len(self.values))
        if len(self.heap) < count:
            heapq.heappush(self.heap, (*rank, example.make(value)))
        elif rank > self.heap[0][:2]:
            heapq.heapreplace(self.heap, (*rank, example.make(value)))

    def top(self) -> tuple[Example, ...]:
        return tuple(example for _, _, example in sorted(self.heap, key=lambda each: each[:2], reverse=True))


class _Maker(NamedTuple):
    """What an example is made of, if it is to be kept."""

    shown: _Shown
    places: NDArray[np.float32] | None
    share: float

    def make(self, value: float) -> Example:
        shown, places = self.shown, self.places
        size = shown.geometry.size
        window, place, peak = (0, 0, *size), None, None
        if places is not None:
            row, column = (int(k) for k in np.unravel_index(int(np.argmax(places)), places.shape))
            window, place, peak = _window(size, places.shape, (row, column), self.share), (row, column), places.max()
        return Example(
            image=shown.name,
            value=value,
            seen=shown.geometry.seen,
            box=shown.geometry.to_photo(window),
            place=place,
            peak=None if peak is None else float(peak),
            picture=np.rint(shown.pixels * 255).astype(np.uint8),
            window=window,
        )


class Search:
    """Photos that are looked at for some targets.

    Parameters
    ----------
    method : DatasetExamples
        The method.
    model : VisionModel
        The network.
    targets : list of Target
        What is to be excited.
    images : images
        The photos.
    """

    def __init__(self, method: DatasetExamples, model: VisionModel, targets: list[Target], images: Any) -> None:
        self._begin = time.perf_counter()
        self._method, self._model = method, model
        self._images, self._total = _counted(images)
        bound = [target.bound(model) for target in targets]
        self._rankings = [_Ranking(target, target.terms(model)) for target in bound]
        self._fingerprint, self._stamp = model.fingerprint(), model.stamp()
        self._reader = Reader(model, {term.layer for ranking in self._rankings for term in ranking.terms})
        self._batch = min(_BATCH, model.batch_size) if model.device.type == "cpu" else model.batch_size
        self._names: list[str] = []
        self._unreadable: dict[str, str] = {}
        self._seconds = self._net_seconds = self._published = 0.0
        self._record: list[Examples] | None = None

    def steps(self) -> Iterator[Step[list[Examples]]]:
        """Look at all photos.

        Yields
        ------
        Step
            After every batch.

        Raises
        ------
        ValueError
            If no photo can be read.
        """
        photos = self._shown()
        while batch := list(itertools.islice(photos, self._batch)):
            for size in self._show(batch):
                self._batch = size
            self._seconds += time.perf_counter() - self._begin
            if time.perf_counter() - self._published > _PUBLISH:
                self._publish(complete=False)
            yield self._step()
            self._begin = time.perf_counter()  # what passed since is not ours
        if not self._names:
            name, why = next(iter(self._unreadable.items()))
            raise ValueError(f"images: wanted photos, and none can be read. {name!r}: {why}")
        self._publish(complete=True)
        self._total = len(self._names) + len(self._unreadable)
        yield self._step()

    def _step(self) -> Step[list[Examples]]:
        done = len(self._names) + len(self._unreadable)
        return Step(done, max(done, self._total), "photos", self._record)

    def _shown(self) -> Iterator[_Shown]:
        """Read the photos that can be read."""
        model = self._model
        for name, image in iterate_images(self._images):
            try:
                photo: Photo = read_photo(image, name=name)
            except (TypeError, ValueError) as error:
                if not isinstance(image, str | os.PathLike):
                    raise
                self._unreadable[name] = str(error).removeprefix(f"{name}: ")  # a broken file does not end a long run
                continue
            pixels = model.preprocess.pixels(photo)
            if pixels.shape[:2] != model.input_size:
                raise ValueError(
                    f"images: wanted network inputs of {model.input_size[0]} x {model.input_size[1]} pixels, got "
                    f"{pixels.shape[0]} x {pixels.shape[1]} for {name!r}; give the model a preprocessing with "
                    "input_size=, so that all photos are compared on one grid."
                )
            yield _Shown(name, model.preprocess.geometry(photo), pixels)

    def _show(self, batch: list[_Shown]) -> Iterator[int]:
        """Run a batch; where memory runs out, in halves. Yields what fits."""
        try:
            found = self._read(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise MemoryError(
                    f"{self._model.name}: out of memory on {self._model.device} with one photo. Free memory there, or "
                    "use a smaller network or input."
                ) from error
            if self._model.device.type == "cuda":
                torch.cuda.empty_cache()
            half = (len(batch) + 1) // 2
            yield half
            for first in range(0, len(batch), half):
                yield from self._show(batch[first : first + half])
            return
        for place, shown in enumerate(batch):
            self._names.append(shown.name)
            for ranking, (values, places) in zip(self._rankings, found, strict=True):
                own = None if places is None else places[place]
                maker = _Maker(shown, own, self._method.window)
                ranking.add(float(values[place]), self._method.count, maker)

    def _read(self, batch: list[_Shown]) -> list[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
        model = self._model
        images = torch.cat([model.to_input(shown.pixels) for shown in batch])
        with torch.inference_mode(mode=False), model.computing(gradients=True), torch.no_grad():
            begin = time.perf_counter()
            read = self._reader(images)
            found = [_values_of(ranking.terms, read) for ranking in self._rankings]
            self._net_seconds += time.perf_counter() - begin
        return found

    def _publish(self, *, complete: bool) -> None:
        made = Provenance.of(
            self._model,
            fingerprint=self._fingerprint,
            stamp=self._stamp,
            complete=complete,
            seconds=self._seconds,
            net_seconds=self._net_seconds,
            n_extra=self._reader.n_setup,
        )
        names, unreadable = tuple(self._names), dict(self._unreadable)
        self._record = [
            Examples(
                label=ranking.target.label,
                told=ranking.target.told(),
                top=ranking.top(),
                names=names,
                values=np.array(ranking.values, dtype=np.float32),
                unreadable=unreadable,
                method=self._method,
                provenance=made,
                complete=complete,
            )
            for ranking in self._rankings
        ]
        self._published = time.perf_counter()


def _values_of(
    terms: tuple[Term, ...], read: dict[str | None, Tensor]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return a target's values, and what is found at each place if all of it has the same places."""
    values = torch.stack([term.weight * term.values(read[term.layer]).float() for term in terms]).sum(dim=0)
    maps = [term.weight * term.places(read[term.layer]).float() for term in terms if term.places is not None]
    same = len(maps) == len(terms) and len({found.shape for found in maps}) == 1
    return values.cpu().numpy(), torch.stack(maps).sum(dim=0).cpu().numpy() if same else None


def _window(
    size: tuple[int, int], grid: tuple[int, ...], place: tuple[int, int], share: float
) -> tuple[int, int, int, int]:
    """Return the window round a place, inside the input: top, left, bottom and right edge."""
    side = share * min(size)
    edges = []
    for length, count, at in zip(size, grid, place, strict=True):
        extent = min(length, round(max(side, length / count)))
        first = round(min(max((at + 0.5) * length / count - extent / 2, 0), length - extent))
        edges.append((first, first + extent))
    return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def _counted(images: Any) -> tuple[Any, int]:
    """Return photos with their number, or with 0 where it is not known beforehand."""
    try:
        named = name_images(images)
    except TypeError:  # a generator; what is no collection at all is refused when it is read
        return images, 0
    return named, len(named)
