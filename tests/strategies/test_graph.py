"""The record: choosing, comparing, flags, clusters, tables, pictures and files, on graphs whose numbers are known."""

from __future__ import annotations

import importlib.util
import sys
import types
from dataclasses import replace

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.metrics.intervals import share_difference
from whatwhere.strategies.muting import Muting

needs_sklearn = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="scikit-learn's")


@pytest.fixture
def shortcut(made):
    """A: in all, decides. B: in half, wrong in 40 % of them, decides. C: in half, reliable, decides. D: in half, wrong
    as B, decides nothing."""
    n = 200
    rng = np.random.default_rng(0)
    b, c = np.arange(n) % 2 == 0, np.arange(n) % 4 < 2
    phi = np.column_stack([np.full(n, 3.0), 2.0 * b, 2.0 * c, 1.0 * b]) + 0.01 * rng.random((n, 4))
    labels = np.where(b & (np.arange(n) % 5 < 2), 1, 0)
    drops = np.column_stack([np.full(n, 0.6), 0.5 * b, 0.5 * c, 0.01 * b]) + 0.01 * rng.random((n, 4))
    flips = np.column_stack([np.ones(n), b, c, np.zeros(n)]).astype(bool)
    return made(phi, labels, drops=drops, flips=flips)


def test_the_planted_shortcut_is_flagged_and_nothing_else(shortcut):
    told = shortcut.shortcuts()
    assert [flag.verdict for flag in told] == ["look at it", "possible shortcut", "nothing", "nothing"]
    a, b, c, d = told
    assert a.unreliable is None
    assert a.common
    assert a.decisive
    assert c.unreliable is False
    assert (d.unreliable, d.decisive) == (True, False)
    assert b.reliability.value == pytest.approx(0.6)
    assert b.without.value == 1
    assert b.difference[0] == pytest.approx(-0.4)
    assert "With it 60%" in b.words
    assert "look at it" in shortcut.table()["verdict"]


def test_the_rule_says_its_numbers(shortcut):
    assert "at least 25%" in shortcut.shortcut_rule()
    assert "98.75% a concept, so that all 4 together are at 95%" in shortcut.shortcut_rule()
    assert "at least 40%" in shortcut.shortcut_rule(common=0.4)
    assert "many classes" not in shortcut.shortcut_rule()
    assert "many classes" in replace(shortcut, target=None).shortcut_rule()
    assert "at least 5%" in replace(shortcut, target=None).shortcut_rule()
    assert shortcut.shortcuts(common=0.6)[1].verdict == "nothing"
    assert shortcut.shortcuts(moved=0.999)[1].verdict == "nothing"
    with pytest.raises(ValueError, match="common: wanted a number above 0"):
        shortcut.shortcuts(common=0)


def test_few_photos_are_not_enough_for_a_flag(shortcut, made):
    few = made(
        shortcut.importance[:10],
        shortcut.labels[:10],
        drops=shortcut.muting.drops[:10],
        flips=shortcut.flips[:10],
    )
    assert few.reliability.values[1] == pytest.approx(0.6)
    assert few.shortcuts()[1].verdict == "nothing"


def test_chance_is_rarely_flagged(made):
    """Labels that know nothing of concepts: among 60 graphs of 4 concepts at most a few flags at 95 %."""
    flagged = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        phi = (rng.random((120, 4)) < 0.5) + 1e-3
        graph = made(phi, rng.integers(0, 2, 120), drops=np.full((120, 4), 0.6))
        flagged += any(flag.verdict == "possible shortcut" for flag in graph.shortcuts())
    assert flagged <= 5


def test_without_labels_a_person_is_asked_to_look(shortcut):
    told = replace(shortcut, labels=np.full(200, -1)).shortcuts()
    assert [flag.verdict for flag in told] == ["look at it"] * 3 + ["nothing"]
    assert np.isnan(told[0].difference[0])


def test_a_labelled_set_cannot_tell_what_else_is_taken_for_it(shortcut):
    labelled = replace(shortcut, method=replace(shortcut.method, population="labelled"))
    assert all(flag.unreliable is None for flag in labelled.shortcuts())


