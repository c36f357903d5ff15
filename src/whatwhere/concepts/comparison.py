"""Why one class and not another: what every concept adds to either logit of a photo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from whatwhere.concepts.importance import contributions
from whatwhere.concepts.palette import letter_of
from whatwhere.pixels.images import is_one_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from PIL import Image

    from whatwhere.classes import ClassNames
    from whatwhere.concepts.concepts import Concepts
    from whatwhere.pixels.images import ImageLike

Kind = Literal["true", "next", "given"]
_SAID = {"true": "is", "next": "comes next", "given": "is compared with"}
_TOLD = 2  # concepts that a sentence names


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Two logits of one photo, shared out among the same concepts.

    Parameters
    ----------
    image : str
        Name of the photo.
    classes : (int, int)
        The class that the photo is predicted as, and the one that it is compared with.
    kind : {"true", "next", "given"}
        What the second is: what the photo is, the next likeliest class, or one that was asked for.
    contributions : ndarray of shape (2, r), float32
        What each concept adds to either logit.
    residuals, bases, gaps, logits : ndarray of shape (2,), float32
        What no concept explains, the logit without any features, what the integral misses, and the logit itself.
    ids : tuple of int
        The concepts' ids.
    class_names : ClassNames
        Names by id.
    concept_names : mapping of int to str
        What a person called the concepts, by id.

    Notes
    -----
    ``bases + contributions.sum(1) + residuals + gaps`` is `logits`, and so are the differences, but for rounding.
    """

    image: str
    classes: tuple[int, int]
    kind: Kind
    contributions: NDArray[np.float32]
    residuals: NDArray[np.float32]
    bases: NDArray[np.float32]
    gaps: NDArray[np.float32]
    logits: NDArray[np.float32]
    ids: tuple[int, ...]
    class_names: ClassNames
    concept_names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold every array against writing: records are shared."""
        for name in ("contributions", "residuals", "bases", "gaps", "logits"):
            getattr(self, name).flags.writeable = False

    @property
    def difference(self) -> NDArray[np.float32]:
        """How much more each concept adds to the first class than to the second, of shape (r,), in logits."""
        return self.contributions[0] - self.contributions[1]

    @property
    def order(self) -> NDArray[np.int64]:
        """Rows of the concepts, those first that part the two classes most, of shape (r,)."""
        return np.argsort(-np.abs(self.difference), kind="stable")

    def label(self, k: int) -> str:
        """Name a concept.

        Parameters
        ----------
        k : int
            Its row.

        Returns
        -------
        str
            Its letter, and the name that a person gave it.
        """
        name = self.concept_names.get(self.ids[k])
        return f"{letter_of(self.ids[k])} {name}" if name else letter_of(self.ids[k])

    def describe(self) -> str:
        """Say in a sentence or two what parts the two classes.

        Returns
        -------
        str
            For people.
        """
        first, second = (self.class_names.label(c) for c in self.classes)
        apart = float(self.logits[0] - self.logits[1])
        lead = f"Read as {first} ({self.logits[0]:+.1f}); {second} {_SAID[self.kind]} ({self.logits[1]:+.1f}). "
        told = [f"{self.label(k)} {self.difference[k]:+.1f}" for k in self.order[:_TOLD].tolist()]
        rest = apart - float(self.difference.astype(np.float64).sum())
        if self.rest_decides:
            return (
                f"{lead}What parts them is not among these concepts: what they miss, and the bias, give {rest:+.1f} "
                f"to the {apart:+.1f} between them; of the concepts most is in {' and '.join(told)}."
            )
        return (
            f"{lead}Of the {apart:+.1f} between them most is in {' and '.join(told)}; what no concept explains, and "
            f"the bias, give {rest:+.1f}."
        )

    @property
    def rest_decides(self) -> bool:
        """Whether what no concept explains parts the classes more than any concept does.

        Concepts of a class say what speaks for it; what speaks for another class may be none of them.
        """
        rest = abs(float(self.logits[0] - self.logits[1]) - float(self.difference.astype(np.float64).sum()))
        return rest > float(np.abs(self.difference).max())

    def picture(self, *, width: int = 640) -> Image.Image:
        """Draw what each concept adds to either logit side by side, and the difference.

        Parameters
        ----------
        width : int, default 640
            Width in pixels; drawn at twice that for sharp text.

        Returns
        -------
        PIL.Image.Image
            An RGB picture on white.
        """
        from whatwhere.concepts.comparison_picture import draw_comparison

        return draw_comparison(self, width=width)

    def __repr__(self) -> str:
        return f"<Comparison of {self.image!r}: {self.describe()}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from whatwhere.drawing import mime_bundle

        del include, exclude
        return mime_bundle(self.picture(), self.describe())


def compare(
    concepts: Concepts, image: ImageLike, true: int | str | None = None, predicted: int | str | None = None
) -> Comparison:
    """Share two logits of a photo out among its concepts.

    Parameters
    ----------
    concepts : Concepts
        Bank and network.
    image : image
        A photo, of any class.
    true : int or str, optional
        The class to compare with; by default the next likeliest.
    predicted : int or str, optional
        The class that is explained; by default the predicted one.

    Returns
    -------
    Comparison
        Both adding up to their logits.

    Raises
    ------
    TypeError
        If it is not one image, or cannot be read.
    ValueError
        If there is no such class, both are the same, or the network has a single logit.
    """
    if not is_one_image(image):
        raise TypeError(f"image: wanted one image, got a collection, {type(image).__name__}; compare one by one.")
    names = concepts.model.class_names
    if len(names) == 1:
        raise ValueError("true: a network with a single logit has no other class to compare with.")
    look = next(concepts.looks(image))
    order = look.logits[0].argsort(descending=True, stable=True).tolist()
    first = order[0] if predicted is None else names.resolve(predicted)
    second = next(c for c in order if c != first) if true is None else names.resolve(true)
    if first == second:
        raise ValueError(f"true: wanted another class than the explained one, got {names.label(first)!r} twice.")
    classes = torch.tensor([first, second], device=concepts.model.device)
    cells, prefix = look.cells.repeat(2, 1, 1, 1), look.prefix.repeat(2, 1, 1)
    told = contributions(concepts.encoder, concepts.dictionary, cells, concepts.codes_of(cells), classes, prefix=prefix)
    of_concepts, residual, base, gap = (column.cpu().numpy().copy() for column in told)
    whole = base.astype(np.float64) + of_concepts.astype(np.float64).sum(axis=1) + residual + gap
    return Comparison(
        image="image",
        classes=(first, second),
        kind="next" if true is None else "given",
        contributions=of_concepts,
        residuals=residual,
        bases=base,
        gaps=gap,
        logits=whole.astype(np.float32),
        ids=concepts.bank.ids,
        class_names=names,
        concept_names=dict(concepts.bank.labels),
    )
