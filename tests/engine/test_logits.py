"""Stored logits: exact while there is memory, and for the likeliest classes beyond."""

import gc

import numpy as np
import pytest

from whatwhere import limits
from whatwhere.engine.logits import DroppedClassError, Logits, Shelf, shelf
from whatwhere.engine.scores import SCORES, score


def make(rows=6, columns=5, classes=100, seed=0):
    rng = np.random.default_rng(seed)
    array = rng.normal(size=(rows, columns, classes)).astype(np.float32)
    store = Logits(array, rng.normal(size=classes).astype(np.float32))
    store.pinned = False
    return store, array


@pytest.mark.parametrize("kind", SCORES)
def test_a_reduced_store_gives_the_same_scores_for_the_classes_it_kept(kind):
    store, array = make()
    before = {k: store.scores(k, kind, 4) for k in range(100)}
    store.reduce()
    assert 32 <= len(store.classes) <= 64
    for k in store.classes:
        assert store.scores(k, kind, 4) == pytest.approx(before[k], rel=1e-6, abs=1e-7)
        assert before[k] == pytest.approx(score(array[:4], k, kind))


def test_the_likeliest_classes_of_the_image_are_kept():
    store, _ = make()
    store.reduce()
    assert set(np.argsort(-store._reference)[:32]) <= set(store.classes)


def test_what_was_dropped_says_so_and_what_to_do():
    store, _ = make()
    store.reduce()
    gone = next(k for k in range(100) if k not in store.classes)
    with pytest.raises(DroppedClassError, match=rf"class {gone} were dropped.*logits_bytes = .*Run the method"):
        store.scores(gone, "logit", 2)
    with pytest.raises(DroppedClassError, match="logits of all classes were dropped"):
        store.array()
    with pytest.raises(DroppedClassError, match="a function of all logits"):
        store.scores(store.classes[0], lambda logits: logits[:, 0], 2)


def test_a_reduced_store_is_small():
    store, array = make(classes=1000)
    before = store.nbytes
    assert before == array.nbytes
    store.reduce()
    assert store.nbytes < before / 8
    again = store.nbytes
    store.reduce()
    assert store.nbytes == again


def test_the_store_used_longest_ago_goes_first(monkeypatch):
    own = Shelf()
    monkeypatch.setattr("whatwhere.engine.logits.shelf", own)
    stores = [make(seed=k)[0] for k in range(3)]
    for store in stores:
        own.touch(store)
    stores[0].scores(0, "logit", 2)  # used again
    monkeypatch.setattr(limits, "logits_bytes", int(2.9 * stores[0].nbytes))
    own.trim()
    assert [store.reduced for store in stores] == [False, True, False]
    stores[2].pinned = True
    monkeypatch.setattr(limits, "logits_bytes", 0)
    own.trim()
    assert [store.reduced for store in stores] == [True, True, False], "what is being filled is left alone"


def test_stores_that_are_gone_do_not_count():
    before = shelf.nbytes
    store, _ = make()
    shelf.touch(store)
    assert shelf.nbytes == before + store.nbytes
    del store
    gc.collect()
    assert shelf.nbytes == before
