"""From photos to a graph, on networks small enough to work every number out by hand."""

from __future__ import annotations

import warnings
import weakref

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.engine.encoder import Encoder


def graph_of(*args, **options):
    return ww.StrategyGraph.of(*args, **{"progress": False, "layout": "pca"} | options)


def test_contributions_are_codes_times_weights(colours, whole):
    bank, pictures, shares, order = whole
    graph = graph_of(colours, bank, pictures)
    theta = colours.net[3].weight.detach().numpy()
    for n in range(len(pictures)):
        assert graph.importance[n] == pytest.approx(theta[graph.predictions[n], order] * shares[n], abs=1e-4)
    assert graph.importance == pytest.approx(bank.on(colours).contributions(pictures).concepts.numpy(), abs=1e-5)
    assert graph.importance == pytest.approx(bank.contributions, abs=1e-5)
    assert graph.n_forwards == len(pictures)


def test_muting_is_what_the_network_says_without_the_colour(colours, whole):
    """Blacking a colour out of the picture is a route that knows nothing of concepts."""
    bank, pictures, _, order = whole
    graph = graph_of(colours, bank, pictures)
    for n, picture in enumerate(pictures.values()):
        before = colours.predict(picture)
        for k, colour in enumerate(order):
            without = picture.copy()
            without[..., colour] = 0
            after = colours.predict(without)
            assert graph.muting.becomes[n, k] == after.argmax()
            drop = before[graph.predictions[n]] - after[graph.predictions[n]]
            assert graph.muting.drops[n, k] == pytest.approx(drop, abs=1e-3)
    assert graph.flips.any()
    assert not graph.flips.all()


def test_a_banks_own_photos_cost_no_forward(colours, whole):
    bank, pictures, *_ = whole
    own, looked = graph_of(colours, bank), graph_of(colours, bank, pictures)
    assert own.n_forwards == 0
    assert own.images == looked.images
    for name in ("importance", "positions", "probabilities"):
        assert getattr(own, name) == pytest.approx(getattr(looked, name), abs=1e-4)
    np.testing.assert_array_equal(own.muting.becomes, looked.muting.becomes)
    assert own.thumbnails == looked.thumbnails


def test_a_loaded_bank_has_no_photos_of_its_own(colours, whole, tmp_path):
    bank, pictures, *_ = whole
    bank.save(tmp_path / "bank.safetensors")
    loaded = ww.ConceptBank.load(tmp_path / "bank.safetensors")
    with pytest.raises(ValueError, match="images: wanted the bank's photos"):
        graph_of(colours, loaded)
    assert graph_of(colours, loaded, pictures).importance == pytest.approx(bank.contributions, abs=1e-5)


def test_both_ledgers_add_up_and_the_other_is_the_true_class(colours, whole):
    bank, pictures, *_ = whole
    plain = graph_of(colours, bank, pictures)
    labels = np.where(np.arange(len(pictures)) % 3 == 0, 2, plain.predictions)
    graph = graph_of(colours, bank, pictures, labels=labels)
    for ledger in (graph.explained, graph.other):
        whole_sum = ledger.bases + ledger.concepts.sum(axis=1) + ledger.residuals + ledger.gaps
        assert whole_sum == pytest.approx(ledger.logits, abs=1e-5)
    wrong = ~graph.right
    assert wrong.any()
    np.testing.assert_array_equal(graph.other.classes[wrong], labels[wrong])
    assert (graph.other.classes != graph.explained.classes).all()
    concepts = bank.on(colours)
    for n in (int(np.flatnonzero(wrong)[0]), int(np.flatnonzero(graph.right)[0])):
        told = concepts.contributions(pictures[f"p{n}"], int(graph.other.classes[n]))
        assert graph.other.concepts[n] == pytest.approx(told.concepts[0].numpy(), abs=1e-5)
        assert graph.other.residuals[n] == pytest.approx(float(told.residual[0]), abs=1e-4)


