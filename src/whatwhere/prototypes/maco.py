"""MACO: pictures that excite a target the most, among those with the magnitudes of natural pictures.

References
----------
T. Fel, T. Boissin, V. Boutin, A. Picard, P. Novello, J. Colin, D. Linsley, T. Rousseau, R. Cadène, L. Goetschalckx,
L. Gardes, T. Serre, "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization",
NeurIPS 2023, arXiv:2306.06805.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from whatwhere.prototypes._method import TargetMethod
from whatwhere.prototypes._options import above, common, number, options_of, settle, two, words
from whatwhere.prototypes.spectrum import PHOTO_LAW, Law, Spectrum, grey_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.model import VisionModel
    from whatwhere.prototypes.canvas import Canvas, Mean
    from whatwhere.prototypes.stopping import AscentRule
    from whatwhere.prototypes.views import Crops, Distribution, Resample

_PRESETS: dict[str, dict[str, Any]] = {
    "ours": {},
    "paper": {
        "learning_rate": (1.0, 1.0),
        "crop": (0.25, 0.25),
        "crop_spread": 0.1,
        "noise": 0.0,
        "uniform_noise": 0.1,
        "crops": 32,
        "contrast": 1.0,
    },
    "horama": {
        "steps": 1000,
        "size": 1280,
        "crops": 6,
        "learning_rate": (1.0, 1.0),
        "crop": (0.225, 0.225),
        "crop_spread": 0.025,
        "crop_law": "uniform",
        "noise": 0.05,
        "uniform_noise": 0.025,
        "contrast": 1.0,
    },
}


@dataclass(frozen=True, repr=False)
class Maco(TargetMethod):
    """Prototypes by magnitude-constrained optimisation.

    A picture is a sum of waves. Their magnitudes are those of natural pictures and stay; their phases are searched by
    gradient ascent, so that random crops of the picture excite the target. All targets of a call are climbed as one
    batch, and each as if it were alone.

    Parameters
    ----------
    steps : int, default 256
        Steps of the ascent.
    crops : int, default 16
        Crops a step; each costs one forward and one backward pass to the input.
    size : int or (int, int), default 512
        Height and width of the picture in pixels.
    seed : int or tuple of int, default 0
        Same seed, same picture. Several give a prototype each of every target.
    spectrum : {"photos", "law"}, Spectrum, Law or path, default "photos"
        Magnitudes: measured on photographs, the fifteen numbers fitted to them, or others.
    crop : float or (float, float), default (0.6, 0.25)
        Mean side of the crops at the first and at the last step, as a share of the picture: from coarse
        to fine.
    crop_spread : float, default 0.05
        Standard deviation of the sides; half of their range where `crop_law` is "uniform".
    crop_law : {"normal", "uniform"}, default "normal"
        Distribution of the sides.
    centre : float, default 0.15
        Standard deviation of the crops' centre, as a share of the picture. The picture goes on where it ends.
    noise : float, default 0.05
        Standard deviation of the noise on crops, in the network's own units.
    uniform_noise : float, default 0
        Half of the range of uniform noise, which is added to it.
    learning_rate : float or (float, float), default (1.0, 0.05)
        Of NAdam, in radians, at the first and at the last step; along a cosine.
    contrast : float, default 1
        Standard deviation of the waves before colours and sigmoid.
    mean : {"grey", "keep"}, default "grey"
        The mean colour: grey, or as the spectrum has it.
    tied : bool, default True
        Whether phases are kept to those of a real picture. If not, magnitudes are lost where they are not.
    frames : int, default 24
        Small pictures kept from the way there.
    until : Plateau, optional
        Stops a prototype before `steps`.
    resample : {"auto", "banded", "native", "matmul"}, default "auto"
        How crops are made as large as the network's input: see `whatwhere.prototypes.views.cut_out`.

    Raises
    ------
    TypeError
        If an option is of another type.
    ValueError
        If an option is out of range.

    Notes
    -----
    Cost: ``steps * crops`` forwards and as many backwards to the input, a prototype. A target at an early layer costs
    only the layers up to it.

    Pictures made so can mislead, as all feature visualisations: look at what else excites the target, beside them
    (R. Geirhos et al., "Don't trust your eyes", arXiv:2306.04719).

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> tench, channel = ww.Maco(steps=2, crops=2, size=96).run(model, ["tench", ww.targets.Channel("features.1", 3)])
    >>> tench.image.shape, tench.alpha.shape, len(tench.trace), channel.label
    ((96, 96, 3), (96, 96), 2, 'channel 3 of features.1')
    """

    steps: int = 256
    crops: int = 16
    size: int | tuple[int, int] = 512
    seed: int | tuple[int, ...] = 0
    spectrum: Any = "photos"
    crop: float | tuple[float, float] = (0.6, 0.25)
    crop_spread: float = 0.05
    crop_law: Distribution = "normal"
    centre: float = 0.15
    noise: float = 0.05
    uniform_noise: float = 0.0
    learning_rate: float | tuple[float, float] = (1.0, 0.05)
    contrast: float = 1.0
    mean: Mean = "grey"
    tied: bool = True
    frames: int = 24
    until: AscentRule | None = None
    resample: Resample = "auto"

    title: ClassVar[str] = "MACO"

    def __post_init__(self) -> None:
        """Check every option."""
        settled = common(self) | {
            "spectrum": _read_spectrum(self.spectrum),
            "crop": two("crop", self.crop, 0, 1),
            "crop_spread": number("crop_spread", self.crop_spread, 0),
            "centre": number("centre", self.centre, 0),
            "contrast": above("contrast", self.contrast, 0, "the picture would be plain"),
        }
        settle(self, settled)
        words(
            self, crop_law=("normal", "uniform"), mean=("grey", "keep"), resample=("auto", "banded", "native", "matmul")
        )
        if not isinstance(self.tied, bool):
            raise TypeError(f"tied: wanted True or False, got {self.tied!r}.")

    @classmethod
    def preset(cls, name: Literal["ours", "paper", "horama"], **options: Any) -> Maco:
        """Return the options of a publication or of another library.

        Parameters
        ----------
        name : {"ours", "paper", "horama"}
            "paper": as the publication's. "horama": as horama 0.3's ``maco`` is asked for; its faults are not repeated.
        **options
            Options in their place.

        Returns
        -------
        Maco
            The method.

        Raises
        ------
        ValueError
            If the name is not known.
        """
        return cls(**(options_of(name, _PRESETS) | options))

    @property
    def sides(self) -> tuple[float, float]:
        """Mean side of the crops at the first and at the last step."""
        return cast("tuple[float, float]", self.crop)

    @property
    def magnitudes(self) -> Spectrum | Law:
        """The spectrum."""
        if isinstance(self.spectrum, str):
            return Spectrum.photos() if self.spectrum == "photos" else PHOTO_LAW
        return cast("Spectrum | Law", self.spectrum)

    @property
    def sampling(self) -> Resample:
        """How crops are resampled."""
        return self.resample

    @property
    def least_side(self) -> float:
        """The smallest mean side of the crops, as a share of the picture."""
        return min(self.sides)

    def law(self, share: float) -> Crops:
        """Return how crops are drawn after a share of the steps.

        Parameters
        ----------
        share : float
            In [0, 1].

        Returns
        -------
        Crops
            Their sides and places.
        """
        from whatwhere.prototypes.views import Crops, cosine

        return Crops(cosine(*self.sides, share), self.crop_spread, self.crop_law, self.centre)

    def whole_law(self, share: float) -> Crops:
        """Return how views are drawn for targets that have places.

        Parameters
        ----------
        share : float
            In [0, 1].

        Returns
        -------
        Crops
            Nearly whole pictures.
        """
        from whatwhere.prototypes.views import NEARLY_WHOLE

        del share
        return NEARLY_WHOLE

    def canvas(self, model: VisionModel, photos: list[NDArray[Any]]) -> Canvas:
        """Return pictures of its magnitudes, as a function of phases.

        Parameters
        ----------
        model : VisionModel
            The network.
        photos : list of ndarray
            None.

        Returns
        -------
        Canvas
            On the network's device.

        Raises
        ------
        ValueError
            If the spectrum is of other colours than the network is shown.
        """
        from whatwhere.prototypes.canvas import Canvas

        del photos
        fitting = _fitting(self.magnitudes, model)
        return Canvas(fitting, self.shape, contrast=self.contrast, mean=self.mean, tied=self.tied, device=model.device)


def _read_spectrum(spectrum: Any) -> Any:
    if isinstance(spectrum, Spectrum | Law):
        return spectrum
    if isinstance(spectrum, str) and spectrum in ("photos", "law"):
        return spectrum
    if isinstance(spectrum, str | Path) and str(spectrum).endswith(".npz"):
        return Spectrum.load(spectrum)
    raise ValueError(
        f"spectrum: wanted 'photos', 'law', a Spectrum or Law, or an .npz file that Spectrum.save has written, got "
        f"{spectrum!r}."
    )


def _fitting(spectrum: Spectrum | Law, model: VisionModel) -> Spectrum | Law:
    """Return the spectrum for the network's channels, or refuse it."""
    if len(model.preprocess.mean) == 1:
        return grey_of(spectrum)
    if spectrum.space == "grey":
        raise ValueError(
            f"spectrum: wanted one of colour pictures, since {model.name} is shown colours, got one of grey pictures."
        )
    return spectrum
