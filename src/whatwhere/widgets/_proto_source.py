"""What a view of prototypes shows: records, or the job that grows them, and the photos that excite their targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from whatwhere.jobs import Job
from whatwhere.prototypes._method import TargetMethod
from whatwhere.prototypes.examples import DatasetExamples
from whatwhere.prototypes.maco import Maco
from whatwhere.prototypes.record import Prototype
from whatwhere.widgets._proto_data import Group, group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from whatwhere.model import VisionModel
    from whatwhere.prototypes.examples import Examples

NO_PROTOTYPES = "The prototypes are not grown yet. Run the cell in a notebook to see them."
_NO_PHOTOS = "Photos that excite it: PrototypeView(…, images=photos)."
_NO_MODEL = "Which photos excite it, the network knows: PrototypeView(prototypes, model=model, images=photos)."
_NO_TARGET = "This prototype came from a file that does not hold its target, so that photos cannot be asked for it."
_TO_COME = "The network has not looked yet which photos excite it."
_FIRST = 48  # photos that are looked at before the ascent goes on


class Source:
    """Prototypes, and how there come to be more.

    Parameters
    ----------
    job : Job or None
        Grows them.
    records : sequence of Prototype
        Those that there are.
    model : VisionModel or None
        The network.
    images : images or None
        Photos at hand.

    Attributes
    ----------
    job : Job or None
        Grows them.
    records : list of Prototype
        The best so far.
    groups : list of Group
        Their targets.
    model_name : str
        What the network is called; empty where it is not known.
    """

    def __init__(
        self, job: Job[Any] | None, records: Sequence[Prototype], model: VisionModel | None, images: Any
    ) -> None:
        self.job = job
        self._model, self._images = model, images
        self.records: list[Prototype] = []
        self.groups: list[Group] = []
        self._search: Job[list[Examples]] | None = None
        self._asked: list[str] = []  # targets that the search is for
        self._first = True
        self.model_name = "" if model is None else model.name
        self.adopt(records)

    def adopt(self, records: Sequence[Prototype]) -> None:
        """Take over newer records.

        Parameters
        ----------
        records : sequence of Prototype
            All of them.
        """
        self.records = list(records)
        if len(self.records) != sum(len(each.members) for each in self.groups):
            self.groups = group(self.records)

    @property
    def can_search(self) -> bool:
        """Whether photos can be asked for."""
        return self._model is not None and self._images is not None and any(map(self._target_of, self.groups))

    def search(self, moved: Callable[[], None]) -> Job[list[Examples]]:
        """Return the job that looks at the photos; a new one if it has failed.

        Parameters
        ----------
        moved : callable
            Called whenever it got on.

        Returns
        -------
        Job
            Perhaps not started.
        """
        if self._search is None or self._search.state == "failed":
            known = [each for each in self.groups if self._target_of(each) is not None]
            targets, self._asked = [self._target_of(each) for each in known], [each.key for each in known]
            model, images = self._model, self._images
            if model is None or images is None or not targets:
                self._search = Job(lambda: iter(()), name="DatasetExamples")
            else:
                self._search = DatasetExamples().submit(model, targets, images)
            self._search.watch(lambda _: moved())
        return self._search

    @property
    def searching(self) -> Job[list[Examples]] | None:
        """The job that looks at the photos, if there is one."""
        return self._search

    def hurry(self, priority: int) -> None:
        """Look at some photos before the ascent, and at the others after it.

        Parameters
        ----------
        priority : int
            The ascent's.
        """
        job = self._search
        if job is None or not job.active or not self._first or self.job is None or not self.job.active:
            return
        if job.step is not None and job.step.done >= _FIRST:
            self._first = False
            job.start(priority=priority - 1)

    def examples(self) -> list[Examples | None]:
        """Return the photos that excite each target, as far as they are known."""
        record = self._search.record if self._search is not None else None
        found = {} if record is None else dict(zip(self._asked, record, strict=False))
        return [found.get(each.key) for each in self.groups]

    def reasons(self) -> list[str]:
        """Say for each target why there are no photos."""
        return [self._reason(each) for each in self.groups]

    def clear(self) -> None:
        """Give all up."""
        if self._search is not None:
            self._search.discard()
        self.job = self._model = self._images = None
        self.records, self.groups = [], []

    def _reason(self, each: Group) -> str:
        if self._images is None:
            return _NO_PHOTOS if self._model is not None else _NO_MODEL
        if self._model is None:
            return _NO_MODEL
        return _TO_COME if self._target_of(each) is not None else _NO_TARGET

    def _target_of(self, each: Group) -> Any:
        return next((self.records[n].target for n in each.members if self.records[n].target is not None), None)


def read_source(prototypes: Any, targets: Any, method: Any, model: VisionModel | None, images: Any) -> Source:
    """Understand what a view of prototypes was given.

    Parameters
    ----------
    prototypes : Prototype, sequence or mapping of Prototype, Job, or VisionModel
        Records, the job that makes them, or the network that they are to be of.
    targets : targets or None
        With a network, what is to be excited.
    method : Maco, FourierVisualization or None
        With a network, how.
    model : VisionModel or None
        With records, their network.
    images : images or None
        Photos at hand.

    Returns
    -------
    Source
        What there is.

    Raises
    ------
    TypeError, ValueError
        If it is something else, or the network has other weights than the one that the records came from.
    """
    if isinstance(prototypes, Prototype):
        prototypes = [prototypes]
    if _is_model(prototypes):
        if targets is None:
            raise TypeError("targets: wanted what is to be excited, such as PrototypeView(model, ['tench']), got none.")
        if method is not None and not isinstance(method, TargetMethod):
            raise TypeError(
                f"method: wanted Maco or FourierVisualization, got {type(method).__name__}. What begins with photos "
                "makes its own job: PrototypeView(Accentuation(…).submit(model, photo, targets), model=model)."
            )
        job = (method or Maco()).submit(prototypes, targets)
        return Source(job, [], prototypes, images)
    if targets is not None or method is not None:
        name, got = ("targets", targets) if targets is not None else ("method", method)
        raise TypeError(
            f"{name}: goes with a network, PrototypeView(model, targets, method=…), got {type(got).__name__} with "
            f"{type(prototypes).__name__}; finished prototypes take theirs as model=."
        )
    if isinstance(prototypes, Job):
        return Source(prototypes, prototypes.record or [], model, images)
    records = _flat(prototypes)
    if not records or not all(isinstance(each, Prototype) for each in records):
        got = next((type(each).__name__ for each in records if not isinstance(each, Prototype)), "none")
        raise TypeError(
            "prototypes: wanted Prototype records, as Maco's run gives, a Job that makes them, or a VisionModel with "
            f"targets, got {got}."
        )
    if model is not None:
        _check_weights(records, model)
    return Source(None, records, model, images)


def _flat(prototypes: Any) -> list[Any]:
    """Return the records of lists and mappings, which `Accentuation` gives for several photos and targets."""
    if isinstance(prototypes, Mapping):
        prototypes = list(prototypes.values())
    if not isinstance(prototypes, list | tuple):
        return [prototypes]
    return [record for each in prototypes for record in (each if isinstance(each, list | tuple) else [each])]


def _is_model(value: Any) -> bool:
    return hasattr(value, "preprocess") and hasattr(value, "class_names")  # the class itself would import torch


def _check_weights(records: Sequence[Prototype], model: VisionModel) -> None:
    own = model.fingerprint()
    other = next((each for each in records if each.provenance.fingerprint != own), None)
    if other is not None:
        made = other.provenance
        raise ValueError(
            f"model: wanted the network of the prototypes, {made.model} with weights {made.fingerprint}, got "
            f"{model.name} with {own}: what photos give it is on another scale."
        )
