"""Entries come back as they were written, or not at all."""

from __future__ import annotations

import os
import sqlite3
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.cache.blobs import Entry, encode, name_of
from whatwhere.cache.control import read_limit
from whatwhere.cache.keys import UncacheableError, content_digest, digest_of
from whatwhere.cache.rows import Rows
from whatwhere.cache.store import Store


def entry(number, size=100):
    return Entry(
        {"number": number},
        {"a": np.full(size, number, dtype=np.float32), "empty": np.zeros((0, 3), np.int64), "one": np.asarray(7)},
    )


@pytest.fixture
def store(folder):
    made = Store(folder, 10**6)
    yield made
    made.close()


def files_of(store):
    return sorted(store.folder.glob("v1/files/*/*.safetensors"))


# -- entries ----------------------------------------------------------------------------------------------------------


def test_what_was_put_is_found_by_another_store_too(store):
    assert store.get("k1") is None
    store.put("test", [("k1", entry(1)), ("k2", entry(2))])
    for one in (store, Store(store.folder, 10)):
        for key, number in (("k1", 1), ("k2", 2)):
            found = one.get(key)
            assert found.told == {"number": number}
            assert np.array_equal(found.arrays["a"], np.full(100, number, np.float32))
            assert found.arrays["a"].dtype == np.float32
            assert (found.arrays["empty"].shape, found.arrays["one"].shape) == ((0, 3), ())
            assert found.arrays["one"] == 7
            assert not found.arrays["a"].flags.writeable
        one.close()
    info = store.info(enabled=True)
    assert (info.hits, info.misses, info.written, info.files) == (2, 1, 2, 1)
    assert info.entries == {"test": 2}
    assert info.bytes == sum(path.stat().st_size for path in files_of(store))


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("there", [False, True], ids=["made", "there already"])
def test_a_folder_that_is_made_is_the_users_alone(tmp_path, there):
    folder = tmp_path / "some" / "where"
    if there:
        folder.mkdir(parents=True, mode=0o755)
    store = Store(folder, 10**6)
    store.put("kind", [("a", entry(1))])
    assert folder.stat().st_mode & 0o777 == (0o755 if there else 0o700)
    store.close()


def test_looking_writes_nothing(store):
    assert store.get("k") is None
    assert store.verify().whole
    assert store.clear() == 0
    assert store.info(enabled=False).bytes == 0
    assert not store.folder.exists()


def test_what_is_known_stays(store):
    store.put("test", [("k", entry(1))])
    store.put("test", [("k", entry(2))])
    assert store.get("k").told == {"number": 1}
    assert len(files_of(store)) == 1
    store.put("test", [("k", entry(2)), ("new", entry(3))])
    assert store.get("k").told == {"number": 1}
    assert store.get("new").told == {"number": 3}


def test_a_file_is_called_after_what_is_in_it(store):
    store.put("test", [("k", entry(1))])
    (path,) = files_of(store)
    assert path.stem == name_of(path.read_bytes())


# -- the limit --------------------------------------------------------------------------------------------------------


def test_what_was_used_longest_ago_goes_first(folder):
    size = len(encode([entry(0)]))
    store = Store(folder, 3 * size)
    for k in range(3):
        store.put("test", [(f"k{k}", entry(k))])
    assert store.get("k0") is not None
    store.put("test", [("k3", entry(3))])
    assert [store.get(f"k{k}") is not None for k in range(4)] == [True, False, True, True]
    assert store.evicted == 1
    assert store.info(enabled=True).bytes <= store.limit
    assert len(files_of(store)) == 3
    store.close()
    store = Store(folder, size)  # the order of use has outlived the session
    assert store.get("k2") is not None
    store.close()
    store.put("test", [("k4", entry(4))])
    assert [store.get(f"k{k}") is not None for k in range(5)] == [False] * 4 + [True]
    store.close()


def test_a_result_that_is_larger_than_the_limit_is_told_and_evicts_nothing(folder):
    store = Store(folder, 2000)
    store.put("test", [("k", entry(1))])
    with pytest.warns(UserWarning, match=r"takes 39.* KiB, more than the limit of 1.95 KiB; it is not kept"):
        assert store.put("test", [("large", entry(2, size=10_000))]) == 0
    assert store.get("k") is not None
    assert store.get("large") is None
    store.close()


