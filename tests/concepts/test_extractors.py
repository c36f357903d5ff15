"""Every extractor by the one protocol: planted and real activations, encoding, starts, names, bad input."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from whatwhere.concepts.extractors import (
    EXTRACTORS,
    NMF,
    PCA,
    ConvexNMF,
    Extractor,
    KMeans,
    SemiNMF,
    TopKSAE,
    read_extractor,
)
from whatwhere.engine.factors import Dictionary, relative_error

ALL = [NMF(), SemiNMF(), ConvexNMF(), KMeans(), PCA(), TopKSAE(active=3)]
LEAST_SQUARES = [NMF(), SemiNMF(), ConvexNMF()]


class Shape(NamedTuple):
    """Members that make an extractor, but for its methods."""

    name: str = "mine"
    signed: bool = True


def last(states):
    *_, state = states
    return state


def by_name(extractor):
    return extractor.name


@pytest.fixture(scope="module")
def noisy(planted):
    return planted(300, 60, 5, noise=0.2).activations


@pytest.mark.parametrize("extractor", ALL, ids=by_name)
def test_a_fit_is_anytime_and_its_errors_are_those_of_the_activations(extractor, noisy):
    states = list(extractor.fit(noisy, 5, seed=1, iterations=8))
    assert [state.iteration for state in states] == list(range(len(states)))
    for state in (states[0], states[-1]):
        error = relative_error(noisy, state.codes, state.bank, offset=state.offset)
        assert state.error == pytest.approx(error, rel=1e-4)
        decoded = state.dictionary.decode(state.codes)
        assert float((noisy - decoded).norm() / noisy.norm()) == pytest.approx(error, rel=1e-4)
        assert state.codes.shape == (300, 5)
        assert (state.codes.min() >= 0) == extractor.non_negative_codes


@pytest.mark.parametrize("extractor", ALL, ids=by_name)
def test_codes_of_new_rows_do_not_look_at_each_other(extractor, noisy):
    dictionary = last(extractor.fit(noisy[:200], 5, iterations=8)).dictionary
    new = noisy[200:].double()
    together = extractor.encode(dictionary, new)
    assert together.dtype == torch.float64
    assert torch.cat([extractor.encode(dictionary, row[None]) for row in new[:30]]) == pytest.approx(
        together[:30], abs=1e-9
    )
    order = torch.randperm(100)
    assert extractor.encode(dictionary, new[order]) == pytest.approx(together[order], abs=1e-9)
    assert extractor.encode(dictionary, new.float()).dtype == torch.float32


@pytest.mark.parametrize("extractor", LEAST_SQUARES, ids=by_name)
def test_codes_are_those_of_scipy(extractor, noisy):
    dictionary = last(extractor.fit(noisy[:200], 5, iterations=8)).dictionary
    codes = extractor.encode(dictionary, noisy[200:220].double()).numpy()
    bank = dictionary.bank.double().numpy()
    expected = np.stack([nnls(bank.T, row)[0] for row in noisy[200:220].double().numpy()])
    assert codes == pytest.approx(expected, abs=1e-6)
    assert extractor.encode(dictionary, dictionary.bank).double() == pytest.approx(np.eye(5), abs=1e-5)


@pytest.mark.parametrize("extractor", ALL, ids=by_name)
def test_codes_of_the_fit_are_those_of_encode(extractor, noisy):
    state = last(extractor.fit(noisy, 4, tolerance=0, iterations=300))
    codes = extractor.encode(state.dictionary, noisy)
    assert codes == pytest.approx(state.codes, abs=2e-3 * float(state.codes.abs().max()))


@pytest.mark.parametrize("extractor", [NMF(), SemiNMF(), ConvexNMF(), PCA(), TopKSAE(active=2)], ids=by_name)
def test_one_atom_more_begins_no_higher(extractor, noisy):
    state = last(extractor.fit(noisy, 3, iterations=30))
    states = list(extractor.fit(noisy, 4, start=state.dictionary, iterations=30))
    assert states[0].error <= state.error + 1e-6
    assert states[-1].error < state.error


@pytest.mark.parametrize("extractor", [NMF(), SemiNMF()], ids=by_name)
def test_a_rank_path_by_warm_starts_ends_where_fresh_fits_do(extractor, planted, matched):
    known = planted()
    state = last(extractor.fit(known.activations, 3))
    for rank in range(4, 9):
        state = last(extractor.fit(known.activations, rank, start=state.dictionary))
    assert state.error < 0.02
    if not extractor.signed:
        assert matched(state.bank, known.bank).min() > 0.999


@pytest.mark.parametrize("extractor", ALL, ids=by_name)
def test_blocks_and_bad_activations(extractor, noisy):
    a = noisy[:120].double()
    whole, blocks = last(extractor.fit(a, 3, iterations=4)), last(extractor.fit([a[:50], a[50:]], 3, iterations=4))
    if extractor.name != "topk_sae":  # rows are shuffled within blocks
        assert blocks.bank == pytest.approx(whole.bank, abs=1e-5)
    for bad in (a * 0, torch.full((4, 3), torch.nan), torch.zeros(0, 3)):
        with pytest.raises(ValueError, match="activations: wanted"):
            next(extractor.fit(bad, 2))
    with pytest.raises(TypeError, match="activations: wanted"):
        extractor.fit(a.numpy(), 2)
    with pytest.raises(ValueError, match="iterations: wanted an integer of at least 0"):
        extractor.fit(a, 2, iterations=-1)
    with pytest.raises(ValueError, match="seed: wanted an integer from 0"):
        extractor.fit(a, 2, seed=-1)
    with pytest.raises(ValueError, match="tolerance: wanted a share"):
        extractor.fit(a, 2, tolerance=2.0)
    with pytest.raises(TypeError, match="start: wanted a Dictionary"):
        extractor.fit(a, 2, start=a)
    with pytest.raises(ValueError, match="rows: wanted 60 columns"):
        extractor.encode(whole.dictionary, a[:, :5])
    with pytest.raises(ValueError, match="rank: wanted an integer of at least 1"):
        extractor.fit(a, 0)


@pytest.mark.parametrize("extractor", ALL, ids=by_name)
def test_one_row_and_large_ranks(extractor):
    row = torch.tensor([[1.0, 2.0, 0.5]])
    if extractor.name == "topk_sae":
        with pytest.raises(ValueError, match="wanted rows that differ"):
            next(TopKSAE().fit(row, 1))
        return
    assert last(extractor.fit(row, 1)).error == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="rank: wanted at most"):
        extractor.fit(row, 2)


def test_a_start_of_another_extractor_is_refused(noisy):
    nmf = last(NMF().fit(noisy, 3, iterations=3)).dictionary
    for extractor in (KMeans(), TopKSAE(), ConvexNMF()):
        with pytest.raises(ValueError, match="start: wanted a dictionary of"):
            extractor.fit(noisy, 3, start=nmf)
    with pytest.raises(ValueError, match="bank: wanted numbers of at least 0"):
        NMF().fit(noisy, 4, start=Dictionary(-nmf.bank))
    for extractor in (KMeans(), PCA(), TopKSAE()):
        with pytest.raises(ValueError, match="dictionary: wanted"):
            extractor.encode(nmf, noisy)


def test_on_real_activations_the_freer_the_model_the_smaller_the_error(locations):
    for layer, signed in (("features.8", False), ("features.7", True)):
        a = locations(layer)
        assert (float(a.min()) < 0) == signed
        for rank in (5, 10):
            errors = {
                e.name: last(e.fit(a, rank)).error for e in ALL if (e.signed or not signed) and e.name != "topk_sae"
            }
            assert errors["pca"] <= errors["semi_nmf"] <= errors["convex_nmf"] + 1e-3
            assert errors["convex_nmf"] <= errors["kmeans"]
            if not signed:
                assert errors["semi_nmf"] - 5e-3 <= errors["nmf"] <= errors["kmeans"]
            assert errors["kmeans"] < 0.8
        sae = last(TopKSAE(active=3).fit(a, 10, iterations=40))
        assert errors["pca"] <= sae.error < 0.65


def test_values_compare_and_hash():
    assert NMF() == NMF(init="nndsvd")
    assert len({NMF(), NMF(), NMF("random"), SemiNMF(), TopKSAE(), TopKSAE(active=2)}) == 5
    assert repr(TopKSAE(active=2)) == "TopKSAE(active=2, learning_rate=0.01, batch=256)"
    assert TopKSAE().active_of(5) == 1
    assert TopKSAE().active_of(45) == 4
    assert all(isinstance(extractor, Extractor) for extractor in ALL)


def test_names_are_read():
    assert read_extractor(None, signed=False) == NMF()
    assert read_extractor(None, signed=True) == SemiNMF()
    for name, kind in EXTRACTORS.items():
        assert read_extractor(name, signed=False) == kind()
    assert read_extractor(PCA(), signed=True) == PCA()
    with pytest.raises(ValueError, match=r"NMF\(init='nndsvd'\) takes activations of at least 0.*SemiNMF"):
        read_extractor("nmf", signed=True)
    with pytest.raises(ValueError, match=r"extractor: wanted one of \['nmf', .*got 'nfm'"):
        read_extractor("nfm", signed=False)
    for bad in (NMF, 3, Shape()):
        with pytest.raises(TypeError, match="extractor: wanted one of"):
            read_extractor(bad, signed=False)


def test_bad_options():
    with pytest.raises(ValueError, match="init: wanted one of"):
        NMF(init="svd")
    with pytest.raises(ValueError, match="init: wanted one of"):
        SemiNMF(init="nndsvd")
    with pytest.raises(ValueError, match="batch: wanted an integer of at least 1"):
        TopKSAE(batch=0)
