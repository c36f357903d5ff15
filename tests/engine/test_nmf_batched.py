"""NMF of several classes at once equals each alone."""

import pytest
import torch

from whatwhere.engine.nmf import hals
from whatwhere.engine.nmf_batched import hals_batched, hals_batched_steps


def last(states):
    *_, state = states
    return state


def classes(planted, dtype=torch.float32):
    sizes = (120, 61, 200, 90)
    return [planted(n, 50, 6, noise=0.2, seed=k, dtype=dtype).activations * 10.0**k for k, n in enumerate(sizes)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_step_of_every_class_is_that_of_a_solo_run(planted, dtype):
    given = classes(planted, dtype)
    together = list(hals_batched(given, 5, iterations=30, tolerance=0))
    for k, a in enumerate(given):
        for step, alone in enumerate(hals(a, 5, iterations=30, tolerance=0)):
            one = together[step][k]
            assert one.iteration == alone.iteration == step
            assert one.error == pytest.approx(alone.error, abs=1e-5)
            assert one.bank == pytest.approx(alone.bank, abs=1e-5)
            assert one.codes == pytest.approx(alone.codes, abs=1e-5 * float(alone.codes.max()))


def test_classes_stop_where_they_would_alone(planted):
    given = classes(planted, torch.float64)
    final = last(hals_batched(given, 5))
    for one, a in zip(final, given, strict=True):
        alone = last(hals(a, 5))
        assert one.converged
        assert one.iteration == alone.iteration
        assert one.error == pytest.approx(alone.error, abs=1e-9)
        assert one.codes.shape == alone.codes.shape


def test_dead_atoms_are_revived_as_alone():
    g = torch.Generator().manual_seed(1)
    low = torch.rand(40, 2, generator=g, dtype=torch.float64) @ torch.rand(2, 30, generator=g, dtype=torch.float64)
    sparse = torch.rand(60, 30, generator=g, dtype=torch.float64) ** 6
    given = [low, sparse, torch.eye(30, dtype=torch.float64)]
    final = last(hals_batched(given, 6, iterations=25))
    for one, a in zip(final, given, strict=True):
        alone = last(hals(a, 6, iterations=25))
        assert one.error == pytest.approx(alone.error, abs=1e-6)
        assert one.dead == alone.dead


def test_blocks_are_as_good_as_the_whole(planted):
    given = classes(planted)
    whole = last(hals_batched(given, 4, iterations=10))
    blocks = last(hals_batched([list(a.split(37)) for a in given], 4, iterations=10))
    for one, other in zip(blocks, whole, strict=True):
        assert one.bank == pytest.approx(other.bank, abs=1e-5)
        assert one.codes.shape == other.codes.shape


def test_it_can_be_stopped_between_two_starts(planted):
    steps = list(hals_batched_steps(classes(planted), 4, iterations=2))
    assert [step is None for step in steps] == [True] * 4 + [False] * 3


def test_what_was_given_out_stays(planted):
    steps = hals_batched(classes(planted)[:2], 3, iterations=5)
    states = [(state[0], state[0].codes.clone(), state[0].bank.clone()) for state in steps]
    for state, codes, bank in states:
        assert torch.equal(state.codes, codes)
        assert torch.equal(state.bank, bank)


def test_bad_input():
    with pytest.raises(ValueError, match="got none"):
        hals_batched([], 2)
    with pytest.raises(ValueError, match=r"activations\[1\]: wanted 3 columns .* got 2"):
        hals_batched([torch.eye(3), torch.eye(2)], 2)
    with pytest.raises(ValueError, match=r"activations\[1\]: activations: wanted numbers of at least 0"):
        hals_batched([torch.eye(3), -torch.eye(3)], 2)
    with pytest.raises(TypeError, match=r"activations\[0\]: wanted a torch.Tensor, got list"):
        hals_batched([[1.0]], 2, device=torch.device("cpu"))
    with pytest.raises(ValueError, match="rank: wanted at most min"):
        hals_batched([torch.eye(3), torch.eye(3)[:2]], 3)
