"""Gradients of codes: differences, an unrolled solver, autograd's own check, kinks, near dependence, scales."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whatwhere.engine.implicit import codes, implicit_codes
from whatwhere.engine.nnls import nnls


def problem(n=12, p=30, r=7, *, seed=0, signed=False):
    """Rows whose codes are partly 0, none of them near a kink."""
    rng = np.random.default_rng(seed)
    draw = rng.normal if signed else rng.uniform
    bank, rows = torch.as_tensor(draw(size=(r, p))), torch.as_tensor(rng.normal(0.3, 1, (n, p)))
    return bank, rows


def gradient_of(bank, rows, cotangents, **options):
    rows = rows.clone().requires_grad_()
    return torch.autograd.grad((codes(bank, rows, **options) * cotangents).sum(), rows)[0]


def differences(function, x, step):
    """Central differences of a scalar function, entry by entry."""
    out = torch.zeros_like(x)
    for k in np.ndindex(*x.shape):
        near = []
        for sign in (1, -1):
            moved = x.clone()
            moved[k] += sign * step
            near.append(float(function(moved)))
        out[k] = (near[0] - near[1]) / (2 * step)
    return out


@pytest.mark.parametrize("ridge", [0, 0.1])
@pytest.mark.parametrize("signed", [False, True])
def test_differences_say_the_same(signed, ridge):
    bank, rows = problem(4, 12, 5, signed=signed)
    cotangents = torch.randn(4, 5, dtype=torch.float64)
    found = codes(bank, rows, ridge=ridge)
    assert 0 < (found > 0).double().mean() < 1
    wanted = differences(lambda x: (codes(bank, x, ridge=ridge) * cotangents).sum(), rows, 1e-5)
    got = gradient_of(bank, rows, cotangents, ridge=ridge)
    assert (got - wanted).norm() <= 1e-6 * wanted.norm()


def test_a_long_unrolled_projected_gradient_says_the_same():
    bank, rows = problem(20, 30, 6, seed=1)
    cotangents = torch.randn(20, 6, dtype=torch.float64)
    gram = bank @ bank.T
    step = 1 / torch.linalg.eigvalsh(gram).max()
    leaf = rows.clone().requires_grad_()
    unrolled = torch.zeros(20, 6, dtype=torch.float64)
    for _ in range(4000):
        unrolled = (unrolled - step * (unrolled @ gram - leaf @ bank.T)).clamp_min(0)
    wanted = torch.autograd.grad((unrolled * cotangents).sum(), leaf)[0]
    assert codes(bank, rows) == pytest.approx(unrolled.detach(), abs=1e-9)
    assert gradient_of(bank, rows, cotangents) == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("ridge", [0, 0.5])
def test_autograd_checks_itself(ridge):
    bank, rows = problem(6, 10, 4, seed=2)
    assert torch.autograd.gradcheck(lambda x: codes(bank, x, ridge=ridge, chunk=4), (rows.requires_grad_(),))


def test_codes_are_those_of_nnls():
    bank, rows = problem(50, 30, 8, seed=3)
    assert torch.equal(codes(bank, rows), nnls(bank, rows))
    assert torch.equal(codes(bank.float(), rows.float()), nnls(bank.float().double(), rows.float().double()).float())


def test_a_ridge_is_the_penalty_it_says():
    bank, rows = problem(40, 30, 6, seed=4)
    ridge = 0.3
    found = codes(bank, rows, ridge=ridge)
    penalty = ridge * bank.square().sum() / 6
    slope = (found @ bank - rows) @ bank.T + penalty * found
    assert slope[found > 0].abs().max() < 1e-10
    assert slope[found == 0].min() > -1e-10
    assert (found.norm(dim=1) < codes(bank, rows).norm(dim=1)).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), r=st.integers(1, 8))
def test_codes_are_homogeneous_so_their_gradient_along_the_row_is_the_code(seed, r):
    """u(ta) = t u(a) for t >= 0, hence du/da . a = u: Euler's identity, at every point off the kinks."""
    bank, rows = problem(5, 12, r, seed=seed, signed=True)
    jacobian = torch.autograd.functional.jacobian(lambda x: codes(bank, x), rows)
    along = torch.einsum("ikjp,jp->ik", jacobian, rows)
    assert along == pytest.approx(codes(bank, rows), abs=1e-8)


def test_idle_codes_pass_nothing_on():
    bank, rows = problem(30, 30, 6, seed=5)
    idle = (codes(bank, rows) == 0).double()
    assert idle.any()
    assert not gradient_of(bank, rows, idle).any()


def test_rows_of_zeros_and_dead_atoms():
    bank, rows = problem(4, 10, 3, seed=6)
    bank[1] = 0
    rows[2] = 0
    found = implicit_codes(bank, rows)
    assert not found.codes[2].any()
    assert found.degenerate[2].tolist() == [True, False, True]
    assert not found.degenerate[:, 1].any()
    got = gradient_of(bank, rows, torch.ones(4, 3, dtype=torch.float64))
    assert torch.isfinite(got).all()
    assert not got[2].any()


