"""One extraction while it goes on: images and their crops, factorisation, codes, importance."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from whatwhere.concepts import _record
from whatwhere.concepts._gathering import Gathering
from whatwhere.concepts.extractors import read_extractor
from whatwhere.concepts.importance import GateResponse, contributions, shares, shares_of
from whatwhere.concepts.rank import rank_steps
from whatwhere.concepts.unreadable import say_unreadable
from whatwhere.concepts.within_memory import WithinMemory
from whatwhere.engine._rows import squares_of
from whatwhere.engine.matching import match
from whatwhere.engine.total_indices import total_indices
from whatwhere.jobs import Step
from whatwhere.metrics.fidelity import fidelity

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.craft import Craft
    from whatwhere.concepts.evidence import Evidence
    from whatwhere.concepts.protocol import Extractor
    from whatwhere.concepts.rank import RankPath
    from whatwhere.engine.encoder import Encoder
    from whatwhere.engine.factors import Dictionary, Factors
    from whatwhere.model import VisionModel

TOLERANCE = 1e-4  # of the error, an iteration: what is left to gain is below a thousandth of it
ITERATIONS = 200  # at most
_PUBLISH = 0.2  # seconds between previews
_RANKS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25)  # tried for n_concepts="auto"
FIRST_ROWS = 8  # of a Sobol design, before anything is said
SAME_CONCEPT = 0.5  # cosine from which a concept inherits an id


class Gathered(Protocol):
    """What was gathered of a set of images.

    Attributes
    ----------
    encoder : Encoder
        The network at the layer.
    evidence : Evidence
        Photos and features.
    done, total : int
        Forwards so far, and in all.
    extra : int
        Forwards that measured how the network runs fastest.
    plan : str
        How the network was run, in words.
    """

    encoder: Encoder
    evidence: Evidence
    done: int
    total: int
    extra: int

    @property
    def plan(self) -> str: ...  # as above


def least_photos(method: Craft) -> int:
    """Return how few photos a method can explain.

    Parameters
    ----------
    method : Craft
        The method.

    Returns
    -------
    int
        One a concept, or one in each half.
    """
    return 2 if method.n_concepts == "auto" else int(method.n_concepts)


def read_method(method: Craft, encoder: Encoder) -> Extractor:
    """Return a method's extractor, after a look at whether the layer is one for the method.

    Parameters
    ----------
    method : Craft
        The method.
    encoder : Encoder
        The network at the layer.

    Returns
    -------
    Extractor
        The one asked for, or the layer's own.

    Raises
    ------
    ValueError
        If the features are signed and the extractor does not take such, there are no locations and they are asked for,
        or the layer has fewer channels than there are to be concepts.
    """
    extractor = read_extractor(method.extractor, signed=not encoder.cut.nonnegative)
    if method.fit_on != "crops" and encoder.grid == (1, 1):
        raise ValueError(
            f"fit_on: {encoder.cut.layer!r} puts out one vector for the whole image, so there are no "
            "locations; use fit_on='crops'."
        )
    if method.n_concepts != "auto" and method.n_concepts > encoder.channels:
        raise ValueError(
            f"n_concepts: wanted at most {encoder.channels}, as {encoder.cut.layer!r} has channels, got "
            f"{method.n_concepts}."
        )
    return extractor


def check_like(like: ConceptBank, encoder: Encoder) -> None:
    """Refuse an earlier bank of another layer: cosines between layers mean nothing.

    Parameters
    ----------
    like : ConceptBank
        The earlier bank.
    encoder : Encoder
        The network at the layer.

    Raises
    ------
    ValueError
        If the bank is of another.
    """
    wanted, got = (encoder.cut.layer, encoder.channels), (like.layer.name, like.W.shape[1])
    if wanted != got:
        raise ValueError(
            f"like: wanted a bank of {wanted[0]!r} with {wanted[1]} channels, got one of {got[0]!r} with {got[1]}."
        )


class CraftRun:
    """One set of images while its concepts are extracted.

    Parameters
    ----------
    method : Craft
        The method.
    model : VisionModel
        The network.
    images : images
        What `whatwhere.pixels.images.iterate_images` takes.
    target : int or str, optional
        The class to explain.
    like : ConceptBank, optional
        An earlier bank, whose ids are kept.
    previews : bool
        Whether to make banks while the factorisation converges: somebody waits for them.
    gathering : Gathered, optional
        Photos and features that are there already; by default the network is asked for them.
    start : Dictionary, optional
        Directions to start the factorisation from.
    """

    def __init__(
        self,
        method: Craft,
        model: VisionModel,
        images: Any,
        *,
        target: int | str | None,
        like: ConceptBank | None,
        previews: bool,
        gathering: Gathered | None = None,
        start: Dictionary | None = None,
    ) -> None:
        self.method, self.model, self._given, self._like = method, model, images, like
        self.target = None if target is None else model.class_names.resolve(target)
        self._previews = previews
        self._gathering = gathering
        self._start = start
        self.seconds = 0.0
        self.codes = self.contributions = np.zeros(0, dtype=np.float32)
        self.rank_path: RankPath | None = None
        self.errors: dict[str, float] = {}
        self.fidelity: tuple[float | None, float | None] = (None, None)
        self._own_logits = np.zeros(0, dtype=np.float32)
        self._record: ConceptBank | None = None
        self._chunk = time.perf_counter()

    def steps(self) -> Iterator[Step[ConceptBank]]:
        """Run every stage.

        Yields
        ------
        Step
            After every batch, and after every pass of the factorisation.
        """
        for stage in self._stages():
            self.seconds += time.perf_counter() - self._chunk
            yield Step(self.gathering.done, max(self.gathering.total, self.gathering.done), stage, self._record)
            self._chunk = time.perf_counter()  # what passed since is not ours

    @property
    def gathering(self) -> Gathered:
        """What the network was asked for: there from the first stage on."""
        assert self._gathering is not None
        return self._gathering

    @property
    def record(self) -> ConceptBank:
        """The best bank so far: there from the first importances on."""
        assert self._record is not None
        return self._record

    @property
    def encoder(self) -> Encoder:
        """The network at the layer."""
        return self.gathering.encoder

    @property
    def evidence(self) -> Evidence:
        """Photos and features so far."""
        return self.gathering.evidence

    def _stages(self) -> Iterator[str]:
        model, method = self.model, self.method
        self.fingerprint, self.stamp = model.fingerprint(), model.stamp()
        gathering = None
        if self._gathering is None:
            self._gathering = gathering = Gathering(method, model, self._given, self.target, watched=self._previews)
        self.extractor = WithinMemory(read_method(method, self.encoder))
        if self._like is not None:
            check_like(self._like, self.encoder)
        if gathering is not None:
            yield from gathering.stages()
        self.check_photos()
        yield from self.factorise()
        yield from self.finish()

    def finish(self) -> Iterator[str]:
        """Find codes and importances, once there is a dictionary.

        Yields
        ------
        str
            The name of the stage, after every batch.
        """
        yield from self._encode()
        yield from self._weigh()

    def check_photos(self) -> None:
        """Refuse sets that are too small, and features that say nothing.

        Raises
        ------
        ValueError
            If they are.
        """
        evidence = self.evidence
        count, least = len(evidence), least_photos(self.method)
        if count < least:
            of = f" of {count + evidence.n_left_out}" if evidence.n_left_out else ""
            among, more = "", "Give more images, or ask for fewer concepts."
            if self.target is not None:
                among = f" predicted as {self.model.class_names.label(self.target)!r}"
                more = (
                    "Give more images of what the network predicts as this class, ask for fewer concepts, or leave "
                    "target out to explain a mixed set."
                )
            if evidence.unreadable:
                more = f"{say_unreadable(evidence.unreadable, count + evidence.n_left_out)} {more}"
            raise ValueError(f"images: wanted at least {least}{among}, one a concept, got {count}{of}. {more}")
        rows = evidence.rows(self.method.fit_on)
        first = rows[0][:1]
        if not any(bool((block != first.to(block.device)).any()) for block in rows):
            raise ValueError(
                f"layer: {self.encoder.cut.layer!r} puts out the same features everywhere, which have no concepts. "
                "Choose another layer, or check the weights."
            )

    @property
    def is_sampled(self) -> bool:
        """Whether importances are sampled, which stops once their order is certain."""
        kind = self.method.importance
        return kind == "sobol" or (kind == "auto" and not self.encoder.affine)

    # -- factors ----------------------------------------------------------------------------------------------------

    def factorise(self) -> Iterator[str]:
        """Fit the dictionary, showing a bank from time to time.

        Yields
        ------
        str
            The name of the stage, after every pass.
        """
        shown = 0.0
        rank = self.method.n_concepts
        if rank == "auto":
            rank = yield from self._choose_rank()
        seed, device = self.method.seed, self.model.device
        rows = self.evidence.rows(self.method.fit_on)
        start: dict[str, Any] = {} if self._start is None else {"start": self._start}
        limits: dict[str, Any] = {"tolerance": TOLERANCE, "iterations": ITERATIONS}
        for factors in self.extractor.fit(rows, rank, seed=seed, device=device, **limits, **start):
            self.factors: Factors = factors
            if self._previews and time.perf_counter() - shown > _PUBLISH:
                self._record = _record.preview(self)
                shown = time.perf_counter()
            yield "concepts"
        self.dictionary = self.factors.dictionary

    def _choose_rank(self) -> Generator[str, None, int]:
        """Try ranks until two halves of the photos no longer agree upon the concepts."""
        evidence, fit_on = self.evidence, self.method.fit_on
        rows, groups = evidence.rows(fit_on), evidence.photo_of_rows(fit_on)
        most = min(len(evidence) // 2, self.encoder.channels)
        ranks = [rank for rank in _RANKS if rank <= most] or [1]
        device, seed = self.model.device, self.method.seed
        for path, _ in rank_steps(rows, ranks, self.extractor, seed=seed, groups=groups, device=device):
            self.rank_path = path
            yield "rank"
        assert self.rank_path is not None  # the last of them has every rank
        return self.rank_path.rank

    def ids(self, factors: Factors) -> tuple[int, ...]:
        """Give each atom a number: in their order, or that of the earlier bank's concept that it matches.

        Parameters
        ----------
        factors : Factors
            The factorisation.

        Returns
        -------
        tuple of int
            One id an atom.
        """
        if self._like is None:
            return tuple(range(len(factors.bank)))
        old = torch.from_numpy(self._like.W.copy())
        places, cosines = match(factors.bank.cpu(), old)
        fresh = itertools.count(max(self._like.ids) + 1)
        pairs = zip(places.tolist(), cosines.tolist(), strict=True)
        return tuple(self._like.ids[j] if j >= 0 and c >= SAME_CONCEPT else next(fresh) for j, c in pairs)

    # -- codes ------------------------------------------------------------------------------------------------------

    def _encode(self) -> Iterator[str]:
        """Find the codes of every location and crop, and see what the network makes of them."""
        evidence, rank = self.evidence, len(self.dictionary.bank)
        self.codes = np.zeros((len(evidence), *evidence.grid, rank), dtype=np.float32)
        error, kept = SquaredError(), 0
        told: list[Tensor] = []
        for place, cells, prefix in evidence.batches():
            own, explained = predicted(evidence.logits(place)), self._explained[place]
            codes, rebuilt = self._code(cells.flatten(0, 2), error)
            self.codes[place] = codes.reshape(-1, *evidence.grid, rank).cpu().numpy()
            rebuilt = rebuilt.reshape(cells.shape)
            for part in self._tails(len(cells)):
                batch = rebuilt[part].to(self.model.device), prefix[part]
                decoded = self.encoder.fitting(self._decode, *batch).cpu()
                kept += int((predicted(decoded) == own[part]).sum())
                told.append(decoded.gather(1, explained[part, None])[:, 0])
                yield "codes"
        self.errors["locations"] = error.relative
        of_crops = None
        if evidence.crops:
            error, parts = SquaredError(), []
            for rows in evidence.pooled:
                parts.append(self._code(rows, error)[0].cpu().numpy())
                yield "codes"
            self.errors["crops"] = error.relative
            of_crops = np.concatenate(parts).reshape(len(evidence), len(evidence.windows), rank)
        self.fidelity = kept / len(evidence), self._r2(torch.cat(told))
        self.shown = _record.strongest_crops(evidence, self.codes, of_crops)

    def _decode(self, cells: Tensor, prefix: Tensor) -> Tensor:
        with self.model.computing(refresh=False):
            return self.encoder.decode(cells, prefix)

    def _tails(self, count: int) -> list[slice]:
        """Divide images into batches of what is behind the layer: an affine head takes all of them at once."""
        size = count if self.encoder.affine else self.model.batch_size
        return [slice(first, first + size) for first in range(0, count, size)]

    def _code(self, rows: Tensor, error: SquaredError) -> tuple[Tensor, Tensor]:
        codes = self.extractor.encode(self.dictionary, rows)
        rebuilt = self.dictionary.decode(codes)
        error.add(rows, rebuilt)
        return codes, rebuilt

    def _r2(self, told: Tensor) -> float | None:
        """Hold the explained logit of rebuilt features against the network's own."""
        return fidelity(self.own_logits()[:, None], told.numpy()[:, None]).r2

    def own_logits(self) -> NDArray[np.float32]:
        """Return what the network said of the explained class.

        Returns
        -------
        ndarray of shape (n,), float32
            One logit a photo; read off once.
        """
        if len(self._own_logits) != len(self.evidence):
            logits = self.evidence.photos.logits or ()
            chosen = zip(logits, self._explained.tolist(), strict=True)
            self._own_logits = np.array([float(row[0, c]) for row, c in chosen], dtype=np.float32)
        return self._own_logits

    @property
    def _explained(self) -> Tensor:
        predicted = torch.tensor(self.evidence.predictions)
        return predicted if self.target is None else torch.full_like(predicted, self.target)

    # -- importance -------------------------------------------------------------------------------------------------

    def _weigh(self) -> Iterator[str]:
        """Share the logits out, then sample importances where that is asked for."""
        evidence, device = self.evidence, self.model.device
        found, ends = [], []
        for place, cells, prefix in evidence.batches():
            codes = torch.from_numpy(self.codes[place])
            for part in self._tails(len(cells)):
                batch = cells[part].to(device), codes[part].to(device), self._explained[place][part].to(device)
                shared = contributions(self.encoder, self.dictionary, *batch, prefix=prefix[part].to(device))
                found.append(shared.concepts.cpu())
                ends.append(torch.stack([shared.residual, shared.base, shared.gap]).cpu())
                yield "importance"
        self.contributions, self.ends = torch.cat(found).numpy(), torch.cat(ends, dim=1).numpy()
        sampled = self.is_sampled
        importance, error = shares(self.contributions)
        exact = "exact, behind an affine head" if self.encoder.affine else "by integrated gradients"
        said = f"share of the mean absolute contribution to the logit, {exact}"
        self._record = _record.finished(
            self, importance=importance, importance_error=error, importance_method=said, complete=not sampled
        )
        yield "importance"
        if sampled:
            yield from self._sample()

    def _sample(self) -> Iterator[str]:
        """Estimate total-order indices of the concepts' gates, until their order is certain."""
        evidence, count = self.evidence, len(self.evidence)
        order = np.random.default_rng(self.method.seed).permutation(count)[: self.method.weigh]
        chosen = set(np.sort(order).tolist())
        responses = []
        for place, _, prefix in evidence.batches():
            responses += [
                GateResponse(
                    self.encoder,
                    self.dictionary,
                    torch.from_numpy(self.codes[k]),
                    int(self._explained[k]),
                    prefix=prefix[k - place.start],
                )
                for k in range(place.start, place.stop)
                if k in chosen
            ]
        rank = len(self.dictionary.bank)
        estimates = total_indices(
            responses,
            rank,
            rows=self.method.designs,
            first=min(FIRST_ROWS, self.method.designs),
            seed=self.method.seed,
            batch=self.model.batch_size,
            device=self.model.device,
        )
        last = next(estimates)
        yield "importance"
        for estimate in estimates:
            last = estimate
            yield "importance"
        importance, error = shares_of(last.values, last.covariance)
        self._record = _record.finished(
            self,
            importance=importance,
            importance_error=error,
            importance_method=(
                f"total-order Sobol indices of the concepts' weights, {last.rows} rows on {len(responses)} photos, "
                "scaled to sum to 1"
            ),
            complete=True,
        )
        yield "importance"


def predicted(logits: Tensor) -> Tensor:
    """Return the class that rows of logits say.

    Parameters
    ----------
    logits : Tensor of shape (n, K)
        Logits.

    Returns
    -------
    Tensor of shape (n,), int64
        The likeliest class; of a single logit whether it is above 0.
    """
    return logits.argmax(dim=1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()


class SquaredError:
    """Relative error of features, added up block by block."""

    def __init__(self) -> None:
        self._missed = self._whole = 0.0

    def add(self, rows: Tensor, rebuilt: Tensor) -> None:
        """Count a block.

        Parameters
        ----------
        rows, rebuilt : Tensor of shape (n, p)
            Features, and what the concepts say they are.
        """
        self._missed += squares_of(rows - rebuilt.to(rows))
        self._whole += squares_of(rows)

    @property
    def relative(self) -> float:
        """Relative error ``||A - U W|| / ||A||``."""
        return (self._missed / self._whole) ** 0.5
