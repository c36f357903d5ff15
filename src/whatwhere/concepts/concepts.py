"""Concepts paired with the network that they came from: finding them in any photo, and asking what they do there."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whatwhere.concepts._base import Base
from whatwhere.concepts.importance import Contributions, GateResponse, contributions
from whatwhere.concepts.pair import Pair
from whatwhere.jobs import Step
from whatwhere.pixels.images import Photo, is_one_image, iterate_images, read_photo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from whatwhere.concepts.ambiguity import Ambiguity
    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.comparison import Comparison
    from whatwhere.concepts.evaluation import Evaluation, Faithfulness
    from whatwhere.concepts.maps import ConceptMaps
    from whatwhere.concepts.stability import BankStability
    from whatwhere.engine.encoder import Look
    from whatwhere.metrics.alignment import CloseClass
    from whatwhere.pixels.images import ImageLike


class Concepts(Pair):
    """A bank and its network; ``bank.on(model)`` makes it.

    Parameters
    ----------
    bank : ConceptBank
        The concepts.
    model : VisionModel
        The network.
    images : PhotoSet or mapping of str to image, optional
        The bank's photos.

    Attributes
    ----------
    bank : ConceptBank
        The concepts.
    model : VisionModel
        The network.
    dictionary : Dictionary
        The directions, on the model's device.

    Raises
    ------
    ValueError
        If the network has other weights than the one that the concepts came from, or photos of the bank are missing in
        `images`.
    """

    def __repr__(self) -> str:
        return (
            f"<Concepts of {self.bank.target_name} on {self.model.name}: {self.bank.rank} at {self.bank.layer.name!r}>"
        )

    def encode(self, images: Any) -> NDArray[np.float32]:
        """Find how much of each concept is at each location.

        Parameters
        ----------
        images : image, or dict, sequence, folder, dataset or iterable of images
            Photos; of any class.

        Returns
        -------
        ndarray of shape (h, w, r) or (N, h, w, r), float32
            Codes, at least 0 for the factorisations that have such codes; the first shape for one image. No image's
            codes depend on the others.

        Raises
        ------
        TypeError, ValueError
            If an image cannot be read.
        """
        found = np.concatenate([self.codes_of(look.cells).cpu().numpy() for look in self.looks(images)])
        return found[0] if is_one_image(images) else found

    def contributions(self, images: Any, target: int | str | None = None) -> Contributions:
        """Share the logit of each image out among the concepts.

        Parameters
        ----------
        images : image, or collection of images
            Photos; of any class.
        target : int or str, optional
            The logit; by default the bank's class, and each photo's predicted class where there is none.

        Returns
        -------
        Contributions
            On the CPU; the first axis is that of images, also for one.
        """
        chosen = self.bank.target if target is None else self.model.class_names.resolve(target)
        parts = []
        for look in self.looks(images):
            classes = look.logits.argmax(dim=1) if chosen is None else torch.full((len(look.logits),), chosen)
            codes = self.codes_of(look.cells)
            classes = classes.to(self.model.device)
            parts.append(contributions(self.encoder, self.dictionary, look.cells, codes, classes, prefix=look.prefix))
        return Contributions(*(torch.cat([part.cpu() for part in column]) for column in zip(*parts, strict=True)))

    def compare(
        self, image: ImageLike, true: int | str | None = None, *, predicted: int | str | None = None
    ) -> Comparison:
        """Share two logits of a photo out among its concepts: why one class and not another.

        Parameters
        ----------
        image : image
            A photo, of any class.
        true : int or str, optional
            The class to compare with, as what the photo is; by default the next likeliest.
        predicted : int or str, optional
            The class that is explained; by default the predicted one.

        Returns
        -------
        Comparison
            What every concept adds to either logit, the rest, and the differences.

        Raises
        ------
        TypeError
            If it is not one image, or cannot be read.
        ValueError
            If there is no such class, both are the same, or the network has a single logit.
        """
        from whatwhere.concepts.comparison import compare

        return compare(self, image, true, predicted)

    def response(self, image: ImageLike, target: int | str | None = None, *, residual: bool = False) -> GateResponse:
        """Return an image's logit as a function of gates on its concepts, for `whatwhere.engine.gates.attribute`.

        Parameters
        ----------
        image : image
            A photo.
        target : int or str, optional
            The logit; by default the bank's class, or the predicted one.
        residual : bool, default False
            Whether to add what the concepts miss, so that open gates give the network's own logit.

        Returns
        -------
        GateResponse
            Takes gates (m, r), 1 for a concept as it is, 0 for none of it.
        """
        chosen = self.bank.target if target is None else self.model.class_names.resolve(target)
        return self._response(next(self.looks(image)), 0, chosen, residual=residual)

    def _response(self, look: Look, k: int, chosen: int | None, *, residual: bool = False) -> GateResponse:
        cells, codes = look.cells[k], self.codes_of(look.cells[k])
        missed = cells - self.dictionary.decode(codes.flatten(0, 1)).reshape(cells.shape)
        return GateResponse(
            self.encoder,
            self.dictionary,
            codes,
            int(look.logits[k].argmax()) if chosen is None else chosen,
            prefix=look.prefix[k],
            residual=missed if residual else None,
        )

    def maps(self, image: ImageLike, method: str = "implicit", **options: Any) -> ConceptMaps:
        """Show where on a photo the concepts are, or which pixels they depend on.

        Parameters
        ----------
        image : image
            A photo.
        method : str, default "implicit"
            "codes": how much of a concept is at each location, an activation. "implicit", which is "gradcam", and
            "saliency", "gradient_input", "integrated_gradients" and "smoothgrad": gradients of the concept's code,
            through the condition that exact codes fulfil. "sobol", "rise", "occlusion" and "hsic": what masks on the
            photo do to the code, for any network; the referee for the others.
        **options
            Options of the method: see `whatwhere.concepts.maps.code_maps`,
            `whatwhere.concepts.gradient_maps.implicit_maps` and `whatwhere.concepts.masked_maps.black_box_maps`.

        Returns
        -------
        ConceptMaps
            Of all concepts; ``np.asarray`` of it has shape (r, H, W), at the photo's size and NaN where the network
            never looked. Raw values: a concept that is absent is told by ``present``, and its map is 0.

        Raises
        ------
        TypeError
            If the image cannot be read, or the method has no such option.
        ValueError
            If the method is not known, an option is out of its range, or the extractor's codes have no gradient.
        """
        for step in self.map_steps(image, method, **options):
            record = step.record
        assert record is not None
        return record

    def map_steps(self, image: ImageLike, method: str = "implicit", **options: Any) -> Iterator[Step[ConceptMaps]]:
        """Compute maps as a computation that can be shown and stopped, for a `whatwhere.Job`.

        Parameters
        ----------
        image : image
            A photo; read at once.
        method : str, default "implicit"
            As for `maps`.
        **options
            Options of the method.

        Returns
        -------
        iterator of Step
            Passes of the network done and to do, and the best maps so far or None.

        Raises
        ------
        ValueError
            If the method is not known.
        """
        from whatwhere.concepts.gradient_maps import GRADIENTS, implicit_steps
        from whatwhere.concepts.maps import code_maps
        from whatwhere.concepts.masked_maps import METHODS, black_box_steps

        self.follow()
        photo = read_photo(image)
        geometry, pixels = self.model.preprocess.geometry(photo), self.model.preprocess.pixels(photo)
        coder = self.coder
        name = "gradcam" if method == "implicit" else method
        steps: Iterator[Step[ConceptMaps]]
        if name == "codes":
            steps = (Step(1, 1, "codes", maps) for maps in [code_maps(coder, pixels, **options)])
        elif name in GRADIENTS:
            if isinstance(self._extractor, Base) and not self._exact_codes:
                raise ValueError(
                    f"method: wanted 'codes' or masks, {METHODS}, since codes of {self._extractor.name!r} pass no "
                    f"gradients on; got {method!r}."
                )
            steps = implicit_steps(coder, pixels, **{"gradient": name, **options})
        elif name in METHODS:
            steps = black_box_steps(coder, pixels, **{"method": name, **options})
        else:
            raise ValueError(f"method: wanted one of {['implicit', 'codes', *GRADIENTS, *METHODS]}, got {method!r}.")
        return (
            replace(step, record=None if step.record is None else replace(step.record, geometry=geometry))
            for step in steps
        )

    def map_scales(
        self, images: Any = None, method: str = "implicit", *, quantile: float = 0.99, **options: Any
    ) -> NDArray[np.float64]:
        """Find one scale a concept for the maps of many photos, so that one photo can be told from another.

        Parameters
        ----------
        images : image or images, optional
            Photos; the bank's own by default.
        method : str, default "implicit"
            As for `maps`.
        quantile : float, default 0.99
            Which quantile of the sizes of values other than 0, over all places of all photos.
        **options
            Options of the method.

        Returns
        -------
        ndarray of shape (r,), float64
            The quantiles; 0 for a concept that none of the photos has.

        Raises
        ------
        TypeError, ValueError
            As `maps`, and if `quantile` is not above 0 and below 1.

        Notes
        -----
        The maps of every photo are computed, one at a time, and none is kept.
        """
        from whatwhere.concepts.maps import scale_of

        photos: Iterator[ImageLike]
        if images is None:
            shown = (self.photos.pixels(k) / np.float32(255) for k in range(len(self.photos)))
            photos = (Photo(each.astype(np.float32), prepared=True) for each in shown)
        else:
            photos = iter([images]) if is_one_image(images) else (image for _, image in iterate_images(images))
        return scale_of((self.maps(photo, method, **options) for photo in photos), quantile)

    def evaluate(self, images: Any = None) -> Evaluation:
        """Measure how well the concepts stand for the layer's features; see `whatwhere.concepts.evaluation.evaluate`.

        Parameters
        ----------
        images : images, optional
            Photos; the bank's own by default. Held-out ones tell more.

        Returns
        -------
        Evaluation
            Errors, sparsity, distances of distributions, and fidelity of the logits.
        """
        from whatwhere.concepts.evaluation import evaluate

        return evaluate(self, images)

    def faithfulness(self, images: Any = None, **options: Any) -> Faithfulness:
        """Measure how well importances foretell the network; see `whatwhere.concepts.evaluation.faithfulness`.

        Parameters
        ----------
        images : images, optional
            Photos; the bank's own by default.
        **options
            Options of `whatwhere.concepts.evaluation.faithfulness`.

        Returns
        -------
        Faithfulness
            Deletion, insertion and mu-fidelity of each method, with intervals.
        """
        from whatwhere.concepts.evaluation import faithfulness

        return faithfulness(self, images, **options)

    def stability(self, images: Any = None, *, n_splits: int = 5, seed: int = 0) -> BankStability:
        """Measure whether other photos of the same kind give the same concepts; see `whatwhere.concepts.stability`.

        Parameters
        ----------
        images : images, optional
            Photos to divide; the bank's own by default. Held-out ones tell more of the bank's concepts. Those that are
            not predicted as the bank's class are left out.
        n_splits : int, default 5
            How often they are divided at random, 1 to 1000.
        seed : int, default 0
            Same seed, same halves.

        Returns
        -------
        BankStability
            The matched cosine of the dictionaries of two halves, ``mean`` with its ``spread`` over the splits, and of
            each concept with its match in a half, ``of_concepts``. Nothing of it is kept here.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong kind or out of its range, the bank is of parts of a split concept, there are
            too few photos, or an image cannot be read.

        Warns
        -----
        UserWarning
            If files could not be read and were left out.

        Notes
        -----
        Forwards as for the extraction, and the cost of one factorisation of all rows a split. A job takes
        `stability_steps`.
        """
        import warnings

        from whatwhere.concepts.unreadable import say_unreadable

        *_, last = self.stability_steps(images, n_splits=n_splits, seed=seed)
        assert last.record is not None
        if last.record.unreadable:
            warnings.warn(say_unreadable(last.record.unreadable, last.record.n_images), UserWarning, stacklevel=2)
        return last.record

    def stability_steps(self, images: Any = None, *, n_splits: int = 5, seed: int = 0) -> Iterator[Step[BankStability]]:
        """Measure stability as a computation that can be shown and stopped, for a `whatwhere.Job`.

        Parameters
        ----------
        images, n_splits, seed : object
            As for `stability`.

        Returns
        -------
        iterator of Step
            See `whatwhere.concepts.stability.stability_steps`.
        """
        from whatwhere.concepts.stability import stability_steps

        return stability_steps(self, images, n_splits=n_splits, seed=seed)

    def closest_classes(self, count: int = 5, *, by: str = "effect") -> list[list[CloseClass]]:
        """Find the classes that each concept speaks for.

        Parameters
        ----------
        count : int, default 5
            How many a concept.
        by : {"effect", "alignment"}, default "effect"
            "effect": what the concept adds to the class's logit, on average over the bank's photos. "alignment": the
            cosine of its direction and the class's weights, which has no scale.

        Returns
        -------
        list of list of CloseClass
            For each concept, ids and values, the largest first; names are in ``bank.class_names``.

        Raises
        ------
        ValueError
            If what follows the layer is not an affine function of the features' mean, so that classes have no
            directions in it; if `by` is not known, or asks for codes that an unfinished bank lacks; if the network was
            trained meanwhile.
        """
        from whatwhere.metrics.alignment import closest_classes, head_alignment, logit_effect

        if by not in ("effect", "alignment"):
            raise ValueError(f"by: wanted 'effect' or 'alignment', got {by!r}.")
        if by == "effect" and not len(self.bank.codes):
            raise ValueError("by: 'effect' needs the photos' codes, which an unfinished bank lacks; use 'alignment'.")
        self.follow()
        if not (self.head.uniform and self.head.cells.all()):
            raise ValueError(
                f"layer: behind {self.bank.layer.name!r} places have weights of their own, or are not read at all, so "
                "that no single direction stands for a class."
            )
        weights = self.head.weights.cpu().numpy()
        if by == "alignment":
            return closest_classes(head_alignment(self.bank.W, weights), count)
        return closest_classes(logit_effect(self.bank.W, weights, self.bank.codes.mean(axis=(1, 2))), count)

    def refit(self, n_concepts: int) -> ConceptBank:
        """Extract again with another number of concepts, from these on; see `whatwhere.concepts.refit`.

        Parameters
        ----------
        n_concepts : int
            How many.

        Returns
        -------
        ConceptBank
            Ids of concepts that match go on, with their names, notes and marks.
        """
        from whatwhere.concepts.refit import Refits

        for step in Refits(self).steps(self.bank, n_concepts):
            found = step.record
        assert found is not None
        return found

    def split(self, k: int, **options: Any) -> ConceptBank:
        """Split a concept into its parts at an earlier layer; see `whatwhere.concepts.recursion.split`.

        Parameters
        ----------
        k : int
            The concept's row in ``bank.W``.
        **options
            ``layer=None, n_concepts=4, quantile=0.9, seed=0``.

        Returns
        -------
        ConceptBank
            Parts, as concepts of the earlier layer, with `parent` set.
        """
        from whatwhere.concepts.recursion import split

        return split(self, k, **options)

    def split_steps(self, k: int, **options: Any) -> Iterator[Step[ConceptBank]]:
        """Split a concept as a computation that can be shown and stopped, for a `whatwhere.Job`.

        Parameters
        ----------
        k : int
            The concept's row in ``bank.W``.
        **options
            As for `split`.

        Returns
        -------
        iterator of Step
            See `whatwhere.concepts.recursion.split_steps`.
        """
        from whatwhere.concepts.recursion import split_steps

        return split_steps(self, k, **options)

    def ambiguity(self, **options: Any) -> tuple[Ambiguity, ...]:
        """Propose concepts to split; see `whatwhere.concepts.recursion.ambiguity`.

        Parameters
        ----------
        **options
            ``layer=None, quantile=0.9, seed=0``.

        Returns
        -------
        tuple of Ambiguity
            One a concept, in the order of the bank.
        """
        from whatwhere.concepts.recursion import ambiguity

        return ambiguity(self, **options)

    def ambiguity_steps(self, **options: Any) -> Iterator[Step[tuple[Ambiguity, ...]]]:
        """Look for concepts to split as a computation that can be shown and stopped, for a `whatwhere.Job`.

        Parameters
        ----------
        **options
            As for `ambiguity`.

        Returns
        -------
        iterator of Step
            See `whatwhere.concepts.recursion.ambiguity_steps`.
        """
        from whatwhere.concepts.recursion import ambiguity_steps

        return ambiguity_steps(self, **options)

    def responses(self, images: Any = None, *, limit: int | None = None) -> Iterator[GateResponse]:
        """Give the response of each photo to gates on its concepts, without what the concepts miss.

        Parameters
        ----------
        images : images, optional
            Photos; the bank's own by default.
        limit : int, optional
            Most photos.

        Yields
        ------
        GateResponse
            As from `response`.
        """
        looks = ((look, k) for look in self.looks(images) for k in range(len(look.logits)))
        for look, k in itertools.islice(looks, limit):
            yield self._response(look, k, self.bank.target)
