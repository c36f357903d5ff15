"""NMF: planted factors, the error, invariances, going on, dead atoms, bad input; scikit-learn as oracle."""

import itertools
import warnings

import numpy as np
import pytest
import torch

from whatwhere.engine._alternating import one_pass
from whatwhere.engine._rows import Rows
from whatwhere.engine._svd import unit_atoms
from whatwhere.engine.factors import relative_error
from whatwhere.engine.nmf import INITS, encode, hals

SLACK = {torch.float32: 3e-7, torch.float64: 1e-14}  # of ||A||, in the error


def last(states):
    *_, state = states
    return state


def equal(first, second):
    same = torch.equal(first.codes, second.codes) and torch.equal(first.bank, second.bank)
    return same and first.error == second.error


def direct_error(activations, state):
    a = activations.double()
    return float((a - state.codes.double() @ state.bank.double()).norm() / a.norm())


def sklearn_error(activations, rank):
    """Best of scikit-learn's own starts, run to its own end."""
    decomposition = pytest.importorskip("sklearn.decomposition")
    a, errors = activations.double().numpy(), []
    for init in ("nndsvda", "nndsvd", "random"):
        fit = decomposition.NMF(rank, init=init, max_iter=500, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged, on random numbers
            fit.fit(a)
        errors.append(fit.reconstruction_err_ / np.linalg.norm(a))
    return min(errors)


def dense(seed, n=200, p=60, power=1):
    return torch.rand(n, p, generator=torch.Generator().manual_seed(seed)) ** power


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_planted_factors_are_found(planted, matched, init, dtype):
    known = planted(dtype=dtype)
    state = last(hals(known.activations, 8, init=init))
    assert state.converged
    assert state.codes.dtype == state.bank.dtype == dtype
    assert matched(state.bank, known.bank).min() > 0.999
    assert matched(state.codes.T, known.codes.T).min() > 0.999
    assert state.error < 0.02


@pytest.mark.parametrize("init", INITS)
def test_without_noise_nothing_is_left(planted, init):
    known = planted(noise=0, dtype=torch.float64)
    assert last(hals(known.activations, 8, init=init, tolerance=0, iterations=2000)).error < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("init", INITS)
def test_the_error_never_rises_and_is_the_residuals(planted, init, dtype):
    for a in (planted(dtype=dtype).activations, dense(0, power=4).to(dtype)):
        states = list(hals(a, 6, init=init, iterations=40))
        errors = [state.error for state in states]
        assert all(after <= before + SLACK[dtype] for before, after in itertools.pairwise(errors))
        assert all(state.codes.min() >= 0 and state.bank.min() >= 0 for state in states)
        for state in (states[0], states[1], states[-1]):
            assert state.error == pytest.approx(direct_error(a, state), rel=1e-5, abs=SLACK[dtype])
            assert state.bank.norm(dim=1) == pytest.approx(torch.ones(6), abs=1e-6)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("noise", [0.02, 0.3, None])
def test_in_double_precision_the_error_is_the_residuals_to_ten_digits(planted, init, noise):
    """By products while it is large, by the residual where it is small."""
    a = dense(0, power=4).double() if noise is None else planted(noise=noise, dtype=torch.float64).activations
    for state in hals(a, 6, init=init, iterations=60):
        assert state.error == pytest.approx(direct_error(a, state), rel=1e-10)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("noise", [0.02, 0.3, None])
def test_at_the_end_nothing_can_be_gained(planted, init, noise):
    """The conditions of a minimum under u, w >= 0: no slope where a number is above 0, none downwards where it is 0."""
    a = dense(0, power=4).double() if noise is None else planted(noise=noise, dtype=torch.float64).activations
    states = list(hals(a, 6, init=init, tolerance=0, iterations=3000))
    assert len(states) < 3000

    def residual(state):
        u, w = state.codes, state.bank
        slopes = (u @ w - a) @ w.T, u.T @ (u @ w - a)
        return max(
            float((x - (x - slope).clamp_min(0)).abs().max() / a.norm())
            for x, slope in zip((u, w), slopes, strict=True)
        )

    assert residual(states[1]) > 1e-3
    assert residual(states[-1]) < 1e-8
    assert residual(last(hals(a, 6, init=init))) < 5e-4  # at its own tolerance


@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_large_errors_by_products_are_those_of_the_residual(noise):
    """The error, and the step of the bank, against the residual in float64."""
    torch.manual_seed(3)
    a = torch.rand(90, 4) @ torch.rand(4, 60) + noise * torch.rand(90, 60)
    for chunk in (4096, 31):
        rows = Rows(a, device=None, chunk=chunk, signed=False)
        codes, bank = torch.rand(90, 5), unit_atoms(torch.rand(5, 60))
        fast, slow = (one_pass(rows, codes, bank, 3, 0, error=error) for error in (1.0, 0.0))
        wanted = (a / rows.scale).double() - fast.codes.double() @ bank.double()
        assert fast.squares == pytest.approx(float(wanted.square().sum()), rel=1e-5)
        assert torch.allclose(fast.codes, slow.codes, atol=1e-5)
        assert torch.allclose(fast.gradient, fast.codes.double().T @ wanted, atol=1e-6 * rows.squares)
        assert torch.allclose(fast.gram, slow.gram, rtol=1e-5)


def test_small_errors_are_told_truly_in_float32(planted):
    known = planted(noise=1e-4)
    state = last(hals(known.activations, 8, tolerance=0, iterations=300))
    assert state.error < 2e-4
    assert state.error == pytest.approx(direct_error(known.activations, state), rel=0.01)


@pytest.mark.parametrize("name", ["planted", "uniform", "sparse"])
def test_scikit_learn_is_no_better(planted, name):
    noisy = planted(300, 80, 6, noise=0.3).activations
    a = {"planted": noisy, "uniform": dense(1), "sparse": dense(2, power=4)}[name]
    assert last(hals(a, 6)).error <= 1.01 * sklearn_error(a, 6)


def test_on_real_activations_scikit_learn_is_no_better(locations):
    a = locations("features")
    for rank in (5, 10):
        state = last(hals(a, rank))
        assert state.error <= 1.01 * sklearn_error(a, rank)
        assert not state.dead


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("factor", [2.0**-60, 2.0**50])
def test_a_power_of_two_scales_the_codes_and_changes_nothing_else(planted, init, factor):
    a = planted(200, 50, 4).activations
    for one, other in zip(hals(a, 4, init=init), hals(a * factor, 4, init=init), strict=True):
        assert torch.equal(one.codes * factor, other.codes)
        assert torch.equal(one.bank, other.bank)
        assert one.error == other.error


def test_any_factor_scales_the_codes(planted):
    a = planted(200, 50, 4, dtype=torch.float64).activations
    one, other = last(hals(a, 4)), last(hals(0.003 * a, 4))
    assert other.codes == pytest.approx(0.003 * one.codes, rel=1e-6, abs=1e-9)
    assert other.bank == pytest.approx(one.bank, abs=1e-7)


def test_permuted_rows_permute_the_codes(planted):
    a = planted(200, 50, 4, dtype=torch.float64).activations
    order = torch.randperm(200)
    one, other = last(hals(a, 4)), last(hals(a[order], 4))
    assert other.codes == pytest.approx(one.codes[order], abs=1e-7)


@pytest.mark.parametrize("chunk", [7, 64])
def test_blocks_and_chunks_change_rounding_only(planted, chunk):
    a = planted(200, 50, 4, dtype=torch.float64).activations
    whole = last(hals(a, 4))
    for other in (last(hals(a, 4, chunk=chunk)), last(hals(a.split(chunk), 4))):
        assert other.error == pytest.approx(whole.error, rel=1e-9)
        assert other.bank == pytest.approx(whole.bank, abs=1e-7)
    assert equal(last(hals(a, 4, chunk=chunk)), last(hals(a.split(chunk), 4)))


def test_blocks_are_asked_for_once_a_pass(planted):
    a = planted(200, 50, 4).activations

    class Loading:
        asked = 0

        def __len__(self):
            return 4

        def __getitem__(self, k):
            if k == 4:
                raise IndexError(k)
            self.asked += 1
            return a[50 * k : 50 * k + 50]

    blocks = Loading()
    states = hals(blocks, 4)
    next(states)
    before = blocks.asked
    next(states)
    assert blocks.asked == before + 4


@pytest.mark.parametrize("init", INITS)
def test_a_shorter_run_is_a_prefix_and_a_seed_a_result(planted, init):
    a = planted(200, 50, 4).activations
    long, short = list(hals(a, 4, init=init, seed=3)), list(hals(a, 4, init=init, seed=3, iterations=3))
    assert [state.iteration for state in short] == [0, 1, 2, 3]
    assert all(equal(*pair) for pair in zip(long, short, strict=False))
    assert not short[-1].converged
    assert [state.converged for state in long] == [False] * (len(long) - 1) + [True]


def test_seeds_differ(planted):
    a = planted(200, 50, 4).activations
    first, second = (next(hals(a, 4, init="random", seed=seed)) for seed in (0, 1))
    assert not torch.equal(first.bank, second.bank)


def test_a_warm_start_goes_on(planted):
    a = planted(200, 50, 4).activations * 0.01
    states = list(hals(a, 4))
    again = list(hals(a, 4, start=(states[3].codes, states[3].bank)))
    assert [state.iteration for state in again] == list(range(len(states) - 3))
    for state, other in zip(states[4:], again[1:], strict=True):
        assert torch.equal(state.codes, other.codes)
        assert torch.equal(state.bank, other.bank)
        assert other.error == pytest.approx(state.error, rel=1e-6)


def test_states_stay_as_they_are(planted):
    a = planted(200, 50, 4).activations
    states = hals(a, 4)
    state = next(states)
    codes, bank = state.codes.clone(), state.bank.clone()
    others = list(states)
    assert torch.equal(state.codes, codes)
    assert torch.equal(state.bank, bank)
    spoiled = hals(a, 4)
    first = next(spoiled)
    first.codes.zero_()
    first.bank.zero_()
    assert equal(last(spoiled), others[-1])


def test_nothing_is_held_between_two_states(planted):
    states = hals(planted(200, 50, 4).activations, 4)
    told = torch.backends.cuda.matmul.fp32_precision
    with torch.autocast("cpu", torch.bfloat16):
        while (state := next(states, None)) is not None:
            assert torch.is_grad_enabled()
            assert torch.is_autocast_enabled("cpu")
            assert torch.backends.cuda.matmul.fp32_precision == told
            assert not state.bank.requires_grad
            assert state.bank.dtype == torch.float32
    weight = torch.ones(50, requires_grad=True)
    (last(hals(planted(200, 50, 4).activations, 4, iterations=2)).bank @ weight).sum().backward()
    assert weight.grad is not None


def test_settings_come_back_after_an_exception(planted):
    a = planted(200, 50, 4).activations

    class Failing(list):
        def __iter__(self):
            self.loops = getattr(self, "loops", 0) + 1
            if self.loops > 8:
                raise OSError("gone")
            return super().__iter__()

    states = hals(Failing([a]), 4)
    with pytest.raises(OSError, match="gone"):
        list(states)
    assert torch.is_grad_enabled()
    assert list(states) == []


def test_rows_and_columns_of_zeros_stay_zeros(planted):
    a = planted(200, 50, 4, dtype=torch.float64).activations
    padded = torch.zeros(230, 60, dtype=torch.float64)
    padded[:200, :50] = a
    one = last(hals(a, 4))
    other = last(hals(padded, 4))
    assert not other.codes[200:].any()
    assert not other.bank[:, 50:].any()
    assert other.bank[:, :50] == pytest.approx(one.bank, abs=1e-4)
    assert other.error == pytest.approx(one.error, rel=1e-4)


def test_a_dead_atom_is_revived(planted, matched):
    known = planted(dtype=torch.float64)
    bank = known.bank.clone()
    bank[2] = 0
    start = (known.codes, bank)
    states = list(hals(known.activations, 8, start=start))
    assert states[0].dead == (2,)
    assert states[-1].dead == ()
    assert matched(states[-1].bank, known.bank).min() > 0.999
    errors = [state.error for state in states]
    assert all(after <= before + 1e-14 for before, after in itertools.pairwise(errors))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("init", INITS)
def test_more_atoms_than_the_rank_of_the_data(init, dtype):
    a = (torch.arange(1.0, 21)[:, None] * torch.arange(1.0, 11)).to(dtype)
    states = list(hals(a, 3, init=init))
    assert len(states) < 200
    assert states[-1].error < 1e-5
    assert all(torch.isfinite(state.codes).all() and torch.isfinite(state.bank).all() for state in states)
    begun = (torch.ones(20, 3, dtype=dtype), torch.tensor([[1.0], [0], [0]], dtype=dtype) * a[:1])
    assert last(hals(a, 3, start=begun)).dead == (1, 2)


def test_half_precision_is_computed_in_float32(planted):
    a = planted(100, 40, 3).activations
    state = last(hals(a.half(), 3))
    assert state.bank.dtype == torch.float32
    assert equal(state, last(hals(a.half().float(), 3)))


def test_codes_for_a_fixed_bank(planted):
    known = planted(200, 50, 4, dtype=torch.float64)
    bank = 3 * known.bank
    states = list(encode(known.codes @ bank, bank, tolerance=0, iterations=500))
    assert all(torch.equal(state.bank, bank) for state in states)
    assert states[-1].codes == pytest.approx(known.codes, abs=1e-9)
    again = next(encode(known.codes @ bank, bank, start=known.codes))
    assert again.error == pytest.approx(0, abs=1e-12)
    assert again.converged
    signed = encode(torch.randn(30, 50).double(), torch.randn(4, 50).double())
    assert last(signed).codes.min() == 0


GOOD = torch.ones(6, 4)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (
            {"activations": GOOD.numpy()},
            TypeError,
            r"activations: wanted a torch\.Tensor or a sequence of them, got ndarray",
        ),
        ({"activations": GOOD.int()}, TypeError, "activations: wanted floating-point numbers, got dtype torch.int32"),
        ({"activations": GOOD[0]}, ValueError, r"activations: wanted a matrix .* got shape \(4,\)"),
        ({"activations": GOOD[:0]}, ValueError, r"activations: wanted a matrix .* got shape \(0, 4\)"),
        ({"activations": []}, ValueError, "activations: wanted at least one block"),
        ({"activations": [GOOD, GOOD[:, :3]]}, ValueError, r"activations\[1\]: wanted 4 columns"),
        (
            {"activations": [GOOD, -GOOD]},
            ValueError,
            r"activations\[1\]: wanted numbers of at least 0, got -1, 24 below",
        ),
        ({"activations": GOOD * float("nan")}, ValueError, r"activations: wanted finite numbers, got nan at \(0, 0\)"),
        ({"activations": GOOD * 0}, ValueError, "activations: wanted a number other than 0, got 6 rows of zeros"),
        ({"rank": 5}, ValueError, r"rank: wanted at most min\(n, p\) = 4 atoms .* got 5"),
        ({"rank": 0}, ValueError, "rank: wanted an integer of at least 1, got 0"),
        ({"rank": 1.5}, TypeError, "rank: wanted an integer"),
        ({"init": "nmf"}, ValueError, "init: wanted one of"),
        ({"tolerance": 1}, ValueError, "tolerance: wanted a share"),
        ({"tolerance": float("nan")}, ValueError, "tolerance: wanted a share"),
        ({"tolerance": "no"}, TypeError, "tolerance: wanted a number"),
        ({"iterations": -1}, ValueError, "iterations: wanted an integer of at least 0"),
        ({"seed": -1}, ValueError, "seed: wanted an integer from 0"),
        ({"chunk": 0}, ValueError, "chunk: wanted an integer of at least 1"),
        ({"start": (torch.ones(6, 3), torch.ones(2, 4))}, ValueError, r"start: wanted codes of shape \(n, rank\)"),
        ({"start": (torch.ones(6, 2), -torch.ones(2, 4))}, ValueError, r"start\[1\]: wanted numbers of at least 0"),
    ],
)
def test_bad_input_is_told_before_the_first_iteration(arguments, error, match):
    with pytest.raises(error, match=match):
        hals(**{"activations": GOOD, "rank": 2} | arguments)


def test_a_bank_of_other_columns():
    with pytest.raises(ValueError, match="bank: wanted 4 columns"):
        encode(GOOD, torch.ones(2, 5))


def test_relative_error_of_blocks(planted):
    known = planted(100, 30, 3, noise=0.5)
    state = last(hals(known.activations, 3))
    for a in (known.activations, known.activations.split(9)):
        told = relative_error(a, state.codes, state.bank, chunk=11)
        assert told == pytest.approx(direct_error(known.activations, state), rel=1e-5)
