"""What is checked of rows before they are computed with."""

from __future__ import annotations

import pytest
import torch

from whatwhere.engine._rows import finite_rows


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_none_is_found_in_its_row(bad):
    x = torch.randn(5, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    assert finite_rows(x).tolist() == [True] * 5
    x[3, 1, 2, 0] = bad
    assert finite_rows(x).tolist() == [True, True, True, False, True]


def test_infinities_that_cancel_are_found_and_finite_numbers_of_infinite_sum_are_not():
    x = torch.zeros(3, 2)
    x[0] = torch.tensor([float("inf"), -float("inf")])
    x[1] = 3e38
    assert finite_rows(x).tolist() == [False, True, True]
