"""The sparse autoencoder: a planted dictionary, codes a row, anytime, revival, going on, row by row."""

import pytest
import torch

from whatwhere.engine.factors import relative_error
from whatwhere.engine.sae import Training, encode_topk, topk_sae


def last(states):
    *_, state = states
    return state


def sparse(n=1500, p=40, rank=16, active=2):
    """Rows of a few atoms each, by one of a dictionary of unit atoms."""
    g = torch.Generator().manual_seed(0)
    bank = torch.randn(rank, p, generator=g)
    bank /= bank.norm(dim=1, keepdim=True)
    chosen = torch.rand(n, rank, generator=g).argsort(dim=1)[:, :active]
    codes = torch.zeros(n, rank).scatter(1, chosen, 0.5 + torch.rand(n, active, generator=g))
    return codes @ bank + 0.01 * torch.randn(n, p, generator=g), bank


@pytest.mark.parametrize("seed", [0, 1])
def test_a_planted_dictionary_is_found(matched, seed):
    a, bank = sparse()
    state = last(topk_sae(a, 20, Training(active=2, seed=seed)))
    assert state.converged
    assert state.error < 0.12
    assert matched(bank, state.bank).min() > 0.95


def test_every_step_is_valid():
    a, _ = sparse(400)
    for state in topk_sae(a, 8, Training(active=2), iterations=5):
        assert ((state.codes > 0).sum(dim=1) <= 2).all()
        assert (state.codes >= 0).all()
        assert state.bank.norm(dim=1) == pytest.approx(torch.ones(8), abs=1e-5)
        assert state.error == pytest.approx(relative_error(a, state.codes, state.bank, offset=state.offset), rel=1e-4)
        assert state.dictionary.decode(state.codes) == pytest.approx(
            state.codes @ state.bank + state.offset, rel=1e-5, abs=1e-6
        )


def test_codes_of_a_row_do_not_look_at_others():
    a, _ = sparse(400)
    state = last(topk_sae(a, 8, Training(active=3), iterations=5))
    together = encode_topk(state.dictionary, a.double(), 3)
    alone = torch.cat([encode_topk(state.dictionary, row[None].double(), 3) for row in a[:20]])
    assert alone == pytest.approx(together[:20], abs=1e-12)
    assert together == pytest.approx(state.codes.double(), abs=1e-4)


def test_a_shorter_run_is_a_prefix_and_seeds_repeat():
    a, _ = sparse(300)
    long = list(topk_sae(a, 6, Training(active=2), iterations=6))
    for one, other in zip(topk_sae(a, 6, Training(active=2), iterations=3), long, strict=False):
        assert torch.equal(one.bank, other.bank)
        assert torch.equal(one.codes, other.codes)
    other = last(topk_sae(a, 6, Training(active=2, seed=1), iterations=6))
    assert not torch.equal(other.bank, long[-1].bank)


def test_a_power_of_two_scales_the_codes_only():
    a, _ = sparse(300)
    one, other = (last(topk_sae(x, 6, Training(active=2), iterations=4)) for x in (a, a * 2.0**20))
    assert torch.equal(other.codes, one.codes * 2.0**20)
    assert torch.equal(other.bank, one.bank)
    assert torch.equal(other.offset, one.offset * 2.0**20)


def test_more_atoms_begin_as_good_as_it_was():
    a, _ = sparse(400)
    state = last(topk_sae(a, 6, Training(active=2), iterations=10))
    states = list(topk_sae(a, 9, Training(active=2), start=state.dictionary, iterations=20))
    assert states[0].error == pytest.approx(state.error, rel=1e-5)
    assert states[0].dead[-3:] == (6, 7, 8)
    assert not states[-1].dead
    assert states[-1].error < state.error


def test_nothing_of_the_callers_is_changed():
    a, _ = sparse(300)
    steps = topk_sae(a, 6, Training(active=2), iterations=3)
    before, state = torch.get_rng_state(), next(steps)
    kept = state.bank.clone(), state.encoder["weights"].clone(), state.encoder["bias"].clone()
    last(steps)
    assert torch.is_grad_enabled()
    assert torch.equal(before, torch.get_rng_state())
    held = (state.bank, state.encoder["weights"], state.encoder["bias"])
    assert all(torch.equal(x, y) for x, y in zip(kept, held, strict=True))
    assert not state.bank.requires_grad


def test_bad_input():
    a, _ = sparse(50)
    with pytest.raises(ValueError, match="active: wanted at most rank = 3 codes a row, got 4"):
        topk_sae(a, 3, Training(active=4))
    with pytest.raises(ValueError, match="active: wanted an integer of at least 1"):
        Training(active=0)
    with pytest.raises(ValueError, match="learning_rate: wanted a number above 0"):
        Training(active=1, learning_rate=0)
    with pytest.raises(ValueError, match="activations: wanted rows that differ"):
        next(topk_sae(torch.ones(5, 3), 2, Training(active=1)))
    state = last(topk_sae(a, 3, Training(active=1), iterations=1))
    with pytest.raises(ValueError, match=r"start: wanted a dictionary of a sparse autoencoder, \(at most 2, 40\)"):
        topk_sae(a, 2, Training(active=1), start=state.dictionary)