def test_one_run_fills_half_of_the_cache(folder):
    store = Store(folder, 4 * len(encode([Entry({}, entry(0).arrays)])))
    rows = Rows(store, "codes", "scope")
    for k in range(3):
        rows.keep([f"d{k}"], rows=[entry(k).arrays])
    with pytest.warns(UserWarning, match="more than half of the limit"):
        rows.keep(["d3"], rows=[entry(3).arrays])
    assert [row is not None for row in rows.find([f"d{k}" for k in range(4)])] == [True] * 3 + [False]
    assert [row is not None for row in Rows(store, "codes", "another").find(["d0"])] == [False]
    store.close()


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "delete"])
def test_what_is_broken_is_never_given_out(store, harm):
    store.put("test", [("k", entry(1)), ("l", entry(2))])
    store.close()
    (path,) = files_of(store)
    contents = bytearray(path.read_bytes())
    contents[-7] ^= 1
    harms = {
        "flip": lambda: path.write_bytes(contents),
        "truncate": lambda: os.truncate(path, len(contents) // 2),
        "empty": lambda: os.truncate(path, 0),
        "delete": path.unlink,
    }
    harms[harm]()
    if harm == "delete":  # as by another process that evicts it
        assert store.get("k") is None
    else:
        with pytest.warns(UserWarning, match=r"is broken: its .* bytes are not those .* dropped, and computed anew"):
            assert store.get("k") is None
    assert store.get("l") is None
    assert store.info(enabled=True).files == len(files_of(store)) == 0
    store.put("test", [("k", entry(1))])
    assert store.get("k").told == {"number": 1}


def test_verify_drops_what_is_broken_and_sweeps_what_is_old(store):
    for k in range(3):
        store.put("test", [(f"k{k}", entry(k))])
    broken = files_of(store)[0]
    os.truncate(broken, 10)
    left = [store.folder / "v1" / "passing" / "half", broken.parent / f"{'0' * 40}.safetensors"]
    for path in left:
        path.write_bytes(b"half")
    young = store.verify()
    assert (young.files, young.dropped, young.swept) == (2, (broken.stem,), 0)  # a living writer may be at it
    for path in left:
        os.utime(path, (0, 0))
    assert store.verify().swept == 2
    assert store.verify().whole
    assert len(files_of(store)) == 2


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "kept", 10**6)
    with pytest.warns(UserWarning, match=r"cannot be written: NotADirectoryError .* computed, and not kept"):
        assert store.put("test", [("k", entry(1))]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.put("test", [("k", entry(1))]) == 0
        assert store.get("k") is None


def test_a_full_disk_is_said_and_leaves_nothing_half(store, monkeypatch):
    store.put("test", [("k", entry(1))])

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="cannot be written: the disk is full. Results are computed, and not kept"):
        assert store.put("test", [("l", entry(2))]) == 0
    monkeypatch.undo()
    assert list((store.folder / "v1" / "passing").iterdir()) == []
    assert store.verify().files == 1
    assert store.get("k") is not None


def test_an_index_that_is_no_database_is_said(store):
    store.put("test", [("k", entry(1))])
    store.close()
    (store.folder / "v1" / "index.sqlite").write_bytes(b"no database at all, " * 100)
    with pytest.warns(UserWarning, match=r"the index of .* is broken: .* set aside, and all results are computed"):
        assert store.get("k") is None
    store.put("test", [("k", entry(1))])
    assert store.get("k").told == {"number": 1}
    assert (store.folder / "v1" / "index.broken").exists()


def test_a_network_that_says_something_else_has_another_number(store):
    probe = np.array([1.0, -2.0, 0.5], dtype=np.float32)
    assert store.number_of("key", probe, tolerance=1e-3) == 1
    assert store.number_of("key", probe + 1e-4, tolerance=1e-3) == 1
    assert store.number_of("key", probe + 0.1, tolerance=1e-3) == 2
    assert store.number_of("key", probe[:2], tolerance=1e-3) == 3
    assert store.number_of("other", probe, tolerance=1e-3) == 4


def test_threads_share_a_store(store):
    def work(first):
        for k in range(first, first + 20):
            store.put("test", [(f"k{k}", entry(k))])
            assert store.get(f"k{k}").told == {"number": k}

    threads = [threading.Thread(target=work, args=(10 * t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.info(enabled=True).entries == {"test": 50}


# -- keys -------------------------------------------------------------------------------------------------------------


def test_equal_values_have_equal_keys():
    a, b = (ww.Sobol(grid=4, baseline=np.full((5, 5, 3), 0.25, np.float32)) for _ in range(2))
    assert digest_of(a) == digest_of(b)
    assert digest_of(a) != digest_of(ww.Sobol(grid=4, baseline=np.full((5, 5, 3), 0.5, np.float32)))
    assert digest_of(ww.Craft(3)) != digest_of(ww.Craft(4))
    assert digest_of(ww.Craft(3, extractor="topk_sae")) != digest_of(ww.Craft(3, extractor="nmf"))
    assert digest_of(ww.Maco(steps=3)) == digest_of(ww.Maco(steps=3))
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), ("1", 1), (("ab", "c"), ("a", "bc")), ((1, (2,)), (1, 2)), (None, 0)]
)
def test_values_that_differ_have_different_keys(one, other):
    assert digest_of(one) != digest_of(other)


