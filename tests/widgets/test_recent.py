"""However many photos somebody scrolls through, a bounded number stays decoded."""

from __future__ import annotations

import numpy as np

from whatwhere.pixels.images import Photo
from whatwhere.widgets import _strip
from whatwhere.widgets._recent import Recent


def test_the_last_ones_are_kept():
    recent, made = Recent(2), []

    def get(key):
        return recent.get(key, lambda: made.append(key) or -key)

    assert [get(key) for key in (1, 2, 1, 3, 1, 2)] == [-1, -2, -1, -3, -1, -2]
    assert made == [1, 2, 3, 2]
    assert (len(recent), 3 in recent) == (2, False)
    recent.drop(lambda key: key == 1)
    assert (1 in recent, 2 in recent) == (False, True)


def test_a_strip_holds_no_more_pictures_than_are_looked_at(monkeypatch):
    class Plain(_strip.Strip):
        def photo(self, n):
            return Photo(np.full((40, 50, 3), n % 10 / 10, np.float32))

    monkeypatch.setattr(_strip, "_DECODED", 5)
    monkeypatch.setattr(_strip, "_ENCODED", 7)
    strip = Plain()
    files = [strip.jpeg(n, 32, 70) for n in range(60)]
    assert (len(strip._small), len(strip._encoded)) == (5, 7)
    assert strip.jpeg(0, 32, 70) == files[0]  # made again, the same
    assert strip.jpeg(59, 32, 70) is files[59]
    assert strip.thumbnail(3) is strip.thumbnail(3)
