"""The record of strategies: what every photo was classified for, who is near whom, what can be relied on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.concepts.comparison import Comparison
from whatwhere.strategies.division import Divided
from whatwhere.strategies.groups import NOBODY
from whatwhere.strategies.naming import Named
from whatwhere.strategies.telling import caveats, describe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from whatwhere.classes import ClassNames
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.model import VisionModel
    from whatwhere.provenance import Provenance
    from whatwhere.strategies.clusters import ClusterMethod, Clusters
    from whatwhere.strategies.figures import Panel
    from whatwhere.strategies.groups import By
    from whatwhere.strategies.layout import Layout
    from whatwhere.strategies.ledger import Ledger
    from whatwhere.strategies.muting import Muting
    from whatwhere.strategies.shortcuts import Shortcut
    from whatwhere.strategies.strategies import Strategies
    from whatwhere.strategies.tables import Rows


@dataclass(frozen=True, eq=False, repr=False)
class StrategyGraph(Divided, Named):
    """What a set of photos was classified for: a point a photo, near where the reasons are alike.

    Parameters
    ----------
    images : tuple of str
        Names of the photos.
    explained : Ledger
        The explained logit of each photo, shared out among the concepts. The explained class is the bank's or, where
        it has none, the one that the photo is predicted as.
    other : Ledger or None
        The same of the class to compare with: what the photo is if that is another, or, for ``population="labelled"``,
        what it was taken for; else the next likeliest. None of a network with a single logit.
    predictions : ndarray of shape (n,), int64
        Predicted class of each photo; -2 of a single logit that is not above 0.
    labels : ndarray of shape (n,), int64
        What each photo is: a class id, -1 where that is not known, -2 where it is none of the classes.
    probabilities : ndarray of shape (n,), float32
        Probability of the explained class, 0 to 1.
    muting : Muting
        What becomes of each prediction when a concept is taken away.
    positions : ndarray of shape (n, 2), float32
        Where photos are drawn: centred, with a standard deviation of 1 along the wider axis. The axes have no unit.
    layout : Layout
        How positions were found.
    ids : tuple of int
        The concepts' ids, as in the bank.
    concept_names : mapping of int to str
        What a person called them, by id.
    method : Strategies
        The method with its options.
    provenance : Provenance
        What made it.
    bank : str
        The bank that it is of, by its `key`.
    target : int or None
        The explained class; None where each photo is explained by its predicted class.
    layer : str
        The bank's layer.
    affine : bool
        Whether all behind the layer is affine: contributions are then exact.
    class_names : ClassNames
        Names by id.
    left_out : tuple of str
        Photos that are not of the population: not predicted as the class or, for ``population="labelled"``, not of it.
    n_forwards : int
        Photos that the network looked at for it.
    thumbnails : tuple of bytes
        A JPEG file for each photo; empty if none were asked for.
    complete : bool, default True
        Whether all photos are in it.

    Notes
    -----
    Three rules say which concept a photo belongs to; `by` has all. Prevalence and reliability go by *presence*, since
    a photo may be classified for several reasons and one strong concept hides the others from any rule that picks one:
    at a last layer one concept often is the strongest of nearly all photos. Where a single concept is needed, as for a
    colour, *distinctive* tells photos apart, and *strongest* is the rule of the literature.
    """

    images: tuple[str, ...]
    explained: Ledger
    other: Ledger | None
    predictions: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    muting: Muting
    positions: NDArray[np.float32]
    layout: Layout
    ids: tuple[int, ...]
    concept_names: Mapping[int, str]
    method: Strategies
    provenance: Provenance
    bank: str
    target: int | None
    layer: str
    affine: bool
    class_names: ClassNames
    left_out: tuple[str, ...] = ()
    n_forwards: int = 0
    thumbnails: tuple[bytes, ...] = ()
    complete: bool = True

    def __post_init__(self) -> None:
        """Check that all parts are of the same photos and concepts, and hold every array against writing."""
        n, r = len(self.images), len(self.ids)
        shapes = {
            "explained": (self.explained.concepts.shape, (n, r)),
            "muting": (self.muting.drops.shape, (n, r)),
            "predictions": (self.predictions.shape, (n,)),
            "labels": (self.labels.shape, (n,)),
            "probabilities": (self.probabilities.shape, (n,)),
            "positions": (self.positions.shape, (n, 2)),
        }
        if self.other is not None:
            shapes["other"] = (self.other.concepts.shape, (n, r))
        for name, (got, wanted) in shapes.items():
            if got != wanted:
                raise ValueError(f"{name}: wanted shape {wanted} for {n} photos and {r} concepts, got {got}.")
        for name, numbers in (("explained", self.explained.concepts), ("positions", self.positions)):
            if bad := int((~np.isfinite(numbers)).sum()):
                raise ValueError(f"{name}: wanted finite numbers, got {bad} of {numbers.size} that are not.")
        for name in ("predictions", "labels", "probabilities", "positions"):
            getattr(self, name).flags.writeable = False

    @classmethod
    def of(
        cls,
        model: VisionModel,
        bank: ConceptBank,
        images: Any = None,
        labels: Any = None,
        *,
        like: StrategyGraph | None = None,
        progress: bool | None = None,
        **options: Any,
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
            their order. Without labels reliability is unknown.
        like : StrategyGraph, optional
            An earlier graph, whose positions are started from.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.
        **options
            Options of `whatwhere.Strategies`.

        Returns
        -------
        StrategyGraph
            As from ``Strategies(**options).run(model, bank, images, labels=labels)``.

        Raises
        ------
        TypeError, ValueError, FloatingPointError
            See `whatwhere.Strategies.run`.
        """
        from whatwhere.strategies.strategies import Strategies

        return Strategies(**options).run(model, bank, images, labels=labels, like=like, progress=progress)

    def __len__(self) -> int:
        return len(self.images)

    def select(
        self,
        concept: int | str | None = None,
        *,
        correct: bool | None = None,
        by: By = "presence",
    ) -> NDArray[np.int64]:
        """Choose photos.

        Parameters
        ----------
        concept : int or str, optional
            Those that have, or belong to, this concept: its row, letter or name; -1 chooses those that no concept
            supports.
        correct : bool, optional
            Those that are right, or wrong; photos whose class is not known are neither.
        by : {"presence", "strongest", "distinctive"}, default "presence"
            The rule for `concept`.

        Returns
        -------
        ndarray of shape (m,), int64
            Their rows, for `names_of` and all arrays of the record.

        Raises
        ------
        ValueError
            If there is no such concept or rule.
        """
        chosen = np.ones(len(self), dtype=bool)
        groups = self.by(by)
        if concept is not None:
            nobody = not isinstance(concept, str) and concept == NOBODY
            chosen &= groups.unsupported if nobody else groups.members[:, self.concept_of(concept)]
        if correct is not None:
            chosen &= self.known & (self.right == correct)
        return np.flatnonzero(chosen)

    def names_of(self, rows: Any) -> list[str]:
        """Name photos.

        Parameters
        ----------
        rows : sequence of int
            Their rows, as from `select`.

        Returns
        -------
        list of str
            Their names.
        """
        return [self.images[int(row)] for row in rows]

    def compare(self, image: int | str) -> Comparison:
        """Tell why a photo was read as one class and not as another: what each concept adds to either logit.

        Parameters
        ----------
        image : int or str
            The photo's row, or its name.

        Returns
        -------
        Comparison
            The predicted class beside what the photo is; where that is the same or not known, beside the next
            likeliest.

        Raises
        ------
        ValueError
            If there is no such photo, or the network has a single logit.
        """
        n = self._row_of(image)
        if self.other is None:
            raise ValueError("image: a network with a single logit has no other class to compare with.")
        first, second = self.explained, self.other
        if first.classes[n] != self.predictions[n] == second.classes[n]:
            first, second = second, first
        told = {
            name: np.stack([getattr(first, name)[n], getattr(second, name)[n]])
            for name in ("residuals", "bases", "gaps", "logits")
        }
        return Comparison(
            image=self.images[n],
            classes=(int(first.classes[n]), int(second.classes[n])),
            kind="true" if second.classes[n] == self.labels[n] else "next",
            contributions=np.stack([first.concepts[n], second.concepts[n]]),
            ids=self.ids,
            class_names=self.class_names,
            concept_names=self.concept_names,
            **told,
        )

    def _row_of(self, image: int | str) -> int:
        if isinstance(image, str):
            if image not in self.images:
                raise ValueError(f"image: wanted one of the {len(self)} photos, got {image!r}.")
            return self.images.index(image)
        if not 0 <= image < len(self):
            raise ValueError(f"image: wanted a row from 0 to {len(self) - 1} or a name, got {image}.")
        return int(image)

    def shortcuts(self, *, common: float | None = None, moved: float = 0.2) -> tuple[Shortcut, ...]:
        """Tell which concepts may be shortcuts; `shortcut_rule` says the rule in words.

        Parameters
        ----------
        common : float, optional
            Share of the photos from which a concept is common, above 0 and below 1; by default 0.25, and 0.05 where
            photos are of many classes, each with concepts of its own.
        moved : float, default 0.2
            Mean drop in probability, and share of photos that change class, from which a concept decides.

        Returns
        -------
        tuple of Shortcut
            One a concept, with a verdict and its numbers in words.

        Raises
        ------
        TypeError, ValueError
            If a bar is no number in its range.

        Notes
        -----
        Prevalence and reliability alone miss a shortcut that all photos share: without photos that lack it nothing
        tells whether it is to be relied on. What taking it away does then is all there is, and a person has to look.
        """
        from whatwhere.strategies.shortcuts import find_shortcuts

        return find_shortcuts(self, common=common, moved=moved)

    def shortcut_rule(self, *, common: float | None = None, moved: float = 0.2) -> str:
        """Say by which rule `shortcuts` are told, in words and numbers.

        Parameters
        ----------
        common : float, optional
            As for `shortcuts`.
        moved : float, default 0.2
            Likewise.

        Returns
        -------
        str
            A few sentences.
        """
        from whatwhere.strategies.shortcuts import rule_of

        return rule_of(self, common, moved)

    def clusters(self, count: int | None = None, *, method: ClusterMethod = "kmeans", seed: int = 0) -> Clusters:
        """Divide photos by their whole mix of concepts; see `whatwhere.strategies.clusters.find_clusters`.

        Parameters
        ----------
        count : int, optional
            How many clusters; by default the number with the largest mean silhouette, or one if that is 0.25 or less.
        method : {"kmeans", "ward"}, default "kmeans"
            How.
        seed : int, default 0
            Of K-means.

        Returns
        -------
        Clusters
            The largest first.

        Raises
        ------
        ImportError
            If scikit-learn is not installed.
        ValueError
            If there are fewer different photos than clusters.
        """
        from whatwhere.strategies.clusters import find_clusters

        return find_clusters(self, count, method=method, seed=seed)

    def table(self, rows: Rows = "concepts", *, by: By = "presence") -> dict[str, list[Any]]:
        """Lay the graph out in columns; see `whatwhere.strategies.tables.table`.

        Parameters
        ----------
        rows : {"concepts", "images"}, default "concepts"
            What a row is.
        by : {"presence", "strongest", "distinctive"}, default "presence"
            The rule for prevalence and reliability of concepts.

        Returns
        -------
        dict of str to list
            Columns of equal length.
        """
        from whatwhere.strategies.tables import table

        return table(self, rows, by=by)

    def to_pandas(self, rows: Rows = "concepts", *, by: By = "presence") -> Any:
        """Lay the graph out as a pandas table.

        Parameters
        ----------
        rows : {"concepts", "images"}, default "concepts"
            What a row is.
        by : {"presence", "strongest", "distinctive"}, default "presence"
            The rule for prevalence and reliability of concepts.

        Returns
        -------
        pandas.DataFrame
            Its index are the concepts' letters, or the photos' names.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        from whatwhere.strategies.tables import to_pandas

        return to_pandas(self, rows, by=by)

    def to_plotly(self, *, by: By = "distinctive") -> Any:
        """Make a Plotly figure: photos by reason, and prevalence against reliability.

        Parameters
        ----------
        by : {"distinctive", "strongest"}, default "distinctive"
            The rule that colours photos.

        Returns
        -------
        plotly.graph_objects.Figure
            Two panels; hues have letters, and right and wrong have shapes.

        Raises
        ------
        ImportError
            If Plotly is not installed.
        """
        from whatwhere.strategies.figures import to_plotly

        return to_plotly(self, by=by)

    def plot(self, *, ax: Any = None, panel: Panel = "strategies", by: By = "distinctive") -> Any:
        """Draw on Matplotlib's axes.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to; the current axes by default.
        panel : {"strategies", "reliability"}, default "strategies"
            Photos by reason, or prevalence against reliability.
        by : {"distinctive", "strongest"}, default "distinctive"
            The rule that colours photos.

        Returns
        -------
        matplotlib.axes.Axes
            The axes.

        Raises
        ------
        ImportError
            If there are no axes and Matplotlib is not installed.
        """
        from whatwhere.strategies.figures import plot

        return plot(self, ax=ax, panel=panel, by=by)

    def picture(self, *, by: By = "distinctive", width: int = 880) -> Image.Image:
        """Draw photos by reason, and how common and reliable each reason is.

        Parameters
        ----------
        by : {"distinctive", "strongest"}, default "distinctive"
            The rule that colours photos.
        width : int, default 880
            Width in pixels, at least 480.

        Returns
        -------
        PIL.Image.Image
            An RGB picture.
        """
        from whatwhere.strategies.picture import draw_graph

        return draw_graph(self, by=by, width=width)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from whatwhere.drawing import mime_bundle

        del include, exclude
        return mime_bundle(self.picture(), self.describe())

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NDArray[Any]:
        """Return `importance`."""
        del copy
        return self.importance.astype(dtype or np.float32)

    def save(self, path: str | Path, *, thumbnails: bool = True) -> None:
        """Write the graph to one file, without the photos themselves.

        Parameters
        ----------
        path : path
            Usually with the ending ``.safetensors``; an existing file is replaced when the new one is whole.
        thumbnails : bool, default True
            Whether the small pictures go with it.
        """
        from whatwhere.strategies.saving import save

        save(self, path, thumbnails=thumbnails)

    @classmethod
    def load(cls, path: str | Path) -> StrategyGraph:
        """Read a graph from a file.

        Parameters
        ----------
        path : path
            A file that `save` has written.

        Returns
        -------
        StrategyGraph
            The same graph.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is of another kind, broken, or from a newer version.
        """
        from whatwhere.strategies.saving import load

        return load(path)

    def describe(self) -> str:
        """Say in a few lines what the graph holds.

        Returns
        -------
        str
            For people.
        """
        return describe(self)

    def caveats(self) -> list[str]:
        """Say what a reader has to know before trusting the numbers.

        Returns
        -------
        list of str
            One sentence each; empty if there is nothing.
        """
        return caveats(self)

    def __repr__(self) -> str:
        return f"<StrategyGraph {len(self)} x {self.rank}: {self.describe()}>"
