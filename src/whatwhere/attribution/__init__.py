"""Attribution: where a network looks. One file a method."""

from whatwhere.attribution.pairs import PairMap, SobolPairs
from whatwhere.attribution.record import Attribution
from whatwhere.attribution.sobol import Sobol
from whatwhere.provenance import Prediction, Provenance

__all__ = ["Attribution", "PairMap", "Prediction", "Provenance", "Sobol", "SobolPairs"]
