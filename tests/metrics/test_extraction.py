"""Errors and sparsity of an extraction: by hand, by direct sums, by blocks, bad input."""

import pytest
import torch

from whatwhere.engine.factors import relative_error
from whatwhere.metrics.extraction import reconstruction_error, sparsity


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_by_hand():
    a = torch.tensor([[3.0, 4.0], [0.0, 10.0], [0.0, 0.0]])
    codes, bank = torch.tensor([[3.0, 0.0], [0.0, 8.0], [0.0, 0.0]]), torch.eye(2)
    told = reconstruction_error(a, codes, bank)
    assert told.mean == pytest.approx((4 / 5 + 2 / 10) / 2)
    assert told.weighted == pytest.approx((20 / 125) ** 0.5)
    assert told.zero_rows == 1


def test_zero_and_one():
    codes, bank = random(20, 3), random(3, 8, seed=1)
    exact = reconstruction_error(codes.double() @ bank.double(), codes, bank)
    assert exact.mean < 1e-15
    assert exact.weighted < 1e-15
    nothing = reconstruction_error(random(20, 8), 0 * codes, bank)
    assert nothing.mean == pytest.approx(1)
    assert nothing.weighted == pytest.approx(1)


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_against_direct_sums(chunk):
    a, codes, bank = random(30, 12), random(30, 4, seed=1), random(4, 12, seed=2)
    told = reconstruction_error(a, codes, bank, chunk=chunk)
    left = (a.double() - codes.double() @ bank.double()).norm(dim=1)
    assert told.mean == pytest.approx(float((left / a.double().norm(dim=1)).mean()), rel=1e-12)
    assert told.weighted == pytest.approx(relative_error(a, codes, bank), rel=1e-6)


def test_all_zero_rows_have_no_error():
    told = reconstruction_error(torch.zeros(3, 2), torch.ones(3, 1), torch.ones(1, 2))
    assert (told.mean, told.weighted, told.zero_rows) == (None, None, 3)


def test_sparsity_by_hand():
    told = sparsity(torch.tensor([[0.0, 0.0, 5.0, 0.0], [3.0, 0.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0]]))
    assert told.zeros == pytest.approx(9 / 12)
    assert told.hoyer == pytest.approx((1 + (2 - 7 / 5)) / 2)
    assert told.active == 1
    assert told.zero_rows == 1


@pytest.mark.parametrize("scale", [1e-30, 1.0, -1e30])
def test_hoyer_is_one_for_one_code_and_zero_for_equal_ones(scale):
    assert sparsity(scale * torch.eye(5)).hoyer == pytest.approx(1)
    assert sparsity(scale * torch.ones(2, 5)).hoyer == pytest.approx(0, abs=1e-12)


def test_hoyer_is_not_defined_for_one_concept_or_no_code():
    assert sparsity(torch.ones(4, 1)).hoyer is None
    assert sparsity(torch.zeros(4, 3)).hoyer is None
    assert sparsity(torch.zeros(4, 3)).zeros == 1


def test_bad_input():
    a, codes, bank = random(5, 4), random(5, 2), random(2, 4)
    with pytest.raises(ValueError, match=r"\(n, r\) and \(r, p\)"):
        reconstruction_error(a, codes[:4], bank)
    with pytest.raises(ValueError, match=r"\(n, r\) and \(r, p\)"):
        reconstruction_error(a, codes, bank[:, :3])
    with pytest.raises(ValueError, match=r"codes.*finite"):
        sparsity(codes * torch.nan)
    with pytest.raises(TypeError, match=r"torch\.Tensor"):
        sparsity(codes.numpy())
    with pytest.raises(ValueError, match="chunk"):
        reconstruction_error(a, codes, bank, chunk=0)
