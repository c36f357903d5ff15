"""whatwhere: see where a vision model looks, and what it sees there, inside a notebook.

The public names are loaded when they are first used: ``import whatwhere`` imports neither torch nor a widget library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from whatwhere._version import __version__

_HOMES = {
    "Accentuation": "whatwhere.prototypes.accentuation",
    "Atlas": "whatwhere.atlas",
    "AtlasView": "whatwhere.widgets",
    "Attribution": "whatwhere.attribution",
    "AttributionView": "whatwhere.widgets",
    "Baseline": "whatwhere.engine.baseline",
    "ClassBanks": "whatwhere.concepts.class_banks",
    "ConceptBank": "whatwhere.concepts.bank",
    "ConceptExplorer": "whatwhere.widgets",
    "Craft": "whatwhere.concepts.craft",
    "DatasetExamples": "whatwhere.prototypes.examples",
    "Explorer": "whatwhere.widgets",
    "FourierVisualization": "whatwhere.prototypes.fourier",
    "Job": "whatwhere.jobs",
    "Maco": "whatwhere.prototypes.maco",
    "PairMap": "whatwhere.attribution",
    "Plan": "whatwhere.nets.plans",
    "Plateau": "whatwhere.prototypes.stopping",
    "Preprocess": "whatwhere.pixels.preprocess",
    "Prototype": "whatwhere.prototypes.record",
    "PrototypeView": "whatwhere.widgets",
    "RankStability": "whatwhere.engine.stopping",
    "Selection": "whatwhere.widgets",
    "Sobol": "whatwhere.attribution",
    "SobolPairs": "whatwhere.attribution",
    "Spectrum": "whatwhere.prototypes.spectrum",
    "Strategies": "whatwhere.strategies.strategies",
    "StrategyGraph": "whatwhere.strategies.graph",
    "StrategyView": "whatwhere.widgets",
    "UnknownClassError": "whatwhere.classes",
    "VisionModel": "whatwhere.model",
    "Width": "whatwhere.engine.stopping",
    "free": "whatwhere.widgets",
    "load_model": "whatwhere.zoo",
    "to_html": "whatwhere.export",
    "tune": "whatwhere.engine.tuning",
}
_MODULES = ("cache", "examples", "limits", "targets")

__all__ = [  # the stub lists the same names; a test compares them
    "Accentuation",
    "Atlas",
    "AtlasView",
    "Attribution",
    "AttributionView",
    "Baseline",
    "ClassBanks",
    "ConceptBank",
    "ConceptExplorer",
    "Craft",
    "DatasetExamples",
    "Explorer",
    "FourierVisualization",
    "Job",
    "Maco",
    "PairMap",
    "Plan",
    "Plateau",
    "Preprocess",
    "Prototype",
    "PrototypeView",
    "RankStability",
    "Selection",
    "Sobol",
    "SobolPairs",
    "Spectrum",
    "Strategies",
    "StrategyGraph",
    "StrategyView",
    "UnknownClassError",
    "VisionModel",
    "Width",
    "__version__",
    "cache",
    "examples",
    "free",
    "limits",
    "load_model",
    "targets",
    "to_html",
    "tune",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted(__all__)
