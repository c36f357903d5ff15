"""Attribution to gates: closed forms of affine scores, a product, flat scores, HSIC as a double sum, bad input."""

import numpy as np
import pytest
import torch

from whatwhere.engine._gate_methods import opposite_pairs
from whatwhere.engine.effects import first_order
from whatwhere.engine.gates import METHODS, attribute
from whatwhere.engine.hsic import hsic, hsic_of_pairs, median_distance
from whatwhere.engine.responses import Prober
from whatwhere.engine.sampling import nested_net
from whatwhere.engine.sensitivity import is_flat, total_order

PHI = np.array([2.0, -1.5, 0.0, 0.7, 0.3, -0.1])
RANK = len(PHI)


def affine(phi=PHI, bias=0.4):
    slopes = torch.as_tensor(phi, dtype=torch.float64)
    return lambda gates: gates.double() @ slopes + bias


def product(gates):
    return gates[:, 0] * gates[:, 1] + 0 * gates[:, 2]


def ishigami(gates):
    x = (2 * gates.double() - 1) * torch.pi
    return torch.sin(x[:, 0]) + 7 * torch.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * torch.sin(x[:, 0])


def bent(gates):
    """A smooth score with interactions, whose gradient changes."""
    x = gates.double()
    return torch.tanh(x @ torch.as_tensor(PHI)) + x[:, 0] * x[:, 3] ** 2


def few(method):
    """Fewer samples than the default, where there are any."""
    return min(METHODS[method].samples, 32) if METHODS[method].samples else None


@pytest.mark.parametrize("method", ["gradient_input", "integrated_gradients", "occlusion"])
def test_of_an_affine_score_these_are_its_slopes(method):
    told = attribute(affine(), RANK, method)
    assert told.values == pytest.approx(PHI, abs=1e-6)
    assert told.error is None
    assert told.signed
    if method == "integrated_gradients":
        assert told.gap == pytest.approx(0, abs=1e-6)


def test_rise_of_an_affine_score_is_affine_in_the_slopes():
    told = attribute(affine(), RANK, "rise", samples=4096)
    assert np.corrcoef(told.values, PHI)[0, 1] > 0.999
    assert (np.abs(told.values - PHI) <= 3 * told.error).all()
    alone = attribute(affine([0, 2.5, 0]), 3, "rise")
    assert alone.values[1] == 2.5


def test_rise_is_the_published_map_but_for_its_offset():
    gates = opposite_pairs(256, RANK, 0)
    scores = Prober(bent, RANK).scores(gates.astype(float))
    published = np.array([scores[on].mean() for on in gates.T])
    assert 2 * (published - scores.mean()) == pytest.approx(
        attribute(bent, RANK, "rise", samples=256).values, abs=1e-12
    )


def test_noisy_gradients_of_an_affine_score():
    smooth, square, variance = (attribute(affine(), RANK, name) for name in ("smoothgrad", "squaregrad", "vargrad"))
    assert smooth.values == pytest.approx(PHI)
    assert square.values == pytest.approx(PHI**2)
    assert variance.values == pytest.approx(0, abs=1e-12)
    assert variance.error == pytest.approx(0, abs=1e-12)


def test_values_for_a_unit_of_code():
    """Scores of codes u with slopes w: w for a unit of code, however large the code is; u w as it is."""
    u, w = np.array([0.5, 4, 0, 1, 2, 3]), np.array([3.0, -1, 9, 2, 0, 1])
    for method, known in {"saliency": np.abs(w), "smoothgrad": w, "squaregrad": w**2}.items():
        told = attribute(affine(u * w), RANK, method, codes_size=u)
        assert told.values == pytest.approx(np.where(u > 0, known, 0), rel=1e-6)
        assert told.absent == (2,)
        assert METHODS[method].per_unit
    assert attribute(affine(u * w), RANK, codes_size=u).values == pytest.approx(u * w)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_maps_of_codes_count_as_one_gate_a_concept(method):
    """One gate over all places: the same as the pooled code, for pooled features before a linear head."""
    rng = np.random.default_rng(0)
    maps, slopes = torch.as_tensor(rng.random((4, 5, RANK))), torch.as_tensor(PHI)
    told = attribute(lambda m: ((maps * m[:, None, None, :]) @ slopes).mean((1, 2)), RANK, method, samples=few(method))
    pooled = attribute(affine(maps.mean((0, 1)).numpy() * PHI, 0), RANK, method, samples=few(method))
    assert told.values == pytest.approx(pooled.values, rel=1e-6, abs=1e-9)