def test_reliability_is_that_of_the_labels(colours, whole):
    """Labels are planted: of the photos with one concept, the first half is right."""
    bank, pictures, *_ = whole
    plain = graph_of(colours, bank, pictures)
    has = plain.by("presence").members[:, 0]
    chosen = np.flatnonzero(has)
    labels = plain.predictions.copy()
    missed = chosen[len(chosen) // 2 :]
    labels[missed] = (labels[missed] + 1) % 4
    graph = graph_of(colours, bank, pictures, labels=labels)
    assert graph.reliability[0].count == len(chosen) // 2
    assert graph.reliability[0].total == len(chosen)
    assert graph.accuracy.count == len(pictures) - len(missed)
    np.testing.assert_array_equal(graph.select(0, correct=False), missed)


def test_of_a_class_others_are_left_out_and_counted(colours, tinted):
    pictures, _ = tinted(40, seed=5)
    said = {name: int(colours.predict(picture).argmax()) for name, picture in pictures.items()}
    bank = ww.Craft(n_concepts=2, fit_on="locations").run(colours, pictures, target=0, progress=False)
    graph = graph_of(colours, bank, pictures, labels=dict.fromkeys(pictures, "tench"))
    assert graph.images == tuple(name for name in pictures if said[name] == 0) == bank.images
    assert set(graph.left_out) == {name for name in pictures if said[name] != 0}
    assert graph.accuracy.value == 1
    missed = graph_of(colours, bank, pictures, labels=dict.fromkeys(pictures, 0), population="labelled")
    assert missed.images == tuple(pictures)
    assert missed.accuracy.count == len(bank.images)
    assert (missed.explained.classes == 0).all()
    misread = int(np.flatnonzero(missed.predictions != 0)[0])
    assert missed.other.classes[misread] == missed.predictions[misread]
    told = missed.compare(misread)
    assert told.classes == (missed.predictions[misread], 0)
    assert told.kind == "true"
    assert "left out" in graph.describe()


class Squared(nn.Module):
    """Logits are squares of weighted sums: not affine."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.AvgPool2d(4), nn.ReLU())
        self.head = nn.Linear(3, 4, bias=False)

    def forward(self, x):
        return self.head(self.maps(x).mean((2, 3))) ** 2


def small(net, **options):
    options = {"input_size": 24, "mean": (0.0,) * 3, "std": (1.0,) * 3, "device": "cpu"} | options
    model = ww.VisionModel(net.eval(), **options)
    model.batch_size = 4
    return model


def assert_muted_by_hand(graph, model, pictures, order):
    for n, picture in enumerate(pictures.values()):
        for k, colour in enumerate(order):
            without = picture.copy()
            without[..., colour] = 0
            after = model.predict(without)
            before = model.predict(picture)
            c = graph.explained.classes[n]
            assert graph.muting.drops[n, k] == pytest.approx(before[c] - after[c], abs=2e-3)


def test_a_head_that_is_not_affine(tinted):
    torch.manual_seed(1)
    pictures, _ = tinted(9)
    model = small(Squared())
    bank = ww.Craft(n_concepts=3, fit_on="locations", layer="maps", importance="contribution").run(
        model, pictures, progress=False
    )
    graph = graph_of(model, bank, pictures)
    assert not graph.affine
    assert graph.importance == pytest.approx(bank.contributions, abs=1e-5)
    assert graph.explained.logits == pytest.approx(bank.logits, abs=1e-4)
    assert_muted_by_hand(graph, model, pictures, [int(np.argmax(row)) for row in bank.W])
    own = graph_of(model, bank)
    assert own.n_forwards == len(pictures)
    assert own.importance == pytest.approx(graph.importance, abs=1e-2)


def test_a_head_with_weights_of_each_place(tinted):
    torch.manual_seed(2)
    pictures, _ = tinted(9)
    model = small(nn.Sequential(nn.Sequential(nn.AvgPool2d(4), nn.ReLU()), nn.Flatten(), nn.Linear(108, 4)))
    bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, pictures, progress=False)
    graph = graph_of(model, bank)
    assert graph.affine
    assert graph.n_forwards == 0
    assert graph.importance == pytest.approx(bank.contributions, abs=1e-4)
    assert_muted_by_hand(graph, model, pictures, [int(np.argmax(row)) for row in bank.W])


def test_a_single_logit(tinted):
    torch.manual_seed(0)
    pictures, _ = tinted(12)
    net = nn.Sequential(
        nn.Sequential(nn.AvgPool2d(4), nn.ReLU()), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1)
    )
    with torch.no_grad():
        net[3].weight.copy_(torch.tensor([[3.0, -3.0, 1.0]]))
        net[3].bias.zero_()
    model = small(net, class_names=["red"])
    bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, pictures, progress=False)
    logits = np.array([3 * p[..., 0].mean() - 3 * p[..., 1].mean() + p[..., 2].mean() for p in pictures.values()])
    graph = graph_of(model, bank, pictures, labels=(logits > 0).tolist())
    np.testing.assert_array_equal(graph.predictions, np.where(logits > 0, 0, -2))
    assert graph.accuracy.value == 1
    assert graph.other is None
    assert_muted_by_hand(graph, model, pictures, [int(np.argmax(row)) for row in bank.W])
    assert "not red" in graph.table("images")["predicted"]
    with pytest.raises(ValueError, match="no other class"):
        graph.compare(0)
    with pytest.raises(TypeError, match="wanted True, False or None"):
        graph_of(model, bank, pictures, labels=[0] * 12)


def test_labels_in_every_form(colours, whole):
    bank, pictures, *_ = whole
    said = graph_of(colours, bank, pictures).predictions
    names = [colours.class_names[c] for c in said]
    forms = [said, said.tolist(), names, dict(zip(pictures, names, strict=True)), torch.from_numpy(said.copy())]
    for labels in forms:
        assert graph_of(colours, bank, pictures, labels=labels).accuracy.value == 1
    half = [name if k % 2 else None for k, name in enumerate(names)]
    graph = graph_of(colours, bank, pictures, labels=half)
    assert graph.known.sum() == len(names) // 2
    assert "it is not known what they are" in graph.describe()


def test_bad_labels(colours, whole):
    bank, pictures, *_ = whole
    some = list(pictures.items())[:3]
    few = dict(some)
    with pytest.raises(ValueError, match="labels: wanted one class for each of the photos, 3, got 2"):
        graph_of(colours, bank, few, labels=[0, 1])
    with pytest.raises(ValueError, match="at least 3, got 2"):
        graph_of(colours, bank, (picture for _, picture in some), labels=[0, 1])
    with pytest.raises(ValueError, match="3, got 4"):
        graph_of(colours, bank, (picture for _, picture in some), labels=[0, 1, 2, 0])
    with pytest.raises(
        ww.UnknownClassError, match=r"labels: of 'photo 1', no class is named 'tensh'. Nearest: 'tench'"
    ):
        graph_of(colours, bank, few, labels=["hen", "tensh", "hen"])
    with pytest.raises(ww.UnknownClassError, match="wanted a class id from 0 to 3, got 9"):
        graph_of(colours, bank, few, labels=[0, 9, 0])
    with pytest.raises(ValueError, match="got none for 'p2'"):
        graph_of(colours, bank, few, labels={"p0": 0, "p1": 0})
    with pytest.raises(ValueError, match="1 of photos that there are not, such as 'q'"):
        graph_of(colours, bank, few, labels=dict.fromkeys(few, 0) | {"q": 1})
    with pytest.raises(TypeError, match=r"labels: wanted a class for each photo, .* got str 'hen'"):
        graph_of(colours, bank, few, labels="hen")
    with pytest.raises(ValueError, match="wanted one class a photo"):
        graph_of(colours, bank, few, labels=np.zeros((3, 2), int))


def test_bad_sets(colours, whole):
    bank, pictures, *_ = whole
    with pytest.raises(ValueError, match="at least one image"):
        graph_of(colours, bank, {})
    one = ww.Craft(n_concepts=2, fit_on="locations").run(colours, pictures, target=0, progress=False)
    green = {"green": np.tile(np.array([0, 1, 0], np.float32), (24, 24, 1))}
    with pytest.raises(ValueError, match="wanted at least one photo predicted as tench, got 1 that are not"):
        graph_of(colours, one, green)
    with pytest.raises(ValueError, match="population='labelled'; the bank has only"):
        graph_of(colours, one, labels={}, population="labelled")
    with pytest.raises(ValueError, match="goes by them, got None"):
        graph_of(colours, one, pictures, population="labelled")
    broken = small(
        nn.Sequential(nn.Sequential(nn.AvgPool2d(4), nn.ReLU()), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    )
    with pytest.raises(ValueError, match="wanted the network that the concepts came from"):
        graph_of(broken, bank, pictures)
    unfinished = next(ww.Craft(n_concepts=2, fit_on="locations").stream(colours, pictures))
    assert not len(unfinished.codes)
    with pytest.raises(ValueError, match="bank: wanted one that is finished"):
        graph_of(colours, unfinished)


def test_features_that_are_no_numbers_are_refused(colours, whole, monkeypatch):
    bank, pictures, *_ = whole
    real = Encoder.look

    def poisoned(self, images):
        look = real(self, images)
        cells = look.cells.clone()
        cells[1, 0, 0, 0] = float("nan")
        return look._replace(cells=cells)

    monkeypatch.setattr(Encoder, "look", poisoned)
    with pytest.raises(FloatingPointError, match="'p1' gives features or logits that are NaN"):
        graph_of(colours, bank, pictures)


def test_stream_and_submit_end_where_run_does(colours, whole, monkeypatch):
    bank, pictures, *_ = whole
    monkeypatch.setattr("whatwhere.strategies._run._PUBLISH", 0.0)
    monkeypatch.setattr("whatwhere.strategies._run._PUBLISH_SHARE", 0.0)
    method = ww.Strategies(layout="pca")
    run = method.run(colours, bank, pictures, progress=False)
    streamed = list(method.stream(colours, bank, pictures))
    assert len(streamed) > 3
    assert [len(graph) for graph in streamed] == sorted(len(graph) for graph in streamed)
    assert [graph.complete for graph in streamed] == [False] * (len(streamed) - 1) + [True]
    assert "(not finished)" in streamed[0].describe()
    submitted = method.submit(colours, bank, pictures).wait(60)
    for graph in (streamed[-1], submitted):
        np.testing.assert_array_equal(graph.importance, run.importance)
        np.testing.assert_array_equal(graph.positions, run.positions)
    part = streamed[0]
    np.testing.assert_array_equal(part.importance, run.importance[: len(part)])


def test_nothing_is_held_between_two_steps(colours, whole):
    """A person trains between two steps: the next one says that these are other weights."""
    bank, pictures, *_ = whole
    steps = ww.Strategies(layout="pca").steps(colours, bank, pictures)
    next(steps)
    weight = colours.source_net[3].weight
    kept = weight.detach().clone()
    assert torch.is_grad_enabled()
    try:
        with torch.no_grad():
            weight.mul_(2)
        with pytest.raises(ValueError, match="wanted the network that the concepts came from"):
            list(steps)
    finally:
        with torch.no_grad():
            weight.copy_(kept)
    assert graph_of(colours, bank, pictures).affine


def test_memory_does_not_hold_photos(colours, whole):
    """Batches are let go: of a long set only rows of numbers and thumbnails are kept."""
    bank, pictures, *_ = whole
    alive = []

    class Watched(np.ndarray):
        """An array that can be watched."""

    def endless():
        for picture in pictures.values():
            image = picture.view(Watched)
            alive.append(weakref.ref(image))
            assert sum(ref() is not None for ref in alive) <= 2 * colours.batch_size
            yield image

    assert len(graph_of(colours, bank, endless())) == len(pictures) == len(alive)


def test_options_are_checked():
    for options, said in (
        ({"normalise": "l2"}, "normalise: wanted 'l1' or None"),
        ({"presence": 0}, "presence: wanted a number above 0 and below 1"),
        ({"population": "all"}, "population: wanted one of"),
        ({"layout": "umap"}, "layout: wanted one of"),
        ({"level": 1}, "level: wanted"),
        ({"thumbnails": -1}, "thumbnails: wanted an integer"),
        ({"seed": -1}, "seed: wanted an integer"),
    ):
        with pytest.raises(ValueError, match=said):
            ww.Strategies(**options)
    assert repr(ww.Strategies(seed=3)) == "Strategies(seed=3)"
    assert ww.Strategies() == ww.Strategies(presence=0.08)
    assert len({ww.Strategies(), ww.Strategies(layout="auto")}) == 1


def test_raw_contributions_may_place_photos(colours, whole):
    bank, pictures, *_ = whole
    raw, scaled = graph_of(colours, bank, pictures, normalise=None), graph_of(colours, bank, pictures)
    np.testing.assert_array_equal(raw.importance, scaled.importance)
    np.testing.assert_array_equal(raw.prevalence.counts, scaled.prevalence.counts)
    assert np.abs(raw.positions - scaled.positions).max() > 0.05


@pytest.mark.parametrize(("count", "rank"), [(1, 1), (12, 1), (12, 3)])
def test_few_photos_and_concepts(colours, tinted, count, rank):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures, _ = tinted(count)
        bank = ww.Craft(n_concepts=rank, fit_on="locations").run(colours, pictures, progress=False)
        graph = ww.StrategyGraph.of(colours, bank, labels=[0] * count, progress=False)
        assert graph.shares.shape == (count, rank)
        assert graph.picture().width > 800
        assert len(graph.shortcuts()) == rank
        assert graph.describe()
