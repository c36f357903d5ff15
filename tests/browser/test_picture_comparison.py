"""What the comparison of pictures lets pass and what it does not, on pages that are drawn here."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pictures import BLOCK, FAR, MOST_IN_A_SQUARE, SQUARE, Album, compare, rounded, shrink
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

LIGHT, DARK = ("#ffffff", "#1c1c1a", "#5d5c58", "#f5f5f3"), ("#131312", "#ecebe7", "#a5a39d", "#1d1d1b")
BUTTON = (300, 330)
SAYS = "Near: read for the same reasons. Colour and letter: the concept that sets it apart."


def drawn(photos, *, colours=LIGHT, panel=(0, 0), button=(40, 20), muted=None, erased=None):
    """Draw a page: a heading, a photo with a map on it, a panel of lines, and a button."""
    ground, ink, grey, wash = colours
    page = Image.new("RGB", (640, 400), ground)
    brush = ImageDraw.Draw(page)
    brush.text((16, 12), "Where it looks for espresso", ink, ImageFont.load_default(18))
    photo = Image.fromarray(photos["coffee"]).resize((240, 160))
    glow = Image.new("RGB", photo.size, "#f0a030")
    page.paste(Image.blend(photo, glow, 0.3), (16, 48))
    x, y = panel
    brush.rectangle((300 + x, 48 + y, 620 + x, 300 + y), wash)
    for line in range(11):
        words = SAYS[3 * line : 3 * line + 50]
        brush.text((312 + x, 60 + 20 * line + y), words, muted or grey, ImageFont.load_default(13))
    if button:
        brush.rectangle((*BUTTON, BUTTON[0] + button[0] - 1, BUTTON[1] + button[1] - 1), ink)
    if erased:
        brush.rectangle(erased, ground)
    return np.asarray(page)


@pytest.fixture
def page(photos):
    return drawn(photos)


def reason(got, page):
    return compare(got, rounded(shrink(page))).reason


def test_a_picture_is_as_itself(page):
    found = compare(page, shrink(page))
    assert found.reason == ""
    assert found.far.max() == found.square == found.mean == 0
    kept = compare(page, rounded(shrink(page)))
    assert kept.reason == ""
    assert kept.far.max() < FAR / 2


def test_noise_of_a_lossy_picture_passes(page):
    file = io.BytesIO()
    Image.fromarray(page).save(file, "JPEG", quality=75)
    got = np.asarray(Image.open(file))
    assert np.abs(got.astype(int) - page).max() > 20
    assert reason(got, page) == ""


@pytest.mark.parametrize("by", [(0.5, 0), (0, 0.5), (-0.5, 0.5), (2, 0), (0, -2)])
def test_what_moves_by_a_pixel_or_two_passes(page, by):
    got = ndimage.shift(page.astype(float), (*by, 0), order=1, mode="nearest")
    assert reason(np.rint(got).astype(np.uint8), page) == ""


@pytest.mark.parametrize("by", [(12, 0), (-12, 0), (0, 12), (0, -12)])
def test_a_panel_that_moved_does_not(page, photos, by):
    assert "blocks differ" in reason(drawn(photos, panel=by), page)


def test_a_button_that_is_gone_does_not_nor_one_that_is_new(page, photos):
    without = drawn(photos, button=None)
    found = compare(without, shrink(page))
    left, top = found.corner
    assert "blocks differ" in found.reason
    assert left <= BUTTON[0] < left + SQUARE * BLOCK
    assert top <= BUTTON[1] < top + SQUARE * BLOCK
    assert "blocks differ" in reason(page, without)


def test_the_smallest_that_is_missed(photos):
    """A mark of 20 x 15 pixels is seen to be gone, one of 15 x 15 is not."""
    blocks = {size: size[0] * size[1] / BLOCK**2 for size in ((20, 15), (15, 15))}
    assert blocks[15, 15] <= MOST_IN_A_SQUARE * SQUARE**2 < blocks[20, 15]
    none = drawn(photos, button=None)
    assert "blocks differ" in reason(none, drawn(photos, button=(20, 15)))
    assert reason(none, drawn(photos, button=(15, 15))) == ""


def test_a_line_that_is_gone_does_not(page, photos):
    assert "blocks differ" in reason(drawn(photos, erased=(16, 8, 250, 36)), page)


def test_the_other_theme_does_not(page, photos):
    found = reason(drawn(photos, colours=DARK), page)
    assert "blocks differ" in found
    assert "mean difference" in found


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_words_that_fade_do_not(photos, theme):
    """Grey words at half their contrast, as when the wrong variable is used."""
    ground, _, grey, _ = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in theme)
    faded = "#" + "".join(f"{int(v):02x}" for v in (ground + grey) // 2)
    assert "blocks differ" in reason(drawn(photos, colours=theme, muted=faded), drawn(photos, colours=theme))


def test_a_veil_over_all_of_it_does_not(page):
    """Too weak to be seen in any one place."""
    veiled = np.rint(0.95 * page + 0.05 * 128).astype(np.uint8)
    found = compare(veiled, rounded(shrink(page)))
    assert found.far.max() < FAR
    assert "mean difference" in found.reason


def test_the_size_counts(page):
    assert "635 pixels wide instead of about 640" in reason(page[:, :-5], page)
    assert reason(page[:-10], page) == ""
    assert "389 pixels high" in reason(page[:-11], page)


def test_an_album_keeps_nothing_unasked(tmp_path, page):
    file = io.BytesIO()
    Image.fromarray(page).save(file, "PNG")
    album = Album(tmp_path / "kept", tmp_path / "found")
    with pytest.raises(AssertionError, match=r"no picture 'a' .* keep it with --new-pictures"):
        album.check("a", file.getvalue())
    assert not album.folder.exists()
    assert (album.found / "a.png").read_bytes() == file.getvalue()

    Album(album.folder, album.found, renew=True).check("a", file.getvalue())
    album.check("a", file.getvalue())
    kept = (album.folder / "a.webp").read_bytes()
    other = io.BytesIO()
    Image.fromarray(255 - page).save(other, "PNG")
    with pytest.raises(AssertionError, match=r"a: .* blocks differ between .*a-wanted\.png and a-difference\.png"):
        album.check("a", other.getvalue())
    assert (album.folder / "a.webp").read_bytes() == kept
    assert (album.found / "a.png").read_bytes() == other.getvalue()
    shown = [np.asarray(Image.open(album.found / f"a-{each}.png")) for each in ("wanted", "difference")]
    assert [each.shape for each in shown] == [page.shape] * 2
    assert np.array_equal(shrink(shown[0]), rounded(shrink(page)))
    red = shown[1].astype(int)
    assert (red[..., 0] - red[..., 1]).max() > 200
