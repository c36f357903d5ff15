"""Semi-NMF: between two singular values, no worse than the published rules, monotone, stopping and going on."""

import itertools

import numpy as np
import pytest
import torch

from whatwhere.engine.semi_nmf import INITS, semi_nmf


def last(states):
    *_, state = states
    return state


def signed(n=200, p=40, rank=5, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.random((n, rank)) @ rng.normal(size=(rank, p)) + noise * rng.normal(size=(n, p))
    return torch.as_tensor(a)


def unconstrained(a, rank):
    """Error of the best approximation of a rank."""
    values = torch.linalg.svdvals(a).square()
    return float((values[rank:].sum() / values.sum()).sqrt())


def published(a, codes, iterations):
    """Ding, Li and Jordan's rules: least squares for the bank, multiplication for the codes."""
    u = codes.numpy() + 0.2 * codes.numpy().mean()
    a = a.numpy()
    for _ in range(iterations):
        w = np.linalg.pinv(u.T @ u) @ u.T @ a
        c, g = a @ w.T, w @ w.T
        above = np.maximum(c, 0) + u @ np.maximum(-g, 0)
        below = np.maximum(-c, 0) + u @ np.maximum(g, 0)
        u = u * np.sqrt(above / np.maximum(below, 1e-300))
    return np.linalg.norm(a - u @ (np.linalg.pinv(u.T @ u) @ u.T @ a)) / np.linalg.norm(a)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_the_error_lies_between_two_ranks_without_constraint(init, rank):
    a = signed()
    error = last(semi_nmf(a, rank, init=init)).error
    assert unconstrained(a, rank) - 1e-12 <= error <= unconstrained(a, rank - 1) + 1e-12


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_error_never_rises_and_is_the_residuals(init, dtype):
    a = signed().to(dtype)
    states = list(semi_nmf(a, 6, init=init, iterations=40))
    errors = [state.error for state in states]
    slack = 3e-7 if dtype == torch.float32 else 1e-14
    assert all(after <= before + slack for before, after in itertools.pairwise(errors))
    for state in states:
        assert state.codes.min() >= 0
        left = (a.double() - state.codes.double() @ state.bank.double()).norm() / a.double().norm()
        assert state.error == pytest.approx(float(left), rel=1e-5)
    assert states[-1].bank.min() < 0


def test_the_published_rules_are_no_better():
    a = signed(noise=0.3)
    begun = next(semi_nmf(a, 5, init="rows"))
    ours = last(semi_nmf(a, 5, start=(begun.codes, begun.bank)))
    assert ours.error <= 1.001 * published(a, begun.codes, 400)


def test_a_planted_subspace_is_found():
    rng = np.random.default_rng(3)
    bank = torch.as_tensor(rng.normal(size=(4, 30)))
    a = torch.as_tensor(rng.random((200, 4))) @ bank
    state = last(semi_nmf(a, 4, tolerance=1e-7, iterations=1000))
    assert state.error < 1e-2
    angles = torch.linalg.svdvals(torch.linalg.qr(bank.T).Q.T @ torch.linalg.qr(state.bank.T).Q)
    assert angles.min() > 0.999


@pytest.mark.parametrize("init", INITS)
def test_runs_nest_go_on_and_scale(init):
    a = signed().float()
    states = list(semi_nmf(a, 4, init=init, iterations=8))
    short = list(semi_nmf(a, 4, init=init, iterations=3))
    assert all(torch.equal(x.codes, y.codes) and x.error == y.error for x, y in zip(states, short, strict=False))
    again = list(semi_nmf(a, 4, start=(states[3].codes, states[3].bank), iterations=5))
    assert torch.equal(again[-1].codes, states[-1].codes)
    assert torch.equal(again[-1].bank, states[-1].bank)
    scaled = last(semi_nmf(a * 2.0**-40, 4, init=init, iterations=8))
    assert torch.equal(scaled.codes * 2.0**40, states[-1].codes)
    assert torch.equal(scaled.bank, states[-1].bank)


@pytest.mark.parametrize("init", INITS)
def test_blocks_change_rounding_only(init):
    a = signed()
    whole, parts = (last(semi_nmf(x, 4, init=init, iterations=8)) for x in (a, a.split(33)))
    assert parts.bank == pytest.approx(whole.bank, abs=1e-7)


def test_real_signed_activations(locations):
    a = locations("features.8.1").double()
    state = last(semi_nmf(a, 8))
    assert unconstrained(a, 8) <= state.error <= unconstrained(a, 7)
    assert not state.dead


def test_a_dead_atom_is_revived():
    a = signed()
    begun = next(semi_nmf(a, 5))
    bank = begun.bank.clone()
    bank[1] = 0
    states = list(semi_nmf(a, 5, start=(begun.codes, bank)))
    assert states[0].dead == (1,)
    assert states[-1].dead == ()
    assert states[-1].error < unconstrained(a, 4)


def test_bad_input():
    a = signed()
    with pytest.raises(ValueError, match="init: wanted one of"):
        semi_nmf(a, 3, init="nndsvd")
    with pytest.raises(ValueError, match="rank: wanted at most"):
        semi_nmf(a, 41)
    with pytest.raises(ValueError, match=r"start\[0\]: wanted numbers of at least 0"):
        semi_nmf(a, 2, start=(-torch.ones(200, 2), torch.ones(2, 40)))