def test_newcombes_examples():
    assert share_difference((9, 10), (3, 10)) == pytest.approx((0.6, 0.1705, 0.8090), abs=5e-5)
    assert share_difference((0, 20), (0, 10)) == pytest.approx((0, -0.2775, 0.1611), abs=5e-5)
    assert share_difference((0, 0), (1, 2))[1:] == (-1, 1)


def test_choosing_photos(made):
    graph = made([[2, 0], [2, 1], [0, 2], [-1, -1]], [0, 1, -1, 0])
    assert graph.select("A").tolist() == [0, 1]
    assert graph.select(1).tolist() == [1, 2]
    assert graph.select(1, by="strongest").tolist() == [2]
    assert graph.select(correct=True).tolist() == [0, 3]
    assert graph.select(correct=False).tolist() == [1]
    assert graph.select(-1).tolist() == [3]
    assert graph.select().tolist() == [0, 1, 2, 3]
    assert graph.names_of(graph.select("A", correct=False)) == ["photo 1"]
    named = replace(graph, concept_names={1: "cap"})
    assert named.select("cap").tolist() == [1, 2]
    assert named.concept_label(1) == "B cap"
    with pytest.raises(ValueError, match=r"concept: wanted one of \['A', 'B cap'\], got 'C', which is none"):
        named.select("C")
    with pytest.raises(ValueError, match="which is several"):
        replace(graph, concept_names={0: "cap", 1: "cap"}).select("cap")
    with pytest.raises(ValueError, match="a row from 0 to 1"):
        graph.select(2)
    with pytest.raises(ValueError, match=r"rule: wanted one of .* 'argmax'"):
        graph.by("argmax")


def test_forty_concepts(made):
    rng = np.random.default_rng(0)
    graph = made(rng.normal(0.2, 1, (300, 40)), rng.integers(0, 2, 300))
    assert graph.picture().size[0] == 1760
    assert graph.select("N1").tolist() == graph.select(39).tolist()
    assert len(graph.table()["concept"]) == 40
    assert len(graph.to_plotly().data) > 40


def test_all_absent(made):
    graph = made(np.zeros((12, 3)), [0] * 12)
    assert graph.unsupported.all()
    assert "No concept speaks for 12" in graph.describe()
    assert [flag.verdict for flag in graph.shortcuts()] == ["nothing"] * 3
    assert graph.picture().mode == "RGB"
    assert graph.table()["reliability"] == [None] * 3
    assert graph.to_plotly().data[0].name == "no supporting concept"


def test_broken_records_are_refused(made):
    graph = made([[1.0, 2.0]], [0])
    with pytest.raises(ValueError, match=r"labels: wanted shape \(1,\)"):
        replace(graph, labels=np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="positions: wanted finite numbers, got 1 of 2"):
        replace(graph, positions=np.array([[0, np.nan]], dtype=np.float32))
    with pytest.raises(ValueError, match="muting: wanted shape"):
        replace(graph, muting=Muting(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.int64)))
    with pytest.raises(ValueError, match="read-only"):
        graph.positions[0] = 0


def test_comparing_classes_adds_up(made):
    graph = made([[2.0, 1.0], [1.0, 3.0]], [1, 0])
    told = graph.compare(0)
    assert told.classes == (0, 1)
    assert told.kind == "true"
    assert graph.compare("photo 1").kind == "next"
    for row in range(2):
        parts = told.bases[row] + told.contributions[row].sum() + told.residuals[row] + told.gaps[row]
        assert parts == pytest.approx(told.logits[row])
    assert told.difference == pytest.approx([1.0, 0.5])
    assert told.order.tolist() == [0, 1]
    assert "Read as tench (+4.0); goldfish is (+1.5)" in told.describe()
    assert told.picture().size[0] == 1280
    assert set(told._repr_mimebundle_()) == {"image/png", "text/html", "text/plain"}
    with pytest.raises(ValueError, match="image: wanted one of the 2 photos, got 'x'"):
        graph.compare("x")
    with pytest.raises(ValueError, match="a row from 0 to 1"):
        graph.compare(7)


