"""Concepts that are merged: shown as one, whose amounts are the sums of its members'.

Nothing is fitted anew. A group's part of the features at a location is the sum of u_k w_k over its members, so that the
concepts rebuild the same features, and contributions add up to the same logit, whatever is merged; taking a group apart
gives back exactly what there was. One direction in a group's place would not do: its codes would leave out what the
members say beside it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.concept_crop import ConceptCrop

Groups: TypeAlias = tuple[tuple[int, ...], ...]
_TWO = 2


@dataclass(frozen=True, eq=False)
class Grouped:
    """The concepts of a bank as they are shown, the most important first: single ones, and groups added up.

    Parameters
    ----------
    members : tuple of tuple of int
        Ids of each concept's members, the first of which it goes by; one id where it is not merged.
    importance : ndarray of shape (g,), float32
        Sums over the members, so that they sum to 1 as before. Of total-order indices the sum is an upper bound of the
        group's own; of shares it is what the members weigh each for itself, also where they speak against each other.
    importance_error : ndarray of shape (g,), float32, or None
        Sums as well: upper bounds of the standard errors, however the members' errors go together.
    contribution : ndarray of shape (g,), float32, or None
        What each adds to the explained logit on average, in logits.
    contributions : ndarray of shape (N, g), float32
        The same for each photo; empty before it is known.
    codes : ndarray of shape (N, h, w, g), float32
        How much of each is at each location: the sum of the members' codes, whose directions have length 1. Empty
        before it is known.
    crops : tuple of tuple of ConceptCrop
        The members' crops, in turn.
    """

    members: Groups
    importance: NDArray[np.float32]
    importance_error: NDArray[np.float32] | None
    contribution: NDArray[np.float32] | None
    contributions: NDArray[np.float32]
    codes: NDArray[np.float32]
    crops: tuple[tuple[ConceptCrop, ...], ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Id that each goes by.

        Returns
        -------
        tuple of int
            One a concept or group.
        """
        return tuple(ids[0] for ids in self.members)


def grouped(bank: ConceptBank) -> Grouped:
    """Add up what was merged.

    Parameters
    ----------
    bank : ConceptBank
        The bank, whose arrays stay those of its single concepts.

    Returns
    -------
    Grouped
        Its concepts as they are shown.
    """
    leads = {ids[0]: ids for ids in bank.groups}
    inside = {concept_id for ids in bank.groups for concept_id in ids}
    members = [leads.get(k, (k,)) for k in bank.ids if k in leads or k not in inside]
    importance = add_up(bank, members, bank.importance)
    order = np.argsort(-importance, kind="stable")
    members = [members[k] for k in order]
    return Grouped(
        members=tuple(members),
        importance=importance[order],
        importance_error=_if_known(bank, members, bank.importance_error),
        contribution=_if_known(bank, members, bank.contribution),
        contributions=add_up(bank, members, bank.contributions),
        codes=add_up(bank, members, bank.codes),
        crops=tuple(_crops(bank, ids) for ids in members) if bank.crops else (),
    )


def add_up(
    bank: ConceptBank, members: Iterable[Sequence[int]], values: NDArray[Any], *, axis: int = -1
) -> NDArray[Any]:
    """Add up numbers of the bank's concepts over the members of each group.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    members : sequence of sequence of int
        Ids of each group.
    values : ndarray
        Numbers with an axis of r concepts, such as the values of maps (r, H, W).
    axis : int, default -1
        That axis.

    Returns
    -------
    ndarray
        The same with an axis of g groups; unchanged where there are no numbers.
    """
    if not values.size:
        return values
    places = [[bank.number_of(concept_id) for concept_id in ids] for ids in members]
    return np.stack([values.take(place, axis=axis).sum(axis=axis) for place in places], axis=axis)


def _if_known(
    bank: ConceptBank, members: list[tuple[int, ...]], values: NDArray[np.float32] | None
) -> NDArray[np.float32] | None:
    return None if values is None else add_up(bank, members, values)


def _crops(bank: ConceptBank, ids: tuple[int, ...]) -> tuple[ConceptCrop, ...]:
    turns = itertools.zip_longest(*(bank.crops[bank.number_of(concept_id)] for concept_id in ids))
    crops = [crop for turn in turns for crop in turn if crop is not None]
    return tuple({(crop.image, crop.box): crop for crop in reversed(crops)}.values())[::-1]


def merge(bank: ConceptBank, ids: Sequence[int]) -> ConceptBank:
    """Merge concepts; see `ConceptBank.merge`.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    ids : sequence of int
        Concepts, or groups by any of their members.

    Returns
    -------
    ConceptBank
        With one group more, or a larger one.
    """
    told = grouped(bank)
    for concept_id in ids:
        bank.number_of(concept_id)
    chosen = [members for members in told.members if set(members) & set(ids)]  # the most important first
    if len(chosen) < _TWO:
        raise ValueError(f"ids: wanted two concepts or more that are not merged with each other yet, got {list(ids)}.")
    union = tuple(concept_id for members in chosen for concept_id in members)
    rest = [group for group in bank.groups if not set(group) & set(union)]
    return replace(bank, groups=(*rest, union))


def unmerge(bank: ConceptBank, concept_id: int) -> ConceptBank:
    """Take a group apart; see `ConceptBank.unmerge`.

    Parameters
    ----------
    bank : ConceptBank
        The bank.
    concept_id : int
        Any of its members.

    Returns
    -------
    ConceptBank
        Without the group.
    """
    bank.number_of(concept_id)
    rest = tuple(group for group in bank.groups if concept_id not in group)
    if len(rest) == len(bank.groups):
        raise ValueError(f"concept_id: wanted a merged concept, of {list(map(list, bank.groups))}, got {concept_id}.")
    return replace(bank, groups=rest)


def read_groups(name: str, groups: Iterable[Iterable[int]], known: Sequence[int] | None) -> Groups:
    """Return groups of ids, checked.

    Parameters
    ----------
    name : str
        What messages call them.
    groups : iterable of iterable of int
        Ids of each.
    known : sequence of int or None
        Ids that there are; None where that is not known.

    Returns
    -------
    tuple of tuple of int
        The same.

    Raises
    ------
    ValueError
        If an id is not known or in two groups, or a group has fewer than two.
    """
    read = tuple(tuple(ids) for ids in groups)
    every = [concept_id for ids in read for concept_id in ids]
    strange = [concept_id for concept_id in every if known is not None and concept_id not in known]
    if strange:
        raise ValueError(f"{name}: wanted ids of {list(known or ())}, got {strange[0]!r}.")
    if len(set(every)) < len(every) or any(len(ids) < _TWO for ids in read):
        raise ValueError(
            f"{name}: wanted groups of two ids at least, and no id twice, got {[list(ids) for ids in read]}."
        )
    return read


def left_of(groups: Iterable[Iterable[int]], known: Iterable[int]) -> Groups:
    """Return what is left of groups when only some concepts are.

    Parameters
    ----------
    groups : iterable of iterable of int
        Ids of each.
    known : iterable of int
        Ids that are left.

    Returns
    -------
    tuple of tuple of int
        Groups that still have two members.
    """
    there = set(known)
    kept = (tuple(concept_id for concept_id in ids if concept_id in there) for ids in groups)
    return tuple(ids for ids in kept if len(ids) >= _TWO)
