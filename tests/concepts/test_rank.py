"""The number of concepts: a planted one is found, groups stay together, the rule says what it did."""

import numpy as np
import pytest
import torch

from whatwhere.concepts.extractors import PCA, KMeans, SemiNMF
from whatwhere.concepts.rank import RankPath, RankStep, Stability, rank_path, rank_steps, stability
from whatwhere.engine.factors import Factors


def step(rank, *cosines, faint=1.0):
    codes = torch.ones(1, rank)
    codes[0, 0] = faint
    return RankStep(rank, Factors(0, 0.1, codes, torch.ones(rank, 2)), Stability(np.array([cosines])))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_planted_rank_is_found(planted, seed):
    a = planted(900, 120, 6, noise=0.3, seed=seed).activations
    paths = list(rank_path(a, [3, 4, 5, 6, 7, 10], seed=seed))
    assert [len(path.steps) for path in paths] == [1, 2, 3, 4, 5, 6]
    assert [path.complete for path in paths] == [False] * 5 + [True]
    final = paths[-1]
    assert final.chosen.stability.smallest > 0.99
    assert final.rank == 6
    assert "6 is the largest rank with all atoms" in final.reason
    errors = [one.factors.error for one in final.steps]
    assert errors[3] == pytest.approx(0.19, abs=0.05)
    assert errors[2] - errors[3] > 5 * (errors[3] - errors[4])


def test_the_rule():
    assert RankPath((step(2, 1, 0.95), step(3, 1, 1, 0.91), step(4, 1, 1, 1, 0.5))).rank == 3
    fallback = RankPath((step(2, 0.6, 0.6), step(3, 0.9, 0.9, 0.8), step(4, 0.9, 0.9, 0.9, 0.2)))
    assert fallback.rank == 3
    assert "No rank has all atoms found again" in fallback.reason
    assert RankPath((step(3, 0.5, 0.5, 0.5), step(2, 0.5, 0.5))).rank == 2
    faint = step(3, 1, 1, 1, faint=0.05)
    assert faint.stable
    assert not faint.accepted
    assert RankPath((step(2, 1, 0.95), faint)).rank == 2


def test_a_rank_does_not_depend_on_the_others(planted):
    a = planted(200, 40, 3, noise=0.2).activations
    *_, path = rank_path(a, [2, 4])
    *_, alone = rank_path(a, [4])
    assert torch.equal(path.steps[1].factors.bank, alone.steps[0].factors.bank)
    assert np.array_equal(path.steps[1].stability.cosines, alone.steps[0].stability.cosines)


def test_blocks_are_halved_like_the_whole(planted):
    a = planted(200, 40, 3, noise=0.2, dtype=torch.float64).activations
    whole, blocks = stability(a, 3, seed=2), stability(a.split(60), 3, seed=2)
    assert blocks.cosines == pytest.approx(whole.cosines, abs=1e-6)


def test_groups_stay_together():
    """Two rows a photo, one atom a photo: only where photos are torn apart do halves share atoms."""
    a = torch.eye(12).repeat_interleave(2, dim=0)
    together = stability(a, 6, groups=np.repeat(np.arange(12), 2))
    assert together.mean == 0
    assert stability(a, 6).mean > together.mean


def test_folds_give_every_pair(planted):
    a = planted(300, 40, 3, noise=0.1).activations
    told = stability(a, 3, folds=3)
    assert told.cosines.shape == (3, 3)
    assert told.smallest <= told.mean <= 1
    assert told.smallest > 0.95


def test_other_extractors_have_a_stability(planted):
    a = planted(300, 40, 3, noise=0.1).activations - 0.2
    for extractor in (SemiNMF(), KMeans(), PCA()):
        told = stability(a, 3, extractor)
        assert 0 <= told.smallest <= told.mean <= 1
    assert stability(a, 3, PCA()).smallest > 0.9


def test_bad_input(planted):
    a = planted(40, 30, 3).activations
    with pytest.raises(ValueError, match="ranks: wanted one rank at least and each once"):
        rank_path(a, [])
    with pytest.raises(ValueError, match="ranks: wanted one rank at least and each once"):
        rank_path(a, [2, 2])
    with pytest.raises(ValueError, match="ranks: wanted at most 20, the rows of the smallest part"):
        rank_path(a, [2, 21])
    with pytest.raises(ValueError, match=r"groups: wanted one for each of the 40 rows"):
        stability(a, 2, groups=[1, 2])
    with pytest.raises(ValueError, match="groups: wanted at least 2 groups for 2 parts, got 1"):
        stability(a, 2, groups=np.zeros(40))
    with pytest.raises(ValueError, match="activations: wanted numbers of at least 0"):
        next(rank_path(-a, [2]))


def test_ranks_can_be_stopped_within_a_fit():
    """A look after every iteration of every fit, and the same path at the end."""
    rows = torch.rand(60, 8)
    seen = list(rank_steps(rows, [2, 3], seed=1))
    (*_, wanted), whole = rank_path(rows, [2, 3], seed=1), [path for path, finished in seen if finished]
    assert [path.rank for path in whole if path.complete] == [wanted.rank]
    assert [len(path.steps) for path in whole] == [1, 2]
    assert seen[0] == (None, False)
    assert len(seen) > 3 * 2 * 2
