"""Whatever a person hands over: it works, or the message says which argument, what was wanted, what came."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from whatwhere.classes import UnknownClassError
from whatwhere.concepts.craft import Craft


@pytest.fixture(scope="module")
def model(small):
    return small()


LOCATIONS = {"n_concepts": 3, "fit_on": "locations"}

# -- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("n_concepts", 0, ValueError),
        ("n_concepts", -1, ValueError),
        ("n_concepts", True, ValueError),
        ("n_concepts", 10**6, ValueError),
        ("n_concepts", "ten", TypeError),
        ("n_concepts", 2.5, TypeError),
        ("n_concepts", None, TypeError),
        ("layer", True, TypeError),
        ("layer", 1.5, TypeError),
        ("layer", ["features"], TypeError),
        ("seed", -1, ValueError),
        ("seed", None, TypeError),
        ("seed", 2**63, ValueError),
        ("fit_on", "patches", ValueError),
        ("fit_on", None, ValueError),
        ("fit_on", ["crops"], ValueError),
        ("patch", 0, ValueError),
        ("patch", (64, 64), TypeError),
        ("patch", 0.25, TypeError),
        ("extractor", "ica", ValueError),
        ("extractor", 3, TypeError),
        ("importance", "shapley", ValueError),
        ("importance", True, ValueError),
        ("designs", 1, ValueError),
        ("designs", "many", TypeError),
        ("weigh", 0, ValueError),
    ],
)
def test_options_are_refused_by_name(option, value, error):
    with pytest.raises(error, match=f"^{option}: wanted") as caught:
        Craft(**{option: value})
    if not isinstance(value, int) or abs(value) < 10**6:
        assert repr(value) in str(caught.value)


def test_methods_are_values():
    assert Craft(n_concepts=np.int64(7)) == Craft(7)
    assert hash(Craft(7)) == hash(Craft(7))
    assert Craft(7) != Craft(7, seed=1)
    assert eval(repr(Craft(7, seed=3, patch=32))) == Craft(7, seed=3, patch=32)  # noqa: S307  # it is our own
    with pytest.raises(AttributeError):
        Craft().seed = 1


# -- images -----------------------------------------------------------------------------------------------------------


def test_fewer_images_than_concepts(model, pictures, extract):
    with pytest.raises(ValueError, match=r"images: wanted at least 3, one a concept, got 2\..*fewer concepts"):
        extract(model, pictures(2))


def test_one_image(model, pictures, extract):
    image = pictures(1)[0]
    with pytest.raises(ValueError, match=r"images: wanted at least 3.*got 1"):
        extract(model, image)
    bank = extract(model, image, n_concepts=1)
    assert bank.images == ("image",)
    assert bank.importance.tolist() == [1.0]
    assert bank.quality.r2 is None  # the logit of one image does not vary


def test_images_of_other_classes(model, pictures, extract):
    images = pictures(12)
    classes = np.array([model.predict(image).argmax() for image in images])
    least = int(np.bincount(classes, minlength=4).argmin())
    count = int((classes == least).sum())
    assert count < 3
    with pytest.raises(ValueError, match=rf"predicted as 'class {least}'.*got {count} of 12.*leave target out"):
        extract(model, images, target=least)


@pytest.mark.parametrize("images", [[], {}, iter([])])
def test_no_image(model, extract, images):
    with pytest.raises(ValueError, match="images: wanted at least one image, got an empty collection"):
        extract(model, images)


@pytest.mark.parametrize("images", [3, None, object()])
def test_what_is_no_collection(model, extract, images):
    with pytest.raises(TypeError, match="images: wanted"):
        extract(model, images)


@pytest.mark.parametrize(
    ("spoilt", "name"),
    [
        (np.full((24, 24, 3), np.nan, np.float32), "image 5"),
        (np.full((24, 24, 3), 7.0, np.float32), "image 5"),
        (b"no picture at all", "image 5"),
        ("nowhere/to/be/found.jpg", "found"),
        (object(), "image 5"),
        (np.zeros((0, 24, 3), np.float32), "image 5"),
    ],
    ids=["NaN", "out of range", "broken bytes", "missing file", "an object", "empty"],
)
def test_an_image_in_the_middle_that_cannot_be_read(model, pictures, extract, spoilt, name):
    """The message names it, and the network is as before."""
    images = pictures(12)
    images[4] = spoilt
    with pytest.raises((TypeError, ValueError), match=name):
        extract(model, images)
    assert extract(model, pictures(12)).complete


def test_a_dataset_that_fails_in_the_middle(model, pictures, extract):
    """What it raises is handed on as it is."""

    def broken():
        yield from pictures(5)
        raise OSError(5, "the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        extract(model, broken())


def test_a_network_whose_answer_is_nan(small, pictures, extract):
    model = small()
    with torch.no_grad():
        model.source_net[3].weight[0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="images: 'image 1' gives features or logits that are NaN"):
        extract(model, pictures())


class Overflows(nn.Module):
    """Infinite where an image is all white."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU())
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        cells = self.maps(torch.where(x.amin((1, 2, 3), keepdim=True) > 0.9, x / 0, x))
        return self.head(cells.mean((2, 3)))


