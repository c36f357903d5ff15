"""What the ways of making prototypes share: options that all have, and the verbs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, cast

from whatwhere.jobs import Job, Step
from whatwhere.progress import with_bar
from whatwhere.targets import Target, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from whatwhere.model import VisionModel
    from whatwhere.prototypes._latent import Leash
    from whatwhere.prototypes.canvas import Waves
    from whatwhere.prototypes.record import Prototype
    from whatwhere.prototypes.stopping import AscentRule
    from whatwhere.prototypes.views import Law, Resample

_PAIRS = frozenset({"size", "seed", "crop", "learning_rate", "scale"})  # told as one number where both are the same


class Method:
    """A way of making prototypes: what is searched, and through which views of it. Subclasses are dataclasses."""

    steps: int
    crops: int
    size: int | tuple[int, int]
    seed: int | tuple[int, ...]
    learning_rate: float | tuple[float, float]
    noise: float
    uniform_noise: float
    frames: int
    until: AscentRule | None

    title: ClassVar[str]  # before a progress bar

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        return cast("tuple[int, int]", self.size)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the prototypes of each target."""
        return cast("tuple[int, ...]", self.seed)

    @property
    def rates(self) -> tuple[float, float]:
        """Learning rate at the first and at the last step."""
        return cast("tuple[float, float]", self.learning_rate)

    @property
    def sampling(self) -> Resample:
        """How straight crops are resampled."""
        return "auto"

    @property
    def least_side(self) -> float:
        """The smallest mean side of its views, as a share of the picture."""
        raise NotImplementedError

    def law(self, share: float) -> Law:
        """Return how views are drawn after a share of the steps."""
        raise NotImplementedError

    def whole_law(self, share: float) -> Law:
        """Return how views are drawn for targets that have places."""
        raise NotImplementedError

    def canvas(self, model: VisionModel, photos: list[NDArray[Any]]) -> Waves:
        """Return what is searched: a picture as a function of numbers; of the photos, where it begins with some."""
        raise NotImplementedError

    def leash(self, model: VisionModel) -> Leash | None:
        """Return what holds pictures near their photos; None for a method without photos."""
        del model
        return None

    def __repr__(self) -> str:
        standard = type(self)()
        told = [
            f"{f.name}={self._short(f.name)!r}"
            for f in fields(self)  # type: ignore[arg-type]  # every method is a dataclass
            if getattr(self, f.name) != getattr(standard, f.name)
        ]
        return f"{type(self).__name__}({', '.join(told)})"

    def _short(self, name: str) -> Any:
        value = getattr(self, name)
        return value[0] if name in _PAIRS and isinstance(value, tuple) and len(set(value)) == 1 else value


class TargetMethod(Method):
    """A way of making prototypes of targets alone."""

    def run(self, model: VisionModel, targets: Any, *, progress: bool | None = None) -> Any:
        """Make prototypes, to the last step.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What to excite; see `whatwhere.targets`.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Returns
        -------
        Prototype, or list of Prototype
            One for a target, a list for a sequence: for every target one a seed.

        Raises
        ------
        TypeError
            If a target is of another kind.
        ValueError
            If the network has no such class, layer or channel, a direction has another length, a target does not depend
            on the picture, or the picture is too small for its crops.

        Warns
        -----
        UserWarning
            If a target is dead, gives numbers that are not finite, or the weights changed meanwhile.

        Notes
        -----
        What the network raises on the way is raised here. The error's attribute ``prototypes`` holds those so far, also
        where a person interrupted.
        """
        found = drain(self.steps_of(model, targets), self.title, progress=progress)
        return found[0] if is_one(targets) and len(self.seeds) == 1 else found

    def stream(self, model: VisionModel, targets: Any) -> Iterator[list[Prototype]]:
        """Make prototypes, yielding ever better ones.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What to excite.

        Yields
        ------
        list of Prototype
            All of them, at most ten times a second: first noise, last the finished ones. Each is valid to stop at.
        """
        yield from flow(self.steps_of(model, targets))

    def submit(self, model: VisionModel, targets: Any) -> Job[list[Prototype]]:
        """Make a job that makes prototypes on the worker thread.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What to excite; refused at once where the network has no such thing.

        Returns
        -------
        Job
            Not started yet: ``start()`` or ``wait()`` does.
        """
        bound = [target.bound(model) for target in read_targets(targets)]
        return Job(lambda: self.steps_of(model, bound), device=str(model.device), name=type(self).__name__)

    def steps_of(self, model: VisionModel, targets: Any) -> Iterator[Step[list[Prototype]]]:
        """Make prototypes, yielding after every chunk of crops.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What to excite.

        Yields
        ------
        Step
            Crops done and to do, the stage ``"ascent"``, and the best records so far.
        """
        from whatwhere.prototypes.keeping import ascents

        yield from ascents(self, model, read_targets(targets))


def drain(steps: Iterator[Step[list[Prototype]]], title: str, *, progress: bool | None) -> list[Prototype]:
    """Run steps to their end with a progress bar; warn of what the records say."""
    found: list[Prototype] = []
    try:
        for step in with_bar(steps, title, "crop", progress=progress):
            found = step.record or found
    except BaseException as error:  # the network's own, or a person's Ctrl-C: what there is goes with it
        error.prototypes = found  # type: ignore[attr-defined]  # it is put there
        if any(prototype.steps for prototype in found):
            error.add_note("The error's attribute `prototypes` holds the prototypes that there were.")
        raise
    for prototype in found:
        for caveat in (each for each in prototype.caveats() if each not in prototype.notes):  # those were warned of
            warnings.warn(f"{prototype.label}: {caveat}", UserWarning, stacklevel=3)
    return found


def flow(steps: Iterator[Step[list[Prototype]]]) -> Iterator[list[Prototype]]:
    """Give the records of steps, each once."""
    last: list[Prototype] | None = None
    for step in steps:
        if step.record is not None and step.record is not last:
            last = step.record
            yield last


def read_targets(targets: Any) -> list[Target]:
    """Understand one target or several."""
    if is_one(targets):
        return [read(targets)]
    found = [read(target) for target in targets]
    if not found:
        raise ValueError("targets: wanted at least one, got none.")
    return found


def is_one(targets: Any) -> bool:
    """Tell whether it is one target."""
    return isinstance(targets, str) or not isinstance(targets, Sequence)
