"""Attribution to gates: how much each concept of an image matters to a score, by eleven methods on one response.

`whatwhere.engine.responses` says what gates and responses are. Every method asks for nothing else, so that it works for
any network, layer, bank and score.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch

from whatwhere.engine import _gate_methods as methods
from whatwhere.engine._checks import between, integer, shaped
from whatwhere.engine.responses import Prober

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from whatwhere.engine.responses import Response

__all__ = ["METHODS", "GateAttribution", "GateMethod", "attribute"]


@dataclass(frozen=True)
class GateMethod:
    """What is known about a method before it runs.

    Parameters
    ----------
    key : str
        Its name in `attribute`.
    title : str
        Its name in print.
    meaning : str
        What a value is, in a phrase.
    cost : callable
        Takes rank and samples and returns the number of evaluations.
    signed : bool
        Whether values below 0 speak against the score; without a sign they only say how much.
    gradients : bool
        Whether the response must pass gradients.
    stochastic : bool
        Whether it draws random numbers; only then it has a seed and standard errors.
    per_unit : bool
        Whether values are for a unit of code, and so look at `codes_size`.
    samples : int or None
        Default of `samples`; None where there is nothing to choose.
    fewest : int
        Smallest number of samples.
    """

    key: str
    title: str
    meaning: str
    cost: Callable[[int, int], int]
    signed: bool = False
    gradients: bool = False
    stochastic: bool = False
    per_unit: bool = False
    samples: int | None = None
    fewest: int = 1

    def evaluations(self, rank: int, samples: int | None = None) -> int:
        """Return how many rows of gates are asked for.

        Parameters
        ----------
        rank : int
            Number of concepts, at least 1.
        samples : int, optional
            As for `attribute`.

        Returns
        -------
        int
            Evaluations of the response; where `gradients` is set all but two of them at most with a backward pass.

        Raises
        ------
        TypeError, ValueError
            If a number is not an integer in its range.
        """
        return self.cost(integer("rank", rank, 1), self.samples_of(samples))

    def samples_of(self, samples: int | None) -> int:
        """Return the number of samples that a call with this argument takes.

        Parameters
        ----------
        samples : int, optional
            As for `attribute`.

        Returns
        -------
        int
            The default for None; 1 where there is nothing to choose.

        Raises
        ------
        TypeError, ValueError
            If it is not an integer of at least `fewest`.
        """
        if self.samples is None:
            return 1
        return self.samples if samples is None else integer("samples", samples, self.fewest)


@dataclass(frozen=True, eq=False)
class GateAttribution:
    """How much each concept of one image matters to one score.

    Parameters
    ----------
    method : str
        Key of the method.
    values : ndarray of shape (r,), float64
        Importances, in the units that `METHODS` tells.
    error : ndarray of shape (r,), float64, or None
        Standard errors of the values; None where nothing is drawn at random. Infinite means unknown.
    n_evaluations : int
        Rows of gates that were asked for.
    signed : bool
        Whether values below 0 speak against the score.
    flat : bool
        Whether the score moves by no more than float32's rounding of its size; there is nothing to explain then.
    gap : float or None
        For integrated gradients, sum of the values less ``f(1) - f(0)``; 0 but for the error of the quadrature. None
        for other methods.
    absent : tuple of int
        Concepts without code in this image, by `codes_size`; empty if that was not given. Their value is 0 where it
        is for a unit of code, though the network may well react to such a code.
    samples : int or None
        Samples taken; None where there is nothing to choose.
    seed : int or None
        Seed of the random numbers; None where nothing is drawn.
    """

    method: str
    values: NDArray[np.float64]
    error: NDArray[np.float64] | None
    n_evaluations: int
    signed: bool
    flat: bool = False
    gap: float | None = None
    absent: tuple[int, ...] = ()
    samples: int | None = None
    seed: int | None = None


def attribute(
    response: Response,
    rank: int,
    method: str = "gradient_input",
    *,
    samples: int | None = None,
    seed: int = 0,
    batch: int = 256,
    codes_size: ArrayLike | None = None,
    noise: float = 0.2,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> GateAttribution:
    """Tell how much each concept matters to the score of one image.

    Parameters
    ----------
    response : callable
        Takes gates (m, r) and returns scores (m,), each row for itself. Differentiable in the gates for the methods
        that need gradients.
    rank : int
        Number r of concepts, at least 1.
    method : str, default "gradient_input"
        A key of `METHODS`. With f the response, 1 all gates open and e_k only gate k:

        - ``"gradient_input"``: ``df/dm_k`` at 1, the gradient by the codes times the codes.
        - ``"saliency"``: ``|df/dm_k|`` at 1, for a unit of code.
        - ``"integrated_gradients"``: mean of ``df/dm_k`` between 0 and 1, at Gauss-Legendre nodes; they sum to
          ``f(1) - f(0)``.
        - ``"smoothgrad"``, ``"squaregrad"``, ``"vargrad"``: mean, mean square and variance of ``df/dm_k`` at gates
          with noise, for a unit of code.
        - ``"occlusion"``: ``f(1) - f(1 - e_k)``.
        - ``"rise"``: mean of f where the gate is open less its mean where it is shut, each gate by a fair coin. The
          published map is half of it plus the mean of f.
        - ``"hsic"``: independence criterion of the gate and f, each gate by a fair coin.
        - ``"sobol"``, ``"sobol_first"``: total-order and first-order index, gates uniform on [0, 1].
    samples : int, optional
        Nodes, noisy gates, masks or rows of the design; by default what `METHODS` tells. More is more exact. An even
        number for ``"rise"`` and ``"hsic"``. For the methods with masks or rows, the masks of fewer are the first ones
        of more. Not looked at where there is nothing to choose.
    seed : int, default 0
        Same seed, same numbers; at least 0.
    batch : int, default 256
        Most rows of gates at a time, at least 1.
    codes_size : array_like of shape (r,), optional
        Size of each concept's code, at least 0: the code itself or, for maps, whatever shall count as a unit, such as
        its mean over places. 1 by default, so that values for a unit of code are for the code as it is.
    noise : float, default 0.2
        Standard deviation of the noise on gates, above 0: it is relative to the code. Only for ``"smoothgrad"``,
        ``"squaregrad"`` and ``"vargrad"``.
    device : torch.device, optional
        Where gates are put; the CPU by default.
    dtype : torch.dtype, default torch.float32
        Floating-point type of the gates.

    Returns
    -------
    GateAttribution
        Values and what is known about them.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or the response returns no tensor of floating-point numbers.
    ValueError
        If there is no such method, a number is out of its range, or the response returns scores of another shape, not
        finite, or, where they are needed, without gradients.

    Notes
    -----
    Where f is affine in the gates with slopes phi, as with pooled features before a linear layer, ``"gradient_input"``,
    ``"integrated_gradients"`` and ``"occlusion"`` are phi, the expectation of ``"rise"`` is phi, ``"vargrad"`` is 0,
    and both Sobol indices are ``phi_k^2 / sum phi^2``. Only signed methods tell a concept that speaks for the class
    from one that speaks against it.

    The noise of ``"rise"`` is the same for a concept that does not matter as for one that does: it is made of all the
    others. With the default samples and ten concepts of a photograph it was 7 % of the largest value.

    References
    ----------
    T. Fel et al., "A holistic approach to unifying automatic concept extraction and concept importance estimation",
    arXiv:2306.07304. M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", arXiv:1703.01365.
    D. Smilkov et al., "SmoothGrad", arXiv:1706.03825. S. Hooker et al., "A benchmark for interpretability methods in
    deep neural networks", arXiv:1806.10758, for squares and variances of gradients. V. Petsiuk, A. Das, K. Saenko,
    "RISE", arXiv:1806.07421. P. Novello, T. Fel, D. Vigouroux, "Making sense of dependence", arXiv:2206.06219.
    T. Fel et al., "Look at the variance!", arXiv:2111.04138.

    Examples
    --------
    >>> shares = attribute(lambda gates: gates @ torch.tensor([3.0, -1.0]), 2, "occlusion")
    >>> shares.values, shares.n_evaluations
    (array([ 3., -1.]), 3)
    """
    if method not in METHODS:
        raise ValueError(f"method: wanted one of {tuple(METHODS)}, got {method!r}.")
    info = METHODS[method]
    prober = Prober(response, rank, batch=batch, device=device, dtype=dtype)
    size = np.ones(prober.rank) if codes_size is None else shaped("codes_size", codes_size, (prober.rank,), "(r,)")
    if size.min() < 0:
        raise ValueError(f"codes_size: wanted sizes of at least 0, got {size.min():g}; take their absolute values.")
    taken = info.samples_of(samples)
    options = methods.Options(taken, integer("seed", seed, 0), between("noise", noise, 0, np.inf), size)
    estimate = _ESTIMATORS[method](prober, options)
    return GateAttribution(
        method=method,
        values=estimate.values,
        error=estimate.error,
        n_evaluations=prober.asked,
        signed=info.signed,
        flat=estimate.flat,
        gap=estimate.gap,
        absent=tuple(np.flatnonzero(size == 0).tolist()),
        samples=None if info.samples is None else taken,
        seed=options.seed if info.stochastic else None,
    )


_ESTIMATORS: Mapping[str, Callable[[Prober, methods.Options], methods.Estimate]] = {
    "gradient_input": methods.gradient_input,
    "saliency": methods.saliency,
    "integrated_gradients": methods.integrated_gradients,
    "smoothgrad": methods.smoothgrad,
    "squaregrad": methods.squaregrad,
    "vargrad": methods.vargrad,
    "occlusion": methods.occlusion,
    "rise": methods.rise,
    "hsic": methods.hsic,
    "sobol": methods.sobol,
    "sobol_first": methods.sobol_first,
}


_TABLE = (
    GateMethod(
        "gradient_input",
        "Gradient x Input",
        "change of the score for a code, at its present rate",
        cost=lambda _rank, _samples: 1,
        signed=True,
        gradients=True,
    ),
    GateMethod(
        "saliency",
        "Saliency",
        "size of the rate of change, for a unit of code",
        cost=lambda _rank, _samples: 1,
        gradients=True,
        per_unit=True,
    ),
    GateMethod(
        "integrated_gradients",
        "Integrated Gradients",
        "share of the score's change from baseline to image",
        cost=lambda _rank, samples: samples + 2,
        signed=True,
        gradients=True,
        samples=32,
    ),
    GateMethod(
        "smoothgrad",
        "SmoothGrad",
        "mean rate of change near the codes, for a unit of code",
        cost=lambda _rank, samples: samples,
        signed=True,
        gradients=True,
        stochastic=True,
        per_unit=True,
        samples=64,
        fewest=2,
    ),
    GateMethod(
        "squaregrad",
        "SquareGrad",
        "mean squared rate of change near the codes, for a unit of code",
        cost=lambda _rank, samples: samples,
        gradients=True,
        stochastic=True,
        per_unit=True,
        samples=64,
        fewest=2,
    ),
    GateMethod(
        "vargrad",
        "VarGrad",
        "variance of the rate of change near the codes, for a unit of code",
        cost=lambda _rank, samples: samples,
        gradients=True,
        stochastic=True,
        per_unit=True,
        samples=64,
        fewest=2,
    ),
    GateMethod(
        "occlusion",
        "Occlusion",
        "what the score loses without the concept",
        cost=lambda rank, _samples: rank + 1,
        signed=True,
    ),
    GateMethod(
        "rise",
        "RISE",
        "mean score with the concept less that without it",
        cost=lambda _rank, samples: samples,
        signed=True,
        stochastic=True,
        samples=512,
        fewest=4,
    ),
    GateMethod(
        "hsic",
        "HSIC",
        "dependence of the score on whether the concept is there",
        cost=lambda _rank, samples: samples,
        stochastic=True,
        samples=512,
        fewest=6,
    ),
    GateMethod(
        "sobol",
        "Sobol, total order",
        "share of the score's variance left when all but the concept is known",
        cost=lambda rank, samples: samples * (rank + 1),
        stochastic=True,
        samples=64,
        fewest=2,
    ),
    GateMethod(
        "sobol_first",
        "Sobol, first order",
        "share of the score's variance that the concept explains alone",
        cost=lambda rank, samples: samples * (rank + 2),
        stochastic=True,
        samples=64,
        fewest=2,
    ),
)
METHODS: Mapping[str, GateMethod] = MappingProxyType({method.key: method for method in _TABLE})
