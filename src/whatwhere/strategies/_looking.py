"""What the network makes of photos, a batch at a time; of photos that the cache knows it is not asked again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whatwhere.concepts.photos import Input, PhotoSet, iterate_inputs, prepare
from whatwhere.engine._rows import finite_rows
from whatwhere.engine.caching import rows_of
from whatwhere.engine.encoder import Look
from whatwhere.pixels.contents import contents_of, photo_digest
from whatwhere.pixels.images import Photo, iterate_images, read_photo
from whatwhere.strategies.thumbnails import thumbnail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.concepts.concepts import Concepts

_COLUMNS = ("codes", "logits", "prefix")
_EFFECTS = "effects."


@dataclass(frozen=True)
class Seen:
    """A batch of photos: what they are called and look like, what the network makes of them.

    Parameters
    ----------
    names : list of str
        What they are called.
    pictures : list of ndarray or bytes
        What the network was shown, or the small picture that was kept of it.
    codes, logits : Tensor
        Of shapes (n, h, w, r) and (n, K).
    prefix : Tensor of shape (n, tokens, p)
        Class and register tokens.
    looks : list of Look or None
        Features, a photo each; None of photos that are known.
    effects : list of mapping or None
        What is known of what concepts do in each photo, where that is not read off codes; None where it is not known.
    digests : list of str
        Hashes of the photos' contents; empty where nothing is kept.
    told : list
        What else decides the effects in each photo; likewise.
    """

    names: list[str]
    pictures: list[Any]
    codes: Tensor
    logits: Tensor
    prefix: Tensor
    looks: list[Look | None]
    effects: list[Mapping[str, NDArray[Any]] | None]
    digests: list[str] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)

    def take(self, rows: list[int]) -> Seen:
        """Return some of the photos.

        Parameters
        ----------
        rows : list of int
            Which.

        Returns
        -------
        Seen
            Those.
        """
        return replace(
            self,
            **{name: [getattr(self, name)[k] for k in rows] for name in ("names", "pictures", "looks", "effects")},
            digests=[],
            told=[],
            codes=self.codes[rows],
            logits=self.logits[rows],
            prefix=self.prefix[rows],
        )

    @classmethod
    def joined(cls, parts: Sequence[Seen]) -> Seen:
        """Put batches one after the other.

        Parameters
        ----------
        parts : sequence of Seen
            At least one.

        Returns
        -------
        Seen
            All photos, without their digests.
        """
        told: dict[str, Any] = {
            name: [item for part in parts for item in getattr(part, name)]
            for name in ("names", "pictures", "looks", "effects")
        }
        told |= {name: torch.cat([getattr(part, name) for part in parts]) for name in _COLUMNS}
        return cls(**told)

    def look(self) -> Look:
        """Return the features of all of them.

        Returns
        -------
        Look
            In their order.

        Raises
        ------
        RuntimeError
            If they are not known of each.
        """
        looks = [look for look in self.looks if look is not None]
        if len(looks) != len(self.looks):
            raise RuntimeError("strategies: behind a layer that is not affine the features are needed.")
        return looks[0] if len(looks) == 1 else Look(*(torch.cat(column) for column in zip(*looks, strict=True)))


@dataclass(frozen=True)
class _Source:
    """A photo whose contents are known, and which may still have to be decoded."""

    name: str
    digest: str
    image: bytes | Photo | Input


class Looker:
    """Photos and what the network makes of them.

    Parameters
    ----------
    concepts : Concepts
        Bank and network.
    side : int
        Longer side of the small pictures that are kept; 0 keeps none.
    affine : bool
        Whether codes say all that is asked for; if not, features are handed on.
    more : tuple
        What else the effects of all photos depend on.

    Attributes
    ----------
    n_forwards : int
        Photos that the network looked at.
    n_cached : int
        Photos that were known.
    """

    def __init__(self, concepts: Concepts, *, side: int, affine: bool, more: tuple[Any, ...]) -> None:
        self._concepts, self._side, self._affine = concepts, side, affine
        self._model = concepts.model
        bank = concepts.bank
        told = (bank.W, bank.offset, bank.encoder, bank.method.extractor, bank.layer.name, side, affine, more)
        self._rows = rows_of("codes", self._model, *told)
        self.n_forwards = self.n_cached = 0

    def batches(self, images: Any, told: Any) -> Iterator[Seen]:
        """Look at photos.

        Parameters
        ----------
        images : images or PhotoSet
            The photos.
        told : callable
            Takes a photo's name and place, and returns what else decides its effects.

        Yields
        ------
        Seen
            As many as the model's batch size.
        """
        if not self._rows.on:
            inputs = iterate_inputs(images, self._model)
            while batch := list(itertools.islice(inputs, self._model.batch_size)):
                yield self._looked(batch)
            return
        sources, place = _sources(images), 0
        while some := list(itertools.islice(sources, self._model.batch_size)):
            each = [None if self._affine else told(source.name, place + k) for k, source in enumerate(some)]
            yield self._known_or_looked(some, each)
            place += len(some)

    def _looked(self, batch: list[Input]) -> Seen:
        self._concepts.follow()
        images = torch.cat([self._model.to_input(shown.pixels) for shown in batch])
        names = [shown.name for shown in batch]
        look = self._concepts.encoder.look(images)
        self.n_forwards += len(names)
        finite = finite_rows(look.cells) & finite_rows(look.logits)
        if not finite.all():
            raise FloatingPointError(
                f"images: {names[int((~finite).nonzero()[0])]!r} gives features or logits that are NaN or infinite. "
                "Check the weights and the preprocessing; half precision may overflow: set model.plan to one with "
                "precision='float32'."
            )
        each = [None if self._affine else Look(*(column[k : k + 1] for column in look)) for k in range(len(names))]
        return Seen(
            names=names,
            pictures=[shown.pixels for shown in batch],
            codes=self._concepts.codes_of(look.cells),
            logits=look.logits,
            prefix=look.prefix,
            looks=list(each),
            effects=[None] * len(names),
        )

    def _known_or_looked(self, some: list[_Source], told: list[Any]) -> Seen:
        """Put together what is known and what is not."""
        rows = self._rows.find([source.digest for source in some], told)
        fresh = [k for k, row in enumerate(rows) if row is None]
        self.n_cached += len(some) - len(fresh)
        made: Iterator[Seen] = iter(())
        if fresh:
            looked = self._looked([self._read(some[k]) for k in fresh])
            if len(fresh) == len(some):
                return replace(looked, digests=[source.digest for source in some], told=told)
            made = (looked.take([place]) for place in range(len(fresh)))
        parts = [
            next(made) if row is None else self._known(source.name, row) for source, row in zip(some, rows, strict=True)
        ]
        return replace(Seen.joined(parts), digests=[source.digest for source in some], told=told)

    def _known(self, name: str, row: Mapping[str, NDArray[Any]]) -> Seen:
        columns = {key: torch.from_numpy(row[key].copy())[None].to(self._model.device) for key in _COLUMNS}
        effects = {key.removeprefix(_EFFECTS): values for key, values in row.items() if key.startswith(_EFFECTS)}
        return Seen(
            names=[name],
            pictures=[row["picture"].tobytes()],
            looks=[None],
            effects=[None if self._affine else effects],
            codes=columns["codes"],
            logits=columns["logits"],
            prefix=columns["prefix"],
        )

    def keep(self, seen: Seen, effects: Sequence[Mapping[str, NDArray[Any]]] | None) -> None:
        """Keep what has been found out.

        Parameters
        ----------
        seen : Seen
            A whole batch, as `batches` has given it.
        effects : sequence of mapping, optional
            What concepts do in each photo; empty of photos that are left out. None where codes say it.
        """
        fresh = [k for k, picture in enumerate(seen.pictures) if not isinstance(picture, bytes)]
        if not seen.digests or not fresh:
            return
        rows = []
        for k in fresh:
            row = {key: getattr(seen, key)[k].float().cpu().numpy() for key in _COLUMNS}
            small = thumbnail(seen.pictures[k], self._side) if self._side else b""
            row["picture"] = np.frombuffer(small, dtype=np.uint8)
            row |= {} if effects is None else {_EFFECTS + key: values for key, values in effects[k].items()}
            rows.append(row)
        self._rows.keep([seen.digests[k] for k in fresh], [seen.told[k] for k in fresh], rows=rows)

    def _read(self, source: _Source) -> Input:
        if isinstance(source.image, Input):
            return source.image
        return prepare(read_photo(source.image, name=source.name), source.name, self._model)


def _sources(images: Any) -> Iterator[_Source]:
    """Hash photos one after the other; files are not decoded."""
    if isinstance(images, PhotoSet):
        for shown in images.inputs():
            yield _Source(shown.name, photo_digest(Photo(shown.pixels, prepared=True)), shown)
        return
    for name, image in iterate_images(images):
        try:
            contents = contents_of(image, name=name)
        except OSError:
            read_photo(image, name=name)  # says what is wrong
            raise
        yield _Source(name, contents.digest, contents.image)
