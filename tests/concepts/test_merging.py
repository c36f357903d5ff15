"""Merged concepts: sums of what their members are, exact whatever is merged, and taken apart again."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from whatwhere.concepts.bank import ConceptBank
from whatwhere.concepts.groups import add_up, left_of


@pytest.fixture(scope="module")
def made(small, pictures, extract):
    """A network, its pictures, and a bank of five concepts."""
    model = small()
    return model, pictures(10), extract(model, pictures(10), n_concepts=5)


def test_a_group_is_the_sum_of_its_members(made):
    _, _, bank = made
    a, b = bank.ids[1], bank.ids[3]
    told = bank.merge([b, a]).grouped()
    assert (a, b) in told.members, "it goes by its most important member"
    k = told.members.index((a, b))
    assert told.importance[k] == pytest.approx(bank.importance[1] + bank.importance[3])
    assert told.contribution[k] == pytest.approx(bank.contribution[1] + bank.contribution[3], rel=1e-5)
    np.testing.assert_allclose(told.contributions[:, k], bank.contributions[:, 1] + bank.contributions[:, 3], rtol=1e-5)
    np.testing.assert_allclose(told.codes[..., k], bank.codes[..., 1] + bank.codes[..., 3], rtol=1e-6)
    assert (np.diff(told.importance) <= 0).all()
    assert float(told.importance.sum()) == pytest.approx(1, abs=1e-5)
    assert len(told.members) == 4


def test_the_logit_and_what_is_rebuilt_stay_to_the_last_digit(made):
    model, images, bank = made
    merged = bank.merge(bank.ids[:3])
    for field in fields(ConceptBank):
        if field.name != "groups":
            assert getattr(merged, field.name) is getattr(bank, field.name), field.name
    told = merged.grouped()
    whole = bank.bases + told.contributions.sum(axis=1) + bank.residuals
    np.testing.assert_allclose(whole, bank.logits, atol=1e-4)
    # A second route: shutting the gates of a group's members takes from the logit what the group contributes.
    response = merged.on(model).response(images[2], residual=True)
    gates = torch.ones(2, bank.rank)
    gates[1, [merged.number_of(k) for k in told.members[0]]] = 0
    kept, lost = response(gates).tolist()
    assert kept - lost == pytest.approx(float(told.contributions[2, 0]), abs=1e-4)


def test_groups_grow_and_are_taken_apart(made):
    _, _, bank = made
    a, b, c, d, e = bank.ids
    two = bank.merge([b, c]).merge([d, e])
    assert two.groups == ((b, c), (d, e))
    assert two.merge([c, a]).groups[0] == (d, e)
    assert set(two.merge([c, a]).groups[-1]) == {a, b, c}
    assert set(two.merge([e, b]).groups[0]) == {b, c, d, e}
    assert two.unmerge(c).groups == ((d, e),)
    assert two.unmerge(c).unmerge(d).groups == bank.groups == ()


def test_a_merged_concept_is_saved_and_loaded(made, tmp_path):
    _, _, bank = made
    told = bank.merge(bank.ids[:2]).annotated({bank.ids[0]: "both"}, hidden=[bank.ids[3]], pinned=[bank.ids[2]])
    told.save(tmp_path / "bank.safetensors")
    again = ConceptBank.load(tmp_path / "bank.safetensors")
    assert (again.groups, again.hidden, again.pinned) == (told.groups, told.hidden, told.pinned)
    assert again.grouped().members == told.grouped().members
    assert "2 of the concepts are merged into 1" in again.describe()
    assert again.unmerge(bank.ids[0]).groups == ()


def test_files_of_before_have_no_marks(made, tmp_path):
    _, _, bank = made
    path = tmp_path / "bank.safetensors"
    bank.merge(bank.ids[:2]).save(path)
    with safe_open(path, framework="numpy") as file:
        header, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    told = json.loads(header["bank"])
    for name in ("hidden", "pinned", "groups", "refits"):
        del told[name]
    save_file(arrays, path, metadata={**header, "bank": json.dumps(told)})
    old = ConceptBank.load(path)
    assert (old.groups, old.hidden, old.pinned, old.refits) == ((), (), (), ())


def test_a_part_of_a_bank_keeps_what_is_left_of_its_groups(made):
    _, _, bank = made
    a, b, c, d, _ = bank.ids
    told = bank.merge([a, b, c]).annotated(hidden=[d], pinned=[a])
    assert told.take([1, 2, 3]).groups == ((b, c),)
    assert told.take([1, 2, 3]).pinned == ()
    assert told.take([0, 4]).groups == ()
    assert left_of([(1, 2), (3, 4, 5)], [1, 3, 5]) == ((3, 5),)


def test_maps_add_up(made):
    model, images, bank = made
    merged = bank.merge(bank.ids[1:3])
    maps = merged.on(model).maps(images[0], "codes").values
    folded = add_up(merged, merged.grouped().members, maps, axis=0)
    k = merged.grouped().members.index(bank.ids[1:3])
    np.testing.assert_allclose(folded[k], maps[1] + maps[2], rtol=1e-6)
    assert folded.shape == (4, *maps.shape[1:])


def test_crops_of_a_group_are_its_members_in_turn(made):
    _, _, bank = made
    crops = bank.merge(bank.ids[:2]).grouped().crops
    assert crops[0][0] is bank.crops[0][0]
    assert len({(crop.image, crop.box) for crop in crops[0]}) == len(crops[0])
    assert {(c.image, c.box) for c in crops[0]} == {(c.image, c.box) for row in bank.crops[:2] for c in row}
    assert bank.merge(bank.ids[:2]).picture().size[0] == bank.picture().size[0]


def test_what_cannot_be_merged_says_why(made):
    _, _, bank = made
    a, b, c, *_ = bank.ids
    with pytest.raises(ValueError, match="ids: wanted two concepts or more"):
        bank.merge([a])
    with pytest.raises(ValueError, match="not merged with each other yet"):
        bank.merge([a, b]).merge([a, b])
    with pytest.raises(KeyError, match="wanted one of"):
        bank.merge([a, 99])
    with pytest.raises(ValueError, match="wanted a merged concept"):
        bank.merge([a, b]).unmerge(c)
    with pytest.raises(ValueError, match=r"groups: wanted ids of \[.*\], got 99"):
        bank.annotated(groups=[(a, 99)])
    with pytest.raises(ValueError, match="groups of two ids at least, and no id twice"):
        bank.annotated(groups=[(a, b), (b, c)])
    with pytest.raises(ValueError, match="groups of two ids at least"):
        bank.annotated(groups=[(a,)])
    with pytest.raises(KeyError):
        bank.annotated(hidden=[99])
