"""What a browser asks of a view of maps: another class, a layer, and the partners of a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.widgets._errands import clicks
from whatwhere.widgets._layers import read_layer
from whatwhere.widgets._linked import LinkedView

if TYPE_CHECKING:
    from whatwhere.attribution import Attribution
    from whatwhere.classes import ClassNames
    from whatwhere.jobs import Job
    from whatwhere.pixels.images import Photo
    from whatwhere.widgets._partners import Partners
    from whatwhere.widgets._runs import Runs
    from whatwhere.widgets._view import FrameGate

#: What a view is said to have news of.
PARTNERS = "\0partners"  # no photo is called so


class Explaining(LinkedView):
    """A view that answers questions of its maps, most of them from what is stored.

    Parameters
    ----------
    **traits : object
        Initial values of public traits.
    """

    _class_names: ClassNames
    _runs: Runs
    _jobs: dict[str, Job[Attribution]]
    _photo_of: dict[str, Photo]
    _partners: Partners
    _pair_gate: FrameGate
    selected_class: Any
    score: Any
    _pairs: Any

    def _ask(self, name: str, class_id: int) -> None:
        """Have a class's maps stored with a photo's."""
        raise NotImplementedError

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
        known = isinstance(name, str) and name in self._photo_of
        records = [self._jobs[key].record for key in self._runs.keys(str(name))] if known else []
        dropped = [record for record in records if record is not None and not record.keeps(class_id)]
        if dropped and len(dropped) == len(records):
            self.reply("refused", rid, message=dropped[0].describe(class_id), suggestions=[])
            return
        if known:
            self._ask(str(name), class_id)
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
                job.start(priority=next(clicks))
        except (ValueError, TypeError, LookupError) as error:
            self.reply("refused", rid, message=str(error), suggestions=[])
            return
        self._say(PARTNERS)
        self.reply("pairing", rid)

    def _record_of(self, name: Any) -> Attribution:
        record = self._jobs[name].record if isinstance(name, str) and name in self._jobs else None
        if record is None:
            raise ValueError(f"There is no map of {name!r} yet.")
        return record

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
