"""One look at a set of photos, and concepts of any class in it."""

from __future__ import annotations

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.concepts.survey import Survey

METHOD = ww.Craft(n_concepts=2, fit_on="locations")


@pytest.fixture(scope="module")
def net(small):
    return small(seed=7)


@pytest.fixture(scope="module")
def photos(pictures):
    return {f"photo {k}": picture for k, picture in enumerate(pictures(24))}


def finish(steps):
    *_, last = steps
    return last


def surveyed(net, photos):
    survey = Survey(METHOD, net, photos)
    for _ in survey.steps():
        pass
    return survey


def test_it_counts_what_the_network_predicts(net, photos):
    survey = surveyed(net, photos)
    predicted = [int(net.predict(photo).argmax()) for photo in photos.values()]
    assert survey.complete
    assert survey.names == list(photos)
    assert survey.predictions == predicted
    assert survey.counts() == {c: predicted.count(c) for c in sorted(set(predicted), key=lambda c: -predicted.count(c))}
    assert survey.done == len(photos)


def test_banks_from_a_survey_equal_those_of_runs_of_their_own(net, photos):
    survey = surveyed(net, photos)
    classes = [target for target, count in survey.counts().items() if count >= 2]
    assert len(classes) > 1
    for target in [None, *classes]:
        got = finish(survey.extract(METHOD, target)).record
        wanted = METHOD.run(net, photos, target=target, progress=False)
        assert got is not None
        assert got.complete
        assert got.images == wanted.images
        np.testing.assert_allclose(got.W, wanted.W, atol=1e-5)
        np.testing.assert_allclose(got.importance, wanted.importance, atol=1e-5)
        np.testing.assert_allclose(got.codes, wanted.codes, atol=1e-4)


def test_no_forward_is_made_twice(net, photos):
    survey = surveyed(net, photos)
    last = finish(survey.extract(METHOD, None))
    assert last.done == survey.done == len(photos)


def test_two_who_wait_share_one_survey(net, photos):
    survey = Survey(METHOD, net, photos)
    one, other = survey.steps(), survey.steps()
    next(one)
    next(other)
    for _ in other:
        pass
    assert survey.complete
    assert list(one) == []
    assert survey.done == len(photos)


def test_crops_are_run_of_the_photos_of_the_class(net, photos):
    survey = surveyed(net, photos)
    target = next(iter(survey.counts()))
    method = ww.Craft(n_concepts=2, fit_on="crops")
    bank = finish(survey.extract(method, target)).record
    assert bank is not None
    assert len(bank.images) == survey.counts()[target]


def test_an_unfinished_survey_says_so(net, photos):
    survey = Survey(METHOD, net, photos)
    with pytest.raises(RuntimeError, match="not finished"):
        next(survey.extract(METHOD, None))


def test_a_class_with_too_few_photos_says_how_many_there_are(net, photos):
    survey = surveyed(net, photos)
    nobody = next(target for target in range(4) if target not in survey.counts())
    with pytest.raises(ValueError, match=r"at least 2 predicted as '.*', one a concept, got 0 of 24"):
        finish(survey.extract(METHOD, nobody))


def test_features_in_files_give_the_same(net, photos, monkeypatch):
    wanted = finish(surveyed(net, photos).extract(METHOD, None)).record
    monkeypatch.setattr(ww.limits, "activation_bytes", 1)
    got = finish(surveyed(net, photos).extract(METHOD, None)).record
    assert wanted is not None
    assert got is not None
    np.testing.assert_array_equal(got.W, wanted.W)