def test_what_no_concept_explains_may_decide(made):
    graph = made([[0.1, 0.1]], [1])
    told = graph.compare(0)
    assert told.rest_decides
    assert "is not among these concepts" in told.describe()


@needs_sklearn
@pytest.mark.parametrize("method", ["kmeans", "ward"])
def test_planted_clusters_are_found(made, method):
    """Three mixes of four concepts, of which two share their strongest one."""
    rng = np.random.default_rng(0)
    mixes = np.array([[5, 4, 0, 0], [5, 0, 4, 0], [0, 0, 0, 5]], dtype=float)
    kind = np.repeat([0, 1, 2], [40, 30, 20])
    phi = mixes[kind] + 0.3 * rng.random((90, 4))
    graph = made(phi, np.where(kind == 1, 1, 0))
    told = graph.clusters(method=method)
    np.testing.assert_array_equal(told.of_image, kind)
    assert len(told) == 3
    assert max(told.silhouettes, key=told.silhouettes.get) == 3
    assert told.prevalence.counts.tolist() == [40, 30, 20]
    assert told.reliability.values.tolist() == [1, 0, 1]
    assert kind[told.medoids].tolist() == [0, 1, 2]
    assert told.centres[0] == pytest.approx(graph.shares[kind == 0].mean(axis=0))
    assert "3 clusters: of 2 to 10" in told.rule
    np.testing.assert_array_equal(told.of_image, graph.clusters(method=method).of_image)
    assert len(graph.clusters(2, method=method)) == 2


@needs_sklearn
def test_no_clusters_where_there_are_none(made):
    rng = np.random.default_rng(0)
    told = made(rng.random((200, 12)) + 1).clusters()
    assert len(told) == 1
    assert "no structure" in told.rule
    assert len(made(np.ones((5, 2))).clusters()) == 1
    two = made(np.array([[1.0, 0]] * 4 + [[0, 1.0]] * 4))
    assert len(two.clusters()) == 2
    with pytest.raises(ValueError, match="at most 2 clusters of 2 different vectors, got 3"):
        two.clusters(3)
    with pytest.raises(ValueError, match="method: wanted one of"):
        two.clusters(method="dbscan")


@pytest.mark.parametrize("thumbnails", [True, False])
def test_files(made, tmp_path, thumbnails):
    rng = np.random.default_rng(0)
    graph = made(rng.normal(size=(20, 3)), rng.integers(-1, 2, 20))
    graph = replace(graph, thumbnails=tuple(bytes([k] * (k + 1)) for k in range(20)), concept_names={1: "cap"})
    path = tmp_path / "graph.safetensors"
    graph.save(path, thumbnails=thumbnails)
    again = ww.StrategyGraph.load(path)
    assert again.thumbnails == (graph.thumbnails if thumbnails else ())
    for name in ("importance", "positions", "labels", "predictions", "probabilities"):
        np.testing.assert_array_equal(getattr(again, name), getattr(graph, name))
    for name in ("images", "ids", "concept_names", "method", "layout", "provenance", "target", "left_out"):
        assert getattr(again, name) == getattr(graph, name)
    assert again.describe() == graph.describe()
    assert again.table("images") == graph.table("images")
    np.testing.assert_array_equal(again.compare(3).contributions, graph.compare(3).contributions)


def test_bad_files(made, tmp_path):
    path = tmp_path / "graph.safetensors"
    with pytest.raises(FileNotFoundError):
        ww.StrategyGraph.load(path)
    path.write_bytes(b"no such thing")
    with pytest.raises(ValueError, match="broken or no safetensors file"):
        ww.StrategyGraph.load(path)
    made([[1.0]]).save(path)
    with pytest.raises(ValueError, match=r"wanted a file that ConceptBank\.save has written"):
        ww.ConceptBank.load(path)


def test_tables(made):
    graph = made([[2.0, 0.0], [1.0, 3.0]], [0, -1])
    table = graph.table()
    assert table["concept"] == ["A", "B"]
    assert table["prevalence"] == [1, 0.5]
    assert table["reliability"] == [1, None]
    images = graph.table("images")
    assert images["right"] == [True, None]
    assert images["label"] == ["tench", "unknown"]
    assert images["B"] == [0, 3]
    assert images["strongest"] == ["A", "B"]
    assert len({len(column) for column in images.values()}) == 1
    with pytest.raises(ValueError, match="rows: wanted one of"):
        graph.table("classes")


