"""Photos that come from the browser, or from Python, while a view is used."""

import io
import time
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

import whatwhere as ww
from whatwhere.pixels.files import size_of
from whatwhere.pixels.images import read_photo
from whatwhere.widgets._arrivals import encode_beside, free_name, read_arrival
from whatwhere.widgets._view import WIRE

PATIENCE = 30
LIMITS = WIRE["arriving"]


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def picture(side=40, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def file_of(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def brightness(x):
    return torch.stack([x[:, 0].mean((1, 2)), x[:, 1, :16].mean((1, 2)), x.amax((1, 2, 3))], 1)


@pytest.fixture
def view(toy):
    photos = {"one": picture(64), "two": picture(48, seed=1)}
    shown = ww.AttributionView(toy(brightness), photos, method=ww.Sobol(grid=4, rows=4))
    yield shown
    shown.close()


@pytest.fixture
def ask(view, monkeypatch):
    return asking(view, monkeypatch)


def asking(view, monkeypatch):
    """Send a photo as the browser does, and return the answer."""
    sent = []
    monkeypatch.setattr(view, "send", lambda content, **_: sent.append(content))

    def put(contents, name="cat.jpg", rid="r"):
        before = len(sent)
        buffers = [memoryview(contents)] if contents is not None else []
        view._receive(view, {"kind": "photo", "rid": rid, "v": 1, "name": name}, buffers)
        until(lambda: len(sent) > before)
        return sent[-1]

    return put


# -- reading ----------------------------------------------------------------------------------------------------------


def test_the_photo_is_what_reading_the_file_gives():
    contents = file_of(picture())
    assert (read_arrival(contents, "a").pixels == read_photo(contents).pixels).all()


def test_it_is_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    sideways = Image.fromarray(np.tile(np.arange(0, 240, 6, dtype=np.uint8)[:, None, None], (1, 20, 3)))
    photo = read_arrival(file_of(sideways, "JPEG", exif=exif), "a")
    assert photo.size == (20, 40)
    assert photo.pixels[0, 0].mean() > photo.pixels[0, -1].mean()


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_other_formats_are_not_even_opened(kind):
    with pytest.raises(ValueError, match=r"a: .* is not an image"):
        read_arrival(file_of(picture(), kind), "a")


def test_a_larger_picture_is_refused_before_it_is_decoded(monkeypatch):
    contents = file_of(Image.new("L", (LIMITS["side"] + 1, 8)))
    monkeypatch.setattr("whatwhere.widgets._arrivals.read_photo", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="at most 2048 pixels a side, got 8 x 2049"):
        read_arrival(contents, "a")


def test_a_bomb_is_refused_by_its_header():
    header = bytearray(file_of(Image.new("L", (8, 8))))
    header[16:24] = (100_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    with pytest.raises(ValueError, match="a: 69 bytes is too large"):
        read_arrival(bytes(header), "a")


def test_a_broken_file_is_said_to_be_broken():
    with pytest.raises(ValueError, match=r"a: .* is broken or cut off"):
        read_arrival(file_of(picture(200), "JPEG")[:2000], "a")


def test_the_size_is_that_of_the_file():
    assert size_of(file_of(picture(40).crop((0, 0, 30, 20))), "a", formats=("PNG",)) == (20, 30)


def test_names_that_are_taken_get_a_number():
    assert free_name("cat", ["dog"]) == "cat"
    assert free_name("cat", ["cat", "cat (2)"]) == "cat (3)"


# -- into an AttributionView ------------------------------------------------------------------------------------------


def test_a_photo_becomes_one_of_the_views(view, ask):
    contents = file_of(picture(32, seed=2))
    assert ask(contents) == {"kind": "added", "rid": "r", "v": 1, "name": "cat", "missed": []}
    assert list(view.images) == ["one", "two", "cat"]
    assert (view.images["cat"].pixels == read_photo(contents).pixels).all()
    assert [each["name"] for each in view._images] == ["one", "two", "cat"]
    assert len(view._photos) == 3
    assert view._status["cat"]["state"] == "empty"  # nobody has looked at the view yet


def test_it_is_computed_once_the_view_is_used(view, ask):
    view.start().wait(PATIENCE)
    ask(file_of(picture(seed=2)))
    until(lambda: view._status["cat"]["state"] == "done")
    view.selected_image = "cat"
    straight = ww.Sobol(grid=4, rows=4).run(view._model, view.images["cat"])
    assert (view.attribution.values() == straight.values()).all()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("my cat.JPG", "my cat"),
        ("C:\\photos\\cat.png", "cat"),
        ("../../etc/passwd", "passwd"),
        ("v1.2", "v1.2"),
        ("a\0b\n.png", "ab"),
        ("x" * 500, "x" * LIMITS["longest_name"]),
        ("", "photo"),
        (None, "photo"),
        ({"a": 1}, "photo"),
    ],
)
def test_names_are_plain(ask, name, title):
    assert ask(file_of(picture()), name)["name"] == title


def test_a_name_twice_is_two_photos(view, ask):
    for k, name in enumerate(["one", "one (2)", "one (3)"]):
        assert ask(file_of(picture(seed=k)), "one.png", rid=str(k))["name"] == (f"one ({k + 2})" if k else "one (2)"), (
            name
        )
    assert list(view.images) == ["one", "two", "one (2)", "one (3)", "one (4)"]


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (None, "got 0"),
        (b"", "got 0"),
        (b"hello", "cat: 5 bytes is not an image"),
        (b"x" * (LIMITS["bytes"] + 1), "at most"),
    ],
)
def test_what_is_no_photo_is_refused_in_words(view, ask, contents, words):
    answer = ask(contents)
    assert answer["kind"] == "refused"
    assert words in answer["message"]
    assert list(view.images) == ["one", "two"]
    assert ask(file_of(picture()))["kind"] == "added"  # and the next is taken


