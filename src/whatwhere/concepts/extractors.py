"""Ways to write activations as codes times a bank of atoms, behind one protocol.

An extractor is a value: a small frozen dataclass that says how, and holds no activations. `fit` gives ever better
factors, `encode` the codes of new rows for a dictionary that it has fitted.

References
----------
T. Fel et al., "A holistic approach to unifying automatic concept extraction and concept importance estimation",
NeurIPS 2023, arXiv:2306.07304, for concept extraction as dictionary learning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from whatwhere.concepts._base import Base
from whatwhere.concepts.protocol import Extractor
from whatwhere.engine._checks import integer
from whatwhere.engine._rows import wide
from whatwhere.engine.convex_nmf import convex_nmf
from whatwhere.engine.growing import grown
from whatwhere.engine.kmeans import kmeans, nearest
from whatwhere.engine.nmf import INITS as NMF_INITS
from whatwhere.engine.nmf import hals
from whatwhere.engine.pca import pca
from whatwhere.engine.sae import Training, encode_topk, topk_sae
from whatwhere.engine.semi_nmf import INITS as SEMI_INITS
from whatwhere.engine.semi_nmf import semi_nmf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from whatwhere.engine.factors import Dictionary, Factors
    from whatwhere.engine.nmf import Init as NMFInit
    from whatwhere.engine.semi_nmf import Init as SemiInit

__all__ = ["EXTRACTORS", "NMF", "PCA", "ConvexNMF", "Extractor", "KMeans", "SemiNMF", "TopKSAE", "read_extractor"]

_SHARE_ACTIVE = 10  # one code in so many, for the sparse autoencoder


@dataclass(frozen=True)
class NMF(Base):
    """Non-negative matrix factorisation: parts that add up. For activations of at least 0.

    By `whatwhere.engine.nmf.hals`; the error never rises. A start may be any bank of at least 0: missing atoms come
    from what it leaves, and the error begins no higher than that bank's.

    Parameters
    ----------
    init : {"nndsvd", "random"}
        Where the bank begins.

    Raises
    ------
    ValueError
        If there is no such start.
    """

    name: ClassVar[str] = "nmf"
    signed: ClassVar[bool] = False
    init: NMFInit = "nndsvd"

    def __post_init__(self) -> None:
        """Check the start."""
        if self.init not in NMF_INITS:
            raise ValueError(f"init: wanted one of {NMF_INITS}, got {self.init!r}.")

    def _fit(
        self,
        activations: Tensor | Sequence[Tensor],
        rank: int,
        seed: int,
        start: Dictionary | None,
        options: dict[str, Any],
    ) -> Iterator[Factors]:
        begin = None
        if start is not None:
            begin = grown(activations, start.bank, rank, seed=seed, device=options["device"])
        return hals(activations, rank, init=self.init, start=begin, seed=seed, **options)


@dataclass(frozen=True)
class SemiNMF(Base):
    """Semi-NMF: parts that add up, for activations of any sign; the bank is of any sign as well.

    By `whatwhere.engine.semi_nmf.semi_nmf`; the error never rises. A start may be any bank: missing atoms come from
    what it leaves, and the error begins no higher than that bank's.

    Parameters
    ----------
    init : {"svd", "rows"}
        Where the bank begins.

    Raises
    ------
    ValueError
        If there is no such start.
    """

    name: ClassVar[str] = "semi_nmf"
    init: SemiInit = "svd"

    def __post_init__(self) -> None:
        """Check the start."""
        if self.init not in SEMI_INITS:
            raise ValueError(f"init: wanted one of {SEMI_INITS}, got {self.init!r}.")

    def _fit(
        self,
        activations: Tensor | Sequence[Tensor],
        rank: int,
        seed: int,
        start: Dictionary | None,
        options: dict[str, Any],
    ) -> Iterator[Factors]:
        begin = None
        if start is not None:
            begin = grown(activations, start.bank, rank, signed=True, seed=seed, device=options["device"])
        return semi_nmf(activations, rank, init=self.init, start=begin, seed=seed, **options)


@dataclass(frozen=True)
class ConvexNMF(Base):
    """Convex NMF: atoms are mixtures of rows that one can look at. For activations of any sign.

    By `whatwhere.engine.convex_nmf.convex_nmf`; the error never rises, and there is no chance in it: the seed changes
    nothing. A start must have been fitted to the same activations; the error begins no higher than its own.
    """

    name: ClassVar[str] = "convex_nmf"

    def _fit(
        self,
        activations: Tensor | Sequence[Tensor],
        rank: int,
        seed: int,  # noqa: ARG002  # the protocol has it
        start: Dictionary | None,
        options: dict[str, Any],
    ) -> Iterator[Factors]:
        return convex_nmf(activations, rank, start=start, **options)


@dataclass(frozen=True)
class KMeans(Base):
    """K-means: every row shows one concept, as much as its projection on the centre's direction.

    By `whatwhere.engine.kmeans.kmeans`; the inertia never rises, and `tolerance` is of the inertia. A start has the
    lengths of its centres in ``encoder["lengths"]``; k-means++ adds the missing ones.
    """

    name: ClassVar[str] = "kmeans"

    def _fit(
        self,
        activations: Tensor | Sequence[Tensor],
        rank: int,
        seed: int,
        start: Dictionary | None,
        options: dict[str, Any],
    ) -> Iterator[Factors]:
        centres = None if start is None else _lengths("start", start)[:, None] * start.bank
        return kmeans(activations, rank, start=centres, seed=seed, **options)

    def _encode(self, dictionary: Dictionary, rows: Tensor) -> Tensor:
        return nearest(wide(dictionary.bank), wide(_lengths("dictionary", dictionary)), rows)


@dataclass(frozen=True)
class PCA(Base):
    """Principal components: the smallest error of all; codes and atoms of either sign, hard to read.

    By `whatwhere.engine.pca.pca`, whose one answer is exact: start, iterations and tolerance change nothing.
    """

    name: ClassVar[str] = "pca"
    non_negative_codes: ClassVar[bool] = False

    def _fit(
        self,
        activations: Tensor | Sequence[Tensor],
        rank: int,
        seed: int,
        start: Dictionary | None,  # noqa: ARG002  # the protocol has it
        options: dict[str, Any],
    ) -> Iterator[Factors]:
        return pca(activations, rank, seed=seed, device=options["device"])

    def _encode(self, dictionary: Dictionary, rows: Tensor) -> Tensor:
        if dictionary.offset is None:
            raise ValueError("dictionary: wanted one of PCA, with the mean as its offset, got none.")
        return (rows - wide(dictionary.offset)) @ wide(dictionary.bank).T


@dataclass(frozen=True)
class TopKSAE(Base):
    """A sparse autoencoder that keeps the k largest codes of each row; for many atoms and many rows.

    By `whatwhere.engine.sae.topk_sae`; an iteration is an epoch, and the error may rise in between. A start is one of
    its own; missing atoms have no codes at first, so that with the same k the error begins as it was.

    Parameters
    ----------
    active : int, optional
        k, from 1 to the rank; by default a tenth of the rank, at least 1.
    learning_rate : float, default 0.01
        Step size at first, above 0 and below 1.
    batch : int, default 256
        Rows a step, at least 1.

    Raises
    ------
    TypeError, ValueError
        If an option is of the wrong kind or out of its range.
    """

    name: ClassVar[str] = "topk_sae"
    active: int | None = None
    learning_rate: float = 0.01
    batch: int = 256

    def __post_init__(self) -> None:
        """Check the options."""
        Training(1 if self.active is None else self.active, self.learning_rate, self.batch)

    def active_of(self, rank: int) -> int:
        """Return the number of codes that a row may have above 0.

        Parameters
        ----------
        rank : int
            Number r of atoms.

        Returns
        -------
        int
            k.
        """
        return max(1, rank // _SHARE_ACTIVE) if self.active is None else self.active

    def _fit(
        self,
        activations: Tensor | Sequence[Tensor],
        rank: int,
        seed: int,
        start: Dictionary | None,
        options: dict[str, Any],
    ) -> Iterator[Factors]:
        training = Training(self.active_of(integer("rank", rank, 1)), self.learning_rate, self.batch, seed)
        return topk_sae(activations, rank, training, start=start, **options)

    def _encode(self, dictionary: Dictionary, rows: Tensor) -> Tensor:
        return encode_topk(dictionary, rows, self.active_of(dictionary.rank))


EXTRACTORS: dict[str, type[Base]] = {kind.name: kind for kind in (NMF, SemiNMF, ConvexNMF, KMeans, PCA, TopKSAE)}


def read_extractor(given: str | Extractor | None, *, signed: bool) -> Extractor:
    """Return the extractor that is meant, after a look at whether it takes the features of a layer.

    Parameters
    ----------
    given : {"nmf", "semi_nmf", "convex_nmf", "kmeans", "pca", "topk_sae"}, Extractor or None
        A name stands for the extractor with its defaults. None is NMF, or semi-NMF where features are signed.
    signed : bool
        Whether features may be below 0.

    Returns
    -------
    Extractor
        What was given, or what it names.

    Raises
    ------
    TypeError
        If it is neither a name nor an extractor.
    ValueError
        If there is no such name, or the extractor does not take signed features and they are.
    """
    if given is None:
        return SemiNMF() if signed else NMF()
    if isinstance(given, str):
        if given not in EXTRACTORS:
            raise ValueError(f"extractor: wanted one of {list(EXTRACTORS)}, got {given!r}.")
        given = EXTRACTORS[given]()
    if isinstance(given, type) or not isinstance(given, Extractor):
        raise TypeError(f"extractor: wanted one of {list(EXTRACTORS)}, or an extractor such as NMF(), got {given!r}.")
    if signed and not given.signed:
        raise ValueError(
            f"extractor: {given!r} takes activations of at least 0, and this layer's are signed; use SemiNMF(), or a "
            "layer after a ReLU."
        )
    return given


def _lengths(name: str, dictionary: Dictionary) -> Tensor:
    if "lengths" not in dictionary.encoder:
        raise ValueError(
            f"{name}: wanted a dictionary of K-means, with the lengths of its centres, got encoder "
            f"{sorted(dictionary.encoder)}."
        )
    return dictionary.encoder["lengths"]
