"""A photo's features as a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whatwhere.targets._layer import check_layer, info_of
from whatwhere.targets.target import Target, Term

if TYPE_CHECKING:
    from torch import Tensor

    from whatwhere.model import VisionModel


@dataclass(frozen=True, eq=False, repr=False)
class Inversion(Target):
    """An image as a layer sees it: a picture that gives the same features.

    Parameters
    ----------
    layer : str
        Name of the layer.
    image : image
        Anything `whatwhere.pixels.images.read_photo` reads.
    name : str, default ""
        What to call it.
    power : float, default 2
        Of the cosine between all features, which the dot product is multiplied by.
    """

    layer: str
    image: Any
    name: str = ""
    power: float = 2.0

    def __post_init__(self) -> None:
        from whatwhere.pixels.images import read_photo

        check_layer(self.layer)
        object.__setattr__(self, "image", read_photo(self.image))

    @property
    def label(self) -> str:
        """Its name, or for example "the image in features.8"."""
        return self.name or f"the image in {self.layer}"

    @property
    def whole(self) -> bool:
        """True: features have places."""
        return True

    def _bound(self, model: VisionModel) -> Inversion:
        info_of(model, self.layer)
        return self

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        from whatwhere.engine.objectives import likeness
        from whatwhere.nets.probe import output_until

        info_of(model, self.layer)
        pixels = model.preprocess.pixels(self.image)
        with model.computing():
            features = output_until(model.net, model.net.get_submodule(self.layer), model.to_input(pixels))
        wanted = features.flatten(1).float().clone()
        wanted /= wanted.norm()

        def values(found: Tensor) -> Tensor:
            return likeness(found.flatten(1).float(), wanted, "dot_cosine", self.power)

        return (Term(1.0, self.layer, values),)
