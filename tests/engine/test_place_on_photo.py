"""Values of cells on the photo: cells, centres, and what was never shown."""

import numpy as np
import pytest

from whatwhere.engine.placing import place_on_photo
from whatwhere.pixels.geometry import Geometry

VALUES = np.array([[0.0, 1.0], [2.0, 5.0]], dtype=np.float32)


def test_nearest_gives_each_pixel_its_cell():
    geometry = Geometry(photo=(4, 6), seen=(0, 1, 4, 5), size=(8, 8))
    wanted = np.full((4, 6), np.nan)
    wanted[:, 1:5] = np.kron(VALUES, np.ones((2, 2)))
    np.testing.assert_array_equal(place_on_photo(VALUES, geometry, "nearest"), wanted)


def test_bilinear_is_linear_between_centres_and_constant_beyond():
    geometry = Geometry(photo=(8, 8), seen=(0, 0, 8, 8), size=(4, 4))
    drawn = place_on_photo(VALUES, geometry)
    share = np.clip((np.arange(8) + 0.5 - 2) / 4, 0, 1)
    down, across = share[:, None], share[None]
    wanted = (1 - down) * (1 - across) * 0 + (1 - down) * across * 1 + down * (1 - across) * 2 + down * across * 5
    np.testing.assert_allclose(drawn, wanted, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_nan_is_where_the_network_was_shown_nothing(interpolation):
    geometry = Geometry(photo=(5, 9), seen=(-1, 2.4, 6, 7.4), size=(7, 5))  # padded above and below
    drawn = place_on_photo(VALUES[:, :1], geometry, interpolation)
    np.testing.assert_array_equal(~np.isnan(drawn), geometry.seen_mask())
    assert drawn.dtype == np.float32
