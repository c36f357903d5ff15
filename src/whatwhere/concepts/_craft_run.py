"""One extraction while it goes on: images and their crops, factorisation, codes, importance."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from whatwhere.concepts import _record
from whatwhere.concepts._gathering import Gathering
from whatwhere.concepts.evidence import Chained
from whatwhere.concepts.extractors import read_extractor
from whatwhere.concepts.importance import GateResponse, contributions, shares, shares_of
from whatwhere.concepts.rank import rank_steps
from whatwhere.engine._rows import squares_of
from whatwhere.engine.matching import match
from whatwhere.engine.total_indices import total_indices
from whatwhere.jobs import Step
from whatwhere.metrics.fidelity import fidelity

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from torch import Tensor

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.craft import Craft
    from whatwhere.concepts.evidence import Evidence
    from whatwhere.concepts.rank import RankPath
    from whatwhere.engine.encoder import Encoder
    from whatwhere.engine.factors import Factors
    from whatwhere.model import VisionModel

_TOLERANCE = 1e-4  # of the error, an iteration: what is left to gain is below a thousandth of it
_PUBLISH = 0.2  # seconds between previews
_RANKS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25)  # tried for n_concepts="auto"
_FIRST_ROWS = 8  # of a Sobol design, before anything is said
_SAME_CONCEPT = 0.5  # cosine from which a concept inherits an id


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
    ) -> None:
        self.method, self.model, self._given, self._like = method, model, images, like
        self.target = None if target is None else model.class_names.resolve(target)
        self._previews = previews
        self._gathering: Gathering | None = None
        self.seconds = 0.0
        self.codes = self.contributions = np.zeros(0, dtype=np.float32)
        self.rank_path: RankPath | None = None
        self.errors: dict[str, float] = {}
        self.fidelity: tuple[float | None, float | None] = (None, None)
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
    def gathering(self) -> Gathering:
        """What the network was asked for: there from the first stage on."""
        assert self._gathering is not None
        return self._gathering

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
        self._gathering = Gathering(method, model, self._given, self.target, watched=self._previews)
        self.extractor = read_extractor(method.extractor, signed=not self.encoder.cut.nonnegative)
        if method.fit_on != "crops" and self.encoder.grid == (1, 1):
            raise ValueError(
                f"fit_on: {self.encoder.cut.layer!r} puts out one vector for the whole image, so there are no "
                "locations; use fit_on='crops'."
            )
        if method.n_concepts != "auto" and method.n_concepts > self.encoder.channels:
            raise ValueError(
                f"n_concepts: wanted at most {self.encoder.channels}, as {self.encoder.cut.layer!r} has channels, got "
                f"{method.n_concepts}."
            )
        self._check_like()
        yield from self.gathering.stages()
        self._check_photos()
        yield from self._factorise()
        yield from self._encode()
        yield from self._weigh()

    def _check_like(self) -> None:
        """Refuse an earlier bank of another layer: cosines between layers mean nothing."""
        like, cut = self._like, self.encoder.cut
        if like is None:
            return
        wanted, got = (cut.layer, self.encoder.channels), (like.layer.name, like.W.shape[1])
        if wanted != got:
            raise ValueError(
                f"like: wanted a bank of {wanted[0]!r} with {wanted[1]} channels, got one of {got[0]!r} with {got[1]}."
            )

    def _check_photos(self) -> None:
        """Refuse sets that are too small, and features that say nothing."""
        evidence, wanted = self.evidence, self.method.n_concepts
        count, least = len(evidence), 2 if wanted == "auto" else int(wanted)
        if count < least:
            of = f" of {count + evidence.n_left_out}" if evidence.n_left_out else ""
            among, more = "", "Give more images, or ask for fewer concepts."
            if self.target is not None:
                among = f" predicted as {self.model.class_names.label(self.target)!r}"
                more = (
                    "Give more images of what the network predicts as this class, ask for fewer concepts, or leave "
                    "target out to explain a mixed set."
                )
            raise ValueError(f"images: wanted at least {least}{among}, one a concept, got {count}{of}. {more}")
        rows = self._rows()
        first = rows[0][:1]
        if not any(bool((block != first.to(block.device)).any()) for block in rows):
            raise ValueError(
                f"layer: {self.encoder.cut.layer!r} puts out the same features everywhere, which have no concepts. "
                "Choose another layer, or check the weights."
            )

    # -- factors ----------------------------------------------------------------------------------------------------

    def _rows(self) -> Sequence[Tensor]:
        """Return what is factorised, block by block."""
        self.evidence.settle()
        cells, pooled = self.evidence.cells, self.evidence.pooled
        if self.method.fit_on == "both":
            return Chained(pooled, cells)
        return cells if self.method.fit_on == "locations" else pooled

    def _factorise(self) -> Iterator[str]:
        """Fit the dictionary, showing a bank from time to time."""
        shown = 0.0
        rank = self.method.n_concepts
        if rank == "auto":
            rank = yield from self._choose_rank()
        seed, device = self.method.seed, self.model.device
        for factors in self.extractor.fit(self._rows(), rank, seed=seed, tolerance=_TOLERANCE, device=device):
            self.factors: Factors = factors
            if self._previews and time.perf_counter() - shown > _PUBLISH:
                self._record = _record.preview(self)
                shown = time.perf_counter()
            yield "concepts"
        self.dictionary = self.factors.dictionary

    def _choose_rank(self) -> Generator[str, None, int]:
        """Try ranks until two halves of the photos no longer agree upon the concepts."""
        evidence, fit_on = self.evidence, self.method.fit_on
        of_crops = np.repeat(np.arange(len(evidence)), len(evidence.windows))
        of_cells = np.repeat(np.arange(len(evidence)), evidence.grid[0] * evidence.grid[1])
        groups = {"crops": of_crops, "locations": of_cells, "both": np.concatenate([of_crops, of_cells])}[fit_on]
        most = min(len(evidence) // 2, self.encoder.channels)
        ranks = [rank for rank in _RANKS if rank <= most] or [1]
        device, seed = self.model.device, self.method.seed
        for path, _ in rank_steps(self._rows(), ranks, self.extractor, seed=seed, groups=groups, device=device):
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
        return tuple(self._like.ids[j] if j >= 0 and c >= _SAME_CONCEPT else next(fresh) for j, c in pairs)

    # -- codes ------------------------------------------------------------------------------------------------------

    def _encode(self) -> Iterator[str]:
        """Find the codes of every location and crop, and see what the network makes of them."""
        evidence, rank = self.evidence, len(self.dictionary.bank)
        self.codes = np.zeros((len(evidence), *evidence.grid, rank), dtype=np.float32)
        error, decoded = SquaredError(), []
        for place, cells, prefix in evidence.batches():
            codes, rebuilt = self._code(cells.flatten(0, 2), error)
            self.codes[place] = codes.reshape(-1, *evidence.grid, rank).cpu().numpy()
            rebuilt = rebuilt.reshape(cells.shape)
            for part in self._parts(len(cells)):
                batch = rebuilt[part].to(self.model.device), prefix[part]
                decoded.append(self.encoder.fitting(self._decode, *batch).cpu())
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
        self.fidelity = self._compare(torch.cat(decoded))
        self.shown = _record.strongest_crops(evidence, self.codes, of_crops)

    def _decode(self, cells: Tensor, prefix: Tensor) -> Tensor:
        with self.model.computing(refresh=False):
            return self.encoder.decode(cells, prefix)

    def _parts(self, count: int) -> list[slice]:
        """Divide images into batches."""
        size = self.model.batch_size
        return [slice(first, first + size) for first in range(0, count, size)]

    def _code(self, rows: Tensor, error: SquaredError) -> tuple[Tensor, Tensor]:
        codes = self.extractor.encode(self.dictionary, rows)
        rebuilt = self.dictionary.decode(codes)
        error.add(rows, rebuilt)
        return codes, rebuilt

    def _compare(self, decoded: Tensor) -> tuple[float, float | None]:
        """Hold the logits of rebuilt features against the network's own: classes that stay, and R^2 of the logit."""
        told = fidelity(torch.stack(self.evidence.logits).numpy(), decoded.numpy(), self._explained.numpy())
        return told.agreement, told.r2

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
            for part in self._parts(len(cells)):
                batch = cells[part].to(device), codes[part].to(device), self._explained[place][part].to(device)
                shared = contributions(self.encoder, self.dictionary, *batch, prefix=prefix[part].to(device))
                found.append(shared.concepts.cpu())
                ends.append(torch.stack([shared.residual, shared.base, shared.gap]).cpu())
                yield "importance"
        self.contributions, self.ends = torch.cat(found).numpy(), torch.cat(ends, dim=1).numpy()
        kind = self.method.importance
        sampled = kind == "sobol" or (kind == "auto" and not self.encoder.affine)
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
            first=min(_FIRST_ROWS, self.method.designs),
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
