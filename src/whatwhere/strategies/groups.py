"""Which concept a photo belongs to: three rules, and the prevalence and reliability that follow from each.

References
----------
T. Fel et al., "A Holistic Approach to Unifying Automatic Concept Extraction and Concept Importance Estimation", NeurIPS
2023, arXiv:2306.07304, section 5, for prevalence and reliability of the strongest concept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from whatwhere.engine._checks import numbers
from whatwhere.strategies.rates import Rate, Rates

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

By: TypeAlias = Literal["presence", "strongest", "distinctive"]
BYS: tuple[By, ...] = get_args(By)
#: Where a photo belongs that no concept supports.
NOBODY = -1

_PLANE = 2
_TIE = 1e-9  # of shares, which are of order 1: below is rounding


@dataclass(frozen=True, eq=False)
class Groups:
    """Photos by concept, under one rule.

    Parameters
    ----------
    by : {"presence", "strongest", "distinctive"}
        The rule.
    rule : str
        The rule in words.
    members : ndarray of shape (n, r), bool
        Which photos belong to which concept: to any number by presence, to at most one by the other rules.
    unsupported : ndarray of shape (n,), bool
        Photos that no concept speaks for: none adds anything to the logit. They belong to no concept.
    prevalence : Rates
        Share of the photos that belong to each concept. With ``unsupported`` these sum to 1 by "strongest" and
        "distinctive"; by presence photos count for each concept that they have.
    reliability : Rates
        Share of those, of photos whose class is known, that are right.
    unsupported_prevalence, unsupported_reliability : Rate
        The same of the photos without support.
    """

    by: By
    rule: str
    members: NDArray[np.bool_]
    unsupported: NDArray[np.bool_]
    prevalence: Rates
    reliability: Rates
    unsupported_prevalence: Rate
    unsupported_reliability: Rate

    @property
    def of_image(self) -> NDArray[np.int64]:
        """The one concept of each photo, as a row of the bank, of shape (n,).

        Raises
        ------
        ValueError
            By presence, where a photo may have several.

        Notes
        -----
        `NOBODY`, -1, where no concept supports the photo.
        """
        if self.by == "presence":
            raise ValueError("by: wanted 'strongest' or 'distinctive', by presence a photo may have several concepts.")
        return np.where(self.members.any(axis=1), self.members.argmax(axis=1), NOBODY)


def shares_of(importance: ArrayLike) -> NDArray[np.float64]:
    """Scale each photo's contributions so that their sizes sum to 1.

    Parameters
    ----------
    importance : array_like of shape (n, r)
        Contributions in logits.

    Returns
    -------
    ndarray of shape (n, r), float64
        Signed, from -1 to 1; zeros where nothing contributes.

    Raises
    ------
    ValueError
        If it is no matrix of finite numbers.
    """
    phi = numbers("importance", importance)
    if phi.ndim != _PLANE:
        raise ValueError(f"importance: wanted shape (photos, concepts), got {phi.shape}.")
    size = np.abs(phi).sum(axis=1, keepdims=True)
    return np.divide(phi, size, out=np.zeros_like(phi), where=size > 0)


def rule_of(by: By, presence: float) -> str:
    """Say a rule in words.

    Parameters
    ----------
    by : {"presence", "strongest", "distinctive"}
        Which.
    presence : float
        The share from which a concept is present.

    Returns
    -------
    str
        A sentence.
    """
    support = "concepts that add to the logit"
    return {
        "presence": f"A photo has a concept that gives at least {presence:.3g} of what its concepts add and take.",
        "strongest": f"A photo belongs to the concept that adds most to its logit, of the {support}.",
        "distinctive": (
            f"A photo belongs to the concept, of those present (at least {presence:.3g} of what its concepts add and "
            "take), whose share is the most standard deviations above its mean over the photos; to the strongest if "
            "several are equal, or none is present."
        ),
    }[by]


def group(
    importance: ArrayLike,
    by: By = "presence",
    *,
    right: NDArray[np.bool_] | None = None,
    known: NDArray[np.bool_] | None = None,
    presence: float = 0.08,
    level: float = 0.95,
) -> Groups:
    """Divide photos by concept, and count.

    Parameters
    ----------
    importance : array_like of shape (n, r)
        What each concept adds to each photo's logit.
    by : {"presence", "strongest", "distinctive"}, default "presence"
        The rule, see `rule_of`.
    right : ndarray of shape (n,), bool, optional
        Whether each photo is predicted as what it is.
    known : ndarray of shape (n,), bool, optional
        Whether that is known; all by default if `right` is given, else none.
    presence : float, default 0.08
        Share from which a concept is present.
    level : float, default 0.95
        Level of the intervals.

    Returns
    -------
    Groups
        Under that rule.

    Raises
    ------
    ValueError
        If contributions are no matrix of finite numbers, or the rule is not known.
    """
    if by not in BYS:
        raise ValueError(f"by: wanted one of {list(BYS)}, got {by!r}.")
    shares = shares_of(importance)
    n = len(shares)
    if not shares.size:
        raise ValueError(f"importance: wanted at least one photo and one concept, got shape {shares.shape}.")
    if known is None:
        known = np.full(n, fill_value=right is not None)
    right = np.zeros(n, dtype=bool) if right is None else right
    unsupported: NDArray[np.bool_] = np.logical_not((shares > 0).any(axis=1))
    members = _members(shares, by, presence)
    members.flags.writeable = unsupported.flags.writeable = False
    groups = np.column_stack([members, unsupported])
    sizes = groups.sum(axis=0)
    prevalence = Rates.of(sizes, n, level)
    reliability = Rates.of(
        (groups & (right & known)[:, None]).sum(axis=0), (groups & known[:, None]).sum(axis=0), level
    )
    return Groups(
        by=by,
        rule=rule_of(by, presence),
        members=members,
        unsupported=unsupported,
        prevalence=_first(prevalence),
        reliability=_first(reliability),
        unsupported_prevalence=prevalence[-1],
        unsupported_reliability=reliability[-1],
    )


def _first(rates: Rates) -> Rates:
    return Rates.of(rates.counts[:-1], rates.totals[:-1], rates.level)


def _members(shares: NDArray[np.float64], by: By, presence: float) -> NDArray[np.bool_]:
    present = (shares >= presence) & (shares > 0)
    if by == "presence":
        return present
    ranked = np.where(shares > 0, shares, -np.inf)
    if by == "distinctive":
        apart = np.where(present, _standardised(shares), -np.inf)
        best = apart >= apart.max(axis=1, keepdims=True) - _TIE
        ranked = np.where(best & present | ~present.any(axis=1, keepdims=True), ranked, -np.inf)
    chosen = np.zeros(shares.shape, dtype=bool)
    chosen[np.arange(len(shares)), ranked.argmax(axis=1)] = True
    return chosen & (shares > 0)


def _standardised(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return standard deviations above the mean; a share that is the same in all photos says nothing and gives 0."""
    spread = shares.std(axis=0)
    some = spread > _TIE
    return np.divide(shares - shares.mean(axis=0), spread, out=np.zeros_like(shares), where=some)
