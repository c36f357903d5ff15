"""What really excites a target: on networks whose answer is known, then on a real one."""

import numpy as np
import pytest
import torch
from torch import nn

import whatwhere as ww
from whatwhere.pixels.images import read_photo

T = ww.targets


def planted(model_size=24, cell=4):
    """A network whose features are the colours of each cell of 4 x 4 pixels, and whose logits are their means."""
    body = nn.Conv2d(3, 3, cell, stride=cell, bias=False)
    with torch.no_grad():
        body.weight.copy_(torch.eye(3)[:, :, None, None].expand(3, 3, cell, cell) / cell**2)
    net = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    with torch.no_grad():
        net[3].weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]))
        net[3].bias.zero_()
    made = ww.VisionModel(
        net.eval(), device="cpu", input_size=model_size, mean=(0.0,) * 3, std=(1.0,) * 3, name="cells"
    )
    made.batch_size = 3
    return made


@pytest.fixture(scope="module")
def cells():
    return planted()


def patched(row, column, amount, *, channel=0):
    """A dark photo of 24 x 24 with one bright cell."""
    photo = np.zeros((24, 24, 3), dtype=np.float32)
    photo[4 * row : 4 * row + 4, 4 * column : 4 * column + 4, channel] = amount
    return photo


def test_the_strongest_photos_their_values_and_places(cells):
    amounts = {"weak": (0, 5, 0.2), "strong": (3, 1, 0.9), "middle": (5, 0, 0.5), "none": (2, 2, 0.0)}
    photos = {name: patched(*told) for name, told in amounts.items()}
    found = ww.DatasetExamples(count=3, window=0.25).run(cells, T.Channel("0", 0), photos)
    assert [each.image for each in found.top] == ["strong", "middle", "weak"]
    assert [each.value for each in found.top] == pytest.approx([0.9 / 36, 0.5 / 36, 0.2 / 36])
    assert [each.peak for each in found.top] == pytest.approx([0.9, 0.5, 0.2])
    assert [each.place for each in found.top] == [(3, 1), (5, 0), (0, 5)]
    assert found.names == tuple(photos)
    np.testing.assert_allclose(found.values, [0.2 / 36, 0.9 / 36, 0.5 / 36, 0], rtol=1e-6, atol=1e-9)
    for each in found.top:  # the window holds the cell, stays inside, and has a quarter of the side
        top, left, bottom, right = each.window
        row, column = each.place
        assert 0 <= top <= 4 * row
        assert 4 * row + 4 <= bottom <= 24
        assert 0 <= left <= 4 * column
        assert 4 * column + 4 <= right <= 24
        assert (bottom - top, right - left) == (6, 6)
        assert each.crop.shape == (6, 6, 3)
        assert each.crop.max() == each.picture.max()
        assert abs(int(each.crop.max()) - 255 * each.peak) <= 0.51


def test_a_class_is_a_matter_of_the_whole_photo(cells):
    photos = {"red": patched(1, 1, 1.0), "green": patched(1, 1, 1.0, channel=1)}
    first = ww.DatasetExamples(count=1).run(cells, 1, photos).top[0]
    assert (first.image, first.place, first.peak) == ("green", None, None)
    assert first.box == first.seen == (0, 0, 24, 24)
    assert first.window == (0, 0, 24, 24)


def test_boxes_lie_on_the_photo_not_on_what_the_network_is_shown(cells):
    wide = np.zeros((48, 96, 3), dtype=np.float32)  # shown: the middle 48 x 48, halved
    wide[8:16, 56:64, 2] = 1  # row 1, column 4 of 6
    each = ww.DatasetExamples(count=1, window=1 / 6).run(cells, T.Channel("0", 2), {"wide": wide}).top[0]
    assert each.place == (1, 4)
    assert each.seen == (0, 24, 48, 72)
    assert each.box == pytest.approx((8, 56, 16, 64))