def test_the_one_image_that_overflows_is_named(small, pictures, extract):
    images = pictures(7)
    images[5] = np.ones((24, 24, 3), np.float32)
    with pytest.raises(FloatingPointError, match="'image 6'"):
        extract(small(Overflows()), images, layer="maps")


def test_constant_features(small, pictures, extract):
    model = small()
    with torch.no_grad():
        model.source_net[0][0].weight.zero_()
        model.source_net[0][0].bias.fill_(1)
    with pytest.raises(ValueError, match="layer: '0' puts out the same features everywhere"):
        extract(model, pictures())
    with torch.no_grad():
        model.source_net[0][0].bias.fill_(-1)  # a ReLU that lets nothing through
    with pytest.raises(ValueError, match=r"layer: '0.*' puts out the same features everywhere"):
        extract(model, pictures())


def test_images_that_are_all_the_same(model, pictures, extract):
    """One picture twelve times still has different places."""
    bank = extract(model, pictures(1) * 12)
    assert bank.quality.n_images == 12
    assert np.isfinite(bank.importance).all()
    np.testing.assert_array_equal(bank.codes[0], bank.codes[11])


def test_blank_images(model, extract):
    """Blank images have the same features everywhere."""
    with pytest.raises(ValueError, match="puts out the same features everywhere"):
        extract(model, [np.zeros((24, 24, 3), np.float32)] * 6)


def test_more_concepts_than_the_features_have_channels(model, pictures, extract):
    with pytest.raises(ValueError, match=r"(n_concepts|rank): .*12"):
        extract(model, pictures(30), n_concepts=15)


# -- targets ----------------------------------------------------------------------------------------------------------


def test_unknown_targets(small, pictures, extract):
    model = small(class_names=["crane", "tench", "crane", "espresso"])
    for target in ("tensch", 4, -1, 2.0):
        with pytest.raises((UnknownClassError, TypeError)) as caught:
            extract(model, pictures(), target=target)
        assert str(target) in str(caught.value)
        with pytest.raises((UnknownClassError, TypeError)):
            Craft(**LOCATIONS).submit(model, pictures(), target=target)
    with pytest.raises(UnknownClassError, match=r"crane.*0.*2"):
        extract(model, pictures(), target="crane")


# -- layers -----------------------------------------------------------------------------------------------------------


def test_a_layer_that_is_not_there(model, pictures, extract):
    with pytest.raises(ValueError, match=r"layer: .*'0.0'"):
        extract(model, pictures(), layer="0.00")
    with pytest.raises(ValueError, match="layer"):
        extract(model, pictures(), layer=50)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU())
        self.branch = nn.Conv2d(12, 12, 3, padding=1)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = self.stem(x)
        return self.head(torch.relu(x + self.branch(x)).mean((2, 3)))


