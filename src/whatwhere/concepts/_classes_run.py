"""One extraction for many classes while it goes on: images and crops once, factorisations together, then each."""

from __future__ import annotations

import copy
import logging
import time
from typing import TYPE_CHECKING, Any

from whatwhere import limits
from whatwhere.concepts._craft_run import TOLERANCE, CraftRun, check_like, least_photos, read_method
from whatwhere.concepts._gathering import Share
from whatwhere.concepts._sorting import Sorting
from whatwhere.concepts.by_class import read_like, read_targets
from whatwhere.concepts.class_banks import ClassBanks
from whatwhere.concepts.extractors import NMF
from whatwhere.concepts.unreadable import say_unreadable
from whatwhere.concepts.within_memory import WithinMemory
from whatwhere.engine.nmf_batched import hals_batched_steps
from whatwhere.jobs import Step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from whatwhere.cache.store import Store
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.by_class import Like, Targets
    from whatwhere.concepts.craft import Craft
    from whatwhere.concepts.protocol import Extractor
    from whatwhere.engine.factors import Factors
    from whatwhere.model import VisionModel

logger = logging.getLogger(__name__)

_COPIES = 3  # of the padded activations, that a batch of factorisations holds at most
_CPU_BYTES = 2**25  # of activations that are factorised together on a CPU: an iteration stays short


class ClassRun(CraftRun):
    """One class, from its features on.

    Parameters
    ----------
    method : Craft
        The method.
    model : VisionModel
        The network.
    target : int
        The class.
    like : ConceptBank, optional
        An earlier bank of it.
    share : Share
        Its photos and features.
    extractor : Extractor
        How they are factorised.
    made : (str, tuple of int)
        Fingerprint and stamp of the weights, when the computation began.
    """

    def __init__(
        self,
        method: Craft,
        model: VisionModel,
        target: int,
        *,
        like: ConceptBank | None,
        share: Share,
        extractor: Extractor,
        made: tuple[str, tuple[int, ...]],
    ) -> None:
        super().__init__(method, model, None, target=target, like=like, previews=False)
        self._gathering, self.extractor = share, WithinMemory(extractor)
        self.fingerprint, self.stamp = made
        evidence = share.evidence
        self.class_id = target
        self.n_rows = evidence.cells.rows * (method.fit_on != "crops") + evidence.pooled.rows

    def take(self, factors: Factors) -> None:
        """Go on from a factorisation that was made elsewhere.

        Parameters
        ----------
        factors : Factors
            The class's own.
        """
        self.factors, self.dictionary = factors, factors.dictionary


