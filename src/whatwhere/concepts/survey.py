"""One look at a set of photos, from which the concepts of any class in it can be extracted."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whatwhere.concepts._craft_run import CraftRun
from whatwhere.concepts._gathering import Gathering, Share
from whatwhere.jobs import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.craft import Craft
    from whatwhere.model import VisionModel


class Survey:
    """What a network says of a set of photos, each run once, with the features of their locations.

    Parameters
    ----------
    method : Craft
        How concepts will be extracted: its layer is looked at, and its `on_unreadable` holds.
    model : VisionModel
        The network.
    images : images
        What `whatwhere.pixels.images.iterate_images` takes.

    Notes
    -----
    Costs one forward a photo. Features beyond ``whatwhere.limits.activation_bytes`` lie in temporary files, which go
    with the object.
    """

    def __init__(self, method: Craft, model: VisionModel, images: Any) -> None:
        self._method, self._model = method, model
        self._images: Any = images
        self._under_way: tuple[Gathering, Iterator[str]] | None = None
        self._finished = False

    @property
    def _gathering(self) -> Gathering | None:
        return None if self._under_way is None else self._under_way[0]

    def _begin(self) -> tuple[Gathering, Iterator[str]]:
        gathering = Gathering(replace(self._method, fit_on="locations"), self._model, self._images, None)
        return gathering, gathering.stages()

    @property
    def complete(self) -> bool:
        """Whether all photos were looked at."""
        return self._finished

    @property
    def done(self) -> int:
        """Forwards so far."""
        return 0 if self._gathering is None else self._gathering.done

    @property
    def names(self) -> list[str]:
        """What the photos are called that were looked at so far."""
        return [] if self._gathering is None else list(self._gathering.evidence.photos.names)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each of them, in pixels."""
        return [] if self._gathering is None else [each.photo for each in self._gathering.evidence.photos.geometries]

    @property
    def predictions(self) -> list[int]:
        """The predicted class of each of them."""
        return [] if self._gathering is None else list(self._gathering.evidence.predictions)

    @property
    def unreadable(self) -> dict[str, str]:
        """Files that could not be read, and why."""
        return {} if self._gathering is None else dict(self._gathering.evidence.unreadable)

    def counts(self) -> dict[int, int]:
        """Count the photos of each predicted class.

        Returns
        -------
        dict of int to int
            Numbers of photos by class id, the most frequent first; of equals the lower id.
        """
        counted = Counter(self.predictions)
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    def steps(self) -> Iterator[Step[Survey]]:
        """Look at all photos, or go on where an earlier iterator was left.

        Yields
        ------
        Step
            Forwards done and in all, the stage ``"images"``, and the survey.
        """
        if self._finished:
            return
        gathering, stages = self._under_way = self._under_way or self._begin()
        for stage in stages:
            yield Step(gathering.done, max(gathering.total, gathering.done), stage, self)
        self._finished = True

    def extract(
        self, method: Craft, target: int | None, *, like: ConceptBank | None = None
    ) -> Iterator[Step[ConceptBank]]:
        """Extract concepts of the photos of a class, once all were looked at.

        Parameters
        ----------
        method : Craft
            How, at the survey's layer.
        target : int or None
            The class; None takes all photos, each explained by its predicted class.
        like : ConceptBank, optional
            An earlier bank, whose ids are kept.

        Yields
        ------
        Step
            As from `whatwhere.concepts.craft.Craft.steps`. Locations cost no forward; crops cost one each, and the
            photos one more.

        Raises
        ------
        RuntimeError
            If not all photos were looked at.
        ValueError
            If the class has too few of them.
        """
        gathering = self._gathering
        if gathering is None or not self._finished:
            raise RuntimeError("The survey is not finished: go through steps() first.")
        evidence = gathering.evidence
        kept = [
            k for k in range(len(evidence)) if target is None or _is_of(evidence.logits(slice(k, k + 1))[0], target)
        ]
        if method.fit_on != "locations":
            photos = evidence.photos.take(kept)
            run = CraftRun(method, self._model, photos, target=target, like=like, previews=True)
        else:
            encoder = copy.copy(gathering.encoder)  # each counts its own seconds
            of_it = evidence.take(kept)
            share = Share(encoder, of_it, gathering.done, gathering.total, gathering.extra, gathering.plan)
            run = CraftRun(method, self._model, None, target=target, like=like, previews=True, gathering=share)
        yield from run.steps()


def _is_of(logits: Tensor, target: int) -> bool:
    """Tell whether a photo is predicted as a class: by the largest logit or, of a single one, by its sign."""
    return bool(logits[0] > 0) if len(logits) == 1 else int(logits.argmax()) == target
