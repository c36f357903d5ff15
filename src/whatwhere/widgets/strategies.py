"""StrategyView: what photos were classified for, and whether it can be relied on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets

from whatwhere.concepts.picture import draw_words
from whatwhere.jobs import Job, Step
from whatwhere.pixels.images import name_images
from whatwhere.widgets._calls import Calls
from whatwhere.widgets._displayed import Displayed
from whatwhere.widgets._errands import Errands, clicks
from whatwhere.widgets._full_photos import FullPhotos
from whatwhere.widgets._gallery import Showing
from whatwhere.widgets._linked import LinkedView
from whatwhere.widgets._status import at_rest, describe_error, describe_work, resting_state
from whatwhere.widgets._strategy_data import (
    NOTEBOOK,
    PAGE,
    encode_crops,
    encode_points,
    encode_sprite,
    encode_sums,
    order_of,
)
from whatwhere.widgets._strategy_photos import PhotoSource
from whatwhere.widgets._strategy_words import describe_concepts, describe_graph
from whatwhere.widgets._traits import ConceptIds
from whatwhere.widgets._view import WIRE, FrameGate, bundle
from whatwhere.widgets.selection import those_known

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from PIL import Image

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.comparison import Comparison
    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import Photo
    from whatwhere.strategies.graph import StrategyGraph
    from whatwhere.widgets._errands import Errand
    from whatwhere.widgets._strategy_data import Budget
    from whatwhere.widgets.selection import Selection

_TOLD = WIRE["strategies"]
_FALLBACK_BYTES = 24_000
_WORKER = "photos"  # of a view without a network: reading waits for nobody
NO_GRAPH = "No photos yet: view.start() looks at them."


class ImageNames(traitlets.List[Any]):
    """Names of photos, each once; of those of the view's graph, once it is there."""

    info_text = "a list of names of photos"

    def validate(self, obj: Any, value: Any) -> list[str]:
        """Check every name.

        Parameters
        ----------
        obj : StrategyView
            The view.
        value : sequence of str
            What was assigned.

        Returns
        -------
        list of str
            The same.

        Raises
        ------
        TraitError
            If it is no list of names, or one of them is no photo of the graph.
        """
        if not isinstance(value, list | tuple):
            raise traitlets.TraitError(f"{self.name}: wanted a list of names of photos, got {type(value).__name__}.")
        rows = obj._rows  # noqa: SLF001  # the trait belongs to the view
        unknown = next((one for one in value if not isinstance(one, str) or (rows and one not in rows)), None)
        if unknown is not None:
            raise traitlets.TraitError(f"{self.name}: wanted names of the {len(rows)} photos, got {unknown!r}.")
        return list(dict.fromkeys(value))