def test_contents_are_told_by_shape_and_type_as_well():
    zeros = np.zeros(12, np.float32)
    told = [zeros, zeros.reshape(3, 4), zeros.reshape(4, 3), zeros.astype(np.int32), zeros.tobytes()]
    assert len({content_digest(part) for part in told}) == len(told)
    assert content_digest(zeros.reshape(3, 4).T) == content_digest(np.zeros((4, 3), np.float32))


def test_what_has_no_value_has_no_key():
    @dataclass(frozen=True)
    class Own:
        number: int = 3

    with pytest.raises(UncacheableError, match=r"Sobol.score is the function .*<lambda>"):
        digest_of(ww.Sobol(score=lambda logits: logits[:, 0]))
    with pytest.raises(UncacheableError, match="whose code only this session knows"):
        digest_of(Own())
    with pytest.raises(UncacheableError, match="no value that outlives"):
        digest_of((1, object()))


# -- turning it on ----------------------------------------------------------------------------------------------------


def test_it_is_off_until_it_is_asked_for(folder):
    assert not ww.cache.info().enabled
    with ww.cache.use(folder, limit="1 MB"):
        info = ww.cache.info()
        assert (info.enabled, info.limit, info.path) == (True, 10**6, folder)
        with ww.cache.use(folder / "inner"):
            assert ww.cache.info().path == folder / "inner"
        assert ww.cache.info().path == folder
    assert not ww.cache.info().enabled
    assert not folder.exists()
    ww.cache.enable(folder)
    assert ww.cache.info().enabled
    ww.cache.disable()
    assert not ww.cache.info(folder).enabled


def test_the_usual_folder_follows_the_platform(monkeypatch, tmp_path):
    from whatwhere.cache.place import results_folder

    for name in ("WHATWHERE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    assert results_folder() == tmp_path / ".cache" / "whatwhere" / "results"
    monkeypatch.setattr("sys.platform", "darwin")
    assert results_folder() == tmp_path / "Library" / "Caches" / "whatwhere" / "results"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert results_folder() == tmp_path / "xdg" / "whatwhere" / "results"
    monkeypatch.setenv("WHATWHERE_CACHE", str(tmp_path / "told"))
    assert results_folder() == tmp_path / "told" / "results"


@pytest.mark.parametrize(
    ("told", "size"),
    [(5000, 5000), ("5000", 5000), ("2 GiB", 2**31), ("1.5kb", 1500), ("500 MB", 5 * 10**8), ("1 TiB", 2**40)],
)
def test_limits(told, size):
    assert read_limit(told) == size


@pytest.mark.parametrize("told", [0, -1, "", "GiB", "2 apples", "-3 MB", "nan", "inf GB", 1.5, True, None])
def test_limits_that_are_none(told):
    with pytest.raises((TypeError, ValueError), match="limit: wanted a positive number of bytes"):
        ww.cache.enable(limit=told)


def test_clear(folder):
    with ww.cache.use(folder):
        store = Store(folder, 10**6)
        store.put("a", [("k", entry(1))])
        store.put("b", [("l", entry(2))])
        assert ww.cache.clear(unused_days=1) == 0
        assert ww.cache.clear(kind="a") > 0
        assert ww.cache.info().entries == {"b": 1}
        assert "1 b" in str(ww.cache.info())
        assert ww.cache.clear() > 0
        assert ww.cache.info().files == len(files_of(store)) == 0
        store.close()
    with pytest.raises(ValueError, match="unused_days"):
        ww.cache.clear(folder, unused_days=-1)


def test_a_path_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="wanted a folder, got the file"):
        ww.cache.enable(tmp_path / "file")


def test_the_index_survives_a_rollback(store):
    store.put("test", [("k", entry(1))])

    def fail():
        with store._index.changing() as connection:
            connection.execute("DELETE FROM entries")
            connection.execute("INSERT INTO entries VALUES ('x', 'test', 0, 'no such file')")

    with pytest.raises(sqlite3.IntegrityError):
        fail()
    assert store.get("k") is not None
