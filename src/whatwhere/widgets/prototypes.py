"""PrototypeView: what would excite a network most, beside what does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, overload

import traitlets

from whatwhere.concepts.picture import draw_words
from whatwhere.prototypes.picture import draw_prototypes
from whatwhere.widgets._displayed import Displayed
from whatwhere.widgets._errands import clicks
from whatwhere.widgets._linked import LinkedView
from whatwhere.widgets._proto_data import NOTEBOOK, PAGE, PrototypeData
from whatwhere.widgets._proto_source import NO_PROTOTYPES, read_source
from whatwhere.widgets._proto_words import class_of, concept_of
from whatwhere.widgets._status import at_rest, describe_work, resting_state
from whatwhere.widgets._view import WIRE, FrameGate, bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL import Image

    from whatwhere.jobs import Job
    from whatwhere.model import VisionModel
    from whatwhere.prototypes.examples import Examples
    from whatwhere.prototypes.maco import Maco
    from whatwhere.prototypes.record import Prototype
    from whatwhere.widgets.selection import Selection

_TOLD = WIRE["prototypes"]
_SHOWN = 6  # in the picture for hosts that show no widgets
_FALLBACK_BYTES = 24_000
_SHARE = 15  # a frame waits this many times as long as the last took to draw: drawing stays a small part of the work


class PrototypeView(Displayed, LinkedView):
    """What would excite a network most: prototypes that grow, beside the photos that really excite it.

    Parameters
    ----------
    prototypes : Prototype, sequence or mapping of Prototype, Job of them, or VisionModel
        Records; a job (``Maco(…).submit(…)``), which is started at first display and shown while it runs; or, with
        `targets`, a network: the job is then made here.
    targets : Target, class name, class id, or a sequence of them, optional
        With a network, what to excite.
    method : Maco or FourierVisualization, optional
        With a network, how; by default ``Maco()``. Several seeds, ``Maco(seed=(0, 1, 2))``, are shown side by side.
    model : VisionModel, optional
        With records or a job, their network; needed for `images`.
    images : images, optional
        Photos at hand, anything that `whatwhere.DatasetExamples` takes: those that excite a target most are shown
        beside its prototype, with their values on the same scale.
    selection : Selection, optional
        Concepts and class that are chosen, shared with other views; by default one of its own.
    **traits : object
        Initial values of the attributes below.

    Attributes
    ----------
    selected : int
        Number of the prototype that is looked at, in `prototypes`. Its concept or class is selected in all views that
        share the selection, and the other way round.
    percentile : float
        Percentile of alpha from which a pixel is opaque, in [0, 100]; default 80. Higher shows less.
    transparency : bool
        Whether what did not matter is transparent; default True.

    Raises
    ------
    TypeError, ValueError
        If `prototypes` is something else, the network has no such target, or other weights than the one that the
        records came from.
    TraitError
        If an attribute gets a value it cannot take.

    Notes
    -----
    Accentuated photos (`Accentuation`) are shown beside themselves: the edge between before and after is dragged, or
    moved with the arrow keys, and what was changed is drawn over the photo in grey.

    A prototype is not data: it is made to excite the target, and nothing says that the network treats it as it treats
    photos (arXiv:2306.04719). Look at the photos beside it.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> method = ww.Maco(steps=2, crops=2, size=64)
    >>> view = ww.PrototypeView(model, ["tench", "espresso"], method=method, images=ww.examples.photos())
    >>> [prototype.label for prototype in view.job.wait()]
    ['tench', 'espresso']
    """

    kind = "prototypes"
    _esm = bundle("prototypes.js")

    selected = traitlets.Int(0).tag(sync=True)
    percentile = traitlets.Float(80.0, min=0, max=100).tag(sync=True)
    transparency = traitlets.Bool(True).tag(sync=True)

    _title = traitlets.Unicode().tag(sync=True)
    _protos: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _mosaic = traitlets.Bytes().tag(sync=True)
    _mosaic_alpha = traitlets.Bytes().tag(sync=True)
    _side = traitlets.Int(0).tag(sync=True)
    _columns = traitlets.Int(1).tag(sync=True)
    _large = traitlets.Dict().tag(sync=True)
    _frames = traitlets.Dict().tag(sync=True)
    _examples: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _tiles = traitlets.Bytes().tag(sync=True)
    _tile_side = traitlets.Int(0).tag(sync=True)
    _tile_columns = traitlets.Int(1).tag(sync=True)
    _status = traitlets.Dict().tag(sync=True)
    _seq = traitlets.Int(0).tag(sync=True)

    _followed = ("concepts", "class_id")
    _handlers: ClassVar[dict[str, str]] = {"ack": "_on_ack", "start": "_on_start", "stop": "_on_stop"}

    @overload
    def __init__(
        self,
        prototypes: VisionModel,
        targets: Any,
        *,
        method: Maco | None = None,
        images: Any = None,
        selection: Selection | None = None,
        **traits: Any,
    ) -> None: ...

    @overload
    def __init__(
        self,
        prototypes: Prototype | Sequence[Prototype] | Mapping[str, Prototype] | Job[list[Prototype]],
        *,
        model: VisionModel | None = None,
        images: Any = None,
        selection: Selection | None = None,
        **traits: Any,
    ) -> None: ...

    def __init__(
        self,
        prototypes: Any,
        targets: Any = None,
        *,
        method: Any = None,
        model: Any = None,
        images: Any = None,
        selection: Selection | None = None,
        **traits: Any,
    ) -> None:
        self._source = read_source(prototypes, targets, method, model, images)
        self._data, self._gate, self._begun = PrototypeData(), FrameGate(), False
        self._drawn: tuple[object, ...] = ()
        self._drawn_examples: object = None
        self._next_frame, self._priority, self._told = 0.0, 0, "selected" in traits
        self._join(selection)
        self._unwatch: Callable[[], None] = lambda: None
        super().__init__(**({"selected": self._chosen_elsewhere()} | traits))
        if self._told:
            self._tell_selection()
        self._begin_to_follow()
        self.observe(self._on_choice, ["selected"])
        self._publish(force=True)
        if self._source.job is not None:
            self._unwatch = self._source.job.watch(lambda _: self._say("prototypes"))

    # -- for Python ---------------------------------------------------------------------------------------------------

    @property
    def prototypes(self) -> list[Prototype]:
        """The prototypes that are shown: the best so far while they grow."""
        return list(self._source.records)

    @property
    def prototype(self) -> Prototype | None:
        """The prototype that is looked at; None before there is one."""
        records = self._source.records
        return records[self.selected] if self.selected < len(records) else None

    @property
    def examples(self) -> list[Examples | None]:
        """For each target, the photos that excite it most; None where they are not known."""
        return self._source.examples()

    @property
    def job(self) -> Job[Any]:
        """The job that grows the prototypes; of finished ones, the job that looks at the photos."""
        return self._source.job or self._source.search(lambda: self._say("examples"))

    def start(self) -> Job[Any]:
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
        source, job = self._source, self.job
        self._priority = next(clicks)
        job.start(priority=self._priority)
        search = source.searching
        if search is not None and search is not job and search.state == "stopped":
            search.start(priority=self._priority - 1)
        self._say("prototypes")
        return job

    def stop(self) -> None:
        """Stop what is being computed; what there is stays, and `start` continues."""
        for job in (self._source.job, self._source.searching):
            if job is not None:
                job.stop()

    def _let_go(self) -> None:
        if hasattr(self, "_unwatch"):  # a view that refused what it was given is collected half made
            self._unwatch()
            if self._source.job is not None and self._begun:
                self._source.job.stop()  # it may have been given: it may be continued elsewhere
            self._source.clear()
            self._data.clear()
            self._drawn, self._drawn_examples = (), None
        super()._let_go()

    def headline(self) -> str:
        """Say what the view is about, as the title of a page.

        Returns
        -------
        str
            A few words.
        """
        return f"What would excite {self._title} most"

    def picture(self) -> Image.Image:
        """Draw the prototypes side by side.

        Returns
        -------
        PIL.Image.Image
            An RGB picture; it says so where there are none yet.
        """
        records = self._source.records
        return draw_prototypes(records) if records else draw_words(NO_PROTOTYPES)

    def describe(self) -> str:
        """Say in a few lines what the view shows.

        Returns
        -------
        str
            The caption of `picture`.
        """
        return " ".join(each.describe() for each in self._source.records) or NO_PROTOTYPES

    def __repr__(self) -> str:
        return f"<PrototypeView: {self.describe()}>"

    def _fallback(self) -> tuple[Image.Image, dict[str, int]]:
        records = self._source.records[:_SHOWN]
        small = draw_prototypes(records) if records else draw_words(NO_PROTOTYPES)
        return small, {"jpeg_bytes": _FALLBACK_BYTES}

    # -- choices ------------------------------------------------------------------------------------------------------

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> int:
        number: int = proposal["value"]
        known = len(self._source.records)
        if number < 0 or (known and number >= known):
            raise traitlets.TraitError(f"selected: wanted a prototype's number, from 0 to {known - 1}, got {number}.")
        return number

    def _chosen_elsewhere(self) -> int:
        """Return the prototype of what is selected already, or the first."""
        found = self._of_concepts(self.selection.concepts)
        found = self._of_class(self.selection.class_id) if found is None else found
        return 0 if found is None else found

    def _of_concepts(self, ids: Sequence[int]) -> int | None:
        """Return the first prototype of the concept that was chosen last."""
        known = [concept_of(each) for each in self._source.records]
        return next((known.index(k) for k in reversed(ids) if k in known), None)

    def _of_class(self, class_id: int | None) -> int | None:
        known = [class_of(each) for each in self._source.records]
        return known.index(class_id) if class_id is not None and class_id in known else None

    def _settle_choice(self) -> None:
        """Choose among prototypes that have just come; observers are not called: one might wait for the worker."""
        kept = self.selected if self._told and self.selected < len(self._source.records) else self._chosen_elsewhere()
        self._set_quietly(selected=kept)

    def _settle_with_selection(self) -> None:
        """Take over what another view settled on, as quietly."""
        found = self._of_concepts(self.selection.concepts)
        if found is not None and not self._shows_same(found):
            self._set_quietly(selected=found)

    def _shows_same(self, number: int) -> bool:
        """Tell whether what is looked at is of the same concept or class, perhaps another seed of it."""
        here, there = self.prototype, self._source.records[number]
        return here is not None and (concept_of(there), class_of(there)) == (concept_of(here), class_of(here))

    def _follow(self, change: Any) -> None:
        """Take over what was selected elsewhere; what the view does not have leaves it as it is."""
        found = self._of_concepts(change["new"]) if change["name"] == "concepts" else self._of_class(change["new"])
        if found is not None and not self._shows_same(found):
            self.selected = found

    def _tell_selection(self) -> None:
        """Have the selection follow the view."""
        here = self.prototype
        if here is None:
            return
        concept, class_id = concept_of(here), class_of(here)
        if concept is not None and self.selection.concepts[-1:] != [concept]:
            self.selection.concepts = [concept]
        if class_id is not None:
            self.selection.class_id = class_id

    def _on_choice(self, change: Any) -> None:
        """Tell the selection, and bring what is looked at in large."""
        del change
        self._tell_selection()
        self._publish(force=True)

    # -- what the browser is told -------------------------------------------------------------------------------------

    def _say_now(self, key: str) -> None:
        del key
        self._publish()

    def _publish(self, *, force: bool = False) -> None:
        """Send what is new, if the browser has drawn the last, and the progress."""
        with self._exclusive():
            status = self._describe_status()  # read before the records, so that "done" never comes before its pictures
            try:
                self._publish_prototypes(force=force)
                self._publish_examples(force=force)
            finally:
                if force or status["state"] != "computing" or self._gate.progress():
                    self.write(_status=status)

    def _publish_prototypes(self, *, force: bool) -> None:
        source, job, records = self._source, self._source.job, self._newest()
        growing = job is not None and job.active
        wanted = (*records, growing, self.selected)
        if not force and len(wanted) == len(self._drawn) and all(map(_is, wanted, self._drawn)):
            return
        if growing and not force and time.monotonic() < self._next_frame:
            return
        frame = self._gate.frame(force=force or not growing)
        if frame is None:
            return
        begin = time.monotonic()
        first = bool(records) and not source.records
        source.adopt(records)
        self._data.forget_all_but(records)
        if first:
            self._settle_choice()
        self.write(**self._pictures(growing=growing), _title=self._network(), _seq=frame)
        self._drawn = wanted
        self._next_frame = time.monotonic() + _SHARE * (time.monotonic() - begin)
        grown = any(each.steps for each in records)
        if self._begun and grown and source.can_search and source.search(self._say_examples).state == "idle":
            source.search(self._say_examples).start(priority=next(clicks))

    def _newest(self) -> list[Prototype]:
        """Return the best records so far, whether or not they are shown already."""
        job = self._source.job
        return self._source.records if job is None or job.record is None else list(job.record)

    def _pictures(self, *, growing: bool) -> dict[str, Any]:
        source, data = self._source, self._data
        if not source.records:
            return {}
        members = self._members()
        told = data.words(source.records, source.groups) | data.frames(source.records, members, NOTEBOOK)
        if growing:
            return told | data.growing(source.records, members, NOTEBOOK.small)
        return told | data.resting(source.records, members, NOTEBOOK)

    def _publish_examples(self, *, force: bool) -> None:
        source = self._source
        source.hurry(self._priority)
        search = source.searching
        found = (None if search is None else search.record, self._looked_at())
        drawn = self._drawn_examples
        if not force and isinstance(drawn, tuple) and all(map(_is, found, drawn)):
            return
        active = search is not None and search.active
        if active and not force and not self._gate.progress():
            return
        if source.groups:
            self.write(**self._data.examples(source.examples(), source.reasons(), self._looked_at(), NOTEBOOK))
            self._drawn_examples = found

    def _say_examples(self) -> None:
        self._say("examples")

    def _members(self) -> tuple[int, ...]:
        """Return the prototypes of the target that is looked at."""
        return next((each.members for each in self._source.groups if self.selected in each.members), ())

    def _looked_at(self) -> int:
        groups = self._source.groups
        return next((place for place, each in enumerate(groups) if self.selected in each.members), 0)

    def _network(self) -> str:
        records = self._source.records
        return records[0].provenance.model if records else self._source.model_name

    def exported_state(self) -> dict[str, Any]:
        """Return the state that an exported page needs: all pictures larger, and nothing under way.

        Returns
        -------
        dict
            The view's own synced traits as they travel.
        """
        with self._exclusive():
            self._publish(force=True)
            source, data = self._source, self._data
            state = super().exported_state()
            if source.records:
                every = range(len(source.records))
                state |= data.resting(source.records, every, PAGE) | data.frames(source.records, every, PAGE)
                state |= data.examples(source.examples(), source.reasons(), self._looked_at(), PAGE)
            status = state["_status"]
        return {**state, "_status": at_rest(status, _resting(source.records))}

    def _describe_status(self) -> dict[str, Any]:
        return describe_work(self._under_way(), _resting(self._newest()))

    def _under_way(self) -> Job[Any] | None:
        """Choose the job that progress is told of."""
        source = self._source
        if source.job is not None and source.job.state != "done":
            return source.job
        search = source.searching
        return search if search is not None and search.state not in ("idle", "done") else None


def _resting(records: Sequence[Prototype]) -> str:
    return resting_state(records or None, complete=bool(records) and all(each.complete for each in records))


def _is(a: object, b: object) -> bool:
    return a is b or (isinstance(a, int) and a == b)
