"""ConceptExplorer: what a network sees, and what it is worth."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.picture import draw_words
from whatwhere.jobs import Job
from whatwhere.pixels.images import name_images, read_photo
from whatwhere.widgets._arrivals import ARRIVED
from whatwhere.widgets._budget import NOTEBOOK, PAGE
from whatwhere.widgets._calls import Calls
from whatwhere.widgets._concept_choices import Choosing
from whatwhere.widgets._concept_prototypes import CardPictures, Prototyping
from whatwhere.widgets._concept_refits import Refitting
from whatwhere.widgets._displayed import Displayed
from whatwhere.widgets._errands import Errands, clicks
from whatwhere.widgets._explored import NO_BANK, Explored, MapShelf
from whatwhere.widgets._gallery import Showing
from whatwhere.widgets._growth import Growth, check_prototypes, read_wish
from whatwhere.widgets._shared_photos import SharedPhotos
from whatwhere.widgets._status import at_rest, describe_work, resting_state
from whatwhere.widgets._traits import ByConcept, ConceptGroups, ConceptIds, factor, words
from whatwhere.widgets._view import WIRE, FrameGate, bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL import Image

    from whatwhere.concepts.maps import ConceptMaps
    from whatwhere.jobs import Pace, Step
    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import Photo
    from whatwhere.widgets._budget import Budget
    from whatwhere.widgets._errands import Errand
    from whatwhere.widgets._gallery import Gallery
    from whatwhere.widgets._guests import Seen
    from whatwhere.widgets.selection import Selection

_TOLD = WIRE["concepts"]
_CARDS = 6  # in the picture for hosts that show no widgets
_FALLBACK_BYTES = 12_000


class ConceptExplorer(Displayed, SharedPhotos["Seen"], Refitting, Prototyping, Choosing, Showing):
    """What a network sees: concepts with their crops, their weight, where they are, and what if they were not.

    With the network, other photos can be dropped on the view, pasted into it, or chosen with its button: the concepts
    are looked for in them, and the bank stays as it is.

    Parameters
    ----------
    bank : ConceptBank or Job of ConceptBank
        The concepts. A job (``Craft(…).submit(…)``) is started at first display, and shown while it converges.
    model : VisionModel, optional
        The network that they came from. Without it crops and codes are shown; closest classes, maps, splits and what-if
        need it.
    images : dict, sequence or folder of images, optional
        Whole photos, by the bank's names; others are left out. By default what the network saw of them is shown, which
        a bank that was loaded from a file has not.
    prototypes : sequence of Prototype, Prototype, Maco, or True, optional
        Prototypes of the concepts, as ``Maco().run(model, ww.targets.concepts(bank))`` gives, to be shown on the cards.
        True, or how, has them grown in the background from the first display on; otherwise a button and `grow` do,
        where there is a network.
    selection : Selection, optional
        Concepts and photo that are chosen, shared with other views; by default one of its own.
    **traits : object
        Initial values of the attributes below.

    Attributes
    ----------
    selected_concepts : list of int
        Ids of the concepts that are shown over the photo: those of ``selection.concepts`` that the bank has; the most
        important at first.
    selected_image : str
        Name of the photo: the first of ``selection.images`` that the bank has.
    map_kind : {"codes", "implicit", "occlusion"}
        What is shown over it: codes at each place; gradients of the codes; what hiding a part does to the code.
    opacity : float
        Of the overlay, in [0, 1]; default 0.8.
    threshold : float
        Share of a concept's scale below which it is transparent, in [0, 0.9]; default 0.1.
    scales : dict of str to float
        What if: factors of concepts by id, from 0 (none of it) to 2; 1 where there is none.
    names, notes : dict of str to str
        What a person calls the concepts, and writes of them, by id; see `annotated`.
    hidden, pinned : list of int
        Ids of concepts that are put away, or come first.
    merged : list of list of int
        Ids of concepts that are shown as one, by the first of them: codes, maps and contributions are the sums of
        theirs, and nothing is fitted anew. See `whatwhere.concepts.bank.ConceptBank.merge`.
    card_kind : {"prototypes", "crops"}
        What the cards show in large; default prototypes, where there are some. Crops stay beside them.
    percentile : float
        Percentile of a prototype's alpha from which a pixel is opaque, in [0, 100]; default 80. Higher shows less.

    Raises
    ------
    TypeError, ValueError
        If `bank` is something else, the network has other weights than the one that the concepts came from, none of
        the images is one of the bank's, or none of the prototypes is of one of its concepts.
    TraitError
        If an attribute gets a value it cannot take.

    Notes
    -----
    Dicts and lists are told to the browser when they are assigned, not when they are changed in place:
    ``view.names = view.names | {"3": "ears"}``.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, ww.examples.photos())
    >>> view = ww.ConceptExplorer(bank, model)
    >>> view.names = {view.selected_concepts[0]: "fur"}
    >>> list(view.annotated().labels.values())
    ['fur']
    """

    kind = "concepts"
    _esm = bundle("concepts.js")

    selected_concepts = ConceptIds().tag(sync=True)
    selected_image = traitlets.Unicode().tag(sync=True)
    map_kind = traitlets.Enum(_TOLD["map_kinds"], "codes").tag(sync=True)
    opacity = traitlets.Float(0.8, min=0, max=1).tag(sync=True)
    threshold = traitlets.Float(0.1, min=0, max=0.9).tag(sync=True)
    scales = ByConcept(factor).tag(sync=True)
    names = ByConcept(words(_TOLD["longest_name"])).tag(sync=True)
    notes = ByConcept(words(_TOLD["longest_note"])).tag(sync=True)
    hidden = ConceptIds().tag(sync=True)
    pinned = ConceptIds().tag(sync=True)
    merged = ConceptGroups().tag(sync=True)
    card_kind = traitlets.Enum(_TOLD["card_kinds"], "prototypes").tag(sync=True)
    percentile = traitlets.Float(80.0, min=0, max=100).tag(sync=True)

    _title = traitlets.Unicode().tag(sync=True)
    _target = traitlets.Unicode().tag(sync=True)
    _bank = traitlets.Dict().tag(sync=True)
    _crops: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _sprite = traitlets.Bytes().tag(sync=True)
    _sprite_side = traitlets.Int(0).tag(sync=True)
    _sprite_columns = traitlets.Int(1).tag(sync=True)
    _images: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _photos: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _large = traitlets.Dict().tag(sync=True)
    _strip = traitlets.Dict().tag(sync=True)
    _codes = traitlets.Dict().tag(sync=True)
    _code_scales: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _grid: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _overlays = traitlets.Dict().tag(sync=True)
    _overlay_scales = traitlets.Dict().tag(sync=True)
    _present = traitlets.Dict().tag(sync=True)
    _effects = traitlets.Bytes().tag(sync=True)
    _mean_codes = traitlets.Dict().tag(sync=True)
    _logits = traitlets.Bytes().tag(sync=True)
    _classes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _status = traitlets.Dict().tag(sync=True)
    _seq = traitlets.Int(0).tag(sync=True)
    _model = traitlets.Dict().tag(sync=True)
    _prototypes = traitlets.Dict().tag(sync=True)
    _prototype = traitlets.Dict().tag(sync=True)
    _growing = traitlets.Dict().tag(sync=True)

    _calls: ClassVar[Calls] = Calls(
        network="ConceptExplorer(bank, model)", photos="ConceptExplorer(bank, model, images={name: photo, …})"
    )
    _handlers: ClassVar[dict[str, str]] = {
        "ack": "_on_ack",
        "start": "_on_start",
        "stop": "_on_stop",
        "map": "_on_map",
        "whatif": "_on_whatif",
        "split": "_on_split",
        "rank": "_on_rank",
        "grow": "_on_grow",
        "photo": "_on_photo",
        "full": "_on_full",
        "thumbnails": "_on_thumbnails",
    }

    def __init__(
        self,
        bank: ConceptBank | Job[ConceptBank],
        model: VisionModel | None = None,
        images: Any = None,
        *,
        prototypes: Any = None,
        selection: Selection | None = None,
        **traits: Any,
    ) -> None:
        if not isinstance(bank, ConceptBank | Job):
            raise TypeError(
                f"bank: wanted a ConceptBank or a Job that makes one, as Craft's run and submit give, got "
                f"{type(bank).__name__}."
            )
        given, self._wish = read_wish(prototypes)
        if self._wish is not None and model is None:
            raise ValueError("prototypes: growing them needs the network, ConceptExplorer(bank, model), got none.")
        self._growth, self._cards = Growth(given, lambda: self._say("growth")), CardPictures()
        self._drawn_cards = ()
        self._device = "cpu" if model is None else str(model.device)
        self._explored = Explored(model, None if images is None else name_images(images), self._calls)
        self._source = bank if isinstance(bank, Job) else None
        self._look: Job[ConceptBank] | None = None
        self._shelf, self._parts = MapShelf(), dict[int, ConceptBank]()
        self._banks, self._refitted, self._waiting = dict[int, ConceptBank](), None, {}
        self._answers: deque[tuple[str, Any, dict[str, Any]]] = deque()
        self._error: dict[str, str] | None = None
        self._gate, self._begun = FrameGate(), False
        self._errands = Errands(self._device, lambda: self._say("errands"))
        self._arrived, self._heard = deque(), deque()
        self._deliveries = Errands(self._device, lambda: None)
        self._unwatch: Callable[[], None] = lambda: None
        self._unlook: Callable[[], None] = lambda: None
        self._drawn: tuple[object, ...] = ()
        self._streamed = ready = bank if isinstance(bank, ConceptBank) else bank.record
        if ready is not None:
            check_prototypes(given, ready)
            self._explored.adopt(ready)
        self._join(selection)
        told, taken = [name for name in self._mirrors if name in traits], self._chosen_elsewhere()
        self._follows = "selected_concepts" not in {*told, *taken}
        super().__init__(**(self._explored.initial() | taken | traits))
        self._agree(told)
        self._begin_to_follow()
        self._publish(force=True)
        if self._source is not None:
            self._unwatch = self._source.watch(lambda _: self._say("bank"))
        self.observe(self._on_choice, ["selected_concepts", "selected_image", "map_kind"])
        self.observe(lambda _: self._say("growth"), ["merged", "hidden", "pinned"])
        self._catch_up()

    # -- for Python ---------------------------------------------------------------------------------------------------

    @property
    def bank(self) -> ConceptBank | None:
        """The concepts that are shown, the most important first; None before there are any."""
        return self._explored.bank

    @property
    def ids(self) -> list[int] | None:
        """Ids of the concepts, the most important first; None before there are any."""
        return None if self.bank is None else list(self.bank.ids)

    @property
    def job(self) -> Job[ConceptBank]:
        """The job that extracts the concepts; of finished ones, the job that asks the network about them."""
        return self._source or self._looking()

    @property
    def parts(self) -> dict[int, ConceptBank]:
        """The banks that concepts were split into in this view, by the concept's id."""
        return dict(self._parts)

    def start(self) -> Job[ConceptBank]:
        """Start, or continue, what `job` does.

        Returns
        -------
        Job
            The job; a new one if the last look at the network has failed.

        Raises
        ------
        RuntimeError
            If the view was closed.
        """
        self._refuse_if_closed()
        self._begun, self._error = True, None
        self._grow_as_wished()
        if self._source is not None and self._source.state != "done":
            self._source.start(priority=next(clicks))
        else:
            self._looking().start(priority=next(clicks))
        self._say("bank")
        return self.job

    def stop(self) -> None:
        """Stop all that is being computed; what there is stays, and `start` continues, or `grow` for prototypes."""
        self._growth.stop()
        self._stop_asking()

    def _stop_asking(self) -> None:
        """Stop what the head of the view tells of; prototypes, which have a button of their own, grow on."""
        for job in (self._source, self._look):
            if job is not None:
                job.stop()
        self._errands.drop_all()

    @property
    def added(self) -> dict[str, Photo]:
        """The photos that were added to the bank's, by name."""
        return {name: each.photo for name, each in list(self._explored.strip.guests.items())}

    def add(self, images: Any) -> list[str]:
        """Look for the concepts in other photos, as dropping them on the view does, and show the first of them.

        Parameters
        ----------
        images : image, or dict or sequence of images
            Anything `whatwhere.pixels.images.read_photo` reads. All are read, and refused, at once.

        Returns
        -------
        list of str
            Their names in the view: a name that is taken gets a number.

        Raises
        ------
        TypeError, ValueError
            If an image cannot be read, or there is no network or no finished bank; none is added then.

        Notes
        -----
        Costs a forward pass and a gradient an image. The bank stays as it is: the photos weigh nothing in it, and their
        crops are not among its crops. Views of the same selection that show the same photos take them in as well, on
        the worker, under these names.
        """
        self._net()
        photos = {name: read_photo(image, name=name) for name, image in name_images(images).items()}
        names, missed = [], list[str]()
        waiting = deque(photos.items())
        while waiting:
            name, photo = waiting[0]
            job = Job(partial(self._reading, photo), device=self._device, name=name)
            seen = job.start(priority=next(clicks)).wait()
            with self._exclusive():
                if self._overtaken(seen) is not None:
                    continue
                free, reasons = self._admit(name, seen)
            waiting.popleft()
            names.append(free)
            missed += reasons
        self._say_missed(missed)
        self._publish(force=True)
        self.selected_image = names[0]
        return names

    def compute_maps(self, image: str | None = None, kind: str | None = None) -> Job[ConceptMaps]:
        """Compute the maps of all concepts on a photo, to be shown over it.

        Parameters
        ----------
        image : str, optional
            Its name; by default the one that is shown.
        kind : {"implicit", "occlusion"}, optional
            By default `map_kind`.

        Returns
        -------
        Job
            Of `whatwhere.concepts.maps.ConceptMaps`; started.

        Raises
        ------
        ValueError
            If there is no such photo or kind, or no network.
        """
        return self._map(self.selected_image if image is None else image, self.map_kind if kind is None else kind)

    def annotated(self) -> ConceptBank:
        """Return the bank with what was said of its concepts in the view, to be saved with it.

        Returns
        -------
        ConceptBank
            With `labels`, `notes`, `hidden`, `pinned` and `groups`.

        Raises
        ------
        RuntimeError
            If there are no concepts yet.
        """
        if self.bank is None:
            raise RuntimeError("There are no concepts yet: view.job.wait() makes them.")
        labels, notes = ({int(key): text for key, text in told.items()} for told in (self.names, self.notes))
        return self.bank.annotated(labels, notes, hidden=self.hidden, pinned=self.pinned, groups=self.merged)

    def _let_go(self) -> None:
        if hasattr(self, "_explored"):  # a view that refused its bank is collected half made
            self._unwatch()
            self._errands.drop_all()
            self._deliveries.drop_all()
            if self._source is not None and self._begun:
                self._source.stop()  # it was given: it may be continued elsewhere
            self._source, self._streamed, self._drawn = None, None, ()
            self._looking().discard()
            self._growth.clear()
            self._cards.clear()
            self._drawn_cards = ()
            self._explored.clear()
            self._shelf.clear()
            self._parts.clear()
            self._banks, self._refitted = {}, None
        super()._let_go()

    def headline(self) -> str:
        """Say what the view is about, as the title of a page.

        Returns
        -------
        str
            A few words.
        """
        return f"What {self._title} sees: {self._target}"

    def picture(self) -> Image.Image:
        """Draw a card for each concept.

        Returns
        -------
        PIL.Image.Image
            An RGB picture; it says so where there are no concepts yet.
        """
        return draw_words(NO_BANK) if self.bank is None else self.annotated().picture()

    def describe(self) -> str:
        """Say in a few lines what the view shows.

        Returns
        -------
        str
            The caption of `picture`.
        """
        return NO_BANK if self.bank is None else self.bank.describe()

    def __repr__(self) -> str:
        return f"<ConceptExplorer: {self.describe()}>"

    def _fallback(self) -> tuple[Image.Image, dict[str, int]]:
        bank = self.bank
        small = self.picture() if bank is None else bank.take(list(range(min(bank.rank, _CARDS)))).picture()
        return small, {"jpeg_bytes": _FALLBACK_BYTES}

    # -- choices ------------------------------------------------------------------------------------------------------

    @traitlets.validate("selected_image")
    def _check_image(self, proposal: Any) -> str:
        name: str = proposal["value"]
        bank = self.bank
        if bank is None or not bank.complete or (not name and self._explored.strip.reason):
            return name  # settled when the photos are known
        if self._explored.number_of(name) is None:
            raise traitlets.TraitError(
                f"selected_image: wanted one of {list(bank.images[:3])} …, {len(bank.images)} in all, got {name!r}. "
                f"{self._explored.strip.reason}"
            )
        return name

    def _on_choice(self, change: Any) -> None:
        """Tell the selection, show the photo that was chosen, and compute its maps."""
        self._tell_selection(change["name"])
        if change["name"] == "selected_concepts":
            self._follows = False
            self.write(**self._explored.crops(self._room, self.selected_concepts))  # more of the one that is looked at
            self._publish_growth(force=True)
            return
        if change["name"] == "selected_image" and self._explored.number_of(self.selected_image) is not None:
            self.write(_large=self._explored.large(self.selected_image, NOTEBOOK))
        self._show_selected()

    def _show_selected(self) -> None:
        """Bring the photo that is shown, and compute its maps."""
        explored, n = self._explored, self._explored.number_of(self.selected_image)
        if n is None:
            return
        if all(shown["name"] != self.selected_image for shown in self._images):
            self._fetch(n)
        if self._begun and explored.net is not None and self.map_kind != "codes":
            self._map(self.selected_image, self.map_kind)

    def _full_photo(self, name: str) -> Photo | None:
        n = self._explored.number_of(name)
        return None if n is None else self._explored.strip.photo(n)

    def _fetch(self, n: int) -> None:
        """Bring a photo into the strip, with its logits where the others have theirs."""
        net, facts = self._explored.net, self._explored.facts
        if net is None or not facts.logits or n in facts.logits:
            self._bring(n)
        else:
            self._errands.run(("look", n), "photo", lambda: net.look(n), self._on_looked)

    def _fetch_selected(self) -> None:
        """Bring the photo that was selected before there were concepts, if it is none of those that are shown."""
        bank, n = self.bank, self._explored.number_of(self.selected_image)
        known = any(shown["name"] == self.selected_image for shown in self._images)
        if bank is None or not bank.complete or n is None or known or self._explored.extra == n:
            return
        if self._explored.net is None or self._looking().state == "done":
            self._fetch(n)

    def _on_looked(self, errand: Errand) -> None:
        found = errand.job.record
        if found is None:
            self._note_failure("The photo could not be looked at.", errand)
            return
        self._explored.facts.logits.update(found)
        self._bring(next(iter(found)))

    def _bring(self, n: int) -> None:
        self._explored.extra = n
        self._say("bank")

    # -- photos that arrive -------------------------------------------------------------------------------------------

    def _why_closed(self) -> str:
        return self._explored.why_no_net

    def _reading(self, photo: Photo) -> Iterator[Step[Seen]]:
        yield from self._net().meet(photo)

    def _overtaken(self, read: Seen) -> Photo | None:
        return None if read.bank is self._explored.bank else read.photo

    def _take_in(self, name: str, read: Seen) -> str:
        self._explored.extra = self._explored.welcome(name, read)
        return name

    def _given(self) -> dict[str, tuple[int, int] | None]:
        return self._explored.sizes

    def _added(self) -> dict[str, Photo]:
        return self._explored.added

    def _note_missed(self, errand: Errand) -> None:
        self._note_failure(f"{errand.job.name}, which was added to a linked view, could not be added here.", errand)

    # -- what the browser is told -------------------------------------------------------------------------------------

    def _say_now(self, key: str) -> None:
        if key == ARRIVED:
            self._welcome()
        self._publish()

    def _publish(self, *, force: bool = False) -> None:
        """Send what is new: a bank, if the browser has drawn the last, maps, answers and progress."""
        with self._exclusive():
            status = self._describe_status()  # read before the record, so that "done" never comes before its bank
            try:
                self._publish_bank(force=force)
                room = self._room
                self._publish_growth(force=force)
                if self._room != room:
                    self._publish_bank(force=True)
                if self._shelf.changed:
                    self.write(**self._shelf.traits(self._explored.bank))
                while self._answers:
                    kind, rid, content = self._answers.popleft()
                    self.reply(kind, rid, **content)
            finally:
                if force or status["state"] != "computing" or self._gate.progress():
                    self.write(_status=status)

    def _publish_bank(self, *, force: bool) -> None:
        explored, source = self._explored, self._source
        record = self._refitted or (source.record if source is not None else self._streamed)
        wanted = (record, explored.facts, explored.extra)
        if not force and all(new is old for new, old in zip(wanted, self._drawn, strict=False)) and self._drawn:
            return
        frame = self._gate.frame(force=force or source is None or not source.active)
        if frame is None:
            return
        if record is not None and record is not self._streamed:
            self._streamed = record
            self._forget_look()
            explored.adopt_or_say(record)
            self._shelf.clear()
            self._parts.clear()
            self._settle_choices()
            if explored.bank is not None:
                self._growth.leave(explored.bank)
            self._catch_up()  # with what it could not take in before it was finished
        large = explored.large(self.selected_image, NOTEBOOK)
        self.write(**explored.encode(self._room, self.selected_concepts), _large=large, _seq=frame)
        self._drawn = (record, explored.facts, explored.extra)
        if self._begun and record is not None and record.complete and self._looking().state == "idle":
            self._looking().start(priority=next(clicks))
        self._fetch_selected()
        self._grow_as_wished()

    @property
    def _room(self) -> Budget:
        """How much the concepts may hold; prototypes take their part of it."""
        taken = CardPictures.taken(self._prototypes, growing=self._growth.active)
        return NOTEBOOK._replace(total=NOTEBOOK.total - taken)

    def _looking(self) -> Job[ConceptBank]:
        """Return the job that asks the network what the bank does not say; a new one if it has failed."""
        if self._look is None or self._look.state == "failed":
            self._look = Job(self._explored.look_steps, device=self._device, name="ConceptExplorer")
            self._unlook = self._look.watch(lambda _: self._say("bank"))
        return self._look

    def _forget_look(self) -> None:
        """Give up what the network was asked about a bank that is shown no more."""
        look, self._look = self._look, None
        if look is not None:
            self._unlook()  # first: the view is about to be written, and has nothing to say of this
            look.discard()

    def exported_state(self) -> dict[str, Any]:
        """Return the state that an exported page needs: more photos and crops, and nothing under way.

        Returns
        -------
        dict
            The view's own synced traits as they travel.
        """
        with self._exclusive():
            self._publish(force=True)
            large = self._explored.large(self.selected_image, PAGE)
            state = {**super().exported_state(), **self._explored.encode(PAGE, self.selected_concepts), "_large": large}
            state |= self._grown_page()
        return {**state, "_status": at_rest(state["_status"], self._resting)}

    def _describe_status(self) -> dict[str, Any]:
        job = self._under_way()
        error = self._error if job is None or job.error is None else None
        step = job.step if job is not None and job.active else None
        return {
            **describe_work(job, self._resting, error),
            "pace": None if step is None else _describe_pace(step.pace),
        }

    @property
    def _resting(self) -> str:
        bank = self.bank
        return resting_state(bank, complete=bank is not None and bank.complete)

    def _under_way(self) -> Job[Any] | None:
        """Choose the job that progress is told of."""
        if self._source is not None and self._source.state != "done":
            return self._source
        look = self._look
        return self._errands.current or (look if look is not None and look.state not in ("idle", "done") else None)

    # -- what the browser asks ----------------------------------------------------------------------------------------

    def _gallery(self) -> Gallery | None:
        return self._explored.gallery

    def _on_stop(self, content: dict[str, Any]) -> None:
        del content
        self._stop_asking()


def _describe_pace(pace: Pace | None) -> dict[str, Any] | None:
    """Say what counts, where it is not forward passes."""
    if pace is None:
        return None
    return {"unit": pace.unit, "bound": pace.bound, "whole": pace.whole, "share": round(pace.share, 4)}
