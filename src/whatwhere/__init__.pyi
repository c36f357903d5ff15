from whatwhere import cache as cache
from whatwhere import examples as examples
from whatwhere import limits as limits
from whatwhere import targets as targets
from whatwhere._version import __version__ as __version__
from whatwhere.atlas import Atlas as Atlas
from whatwhere.attribution import Attribution as Attribution
from whatwhere.attribution import PairMap as PairMap
from whatwhere.attribution import Sobol as Sobol
from whatwhere.attribution import SobolPairs as SobolPairs
from whatwhere.classes import UnknownClassError as UnknownClassError
from whatwhere.concepts.bank import ConceptBank as ConceptBank
from whatwhere.concepts.class_banks import ClassBanks as ClassBanks
from whatwhere.concepts.craft import Craft as Craft
from whatwhere.engine.baseline import Baseline as Baseline
from whatwhere.engine.stopping import RankStability as RankStability
from whatwhere.engine.stopping import Width as Width
from whatwhere.engine.tuning import tune as tune
from whatwhere.export import to_html as to_html
from whatwhere.jobs import Job as Job
from whatwhere.model import VisionModel as VisionModel
from whatwhere.nets.plans import Plan as Plan
from whatwhere.pixels.preprocess import Preprocess as Preprocess
from whatwhere.prototypes.accentuation import Accentuation as Accentuation
from whatwhere.prototypes.examples import DatasetExamples as DatasetExamples
from whatwhere.prototypes.fourier import FourierVisualization as FourierVisualization
from whatwhere.prototypes.maco import Maco as Maco
from whatwhere.prototypes.record import Prototype as Prototype
from whatwhere.prototypes.spectrum import Spectrum as Spectrum
from whatwhere.prototypes.stopping import Plateau as Plateau
from whatwhere.strategies.graph import StrategyGraph as StrategyGraph
from whatwhere.strategies.strategies import Strategies as Strategies
from whatwhere.widgets import AtlasView as AtlasView
from whatwhere.widgets import AttributionView as AttributionView
from whatwhere.widgets import ConceptExplorer as ConceptExplorer
from whatwhere.widgets import Explorer as Explorer
from whatwhere.widgets import PrototypeView as PrototypeView
from whatwhere.widgets import Selection as Selection
from whatwhere.widgets import StrategyView as StrategyView
from whatwhere.widgets import free as free
from whatwhere.zoo import load_model as load_model

__all__ = [
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
