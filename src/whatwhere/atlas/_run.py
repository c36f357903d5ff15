"""An atlas while it is made: class after class, and on where an earlier run was ended."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whatwhere.atlas.atlas import Atlas
from whatwhere.atlas.closest import Compass
from whatwhere.atlas.index import INDEX, Index, read_index, write_index
from whatwhere.atlas.origin import Origin
from whatwhere.atlas.page import ClassPage
from whatwhere.atlas.page_store import Held
from whatwhere.atlas.shelf import Shelf, make_folder, put_page
from whatwhere.cache.keys import UncacheableError, digest_of
from whatwhere.cache.store import Store
from whatwhere.concepts._classes_run import ClassesRun
from whatwhere.concepts.by_class import read_targets
from whatwhere.concepts.craft import Craft
from whatwhere.jobs import Step
from whatwhere.pixels.contents import contents_of
from whatwhere.pixels.images import name_images
from whatwhere.strategies.strategies import Strategies
from whatwhere.strategies.truth import NO_CLASS, UNKNOWN, Truth

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.by_class import Targets
    from whatwhere.model import VisionModel
    from whatwhere.strategies.graph import StrategyGraph

_WORK = "unfinished"  # features of photos, and files that are not whole yet, until the atlas is finished
_OF_THE_DISK = 2  # part of what is free that these may take
_DIFFERS = {
    "model": "another network, or of this one with other weights or another preprocessing",
    "method": "concepts that were extracted otherwise",
    "graphs": "graphs that were made otherwise",
    "images": "another set of images",
    "labels": "other labels",
}


class AtlasRun:
    """One atlas while it is made.

    Parameters
    ----------
    model, images, targets, labels, craft, graphs, folder, seed : object
        As for `whatwhere.Atlas.of`.
    """

    def __init__(
        self,
        model: VisionModel,
        images: Any,
        targets: Targets,
        *,
        labels: Any,
        craft: Craft | None,
        graphs: bool,
        folder: str | os.PathLike[str] | None,
        seed: int,
    ) -> None:
        if craft is not None and not isinstance(craft, Craft):
            raise TypeError(f"craft: wanted a Craft or None, got {type(craft).__name__} {craft!r}.")
        self._model, self._targets = model, read_targets(model, targets)
        self._craft = Craft(n_concepts=10, seed=seed) if craft is None else craft
        self._strategies = Strategies(seed=seed) if graphs else None
        self._images = name_images(images)
        self._labels = _by_name(labels, self._images, model)
        self._folder = None if folder is None else make_folder(folder)
        self._pages: dict[int, ClassPage] = {}
        self._skipped: dict[int, str] = {}
        self._index: Index | None = None

    def steps(self) -> Iterator[Step[Atlas]]:
        """Make every class that is not there yet.

        Yields
        ------
        Step
            After every batch, every pass over features, and every class.
        """
        key = {} if self._folder is None else self._key()
        if self._folder is not None:
            self._index = _earlier(self._folder, key)
        record = self._record(complete=False)
        if record is not None and self._all_there:
            if self._index is not None and self._index.whole:
                self._clear()  # what a run has left that was killed at its very end
            yield Step(len(self._images), len(self._images), "class", self._record(complete=True))
            return
        known = () if self._index is None else tuple(self._index.entries)
        store = self._store()
        try:
            yield from self._make(known, store, key)
        finally:
            if store is not None:
                store.close()

    def _make(self, known: tuple[int, ...], store: Store | None, key: Mapping[str, str]) -> Iterator[Step[Atlas]]:
        run = ClassesRun(
            self._craft,
            self._model,
            self._images,
            targets=self._targets,
            like=None,
            keep=False,
            strict=False,
            without=known,
            store=store,
        )
        record, compass = self._record(complete=False), Compass(self._model)
        done = total = 0
        for step in run.steps():
            done, total = step.done, step.total
            yield Step(done, total, step.stage, record)
            if run.newest is None:
                continue
            (_, bank), run.newest = run.newest, None
            graph: StrategyGraph | None = None
            for placed in self._placing(bank):
                graph = placed.record
                yield Step(done, total, placed.stage, record)
            self._skipped |= run.left_out
            self._take(ClassPage(bank, graph, *compass.closest(bank)), key)
            record = self._record(complete=False)
            yield Step(done, total, "class", record)
        self._skipped |= run.left_out
        yield Step(done, total, "class", self._finish())

    def _placing(self, bank: ConceptBank) -> Iterator[Step[StrategyGraph]]:
        if self._strategies is None:
            return
        labels = None if self._labels is None else {name: self._labels[name] for name in bank.images}
        yield from self._strategies.steps(self._model, bank, labels=labels, previews=False)

    def _take(self, page: ClassPage, key: Mapping[str, str]) -> None:
        """Keep a page: in its file, or in memory."""
        if self._folder is None:
            self._pages[page.target] = page
            return
        entry = put_page(self._folder, page, passing=self._work(self._folder))
        if self._index is None:
            names = self._model.class_names
            self._index = Index(names, Origin.of(page), {}, dict(key), whole=False, entries={})
        made = Origin.of(page)
        origin = replace(made, changed=made.changed or self._index.origin.changed)
        entries = {**self._index.entries, page.target: entry}
        self._index = replace(self._index, origin=origin, entries=entries)
        write_index(self._folder, self._index, passing=self._work(self._folder))

    def _record(self, *, complete: bool) -> Atlas | None:
        """Return the atlas as it is now; None before there is a class."""
        if self._folder is None:
            if not self._pages:
                return None
            origins = [Origin.of(page) for page in self._pages.values()]
            origin = replace(origins[-1], changed=any(each.changed for each in origins))
            pages = Held(self._pages)
            return Atlas(pages, origin, self._model.class_names, self._skipped, complete=complete)
        if self._index is None or not self._index.entries:
            return None
        skipped = {**self._index.skipped, **self._skipped}
        return Atlas(
            Shelf(self._folder, self._index),
            self._index.origin,
            self._index.class_names,
            {c: why for c, why in skipped.items() if c not in self._index.entries},
            complete=complete,
            key=self._index.key,
        )

    @property
    def _all_there(self) -> bool:
        """Whether nothing is left to do for what is asked for."""
        index = self._index
        if index is None or index.whole or self._targets is None:
            return index is not None and index.whole
        return all(target in index.entries or target in index.skipped for target in self._targets)

    def _finish(self) -> Atlas | None:
        """Say that all is there, and let the features go."""
        atlas = self._record(complete=True)
        if self._folder is not None and self._index is not None and atlas is not None:
            whole = self._targets is None or self._index.whole
            index = replace(self._index, skipped=atlas.skipped, whole=whole)
            write_index(self._folder, index, passing=self._work(self._folder))
            self._clear()
        return atlas

    def _clear(self) -> None:
        """Let go what was kept while it was made."""
        if self._folder is not None:
            shutil.rmtree(self._folder / _WORK, ignore_errors=True)

    @staticmethod
    def _work(folder: Path) -> Path:
        """Return the folder of what is not finished."""
        work = folder / _WORK
        work.mkdir(exist_ok=True)
        return work

    # -- what it is made of -------------------------------------------------------------------------------------------

    def _store(self) -> Store | None:
        """Return where features are kept while the atlas is made."""
        if self._folder is None:
            return None
        return Store(self._folder / _WORK, max(1, shutil.disk_usage(self._folder).free // _OF_THE_DISK))

    def _key(self) -> dict[str, str]:
        """Hash all that decides what is in a page."""
        model = self._model
        try:
            method, graphs = digest_of(self._craft), digest_of(self._strategies)
        except UncacheableError as error:
            raise ValueError(
                f"craft: wanted a method that a file can tell from others, since folder is given, but {error}. Leave "
                "folder out."
            ) from error
        return {
            "model": digest_of(model.fingerprint(), model.preprocess, model.precision),
            "method": method,
            "graphs": graphs,
            "images": digest_of([(name, _digest(image, name)) for name, image in self._images.items()]),
            "labels": digest_of(self._labels),
        }


def _earlier(folder: Path, key: Mapping[str, str]) -> Index | None:
    """Read what a folder holds of this atlas; classes whose files are broken are made anew.

    Raises
    ------
    ValueError
        If it holds another atlas.

    Warns
    -----
    UserWarning
        If files are missing or broken.
    """
    if not (folder / INDEX).is_file():
        return None
    index = read_index(folder)
    differ = [_DIFFERS[part] for part in key if index.key.get(part) != key[part]]
    if not index.key:
        differ = ["which it is not known what it was made of, since it was saved and not made there"]
    if differ:
        raise ValueError(f"folder: {str(folder)!r} holds an atlas of {', and '.join(differ)}. Give another folder.")
    if index.origin.changed:  # what was made while the weights changed is nobody's
        return None
    shelf = Shelf(folder, index)
    lost = [c for c in index.entries if not shelf.is_sound(c)]
    if lost:
        told = ", ".join(index.class_names.label(c) for c in lost)
        warnings.warn(f"folder: pages are missing or broken, and are made again: {told}.", UserWarning, stacklevel=2)
    kept = {c: entry for c, entry in index.entries.items() if c not in lost}
    return replace(index, entries=kept, whole=index.whole and not lost)


def _by_name(labels: Any, images: Mapping[str, Any], model: VisionModel) -> dict[str, int | bool | None] | None:
    """Read labels, and return them by the photos' names."""
    if labels is None:
        return None
    truth = Truth(labels, model.class_names, expected=len(images))
    read = {name: truth.of(name, place) for place, name in enumerate(images)}
    truth.finish(len(images))
    if len(model.class_names) == 1:
        return {name: {UNKNOWN: None, NO_CLASS: False}.get(of, True) for name, of in read.items()}
    return {name: None if of == UNKNOWN else of for name, of in read.items()}


def _digest(image: Any, name: str) -> str:
    """Hash a photo; what cannot be read is the same as long as it cannot."""
    try:
        return contents_of(image, name=name).digest
    except (OSError, TypeError, ValueError):
        return "unreadable"
