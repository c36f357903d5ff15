"""Extracting again with another number of concepts, from those that there are.

The network is asked for the features once; whatever number is wanted then, the factorisation starts from the directions
of the bank at hand: the most important ones where fewer are wanted, and what they leave where more are. Concepts whose
directions stay keep their ids, and with them names, notes and colours.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch

from whatwhere.concepts._craft_run import FIRST_ROWS, ITERATIONS, SAME_CONCEPT, TOLERANCE, CraftRun
from whatwhere.concepts._gathering import Gathering
from whatwhere.concepts._refit_pace import Forecast, Mark, Paces
from whatwhere.concepts.groups import left_of
from whatwhere.engine._checks import integer
from whatwhere.engine.matching import match
from whatwhere.jobs import Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.concepts import Concepts
    from whatwhere.engine.factors import Factors


def most_concepts(bank: ConceptBank) -> int:
    """Return how many concepts can be asked for.

    Parameters
    ----------
    bank : ConceptBank
        The bank.

    Returns
    -------
    int
        One a photo, and no more than the layer has features.
    """
    return min(len(bank.images), bank.W.shape[1])


class Refits:
    """The features of a bank's photos, and banks of other numbers of concepts made of them.

    Parameters
    ----------
    concepts : Concepts
        A bank with its network and photos.

    Notes
    -----
    The first fit asks the network as the extraction did: once for each photo and, unless fitted on locations, for each
    crop. The others ask it only for importances. Features are kept as long as this is; see
    ``whatwhere.limits.activation_bytes``.
    """

    def __init__(self, concepts: Concepts) -> None:
        self._concepts = concepts
        self._gathered: Gathering | None = None
        self._paces = Paces()

    def steps(
        self, bank: ConceptBank, n_concepts: int, *, known: Sequence[ConceptBank] = ()
    ) -> Iterator[Step[ConceptBank]]:
        """Fit again.

        Parameters
        ----------
        bank : ConceptBank
            Where to start from: of these photos and this layer.
        n_concepts : int
            How many concepts, at most one a photo.
        known : sequence of ConceptBank, optional
            Other banks whose ids are taken: a concept that comes back gets its own, and no other one does.

        Yields
        ------
        Step
            What the stage has done and has to do (forwards, iterations or batches, as the step's ``pace`` says), the
            stage, and in the last step the bank.

        Raises
        ------
        TypeError, ValueError
            If there cannot be so many concepts, the bank is part of another, its photos are not at hand or the network
            was trained meanwhile.
        """
        if bank.parent is not None:
            raise ValueError("bank: wanted a whole one: parts of a concept are split anew, by Concepts.split.")
        n_concepts = integer("n_concepts", n_concepts, 1, most_concepts(bank))
        self._concepts.follow()
        found: list[ConceptBank] = []
        for mark, pace in self._paces.follow(self._marks(bank, n_concepts, known, found)):
            yield Step(mark.done, mark.total, mark.stage, found[0] if found else None, pace)

    def _marks(
        self, bank: ConceptBank, n_concepts: int, known: Sequence[ConceptBank], found: list[ConceptBank]
    ) -> Iterator[Mark]:
        gathering = self._gathered
        if gathering is None:
            # The photos are those that were kept: none is left out because a grey level makes another class of it.
            method = replace(bank.method, layer=bank.layer.name)
            gathering = Gathering(method, self._concepts.model, self._concepts.photos, None)
            for stage in gathering.stages():
                yield Mark(stage, gathering.done, max(gathering.total, gathering.done), "forwards")
            self._gathered = gathering
        run = _Refit(self._concepts, bank, n_concepts, known, gathering)
        forecast, batches = Forecast(TOLERANCE, ITERATIONS), run.batches()
        done = dict.fromkeys(batches, 0)
        bound: Literal["", "at most"] = "at most" if run.is_sampled else ""
        for step in run.steps():
            if step.record is not None and step.record.complete:
                found[:] = [_carried_over(bank, step.record)]
            if step.stage == "concepts":
                yield forecast.mark(run.factors)
                continue
            done[step.stage] += 1
            total = max(batches[step.stage], done[step.stage])
            yield Mark(step.stage, done[step.stage], total, "batches", bound if step.stage == "importance" else "")


class _Refit(CraftRun):
    """One more extraction from the same features."""

    def __init__(
        self, concepts: Concepts, bank: ConceptBank, n_concepts: int, known: Sequence[ConceptBank], gathering: Gathering
    ) -> None:
        method = replace(bank.method, n_concepts=n_concepts, layer=bank.layer.name)
        start = None
        if (
            "mixture_rows" not in bank.encoder
        ):  # convex NMF's atoms are made of the very rows, which photos in 8 bits miss
            start = bank.take((-bank.importance).argsort(kind="stable")[:n_concepts]).dictionary
        super().__init__(
            method,
            concepts.model,
            None,
            target=bank.target,
            like=bank,
            previews=False,
            gathering=gathering,
            start=start,
        )
        self._banks = (bank, *known)

    def batches(self) -> dict[str, int]:
        """Count the batches of the stages after the factorisation, at most."""
        evidence, size = self.evidence, self.model.batch_size
        whole = sum(
            math.ceil(math.prod(block.shape[:-1]) / math.prod(evidence.grid) / size) for block in evidence.cells
        )
        codes = whole + (len(evidence.pooled) if evidence.crops else 0)
        sampled = self._rounds(min(self.method.weigh, len(evidence))) if self.is_sampled else 0
        return {"codes": codes, "importance": whole + 1 + sampled}

    def _rounds(self, images: int) -> int:
        """Count the batches of rows of all rounds, and what is told before and after them."""
        most, at_once = self.method.designs, max(1, self.model.batch_size // (int(self.method.n_concepts) + 1))
        count, done = 2, 0
        while done < most:
            new = min(most, max(FIRST_ROWS, 2 * done)) - done
            count, done = count + images * math.ceil(new / at_once), done + new
        return count

    def ids(self, factors: Factors) -> tuple[int, ...]:
        """Give each atom the id of the concept that it matches, first of the bank at hand, or one that is new."""
        given: dict[int, int] = {}
        for bank in self._banks:
            left = [k for k in range(len(factors.bank)) if k not in given]
            free = [j for j in range(bank.rank) if bank.ids[j] not in given.values()]
            if not left or not free:
                continue
            places, cosines = match(factors.bank[left].cpu(), torch.from_numpy(bank.W[free].copy()))
            for k, j, cosine in zip(left, places.tolist(), cosines.tolist(), strict=True):
                if j >= 0 and cosine >= SAME_CONCEPT:
                    given[k] = bank.ids[free[j]]
        fresh = itertools.count(1 + max(concept_id for bank in self._banks for concept_id in bank.ids))
        return tuple(given[k] if k in given else next(fresh) for k in range(len(factors.bank)))


def _carried_over(bank: ConceptBank, found: ConceptBank) -> ConceptBank:
    """Return a bank with what a person said of the concepts of an earlier one, and how it came from there."""
    known = set(found.ids)
    return replace(
        found,
        method=bank.method,
        source=bank.source if bank.source is not None else found.source,
        quality=replace(found.quality, n_left_out=bank.quality.n_left_out, rank_reason=""),
        labels={k: text for k, text in bank.labels.items() if k in known},
        notes={k: text for k, text in bank.notes.items() if k in known},
        hidden=tuple(k for k in bank.hidden if k in known),
        pinned=tuple(k for k in bank.pinned if k in known),
        groups=left_of(bank.groups, known),
        refits=(*bank.refits, found.rank),
    )
