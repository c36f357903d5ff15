"""K-means: scikit-learn as oracle, inertia, projections, empty clusters, zero rows, going on."""

import itertools

import pytest
import torch

from whatwhere.engine.factors import relative_error
from whatwhere.engine.kmeans import kmeans, nearest


def last(states):
    *_, state = states
    return state


def blobs(clusters=5, each=60, p=20):
    g = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(clusters, p, generator=g, dtype=torch.float64)
    noise = 0.3 * torch.randn(clusters * each, p, generator=g, dtype=torch.float64)
    return centres.repeat(each, 1) + noise, centres


def centres_of(state):
    return state.encoder["lengths"][:, None] * state.bank


def inertia(a, state):
    return float(torch.cdist(a.double(), centres_of(state).double()).amin(dim=1).square().sum())


def test_planted_clusters_are_found():
    a, known = blobs()
    state = last(kmeans(a, 5))
    distances = torch.cdist(known, centres_of(state))
    assert distances.amin(dim=1).max() < 0.4
    labels = state.codes.argmax(dim=1).reshape(-1, 5)
    assert (labels == labels[0]).all()
    assert state.converged


def test_from_the_same_centres_scikit_learn_comes_to_the_same_inertia():
    cluster = pytest.importorskip("sklearn.cluster")
    a = torch.randn(300, 8, dtype=torch.float64)
    states = list(kmeans(a, 6, tolerance=0))
    fit = cluster.KMeans(6, init=centres_of(states[0]).numpy(), n_init=1, tol=0, algorithm="lloyd").fit(a.numpy())
    assert inertia(a, states[-1]) == pytest.approx(fit.inertia_, rel=1e-9)


def test_the_start_is_as_good_as_scikit_learns(planted):
    cluster = pytest.importorskip("sklearn.cluster")
    a = planted(noise=0.3).activations
    best = cluster.KMeans(8, n_init=3, random_state=0).fit(a.numpy()).inertia_
    ours = [inertia(a, last(kmeans(a, 8, seed=seed))) for seed in range(3)]
    assert min(ours) <= 1.02 * best
    assert max(ours) <= 1.15 * best


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inertia_never_rises_and_the_error_is_that_of_the_projections(planted, dtype):
    a = planted(dtype=dtype, noise=0.3).activations
    states = list(kmeans(a, 7, tolerance=0))
    inertias = [inertia(a, state) for state in states]
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(inertias))
    for state in (states[0], states[-1]):
        assert ((state.codes > 0).sum(dim=1) <= 1).all()
        assert state.codes.dtype == dtype
        assert state.error == pytest.approx(relative_error(a, state.codes, state.bank), rel=1e-5)
        assert state.error <= (inertia(a, state) / float(a.double().square().sum())) ** 0.5


def test_codes_are_projections_on_the_nearest_centre():
    a, _ = blobs()
    state = last(kmeans(a, 5))
    codes = nearest(state.bank, state.encoder["lengths"], a)
    assert codes == pytest.approx(state.codes, abs=1e-12)
    label = torch.cdist(a, centres_of(state)).argmin(dim=1)
    expected = (a * state.bank[label]).sum(dim=1)
    assert codes[torch.arange(len(a)), label] == pytest.approx(expected, abs=1e-10)


def test_rows_of_zeros_belong_nowhere():
    a, _ = blobs()
    padded = torch.cat([a, torch.zeros(40, 20, dtype=a.dtype)])
    state, alone = last(kmeans(padded, 5)), last(kmeans(a, 5))
    assert not state.codes[300:].any()
    assert state.bank == pytest.approx(alone.bank, abs=1e-12)
    assert not nearest(state.bank, state.encoder["lengths"], padded[-3:]).any()


def test_fewer_distinct_rows_than_clusters_leave_dead_atoms():
    state = last(kmeans(torch.eye(3).repeat(5, 1), 6))
    assert state.error == pytest.approx(0, abs=1e-6)
    assert len(state.dead) == 3
    assert torch.isfinite(state.bank).all()


def test_an_empty_cluster_goes_to_the_worst_row():
    a, _ = blobs()
    far = 1000 * torch.ones(1, 20, dtype=a.dtype)
    states = list(kmeans(a, 5, start=torch.cat([a[:4], far])))
    assert states[0].dead == (4,)
    assert not states[-1].dead
    assert inertia(a, states[-1]) < inertia(a, states[0])


def test_going_on_and_adding_a_centre(planted):
    a = planted(noise=0.3).activations
    state = last(kmeans(a, 4))
    again = next(kmeans(a, 4, start=centres_of(state)))
    assert again.error == pytest.approx(state.error, rel=1e-5)
    more = next(kmeans(a, 5, start=centres_of(state)))
    assert inertia(a, more) <= inertia(a, state)


def test_blocks_change_nothing_but_rounding_and_seeds_repeat():
    a = torch.randn(200, 10, dtype=torch.float64)
    whole = last(kmeans(a, 4, seed=3))
    for other in (last(kmeans(a.split(33), 4, seed=3)), last(kmeans(a, 4, seed=3, chunk=17))):
        assert other.bank == pytest.approx(whole.bank, abs=1e-9)
    assert torch.equal(last(kmeans(a, 4, seed=3)).bank, whole.bank)
    scaled = last(kmeans(a * 2.0**40, 4, seed=3))
    assert torch.equal(scaled.bank, whole.bank)
    assert torch.equal(scaled.codes, whole.codes * 2.0**40)


def test_a_shorter_run_is_a_prefix():
    a = torch.randn(200, 10)
    long = list(kmeans(a, 5))
    for short, other in zip(kmeans(a, 5, iterations=3), long, strict=False):
        assert torch.equal(short.bank, other.bank)


def test_bad_input():
    with pytest.raises(ValueError, match="rank: wanted at most n = 3 clusters"):
        kmeans(torch.eye(3), 4)
    with pytest.raises(ValueError, match="start: wanted at most rank = 1 centres, got 2"):
        kmeans(torch.eye(3), 1, start=torch.eye(3)[:2])
    with pytest.raises(ValueError, match="bank: wanted 3 columns"):
        kmeans(torch.eye(3), 2, start=torch.eye(2))
