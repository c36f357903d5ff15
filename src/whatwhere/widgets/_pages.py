"""What an Explorer shows of a class: its concepts and its photos by reason, one class at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from whatwhere.jobs import Job, Step
from whatwhere.widgets.concepts import ConceptExplorer
from whatwhere.widgets.strategies import StrategyView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.craft import Craft
    from whatwhere.concepts.survey import Survey
    from whatwhere.model import VisionModel
    from whatwhere.strategies.graph import StrategyGraph
    from whatwhere.strategies.strategies import Strategies
    from whatwhere.widgets.selection import Selection

_CONCEPTS = 10  # at most, where nobody says how many
_LEAST = 4  # photos that a class needs to have concepts of its own
_MAIN = 8  # photos that a class needs to be the one that is explained first, and half of all

#: A class, None for all photos, or ``"main"`` for what the photos suggest.
Wanted: TypeAlias = "int | Literal['main'] | None"


class Pages:
    """The classes of a set of photos, each looked at once.

    Parameters
    ----------
    model : VisionModel
        The network.
    images : mapping of str to image
        The photos.
    concepts : Craft or None
        How concepts are extracted; by default as many as there are photos, ten at most, from all locations.
    strategies : Strategies
        How photos are placed.
    labels : mapping of str to label, or None
        What each photo is.
    """

    def __init__(
        self,
        model: VisionModel,
        images: Mapping[str, Any],
        *,
        concepts: Craft | None,
        strategies: Strategies,
        labels: Mapping[str, Any] | None,
    ) -> None:
        self.model, self.images = model, images
        self.method, self.strategies, self.labels = concepts, strategies, labels
        self.banks: dict[int | None, ConceptBank] = {}
        self.graphs: dict[int | None, StrategyGraph] = {}
        self._survey: Survey | None = None
        self._choices: list[tuple[int, int]] | None = None

    @property
    def survey(self) -> Survey:
        """What the network says of the photos; made when it is first asked for, since it needs torch."""
        if self._survey is None:
            from whatwhere.concepts.craft import Craft
            from whatwhere.concepts.survey import Survey

            self._survey = Survey(self.method or Craft(), self.model, self.images)
        return self._survey

    @property
    def surveyed(self) -> bool:
        """Whether all photos were looked at."""
        return self._survey is not None and self._survey.complete

    @property
    def least(self) -> int:
        """How many photos a class needs."""
        if self.method is None:
            return _LEAST
        return 2 if self.method.n_concepts == "auto" else int(self.method.n_concepts)

    def choices(self) -> list[tuple[int, int]]:
        """Return the classes that have enough photos, with how many, the most frequent first; none before a survey."""
        if not self.surveyed:
            return []
        if self._choices is None:  # asked at every step of every job
            self._choices = [(k, count) for k, count in self.survey.counts().items() if count >= self.least]
        return self._choices

    def resolve(self, wanted: Wanted) -> int | None:
        """Choose what is explained, once all photos were looked at.

        Parameters
        ----------
        wanted : int, "main" or None
            What somebody asked for.

        Returns
        -------
        int or None
            The class, where enough photos are predicted as it; else the class that half of the photos are predicted as,
            or None, which stands for all photos.
        """
        choices = dict(self.choices())
        if wanted is None or wanted in choices:
            return None if wanted is None else int(wanted)
        main, count = next(iter(choices.items()), (None, 0))
        return main if count >= max(_MAIN, len(self.survey.names) / 2) else None

    def extracting(self, wanted: Wanted, settled: Callable[[int | None], None]) -> Iterator[Step[ConceptBank]]:
        """Look at the photos, if that is still to do, and extract the concepts of a class.

        Parameters
        ----------
        wanted : int, "main" or None
            What somebody asked for.
        settled : callable
            Called with the class that it is.

        Yields
        ------
        Step
            Forwards done and to do, and the best bank so far.
        """
        from dataclasses import replace

        from whatwhere.concepts.craft import Craft

        survey = self.survey
        for looked in survey.steps():
            yield Step(looked.done, looked.total, looked.stage, None)
        target = self.resolve(wanted)
        settled(target)
        count = len(survey.names) if target is None else survey.counts()[target]
        method = self.method or replace(Craft(), n_concepts=max(1, min(_CONCEPTS, count)), fit_on="locations")
        for step in survey.extract(method, target):
            if step.record is not None and step.record.complete:
                self.banks[target] = step.record
            yield step

    def placing(self, bank: Callable[[], ConceptBank | None]) -> Iterator[Step[StrategyGraph]]:
        """Find what photos were classified for.

        Parameters
        ----------
        bank : callable
            Returns the finished concepts.

        Yields
        ------
        Step
            Photos done and to do, and the best graph so far.

        Raises
        ------
        RuntimeError
            If there are no concepts.
        """
        found = bank()
        if found is None or not found.complete:
            raise RuntimeError("There are no concepts yet, so nothing is known of what photos were classified for.")
        labels = None
        if self.labels is not None:
            labels = {name: self.labels.get(name) for name in found.images}
        for step in self.strategies.steps(self.model, found, labels=labels):
            if step.record is not None and step.record.complete:
                self.graphs[found.target] = step.record
            yield step


class Page:
    """The views of one class, and the jobs behind them.

    Parameters
    ----------
    pages : Pages
        What is known of the classes.
    wanted : int, "main" or None
        What is explained.
    selection : Selection
        What the views share.
    moved : callable
        Called on the worker whenever a job got on.

    Attributes
    ----------
    wanted : int, "main" or None
        What somebody asked for.
    target : int or None
        The class that is explained; None of all photos, and before it is settled.
    what : ConceptExplorer
        Its concepts.
    why : StrategyView
        Its photos by reason.
    views : dict of str to str
        Model ids of both.
    """

    def __init__(self, pages: Pages, wanted: Wanted, selection: Selection, moved: Callable[[], None]) -> None:
        self.wanted, self._pages, self._moved = wanted, pages, moved
        self._running = self._closed = False
        self._ending = threading.RLock()  # the worker starts a page, and meanwhile somebody stops or closes it
        self.settled = wanted != "main"
        self.target: int | None = None if wanted == "main" else wanted
        model, device = pages.model, str(pages.model.device)
        ready = pages.surveyed
        if ready:
            self._settle(pages.resolve(wanted))
        bank = pages.banks.get(self.target) if ready else None
        graph = pages.graphs.get(self.target) if ready else None
        self._bank: ConceptBank | Job[ConceptBank] = bank or Job(
            lambda: pages.extracting(wanted, self._settle), device=device, name="concepts"
        )
        self._graph: StrategyGraph | Job[StrategyGraph] = graph or Job(
            lambda: pages.placing(lambda: self.bank), device=device, name="strategies"
        )
        self.what = ConceptExplorer(self._bank, model, pages.images, selection=selection)
        self.why = StrategyView(self._graph, model, pages.images, bank=self._bank, selection=selection)
        self.views = {"what": self.what.model_id, "why": self.why.model_id}
        self.what._embedded = self.why._embedded = "beside"  # noqa: SLF001  # a view's own
        self._ends = [job.watch(self._on_step) for job in (self._bank, self._graph) if isinstance(job, Job)]

    @property
    def bank(self) -> ConceptBank | None:
        """The concepts, as far as they are there."""
        return self._bank.record if isinstance(self._bank, Job) else self._bank

    def start(self) -> None:
        """Start extracting, or go on; the photos follow once there are concepts. Nothing happens after `close`."""
        with self._ending:
            if self._closed:
                return
            self._running = True
            self.what.start()
            if not isinstance(self._bank, Job) or self._bank.state == "done":
                self.why.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until both jobs have ended.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait for each at most.
        """
        if isinstance(self._bank, Job):
            self._bank.wait(timeout)
        if isinstance(self._graph, Job):
            self._graph.wait(timeout)

    def stop(self) -> None:
        """Stop both jobs; what there is stays."""
        with self._ending:
            self._running = False
        self.what.stop()
        self.why.stop()

    def close(self) -> None:
        """Close the views, and drop what was half done; what was said of the concepts is kept with the bank."""
        with self._ending:
            self._closed = True
        for end in self._ends:
            end()
        bank = self.what.bank
        if bank is not None and bank.complete and self.settled:
            self._pages.banks[self.target] = self.what.annotated()
        self.what.close()
        self.why.close()
        for job in (self._bank, self._graph):
            if isinstance(job, Job):
                job.discard()

    def _settle(self, target: int | None) -> None:
        self.target, self.settled = target, True

    def _on_step(self, job: Job[Any]) -> None:
        if job is self._bank and job.state == "done":
            with self._ending:
                waiting = isinstance(self._graph, Job) and self._graph.state in ("idle", "stopped")
                if waiting and self._running and not self._closed:
                    self.why.start()
        self._moved()
