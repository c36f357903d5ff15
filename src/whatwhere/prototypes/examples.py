"""What really excites a target, among the photos at hand: to be looked at beside every prototype."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.engine._checks import between, integer
from whatwhere.jobs import Job, Step
from whatwhere.progress import with_bar
from whatwhere.targets import Target, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from whatwhere.model import VisionModel
    from whatwhere.provenance import Provenance

_MOST = 1000


@dataclass(frozen=True, eq=False)
class Example:
    """A photo that excites a target.

    Parameters
    ----------
    image : str
        Its name.
    value : float
        The target's value of the photo as the network is shown it, whole: the same number as a prototype's
        `Prototype.after`.
    seen : (float, float, float, float)
        Top, left, bottom and right edge, in pixels of the photo, of what the network is shown.
    box : (float, float, float, float)
        The part round the strongest place, likewise; all of `seen` for a target without places.
    place : (int, int) or None
        Row and column of the strongest place on the layer's grid.
    peak : float or None
        The target's value there.
    picture : ndarray of shape (h, w, 3), uint8
        What the network is shown.
    window : (int, int, int, int)
        `box` in pixels of `picture`.
    """

    image: str
    value: float
    seen: tuple[float, float, float, float]
    box: tuple[float, float, float, float]
    place: tuple[int, int] | None
    peak: float | None
    picture: NDArray[np.uint8]
    window: tuple[int, int, int, int]

    @property
    def crop(self) -> NDArray[np.uint8]:
        """The part round the strongest place, (h, w, 3)."""
        top, left, bottom, right = self.window
        return self.picture[top:bottom, left:right]


@dataclass(frozen=True, eq=False, repr=False)
class Examples:
    """The photos that excite a target most, and the values of all.

    Parameters
    ----------
    label : str
        What people call the target.
    told : mapping
        The target in JSON's terms.
    top : tuple of Example
        The strongest first.
    names : tuple of str
        All photos that were looked at.
    values : ndarray of shape (N,), float32
        The target's value of each.
    unreadable : mapping of str to str
        Files that could not be read, and why.
    method : DatasetExamples
        The method with its options.
    provenance : Provenance
        What made it.
    complete : bool, default True
        Whether all photos were looked at.
    """

    label: str
    told: Mapping[str, Any]
    top: tuple[Example, ...]
    names: tuple[str, ...]
    values: NDArray[np.float32]
    unreadable: Mapping[str, str]
    method: DatasetExamples
    provenance: Provenance
    complete: bool = True

    def __post_init__(self) -> None:
        """Hold the values against writing: records are shared."""
        self.values.flags.writeable = False

    def share_below(self, value: float) -> float:
        """Tell how many photos a value beats.

        Parameters
        ----------
        value : float
            A value of the target, such as a prototype's `Prototype.after`.

        Returns
        -------
        float
            Share of the photos whose value is smaller, in [0, 1].
        """
        return float(np.mean(self.values < value)) if self.values.size else float("nan")

    def caveats(self) -> list[str]:
        """Say what a reader has to know.

        Returns
        -------
        list of str
            One sentence each; empty if there is nothing.
        """
        said = []
        odd = int((~np.isfinite(self.values)).sum())
        if odd:
            said.append(f"{odd:,} of {len(self.values):,} photos give no finite value, and are left out.")
        if self.unreadable:
            name, why = next(iter(self.unreadable.items()))
            said.append(f"{len(self.unreadable):,} files could not be read, such as {name!r}: {why}")
        if self.top and not self.top[0].value > self.top[-1].value and len(self.top) > 1:
            said.append("The target does not tell these photos apart.")
        if self.provenance.changed:
            said.append("The weights changed while the photos were looked at.")
        return said

    def __repr__(self) -> str:
        best = f", {self.top[0].image!r} most with {self.top[0].value:.3g}" if self.top else ""
        return f"<Examples of {self.label}: {len(self.values):,} photos{best}>"


@dataclass(frozen=True)
class DatasetExamples:
    """What really excites targets, among the photos at hand.

    A prototype is made to excite a target; it is no picture that anybody took. Photos tell what the target is excited
    by in the world, and by how much, on the same scale.

    Parameters
    ----------
    count : int, default 8
        Photos that are kept of each target.
    window : float, default 0.3
        Side of the part that is shown round the strongest place, as a share of what the network is shown; a place's own
        share where that is larger.

    Raises
    ------
    TypeError, ValueError
        If an option is of another type, or out of range.

    Notes
    -----
    Cost: one forward a photo up to the deepest layer, for all targets together. Photos are read one after the other and
    memory does not grow with their number, but for a name and a number a target of each.

    People predict what excites a unit about as well from such photos as from feature visualisations (R. Zimmermann et
    al., arXiv:2106.12447).

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> found = ww.DatasetExamples(count=2).run(model, "espresso", ww.examples.photos())
    >>> found.top[0].image, len(found.values)
    ('coffee', 4)
    """

    count: int = 8
    window: float = 0.3

    def __post_init__(self) -> None:
        """Check every option."""
        object.__setattr__(self, "count", integer("count", self.count, 1, _MOST))
        object.__setattr__(self, "window", 1.0 if self.window == 1 else between("window", self.window, 0, 1))

    def run(self, model: VisionModel, targets: Any, images: Any, *, progress: bool | None = None) -> Any:
        """Look at all photos.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What is to be excited; see `whatwhere.targets`.
        images : images
            Anything `whatwhere.pixels.images.iterate_images` takes; read one after the other.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Returns
        -------
        Examples, or list of Examples
            One for a target, a list for a sequence.

        Raises
        ------
        TypeError
            If a target is of another kind.
        ValueError
            If the network has no such class, layer or channel, or no photo can be read.

        Warns
        -----
        UserWarning
            If there is something that a reader has to know, see `Examples.caveats`.
        """
        found: list[Examples] = []
        for step in with_bar(self.steps_of(model, targets, images), "examples", "photo", progress=progress):
            found = step.record or found
        for examples in found:
            for caveat in examples.caveats():
                warnings.warn(f"{examples.label}: {caveat}", UserWarning, stacklevel=2)
        return found[0] if _is_one(targets) else found

    def stream(self, model: VisionModel, targets: Any, images: Any) -> Iterator[list[Examples]]:
        """Look at all photos, yielding what is known by then.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What is to be excited.
        images : images
            As for `run`.

        Yields
        ------
        list of Examples
            Of all targets, at most ten times a second. Each is valid to stop at.
        """
        last: list[Examples] | None = None
        for step in self.steps_of(model, targets, images):
            if step.record is not None and step.record is not last:
                last = step.record
                yield last

    def submit(self, model: VisionModel, targets: Any, images: Any) -> Job[list[Examples]]:
        """Make a job that looks at the photos on the worker thread.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What is to be excited; refused at once where the network has no such thing.
        images : images
            As for `run`.

        Returns
        -------
        Job
            Not started yet: ``start()`` or ``wait()`` does.
        """
        bound = [target.bound(model) for target in _listed(targets)]
        return Job(lambda: self.steps_of(model, bound, images), device=str(model.device), name="DatasetExamples")

    def steps_of(self, model: VisionModel, targets: Any, images: Any) -> Iterator[Step[list[Examples]]]:
        """Look at all photos, yielding after every batch.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What is to be excited.
        images : images
            As for `run`.

        Yields
        ------
        Step
            Photos done and to do (as many as are done where their number is not known), the stage ``"photos"``, and
            what is known so far.
        """
        from whatwhere.prototypes._exciting import Search

        yield from Search(self, model, _listed(targets), images).steps()


def _listed(targets: Any) -> list[Target]:
    if _is_one(targets):
        return [read(targets)]
    found = [read(target) for target in targets]
    if not found:
        raise ValueError("targets: wanted at least one, got none.")
    return found


def _is_one(targets: Sequence[Any] | Any) -> bool:
    return isinstance(targets, str) or not hasattr(targets, "__iter__")