class ClassesRun:
    """Many classes of one set of images while their concepts are extracted.

    Parameters
    ----------
    method : Craft
        The method.
    model : VisionModel
        The network.
    images : images
        What `whatwhere.pixels.images.iterate_images` takes.
    targets : sequence of int or str, optional
        The classes to explain.
    like : mapping of int to ConceptBank, optional
        Earlier banks, whose ids are kept.
    keep : bool
        Whether finished banks are kept; if not, steps have no record.
    strict : bool, default True
        Whether it is an error if a class that was asked for cannot be explained; else it is left out.
    without : collection of int, default ()
        Classes that are left alone, since they are known from before; there need then be no other.
    store : Store, optional
        Where features are kept meanwhile; by default the cache in use.

    Attributes
    ----------
    left_out : dict of int to str
        Why predicted classes, or those asked for, have no bank.
    newest : (int, ConceptBank) or None
        The bank finished last, until somebody takes it.
    """

    def __init__(
        self,
        method: Craft,
        model: VisionModel,
        images: Any,
        *,
        targets: Targets,
        like: Like,
        keep: bool,
        strict: bool = True,
        without: Collection[int] = (),
        store: Store | None = None,
    ) -> None:
        self._method, self._model, self._images, self._keep = method, model, images, keep
        self._targets, self._like = read_targets(model, targets), read_like(model, like)
        self._strict, self._known, self._store = strict, tuple(without), store
        self.left_out: dict[int, str] = {}
        self.newest: tuple[int, ConceptBank] | None = None
        self._banks: dict[int, ConceptBank] = {}
        self._order: list[int] = []
        self._record: ClassBanks | None = None
        self._at_work: list[ClassRun] = []  # who the seconds are for
        self._seconds = 0.0

    def steps(self) -> Iterator[Step[ClassBanks]]:
        """Run every stage of every class.

        Yields
        ------
        Step
            After every batch, and after every pass of a factorisation.
        """
        chunk = time.perf_counter()
        for stage in self._stages():
            passed = time.perf_counter() - chunk
            self._seconds += passed
            rows = sum(run.n_rows for run in self._at_work)
            for run in self._at_work:
                run.seconds += passed * run.n_rows / rows
            gathering = self._gathering
            yield Step(gathering.done, max(gathering.total, gathering.done), stage, self._record)
            chunk = time.perf_counter()  # what passed since is not ours

    def _stages(self) -> Iterator[str]:
        method, model = self._method, self._model
        made = model.fingerprint(), model.stamp()
        self._gathering = gathering = Sorting(
            method,
            model,
            self._images,
            self._targets,
            least_photos(method),
            without=self._known,
            store=self._store,
        )
        extractor = read_method(method, gathering.encoder)
        for like in self._like.values():
            check_like(like, gathering.encoder)
        yield from gathering.stages()
        runs = self._runs(extractor, made)
        self._order = [run.class_id for run in runs]
        runs.sort(key=lambda run: -run.n_rows)
        for group in self._groups(runs, extractor):
            self._at_work = group
            yield from self._factorise(group)
            while group:
                self._at_work = [group[0]]
                yield from group[0].finish()
                run = group.pop(0)
                self._take(run.class_id, run.record)
                yield "importance"

    # -- which classes ----------------------------------------------------------------------------------------------

    def _runs(self, extractor: Extractor, made: tuple[str, tuple[int, ...]]) -> list[ClassRun]:
        """Begin each class that has enough photos, in the order of the record."""
        gathering, of = self._gathering, self._gathering.evidence.of
        self._seen = len(gathering.evidence) + gathering.evidence.n_left_out
        chosen = self._asked() if self._targets is not None else self._found()
        explained = sum(len(of[target]) for target in chosen)
        runs, flat = [], dict[int, str]()
        for target in chosen:
            evidence, part = of[target], len(of[target]) / explained
            evidence.n_left_out, evidence.unreadable = self._seen - len(evidence), gathering.evidence.unreadable
            encoder = copy.copy(gathering.encoder)  # each counts its own seconds
            encoder.net_seconds *= part
            share = Share(encoder, evidence, gathering.done, gathering.total, gathering.extra, gathering.plan)
            like = self._like.get(target)
            run = ClassRun(self._method, self._model, target, like=like, share=share, extractor=extractor, made=made)
            run.seconds = self._seconds * part
            try:
                run.check_photos()
            except ValueError as error:
                flat[target] = str(error).rstrip(".")
            else:
                runs.append(run)
        return self._without(flat, runs)

    def _asked(self) -> list[int]:
        """Return the classes that were asked for; an error names all that have too few photos."""
        targets, least, of = self._targets or (), least_photos(self._method), self._gathering.evidence.of
        count = {target: len(of[target]) if target in of else 0 for target in targets if target not in self._known}
        if not self._strict and (self._known or max(count.values(), default=0) >= least):
            return self._with_enough(count)
        few = [f"{n} of {self._label(target)}" for target, n in count.items() if n < least]
        if few:
            raise ValueError(
                f"targets: wanted at least {least} images predicted as each class, one a concept, got "
                f"{', '.join(few)}, of {self._seen} images.{self._said_unreadable()} Give more images of what the "
                "network predicts as these classes, ask for fewer concepts, or leave these classes out."
            )
        return list(targets)

    def _found(self) -> list[int]:
        """Return the classes that have enough photos, in the order of their ids."""
        least, of = least_photos(self._method), self._gathering.evidence.of
        count = {target: len(of[target]) for target in sorted(of)}
        most = max(count.values(), default=0)
        if most < least and not self._known:
            raise ValueError(
                f"images: wanted at least {least} images predicted as one class, one a concept, got {self._seen} "
                f"images of {len(count)} classes, at most {most} of one.{self._said_unreadable()} Give more images, or "
                "ask for fewer concepts."
            )
        return self._with_enough(count)

    def _with_enough(self, count: dict[int, int]) -> list[int]:
        """Return the classes that have enough photos; of the others, note why not."""
        least = least_photos(self._method)
        for target, number in count.items():
            if number < least:
                self._leave_out(target, f"too few images are predicted as it: {number}, and {least} are needed")
        return [target for target, number in count.items() if number >= least]

    def _without(self, flat: dict[int, str], runs: list[ClassRun]) -> list[ClassRun]:
        """Leave out the classes whose features say nothing; where they were asked for, that is an error."""
        asked = self._strict and self._targets is not None
        if flat and (asked or not (runs or self._known)):
            raise ValueError(" ".join(f"{self._label(target)}: {reason}." for target, reason in flat.items()))
        for target, reason in flat.items():
            self._leave_out(target, reason)
        return runs

    def _leave_out(self, target: int, reason: str) -> None:
        self.left_out[target] = reason
        self._gathering.evidence.of.pop(target, None)
        logger.info("%s is left out: %s.", self._label(target), reason)

    def _label(self, target: int) -> str:
        return repr(self._model.class_names.label(target))

    def _said_unreadable(self) -> str:
        unreadable = self._gathering.evidence.unreadable
        return f" {say_unreadable(unreadable, self._seen)}" if unreadable else ""

    # -- factors ----------------------------------------------------------------------------------------------------

    def _groups(self, runs: list[ClassRun], extractor: Extractor) -> Iterator[list[ClassRun]]:
        """Divide classes, the largest first, into those that are factorised together, as many as fit into memory."""
        together = extractor == NMF() and self._method.n_concepts != "auto"
        most = limits.activation_bytes // _COPIES
        if self._model.device.type == "cpu":
            most = min(most, _CPU_BYTES)
        numbers = most // (4 * self._gathering.encoder.channels)  # rows of float32
        while runs:
            count = max(1, numbers // runs[0].n_rows) if together else 1
            group = runs[:count]
            del runs[:count]
            yield group

    def _factorise(self, group: list[ClassRun]) -> Iterator[str]:
        """Fit the dictionaries of some classes; one alone as it is always done."""
        if len(group) == 1:
            yield from group[0].factorise()
            return
        method, device = self._method, self._model.device
        rows = [run.evidence.rows(method.fit_on) for run in group]
        rank = least_photos(method)  # as many as concepts
        found: tuple[Factors, ...] = ()
        for factors in hals_batched_steps(rows, rank, seed=method.seed, tolerance=TOLERANCE, device=device):
            found = found if factors is None else factors
            yield "concepts"
        for run, factors_of_it in zip(group, found, strict=True):
            run.take(factors_of_it)

    def _take(self, class_id: int, bank: ConceptBank) -> None:
        """Keep a bank, and let go what it was made of."""
        self.newest = class_id, bank
        del self._gathering.evidence.of[class_id]
        if not self._keep:
            return
        self._banks[class_id] = bank
        self._record = ClassBanks(
            {target: self._banks[target] for target in self._order if target in self._banks},
            dict(self.left_out),
            self._model.class_names,
            self._seen,
            unreadable=dict(self._gathering.evidence.unreadable),
            complete=len(self._banks) == len(self._order),
        )
