"""Feature accentuation: what a target sees in a photo, brought out in the photo.

References
----------
C. Hamblin, T. Fel, S. Saha, T. Konkle, G. Alvarez, "Feature Accentuation: Revealing 'What' Features Respond to in
Natural Images", arXiv:2402.10039.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from PIL import Image

from whatwhere.jobs import Job, Step
from whatwhere.pixels.images import is_one_image, iterate_images, read_photo
from whatwhere.prototypes._method import Method, drain, flow, is_one, read_targets
from whatwhere.prototypes._options import above, common, number, rising, settle, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from whatwhere.model import VisionModel
    from whatwhere.pixels.images import Pixels
    from whatwhere.prototypes._latent import Leash
    from whatwhere.prototypes.free import Magnitude, PhotoCanvas
    from whatwhere.prototypes.record import Prototype
    from whatwhere.prototypes.stopping import AscentRule
    from whatwhere.prototypes.views import Crops, Inside, Resample

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, repr=False)
class Accentuation(Method):
    """Photos that are changed so that they excite a target more, and stay near themselves in the network's own terms.

    The ascent begins with a photo in place of noise. Random crops of the picture are to excite the target, and the
    features of each crop at a layer are to stay near those of the same crop of the photo. All photos and targets of a
    call are climbed as one batch, and each as if it were alone.

    Parameters
    ----------
    steps : int, default 100
        Steps of the ascent.
    crops : int, default 16
        Crops a step; see Notes for what each costs.
    size : int or (int, int), default 512
        Height and width in pixels that the photo's middle is brought to.
    seed : int or tuple of int, default 0
        Same seed, same picture. Several give a picture each of every photo and target.
    weight : float, default 1
        How strongly it is held near the photo. At 1 the penalty's gradient is as large as the objective's; 0 leaves it
        free, and infinite holds the photo as it is.
    layer : str, optional
        Where features are held; by default a block in the middle of the network, which the record's method names. An
        early layer holds
        outlines and textures, a late one what the network makes of them.
    magnitude : {"free", "fixed"}, default "free"
        Whether all Fourier coefficients of the photo are searched, or their phases alone.
    exponent : float, default 1
        Free coefficients move by steps of this power of one over their frequency.
    contrast : float, default 1
        Size of these steps: see `FourierVisualization`.
    crop : float or (float, float), default (0.25, 1)
        Range of the crops' sides, as a share of the picture; they lie anywhere on it, and not over its edges.
    noise : float, default 0.02
        Standard deviation of the noise on crops, in the network's own units; the photo's crops have the same.
    uniform_noise : float, default 0.01
        Half of the range of uniform noise, which is added to it.
    learning_rate : float or (float, float), default 0.05
        Of NAdam, at the first and at the last step; of phases in radians.
    frames : int, default 24
        Small pictures kept from the way there.
    until : Plateau, optional
        Stops a picture before `steps`, where the target is excited no more.
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
    Cost: ``steps * crops`` forwards and as many backwards to the input, a picture; unless `weight` is 0, as many
    forwards of the photo and backwards again, both up to `layer`.

    The penalty is the Euclidean distance over channels, its mean over places and crops. Alpha in the record is of the
    objective alone.

    Examples
    --------
    >>> import whatwhere as ww
    >>> model = ww.load_model("efficientnet_lite0")
    >>> photo = ww.examples.photos()["coffee"]
    >>> accentuated = ww.Accentuation(steps=2, crops=1, size=96).run(model, photo, "espresso")
    >>> accentuated.image.shape, accentuated.seed_image.shape, accentuated.difference.shape
    ((96, 96, 3), (96, 96, 3), (96, 96))
    """

    steps: int = 100
    crops: int = 16
    size: int | tuple[int, int] = 512
    seed: int | tuple[int, ...] = 0
    weight: float = 1.0
    layer: str | None = None
    magnitude: Magnitude = "free"
    exponent: float = 1.0
    contrast: float = 1.0
    crop: float | tuple[float, float] = (0.25, 1.0)
    noise: float = 0.02
    uniform_noise: float = 0.01
    learning_rate: float | tuple[float, float] = 0.05
    frames: int = 24
    until: AscentRule | None = None
    resample: Resample = "auto"

    title: ClassVar[str] = "Accentuation"

    def __post_init__(self) -> None:
        """Check every option."""
        infinite = self.weight == float("inf")
        settled = common(self) | {
            "weight": self.weight if infinite else number("weight", self.weight, 0),
            "exponent": number("exponent", self.exponent, 0),
            "contrast": above("contrast", self.contrast, 0, "nothing would change"),
            "crop": rising("crop", self.crop, 1),
        }
        settle(self, settled)
        words(self, magnitude=("free", "fixed"), resample=("auto", "banded", "native", "matmul"))
        if self.layer is not None and (not isinstance(self.layer, str) or not self.layer):
            raise TypeError(f"layer: wanted the name of a layer, as model.layers() lists them, got {self.layer!r}.")

    @property
    def sides(self) -> tuple[float, float]:
        """Range of the crops' sides."""
        return cast("tuple[float, float]", self.crop)

    @property
    def sampling(self) -> Resample:
        """How crops are resampled."""
        return self.resample

    @property
    def least_side(self) -> float:
        """The smallest side of the crops, as a share of the picture."""
        return self.sides[0]

    def law(self, share: float) -> Inside:
        """Return how crops are drawn after a share of the steps.

        Parameters
        ----------
        share : float
            In [0, 1].

        Returns
        -------
        Inside
            Crops anywhere on the picture; the same at every step.
        """
        from whatwhere.prototypes.views import Inside

        del share
        return Inside(self.sides)

    def whole_law(self, share: float) -> Inside | Crops:
        """Return how views are drawn for targets that have places.

        Parameters
        ----------
        share : float
            In [0, 1].

        Returns
        -------
        Inside
            Nearly whole pictures.
        """
        from whatwhere.prototypes.views import Inside

        del share
        return Inside((0.95, 1.0))

    def canvas(self, model: VisionModel, photos: list[NDArray[Any]]) -> PhotoCanvas:
        """Return pictures as a function of what is changed in photos.

        Parameters
        ----------
        model : VisionModel
            The network.
        photos : list of ndarray of shape (H, W, 3), float32
            One a picture, in [0, 1]; photos of networks that are shown grey are made grey.

        Returns
        -------
        PhotoCanvas
            On the network's device.
        """
        import torch

        from whatwhere.prototypes.free import PhotoCanvas

        planes = np.stack([np.moveaxis(photo, -1, 0) for photo in photos])
        if len(model.preprocess.mean) == 1:
            planes = planes[:, :1]
        return PhotoCanvas(
            torch.from_numpy(planes),
            magnitude=self.magnitude,
            exponent=self.exponent,
            contrast=self.contrast,
            device=model.device,
        )

    def leash(self, model: VisionModel) -> Leash | None:
        """Return what holds pictures near their photos.

        Parameters
        ----------
        model : VisionModel
            The network.

        Returns
        -------
        Leash or None
            None where the weight is 0.

        Raises
        ------
        ValueError
            If the network has no such layer.
        """
        from whatwhere.prototypes._latent import Leash, default_layer

        return Leash(self.weight, self.layer or default_layer(model), model) if self.weight else None

    def run(self, model: VisionModel, images: Any, targets: Any, *, progress: bool | None = None) -> Any:
        """Accentuate photos, to the last step.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : image, or a sequence, mapping or folder of images
            What to begin with; anything that `whatwhere.Sobol` takes.
        targets : Target, class name, class id, or a sequence of them
            What to excite; see `whatwhere.targets`.
        progress : bool, optional
            Whether to draw a progress bar; by default where the error stream is a terminal.

        Returns
        -------
        Prototype, list or dict
            Of one image, a record for a target, or a list for a sequence: for every target one a seed. Of several
            images a list of such, and of a mapping a dict by its keys.

        Raises
        ------
        TypeError
            If an image or a target is of another kind.
        ValueError
            If the network has no such class, layer or channel, a target does not depend on the picture, or the picture
            is too small for its crops.

        Warns
        -----
        UserWarning
            If a target is dead, gives numbers that are not finite, or the weights changed meanwhile.

        Notes
        -----
        What the network raises on the way is raised here. The error's attribute ``prototypes`` holds those so far, one
        after the other, also where a person interrupted.
        """
        named = list(self._photos(model, images))
        found = drain(self._steps(model, named, read_targets(targets)), self.title, progress=progress)
        count = len(found) // len(named)
        single = is_one(targets) and len(self.seeds) == 1
        each = [found[k * count] if single else found[k * count : (k + 1) * count] for k in range(len(named))]
        if is_one_image(images):
            return each[0]
        return dict(zip(images, each, strict=True)) if isinstance(images, Mapping) else each

    def stream(self, model: VisionModel, images: Any, targets: Any) -> Iterator[list[Prototype]]:
        """Accentuate photos, yielding ever better pictures.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : image, or a sequence, mapping or folder of images
            What to begin with.
        targets : Target, class name, class id, or a sequence of them
            What to excite.

        Yields
        ------
        list of Prototype
            All of them, photo by photo, at most ten times a second: first the photos, last the finished ones.
        """
        yield from flow(self.steps_of(model, images, targets))

    def submit(self, model: VisionModel, images: Any, targets: Any) -> Job[list[Prototype]]:
        """Make a job that accentuates photos on the worker thread.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : image, or a sequence, mapping or folder of images
            What to begin with; read at once.
        targets : Target, class name, class id, or a sequence of them
            What to excite; refused at once where the network has no such thing.

        Returns
        -------
        Job
            Not started yet: ``start()`` or ``wait()`` does.
        """
        named, bound = list(self._photos(model, images)), [t.bound(model) for t in read_targets(targets)]
        return Job(lambda: self._steps(model, named, bound), device=str(model.device), name=type(self).__name__)

    def steps_of(self, model: VisionModel, images: Any, targets: Any) -> Iterator[Step[list[Prototype]]]:
        """Accentuate photos, yielding after every chunk of crops.

        Parameters
        ----------
        model : VisionModel
            The network.
        images : image, or a sequence, mapping or folder of images
            What to begin with.
        targets : Target, class name, class id, or a sequence of them
            What to excite.

        Yields
        ------
        Step
            Crops done and to do, the stage ``"ascent"``, and the best records so far.
        """
        yield from self._steps(model, list(self._photos(model, images)), read_targets(targets))

    def _steps(
        self, model: VisionModel, named: list[tuple[str, Pixels]], targets: list[Any]
    ) -> Iterator[Step[list[Prototype]]]:
        from whatwhere.prototypes._ascent import Ascent
        from whatwhere.prototypes._latent import default_layer

        settled = replace(self, layer=self.layer or default_layer(model)) if self.weight else self
        yield from Ascent(settled, model, targets, named).steps()

    def _photos(self, model: VisionModel, images: Any) -> Iterator[tuple[str, Pixels]]:
        """Read photos and bring them to the picture's size."""
        grey = len(model.preprocess.mean) == 1
        for name, image in iterate_images(images):
            pixels = middle(read_photo(image, name=name).pixels, self.shape)
            yield name, np.repeat((pixels @ _LUMA)[..., np.newaxis], 3, axis=-1) if grey else pixels


def middle(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Bring the largest centred part of a photo of a shape to a size.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), float32
        The photo.
    size : (int, int)
        Height and width.

    Returns
    -------
    ndarray of shape (height, width, 3), float32
        Resampled bicubically, without aliases; in [0, 1].
    """
    height, width = pixels.shape[:2]
    scale = min(height / size[0], width / size[1])
    down, across = scale * size[0], scale * size[1]
    box = ((width - across) / 2, (height - down) / 2, (width + across) / 2, (height + down) / 2)
    planes = [Image.fromarray(np.ascontiguousarray(pixels[..., channel])) for channel in range(pixels.shape[2])]
    small = [np.asarray(each.resize(size[::-1], Image.Resampling.BICUBIC, box=box)) for each in planes]
    return np.stack(small, axis=-1).clip(0, 1).astype(np.float32)
