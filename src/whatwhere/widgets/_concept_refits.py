"""Another number of concepts: extracted again from those that are shown, or brought back if it was there before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.jobs import Step
from whatwhere.widgets._concept_answers import Answering

if TYPE_CHECKING:
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.jobs import Job
    from whatwhere.widgets._errands import Errand

_KEPT = 8  # banks of other numbers


class Refitting(Answering):
    """A view whose number of concepts can be changed. Each number has one bank, so that going back is exact."""

    #: Banks by their number of concepts, the one shown last at the end.
    _banks: dict[int, ConceptBank]
    #: The bank that was asked for; None as long as it is the one that the view was made with.
    _refitted: ConceptBank | None

    def refit(self, n_concepts: int) -> Job[ConceptBank]:
        """Extract again with another number of concepts, starting from those that are shown.

        Parameters
        ----------
        n_concepts : int
            How many, at most one a photo. A number that was shown before brings its bank back.

        Returns
        -------
        Job
            Of the bank; started. The view shows it when it is done, and the old one until then.

        Raises
        ------
        ValueError
            If there cannot be so many, or the network or the photos are missing.
        """
        return self._refit(n_concepts)

    def _on_rank(self, content: dict[str, Any]) -> None:
        rid = content.get("rid")
        try:
            self._refit(content.get("concepts"), rid)
        except (TypeError, ValueError) as error:
            self._refuse(rid, str(error))

    def _refit(self, wanted: Any, rid: Any = None) -> Job[ConceptBank]:
        explored, bank = self._explored, self._explored.bank
        reason, most = explored.why_no_refit, explored.most
        if reason or bank is None:
            raise ValueError(reason)
        if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= most:
            raise ValueError(f"n_concepts: wanted an integer from 1 to {most}, got {wanted!r}.")
        self._banks.setdefault(bank.rank, bank)
        known = [each for each in reversed(self._banks.values()) if each is not bank]
        there = self._banks.get(wanted)
        self._error = None
        self._errands.drop("rank")  # the latest wins
        if there is None:
            return self._errands.run(
                "rank", f"{wanted} concepts", lambda: explored.refit_steps(bank, wanted, known), self._on_refitted, rid
            )
        again = Step(1, 1, "concepts", there)
        return self._errands.run("rank", f"{wanted} concepts", lambda: iter([again]), self._on_refitted, rid)

    def _on_refitted(self, errand: Errand) -> None:
        bank = errand.job.record
        if errand.job.state != "done" or bank is None:
            self._note_failure("The concepts could not be extracted again.", errand)
            return
        self._banks.pop(bank.rank, None)
        self._banks[bank.rank] = self._refitted = bank
        while len(self._banks) > _KEPT:
            self._banks.pop(next(iter(self._banks)))
        self._answers.extend(("applied", rid, {}) for rid in errand.rids)
