"""What a view of concepts asks of the network, step by step on the worker. Imports torch only there."""

from __future__ import annotations

import base64
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.jobs import Step
from whatwhere.widgets._concept_data import Facts, describe_crop
from whatwhere.widgets._concept_words import about, caveats_of, code_of
from whatwhere.widgets._guests import Seen
from whatwhere.widgets._planes import probabilities, rounded
from whatwhere.widgets._sprites import draw_sprite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.concepts import Concepts
    from whatwhere.concepts.importance import GateResponse
    from whatwhere.concepts.maps import ConceptMaps
    from whatwhere.pixels.images import Photo
    from whatwhere.widgets._strip import Strip

_CLASSES = 5  # said of a concept, and of a photo
_RESPONSES = 8  # photos whose features are kept for what-if
_PART_CROPS, _PART_SIDE, _PART_QUALITY = 8, 64, 70


class ConceptNet:
    """Concepts with their network and the photos of a view.

    Parameters
    ----------
    concepts : Concepts
        The pair.
    strip : Strip
        Photos.
    """

    def __init__(self, concepts: Concepts, strip: Strip) -> None:
        self.concepts, self._strip = concepts, strip
        self._responses: OrderedDict[int, GateResponse] = OrderedDict()

    def facts(self, numbers: list[int]) -> Iterator[Step[Facts]]:
        """Read the head, and look at photos again for the logits of all classes.

        Parameters
        ----------
        numbers : list of int
            Photos.

        Yields
        ------
        Step
            Photos looked at, and what is known; None before there is anything.
        """
        total = len(numbers) + 1
        yield Step(0, total, "head", None)
        facts = _read_head(self.concepts)
        yield Step(1, total, "head", facts)
        for found in self.logits(numbers):
            facts.logits.update(found)
            yield Step(1 + len(facts.logits), total, "head", facts)

    def logits(self, numbers: list[int]) -> Iterator[dict[int, NDArray[np.float32]]]:
        """Look at photos.

        Parameters
        ----------
        numbers : list of int
            Which.

        Yields
        ------
        dict of int to ndarray of shape (K,)
            The logits of a batch, by photo.
        """
        import torch

        model = self.concepts.model
        for first in range(0, len(numbers), model.batch_size):
            batch = numbers[first : first + model.batch_size]
            look = self.concepts.encoder.look(torch.cat([self._strip.input_of(n, model) for n in batch]))
            yield dict(zip(batch, look.logits.float().cpu().numpy(), strict=True))

    def look(self, n: int) -> Iterator[Step[dict[int, NDArray[np.float32]]]]:
        """Look at one more photo.

        Parameters
        ----------
        n : int
            Which.

        Yields
        ------
        Step
            Its logits, by the photo's number.
        """
        for found in self.logits([n]):
            yield Step(1, 1, "head", found)

    def meet(self, photo: Photo) -> Iterator[Step[Seen]]:
        """Look at a photo that is none of the bank's.

        Parameters
        ----------
        photo : Photo
            The photo.

        Yields
        ------
        Step
            First None, then what the network and the bank say of it.
        """
        import torch

        from whatwhere.concepts.importance import contributions

        yield Step(0, 1, "photo", None)
        concepts, bank = self.concepts, self.concepts.bank
        look = next(concepts.looks(photo))
        codes = concepts.codes_of(look.cells)
        target = int(look.logits.argmax()) if bank.target is None else bank.target
        classes = torch.tensor([target], device=look.cells.device)
        parts = contributions(concepts.encoder, concepts.dictionary, look.cells, codes, classes, prefix=look.prefix)
        told = [part[0].float().cpu().numpy() for part in (codes, look.logits, parts.concepts)]
        rest = [float(part[0]) for part in (parts.residual, parts.base, parts.gap)]
        yield Step(1, 1, "photo", Seen(photo, bank, told[0], told[1], target, told[2], *rest))

    def maps(self, n: int, kind: str) -> Iterator[Step[ConceptMaps]]:
        """Compute the maps of all concepts on a photo.

        Parameters
        ----------
        n : int
            The photo.
        kind : str
            Method of `Concepts.maps`.

        Yields
        ------
        Step
            Passes done, and the best maps so far.
        """
        yield Step(0, 1, "maps", None)
        for step in self.concepts.map_steps(self._strip.photo(n), kind):
            yield Step(step.done, step.total, "maps", step.record)

    def what_if(self, n: int, scales: Mapping[int, float]) -> Iterator[Step[dict[str, Any]]]:
        """Compute the logits of a photo whose concepts are scaled; what they miss stays.

        Parameters
        ----------
        n : int
            The photo.
        scales : mapping of int to float
            Factors by concept id; 1 where there is none.

        Yields
        ------
        Step
            First None, then the body of the answer.
        """
        import torch

        bank = self.concepts.bank
        if n not in self._responses:
            yield Step(0, 2, "what-if", None)
            self._responses[n] = self.concepts.response(self._strip.photo(n), residual=True)
            while len(self._responses) > _RESPONSES:
                self._responses.popitem(last=False)
        response = self._responses[n]
        self._responses.move_to_end(n)
        gates = torch.ones(2, bank.rank)
        gates[1] = torch.tensor([scales.get(concept_id, 1.0) for concept_id in bank.ids])
        before, after = response.logits(gates).float().cpu().numpy()
        yield Step(2, 2, "what-if", _answer(bank, response.target, before, after))

    def parts(self, concept_id: int) -> Iterator[Step[ConceptBank]]:
        """Split a concept at an earlier layer.

        Parameters
        ----------
        concept_id : int
            Its id.

        Yields
        ------
        Step
            As from `Concepts.split_steps`.
        """
        yield from self.concepts.split_steps(self.concepts.bank.number_of(concept_id))

    def describe_parts(self, parts: ConceptBank, letter: str) -> dict[str, Any]:
        """Say what a concept was split into.

        Parameters
        ----------
        parts : ConceptBank
            From `parts`.
        letter : str
            The concept's.

        Returns
        -------
        dict
            The body of the answer to ``split``.
        """
        importance = rounded(parts.importance)
        contribution = [None] * parts.rank if parts.contribution is None else rounded(parts.contribution)
        told = [
            {
                "letter": f"{letter}.{k + 1}",
                "importance": importance[k],
                "contribution": contribution[k],
                **self._part_crops(parts, k),
            }
            for k in range(parts.rank)
        ]
        return {
            "layer": parts.layer.name,
            "concepts": told,
            "caveats": caveats_of(parts),
            "about": about(parts),
            "code": code_of(parts),
        }

    def _part_crops(self, parts: ConceptBank, k: int) -> dict[str, Any]:
        crops = parts.crops[k][:_PART_CROPS]
        side = min([_PART_SIDE, *(max(crop.picture.shape[:2]) for crop in crops)])
        sprite, _ = draw_sprite([crop.picture for crop in crops], side, quality=_PART_QUALITY)
        numbers = [self.concepts.bank.images.index(parts.images[crop.image]) for crop in crops]
        told = [
            describe_crop("active", crop, parts.images[crop.image], self._strip.shift(n))
            for crop, n in zip(crops, numbers, strict=True)
        ]
        return {"crops": told, "sprite": base64.b64encode(sprite).decode("ascii"), "sprite_side": side}


