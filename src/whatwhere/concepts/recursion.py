"""Recursion: a concept taken apart at an earlier layer, where what late layers merge is still apart.

A late layer may answer to several things in one direction. The crops that show a concept most are run up to an earlier
layer, and their features there are factorised by themselves: each factor is a part of the concept. What a part is worth
is told by taking it away there and looking at the concept's code, and at the logit.

References
----------
T. Fel, A. Picard, L. Béthune, T. Boissin, D. Vigouroux, J. Colin, R. Cadène, T. Serre, "CRAFT: Concept Recursive
Activation FacTorization for Explainability", CVPR 2023, arXiv:2211.10154, section 3.2.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from whatwhere.concepts._ambiguity_run import AmbiguityRun
from whatwhere.concepts._split_run import SplitRun
from whatwhere.engine._checks import between, integer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from whatwhere.concepts.ambiguity import Ambiguity
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.concepts import Concepts
    from whatwhere.jobs import Step

_MOST_PARTS = 1024
_MAX_SEED = 2**63 - 1


def split(
    concepts: Concepts,
    k: int,
    *,
    layer: str | int | nn.Module | None = None,
    n_concepts: int = 4,
    quantile: float = 0.9,
    seed: int = 0,
) -> ConceptBank:
    """Split a concept into the parts that it is made of at an earlier layer.

    Parameters
    ----------
    concepts : Concepts
        The bank and its network.
    k : int
        The concept's row in the bank.
    layer : str, int, torch.nn.Module or None, default None
        The earlier layer. By default the nearest with other channels and cells at least as fine, or the block before
        where all have equally many channels.
    n_concepts : int, default 4
        How many parts, at least 2; fewer where the crops that show the concept are less than ten times as many.
    quantile : float, default 0.9
        The crops whose code of the concept is above this quantile of the positive ones are taken apart, 0 to 1;
        lowered until there are ten a part. What was done is said in the bank's `importance_method`.
    seed : int, default 0
        Same seed, same parts.

    Returns
    -------
    ConceptBank
        Parts, as concepts of the earlier layer, with `parent` set. Its photos are those that have such crops.
        `importance` is the share of each part in the absolute `effects` on the concept's code, when it is taken away at
        the earlier layer; `contribution` is what the explained logit of those crops loses then. What parts do not
        explain is in `residuals`, and what they do together only in `gaps`; all are means over the crops of each photo.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If an argument is out of range, the concept is dead, the layer cannot be cut or does not lie before the bank's,
        the bank's photos are not known, or the network was trained meanwhile, all at once; if too few crops
        show the concept, once they have been counted.

    Warns
    -----
    UserWarning
        If the weights changed meanwhile.

    Notes
    -----
    Forwards up to the bank's layer: one for each crop of the bank's photos. Up to the earlier one: one for each chosen
    crop and photo. Behind it: ``n_concepts + 3`` for each chosen crop. Taking away means features of zeros there, which
    is no lack of anything where a layer behind adds a bias: what a layer of nothing gives is told in
    `importance_method`, and is 0 where zero is neutral.
    """
    record: ConceptBank | None = None
    for step in split_steps(concepts, k, layer=layer, n_concepts=n_concepts, quantile=quantile, seed=seed):
        record = step.record
    if record is None:
        raise RuntimeError("a split ended without a record.")
    if record.provenance.changed:
        warnings.warn("The weights changed while it was computed.", UserWarning, stacklevel=3)
    return record


def split_steps(
    concepts: Concepts,
    k: int,
    *,
    layer: str | int | nn.Module | None = None,
    n_concepts: int = 4,
    quantile: float = 0.9,
    seed: int = 0,
) -> Iterator[Step[ConceptBank]]:
    """Split a concept, yielding after every batch of forwards and every pass of the factorisation; for a `Job`.

    Parameters
    ----------
    concepts : Concepts
        The bank and its network.
    k, layer, n_concepts, quantile, seed : object
        As for `split`.

    Returns
    -------
    iterator of Step
        Forwards done and to do, the stage (``"crops"``, ``"parts"``, ``"concepts"``, ``"codes"``, ``"importance"``),
        and None, then a bank whose effects are not known yet, then the bank.

    Raises
    ------
    TypeError, ValueError
        As from `split`: at once for the arguments and the layer, at a step without enough crops.
    """
    return SplitRun(
        concepts,
        integer("k", k, 0, concepts.bank.rank - 1),
        layer=layer,
        n_concepts=integer("n_concepts", n_concepts, 2, _MOST_PARTS),
        quantile=between("quantile", quantile, 0, 1),
        seed=integer("seed", seed, 0, _MAX_SEED),
    ).steps()


def ambiguity(
    concepts: Concepts, *, layer: str | int | nn.Module | None = None, quantile: float = 0.9, seed: int = 0
) -> tuple[Ambiguity, ...]:
    """Propose concepts to split: those whose crops look like two things at an earlier layer.

    Parameters
    ----------
    concepts : Concepts
        The bank and its network.
    layer : str, int, torch.nn.Module or None, default None
        The earlier layer; by default the one that `split` takes.
    quantile : float, default 0.9
        Crops whose code is above this quantile of the concept's positive ones are looked at, 0 to 1; at least 20, where
        as many show it, and 256 at most.
    seed : int, default 0
        Of the factorisations, of the halves and of chance.

    Returns
    -------
    tuple of Ambiguity
        One a concept, in the order of the bank: three numbers, what chance gives, and whether to split by a rule that
        is stated.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, the layer will not do as for `split`, the bank's photos are
        not known, or the network was trained meanwhile.

    Notes
    -----
    One forward up to the bank's layer for each crop of the bank's photos, one up to the earlier layer for each crop
    that shows a concept most, and two factorisations of half the bank's rows each.
    """
    found: tuple[Ambiguity, ...] = ()
    for step in ambiguity_steps(concepts, layer=layer, quantile=quantile, seed=seed):
        found = step.record or found
    return found


def ambiguity_steps(
    concepts: Concepts, *, layer: str | int | nn.Module | None = None, quantile: float = 0.9, seed: int = 0
) -> Iterator[Step[tuple[Ambiguity, ...]]]:
    """Propose concepts to split, yielding after every batch of forwards and pass of a factorisation; for a `Job`.

    Parameters
    ----------
    concepts : Concepts
        The bank and its network.
    layer, quantile, seed : object
        As for `ambiguity`.

    Returns
    -------
    iterator of Step
        Forwards done and to do, the stage (``"crops"``, ``"halves"``, ``"parts"``, ``"concepts"``), and what is known
        of the first concepts, or None.

    Raises
    ------
    TypeError, ValueError
        As from `ambiguity`, at once.
    """
    quantile, seed = between("quantile", quantile, 0, 1), integer("seed", seed, 0, _MAX_SEED)
    return AmbiguityRun(concepts, layer=layer, quantile=quantile, seed=seed).steps()
