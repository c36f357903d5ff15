"""One concept while it is split: crops that show it, their features at an earlier layer, parts, and their effects."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from whatwhere.concepts import _split_record
from whatwhere.concepts._craft_run import SquaredError
from whatwhere.concepts.earlier import earlier_layer
from whatwhere.concepts.extractors import read_extractor
from whatwhere.concepts.top_crops import CROPS_A_PART, CropScan, check_finite, run_crops
from whatwhere.concepts.within_memory import WithinMemory
from whatwhere.engine._rows import exact_products
from whatwhere.engine.blocks import BlockStore
from whatwhere.engine.encoder import Encoder
from whatwhere.engine.factors import Dictionary
from whatwhere.jobs import Step
from whatwhere.nets.between import Between
from whatwhere.nets.outputs import read_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from whatwhere.concepts.bank import ConceptBank
    from whatwhere.concepts.concepts import Concepts

_FEWEST = 2  # parts


class SplitRun:
    """A concept of a bank while it is split.

    Parameters
    ----------
    concepts : Concepts
        The bank and its network.
    k : int
        The concept's row in the bank.
    layer : str, int, torch.nn.Module or None
        The earlier layer.
    n_concepts : int
        How many parts, at most.
    quantile : float
        Which crops show the concept.
    seed : int
        Same seed, same parts.

    Raises
    ------
    ValueError
        If the network was trained meanwhile, the concept is dead, or the layer will not do.
    """

    def __init__(
        self,
        concepts: Concepts,
        k: int,
        *,
        layer: str | int | nn.Module | None,
        n_concepts: int,
        quantile: float,
        seed: int,
    ) -> None:
        self.concepts, self.bank, self.model = concepts, concepts.bank, concepts.model
        self.k, self.n_concepts, self.quantile, self.seed = k, n_concepts, quantile, seed
        self.fingerprint, self.stamp = self.model.fingerprint(), self.model.stamp()
        concepts.check_network()
        concepts.follow()
        if not self.bank.W[k].any():
            raise ValueError(
                f"k: concept {k} of the bank is dead, a direction of zeros that no crop shows; there is nothing to "
                f"split. Dead are {list(self.bank.quality.dead)}."
            )
        self.photos = concepts.photos
        self.layer = earlier_layer(self.model, self.bank.layer, layer)
        self.record: ConceptBank | None = None
        self.seconds, self._done, self._total = 0.0, 0, 0
        self._chunk = time.perf_counter()

    @property
    def net_seconds(self) -> float:
        """Seconds inside the network so far."""
        return self.encoder.net_seconds + self.concepts.encoder.net_seconds - self._net_before

    def steps(self) -> Iterator[Step[ConceptBank]]:
        """Run every stage.

        Yields
        ------
        Step
            After every batch, and after every pass of the factorisation.
        """
        self._chunk = time.perf_counter()
        for stage in self._stages():
            self.seconds += time.perf_counter() - self._chunk
            yield Step(self._done, max(self._total, self._done), stage, self.record)
            self._chunk = time.perf_counter()  # what passed since is not ours

    def _stages(self) -> Iterator[str]:
        self._net_before = self.concepts.encoder.net_seconds
        self.encoder = Encoder(self.model, self.layer)
        parent = self.concepts.encoder
        with self.model.computing(refresh=False):
            self._between = Between(self.model.net, self.encoder.cut, parent.cut, self.model.example())
        self.extractor = WithinMemory(read_extractor(None, signed=not self.encoder.cut.nonnegative))
        self.scan = CropScan(self.concepts)
        self._total = self.scan.total
        for done in self.scan.steps():
            self._done += done
            yield "crops"
        self._choose()
        yield from self._look()
        yield from self._factorise()
        yield from self._encode()
        yield from self._weigh()

    def _choose(self) -> None:
        """Choose the crops to take apart, and how many parts they allow."""
        wanted = CROPS_A_PART * self.n_concepts
        self.top = self.scan.strongest(self.k, quantile=self.quantile, wanted=wanted)
        count = len(self.top.photos)
        self.rank = min(self.n_concepts, count // CROPS_A_PART)
        if self.rank < _FEWEST:
            need = CROPS_A_PART * _FEWEST
            raise ValueError(
                f"k: a split into {_FEWEST} parts needs {need} crops that show concept {self.k}, the bank's "
                f"{len(self.photos)} photos have {count}. Extract the bank from more photos, or with smaller crops "
                "(patch=)."
            )
        self.members = np.unique(self.top.photos)  # numbers of the photos that are explained
        self.place = np.searchsorted(self.members, self.top.photos)
        self.classes = self.bank.predictions[self.members].copy()
        if self.bank.target is not None:
            self.classes[:] = self.bank.target
        self._total += 2 * count + len(self.members)

    # -- features ---------------------------------------------------------------------------------------------------

    def _look(self) -> Iterator[str]:
        """Run the chosen crops up to the earlier layer."""
        self.crops, self._prefix = BlockStore(), []
        for n in self.members.tolist():
            image = self.photos.input_of(n, self.model)
            boxes = [self.scan.windows[w] for w in self.top.windows[self.top.photos == n]]
            for cells, prefix in run_crops(self._see, image, boxes, self.model.batch_size):
                check_finite(cells, self.photos.names[n])
                self.crops.append(cells)
                self._prefix.append(prefix)
                self._done += len(cells)
                yield "parts"

    def _see(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        if not self.encoder.cut.prefix_tokens:
            return self.encoder.cells(images), None
        look = self.encoder.look(images)
        return look.cells, look.prefix

    def _factorise(self) -> Iterator[str]:
        """Fit the parts; those that no crop uses are left out."""
        rows = torch.cat([cells.mean(dim=(1, 2)) for cells in self.crops])
        if not rows.any():
            raise ValueError(f"layer: {self.layer!r} is silent on the crops of concept {self.k}; name another one.")
        for factors in self.extractor.fit(rows, self.rank, seed=self.seed, device=self.model.device):
            self.factors = factors
            yield "concepts"
        dictionary, dead = self.factors.dictionary, set(self.factors.dead)
        kept = [j for j in range(self.rank) if j not in dead]
        if not kept:
            raise ValueError(
                f"layer: no part of {self.layer!r} is used by the crops of concept {self.k}; name another."
            )
        self.rank = len(kept)
        self.dictionary = Dictionary(dictionary.bank[kept], dictionary.offset, dictionary.encoder)

    def _encode(self) -> Iterator[str]:
        """Find how much of each part is in each crop, and at each location of the photos."""
        on_crops, parts = SquaredError(), []
        for cells in self.crops:
            rows = cells.mean(dim=(1, 2))
            codes = self._codes(rows)
            on_crops.add(rows, self._decode(codes))
            parts.append(codes.cpu().numpy())
        self.crop_codes = np.concatenate(parts)
        on_photos, maps = SquaredError(), []
        for n in self.members.tolist():
            rows = self.encoder.cells(self.photos.input_of(n, self.model)).flatten(0, 2)
            check_finite(rows, self.photos.names[n])
            codes = self._codes(rows)
            on_photos.add(rows, self._decode(codes))
            maps.append(codes.reshape(*self.encoder.grid, self.rank).cpu().numpy())
            self._done += 1
            yield "codes"
        self.codes = np.stack(maps)
        self.errors = on_crops.relative, on_photos.relative
        self.record = _split_record.preview(self)
        yield "codes"

    def _codes(self, rows: Tensor) -> Tensor:
        return self.extractor.encode(self.dictionary, rows)

    def _decode(self, codes: Tensor) -> Tensor:
        with exact_products(codes.device):
            return self.dictionary.decode(codes)

    # -- effects ----------------------------------------------------------------------------------------------------

    def _weigh(self) -> Iterator[str]:
        """Take each part out of each crop, and see what becomes of the concept's code and of the logit."""
        variants = self.rank + 3
        size = max(1, self.model.batch_size // variants)
        codes, logits, start = [], [], 0
        for cells, prefix in zip(self.crops, self._prefix, strict=True):
            for first in range(0, len(cells), size):
                part = cells[first : first + size]
                given = None if prefix is None else prefix[first : first + size]
                which = self.place[start : start + len(part)]
                start += len(part)
                code, logit = self._respond(self._without(part), given, self.classes[which])
                codes.append(code)
                logits.append(logit)
                self._done += len(part)
                yield "importance"
        of_crops = np.concatenate(codes, axis=1), np.concatenate(logits, axis=1)
        self.effects, self.shared = (_split_record.Shares.of(x, self.place, len(self.members)) for x in of_crops)
        self.record = _split_record.finished(self)
        yield "importance"

    def _without(self, cells: Tensor) -> Tensor:
        """Return features as they are, with each part taken out, with what no part explains taken out, and with all."""
        cells = cells.to(self.model.device)
        codes = self._codes(cells.flatten(0, 2)).to(cells).reshape(*cells.shape[:-1], self.rank)
        bank = self.dictionary.bank.to(cells)
        parts = [cells - codes[..., j, None] * bank[j] for j in range(self.rank)]
        nothing = torch.zeros_like(cells)
        if self.dictionary.offset is not None:
            nothing = nothing + self.dictionary.offset.to(cells)
        told = self._decode(codes.flatten(0, 2)).to(cells).reshape(cells.shape)
        return torch.stack([cells, *parts, told, nothing])

    def _respond(
        self, cells: Tensor, prefix: Tensor | None, classes: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute the concept's code and the explained logit from features (variants, crops, h, w, p)."""
        parent, device, size = self.concepts.encoder, self.model.device, self.model.batch_size
        shape, cells = cells.shape[:2], cells.flatten(0, 1)
        tokens = None if prefix is None else prefix.to(device).repeat(shape[0], 1, 1)
        wanted = torch.from_numpy(np.tile(classes, shape[0])).to(device)
        rows, logits = [], []
        for first in range(0, len(cells), size):
            part = slice(first, first + size)
            begin = time.perf_counter()
            with self.model.computing(refresh=False):
                features = self.encoder.features(cells[part], None if tokens is None else tokens[part])
                behind = self._between(features)
                rows.append(parent.cut.to_grid(behind).float().mean(dim=(1, 2)))
                out = read_output(parent.cut.decode(behind), self.model.output, len(features)).float()
                logits.append(out.gather(1, wanted[part, None])[:, 0])
            self.encoder.net_seconds += time.perf_counter() - begin
        codes = self.concepts.codes_of(torch.cat(rows))[:, self.k]
        return codes.reshape(shape).cpu().double().numpy(), torch.cat(logits).reshape(shape).cpu().double().numpy()
