"""CRAFT: concepts of a set of images, extracted from a layer's features by matrix factorisation.

References
----------
T. Fel, A. Picard, L. Béthune, T. Boissin, D. Vigouroux, J. Colin, R. Cadène, T. Serre, "CRAFT: Concept Recursive
Activation FacTorization for Explainability", CVPR 2023, arXiv:2211.10154. T. Fel, V. Boutin, M. Moayeri, R. Cadène,
L. Béthune, M. Chalvidal, T. Serre, "A Holistic Approach to Unifying Automatic Concept Extraction and Concept Importance
Estimation", NeurIPS 2023, arXiv:2306.07304.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from whatwhere.engine._checks import integer
from whatwhere.jobs import Job, Step
from whatwhere.progress import with_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.by_class import CraftByClass
    from whatwhere.concepts.extractors import Extractor
    from whatwhere.model import VisionModel

FitOn = Literal["both", "crops", "locations"]
FIT_ON = ("both", "crops", "locations")
ON_UNREADABLE = ("skip", "raise")
IMPORTANCES = ("auto", "contribution", "sobol")
_MOST_CONCEPTS = 1024
_MAX_SEED = 2**63


@dataclass(frozen=True, repr=False)
class Craft:
    """Concepts of the images that a network predicts as a class, or of a mixed set.

    The features of crops are written as sums of few directions, with weights of at least 0. Each direction is a
    concept: crops with large weights show what it is, its effect on the logit says what it is worth.

    Parameters
    ----------
    n_concepts : int or "auto", default 10
        How many, or as many as two halves of the images agree upon.
    layer : str, int or None, default None
        Where to cut the network. By default the last layer of non-negative maps behind which all is affine; if there is
        none, the last layer whose cells reach the output.
    seed : int, default 0
        Same seed, same concepts.
    fit_on : {"both", "crops", "locations"}, default "both"
        What is factorised: the mean features of crops, as published, which show what they stand for; the features at
        every location of the whole images, for as many forwards as there are images instead of 17 times as many, but
        with context leaking in; or both together. Crops alone miss much of what whole images are made of: of three
        classes' held-out photos, as few as 13 % keep their class with ten concepts in the layer's place; with the other
        two all do.
    patch : int or None, default None
        Side of a crop in pixels of the network's input; two sevenths of it by default, 64 of 224. Crops cover every
        pixel.
    extractor : str, Extractor or None, default None
        How features are factorised: "nmf", "semi_nmf", "convex_nmf", "kmeans", "pca", "topk_sae", or one with options.
        By default NMF, and semi-NMF where features are signed. NMF of the positive and negative parts side by side is
        not among them: its concepts, 2 p numbers, would be no directions in the layer, so that nothing could be
        decoded, compared with classes or split as concepts are.
    importance : {"auto", "contribution", "sobol"}, default "auto"
        "contribution": the share in the sum of the mean absolute contributions to the logit. "sobol": the total-order
        Sobol index of the concepts' weights. By default the first where it is exact, and else the second, whose
        preview is the first, by integrated gradients at eight nodes: contributions that add up to the logit need them
        anyhow, and one gradient times the code foretells less of what the network does without a concept.
    designs : int, default 64
        Most rows of the Sobol design; it stops before where the order of the concepts is certain.
    weigh : int, default 32
        Photos that a sampled importance looks at, at most.
    on_unreadable : {"skip", "raise"}, default "skip"
        What becomes of a file in a folder, or in a list of paths, that is broken or no photo. "skip": the others are
        explained, and ``bank.unreadable`` says which were left out and why. "raise": it is an error. What is given as
        contents, pictures or arrays is always an error, and so is a listed path that leads nowhere, at once.

    Raises
    ------
    TypeError
        If an option is of another type.
    ValueError
        If an option is out of range.

    Notes
    -----
    Cost in forwards up to the layer: one for each image and, unless fitted on locations, one for each crop, 16 an
    image by default. Contributions take one gradient a class behind the layer if all there is affine, else 8 passes an
    image; a Sobol index ``designs * (n_concepts + 1)`` passes behind the layer for each image weighed. Memory: the
    features of all locations, those of the crops, and the photos in 8 bits, each within
    ``whatwhere.limits.activation_bytes`` and on disk beyond; the logits of all classes.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, ww.examples.photos())
    >>> bank.W.shape, round(float(bank.importance.sum()), 4)
    ((3, 1280), 1.0)
    """

    n_concepts: int | Literal["auto"] = 10
    layer: str | int | None = None
    seed: int = 0
    fit_on: FitOn = "both"
    patch: int | None = None
    extractor: str | Extractor | None = None
    importance: str = "auto"
    designs: int = 64
    weigh: int = 32
    on_unreadable: Literal["skip", "raise"] = "skip"

    def __post_init__(self) -> None:
        """Check every option."""
        from whatwhere.concepts.extractors import read_extractor

        if self.n_concepts != "auto":
            object.__setattr__(self, "n_concepts", _integer("n_concepts", self.n_concepts, 1, _MOST_CONCEPTS))
        if self.layer is not None and (isinstance(self.layer, bool) or not isinstance(self.layer, str | int)):
            raise TypeError(f"layer: wanted a layer's name or place, got {type(self.layer).__name__} {self.layer!r}.")
        object.__setattr__(self, "seed", _integer("seed", self.seed, 0, _MAX_SEED - 1))
        if self.fit_on not in FIT_ON:
            raise ValueError(f"fit_on: wanted one of {list(FIT_ON)}, got {self.fit_on!r}.")
        if self.patch is not None:
            object.__setattr__(self, "patch", _integer("patch", self.patch, 1, 2**16))
        if self.extractor is not None:
            object.__setattr__(self, "extractor", read_extractor(self.extractor, signed=False))
        if self.importance not in IMPORTANCES:
            raise ValueError(f"importance: wanted one of {list(IMPORTANCES)}, got {self.importance!r}.")
        object.__setattr__(self, "designs", _integer("designs", self.designs, 2, 2**16))
        object.__setattr__(self, "weigh", _integer("weigh", self.weigh, 1, 2**31))
        if self.on_unreadable not in ON_UNREADABLE:
            raise ValueError(f"on_unreadable: wanted one of {list(ON_UNREADABLE)}, got {self.on_unreadable!r}.")

    def __repr__(self) -> str:
        told = {option.name: getattr(self, option.name) for option in fields(self)}
        kept = [
            f"{o.name}={told[o.name]!r}" for o in fields(self)[:3] if o.name != "layer" or told["layer"] is not None
        ]
        kept += [f"{o.name}={told[o.name]!r}" for o in fields(self)[3:] if told[o.name] != o.default]
        return f"Craft({', '.join(kept)})"

    @property
    def by_class(self) -> CraftByClass:
        """The same method for many classes of one set of images: ``Craft(10).by_class.run(model, images)``."""
        from whatwhere.concepts.by_class import CraftByClass

        return CraftByClass(self)

    def run(
        self,
        model: VisionModel,
        images: Any,
        *,
        target: int | str | None = None,
        like: ConceptBank | None = None,
        progress: bool | None = None,
    ) -> ConceptBank:
        """Extract concepts, to the end.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : dict, sequence, folder, dataset or iterable of images
            The set; what `whatwhere.pixels.images.iterate_images` takes.
        target : int or str, optional
            The class to explain: images that are predicted otherwise are left out. By default the set is explained as
            it is, each image by its predicted class.
        like : ConceptBank, optional
            An earlier bank of the same layer, whose ids are given to the concepts that match its own.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Returns
        -------
        ConceptBank
            The concepts, the most important first.

        Raises
        ------
        TypeError
            If an image is of another kind.
        ValueError
            If an image cannot be read (but see `on_unreadable`), too few images are predicted as the class, the
            features are constant, or the layer cannot be cut or lies on no grid.
        FloatingPointError
            If features are NaN or infinite; the message names the image.

        Warns
        -----
        UserWarning
            If files could not be read and were left out, or the weights changed meanwhile.
        """
        import warnings

        bank: ConceptBank | None = None
        steps = self.steps(model, images, target=target, like=like, previews=False)
        for step in with_bar(steps, "CRAFT", "forward", progress=progress):
            bank = step.record
        assert bank is not None
        if bank.unreadable:
            warnings.warn(bank.said_unreadable, UserWarning, stacklevel=2)
        if bank.provenance.changed:
            warnings.warn("The weights changed while it was computed.", UserWarning, stacklevel=2)
        return bank

    def stream(
        self, model: VisionModel, images: Any, *, target: int | str | None = None, like: ConceptBank | None = None
    ) -> Iterator[ConceptBank]:
        """Extract concepts, yielding ever better banks.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : dict, sequence, folder, dataset or iterable of images
            The set.
        target : int or str, optional
            The class to explain.
        like : ConceptBank, optional
            An earlier bank, whose ids are kept.

        Yields
        ------
        ConceptBank
            While the factorisation converges, then with codes, then with importances; each is valid to stop at. Ids
            stay. Nothing is held between two of them.
        """
        last: ConceptBank | None = None
        for step in self.steps(model, images, target=target, like=like):
            if step.record is not None and step.record is not last:
                last = step.record
                yield last

    def submit(
        self, model: VisionModel, images: Any, *, target: int | str | None = None, like: ConceptBank | None = None
    ) -> Job[ConceptBank]:
        """Make a job that extracts concepts on the worker thread.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : dict, sequence, folder, dataset or iterable of images
            The set.
        target : int or str, optional
            The class to explain; resolved at once.
        like : ConceptBank, optional
            An earlier bank, whose ids are kept.

        Returns
        -------
        Job
            Not started yet: ``start()`` or ``wait()`` does.
        """
        target = _one_class(model, target)
        return Job(lambda: self.steps(model, images, target=target, like=like), device=str(model.device), name="CRAFT")

    def steps(
        self,
        model: VisionModel,
        images: Any,
        *,
        target: int | str | None = None,
        like: ConceptBank | None = None,
        previews: bool = True,
    ) -> Iterator[Step[ConceptBank]]:
        """Extract concepts, yielding after every batch of forwards and every pass over the features.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : dict, sequence, folder, dataset or iterable of images
            The set.
        target : int or str, optional
            The class to explain.
        like : ConceptBank, optional
            An earlier bank, whose ids are kept.
        previews : bool, default True
            Whether to make banks while the factorisation converges.

        Yields
        ------
        Step
            Forwards done and to do, the stage (``"images"``, ``"crops"``, ``"concepts"``, ``"codes"``,
            ``"importance"``), and the best bank so far or None.
        """
        from whatwhere.concepts._craft_run import CraftRun
        from whatwhere.concepts.keeping import Keeper

        target = _one_class(model, target)
        keeper = Keeper(self, model, images, target, like)
        if (found := keeper.find()) is not None:
            count = len(found.images)
            yield Step(count, count, "importance", found)
            return
        kept = None
        for step in CraftRun(self, model, images, target=target, like=like, previews=previews).steps():
            if step.record is not None and step.record.complete and step.record is not kept:
                kept = step.record
                keeper.keep(kept)
            yield step


def _one_class(model: VisionModel, target: Any) -> int | None:
    """Return the id of the class that is asked for; say who takes several."""
    if isinstance(target, list | tuple | set | frozenset | range):
        raise TypeError(
            f"target: wanted one class, got {type(target).__name__} of {len(target)}; for several use "
            "Craft(…).by_class.run(model, images, targets)."
        )
    return None if target is None else model.class_names.resolve(target)


def _integer(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool):  # True is no number of concepts
        wanted = f"{name}: wanted an integer from {low} to {high}, got {value!r}."
        raise ValueError(wanted)  # noqa: TRY004  # Python takes it for the integer 1
    return integer(name, value, low, high)