def _read_head(concepts: Concepts) -> Facts:
    """Read what concepts do to each class, where that is the same everywhere."""
    bank = concepts.bank
    if not bank.affine:
        return Facts()
    head = concepts.head
    if not head.uniform:
        return Facts()
    cells, places = head.cells.cpu().numpy(), int(head.cells.sum()) + int(head.prefix.sum())
    effects = (bank.W.astype(np.float64) @ head.weights.double().cpu().numpy().T).astype(np.float32)
    classes = []
    if cells.all():
        count = min(_CLASSES, len(bank.class_names))
        classes = [[(close.id, close.value) for close in row] for row in concepts.closest_classes(count)]
    return Facts(classes, effects, cells, max(1, places))


def _answer(bank: ConceptBank, target: int, before: NDArray[np.float32], after: NDArray[np.float32]) -> dict[str, Any]:
    """Say how the likeliest classes move, and the explained one."""
    p_before, p_after = probabilities(before), probabilities(after)
    likely = [int(k) for p in (p_before, p_after) for k in np.argsort(-p, kind="stable")[:_CLASSES]]
    ids = sorted({*likely, target}, key=lambda k: (-p_after[k], k))
    return {
        "classes": [
            {"id": k, "name": bank.class_names.label(k), "p": float(p_after[k]), "before": float(p_before[k])}
            for k in ids
        ],
        "logit": float(after[target]),
        "before": float(before[target]),
    }
