"""Explorer: where a network looks on a photo, what it sees in many, and why it reads them so, as one instrument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from whatwhere.jobs import Job, Step
from whatwhere.pixels.images import name_images, read_photo
from whatwhere.pixels.late import LatePhoto
from whatwhere.widgets._displayed import Displayed
from whatwhere.widgets._errands import Errands
from whatwhere.widgets._linked import LinkedView
from whatwhere.widgets._pages import Page, Pages
from whatwhere.widgets._traits import ClassTrait
from whatwhere.widgets._view import WIRE, View, bundle
from whatwhere.widgets.attribution import AttributionView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

    from whatwhere.attribution import Sobol
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.craft import Craft
    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import Photo
    from whatwhere.strategies.graph import StrategyGraph
    from whatwhere.strategies.strategies import Strategies
    from whatwhere.widgets._errands import Errand
    from whatwhere.widgets._pages import Wanted
    from whatwhere.widgets.concepts import ConceptExplorer
    from whatwhere.widgets.selection import Selection
    from whatwhere.widgets.strategies import StrategyView

_FIRST = 24  # photos in the strip at first, which are read at once
_STRIP = 2_000  # photos in it once all were looked at; others come in when they are selected
_NEAR = 6  # names that are offered where several fit
_CHOICES = 200  # classes that are offered
_REFERENCE = "IPY_MODEL_"


class Explorer(Displayed, LinkedView):
    """All of it, linked: photos and predictions, where the network looks, what it sees, and why it reads photos so.

    It opens with a sensible answer. The first photo's prediction and a coarse map come first; then all photos are
    looked at, once each, concepts are extracted, and photos are placed by the reasons that they were classified for;
    the map is refined behind that. A click goes before all of it.

    Parameters
    ----------
    model : VisionModel
        The network.
    images : image, folder, dataset, or dict or sequence of images
        The photos. The first ones are read at once, the others when they are looked at; files that cannot be read are
        left out, and named.
    target : int or str, optional
        The class to explain: the first value of `selected_class`.
    labels : mapping of str to label, or sequence or array of labels, optional
        What each photo is, by name or in order: class ids or names, None where it is not known. With them right and
        wrong are told apart, and reliability is known.
    method : Sobol, optional
        How maps are made; by default ``Sobol(grid=8, rows=32, seed=0)``.
    concepts : Craft, optional
        How concepts are extracted; by default ten from all locations of the photos, which costs one forward a photo.
        With fewer photos than ten, as many as photos.
    strategies : Strategies, optional
        How photos are placed; by default ``Strategies()``.
    selection : Selection, optional
        What is chosen, shared with other views; by default one of its own.
    **traits : object
        Initial values of the attributes below.

    Attributes
    ----------
    selected_class : int or None
        Class that is explained, ``selection.class_id``; takes a name or an id. With None each photo's map explains its
        predicted class, and concepts are those of the class that at least half of the photos, and eight, are predicted
        as, or else those of all photos.
    selected_image : str
        Name of the photo that is looked at: the first of ``selection.images``.
    concepts_of : {"class", "all"}
        Whether concepts are those of the class, where enough photos are predicted as it, or of all photos.

    Raises
    ------
    TypeError, ValueError
        If none of the images can be read, or an argument is of another kind.
    TraitError
        If an attribute gets a value it cannot take.

    Notes
    -----
    Its parts are views of their own: `where`, `what` and `why` have all that `whatwhere.AttributionView`,
    `whatwhere.ConceptExplorer` and `whatwhere.StrategyView` have. `what` and `why` are others for each class.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> explorer = ww.Explorer(model, ww.examples.photos(), method=ww.Sobol(grid=3, rows=2))
    >>> explorer.selected_class = "espresso"
    >>> explorer.wait()
    >>> explorer.where.attribution.grid, explorer.bank.rank, len(explorer.graph)
    ((3, 3), 4, 4)
    >>> explorer.close()
    """

    kind = "explorer"
    _esm = bundle("explorer.js")

    selected_class = ClassTrait(default_value=None, allow_none=True).tag(sync=True)
    selected_image = traitlets.Unicode().tag(sync=True)
    concepts_of = traitlets.Enum(WIRE["explorer"]["scopes"], "class").tag(sync=True)

    _title = traitlets.Unicode().tag(sync=True)
    _parts = traitlets.Dict().tag(sync=True)
    _found = traitlets.Dict().tag(sync=True)

    _mirrors = ("selected_class", "selected_image")
    _followed = ("class_id", "images")
    _handlers: ClassVar[dict[str, str]] = {"find": "_on_find"}

    def __init__(
        self,
        model: VisionModel,
        images: Any,
        target: int | str | None = None,
        *,
        labels: Any = None,
        method: Sobol | None = None,
        concepts: Craft | None = None,
        strategies: Strategies | None = None,
        selection: Selection | None = None,
        **traits: Any,
    ) -> None:
        from whatwhere.strategies.strategies import Strategies

        self._filled = False
        named = name_images(images)
        first, self._refused = _read_first(named)
        self._model, self._images, self._class_names = model, named, model.class_names
        self._pages = Pages(
            model,
            named,
            concepts=concepts,
            strategies=Strategies() if strategies is None else strategies,
            labels=_by_name(labels, named),
        )
        self._errands = Errands(str(model.device), lambda: None)
        self._begun, self._running, self._mapped, self._note = False, False, False, ""
        shared = self._join(selection)
        if target is not None:
            traits["selected_class"] = target
        told = [name for name in self._mirrors if name in traits]
        image = next((name for name in shared.images if name in first), next(iter(first)))
        super().__init__(**({"selected_image": image} | traits))
        self._agree(told)
        self._where = AttributionView(model, first, method=method, selection=shared)
        self._where._embedded = "beside"  # noqa: SLF001  # a view's own
        self._page = Page(self._pages, self._wanted(), shared, self._moved)
        self._begin_to_follow()
        self._unwatch = self._where.job.watch(self._on_map)
        self.write(_title=model.name)
        self._publish()
        self.observe(self._on_choice, [*self._mirrors, "concepts_of"])

    # -- for Python ---------------------------------------------------------------------------------------------------

    @property
    def where(self) -> AttributionView:
        """Where the network looks, on the photos that were looked at."""
        return self._where

    @property
    def what(self) -> ConceptExplorer:
        """What it sees in the photos of the class; another view for each class."""
        return self._page.what

    @property
    def why(self) -> StrategyView:
        """What the photos of the class were classified for; another view for each class."""
        return self._page.why

    @property
    def views(self) -> dict[str, View]:
        """The views, by what they answer."""
        return {"where": self.where, "what": self.what, "why": self.why}

    @property
    def bank(self) -> ConceptBank | None:
        """The concepts; None before there are any."""
        return self.what.bank

    @property
    def graph(self) -> StrategyGraph | None:
        """The photos by reason; None before they are placed."""
        return self.why.graph

    @property
    def explained(self) -> int | None:
        """Class whose concepts are shown; None for all photos, and before it is known."""
        return self._page.target

    @property
    def predictions(self) -> dict[str, int]:
        """The predicted class of each photo that was looked at so far, by name."""
        survey = self._pages.survey
        return dict(zip(survey.names, survey.predictions, strict=False))

    @property
    def job(self) -> Job[Any]:
        """The job that is told of: of the map while there is none, then of the concepts, then of the photos."""
        jobs: list[Job[Any]] = [self.where.job, self.what.job, self.why.job]
        return next((job for job in jobs if job.state not in ("done", "failed")), jobs[-1])

    def start(self) -> None:
        """Start computing, or go on, in the order in which a person looks.

        Raises
        ------
        RuntimeError
            If the view was closed.
        """
        self._refuse_if_closed()
        self._begun = self._running = True
        self.where.start()
        if self._mapped:
            self._page.start()

    def stop(self) -> None:
        """Stop all that is being computed; what there is stays, and `start` continues."""
        self._running = False
        self.where.stop()
        self._page.stop()

    def wait(self, timeout: float | None = None) -> None:
        """Compute all that is shown now, to the end.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for each of the parts at most.

        Raises
        ------
        TimeoutError
            If one of them takes longer; it goes on.
        Exception
            Whatever made one of them fail.
        """
        self.where.job.wait(timeout)
        self._page.wait(timeout)

    def _let_go(self) -> None:
        if hasattr(self, "_page"):  # a view that refused its images is collected half made
            self._unwatch()
            self._errands.drop_all()
            self._page.close()
        if hasattr(self, "_where"):
            self._where.close()
        super()._let_go()

    def settle(self) -> None:
        """Bring what the browser knows up to date, as an exported page is to show it."""
        for part in self.views.values():
            part.settle()
        self._publish()

    def headline(self) -> str:
        """Say what the view is about, as the title of a page.

        Returns
        -------
        str
            A few words.
        """
        return f"Where {self._title} looks, and what it sees"

    def picture(self) -> Image.Image:
        """Draw the map that is shown.

        Returns
        -------
        PIL.Image.Image
            An RGB picture.
        """
        return self.where.picture()

    def describe(self) -> str:
        """Say in a few lines what the view shows.

        Returns
        -------
        str
            The caption of `picture`.
        """
        return f"{self.where.describe()} {self.what.describe()}"

    def __repr__(self) -> str:
        return f"<Explorer: {len(self._images)} photos. {self.describe()}>"

    def _fallback(self) -> tuple[Image.Image, dict[str, int]]:
        return self.picture(), {}

    # -- in the order in which a person looks -------------------------------------------------------------------------

    def _on_map(self, job: Job[Any]) -> None:
        """Once there is a first map, or nobody waits for it, look at all photos before it is refined."""
        there = job.record is not None and not job.record.preview
        if not self._mapped and (there or not job.active):
            self._mapped = True
            self._unwatch()
            running = self._running
            if running:
                self._page.start()
                if not self._running:  # somebody stopped it meanwhile
                    self._page.stop()

    @property
    def _references(self) -> dict[str, str]:
        return {"where": self._where.model_id, **self._page.views}

    def _moved(self) -> None:
        if self._gone:
            return
        if self._pages.surveyed and not self._filled:
            self._filled = True
            self._fill_strip()
        self._say("found")

    def _fill_strip(self) -> None:
        """Put the other photos into the strip, now that it is known which can be read; they are read when needed."""
        survey = self._pages.survey
        late = zip(survey.names[:_STRIP], survey.sizes, strict=False)
        self._where.extend({name: LatePhoto(self._images[name], size, name=name) for name, size in late})

    def _say_now(self, key: str) -> None:
        del key
        self._publish()

    def _publish(self) -> None:
        """Tell which views there are, what the photos were read as, and whose concepts are shown."""
        with self._exclusive():
            self.write(
                _parts={name: f"{_REFERENCE}{model_id}" for name, model_id in self._references.items()},
                _found=self._describe_found(),
            )

    def _describe_found(self) -> dict[str, Any]:
        pages, page = self._pages, self._page
        label = self._class_names.label
        choices = pages.choices()[:_CHOICES]
        unreadable = self._refused | (pages.survey.unreadable if pages.surveyed else {})
        return {
            "photos": len(self._images),
            "strip": len(self._where.images) if self._filled else len(self._images),
            "unreadable": sorted(unreadable),
            "classes": [{"id": target, "name": label(target), "photos": count} for target, count in choices],
            "explained": page.target,
            "settled": page.settled,
            "note": self._note,
        }

    # -- choices ------------------------------------------------------------------------------------------------------

    def _wanted(self) -> Wanted:
        """Return whose concepts are asked for."""
        if self.concepts_of == "all":
            return None
        return "main" if self.selected_class is None else int(self.selected_class)

    def _show_page(self) -> None:
        """Show the concepts that are asked for, where there are enough photos."""
        wanted, pages = self._wanted(), self._pages
        self._note = ""
        if pages.surveyed:
            target = pages.resolve(wanted)
            if isinstance(wanted, int) and target != wanted:
                count = pages.survey.counts().get(wanted, 0)
                read = f"{count} photos are read" if count != 1 else "1 photo is read"
                self._note = (
                    f"{read} as {self._class_names.label(wanted)}, and concepts of a class need {pages.least}: they "
                    "stay what they are."
                )
                self._publish()
                return
            if self._page.settled and target == self._page.target:
                self._publish()
                return
        elif wanted == self._page.wanted:
            return
        before = self._page
        before.stop()
        self.selection.concepts = []
        before.close()
        self._page = Page(pages, wanted, self.selection, self._moved)
        self._publish()
        if self._running and self._mapped:
            self._page.start()

    def _agree(self, told: list[str]) -> None:
        """Agree with the selection: what was asked of the view holds, the rest is taken over."""
        if "selected_class" in told:
            self.selection.class_id = self.selected_class
        elif self.selection.class_id is not None and self.selection.class_id < len(self._class_names):
            self.selected_class = self.selection.class_id
        if "selected_image" in told or not self.selection.images:
            self.selection.images = [self.selected_image]

    @traitlets.validate("selected_image")
    def _check_image(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name not in self._images and name not in self._added():
            raise traitlets.TraitError(
                f"selected_image: wanted the name of one of the {len(self._images)} photos, such as "
                f"{next(iter(self._images))!r}, got {name!r}."
            )
        return name

    def _added(self) -> dict[str, Photo]:
        return self._where.images if hasattr(self, "_where") else {}

    def _follow(self, change: Any) -> None:
        """Take over what was selected elsewhere; what the view does not have leaves it as it is."""
        if change["name"] == "class_id":
            if change["new"] is None or change["new"] < len(self._class_names):
                self.selected_class = change["new"]
            return
        name = next((each for each in change["new"] if each in self._images or each in self._added()), None)
        if name is not None:
            self.selected_image = name
            self._bring(name)

    def _on_choice(self, change: Any) -> None:
        """Tell the selection, and show what was chosen."""
        if change["name"] == "selected_image":
            images = self.selection.images
            if self.selected_image not in images[:1]:
                self.selection.images = [self.selected_image]
            self._bring(self.selected_image)
            return
        if change["name"] == "selected_class" and self.selection.class_id != self.selected_class:
            self.selection.class_id = self.selected_class
        self._show_page()

    def _bring(self, name: str) -> None:
        """Read a photo that is not in the strip yet, and put it there."""
        if name in self._where.images or name not in self._images:
            return

        def steps() -> Iterator[Step[Photo]]:
            yield Step(1, 1, "photo", read_photo(self._images[name], name=name))

        self._errands.run(("photo", name), name, steps, self._on_brought)

    def _on_brought(self, errand: Errand) -> None:
        photo, error = errand.job.record, errand.job.error
        if photo is not None:
            self._where.bring(errand.job.name, photo)
        elif error is not None:
            self._note = str(error)
        self._say("found")

    # -- what the browser asks ----------------------------------------------------------------------------------------

    def _on_find(self, content: dict[str, Any]) -> None:
        """Look at a photo by its name, a part of it that no other name has, or its number."""
        rid, query = content.get("rid"), content.get("query")
        name, message, near = find_name(list(self._images), query if isinstance(query, str) else "")
        if name is None:
            self.reply("refused", rid, message=message, suggestions=near)
            return
        self.selection.write_for_user(images=[name])
        self.reply("applied", rid)


def find_name(names: Sequence[str], query: str) -> tuple[str | None, str, list[str]]:
    """Find a photo by what somebody types.

    Parameters
    ----------
    names : sequence of str
        What photos are called, in their order.
    query : str
        A name, in any case; a part that one name alone has; or a number, counted from 1.

    Returns
    -------
    name : str or None
        The photo; None where there is none, or there are several.
    message : str
        Why not; empty if there is one.
    near : list of str
        Some of those that it may stand for.
    """
    wanted = query.strip()
    folded = wanted.casefold()
    alike = [name for name in names if folded in name.casefold()] if wanted else []
    exact = [name for name in alike if name == wanted] or [name for name in alike if name.casefold() == folded]
    if exact:
        return exact[0], "", []
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return names[int(wanted) - 1], "", []
    if len(alike) == 1:
        return alike[0], "", []
    if alike:
        return None, f"{len(alike):,} names have {wanted!r} in them:", alike[:_NEAR]
    return (
        None,
        f"No photo is called {wanted!r}. Wanted a name, a part of it, or a number from 1 to {len(names):,}.",
        [],
    )


def _read_first(images: Mapping[str, Any]) -> tuple[dict[str, Photo], dict[str, str]]:
    """Read the first photos; those that cannot be read are noted, unless none can."""
    read: dict[str, Photo] = {}
    refused: dict[str, str] = {}
    failure: ValueError | None = None
    for name, image in images.items():
        try:
            read[name] = read_photo(image, name=name)
        except ValueError as error:
            if len(images) == 1:
                raise
            refused[name], failure = str(error), failure or error
        if len(read) == _FIRST:
            break
    if not read:
        raise failure if failure is not None else ValueError("images: wanted at least one image, got none.")
    return read, refused


def _by_name(labels: Any, images: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return labels by the photos' names."""
    if labels is None:
        return None
    if isinstance(labels, Mapping):
        unknown = next((name for name in labels if name not in images), None)
        if unknown is not None:
            raise ValueError(f"labels: wanted names of the photos, such as {next(iter(images))!r}, got {unknown!r}.")
        return dict(labels)
    if isinstance(labels, str | bytes) or not (isinstance(labels, Sequence) or hasattr(labels, "__array__")):
        raise TypeError(
            "labels: wanted a class for each photo, as a list or array in the order of the photos or a dict by their "
            f"names, got {type(labels).__name__} {labels!r:.60}."
        )
    listed = list(labels)
    if len(listed) != len(images):
        raise ValueError(f"labels: wanted one for each of {len(images)} photos, got {len(listed)}.")
    return dict(zip(images, listed, strict=True))
