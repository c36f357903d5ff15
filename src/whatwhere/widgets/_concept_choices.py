"""Which concepts and which photo a view of concepts shows, and how that agrees with a selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.concepts.groups import left_of
from whatwhere.widgets._linked import LinkedView
from whatwhere.widgets.selection import those_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatwhere.widgets._explored import Explored


class Choosing(LinkedView):
    """A view of concepts that follows a selection; before it has a bank it takes over whatever is selected."""

    _mirrors = ("selected_concepts", "selected_image")
    _followed = ("concepts", "images")

    _explored: Explored
    #: Whether nobody has chosen yet: then the most important concept is shown, whichever that becomes.
    _follows: bool
    selected_concepts: Any
    selected_image: Any
    merged: Any
    #: What was said of concepts that are not there now, by trait: another number of concepts may bring them back.
    _waiting: dict[str, Any]

    def _chosen_elsewhere(self) -> dict[str, Any]:
        """Return what is selected already, as traits."""
        concepts, image = self._known_concepts(self.selection.concepts), self._known_image(self.selection.images)
        taken = {"selected_concepts": concepts} if concepts else {}
        return taken if image is None else {**taken, "selected_image": image}

    def _known_concepts(self, ids: Sequence[int]) -> list[int] | None:
        """Return what a selection of concepts is in this view, or None if it has none of them."""
        bank = self._explored.bank
        return those_known(ids, None if bank is None else bank.ids)

    def _known_image(self, names: Sequence[str]) -> str | None:
        """Return the first of some photos that this view has."""
        has = self._explored.number_of
        return next((name for name in names if self._explored.bank is None or has(name) is not None), None)

    def _agree(self, told: Sequence[str]) -> None:
        """Agree with the selection: what was asked of the view holds, and what it shows where nothing is selected."""
        selection = self.selection
        if "selected_concepts" in told or not selection.concepts:
            selection.concepts = self.selected_concepts
        if self.selected_image and ("selected_image" in told or not selection.images):
            selection.images = [self.selected_image]

    def _follow(self, change: Any) -> None:
        """Take over what was selected elsewhere; what the view does not have leaves it as it is."""
        if change["name"] == "concepts":
            self._follows = False
            ids = self._known_concepts(change["new"])
            self.selected_concepts = self.selected_concepts if ids is None else ids
        else:
            self.selected_image = self._known_image(change["new"]) or self.selected_image

    def _tell_selection(self, name: str) -> None:
        """Have the selection follow the view."""
        selection = self.selection
        if name == "selected_concepts":
            if self.selected_concepts != self._known_concepts(selection.concepts):
                selection.concepts = self.selected_concepts
        elif name == "selected_image" and self.selected_image != self._known_image(selection.images):
            selection.images = [self.selected_image] if self.selected_image else []

    def _settle_choices(self) -> None:
        """Keep what was chosen while concepts change; observers are not called: one might wait for the worker.

        Nothing that a person chose changes, and nothing is chosen for one who chose nothing. Only what nobody chose
        follows, and where all that was chosen is gone the most important concept takes its place.
        """
        bank = self._explored.bank
        if bank is None:
            return
        first, chosen, before = self._explored.initial(), self._chosen_elsewhere(), self.selected_concepts
        kept = self._sayings(set(bank.ids)) | chosen
        here = kept.setdefault("selected_concepts", [k for k in before if k in bank.ids])
        leads = self._follows and (bank.complete or not here)
        if leads or (before and not here):
            kept["selected_concepts"] = first["selected_concepts"]
        if "selected_image" not in kept and self._explored.number_of(self.selected_image) is None:
            kept["selected_image"] = first["selected_image"]
        selection = self.selection
        self._set_quietly(**kept)
        told: dict[str, Any] = {}
        if leads or not selection.concepts:
            told["concepts"] = self.selected_concepts
        if not selection.images and self.selected_image:
            told["images"] = [self.selected_image]
        selection.settle(**told)

    def _sayings(self, known: set[int]) -> dict[str, Any]:
        """Return what a person says of the concepts that there are; what is said of others waits for their return."""
        waiting, told = self._waiting, dict[str, Any]()
        for name in ("names", "notes", "scales"):
            every = waiting.get(name, {}) | getattr(self, name)
            told[name] = {key: value for key, value in every.items() if int(key) in known}
            waiting[name] = {key: value for key, value in every.items() if int(key) not in known}
        for name in ("hidden", "pinned"):
            listed = list(dict.fromkeys([*getattr(self, name), *waiting.get(name, ())]))
            told[name] = [k for k in listed if k in known]
            waiting[name] = [k for k in listed if k not in known]
        groups = [list(ids) for ids in self.merged]
        for ids in waiting.get("merged", ()):  # what is left of a group grows again
            mine = set(ids)
            if mine <= known and all(set(group) <= mine or not mine & set(group) for group in groups):
                groups = [*(group for group in groups if not mine & set(group)), ids]
        waiting["merged"] = [ids for ids in (*waiting.get("merged", ()), *groups) if not set(ids) <= known]
        told["merged"] = [list(ids) for ids in left_of(groups, known)]
        return told

    def _settle_with_selection(self) -> None:
        """Take over what another view settled on, as quietly."""
        self._set_quietly(**self._chosen_elsewhere())