def test_sobol_of_an_affine_score():
    shares = PHI**2 / (PHI**2).sum()
    for seed in range(4):
        told = attribute(affine(), RANK, "sobol", seed=seed)
        assert (np.abs(told.values - shares) <= 3 * told.error + 1e-12).all()
        assert told.values.sum() == pytest.approx(1, abs=0.1)
    first = attribute(affine(), RANK, "sobol_first")
    assert (np.abs(first.values - shares) <= 3 * first.error + 1e-12).all()


def test_sobol_of_a_product():
    first, total = (attribute(product, 3, name, samples=4096) for name in ("sobol_first", "sobol"))
    assert total.values == pytest.approx([4 / 7, 4 / 7, 0], abs=0.02)
    assert first.values == pytest.approx([3 / 7, 3 / 7, 0], abs=0.03)
    assert (np.abs(total.values - [4 / 7, 4 / 7, 0]) <= 4 * total.error).all()


def test_sobol_of_ishigami():
    total = attribute(ishigami, 3, "sobol", samples=4096).values
    first = attribute(ishigami, 3, "sobol_first", samples=4096).values
    assert total == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.01)
    assert first == pytest.approx([0.3139, 0.4424, 0], abs=0.04)


def test_sobol_is_that_of_the_engine_and_never_asks_for_b():
    seen = []

    def watched(gates):
        seen.append(gates.clone())
        return bent(gates)

    a, b = nested_net(16, RANK, seed=5)
    told = attribute(watched, RANK, "sobol", samples=16, seed=5, dtype=torch.float64)
    columns = [a, *(np.where(np.arange(RANK) == k, b, a) for k in range(RANK))]
    scores = np.stack([bent(torch.as_tensor(m)).numpy() for m in columns], axis=1)
    assert told.values == pytest.approx(total_order(scores), rel=1e-12)
    asked = torch.cat(seen).numpy()
    assert asked.shape == (16 * (RANK + 1), RANK)
    assert not (asked[:, None] == b).all(axis=2).any()
    one = attribute(bent, RANK, "sobol_first", samples=16, seed=5, dtype=torch.float64)
    assert one.values == pytest.approx(first_order(scores, bent(torch.as_tensor(b)).numpy()), rel=1e-12)


@pytest.mark.parametrize("method", ["sobol", "sobol_first", "rise", "hsic"])
def test_masks_of_fewer_samples_are_the_first_of_more(method):
    def asked(samples):
        rows = []
        attribute(lambda m: rows.append(m.clone()) or bent(m), RANK, method, samples=samples)
        return torch.cat(rows)

    few_rows, many = asked(8), asked(16)
    designs = 1 if method != "sobol_first" else 2  # first the rows without B, then those of B
    if designs == 1:
        assert torch.equal(many[: len(few_rows)], few_rows)
    else:
        without_b = 8 * (RANK + 1)
        assert torch.equal(many[:without_b], few_rows[:without_b])
        assert torch.equal(many[2 * without_b : 2 * without_b + 8], few_rows[without_b:])


def test_integrated_gradients_are_complete():
    told = attribute(bent, RANK, "integrated_gradients", dtype=torch.float64)
    ends = bent(torch.stack([torch.zeros(RANK), torch.ones(RANK)]))
    assert told.values.sum() == pytest.approx(float(ends[1] - ends[0]), abs=1e-10)
    assert told.gap == pytest.approx(0, abs=1e-10)
    rough = attribute(lambda m: (m.sum(1) - 1.3).relu(), RANK, "integrated_gradients", samples=4)
    assert abs(rough.gap) > 1e-3  # a kink is seen as what it is
    cubes = attribute(lambda m: (m**3) @ torch.arange(3.0), 3, "integrated_gradients", samples=2)
    assert cubes.values == pytest.approx([0, 1, 2], abs=1e-6)


def test_gradients_are_those_of_finite_differences():
    told = attribute(bent, RANK, dtype=torch.float64).values
    steps = 1e-6 * np.eye(RANK)
    up, down = (Prober(bent, RANK, dtype=torch.float64).scores(1 + sign * steps) for sign in (1, -1))
    assert told == pytest.approx((up - down) / 2e-6, abs=1e-8)
    many = attribute(bent, RANK, "smoothgrad", samples=4096, noise=1e-3).values
    assert many == pytest.approx(told, abs=1e-3)


