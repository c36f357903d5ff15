"""Crops of pictures through a network and back: chunk by chunk, every objective of its own crops."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import torch

from whatwhere.nets.memory import is_out_of_memory
from whatwhere.prototypes._reading import Reader
from whatwhere.prototypes.views import cut_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from whatwhere.model import VisionModel
    from whatwhere.prototypes._climber import Climber
    from whatwhere.prototypes._draws import Views
    from whatwhere.prototypes._latent import Leash
    from whatwhere.prototypes.views import Box, Resample, View

_CHUNK = 4  # crops on a CPU between two yields; more are no faster there
_HELD = (
    4  # times the memory of a chunk's crops: more than what is free between a network's tensors, less than the largest
)


class Pictures(NamedTuple):
    """Pictures at a step.

    Attributes
    ----------
    climbers : list of Climber
        Whose they are.
    shown : Tensor of shape (B, C, H, W)
        The pictures in the network's own units.
    gradient : Tensor of shape (B, C, H, W)
        Gets the sum over crops of the objectives' gradients.
    values : Tensor of shape (B, K)
        Gets the objective at each crop.
    photos : Tensor of shape (B, C, H, W) or None
        The photos that they are held near, in the network's own units.
    back : Tensor of shape (B, C, H, W) or None
        Gets the sum over crops of the gradients of minus the distances.
    distances : Tensor of shape (B, K) or None
        Gets the distance from the photo at each crop.
    """

    climbers: list[Climber]
    shown: Tensor
    gradient: Tensor
    values: Tensor
    photos: Tensor | None = None
    back: Tensor | None = None
    distances: Tensor | None = None


class _Crop(NamedTuple):
    """One crop of a step."""

    place: int  # of its prototype, among those that go on
    number: int  # among the prototype's crops
    view: View
    noise: Tensor | None


class Shower:
    """Shows crops to a network, and gives pictures their gradient.

    Prototypes are grouped by the deepest layer that they read, and the network is run no further for each group.

    Parameters
    ----------
    model : VisionModel
        The network.
    climbers : sequence of Climber
        All prototypes of the call.
    resample : {"auto", "banded", "native", "matmul"}
        See `whatwhere.prototypes.views.cut_out`.
    leash : Leash, optional
        What holds pictures near photos.

    Attributes
    ----------
    net_seconds : float
        Seconds inside the network so far, forward and back.
    n_extra : int
        Forwards beside the crops so far.
    """

    def __init__(
        self, model: VisionModel, climbers: list[Climber], resample: Resample, leash: Leash | None = None
    ) -> None:
        self._model, self._resample, self._leash = model, resample, leash
        self._dtype = model.example().dtype
        self._held: Tensor | None = None
        self._chunk = min(_CHUNK, model.batch_size) if model.device.type == "cpu" else model.batch_size
        order = [*(info.name for info in model.layers()), None]
        groups = sorted({climber.group for climber in climbers}, key=order.index)
        self._readers = {
            group: Reader(model, {layer for c in climbers if c.group == group for layer in c.reads}) for group in groups
        }
        self._of_photos = None if leash is None else Reader(model, {leash.layer})
        every = [*self._readers.values(), *([self._of_photos] if self._of_photos else [])]
        self.net_seconds, self.n_extra = 0.0, sum(reader.n_setup for reader in every)

    def gradients(self, pictures: Pictures, views: dict[int, Views]) -> Iterator[int]:
        """Show crops of pictures to the network.

        Parameters
        ----------
        pictures : Pictures
            The pictures; their gradient and values are written to.
        views : dict of int to Views
            What is looked at, for each seed.

        Yields
        ------
        int
            Crops done since the last time; 0 where memory ran out, and fewer are to be tried.

        Raises
        ------
        MemoryError
            If not even one crop fits.
        ValueError
            If an objective passes no gradient, or gives another shape than one number a crop.
        """
        for group, reader in self._readers.items():
            crops = [
                crop
                for place, c in enumerate(pictures.climbers)
                if c.group == group
                for crop in _crops_of(c, place, views)
            ]
            while crops:
                part = crops[: self._chunk]
                try:
                    self._show(reader, part, pictures)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    self._halve(len(part), error)
                    part = []
                crops = crops[len(part) :]
                yield len(part)

    def whole(self, climber: Climber, shown: Tensor, box: Box) -> float:
        """Return the objective of one view of a picture, without noise.

        Parameters
        ----------
        climber : Climber
            Whose picture it is.
        shown : Tensor of shape (1, C, H, W)
            The picture in the network's own units.
        box : Box
            The view.

        Returns
        -------
        float
            The objective.
        """
        with torch.inference_mode(mode=False), self._model.computing(gradients=True, refresh=False), torch.no_grad():
            crop, _ = cut_out(shown, [(0, box)], self._model.input_size, self._resample)
            begin = time.perf_counter()
            read = self._readers[climber.group](crop.to(self._dtype))
            found = float(_objective(climber, read, slice(0, 1)).detach())
            self.net_seconds += time.perf_counter() - begin
        self.n_extra += 1
        return found

    def _show(self, reader: Reader, crops: list[_Crop], pictures: Pictures) -> None:
        """Run crops forward and back; what the pictures get is added only when all went well."""
        climbers, shown, gradient, values = pictures[:4]
        with torch.inference_mode(mode=False), self._model.computing(gradients=True, refresh=False):
            views = [(crop.place, crop.view) for crop in crops]
            cut, give_back = cut_out(shown, views, self._model.input_size, self._resample)
            cut.requires_grad_()
            begin = time.perf_counter()
            read = reader(self._as_input(cut, crops))
            total = torch.zeros((), device=shown.device)
            found = []
            for place, rows in _runs(crops):
                own = _objective(climbers[place], read, rows)
                if not own.requires_grad:
                    raise ValueError(
                        f"target: {climbers[place].target.label!r} passes no gradient to the picture: the network, or "
                        "its output=, leaves PyTorch's operations or detaches on the way, or does not look at the "
                        "picture."
                    )
                total = total + own.sum()
                found.append((place, rows, own.detach()))
            self._hold(cut)
            (part,) = torch.autograd.grad(total, cut, retain_graph=self._leash is not None)
            self.net_seconds += time.perf_counter() - begin
            strayed = self._strayed(read, cut, crops, pictures)
            if strayed is not None and pictures.back is not None and pictures.distances is not None:
                give_back(strayed[1].float(), pictures.back)
                for place, rows in _runs(crops):
                    first = crops[rows.start].number
                    pictures.distances[place, first : first + rows.stop - rows.start] = strayed[0][rows]
            give_back(part.float(), gradient)
            for place, rows, own in found:
                first = crops[rows.start].number
                values[place, first : first + len(own)] = own

    def _hold(self, cut: Tensor) -> None:
        """Keep a block above all that the network has taken, until the ascent is over; nothing is written to it.

        A CPU's allocator gives the top of what is free back to the system, whose zeroed pages the next chunk has to
        wait for: up to a third of the time. It does not where something at the top is in use.
        """
        if cut.device.type == "cpu":
            block = torch.empty(_HELD * cut.numel(), dtype=cut.dtype)
            if self._held is None or block.data_ptr() > self._held.data_ptr():
                self._held = block

    def _strayed(
        self, read: dict[str | None, Tensor], cut: Tensor, crops: list[_Crop], pictures: Pictures
    ) -> tuple[Tensor, Tensor] | None:
        """Return how far crops have strayed from the photos', and the crops' gradient back; None without photos."""
        if self._leash is None or self._of_photos is None or pictures.photos is None:
            return None
        views = [(crop.place, crop.view) for crop in crops]
        of_photos, _ = cut_out(pictures.photos, views, self._model.input_size, self._resample)
        begin = time.perf_counter()
        with torch.no_grad():
            wanted = self._of_photos(self._as_input(of_photos, crops))[self._leash.layer]
        distances = self._leash.distances(read[self._leash.layer], wanted)
        (back,) = torch.autograd.grad(-distances.sum(), cut)
        self.net_seconds += time.perf_counter() - begin
        self.n_extra += len(crops)
        return distances.detach(), back

    def _as_input(self, cut: Tensor, crops: list[_Crop]) -> Tensor:
        """Add noise to crops, as the network takes them."""
        noise = [crop.noise for crop in crops if crop.noise is not None]
        images = cut + torch.stack(noise) if noise else cut.clone()  # some networks normalise in place
        return images.to(self._dtype, memory_format=torch.channels_last)

    def _halve(self, count: int, error: BaseException) -> None:
        if count == 1:
            raise MemoryError(
                f"{self._model.name}: out of memory on {self._model.device} with the gradients of one crop. Free "
                "memory there, or use a smaller network or input."
            ) from error
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        self._chunk = count // 2


def _crops_of(climber: Climber, place: int, views: dict[int, Views]) -> list[_Crop]:
    drawn = views[climber.seed]
    own = drawn.wholes if climber.target.whole else drawn.parts
    return [_Crop(place, k, view, None if drawn.noise is None else drawn.noise[k]) for k, view in enumerate(own)]


def _runs(crops: list[_Crop]) -> Iterator[tuple[int, slice]]:
    """Give the prototypes of a chunk with their rows in it."""
    first = 0
    for row in range(1, len(crops) + 1):
        if row == len(crops) or crops[row].place != crops[first].place:
            yield crops[first].place, slice(first, row)
            first = row


def _objective(climber: Climber, read: dict[str | None, Tensor], rows: slice) -> Tensor:
    """Return a prototype's objective at some rows of what was read."""
    count = rows.stop - rows.start
    found = torch.zeros(())
    for place, term in enumerate(climber.terms):
        values = term.values(read[term.layer][rows])
        if values.shape != (count,):
            raise ValueError(
                f"target: {climber.target.label!r} wanted one number a crop, shape ({count},), got "
                f"{tuple(values.shape)}."
            )
        part = term.weight * values.float()
        found = part if place == 0 else found + part
    return found
