"""Exact NNLS: scipy as oracle, optimality, independence of the batch, dependent atoms, scales, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls as scipy_nnls

from whatwhere.engine.nnls import nnls


def tensor(x):
    return torch.as_tensor(x, dtype=torch.float64)


def oracle(bank, activations):
    return np.stack([scipy_nnls(bank.numpy().T, row, maxiter=1000)[0] for row in activations.numpy()])


def residuals(bank, activations, codes):
    return (activations - codes @ bank).norm(dim=1)


def is_optimal(bank, activations, codes, slack=1e-9):
    """Codes are at least 0; the gradient is 0 where they are above 0, and not negative where they are 0."""
    lengths = bank.norm(dim=1) * activations.norm(dim=1, keepdim=True)
    gradient = (codes @ bank - activations) @ bank.T / torch.where(lengths > 0, lengths, 1)
    return bool((codes >= 0).all() and (gradient >= -slack).all() and (gradient[codes > 0].abs() <= slack).all())


def conditioned(rng, rank, p, smallest, *, mixed):
    """A bank whose singular values run from 1 down to `smallest`."""
    left, right = (np.linalg.qr(rng.normal(size=(p, rank)))[0] for p in (rank, p))
    bank = np.geomspace(1, smallest, rank)[:, None] * right.T
    return left @ bank if mixed else bank


def banks():
    rng = np.random.default_rng(0)
    near = rng.random((8, 40))
    near[7] = near[6] + 1e-6 * rng.random(40)
    with_zero = rng.random((6, 40))
    with_zero[2] = 0
    return {
        "signed": rng.normal(size=(10, 40)),
        "positive": rng.random((20, 40)),
        "many": rng.random((35, 40)),
        "one": rng.random((1, 40)),
        "near": near,
        "scales": rng.random((8, 40)) * np.logspace(-8, 8, 8)[:, None],
        "small angles": conditioned(rng, 8, 40, 1e-6, mixed=True),
        "small atoms": conditioned(rng, 8, 40, 1e-6, mixed=False),
        "dead": with_zero,
    }


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", sorted(banks()))
def test_scipy_says_the_same(name, signed):
    rng = np.random.default_rng(1)
    bank = tensor(banks()[name])
    a = tensor(rng.normal(size=(60, 40)) if signed else rng.random((60, 40)))
    a[7] = 0
    codes, told = nnls(bank, a), oracle(bank, a)
    sizes = bank.norm(dim=1).numpy()  # compare what each atom adds: codes of tiny atoms are huge
    assert codes.numpy() * sizes == pytest.approx(told * sizes, rel=1e-6, abs=1e-6)
    assert residuals(bank, a, codes) == pytest.approx(residuals(bank, a, tensor(told)), abs=1e-10)
    assert is_optimal(bank, a, codes)
    assert not codes[7].any()


def test_known_codes_come_back():
    rng = np.random.default_rng(2)
    bank, codes = tensor(rng.random((12, 50))), tensor(rng.random((80, 12)) * (rng.random((80, 12)) < 0.4))
    assert nnls(bank, codes @ bank) == pytest.approx(codes, abs=1e-11)
    assert nnls(bank, bank) == pytest.approx(torch.eye(12), abs=1e-12)


@pytest.mark.parametrize("rows", [[0], [41], [3, 3], list(range(100, 300)), list(range(599, -1, -1))])
@pytest.mark.parametrize("p", [30, 257])
def test_a_row_does_not_look_at_its_neighbours(rows, p):
    rng = np.random.default_rng(3)
    bank, a = tensor(rng.random((9, p))), tensor(rng.random((600, p)))
    a[::5] -= 0.5
    assert nnls(bank, a[rows]) == pytest.approx(nnls(bank, a)[rows], abs=1e-12)


def test_chunks_and_starts_change_nothing():
    rng = np.random.default_rng(4)
    bank, a = tensor(rng.random((9, 30))), tensor(rng.random((300, 30)))
    whole = nnls(bank, a)
    assert nnls(bank, a, chunk=7) == pytest.approx(whole, abs=1e-12)
    for start in (whole, torch.ones(300, 9), tensor(rng.random((300, 9))) * 1e6, torch.zeros(300, 9)):
        assert nnls(bank, a, start=start) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize("started", [False, True])
def test_of_equal_atoms_the_first_bears_the_code(started):
    rng = np.random.default_rng(5)
    bank, a = tensor(rng.random((6, 30))), tensor(rng.random((50, 30)))
    bank[3], bank[5] = 3 * bank[1], bank[1]
    codes = nnls(bank, a, start=torch.ones(50, 6) if started else None)
    assert not codes[:, [3, 5]].any()
    assert codes[:, [0, 1, 2, 4]] == pytest.approx(nnls(bank[[0, 1, 2, 4]], a), abs=1e-12)
    assert residuals(bank, a, codes) == pytest.approx(residuals(bank, a, tensor(oracle(bank, a))), abs=1e-12)


@pytest.mark.parametrize("started", [False, True])
def test_dependent_atoms_leave_the_same_residual(started):
    rng = np.random.default_rng(6)
    bank, a = tensor(rng.random((6, 30))), tensor(rng.random((50, 30)))
    bank[4] = bank[1] + bank[2]
    bank[5] = bank[0] - bank[1]
    codes = nnls(bank, a, start=torch.ones(50, 6) if started else None)
    assert residuals(bank, a, codes) == pytest.approx(residuals(bank, a, tensor(oracle(bank, a))), abs=1e-10)
    assert is_optimal(bank, a, codes)


def test_atoms_that_are_nearly_equal_stay_two():
    bank, a = tensor([[1.0, 1e-7], [1, 0]]), tensor([[1.0, 2e-8], [3, 1e-7]])
    assert nnls(bank, a) == pytest.approx(tensor([[0.2, 0.8], [1, 2]]), abs=1e-7)


def test_a_bank_of_dead_atoms():
    assert not nnls(torch.zeros(2, 3), torch.ones(4, 3)).any()


def test_opposite_atoms_are_not_equal():
    bank = tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 1]])
    known = tensor([[2, 0, 1], [0, 3, 0]])
    assert nnls(bank, tensor([[2.0, 1, 1], [-3, 0, 0]])) == pytest.approx(known, abs=1e-12)


def test_more_atoms_than_columns():
    rng = np.random.default_rng(7)
    bank, a = tensor(rng.normal(size=(12, 5))), tensor(rng.normal(size=(60, 5)))
    codes = nnls(bank, a)
    assert residuals(bank, a, codes) == pytest.approx(residuals(bank, a, tensor(oracle(bank, a))), abs=1e-9)
    assert is_optimal(bank, a, codes)


@settings(max_examples=60, deadline=None)
@given(
    rank=st.integers(1, 7),
    p=st.integers(1, 9),
    numbers=st.integers(0, 2**32 - 1),
    levels=st.integers(1, 4),
)
def test_small_whole_numbers_make_ties_and_dependence(rank, p, numbers, levels):
    rng = np.random.default_rng(numbers)
    bank = tensor(rng.integers(-levels, levels + 1, size=(rank, p)))
    a = tensor(rng.integers(-levels, levels + 1, size=(12, p)))
    assert is_optimal(bank, a, nnls(bank, a))


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1.0, 1e16, 1e30])
def test_rows_that_float32_cannot_square(size):
    """Rows of float32 are measured in float32 where that is exact enough; the codes are the same."""
    bank, a = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[2.0, 1.0], [1.0, -3.0], [0.0, 0.0]])
    codes = nnls(bank, a * size)
    assert codes.dtype == torch.float32
    assert (codes / size).tolist() == [pytest.approx([1, 1]), [pytest.approx(1), 0], [0, 0]]
    mixed = nnls(bank, torch.cat([a, a * size]))
    assert torch.equal(mixed[3:], codes)


@pytest.mark.parametrize("size", [1e-200, 1e-30, 1e30, 1e150])
def test_scales_of_either_side(size):
    rng = np.random.default_rng(8)
    bank, a = tensor(rng.random((5, 20))), tensor(rng.random((30, 20)))
    plain = nnls(bank, a)
    assert nnls(bank, a * size) / size == pytest.approx(plain, abs=1e-12)
    assert nnls(bank * size, a) * size == pytest.approx(plain, abs=1e-12)


def test_dtypes_and_gradients():
    rng = np.random.default_rng(9)
    bank, a = tensor(rng.random((5, 20))), tensor(rng.random((30, 20)))
    plain = nnls(bank, a)
    narrow = nnls(bank.float(), a.float())
    assert (plain.dtype, narrow.dtype, nnls(bank.float(), a.half()).dtype) == (
        torch.float64,
        torch.float32,
        torch.float32,
    )
    assert narrow.numpy() == pytest.approx(plain.numpy(), abs=1e-5)
    assert not nnls(bank.requires_grad_(), a).requires_grad


def test_real_activations(locations):
    a = locations("features").double()
    bank = a[::25]
    codes = nnls(bank, a)
    assert codes.numpy() == pytest.approx(oracle(bank, a), abs=1e-6)
    assert codes[::25] == pytest.approx(torch.eye(len(bank)), abs=1e-9)
    assert nnls(bank, a[50:99]) == pytest.approx(codes[50:99], abs=1e-10)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"bank": [[1.0]]}, TypeError, r"bank: wanted a torch\.Tensor, got list"),
        ({"bank": torch.ones(2, 3)}, ValueError, "activations: wanted 3 columns as the bank has"),
        ({"activations": torch.ones(4)}, ValueError, "activations: wanted a matrix"),
        ({"activations": torch.full((5, 4), torch.inf)}, ValueError, "activations: wanted finite numbers, got inf"),
        ({"start": torch.ones(5, 3)}, ValueError, r"start: wanted shape \(n, r\) = \(5, 2\), got \(5, 3\)"),
        ({"start": -torch.ones(5, 2)}, ValueError, "start: wanted numbers of at least 0, got -1"),
        ({"chunk": 0}, ValueError, "chunk: wanted an integer of at least 1"),
    ],
)
def test_bad_input(arguments, error, match):
    with pytest.raises(error, match=match):
        nnls(**{"bank": torch.ones(2, 4), "activations": torch.ones(5, 4)} | arguments)
