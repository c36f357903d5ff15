"""One image's gradient maps while they are computed: images, concepts in groups, sums, memory running out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch

from whatwhere.concepts.coder import pooled
from whatwhere.concepts.maps import ConceptMaps, code_maps
from whatwhere.engine._rows import wide
from whatwhere.jobs import Step
from whatwhere.nets.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.concepts.coder import ConceptCoder, Of
    from whatwhere.engine.baseline import Baseline
    from whatwhere.model import VisionModel
    from whatwhere.nets.cut import Cut
    from whatwhere.pixels.images import Pixels

Gradient: TypeAlias = Literal["saliency", "gradient_input", "integrated_gradients", "smoothgrad", "gradcam"]
# Concepts a chunk on a CPU, each of which runs the network once more: 15 % of the time of ten gradients, so that a stop
# waits for four of them.
_CONCEPTS = 4
_GRAPH = 8  # images that a forward pass takes where one that keeps its graph takes one


@dataclass(frozen=True)
class Options:
    """What `whatwhere.concepts.gradient_maps.implicit_maps` was asked for, checked."""

    gradient: Gradient
    of: Of
    steps: int
    noise: float
    seed: int
    baseline: Baseline
    at: Cut | None


class GradientRun:
    """One image's gradient maps while they are computed."""

    def __init__(self, coder: ConceptCoder, pixels: Pixels, options: Options) -> None:
        self._coder, self._pixels, self._options = coder, pixels, options
        self._model = coder.model
        self._baseline = options.baseline.pixels(coder.model, pixels).astype(np.float32)
        self._batch = _batch_of(coder.model)
        self._forwards = self._backwards = 0

    def steps(self) -> Iterator[Step[ConceptMaps]]:
        """Look at the codes, then take gradients image by image."""
        method = self._options.gradient
        self._look = code_maps(self._coder, self._pixels, of=self._options.of)
        self._forwards += 1
        present = np.flatnonzero(self._look.present).tolist()
        blank = np.zeros((len(self._look.present), *self._pixels.shape[:2]), dtype=np.float32)
        if method == "gradcam":
            assert self._options.at is not None
            shape = self._options.at.to_grid(torch.empty((0, *self._options.at.shape))).shape[1:3]
            blank = np.zeros((len(blank), *shape), dtype=np.float32)
        if not present:
            yield Step(1, 1, "gradients", self._record(blank, complete=True))
            return
        images = self._images()
        total = len(images) * len(present)
        yield Step(0, total, "gradients", None)
        start = self._baseline_scores() if method == "integrated_gradients" else None
        sums: dict[int, Tensor] = {}
        record, done = None, 0
        while done < len(images):
            chunk = images[done : done + self._batch]
            parts = yield from self._chunk(chunk, present, Step(done * len(present), total, "gradients", record))
            if parts is not None:
                done += len(chunk)
                sums = {k: sums[k] + part if k in sums else part for k, part in parts.items()}
                record = self._assemble(blank, sums, done, complete=done == len(images), start=start)
            yield Step(done * len(present), total, "gradients", record)

    def _chunk(
        self, images: list[Pixels], present: list[int], before: Step[ConceptMaps]
    ) -> Generator[Step[ConceptMaps], None, dict[int, Tensor] | None]:
        """Return the gradients of all concepts, added over images; None if memory ran out, and less is to be tried."""
        parts: dict[int, Tensor] = {}
        for group in self._groups(present):
            if parts:
                yield replace(before, done=before.done + len(parts) * len(images))
            try:
                parts |= self._gradients(images, group)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(error)
                return None
        return parts

    def _halve(self, error: BaseException) -> None:
        if self._batch == 1:
            raise MemoryError(
                f"{self._model.name}: out of memory on {self._model.device} with the gradients of one image. Free "
                "memory there, use a smaller network or input, or masks, which need no gradient."
            ) from error
        self._batch //= 2
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()

    def _groups(self, present: list[int]) -> list[list[int]]:
        size = _CONCEPTS if self._model.device.type == "cpu" else len(present)
        return [present[first : first + size] for first in range(0, len(present), size)]

    def _images(self) -> list[Pixels]:
        """Return the images at which gradients are taken, so ordered that any first few of them are spread evenly."""
        options = self._options
        if options.gradient == "smoothgrad":
            rng = np.random.default_rng(options.seed)
            shape = (options.steps, *self._pixels.shape)
            noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(options.noise)
            return list(self._pixels + noise)
        if options.gradient == "integrated_gradients":
            bits = options.steps.bit_length()
            order = sorted(range(options.steps), key=lambda k: f"{k:0{bits}b}"[::-1])
            shares = [np.float32((k + 0.5) / options.steps) for k in order]
            return [self._baseline + share * (self._pixels - self._baseline) for share in shares]
        return [self._pixels]

    def _baseline_scores(self) -> NDArray[np.float64]:
        with self._model.computing(refresh=False):
            codes = self._coder.codes(self._model.to_input(self._baseline))
            self._forwards += 1
            return pooled(codes, self._options.of)[0].cpu().double().numpy()

    def _gradients(self, images: list[Pixels], concepts: list[int]) -> dict[int, Tensor]:
        """Return what the method needs of each concept's gradients: (C, H, W), or Grad-CAM's (h, w), added up."""
        tapped: list[Tensor] = []
        at = self._options.at

        def tap(features: Tensor) -> Tensor:
            tapped.append(features.detach().requires_grad_())
            return tapped[0]

        with torch.inference_mode(False), self._model.computing(gradients=True, refresh=False):
            x = torch.cat([self._model.to_input(image) for image in images]).requires_grad_()
            if at is None:
                leaf, scores = x, self._scores(x.clone())  # some networks normalise in place
            else:
                with at.tapped(tap):
                    scores = self._scores(x.clone())
                if not tapped:
                    raise ValueError(
                        f"at: wanted a layer that is passed on the way to {self._coder.cut.layer!r}, got {at.layer!r}."
                    )
                leaf = tapped[0]
            found = {}
            for concept in concepts:
                more = concept != concepts[-1]
                (part,) = torch.autograd.grad(scores[:, concept].sum(), leaf, retain_graph=more)
                part = part.detach()
                found[concept] = wide(part).sum(dim=0) if at is None else _weighted(at, leaf.detach(), part)
        self._forwards += len(images)
        self._backwards += len(images) * len(concepts)
        return found

    def _scores(self, images: Tensor) -> Tensor:
        """Return s_k of each image, or say what cannot be differentiated."""
        try:
            scores = pooled(self._coder.codes(images), self._options.of)
        except RuntimeError as error:
            if "requires grad" not in str(error) or self._coder.encode is None:
                raise
            raise ValueError(_no_gradient(str(error))) from error
        if not scores.requires_grad:
            raise ValueError(_no_gradient("its codes are detached"))
        return scores

    def _assemble(
        self,
        blank: NDArray[np.float32],
        sums: dict[int, Tensor],
        count: int,
        *,
        complete: bool,
        start: NDArray[np.float64] | None,
    ) -> ConceptMaps:
        """Make a record of the gradients so far."""
        values = blank.copy()
        gaps = None if start is None else np.zeros(len(blank))
        for concept, total in sums.items():
            found = self._map(total.cpu().numpy() / count)
            values[concept] = found
            if gaps is not None and start is not None:
                gaps[concept] = found.sum() - (self._look.scores[concept] - start[concept])
        return replace(self._record(values, complete=complete), gaps=gaps)

    def _map(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn a mean gradient in normalised units, (C, H, W), into a map."""
        if self._options.gradient == "gradcam":
            return gradient
        if self._options.gradient in ("saliency", "smoothgrad"):
            per_colour = gradient / np.asarray(self._model.preprocess.std)[:, None, None]
            return np.asarray(np.abs(per_colour).max(axis=0))
        normalise = self._model.preprocess.normalise
        difference = np.moveaxis(normalise(self._pixels) - normalise(self._baseline), -1, 0)
        return np.asarray((gradient * difference).sum(axis=0))

    def _record(self, values: NDArray[np.float32], *, complete: bool) -> ConceptMaps:
        look = self._look
        return replace(
            look,
            values=values,
            kind=self._options.gradient,
            flat=look.present & ~values.any(axis=(1, 2)),
            n_forwards=self._forwards,
            n_backwards=self._backwards,
            complete=complete,
        )


def _batch_of(model: VisionModel) -> int:
    """Return how many images are differentiated at a time: one on a CPU, where a chunk has to be short."""
    return 1 if model.device.type == "cpu" else max(1, model.batch_size // _GRAPH)


def _weighted(at: Cut, features: Tensor, gradient: Tensor) -> Tensor:
    """Return a Grad-CAM (h, w): channels weighted by their gradient's mean over places."""
    weights = wide(at.to_grid(gradient)[0]).mean(dim=(0, 1))
    return wide(at.to_grid(features)[0]) @ weights


def _no_gradient(reason: str) -> str:
    return (
        f"encode: wanted a function that passes gradients on, but {reason.rstrip('.')}. Give one made of torch "
        "operations, or take whatwhere.concepts.masked_maps.black_box_maps, which needs no gradient."
    )
