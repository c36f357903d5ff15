"""What a bank says before its numbers are trusted: in whole sentences, with the way out where there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from torch import nn

from whatwhere.concepts.bank import SIGNED_BY_DEFAULT
from whatwhere.concepts.extractors import SemiNMF, read_extractor


@pytest.fixture(scope="module")
def signed(small, pictures):
    """A layer without a ReLU."""
    maps = nn.Conv2d(3, 12, 4, stride=4)
    return small(nn.Sequential(maps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))), pictures(30)


@pytest.fixture(scope="module")
def plain(small, pictures, extract):
    model, images = small(), pictures(30)
    return model, images, extract(model, images)


def of_signs(bank):
    return [said for said in bank.caveats() if "signed" in said]


def test_a_signed_layer_says_by_what_it_was_factorised(signed, extract):
    model, images = signed
    bank = extract(model, images, layer="0")
    assert bank.layer.nonnegative is False
    assert (bank.W < 0).any()
    (said,) = of_signs(bank)
    assert said == (
        "The layer's features are signed, so they were factorised by semi-NMF, not by NMF: codes are at least 0, "
        "directions are of either sign, and what a concept shows is less certain than at a layer behind a ReLU."
    )
    assert of_signs(bank)[0] in bank.describe()
    assert read_extractor(None, signed=True).name == SIGNED_BY_DEFAULT


@dataclass(frozen=True)
class Mine(SemiNMF):
    name: ClassVar[str] = "mine"


@pytest.mark.parametrize(
    ("extractor", "words"),
    [
        ("semi_nmf", "factorised by semi-NMF, not by NMF: codes are at least 0, directions are of either sign"),
        ("convex_nmf", "factorised by convex NMF, not by NMF: codes are at least 0, directions are of either sign"),
        ("kmeans", "factorised by K-means, not by NMF: codes are at least 0, directions are of either sign"),
        ("pca", "factorised by PCA, not by NMF: codes and directions are of either sign"),
        ("topk_sae", "factorised by a sparse autoencoder, not by NMF: codes are at least 0, directions"),
        (Mine(), "factorised by mine, not by NMF: codes are at least 0, directions are of either sign"),
    ],
)
def test_and_so_it_does_of_what_was_asked_for(signed, extract, extractor, words):
    model, images = signed
    bank = extract(model, images, layer="0", extractor=extractor)
    assert words in of_signs(bank)[0]


def test_a_layer_behind_a_relu_says_nothing_of_signs(plain, signed, extract):
    assert of_signs(plain[2]) == []
    assert plain[2].quality.duplicates == ()
    model, images = signed
    assert not any("same way" in said for said in extract(model, images, layer="0").caveats())


def test_concepts_that_are_the_same_are_named_and_can_be_merged(plain):
    """Copies of a concept, found by the fit's own measure; merged they are no longer spoken of."""
    bank = replace(plain[2], ids=(7, 2, 5))
    twice = bank.take([0, 1, 2, 0, 1, 0])
    twice = replace(twice, ids=(7, 2, 5, 8, 9, 4), quality=replace(twice.quality, duplicates=((0, 3, 5), (1, 4))))
    said = [each for each in twice.caveats() if "same way" in each]
    assert said == [
        "Concepts 7, 8 and 4 point the same way: merge([7, 8, 4]) shows them as one.",
        "Concepts 2 and 9 point the same way: merge([2, 9]) shows them as one.",
    ]
    merged = twice.merge([2, 9])
    assert [each for each in merged.caveats() if "same way" in each] == said[:1]
    assert not any("same way" in each for each in merged.merge([7, 8, 4]).caveats())


def test_they_are_found_in_a_fit(small, extract, pictures):
    """Two centres of K-means along one direction: the same picture, dark and bright."""
    model = small()
    for weight in (model.source_net[0][0].bias,):
        weight.data.zero_()
    picture = pictures(1, seed=3)[0]
    images = [size * picture for size in (0.1, 0.11, 0.12, 0.9, 0.95, 1.0)]
    bank = extract(model, images, n_concepts=2, fit_on="crops", patch=24, extractor="kmeans")
    assert bank.quality.duplicates == ((0, 1),)
    a, b = bank.ids
    assert f"Concepts {a} and {b} point the same way: merge([{a}, {b}]) shows them as one." in bank.caveats()
    assert len(bank.merge([a, b]).grouped().importance) == 1


def test_a_group_of_which_one_is_left_is_no_group(plain):
    bank = plain[2]
    three = replace(bank, quality=replace(bank.quality, duplicates=((0, 2),)))
    assert three.take([2, 1, 0]).quality.duplicates == ((0, 2),)
    assert three.take([1, 2, 0]).quality.duplicates == ((1, 2),)
    assert three.take([0, 1]).quality.duplicates == ()
    assert not any("same way" in said for said in three.take([0, 1]).caveats())