def test_variance_of_gradients_of_a_square():
    """The gradient of m^2 is 2 m: its variance is 4 noise^2, its mean square 4 (1 + noise^2)."""
    told = {
        name: attribute(lambda m: (m**2).sum(1), 2, name, samples=4096, noise=0.5)
        for name in ("vargrad", "squaregrad", "smoothgrad")
    }
    for name, known in {"vargrad": 1.0, "squaregrad": 5.0, "smoothgrad": 2.0}.items():
        assert (np.abs(told[name].values - known) <= 3 * told[name].error).all()


@pytest.mark.parametrize("method", ["smoothgrad", "squaregrad", "vargrad", "rise", "hsic", "sobol", "sobol_first"])
def test_standard_errors_are_the_spread_over_seeds(method):
    runs = [attribute(bent, RANK, method, samples=64, seed=seed) for seed in range(120)]
    spread = np.std([run.values for run in runs], axis=0, ddof=1)
    told = np.sqrt(np.mean([run.error**2 for run in runs], axis=0))
    used = spread > 1e-3 * spread.max()
    # nested rows are stratified, which the errors do not count on
    assert (told[used] >= 0.8 * spread[used]).all()
    if not method.startswith("sobol"):
        # the jackknife of a criterion near 0, which is quadratic there, is too large
        assert (told[used] <= (1.7 if method == "hsic" else 1.25) * spread[used]).all()


def double_sum(gates, scores, width):
    n = len(scores)
    l_matrix = np.exp(-((scores[:, None] - scores) ** 2) / (2 * width**2))
    h = np.eye(n) - 1 / n
    kernels = [(on[:, None] == on).astype(float) for on in gates.T]
    return np.array([np.trace(k @ h @ l_matrix @ h) for k in kernels]) / (n - 1) ** 2


def test_hsic_is_the_double_sum():
    rng = np.random.default_rng(0)
    gates, scores = rng.random((41, 5)) < 0.4, rng.normal(size=41)
    scores += 2 * gates[:, 1]
    width = median_distance(scores)
    told = hsic(gates, scores)
    assert told == pytest.approx(double_sum(gates, scores, width), rel=1e-10)
    assert told.argmax() == 1
    assert hsic(gates, scores + 100) == pytest.approx(told, rel=1e-9)
    assert hsic(gates, 7 * scores) == pytest.approx(told, rel=1e-9)
    assert hsic(gates, scores, width=0.3) == pytest.approx(double_sum(gates, scores, 0.3), rel=1e-10)


