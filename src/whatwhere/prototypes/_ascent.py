"""Prototypes while they are climbed: all targets of a call as one batch, each as if it were alone."""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whatwhere.jobs import Step
from whatwhere.prototypes._climber import Climber, as_pixels
from whatwhere.prototypes._draws import Draws
from whatwhere.prototypes._showing import Pictures, Shower
from whatwhere.prototypes.colours import to_network
from whatwhere.prototypes.free import PhotoCanvas
from whatwhere.prototypes.optimiser import NAdam
from whatwhere.prototypes.views import Box, cosine
from whatwhere.provenance import Provenance
from whatwhere.workers import device_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.model import VisionModel
    from whatwhere.prototypes._method import Method
    from whatwhere.prototypes.canvas import Drawn, Waves
    from whatwhere.prototypes.record import Prototype
    from whatwhere.targets import Target

_DEAD = 8  # steps without any gradient after which a target is called dead
_PUBLISH = 0.1  # seconds between records
_LEAST_CROP = 8  # pixels of the picture that a crop must have a side
_TINY = 1e-30


class Ascent:
    """Prototypes of some targets while they are climbed.

    Parameters
    ----------
    method : Method
        The method.
    model : VisionModel
        The network.
    targets : list of Target
        What to excite.
    photos : list of (str, ndarray of shape (H, W, 3), float32), optional
        Names and pixels of what to begin with, in place of noise: every target is climbed from every photo.
    """

    def __init__(
        self,
        method: Method,
        model: VisionModel,
        targets: list[Target],
        photos: list[tuple[str, NDArray[np.float32]]] | None = None,
    ) -> None:
        self._method, self._model = method, model
        _check_crops(method, model.input_size)
        self._fingerprint, self._stamp = model.fingerprint(), model.stamp()
        self._leash = method.leash(model)
        self._climbers = self._bound(targets, photos or [("", None)])
        self._shower = Shower(model, self._climbers, method.sampling, self._leash)
        self._frame_steps = set(np.linspace(0, method.steps, method.frames).round().astype(int).tolist())
        with self._computing():
            self._prepare()
        self._done, self._seconds, self._published = 0, 0.0, 0.0
        self._begin = time.perf_counter()
        self._records: list[Prototype] | None = None

    def _prepare(self) -> None:
        """Lay out what is searched, and what it is searched with."""
        method, device = self._method, self._model.device
        self._canvas = method.canvas(self._model, [c.photo for c in self._climbers if c.photo is not None])
        matrix, shift = to_network(self._model.preprocess, self._canvas.channels)
        self._matrix, self._shift = (torch.from_numpy(a).to(device) for a in (matrix, shift))
        self._draws = Draws(method, len(matrix), self._model.input_size, device)
        self._values = torch.stack([self._canvas.start(Draws.phases(c.seed)) for c in self._climbers])
        self._alpha = torch.zeros((len(self._climbers), *method.shape), device=device)
        self._optimiser = NAdam(self._values)
        self._rooms: dict[str, Tensor] = {}

    def steps(self) -> Iterator[Step[list[Prototype]]]:
        """Climb.

        Yields
        ------
        Step
            After every chunk of crops.
        """
        for step in self._stages():
            yield step
            self._begin = time.perf_counter()  # what passed since is not ours

    def _stages(self) -> Iterator[Step[list[Prototype]]]:
        self._publish(self._drawn_anew())
        yield self._told()
        for climber, shown in self._whole_pictures():
            climber.before = self._shower.whole(climber, shown, self._centred())
            yield self._told()
        for number in range(self._method.steps):
            rows = [row for row, climber in enumerate(self._climbers) if not climber.done]
            if not rows:
                break
            yield from self._step(number, rows)
        for climber, shown in self._whole_pictures():
            climber.after = self._shower.whole(climber, shown, self._centred())
            yield self._told()
        self._publish(self._drawn_anew(), complete=True)
        yield self._told()

    # -- one step -----------------------------------------------------------------------------------------------------

    def _step(self, number: int, rows: list[int]) -> Iterator[Step[list[Prototype]]]:
        """Show crops of the pictures to the network, and move them."""
        climbers = [self._climbers[row] for row in rows]
        with self._computing():
            canvas = self._canvas.of(rows)
            drawn = canvas.draw(self._values if len(rows) == len(self._climbers) else self._values[rows])
            pictures = self._pictures(climbers, drawn, canvas)
            views = self._draws.step(number)
            if number in self._frame_steps:
                for climber, image in zip(climbers, drawn.image, strict=True):
                    climber.keep_frame(image)
        for done in self._shower.gradients(pictures, views):
            self._done += done
            yield self._told()
        with self._computing():
            self._move(number, rows, drawn, pictures)
        if time.perf_counter() - self._published > _PUBLISH:
            self._publish(dict(zip(rows, drawn.image, strict=True)))

    def _pictures(self, climbers: list[Climber], drawn: Drawn, canvas: Waves) -> Pictures:
        """Return pictures as the network takes them, with room for what is found of them."""
        shown = self._to_network(drawn.image, self._room("shown", drawn.image))
        values = torch.zeros((len(climbers), self._method.crops), device=shown.device)
        blank = Pictures(climbers, shown, self._room("gradient", drawn.image).zero_(), values)
        if self._leash is None or not isinstance(canvas, PhotoCanvas):
            return blank
        photos = self._to_network(canvas.photos, self._room("photos", drawn.image))
        back = self._room("back", drawn.image).zero_()
        return blank._replace(photos=photos, back=back, distances=torch.zeros_like(values))

    def _room(self, use: str, image: Tensor) -> Tensor:
        """Return memory for pictures as the network takes them, the same at every step."""
        wanted = (len(image), len(self._matrix), *image.shape[2:])
        found = self._rooms.get(use)
        if found is None or found.shape != wanted:
            found = torch.empty(wanted, device=image.device, memory_format=torch.channels_last)
            self._rooms[use] = found
        return found

    def _move(self, number: int, rows: list[int], drawn: Drawn, pictures: Pictures) -> None:
        """Move the prototypes whose numbers are sound, and note what there is to tell."""
        gradient, values = self._of_colours(pictures.gradient), pictures.values
        seen = gradient.abs().sum(dim=1)
        amounts = seen.sum(dim=(1, 2))
        told = torch.stack([values.mean(dim=1), values.std(dim=1, correction=0), amounts]).T.tolist()
        if self._leash is not None and pictures.back is not None and pictures.distances is not None:
            gradient = self._leash.pull(rows, gradient, self._of_colours(pictures.back))
            for row, distance in zip(rows, pictures.distances.mean(dim=1).tolist(), strict=True):
                self._climbers[row].distance.append(distance)
        pulled = self._canvas.gradient(drawn, gradient)
        pulled /= pulled.flatten(1).square().mean(dim=1).sqrt().clamp(min=_TINY).view(-1, *[1] * (pulled.ndim - 1))
        moving = [place for place, row in enumerate(rows) if self._note(number, row, *told[place])]
        for place in moving:
            self._alpha[rows[place]] += seen[place] * (seen[place].numel() / amounts[place])
        rate = cosine(*self._method.rates, number / max(1, self._method.steps - 1))
        own = pulled if len(moving) == len(rows) else pulled[moving]
        self._optimiser.step(self._values, own, [rows[place] for place in moving], rate)

    def _note(self, number: int, row: int, value: float, spread: float, amount: float) -> bool:
        """Note a step of a prototype; tell whether its phases are to move."""
        climber, rule = self._climbers[row], self._method.until
        name = repr(climber.target.label)
        if not all(map(math.isfinite, (value, spread, amount))):
            climber.end(
                f"At step {number} of {self._method.steps} the objective of {name} or its gradient was not finite; the "
                "picture is the one of before."
            )
            return False
        climber.trace.append(value)
        climber.spread.append(spread)
        climber.idle = 0 if amount else climber.idle + 1
        climber.lived |= amount > 0
        if climber.idle >= _DEAD:
            climber.end(
                f"Nothing moves {name}: its gradient was 0 at {climber.idle} steps up to step {number}, as behind a "
                "ReLU that is never on. Aim at a layer before it, or take another seed."
            )
        elif not climber.lived:
            self._values[row] = self._canvas.start(Draws.phases(climber.seed, climber.idle))
        elif rule is not None and rule.met(np.asarray(climber.trace, dtype=np.float32)):
            climber.done = True
        return amount > 0

    # -- whole pictures -----------------------------------------------------------------------------------------------

    def _whole_pictures(self) -> Iterator[tuple[Climber, Tensor]]:
        """Draw each picture as the network is shown it."""
        for row, climber in enumerate(self._climbers):
            with self._computing():
                image = self._canvas.of([row]).draw(self._values[row : row + 1]).image
                shown = self._to_network(image, self._room("whole", image))
            yield climber, shown

    def _drawn_anew(self) -> dict[int, Tensor]:
        images = {}
        with self._computing():
            for row, climber in enumerate(self._climbers):
                images[row] = self._canvas.of([row]).draw(self._values[row : row + 1]).image[0]
                if self._method.frames:
                    climber.keep_frame(images[row])
        return images

    def _centred(self) -> Box:
        """Return the largest centred crop of the input's shape."""
        (height, width), (h, w) = self._method.shape, self._model.input_size
        scale = min(height / h, width / w)
        down, across = min(height, round(scale * h)), min(width, round(scale * w))
        return Box((height - down) // 2, (width - across) // 2, down, across)

    def _of_colours(self, gradient: Tensor) -> Tensor:
        """Return the gradient of a picture's colours from that of what the network is shown."""
        flat = self._matrix.T @ gradient.flatten(2)
        return flat.view(len(gradient), -1, *self._method.shape)

    def _to_network(self, image: Tensor, out: Tensor) -> Tensor:
        """Write pictures down as the network takes them."""
        flat = (self._matrix @ image.flatten(2)).add_(self._shift[:, None])
        return out.copy_(flat.view(out.shape))

    # -- telling ------------------------------------------------------------------------------------------------------

    def _told(self) -> Step[list[Prototype]]:
        """Close a chunk of work."""
        self._seconds += time.perf_counter() - self._begin
        self._begin = time.perf_counter()
        total = self._method.steps * self._method.crops * len(self._climbers)
        over = all(climber.done for climber in self._climbers) and self._records and self._records[0].after is not None
        return Step(self._done, self._done if over else total, "ascent", self._records)

    def _publish(self, images: dict[int, Tensor], *, complete: bool = False) -> None:
        """Make a record of every prototype, with new pictures of those that have moved."""
        for row, image in images.items():
            self._climbers[row].image = as_pixels(image)
        made = Provenance.of(
            self._model,
            fingerprint=self._fingerprint,
            stamp=self._stamp,
            complete=complete,
            seconds=self._seconds + time.perf_counter() - self._begin,
            net_seconds=self._shower.net_seconds,
            n_extra=self._shower.n_extra,
        )
        alpha = self._alpha.cpu().numpy()
        canvas = self._canvas
        told: dict[str, Any] = {"spectrum": canvas.origin, "notes": (canvas.fallback,) if canvas.fallback else ()}
        self._records = [
            climber.record(alpha[row], self._method, made, complete=complete, **told)
            for row, climber in enumerate(self._climbers)
        ]
        self._published = time.perf_counter()

    # -- setting up ---------------------------------------------------------------------------------------------------

    def _bound(self, targets: list[Target], photos: Sequence[tuple[str, NDArray[np.float32] | None]]) -> list[Climber]:
        order = [*(info.name for info in self._model.layers()), None]
        held = frozenset[str | None]() if self._leash is None else frozenset([self._leash.layer])
        found = []
        for target in targets:
            bound = target.bound(self._model)
            terms = bound.terms(self._model)
            reads = frozenset(term.layer for term in terms) | held
            found.append((bound, terms, max(reads, key=order.index), reads))
        return [
            Climber(bound, terms, seed, deepest, reads, name, photo)
            for name, photo in photos
            for bound, terms, deepest, reads in found
            for seed in self._method.seeds
        ]

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Hold the device for a chunk of work beside the network, without autograd."""
        plain = torch.autocast(self._model.device.type, enabled=False)
        with torch.inference_mode(mode=False), torch.no_grad(), device_lock(str(self._model.device)), plain:
            yield


def _check_crops(method: Method, shown: tuple[int, int]) -> None:
    """Refuse a picture of which crops would have next to no pixels."""
    height, width = method.shape
    share = method.least_side
    side = share * min(height / shown[0], width / shown[1]) * min(shown)
    if side < _LEAST_CROP:
        enough = math.ceil(max(method.shape) * _LEAST_CROP / side)
        raise ValueError(
            f"size: crops of {share:g} of a picture of {height} x {width} pixels have {side:.1f} pixels a side, and "
            f"wanted are at least {_LEAST_CROP}. Take a size of at least {enough} pixels, or larger crops."
        )
