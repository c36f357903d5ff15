from whatwhere import examples as examples
from whatwhere._version import __version__ as __version__
from whatwhere.attribution import Attribution as Attribution
from whatwhere.attribution import Sobol as Sobol
from whatwhere.classes import UnknownClassError as UnknownClassError
from whatwhere.jobs import Job as Job
from whatwhere.model import VisionModel as VisionModel
from whatwhere.preprocess import Preprocess as Preprocess
from whatwhere.widgets import AttributionView as AttributionView
from whatwhere.zoo import load_model as load_model

__all__ = [
    "Attribution",
    "AttributionView",
    "Job",
    "Preprocess",
    "Sobol",
    "UnknownClassError",
    "VisionModel",
    "__version__",
    "examples",
    "load_model",
]
