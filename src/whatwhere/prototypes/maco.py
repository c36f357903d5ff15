"""MACO: pictures that excite a target the most, among those with the magnitudes of natural pictures.

References
----------
T. Fel, T. Boissin, V. Boutin, A. Picard, P. Novello, J. Colin, D. Linsley, T. Rousseau, R. Cadène, L. Goetschalckx,
L. Gardes, T. Serre, "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization",
NeurIPS 2023, arXiv:2306.06805.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from whatwhere.engine._checks import integer
from whatwhere.jobs import Job, Step
from whatwhere.prototypes.spectrum import PHOTO_LAW, Law, Spectrum
from whatwhere.targets import Target, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatwhere.model import VisionModel
    from whatwhere.prototypes.canvas import Mean
    from whatwhere.prototypes.record import Prototype
    from whatwhere.prototypes.stopping import AscentRule
    from whatwhere.prototypes.views import Law as CropLaw
    from whatwhere.prototypes.views import Resample

_MAX_SEED = 2**63
_MOST_SIDE = 4096
_PAIR = 2
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
class Maco:
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
    resample : {"auto", "native", "matmul"}, default "auto"
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
    crop_law: CropLaw = "normal"
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

    def __post_init__(self) -> None:
        """Check every option."""
        size = self.size if isinstance(self.size, tuple | list) else (self.size, self.size)
        if len(size) != _PAIR:
            raise ValueError(f"size: wanted an int or (height, width), got {self.size!r}.")
        seeds = tuple(self.seed) if isinstance(self.seed, tuple | list) else (self.seed,)
        if not seeds or len(set(seeds)) != len(seeds):
            raise ValueError(f"seed: wanted an integer or several different ones, got {self.seed!r}.")
        settled: dict[str, Any] = {
            "steps": integer("steps", self.steps, 1, 2**20),
            "crops": integer("crops", self.crops, 1, 2**16),
            "size": tuple(integer("size", side, _PAIR, _MOST_SIDE) for side in size),
            "seed": tuple(integer("seed", seed, 0, _MAX_SEED) for seed in seeds),
            "spectrum": _read_spectrum(self.spectrum),
            "crop": _two("crop", self.crop, 0, 1),
            "learning_rate": _two("learning_rate", self.learning_rate, 0, float("inf")),
            "frames": integer("frames", self.frames, 0, 2**12),
        }
        for name, low in (("crop_spread", 0), ("centre", 0), ("noise", 0), ("uniform_noise", 0)):
            settled[name] = _number(name, getattr(self, name), low)
        settled["contrast"] = _number("contrast", self.contrast, 0)
        if not settled["contrast"]:
            raise ValueError("contrast: wanted a number above 0, got 0: the picture would be plain.")
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        words = {"crop_law": ("normal", "uniform"), "mean": ("grey", "keep"), "resample": ("auto", "native", "matmul")}
        for name, known in words.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: wanted one of {known}, got {getattr(self, name)!r}.")
        if not isinstance(self.tied, bool):
            raise TypeError(f"tied: wanted True or False, got {self.tied!r}.")
        if self.until is not None and not callable(getattr(self.until, "met", None)):
            raise TypeError(f"until: wanted a rule such as Plateau(), got {self.until!r}.")

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
        if name not in _PRESETS:
            raise ValueError(f"name: wanted one of {list(_PRESETS)}, got {name!r}.")
        return cls(**(_PRESETS[name] | options))

    def __repr__(self) -> str:
        told = [f"{f.name}={self._short(f.name)!r}" for f in fields(self) if getattr(self, f.name) != _default(f.name)]
        return f"Maco({', '.join(told)})"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        return cast("tuple[int, int]", self.size)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the prototypes of each target."""
        return cast("tuple[int, ...]", self.seed)

    @property
    def sides(self) -> tuple[float, float]:
        """Mean side of the crops at the first and at the last step."""
        return cast("tuple[float, float]", self.crop)

    @property
    def rates(self) -> tuple[float, float]:
        """Learning rate at the first and at the last step."""
        return cast("tuple[float, float]", self.learning_rate)

    @property
    def magnitudes(self) -> Spectrum | Law:
        """The spectrum."""
        if isinstance(self.spectrum, str):
            return Spectrum.photos() if self.spectrum == "photos" else PHOTO_LAW
        return cast("Spectrum | Law", self.spectrum)

    def run(self, model: VisionModel, targets: Any, *, progress: bool | None = None) -> Any:
        """Make prototypes, to the last step.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What to excite; see `whatwhere.targets`.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Returns
        -------
        Prototype, or list of Prototype
            One for a target, a list for a sequence: for every target one a seed.

        Raises
        ------
        TypeError
            If a target is of another kind.
        ValueError
            If the network has no such class, layer or channel, a direction has another length, a target does not depend
            on the picture, or the picture is too small for its crops.

        Warns
        -----
        UserWarning
            If a target is dead, gives numbers that are not finite, or the weights changed meanwhile.
        """
        from tqdm import tqdm

        hidden = None if progress is None else not progress
        found: list[Prototype] = []
        with tqdm(total=None, desc="MACO", unit="crop", disable=hidden) as bar:
            for step in self.steps_of(model, targets):
                bar.total = step.total
                bar.update(step.done - bar.n)
                found = step.record or found
        for prototype in found:
            for caveat in prototype.caveats():
                warnings.warn(f"{prototype.label}: {caveat}", UserWarning, stacklevel=2)
        return found[0] if _is_one(targets) and len(self.seeds) == 1 else found

    def stream(self, model: VisionModel, targets: Any) -> Iterator[list[Prototype]]:
        """Make prototypes, yielding ever better ones.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What to excite.

        Yields
        ------
        list of Prototype
            All of them, at most ten times a second: first noise, last the finished ones. Each is valid to stop at.
        """
        last: list[Prototype] | None = None
        for step in self.steps_of(model, targets):
            if step.record is not None and step.record is not last:
                last = step.record
                yield last

    def submit(self, model: VisionModel, targets: Any) -> Job[list[Prototype]]:
        """Make a job that makes prototypes on the worker thread.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What to excite; refused at once where the network has no such thing.

        Returns
        -------
        Job
            Not started yet: ``start()`` or ``wait()`` does.
        """
        bound = [target.bound(model) for target in _targets(targets)]
        return Job(lambda: self.steps_of(model, bound), device=str(model.device), name="Maco")

    def steps_of(self, model: VisionModel, targets: Any) -> Iterator[Step[list[Prototype]]]:
        """Make prototypes, yielding after every chunk of crops.

        Parameters
        ----------
        model : VisionModel
            The network.
        targets : Target, class name, class id, or a sequence of them
            What to excite.

        Yields
        ------
        Step
            Crops done and to do, the stage ``"ascent"``, and the best records so far.
        """
        from whatwhere.prototypes.keeping import ascents

        yield from ascents(self, model, _targets(targets))

    def _short(self, name: str) -> Any:
        value = getattr(self, name)
        if name in ("size", "seed", "crop", "learning_rate") and len(set(value)) == 1:
            return value[0]
        return value


