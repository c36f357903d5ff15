"""The strategic cluster graph as a method: which reasons a network uses for a class, how often, how reliably.

References
----------
T. Fel, V. Boutin, M. Moayeri, R. Cadène, L. Béthune, M. Chalvidal, T. Serre, "A Holistic Approach to Unifying Automatic
Concept Extraction and Concept Importance Estimation", NeurIPS 2023, arXiv:2306.07304, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from whatwhere.engine._checks import between, integer
from whatwhere.jobs import Job
from whatwhere.progress import with_bar
from whatwhere.strategies.layout import LAYOUTS, LayoutMethod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.jobs import Step
    from whatwhere.model import VisionModel
    from whatwhere.strategies.graph import StrategyGraph

Population: TypeAlias = Literal["predicted", "labelled"]
POPULATIONS: tuple[Population, ...] = get_args(Population)
_LARGEST_SIDE = 1024
_MAX_SEED = 2**32  # scikit-learn's


@dataclass(frozen=True, repr=False)
class Strategies:
    """The reasons that a network uses for a class: concepts as attribution, photo by photo.

    Each photo is a vector of what every concept adds to the explained logit. Photos with like vectors were classified
    for the same reasons, whether they look alike or not.

    Parameters
    ----------
    normalise : {"l1", None}, default "l1"
        Whether vectors are scaled to a sum of absolute values of 1 before photos are placed, so that how sure the
        network is does not decide who is near; None places contributions in logits. Shares, prevalence and
        reliability are the same either way.
    presence : float, default 0.08
        From which share of what its concepts add and take a photo has a concept, above 0 and below 1.
    population : {"predicted", "labelled"}, default "predicted"
        Which photos are looked at where the bank has a class. "predicted": those read as the class, right or wrong,
        which tells whether a reason can be trusted when it is used. "labelled": those that are of the class, read as
        it or not, which tells with which reasons it is missed. The others are left out, and counted. Where the bank
        has no class, all photos are kept and each is explained by the class that it is predicted as.
    layout : {"auto", "tsne", "pca"}, default "auto"
        How photos are placed; by default t-SNE of 10 to 5,000 photos if more than three concepts matter, else two
        principal components.
    level : float, default 0.95
        Level of all intervals, above 0 and below 1.
    thumbnails : int, default 64
        Longer side, in pixels, of the small pictures that are kept; 0 keeps none.
    seed : int, default 0
        Of the layout.

    Raises
    ------
    TypeError
        If an option is of another type.
    ValueError
        If an option is out of range.

    Notes
    -----
    Cost: one forward a photo, and none for the bank's own photos where all behind the layer is affine. Behind an affine
    head contributions and muted predictions come from codes alone; elsewhere they take 16 gradients and as many passes
    behind the layer as there are concepts, a photo. Memory: about 30 bytes a photo and concept, and 2 KB a thumbnail;
    the photos themselves are not kept.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> photos = ww.examples.photos()
    >>> bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, photos)
    >>> graph = ww.Strategies().run(model, bank, photos, labels={"coffee": "espresso"} | dict.fromkeys(
    ...     ["chelsea", "rocket", "camera"]))
    >>> graph.importance.shape, graph.prevalence.totals.tolist()
    ((4, 3), [4, 4, 4])
    """

    normalise: Literal["l1"] | None = "l1"
    presence: float = 0.08
    population: Population = "predicted"
    layout: LayoutMethod = "auto"
    level: float = 0.95
    thumbnails: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every option."""
        if self.normalise not in ("l1", None):
            raise ValueError(f"normalise: wanted 'l1' or None, got {self.normalise!r}.")
        object.__setattr__(self, "presence", between("presence", self.presence, 0, 1))
        if self.population not in POPULATIONS:
            raise ValueError(f"population: wanted one of {list(POPULATIONS)}, got {self.population!r}.")
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout: wanted one of {list(LAYOUTS)}, got {self.layout!r}.")
        object.__setattr__(self, "level", between("level", self.level, 0, 1))
        object.__setattr__(self, "thumbnails", integer("thumbnails", self.thumbnails, 0, _LARGEST_SIDE))
        object.__setattr__(self, "seed", integer("seed", self.seed, 0, _MAX_SEED - 1))

    def __repr__(self) -> str:
        kept = [f"{o.name}={getattr(self, o.name)!r}" for o in fields(self) if getattr(self, o.name) != o.default]
        return f"Strategies({', '.join(kept)})"

    def run(
        self,
        model: VisionModel,
        bank: ConceptBank,
        images: Any = None,
        *,
        labels: Any = None,
        like: StrategyGraph | None = None,
        progress: bool | None = None,
    ) -> StrategyGraph:
        """Find what every photo was classified for, and place the photos.

        Parameters
        ----------
        model : VisionModel
            The network that the bank came from.
        bank : ConceptBank
            The concepts.
        images : dict, sequence, folder, dataset or iterable of images, optional
            The set; by default the bank's own photos, which behind an affine head costs no forward.
        labels : mapping of str to label, or sequence of labels, optional
            What each photo is: an id or name of a class, or None where it is not known; by the photos' names, or in
            their order. Of a network with a single logit True or False. Without labels reliability is unknown.
        like : StrategyGraph, optional
            An earlier graph, whose positions are started from: photos with the same name stay about where they were.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Returns
        -------
        StrategyGraph
            The record.

        Raises
        ------
        TypeError
            If an image or a label cannot be read.
        ValueError
            If the bank is of another network or unfinished, no photo is left, or labels do not go with the photos.
        FloatingPointError
            If features are NaN or infinite; the message names the photo.
        ImportError
            If ``layout="tsne"``, for more than 500 photos, and scikit-learn is not installed.

        Warns
        -----
        UserWarning
            If the weights changed meanwhile.
        """
        import warnings

        graph: StrategyGraph | None = None
        steps = self.steps(model, bank, images, labels=labels, like=like, previews=False)
        for step in with_bar(steps, "strategies", "photo", progress=progress):
            graph = step.record
        if graph is None:
            raise RuntimeError("strategies: the computation ended without a record.")
        if graph.provenance.changed:
            warnings.warn("The weights changed while it was computed.", UserWarning, stacklevel=2)
        return graph

    def stream(
        self,
        model: VisionModel,
        bank: ConceptBank,
        images: Any = None,
        *,
        labels: Any = None,
        like: StrategyGraph | None = None,
    ) -> Iterator[StrategyGraph]:
        """Find what every photo was classified for, yielding graphs of ever more photos.

        Parameters
        ----------
        model : VisionModel
            The network.
        bank : ConceptBank
            The concepts.
        images : collection of images, optional
            The set; the bank's own photos by default.
        labels : mapping or sequence of labels, optional
            What each photo is.
        like : StrategyGraph, optional
            An earlier graph, whose positions are started from.

        Yields
        ------
        StrategyGraph
            Of the photos so far, placed by principal components; the last one is that of `run`. Each is valid to stop
            at. Nothing is held between two of them.
        """
        last: StrategyGraph | None = None
        for step in self.steps(model, bank, images, labels=labels, like=like):
            if step.record is not None and step.record is not last:
                last = step.record
                yield last

    def submit(
        self,
        model: VisionModel,
        bank: ConceptBank,
        images: Any = None,
        *,
        labels: Any = None,
        like: StrategyGraph | None = None,
    ) -> Job[StrategyGraph]:
        """Make a job that does it on the worker thread.

        Parameters
        ----------
        model : VisionModel
            The network.
        bank : ConceptBank
            The concepts.
        images : collection of images, optional
            The set; the bank's own photos by default.
        labels : mapping or sequence of labels, optional
            What each photo is.
        like : StrategyGraph, optional
            An earlier graph, whose positions are started from.

        Returns
        -------
        Job
            Not started yet: ``start()`` or ``wait()`` does.
        """
        return Job(
            lambda: self.steps(model, bank, images, labels=labels, like=like),
            device=str(model.device),
            name="strategies",
        )

    def steps(
        self,
        model: VisionModel,
        bank: ConceptBank,
        images: Any = None,
        *,
        labels: Any = None,
        like: StrategyGraph | None = None,
        previews: bool = True,
    ) -> Iterator[Step[StrategyGraph]]:
        """Do it in steps, yielding after every batch of photos and while they are placed.

        Parameters
        ----------
        model : VisionModel
            The network.
        bank : ConceptBank
            The concepts.
        images : collection of images, optional
            The set; the bank's own photos by default.
        labels : mapping or sequence of labels, optional
            What each photo is.
        like : StrategyGraph, optional
            An earlier graph, whose positions are started from.
        previews : bool, default True
            Whether to make graphs of the photos so far.

        Yields
        ------
        Step
            Photos done and to do, the stage (``"photos"`` or ``"layout"``), and the best graph so far or None.
        """
        from whatwhere.strategies._run import StrategiesRun

        yield from StrategiesRun(self, model, bank, images, labels=labels, like=like, previews=previews).steps()