class StrategyView(Displayed, FullPhotos, Showing, LinkedView):
    """What photos were classified for: near where the reasons are alike, and whether a reason can be relied on.

    Parameters
    ----------
    graph : StrategyGraph or Job of StrategyGraph
        The photos. A job (``Strategies(…).submit(…)``) is started at first display, and shown while photos come in.
    model : VisionModel, optional
        The network, for where concepts are on photos that are not the bank's.
    images : dict, sequence or folder of images, optional
        Whole photos, by the graph's names; others are left out. By default the graph's thumbnails are shown.
    bank : ConceptBank or Job of ConceptBank, optional
        The concepts that the graph is of: tells where they are on the photo that is looked at. A job is not started; it
        has to have ended when the graph's does.
    selection : Selection, optional
        Photos and concepts that are chosen, shared with other views; by default one of its own.
    **traits : object
        Initial values of the attributes below.

    Attributes
    ----------
    selected_images : list of str
        Names of the photos that are chosen: those of ``selection.images`` that the graph has. The first is looked at.
        At first, if nothing is selected, the misread photo that the network is surest of.
    selected_concepts : list of int
        Ids of concepts; photos that have none of them are dimmed.
    by : {"distinctive", "strongest"}
        Which concept gives a photo its colour: the one whose share is highest against the mean of all photos, or the
        one that adds most to its logit.
    counting : {"presence", "strongest"}
        What the second panel counts: photos that have a concept, or those whose strongest it is.
    only_mistakes : bool
        Whether only misread photos are shown; default False.

    Raises
    ------
    TypeError, ValueError
        If `graph` is something else, the bank is of another graph or the network has other weights, or none of the
        images is one of the graph's.
    TraitError
        If an attribute gets a value it cannot take.

    Notes
    -----
    Lists are told to the browser when they are assigned, not when they are changed in place. A photo costs the browser
    about 20 bytes, and its name; a notebook that is saved holds these for all photos.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, ww.examples.photos())
    >>> graph = ww.Strategies().run(model, bank, labels={"coffee": "espresso"} | dict.fromkeys(
    ...     ["chelsea", "rocket", "camera"]))
    >>> view = ww.StrategyView(graph, model, bank=bank)
    >>> view.selected_images = ["coffee", "rocket"]
    >>> view.comparison().classes[0]
    967
    """

    kind = "strategies"
    _esm = bundle("strategies.js")

    selected_images = ImageNames().tag(sync=True)
    selected_concepts = ConceptIds().tag(sync=True)
    by = traitlets.Enum(_TOLD["rules"], "distinctive").tag(sync=True)
    counting = traitlets.Enum(_TOLD["countings"], "presence").tag(sync=True)
    only_mistakes = traitlets.Bool(False).tag(sync=True)

    _title = traitlets.Unicode().tag(sync=True)
    _graph = traitlets.Dict().tag(sync=True)
    _concepts: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _points = traitlets.Dict().tag(sync=True)
    _classes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _sums = traitlets.Dict().tag(sync=True)
    _sprite = traitlets.Dict().tag(sync=True)
    _crops = traitlets.Dict().tag(sync=True)
    _strip = traitlets.Dict().tag(sync=True)
    _look = traitlets.Dict().tag(sync=True)
    _status = traitlets.Dict().tag(sync=True)
    _seq = traitlets.Int(0).tag(sync=True)

    _calls: ClassVar[Calls] = Calls(
        network="StrategyView(graph, model, photos, bank=bank)", photos="StrategyView(graph, images={name: photo, …})"
    )
    _mirrors = ("selected_images", "selected_concepts")
    _followed = ("images", "concepts")
    _handlers: ClassVar[dict[str, str]] = {
        "ack": "_on_ack",
        "start": "_on_start",
        "stop": "_on_stop",
        "full": "_on_full",
        "thumbnails": "_on_thumbnails",
    }

    def __init__(
        self,
        graph: StrategyGraph | Job[StrategyGraph],
        model: VisionModel | None = None,
        images: Any = None,
        *,
        bank: ConceptBank | Job[ConceptBank] | None = None,
        selection: Selection | None = None,
        **traits: Any,
    ) -> None:
        self._source = _as_job(graph)
        self._given = not isinstance(graph, Job)
        self._model, self._bank = model, bank
        self._images = None if images is None else name_images(images)
        self._record: StrategyGraph | None = None
        self._photos: PhotoSource | None = None
        self._rows: dict[str, int] = {}
        self._looked: object = None
        self._seen: dict[str, Any] = {}
        self._gate, self._begun = FrameGate(), False
        device = _WORKER if model is None else str(model.device)
        self._errands, self._deliveries = Errands(device, lambda: None), Errands(_WORKER, lambda: None)
        self._unwatch: Callable[[], None] = lambda: None
        self._refusal: dict[str, str] | None = None
        ready = self._source.record if isinstance(graph, Job) else graph
        if ready is not None:
            self._adopt(ready)
        self._join(selection)
        told = [name for name in self._mirrors if name in traits]
        super().__init__(**(self._initial() | self._chosen_elsewhere() | traits))
        self._agree(told)
        self._begin_to_follow()
        self._publish(force=True)
        if not self._given:
            self._unwatch = self._source.watch(lambda _: self._say("graph"))
        self.observe(self._on_choice, list(self._mirrors))

    # -- for Python ---------------------------------------------------------------------------------------------------

    @property
    def graph(self) -> StrategyGraph | None:
        """The graph that is shown; None before there is one."""
        return self._record

    @property
    def ids(self) -> list[int] | None:
        """Ids of the concepts; None before there are any."""
        return None if self._record is None else list(self._record.ids)

    @property
    def job(self) -> Job[StrategyGraph]:
        """The job that makes the graph; of a finished graph one that gives it back."""
        return self._source

    @property
    def selected_rows(self) -> NDArray[np.int64]:
        """Rows of `selected_images`, for all arrays of the graph."""
        return np.array([self._rows[name] for name in self.selected_images if name in self._rows], dtype=np.int64)

    def comparison(self) -> Comparison:
        """Tell why the photo that is looked at was read as one class and not as another.

        Returns
        -------
        Comparison
            From `whatwhere.StrategyGraph.compare`, of the first of `selected_images`.

        Raises
        ------
        ValueError
            If no photo is selected, or the network has a single logit.
        """
        if self._record is None or not self.selected_images:
            raise ValueError("selected_images: wanted a photo to compare the classes of, got none.")
        return self._record.compare(self._rows[self.selected_images[0]])

    def start(self) -> Job[StrategyGraph]:
        """Start, or continue, what `job` does.

        Returns
        -------
        Job
            The job.

        Raises
        ------
        RuntimeError
            If the view was closed.
        """
        self._refuse_if_closed()
        self._begun = True
        self._source.start(priority=next(clicks))
        self._say("graph")
        self._look_at()
        return self._source

    def stop(self) -> None:
        """Stop all that is being computed; what there is stays, and `start` continues."""
        self._source.stop()
        self._errands.drop_all()

    def _let_go(self) -> None:
        if hasattr(self, "_unwatch"):  # a view that refused its graph is collected half made
            self._unwatch()
            self._errands.drop_all()
            self._deliveries.drop_all()
            if self._begun and not self._given:
                self._source.stop()  # it was given: it may be continued elsewhere
            self._record, self._photos, self._rows = None, None, {}
        super()._let_go()

    def headline(self) -> str:
        """Say what the view is about, as the title of a page.

        Returns
        -------
        str
            A few words.
        """
        about = "photos" if self._record is None or self._record.target is None else self._record.target_name
        return f"Why {self._title or 'the network'} reads {about} as it does"

    def picture(self) -> Image.Image:
        """Draw photos by reason, and how common and reliable each reason is.

        Returns
        -------
        PIL.Image.Image
            An RGB picture; it says so where there are no photos yet.
        """
        return draw_words(NO_GRAPH) if self._record is None else self._record.picture(by=self.by)

    def describe(self) -> str:
        """Say in a few lines what the view shows.

        Returns
        -------
        str
            The caption of `picture`.
        """
        return NO_GRAPH if self._record is None else self._record.describe()

    def __repr__(self) -> str:
        return f"<StrategyView: {self.describe()}>"

    def _fallback(self) -> tuple[Image.Image, dict[str, int]]:
        return self.picture(), {"jpeg_bytes": _FALLBACK_BYTES}

    # -- choices ------------------------------------------------------------------------------------------------------

    def _initial(self) -> dict[str, Any]:
        """Choose the photo to begin with: the misread one that the network is surest of, or the one it doubts most."""
        graph = self._record
        if graph is None or not len(graph):
            return {}
        misread = graph.select(correct=False)
        chances = graph.probabilities
        n = int(misread[chances[misread].argmax()]) if len(misread) else int(chances.argmin())
        return {"selected_images": [graph.images[n]]}

    def _chosen_elsewhere(self) -> dict[str, Any]:
        """Return what is selected already, as traits."""
        images, concepts = self._known_images(self.selection.images), self._known_concepts(self.selection.concepts)
        taken: dict[str, Any] = {"selected_concepts": concepts} if concepts else {}
        return {**taken, "selected_images": images} if images else taken

    def _known_images(self, names: Sequence[str]) -> list[str] | None:
        """Return what a selection of photos is in this view, or None if it has none of them."""
        return those_known(names, self._rows or None)

    def _known_concepts(self, ids: Sequence[int]) -> list[int] | None:
        return those_known(ids, None if self._record is None else self._record.ids)

    def _agree(self, told: Sequence[str]) -> None:
        """Agree with the selection: what was asked of the view holds, and what it shows where nothing is selected."""
        selection = self.selection
        if "selected_concepts" in told:
            selection.concepts = self.selected_concepts
        if "selected_images" in told or (not selection.images and self.selected_images):
            selection.images = self.selected_images

    def _follow(self, change: Any) -> None:
        """Take over what was selected elsewhere; what the view does not have leaves it as it is."""
        if change["name"] == "concepts":
            ids = self._known_concepts(change["new"])
            self.selected_concepts = self.selected_concepts if ids is None else ids
        else:
            names = self._known_images(change["new"])
            self.selected_images = self.selected_images if names is None else names

    def _on_choice(self, change: Any) -> None:
        """Tell the selection, and look at the photo that comes first."""
        selection = self.selection
        if change["name"] == "selected_concepts":
            if self.selected_concepts != self._known_concepts(selection.concepts):
                selection.concepts = self.selected_concepts
            return
        if self.selected_images != self._known_images(selection.images):
            selection.images = self.selected_images
        self._hold_sums()
        self._look_at()

    def _settle_choices(self) -> None:
        """Keep what was chosen while photos come in; observers are not called: one might wait for the worker."""
        chosen = self._chosen_elsewhere()
        kept = [name for name in self.selected_images if name in self._rows]
        chosen.setdefault("selected_images", kept or self._initial().get("selected_images", []))
        self._set_quietly(**chosen)
        if not self.selection.images and self._record is not None and self._record.complete:
            self.selection.settle(images=self.selected_images)

    def _settle_with_selection(self) -> None:
        """Take over what another view settled on, as quietly."""
        self._set_quietly(**self._chosen_elsewhere())

    # -- what the browser is told -------------------------------------------------------------------------------------

    def _concept_bank(self) -> ConceptBank | None:
        return self._bank.record if isinstance(self._bank, Job) else self._bank

    def _adopt(self, graph: StrategyGraph) -> None:
        """Take over a graph, and find its photos."""
        if self._record is None:
            _check_same(graph, self._concept_bank(), self._model)
        if self._images is not None and graph.complete and not any(name in self._images for name in graph.images):
            raise ValueError(
                f"images: wanted photos of the graph by its names, such as {graph.images[0]!r}, got "
                f"{len(self._images)} others, such as {next(iter(self._images))!r}."
            )
        self._record = graph
        self._rows = {name: n for n, name in enumerate(graph.images)}
        self._photos = PhotoSource(graph, self._images, self._concept_bank(), self._model, self._calls)

    def _say_now(self, key: str) -> None:
        del key
        self._publish()

    def _publish(self, *, force: bool = False) -> None:
        """Send what is new, if the browser has drawn the last, and the progress."""
        with self._exclusive():
            status = self._describe_status()  # read before the graph, so that "done" never comes before its photos
            try:
                self._publish_graph(force=force)
                if self._seen and self._seen is not self._look:
                    self.write(_look=self._seen)
            finally:
                if force or status["state"] != "computing" or self._gate.progress():
                    self.write(_status=self._describe_status() if self._refusal else status)

    def _publish_graph(self, *, force: bool) -> None:
        newest = self._record if self._given else self._source.record
        if newest is None or (newest is self._record and not force):
            return
        frame = self._gate.frame(force=force or not self._source.active)
        if frame is None:
            return
        if newest is not self._record:
            try:
                self._adopt(newest)
            except ValueError as error:  # of a job: who made it is told in the view
                self._refusal = {**describe_error(error), "what": "The graph does not go with what the view was given."}
                self._source.stop()
                return
            self._settle_choices()
        self.write(**self._encode(NOTEBOOK), _seq=frame)
        self._look_at()

    def _encode(self, budget: Budget) -> dict[str, Any]:
        graph, photos = self._record, self._photos
        if graph is None or photos is None or not len(graph):
            return {}
        order = order_of(graph, self.selected_rows[:1].tolist())
        return {
            **encode_points(graph),
            "_title": graph.provenance.model,
            "_graph": {**describe_graph(graph), "no_photos": photos.reason, "no_maps": photos.why_no_maps},
            "_concepts": describe_concepts(graph),
            "_sums": encode_sums(graph, order, budget),
            "_sprite": encode_sprite(photos, order, budget),
            "_crops": encode_crops(graph, self._concept_bank(), budget),
            "_strip": {"total": 0 if photos.reason else photos.total, "mark": photos.mark},
        }

    def _hold_sums(self) -> None:
        """Send the two logits of the photo that is looked at, unless the browser has them."""
        rows = self.selected_rows[:1].tolist()
        if self._record is not None and rows and all(held[0] != rows[0] for held in self._sums.get("rows", [])):
            self.write(_sums=encode_sums(self._record, order_of(self._record, rows), NOTEBOOK))

    def _look_at(self) -> None:
        """Read the photo that is looked at, on the worker, with where the concepts are on it."""
        photos, rows = self._photos, self.selected_rows[:1].tolist()
        if not self._begun or photos is None or not rows or self._looked == (photos.mark, rows[0]):
            return
        self._looked = (photos.mark, rows[0])
        self._errands.drop_all()  # the latest wins
        self._errands.run(("look", rows[0]), "photo", lambda: photos.look(rows[0]), self._on_looked)

    def _on_looked(self, errand: Errand) -> None:
        told, error = errand.job.record, errand.job.error
        n = errand.key[1]
        if told is None and error is not None and self._record is not None:
            nothing: dict[str, Any] = {"photo": b"", "grid": [0, 0], "maps": b""}
            told = {**nothing, "image": self._record.images[n], "reason": f"{type(error).__name__}: {error}"}
        if told is not None:
            self._seen = told
            self._say("look")  # from the worker, which waits for no lock

    def exported_state(self) -> dict[str, Any]:
        """Return the state that an exported page needs: more photos and sums, and nothing under way.

        Returns
        -------
        dict
            The view's own synced traits as they travel.
        """
        with self._exclusive():
            self._publish(force=True)
            state = {**super().exported_state(), **self._encode(PAGE)}
            rows = self.selected_rows[:1].tolist()
            if self._photos is not None and rows and self._look.get("image") != self.selected_images[0]:
                state["_look"] = next(iter(self._photos.look(rows[0]))).record
        return {**state, "_status": at_rest(state["_status"], self._resting)}

    def _describe_status(self) -> dict[str, Any]:
        told = describe_work(None if self._given else self._source, self._resting, self._refusal)
        return {**told, "seconds": self._source.seconds}

    @property
    def _resting(self) -> str:
        graph = self._record
        return resting_state(graph, complete=graph is not None and graph.complete)

    # -- what the browser asks ----------------------------------------------------------------------------------------

    def _gallery(self) -> PhotoSource | None:
        return None if self._photos is None or self._photos.reason else self._photos

    def _full_photo(self, name: str) -> Photo | None:
        return None if self._photos is None else self._photos.whole(name)


def _as_job(graph: Any) -> Job[StrategyGraph]:
    if isinstance(graph, Job):
        return graph
    from whatwhere.strategies.graph import StrategyGraph

    if not isinstance(graph, StrategyGraph):
        raise TypeError(
            "graph: wanted a StrategyGraph or a Job that makes one, as the run and submit of Strategies give, got "
            f"{type(graph).__name__}."
        )
    if not len(graph):
        raise ValueError("graph: wanted at least one photo, got none.")
    return Job(lambda: iter([Step(len(graph), len(graph), "layout", graph)]), device=_WORKER, name="strategies")


def _check_same(graph: StrategyGraph, bank: ConceptBank | None, model: VisionModel | None) -> None:
    """Check that bank and network are those of the graph."""
    if bank is not None and bank.key != graph.bank:
        raise ValueError(
            f"bank: wanted the bank that the graph is of, {graph.bank}, got {bank.key}: its concepts are others."
        )
    if model is not None and (own := model.fingerprint()) != graph.provenance.fingerprint:
        raise ValueError(
            f"model: wanted the network of the graph, {graph.provenance.model} with weights "
            f"{graph.provenance.fingerprint}, got {model.name} with {own}."
        )
