"""Prototypes on the cards of a view of concepts: what Python may ask of them, and what the browser is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from whatwhere.widgets._concept_answers import Answering
from whatwhere.widgets._growth import check_method
from whatwhere.widgets._proto_data import Budget, PrototypeData
from whatwhere.widgets._proto_words import about, code_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from whatwhere.jobs import Job
    from whatwhere.prototypes.maco import Maco
    from whatwhere.prototypes.record import Prototype
    from whatwhere.widgets._growth import Growth
    from whatwhere.widgets._view import FrameGate

_NOTEBOOK = Budget(21_500, 11_500, 0, 0, all=False)
_PAGE = Budget(200_000, 600_000, 0, 0, all=True)
_SHARE = 15  # see `PrototypeView`: drawing stays a small part of the work

_CARDS = 12  # where there are more concepts, half as many have a card, and the list shows no prototypes

_SPARE = 6_000  # bytes of a notebook that nothing else takes


class CardPictures:
    """Prototypes of concepts on their way to the browser."""

    def __init__(self) -> None:
        self._data = PrototypeData()
        self._next = 0.0

    @staticmethod
    def taken(told: Mapping[str, Any], *, growing: bool) -> int:
        """Return how many bytes of what a notebook saves prototypes take from the rest.

        Parameters
        ----------
        told : mapping
            ``_prototypes`` on the wire.
        growing : bool
            Whether they grow: what they will take is not known then, and nothing is to move meanwhile.

        Returns
        -------
        int
            Bytes; 0 where there are none.
        """
        if not told:
            return 0
        small = _NOTEBOOK.small if growing else len(told["mosaic"]) + len(told["alpha"])
        return max(0, small + _NOTEBOOK.large - _SPARE)

    @property
    def due(self) -> bool:
        """Whether the next pictures may be drawn while prototypes grow."""
        return time.monotonic() >= self._next

    def traits(
        self, found: Mapping[int, Prototype], opened: int | None, *, growing: bool = False, page: bool = False
    ) -> dict[str, Any]:
        """Draw prototypes.

        Parameters
        ----------
        found : mapping of int to Prototype
            Those that are shown, by the concept's id.
        opened : int or None
            Id of the concept that is looked at.
        growing : bool, default False
            Whether they are drawn fast, since better ones will come.
        page : bool, default False
            Whether they are for an exported page, where all are large.

        Returns
        -------
        dict
            ``_prototypes`` and ``_prototype`` on the wire.
        """
        if not found:
            return {"_prototypes": {}, "_prototype": {}}
        begin = time.monotonic()
        ids, records = list(found), list(found.values())
        self._data.forget_all_but(records)
        looked_at = [k for k in ids if page or k == opened]
        members = [ids.index(k) for k in looked_at]
        if growing:
            drawn = self._data.growing(records, members, 2 * _NOTEBOOK.small)
        else:
            drawn = self._data.resting(records, members, _PAGE if page else _NOTEBOOK)
        told = {
            "ids": ids,
            "sizes": [list(each.size) for each in records],
            "mosaic": drawn["_mosaic"],
            "alpha": drawn["_mosaic_alpha"],
            "side": drawn["_side"],
            "columns": drawn["_columns"],
        }
        large = {
            str(k): drawn["_large"][str(ids.index(k))] | {"about": about(found[k]), "code": code_of(found[k])}
            for k in looked_at
        }
        self._next = time.monotonic() + _SHARE * (time.monotonic() - begin)
        return {"_prototypes": told, "_prototype": large}

    def clear(self) -> None:
        """Forget all pictures."""
        self._data.clear()


class Prototyping(Answering):
    """A view of concepts with a prototype on each card."""

    _growth: Growth
    _cards: CardPictures
    _gate: FrameGate
    _begun: bool
    #: How prototypes are to be grown once there are concepts, if somebody asked for it.
    _wish: Maco | None
    #: What was drawn last.
    _drawn_cards: tuple[object, ...]
    selected_concepts: Any
    merged: Any
    hidden: Any
    pinned: Any

    @property
    def prototypes(self) -> list[Prototype | None]:
        """The prototype of each concept, in the order of `ids`: the best so far while they grow, None without one."""
        bank, found = self._explored.bank, self._growth.found(self._explored.bank)
        return [] if bank is None else [found.get(k) for k in bank.ids]

    def grow(self, method: Maco | None = None) -> Job[list[Prototype]]:
        """Grow a prototype of each concept in the background, on the cards.

        Parameters
        ----------
        method : Maco, optional
            How, for all concepts. By default what was stopped goes on; otherwise concepts without a prototype get one,
            of 128 steps of 8 crops at 320 pixels.

        Returns
        -------
        Job
            Of the prototypes; started. Whatever else the view is asked for goes first.

        Raises
        ------
        TypeError, ValueError
            If `method` makes other than one prototype a concept, there is no network, or the concepts are not finished.

        Notes
        -----
        Costs a forward and a backward pass a crop: minutes of a CPU. Concepts that are merged, or dead, have no
        direction of their own and get none. `stop` stops it, and what there is stays.
        """
        method = None if method is None else check_method(method)
        known = self._net().concepts
        self._wish = None
        job = self._growth.begin(known.bank, known.model, method, self._without())
        self._say("growth")
        return job

    def _without(self) -> Collection[int]:
        """Return the ids of concepts that are shown as parts of one, which has no direction."""
        return {k for ids in self.merged for k in ids}

    def _grow_as_wished(self) -> None:
        """Grow what was asked for when the view was made, once it is shown and has its concepts."""
        if self._wish is not None and self._begun and self._explored.net is not None:
            self.grow(self._wish)

    def _on_grow(self, content: dict[str, Any]) -> None:
        rid = content.get("rid")
        if content.get("on") is False:
            self._growth.stop()
        else:
            try:
                self.grow()
            except ValueError as error:
                self._refuse(rid, str(error))
                return
        self.reply("applied", rid)

    def _publish_growth(self, *, force: bool = False) -> None:
        """Send prototypes, if the browser has drawn the last frame, and how far they are."""
        growth, bank = self._growth, self._explored.bank
        found = growth.found(bank)
        status, active = growth.status(bank, self._explored.why_no_net, self._without()), growth.active
        opened = next((k for k in (*self.selected_concepts[-1:], *found) if k in found), None)
        cards = self._cards_first(found)
        shown = {k: each for k, each in found.items() if k in cards or k == opened}
        wanted, frame = (*shown.items(), opened, active), None
        if self._drawn_cards != wanted and (force or not active or self._cards.due):
            frame = self._gate.frame(force=force or not active)
        if frame is not None:
            self.write(**self._cards.traits(shown, opened, growing=active), _growing=status, _seq=frame)
            self._drawn_cards = wanted
        elif {**status, "eta": None} != {**self._growing, "eta": None}:
            self.write(_growing=status)

    def _cards_first(self, ids: Iterable[int]) -> list[int]:
        """Return those of some concepts that have a card, as the browser orders them, and some to spare."""
        seen = [k for k in ids if k not in self.hidden]
        return sorted(seen, key=lambda k: k not in self.pinned)[:_CARDS]

    def _grown_page(self) -> dict[str, Any]:
        """Return what an exported page shows: all prototypes large, and nothing that grows."""
        growth, bank = self._growth, self._explored.bank
        found, status = growth.found(bank), growth.status(bank, self._explored.why_no_net, self._without())
        if status["state"] == "computing":
            status |= {"state": "partial" if found else "empty", "eta": None}
        return {**self._cards.traits(found, None, page=True), "_growing": status}
