"""Atlases in the making: of photos, class after class, or of concepts that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.atlas.by_class import PagesByClass
from whatwhere.atlas.closest import NOT_ASKED, Compass
from whatwhere.atlas.origin import Origin
from whatwhere.atlas.page import ClassPage
from whatwhere.atlas.page_store import Held
from whatwhere.jobs import Job
from whatwhere.progress import with_bar

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping
    from typing import Self

    from whatwhere.atlas.atlas import Atlas
    from whatwhere.classes import ClassNames
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.by_class import Targets
    from whatwhere.concepts.craft import Craft
    from whatwhere.jobs import Step
    from whatwhere.model import VisionModel
    from whatwhere.strategies.graph import StrategyGraph


class Making(PagesByClass):
    """What makes an atlas."""

    @classmethod
    def of(
        cls,
        model: VisionModel,
        images: Any,
        targets: Targets = None,
        *,
        labels: Any = None,
        craft: Craft | None = None,
        graphs: bool = True,
        folder: str | os.PathLike[str] | None = None,
        seed: int = 0,
        progress: bool | None = None,
    ) -> Atlas:
        """Make an atlas of photos: each is run once, and goes to the class that it is predicted as.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : dict, sequence, folder or dataset of images
            The set; no generator, since photos have to be known by name beforehand.
        targets : sequence of int or str, optional
            The classes; by default every class that enough photos are predicted as: one a concept.
        labels : mapping of str to label, or sequence of labels, optional
            What each photo is: an id or name of a class, or None where it is not known; by the photos' names, or in
            their order. Without labels graphs know nothing of reliability.
        craft : Craft, optional
            How concepts are extracted; by default ``Craft(n_concepts=10, seed=seed)``, which costs 17 forwards a photo
            of a class that is explained. ``Craft(10, fit_on="locations")`` costs one.
        graphs : bool, default True
            Whether it is found what the photos of each class were classified for.
        folder : path, optional
            Where pages are written, each when it is finished, and read from. A run that was stopped or killed goes on
            where it was when it is called again; no photo is run twice. What is there already is kept, and classes that
            are asked for are added to it. By default all is held in memory.
        seed : int, default 0
            Of the concepts, if `craft` is not given, and of the layouts of graphs.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Returns
        -------
        Atlas
            Of the classes that have enough photos; `skipped` says why others have no page.

        Raises
        ------
        TypeError
            If an argument or an image is of another kind.
        ValueError
            If a class or a label is not known, no class has enough photos, an image cannot be read, the layer cannot be
            cut or lies on no grid, or `folder` holds an atlas of another network, method, set of images or labels (the
            message says which).
        FloatingPointError
            If features are NaN or infinite; the message names the image.

        Warns
        -----
        UserWarning
            If files could not be read and were left out, the weights changed meanwhile, or files of `folder` were
            broken and are made again.

        Notes
        -----
        Cost: forwards as for ``Craft(…).by_class``, and none for graphs behind an affine head. With `folder` the photos
        are read once more, to hash them, and features of photos lie in it until it is finished: 250 KB a photo at the
        last layer of EfficientNet-Lite0, half of the free disk at most. Memory: with `folder`, one class at a time
        beside what is being extracted.
        """
        import warnings

        atlas: Atlas | None = None
        steps = cls.steps(model, images, targets, labels=labels, craft=craft, graphs=graphs, folder=folder, seed=seed)
        for step in with_bar(steps, "atlas", "forward", progress=progress):
            atlas = step.record
        if atlas is None:
            raise RuntimeError("atlas: the computation ended without a record.")
        for said in atlas.caveats():
            warnings.warn(said, UserWarning, stacklevel=2)
        return atlas

    @classmethod
    def stream(cls, model: VisionModel, images: Any, targets: Targets = None, **options: Any) -> Iterator[Atlas]:
        """Make an atlas, yielding it with more and more classes.

        Parameters
        ----------
        model, images, targets : object
            As for `of`.
        **options
            ``labels, craft, graphs, folder, seed``, as for `of`.

        Yields
        ------
        Atlas
            After every class; each is valid to stop at.
        """
        last: Atlas | None = None
        for step in cls.steps(model, images, targets, **options):
            if step.record is not None and step.record is not last:
                last = step.record
                yield last

    @classmethod
    def submit(cls, model: VisionModel, images: Any, targets: Targets = None, **options: Any) -> Job[Atlas]:
        """Make a job that makes an atlas on the worker thread.

        Parameters
        ----------
        model, images, targets : object
            As for `of`; targets are resolved at once.
        **options
            ``labels, craft, graphs, folder, seed``, as for `of`.

        Returns
        -------
        Job
            Not started yet: ``start()`` or ``wait()`` does. A job that is stopped keeps the classes finished so far.
        """
        from whatwhere.concepts.by_class import read_targets

        ids = read_targets(model, targets)
        return Job(lambda: cls.steps(model, images, ids, **options), device=str(model.device), name="atlas")

    @classmethod
    def steps(
        cls,
        model: VisionModel,
        images: Any,
        targets: Targets = None,
        *,
        labels: Any = None,
        craft: Craft | None = None,
        graphs: bool = True,
        folder: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> Iterator[Step[Atlas]]:
        """Make an atlas, yielding after every batch and every class.

        Parameters
        ----------
        model, images, targets, labels, craft, graphs, folder, seed : object
            As for `of`.

        Yields
        ------
        Step
            Forwards done and to do, the stage as from `Craft.steps` or ``"photos"``, ``"layout"`` and ``"class"``, and
            the atlas of the classes finished so far, or None.
        """
        from whatwhere.atlas._run import AtlasRun

        yield from AtlasRun(
            model, images, targets, labels=labels, craft=craft, graphs=graphs, folder=folder, seed=seed
        ).steps()

    @classmethod
    def from_banks(
        cls,
        banks: Mapping[int, ConceptBank],
        graphs: Mapping[int, StrategyGraph] | None = None,
        *,
        model: VisionModel | None = None,
    ) -> Self:
        """Make an atlas of concepts that there are, such as those of ``Craft(…).by_class``.

        Parameters
        ----------
        banks : mapping of int to ConceptBank, or ClassBanks
            By class id; of one layer of one network.
        graphs : mapping of int to StrategyGraph, optional
            What their photos were classified for, by class id.
        model : VisionModel, optional
            The network; needed for `alignment`.

        Returns
        -------
        Atlas
            In memory.

        Raises
        ------
        ValueError
            If there is no bank, or one is of another network or layer than the others, of no class, or under another
            id than that of its class.
        """
        from whatwhere.concepts.class_banks import ClassBanks

        if not banks:
            raise ValueError("banks: wanted one at least, got none.")
        graphs, pages, compass = graphs or {}, {}, None if model is None else Compass(model)
        nothing = None, NOT_ASKED
        for target, bank in banks.items():
            graph = graphs.get(target)
            if bank.target is not None and bank.target != target:
                raise ValueError(f"banks: wanted each by the id of its class, got one of {bank.target} as {target}.")
            pages[target] = ClassPage(bank, graph, *(nothing if compass is None else compass.closest(bank)))
        origin, names = _common(pages)
        skipped = banks.left_out if isinstance(banks, ClassBanks) else {}
        return cls(Held(pages), origin, names, skipped)


def _common(pages: Mapping[int, ClassPage]) -> tuple[Origin, ClassNames]:
    """Return what pages have in common, and refuse those that do not go together."""
    first = next(iter(pages.values()))
    origin = Origin.of(first)
    for page in pages.values():
        origin.check(page)
    return origin, first.bank.class_names
