"""Which photo, class, method and layers a view of maps shows, and how that agrees with a selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from whatwhere.widgets._layers import OWN, missing_in_all, own_score
from whatwhere.widgets._linked import LinkedView
from whatwhere.widgets._view import WIRE
from whatwhere.widgets.selection import first_known, those_known

if TYPE_CHECKING:
    from whatwhere.classes import ClassNames
    from whatwhere.pixels.images import Photo
    from whatwhere.widgets._runs import Runs


class ChoosingMaps(LinkedView):
    """A view of maps that follows a selection, and shows only what its methods give.

    Parameters
    ----------
    **traits : object
        Initial values of public traits.
    """

    _mirrors = ("selected_image", "selected_class", "index", "layers")
    _followed = ("images", "class_id", "layers")

    _class_names: ClassNames
    _runs: Runs
    _photo_of: dict[str, Photo]
    selected_class: Any
    selected_image: Any
    index: Any
    layers: Any

    _missing = traitlets.Dict().tag(sync=True)

    def _agree(self, told: list[str]) -> None:
        """Agree with the selection: what was asked of the view holds, the rest is taken over."""
        if "selected_class" in told:
            self.selection.class_id = self.selected_class
        else:
            self._take_class(self.selection.class_id)
        if "selected_image" in told or not self.selection.images:
            self.selection.images = [self.selected_image]
        if {"index", "layers"} & set(told):
            self.selection.layers = self._layers_shown
        else:
            self._take_layers(self.selection.layers)

    def _follow(self, change: Any) -> None:
        """Take over what was selected elsewhere; what the view does not have leaves it as it is."""
        if change["name"] == "class_id":
            self._take_class(change["new"])
        elif change["name"] == "layers":
            self._take_layers(change["new"])
        else:
            self.selected_image = first_known(change["new"], self._photo_of) or self.selected_image

    def _take_class(self, class_id: int | None) -> None:
        if class_id is None or class_id < len(self._class_names):
            self.selected_class = class_id

    def _tell_selection(self, name: str) -> None:
        """Have the selection follow the view."""
        if name == "selected_class":
            self.selection.class_id = self.selected_class
        elif name in ("index", "layers"):
            self._tell_layers(name)
        elif self.selected_image != first_known(self.selection.images, self._photo_of):
            self.selection.images = [self.selected_image]

    # `index` and `layers` are one choice: the list that the selection has of them. The browser reads and writes it by
    # the same rules (`followLayers` in following.ts).

    @property
    def _layers_shown(self) -> list[str]:
        """What is shown of a map, as the selection lists it."""
        return list(self.layers) or [self.index]

    def _known_layers(self, chosen: list[str]) -> list[str]:
        """Return what the view has of the layers that are selected, in their own order; none leave it as it is."""
        known = those_known(chosen, [name for name in WIRE["layers"] if name not in self._missing]) or []
        return [name for name in WIRE["layers"] if name in known]

    def _take_layers(self, chosen: list[str]) -> None:
        known = self._known_layers(chosen)
        if len(known) == 1:
            self.index = known[0]  # first: as long as several are shown, it changes nothing that is seen
        if known:
            self.layers = known if len(known) > 1 else []

    def _tell_layers(self, name: str) -> None:
        shown, known = self._layers_shown, self._known_layers(self.selection.layers)
        if name == "index" and self.layers:
            if known != [self.index]:
                self.send_state(name)  # nothing that is seen, and that the selection could tell of
        elif shown != known:
            self.selection.layers = shown

    def _settle_with_selection(self) -> None:
        """Show the photo that is selected, once it is there."""
        name = first_known(self.selection.images, self._photo_of)
        if name is not None:
            self._set_quietly(selected_image=name)

    @traitlets.validate("index")
    def _check_index(self, proposal: Any) -> str:
        index: str = proposal["value"]
        lacking = missing_in_all(self._runs.methods.values())
        if index in lacking:
            raise traitlets.TraitError(f"index: {lacking[index]}.")
        return index

    @traitlets.validate("layers")
    def _check_layers(self, proposal: Any) -> list[str]:
        wanted: list[str] = proposal["value"]
        lacking = missing_in_all(self._runs.methods.values())
        if len(wanted) == 1:
            raise traitlets.TraitError(
                f"layers: wanted two or more, or none, got {wanted!r}; view.index = {wanted[0]!r} shows one alone."
            )
        for name in wanted:
            if name in lacking:
                raise traitlets.TraitError(f"layers: {lacking[name]}.")
        if len(set(wanted)) < len(wanted):
            raise traitlets.TraitError(f"layers: wanted each of them once, got {wanted!r}.")
        return [name for name in WIRE["layers"] if name in wanted]

    @traitlets.validate("score")
    def _check_score(self, proposal: Any) -> str:
        score: str = proposal["value"]
        own = {own_score(each) for each in self._runs.methods.values()}
        if score == OWN and len(own) == 1 and OWN not in own:
            raise traitlets.TraitError(
                f"score: {OWN!r} is for methods with a function as score, or that differ in it; this has {own.pop()!r}."
            )
        return score

    @traitlets.validate("selected_method")
    def _check_method(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name and name not in self._runs.names:
            raise traitlets.TraitError(
                f"selected_method: wanted one of {self._runs.names}, or '' for all, got {name!r}."
            )
        return name

    @traitlets.validate("selected_image")
    def _check_image(self, proposal: Any) -> str:
        name: str = proposal["value"]
        if name not in self._photo_of:
            raise traitlets.TraitError(f"selected_image: wanted one of {list(self._photo_of)}, got {name!r}.")
        return name