@pytest.mark.parametrize(
    "target",
    [
        T.Direction("0", [0.6, 0.0, 0.8], likeness="dot", pool="max"),
        2 * T.Channel("0", 0) - 0.5 * T.Channel("0", 1),
        T.Neuron("0", 0, 3, 1),
        T.Channel("0", 0) + 3 * T.ClassScore(2),
    ],
    ids=lambda target: target.label,
)
def test_values_are_those_that_a_prototype_is_told_by(cells, target):
    """The second route: the terms themselves, on features that a plain forward gives."""
    rng = np.random.default_rng(1)
    photos = {f"{k}": rng.random((24, 24, 3), dtype=np.float32) for k in range(5)}
    found = ww.DatasetExamples(count=5).run(cells, target, photos)
    images = torch.cat([cells.to_input(cells.preprocess.pixels(read_photo(photo))) for photo in photos.values()])
    features = cells.net[0](images)
    read = {"0": features, None: cells.net(images)}
    expected = sum(term.weight * term.values(read[term.layer]) for term in target.terms(cells))
    np.testing.assert_allclose(found.values, expected.detach().numpy(), rtol=1e-5)
    assert [each.value for each in found.top] == sorted(found.values.tolist(), reverse=True)


def test_places_before_pooling_make_the_value(cells):
    images = torch.rand(2, 3, 24, 24)
    features = cells.net[0](images)
    for target, pooled in (
        (T.Channel("0", 1), lambda places: places.mean(dim=(1, 2))),
        (T.Direction("0", [1.0, 2.0, 3.0], pool="max"), lambda places: places.amax(dim=(1, 2))),
        (T.Neuron("0", 1, 2, 4), lambda places: places[:, 2, 4]),
    ):
        (term,) = target.terms(cells)
        assert torch.allclose(pooled(term.places(features)), term.values(features))
    assert T.ClassScore(0).terms(cells)[0].places is None


def test_a_sum_over_two_layers_has_no_place(cells):
    both = T.Channel("0", 0) + T.Channel("1", 0)
    assert ww.DatasetExamples().run(cells, both, {"a": patched(0, 0, 1)}).top[0].place is None


def test_many_targets_and_one_each_alone_are_the_same(cells):
    rng = np.random.default_rng(2)
    photos = [rng.random((24, 24, 3), dtype=np.float32) for _ in range(7)]
    targets = [0, T.Channel("0", 2), T.Direction("0", [1.0, 1, 0])]
    together = ww.DatasetExamples(count=2).run(cells, targets, photos)
    for target, found in zip(targets, together, strict=True):
        alone = ww.DatasetExamples(count=2).run(cells, target, photos)
        np.testing.assert_array_equal(alone.values, found.values)
        assert [each.image for each in alone.top] == [each.image for each in found.top]


def test_generators_are_read_once_and_nothing_but_the_strongest_is_kept(cells):
    read = []

    def photos():
        for k in range(20):
            read.append(k)
            yield patched(k % 6, 0, (k + 1) / 20)

    records = list(ww.DatasetExamples(count=2).steps_of(cells, T.Channel("0", 0), photos()))
    assert read == list(range(20))
    assert [step.done for step in records] == [3, 6, 9, 12, 15, 18, 20, 20]
    (last,) = records[-1].record
    assert last.complete
    assert [each.image for each in last.top] == ["image 20", "image 19"]
    assert len(last.values) == 20
    assert not records[0].record[0].complete


def test_stream_and_submit_end_where_run_does(cells):
    photos = [patched(k, 0, k / 6) for k in range(5)]
    wanted = ww.DatasetExamples(count=2).run(cells, 0, photos)
    *_, streamed = ww.DatasetExamples(count=2).stream(cells, 0, photos)
    (submitted,) = ww.DatasetExamples(count=2).submit(cells, 0, photos).wait(60)
    for found in (streamed[0], submitted):
        np.testing.assert_array_equal(found.values, wanted.values)
        assert found.top[0].image == wanted.top[0].image == "image 5"


