"""Rows of activations: the sum of their squares at any size of numbers, and products of blocks that are not divided."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whatwhere.engine._rows import Remainder, Rows, squares_of


def test_squares_of_three_four_and_twelve():
    assert squares_of(torch.tensor([[3.0, 4.0], [0.0, 12.0]])) == 169


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e-30, 1e-15, 1.0, 1e15, 1e30])
def test_squares_of_numbers_that_float32_cannot_square(size, dtype):
    rows = torch.rand(7, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * size
    assert squares_of(rows.to(dtype)) == pytest.approx(float((rows**2).sum()), rel=1e-6)


def test_tiny_rows_beside_plain_ones_count_as_nothing_and_as_themselves_alone():
    tiny = torch.full((2, 4), 1e-25)
    assert squares_of(torch.cat([tiny, torch.ones(1, 4)])) == 4
    assert squares_of(tiny) == pytest.approx(8e-50)
    assert squares_of(torch.zeros(3, 4)) == 0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 2**31))
def test_squares_are_those_of_float64(n, p, seed):
    rows = torch.randn(n, p, generator=torch.Generator().manual_seed(seed))
    assert squares_of(rows) == pytest.approx(float((rows.double() ** 2).sum()), rel=1e-6)
    assert squares_of(rows.T) == pytest.approx(squares_of(rows), rel=1e-6)


@pytest.mark.parametrize("factor", [2.0**-70, 2.0**-8, 1.0, 2.0**20, 2.0**70])
def test_blocks_not_divided_are_those_of_the_loop_but_for_the_divisor(factor):
    a = torch.rand(10, 4, generator=torch.Generator().manual_seed(0)) * factor
    rows = Rows([a[:6], a[6:]], device=None, chunk=4)
    divisor, blocks = rows.undivided()
    assert (divisor == 1) == (rows.scale == 1 or not 2.0**-50 <= factor <= 2.0**50)
    for (place, block), (wanted_place, wanted) in zip(blocks, rows, strict=True):
        assert place == wanted_place
        assert torch.equal(block / divisor, wanted)
    left = Remainder(rows, torch.ones(10, 1), torch.ones(1, 4))
    divisor, blocks = left.undivided()
    assert divisor == 1
    assert torch.equal(torch.cat([block for _, block in blocks]), a / rows.scale - 1)