def test_hsic_of_pairs_is_the_mean_over_rows_of_different_pairs():
    gates = opposite_pairs(24, 4, 1)
    scores = np.random.default_rng(0).normal(size=24) + gates[:, 2]
    values, errors = hsic_of_pairs(gates, scores)

    def mean_of_others(rows):
        s, y, pair = np.where(gates[rows], 1, -1), scores[rows], rows // 2
        kernel = np.exp(-((y[:, None] - y) ** 2) / (2 * median_distance(scores) ** 2)) * (pair[:, None] != pair)
        n = len(rows)
        return np.einsum("ak,ab,bk->k", s, kernel, s) / (2 * n * (n - 2))

    rows = np.arange(24)
    assert values == pytest.approx(mean_of_others(rows), rel=1e-10)
    without = np.array([mean_of_others(rows[rows // 2 != p]) for p in range(12)])
    assert errors == pytest.approx(np.sqrt(11 * without.var(axis=0)), rel=1e-10)
    shift = values - hsic(gates, scores) * 23**2 / (24 * 22)
    assert shift == pytest.approx(np.full(4, shift[0]), abs=1e-12)  # one bias for all gates, so one order


def test_hsic_of_a_concept_that_is_not_used_is_zero_on_average():
    phi = np.array([2.0, 1, 0.5, 0])
    runs = np.array([attribute(affine(phi), 4, "hsic", samples=64, seed=seed).values for seed in range(200)])
    assert abs(runs[:, 3].mean()) < 4 * runs[:, 3].std() / np.sqrt(200)
    assert runs[:, 3].mean() < 0.02 * runs[:, 0].mean()
    assert (np.diff(runs.mean(axis=0)) < 0).all()


def test_hsic_of_a_score_of_few_values_has_a_width():
    gates = opposite_pairs(64, 3, 0)
    scores = (gates[:, 0] & gates[:, 1] & gates[:, 2]).astype(float)  # most distances are 0
    assert median_distance(scores) == 1
    assert (hsic_of_pairs(gates, scores)[0] > 0).all()
    many = np.random.default_rng(0).normal(size=3000)
    assert median_distance(many) == median_distance(many[:1024])


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("flat", ["constant", "no codes"])
def test_flat_scores_are_flagged_and_have_no_nan(method, flat):
    codes = torch.zeros(RANK)
    response = (lambda m: 0 * m.sum(1) + 1e4) if flat == "constant" else (lambda m: torch.tanh((m * codes).sum(1) - 2))
    told = attribute(response, RANK, method, samples=few(method), codes_size=codes if flat == "no codes" else None)
    assert told.flat
    assert told.values.tolist() == [0] * RANK
    assert told.error is None or told.error.tolist() == [0] * RANK
    assert told.absent == (tuple(range(RANK)) if flat == "no codes" else ())
    assert not attribute(affine(), RANK, method, samples=few(method)).flat


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"hsic", "rise"}))
def test_a_concept_that_is_not_used_has_zero(method):
    def response(gates):
        x = gates.double()
        return torch.sin(x[:, 0] + 2 * x[:, 1]) + x[:, 0] ** 2

    assert attribute(response, 3, method, samples=few(method)).values[2] == 0


@pytest.mark.parametrize("method", sorted(METHODS))
def test_another_unit_and_zero_of_the_score(method):
    """Values grow with the score's unit, or its square; indices and HSIC do not. Its zero does not count."""
    first = attribute(bent, RANK, method, samples=few(method), dtype=torch.float64)
    other = attribute(lambda m: 3 * bent(m) - 50, RANK, method, samples=few(method), dtype=torch.float64)
    factor = {"squaregrad": 9, "vargrad": 9, "hsic": 1, "sobol": 1, "sobol_first": 1}.get(method, 3)
    assert other.values == pytest.approx(factor * first.values, rel=1e-7, abs=1e-9)
    assert other.error is None or other.error == pytest.approx(factor * first.error, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_table_tells_what_happens(method):
    info, asked = METHODS[method], []

    def response(gates):
        asked.append((len(gates), gates.requires_grad))
        return bent(gates)

    told = attribute(response, RANK, method, samples=few(method), batch=7)
    assert told.n_evaluations == sum(n for n, _ in asked) == info.evaluations(RANK, few(method))
    assert max(n for n, _ in asked) <= 7
    assert any(needs for _, needs in asked) == info.gradients
    assert (told.method, told.signed) == (method, info.signed) == (info.key, told.signed)
    assert (told.error is not None) == info.stochastic == (told.seed is not None)
    assert told.samples == few(method)
    other = attribute(response, RANK, method, samples=few(method), seed=1)
    assert (told.values.tolist() != other.values.tolist()) == info.stochastic
    assert attribute(response, RANK, method, samples=few(method)).values == pytest.approx(told.values, rel=1e-9)
    assert info.signed == bool((attribute(affine(), RANK, method).values < -0.05).any())
    assert info.meaning
    assert info.title


def test_gradients_need_no_mode_of_the_caller():
    weight = torch.ones(RANK, requires_grad=True)
    response = affine()
    before = attribute(response, RANK).values
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            assert attribute(response, RANK).values.tolist() == before.tolist()
            assert not torch.is_grad_enabled()
    attribute(lambda m: m @ weight, RANK)
    assert weight.grad is None
    grads = []
    attribute(lambda m: grads.append(torch.is_grad_enabled()) or m @ weight, RANK, "occlusion")
    assert grads == [False]


def test_gates_come_where_and_as_asked():
    seen = []
    attribute(lambda m: seen.append((m.dtype, m.device.type)) or m.sum(1), 2, "occlusion")
    attribute(lambda m: seen.append((m.dtype, m.device.type)) or m.sum(1), 2, dtype=torch.float64, device="cpu")
    assert seen == [(torch.float32, "cpu"), (torch.float64, "cpu")]


def test_scores_in_half_precision_are_taken():
    assert attribute(lambda m: m.bfloat16().sum(1), 3, "occlusion").values.tolist() == [1, 1, 1]


def test_one_concept():
    for method in METHODS:
        told = attribute(lambda m: 3 * m[:, 0], 1, method, samples=few(method))
        assert told.values.shape == (1,)
        assert np.isfinite(told.values).all()
    assert attribute(lambda m: 3 * m[:, 0], 1, "rise").values == pytest.approx([3])


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"method": "lime"}, ValueError, r"method: wanted one of \('gradient_input', .*got 'lime'"),
        ({"rank": 0}, ValueError, "rank: wanted an integer of at least 1, got 0"),
        ({"rank": 2.5}, TypeError, "rank: wanted an integer, got float"),
        ({"method": "sobol", "samples": 1}, ValueError, "samples: wanted an integer of at least 2"),
        ({"method": "rise", "samples": 7}, ValueError, "samples: wanted an even number"),
        ({"method": "integrated_gradients", "samples": 513}, ValueError, "samples: wanted an integer from 1 to 512"),
        ({"seed": -1}, ValueError, "seed: wanted an integer of at least 0"),
        ({"batch": 0}, ValueError, "batch: wanted an integer of at least 1"),
        ({"noise": 0}, ValueError, "noise: wanted a number above 0"),
        ({"codes_size": np.ones(4)}, ValueError, r"codes_size: wanted shape \(r,\) = \(6,\), got \(4,\)"),
        ({"codes_size": -np.ones(6)}, ValueError, "codes_size: wanted sizes of at least 0, got -1"),
        ({"dtype": torch.int64}, TypeError, "dtype: wanted a floating-point type"),
        ({"response": 3}, TypeError, r"response: wanted a function of gates \(m, r\), got int"),
        (
            {"response": lambda m: m.sum(1).numpy(), "method": "rise"},
            TypeError,
            "wanted a tensor of scores, got ndarray",
        ),
        ({"response": lambda m: m.sum(1).long()}, TypeError, "wanted floating-point scores, got dtype torch.int64"),
        ({"response": lambda m: m}, ValueError, r"one score for each row of gates, shape \(1,\), got \(1, 6\)"),
        ({"response": lambda m: m.sum(1) / 0}, ValueError, "wanted finite scores, got inf for row 0"),
        ({"response": lambda m: (m - 1).sqrt().sum(1)}, ValueError, "wanted finite gradients, got inf for row 0"),
        ({"response": lambda m: m.detach().sum(1)}, ValueError, "wanted scores that pass gradients to the gates"),
        ({"response": lambda m: torch.ones(len(m), requires_grad=True)}, ValueError, "that pass gradients"),
    ],
)
def test_bad_input(options, kind, message):
    response = options.pop("response", bent)
    with pytest.raises(kind, match=message):
        attribute(response, options.pop("rank", RANK), **options)