def test_a_kink_is_flagged_and_takes_the_zero():
    """Atoms along the axes: a code is the positive part of its entry, with a kink where that is 0."""
    rows = torch.tensor([[1.0, 0.0, -1.0], [1.0, 1e-3, -1e-3]], dtype=torch.float64)
    found = implicit_codes(torch.eye(3, dtype=torch.float64), rows)
    assert found.degenerate.tolist() == [[False, True, False], [False, False, False]]
    got = gradient_of(torch.eye(3, dtype=torch.float64), rows, torch.ones(2, 3, dtype=torch.float64))
    assert got.tolist() == [[1, 0, 0], [1, 1, 0]]


@pytest.mark.parametrize("apart", [1e-3, 1e-5, 1e-7, 1e-12])
def test_atoms_that_nearly_coincide_have_finite_gradients(apart):
    bank, _ = problem(1, 20, 4, seed=7)
    bank[3] = bank[2] + apart * torch.randn(20, dtype=torch.float64)
    rows = torch.rand(30, 4, dtype=torch.float64) @ bank
    found = implicit_codes(bank, rows)
    both = (found.codes[:, 2:] > 0).all(dim=1)
    got = gradient_of(bank, rows, torch.ones(30, 4, dtype=torch.float64))
    assert torch.isfinite(got).all()
    assert both.any()
    if apart >= 1e-3:
        assert not found.regularised.any()
    if apart <= 1e-7:
        assert torch.equal(found.regularised, both)
    assert got.abs().max() < 1e7


def test_regularised_rows_still_follow_what_is_well_determined():
    """The sum of two nearly equal atoms' codes moves as that of one atom in their place."""
    bank, _ = problem(1, 20, 3, seed=8)
    twice = torch.cat([bank, bank[2:] + 1e-9 * torch.randn(1, 20, dtype=torch.float64)])
    rows = torch.rand(10, 4, dtype=torch.float64) @ twice
    assert implicit_codes(twice, rows).regularised.any()
    got = gradient_of(twice, rows, torch.tensor([0.0, 0, 1, 1], dtype=torch.float64))
    wanted = gradient_of(bank, rows, torch.tensor([0.0, 0, 1], dtype=torch.float64))
    assert got == pytest.approx(wanted, abs=1e-5)


def test_a_row_is_by_itself():
    bank, rows = problem(40, 30, 6, seed=9)
    cotangents = torch.randn(40, 6, dtype=torch.float64)
    whole = gradient_of(bank, rows, cotangents)
    alone = torch.cat([gradient_of(bank, rows[k : k + 1], cotangents[k : k + 1]) for k in range(40)])
    assert alone == pytest.approx(whole, abs=1e-13)
    assert gradient_of(bank, rows, cotangents, chunk=7) == pytest.approx(whole, abs=1e-13)


@pytest.mark.parametrize("size", [1e-30, 1e-100, 1e30, 1e100])
def test_scales_of_either_side(size):
    bank, rows = problem(10, 20, 5, seed=10)
    cotangents = torch.randn(10, 5, dtype=torch.float64)
    plain = gradient_of(bank, rows, cotangents)
    assert gradient_of(bank, rows * size, cotangents) == pytest.approx(plain, abs=1e-10)
    assert gradient_of(bank * size, rows, cotangents) * size == pytest.approx(plain, abs=1e-10)


def test_dtypes_modes_and_batched_gradients():
    bank, rows = problem(10, 20, 5, seed=11)
    narrow = rows.float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = codes(bank.float(), narrow)
        (got,) = torch.autograd.grad(found.sum(), narrow, retain_graph=True)
    assert found.dtype == got.dtype == torch.float32
    ones = torch.ones(10, 5, dtype=torch.float64)
    assert got.numpy() == pytest.approx(gradient_of(bank, rows, ones).numpy(), rel=1e-4, abs=1e-5)
    with torch.inference_mode():
        assert not codes(bank, rows).requires_grad
    every = torch.eye(5)[:, None].expand(5, 10, 5).contiguous()
    (batched,) = torch.autograd.grad(found, narrow, every, is_grads_batched=True, retain_graph=True)
    single = torch.stack([torch.autograd.grad(found, narrow, v, retain_graph=True)[0] for v in every])
    assert batched == pytest.approx(single, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"bank": [[1.0]]}, TypeError, r"bank: wanted a torch\.Tensor, got list"),
        ({"bank": torch.ones(2, 3)}, ValueError, "activations: wanted 3 columns as the bank has"),
        ({"bank": torch.ones(2, 4, requires_grad=True)}, ValueError, r"bank: wanted a fixed bank.*detach"),
        ({"activations": torch.full((5, 4), torch.nan)}, ValueError, "activations: wanted finite numbers, got nan"),
        ({"ridge": -1}, ValueError, "ridge: wanted a finite number of at least 0, got -1"),
        ({"ridge": "much"}, TypeError, "ridge: wanted a number, got str"),
        ({"chunk": 0}, ValueError, "chunk: wanted an integer of at least 1"),
    ],
)
def test_bad_input(arguments, error, match):
    with pytest.raises(error, match=match):
        codes(**{"bank": torch.ones(2, 4), "activations": torch.ones(5, 4)} | arguments)


def test_a_second_derivative_is_refused():
    bank, rows = problem(3, 10, 2, seed=12)
    rows.requires_grad_()
    (first,) = torch.autograd.grad(codes(bank, rows).square().sum(), rows, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
