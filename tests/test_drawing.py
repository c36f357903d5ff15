"""Pictures as files: within a number of bytes where possible."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from whatwhere.drawing import encode


def noise(width, height):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def sizes_tried(picture, monkeypatch, limit):
    """The longest sides of the files that were written."""
    tried = []
    save = Image.Image.save
    monkeypatch.setattr(Image.Image, "save", lambda self, *a, **k: (tried.append(max(self.size)), save(self, *a, **k)))
    data = encode(picture, limit=limit)
    return tried, data


@pytest.mark.parametrize(
    ("width", "limit", "sizes"),
    [(800, 10, [640, 512, 384, 320, 256]), (400, 10, [400, 384, 320, 256]), (200, 10, [200]), (400, 10**9, [400])],
)
def test_each_size_is_written_once(width, limit, sizes, monkeypatch):
    """A picture that is smaller than the sizes is not enlarged, so that the next would be the same file again."""
    tried, data = sizes_tried(noise(width, 100), monkeypatch, limit)
    assert tried == sizes
    with Image.open(io.BytesIO(data)) as written:
        assert max(written.size) == sizes[-1]


def test_the_largest_that_fits_is_taken(monkeypatch):
    whole = len(encode(noise(400, 400), limit=10**9))
    tried, data = sizes_tried(noise(400, 400), monkeypatch, whole - 1)
    assert tried == [400, 384]
    assert len(data) < whole
