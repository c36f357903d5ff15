"""What a browser asks of a view of concepts: maps, what if, and the parts of a concept."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import traitlets

from whatwhere.concepts.palette import letter_of
from whatwhere.jobs import Step
from whatwhere.widgets._status import describe_error
from whatwhere.widgets._traits import ByConcept, check_id, factor
from whatwhere.widgets._view import WIRE, View

if TYPE_CHECKING:
    from collections import deque

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.maps import ConceptMaps
    from whatwhere.jobs import Job
    from whatwhere.widgets._concept_net import ConceptNet
    from whatwhere.widgets._errands import Errand, Errands
    from whatwhere.widgets._explored import Explored, MapShelf

_KINDS = [kind for kind in WIRE["concepts"]["map_kinds"] if kind != "codes"]
_SCALES = ByConcept(factor)
_SCALES.name = "scales"


class Answering(View):
    """A view that answers questions of the network, on the worker; each is answered once."""

    _explored: Explored
    _shelf: MapShelf
    _errands: Errands
    _parts: dict[int, ConceptBank]
    #: Kind, mark and content of what is to be said after the traits that it speaks of.
    _answers: deque[tuple[str, Any, dict[str, Any]]]
    _error: dict[str, str] | None

    def _on_map(self, content: dict[str, Any]) -> None:
        rid = content.get("rid")
        try:
            self._map(content.get("image"), content.get("map_kind"), rid)
        except ValueError as error:
            self._refuse(rid, str(error))

    def _map(self, name: Any, kind: Any, rid: Any = None) -> Job[ConceptMaps]:
        net, n = self._net(), self._number("image", name)
        if kind not in _KINDS:
            raise ValueError(f"kind: wanted one of {_KINDS}, which are computed, got {kind!r}.")
        stored = self._shelf.get(kind, name)
        again = None if stored is None else Step(1, 1, "maps", stored)
        steps = (lambda: net.maps(n, kind)) if again is None else (lambda: iter([again]))
        self._error = None
        return self._errands.run((kind, name), f"{kind} maps of {name}", steps, partial(self._on_mapped, net), rid)

    def _on_mapped(self, net: ConceptNet, errand: Errand) -> None:
        maps = errand.job.record
        if errand.job.state != "done" or maps is None or not maps.complete:
            self._note_failure("The maps could not be computed.", errand)
            return
        if self._refuse_overtaken(net, errand):
            return
        kind, name = errand.key
        self._shelf.add(kind, name, maps)
        self._answers.extend(("applied", rid, {}) for rid in errand.rids)

    def _on_whatif(self, content: dict[str, Any]) -> None:
        rid, given = content.get("rid"), content.get("scales")
        try:
            net, n = self._net(), self._number("image", content.get("image"))
            scales = {int(k): v for k, v in _SCALES.validate(self, given).items()}
        except (ValueError, traitlets.TraitError) as error:
            self._refuse(rid, str(error))
            return
        self._errands.drop("what-if")  # the latest wins
        self._errands.run("what-if", "what-if", lambda: net.what_if(n, scales), partial(self._on_answered, net), rid)

    def _on_answered(self, net: ConceptNet, errand: Errand) -> None:
        answer = errand.job.record
        if answer is None:
            self._note_failure("What if could not be computed.", errand)
            return
        if self._refuse_overtaken(net, errand):
            return
        self._answers.extend(("whatif", rid, answer) for rid in errand.rids)

    def _on_split(self, content: dict[str, Any]) -> None:
        rid = content.get("rid")
        try:
            concept_id = check_id(self, "concept", content.get("concept"))
            net = self._net()
        except (ValueError, traitlets.TraitError) as error:
            self._refuse(rid, str(error))
            return
        stored = self._parts.get(concept_id)
        again = None if stored is None else Step(1, 1, "parts", stored)
        steps = (lambda: net.parts(concept_id)) if again is None else (lambda: iter([again]))
        self._errands.run(
            ("split", concept_id), f"split of {letter_of(concept_id)}", steps, partial(self._on_parts, net), rid
        )

    def _on_parts(self, net: ConceptNet, errand: Errand) -> None:
        parts = errand.job.record
        if errand.job.state != "done" or parts is None or parts.parent is None:
            self._note_failure("The concept could not be split.", errand)
            return
        if self._refuse_overtaken(net, errand):
            return
        concept_id = parts.parent[1]
        self._parts[concept_id] = parts
        told = {"parent": concept_id, **net.describe_parts(parts, letter_of(concept_id))}
        self._answers.extend(("split", rid, told) for rid in errand.rids)

    def _net(self) -> ConceptNet:
        net = self._explored.net
        if net is None:
            raise ValueError(self._explored.why_no_net)
        return net

    def _number(self, field: str, name: Any) -> int:
        n = self._explored.number_of(name) if isinstance(name, str) else None
        if n is None:
            raise ValueError(
                f"{field}: wanted a photo of the bank, got {name!r}. {self._explored.strip.reason}".rstrip()
            )
        return n

    def _note_failure(self, what: str, errand: Errand) -> None:
        """Say why there is no answer."""
        error = errand.job.error
        superseded = error is None  # stopped, or a newer question came
        if error is not None:
            self._error = {**describe_error(error), "what": what}
        why = "It was stopped." if error is None else f"{what} {error}"
        for rid in errand.rids:
            self._answers.append(("refused", rid, {"message": why, "suggestions": [], "superseded": superseded}))

    def _refuse_overtaken(self, net: ConceptNet, errand: Errand) -> bool:
        """Refuse what was asked of concepts that are shown no more; tell whether it was."""
        if net is self._explored.net:
            return False
        told = {"message": "There are other concepts now.", "suggestions": [], "superseded": True}
        self._answers.extend(("refused", rid, told) for rid in errand.rids)
        return True

    def _refuse(self, rid: Any, message: str) -> None:
        self.reply("refused", rid, message=message, suggestions=[], superseded=False)
