"""CRAFT for many classes of one set of images, each photo looked at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from whatwhere.jobs import Job
from whatwhere.progress import with_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.class_banks import ClassBanks
    from whatwhere.concepts.craft import Craft
    from whatwhere.jobs import Step
    from whatwhere.model import VisionModel

Targets: TypeAlias = "Sequence[int | str] | None"
Like: TypeAlias = "Mapping[int, ConceptBank] | None"


@dataclass(frozen=True)
class CraftByClass:
    """Concepts of each of many classes; ``Craft(…).by_class`` makes it.

    Every photo goes to the class that it is predicted as, and each class is explained as ``Craft.run(target=…)`` would
    explain it alone: the same bank, but for rounding.

    Parameters
    ----------
    method : Craft
        What is done for each class.

    Notes
    -----
    Cost in forwards: one for each image, instead of one for each image and class, and the crops of the photos that are
    explained, all in full batches. Non-negative factorisations of one number of concepts run together, as many classes
    at once as fit into ``whatwhere.limits.activation_bytes`` on the device (on a CPU 32 MB: more cost more there);
    all else, ``n_concepts="auto"`` and the other extractors, one class after the other. Rounding may decide whether an
    iteration is the last: a class may go on for one more than alone. Memory: as for one class, for all of them
    together; the banks themselves are about 1 MB each beside their photos, see `each`.
    """

    method: Craft

    def run(
        self,
        model: VisionModel,
        images: Any,
        targets: Targets = None,
        *,
        like: Like = None,
        progress: bool | None = None,
    ) -> ClassBanks:
        """Extract the concepts of every class, to the end.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : dict, sequence, folder, dataset or iterable of images
            The set; read once.
        targets : sequence of int or str, optional
            The classes to explain. By default every class that enough photos are predicted as: one a concept.
        like : mapping of int to ConceptBank, optional
            Earlier banks by class id, as this gives them: their ids are given to the concepts that match. Classes that
            are not in it begin anew.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Returns
        -------
        ClassBanks
            A bank for each class, by id; of classes that were not asked for, why they have none.

        Raises
        ------
        TypeError
            If `targets` is no sequence, `like` no mapping, or an image of another kind.
        ValueError
            If a class is not known; if a class that was asked for has too few photos, or features that are constant
            (the message names all such classes), or no class has enough; if an image cannot be read, or the layer
            cannot be cut or lies on no grid.
        FloatingPointError
            If features are NaN or infinite; the message names the image.

        Warns
        -----
        UserWarning
            If files could not be read and were left out, or the weights changed meanwhile.
        """
        import warnings

        banks: ClassBanks | None = None
        steps = self.steps(model, images, targets, like=like)
        for step in with_bar(steps, "CRAFT", "forward", progress=progress):
            banks = step.record
        assert banks is not None
        for said in banks.caveats():
            warnings.warn(said, UserWarning, stacklevel=2)
        return banks

    def stream(
        self, model: VisionModel, images: Any, targets: Targets = None, *, like: Like = None
    ) -> Iterator[ClassBanks]:
        """Extract the concepts of every class, yielding more and more of the banks.

        Parameters
        ----------
        model, images, targets, like : object
            As for `run`.

        Yields
        ------
        ClassBanks
            After every class, with those that are finished; each is valid to stop at.
        """
        last: ClassBanks | None = None
        for step in self.steps(model, images, targets, like=like):
            if step.record is not None and step.record is not last:
                last = step.record
                yield last

    def each(
        self, model: VisionModel, images: Any, targets: Targets = None, *, like: Like = None
    ) -> Iterator[tuple[int, ConceptBank]]:
        """Extract the concepts of every class, holding no bank: for more classes than fit into memory.

        Parameters
        ----------
        model, images, targets, like : object
            As for `run`.

        Yields
        ------
        target, bank : int, ConceptBank
            Each class when it is finished, the ones with the most photos first. Classes that are left out are logged.
        """
        from whatwhere.concepts._classes_run import ClassesRun

        run = ClassesRun(self.method, model, images, targets=targets, like=like, keep=False)
        for _ in run.steps():
            if run.newest is not None:
                newest, run.newest = run.newest, None
                yield newest

    def submit(self, model: VisionModel, images: Any, targets: Targets = None, *, like: Like = None) -> Job[ClassBanks]:
        """Make a job that extracts the concepts of every class on the worker thread.

        Parameters
        ----------
        model, images, targets, like : object
            As for `run`; targets are resolved at once.

        Returns
        -------
        Job
            Not started yet: ``start()`` or ``wait()`` does. A job that is stopped keeps the banks finished so far.
        """
        ids = read_targets(model, targets)
        return Job(
            lambda: self.steps(model, images, ids, like=like), device=str(model.device), name="CRAFT of many classes"
        )

    def steps(
        self, model: VisionModel, images: Any, targets: Targets = None, *, like: Like = None
    ) -> Iterator[Step[ClassBanks]]:
        """Extract the concepts of every class, yielding after every batch and every pass over features.

        Parameters
        ----------
        model, images, targets, like : object
            As for `run`.

        Yields
        ------
        Step
            Forwards done and to do, the stage as from `Craft.steps`, and the banks finished so far or None.
        """
        from whatwhere.concepts._classes_run import ClassesRun

        yield from ClassesRun(self.method, model, images, targets=targets, like=like, keep=True).steps()


def read_targets(model: VisionModel, targets: Targets) -> tuple[int, ...] | None:
    """Return the ids of the classes that are asked for.

    Parameters
    ----------
    model : VisionModel
        The network.
    targets : sequence of int or str, or None
        Classes by name or id.

    Returns
    -------
    tuple of int, or None
        Each once, in their order; None for all.

    Raises
    ------
    TypeError
        If it is no sequence.
    ValueError
        If it is empty, or a class is not known.
    """
    if targets is None:
        return None
    given: object = targets  # callers may not have looked at the annotation
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        raise TypeError(
            f"targets: wanted a sequence of class names or ids, got {type(given).__name__} {given!r}; for one class "
            "use Craft(…).run(target=…)."
        )
    ids = tuple(dict.fromkeys(model.class_names.resolve(target) for target in targets))
    if not ids:
        raise ValueError("targets: wanted one class at least, got none; leave it out to explain every class.")
    return ids


def read_like(model: VisionModel, like: Like) -> dict[int, ConceptBank]:
    """Return earlier banks by class id.

    Parameters
    ----------
    model : VisionModel
        The network.
    like : mapping of int to ConceptBank, or None
        What was given.

    Returns
    -------
    dict of int to ConceptBank
        Empty for None.

    Raises
    ------
    TypeError
        If it is no mapping.
    """
    if like is None:
        return {}
    given: object = like
    if not isinstance(given, Mapping):
        raise TypeError(
            f"like: wanted a mapping of class ids to banks, as by_class.run gives it, got {type(given).__name__}: ids "
            "of one class say nothing of another's concepts."
        )
    return {model.class_names.resolve(target): bank for target, bank in given.items()}
