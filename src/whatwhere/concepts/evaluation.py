"""How well concepts stand for a network on photos, also photos that they were not extracted from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whatwhere.engine.gates import METHODS, attribute
from whatwhere.metrics.concept_curves import concept_deletion, concept_insertion
from whatwhere.metrics.concept_fidelity import concept_fidelity
from whatwhere.metrics.distributions import frechet, out_of_distribution, sliced_wasserstein
from whatwhere.metrics.extraction import reconstruction_error, sparsity
from whatwhere.metrics.fidelity import fidelity
from whatwhere.metrics.intervals import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from whatwhere.concepts.concepts import Concepts
    from whatwhere.metrics.distributions import Distance
    from whatwhere.metrics.extraction import ReconstructionError, Sparsity
    from whatwhere.metrics.fidelity import Fidelity
    from whatwhere.metrics.intervals import Interval

_FEWEST_NEIGHBOURS = 5
_FEWEST_CONCEPTS = 2  # for subsets of them


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well concepts stand for a layer's features on some photos.

    Parameters
    ----------
    n_images : int
        Photos looked at.
    error : ReconstructionError
        Relative errors of the features of all locations.
    sparsity : Sparsity
        How few concepts a location has.
    frechet, wasserstein : Distance
        Between the features and what the concepts say they are; ``relative`` is 1 where the mean would be as far off.
    out_of_distribution : float
        How far from real features those of the concepts are, in distances between real ones: 1 is as near as these.
    fidelity : Fidelity
        What the network says when the concepts are in the layer's place.
    """

    n_images: int
    error: ReconstructionError
    sparsity: Sparsity
    frechet: Distance
    wasserstein: Distance
    out_of_distribution: float
    fidelity: Fidelity


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How well importances foretell what the network does when concepts are taken away.

    Parameters
    ----------
    deletion, insertion : mapping of str to Interval
        For each method, the mean over photos of the normalised area under the logit while concepts go (lower is
        better), and while they come (higher is better).
    mu_fidelity : mapping of str to Interval
        The mean of Pearson's correlation between the importance of subsets of concepts and what the logit loses
        without them.
    values : mapping of str to ndarray of shape (photos, r)
        The importances themselves.
    """

    deletion: Mapping[str, Interval]
    insertion: Mapping[str, Interval]
    mu_fidelity: Mapping[str, Interval]
    values: Mapping[str, NDArray[np.float64]]


def evaluate(concepts: Concepts, images: Any = None) -> Evaluation:
    """Measure how well concepts stand for the layer's features.

    Parameters
    ----------
    concepts : Concepts
        A bank on its network.
    images : images, optional
        Photos, of the bank's class where it has one; those that the bank was extracted from by default. Held-out ones
        tell more.

    Returns
    -------
    Evaluation
        Every metric, over all locations of all photos.

    Raises
    ------
    ValueError
        If there are fewer photos, or locations, than the metrics need.

    Notes
    -----
    One forward pass a photo, one pass behind the layer, and the features of all of them in memory.
    """
    cells, rebuilt, codes, own, new = [], [], [], [], []
    for look in concepts.looks(images):
        found = concepts.codes_of(look.cells)
        said = concepts.dictionary.decode(found.flatten(0, 2)).reshape(look.cells.shape)
        with concepts.model.computing(refresh=False):
            new.append(concepts.encoder.decode(said, look.prefix).cpu())
        cells.append(look.cells.flatten(0, 2).cpu())
        rebuilt.append(said.flatten(0, 2).cpu())
        codes.append(found.flatten(0, 2).cpu())
        own.append(look.logits.cpu())
    a, b, u = torch.cat(cells), torch.cat(rebuilt), torch.cat(codes)
    if len(a) <= _FEWEST_NEIGHBOURS:
        raise ValueError(f"images: wanted more than {_FEWEST_NEIGHBOURS} locations in all, got {len(a)}; add photos.")
    offset = concepts.dictionary.offset
    centred = a if offset is None else a - offset.cpu()
    logits, decoded = torch.cat(own).numpy(), torch.cat(new).numpy()
    return Evaluation(
        n_images=len(logits),
        error=reconstruction_error(centred, u, concepts.dictionary.bank.cpu()),
        sparsity=sparsity(u),
        frechet=frechet(a, b),
        wasserstein=sliced_wasserstein(a, b),
        out_of_distribution=out_of_distribution(a, b),
        fidelity=fidelity(logits, decoded, concepts.bank.target),
    )


def faithfulness(
    concepts: Concepts,
    images: Any = None,
    methods: Sequence[str] = ("gradient_input", "integrated_gradients", "occlusion", "sobol"),
    *,
    limit: int = 32,
    seed: int = 0,
) -> Faithfulness:
    """Measure how well importances foretell what the network does when concepts are taken away.

    Parameters
    ----------
    concepts : Concepts
        A bank on its network, of at least two concepts.
    images : images, optional
        Photos; those that the bank was extracted from by default.
    methods : sequence of str
        Keys of `whatwhere.engine.gates.METHODS`.
    limit : int, default 32
        Most photos looked at, the first ones.
    seed : int, default 0
        For the methods that draw, and for subsets.

    Returns
    -------
    Faithfulness
        For each method three means over photos with 95 % bootstrap intervals; of the same subsets of concepts for all
        methods, so that differences can be told by `whatwhere.metrics.intervals.paired_difference`.

    Raises
    ------
    ValueError
        If a method is not known, or there is a single concept.

    Notes
    -----
    Passes behind the layer for each photo: those of the methods, about 200 for the correlations and 2 r for the curves.
    """
    rank = concepts.bank.rank
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise ValueError(f"methods: wanted some of {list(METHODS)}, got {list(methods)}.")
    if rank < _FEWEST_CONCEPTS:
        raise ValueError("bank: wanted at least two concepts to compare, got one.")
    device, batch = concepts.model.device, concepts.model.batch_size
    every, lost, won, foretold = [], [], [], []
    nothing = np.full(len(methods), np.nan)
    for response in concepts.responses(images, limit=limit):
        found = [attribute(response, rank, name, seed=seed, batch=batch, device=device).values for name in methods]
        values = np.stack(found)
        deleted = concept_deletion(response, values, batch=batch, device=device).normalised
        inserted = concept_insertion(response, values, batch=batch, device=device).normalised
        every.append(values)
        lost.append(nothing if deleted is None else deleted)
        won.append(nothing if inserted is None else inserted)
        foretold.append(concept_fidelity(response, values, seed=seed, batch=batch, device=device).pearson)

    def means(rows: list[NDArray[np.float64]]) -> dict[str, Interval]:
        return {method: mean_interval(column) for method, column in zip(methods, np.stack(rows).T, strict=True)}

    return Faithfulness(
        deletion=means(lost),
        insertion=means(won),
        mu_fidelity=means(foretold),
        values=dict(zip(methods, np.stack(every, axis=1), strict=True)),
    )
