"""How good prototypes are: beside photos of the same target, in the eyes of other networks, and in feature space.

None of these says whether a picture helps anybody to understand a network; that takes people.

References
----------
T. Fel et al., arXiv:2306.07304 and arXiv:2306.06805, for transfer to other networks, the Fréchet distance and the
nearest photo as measures of feature visualisations.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.engine._checks import integer
from whatwhere.metrics.intervals import wilson
from whatwhere.prototypes.examples import Examples
from whatwhere.prototypes.record import Prototype

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import torch
    from numpy.typing import NDArray

    from whatwhere.model import VisionModel

_BATCH = 4  # pictures on a CPU; more are no faster there


@dataclass(frozen=True)
class Standing:
    """Where a prototype stands among photos, by how much each excites the target.

    Parameters
    ----------
    label : str
        What people call the target.
    value : float
        The target's value of the whole prototype.
    share_below : float
        Share of the photos that excite the target less, in [0, 1].
    low, high : float
        Wilson's interval of that share.
    strongest : float
        The target's value of the photo that excites it most.
    p99 : float
        99th percentile of the photos' values.
    photos : int
        Photos that it is compared with.
    """

    label: str
    value: float
    share_below: float
    low: float
    high: float
    strongest: float
    p99: float
    photos: int


def standing(
    prototypes: Prototype | Sequence[Prototype], examples: Examples | Sequence[Examples], *, level: float = 0.95
) -> list[Standing]:
    """Compare how much prototypes and photos excite their targets.

    Parameters
    ----------
    prototypes : Prototype or sequence of Prototype
        Finished ones.
    examples : Examples or sequence of Examples
        What `whatwhere.DatasetExamples` found for the same targets in the same network, in any order.
    level : float, default 0.95
        Of the intervals, above 0 and below 1.

    Returns
    -------
    list of Standing
        One a prototype.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If a prototype is not finished, its target or network is not among the examples', or no photo gives a finite
        value.

    Notes
    -----
    No forward pass: both records hold their values. High values are what an ascent is for; by themselves they say
    nothing about whether a picture looks like anything. Patterns of noise reach the highest ones.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> espresso = ww.Maco(steps=2, crops=2, size=96).run(model, "espresso")
    >>> found = ww.DatasetExamples().run(model, "espresso", ww.examples.photos())
    >>> standing(espresso, found)[0].photos
    4
    """
    given = [examples] if isinstance(examples, Examples) else list(examples)
    known = {(repr(each.told), each.provenance.fingerprint): each for each in given}
    out = []
    for p in _several(prototypes):
        if p.after is None:
            raise ValueError(f"prototypes: wanted finished ones, got {p.label} after {p.steps} steps.")
        found = known.get((repr(p.told), p.provenance.fingerprint))
        if found is None:
            raise ValueError(
                f"examples: wanted photos for {p.label!r} through the same weights as the prototype's, got those for "
                f"{[each.label for each in given]}; run DatasetExamples with the prototypes' targets."
            )
        values = found.values[np.isfinite(found.values)]
        if not values.size:
            raise ValueError(f"examples: wanted photos with finite values for {p.label!r}, got none.")
        below = int((values < p.after).sum())
        low, high = wilson(below, values.size, level)
        p99 = float(np.quantile(values, 0.99))
        out.append(
            Standing(
                p.label, p.after, below / values.size, float(low), float(high), float(values.max()), p99, values.size
            )
        )
    return out


@dataclass(frozen=True, eq=False)
class Transfer:
    """What other networks see in prototypes of classes.

    Parameters
    ----------
    labels : tuple of str
        The prototypes' classes, P of them.
    models : tuple of str
        The networks, M of them.
    ranks : ndarray of shape (P, M), int64
        How many classes each network finds at least as likely as the prototype's, itself included: 1 is the best.
    logits : ndarray of shape (P, M), float32
        Logit of the prototype's class.
    """

    labels: tuple[str, ...]
    models: tuple[str, ...]
    ranks: NDArray[np.int64]
    logits: NDArray[np.float32]

    def within(self, top: int = 5) -> NDArray[np.bool_]:
        """Tell which prototypes each network recognises.

        Parameters
        ----------
        top : int, default 5
            Among how many classes the prototype's has to be, at least 1.

        Returns
        -------
        ndarray of shape (P, M), bool
            Whether it is.
        """
        return self.ranks <= integer("top", top, 1)

    def shares(self, top: int = 5, *, level: float = 0.95) -> NDArray[np.float64]:
        """Return the share of prototypes that each network recognises, with Wilson's intervals.

        Parameters
        ----------
        top : int, default 5
            As for `within`.
        level : float, default 0.95
            Of the intervals, above 0 and below 1.

        Returns
        -------
        ndarray of shape (M, 3), float64
            Share, lower and upper end.
        """
        count, total = self.within(top).sum(axis=0), len(self.labels)
        return np.stack([count / total, *wilson(count, total, level)], axis=1)


def transfer(prototypes: Prototype | Sequence[Prototype], models: VisionModel | Sequence[VisionModel]) -> Transfer:
    """Ask other networks what they see in prototypes of classes.

    Each network is shown the pictures as any photo: resized, cropped and normalised by its own preprocessing.

    Parameters
    ----------
    prototypes : Prototype or sequence of Prototype
        Of classes.
    models : VisionModel or sequence of VisionModel
        Networks that know classes of the same names.

    Returns
    -------
    Transfer
        Ranks and logits.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If a prototype is not one of a class, or a network knows no class of its name.

    Notes
    -----
    One forward a picture and network. A picture that is recognised by networks that it was not made for shows what
    they share; those that were trained on the same photos, by the same people, share more than the class.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> tench = ww.Maco(steps=2, crops=2, size=96).run(model, "tench")
    >>> transfer(tench, model).ranks.shape
    (1, 1)
    """
    from whatwhere.model import VisionModel

    made = _several(prototypes)
    asked: list[VisionModel] = [models] if isinstance(models, VisionModel) else list(models)
    if not asked:
        raise ValueError("models: wanted at least one, got none.")
    for p in made:
        if p.told["kind"] != "ClassScore":
            raise ValueError(f"prototypes: wanted those of classes, got {p.label!r}; networks share no layers.")
    ids = [[_class_in(model, p) for model in asked] for p in made]
    found = [np.concatenate(list(_through(model, [p.image for p in made]))) for model in asked]
    ranks, logits = np.zeros((len(made), len(asked)), np.int64), np.zeros((len(made), len(asked)), np.float32)
    for row, column in itertools.product(range(len(made)), range(len(asked))):
        scores = found[column][row]
        logits[row, column] = own = scores[ids[row][column]]
        ranks[row, column] = len(scores) - int((scores < own).sum())
    return Transfer(tuple(p.label for p in made), tuple(model.name for model in asked), ranks, logits)


@dataclass(frozen=True, eq=False)
class Realism:
    """How far prototypes lie from photos, as a network sees both.

    Parameters
    ----------
    model, layer : str
        The network, and the layer whose features, averaged over places, are compared.
    frechet : ndarray of shape (draws,), float64
        Fréchet distance of the prototypes to all photos but a random few, in units of the photos' spread.
    frechet_of_photos : ndarray of shape (draws,), float64
        The same of those few photos, of which there are as many as prototypes: what to compare it with.
    nearest : ndarray of shape (P,), float64
        Cosine of each prototype with the photo that is most like it, in [-1, 1].
    nearest_photo : tuple of str
        That photo's name.
    nearest_of_photos : ndarray of shape (N,), float64
        Cosine of each photo with the other that is most like it.
    """

    model: str
    layer: str
    frechet: NDArray[np.float64]
    frechet_of_photos: NDArray[np.float64]
    nearest: NDArray[np.float64]
    nearest_photo: tuple[str, ...]
    nearest_of_photos: NDArray[np.float64]

    @property
    def ratio(self) -> float:
        """Median distance of the prototypes over that of as many photos: 1 if they lie where photos do."""
        return float(np.median(self.frechet) / np.median(self.frechet_of_photos))


def realism(
    prototypes: Prototype | Sequence[Prototype],
    images: Any,
    model: VisionModel,
    *,
    layer: str | None = None,
    draws: int = 8,
    seed: int = 0,
) -> Realism:
    """Compare prototypes with photos in a network's feature space.

    Parameters
    ----------
    prototypes : Prototype or sequence of Prototype
        At least two, as of different classes.
    images : images
        Photos: anything `whatwhere.pixels.images.iterate_images` takes; more than twice as many as prototypes.
    model : VisionModel
        The network; best another one than they were made for, whose features were not climbed.
    layer : str, optional
        The layer; by default the last one that lies on a grid.
    draws : int, default 8
        How often as many photos as prototypes are drawn, at least 1.
    seed : int, default 0
        Same seed, same draws.

    Returns
    -------
    Realism
        Distances, and those of photos.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If there are too few of one, or the network has no such layer.

    Notes
    -----
    One forward a picture, and two Fréchet distances a draw (`whatwhere.metrics.distributions.frechet`). With fewer
    pictures than features the distance depends on their number; this is why as many photos are measured beside them.
    Compare only sets of equal numbers, and of the same classes.
    """
    import torch

    from whatwhere.metrics.distributions import frechet
    from whatwhere.pixels.images import iterate_images

    made = _several(prototypes)
    draws, seed = integer("draws", draws, 1), integer("seed", seed, 0)
    name = layer or _last(model)
    names, kept = [], []
    for named, image in iterate_images(images):
        names.append(named)
        kept.append(image)
    if len(made) < 2 or len(kept) <= 2 * len(made):  # noqa: PLR2004  # a spread needs two
        raise ValueError(
            f"prototypes, images: wanted at least two prototypes and more than twice as many photos, got {len(made)} "
            f"and {len(kept)}."
        )
    own, real = (torch.cat(list(_features(model, name, each))) for each in ([p.image for p in made], kept))
    generator, distances = np.random.default_rng(seed), []
    for _ in range(draws):
        order = generator.permutation(len(real))
        few, others = real[order[: len(own)]], real[order[len(own) :]]
        distances.append([frechet(others, each).relative for each in (own, few)])
    unit, others = (rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True) for rows in (own, real))
    like, alike = unit @ others.T, others @ others.T
    alike.fill_diagonal_(-1)
    told = np.array(distances)
    return Realism(
        model.name,
        name,
        told[:, 0],
        told[:, 1],
        like.amax(dim=1).numpy(),
        tuple(names[k] for k in like.argmax(dim=1).tolist()),
        alike.amax(dim=1).numpy(),
    )


def _several(prototypes: Prototype | Iterable[Prototype]) -> list[Prototype]:
    made = [prototypes] if isinstance(prototypes, Prototype) else list(prototypes)
    for p in made:
        if not isinstance(p, Prototype):
            raise TypeError(f"prototypes: wanted records that Maco or another method made, got {type(p).__name__}.")
    if not made:
        raise ValueError("prototypes: wanted at least one, got none.")
    return made


def _class_in(model: VisionModel, p: Prototype) -> int:
    """Find the class of a prototype in another network: the same number if it has the same name there, or the name."""
    number = int(p.told["target"])
    if number < len(model.class_names) and model.class_names[number] == p.label:
        return number
    return model.class_names.resolve(p.label)


def _shown(model: VisionModel, images: list[Any]) -> Iterator[torch.Tensor]:
    """Yield batches of pictures, as any photo is shown."""
    import torch

    from whatwhere.pixels.images import read_photo

    for first in range(0, len(images), _BATCH):
        batch = images[first : first + _BATCH]
        yield torch.cat([model.to_input(model.preprocess.pixels(read_photo(image))) for image in batch])


def _through(model: VisionModel, images: list[Any]) -> Iterator[NDArray[np.float32]]:
    for batch in _shown(model, images):
        with model.computing():
            yield model.logits(batch).float().cpu().numpy()


def _features(model: VisionModel, layer: str, images: list[Any]) -> Iterator[torch.Tensor]:
    from whatwhere.engine.encoder import Encoder

    encoder = Encoder(model, layer)
    for batch in _shown(model, images):
        with model.computing():
            yield encoder.cells(batch).double().mean(dim=(1, 2)).cpu()


def _last(model: VisionModel) -> str:
    gridded = [info.name for info in model.layers() if info.cuttable and info.grid]
    if not gridded:
        raise ValueError(f"layer: {model.name} has no layer that lies on a grid; name one of model.layers().")
    return gridded[-1]