def test_python_adds_as_the_browser_does(view):
    assert view.add({"cat": picture(seed=2), "one": picture(seed=3)}) == ["cat", "one (2)"]
    assert view.selected_image == "cat"
    assert view.selection.images == ["cat"]
    assert [each["name"] for each in view._images] == ["one", "two", "cat", "one (2)"]
    with pytest.raises(ValueError, match=r"missing\.jpg"):
        view.add(["missing.jpg"])
    assert len(view.images) == 4


def test_photos_stay_within_the_notebooks_budget(toy):
    large = [picture(700, seed=k) for k in range(2)]
    view = ww.AttributionView(toy(brightness), {"a": large[0]}, method=ww.Sobol(grid=4, rows=2))
    before = len(view._photos[0])
    view.add({f"more {k}": large[k % 2] for k in range(4)})
    assert sum(map(len, view._photos)) <= 100_000
    assert len(view._photos[0]) < before
    for data, name in zip(view._photos, view.images, strict=True):
        shown = Image.open(io.BytesIO(data))
        assert shown.format == "JPEG", name
    view.close()


def test_photos_that_fit_are_left_as_they_are():
    small = {"a": read_photo(picture(40))}
    kept = {"a": b"x" * 1000}
    assert list(encode_beside(read_photo(picture(40, seed=1)), small, kept, 100_000)) == [""]


def test_an_exported_page_holds_it(view, tmp_path):
    view.start().wait(PATIENCE)
    view.add({"cat": picture(seed=2)})
    view.job.wait(PATIENCE)
    assert "cat" in view.to_html(tmp_path / "page.html").read_text(encoding="utf-8")


# -- into a ConceptExplorer -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made():
    """A small network whose head is affine, and concepts of it."""
    generator = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Sequential(torch.nn.Conv2d(3, 9, 4, stride=4), torch.nn.ReLU()),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(9, 7),
    ).eval()
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (0.3 if weight.ndim > 1 else 0.05))
    model = ww.VisionModel(net, device="cpu", input_size=24, mean=(0.0,) * 3, std=(1.0,) * 3, name="small")
    rng = np.random.default_rng(0)
    blocks = rng.random((12, 8, 8, 3), dtype=np.float32) * (rng.random((12, 8, 8, 1)) < 0.6)
    photos = {f"photo {n}": np.kron(one, np.ones((4, 4, 1), np.float32)) for n, one in enumerate(blocks)}
    method = ww.Craft(n_concepts=3, layer="0", fit_on="locations", designs=8)
    return model, method.run(model, photos, progress=False)


@pytest.fixture
def explorer(made):
    model, bank = made
    shown = ww.ConceptExplorer(bank, model)
    yield shown
    shown.close()


def decode_codes(view, name):
    planes = np.frombuffer(view._codes[name], np.uint8).reshape(-1, *view._grid)
    return planes / 255 * np.array(view._code_scales)[:, None, None]


