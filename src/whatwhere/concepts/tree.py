"""Concepts and the parts that they were split into, as a tree."""

from __future__ import annotations

import re
import tempfile
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from whatwhere.concepts.bank import ConceptBank

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MEMBER = re.compile(r"bank(\.\d+)*\.safetensors")


@dataclass(frozen=True, eq=False, repr=False)
class ConceptTree:
    """A bank, and below its concepts the banks that they were split into.

    Parameters
    ----------
    bank : ConceptBank
        The concepts of this level.
    children : mapping of int to ConceptTree
        By the id of the concept that was split; none by default.

    Raises
    ------
    ValueError
        If a child is no split of this bank's concept of that id.

    Notes
    -----
    A path is the tuple of the ids that lead to a bank, () for the first. Banks know their parents by `ConceptBank.key`,
    a hash of its directions: a bank whose concepts were put in another order by ``take`` has another.
    """

    bank: ConceptBank
    children: Mapping[int, ConceptTree] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the children, and hold them against change."""
        for concept_id, child in self.children.items():
            if child.bank.parent != (self.bank.key, concept_id) or concept_id not in self.bank.ids:
                raise ValueError(
                    f"children: wanted splits of concepts {list(self.bank.ids)} of bank {self.bank.key}, got one of "
                    f"{child.bank.parent} under {concept_id}."
                )
        object.__setattr__(self, "children", MappingProxyType(dict(self.children)))

    def add(self, bank: ConceptBank) -> ConceptTree:
        """Return a tree with a split added below the concept that it is of.

        Parameters
        ----------
        bank : ConceptBank
            From `Concepts.split`, of a bank anywhere in the tree. An earlier split of the same concept is replaced,
            with all below it.

        Returns
        -------
        ConceptTree
            This one stays as it is.

        Raises
        ------
        ValueError
            If it is no split, or of a bank that is not in the tree.
        """
        if bank.parent is None:
            raise ValueError("bank: wanted one that Concepts.split has made, got one without a parent.")
        key, concept_id = bank.parent
        if key == self.bank.key:
            return replace(self, children={**self.children, concept_id: ConceptTree(bank)})
        for own, child in self.children.items():
            if any(below.key == key for _, below in child):
                return replace(self, children={**self.children, own: child.add(bank)})
        raise ValueError(
            f"bank: wanted a split of one of the tree's banks {[below.key for _, below in self]}, got one of {key}."
        )

    def __getitem__(self, path: int | tuple[int, ...]) -> ConceptTree:
        """Return the tree below a path."""
        steps = (path,) if isinstance(path, int) else tuple(path)
        if not steps:
            return self
        if steps[0] not in self.children:
            raise KeyError(f"path: concept {steps[0]} was not split; split are {sorted(self.children)}.")
        return self.children[steps[0]][steps[1:]]

    def __iter__(self) -> Iterator[tuple[tuple[int, ...], ConceptBank]]:
        """Go through (path, bank), each bank before its splits, those in the order of its concepts."""
        yield (), self.bank
        for concept_id in self._split():
            for path, bank in self.children[concept_id]:
                yield (concept_id, *path), bank

    def __len__(self) -> int:
        return 1 + sum(len(child) for child in self.children.values())

    def _split(self) -> list[int]:
        return [concept_id for concept_id in self.bank.ids if concept_id in self.children]

    def __str__(self) -> str:
        bank = self.bank
        head = (
            f"{bank.target_name} at {bank.layer.name!r}: {bank.rank} concepts, relative error {bank.quality.error:.2f}"
        )
        return "\n".join([head, *self._lines("")])

    def __repr__(self) -> str:
        return f"<ConceptTree of {len(self)} banks>\n{self}"

    def _lines(self, indent: str) -> list[str]:
        """Draw a line for each concept, and below it its parts."""
        bank, lines = self.bank, []
        for k, concept_id in enumerate(bank.ids):
            last = k == bank.rank - 1
            told = f"{indent}{'└' if last else '├'}─ {concept_id}: {bank.importance[k]:.0%}"
            if bank.contribution is not None:
                told += f", {bank.contribution[k]:+.2f} logits"
            if concept_id in self.children:
                child = self.children[concept_id]
                lines.append(f"{told}, at {child.bank.layer.name!r} made of")
                lines += child._lines(f"{indent}{' ' if last else '│'}  ")  # noqa: SLF001  # of the same class
            else:
                lines.append(told)
        return lines

    def save(self, path: str | Path) -> None:
        """Write all banks to one file, a zip of files as `ConceptBank.save` writes them, without the photos.

        Parameters
        ----------
        path : path
            Usually with the ending ``.zip``; an existing file is replaced when the new one is whole.
        """
        place = Path(path)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}-") as folder:
            packed = Path(folder) / "tree.zip"
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as pack:
                for steps, bank in self:
                    name = ".".join(["bank", *map(str, steps), "safetensors"])
                    bank.save(Path(folder) / name)
                    pack.write(Path(folder) / name, name)
            packed.replace(place)

    @classmethod
    def load(cls, path: str | Path) -> ConceptTree:
        """Read a tree from a file.

        Parameters
        ----------
        path : path
            A file that `save` has written.

        Returns
        -------
        ConceptTree
            The same tree, but for the photos of its banks.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is of another kind or broken, or a bank in it is no split of another.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"path: there is no file {str(path)!r}.")
        with tempfile.TemporaryDirectory(prefix="whatwhere-") as folder:
            try:
                with zipfile.ZipFile(path) as pack:
                    names = pack.namelist()
                    if "bank.safetensors" not in names or not all(_MEMBER.fullmatch(name) for name in names):
                        raise ValueError(f"path: wanted a file that ConceptTree.save has written, got {str(path)!r}.")
                    pack.extractall(folder)  # every name is one of ours
            except zipfile.BadZipFile as error:
                raise ValueError(f"path: {str(path)!r} is broken or no zip file: {error}.") from error
            tree = cls(ConceptBank.load(Path(folder) / "bank.safetensors"))
            for name in sorted(set(names) - {"bank.safetensors"}, key=lambda n: n.count(".")):
                tree = tree.add(ConceptBank.load(Path(folder) / name))
        return tree