def test_files_that_are_no_photos_are_told(cells, tmp_path):
    from PIL import Image

    Image.fromarray((255 * patched(0, 0, 1)).astype(np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    with pytest.warns(UserWarning, match=r"1 files could not be read, such as 'b'"):
        found = ww.DatasetExamples().run(cells, 0, [tmp_path / "a.png", tmp_path / "b.png"])
    assert found.names == ("a",)
    assert list(found.unreadable) == ["b"]
    with pytest.raises(ValueError, match=r"images: wanted photos, and none can be read. 'b'"):
        ww.DatasetExamples().run(cells, 0, [tmp_path / "b.png"])


def test_what_is_not_finite_is_left_out_and_told(toy):
    model = toy(lambda x: torch.log(x.mean(dim=(2, 3)) - 0.5))
    photos = [np.full((64, 64, 3), grey, dtype=np.float32) for grey in (0.2, 0.8, 0.9)]
    with pytest.warns(UserWarning, match="1 of 3 photos give no finite value"):
        found = ww.DatasetExamples().run(model, 0, photos)
    assert [each.image for each in found.top] == ["image 3", "image 2"]
    assert found.share_below(found.top[0].value) == pytest.approx(1 / 3)


def test_memory_that_runs_out_halves_the_batch(cells, monkeypatch):
    from whatwhere.prototypes import _exciting

    plain, sizes = _exciting.Reader.__call__, []

    def stingy(self, images):
        sizes.append(len(images))
        if len(images) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return plain(self, images)

    photos = [patched(k, 0, k / 6) for k in range(5)]
    wanted = ww.DatasetExamples(count=5).run(cells, 0, photos)
    monkeypatch.setattr(_exciting.Reader, "__call__", stingy)
    found = ww.DatasetExamples(count=5).run(cells, 0, photos)
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-6)
    assert found.names == wanted.names
    assert sizes[-2:] == [1, 1]

    def hopeless(*_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(_exciting.Reader, "__call__", hopeless)
    with pytest.raises(MemoryError, match="out of memory on cpu with one photo"):
        ww.DatasetExamples().run(cells, 0, photos)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"count": 0}, ValueError, "count: wanted an integer from 1 to 1000, got 0"),
        ({"count": 2.5}, TypeError, "count: wanted an integer, got float"),
        ({"window": 0}, ValueError, "window: wanted a number above 0 and below 1, got 0"),
        ({"window": "big"}, TypeError, "window: wanted a number, got str"),
    ],
)
def test_options_are_checked(options, error, words):
    with pytest.raises(error, match=words):
        ww.DatasetExamples(**options)


def test_targets_that_are_not_there_are_refused(cells):
    with pytest.raises(ValueError, match="index: wanted one of the 3 channels"):
        ww.DatasetExamples().submit(cells, T.Channel("0", 9), [patched(0, 0, 1)])
    with pytest.raises(ValueError, match="targets: wanted at least one"):
        ww.DatasetExamples().run(cells, [], [patched(0, 0, 1)])


def test_the_user_s_network_is_left_as_it_was(cells):
    ww.DatasetExamples().run(cells, [0, T.Channel("0", 1)], [patched(0, 0, 1)])
    for parameter in cells.source_net.parameters():
        assert parameter.grad is None
        assert parameter.requires_grad
    assert not any(module._forward_hooks for module in cells.source_net.modules())


def test_a_concept_extracted_before_can_be_climbed_and_looked_for(cells):
    """Extraction runs without autograd; what it leaves ready must not stand in the gradient's way."""
    rng = np.random.default_rng(3)
    photos = [rng.random((24, 24, 3), dtype=np.float32) for _ in range(6)]
    bank = ww.Craft(n_concepts=2, layer="0", fit_on="locations", designs=8).run(cells, photos, progress=False)
    concept = T.Concept(bank, 0)
    prototype = ww.Maco(steps=2, crops=2, size=96).run(cells, concept, progress=False)
    found = ww.DatasetExamples(count=1).run(cells, concept, photos)
    assert prototype.steps == 2
    assert found.label == prototype.label
    assert found.told == prototype.told


def test_the_real_network(model, photos):
    found = ww.DatasetExamples(count=2).run(model, ["espresso", T.Channel("features.4", 17)], photos)
    images = torch.cat([model.to_input(model.preprocess.pixels(read_photo(photo))) for photo in photos.values()])
    with model.computing():
        logits = model.logits(images)[:, 967].cpu().numpy()
    assert found[0].top[0].image == "coffee"
    np.testing.assert_allclose(found[0].values, logits, atol=2e-3)
    assert found[1].top[0].place is not None
