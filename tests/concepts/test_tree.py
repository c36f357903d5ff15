"""Trees of concepts and their parts."""

from __future__ import annotations

import dataclasses
import zipfile

import numpy as np
import pytest

from whatwhere.classes import ClassNames
from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.craft import Craft
from whatwhere.concepts.quality import Quality
from whatwhere.concepts.tree import ConceptTree
from whatwhere.nets.layers import LayerInfo
from whatwhere.provenance import Provenance


def made(layer, seed, *, ids=(0, 1), parent=None):
    """A bank of random directions."""
    rank, rng = len(ids), np.random.default_rng(seed)
    nothing = np.zeros(1, dtype=np.float32)
    return ConceptBank(
        W=rng.random((rank, 5), dtype=np.float32),
        importance=np.linspace(2, 1, rank, dtype=np.float32) / np.linspace(2, 1, rank).sum().astype(np.float32),
        contribution=np.linspace(1, -1, rank, dtype=np.float32),
        importance_method="made up",
        importance_error=None,
        quality=Quality(0.25, None, None, 0.5, (), (), None, None, 1, 10, 0),
        ids=ids,
        method=Craft(n_concepts=rank, layer=layer),
        provenance=Provenance("toy", "0" * 16, "", "cpu", "", "0", 0.0, 0.0, 0),
        target=1,
        layer=LayerInfo(layer, "ReLU", (5, 2, 2), "maps", (2, 2), 0, True, "structure", False, True, 1),
        affine=False,
        class_names=ClassNames(["cat", "dog"]),
        images=("a",),
        predictions=np.zeros(1, dtype=np.int64),
        codes=np.zeros((1, 2, 2, rank), dtype=np.float32),
        logits=nothing.copy(),
        contributions=np.zeros((1, rank), dtype=np.float32),
        residuals=nothing.copy(),
        bases=nothing.copy(),
        gaps=nothing.copy(),
        crops=((),) * rank,
        parent=parent,
    )


@pytest.fixture
def tree():
    root = made("late", 0, ids=(3, 7))
    part = made("middle", 1, ids=(0, 1, 2), parent=(root.key, 7))
    piece = made("early", 2, parent=(part.key, 2))
    return ConceptTree(root).add(part).add(piece)


def test_walking(tree):
    """Each bank before its splits; paths are ids."""
    assert [path for path, _ in tree] == [(), (7,), (7, 2)]
    assert len(tree) == 3
    assert tree[7, 2].bank.layer.name == "early"
    assert tree[7].bank is tree[(7,)].bank
    assert tree[()] is tree
    with pytest.raises(KeyError, match="concept 3 was not split; split are"):
        tree[3]


def test_text(tree):
    """Every concept a line, parts indented below."""
    assert str(tree).splitlines() == [
        "dog at 'late': 2 concepts, relative error 0.25",
        "├─ 3: 67%, +1.00 logits",
        "└─ 7: 33%, -1.00 logits, at 'middle' made of",
        "   ├─ 0: 44%, +1.00 logits",
        "   ├─ 1: 33%, +0.00 logits",
        "   └─ 2: 22%, -1.00 logits, at 'early' made of",
        "      ├─ 0: 67%, +1.00 logits",
        "      └─ 1: 33%, -1.00 logits",
    ]
    assert repr(tree).startswith("<ConceptTree of 3 banks>")


def test_adding_leaves_the_tree_as_it_is(tree):
    """A second split of the same concept takes the first one's place."""
    other = made("elsewhere", 5, parent=(tree.bank.key, 7))
    changed = tree.add(other)
    assert len(changed) == 2
    assert changed[7].bank is other
    assert len(tree) == 3
    with pytest.raises(TypeError):
        tree.children[3] = tree


def test_strangers_are_refused(tree):
    """Banks without a parent, of other banks, or under another concept."""
    with pytest.raises(ValueError, match=r"bank: wanted one that Concepts\.split has made"):
        tree.add(made("late", 3))
    with pytest.raises(ValueError, match="bank: wanted a split of one of the tree's banks"):
        tree.add(made("late", 3, parent=("feed", 0)))
    with pytest.raises(ValueError, match=r"children: wanted splits of concepts \[3, 7\]"):
        tree.add(made("late", 3, parent=(tree.bank.key, 5)))
    with pytest.raises(ValueError, match="children: wanted splits"):
        ConceptTree(tree.bank, {3: tree[7]})


def test_file(tree, tmp_path):
    """One file, replaced when whole; what is no tree is refused."""
    place = tmp_path / "tree.zip"
    ConceptTree(tree.bank).save(place)
    tree.save(place)
    read = ConceptTree.load(place)
    assert str(read) == str(tree)
    for (path, bank), (other, again) in zip(tree, read, strict=True):
        assert path == other
        assert np.array_equal(bank.W, again.W)
    assert [p.name for p in tmp_path.iterdir()] == ["tree.zip"]
    with pytest.raises(FileNotFoundError, match="path: there is no file"):
        ConceptTree.load(tmp_path / "none.zip")
    (tmp_path / "broken.zip").write_bytes(place.read_bytes()[:100])
    with pytest.raises(ValueError, match="broken or no zip file"):
        ConceptTree.load(tmp_path / "broken.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as pack:
        pack.writestr("../bank.safetensors", b"")
    with pytest.raises(ValueError, match=r"wanted a file that ConceptTree\.save has written"):
        ConceptTree.load(tmp_path / "other.zip")


def test_a_reordered_bank_is_another(tree):
    """Its key is that of its directions."""
    moved = dataclasses.replace(tree.bank, W=tree.bank.W[::-1].copy())
    with pytest.raises(ValueError, match="bank: wanted a split of one of the tree's banks"):
        ConceptTree(moved).add(tree[7].bank)
