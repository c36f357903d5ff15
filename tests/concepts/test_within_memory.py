"""Memory that runs out among the features, in the factorisation or the codes: smaller parts, the same concepts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from whatwhere.concepts import _base
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.extractors import EXTRACTORS, NMF
from whatwhere.concepts.within_memory import Parts, WithinMemory
from whatwhere.engine._rows import Rows

METHOD = Craft(n_concepts=3, fit_on="locations")
WORDS = "CUDA out of memory. Tried to allocate 2.00 GiB."


class Memory:
    """Passes over the features fail once they have been asked for so many blocks, if a block has too many rows."""

    def __init__(self, monkeypatch, *, most, after=0, error=torch.OutOfMemoryError):
        plain, self.sizes = Rows.unscaled, []

        def tight(rows):
            for place, block in plain(rows):
                self.sizes.append(len(block))
                if len(self.sizes) > after and len(block) > most:
                    raise error(WORDS if error is torch.OutOfMemoryError else "no such thing")
                yield place, block

        monkeypatch.setattr(Rows, "unscaled", tight)


def assert_alike(bank, wanted, *, cosine=0.999):
    cosines = bank.W @ wanted.W.T
    partner = cosines.argmax(axis=1)
    assert sorted(partner) == list(range(wanted.rank))
    assert cosines.max(axis=1).min() > cosine
    assert bank.quality.error == pytest.approx(wanted.quality.error, rel=0.01)
    return partner


@pytest.mark.parametrize("after", [0, 7])
def test_a_factorisation_goes_on_in_smaller_parts(small, pictures, monkeypatch, after):
    """At once, and after some passes: the concepts are those of a run that had room."""
    images = pictures(12)
    wanted = METHOD.run(small(), images, progress=False)
    memory = Memory(monkeypatch, most=60, after=after)
    bank = METHOD.run(small(), images, progress=False)
    assert bank.complete
    assert max(memory.sizes[: after + 1]) == 12 * 36
    assert max(memory.sizes[-12:]) <= 60
    assert_alike(bank, wanted)


def test_what_was_found_before_memory_ran_out_is_not_lost(monkeypatch):
    """The first directions after it are no worse than the last before."""
    Memory(monkeypatch, most=60, after=12)
    rows = torch.rand(200, 12, generator=torch.Generator().manual_seed(0)) ** 3
    errors, iterations = zip(*((f.error, f.iteration) for f in WithinMemory(NMF()).fit(rows, 3)), strict=True)
    (again,) = [k for k in range(1, len(iterations)) if iterations[k] == 0]
    assert 3 < again < len(errors) - 1
    assert errors[again] <= errors[again - 1] * (1 + 1e-6)


@pytest.mark.parametrize("kind", EXTRACTORS)
def test_every_extractor_does(kind, monkeypatch):
    rows = torch.rand(200, 12, generator=torch.Generator().manual_seed(0)) ** 3
    *_, wanted = EXTRACTORS[kind]().fit(rows, 3)
    Memory(monkeypatch, most=60)
    *_, found = WithinMemory(EXTRACTORS[kind]()).fit(rows, 3)
    assert found.error == pytest.approx(wanted.error, rel=0.05)


def test_a_rank_that_is_found_and_classes_that_go_together(small, pictures, monkeypatch):
    images = pictures(6)
    method = Craft(n_concepts="auto", fit_on="locations")
    wanted = method.run(small(), images, progress=False)
    memory = Memory(monkeypatch, most=60)
    bank = method.run(small(), images, progress=False)
    assert bank.rank == wanted.rank
    assert max(memory.sizes[-12:]) <= 60
    banks = Craft(n_concepts=2, fit_on="locations", extractor="semi_nmf").by_class.run(
        small(), pictures(12), progress=False
    )
    assert all(each.complete for each in banks.values())


def test_codes_are_found_in_smaller_parts_and_are_the_same(small, pictures, monkeypatch):
    images, plain, sizes = pictures(12), _base.nnls, []
    wanted = METHOD.run(small(), images, progress=False)

    def tight(bank, rows):
        sizes.append(len(rows))
        if len(rows) > 60:
            raise torch.OutOfMemoryError(WORDS)
        return plain(bank, rows)

    monkeypatch.setattr(_base, "nnls", tight)
    bank = METHOD.run(small(), images, progress=False)
    assert max(sizes) > 60
    np.testing.assert_array_equal(bank.codes, wanted.codes)
    np.testing.assert_array_equal(bank.importance, wanted.importance)
    assert bank.quality.error_locations == wanted.quality.error_locations


@pytest.mark.parametrize("stage", ["factorisation", "codes"])
def test_where_nothing_fits_the_bank_so_far_is_left(small, pictures, monkeypatch, stage):
    """The job says why; its last record can still be used."""
    model, images = small(), pictures(12)
    job = METHOD.submit(model, images)

    def full(*_):
        raise torch.OutOfMemoryError(WORDS)

    with monkeypatch.context() as patch:
        if stage == "factorisation":
            Memory(patch, most=0, after=12)
        else:
            patch.setattr(_base, "nnls", full)
        with pytest.raises(MemoryError, match=f"out of memory in the {stage}, with .* Free memory on the device"):
            job.wait(timeout=60)
    assert job.state == "failed"
    early = job.record
    assert not early.complete
    assert early.W.shape == (3, 12)
    assert early.on(model).encode(images).max() > 0


def test_what_is_not_about_memory_is_passed_on(small, pictures, monkeypatch):
    Memory(monkeypatch, most=0, error=RuntimeError)
    with pytest.raises(RuntimeError, match="no such thing"):
        METHOD.run(small(), pictures(12), progress=False)


def test_parts_are_the_rows():
    blocks = [torch.arange(14.0).reshape(7, 2), torch.zeros(0, 2), torch.arange(6.0).reshape(3, 2)]
    parts = Parts(blocks, 3)
    assert [len(part) for part in parts] == [3, 3, 1, 3]
    assert torch.equal(torch.cat(list(parts)), torch.cat(blocks))
    assert [len(part) for part in parts[1:3]] == [3, 1]
    with pytest.raises(IndexError, match="index: wanted 0 to 3, got 4"):
        parts[4]
