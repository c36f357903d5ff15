"""Principal components: the bound of Eckart and Young, scikit-learn as oracle, signs, dead components, blocks."""

import numpy as np
import pytest
import torch

from whatwhere.engine import pca as module
from whatwhere.engine.factors import relative_error
from whatwhere.engine.pca import pca


def signed(n=80, p=30, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return (torch.randn(n, p, generator=g, dtype=torch.float64) @ torch.randn(p, p, generator=g).double() + 3).to(dtype)


def only(states):
    (state,) = states
    return state


@pytest.mark.parametrize("shape", [(80, 30), (20, 50), (30, 30)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_error_is_the_bound_of_eckart_and_young(shape, dtype):
    a = signed(*shape, dtype=dtype)
    values = torch.linalg.svdvals(a.double() - a.double().mean(dim=0))
    for rank in (1, 5, 19):
        state = only(pca(a, rank))
        bound = float(values[rank:].square().sum().sqrt() / a.double().norm())
        assert state.converged
        assert state.error == pytest.approx(bound, rel=1e-5, abs=1e-7)
        assert relative_error(a, state.codes, state.bank, offset=state.offset) == pytest.approx(
            bound, rel=1e-4, abs=3e-7
        )
        assert state.bank @ state.bank.T == pytest.approx(torch.eye(rank), abs=1e-6)


def test_scikit_learn_finds_the_same():
    decomposition = pytest.importorskip("sklearn.decomposition")
    a = signed()
    fit, state = decomposition.PCA(6, svd_solver="full").fit(a.numpy()), only(pca(a, 6))
    signs = np.sign((fit.components_ * state.bank.numpy()).sum(axis=1, keepdims=True))
    assert state.bank.numpy() == pytest.approx(fit.components_ * signs, abs=1e-9)
    assert state.offset.numpy() == pytest.approx(fit.mean_)
    assert state.codes.numpy() == pytest.approx(fit.transform(a.numpy()) * signs.T, abs=1e-8)


def test_components_are_turned_to_where_they_have_more_energy():
    state = only(pca(signed() ** 3, 5))
    assert (state.codes.relu().square().sum(dim=0) >= (-state.codes).relu().square().sum(dim=0)).all()


def test_components_beyond_the_rank_are_dead():
    low = torch.randn(40, 2, dtype=torch.float64) @ torch.randn(2, 12, dtype=torch.float64)
    state = only(pca(low, 5))
    assert state.dead == (2, 3, 4)
    assert not state.bank[2:].any()
    assert state.error < 1e-12
    same = only(pca(torch.ones(6, 3), 2))
    assert same.error == 0
    assert same.dead == (0, 1)


def test_blocks_change_rounding_only_and_a_factor_scales(planted):
    a = planted(200, 50, 4, dtype=torch.float64).activations
    whole = only(pca(a, 4))
    for other in (only(pca(a.split(37), 4)), only(pca(a, 4, chunk=11))):
        assert other.bank == pytest.approx(whole.bank, abs=1e-9)
        assert other.codes == pytest.approx(whole.codes, abs=1e-9)
    small = only(pca(a * 1e-6, 4))
    assert small.codes == pytest.approx(whole.codes * 1e-6, rel=1e-6, abs=1e-14)
    assert small.error == pytest.approx(whole.error)


def test_large_matrices_go_by_subspace_iteration(monkeypatch, planted):
    a = planted(200, 50, 4, noise=0.3, dtype=torch.float64).activations
    exact = only(pca(a, 3))
    monkeypatch.setattr(module, "_DENSE", 10)
    other = only(pca(a, 3))
    assert other.error == pytest.approx(exact.error, rel=1e-9)
    assert other.bank == pytest.approx(exact.bank, abs=1e-6)


def test_bad_input():
    with pytest.raises(ValueError, match="rank: wanted at most min"):
        pca(torch.ones(3, 2), 3)
    with pytest.raises(ValueError, match="activations: wanted finite numbers, got nan"):
        pca(torch.tensor([[1.0, torch.nan]]), 1)
