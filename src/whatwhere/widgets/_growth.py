"""Prototypes of a bank's concepts: those that were given, and the job that grows the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.jobs import Job, Step
from whatwhere.prototypes.maco import Maco
from whatwhere.prototypes.record import Prototype
from whatwhere.targets import Concept, Direction, concepts
from whatwhere.widgets._status import describe_error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.model import VisionModel

#: How prototypes of cards are grown where nobody says how: some minutes of a CPU for ten concepts.
METHOD = Maco(steps=128, crops=8, size=320, frames=0)

_STATES = {"queued": "computing", "running": "computing", "failed": "failed"}
_BEHIND = 0  # priority: whatever a person asks for goes first
_KEPT = 80  # prototypes that were grown for concepts that may come back


def read_wish(given: Any) -> tuple[tuple[Prototype, ...], Maco | None]:
    """Understand what a view of concepts was given as its prototypes.

    Parameters
    ----------
    given : Prototype, sequence of Prototype or None, Maco, True, or None
        Prototypes of its concepts, or how they are to be grown.

    Returns
    -------
    tuple of Prototype
        Those that there are.
    Maco or None
        How others are to be grown at first display; None if nobody asked for them.

    Raises
    ------
    TypeError, ValueError
        If it is something else, or a method that makes several prototypes of a concept.
    """
    if given is True:
        return (), METHOD
    if isinstance(given, Maco):
        return (), check_method(given)
    listed = [given] if isinstance(given, Prototype) else given
    if listed is None or given is False:
        return (), None
    if not isinstance(listed, list | tuple) or not all(each is None or isinstance(each, Prototype) for each in listed):
        odd = listed if not isinstance(listed, list | tuple) else next(e for e in listed if not _is_record(e))
        raise TypeError(
            "prototypes: wanted Prototype records, as Maco's run gives of ww.targets.concepts(bank), or True or a Maco "
            f"to grow them, got {type(odd).__name__}."
        )
    return tuple(each for each in listed if each is not None), None


def _is_record(value: Any) -> bool:
    return value is None or isinstance(value, Prototype)


def check_method(method: Any) -> Maco:
    """Refuse what does not make one prototype a concept.

    Parameters
    ----------
    method : object
        What somebody gave.

    Returns
    -------
    Maco
        The same.

    Raises
    ------
    TypeError, ValueError
        If it is no Maco, or has several seeds.
    """
    if not isinstance(method, Maco):
        raise TypeError(f"method: wanted a Maco, such as Maco(steps=64), got {type(method).__name__}.")
    if len(method.seeds) > 1:
        raise ValueError(
            f"method: wanted one seed, since a card has room for one prototype, got {len(method.seeds)}; "
            "ww.PrototypeView shows several side by side."
        )
    return method


def prototypes_of(prototypes: Iterable[Prototype], bank: ConceptBank) -> dict[int, Prototype]:
    """Find out which concepts of a bank prototypes are of: those of the same network, layer and direction.

    Parameters
    ----------
    prototypes : iterable of Prototype
        Prototypes; of a concept the first one counts.
    bank : ConceptBank
        The bank.

    Returns
    -------
    dict of int to Prototype
        By the concept's id, in the bank's order.
    """
    found: dict[int, Prototype] = {}
    for each in prototypes:
        target = each.target
        if not isinstance(target, Concept | Direction) or target.layer != bank.layer.name:
            continue
        direction = target.direction
        if direction.shape != bank.W.shape[1:] or each.provenance.fingerprint != bank.provenance.fingerprint:
            continue
        for k in np.flatnonzero((direction == bank.W).all(axis=1))[:1]:
            found.setdefault(bank.ids[k], each)
    return {k: found[k] for k in bank.ids if k in found}


def check_prototypes(prototypes: Sequence[Prototype], bank: ConceptBank) -> None:
    """Refuse prototypes of other concepts.

    Parameters
    ----------
    prototypes : sequence of Prototype
        Prototypes.
    bank : ConceptBank
        The bank.

    Raises
    ------
    ValueError
        If there are some, and none is of a concept of the bank.
    """
    if prototypes and not prototypes_of(prototypes, bank):
        raise ValueError(
            f"prototypes: wanted some of the bank's concepts, at {bank.layer.name!r} of {bank.provenance.model}, got "
            f"those of {[each.label for each in prototypes[:3]]}; Maco().run(model, ww.targets.concepts(bank)) makes "
            "them."
        )


class Growth:
    """The prototypes of a view's concepts, and the one job that grows them.

    Parameters
    ----------
    given : tuple of Prototype
        Those that there are.
    moved : callable
        Called whenever some have grown.
    """

    def __init__(self, given: tuple[Prototype, ...], moved: Callable[[], None]) -> None:
        self._given, self._moved = given, moved
        self._grown: tuple[Prototype, ...] = ()
        self._job: Job[list[Prototype]] | None = None
        self._bank: ConceptBank | None = None  # that the job is for
        self._method: Maco | None = None
        self._unwatch: Callable[[], None] = lambda: None
        self._once = False  # some have been shown

    def begin(
        self, bank: ConceptBank, model: VisionModel, method: Maco | None, left_out: Collection[int]
    ) -> Job[list[Prototype]]:
        """Grow prototypes, or go on.

        Parameters
        ----------
        bank : ConceptBank
            Whose concepts.
        model : VisionModel
            The network.
        method : Maco or None
            How, for all of them; None goes on with what was begun, or grows those that are missing.
        left_out : collection of int
            Ids of concepts that need none.

        Returns
        -------
        Job
            Started, behind everything else.
        """
        job = self._job if self._is_for(bank) else None
        goes_on = method == self._method or (method is None and job is not None and job.state != "done")
        if job is not None and job.state != "failed" and goes_on:
            return job.start(priority=_BEHIND)
        found = self.found(bank)
        targets = [each for each in concepts(bank) if bank.ids[each.k] not in left_out]
        if method is None:
            targets = [each for each in targets if not _is_complete(found.get(bank.ids[each.k]))]
        if not targets:
            there = Step(1, 1, "ascent", list(found.values()))
            return Job(lambda: iter([there]), device=str(model.device), name="Maco").start()
        method = method or METHOD
        begun = method.submit(model, targets)
        self.forget()
        self._job, self._bank, self._method = begun, bank, method
        self._unwatch = begun.watch(lambda _: self._moved())
        return begun.start(priority=_BEHIND)

    def leave(self, bank: ConceptBank) -> None:
        """Stop what grows for other concepts than those that are shown now.

        Parameters
        ----------
        bank : ConceptBank
            What is shown.
        """
        if self._job is not None and not self._is_for(bank):
            self._job.stop()

    def stop(self) -> None:
        """Stop growing; what there is stays."""
        if self._job is not None and self._job.active:
            self._job.stop()

    def forget(self) -> None:
        """Give the job up, and keep what it has grown."""
        job, self._job = self._job, None
        if job is None:
            return
        self._unwatch()
        record = job.record or []
        self._grown = (*record, *self._grown)[: max(_KEPT, len(record))]
        job.discard()

    def clear(self) -> None:
        """Give all up."""
        self.forget()
        self._given = self._grown = ()
        self._bank = self._method = None

    @property
    def active(self) -> bool:
        """Whether something grows."""
        return self._job is not None and self._job.active

    def found(self, bank: ConceptBank | None) -> dict[int, Prototype]:
        """Return the prototypes of a bank's concepts.

        Parameters
        ----------
        bank : ConceptBank or None
            The bank.

        Returns
        -------
        dict of int to Prototype
            By the concept's id, in the bank's order: the newest of each.
        """
        if bank is None:
            return {}
        record = self._job.record if self._job is not None else None
        return prototypes_of((*(record or ()), *self._grown, *self._given), bank)

    def status(self, bank: ConceptBank | None, reason: str, left_out: Collection[int]) -> dict[str, Any]:
        """Say how far growing is.

        Parameters
        ----------
        bank : ConceptBank or None
            What is shown.
        reason : str
            Why nothing can be grown; empty if it can.
        left_out : collection of int
            Ids of concepts that need none.

        Returns
        -------
        dict
            ``_growing`` on the wire.
        """
        found, job = self.found(bank), self._job if bank is not None and self._is_for(bank) else None
        self._once = self._once or bool(found)
        missing = 0
        if bank is not None:
            needed = [k for k, row in zip(bank.ids, bank.W, strict=True) if row.any() and k not in left_out]
            missing = sum(not _is_complete(found.get(k)) for k in needed)
        grown = list(found.values()) if job is None else list(job.record or [])
        resting = "partial" if found and missing else "done" if found else "empty"
        return {
            "state": resting if job is None else _STATES.get(job.state, resting),
            "steps": max((each.steps for each in grown), default=0),
            "wanted": max((int(each.method.steps) for each in grown), default=0),
            "eta": job.seconds_left if job is not None and job.active else None,
            "missing": missing,
            "resumes": job is not None and job.state == "stopped",
            "gone": self._once and not found,
            "reason": reason,
            "error": describe_error(job.error) if job is not None and job.error is not None else None,
        }

    def _is_for(self, bank: ConceptBank) -> bool:
        """Tell whether the job is for these concepts; the same ones may come back as another bank."""
        of = self._bank
        return of is bank or (of is not None and of.ids == bank.ids and np.array_equal(of.W, bank.W))


def _is_complete(prototype: Prototype | None) -> bool:
    return prototype is not None and prototype.complete
