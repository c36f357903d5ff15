"""Concept maps by gradients: what each pixel, or each place of an earlier layer, does to a concept's score.

The score s_k of concept k is the sum, or the largest, of its codes over the places of the layer. Codes that are exact
non-negative least-squares codes have an exact gradient (`whatwhere.engine.implicit`), which goes on through the
network to the image. It knows the image's neighbourhood only: `whatwhere.concepts.masked_maps` is the referee.

References
----------
T. Fel et al., "CRAFT: Concept Recursive Activation FacTorization for Explainability", CVPR 2023, arXiv:2211.10154. K.
Simonyan et al., arXiv:1312.6034, for saliency. M. Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML
2017, arXiv:1703.01365, for integrated gradients. D. Smilkov et al., "SmoothGrad: removing noise by adding noise",
arXiv:1706.03825. R. R. Selvaraju et al., "Grad-CAM", ICCV 2017, arXiv:1610.02391.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch

from whatwhere.concepts.coder import check_of, check_pixels, pooled
from whatwhere.concepts.maps import ConceptMaps, code_maps
from whatwhere.engine._checks import between, integer
from whatwhere.engine._rows import wide
from whatwhere.engine.baseline import Baseline
from whatwhere.jobs import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.concepts.coder import ConceptCoder, Of
    from whatwhere.nets.cut import Cut
    from whatwhere.pixels.images import Pixels

Gradient: TypeAlias = Literal["saliency", "gradient_input", "integrated_gradients", "smoothgrad", "gradcam"]
GRADIENTS = ("saliency", "gradient_input", "integrated_gradients", "smoothgrad", "gradcam")
# Concepts a chunk on a CPU, each of which runs the network once more: 13 % of ten gradients, for a stop in half a
# second where ten gradients of a large network take two.
_CONCEPTS = 4


@dataclass(frozen=True)
class _Options:
    gradient: Gradient
    of: Of
    steps: int
    noise: float
    seed: int
    baseline: Baseline
    at: Cut | None


def implicit_maps(
    coder: ConceptCoder,
    pixels: Pixels,
    *,
    gradient: Gradient = "gradient_input",
    of: Of = "sum",
    steps: int = 32,
    noise: float = 0.15,
    seed: int = 0,
    baseline: Any = "mean",
    at: Cut | None = None,
) -> ConceptMaps:
    """Return the gradient maps of all concepts on one image.

    Parameters
    ----------
    coder : ConceptCoder
        What turns the image into codes.
    pixels : ndarray of shape (H, W, 3), float32
        What the network is shown, in pixel space (``model.preprocess.pixels``).
    gradient : str, default "gradient_input"
        What is made of gradients. With respect to the pixels, maps of shape (r, H, W):

        ``"saliency"``
            The largest size of the gradient among a pixel's channels, in units of the score for a full step of colour.
        ``"gradient_input"``
            The gradient times the difference from the baseline, added over channels: signed, in units of the score.
        ``"integrated_gradients"``
            The same with the gradient's mean on the straight way from the baseline, at the middles of `steps` equal
            parts: values add up to the score less the baseline's score, but for ``gaps``.
        ``"smoothgrad"``
            As saliency, of the mean gradient at `steps` noisy images.

        With respect to features, maps of shape (r, h, w):

        ``"gradcam"``
            The features at the layer of `at`, each channel weighted by its gradient's mean over places, added up:
            signed. The method as published then sets what is below 0 to 0; that is left to the view.
    of : {"sum", "max"}, default "sum"
        How codes are pooled into the score.
    steps : int, default 32
        Images on the way, or noisy images, at least 1.
    noise : float, default 0.15
        Standard deviation of SmoothGrad's noise in pixel space, above 0 and below 1; noisy pixels are not clipped.
    seed : int, default 0
        Same seed, same noise; at least 0.
    baseline : str, Baseline or image, default "mean"
        What differences are taken from, and where the way begins: see `whatwhere.engine.baseline.Baseline`.
    at : Cut, optional
        For Grad-CAM, a cut of the same network at an earlier layer; by default the layer of the concepts.

    Returns
    -------
    ConceptMaps
        Of kind `gradient`. A concept without any code on the image is not present, and its map zeros: it has no
        gradient.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If an option is out of its range; if codes by ``coder.encode`` pass no gradient on; if `at` is given for another
        method, or its layer is not passed on the way to the concepts.

    Notes
    -----
    Cost for K concepts that are present: a backward pass for each of them and for each image of the method, and a
    forward pass for every four of them on a CPU, once for all on other devices.

    A code is the positive part of something, so its gradient jumps where an atom comes into use, and is 0 where the
    atom is not in use, however near it may be: ``kinks`` counts what is near.
    """
    steps_of = implicit_steps(
        coder, pixels, gradient=gradient, of=of, steps=steps, noise=noise, seed=seed, baseline=baseline, at=at
    )
    *_, last = (step.record for step in steps_of)
    assert last is not None
    return last


def implicit_steps(
    coder: ConceptCoder,
    pixels: Pixels,
    *,
    gradient: Gradient = "gradient_input",
    of: Of = "sum",
    steps: int = 32,
    noise: float = 0.15,
    seed: int = 0,
    baseline: Any = "mean",
    at: Cut | None = None,
) -> Iterator[Step[ConceptMaps]]:
    """Return the gradient maps of all concepts as a computation that can be shown and stopped.

    Parameters
    ----------
    coder : ConceptCoder
        What turns the image into codes.
    pixels : ndarray of shape (H, W, 3), float32
        What the network is shown.
    gradient, of, steps, noise, seed, baseline, at
        As for `implicit_maps`.

    Returns
    -------
    iterator of Step
        After each chunk of work; nothing is held between two. Records of SmoothGrad and of integrated gradients are
        means over the images so far, which are taken in an order that spreads them evenly; the other methods have one
        record, at the end.

    Raises
    ------
    TypeError, ValueError
        As `implicit_maps`; those of the arguments before the first step.
    """
    if gradient not in GRADIENTS:
        raise ValueError(f"gradient: wanted one of {GRADIENTS}, got {gradient!r}.")
    if at is not None and gradient != "gradcam":
        raise ValueError(f"at: goes with gradient='gradcam' only, not with {gradient!r}.")
    options = _Options(
        gradient=gradient,
        of=check_of(of),
        steps=integer("steps", steps, 1),
        noise=between("noise", noise, 0, 1),
        seed=integer("seed", seed, 0),
        baseline=Baseline.read(baseline),
        at=at or coder.cut if gradient == "gradcam" else None,
    )
    return _GradientRun(coder, check_pixels(pixels, coder.model), options).steps()


class _GradientRun:
    """One image's gradient maps while they are computed."""

    def __init__(self, coder: ConceptCoder, pixels: Pixels, options: _Options) -> None:
        self._coder, self._pixels, self._options = coder, pixels, options
        self._model = coder.model
        self._baseline = options.baseline.pixels(coder.model, pixels).astype(np.float32)
        self._forwards = self._backwards = 0

    def steps(self) -> Iterator[Step[ConceptMaps]]:
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
        for done, image in enumerate(images):
            for group in self._groups(present):
                for concept, part in zip(group, self._gradients(image, group), strict=True):
                    sums[concept] = sums[concept] + part if concept in sums else part
                record = None
                if group[-1] == present[-1] and (len(images) == done + 1 or method != "gradcam"):
                    record = self._assemble(blank, sums, done + 1, complete=done + 1 == len(images), start=start)
                yield Step(done * len(present) + present.index(group[-1]) + 1, total, "gradients", record)

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
            return pooled(codes, self._options.of)[0].double().cpu().numpy()

    def _gradients(self, image: Pixels, concepts: list[int]) -> list[Tensor]:
        """Return what the method needs of each concept's gradient at one image: (C, H, W), or a Grad-CAM (h, w)."""
        tapped: list[Tensor] = []
        at = self._options.at

        def tap(features: Tensor) -> Tensor:
            tapped.append(features.detach().requires_grad_())
            return tapped[0]

        with torch.inference_mode(False), self._model.computing(gradients=True, refresh=False):
            x = self._model.to_input(image).requires_grad_()
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
            found = []
            for place, concept in enumerate(concepts):
                last = place == len(concepts) - 1
                (part,) = torch.autograd.grad(scores[concept], leaf, retain_graph=not last)
                found.append(wide(part.detach()[0]) if at is None else _weighted(at, leaf.detach(), part.detach()))
        self._forwards += 1
        self._backwards += len(concepts)
        return found

    def _scores(self, images: Tensor) -> Tensor:
        """Return s_k of one image, or say what cannot be differentiated."""
        try:
            scores = pooled(self._coder.codes(images), self._options.of)[0]
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


def _weighted(at: Cut, features: Tensor, gradient: Tensor) -> Tensor:
    """Return a Grad-CAM (h, w): channels weighted by their gradient's mean over places."""
    weights = wide(at.to_grid(gradient)[0]).mean(dim=(0, 1))
    return wide(at.to_grid(features)[0]) @ weights


def _no_gradient(reason: str) -> str:
    return (
        f"encode: wanted a function that passes gradients on, but {reason.rstrip('.')}. Give one made of torch "
        "operations, or take whatwhere.concepts.masked_maps.black_box_maps, which needs no gradient."
    )
