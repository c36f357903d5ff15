"""AttributionView: where a network looks on each of a few photos."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from whatwhere.attribution import Attribution, Sobol
from whatwhere.drawing import draw_map, encode, mime_bundle, shrink, to_picture
from whatwhere.pixels.images import name_images, read_photo
from whatwhere.widgets._errands import Errands
from whatwhere.widgets._gallery import Album, Showing
from whatwhere.widgets._layers import OWN, missing, own_score, read_layer, stored_layers
from whatwhere.widgets._linked import LinkedView
from whatwhere.widgets._maps import encode_maps
from whatwhere.widgets._partners import Partners
from whatwhere.widgets._status import describe_status
from whatwhere.widgets._traits import ClassTrait
from whatwhere.widgets._view import WIRE, FrameGate, bundle
from whatwhere.widgets.selection import Selection, first_known

if TYPE_CHECKING:
    from PIL import Image

    from whatwhere.classes import ClassNames
    from whatwhere.jobs import Job
    from whatwhere.model import VisionModel
    from whatwhere.pixels.geometry import Geometry
    from whatwhere.pixels.images import Photo

_PICTURE_WIDTH = 480
_PHOTO_BYTES = 100_000  # of all photos of a view together that are saved with the notebook
_SAVED_PHOTOS = 20  # the first ones, and the one that is shown
_LARGE_BYTES = 14_000  # of the one that is shown, where it is none of these
_PAGE_PHOTO_BYTES = 2_400_000  # of all photos in an exported page
_clicks = itertools.count(1)  # the latest of all views goes first
_PARTNERS = "\0partners"  # no photo is called so


class AttributionView(LinkedView, Showing):
    """Where a network looks: photos with a living Sobol map.

    Computing starts when the view is first displayed, or with `start`, on the worker thread; the cell returns at once.
    Opacity, threshold, colour map and the ten most probable classes need no kernel.

    Parameters
    ----------
    model : VisionModel
        The network.
    images : image, or dict or sequence of images
        Anything `whatwhere.pixels.images.read_photo` reads. All are read, and refused, at once.
    method : Sobol, optional
        By default ``Sobol(grid=8, rows=32, seed=0)``.
    selection : Selection, optional
        Photo and class that are chosen, shared with other views; by default one of its own.
    **traits : object
        Initial values of the attributes below.

    Attributes
    ----------
    selected_image : str
        Name of the photo that is shown: the first of ``selection.images`` that the view has.
    selected_class : int or None
        Class that is explained, ``selection.class_id``; takes a name or an id. None follows the predicted class of each
        photo.
    opacity : float
        Of the map, in [0, 1]; default 0.8.
    threshold : float
        Share of the map's maximum below which it is transparent, in [0, 0.9]; default 0.1.
    colormap : {"magma", "viridis", "cividis"}
        Perceptual colour map.
    index : {"total", "first", "slope"}
        What is drawn: the total-order index, the first-order index (of a method that was asked for it), or the slope,
        which has a sign. See `Attribution.values`.
    score : {"logit", "softmax", "log_softmax", "margin", "own"}
        What of the class is explained, by default the method's; "own" is a function that the method was given.
    scale : {"image", "shared"}
        Whether colours span each photo's map, or the strongest of all photos.

    Raises
    ------
    TypeError, ValueError
        If an image cannot be read; the message names it and says what to do.
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
    """

    kind = "attribution"
    _esm = bundle("attribution.js")

    selected_image = traitlets.Unicode().tag(sync=True)
    selected_class = ClassTrait(default_value=None, allow_none=True).tag(sync=True)
    opacity = traitlets.Float(0.8, min=0, max=1).tag(sync=True)
    threshold = traitlets.Float(0.1, min=0, max=0.9).tag(sync=True)
    colormap = traitlets.Enum(WIRE["colormaps"], "magma").tag(sync=True)
    index = traitlets.Enum(WIRE["indices"], "total").tag(sync=True)
    score = traitlets.Enum([*WIRE["scores"], OWN], "logit").tag(sync=True)
    scale = traitlets.Enum(WIRE["scales"], "image").tag(sync=True)

    _class_count = traitlets.Int().tag(sync=True)
    _title = traitlets.Unicode().tag(sync=True)
    _images: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _photos: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _large = traitlets.Dict().tag(sync=True)
    _strip = traitlets.Dict().tag(sync=True)
    _status = traitlets.Dict().tag(sync=True)
    _maps = traitlets.Dict().tag(sync=True)
    _planes = traitlets.Dict().tag(sync=True)
    _pairs = traitlets.Dict().tag(sync=True)
    _seq = traitlets.Int(0).tag(sync=True)

    _mirrors = ("selected_image", "selected_class")
    _followed = ("images", "class_id")
    _handlers: ClassVar[dict[str, str]] = {
        "ack": "_on_ack",
        "start": "_on_start",
        "stop": "_on_stop",
        "explain": "_on_explain",
        "layer": "_on_layer",
        "pairs": "_on_pairs",
        "thumbnails": "_on_thumbnails",
    }

    def __init__(
        self,
        model: VisionModel,
        images: Any,
        *,
        method: Sobol | None = None,
        selection: Selection | None = None,
        **traits: Any,
    ) -> None:
        photos = {name: read_photo(image, name=name) for name, image in name_images(images).items()}
        shared = self._join(selection)
        self._class_names: ClassNames = model.class_names
        self._model = model
        self._photo_of = photos
        self.method = method or Sobol()
        self._jobs = {name: self._make_job(name, photo) for name, photo in photos.items()}
        self._drawn: dict[str, Attribution] = {}
        self._asked: dict[str, set[int]] = {name: set() for name in photos}
        self._gate = FrameGate()
        self._pair_gate = FrameGate()
        self._partners = Partners(model, lambda: self._say(_PARTNERS))
        self._album, self._deliveries = Album(photos), Errands(str(model.device), lambda: None)
        self._begun = False
        traits.setdefault("score", own_score(self.method))
        told = [name for name in self._mirrors if name in traits]
        traits.setdefault("selected_image", first_known(shared.images, photos) or next(iter(photos)))
        super().__init__(**traits)
        self._agree(told)
        self._begin_to_follow()
        self.write(
            _class_count=len(model.class_names),
            _title=model.name,
            _images=[self._describe_image(name, photo) for name, photo in photos.items()],
            _photos=self._encode_photos(_SAVED_PHOTOS, _PHOTO_BYTES),
            _large=self._encode_large(),
            _strip={"total": self._album.total, "mark": self._album.mark},
            _status={name: self._describe_status(name) for name in list(photos)[:_SAVED_PHOTOS]},
        )
        self.observe(self._on_selection, list(self._mirrors))
        self.observe(lambda _: self._say(_PARTNERS), ["selected_class", "score"])

    @property
    def job(self) -> Job[Attribution]:
        """The job of the photo that is shown: its state, its record, `wait` and `stop`."""
        return self._jobs[self.selected_image]

    @property
    def attribution(self) -> Attribution | None:
        """The best record so far of the photo that is shown, or None before there is one."""
        return self.job.record

    @property
    def attributions(self) -> dict[str, Attribution]:
        """The best record so far of every photo that has one, by name."""
        return {name: job.record for name, job in self._jobs.items() if job.record is not None}

    def start(self) -> Job[Attribution]:
        """Start, or continue, computing the photo that is shown.

        Returns
        -------
        Job
            Its job; a new one if the last has failed.
        """
        return self._retry(self.selected_image)

    def stop(self) -> None:
        """Stop computing the photo that is shown; its map stays, and `start` continues it."""
        self.job.stop()

    def close(self) -> None:
        """Stop all jobs, give their memory back and disconnect from the browser; the view cannot be used again."""
        for job in getattr(self, "_jobs", {}).values():  # a view that refused its images is collected half made
            job.discard()
        if hasattr(self, "_deliveries"):
            self._deliveries.drop_all()
            self._album = Album({})
            self._partners.clear()
            self._drawn.clear()
            self._photo_of.clear()
        layout = self._trait_values.get("layout")
        if layout is not None:
            layout.close()
        super().close()

    def settle(self) -> None:
        """Bring what the browser knows up to date, as an exported page is to show it."""
        for name in self.attributions:
            if self.selected_class is not None:
                self._asked[name].add(self.selected_class)
            self._publish(name, force=True)

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
            The map over the photo, or the photo alone while there is no map.
        """
        record = self.attribution
        if record is not None:
            return record.picture(self.selected_class, colormap=self.colormap)
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
        record = self.attribution
        if record is not None:
            return record.describe(self.selected_class)
        return f"{self._title} on {self.selected_image}: not computed yet. Run the cell in a notebook to see the map."

    def __repr__(self) -> str:
        return f"<AttributionView: {self.describe()}>"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Show the widget, with a picture for hosts that cannot; the first display starts the computing."""
        shown = super()._repr_mimebundle_(**kwargs)
        if not self._begun:
            self.start()
        if shown is None:
            return None
        data, metadata = shown
        return {**mime_bundle(self.picture(), self.describe()), **data}, metadata

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def _make_job(self, name: str, photo: Photo) -> Job[Attribution]:
        job = self.method.submit(self._model, photo, preview=True)
        job.name = name
        job.watch(lambda _: self._say(name))
        return job

    def _retry(self, name: str) -> Job[Attribution]:
        """Start a photo's job, or a new one if it has failed."""
        if self._jobs[name].state == "failed" and name in self._photo_of:
            self._jobs[name] = self._make_job(name, self._photo_of[name])
        return self._start(name)

    def _start(self, name: str) -> Job[Attribution]:
        self._begun = True
        job = self._jobs[name].start(priority=next(_clicks))
        self._say(name)
        return job

    # -- the selection ------------------------------------------------------------------------------------------------

    def _agree(self, told: list[str]) -> None:
        """Agree with the selection: what was asked of the view holds, the rest is taken over."""
        if "selected_class" in told:
            self.selection.class_id = self.selected_class
        else:
            self._take_class(self.selection.class_id)
        if "selected_image" in told or not self.selection.images:
            self.selection.images = [self.selected_image]

    def _follow(self, change: Any) -> None:
        """Take over what was selected elsewhere; what the view does not have leaves it as it is."""
        if change["name"] == "class_id":
            self._take_class(change["new"])
        else:
            self.selected_image = first_known(change["new"], self._photo_of) or self.selected_image

    def _take_class(self, class_id: int | None) -> None:
        if class_id is None or class_id < len(self._class_names):
            self.selected_class = class_id

    def _tell_selection(self, name: str) -> None:
        """Have the selection follow the view."""
        if name == "selected_class":
            self.selection.class_id = self.selected_class
        elif self.selected_image != first_known(self.selection.images, self._photo_of):
            self.selection.images = [self.selected_image]

    def _on_selection(self, change: Any) -> None:
        """Tell the selection, compute what is now shown, and store the class that is now explained."""
        self._tell_selection(change["name"])
        if change["name"] == "selected_image" and change["new"] not in self._jobs:
            return
        if change["name"] == "selected_image":
            self.write(_large=self._encode_large())
        name = self.selected_image
        if self.selected_class is not None:
            self._ask(name, self.selected_class)
        if self._begun and (self._jobs[name].state == "idle" or self._jobs[name].active):
            self._start(name)

    @traitlets.validate("index")
    def _check_index(self, proposal: Any) -> str:
        index: str = proposal["value"]
        lacking = missing(self.method)
        if index in lacking:
            raise traitlets.TraitError(f"index: {lacking[index]}.")
        return index

    @traitlets.validate("score")
    def _check_score(self, proposal: Any) -> str:
        score: str = proposal["value"]
        if score == OWN != own_score(self.method):
            raise traitlets.TraitError(
                f"score: {OWN!r} is for methods with a function as score; this has {own_score(self.method)!r}."
            )
        return score

    @traitlets.validate("selected_image")
    def _check_image(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name not in self._photo_of:
            raise traitlets.TraitError(f"selected_image: wanted one of {list(self._photo_of)}, got {name!r}.")
        return name

    # -- what the browser is told -------------------------------------------------------------------------------------

    def _say_now(self, key: str) -> None:
        if key == _PARTNERS:
            self._publish_partners()
        else:
            self._publish(key)

    def _publish_partners(self) -> None:
        """Send how far the search for a cell's partners is, and what it has found."""
        search = self._partners.search
        if search is None:
            if self._pairs:
                self.write(_pairs={})
        elif not search.job.active or self._pair_gate.progress():
            self.write(_pairs=self._partners.tell(self._explained(search.image), self.score))

    def _explained(self, name: str) -> int:
        """Return the class that is explained of a photo with a map."""
        chosen: int | None = self.selected_class
        return self._record_of(name).predicted if chosen is None else chosen

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
        """Have a class's map stored with a photo's."""
        self._asked[name].add(class_id)
        stored = self._maps.get(name, {"classes": []})["classes"]
        if self._jobs[name].record is not None and all(shown["id"] != class_id for shown in stored):
            self._publish(name, force=True)

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
            name: list(stored_layers(record, [shown["id"] for shown in state["_maps"][name]["classes"]]))
            for name, record in self.attributions.items()
            if name in state["_maps"] and not record.preview
        }
        if len(self._photo_of) > _SAVED_PHOTOS:
            state |= {"_photos": self._encode_photos(len(self._photo_of), _PAGE_PHOTO_BYTES), "_large": {}}
        return {**state, "_status": {**state["_status"], **resting}, "_layers": layers}

    def _gallery(self) -> Album:
        return self._album

    def _encode_photos(self, count: int, total: int) -> list[bytes]:
        """Encode the first photos, in so many bytes together; of the others nothing is kept."""
        photos = list(self._photo_of.values())
        limit = total // min(count, len(photos))
        kept = [encode(to_picture(photo.pixels), limit=limit) for photo in photos[:count]]
        return [*kept, *[b""] * (len(photos) - len(kept))]

    def _encode_large(self) -> dict[str, bytes]:
        """Encode the photo that is shown, if it is none of the first."""
        name = self.selected_image
        if list(self._photo_of).index(name) < _SAVED_PHOTOS:
            return {}
        return {name: encode(to_picture(self._photo_of[name].pixels), limit=_LARGE_BYTES)}

    def _describe_image(self, name: str, photo: Photo) -> dict[str, Any]:
        top, left, bottom, right = self._geometry(photo).seen
        return {"name": name, "width": photo.size[1], "height": photo.size[0], "seen": [left, top, right, bottom]}

    def _geometry(self, photo: Photo) -> Geometry:
        return self._model.preprocess.geometry(photo)

    def _describe_status(self, name: str) -> dict[str, Any]:
        return describe_status(self._jobs[name], self.method.rows)

    # -- what the browser asks ----------------------------------------------------------------------------------------

    def _on_ack(self, content: dict[str, Any]) -> None:
        frame = content.get("seq")
        if isinstance(frame, int):
            self._gate.acknowledge(frame)

    def _on_start(self, content: dict[str, Any]) -> None:
        name = content.get("image")
        if isinstance(name, str) and name in self._jobs:
            self._retry(name)

    def _on_stop(self, content: dict[str, Any]) -> None:
        name = content.get("image")
        if isinstance(name, str) and name in self._jobs:
            self._jobs[name].stop()

    def _on_explain(self, content: dict[str, Any]) -> None:
        rid, name, query = content.get("rid"), content.get("image"), content.get("query")
        try:
            if isinstance(query, str) and query.strip().isdecimal():
                query = int(query)
            class_id = self._class_names.resolve(query)  # type: ignore[arg-type]  # it says what it wants
        except (ValueError, TypeError) as error:
            near = [{"id": k, "name": self._class_names.label(k)} for k in getattr(error, "candidates", ())]
            self.reply("refused", rid, message=str(error).removeprefix("target: "), suggestions=near)
            return
        record = self._jobs[name].record if isinstance(name, str) and name in self._jobs else None
        if record is not None and not record.keeps(class_id):
            self.reply("refused", rid, message=record.describe(class_id), suggestions=[])
            return
        if isinstance(name, str) and name in self._jobs:
            self._ask(name, class_id)
        if content.get("select", True):
            self.selection.write_for_user(class_id=class_id)
        self.reply("explained", rid, id=class_id)

    def _on_layer(self, content: dict[str, Any]) -> None:
        """Read a layer off the stored logits; it takes milliseconds and no forward."""
        rid, name = content.get("rid"), content.get("image")
        try:
            record = self._record_of(name)
            class_id = self._class_names.resolve(content.get("class"))  # type: ignore[arg-type]  # it says what it wants
            meta, plane = read_layer(record, class_id, str(content.get("index")), str(content.get("score")))
        except (ValueError, TypeError, LookupError) as error:
            self.reply("refused", rid, message=str(error), suggestions=[])
            return
        self.reply("layer", rid, image=name, grid=list(record.grid), rows=record.rows, buffers=[plane], layer=meta)

    def _on_pairs(self, content: dict[str, Any]) -> None:
        """Search for a cell's partners before everything else, or leave them where no cell is named."""
        rid, name, cell = content.get("rid"), content.get("image"), content.get("cell")
        try:
            if cell is None:
                self._partners.leave()
            else:
                record = self._record_of(name)
                job = self._partners.ask(str(rid), str(name), cell, record, class_id=self._explained(str(name)))
                job.start(priority=next(_clicks))
        except (ValueError, TypeError, LookupError) as error:
            self.reply("refused", rid, message=str(error), suggestions=[])
            return
        self._say(_PARTNERS)
        self.reply("pairing", rid)

    def _record_of(self, name: Any) -> Attribution:
        record = self._jobs[name].record if isinstance(name, str) and name in self._jobs else None
        if record is None:
            raise ValueError(f"There is no map of {name!r} yet.")
        return record