def _default(name: str) -> Any:
    return getattr(_STANDARD, name)


def _targets(targets: Any) -> list[Target]:
    if _is_one(targets):
        return [read(targets)]
    found = [read(target) for target in targets]
    if not found:
        raise ValueError("targets: wanted at least one, got none.")
    return found


def _is_one(targets: Any) -> bool:
    return isinstance(targets, str) or not isinstance(targets, Sequence)


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


def _number(name: str, value: Any, low: float, high: float = float("inf")) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: wanted a number, got {type(value).__name__} {value!r}.") from None
    if not low <= number <= high or number == float("inf"):
        bounds = f"of at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise ValueError(f"{name}: wanted a finite number {bounds}, got {number:g}.")
    return number


def _two(name: str, value: Any, low: float, high: float) -> tuple[float, float]:
    """Read a number that holds, or two that it goes from and to; above `low`."""
    pair = value if isinstance(value, tuple | list) else (value, value)
    if len(pair) != _PAIR:
        raise ValueError(f"{name}: wanted a number, or two for the first and the last step, got {value!r}.")
    numbers = tuple(_number(name, number, low, high) for number in pair)
    if not min(numbers) > low:
        raise ValueError(f"{name}: wanted numbers above {low:g}, got {value!r}.")
    return numbers  # type: ignore[return-value]  # two


_STANDARD = Maco()
