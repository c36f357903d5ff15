"""A start from fewer atoms: never worse than they are, and exact codes."""

import pytest
import torch

from whatwhere.engine.factors import relative_error
from whatwhere.engine.growing import grown
from whatwhere.engine.nmf import hals
from whatwhere.engine.nnls import nnls
from whatwhere.engine.semi_nmf import semi_nmf


def last(states):
    *_, state = states
    return state


@pytest.mark.parametrize("solver", [hals, semi_nmf])
def test_one_more_atom_begins_no_higher(planted, solver):
    a = planted(300, 60, 6, noise=0.1).activations
    a = a - a.mean() if solver is semi_nmf else a
    state = last(solver(a, 2))
    for rank in (3, 4, 6):
        codes, bank = grown(a, state.bank, rank, signed=solver is semi_nmf)
        assert bank[: len(state.bank)] == pytest.approx(state.bank, abs=1e-6)
        states = list(solver(a, rank, start=(codes, bank)))
        assert states[0].error <= state.error + 1e-6
        assert states[0].error == pytest.approx(relative_error(a, codes, bank), rel=1e-5)
        assert not states[-1].dead
        state = states[-1]
    assert state.error <= 1.05 * last(solver(a, 6)).error


def test_codes_are_exact(planted):
    a = planted(100, 40, 4, dtype=torch.float64).activations
    codes, bank = grown(a.split(30), a[:2], 4)
    assert codes == pytest.approx(nnls(bank, a), abs=1e-10)
    assert bank.norm(dim=1) == pytest.approx(torch.ones(4))


def test_the_missing_atom_is_the_one_left_out(planted, matched):
    known = planted(noise=0, dtype=torch.float64)
    codes, bank = grown(known.activations, known.bank[:-1], 8)
    assert matched(last(hals(known.activations, 8, start=(codes, bank))).bank, known.bank).min() > 0.9999


def test_no_atom_missing_and_nothing_left():
    codes, bank = grown(torch.eye(3), torch.eye(3) * 2, 3)
    assert torch.equal(bank, torch.eye(3))
    assert torch.equal(codes, torch.eye(3))


def test_bad_input():
    with pytest.raises(ValueError, match="start: wanted a bank of at most rank = 1 atoms, got 2"):
        grown(torch.eye(3), torch.eye(3)[:2], 1)
    with pytest.raises(ValueError, match="bank: wanted numbers of at least 0"):
        grown(torch.eye(3), -torch.eye(3)[:1], 2)
    with pytest.raises(ValueError, match="bank: wanted 3 columns"):
        grown(torch.eye(3), torch.eye(2), 2)