def test_bad_gates_and_masks():
    with pytest.raises(ValueError, match=r"gates: wanted shape \(..., 6\) with a row at least, got \(2, 3\)"):
        Prober(bent, RANK).scores(np.ones((2, 3)))
    gates, scores = opposite_pairs(8, 2, 0), np.arange(8.0)
    with pytest.raises(TypeError, match="gates: wanted booleans, got dtype float64"):
        hsic(gates.astype(float), scores)
    with pytest.raises(ValueError, match=r"gates: wanted shape \(n, r\)"):
        hsic(gates[:1], scores[:1])
    with pytest.raises(ValueError, match=r"scores: wanted shape \(n,\) = \(8,\), got \(7,\)"):
        hsic(gates, scores[:7])
    with pytest.raises(ValueError, match="width: wanted a number above 0"):
        hsic(gates, scores, width=0)
    with pytest.raises(ValueError, match=r"even number of rows, at least 6, .*got 4 rows"):
        hsic_of_pairs(gates[:4], scores[:4])
    with pytest.raises(ValueError, match="with gates equal in a pair"):
        hsic_of_pairs(gates[::-1].copy()[[0, 0, 1, 2, 3, 4]], scores[:6])
    with pytest.raises(ValueError, match=r"scores: wanted shape \(n,\) with at least two"):
        median_distance(scores[:1])
    assert median_distance(np.ones(5)) == 0
    assert is_flat(np.ones((4, 3)))
