"""Convex NMF: atoms are mixtures of rows, the error falls, recovery from pure rows, going on."""

import itertools

import pytest
import torch

from whatwhere.engine.convex_nmf import convex_nmf
from whatwhere.engine.factors import relative_error
from whatwhere.engine.nmf import hals
from whatwhere.engine.semi_nmf import semi_nmf


def last(states):
    *_, state = states
    return state


def mixtures(a, state):
    """The atoms as the encoder says that they are made."""
    numbers, weights = state.encoder["mixture_rows"], state.encoder["mixture_weights"].double()
    return (weights[..., None] * a.double()[numbers.clamp_min(0)]).sum(dim=1), numbers, weights


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_atoms_are_mixtures_of_rows(planted, dtype):
    for a in (planted(dtype=dtype).activations, torch.randn(150, 40, dtype=dtype)):
        for state in (s for k, s in enumerate(convex_nmf(a, 6, iterations=30)) if k in {0, 1, 5, 30}):
            atoms, numbers, weights = mixtures(a, state)
            assert state.bank.double() == pytest.approx(atoms, abs=1e-5)
            assert (weights >= 0).all()
            assert ((weights > 0) == (numbers >= 0)).all()
            assert (numbers >= 0).sum(dim=1).max() <= a.shape[1]
            assert state.bank.norm(dim=1) == pytest.approx(torch.ones(6), abs=1e-5)
            assert (state.codes >= 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_error_never_rises_and_is_the_residuals(planted, dtype):
    slack = 1e-6 if dtype == torch.float32 else 1e-12
    for a in (planted(dtype=dtype, noise=0.3).activations, torch.randn(150, 40, dtype=dtype)):
        states = list(convex_nmf(a, 6, iterations=40))
        errors = [state.error for state in states]
        assert all(after <= before + slack for before, after in itertools.pairwise(errors))
        for state in (states[0], states[1], states[-1]):
            assert state.error == pytest.approx(relative_error(a, state.codes, state.bank), rel=1e-5, abs=slack)


def test_planted_factors_with_pure_rows_are_found(planted, matched):
    known = planted()
    state = last(convex_nmf(known.activations, 8))
    assert matched(state.bank, known.bank).min() > 0.999
    assert state.error < 0.02


def test_without_noise_the_atoms_are_pure_rows(planted):
    known = planted(noise=0, dtype=torch.float64)
    state = last(convex_nmf(known.activations, 8, tolerance=0, iterations=300))
    assert state.error < 1e-4
    _, numbers, weights = mixtures(known.activations, state)
    heaviest = numbers.gather(1, (weights * known.activations.norm(dim=1)[numbers]).argmax(dim=1, keepdim=True))
    assert (known.codes[heaviest.flatten()] > 0).sum(dim=1).tolist() == [1] * 8


def test_between_the_freer_and_the_poorer(planted):
    a = planted(noise=0.3).activations
    found = last(convex_nmf(a, 5)).error
    assert last(semi_nmf(a, 5)).error <= found + 1e-3
    assert found <= 1.05 * last(hals(a, 5)).error


def test_no_row_can_improve_an_atom_at_the_end(planted):
    a = planted(150, 40, 4, noise=0.3, dtype=torch.float64).activations
    state = last(convex_nmf(a, 4, tolerance=0, iterations=300))
    gradient = state.codes.T @ (a - state.codes @ state.bank)
    gains = (gradient @ a.T) / (a.norm(dim=1) * state.codes.norm(dim=0)[:, None])
    assert gains.max() < 1e-4 * a.norm()


def test_going_on_begins_no_higher(planted):
    a = planted(noise=0.3).activations
    state = last(convex_nmf(a, 4))
    more = next(convex_nmf(a, 5, start=state.dictionary))
    assert more.error <= state.error + 1e-6
    assert more.bank[:4] == pytest.approx(state.bank, abs=1e-5)
    same = next(convex_nmf(a, 4, start=state.dictionary))
    assert same.error <= state.error + 1e-6


def test_more_atoms_than_the_rank_of_the_data_leaves_dead_ones():
    a = torch.rand(30, 2, dtype=torch.float64) @ torch.rand(2, 10, dtype=torch.float64)
    state = last(convex_nmf(a, 4))
    assert state.error < 1e-4
    assert torch.isfinite(state.bank).all()


def test_blocks_change_rounding_only(planted):
    a = planted(200, 50, 4, dtype=torch.float64).activations
    whole, blocks = last(convex_nmf(a, 4)), last(convex_nmf(a.split(23), 4))
    assert blocks.error == pytest.approx(whole.error, rel=1e-6)
    assert blocks.bank == pytest.approx(whole.bank, abs=1e-5)


def test_bad_input(planted):
    a = planted(100, 30, 3).activations
    state = last(convex_nmf(a, 3, iterations=2))
    with pytest.raises(ValueError, match="start: wanted a dictionary of convex NMF with at most rank = 2 atoms, got 3"):
        convex_nmf(a, 2, start=state.dictionary)
    with pytest.raises(ValueError, match="start: wanted a dictionary of convex NMF"):
        convex_nmf(a, 3, start=last(hals(a, 3)).dictionary)
    with pytest.raises(ValueError, match="start: atom 0 is not the mixture of these rows"):
        convex_nmf(a.flip(0), 3, start=state.dictionary)
    with pytest.raises(ValueError, match="rank: wanted at most"):
        convex_nmf(a, 31)
