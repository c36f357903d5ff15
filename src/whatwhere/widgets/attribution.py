"""AttributionView: where a network looks on each of a few photos."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from whatwhere.drawing import beside, draw_map, shrink
from whatwhere.pixels.images import name_images, read_photo
from whatwhere.widgets._arrivals import ARRIVED
from whatwhere.widgets._attribution_answers import PARTNERS, Explaining
from whatwhere.widgets._attribution_choices import ChoosingMaps
from whatwhere.widgets._attribution_photos import PAGE_PHOTO_BYTES, PHOTO_BYTES, SAVED_PHOTOS, Collecting
from whatwhere.widgets._displayed import Displayed
from whatwhere.widgets._errands import Errands
from whatwhere.widgets._gallery import Album
from whatwhere.widgets._layers import OWN, missing_in_all, own_score, stored_layers
from whatwhere.widgets._maps import encode_maps
from whatwhere.widgets._methods import check_records, read_methods
from whatwhere.widgets._partners import Partners
from whatwhere.widgets._runs import Runs
from whatwhere.widgets._traits import ClassTrait
from whatwhere.widgets._view import WIRE, FrameGate, bundle
from whatwhere.widgets.selection import Selection, first_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

    from whatwhere.attribution import Attribution, Sobol
    from whatwhere.classes import ClassNames
    from whatwhere.jobs import Job
    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import Photo

_PICTURE_WIDTH = 480


class AttributionView(Displayed, Collecting, Explaining, ChoosingMaps):
    """Where a network looks: photos with a living Sobol map, or several side by side.

    Computing starts when the view is first displayed, or with `start`, on the worker thread; the cell returns at once.
    Opacity, threshold, colour map and the ten most probable classes need no kernel. Photos can be dropped on the view,
    pasted into it, or chosen with its button; they are computed like the others.

    Parameters
    ----------
    model : VisionModel
        The network.
    images : image, or dict or sequence of images
        Anything `whatwhere.pixels.images.read_photo` reads. All are read, and refused, at once.
    method : Sobol, Attribution, or dict or sequence of them, optional
        By default ``Sobol(grid=8, rows=32, seed=0)``. Several are shown side by side, under the dict's names, or called
        after the options in which they differ. Records, as `Sobol.run` returns them, are shown without being computed
        again; records of equal methods belong together.
    selection : Selection, optional
        Photo, class and layers that are chosen, shared with other views; by default one of its own.
    **traits : object
        Initial values of the attributes below.

    Attributes
    ----------
    selected_image : str
        Name of the photo that is shown: the first of ``selection.images`` that the view has.
    selected_class : int or None
        Class that is explained, ``selection.class_id``; takes a name or an id. None follows the predicted class of each
        photo.
    selected_method : str
        Name of the method that is shown alone; empty, the default, shows all side by side.
    opacity : float
        Of the map, in [0, 1]; default 0.8.
    threshold : float
        Share of the map's maximum below which it is transparent, in [0, 0.9]; default 0.1.
    colormap : {"magma", "viridis", "cividis"}
        Perceptual colour map.
    index : {"total", "first", "slope", "error"}
        What is drawn: the total-order index, the first-order index (of a method that was asked for it), the slope,
        which has a sign, or the standard error of the total-order index. See `Attribution.values` and
        `Attribution.standard_error`. It is ``selection.layers`` where that is one.
    layers : list of str
        Two or more of these that stand side by side, each with its own colours, ``selection.layers``; empty, the
        default, shows `index` alone. Several methods stand side by side by themselves, as long as none of them is
        selected.
    score : {"logit", "softmax", "log_softmax", "margin", "own"}
        What of the class is explained, by default the method's; "own" is each method's own, where that is a function or
        they differ.
    scale : {"image", "shared"}
        Whether colours span each map, or the strongest of all photos and methods.

    Raises
    ------
    TypeError, ValueError
        If an image cannot be read; the message names it and says what to do. If a method is none, comes twice, or is a
        record of another photo or other weights.
    TraitError
        If an attribute gets a value it cannot take.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> view = ww.AttributionView(model, ww.examples.photos(), method=ww.Sobol(grid=3, rows=2))
    >>> view.selected_class = "espresso"
    >>> view.job.wait().grid
    (3, 3)
    >>> both = ww.AttributionView(
    ...     model, ww.examples.photos(), method=[ww.Sobol(grid=3, rows=2), ww.Sobol(grid=4, rows=2)]
    ... )
    >>> list(both.methods)
    ['grid 3', 'grid 4']
    """

    kind = "attribution"
    _esm = bundle("attribution.js")

    selected_image = traitlets.Unicode().tag(sync=True)
    selected_class = ClassTrait(default_value=None, allow_none=True).tag(sync=True)
    selected_method = traitlets.Unicode().tag(sync=True)
    opacity = traitlets.Float(0.8, min=0, max=1).tag(sync=True)
    threshold = traitlets.Float(0.1, min=0, max=0.9).tag(sync=True)
    colormap = traitlets.Enum(WIRE["colormaps"], "magma").tag(sync=True)
    index = traitlets.Enum(WIRE["layers"], "total").tag(sync=True)
    layers: traitlets.List[Any] = traitlets.List(traitlets.Enum(WIRE["layers"])).tag(sync=True)
    score = traitlets.Enum([*WIRE["scores"], OWN], "logit").tag(sync=True)
    scale = traitlets.Enum(WIRE["scales"], "image").tag(sync=True)

    _class_count = traitlets.Int().tag(sync=True)
    _title = traitlets.Unicode().tag(sync=True)
    _methods: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _images: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _photos: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _large = traitlets.Dict().tag(sync=True)
    _strip = traitlets.Dict().tag(sync=True)
    _status = traitlets.Dict().tag(sync=True)
    _maps = traitlets.Dict().tag(sync=True)
    _planes = traitlets.Dict().tag(sync=True)
    _pairs = traitlets.Dict().tag(sync=True)
    _seq = traitlets.Int(0).tag(sync=True)

    _handlers: ClassVar[dict[str, str]] = {
        "ack": "_on_ack",
        "start": "_on_start",
        "stop": "_on_stop",
        "explain": "_on_explain",
        "layer": "_on_layer",
        "pairs": "_on_pairs",
        "photo": "_on_photo",
        "full": "_on_full",
        "thumbnails": "_on_thumbnails",
    }

    def __init__(
        self,
        model: VisionModel,
        images: Any,
        *,
        method: Sobol | Attribution | Mapping[str, Any] | Sequence[Any] | None = None,
        selection: Selection | None = None,
        **traits: Any,
    ) -> None:
        photos = {name: read_photo(image, name=name) for name, image in name_images(images).items()}
        methods = read_methods(method)
        check_records(methods.values(), photos.values(), model)
        shared = self._join(selection)
        self._class_names: ClassNames = model.class_names
        self._model = model
        self._runs = Runs(model, methods, photos, self._say)
        self._photo_of, self._jobs = self._runs.photos, self._runs.jobs
        self._asked: dict[str, set[int]] = {key: set() for key in self._jobs}
        self._drawn: dict[str, Attribution] = {}
        self._gate = FrameGate()
        self._pair_gate = FrameGate()
        self._partners = Partners(model, lambda: self._say(PARTNERS))
        self._errands, self._arrived, self._heard = Errands(str(model.device), lambda: None), deque(), deque()
        self._sizes = {name: photo.size for name, photo in photos.items()}
        self._late: deque[dict[str, Photo]] = deque()
        self._deliveries, self._album = Errands(str(model.device), lambda: None), Album(photos)
        self._begun = False
        own = {own_score(each) for each in self.methods.values()}
        traits.setdefault("score", own.pop() if len(own) == 1 else OWN)
        told = [name for name in self._mirrors if name in traits]
        traits.setdefault("selected_image", first_known(shared.images, photos) or next(iter(photos)))
        super().__init__(**traits)
        self._missing = missing_in_all(self.methods.values())
        self._agree(told)
        self._begin_to_follow()
        self.write(
            _class_count=len(model.class_names),
            _title=model.name,
            _methods=list(self.methods),
            _images=[self._describe_image(name, photo) for name, photo in photos.items()],
            _photos=self._encode_photos(SAVED_PHOTOS, PHOTO_BYTES),
            _large=self._encode_large(),
            _strip=self._describe_strip(),
            _status=self._describe_all(list(photos)[:SAVED_PHOTOS]),
        )
        self.observe(self._on_selection, list(self._mirrors))
        self.observe(lambda _: self._say(PARTNERS), ["selected_class", "score"])
        self._catch_up()

    @property
    def images(self) -> dict[str, Photo]:
        """The photos by name, those that were added behind the others."""
        return dict(self._photo_of)

    @property
    def methods(self) -> dict[str, Sobol]:
        """The methods by name, as they stand side by side."""
        return self._runs.methods

    @property
    def method(self) -> Sobol:
        """The method that is shown, of several side by side the first."""
        return self.methods[self._runs.names[self._place]]

    @property
    def job(self) -> Job[Attribution]:
        """The job of the photo and method that are shown: its state, its record, `wait` and `stop`."""
        return self._jobs[self._runs.key(self.selected_image, self._place)]

    @property
    def jobs(self) -> dict[str, Job[Attribution]]:
        """The jobs of the photo that is shown, by method."""
        keys = self._runs.keys(self.selected_image)
        return {name: self._jobs[key] for name, key in zip(self._runs.names, keys, strict=True)}

    @property
    def attribution(self) -> Attribution | None:
        """The best record so far of the photo and method that are shown, or None before there is one."""
        return self.job.record

    @property
    def attributions(self) -> dict[str, Attribution]:
        """The best record so far, by the method that is shown, of every photo that has one, by name."""
        jobs = {name: self._jobs[self._runs.key(name, self._place)] for name in self._photo_of}
        return {name: job.record for name, job in jobs.items() if job.record is not None}

    def start(self) -> Job[Attribution]:
        """Start, or continue, computing the photo that is shown.

        Returns
        -------
        Job
            Its job; a new one if the last has failed.

        Raises
        ------
        RuntimeError
            If the view was closed.
        """
        self._refuse_if_closed()
        self._start(self.selected_image)
        return self.job

    def stop(self) -> None:
        """Stop computing the photo that is shown; its maps stay, and `start` continues them."""
        self._runs.stop(self.selected_image)

    def add(self, images: Any) -> list[str]:
        """Add photos, as dropping them on the view does, and show the first of them.

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
            If an image cannot be read; none is added then.

        Notes
        -----
        Views of the same selection that show the same photos take them in as well, on the worker, under these names.
        """
        photos = {name: read_photo(image, name=name) for name, image in name_images(images).items()}
        with self._exclusive():
            admitted = [self._admit(name, self._encode(photo)) for name, photo in photos.items()]
        self._say_missed([reason for _, missed in admitted for reason in missed])
        names = [name for name, _ in admitted]
        self.selected_image = names[0]
        return names

    def bring(self, name: str, photo: Photo) -> None:
        """Put a photo into the strip, from any thread, and show it if it is the one that is selected.

        Parameters
        ----------
        name : str
            What the selection calls it; nothing is done if there is such a photo already.
        photo : Photo
            The photo.
        """
        self._heard.append((name, self._encode(photo)))
        self._say(ARRIVED)

    def extend(self, photos: Mapping[str, Photo]) -> None:
        """Put photos into the strip that the view might have been made with, from any thread.

        Parameters
        ----------
        photos : mapping of str to Photo
            By name; those that are there already are left as they are.
        """
        self._late.append(dict(photos))
        self._say(ARRIVED)

    def _let_go(self) -> None:
        if hasattr(self, "_runs"):  # a view that refused its images is collected half made
            self._runs.discard()
        if hasattr(self, "_partners"):
            self._errands.drop_all()
            self._deliveries.drop_all()
            self._album = Album({})
            self._partners.clear()
            self._drawn.clear()
        super()._let_go()

    def settle(self) -> None:
        """Bring what the browser knows up to date, as an exported page is to show it."""
        for key, _ in self._runs.records():
            if self.selected_class is not None:
                self._asked[key].add(self.selected_class)
            self._publish(key, force=True)

    def headline(self) -> str:
        """Say what the view is about, as the title of a page.

        Returns
        -------
        str
            A few words.
        """
        return f"Where {self._title} looks"

    def picture(self) -> Image.Image:
        """Draw the photo, the class and the colour map that the view shows now, at the usual opacity and threshold.

        Returns
        -------
        PIL.Image.Image
            The map over the photo, or maps side by side; the photo alone while there is none.
        """
        records = self._records_shown()
        if records:
            return beside([record.picture(self.selected_class, colormap=self.colormap) for record in records])
        photo = self._photo_of[self.selected_image]
        pixels, geometry = shrink(photo.pixels, self._geometry(photo), _PICTURE_WIDTH)
        return draw_map(pixels, None, geometry)

    def describe(self) -> str:
        """Say in one line what the view shows now.

        Returns
        -------
        str
            The caption of `picture`.
        """
        records = self._records_shown()
        if records:
            return " Beside it: ".join(record.describe(self.selected_class) for record in records)
        return f"{self._title} on {self.selected_image}: not computed yet. Run the cell in a notebook to see the map."

    def __repr__(self) -> str:
        return f"<AttributionView: {self.describe()}>"

    def _fallback(self) -> tuple[Image.Image, dict[str, int]]:
        return self.picture(), {}

    # -- jobs ---------------------------------------------------------------------------------------------------------

    @property
    def _place(self) -> int:
        """Place of the method that is shown."""
        return self._runs.names.index(self.selected_method) if self.selected_method else 0

    def _records_shown(self) -> list[Attribution]:
        """Return the records of the photo that is shown, as far as they are there, of the methods that are."""
        jobs = [self.job] if self.selected_method else self.jobs.values()
        return [job.record for job in jobs if job.record is not None]

    def _start(self, name: str) -> None:
        self._begun = True
        self._runs.start(name, first=self._place)
        for key in self._runs.keys(name):
            self._say(key)

    # -- the selection ------------------------------------------------------------------------------------------------

    def _on_selection(self, change: Any) -> None:
        """Tell the selection, compute what is now shown, and store the class that is now explained."""
        self._tell_selection(change["name"])
        if change["name"] in ("index", "layers"):
            return
        if change["name"] == "selected_image" and change["new"] not in self._jobs:
            return
        self._show_selected()

    def _show_selected(self) -> None:
        """Send the photo that is shown, compute it, and store the class that is explained."""
        name, large = self.selected_image, self._encode_large()
        if large != self._large:
            self.write(_large=large)
        if self.selected_class is not None:
            self._ask(name, self.selected_class)
        jobs = self.jobs.values()
        if self._begun and any(job.state == "idle" or job.active for job in jobs):
            self._start(name)

    # -- what the browser is told -------------------------------------------------------------------------------------

    def _say_now(self, key: str) -> None:
        if key == PARTNERS:
            self._publish_partners()
        elif key == ARRIVED:
            self._welcome()
        else:
            self._publish(key)

    def _publish(self, name: str, *, force: bool = False) -> None:
        """Send a photo's progress, and its map if there is a newer one and the browser has drawn the last."""
        with self._exclusive():
            job = self._jobs[name]
            force = force or not job.active
            status = self._describe_status(name)  # read before the record, so that "done" never comes before its map
            try:
                self._publish_map(name, job.record, force=force)
            finally:
                if force or self._gate.progress():
                    self.write(_status={**self._status, name: status})

    def _publish_map(self, name: str, record: Attribution | None, *, force: bool) -> None:
        if record is None or (not force and record is self._drawn.get(name)):
            return
        frame = self._gate.frame(force=force)
        if frame is not None:
            meta, planes = encode_maps(record, self._asked[name])
            self.write(_maps={**self._maps, name: meta}, _planes={**self._planes, name: planes}, _seq=frame)
            self._drawn[name] = record

    def _ask(self, name: str, class_id: int) -> None:
        """Have a class's maps stored with a photo's."""
        for key in self._runs.keys(name):
            self._asked[key].add(class_id)
            stored = self._maps.get(key, {"classes": []})["classes"]
            if self._jobs[key].record is not None and all(shown["id"] != class_id for shown in stored):
                self._publish(key, force=True)

    def exported_state(self) -> dict[str, Any]:
        """Return the state that an exported page needs: in a page nothing is under way.

        Returns
        -------
        dict
            The view's own synced traits as they travel.
        """
        state = super().exported_state()
        resting = {
            name: {**told, "state": "partial" if name in self._drawn else "empty", "eta": None}
            for name, told in state["_status"].items()
            if told["state"] == "computing"
        }
        layers = {
            key: list(stored_layers(record, [shown["id"] for shown in state["_maps"][key]["classes"]]))
            for key, record in self._runs.records()
            if key in state["_maps"] and not record.preview
        }
        if len(self._photo_of) > SAVED_PHOTOS:
            state |= {"_photos": self._encode_photos(len(self._photo_of), PAGE_PHOTO_BYTES), "_large": {}}
        return {**state, "_status": {**state["_status"], **resting}, "_layers": layers}

    # -- what the browser asks ----------------------------------------------------------------------------------------

    def _on_start(self, content: dict[str, Any]) -> None:
        name = content.get("image")
        if isinstance(name, str) and name in self._photo_of:
            self._start(name)

    def _on_stop(self, content: dict[str, Any]) -> None:
        name = content.get("image")
        if isinstance(name, str) and name in self._photo_of:
            self._runs.stop(name)
