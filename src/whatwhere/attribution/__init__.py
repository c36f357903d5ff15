"""Attribution: where a network looks. One file a method."""

from whatwhere.attribution.pairs import PairMap, SobolPairs
from whatwhere.attribution.provenance import Prediction, Provenance
from whatwhere.attribution.record import Attribution
from whatwhere.attribution.sobol import Sobol

__all__ = ["Attribution", "PairMap", "Prediction", "Provenance", "Sobol", "SobolPairs"]
