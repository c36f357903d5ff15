"""Class names: unknown, ambiguous, near and exact."""

import pytest

from whatwhere.classes import ClassNames, UnknownClassError


@pytest.fixture
def imagenet(model):
    return model.class_names


def test_names_and_ids_resolve(imagenet):
    assert imagenet.resolve("espresso") == 967
    assert imagenet.resolve("Egyptian cat") == imagenet.resolve(" egyptian_CAT ") == 285
    assert imagenet.resolve(0) == 0
    assert imagenet[967] == "espresso"


def test_an_unknown_name_lists_the_nearest(imagenet):
    with pytest.raises(UnknownClassError, match=r"no class is named 'expresso'\. Nearest: 'espresso'") as caught:
        imagenet.resolve("expresso")
    assert caught.value.candidates[0] == 967


def test_part_of_a_name_finds_it(imagenet):
    assert imagenet.nearest("tabb")[0] == imagenet.resolve("tabby")


def test_a_name_like_no_other_says_so(imagenet):
    with pytest.raises(UnknownClassError, match=r"no class is named 'qqqq'\. An id"):
        imagenet.resolve("qqqq")


def test_an_ambiguous_name_lists_its_ids():
    names = ClassNames(["hen", "crane", "tram", "Crane"])
    with pytest.raises(UnknownClassError, match="'crane' names 2 classes, 1 and 3; pass one of these ids") as caught:
        names.resolve("crane")
    assert caught.value.candidates == (1, 3)
    assert names.label(3) == "Crane (3)"
    assert names.label(0) == "hen"
    assert names.resolve(3) == names.resolve("crane (3)") == 3


@pytest.mark.parametrize("target", [-1, 1000])
def test_an_id_out_of_range(imagenet, target):
    with pytest.raises(UnknownClassError, match="from 0 to 999"):
        imagenet.resolve(target)


@pytest.mark.parametrize("target", [1.5, True, None, b"cat"])
def test_neither_name_nor_id(imagenet, target):
    with pytest.raises(TypeError, match=r"target: wanted a class name \(str\) or id \(int\)"):
        imagenet.resolve(target)
