"""Targets: values that say what is meant, and numbers that do not mix items."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import whatwhere as ww
from whatwhere.engine.objectives import likeness, pooled
from whatwhere.nets.layers import LayerInfo, cells_of
from whatwhere.targets import (
    Channel,
    ClassScore,
    Concept,
    Direction,
    Inversion,
    Neuron,
    Sum,
    concepts,
    from_told,
    read,
)


def value(model, target, layer, features):
    (term,) = target.terms(model)
    assert term.layer == layer
    assert term.weight == 1
    return term.values(features)


def bank(rank=3, features=8, **options):
    directions = np.random.default_rng(0).random((rank, features)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    about = {"ids": tuple(range(10, 10 + rank)), "labels": {}, "target_name": "tench", "W": directions}
    return SimpleNamespace(layer=SimpleNamespace(name="first"), **(about | options))


def test_importing_targets_imports_no_torch():
    code = "import sys, whatwhere.targets; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_each_reads_its_own_number(small):
    torch.manual_seed(0)
    maps, logits = torch.randn(4, 8, 16, 16), torch.randn(4, 5)
    assert torch.equal(value(small, ClassScore("tram"), None, logits), logits[:, 2])
    assert torch.allclose(value(small, Channel("first", 3), "first", maps), maps[:, 3].mean(dim=(1, 2)))
    assert torch.equal(value(small, Neuron("first", 3), "first", maps), maps[:, 3, 8, 8])
    assert torch.equal(value(small, Neuron("first", 3, 0, 15), "first", maps), maps[:, 3, 0, 15])
    vector = torch.rand(8)
    unit = vector / vector.norm()
    found = value(small, Direction("first", vector, likeness="dot"), "first", maps)
    assert torch.allclose(found, torch.einsum("nchw,c->n", maps, unit) / 256, atol=1e-6)
    found = value(small, Direction("first", vector, likeness="cosine", pool="centre"), "first", maps)
    assert torch.allclose(found, torch.cosine_similarity(maps[:, :, 8, 8], unit[None]), atol=1e-6)
    found = value(small, Direction("first", vector, likeness="dot", pool="max"), "first", maps)
    assert torch.allclose(found, torch.einsum("nchw,c->nhw", maps, unit).flatten(1).amax(dim=1), atol=1e-6)


@pytest.mark.parametrize("how", ["dot", "cosine", "dot_cosine"])
def test_no_items_number_depends_on_another(how):
    """Other libraries add the dot product up over the batch."""
    features, direction = torch.randn(5, 4, 4, 6, requires_grad=True), torch.randn(6)
    found = likeness(features, direction, how)
    assert found.shape == (5, 4, 4)
    for k in range(5):
        assert torch.allclose(likeness(features[k], direction, how), found[k])
    (gradient,) = torch.autograd.grad(found[2].sum(), features)
    assert not gradient[[0, 1, 3, 4]].any()


def test_the_cosine_counts_by_its_power_and_never_below_a_tenth():
    direction = torch.tensor([1.0, 0.0])
    features = torch.tensor([[2.0, 0.0], [2.0, 2.0], [-3.0, 0.0], [0.0, 0.0]], requires_grad=True)
    found = likeness(features, direction, "dot_cosine", 2.0)
    assert found.tolist() == pytest.approx([2.0, 2.0 * 0.5, -3.0 * 0.01, 0.0], rel=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), features)
    assert gradient.isfinite().all()


def test_pooling():
    values = torch.arange(12.0).reshape(1, 3, 4)
    assert [float(pooled(values, how)) for how in ("mean", "max", "centre")] == [5.5, 11.0, 6.0]


def test_weights_of_a_sum_are_each_parts_own(small):
    """Other libraries give the first of two parts the product of both weights."""
    a, b = ClassScore("hen"), Channel("first", 1)
    made = 0.5 * a - 3 * b + 2 * (a - b)
    assert [(weight, part) for weight, part in made.parts] == [(0.5, a), (-3.0, b), (2.0, a), (-2.0, b)]
    assert [(t.weight, t.layer) for t in made.terms(small)] == [(0.5, None), (-3, "first"), (2, None), (-2, "first")]
    assert made.bound(small).label == "0.5 x hen - 3 x channel 1 of first + 2 x hen - 2 x channel 1 of first"
    assert (-a).label == "-hen"


def test_arithmetic_makes_new_values_and_leaves_the_old():
    a, b = ClassScore("hen"), ClassScore("cup")
    before = (a.told(), b.told())
    total = a + b
    parts = total.parts
    _ = 3 * total - a
    assert total.parts == parts
    assert (a.told(), b.told()) == before
    with pytest.raises(TypeError):
        a * "2"
    with pytest.raises(TypeError):
        a + 1
    with pytest.raises(TypeError):
        True * a
    with pytest.raises(ValueError, match="weight: wanted a finite number, got nan"):
        float("nan") * a
    with pytest.raises(ValueError, match="parts: wanted at least one"):
        Sum(())


def test_targets_compare_by_content():
    vector = np.arange(4.0)
    assert Direction("a", vector) == Direction("a", vector.tolist()) == Direction("a", torch.arange(4.0))
    assert Direction("a", vector) != Direction("a", vector[::-1])
    assert ClassScore(3) != Channel("a", 3)
    assert len({ClassScore(3), ClassScore(3), 1 * ClassScore(3)}) == 2
    assert ClassScore(3) != 3


def test_names_and_ids_are_class_scores(small):
    assert read("hen") == ClassScore("hen")
    assert read(np.int64(3)) == ClassScore(3)
    assert read("hen").bound(small) == ClassScore(0, "hen")
    assert read(3).bound(small).label == "crane (3)"
    target = Channel("first", 1)
    assert read(target) is target


def test_concepts_of_a_bank(small):
    made = concepts(bank(labels={11: "fins"}), likeness="dot")
    assert [c.label for c in made] == ["concept 0 of tench", "fins", "concept 2 of tench"]
    maps = torch.rand(2, 8, 16, 16)
    assert torch.allclose(
        value(small, made[1], "first", maps), torch.einsum("nchw,c->n", maps, torch.from_numpy(bank().W[1])) / 256
    )
    dead = bank()
    dead.W[1] = 0
    assert [c.k for c in concepts(dead)] == [0, 2]
    with pytest.raises(ValueError, match="k: concept 1 is dead"):
        Concept(dead, 1)
    with pytest.raises(ValueError, match="k: wanted an integer from 0 to 2, got 3"):
        Concept(dead, 3)
    with pytest.raises(TypeError, match="bank: wanted a ConceptBank, got str"):
        Concept("bank", 0)
    with pytest.raises(ValueError, match="wanted 8 numbers, as 'first' has features, got 6"):
        Concept(bank(features=6), 0).bound(small)


def test_what_is_told_makes_the_same_target_again():
    vector = np.random.default_rng(0).random(8).astype(np.float32)
    made = [
        ClassScore("hen"),
        Channel("first", 1),
        Neuron("first", 1, 2, 3),
        Direction("first", vector, "v", "cosine", 1.0, "max"),
        0.5 * ClassScore("hen") - Neuron("first", 1),
    ]
    for target in made:
        assert from_told(target.told()) == target
    again = from_told(Concept(bank(), 2).told())
    assert again.label == "concept 2 of tench"
    assert np.array_equal(again.direction, bank().W[2])
    assert from_told(Inversion("first", np.zeros((8, 8, 3))).told()) is None
    assert from_told((Inversion("first", np.zeros((8, 8, 3))) + ClassScore(1)).told()) is None


def test_inversion_is_highest_for_the_image_itself(small):
    image = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    target = Inversion("first", image)
    assert target.whole
    assert (target + ClassScore(0)).whole
    (term,) = target.terms(small)
    own = small.net.first(small.to_input(image))
    others = torch.stack([own[0] * 1.0, own[0].flip(1), torch.rand_like(own[0]) * own.max()])
    found = term.values(others)
    assert found.shape == (3,)
    assert float(found[0]) == pytest.approx(float(own.norm()), rel=1e-4)
    assert found.argmax() == 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ClassScore(1.5), TypeError, "target: wanted an integer"),
        (lambda: ClassScore(-1), ValueError, "target: wanted an integer of at least 0"),
        (lambda: Channel(3, 1), TypeError, "layer: wanted the name of a layer"),
        (lambda: Channel("a", -1), ValueError, "index: wanted an integer of at least 0"),
        (lambda: Neuron("a", 1, 2), ValueError, "row, column, token: wanted a row and a column"),
        (lambda: Neuron("a", 1, 2, 3, 4), ValueError, "row, column, token: wanted a row and a column"),
        (lambda: Direction("a", []), ValueError, "vector: wanted one axis of finite numbers"),
        (lambda: Direction("a", np.ones((2, 2))), ValueError, "vector: wanted one axis of finite numbers"),
        (lambda: Direction("a", [0, 0]), ValueError, "vector: wanted one axis of finite numbers that are not all 0"),
        (lambda: Direction("a", [1, np.inf]), ValueError, "some not finite"),
        (lambda: Direction("a", [1], likeness="l2"), ValueError, "likeness: wanted one of"),
        (lambda: Direction("a", [1], pool="sum"), ValueError, "pool: wanted one of"),
        (lambda: Direction("a", [1], power=-1), ValueError, "power: wanted a finite number of at least 0"),
        (lambda: Inversion("a", np.full((4, 4, 3), 7.0)), ValueError, r"\[0, 1\]"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_made(make, error, message):
    with pytest.raises(error, match=message):
        make()


def layer(shape, layout, grid=None, prefix=0, calls=1):
    return LayerInfo("l", "K", shape, layout, grid, prefix, False, "example", False, False, calls)


def test_cells_of_every_layout():
    maps = torch.rand(2, 5, 3, 4)
    assert torch.equal(cells_of(maps, layer((5, 3, 4), "maps", (3, 4))), maps.permute(0, 2, 3, 1))
    last = torch.rand(2, 3, 4, 5)
    assert cells_of(last, layer((3, 4, 5), "maps_last", (3, 4))) is last
    tokens = torch.rand(2, 13, 5)
    assert torch.equal(cells_of(tokens, layer((13, 5), "tokens", (3, 4), prefix=1)), tokens[:, 1:].reshape(2, 3, 4, 5))
    assert cells_of(tokens, layer((13, 5), "tokens")).shape == (2, 1, 13, 5)
    assert cells_of(torch.rand(2, 5), layer((5,), "vector")).shape == (2, 1, 1, 5)


def test_layers_that_run_twice_are_refused(wrap):
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.Linear(3, 2)

        def forward(self, x):
            return self.head(self.conv(self.conv(x)).mean(dim=(2, 3)))

    with pytest.raises(ValueError, match="layer: 'conv' runs 2 times in one forward pass"):
        Channel("conv", 0).bound(wrap(Twice().eval()))


def test_public_names():
    assert ww.targets.Concept is Concept
