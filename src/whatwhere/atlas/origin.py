"""Where the pages of an atlas come from: one layer of one network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatwhere.atlas.page import ClassPage


@dataclass(frozen=True)
class Origin:
    """What all pages of an atlas have in common: cosines mean something in one layer of one network alone.

    Parameters
    ----------
    model : str
        Name of the network.
    fingerprint : str
        Hash of its weights.
    layer : str
        The layer.
    channels : int
        Its features.
    n_images : int
        Photos that were looked at.
    unreadable : mapping of str to str
        Files that could not be read and were left out, with the reason, by name.
    changed : bool, default False
        Whether the weights changed meanwhile.
    """

    model: str
    fingerprint: str
    layer: str
    channels: int
    n_images: int
    unreadable: Mapping[str, str] = field(default_factory=dict)
    changed: bool = False

    @classmethod
    def of(cls, page: ClassPage) -> Origin:
        """Say where a page comes from.

        Parameters
        ----------
        page : ClassPage
            The page.

        Returns
        -------
        Origin
            All that is known from it.
        """
        bank, q = page.bank, page.bank.quality
        made = bank.provenance
        return cls(
            model=made.model,
            fingerprint=made.fingerprint,
            layer=bank.layer.name,
            channels=bank.W.shape[1],
            n_images=q.n_images + q.n_left_out,
            unreadable=dict(bank.unreadable),
            changed=made.changed,
        )

    def check(self, page: ClassPage) -> None:
        """Refuse a page whose directions lie in another space.

        Parameters
        ----------
        page : ClassPage
            The page.

        Raises
        ------
        ValueError
            If it is of another network, layer, or number of features.
        """
        other = Origin.of(page)
        told = f"across layers or models cosines mean nothing. Wanted {page.name!r} at {self.layer!r} of {self.model}"
        if other.fingerprint != self.fingerprint:
            raise ValueError(
                f"banks: {told} with weights {self.fingerprint}, got {other.model} with {other.fingerprint}."
            )
        if (other.layer, other.channels) != (self.layer, self.channels):
            raise ValueError(f"banks: {told} with {self.channels} features, got {other.layer!r} with {other.channels}.")
