"""Which concepts and which photo a view of concepts shows, and how that agrees with a selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.widgets._linked import LinkedView

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

    def _chosen_elsewhere(self) -> dict[str, Any]:
        """Return what is selected already, as traits."""
        concepts, image = self._known_concepts(self.selection.concepts), self._known_image(self.selection.images)
        taken = {"selected_concepts": concepts} if concepts else {}
        return taken if image is None else {**taken, "selected_image": image}

    def _known_concepts(self, ids: Sequence[int]) -> list[int] | None:
        """Return what a selection of concepts is in this view, or None if it has none of them."""
        bank = self._explored.bank
        known = [k for k in dict.fromkeys(ids) if bank is None or k in bank.ids]
        return known if known or not ids else None

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
        """Keep what was chosen while concepts change; observers are not called: one might wait for the worker."""
        bank = self._explored.bank
        if bank is None:
            return
        known, first = set(bank.ids), self._explored.initial()
        kept: dict[str, Any] = {
            name: [k for k in getattr(self, name) if k in known] for name in ("hidden", "pinned", "selected_concepts")
        }
        for name in ("scales", "names", "notes"):
            kept[name] = {key: value for key, value in getattr(self, name).items() if int(key) in known}
        selection, chosen = self.selection, self._chosen_elsewhere()
        leads = self._follows and (bank.complete or not chosen.get("selected_concepts"))
        kept |= chosen
        if leads or not kept["selected_concepts"]:
            kept["selected_concepts"] = first["selected_concepts"]
        if "selected_image" not in kept and self._explored.number_of(self.selected_image) is None:
            kept["selected_image"] = first["selected_image"]
        self._set_quietly(**kept)
        told: dict[str, Any] = {}
        if leads or not selection.concepts:
            told["concepts"] = self.selected_concepts
        if not selection.images and self.selected_image:
            told["images"] = [self.selected_image]
        selection.settle(**told)

    def _settle_with_selection(self) -> None:
        """Take over what another view settled on, as quietly."""
        self._set_quietly(**self._chosen_elsewhere())

    def _set_quietly(self, **traits: Any) -> None:
        changed = {name: value for name, value in traits.items() if value != getattr(self, name)}
        self._trait_values.update(changed)
        if changed:
            self.send_state(list(changed))