def test_a_layer_that_something_bypasses(small, pictures, extract):
    model = small(Residual())
    with pytest.raises(ValueError, match=r"layer: .*'branch'"):
        extract(model, pictures(), layer="branch")
    assert extract(model, pictures(), layer="stem", importance="contribution").layer.name == "stem"


def test_a_layer_that_is_a_vector(model, pictures, extract):
    """It has no locations; crops are explained by their vectors."""
    layer = model.layers()[-2].name  # flattened
    for fit_on in ("locations", "both"):
        with pytest.raises(ValueError, match="fit_on: '2' puts out one vector for the whole image"):
            extract(model, pictures(), layer=layer, fit_on=fit_on)
    bank = extract(model, pictures(), layer=layer, fit_on="crops", patch=12)
    assert bank.codes.shape == (12, 1, 1, 3)
    assert bank.affine


def test_a_network_without_any_grid(small, pictures, extract):
    net = nn.Sequential(nn.Flatten(), nn.Linear(24 * 24 * 3, 6), nn.ReLU(), nn.Linear(6, 4))
    with pytest.raises(ValueError, match="layer: this network has no layer that can be cut and lies on a grid"):
        extract(small(net), pictures())


def test_crops_larger_than_the_input(model, pictures, extract):
    with pytest.raises(ValueError, match="patch: wanted 1 pixel to the size of the input, 24 x 24"):
        extract(model, pictures(), fit_on="crops", patch=25)


