"""Fourier feature visualisation: pictures that excite a target the most, with every magnitude free.

References
----------
C. Olah, A. Mordvintsev, L. Schubert, "Feature Visualization", Distill 2017, doi:10.23915/distill.00007.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from whatwhere.prototypes._method import TargetMethod
from whatwhere.prototypes._options import above, common, number, options_of, rising, settle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whatwhere.model import VisionModel
    from whatwhere.prototypes.free import FreeCanvas
    from whatwhere.prototypes.stopping import AscentRule
    from whatwhere.prototypes.turns import Turns

_MOST_ZOOM, _MOST_TURN = 100.0, 180.0
_PRESETS: dict[str, dict[str, Any]] = {
    "ours": {},
    "lucid": {"steps": 512, "crops": 1, "size": 128, "exponent": 1.0, "noise": 0.0},
}


@dataclass(frozen=True, repr=False)
class FourierVisualization(TargetMethod):
    """Prototypes by gradient ascent on Fourier coefficients in decorrelated colours.

    A picture is a sum of waves, whose coefficients are all free; they are scaled by one over their frequency, so that
    all scales of a picture move alike. Random shifts, magnifications and turns of the picture are to excite the target:
    each is one affine resampling. All targets of a call are climbed as one batch, and each as if it were alone.

    Parameters
    ----------
    steps : int, default 256
        Steps of the ascent.
    crops : int, default 4
        Views a step; each costs one forward and one backward pass to the input.
    size : int or (int, int), default 256
        Height and width of the picture in pixels.
    seed : int or tuple of int, default 0
        Same seed, same picture. Several give a prototype each of every target.
    exponent : float, default 1.5
        Coefficients are scaled by this power of one over the frequency: 1 leaves more fine
        noise, 1.5 gives smoother pictures.
    contrast : float, default 1.8
        Standard deviation of the waves before colours and sigmoid, of coefficients with deviation 1; more saturates.
    jitter : float, default 0.05
        How far views are shifted at most, either way, as a share of the picture. The picture goes on where it ends.
    scale : float or (float, float), default (0.9, 1.1)
        Range of magnifications. At 1 a view is the largest of the input's shape that the picture holds; at 4, a
        quarter of its sides.
    rotate : float, default 10
        Degrees that views are turned by at most, either way.
    noise : float, default 0.05
        Standard deviation of the noise on views, in the network's own units.
    uniform_noise : float, default 0
        Half of the range of uniform noise, which is added to it.
    learning_rate : float or (float, float), default 0.05
        Of NAdam, at the first and at the last step; along a cosine.
    frames : int, default 24
        Small pictures kept from the way there.
    until : Plateau, optional
        Stops a prototype before `steps`.

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

    What MACO (`Maco`) is compared against: the same ascent, the same targets, but nothing keeps the magnitudes to those
    of natural pictures. Of deep networks the pictures tend to noise and repetition; of early layers, of which MACO's
    fixed magnitudes may hide what a channel likes, they are the better choice.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> prototype = ww.FourierVisualization(steps=2, crops=1, size=64).run(model, ww.targets.Channel("features.1", 3))
    >>> prototype.image.shape, prototype.spectrum
    ((64, 64, 3), 'free, scaled by 1 / f^1.5')
    """

    steps: int = 256
    crops: int = 4
    size: int | tuple[int, int] = 256
    seed: int | tuple[int, ...] = 0
    exponent: float = 1.5
    contrast: float = 1.8
    jitter: float = 0.05
    scale: float | tuple[float, float] = (0.9, 1.1)
    rotate: float = 10.0
    noise: float = 0.05
    uniform_noise: float = 0.0
    learning_rate: float | tuple[float, float] = 0.05
    frames: int = 24
    until: AscentRule | None = None

    title: ClassVar[str] = "Fourier visualisation"

    def __post_init__(self) -> None:
        """Check every option."""
        settled = common(self) | {
            "exponent": number("exponent", self.exponent, 0),
            "contrast": above("contrast", self.contrast, 0, "the picture would be plain"),
            "jitter": number("jitter", self.jitter, 0, 1),
            "scale": rising("scale", self.scale, _MOST_ZOOM),
            "rotate": number("rotate", self.rotate, 0, _MOST_TURN),
        }
        settle(self, settled)

    @classmethod
    def preset(cls, name: Literal["ours", "lucid"], **options: Any) -> FourierVisualization:
        """Return the options of another library.

        Parameters
        ----------
        name : {"ours", "lucid"}
            "lucid": steps, views, size and exponent as lucid's ``render_vis`` has them.
        **options
            Options in their place.

        Returns
        -------
        FourierVisualization
            The method.

        Raises
        ------
        ValueError
            If the name is not known.
        """
        return cls(**(options_of(name, _PRESETS) | options))

    @property
    def zooms(self) -> tuple[float, float]:
        """Range of magnifications."""
        return cast("tuple[float, float]", self.scale)

    @property
    def least_side(self) -> float:
        """The smallest side of the views, as a share of the picture."""
        return 1 / self.zooms[1]

    def law(self, share: float) -> Turns:
        """Return how views are drawn after a share of the steps.

        Parameters
        ----------
        share : float
            In [0, 1].

        Returns
        -------
        Turns
            Shifts, magnifications and angles; the same at every step.
        """
        from whatwhere.prototypes.turns import Turns

        del share
        return Turns(self.jitter, self.zooms, self.rotate)

    def whole_law(self, share: float) -> Turns:
        """Return how views are drawn for targets that have places.

        Parameters
        ----------
        share : float
            In [0, 1].

        Returns
        -------
        Turns
            The same, unmagnified and unturned.
        """
        from whatwhere.prototypes.turns import Turns

        del share
        return Turns(min(self.jitter, 0.02), (1.0, 1.0), 0.0)

    def canvas(self, model: VisionModel, photos: list[NDArray[Any]]) -> FreeCanvas:
        """Return pictures as a function of free coefficients.

        Parameters
        ----------
        model : VisionModel
            The network.
        photos : list of ndarray
            None.

        Returns
        -------
        FreeCanvas
            On the network's device; of one channel where the network is shown grey.
        """
        from whatwhere.prototypes.free import FreeCanvas

        del photos
        channels = 1 if len(model.preprocess.mean) == 1 else 3
        return FreeCanvas(channels, self.shape, exponent=self.exponent, contrast=self.contrast, device=model.device)
