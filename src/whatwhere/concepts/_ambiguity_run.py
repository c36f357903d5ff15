"""All concepts of a bank while they are looked at for ambiguity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
import torch

from whatwhere.concepts.ambiguity import Ambiguity, directions, twofold
from whatwhere.concepts.earlier import earlier_layer
from whatwhere.concepts.extractors import read_extractor
from whatwhere.concepts.top_crops import CROPS_A_PART, CropScan, check_finite, run_crops
from whatwhere.engine.encoder import Encoder
from whatwhere.engine.matching import match
from whatwhere.jobs import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from whatwhere.concepts.concepts import Concepts
    from whatwhere.concepts.top_crops import TopCrops
    from whatwhere.engine.blocks import BlockStore
    from whatwhere.engine.factors import Factors

_MOST = 256  # crops of a concept; distances of all pairs are taken
_FEWEST = 4  # directions that two factors and two clusters mean anything for


class AmbiguityRun:
    """The concepts of a bank while they are looked at.

    Parameters
    ----------
    concepts : Concepts
        The bank and its network.
    layer : str, int, torch.nn.Module or None
        The earlier layer.
    quantile : float
        Which crops show a concept.
    seed : int
        Same seed, same numbers.

    Raises
    ------
    ValueError
        If the network was trained meanwhile, or the layer will not do.
    """

    def __init__(self, concepts: Concepts, *, layer: str | int | nn.Module | None, quantile: float, seed: int) -> None:
        concepts.check_network()
        concepts.follow()
        self.concepts, self.bank, self.model = concepts, concepts.bank, concepts.model
        self.quantile, self.seed = quantile, seed
        self.photos = concepts.photos
        self.layer = earlier_layer(self.model, self.bank.layer, layer)
        self._done = self._total = 0
        self.found: tuple[Ambiguity, ...] = ()

    def steps(self) -> Iterator[Step[tuple[Ambiguity, ...]]]:
        """Run every stage.

        Yields
        ------
        Step
            After every batch, and after every pass of a factorisation.
        """
        for stage in self._stages():
            yield Step(self._done, max(self._total, self._done), stage, self.found or None)

    def _stages(self) -> Iterator[str]:
        self.encoder = Encoder(self.model, self.layer)
        self.extractor = read_extractor(None, signed=not self.encoder.cut.nonnegative)
        self.scan = CropScan(self.concepts, cells=self.bank.method.fit_on != "crops")
        self._total = self.scan.total
        for done in self.scan.steps():
            self._done += done
            yield "crops"
        self.tops = [
            self.scan.strongest(k, quantile=self.quantile, wanted=2 * CROPS_A_PART, most=_MOST)
            for k in range(self.bank.rank)
        ]
        yield from self._halve()
        yield from self._look()
        for k in range(self.bank.rank):
            yield from self._judge(k)

    def _halve(self) -> Iterator[str]:
        """Extract as many concepts from either half of the photos, and find the bank's among them."""
        bank, count = self.bank, len(self.photos)
        self.stability: list[float] | None = None
        if count < 2 * bank.rank:
            return
        order = np.random.default_rng(self.seed).permutation(count)
        extractor = read_extractor(bank.method.extractor, signed=not bank.layer.nonnegative)
        signless = not extractor.non_negative_codes
        own, least = torch.from_numpy(bank.W.copy()), np.ones(bank.rank)
        for half in (order[: count // 2], order[count // 2 :]):
            rows = self._rows(np.sort(half).tolist())
            factors: Factors | None = None
            for factors in extractor.fit(rows, bank.rank, seed=self.seed, device=self.model.device):  # noqa: B007
                yield "halves"  # the last one is read behind the loop
            if factors is not None:
                least = np.minimum(least, match(own, factors.bank.cpu(), signless=signless)[1].numpy())
        self.stability = least.tolist()

    def _rows(self, photos: list[int]) -> Sequence[Tensor]:
        """Return what the bank was fitted on, of some of the photos."""
        stores = {"crops": [self.scan.pooled], "locations": [self.scan.cells]}
        both = [self.scan.pooled, self.scan.cells]
        return _Blocks([(store, n) for store in stores.get(self.bank.method.fit_on, both) for n in photos])

    def _look(self) -> Iterator[str]:
        """Run every crop that shows some concept most up to the earlier layer, once."""
        wanted = sorted({pair for top in self.tops for pair in _pairs(top)})
        self._total += len(wanted)
        self.rows: dict[tuple[int, int], Tensor] = {}
        for n in sorted({photo for photo, _ in wanted}):
            places = [w for photo, w in wanted if photo == n]
            image, boxes, done = self.photos.input_of(n, self.model), [self.scan.windows[w] for w in places], 0
            for cells in run_crops(self.encoder.cells, image, boxes, self.model.batch_size):
                check_finite(cells, self.photos.names[n])
                pooled = cells.mean(dim=(1, 2)).cpu()
                self.rows.update({(n, w): row for w, row in zip(places[done:], pooled, strict=False)})
                done += len(cells)
                self._done += len(cells)
                yield "parts"

    def _judge(self, k: int) -> Iterator[str]:
        """Hold what two factors and two clusters tell of a concept against chance."""
        pairs = _pairs(self.tops[k])
        units = directions(torch.stack([self.rows[pair] for pair in pairs])) if pairs else torch.zeros((0, 1))
        found = None
        if len(units) >= _FEWEST:
            errors = {1: 1.0, 2: 1.0}
            for rank in errors:
                for factors in self.extractor.fit(units, rank, seed=self.seed):
                    errors[rank] = factors.error
                    yield "concepts"
            found = twofold(units, (errors[1], errors[2]), seed=self.seed)
        self.found += (
            Ambiguity(
                concept=k,
                id=self.bank.ids[k],
                layer=self.layer,
                n_crops=len(units),
                gain=None if found is None else found.gain,
                gain_by_chance=None if found is None else found.gain_by_chance,
                silhouette=None if found is None else found.silhouette,
                silhouette_by_chance=None if found is None else found.silhouette_by_chance,
                stability=None if self.stability is None else self.stability[k],
                proposed=found is not None and found.proposed,
            ),
        )
        yield "concepts"


class _Blocks(Sequence["Tensor"]):
    """Some blocks of some stores, each read when it is asked for."""

    def __init__(self, places: list[tuple[BlockStore, int]]) -> None:
        self._places = places

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [store[n] for store, n in self._places[index]]
        store, n = self._places[index]
        return store[n]

    def __len__(self) -> int:
        return len(self._places)


def _pairs(top: TopCrops) -> list[tuple[int, int]]:
    return list(zip(top.photos.tolist(), top.windows.tolist(), strict=True))
