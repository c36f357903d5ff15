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

from typing import TYPE_CHECKING, Any

from whatwhere.concepts._gradient_run import GradientRun, Options
from whatwhere.concepts.coder import check_of, check_pixels
from whatwhere.engine._checks import between, integer
from whatwhere.engine.baseline import Baseline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatwhere.concepts._gradient_run import Gradient
    from whatwhere.concepts.coder import ConceptCoder, Of
    from whatwhere.concepts.maps import ConceptMaps
    from whatwhere.jobs import Step
    from whatwhere.nets.cut import Cut
    from whatwhere.pixels.images import Pixels

GRADIENTS = ("saliency", "gradient_input", "integrated_gradients", "smoothgrad", "gradcam")


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
    MemoryError
        If not even the gradients of one image fit into memory.

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
    TypeError, ValueError, MemoryError
        As `implicit_maps`; those of the arguments before the first step.
    """
    if gradient not in GRADIENTS:
        raise ValueError(f"gradient: wanted one of {GRADIENTS}, got {gradient!r}.")
    if at is not None and gradient != "gradcam":
        raise ValueError(f"at: goes with gradient='gradcam' only, not with {gradient!r}.")
    options = Options(
        gradient=gradient,
        of=check_of(of),
        steps=integer("steps", steps, 1),
        noise=between("noise", noise, 0, 1),
        seed=integer("seed", seed, 0),
        baseline=Baseline.read(baseline),
        at=at or coder.cut if gradient == "gradcam" else None,
    )
    return GradientRun(coder, check_pixels(pixels, coder.model), options).steps()