def test_an_earlier_bank_of_another_layer(small, pictures, extract):
    """Directions of two layers mean nothing to each other, also where there are as many channels."""
    model = small(Residual())
    options = {"layer": "stem", "importance": "contribution"}
    earlier = extract(model, pictures(), **options)
    assert extract(model, pictures(), like=earlier, **options).ids == earlier.ids
    narrow_net = nn.Sequential(nn.Conv2d(3, 5, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(180, 4))
    narrow = extract(small(narrow_net), pictures())
    with pytest.raises(ValueError, match=r"like: wanted a bank of 'stem' with 12 channels, got one of .* with 5"):
        extract(model, pictures(), like=narrow, **options)
    with pytest.raises(ValueError, match=r"like: wanted a bank of 'stem' with 12 channels, got one of '0' with 12"):
        extract(model, pictures(), like=extract(small(), pictures()), **options)


# -- memory -----------------------------------------------------------------------------------------------------------


class Tight(nn.Module):
    """Runs out of memory on more than two images, as a GPU does."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU())
        self.head = nn.Linear(12, 4)
        self.most = 1000

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.head(self.maps(x).mean((2, 3)))


@pytest.mark.parametrize("fit_on", ["locations", "crops"])
def test_running_out_of_memory_halves_the_batch(small, pictures, extract, fit_on):
    images = pictures(11)
    wanted = extract(small(Tight(), batch_size=8), images, fit_on=fit_on, layer="maps")
    model = small(Tight(), batch_size=8)
    model.cut("maps")  # while there is room
    model.net.most = 2
    bank = extract(model, images, fit_on=fit_on, layer="maps")
    assert model.batch_size == 2
    for name in ("W", "importance", "codes", "contributions"):
        assert getattr(bank, name) == pytest.approx(getattr(wanted, name), abs=1e-5)


@pytest.mark.parametrize("behind", ["an affine head", "a curved one", "its gradients"])
def test_running_out_of_memory_behind_the_layer(small, pictures, extract, monkeypatch, behind):
    """Where logits are decoded, and where gradients are taken: behind an affine head one of them serves all photos."""
    images = pictures(11)
    curved, of_gradients = behind != "an affine head", behind == "its gradients"

    def net():
        maps = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.ReLU())
        head = [nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4)] if curved else [nn.Linear(12, 4)]
        return nn.Sequential(maps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)

    wanted = extract(small(net(), batch_size=8), images, layer="0")
    assert wanted.affine is not curved
    model = small(net(), batch_size=8)
    cut = model.cut("0")
    decoder = cut._decoder

    def tight(features):
        if len(features) > 2 and (torch.is_grad_enabled() or not of_gradients):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return decoder(features)

    monkeypatch.setattr(cut, "_decoder", tight)
    bank = extract(model, images, layer="0")
    assert model.batch_size == 2
    for name in ("importance", "contributions", "residuals", "bases", "gaps"):
        assert getattr(bank, name) == pytest.approx(getattr(wanted, name), abs=1e-5)
    assert bank.quality.agreement == wanted.quality.agreement
    assert len(bank.on(model).contributions(images).concepts) == 11


def test_not_even_one_image_fits(small, pictures, extract):
    model = small(Tight(), batch_size=8)
    model.cut("maps")

    def images():
        yield from pictures(4)
        model.net.most = 0
        yield from pictures(8)

    with pytest.raises(MemoryError, match="out of memory on cpu with one image at a time"):
        extract(model, images(), layer="maps")


# -- kinds of images --------------------------------------------------------------------------------------------------


def test_one_set_in_any_form(model, pictures, extract, tmp_path):
    """A list, a dict, a batch, a generator, a dataset, a folder, a DataLoader: the same concepts."""
    stored = [np.rint(picture * 255).astype(np.uint8) for picture in pictures(6)]
    for k, one in enumerate(stored):
        Image.fromarray(one).save(tmp_path / f"{k}.png")
    batch = torch.from_numpy(np.stack(stored)).permute(0, 3, 1, 2).float() / 255
    pairs = [(one, 0) for one in batch]
    forms = {
        "list": stored,
        "dict": dict(enumerate(stored)),
        "numpy batch": np.stack(stored),
        "tensor batch": batch,
        "generator": (one for one in stored),
        "dataset": torch.utils.data.TensorDataset(batch, torch.zeros(6)),
        "folder": tmp_path,
        "folder as text": str(tmp_path),
        "loader": torch.utils.data.DataLoader(pairs, batch_size=4),
        "normalised loader": model.images_from(torch.utils.data.DataLoader(pairs, batch_size=4)),
        "prepared": model.images_from(batch),
    }
    banks = {form: extract(model, images) for form, images in forms.items()}
    for form, bank in banks.items():
        assert bank.quality.n_images == 6, form
        assert bank.rank == 3
        np.testing.assert_allclose(bank.W, banks["list"].W, atol=1e-5, err_msg=form)
        assert bank.codes == pytest.approx(banks["list"].codes, abs=1e-4), form
    assert banks["folder"].images == tuple("012345")


def test_photos_of_all_sizes(model, extract):
    rng = np.random.default_rng(0)
    sizes = [(24, 24), (100, 30), (31, 90), (640, 480), (25, 24), (24, 200)]
    bank = extract(model, [rng.random((*size, 3), dtype=np.float32) for size in sizes])
    assert bank.codes.shape == (6, 6, 6, 3)


def test_a_network_of_one_channel(small, pictures, extract):
    maps = nn.Sequential(nn.Conv2d(1, 12, 4, stride=4), nn.ReLU())
    net = nn.Sequential(maps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))
    model = small(net, mean=(0.0,), std=(1.0,))
    bank = extract(model, [picture.mean(axis=2) for picture in pictures()])
    assert bank.codes.shape == (12, 6, 6, 3)
    assert bank.crops[0][0].picture.ndim == 3


def test_a_network_that_takes_any_size(small, pictures, extract):
    """Features of other grids are not compared: the message says how to set a size."""
    model = small(input_size=None, resize=None, crop=None)
    sizes = [*pictures(4), *pictures(1, size=36)]
    with pytest.raises(ValueError, match=r"images: wanted network inputs of .*input_size="):
        extract(model, sizes)