def test_the_concepts_are_looked_for_in_a_guest(explorer, made, monkeypatch):
    model, bank = made
    explorer.start().wait(PATIENCE)
    ask = asking(explorer, monkeypatch)
    contents = file_of(picture(40, seed=5))
    assert ask(contents)["name"] == "cat"
    until(lambda: explorer._images[-1]["name"] == "cat")
    pair, photo = bank.on(model), read_photo(contents)
    codes = np.moveaxis(pair.encode(photo), -1, 0)
    step = np.array(explorer._code_scales)[:, None, None] / 255
    assert decode_codes(explorer, "cat") == pytest.approx(np.clip(codes, 0, 255 * step), abs=float(step.max()))
    told, parts = explorer._images[-1], pair.contributions(photo, bank.target)
    order = [bank.ids.index(k) for k in explorer.ids]
    assert told["contributions"] == pytest.approx(parts.concepts[0][order].tolist(), rel=1e-3, abs=1e-5)
    total = told["base"] + sum(told["contributions"]) + told["residual"] + told["gap"]
    assert told["logit"] == pytest.approx(total, rel=1e-3)
    assert told["right"] is None  # nobody said what it shows
    assert len(explorer._logits) == 2 * 7 * len(explorer._images)


def test_the_bank_stays_as_it_is(explorer, made):
    _, bank = made
    told = explorer._bank["importance"], explorer._code_scales
    assert explorer.add(picture(seed=5)) == ["image"]
    assert explorer.selected_image == "image"
    assert list(explorer.added) == ["image"]
    assert explorer.bank.images == bank.images
    assert explorer.annotated().codes.shape == bank.codes.shape
    assert (explorer._bank["importance"], explorer._code_scales) == told
    assert [each["name"] for each in explorer._images][:-1] == [
        each["name"] for each in explorer._images if each["name"] != "image"
    ]


def test_maps_and_what_if_know_guests(explorer, made):
    model, bank = made
    explorer.start().wait(PATIENCE)
    explorer.add({"cat": picture(seed=5)})
    maps = explorer.compute_maps("cat", "implicit").wait(PATIENCE)
    straight = bank.on(model).maps(picture(seed=5))
    order = [bank.ids.index(k) for k in explorer.ids]
    assert np.allclose(maps.values, straight.values[order], atol=1e-5)
    until(lambda: "implicit/cat" in explorer._overlays)


def test_guests_come_back_when_the_concepts_change(explorer):
    explorer.start().wait(PATIENCE)
    explorer.add({"cat": picture(seed=5)})
    bank = explorer.bank
    explorer._explored.adopt(bank.take([1, 0]))
    assert list(explorer.added) == []
    for _ in explorer._explored.look_steps():
        pass
    assert list(explorer.added) == ["cat"]
    assert explorer._explored.strip.guests["cat"].codes.shape[-1] == 2
    explorer._publish(force=True)
    assert explorer._images[-1]["name"] == "cat"


def test_without_a_network_or_concepts_the_reason_is_said(made, monkeypatch):
    _, bank = made
    view = ww.ConceptExplorer(bank)
    answer = asking(view, monkeypatch)(file_of(picture()))
    assert answer["kind"] == "refused"
    assert "needs the network" in answer["message"] == view._model["reason"]
    with pytest.raises(ValueError, match="needs the network"):
        view.add(picture())
    view.close()


def test_a_bank_without_photos_comes_to_life(made, tmp_path):
    model, bank = made
    bank.save(tmp_path / "bank.safetensors")
    view = ww.ConceptExplorer(ww.ConceptBank.load(tmp_path / "bank.safetensors"), model)
    assert view._images == []
    view.add([picture(seed=k) for k in range(3)])
    assert [each["name"] for each in view._images] == ["image 1", "image 2", "image 3"]
    assert view.selected_image == "image 1"
    view.close()


def test_guests_stay_within_the_notebooks_budget(explorer):
    explorer.start().wait(PATIENCE)
    explorer.add({f"guest {k}": picture(300, seed=k) for k in range(30)})
    assert sum(map(len, explorer._photos)) < 168_000
    names = [each["name"] for each in explorer._images]
    assert names[-1] == "guest 29"  # the newest are there, and some of the bank's
    assert any(name.startswith("photo") for name in names)
    explorer.selected_image = "guest 0"  # and the others when they are asked for
    until(lambda: any(each["name"] == "guest 0" for each in explorer._images))
