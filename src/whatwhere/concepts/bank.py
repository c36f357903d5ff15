"""The record of an extraction: the concepts of a set of images, what they weigh, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from whatwhere.concepts import groups as grouping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from whatwhere.classes import ClassNames
    from whatwhere.concepts.concept_crop import ConceptCrop
    from whatwhere.concepts.concepts import Concepts
    from whatwhere.concepts.craft import Craft
    from whatwhere.concepts.groups import Grouped, Groups
    from whatwhere.concepts.photos import PhotoSet
    from whatwhere.concepts.quality import Quality
    from whatwhere.engine.factors import Dictionary
    from whatwhere.model import VisionModel
    from whatwhere.nets.layers import LayerInfo
    from whatwhere.provenance import Provenance

_POOR = 0.5  # R^2 of the logit below which concepts are said to miss much
_FEW = 10  # images a concept below which a fit is said to rest on few
SIGNED_BY_DEFAULT = "semi_nmf"  # what `whatwhere.concepts.extractors.read_extractor` takes for signed features
_SAID = {
    "semi_nmf": "semi-NMF", "convex_nmf": "convex NMF", "kmeans": "K-means", "pca": "PCA",
    "topk_sae": "a sparse autoencoder",
}  # fmt: skip
_WIDE_GAP = 0.1  # of what features add to the logit, from which contributions that miss as much are told


@dataclass(frozen=True, eq=False, repr=False)
class ConceptBank:
    """Concepts of a set of images, the most important first.

    Parameters
    ----------
    W : ndarray of shape (r, p), float32
        A direction in the layer's features for each concept, of length 1, or 0 where it is dead.
    importance : ndarray of shape (r,), float32
        At least 0, sums to 1; in descending order once the bank is complete.
    contribution : ndarray of shape (r,), float32, or None
        What each concept adds to the explained logit, on average over the images, in logits; None before it is known.
    importance_method : str
        What `importance` is, in words.
    importance_error : ndarray of shape (r,), float32, or None
        Standard errors of `importance`, over the images and, where it was sampled, over the design.
    quality : Quality
        Errors, sparsity, agreement.
    ids : tuple of int
        A number for each concept that stays while a fit goes on, and from fit to fit (``like=``).
    method : Craft
        The method with its options.
    provenance : Provenance
        What made it.
    target : int or None
        The explained class; None where each image is explained by its own predicted class.
    layer : LayerInfo
        The layer, and how its features lie on the image.
    affine : bool
        Whether all behind the layer is affine: contributions are then exact.
    class_names : ClassNames
        Names by id.
    images : tuple of str
        Names of the photos that were explained.
    predictions : ndarray of shape (N,), int64
        Predicted class of each.
    codes : ndarray of shape (N, h, w, r), float32
        How much of each concept is at each location of each photo; empty before it is known.
    logits : ndarray of shape (N,), float32
        The explained logit of each photo.
    contributions : ndarray of shape (N, r), float32
        What each concept adds to it; empty before it is known.
    residuals, bases : ndarray of shape (N,), float32
        What is left to the features that the concepts miss, and the logit without any features.
        ``bases + contributions.sum(1) + residuals`` is `logits`: exactly where `affine`, else as far as the integral
        is, see `gaps`.
    gaps : ndarray of shape (N,), float32
        How far that sum is off.
    crops : tuple of tuple of ConceptCrop
        For each concept the parts of photos that show it most, at most one of a photo.
    offset : ndarray of shape (p,), float32, or None
        What is added to the concepts: the mean, for PCA.
    encoder : mapping of str to ndarray
        What an extractor that learns its encoder needs to find codes; see `whatwhere.engine.factors.Dictionary`.
    effects : ndarray of shape (N, r), float32, or None
        Of a split concept: what is lost of its code when a part is taken away, signed, on the crops of each photo that
        show it; None elsewhere.
    parent : (str, int) or None
        Of a split concept: the bank that it is a part of, by `key`, and its id there.
    complete : bool, default True
        Whether the extraction was finished.
    source : PhotoSet, optional
        The photos as the network saw them; not saved.
    unreadable : mapping of str to str
        Files that could not be read and were left out, with the reason, by name.
    labels, notes : mapping of int to str
        What a person called the concepts and wrote of them, by id; see `annotated`.
    hidden, pinned : tuple of int
        Ids of concepts that a person put away, or wants first.
    groups : tuple of tuple of int
        Ids of concepts that are merged; see `merge`. All arrays stay those of the single concepts.
    refits : tuple of int
        Numbers of concepts that it was fitted again with, one after the other; see `Concepts.refit`.

    Raises
    ------
    KeyError
        If a label, a note or a mark is of an id that there is not.
    ValueError
        If a group has fewer than two ids, or one that is not there or in another group.

    Notes
    -----
    Directions and codes go together: ``codes @ W`` (plus `offset`) is what the concepts say of the layer's features.
    """

    W: NDArray[np.float32]
    importance: NDArray[np.float32]
    contribution: NDArray[np.float32] | None
    importance_method: str
    importance_error: NDArray[np.float32] | None
    quality: Quality
    ids: tuple[int, ...]
    method: Craft
    provenance: Provenance
    target: int | None
    layer: LayerInfo
    affine: bool
    class_names: ClassNames
    images: tuple[str, ...]
    predictions: NDArray[np.int64]
    codes: NDArray[np.float32]
    logits: NDArray[np.float32]
    contributions: NDArray[np.float32]
    residuals: NDArray[np.float32]
    bases: NDArray[np.float32]
    gaps: NDArray[np.float32]
    crops: tuple[tuple[ConceptCrop, ...], ...]
    offset: NDArray[np.float32] | None = None
    encoder: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    effects: NDArray[np.float32] | None = None
    parent: tuple[str, int] | None = None
    complete: bool = True
    source: PhotoSet | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)
    notes: Mapping[int, str] = field(default_factory=dict)
    hidden: tuple[int, ...] = ()
    pinned: tuple[int, ...] = ()
    groups: Groups = ()
    refits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Hold every array against writing: records are shared."""
        for concept_id in (*self.labels, *self.notes, *self.hidden, *self.pinned):
            self.number_of(concept_id)
        grouping.read_groups("groups", self.groups, self.ids)
        arrays = (getattr(self, name) for name in self.__dataclass_fields__)
        for array in (*arrays, *self.encoder.values()):
            if isinstance(array, np.ndarray):
                array.flags.writeable = False

    @property
    def rank(self) -> int:
        """Number of concepts."""
        return len(self.W)

    @property
    def key(self) -> str:
        """Hash of the directions: what a part of a split concept remembers its parent by."""
        import hashlib

        return hashlib.blake2b(np.ascontiguousarray(self.W).tobytes(), digest_size=8).hexdigest()

    @property
    def target_name(self) -> str:
        """Name of the explained class; "each photo's predicted class" where there is no single one."""
        return "each photo's predicted class" if self.target is None else self.class_names.label(self.target)

    @property
    def said_unreadable(self) -> str:
        """Which files could not be read, in a sentence; empty if all could."""
        from whatwhere.concepts.unreadable import say_unreadable

        q = self.quality
        return say_unreadable(self.unreadable, q.n_images + q.n_left_out) if self.unreadable else ""

    @property
    def dictionary(self) -> Dictionary:
        """The directions as the engine takes them, on the CPU."""
        import torch

        from whatwhere.engine.factors import Dictionary

        return Dictionary(
            torch.from_numpy(self.W.copy()),
            None if self.offset is None else torch.from_numpy(self.offset.copy()),
            {name: torch.from_numpy(values.copy()) for name, values in self.encoder.items()},
        )

    def number_of(self, concept_id: int) -> int:
        """Find a concept by its id.

        Parameters
        ----------
        concept_id : int
            One of `ids`.

        Returns
        -------
        int
            Its row in `W`.

        Raises
        ------
        KeyError
            If there is no such id.
        """
        if concept_id not in self.ids:
            raise KeyError(f"concept_id: wanted one of {list(self.ids)}, got {concept_id!r}.")
        return self.ids.index(concept_id)

    def on(self, model: VisionModel, *, images: Mapping[str, Any] | None = None) -> Concepts:
        """Pair the concepts with the network, to find them in any photo.

        Parameters
        ----------
        model : VisionModel
            The network that they were extracted from.
        images : mapping of str to image, optional
            The photos of the bank, by the names in `images`; needed to split a concept of a bank that was loaded from
            a file.

        Returns
        -------
        Concepts
            With ``encode``, ``maps``, ``split`` and what else needs the network.

        Raises
        ------
        ValueError
            If the network has other weights than the one that the concepts came from.
        """
        from whatwhere.concepts.concepts import Concepts

        return Concepts(self, model, images=images if images is not None else self.source)

    def take(self, order: NDArray[np.int64] | list[int]) -> ConceptBank:
        """Return the bank with some of the concepts, in another order.

        Parameters
        ----------
        order : sequence of int
            Rows of `W` to keep.

        Returns
        -------
        ConceptBank
            Importances are those of the whole bank, and sum to 1 only if every concept is kept; what the others add
            is counted to the residual.
        """
        from whatwhere.engine.factors import OF_ALL_ATOMS

        index = np.asarray(order, dtype=np.int64)
        left = np.setdiff1d(np.arange(self.rank), index)
        kept = {self.ids[k] for k in index}
        dropped = self.contributions[:, left].sum(axis=1) if self.contributions.size else 0
        place = {int(old): new for new, old in enumerate(index)}
        left_same = [tuple(sorted(place[k] for k in same if k in place)) for same in self.quality.duplicates]
        quality = replace(
            self.quality,
            dead=tuple(sorted(place[k] for k in self.quality.dead if k in place)),
            duplicates=tuple(sorted(same for same in left_same if len(same) > 1)),
        )
        encoder = {name: values if name in OF_ALL_ATOMS else values[index] for name, values in self.encoder.items()}
        return replace(
            self,
            W=self.W[index],
            importance=self.importance[index],
            contribution=None if self.contribution is None else self.contribution[index],
            importance_error=None if self.importance_error is None else self.importance_error[index],
            quality=quality,
            ids=tuple(self.ids[k] for k in index),
            codes=self.codes[..., index] if self.codes.size else self.codes,
            contributions=self.contributions[:, index] if self.contributions.size else self.contributions,
            effects=None if self.effects is None else self.effects[:, index],
            residuals=(self.residuals + dropped).astype(np.float32),
            crops=tuple(self.crops[k] for k in index) if self.crops else (),
            encoder=encoder,
            labels={self.ids[k]: self.labels[self.ids[k]] for k in index if self.ids[k] in self.labels},
            notes={self.ids[k]: self.notes[self.ids[k]] for k in index if self.ids[k] in self.notes},
            hidden=tuple(k for k in self.hidden if k in kept),
            pinned=tuple(k for k in self.pinned if k in kept),
            groups=grouping.left_of(self.groups, kept),
        )

    def merge(self, ids: Sequence[int]) -> ConceptBank:
        """Return the bank with some concepts shown as one: what they add is added up, and nothing is fitted anew.

        Parameters
        ----------
        ids : sequence of int
            Two or more of `ids`. One that is merged already brings its group.

        Returns
        -------
        ConceptBank
            With a group more in `groups`, which goes by the id, letter and colour of its most important member. All
            arrays are the same; `grouped` adds them up.

        Raises
        ------
        KeyError
            If there is no such id.
        ValueError
            If there are fewer than two that are not merged yet.

        Notes
        -----
        A merged concept's code is the sum of its members' codes, its contribution the sum of theirs, and so is its
        importance. What the concepts rebuild, and the sum of contributions, stays to the last digit. Maps of
        `Concepts.maps` are those of the single concepts; `whatwhere.concepts.groups.add_up` adds them up.
        """
        return grouping.merge(self, ids)

    def unmerge(self, concept_id: int) -> ConceptBank:
        """Return the bank with a merged concept taken apart again.

        Parameters
        ----------
        concept_id : int
            Any of its members.

        Returns
        -------
        ConceptBank
            All else is the same.

        Raises
        ------
        KeyError
            If there is no such id.
        ValueError
            If the concept is not merged.
        """
        return grouping.unmerge(self, concept_id)

    def grouped(self) -> Grouped:
        """Return the concepts as they are shown: single ones, and merged ones added up.

        Returns
        -------
        Grouped
            Importances, contributions, codes and crops, the most important first.
        """
        return grouping.grouped(self)

    def annotated(
        self,
        labels: Mapping[int, str] | None = None,
        notes: Mapping[int, str] | None = None,
        *,
        hidden: Iterable[int] | None = None,
        pinned: Iterable[int] | None = None,
        groups: Iterable[Iterable[int]] | None = None,
    ) -> ConceptBank:
        """Return the bank with what a person says of its concepts, which is saved with it.

        Parameters
        ----------
        labels : mapping of int to str, optional
            Names by concept id, instead of those it has; by default they stay.
        notes : mapping of int to str, optional
            Notes by concept id, likewise.
        hidden, pinned : iterable of int, optional
            Ids of concepts that are put away, or come first, likewise.
        groups : iterable of iterable of int, optional
            Ids of concepts that are merged, likewise; see `merge`.

        Returns
        -------
        ConceptBank
            All else is the same.

        Raises
        ------
        KeyError
            If there is no such id.
        ValueError
            If a group has fewer than two ids, or one that is not there or in another group.
        """
        return replace(
            self,
            labels=self.labels if labels is None else dict(labels),
            notes=self.notes if notes is None else dict(notes),
            hidden=self.hidden if hidden is None else tuple(hidden),
            pinned=self.pinned if pinned is None else tuple(pinned),
            groups=self.groups if groups is None else tuple(map(tuple, groups)),
        )

    def save(self, path: str | Path) -> None:
        """Write the bank to one file, without the photos themselves.

        Parameters
        ----------
        path : path
            Usually with the ending ``.safetensors``; an existing file is replaced when the new one is whole.

        Raises
        ------
        ValueError
            If its extractor is of the caller's own making: files hold no code.
        """
        from whatwhere.concepts.saving import save

        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> ConceptBank:
        """Read a bank from a file.

        Parameters
        ----------
        path : path
            A file that `save` has written.

        Returns
        -------
        ConceptBank
            The same bank, but for `source`, which is None.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is of another kind, broken, or from a newer version.
        """
        from whatwhere.concepts.saving import load

        return load(path)

    def describe(self) -> str:
        """Say in a few lines what the bank holds and how it was made.

        Returns
        -------
        str
            For people.
        """
        q = self.quality
        state = "" if self.complete else " (not finished)"
        found = (
            f"{self.rank} concepts of {self.provenance.model} for {self.target_name}{state}, from {q.n_images} photos "
            f"({q.n_rows:,} rows) at {self.layer.name!r}: relative error {q.error:.3f}."
        )
        lines = [found, *([q.rank_reason] if q.rank_reason else []), f"Importance: {self.importance_method}."]
        if self.groups:
            lines.append(f"{sum(map(len, self.groups))} of the concepts are merged into {len(self.groups)}.")
        if q.agreement is not None:
            kept = "" if q.r2 is None else f"; R² of the logit is {q.r2:.2f}"
            stay = f"{q.agreement:.0%} of the photos keep their class"
            lines.append(f"With the concepts in the layer's place {stay}{kept}.")
        return " ".join([*lines, *self.caveats()])

    def caveats(self) -> list[str]:
        """Say what a reader has to know before trusting the numbers.

        Returns
        -------
        list of str
            One sentence each; empty if there is nothing.
        """
        q, said = self.quality, []
        if self.unreadable:
            said.append(self.said_unreadable)
        if q.n_images < _FEW * self.rank:
            said.append(f"Only {q.n_images} photos for {self.rank} concepts: another set may give others.")
        if self.layer.nonnegative is False:
            said.append(self._said_signed)
        if q.r2 is not None and q.r2 < _POOR and self.residuals.size:
            said.append(
                f"Much of what counts is missed: features that no concept explains add {self.residuals.mean():+.1f} to "
                f"the logit of {self.logits.mean():.1f}, on average."
            )
        missed, whole = (float(np.abs(values).mean()) for values in (self.gaps, self.logits - self.bases))
        if self.parent is None and missed > _WIDE_GAP * whole:  # parts say themselves how they interact
            said.append(
                f"Contributions miss {missed:.2g} of the {whole:.2g} logits that the features add or take: the way "
                "from no features is steep, as through a LayerNorm."
            )
        if self.contributions.size and not self.contributions.any():
            said.append("No concept moves the logit: importances are equal for want of anything else.")
        if q.dead:
            said.append(f"{len(q.dead)} of the concepts are not used by any photo.")
        same = self._unmerged
        said += [f"Concepts {_listed(ids)} point the same way: merge({ids}) shows them as one." for ids in same]
        if self.provenance.changed:
            said.append("The weights changed while it was computed.")
        return said

    @property
    def _said_signed(self) -> str:
        """How signed features were factorised, and what that means."""
        extractor = self.method.extractor
        name = SIGNED_BY_DEFAULT if extractor is None else str(getattr(extractor, "name", extractor))
        codes = "codes are at least 0, " if getattr(extractor, "non_negative_codes", True) else "codes and "
        return (
            f"The layer's features are signed, so they were factorised by {_SAID.get(name, name)}, not by NMF: {codes}"
            "directions are of either sign, and what a concept shows is less certain than at a layer behind a ReLU."
        )

    @property
    def _unmerged(self) -> list[list[int]]:
        """Ids of concepts that point the same way and are not shown as one yet."""
        found = [[self.ids[k] for k in same] for same in self.quality.duplicates]
        return [same for same in found if not any(set(same) <= set(group) for group in self.groups)]

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NDArray[Any]:
        """Return `W`."""
        del copy
        return self.W.astype(dtype or np.float32)

    def __repr__(self) -> str:
        return f"<ConceptBank {self.rank} x {self.W.shape[1]}: {self.describe()}>"

    def picture(self, *, width: int = 720) -> Image.Image:
        """Draw a card for each concept: its importance, its contribution, and crops that show it.

        Parameters
        ----------
        width : int, default 720
            Width in pixels.

        Returns
        -------
        PIL.Image.Image
            An RGB picture.
        """
        from whatwhere.concepts.picture import draw_bank

        return draw_bank(self, width=width)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from whatwhere.drawing import mime_bundle

        del include, exclude
        return mime_bundle(self.picture(), self.describe())


def _listed(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}"