def test_without_pandas(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"to_pandas needs pandas: pip install pandas; table\(\) gives"):
        made([[1.0]]).to_pandas()


def test_a_pandas_table(made):
    graph = made([[2.0, 0.0], [1.0, 3.0]], [0, 1])
    assert graph.to_pandas().loc["B", "photos"] == 1
    assert list(graph.to_pandas("images").index) == ["photo 0", "photo 1"]


def test_what_is_handed_to_pandas(made, monkeypatch):
    graph, handed = made([[2.0, 0.0], [1.0, 3.0]], [0, 1]), {}

    class Frame(dict):
        def set_index(self, name):
            handed["index"] = name
            return self

    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=Frame))
    assert graph.to_pandas("images") == graph.table("images")
    assert handed["index"] == "image"


def test_a_plotly_figure(made):
    graph = made([[2.0, 0.0], [1.0, 3.0], [0.0, 1.0], [-1.0, 0.0]], [0, 1, -1, 0])
    figure = graph.to_plotly(by="strongest")
    named = {trace.name: trace for trace in figure.data if trace.xaxis == "x"}
    assert list(named) == ["A", "B", "no supporting concept", "right", "wrong", "not known"]
    assert named["B"].marker.symbol == ("diamond", "square")
    assert named["A"].text == ("A",)
    assert named["A"].marker.color == "#E69F00"
    panel = {trace.name: trace for trace in figure.data if trace.xaxis == "x2"}
    rate = graph.reliability[0]
    assert panel["A"].x == (0.5,)
    assert panel["A"].error_y.array[0] == pytest.approx(rate.high - rate.value)
    assert panel["A"].error_y.arrayminus[0] == pytest.approx(rate.value - rate.low)
    assert figure.layout.yaxis2.title.text == "Share that are tench"
    many = made(np.random.default_rng(0).random((2500, 3)), np.zeros(2500)).to_plotly()
    assert many.data[0].type == "scattergl"


def test_without_plotly(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(ImportError, match="to_plotly needs Plotly: pip install plotly"):
        made([[1.0]]).to_plotly()


class Axes:
    """Axes that write down what is drawn on them."""

    def __init__(self):
        self.drawn = []

    def __getattr__(self, name):
        return lambda *args, **options: self.drawn.append((name, args, options))


def test_drawing_on_axes(made, monkeypatch):
    graph = made([[2.0, 0.0], [1.0, 3.0], [0.0, 1.0], [-1.0, 0.0]], [0, 1, 0, 0])
    axes = Axes()
    assert graph.plot(ax=axes) is axes
    shown = [options["marker"] for name, _, options in axes.drawn if name == "scatter"]
    assert sorted(shown) == ["D", "o", "o", "o"]
    assert [o["label"] for name, _, o in axes.drawn if name == "scatter"] == ["A", "B", None, "no supporting concept"]
    axes = Axes()
    graph.plot(ax=axes, panel="reliability")
    spots = [args for name, args, _ in axes.drawn if name == "errorbar"]
    assert sorted(spots) == [(0.5, 0.5), (0.5, 0.5)]
    with pytest.raises(ValueError, match="panel: wanted 'strategies' or 'reliability'"):
        graph.plot(ax=axes, panel="both")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="plot needs Matplotlib"):
        graph.plot()


def test_the_static_picture_says_right_and_wrong_by_shape(made):
    rng = np.random.default_rng(0)
    phi = rng.random((30, 3)) + 0.5
    right, wrong = (made(phi, np.full(30, label)).picture() for label in (0, 1))
    assert right.size == wrong.size
    assert right.tobytes() != wrong.tobytes()
    bundle = made(phi)._repr_mimebundle_()
    assert "Without labels nothing is known of reliability" in bundle["text/plain"]
    assert made(phi).picture(by="strongest", width=300).size[0] == 960
